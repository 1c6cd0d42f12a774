# For the tests of the gateway: a cluster with a stand-in for usher.http_request, gateways in front of it, raw sockets.
#
# The stand-in makes these tests independent of the extension: what they look at is what the gateway does with a request
# and with an answer.
package UsherGateway;
use strict;
use warnings;
use Exporter 'import';
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(start_cluster start_usher_cluster add_user log_in post_json start_gateway stop_gateway connect_to raw exchange parse_answers http json_of problem_is log_lines wait_for);

die "USHER_GATEWAY must name the program usher-gateway\n" unless -x ($ENV{USHER_GATEWAY} // '');

# A database that answers like usher.http_request does, by the path.
my $stand_in = <<'SQL';
CREATE SCHEMA usher;
CREATE TABLE usher.written (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE usher.attempts;
CREATE FUNCTION usher.http_request(method text, path text, query text, request_headers jsonb, request_body text,
    client_ip inet, OUT status int, OUT headers jsonb, OUT body text) LANGUAGE plpgsql AS $$
BEGIN
    status := 200;
    headers := '[["Content-Type", "application/json"]]';
    body := '{}';
    CASE
    WHEN path = '/echo' THEN
        headers := headers || '[["usher-route", "/echo"]]';
        body := jsonb_build_object('method', method, 'path', path, 'query', query, 'headers', request_headers,
            'body', request_body, 'client_ip', client_ip, 'time_zone', current_setting('TimeZone'),
            'statement_timeout', current_setting('statement_timeout'),
            'application_name', current_setting('application_name'))::text;
    WHEN path = '/sleep' THEN PERFORM pg_sleep(query::float);
    WHEN path LIKE '/status/%' THEN
        status := substr(path, 9)::int;
        IF status IN (204, 304) THEN body := NULL; END IF;
    WHEN path = '/raise' THEN RAISE EXCEPTION 'secret text' USING ERRCODE = query;
    WHEN path = '/answer' THEN -- the answer as the body says
        status := (request_body::jsonb ->> 'status')::int;
        headers := request_body::jsonb -> 'headers';
        body := request_body::jsonb ->> 'body';
    WHEN path = '/write' THEN
        INSERT INTO usher.written VALUES (query::int);
        status := 201;
    WHEN path = '/serialization' THEN -- fails twice
        IF nextval('usher.attempts') % 3 <> 0 THEN
            RAISE EXCEPTION 'again' USING ERRCODE = '40001';
        END IF;
    WHEN path = '/terminate' THEN PERFORM pg_terminate_backend(pg_backend_pid());
    WHEN path = '/openapi.json' THEN body := to_jsonb(repeat('x', 5000))::text;
    WHEN path = '/big' THEN body := to_jsonb(repeat('x', query::int))::text;
    ELSE
        status := 404;
        headers := '[["Content-Type", "application/problem+json"]]';
        body := '{"type": "about:blank", "title": "Not Found", "status": 404}';
    END CASE;
END $$;
SQL

sub start_cluster
{
    my ($name) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init;
    $node->start;
    $node->safe_psql('postgres', $stand_in);
    return $node;
}

# A database with the real extension, a role for the gateway, and the preset of permissions.
our $password = 'tiger umbrella 47 rivers';
sub start_usher_cluster
{
    my ($name, %options) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ], %{ $options{init} // {} });
    $node->append_conf('postgresql.conf', $options{settings}) if $options{settings};
    $node->start;
    $node->safe_psql('postgres', <<~'SQL');
        CREATE EXTENSION usher CASCADE;
        CREATE ROLE gateway_test LOGIN;
        SELECT usher.grant_access('gateway_test', 'gateway');
        SELECT usher.apply_role_preset('blog');
        SQL
    return $node;
}

# An account with a verified address and the password above; returns its id.
sub add_user
{
    my ($node, $email, $role) = @_;
    my $id = $node->safe_psql('postgres', "SELECT user_id FROM usher.register_user('$email', '$password')");
    $node->safe_psql('postgres', "UPDATE usher.users SET email_verified_at = now() WHERE id = '$id'");
    $node->safe_psql('postgres', "SELECT usher.grant_role('$id', '$role')") if $role;
    return $id;
}

sub post_json
{
    my ($self, $path, $body, %headers) = @_;
    my $method = delete $headers{method} // 'POST';
    return http($self, $method, $path, { headers => { 'Content-Type' => 'application/json', %headers }, content => ref $body ? encode_json($body) : $body });
}

# Headers with the token of a new session.
sub log_in
{
    my ($self, $email) = @_;
    my $answer = post_json($self, '/auth/login', { identifier => $email, password => $password });
    die "login failed: $answer->{content}" if $answer->{status} != 200;
    return (Authorization => 'Bearer ' . json_of($answer)->{access_token});
}

my $started = 0;
my @running;

# A gateway on free ports below the ephemeral range. Options: as flags, with underscores.
sub start_gateway
{
    my ($node, %options) = @_;
    my $folder = PostgreSQL::Test::Utils::tempdir();
    my $port = 10000 + int(rand(20000));
    my $environment = delete $options{environment} // {};
    my %all = (
        database => $node->connstr('postgres'), port => $port, port_search => 500, admin_port => $port + 1,
        ready_file => "$folder/ready", %options);
    my @flags = map { '--' . ($_ =~ tr/_/-/r) . '=' . $all{$_} } sort keys %all;
    my $self = { folder => $folder, log => "$folder/log", number => ++$started };
    local %ENV = (%ENV, %$environment);
    delete $ENV{PGAPPNAME}; # set by PostgreSQL::Test::Utils
    $self->{process} = IPC::Run::start([ $ENV{USHER_GATEWAY}, @flags ], '<', \undef, '>', $self->{log}, '2>', "$folder/errors");
    push @running, $self;
    my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
    while (!-s "$folder/ready")
    {
        die 'the gateway did not start: ' . slurp_file("$folder/errors") . slurp_file($self->{log})
          if time > $limit || -s "$folder/errors"; # its only words on standard error are why it ends
        sleep 0.02;
    }
    @$self{qw(url admin pid)} = @{ decode_json(slurp_file("$folder/ready")) }{qw(gateway admin pid)};
    ($self->{port}) = $self->{url} =~ /:(\d+)$/;
    return $self;
}

# SIGTERM; returns the exit status.
sub stop_gateway
{
    my ($self, $signal) = @_;
    kill $signal // 'TERM', $self->{pid};
    $self->{process}->finish;
    @running = grep { $_ != $self } @running;
    return $self->{process}->result(0);
}

END
{
    my $status = $?;
    for my $self (@running)
    {
        kill 'KILL', $self->{pid} if $self->{pid};
        eval { $self->{process}->finish };
    }
    $? = $status;
}

sub connect_to
{
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Proto => 'tcp')
      // die "could not connect: $!";
}

# Everything that comes until the other side closes, or nothing comes for so long.
sub raw
{
    my ($self, $bytes, %options) = @_;
    my $socket = $options{socket} // connect_to($self);
    local $SIG{PIPE} = 'IGNORE';
    my $select = IO::Select->new($socket);
    my $got = '';
    my $closed = 0;
    my $sent = 0;
    my $limit = time + ($options{wait} // 10);
    while (time < $limit)
    {
        if ($sent < length $bytes)
        {
            my $n = $select->can_write(0.05) ? syswrite($socket, $bytes, 65536, $sent) : 0;
            $sent = length $bytes unless defined $n;
            $sent += $n // 0;
        }
        next unless $select->can_read($sent < length $bytes ? 0 : 0.05);
        my $n = sysread($socket, $got, 65536, length $got);
        if (!$n) { $closed = 1; last }
        last if $options{until} && $got =~ $options{until};
    }
    return wantarray ? ($got, $closed) : $got;
}

# What came, as answers: { status, headers, body }. All answers of the gateway have a length.
sub parse_answers
{
    my ($bytes, $is_head) = @_;
    my @answers;
    while ($bytes =~ s/^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(.*?)\r\n\r\n//s)
    {
        my ($status, $head) = ($1, $2);
        my %headers;
        for (split /\r\n/, $head) { my ($n, $v) = /^([^:]+): ?(.*)$/; push @{ $headers{ lc $n } }, $v }
        my $length = $is_head || $status == 100 ? 0 : $headers{'content-length'}[0] // 0;
        push @answers, { status => $status, headers => \%headers, body => substr($bytes, 0, $length, '') };
    }
    push @answers, { status => 0, body => $bytes, headers => {} } if length $bytes; # what nobody should send
    return @answers;
}

# One raw request on a connection of its own; returns the only answer and whether the connection was closed.
sub exchange
{
    my ($self, $bytes, %options) = @_;
    my ($got, $closed) = raw($self, $bytes, wait => 3, %options);
    my @answers = parse_answers($got);
    return ($answers[0] // { status => -1, headers => {}, body => '' }, $closed, scalar @answers);
}

my $client = HTTP::Tiny->new(timeout => 30, max_redirect => 0);

# http($gateway, 'POST', '/path', { headers => {…}, content => … })
sub http
{
    my ($self, $method, $path, $options) = @_;
    my $url = $path =~ /^http:/ ? $path : $self->{url} . $path;
    my $answer = $client->request($method, $url, $options // {});
    diag("$method $path: $answer->{content}") if $answer->{status} == 599;
    return $answer;
}

sub json_of { my ($answer) = @_; return eval { decode_json($answer->{content} // $answer->{body}) } // {} }

# An answer of the gateway's own: problem+json with the code, and the headers that every answer carries.
sub problem_is
{
    my ($answer, $status, $code, $name) = @_;
    my $problem = json_of($answer);
    my $header = sub { my $v = $answer->{headers}{ $_[0] }; return ref $v ? $v->[0] : $v };
    is_deeply(
        [ $answer->{status}, $header->('content-type'), $problem->{status}, $problem->{code}, $problem->{type}, $header->('x-content-type-options') ],
        [ $status, 'application/problem+json', $status, $code, "urn:usher:error:$code", 'nosniff' ], $name)
      or diag(explain($answer));
    is($problem->{correlation_id}, $header->('x-correlation-id'), "$name: correlation id in body and header");
}

sub log_lines
{
    my ($self, $event) = @_;
    return grep { !$event || $_->{event} eq $event } map { decode_json($_) } split /\n/, slurp_file($self->{log});
}

sub wait_for
{
    my ($what, $name) = @_;
    my $limit = time + 120; # a machine may be slow: what is waited for comes, or a failure is certain
    while (time < $limit) { return pass($name) if $what->(); sleep 0.05 }
    return fail($name);
}

1;

# For the tests of the courier: a cluster with usher_courier, couriers, and the servers of test/node/courier.js.
package UsherCourier;
use strict;
use warnings;
use Exporter 'import';
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(start_courier_cluster make_certificate start_receivers start_node_servers start_courier stop_courier received wait_for sql_text json_text publish_letter make_messages_ready courier_log metric);

# A database with a role of the level courier, and an event of ours that makes a message of what it says.
sub start_courier_cluster
{
    my ($name, %options) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'usher'\n" . ($options{settings} // ''));
    $node->start;
    $node->safe_psql('postgres', <<~'SQL');
        SET client_min_messages = warning;
        CREATE EXTENSION usher CASCADE;
        CREATE SCHEMA mail;
        CREATE EXTENSION usher_courier SCHEMA mail;
        CREATE ROLE courier_test LOGIN;
        SELECT usher.grant_access('courier_test', 'courier');
        ALTER DATABASE postgres SET courier.sender = 'Möbel & Söhne <shop@shop.example>';
        ALTER DATABASE postgres SET courier.allowed_networks = '127.0.0.1/32';
        CREATE SCHEMA app;
        SELECT usher.register_extension('Letters', name => 'letters', schema_name => 'app',
            declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
            publishes => '{letter.written,letter.long,letter.secret}');
        SELECT mail.set_message_rule('letter.written', address_key => 'email');
        SELECT mail.set_message_template('letter.written', 'en', '{{subject}}', '{{text}}', '<p>{{text}}</p>');
        SQL
    return $node;
}

my @running;

# A folder with a certificate for localhost that nobody else knows: tls.crt, tls.key
sub make_certificate
{
    my $folder = PostgreSQL::Test::Utils::tempdir();
    system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext',
        'subjectAltName=DNS:localhost', '-keyout', "$folder/tls.key", '-out', "$folder/tls.crt");
    return $folder;
}

# An event that makes a message to an address.
sub publish_letter
{
    my ($node, $email, $subject, $text, $event) = @_;
    my $payload = json_text(email => $email, subject => $subject // 'Hello', text => $text // 'Some text.');
    return $node->safe_psql('postgres', "SELECT usher.publish('" . ($event // 'letter.written') . "', $payload)");
}

# What is to be tried again later is tried at once.
sub make_messages_ready { my ($node) = @_; return $node->safe_psql('postgres', "UPDATE mail.messages SET next_attempt_at = now() WHERE status = 'pending'") }

# The SMTP and HTTP servers; { folder, smtp, smtp_tls, web }
sub start_receivers
{
    my ($web) = @_;
    my $folder = make_certificate();
    web_says({ folder => $folder }, $web // {});
    return start_node_servers('courier.js', $folder);
}

# Runs a script of test/node that prints its ports as JSON; { folder, the ports by their names }
sub start_node_servers
{
    my ($script, $folder) = @_;
    my $self = { folder => $folder };
    my ($out, $in) = ('', '');
    local $ENV{NODE_PATH} = $ENV{USHER_NODE};
    $self->{in} = \$in;
    $self->{process} = IPC::Run::start([ 'node', "$ENV{USHER_SOURCE}/test/node/$script", $folder ], '<', \$in, '>', \$out, '2>', "$folder/errors");
    my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
    while ($out !~ /\}/)
    {
        die 'the receivers did not start: ' . slurp_file("$folder/errors") if time > $limit || -s "$folder/errors";
        $self->{process}->pump_nb;
        sleep 0.05;
    }
    push @running, $self;
    return { %$self, %{ decode_json($out) } };
}

# What the HTTP server answers from now on: { secrets, status => { path => 500 }, documents => { path => … }, headers }
sub web_says
{
    my ($self, $web) = @_;
    open my $file, '>', "$self->{folder}/web.json.new" or die $!;
    print $file encode_json($web);
    close $file or die $!;
    rename "$self->{folder}/web.json.new", "$self->{folder}/web.json" or die $!;
}

# What has arrived: received($receivers, 'mail'), received($receivers, 'http')
sub received
{
    my ($self, $kind) = @_;
    my $path = "$self->{folder}/$kind.jsonl";
    return () unless -e $path;
    return map { as_bytes(decode_json($_)) } grep { /\}$/ } split /\n/, slurp_file($path);
}

# Tests compare bytes, as their own texts are.
sub as_bytes
{
    my ($value) = @_;
    return { map { $_ => as_bytes($value->{$_}) } keys %$value } if ref $value eq 'HASH';
    return [ map { as_bytes($_) } @$value ] if ref $value eq 'ARRAY';
    utf8::encode($value) if defined $value && !ref $value && $value =~ /[^\x00-\x7f]/;
    return $value;
}

my $started = 0;

sub start_courier
{
    my ($node, %options) = @_;
    my $folder = PostgreSQL::Test::Utils::tempdir();
    my $environment = delete $options{environment} // {};
    my %all = (
        database => $node->connstr('postgres') . ' user=courier_test', admin_port => 10000 + int(rand(20000)), port_search => 500, ready_file => "$folder/ready", poll_ms => 300,
        worker => 'courier-' . ++$started, %options);
    my @flags = map { '--' . ($_ =~ tr/_/-/r) . '=' . $all{$_} } sort keys %all;
    my $self = { folder => $folder, log => "$folder/log" };
    local %ENV = (%ENV, %$environment);
    delete $ENV{PGAPPNAME};
    $self->{process} = IPC::Run::start([ $ENV{USHER_COURIER}, @flags ], '<', \undef, '>', $self->{log}, '2>', "$folder/errors");
    push @running, $self;
    my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
    while (!-s "$folder/ready")
    {
        die 'the courier did not start: ' . slurp_file("$folder/errors") . slurp_file($self->{log}) if time > $limit || -s "$folder/errors";
        sleep 0.02;
    }
    @$self{qw(admin pid)} = @{ decode_json(slurp_file("$folder/ready")) }{qw(admin pid)};
    return $self;
}

# Returns the exit status; after KILL, undef.
sub stop_courier
{
    my ($self, $signal) = @_;
    kill $signal // 'TERM', $self->{pid};
    eval { $self->{process}->finish };
    @running = grep { $_ != $self } @running;
    return eval { $self->{process}->result(0) };
}

sub courier_log { my ($self) = @_; return map { decode_json($_) } split /\n/, slurp_file($self->{log}) }

sub metric
{
    my ($self, $name) = @_;
    my $answer = HTTP::Tiny->new->get("$self->{admin}/metrics");
    return $answer->{content} =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}

# JSON in ASCII, from texts in bytes.
sub json_text
{
    my (%members) = @_;
    utf8::decode($_) for values %members;
    return sql_text(JSON::PP->new->ascii->encode(\%members));
}

sub sql_text { my ($text) = @_; return "'" . ($text =~ s/'/''/gr) . "'" }

sub wait_for
{
    my ($what, $name) = @_;
    my $limit = time + 120; # a machine may be slow: what is waited for comes, or a failure is certain
    while (time < $limit) { return pass($name) if $what->(); sleep 0.05 }
    return fail($name);
}

END
{
    my $status = $?;
    for my $self (@running)
    {
        kill 'KILL', $self->{pid} if $self->{pid};
        eval { $self->{process}->kill_kill(grace => 2) };
    }
    $? = $status;
}

1;

# A database for each tenant: deploy/haproxy-tenants.cfg before a gateway for each, by the Host of a request. What is of one tenant is
# nothing to another: accounts, tokens, connections, outages.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my ($haproxy) = grep { -x } map { "$_/haproxy" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'haproxy is not installed' unless $haproxy;

my $node = start_usher_cluster('tenants');
for my $tenant (qw(red blue))
{
    $node->safe_psql('postgres', "CREATE DATABASE $tenant; REVOKE CONNECT ON DATABASE $tenant FROM PUBLIC; CREATE ROLE usher_gateway_$tenant LOGIN; GRANT CONNECT ON DATABASE $tenant TO usher_gateway_$tenant");
    $node->safe_psql($tenant, <<"SQL");
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
SELECT usher.grant_access('usher_gateway_$tenant', 'gateway');
SELECT usher.rotate_signing_key('EdDSA');
SQL
    my $id = $node->safe_psql($tenant, "SELECT user_id FROM usher.register_user('ann\@example.com', '$UsherGateway::password')");
    $node->safe_psql($tenant, "UPDATE usher.users SET email_verified_at = now() WHERE id = '$id'");
}
my $folder = PostgreSQL::Test::Utils::tempdir();
sub write_file { my ($name, $text) = @_; open my $file, '>', "$folder/$name" or die; print $file $text; close $file; return "$folder/$name" }
# The shipped options but for addresses and ports; those of the other tenant differ by its name. haproxy's address is 10.0.0.20, here 127.0.0.1.
my $shipped = slurp_file("$ENV{USHER_SOURCE}/deploy/gateway-red.json") =~ s/\b10\.0\.0\.20\b/127.0.0.1/gr =~ s/\b10\.0\.0\.21\b/127.0.0.21/gr;
my ($connection) = $shipped =~ /"database": "(.*)"/;
my %gateway;
for my $tenant (qw(red blue))
{
    my $options = write_file("$tenant.json", $shipped =~ s/red/$tenant/gr);
    my $database = $connection =~ s/red/$tenant/gr =~ s{host=\S+}{'host=' . $node->host . ' port=' . $node->port}er;
    $gateway{$tenant} = start_gateway($node, database => $database, pool_size => 2, drain_delay_ms => 0, environment => { USHER_GATEWAY_CONFIG => $options });
}
my $map = write_file('tenants.map', "red.example.com red\nblue.example.com blue\n");
my $text = slurp_file("$ENV{USHER_SOURCE}/deploy/haproxy-tenants.cfg");
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $admin = sub { ($gateway{ $_[0] }{admin} =~ /:(\d+)$/)[0] };
ok($text =~ s{bind :443 ssl.*}{bind 127.0.0.1:$port} && $text =~ s{/etc/usher/tenants.map}{$map}g && $text =~ s/maxconn 20000/maxconn 200/
    && $text =~ s/10\.0\.0\.21:8080 port 8081/"127.0.0.21:$gateway{red}{port} port " . $admin->('red')/e
    && $text =~ s/10\.0\.0\.21:8090 port 8091/"127.0.0.21:$gateway{blue}{port} port " . $admin->('blue')/e, 'haproxy-tenants.cfg names all of it');
my $config = write_file('haproxy.cfg', $text);
my ($out, $good) = ('');
$good = IPC::Run::run([ $haproxy, '-c', '-f', $config ], '<', \undef, '>&', \$out);
ok($good, 'haproxy -c') or die $out;
my $process = IPC::Run::start([ $haproxy, '-db', '-f', $config ], '<', \undef, '>&', "$folder/haproxy.log");
my $front = { url => "http://127.0.0.1:$port", port => $port };

# as a client sends it: HTTP::Tiny would name the address
sub ask
{
    my ($host, $method, $path, $body, %headers) = @_;
    my $head = join '', map { "$_: $headers{$_}\r\n" } sort keys %headers;
    $head .= "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n" if defined $body;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, LocalAddr => '127.0.0.9', Proto => 'tcp') or return { status => 0 };
    my $got = raw($front, "$method $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n$head\r\n" . ($body // ''), socket => $socket, wait => 30);
    my ($status, $content) = $got =~ /^HTTP\/1\.1 (\d+).*?\r\n\r\n(.*)$/s;
    return { status => $status // 0, content => $content // '' };
}
my $login = '{"identifier": "ann@example.com", "password": "' . $UsherGateway::password . '"}';
wait_for(sub { ask("$_.example.com", 'GET', '/auth/me')->{status} == 401 }, "$_: haproxy has found its gateway") for qw(red blue);
my %token = map { $_ => json_of(ask("$_.example.com", 'POST', '/auth/login', $login))->{access_token} } qw(red blue);
my %me = map { $_ => json_of(ask("$_.example.com", 'GET', '/auth/me', undef, Authorization => "Bearer $token{$_}"))->{user_id} } qw(red blue);
ok($me{red} && $me{blue} && $me{red} ne $me{blue}, 'one address is an account of each tenant');
is(ask('red.example.com', 'GET', '/auth/me', undef, Authorization => "Bearer $token{blue}")->{status}, 401, 'the token of one tenant is nothing to another');
is(ask('RED.example.com:443', 'GET', '/auth/me', undef, Authorization => "Bearer $token{red}")->{status}, 200, 'a host is found in capitals and with its port');
is(ask('green.example.com', 'GET', '/auth/me')->{status}, 421, 'another host has no tenant');
is(ask('red.example.com', 'GET', '/auth/me', undef, Authorization => "Bearer $token{red}", 'X-Forwarded-Host' => 'blue.example.com')->{status}, 200, 'no other header says whose a request is');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT datname || ' by ' || usename, ', ' ORDER BY datname || ' by ' || usename) FROM pg_stat_activity WHERE application_name = 'usher-gateway'}),
    'blue by usher_gateway_blue, red by usher_gateway_red', 'each has connections of its own, by a role of its own');
my (undef, undef, $refused) = $node->psql('red', 'SELECT 1', extra_params => [ '-U', 'usher_gateway_blue' ]);
like($refused, qr/permission denied for database "red"/, '… which gets into no other database');
is(json_of(ask('red.example.com', 'POST', '/auth/login', '{"identifier": "ann@example.com", "password": "wrong"}'))->{code}, 'invalid_credentials', 'a failed login');
is($node->safe_psql('red', q{SELECT DISTINCT client_ip FROM usher.login_attempts}), '127.0.0.9', '… is noted with the address of the client, not of haproxy');

# an outage of one is none of the other's
$node->safe_psql('postgres', q{ALTER DATABASE blue ALLOW_CONNECTIONS false});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'blue'});
wait_for(sub { ask('blue.example.com', 'GET', '/auth/me')->{status} == 503 }, 'the database of one tenant is away');
is(ask('red.example.com', 'GET', '/auth/me', undef, Authorization => "Bearer $token{red}")->{status}, 200, '… which the other does not notice');
$node->safe_psql('postgres', q{ALTER DATABASE blue ALLOW_CONNECTIONS true});
wait_for(sub { ask('blue.example.com', 'GET', '/auth/me', undef, Authorization => "Bearer $token{blue}")->{status} == 200 }, '… until it is back');
$process->signal('TERM');
$process->finish;
is(stop_gateway($gateway{$_}), 0, "$_ stopped") for qw(red blue);
done_testing();

# Behind PgBouncer in transaction mode, where neither named statements nor settings outlive a transaction.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my ($program) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $program;
plan skip_all => 'pgbouncer does not run as root' if $> == 0;

my $node = start_usher_cluster('behind_pooler');
add_user($node, 'u@example.com');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE FUNCTION app.nap(seconds float, OUT time_zone text) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM pg_sleep(seconds); time_zone := current_setting('TimeZone'); END $$;
GRANT EXECUTE ON FUNCTION app.nap(float) TO gateway_test;
SELECT usher.add_route('GET', '/nap', 'app.nap(float)', access => 'public');
SQL
my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $port = 10000 + int(rand(20000));
append_to_file("$folder/users", "\"gateway_test\" \"\"\n");
append_to_file("$folder/ini", <<"END");
[databases]
postgres = host=@{[ $node->host ]} port=@{[ $node->port ]}
[pgbouncer]
listen_addr =
unix_socket_dir = $folder
listen_port = $port
auth_type = any
auth_file = $folder/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
END
# auth_type any logs in as the user of the database line
my $ini = slurp_file("$folder/ini");
$ini =~ s/^(postgres = .*)$/$1 user=gateway_test/m;
open my $file, '>', "$folder/ini" or die;
print $file $ini;
close $file;
my $pooler = IPC::Run::start([ $program, "$folder/ini" ], '<', \undef, '>', "$folder/out", '2>', "$folder/log");
wait_for(sub { -S "$folder/.s.PGSQL.$port" }, 'the pooler runs') or diag(slurp_file("$folder/log"));

my $gateway = start_gateway($node, database => "host=$folder port=$port dbname=postgres user=gateway_test", pooler => 'true', pool_size => 8, statement_timeout_ms => 1500);
is(http($gateway, 'GET', "$gateway->{admin}/readyz")->{status}, 200, 'ready') or diag(slurp_file("$folder/log"));
my %user = log_in($gateway, 'u@example.com');
my %statuses;
# eight connections of the gateway share two of the server: a statement prepared on one would be missing on the other
my @sockets = map { my $s = connect_to($gateway); $s } 1 .. 8;
for my $round (1 .. 10)
{
    syswrite($_, "GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: $user{Authorization}\r\n\r\n") for @sockets;
    $statuses{ (parse_answers(scalar raw($gateway, '', socket => $_, until => qr/\}$/)))[0]{status} }++ for @sockets;
}
is_deeply(\%statuses, { 200 => 80 }, 'requests over shared connections');
is(json_of(http($gateway, 'GET', '/nap?seconds=0'))->{time_zone}, 'UTC', 'the time zone is UTC there too');
problem_is(http($gateway, 'GET', '/nap?seconds=20'), 504, 'timeout', 'the deadline is the gateway\'s own');
wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 0 }, '… and the statement is cancelled');
is(http($gateway, 'GET', '/auth/me', { headers => {%user} })->{status}, 200, '… and the connection is good for the next');
is($node->safe_psql('postgres', "SELECT count(*) <= 4 FROM pg_stat_activity WHERE usename = 'gateway_test'"), 't', 'the pooler pools');
is(stop_gateway($gateway), 0, 'stopped');
$pooler->signal('INT');
$pooler->finish;
done_testing();

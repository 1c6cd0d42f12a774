# Behind PgBouncer in transaction mode, where neither named statements nor settings outlive a transaction: deploy/pgbouncer.ini as it is
# shipped, but for ports and folders, before a server with Debian's pg_hba.conf, set up as docs/pools.md says.
use strict;
use warnings;
use DocumentBlocks;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my ($program) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $program;
plan skip_all => 'pgbouncer does not run as root' if $> == 0;

my ($limits, $hba, $secrets, $options, $passwords) = document_blocks('docs/pools.md');
my $node = start_usher_cluster('behind_pooler');
add_user($node, 'u@example.com');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE usher_gateway LOGIN PASSWORD 'tunnel';
CREATE ROLE usher_courier LOGIN;
SELECT usher.grant_access('usher_gateway', 'gateway');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO usher_gateway;
CREATE FUNCTION app.nap(seconds float, OUT time_zone text) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM pg_sleep(seconds); time_zone := current_setting('TimeZone'); END $$;
GRANT EXECUTE ON FUNCTION app.nap(float) TO usher_gateway;
SELECT usher.add_route('GET', '/nap', 'app.nap(float)', access => 'public');
SQL
$node->safe_psql('postgres', 'CREATE DATABASE app TEMPLATE postgres');
$node->safe_psql('postgres', $limits->{text});
is($node->safe_psql('postgres', q{SELECT string_agg(rolconnlimit::text, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname IN ('usher_gateway', 'usher_courier')}), '16 44', 'roles of programs have limits');

# --- Debian's pg_hba.conf, with the line of the page where it says; the superuser is who runs this test, and no system user is usher_gateway
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $line_of_page = $hba->{text} =~ s/^ +//mgr;
sub lines { my ($more) = @_; return "local all \"$superuser\" peer\n$more" . "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n" }
sub write_file { my ($path, $text) = @_; open my $file, '>', $path or die "$path: $!"; print $file $text; close $file; chmod 0600, $path; return $path }
sub reload { write_file($node->data_dir . '/pg_hba.conf', lines($_[0])); $node->reload; return }
reload('');

# --- the shipped file: sockets of both lie in one folder, as on Debian
my $folder = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $sockets = $node->host;
my $here = sub { my ($text) = @_; return $text =~ s{/var/run/postgresql}{$sockets}gr =~ s/\b6432\b/$port/gr =~ s{/etc/(?:pgbouncer|usher)}{$folder}gr };
my $ini = $here->(slurp_file("$ENV{USHER_SOURCE}/deploy/pgbouncer.ini"));
ok($ini =~ s/dbname=app$/"dbname=app port=" . $node->port/me, 'pgbouncer.ini names the database');
{
    local %ENV = (%ENV, PGHOST => $sockets, PGPORT => $node->port, USERLIST => "$folder/userlist.txt");
    ok(IPC::Run::run([ 'sh', '-ec', $secrets->{text} ], '<', \undef), 'the secrets are written');
}
like(slurp_file("$folder/userlist.txt"), qr/\A"usher_gateway" "SCRAM-SHA-256\$\S+"\n\z/, '… that of the role and no other');
my $pooler = IPC::Run::start([ $program, write_file("$folder/ini", $ini) ], '<', \undef, '>', "$folder/out", '2>', "$folder/log");
wait_for(sub { -S "$sockets/.s.PGSQL.$port" }, 'the pooler runs') or diag(slurp_file("$folder/log"));

write_file("$folder/gateway.pgpass", $here->($passwords->{text}) =~ s/^ +//mgr =~ s/password$/tunnel/mr);
my %options = %{ decode_json($here->($options->{text})) };
$options{pooler} = $options{pooler} ? 'true' : 'false';
my $gateway = start_gateway($node, %options, statement_timeout_ms => 1500);
is(http($gateway, 'GET', "$gateway->{admin}/readyz")->{status}, 503, 'with the lines of Debian alone PgBouncer is not let in');
like(slurp_file("$folder/log"), qr/Peer authentication failed for user "usher_gateway"/, '… since it is another user');
reload($line_of_page);
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/readyz")->{status} == 200 }, 'with the line of the page it is') or diag(slurp_file("$folder/log"));
my ($code, undef, $refused) = $node->psql('app', 'SELECT 1', connstr => "host=$sockets port=$port dbname=app user=usher_gateway password=wrong");
like($refused, qr/SASL authentication failed/, 'whoever has another password is not');

my %user = log_in($gateway, 'u@example.com');
my %statuses;
# the connections of the gateway share fewer of the server: a statement prepared on one would be missing on the other
my @sockets = map { my $s = connect_to($gateway); $s } 1 .. $options{pool_size};
for my $round (1 .. 4)
{
    syswrite($_, "GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: $user{Authorization}\r\n\r\n") for @sockets;
    $statuses{ (parse_answers(scalar raw($gateway, '', socket => $_, until => qr/\}$/)))[0]{status} }++ for @sockets;
}
is_deeply(\%statuses, { 200 => 4 * $options{pool_size} }, 'requests over shared connections');
is(json_of(http($gateway, 'GET', '/nap?seconds=0'))->{time_zone}, 'UTC', 'the time zone is UTC there too');
problem_is(http($gateway, 'GET', '/nap?seconds=20'), 504, 'timeout', 'the deadline is the gateway\'s own');
wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 0 }, '… and the statement is cancelled');
is(http($gateway, 'GET', '/auth/me', { headers => {%user} })->{status}, 200, '… and the connection is good for the next');
my ($size) = $ini =~ /^default_pool_size = (\d+)$/m;
is($node->safe_psql('postgres', "SELECT count(*) BETWEEN 1 AND $size FROM pg_stat_activity WHERE usename = 'usher_gateway'"), 't', 'the pooler pools');
cmp_ok($options{pool_size}, '>', $size, '… since the gateway of the page has more connections than it');
is(stop_gateway($gateway), 0, 'stopped');
$pooler->signal('INT');
$pooler->finish;
done_testing();

# kill -9 while clients write: every committed change has its audit row, no audit row is without its change, the chain of seals
# holds. Two rounds, 20 with USHER_LONG=1.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{USHER_LONG} ? 20 : 2;
my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres'
usher.maintenance_interval = 1s
CONF
$node->start;
$node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	CREATE EXTENSION usher CASCADE;
	CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL);
	INSERT INTO counters SELECT i, 0 FROM generate_series(1, 50) i;
	CREATE TABLE entries (id uuid PRIMARY KEY, n integer NOT NULL);
	SELECT usher.enable_audit('counters');
	SELECT usher.enable_audit('entries')});
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set id random(1, 50)
BEGIN;
UPDATE counters SET n = n + 1 WHERE id = :id;
INSERT INTO entries SELECT usher.uuid_v7(), i FROM generate_series(1, 3) i;
DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED);
COMMIT;
SQL

sub is_alive
{
	my ($pid) = @_;
	return 0 unless kill(0, $pid);
	open my $stat, '<', "/proc/$pid/stat" or return -e '/proc/self/stat' ? 0 : 1;
	my $line = <$stat> // return 0;
	return $line !~ /\) Z /;
}

for my $round (1 .. $rounds)
{
	my ($out, $err) = ('', '');
	my $load = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 60, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
	my $start = $node->safe_psql('postgres', 'SELECT sum(n) FROM counters');
	$node->poll_query_until('postgres', "SELECT sum(n) > $start + 20 AND EXISTS (SELECT FROM usher.audit_seals) FROM counters") or die 'no load, or no seal';
	usleep(rand(1_000_000));
	my @processes = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	push @processes, my $postmaster = (split /\n/, PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postmaster.pid'))[0];
	$node->kill9;
	kill 'KILL', @processes;
	$load->finish;
	# Dead, though perhaps not yet buried by their parent: then the new server would take the pid for a living one.
	for (1 .. 200) { last unless grep { is_alive($_) } @processes; usleep(50_000) }
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock' unless is_alive($postmaster);
	ok($node->start(fail_ok => 1), "round $round: the server comes back") or last;

	is($node->safe_psql('postgres', q{
		SELECT (SELECT sum(n) FROM counters) - (SELECT count(*) FROM usher.audit_logs WHERE resource_type = 'public.counters' AND action = 'update')}),
		0, "round $round: as many audit rows as updates");
	is($node->safe_psql('postgres', q{
		SELECT count(*) FROM (
			SELECT c.id::text, c.n FROM counters c WHERE c.n > 0
			EXCEPT SELECT l.resource_id, max((l.new_values ->> 'n')::integer) FROM usher.audit_logs l
				WHERE l.resource_type = 'public.counters' AND l.action = 'update' GROUP BY 1) AS x}),
		0, "round $round: the last audit row of each counter has its value");
	is($node->safe_psql('postgres', q{
		WITH logged AS (
			SELECT l.resource_id AS id FROM usher.audit_logs l WHERE l.resource_type = 'public.entries' AND l.action = 'insert'
			EXCEPT ALL SELECT l.resource_id FROM usher.audit_logs l WHERE l.resource_type = 'public.entries' AND l.action = 'delete')
		SELECT count(*) FROM logged l FULL JOIN entries e ON e.id::text = l.id WHERE l.id IS NULL OR e.id IS NULL}),
		0, "round $round: rows inserted and deleted according to the log are those that are there");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM usher.verify_audit_chain() WHERE NOT is_intact'), 0, "round $round: the chain is intact");
}
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM usher.verify_audit_chain()'), '>', 0, 'and there is one');
$node->stop;
done_testing();

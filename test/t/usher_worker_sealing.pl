# Sealing keeps up: however many audit rows are written between two rounds of upkeep, the next seals them all, in blocks that are
# transactions of their own, and other jobs have their turn meanwhile.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $rows = $ENV{USHER_LONG} ? 2_000_000 : 240_000;
my $node = PostgreSQL::Test::Cluster->new('sealing');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres'
usher.flush_interval = 100ms
usher.maintenance_interval = 300s
autovacuum = off
CONF
$node->start;
sub one { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }
one('SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
$node->restart; # else its first round is over, without the extension, or is not, as it happens
ok($node->poll_query_until('postgres', q{SELECT last_upkeep_at IS NOT NULL FROM usher.health()}), 'the first round of upkeep');
# the worker's own job is looked at, not the step of run_maintenance()
one(q{CREATE OR REPLACE FUNCTION usher._keep_audit_log_sealed(max_rows integer) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'});
one(qq{CREATE TABLE things (id integer PRIMARY KEY, n integer); SELECT usher.enable_audit('things'); INSERT INTO things SELECT i, i FROM generate_series(1, $rows) AS i;
	SELECT usher.define_rate_limit('calls', 'fixed_window', 5, '1 hour')});
my $left = q{SELECT count(*) FROM usher.audit_logs WHERE id >= coalesce((SELECT max(until_id::text)::uuid FROM usher.audit_seals), '00000000-0000-0000-0000-000000000000')};
cmp_ok(one($left), '>=', $rows, 'they wait to be sealed');
one('SELECT pg_sleep(1.2)'); # older than what clocks may differ by
my $seals = one('SELECT count(*) FROM usher.audit_seals');
$node->restart; # upkeep runs when the worker starts
my $began = time;
one(q{SELECT usher.hit_rate_limit('calls', 'x')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM usher.rate_limit_records}), 'hits are flushed');
ok($node->poll_query_until('postgres', "SELECT sum(row_count) >= $rows FROM usher.audit_seals"), 'all rows are sealed in one round');
my $took = time - $began;
note(sprintf('%d rows sealed in %.1f s: %.0f a second, where 10,000 in five minutes are 33', $rows, $took, $rows / $took));
is(one('SELECT max(row_count) <= 50000 FROM usher.audit_seals'), 't', 'no block is larger than one transaction should hold');
is(one("SELECT count(DISTINCT xmin::text) = count(*) FROM usher.audit_seals WHERE seq > $seals"), 't', 'each was sealed by a transaction of its own');
is(one('SELECT bool_and(is_intact) FROM usher.verify_audit_chain()'), 't', 'the chain is intact');
is(one(q{SELECT worker_problem IS NULL FROM usher.health()}), 't', 'the worker is well');
# switched off
one(q{ALTER SYSTEM SET usher.audit_chain = off});
$seals = one('SELECT count(*) FROM usher.audit_seals');
one('UPDATE things SET n = 0 WHERE id < 10; SELECT pg_sleep(1.2)');
$node->restart;
ok($node->poll_query_until('postgres', q{SELECT last_upkeep_at IS NOT NULL FROM usher.health()}), 'another round');
ok($node->poll_query_until('postgres', q{SELECT bool_or(labels ->> 'job' = 'sealing the audit log') FROM usher.metrics() WHERE name = 'usher_worker_job_age_seconds'}), 'with the job');
is(one('SELECT count(*) FROM usher.audit_seals'), $seals, 'nothing is sealed when usher.audit_chain is off');
$node->stop;
done_testing();

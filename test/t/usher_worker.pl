# The background worker: it waits for the extension, flushes counters and runs handlers apart from upkeep and from each other, so that
# one job's failure is not the others'; it keeps up partitions and seals, ends cleanly, and does nothing on a standby.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use List::Util qw(first);
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('worker');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres, "Odd Name", nowhere'
usher.flush_interval = 100ms
usher.maintenance_interval = 1s
CONF
$node->start;
sub one { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql) }
sub eventually { my ($sql, $what, $database) = @_; ok($node->poll_query_until($database // 'postgres', $sql), $what) }

eventually(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'postgres'}, 'the worker runs, also where the extension is not installed yet');
$node->safe_psql('postgres', 'CREATE DATABASE "Odd Name"');
my $install = 'SET client_min_messages = warning; CREATE EXTENSION usher CASCADE';
one($install);
one($install, 'Odd Name');
is(one('SELECT worker_running FROM usher.health()'), 't', 'health() says that it runs');

# upkeep
eventually(q{SELECT count(*) = 4 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usher.audit_logs'::regclass AND c.relname ~ '^audit_logs_\d{4}_\d\d$'},
	'upkeep makes the months ahead');
one(q{CREATE TABLE things (id integer PRIMARY KEY); SELECT usher.enable_audit('things'); INSERT INTO things SELECT generate_series(1, 100)});
eventually(q{SELECT sum(row_count) >= 100 FROM usher.audit_seals}, 'and seals the audit log');
is(one('SELECT bool_and(is_intact) FROM usher.verify_audit_chain()'), 't', 'the chain is intact');

# self-checks: each extension's when it is due, one at a time; not at once when one has just been registered
is(one('SELECT count(*) FROM usher.last_self_check() WHERE checked_at IS NOT NULL'), '0', 'what is new is not checked at once');
eventually(q{WITH u AS (UPDATE usher.self_checks SET started_at = now() - interval '25 hours' RETURNING 1) SELECT count(*) > 0 FROM u}, 'a day later');
eventually(q{SELECT count(*) > 5 AND bool_and(checked_at > now() - interval '1 minute' AND violations = 0 AND failure IS NULL) FROM usher.last_self_check()}, 'the worker checks what is due');
is(one(q{SELECT string_agg(m.name || ' ' || m.value, ', ' ORDER BY m.name) FROM usher.metrics() AS m WHERE m.name IN ('usher_self_check_violations', 'usher_self_check_failing')}),
	'usher_self_check_failing 0, usher_self_check_violations 0', 'and tells metrics()');

# counters: a flush of their own, every 100 ms
one(q{SELECT usher.define_rate_limit('calls', 'fixed_window', 5, '1 hour');
	SELECT count(usher.hit_rate_limit('calls', 'x')) FROM generate_series(1, 7)});
eventually(q{SELECT request_count = 5 AND refused_count = 2 FROM usher.rate_limit_records WHERE policy = 'calls'}, 'counters come into the table by themselves');

# handlers; one that fails keeps nobody
one(q{
	CREATE TABLE done (what text);
	CREATE FUNCTION good(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.done VALUES (event); END $$;
	CREATE FUNCTION bad(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
	SELECT usher.subscribe('job.*', 'a_bad', 'bad(text,jsonb)', 'async'), usher.subscribe('job.*', 'b_good', 'good(text,jsonb)', 'async');
	SELECT usher.publish('job.one')});
eventually(q{SELECT count(*) = 1 FROM done WHERE what = 'job.one'}, 'a handler is run');
eventually(q{SELECT attempts >= 1 AND error_message LIKE '%never%' FROM usher.deliveries WHERE consumer = 'a_bad'}, 'the one that fails waits for its next attempt');

# a self-check that takes long keeps nobody: it has a process of its own. Here it takes until the test lets it go on.
one(q{
	CREATE SCHEMA slow;
	CREATE FUNCTION slow.check() RETURNS TABLE (rule text, violations bigint) LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT pg_try_advisory_xact_lock(4711) LOOP PERFORM pg_sleep(0.05); END LOOP;
		RETURN QUERY VALUES ('looked', 7::bigint);
	END $$;
	SELECT usher.register_extension('Slow checks', 'slow', 'slow', hooks => '{"self_check": "check"}',
		declined_hooks => '{upkeep,configuration,metrics,health,export,erase}')});
my $checkers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'usher self-check' AND datname = 'postgres'};
my $checked = q{SELECT coalesce(bool_or(violations = 7 AND checked_at > now() - interval '1 minute'), false) FROM usher.last_self_check() WHERE extension = 'slow'};
my $gate = $node->background_psql('postgres');
sub check_slowly
{
	my ($what) = @_;
	$gate->query_safe('SELECT pg_advisory_lock(4711)');
	eventually(q{WITH u AS (UPDATE usher.self_checks SET started_at = now() - interval '25 hours' WHERE registrant = 'slow' RETURNING 1) SELECT count(*) > 0 FROM u}, $what);
	eventually("SELECT ($checkers) = 1", '… runs by itself');
}
check_slowly('a slow self-check');
my $until = one('SELECT clock_timestamp()');
one(q{SELECT usher.publish('job.meanwhile'), usher.hit_rate_limit('calls', 'meanwhile')});
eventually(q{SELECT count(*) = 1 FROM done WHERE what = 'job.meanwhile'}, '… handlers run meanwhile');
eventually(q{SELECT count(*) = 1 FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('calls', 'meanwhile')}, '… counters are flushed');
eventually("SELECT last_upkeep_at > '$until' FROM usher.health()", '… and upkeep is done');
one(q{UPDATE usher.self_checks SET started_at = now() - interval '25 hours' WHERE registrant = 'usher'});
eventually("SELECT last_upkeep_at > now() - interval '1 second' AND last_upkeep_at > '$until'::timestamptz + interval '2 seconds' FROM usher.health()", '… twice');
if ($ENV{USHER_LONG}) # a job that has not succeeded for half a minute is a problem, but not a check that still looks
{
	eventually("SELECT clock_timestamp() > '$until'::timestamptz + interval '40 seconds'", '… for long');
	is(one('SELECT worker_problem FROM usher.health()'), '', '… is no problem');
}
is(one($checkers), 1, '… no other check begins before it is done');
is(one($checked), 'f', '… which it is not');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
eventually($checked, '… until it is let go on');
eventually("SELECT ($checkers) = 0", '… and its process is gone');
eventually(q{SELECT checked_at > now() - interval '1 minute' FROM usher.last_self_check() WHERE extension = 'usher' LIMIT 1}, '… then it is the turn of what else is due');
check_slowly('one that is terminated');
my $worker = one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'postgres'});
one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'usher self-check'});
eventually("SELECT ($checkers) = 0", '… is gone');
is(one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'postgres'}), $worker, '… and takes no worker with it');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
eventually(q{WITH u AS (UPDATE usher.self_checks SET started_at = now() - interval '25 hours', checked_at = now() - interval '25 hours' WHERE registrant = 'slow' RETURNING 1) SELECT count(*) > 0 FROM u}, '… the next one');
eventually($checked, '… is done');
$gate->quit;
# without a place for another process (the workers of three databases and the launcher of logical replication), the worker does it itself
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '4');
$node->restart;
one(q{UPDATE usher.self_checks SET started_at = now() - interval '25 hours', checked_at = now() - interval '25 hours' WHERE registrant = 'slow'});
eventually($checked, 'where the server has no process to spare, the worker checks');
$node->adjust_conf('postgresql.conf', 'max_worker_processes', '8');
$node->restart;
one(q{SELECT usher.unregister_extension('slow')});

# upkeep that fails is told in the log; counters and handlers go on
my $offset = -s $node->logfile;
one(q{CREATE OR REPLACE FUNCTION usher.run_maintenance(max_rows integer DEFAULT 10000) RETURNS TABLE (task text, affected bigint)
	LANGUAGE plpgsql AS $$ BEGIN RAISE 'no upkeep today'; END $$});
$node->wait_for_log(qr/LOG: .*usher: maintenance failed: no upkeep today/, $offset);
pass('failing upkeep is told in the log');
one(q{SELECT usher.publish('job.two'), usher.hit_rate_limit('calls', 'y')});
eventually(q{SELECT count(*) = 1 FROM done WHERE what = 'job.two'}, 'handlers run nevertheless');
eventually(q{SELECT count(*) = 3 FROM usher.rate_limit_records WHERE policy = 'calls'}, 'and counters are flushed');
# and the other way round: a flush that fails keeps nobody from upkeep, which another database shows
$offset = -s $node->logfile;
one(q{CREATE OR REPLACE FUNCTION usher.run_event_handlers(max_rows integer DEFAULT 100, OUT handled integer, OUT failed integer)
	LANGUAGE plpgsql AS $$ BEGIN RAISE 'no handlers today'; END $$}, 'Odd Name');
$node->wait_for_log(qr/LOG: .*usher: running event handlers failed: no handlers today/, $offset);
one(q{INSERT INTO usher.login_attempts (email, failure_reason, attempted_at, success) SELECT 'x@example.com', 'test', now() - interval '900 days', false FROM generate_series(1, 10)}, 'Odd Name');
eventually('SELECT count(*) = 0 FROM usher.login_attempts', 'upkeep runs though a flush fails, in a database whose name needs quotes', 'Odd Name');
one(q{SELECT usher.define_rate_limit('odd', 'fixed_window', 5, '1 hour'); SELECT usher.hit_rate_limit('odd', 'z')}, 'Odd Name');
eventually(q{SELECT count(*) = 1 FROM usher.rate_limit_records}, 'other flushes as well', 'Odd Name');
is(one(q{SELECT count(*) FROM usher.rate_limit_records WHERE policy = 'odd'}), 0, 'counters go to their own database');

# A standby: nothing to write. A clean stop forgets nothing.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'usher worker'}), 0, 'no worker on a standby');
is($standby->safe_psql('postgres', 'SELECT in_recovery, worker_running FROM usher.health()'), 't|f', 'health() works there');
cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM usher.metrics()'), '>', 20, 'and so does metrics()');
$standby->promote;
ok($standby->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND datname = 'postgres'}), 'it starts with the promotion');
# Nor does it run in the old server of pg_upgrade: the transaction ids that it would use there are given again by the new one.
$standby->stop;
system_or_bail('pg_ctl', '-w', '-D', $standby->data_dir, '-l', $standby->logfile, '-o', '-b', 'start');
is($standby->safe_psql('postgres', q{SELECT pg_sleep(1), pg_current_xact_id_if_assigned() IS NULL, (SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'usher%')}), '|t|0', 'no worker while pg_upgrade has the server');
system_or_bail('pg_ctl', '-w', '-D', $standby->data_dir, '-m', 'fast', 'stop');

$node->append_conf('postgresql.conf', "usher.flush_interval = 60s\nusher.maintenance_interval = 1h"); # upkeep flushes as well
$node->reload;
eventually(q{SELECT setting = '60000' FROM pg_settings WHERE name = 'usher.flush_interval'}, 'settings are read anew');
# The worker may still be in a round that began before. After that, nothing wakes it until the interval has passed.
sub waits { return one("SELECT usher.hit_rate_limit('calls', '$_[0]'); SELECT pg_sleep(1); SELECT count(*) FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('calls', '$_[0]')") =~ /0$/ }
my $last = first { waits($_) } map { "last$_" } 1 .. 10;
isnt($last, undef, 'a hit that is not flushed yet');
$node->restart;
is(one("SELECT count(*) FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('calls', '$last')"), 1, 'is flushed by a clean stop');
$node->stop;
done_testing();

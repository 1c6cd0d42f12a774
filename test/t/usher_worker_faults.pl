# What must not stop the background worker: a prepared transaction that holds a row or a table which a job wants, a handler that
# hangs or swallows cancels, the end of the worker itself. And what the worker must not stop: the server, when it is told to.
# usher.health() tells all of it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('faults');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres, postgres'
max_prepared_transactions = 10
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.flush_interval = 100ms
usher.maintenance_interval = 1s
usher.worker_lock_timeout = 500ms
usher.require_verified_email = off
CONF
$node->start;
sub one { return $node->safe_psql('postgres', $_[0]) }
sub eventually { my ($sql, $what) = @_; ok($node->poll_query_until('postgres', $sql), $what) }
sub set { one("ALTER SYSTEM SET usher.$_[0] = '$_[1]'"); $node->reload }
sub login { my ($name, $password) = @_; return "SELECT error FROM usher.login('$name\@faults.example', '$password')" }
my $healthy = q{SELECT status = 'ok' AND worker_expected AND worker_running AND worker_problem IS NULL AND last_flush_at > now() - interval '1 minute'
	AND last_upkeep_at > now() - interval '1 minute' FROM usher.health()};
sub problem { my ($pattern, $what) = @_; eventually("SELECT status = 'degraded' AND worker_problem ~ '$pattern' FROM usher.health()", "health(): $what") }

one('SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
eventually($healthy, 'health(): a worker is expected, runs, has flushed and has done its upkeep');
is(one(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'usher worker'}), 1, 'a database that is named twice has one worker');
is(one(q{SELECT sum(value) FROM usher.metrics() WHERE name IN ('usher_worker_expected', 'usher_worker_running', 'usher_worker_job_failing')}), 2, 'metrics() says the same');
one(q{
	CREATE TABLE done (what text);
	CREATE FUNCTION good(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.done VALUES (event); END $$;
	SELECT usher.subscribe('job.*', 'z_good', 'good(text,jsonb)', 'async')});
my $jobs = 0;
sub works { my ($what) = @_; $jobs++; one("SELECT usher.publish('job.n$jobs')"); eventually("SELECT count(*) = 1 FROM done WHERE what = 'job.n$jobs'", "handlers run $what") }
sub upkeep { my ($what) = @_;
	one(q{INSERT INTO usher.login_attempts (email, failure_reason, attempted_at, success) SELECT 'x@example.com', 'test', now() - interval '900 days', false FROM generate_series(1, 10)});
	eventually(q{SELECT count(*) = 0 FROM usher.login_attempts WHERE email = 'x@example.com'}, "upkeep goes on $what") }
works('at first');

# --- a row that a prepared transaction holds
my %id = map { $_ => one("SELECT user_id FROM usher.register_user('$_\@faults.example', 'correct horse battery')") } 'held', map { "free$_" } 1 .. 40;
one('BEGIN; ' . login('held', 'wrong') . q{; PREPARE TRANSACTION 'holds'});
# A failure of the same account that is rolled back: the worker has to write it, and the row is locked.
sub hold_more
{
	my ($ret, $out, $err) = $node->psql('postgres', q{SET lock_timeout = '200ms'; } . login('held', 'wrong'));
	like($err, qr/lock timeout/, 'a wrong login of the same account waits for the row');
}
one('BEGIN; ' . join('; ', map { login($_, 'wrong') . '; ' . login($_, 'wrong again') } grep { $_ ne 'held' } sort keys %id) . '; ROLLBACK');
hold_more();
eventually("SELECT count(*) = 40 FROM usher.credentials WHERE failed_login_attempts = 2", 'the failures of forty other accounts are written');
problem('flushing failed logins failed: 1 row is written later: canceling statement due to lock timeout', 'a row waits');
one('BEGIN; ' . join('; ', map { login("free$_", 'wrong') } 1 .. 5) . '; ROLLBACK');
eventually(q{SELECT count(*) = 5 FROM usher.credentials WHERE failed_login_attempts = 3}, 'and so are new ones while one waits');
works('while a row is held');
upkeep('while a row is held');
is(one(q{SELECT value FROM usher.metrics() WHERE name = 'usher_worker_job_failing' AND labels ->> 'job' = 'flushing failed logins'}), 1, 'metrics() tells it as well');
is(one("SELECT failed_login_attempts FROM usher.credentials WHERE user_id = '$id{held}'"), 0, 'the held account still waits');
one(q{COMMIT PREPARED 'holds'});
eventually("SELECT failed_login_attempts = 2 FROM usher.credentials WHERE user_id = '$id{held}'", 'then its failures are written, each once');
eventually($healthy, 'health(): all is well again');

# --- a table that a prepared transaction holds
one(q{BEGIN; LOCK TABLE usher.login_attempts, usher.rate_limit_records IN SHARE MODE; CREATE TABLE any_table (); PREPARE TRANSACTION 'holds'});
one(q{SELECT usher.define_rate_limit('calls', 'fixed_window', 5, '1 hour'); SELECT usher.hit_rate_limit('calls', 'x')});
problem('failed: ', 'a table is held');
works('while a table is held');
one(q{ROLLBACK PREPARED 'holds'});
eventually(q{SELECT count(*) = 1 FROM usher.rate_limit_records}, 'then counts are written');
eventually($healthy, 'health(): all is well again');

# --- a handler that takes too long has failed, the others go on
set('handler_timeout', '1s');
one(q{
	CREATE FUNCTION slow(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_sleep(600); END $$;
	SELECT usher.subscribe('job.*', 'a_slow', 'slow(text,jsonb)', 'async')});
works('though one before it hangs');
eventually(q{SELECT attempts >= 1 AND error_message LIKE '%longer than usher.handler_timeout%' FROM usher.deliveries WHERE consumer = 'a_slow' ORDER BY event_id LIMIT 1}, 'the one that hangs has failed');
upkeep('while handlers hang');
# without a limit of its own the job has one
my $offset = -s $node->logfile;
set('worker_job_timeout', '2s');
set('handler_timeout', '0');
one(q{UPDATE usher.deliveries SET visible_at = now() WHERE consumer = 'a_slow'});
$node->wait_for_log(qr/running event handlers failed: it took longer than usher.worker_job_timeout/, $offset);
pass('a job that takes too long is cancelled');
problem('running event handlers failed', 'the handlers took too long');
upkeep('while the handlers take too long');
one(q{SELECT usher.unsubscribe('job.*', 'a_slow')});
eventually($healthy, 'health(): all is well again');

# --- the worker is terminated: it comes back
my $pid = one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'usher worker'});
one("SELECT pg_terminate_backend($pid)");
problem('does not run', 'the worker has ended');
is(one(q{SELECT value FROM usher.metrics() WHERE name = 'usher_worker_running'}), 0, 'metrics() tells it as well');
eventually(qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND pid <> $pid}, 'it is started again');
eventually($healthy, 'health(): all is well again');
works('after that');
# a cancel when it has nothing to do ends nothing
$pid = one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'usher worker'});
one("SELECT pg_cancel_backend($pid)") for 1 .. 20;
works('after cancels');
is(one(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'usher worker'}), $pid, 'by the same worker');

# --- the server stops soon: a handler sleeps, another one swallows every cancel, a prepared transaction holds what is to be written
set('worker_job_timeout', '300s');
one(q{
	CREATE FUNCTION stubborn(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN LOOP BEGIN PERFORM pg_catalog.pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$;
	SELECT usher.subscribe('stop.sleep', 'a_slow', 'slow(text,jsonb)', 'async'), usher.subscribe('stop.never', 'a_stubborn', 'stubborn(text,jsonb)', 'async')});
my $in_handler = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker' AND wait_event = 'PgSleep'};
for my $event ('stop.sleep', 'stop.never')
{
	one("SELECT usher.publish('$event')");
	eventually($in_handler, "$event: the handler runs");
	one(q{SELECT usher.hit_rate_limit('calls', 'stop')});
	my $hits = one(q{SELECT coalesce(sum(request_count), 0) FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('calls', 'stop')});
	my $began = time;
	$node->stop('fast');
	cmp_ok(time - $began, '<', 50, "$event: the server stops nevertheless");
	$node->start;
	is(one(q{SELECT sum(request_count) FROM usher.rate_limit_records WHERE key_hash = usher.rate_limit_hash('calls', 'stop')}), $hits + 1,
		"$event: what was counted is written") if $event eq 'stop.sleep';
	one("UPDATE usher.subscriptions SET is_active = false WHERE event = '$event'");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'usher worker'});
	one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'usher worker'}); # it may have begun with it again
	eventually($healthy, 'health(): all is well after that');
}
one('BEGIN; ' . login('held', 'wrong') . q{; PREPARE TRANSACTION 'holds'});
hold_more();
my $began = time;
$node->stop('fast');
cmp_ok(time - $began, '<', 50, 'the server stops while a prepared transaction holds a row that is to be written');
$node->start;
one(q{COMMIT PREPARED 'holds'});

# --- a setting that cannot be read
$node->append_conf('postgresql.conf', q{usher.worker_databases = 'postgres, "'});
$offset = -s $node->logfile;
$node->restart;
problem('not a list of database names', 'the setting cannot be read');
$node->wait_for_log(qr/WARNING: .*usher.worker_databases is not a list/, $offset);
is(one(q{SELECT worker_expected IS NULL, worker_running FROM usher.health()}), 't|f', 'nobody knows whether a worker is expected');
$node->append_conf('postgresql.conf', q{usher.worker_databases = 'another'});
$node->restart;
is(one(q{SELECT status, worker_expected, worker_running, worker_problem FROM usher.health()}), 'ok|f|f|', 'without a worker that is expected all is well');
$node->stop;
done_testing();

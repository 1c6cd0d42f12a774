# Sixteen workers of one consumer take events while others publish, some of them die before their commit (C-31), and slow
# transactions publish before fast ones and commit after them (C-32): each event is effective once, none is lost, and those of a
# key come in order. 3,000 events; 20,000 with USHER_LONG=1.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $total = $ENV{USHER_LONG} ? 20_000 : 3_000;
my $workers = 16;
my $keys = 40;
my $node = PostgreSQL::Test::Cluster->new('workers');
$node->init;
$node->append_conf('postgresql.conf', "max_connections = 60\nusher.worker_databases = ''\n");
$node->start;
$node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	CREATE EXTENSION usher CASCADE;
	-- what the consumer does with an event; effective once, whatever is delivered again
	CREATE TABLE effects (event_id uuid NOT NULL, n integer NOT NULL, key text, worker integer NOT NULL,
		place bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE deaths (worker integer, at timestamptz DEFAULT clock_timestamp());
	SELECT usher.subscribe('load.*', 'crew', mode => 'async', max_attempts => 1000);
	SELECT usher.subscribe('load.*', 'auditor', mode => 'async')});

sub one { return $node->safe_psql('postgres', $_[0]) }
my $folder = PostgreSQL::Test::Utils::tempdir();
sub script { my ($name, $text) = @_; PostgreSQL::Test::Utils::append_to_file("$folder/$name.sql", $text); return "$folder/$name.sql" }

# A worker claims, acts and completes; the claim is committed first, so that one who dies leaves a claim behind. Every so often
# one dies in the middle of its work, and its connection with it.
my $worker = script('worker', <<'SQL');
SELECT set_config('test.worker', :client_id::text, false);
DO $$
DECLARE
	claimed record;
	idle integer := 0;
BEGIN
	LOOP
		CREATE TEMPORARY TABLE IF NOT EXISTS mine (event_id uuid, n integer, key text, attempt integer);
		TRUNCATE mine;
		INSERT INTO mine SELECT c.event_id, (c.payload ->> 'n')::integer, c.key, c.attempt FROM usher.claim_events('crew', 20, '2 seconds') c;
		IF NOT FOUND THEN
			idle := idle + 1;
			EXIT WHEN idle > 3;
			PERFORM pg_sleep(0.02);
		END IF;
		COMMIT;
		FOR claimed IN SELECT * FROM mine ORDER BY event_id LOOP
			idle := 0;
			INSERT INTO effects (event_id, n, key, worker) VALUES (claimed.event_id, claimed.n, claimed.key, current_setting('test.worker')::integer);
			IF random() < 0.004 THEN
				PERFORM pg_terminate_backend(pg_backend_pid());
			END IF;
			IF NOT usher.complete_event('crew', claimed.event_id, claimed.attempt) THEN
				ROLLBACK; -- too late: another worker has it
				CONTINUE;
			END IF;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
SQL
# Publishers: half of them keep their transaction open for a while, so that events become visible out of order.
my $publisher = script('publisher', <<'SQL');
\set slow random(0, 20)
BEGIN;
SELECT usher.publish('load.work', jsonb_build_object('n', i), CASE WHEN i % 2 = 0 THEN 'k' || :client_id * 10 + i % 10 END)
	FROM nextval('numbers') AS i;
SELECT pg_sleep(:slow / 4000.0);
COMMIT;
SQL
one('CREATE SEQUENCE numbers');

my $publishers = 4;
my ($publish_out, $publish_err) = ('', '');
my $publishing = IPC::Run::start([ 'pgbench', '-n', '-c', $publishers, '-j', 1, '-t', $total / $publishers, '-f', $publisher, $node->connstr('postgres') ],
	'<', \undef, '>', \$publish_out, '2>', \$publish_err);

# Workers go on until nothing is left; those that died are replaced.
my ($deaths, $rounds, $published) = (0, 0, 0);
while ($rounds++ < 400)
{
	my @runs = map {
		my $run = { err => '', out => '' };
		$run->{handle} = IPC::Run::start([ 'pgbench', '-n', '-c', $workers / 4, '-j', 1, '-t', 1, '-f', $worker, $node->connstr('postgres') ],
			'<', \undef, '>', \$run->{out}, '2>', \$run->{err});
		$run
	} 1 .. 4;
	for my $run (@runs)
	{
		$run->{handle}->finish;
		$deaths += () = $run->{err} =~ /terminating connection|server closed the connection/g;
		like($run->{err}, qr/terminat|server closed/, 'a worker fails by dying only') if $run->{err} =~ /ERROR/;
	}
	unless ($published)
	{
		$publishing->pump_nb;
		next if $publishing->pumpable;
		$publishing->finish;
		$published = 1;
	}
	last if one(q{SELECT count(*) FROM usher.deliveries WHERE consumer = 'crew' AND status = 'pending'}) == 0;
}
unlike($publish_err, qr/ERROR/, 'nobody who publishes gets an error');
is(one(q{SELECT count(*) FROM usher.events WHERE event = 'load.work'}), $total, "$total events are published");
cmp_ok($deaths, '>', 0, "some workers died in the middle of their work ($deaths)");
is(one('SELECT count(*) FROM effects'), $total, 'as many effects as events');
is(one('SELECT count(DISTINCT event_id) FROM effects'), $total, 'each once');
is(one(q{SELECT count(*) FROM usher.events e WHERE e.event = 'load.work' AND NOT EXISTS (SELECT FROM effects f WHERE f.event_id = e.id)}), 0, 'none is lost');
is(one(q{SELECT count(*) FROM usher.deliveries WHERE consumer = 'crew' AND status = 'completed'}), $total, 'all deliveries are completed');
cmp_ok(one(q{SELECT count(*) FROM usher.deliveries WHERE consumer = 'crew' AND attempts > 1}), '>', 0, 'what the dead had claimed was delivered again');
cmp_ok(one('SELECT count(DISTINCT worker) FROM effects'), '>', 1, 'several workers took part');
# the order within a key: n counts up, since each key has one publisher
is(one('SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY key ORDER BY place) AS wrong FROM effects WHERE key IS NOT NULL) o WHERE wrong'), 0,
	'events of a key took effect in the order in which they were published');
is(one(q{SELECT count(*) FROM usher.deliveries WHERE consumer = 'auditor' AND status = 'pending' AND attempts = 0}), $total, 'another consumer still has them all before it');

# C-32, step by step: the slow one publishes first and commits last.
my $slow = $node->background_psql('postgres');
$slow->query_safe(q{BEGIN; SELECT usher.publish('load.late', '{"n": 1}')});
one(q{SELECT usher.publish('load.late', '{"n": 2}')});
my $claim = q{SELECT string_agg(payload ->> 'n', ',' ORDER BY event_id) FROM usher.claim_events('crew', 10)};
is(one($claim), '2', 'a reader between the commits gets the one that is there');
$slow->query_safe('COMMIT');
is(one($claim), '1', 'and the earlier one when it is committed');
$slow->quit;

# NOTIFY is off unless it is wanted: commits that notify wait for each other.
unlike(one(q{LISTEN usher_events; SELECT usher.publish('load.quiet')}), qr/notification/, 'nothing is notified');
like(one(q{SET usher.notify_events = on; LISTEN usher_events; SELECT usher.publish('load.loud')}), qr/Asynchronous notification "usher_events" with payload "crew"/,
	'with usher.notify_events the consumers are');

# The background worker and run_event_handlers() side by side run each handler once.
one(q{
	CREATE TABLE handled (n integer);
	CREATE FUNCTION handle(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.handled VALUES ((payload ->> 'n')::integer); PERFORM pg_sleep(0.001); END $$;
	SELECT usher.subscribe('job.*', 'handlers', 'handle(text,jsonb)', 'async');
	SELECT count(usher.publish('job.run', jsonb_build_object('n', i))) FROM generate_series(1, 400) i});
my @handlers = map {
	my ($out, $err) = ('', '');
	IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), map { ('-c', 'SELECT * FROM usher.run_event_handlers(100)') } 1 .. 3 ],
		'<', \undef, '>', \$out, '2>', \$err)
} 1 .. 4;
$_->finish for @handlers;
is(one('SELECT count(*), count(DISTINCT n) FROM handled'), '400|400', 'four sessions that run handlers run each once');
$node->stop;
done_testing();

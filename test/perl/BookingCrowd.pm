# Crowds of pgbench clients against a cluster with usher_booking in schema clinic, at one isolation level after another.
package BookingCrowd;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($node $level crowd pgbench wrong is_clean query finish);
our ($node, $level);

sub start_cluster
{
	my ($name) = @_;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "max_connections = 200\ntrack_commit_timestamp = on\n");
	$node->start;
	$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA clinic;
CREATE EXTENSION usher_booking SCHEMA clinic CASCADE;
SELECT usher.apply_role_preset('carwash');

-- people by number: washers 1 to 40, customers 101 to 400
CREATE FUNCTION person(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
INSERT INTO usher.users (id, email, status) SELECT person(n), 'person' || n || '@example.com', 'active'
	FROM generate_series(1, 400) AS n WHERE n <= 40 OR n > 100;
SELECT count(usher.grant_role(person(n), 'washer')) FROM generate_series(1, 40) AS n;

-- a fresh location for each scenario, with so many places and washers, and two services
CREATE FUNCTION make_location(places integer, washers integer, options jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	location uuid := (clinic.create_location('L', 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin', max_concurrent_bookings => places)).id;
	services uuid[] := ARRAY(SELECT (clinic.create_service(name, '1 hour', 1000, 'EUR',
		pending_blocks => coalesce((options ->> 'pending_blocks')::boolean, true),
		hold_ttl => coalesce((options ->> 'hold_ttl')::interval, '15 minutes'),
		customer_exclusive => coalesce((options ->> 'customer_exclusive')::boolean, true),
		daily_limit => (options ->> 'daily_limit')::integer)).id FROM unnest(ARRAY['S', 'other']) AS name);
BEGIN
	PERFORM clinic.set_location_hours(location, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
	PERFORM clinic.set_location_services(location, services);
	PERFORM clinic.assign_staff(location, person(n), 'washer') FROM generate_series(1, washers) AS n;
	INSERT INTO scenario VALUES (location, services[1], services[2], nextval('days') * 3);
	RETURN location;
END $$;
-- each on days of its own, so that nobody is busy elsewhere
CREATE SEQUENCE days;
CREATE TABLE scenario (location uuid, service uuid, other uuid, day integer);
CREATE TABLE outcome (answer text, who integer, id uuid);
CREATE FUNCTION noon(minutes integer DEFAULT 0) RETURNS timestamptz LANGUAGE sql AS
	$$ SELECT (current_date + 2 + s.day + time '12:00') AT TIME ZONE 'UTC' + minutes * interval '1 minute' FROM scenario AS s $$;

CREATE FUNCTION book(customer integer, washer integer, minutes integer, raw boolean DEFAULT false, other boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s scenario := (SELECT s FROM scenario AS s);
	service uuid := CASE WHEN other THEN s.other ELSE s.service END;
	made uuid;
BEGIN
	IF raw THEN
		INSERT INTO clinic.bookings (customer_id, service_id, location_id, start_at, staff_id)
			VALUES (person(customer), service, s.location, noon(minutes), person(washer)) RETURNING id INTO made;
	ELSE
		made := (clinic.create_booking(person(customer), service, s.location, noon(minutes), person(washer))).booking_id;
	END IF;
	INSERT INTO outcome VALUES ('ok', customer, made);
	RETURN 'ok';
EXCEPTION
	WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB005' OR SQLSTATE 'UB010' OR SQLSTATE 'US005' THEN
		INSERT INTO outcome VALUES (SQLSTATE, customer);
		RETURN SQLSTATE;
END $$;
-- any change of a booking, with its refusal as an answer
CREATE FUNCTION attempt(statement text, booking uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF booking IS NULL THEN
		RETURN 'none'; -- nothing to change at this moment
	END IF;
	EXECUTE statement USING booking;
	INSERT INTO outcome VALUES ('ok', NULL, booking);
	RETURN 'ok';
EXCEPTION
	WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB005' OR SQLSTATE 'UB007' OR SQLSTATE 'US001' OR SQLSTATE 'US002' OR SQLSTATE 'US003' OR SQLSTATE 'US005' THEN
		INSERT INTO outcome VALUES (SQLSTATE, NULL, booking);
		RETURN SQLSTATE;
END $$;
-- What the payment feature says when all is paid: here the test is that feature.
SELECT usher.register_extension('Payments as the test makes them', 'test_payments', 'clinic',
	declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{payment.completed}');
CREATE FUNCTION pay(booking uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', booking, 'transaction_id', 't',
		'captured_minor', 1000, 'refunded_minor', 0, 'currency', 'EUR', 'payment_method', 'card'));
END $$;

-- What is wrong with the bookings at the locations of the scenario, found in the tables of bookings, history and events alone:
-- neither claims nor guards nor any function of the extension is asked.
CREATE VIEW wrong AS
WITH here AS MATERIALIZED (SELECT b.* FROM clinic.bookings AS b WHERE b.location_id IN (SELECT location FROM scenario)),
live AS (SELECT b.*, b.status IN ('confirmed', 'in_progress') OR (b.status = 'pending' AND b.pending_blocks) AS takes_time FROM clinic.bookings AS b),
edges AS (SELECT location_id, at, step FROM live CROSS JOIN LATERAL (VALUES (start_at, 1), (end_at, -1)) AS e (at, step)
	WHERE takes_time AND location_id IN (SELECT location FROM scenario)),
peaks AS (SELECT location_id, max(level) AS peak FROM (SELECT location_id, sum(step) OVER (PARTITION BY location_id ORDER BY at, step) AS level FROM edges) AS l GROUP BY 1),
steps AS (SELECT h.*, lag(h.to_status) OVER (PARTITION BY h.entity_id ORDER BY h.seq) AS previous FROM usher.status_history AS h
	WHERE h.relation = 'clinic.bookings'::regclass AND h.entity_id IN (SELECT id FROM here)),
histories AS (SELECT entity_id, count(*) AS steps, (array_agg(to_status ORDER BY seq DESC))[1] AS last,
	bool_and(from_status IS NOT DISTINCT FROM previous AND (coalesce(from_status, '') || ' ' || to_status) IN (' pending', 'pending pending', 'pending confirmed',
		'pending cancelled', 'confirmed confirmed', 'confirmed in_progress', 'confirmed cancelled', 'in_progress completed', 'in_progress cancelled')) AS is_possible
	FROM steps GROUP BY 1),
published AS (SELECT key, count(*) AS n FROM usher.events WHERE event LIKE 'booking.%' AND event NOT IN ('booking.orphaned', 'booking.refund_proposed', 'booking.total_changed') GROUP BY 1)
SELECT 'staff overlap' AS what, a.id FROM here AS h JOIN live AS a USING (id) JOIN live AS b ON b.staff_id = a.staff_id AND b.id <> a.id
	AND b.start_at < a.end_at AND a.start_at < b.end_at WHERE a.takes_time AND b.takes_time
UNION ALL SELECT 'customer overlap', a.id FROM here AS h JOIN live AS a USING (id) JOIN live AS b ON b.customer_id = a.customer_id AND b.id <> a.id
	AND b.start_at < a.end_at AND a.start_at < b.end_at WHERE a.takes_time AND b.takes_time AND a.customer_exclusive AND b.customer_exclusive
UNION ALL SELECT 'peak ' || peak, location_id FROM peaks JOIN clinic.locations AS l ON l.id = location_id WHERE peak > l.max_concurrent_bookings
UNION ALL SELECT 'history', id FROM here LEFT JOIN histories ON entity_id = id WHERE (is_possible AND last = status) IS NOT TRUE
UNION ALL SELECT 'events', id FROM here LEFT JOIN histories ON entity_id = id LEFT JOIN published ON key = id::text WHERE steps IS DISTINCT FROM n
UNION ALL SELECT 'live booking of a deleted user', b.id FROM here AS b JOIN usher.users AS u ON u.id = b.customer_id
	WHERE u.status = 'deleted' AND b.status IN ('pending', 'confirmed');
SQL
}

sub query { return $node->safe_psql('postgres', $_[0]) }

# Prepares a scenario, runs a script once per client, checks what it leaves behind, and returns the outcomes as text: "UB001 31, ok 1".
sub crowd
{
	my ($what, $clients, $setup, $script) = @_;
	query("TRUNCATE scenario, outcome; $setup");
	pgbench($clients, [ '-t', 1 ], $script);
	my $answers = query("SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY answer) AS o");
	is(wrong(), '', "$level: $what leaves nothing wrong behind");
	return $answers;
}

sub wrong { return query('SELECT what, count(*) FROM wrong GROUP BY what ORDER BY what') }

# Serialization failures are repeated, as drivers do.
sub pgbench
{
	my ($clients, $how_long, @scripts) = @_;
	my @files;
	for my $script (@scripts)
	{
		my $file = $node->basedir . '/script' . scalar(@files) . '.sql';
		append_to_file($file, $script) if !-e $file;
		open my $fh, '>', $file or die $!;
		print $fh $script;
		close $fh;
		push @files, '-f', $file;
	}
	local $ENV{PGOPTIONS} = "-c default_transaction_isolation=" . ($level =~ s/ /\\ /r) . " -c lock_timeout=60s";
	my ($out, $err);
	my $ok = IPC::Run::run [ 'pgbench', '-n', '-c', $clients, '-j', 2, '--max-tries', 1000, @$how_long, @files, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err;
	diag($err) if !$ok || $err =~ /aborted|ERROR/;
	ok($ok && $err !~ /aborted/, "$level: pgbench came to its end");
}

sub is_clean
{
	my ($what) = @_;
	is(wrong(), '', "$level: nothing is wrong after $what");
	is(query('SELECT rule, violations FROM clinic._booking_self_check() WHERE violations > 0'), '', "$level: no violations after $what");
}

# Nothing deadlocked, and nobody waited for long.
sub finish
{
	my $log = slurp_file($node->logfile);
	my $deadlocks = () = $log =~ /deadlock detected/g;
	is($deadlocks, 0, 'no deadlock');
	my $timeouts = () = $log =~ /canceling statement due to lock timeout/g;
	is($timeouts, 0, 'nobody waited for long');
	$node->stop;
	done_testing();
}

1;

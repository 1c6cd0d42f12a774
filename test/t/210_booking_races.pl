# Crowds: the booking scenarios C-01 to C-12, C-25, C-27 and C-34 of the design, with up to 32 connections, at all three isolation levels,
# through the functions and by raw SQL. Afterwards nothing overlaps, nothing is over-full, and no deadlock was logged.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('races');
$node->init;
$node->append_conf('postgresql.conf', "max_connections = 200\n");
$node->start;

my $seconds = $ENV{BOOKING_HUNT_SECONDS} // 5; # of the deadlock hunt, per isolation level

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

-- a fresh location for each scenario, with so many places and washers
CREATE FUNCTION make_location(places integer, washers integer, options jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	location uuid := (clinic.create_location('L', 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin', max_concurrent_bookings => places)).id;
	service uuid := (clinic.create_service('S', '1 hour', 1000, 'EUR',
		pending_blocks => coalesce((options ->> 'pending_blocks')::boolean, true))).id;
BEGIN
	PERFORM clinic.set_location_hours(location, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
	PERFORM clinic.set_location_services(location, ARRAY[service]);
	PERFORM clinic.assign_staff(location, person(n), 'washer') FROM generate_series(1, washers) AS n;
	INSERT INTO scenario VALUES (location, service, nextval('days') * 3);
	RETURN location;
END $$;
-- each on days of its own, so that nobody is busy elsewhere
CREATE SEQUENCE days;
CREATE TABLE scenario (location uuid, service uuid, day integer);
CREATE TABLE outcome (answer text, who integer, id uuid);
CREATE FUNCTION noon(minutes integer DEFAULT 0) RETURNS timestamptz LANGUAGE sql AS
	$$ SELECT (current_date + 2 + s.day + time '12:00') AT TIME ZONE 'UTC' + minutes * interval '1 minute' FROM scenario AS s $$;

CREATE FUNCTION book(customer integer, washer integer, minutes integer, raw boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s scenario := (SELECT s FROM scenario AS s);
	made uuid;
BEGIN
	IF raw THEN
		INSERT INTO clinic.bookings (customer_id, service_id, location_id, start_at, staff_id)
			VALUES (person(customer), s.service, s.location, noon(minutes), person(washer)) RETURNING id INTO made;
	ELSE
		made := (clinic.create_booking(person(customer), s.service, s.location, noon(minutes), person(washer))).booking_id;
	END IF;
	INSERT INTO outcome VALUES ('ok', customer, made);
	RETURN 'ok';
EXCEPTION
	WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB005' OR SQLSTATE 'US005' THEN
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
	WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB005' OR SQLSTATE 'US001' OR SQLSTATE 'US002' OR SQLSTATE 'US003' OR SQLSTATE 'US005' THEN
		INSERT INTO outcome VALUES (SQLSTATE, NULL, booking);
		RETURN SQLSTATE;
END $$;
SQL

my $level;

# Prepares a scenario, runs each script once per client, and returns the outcomes as text: "UB001 31, ok 1".
sub crowd
{
	my ($clients, $setup, @scripts) = @_;
	$node->safe_psql('postgres', "TRUNCATE scenario, outcome; $setup");
	pgbench($clients, [ '-t', 1 ], @scripts);
	return $node->safe_psql('postgres',
		"SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY answer) AS o");
}

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
	is($node->safe_psql('postgres', 'SELECT rule, violations FROM clinic.self_check() WHERE violations > 0'), '', "$level: no violations after $what");
}

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;

	for my $raw ('false', 'true')
	{
		my $how = $raw eq 'true' ? 'raw SQL' : 'the function';
		is(crowd(32, 'SELECT make_location(100, 1)', "SELECT book(101 + :client_id, 1, (:client_id % 4) * 15, $raw);\n"),
			'UB001 31, ok 1', "$level: C-01, one of 32 gets the washer, by $how");
		is_clean("C-01 by $how");
		is(crowd(32, 'SELECT make_location(5, 40); SELECT book(300 + n, n, 0) FROM generate_series(1, 4) AS n; DELETE FROM outcome',
				"SELECT book(101 + :client_id, 5 + :client_id, 30, $raw);\n"),
			'UB002 31, ok 1', "$level: C-02, one of 32 gets the last place, by $how");
		is_clean("C-02 by $how");
	}

	is(crowd(2, 'SELECT make_location(5, 1)', "SELECT book(101 + :client_id, 1, 0);\n"), 'UB001 1, ok 1', "$level: C-03, a pending booking takes its slot");

	is(crowd(2, q{SELECT make_location(5, 1, '{"pending_blocks": false}'); SELECT book(101, 1, 0); SELECT book(102, 1, 30); DELETE FROM outcome;
			SELECT id FROM clinic.bookings},
			"SELECT attempt('SELECT clinic.confirm_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) ORDER BY id OFFSET :client_id LIMIT 1));\n"),
		'UB001 1, ok 1', "$level: C-04, of two pending ones that do not block, one is confirmed");
	is($node->safe_psql('postgres', 'SELECT string_agg(status, \' \' ORDER BY status) FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)'),
		'confirmed pending', "$level: C-04, the other stays pending");

	is(crowd(5, 'SELECT make_location(5, 3)', "SELECT book(101 + :client_id, NULL, 0);\n"), 'UB001 2, ok 3', "$level: C-06, any of three washers for five");
	is($node->safe_psql('postgres', 'SELECT count(DISTINCT staff_id) FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)'),
		3, "$level: C-06, three different ones");

	is(crowd(2, 'SELECT make_location(5, 1); SELECT book(101, 1, 0); DELETE FROM outcome',
			"SELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s), expected_version => 1)', 60 + :client_id * 120), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)));\n"),
		'US003 1, ok 1', "$level: C-08, one of two reschedules");

	is(crowd(2, 'SELECT make_location(5, 2)', "SELECT book(101, 1 + :client_id, :client_id * 30);\n"),
		'UB001 1, ok 1', "$level: C-11, a customer is in one place at a time");

	is(crowd(2, "SELECT make_location(5, 1); SELECT book(101, 1, 0); SELECT book(102, 1, 120); SELECT clinic.confirm_booking(id) FROM outcome; DELETE FROM outcome",
			"SELECT attempt('SELECT clinic.start_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) ORDER BY start_at OFFSET :client_id LIMIT 1));\n"),
		'UB005 1, ok 1', "$level: C-25, a washer starts one booking at a time");
	is_clean('C-03 to C-25');
	$node->safe_psql('postgres', "UPDATE clinic.bookings SET status = 'completed' WHERE status = 'in_progress'");

	# C-34: a random mix, all on two days at one location
	$node->safe_psql('postgres', 'TRUNCATE scenario, outcome; SELECT make_location(6, 8)');
	pgbench(32, [ '-T', $seconds ],
		"\\set c random(101, 400)\n\\set w random(0, 8)\n\\set m random(0, 190)\nSELECT book(:c, nullif(:w, 0), :m * 15, :c % 5 = 0);\n",
		"\\set m random(0, 190)\n\\set o random(0, 60)\nSELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s))', :m * 15), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\n\\set w random(1, 8)\nSELECT attempt(format('SELECT clinic.reschedule_booking(\$1, staff_id => person(%s))', :w), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.cancel_booking(\$1, ''other'')', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.confirm_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status = 'pending' ORDER BY id OFFSET :o LIMIT 1));\n");
	my $booked = $node->safe_psql('postgres', "SELECT count(*) FROM outcome WHERE answer = 'ok'");
	cmp_ok($booked, '>', 20, "$level: C-34, the hunt did something ($booked)");
	is_clean('C-34');
	is($node->safe_psql('postgres', <<'SQL'), '', "$level: C-34, each history is a walk through the machine, and there is one event for each step");
SELECT b.id FROM clinic.bookings AS b
	CROSS JOIN LATERAL (SELECT array_agg(h.to_status ORDER BY h.seq) AS statuses, count(*) AS steps,
		bool_and(h.from_status IS NOT DISTINCT FROM h.previous) AS is_chain FROM (SELECT h.*, lag(h.to_status) OVER (ORDER BY h.seq) AS previous
		FROM usher.status_history AS h WHERE h.relation = 'clinic.bookings'::regclass AND h.entity_id = b.id) AS h) AS h
	CROSS JOIN LATERAL (SELECT count(*) AS published FROM usher.events AS e WHERE e.key = b.id::text AND e.event LIKE 'booking.%') AS e
WHERE NOT h.is_chain OR h.statuses[array_length(h.statuses, 1)] <> b.status OR h.steps <> e.published
SQL
}

# C-12: a user is deleted while he books. Never a live booking of a deleted user.
for (('read committed', 'repeatable read'))
{
	$level = $_;
	$node->safe_psql('postgres', 'TRUNCATE scenario, outcome; SELECT make_location(40, 40)');
	$node->safe_psql('postgres', "UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");
	pgbench(32, [ '-t', 4 ],
		"\\set w random(1, 40)\n\\set m random(0, 90)\nSELECT book(201 + :client_id / 2, :w, :m * 15) WHERE :client_id % 2 = 0;\n"
		  . "SELECT usher.delete_user(person(201 + :client_id / 2)) FROM (SELECT pg_sleep(random() * 0.1)) AS s WHERE :client_id % 2 = 1 AND EXISTS (SELECT FROM usher.users WHERE id = person(201 + :client_id / 2) AND status = 'active');\n");
	is($node->safe_psql('postgres', "SELECT count(*) FROM clinic.bookings AS b JOIN usher.users AS u ON u.id = b.customer_id WHERE u.status = 'deleted' AND b.status IN ('pending', 'confirmed')"),
		0, "$level: C-12, no live booking of a deleted user");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM usher.users WHERE status = 'deleted'"), '>', 10, "$level: C-12, users were deleted");
}

my $log = slurp_file($node->logfile);
my $deadlocks = () = $log =~ /deadlock detected/g;
is($deadlocks, 0, 'no deadlock');
my $timeouts = () = $log =~ /canceling statement due to lock timeout/g;
is($timeouts, 0, 'nobody waited for long');
$node->stop;
done_testing();

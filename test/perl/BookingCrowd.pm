# Crowds of pgbench clients against a cluster with usher_booking in schema clinic, at one isolation level after another.
package BookingCrowd;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($node $level crowd pgbench is_clean query finish);
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

-- a fresh location for each scenario, with so many places and washers
CREATE FUNCTION make_location(places integer, washers integer, options jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	location uuid := (clinic.create_location('L', 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin', max_concurrent_bookings => places)).id;
	service uuid := (clinic.create_service('S', '1 hour', 1000, 'EUR',
		pending_blocks => coalesce((options ->> 'pending_blocks')::boolean, true),
		hold_ttl => coalesce((options ->> 'hold_ttl')::interval, '15 minutes'))).id;
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
	WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB005' OR SQLSTATE 'UB007' OR SQLSTATE 'US001' OR SQLSTATE 'US002' OR SQLSTATE 'US003' OR SQLSTATE 'US005' THEN
		INSERT INTO outcome VALUES (SQLSTATE, NULL, booking);
		RETURN SQLSTATE;
END $$;
SQL
}

sub query { return $node->safe_psql('postgres', $_[0]) }

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

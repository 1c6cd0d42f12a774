# Opening hours on the days that clocks change (C-20, C-21), against test/data/opening_hours.tsv: instants that Temporal
# computed (test/node/opening_hours.js). Installed in schema clinic; the session's own time zone must not matter.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hours');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'Asia/Tokyo'\n");
$node->start;

open my $fh, '<', "$FindBin::Bin/../data/opening_hours.tsv" or die "opening_hours.tsv: $!";
my @rows = map { chomp; [ split /\t/ ] } grep { !/^#/ } <$fh>;
close $fh;
my $file = $node->basedir . '/expected.tsv';
append_to_file($file, join('', map { join("\t", map { $_ eq '-' ? '\N' : $_ } @$_) . "\n" } @rows));

# The file is what Temporal says, where it is installed.
SKIP:
{
	my $modules = $ENV{USHER_NODE} // '';
	skip 'the npm packages are not installed', 1 unless -d "$modules/\@js-temporal/polyfill";
	local $ENV{NODE_PATH} = $modules;
	my ($out, $err) = run_command([ 'node', "$FindBin::Bin/../node/opening_hours.js" ]);
	is("$out\n", slurp_file("$FindBin::Bin/../data/opening_hours.tsv"), 'Temporal computes these instants') or diag($err);
}

$node->safe_psql('postgres', <<SQL);
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA clinic;
CREATE EXTENSION usher_booking SCHEMA clinic CASCADE;
CREATE TABLE expected (what text, zone text, day date, opens text, closes text, from_at timestamptz, until_at timestamptz, local_end timestamp);
COPY expected FROM '$file';
-- a location for each zone, open around the clock
CREATE TABLE place AS SELECT zone, (clinic.create_location('L', 'A', 'C', 'S', '1', time_zone => zone, max_concurrent_bookings => 2)).id
	FROM (SELECT DISTINCT zone FROM expected) AS z;
SELECT clinic.set_location_hours(id, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]') FROM place;
SELECT (clinic.create_service('S', '3 hours', 1000, 'EUR', needs_staff => false, customer_exclusive => false)).id AS service \\gset
SELECT clinic.set_location_services(id, ARRAY[:'service'::uuid]) FROM place;
SELECT (clinic.upsert_customer(name => 'Walk-in')).id AS customer \\gset

-- C-21: made by raw SQL, since these days may have passed
INSERT INTO clinic.bookings (customer_id, service_id, location_id, start_at)
	SELECT :'customer', :'service', p.id, e.from_at FROM expected AS e JOIN place AS p USING (zone) WHERE e.what = 'booking';
SQL

is($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE what = 'period') || ' ' || count(*) FILTER (WHERE what = 'booking') || ' ' || count(DISTINCT zone) FROM expected"),
	'116 29 7', 'all expected instants are there');

is($node->safe_psql('postgres', <<'SQL'), '', 'C-21: a booking over the change keeps its real length');
SELECT e.zone, e.day, b.start_at, b.end_at FROM expected AS e JOIN place AS p USING (zone)
	LEFT JOIN clinic.bookings AS b ON b.location_id = p.id AND b.start_at = e.from_at
WHERE e.what = 'booking' AND (b.end_at IS DISTINCT FROM e.until_at OR b.end_at AT TIME ZONE e.zone IS DISTINCT FROM e.local_end)
SQL

# C-21: capacity. A second booking at the same instants fits, a third does not.
is($node->safe_psql('postgres', <<'SQL'), 'UB002 27', 'C-21: capacity counts the instants');
DO $$
DECLARE
	e record;
BEGIN
	CREATE TEMP TABLE refused (code text);
	FOR e IN SELECT p.id, x.from_at, x.until_at, b.customer_id, b.service_id FROM expected AS x JOIN place AS p USING (zone)
		JOIN clinic.bookings AS b ON b.location_id = p.id AND b.start_at = x.from_at WHERE x.what = 'booking'
			AND (x.zone <> 'Pacific/Apia' OR x.day < '2011-12-30') LOOP -- there, three dates share an hour
		INSERT INTO clinic.bookings (customer_id, service_id, location_id, start_at) VALUES (e.customer_id, e.service_id, e.id, e.from_at);
		BEGIN -- it overlaps both in their last minute
			INSERT INTO clinic.bookings (customer_id, service_id, location_id, start_at)
				VALUES (e.customer_id, e.service_id, e.id, e.until_at - interval '1 minute');
		EXCEPTION WHEN SQLSTATE 'UB002' THEN
			INSERT INTO refused VALUES (SQLSTATE);
		END;
	END LOOP;
END $$;
SELECT code || ' ' || count(*) FROM refused GROUP BY code;
SQL

# C-20: for each row, that date has these hours and the days around it none
is($node->safe_psql('postgres', <<'SQL'), '', 'C-20: opening periods');
DO $$
DECLARE
	e record;
BEGIN
	CREATE TEMP TABLE differs (zone text, day date, opens text, found text, is_grid_wrong boolean);
	FOR e IN SELECT p.id, x.* FROM expected AS x JOIN place AS p USING (zone) WHERE x.what = 'period' LOOP
		DELETE FROM clinic.location_hours WHERE location_id = e.id;
		DELETE FROM clinic.location_exceptions WHERE location_id = e.id;
		PERFORM clinic.set_location_exception(e.id, e.day, jsonb_build_array(jsonb_build_array(e.opens, e.closes)));
		INSERT INTO differs SELECT e.zone, e.day, e.opens, string_agg(p.opens_at || ' ' || p.closes_at, ', '), false
			FROM clinic._open_periods(e.id, e.day - interval '3 days', e.day + interval '4 days') AS p
			HAVING (array_agg(p.opens_at), array_agg(p.closes_at)) IS DISTINCT FROM
				(CASE WHEN e.from_at IS NOT NULL THEN ARRAY[e.from_at] END, CASE WHEN e.from_at IS NOT NULL THEN ARRAY[e.until_at] END);
		-- open at exactly the quarter hours in the period, and a slot begins at each: no duplicates, no gaps
		INSERT INTO differs SELECT e.zone, e.day, e.opens, q::text, true
			FROM generate_series(e.day - interval '2 days', e.day + interval '3 days', interval '15 minutes') AS q
			WHERE clinic._is_open(e.id, q, q + interval '15 minutes') <> coalesce(q >= e.from_at AND q + interval '15 minutes' <= e.until_at, false)
				OR coalesce(clinic._on_grid(e.id, q, '15 minutes'), false) <> coalesce(q >= e.from_at AND q < e.until_at, false);
	END LOOP;
END $$;
SELECT * FROM differs ORDER BY 1, 2, 3, 4 LIMIT 20;
SQL

is($node->safe_psql('postgres', <<'SQL'), '0,23,23.5,24,24.5,25', 'C-20: days of all lengths are among them');
SELECT string_agg(DISTINCT length::text, ',' ORDER BY length::text) FROM (
	SELECT trim_scale(coalesce(extract(epoch FROM until_at - from_at) / 3600, 0)) AS length FROM expected WHERE opens = '00:00') AS l
SQL

# find_slots() over the next change of each zone: every half hour of a day that is open throughout
is($node->safe_psql('postgres', <<'SQL'), '', 'C-20: slots of a whole day follow each other without a gap or a double');
DELETE FROM clinic.bookings;
DELETE FROM clinic.location_exceptions;
SELECT count(clinic.set_location_hours(id, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) FROM place \g /dev/null
SELECT (clinic.create_service('Half', '30 minutes', 1000, 'EUR', needs_staff => false, slot_step => '30 minutes', horizon => '1000 days')).id AS half \gset
SELECT count(clinic.set_location_services(id, ARRAY[:'half'::uuid])) FROM place \g /dev/null
SELECT p.zone, m.at, count(*) FROM place AS p
	CROSS JOIN LATERAL (SELECT date_trunc('day', now(), p.zone) + n * interval '60 days' AS at FROM generate_series(1, 7) AS n) AS m
	CROSS JOIN LATERAL (SELECT s.start_at, lag(s.end_at) OVER (ORDER BY s.start_at) AS previous_end
		FROM clinic.find_slots(p.id, :'half', m.at, m.at + interval '60 days', max_rows => 10000) AS s) AS s
WHERE s.previous_end <> s.start_at GROUP BY 1, 2;
SQL

# C-23: the zone changes after bookings exist
is($node->safe_psql('postgres', <<'SQL'), "instants kept t\n1 location_hours", 'C-23: another zone moves no booking, and those outside the hours are reported');
SELECT id AS place FROM place WHERE zone = 'Europe/Berlin' \gset
SELECT id AS half FROM clinic.services WHERE name = 'Half' \gset
SELECT count(clinic.set_location_hours(:'place', '{1,2,3,4,5,6,7}', '[["08:00", "18:00"]]')) \g /dev/null
CREATE TEMP TABLE made AS SELECT b.* FROM (VALUES (8), (14)) AS h (hour) CROSS JOIN LATERAL clinic.create_booking(
	(SELECT id FROM clinic.customers LIMIT 1), :'half', :'place', ((now() AT TIME ZONE 'Europe/Berlin')::date + 3 + h.hour * interval '1 hour') AT TIME ZONE 'Europe/Berlin') AS b;
SELECT count(*) FROM clinic.list_bookings_outside_hours(:'place') HAVING count(*) > 0;
SELECT (clinic.update_location(:'place', '{"time_zone": "America/New_York"}')).id \g /dev/null
SELECT 'instants kept ' || bool_and(m.start_at = b.start_at AND m.end_at = b.end_at)::char FROM made AS m JOIN clinic.bookings AS b ON b.id = m.booking_id;
SELECT count(*) || ' ' || rule FROM clinic.list_bookings_outside_hours(:'place') GROUP BY rule;
SQL

# C-22: the limit of a day is that of the location's day, whatever the session's zone
for my $zone ('Pacific/Kiritimati', 'UTC', 'Pacific/Pago_Pago')
{
	is($node->safe_psql('postgres', <<SQL), 'ok, UB010, ok, UB010', "C-22: limit per local day, asked from $zone");
SET timezone = '$zone';
SET client_min_messages = warning;
DO \$\$
DECLARE
	place uuid := (clinic.create_location('N', 'A', 'C', 'S', '1', time_zone => 'America/New_York')).id;
	service uuid := (clinic.create_service('Daily', '15 minutes', 1, 'USD', needs_staff => false, daily_limit => 1)).id;
	customer uuid := (clinic.upsert_customer(name => 'Night owl')).id;
	midnight timestamptz := ((now() AT TIME ZONE 'America/New_York')::date + 5)::timestamp AT TIME ZONE 'America/New_York';
	minutes integer;
BEGIN
	CREATE TEMP TABLE answers (n serial, answer text);
	PERFORM clinic.set_location_hours(place, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
	PERFORM clinic.set_location_services(place, ARRAY[service]);
	-- before midnight; another on that day; after midnight; another on that day
	FOREACH minutes IN ARRAY ARRAY[-15, -1200, 0, 1200] LOOP
		BEGIN
			PERFORM clinic.create_booking(customer, service, place, midnight + minutes * interval '1 minute');
			INSERT INTO answers (answer) VALUES ('ok');
		EXCEPTION WHEN SQLSTATE 'UB010' THEN
			INSERT INTO answers (answer) VALUES (SQLSTATE);
		END;
	END LOOP;
END \$\$;
SELECT string_agg(answer, ', ' ORDER BY n) FROM answers;
SQL
}
is($node->safe_psql('postgres', 'SELECT rule, violations FROM clinic._booking_self_check() WHERE violations > 0'), '', 'nothing is violated');
$node->stop;
done_testing();

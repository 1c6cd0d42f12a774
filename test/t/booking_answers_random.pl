# What find_slots(), explain_slot() and create_booking() say about the same slots, against a slow, obviously right definition in SQL,
# over generated worlds: a location in some zone, with hours, exceptions and places; services of every kind; staff with and without
# what staff need; bookings, appointments, holds that are over. Each world is a transaction that is rolled back, and so is every
# booking that is tried in it. USHER_SEED repeats a run; USHER_LONG makes it thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $worlds = $ENV{USHER_LONG} ? 1000 : 31;
note("seed $seed: USHER_SEED=$seed repeats this run");

my $node = PostgreSQL::Test::Cluster->new('answers_random');
$node->init;
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash;
CREATE EXTENSION usher_booking SCHEMA wash CASCADE;
SELECT usher.apply_role_preset('carwash');
CREATE SCHEMA slow;

CREATE FUNCTION slow.one_of(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT choices[1 + floor(random() * cardinality(choices))] $$;
CREATE FUNCTION slow.up_to(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::integer $$;
-- A time of day, in steps of five minutes.
CREATE FUNCTION slow.time_of_day(from_hour integer, until_hour integer) RETURNS time LANGUAGE sql VOLATILE
    AS $$ SELECT time '00:00' + (from_hour * 12 + slow.up_to((until_hour - from_hour) * 12)) * interval '5 minutes' $$;
-- Days within a year on which the clocks of a zone change.
CREATE FUNCTION slow.clock_changes(zone text) RETURNS date[] LANGUAGE sql AS $$
    SELECT coalesce(array_agg(d::date), '{}') FROM generate_series(current_date + 2, current_date + 360, '1 day') AS d
    WHERE (d AT TIME ZONE zone) + interval '1 day' <> (d + interval '1 day') AT TIME ZONE zone $$;

-- The world that is looked at: a place, and services of it.
CREATE TABLE slow.place (location uuid, zone text, places integer, first_day date, begins_at timestamptz, ends_at timestamptz);
CREATE TABLE slow.service AS SELECT 1 AS n, s.* FROM wash.services AS s WITH NO DATA;

-- --- making a world ---------------------------------------------------------------------------------------------------

-- The place, and which three days are asked about: some from today on, some around a change of the clocks.
CREATE FUNCTION slow.make_place() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    its_zone text := slow.one_of('UTC', 'Europe/Berlin', 'America/New_York', 'America/Santiago', 'Australia/Lord_Howe', 'Asia/Kathmandu');
    changes date[] := slow.clock_changes(its_zone);
    begins date := (now() AT TIME ZONE its_zone)::date + slow.up_to(4);
BEGIN
    IF random() < 0.5 AND cardinality(changes) > 0 THEN
        begins := changes[1 + slow.up_to(cardinality(changes) - 1)] - 1;
    END IF;
    INSERT INTO slow.place SELECT l.id, its_zone, l.max_concurrent_bookings, begins, begins::timestamp AT TIME ZONE its_zone,
            (begins + 3)::timestamp AT TIME ZONE its_zone
        FROM wash.create_location('L', 'A', 'C', 'S', '1', time_zone => its_zone, max_concurrent_bookings => 1 + slow.up_to(2)) AS l;
    INSERT INTO wash.location_hours (location_id, weekday, opens, closes, valid)
        SELECT p.location, d, h.opens, h.closes, CASE WHEN random() < 0.1 THEN daterange(p.first_day + 1, NULL) ELSE daterange(NULL, NULL) END
        FROM slow.place AS p, generate_series(1, 7) AS d, LATERAL (
            SELECT slow.time_of_day(6, 9) AS opens, slow.time_of_day(11, 14) AS closes
            UNION ALL SELECT slow.time_of_day(14, 15), slow.time_of_day(17, 23) WHERE d > 1 AND random() < 0.7
            UNION ALL SELECT '22:00', slow.time_of_day(1, 6) WHERE d > 1 AND random() < 0.4
            UNION ALL SELECT '00:00', '24:00' WHERE d > 1 AND random() < 0.2) AS h
        ON CONFLICT DO NOTHING;
    INSERT INTO wash.location_exceptions (location_id, local_date, periods)
        SELECT location, first_day + slow.up_to(2), slow.one_of('[]', '[["10:00", "16:00"]]', '[["01:30", "03:30"], ["22:00", "02:30"]]', '[["00:00", "24:00"]]')::jsonb
        FROM slow.place WHERE random() < 0.4;
END $$;

CREATE FUNCTION slow.make_services() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO slow.service SELECT n, s.* FROM slow.place AS p, generate_series(1, 4) AS n, LATERAL wash.create_service('S' || n,
        slow.one_of('15 minutes', '30 minutes', '30 minutes', '50 minutes', '1 hour', '95 minutes', '3 hours', CASE n WHEN 1 THEN '25 hours' ELSE '1 hour' END)::interval, 1000, 'EUR',
        buffer_before => slow.one_of('0', '0', '10 minutes')::interval, buffer_after => slow.one_of('0', '0', '5 minutes', '30 minutes')::interval,
        slot_step => slow.one_of('15 minutes', '30 minutes', '20 minutes', '1 hour')::interval,
        min_notice => greatest('0', CASE WHEN random() < 0.2 THEN p.begins_at + interval '20 hours' - now() ELSE '0' END),
        horizon => CASE WHEN random() < 0.2 THEN p.begins_at + interval '50 hours' - now() ELSE '365 days' END,
        hold_ttl => slow.one_of('15 minutes', NULL)::interval, pending_blocks => random() < 0.7, needs_staff => random() < 0.6,
        by_appointment => random() < 0.25, customer_exclusive => random() < 0.7,
        daily_limit => slow.one_of(NULL, '1')::integer) AS s;
    PERFORM wash.set_location_services(location, ARRAY(SELECT id FROM slow.service WHERE random() < 0.95)) FROM slow.place;
    UPDATE wash.services SET is_active = false WHERE id IN (SELECT id FROM slow.service WHERE random() < 0.03);
END $$;

-- Staff lack now this, now that: they are no users any more, have no role, had it, have it elsewhere, take no bookings …
CREATE FUNCTION slow.make_people() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    washer uuid := (SELECT id FROM usher.roles WHERE name = 'washer');
BEGIN
    CREATE TEMP TABLE staff ON COMMIT DROP AS SELECT n, usher.uuid_v7() AS id,
        slow.one_of('good', 'good', 'good', 'good', 'good', 'good', 'good', 'good', 'no role', 'role is over', 'role ends later', 'role elsewhere', 'role here', 'gone', 'left', 'manager') AS kind
        FROM generate_series(1, 5) AS n;
    CREATE TEMP TABLE customer ON COMMIT DROP AS SELECT n, usher.uuid_v7() AS id FROM generate_series(1, 6) AS n;
    INSERT INTO usher.users (id, email, status) SELECT id, id || '@world.test', 'active' FROM staff UNION ALL SELECT id, id || '@world.test', 'active' FROM customer;
    PERFORM usher.grant_role(id, 'client') FROM customer;
    INSERT INTO wash.customers (id, user_id) SELECT id, id FROM customer;
    INSERT INTO usher.user_roles (user_id, role_id, scope, expires_at)
        SELECT s.id, washer, CASE s.kind WHEN 'role here' THEN p.location::text WHEN 'role elsewhere' THEN usher.uuid_v7()::text END,
            CASE s.kind WHEN 'role is over' THEN clock_timestamp() - interval '1 second' WHEN 'role ends later' THEN clock_timestamp() + interval '1 day' END
        FROM staff AS s, slow.place AS p WHERE s.kind <> 'no role';
    INSERT INTO wash.location_staff (location_id, staff_id, role, bookable, is_active)
        SELECT p.location, s.id, 'washer', s.kind <> 'manager', s.kind <> 'left' FROM staff AS s, slow.place AS p WHERE s.n < 5; -- the fifth is a stranger
    SET LOCAL session_replication_role = replica; -- nobody is told, so they stay where they are
    UPDATE usher.users SET status = 'deactivated', deactivated_at = now() WHERE id IN (SELECT id FROM staff WHERE kind = 'gone');
    SET LOCAL session_replication_role = origin;
    INSERT INTO wash.staff_skills (staff_id, service_id) SELECT s.id, v.id FROM staff AS s, slow.service AS v WHERE s.n <= 2 AND random() < 0.4;
    INSERT INTO wash.staff_hours (location_id, staff_id, weekday, opens, closes)
        SELECT p.location, s.id, d, slow.time_of_day(6, 10), slow.time_of_day(15, 22) FROM slow.place AS p, staff AS s, generate_series(1, 7) AS d
        WHERE s.n IN (1, 3) AND d <> s.n + 1;
    INSERT INTO wash.staff_time_off (staff_id, during)
        SELECT s.id, CASE WHEN random() < 0.1 THEN tstzrange(NULL, p.begins_at + interval '1 day') ELSE tstzrange(t.at, t.at + interval '5 hours') END
        FROM slow.place AS p, staff AS s, LATERAL (SELECT p.begins_at + (s.n + slow.up_to(800)) * interval '5 minutes' AS at) AS t WHERE random() < 0.4;
END $$;

-- Bookings as they come, of which many are refused.
CREATE FUNCTION slow.make_bookings(attempts integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    attempt record;
    made uuid;
BEGIN
    FOR attempt IN SELECT v.id AS service, v.by_appointment, p.location, p.begins_at + slow.up_to(3 * 24 * 4) * interval '15 minutes' AS at,
            CASE WHEN random() < 0.6 THEN (SELECT s.id FROM staff AS s WHERE s.n = 1 + (i + v.n) % 4) END AS staff,
            (SELECT c.id FROM customer AS c WHERE c.n = 1 + (i / 4 + v.n) % 6) AS customer, random() AS dice
        FROM generate_series(1, attempts) AS i JOIN slow.service AS v ON v.n = 1 + i % 4 CROSS JOIN slow.place AS p LOOP
        BEGIN
            made := (wash.create_booking(attempt.customer, attempt.service, attempt.location, attempt.at, attempt.staff,
                CASE WHEN attempt.dice < 0.15 THEN 'none' ELSE 'any' END, overbook => attempt.dice > 0.9)).booking_id;
            IF attempt.dice < 0.5 THEN
                PERFORM wash.confirm_booking(made);
            END IF;
            IF attempt.by_appointment AND attempt.dice < 0.3 THEN
                PERFORM wash.schedule_appointment(made, attempt.staff, tstzrange(attempt.at + interval '2 hours', attempt.at + interval '150 minutes'));
            ELSIF attempt.dice BETWEEN 0.4 AND 0.45 THEN
                PERFORM wash.cancel_booking(made, 'other');
            END IF;
        EXCEPTION WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB003' OR SQLSTATE 'UB004' OR SQLSTATE 'UB005' OR SQLSTATE 'UB010' OR SQLSTATE 'US001'
            OR SQLSTATE 'US002' OR SQLSTATE 'US005' THEN
            NULL;
        END;
    END LOOP;
    UPDATE wash.bookings SET hold_expires_at = clock_timestamp() - interval '1 second' WHERE status = 'pending' AND random() < 0.4;
END $$;

-- --- the definition: straight from the tables, five minutes at a time -------------------------------------------------

-- What takes places and people's time now.
CREATE VIEW slow.taken AS
    WITH live AS (SELECT * FROM wash.bookings AS b WHERE b.status IN ('confirmed', 'in_progress')
        OR (b.status = 'pending' AND b.pending_blocks AND (b.hold_expires_at IS NULL OR b.hold_expires_at > clock_timestamp())))
    SELECT b.location_id, b.customer_id, b.customer_exclusive, b.staff_id, b.start_at, b.end_at, b.buffer_before, b.buffer_after
        FROM live AS b WHERE NOT b.by_appointment
    UNION ALL
    SELECT a.location_id, a.customer_id, a.customer_exclusive, a.practitioner_id, a.start_at, a.end_at, a.buffer_before, a.buffer_after
        FROM wash.appointments AS a JOIN live AS b ON b.id = a.booking_id WHERE a.status IN ('scheduled', 'arrived', 'in_progress');

-- Every five minutes around the days, and what clocks show then.
CREATE FUNCTION slow.draw_hours() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE tick ON COMMIT DROP AS SELECT at, at AT TIME ZONE p.zone AS wall
        FROM slow.place AS p, generate_series(p.begins_at - interval '3 days', p.ends_at + interval '5 days', '5 minutes') AS at;
    CREATE INDEX ON tick (at);
    -- Hours of a date: the exceptions, or else the weekly ones; of staff only weekly ones. One that closes at or before its opening ends
    -- on the next day.
    CREATE TEMP TABLE wall_hours ON COMMIT DROP AS
        WITH day AS (SELECT d::date AS day FROM slow.place, generate_series(first_day - 2, first_day + 6, '1 day') AS d), hours AS (
            SELECT NULL::uuid AS who, day, (h ->> 0)::time AS opens, (h ->> 1)::time AS closes
                FROM day JOIN wash.location_exceptions AS e ON e.local_date = day JOIN slow.place AS p ON p.location = e.location_id, jsonb_array_elements(e.periods) AS h
            UNION ALL SELECT NULL, day, w.opens, w.closes
                FROM day JOIN wash.location_hours AS w ON w.weekday = extract(isodow FROM day) AND w.valid @> day JOIN slow.place AS p ON p.location = w.location_id
                WHERE NOT EXISTS (SELECT FROM wash.location_exceptions AS e WHERE e.location_id = p.location AND e.local_date = day)
            UNION ALL SELECT w.staff_id, day, w.opens, w.closes
                FROM day JOIN wash.staff_hours AS w ON w.weekday = extract(isodow FROM day) AND w.valid @> day JOIN slow.place AS p ON p.location = w.location_id)
        SELECT who, day + opens AS opens, day + closes + CASE WHEN closes <= opens THEN interval '1 day' ELSE '0' END AS closes FROM hours;
    -- It opens when clocks first show that time or a later one, and closes when they show its time for the last time, or, where they skip
    -- it, when they have shown an earlier one for the last time.
    CREATE TEMP TABLE period ON COMMIT DROP AS
        SELECT h.who, (SELECT min(t.at) FROM tick AS t WHERE t.wall >= h.opens) AS opens_at,
            coalesce((SELECT max(t.at) FROM tick AS t WHERE t.wall = h.closes),
                (SELECT max(t.at) + interval '5 minutes' FROM tick AS t WHERE t.wall < h.closes)) AS closes_at
        FROM wall_hours AS h;
    CREATE TEMP TABLE open_tick ON COMMIT DROP AS
        SELECT DISTINCT p.who, t.at FROM period AS p JOIN tick AS t ON t.at >= p.opens_at AND t.at < p.closes_at;
    CREATE INDEX ON open_tick (at);
    CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM slow.taken;
    ANALYZE tick, open_tick, period, taken;
END $$;

CREATE FUNCTION slow.is_open(of uuid, from_at timestamptz, until_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN extract(epoch FROM until_at - from_at) / 300 =
        (SELECT count(*) FROM open_tick AS o WHERE o.at >= from_at AND o.at < until_at AND o.who IS NOT DISTINCT FROM of);
END $$;

-- Who could do it.
CREATE FUNCTION slow.able(s slow.service, from_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(SELECT ls.staff_id FROM wash.location_staff AS ls JOIN slow.place AS p ON p.location = ls.location_id JOIN usher.users AS u ON u.id = ls.staff_id
        WHERE u.status = 'active' AND ls.is_active AND ls.bookable
            AND EXISTS (SELECT FROM usher.user_roles AS ur JOIN usher.roles AS r ON r.id = ur.role_id WHERE ur.user_id = u.id AND r.name = ls.role
                AND (ur.scope IS NULL OR ur.scope = p.location::text) AND (ur.expires_at IS NULL OR ur.expires_at > clock_timestamp()))
            AND (s.id IN (SELECT k.service_id FROM wash.staff_skills AS k WHERE k.staff_id = u.id) OR NOT EXISTS (SELECT FROM wash.staff_skills AS k WHERE k.staff_id = u.id))
            AND (NOT EXISTS (SELECT FROM wash.staff_hours AS h WHERE h.staff_id = u.id) OR slow.is_open(u.id, from_at, from_at + s.duration))
            AND NOT EXISTS (SELECT FROM wash.staff_time_off AS o WHERE o.staff_id = u.id AND o.during && tstzrange(from_at - s.buffer_before, from_at + s.duration + s.buffer_after))
            AND NOT EXISTS (SELECT FROM taken AS t WHERE t.staff_id = u.id
                AND tstzrange(t.start_at - t.buffer_before, t.end_at + t.buffer_after) && tstzrange(from_at - s.buffer_before, from_at + s.duration + s.buffer_after))
        ORDER BY ls.staff_id);
END $$;

CREATE FUNCTION slow.free_places(from_at timestamptz, until_at timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT p.places - max((SELECT count(*) FROM taken AS b WHERE b.location_id = p.location AND b.start_at <= t.at AND t.at < b.end_at))
        FROM slow.place AS p, tick AS t WHERE t.at >= from_at AND t.at < until_at GROUP BY p.places);
END $$;

-- What keeps a booking from being made, each reason by a letter: nothing when it can be.
CREATE FUNCTION slow.reasons(s slow.service, from_at timestamptz, staff uuid, customer uuid, OUT slot text, OUT booking text, OUT places integer, OUT staff_ids uuid[])
    LANGUAGE plpgsql AS $$
DECLARE
    until_at timestamptz := from_at + s.duration;
    p slow.place := (SELECT p FROM slow.place AS p);
BEGIN
    places := slow.free_places(from_at, until_at);
    staff_ids := slow.able(s, from_at);
    slot := concat(
        CASE WHEN NOT (SELECT v.is_active FROM wash.services AS v WHERE v.id = s.id) THEN 'a' END,
        CASE WHEN NOT EXISTS (SELECT FROM wash.location_services AS ls WHERE ls.location_id = p.location AND ls.service_id = s.id) THEN 'b' END,
        CASE WHEN from_at < clock_timestamp() + s.min_notice THEN 'c' END,
        CASE WHEN from_at > clock_timestamp() + s.horizon THEN 'd' END,
        CASE WHEN NOT slow.is_open(NULL, from_at, until_at) THEN 'e' END,
        CASE WHEN NOT EXISTS (SELECT FROM period AS o WHERE o.who IS NULL AND o.opens_at <= from_at AND from_at < o.closes_at
            AND extract(epoch FROM from_at - o.opens_at) % extract(epoch FROM s.slot_step) = 0) THEN 'f' END,
        CASE WHEN places < 1 THEN 'g' END,
        CASE WHEN staff IS NOT NULL AND NOT staff = ANY (staff_ids) OR staff IS NULL AND s.needs_staff AND staff_ids = '{}' THEN 'h' END);
    booking := concat(slot,
        CASE WHEN s.customer_exclusive AND EXISTS (SELECT FROM taken AS t WHERE t.customer_id = customer AND t.customer_exclusive
            AND t.start_at < until_at AND from_at < t.end_at) THEN 'i' END,
        CASE WHEN s.daily_limit <= (SELECT count(*) FROM wash.bookings AS b WHERE b.customer_id = customer AND b.service_id = s.id AND b.location_id = p.location
            AND b.status <> 'cancelled' AND NOT (b.status = 'pending' AND coalesce(b.hold_expires_at <= clock_timestamp(), false))
            AND (b.start_at AT TIME ZONE p.zone)::date = (from_at AT TIME ZONE p.zone)::date) THEN 'j' END);
END $$;

-- --- asking -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION slow.tries(customer uuid, service uuid, location uuid, start_at timestamptz, staff uuid, OUT answer text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wash.create_booking(customer, service, location, start_at, staff);
    RAISE SQLSTATE 'ZZ001'; -- takes it back
EXCEPTION
    WHEN SQLSTATE 'ZZ001' THEN
        answer := 'booked';
    WHEN OTHERS THEN
        answer := SQLSTATE || ' ' || SQLERRM;
END $$;

CREATE FUNCTION slow.finds(location uuid, service uuid, from_at timestamptz, until_at timestamptz, staff uuid)
    RETURNS TABLE (start_at timestamptz, free_places integer, staff_ids uuid[]) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT f.start_at, f.free_places, f.staff_ids FROM wash.find_slots(location, service, from_at, until_at, staff, 10000) AS f;
EXCEPTION WHEN SQLSTATE 'US005' THEN -- not offered
    NULL;
END $$;

-- The questions of a world, each with the three answers and the truth. Asked by a customer, of staff by name and of anybody.
CREATE FUNCTION slow.compare(OUT questions bigint, OUT bookable bigint, OUT reasons text, OUT differences text) LANGUAGE plpgsql AS $$
DECLARE
    who uuid := (SELECT id FROM customer WHERE n <= 2 ORDER BY random() LIMIT 1);
    p slow.place := (SELECT p FROM slow.place AS p);
BEGIN
    PERFORM usher.authenticate(usher.issue_token(who));
    -- Where a period of the place has slots, on the quarters of an hour, and a little beside them. Not where the answer changes while it
    -- is given.
    CREATE TEMP TABLE question ON COMMIT DROP AS
        SELECT s AS service, x.id AS staff, start.at
        FROM slow.service AS s CROSS JOIN LATERAL (SELECT NULL::uuid AS id UNION ALL (SELECT id FROM staff ORDER BY random() + s.n LIMIT 1)) AS x
            CROSS JOIN LATERAL (
                SELECT o.opens_at + k * s.slot_step AS at FROM period AS o, generate_series(0, 95) AS k
                    WHERE o.who IS NULL AND o.opens_at + k * s.slot_step < o.closes_at AND random() < 0.4
                UNION SELECT p.begins_at + q * interval '15 minutes' FROM generate_series(0, 3 * 24 * 4 - 1) AS q WHERE random() < 0.04
                UNION SELECT p.begins_at + q * interval '5 minutes' FROM generate_series(0, 3 * 24 * 12 - 1) AS q WHERE random() < 0.01) AS start
        WHERE start.at >= p.begins_at AND start.at < p.ends_at;
    DELETE FROM question AS q WHERE abs(extract(epoch FROM q.at - clock_timestamp() - (q.service).min_notice)) < 300
        OR abs(extract(epoch FROM q.at - clock_timestamp() - (q.service).horizon)) < 300;
    CREATE TEMP TABLE found ON COMMIT DROP AS
        SELECT (a.service).id AS service, a.staff, f.* FROM (SELECT DISTINCT q.service, q.staff FROM question AS q) AS a,
            LATERAL slow.finds(p.location, (a.service).id, p.begins_at, p.ends_at + interval '3 days', a.staff) AS f;
    CREATE TEMP TABLE answer ON COMMIT DROP AS
        SELECT (q.service).id AS service, q.staff, q.at, truth.*, f.start_at IS NOT NULL AS found, f.free_places, f.staff_ids AS found_staff,
            slow.tries(who, (q.service).id, p.location, q.at, q.staff) AS tried, explained.*
        FROM question AS q CROSS JOIN LATERAL slow.reasons(q.service, q.at, q.staff, who) AS truth
            CROSS JOIN LATERAL (
                SELECT coalesce(string_agg(e.rule, ', '), '') AS booking_explained,
                    count(*) FILTER (WHERE e.rule NOT IN ('customer_free', 'daily_limit')) = 0 AS slot_explained
                FROM wash.explain_slot(p.location, (q.service).id, q.at, q.staff, who) AS e WHERE NOT e.ok) AS explained
            LEFT JOIN found AS f ON f.service = (q.service).id AND f.staff IS NOT DISTINCT FROM q.staff AND f.start_at = q.at;
    SELECT count(*), count(*) FILTER (WHERE a.booking = ''), string_agg(a.booking, '') INTO questions, bookable, reasons FROM answer AS a;
    SELECT string_agg(concat_ws(' ', a.at, p.zone, s.duration, 'reasons:', a.booking, 'find:', a.found, a.free_places, a.places, 'explain:', a.booking_explained, 'create:', a.tried,
            'staff:', x.kind, a.found_staff, a.staff_ids, to_jsonb(s) - 'attributes'), E'\n')
        INTO differences FROM answer AS a JOIN slow.service AS s ON s.id = a.service LEFT JOIN staff AS x ON x.id = a.staff
        WHERE a.found <> (a.slot = '') OR a.found AND (a.free_places <> a.places
                OR a.found_staff <> CASE WHEN a.staff IS NULL THEN a.staff_ids ELSE ARRAY[a.staff] END)
            OR a.slot_explained <> (a.slot = '') OR (a.booking_explained = '') <> (a.booking = '') OR (a.tried = 'booked') <> (a.booking = '');
END $$;

CREATE FUNCTION slow.make_world() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM slow.make_place();
    PERFORM slow.make_services();
    PERFORM slow.make_people();
    PERFORM slow.make_bookings(60);
    PERFORM slow.make_bookings(20);
    PERFORM slow.draw_hours();
    RETURN (SELECT sum(violations) FROM wash._booking_self_check() WHERE rule <> 'over_capacity');
END $$;
SQL

# One backend for all worlds: what it keeps of one must not leak into the next.
my $script = join '', "SET jit = off;\nSET client_min_messages = warning;\nSELECT setseed(0.$seed) \\g /dev/null\n",
	map { "BEGIN;\nSELECT slow.make_world() AS violations \\gset\nSELECT $_, :violations, questions, bookable, reasons, differences FROM slow.compare();\nROLLBACK;\n" } 1 .. $worlds;
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 1, timeout => 3600);
is($status, 0, 'the worlds were made') or diag($err);
my ($questions, $bookable, $violations, $seen, $made, $different) = (0, 0, 0, '', 0, '');
for my $line (split /\n/, $out)
{
	if ($line =~ /^(\d+)\|(\d+)\|(\d+)\|(\d+)\|(\w*)\|(.*)$/)
	{
		$made++;
		$violations += $2;
		$questions += $3;
		$bookable += $4;
		$seen .= $5;
		$different .= "world $1: $6\n" if $6 ne '';
	}
	else { $different .= "    $line\n" }
}
is($made, $worlds, "$worlds worlds");
is($violations, 0, 'nothing is violated in any of them');
cmp_ok($questions, '>=', 10_000, "$questions slots");
is($different, '', "no difference in what is said about $questions slots") or diag("seed $seed");
cmp_ok($bookable, '>', $questions / 50, "not everything is refused: $bookable can be booked");
is(join('', grep { index($seen, $_) >= 0 } 'a' .. 'j'), 'abcdefghij', 'every rule refuses something');
note(join ' ', map { my $letter = $_; "$letter " . scalar(() = $seen =~ /$letter/g) } 'a' .. 'j');

$node->stop;
done_testing();

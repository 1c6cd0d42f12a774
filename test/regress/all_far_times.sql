-- Times at the far end of what the server knows, and intervals longer than anybody lives: an answer or a clear error,
-- and never the opposite of what they say.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA regress_far;
SELECT usher.create_permission('far:read'), usher.create_role('regress_far') IS NOT NULL AS made,
       usher.grant_permission(to_role => 'regress_far', permission => 'far:read');
CREATE TABLE regress_far.times (at timestamptz);
INSERT INTO regress_far.times
VALUES ('294247-01-10 04:00:54.775807'), ('294247-01-10 04:00:54.775808'), ('294246-12-31'), ('294276-12-31 23:59:59'),
    ('200000-01-01'), ('148000-01-01'), ('infinity');
CREATE TABLE regress_far.people AS
SELECT at, (usher.register_user(format('far-%s@example.com', row_number() OVER (ORDER BY at)),
                                'long enough to be good', 'Far')).user_id
FROM regress_far.times WHERE isfinite(at);

-- A rule that ends then is in force now, whatever it says.
SELECT count(usher.grant_role(user_id, 'regress_far', expires_at => at)) AS grants FROM regress_far.people;
SELECT at, usher.user_has_permission(user_id, 'far:read') AS allowed FROM regress_far.people ORDER BY at;
SELECT count(usher.grant_permission(to_user => user_id, permission => 'far:read', effect => 'deny',
                                    expires_at => at)) AS denials
FROM regress_far.people;
SELECT at, usher.user_has_permission(user_id, 'far:read') AS allowed FROM regress_far.people ORDER BY at;

-- Bookings, slots and guards.
SELECT id AS location FROM wash.create_location('Far', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Far', '1 hour', 1000, 'EUR', needs_staff => false) \gset
SELECT user_id AS somebody FROM regress_far.people LIMIT 1 \gset
SELECT count(wash.set_location_services(:'location', ARRAY[:'service'::uuid])),
       count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'));
CREATE FUNCTION regress_far.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT at, regress_far.outcome(
    format('SELECT wash.create_booking(%L, %L, %L, %L)', :'somebody', :'service', :'location', at)) AS booked
FROM regress_far.times ORDER BY at;
SELECT at,
       regress_far.outcome(format('SELECT wash.find_slots(%L, %L, %L)', :'location', :'service', at)) AS slots_from,
    regress_far.outcome(format('SELECT wash.find_slots(%L, %L, now(), %L)', :'location', :'service',
                               at)) AS slots_until
FROM regress_far.times ORDER BY at;
SELECT at, regress_far.outcome(
    format('SELECT wash._guard_location(%L, ARRAY[%L]::timestamptz[], %L)', :'location', at, '1 hour')) AS guarded,
    regress_far.outcome(
        format('SELECT wash._local_to_instant(%L, %L, %L)', at::timestamp, 'Europe/Berlin', 'first')) AS local
FROM regress_far.times ORDER BY at;
SELECT at, regress_far.outcome(
    format('INSERT INTO wash.bookings (customer_id, service_id, location_id, start_at) VALUES (%L, %L, %L, %L)',
    :'somebody', :'service', :'location', at)) AS inserted FROM regress_far.times ORDER BY at;
DELETE FROM wash.bookings WHERE start_at > '9999-01-01';
-- a range of days without end is refused before it takes all memory
SELECT duration, regress_far.outcome(
    format('SELECT wash._guard_location(%L, ARRAY[now()], %L)', :'location', duration)) AS guarded
FROM unnest(ARRAY['1 hour', '100 years', '100000 years', '178000000 years',
                  '-178000000 years']::interval[]) AS duration;
SELECT wash._guard_location(:'location', ARRAY[NULL]::timestamptz[], '1 hour');
SELECT duration,
       regress_far.outcome(format('SELECT usher.issue_token(%L, ttl => %L)', :'somebody', duration)) AS issued,
    regress_far.outcome(
        format('SELECT usher.define_rate_limit(%L, %L, 1, %L)', 'regress.far', 'fixed_window', duration)) AS defined
FROM unnest(
    ARRAY['178000000 years', '-178000000 years', '2562047788:00:54.775807', '100000 years']::interval[]) AS duration;

DELETE FROM usher.users WHERE email LIKE 'far-%';
SELECT usher.drop_role('regress_far');
DROP SCHEMA regress_far CASCADE;

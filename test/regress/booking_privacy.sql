-- What usher_booking has registered with core is called: a user's bookings are exported, and forgotten with the user, in
-- rows, histories and the audit log; upkeep, checks and metrics know of bookings.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT usher.apply_role_preset('carwash');
SELECT user_id AS ann FROM usher.register_user('privacy-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT user_id AS ben FROM usher.register_user('privacy-ben@example.com', 'long enough to be good', 'Ben') \gset
SELECT usher.grant_role(:'ben', 'washer');
SELECT id AS location FROM wash.create_location('Privacy', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Privacy', '1 hour', 1000, 'EUR') \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service'::uuid]);
SELECT is_active FROM wash.assign_staff(:'location', :'ben', 'washer');
SELECT (now() AT TIME ZONE 'Europe/Berlin')::date + 3 + time '10:00' AS ten \gset
SELECT booking_id AS booking
FROM wash.create_booking(:'ann', :'service', :'location', :'ten'::timestamp AT TIME ZONE 'Europe/Berlin', :'ben',
                         vehicle_info => '{"plate": "PLATE-SECRET"}', special_instructions => 'INSTRUCTION-SECRET',
                         idempotency_key => 'privacy') \gset
SELECT status FROM wash.confirm_booking(:'booking', 'NOTES-SECRET');
SELECT count(*) FROM wash.add_staff_time_off(:'ben', '[2100-01-01,2100-01-02)', 'REASON-SECRET');

-- The user is told
SELECT jsonb_array_length(e -> 'bookings') AS bookings, e #>> '{bookings,0,special_instructions}' AS instructions,
    jsonb_array_length(e -> 'customers') AS customers
FROM (SELECT usher.export_user(:'ann') -> 'usher_booking' AS e) AS x;
SELECT jsonb_array_length(e -> 'works_at') AS works_at, jsonb_array_length(e -> 'work') AS work,
    e #>> '{time_off,0,reason}' AS reason
FROM (SELECT usher.export_user(:'ben') -> 'usher_booking' AS e) AS x;

-- The audit log never had it
SELECT count(*) > 0 AS is_logged, count(*) FILTER (WHERE a::text ~ '(PLATE|INSTRUCTION|NOTES|REASON)-SECRET') AS repeats
FROM usher.audit_logs AS a WHERE a.resource_type LIKE 'wash.%' AND a.created_at > now() - interval '1 hour';

-- And it is forgotten, but that the time was booked
SELECT count(*) AS notes FROM usher.status_history WHERE entity_id = :'booking' AND notes = 'NOTES-SECRET';
SELECT usher.erase_user(:'ann'), usher.erase_user(:'ben');
SELECT b.status, b.vehicle_info, b.special_instructions, b.status_notes FROM wash.bookings AS b WHERE b.id = :'booking';
SELECT count(*) AS notes FROM usher.status_history WHERE entity_id = :'booking' AND notes = 'NOTES-SECRET';
SELECT t.reason FROM wash.staff_time_off AS t WHERE t.staff_id = :'ben';
SELECT count(*) AS answers FROM usher.idempotent_calls WHERE actor IN (:'ann', :'ben');
-- in no column of any table of the suite
CREATE FUNCTION pg_temp.everywhere() RETURNS TABLE (place text) LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class AS c
        WHERE c.relkind = 'r' AND c.relnamespace IN ('usher'::regnamespace, 'wash'::regnamespace)
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L FROM %s AS r WHERE r::text ~ ''(PLATE|INSTRUCTION|NOTES|REASON)-SECRET''',
                                    relation, relation);
    END LOOP;
END
$$;
SELECT place, count(*) FROM pg_temp.everywhere() GROUP BY place ORDER BY place;

-- Upkeep ends holds that have run out, and forgets guards of days that are over
SELECT user_id AS cleo FROM usher.register_user('privacy-cleo@example.com', 'long enough to be good', 'Cleo') \gset
SELECT id AS unstaffed FROM wash.create_service('Privacy 2', '1 hour', 1000, 'EUR', needs_staff => false) \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'unstaffed'::uuid]);
SELECT booking_id AS held
FROM wash.create_booking(:'cleo', :'unstaffed', :'location', :'ten'::timestamp AT TIME ZONE 'Europe/Berlin') \gset
SET session_replication_role = replica; -- time passes
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 minute' WHERE id = :'held';
INSERT INTO wash.resource_guards (kind, id, day) VALUES ('location', :'location', '2020-01-01');
RESET session_replication_role;
SELECT value >= 1 AS is_counted FROM usher.metrics() WHERE name = 'usher_booking_holds_run_out';
SELECT task, affected > 0 AS did FROM usher.run_maintenance() WHERE task LIKE 'booking%' ORDER BY task;
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'held';
SELECT count(*) FROM wash.resource_guards WHERE day = '2020-01-01';
SELECT bool_and(violations = 0) AS clean, count(*) > 5 AS rules FROM usher.self_check() WHERE extension = 'usher_booking';
-- a place without hours is found
SELECT id AS closed FROM wash.create_location('Closed', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT extension, finding, severity FROM usher.check_configuration() WHERE finding LIKE 'location Closed %';
DELETE FROM wash.locations WHERE id = :'closed';

-- Who deletes the own account is nobody by then: bookings and appointments are withdrawn all the same
SELECT user_id AS dee FROM usher.register_user('privacy-dee@example.com', 'long enough to be good', 'Dee') \gset
SELECT id AS visit
FROM wash.create_service('Privacy 3', '1 hour', 1000, 'EUR', needs_staff => false, by_appointment => true) \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'unstaffed', :'visit']::uuid[]);
SELECT booking_id AS wash
FROM wash.create_booking(:'dee', :'unstaffed', :'location', :'ten'::timestamp AT TIME ZONE 'Europe/Berlin') \gset
SELECT booking_id AS seen
FROM wash.create_booking(:'dee', :'visit', :'location', (:'ten'::timestamp + '1 day') AT TIME ZONE 'Europe/Berlin') \gset
SELECT status FROM wash.confirm_booking(:'seen');
SELECT usher.issue_token(:'dee') AS token \gset
BEGIN;
SELECT usher.authenticate(:'token') = :'dee' AS is_dee;
SELECT usher.delete_user();
COMMIT;
SELECT status, cancellation_reason FROM wash.bookings WHERE id IN (:'wash', :'seen');
SELECT status, cancellation_reason FROM wash.appointments WHERE booking_id = :'seen';
SELECT action, count(*) FROM usher.status_history
WHERE to_status = 'cancelled' AND entity_id IN (:'wash', :'seen') GROUP BY action;

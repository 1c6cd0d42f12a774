-- Bookings: the rules of making them, the transitions, who may do what, and every error once.
SET client_min_messages = warning;
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET TimeZone = 'UTC';

CREATE SCHEMA booking_test;
-- What a statement answers when it is refused: its SQLSTATE and message.
CREATE FUNCTION booking_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION
    WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE booking_test.people (name text PRIMARY KEY, id uuid, token text);
-- Acts as somebody until the end of the transaction.
CREATE FUNCTION booking_test.act_as(who text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate((SELECT p.token FROM booking_test.people AS p WHERE p.name = who));
END
$$;
CREATE FUNCTION booking_test.id_of(who text)
    RETURNS uuid LANGUAGE sql AS 'SELECT id FROM booking_test.people WHERE name = who';

SELECT usher.apply_role_preset('carwash');
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['admin', 'manager', 'washer', 'washer2', 'client', 'client2', 'stranger'] LOOP
        made := (usher.register_user('booking-' || person || '@example.com', 'long enough to be good',
                                     person)).user_id;
        INSERT INTO booking_test.people VALUES (person, made, usher.issue_token(made));
        IF person NOT LIKE 'client%' AND person <> 'stranger' THEN
            PERFORM usher.grant_role(made, rtrim(person, '2'));
            PERFORM usher.revoke_role(made, 'client');
        END IF;
    END LOOP;
END
$$;

-- What is on offer
SELECT id AS service, duration_minutes, version
FROM wash.create_service('Test wash', '30 minutes', 2500, 'USD', buffer_after => '10 minutes') \gset
SELECT id AS location
FROM wash.create_location('Test location', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin',
    max_concurrent_bookings => 2) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[{"opens": "08:00", "closes": "20:00"}]');
SELECT * FROM wash.set_location_services(:'location', ARRAY[:'service'::uuid]);
SELECT role, bookable, is_active FROM wash.assign_staff(:'location', booking_test.id_of('washer'), 'washer');
SELECT role, bookable, is_active FROM wash.assign_staff(:'location', booking_test.id_of('washer2'), 'washer');
SELECT role, bookable, is_active FROM wash.assign_staff(:'location', booking_test.id_of('manager'), 'manager');
-- 10:00 local time in three days
SELECT ((now() AT TIME ZONE 'Europe/Berlin')::date + 3 + time '10:00') AT TIME ZONE 'Europe/Berlin' AS ten \gset

-- Free slots
SELECT count(*), min(local_start::time), max(local_start::time), min(free_places), min(cardinality(staff_ids)),
       bool_and(end_at - start_at = '30 minutes')
FROM wash.find_slots(:'location', :'service', date_trunc('day', :'ten'::timestamptz),
                     date_trunc('day', :'ten'::timestamptz) + interval '1 day');

-- A booking takes the terms of the service
BEGIN;
SELECT booking_test.act_as('client');
SELECT booking_id AS booking, status, end_at - start_at AS length,
       staff_id = booking_test.id_of('washer') AS by_washer, price_minor, currency,
    hold_expires_at > now() AS is_held, version, replayed
FROM wash.create_booking(service_id => :'service', location_id => :'location', start_at => :'ten',
    staff_id => booking_test.id_of('washer'),
    vehicle_info => '{"plate": "B-US 1"}', idempotency_key => 'first') \gset
SELECT :'status' AS status, :'length' AS length, :'by_washer' AS by_washer, :'price_minor' AS price,
       :'currency' AS currency, :'is_held' AS held, :'version' AS version;
-- the same request again, and another one under its key
SELECT booking_id = :'booking' AS same, replayed
FROM wash.create_booking(service_id => :'service', location_id => :'location', start_at => :'ten',
    staff_id => booking_test.id_of('washer'), vehicle_info => '{"plate": "B-US 1"}', idempotency_key => 'first');
SELECT booking_test.refusal(
    format('SELECT wash.create_booking(service_id => %L, location_id => %L, start_at => %L, idempotency_key => '
           '''first'')',
    :'service', :'location', :'ten'));
COMMIT;
SELECT resource_kind, lower(during) - :'ten'::timestamptz AS from_start,
       upper(during) - :'ten'::timestamptz AS to_end, live
FROM wash.booking_claims WHERE booking_id = :'booking' ORDER BY 1;

-- Why not: each rule once
BEGIN;
SELECT booking_test.act_as('client2');
CREATE FUNCTION booking_test.try(service uuid, location uuid, start_at timestamptz, staff text DEFAULT NULL,
                                 customer text DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
    SELECT booking_test.refusal(
        format('SELECT wash.create_booking(service_id => %L, location_id => %L, start_at => %L, staff_id => %L, '
               'customer_id => %L)',
        service, location, start_at, booking_test.id_of(staff), booking_test.id_of(customer)))
$$;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '15 minutes', 'washer') AS overlap;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '30 minutes', 'washer') AS buffer;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '7 minutes') AS grid;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz - interval '3 hours') AS closed;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '9 hours 45 minutes') AS closing;
SELECT booking_test.try(:'service', :'location', now() - interval '1 hour') AS past;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '400 days') AS far;
SELECT booking_test.try(:'service', :'location', 'infinity') AS endless;
SELECT booking_test.try(:'service', :'location', NULL) AS never;
SELECT booking_test.try(:'service', :'location', :'ten', 'manager') AS not_bookable;
SELECT booking_test.try(:'service', :'location', :'ten', 'client') AS not_staff;
SELECT booking_test.try(:'service', :'location', :'ten', NULL, 'client') AS for_others;
SELECT booking_test.try('00000000-0000-0000-0000-000000000000', :'location', :'ten') AS no_service;
SELECT booking_test.try(:'service', '00000000-0000-0000-0000-000000000000', :'ten') AS no_location;
COMMIT;
BEGIN;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L)',
                                   '00000000-0000-0000-0000-000000000000', :'service', :'location',
                                   :'ten')) AS no_customer;
COMMIT;

-- "Any": whoever is free; then nobody is left, then the place is full
BEGIN;
SELECT booking_test.act_as('client2');
SELECT booking_id AS second, staff_id = booking_test.id_of('washer2') AS by_washer2
FROM wash.create_booking(service_id => :'service', location_id => :'location', start_at => :'ten') \gset
SELECT :'by_washer2' AS by_washer2;
SELECT booking_test.try(:'service', :'location', :'ten'::timestamptz + interval '15 minutes') AS all_busy;
COMMIT;
BEGIN;
SELECT booking_test.act_as('stranger');
SELECT booking_test.try(:'service', :'location', :'ten') AS nobody_free;
ROLLBACK;
BEGIN;
SELECT (wash.update_service(:'service', '{"needs_staff": false}')).version;
SELECT booking_test.act_as('stranger');
SELECT booking_test.try(:'service', :'location', :'ten') AS full;
-- two short ones after each other count once
SELECT status FROM wash.create_booking(service_id => :'service', location_id => :'location',
                                       start_at => :'ten'::timestamptz + interval '30 minutes');
ROLLBACK;
SELECT count(*) AS free_at_ten
FROM wash.find_slots(:'location', :'service', :'ten', :'ten'::timestamptz + interval '30 minutes');

-- Transitions, and who may make them
BEGIN;
SELECT booking_test.act_as('client');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L)', :'booking')) AS by_customer;
SELECT booking_test.refusal(format('SELECT wash.complete_booking(%L)', :'booking')) AS jump;
COMMIT;
BEGIN;
SELECT booking_test.act_as('stranger');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L)', :'booking')) AS by_stranger;
SELECT booking_test.refusal(format('SELECT wash.get_booking(%L)', :'booking')) AS read_by_stranger;
SELECT count(*) AS listed_for_stranger FROM wash.list_bookings();
COMMIT;
BEGIN;
SELECT booking_test.act_as('washer');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L)', :'booking')) AS by_washer;
COMMIT;
SELECT booking_test.refusal(
    format('UPDATE wash.bookings SET status = ''completed'' WHERE id = %L', :'booking')) AS raw_jump;
BEGIN;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L, expected_version => 7)', :'booking')) AS stale;
SELECT status, version, replayed FROM wash.confirm_booking(:'booking', idempotency_key => 'ok');
SELECT status, version, replayed FROM wash.confirm_booking(:'booking', idempotency_key => 'ok');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L)', :'booking')) AS again;
SELECT status, version FROM wash.confirm_booking(:'second');
COMMIT;
BEGIN;
SELECT booking_test.act_as('washer2');
SELECT booking_test.refusal(format('SELECT wash.start_booking(%L)', :'booking')) AS of_a_colleague;
COMMIT;
BEGIN;
SELECT booking_test.act_as('washer');
SELECT status, version FROM wash.start_booking(:'booking');
COMMIT;
BEGIN;
SELECT booking_test.act_as('manager');
-- one in progress at a time
SELECT staff_id = booking_test.id_of('washer') AS moved_to_washer
FROM wash.reschedule_booking(:'second', :'ten'::timestamptz + interval '2 hours', booking_test.id_of('washer'));
SELECT booking_test.refusal(format('SELECT wash.start_booking(%L)', :'second')) AS second_in_progress;
SELECT booking_test.refusal(format('SELECT wash.reschedule_booking(%L, %L)', :'booking', :'ten')) AS move_work;
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L, ''other'')', :'booking')) AS without_notes;
COMMIT;
BEGIN;
SELECT booking_test.act_as('washer');
SELECT status, version FROM wash.complete_booking(:'booking', 'spotless');
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L)', :'booking')) AS after_the_end;
COMMIT;
SELECT count(*) AS claims_left FROM wash.booking_claims WHERE booking_id = :'booking';
SELECT seq, from_status, to_status, (changed_by).name, notes, version FROM wash.get_booking_history(:'booking');
SELECT action, from_status, to_status FROM usher.history('wash.bookings', :'second');
SELECT event, payload ->> 'to' AS status FROM usher.events WHERE key = :'booking' ORDER BY id;

-- Cancelling
BEGIN;
SELECT booking_test.act_as('client2');
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L, ''hold_expired'')', :'second')) AS reserved_reason;
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L, ''no_show'')', :'second')) AS no_show_by_customer;
SELECT status, refund_due_minor, replayed FROM wash.cancel_booking(:'second');
ROLLBACK;
BEGIN;
SELECT (wash.update_service(:'service', '{"cancel_cutoff": "10 days"}')).cancel_cutoff;
SELECT booking_test.act_as('client2');
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L)', :'second')) AS too_late;
SELECT booking_test.refusal(format('SELECT wash.reschedule_booking(%L, %L)', :'second', :'ten')) AS too_late_to_move;
ROLLBACK;
BEGIN;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.cancel_booking(%L)', :'second')) AS without_reason;
SELECT status, refund_due_minor FROM wash.cancel_booking(:'second', 'weather', 'hail');
ROLLBACK;

-- Holds run out
BEGIN;
SELECT booking_test.act_as('client');
SELECT booking_id AS held FROM wash.create_booking(service_id => :'service', location_id => :'location',
    start_at => :'ten'::timestamptz + interval '4 hours',
    staff_id => booking_test.id_of('washer2')) \gset
COMMIT;
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 second' WHERE id = :'held';
BEGIN;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.confirm_booking(%L)', :'held')) AS confirm_after_hold;
COMMIT;
-- somebody else takes the place at once
BEGIN;
SELECT booking_test.act_as('client2');
SELECT status FROM wash.create_booking(service_id => :'service', location_id => :'location',
                                       start_at => :'ten'::timestamptz + interval '4 hours',
                                       staff_id => booking_test.id_of('washer2'));
COMMIT;
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'held';
SELECT wash.expire_holds() AS expired;
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 second' WHERE status = 'pending';
SELECT wash.expire_holds() AS expired;

-- Raw SQL obeys as well
SELECT booking_test.refusal(
    format('INSERT INTO wash.bookings (customer_id, service_id, location_id, start_at, staff_id) VALUES (%L, %L, %L, '
           '%L, %L)',
    booking_test.id_of('stranger'), :'service', :'location', :'ten'::timestamptz + interval '2 hours 15 minutes',
    booking_test.id_of('washer'))) AS overlap;
SELECT booking_test.refusal(
    format('INSERT INTO wash.bookings (customer_id, service_id, location_id, start_at, status) VALUES (%L, %L, %L, '
           '%L, ''confirmed'')',
    booking_test.id_of('stranger'), :'service', :'location',
    :'ten'::timestamptz + interval '6 hours')) AS confirmed_from_nothing;
SELECT booking_test.refusal(
    format('INSERT INTO wash.bookings (customer_id, service_id, location_id, start_at, end_at) VALUES (%L, %L, %L, '
           '%L, %2$L)',
    booking_test.id_of('stranger'), :'service', :'location', :'ten')) IS NOT NULL AS refused;
SELECT booking_test.refusal(
    format('UPDATE wash.bookings SET end_at = end_at + interval ''1 hour'' WHERE id = %L', :'second')) AS longer;
SELECT booking_test.refusal(format('UPDATE wash.bookings SET customer_id = %L WHERE id = %L',
                                   booking_test.id_of('stranger'), :'second')) AS other_customer;
SELECT booking_test.refusal(
    format('INSERT INTO wash.booking_claims (booking_id, holder_id, resource_kind, resource_id, during) SELECT %L, '
           'booking_id, resource_kind, resource_id, during FROM wash.booking_claims WHERE booking_id = %L AND '
           'resource_kind = ''staff''',
           :'held', :'second')) AS overlapping_claim;
SELECT booking_test.refusal(
    format('UPDATE wash.booking_claims SET during = NULL WHERE booking_id = %L', :'second')) AS null_range;
SELECT booking_test.refusal(
    format('UPDATE wash.booking_claims SET during = ''empty'' WHERE booking_id = %L', :'second')) AS empty_range;
SELECT booking_test.refusal(
    format('UPDATE wash.booking_claims SET during = tstzrange(now(), NULL) WHERE booking_id = %L',
           :'second')) AS unbounded_range;
SELECT booking_test.refusal(
    format('UPDATE wash.booking_claims SET during = tstzrange(now(), ''infinity'') WHERE booking_id = %L',
           :'second')) AS infinite_range;

-- A customer or a washer who leaves
BEGIN;
SELECT usher.delete_user(booking_test.id_of('client2'));
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'second';
SELECT action FROM usher.history('wash.bookings', :'second') ORDER BY seq DESC LIMIT 1;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L)', booking_test.id_of('client2'),
                                   :'service', :'location', :'ten'::timestamptz + interval '6 hours')) AS for_deleted;
ROLLBACK;
BEGIN;
SELECT usher.deactivate_user(booking_test.id_of('washer'));
SELECT status, staff_id FROM wash.bookings WHERE id = :'second';
SELECT event FROM usher.events WHERE key = :'second' ORDER BY id DESC LIMIT 1;
SELECT booking_test.refusal(format('UPDATE wash.bookings SET staff_id = %L WHERE id = %L',
                                   booking_test.id_of('washer'), :'second')) AS inactive_washer;
ROLLBACK;
BEGIN;
SELECT is_active, needs_staff FROM wash.unassign_staff(:'location', booking_test.id_of('washer'));
SELECT action FROM usher.history('wash.bookings', :'second') ORDER BY seq DESC LIMIT 1;
ROLLBACK;

-- Locations and services that are no longer
SELECT booking_test.refusal(format('SELECT wash.set_location_active(%L, false)', :'location')) AS in_use;
BEGIN;
SELECT is_active, cancelled FROM wash.set_location_active(:'location', false, true);
SELECT booking_test.act_as('client');
SELECT booking_test.try(:'service', :'location', :'ten') AS closed_location;
ROLLBACK;
BEGIN;
SELECT is_active, version FROM wash.set_service_active(:'service', false);
SELECT booking_test.refusal(
    format('SELECT * FROM wash.find_slots(%L, %L)', :'location', :'service')) AS inactive_service;
ROLLBACK;
SELECT booking_test.refusal(format('SELECT wash.update_service(%L, %L)', :'service', '{"id": "x"}')) AS not_changeable;
SELECT booking_test.refusal(format('SELECT wash.update_service(%L, %L)', :'service', '[]')) AS not_an_object;
SELECT booking_test.refusal(format('SELECT wash.update_service(%L, %L, 99)', :'service', '{"name": "x"}')) AS stale;
SELECT booking_test.refusal('SELECT wash.create_service(''x'', ''1 day'', 1, ''USD'')') AS a_day_is_no_span;
SELECT booking_test.refusal('SELECT wash.create_service(''x'', ''1 hour'', -1, ''USD'')') AS negative;
SELECT booking_test.refusal('SELECT wash.create_service(''x'', ''1 hour'', 1, ''dollars'')') AS currency;
BEGIN;
SELECT booking_test.act_as('client');
SELECT booking_test.refusal('SELECT wash.create_service(''x'', ''1 hour'', 1, ''USD'')') AS by_client;
SELECT booking_test.refusal(
    format('SELECT wash.set_location_hours(%L, ''{1}'', ''[]'')', :'location')) AS hours_by_client;
SELECT booking_test.refusal(format('SELECT wash.assign_staff(%L, %L, ''washer'')', :'location',
                                   booking_test.id_of('client'))) AS staff_by_client;
SELECT booking_test.refusal(
    format('SELECT wash.upsert_customer(%L, ''somebody else'')', booking_test.id_of('client2'))) AS profile_of_others;
SELECT name, email FROM wash.upsert_customer(booking_test.id_of('client'), 'Clara', 'clara@example.com');
ROLLBACK;
-- managers only at their locations; a walk-in customer
SELECT id AS elsewhere
FROM wash.create_location('Elsewhere', '2 Road', 'Paris', '75', '75001', 'FR', 'Europe/Paris') \gset
BEGIN;
SELECT booking_test.act_as('manager');
SELECT booking_test.refusal(format('SELECT wash.set_location_hours(%L, ''{1}'', ''[]'')', :'elsewhere')) AS not_his;
SELECT id AS walk_in, created_by = booking_test.id_of('manager') AS made_by_manager
FROM wash.upsert_customer(name => 'Walter Walk-in', phone => '555 0100') \gset
SELECT :'made_by_manager' AS made_by_manager, name AS found_before_any_booking FROM wash.list_customers('555 0100');
SELECT status
FROM wash.create_booking(:'walk_in', :'service', :'location', :'ten'::timestamptz + interval '8 hours 1 minute');
SELECT (customer).name AS customer, (washer).name IS NOT NULL AS has_washer, service_name, location_name
FROM wash.list_bookings(customer_id => :'walk_in');
COMMIT;
BEGIN;
SELECT booking_test.act_as('admin');
SELECT count(*) > 0 AS admin_everywhere FROM wash.list_bookings(location_id => :'location');
SELECT wash.set_location_hours(:'elsewhere', '{1}', '[]');
COMMIT;

-- Pages and batches
SELECT count(*) FROM wash.get_bookings(ARRAY[:'second', :'booking', '00000000-0000-0000-0000-000000000000']::uuid[]);
SELECT booking_id = :'second' AS is_second FROM wash.get_bookings(ARRAY[:'second', :'booking']::uuid[]) LIMIT 1;
SELECT count(*) = (SELECT count(*) FROM wash.bookings) AS all_pages FROM (
    WITH RECURSIVE page (booking_id, n) AS (
        (SELECT booking_id, 1 FROM wash.list_bookings(max_rows => 1))
        UNION ALL
        SELECT next.booking_id, page.n + 1
        FROM page CROSS JOIN LATERAL wash.list_bookings(after => page.booking_id, max_rows => 1) AS next)
    SELECT DISTINCT booking_id FROM page) AS pages;
SELECT booking_test.refusal('SELECT wash.list_bookings(max_rows => 0)') AS no_rows;
SELECT booking_test.refusal('SELECT wash.list_bookings(statuses => ''{lost}'')') AS no_status;
SELECT booking_test.refusal(format('SELECT wash.find_slots(%L, %L, now(), now() + interval ''1 year'')', :'location',
                                   :'service')) AS long_window;

-- Row-level security, as a role that has level application only
CREATE ROLE regress_booking_app;
SELECT usher.grant_access('regress_booking_app', 'application');
GRANT USAGE ON SCHEMA booking_test TO regress_booking_app;
GRANT SELECT ON booking_test.people TO regress_booking_app;
SET ROLE regress_booking_app;
SELECT count(*) AS seen_by_nobody FROM wash.bookings;
BEGIN;
SELECT booking_test.act_as('client');
SELECT count(*) > 0 AS own, count(*) FILTER (WHERE customer_id <> booking_test.id_of('client')) AS of_others
FROM wash.bookings;
SELECT count(*) AS profiles FROM wash.customers;
COMMIT;
BEGIN;
SELECT booking_test.act_as('washer');
SELECT count(*) > 0 AS own, count(*) FILTER (WHERE staff_id <> booking_test.id_of('washer')) AS of_others
FROM wash.bookings;
COMMIT;
BEGIN;
SELECT booking_test.act_as('manager');
SELECT count(DISTINCT customer_id) > 2 AS many FROM wash.bookings;
COMMIT;
SELECT booking_test.refusal('UPDATE wash.bookings SET status = ''cancelled''') AS raw_update;
SELECT booking_test.refusal('DELETE FROM wash.customers') AS raw_delete;
SELECT booking_test.refusal('SELECT * FROM wash.booking_claims') AS claims;
SELECT booking_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L)', booking_test.id_of('client'),
                                   :'service', :'location', :'ten')) AS without_identity;
SELECT booking_test.refusal('SELECT wash.list_bookings()') AS list_without_identity;
SELECT booking_test.refusal('SELECT wash._lock_booking(NULL, 1)') AS private_function;
RESET ROLE;

-- Nothing is granted to PUBLIC, everything has a comment, no foreign key leaves the extension
CREATE TEMP VIEW member AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'usher_booking'
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
SELECT count(*) > 80 AS many_members FROM member;
SELECT p.oid::regprocedure AS granted_to_public
FROM pg_proc p JOIN member m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
WHERE has_function_privilege('public', p.oid, 'EXECUTE');
SELECT p.oid::regprocedure AS without_comment
FROM pg_proc p JOIN member m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
WHERE obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS without_comment
FROM pg_class c JOIN member m ON m.objid = c.oid AND m.classid = 'pg_class'::regclass
WHERE c.relkind = 'r' AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'wash'::regnamespace
    AND confrelid NOT IN (SELECT oid FROM pg_class WHERE relnamespace = 'wash'::regnamespace);
SELECT * FROM wash._booking_self_check();

-- Leaves as little as it can
DROP OWNED BY regress_booking_app;
DELETE FROM usher.database_roles WHERE role_name = 'regress_booking_app';
DROP ROLE regress_booking_app;
DELETE FROM wash.bookings WHERE location_id = :'location';
DELETE FROM wash.customers WHERE id = :'walk_in' OR user_id IN (SELECT id FROM booking_test.people);
DELETE FROM wash.locations WHERE id IN (:'location', :'elsewhere');
DELETE FROM wash.services WHERE id = :'service';
DELETE FROM usher.users WHERE id IN (SELECT id FROM booking_test.people);
DROP SCHEMA booking_test CASCADE;

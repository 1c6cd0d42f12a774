-- API keys with one permission each at bookings: of the customer, of the staff member, of the manager. A key acts for
-- its user where it was told so, and nowhere else; what it was not told does not exist for it.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA booking_keys;
CREATE ROLE regress_booking_keys;
SELECT usher.grant_access('regress_booking_keys', 'application');
GRANT USAGE ON SCHEMA booking_keys TO regress_booking_keys;
SELECT usher.apply_role_preset('carwash');
SELECT count(usher.create_permission(p, if_not_exists => true)) AS made FROM unnest('{invoice:read,customer:read,customer:manage}'::text[]) p;
CREATE TABLE booking_keys.people (name text PRIMARY KEY, id uuid);
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['manager', 'washer', 'client'] LOOP
        made := (usher.register_user('keys-' || person || '@example.com', 'long enough to be good', person)).user_id;
        INSERT INTO booking_keys.people VALUES (person, made);
        IF person <> 'client' THEN
            PERFORM usher.grant_role(made, person);
        END IF;
    END LOOP;
END
$$;
CREATE FUNCTION booking_keys.id_of(who text) RETURNS uuid LANGUAGE sql SECURITY DEFINER
    AS 'SELECT id FROM booking_keys.people WHERE name = who';
SELECT id AS service
FROM wash.create_service('Keyed wash', '30 minutes', 2500, 'USD', staff_may_confirm => true, needs_staff => true) \gset
SELECT id AS service2 FROM wash.create_service('Keyed wash by machine', '30 minutes', 2500, 'USD', needs_staff => false) \gset
SELECT id AS location
FROM wash.create_location('Keyed location', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin',
    max_concurrent_bookings => 9) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[{"opens": "00:00", "closes": "24:00"}]') IS NOT NULL AS hours,
    wash.set_location_services(:'location', ARRAY[:'service'::uuid]) IS NOT NULL AS services,
    (wash.assign_staff(:'location', booking_keys.id_of('washer'), 'washer')).is_active AS washer,
    (wash.assign_staff(:'location', booking_keys.id_of('manager'), 'manager')).is_active AS manager;
SELECT (date_trunc('day', now()) + interval '3 days 10 hours') AS ten \gset
-- somebody else's location, at which the manager does nothing
SELECT id AS elsewhere
FROM wash.create_location('Other location', '2 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT wash.set_location_hours(:'elsewhere', '{1,2,3,4,5,6,7}', '[{"opens": "00:00", "closes": "24:00"}]') IS NOT NULL AS hours,
    wash.set_location_services(:'elsewhere', ARRAY[:'service2'::uuid]) IS NOT NULL AS services;
SELECT booking_id AS mine FROM wash.create_booking(service_id => :'service', location_id => :'location',
    customer_id => booking_keys.id_of('client'), start_at => :'ten', staff_id => booking_keys.id_of('washer')) \gset
SELECT booking_id AS foreign FROM wash.create_booking(service_id => :'service2', location_id => :'elsewhere',
    customer_id => booking_keys.id_of('client'), start_at => :'ten'::timestamptz + interval '2 hours') \gset

-- What a key of somebody with these permissions gets by a statement. Nothing of it stays.
CREATE FUNCTION booking_keys.try(who text, permissions text[], statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM usher.authenticate((usher.create_api_key('tried', permissions, NULL, booking_keys.id_of(who))).api_key);
    SET LOCAL ROLE regress_booking_keys;
    EXECUTE statement INTO answer;
    RAISE SQLSTATE 'RB001' USING MESSAGE = coalesce(answer, '(nothing)');
EXCEPTION
    WHEN SQLSTATE 'RB001' THEN
        RETURN SQLERRM;
    WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT $q$ SELECT concat(count(*), ' by id, ', (SELECT count(*) FROM wash.list_bookings()), ' listed, ',
        (SELECT count(*) FROM wash.bookings), ' in the table, ', (SELECT count(*) FROM wash.list_customers()), ' customers')
    FROM wash.get_bookings(ARRAY[%L, %L]::uuid[]) $q$ AS reads \gset
SELECT who, key, booking_keys.try(who, ARRAY[key], format(:'reads', :'mine', :'foreign'))
FROM unnest('{client,washer,manager}'::text[]) who,
    unnest('{invoice:read,booking:read,customer:read,booking:manage,*:*}'::text[]) key;
SELECT who, key, act, booking_keys.try(who, ARRAY[key], format(statement, :'mine', :'service', :'location', booking_keys.id_of(who)))
FROM (VALUES
    ('client', 'cancel', 'SELECT status FROM wash.cancel_booking(%1$L)', '{invoice:read,booking:read,booking:cancel}'::text[]),
    ('client', 'move', 'SELECT status FROM wash.reschedule_booking(%1$L, date_trunc(''day'', now()) + interval ''5 days'')', '{invoice:read,booking:read,booking:reschedule}'),
    ('client', 'book', 'SELECT status FROM wash.create_booking(service_id => %2$L, location_id => %3$L, start_at => date_trunc(''day'', now()) + interval ''6 days'')', '{invoice:read,booking:read,booking:create}'),
    ('client', 'profile', 'SELECT name FROM wash.upsert_customer(%4$L, ''New name'')', '{invoice:read,booking:create,customer:manage}'),
    ('washer', 'confirm', 'SELECT status FROM wash.confirm_booking(%1$L)', '{invoice:read,booking:read,booking:confirm}'),
    ('manager', 'confirm', 'SELECT status FROM wash.confirm_booking(%1$L)', '{invoice:read,booking:read,booking:confirm,booking:manage,booking:*}'),
    ('manager', 'cancel', 'SELECT status FROM wash.cancel_booking(%1$L, ''weather'')', '{invoice:read,booking:read,booking:cancel,booking:manage,booking:*}'))
    AS t (who, act, statement, keys), unnest(keys) key;
-- Together: to read one's own, and to cancel them.
SELECT booking_keys.try('client', '{booking:read,booking:cancel}', format('SELECT status FROM wash.cancel_booking(%L)', :'mine'));
-- The manager's key manages no more places than the manager.
SELECT booking_keys.try('manager', '{booking:*}', format('SELECT status FROM wash.cancel_booking(%L, ''weather'')', :'foreign'));

DROP SCHEMA booking_keys CASCADE;
SELECT usher.revoke_access('regress_booking_keys');
DROP ROLE regress_booking_keys;

-- Who has read about the customers of sensitive services is in the audit log, whatever usher.audit_reads says; who has
-- read about others, if it says so (R1-66).
SET client_min_messages = warning;
SET DateStyle = ISO;
SET TimeZone = 'UTC';

CREATE SCHEMA reads_test;
CREATE TABLE reads_test.people (name text PRIMARY KEY, id uuid, token text);
CREATE FUNCTION reads_test.act_as(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate((SELECT p.token FROM reads_test.people AS p WHERE p.name = who));
    RETURN who;
END
$$;
SELECT usher.apply_role_preset('clinic');
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['manager', 'doctor', 'patient', 'walker'] LOOP
        made := (usher.register_user('reads-' || person || '@example.com', 'long enough to be good', person)).user_id;
        INSERT INTO reads_test.people VALUES (person, made, usher.issue_token(made));
        DELETE FROM usher.user_roles WHERE user_id = made; -- a default role, where another test made one
        PERFORM usher.grant_role(made, CASE person WHEN 'manager' THEN 'manager'
                                           WHEN 'doctor' THEN 'staff' ELSE 'customer' END);
    END LOOP;
END
$$;
SELECT id AS doctor FROM reads_test.people WHERE name = 'doctor' \gset
SELECT id AS patient FROM reads_test.people WHERE name = 'patient' \gset
SELECT id AS walker FROM reads_test.people WHERE name = 'walker' \gset
-- Therapy is sensitive from the start, a massage is not
SELECT id AS therapy, is_sensitive FROM wash.create_service('Talking therapy', '1 hour', 9000, 'EUR',
    hold_ttl => NULL, by_appointment => true, is_sensitive => true) \gset
SELECT id AS massage, is_sensitive FROM wash.create_service('Massage', '1 hour', 5000, 'EUR', hold_ttl => NULL,
    by_appointment => true) \gset
SELECT id AS location FROM wash.create_location('Quiet rooms', '3 Road', 'Lagos', 'LA', '100001', 'NG', 'UTC',
    max_concurrent_bookings => 9) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT * FROM wash.set_location_services(:'location', ARRAY[:'therapy', :'massage']::uuid[]);
SELECT role FROM wash.assign_staff(:'location', :'doctor', 'staff');
SELECT role FROM wash.assign_staff(:'location', (SELECT id FROM reads_test.people WHERE name = 'manager'), 'manager');
SELECT user_id = :'patient' AS patient FROM wash.upsert_customer(:'patient', attributes => '{"note": "grieves"}');
SELECT user_id = :'walker' AS walker FROM wash.upsert_customer(:'walker');
SELECT ((now() AT TIME ZONE 'UTC')::date + 8 + time '10:00') AT TIME ZONE 'UTC' AS ten \gset
SELECT booking_id AS private FROM wash.create_booking(:'patient', :'therapy', :'location', :'ten', :'doctor') \gset
SELECT booking_id AS plain
FROM wash.create_booking(:'walker', :'massage', :'location', :'ten'::timestamptz + interval '2 hours', :'doctor') \gset
SELECT id AS private_visit FROM wash.appointments WHERE booking_id = :'private' \gset

-- What was logged since this was asked last, with names for ids
CREATE TABLE reads_test.names (id text PRIMARY KEY, name text);
INSERT INTO reads_test.names VALUES (:'private', 'private booking'), (:'plain', 'plain booking'),
    (:'private_visit', 'private appointment'), (:'patient', 'patient'), (:'walker', 'walker'), (:'doctor', 'doctor');
INSERT INTO reads_test.names SELECT id, 'plain appointment' FROM wash.appointments WHERE booking_id = :'plain';
INSERT INTO reads_test.names SELECT id, name FROM reads_test.people ON CONFLICT DO NOTHING;
CREATE TABLE reads_test.looked_at (id uuid);
INSERT INTO reads_test.looked_at SELECT usher.uuid_v7();
CREATE FUNCTION reads_test.logged() RETURNS TABLE (reader text, kind text, what text, data jsonb) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce((SELECT p.name FROM reads_test.people p WHERE p.id = l.actor_id), 'nobody'), l.resource_type,
           coalesce((SELECT string_agg(coalesce(n.name, 'other'), ', ' ORDER BY n.name)
                     FROM jsonb_array_elements_text(coalesce(l.event_data -> 'ids', to_jsonb(ARRAY[l.resource_id])))
                         AS i (id) LEFT JOIN reads_test.names n ON n.id = i.id), ''), l.event_data - 'ids'
    FROM usher.audit_logs l, reads_test.looked_at s WHERE l.event_type = 'data.read' AND l.id > s.id ORDER BY l.id;
    UPDATE reads_test.looked_at SET id = usher.uuid_v7();
END
$$;

-- Each function that reads about the customer of a sensitive service leaves one row; a list one for the whole page
BEGIN;
SELECT reads_test.act_as('doctor');
SELECT status FROM wash.get_booking(:'private');
SELECT count(*) FROM wash.get_bookings(ARRAY[:'private', :'plain']::uuid[]);
SELECT count(*) FROM wash.list_bookings();
SELECT count(*) FROM wash.get_booking_history(:'private');
SELECT count(*) FROM wash.export_booking_ical(:'private');
SELECT count(*) FROM wash.list_appointments();
SELECT count(*) FROM wash.list_customers();
COMMIT;
SELECT * FROM reads_test.logged();

-- Reading about anybody else leaves none
BEGIN;
SELECT reads_test.act_as('doctor');
SELECT status FROM wash.get_booking(:'plain');
SELECT count(*) FROM wash.list_bookings(customer_id => :'walker');
SELECT count(*) FROM wash.list_appointments(customer_id => :'walker');
SELECT count(*) FROM wash.list_customers('walker');
SELECT count(*) FROM wash.list_bookings(customer_id => usher.uuid_v7());
COMMIT;
SELECT * FROM reads_test.logged();

-- It is logged in a transaction that only reads, and when somebody reads in the name of nobody
BEGIN READ ONLY;
SELECT status FROM wash.get_booking(:'private');
COMMIT;
SELECT * FROM reads_test.logged();
-- … and over HTTP, where the route is one that only reads; a refused reading is none
SELECT a.status FROM reads_test.people AS p CROSS JOIN LATERAL usher.http_request(
    'GET', '/bookings/' || :'private', '', jsonb_build_object('authorization', 'Bearer ' || p.token)) AS a
WHERE p.name IN ('manager', 'walker') ORDER BY p.name;
SELECT * FROM reads_test.logged();

-- A service that is marked later is sensitive with all of its bookings; one that is no longer marked with none
BEGIN;
SELECT reads_test.act_as('manager');
SELECT is_sensitive FROM wash.update_service(:'massage', '{"is_sensitive": true}');
SELECT is_sensitive FROM wash.update_service(:'therapy', '{"is_sensitive": false}');
SELECT count(*) FROM wash.list_customers() WHERE user_id IN (SELECT id FROM reads_test.people);
SELECT count(*) FROM wash.get_bookings(ARRAY[:'private', :'plain']::uuid[]);
COMMIT;
SELECT * FROM reads_test.logged();
SELECT (wash.update_service(:'massage', '{"is_sensitive": false}')).is_sensitive;

-- usher.audit_reads names kinds of what else is logged, or all of them
BEGIN;
SET LOCAL usher.audit_reads = 'appointment, staff';
SELECT reads_test.act_as('manager');
SELECT count(*) FROM wash.list_bookings();
SELECT count(*) FROM wash.list_appointments();
SELECT count(*) FROM wash.list_customers() WHERE user_id IN (SELECT id FROM reads_test.people);
SELECT count(*) FROM wash.list_staff(:'location');
SET LOCAL usher.audit_reads = on;
SELECT count(*) FROM wash.list_bookings(staff_id => :'doctor');
SELECT count(*) FROM wash.list_customers('walker');
SELECT name FROM usher.user_reference(:'walker');
SELECT count(*) FROM usher.user_references(ARRAY[:'walker', :'patient', NULL]::uuid[]);
COMMIT;
SELECT * FROM reads_test.logged();

-- Pages that are larger than a row of the log make several
SELECT usher.log_reads('thing', ARRAY(SELECT usher.uuid_v7() FROM generate_series(1, 300)));
SELECT usher.log_reads('thing', '{}', ARRAY(SELECT usher.uuid_v7() FROM generate_series(1, 129)));
SELECT jsonb_array_length(event_data -> 'ids') AS ids, resource_id IS NOT NULL AS one, event_data -> 'sensitive'
FROM usher.audit_logs WHERE event_type = 'data.read' AND resource_type = 'thing' AND id > (SELECT id FROM
    reads_test.looked_at) ORDER BY id;

-- What usher.audit_reads cannot be
SET usher.audit_reads = 'booking customer';
SET usher.audit_reads = 'on, booking';
SET usher.audit_reads = 'booking,';

DELETE FROM wash.bookings WHERE location_id = :'location';
DELETE FROM wash.customers WHERE user_id IN (SELECT id FROM reads_test.people);
DELETE FROM wash.locations WHERE id = :'location';
DELETE FROM wash.services WHERE id IN (:'therapy', :'massage');
DELETE FROM usher.users WHERE id IN (SELECT id FROM reads_test.people);
DROP SCHEMA reads_test CASCADE;

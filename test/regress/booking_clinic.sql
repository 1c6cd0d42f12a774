-- Staff time, overbooking, series, swaps, payments, explanations, appointments, iCalendar, and the administration of
-- them.
SET client_min_messages = warning;
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET TimeZone = 'UTC';

CREATE SCHEMA clinic_test;
CREATE FUNCTION clinic_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION
    WHEN OTHERS THEN
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE clinic_test.people (name text PRIMARY KEY, id uuid, token text);
CREATE FUNCTION clinic_test.act_as(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate((SELECT p.token FROM clinic_test.people AS p WHERE p.name = who));
    RETURN who;
END
$$;
CREATE FUNCTION clinic_test.id_of(who text)
    RETURNS uuid LANGUAGE sql AS 'SELECT id FROM clinic_test.people WHERE name = who';
SELECT usher.apply_role_preset('clinic');
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['manager', 'doctor', 'nurse', 'patient', 'other'] LOOP
        made := (usher.register_user('clinic-' || person || '@example.com', 'long enough to be good', person)).user_id;
        INSERT INTO clinic_test.people VALUES (person, made, usher.issue_token(made));
        DELETE FROM usher.user_roles WHERE user_id = made; -- a default role, where another test made one
        PERFORM usher.grant_role(made, CASE person WHEN 'manager' THEN 'manager'
                                           WHEN 'doctor' THEN 'staff' WHEN 'nurse' THEN 'staff' ELSE 'customer' END);
    END LOOP;
END
$$;
SELECT id AS visit
FROM wash.create_service('Visit, first', '30 minutes', 8000, 'EUR', hold_ttl => NULL, horizon => '1000 days') \gset
SELECT id AS therapy FROM wash.create_service('Therapy', '1 hour', 9000, 'EUR', hold_ttl => NULL,
                                              by_appointment => true, cancel_cutoff => '1 hour') \gset
SELECT id AS location
FROM wash.create_location('Practice', '2 Road; rear', 'Lagos', 'LA', '100001', 'NG', 'Africa/Lagos',
    latitude => 52.52, longitude => 13.405, max_concurrent_bookings => 1) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT * FROM wash.set_location_services(:'location', ARRAY[:'visit', :'therapy']::uuid[]);
SELECT role, bookable FROM wash.assign_staff(:'location', clinic_test.id_of('doctor'), 'staff');
SELECT role, bookable FROM wash.assign_staff(:'location', clinic_test.id_of('nurse'), 'staff', bookable => false);
SELECT role, bookable FROM wash.assign_staff(:'location', clinic_test.id_of('manager'), 'manager');
SELECT clinic_test.id_of('doctor') AS doctor, clinic_test.id_of('patient') AS patient,
       clinic_test.id_of('other') AS other \gset
SELECT ((now() AT TIME ZONE 'Africa/Lagos')::date + 8 + time '10:00') AT TIME ZONE 'Africa/Lagos' AS ten \gset

-- Weekly hours and time off of staff
SELECT *
FROM wash.set_staff_hours(:'doctor', :'location', '{1,2,3,4,5,6,7}', '[["09:00", "12:00"], ["13:00", "17:00"]]');
SELECT count(*), min(local_start::time), max(local_start::time) FROM wash.find_slots(
    :'location', :'visit', date_trunc('day', :'ten'::timestamptz), :'ten'::timestamptz + interval '9 hours');
SELECT clinic_test.refusal(format(
    'SELECT wash.create_booking(%L, %L, %L, %L::timestamptz - interval ''90 minutes'', %L)', :'patient', :'visit',
    :'location', :'ten', :'doctor')) AS before_work;
SELECT clinic_test.refusal(
    format('INSERT INTO wash.bookings (customer_id, service_id, location_id, start_at, staff_id) VALUES (%L, %L, %L, '
           '%L::timestamptz + interval ''2 hours'', %L)',
    :'patient', :'visit', :'location', :'ten', :'doctor')) AS lunch_by_raw_sql;
SELECT time_off_id AS off, conflicting_bookings FROM wash.add_staff_time_off(:'doctor', tstzrange(
    :'ten'::timestamptz + interval '5 hours', :'ten'::timestamptz + interval '6 hours'), 'dentist') \gset
SELECT time_off_id = :'off' AS is_the_same, conflicting_bookings FROM wash.add_staff_time_off(:'doctor', tstzrange(
    :'ten'::timestamptz + interval '5 hours', :'ten'::timestamptz + interval '6 hours'), 'dentist');
SELECT clinic_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L::timestamptz + interval ''5 hours'', %L)',
                                  :'patient', :'visit', :'location', :'ten', :'doctor')) AS time_off;
SELECT rule, ok
FROM wash.explain_slot(:'location', :'visit', :'ten'::timestamptz + interval '5 hours', :'doctor', :'patient');
SELECT rule FROM wash.explain_slot(:'location', :'visit', :'ten', :'doctor', :'patient') WHERE NOT ok;
SELECT wash.remove_staff_time_off(:'off') AS removed, wash.remove_staff_time_off(:'off') AS again;
SELECT rule FROM wash.explain_slot(:'location', :'visit', :'ten'::timestamptz + interval '5 hours') WHERE NOT ok;
SELECT clinic_test.refusal(
    format('SELECT wash.set_staff_hours(%L, %L, ''{8}'', ''[]'')', :'doctor', :'location')) AS weekday;
SELECT clinic_test.refusal(
    format('SELECT wash.set_staff_hours(%L, %L, ''{1}'', ''[]'')', :'patient', :'location')) AS not_staff;
SELECT clinic_test.refusal(format('SELECT wash.add_staff_time_off(%L, ''empty'')', :'doctor')) AS empty;
BEGIN;
SELECT clinic_test.act_as('patient');
SELECT clinic_test.refusal(
    format('SELECT wash.add_staff_time_off(%L, ''[2030-01-01,2030-01-02)'')', :'doctor')) AS by_a_patient;
SELECT clinic_test.refusal(format('SELECT wash.list_staff(%L)', :'location')) AS list_by_a_patient;
ROLLBACK;

-- Overbooking: explicit, with a permission, audited; people are never doubled
SELECT booking_id AS first FROM wash.create_booking(:'patient', :'visit', :'location', :'ten', :'doctor') \gset
BEGIN;
SELECT clinic_test.act_as('manager');
SELECT clinic_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L, staff_policy => ''none'')', :'other',
                                  :'visit', :'location', :'ten')) AS full;
SELECT status, staff_id FROM wash.create_booking(clinic_test.id_of('nurse'), :'visit', :'location', :'ten',
                                                 staff_policy => 'none', overbook => true);
SELECT clinic_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L::timestamptz, %L, overbook => true)',
                                  :'other', :'visit', :'location', :'ten', :'doctor')) AS doctor_twice;
COMMIT;
BEGIN;
SELECT clinic_test.act_as('other');
SELECT clinic_test.refusal(
    format('SELECT wash.create_booking(NULL, %L, %L, %L::timestamptz + interval ''30 minutes'', staff_policy => '
           '''none'', overbook => true)',
           :'visit', :'location', :'ten')) AS by_a_patient;
ROLLBACK;
SELECT a.severity, a.actor_id = clinic_test.id_of('manager') AS by_manager FROM usher.audit_logs AS a
    WHERE a.event_type = 'booking.overbooked'
        AND a.resource_id IN (SELECT b.id::text FROM wash.bookings AS b WHERE b.location_id = :'location');
SELECT count(*) FROM wash.list_bookings(:'location') AS b WHERE b.overbooked;

SELECT status
FROM wash.cancel_booking((SELECT b.booking_id FROM wash.list_bookings(:'location') AS b WHERE b.overbooked), 'other');

-- Reassigning and swapping
SELECT clinic_test.refusal(
    format('SELECT wash.reassign_booking(%L, %L)', :'first', clinic_test.id_of('nurse'))) AS not_bookable;
SELECT clinic_test.refusal(format('SELECT wash.reassign_booking(%L, %L, 7)', :'first', :'doctor')) AS stale;
SELECT booking_id AS second
FROM wash.create_booking(:'other', :'visit', :'location', :'ten'::timestamptz + interval '30 minutes', :'doctor') \gset
SELECT booking_id = :'second' AS second_is_first, start_at = :'ten' AS at_ten, version
FROM wash.swap_bookings(:'first', :'second', 1, 1);
SELECT clinic_test.refusal(format('SELECT * FROM wash.swap_bookings(%L, %L, 1, 1)', :'first',
                                  :'second')) AS stale_swap;
SELECT clinic_test.refusal(format('SELECT * FROM wash.swap_bookings(%L, %L)', :'first', :'first')) AS with_itself;
BEGIN;
SELECT clinic_test.act_as('other');
SELECT clinic_test.refusal(format('SELECT * FROM wash.swap_bookings(%L, %L)', :'first',
                                  :'second')) AS of_somebody_else;
ROLLBACK;

-- Series
SELECT array_agg(:'ten'::timestamptz + n * interval '7 days' ORDER BY n) AS starts
FROM generate_series(1, 3) AS n \gset
BEGIN;
SELECT clinic_test.act_as('patient');
SELECT ordinal, booking_id IS NOT NULL AS made, status, error_code
FROM wash.create_booking_series(NULL, :'visit', :'location', :'starts', :'doctor', idempotency_key => 'weekly');
SELECT ordinal, booking_id IS NOT NULL AS made, status, error_code
FROM wash.create_booking_series(NULL, :'visit', :'location', :'starts', :'doctor', idempotency_key => 'weekly');
SELECT clinic_test.refusal(format('SELECT * FROM wash.create_booking_series(NULL, %L, %L, %L, %L)', :'visit',
                                  :'location', :'starts', :'doctor')) AS again;
SELECT ordinal, booking_id IS NOT NULL AS made, error_code FROM wash.create_booking_series(NULL, :'visit', :'location',
    :'starts'::timestamptz[] || (:'ten'::timestamptz + interval '22 days'), :'doctor', mode => 'skip_conflicts');
COMMIT;
SELECT count(*), count(DISTINCT series_id)
FROM wash.list_bookings(customer_id => :'patient') AS b WHERE b.series_id IS NOT NULL;
SELECT clinic_test.refusal(
    format('SELECT * FROM wash.create_booking_series(%L, %L, %L, ''{}'')', :'patient', :'visit', :'location')) AS none;
SELECT clinic_test.refusal(format('SELECT * FROM wash.create_booking_series(%L, %L, %L, %L, mode => ''some'')',
                                  :'patient', :'visit', :'location', :'starts')) AS mode;

-- Payments: only their handler says that a booking is paid
SELECT clinic_test.refusal(format('UPDATE wash.bookings SET paid_at = now() WHERE id = %L', :'first')) AS by_hand;
CREATE FUNCTION clinic_test.pay(booking uuid, captured bigint, currency text DEFAULT 'EUR', refunded bigint DEFAULT 0)
    RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', booking,
                                                                  'transaction_id', 't1', 'captured_minor', captured,
                                                                  'refunded_minor', refunded, 'currency', currency,
                                                                  'payment_method', 'card'));
    RETURN (SELECT status || ' ' || coalesce(payment_method, 'unpaid') FROM wash.bookings WHERE id = booking);
END
$$;
SELECT clinic_test.pay(:'first', 7999) AS a_part, clinic_test.pay(:'first', 9000, 'EUR', 1001) AS refunded_below,
       clinic_test.pay(:'first', 8000, 'USD') AS other_currency, clinic_test.pay(:'first', 8000) AS all_of_it,
       clinic_test.pay(:'first', 8000) AS again;
SELECT action, changed_by_name <> '' AS is_named
FROM usher.status_history WHERE entity_id = :'first' AND to_status = 'confirmed';
SELECT status, refund_due_minor FROM wash.cancel_booking(:'first', 'other');
SELECT clinic_test.pay(:'first', 8000) AS too_late;
SELECT payload ->> 'reason' AS reason, payload ->> 'amount_minor' AS amount, payload ->> 'currency' AS currency
FROM usher.events
    WHERE event = 'booking.refund_proposed' AND key = :'first' ORDER BY id;
SELECT clinic_test.refusal(format('SELECT clinic_test.pay(%L, -1)', :'first')) AS negative;
SELECT usher.publish('payment.completed', '{"reference_type": "order"}') IS NOT NULL AS not_ours;

-- iCalendar
SELECT wash.confirm_booking(:'second') IS NOT NULL AS confirmed;
BEGIN;
SELECT clinic_test.act_as('other');
SELECT regexp_replace(line, '(UID|DTSTAMP|CREATED|LAST-MODIFIED|DTSTART|DTEND):.*', '\1:…') AS line
    FROM regexp_split_to_table(wash.export_booking_ical(:'second'), E'\r\n') AS line WHERE line <> '';
SELECT wash.export_booking_ical(:'second') LIKE '%UID:' || :'second' || E'\r\n%' AS uid,
    wash.export_booking_ical(:'second') LIKE '%DTSTART:' || to_char(:'ten'::timestamptz, 'YYYYMMDD"T"HH24MISS"Z"')
        || E'\r\n%' AS start;
SELECT clinic_test.refusal(format('SELECT wash.export_booking_ical(%L)', :'first')) AS of_somebody_else;
COMMIT;

-- Appointments: the booking and its first appointment are made together; the appointment claims
SELECT :'ten'::timestamptz + interval '3 hours' AS one \gset
BEGIN;
SELECT clinic_test.act_as('patient');
SELECT booking_id AS treatment, status FROM wash.create_booking(NULL, :'therapy', :'location', :'one', :'doctor') \gset
SELECT appointment_id AS session1, status, booking_status, practitioner_id = :'doctor' AS by_doctor,
       start_at = :'one' AS at_one, end_at - start_at AS length, (customer).name AS customer
    FROM wash.list_appointments() \gset
SELECT :'status' AS status, :'booking_status' AS booking_status, :'by_doctor' AS by_doctor, :'at_one' AS at_one,
       :'length' AS length;
SELECT clinic_test.refusal(format(
    'SELECT wash.schedule_appointment(%L, NULL, tstzrange(%L, %L::timestamptz + interval ''1 hour''))', :'treatment',
    :'one', :'one')) AS by_patient;
COMMIT;
SELECT count(*) FILTER (WHERE c.holder_id = :'session1') AS of_appointment, count(*) AS all_of_booking
FROM wash.booking_claims AS c WHERE c.booking_id = :'treatment';
SELECT clinic_test.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L, %L)', :'other', :'visit', :'location',
                                  :'one', :'doctor')) AS taken;
SELECT clinic_test.refusal(format('SELECT wash.transition_appointment(%L, ''arrived'')',
                                  :'session1')) AS not_confirmed;
SELECT status FROM wash.confirm_booking(:'treatment');
SELECT clinic_test.refusal(format('SELECT wash.start_booking(%L)', :'treatment')) AS by_the_booking;
-- repeated with its key, a session is read again, but not one of another booking that is remembered for the key
BEGIN;
SELECT format('SELECT wash.schedule_appointment(%L, %L, tstzrange(%L::timestamptz + interval ''1 day'', '
              '%L::timestamptz + interval ''25 hours''), ''of this patient'', ''planted'')', :'treatment', :'doctor', :'one', :'one') AS plan \gset
SELECT clinic_test.refusal(:'plan') AS first, clinic_test.refusal(:'plan') AS repeated;
SET LOCAL session_replication_role = replica;
UPDATE wash.appointments SET booking_id = usher.uuid_v7() WHERE notes = 'of this patient';
SET LOCAL session_replication_role = origin;
SELECT clinic_test.refusal(:'plan') AS of_another;
ROLLBACK;
BEGIN;
SELECT clinic_test.act_as('nurse');
SELECT status, booking_status, (practitioner).name AS practitioner, notes, version
FROM wash.schedule_appointment(:'treatment', :'doctor',
    tstzrange(:'one'::timestamptz + interval '1 day', :'one'::timestamptz + interval '25 hours'), 'second session');
SELECT clinic_test.refusal(
    format('SELECT wash.schedule_appointment(%L, %L, tstzrange(%L::timestamptz + interval ''24.5 hours'', '
           '%L::timestamptz + interval ''26 hours''))',
           :'treatment', :'doctor', :'one', :'one')) AS overlapping;
SELECT clinic_test.refusal(
    format('SELECT wash.schedule_appointment(%L, %L, tstzrange(%L::timestamptz + interval ''10 hours'', '
           '%L::timestamptz + interval ''11 hours''))',
           :'treatment', :'doctor', :'one', :'one')) AS after_work;
SELECT clinic_test.refusal(format('SELECT wash.transition_appointment(%L, ''arrived'')', :'session1')) AS another_day;
SELECT clinic_test.refusal(format('SELECT wash.transition_appointment(%L, ''no_show'')', :'session1')) AS too_early;
SELECT clinic_test.refusal(
    format('SELECT wash.transition_appointment(%L, ''cancelled'')', :'session1')) AS reason_is_missing;
COMMIT;
SELECT clinic_test.refusal(format('SELECT wash.reschedule_booking(%L, %L::timestamptz + interval ''1 hour'')',
                                  :'treatment', :'one')) AS of_two_sessions;
BEGIN;
SELECT clinic_test.act_as('doctor');
SELECT status, booking_status, version
FROM wash.transition_appointment(:'session1', 'in_progress', notes => 'begun early', expected_version => 1);
SELECT appointment_id AS session2
FROM wash.list_appointments(statuses => '{scheduled}') WHERE booking_id = :'treatment' \gset
SELECT clinic_test.refusal(
    format('SELECT wash.transition_appointment(%L, ''in_progress'')', :'session2')) AS one_at_a_time;
SELECT clinic_test.refusal(
    format('SELECT wash.transition_appointment(%L, ''completed'', expected_version => 1)', :'session1')) AS stale;
SELECT status, booking_status FROM wash.transition_appointment(:'session1', 'completed');
SELECT clinic_test.refusal(
    format('SELECT wash.transition_appointment(%L, ''completed'')', :'session1')) AS completed_already;
SELECT clinic_test.refusal(
    format('UPDATE wash.appointments SET status = ''arrived'' WHERE id = %L', :'session1')) AS by_raw_sql;
COMMIT;
BEGIN;
SELECT clinic_test.act_as('patient');
SELECT status, booking_status FROM wash.transition_appointment(:'session2', 'cancelled');
COMMIT;
SELECT to_status, action, reason_code FROM usher.status_history WHERE entity_id = :'treatment' ORDER BY seq;
SELECT status, cancellation_reason, notes FROM wash.appointments WHERE booking_id = :'treatment' ORDER BY start_at;
SELECT event FROM usher.events WHERE key IN (:'session1', :'session2', :'treatment') ORDER BY id;
-- a cancelled booking takes its appointment along; a moved one too
SELECT booking_id AS treatment, start_at
FROM wash.create_booking(:'patient', :'therapy', :'location', :'ten'::timestamptz + interval '4 days', :'doctor') \gset
SELECT start_at - :'start_at'::timestamptz AS moved_by
FROM wash.reschedule_booking(:'treatment', :'start_at'::timestamptz + interval '1 hour');
SELECT a.start_at - :'start_at'::timestamptz AS moved_by, a.status
FROM wash.appointments AS a WHERE a.booking_id = :'treatment';
SELECT status FROM wash.cancel_booking(:'treatment', 'weather');
SELECT status, cancellation_reason, occupies FROM wash.appointments WHERE booking_id = :'treatment';
SELECT count(*) FROM wash.booking_claims WHERE booking_id = :'treatment';
-- the practitioner leaves
SELECT booking_id AS treatment
FROM wash.create_booking(:'patient', :'therapy', :'location', :'ten'::timestamptz + interval '5 days', :'doctor') \gset
SELECT usher.revoke_role(:'doctor', 'staff') AS revoked;
SELECT b.staff_id, a.practitioner_id, a.status
FROM wash.bookings AS b JOIN wash.appointments AS a ON a.booking_id = b.id WHERE b.id = :'treatment';
SELECT is_active FROM wash.location_staff WHERE staff_id = :'doctor';

-- Lists, by keyset; rows by row-level security
SELECT usher.grant_role(:'doctor', 'staff') AS granted;
SELECT role, is_active FROM wash.assign_staff(:'location', :'doctor', 'staff');
SELECT (staff).name, role, bookable, jsonb_array_length(hours) AS hours, service_ids, time_off
FROM wash.list_staff(:'location') ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM wash.list_staff(:'location', max_rows => 2)) AS page1,
    LATERAL (SELECT max(staff_id::text)::uuid AS last FROM wash.list_staff(:'location', max_rows => 2)) AS p,
    LATERAL wash.list_staff(:'location', after => p.last) AS page2;
SELECT name, phone, user_id FROM wash.upsert_customer(name => 'Walk-in of the clinic', phone => '030 1234');
SELECT name FROM wash.list_customers('walk-in of');
CREATE ROLE regress_clinic_app;
SELECT usher.grant_access('regress_clinic_app', 'application');
GRANT USAGE ON SCHEMA clinic_test TO regress_clinic_app;
GRANT SELECT ON clinic_test.people TO regress_clinic_app;
SET ROLE regress_clinic_app;
SELECT count(*) FROM wash.appointments;
BEGIN;
SELECT clinic_test.act_as('patient');
SELECT count(*) > 3 AS own, bool_and(customer_id = clinic_test.id_of('patient')) AS only_own FROM wash.appointments;
SELECT count(*) FROM wash.list_customers();
COMMIT;
BEGIN;
SELECT clinic_test.act_as('other');
SELECT count(*) FROM wash.appointments;
SELECT clinic_test.refusal(format('SELECT wash.transition_appointment(%L, ''cancelled'')', :'session1')) AS not_there;
COMMIT;
BEGIN;
SELECT clinic_test.act_as('nurse');
SELECT count(*) > 3 AS all_of_the_front_desk,
       count(*) = (SELECT count(*) FROM wash.list_appointments()) AS as_by_function FROM wash.appointments;
SELECT count(*) > 0 AS its_patients FROM wash.customers WHERE id = clinic_test.id_of('patient');
COMMIT;
RESET ROLE;

-- Over HTTP
CREATE FUNCTION clinic_test.http(who text, method text, path text, document jsonb DEFAULT NULL,
                                 query text DEFAULT NULL)
    RETURNS TABLE (status integer, content_type text, body text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT r.status,
            (SELECT h ->> 1 FROM jsonb_array_elements(r.headers) AS h WHERE h ->> 0 = 'Content-Type'), r.body
        FROM usher.http_request(http.method, http.path, http.query,
                                jsonb_build_object('content-type', 'application/json', 'authorization',
            'Bearer ' || (SELECT p.token FROM clinic_test.people AS p WHERE p.name = who)), http.document::text) AS r;
END
$$;
SELECT status, body::jsonb -> 'items' -> 0 ->> 'role' AS role
FROM clinic_test.http('manager', 'GET', format('/locations/%s/staff', :'location'), query => 'max_rows=1');
SELECT status, body FROM clinic_test.http('manager', 'PUT', format(
    '/locations/%s/staff/%s/hours', :'location', :'doctor'), '{"weekdays": [1, 2], "periods": [["08:00", "12:00"]]}');
SELECT status, body::jsonb ->> 'code' AS code
FROM clinic_test.http('patient', 'PUT', format('/locations/%s/staff/%s/hours', :'location', :'doctor'),
                      '{"weekdays": [1], "periods": []}');
SELECT status, body FROM clinic_test.http('manager', 'PUT', format('/locations/%s/hours', :'location'),
                                          '{"weekdays": [7], "periods": [{"opens": "10:00", "closes": "14:00"}]}');
SELECT status, body FROM clinic_test.http('manager', 'PUT', format('/locations/%s/exceptions/2031-12-25', :'location'),
                                          '{"periods": [], "note": "Christmas"}');
SELECT status, body::jsonb ->> 'name' AS name
FROM clinic_test.http('manager', 'PATCH', format('/locations/%s', :'location'), '{"changes": {"name": "Practice 2"}}');
SELECT status, jsonb_array_length(body::jsonb -> 'items') > 0 AS has_items
FROM clinic_test.http('patient', 'GET', '/appointments');
SELECT status, body::jsonb ->> 'code' AS code
FROM clinic_test.http('patient', 'POST', format('/appointments/%s/transition', :'session1'),
                      '{"to_status": "arrived"}');
SELECT status, jsonb_array_length(body::jsonb -> 'items') > 5 AS has_rules
FROM clinic_test.http('patient', 'GET', '/slots/explain', query => format(
    'location_id=%s&service_id=%s&start_at=2031-01-01T10:00:00Z', :'location', :'visit'));
SELECT status, content_type, left(body, 15) AS begin, body LIKE '%UID:' || :'second' || '%' AS uid
FROM clinic_test.http('other', 'GET', format('/bookings/%s.ics', :'second'));
SELECT status, content_type FROM clinic_test.http('other', 'GET', format('/bookings/%s.ics', :'first'));
SELECT status, content_type FROM clinic_test.http('other', 'GET', format('/bookings/%s', :'second'));
SELECT usher.openapi() #> ARRAY['paths', '/bookings/{booking_id}.ics', 'get', 'responses', '200',
                                'content'] AS openapi;
SELECT * FROM wash._booking_self_check() WHERE violations > 0;

DROP OWNED BY regress_clinic_app;
DELETE FROM usher.database_roles WHERE role_name = 'regress_clinic_app';
DROP ROLE regress_clinic_app;
DELETE FROM wash.bookings WHERE location_id = :'location';
DELETE FROM wash.customers WHERE name = 'Walk-in of the clinic' OR user_id IN (SELECT id FROM clinic_test.people);
DELETE FROM wash.locations WHERE id = :'location';
DELETE FROM wash.services WHERE id IN (:'visit', :'therapy');
DELETE FROM usher.users WHERE id IN (SELECT id FROM clinic_test.people);
DROP SCHEMA clinic_test CASCADE;

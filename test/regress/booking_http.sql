-- Every route of usher_booking, called over HTTP by those whom it is for, and once by somebody else.
SET client_min_messages = warning;
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET TimeZone = 'UTC';

CREATE SCHEMA http_test;
CREATE TABLE http_test.people (name text PRIMARY KEY, id uuid, token text);
CREATE TABLE http_test.called (method text, path_template text, status integer);
CREATE TYPE http_test.answer AS (status integer, headers jsonb, body jsonb);
-- Names in braces in path, query and document stand for ids that were kept.
CREATE TABLE http_test.kept (name text PRIMARY KEY, id text);
CREATE FUNCTION http_test.fill(template text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    k record;
BEGIN
    FOR k IN SELECT name, id FROM http_test.kept UNION ALL SELECT name, id::text FROM http_test.people LOOP
        template := replace(template, '{' || k.name || '}', k.id);
    END LOOP;
    RETURN template;
END
$$;
CREATE FUNCTION http_test.call(who text, method text, path text, document text DEFAULT NULL,
                               headers jsonb DEFAULT '{}', keep text DEFAULT NULL)
    RETURNS http_test.answer LANGUAGE plpgsql AS $$
DECLARE
    answer record;
    query text := http_test.fill(split_part(path, '?', 2));
    result http_test.answer;
BEGIN
    SELECT * INTO answer FROM usher.http_request(method, http_test.fill(split_part(path, '?', 1)), nullif(query, ''),
        jsonb_build_object('content-type', 'application/json') || headers
            || CASE WHEN who = 'nobody' THEN '{}' ELSE jsonb_build_object(
                'authorization', 'Bearer ' || (SELECT p.token FROM http_test.people AS p WHERE p.name = who)) END,
        http_test.fill(document));
    INSERT INTO http_test.called SELECT call.method, h ->> 1, answer.status
    FROM jsonb_array_elements(answer.headers) AS h WHERE h ->> 0 = 'usher-route';
    result := ROW(answer.status,
        (SELECT jsonb_object_agg(h ->> 0, h ->> 1) FROM jsonb_array_elements(answer.headers) AS h),
        CASE WHEN answer.body ~ '^[{\[]' THEN answer.body::jsonb ELSE to_jsonb(answer.body) END)::http_test.answer;
    IF keep IS NOT NULL THEN
        INSERT INTO http_test.kept
        VALUES (keep, coalesce(result.body ->> 'appointment_id', result.body ->> 'booking_id',
                               result.body ->> 'time_off_id', result.body ->> 'id'))
            ON CONFLICT (name) DO UPDATE SET id = excluded.id;
    END IF;
    RETURN result;
END
$$;
SELECT usher.apply_role_preset('carwash');
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['admin', 'manager', 'washer', 'washer2', 'client', 'client2'] LOOP
        made := (usher.register_user('http-' || person || '@example.com', 'long enough to be good', person)).user_id;
        INSERT INTO http_test.people VALUES (person, made, usher.issue_token(made));
        DELETE FROM usher.user_roles WHERE user_id = made;
        PERFORM usher.grant_role(made, rtrim(person, '2'));
    END LOOP;
END
$$;
-- ten o'clock at the place, in so many days
CREATE FUNCTION http_test.keep_time(name text, days integer, hour integer) RETURNS text LANGUAGE sql AS $$
    INSERT INTO http_test.kept
    VALUES (name, to_char(
        (((now() AT TIME ZONE 'Europe/Berlin')::date + days) + hour * interval '1 hour') AT TIME ZONE 'Europe/Berlin',
        'YYYY-MM-DD"T"HH24:MI:SS"Z"')) RETURNING name
$$;
SELECT http_test.keep_time('nine', 3, 9), http_test.keep_time('ten', 3, 10), http_test.keep_time(
    'noon', 3, 12), http_test.keep_time('evening', 3, 21), http_test.keep_time('next_ten', 4, 10), http_test.keep_time(
        'next_eleven', 4, 11), http_test.keep_time('third_ten', 5, 10), http_test.keep_time('third_eleven', 5, 11),
    http_test.keep_time('fourth_ten', 6, 10);

-- Administration of services
SELECT status, body ->> 'name' AS name, body ->> 'duration_minutes' AS minutes, body ->> 'version' AS version
    FROM http_test.call('admin', 'POST',
                        '/services', '{"name": "Wash", "duration": "PT30M", "price_minor": 2500, "currency": "EUR"}',
                        keep => 'wash');
SELECT status, body ->> 'by_appointment' AS by_appointment
    FROM http_test.call('admin', 'POST', '/services',
                        '{"name": "Detailing", "duration": "PT1H", "price_minor": 9000, "currency": "EUR", '
                        '"by_appointment": true}',
                        keep => 'detailing');
SELECT status, body ->> 'code' AS code FROM http_test.call(
    'client', 'POST', '/services', '{"name": "Mine", "duration": "PT30M", "price_minor": 1, "currency": "EUR"}');
SELECT status, body ->> 'price_minor' AS price, body ->> 'version' AS version
    FROM http_test.call('admin', 'PATCH', '/services/{wash}',
                        '{"changes": {"price_minor": 3000}, "expected_version": 1}');
SELECT status, body ->> 'code' AS code
FROM http_test.call('admin', 'PATCH', '/services/{wash}', '{"changes": {"price_minor": 1}, "expected_version": 1}');
SELECT status, body ->> 'is_active' AS is_active
FROM http_test.call('admin', 'PUT', '/services/{detailing}/active', '{"is_active": false}');
SELECT status, body ->> 'is_active' AS is_active
FROM http_test.call('admin', 'PUT', '/services/{detailing}/active', '{"is_active": true}');

-- Administration of locations, their hours and their staff
SELECT status, body ->> 'name' AS name, body ->> 'country' AS country
FROM http_test.call('admin', 'POST', '/locations',
                    '{"name": "Corner", "address": "1 Road", "city": "Berlin", "state": "BE", "zip_code": "10115", '
                    '"country": "DE", "time_zone": "Europe/Berlin"}',
                    keep => 'place');
SELECT status, body ->> 'max_concurrent_bookings' AS places
FROM http_test.call('admin', 'PATCH', '/locations/{place}', '{"changes": {"max_concurrent_bookings": 3}}');
SELECT status, body ->> 'is_active' AS is_active
FROM http_test.call('admin', 'PUT', '/locations/{place}/active', '{"is_active": true}');
SELECT status, body
FROM http_test.call('admin', 'PUT', '/locations/{place}/services', '{"service_ids": ["{wash}", "{detailing}"]}');
SELECT status, body ->> 'role' AS role, body ->> 'bookable' AS bookable
FROM http_test.call('admin', 'POST', '/locations/{place}/staff', '{"staff_id": "{manager}", "role": "manager"}');
SELECT status, body FROM http_test.call('manager', 'PUT', '/locations/{place}/hours',
                                        '{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": [["08:00", "20:00"]]}');
SELECT status, body FROM http_test.call('manager', 'PUT', '/locations/{place}/exceptions/2031-12-25',
                                        '{"periods": [], "note": "Christmas"}');
SELECT status, body ->> 'role' AS role
FROM http_test.call('admin', 'POST', '/locations/{place}/staff', '{"staff_id": "{washer}", "role": "washer"}');
SELECT status, body ->> 'role' AS role
FROM http_test.call('admin', 'POST', '/locations/{place}/staff', '{"staff_id": "{washer2}", "role": "washer"}');
SELECT status, body FROM http_test.call('manager', 'PUT', '/locations/{place}/staff/{washer}/hours',
                                        '{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": [["08:00", "18:00"]]}');
SELECT status, body FROM http_test.call('admin', 'PUT', '/staff/{washer2}/skills', '{"service_ids": ["{wash}"]}');
SELECT status, body ->> 'conflicting_bookings' AS conflicting
FROM http_test.call('manager', 'POST', '/staff/{washer}/time-off',
    '{"during": "[2031-07-01,2031-07-15)", "reason": "holiday"}', keep => 'off');
SELECT status, i ->> 'role' AS role, jsonb_array_length(i -> 'hours') AS hours,
       jsonb_array_length(i -> 'service_ids') AS skills, jsonb_array_length(i -> 'time_off') AS off
    FROM http_test.call('manager', 'GET', '/locations/{place}/staff'), jsonb_array_elements(body -> 'items') AS i
    ORDER BY i ->> 'staff_id';
SELECT status, body ->> 'code' AS code FROM http_test.call('client', 'GET', '/locations/{place}/staff');
SELECT status, body FROM http_test.call('manager', 'DELETE', '/staff/time-off/{off}');

-- What anybody may look at
SELECT status, i ->> 'name' AS name, i ->> 'price_minor' AS price
FROM http_test.call('nobody', 'GET', '/services?location_id={place}'), jsonb_array_elements(body -> 'items') AS i
ORDER BY 2;
SELECT status, i ->> 'name' AS name, i ->> 'time_zone' AS zone
FROM http_test.call('nobody', 'GET', '/locations?max_rows=1000'), jsonb_array_elements(body -> 'items') AS i
    WHERE i ->> 'id' = http_test.fill('{place}');
SELECT status, count(*) AS slots, min(i ->> 'local_start') IS NOT NULL AS has_local_start,
       min(jsonb_array_length(i -> 'staff_ids')) AS fewest, max(jsonb_array_length(i -> 'staff_ids')) AS most
    FROM http_test.call('nobody', 'GET', '/slots?location_id={place}&service_id={wash}&window_start={nine}&window_end={evening}&max_rows=100'),
        jsonb_array_elements(body -> 'items') AS i GROUP BY status;
SELECT status, body ->> 'code' AS code FROM http_test.call('nobody', 'GET', '/bookings');

-- A customer books: the same key gives the same booking
SELECT status, string_agg(i ->> 'rule', ' ') FILTER (WHERE NOT (i ->> 'ok')::boolean) AS broken, count(*) AS rules
    FROM http_test.call('client', 'GET', '/slots/explain?location_id={place}&service_id={wash}&start_at={evening}'),
         jsonb_array_elements(body -> 'items') AS i GROUP BY status;
SELECT status, body ->> 'status' AS booking, body ->> 'price_minor' AS price, body ->> 'replayed' AS replayed
FROM http_test.call('client', 'POST', '/bookings',
                    '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{ten}", "staff_id": "{washer}", '
                    '"vehicle_info": {"plate": "B-US 1"}}',
                    '{"idempotency-key": "k1"}', 'booking');
SELECT status, body ->> 'replayed' AS replayed, body ->> 'booking_id' = http_test.fill('{booking}') AS same
FROM http_test.call('client', 'POST', '/bookings',
                    '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{ten}", "staff_id": "{washer}", '
                    '"vehicle_info": {"plate": "B-US 1"}}',
                    '{"idempotency-key": "k1"}');
SELECT status, body ->> 'code' AS code FROM http_test.call('client', 'POST', '/bookings',
    '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{noon}"}', '{"idempotency-key": "k1"}');
SELECT status, body ->> 'code' AS code FROM http_test.call('client2', 'POST', '/bookings',
    '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{ten}", "staff_id": "{washer}"}');
SELECT status, i ->> 'ordinal' AS ordinal, i ->> 'status' AS booking, i ->> 'error_code' AS error
FROM http_test.call('client', 'POST', '/bookings/series',
                    '{"service_id": "{wash}", "location_id": "{place}", "starts": ["{next_ten}", "{third_ten}"], '
                    '"staff_id": "{washer}"}'),
     jsonb_array_elements(body -> 'items') AS i;
-- too many of one user
BEGIN;
SELECT usher.define_rate_limit('booking.create', 'fixed_window', 1, '1 hour');
SELECT status FROM http_test.call('client2', 'POST', '/bookings',
                                  '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{noon}"}');
SELECT status, body ->> 'code' AS code, headers ? 'Retry-After' AS says_when FROM http_test.call(
    'client2', 'POST', '/bookings', '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{noon}"}');
ROLLBACK;

-- Reading: one, all by keyset, history, calendar; not by others
SELECT status, body ->> 'status' AS booking, body -> 'customer' ->> 'name' AS customer,
       body -> 'washer' ->> 'name' AS washer, body ->> 'service_name' AS service, body -> 'vehicle_info' AS vehicle
    FROM http_test.call('client', 'GET', '/bookings/{booking}');
SELECT status, body ->> 'code' AS code FROM http_test.call('client2', 'GET', '/bookings/{booking}');
SELECT status, jsonb_array_length(body -> 'items') AS bookings,
       body #>> '{items,0,booking_id}' = http_test.fill('{booking}') AS earliest_first
    FROM http_test.call('client', 'GET', '/bookings?max_rows=1');
SELECT status, jsonb_array_length(body -> 'items') AS bookings, body @> jsonb_build_object(
    'items', jsonb_build_array(jsonb_build_object('booking_id', http_test.fill('{booking}')))) AS again
    FROM http_test.call('client', 'GET', '/bookings?max_rows=2&after={booking}');
SELECT status, jsonb_array_length(body -> 'items') AS of_others FROM http_test.call('client2', 'GET', '/bookings');
SELECT status, jsonb_array_length(body -> 'items') AS of_the_place
FROM http_test.call('manager', 'GET', '/bookings?location_id={place}&statuses=pending');
SELECT status, i ->> 'seq' AS seq, i ->> 'to_status' AS to_status, i -> 'changed_by' ->> 'name' AS changed_by
    FROM http_test.call('client', 'GET', '/bookings/{booking}/history'), jsonb_array_elements(body -> 'items') AS i;
SELECT status, headers ->> 'Content-Type' AS content_type,
       body #>> '{}' LIKE E'BEGIN:VCALENDAR\r\n%STATUS:TENTATIVE%' AS is_tentative
FROM http_test.call('client', 'GET', '/bookings/{booking}.ics');

-- Working on them
SELECT status, body ->> 'code' AS code FROM http_test.call('client', 'POST', '/bookings/{booking}/confirm', '{}');
SELECT status, body ->> 'status' AS booking, body ->> 'version' AS version
FROM http_test.call('manager', 'POST', '/bookings/{booking}/confirm', '{"expected_version": 1}');
SELECT status, body ->> 'start_at' = http_test.fill('{noon}')
    OR (body ->> 'start_at')::timestamptz = http_test.fill('{noon}')::timestamptz AS at_noon
    FROM http_test.call('client', 'POST', '/bookings/{booking}/reschedule', '{"start_at": "{noon}"}');
SELECT status, body ->> 'staff_id' = http_test.fill('{washer2}') AS given
FROM http_test.call('manager', 'POST', '/bookings/{booking}/reassign', '{"staff_id": "{washer2}"}');
SELECT status
FROM http_test.call('client2', 'POST', '/bookings',
                    '{"service_id": "{wash}", "location_id": "{place}", "start_at": "{nine}", "staff_id": "{washer}"}',
                    keep => 'other');
SELECT status, jsonb_array_length(body -> 'items') AS swapped,
       body #>> '{items,0,booking_id}' = http_test.fill('{booking}') AS comes_first
    FROM http_test.call('manager', 'POST', '/bookings/swap', '{"booking_a": "{booking}", "booking_b": "{other}"}');
SELECT status, body ->> 'status' AS booking FROM http_test.call('washer', 'POST', '/bookings/{booking}/start', '{}');
SELECT status, body ->> 'status' AS booking
FROM http_test.call('washer', 'POST', '/bookings/{booking}/complete', '{"notes": "spotless"}');
SELECT status, body ->> 'code' AS code FROM http_test.call('client', 'POST', '/bookings/{booking}/cancel', '{}');
SELECT status, body ->> 'status' AS booking, body ->> 'refund_due_minor' AS refund
FROM http_test.call('client2', 'POST', '/bookings/{other}/cancel', '{}');
SELECT status, jsonb_array_length(body -> 'items') AS steps, body #>> '{items,-1,notes}' AS notes
FROM http_test.call('washer', 'GET', '/bookings/{booking}/history');

-- Appointments
SELECT status, body ->> 'status' AS booking FROM http_test.call(
    'client', 'POST', '/bookings',
    '{"service_id": "{detailing}", "location_id": "{place}", "start_at": "{fourth_ten}", "staff_id": "{washer}"}',
    keep => 'treatment');
SELECT status FROM http_test.call('manager', 'POST', '/bookings/{treatment}/confirm', '{}');
SELECT status, body ->> 'code' AS code FROM http_test.call('manager', 'POST', '/bookings/{treatment}/appointments',
                                                           '{"during": "[{next_eleven},{next_eleven})"}');
SELECT http_test.keep_time('next_noon', 4, 12);
SELECT status, body ->> 'status' AS appointment, body -> 'practitioner' ->> 'name' AS practitioner
FROM http_test.call('manager', 'POST', '/bookings/{treatment}/appointments',
    '{"during": "[{next_eleven},{next_noon})", "notes": "second session"}', keep => 'session');
SELECT status, i ->> 'status' AS appointment, i ->> 'booking_status' AS booking, i ->> 'notes' AS notes
    FROM http_test.call('client', 'GET', '/appointments?booking_id={treatment}'),
         jsonb_array_elements(body -> 'items') AS i;
SELECT status, jsonb_array_length(body -> 'items') AS of_others FROM http_test.call('client2', 'GET', '/appointments');
SELECT status, body ->> 'status' AS appointment, body ->> 'booking_status' AS booking
FROM http_test.call('washer', 'POST', '/appointments/{session}/transition', '{"to_status": "in_progress"}');
SELECT status, body ->> 'status' AS appointment, body ->> 'booking_status' AS booking
FROM http_test.call('washer', 'POST', '/appointments/{session}/transition', '{"to_status": "completed"}');

-- Customers
SELECT status, body ->> 'name' AS name FROM http_test.call(
    'manager', 'POST', '/customers', '{"name": "Walter of the corner", "phone": "030 1"}', keep => 'walk_in');
SELECT status, body ->> 'status' AS booking FROM http_test.call(
    'manager', 'POST', '/bookings',
    '{"customer_id": "{walk_in}", "service_id": "{wash}", "location_id": "{place}", "start_at": "{third_eleven}"}');
SELECT status, i ->> 'name' AS name, i ->> 'phone' AS phone
FROM http_test.call('manager', 'GET', '/customers?search=walter%20of%20the'),
     jsonb_array_elements(body -> 'items') AS i;
SELECT status, body ->> 'code' AS code
FROM http_test.call('client', 'POST', '/customers', '{"name": "Somebody else"}');
SELECT status, body ->> 'is_active' AS is_active, body ->> 'deleted_at' IS NOT NULL AS has_time
FROM http_test.call('manager', 'PUT', '/customers/{walk_in}/active', '{"is_active": false}');
SELECT status, body ->> 'is_active' AS is_active, body ->> 'deleted_at' IS NOT NULL AS has_time
FROM http_test.call('manager', 'PUT', '/customers/{walk_in}/active', '{"is_active": true}');
SELECT status, body ->> 'code' AS code FROM http_test.call('client', 'PUT', '/customers/{walk_in}/active', '{"is_active": false}');

-- Shorter hours, and somebody who leaves
SELECT status FROM http_test.call('manager', 'PUT', '/locations/{place}/hours',
                                  '{"weekdays": [1, 2, 3, 4, 5, 6, 7], "periods": [["11:00", "20:00"]]}');
SELECT status, jsonb_array_length(body -> 'items') AS outside
FROM http_test.call('manager', 'GET', '/locations/{place}/bookings-outside-hours');
SELECT status, body ->> 'is_active' AS is_active, body ->> 'needs_staff' AS needs_staff
FROM http_test.call('admin', 'DELETE', '/locations/{place}/staff/{washer}');

-- Every one was called, and did what it is for at least once
SELECT method, path_template FROM usher.list_routes()
WHERE tag = 'booking' EXCEPT SELECT method, path_template FROM http_test.called WHERE status IN (200, 201);
SELECT count(*) AS routes FROM usher.list_routes() WHERE tag = 'booking';
SELECT * FROM wash._booking_self_check() WHERE violations > 0;

DELETE FROM wash.bookings WHERE location_id = http_test.fill('{place}')::uuid;
DELETE
FROM wash.customers WHERE id = http_test.fill('{walk_in}')::uuid OR user_id IN (SELECT id FROM http_test.people);
DELETE FROM wash.locations WHERE id = http_test.fill('{place}')::uuid;
DELETE FROM wash.services WHERE id IN (http_test.fill('{wash}')::uuid, http_test.fill('{detailing}')::uuid);
DELETE FROM usher.users WHERE id IN (SELECT id FROM http_test.people);
DROP SCHEMA http_test CASCADE;

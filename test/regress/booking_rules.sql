-- The rules of bookings one by one, each with the case on both sides of it, and what was decided where a rule could
-- have been another.
SET client_min_messages = warning;
SET DateStyle = ISO;
SET IntervalStyle = postgres;
SET TimeZone = 'UTC';

CREATE SCHEMA rules_test;
CREATE TABLE rules_test.people (name text PRIMARY KEY, id uuid, token text);
CREATE FUNCTION rules_test.id_of(who text)
    RETURNS uuid LANGUAGE sql AS 'SELECT id FROM rules_test.people WHERE name = who';
-- What a statement answers to somebody: "ok", or why not.
CREATE FUNCTION rules_test.as(who text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    IF who <> 'database' THEN
        PERFORM usher.authenticate((SELECT p.token FROM rules_test.people AS p WHERE p.name = who));
    END IF;
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        RETURN SQLSTATE || ' ' || CASE WHEN detail LIKE '{%' THEN coalesce(
            detail::jsonb ->> 'reason', detail::jsonb ->> 'rule', SQLERRM) ELSE SQLERRM END;
END
$$;
SELECT usher.apply_role_preset('carwash');
DO $$
DECLARE
    person text;
    made uuid;
BEGIN
    FOREACH person IN ARRAY ARRAY['admin', 'manager', 'washer', 'washer2', 'washer3', 'client', 'client2'] LOOP
        made := (usher.register_user('rules-' || person || '@example.com', 'long enough to be good', person)).user_id;
        INSERT INTO rules_test.people VALUES (person, made, usher.issue_token(made));
        DELETE FROM usher.user_roles WHERE user_id = made;
        PERFORM usher.grant_role(made, rtrim(person, '23'));
    END LOOP;
END
$$;
SELECT id AS location FROM wash.create_location('Rules', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin',
                                                max_concurrent_bookings => 4) \gset
SELECT id AS elsewhere
FROM wash.create_location('Elsewhere', '2 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Rules', '1 hour', 1000, 'EUR') \gset
SELECT id AS other FROM wash.create_service('Not here', '1 hour', 1000, 'EUR') \gset
SELECT count(wash.set_location_hours(l, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'))
FROM unnest(ARRAY[:'location', :'elsewhere']::uuid[]) AS l;
SELECT count(wash.set_location_services(l, ARRAY[:'service'::uuid]))
FROM unnest(ARRAY[:'location', :'elsewhere']::uuid[]) AS l;
SELECT count(wash.assign_staff(:'location', rules_test.id_of(w), 'washer'))
FROM unnest(ARRAY['washer', 'washer2', 'washer3']) AS w;
SELECT role FROM wash.assign_staff(:'location', rules_test.id_of('manager'), 'manager');
-- every moment of a test is this one, at ten o'clock in so many days
CREATE FUNCTION rules_test.ten(days integer DEFAULT 3, minutes integer DEFAULT 0) RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT ((now() AT TIME ZONE 'Europe/Berlin')::date + days + time '10:00') AT TIME ZONE 'Europe/Berlin' + minutes * interval '1 minute' $$;
CREATE TABLE rules_test.at AS SELECT :'service'::uuid AS service, :'location'::uuid AS location;
CREATE FUNCTION rules_test.book(who text, days integer DEFAULT 3, minutes integer DEFAULT 0, staff text DEFAULT NULL)
    RETURNS uuid LANGUAGE sql AS
    $$
        SELECT (wash.create_booking(rules_test.id_of(who), at.service, at.location, rules_test.ten(days, minutes),
                                    rules_test.id_of(staff))).booking_id FROM rules_test.at
    $$;
CREATE FUNCTION rules_test.pay(booking uuid, minor bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.publish('payment.completed',
                          jsonb_build_object('reference_type', 'booking', 'reference_id', booking,
                                             'transaction_id', 't', 'captured_minor', minor, 'refunded_minor', 0,
                                             'currency', 'EUR', 'payment_method', 'card'));
    RETURN (SELECT status || CASE WHEN paid_at IS NULL THEN ', unpaid' ELSE ', paid' END
                || CASE WHEN hold_expires_at IS NULL THEN '' ELSE ', held' END
        FROM wash.bookings WHERE id = booking);
END
$$;
CREATE FUNCTION rules_test.refunds(booking uuid) RETURNS SETOF text LANGUAGE sql AS
    $$
        SELECT payload ->> 'reason'
        FROM usher.events WHERE event = 'booking.refund_proposed' AND key = booking::text ORDER BY id
    $$;

-- BR2: the service is offered there, the service and the place are active
SELECT rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten())', :'other',
                                      :'location')) AS not_offered_here;
BEGIN;
SELECT is_active FROM wash.set_service_active(:'service', false);
SELECT rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten())', :'service',
                                      :'location')) AS not_offered_any_more;
ROLLBACK;
BEGIN;
SELECT is_active FROM wash.set_location_active(:'location', false);
SELECT rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten())', :'service',
                                      :'location')) AS closed_for_good;
ROLLBACK;

-- BR3: staff work there, in a role they still have, and know how
BEGIN;
SELECT added, removed FROM wash.set_staff_skills(rules_test.id_of('washer'), ARRAY[:'other'::uuid]);
SELECT rules_test.as('database', $$SELECT rules_test.book('client', staff => 'washer')$$) AS not_skilled;
SELECT added, removed FROM wash.set_staff_skills(rules_test.id_of('washer'), ARRAY[:'other', :'service']::uuid[]);
SELECT rules_test.as('database', $$SELECT rules_test.book('client', staff => 'washer')$$) AS skilled;
ROLLBACK;
BEGIN;
SELECT (wash.create_booking(rules_test.id_of('client'), :'service', :'elsewhere', rules_test.ten(),
                            staff_policy => 'none')).status AS without_staff;
SELECT rules_test.as('database', format(
    'SELECT wash.create_booking(rules_test.id_of(''client2''), %L, %L, rules_test.ten(), '
    'rules_test.id_of(''washer''))', :'service',
    :'elsewhere')) AS of_another_place;
ROLLBACK;

-- BR4: half open: one ends when the next begins; the end is the start and the duration
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT rules_test.as('database',
                     $$SELECT rules_test.book('client2', minutes => 59, staff => 'washer')$$) AS a_minute_early,
       rules_test.as('database',
                     $$SELECT rules_test.book('client2', minutes => 60, staff => 'washer')$$) AS at_the_end;
SELECT during = tstzrange(start_at, start_at + interval '1 hour', '[)') AS half_open
FROM wash.bookings WHERE id = :'first';
ROLLBACK;

-- BR6: the peak counts, not how many touch it. Two short ones after each other take one place of a long one.
BEGIN;
SELECT (wash.update_location(:'location', '{"max_concurrent_bookings": 2}')).max_concurrent_bookings;
SELECT count(rules_test.book('client', minutes => n * 60, staff => 'washer')) AS one_after_the_other
FROM generate_series(0, 1) AS n;
SELECT id AS long FROM wash.create_service('Long', '2 hours', 1000, 'EUR') \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service', :'long']::uuid[]);
SELECT rules_test.as('database', format(
    'SELECT wash.create_booking(rules_test.id_of(''client2''), %L, %L, rules_test.ten(), '
    'rules_test.id_of(''washer2''))', :'long',
    :'location')) AS fits;
SELECT rules_test.as('database', $$SELECT rules_test.book('manager', minutes => 30, staff => 'washer3')$$) AS full;
-- fewer places than are taken: what exists goes on, new ones have to wait
SELECT (wash.update_location(:'location', '{"max_concurrent_bookings": 1}')).max_concurrent_bookings;
SELECT status FROM wash.confirm_booking((SELECT id FROM wash.bookings WHERE service_id = :'long'));
SELECT rules_test.pay(id, 1000)
FROM wash.bookings WHERE location_id = :'location' AND start_at = rules_test.ten(3, 60);
SELECT rules_test.as('database', $$SELECT rules_test.book('manager', minutes => 60, staff => 'washer3')$$) AS new_one;
ROLLBACK;

-- BR7: customers are in one place at a time, whatever part of the time it is; unless the service says otherwise
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT rules_test.as('database', $$SELECT rules_test.book('client', minutes => 45, staff => 'washer2')$$) AS end_of_it,
       rules_test.as('database',
                     $$SELECT rules_test.book('client', minutes => -45, staff => 'washer2')$$) AS begin_of_it;
ROLLBACK;
BEGIN;
SELECT (wash.update_service(:'service', '{"customer_exclusive": false}')).customer_exclusive;
SELECT count(rules_test.book('client', staff => w)) AS at_once FROM unnest(ARRAY['washer', 'washer2']) AS w;
ROLLBACK;

-- BR8: the whole of it inside the hours of the place
BEGIN;
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["09:00", "11:30"], ["22:00", "02:00"]]');
SELECT rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten(3, 30))', :'service',
                                      :'location')) AS until_closing,
    rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten(3, 45))', :'service',
                                   :'location')) AS over_closing,
    rules_test.as('client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten(3, 810))', :'service',
                                   :'location')) AS over_midnight;
ROLLBACK;

-- BR11: notice and horizon
BEGIN;
SELECT min_notice, horizon FROM wash.update_service(:'service', '{"min_notice": "73 hours", "horizon": "96 hours"}');
SELECT rules_test.as('client', format(
    'SELECT wash.create_booking(NULL, %L, %L, date_trunc(''hour'', now()) + interval ''73 hours'')', :'service',
    :'location')) AS too_soon,
    rules_test.as('client', format(
        'SELECT wash.create_booking(NULL, %L, %L, date_trunc(''hour'', now()) + interval ''74 hours'')', :'service',
        :'location')) AS soon_enough,
    rules_test.as('client', format(
        'SELECT wash.create_booking(NULL, %L, %L, date_trunc(''hour'', now()) + interval ''97 hours'')', :'service',
        :'location')) AS too_far;
ROLLBACK;

-- BR12: buffers are the time of the staff, not of the customer
BEGIN;
SELECT buffer_before, buffer_after
FROM wash.update_service(:'service', '{"buffer_before": "15 minutes", "buffer_after": "30 minutes"}');
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT end_at - start_at AS visible FROM wash.bookings WHERE id = :'first';
SELECT resource_kind, rules_test.ten() - lower(during) AS before, upper(during) - rules_test.ten(3, 60) AS after
FROM wash.booking_claims WHERE booking_id = :'first' ORDER BY 1;
SELECT rules_test.as('database',
                     $$SELECT rules_test.book('client2', minutes => 90, staff => 'washer')$$) AS buffers_meet,
       rules_test.as('database',
                     $$SELECT rules_test.book('client', minutes => 60, staff => 'washer2')$$) AS the_customer_is_free;
ROLLBACK;

-- BR13: the terms are those of the day of booking
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT price_minor, duration
FROM wash.update_service(:'service', '{"price_minor": 5000, "duration": "2 hours", "name": "New"}');
SELECT price_minor, end_at - start_at AS length, service_name FROM wash.get_booking(:'first');
SELECT price_minor, end_at - start_at AS length FROM wash.reschedule_booking(:'first', rules_test.ten(4));
ROLLBACK;

-- BR14: a hold of 15 minutes, unless the service says otherwise
SELECT rules_test.book('client', staff => 'washer') AS held \gset
SELECT hold_expires_at - created_at BETWEEN interval '15 minutes' AND interval '15 minutes 10 seconds' AS a_quarter
FROM wash.bookings WHERE id = :'held';
SELECT status FROM wash.cancel_booking(:'held', 'other');

-- BR17: "any" is whoever has least to do, then whoever has been idle longest
BEGIN;
SELECT rules_test.book('client', minutes => -120, staff => 'washer') AS a,
       rules_test.book('client2', minutes => -240, staff => 'washer2') AS b,
    rules_test.book('manager', minutes => -240, staff => 'washer3') AS c1,
    rules_test.book('manager', minutes => -120, staff => 'washer3') AS c2 \gset
SELECT rules_test.book('client') AS first, rules_test.book('client2') AS second,
       rules_test.book('manager') AS third \gset
SELECT p.name FROM unnest(ARRAY[:'first', :'second', :'third']::uuid[]) WITH ORDINALITY AS o (id, n)
    JOIN wash.bookings AS b USING (id) JOIN rules_test.people AS p ON p.id = b.staff_id ORDER BY o.n;
SELECT rules_test.as('database', $$SELECT rules_test.book('admin')$$) AS nobody_left;
ROLLBACK;

-- BR18: a customer is deleted: what is to come is cancelled, what has begun goes on and is announced
BEGIN;
SELECT rules_test.book('client', 3, staff => 'washer') AS begun, rules_test.book(
    'client', 4, staff => 'washer') AS coming, rules_test.book('client', 5, staff => 'washer2') AS held \gset
SELECT status FROM wash.confirm_booking(:'begun'), LATERAL (SELECT wash.confirm_booking(:'coming')) AS c;
SELECT status FROM wash.start_booking(:'begun');
SELECT usher.delete_user(rules_test.id_of('client')) IS NOT NULL AS deleted;
SELECT count(*) AS published
FROM usher.events WHERE event = 'user.deleted' AND payload ->> 'user_id' = rules_test.id_of('client')::text;
SELECT status, cancellation_reason FROM wash.bookings WHERE id IN (:'begun', :'coming', :'held') ORDER BY start_at;
SELECT event, key = :'begun' AS of_what_has_begun FROM usher.events
WHERE event = 'booking.orphaned' AND payload ->> 'customer_user_id' = rules_test.id_of('client')::text;
ROLLBACK;
-- a washer is deleted: their bookings need somebody else
BEGIN;
SELECT rules_test.book('client', 3, staff => 'washer') AS first \gset
SELECT usher.delete_user(rules_test.id_of('washer')) IS NOT NULL AS deleted;
SELECT status, staff_id FROM wash.bookings WHERE id = :'first';
SELECT event FROM usher.events WHERE key = :'first' ORDER BY id DESC LIMIT 1;
SELECT rules_test.as('manager', format('SELECT wash.confirm_booking(%L)', :'first')) AS nobody_to_do_it;
SELECT staff_id = rules_test.id_of('washer2') AS given
FROM wash.reassign_booking(:'first', rules_test.id_of('washer2'));
SELECT rules_test.as('manager', format('SELECT wash.confirm_booking(%L)', :'first')) AS now;
ROLLBACK;
-- by hand, and only with the right to manage users
BEGIN;
SELECT rules_test.book('client', 3) AS first \gset
SELECT rules_test.as('client',
                     format('SELECT wash.cancel_user_bookings(%L)', rules_test.id_of('client'))) AS by_the_user;
SELECT cancelled, orphaned FROM wash.cancel_user_bookings(rules_test.id_of('client'), 'other');
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'first';
ROLLBACK;
-- erased: nothing personal is left
BEGIN;
SELECT booking_id AS first
FROM wash.create_booking(rules_test.id_of('client'), :'service', :'location', rules_test.ten(),
                         vehicle_info => '{"plate": "B-US 1"}', special_instructions => 'the dog is nice') \gset
SELECT name FROM wash.upsert_customer(rules_test.id_of('client'), 'Clara Client', 'clara@example.com', '030 1');
SELECT usher.erase_user(rules_test.id_of('client')) IS NOT NULL AS erased;
SELECT status, vehicle_info, special_instructions FROM wash.bookings WHERE id = :'first';
SELECT name, email, phone FROM wash.customers WHERE id = rules_test.id_of('client');
ROLLBACK;

-- BR19: a service or a place that is given up
BEGIN;
SELECT rules_test.book('client') AS first \gset
SELECT is_active FROM wash.set_service_active(:'service', false);
SELECT status FROM wash.confirm_booking(:'first');
SELECT rules_test.as('database', format('SELECT wash.set_location_active(%L, false)', :'location')) AS in_use;
SELECT cancelled FROM wash.set_location_active(:'location', false, force => true);
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'first';
ROLLBACK;

-- B2: who confirms
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first,
       rules_test.book('client2', staff => 'washer2') AS second \gset
SELECT rules_test.as('washer', format('SELECT wash.confirm_booking(%L)', :'first')) AS washer,
       rules_test.as('client', format('SELECT wash.confirm_booking(%L)', :'first')) AS customer;
SELECT (wash.update_service(:'service', '{"staff_may_confirm": true}')).staff_may_confirm;
SELECT rules_test.as('washer2', format('SELECT wash.confirm_booking(%L)', :'first')) AS another_washer,
       rules_test.as('washer', format('SELECT wash.confirm_booking(%L)', :'first')) AS washer_of_it,
    rules_test.as('manager', format('SELECT wash.confirm_booking(%L)', :'second')) AS manager;
ROLLBACK;
BEGIN;
SELECT (wash.update_service(:'service', '{"auto_confirm": true}')).auto_confirm;
SELECT rules_test.as(
    'client', format('SELECT wash.create_booking(NULL, %L, %L, rules_test.ten())', :'service', :'location')) AS made;
SELECT h.seq, h.to_status, h.action FROM wash.bookings AS b, usher.history('wash.bookings', b.id) AS h
WHERE b.location_id = :'location' AND b.start_at = rules_test.ten() AND b.status = 'confirmed' ORDER BY h.seq;
ROLLBACK;

-- B3: rejected by managers only
BEGIN;
SELECT rules_test.book('client') AS first \gset
SELECT rules_test.as('client', format('SELECT wash.cancel_booking(%L, ''rejected'')', :'first')) AS customer,
       rules_test.as('manager', format('SELECT wash.cancel_booking(%L, ''rejected'')', :'first')) AS manager;
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'first';
SELECT count(*) AS claims FROM wash.booking_claims WHERE booking_id = :'first';
ROLLBACK;

-- B4: not before it is time, where the service says so
BEGIN;
SELECT (wash.update_service(:'service', '{"early_start": "10 minutes"}')).early_start;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT status FROM wash.confirm_booking(:'first');
SELECT rules_test.as('washer', format('SELECT wash.start_booking(%L)', :'first')) AS too_early;
SELECT (wash.update_service(:'service', '{"early_start": "240 hours"}')).early_start;
SELECT rules_test.as('washer2', format('SELECT wash.start_booking(%L)', :'first')) AS another_washer,
       rules_test.as('washer', format('SELECT wash.start_booking(%L)', :'first')) AS washer_of_it;
ROLLBACK;

-- B5: who did not come is reported after the start
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT status FROM wash.confirm_booking(:'first');
SELECT rules_test.as('washer', format('SELECT wash.cancel_booking(%L, ''no_show'')', :'first')) AS before_the_start,
       rules_test.as('washer', format('SELECT wash.cancel_booking(%L, ''other'')', :'first')) AS for_another_reason;
ALTER TABLE wash.bookings DISABLE TRIGGER USER;
UPDATE wash.bookings
SET start_at = now() - interval '30 minutes', end_at = now() + interval '30 minutes' WHERE id = :'first';
ALTER TABLE wash.bookings ENABLE TRIGGER USER;
SELECT rules_test.as('client2', format('SELECT wash.cancel_booking(%L, ''no_show'')', :'first')) AS stranger,
       rules_test.as('washer', format('SELECT wash.cancel_booking(%L, ''no_show'')', :'first')) AS washer_of_it;
SELECT status, cancellation_reason, refund_due_minor FROM wash.bookings WHERE id = :'first';
ROLLBACK;

-- Not allowed: every other step, by raw SQL of the owner as well
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT s, rules_test.as('database',
                        format('UPDATE wash.bookings SET status = %L WHERE id = %L', s, :'first')) AS from_pending
FROM unnest(ARRAY['in_progress', 'completed']) AS s;
SELECT status FROM wash.confirm_booking(:'first');
SELECT s, rules_test.as('database',
                        format('UPDATE wash.bookings SET status = %L WHERE id = %L', s, :'first')) AS from_confirmed
FROM unnest(ARRAY['pending', 'completed']) AS s;
SELECT status FROM wash.start_booking(:'first');
SELECT s, rules_test.as('database',
                        format('UPDATE wash.bookings SET status = %L WHERE id = %L', s, :'first')) AS from_in_progress
FROM unnest(ARRAY['pending', 'confirmed']) AS s;
SELECT status FROM wash.complete_booking(:'first');
SELECT s, rules_test.as('database',
                        format('UPDATE wash.bookings SET status = %L WHERE id = %L', s, :'first')) AS from_completed
FROM unnest(ARRAY['pending', 'confirmed', 'in_progress', 'cancelled']) AS s;
ROLLBACK;

-- BR20: paid by the handler of payments only, and what happens to money that comes at the wrong moment
BEGIN;
SELECT rules_test.book('client', staff => 'washer') AS first \gset
SELECT rules_test.as('database',
                     format('UPDATE wash.bookings SET payment_method = ''cash'' WHERE id = %L', :'first')) AS by_hand;
-- nobody but whoever has declared the event says so, and while nobody has, nothing is paid
SAVEPOINT publishers;
CREATE ROLE regress_rules_payer;
SELECT usher.grant_access('regress_rules_payer', 'application');
SAVEPOINT forged;
SET ROLE regress_rules_payer;
\set VERBOSITY sqlstate
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', :'first',
    'transaction_id', 't', 'captured_minor', 1000, 'refunded_minor', 0, 'currency', 'EUR', 'payment_method', 'card'));
\set VERBOSITY default
ROLLBACK TO forged;
DELETE FROM usher.extension_events WHERE event = 'payment.completed';
SET ROLE regress_rules_payer;
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', :'first',
    'transaction_id', 't', 'captured_minor', 1000, 'refunded_minor', 0, 'currency', 'EUR', 'payment_method', 'card'))
    IS NOT NULL AS published;
RESET ROLE;
SELECT status, paid_at FROM wash.bookings WHERE id = :'first';
SELECT rules_test.pay(:'first', 1000) AS by_the_owner_even;
ROLLBACK TO publishers;
SELECT rules_test.pay(:'first', 999) AS a_part, rules_test.pay(:'first', 1000) AS all_of_it;
-- nobody to do it yet: the place is kept, without an end of the hold
SELECT booking_id AS open FROM wash.create_booking(rules_test.id_of('client2'), :'service', :'location',
                                                   rules_test.ten(), staff_policy => 'none') \gset
SELECT rules_test.pay(:'open', 1000) AS nobody_yet;
SELECT wash.expire_holds() AS expired;
-- two that do not block each other are both paid: one gets the time, the other the money
SELECT (wash.update_service(:'service', '{"pending_blocks": false}')).pending_blocks;
SELECT rules_test.book('client', 4, staff => 'washer') AS one, rules_test.book('client2', 4, 30, 'washer') AS two \gset
SELECT rules_test.pay(:'one', 1000) AS one, rules_test.pay(:'two', 1000) AS two;
SELECT rules_test.refunds(:'two') AS proposed;
-- after the hold
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 second' WHERE id = :'two';
SELECT rules_test.pay(:'two', 1000) AS too_late;
SELECT rules_test.refunds(:'two') AS proposed;
SELECT rules_test.pay('00000000-0000-7000-8000-000000000001', 1000) IS NULL AS unknown;
SELECT rules_test.refunds('00000000-0000-7000-8000-000000000001') AS proposed;
ROLLBACK;

-- Appointments, at a place where it is noon now: arrival on the day, no-show after the start, cancellation before the
-- cut-off
BEGIN;
SELECT CASE WHEN h <= 12 THEN 'Etc/GMT-' || 12 - h ELSE 'Etc/GMT+' || h - 12 END AS zone
FROM CAST(extract(hour FROM now() AT TIME ZONE 'UTC') AS integer) AS h \gset
SELECT id AS noon FROM wash.create_location('Noon', '3 Road', 'C', 'S', '1', time_zone => :'zone') \gset
SELECT id AS therapy
FROM wash.create_service('Therapy', '30 minutes', 1000, 'EUR', by_appointment => true,
                         cancel_cutoff => '2 hours') \gset
SELECT wash.set_location_hours(:'noon', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT added FROM wash.set_location_services(:'noon', ARRAY[:'therapy'::uuid]);
SELECT count(wash.assign_staff(:'noon', rules_test.id_of(w), 'washer')) FROM unnest(ARRAY['washer', 'washer2']) AS w;
SELECT booking_id AS now FROM wash.create_booking(rules_test.id_of('client'), :'therapy', :'noon',
                                                  now() - interval '10 minutes', rules_test.id_of('washer')) \gset
SELECT booking_id AS missed FROM wash.create_booking(rules_test.id_of('client2'), :'therapy', :'noon',
                                                     now() - interval '10 minutes', rules_test.id_of('washer2')) \gset
SELECT booking_id AS soon FROM wash.create_booking(rules_test.id_of('client'), :'therapy', :'noon',
                                                   now() + interval '1 hour', rules_test.id_of('washer')) \gset
SELECT booking_id AS later FROM wash.create_booking(rules_test.id_of('client'), :'therapy', :'noon',
                                                    now() + interval '3 hours', rules_test.id_of('washer')) \gset
SELECT count(wash.confirm_booking(b)) AS confirmed
FROM unnest(ARRAY[:'now', :'missed', :'soon', :'later']::uuid[]) AS b;
CREATE FUNCTION rules_test.appointment(booking uuid, to_status text) RETURNS text LANGUAGE sql AS
    $$
        SELECT format('SELECT wash.transition_appointment(%L, %L)', a.id, to_status)
        FROM wash.appointments AS a WHERE a.booking_id = booking
    $$;
SELECT rules_test.as('client', rules_test.appointment(:'now', 'arrived')) AS by_the_patient,
       rules_test.as('washer', rules_test.appointment(:'now', 'arrived')) AS by_the_practitioner;
SELECT rules_test.as('washer', rules_test.appointment(:'now', 'in_progress')) AS start,
       rules_test.as('washer', rules_test.appointment(:'now', 'completed')) AS complete;
SELECT b.status AS booking, a.status AS appointment, a.arrived_at IS NOT NULL AS arrived, a.started_at >= a.arrived_at
    AND a.completed_at >= a.started_at AS in_order, b.completed_at IS NOT NULL AS completed
    FROM wash.bookings AS b JOIN wash.appointments AS a ON a.booking_id = b.id WHERE b.id = :'now';
SELECT rules_test.as('washer2', rules_test.appointment(:'missed', 'no_show')) AS no_show;
SELECT b.status AS booking, b.cancellation_reason, a.status AS appointment,
       (SELECT count(*) FROM wash.booking_claims AS c WHERE c.booking_id = b.id) AS claims,
    (SELECT count(*) FROM usher.events AS e WHERE e.event = 'appointment.no_show' AND e.key = a.id::text) AS events
    FROM wash.bookings AS b JOIN wash.appointments AS a ON a.booking_id = b.id WHERE b.id = :'missed';
SELECT rules_test.as('client', rules_test.appointment(:'soon', 'cancelled')) AS after_the_cut_off,
       rules_test.as('client', rules_test.appointment(:'later', 'cancelled')) AS before_it,
    rules_test.as('washer', rules_test.appointment(:'soon', 'cancelled')) AS without_a_reason;
-- the last live one is gone
SELECT status, cancellation_reason, refund_due_minor FROM wash.bookings WHERE id = :'later';
SELECT rules_test.as('washer', rules_test.appointment(:'later', s)) AS from_cancelled
FROM unnest(ARRAY['arrived', 'in_progress', 'completed', 'no_show']) AS s;
ROLLBACK;

-- A user may have several profiles, a profile several bookings (R2-39, R2-40)
BEGIN;
SELECT user_id = rules_test.id_of('client') AS own
FROM wash.upsert_customer(rules_test.id_of('client'), 'Clara at work', id => '00000000-0000-7000-8000-00000000c0de');
SELECT rules_test.book('client') AS first \gset
SELECT count(wash.create_booking('00000000-0000-7000-8000-00000000c0de', :'service', :'location',
                                 rules_test.ten(4 + n))) AS bookings
FROM generate_series(0, 1) AS n;
SELECT usher.authenticate((SELECT token FROM rules_test.people WHERE name = 'client')) IS NOT NULL AS is_client;
SELECT count(*) AS bookings, count(DISTINCT customer_id) AS profiles FROM wash.list_bookings();
ROLLBACK;

-- Everybody once for a whole batch (R0-76): 30 bookings of 3 people by 3 washers, one call
BEGIN;
SELECT count(rules_test.book((ARRAY['client', 'client2', 'manager'])[1 + n % 3], 3 + n,
                             staff => (ARRAY['washer', 'washer2', 'washer3'])[1 + n % 3]))
FROM generate_series(1, 30) AS n;
SET LOCAL track_functions = 'all';
SELECT count(*), count((d.customer).name) AS customers, count((d.washer).name) AS washers
    FROM wash.get_bookings(ARRAY(SELECT id FROM wash.bookings WHERE location_id = :'location')) AS d;
SELECT pg_stat_get_xact_function_calls('usher.references_of(uuid[])'::regprocedure) AS look_ups_of_users,
       pg_stat_get_xact_function_calls('usher.user_reference(uuid)'::regprocedure) AS one_by_one;
SELECT count(*) FROM wash.list_bookings(:'location');
SELECT pg_stat_get_xact_function_calls('usher.references_of(uuid[])'::regprocedure) AS look_ups_of_users;
ROLLBACK;

-- A month of slots at a place with 20 staff: one statement
BEGIN;
INSERT INTO usher.users (id, email, status) SELECT ('00000000-0000-7000-8000-0000000000' || 10 + n)::uuid,
    'month' || n || '@example.com', 'active' FROM generate_series(1, 20) AS n;
SELECT count(usher.grant_role(u.id, 'washer')) FROM usher.users AS u WHERE u.email LIKE 'month%@example.com';
SELECT count(wash.assign_staff(:'elsewhere', u.id, 'washer'))
FROM usher.users AS u WHERE u.email LIKE 'month%@example.com';
SELECT (wash.update_location(:'elsewhere', '{"max_concurrent_bookings": 30}')).max_concurrent_bookings;
SELECT wash.set_location_hours(:'elsewhere', '{1,2,3,4,5,6,7}', '[["08:00", "18:00"]]');
-- two on each of ten days
SELECT count(wash.create_booking(rules_test.id_of(c), :'service', :'elsewhere', rules_test.ten(3 + n)))
FROM generate_series(1, 10) AS n, unnest(ARRAY['client', 'client2']) AS c;
SELECT count(*) AS slots, count(DISTINCT local_date) AS days, min(cardinality(staff_ids)) AS fewest,
       max(cardinality(staff_ids)) AS most, min(free_places) AS places,
    count(*) FILTER (WHERE cardinality(staff_ids) = 18) AS slots_with_two_busy
    FROM wash.find_slots(:'elsewhere', :'service', date_trunc('day', rules_test.ten(3), 'Europe/Berlin'),
                         date_trunc('day', rules_test.ten(33), 'Europe/Berlin'), max_rows => 10000);
ROLLBACK;

-- Who sees what: in the tables, through a view, and by the functions
SELECT rules_test.book('client', 3, staff => 'washer') AS a,
       rules_test.book('client2', 3, staff => 'washer2') AS b \gset
SELECT booking_id AS c FROM wash.create_booking(rules_test.id_of('client2'), :'service', :'elsewhere',
                                                rules_test.ten(4), staff_policy => 'none') \gset
CREATE ROLE regress_rules_app;
SELECT usher.grant_access('regress_rules_app', 'application');
GRANT USAGE ON SCHEMA rules_test TO regress_rules_app;
GRANT SELECT ON rules_test.people TO regress_rules_app;
CREATE VIEW rules_test.seen WITH (security_invoker) AS SELECT b.id, b.customer_id, b.staff_id, b.location_id,
        c.id AS customer FROM wash.bookings AS b LEFT JOIN wash.customers AS c ON c.id = b.customer_id;
GRANT SELECT ON rules_test.seen TO regress_rules_app;
CREATE TABLE rules_test.names AS SELECT * FROM (VALUES (:'a'::uuid, 'a'), (:'b', 'b'), (:'c', 'c')) AS v (id, name);
GRANT SELECT ON rules_test.names TO regress_rules_app;
CREATE FUNCTION rules_test.seen_by(who text, OUT in_table text, OUT through_view text, OUT with_customer text,
                                   OUT by_function text, OUT in_batch text, OUT customers bigint)
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate((SELECT p.token FROM rules_test.people AS p WHERE p.name = who));
    SELECT string_agg(n.name, '' ORDER BY n.name) INTO in_table
    FROM wash.bookings AS b JOIN rules_test.names AS n USING (id);
    SELECT string_agg(n.name, '' ORDER BY n.name), string_agg(n.name, '' ORDER BY n.name)
        FILTER (WHERE s.customer IS NOT NULL) INTO through_view, with_customer
        FROM rules_test.seen AS s JOIN rules_test.names AS n USING (id);
    SELECT string_agg(n.name, '' ORDER BY n.name) INTO by_function
    FROM wash.list_bookings() AS b JOIN rules_test.names AS n ON n.id = b.booking_id;
    SELECT string_agg(n.name, '' ORDER BY n.name) INTO in_batch
    FROM wash.get_bookings(ARRAY(SELECT m.id FROM rules_test.names AS m)) AS b
        JOIN rules_test.names AS n ON n.id = b.booking_id;
    SELECT count(*) INTO customers FROM wash.customers AS c JOIN rules_test.people AS p USING (id);
END
$$;
SET ROLE regress_rules_app;
BEGIN;
SELECT * FROM rules_test.seen_by('client');
COMMIT;
BEGIN;
SELECT * FROM rules_test.seen_by('client2');
COMMIT;
BEGIN;
SELECT * FROM rules_test.seen_by('washer');
COMMIT;
BEGIN;
SELECT * FROM rules_test.seen_by('manager');
COMMIT;
BEGIN;
SELECT * FROM rules_test.seen_by('admin');
COMMIT;
SELECT count(*) AS by_nobody FROM rules_test.seen;
RESET ROLE;
-- managers act where they are assigned, administrators everywhere
SELECT rules_test.as('manager', format('SELECT wash.confirm_booking(%L)', :'a')) AS manager_here,
       rules_test.as('manager', format('SELECT wash.cancel_booking(%L, ''other'')', :'c')) AS manager_elsewhere,
    rules_test.as('admin', format('SELECT wash.cancel_booking(%L, ''other'')', :'c')) AS admin_elsewhere;
-- Whoever deletes their own account is nobody from then on, and what follows happens all the same: what they booked is
-- cancelled, what they were to work on needs somebody else
BEGIN;
SELECT rules_test.book('client', 6, staff => 'washer') AS held, rules_test.book('client', 7, staff => 'washer') AS coming,
    rules_test.book('client2', 8, staff => 'washer') AS served \gset
SELECT (wash.confirm_booking(id)).status FROM unnest(ARRAY[:'coming', :'served']::uuid[]) AS id;
SET LOCAL ROLE regress_rules_app;
SELECT usher.authenticate(token) IS NOT NULL AS client FROM rules_test.people WHERE name = 'client';
SELECT usher.delete_user() IS NOT NULL AS deleted;
SELECT usher.authenticate(token) IS NOT NULL AS washer FROM rules_test.people WHERE name = 'washer';
SELECT usher.delete_user() IS NOT NULL AS deleted;
RESET ROLE;
SELECT status, cancellation_reason, staff_id IS NULL AS needs_somebody, action
FROM wash.bookings AS b CROSS JOIN LATERAL (SELECT h.action FROM usher.history('wash.bookings', b.id) AS h
                                            ORDER BY h.seq DESC LIMIT 1) AS h
WHERE id IN (:'held', :'coming', :'served') ORDER BY start_at;
ROLLBACK;
SELECT * FROM wash._booking_self_check() WHERE violations > 0;

DROP OWNED BY regress_rules_app;
DELETE FROM usher.database_roles WHERE role_name = 'regress_rules_app';
DROP ROLE regress_rules_app;
DELETE FROM wash.bookings WHERE location_id IN (:'location', :'elsewhere');
DELETE FROM wash.customers WHERE user_id IN (SELECT id FROM rules_test.people);
DELETE FROM wash.locations WHERE id IN (:'location', :'elsewhere');
DELETE FROM wash.services WHERE id IN (:'service', :'other');
DELETE FROM usher.users WHERE id IN (SELECT id FROM rules_test.people);
DROP SCHEMA rules_test CASCADE;

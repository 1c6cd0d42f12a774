-- What find_slots(), explain_slot() and create_booking() answer about one slot: the same, also where rules used to
-- stand twice. test/t/booking_answers_random.pl asks about many.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA answers_test;
CREATE TABLE answers_test.people (name text PRIMARY KEY, id uuid);
CREATE FUNCTION answers_test.id_of(who text)
    RETURNS uuid LANGUAGE sql AS 'SELECT id FROM answers_test.people WHERE name = who';
SELECT usher.apply_role_preset('carwash');
INSERT INTO answers_test.people
SELECT who, (usher.register_user('answers-' || who || '@example.com', 'long enough to be good', initcap(who))).user_id
    FROM unnest(ARRAY['one', 'two', 'three', 'anna', 'ben']) AS who;
SELECT count(usher.grant_role(id, 'washer')) FROM answers_test.people WHERE name IN ('anna', 'ben');
SELECT id AS location FROM wash.create_location('Answers', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin',
                                                max_concurrent_bookings => 1) \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT count(wash.assign_staff(:'location', id, 'washer')) FROM answers_test.people WHERE name IN ('anna', 'ben');
-- the services of the place, one for each question
CREATE TABLE answers_test.services AS SELECT s.name, s.id FROM (VALUES (true)) AS t,
    LATERAL (SELECT * FROM wash.create_service('usual', '1 hour', 1000, 'EUR')
        UNION ALL SELECT *
        FROM wash.create_service('sessions', '1 hour', 1000, 'EUR', by_appointment => true, needs_staff => false)
        UNION ALL SELECT *
        FROM wash.create_service('requests', '1 hour', 1000, 'EUR', pending_blocks => false, daily_limit => 1)) AS s;
SELECT added FROM wash.set_location_services(:'location', ARRAY(SELECT id FROM answers_test.services));
CREATE FUNCTION answers_test.ten(minutes integer DEFAULT 0) RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT ((now() AT TIME ZONE 'Europe/Berlin')::date + 3 + time '10:00') AT TIME ZONE 'Europe/Berlin' + minutes * interval '1 minute' $$;
CREATE TABLE answers_test.place AS SELECT :'location'::uuid AS location;
CREATE FUNCTION answers_test.book(who text, what text, minutes integer DEFAULT 0, staff text DEFAULT NULL,
                                  policy text DEFAULT 'any', OUT answer text)
    LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    SELECT b.status INTO answer FROM answers_test.place AS p, answers_test.services AS s,
        LATERAL wash.create_booking(answers_test.id_of(who), s.id, p.location, answers_test.ten(minutes),
                                    answers_test.id_of(staff), policy) AS b
        WHERE s.name = what;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    answer := SQLSTATE || ' ' || coalesce(detail::jsonb ->> 'rule', SQLERRM);
END $$;
CREATE FUNCTION answers_test.explain(what text, minutes integer DEFAULT 0, staff text DEFAULT NULL)
    RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(e.rule, ', '), 'free') FROM answers_test.place AS p, answers_test.services AS s,
        LATERAL wash.explain_slot(p.location, s.id, answers_test.ten(minutes), answers_test.id_of(staff)) AS e
    WHERE s.name = what AND NOT e.ok $$;
CREATE FUNCTION answers_test.finds(what text, minutes integer DEFAULT 0) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(max(f.free_places), 0) FROM answers_test.place AS p, answers_test.services AS s,
        LATERAL wash.find_slots(p.location, s.id, answers_test.ten(minutes), answers_test.ten(minutes + 60)) AS f
    WHERE s.name = what $$;

-- Sessions that need no staff take a place as well, and their customer's time
BEGIN;
SELECT answers_test.finds('sessions') AS places, answers_test.explain('sessions');
SELECT answers_test.book('one', 'sessions') AS first, answers_test.book(
    'two', 'sessions') AS second, answers_test.book('three', 'sessions', 59) AS third, answers_test.book(
        'two', 'usual', 30) AS of_another_service, answers_test.book('three', 'sessions', 60) AS after_it;
SELECT answers_test.finds('sessions') AS places, answers_test.explain('sessions');
SELECT a.practitioner_id, a.status, a.start_at = answers_test.ten() AS at_ten, a.occupies
FROM wash.appointments AS a WHERE a.location_id = :'location' ORDER BY a.start_at;
SELECT * FROM wash._booking_self_check() WHERE violations > 0;
-- and are given without anybody's hands
SAVEPOINT given;
SELECT c.status
FROM wash.bookings AS b, LATERAL wash.confirm_booking(b.id) AS c WHERE b.customer_id = answers_test.id_of('one');
SELECT t.status, t.booking_status FROM wash.appointments AS a,
    LATERAL wash.transition_appointment(a.id, 'in_progress') AS t WHERE a.customer_id = answers_test.id_of('one');
SELECT t.status, t.booking_status FROM wash.appointments AS a,
    LATERAL wash.transition_appointment(a.id, 'completed') AS t WHERE a.customer_id = answers_test.id_of('one');
ROLLBACK TO given;
-- what should never be is counted: more than fit, and a booking whose appointment somebody has deleted
UPDATE wash.appointments SET overbooked = true WHERE location_id = :'location';
UPDATE wash.appointments SET start_at = answers_test.ten(), end_at = answers_test.ten(60)
WHERE location_id = :'location' AND start_at > answers_test.ten();
SET LOCAL session_replication_role = replica;
UPDATE wash.appointments SET overbooked = false WHERE location_id = :'location';
SET LOCAL session_replication_role = origin;
SELECT * FROM wash._booking_self_check() WHERE violations > 0;
DELETE FROM wash.appointments WHERE location_id = :'location' AND customer_id = answers_test.id_of('one');
SELECT * FROM wash._booking_self_check() WHERE violations > 0;
ROLLBACK;
-- with staff who are found later, too
BEGIN;
UPDATE wash.services SET needs_staff = true WHERE id IN (SELECT id FROM answers_test.services WHERE name = 'sessions');
SELECT answers_test.book('one', 'sessions', policy => 'none') AS first,
       answers_test.book('two', 'sessions', policy => 'none') AS second;
SELECT b.staff_id = answers_test.id_of('anna') AS given
FROM wash.bookings AS x, LATERAL wash.reassign_booking(x.id, answers_test.id_of('anna')) AS b
    WHERE x.location_id = :'location';
SELECT count(*), bool_and(practitioner_id = answers_test.id_of('anna')) AS hers
FROM wash.appointments WHERE location_id = :'location';
ROLLBACK;

-- Requests that take nothing until they are confirmed: as many as like, but not for what somebody else has for certain
BEGIN;
SELECT answers_test.book('one', 'requests', staff => 'anna') AS first,
       answers_test.book('two', 'requests', staff => 'anna') AS second,
    answers_test.finds('requests') AS places, answers_test.explain('requests');
SELECT answers_test.book('one', 'requests', 600) AS second_of_the_day;
SELECT c.status
FROM wash.bookings AS b, LATERAL wash.confirm_booking(b.id) AS c WHERE b.customer_id = answers_test.id_of('one');
SELECT answers_test.finds('requests') AS places, answers_test.explain('requests'),
       answers_test.explain('requests', 0, 'anna') AS anna;
SELECT answers_test.book('three', 'requests', staff => 'anna') AS same_person,
       answers_test.book('three', 'requests', staff => 'ben') AS another_person;
UPDATE wash.locations SET max_concurrent_bookings = 2 WHERE id = :'location';
SELECT answers_test.book('three', 'requests', staff => 'anna') AS same_person,
       answers_test.book('three', 'requests', staff => 'ben') AS another_person;
-- nor by moving there
DO $$
BEGIN
    PERFORM wash.reschedule_booking(b.id, staff_id => answers_test.id_of('anna'))
    FROM wash.bookings AS b WHERE b.customer_id = answers_test.id_of('three');
    RAISE WARNING 'moved';
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING '% %', SQLSTATE, SQLERRM;
END $$;
ROLLBACK;
-- a hold that is over stands in nobody's way
BEGIN;
SELECT answers_test.book('one', 'usual', staff => 'anna');
SELECT answers_test.finds('usual') AS places, answers_test.explain('usual'),
       answers_test.book('two', 'requests', staff => 'anna') AS request;
UPDATE wash.bookings SET hold_expires_at = clock_timestamp() WHERE customer_id = answers_test.id_of('one');
SELECT answers_test.finds('usual') AS places, answers_test.explain('usual'), answers_test.explain(
    'usual', 0, 'anna') AS anna, answers_test.book('two', 'requests', staff => 'anna') AS request, answers_test.book(
        'three', 'usual', staff => 'anna') AS booking;
ROLLBACK;

-- Nobody is promised whose role has run out
BEGIN;
UPDATE usher.user_roles
SET expires_at = clock_timestamp() WHERE user_id IN (answers_test.id_of('anna'), answers_test.id_of('ben'));
SELECT answers_test.finds('usual') AS places, answers_test.explain('usual'),
       answers_test.explain('usual', 0, 'anna') AS anna, answers_test.book('one', 'usual') AS anybody,
    answers_test.book('one', 'usual', staff => 'anna') AS anna_booked;
ROLLBACK;
-- nor anybody from elsewhere
SELECT answers_test.explain('usual', 0, 'one') AS stranger,
       answers_test.book('two', 'usual', staff => 'one') AS booked;

-- Horizon and grid hold for customers
BEGIN;
SELECT usher.authenticate(usher.issue_token(answers_test.id_of('one'))) = answers_test.id_of('one') AS is_one;
UPDATE wash.services SET horizon = answers_test.ten() - clock_timestamp() + interval '1 minute'
WHERE id IN (SELECT id FROM answers_test.services WHERE name = 'usual');
SELECT answers_test.finds('usual') AS places, answers_test.explain('usual'), answers_test.finds('usual', 15) AS later,
       answers_test.explain('usual', 15) AS explain_later, answers_test.book('one', 'usual', 15) AS booked_later,
       answers_test.explain('usual', -5) AS off_grid, answers_test.book('one', 'usual', -5) AS booked_off_grid,
    answers_test.book('one', 'usual') AS booked;
ROLLBACK;

-- A notice above the horizon would leave nothing to book: refused by name
DO $$
DECLARE
    statement text;
    detail text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        $q$SELECT wash.create_service('Never', '1 hour', 1000, 'EUR', min_notice => '8 days', horizon => '7 days')$q$,
        $q$SELECT wash.update_service((SELECT id FROM answers_test.services WHERE name = 'usual'), '{"min_notice": "366 days"}')$q$,
        $q$UPDATE wash.services SET horizon = '1 day', min_notice = '25 hours'$q$,
        $q$SELECT wash.create_service('Just', '1 hour', 1000, 'EUR', min_notice => '7 days', horizon => '7 days')$q$] LOOP
        BEGIN
            EXECUTE statement;
            RAISE SQLSTATE 'ZZ001' USING MESSAGE = 'accepted';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            RAISE WARNING '%: % %', SQLSTATE, SQLERRM, CASE WHEN detail LIKE '{%' THEN detail END;
        END;
    END LOOP;
END $$;

-- A second payment of a paid booking goes back; the same one, announced again, does not
CREATE FUNCTION answers_test.pay(booking uuid, transaction text, minor bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.publish('payment.completed', jsonb_build_object(
        'reference_type', 'booking', 'reference_id', booking, 'transaction_id', transaction, 'captured_minor', minor,
        'refunded_minor', 0, 'currency', 'EUR', 'payment_method', 'card'));
    RETURN (SELECT b.status || coalesce(' by ' || b.payment_transaction, '')
            FROM wash.bookings AS b WHERE b.id = booking);
END $$;
BEGIN;
SELECT answers_test.book('one', 'usual');
SELECT id AS booking FROM wash.bookings WHERE location_id = :'location' \gset
SELECT answers_test.pay(:'booking', 'first', 1000) AS paid, answers_test.pay(:'booking', 'first', 1000) AS again,
       answers_test.pay(:'booking', 'second', 1000) AS second, answers_test.pay(:'booking', 'third', 1) AS a_part;
SELECT payload ->> 'transaction_id' AS transaction, payload ->> 'reason' AS reason,
       payload ->> 'amount_minor' AS amount
    FROM usher.events WHERE event = 'booking.refund_proposed' AND key = :'booking' ORDER BY id;
ROLLBACK;

-- Paid, and somebody is there to do it, if only for a session: confirmed
BEGIN;
UPDATE wash.services SET needs_staff = true WHERE id IN (SELECT id FROM answers_test.services WHERE name = 'sessions');
SELECT answers_test.book('one', 'sessions', policy => 'none');
SELECT id AS booking FROM wash.bookings WHERE location_id = :'location' \gset
SELECT answers_test.pay(:'booking', 'first', 1000) AS nobody_yet;
SELECT status FROM wash.schedule_appointment(:'booking', answers_test.id_of('anna'),
                                             tstzrange(answers_test.ten(120), answers_test.ten(180)));
SELECT answers_test.pay(:'booking', 'first', 1000) AS announced_again;
ROLLBACK;

-- Customers are found by what their account says, too
SELECT count(wash.upsert_customer(answers_test.id_of('one'), 'Profile of one')) \g /dev/null
SELECT count(wash.upsert_customer(answers_test.id_of('two'))) \g /dev/null
SELECT c.search, array_agg(p.name ORDER BY p.name) AS found
FROM unnest(ARRAY['Profile of', 'one', 'TWO', 'answers-two@example.com', 'Answers-One@Example.com',
                  'answers-two']) WITH ORDINALITY AS c (search, n),
    LATERAL wash.list_customers(c.search) AS l
    JOIN answers_test.people AS p ON p.id = l.user_id GROUP BY c.n, c.search ORDER BY c.n;

DELETE FROM wash.bookings WHERE location_id = :'location';
DELETE FROM wash.locations WHERE id = :'location';
DELETE FROM wash.services WHERE id IN (SELECT id FROM answers_test.services);
DELETE FROM wash.customers WHERE user_id IN (SELECT id FROM answers_test.people);
DELETE FROM usher.users WHERE id IN (SELECT id FROM answers_test.people);
DROP SCHEMA answers_test CASCADE;

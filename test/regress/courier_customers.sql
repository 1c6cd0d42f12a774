-- Customers without an account are written to about what they have booked, bought and earned, where the feature that knows them says: in the
-- language and time zone of their profile, never at an address that an event carries, and no longer once they are erased or suppressed.
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA courier_guests;
SELECT usher.apply_role_preset('clinic');
UPDATE usher.deliveries SET status = 'completed', completed_at = now() WHERE consumer = 'usher_courier' AND status = 'pending';
DELETE FROM wash.messages;
SELECT user_id AS max FROM usher.register_user('guests-max@example.com', 'long enough to be good', 'Max') \gset
SELECT user_id AS ann FROM usher.register_user('guests-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT usher.grant_role(:'max', 'manager') \g /dev/null
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id IN (:'max', :'ann');
SELECT id AS place FROM wash.create_location('Guests', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 9) \gset
SELECT id AS look FROM wash.create_service('Look', '1 hour', 1000, 'EUR', needs_staff => false, early_start => '30 days') \gset
SELECT wash.set_location_hours(:'place', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'), wash.set_location_services(:'place', ARRAY[:'look'::uuid]) \g /dev/null
SELECT wash.assign_staff(:'place', :'max', 'manager') \g /dev/null
SELECT usher.issue_token(:'max') AS token \gset
CREATE FUNCTION courier_guests.sent() RETURNS TABLE (recipient text, subject text, text_part text) LANGUAGE plpgsql AS $$
DECLARE
    claimed record;
BEGIN
    LOOP
        FOR claimed IN SELECT * FROM wash.claim_messages('test', 100) LOOP
            PERFORM wash.report_message(claimed.message, claimed.attempt, 'sent', '250');
            recipient := claimed.recipient;
            subject := claimed.subject;
            text_part := regexp_replace(claimed.body_text, '[0-9]+\. [A-Z][^ ]+ [0-9]{4}', 'TAG');
            RETURN NEXT;
        END LOOP;
        EXIT WHEN claimed IS NULL;
        claimed := NULL;
    END LOOP;
END
$$;
SELECT count(*) >= 0 AS registered FROM courier_guests.sent();
SELECT (date_trunc('day', now() AT TIME ZONE 'Europe/Berlin') + interval '3 days 10 hours') AT TIME ZONE 'Europe/Berlin' AS ten \gset

-- Somebody books by phone: whoever takes the call makes the profile. They get the confirmation, the reminder, and what becomes of it.
BEGIN;
SELECT usher.authenticate(:'token') IS NOT NULL AS is_max;
SELECT id AS will FROM wash.upsert_customer(name => 'Will', email => 'Will@guests.example', attributes => '{"language": "de-AT", "time_zone": "Asia/Tokyo"}') \gset
SELECT booking_id AS wills FROM wash.create_booking(:'will', :'look', :'place', :'ten') \gset
COMMIT;
SELECT count(*) AS addresses FROM usher.events AS e WHERE e.payload ->> 'customer_id' = :'will' AND e.payload::text ILIKE '%will@%';
SELECT recipient, subject, text_part FROM courier_guests.sent();
SELECT (wash.confirm_booking(:'wills')).status;
SELECT recipient, text_part ~ 'Guests' AS says_where, text_part ~ '10:00( Uhr)? \(Europe/Berlin\)' AS where_it_is FROM courier_guests.sent();
SELECT (wash.reschedule_booking(:'wills', :'ten'::timestamptz + interval '1 hour')).booking_id IS NOT NULL AS moved;
SELECT recipient, subject FROM courier_guests.sent();
SET session_replication_role = replica;
UPDATE wash.bookings SET created_at = now() - interval '1 month' WHERE id = :'wills';
RESET session_replication_role;
BEGIN;
SET LOCAL booking.reminder_notice = 96;
SELECT wash._remind_of_bookings(1000) > 0 AS reminded;
COMMIT;
SELECT recipient, subject ~ '^Ihr' AS in_german, text_part ~ 'Guests' AS says_where, text_part ~ 'Europe/Berlin' AS where_it_is FROM courier_guests.sent();
SELECT customer_id = :'will' AS is_will, user_id IS NULL AS has_no_account, event, language FROM wash.list_messages(only_recipient => 'will@guests.example', max_rows => 1);

-- A second profile of an account is told at the account, and so is an account that an event names as a customer only.
SELECT id AS child FROM wash.upsert_customer(:'ann', 'Her child', email => 'child@guests.example', id => usher.uuid_v7()) \gset
SELECT booking_id AS childs FROM wash.create_booking(:'child', :'look', :'place', :'ten') \gset
SELECT usher.publish('payment.completed', jsonb_build_object('customer_id', c, 'amount_minor', 1000, 'currency', 'EUR'), c) IS NOT NULL AS paid
FROM unnest(ARRAY[:'child', :'ann']) AS c;
SELECT recipient, subject FROM courier_guests.sent();

-- What a form of strangers has filled in greets nobody; somebody without an address, or unknown, is not written to.
SELECT id AS form FROM wash.upsert_customer(name => 'Win now at evil.example', email => 'form@guests.example') \gset
SELECT id AS mute FROM wash.upsert_customer(name => 'Mute') \gset
SELECT count(wash.create_booking(c::uuid, :'look', :'place', :'ten')) AS booked FROM unnest(ARRAY[:'form', :'mute']) AS c;
SELECT usher.publish('payment.completed', jsonb_build_object('customer_id', usher.uuid_v7(), 'amount_minor', 1000, 'currency', 'EUR'), 'unknown') IS NOT NULL AS paid;
SELECT recipient, text_part ~ 'evil' AS names_them FROM courier_guests.sent();

-- What they pay, order and earn, they are told as well, by features that know nothing but the id of a customer.
SELECT e.event, usher.publish(e.event, jsonb_build_object('customer_id', :'will', 'user_id', NULL, 'amount_minor', 1000, 'total_minor', 1000, 'currency', 'EUR', 'lines', '[]'::jsonb, 'points', 7,
    'expires_at', now() + interval '5 days'), :'will' || e.event) IS NOT NULL AS published
FROM unnest('{payment.completed,payment.partially_refunded,payment.refunded,order.placed,order.cancelled,loyalty.points_expiring}'::text[]) AS e (event);
SELECT recipient, subject FROM courier_guests.sent() ORDER BY subject;
SELECT event FROM wash.list_message_rules() WHERE is_default AND event NOT LIKE 'user.%' AND customer_keys <> '{customer_id}';
SELECT event FROM wash.list_message_rules() WHERE is_default AND event LIKE 'user.%' AND customer_keys <> '{}';

-- An application's own customers and places: its hooks are asked, with its owner's rights.
CREATE TABLE courier_guests.members (id uuid PRIMARY KEY, email text);
CREATE FUNCTION courier_guests.contact(customer_id uuid) RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text) LANGUAGE sql STABLE
    AS $$ SELECT NULL::uuid, 'Zoe <b>', m.email, 'fr', NULL FROM courier_guests.members AS m WHERE m.id = contact.customer_id $$;
CREATE FUNCTION courier_guests.place(location_id uuid) RETURNS TABLE (name text, time_zone text) LANGUAGE sql STABLE
    AS $$ SELECT 'Club <b>', 'Asia/Tokyo' WHERE location_id = '00000000-0000-7000-8000-00000000c1b1' $$;
SELECT usher.register_extension('Club', 'club', 'courier_guests', hooks => '{"contact": "contact", "location": "place"}', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
    publishes => '{club.joined}');
SELECT wash.set_message_rule('club.joined', customer_keys => '{member,payer}');
SELECT version FROM wash.set_message_template('club.joined', 'en', 'Welcome', 'Hello {{user.name}}{{user.id}}', '<p>Hello {{user.name}}</p>');
INSERT INTO courier_guests.members VALUES ('00000000-0000-7000-8000-00000000c1b0', 'zoe@guests.example');
SELECT usher.publish('club.joined', '{"payer": "00000000-0000-7000-8000-00000000c1b0"}') IS NOT NULL AS published;
SELECT c.recipient, c.subject, c.body_text, c.body_html, wash.report_message(c.message, c.attempt, 'sent') FROM wash.claim_messages('test') AS c;
SELECT version FROM wash.set_message_template('club.joined', 'en', 'Welcome', '{{at|time}} {{time_zone}} {{location_name}}{{^location_name}}nowhere{{/location_name}}', '<p>{{location_name}}</p>');
-- Where: what the event says itself counts first, then what the feature says that has the place; the place of another is theirs.
SELECT usher.publish('club.joined', '{"payer": "00000000-0000-7000-8000-00000000c1b0", "at": "2027-01-01T00:00:00Z"}' || p::jsonb) IS NOT NULL AS published
FROM unnest(ARRAY['{"location_id": "00000000-0000-7000-8000-00000000c1b1"}', format('{"location_id": "%s"}', :'place'), '{"location_id": "nowhere"}',
    '{"location_id": "00000000-0000-7000-8000-00000000c1b1", "location_name": "Annex", "time_zone": "America/Lima"}']) AS p;
SELECT c.body_html, wash.report_message(c.message, c.attempt, 'sent') FROM wash.claim_messages('test') AS c;
SELECT text_part FROM courier_guests.sent();
SELECT wash.set_message_rule('club.joined', customer_keys => NULL);
-- A hook that fails when a message is written puts off that message, and nobody else's.
SELECT usher.publish('club.joined', '{"payer": "00000000-0000-7000-8000-00000000c1b0"}') IS NOT NULL AS published;
SELECT wash._collect_messages(100) > 0 AS made;
CREATE OR REPLACE FUNCTION courier_guests.contact(customer_id uuid) RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text) LANGUAGE plpgsql STABLE
    AS $$ BEGIN RAISE EXCEPTION 'the club is closed'; END $$;
SELECT usher.publish('payment.completed', jsonb_build_object('customer_id', :'will', 'amount_minor', 1000, 'currency', 'EUR'), 'will') IS NOT NULL AS paid;
SELECT recipient, subject FROM courier_guests.sent();
SELECT recipient, status, attempts, last_code, last_detail, next_attempt_at > now() + interval '20 seconds' AS later FROM wash.messages WHERE event = 'club.joined' AND status = 'pending';
-- Nor does one that fails when the event comes.
SELECT usher.publish('club.joined', '{"payer": "00000000-0000-7000-8000-00000000c1b0"}') IS NOT NULL AS published;
SELECT count(*) AS sent FROM courier_guests.sent();
SELECT status, attempts, error_message FROM usher.deliveries WHERE event = 'club.joined' AND consumer = 'usher_courier' ORDER BY event_id DESC LIMIT 1;
DELETE FROM usher.deliveries WHERE event = 'club.joined';
DELETE FROM wash.message_rules WHERE event = 'club.joined';
SELECT usher.unsubscribe('club.joined', 'usher_courier'), usher.unregister_extension('club');

-- Suppressed, as any address; the row is theirs, and goes with them.
SELECT wash.report_bounce('will@guests.example', 'complaint') AS suppressed;
SELECT payload ->> 'customer_id' = :'will' AS is_will FROM usher.events WHERE event = 'message.bounced' ORDER BY id DESC LIMIT 1;
SELECT (wash.cancel_booking(:'wills', 'customer_request')).status;
SELECT count(*) AS sent FROM courier_guests.sent();
SELECT status, last_code FROM wash.messages WHERE customer_id = :'will' ORDER BY id DESC LIMIT 1;
SELECT wash.lift_suppression('will@guests.example');
SELECT wash.suppress_address('will@guests.example');
SELECT jsonb_array_length(x -> 'messages') > 5 AS messages, x #>> '{messages,0,recipient}' AS recipient, x #>> '{suppressions,0,address}' AS suppressed
FROM (SELECT usher.export_customer(:'will') -> 'usher_courier') AS e (x);
SELECT wash.lift_suppression('will@guests.example');
SELECT booking_id AS last FROM wash.create_booking(:'will', :'look', :'place', :'ten'::timestamptz + interval '2 days') \gset
SELECT recipient, subject FROM wash.claim_messages('test', lease => '1 second');
SELECT wash.suppress_address('will@guests.example');
SELECT usher.erase_customer(:'will') > 0 AS erased;
SELECT count(*) AS left_over FROM (SELECT FROM wash.messages AS m WHERE m::text ILIKE '%will@guests%' UNION ALL SELECT FROM wash.message_suppressions AS s WHERE s::text ILIKE '%will@guests%') AS l;
SELECT status FROM wash.bookings WHERE id = :'last';
SELECT count(*) AS sent FROM courier_guests.sent();
-- Of who is not active, nobody says where they are.
SELECT email IS NOT NULL AS reachable FROM usher.customer_contact(:'form');
SELECT (wash.set_customer_active(:'form', false)).is_active;
SELECT email IS NOT NULL AS reachable, user_id IS NULL AS no_account FROM usher.customer_contact(:'form');
SELECT user_id = :'ann' AS ann, email IS NULL AS no_address FROM usher.customer_contact(:'ann');
CREATE ROLE regress_guests;
SELECT usher.grant_access('regress_guests', 'admin');
SET ROLE regress_guests;
SELECT usher.customer_contact(:'form');
RESET ROLE;
SELECT usher.revoke_access('regress_guests');
DROP ROLE regress_guests;
DELETE FROM wash.messages;
DROP SCHEMA courier_guests CASCADE;

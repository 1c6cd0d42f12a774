-- The story of a car wash in plain SQL, without the gateway: a visitor registers and books, a manager confirms, a
-- washer works, and everything is on record; then money, second thoughts, a full house, and people who go. Needs the
-- data of install.sql, and may run again:
--
--     ./dev psql -f examples/carwash/story.sql
--
-- It plays several people, so it is run by a superuser; everything they do is done as carwash_app, a database role
-- that has only grant_access('carwash_app', 'application'). Who somebody is comes from usher.authenticate(token)
-- alone, per transaction. Each step checks what it got: the script stops at the first surprise.
\ir ../expect.sql

\echo '--- 1. a visitor registers, verifies the address, logs in, books'
SELECT format('visitor-%s@example.com', substr(md5(random()::text), 1, 12)) AS email \gset
SET ROLE carwash_app;
SELECT user_id AS visitor, coalesce(error, '') AS error
    FROM usher.register_user(:'email', 'a long passphrase of mine', 'Vera', 'Visitor') \gset
SELECT pg_temp.expect('registration', :'error', '');
SELECT pg_temp.expect('login before the address is verified',
    (SELECT error FROM usher.login(:'email', 'a long passphrase of mine')),
    'email_not_verified');
-- The mailer reads the token from the outbox; the application cannot.
SELECT pg_temp.expect('the application reading the outbox', pg_temp.refusal('SELECT * FROM usher.events'), '42501');
RESET ROLE;
SELECT payload ->> 'token' AS token FROM usher.events
    WHERE event = 'user.email_verification_requested' AND payload ->> 'user_id' = :'visitor'
    ORDER BY id DESC LIMIT 1 \gset
SET ROLE carwash_app;
SELECT pg_temp.expect('verification', (SELECT error FROM usher.verify_email(:'token', 'a long passphrase of mine')),
    NULL);
SELECT access_token AS visitor_token, refresh_token AS visitor_refresh
FROM usher.login(:'email', 'a long passphrase of mine') \gset
BEGIN;
SELECT pg_temp.expect('who am I', usher.authenticate(:'visitor_token')::text, :'visitor');
SELECT id AS service FROM wash.list_services() WHERE name = 'Exterior wash' \gset
SELECT id AS location FROM wash.list_locations() WHERE name = 'Sparkling Car Wash' \gset
SELECT start_at, staff_ids[1] AS washer
    FROM wash.find_slots(:'location', :'service', now() + interval '1 day', now() + interval '8 days')
    WHERE cardinality(staff_ids) = 2 LIMIT 1 \gset
SELECT booking_id AS booking, status AS booking_status
FROM wash.create_booking(service_id => :'service', location_id => :'location',
    start_at => :'start_at', staff_id => :'washer', vehicle_info => '{"plate": "USHER 1"}') \gset
SELECT pg_temp.expect('status of the new booking', :'booking_status', 'pending');
COMMIT;

\echo '--- the same washer cannot be booked at an overlapping time'
RESET ROLE;
SELECT (usher.find_user('client@carwash.example')).user_id AS client \gset
SET ROLE carwash_app;
SELECT access_token AS client_token FROM usher.login('client@carwash.example', 'sparkling-client-demo') \gset
BEGIN;
SELECT usher.authenticate(:'client_token') IS NOT NULL AS somebody \gset
SELECT pg_temp.expect('an overlapping booking', pg_temp.refusal(format(
    'SELECT wash.create_booking(service_id => %L, location_id => %L, start_at => %L::timestamptz + interval ''15 '
    'minutes'', staff_id => %L)',
    :'service', :'location', :'start_at', :'washer')), 'UB001');
\echo '--- row-level security: nobody sees the bookings of others'
SELECT pg_temp.expect('bookings of the visitor that another client sees',
    (SELECT count(*) FROM wash.bookings WHERE id = :'booking')::text, '0');
COMMIT;
SELECT pg_temp.expect('bookings that nobody in particular sees', (SELECT count(*) FROM wash.bookings)::text, '0');
SELECT pg_temp.expect('a booking without identity', pg_temp.refusal(format(
    'SELECT wash.create_booking(customer_id => %L, service_id => %L, location_id => %L, start_at => %L)',
    :'client', :'service', :'location', :'start_at')), '42501');

\echo '--- 2. the manager confirms, the washer starts and completes, the visitor may not'
BEGIN;
SELECT usher.authenticate(:'visitor_token') IS NOT NULL AS somebody \gset
SELECT pg_temp.expect('the visitor confirming',
                      pg_temp.refusal(format('SELECT wash.confirm_booking(%L)', :'booking')), 'US002');
SELECT pg_temp.expect('own bookings that the visitor sees', (SELECT count(*) FROM wash.bookings)::text, '1');
COMMIT;
SELECT access_token AS manager_token FROM usher.login('manager@carwash.example', 'sparkling-manager-demo') \gset
BEGIN;
SELECT usher.authenticate(:'manager_token') IS NOT NULL AS somebody \gset
SELECT pg_temp.expect('a jump from pending to completed',
                      pg_temp.refusal(format('SELECT wash.complete_booking(%L)', :'booking')), 'US001');
SELECT pg_temp.expect('confirmation', (SELECT status FROM wash.confirm_booking(:'booking')), 'confirmed');
COMMIT;
RESET ROLE;
SELECT CASE :'washer' WHEN (usher.find_user('washer@carwash.example')).user_id::text THEN 'washer@carwash.example'
    ELSE 'washer2@carwash.example' END AS washer_email \gset
SELECT pg_temp.expect('the same jump by a raw UPDATE of a superuser',
    pg_temp.refusal(format('UPDATE wash.bookings SET status = ''completed'' WHERE id = %L', :'booking')), 'US001');
SET ROLE carwash_app;
SELECT pg_temp.expect('an UPDATE by the application',
    pg_temp.refusal(format('UPDATE wash.bookings SET status = ''cancelled'' WHERE id = %L', :'booking')), '42501');
SELECT access_token AS washer_token FROM usher.login(:'washer_email', 'sparkling-washer-demo') \gset
BEGIN;
SELECT usher.authenticate(:'washer_token') IS NOT NULL AS somebody \gset
SELECT pg_temp.expect('the work that waits for the washer',
    (SELECT count(*) FROM wash.list_bookings(staff_id => :'washer', statuses => '{confirmed}')
     WHERE booking_id = :'booking')::text, '1');
SELECT pg_temp.expect('start', (SELECT status FROM wash.start_booking(:'booking')), 'in_progress');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'washer_token') IS NOT NULL AS somebody \gset
SELECT usher.set_request_context('203.0.113.7', 'story.sql', 'carwash-story') \gset
SELECT pg_temp.expect('completion', (SELECT status FROM wash.complete_booking(:'booking', 'spotless')), 'completed');
COMMIT;

\echo '--- 3. everything is on record'
BEGIN;
SELECT usher.authenticate(:'visitor_token') IS NOT NULL AS somebody \gset
SELECT pg_temp.expect('history',
    (SELECT string_agg(to_status, ', ' ORDER BY seq) FROM wash.get_booking_history(:'booking')),
    'pending, confirmed, in_progress, completed');
SELECT pg_temp.expect('who completed it',
    (SELECT (changed_by).id::text FROM wash.get_booking_history(:'booking') WHERE to_status = 'completed'),
    :'washer');
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('updated_at moved',
                      (SELECT updated_at > created_at FROM wash.bookings WHERE id = :'booking')::text, 'true');
SELECT pg_temp.expect('the audit row of the completion', (
    SELECT format('%s from %s: %s to %s', actor_id, host(client_ip), old_values ->> 'status', new_values ->> 'status')
    FROM usher.audit_logs
    WHERE correlation_id = 'carwash-story' AND resource_id = :'booking' AND new_values ->> 'status' = 'completed'
    ORDER BY id DESC LIMIT 1),
    format('%s from 203.0.113.7: in_progress to completed', :'washer'));

\echo '--- 4. lockout, logout, refresh'
SET ROLE carwash_app;
SELECT pg_temp.expect('wrong password no. ' || n,
    (SELECT error FROM usher.login(:'email', 'not my passphrase, no. ' || n)),
    'invalid_credentials') FROM generate_series(1, 5) AS n;
SELECT pg_temp.expect('the right password of a locked account',
    (SELECT error FROM usher.login(:'email', 'a long passphrase of mine')),
    'invalid_credentials');
SELECT access_token AS next_token, refresh_token AS next_refresh, coalesce(error, '') AS error
    FROM usher.refresh_session(:'visitor_refresh') \gset
SELECT pg_temp.expect('refresh', :'error', '');
BEGIN;
SELECT usher.authenticate(:'next_token') IS NOT NULL AS somebody \gset
SELECT usher.logout() \gset
COMMIT;
SELECT pg_temp.expect('an access token after logout',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'next_token')), '28000');
RESET ROLE;

\echo '--- 5. a forgotten password, and who comes by Google'
SELECT format('pat-%s@example.com', substr(md5(random()::text), 1, 12)) AS pat_email \gset
SELECT pg_temp.person(:'pat_email', 'Pat') AS pat \gset
SET ROLE carwash_app;
SELECT access_token AS old_token FROM usher.login(:'pat_email', 'a long password of Pat') \gset
SELECT usher.request_password_reset(:'pat_email'), usher.request_password_reset('nobody@carwash.example') \gset
RESET ROLE;
SELECT pg_temp.expect('mails to unknown addresses', count(*)::text, '0')
FROM usher.events WHERE payload ->> 'email' = 'nobody@carwash.example';
SELECT payload ->> 'token' AS reset_token FROM usher.events
WHERE event = 'user.password_reset_requested' AND payload ->> 'email' = :'pat_email' ORDER BY id DESC LIMIT 1 \gset
SET ROLE carwash_app;
SELECT pg_temp.expect('a short one', error, 'password_too_short') FROM usher.reset_password(:'reset_token', 'short');
SELECT pg_temp.expect('a new password', error, NULL)
FROM usher.reset_password(:'reset_token', 'the new phrase of Pat');
SELECT pg_temp.expect('the link once more', error, 'invalid_token')
FROM usher.reset_password(:'reset_token', 'and another phrase of Pat');
SELECT pg_temp.expect('the old password', error, 'invalid_credentials')
FROM usher.login(:'pat_email', 'a long password of Pat');
SELECT pg_temp.expect('the session of before',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'old_token')), '28000');
SELECT access_token AS pat_token FROM usher.login(:'pat_email', 'the new phrase of Pat') \gset
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('somebody else''s account at Google, by hand', pg_temp.refusal(format(
    'SELECT usher.link_identity(%L, ''google'', ''1'')', :'client')), '42501');
COMMIT;
RESET ROLE;
-- what the application's OAuth callback does, which has asked Google
SELECT pg_temp.expect('an OAuth profile', error, NULL) FROM usher.link_identity(:'pat', 'google', :'pat_email',
    'pat@gmail.example', '{"picture": "https://example.com/pat.png"}');
SELECT usher.set_provider_tokens(:'pat', 'google', 'ya29.secret', '1//secret', now() + interval '1 hour');
SELECT pg_temp.expect('the same account at Google for two', error, 'identity_taken')
FROM usher.link_identity(:'client', 'google', :'pat_email');
SET ROLE carwash_app;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('the own OAuth profile', provider || ' ' || provider_email || ' ' || (user_info ->> 'picture'),
    'google pat@gmail.example https://example.com/pat.png') FROM usher.list_identities();
SELECT pg_temp.expect('its tokens by the application',
                      pg_temp.refusal('SELECT access_token FROM usher.identities'), '42501');
COMMIT;

\echo '--- 6. paid in advance: a card, by a program that calls the processor'
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT id AS detail FROM wash.list_services() WHERE name = 'Interior detail' \gset
SELECT start_at AS far FROM wash.find_slots(:'location', :'detail', now() + interval '9 days',
    now() + interval '16 days') LIMIT 1 \gset
SELECT booking_id AS prepaid FROM wash.create_booking(service_id => :'detail', location_id => :'location',
    start_at => :'far') \gset
SELECT pg_temp.expect('what is to be paid', status || ' ' || amount_minor || ' ' || currency, 'pending 12000 USD')
FROM wash.list_payments(reference_type => 'booking', reference_id => :'prepaid');
SELECT transaction_id AS payment
FROM wash.list_payments(reference_type => 'booking', reference_id => :'prepaid') \gset
SELECT pg_temp.expect('saying that one has paid', pg_temp.refusal(
    format('SELECT wash.record_manual_payment(%L, ''cash'')', :'payment')), '42501');
SELECT pg_temp.expect('raw SQL that says so', pg_temp.refusal(
    format('UPDATE wash.payment_transactions SET status = ''completed'' WHERE id = %L', :'payment')), '42501');
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'payment', 'cards') \gset
SELECT pg_temp.expect('reporting success oneself', pg_temp.refusal(
    format('SELECT wash.record_payment_result(%L, ''succeeded'', ''ch_1'')', :'attempt')), '42501');
COMMIT;
RESET ROLE;
SELECT usher.issue_token('01900000-0000-7000-8000-0000000000a6') AS worker_token \gset
SET ROLE carwash_worker;
BEGIN;
SELECT usher.authenticate(:'worker_token') AS me \gset
SELECT event_id, attempt AS try, payload ->> 'attempt_id' AS work FROM wash.claim_payment_work(1000)
WHERE payload ->> 'attempt_id' = :'attempt' \gset
SELECT pg_temp.expect('the answer of the processor', status, 'completed') FROM wash.record_payment_result(:'work',
    'succeeded', format('ch_%s', :'attempt'), 12000, '{"status": "succeeded", "card": "4242 4242 4242 4242"}');
SELECT pg_temp.expect('the end of the work', wash.complete_payment_work(:'event_id', :try)::text, 'true');
COMMIT;
SET ROLE carwash_app;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('the booking, paid', format('%s %s %s', status, paid_at IS NOT NULL, payment_method),
                      'confirmed t card') FROM wash.get_booking(:'prepaid');
SELECT pg_temp.expect('the answer of the processor is not for customers', response::text, NULL)
FROM wash.list_payment_attempts(:'payment');

\echo '--- 7. cash at the counter: staff says so, customers do not'
SELECT start_at AS soon FROM wash.find_slots(:'location', :'service', now() + interval '17 days',
    now() + interval '24 days') LIMIT 1 \gset
SELECT booking_id AS plain FROM wash.create_booking(service_id => :'service', location_id => :'location',
    start_at => :'soon') \gset
SELECT transaction_id AS cash FROM wash.create_payment(amount_minor => 2500, currency => 'USD',
    payment_method => 'cash', reference_type => 'booking', reference_id => :'plain') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') AS me \gset
SELECT pg_temp.expect('cash', status, 'completed')
FROM wash.record_manual_payment(:'cash', 'cash', receipt => :'cash');
SELECT pg_temp.expect('what is kept of the answer of the processor', response::text, '{"status": "succeeded"}')
FROM wash.list_payment_attempts(:'payment');
SELECT pg_temp.expect('a manager''s report of today', (sum(captured_minor) >= 14500)::text, 'true')
FROM wash.report_payments(current_date - 1, current_date + 2);
SELECT pg_temp.expect('a manager at the books', pg_temp.refusal(
    'SELECT * FROM wash.get_ledger_balance(''till:cash'', ''USD'')'), '42501');
COMMIT;
SELECT access_token AS admin_token FROM usher.login('admin@carwash.example', 'sparkling-admin-demo') \gset
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT pg_temp.expect('the till holds it', (debit_minor >= 2500)::text, 'true')
FROM wash.get_ledger_balance('till:cash', 'USD');
COMMIT;

\echo '--- 8. second thoughts: another time, cancelling, and the cut-off'
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('a customer who asks for the report', pg_temp.refusal(
    'SELECT * FROM wash.report_payments(current_date - 1, current_date + 2)'), '42501');
SELECT pg_temp.expect('paid and confirmed', status, 'confirmed') FROM wash.get_booking(:'plain');
SELECT start_at AS later FROM wash.find_slots(:'location', :'service', :'soon'::timestamptz + interval '2 hours',
    now() + interval '30 days') LIMIT 1 \gset
SELECT pg_temp.expect('rescheduling keeps the price and the status', format('%s %s %s', status, price_minor,
    start_at = :'later'), 'confirmed 2500 t') FROM wash.reschedule_booking(:'plain', :'later');
SELECT pg_temp.expect('at night', pg_temp.refusal(format('SELECT wash.reschedule_booking(%L, %L::timestamptz)',
    :'plain', date_trunc('day', now() AT TIME ZONE 'America/New_York' + interval '12 days') + interval '3 hours')),
'UB003');
SELECT pg_temp.expect('giving it to another washer', pg_temp.refusal(format('SELECT wash.reassign_booking(%L, %L)',
    :'plain', w.id)), 'US002') FROM wash.get_booking(:'plain') AS b,
    (VALUES ('01900000-0000-7000-8000-0000000000a3'::uuid), ('01900000-0000-7000-8000-0000000000a4')) AS w (id)
WHERE w.id <> b.staff_id;
SELECT pg_temp.expect('cancelling more than two days before', status || ' ' || refund_due_minor,
                      'cancelled 12000') FROM wash.cancel_booking(:'prepaid', 'customer_request');
SELECT pg_temp.expect('cancelling twice',
                      pg_temp.refusal(format('SELECT wash.cancel_booking(%L)', :'prepaid')), 'US001');
SELECT refund_id AS refund FROM wash.list_refunds(:'payment') \gset
-- in less than a day: the cut-off of the service is over when it is booked
SELECT start_at AS today FROM wash.find_slots(:'location', :'detail', now(), now() + interval '22 hours') LIMIT 1 \gset
SELECT booking_id AS late FROM wash.create_booking(service_id => :'detail', location_id => :'location',
    start_at => :'today') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') AS me \gset
SELECT pg_temp.expect('confirmed, to be paid at the counter', status, 'confirmed') FROM wash.confirm_booking(:'late');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('cancelling after the cut-off',
                      pg_temp.refusal(format('SELECT wash.cancel_booking(%L)', :'late')), 'UB006');
SELECT pg_temp.expect('moving it after the cut-off', pg_temp.refusal(
    format('SELECT wash.reschedule_booking(%L, %L)', :'late', :'far')), 'UB006');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') AS me \gset
SELECT pg_temp.expect('a manager without a reason',
                      pg_temp.refusal(format('SELECT wash.cancel_booking(%L)', :'late')), 'US002');
SELECT pg_temp.expect('a manager with one', status, 'cancelled')
FROM wash.cancel_booking(:'late', 'staff_unavailable', 'the only brush broke');
COMMIT;
SET ROLE carwash_worker;
BEGIN;
SELECT usher.authenticate(:'worker_token') AS me \gset
SELECT pg_temp.expect('the money back', status, 'succeeded')
FROM wash.record_refund_result(:'refund', 'succeeded', format('re_%s', :'refund'));
COMMIT;
SET ROLE carwash_app;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT pg_temp.expect('the payment', status, 'refunded') FROM wash.get_payment(:'payment');
COMMIT;

\echo '--- 9. a full house: one bay, two washers'
BEGIN;
SELECT usher.authenticate(:'washer_token') AS me \gset
SELECT pg_temp.expect('a washer who opens a location', pg_temp.refusal(
    'SELECT wash.create_location(''Mine'', ''2 Road'', ''New York'', ''NY'', ''10001'')'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT id AS corner FROM wash.create_location('Corner Wash', '9 Corner', 'New York', 'NY', '10002',
    time_zone => 'America/New_York', max_concurrent_bookings => 1) \gset
SELECT wash.set_location_hours(:'corner', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]') AS hours \gset
SELECT added FROM wash.set_location_services(:'corner', ARRAY[:'service']::uuid[]) \gset
SELECT wash.assign_staff(:'corner', '01900000-0000-7000-8000-0000000000a3', 'washer') AS one,
    wash.assign_staff(:'corner', '01900000-0000-7000-8000-0000000000a4', 'washer') AS two \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT start_at AS bay FROM wash.find_slots(:'corner', :'service', now() + interval '25 days',
    now() + interval '30 days') WHERE cardinality(staff_ids) = 2 LIMIT 1 \gset
SELECT booking_id AS first FROM wash.create_booking(service_id => :'service', location_id => :'corner',
    start_at => :'bay', staff_id => '01900000-0000-7000-8000-0000000000a3') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'client_token') AS me \gset
SELECT pg_temp.expect('a second car with the other washer', pg_temp.refusal(format('SELECT wash.create_booking('
    'service_id => %L, location_id => %L, start_at => %L, staff_id => ''01900000-0000-7000-8000-0000000000a4'')',
    :'service', :'corner', :'bay')), 'UB002');
SELECT pg_temp.expect('why not', string_agg(rule, ', '), 'capacity')
FROM wash.explain_slot(:'corner', :'service', :'bay') WHERE NOT ok;
COMMIT;

\echo '--- 10. who can manage whom: a manager washers and clients, an administrator everybody'
RESET ROLE;
SELECT pg_temp.expect('the hierarchy', string_agg(format('%s %s: %s', a.who, t.who, usher.can_manage(t.id, a.id)), ', '
    ORDER BY a.who, t.who), 'admin client: t, admin manager: t, admin washer: t, client admin: f, client manager: f, '
    'client washer: f, manager admin: f, manager client: t, manager washer: t, washer admin: f, washer client: f, '
    'washer manager: f')
FROM (SELECT w AS who, (usher.find_user(w || '@carwash.example')).user_id AS id
      FROM unnest('{admin,manager,washer,client}'::text[]) AS w) AS a,
    (SELECT w AS who, (usher.find_user(w || '@carwash.example')).user_id AS id
     FROM unnest('{admin,manager,washer,client}'::text[]) AS w) AS t WHERE a.who <> t.who;
SET ROLE carwash_app;
BEGIN;
SELECT usher.authenticate(:'manager_token') AS me \gset
SELECT pg_temp.expect('a manager who deactivates an administrator', pg_temp.refusal(
    'SELECT usher.deactivate_user(''01900000-0000-7000-8000-0000000000a1'')'), '42501');
SELECT pg_temp.expect('a manager who makes himself one', pg_temp.refusal(
    'SELECT usher.grant_role(usher.current_user_id(), ''admin'')'), '42501');
SELECT usher.grant_role(:'pat', 'washer') \gset
SELECT pg_temp.expect('a client who is taken on as a washer', array_to_string(roles, ', '), 'client, washer')
FROM usher.get_user(:'pat');
SELECT usher.revoke_role(:'pat', 'washer') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'washer_token') AS me \gset
SELECT pg_temp.expect('a washer who does the same', pg_temp.refusal(
    format('SELECT usher.grant_role(%L, ''washer'')', :'pat')), '42501');
SELECT pg_temp.expect('a washer who lists accounts', pg_temp.refusal('SELECT * FROM usher.list_users()'), '42501');
COMMIT;

\echo '--- 11. many bookings and their people at once, without a query for each'
BEGIN;
SELECT usher.authenticate(:'manager_token') AS me \gset
SELECT pg_temp.expect('three bookings with their customers',
    string_agg((customer).name, ', ' ORDER BY (customer).name), 'Pat, Pat, Vera Visitor')
FROM wash.get_bookings(ARRAY[:'booking', :'prepaid', :'plain']::uuid[]);
SELECT pg_temp.expect('people by their ids', string_agg(r.name || ' ' || r.role, ', ' ORDER BY r.name),
    'Max Manager manager, Vera Visitor client')
FROM usher.user_references(ARRAY['01900000-0000-7000-8000-0000000000a2', :'visitor']::uuid[]) AS r;
COMMIT;

\echo '--- 12. a customer goes: each feature cleans up; a prefix of one''s own'
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
SELECT transaction_id AS unpaid FROM wash.create_payment(amount_minor => 2500, currency => 'USD',
    reference_type => 'booking', reference_id => :'first') \gset
SELECT usher.delete_user();
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('bookings to come', string_agg(DISTINCT status, ', '), 'cancelled')
FROM wash.bookings WHERE customer_user_id = :'pat';
SELECT pg_temp.expect('open payments', string_agg(status || ' ' || close_reason, ', '), 'failed user_deleted')
FROM wash.payment_transactions WHERE id = :'unpaid';
SELECT pg_temp.expect('sums that were paid stay', string_agg(DISTINCT captured_minor::text, ', '), '2500')
FROM wash.payment_transactions WHERE id = :'cash';
SELECT pg_temp.expect('their session',
                      pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'pat_token')), '28000');
SET ROLE carwash_app;
SELECT pg_temp.expect('their login', error, 'invalid_credentials')
FROM usher.login(:'pat_email', 'the new phrase of Pat');
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT pg_temp.expect('closing the corner', cancelled::text, '0') FROM wash.set_location_active(:'corner', false);
COMMIT;
RESET ROLE;
-- The prefix is the schema: in another database, booking_ for bookings, and payments without bookings
SELECT current_database() AS here, current_database() || '_prefix' AS there \gset
DROP DATABASE IF EXISTS :there;
CREATE DATABASE :there;
\c :there
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA booking;
CREATE EXTENSION usher_booking SCHEMA booking CASCADE;
CREATE SCHEMA payment;
CREATE EXTENSION usher_payment SCHEMA payment;
SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text) AS tables FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relname IN ('services', 'bookings', 'payment_transactions', 'payment_methods') \gset
SELECT (booking.create_service('Rinse', '15 minutes', 900, 'USD')).name AS rinse \gset
\c :here
DROP DATABASE :there;
\ir ../expect.sql
SELECT pg_temp.expect('the tables of another prefix', :'tables',
    'booking.bookings, booking.services, payment.payment_methods, payment.payment_transactions');
SELECT pg_temp.expect('what works there', :'rinse', 'Rinse');

\echo '--- 13. nothing is wrong'
SELECT pg_temp.expect('violations: ' || rule, violations::text, '0')
FROM usher.self_check() WHERE extension = 'usher_booking';
\echo 'the whole story came out as it should'

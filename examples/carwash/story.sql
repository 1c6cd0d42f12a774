-- The story of a car wash in plain SQL, without the gateway: a visitor registers and books, a manager confirms, a
-- washer works, and everything is on record. Needs the demo data of install.sql:
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
SELECT pg_temp.expect('start', (SELECT status FROM wash.start_booking(:'booking')), 'in_progress');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'washer_token') IS NOT NULL AS somebody \gset
SELECT usher.set_request_context('203.0.113.7', 'carwash.sql', 'carwash-story') \gset
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

\echo '--- 5. nothing is wrong'
SELECT pg_temp.expect('violations: ' || rule, violations::text, '0')
FROM usher.self_check() WHERE extension = 'usher_booking';
\echo 'the whole story came out as it should'

-- The story of the clinic in plain SQL: from registration to an earned reward, told by the roles of R2, with what they
-- may not do. Needs the database that install.sql and names.sql make:
--
--     ./dev psql --system clinic -f examples/clinic/story.sql
--
-- It plays several people, so it is run by a superuser; everything they do is done as clinic_app, a database role that
-- has only grant_access('clinic_app', 'application'). Who somebody is comes from usher.authenticate(token) alone, per
-- transaction. Each step checks what it got: the script stops at the first surprise. May run again: each time there
-- are new people, and a branch of the practice of their own, where it is noon.
\ir ../expect.sql

-- What events bring about is done by the background worker, or by this call; after it nothing waits for either.
CREATE PROCEDURE pg_temp.let_events_happen() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..600 LOOP
        PERFORM usher.run_event_handlers(1000);
        COMMIT;
        EXIT WHEN NOT EXISTS (SELECT FROM usher.list_subscriptions() AS s
                              WHERE s.handler IS NOT NULL AND s.mode = 'async' AND s.pending > 0);
        PERFORM pg_sleep(0.05);
    END LOOP;
END
$$;
SELECT substr(md5(random()::text), 1, 12) AS run, 'c1000000-0000-7000-8000-000000000001' AS practice,
    'c2000000-0000-7000-8000-000000000001' AS therapy \gset
-- The zone where it is between noon and one o'clock: appointments arrive on their day, at any time of ours
SELECT format('Etc/GMT%s', CASE WHEN h > 12 THEN '+' || h - 12 WHEN h < 12 THEN '-' || 12 - h END) AS noon
FROM (SELECT extract(hour FROM now() AT TIME ZONE 'UTC')::integer AS h) AS utc \gset

\echo '--- 1. somebody registers, proves the address, logs in, and is a customer'
SET ROLE clinic_app;
INSERT INTO clinic.users (email, username, hashed_password, first_name, last_name)
VALUES (format('vera-%s@example.com', :'run'), 'vera-' || :'run', 'a long passphrase of mine', 'Vera', 'Visitor')
RETURNING id AS vera, hashed_password AS shown \gset
SELECT pg_temp.expect('what is shown of the password', :'shown', '***');
SELECT pg_temp.expect('the same address again', pg_temp.refusal(format(
    'INSERT INTO clinic.users (email, hashed_password) VALUES (%L, ''another long passphrase'')',
    format('vera-%s@example.com', :'run'))), '22023');
SELECT pg_temp.expect('a password that everybody tries', pg_temp.refusal(
    'INSERT INTO clinic.users (email, hashed_password) VALUES (''x@example.com'', ''password'')'), '22023');
SELECT pg_temp.expect('login before the address is verified',
    (SELECT error FROM usher.login('vera-' || :'run', 'a long passphrase of mine')), 'email_not_verified');
SELECT pg_temp.expect('the application reading the outbox', pg_temp.refusal('SELECT * FROM usher.events'), '42501');
RESET ROLE;
SELECT payload ->> 'token' AS token FROM usher.events
WHERE event = 'user.email_verification_requested' AND payload ->> 'user_id' = :'vera' ORDER BY id DESC LIMIT 1 \gset
SET ROLE clinic_app;
SELECT pg_temp.expect('verification', (SELECT error FROM usher.verify_email(:'token', 'a long passphrase of mine')),
    NULL);
SELECT access_token AS vera_token, refresh_token AS vera_refresh, session_id AS vera_session
FROM usher.login('vera-' || :'run', 'a long passphrase of mine', '{"name": "phone", "fingerprint": "v-1"}') \gset
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT pg_temp.expect('the role of whoever is new', string_agg(role, ', '), 'customer') FROM usher.list_user_roles();
SELECT pg_temp.expect('accounts that she sees', string_agg(username, ', '), 'vera-' || :'run') FROM clinic.users;
SELECT pg_temp.expect('her session', status || ' ' || device_fingerprint, 'active v-1')
FROM clinic.enhanced_user_sessions;
SELECT pg_temp.expect('her refresh token', token_hash, '***') FROM clinic.refresh_tokens;
SELECT pg_temp.expect('the table of tokens itself', pg_temp.refusal('SELECT refresh_token_hash FROM usher.sessions'),
    '42501');
SELECT pg_temp.expect('a customer, before anything was booked', is_customer::text, 'false') FROM clinic.users;
UPDATE clinic.users SET phone = '+351 210 000 000', is_customer = true;
SELECT pg_temp.expect('and then', is_customer::text || ' ' || phone, 'true +351 210 000 000') FROM clinic.users;
SELECT pg_temp.expect('a second profile, by herself', pg_temp.refusal(format(
    'INSERT INTO clinic.customers (user_id, name, id) VALUES (%L, ''Her son'', usher.uuid_v7())', :'vera')), '42501');
COMMIT;
RESET ROLE;
-- Others of this run; their registration is the same.
SELECT pg_temp.person(format('otto-%s@example.com', :'run'), 'Otto') AS otto,
    pg_temp.person(format('cleo-%s@example.com', :'run'), 'Cleo') AS cleo,
    pg_temp.person(format('doc-%s@example.com', :'run'), 'Doc', 'staff') AS doc,
    pg_temp.person(format('stu-%s@example.com', :'run'), 'Stu', 'staff') AS stu \gset
SELECT usher.issue_token(:'otto') AS otto_token, usher.issue_token(:'cleo') AS cleo_token,
    usher.issue_token(:'doc') AS doc_token, usher.issue_token(:'stu') AS stu_token \gset
SET ROLE clinic_app;
SELECT access_token AS admin_token FROM usher.login('admin', 'healthy-admin-demo') \gset
SELECT access_token AS manager_token FROM usher.login('manager', 'healthy-manager-demo') \gset
SELECT access_token AS desk_token FROM usher.login('desk', 'healthy-desk-demo') \gset

\echo '--- 2. roles and permissions: who may give what, and for how long'
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
SELECT pg_temp.expect('a role made by the manager',
    pg_temp.refusal('INSERT INTO clinic.roles (name) VALUES (''boss'')'), '42501');
SELECT pg_temp.expect('the manager making somebody administrator',
    pg_temp.refusal(format('SELECT usher.grant_role(%L, ''admin'')', :'stu')), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') \g /dev/null
INSERT INTO clinic.permissions (resource, action) SELECT 'letter', 'write'
WHERE NOT EXISTS (SELECT FROM clinic.permissions WHERE name = 'letter:write');
INSERT INTO clinic.user_permissions (user_id, permission_id, expires_at)
VALUES (:'stu', 'letter:write', clock_timestamp() + interval '1 second');
INSERT INTO clinic.user_permissions (user_id, permission_id, expires_at)
SELECT u.id, 'payment:refund', now() + interval '30 days' FROM clinic.users AS u WHERE u.username = 'desk';
SELECT pg_temp.expect('a permission that nobody knows', pg_temp.refusal(format(
    'INSERT INTO clinic.user_permissions (user_id, permission_id) VALUES (%L, ''letter:eat'')', :'stu')), 'US005');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'stu_token') \g /dev/null
SELECT pg_temp.expect('by role', allowed || ' ' || via, 'true role') FROM usher.check_access('booking:confirm');
SELECT pg_temp.expect('directly', allowed || ' ' || via, 'true direct') FROM usher.check_access('letter:write');
SELECT pg_temp.expect('not at all', allowed || ' ' || via, 'false nothing') FROM usher.check_access('product:manage');
COMMIT;
SELECT pg_sleep(1.1) \g /dev/null
BEGIN;
SELECT usher.authenticate(:'stu_token') \g /dev/null
SELECT pg_temp.expect('a second later', allowed::text, 'false') FROM usher.check_access('letter:write');
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('attempts on record, allowed or not',
    string_agg((details ->> 'permission') || ' ' || success, ', ' ORDER BY created_at, id),
    'booking:confirm true, letter:write true, product:manage false, letter:write false')
FROM clinic.audit_logs WHERE action = 'access.checked' AND user_id = :'stu';
SELECT pg_temp.expect('grants to look at', string_agg(permission, ', '), 'letter:write')
FROM usher.list_expiring_grants() WHERE user_id = :'stu';

\echo '--- 3. a branch, products, stock, an offer and an advertisement, made by those who may'
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT pg_temp.expect('a product of a customer',
    pg_temp.refusal('INSERT INTO clinic.products (sku, name, price) VALUES (''x'', ''X'', 1)'), '42501');
SELECT pg_temp.expect('an offer of a customer', pg_temp.refusal(
    'INSERT INTO clinic.offers (title, offer_type, discount_percent) VALUES (''x'', ''percent'', 99)'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') \g /dev/null
SELECT id AS branch FROM care.create_location('Branch ' || :'run', 'Rua do Sol 1', 'Lisboa', 'Lisboa', '1200-014',
    'PT', :'noon') \gset
SELECT care.set_location_hours(:'branch', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]') \g /dev/null
SELECT care.set_location_services(:'branch', ARRAY[:'therapy']::uuid[]) \g /dev/null
SELECT care.assign_staff(:'branch', :'doc', 'staff'), care.assign_staff(:'branch', :'stu', 'staff', bookable => false),
    care.assign_staff(:'branch', (SELECT id FROM clinic.users WHERE username = 'desk'), 'staff', bookable => false),
    care.assign_staff(:'branch', (SELECT id FROM clinic.users WHERE username = 'manager'), 'manager') \g /dev/null
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
INSERT INTO clinic.products (sku, name, price, currency, category, tax_class, is_active)
VALUES ('soap-' || :'run', 'Soap', 5.00, 'EUR', 'care', 'standard', true) RETURNING id AS soap \gset
INSERT INTO clinic.inventory_logs (product_id, location_id, movement_type, quantity, reason)
VALUES (:'soap', :'branch', 'purchase', 4, NULL), (:'soap', :'branch', 'adjustment', -1, 'broken');
SELECT shop.set_stock_limits(:'soap', :'branch', 1) \g /dev/null
SELECT shop.receive_stock('c3000000-0000-7000-8000-000000000002', :'branch', 5) \g /dev/null
SELECT pg_temp.expect('soap', price || ' ' || stock_quantity || ' ' || availability, '5.00 3 in_stock')
FROM clinic.products WHERE id = :'soap';
UPDATE clinic.products SET price = 6.00 WHERE id = :'soap';
SELECT pg_temp.expect('more than there is', pg_temp.refusal(format(
    'INSERT INTO clinic.inventory_logs (product_id, location_id, movement_type, quantity, reason) '
    'VALUES (%L, %L, ''adjustment'', -4, ''lost'')', :'soap', :'branch')), 'UC002');
INSERT INTO clinic.offers (title, offer_type, discount_amount, currency, target_tiers, is_active, valid_until)
VALUES ('For gold ' || :'run', 'amount', 20.00, 'EUR', '{GOLD}', true, now() + interval '1 day')
RETURNING id AS gold_offer \gset
INSERT INTO clinic.advertisements (title, placement, content, is_active)
VALUES ('Soap ' || :'run', 'lobby_' || :'run', '{"text": "Clean hands"}', true) RETURNING id AS ad \gset
COMMIT;
\echo '--- seen and clicked by whoever comes along'
SELECT pg_temp.expect('what hangs in the lobby', content ->> 'text', 'Clean hands')
FROM club.list_current_advertisements('lobby_' || :'run');
UPDATE clinic.advertisements SET views = views + 1 WHERE id = :'ad';
UPDATE clinic.advertisements SET views = views + 1 WHERE id = :'ad';
UPDATE clinic.advertisements SET clicks = clicks + 1 WHERE id = :'ad';
SELECT pg_temp.expect('an advertisement taken down by nobody in particular',
    pg_temp.refusal(format('UPDATE clinic.advertisements SET is_active = false WHERE id = %L', :'ad')), '42501');

\echo '--- 4. Vera tells Otto, Otto says so'
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT club.get_referral_code() AS code \gset
SELECT pg_temp.expect('she brings herself', pg_temp.refusal(format(
    'INSERT INTO clinic.referrals (referral_code) VALUES (%L)', :'code')), 'UL008');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'otto_token') \g /dev/null
UPDATE clinic.users SET is_customer = true;
INSERT INTO clinic.referrals (referral_code) VALUES (:'code') RETURNING id AS referral \gset
SELECT pg_temp.expect('what they see of it', status || ' ' || referrer_points || ' ' || referred_points,
    'pending 100 50')
FROM clinic.referrals;
SELECT pg_temp.expect('rewarded by saying so', pg_temp.refusal(format(
    'UPDATE clinic.referrals SET status = ''rewarded'' WHERE id = %L', :'referral')), '42501');
COMMIT;

\echo '--- 5. an appointment: booked, paid at the front desk, given'
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT start_at AS slot FROM care.find_slots(:'branch', :'therapy', now(), now() + interval '2 hours') LIMIT 1 \gset
INSERT INTO clinic.bookings (customer_id, service_id, location_id, booking_date, staff_id, notes)
VALUES (:'vera', :'therapy', :'branch', :'slot', :'doc', 'by the window')
RETURNING id AS visit, status AS visit_status \gset
SELECT pg_temp.expect('the booking', :'visit_status', 'pending');
SELECT id AS first FROM clinic.appointments WHERE booking_id = :'visit' \gset
SELECT pg_temp.expect('its appointment', a.status || ' ' || (a.doctor_id = :'doc') || ' ' || (b.appointment_id = a.id),
    'scheduled true true')
FROM clinic.appointments AS a JOIN clinic.bookings AS b ON b.id = a.booking_id WHERE a.id = :'first';
SELECT id AS payment FROM clinic.payment_transactions WHERE booking_id = :'visit' \gset
SELECT pg_temp.expect('its payment', amount || ' ' || status, '90.00 pending')
FROM clinic.payment_transactions WHERE id = :'payment';
SELECT pg_temp.expect('confirmed by herself', pg_temp.refusal(format(
    'UPDATE clinic.bookings SET status = ''confirmed'' WHERE id = %L', :'visit')), 'US002');
SELECT pg_temp.expect('paid by saying so', pg_temp.refusal(format(
    'UPDATE clinic.payment_transactions SET status = ''completed'', payment_method = ''cash'' WHERE id = %L',
    :'payment')), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'otto_token') \g /dev/null
SELECT pg_temp.expect('what Otto sees of it', (SELECT count(*) FROM clinic.bookings) || ' '
    || (SELECT count(*) FROM clinic.appointments) || ' ' || (SELECT count(*) FROM clinic.payment_transactions),
    '0 0 0');
SELECT pg_temp.expect('the same time with the same doctor', pg_temp.refusal(format(
    'INSERT INTO clinic.bookings (customer_id, service_id, location_id, booking_date, staff_id) '
    'VALUES (%L, %L, %L, %L, %L)', :'otto', :'therapy', :'branch', :'slot', :'doc')), 'UB001');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'desk_token') \g /dev/null
SELECT pg_temp.expect('arrived before anything is paid', pg_temp.refusal(format(
    'UPDATE clinic.appointments SET status = ''arrived'' WHERE id = %L', :'first')), 'US002');
UPDATE clinic.payment_transactions SET status = 'completed', payment_method = 'cash' WHERE id = :'payment';
SELECT pg_temp.expect('paid, so confirmed', booking_status, 'confirmed')
FROM care.list_appointments(booking_id => :'visit');
-- a second session next week
INSERT INTO clinic.appointments (booking_id, appointment_date, end_date)
VALUES (:'visit', :'slot'::timestamptz + interval '7 days', :'slot'::timestamptz + interval '7 days 45 minutes')
RETURNING id AS second \gset
UPDATE clinic.appointments SET status = 'arrived' WHERE id = :'first';
SELECT pg_temp.expect('arrived next week, today', pg_temp.refusal(format(
    'UPDATE clinic.appointments SET status = ''arrived'' WHERE id = %L', :'second')), 'US002');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT pg_temp.expect('her calendar has both', regexp_count(care.export_booking_ical(:'visit'), 'BEGIN:VEVENT')::text,
    '2');
SELECT pg_temp.expect('begun by the patient', pg_temp.refusal(format(
    'UPDATE clinic.appointments SET status = ''in_progress'' WHERE id = %L', :'first')), 'US002');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'doc_token') \g /dev/null
UPDATE clinic.appointments SET status = 'in_progress' WHERE id = :'first';
SELECT pg_temp.expect('its booking', status, 'in_progress') FROM clinic.bookings WHERE id = :'visit';
UPDATE clinic.appointments SET status = 'completed', notes = 'better already' WHERE id = :'first';
UPDATE clinic.appointments SET status = 'cancelled', cancellation_reason = 'customer_request' WHERE id = :'second';
SELECT pg_temp.expect('after the last one', status, 'completed') FROM clinic.bookings WHERE id = :'visit';
SELECT pg_temp.expect('a refund by a doctor', pg_temp.refusal(format(
    'UPDATE clinic.payment_transactions SET status = ''refunded'' WHERE id = %L', :'payment')), '42501');
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('the bandage that it took',
    string_agg(movement_type || ' ' || quantity, ', ' ORDER BY created_at, id), 'purchase 5, use -1')
FROM clinic.inventory_logs WHERE product_id = 'c3000000-0000-7000-8000-000000000002' AND location_id = :'branch';

\echo '--- 6. an order: an offer for who is new, the last ones are gone, paid at the till, one thing comes back'
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'otto_token') \g /dev/null
SELECT order_id AS bought, total_minor FROM shop.create_order(:'branch', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 2))) \gset
SELECT pg_temp.expect('the new price', :'total_minor', '1200');
SELECT pg_temp.expect('a total of his own', pg_temp.refusal(
    format('UPDATE shop.orders SET total_minor = 1 WHERE id = %L', :'bought')), '42501');
SELECT pg_temp.expect('placed, a tenth off', status || ' ' || total_minor, 'placed 1080')
FROM shop.place_order(:'bought');
SELECT pg_temp.expect('what he sees happen', string_agg(new_status, ', ' ORDER BY seq), 'cart, placed')
FROM clinic.order_events WHERE order_id = :'bought';
COMMIT;
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT order_id AS late FROM shop.create_order(:'branch', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 2))) \gset
SELECT pg_temp.expect('more soap than is left', pg_temp.refusal(format('SELECT shop.place_order(%L)', :'late')),
    'UC001');
SELECT pg_temp.expect('an order of somebody else', pg_temp.refusal(format('SELECT shop.cancel_order(%L)', :'bought')),
    'US005');
SELECT pg_temp.expect('its events', count(*)::text, '0') FROM clinic.order_events WHERE order_id = :'bought';
COMMIT;
BEGIN;
SELECT usher.authenticate(:'desk_token') \g /dev/null
UPDATE clinic.payment_transactions SET status = 'completed', payment_method = 'cash' WHERE order_id = :'bought';
SELECT status FROM shop.fulfil_order(:'bought', '[{"line_no": 1, "quantity": 1}]') \g /dev/null
INSERT INTO clinic.order_events (order_id, event_type, event_data) VALUES (:'bought', 'wrapped', '{"paper": "blue"}');
SELECT pg_temp.expect('both are handed over', status, 'fulfilled') FROM shop.fulfil_order(:'bought');
SELECT pg_temp.expect('cancelling it now', pg_temp.refusal(format('SELECT shop.cancel_order(%L)', :'bought')),
    'US001');
SELECT pg_temp.expect('one is broken', total_minor::text, '540')
FROM shop.return_order(:'bought', '[{"line_no": 1, "quantity": 1}]', 'broken');
SELECT pg_temp.expect('over', status, 'completed') FROM shop.complete_order(:'bought');
SELECT pg_temp.expect('what goes back', p.refunded_amount::text, '5.40')
FROM clinic.payment_transactions AS p WHERE p.order_id = :'bought';
SELECT pg_temp.expect('the way of the order', string_agg(coalesce(new_status, event_type), ', ' ORDER BY seq),
    'cart, placed, paid, wrapped, fulfilled, completed')
FROM clinic.order_events WHERE order_id = :'bought';
-- Rita may refund directly, until her grant ends; the rest of the staff may not.
UPDATE clinic.payment_transactions SET status = 'refunded', refunded_amount = 10.00 WHERE id = :'payment';
SELECT pg_temp.expect('a part of the treatment goes back', status || ' ' || refunded_amount, 'completed 10.00')
FROM clinic.payment_transactions WHERE id = :'payment';
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('the way of the soap', string_agg(movement_type, ', ' ORDER BY created_at, id),
    'purchase, adjustment, reserve, sale, return')
FROM clinic.inventory_logs WHERE product_id = :'soap' AND location_id = :'branch';
SELECT pg_temp.expect('what made the order paid', c.event, 'payment.completed')
FROM usher.events AS e JOIN usher.events AS c ON c.id = e.causation_id
WHERE e.event = 'order.paid' AND e.payload ->> 'id' = :'bought';
-- Two programs of others, each with its own copy of the events, which say what they have done with
SELECT pg_temp.expect('what the warehouse gets', string_agg((payload ->> 'total_minor') || ' ' || done, ', ')
    FILTER (WHERE payload ->> 'id' = :'bought'), '1080 true')
FROM (SELECT e.payload, usher.complete_event('warehouse', e.event_id) AS done
      FROM usher.claim_events('warehouse', 100) AS e) AS packed;
SELECT pg_temp.expect('what is to be bought', string_agg((payload ->> 'available') || ' ' || done, ', ')
    FILTER (WHERE payload ->> 'product_id' = :'soap'), '1 true')
FROM (SELECT e.payload, usher.complete_event('purchasing', e.event_id) AS done
      FROM usher.claim_events('purchasing', 100) AS e) AS ordered;

\echo '--- 7. rewards: earned, given for the referral, spent once; a tier, and the offer that is for it'
CALL pg_temp.let_events_happen();
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT pg_temp.expect('the referral', status, 'rewarded') FROM clinic.referrals WHERE id = :'referral';
SELECT pg_temp.expect('90 for the treatment, 100 for Otto', balance::text, '190') FROM club.get_points_balance();
SELECT pg_temp.expect('the same, one by one', string_agg(rule_code || ' ' || points, ', ' ORDER BY points),
    'treatments 90, referral 100')
FROM club.points_entries;
SELECT id AS reward FROM clinic.rewards WHERE name = 'Hand cream for nothing' \gset
SELECT code AS reward_code, redemption_id AS redemption FROM club.redeem_reward(:'reward') \gset
SELECT pg_temp.expect('what is left', balance::text, '110') FROM club.get_points_balance();
SELECT pg_temp.expect('handed out by herself', pg_temp.refusal(
    format('SELECT club.redeem_reward_code(%L)', :'reward_code')), '42501');
SELECT pg_temp.expect('offers for her', string_agg(title, ', '), NULL)
FROM club.list_offers_for(context => '{"amount_minor": 5000, "currency": "EUR"}') AS o
WHERE o.applies AND o.title LIKE 'For gold%';
SELECT pg_temp.expect('points of her own making', pg_temp.refusal(
    format('SELECT club.earn_points(%L, 1000)', :'vera')), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'otto_token') \g /dev/null
SELECT pg_temp.expect('5 for what he kept, 50 for coming', balance::text, '55') FROM club.get_points_balance();
SELECT pg_temp.expect('a reward that he cannot pay',
    pg_temp.refusal(format('SELECT club.redeem_reward(%L)', :'reward')), 'UL001');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'desk_token') \g /dev/null
SELECT pg_temp.expect('handed out', status, 'redeemed') FROM club.redeem_reward_code(:'reward_code');
SELECT pg_temp.expect('and again', error, 'code_invalid') FROM club.redeem_reward_code(:'reward_code');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
SELECT club.earn_points(:'vera', 400, note => 'for a letter to the press') \g /dev/null
INSERT INTO clinic.rewards (name, points_required, is_active) VALUES ('Tea ' || :'run', 10, true)
RETURNING id AS tea \gset
COMMIT;
RESET ROLE;
CALL pg_temp.let_events_happen();
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'vera_token') \g /dev/null
SELECT pg_temp.expect('her tier, here and in her account', b.tier || ' ' || m.tier, 'GOLD GOLD')
FROM club.get_points_balance() AS b, usher.get_me() AS m;
SELECT pg_temp.expect('the offer for it', discount_minor::text, '2000')
FROM club.list_offers_for(context => '{"amount_minor": 5000, "currency": "EUR"}') AS o
WHERE o.offer_id = :'gold_offer';
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
SELECT pg_temp.expect('a part of the money comes back', t.status, 'succeeded')
FROM till.list_refunds(:'payment') AS r, till.record_refund_result(r.refund_id, 'succeeded') AS t;
COMMIT;
RESET ROLE;

\echo '--- 8. somebody leaves: each feature cleans up after user.deleted, and user.erased'
-- Cleo has something in each: an appointment and a note in it, a payment and a saved card, an order, points, a reward
-- that is kept for her, a referral.
SELECT 'cleo-' || :'run' || '-secret' AS secret \gset
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'cleo_token') \g /dev/null
SELECT usher.update_profile(first_name => 'Cleo', last_name => :'secret', phone => '+351 210 000 001') \g /dev/null
SELECT care.upsert_customer(:'cleo', :'secret', attributes => jsonb_build_object('allergy', :'secret')) \g /dev/null
INSERT INTO clinic.bookings (customer_id, service_id, location_id, booking_date, staff_id, notes)
VALUES (:'cleo', :'therapy', :'branch', :'slot'::timestamptz + interval '1 day', :'doc', :'secret')
RETURNING id AS cleos_visit \gset
SELECT brand FROM till.save_payment_method('stripe', 'pm_' || :'secret', brand => 'visa', last_four => '4242')
\g /dev/null
SELECT order_id AS cleos_order FROM shop.create_order(:'branch', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 1)), ship_to => jsonb_build_object('name', :'secret'),
    notes => :'secret') \gset
SELECT status FROM shop.place_order(:'cleos_order') \g /dev/null
SELECT club.create_referral(:'code') \g /dev/null
SELECT pg_temp.expect('two payments wait', string_agg(status, ', '), 'pending, pending')
FROM clinic.payment_transactions;
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
SELECT club.earn_points(:'cleo', 50, note => :'secret') \g /dev/null
SELECT club.note_customer_signal(:'cleo', 'address', :'secret') \g /dev/null
COMMIT;
BEGIN;
SELECT usher.authenticate(:'cleo_token') \g /dev/null
SELECT pg_temp.expect('a reward is kept for her', status || ' ' || balance, 'reserved 40')
FROM club.redeem_reward(:'tea');
SELECT pg_temp.expect('what she can take with her', string_agg(format('%s %s', v.part, jsonb_array_length(
        e.everything #> string_to_array(v.part, ' '))), ', ' ORDER BY v.part),
    'usher_booking appointments 1, usher_booking bookings 1, usher_booking customers 1, usher_loyalty entries 2, '
    'usher_loyalty redemptions 1, usher_loyalty referrals 1, usher_payment methods 1, usher_payment payments 2, '
    'usher_shop orders 1')
FROM usher.export_user() AS e (everything), unnest('{usher_booking bookings,usher_booking appointments,
    usher_booking customers,usher_payment payments,usher_payment methods,usher_shop orders,usher_loyalty entries,
    usher_loyalty redemptions,usher_loyalty referrals}'::text[]) AS v (part);
SELECT pg_temp.expect('a deletion of somebody else',
    pg_temp.refusal(format('SELECT usher.delete_user(%L)', :'vera')), '42501');
DELETE FROM clinic.users WHERE id = :'cleo';
COMMIT;
RESET ROLE;
CALL pg_temp.let_events_happen();
SELECT pg_temp.expect('her account', status, 'deleted') FROM usher.users WHERE id = :'cleo';
SELECT pg_temp.expect('her tokens', pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'cleo_token')),
    '28000');
SELECT pg_temp.expect('booking: her visit', status || ' ' || cancellation_reason, 'cancelled user_deleted')
FROM clinic.bookings WHERE id = :'cleos_visit';
SELECT pg_temp.expect('booking: its appointment', status, 'cancelled')
FROM clinic.appointments WHERE booking_id = :'cleos_visit';
SELECT pg_temp.expect('payment: what was to be paid',
    string_agg(DISTINCT status || ' ' || (closed_at IS NOT NULL), ', '), 'failed true')
FROM till.payment_transactions WHERE customer_id = :'cleo';
SELECT pg_temp.expect('payment: saved cards', count(*)::text, '0')
FROM till.payment_methods WHERE customer_id = :'cleo' AND is_active;
SELECT pg_temp.expect('shop: her order', status, 'cancelled') FROM shop.orders WHERE id = :'cleos_order';
SELECT pg_temp.expect('shop: its soap is there again', available::text, '2')
FROM shop.get_stock_level(ARRAY[:'soap'::uuid], :'branch');
SELECT pg_temp.expect('loyalty: her points', (closed_at IS NOT NULL) || ' ' || balance, 'true 50')
FROM club.points_accounts WHERE customer_id = :'cleo';
SELECT pg_temp.expect('loyalty: the reward', string_agg(status, ', '), 'reversed')
FROM club.reward_redemptions WHERE customer_id = :'cleo';
SELECT pg_temp.expect('loyalty: the referral', string_agg(status, ', '), 'rejected')
FROM clinic.referrals WHERE referred_id = :'cleo';
-- Where in the whole database her name, her notes and her address are written, with the privileges of a superuser.
CREATE FUNCTION pg_temp.places(of text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place regclass;
    found boolean;
    places text[] := '{}';
BEGIN
    FOR place IN SELECT c.oid FROM pg_class AS c WHERE c.relkind = 'r' AND NOT c.relispartition
                     AND c.relnamespace::regnamespace::text IN ('usher', 'care', 'till', 'shop', 'club')
                 UNION ALL SELECT c.oid FROM pg_class AS c WHERE c.relkind = 'p'
                     AND c.relnamespace::regnamespace::text IN ('usher', 'care', 'till', 'shop', 'club') LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t WHERE t::text LIKE %L)', place, '%' || of || '%')
        INTO found;
        places := places || CASE WHEN found THEN place::text END;
    END LOOP;
    RETURN (SELECT string_agg(p, ' ' ORDER BY p) FROM unnest(places) AS p WHERE p IS NOT NULL);
END
$$;
SELECT pg_temp.expect('a deleted account can come back: it is all still there', (count(*) > 8)::text, 'true')
FROM string_to_table(pg_temp.places('cleo-' || :'run'), ' ');
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'admin_token') \g /dev/null
SELECT usher.erase_user(:'cleo') \g /dev/null
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('erased, it is nowhere', pg_temp.places('cleo-' || :'run'), NULL);
SELECT pg_temp.expect('what her visit would have cost is', total_amount::text, '90.00')
FROM clinic.bookings WHERE id = :'cleos_visit';

\echo '--- and somebody who never had an account'
SELECT 'wanda-' || :'run' || '-secret' AS secret \gset
SET ROLE clinic_app;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
INSERT INTO clinic.customers (name, email, phone, attributes)
VALUES (:'secret', :'secret' || '@example.com', '+351 210 000 002', jsonb_build_object('allergy', :'secret'))
RETURNING id AS wanda \gset
INSERT INTO clinic.bookings (customer_id, service_id, location_id, booking_date, staff_id, notes)
VALUES (:'wanda', :'therapy', :'branch', :'slot'::timestamptz + interval '2 days', :'doc', :'secret')
RETURNING id AS wandas_visit \gset
SELECT order_id AS wandas_order FROM shop.create_order(:'branch', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 1)), :'wanda', notes => :'secret') \gset
SELECT status FROM shop.place_order(:'wandas_order') \g /dev/null
SELECT club.earn_points(:'wanda', 50, note => :'secret'), club.redeem_reward(:'tea', :'wanda') \g /dev/null
SELECT pg_temp.expect('what she can take with her', string_agg(format('%s %s', v.part, jsonb_array_length(
        e.everything #> string_to_array(v.part, ' '))), ', ' ORDER BY v.part),
    'usher_booking bookings 1, usher_booking customers 1, usher_loyalty entries 2, usher_payment payments 2, '
    'usher_shop orders 1')
FROM usher.export_customer(:'wanda') AS e (everything), unnest('{usher_booking bookings,usher_booking customers,
    usher_payment payments,usher_shop orders,usher_loyalty entries}'::text[]) AS v (part);
SELECT pg_temp.expect('an account is not a walk-in',
    pg_temp.refusal(format('SELECT usher.erase_customer(%L)', :'vera')), '22023');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'desk_token') \g /dev/null
SELECT pg_temp.expect('erased by the front desk',
    pg_temp.refusal(format('SELECT usher.erase_customer(%L)', :'wanda')), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'manager_token') \g /dev/null
DELETE FROM clinic.customers WHERE id = :'wanda';
SELECT pg_temp.expect('booked once more', pg_temp.refusal(format(
    'INSERT INTO clinic.bookings (customer_id, service_id, location_id, booking_date) VALUES (%L, %L, %L, %L)',
    :'wanda', :'therapy', :'branch', :'slot'::timestamptz + interval '3 days')), 'US005');
COMMIT;
RESET ROLE;
CALL pg_temp.let_events_happen();
SELECT pg_temp.expect('hers is over in each', concat_ws(', ', b.status || ' ' || b.cancellation_reason, o.status,
        (SELECT string_agg(DISTINCT p.status, ' ') FROM till.payment_transactions AS p WHERE p.customer_id = :'wanda'
             AND p.closed_at IS NOT NULL), r.status, (a.closed_at IS NOT NULL)::text),
    'cancelled user_deleted, cancelled, failed, reversed, true')
FROM care.bookings AS b, shop.orders AS o, club.reward_redemptions AS r, club.points_accounts AS a
WHERE b.id = :'wandas_visit' AND o.id = :'wandas_order' AND r.customer_id = :'wanda' AND a.customer_id = :'wanda';
SELECT pg_temp.expect('and she is nowhere', pg_temp.places('wanda-' || :'run'), NULL);

\echo '--- 9. everything is on record, and nothing is wrong'
SELECT usher.run_maintenance() \g /dev/null
SELECT pg_temp.expect('views and clicks', views || ' ' || clicks, '2 1') FROM clinic.advertisements WHERE id = :'ad';
SET ROLE clinic_auditor;
SELECT pg_temp.expect('logins of Vera', string_agg(action || ' ' || success, ', ' ORDER BY created_at, id),
    'login.failed false, login.succeeded true')
FROM clinic.audit_logs WHERE user_id = :'vera' AND action LIKE 'login.%';
SELECT pg_temp.expect('her session, for the auditor', string_agg(event, ', ' ORDER BY created_at, id), 'login')
FROM clinic.session_logs WHERE session_id = :'vera_session';
SELECT pg_temp.expect('who has read about her treatment', string_agg(DISTINCT actor_name, ', '),
    'Rita Reception, Vera Visitor')
FROM usher.audit_logs WHERE event_type = 'data.read' AND resource_id IN (:'visit', :'first');
SELECT pg_temp.expect('bookings, for the auditor', pg_temp.refusal('SELECT * FROM clinic.bookings'), '42501');
RESET ROLE;
SELECT pg_temp.expect('who did what to her visit', string_agg(DISTINCT coalesce(r.name, 'nobody'), ', '),
    'Doc, Rita Reception, Vera Visitor')
FROM care.get_booking_history(:'visit') AS h LEFT JOIN LATERAL usher.user_reference((h.changed_by).id) AS r ON true;
SELECT pg_temp.expect('the seals of the log', count(*) FILTER (WHERE NOT is_intact)::text, '0')
FROM usher.verify_audit_chain();
SELECT pg_temp.expect('violations: ' || rule, violations::text, '0') FROM usher.self_check() WHERE violations > 0;
SELECT pg_temp.expect('problems of upkeep', count(*)::text, '0') FROM usher.list_parked_events();
\echo 'the whole story came out as it should'

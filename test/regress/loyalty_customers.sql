-- Customers of points: bookings and payments of the other extensions earn by their events; tiers rise and lapse, and the tier of the user
-- follows; who may read and do what, by functions, by row-level security and over HTTP; who goes, and what is told and forgotten then.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT usher.apply_role_preset('loyalty');
SELECT usher.apply_role_preset('payments');
SELECT usher.apply_role_preset('carwash');
CREATE SCHEMA loyalty_test;
SELECT user_id AS ann FROM usher.register_user('loyalty-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT user_id AS ben FROM usher.register_user('loyalty-ben@example.com', 'long enough to be good', 'Ben') \gset
SELECT user_id AS mia FROM usher.register_user('loyalty-mia@example.com', 'long enough to be good', 'Mia') \gset
SELECT user_id AS sam FROM usher.register_user('loyalty-sam@example.com', 'long enough to be good', 'Sam') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email LIKE 'loyalty-%';
SELECT usher.grant_role(:'mia', 'loyalty_manager'), usher.grant_role(:'sam', 'loyalty_staff') \g /dev/null
CREATE TABLE loyalty_test.tokens AS SELECT u.first_name AS who, usher.issue_token(u.id, '{}', '1 hour') AS token FROM usher.users AS u WHERE u.email LIKE 'loyalty-%';
CREATE ROLE regress_loyalty_app;
SELECT usher.grant_access('regress_loyalty_app', 'application');
GRANT USAGE ON SCHEMA loyalty_test TO regress_loyalty_app;
-- a statement as somebody, through the application's role; its answer or its refusal; rolled back
CREATE FUNCTION loyalty_test.as_user(somebody text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    secret text := (SELECT t.token FROM loyalty_test.tokens AS t WHERE t.who = somebody);
BEGIN
    SET LOCAL ROLE regress_loyalty_app;
    IF secret IS NOT NULL THEN
        PERFORM usher.authenticate(secret);
    END IF;
    EXECUTE statement INTO answer;
    RAISE EXCEPTION SQLSTATE 'PT000' USING MESSAGE = coalesce(answer, '(null)');
EXCEPTION
    WHEN SQLSTATE 'PT000' THEN
        RESET ROLE;
        RETURN SQLERRM;
    WHEN OTHERS THEN
        RESET ROLE;
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION loyalty_test.work() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    done integer;
    failures integer := 0;
    failed integer;
BEGIN
    LOOP
        SELECT h.handled, h.failed INTO done, failed FROM usher.run_event_handlers(1000) AS h;
        failures := failures + failed;
        EXIT WHEN done + failed = 0;
    END LOOP;
    RETURN CASE failures WHEN 0 THEN 'all handled' ELSE (SELECT string_agg(DISTINCT d.error_message, ' | ') FROM usher.deliveries AS d WHERE d.consumer = 'usher_loyalty') END;
END
$$;
SELECT loyalty_test.work();

-- What a booking and its payment earn, by the real events
SELECT code FROM wash.create_earning_rule('{"code": "visits", "event": "booking.completed", "points": "r.price_minor / 100", "expires_after": "1 year"}');
SELECT code FROM wash.create_earning_rule('{"code": "orders", "event": "payment.completed", "points": "r.amount_minor / 10", "condition": "r.reference_type == ''order''"}');
SELECT id AS location FROM wash.create_location('Loyalty', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 50) \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT id AS service FROM wash.create_service('Loyal', '1 hour', 5000, 'EUR', needs_staff => false, customer_exclusive => false, auto_confirm => true, min_notice => '0') \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service']::uuid[]);
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'service', :'location', date_trunc('hour', now()) + interval '30 hours') \gset
UPDATE wash.bookings SET status = 'confirmed' WHERE id = :'b' AND status = 'pending';
UPDATE wash.bookings SET start_at = start_at - interval '30 hours', end_at = end_at - interval '30 hours' WHERE id = :'b';
UPDATE wash.bookings SET status = 'in_progress' WHERE id = :'b';
UPDATE wash.bookings SET status = 'completed' WHERE id = :'b';
SELECT transaction_id AS p FROM wash.create_payment(:'ann', 1000, 'EUR', reference_type => 'booking', reference_id => :'b') \gset
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'p', 'fake')), 'succeeded', 'loyal_1');
SELECT balance FROM wash.get_points_balance(:'ann');
SELECT loyalty_test.work();
SELECT balance, tier FROM wash.get_points_balance(:'ann');
SELECT user_id = :'ann' AS hers FROM wash.points_accounts WHERE customer_id = :'ann';
-- a part of the payment comes back, and so does its share of what the booking has earned
SELECT status FROM wash.record_refund_result((SELECT refund_id FROM wash.create_refund(:'p', 500)), 'succeeded', 'loyal_r1');
SELECT loyalty_test.work();
SELECT balance FROM wash.get_points_balance(:'ann');
SELECT kind, points, source_type, rule_code FROM wash.list_points_history(:'ann');
-- a payment that is an order's, refunded before anybody was told that it is paid
SELECT transaction_id AS p FROM wash.create_payment(:'ben', 1000, 'EUR', reference_type => 'order', reference_id => usher.uuid_v7()) \gset
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'p', 'fake')), 'succeeded', 'loyal_2');
SELECT status FROM wash.record_refund_result((SELECT refund_id FROM wash.create_refund(:'p')), 'succeeded', 'loyal_r2');
SELECT loyalty_test.work();
SELECT coalesce(balance, 0) AS balance FROM wash.get_points_balance(:'ben');

-- Tiers: up at once, down after the grace; the tier of the user follows
SELECT code, rank, threshold FROM wash.define_tier('SILVER', 1, 40, grace => '0');
SELECT code, rank, threshold FROM wash.define_tier('GOLD', 2, 10000, 'booking', 'EUR', '30 days', '10 days');
SELECT wash._review_tier(:'ann');
SELECT tier, tier_lapses_at FROM wash.get_points_balance(:'ann');
SELECT loyalty_test.work();
SELECT tier FROM usher.users WHERE id = :'ann';
SELECT wash._on_purchase('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', :'ann', 'customer_user_id', :'ann', 'price_minor', 5500, 'currency', 'EUR', 'completed_at', now() - interval '1 day'));
SELECT tier, tier_lapses_at FROM wash.get_points_balance(:'ann');
-- rules know it
SELECT code, rule_version FROM wash.create_earning_rule('{"code": "visits", "event": "booking.completed", "points": "2 * r.price_minor / 100", "condition": "r.tier == ''GOLD''"}');
SELECT wash._on_purchase('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', who, 'price_minor', 100, 'currency', 'EUR')) FROM unnest(ARRAY[:'ann', :'ben']::uuid[]) AS w (who);
SELECT points FROM wash.points_entries WHERE customer_id = :'ann' ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM wash.points_entries WHERE customer_id = :'ben' AND rule_code = 'visits';
-- it takes more by now: the grace begins, and ends
SELECT code, threshold FROM wash.define_tier('GOLD', 2, 1000000, 'booking', 'EUR', '30 days', '10 days');
UPDATE wash.points_accounts SET tier_reviewed_at = now() - interval '2 days' WHERE customer_id = :'ann';
SELECT wash._review_tiers(10) > 0 AS reviewed;
SELECT tier, tier_lapses_at - now() BETWEEN interval '9 days' AND interval '10 days' AS has_grace FROM wash.get_points_balance(:'ann');
UPDATE wash.points_accounts SET tier_lapses_at = now() - interval '1 minute', tier_reviewed_at = now() - interval '1 hour' WHERE customer_id = :'ann';
SELECT wash._review_tiers(10) > 0 AS reviewed;
SELECT tier, tier_lapses_at FROM wash.get_points_balance(:'ann');
SELECT loyalty_test.work();
SELECT tier FROM usher.users WHERE id = :'ann';
SELECT payload ->> 'from' AS "from", payload ->> 'to' AS "to" FROM usher.events WHERE event = 'loyalty.tier_changed' AND key = :'ann' ORDER BY id;
-- whoever is given points by hand, or for a referral, rises at once too
BEGIN;
SELECT balance FROM wash.earn_points('00000000-0000-7000-8000-0000000002f1', 40);
SELECT tier FROM wash.get_points_balance('00000000-0000-7000-8000-0000000002f1');
SELECT wash.define_referral_program(40, 39);
SELECT referral_id FROM wash.create_referral(referrer_id => '00000000-0000-7000-8000-0000000002f2', referee_id => '00000000-0000-7000-8000-0000000002f3') \gset
SELECT q.status AS qualified, r.status FROM wash.qualify_referral(:'referral_id') AS q, wash.reward_referral(:'referral_id') AS r;
SELECT (wash.get_points_balance('00000000-0000-7000-8000-0000000002f2')).tier AS referrer, (wash.get_points_balance('00000000-0000-7000-8000-0000000002f3')).tier AS referee;
ROLLBACK;
SELECT code, rank, basis FROM wash.list_tiers();

-- Who may do what
SELECT what, who, loyalty_test.as_user(who, statement) FROM (VALUES
    ('own balance', 'Ann', 'SELECT balance FROM wash.get_points_balance()'), ('of somebody', 'Ben', format('SELECT balance FROM wash.get_points_balance(%L)', :'ann')), ('of somebody', 'Sam', format('SELECT balance FROM wash.get_points_balance(%L)', :'ann')),
    ('own history', 'Ann', 'SELECT count(*) > 3 FROM wash.list_points_history()'), ('history of somebody', 'Ben', format('SELECT count(*) FROM wash.list_points_history(%L)', :'ann')),
    ('spend', 'Ann', 'SELECT balance FROM wash.redeem_points(1)'), ('spend for somebody', 'Ben', format('SELECT balance FROM wash.redeem_points(1, %L)', :'ann')), ('spend for somebody', 'Sam', format('SELECT balance FROM wash.redeem_points(1, %L)', :'ann')),
    ('give oneself points', 'Ann', format('SELECT balance FROM wash.earn_points(%L, 1000)', :'ann')), ('give points', 'Sam', format('SELECT balance FROM wash.earn_points(%L, 1000)', :'ann')), ('give points', 'Mia', format('SELECT replayed FROM wash.earn_points(%L, 1000)', :'ann')),
    ('adjust', 'Sam', format('SELECT balance FROM wash.adjust_points(%L, 1, ''x'')', :'ann')), ('adjust', 'Mia', format('SELECT replayed FROM wash.adjust_points(%L, 1, ''x'')', :'ann')), ('give back', 'Ann', format('SELECT balance FROM wash.give_back_points(%L)', :'ann')),
    ('rules', 'Ann', 'SELECT count(*) FROM wash.list_earning_rules()'), ('rules', 'Sam', 'SELECT count(*) > 2 FROM wash.list_earning_rules()'), ('make a rule', 'Sam', 'SELECT wash.create_earning_rule(''{}'')'),
    ('end a rule', 'Sam', 'SELECT wash.end_earning_rule(''visits'')'), ('preview', 'Sam', 'SELECT wash.preview_earning_rule(''{"points": "1"}'', ''{}'')'), ('tiers', NULL, 'SELECT count(*) FROM wash.list_tiers()'), ('make a tier', 'Sam', 'SELECT wash.define_tier(''X'', 9, 1)'),
    ('nobody', NULL, 'SELECT balance FROM wash.get_points_balance()'), ('nobody spends', NULL, 'SELECT balance FROM wash.redeem_points(1)'),
    ('unknown account', 'Mia', 'SELECT replayed FROM wash.earn_points(usher.uuid_v7(), 5)')) AS v (what, who, statement);
SELECT who, loyalty_test.as_user(who, format('SELECT count(*) FROM wash.points_accounts WHERE customer_id IN (%L, %L)', :'ann', :'ben')) AS accounts,
    loyalty_test.as_user(who, format('SELECT count(DISTINCT customer_id) FROM wash.points_entries WHERE customer_id IN (%L, %L)', :'ann', :'ben')) AS entries
FROM (VALUES ('Ann'), ('Ben'), ('Sam'), ('Mia'), (NULL)) AS v (who);
SELECT relation, loyalty_test.as_user('Mia', 'SELECT count(*) FROM wash.' || relation) FROM unnest('{points_sources,points_deductions,points_lots,points_lot_uses,earning_rules,loyalty_tiers}'::text[]) AS r (relation);
SELECT loyalty_test.as_user('Mia', format('UPDATE wash.points_accounts SET balance = 1 WHERE customer_id = %L', :'ann')) AS writes_accounts, loyalty_test.as_user('Mia', 'INSERT INTO wash.points_entries DEFAULT VALUES') AS writes_entries;
-- An API key may do what it holds a permission for; one's own points are no exception
INSERT INTO loyalty_test.tokens SELECT 'key of Ann', api_key FROM usher.create_api_key('a', '{booking:read}', now() + interval '1 day', :'ann');
SELECT what, loyalty_test.as_user('key of Ann', statement) FROM (VALUES ('balance', 'SELECT balance FROM wash.get_points_balance()'), ('spend', format('SELECT balance FROM wash.redeem_points(1, %L)', :'ann')),
    ('history', format('SELECT count(*) FROM wash.list_points_history(%L)', :'ann')), ('select', 'SELECT count(*) FROM wash.points_accounts')) AS v (what, statement);

-- Over HTTP
CREATE FUNCTION loyalty_test.http(somebody text, method text, path text, body jsonb DEFAULT NULL, headers jsonb DEFAULT '{}', OUT status integer, OUT body_is jsonb) LANGUAGE sql AS $$
    SELECT r.status, r.body::jsonb - 'instance' - 'correlation_id' - 'title' - 'type' FROM usher.http_request(method, split_part(path, '?', 1), nullif(split_part(path, '?', 2), ''),
        jsonb_build_object('content-type', 'application/json') || coalesce(jsonb_build_object('authorization', 'Bearer ' || (SELECT t.token FROM loyalty_test.tokens AS t WHERE t.who = somebody)), '{}') || headers, body::text) AS r
$$;
SELECT status, body_is - 'entry_id' FROM loyalty_test.http('Mia', 'POST', '/loyalty/points/earn', jsonb_build_object('customer_id', :'ben', 'points', 30, 'note', 'sorry'), '{"idempotency-key": "loyal-1"}');
SELECT status, body_is - 'entry_id' FROM loyalty_test.http('Mia', 'POST', '/loyalty/points/earn', jsonb_build_object('customer_id', :'ben', 'points', 30, 'note', 'sorry'), '{"idempotency-key": "loyal-1"}');
SELECT status, body_is ->> 'balance' AS balance, body_is ->> 'debt' AS debt FROM loyalty_test.http('Ben', 'GET', '/loyalty/points');
SELECT status, body_is -> 'code', body_is -> 'details' -> 'balance' FROM loyalty_test.http('Ben', 'POST', '/loyalty/points/redeem', '{"points": 31}');
SELECT status, body_is -> 'balance' FROM loyalty_test.http('Ben', 'POST', '/loyalty/points/redeem', '{"points": 10}');
SELECT status, body_is -> 'items' -> 0 -> 'points' AS latest, body_is -> 'items' -> 0 -> 'note' AS note FROM loyalty_test.http('Ben', 'GET', '/loyalty/points/history?max_rows=2');
SELECT status, body_is -> 'code' FROM loyalty_test.http('Ben', 'GET', '/loyalty/points?customer_id=' || :'ann');
SELECT status, body_is -> 'code' FROM loyalty_test.http(NULL, 'GET', '/loyalty/points');
SELECT status, jsonb_array_length(body_is -> 'items') FROM loyalty_test.http(NULL, 'GET', '/loyalty/tiers');
SELECT method, path_template, access FROM usher.list_routes() WHERE tag = 'loyalty' ORDER BY path_template COLLATE "C", method;

-- Who goes: nothing is earned or spent any more, what comes back still counts; sums stay, notes go
SELECT jsonb_object_agg(k, jsonb_array_length(v)) FROM jsonb_each(usher.export_user(:'ben') -> 'usher_loyalty') AS e (k, v);
SELECT count(*) FROM wash.points_entries WHERE customer_id = :'ben' AND note = 'sorry';
SELECT usher.delete_user(:'ben') IS NOT NULL AS deleted;
SELECT is_closed FROM wash.get_points_balance(:'ben');
SELECT loyalty_test.as_user('Mia', format('SELECT wash.earn_points(%L, 1)', :'ben'));
DO $$ BEGIN INSERT INTO wash.points_entries (customer_id, kind, points) SELECT id, 'earn', 1 FROM usher.users WHERE email LIKE 'loyalty-ben%'; EXCEPTION WHEN OTHERS THEN RAISE WARNING '% %', SQLSTATE, SQLERRM; END $$;
SELECT wash._on_purchase('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', :'ben', 'customer_user_id', :'ben', 'price_minor', 100, 'currency', 'EUR'));
SELECT usher.erase_user(:'ben') IS NOT NULL AS erased;
SELECT count(*) AS entries, count(note) AS notes FROM wash.points_entries WHERE customer_id = :'ben';

-- An order of the shop earns when it is completed
SELECT code FROM wash.create_earning_rule('{"code": "goods", "event": "order.completed", "points": "r.total_minor / 100"}');
SELECT product_id AS wax FROM wash.create_product('loyal-wax', 'Wax', price_minor => 700, currency => 'EUR', track_stock => false, status => 'active') \gset
SELECT balance AS before FROM wash.get_points_balance(:'ann') \gset
SELECT order_id AS o FROM wash.create_order(:'location', jsonb_build_array(jsonb_build_object('product_id', :'wax', 'quantity', 3)), :'ann') \gset
SELECT status FROM wash.place_order(:'o');
SELECT status FROM wash.record_order_payment(:'o', 2100);
SELECT status FROM wash.fulfil_order(:'o');
SELECT status FROM wash.complete_order(:'o');
SELECT loyalty_test.work();
SELECT balance - :before AS earned FROM wash.get_points_balance(:'ann');

SELECT rule, violations FROM wash._loyalty_self_check() WHERE violations > 0;
SELECT count(wash.end_earning_rule(code)) FROM unnest('{visits,orders,goods}'::text[]) AS c (code);
DELETE FROM wash.loyalty_tiers;
SELECT usher.revoke_access('regress_loyalty_app');
DROP SCHEMA loyalty_test CASCADE;
DROP OWNED BY regress_loyalty_app;
DROP ROLE regress_loyalty_app;

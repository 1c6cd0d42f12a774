-- Referrals: one referrer for each, nobody themselves, no circle, rewarded once, held back when both have something in common; and
-- advertisements: where, when, for whom, by weight, counted.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT usher.apply_role_preset('loyalty');
CREATE SCHEMA loyalty_test;
CREATE FUNCTION loyalty_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' (' || (CASE WHEN detail ~ '^\{' THEN detail::jsonb ->> 'rule' END) || ')', '');
END
$$;
-- customers by number
CREATE FUNCTION loyalty_test.c(number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8000-0000000002' || lpad(number::text, 2, '0'))::uuid $$;
CREATE FUNCTION loyalty_test.balances(VARIADIC numbers integer[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg((wash.get_points_balance(loyalty_test.c(n))).balance::text, ' ') FROM unnest(numbers) AS n $$;
CREATE FUNCTION loyalty_test.buys(customer integer, amount integer DEFAULT 1000, event text DEFAULT 'booking.completed') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    payload jsonb := jsonb_build_object('id', usher.uuid_v7(), 'customer_id', loyalty_test.c(customer), 'price_minor', amount, 'total_minor', amount, 'currency', 'EUR');
BEGIN
    PERFORM wash._on_first_purchase(event, payload), wash._on_purchase(event, payload);
END
$$;

SELECT loyalty_test.refusal($$ SELECT wash.create_referral(referrer_id => loyalty_test.c(1), referee_id => loyalty_test.c(2)) $$) AS no_program;
SELECT wash.define_referral_program(100, 50, min_amount_minor => 500);
SELECT wash.get_referral_code(loyalty_test.c(1)) AS code \gset
SELECT wash.get_referral_code(loyalty_test.c(1)) = :'code' AS same, :'code' ~ '^[A-Z2-7]{4}-[A-Z2-7]{4}$' AS of_form;
SELECT referral_id AS r, status, referrer_id = loyalty_test.c(1) AS by_code, referrer_points, referee_points, flags, replayed FROM wash.create_referral(lower(:'code'), loyalty_test.c(2)) \gset r_
SELECT :'r_status' AS status, :'r_by_code' AS by_code, :'r_referrer_points' AS referrer, :'r_referee_points' AS referee, :'r_flags' AS flags;
SELECT referral_id = :'r_r' AS same, replayed FROM wash.create_referral(:'code', loyalty_test.c(2));
SELECT what, loyalty_test.refusal(statement) FROM (VALUES
    ('unknown code', $$ SELECT wash.create_referral('NOPE-NOPE', loyalty_test.c(3)) $$), ('oneself', format($$ SELECT wash.create_referral(%L, loyalty_test.c(1)) $$, :'code')),
    ('by somebody else too', $$ SELECT wash.create_referral(referrer_id => loyalty_test.c(3), referee_id => loyalty_test.c(2)) $$), ('back', $$ SELECT wash.create_referral(referrer_id => loyalty_test.c(2), referee_id => loyalty_test.c(1)) $$),
    ('unknown program', $$ SELECT wash.create_referral(referrer_id => loyalty_test.c(1), referee_id => loyalty_test.c(4), program => 'other') $$),
    ('raw, oneself', $$ INSERT INTO wash.referrals (program, referrer_id, referee_id) VALUES ('default', loyalty_test.c(5), loyalty_test.c(5)) $$), ('raw, back', $$ INSERT INTO wash.referrals (program, referrer_id, referee_id) VALUES ('default', loyalty_test.c(2), loyalty_test.c(1)) $$),
    ('raw, twice', $$ INSERT INTO wash.referrals (program, referrer_id, referee_id) VALUES ('default', loyalty_test.c(7), loyalty_test.c(2)) $$), ('raw, rewarded', $$ INSERT INTO wash.referrals (program, referrer_id, referee_id, status) VALUES ('default', loyalty_test.c(7), loyalty_test.c(8), 'rewarded') $$),
    ('another referrer', $$ UPDATE wash.referrals SET referrer_id = loyalty_test.c(9) $$), ('more points', $$ UPDATE wash.referrals SET referrer_points = 1000 $$), ('it goes', $$ DELETE FROM wash.referrals $$)) AS v (what, statement);
-- a circle of three is one too
SELECT status FROM wash.create_referral(referrer_id => loyalty_test.c(2), referee_id => loyalty_test.c(3));
SELECT loyalty_test.refusal($$ SELECT wash.create_referral(referrer_id => loyalty_test.c(3), referee_id => loyalty_test.c(1)) $$);

-- The first purchase that is large enough qualifies and rewards, once, whatever comes after it
SELECT loyalty_test.buys(2, 499);
SELECT status FROM wash.list_referrals(loyalty_test.c(2)) WHERE referral_id = :'r_r';
SELECT loyalty_test.buys(2), loyalty_test.buys(2, event => 'order.completed'), loyalty_test.buys(2);
SELECT status FROM wash.list_referrals(loyalty_test.c(2)) WHERE referral_id = :'r_r';
SELECT loyalty_test.balances(1, 2);
SELECT replayed FROM wash.reward_referral(:'r_r');
SELECT loyalty_test.refusal(format('SELECT wash.reject_referral(%L, ''fraud'')', :'r_r')) AS too_late;
SELECT loyalty_test.balances(1, 2);
-- terms as they were; whoever has bought something is not new
SELECT wash.define_referral_program(7, 0, waits_for => '1 day');
SELECT loyalty_test.buys(3);
SELECT loyalty_test.balances(2, 3);
SELECT loyalty_test.refusal($$ SELECT wash.create_referral(referrer_id => loyalty_test.c(9), referee_id => loyalty_test.c(2)) $$) AS brought, loyalty_test.refusal($$ SELECT loyalty_test.buys(10); SELECT wash.create_referral(referrer_id => loyalty_test.c(9), referee_id => loyalty_test.c(10)) $$) AS not_new;

-- In common: somebody has to look
SELECT wash.note_customer_signal(loyalty_test.c(n), 'network', ' 192.0.2.1 '), wash.note_customer_signal(loyalty_test.c(n), 'payment_method', 'card-' || n) FROM unnest('{11,12,13}'::integer[]) AS n;
SELECT referral_id AS suspect, flags FROM wash.create_referral(referrer_id => loyalty_test.c(11), referee_id => loyalty_test.c(12)) \gset
SELECT :'flags' AS flags;
SELECT referral_id AS other, flags FROM wash.create_referral(referrer_id => loyalty_test.c(11), referee_id => loyalty_test.c(13)) \gset
SELECT loyalty_test.buys(12), loyalty_test.buys(13);
SELECT status, flags FROM wash.list_referrals(only_flagged => true) WHERE referral_id IN (:'suspect', :'other');
SELECT loyalty_test.balances(11, 12, 13);
SELECT status, referrer_points, replayed FROM wash.reward_referral(:'suspect');
SELECT status, reason_code FROM wash.reject_referral(:'other', 'same_person', 'they admit it');
SELECT loyalty_test.refusal(format('SELECT wash.reward_referral(%L)', :'other')) AS rejected;
SELECT loyalty_test.balances(11, 12, 13);
SELECT wrong, loyalty_test.refusal(statement) FROM (VALUES ('kind', $$ SELECT wash.note_customer_signal(loyalty_test.c(11), 'shoe', 'x') $$), ('empty', $$ SELECT wash.note_customer_signal(loyalty_test.c(11), 'device', '') $$), ('reason', format('SELECT wash.reject_referral(%L, NULL)', :'suspect'))) AS v (wrong, statement);
-- its time runs out
SELECT referral_id AS late FROM wash.create_referral(referrer_id => loyalty_test.c(11), referee_id => loyalty_test.c(14)) \gset
UPDATE wash.referrals SET expires_at = now() WHERE id = :'late';
SELECT loyalty_test.buys(14);
SELECT loyalty_test.refusal(format('SELECT wash.qualify_referral(%L)', :'late'));
SELECT wash._expire_referrals(10), wash._expire_referrals(10) AS again;
SELECT status FROM wash.list_referrals(loyalty_test.c(14));

-- Users: each sees their own, brings themselves along by a code, and whoever goes takes what is open with them
SELECT user_id AS ann FROM usher.register_user('loyalty-ref-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT user_id AS ben FROM usher.register_user('loyalty-ref-ben@example.com', 'long enough to be good', 'Ben') \gset
SELECT user_id AS sam FROM usher.register_user('loyalty-ref-sam@example.com', 'long enough to be good', 'Sam') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email LIKE 'loyalty-ref-%';
SELECT usher.grant_role(:'sam', 'loyalty_manager') \g /dev/null
CREATE TABLE loyalty_test.tokens AS SELECT u.first_name AS who, usher.issue_token(u.id, '{}', '1 hour') AS token FROM usher.users AS u WHERE u.email LIKE 'loyalty-ref-%';
CREATE FUNCTION loyalty_test.http(somebody text, method text, path text, body jsonb DEFAULT NULL, OUT status integer, OUT body_is jsonb) LANGUAGE sql AS $$
    SELECT r.status, r.body::jsonb - 'instance' - 'correlation_id' - 'title' - 'type' FROM usher.http_request(method, split_part(path, '?', 1), nullif(split_part(path, '?', 2), ''),
        jsonb_build_object('content-type', 'application/json') || coalesce(jsonb_build_object('authorization', 'Bearer ' || (SELECT t.token FROM loyalty_test.tokens AS t WHERE t.who = somebody)), '{}'), body::text) AS r
$$;
SELECT status, body_is ->> 'result' ~ '^[A-Z2-7]{4}-[A-Z2-7]{4}$' AS code FROM loyalty_test.http('Ann', 'GET', '/loyalty/referral-code');
SELECT body_is ->> 'result' AS code FROM loyalty_test.http('Ann', 'GET', '/loyalty/referral-code') \gset
SELECT status, body_is -> 'status' AS referral, body_is -> 'flags' AS flags FROM loyalty_test.http('Ben', 'POST', '/loyalty/referrals', jsonb_build_object('code', :'code'));
SELECT status, body_is -> 'code' FROM loyalty_test.http('Ben', 'POST', '/loyalty/referrals', jsonb_build_object('referrer_id', :'ann'));
SELECT status, body_is -> 'code' FROM loyalty_test.http('Ben', 'POST', '/loyalty/referrals', jsonb_build_object('code', :'code', 'referee_id', :'sam'));
SELECT status, jsonb_array_length(body_is -> 'items') AS own FROM loyalty_test.http('Ben', 'GET', '/loyalty/referrals');
SELECT status, jsonb_array_length(body_is -> 'items') > 4 AS of_all FROM loyalty_test.http('Sam', 'GET', '/loyalty/referrals');
SELECT status, body_is -> 'code' FROM loyalty_test.http('Ben', 'GET', '/loyalty/referrals?customer_id=' || :'sam');
SELECT status, body_is -> 'code' FROM loyalty_test.http('Ben', 'POST', '/loyalty/referrals/' || usher.uuid_v7() || '/reward');
SELECT e -> 'referral_codes' -> 0 ->> 'code' = :'code' AS code, e -> 'referrals' -> 0 -> 'is_referrer' AS is_referrer FROM (SELECT usher.export_user(:'ann') -> 'usher_loyalty' AS e) AS x;
SELECT usher.delete_user(:'ben') IS NOT NULL AS deleted;
SELECT status, reason_code FROM wash.list_referrals(:'ann');
SELECT usher.erase_user(:'ann') IS NOT NULL AS erased;
SELECT count(*) FROM wash.referral_codes WHERE customer_id = :'ann';

-- Advertisements
SELECT wash.define_segment('big_spenders', 'r.spent_minor >= 2000');
CREATE FUNCTION loyalty_test.ad(definition jsonb) RETURNS text LANGUAGE sql AS $$ SELECT status FROM wash.set_advertisement_status((wash.create_advertisement('{"placement": "home"}' || definition)).ad_id, 'active') $$;
SELECT loyalty_test.ad('{"title": "for all", "content": {"text": "Hello"}, "weight": 3}'), loyalty_test.ad('{"title": "elsewhere", "placement": "checkout"}'), loyalty_test.ad('{"title": "gold", "tiers": ["GOLD"]}'),
    loyalty_test.ad('{"title": "spenders", "segment": "big_spenders"}'), loyalty_test.ad('{"title": "over", "valid_from": "2020-01-01", "valid_until": "2020-02-01"}');
SELECT loyalty_test.refusal($$ SELECT loyalty_test.ad('{"title": "x", "weight": 0}') $$) AS weight, loyalty_test.refusal($$ SELECT loyalty_test.ad('{"title": "x", "segment": "nobody"}') $$) AS segment, loyalty_test.refusal($$ SELECT loyalty_test.ad('{"title": "x", "colour": 1}') $$) AS member;
SELECT user_id AS eve FROM usher.register_user('loyalty-ref-eve@example.com', 'long enough to be good', 'Eve') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'eve';
SELECT wash._on_purchase('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', :'eve', 'customer_user_id', :'eve', 'price_minor', 5000, 'currency', 'EUR'));
UPDATE wash.points_accounts SET tier = 'GOLD' WHERE customer_id = :'eve';
SELECT string_agg(title, ', ' ORDER BY title) AS to_anybody FROM wash.list_current_advertisements('home');
SELECT string_agg(title, ', ' ORDER BY title) AS without_consent FROM wash.list_current_advertisements('home', :'eve');
SELECT usher.record_consent('marketing', user_id => :'eve') IS NOT NULL AS agrees;
SELECT string_agg(title, ', ' ORDER BY title) AS with_consent FROM wash.list_current_advertisements('home', :'eve');
SELECT string_agg(title, ', ' ORDER BY title) AS back_then FROM wash.list_current_advertisements('home', :'eve', '2020-01-15');
SELECT usher.withdraw_consent('marketing', :'eve');
SELECT string_agg(title, ', ' ORDER BY title) AS withdrawn FROM wash.list_current_advertisements('home', :'eve');
-- three times as often as one with a third of the weight
SELECT loyalty_test.ad('{"title": "rare", "weight": 1}');
SELECT count(*) FILTER (WHERE title = 'for all') BETWEEN 650 AND 850 AS by_weight FROM generate_series(1, 1000) AS n, LATERAL (SELECT title FROM wash.list_current_advertisements(CASE WHEN n > 0 THEN 'home' END, max_rows => 1)) AS a;
-- counted, while it is shown
SELECT id AS ad FROM wash.loyalty_ads WHERE title = 'for all' \gset
SELECT count(*) FROM generate_series(1, 40) AS n WHERE wash.record_advertisement_event(:'ad', CASE WHEN n % 4 = 0 THEN 'click' ELSE 'view' END);
SELECT wash.record_advertisement_event(usher.uuid_v7()) AS unknown, loyalty_test.refusal(format('SELECT wash.record_advertisement_event(%L, ''stare'')', :'ad')) AS kind;
SELECT title, day = (now() AT TIME ZONE 'UTC')::date AS today, views, clicks, click_through FROM wash.report_advertisements(only_ad => :'ad');
SELECT status, body_is FROM loyalty_test.http(NULL, 'POST', '/loyalty/advertisements/' || :'ad' || '/events', '{"kind": "click"}');
SELECT status, body_is -> 'items' -> 0 ->> 'title' IN ('for all', 'rare') AS shown FROM loyalty_test.http(NULL, 'GET', '/loyalty/advertisements?placement=home');
SELECT status, body_is -> 'code' FROM loyalty_test.http(NULL, 'GET', '/loyalty/advertisements/report');
SELECT clicks FROM wash.report_advertisements(only_ad => :'ad');
SELECT status FROM wash.set_advertisement_status(:'ad', 'archived');
SELECT wash.record_advertisement_event(:'ad') AS archived, loyalty_test.refusal(format('SELECT wash.set_advertisement_status(%L, ''active'')', :'ad')) AS again;

SELECT rule, violations FROM wash._loyalty_self_check() WHERE violations > 0;
DO $$ BEGIN LOOP EXIT WHEN (SELECT handled + failed FROM usher.run_event_handlers(1000)) = 0; END LOOP; END $$;
DROP SCHEMA loyalty_test CASCADE;

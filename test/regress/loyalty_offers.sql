-- Offers, vouchers and rewards: for whom, when, how much, beside which others, and how often, by raw SQL too; codes that staff redeem once,
-- and guesses that are counted whatever becomes of their transaction.
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
\set ann '\'00000000-0000-7000-8000-0000000001a1\''
\set ben '\'00000000-0000-7000-8000-0000000001b1\''
\set here '\'00000000-0000-7000-8000-0000000001c1\''
\set soap '\'00000000-0000-7000-8000-0000000001d1\''
-- an offer that is active; its id by its title
CREATE FUNCTION loyalty_test.offer(definition jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT status FROM wash.set_offer_status((wash.create_offer(definition)).offer_id, 'active')
$$;
CREATE FUNCTION loyalty_test.id(wanted text) RETURNS uuid LANGUAGE sql AS $$ SELECT o.id FROM wash.loyalty_offers AS o WHERE o.title = wanted $$;
CREATE FUNCTION loyalty_test.listed(customer uuid, context jsonb, at timestamptz DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(title || ' ' || CASE WHEN applies THEN discount_minor::text ELSE why END, ', ' ORDER BY priority DESC, title) FROM wash.list_offers_for(customer, at, context)
$$;

-- What is wrong is refused
SELECT wrong, loyalty_test.refusal(format('SELECT wash.create_offer(%L)', definition)) FROM (VALUES
    ('no kind', '{"title": "x"}'), ('unknown member', '{"title": "x", "kind": "percent", "pct": 5}'), ('no percentage', '{"title": "x", "kind": "percent"}'), ('too much', '{"title": "x", "kind": "percent", "percent": 101}'),
    ('no currency', '{"title": "x", "kind": "amount", "amount_minor": 5}'), ('weekday', '{"title": "x", "kind": "percent", "percent": 5, "weekdays": [8]}'), ('hours', '{"title": "x", "kind": "percent", "percent": 5, "hours": "[22,26)"}'),
    ('unknown segment', '{"title": "x", "kind": "percent", "percent": 5, "segment": "nobody"}'), ('zone', '{"title": "x", "kind": "percent", "percent": 5, "time_zone": "Mars/Olympus"}'),
    ('backwards', '{"title": "x", "kind": "percent", "percent": 5, "valid_from": "2026-02-01", "valid_until": "2026-01-01"}')) AS v (wrong, definition);
SELECT loyalty_test.refusal($$ SELECT wash.define_segment('wrong', 'r.purchases >') $$) AS syntax, loyalty_test.refusal($$ SELECT wash.define_segment('wrong', 'p.x') $$) AS name;

-- For whom, when, for what
SELECT wash.define_segment('regulars', 'r.purchases >= 2 && r.attributes.newsletter == true');
SELECT loyalty_test.offer('{"title": "ten percent", "kind": "percent", "percent": 10, "min_amount_minor": 1000}');
SELECT loyalty_test.offer(jsonb_build_object('title', 'five here', 'kind', 'amount', 'amount_minor', 500, 'currency', 'EUR', 'location_ids', jsonb_build_array(:here), 'priority', 5, 'is_stackable', true));
SELECT loyalty_test.offer('{"title": "gold", "kind": "percent", "percent": 20, "tiers": ["GOLD"], "priority": 9, "is_stackable": true, "stack_group": "percents"}');
SELECT loyalty_test.offer('{"title": "first", "kind": "percent", "percent": 50, "first_visit": true, "max_discount_minor": 900, "priority": -1}');
SELECT loyalty_test.offer('{"title": "regulars", "kind": "percent", "percent": 7.5, "segment": "regulars", "priority": -2}');
SELECT loyalty_test.offer('{"title": "monday morning", "kind": "percent", "percent": 30, "weekdays": [1], "hours": "[9,12)", "time_zone": "Europe/Berlin", "priority": -3}');
SELECT loyalty_test.offer(jsonb_build_object('title', 'soap', 'kind', 'buy_x_get_y', 'buy_quantity', 2, 'get_quantity', 1, 'product_ids', jsonb_build_array(:soap), 'priority', 7));
SELECT loyalty_test.listed(:ann, '{"amount_minor": 2000, "currency": "EUR"}', '2030-01-01T00:00:00Z');
SELECT loyalty_test.listed(:ann, '{"amount_minor": 999, "currency": "EUR"}', '2030-01-01T00:00:00Z');
-- rounded half up
SELECT loyalty_test.listed(:ann, '{"amount_minor": 1005, "currency": "EUR"}', '2030-01-01T00:00:00Z');
SELECT loyalty_test.listed(:ann, jsonb_build_object('amount_minor', 2000, 'currency', currency, 'location_id', :here), '2030-01-01T00:00:00Z') FROM unnest('{EUR,USD}'::text[]) AS c (currency);
-- stackable ones together, at most one of a group, never more than the amount
INSERT INTO wash.points_accounts (customer_id, tier) VALUES (:ben, 'GOLD');
SELECT loyalty_test.listed(:ben, jsonb_build_object('amount_minor', amount, 'currency', 'EUR', 'location_id', :here), '2030-01-01T00:00:00Z') FROM unnest('{2000,600,100}'::integer[]) AS a (amount);
-- in the time of the offer, or of the place: 2030-01-07 is a Monday, 09:30 in Berlin, 08:30 in London
SELECT zone, at, (wash.explain_offer(loyalty_test.id('monday morning'), :ann, at, jsonb_strip_nulls(jsonb_build_object('amount_minor', 1000, 'time_zone', zone)))).why
FROM (VALUES (NULL, timestamptz '2030-01-07T08:30Z'), ('Europe/London', '2030-01-07T08:30Z'), (NULL, '2030-01-07T11:00Z'), ('Europe/London', '2030-01-07T11:00Z'), (NULL, '2030-01-08T08:30Z')) AS v (zone, at);
-- of three the cheapest is free, by whole groups
SELECT lines, (wash.explain_offer(loyalty_test.id('soap'), :ann, NULL, jsonb_build_object('lines', (SELECT jsonb_agg(jsonb_build_object('product_id', coalesce(l ->> 2, :soap), 'quantity', l -> 0, 'unit_minor', l -> 1)) FROM jsonb_array_elements(lines::jsonb) AS l)))).discount_minor
FROM (VALUES ('[[3, 100]]'), ('[[2, 100]]'), ('[[7, 100]]'), ('[[2, 100], [1, 30]]'), ('[[1, 10], [1, 20], [1, 30], [1, 40], [2, 50]]'), ('[[2, 100], [5, 10, "00000000-0000-7000-8000-0000000001d2"]]')) AS v (lines);
SELECT loyalty_test.listed(:ann, jsonb_build_object('currency', 'EUR', 'lines', jsonb_build_array(jsonb_build_object('product_id', :soap, 'quantity', 3, 'unit_minor', 400))), '2030-01-01T00:00:00Z');
SELECT wrong, loyalty_test.refusal(format('SELECT * FROM wash.list_offers_for(''00000000-0000-7000-8000-0000000001a1'', NULL, %L)', context)) FROM (VALUES
    ('an array', '[]'), ('negative', '{"amount_minor": -1}'), ('no number', '{"amount_minor": "1"}'), ('lines', '{"lines": 1}'), ('a line', '{"lines": [1]}'), ('units', '{"lines": [{"quantity": 9007199254740993}]}'),
    ('sum', '{"lines": [{"quantity": 1000000, "unit_minor": 1000000000000000}]}'), ('product', '{"lines": [{"product_id": "x"}]}')) AS v (wrong, context);
-- segments and first visits by history and attributes
SELECT wash._on_purchase('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', :ann, 'price_minor', 100, 'currency', 'EUR')) FROM generate_series(1, 2);
SELECT (wash.explain_offer(loyalty_test.id('regulars'), :ann, NULL, '{"amount_minor": 1000}')).why, (wash.explain_offer(loyalty_test.id('first'), :ann, NULL, '{"amount_minor": 1000}')).why AS first;
SELECT wash.set_customer_attributes(:ann, '{"newsletter": true, "shoe_size": 44}'), wash.set_customer_attributes(:ann, '{"shoe_size": null}');
SELECT (wash.explain_offer(loyalty_test.id('regulars'), :ann, NULL, '{"amount_minor": 1000}')).discount_minor;
-- only while it is active, or scheduled and its time has come
SELECT status FROM wash.set_offer_status(loyalty_test.id('first'), 'paused');
SELECT (wash.explain_offer(loyalty_test.id('first'), :ben, NULL, '{"amount_minor": 1000}')).why;
SELECT status FROM wash.set_offer_status((wash.create_offer('{"title": "soon", "kind": "percent", "percent": 1, "valid_from": "2030-01-01T00:00:00Z", "valid_until": "2030-02-01T00:00:00Z"}')).offer_id, 'scheduled');
SELECT at, (wash.explain_offer(loyalty_test.id('soon'), :ben, at, '{"amount_minor": 1000}')).why FROM unnest('{2029-12-31T23:59:59Z,2030-01-01T00:00:00Z,2030-01-31T23:59:59Z,2030-02-01T00:00:00Z}'::timestamptz[]) AS a (at);
SELECT loyalty_test.refusal(format('SELECT wash.set_offer_status(%L, ''draft'')', loyalty_test.id('soon')));
SELECT status, version FROM wash.update_offer(loyalty_test.id('soon'), '{"valid_from": "2020-01-01T00:00:00Z", "valid_until": "2020-02-01T00:00:00Z"}');
SELECT loyalty_test.refusal(format('SELECT wash.update_offer(%L, ''{"percent": 2}'', 1)', loyalty_test.id('soon')));
SELECT wash._turn_offers(10);
SELECT status FROM wash.loyalty_offers WHERE title = 'soon';

-- Used: with its discount and terms as they were, as often as it may be
SELECT loyalty_test.offer('{"title": "two each", "kind": "percent", "percent": 25, "max_uses": 3, "max_per_customer": 2}');
SELECT error, discount_minor, uses_left, replayed FROM wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e1', loyalty_test.id('two each'), :ann, 1001, '{"currency": "EUR"}', idempotency_key => 'use-1');
SELECT error, discount_minor, uses_left, replayed FROM wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e1', loyalty_test.id('two each'), :ann, 1001, '{"currency": "EUR"}', idempotency_key => 'use-1');
SELECT loyalty_test.refusal(format('SELECT wash.redeem_offer(''order'', ''00000000-0000-7000-8000-0000000001e1'', %L, ''00000000-0000-7000-8000-0000000001a1'', 1000)', loyalty_test.id('two each'))) AS same_order;
SELECT discount_minor, uses_left FROM wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e2', loyalty_test.id('two each'), :ann, 100);
SELECT loyalty_test.refusal(format('SELECT wash.redeem_offer(''order'', usher.uuid_v7(), %L, ''00000000-0000-7000-8000-0000000001a1'', 1000)', loyalty_test.id('two each'))) AS a_third;
SELECT discount_minor, uses_left FROM wash.redeem_offer('booking', '00000000-0000-7000-8000-0000000001e3', loyalty_test.id('two each'), :ben, 100);
BEGIN; -- the same for a use
UPDATE usher.idempotent_calls SET result = (SELECT to_jsonb(u.id) FROM wash.offer_uses AS u WHERE u.reference_id = '00000000-0000-7000-8000-0000000001e3')
WHERE registrant = 'usher_loyalty' AND key = 'use-1';
SELECT loyalty_test.refusal(format($$ SELECT wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e1', %L, '00000000-0000-7000-8000-0000000001a1', 1001,
    '{"currency": "EUR"}', idempotency_key => 'use-1') $$, loyalty_test.id('two each')));
ROLLBACK;
SELECT loyalty_test.refusal(format('SELECT wash.redeem_offer(''order'', usher.uuid_v7(), %L, ''00000000-0000-7000-8000-0000000001b1'', 1000)', loyalty_test.id('two each'))) AS none_left;
SELECT version > 0 AS changed FROM wash.update_offer(loyalty_test.id('two each'), '{"percent": 90}');
SELECT nth, amount_minor, discount_minor, currency, terms - 'version' AS terms FROM wash.offer_uses WHERE offer_id = loyalty_test.id('two each') ORDER BY created_at;
SELECT loyalty_test.refusal(format('SELECT wash.redeem_offer(''order'', usher.uuid_v7(), %L, ''00000000-0000-7000-8000-0000000001b1'', 10)', loyalty_test.id('ten percent'))) AS below_minimum;
-- by raw SQL it is the same
SELECT what, loyalty_test.refusal(format(statement, loyalty_test.id('two each'))) FROM (VALUES
    ('one too many', $$ INSERT INTO wash.offer_uses (offer_id, customer_id, nth, reference_type, reference_id, amount_minor, discount_minor) VALUES (%L, usher.uuid_v7(), 1, 'order', usher.uuid_v7(), 1, 1) $$),
    ('the counter', $$ UPDATE wash.loyalty_offers SET uses = 0 WHERE id = %L $$), ('a use changes', $$ UPDATE wash.offer_uses SET discount_minor = 0 WHERE offer_id = %L $$), ('a use goes', $$ DELETE FROM wash.offer_uses WHERE offer_id = %L $$),
    ('fewer than were used', $$ UPDATE wash.loyalty_offers SET max_uses = 2 WHERE id = %L $$)) AS v (what, statement);
-- what is cancelled gives its use back, once
SELECT wash._on_purchase_cancelled('booking.cancelled', '{"id": "00000000-0000-7000-8000-0000000001e3"}') FROM generate_series(1, 2);
SELECT uses FROM wash.loyalty_offers WHERE title = 'two each';
SELECT loyalty_test.refusal($$ UPDATE wash.offer_uses SET is_released = false WHERE is_released $$) AS released_for_good;
SELECT wash.release_offers('order', '00000000-0000-7000-8000-0000000001e1'), wash.release_offers('order', '00000000-0000-7000-8000-0000000001e1') AS again;
SELECT discount_minor, uses_left FROM wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e1', loyalty_test.id('two each'), :ann, 100);
SELECT nth, is_released FROM wash.offer_uses WHERE offer_id = loyalty_test.id('two each') AND customer_id = :ann ORDER BY nth;

-- Vouchers: the codes are shown once, and kept as hashes
SELECT loyalty_test.offer('{"title": "by voucher", "kind": "amount", "amount_minor": 300, "currency": "EUR", "needs_voucher": true}');
SELECT count(*) AS listed FROM wash.list_offers_for(:ann, NULL, '{"amount_minor": 1000, "currency": "EUR"}') WHERE title = 'by voucher';
SELECT loyalty_test.refusal(format('SELECT wash.redeem_offer(''order'', usher.uuid_v7(), %L, ''00000000-0000-7000-8000-0000000001a1'', 1000, ''{"currency": "EUR"}'')', loyalty_test.id('by voucher')));
SELECT count(*) AS made, count(DISTINCT code) AS different, bool_and(code ~ '^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$') AS of_form FROM wash.create_vouchers(loyalty_test.id('by voucher'), 500, batch => 'spring');
SELECT code AS once FROM wash.create_vouchers(loyalty_test.id('by voucher')) \gset
SELECT code FROM wash.create_vouchers(loyalty_test.id('by voucher'), max_uses => 2, chosen_code => 'Summer-10');
SELECT code AS bens FROM wash.create_vouchers(loyalty_test.id('by voucher'), customer_id => :ben) \gset
SELECT code AS over FROM wash.create_vouchers(loyalty_test.id('by voucher'), valid_until => now() - interval '1 second') \gset
SELECT wrong, loyalty_test.refusal(format('SELECT wash.create_vouchers(%L, %s)', loyalty_test.id('by voucher'), args)) FROM (VALUES ('none', '0'), ('too many', '10001'), ('one code of two', '2, chosen_code => ''X'''), ('no code', '1, chosen_code => ''--'''), ('taken', '1, chosen_code => ''SUMMER10'''), ('no uses', '1, 0')) AS v (wrong, args);
CREATE FUNCTION loyalty_test.use(code text, customer uuid) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(error, discount_minor::text) FROM wash.redeem_offer('order', usher.uuid_v7(), customer_id => customer, amount_minor => 1000, context => '{"currency": "EUR"}', voucher_code => code) $$;
SELECT loyalty_test.use(lower(replace(:'once', '-', ' ')), :ann) AS once, loyalty_test.use(:'once', :ann) AS twice, loyalty_test.use('summer10', :ann) AS several, loyalty_test.use('SUMMER 10', :ben) AS times, loyalty_test.use('summer10', :ben) AS too_often,
    loyalty_test.use(:'bens', :ann) AS of_somebody, loyalty_test.use(:'bens', :ben) AS own, loyalty_test.use(:'over', :ann) AS over, loyalty_test.use('nothing', :ann) AS unknown, loyalty_test.use('--', :ann) AS empty;
SELECT wash.revoke_vouchers(loyalty_test.id('by voucher'), 'spring');
-- the same call again answers the same, also when the voucher is used up and revoked by then, and is no guess; a wrong code can be tried again
CREATE FUNCTION loyalty_test.replay(code text, customer uuid, key text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s, replayed %s', coalesce(error, discount_minor::text), replayed) FROM wash.redeem_offer('order', '00000000-0000-7000-8000-0000000001e9', customer_id => customer, amount_minor => 1000, context => '{"currency": "EUR"}', voucher_code => code, idempotency_key => key)
$$;
SELECT code AS replayed FROM wash.create_vouchers(loyalty_test.id('by voucher'), batch => 'replayed') \gset
SELECT loyalty_test.replay(:'replayed', :ann, 'voucher-1'), loyalty_test.replay(:'replayed', :ann, 'voucher-1') AS again;
SELECT wash.revoke_vouchers(loyalty_test.id('by voucher'), 'replayed');
SELECT remaining AS before FROM usher.hit_rate_limit('loyalty.staff_codes', session_user) \gset
SELECT loyalty_test.replay(lower(:'replayed'), :ann, 'voucher-1');
SELECT :before - remaining - 1 AS guesses FROM usher.hit_rate_limit('loyalty.staff_codes', session_user);
SELECT loyalty_test.refusal(format('SELECT loyalty_test.replay(%L, ''00000000-0000-7000-8000-0000000001a1'', ''voucher-1'')', :'once')) AS another_code;
SELECT loyalty_test.replay('nothing', :ann, 'voucher-2') AS wrong, loyalty_test.replay('nothing', :ann, 'voucher-2') AS wrong_again;
SELECT count(*) FROM usher.audit_logs AS a WHERE a::text ~ :'once';

-- Rewards: paid with points, handed out for a code, once
SELECT reward_id AS mug, status, stock_left FROM wash.create_reward('{"title": "Mug", "cost_points": 100, "stock": 2, "max_per_customer": 1, "condition": "r.tier == ''GOLD''", "keeps_for": "7 days"}') \gset
SELECT wrong, loyalty_test.refusal(format('SELECT wash.create_reward(%L)', definition)) FROM (VALUES ('for nothing', '{"title": "x", "cost_points": 0}'), ('condition', '{"title": "x", "cost_points": 1, "condition": "r."}'), ('stock', '{"title": "x", "cost_points": 1, "stock": -1}')) AS v (wrong, definition);
SELECT loyalty_test.refusal(format('SELECT wash.redeem_reward(%L, ''00000000-0000-7000-8000-0000000001b1'')', :'mug')) AS a_draft;
SELECT status FROM wash.set_reward_status(:'mug', 'active');
SELECT title, stock_left FROM wash.list_rewards();
SELECT loyalty_test.refusal(format('SELECT wash.redeem_reward(%L, ''00000000-0000-7000-8000-0000000001b1'')', :'mug')) AS too_few_points, loyalty_test.refusal(format('SELECT wash.redeem_reward(%L, ''00000000-0000-7000-8000-0000000001a1'')', :'mug')) AS not_gold;
SELECT code, threshold FROM wash.define_tier('GOLD', 2, 200); -- what is earned makes a tier, too
SELECT balance FROM wash.earn_points(:ben, 250);
SELECT redemption_id AS taken, code, status, balance, expires_at - now() > interval '6 days' AS keeps FROM wash.redeem_reward(:'mug', :ben, 'mug-1') \gset r_
SELECT :'r_status' AS status, :'r_balance' AS balance, :'r_keeps' AS keeps;
SELECT redemption_id = :'r_taken' AS same, code, balance, replayed FROM wash.redeem_reward(:'mug', :ben, 'mug-1');
BEGIN; -- the same key, and the reward of somebody else behind it
SET LOCAL session_replication_role = replica;
UPDATE wash.reward_redemptions SET customer_id = '00000000-0000-7000-8000-0000000001a1' WHERE id = :'r_taken';
SET LOCAL session_replication_role = origin;
SELECT loyalty_test.refusal(format('SELECT wash.redeem_reward(%L, ''00000000-0000-7000-8000-0000000001b1'', ''mug-1'')', :'mug'));
ROLLBACK;
SELECT loyalty_test.refusal(format('SELECT wash.redeem_reward(%L, ''00000000-0000-7000-8000-0000000001b1'')', :'mug')) AS only_one_each;
SELECT loyalty_test.refusal(format('SELECT wash.update_reward(%L, ''{"cost_points": 1}'')', :'mug')) AS frozen;
SELECT title FROM wash.update_reward(:'mug', '{"title": "Blue mug"}');
SELECT code AS renewed FROM wash.renew_reward_code(:'r_taken') \gset
SELECT error, status FROM wash.redeem_reward_code(:'r_code');
SELECT error, status FROM wash.redeem_reward_code(lower(:'renewed'));
SELECT error, status FROM wash.redeem_reward_code(:'renewed');
SELECT loyalty_test.refusal(format('UPDATE wash.reward_redemptions SET status = ''reserved'' WHERE id = %L', :'r_taken')) AS redeemed_for_good, loyalty_test.refusal(format('UPDATE wash.reward_redemptions SET cost_points = 1 WHERE id = %L', :'r_taken')) AS its_cost;
SELECT status, balance FROM wash.reverse_redemption(:'r_taken');
SELECT loyalty_test.refusal(format('SELECT wash.reverse_redemption(%L)', :'r_taken')) AS twice;
SELECT stock_left FROM wash.list_rewards() WHERE title = 'Blue mug';
-- its time runs out
SELECT redemption_id AS taken, balance FROM wash.redeem_reward(:'mug', :ben) \gset r_
UPDATE wash.reward_redemptions SET expires_at = now() - interval '1 second' WHERE id = :'r_taken';
SELECT loyalty_test.refusal(format('UPDATE wash.reward_redemptions SET status = ''redeemed'' WHERE id = %L', :'r_taken')) AS too_late;
SELECT wash._expire_redemptions(10), wash._expire_redemptions(10) AS again;
SELECT balance FROM wash.get_points_balance(:ben);
SELECT kind, points, source_type FROM wash.list_points_history(:ben);
SELECT title, status, cost_points FROM wash.list_redemptions(:ben);
-- by raw SQL it is the same
SELECT what, loyalty_test.refusal(format(statement, :'mug')) FROM (VALUES
    ('not gold', $$ INSERT INTO wash.reward_redemptions (reward_id, customer_id) VALUES (%L, '00000000-0000-7000-8000-0000000001a1') $$), ('gold', $$ INSERT INTO wash.reward_redemptions (reward_id, customer_id) VALUES (%L, '00000000-0000-7000-8000-0000000001b1') $$),
    ('one each', $$ INSERT INTO wash.reward_redemptions (reward_id, customer_id) VALUES (%L, '00000000-0000-7000-8000-0000000001b1') $$), ('no account', $$ INSERT INTO wash.reward_redemptions (reward_id, customer_id) VALUES (%L, usher.uuid_v7()) $$),
    ('the counter', $$ UPDATE wash.loyalty_rewards SET taken = 0 WHERE id = %L $$), ('it goes', $$ DELETE FROM wash.reward_redemptions WHERE reward_id = %L $$)) AS v (what, statement);
SELECT balance FROM wash.get_points_balance(:ben);

-- Guesses: so many, then none, and a rollback does not help
SELECT user_id AS eve FROM usher.register_user('loyalty-eve@example.com', 'long enough to be good', 'Eve') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'eve';
SELECT usher.issue_token(:'eve', '{}', '1 hour') AS token \gset
CREATE ROLE regress_loyalty_app;
SELECT usher.grant_access('regress_loyalty_app', 'application');
GRANT USAGE ON SCHEMA loyalty_test TO regress_loyalty_app;
-- of whoever sells visits, every one of them to her
CREATE FUNCTION loyalty_test.visit(visit_id uuid) RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text, location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean) LANGUAGE sql STABLE
    AS $$ SELECT 'visit', u.id, NULL::uuid, 1000::bigint, 'EUR', NULL::uuid, NULL::uuid, NULL::jsonb, NULL::timestamptz, NULL::boolean FROM usher.users AS u WHERE u.email = 'loyalty-eve@example.com' $$;
SELECT usher.register_extension('Visits, as an application sells them', 'loyalty_visits', 'loyalty_test', hooks => '{"purchase": "visit"}', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}');
CREATE FUNCTION loyalty_test.guess(secret text, code text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    SET LOCAL ROLE regress_loyalty_app;
    PERFORM usher.authenticate(secret);
    SELECT coalesce(r.error, 'used') INTO answer FROM wash.redeem_offer('visit', usher.uuid_v7(), voucher_code => code) AS r;
    RESET ROLE;
    RETURN answer;
END
$$;
SELECT loyalty_test.guess(:'token', 'GUESS' || n) AS answer, count(*) FROM generate_series(1, 25) AS n GROUP BY 1 ORDER BY 1;
SELECT loyalty_test.guess(:'token', code) AS the_right_one FROM wash.create_vouchers(loyalty_test.id('by voucher'));

SELECT rule, violations FROM wash._loyalty_self_check() WHERE violations > 0;
UPDATE wash.loyalty_offers SET status = 'archived' WHERE status <> 'archived';
SELECT count(*) FROM wash.loyalty_offer_keys;
-- nothing is left for the handlers
DO $$ BEGIN LOOP EXIT WHEN (SELECT handled + failed FROM usher.run_event_handlers(1000)) = 0; END LOOP; END $$;
SELECT count(*) FROM usher.deliveries WHERE consumer LIKE 'usher_loyalty%' AND status = 'pending';
SELECT usher.unregister_extension('loyalty_visits');
SELECT usher.revoke_access('regress_loyalty_app');
DROP SCHEMA loyalty_test CASCADE;
DROP OWNED BY regress_loyalty_app;
DROP ROLE regress_loyalty_app;

# A mix of everything by 64 clients, through the functions, the handlers and by raw SQL, while backends are terminated at random and the
# server crashes once. Afterwards the sum of entries equals balances, lots equal balances, uses equal counters, nobody is brought in a
# circle, nothing of what came back is kept; self_check() finds nothing, and no deadlock was logged. 12 seconds; 60 for each of ten rounds
# with USHER_LONG=1.
use strict;
use warnings;
use Test::More;
use UsherMix;

my ($rounds, $seconds) = $ENV{USHER_LONG} ? (10, 60) : (1, 12);
start_cluster('loyalty_mix', "shared_preload_libraries = 'usher'\n");
one(<<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA club;
CREATE EXTENSION usher_loyalty SCHEMA club;
SELECT usher.define_rate_limit('loyalty.staff_codes', 'fixed_window', 1000000, '1 second');
SELECT club.define_referral_program(40, 20);
SELECT club.create_earning_rule('{"code": "each", "event": "payment.completed", "points": "r.amount_minor / 10", "expires_after": "20 seconds"}');
SELECT club.create_earning_rule('{"code": "visit", "event": "booking.completed", "points": "7", "max_in_period": 70, "period": "day"}');
SELECT club.define_tier('SILVER', 1, 100), club.define_tier('GOLD', 2, 300, 'payment', 'EUR');
CREATE TABLE things (kind text, id uuid, code text);
INSERT INTO things SELECT 'offer', (club.set_offer_status((club.create_offer(d)).offer_id, 'active')).offer_id FROM unnest(ARRAY['{"title": "a", "kind": "percent", "percent": 10, "max_uses": 150, "is_stackable": true}', '{"title": "b", "kind": "percent", "percent": 10, "max_per_customer": 2, "is_stackable": true, "stack_group": "b"}']::jsonb[]) AS d;
INSERT INTO things SELECT 'reward', (club.set_reward_status((club.create_reward(d)).reward_id, 'active')).reward_id FROM unnest(ARRAY['{"title": "a", "cost_points": 15, "stock": 60}', '{"title": "b", "cost_points": 9, "max_per_customer": 2, "keeps_for": "2 seconds"}']::jsonb[]) AS d;
INSERT INTO things SELECT 'voucher', v.voucher_id, v.code FROM club.create_vouchers((SELECT id FROM things WHERE kind = 'offer' LIMIT 1), 30, max_uses => 2) AS v;
INSERT INTO things SELECT 'ad', (club.set_advertisement_status((club.create_advertisement('{"title": "a", "placement": "home"}')).ad_id, 'active')).ad_id;
CREATE FUNCTION pick(wanted text) RETURNS things LANGUAGE sql AS $$ SELECT t FROM things AS t WHERE t.kind = wanted ORDER BY random() LIMIT 1 $$;
CREATE FUNCTION spot(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
-- One step of one of a few customers with one of a few purchases each, so that they meet. What is refused is refused; what is to be tried
-- again, and what nobody expects, goes up.
CREATE FUNCTION act(what integer, customer integer, purchase integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c uuid := spot(customer);
	p uuid := spot(1000000 + customer * 1000 + purchase);
	entry club.points_entries;
	redemption club.reward_redemptions;
BEGIN
	CASE what
	WHEN 0, 1 THEN PERFORM club._on_purchase('payment.completed', jsonb_build_object('transaction_id', p, 'customer_id', c, 'captured_minor', 100 + purchase, 'currency', 'EUR',
			'payment_method', CASE WHEN purchase % 7 = 0 THEN 'voucher' ELSE 'card' END, 'reference_type', 'booking', 'reference_id', spot(2000000 + customer * 1000 + purchase)));
	WHEN 2 THEN PERFORM club._on_purchase('payment.partially_refunded', jsonb_build_object('transaction_id', p, 'refunded_minor', floor(random() * 100), 'reference_type', 'booking', 'reference_id', spot(2000000 + customer * 1000 + purchase)));
	WHEN 3 THEN PERFORM club._on_purchase('payment.refunded', jsonb_build_object('id', p, 'refunded_minor', 100 + purchase)) WHERE purchase % 3 = 0;
	WHEN 4 THEN PERFORM club._on_purchase('booking.completed', jsonb_build_object('id', spot(2000000 + customer * 1000 + purchase), 'customer_id', c, 'price_minor', 100 + purchase, 'currency', 'EUR'));
	WHEN 5 THEN PERFORM club.redeem_points(1 + floor(random() * 20)::bigint, c);
	WHEN 6 THEN INSERT INTO club.points_entries (customer_id, kind, points) VALUES (c, 'spend', -1 - floor(random() * 20));
	WHEN 7 THEN
		SELECT e.* INTO entry FROM club.points_entries AS e WHERE e.customer_id = c AND e.kind = 'spend' AND e.source_type IS NULL ORDER BY random() LIMIT 1;
		PERFORM club.give_back_points(entry.id, 1) WHERE entry.id IS NOT NULL;
	WHEN 8 THEN PERFORM club.earn_points(c, 5, expires_at => clock_timestamp() + random() * interval '3 seconds');
	WHEN 9 THEN PERFORM club.redeem_reward((pick('reward')).id, c);
	WHEN 10 THEN INSERT INTO club.reward_redemptions (reward_id, customer_id) VALUES ((pick('reward')).id, c);
	WHEN 11 THEN
		SELECT r.* INTO redemption FROM club.reward_redemptions AS r WHERE r.customer_id = c ORDER BY random() LIMIT 1;
		PERFORM club.reverse_redemption(redemption.id) WHERE redemption.id IS NOT NULL;
	WHEN 12 THEN PERFORM club.redeem_offer('order', p, (pick('offer')).id, c, 100);
	WHEN 13 THEN INSERT INTO club.offer_uses (offer_id, customer_id, nth, reference_type, reference_id, amount_minor, discount_minor) VALUES ((pick('offer')).id, c, 1, 'order', p, 10, 1);
	WHEN 14 THEN PERFORM club._on_purchase_cancelled('order.cancelled', jsonb_build_object('id', p));
	WHEN 15 THEN PERFORM club.redeem_offer('order', p, customer_id => c, amount_minor => 100, voucher_code => (pick('voucher')).code);
	WHEN 16 THEN PERFORM club.create_referral(referrer_id => spot(1 + floor(random() * 60)::integer), referee_id => spot(3000 + floor(random() * 60)::integer));
	WHEN 17 THEN INSERT INTO club.referrals (program, referrer_id, referee_id) VALUES ('default', spot(3000 + floor(random() * 60)::integer), spot(3000 + floor(random() * 60)::integer));
	WHEN 18 THEN PERFORM club._on_first_purchase('order.completed', jsonb_build_object('customer_id', spot(3000 + floor(random() * 60)::integer), 'total_minor', 1));
	WHEN 19 THEN PERFORM club._loyalty_upkeep(20);
	WHEN 20 THEN PERFORM club.record_advertisement_event((pick('ad')).id);
	-- The same by raw SQL: whatever a statement locks comes before what its triggers lock.
	WHEN 21 THEN UPDATE club.reward_redemptions SET status = 'reversed' WHERE id = (SELECT r.id FROM club.reward_redemptions AS r WHERE r.customer_id = c AND r.status = 'reserved' ORDER BY random() LIMIT 1);
	WHEN 22 THEN UPDATE club.offer_uses SET is_released = true, released_at = now() WHERE id = (SELECT u.id FROM club.offer_uses AS u WHERE NOT u.is_released AND u.customer_id = c ORDER BY random() LIMIT 1) AND NOT is_released;
	WHEN 23 THEN UPDATE club.referrals SET status = CASE status WHEN 'pending' THEN 'qualified' ELSE 'rewarded' END WHERE id = (SELECT r.id FROM club.referrals AS r WHERE r.status IN ('pending', 'qualified') ORDER BY random() LIMIT 1) AND status IN ('pending', 'qualified');
	WHEN 24 THEN PERFORM club.reward_referral(r.id) FROM (SELECT o.id FROM club.referrals AS o WHERE o.status = 'qualified' ORDER BY random() LIMIT 1) AS r;
	WHEN 25 THEN
		PERFORM club._on_loyalty_customer_gone('user.deleted', jsonb_build_object('user_id', spot(61)));
		PERFORM club._erase_loyalty(spot(61));
		UPDATE club.points_accounts SET closed_at = NULL WHERE customer_id = spot(61);
	WHEN 26 THEN
		PERFORM club.revoke_vouchers((pick('offer')).id, voucher_id => (pick('voucher')).id);
		UPDATE club.offer_vouchers SET is_active = true WHERE id = (pick('voucher')).id;
	WHEN 27, 28 THEN PERFORM club._on_order_placing('order.placing', jsonb_build_object('id', p, 'customer_id', c, 'currency', 'EUR', 'amount_minor', 300, 'lines', jsonb_build_array(jsonb_build_object('line_no', 1, 'price_minor', 100, 'quantity', 1), jsonb_build_object('line_no', 2, 'price_minor', 100, 'quantity', 2))));
	WHEN 29, 30 THEN PERFORM club._on_purchase(CASE what WHEN 29 THEN 'payment.disputed' ELSE 'payment.dispute_closed' END, jsonb_build_object('transaction_id', p, 'dispute_id', spot(4000000 + customer * 1000 + purchase), 'amount_minor', 60,
			'status', CASE WHEN what = 29 THEN 'open' WHEN random() < 0.5 THEN 'won' ELSE 'lost' END, 'reference_type', 'booking', 'reference_id', spot(2000000 + customer * 1000 + purchase)));
	ELSE PERFORM count(*) FROM club.list_offers_for(c, context => '{"amount_minor": 100}');
	END CASE;
EXCEPTION
	WHEN SQLSTATE 'UL001' OR SQLSTATE 'UL002' OR SQLSTATE 'UL003' OR SQLSTATE 'UL006' OR SQLSTATE 'UL007' OR SQLSTATE 'UL008' OR SQLSTATE 'US001' OR SQLSTATE 'US005' OR invalid_parameter_value OR foreign_key_violation
		OR unique_violation THEN NULL;
END $$;
SQL
my $script = "\\set what random(0, 31)\n\\set customer random(1, 61)\n\\set purchase random(1, 30)\nSELECT act(:what, :customer, :purchase);\n";

for my $round (1 .. $rounds)
{
	mix($seconds, $script);

	is(one("SELECT string_agg(rule || ' ' || violations, ', ') FROM club._loyalty_self_check() WHERE violations > 0"), '', "round $round: self_check() finds nothing");
	# the same in words of this test's own
	is(one('SELECT count(*) FROM club.points_accounts AS a WHERE a.balance < 0 OR a.balance - a.debt <> (SELECT coalesce(sum(e.points), 0) FROM club.points_entries AS e WHERE e.customer_id = a.customer_id)'), '0', "round $round: the sum of entries equals balances");
	is(one('SELECT count(*) FROM club.points_accounts AS a WHERE a.balance <> (SELECT coalesce(sum(l.points_left), 0) FROM club.points_lots AS l WHERE l.customer_id = a.customer_id)'), '0', "round $round: lots equal balances");
	is(one('SELECT count(*) FROM club.loyalty_offers AS o WHERE o.uses <> (SELECT count(*) FROM club.offer_uses AS u WHERE u.offer_id = o.id AND NOT u.is_released) OR o.uses > o.max_uses'), '0', "round $round: uses equal counters");
	is(one("SELECT count(*) FROM club.offer_vouchers WHERE uses > 2"), '0', "round $round: no voucher was used too often");
	is(one("SELECT count(*) FROM (SELECT 1 FROM club.points_entries WHERE kind = 'earn' AND source_type IN ('payment', 'booking') GROUP BY source_id, rule_code HAVING count(*) > 1) AS x"), '0', "round $round: nothing has earned twice");
	is(one("SELECT count(*) FROM club.reward_redemptions AS r WHERE r.status IN ('reversed', 'expired') AND (SELECT sum(e.points) FROM club.points_entries AS e WHERE e.source_id = r.id) <> 0"), '0', "round $round: what was given back cost nothing");
	cmp_ok(one("SELECT count(*) FROM club.points_entries"), '>', 100, "round $round: points were earned and spent");
}
finish();

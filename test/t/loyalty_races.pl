# Crowds at all three isolation levels, through the functions and by raw SQL: C-29 the last use of an offer, C-30 points that are spent on
# many devices, events that arrive many times and in any order at once, orders that are placed at once, lots that end while they are spent, the last of a reward, a voucher,
# C-28 referrals that are rewarded and circles that are closed, views of advertisements. And a thousand guesses, which lock whoever rolls them back. Nothing is earned, spent or given twice, and no deadlock is logged.
use strict;
use warnings;
use Test::More;
use UsherCrowd;

start_cluster('loyalty_races', "max_connections = 120\nshared_preload_libraries = 'usher'", 'club._loyalty_self_check()');
one(<<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA club;
CREATE EXTENSION usher_loyalty SCHEMA club;
CREATE FUNCTION new_customer(points bigint, expires_at timestamptz DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	made uuid := usher.uuid_v7();
BEGIN
	INSERT INTO stage VALUES ('customer', made);
	IF points > 0 THEN
		PERFORM club.earn_points(made, points, expires_at => new_customer.expires_at);
	END IF;
END $$;
CREATE FUNCTION new_offer(definition jsonb) RETURNS uuid LANGUAGE sql AS $$
	SELECT (club.set_offer_status((club.create_offer('{"title": "offer", "kind": "percent", "percent": 10}' || definition)).offer_id, 'active')).offer_id
$$;
CREATE FUNCTION place(order_id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM club._on_order_placing('order.placing', jsonb_build_object('id', order_id, 'customer_id', usher.uuid_v7(), 'currency', 'EUR', 'amount_minor', 1000, 'lines', '[{"line_no": 1, "price_minor": 1000}]'::jsonb));
	RETURN (SELECT coalesce(sum(u.discount_minor), 0) FROM club.offer_uses AS u WHERE u.reference_id = order_id);
END $$;
CREATE FUNCTION sums() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s %s, %s entries', a.balance, a.debt, (SELECT count(*) FROM club.points_entries AS e WHERE e.customer_id = a.customer_id)) FROM club.points_accounts AS a WHERE a.customer_id = stage('customer')
$$;
SELECT usher.define_rate_limit('loyalty.staff_codes', 'fixed_window', 1000000, '1 hour');
SELECT club.define_referral_program(100, 50);
SELECT club.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "r.amount_minor / 100"}');
SELECT club.create_earning_rule('{"code": "each", "event": "payment.completed", "points": "5", "max_in_period": 5, "period": "year"}');
SQL
my $payment = q(jsonb_build_object('transaction_id', stage('payment'), 'customer_id', stage('customer'), 'captured_minor', 1000, 'currency', 'EUR'));

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;

	# C-29: by the function, and by raw SQL
	is(crowd(64, "INSERT INTO stage VALUES ('offer', new_offer('{\"max_uses\": 1}'))",
			"SELECT answer(format('SELECT discount_minor FROM club.redeem_offer(''order'', usher.uuid_v7(), %L, usher.uuid_v7(), 1000)', stage('offer')));\n"),
		'100 1, UL003 63', "$level: C-29, the last use of an offer by 64 customers");
	is(crowd(32, "INSERT INTO stage VALUES ('offer', new_offer('{\"max_uses\": 3}'))",
			"SELECT answer(format('INSERT INTO club.offer_uses (offer_id, customer_id, nth, reference_type, reference_id, amount_minor, discount_minor) VALUES (%L, usher.uuid_v7(), 1, ''order'', usher.uuid_v7(), 10, 1) RETURNING nth', stage('offer')));\n"),
		'1 3, UL003 29', "$level: … and the last three by raw SQL");
	is(crowd(32, "INSERT INTO stage VALUES ('offer', new_offer('{\"max_per_customer\": 2}'))",
			"SELECT answer(format('SELECT discount_minor FROM club.redeem_offer(''order'', usher.uuid_v7(), %L, ''00000000-0000-7000-8000-000000000001'', 1000)', stage('offer')));\n"),
		'100 2, UL003 30', "$level: two uses of one customer on 32 devices");

	# Orders that are placed at once: the last of two offers goes to one of them, the others are placed without
	is(crowd(64, "SELECT club.set_offer_status(id, 'archived') FROM club.loyalty_offers WHERE status = 'active'; SELECT new_offer('{\"max_uses\": 1, \"is_stackable\": true}') FROM generate_series(1, 2)",
			"SELECT answer(format('SELECT place(%L)', usher.uuid_v7()));\n"),
		'0 63, 200 1', "$level: the last use of two offers by 64 orders");

	# C-30
	for my $how ('SELECT balance FROM club.redeem_points(60, %L)', 'INSERT INTO club.points_entries (customer_id, kind, points) VALUES (%L, \'\'spend\'\', -60) RETURNING 40')
	{
		is(crowd(32, 'SELECT new_customer(100)', "SELECT answer(format('$how', stage('customer')));\n"), '40 1, UL001 31', "$level: C-30, points for one on 32 devices");
		is(one('SELECT sums()'), '40 0, 2 entries', "$level: … are spent once");
	}
	is(crowd(32, 'SELECT new_customer(100)', "SELECT answer(format('SELECT balance >= 0 FROM club.redeem_points(7, %L)', stage('customer')));\n"), 'UL001 18, true 14', "$level: as often as there is enough");
	is(crowd(32, 'SELECT new_customer(100)', "SELECT answer(format('SELECT balance FROM club.redeem_points(60, %L, idempotency_key => %L)', stage('customer'), stage('customer')));\n"), '40 32', "$level: one key, one spending");

	# An event that arrives many times, beside what takes of it
	is(crowd(32, "SELECT new_customer(0); INSERT INTO stage VALUES ('payment', usher.uuid_v7())", "SELECT answer(format('SELECT ''told'' FROM club._on_purchase(''payment.completed'', %L)', $payment));\n"), 'told 32', "$level: one event, 32 times");
	is(one('SELECT sums()'), '15 0, 2 entries', "$level: … earns once by each rule");
	is(crowd(32, "SELECT new_customer(0); INSERT INTO stage VALUES ('payment', usher.uuid_v7())", <<"SCRIPT"), 'told 32', "$level: paid and refunded, in any order at once");
SELECT answer(CASE :client_id % 4 WHEN 0 THEN format('SELECT ''told'' FROM club._on_purchase(''payment.completed'', %L)', $payment)
	WHEN 1 THEN format('SELECT ''told'' FROM club._on_purchase(''payment.partially_refunded'', %L)', jsonb_build_object('transaction_id', stage('payment'), 'refunded_minor', 200))
	WHEN 2 THEN format('SELECT ''told'' FROM club._on_purchase(''payment.partially_refunded'', %L)', jsonb_build_object('transaction_id', stage('payment'), 'refunded_minor', 100 + :client_id))
	ELSE format('SELECT ''told'' FROM club._on_purchase(''payment.partially_refunded'', %L)', jsonb_build_object('transaction_id', stage('payment'), 'refunded_minor', 600)) END);
SCRIPT
	is(one("SELECT split_part(sums(), ',', 1)"), '6 0', "$level: … keeps what is left of it");
	is(crowd(32, "SELECT new_customer(0); INSERT INTO stage VALUES ('payment', usher.uuid_v7())", <<"SCRIPT"), 'told 32', "$level: paid, disputed and won, in any order at once");
SELECT answer(CASE :client_id % 4 WHEN 0 THEN format('SELECT ''told'' FROM club._on_purchase(''payment.completed'', %L)', $payment)
	WHEN 1 THEN format('SELECT ''told'' FROM club._on_purchase(''payment.dispute_closed'', %L)', jsonb_build_object('transaction_id', stage('payment'), 'dispute_id', stage('customer'), 'status', 'won', 'amount_minor', 700))
	ELSE format('SELECT ''told'' FROM club._on_purchase(''payment.disputed'', %L)', jsonb_build_object('transaction_id', stage('payment'), 'dispute_id', stage('customer'), 'status', 'open', 'amount_minor', 700)) END);
SCRIPT
	is(one("SELECT split_part(sums(), ',', 1)"), '15 0', "$level: … has all of its points");
	is(crowd(32, "SELECT new_customer(0); INSERT INTO stage SELECT 'payment' || n, usher.uuid_v7() FROM generate_series(0, 31) AS n", "SELECT answer(format('SELECT ''told'' FROM club._on_purchase(''payment.completed'', %L)', $payment || jsonb_build_object('transaction_id', stage('payment' || :client_id))));\n"),
		'told 32', "$level: 32 payments of one customer");
	is(one("SELECT sum(points) FILTER (WHERE rule_code = 'each') || ' ' || sum(points) FROM club.points_entries WHERE customer_id = stage('customer')"), '5 325', "$level: … do not exceed the cap of a rule");

	# The end of a lot, while it is spent
	my $spent = crowd(32, "SELECT new_customer(100, clock_timestamp() + interval '2 seconds'); INSERT INTO stage SELECT 'end', NULL, l.expires_at FROM club.points_lots AS l WHERE l.customer_id = stage('customer')", <<'SCRIPT');
SELECT pg_sleep(extract(epoch FROM (SELECT key::timestamptz FROM stage WHERE name = 'end') - clock_timestamp()) + (random() - 0.5) * 0.2);
SELECT answer(CASE WHEN :client_id % 8 = 0 THEN 'SELECT ''swept'' FROM club._expire_points(100)' ELSE format('SELECT ''spent'' FROM club.redeem_points(10, %L)', stage('customer')) END);
SCRIPT
	like($spent, qr/swept 4/, "$level: a lot ends while it is spent: $spent");
	one('SELECT club._expire_points(100)');
	is(one("SELECT sum(points) || ' ' || (SELECT balance FROM club.points_accounts WHERE customer_id = stage('customer')) FROM club.points_entries WHERE customer_id = stage('customer')"), '0 0', "$level: … spent or expired, and nothing is left");

	# Rewards and vouchers
	is(crowd(32, "INSERT INTO stage SELECT 'c' || n, usher.uuid_v7() FROM generate_series(0, 31) AS n; SELECT club.earn_points(id, 50) FROM stage; INSERT INTO stage SELECT 'reward', (club.set_reward_status((club.create_reward('{\"title\": \"Mug\", \"cost_points\": 30, \"stock\": 5}')).reward_id, 'active')).reward_id",
			"SELECT answer(format('SELECT status FROM club.redeem_reward(%L, %L)', stage('reward'), stage('c' || :client_id)));\n"),
		'UL007 27, reserved 5', "$level: five of a reward for 32 customers");
	is(crowd(32, "SELECT new_customer(1000); INSERT INTO stage SELECT 'reward', (club.set_reward_status((club.create_reward('{\"title\": \"Mug\", \"cost_points\": 30, \"max_per_customer\": 2}')).reward_id, 'active')).reward_id",
			"SELECT answer(format('SELECT status FROM club.redeem_reward(%L, %L)', stage('reward'), stage('customer')));\n"),
		'UL007 30, reserved 2', "$level: two of a reward for one customer");
	is(crowd(16, "SELECT new_customer(99); INSERT INTO stage SELECT 'code', NULL, r.code FROM club.redeem_reward((SELECT id FROM club.loyalty_rewards ORDER BY id DESC LIMIT 1), stage('customer')) AS r",
			"SELECT answer(format('SELECT coalesce(error, status) FROM club.redeem_reward_code(%L)', (SELECT key FROM stage WHERE name = 'code')));\n"),
		'code_invalid 15, redeemed 1', "$level: a code is handed out once");
	is(crowd(32, "INSERT INTO stage SELECT 'code', NULL, v.code FROM club.create_vouchers(new_offer('{\"needs_voucher\": true}')) AS v",
			"SELECT answer(format('SELECT coalesce(error, discount_minor::text) FROM club.redeem_offer(''order'', usher.uuid_v7(), customer_id => usher.uuid_v7(), amount_minor => 1000, voucher_code => %L)', (SELECT key FROM stage WHERE name = 'code')));\n"),
		'100 1, code_invalid 31', "$level: a voucher is used once");

	# C-28: events that qualify a referral, staff who reward it, and its end, all at once
	is(crowd(32, "INSERT INTO stage VALUES ('referrer', usher.uuid_v7()), ('customer', usher.uuid_v7()); INSERT INTO stage SELECT 'referral', r.referral_id FROM club.create_referral(referrer_id => stage('referrer'), referee_id => stage('customer')) AS r", <<"SCRIPT") =~ s/UL002 \d+, //r =~ s/US001 \d+, //r =~ s/told \d+/told/r,
SELECT answer(CASE WHEN :client_id % 4 < 3 THEN format('SELECT ''told'' FROM club._on_first_purchase(%L, %L)', (ARRAY['booking.completed', 'payment.completed', 'order.completed'])[:client_id % 4 + 1], jsonb_build_object('customer_id', stage('customer')))
	ELSE format('SELECT ''told'' FROM club.reward_referral(%L)', stage('referral')) END);
SCRIPT
		'told', "$level: C-28, many events qualify one referral");
	is(one("SELECT r.status || ' ' || (SELECT string_agg(points::text, ' ' ORDER BY points) FROM club.points_entries WHERE source_id = r.id) FROM club.referrals AS r WHERE r.id = stage('referral')"), 'rewarded 50 100', "$level: … which is rewarded once");
	is(crowd(3, "INSERT INTO stage SELECT n::text, usher.uuid_v7() FROM generate_series(0, 2) AS n", "SELECT answer(format('SELECT status FROM club.create_referral(referrer_id => %L, referee_id => %L)', stage((:client_id)::text), stage(((:client_id + 1) % 3)::text)));\n"),
		'UL008 1, pending 2', "$level: a circle of three by three at once");
	is(crowd(32, "INSERT INTO stage SELECT n::text, usher.uuid_v7() FROM generate_series(0, 31) AS n", "SELECT answer(format('INSERT INTO club.referrals (program, referrer_id, referee_id) VALUES (''default'', %L, %L) RETURNING status', stage((:client_id)::text), stage(((:client_id + 1) % 32)::text)));\n"),
		'UL008 1, pending 31', "$level: … and one of 32 by raw SQL");
	is(crowd(32, "INSERT INTO stage SELECT n::text, usher.uuid_v7() FROM generate_series(0, 32) AS n", "SELECT answer(format('SELECT status FROM club.create_referral(referrer_id => %L, referee_id => %L)', stage((:client_id)::text), stage('32')));\n")
		=~ s/UL008/23505/gr =~ s/23505 \d+, //gr, 'pending 1', "$level: one referrer for each");

	# Views by many are counted, those of transactions that are rolled back as well
	is(crowd(16, "INSERT INTO stage SELECT 'ad', (club.set_advertisement_status((club.create_advertisement('{\"title\": \"Ad\", \"placement\": \"home\"}')).ad_id, 'active')).ad_id",
			"BEGIN;\nSELECT club.record_advertisement_event(stage('ad')) FROM generate_series(1, 100);\nROLLBACK;\nSELECT answer(format('SELECT club.record_advertisement_event(%L, ''click'')', stage('ad')));\n"),
		'true 16', "$level: views and clicks of 16");
	is(one("SELECT views || ' ' || clicks FROM club.report_advertisements(only_ad => stage('ad'))"), '1600 16', "$level: … are counted");
}

# A thousand guesses, each rolled back
one("SELECT usher.define_rate_limit('loyalty.staff_codes', 'fixed_window', 20, '1 hour', block_for => '1 hour'); SELECT usher.reset_rate_limit('loyalty.staff_codes', session_user); TRUNCATE stage, outcome;
	INSERT INTO stage SELECT 'code', NULL, v.code FROM club.create_vouchers(new_offer('{\"needs_voucher\": true}')) AS v");
my $guesses = join '', map { "BEGIN; SELECT coalesce(error, 'used') FROM club.redeem_offer('order', usher.uuid_v7(), customer_id => usher.uuid_v7(), amount_minor => 1000, voucher_code => 'GUESS$_'); ROLLBACK;\n" } 1 .. 1000;
my %answers;
$answers{$_}++ for split /\n/, one($guesses);
is_deeply(\%answers, { code_invalid => 20, rate_limited => 980 }, 'a thousand guesses that are rolled back: twenty are looked at');
is(one("SELECT error FROM club.redeem_offer('order', usher.uuid_v7(), customer_id => usher.uuid_v7(), amount_minor => 1000, voucher_code => (SELECT key FROM stage WHERE name = 'code'))"), 'rate_limited', '… and then the right one is not');

finish();

# Crowds around orders at all three isolation levels: the last unit wanted by 100 carts, one cart placed by many, products that are archived
# and prices that change while they are ordered, an order that is sent, cancelled, recalled and returned by many at once, all that is on
# hand reserved, cancellations against payments, and customers who are deleted meanwhile. Nothing is sold, sent, returned or refunded twice.
use strict;
use warnings;
use Test::More;
use UsherCrowd;

start_cluster('shop_orders', 'max_connections = 300', 'shop._shop_self_check()', 'shop._payment_self_check()');
one(<<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE EXTENSION usher_payment SCHEMA shop;
CREATE EXTENSION usher_shop SCHEMA shop;
CREATE SEQUENCE number;
CREATE FUNCTION stock(called text, quantity bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO stage VALUES (called, (shop.create_product('sku-' || nextval('number'), called, price_minor => 100, status => 'active')).product_id);
	INSERT INTO stage VALUES ('place', usher.uuid_v7()) ON CONFLICT DO NOTHING;
	PERFORM shop.receive_stock(stage(called), stage('place'), quantity);
END $$;
-- a cart of so many of each
CREATE FUNCTION cart(called text, quantity integer, VARIADIC what text[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO stage SELECT called, o.order_id FROM shop.create_order(stage('place'), (SELECT jsonb_agg(jsonb_build_object('product_id', stage(w), 'quantity', quantity)) FROM unnest(what) AS w), usher.uuid_v7()) AS o
$$;
SQL
sub level_of { return one("SELECT on_hand || ' ' || reserved FROM shop.get_stock_level(ARRAY[stage('$_[0]')], stage('place'))") }
sub answers { return one("SELECT string_agg(DISTINCT answer, ' ' ORDER BY answer) FROM outcome") }

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;
	is(crowd(100, "SELECT stock('a', 1); SELECT cart('cart' || n, 1, 'a') FROM generate_series(0, 99) AS n", "SELECT answer(format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id)));\n"), 'UC001 99, placed 1', "$level: the last unit, wanted by 100 carts");
	is(one("SELECT count(*) FROM shop.payment_transactions WHERE reference_id IN (SELECT id FROM stage)"), '1', "$level: … and one payment is opened");

	is(crowd(32, "SELECT stock('a', 50); SELECT cart('cart', 2, 'a', 'a')", "SELECT answer(format('SELECT status FROM shop.place_order(%L)', stage('cart')));\n"), 'US001 31, placed 1', "$level: one cart is placed once");
	is(crowd(32, "SELECT stock('a', 50); SELECT cart('cart', 2, 'a', 'a')", "SELECT answer(format('SELECT status FROM shop.place_order(%L, idempotency_key => %L)', stage('cart'), stage('cart')));\n"), 'placed 32', "$level: … and with one key all hear of it");
	is(level_of('a'), '50 4', "$level: … while its stock is reserved once");

	is(crowd(32, "SELECT stock('a', 3); SELECT cart('cart' || n, 2, 'a', 'a') FROM generate_series(0, 31) AS n", "SELECT answer(format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id)));\n"), 'UC001 32', "$level: one product in two lines, more than there is");

	# carts with products in both orders
	is(crowd(32, "SELECT stock('a', 20), stock('b', 20); SELECT CASE WHEN n % 2 = 0 THEN cart('cart' || n, 1, 'a', 'b') ELSE cart('cart' || n, 1, 'b', 'a') END FROM generate_series(0, 31) AS n",
		"SELECT answer(format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id)));\n"), 'UC001 12, placed 20', "$level: two products in both orders");

	# archived while being ordered
	crowd(32, "SELECT stock('a', 50); SELECT cart('cart' || n, 1, 'a') FROM generate_series(0, 31) AS n", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id = 20 THEN format('SELECT status FROM shop.set_product_status(%L, ''archived'')', stage('a')) ELSE format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id)) END);
SCRIPT
	like(answers(), qr/^(UC005 )?archived( placed)?$/, "$level: a product is archived while it is ordered");
	is(one("SELECT count(*) FROM shop.orders AS o WHERE o.placed_at > (SELECT max(h.changed_at) FROM usher.status_history AS h WHERE h.entity_id = stage('a') AND h.to_status = 'archived') + interval '2 seconds' AND o.id IN (SELECT id FROM stage)"), '0', "$level: … and nobody orders it later");

	# a price that changes: what was expected, or nothing
	crowd(32, "SELECT stock('a', 50); SELECT cart('cart' || n, 1, 'a') FROM generate_series(0, 31) AS n", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id % 8 = 0 THEN format('SELECT ''priced'' FROM shop.set_price(%L, %s)', stage('a'), 200 + :client_id) ELSE format('SELECT status || '' '' || total_minor FROM shop.place_order(%L, 100)', stage('cart' || :client_id)) END);
SCRIPT
	like(answers(), qr/^(UC007 )?(placed 100 )?priced$/, "$level: a price changes while orders are placed: what was expected, or nothing");

	# everything on hand is reserved by this order, and sent in parts
	is(crowd(32, "SELECT stock('a', 5); SELECT cart('cart', 5, 'a'); SELECT shop.place_order(stage('cart'))", "SELECT answer(format('SELECT ''sent'' FROM shop.fulfil_order(%L, ''[{\"line_no\": 1, \"quantity\": 1}]'')', stage('cart')));\n"), 'UC008 27, sent 5',
		"$level: all that is on hand is reserved, and sent one by one");
	is(level_of('a'), '0 0', "$level: … and then gone");

	is(crowd(32, "SELECT stock('a', 5); SELECT cart('cart', 5, 'a'); SELECT shop.place_order(stage('cart')); SELECT shop.fulfil_order(stage('cart'), '[{\"line_no\": 1, \"quantity\": 2}]')", "SELECT answer(format('SELECT ''back'' FROM shop.return_order(%L, ''[{\"line_no\": 1, \"quantity\": 1}]'')', stage('cart')));\n"), 'UC008 30, back 2',
		"$level: two of one line come back twice, and not more");

	# all at once on one order
	crowd(32, "SELECT stock('a', 40), stock('b', 40); SELECT cart('cart', 20, 'a', 'b'); SELECT shop.place_order(stage('cart')); SELECT shop.record_manual_payment(id, 'cash') FROM shop.payment_transactions WHERE reference_id = stage('cart')", <<'SCRIPT', '-t', 5);
\set line random(1, 2)
\set many random(1, 3)
SELECT answer(format('SELECT ''done'' FROM shop.%s_order(order_id => %L, lines => %L)', (ARRAY['fulfil', 'fulfil', 'cancel', 'recall', 'return'])[1 + :client_id % 5], stage('cart'), jsonb_build_array(jsonb_build_object('line_no', :line, 'quantity', :many))));
SCRIPT
	like(answers(), qr/^(UC008 )?(US001 )?done$/, "$level: sent, cancelled, recalled and returned at once");
	# paid for before it is sent: on hand is what is neither sold nor sent, and available what nobody has a claim on
	is(one("SELECT l.on_hand - l.reserved - (40 - (SELECT sum(o.quantity - o.cancelled - o.returned) FROM shop.order_lines AS o WHERE o.product_id = stage('a') AND o.order_id = stage('cart'))) FROM shop.stock_levels AS l WHERE l.product_id = stage('a')"), '0', "$level: … what is neither cancelled nor returned is theirs");
	is(one("SELECT count(*) FROM shop.order_lines AS o JOIN shop.stock_reservations AS r ON r.id = o.reservation_id WHERE o.order_id = stage('cart') AND r.committed - r.returned < o.fulfilled - o.returned"), '0', "$level: … what was sent and did not come back is gone");
	is(one("SELECT o.paid_minor - o.total_minor FROM shop.orders AS o WHERE o.id = stage('cart')"), '0', "$level: … what was paid too much goes back");
	is(one("SELECT sum(t.captured_minor - t.refund_reserved_minor) - (SELECT o.total_minor FROM shop.orders AS o WHERE o.id = stage('cart')) FROM shop.payment_transactions AS t WHERE t.reference_id = stage('cart')"), '0', "$level: … by refunds of just so much");
	is(one("SELECT count(*) FROM (SELECT seq - lag(seq, 1, 0) OVER (ORDER BY seq) AS step FROM shop.order_events WHERE order_id = stage('cart')) AS x WHERE step <> 1"), '0', "$level: … and no number of an event is missing");

	# backorders: as far below zero as is allowed, and no further
	is(crowd(32, "SELECT stock('a', 5); SELECT shop.set_stock_limits(stage('a'), stage('place'), backorder_limit => 3); SELECT cart('cart' || n, 1, 'a') FROM generate_series(0, 31) AS n",
		"SELECT answer(format('SELECT o.status FROM shop.place_order(%L) AS p, LATERAL shop.fulfil_order(p.order_id) AS o', stage('cart' || :client_id)));\n"), 'UC001 24, placed 8', "$level: as many are ordered and sent before they are there as is allowed");
	is(level_of('a'), '-3 0', "$level: … and not one more");

	# cancelled while it is being placed: nothing is given back that was not taken
	crowd(32, "SELECT stock('a', 99), stock('b', 99); SELECT CASE WHEN n % 2 = 0 THEN cart('cart' || n, 2, 'a', 'b') ELSE cart('cart' || n, 2, 'b', 'a') END FROM generate_series(0, 15) AS n", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT status FROM shop.cancel_order(%L)', stage('cart' || :client_id / 2)) ELSE format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id / 2)) END);
SCRIPT
	like(answers(), qr/^(US001 )?cancelled( placed)?$/, "$level: orders are cancelled while they are being placed");
	is(one("SELECT count(*) FILTER (WHERE status = 'cancelled') || ' ' || count(*) FROM shop.orders WHERE id IN (SELECT id FROM stage)"), '16 16', "$level: … all of them");
	is(level_of('a') . ', ' . level_of('b'), '99 0, 99 0', "$level: … and what was reserved, and no more, is free again");

	# paid while it is sent and cancelled: each unit leaves the books once, for the payment or for being sent
	crowd(32, "SELECT stock('a', 40), stock('b', 40); SELECT cart('cart' || n, 4, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, CASE WHEN n % 2 = 0 THEN 'b' ELSE 'a' END) FROM generate_series(0, 7) AS n; SELECT shop.place_order(stage('cart' || n)) FROM generate_series(0, 7) AS n;
		INSERT INTO stage SELECT 'attempt' || n, a.attempt_id FROM generate_series(0, 7) AS n, shop.payment_transactions AS t, LATERAL shop.begin_payment_attempt(t.id, 'fake') AS a WHERE t.reference_id = stage('cart' || n)", <<'SCRIPT');
SELECT answer(CASE :client_id % 4 WHEN 0 THEN format('SELECT ''paid'' FROM shop.record_payment_result(%L, ''succeeded'', %L)', stage('attempt' || :client_id / 4), 'ch_' || stage('attempt' || :client_id / 4))
	ELSE format('SELECT %L FROM shop.%s_order(order_id => %L, lines => ''[{"line_no": 1, "quantity": 2}, {"line_no": 2, "quantity": 1}]'')', CASE WHEN :client_id % 4 = 1 THEN 'cancelled' ELSE 'sent' END, CASE WHEN :client_id % 4 = 1 THEN 'cancel' ELSE 'fulfil' END, stage('cart' || :client_id / 4)) END);
SCRIPT
	like(answers(), qr/^(UC008 )?cancelled paid sent$/, "$level: orders are paid while they are sent and cancelled");
	is(one("SELECT count(*) || ' ' || sum(r.quantity - r.committed - r.released) FROM shop.orders AS o JOIN shop.order_lines AS l ON l.order_id = o.id JOIN shop.stock_reservations AS r ON r.id = l.reservation_id WHERE o.id IN (SELECT id FROM stage) AND o.status IN ('paid', 'fulfilled')"), '16 0', "$level: … and all of what is left is committed");
	is(one("SELECT sum(l.on_hand + (SELECT sum(o.quantity - o.cancelled) FROM shop.order_lines AS o WHERE o.product_id = l.product_id)) FROM shop.stock_levels AS l WHERE l.product_id IN (stage('a'), stage('b'))"), '80', "$level: … once");

	# refunded by hand while lines are cancelled: nothing goes back twice, and what the order says is what payments say
	crowd(32, "SELECT stock('a', 40); SELECT cart('cart', 32, 'a'); SELECT shop.place_order(stage('cart')); SELECT shop.record_manual_payment(id, 'cash') FROM shop.payment_transactions WHERE reference_id = stage('cart')", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT ''cancelled'' FROM shop.cancel_order(%L, lines => ''[{"line_no": 1, "quantity": 1}]'')', stage('cart'))
	ELSE format('SELECT r.status FROM shop.payment_transactions AS t, LATERAL shop.create_refund(t.id, 100) AS m, LATERAL shop.record_refund_result(m.refund_id, ''succeeded'') AS r WHERE t.reference_id = %L', stage('cart')) END);
SCRIPT
	like(answers(), qr/^(UP001 )?cancelled( succeeded)?$/, "$level: refunds by hand while lines are cancelled");
	is(one("SELECT o.paid_minor - (t.captured_minor - t.refunded_minor - t.refund_reserved_minor) || ' ' || o.refunded_minor - (t.refunded_minor + t.refund_reserved_minor) FROM shop.orders AS o JOIN shop.payment_transactions AS t ON t.reference_id = o.id WHERE o.id = stage('cart')"), '0 0', "$level: … and the order knows what payments know");

	# a payment that comes while the order is cancelled
	crowd(32, "SELECT stock('a', 99); SELECT cart('cart' || n, 1, 'a') FROM generate_series(0, 15) AS n; SELECT shop.place_order(stage('cart' || n)) FROM generate_series(0, 15) AS n;
		INSERT INTO stage SELECT 'attempt' || n, a.attempt_id FROM generate_series(0, 15) AS n, shop.payment_transactions AS t, LATERAL shop.begin_payment_attempt(t.id, 'fake') AS a WHERE t.reference_id = stage('cart' || n)", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT status FROM shop.cancel_order(%L)', stage('cart' || :client_id / 2)) ELSE format('SELECT ''captured'' FROM shop.record_payment_result(%L, ''succeeded'', %L)', stage('attempt' || :client_id / 2), 'ch_' || stage('attempt' || :client_id / 2)) END);
SCRIPT
	is(answers(), 'cancelled captured', "$level: payments come while their orders are cancelled");
	is(one("SELECT count(*) || ' ' || sum(t.captured_minor) || ' ' || sum(t.refund_reserved_minor) FROM shop.payment_transactions AS t WHERE t.reference_id IN (SELECT id FROM stage)"), '16 1600 1600', "$level: … and go back, once");

	# customers who are deleted while they order
	one("INSERT INTO usher.users (email, status) SELECT nextval('number') || '\@example.com', 'active' FROM generate_series(1, 16)");
	crowd(32, "SELECT stock('a', 99); INSERT INTO stage SELECT 'user' || row_number() OVER () - 1, id FROM (SELECT id FROM usher.users WHERE status = 'active' LIMIT 16) AS u;
		INSERT INTO stage SELECT 'cart' || n, o.order_id FROM generate_series(0, 15) AS n, LATERAL shop.create_order(stage('place'), jsonb_build_array(jsonb_build_object('product_id', stage('a'), 'quantity', 1)), stage('user' || n)) AS o", <<'SCRIPT');
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT ''deleted'' FROM usher.delete_user(%L)', stage('user' || :client_id / 2)) ELSE format('SELECT status FROM shop.place_order(%L)', stage('cart' || :client_id / 2)) END);
SCRIPT
	like(answers(), qr/^(US001 )?(US005 )?deleted( placed)?$/, "$level: customers are deleted while they order");
	is(one("SELECT count(*) FROM shop.orders WHERE id IN (SELECT id FROM stage) AND status <> 'cancelled'"), '0', "$level: … and leave no order behind");
	is(level_of('a'), '99 0', "$level: … nor a reservation");
}
finish();

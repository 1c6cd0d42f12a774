# A mix of everything by 64 clients, through the functions and by raw SQL, with payments by events, while backends are terminated at random
# and the server crashes once. Afterwards what is on hand is the sum of the log, what is reserved is what reservations hold, no order costs
# anything else than its lines, no number of an event is missing, nobody has paid what is not owed, and no deadlock was logged. 12 seconds;
# 60 with USHER_LONG=1.
use strict;
use warnings;
use Test::More;
use UsherMix;

my $seconds = $ENV{USHER_LONG} ? 60 : 12;
start_cluster('shop_mix');
one(<<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA shop;
CREATE EXTENSION usher_payment SCHEMA shop;
CREATE EXTENSION usher_shop SCHEMA shop;
-- in the place of bookings and of offers
CREATE SCHEMA others;
SELECT usher.register_extension('Bookings and offers', 'others', 'others', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{booking.cancelled,loyalty.discount_granted}');
CREATE FUNCTION id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
SELECT shop.set_tax_rate('all', 190000);
SELECT count(shop.create_product('p' || n, 'Product ' || n, price_minor => 100 + n, tax_class => 'all', tax_included => n % 2 = 0, backorder_limit => CASE WHEN n % 5 = 0 THEN 10 ELSE 0 END, id => id(n), status => 'active')) FROM generate_series(1, 20) AS n;
SELECT count(shop.receive_stock(id(n), id(100 + p), 100)) FROM generate_series(1, 20) AS n, generate_series(1, 2) AS p;
-- One step of somebody on one of some orders and products, so that they meet. What is refused is refused; what is to be tried again,
-- and what nobody expects, goes up.
CREATE FUNCTION act(what integer, spot integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	product uuid := id(1 + floor(random() * 20)::integer);
	place uuid := id(101 + floor(random() * 2)::integer);
	amount integer := 1 + floor(random() * 4)::integer;
	chosen uuid;
	held uuid;
	line integer := 1 + floor(random() * 2)::integer;
	parts jsonb := jsonb_build_array(jsonb_build_object('line_no', line, 'quantity', amount));
BEGIN
	SELECT o.id INTO chosen FROM shop.orders AS o WHERE o.id >= usher._first_id_at(now() - random() * interval '20 seconds') AND o.status <> 'completed' ORDER BY o.id LIMIT 1 OFFSET spot % 8;
	CASE WHEN what < 4 OR chosen IS NULL THEN
		PERFORM shop.place_order((shop.create_order(place, (SELECT jsonb_agg(jsonb_build_object('product_id', id(1 + floor(random() * 20 + n * 0)::integer), 'quantity', 1 + floor(random() * 4 + n * 0)::integer)) FROM generate_series(1, line + 1) AS n),
			id(1000 + spot))).order_id);
	WHEN what BETWEEN 4 AND 5 THEN
		PERFORM shop.record_manual_payment(t.id, 'cash') FROM shop.payment_transactions AS t WHERE t.reference_id = chosen AND t.status = 'pending';
	WHEN what = 6 THEN
		PERFORM shop.begin_payment_attempt(t.id, 'fake') FROM shop.payment_transactions AS t WHERE t.reference_id = chosen AND t.status = 'pending';
	WHEN what = 26 THEN
		PERFORM shop.record_payment_result(a.id, CASE amount WHEN 1 THEN 'declined' ELSE 'succeeded' END, 'ch_' || a.id) FROM shop.payment_attempts AS a WHERE a.outcome = 'requested' AND a.requested_at >= now() - random() * interval '20 seconds' LIMIT 1;
	WHEN what = 7 THEN PERFORM shop.fulfil_order(chosen);
	WHEN what = 8 THEN PERFORM shop.fulfil_order(chosen, parts);
	WHEN what = 9 THEN PERFORM shop.cancel_order(chosen, 'mix', CASE WHEN amount > 2 THEN parts END);
	WHEN what = 10 THEN PERFORM shop.recall_order(chosen, parts);
	WHEN what = 11 THEN PERFORM shop.return_order(chosen, parts);
	WHEN what = 12 THEN UPDATE shop.order_lines AS l SET fulfilled = l.fulfilled + 1 WHERE l.order_id = chosen AND l.line_no = line AND EXISTS (SELECT FROM shop.orders AS o WHERE o.id = chosen FOR NO KEY UPDATE);
	WHEN what = 13 THEN PERFORM shop.add_order_event(chosen, 'note', jsonb_build_object('n', amount));
	WHEN what = 14 THEN PERFORM shop.receive_stock(product, place, 10 * amount);
	WHEN what = 15 THEN PERFORM shop.adjust_stock(product, place, amount - 3, 'mix') WHERE amount <> 3;
	WHEN what = 16 THEN PERFORM shop.transfer_stock(product, place, CASE place WHEN id(101) THEN id(102) ELSE id(101) END, amount);
	WHEN what = 17 THEN PERFORM shop.reserve_stock(jsonb_build_array(jsonb_build_object('product_id', product, 'location_id', place, 'quantity', amount), jsonb_build_object('product_id', id(1 + spot % 20), 'location_id', place, 'quantity', 1)), ttl => random() * interval '2 s' + '1 ms');
	WHEN what = 18 THEN
		SELECT r.id INTO held FROM shop.stock_reservations AS r WHERE r.status = 'held' AND r.reference_id IS NULL AND r.product_id = product LIMIT 1;
		PERFORM shop.commit_stock(held, CASE WHEN amount > 2 THEN 1 END) WHERE held IS NOT NULL;
	WHEN what = 19 THEN
		SELECT r.id INTO held FROM shop.stock_reservations AS r WHERE r.reference_id IS NULL AND r.product_id = product ORDER BY r.id DESC LIMIT 1;
		PERFORM shop.release_stock(held) WHERE held IS NOT NULL AND amount > 2;
		PERFORM shop.return_stock(held, 1) WHERE held IS NOT NULL AND amount <= 2;
	WHEN what = 20 THEN PERFORM shop.set_price(product, 100 + 10 * amount);
	WHEN what = 21 THEN PERFORM shop.set_product_status(product, CASE WHEN amount = 1 THEN 'archived' ELSE 'active' END);
	WHEN what = 22 THEN PERFORM shop.complete_order(chosen);
	WHEN what = 27 THEN
		PERFORM shop.record_refund_result(r.refund_id, 'succeeded') FROM shop.payment_transactions AS t, LATERAL shop.create_refund(t.id, 10 * amount, 'goodwill') AS r WHERE t.reference_id = chosen AND t.captured_minor - t.refunded_minor - t.refund_reserved_minor >= 10 * amount;
	WHEN what = 28 THEN
		PERFORM usher.publish('booking.cancelled', jsonb_build_object('id', o.reference_id)) FROM shop.orders AS o WHERE o.id = chosen AND o.reference_id IS NOT NULL AND amount = 1;
	WHEN what = 29 THEN
		-- A voucher for the cart, and then it is placed.
		SELECT o.order_id INTO chosen FROM shop.create_order(place, jsonb_build_array(jsonb_build_object('product_id', product, 'quantity', amount), jsonb_build_object('product_id', id(1 + spot % 20), 'quantity', 2)), id(1000 + spot), reference_type => 'booking', reference_id => id(5000 + spot)) AS o;
		PERFORM usher.publish('loyalty.discount_granted', jsonb_build_object('reference_type', 'order', 'reference_id', chosen, 'currency', 'EUR', 'discount_minor', 35 * amount, 'redemption_id', usher.uuid_v7()));
		PERFORM shop.set_order_line(chosen, 1 + amount / 2, line_no => line);
		PERFORM shop.place_order(chosen, (shop.preview_order(chosen)).total_minor);
	WHEN what = 23 AND amount > 2 THEN PERFORM shop._end_overdue(20);
	WHEN what = 23 THEN PERFORM shop._expire_reservations(20);
	WHEN what = 24 THEN INSERT INTO shop.stock_reservations (product_id, location_id, quantity, expires_at) VALUES (product, place, amount, clock_timestamp() + interval '1 second');
	ELSE UPDATE shop.orders SET expires_at = now() WHERE id = chosen AND status = 'placed' AND amount = 1;
	END CASE;
EXCEPTION
	WHEN SQLSTATE 'UC001' OR SQLSTATE 'UC002' OR SQLSTATE 'UC003' OR SQLSTATE 'UC005' OR SQLSTATE 'UC008' OR SQLSTATE 'US001' OR SQLSTATE 'US005' OR SQLSTATE 'UP003' OR SQLSTATE 'UP009' OR SQLSTATE 'UP008' OR SQLSTATE 'UP001' OR SQLSTATE 'UC007' THEN NULL;
END $$;
SQL
my $script = "\\set what random(0, 29)\n\\set spot random(1, 300)\nSELECT act(:what, :spot);\n";

mix($seconds, $script);

is(one("SELECT string_agg(rule || ' ' || violations, ', ') FROM shop._shop_self_check() WHERE violations > 0"), '', 'self_check() of the shop finds nothing');
is(one("SELECT string_agg(rule || ' ' || violations, ', ') FROM shop._payment_self_check() WHERE violations > 0"), '', '… nor that of payments');
# the same in words of this test's own
is(one('SELECT count(*) FROM shop.stock_levels AS l WHERE l.on_hand <> (SELECT sum(g.on_hand_delta) FROM shop.inventory_logs AS g WHERE g.product_id = l.product_id AND g.location_id = l.location_id)'), '0', 'what is on hand is the sum of the log');
is(one("SELECT count(*) FROM shop.stock_levels AS l WHERE l.reserved <> (SELECT coalesce(sum(r.quantity - r.committed - r.released), 0) FROM shop.stock_reservations AS r WHERE r.product_id = l.product_id AND r.location_id = l.location_id)"), '0',
	'what is reserved is what reservations hold');
is(one('SELECT count(*) FROM (SELECT on_hand_after - on_hand_delta - lag(on_hand_after) OVER w AS there, reserved_after - reserved_delta - lag(reserved_after) OVER w AS claimed FROM shop.inventory_logs WINDOW w AS (PARTITION BY product_id, location_id ORDER BY id)) AS x
	WHERE there <> 0 OR claimed <> 0'), '0', 'each log goes from balance to balance');
is(one('SELECT count(*) FROM shop.stock_levels WHERE on_hand - reserved < -backorder_limit OR reserved < 0'), '0', 'nothing is promised twice');
is(one('SELECT count(*) FROM shop.orders AS o WHERE o.total_minor <> (SELECT coalesce(sum(l.gross_minor), 0) FROM shop.order_lines AS l WHERE l.order_id = o.id)'), '0', 'orders cost what their lines cost');
is(one('SELECT count(*) FROM (SELECT seq - lag(seq, 1, 0) OVER (PARTITION BY order_id ORDER BY seq) AS step FROM shop.order_events) AS x WHERE step <> 1'), '0', 'no number of an event is missing');
is(one("SELECT count(*) FROM (SELECT from_status, lag(to_status) OVER (PARTITION BY order_id ORDER BY seq) AS previous FROM shop.order_events WHERE event = 'status') AS x WHERE from_status IS DISTINCT FROM previous"), '0', 'each history is a walk');
is(one("SELECT count(*) FROM shop.orders AS o WHERE o.status = 'cancelled' AND EXISTS (SELECT FROM shop.payment_transactions AS t WHERE t.reference_id = o.id AND (t.status IN ('pending', 'failed') AND t.closed_at IS NULL OR t.captured_minor > t.refunded_minor + t.refund_reserved_minor))"),
	'0', 'nobody pays for a cancelled order');
is(one("SELECT count(*) FROM shop.orders AS o WHERE o.status NOT IN ('cart', 'cancelled') AND o.paid_minor <> (SELECT coalesce(sum(t.captured_minor - t.refunded_minor - t.refund_reserved_minor), 0) FROM shop.payment_transactions AS t WHERE t.reference_id = o.id)"), '0',
	'what orders say is paid is what payments say');
is(one("SELECT count(*) FROM shop.orders AS o WHERE o.placed_at IS NOT NULL AND (SELECT sum(l.granted_minor) FROM shop.order_lines AS l WHERE l.order_id = o.id) > (SELECT coalesce(sum(d.discount_minor), 0) FROM shop.order_discounts AS d WHERE d.order_id = o.id)"), '0',
	'nobody gets more off than was granted');
cmp_ok(one('SELECT count(*) FROM shop.orders AS o JOIN shop.order_lines AS l ON l.order_id = o.id WHERE o.placed_at IS NOT NULL AND l.granted_minor > 0'), '>', 5, 'orders were placed with what was granted');
cmp_ok(one("SELECT count(*) FROM shop.orders WHERE status IN ('fulfilled', 'completed')"), '>', 5, 'orders were sent');
note(one("SELECT string_agg(status || ' ' || n, ', ') FROM (SELECT status, count(*) AS n FROM shop.orders GROUP BY 1) AS x"));
finish();

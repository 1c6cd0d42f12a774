-- Orders: carts that follow the catalogue, placing with stock and payment or not at all, lines sent, cancelled and returned in parts,
-- sums by one rule, events without gaps, payments that come late, and bookings that use things up.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE SCHEMA shop_test;
CREATE FUNCTION shop_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8003-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION shop_test.lines(VARIADIC numbers integer[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('product_id', shop_test.id(numbers[i]), 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i
$$;
CREATE FUNCTION shop_test.parts(VARIADIC numbers integer[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('line_no', numbers[i], 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i
$$;
CREATE FUNCTION shop_test.level(product integer) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s on hand, %s reserved', g.on_hand, g.reserved) FROM wash.get_stock_level(ARRAY[shop_test.id(product)], shop_test.id(11)) AS g
$$;
CREATE FUNCTION shop_test.sums(known wash.order_details) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: net %s + tax %s = %s, discount %s, paid %s', known.status, known.net_minor, known.tax_minor, known.total_minor, known.discount_minor, known.paid_minor)
$$;
CREATE FUNCTION shop_test.payments(reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s%s%s', t.status, t.amount_minor, CASE WHEN t.closed_at IS NOT NULL THEN ' closed' END, (SELECT ' refund ' || string_agg(r.status || ' ' || r.amount_minor, ', ' ORDER BY r.created_at, r.id)
        FROM wash.payment_refunds AS r WHERE r.transaction_id = t.id)), '; ' ORDER BY t.created_at, t.id) FROM wash.payment_transactions AS t WHERE t.reference_id = reference
$$;
CREATE FUNCTION shop_test.pay(reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT p.status FROM wash.payment_transactions AS t, LATERAL wash.record_manual_payment(t.id, 'cash') AS p WHERE t.reference_id = reference AND t.status IN ('pending', 'failed') AND t.closed_at IS NULL
$$;
CREATE FUNCTION shop_test.wrong() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.rule || ' ' || c.violations, ', ') FROM (SELECT * FROM wash._shop_self_check() UNION ALL SELECT * FROM wash._payment_self_check()) AS c WHERE c.violations > 0
$$;
SELECT usher.apply_role_preset('shop') \g /dev/null
SELECT user_id AS ann FROM usher.register_user('ann@orders.example', 'the password of ann') \gset
SELECT user_id AS bob FROM usher.register_user('bob@orders.example', 'the password of bob') \gset
SELECT user_id AS clerk FROM usher.register_user('clerk@orders.example', 'the password of the clerk') \gset
SELECT usher.grant_role(:'clerk', 'shop_clerk', scope => shop_test.id(11)::text) \g /dev/null
SELECT wash.set_tax_rate('orders', 190000);
SELECT count(wash.create_product(p.sku, p.name, p.kind, p.price, description => p.sku, tax_class => 'orders', tax_included => p.included, id => shop_test.id(p.n), status => 'active')) AS products FROM (VALUES
    (1, 'order-cream', 'Cream', 'product', 999, true), (2, 'order-soap', 'Soap', 'product', 333, false), (3, 'order-massage', 'Massage', 'service', 5000, true), (4, 'order-gift', 'Gift', 'service', 0, true),
    (5, 'order-filler', 'Filler', 'product', 100, true)) AS p (n, sku, name, kind, price, included);
SELECT wash.create_product('order-draft', 'Draft', id => shop_test.id(6)), wash.create_product('order-free', 'Without a price', id => shop_test.id(7), status => 'active') \g /dev/null
SELECT wash.receive_stock(shop_test.id(1), shop_test.id(11), 10), wash.receive_stock(shop_test.id(2), shop_test.id(11), 10), wash.receive_stock(shop_test.id(5), shop_test.id(11), 3) \g /dev/null

-- A cart follows the catalogue, by raw SQL too
SELECT o.order_id AS cart, shop_test.sums(o) FROM wash.create_order(shop_test.id(11), shop_test.lines(1, 3, 2, 2, 3, 1), :'ann') AS o \gset
SELECT shop_test.sums(wash.get_order(:'cart'));
-- repeated, it is read again; an order of somebody else that is remembered for the key is not
BEGIN;
SELECT order_id AS bobs FROM wash.create_order(shop_test.id(11), customer_id => :'bob', notes => 'for bob alone') \gset
SELECT order_id AS anns FROM wash.create_order(shop_test.id(11), customer_id => :'ann', idempotency_key => 'planted') \gset
SELECT order_id = :'anns' AS same FROM wash.create_order(shop_test.id(11), customer_id => :'ann', idempotency_key => 'planted');
UPDATE usher.idempotent_calls SET result = jsonb_build_object('order_id', :'bobs'::uuid) WHERE registrant = 'usher_shop' AND key = 'planted';
SELECT shop_test.refusal(format('SELECT wash.create_order(shop_test.id(11), customer_id => %L, idempotency_key => ''planted'')', :'ann'));
ROLLBACK;
SELECT l.value ->> 'line_no' AS line, l.value ->> 'name' AS name, l.value ->> 'quantity' AS quantity, l.value ->> 'unit_price_minor' AS price, l.value ->> 'net_minor' AS net, l.value ->> 'tax_minor' AS tax, l.value ->> 'gross_minor' AS gross
FROM wash.get_order(:'cart') AS o, jsonb_array_elements(o.lines) AS l;
SELECT price_minor FROM wash.set_price(shop_test.id(1), 1000);
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 2, line_no => 1) AS o;
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 1, product_id => shop_test.id(4)) AS o;
SELECT shop_test.sums(o), jsonb_array_length(o.lines) FROM wash.set_order_line(:'cart', 0, line_no => 4) AS o;
SELECT shop_test.sums(o) FROM wash.discount_order_line(:'cart', 2, 66, 'regular') AS o;
SELECT wrong, shop_test.refusal(replace(statement, 'CART', quote_literal(:'cart'))) FROM (VALUES
    ('a draft', 'SELECT wash.set_order_line(CART, 1, product_id => shop_test.id(6))'), ('without a price', 'SELECT wash.set_order_line(CART, 1, product_id => shop_test.id(7))'),
    ('nothing', 'SELECT wash.set_order_line(CART, 1, product_id => shop_test.id(99))'), ('no quantity', 'SELECT wash.set_order_line(CART, 0, product_id => shop_test.id(1))'), ('no line', 'SELECT wash.set_order_line(CART, 1, line_no => 99)'),
    ('too much of it', 'SELECT wash.set_order_line(CART, 1000000000000, line_no => 3)'), ('a discount above the price', 'SELECT wash.discount_order_line(CART, 2, 667, ''x'')'), ('a discount below zero', 'SELECT wash.discount_order_line(CART, 2, -1, ''x'')'),
    ('a price by hand', 'UPDATE wash.order_lines SET unit_price_minor = 1 WHERE order_id = CART'), ('a total by hand', 'UPDATE wash.orders SET total_minor = 1, net_minor = 1 WHERE id = CART'), ('paid by hand', 'UPDATE wash.orders SET paid_minor = 1 WHERE id = CART'),
    ('placed by hand', 'UPDATE wash.orders SET status = ''placed'' WHERE id = CART'), ('a new one that is paid', 'INSERT INTO wash.orders (customer_id, location_id, currency, status) VALUES (usher.uuid_v7(), shop_test.id(11), ''EUR'', ''paid'')'),
    ('another customer', 'UPDATE wash.orders SET customer_id = usher.uuid_v7() WHERE id = CART'), ('sent from a cart', 'UPDATE wash.order_lines SET fulfilled = 1 WHERE order_id = CART'),
    ('fulfilled', 'SELECT wash.fulfil_order(CART)'), ('paid', 'SELECT wash.record_order_payment(CART, 1)'), ('no currency', 'SELECT wash.create_order(shop_test.id(11), currency => ''XXX'', customer_id => usher.uuid_v7())'),
    ('no customer', 'SELECT wash.create_order(shop_test.id(11))'), ('lines that are none', 'SELECT wash.create_order(shop_test.id(11), ''[{}]'', usher.uuid_v7())'), ('another order', 'SELECT wash.get_order(shop_test.id(99))')) AS v (wrong, statement);
SELECT l.unit_price_minor FROM wash.order_lines AS l WHERE l.order_id = :'cart' ORDER BY l.line_no;

-- Placed: all of it, or nothing
SELECT shop_test.refusal(format('SELECT wash.place_order(%L, 1)', :'cart')) AS another_sum;
SELECT wash.set_order_line(:'cart', 11, line_no => 2) \g /dev/null
SELECT shop_test.refusal(format('SELECT wash.place_order(%L)', :'cart')) AS not_so_much;
SELECT shop_test.level(1), shop_test.level(2), shop_test.payments(:'cart') IS NULL AS no_payment;
SELECT wash.set_order_line(:'cart', 2, line_no => 2) \g /dev/null
SELECT wash.set_product_status(shop_test.id(2), 'archived') \g /dev/null
SELECT shop_test.refusal(format('SELECT wash.place_order(%L)', :'cart')) AS archived_meanwhile;
SELECT wash.set_product_status(shop_test.id(2), 'active') \g /dev/null
SELECT shop_test.sums(o), o.expires_at > now() AS expires, o.version FROM wash.place_order(:'cart', (SELECT total_minor FROM wash.orders WHERE id = :'cart'), idempotency_key => 'place') AS o;
SELECT shop_test.sums(o) FROM wash.place_order(:'cart', (SELECT total_minor FROM wash.orders WHERE id = :'cart'), idempotency_key => 'place') AS o;
SELECT shop_test.refusal(format('SELECT wash.place_order(%L)', :'cart')) AS twice;
SELECT shop_test.level(1), shop_test.level(2), shop_test.payments(:'cart');
SELECT shop_test.refusal(format('SELECT wash.place_order((wash.create_order(shop_test.id(11), customer_id => %L)).order_id)', :'ann')) AS empty;
SELECT wrong, shop_test.refusal(replace(statement, 'CART', quote_literal(:'cart'))) FROM (VALUES
    ('one more line', 'SELECT wash.set_order_line(CART, 1, product_id => shop_test.id(1))'), ('another quantity', 'SELECT wash.set_order_line(CART, 1, line_no => 1)'), ('a line less', 'DELETE FROM wash.order_lines WHERE order_id = CART'),
    ('another price', 'UPDATE wash.order_lines SET unit_price_minor = 1 WHERE order_id = CART'), ('a discount', 'SELECT wash.discount_order_line(CART, 1, 1, ''x'')'),
    ('no reservation', 'UPDATE wash.order_lines SET reservation_id = NULL WHERE order_id = CART'), ('its reservation', format('SELECT wash.release_stock(%L)', (SELECT reservation_id FROM wash.order_lines WHERE order_id = :'cart' AND line_no = 1))),
    ('no order', 'DELETE FROM wash.orders WHERE id = CART')) AS v (wrong, statement);
SELECT shop_test.refusal('TRUNCATE wash.order_lines') AS no_lines;
-- a price that changes now changes nothing
SELECT wash.set_price(shop_test.id(1), 5) \g /dev/null
SELECT shop_test.sums(wash.get_order(:'cart'));

-- Sent and cancelled in parts, before it is paid; the payment follows the sum
SELECT shop_test.sums(o) FROM wash.cancel_order(:'cart', 'changed_mind', shop_test.parts(1, 1)) AS o;
SELECT shop_test.level(1), shop_test.payments(:'cart');
SELECT shop_test.pay(:'cart');
SELECT shop_test.sums(o), o.expires_at FROM wash.get_order(:'cart') AS o;
SELECT shop_test.sums(o) FROM wash.fulfil_order(:'cart', shop_test.parts(2, 1, 1, 1)) AS o;
SELECT shop_test.level(1), shop_test.level(2);
SELECT wrong, shop_test.refusal(format('SELECT wash.%s', replace(call, 'CART', quote_literal(:'cart')))) FROM (VALUES
    ('more than is left', 'fulfil_order(CART, shop_test.parts(2, 2))'), ('more to cancel', 'cancel_order(CART, lines => shop_test.parts(1, 1))'), ('more to return', 'return_order(CART, shop_test.parts(2, 1, 2, 1))'),
    ('more to recall', 'recall_order(CART, shop_test.parts(1, 2))'), ('of no line', 'fulfil_order(CART, shop_test.parts(9, 1))'), ('nothing', 'fulfil_order(CART, ''[]'')'), ('seen otherwise', 'fulfil_order(CART, expected_version => 1)'),
    ('not yet', 'complete_order(CART)')) AS v (wrong, call);
SELECT shop_test.sums(o) FROM wash.fulfil_order(:'cart') AS o;
SELECT shop_test.sums(o) FROM wash.recall_order(:'cart', shop_test.parts(2, 1)) AS o;
SELECT shop_test.level(2);
SELECT shop_test.sums(o) FROM wash.fulfil_order(:'cart') AS o;
SELECT shop_test.sums(o) FROM wash.return_order(:'cart', shop_test.parts(2, 1)) AS o;
SELECT shop_test.level(2), shop_test.payments(:'cart');
SELECT shop_test.sums(o) FROM wash.complete_order(:'cart') AS o;
SELECT shop_test.refusal(format('SELECT wash.cancel_order(%L)', :'cart')) AS too_late;
SELECT shop_test.sums(o) FROM wash.return_order(:'cart', shop_test.parts(2, 1), 'broken') AS o;
SELECT shop_test.refusal(format('SELECT wash.return_order(%L, shop_test.parts(2, 1))', :'cart')) AS twice;
SELECT shop_test.refusal(format('SELECT wash.return_order(%L, shop_test.parts(2, 1), expected_version => 1)', :'cart')) AS seen_otherwise;
SELECT shop_test.level(2), shop_test.payments(:'cart');
SELECT shop_test.wrong();

-- Everything is on record, numbered without gaps, and fixed
SELECT wash.add_order_event(:'cart', 'parcel_sent', '{"number": "123"}', 'parcel-123') AS seq, wash.add_order_event(:'cart', 'parcel_sent', '{"number": "123"}', 'parcel-123') AS again,
       shop_test.refusal(format('SELECT wash.add_order_event(%L, ''parcel_sent'', ''{"number": "124"}'', ''parcel-123'')', :'cart')) AS another;
SELECT seq, event, from_status, to_status, reason_code, payload FROM wash.list_order_events(:'cart');
SELECT seq FROM wash.list_order_events(:'cart', after_seq => 2, max_rows => 2);
INSERT INTO wash.order_events (order_id, seq, event, actor_id, created_at) VALUES (:'cart', 77, 'by_hand', usher.uuid_v7(), '2001-01-01') RETURNING seq, actor_id, created_at > now() - interval '1 hour' AS now;
SELECT shop_test.refusal('UPDATE wash.order_events SET payload = ''{}''') AS changed, shop_test.refusal('DELETE FROM wash.order_events') AS removed, shop_test.refusal('TRUNCATE wash.order_events') AS emptied,
       shop_test.refusal(format('SELECT wash.add_order_event(%L, ''status'')', :'cart')) AS false_status, shop_test.refusal('INSERT INTO wash.order_events (order_id, seq, event) VALUES (shop_test.id(99), 1, ''x'')') AS of_nothing;
SELECT event, payload ->> 'total_minor' AS total FROM usher.events WHERE event LIKE 'order.%' AND payload ->> 'id' = :'cart' ORDER BY id;

-- Cancelled: what was not sent is free, what was paid goes back, and what comes late too
SELECT o.order_id AS second FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 4), :'ann', id => shop_test.id(41)) AS o \gset
SELECT wash.place_order(:'second') \g /dev/null
SELECT shop_test.pay(:'second'), shop_test.level(2);
SELECT shop_test.sums(o), o.reason_code FROM wash.cancel_order(:'second') AS o;
SELECT shop_test.level(2), shop_test.payments(:'second');
SELECT o.order_id AS third FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 4), :'ann') AS o \gset
SELECT wash.place_order(:'third') \g /dev/null
SELECT attempt_id AS attempt FROM wash.payment_transactions AS t, LATERAL wash.begin_payment_attempt(t.id, 'fake') WHERE t.reference_id = :'third' \gset
SELECT shop_test.sums(o) FROM wash.cancel_order(:'third') AS o;
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'late_1');
SELECT shop_test.sums(wash.get_order(:'third')), shop_test.payments(:'third');
-- of a publisher that refunds nothing by itself
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'order', 'reference_id', :'third', 'currency', 'EUR', 'captured_minor', 7)) IS NOT NULL AS paid_late;
SELECT payload ->> 'amount_minor' AS amount, payload ->> 'reason' AS reason FROM usher.events WHERE event = 'order.refund_proposed' AND key = :'third' ORDER BY id;
-- sent in part, then the rest cancelled: what was sent is paid for
SELECT o.order_id AS fourth FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 4, 3, 1), :'ann') AS o \gset
SELECT wash.place_order(:'fourth') \g /dev/null
SELECT shop_test.pay(:'fourth');
SELECT shop_test.sums(o) FROM wash.fulfil_order(:'fourth', shop_test.parts(1, 1)) AS o;
SELECT shop_test.sums(o) FROM wash.cancel_order(:'fourth') AS o;
SELECT shop_test.level(2), shop_test.payments(:'fourth');
-- for nothing: paid at once
SELECT shop_test.sums(wash.place_order(o.order_id)) FROM wash.create_order(shop_test.id(11), shop_test.lines(4, 1), :'ann') AS o;
-- not paid in time
SELECT o.order_id AS fifth FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 1), :'ann') AS o \gset
SET shop.payment_minutes = 0;
SELECT wash.place_order(:'fifth') \g /dev/null
RESET shop.payment_minutes;
SELECT task, affected FROM wash._shop_upkeep(100) WHERE task = 'reservations_and_orders_ended';
SELECT o.status, o.reason_code, shop_test.payments(:'fifth') FROM wash.get_order(:'fifth') AS o;
SELECT shop_test.level(2);
-- money that no extension knows of
SELECT o.order_id AS sixth FROM wash.create_order(shop_test.id(11), shop_test.lines(3, 1), :'ann') AS o \gset
SELECT wash.place_order(:'sixth') \g /dev/null
SELECT shop_test.sums(wash.record_order_payment(:'sixth', 4000, 'till-1'));
SELECT shop_test.sums(wash.record_order_payment(:'sixth', 4000, 'till-1'));
SELECT shop_test.sums(wash.record_order_payment(:'sixth', 1000));
SELECT shop_test.wrong();

-- Refunded by hand: the order knows, and goes on; what staff then cancel is not refunded a second time
SELECT o.order_id AS refunded FROM wash.create_order(shop_test.id(11), shop_test.lines(3, 1, 4, 1), :'ann') AS o \gset
SELECT wash.place_order(:'refunded') \g /dev/null
SELECT payment_status FROM wash.get_order(:'refunded');
SELECT shop_test.pay(:'refunded');
SELECT payment_status, status FROM wash.get_order(:'refunded');
CREATE FUNCTION shop_test.refund(reference uuid, amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT s.status FROM wash.payment_transactions AS t, LATERAL wash.create_refund(t.id, amount, 'goodwill') AS r, LATERAL wash.record_refund_result(r.refund_id, 'succeeded') AS s WHERE t.reference_id = reference AND t.captured_minor > 0
$$;
SELECT shop_test.refund(:'refunded', 1000);
SELECT shop_test.sums(o), o.refunded_minor, o.payment_status FROM wash.get_order(:'refunded') AS o;
SELECT shop_test.refund(:'refunded', 4000);
SELECT shop_test.sums(o), o.refunded_minor, o.payment_status FROM wash.get_order(:'refunded') AS o;
SELECT shop_test.sums(o), o.payment_status, shop_test.payments(:'refunded') FROM wash.cancel_order(:'refunded') AS o;
SELECT event, payload ->> 'reference_captured_minor' AS captured, payload ->> 'reference_refunded_minor' AS refunded FROM usher.events WHERE event LIKE 'payment.%refunded' AND payload ->> 'reference_id' = :'refunded' ORDER BY id;
-- what the order itself gives back is counted once
SELECT o.order_id AS given_back FROM wash.create_order(shop_test.id(11), shop_test.lines(3, 2), :'ann') AS o \gset
SELECT wash.place_order(:'given_back') \g /dev/null
SELECT shop_test.pay(:'given_back');
SELECT shop_test.sums(o), o.refunded_minor, o.payment_status FROM wash.cancel_order(:'given_back', lines => shop_test.parts(1, 1)) AS o;
SELECT s.status FROM wash.payment_transactions AS t JOIN wash.payment_refunds AS r ON r.transaction_id = t.id, LATERAL wash.record_refund_result(r.id, 'succeeded') AS s WHERE t.reference_id = :'given_back';
SELECT shop_test.sums(o), o.refunded_minor, o.payment_status FROM wash.get_order(:'given_back') AS o;
-- a publisher that says no totals is not guessed at
SELECT usher.publish('payment.partially_refunded', jsonb_build_object('reference_type', 'order', 'reference_id', :'given_back', 'currency', 'EUR', 'amount_minor', 7)) IS NOT NULL AS told;
SELECT shop_test.sums(o) FROM wash.get_order(:'given_back') AS o;
SELECT shop_test.wrong();

-- What is paid for has left the books, sent or not; recalled, it is reserved again; cancelled, it comes back; and a count expects it
SELECT o.order_id AS paid FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 4), :'ann') AS o \gset
SELECT shop_test.level(2) AS before;
SELECT wash.place_order(:'paid') \g /dev/null
SELECT shop_test.level(2) AS placed;
SELECT shop_test.pay(:'paid'), shop_test.level(2) AS paid;
SELECT count_id AS count FROM wash.start_stock_count(shop_test.id(11)) \gset
SELECT * FROM wash.record_count(:'count', shop_test.id(2), (SELECT on_hand + 4 FROM wash.stock_levels WHERE product_id = shop_test.id(2) AND location_id = shop_test.id(11)));
SELECT o.status, shop_test.level(2) AS sent FROM wash.fulfil_order(:'paid', shop_test.parts(1, 3)) AS o;
SELECT * FROM wash.record_count(:'count', shop_test.id(2), (SELECT on_hand + 1 FROM wash.stock_levels WHERE product_id = shop_test.id(2) AND location_id = shop_test.id(11)));
SELECT o.status, shop_test.level(2) AS recalled FROM wash.recall_order(:'paid', shop_test.parts(1, 2)) AS o;
SELECT difference FROM wash.record_count(:'count', shop_test.id(2), (SELECT on_hand + 1 FROM wash.stock_levels WHERE product_id = shop_test.id(2) AND location_id = shop_test.id(11)));
SELECT product_id = shop_test.id(2) AS is_soap, difference FROM wash.finish_stock_count(:'count');
SELECT o.status, shop_test.level(2) AS sent_again FROM wash.fulfil_order(:'paid', shop_test.parts(1, 1)) AS o;
SELECT o.status, shop_test.level(2) AS cancelled FROM wash.cancel_order(:'paid', lines => shop_test.parts(1, 1)) AS o;
SELECT o.status, shop_test.level(2) AS cancelled_too FROM wash.cancel_order(:'paid') AS o;
SELECT o.status, shop_test.level(2) AS returned FROM wash.return_order(:'paid', shop_test.parts(1, 2)) AS o;
SELECT movement, on_hand_delta, reserved_delta FROM wash.inventory_logs WHERE source_id = (SELECT reservation_id FROM wash.order_lines WHERE order_id = :'paid') ORDER BY id;
-- sent before it is paid: what is left of it is committed then
SELECT o.order_id AS on_account FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 3), :'ann') AS o \gset
SELECT wash.place_order(:'on_account') \g /dev/null
SELECT o.status, shop_test.level(2) AS sent FROM wash.fulfil_order(:'on_account', shop_test.parts(1, 1)) AS o;
SELECT o.status, shop_test.level(2) AS cancelled FROM wash.cancel_order(:'on_account', lines => shop_test.parts(1, 1)) AS o;
SELECT shop_test.pay(:'on_account'), shop_test.level(2) AS paid;
SELECT o.status, shop_test.level(2) AS all_sent FROM wash.fulfil_order(:'on_account') AS o;
SELECT shop_test.wrong();

-- Sold in a booking that is cancelled: what was not handed out is cancelled, what was paid for it goes back
CREATE FUNCTION shop_test.sold_in(booking integer, n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT o.order_id FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 1, 2, 1), shop_test.id(61), reference_type => 'booking', reference_id => shop_test.id(booking), id => shop_test.id(n)) AS o
$$;
SELECT wash.receive_stock(shop_test.id(2), shop_test.id(11), 10) \g /dev/null
SELECT count(shop_test.sold_in(71, n)) AS sold FROM generate_series(81, 85) AS n;
SELECT shop_test.sold_in(72, 86) \g /dev/null
SELECT count(wash.place_order(shop_test.id(n))) AS placed FROM generate_series(82, 86) AS n;
SELECT count(shop_test.pay(shop_test.id(n))) AS paid FROM generate_series(83, 85) AS n;
SELECT o.status FROM wash.fulfil_order(shop_test.id(84), shop_test.parts(1, 1)) AS o;
SELECT o.status FROM wash.fulfil_order(shop_test.id(85)) AS o;
SELECT shop_test.level(2);
SELECT usher.publish('booking.cancelled', jsonb_build_object('id', shop_test.id(71), 'cancellation_reason', 'customer', 'refund_percent', 0)) IS NOT NULL AS cancelled FROM generate_series(1, 2);
SELECT n, shop_test.sums(o), o.reason_code, shop_test.payments(shop_test.id(n)) FROM generate_series(81, 86) AS n, LATERAL wash.get_order(shop_test.id(n)) AS o ORDER BY n;
SELECT shop_test.level(2);
SELECT shop_test.wrong();

-- One product in several lines, and backorders
SELECT shop_test.refusal(format('SELECT wash.place_order((wash.create_order(shop_test.id(11), shop_test.lines(5, 2, 5, 2), %L)).order_id)', :'ann')) AS more_than_three;
SELECT shop_test.level(5);
SELECT backorder_limit FROM wash.set_stock_limits(shop_test.id(5), shop_test.id(11), backorder_limit => 1);
SELECT o.order_id AS seventh FROM wash.create_order(shop_test.id(11), shop_test.lines(5, 2, 5, 2), :'ann') AS o \gset
SELECT wash.place_order(:'seventh') \g /dev/null
SELECT shop_test.level(5);
SELECT shop_test.sums(o) FROM wash.fulfil_order(:'seventh') AS o;
SELECT shop_test.level(5);
SELECT wash.receive_stock(shop_test.id(5), shop_test.id(11), 4) \g /dev/null

-- Offers: whoever has some takes part in placing
CREATE FUNCTION shop_test.offer(event text, payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE wash.order_lines AS l SET discount_minor = 500, discount_reason = 'loyal' WHERE l.order_id = (payload ->> 'id')::uuid AND l.sku = 'order-massage';
END
$$;
SELECT usher.subscribe('order.placing', 'shop_test', 'shop_test.offer(text,jsonb)');
SELECT o.order_id AS eighth FROM wash.create_order(shop_test.id(11), shop_test.lines(3, 1), :'ann') AS o \gset
SELECT shop_test.sums(o), o.lines -> 0 ->> 'discount_reason' AS reason FROM wash.place_order(:'eighth') AS o;
SELECT usher.unsubscribe('order.placing', 'shop_test') \g /dev/null
SELECT shop_test.payments(:'eighth');

-- Who may
CREATE ROLE regress_shop_app;
SELECT usher.grant_access('regress_shop_app', 'application');
GRANT USAGE ON SCHEMA shop_test TO regress_shop_app;
CREATE FUNCTION shop_test.allowed(token text, of_ann uuid) RETURNS TABLE (what text, answer text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate(token);
    SET LOCAL ROLE regress_shop_app;
    FOR what, answer IN SELECT * FROM (VALUES
        ('see', 'wash.get_order(%L)'), ('events', 'wash.list_order_events(%L)'), ('complete', 'wash.complete_order(%L)'), ('fulfil', 'wash.fulfil_order(%L)'), ('event', 'wash.add_order_event(%L, ''x'')'), ('pay', 'wash.record_order_payment(%L, 1)'),
        ('discount', 'wash.discount_order_line(%L, 1, 1, ''x'')'), ('one of their own', 'wash.create_order(shop_test.id(11), shop_test.lines(1, 1))'),
        ('one for somebody', 'wash.create_order(shop_test.id(11), customer_id => %L)'), ('one elsewhere for somebody', 'wash.create_order(shop_test.id(12), customer_id => %L)'), ('materials', 'wash.set_service_materials(%L, ''[]'')'), ('cancel', 'wash.cancel_order(%L)')) AS v (what, call)
    LOOP
        answer := left(shop_test.refusal(format('SELECT ' || answer, of_ann)), 5);
        RETURN NEXT;
    END LOOP;
    what := 'orders listed, by row-level security';
    SELECT (SELECT count(*) FROM wash.list_orders(max_rows => 1000)) - count(*) || ' differ' INTO answer FROM wash.orders;
    RETURN NEXT;
    RESET ROLE;
END
$$;
SELECT k.what, k.answer AS bob FROM shop_test.allowed(usher.issue_token(:'bob'), :'sixth') AS k;
SELECT k.what, k.answer AS clerk FROM shop_test.allowed(usher.issue_token(:'clerk'), :'seventh') AS k;
SELECT k.what, k.answer AS ann FROM shop_test.allowed(usher.issue_token(:'ann'), :'eighth') AS k;
SELECT count(*) AS of_ann, count(*) FILTER (WHERE status = 'cancelled') AS cancelled FROM wash.list_orders(customer_id => :'ann');
SELECT status, body::jsonb ->> 'status' AS order_status, body::jsonb -> 'lines' -> 0 ->> 'name' AS name FROM usher.http_request('POST', '/orders', headers => jsonb_build_object('content-type', 'application/json', 'authorization',
    'Bearer ' || usher.issue_token(:'ann')), body => jsonb_build_object('location_id', shop_test.id(11), 'lines', shop_test.lines(1, 1))::text);
SELECT status, body::jsonb ->> 'code' AS code FROM usher.http_request('GET', '/orders/' || :'sixth', headers => jsonb_build_object('authorization', 'Bearer ' || usher.issue_token(:'bob')));
SELECT shop_test.wrong();

-- Bookings use things up, as far as there is something
SELECT * FROM wash.set_service_materials(shop_test.id(51), shop_test.lines(5, 1, 5, 1));
SELECT shop_test.level(5);
CREATE FUNCTION shop_test.completed() RETURNS text LANGUAGE sql AS $$
    SELECT (usher.publish('booking.completed', jsonb_build_object('id', shop_test.id(52), 'service_id', shop_test.id(51), 'location_id', shop_test.id(11),
        'customer_id', shop_test.id(61), 'price_minor', 5000, 'currency', 'EUR')) IS NOT NULL)::text
$$;
SELECT shop_test.completed(), shop_test.completed();
SELECT shop_test.level(5);
SELECT movement, on_hand_delta, source_type FROM wash.inventory_logs WHERE product_id = shop_test.id(5) ORDER BY id DESC LIMIT 2;
SELECT payload ->> 'missing' AS missing FROM usher.events WHERE event = 'stock.short' ORDER BY id;

-- Customers who go: what is open is given up, sums stay, addresses, notes and what was written down go
SELECT o.order_id AS ninth FROM wash.create_order(shop_test.id(11), shop_test.lines(2, 1), :'bob', ship_to => '{"street": "1 Road"}', notes => 'ring twice') AS o \gset
SELECT wash.place_order(:'ninth') \g /dev/null
SELECT wash.add_order_event(:'ninth', 'called', '{"said": "bob is ill"}') \g /dev/null
SELECT jsonb_array_length(e -> 'orders') AS orders, e -> 'orders' -> -1 ->> 'notes' AS notes, jsonb_array_length(e -> 'orders' -> -1 -> 'events') AS events FROM (SELECT usher.export_user(:'bob') -> 'usher_shop' AS e) AS x;
SELECT usher.delete_user(:'bob') \g /dev/null
SELECT o.status, o.reason_code FROM wash.get_order(:'ninth') AS o;
SELECT shop_test.refusal(format('SELECT wash.place_order((wash.create_order(shop_test.id(11), shop_test.lines(4, 1), %L)).order_id)', :'bob')) AS deleted_customer;
SELECT usher.erase_user(:'bob') \g /dev/null
SELECT o.total_minor, o.ship_to, o.notes, (SELECT string_agg(e.payload::text, ' ') FROM wash.order_events AS e WHERE e.order_id = o.order_id) AS payloads FROM wash.get_order(:'ninth') AS o;
SELECT count(*) FROM usher.audit_logs WHERE resource_id = :'ninth' AND (new_values::text LIKE '%ring twice%' OR old_values::text LIKE '%ring twice%');
SELECT shop_test.wrong();
SELECT usher.revoke_access('regress_shop_app');
REVOKE ALL ON SCHEMA shop_test FROM regress_shop_app;
DROP ROLE regress_shop_app;
DROP SCHEMA shop_test CASCADE;

-- The shop and loyalty together, which know each other by events only: an order is placed with what offers take off, a voucher that was
-- used for the cart stays, and what cannot be placed leaves no use behind.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA shop_test;
CREATE FUNCTION shop_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8008-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION shop_test.cart(VARIADIC numbers integer[]) RETURNS uuid LANGUAGE sql AS $$
    SELECT o.order_id FROM wash.create_order(shop_test.id(11), (SELECT jsonb_agg(jsonb_build_object('product_id', shop_test.id(numbers[i]), 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i), shop_test.id(61)) AS o
$$;
CREATE FUNCTION shop_test.sums(known wash.order_details) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s less %s', known.status, known.total_minor, known.discount_minor) || coalesce(' = ' || string_agg(format('%s %s (%s)', l.value ->> 'line_no', l.value ->> 'discount_minor', l.value ->> 'discount_reason'), ', ' ORDER BY l.number), '')
    FROM jsonb_array_elements(known.lines) WITH ORDINALITY AS l (value, number)
$$;
CREATE FUNCTION shop_test.uses(of_order uuid) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(o.title || ' ' || u.discount_minor || CASE WHEN u.is_released THEN ' released' ELSE '' END, ', ' ORDER BY o.title), 'none') FROM wash.offer_uses AS u JOIN wash.loyalty_offers AS o ON o.id = u.offer_id WHERE u.reference_id = of_order
$$;
SELECT count(wash.create_product('offered-' || n, 'Offered ' || n, price_minor => 1000 * n, track_stock => n = 1, id => shop_test.id(n), status => 'active')) AS products FROM generate_series(1, 3) AS n;
SELECT available FROM wash.receive_stock(shop_test.id(1), shop_test.id(11), 5);
SELECT (wash.set_offer_status((wash.create_offer(jsonb_build_object('title', 'A tenth of two', 'kind', 'percent', 'percent', 10, 'product_ids', jsonb_build_array(shop_test.id(2)), 'is_stackable', true))).offer_id, 'active')).status;
SELECT offer_id AS offer FROM wash.create_offer('{"title": "Five off", "kind": "amount", "amount_minor": 500, "currency": "EUR", "needs_voucher": true, "is_stackable": true}') \gset
SELECT status FROM wash.set_offer_status(:'offer', 'active');
SELECT count(*) AS codes FROM wash.create_vouchers(:'offer', 1, chosen_code => 'SHOP-FIVE', max_uses => 2);

SELECT shop_test.cart(1, 1, 2, 2) AS cart \gset
SELECT shop_test.sums(wash.get_order(:'cart')), shop_test.sums(wash.preview_order(:'cart')) AS preview, shop_test.uses(:'cart');
SELECT r.error, r.discount_minor FROM wash.redeem_offer('order', :'cart', customer_id => shop_test.id(61), amount_minor => 5000, context => '{"currency": "EUR"}', voucher_code => 'shop five') AS r;
SELECT shop_test.sums(wash.get_order(:'cart')), shop_test.sums(wash.preview_order(:'cart')) AS preview, shop_test.uses(:'cart');
SELECT shop_test.refusal(format('SELECT wash.place_order(%L, 5000)', :'cart')) AS another_sum, shop_test.uses(:'cart');
SELECT shop_test.sums(o), shop_test.uses(:'cart') FROM wash.place_order(:'cart', (SELECT total_minor FROM wash.preview_order(:'cart'))) AS o;
SELECT t.amount_minor AS to_be_paid FROM wash.payment_transactions AS t WHERE t.reference_id = :'cart';
-- a second order, which cannot be placed, and then can
SELECT shop_test.cart(1, 9, 2, 1) AS second \gset
SELECT shop_test.refusal(format('SELECT wash.place_order(%L)', :'second')) AS out_of_stock, shop_test.uses(:'second');
SELECT wash.set_order_line(:'second', 1, line_no => 1) \g /dev/null
SELECT shop_test.sums(o), shop_test.uses(:'second') FROM wash.place_order(:'second') AS o;
-- a voucher for what is placed is not used up for nothing
SELECT shop_test.refusal(format('SELECT wash.redeem_offer(''order'', %L, customer_id => %L, amount_minor => 5000, context => ''{"currency": "EUR"}'', voucher_code => ''SHOP-FIVE'')', :'second', shop_test.id(61))) AS too_late, shop_test.uses(:'second');
-- a cart whose voucher is released; an order that is cancelled gives its offers back
SELECT shop_test.cart(3, 1) AS third \gset
SELECT r.error FROM wash.redeem_offer('order', :'third', customer_id => shop_test.id(61), amount_minor => 3000, context => '{"currency": "EUR"}', voucher_code => 'SHOP-FIVE') AS r;
SELECT shop_test.sums(wash.get_order(:'third'));
SELECT wash.release_offers('order', :'third');
SELECT shop_test.sums(wash.get_order(:'third')), shop_test.uses(:'third');
SELECT o.status, shop_test.uses(:'cart') FROM wash.cancel_order(:'cart') AS o;
SELECT count(usher.run_event_handlers(1000)) AS runs FROM generate_series(1, 5);
SELECT shop_test.uses(:'cart'), v.uses FROM wash.offer_vouchers AS v WHERE v.offer_id = :'offer';
SELECT rule, violations FROM (SELECT * FROM wash._shop_self_check() UNION ALL SELECT * FROM wash._loyalty_self_check()) AS c WHERE violations > 0;
SELECT count(wash.set_offer_status(id, 'archived')) AS archived FROM wash.loyalty_offers WHERE status = 'active' AND title IN ('A tenth of two', 'Five off');
DROP SCHEMA shop_test CASCADE;

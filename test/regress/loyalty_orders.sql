-- Offers and orders, which know each other by events only: what is given in the transaction that places an order, to which lines it belongs,
-- vouchers that were used before, and orders that offers must not hinder. The application of this test is the shop.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
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
CREATE FUNCTION loyalty_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8007-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION loyalty_test.offer(definition jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT status FROM wash.set_offer_status((wash.create_offer(definition)).offer_id, 'active')
$$;
CREATE FUNCTION loyalty_test.titled(wanted text) RETURNS uuid LANGUAGE sql AS $$ SELECT o.id FROM wash.loyalty_offers AS o WHERE o.title = wanted $$;
-- an order as the shop places it: lines of product, quantity and price
CREATE FUNCTION loyalty_test.place(order_no integer, VARIADIC numbers integer[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    lines CONSTANT jsonb := (SELECT jsonb_agg(jsonb_build_object('line_no', 10 * (i / 3 + 1), 'product_id', loyalty_test.id(numbers[i]), 'sku', 'sku-' || numbers[i], 'category', 'care', 'quantity', numbers[i + 1], 'price_minor', numbers[i + 2],
        'amount_minor', numbers[i + 1] * numbers[i + 2]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 3) AS i);
BEGIN
    PERFORM usher.publish('order.placing', jsonb_build_object('id', loyalty_test.id(order_no), 'customer_id', loyalty_test.id(1), 'location_id', loyalty_test.id(2), 'currency', 'EUR',
        'amount_minor', (SELECT sum((l ->> 'amount_minor')::bigint) FROM jsonb_array_elements(lines) AS l), 'lines', lines));
    RETURN (SELECT coalesce(string_agg(format('%s %s of %s: %s', o.title, u.discount_minor, u.amount_minor, (SELECT string_agg((l ->> 'line_no') || ' ' || (l ->> 'discount_minor'), ', ' ORDER BY n) FROM jsonb_array_elements(u.lines) WITH ORDINALITY AS e (l, n))), '; ' ORDER BY o.priority DESC, o.title), 'nothing')
        FROM wash.offer_uses AS u JOIN wash.loyalty_offers AS o ON o.id = u.offer_id WHERE u.reference_id = loyalty_test.id(order_no) AND u.reference_type = 'order' AND NOT u.is_released);
END
$$;
-- the test before this one has offers of its own
SELECT wash.set_offer_status(o.id, 'archived') FROM wash.loyalty_offers AS o WHERE o.status <> 'archived' \g /dev/null

-- Nobody hears of discounts: an order is placed all the same
SELECT loyalty_test.place(100, 11, 1, 1000);
SELECT loyalty_test.offer('{"title": "tenth", "kind": "percent", "percent": 10, "is_stackable": true, "stack_group": "shares", "priority": 5}');
SELECT loyalty_test.place(101, 11, 1, 1000, 12, 3, 333);

-- An application that does hear of them, and takes them off
CREATE TABLE loyalty_test.heard (n integer GENERATED ALWAYS AS IDENTITY, event text, payload jsonb);
CREATE FUNCTION loyalty_test.hear(event text, payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF (payload ->> 'reference_id')::uuid = loyalty_test.id(199) THEN
        RAISE EXCEPTION 'the shop has trouble';
    END IF;
    INSERT INTO loyalty_test.heard (event, payload) VALUES (event, payload);
END
$$;
SELECT usher.subscribe('loyalty.discount_granted', 'loyalty_test', 'loyalty_test.hear(text,jsonb)');
SELECT usher.subscribe('loyalty.redeeming', 'loyalty_test', 'loyalty_test.hear(text,jsonb)');
SELECT loyalty_test.place(102, 11, 1, 1000, 12, 3, 333);
SELECT event, jsonb_pretty(payload - 'redemption_id' - 'offer_id') AS payload, (payload ->> 'redemption_id')::uuid = (SELECT u.id FROM wash.offer_uses AS u WHERE u.reference_id = loyalty_test.id(102)) AS names_its_use FROM loyalty_test.heard;
-- placed again, as a preview does before: given once
SELECT loyalty_test.place(102, 11, 1, 1000, 12, 3, 333);
-- each to its lines; of products to theirs, of the cheapest pieces to those, sums are exact and no line is below zero
SELECT loyalty_test.offer(jsonb_build_object('title', 'soap', 'kind', 'buy_x_get_y', 'buy_quantity', 2, 'get_quantity', 1, 'product_ids', jsonb_build_array(loyalty_test.id(12)), 'is_stackable', true, 'priority', 9));
SELECT loyalty_test.offer(jsonb_build_object('title', 'cream', 'kind', 'amount', 'amount_minor', 950, 'currency', 'EUR', 'product_ids', jsonb_build_array(loyalty_test.id(11), loyalty_test.id(13)), 'is_stackable', true, 'priority', 7));
SELECT loyalty_test.place(103, 11, 1, 1000, 12, 3, 333);
SELECT loyalty_test.place(104, 11, 1, 100, 12, 2, 333, 12, 1, 7, 13, 1, 50, 14, 1, 1);
SELECT loyalty_test.place(105, 11, 1, 1, 13, 1, 1, 14, 1, 1, 15, 1, 1);
SELECT count(*) AS given, count(*) FILTER (WHERE u.discount_minor = (SELECT sum((l ->> 'discount_minor')::bigint) FROM jsonb_array_elements(u.lines) AS l)) AS exact FROM wash.offer_uses AS u WHERE u.reference_type = 'order' AND u.lines <> '[]';
-- another currency, another product: what does not apply is not given
SELECT usher.publish('order.placing', jsonb_build_object('id', loyalty_test.id(106), 'customer_id', loyalty_test.id(1), 'currency', 'USD', 'amount_minor', 100, 'lines', jsonb_build_array(jsonb_build_object('line_no', 1, 'product_id', loyalty_test.id(11), 'quantity', 1, 'price_minor', 100)))) IS NOT NULL AS placed;
SELECT o.title, u.discount_minor, u.currency FROM wash.offer_uses AS u JOIN wash.loyalty_offers AS o ON o.id = u.offer_id WHERE u.reference_id = loyalty_test.id(106);
SELECT usher.publish('order.placing', payload) IS NOT NULL AS placed FROM unnest(ARRAY['{}', '{"id": 7}', '{"id": "x", "customer_id": "y"}', '{"id": "00000000-0000-7000-8007-000000000107"}']::jsonb[]) AS p (payload);
SELECT status FROM wash.set_offer_status(loyalty_test.titled('cream'), 'archived'), wash.set_offer_status(loyalty_test.titled('soap'), 'archived') AS s (a, b, c);

-- A voucher that was used for the cart: told at once, given once, and first
SELECT loyalty_test.offer('{"title": "voucher", "kind": "amount", "amount_minor": 600, "currency": "EUR", "needs_voucher": true, "is_stackable": true}');
SELECT count(*) FROM wash.create_vouchers(loyalty_test.titled('voucher'), chosen_code => 'six-off', max_uses => 10);
TRUNCATE loyalty_test.heard;
SELECT error, discount_minor FROM wash.redeem_offer('order', loyalty_test.id(110), customer_id => loyalty_test.id(1), amount_minor => 1000, context => '{"currency": "EUR"}', voucher_code => 'SIX OFF');
SELECT event, payload ->> 'discount_minor' AS discount, payload -> 'lines' AS lines FROM loyalty_test.heard ORDER BY n;
SELECT loyalty_test.place(110, 11, 1, 400, 12, 1, 250);
SELECT loyalty_test.place(110, 11, 1, 400, 12, 1, 250);
SELECT discount_minor FROM wash.redeem_offer('order', loyalty_test.id(111), customer_id => loyalty_test.id(1), context => '{"currency": "EUR", "lines": [{"line_no": 3, "unit_minor": 500}, {"line_no": 4, "price_minor": 100, "quantity": 3}]}', voucher_code => 'SIX OFF');
SELECT lines FROM wash.offer_uses WHERE reference_id = loyalty_test.id(111);
SELECT loyalty_test.refusal($$ SELECT wash.redeem_offer('order', loyalty_test.id(111), customer_id => loyalty_test.id(1), context => '{"currency": "EUR", "amount_minor": 900}', voucher_code => 'SIX OFF') $$) AS has_it;
-- beside those that cannot stand others
SELECT loyalty_test.offer('{"title": "alone", "kind": "amount", "amount_minor": 50, "currency": "EUR", "needs_voucher": true}');
SELECT count(*) FROM wash.create_vouchers(loyalty_test.titled('alone'), chosen_code => 'alone', max_uses => 10);
SELECT discount_minor FROM wash.redeem_offer('order', loyalty_test.id(112), customer_id => loyalty_test.id(1), amount_minor => 1000, context => '{"currency": "EUR"}', voucher_code => 'alone');
SELECT loyalty_test.place(112, 11, 1, 1000);
SELECT loyalty_test.refusal($$ SELECT wash.redeem_offer('order', loyalty_test.id(112), customer_id => loyalty_test.id(1), amount_minor => 1000, context => '{"currency": "EUR"}', voucher_code => 'SIX OFF') $$) AS beside;
-- the terms are those that it was used with
SELECT version > 0 AS changed FROM wash.update_offer(loyalty_test.titled('alone'), '{"is_stackable": true}');
SELECT loyalty_test.place(112, 11, 1, 1000);

-- The last use: whoever comes after it orders without; what is cancelled gives it back
SELECT version > 0 AS changed FROM wash.update_offer(loyalty_test.titled('tenth'), jsonb_build_object('max_uses', (SELECT uses + 1 FROM wash.loyalty_offers WHERE title = 'tenth')));
SELECT loyalty_test.place(120, 11, 1, 1000), loyalty_test.place(121, 11, 1, 1000);
SELECT wash._on_purchase_cancelled('order.cancelled', jsonb_build_object('id', loyalty_test.id(120)));
SELECT loyalty_test.place(121, 11, 1, 1000), loyalty_test.place(120, 11, 1, 1000);

-- What goes wrong hinders no order
SELECT loyalty_test.offer('{"title": "trouble", "kind": "percent", "percent": 1, "priority": 20}');
SELECT loyalty_test.place(199, 11, 1, 1000);
SELECT usher.publish('order.placing', jsonb_build_object('id', loyalty_test.id(198), 'customer_id', loyalty_test.id(1), 'currency', 'EUR', 'amount_minor', 100, 'lines', jsonb_build_array(jsonb_build_object('quantity', -1)))) IS NOT NULL AS placed;
SELECT resource_id, error_message FROM usher.search_audit(event_type => 'loyalty.offers_failed') ORDER BY 1;
SELECT uses FROM wash.loyalty_offers WHERE title = 'trouble';
SELECT rule, violations FROM wash._loyalty_self_check() WHERE violations > 0;

-- Lines of orders earn by rules that count them, as the shop tells of them
SELECT rule_version FROM wash.create_earning_rule('{"code": "per_line", "event": "order.completed", "counts": "line", "condition": "p.category == ''care'' && r.to == ''completed''", "points": "p.quantity * 2 + p.total_minor / 100"}');
SELECT rule_version FROM wash.create_earning_rule(jsonb_build_object('code', 'one_product', 'event', 'order.completed', 'counts', 'line', 'condition', format('p.product_id == ''%s''', loyalty_test.id(12)), 'points', '10 * p.quantity'));
SELECT wash._on_purchase('order.completed', jsonb_build_object('id', loyalty_test.id(103), 'from', 'paid', 'to', 'completed', 'customer_id', loyalty_test.id(1), 'location_id', loyalty_test.id(2), 'currency', 'EUR', 'total_minor', 1460, 'lines', '[
    {"line_no": 10, "product_id": "00000000-0000-7000-8007-000000000011", "sku": "sku-11", "category": "care", "quantity": 1, "price_minor": 1000, "amount_minor": 1000, "discount_minor": 100, "total_minor": 900},
    {"line_no": 20, "product_id": "00000000-0000-7000-8007-000000000012", "sku": "sku-12", "category": "care", "quantity": 3, "price_minor": 333, "amount_minor": 999, "discount_minor": 439, "total_minor": 560},
    {"line_no": 30, "product_id": "00000000-0000-7000-8007-000000000013", "sku": "sku-13", "category": null, "quantity": 9, "price_minor": 0, "amount_minor": 0, "discount_minor": 0, "total_minor": 0}]'::jsonb)) FROM generate_series(1, 2);
SELECT rule_code, points FROM wash.points_entries WHERE source_id = loyalty_test.id(103) ORDER BY rule_code;

SELECT usher.unsubscribe('loyalty.discount_granted', 'loyalty_test'), usher.unsubscribe('loyalty.redeeming', 'loyalty_test') \g /dev/null
SELECT wash.set_offer_status(o.id, 'archived') FROM wash.loyalty_offers AS o WHERE o.status <> 'archived' \g /dev/null
SELECT count(wash.end_earning_rule(c)) AS ended FROM unnest('{per_line,one_product}'::text[]) AS c;
SET client_min_messages = error;
DROP SCHEMA loyalty_test CASCADE;

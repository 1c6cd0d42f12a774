-- The shop and offers, by events: what is granted to a cart, by line or in proportion, once for each redemption, beside what staff give;
-- what it would cost, and all or nothing of it when it is placed; and events of orders with their lines, which points are earned by.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
CREATE SCHEMA shop_test;
CREATE FUNCTION shop_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8006-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION shop_test.lines(VARIADIC numbers integer[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('product_id', shop_test.id(numbers[i]), 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i
$$;
CREATE FUNCTION shop_test.parts(VARIADIC numbers integer[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('line_no', numbers[i], 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i
$$;
CREATE FUNCTION shop_test.sums(known wash.order_details) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s less %s', known.status, known.total_minor, known.discount_minor) || coalesce(' = ' || string_agg(format('%s %s (%s)', l.value ->> 'line_no', l.value ->> 'discount_minor', l.value ->> 'discount_reason'), ', ' ORDER BY l.number), '')
    FROM jsonb_array_elements(known.lines) WITH ORDINALITY AS l (value, number)
$$;
-- what loyalty tells of a redemption
CREATE FUNCTION shop_test.grant_off(cart uuid, redemption integer, discount bigint, lines jsonb DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS boolean LANGUAGE sql AS $$
    SELECT usher.publish('loyalty.discount_granted', jsonb_strip_nulls(jsonb_build_object('reference_type', 'order', 'reference_id', cart, 'customer_id', shop_test.id(61), 'currency', 'EUR', 'discount_minor', discount, 'lines', lines,
        'redemption_id', shop_test.id(redemption)) || more)) IS NOT NULL
$$;
SELECT count(wash.create_product('loyal-' || p.sku, p.sku, price_minor => p.price, category => p.category, track_stock => p.is_kept, id => shop_test.id(p.n), status => 'active')) AS products FROM (VALUES
    (1, 'cream', 1000, 'care', true), (2, 'soap', 333, 'care', false), (3, 'brush', 501, NULL, false)) AS p (n, sku, price, category, is_kept);
SELECT available FROM wash.receive_stock(shop_test.id(1), shop_test.id(11), 20);

-- Granted by line, once, beside what staff give
SELECT o.order_id AS cart FROM wash.create_order(shop_test.id(11), shop_test.lines(1, 2, 2, 3, 3, 1), shop_test.id(61)) AS o \gset
SELECT shop_test.grant_off(:'cart', 101, 250, '[{"line_no": 1, "discount_minor": 150, "reason": "spring"}, {"line_no": 2, "discount_minor": 100, "reason": "Not a name!"}]');
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT shop_test.grant_off(:'cart', 101, 250, '[{"line_no": 1, "discount_minor": 150, "reason": "spring"}, {"line_no": 2, "discount_minor": 100, "reason": "Not a name!"}]');
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT shop_test.sums(o) FROM wash.discount_order_line(:'cart', 1, 40, 'scratched') AS o;
SELECT shop_test.sums(o) FROM wash.discount_order_line(:'cart', 1, 50, 'scratched') AS o;
-- without lines, in proportion to what they cost still: 1800, 899 and 501
SELECT shop_test.grant_off(:'cart', 102, 100);
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT source = shop_test.id(101)::text AS is_first, line_no, discount_minor, reason FROM wash.order_discounts WHERE order_id = :'cart' ORDER BY granted_at, line_no;
-- a cart that becomes cheaper costs nothing, and not less; dearer again, it has what was granted
SELECT shop_test.grant_off(:'cart', 103, 3000, '[{"line_no": 2, "discount_minor": 3000}]');
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 1, line_no => 2) AS o;
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 9, line_no => 2) AS o;
UPDATE wash.order_lines SET quantity = 2 WHERE order_id = :'cart' AND line_no = 2;
SELECT shop_test.sums(wash.get_order(:'cart'));
-- released, it is gone; a line takes its discount along
SELECT usher.publish('loyalty.offer_released', jsonb_build_object('redemption_id', shop_test.id(103), 'customer_id', shop_test.id(61))) IS NOT NULL AS released;
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT shop_test.grant_off(:'cart', 104, 7, '[{"line_no": 3, "discount_minor": 7}]');
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 0, line_no => 3) AS o;
SELECT shop_test.sums(o) FROM wash.set_order_line(:'cart', 1, product_id => shop_test.id(3)) AS o;
-- of a publisher that names no redemption, what says the same is the same
SELECT shop_test.grant_off(:'cart', n, 1, '[{"line_no": 3, "discount_minor": 1}]', '{"redemption_id": null}') FROM unnest('{105,106}'::integer[]) AS n;
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT wrong, shop_test.refusal(format('SELECT shop_test.grant_off(%L, 107, 5, NULL, %L)', :'cart', more)) AS answer FROM (VALUES ('another currency', '{"currency": "USD"}'), ('a booking', '{"reference_type": "booking"}'),
    ('another shop', jsonb_build_object('reference_id', shop_test.id(99))::text), ('no id', '{"reference_id": "7"}'), ('nothing', '{"discount_minor": 0}')) AS v (wrong, more);
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT rule, violations FROM wash._shop_self_check() WHERE violations > 0;

-- Placed: what the cart had is kept; what was granted too late is refused, and what is released later changes nothing
SELECT shop_test.sums(o) FROM wash.preview_order(:'cart') AS o;
SELECT shop_test.sums(o) FROM wash.place_order(:'cart', (SELECT total_minor FROM wash.orders WHERE id = :'cart')) AS o;
SELECT shop_test.refusal(format('SELECT shop_test.grant_off(%L, 108, 5)', :'cart')) AS too_late, shop_test.grant_off(:'cart', 101, 250) AS known;
SELECT usher.publish('loyalty.offer_released', jsonb_build_object('redemption_id', shop_test.id(101), 'customer_id', shop_test.id(61))) IS NOT NULL AS released;
SELECT shop_test.sums(wash.get_order(:'cart'));
SELECT shop_test.refusal(format('UPDATE wash.order_lines SET granted_minor = 0 WHERE order_id = %L', :'cart')) AS by_hand;
SELECT shop_test.sums(o) FROM wash.cancel_order(:'cart', lines => shop_test.parts(1, 1)) AS o;

-- Offers that are given while an order is placed: a tenth of what is for care, and 5 off all
CREATE TABLE shop_test.heard (payload jsonb);
CREATE FUNCTION shop_test.offer(event text, payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    grants CONSTANT jsonb := jsonb_build_object('reference_type', 'order', 'reference_id', payload -> 'id', 'customer_id', payload -> 'customer_id', 'currency', payload -> 'currency');
    lines CONSTANT jsonb := (SELECT jsonb_agg(jsonb_build_object('line_no', l -> 'line_no', 'discount_minor', (l ->> 'amount_minor')::bigint / 10, 'reason', 'care_week')) FROM jsonb_array_elements(payload -> 'lines') AS l WHERE l ->> 'category' = 'care');
BEGIN
    INSERT INTO shop_test.heard VALUES (payload);
    IF lines IS NOT NULL THEN
        PERFORM usher.publish('loyalty.discount_granted', grants || jsonb_build_object('redemption_id', usher.uuid_v7(), 'lines', lines));
    END IF;
    PERFORM usher.publish('loyalty.discount_granted', grants || jsonb_build_object('redemption_id', usher.uuid_v7(), 'discount_minor', 5));
END
$$;
SELECT usher.subscribe('order.placing', 'shop_test', 'shop_test.offer(text,jsonb)');
SELECT o.order_id AS second FROM wash.create_order(shop_test.id(11), shop_test.lines(1, 1, 3, 2), shop_test.id(61)) AS o \gset
SELECT total_minor FROM wash.get_order(:'second');
SELECT shop_test.sums(o) FROM wash.preview_order(:'second') AS o;
SELECT shop_test.sums(wash.get_order(:'second')), (SELECT count(*) FROM shop_test.heard) AS heard, (SELECT count(*) FROM wash.order_discounts WHERE order_id = :'second') AS granted;
-- the sum of the cart is not the sum that it is placed for
CREATE FUNCTION shop_test.told(of_order uuid, expected bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM wash.place_order(of_order, expected);
    RETURN 'placed';
EXCEPTION WHEN SQLSTATE 'UC007' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN (detail::jsonb - 'order_id')::text || ' ' || hint;
END
$$;
SELECT shop_test.told(:'second', 2002);
SELECT shop_test.sums(wash.get_order(:'second')), (SELECT count(*) FROM wash.order_discounts WHERE order_id = :'second') AS granted;
-- out of stock: nothing of it, the offers neither
SELECT o.order_id AS third FROM wash.create_order(shop_test.id(11), shop_test.lines(1, 20), shop_test.id(61)) AS o \gset
SELECT shop_test.refusal(format('SELECT wash.place_order(%L)', :'third')), (SELECT count(*) FROM wash.order_discounts WHERE order_id = :'third') AS granted, (SELECT count(*) FROM shop_test.heard) AS heard;
SELECT shop_test.sums(o) FROM wash.preview_order(:'third') AS o;
SELECT shop_test.sums(o) FROM wash.place_order(:'second', 1897) AS o;
SELECT jsonb_pretty(payload - '{id,lines}'::text[]) AS placing, jsonb_array_length(payload -> 'lines') AS lines, jsonb_pretty(payload -> 'lines' -> 1) AS line FROM shop_test.heard;
SELECT usher.unsubscribe('order.placing', 'shop_test') \g /dev/null
SELECT t.amount_minor AS to_be_paid FROM wash.payment_transactions AS t WHERE t.reference_id = :'second';
SELECT shop_test.refusal(format('SELECT wash.preview_order(%L)', shop_test.id(99))) AS of_nobody, (wash.preview_order(:'second')).status AS placed;
SELECT shop_test.refusal(format('SELECT wash.preview_order((wash.create_order(shop_test.id(11), customer_id => %L)).order_id)', shop_test.id(61))) AS empty;

-- Events of orders say what was bought
SELECT status FROM wash.record_order_payment(:'second', 1897);
SELECT status FROM wash.fulfil_order(:'second');
SELECT status FROM wash.recall_order(:'second', shop_test.parts(2, 1));
SELECT status FROM wash.fulfil_order(:'second');
SELECT status FROM wash.return_order(:'second', shop_test.parts(2, 1));
SELECT status FROM wash.complete_order(:'second');
SELECT event, payload ->> 'from' AS "from", payload ->> 'to' AS "to", payload ->> 'total_minor' AS total, l.value - 'product_id' AS line FROM usher.events, jsonb_array_elements(payload -> 'lines') AS l WHERE payload ->> 'id' = :'second' AND event <> 'order.placing' ORDER BY id, l.value -> 'line_no';
SELECT jsonb_object_agg(k, payload -> k) AS others FROM usher.events, unnest('{action,status,currency,discount_minor,paid_minor,refunded_minor,reason_code,actor_id,user_id,reference_type}'::text[]) AS k WHERE payload ->> 'id' = :'second' AND event = 'order.completed';
SELECT status FROM wash.cancel_order(:'cart', 'changed_mind');
SELECT payload ->> 'reason_code' AS reason, jsonb_path_query_array(payload, '$.lines[*].quantity') AS left_of_it, jsonb_path_query_array(payload, '$.lines[*].ordered') AS ordered FROM usher.events WHERE payload ->> 'id' = :'cart' AND event = 'order.cancelled';

-- Points for what was bought, line by line: three for each brush that was kept
CREATE FUNCTION shop_test.work() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    done integer;
    failed integer;
    failures integer := 0;
BEGIN
    LOOP
        SELECT h.handled, h.failed INTO done, failed FROM usher.run_event_handlers(1000) AS h;
        failures := failures + failed;
        EXIT WHEN done + failed = 0;
    END LOOP;
    RETURN failures || ' failed';
END
$$;
SELECT user_id AS ann FROM usher.register_user('ann@shop-loyalty.example', 'the password of ann') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'ann';
SELECT code FROM wash.create_earning_rule(jsonb_build_object('code', 'brushes', 'event', 'order.completed', 'counts', 'line', 'points', '3 * p.quantity', 'condition', format('p.product_id == %L', shop_test.id(3))));
SELECT o.order_id AS fourth FROM wash.create_order(shop_test.id(11), shop_test.lines(3, 5, 2, 2, 3, 1), :'ann') AS o \gset
SELECT status FROM wash.place_order(:'fourth');
SELECT status FROM wash.cancel_order(:'fourth', lines => shop_test.parts(1, 1));
SELECT o.status FROM wash.orders AS k, wash.record_order_payment(k.id, k.total_minor) AS o WHERE k.id = :'fourth';
SELECT status FROM wash.fulfil_order(:'fourth');
SELECT status FROM wash.complete_order(:'fourth');
SELECT shop_test.work();
SELECT balance FROM wash.get_points_balance(:'ann');
SELECT wash.end_earning_rule('brushes') \g /dev/null
SELECT rule, violations FROM wash._shop_self_check() WHERE violations > 0;
DROP SCHEMA shop_test CASCADE;

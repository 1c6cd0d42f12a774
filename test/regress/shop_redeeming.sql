-- What a customer redeems is judged by what they buy, as whoever sells it says: not by what they state, nor for what is
-- somebody else's or nobody's; and once more when it is ordered. Payments and returns leave the points of what was kept.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
CREATE SCHEMA redeem_test;
CREATE FUNCTION redeem_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
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
CREATE FUNCTION redeem_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8009-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE TABLE redeem_test.people (name text PRIMARY KEY, id uuid, token text);
INSERT INTO redeem_test.people (name, id) SELECT n, (usher.register_user(n || '@redeeming.example', 'the password of ' || n, n)).user_id FROM unnest('{ann,bob,cat,dan}'::text[]) AS n;
UPDATE usher.users AS u SET email_verified_at = now(), status = 'active' FROM redeem_test.people AS p WHERE u.id = p.id;
UPDATE redeem_test.people SET token = usher.issue_token(id);
CREATE FUNCTION redeem_test.of(who text) RETURNS uuid LANGUAGE sql AS $$ SELECT p.id FROM redeem_test.people AS p WHERE p.name = who $$;
SELECT count(wash.create_product('redeemed-' || n, 'Redeemed ' || n, price_minor => 100 * n, track_stock => false, id => redeem_test.id(n), status => 'active')) AS products FROM unnest('{1,12}'::integer[]) AS n;
CREATE FUNCTION redeem_test.cart(who text, VARIADIC numbers integer[]) RETURNS uuid LANGUAGE sql AS $$
    SELECT o.order_id FROM wash.create_order(redeem_test.id(31), (SELECT jsonb_agg(jsonb_build_object('product_id', redeem_test.id(numbers[i]), 'quantity', numbers[i + 1]) ORDER BY i) FROM generate_series(1, cardinality(numbers), 2) AS i), redeem_test.of(who)) AS o
$$;
CREATE FUNCTION redeem_test.offer(definition jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT status FROM wash.set_offer_status((wash.create_offer(definition)).offer_id, 'active')
$$;
CREATE FUNCTION redeem_test.titled(wanted text) RETURNS uuid LANGUAGE sql AS $$ SELECT o.id FROM wash.loyalty_offers AS o WHERE o.title = wanted $$;
CREATE FUNCTION redeem_test.uses(of_reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(o.title || ' ' || u.discount_minor || ' of ' || u.amount_minor || CASE WHEN u.is_released THEN ' released' ELSE '' END, ', ' ORDER BY u.id), 'none') FROM wash.offer_uses AS u JOIN wash.loyalty_offers AS o ON o.id = u.offer_id WHERE u.reference_id = of_reference
$$;
CREATE FUNCTION redeem_test.sums(known wash.order_details) RETURNS text LANGUAGE sql AS $$ SELECT format('%s: %s less %s', known.status, known.total_minor, known.discount_minor) $$;
-- a request as the gateway passes it on
CREATE FUNCTION redeem_test.post(who text, path text, body jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE sql AS $$
    SELECT a.status, a.body::jsonb FROM usher.http_request('POST', path, headers => jsonb_build_object('content-type', 'application/json', 'authorization', 'Bearer ' || (SELECT p.token FROM redeem_test.people AS p WHERE p.name = who)), body => body::text) AS a
$$;
CREATE FUNCTION redeem_test.use(who text, of_type text, of_reference uuid, offer text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.status, a.body ->> 'discount_minor', a.body ->> 'code', a.body ->> 'detail', a.body ->> 'rule')
    FROM redeem_test.post(who, '/loyalty/offer-uses', jsonb_build_object('reference_type', of_type, 'reference_id', of_reference, 'offer_id', redeem_test.titled(offer)) || more) AS a
$$;
CREATE FUNCTION redeem_test.place(who text, cart uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.status, a.body ->> 'status', a.body ->> 'total_minor', a.body ->> 'detail') FROM redeem_test.post(who, '/orders/' || cart || '/place', '{}') AS a
$$;
CREATE FUNCTION redeem_test.work() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    run record;
    failures integer := 0;
BEGIN
    LOOP
        SELECT * INTO run FROM usher.run_event_handlers(1000);
        failures := failures + run.failed;
        EXIT WHEN run.handled + run.failed = 0;
    END LOOP;
    RETURN failures || ' failed';
END
$$;
SELECT redeem_test.work() \g /dev/null
SELECT redeem_test.offer('{"title": "a tenth", "kind": "percent", "percent": 10, "needs_voucher": false, "is_stackable": true, "max_per_customer": 100, "priority": -9}');
SELECT redeem_test.offer(jsonb_build_object('title', 'elsewhere', 'kind', 'percent', 'percent', 50, 'location_ids', jsonb_build_array(redeem_test.id(32))));
SELECT redeem_test.offer(jsonb_build_object('title', 'at another hour', 'kind', 'percent', 'percent', 40, 'hours', format('[%1$s,%1$s]', (extract(hour FROM now()) + 12)::integer % 24)));
SELECT redeem_test.offer('{"title": "six off ten", "kind": "amount", "amount_minor": 600, "currency": "EUR", "min_amount_minor": 1000, "needs_voucher": true, "is_stackable": true}');
SELECT count(*) AS codes FROM wash.create_vouchers(redeem_test.titled('six off ten'), chosen_code => 'SIX-OFF-TEN', max_uses => 2);

-- The amount is that of the cart, whatever a customer states
SELECT redeem_test.cart('ann', 12, 1) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'a tenth', '{"context": {"amount_minor": 10000000, "currency": "EUR"}}') AS inflated, redeem_test.uses(:'cart');
SELECT redeem_test.place('ann', :'cart');
SELECT redeem_test.cart('ann', 12, 1) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'a tenth', '{"amount_minor": 10000000, "context": {"currency": "USD", "lines": [{"line_no": 1, "unit_minor": 10000000}]}}') AS inflated, redeem_test.uses(:'cart');
-- so are the place and its clock
SELECT redeem_test.use('ann', 'order', :'cart', 'elsewhere', jsonb_build_object('context', jsonb_build_object('location_id', redeem_test.id(32)))) AS another_place;
SELECT count(DISTINCT redeem_test.use('ann', 'order', :'cart', 'at another hour', jsonb_build_object('context', jsonb_build_object('time_zone', format('Etc/GMT%s%s', sign, h))))) AS answers FROM generate_series(11, 12) AS h, unnest('{+,-}'::text[]) AS sign;
-- and whose it is
SELECT redeem_test.use('bob', 'order', :'cart', 'a tenth') AS of_another, redeem_test.use('bob', 'order', :'cart', 'a tenth', jsonb_build_object('customer_id', redeem_test.of('ann'))) AS for_another,
    redeem_test.use('bob', 'order', redeem_test.id(99), 'a tenth', '{"amount_minor": 1000}') AS of_nobody, redeem_test.use('bob', 'booking', :'cart', 'a tenth') AS no_booking;
SELECT redeem_test.use('bob', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}') AS of_another;
SELECT redeem_test.place('ann', :'cart'), redeem_test.uses(:'cart');
SELECT redeem_test.use('ann', 'order', :'cart', 'elsewhere') AS too_late;

-- A cart that has changed since has what it is due then: in what it costs before it is placed, too
SELECT redeem_test.cart('ann', 1, 100) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'a tenth', '{"idempotency_key": "tenth-of-100"}'), redeem_test.uses(:'cart');
SELECT wash.set_order_line(:'cart', 1, line_no => 1) \g /dev/null
SELECT redeem_test.sums(wash.preview_order(:'cart')) AS preview, redeem_test.uses(:'cart');
SELECT redeem_test.place('ann', :'cart'), redeem_test.uses(:'cart');
SELECT o.uses = (SELECT count(*) FROM wash.offer_uses AS u WHERE u.offer_id = o.id AND NOT u.is_released) AS counted FROM wash.loyalty_offers AS o WHERE o.title = 'a tenth';
SELECT redeem_test.cart('ann', 1, 1) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'a tenth');
SELECT wash.set_order_line(:'cart', 30, line_no => 1) \g /dev/null
SELECT redeem_test.place('ann', :'cart') AS grown, redeem_test.uses(:'cart');
-- what does not apply any more is released: a voucher below its minimum, which another cart can have then; beside it, the rest
SELECT redeem_test.cart('ann', 1, 20) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}'), redeem_test.use('ann', 'order', :'cart', 'a tenth') AS beside;
SELECT redeem_test.sums(wash.get_order(:'cart'));
SELECT wash.set_order_line(:'cart', 9, line_no => 1) \g /dev/null
SELECT redeem_test.sums(wash.preview_order(:'cart')) AS preview;
SELECT redeem_test.place('ann', :'cart'), redeem_test.uses(:'cart'), (SELECT uses FROM wash.offer_vouchers WHERE offer_id = redeem_test.titled('six off ten')) AS uses;
SELECT payload ->> 'rule' AS rule FROM usher.events WHERE event = 'loyalty.offer_released' AND payload ->> 'reference_id' = :'cart' ORDER BY id;
-- an offer that has ended meanwhile, a voucher that was revoked, an offer that cannot be judged any more
SELECT redeem_test.cart('ann', 1, 20) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}');
SELECT wash.revoke_vouchers(redeem_test.titled('six off ten'));
SELECT redeem_test.place('ann', :'cart'), redeem_test.uses(:'cart');
SELECT wash.restore_vouchers(redeem_test.titled('six off ten'));
SELECT redeem_test.cart('ann', 1, 20) AS cart \gset
SELECT redeem_test.use('ann', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}');
ALTER FUNCTION wash._judge_uses(text, uuid, timestamptz, jsonb) RENAME TO _judge_no_uses;
SELECT redeem_test.place('ann', :'cart') AS not_judged, redeem_test.uses(:'cart');
ALTER FUNCTION wash._judge_no_uses(text, uuid, timestamptz, jsonb) RENAME TO _judge_uses;
SELECT error_message FROM usher.search_audit(event_type => 'loyalty.offers_failed') WHERE resource_id = :'cart';

-- Staff may state what the shop does not know, but no higher amount, no other currency and no other customer
SELECT usher.grant_permission(permission => 'loyalty:redeem', to_user => redeem_test.of('dan')) \g /dev/null
SELECT redeem_test.cart('bob', 12, 1) AS cart \gset
SELECT redeem_test.use('dan', 'order', :'cart', 'a tenth', '{"context": {"currency": "USD"}}') AS another_currency, redeem_test.use('dan', 'order', :'cart', 'a tenth', jsonb_build_object('customer_id', redeem_test.of('cat'))) AS another_customer;
SELECT redeem_test.use('dan', 'order', :'cart', 'a tenth', '{"context": {"amount_minor": 10000000}}') AS no_more, redeem_test.uses(:'cart');
SELECT redeem_test.cart('bob', 12, 1) AS cart \gset
SELECT redeem_test.use('dan', 'order', :'cart', 'elsewhere', jsonb_build_object('amount_minor', 400, 'context', jsonb_build_object('location_id', redeem_test.id(32)))) AS stated, redeem_test.uses(:'cart');
SELECT redeem_test.place('bob', :'cart') AS stays, redeem_test.uses(:'cart'), (SELECT bool_and(u.customer_id = redeem_test.of('bob')) FROM wash.offer_uses AS u WHERE u.reference_id = :'cart') AS bobs;

-- A cart that is given up gives back what was used for it, and nobody writes to anybody about it
SELECT redeem_test.cart('cat', 1, 20) AS cart \gset
SELECT redeem_test.use('cat', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}');
SELECT (wash.cancel_order(:'cart')).status, redeem_test.work(), redeem_test.uses(:'cart');
SELECT (wash.cancel_order(redeem_test.cart('cat', 1, 1))).status AS without_discounts;
SELECT redeem_test.cart('cat', 1, 20) AS cart \gset
SELECT redeem_test.use('cat', 'order', :'cart', 'six off ten', '{"offer_id": null, "voucher_code": "SIX-OFF-TEN"}') AS again;
SELECT usher.delete_user(redeem_test.of('cat')) \g /dev/null
SELECT redeem_test.work(), redeem_test.uses(:'cart');
SELECT count(*) AS carts FROM usher.events WHERE event = 'order.abandoned' AND payload ->> 'customer_id' = redeem_test.of('cat')::text;
SELECT count(*) AS messages FROM wash.messages AS m WHERE m.event = 'order.cancelled' AND m.user_id = redeem_test.of('cat');

-- Bookings: when and where they take place
CREATE TABLE redeem_test.booked AS SELECT (wash.create_location('Redeemed', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Pacific/Auckland', max_concurrent_bookings => 50)).id AS location, (wash.create_service('Redeemed', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false)).id AS service;
SELECT wash.set_location_hours(location, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'), wash.set_location_services(location, ARRAY[service]) FROM redeem_test.booked \g /dev/null
SELECT redeem_test.offer('{"title": "at nine", "kind": "percent", "percent": 20, "hours": "[9,10)", "time_zone": "Europe/Berlin"}');
SELECT (date_trunc('day', now() AT TIME ZONE 'Pacific/Auckland') + interval '3 days') AT TIME ZONE 'Pacific/Auckland' AS day \gset
CREATE TABLE redeem_test.bookings AS SELECT hour, b.booking_id
FROM unnest('{9,21}'::integer[]) AS hour, redeem_test.booked, LATERAL wash.create_booking((wash.upsert_customer(redeem_test.of('bob'), name => 'Bob')).id, service, location, :'day'::timestamptz + hour * interval '1 hour') AS b;
SELECT hour, redeem_test.use('bob', 'booking', booking_id, 'at nine', '{"context": {"time_zone": "UTC", "amount_minor": 99999}}') AS answer, redeem_test.use('ann', 'booking', booking_id, 'at nine') AS of_another, redeem_test.uses(booking_id) FROM redeem_test.bookings ORDER BY hour;
SELECT (wash.cancel_booking(booking_id, 'customer_request')).status FROM redeem_test.bookings ORDER BY hour;
SELECT redeem_test.use('bob', 'booking', booking_id, 'at nine') AS too_late FROM redeem_test.bookings ORDER BY hour LIMIT 1;

-- Points of what was kept: 10 each
SELECT (wash.create_earning_rule(jsonb_build_object('code', 'redeem_' || split_part(e, '.', 1), 'event', e, 'points', 'r.amount_minor / 100'))).rule_version FROM unnest('{order.completed,booking.completed}'::text[]) AS e;
SELECT count(wash.set_offer_status(o.id, 'archived')) AS ended FROM wash.loyalty_offers AS o WHERE o.status = 'active';
CREATE FUNCTION redeem_test.pay(payment uuid, ok text DEFAULT 'succeeded') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    attempt CONSTANT uuid := (wash.begin_payment_attempt(payment, 'px')).attempt_id;
BEGIN
    PERFORM wash.record_payment_result(attempt, ok, CASE ok WHEN 'succeeded' THEN 'pi_' || attempt END);
    RETURN attempt;
END
$$;
CREATE FUNCTION redeem_test.refund(of_reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(r.amount_minor || ' ' || (wash.record_refund_result(r.id, 'succeeded', 're_' || r.id)).status, ', ') FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.reference_id = of_reference AND r.status IN ('pending', 'processing')
$$;
CREATE FUNCTION redeem_test.payment(of_reference uuid) RETURNS uuid LANGUAGE sql AS $$ SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = of_reference ORDER BY t.id LIMIT 1 $$;
CREATE FUNCTION redeem_test.points(of_reference uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    worked CONSTANT text := redeem_test.work();
BEGIN
    RETURN worked || ': ' || coalesce((SELECT string_agg(e.kind || ' ' || e.points, ', ' ORDER BY e.id) FROM wash.points_entries AS e WHERE e.source_id = of_reference AND e.source_type <> 'payment'), 'none');
END
$$;
CREATE FUNCTION redeem_test.complete(of_order uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wash.fulfil_order(of_order);
    RETURN (wash.complete_order(of_order)).status;
END
$$;
-- one of two was cancelled and refunded before the other was sent
SELECT redeem_test.cart('bob', 1, 20) AS cart \gset
SELECT redeem_test.place('bob', :'cart');
SELECT redeem_test.pay(redeem_test.payment(:'cart')) IS NOT NULL AS paid;
SELECT redeem_test.sums(wash.cancel_order(:'cart', lines => '[{"line_no": 1, "quantity": 10}]')), redeem_test.refund(:'cart'), redeem_test.points(:'cart');
SELECT redeem_test.complete(:'cart'), redeem_test.points(:'cart');
-- charged twice, and the second charge went back
SELECT redeem_test.cart('bob', 1, 10) AS cart \gset
SELECT redeem_test.place('bob', :'cart');
SELECT redeem_test.pay(redeem_test.payment(:'cart'), 'declined') AS first \gset
SELECT redeem_test.pay(redeem_test.payment(:'cart')) IS NOT NULL AS paid, redeem_test.complete(:'cart'), redeem_test.points(:'cart');
SELECT status FROM wash.record_payment_result(:'first', 'succeeded', 'pi_twice');
SELECT redeem_test.refund(:'cart'), redeem_test.points(:'cart');
-- and then half of it, and the rest
SELECT status FROM wash.create_refund(redeem_test.payment(:'cart'), 500);
SELECT redeem_test.refund(:'cart'), redeem_test.points(:'cart');
SELECT status FROM wash.create_refund(redeem_test.payment(:'cart'), 500);
SELECT redeem_test.refund(:'cart'), redeem_test.points(:'cart');
-- paid twice for a booking: the second payment goes back, before it is completed
SELECT b.booking_id AS booking FROM redeem_test.booked, wash.create_booking((wash.upsert_customer(redeem_test.of('bob'), name => 'Bob')).id, service, location, :'day'::timestamptz + interval '12 hours') AS b \gset
SELECT count(redeem_test.pay((wash.create_payment(redeem_test.of('bob'), 1000, 'EUR', 'credit_card', 'booking', :'booking', purpose)).transaction_id)) AS payments FROM unnest('{sale,again}'::text[]) AS purpose;
SELECT coalesce(redeem_test.refund(:'booking'), (wash.create_refund((SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = :'booking' ORDER BY t.id DESC LIMIT 1))).status, 'none'), redeem_test.refund(:'booking') IS NOT NULL AS one_left, redeem_test.points(:'booking');
SELECT usher.publish('booking.completed', jsonb_build_object('id', b.id, 'customer_id', b.customer_id, 'customer_user_id', b.customer_user_id, 'price_minor', b.price_minor, 'currency', b.currency, 'completed_at', now())) IS NOT NULL AS completed FROM wash.bookings AS b WHERE b.id = :'booking';
SELECT redeem_test.points(:'booking');
-- returned, whoever gives the money back: once
SELECT redeem_test.cart('bob', 1, 20) AS cart \gset
SELECT redeem_test.place('bob', :'cart');
SELECT (wash.record_order_payment(:'cart', 2000)).status, redeem_test.complete(:'cart'), redeem_test.points(:'cart');
SELECT (wash.return_order(:'cart', '[{"line_no": 1, "quantity": 5}]')).payment_status, redeem_test.points(:'cart');
SELECT (wash.return_order(:'cart', NULL)).payment_status, redeem_test.points(:'cart');
SELECT redeem_test.cart('bob', 1, 20) AS cart \gset
SELECT redeem_test.place('bob', :'cart');
SELECT redeem_test.pay(redeem_test.payment(:'cart')) IS NOT NULL AS paid, redeem_test.complete(:'cart'), redeem_test.points(:'cart');
SELECT (wash.return_order(:'cart', '[{"line_no": 1, "quantity": 10}]')).payment_status, redeem_test.points(:'cart') AS returned, redeem_test.refund(:'cart'), redeem_test.points(:'cart');
SELECT s.amount_minor, s.kept_minor, s.captured_minor, s.refunded_minor, d.kind, d.amount_minor AS deducted FROM wash.points_sources AS s JOIN wash.points_deductions AS d USING (source_type, source_id) WHERE s.source_id = :'cart';
-- in whatever order they are heard of
CREATE FUNCTION redeem_test.heard(n integer, VARIADIC steps text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    step text;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        PERFORM wash._on_purchase(CASE step WHEN 'completed' THEN 'order.completed' WHEN 'returned' THEN 'order.returned' WHEN 'paid' THEN 'payment.completed' ELSE 'payment.partially_refunded' END, jsonb_build_object('id', redeem_test.id(n),
            'customer_id', redeem_test.id(n + 1), 'currency', 'EUR', 'total_minor', CASE step WHEN 'completed' THEN 1000 ELSE 700 END) || CASE WHEN step IN ('completed', 'returned') THEN '{}' ELSE jsonb_build_object('transaction_id', redeem_test.id(n + CASE step WHEN 'paid' THEN 2 ELSE 3 END),
            'captured_minor', 300, 'refunded_minor', 100, 'reference_type', 'order', 'reference_id', redeem_test.id(n), 'reference_captured_minor', CASE step WHEN 'paid' THEN 1100 ELSE 300 END, 'reference_refunded_minor', 100) END);
    END LOOP;
    RETURN (SELECT sum(e.points) FROM wash.points_entries AS e WHERE e.source_id = redeem_test.id(n));
END
$$;
SELECT redeem_test.heard(1000, 'completed', 'back', 'paid') AS a, redeem_test.heard(1010, 'paid', 'back', 'completed') AS b, redeem_test.heard(1020, 'back', 'completed', 'paid') AS c, redeem_test.heard(1030, 'completed', 'paid', 'back') AS d,
    redeem_test.heard(1040, 'returned', 'completed', 'back', 'paid', 'returned') AS e, redeem_test.heard(1050, 'back', 'paid', 'completed', 'returned', 'completed') AS f;

-- A referral is rewarded for money that stays
SELECT wash.define_referral_program(100, 50) \g /dev/null
SELECT status FROM wash.create_referral(referee_id => redeem_test.of('dan'), referrer_id => redeem_test.of('bob'));
SELECT redeem_test.cart('dan', 1, 10) AS cart \gset
SELECT redeem_test.place('dan', :'cart');
SELECT (wash.begin_payment_attempt(redeem_test.payment(:'cart'), 'px')).attempt_id AS attempt \gset
SELECT (wash.cancel_order(:'cart')).status, (wash.record_payment_result(:'attempt', 'succeeded', 'pi_late')).status AS payment;
SELECT redeem_test.work(), status FROM wash.referrals WHERE referee_id = redeem_test.of('dan');
SELECT wash._on_first_purchase('payment.completed', jsonb_build_object('customer_id', redeem_test.of('dan'), 'captured_minor', 1000) || more), (SELECT r.status FROM wash.referrals AS r WHERE r.referee_id = redeem_test.of('dan'))
FROM unnest(ARRAY['{"refunded_minor": 1000}', '{"purpose": "duplicate"}', '{"payment_method": "points"}']::jsonb[]) AS more;
SELECT wash._on_first_purchase('order.completed', jsonb_build_object('customer_id', redeem_test.of('dan'), 'total_minor', 0));
SELECT status FROM wash.referrals WHERE referee_id = redeem_test.of('dan');
SELECT redeem_test.cart('dan', 1, 10) AS cart \gset
SELECT redeem_test.place('dan', :'cart');
SELECT redeem_test.pay(redeem_test.payment(:'cart')) IS NOT NULL AS paid, redeem_test.work();
SELECT status FROM wash.referrals WHERE referee_id = redeem_test.of('dan');

SELECT redeem_test.refusal(format('SELECT wash.adjust_points(%L, 1000000000000000, ''no'')', redeem_test.of('bob'))) AS too_many;
SELECT rule, violations FROM (SELECT * FROM wash._shop_self_check() UNION ALL SELECT * FROM wash._loyalty_self_check()) AS c WHERE violations > 0;
SELECT count(wash.end_earning_rule(c)) AS ended FROM unnest('{redeem_order,redeem_booking}'::text[]) AS c;
SET client_min_messages = error;
DROP SCHEMA redeem_test CASCADE;

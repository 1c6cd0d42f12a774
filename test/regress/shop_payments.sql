-- Money for orders and bookings that comes from several sides: recorded by hand and captured, for carts, twice, in parts, given back by
-- hand, refunds that a processor declines, returns of what nobody has paid for, and discounts of bookings.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA money_test;
CREATE FUNCTION money_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION money_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8013-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION money_test.cart(customer uuid, quantity integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (wash.create_order(money_test.id(11), jsonb_build_array(jsonb_build_object('product_id', money_test.id(1), 'quantity', quantity)), customer)).order_id
$$;
CREATE FUNCTION money_test.placed(customer uuid, quantity integer) RETURNS uuid LANGUAGE sql AS $$ SELECT (wash.place_order(money_test.cart(customer, quantity))).order_id $$;
CREATE FUNCTION money_test.stands(reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s, %s: total %s, paid %s, refunded %s; recorded %s, handed back %s, kept %s', o.status, (wash.get_order(o.id)).payment_status, o.total_minor, o.paid_minor, o.refunded_minor, o.recorded_minor, o.handed_back_minor, o.kept_minor)
    FROM wash.orders AS o WHERE o.id = reference
    UNION ALL
    SELECT format('%s%s: price %s - %s, paid %s', b.status, CASE WHEN b.paid_at IS NOT NULL THEN ', paid' END, b.price_minor, b.discount_minor, b.paid_minor) FROM wash.bookings AS b WHERE b.id = reference
$$;
CREATE FUNCTION money_test.payments(reference uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s%s%s', t.purpose, t.status, t.amount_minor, CASE WHEN t.closed_at IS NOT NULL THEN ' closed' END, (SELECT ' refund ' || string_agg(r.status || ' ' || r.amount_minor, ', ' ORDER BY r.created_at, r.id)
        FROM wash.payment_refunds AS r WHERE r.transaction_id = t.id)), '; ' ORDER BY t.created_at, t.id) FROM wash.payment_transactions AS t WHERE t.reference_id = reference
$$;
CREATE FUNCTION money_test.open(reference uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = reference AND t.status IN ('pending', 'failed') AND t.closed_at IS NULL AND t.exclusive
$$;
CREATE FUNCTION money_test.pay(reference uuid) RETURNS text LANGUAGE sql AS $$ SELECT (wash.record_manual_payment(money_test.open(reference), 'cash')).status $$;
CREATE FUNCTION money_test.pay(customer uuid, kind text, reference uuid, amount bigint) RETURNS uuid LANGUAGE sql AS $$
    SELECT (wash.record_manual_payment((wash.create_payment(customer, amount, 'EUR', 'cash', kind, reference, 'by_hand')).transaction_id)).transaction_id
$$;
-- the last refund of a reference succeeds, or does not
CREATE FUNCTION money_test.refund(reference uuid, outcome text) RETURNS text LANGUAGE sql AS $$
    SELECT (wash.record_refund_result((SELECT r.id FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id
        WHERE t.reference_id = reference AND r.status IN ('pending', 'processing') ORDER BY r.created_at DESC, r.id DESC LIMIT 1), outcome)).status
$$;
-- what payments say of a reference, as usher_payment says it
CREATE FUNCTION money_test.say(event text, kind text, reference text) RETURNS boolean LANGUAGE sql AS $$
    SELECT usher.publish(event, (SELECT jsonb_build_object('reference_type', kind, 'reference_id', reference, 'transaction_id', min(t.id::text), 'currency', 'EUR', 'captured_minor', sum(t.captured_minor),
        'refunded_minor', sum(t.refunded_minor + t.refund_reserved_minor), 'reference_captured_minor', sum(t.captured_minor), 'reference_refunded_minor', sum(t.refunded_minor + t.refund_reserved_minor))
        FROM wash.payment_transactions AS t WHERE t.reference_id = reference::uuid)) IS NOT NULL
$$;
CREATE FUNCTION money_test.wrong() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.rule || ' ' || c.violations, ', ') FROM (SELECT * FROM wash._shop_self_check() UNION ALL SELECT * FROM wash._payment_self_check() UNION ALL SELECT * FROM wash._booking_self_check()) AS c WHERE c.violations > 0
$$;
SELECT usher.apply_role_preset('carwash') \g /dev/null
SELECT usher.apply_role_preset('shop') \g /dev/null
SELECT user_id AS ann FROM usher.register_user('ann@money.example', 'the password of ann', 'Ann') \gset
SELECT sku FROM wash.create_product('money-cream', 'Cream', 'product', 1000, track_stock => false, id => money_test.id(1), status => 'active');

-- Money recorded by hand and money of payments add up, and what is left is asked for
SELECT money_test.placed(:'ann', 10) AS o \gset
SELECT money_test.payments(:'o');
SELECT wash.record_order_payment(:'o', 4000) \g /dev/null
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.pay(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- with all of it, nothing is asked for any more
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT wash.record_order_payment(:'o', 1000) \g /dev/null
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- while the processor is at it: what it takes goes back
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(money_test.open(:'o'), 'money') \gset
SELECT wash.record_order_payment(:'o', 1000) \g /dev/null
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'money_1');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- too much by hand: no payment has it, so it is handed back; and what a payment says later changes nothing of that
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT wash.record_order_payment(:'o', 1500) \g /dev/null
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT payload ->> 'amount_minor' AS amount FROM usher.events WHERE event = 'order.refund_proposed' AND key = :'o';
SELECT money_test.pay(:'ann', 'order', :'o', 300) IS NOT NULL AS paid;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- expired, both go back
SELECT money_test.placed(:'ann', 2) AS o \gset
SELECT wash.record_order_payment(:'o', 500) \g /dev/null
SELECT money_test.pay(:'ann', 'order', :'o', 300) IS NOT NULL AS paid;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.wrong();

-- A payment by another way than the one that was asked for closes that
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 1000) IS NOT NULL AS paid;
SELECT money_test.stands(:'o'), money_test.payments(:'o');

-- Money for a cart counts when it is placed, and goes back when it is given up
SELECT money_test.cart(:'ann', 2) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 2000) IS NOT NULL AS paid;
SELECT money_test.stands(:'o');
SELECT status FROM wash.place_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.cart(:'ann', 2) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 500) IS NOT NULL AS paid;
SELECT status FROM wash.place_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
UPDATE wash.orders SET expires_at = now() - interval '1 minute' WHERE id = :'o';
SELECT wash._end_overdue(10) > 0 AS ended;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.cart(:'ann', 2) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 500) IS NOT NULL AS paid;
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.pay(:'ann', 'order', :'o', 300) IS NOT NULL AS paid_late;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.wrong();

-- A refund that did not succeed: the order is paid again, and does not ask for the same once more
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT money_test.pay(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.refund(:'o', 'declined');
SELECT money_test.say('refund.failed', 'order', upper(:'o'));
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT count(*) AS proposed FROM usher.events WHERE event = 'order.refund_proposed' AND key = :'o';
SELECT money_test.wrong();
-- nor when something else is heard of it, of which what is new goes back; staff try again
SELECT money_test.pay(:'ann', 'order', :'o', 300) IS NOT NULL AS paid_late;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.create_refund((SELECT min(t.id::text)::uuid FROM wash.payment_transactions AS t WHERE t.reference_id = :'o' AND t.amount_minor = 1000));
SELECT money_test.refund(:'o', 'succeeded');
SELECT money_test.stands(:'o');
SELECT money_test.wrong();

-- Refunded by hand, and cancelled, returned or placed before that is sent: the same as after it
CREATE FUNCTION money_test.refund_by_hand(reference uuid, amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(r.status || ' ' || r.amount_minor, ', ' ORDER BY r.refund_id) FROM wash.refund_reference('order', reference, 'EUR', amount, 'damaged') AS r
$$;
SELECT money_test.placed(:'ann', 10) AS o \gset
SELECT money_test.pay(:'o');
SELECT money_test.refund_by_hand(:'o', 3000);
SELECT money_test.stands(:'o');
SELECT status FROM wash.cancel_order(:'o', 'damaged', '[{"line_no": 1, "quantity": 3}]');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT payload ->> 'amount_minor' AS amount, payload ->> 'left_minor' AS "left", payload ->> 'handed_back_minor' AS handed_back FROM usher.events WHERE event = 'order.refund_proposed' AND key = :'o';
SELECT money_test.refund(:'o', 'succeeded');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- more is cancelled than was refunded: the rest goes back; and when what staff wanted back fails, they decide again
SELECT money_test.refund_by_hand(:'o', 1000);
SELECT status FROM wash.cancel_order(:'o', 'damaged', '[{"line_no": 1, "quantity": 3}]');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.refund(:'o', 'succeeded'), money_test.refund(:'o', 'declined');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- of several payments, sent in part before the return
SELECT money_test.placed(:'ann', 3) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 1000) IS NOT NULL AS paid;
SELECT money_test.pay(:'o');
SELECT status FROM wash.fulfil_order(:'o');
SELECT money_test.refund_by_hand(:'o', 2500);
SELECT money_test.refund(:'o', 'succeeded');
SELECT status FROM wash.return_order(:'o', '[{"line_no": 1, "quantity": 3}]');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.refund(:'o', 'succeeded'), money_test.refund(:'o', 'succeeded');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- charged twice: what goes back of that is not taken for a refund of the order
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT attempt_id AS first FROM wash.begin_payment_attempt(money_test.open(:'o'), 'money') \gset
SELECT status FROM wash.record_payment_result(:'first', 'declined');
SELECT attempt_id AS second FROM wash.begin_payment_attempt(money_test.open(:'o'), 'money') \gset
SELECT status FROM wash.record_payment_result(:'second', 'succeeded', 'money_2');
SELECT status FROM wash.record_payment_result(:'first', 'succeeded', 'money_3');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- what is on its way back of a cart does not pay the order; nor of one that is not paid yet, whatever is recorded then
SELECT money_test.cart(:'ann', 2) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 2000) IS NOT NULL AS paid;
SELECT money_test.refund_by_hand(:'o', 2000);
SELECT status FROM wash.place_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.refund(:'o', 'succeeded');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.placed(:'ann', 2) AS o \gset
SELECT money_test.pay(:'ann', 'order', :'o', 500) IS NOT NULL AS paid;
SELECT money_test.refund_by_hand(:'o', 500);
SELECT status FROM wash.record_order_payment(:'o', 1500);
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.refund(:'o', 'declined');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.wrong();

-- What was recorded by hand is handed back also where payments have as much, which a refund did not give back
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT status FROM wash.record_order_payment(:'o', 1000);
SELECT money_test.pay(:'ann', 'order', :'o', 1000) IS NOT NULL AS paid;
SELECT money_test.refund(:'o', 'declined');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT payload ->> 'amount_minor' AS amount, payload ->> 'left_minor' AS "left", payload ->> 'handed_back_minor' AS handed_back FROM usher.events WHERE event = 'order.refund_proposed' AND key = :'o' ORDER BY id;
SELECT money_test.refund_by_hand(:'o', NULL), money_test.refund(:'o', 'succeeded');
SELECT money_test.stands(:'o');
SELECT money_test.wrong();

-- A bank holds the money that was to go back: what it returns goes back then
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT money_test.pay(:'o');
SELECT status FROM wash.cancel_order(:'o');
SELECT r.status FROM wash.payment_refunds AS x JOIN wash.payment_transactions AS t ON t.id = x.transaction_id, LATERAL wash.cancel_refund(x.id) AS r WHERE t.reference_id = :'o';
CREATE FUNCTION money_test.say(event text, reference text, captured bigint, refunded bigint) RETURNS text LANGUAGE sql AS $$
    SELECT usher.publish(event, jsonb_build_object('reference_type', 'order', 'reference_id', reference, 'currency', 'EUR', 'reference_captured_minor', captured, 'reference_refunded_minor', refunded));
    SELECT money_test.stands(reference::uuid)
$$;
SELECT money_test.say('payment.disputed', :'o', 0, 1000);
SELECT money_test.say('refund.cancelled', :'o', 0, 0);
SELECT money_test.say('payment.dispute_closed', :'o', 1000, 0);
SELECT money_test.payments(:'o');
SELECT money_test.wrong();
-- what goes back anyway goes back once, whoever asks for it first: of a payment that was given up
CREATE FUNCTION money_test.hook(event_id text, type text, transaction text, amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT effect FROM wash.ingest_webhook('money', event_id, type, now(), jsonb_build_object('transaction_id', transaction, 'dispute_id', 'dp_' || transaction, 'amount_minor', amount, 'currency', 'EUR'))
$$;
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(money_test.open(:'o'), 'money') \gset
SELECT status FROM wash.cancel_order(:'o');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'money_d1');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.hook('d1', 'dispute.opened', 'money_d1', 1000), money_test.hook('d2', 'dispute.won', 'money_d1', 1000);
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- of the second of two charges
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT money_test.open(:'o') AS p \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'p', 'money') \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT attempt_id AS second FROM wash.begin_payment_attempt(:'p') \gset
SELECT status FROM wash.record_payment_result(:'second', 'succeeded', 'money_d2');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'money_d3');
SELECT money_test.hook('d3', 'dispute.opened', 'money_d3', 1000), money_test.hook('d4', 'dispute.won', 'money_d3', 1000);
SELECT money_test.stands(:'o'), money_test.payments(:'o');
-- of a part: what the bank has not taken goes back at once, the rest when the bank returns it
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(money_test.open(:'o'), 'money') \gset
SELECT status FROM wash.cancel_order(:'o');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'money_d4');
SELECT money_test.hook('d5', 'dispute.opened', 'money_d4', 600);
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.hook('d6', 'dispute.won', 'money_d4', 600);
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT money_test.wrong();

-- What comes back of an order that nobody has paid for is not asked for
SELECT money_test.placed(:'ann', 2) AS o \gset
SELECT status FROM wash.fulfil_order(:'o');
SELECT status FROM wash.return_order(:'o', '[{"line_no": 1, "quantity": 1}]');
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT status FROM wash.return_order(:'o', NULL);
SELECT money_test.stands(:'o'), money_test.payments(:'o');

-- An id in upper case is the same id
SELECT money_test.placed(:'ann', 1) AS o \gset
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'order', 'reference_id', upper(:'o'), 'transaction_id', 't', 'currency', 'EUR', 'captured_minor', 1000, 'refunded_minor', 0)) IS NOT NULL AS told;
SELECT money_test.stands(:'o'), money_test.payments(:'o');
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'order', 'reference_id', 'not one', 'currency', 'EUR', 'captured_minor', 1000)) IS NOT NULL AS told;
SELECT v.value, usher.uuid_or_null(v.value) FROM (VALUES ('018F4E7A-0000-7ABC-8DEF-000000000001'), ('018f4e7a-0000-7abc-8def-000000000001'), ('018f4e7a00007abc8def000000000001'), ('{018f4e7a-0000-7abc-8def-000000000001}'), ('018f4e7a-0000-7abc-8def-00000000000g'), (''), (NULL)) AS v (value);

-- Bookings
SELECT id AS location FROM wash.create_location('Money', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 50) \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT id AS prepaid FROM wash.create_service('Prepaid', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full') \gset
SELECT id AS deposit FROM wash.create_service('Deposit', '1 hour', 1001, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'deposit', deposit_minor => 300) \gset
SELECT id AS for_nothing FROM wash.create_service('For nothing', '1 hour', 0, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full') \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'prepaid', :'deposit', :'for_nothing']::uuid[]);
SELECT date_trunc('hour', now()) + interval '100 hours' AS far \gset

-- refunded by hand and paid anew
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT money_test.pay(:'b');
SELECT money_test.stands(:'b');
SELECT status FROM wash.create_refund((SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = :'b'), 400, reason_code => 'goodwill');
SELECT money_test.refund(:'b', 'succeeded');
SELECT money_test.stands(:'b');
SELECT status FROM wash.create_refund((SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = :'b'), reason_code => 'wrong_card');
SELECT money_test.refund(:'b', 'succeeded');
SELECT money_test.stands(:'b');
SELECT money_test.pay(:'ann', 'booking', :'b', 1000) IS NOT NULL AS paid;
SELECT money_test.stands(:'b'), money_test.payments(:'b');
-- a second time goes back, and is paid again when that fails
SELECT money_test.pay(:'ann', 'booking', :'b', 1000) IS NOT NULL AS paid;
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.refund(:'b', 'declined');
SELECT money_test.say('refund.failed', 'booking', upper(:'b'));
SELECT money_test.stands(:'b'), money_test.payments(:'b');
-- a deposit, and then all of it: what is too much goes back, and the rest is not asked for
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'deposit', :'location', :'far') \gset
SELECT money_test.pay(:'b');
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.pay(:'ann', 'booking', :'b', 1001) IS NOT NULL AS paid;
SELECT money_test.stands(:'b'), money_test.payments(:'b');
-- what costs nothing wants nothing in advance
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'for_nothing', :'location', :'far') \gset
SELECT prepay_minor, money_test.payments(:'b') FROM wash.bookings WHERE id = :'b';

-- Discounts of bookings
CREATE FUNCTION money_test.grant(booking text, discount bigint, currency text DEFAULT 'EUR', redemption text DEFAULT 'one') RETURNS boolean LANGUAGE sql AS $$
    SELECT usher.publish('loyalty.discount_granted', jsonb_build_object('reference_type', 'booking', 'reference_id', booking, 'redemption_id', redemption, 'discount_minor', discount, 'currency', currency)) IS NOT NULL
$$;
SELECT o.offer_id AS fifth FROM wash.create_offer('{"title": "money", "kind": "percent", "percent": 20, "needs_voucher": true}') AS o \gset
SELECT status FROM wash.set_offer_status(:'fifth', 'active');
CREATE FUNCTION money_test.voucher(offer uuid, customer uuid, booking uuid, amount bigint) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r.error, r.discount_minor::text) FROM wash.create_vouchers(offer) AS v, LATERAL wash.redeem_offer('booking', booking, customer_id => customer, amount_minor => amount, context => '{"currency": "EUR"}', voucher_code => v.code) AS r
$$;
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT money_test.voucher(:'fifth', :'ann', :'b', 1000);
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.pay(:'b');
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.refusal(format('SELECT money_test.grant(%L, 100, ''EUR'', ''other'')', :'b')) AS paid_already;
SELECT status, refund_due_minor FROM wash.cancel_booking(:'b', 'customer_request');
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.refusal(format('SELECT money_test.grant(%L, 100, ''EUR'', ''other'')', :'b')) AS cancelled;
SELECT money_test.refund(:'b', 'succeeded');
SELECT money_test.stands(:'b');
-- given back before it is paid
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT money_test.voucher(:'fifth', :'ann', :'b', 1000);
SELECT money_test.stands(:'b');
SELECT wash.release_offers('booking', :'b') \g /dev/null
SELECT money_test.stands(:'b'), money_test.payments(:'b');
-- by the payment of what is left, however it was made
SELECT money_test.voucher(:'fifth', :'ann', :'b', 1000);
SELECT money_test.pay(:'ann', 'booking', :'b', 800) IS NOT NULL AS paid;
SELECT money_test.stands(:'b'), money_test.payments(:'b');
-- after the deposit, of the rest
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'deposit', :'location', :'far') \gset
SELECT money_test.pay(:'b');
SELECT money_test.voucher(:'fifth', :'ann', :'b', 1001);
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.pay(:'b');
SELECT money_test.stands(:'b');
-- all of it: nothing is left to pay; the same redemption counts once, another currency not at all, and nobody writes it by hand
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT money_test.refusal(format('SELECT money_test.grant(%L, 1000, ''USD'')', :'b')) AS other_currency;
SELECT money_test.refusal(format('UPDATE wash.bookings SET discount_minor = 1 WHERE id = %L', :'b')) AS by_hand, money_test.refusal(format('UPDATE wash.bookings SET paid_minor = 1 WHERE id = %L', :'b')) AS paid_by_hand;
SELECT money_test.grant(upper(:'b'), 1200), money_test.grant(:'b', 1200);
SELECT money_test.stands(:'b'), money_test.payments(:'b');
SELECT money_test.wrong();

-- Prices that nothing can be sold at
SELECT wrong, money_test.refusal(statement) FROM (VALUES
    ('no currency', 'SELECT wash.create_service(''X'', ''1 hour'', 100, ''XXX'')'), ('too much', 'SELECT wash.create_service(''X'', ''1 hour'', 9223372036854775807, ''EUR'')'), ('below nothing', 'SELECT wash.create_service(''X'', ''1 hour'', -1, ''EUR'')'),
    ('changed to no currency', format('SELECT wash.update_service(%L, ''{"currency": "XXX"}'')', :'prepaid')), ('changed to too much', format('SELECT wash.update_service(%L, ''{"price_minor": 1000000000000001}'')', :'prepaid')),
    ('an offer in no currency', 'SELECT wash.create_offer(''{"title": "x", "kind": "amount", "amount_minor": 1, "currency": "XXX"}'')'), ('an offer of too much', 'SELECT wash.create_offer(''{"title": "x", "kind": "percent", "percent": 1, "min_amount_minor": 1000000000000001}'')'),
    ('an offer changed', format('SELECT wash.update_offer(%L, ''{"max_discount_minor": 1000000000000001}'')', :'fifth')), ('a tier in no currency', 'SELECT wash.define_tier(''MONEY'', 9, 100, ''booking'', ''XXX'')')) AS v (wrong, statement);
SELECT wash.set_offer_status(:'fifth', 'archived') \g /dev/null
DROP SCHEMA money_test CASCADE;

-- What an order or a booking asks for, its exclusive payments, is what it still costs, whoever else pays for it, as much as they like, while a
-- processor is at any of it; and nothing once it is over.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA asked_test;
CREATE FUNCTION asked_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8017-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION asked_test.placed(customer uuid, quantity integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (wash.place_order((wash.create_order(asked_test.id(11), jsonb_build_array(jsonb_build_object('product_id', asked_test.id(1), 'quantity', quantity)), customer)).order_id)).order_id
$$;
CREATE FUNCTION asked_test.book(customer uuid, service integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT booking_id FROM wash.create_booking(customer, asked_test.id(service), asked_test.id(11), date_trunc('hour', now()) + interval '100 hours')
$$;
-- what is due, and what is asked for: at once, and after that; with what is to take the place of a payment that a processor is at
CREATE FUNCTION asked_test.sums(reference uuid) RETURNS TABLE (stands text, due bigint, asked bigint, payments text) LANGUAGE sql AS $$
    SELECT s.stands, s.due, coalesce(p.asked, 0), p.payments
    FROM (SELECT o.status AS stands, CASE WHEN o.status = 'cancelled' THEN 0 ELSE o.total_minor - o.paid_minor END AS due FROM wash.orders AS o WHERE o.id = reference
          UNION ALL
          SELECT b.status || CASE WHEN b.paid_at IS NOT NULL THEN ', paid' ELSE '' END, CASE WHEN b.status = 'cancelled' THEN 0 ELSE b.price_minor - b.discount_minor - b.paid_minor END FROM wash.bookings AS b WHERE b.id = reference) AS s
        CROSS JOIN (SELECT sum(coalesce(t.replacement_minor, t.amount_minor) + t.balance_minor) FILTER (WHERE t.exclusive AND t.closed_at IS NULL AND NOT t.refund_on_success AND t.status IN ('pending', 'processing', 'failed')) AS asked,
                string_agg(format('%s%s %s %s%s%s', t.purpose, CASE WHEN NOT t.exclusive THEN ', not asked,' END, t.status, t.amount_minor, CASE WHEN t.balance_minor > 0 AND t.closed_at IS NULL THEN ' + ' || t.balance_minor END,
                    CASE WHEN t.closed_at IS NOT NULL THEN ' ' || t.close_reason END), '; ' ORDER BY t.created_at, t.id) AS payments
            FROM wash.payment_transactions AS t WHERE t.reference_id = reference) AS p
$$;
CREATE FUNCTION asked_test.open(reference uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = reference AND t.status IN ('pending', 'failed') AND t.closed_at IS NULL AND t.exclusive
$$;
CREATE FUNCTION asked_test.pay(reference uuid) RETURNS text LANGUAGE sql AS $$ SELECT (wash.record_manual_payment(asked_test.open(reference), 'cash')).status $$;
-- they make a payment of a sum, of which this much is taken
CREATE FUNCTION asked_test.pay(customer uuid, kind text, reference uuid, amount bigint, taken bigint) RETURNS text LANGUAGE sql AS $$
    SELECT (wash.record_manual_payment((wash.create_payment(customer, amount, 'EUR', 'cash', kind, reference)).transaction_id, 'cash', taken)).status
$$;
CREATE FUNCTION asked_test.take_off(booking uuid, discount bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT usher.publish('loyalty.discount_granted', jsonb_build_object('reference_type', 'booking', 'reference_id', booking, 'redemption_id', 'asked', 'discount_minor', discount, 'currency', 'EUR')) IS NOT NULL
$$;
SELECT usher.apply_role_preset('carwash') \g /dev/null
SELECT usher.apply_role_preset('shop') \g /dev/null
SELECT user_id AS ann FROM usher.register_user('ann@asked.example', 'the password of ann', 'Ann') \gset
SELECT user_id AS eve FROM usher.register_user('eve@asked.example', 'the password of eve', 'Eve') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'eve';
SELECT usher.issue_token(:'eve', '{}', '1 hour') AS token \gset
SELECT sku FROM wash.create_product('asked-cream', 'Cream', 'product', 1000, track_stock => false, id => asked_test.id(1), status => 'active');
SELECT name FROM wash.create_location('Asked', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 500, id => asked_test.id(11));
SELECT count(wash.set_location_hours(asked_test.id(11), '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT name FROM wash.create_service('Prepaid', '1 hour', 10000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full', id => asked_test.id(21));
SELECT name FROM wash.create_service('Deposit', '1 hour', 10000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'deposit', deposit_minor => 2000, id => asked_test.id(22));
SELECT name FROM wash.create_service('On the spot', '1 hour', 10000, 'EUR', needs_staff => false, customer_exclusive => false, id => asked_test.id(23));
SELECT added FROM wash.set_location_services(asked_test.id(11), ARRAY[asked_test.id(21), asked_test.id(22), asked_test.id(23)]);

-- Somebody who knows the id of an order begins to pay 1 for it, and it changes meanwhile: it asks its own customer
SELECT asked_test.placed(:'ann', 10) AS o \gset
BEGIN;
SELECT usher.authenticate(:'token') = :'eve' AS hers;
SELECT transaction_id AS hers FROM wash.create_payment(NULL, 1, 'EUR', 'card', 'order', :'o') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'hers', 'asked') \gset
COMMIT;
SELECT status FROM wash.cancel_order(:'o', 'x', '[{"line_no": 1, "quantity": 3}]');
SELECT * FROM asked_test.sums(:'o');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'o');
SELECT bool_and(t.customer_id = :'ann') AS anns FROM wash.payment_transactions AS t WHERE t.reference_id = :'o' AND t.exclusive;
BEGIN;
SELECT usher.authenticate(:'token') = :'eve' AS hers;
SELECT amount_minor, status FROM wash.list_payments();
COMMIT;
-- … and when it succeeds, it counts
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'hers', 'asked') \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'asked_1');
SELECT * FROM asked_test.sums(:'o');
SELECT bool_and(t.customer_id = :'ann') AS anns FROM wash.payment_transactions AS t WHERE t.reference_id = :'o' AND t.exclusive;
-- a booking: they pay less than they said, and its customer goes on to be asked
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT asked_test.pay(:'b');
SELECT asked_test.pay(:'eve', 'booking', :'b', 2, 1);
SELECT * FROM asked_test.sums(:'b');
SELECT bool_and(t.customer_id = :'ann') AS anns FROM wash.payment_transactions AS t WHERE t.reference_id = :'b' AND t.exclusive;
-- a friend's part, of which less comes, beside one that the processor is at
SELECT asked_test.placed(:'ann', 10) AS o \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'o'), 'asked') \gset
SELECT asked_test.pay(:'eve', 'order', :'o', 5000, 4000);
SELECT * FROM asked_test.sums(:'o');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'o');

-- Bookings: less than they said beside the balance, and beside the prepayment
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'b');
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'ann', 'booking', :'b', 5000, 3000);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT asked_test.pay(:'ann', 'booking', :'b', 5000, 3000);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'b');
SELECT * FROM asked_test.sums(:'b');
-- something is taken off while the processor is at the deposit: it succeeds, it fails
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.take_off(:'b', 3000);
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'asked_2');
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.take_off(:'b', 3000);
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'b');
-- … at the prepayment: it fails, after a part was taken off, and after all of it
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.take_off(:'b', 3000);
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.take_off(:'b', 10000);
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'b');
-- … and less comes than was asked for
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.take_off(:'b', 3000);
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'asked_3', 6000);
SELECT * FROM asked_test.sums(:'b');
-- others pay the deposit while the processor is at it, which fails then: the balance
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT asked_test.pay(:'eve', 'booking', :'b', 2500, 2500);
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'b');
-- something by hand, then the deposit
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT asked_test.pay(:'ann', 'booking', :'b', 500, 500);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'b');
SELECT * FROM asked_test.sums(:'b');
-- less than the deposit
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT status FROM wash.record_manual_payment(asked_test.open(:'b'), 'cash', 1500);
SELECT * FROM asked_test.sums(:'b');
-- nothing is wanted in advance, and nothing is asked for, but by staff; what is paid otherwise closes that
SELECT asked_test.book(:'ann', 23) AS b \gset
SELECT asked_test.pay(:'ann', 'booking', :'b', 10000, 4000);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'ann', 'booking', :'b', 6000, 6000);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.book(:'ann', 23) AS b \gset
SELECT status FROM wash.record_manual_payment((wash.create_payment(:'ann', 10000, 'EUR', 'cash', 'booking', :'b', exclusive => true)).transaction_id, 'cash', 4000);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'ann', 'booking', :'b', 6000, 6000);
SELECT * FROM asked_test.sums(:'b');
-- a refund that staff make is asked for again while the booking is not paid, and not when it is
SELECT asked_test.book(:'ann', 22) AS b \gset
SELECT asked_test.pay(:'b');
SELECT refund_id AS refund FROM wash.refund_reference('booking', :'b', 'EUR', 500) \gset
SELECT status FROM wash.record_refund_result(:'refund', 'succeeded');
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.pay(:'b'), asked_test.pay(:'b');
SELECT refund_id AS refund FROM wash.refund_reference('booking', :'b', 'EUR', 500) \gset
SELECT status FROM wash.record_refund_result(:'refund', 'succeeded');
SELECT * FROM asked_test.sums(:'b');

-- What is over asks for nothing: cancelled, paid, completed, with a payment of theirs of which a part is taken later, or one of staff
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT transaction_id AS theirs FROM wash.create_payment(:'ann', 1112, 'EUR', 'card', 'booking', :'b') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'theirs', 'asked') \gset
SELECT transaction_id AS staffs FROM wash.create_payment(:'ann', 700, 'EUR', 'card', 'booking', :'b', 'tip', exclusive => true) \gset
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'asked_4', 557);
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_manual_payment((wash.create_payment(:'ann', 700, 'EUR', 'card', 'booking', :'b', 'tip', exclusive => true)).transaction_id, 'cash', 300);
SELECT * FROM asked_test.sums(:'b');
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT transaction_id AS theirs FROM wash.create_payment(:'ann', 1112, 'EUR', 'card', 'booking', :'b') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'theirs', 'asked') \gset
SELECT asked_test.pay(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'asked_5', 557);
SELECT * FROM asked_test.sums(:'b');
CREATE FUNCTION asked_test.late(customer uuid, way text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    reference CONSTANT uuid := asked_test.placed(customer, 2);
    attempt CONSTANT uuid := (wash.begin_payment_attempt((wash.create_payment(customer, 1112, 'EUR', 'card', 'order', reference)).transaction_id, 'asked')).attempt_id;
BEGIN
    IF way = 'cancelled' THEN
        PERFORM wash.cancel_order(reference);
    ELSE
        PERFORM asked_test.pay(reference);
    END IF;
    IF way = 'completed' THEN
        PERFORM wash.fulfil_order(reference);
        PERFORM wash.complete_order(reference);
    END IF;
    PERFORM wash.record_payment_result(attempt, 'succeeded', 'asked_' || way, 557);
    RETURN reference;
END
$$;
SELECT s.* FROM asked_test.late(:'ann', 'cancelled') AS o, LATERAL asked_test.sums(o) AS s;
SELECT s.* FROM asked_test.late(:'ann', 'paid') AS o, LATERAL asked_test.sums(o) AS s;
SELECT s.* FROM asked_test.late(:'ann', 'completed') AS o, LATERAL asked_test.sums(o) AS s;
SELECT t.processor_transaction_id, r.amount_minor, r.reason_code FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.processor_transaction_id ~ '^asked_[cp]' ORDER BY 1;

-- What was given up while the processor was at it is in nobody's way
SELECT asked_test.book(:'ann', 21) AS b \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(asked_test.open(:'b'), 'asked') \gset
SELECT wash._close_payments(ARRAY(SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = :'b'), 'user_deleted');
SELECT * FROM asked_test.sums(:'b');
SELECT wash._on_booking_created('booking.created', jsonb_build_object('id', :'b', 'customer_id', :'ann', 'prepay_minor', 10000, 'price_minor', 10000, 'currency', 'EUR'));
SELECT * FROM asked_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM asked_test.sums(:'b');
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0 UNION ALL SELECT rule, violations FROM wash._booking_self_check() WHERE violations > 0 UNION ALL SELECT rule, violations FROM wash._shop_self_check() WHERE violations > 0;
DROP SCHEMA asked_test CASCADE;

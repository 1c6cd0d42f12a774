-- Payments and bookings know each other by events only: prepaid services, deposits and balances, cancellations by the policy of
-- the service, late successes of what was cancelled, holds that run out, and users who go.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT usher.apply_role_preset('carwash');
CREATE SCHEMA payment_test;
CREATE FUNCTION payment_test.sums(booking uuid) RETURNS TABLE (purpose text, status text, amount bigint, captured bigint, reserved bigint, closed text, goes_back boolean)
    LANGUAGE sql AS $$
    SELECT t.purpose, t.status, t.amount_minor, t.captured_minor, t.refund_reserved_minor, t.close_reason, t.refund_on_success
    FROM wash.payment_transactions AS t WHERE t.reference_type = 'booking' AND t.reference_id = booking ORDER BY t.created_at, t.id
$$;
-- what is pending for a booking is paid by the processor "bk"
CREATE SEQUENCE payment_test.numbers;
CREATE FUNCTION payment_test.pay(booking uuid, outcome text DEFAULT 'succeeded') RETURNS text LANGUAGE sql AS $$
    SELECT (wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(t.id, 'bk')), outcome, CASE WHEN outcome = 'succeeded' THEN 'bk_' || nextval('payment_test.numbers') END)).status
    FROM wash.payment_transactions AS t WHERE t.reference_id = booking AND t.status IN ('pending', 'failed') AND t.closed_at IS NULL
$$;
SELECT user_id AS ann FROM usher.register_user('payment-booking-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT id AS location FROM wash.create_location('Payments', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 50) \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) \g /dev/null
SELECT id AS free FROM wash.create_service('Free', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false) \gset
SELECT id AS prepaid FROM wash.create_service('Prepaid', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full', refund_policy => 'by_notice',
    refund_notice => '48 hours', refund_percent => 33) \gset
SELECT id AS deposit FROM wash.create_service('Deposit', '1 hour', 1001, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'deposit', deposit_minor => 300, refund_policy => 'none') \gset
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'free', :'prepaid', :'deposit']::uuid[]);
-- soon: in the notice; far: before it
SELECT date_trunc('hour', now()) + interval '20 hours' AS soon, date_trunc('hour', now()) + interval '100 hours' AS far \gset

-- Nothing in advance: nothing here
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'free', :'location', :'far') \gset
SELECT count(*) FROM payment_test.sums(:'b');
-- All in advance: pending, of the customer and at the location; paid, confirmed
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT * FROM payment_test.sums(:'b');
SELECT user_id = :'ann' AS hers, location_id = :'location' AS there, exclusive, payment_method FROM wash.payment_transactions WHERE reference_id = :'b';
SELECT payment_test.pay(:'b', 'declined');
SELECT status, paid_at IS NOT NULL AS paid FROM wash.bookings WHERE id = :'b';
SELECT payment_test.pay(:'b');
SELECT status, paid_at IS NOT NULL AS paid, payment_method, hold_expires_at FROM wash.bookings WHERE id = :'b';
-- cancelled in time: all of it goes back, and nothing that is open stays open
SELECT status, refund_due_minor FROM wash.cancel_booking(:'b', 'customer_request');
SELECT * FROM payment_test.sums(:'b');
SELECT amount_minor, reason_code, status FROM wash.payment_refunds WHERE transaction_id = (SELECT id FROM wash.payment_transactions WHERE reference_id = :'b');
-- cancelled late: a part, rounded half up
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'soon') \gset
SELECT payment_test.pay(:'b');
SELECT status, refund_due_minor FROM wash.cancel_booking(:'b', 'customer_request');
SELECT * FROM payment_test.sums(:'b');
-- not by the customer: all of it
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'soon') \gset
SELECT payment_test.pay(:'b');
SELECT status, refund_due_minor FROM wash.cancel_booking(:'b', 'staff_unavailable');
SELECT * FROM payment_test.sums(:'b');
-- before it was paid: closed
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT * FROM payment_test.sums(:'b');
-- while the processor is at it: it goes back when it succeeds after all
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = :'b'), 'bk') \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'unknown');
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT * FROM payment_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'bk_late');
SELECT * FROM payment_test.sums(:'b');
SELECT count(*) AS refunds FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.reference_id = :'b';
SELECT status, paid_at FROM wash.bookings WHERE id = :'b';
-- … and is closed when it does not
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = :'b'), 'bk') \gset
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT status, closed_at IS NOT NULL AS closed, close_reason FROM wash.payment_transactions WHERE reference_id = :'b';
-- A hold that runs out closes its payment; a success after that goes back, once
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = :'b'), 'bk') \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 second' WHERE id = :'b';
SELECT affected FROM usher.run_maintenance() WHERE task = 'booking_holds_expired';
SELECT * FROM payment_test.sums(:'b');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'bk_after_hold');
SELECT * FROM payment_test.sums(:'b');
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'b';
-- C-05: the payment of a hold that has just run out loses, and goes back
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
UPDATE wash.bookings SET hold_expires_at = now() - interval '1 second' WHERE id = :'b';
SELECT payment_test.pay(:'b');
SELECT status, cancellation_reason FROM wash.bookings WHERE id = :'b';
SELECT * FROM payment_test.sums(:'b');

-- A deposit confirms, and asks for the balance; both together pay
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'deposit', :'location', :'far') \gset
SELECT * FROM payment_test.sums(:'b');
SELECT payment_test.pay(:'b');
SELECT status, paid_at IS NOT NULL AS paid FROM wash.bookings WHERE id = :'b';
SELECT * FROM payment_test.sums(:'b');
SELECT payment_test.pay(:'b');
SELECT status, paid_at IS NOT NULL AS paid FROM wash.bookings WHERE id = :'b';
SELECT currency, captured_minor, net_minor FROM wash.get_payment_balance('booking', :'b');
-- paid a second time, by cash: it goes back
SELECT transaction_id AS cash FROM wash.create_payment(:'ann', 1001, 'EUR', 'cash', reference_type => 'booking', reference_id => :'b') \gset
SELECT status FROM wash.record_manual_payment(:'cash');
SELECT amount_minor, reason_code FROM wash.payment_refunds WHERE transaction_id = :'cash';
-- the policy gives nothing back
SELECT status, refund_due_minor FROM wash.cancel_booking(:'b', 'customer_request');
SELECT * FROM payment_test.sums(:'b');
-- with the deposit paid only, the balance is given up
SELECT booking_id AS b FROM wash.create_booking(:'ann', :'deposit', :'location', :'far') \gset
SELECT payment_test.pay(:'b');
SELECT status FROM wash.cancel_booking(:'b', 'weather');
SELECT * FROM payment_test.sums(:'b');

-- Who goes: open payments are given up, sums stay, names and answers go
SELECT booking_id AS open FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT booking_id AS paid FROM wash.create_booking(:'ann', :'prepaid', :'location', :'far') \gset
SELECT payment_test.pay(:'paid');
SELECT brand FROM wash.save_payment_method('bk', 'tok_ann', brand => 'visa', last_four => '4242', customer_id => :'ann');
UPDATE wash.payment_attempts SET response = '{"id": "bk", "seller_message": "from Ann"}' WHERE outcome = 'succeeded' AND transaction_id = (SELECT id FROM wash.payment_transactions WHERE reference_id = :'paid');
SELECT usher.delete_user(:'ann');
SELECT * FROM payment_test.sums(:'open');
SELECT * FROM payment_test.sums(:'paid');
SELECT is_active FROM wash.payment_methods WHERE token = 'tok_ann';
SELECT jsonb_array_length(e -> 'payments') > 5 AS payments, jsonb_array_length(e -> 'refunds') > 1 AS refunds, e #> '{methods,0,brand}' AS brand, e #> '{methods,0,token}' AS token
FROM (SELECT usher.export_user(:'ann') -> 'usher_payment' AS e) AS x;
SELECT usher.erase_user(:'ann');
SELECT count(*) FILTER (WHERE response IS NOT NULL) AS answers FROM wash.payment_attempts AS a JOIN wash.payment_transactions AS t ON t.id = a.transaction_id WHERE t.user_id = :'ann';
SELECT count(*) AS methods FROM wash.payment_methods WHERE token = 'tok_ann';
SELECT * FROM payment_test.sums(:'paid');
SELECT count(*) AS traces FROM usher.audit_logs WHERE new_values::text LIKE '%from Ann%' OR new_values::text LIKE '%tok_ann%';
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0 UNION ALL SELECT rule, violations FROM wash._booking_self_check() WHERE violations > 0;
DROP SCHEMA payment_test CASCADE;

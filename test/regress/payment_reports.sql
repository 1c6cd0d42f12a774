-- Reports that come at the wrong moment: before the id of the processor is known, about what was cancelled, with the id of
-- something else; payments that others have made for the same reference; sums that change while a processor is at it.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA payment_test;
CREATE FUNCTION payment_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE payment_test.mark (event_id uuid);
CREATE FUNCTION payment_test.events() RETURNS text LANGUAGE sql AS $$
    WITH seen AS (SELECT string_agg(e.event, ' ' ORDER BY e.id) AS names FROM usher.events AS e
                  WHERE e.id > coalesce((SELECT max(event_id::text)::uuid FROM payment_test.mark), '00000000-0000-0000-0000-000000000000')
                      AND (e.event LIKE 'payment.%' OR e.event LIKE 'refund.%') AND e.event <> 'payment.settling'),
        marked AS (INSERT INTO payment_test.mark SELECT e.id FROM usher.events AS e ORDER BY e.id DESC LIMIT 1 RETURNING 1)
    SELECT names FROM seen, (SELECT count(*) FROM marked) AS m
$$;
CREATE FUNCTION payment_test.attempt(amount bigint, reference uuid DEFAULT NULL, OUT payment uuid, OUT attempt uuid) LANGUAGE plpgsql AS $$
BEGIN
    payment := (wash.create_payment('00000000-0000-7000-8000-0000000000ad', amount, 'EUR', reference_type => CASE WHEN reference IS NOT NULL THEN 'order' END,
                                    reference_id => reference)).transaction_id;
    attempt := (wash.begin_payment_attempt(payment, 'late')).attempt_id;
END
$$;
CREATE FUNCTION payment_test.paid(amount bigint, theirs text, reference uuid DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    made record;
BEGIN
    SELECT * INTO made FROM payment_test.attempt(amount, reference);
    PERFORM wash.record_payment_result(made.attempt, 'succeeded', theirs);
    RETURN made.payment;
END
$$;
CREATE FUNCTION payment_test.sums(transaction uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: captured %s, reserved %s, refunded %s, disputed %s', t.status, t.captured_minor, t.refund_reserved_minor, t.refunded_minor, t.disputed_minor)
    FROM wash.payment_transactions AS t WHERE t.id = transaction
$$;
CREATE FUNCTION payment_test.hook(event_id text, type text, payload jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT effect FROM wash.ingest_webhook('late', event_id, type, now(), payload)
$$;
CREATE FUNCTION payment_test.effects(prefix text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.event_id || ' ' || e.effect, ', ' ORDER BY e.event_id) FROM wash.payment_webhook_events AS e WHERE e.processor = 'late' AND e.event_id LIKE prefix || '%'
$$;
-- of all payments for one reference
CREATE FUNCTION payment_test.of(reference uuid) RETURNS TABLE (purpose text, status text, amount bigint, captured bigint, reserved bigint, exclusive boolean, closed text) LANGUAGE sql AS $$
    SELECT t.purpose, t.status, t.amount_minor, t.captured_minor, t.refund_reserved_minor, t.exclusive, t.close_reason
    FROM wash.payment_transactions AS t WHERE t.reference_id = reference ORDER BY t.created_at, t.id
$$;

-- A refund that was cancelled while a worker was at it, and was made all the same: noted, as what left has left
SELECT payment_test.paid(1000, 'pi_c1') AS one \gset
SELECT refund_id AS taken_back, provider_key AS taken_back_key FROM wash.create_refund(:'one', 400) \gset
SELECT status FROM wash.cancel_refund(:'taken_back');
SELECT payment_test.events() \g /dev/null
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'taken_back', 'succeeded', 're_c1');
SELECT payment_test.hook('c1', 'refund.succeeded', jsonb_build_object('provider_key', :'taken_back_key', 'refund_id', 're_c1', 'amount_minor', 400));
SELECT payment_test.sums(:'one');
SELECT payment_test.events();
SELECT from_status, to_status, action FROM usher.history('wash.payment_refunds', :'taken_back'::uuid) ORDER BY seq DESC LIMIT 1;
-- when somebody else has used what it had reserved, a person has to look; its id is kept
SELECT refund_id AS taken_back FROM wash.create_refund(:'one', 400) \gset
SELECT status FROM wash.cancel_refund(:'taken_back');
SELECT amount_minor FROM wash.create_refund(:'one');
SELECT payment_test.events() \g /dev/null
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'taken_back', 'succeeded', 're_c2');
SELECT status, processor_refund_id FROM wash.payment_refunds WHERE id = :'taken_back';
SELECT payment_test.events();
-- one that nobody has sent is not handed to a worker; one that a worker has cannot be cancelled
SELECT usher.subscribe('refund.requested', 'payment_worker', mode => 'async') IS NOT NULL AS subscribed;
SELECT payment_test.paid(1000, 'pi_c2') AS two \gset
SELECT refund_id AS never_sent FROM wash.create_refund(:'two', 100) \gset
SELECT refund_id AS sent FROM wash.create_refund(:'two', 200) \gset
SELECT status FROM wash.cancel_refund(:'never_sent');
SELECT c.payload ->> 'id' = :'sent' AS is_sent, c.payload ->> 'amount_minor' AS amount FROM wash.claim_payment_work(1) AS c;
SELECT status FROM wash.payment_refunds WHERE id = :'sent';
SELECT payment_test.refusal(format('SELECT wash.cancel_refund(%L)', :'sent')) AS under_way;
SELECT count(*) AS left_for_workers FROM wash.claim_payment_work(10);
SELECT usher.unsubscribe('refund.requested', 'payment_worker') \g /dev/null

-- Before the id is known: what a report names later finds it, whatever else the report says
SELECT payment, attempt FROM payment_test.attempt(1000) \gset
SELECT payment_test.hook('u1', 'payment.succeeded', '{"transaction_id": "pi_u1", "amount_minor": 1000, "currency": "EUR"}');
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'attempt', 'unknown', 'pi_u1');
SELECT payment_test.effects('u');
-- named by the second report that nobody knows
SELECT payment, attempt FROM payment_test.attempt(1000) \gset
SELECT status, replayed FROM wash.record_payment_result(:'attempt', 'unknown');
SELECT status, replayed FROM wash.record_payment_result(:'attempt', 'unknown', 'pi_u2');
SELECT status, replayed FROM wash.record_payment_result(:'attempt', 'unknown', 'pi_u2');
SELECT payment_test.hook('u2', 'payment.succeeded', '{"transaction_id": "pi_u2", "amount_minor": 1000, "currency": "EUR"}');
SELECT payment_test.sums(:'payment');
-- named after success was reported without it: refunds and disputes are known by it
SELECT payment, attempt FROM payment_test.attempt(1000) \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded');
SELECT payment_test.hook('u3', 'dispute.opened', '{"transaction_id": "pi_u3", "dispute_id": "dp_u3", "amount_minor": 600}');
SELECT status, replayed FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_u3');
SELECT payment_test.effects('u3');
SELECT payment_test.sums(:'payment');
SELECT processor_transaction_id FROM wash.payment_transactions WHERE id = :'payment';
-- a dispute by its own id only, before and after it is known
SELECT payment_test.hook('u4', 'dispute.lost', '{"dispute_id": "dp_u4"}');
SELECT payment_test.hook('u5', 'dispute.won', '{"dispute_id": "dp_u3"}');
SELECT payment_test.hook('u6', 'dispute.opened', '{"transaction_id": "pi_u3", "dispute_id": "dp_u4", "amount_minor": 50}');
SELECT payment_test.effects('u');
SELECT processor_dispute_id, status FROM wash.payment_disputes WHERE transaction_id = :'payment' ORDER BY 1;
SELECT payment_test.sums(:'payment');
-- the second of two charges, disputed before anybody knew of it: the bank has it, so it is not sent back, and goes back when the bank returns it
SELECT payment, attempt FROM payment_test.attempt(1000) \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT attempt_id AS second FROM wash.begin_payment_attempt(:'payment') \gset
SELECT status FROM wash.record_payment_result(:'second', 'succeeded', 'pi_u8');
SELECT payment_test.hook('v1', 'dispute.opened', '{"transaction_id": "pi_u7", "dispute_id": "dp_u7", "amount_minor": 1000}');
SELECT payment_test.events() \g /dev/null
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_u7');
SELECT payment_test.effects('v');
SELECT payment_test.events();
SELECT id AS duplicate FROM wash.payment_transactions WHERE processor = 'late' AND processor_transaction_id = 'pi_u7' \gset
SELECT payment_test.sums(:'payment'), payment_test.sums(:'duplicate') AS duplicate;
SELECT payment_test.hook('v2', 'dispute.won', '{"transaction_id": "pi_u7", "dispute_id": "dp_u7"}');
SELECT payment_test.sums(:'duplicate') AS duplicate;
-- a refund by its id only, before the report that names it
SELECT payment_test.paid(1000, 'pi_w1') AS payment \gset
SELECT refund_id AS refund FROM wash.create_refund(:'payment', 300) \gset
SELECT payment_test.hook('w1', 'refund.failed', '{"refund_id": "re_w1", "failure_code": "expired_card"}');
SELECT status FROM wash.record_refund_result(:'refund', 'unknown', 're_w1');
SELECT status, failure_code FROM wash.payment_refunds WHERE id = :'refund';
SELECT payment_test.effects('w');
SELECT payment_test.sums(:'payment');

-- A refund has one id: another one is another refund, that was made as well
SELECT payment_test.paid(1000, 'pi_x1') AS payment \gset
SELECT refund_id AS ours, provider_key AS key FROM wash.create_refund(:'payment', 400) \gset
-- by hand, of the same sum, while nobody has sent ours: it is not ours
SELECT payment_test.hook('x1', 'refund.succeeded', '{"transaction_id": "pi_x1", "refund_id": "re_hand", "amount_minor": 400}');
SELECT payment_test.sums(:'payment');
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'ours', 'succeeded', 're_ours');
SELECT payment_test.sums(:'payment');
-- sent, and made without our key: it is ours
SELECT payment_test.paid(1000, 'pi_x2') AS payment \gset
SELECT refund_id AS ours, provider_key AS key FROM wash.create_refund(:'payment', 400) \gset
SELECT status FROM wash.record_refund_result(:'ours', 'unknown');
SELECT payment_test.hook('x2', 'refund.succeeded', '{"transaction_id": "pi_x2", "refund_id": "re_x2", "amount_minor": 400}');
SELECT payment_test.sums(:'payment');
-- and then ours is reported with another id: both were made
SELECT payment_test.events() \g /dev/null
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'ours', 'succeeded', 're_x3');
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'ours', 'succeeded', 're_x3');
SELECT payment_test.hook('x3', 'refund.succeeded', jsonb_build_object('provider_key', :'key', 'refund_id', 're_x3', 'amount_minor', 400));
SELECT payment_test.sums(:'payment');
SELECT processor_refund_id, amount_minor, status, reason_code FROM wash.payment_refunds WHERE transaction_id = :'payment' ORDER BY 1;
SELECT payment_test.events();
SELECT e.payload - '{refund_id,transaction_id}'::text[] AS contradicted FROM usher.events AS e WHERE e.event = 'refund.contradicted' AND e.key = :'payment';
-- a third one is more than is left: a person has to look
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'ours', 'succeeded', 're_x4');
-- one of ours with the id of another one of ours
SELECT refund_id AS other FROM wash.create_refund(:'payment', 100) \gset
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'other', 'succeeded', 're_x2');
SELECT payment_test.sums(:'payment');
SELECT payment_test.events();

-- What is asked for has a way past what others ask for the same reference
SELECT user_id AS ann FROM usher.register_user('payment-reports-ann@example.com', 'long enough to be good', 'Ann') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'ann';
SELECT usher.issue_token(:'ann', '{}', '1 hour') AS token \gset
BEGIN;
SELECT usher.authenticate(:'token') = :'ann' AS hers;
SELECT what, payment_test.refusal('SELECT wash.create_payment(NULL, 1, ''EUR'', reference_type => ''order'', reference_id => ''00000000-0000-7000-8000-0000000000d1'', ' || more || ')') FROM (VALUES
    ('exclusive', 'exclusive => true'), ('balance', 'purpose => ''balance'''), ('deposit', 'purpose => ''deposit'''), ('duplicate', 'purpose => ''duplicate'''), ('any other', 'purpose => ''tip''')) AS v (what, more);
COMMIT;
SELECT wash._on_booking_created('booking.created', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d2', 'customer_id', :'ann', 'prepay_minor', 300, 'price_minor', 1000, 'currency', 'EUR'));
SELECT transaction_id AS own FROM wash.create_payment(:'ann', 5, 'EUR', reference_type => 'booking', reference_id => '00000000-0000-7000-8000-0000000000d2', purpose => 'balance', exclusive => true) \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d2' AND purpose = 'deposit'), 'late') \gset
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_d2');
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d2');
-- when a processor is at the other one, both are asked for
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d3', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d3'), 'late') \gset
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d3', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d3');

-- An order whose sum changes while a processor is at its payment
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d4', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d4'), 'late') \gset
SELECT wash._on_order_changed('order.total_changed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d4', 'customer_id', :'ann', 'total_minor', 900, 'currency', 'EUR'));
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d4');
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d4');
-- it had succeeded after all: it goes back, as another one asks for the money
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_d4');
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d4');
-- given up meanwhile: nothing is asked for
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d5', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d5'), 'late') \gset
SELECT wash._on_order_changed('order.total_changed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d5', 'customer_id', :'ann', 'total_minor', 900, 'currency', 'EUR'));
SELECT wash._on_order_cancelled('order.cancelled', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d5'));
SELECT status FROM wash.record_payment_result(:'attempt', 'declined');
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d5');
-- it costs more by now: the rest is asked for
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d6', 'customer_id', :'ann', 'total_minor', 900, 'currency', 'EUR'));
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d6'), 'late') \gset
SELECT wash._on_order_changed('order.total_changed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d6', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_d6');
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d6');

-- Less than was asked for: the rest is asked for, again if need be; of what belongs to nothing it is not
SELECT wash._on_order_placed('order.placed', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d7', 'customer_id', :'ann', 'total_minor', 1800, 'currency', 'EUR'));
SELECT status, captured_minor FROM wash.record_manual_payment((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d7'), 'cash', 500);
SELECT status, captured_minor FROM wash.record_manual_payment((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d7' AND status = 'pending'), 'voucher', 300);
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d7');
SELECT wash._on_booking_created('booking.created', jsonb_build_object('id', '00000000-0000-7000-8000-0000000000d8', 'customer_id', :'ann', 'prepay_minor', 300, 'price_minor', 1000, 'currency', 'EUR'));
SELECT status FROM wash.record_manual_payment((SELECT id FROM wash.payment_transactions WHERE reference_id = '00000000-0000-7000-8000-0000000000d8'), 'cash', 200);
SELECT * FROM payment_test.of('00000000-0000-7000-8000-0000000000d8');
SELECT transaction_id AS alone FROM wash.create_payment(:'ann', 100, 'EUR', 'cash') \gset
SELECT status FROM wash.record_manual_payment(:'alone', captured_minor => 40);
SELECT count(*) FROM wash.payment_transactions WHERE user_id = :'ann' AND reference_id IS NULL;

-- What all payments for a reference come to, in each event that changes it. What a bank has taken back, or holds, is not captured
SELECT payment_test.paid(1000, 'pi_t1', '00000000-0000-7000-8000-0000000000e1') AS payment \gset
SELECT refund_id AS refund FROM wash.create_refund(:'payment', 100) \gset
SELECT refund_id AS other FROM wash.create_refund(:'payment', 50) \gset
SELECT refund_id AS third FROM wash.create_refund(:'payment', 10) \gset
SELECT status FROM wash.record_refund_result(:'refund', 'declined');
SELECT status FROM wash.cancel_refund(:'other');
SELECT refund_id AS fourth FROM wash.create_refund(:'payment', 30) \gset
SELECT status FROM wash.record_refund_result(:'third', 'succeeded');
SELECT payment_test.hook('t1', 'dispute.opened', '{"transaction_id": "pi_t1", "dispute_id": "dp_t1", "amount_minor": 900}');
SELECT payment_test.hook('t2', 'dispute.lost', '{"transaction_id": "pi_t1", "dispute_id": "dp_t1"}');
SELECT payment_test.hook('t3', 'dispute.opened', '{"transaction_id": "pi_t1", "dispute_id": "dp_t2", "amount_minor": 1000}');
SELECT payment_test.sums(:'payment');
SELECT payment_test.paid(1000, 'pi_t2', '00000000-0000-7000-8000-0000000000e1') AS again \gset
SELECT e.event, e.payload ->> 'amount_minor' AS amount, e.payload ->> 'refunded_minor' AS refunded, e.payload ->> 'refund_reserved_minor' AS reserved,
    e.payload ->> 'reference_captured_minor' AS reference_captured, e.payload ->> 'reference_refunded_minor' AS reference_refunded, e.payload ->> 'reference_type' AS reference_type
FROM usher.events AS e WHERE e.payload ->> 'reference_id' = '00000000-0000-7000-8000-0000000000e1' AND e.payload ? 'reference_captured_minor' ORDER BY e.id;
SELECT e.payload - '{id,actor_id,transaction_id,reference_id,provider_key}'::text[] AS cancelled FROM usher.events AS e WHERE e.event = 'refund.cancelled' AND e.payload ->> 'id' = :'other';

-- Inquiries of Stripe: the bank takes nothing before it disputes
CREATE FUNCTION payment_test.stripe(event_id text, type text, status text, id text DEFAULT 'dp_s1') RETURNS text LANGUAGE sql AS $$
    SELECT effect FROM wash.ingest_webhook('late', event_id, 'charge.dispute.' || type, now(), jsonb_build_object('object',
        jsonb_build_object('id', id, 'status', status, 'amount', 1000, 'currency', 'eur', 'payment_intent', 'pi_s1')))
$$;
SELECT payment_test.paid(1000, 'pi_s1') AS payment \gset
SELECT payment_test.stripe('s1', 'created', 'warning_needs_response') AS created, payment_test.stripe('s2', 'updated', 'warning_under_review') AS updated;
SELECT payment_test.sums(:'payment');
SELECT amount_minor FROM wash.create_refund(:'payment', 1);
SELECT payment_test.stripe('s3', 'updated', 'needs_response') AS escalated, payment_test.stripe('s4', 'funds_withdrawn', 'needs_response') AS taken;
SELECT payment_test.sums(:'payment');
SELECT payment_test.stripe('s5', 'funds_reinstated', 'won') AS given_back, payment_test.stripe('s6', 'closed', 'won') AS won;
SELECT payment_test.sums(:'payment');
-- closed without a dispute
SELECT payment_test.stripe('s7', 'funds_withdrawn', 'needs_response', 'dp_s2'), payment_test.stripe('s8', 'closed', 'warning_closed', 'dp_s2');
SELECT payment_test.sums(:'payment');

-- Krónur as Stripe counts them, by the hundredth; half a one is none
SELECT (wash.create_payment('00000000-0000-7000-8000-0000000000ad', 12, 'ISK')).transaction_id AS krona \gset
SELECT provider_key AS krona_key FROM wash.begin_payment_attempt(:'krona', 'late') \gset
SELECT wanted, (SELECT w.effect FROM wash.ingest_webhook('late', 'isk ' || wanted, 'payment_intent.succeeded', now(), jsonb_build_object('object', jsonb_build_object(
    'id', 'pi_isk', 'amount_received', wanted, 'currency', 'isk', 'metadata', jsonb_build_object('provider_key', :'krona_key')))) AS w) FROM unnest('{1250,12,1200}'::integer[]) AS u (wanted);
SELECT payment_test.sums(:'krona');

-- A report that names a second refund while the bank has the rest: nothing is left for it, so a person looks
SELECT payment_test.paid(1000, 'pi_y1') AS disputed \gset
SELECT refund_id AS refund, provider_key AS refund_key FROM wash.create_refund(:'disputed', 400) \gset
SELECT status FROM wash.record_refund_result(:'refund', 'succeeded', 're_y1');
SELECT payment_test.hook('y1', 'dispute.opened', '{"transaction_id": "pi_y1", "dispute_id": "dp_y1", "amount_minor": 300}');
SELECT payment_test.events() \g /dev/null
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'refund', 'succeeded', 're_y2');
SELECT payment_test.hook('y2', 'refund.succeeded', jsonb_build_object('provider_key', :'refund_key', 'refund_id', 're_y2', 'amount_minor', 400));
SELECT payment_test.events();
SELECT payment_test.sums(:'disputed');
-- and it is noted when there is that much
SELECT payment_test.hook('y3', 'dispute.won', '{"transaction_id": "pi_y1", "dispute_id": "dp_y1"}');
SELECT payment_test.hook('y4', 'refund.succeeded', jsonb_build_object('provider_key', :'refund_key', 'refund_id', 're_y2', 'amount_minor', 400));
SELECT payment_test.sums(:'disputed');

-- A bank takes back a part: refunds give way as far as they must, the latest first, and the rest of the last one goes back all the same
CREATE FUNCTION payment_test.refunds(transaction uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', r.status, r.amount_minor, r.reason_code, r.notes), ', ' ORDER BY r.created_at, r.id) FROM wash.payment_refunds AS r WHERE r.transaction_id = transaction
$$;
SELECT payment AS disputed, attempt FROM payment_test.attempt(1000) \gset
SELECT wash._close_payments(ARRAY[:'disputed']::uuid[], 'given_up');
SELECT status FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_z1');
SELECT payment_test.hook('z1', 'dispute.opened', '{"transaction_id": "pi_z1", "dispute_id": "dp_z1", "amount_minor": 600}');
SELECT payment_test.sums(:'disputed'), payment_test.refunds(:'disputed');
SELECT payment_test.hook('z2', 'dispute.won', '{"transaction_id": "pi_z1", "dispute_id": "dp_z1"}');
SELECT payment_test.sums(:'disputed'), payment_test.refunds(:'disputed');
SELECT payment_test.paid(1000, 'pi_z2') AS disputed \gset
SELECT amount_minor FROM wash.create_refund(:'disputed', 200, 'first');
SELECT amount_minor FROM wash.create_refund(:'disputed', 300, 'second', 'for the second');
SELECT amount_minor FROM wash.create_refund(:'disputed', 500, 'third');
SELECT payment_test.hook('z3', 'dispute.opened', '{"transaction_id": "pi_z2", "dispute_id": "dp_z2", "amount_minor": 550}');
SELECT payment_test.sums(:'disputed'), payment_test.refunds(:'disputed');
SELECT payment_test.hook('z4', 'dispute.opened', '{"transaction_id": "pi_z2", "dispute_id": "dp_z3", "amount_minor": 450}');
SELECT payment_test.sums(:'disputed'), payment_test.refunds(:'disputed');

-- A key has characters, not bytes
SELECT replayed FROM wash.create_payment(:'ann', 1, 'EUR', idempotency_key => repeat('é', 200));
SELECT replayed FROM wash.create_payment(:'ann', 1, 'EUR', idempotency_key => repeat('é', 200));
SELECT payment_test.refusal(format('SELECT wash.create_payment(%L, 1, ''EUR'', idempotency_key => %L)', :'ann', repeat('é', 256)));
SELECT replayed FROM wash.create_refund(:'payment', 1, idempotency_key => repeat('é', 255));
SELECT payment_test.refusal(format('SELECT wash.create_refund(%L, 1, idempotency_key => %L)', :'payment', repeat('é', 256)));
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0;
DROP SCHEMA payment_test CASCADE;

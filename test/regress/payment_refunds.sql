-- Refunds: whole and in part, of several payments of one reference, never more than was captured by whatever writer; those
-- whose outcome nobody knows, those that meet a webhook about themselves, and chargebacks after them.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA payment_test;
CREATE FUNCTION payment_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' (' || nullif((CASE WHEN detail ~ '^\{' THEN detail::jsonb ->> 'rule' END), '') || ')', '');
END
$$;
CREATE TABLE payment_test.mark (event_id uuid);
CREATE FUNCTION payment_test.events() RETURNS text LANGUAGE sql AS $$
    WITH seen AS (SELECT string_agg(e.event, ' ' ORDER BY e.id) AS names FROM usher.events AS e
                  WHERE e.id > coalesce((SELECT max(event_id::text)::uuid FROM payment_test.mark), '00000000-0000-0000-0000-000000000000')
                      AND (e.event LIKE 'payment.%' OR e.event LIKE 'refund.%')),
        marked AS (INSERT INTO payment_test.mark SELECT e.id FROM usher.events AS e ORDER BY e.id DESC LIMIT 1 RETURNING 1)
    SELECT names FROM seen, (SELECT count(*) FROM marked) AS m
$$;
-- a paid payment of so much, by the processor "fake"
CREATE FUNCTION payment_test.paid(amount bigint, currency text, theirs text, reference uuid DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    made uuid := (wash.create_payment('00000000-0000-7000-8000-0000000000aa', amount, currency, reference_type => CASE WHEN reference IS NOT NULL THEN 'order' END,
                                      reference_id => reference)).transaction_id;
BEGIN
    PERFORM wash.record_payment_result((wash.begin_payment_attempt(made, 'fake')).attempt_id, 'succeeded', theirs);
    RETURN made;
END
$$;
CREATE FUNCTION payment_test.sums(transaction uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: captured %s, reserved %s, refunded %s, disputed %s', t.status, t.captured_minor, t.refund_reserved_minor, t.refunded_minor, t.disputed_minor)
    FROM wash.payment_transactions AS t WHERE t.id = transaction
$$;

-- A part, with its key
SELECT payment_test.paid(1000, 'EUR', 'rf_1') AS one \gset
SELECT payment_test.events() \g /dev/null
SELECT refund_id AS part, status, amount_minor, remaining_minor, provider_key = 'usher-' || refund_id AS has_key, replayed
FROM wash.create_refund(:'one', 300, 'goodwill', idempotency_key => 'part') \gset r_
SELECT :'r_status' AS status, :'r_amount_minor' AS amount, :'r_remaining_minor' AS remaining, :'r_has_key' AS has_key;
SELECT refund_id = :'r_part' AS same, status, amount_minor, remaining_minor, replayed FROM wash.create_refund(:'one', 300, 'goodwill', idempotency_key => 'part');
SELECT payment_test.refusal(format('SELECT wash.create_refund(%L, 301, ''goodwill'', idempotency_key => ''part'')', :'one')) AS another_amount;
SELECT payment_test.sums(:'one');
-- a timeout is not a no here either: the reservation stays
SELECT status, refunded_minor, transaction_status, replayed FROM wash.record_refund_result(:'r_part', 'unknown');
SELECT payment_test.refusal(format('SELECT wash.cancel_refund(%L)', :'r_part')) AS under_way;
SELECT wrong, payment_test.refusal(format('SELECT wash.create_refund(%L, %s)', :'one', amount)) FROM (VALUES
    ('more than is left', '701'), ('zero', '0'), ('negative', '-1'), ('too large', '9223372036854775807'), ('not a number', '''NaN''')) AS v (wrong, amount);
SELECT status, refunded_minor, transaction_status, replayed FROM wash.record_refund_result(:'r_part', 'succeeded', 're_1');
SELECT status, refunded_minor, transaction_status, replayed FROM wash.record_refund_result(:'r_part', 'succeeded', 're_1');
SELECT payment_test.sums(:'one');
SELECT payment_test.events();
-- no, and the reservation is free again; the row stays for its key
SELECT refund_id AS failing FROM wash.create_refund(:'one', 700) \gset
SELECT payment_test.refusal(format('SELECT wash.create_refund(%L)', :'one')) AS nothing_left;
SELECT status, refunded_minor, transaction_status FROM wash.record_refund_result(:'failing', 'declined', failure_code => 'expired_card');
SELECT payment_test.sums(:'one');
SELECT refund_id AS taken_back FROM wash.create_refund(:'one', 50) \gset
SELECT status FROM wash.cancel_refund(:'taken_back');
SELECT payment_test.sums(:'one');
-- that no was wrong: the money has gone back after all
SELECT status, refunded_minor FROM wash.record_refund_result(:'failing', 'succeeded', 're_2');
SELECT payment_test.sums(:'one');
SELECT payment_test.events();
-- and it is no longer there: somebody must look
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'taken_back', 'succeeded', 're_3');
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'r_part', 'declined');
SELECT payment_test.sums(:'one');
SELECT payment_test.events();
SELECT seq, from_status, to_status, action FROM usher.history('wash.payment_transactions', :'one'::uuid) ORDER BY seq DESC LIMIT 1;

-- By raw SQL it is the same
SELECT payment_test.paid(100, 'JPY', 'rf_2') AS two \gset
SELECT wrong, payment_test.refusal(format('INSERT INTO wash.payment_refunds (transaction_id, amount_minor, currency, status) VALUES (%L, %s)', :'two', row)) FROM (VALUES
    ('too much', '101, ''JPY'', ''pending'''), ('currency', '1, ''EUR'', ''pending'''), ('done already', '1, ''JPY'', ''succeeded''')) AS v (wrong, row);
INSERT INTO wash.payment_refunds (transaction_id, amount_minor) VALUES (:'two', 60) RETURNING currency, status, processor, processor_transaction_id, remaining_minor;
INSERT INTO wash.payment_refunds (transaction_id) VALUES (:'two') RETURNING amount_minor, remaining_minor;
SELECT payment_test.refusal(format('UPDATE wash.payment_refunds SET amount_minor = 1 WHERE transaction_id = %L', :'two')) AS another_amount;
UPDATE wash.payment_refunds SET status = 'succeeded' WHERE transaction_id = :'two';
SELECT payment_test.sums(:'two');
SELECT payment_test.refusal(format('UPDATE wash.payment_refunds SET status = ''pending'' WHERE transaction_id = %L', :'two')) AS not_back;

-- All payments of one reference, the latest first
SELECT payment_test.paid(300, 'EUR', 'rf_3', '00000000-0000-7000-8000-0000000000b1') AS deposit, payment_test.paid(700, 'EUR', 'rf_4', '00000000-0000-7000-8000-0000000000b1') AS balance \gset
SELECT transaction_id = :'balance' AS is_balance, amount_minor, status FROM wash.refund_reference('order', '00000000-0000-7000-8000-0000000000b1', 'EUR', 800, 'goods_lost', idempotency_key => 'all')
ORDER BY 1 DESC;
SELECT count(*) AS the_same FROM wash.refund_reference('order', '00000000-0000-7000-8000-0000000000b1', 'EUR', 800, 'goods_lost', idempotency_key => 'all');
BEGIN; -- refunds of something else are not read back
UPDATE usher.idempotent_calls SET result = to_jsonb(ARRAY[:'r_part'::uuid]) WHERE registrant = 'usher_payment' AND key = 'all';
SELECT count(*) AS of_another FROM wash.refund_reference('order', '00000000-0000-7000-8000-0000000000b1', 'EUR', 800, 'goods_lost', idempotency_key => 'all');
ROLLBACK;
SELECT payment_test.refusal('SELECT wash.refund_reference(''order'', ''00000000-0000-7000-8000-0000000000b1'', ''EUR'', 201)') AS too_much;
SELECT amount_minor FROM wash.refund_reference('order', '00000000-0000-7000-8000-0000000000b1', 'EUR');
SELECT * FROM wash.get_payment_balance('order', '00000000-0000-7000-8000-0000000000b1');

-- A refund that meets a webhook about itself: once, whoever is first
SELECT payment_test.paid(500, 'EUR', 'rf_5') AS five \gset
SELECT refund_id AS met, provider_key AS met_key FROM wash.create_refund(:'five', 200) \gset
SELECT payment_test.events() \g /dev/null
SELECT accepted, duplicate, effect FROM wash.ingest_webhook('fake', 'rf_w1', 'refund.succeeded', now(), jsonb_build_object('provider_key', :'met_key', 'refund_id', 're_5', 'amount_minor', 200, 'currency', 'EUR'));
SELECT status, refunded_minor, replayed FROM wash.record_refund_result(:'met', 'succeeded', 're_5');
SELECT accepted, duplicate, effect FROM wash.ingest_webhook('fake', 'rf_w1', 'refund.succeeded', now(), '{}');
SELECT accepted, duplicate, effect FROM wash.ingest_webhook('fake', 'rf_w2', 'refund.failed', now() - interval '1 hour', '{"refund_id": "re_5"}');
SELECT payment_test.sums(:'five');
-- one that was made at the processor: nobody is asked to make it again
SELECT effect FROM wash.ingest_webhook('fake', 'rf_w3', 'refund.succeeded', now(), '{"transaction_id": "rf_5", "refund_id": "re_6", "amount_minor": 100, "currency": "EUR"}');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_w4', 'refund.succeeded', now(), '{"transaction_id": "rf_5", "refund_id": "re_7", "amount_minor": 201, "currency": "EUR"}');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_w5', 'refund.succeeded', now(), '{"transaction_id": "rf_5", "refund_id": "re_7", "amount_minor": 1, "currency": "USD"}');
SELECT payment_test.sums(:'five');
SELECT payment_test.events();

-- A chargeback after a refund: no refund, and what the bank has is not paid out again
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d1', 'dispute.opened', now(), '{"transaction_id": "rf_5", "dispute_id": "dp_1", "amount_minor": 500, "currency": "EUR", "failure_code": "fraudulent"}');
SELECT payment_test.sums(:'five');
SELECT e.payload - '{dispute_id,transaction_id}'::text[] AS disputed FROM usher.events AS e WHERE e.event = 'payment.disputed' AND e.key = :'five';
SELECT payment_test.refusal(format('SELECT wash.create_refund(%L, 1)', :'five')) AS while_disputed;
SELECT refundable_minor FROM wash.get_payment(:'five');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d2', 'dispute.won', now(), '{"transaction_id": "rf_5", "dispute_id": "dp_1"}');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d3', 'dispute.opened', now() - interval '1 day', '{"transaction_id": "rf_5", "dispute_id": "dp_1"}');
SELECT payment_test.sums(:'five');
SELECT amount_minor FROM wash.create_refund(:'five');
-- lost before it was ever told to be open; and what does not fit
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d4', 'dispute.lost', now(), '{"transaction_id": "rf_3", "dispute_id": "dp_2", "amount_minor": 300}');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d5', 'dispute.opened', now(), '{"transaction_id": "rf_3", "dispute_id": "dp_2", "amount_minor": 300}');
SELECT effect FROM wash.ingest_webhook('fake', 'rf_d6', 'dispute.opened', now(), '{"transaction_id": "rf_3", "dispute_id": "dp_3", "amount_minor": 301}');
SELECT payment_test.sums(:'deposit');
SELECT e.account, e.currency, sum(e.amount_minor) FILTER (WHERE e.direction = 'debit') AS debit, sum(e.amount_minor) FILTER (WHERE e.direction = 'credit') AS credit
FROM wash.ledger_journals AS j JOIN wash.ledger_entries AS e ON e.journal_id = j.id WHERE j.reference_id IN (:'five', :'deposit') GROUP BY 1, 2 ORDER BY 1, 2;

-- Cash that people took, people give back
SELECT transaction_id AS cash FROM wash.create_payment('00000000-0000-7000-8000-0000000000aa', 90, 'EUR', 'cash') \gset
SELECT status FROM wash.record_manual_payment(:'cash');
SELECT refund_id AS cash_back FROM wash.create_refund(:'cash') \gset
SELECT status, transaction_status FROM wash.record_refund_result(:'cash_back', 'succeeded');
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0;
DROP SCHEMA payment_test CASCADE;

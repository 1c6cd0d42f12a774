-- Payments from the first request to the last refund: statuses P1 to P8, what every writer is held to, amounts, card
-- numbers, attempts whose outcome nobody knows, and late successes.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\set VERBOSITY verbose
\set SHOW_CONTEXT never
CREATE SCHEMA payment_test;
-- the error as a value: LOCATION would be a line number
CREATE FUNCTION payment_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- events since a mark, without ids
CREATE TABLE payment_test.mark (event_id uuid);
CREATE FUNCTION payment_test.events() RETURNS text LANGUAGE sql AS $$
    WITH seen AS (SELECT string_agg(e.event, ' ' ORDER BY e.id) AS names FROM usher.events AS e
                  WHERE e.id > coalesce((SELECT max(event_id::text)::uuid FROM payment_test.mark), '00000000-0000-0000-0000-000000000000')
                      AND (e.event LIKE 'payment.%' OR e.event LIKE 'refund.%' OR e.event LIKE 'booking.%')),
        marked AS (INSERT INTO payment_test.mark SELECT e.id FROM usher.events AS e ORDER BY e.id DESC LIMIT 1 RETURNING 1)
    SELECT names FROM seen, (SELECT count(*) FROM marked) AS m
$$;
SELECT user_id AS ann FROM usher.register_user('payment-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT '00000000-0000-7000-8000-00000000a001' AS one, '00000000-0000-7000-8000-00000000a002' AS two \gset

-- P1: pending, with an event
SELECT payment_test.events() \g /dev/null
SELECT status, amount_minor, currency, version, replayed
FROM wash.create_payment(:'ann', 1000, 'EUR', reference_type => 'order', reference_id => :'one', id => :'one',
                         idempotency_key => 'first');
SELECT transaction_id = :'one' AS same, status, amount_minor, currency, version, replayed
FROM wash.create_payment(:'ann', 1000, 'EUR', reference_type => 'order', reference_id => :'one', id => :'one',
                         idempotency_key => 'first');
SELECT payment_test.refusal(format('SELECT wash.create_payment(%L, 1001, ''EUR'', idempotency_key => ''first'')', :'ann'));
SELECT user_id = :'ann' AS hers, exponent, purpose, payment_method, status, created_by FROM wash.payment_transactions WHERE id = :'one';
SELECT payment_test.events();

-- Amounts: a clear error for each
SELECT wrong, payment_test.refusal(format('SELECT wash.create_payment(%L, %s)', :'ann', arguments)) FROM (VALUES
    ('zero', '0, ''EUR'''), ('negative', '-1, ''EUR'''), ('too large', '9223372036854775807, ''EUR'''),
    ('beyond bigint', '9223372036854775808, ''EUR'''), ('no float', '1.5::float8, ''EUR'''),
    ('not a number', '''NaN'', ''EUR'''), ('unknown currency', '1, ''EUX'''), ('lower case', '1, ''eur'''),
    ('gold', '1, ''XAU'''), ('no currency', '1, NULL'), ('no amount', 'NULL, ''EUR'''),
    ('wrong exponent of yen', '1, ''JPY'', exponent => 2'), ('exponent of dinars', '1, ''KWD'', exponent => 3'),
    ('half a reference', '1, ''EUR'', reference_type => ''order'''),
    ('a method that is no name', '1, ''EUR'', payment_method => ''Credit Card''')) AS v (wrong, arguments);
SELECT payment_test.refusal('SELECT wash.create_payment(usher.uuid_v7(), 1, ''EUR'')') AS walk_in;
SELECT payment_test.refusal('SELECT wash.create_payment(NULL, 1, ''EUR'')') AS nobody;
SELECT wrong, payment_test.refusal(format('INSERT INTO wash.payment_transactions (customer_id, amount_minor, currency, exponent, '
    'payment_method, captured_minor) VALUES (%L, %s)', :'ann', row)) FROM (VALUES
    ('zero', '0, ''EUR'', 2, ''card'', 0'), ('too large', '1000000000000001, ''EUR'', 2, ''card'', 0'),
    ('exponent', '1, ''JPY'', 2, ''card'', 0'), ('currency', '1, ''ABC'', 2, ''card'', 0'),
    ('paid already', '1, ''EUR'', 2, ''card'', 1')) AS v (wrong, row);
SELECT wash.to_minor_units(amount, currency) FROM (VALUES ('12.50', 'EUR'), ('12.5', 'KWD'), ('-3', 'JPY'), ('3.00', 'JPY')) AS v (amount, currency);
SELECT amount, currency, payment_test.refusal(format('SELECT wash.to_minor_units(%L, %L)', amount, currency)) FROM (VALUES
    ('12.505', 'EUR'), ('0.5', 'JPY'), ('NaN', 'EUR'), ('1e3', 'EUR'), ('', 'EUR'), ('92233720368547758.08', 'EUR'), ('1', 'ZZZ')) AS v (amount, currency);
SELECT wash.format_amount(1250, 'EUR'), wash.format_amount(1250, 'JPY'), wash.format_amount(-5, 'KWD');
SELECT count(*) > 150 AS many, string_agg(currency || exponent, ' ' ORDER BY currency) FILTER (WHERE exponent <> 2) AS others FROM wash.list_currencies();

-- Card numbers: in no column of any table
SELECT relation::text, payment_test.refusal(statement) FROM (VALUES
    ('payment_transactions', format('UPDATE wash.payment_transactions SET failure_code = ''4242 4242 4242 4242'' WHERE id = %L', :'one')),
    ('payment_attempts', format('INSERT INTO wash.payment_attempts (transaction_id, attempt_no, processor, provider_key) VALUES (%L, 1, ''p'', ''4242424242424242'')', :'one')),
    ('payment_attempts', format('INSERT INTO wash.payment_attempts (transaction_id, attempt_no, processor, provider_key, response) VALUES (%L, 1, ''p'', ''k'', ''{"a": {"number": 4242424242424242}}'')', :'one')),
    ('payment_refunds', format('INSERT INTO wash.payment_refunds (transaction_id, notes) VALUES (%L, ''card 3782-822463-10005'')', :'one')),
    ('payment_methods', format('INSERT INTO wash.payment_methods (customer_id, processor, token) VALUES (%L, ''p'', ''5555555555554444'')', :'ann')),
    ('payment_disputes', format('INSERT INTO wash.payment_disputes (transaction_id, processor, processor_dispute_id, amount_minor, currency) VALUES (%L, ''p'', ''4000056655665556'', 1, ''EUR'')', :'one')),
    ('payment_webhook_events', 'INSERT INTO wash.payment_webhook_events (processor, event_id, event_type, report) VALUES (''p'', ''4242424242424242'', ''t'', ''other'')'),
    ('payment_webhook_secrets', 'INSERT INTO wash.payment_webhook_secrets (processor, scheme, secret, label) VALUES (''p'', ''stripe'', ''s'', ''4242.4242.4242.4242'')'),
    ('ledger_journals', 'INSERT INTO wash.ledger_journals (kind, description) VALUES (''k'', ''paid with 4242424242424242'')'),
    ('ledger_entries', 'INSERT INTO wash.ledger_entries VALUES (usher.uuid_v7(), 1, ''a:4242424242424242'', ''debit'', 1, ''EUR'')')) AS v (relation, statement);
SELECT string_agg(c.relname, ' ' ORDER BY c.relname) AS tables_without_the_check FROM pg_class AS c
WHERE c.relnamespace = 'wash'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(payment|ledger)_'
    AND c.relname NOT IN ('ledger_totals', 'ledger_unsummed_journals') -- which follow from entries and journals that were checked
    AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid
        AND t.tgfoid IN ('wash._refuse_card_numbers'::regproc, 'wash._check_payment'::regproc, 'wash._check_attempt'::regproc, 'wash._check_refund'::regproc));

-- Statuses follow from attempts: nobody writes them by hand, the owner neither
SELECT step, payment_test.refusal(format('UPDATE wash.payment_transactions SET %s WHERE id = %L', change, :'one')) FROM (VALUES
    ('P2', 'status = ''processing'''), ('P3', 'status = ''completed'''), ('P8', 'status = ''refunded'''), ('unknown', 'status = ''paid'''),
    ('captured', 'captured_minor = 1'), ('reserved', 'refund_reserved_minor = 1'), ('attempts', 'attempt_count = 0, fee_minor = 1'),
    ('amount', 'amount_minor = 1'), ('currency', 'currency = ''USD'''), ('customer', 'customer_id = usher.uuid_v7()'), ('key', 'idempotency_key = ''other''')) AS v (step, change);

-- P2: an attempt with its own key, before any call
SELECT attempt_id AS attempt, attempt_no, provider_key = 'usher-' || attempt_id AS has_key, version, replayed FROM wash.begin_payment_attempt(:'one', 'stripe', expected_version => 1) \gset a_
SELECT :'a_attempt_no' AS attempt_no, :'a_has_key' AS has_key, :'a_version' AS version, :'a_replayed' AS replayed;
SELECT attempt_id = :'a_attempt' AS same, attempt_no, version, replayed FROM wash.begin_payment_attempt(:'one');
SELECT payment_test.events();
SELECT payment_test.refusal(format('SELECT wash.begin_payment_attempt(%L, expected_version => 1)', :'one')) AS stale;
SELECT payment_test.refusal(format('INSERT INTO wash.payment_attempts (transaction_id, attempt_no, processor, provider_key) VALUES (%L, 2, ''stripe'', ''second'')', :'one')) AS two_live_attempts;
SELECT payment_test.refusal(format('SELECT wash.cancel_payment(%L)', :'one')) AS under_way;
SELECT payment_test.refusal(format('SELECT wash.record_manual_payment(%L, ''cash'')', :'one')) AS cash_meanwhile;
-- a timeout is not a no
SELECT status, captured_minor, version, replayed FROM wash.record_payment_result(:'a_attempt', 'unknown');
SELECT status, captured_minor, version, replayed FROM wash.record_payment_result(:'a_attempt', 'unknown');
SELECT attempt_id = :'a_attempt' AS this_one, provider_key = 'usher-' || attempt_id AS same_key, outcome FROM wash.list_unresolved_attempts() WHERE transaction_id = :'one';
SELECT attempt_id = :'a_attempt' AS same, attempt_no, replayed FROM wash.begin_payment_attempt(:'one');
SELECT payment_test.events();
-- P4: it was a no. P5: another attempt, another key
SELECT status, captured_minor, version, replayed FROM wash.record_payment_result(:'a_attempt', 'declined', failure_code => 'card_declined');
SELECT status, captured_minor, version, replayed FROM wash.record_payment_result(:'a_attempt', 'unknown');
SELECT status, failure_code, attempt_count FROM wash.payment_transactions WHERE id = :'one';
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'one') \gset b_
SELECT payment_test.events();
SELECT wrong, payment_test.refusal(format('SELECT wash.record_payment_result(%L, %s)', :'b_attempt', arguments)) FROM (VALUES
    ('outcome', '''maybe'''), ('more than the amount', '''succeeded'', ''pi_1'', 1001'), ('nothing', '''succeeded'', ''pi_1'', 0'),
    ('negative', '''succeeded'', ''pi_1'', -1'), ('a negative fee', '''succeeded'', ''pi_1'', fee_minor => -1')) AS v (wrong, arguments);
SELECT payment_test.refusal('SELECT wash.record_payment_result(usher.uuid_v7(), ''declined'')') AS unknown_attempt;
-- P3: paid. What is kept of the answer is harmless
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'b_attempt', 'succeeded', 'pi_1', fee_minor => 29,
    response => '{"id": "pi_1", "status": "succeeded", "client_secret": "pi_1_secret", "billing_details": {"name": "Ann"}, "card": {"brand": "visa", "last4": "4242", "number": "4242424242424242"}, "outcome": {"type": "authorized", "reason": "4242 4242 4242 4242"}}');
SELECT response FROM wash.payment_attempts WHERE id = :'b_attempt';
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'b_attempt', 'succeeded', 'pi_1');
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'b_attempt', 'declined');
SELECT payment_test.events();
SELECT e.payload - '{transaction_id,customer_id,user_id,completed_at}'::text[] FROM usher.events AS e WHERE e.event = 'payment.completed' AND e.key = :'one';
SELECT payment_test.refusal(format('SELECT wash.record_payment_result(%L, ''succeeded'', ''pi_2'')', :'b_attempt')) AS another_id;
SELECT payment_test.refusal(format('SELECT wash.begin_payment_attempt(%L)', :'one')) AS paid_already;
SELECT payment_test.refusal(format('SELECT wash.cancel_payment(%L)', :'one')) AS paid_already;
SELECT payment_test.refusal(format('UPDATE wash.payment_attempts SET outcome = ''declined'' WHERE id = %L', :'b_attempt')) AS by_hand;
SELECT payment_test.refusal(format('UPDATE wash.payment_attempts SET captured_minor = 1 WHERE id = %L', :'b_attempt')) AS by_hand;
-- the first attempt was charged after all: the surplus is a payment of its own, and goes back
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'a_attempt', 'succeeded', 'pi_0');
SELECT payment_test.events();
-- told again, it is known
SELECT status, captured_minor, replayed FROM wash.record_payment_result(:'a_attempt', 'succeeded', 'pi_0');
SELECT payment_test.events();
SELECT t.purpose, t.status, t.amount_minor, t.captured_minor, t.refund_reserved_minor, t.close_reason, t.processor_transaction_id
FROM wash.payment_transactions AS t WHERE t.reference_id = :'one' ORDER BY t.purpose;
SELECT attempt_no, outcome, processor_transaction_id, captured_minor FROM wash.list_payment_attempts(:'one');
SELECT * FROM wash.get_payment_balance('order', :'one');
-- an id of the processor belongs to one attempt
SELECT count(*) FROM wash.create_payment(:'ann', 500, 'EUR', id => :'two');
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'two', 'stripe') \gset c_
SELECT payment_test.refusal(format('SELECT wash.record_payment_result(%L, ''succeeded'', ''pi_1'')', :'c_attempt'));
-- P6: closed; P7: it succeeds all the same, and what was given up goes back
SELECT status FROM wash.record_payment_result(:'c_attempt', 'declined');
SELECT status, version FROM wash.cancel_payment(:'two', 'changed_mind');
SELECT status, version FROM wash.cancel_payment(:'two', 'changed_mind');
SELECT payment_test.refusal(format('SELECT wash.begin_payment_attempt(%L)', :'two')) AS closed;
SELECT payment_test.events();
SELECT status, captured_minor FROM wash.record_payment_result(:'c_attempt', 'succeeded', 'pi_3');
SELECT payment_test.events();
SELECT status, close_reason, refund_on_success FROM wash.payment_transactions WHERE id = :'two';
SELECT seq, from_status, to_status, action, reason_code FROM usher.history('wash.payment_transactions', :'two'::uuid) ORDER BY seq;
-- no more attempts than are allowed
SET payment.max_attempts = 1;
SELECT transaction_id AS three FROM wash.create_payment(:'ann', 1, 'JPY') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'three', 'stripe') \gset d_
SELECT status FROM wash.record_payment_result(:'d_attempt', 'declined');
SELECT payment_test.refusal(format('SELECT wash.begin_payment_attempt(%L)', :'three')) AS exhausted;
RESET payment.max_attempts;
-- what people take themselves
SELECT transaction_id AS four FROM wash.create_payment(:'ann', 700, 'EUR', 'cash') \gset
SELECT payment_test.refusal(format('SELECT wash.begin_payment_attempt(%L, ''manual'')', :'four')) AS manual;
SELECT payment_test.refusal(format('SELECT wash.record_manual_payment(%L, ''card'')', :'four')) AS no_card;
SELECT status, captured_minor, replayed FROM wash.record_manual_payment(:'four', receipt => 'R-1');
SELECT status, captured_minor, replayed FROM wash.record_manual_payment(:'four', receipt => 'R-1');
SELECT attempt_no, processor, outcome, processor_transaction_id FROM wash.list_payment_attempts(:'four');
-- one live payment of a purpose, where that is wanted
SELECT status FROM wash.create_payment(:'ann', 1, 'EUR', reference_type => 'order', reference_id => :'two', exclusive => true);
SELECT payment_test.refusal(format('SELECT wash.create_payment(%L, 1, ''EUR'', reference_type => ''order'', reference_id => %L, exclusive => true)', :'ann', :'two'));
-- a partial capture
SELECT transaction_id AS five FROM wash.create_payment(:'ann', 1000, 'EUR') \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'five', 'stripe') \gset e_
SELECT status, captured_minor FROM wash.record_payment_result(:'e_attempt', 'succeeded', 'pi_5', 400);
-- by raw SQL it is the same
BEGIN;
INSERT INTO wash.payment_transactions (id, customer_id, amount_minor, currency, payment_method) VALUES ('00000000-0000-7000-8000-00000000a0ff', :'ann', 90, 'JPY', 'card');
INSERT INTO wash.payment_attempts (transaction_id, attempt_no, processor, provider_key) VALUES ('00000000-0000-7000-8000-00000000a0ff', 1, 'raw', 'raw-1');
SELECT payment_test.refusal('UPDATE wash.payment_attempts SET outcome = ''succeeded'' WHERE provider_key = ''raw-1''') AS without_amount;
SELECT payment_test.refusal('UPDATE wash.payment_attempts SET outcome = ''succeeded'', captured_minor = 91 WHERE provider_key = ''raw-1''') AS too_much;
UPDATE wash.payment_attempts SET outcome = 'succeeded', captured_minor = 90 WHERE provider_key = 'raw-1';
SELECT status, captured_minor, exponent, processor FROM wash.payment_transactions WHERE id = '00000000-0000-7000-8000-00000000a0ff';
COMMIT;
-- upkeep closes what has run out
SELECT transaction_id AS six FROM wash.create_payment(:'ann', 1, 'EUR', expires_at => now() - interval '1 minute') \gset
SELECT task, affected FROM usher.run_maintenance() WHERE task LIKE 'payment%';
SELECT status, close_reason FROM wash.payment_transactions WHERE id = :'six';
SELECT usher.machine_diagram('payment');
SELECT rule, violations FROM wash._payment_self_check();
DROP SCHEMA payment_test CASCADE;

-- The ledger: double entry by payments and by the application, nothing but additions, zero sums in each currency, balances; and
-- the comparison with the settlement report of a processor.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA payment_test;
CREATE FUNCTION payment_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- Entries of the application
SELECT journal_id AS rent, replayed FROM wash.post_ledger('[{"account": "rent", "direction": "debit", "amount_minor": 50000, "currency": "EUR"},
    {"account": "bank:main", "direction": "credit", "amount_minor": 50000, "currency": "EUR"}]', 'Rent of June', idempotency_key => 'rent-june') \gset
SELECT journal_id = :'rent' AS same, replayed FROM wash.post_ledger('[{"account": "rent", "direction": "debit", "amount_minor": 50000, "currency": "EUR"},
    {"account": "bank:main", "direction": "credit", "amount_minor": 50000, "currency": "EUR"}]', 'Rent of June', idempotency_key => 'rent-june');
SELECT wrong, payment_test.refusal(format('SELECT wash.post_ledger(%L)', entries)) FROM (VALUES
    ('unbalanced', '[{"account": "a", "direction": "debit", "amount_minor": 2, "currency": "EUR"}, {"account": "b", "direction": "credit", "amount_minor": 1, "currency": "EUR"}]'),
    ('mixed currencies', '[{"account": "a", "direction": "debit", "amount_minor": 1, "currency": "EUR"}, {"account": "b", "direction": "credit", "amount_minor": 1, "currency": "USD"}]'),
    ('one entry', '[{"account": "a", "direction": "debit", "amount_minor": 1, "currency": "EUR"}]'), ('no array', '{}'), ('zero', '[{"account": "a", "direction": "debit", "amount_minor": 0, "currency": "EUR"}, {}]'),
    ('a fraction', '[{"account": "a", "direction": "debit", "amount_minor": 1.5, "currency": "EUR"}, {}]'), ('a text', '[{"account": "a", "direction": "debit", "amount_minor": "NaN", "currency": "EUR"}, {}]'),
    ('huge', '[{"account": "a", "direction": "debit", "amount_minor": 1e400, "currency": "EUR"}, {}]'), ('2^63-1', '[{"account": "a", "direction": "debit", "amount_minor": 9223372036854775807, "currency": "EUR"}, {}]'),
    ('direction', '[{"account": "a", "direction": "left", "amount_minor": 1, "currency": "EUR"}, {}]'), ('currency', '[{"account": "a", "direction": "debit", "amount_minor": 1, "currency": "EUX"}, {}]'),
    ('account', '[{"account": "A B", "direction": "debit", "amount_minor": 1, "currency": "EUR"}, {"account": "b", "direction": "credit", "amount_minor": 1, "currency": "EUR"}]')) AS v (wrong, entries);
-- By raw SQL: at the commit, and by nobody afterwards
BEGIN;
INSERT INTO wash.ledger_journals (id, kind) VALUES ('00000000-0000-7000-8000-0000000000c1', 'raw');
INSERT INTO wash.ledger_entries VALUES ('00000000-0000-7000-8000-0000000000c1', 1, 'a', 'debit', 5, 'EUR');
INSERT INTO wash.ledger_entries VALUES ('00000000-0000-7000-8000-0000000000c1', 2, 'b', 'credit', 4, 'EUR');
COMMIT;
SELECT payment_test.refusal(format('INSERT INTO wash.ledger_entries VALUES (%L, 3, ''a'', ''debit'', 5, ''EUR'')', :'rent')) AS added_later;
SELECT payment_test.refusal(format('INSERT INTO wash.ledger_entries VALUES (%1$L, 3, ''a'', ''debit'', 5, ''EUR''), (%1$L, 4, ''b'', ''credit'', 5, ''EUR'')', :'rent')) AS added_later_balanced;
SELECT statement, payment_test.refusal(statement) FROM (VALUES ('UPDATE wash.ledger_entries SET amount_minor = 1'), ('DELETE FROM wash.ledger_entries'), ('TRUNCATE wash.ledger_entries'),
    ('UPDATE wash.ledger_journals SET kind = ''x'''), ('DELETE FROM wash.ledger_journals'), ('TRUNCATE wash.ledger_journals, wash.ledger_entries')) AS v (statement);
-- What was wrong is reversed, once
SELECT journal_id AS back, replayed FROM wash.reverse_journal(:'rent', 'paid twice') \gset
SELECT journal_id = :'back' AS same, replayed FROM wash.reverse_journal(:'rent', 'paid twice');
SELECT payment_test.refusal('SELECT wash.reverse_journal(usher.uuid_v7())') AS unknown;
SELECT kind, description, reverses = :'rent' AS reverses_it, entries FROM wash.list_ledger_entries('rent') ORDER BY posted_at, journal_id;
SELECT * FROM wash.get_ledger_balance('rent', 'EUR');
SELECT * FROM wash.get_ledger_balance('rent', 'USD');
SELECT payment_test.refusal('SELECT wash.get_ledger_balance(''rent'', ''XXX'')') AS no_currency;

-- Payments post by themselves: what was captured, the fee, its correction, what went back
SELECT transaction_id AS one FROM wash.create_payment('00000000-0000-7000-8000-0000000000ac', 1000, 'CHF') \gset
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'one', 'acme')), 'succeeded', 'ac_1', fee_minor => 30);
SELECT status FROM wash.record_refund_result((SELECT refund_id FROM wash.create_refund(:'one', 400)), 'succeeded', 'acr_1');
SELECT wash.record_payment_fee(:'one', 25) AS fee;
SELECT payment_test.refusal(format('SELECT wash.record_payment_fee(%L, -1)', :'one')), payment_test.refusal('SELECT wash.record_payment_fee(usher.uuid_v7(), 1)');
SELECT kind, entries FROM wash.list_ledger_entries(reference_id => :'one') ORDER BY posted_at, journal_id;
SELECT account, debit_minor, credit_minor, net_minor FROM wash.get_trial_balance() WHERE currency = 'CHF';
SELECT count(*) AS unbalanced FROM (SELECT currency FROM wash.get_trial_balance() GROUP BY currency HAVING sum(net_minor) <> 0) AS x;

-- Balances are the same whether upkeep has added the journals to the totals of their days, some of them, or none; before any time.
-- A journal of days ago, by raw SQL, in one transaction with its entries
BEGIN;
INSERT INTO wash.ledger_journals (id, kind, posted_at) VALUES ('00000000-0000-7000-8000-0000000000c2', 'raw', '2026-01-31 23:30+00'), ('00000000-0000-7000-8000-0000000000c3', 'raw', '2026-02-01 00:00+00');
SAVEPOINT s;
INSERT INTO wash.ledger_entries VALUES ('00000000-0000-7000-8000-0000000000c2', 1, 'old', 'debit', 5, 'CHF'), ('00000000-0000-7000-8000-0000000000c2', 2, 'older', 'credit', 5, 'CHF'),
    ('00000000-0000-7000-8000-0000000000c3', 1, 'old', 'debit', 7, 'CHF'), ('00000000-0000-7000-8000-0000000000c3', 2, 'older', 'credit', 7, 'CHF');
COMMIT;
CREATE FUNCTION payment_test.balances() RETURNS TABLE (until timestamptz, account text, currency text, debit bigint, credit bigint) LANGUAGE sql AS $$
    SELECT u.until, b.account, b.currency, b.debit_minor, b.credit_minor
    FROM (VALUES (NULL), ('2026-01-31 23:30+00'::timestamptz), ('2026-01-31 23:30:01+00'), ('2026-02-01 00:00+00'), ('2026-02-01 00:00:01+00'), (now() + interval '1 hour')) AS u (until)
        CROSS JOIN wash.get_trial_balance(u.until) AS b
    UNION ALL
    SELECT '-infinity', e.account, e.currency, b.debit_minor, b.credit_minor
    FROM (SELECT DISTINCT account, currency FROM wash.ledger_entries) AS e CROSS JOIN wash.get_ledger_balance(e.account, e.currency) AS b $$;
CREATE FUNCTION payment_test.sums() RETURNS TABLE (until timestamptz, account text, currency text, debit bigint, credit bigint) LANGUAGE sql AS $$
    SELECT u.until, e.account, e.currency, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'debit'), 0)::bigint, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'credit'), 0)::bigint
    FROM (VALUES (NULL), ('2026-01-31 23:30+00'::timestamptz), ('2026-01-31 23:30:01+00'), ('2026-02-01 00:00+00'), ('2026-02-01 00:00:01+00'), (now() + interval '1 hour'), ('-infinity')) AS u (until)
        JOIN wash.ledger_journals AS j ON coalesce(j.posted_at < nullif(u.until, '-infinity'), true) JOIN wash.ledger_entries AS e ON e.journal_id = j.id GROUP BY 1, 2, 3 $$;
CREATE FUNCTION payment_test.compare() RETURNS TABLE (summed boolean, unsummed boolean, rows bigint, differences bigint) LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM wash.ledger_totals), EXISTS (SELECT FROM wash.ledger_unsummed_journals), (SELECT count(*) FROM payment_test.sums()),
        (SELECT count(*) FROM ((SELECT * FROM payment_test.sums() EXCEPT SELECT * FROM payment_test.balances()) UNION ALL (SELECT * FROM payment_test.balances() EXCEPT SELECT * FROM payment_test.sums())) AS d) $$;
SELECT until, account, debit, credit FROM payment_test.balances() WHERE account = 'old' AND until BETWEEN '2026-01-01' AND '2026-12-31' AND until < '2026-02-02' ORDER BY until;
SELECT unsummed, rows > 20 AS several, differences FROM payment_test.compare();
SELECT wash._sum_ledger(3) AS some;
SELECT summed, unsummed, rows > 20 AS several, differences FROM payment_test.compare();
SELECT task, affected > 0 AS did FROM wash._payment_upkeep(1000) WHERE task = 'ledger_journals_summed';
SELECT summed, unsummed, rows > 20 AS several, differences FROM payment_test.compare();
SELECT wash._sum_ledger(3) AS none_left;
SELECT journal_id AS late FROM wash.post_ledger('[{"account": "old", "direction": "debit", "amount_minor": 1, "currency": "CHF"}, {"account": "older", "direction": "credit", "amount_minor": 1, "currency": "CHF"}]') \gset
SELECT summed, unsummed, rows > 20 AS several, differences FROM payment_test.compare();
SELECT wash._sum_ledger(1000) AS one, payment_test.refusal('SELECT wash.get_ledger_balance(NULL, ''CHF'')');
SELECT summed, unsummed, rows > 20 AS several, differences FROM payment_test.compare();
SELECT rule, violations FROM wash._payment_self_check() WHERE rule = 'totals_differ_from_entries';
UPDATE wash.ledger_totals SET debit_minor = debit_minor + 1 WHERE account = 'old' AND day = '2026-02-01';
SELECT rule, violations FROM wash._payment_self_check() WHERE rule = 'totals_differ_from_entries';
UPDATE wash.ledger_totals SET debit_minor = debit_minor - 1 WHERE account = 'old' AND day = '2026-02-01';

-- More than fits into a bigint, as 9224 entries of the largest amount come to: sums are told all the same
SELECT count(wash.post_ledger((SELECT jsonb_agg(jsonb_build_object('account', 'much', 'direction', (ARRAY['debit', 'credit'])[1 + n % 2], 'amount_minor', 1000000000000000, 'currency', 'KWD')) FROM generate_series(1, 1000) AS n)))
FROM generate_series(1, 20);
SELECT * FROM wash.get_ledger_balance('much', 'KWD');
SELECT * FROM wash.get_trial_balance() WHERE currency = 'KWD';
SELECT wash._sum_ledger(1000) > 0 AS summed;
SELECT * FROM wash.get_trial_balance() WHERE currency = 'KWD';

-- The report of the processor
SELECT transaction_id AS two FROM wash.create_payment('00000000-0000-7000-8000-0000000000ac', 500, 'CHF') \gset
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'two', 'acme')), 'succeeded', 'ac_2');
SELECT count(*) AS differences FROM wash.reconcile_payments('acme', '[{"type": "payment", "id": "ac_1", "amount_minor": 1000, "currency": "CHF", "fee_minor": 25},
    {"type": "payment", "id": "ac_2", "amount_minor": 500, "currency": "CHF"}, {"type": "refund", "id": "acr_1", "amount_minor": 400, "currency": "CHF"}]');
SELECT finding, kind, processor_id, transaction_id = :'one' AS of_one, ours_minor, theirs_minor, our_currency, their_currency, our_fee_minor, their_fee_minor
FROM wash.reconcile_payments('acme', '[{"type": "payment", "id": "ac_1", "amount_minor": 1000, "currency": "CHF", "fee_minor": 29},
    {"type": "payment", "id": "ac_3", "amount_minor": 1, "currency": "CHF"}, {"type": "refund", "id": "acr_1", "amount_minor": 399, "currency": "CHF"},
    {"type": "payment", "id": "ac_2", "amount_minor": 500, "currency": "EUR"}, {"type": "payment", "id": "ac_2", "amount_minor": 500, "currency": "EUR"}]');
SELECT finding, processor_id FROM wash.reconcile_payments('acme', '[]');
SELECT count(*) AS not_of_that_day FROM wash.reconcile_payments('acme', '[]', now() - interval '2 days', now() - interval '1 day');
SELECT wrong, payment_test.refusal(format('SELECT * FROM wash.reconcile_payments(''acme'', %L)', report)) FROM (VALUES ('no array', '{}'), ('no id', '[{"type": "payment", "amount_minor": 1, "currency": "EUR"}]'),
    ('a fraction', '[{"type": "payment", "id": "x", "amount_minor": 1.5, "currency": "EUR"}]'), ('type', '[{"type": "charge", "id": "x", "amount_minor": 1, "currency": "EUR"}]')) AS v (wrong, report);
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0;
DROP SCHEMA payment_test CASCADE;

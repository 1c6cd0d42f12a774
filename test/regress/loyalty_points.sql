-- Points: earned by rules of their time, once for each source; spent from the oldest lot; taken back in proportion, into debt when they
-- are gone; expired; never below zero, whoever writes.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA loyalty_test;
CREATE FUNCTION loyalty_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION loyalty_test.account(customer uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('balance %s, debt %s, lots %s', a.balance, a.debt, (SELECT string_agg(l.points_left || '/' || l.points, ' ' ORDER BY l.id) FROM wash.points_lots AS l WHERE l.customer_id = a.customer_id))
    FROM wash.points_accounts AS a WHERE a.customer_id = customer
$$;
CREATE FUNCTION loyalty_test.entries(customer uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.kind || ' ' || e.points, ', ' ORDER BY e.id) FROM wash.points_entries AS e WHERE e.customer_id = customer
$$;
-- the handlers, as the worker calls them
CREATE FUNCTION loyalty_test.tell(event text, payload jsonb) RETURNS void LANGUAGE sql AS $$ SELECT wash._on_purchase(event, payload) $$;
\set ann '\'00000000-0000-7000-8000-0000000000a1\''
\set bob '\'00000000-0000-7000-8000-0000000000b1\''

-- By hand
SELECT balance, replayed FROM wash.earn_points(:ann, 100, idempotency_key => 'one');
SELECT balance, replayed FROM wash.earn_points(:ann, 100, idempotency_key => 'one');
SELECT loyalty_test.refusal($$ SELECT wash.earn_points('00000000-0000-7000-8000-0000000000a1', 101, idempotency_key => 'one') $$);
-- what is remembered for a key is held to what was asked for: the entry of another customer is not read back
BEGIN;
UPDATE usher.idempotent_calls SET result = to_jsonb((wash.earn_points(:bob, 5)).entry_id) WHERE registrant = 'usher_loyalty' AND key = 'one';
SELECT loyalty_test.refusal($$ SELECT wash.earn_points('00000000-0000-7000-8000-0000000000a1', 100, idempotency_key => 'one') $$);
ROLLBACK;
SELECT balance, replayed FROM wash.earn_points(:ann, 50, 'survey', '00000000-0000-7000-8000-000000000001', 'survey');
SELECT balance, replayed FROM wash.earn_points(:ann, 50, 'survey', '00000000-0000-7000-8000-000000000001', 'survey');
SELECT wrong, loyalty_test.refusal(format('SELECT wash.earn_points(''00000000-0000-7000-8000-0000000000a1'', %s)', args)) FROM (VALUES
    ('zero', '0'), ('negative', '-1'), ('null', 'NULL'), ('too large', '9223372036854775807'), ('half a source', '1, ''survey''')) AS v (wrong, args);
-- the oldest first
SELECT entry_id AS spent, balance FROM wash.redeem_points(120, :ann) \gset
SELECT loyalty_test.account(:ann);
SELECT loyalty_test.refusal($$ SELECT wash.redeem_points(31, '00000000-0000-7000-8000-0000000000a1') $$);
-- back to where they came from, the latest first
SELECT balance FROM wash.give_back_points(:'spent', 30);
SELECT loyalty_test.account(:ann);
SELECT balance FROM wash.give_back_points(:'spent');
SELECT loyalty_test.account(:ann);
SELECT loyalty_test.refusal(format('SELECT wash.give_back_points(%L)', :'spent')) AS nothing_left, loyalty_test.refusal(format('SELECT wash.give_back_points(%L, 1)', :'spent')) AS too_much;
SELECT balance FROM wash.adjust_points(:ann, -10, 'counted wrongly');
SELECT loyalty_test.refusal($$ SELECT wash.adjust_points('00000000-0000-7000-8000-0000000000a1', 5, '') $$);
SELECT kind, points, source_type, rule_code, note FROM wash.list_points_history(:ann);

-- Whoever writes: one statement, several rows, as the owner of the tables
SELECT what, loyalty_test.refusal(statement) FROM (VALUES
    ('more than there is', $$ INSERT INTO wash.points_entries (customer_id, kind, points) VALUES ('00000000-0000-7000-8000-0000000000a1', 'spend', -141) $$),
    ('twice in one statement', $$ INSERT INTO wash.points_entries (customer_id, kind, points) VALUES ('00000000-0000-7000-8000-0000000000a1', 'spend', -71), ('00000000-0000-7000-8000-0000000000a1', 'spend', -71) $$),
    ('the wrong sign', $$ INSERT INTO wash.points_entries (customer_id, kind, points) VALUES ('00000000-0000-7000-8000-0000000000a1', 'spend', 1) $$),
    ('unknown customer', $$ INSERT INTO wash.points_entries (customer_id, kind, points) VALUES ('00000000-0000-7000-8000-0000000000ff', 'earn', 1) $$),
    ('an entry changes', $$ UPDATE wash.points_entries SET points = 1000 WHERE kind = 'earn' $$),
    ('an entry goes', $$ DELETE FROM wash.points_entries $$),
    ('all go', $$ TRUNCATE wash.points_entries CASCADE $$),
    ('balance', $$ UPDATE wash.points_accounts SET balance = 1000000 $$),
    ('a rich account', $$ INSERT INTO wash.points_accounts (customer_id, balance) VALUES (usher.uuid_v7(), 5) $$),
    ('a lot', $$ UPDATE wash.points_lots SET points_left = points $$),
    ('a lot goes', $$ DELETE FROM wash.points_lots $$),
    ('a use', $$ DELETE FROM wash.points_lot_uses $$),
    ('reverse an adjustment', $$ INSERT INTO wash.points_entries (customer_id, kind, points, reverses) SELECT e.customer_id, 'take_back', -1, e.id FROM wash.points_entries AS e WHERE e.kind = 'adjust' $$)) AS v (what, statement);
UPDATE wash.points_entries SET note = NULL WHERE note IS NOT NULL;
SELECT loyalty_test.account(:ann);

-- Rules
SELECT code, rule_version, valid_until FROM wash.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "floor(r.amount_minor / 100)", "condition": "r.currency == ''EUR''", "expires_after": "1 year", "valid_from": "2026-01-01T00:00:00Z"}');
SELECT wrong, loyalty_test.refusal(format('SELECT wash.create_earning_rule(%L)', definition)) FROM (VALUES
    ('no points', '{"code": "x", "event": "payment.completed"}'), ('unknown member', '{"code": "x", "event": "payment.completed", "points": "1", "pionts": "2"}'),
    ('syntax', '{"code": "x", "event": "payment.completed", "points": "1 +"}'), ('unknown name', '{"code": "x", "event": "payment.completed", "points": "q.amount"}'),
    ('lines of a purchase', '{"code": "x", "event": "payment.completed", "points": "p.amount"}'), ('unknown function', '{"code": "x", "event": "payment.completed", "points": "system(1)"}'),
    ('arguments', '{"code": "x", "event": "payment.completed", "points": "floor()"}'), ('unknown event', '{"code": "x", "event": "user.created", "points": "1"}'),
    ('a cap without its period', '{"code": "x", "event": "payment.completed", "points": "1", "max_in_period": 3}'), ('time zone', '{"code": "x", "event": "payment.completed", "points": "1", "time_zone": "Mars/Olympus"}'),
    ('earlier', '{"code": "per_euro", "event": "payment.completed", "points": "1", "valid_from": "2025-01-01T00:00:00Z"}'), ('an array', '[]')) AS v (wrong, definition);
SELECT wash.preview_earning_rule('{"points": "p.quantity * 2", "counts": "line", "condition": "p.kind == ''soap''", "max_points": 9}', '{"lines": [{"quantity": 3, "kind": "soap"}, {"quantity": 5, "kind": "wax"}, {"quantity": 4, "kind": "soap"}]}') AS lines_with_a_cap,
    wash.preview_earning_rule('{"points": "r.amount_minor / 100 * 1.5", "condition": "r.tier in (''GOLD'', ''BLACK'')"}', '{"amount_minor": 999, "tier": "GOLD"}') AS tier,
    wash.preview_earning_rule('{"points": "-5"}', '{}') AS negative,
    wash.preview_earning_rule('{"points": "max(r.nothing, 1)"}', '{}') AS missing;
SELECT loyalty_test.refusal($$ SELECT wash.preview_earning_rule('{"points": "r.a - 1"}', '{"a": {}}') $$) AS types,
    loyalty_test.refusal($$ SELECT wash.preview_earning_rule('{"points": "r.a / 0"}', '{"a": 1}') $$) AS infinite;

-- A payment earns once, however often it is told of; the rule of its time
SELECT loyalty_test.tell('payment.completed', jsonb_build_object('transaction_id', '00000000-0000-7000-8000-0000000000c1', 'customer_id', :bob, 'captured_minor', 10050, 'currency', 'EUR', 'payment_method', 'card', 'completed_at', '2026-02-01T10:00:00Z')) FROM generate_series(1, 3);
SELECT loyalty_test.account(:bob), loyalty_test.entries(:bob);
SELECT rule_version, expires_at, occurred_at FROM wash.points_entries WHERE customer_id = :bob;
SELECT rule_version FROM wash.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "2 * floor(r.amount_minor / 100)"}');
SELECT code, rule_version, points, valid_until IS NULL AS open FROM wash.list_earning_rules('per_euro');
SELECT loyalty_test.tell('payment.completed', jsonb_build_object('transaction_id', '00000000-0000-7000-8000-0000000000c2', 'customer_id', :bob, 'captured_minor', 1000, 'currency', 'EUR', 'completed_at', '2026-02-02T10:00:00Z')),
    loyalty_test.tell('payment.completed', jsonb_build_object('transaction_id', '00000000-0000-7000-8000-0000000000c3', 'customer_id', :bob, 'captured_minor', 1000, 'currency', 'EUR', 'completed_at', now()));
SELECT points, rule_version FROM wash.points_entries WHERE customer_id = :bob ORDER BY id;
SELECT loyalty_test.refusal($$ UPDATE wash.earning_rules SET points = '1000' $$) AS a_version_changes, loyalty_test.refusal($$ DELETE FROM wash.earning_rules $$) AS a_version_goes;
-- not what was paid with points or vouchers
SELECT loyalty_test.tell('payment.completed', jsonb_build_object('transaction_id', '00000000-0000-7000-8000-0000000000c4', 'customer_id', :bob, 'captured_minor', 1000, 'currency', 'EUR', 'payment_method', method)) FROM (VALUES ('voucher'), ('points')) AS v (method);
SELECT loyalty_test.account(:bob);

-- Part of it comes back, half up, told twice and by a larger sum later; then all
SELECT loyalty_test.tell('payment.partially_refunded', '{"transaction_id": "00000000-0000-7000-8000-0000000000c1", "refunded_minor": 2550}') FROM generate_series(1, 2);
SELECT loyalty_test.account(:bob), loyalty_test.entries(:bob);
SELECT loyalty_test.tell('payment.partially_refunded', '{"transaction_id": "00000000-0000-7000-8000-0000000000c1", "refunded_minor": 2000}');
SELECT loyalty_test.tell('payment.refunded', '{"id": "00000000-0000-7000-8000-0000000000c1", "refunded_minor": 10050}');
SELECT loyalty_test.account(:bob), loyalty_test.entries(:bob);
-- buy, earn, spend, refund: into debt, which is paid by what is earned next
SELECT balance FROM wash.redeem_points(25, :bob);
SELECT loyalty_test.tell('payment.refunded', '{"id": "00000000-0000-7000-8000-0000000000c3", "refunded_minor": 1000}');
SELECT loyalty_test.account(:bob);
SELECT balance, debt FROM wash.get_points_balance(:bob);
SELECT loyalty_test.refusal($$ SELECT wash.redeem_points(1, '00000000-0000-7000-8000-0000000000b1') $$);
SELECT balance FROM wash.earn_points(:bob, 10);
SELECT balance FROM wash.earn_points(:bob, 10);
SELECT loyalty_test.account(:bob);

-- A refund that is heard of before its payment
\set cat '\'00000000-0000-7000-8000-0000000000c9\''
SELECT loyalty_test.tell('payment.partially_refunded', '{"transaction_id": "00000000-0000-7000-8000-0000000000d1", "refunded_minor": 500, "reference_type": "booking", "reference_id": "00000000-0000-7000-8000-0000000000d0"}');
SELECT loyalty_test.tell('payment.refunded', '{"id": "00000000-0000-7000-8000-0000000000d2", "refunded_minor": 700}');
SELECT source_type, customer_id, amount_minor FROM wash.points_sources WHERE customer_id IS NULL ORDER BY source_type, source_id;
SELECT loyalty_test.tell('payment.completed', jsonb_build_object('transaction_id', id, 'customer_id', :cat, 'captured_minor', amount, 'currency', 'EUR')) FROM (VALUES ('00000000-0000-7000-8000-0000000000d1', 2000), ('00000000-0000-7000-8000-0000000000d2', 700)) AS v (id, amount);
SELECT loyalty_test.account(:cat), loyalty_test.entries(:cat);

-- What a bank takes back (a dispute that is open or lost) counts as gone; one that is won counts again: points are restored, with the expiry that
-- they had, after debt. In whatever order events come, and however often, it is the same.
\set eve '\'00000000-0000-7000-8000-0000000000ca\''
CREATE FUNCTION loyalty_test.nth(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8008-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION loyalty_test.dispute(what text, payment integer, customer uuid) RETURNS void LANGUAGE sql AS $$
    SELECT loyalty_test.tell(CASE what WHEN 'completed' THEN 'payment.completed' WHEN 'open' THEN 'payment.disputed' ELSE 'payment.dispute_closed' END, jsonb_build_object('transaction_id', loyalty_test.nth(payment), 'customer_id', customer,
        'currency', 'EUR', 'reference_type', 'booking', 'reference_id', loyalty_test.nth(payment + 1000)) || CASE what WHEN 'completed' THEN jsonb_build_object('captured_minor', 1000, 'completed_at', now())
        ELSE jsonb_build_object('dispute_id', loyalty_test.nth(payment + 2000), 'status', what, 'amount_minor', 600) END)
$$;
SELECT rule_version FROM wash.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "2 * floor(r.amount_minor / 100)", "expires_after": "1 year"}');
SELECT loyalty_test.dispute(what, 1, :eve), loyalty_test.account(:eve) FROM unnest('{completed,completed,open,open,lost,lost}'::text[]) AS w (what);
SELECT loyalty_test.dispute('won', 1, :eve), loyalty_test.dispute('open', 1, :eve), loyalty_test.dispute('won', 1, :eve);
SELECT loyalty_test.account(:eve), loyalty_test.entries(:eve);
SELECT count(*) AS restored, bool_and(r.expires_at = e.expires_at) AS keeps_its_expiry FROM wash.points_entries AS r JOIN wash.points_entries AS t ON t.id = r.reverses JOIN wash.points_entries AS e ON e.id = t.reverses WHERE r.kind = 'restore';
-- spent in the meantime: into debt, and out of it
SELECT balance FROM wash.redeem_points(15, :eve);
SELECT loyalty_test.dispute('completed', 2, :eve), loyalty_test.dispute('open', 2, :eve), loyalty_test.account(:eve);
SELECT balance FROM wash.redeem_points(13, :eve);
SELECT loyalty_test.dispute('open', 3, :eve), loyalty_test.dispute('completed', 3, :eve), loyalty_test.account(:eve);
SELECT balance FROM wash.redeem_points(8, :eve);
SELECT loyalty_test.tell('payment.refunded', jsonb_build_object('id', loyalty_test.nth(1), 'refunded_minor', 1000)), loyalty_test.account(:eve);
SELECT loyalty_test.account(:eve);
SELECT loyalty_test.dispute('won', 2, :eve), loyalty_test.account(:eve);
SELECT loyalty_test.account(:eve);
-- all orders of the events of a purchase: won ends with all of it, lost with what is left
CREATE FUNCTION loyalty_test.in_order(outcome text, VARIADIC steps text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    payment CONSTANT integer := 100 + (SELECT count(*) FROM wash.points_sources);
    step text;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        PERFORM loyalty_test.dispute(CASE step WHEN 'closed' THEN outcome ELSE step END, payment, loyalty_test.nth(payment + 5000));
    END LOOP;
    RETURN (SELECT a.balance - a.debt FROM wash.points_accounts AS a WHERE a.customer_id = loyalty_test.nth(payment + 5000));
END
$$;
SELECT outcome, loyalty_test.in_order(outcome, 'completed', 'open', 'closed') AS a, loyalty_test.in_order(outcome, 'completed', 'closed', 'open') AS b, loyalty_test.in_order(outcome, 'open', 'completed', 'closed') AS c,
    loyalty_test.in_order(outcome, 'open', 'closed', 'completed') AS d, loyalty_test.in_order(outcome, 'closed', 'open', 'completed') AS e, loyalty_test.in_order(outcome, 'closed', 'completed', 'open') AS f FROM unnest('{won,lost}'::text[]) AS o (outcome);
-- a booking that is completed while the whole payment for it is disputed
SELECT loyalty_test.tell('payment.disputed', jsonb_build_object('transaction_id', loyalty_test.nth(900), 'dispute_id', loyalty_test.nth(901), 'status', status, 'amount_minor', 1000, 'reference_type', 'order', 'reference_id', loyalty_test.nth(902))),
    loyalty_test.tell('order.completed', jsonb_build_object('id', loyalty_test.nth(902), 'customer_id', loyalty_test.nth(903), 'total_minor', 1000, 'currency', 'EUR')) FROM unnest('{open,won}'::text[]) AS s (status);
SELECT source_type, kind, amount_minor FROM wash.points_deductions WHERE cause_id = loyalty_test.nth(901) ORDER BY 1;
SELECT wrong, loyalty_test.refusal(format('SELECT loyalty_test.tell(''payment.disputed'', %L)', payload)) FROM (VALUES ('nothing', '{}'), ('no amount', '{"transaction_id": "ch_9", "dispute_id": "00000000-0000-7000-8008-000000000901", "status": "open"}')) AS v (wrong, payload);
SELECT loyalty_test.refusal($$ INSERT INTO wash.points_entries (customer_id, kind, points, reverses) SELECT e.customer_id, 'restore', 1, e.id FROM wash.points_entries AS e WHERE e.kind = 'earn' LIMIT 1 $$) AS restore_what_was_not_taken,
    loyalty_test.refusal($$ INSERT INTO wash.points_entries (customer_id, kind, points, reverses) SELECT e.customer_id, 'restore', 1000, e.id FROM wash.points_entries AS e WHERE e.kind = 'take_back' LIMIT 1 $$) AS too_much;

-- Visits and their caps, in the day of the place; an order by its lines
SELECT rule_version FROM wash.create_earning_rule('{"code": "visit", "event": "booking.completed", "points": "10 + 5 * (r.hour < 12)", "max_in_period": 25, "period": "day", "time_zone": "America/New_York"}');
SELECT loyalty_test.tell('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', :cat, 'price_minor', 0, 'currency', 'EUR', 'completed_at', now()));
SELECT count(*) FROM usher.audit_logs WHERE event_type = 'loyalty.rule_failed' AND error_message LIKE '%arithmetic needs numbers%';
SELECT rule_version FROM wash.create_earning_rule('{"code": "visit", "event": "booking.completed", "points": "10", "condition": "r.weekday <= 7 && r.hour >= 0 && r.date != ''''", "max_in_period": 25, "period": "day", "time_zone": "America/New_York"}');
SELECT (wash.create_earning_rule('{"code": "soap", "event": "order.completed", "counts": "line", "points": "p.quantity", "condition": "p.product_id == ''00000000-0000-7000-8000-0000000000e0''"}')).rule_version AS soap;
-- one day there, two days here; then another day
SELECT extract(year FROM now()) + 1 AS next_year \gset
SELECT loyalty_test.tell('booking.completed', jsonb_build_object('id', usher.uuid_v7(), 'customer_id', '00000000-0000-7000-8000-0000000000e1', 'price_minor', 1000, 'currency', 'EUR', 'completed_at', :next_year || t))
    FROM unnest('{-03-02T20:00:00Z,-03-03T03:00:00Z,-03-03T04:59:00Z,-03-03T05:01:00Z}'::text[]) AS t;
SELECT points FROM wash.points_entries WHERE customer_id = '00000000-0000-7000-8000-0000000000e1' ORDER BY id;
SELECT loyalty_test.tell('order.completed', '{"id": "00000000-0000-7000-8000-0000000000e2", "customer_id": "00000000-0000-7000-8000-0000000000e3", "total_minor": 900, "currency": "EUR",
    "lines": [{"product_id": "00000000-0000-7000-8000-0000000000e0", "quantity": 3}, {"product_id": "00000000-0000-7000-8000-0000000000ef", "quantity": 4}]}');
SELECT loyalty_test.entries('00000000-0000-7000-8000-0000000000e3');
SELECT loyalty_test.tell('order.cancelled', '{"id": "00000000-0000-7000-8000-0000000000e2"}');
SELECT loyalty_test.account('00000000-0000-7000-8000-0000000000e3'), loyalty_test.entries('00000000-0000-7000-8000-0000000000e3');
SELECT wrong, loyalty_test.refusal(format('SELECT loyalty_test.tell(%L, %L)', event, payload)) FROM (VALUES
    ('no id', 'order.completed', '{}'), ('no customer', 'order.completed', '{"id": "00000000-0000-7000-8000-0000000000e2"}'), ('no amount', 'payment.refunded', '{"id": "00000000-0000-7000-8000-0000000000e2"}'), ('a payment of somebody else', 'payment.completed', '{"transaction_id": "ch_1"}'),
    ('negative', 'order.completed', '{"id": "00000000-0000-7000-8000-0000000000e5", "customer_id": "00000000-0000-7000-8000-0000000000e2", "total_minor": -1}'),
    ('another event', 'user.created', '{}'), ('no object', 'order.completed', '1')) AS v (wrong, event, payload);
SELECT valid_until IS NOT NULL AS ended FROM wash.end_earning_rule('soap');
SELECT loyalty_test.refusal($$ SELECT wash.end_earning_rule('soap') $$), loyalty_test.refusal($$ SELECT wash.end_earning_rule('visit', '2020-01-01') $$);

-- Lots that end: announced once; not spent when they are over; ended by upkeep, or by whoever comes first
\set dan '\'00000000-0000-7000-8000-0000000000f1\''
SELECT balance FROM wash.earn_points(:dan, 40, expires_at => now() + interval '10 days');
SELECT balance FROM wash.earn_points(:dan, 60, expires_at => now() + interval '90 days');
SELECT balance, expiring_points, expiring_at - now() < interval '11 days' AS soon FROM wash.get_points_balance(:dan);
SELECT count(wash._announce_expiring(100)) FROM generate_series(1, 2);
SELECT payload ->> 'points' AS points FROM usher.events WHERE event = 'loyalty.points_expiring' AND key = :dan;
SELECT balance FROM wash.earn_points(:dan, 5, expires_at => clock_timestamp() + interval '0.3 seconds');
SELECT pg_sleep(0.4);
SELECT balance FROM wash.get_points_balance(:dan);
SELECT loyalty_test.refusal($$ SELECT wash.redeem_points(105, '00000000-0000-7000-8000-0000000000f1') $$);
SELECT balance FROM wash.redeem_points(100, :dan);
SELECT loyalty_test.account(:dan), loyalty_test.entries(:dan);
SELECT balance FROM wash.earn_points(:dan, 7, expires_at => clock_timestamp() + interval '0.1 seconds');
SELECT pg_sleep(0.2);
SELECT wash._expire_points(100) > 0 AS expired, wash._expire_points(100) AS again;
SELECT loyalty_test.account(:dan), loyalty_test.entries(:dan);

-- Nothing is wrong
SELECT rule, violations FROM wash._loyalty_self_check() WHERE violations > 0;
SELECT name, labels, value > 0 AS some FROM wash._loyalty_metrics() ORDER BY labels::text;
SELECT finding FROM wash._loyalty_configuration() WHERE finding LIKE '%visit%';
SELECT count(wash.end_earning_rule(code)) FROM unnest('{per_euro,visit}'::text[]) AS c (code);
DROP SCHEMA loyalty_test CASCADE;

-- Who may read and do what: customers their own, managers what is theirs by location, everything for payment:read; by functions,
-- by row-level security and over HTTP. Lists by pages, balances, reports, saved methods.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT usher.apply_role_preset('payments');
CREATE SCHEMA payment_test;
SELECT '00000000-0000-7000-8000-0000000000d1' AS here, '00000000-0000-7000-8000-0000000000d2' AS there \gset
SELECT user_id AS ann FROM usher.register_user('reading-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT user_id AS ben FROM usher.register_user('reading-ben@example.com', 'long enough to be good', 'Ben') \gset
SELECT user_id AS mia FROM usher.register_user('reading-mia@example.com', 'long enough to be good', 'Mia') \gset
SELECT user_id AS ace FROM usher.register_user('reading-ace@example.com', 'long enough to be good', 'Ace') \gset
SELECT user_id AS bot FROM usher.register_user('reading-bot@example.com', 'long enough to be good', 'Bot') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email LIKE 'reading-%';
SELECT usher.grant_role(:'mia', 'payment_manager', :'here'), usher.grant_role(:'ace', 'accountant'), usher.grant_role(:'bot', 'payment_worker') \g /dev/null
CREATE TABLE payment_test.tokens AS SELECT u.first_name AS who, usher.issue_token(u.id, '{}', '1 hour') AS token FROM usher.users AS u WHERE u.email LIKE 'reading-%';
-- a statement as somebody, through the application's role; its answer or its refusal
CREATE ROLE regress_payment_app;
SELECT usher.grant_access('regress_payment_app', 'application');
GRANT USAGE ON SCHEMA payment_test TO regress_payment_app;
CREATE FUNCTION payment_test.as_user(somebody text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    secret text := (SELECT t.token FROM payment_test.tokens AS t WHERE t.who = somebody);
BEGIN
    SET LOCAL ROLE regress_payment_app;
    IF secret IS NOT NULL THEN
        PERFORM usher.authenticate(secret);
    END IF;
    EXECUTE statement INTO answer;
    RAISE EXCEPTION SQLSTATE 'PT000' USING MESSAGE = coalesce(answer, '(null)'); -- rolls back, identity and all
EXCEPTION
    WHEN SQLSTATE 'PT000' THEN
        RESET ROLE;
        RETURN SQLERRM;
    WHEN OTHERS THEN
        RESET ROLE;
        RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- what there is: of Ann here and there and nowhere, of Ben here
SELECT transaction_id AS a1 FROM wash.create_payment(:'ann', 1000, 'EUR', location_id => :'here', reference_type => 'order', reference_id => :'here') \gset
SELECT transaction_id AS a2 FROM wash.create_payment(:'ann', 500, 'EUR', location_id => :'there', reference_type => 'order', reference_id => :'here') \gset
SELECT transaction_id AS a3 FROM wash.create_payment(:'ann', 90, 'JPY', 'cash', reference_type => 'order', reference_id => :'here') \gset
SELECT transaction_id AS b1 FROM wash.create_payment(:'ben', 700, 'EUR', location_id => :'here') \gset
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'a1', 'rd')), 'succeeded', 'rd_1', fee_minor => 10, response => '{"id": "rd_1", "risk_level": "normal"}');
SELECT status FROM wash.record_payment_result((SELECT attempt_id FROM wash.begin_payment_attempt(:'a2', 'rd')), 'succeeded', 'rd_2');
SELECT refund_id AS refund FROM wash.create_refund(:'a1', 100, notes => 'NOTES') \gset
SELECT status FROM wash.record_refund_result(:'refund', 'succeeded', 'rdr_1');

SELECT who, payment_test.as_user(who, 'SELECT string_agg(amount_minor || currency, '' '' ORDER BY transaction_id) FROM wash.list_payments()') AS listed,
    payment_test.as_user(who, 'SELECT string_agg(amount_minor || currency, '' '' ORDER BY id) FROM wash.payment_transactions') AS selected,
    payment_test.as_user(who, format('SELECT string_agg(currency || net_minor, '' '') FROM wash.get_payment_balance(''order'', %L)', :'here')) AS balance
FROM (VALUES ('Ann'), ('Ben'), ('Mia'), ('Bot'), (NULL)) AS v (who);
-- the accountant reads what other tests have left as well
SELECT payment_test.as_user('Ace', format('SELECT count(*) FROM wash.list_payments(location_id => %L)', :'here')), payment_test.as_user('Ace', format('SELECT count(*) FROM wash.payment_transactions WHERE location_id = %L', :'here'));
SELECT who, payment_test.as_user(who, format('SELECT status || '' '' || (customer).name || '' '' || refundable_minor FROM wash.get_payment(%L)', :'a1')) AS got,
    payment_test.as_user(who, format('SELECT count(*) FROM wash.get_payment_history(%L)', :'a1')) AS history,
    payment_test.as_user(who, format('SELECT string_agg(amount_minor || coalesce(notes, ''''), '' '') FROM wash.list_refunds(%L)', :'a1')) AS refunds,
    payment_test.as_user(who, format('SELECT outcome || coalesce(response::text, '' hidden'') FROM wash.list_payment_attempts(%L)', :'a1')) AS attempts
FROM (VALUES ('Ann'), ('Ben'), ('Mia'), ('Ace'), ('Bot'), (NULL)) AS v (who);
SELECT who, payment_test.as_user(who, format('SELECT status FROM wash.get_payment(%L)', :'a2')) AS elsewhere, payment_test.as_user(who, 'SELECT status FROM wash.get_payment(usher.uuid_v7())') AS unknown
FROM (VALUES ('Mia'), ('Ben')) AS v (who);
-- No other table can be read
SELECT relation, payment_test.as_user('Ace', 'SELECT count(*) FROM wash.' || relation) FROM unnest('{payment_attempts,payment_refunds,payment_methods,payment_webhook_secrets,payment_webhook_events,ledger_entries}'::text[]) AS r (relation);

-- Who may do what
SELECT what, who, payment_test.as_user(who, statement) FROM (VALUES
    ('pay for oneself', 'Ben', 'SELECT status FROM wash.create_payment(NULL, 5, ''EUR'')'), ('for somebody', 'Ben', format('SELECT status FROM wash.create_payment(%L, 5, ''EUR'')', :'ann')),
    ('for somebody, here', 'Mia', format('SELECT status FROM wash.create_payment(%L, 5, ''EUR'', location_id => %L)', :'ann', :'here')), ('for somebody, there', 'Mia', format('SELECT status FROM wash.create_payment(%L, 5, ''EUR'', location_id => %L)', :'ann', :'there')),
    ('begin', 'Ben', format('SELECT attempt_no FROM wash.begin_payment_attempt(%L, ''rd'')', :'b1')), ('begin for somebody', 'Ann', format('SELECT attempt_no FROM wash.begin_payment_attempt(%L, ''rd'')', :'b1')),
    ('mark as paid', 'Ann', format('SELECT status FROM wash.record_manual_payment(%L)', :'a3')), ('mark as paid, nowhere', 'Mia', format('SELECT status FROM wash.record_manual_payment(%L)', :'a3')),
    ('mark as paid, here', 'Mia', format('SELECT status FROM wash.record_manual_payment(%L, ''cash'')', :'b1')), ('report a result', 'Mia', 'SELECT status FROM wash.record_payment_result(usher.uuid_v7(), ''succeeded'')'),
    ('report a result', 'Bot', 'SELECT status FROM wash.record_payment_result(usher.uuid_v7(), ''succeeded'')'), ('a webhook without its signature', 'Ann', 'SELECT effect FROM wash.ingest_webhook(''rd'', ''x'', ''payment.succeeded'')'),
    ('refund oneself', 'Ann', format('SELECT status FROM wash.create_refund(%L)', :'a1')), ('refund, here', 'Mia', format('SELECT remaining_minor FROM wash.create_refund(%L, 1)', :'a1')),
    ('refund, there', 'Mia', format('SELECT remaining_minor FROM wash.create_refund(%L, 1)', :'a2')), ('refund', 'Ace', format('SELECT remaining_minor FROM wash.create_refund(%L, 1)', :'a2')),
    ('cancel', 'Ben', format('SELECT status FROM wash.cancel_payment(%L)', :'b1')), ('cancel of somebody', 'Ann', format('SELECT status FROM wash.cancel_payment(%L)', :'b1')),
    ('the ledger', 'Mia', 'SELECT count(*) FROM wash.get_trial_balance()'), ('the ledger', 'Ace', 'SELECT count(*) > 0 FROM wash.get_trial_balance()'),
    ('post', 'Mia', 'SELECT 1 FROM wash.post_ledger(''[]'')'), ('reconcile', 'Mia', 'SELECT count(*) FROM wash.reconcile_payments(''rd'', ''[]'')'), ('reconcile', 'Ace', 'SELECT count(*) FROM wash.reconcile_payments(''rd'', ''[]'')'),
    ('secrets', 'Ace', 'SELECT count(*) FROM wash.list_webhook_secrets()'), ('unresolved', 'Ann', 'SELECT count(*) FROM wash.list_unresolved_attempts()'), ('unresolved', 'Bot', 'SELECT count(*) >= 0 FROM wash.list_unresolved_attempts()'),
    ('nobody', NULL, 'SELECT status FROM wash.create_payment(NULL, 5, ''EUR'')'), ('nobody reads', NULL, 'SELECT count(*) FROM wash.list_payments()'), ('the report', 'Ann', 'SELECT count(*) FROM wash.report_payments(current_date, current_date)')) AS v (what, who, statement);

-- An API key may do what it holds a permission for, whatever its user may; one's own payments are no exception
INSERT INTO payment_test.tokens SELECT 'key of Mia', api_key FROM usher.create_api_key('a', '{payment:read}', now() + interval '1 day', :'mia');
INSERT INTO payment_test.tokens SELECT 'key of Ann', api_key FROM usher.create_api_key('b', '{booking:read}', now() + interval '1 day', :'ann');
SELECT what, who, payment_test.as_user(who, statement) FROM (VALUES
    ('read', 'key of Mia', format('SELECT status FROM wash.get_payment(%L)', :'a1')), ('refund', 'key of Mia', format('SELECT status FROM wash.create_refund(%L, 1)', :'a1')), ('record', 'key of Mia', format('SELECT status FROM wash.record_manual_payment(%L, ''cash'')', :'b1')),
    ('read', 'key of Ann', format('SELECT status FROM wash.get_payment(%L)', :'a1')), ('list', 'key of Ann', 'SELECT count(*) FROM wash.list_payments()'), ('select', 'key of Ann', 'SELECT count(*) FROM wash.payment_transactions'),
    ('balance', 'key of Ann', format('SELECT count(*) FROM wash.get_payment_balance(''order'', %L)', :'here')), ('pay', 'key of Ann', 'SELECT status FROM wash.create_payment(NULL, 5, ''EUR'')'), ('begin', 'key of Ann', format('SELECT attempt_no FROM wash.begin_payment_attempt(%L, ''rd'')', :'a3')),
    ('cancel', 'key of Ann', format('SELECT status FROM wash.cancel_payment(%L)', :'a3')), ('save', 'key of Ann', 'SELECT brand FROM wash.save_payment_method(''rd'', ''tok_k'')'), ('methods', 'key of Ann', 'SELECT count(*) FROM wash.list_payment_methods()')) AS v (what, who, statement);

-- Pages, filters, reports
SELECT payment_test.as_user('Ann', 'SELECT string_agg(amount_minor::text, '' '') FROM (SELECT * FROM wash.list_payments(max_rows => 2)) AS p') AS first,
    payment_test.as_user('Ann', format('SELECT string_agg(amount_minor::text, '' '') FROM (SELECT * FROM wash.list_payments(max_rows => 2, after => %L)) AS p', :'a2')) AS second,
    payment_test.as_user('Ben', format('SELECT count(*) FROM wash.list_payments(after => %L)', :'a2')) AS of_somebody;
SELECT replace(filter, :'ben', 'Ben') AS filter, payment_test.as_user('Ann', format('SELECT string_agg(amount_minor::text, '' '' ORDER BY amount_minor) FROM wash.list_payments(%s)', filter)) FROM (VALUES
    ('statuses => ''{completed}'''), ('statuses => ''{paid}'''), ('statuses => ''{NULL}'''), (format('location_id => %L', :'there')), ('reference_type => ''booking'''),
    (format('customer_id => %L', :'ben')), ('created => ''[2000-01-01,2000-01-02)'''), ('max_rows => 0')) AS v (filter);
SELECT payment_method, currency, payments, captured_minor, fee_minor, refunds, refunded_minor, net_minor FROM wash.report_payments((now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date, :'here');
SELECT payment_test.as_user('Mia', format('SELECT count(*) FROM wash.report_payments(current_date - 1, current_date + 1, %L)', :'here')) AS here, payment_test.as_user('Mia', 'SELECT count(*) FROM wash.report_payments(current_date, current_date)') AS everywhere,
    payment_test.as_user('Ace', 'SELECT count(*) FROM wash.report_payments(current_date, current_date - 1)') AS backwards, payment_test.as_user('Ace', 'SELECT count(*) FROM wash.report_payments(current_date, current_date, time_zone => ''Nowhere'')') AS nowhere;

-- Saved methods: the token goes in and comes out for the worker only
SELECT payment_test.as_user('Ann', 'SELECT (wash.save_payment_method(''rd'', ''tok_1'', ''card'', ''visa'', ''4242'', 12, 2030, true))::text ~ ''tok_1''') AS shows_token;
SELECT brand, last_four, expiry_month, expiry_year, is_default FROM wash.save_payment_method('rd', 'tok_1', 'card', 'visa', '4242', 12, 2030, true, :'ann');
SELECT method_id AS method, is_default FROM wash.save_payment_method('rd', 'tok_2', 'card', 'amex', '0005', 1, 2031, true, :'ann') \gset
SELECT brand, is_default FROM wash.list_payment_methods(:'ann');
SELECT what, who, payment_test.as_user(who, statement) FROM (VALUES
    ('own', 'Ann', 'SELECT count(*) FROM wash.list_payment_methods()'), ('of others', 'Ben', format('SELECT count(*) FROM wash.list_payment_methods(%L)', :'ann')), ('taken', 'Ben', 'SELECT wash.save_payment_method(''rd'', ''tok_1'')'),
    ('a card number', 'Ben', 'SELECT wash.save_payment_method(''rd'', ''4242424242424242'')'), ('a month', 'Ben', 'SELECT wash.save_payment_method(''rd'', ''t'', expiry_month => 13)'),
    ('token', 'Ann', format('SELECT token FROM wash.get_payment_token(%L)', :'method')), ('token', 'Bot', format('SELECT token FROM wash.get_payment_token(%L)', :'method')),
    ('pay with it', 'Ann', format('SELECT attempt_no FROM wash.begin_payment_attempt(%L, saved_method_id => %L)', :'a3', :'method')), ('of somebody', 'Ben', format('SELECT attempt_no FROM wash.begin_payment_attempt(%L, saved_method_id => %L)', :'b1', :'method')),
    ('remove that of somebody', 'Ben', format('SELECT wash.remove_payment_method(%L)', :'method')), ('remove', 'Ann', format('SELECT wash.remove_payment_method(%L)', :'method'))) AS v (what, who, statement);

-- Over HTTP
CREATE FUNCTION payment_test.http(somebody text, method text, path text, body jsonb DEFAULT NULL, headers jsonb DEFAULT '{}', OUT status integer, OUT body_is jsonb) LANGUAGE sql AS $$
    SELECT r.status, r.body::jsonb - 'instance' - 'correlation_id' - 'title' - 'type' FROM usher.http_request(method, split_part(path, '?', 1), nullif(split_part(path, '?', 2), ''),
        jsonb_build_object('content-type', 'application/json') || coalesce(jsonb_build_object('authorization', 'Bearer ' || (SELECT t.token FROM payment_test.tokens AS t WHERE t.who = somebody)), '{}') || headers, body::text) AS r
$$;
SELECT status, body_is - 'transaction_id' FROM payment_test.http('Ann', 'POST', '/payments', '{"amount_minor": 250, "currency": "EUR", "purpose": "tip"}', '{"idempotency-key": "http-1"}');
SELECT status, body_is - 'transaction_id' FROM payment_test.http('Ann', 'POST', '/payments', '{"amount_minor": 250, "currency": "EUR", "purpose": "tip"}', '{"idempotency-key": "http-1"}');
SELECT status, body_is -> 'code' FROM payment_test.http('Ann', 'POST', '/payments', '{"amount_minor": 251, "currency": "EUR", "purpose": "tip"}', '{"idempotency-key": "http-1"}');
SELECT status, body_is -> 'code', body_is -> 'errors' FROM payment_test.http('Ann', 'POST', '/payments', '{"amount_minor": 1.5, "currency": "EUR"}');
SELECT status, body_is -> 'code' FROM payment_test.http('Ann', 'POST', '/payments', '{"amount_minor": 15, "currency": "EUX"}');
SELECT status, body_is ->> 'code' FROM payment_test.http(NULL, 'GET', '/payments');
SELECT status, jsonb_array_length(body_is -> 'items') AS items, body_is -> 'next' <> 'null' AS has_next FROM payment_test.http('Ann', 'GET', '/payments?max_rows=2');
SELECT status, body_is -> 'customer' ->> 'name' AS name, body_is -> 'refunded_minor' AS refunded FROM payment_test.http('Ann', 'GET', '/payments/' || :'a1');
SELECT status, body_is -> 'code' FROM payment_test.http('Ben', 'GET', '/payments/' || :'a1');
SELECT status, body_is - 'refund_id' - 'provider_key' FROM payment_test.http('Mia', 'POST', '/payments/' || :'a1' || '/refunds', '{"amount_minor": 10}');
SELECT status, body_is -> 'code', body_is -> 'details' -> 'remaining_minor' FROM payment_test.http('Mia', 'POST', '/payments/' || :'a1' || '/refunds', '{"amount_minor": 1000}');
SELECT status, body_is FROM payment_test.http('Ann', 'GET', '/payment-balance?reference_type=order&reference_id=' || :'here');
SELECT status, body_is -> 'items' -> 0 FROM payment_test.http(NULL, 'GET', '/currencies') AS h (status, body_is);
SELECT method, path_template, access FROM usher.list_routes() WHERE tag = 'payment' ORDER BY path_template COLLATE "C", method;
SELECT count(*) AS paths_in_openapi FROM jsonb_object_keys(usher.openapi() -> 'paths') AS p WHERE p ~ '^/(payment|ledger|currencies)';
SELECT usher.revoke_access('regress_payment_app');
DROP SCHEMA payment_test CASCADE;
DROP OWNED BY regress_payment_app;
DROP ROLE regress_payment_app;

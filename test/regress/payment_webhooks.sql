-- Webhooks: signed in three schemes with several secrets at a time, once each, late, double and in the wrong order; over
-- HTTP as they were sent. Signatures are made here with pgcrypto, and by the npm packages in test/t/gateway_payments.pl.
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
CREATE FUNCTION payment_test.stripe(body text, secret text, at timestamptz DEFAULT now()) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('stripe-signature', format('t=%s,v1=%s', extract(epoch FROM at)::bigint,
        encode(public.hmac(convert_to(extract(epoch FROM at)::bigint || '.' || body, 'UTF8'), convert_to(secret, 'UTF8'), 'sha256'), 'hex')))
$$;
CREATE FUNCTION payment_test.standard(id text, body text, secret bytea, at timestamptz DEFAULT now()) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('webhook-id', id, 'webhook-timestamp', (extract(epoch FROM at)::bigint)::text, 'webhook-signature', 'v1,' ||
        encode(public.hmac(convert_to(id || '.' || extract(epoch FROM at)::bigint || '.' || body, 'UTF8'), secret, 'sha256'), 'base64'))
$$;
SELECT transaction_id AS one FROM wash.create_payment('00000000-0000-7000-8000-0000000000ab', 1000, 'EUR') \gset
SELECT attempt_id AS attempt, provider_key AS key FROM wash.begin_payment_attempt(:'one', 'stripe') \gset

-- Secrets are kept, and never shown
SELECT wash.add_webhook_secret('stripe', 'stripe', 'whsec_the_old_secret_of_stripe', label => 'old') AS old,
    wash.add_webhook_secret('stripe', 'stripe', 'whsec_the_new_secret_of_stripe', label => 'new') AS new \gset
SELECT wrong, payment_test.refusal('SELECT wash.add_webhook_secret(' || arguments || ')') FROM (VALUES
    ('scheme', '''stripe'', ''Stripe'', ''whsec_the_new_secret_of_stripe'''), ('short', '''stripe'', ''stripe'', ''short'''),
    ('no base64', '''x'', ''standard'', ''whsec_no base64'''), ('no header', '''x'', ''hmac'', ''a secret of enough length'''),
    ('a header too many', '''x'', ''stripe'', ''a secret of enough length'', ''X-Signature'''), ('tolerance', '''x'', ''stripe'', ''a secret of enough length'', NULL, 0')) AS v (wrong, arguments);
SELECT processor, scheme, header_name, label, is_active, expires_at FROM wash.list_webhook_secrets('stripe') ORDER BY label;
SELECT count(*) AS audited, bool_or(new_values::text LIKE '%secret_of_stripe%') AS shown FROM usher.audit_logs WHERE resource_type = 'wash.payment_webhook_secrets' AND action = 'insert'
    AND new_values ->> 'processor' = 'stripe';

-- Signed with either secret, of this minute
SELECT jsonb_build_object('id', 'wh_1', 'type', 'payment_intent.processing', 'created', extract(epoch FROM now())::bigint, 'data', jsonb_build_object('object',
    jsonb_build_object('id', 'pi_wh', 'amount', 1000, 'currency', 'eur', 'metadata', jsonb_build_object('provider_key', :'key'))))::text AS processing,
    jsonb_build_object('id', 'wh_2', 'type', 'payment_intent.succeeded', 'created', extract(epoch FROM now())::bigint, 'data', jsonb_build_object('object',
    jsonb_build_object('id', 'pi_wh', 'amount', 1000, 'amount_received', 1000, 'currency', 'eur', 'metadata', jsonb_build_object('provider_key', :'key'))))::text AS succeeded,
    jsonb_build_object('id', 'wh_3', 'type', 'payment_intent.payment_failed', 'created', extract(epoch FROM now() - interval '1 hour')::bigint, 'data', jsonb_build_object('object',
    jsonb_build_object('id', 'pi_wh', 'amount', 1000, 'currency', 'eur', 'metadata', jsonb_build_object('provider_key', :'key'))))::text AS failed \gset
SELECT what, r.* FROM (VALUES
    ('nothing', '{}'::jsonb), ('another body', payment_test.stripe(:'processing', 'whsec_the_new_secret_of_stripe')),
    ('another secret', payment_test.stripe(:'succeeded', 'whsec_not_one_of_the_secrets')), ('too old', payment_test.stripe(:'succeeded', 'whsec_the_new_secret_of_stripe', now() - interval '6 minutes')),
    ('too new', payment_test.stripe(:'succeeded', 'whsec_the_new_secret_of_stripe', now() + interval '6 minutes')), ('no list', '{"stripe-signature": 7}')) AS v (what, headers), wash.receive_webhook('stripe', :'succeeded', headers) AS r;
SELECT * FROM wash.receive_webhook('nobody', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_new_secret_of_stripe'));
SELECT * FROM wash.receive_webhook('stripe', 'no JSON', payment_test.stripe('no JSON', 'whsec_the_new_secret_of_stripe'));
SELECT count(*) AS received FROM wash.payment_webhook_events WHERE event_id LIKE 'wh_%';
-- in the wrong order: the newest first, what is older afterwards
SELECT * FROM wash.receive_webhook('stripe', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_old_secret_of_stripe'));
SELECT * FROM wash.receive_webhook('stripe', :'processing', payment_test.stripe(:'processing', 'whsec_the_new_secret_of_stripe'));
SELECT * FROM wash.receive_webhook('stripe', :'failed', payment_test.stripe(:'failed', 'whsec_the_new_secret_of_stripe'));
SELECT * FROM wash.receive_webhook('stripe', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_new_secret_of_stripe'));
SELECT status, captured_minor, processor_transaction_id FROM wash.payment_transactions WHERE id = :'one';
SELECT event_id, event_type, report, effect, amount_minor, currency FROM wash.payment_webhook_events WHERE event_id LIKE 'wh_%' ORDER BY event_id;
SELECT count(*) AS completed FROM usher.events WHERE event = 'payment.completed' AND key = :'one';
-- the worker comes last
SELECT status, replayed FROM wash.record_payment_result(:'attempt', 'succeeded', 'pi_wh');
-- asked without any effect
SELECT wash.verify_webhook('stripe', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_old_secret_of_stripe')) AS old, wash.verify_webhook('stripe', :'failed', payment_test.stripe(:'succeeded', 'whsec_the_old_secret_of_stripe')) AS another_body,
    wash.verify_webhook('stripe', :'succeeded', NULL) AS no_headers, wash.verify_webhook(NULL, NULL, NULL) AS nothing;
-- a secret that was never there after all
BEGIN;
SELECT wash.add_webhook_secret('stripe', 'stripe', 'whsec_one_that_is_rolled_back') IS NOT NULL AS added, wash.verify_webhook('stripe', 'x', payment_test.stripe('x', 'whsec_one_that_is_rolled_back')) AS in_the_statement;
SELECT wash.verify_webhook('stripe', 'x', payment_test.stripe('x', 'whsec_one_that_is_rolled_back')) AS in_the_transaction;
ROLLBACK;
SELECT wash.verify_webhook('stripe', 'x', payment_test.stripe('x', 'whsec_one_that_is_rolled_back')) AS afterwards;
-- rotation
SELECT wash.retire_webhook_secret(:'old') AS retired, wash.retire_webhook_secret(:'old') AS again;
SELECT * FROM wash.receive_webhook('stripe', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_old_secret_of_stripe'));
SELECT wash.retire_webhook_secret(:'new', now() + interval '1 day') AS retired;
SELECT * FROM wash.receive_webhook('stripe', :'succeeded', payment_test.stripe(:'succeeded', 'whsec_the_new_secret_of_stripe'));

-- Standard Webhooks, and HMAC in a header of the processor's own
SELECT wash.add_webhook_secret('standard', 'standard', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') IS NOT NULL AS standard,
    wash.add_webhook_secret('plain', 'hmac', 'a secret of enough length', 'X-Plain-Signature') IS NOT NULL AS plain;
SELECT transaction_id AS two FROM wash.create_payment('00000000-0000-7000-8000-0000000000ab', 90, 'JPY') \gset
SELECT attempt_id AS attempt, provider_key AS key FROM wash.begin_payment_attempt(:'two', 'standard') \gset
SELECT jsonb_build_object('type', 'payment.failed', 'timestamp', 1700000000, 'data', jsonb_build_object('provider_key', :'key', 'failure_code', 'insufficient_funds'))::text AS body \gset
SELECT * FROM wash.receive_webhook('standard', :'body', payment_test.standard('wh_4', :'body', decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')));
SELECT * FROM wash.receive_webhook('standard', :'body', payment_test.standard('wh_4', :'body', 'another secret'));
SELECT status, failure_code FROM wash.payment_transactions WHERE id = :'two';
SELECT attempt_id AS attempt, provider_key AS key FROM wash.begin_payment_attempt(:'two', 'plain') \gset
SELECT jsonb_build_object('id', 'wh_5', 'type', 'payment.succeeded', 'data', jsonb_build_object('provider_key', :'key', 'transaction_id', 'pl_1', 'amount_minor', 90, 'currency', 'JPY', 'fee_minor', 3))::text AS body \gset
SELECT * FROM wash.receive_webhook('plain', :'body', jsonb_build_object('x-plain-signature', 'sha256=' || encode(public.hmac(:'body', 'a secret of enough length', 'sha256'), 'hex')));
SELECT status, captured_minor, fee_minor FROM wash.payment_transactions WHERE id = :'two';

-- What does not fit is not guessed at; what is unknown yet waits; what is about something else is kept as such
SELECT transaction_id AS three FROM wash.create_payment('00000000-0000-7000-8000-0000000000ab', 500, 'EUR') \gset
SELECT attempt_id AS attempt, provider_key AS key FROM wash.begin_payment_attempt(:'three', 'plain') \gset
SELECT what, (wash.ingest_webhook('plain', what, type, now(), jsonb_build_object('provider_key', :'key', 'transaction_id', 'pl_2') || data)).effect FROM (VALUES
    ('currency', 'payment.succeeded', '{"amount_minor": 500, "currency": "USD"}'::jsonb), ('too much', 'payment.succeeded', '{"amount_minor": 501, "currency": "EUR"}'),
    ('an id of another attempt', 'payment.succeeded', '{"transaction_id": "pl_1", "amount_minor": 500, "currency": "EUR"}'),
    ('negative', 'payment.succeeded', '{"amount_minor": -1, "currency": "EUR"}'), ('something else', 'customer.created', '{}')) AS v (what, type, data);
SELECT status, captured_minor FROM wash.payment_transactions WHERE id = :'three';
SELECT (wash.ingest_webhook('plain', 'early refund', 'refund.succeeded', now(), '{"transaction_id": "pl_2", "refund_id": "plr_1", "amount_minor": 200, "currency": "EUR"}')).effect;
SELECT (wash.ingest_webhook('plain', 'early dispute', 'dispute.opened', now(), '{"transaction_id": "pl_2", "dispute_id": "pld_1", "amount_minor": 100, "currency": "EUR"}')).effect;
SELECT status, captured_minor FROM wash.record_payment_result(:'attempt', 'succeeded', 'pl_2');
SELECT status, captured_minor, refunded_minor, disputed_minor FROM wash.payment_transactions WHERE id = :'three';
SELECT event_id, effect FROM wash.payment_webhook_events WHERE event_id LIKE 'early%' ORDER BY event_id;

-- Over HTTP: the body as it was sent, whatever its type; errors as problem documents without a word of it
SELECT transaction_id AS four FROM wash.create_payment('00000000-0000-7000-8000-0000000000ab', 70, 'EUR') \gset
SELECT attempt_id AS attempt, provider_key AS key FROM wash.begin_payment_attempt(:'four', 'plain') \gset
SELECT format('{"id": "wh_6",   "type":"payment.succeeded", "data": {"provider_key": "%s", "transaction_id": "pl_4", "amount_minor": 70}}', :'key') AS body \gset
SELECT status, body FROM usher.http_request('POST', '/payments/webhooks/plain', headers => jsonb_build_object('content-type', 'text/plain',
    'x-plain-signature', encode(public.hmac(:'body', 'a secret of enough length', 'sha256'), 'hex')), body => :'body');
SELECT status, body FROM usher.http_request('POST', '/payments/webhooks/plain', headers => jsonb_build_object('content-type', 'application/json',
    'x-plain-signature', encode(public.hmac(:'body', 'a secret of enough length', 'sha256'), 'hex')), body => :'body');
SELECT status, body::jsonb - 'instance' - 'correlation_id' FROM usher.http_request('POST', '/payments/webhooks/plain', headers => '{"x-plain-signature": "00"}', body => :'body');
SELECT status, body::jsonb - 'instance' - 'correlation_id' FROM usher.http_request('POST', '/payments/webhooks/plain', headers => jsonb_build_object(
    'x-plain-signature', encode(public.hmac('[1]', 'a secret of enough length', 'sha256'), 'hex')), body => '[1]');
SELECT status FROM wash.payment_transactions WHERE id = :'four';
SELECT usher.openapi() -> 'paths' -> '/payments/webhooks/{processor}' -> 'post' -> 'requestBody' AS body;
SELECT rule, violations FROM wash._payment_self_check() WHERE violations > 0;
DROP SCHEMA payment_test CASCADE;

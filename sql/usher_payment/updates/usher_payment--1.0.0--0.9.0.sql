\echo Use "ALTER EXTENSION usher_payment UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_payment') AS x ON x.object = d.object
WHERE d.extension = 'usher_payment'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- 0.9.0 leaves the sum of a payment as it is when its order changes while a processor is at it: what was noted for
-- that moment is lost.

DROP FUNCTION @extschema@._ask_payment(uuid, uuid, uuid, text, uuid, text, bigint, text, text, bigint, uuid);
DROP FUNCTION @extschema@._on_booking_changed(text, jsonb);
DROP FUNCTION @extschema@._payment_metrics();
DROP FUNCTION @extschema@._take_refund(uuid);
DROP FUNCTION @extschema@.list_webhook_secrets(text);

CREATE FUNCTION @extschema@._has_card_number(text text) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_has_card_number';
COMMENT ON FUNCTION @extschema@._has_card_number(text) IS
    'Whether a text holds 13 to 19 digits that pass the Luhn test, with or without separators.';
COMMENT ON FUNCTION @extschema@.create_payment(uuid, bigint, text, text, text, uuid, text, text, uuid, text, uuid,
                                               timestamptz, integer, boolean) IS
    'Makes a pending payment of one''s own, or with payment:manage of any customer. amount_minor counts minor units '
    'of the currency; exponent, when given, must be that of ISO 4217. The same idempotency_key answers the same '
    'payment for ever, US004 when anything else is asked for. exclusive: raises 23505 while another live one has this '
    'purpose for the reference.';
CREATE OR REPLACE FUNCTION @extschema@._close_payments(transaction_ids uuid[], reason_code text) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    closed integer;
    locked uuid[];
BEGIN
    locked := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
                    WHERE t.id = ANY (transaction_ids) AND t.closed_at IS NULL
                        AND t.status IN ('pending', 'processing', 'failed')
                    ORDER BY t.id FOR NO KEY UPDATE);
    UPDATE @extschema@.payment_transactions AS t
    SET status = 'failed', closed_at = clock_timestamp(), close_reason = _close_payments.reason_code,
        refund_on_success = true
    WHERE t.id = ANY (locked) AND t.status IN ('pending', 'failed');
    GET DIAGNOSTICS closed = ROW_COUNT;
    -- The processor is at it.
    UPDATE @extschema@.payment_transactions AS t
    SET refund_on_success = true, close_reason = _close_payments.reason_code
    WHERE t.id = ANY (locked) AND t.status = 'processing' AND NOT t.refund_on_success;
    RETURN closed;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_refund(uuid) IS
    'Takes back a refund that nobody has sent yet; its reservation is free again. A worker that has it already finds '
    'it cancelled when it asks. Needs payment:refund.';
CREATE FUNCTION @extschema@.list_webhook_secrets(of_processor text DEFAULT NULL)
    RETURNS TABLE (secret_id uuid, processor text, scheme text, header_name text, label text, is_active boolean,
                   created_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('webhook:manage');
    RETURN QUERY SELECT s.id, s.processor, s.scheme, s.header_name, s.label,
            s.is_active AND coalesce(s.expires_at > clock_timestamp(), true), s.created_at, s.expires_at
        FROM @extschema@.payment_webhook_secrets AS s
        WHERE of_processor IS NULL OR s.processor = of_processor
        ORDER BY s.processor, s.created_at, s.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_webhook_secrets(text) IS
    'The secrets of webhooks, without the secrets. Needs webhook:manage.';
CREATE OR REPLACE FUNCTION @extschema@.list_payments(customer_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
                                          reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                          statuses text[] DEFAULT NULL, created tstzrange DEFAULT NULL,
                                          after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.payment_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off -- each walk goes along its index until the page is full, however few rows are expected
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    person CONSTANT uuid := @extschema@._acting_person();
    reads_all CONSTANT boolean := actor IS NULL OR usher.has_permission('payment:read');
    reads_others CONSTANT boolean := reads_all OR usher.has_permission_somewhere('payment:read');
    wanted CONSTANT text[] := ARRAY(SELECT DISTINCT s FROM unnest(coalesce(statuses,
        '{pending,processing,completed,failed,refunded}')) AS s);
    places uuid[] := ARRAY[NULL::uuid];
    last_created timestamptz;
    conditions text[];
    query text;
    page uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('payment:read');
    END IF;
    IF EXISTS (SELECT FROM unnest(statuses) AS s
        WHERE s IS NULL OR s NOT IN ('pending', 'processing', 'completed', 'failed', 'refunded')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of payments',
                                  jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT t.created_at INTO last_created FROM @extschema@.payment_transactions AS t
        WHERE t.id = after AND (actor IS NULL OR t.user_id = person
                                OR usher.has_permission('payment:read', t.location_id::text));
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'payment does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    conditions := ARRAY['t.status = s.status',
        CASE WHEN after IS NOT NULL THEN '(t.created_at, t.id) > ($4, $5)' END,
        CASE WHEN created IS NOT NULL
                 THEN 't.created_at >= coalesce(lower($6), ''-infinity'') AND t.created_at <= coalesce(upper($6), '
                      '''infinity'') AND t.created_at <@ $6' END,
        CASE WHEN customer_id IS NOT NULL THEN 't.customer_id = $7' END,
        CASE WHEN location_id IS NOT NULL THEN 't.location_id = $8' END,
        CASE WHEN reference_type IS NOT NULL THEN 't.reference_type = $9' END,
        CASE WHEN reference_id IS NOT NULL THEN 't.reference_id = $10' END,
        CASE WHEN NOT reads_others THEN 't.user_id = $11'
             WHEN actor IS NOT NULL
                 THEN '(t.user_id = $11 OR usher.has_permission(''payment:read'', t.location_id::text))' END];
    -- What to walk along: what is asked for, or else what the actor sees.
    IF reference_id IS NOT NULL OR customer_id IS NOT NULL THEN
        query := @extschema@._payments_query('true', VARIADIC conditions); -- few: by the index of either
    ELSIF location_id IS NOT NULL AND reads_others THEN
        query := @extschema@._payments_query('t.location_id = $8', VARIADIC conditions);
    ELSIF reads_all THEN
        query := @extschema@._payments_query('true', VARIADIC conditions);
    ELSE
        query := @extschema@._payments_query('t.user_id = $11', VARIADIC conditions);
        IF reads_others THEN
            places := ARRAY(SELECT p.scope::uuid FROM usher.permission_scopes('payment:read') AS p (scope)
                            WHERE p.scope ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') || NULL::uuid;
            query := query || ' UNION ' || @extschema@._payments_query('t.location_id = l.id', VARIADIC conditions);
        END IF;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT x.id FROM (SELECT DISTINCT p.created_at, p.id FROM (%s) AS p) AS x '
                   'ORDER BY x.created_at, x.id LIMIT $3)', query)
        INTO page
        USING wanted, places, max_rows, last_created, after, created, customer_id, location_id, reference_type,
        reference_id, person;
    PERFORM usher.log_reads('payment', page);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_payments(page) AS d;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_booking_created(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    advance CONSTANT bigint := coalesce((payload ->> 'prepay_minor')::bigint, 0);
    price CONSTANT bigint := (payload ->> 'price_minor')::bigint;
BEGIN
    IF advance <= 0 OR payload ->> 'id' IS NULL THEN
        RETURN; -- paid on the spot, or for nothing
    END IF;
    INSERT INTO @extschema@.payment_transactions (customer_id, user_id, location_id, reference_type, reference_id,
        purpose, amount_minor, currency, payment_method, balance_minor, exclusive, created_by)
    VALUES ((payload ->> 'customer_id')::uuid, (payload ->> 'customer_user_id')::uuid,
            (payload ->> 'location_id')::uuid, 'booking', (payload ->> 'id')::uuid,
            CASE WHEN advance < price THEN 'deposit' ELSE 'sale' END, advance, payload ->> 'currency', 'card',
            price - advance, true, usher.actor_id());
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_refund_proposed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payment uuid;
    refundable bigint;
BEGIN
    IF payload ->> 'transaction_id' !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RETURN; -- of another extension that takes payments
    END IF;
    SELECT t.id, least((payload ->> 'amount_minor')::bigint,
                       t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor)
    INTO payment, refundable
    FROM @extschema@.payment_transactions AS t
    WHERE t.id = (payload ->> 'transaction_id')::uuid FOR NO KEY UPDATE;
    IF refundable > 0 THEN
        INSERT INTO @extschema@.payment_refunds (transaction_id, amount_minor, reason_code, requested_by)
        VALUES (payment, refundable, payload ->> 'reason', usher.actor_id());
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_order_placed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due CONSTANT bigint := (payload ->> 'total_minor')::bigint - coalesce((payload ->> 'paid_minor')::bigint, 0);
BEGIN
    IF due > 0 AND payload ->> 'id' IS NOT NULL THEN
        INSERT INTO @extschema@.payment_transactions (customer_id, user_id, location_id, reference_type, reference_id,
            amount_minor, currency, payment_method, exclusive, created_by)
        VALUES ((payload ->> 'customer_id')::uuid, (payload ->> 'user_id')::uuid, (payload ->> 'location_id')::uuid,
                'order', (payload ->> 'id')::uuid, due, payload ->> 'currency', 'card', true, usher.actor_id());
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_order_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'order' AND t.reference_id = (payload ->> 'id')::uuid AND t.closed_at IS NULL
            AND t.status IN ('pending', 'processing', 'failed')
        ORDER BY t.id FOR NO KEY UPDATE);
BEGIN
    -- A processor that is at it takes the sum of before: what was too much goes back then.
    IF NOT EXISTS (SELECT FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.status = 'processing') THEN
        PERFORM @extschema@._close_payments(open, 'order_changed');
        PERFORM @extschema@._on_order_placed(event, payload);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_changed(text, jsonb) IS
    'Handler of order.total_changed: the pending payment is replaced by one of the new sum.';
CREATE OR REPLACE FUNCTION @extschema@.claim_payment_work(max_rows integer DEFAULT 1,
        visibility interval DEFAULT '30 seconds')
    RETURNS TABLE (event_id uuid, event text, payload jsonb, attempt integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('payment:process');
    RETURN QUERY SELECT c.event_id, c.event, c.payload, c.attempt
        FROM usher.claim_events('payment_worker', max_rows, visibility) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_payment_work(integer, interval) IS
    'Calls to make: payment.attempt_requested and refund.requested, one at a time for each payment, hidden from other '
    'workers for the visibility time. Each is ended with complete_payment_work() or fail_payment_work(), in the '
    'transaction of its report. Needs payment:process.';
CREATE FUNCTION @extschema@._payment_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_payment_attempts_unresolved', jsonb_build_object('outcome', o.outcome),
        usher.count_or_estimate(format($sql$SELECT FROM @extschema@.payment_attempts AS a
            WHERE a.outcome = %L AND a.outcome IN ('requested', 'unknown')$sql$, o.outcome))::double precision
    FROM unnest('{requested,unknown}'::text[]) AS o (outcome);
    RETURN QUERY
    SELECT 'usher_payment_refunds_open', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_refunds AS r
            WHERE r.status IN ('pending', 'processing')$sql$)::double precision;
    RETURN QUERY
    SELECT 'usher_payment_webhooks_unmatched', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_webhook_events AS e
            WHERE e.effect = 'unmatched'$sql$)::double precision;
END
$$;
COMMENT ON FUNCTION @extschema@._payment_metrics() IS 'The part of usher_payment in usher.metrics().';
CREATE OR REPLACE TRIGGER follow_attempt AFTER INSERT OR UPDATE OF outcome, fee_minor ON @extschema@.payment_attempts
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_attempt();
CREATE OR REPLACE TRIGGER follow_refund AFTER INSERT OR UPDATE OF status ON @extschema@.payment_refunds
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_refund();
SELECT usher.define_machine('refund', '{
    "initial": ["pending", "processing"], "terminal": ["cancelled"],
    "transitions": [
        {"from": null, "to": "processing", "action": "note"},
        {"from": null, "to": "pending", "action": "request", "event": "requested"},
        {"from": "pending", "to": "processing", "action": "process", "event": "processing"},
        {"from": ["pending", "processing"], "to": "succeeded", "action": "succeed", "event": "succeeded"},
        {"from": ["pending", "processing"], "to": "failed", "action": "fail", "event": "failed"},
        {"from": "pending", "to": "cancelled", "action": "cancel", "event": "cancelled"},
        {"from": "failed", "to": "succeeded", "action": "succeed_late", "event": "succeeded"}]}');
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_payment'
    AND r.consumer = 'usher_payment'
    AND r.event = 'booking.total_changed';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_payment'
    AND r.consumer = 'usher_payment'
    AND r.event = 'order.paid';
DROP INDEX @extschema@.payment_webhook_events_unmatched_refund_idx;
DROP INDEX @extschema@.payment_webhook_events_unmatched_dispute_idx;
ALTER TABLE @extschema@.payment_transactions DROP COLUMN replacement_minor;

SELECT usher.finish_extension();

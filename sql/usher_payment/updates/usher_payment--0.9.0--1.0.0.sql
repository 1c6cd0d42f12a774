\echo Use "ALTER EXTENSION usher_payment UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_payment') AS x ON x.object = d.object
WHERE d.extension = 'usher_payment'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- A sum that has come to be due while a processor is at another one is kept with that payment, and webhooks that came
-- too early are found by refunds and disputes as well. The table of payments is locked for an instant; that of
-- webhooks while it is read once for each index, of which few rows are in it. A saved method is given by the name that
-- arguments call it, method_id.
ALTER TABLE @extschema@.payment_transactions
    ADD COLUMN replacement_minor bigint CHECK (replacement_minor >= 0);
CREATE INDEX IF NOT EXISTS payment_webhook_events_unmatched_refund_idx ON @extschema@.payment_webhook_events
    (processor, processor_refund_id) WHERE effect = 'unmatched';
CREATE INDEX IF NOT EXISTS payment_webhook_events_unmatched_dispute_idx ON @extschema@.payment_webhook_events
    (processor, processor_dispute_id) WHERE effect = 'unmatched';
ALTER TYPE @extschema@.payment_method_details RENAME ATTRIBUTE id TO method_id;

DROP FUNCTION @extschema@._has_card_number(text);
DROP FUNCTION @extschema@._ledger_sums(text, text, timestamptz);
DROP FUNCTION @extschema@._payment_metrics();
DROP FUNCTION @extschema@.get_ledger_balance(text, text);
DROP FUNCTION @extschema@.get_trial_balance(timestamptz);
DROP FUNCTION @extschema@.list_webhook_secrets(text);

COMMENT ON COLUMN @extschema@.payment_transactions.replacement_minor IS
    'What has come to be due while the processor was at another sum: asked for instead when that fails, and what is '
    'missing of it when that succeeds.';
COMMENT ON FUNCTION @extschema@.create_payment(uuid, bigint, text, text, text, uuid, text, text, uuid, text, uuid,
                                               timestamptz, integer, boolean) IS
    'Makes a pending payment of one''s own, or with payment:manage of any customer. amount_minor counts minor units '
    'of the currency; exponent, when given, must be that of ISO 4217. The same idempotency_key answers the same '
    'payment for ever, US004 when anything else is asked for. exclusive: raises 23505 while another live one has this '
    'purpose for the reference. That, and the purposes deposit, balance and duplicate, need payment:manage. A payment '
    'for what is sold somewhere belongs there, and so does the permission: 22023 for another location_id.';
COMMENT ON FUNCTION @extschema@.record_manual_payment(uuid, text, bigint, text, integer) IS
    'Cash, a bank transfer, a voucher or a cheque that somebody of the staff has taken. Needs payment:record, '
    'everywhere or where the payment belongs. UP003 while a processor is at work on it.';
CREATE FUNCTION @extschema@._payment_place(location_id uuid, reference_type text, reference_id uuid) RETURNS uuid
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_place';
COMMENT ON FUNCTION @extschema@._payment_place(uuid, text, uuid) IS
    'Where a payment belongs: where what it is for is sold, if somebody vouches for that, else where it was made.';
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
    -- The processor is at it. What it takes goes back, so that it keeps nobody from asking anew.
    UPDATE @extschema@.payment_transactions AS t
    SET refund_on_success = true, close_reason = _close_payments.reason_code, replacement_minor = NULL,
        exclusive = false
    WHERE t.id = ANY (locked) AND t.status = 'processing' AND NOT t.refund_on_success;
    RETURN closed;
END
$$;
CREATE FUNCTION @extschema@._ask_payment(customer_id uuid, user_id uuid, location_id uuid, reference_type text,
                                         reference_id uuid, purpose text, amount_minor bigint, currency text,
                                         payment_method text, balance_minor bigint DEFAULT 0,
                                         created_by uuid DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_ask';
COMMENT ON FUNCTION @extschema@._ask_payment(uuid, uuid, uuid, text, uuid, text, bigint, text, text, bigint, uuid) IS
    'Makes the pending payment that a booking or order waits for, in place of whatever stands in its way. Every '
    'handler asks so: nobody''s payment keeps another one from being recorded.';
CREATE OR REPLACE FUNCTION @extschema@.cancel_payment(transaction_id uuid, reason_code text DEFAULT 'cancelled',
                                           expected_version integer DEFAULT NULL)
    RETURNS @extschema@.payment_closing
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payment @extschema@.payment_transactions;
    closing @extschema@.payment_closing;
    missing name;
    broken name;
BEGIN
    SELECT * INTO payment FROM @extschema@.payment_transactions AS t WHERE t.id = cancel_payment.transaction_id;
    IF payment.id IS NULL OR NOT (coalesce(payment.user_id = @extschema@._acting_person(), false)
                                  OR @extschema@._payment_may('payment:manage', @extschema@._payment_place(
                                      payment.location_id, payment.reference_type, payment.reference_id))) THEN
        PERFORM usher.raise_error('unknown_reference', 'payment does not exist',
                                  jsonb_build_object('transaction_id', cancel_payment.transaction_id));
    END IF;
    PERFORM @extschema@._announce_payment(payment.reference_type, payment.reference_id);
    SELECT * INTO payment FROM @extschema@.payment_transactions AS t
    WHERE t.id = cancel_payment.transaction_id FOR NO KEY UPDATE;
    IF expected_version <> payment.version THEN
        PERFORM usher.raise_error('stale_version', 'payment was changed by somebody else',
            jsonb_build_object('id', payment.id, 'expected_version', expected_version, 'version', payment.version));
    ELSIF payment.status = 'processing' THEN
        PERFORM usher.raise_error('outcome_unknown', 'a processor is at work on the payment',
                                  jsonb_build_object('transaction_id', payment.id));
    ELSIF payment.status IN ('completed', 'refunded') THEN
        PERFORM usher.raise_error('illegal_transition', format('payment is %s already', payment.status),
                                  jsonb_build_object('transaction_id', payment.id, 'status', payment.status));
    END IF;
    PERFORM @extschema@._close_payments(ARRAY[payment.id], reason_code);
    SELECT t.id, t.status, t.version INTO closing FROM @extschema@.payment_transactions AS t WHERE t.id = payment.id;
    RETURN closing;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_refund(uuid, bigint, text, text, text) IS
    'Reserves a part of what was captured, or without amount_minor all that is left, and publishes refund.requested '
    'for a worker that makes the call with this provider_key. Needs payment:refund, everywhere or where the payment '
    'belongs. UP001 when less is left.';
CREATE OR REPLACE FUNCTION @extschema@.cancel_refund(refund_id uuid)
    RETURNS @extschema@.refund_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payment record;
    current text;
    changed @extschema@.refund_change;
BEGIN
    SELECT t.location_id, t.reference_type, t.reference_id INTO payment
    FROM @extschema@.payment_refunds AS r JOIN @extschema@.payment_transactions AS t ON t.id = r.transaction_id
    WHERE r.id = cancel_refund.refund_id;
    IF NOT @extschema@._payment_may('payment:refund', @extschema@._payment_place(
            payment.location_id, payment.reference_type, payment.reference_id)) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "payment:refund" is needed',
                                  jsonb_build_object('permission', 'payment:refund'));
    END IF;
    PERFORM @extschema@._announce_payment(payment.reference_type, payment.reference_id);
    SELECT r.status INTO current FROM @extschema@.payment_refunds AS r
    WHERE r.id = cancel_refund.refund_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'refund does not exist',
                                  jsonb_build_object('refund_id', cancel_refund.refund_id));
    ELSIF current = 'processing' THEN
        PERFORM usher.raise_error('outcome_unknown', 'a processor is at work on the refund',
                                  jsonb_build_object('refund_id', cancel_refund.refund_id));
    END IF;
    UPDATE @extschema@.payment_refunds AS r SET status = 'cancelled'
    WHERE r.id = cancel_refund.refund_id RETURNING r.id, r.status, r.version INTO changed;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_refund(uuid) IS
    'Takes back a refund that no worker has yet; its reservation is free again. UP003 once a worker has it. Needs '
    'payment:refund.';
CREATE OR REPLACE FUNCTION @extschema@.refund_reference(reference_type text, reference_id uuid, currency text,
                                             amount_minor bigint DEFAULT NULL, reason_code text DEFAULT NULL,
                                             notes text DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS SETOF @extschema@.refund_part
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made uuid[];
    answer jsonb;
BEGIN
    PERFORM usher.require_permission('payment:refund');
    PERFORM @extschema@._require_currency(refund_reference.currency);
    IF refund_reference.amount_minor IS NOT NULL AND NOT @extschema@._is_payable(refund_reference.amount_minor) THEN
        PERFORM usher.raise_error('invalid_argument', 'amount_minor is not an amount that can be refunded',
                                  jsonb_build_object('argument', 'amount_minor'));
    END IF;
    answer := usher.replay_call('usher_payment', idempotency_key, jsonb_build_object('function', 'refund_reference',
        'reference_type', refund_reference.reference_type, 'reference_id', refund_reference.reference_id,
        'currency', refund_reference.currency, 'amount_minor', refund_reference.amount_minor,
        'reason_code', refund_reference.reason_code, 'notes', refund_reference.notes));
    IF answer IS NOT NULL THEN
        made := ARRAY(SELECT r.id FROM jsonb_array_elements_text(answer) AS a (id)
                          JOIN @extschema@.payment_refunds AS r ON r.id = a.id::uuid
                          JOIN @extschema@.payment_transactions AS t ON t.id = r.transaction_id
                      WHERE t.reference_id = refund_reference.reference_id
                          AND t.reference_type = refund_reference.reference_type);
    ELSE
        PERFORM @extschema@._announce_payment(refund_reference.reference_type, refund_reference.reference_id);
        made := ARRAY(SELECT r FROM @extschema@._refund_reference(refund_reference.reference_type,
            refund_reference.reference_id, refund_reference.currency, refund_reference.amount_minor, 100,
            refund_reference.reason_code, refund_reference.notes) AS r);
        IF idempotency_key IS NOT NULL THEN
            PERFORM usher.remember_call('usher_payment', idempotency_key, to_jsonb(made));
        END IF;
    END IF;
    RETURN QUERY SELECT r.id, r.transaction_id, r.status, r.amount_minor, r.provider_key
        FROM @extschema@.payment_refunds AS r WHERE r.id = ANY (made) ORDER BY r.id;
END
$$;
CREATE FUNCTION @extschema@.list_webhook_secrets(only_processor text DEFAULT NULL)
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
        WHERE only_processor IS NULL OR s.processor = only_processor
        ORDER BY s.processor, s.created_at, s.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_webhook_secrets(text) IS
    'What is known of each webhook secret, but not the secret itself. Needs webhook:manage.';
CREATE FUNCTION @extschema@._ledger_sums(of_account text, of_currency text, until timestamptz)
    RETURNS TABLE (account text, currency text, debit_minor numeric, credit_minor numeric)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    first_day CONSTANT date := (until AT TIME ZONE 'UTC')::date; -- which the totals contain in part
    -- Up to here totals and what they do not contain yet are added, from here on journals.
    midnight CONSTANT timestamptz := coalesce(first_day::timestamp AT TIME ZONE 'UTC', 'infinity');
    -- One query for each question: with conditions that may be NULL, one plan for all would read the tables whole.
    condition CONSTANT text := CASE WHEN of_account IS NOT NULL
                                    THEN 'AND e.account = $1 AND e.currency = $2' ELSE '' END;
BEGIN
    RETURN QUERY EXECUTE format($sql$
        SELECT s.account, s.currency, sum(s.debit), sum(s.credit)
        FROM (
            SELECT e.account, e.currency, e.debit_minor AS debit, e.credit_minor AS credit
            FROM @extschema@.ledger_totals AS e
            WHERE %2$s %1$s
            UNION ALL
            SELECT e.account, e.currency, CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE 0 END,
                   CASE e.direction WHEN 'credit' THEN e.amount_minor ELSE 0 END
            FROM (SELECT j.id
                  FROM @extschema@.ledger_unsummed_journals AS u
                      JOIN @extschema@.ledger_journals AS j ON j.id = u.journal_id
                  WHERE j.posted_at < $3
                  UNION ALL
                  SELECT j.id FROM @extschema@.ledger_journals AS j
                  WHERE %3$s) AS j
                JOIN @extschema@.ledger_entries AS e ON e.journal_id = j.id
            WHERE true %1$s) AS s
        GROUP BY s.account, s.currency ORDER BY s.account, s.currency$sql$,
        condition, CASE WHEN until IS NULL THEN 'true' ELSE 'e.day < $4' END,
        CASE WHEN until IS NULL THEN 'false' ELSE 'j.posted_at >= $3 AND j.posted_at < $5' END)
    USING of_account, of_currency, midnight, first_day, until;
END
$$;
COMMENT ON FUNCTION @extschema@._ledger_sums(text, text, timestamptz) IS
    'What was debited and credited, to one account in a currency or to each, now or before a time.';
CREATE FUNCTION @extschema@.get_ledger_balance(account text, currency text, OUT debit_minor numeric,
                                               OUT credit_minor numeric, OUT net_minor numeric)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('ledger:read');
    PERFORM @extschema@._require_currency(get_ledger_balance.currency);
    IF get_ledger_balance.account IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'account must not be null', '{"argument": "account"}');
    END IF;
    SELECT coalesce(sum(s.debit_minor), 0), coalesce(sum(s.credit_minor), 0),
           coalesce(sum(s.debit_minor - s.credit_minor), 0)
    INTO debit_minor, credit_minor, net_minor
    FROM @extschema@._ledger_sums(get_ledger_balance.account, get_ledger_balance.currency, NULL) AS s;
END
$$;
COMMENT ON FUNCTION @extschema@.get_ledger_balance(text, text) IS
    'What was debited and credited to an account in a currency: whole numbers, which may be more than a bigint holds. '
    'Needs ledger:read.';
CREATE FUNCTION @extschema@.get_trial_balance(until timestamptz DEFAULT NULL)
    RETURNS TABLE (account text, currency text, debit_minor numeric, credit_minor numeric, net_minor numeric)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('ledger:read');
    RETURN QUERY
    SELECT s.account, s.currency, s.debit_minor, s.credit_minor, s.debit_minor - s.credit_minor
    FROM @extschema@._ledger_sums(NULL, NULL, until) AS s
    ORDER BY s.account, s.currency;
END
$$;
COMMENT ON FUNCTION @extschema@.get_trial_balance(timestamptz) IS
    'All accounts in all currencies, now or before a time: the net sums are zero in each currency. Sums are whole '
    'numbers, which may be more than a bigint holds. Needs ledger:read.';
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
            places := ARRAY(SELECT usher.uuid_or_null(p.scope)
                            FROM usher.permission_scopes('payment:read') AS p (scope)
                            WHERE usher.uuid_or_null(p.scope) IS NOT NULL) || NULL::uuid;
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
    PERFORM @extschema@._ask_payment((payload ->> 'customer_id')::uuid, (payload ->> 'customer_user_id')::uuid,
        (payload ->> 'location_id')::uuid, 'booking', (payload ->> 'id')::uuid,
        CASE WHEN advance < price THEN 'deposit' ELSE 'sale' END, advance, payload ->> 'currency', 'card',
        price - advance, usher.actor_id());
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
    SELECT t.id, least((payload ->> 'amount_minor')::bigint,
                       t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor)
    INTO payment, refundable
    FROM @extschema@.payment_transactions AS t
    WHERE t.id = usher.uuid_or_null(payload ->> 'transaction_id') FOR NO KEY UPDATE;
    IF refundable > 0 THEN -- else it is of another extension that takes payments, or nothing is left
        INSERT INTO @extschema@.payment_refunds (transaction_id, amount_minor, reason_code, requested_by)
        VALUES (payment, refundable, payload ->> 'reason', usher.actor_id());
    END IF;
END
$$;
CREATE FUNCTION @extschema@._replace_later(transaction_ids uuid[], amount_minor bigint, balance_minor bigint DEFAULT 0)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- What a feature has asked for; anybody makes other payments, of whatever sum.
    under_way CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (transaction_ids) AND t.status = 'processing' AND t.exclusive AND NOT t.refund_on_success
        ORDER BY t.id DESC);
BEGIN
    UPDATE @extschema@.payment_transactions AS t
    SET replacement_minor = CASE WHEN t.id = under_way[1] THEN _replace_later.amount_minor ELSE 0 END,
        balance_minor = CASE WHEN t.id = under_way[1] THEN _replace_later.balance_minor ELSE 0 END
    WHERE t.id = ANY (under_way);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@._replace_later(uuid[], bigint, bigint) IS
    'A processor that is at what is asked for takes the sum of before: what was too much goes back then, what is '
    'missing is asked for, and when it fails the new sum takes its place. Returns false when no processor is.';
CREATE FUNCTION @extschema@._on_booking_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    for_booking CONSTANT uuid := (payload ->> 'id')::uuid;
    for_customer CONSTANT uuid := (payload ->> 'customer_id')::uuid;
    total CONSTANT bigint := CASE WHEN payload ->> 'status' = 'cancelled' OR (payload ->> 'is_paid')::boolean
        THEN 0 ELSE (payload ->> 'total_minor')::bigint END;
    advance CONSTANT bigint := least((payload ->> 'prepay_minor')::bigint, total);
    paid CONSTANT bigint := (payload ->> 'paid_minor')::bigint;
    due CONSTANT bigint := greatest(CASE WHEN paid < advance THEN advance ELSE total END - paid, 0);
    later CONSTANT bigint := CASE WHEN paid < advance THEN total - advance ELSE 0 END;
    open CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'booking' AND t.reference_id = for_booking AND t.closed_at IS NULL
            AND t.exclusive AND t.status IN ('pending', 'processing', 'failed')
        ORDER BY t.id FOR NO KEY UPDATE);
BEGIN
    IF cardinality(open) = 0 -- nothing is asked for, as for what is paid on the spot
        OR cardinality(open) = 1 AND EXISTS (SELECT FROM @extschema@.payment_transactions AS t
            WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed') AND t.amount_minor = due
                AND t.balance_minor = later AND t.customer_id = for_customer
                AND t.currency = payload ->> 'currency')
    THEN
        RETURN;
    END IF;
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed')), 'booking_changed');
    IF NOT @extschema@._replace_later(open, due, later) AND due > 0 THEN
        PERFORM @extschema@._ask_payment(for_customer, (payload ->> 'customer_user_id')::uuid,
            (payload ->> 'location_id')::uuid, 'booking', for_booking,
            CASE WHEN later > 0 THEN 'deposit' WHEN paid < advance THEN 'sale' ELSE 'balance' END, due,
            payload ->> 'currency', 'card', later, usher.actor_id());
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_changed(text, jsonb) IS
    'Handler of booking.total_changed: what is asked for is replaced by what is left to pay, in advance or as the '
    'rest, or given up when nothing is; one that a processor is at, when that has failed.';
CREATE OR REPLACE FUNCTION @extschema@._on_order_placed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due CONSTANT bigint := (payload ->> 'total_minor')::bigint - coalesce((payload ->> 'paid_minor')::bigint, 0);
BEGIN
    IF due > 0 AND payload ->> 'id' IS NOT NULL THEN
        PERFORM @extschema@._ask_payment((payload ->> 'customer_id')::uuid, (payload ->> 'user_id')::uuid,
            (payload ->> 'location_id')::uuid, 'order', (payload ->> 'id')::uuid, 'sale', due,
            payload ->> 'currency', 'card', 0, usher.actor_id());
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
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed')), 'order_changed');
    IF NOT @extschema@._replace_later(open, greatest(0, (payload ->> 'total_minor')::bigint
                                                        - coalesce((payload ->> 'paid_minor')::bigint, 0))) THEN
        PERFORM @extschema@._on_order_placed(event, payload);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_changed(text, jsonb) IS
    'Handler of order.total_changed and order.paid: the pending payment is replaced by one of what is left to pay, or '
    'given up when nothing is; one that a processor is at, when that has failed.';
CREATE OR REPLACE FUNCTION @extschema@._on_order_refund(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paid_for CONSTANT uuid := (payload ->> 'id')::uuid;
    refundable bigint;
BEGIN
    -- What staff refund already, sent or not, is not refunded once more: what is to be left says how much is missing.
    SELECT least(coalesce(sum(r.refundable_minor), 0)::bigint - coalesce((payload ->> 'left_minor')::bigint, 0),
                 (payload ->> 'amount_minor')::bigint)
    INTO refundable
    FROM @extschema@._refundable('order', paid_for, payload ->> 'currency') AS r;
    IF refundable > 0 THEN
        PERFORM @extschema@._refund_reference('order', paid_for, payload ->> 'currency', refundable, NULL,
                                              payload ->> 'reason');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_refund(text, jsonb) IS
    'Handler of order.refund_proposed: what is paid too much for an order goes back, less what is on its way back '
    'already.';
CREATE FUNCTION @extschema@._take_refund(refund_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What people have taken themselves, people give back, and say so.
    UPDATE @extschema@.payment_refunds AS r SET status = 'processing'
    WHERE r.id = _take_refund.refund_id AND r.status = 'pending' AND r.processor <> 'manual';
    RETURN FOUND OR EXISTS (SELECT FROM @extschema@.payment_refunds AS r
                            WHERE r.id = _take_refund.refund_id AND r.status IN ('pending', 'processing'));
END
$$;
COMMENT ON FUNCTION @extschema@._take_refund(uuid) IS
    'Notes that a worker has the refund, from which moment nobody knows whether it was made. False when there is '
    'nothing to make any more.';
CREATE OR REPLACE FUNCTION @extschema@.claim_payment_work(max_rows integer DEFAULT 1,
        visibility interval DEFAULT '30 seconds')
    RETURNS TABLE (event_id uuid, event text, payload jsonb, attempt integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    work record;
    is_over boolean;
    has_work boolean := false;
BEGIN
    PERFORM usher.require_permission('payment:process');
    LOOP
        is_over := true;
        FOR work IN SELECT c.* FROM usher.claim_events('payment_worker', max_rows, visibility) AS c LOOP
            is_over := false;
            IF work.event = 'refund.requested' AND NOT @extschema@._take_refund((work.payload ->> 'id')::uuid) THEN
                PERFORM usher.complete_event('payment_worker', work.event_id, work.attempt);
                CONTINUE;
            END IF;
            has_work := true;
            SELECT work.event_id, work.event, work.payload, work.attempt INTO event_id, event, payload, attempt;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN is_over OR has_work;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_payment_work(integer, interval) IS
    'Calls to make: payment.attempt_requested and refund.requested, one at a time for each payment, hidden from other '
    'workers for the visibility time. Each is ended with complete_payment_work() or fail_payment_work(), in the '
    'transaction of its report. A refund that a worker has is processing, and cannot be cancelled any more; one that '
    'was cancelled before is not handed out. Needs payment:process.';
CREATE FUNCTION @extschema@._payment_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_payment_attempts_unresolved', jsonb_build_object('outcome', o.outcome),
        usher.count_or_estimate(format($sql$SELECT FROM @extschema@.payment_attempts AS a
            WHERE a.outcome = %L AND a.outcome IN ('requested', 'unknown')$sql$, o.outcome))::double precision,
        'Attempts to pay whose outcome is not known yet.'
    FROM unnest('{requested,unknown}'::text[]) AS o (outcome);
    RETURN QUERY
    SELECT 'usher_payment_refunds_open', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_refunds AS r
            WHERE r.status IN ('pending', 'processing')$sql$)::double precision,
        'Refunds that are not done yet.';
    RETURN QUERY
    SELECT 'usher_payment_webhooks_unmatched', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_webhook_events AS e
            WHERE e.effect = 'unmatched'$sql$)::double precision,
        'Webhooks that fit no payment.';
END
$$;
COMMENT ON FUNCTION @extschema@._payment_metrics() IS 'The part of usher_payment in usher.metrics().';
CREATE OR REPLACE TRIGGER follow_attempt AFTER INSERT OR UPDATE OF outcome, fee_minor, processor_transaction_id
    ON @extschema@.payment_attempts
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_attempt();
CREATE OR REPLACE TRIGGER follow_refund AFTER INSERT OR UPDATE OF status ON @extschema@.payment_refunds
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_refund('tells');
SELECT usher.define_machine('refund', '{
    "initial": ["pending", "processing"], "terminal": ["succeeded"],
    "transitions": [
        {"from": null, "to": "processing", "action": "note"},
        {"from": null, "to": "pending", "action": "request"},
        {"from": "pending", "to": "processing", "action": "process", "event": "processing"},
        {"from": ["pending", "processing"], "to": "succeeded", "action": "succeed", "event": "succeeded"},
        {"from": ["pending", "processing"], "to": "failed", "action": "fail"},
        {"from": "pending", "to": "cancelled", "action": "cancel"},
        {"from": ["failed", "cancelled"], "to": "succeeded", "action": "succeed_late",
         "event": "succeeded"}]}');
SELECT usher.subscribe('booking.total_changed', 'usher_payment', '@extschema@._on_booking_changed(text,jsonb)',
                       'sync');
SELECT usher.subscribe('order.paid', 'usher_payment', '@extschema@._on_order_changed(text,jsonb)', 'sync');
SELECT usher.finish_extension();

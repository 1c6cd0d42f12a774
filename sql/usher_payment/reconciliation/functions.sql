CREATE FUNCTION @extschema@.reconcile_payments(processor text, report jsonb, since timestamptz DEFAULT NULL,
                                               until timestamptz DEFAULT NULL)
    RETURNS TABLE (finding text, kind text, processor_id text, transaction_id uuid, ours_minor bigint,
                   theirs_minor bigint, our_currency text, their_currency text, our_fee_minor bigint,
                   their_fee_minor bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    wrong jsonb;
BEGIN
    PERFORM usher.require_permission('payment:reconcile');
    IF report IS NULL OR jsonb_typeof(report) <> 'array' THEN
        PERFORM usher.raise_error('invalid_argument', 'report must be an array of rows',
                                  jsonb_build_object('argument', 'report'));
    END IF;
    SELECT e.value INTO wrong FROM jsonb_array_elements(report) AS e
    WHERE NOT coalesce(jsonb_typeof(e.value) = 'object' AND e.value ->> 'type' IN ('payment', 'refund')
        AND e.value ->> 'id' <> '' AND e.value ->> 'amount_minor' ~ '^[0-9]{1,18}$'
        AND coalesce(e.value ->> 'fee_minor' ~ '^[0-9]{1,18}$', true)
        AND @extschema@._currency_exponent(e.value ->> 'currency') IS NOT NULL, false)
    LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            'a row of the report needs type (payment, refund), id, amount_minor and currency',
            jsonb_build_object('argument', 'report'));
    END IF;
    RETURN QUERY
    WITH theirs AS MATERIALIZED (
        SELECT e.value ->> 'type' AS kind, e.value ->> 'id' AS id, (e.value ->> 'amount_minor')::bigint AS amount,
               e.value ->> 'currency' AS currency, (e.value ->> 'fee_minor')::bigint AS fee,
               row_number() OVER (PARTITION BY e.value ->> 'type', e.value ->> 'id' ORDER BY e.number) AS occurrence
        FROM jsonb_array_elements(report) WITH ORDINALITY AS e (value, number)
    ), listed AS MATERIALIZED (
        SELECT t.kind, x.id FROM theirs AS t CROSS JOIN LATERAL (
            SELECT p.id FROM @extschema@.payment_transactions AS p
            WHERE t.kind = 'payment' AND p.processor = reconcile_payments.processor
                AND p.processor_transaction_id = t.id
            UNION ALL
            SELECT r.id FROM @extschema@.payment_refunds AS r
            WHERE t.kind = 'refund' AND r.processor = reconcile_payments.processor
                AND r.processor_refund_id = t.id) AS x
    ), ours AS MATERIALIZED ( -- of the period and, of whatever time, what the report lists
        SELECT 'payment' AS kind, t.processor_transaction_id AS id, t.id AS transaction_id,
               t.captured_minor AS amount, t.currency, t.fee_minor AS fee, t.completed_at AS happened_at
        FROM @extschema@.payment_transactions AS t
        WHERE t.processor = reconcile_payments.processor AND t.captured_minor > 0
            AND t.processor_transaction_id IS NOT NULL
            AND t.id IN (SELECT p.id FROM @extschema@.payment_transactions AS p
                         WHERE (since IS NULL OR p.completed_at >= since) AND (until IS NULL OR p.completed_at < until)
                         UNION ALL SELECT l.id FROM listed AS l WHERE l.kind = 'payment')
        UNION ALL
        SELECT 'refund', r.processor_refund_id, r.transaction_id, r.amount_minor, r.currency, NULL, r.resolved_at
        FROM @extschema@.payment_refunds AS r
        WHERE r.processor = reconcile_payments.processor AND r.status = 'succeeded'
            AND r.processor_refund_id IS NOT NULL
            AND r.id IN (SELECT p.id FROM @extschema@.payment_refunds AS p
                         WHERE p.status = 'succeeded' AND (since IS NULL OR p.resolved_at >= since)
                             AND (until IS NULL OR p.resolved_at < until)
                         UNION ALL SELECT l.id FROM listed AS l WHERE l.kind = 'refund')
    )
    SELECT f.finding, coalesce(o.kind, t.kind), coalesce(o.id, t.id), o.transaction_id, o.amount, t.amount, o.currency,
           t.currency, o.fee, t.fee
    FROM theirs AS t FULL JOIN ours AS o ON o.kind = t.kind AND o.id = t.id
        CROSS JOIN LATERAL (VALUES
            ('missing_here', o.id IS NULL),
            -- of the period, when one is given: a report of yesterday knows nothing of today
            ('missing_there', t.id IS NULL AND (since IS NULL OR o.happened_at >= since)
                              AND (until IS NULL OR o.happened_at < until)),
            ('listed_twice', t.occurrence > 1),
            ('currency_differs', o.currency <> t.currency),
            ('amount_differs', o.currency = t.currency AND o.amount <> t.amount),
            ('fee_differs', o.currency = t.currency AND t.fee IS NOT NULL AND o.kind = 'payment' AND o.fee <> t.fee)
        ) AS f (finding, is_so)
    WHERE f.is_so
    ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION @extschema@.reconcile_payments(text, jsonb, timestamptz, timestamptz) IS
    'Compares the settlement report of a processor, [{"type": "payment" or "refund", "id", "amount_minor", '
    '"currency", "fee_minor"}, …], with what is stored: missing_here, missing_there (in the period), listed_twice, '
    'currency_differs, amount_differs, fee_differs. No rows: both agree. Needs payment:reconcile.';

CREATE FUNCTION @extschema@.record_payment_fee(transaction_id uuid, fee_minor bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    total bigint;
BEGIN
    PERFORM usher.require_permission('payment:reconcile');
    IF record_payment_fee.fee_minor IS NULL OR record_payment_fee.fee_minor NOT BETWEEN 0 AND 1000000000000000 THEN
        PERFORM usher.raise_error('invalid_argument', 'fee_minor must not be negative',
                                  jsonb_build_object('argument', 'fee_minor'));
    END IF;
    PERFORM @extschema@._announce_payment(t.reference_type, t.reference_id)
    FROM @extschema@.payment_transactions AS t WHERE t.id = record_payment_fee.transaction_id;
    UPDATE @extschema@.payment_attempts AS a SET fee_minor = record_payment_fee.fee_minor
    WHERE a.transaction_id = record_payment_fee.transaction_id AND a.outcome = 'succeeded';
    SELECT t.fee_minor INTO total FROM @extschema@.payment_transactions AS t
    WHERE t.id = record_payment_fee.transaction_id AND t.captured_minor > 0;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'no paid payment has this id',
                                  jsonb_build_object('transaction_id', record_payment_fee.transaction_id));
    END IF;
    RETURN total;
END
$$;
COMMENT ON FUNCTION @extschema@.record_payment_fee(uuid, bigint) IS
    'What the processor has kept of a payment, as its report says; the ledger follows by the difference. Needs '
    'payment:reconcile.';

-- What core calls: upkeep, checks, numbers, export and erasure.

CREATE FUNCTION @extschema@._payment_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    task := 'payments_expired';
    affected := @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.expires_at <= clock_timestamp() AND t.closed_at IS NULL AND t.status IN ('pending', 'failed')
        ORDER BY t.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED), 'expired');
    RETURN NEXT;
    task := 'payment_webhooks_removed';
    DELETE FROM @extschema@.payment_webhook_events AS e WHERE e.id IN (
        SELECT o.id FROM @extschema@.payment_webhook_events AS o
        WHERE o.received_at < now() - make_interval(days => usher.setting('payment.webhook_retention')::integer)
        LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS affected = ROW_COUNT;
    RETURN NEXT;
    task := 'ledger_journals_summed';
    affected := @extschema@._sum_ledger(max_rows);
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION @extschema@._payment_upkeep(integer) IS 'The part of usher_payment in usher.run_maintenance().';

CREATE FUNCTION @extschema@._payment_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What constraints hold too: a dump that was edited, or a constraint that somebody dropped.
    RETURN QUERY SELECT 'captured_above_amount', count(*) FROM @extschema@.payment_transactions AS t
        WHERE t.captured_minor NOT BETWEEN 0 AND t.amount_minor;
    RETURN QUERY SELECT 'refunded_above_captured', count(*) FROM @extschema@.payment_transactions AS t
        WHERE t.refunded_minor + t.refund_reserved_minor > t.captured_minor;
    RETURN QUERY SELECT 'status_differs_from_amounts', count(*) FROM @extschema@.payment_transactions AS t
        WHERE (t.status IN ('completed', 'refunded')) <> (t.captured_minor > 0)
            OR (t.status = 'refunded') <> (t.captured_minor > 0 AND t.refunded_minor = t.captured_minor);
    RETURN QUERY SELECT 'several_live_attempts', count(*) FROM (
        SELECT 1 FROM @extschema@.payment_attempts AS a WHERE a.outcome IN ('requested', 'unknown')
        GROUP BY a.transaction_id HAVING count(*) > 1) AS several;
    RETURN QUERY SELECT 'processing_without_attempt', count(*) FROM @extschema@.payment_transactions AS t
        WHERE t.status = 'processing' AND NOT EXISTS (SELECT FROM @extschema@.payment_attempts AS a
            WHERE a.transaction_id = t.id AND a.outcome IN ('requested', 'unknown'));
    RETURN QUERY SELECT 'captured_differs_from_attempts', count(*) FROM @extschema@.payment_transactions AS t
        LEFT JOIN (SELECT a.transaction_id, sum(a.captured_minor) AS captured, count(*) AS captures
                   FROM @extschema@.payment_attempts AS a
                   WHERE a.outcome = 'succeeded' GROUP BY a.transaction_id) AS a ON a.transaction_id = t.id
        WHERE t.captured_minor <> coalesce(a.captured, 0) OR a.captures > 1;
    RETURN QUERY SELECT 'refunds_differ_from_sums', count(*) FROM @extschema@.payment_transactions AS t
        LEFT JOIN (SELECT r.transaction_id,
                          sum(r.amount_minor) FILTER (WHERE r.status = 'succeeded') AS refunded,
                          sum(r.amount_minor) FILTER (WHERE r.status IN ('pending', 'processing')) AS reserved
                   FROM @extschema@.payment_refunds AS r GROUP BY r.transaction_id) AS r ON r.transaction_id = t.id
        WHERE t.refunded_minor <> coalesce(r.refunded, 0) OR t.refund_reserved_minor <> coalesce(r.reserved, 0);
    RETURN QUERY SELECT 'disputes_differ_from_sums', count(*) FROM @extschema@.payment_transactions AS t
        LEFT JOIN (SELECT d.transaction_id, sum(d.amount_minor) AS disputed FROM @extschema@.payment_disputes AS d
                   WHERE d.status <> 'won' GROUP BY d.transaction_id) AS d ON d.transaction_id = t.id
        WHERE t.disputed_minor <> coalesce(d.disputed, 0);
    RETURN QUERY SELECT 'journals_unbalanced', count(*) FROM (
        SELECT 1 FROM @extschema@.ledger_entries AS e GROUP BY e.journal_id, e.currency
        HAVING sum(CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE -e.amount_minor END) <> 0) AS wrong;
    RETURN QUERY SELECT 'totals_differ_from_entries', count(*) FROM (
        SELECT e.account, e.currency, (j.posted_at AT TIME ZONE 'UTC')::date AS day,
               sum(CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE 0 END) AS debit,
               sum(CASE e.direction WHEN 'credit' THEN e.amount_minor ELSE 0 END) AS credit
        FROM @extschema@.ledger_journals AS j JOIN @extschema@.ledger_entries AS e ON e.journal_id = j.id
        WHERE NOT EXISTS (SELECT FROM @extschema@.ledger_unsummed_journals AS u WHERE u.journal_id = j.id)
        GROUP BY 1, 2, 3) AS s
        FULL JOIN @extschema@.ledger_totals AS t
            ON t.account = s.account AND t.currency = s.currency AND t.day = s.day
        WHERE (s.debit, s.credit) IS DISTINCT FROM (t.debit_minor, t.credit_minor);
    -- What payments have posted by themselves, journal by journal, is what they stand at.
    RETURN QUERY SELECT 'ledger_differs_from_payments', count(*) FROM (
        SELECT t.id, t.captured_minor, t.refunded_minor, t.fee_minor, t.disputed_minor
        FROM @extschema@.payment_transactions AS t) AS t
        LEFT JOIN (
            SELECT j.reference_id,
                sum(s.amount) FILTER (WHERE e.account = 'sales') AS captured,
                -sum(s.amount) FILTER (WHERE e.account = 'refunds') AS refunded,
                -sum(s.amount) FILTER (WHERE e.account = 'fees') AS fees,
                -sum(s.amount) FILTER (WHERE e.account = 'disputes') AS disputed
            FROM @extschema@.ledger_journals AS j JOIN @extschema@.ledger_entries AS e ON e.journal_id = j.id
                CROSS JOIN LATERAL (SELECT CASE e.direction WHEN 'credit' THEN e.amount_minor
                                                            ELSE -e.amount_minor END) AS s (amount)
            WHERE j.reference_type = 'payment' AND j.kind IN ('capture', 'refund', 'fee', 'dispute')
            GROUP BY j.reference_id) AS l ON l.reference_id = t.id
        WHERE t.captured_minor <> coalesce(l.captured, 0) OR t.refunded_minor <> coalesce(l.refunded, 0)
            OR t.fee_minor <> coalesce(l.fees, 0) OR t.disputed_minor <> coalesce(l.disputed, 0);
    RETURN QUERY SELECT 'paid_and_closed_unrefunded', count(*) FROM @extschema@.payment_transactions AS t
        WHERE t.refund_on_success AND t.status = 'completed' AND t.refunded_minor + t.refund_reserved_minor = 0
            AND NOT EXISTS (SELECT FROM @extschema@.payment_refunds AS r WHERE r.transaction_id = t.id);
END
$$;
COMMENT ON FUNCTION @extschema@._payment_self_check() IS
    'The part of usher_payment in usher.self_check(): what must never be, rule by rule.';

CREATE FUNCTION @extschema@._payment_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT format('processor %s has no webhook secret', p.processor), 'notice',
        format('SELECT %I.add_webhook_secret(%L, …): until then only the worker learns what became of a payment.',
               '@extschema@', p.processor)
    FROM (WITH RECURSIVE step (processor) AS ( -- from one to the next in the index of their transactions
              SELECT ''
              UNION ALL
              SELECT (SELECT t.processor FROM @extschema@.payment_transactions AS t
                      WHERE t.processor_transaction_id IS NOT NULL AND t.processor > s.processor
                      ORDER BY t.processor LIMIT 1)
              FROM step AS s WHERE s.processor IS NOT NULL)
          SELECT s.processor FROM step AS s WHERE s.processor NOT IN ('', 'manual')) AS p
    WHERE NOT EXISTS (SELECT FROM @extschema@.payment_webhook_secrets AS s
        WHERE s.processor = p.processor AND s.is_active AND coalesce(s.expires_at > now(), true))
    ORDER BY p.processor;
END
$$;
COMMENT ON FUNCTION @extschema@._payment_configuration() IS
    'The part of usher_payment in usher.check_configuration().';

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

CREATE FUNCTION @extschema@._payment_health() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint;
BEGIN
    SELECT count(*) INTO waiting FROM @extschema@.payment_attempts AS a
    WHERE a.outcome IN ('requested', 'unknown') AND a.requested_at < now() - interval '1 hour';
    RETURN CASE WHEN waiting > 0
                THEN format('%s attempts to pay have had no outcome for more than an hour', waiting) END;
END
$$;
COMMENT ON FUNCTION @extschema@._payment_health() IS 'The part of usher_payment in usher.health().';

CREATE FUNCTION @extschema@._export_payments(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _export_payments.user_id;
BEGIN
    RETURN jsonb_build_object(
        'payments', coalesce((SELECT jsonb_agg(to_jsonb(t) - '{created_by,request_hash,idempotency_scope}'::text[]
                                               ORDER BY t.created_at, t.id)
            FROM @extschema@.payment_transactions AS t
            WHERE t.user_id = target OR t.customer_id = target AND t.user_id IS NULL), '[]'),
        'attempts', coalesce((SELECT jsonb_agg(to_jsonb(a) - '{requested_by,provider_key}'::text[]
                                               ORDER BY a.requested_at, a.id)
            FROM @extschema@.payment_attempts AS a JOIN @extschema@.payment_transactions AS t
                ON t.id = a.transaction_id
            WHERE t.user_id = target OR t.customer_id = target AND t.user_id IS NULL), '[]'),
        'refunds', coalesce((SELECT jsonb_agg(to_jsonb(r)
                - '{requested_by,request_hash,idempotency_scope,provider_key}'::text[] ORDER BY r.created_at, r.id)
            FROM @extschema@.payment_refunds AS r JOIN @extschema@.payment_transactions AS t ON t.id = r.transaction_id
            WHERE t.user_id = target OR t.customer_id = target AND t.user_id IS NULL), '[]'),
        'methods', coalesce((SELECT jsonb_agg(to_jsonb(m) - '{token,created_by}'::text[] ORDER BY m.created_at, m.id)
            FROM @extschema@.payment_methods AS m
            WHERE m.user_id = target OR m.customer_id = target AND m.user_id IS NULL), '[]'));
END
$$;
COMMENT ON FUNCTION @extschema@._export_payments(uuid) IS
    'The part of usher_payment in usher.export_user() and export_customer().';

CREATE FUNCTION @extschema@._erase_payments(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _erase_payments.user_id;
    theirs CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
                                    WHERE t.user_id = target OR t.customer_id = target AND t.user_id IS NULL);
    refunds CONSTANT uuid[] := ARRAY(SELECT r.id FROM @extschema@.payment_refunds AS r
                                     WHERE r.transaction_id = ANY (theirs));
    changed bigint;
    total bigint := 0;
BEGIN
    -- Sums stay: they are the business of the books.
    UPDATE @extschema@.payment_attempts AS a SET response = NULL
    WHERE a.transaction_id = ANY (theirs) AND a.response IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE @extschema@.payment_refunds AS r SET response = NULL, notes = NULL
    WHERE r.id = ANY (refunds) AND (r.response IS NOT NULL OR r.notes IS NOT NULL);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    DELETE FROM @extschema@.payment_methods AS m
    WHERE m.user_id = target OR m.customer_id = target AND m.user_id IS NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    RETURN total + usher.forget_notes('@extschema@.payment_refunds', refunds)
        + usher.forget_notes('@extschema@.payment_transactions', theirs);
END
$$;
COMMENT ON FUNCTION @extschema@._erase_payments(uuid) IS
    'The part of usher_payment in usher.erase_user() and erase_customer(): sums stay, without the answers of '
    'processors, notes, and saved methods.';

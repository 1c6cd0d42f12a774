CREATE TYPE @extschema@.refund_receipt AS (
    refund_id uuid, status text, amount_minor bigint, remaining_minor bigint, provider_key text, replayed boolean);
COMMENT ON TYPE @extschema@.refund_receipt IS
    'What create_refund() answers: the amount, and what is left to refund after it.';

CREATE TYPE @extschema@.refund_state AS (
    refund_id uuid, status text, refunded_minor bigint, transaction_status text, replayed boolean);
COMMENT ON TYPE @extschema@.refund_state IS
    'Where a refund and its payment stand after a report; replayed: it brought nothing new.';

CREATE TYPE @extschema@.refund_change AS (refund_id uuid, status text, version integer);
COMMENT ON TYPE @extschema@.refund_change IS 'A refund that was taken back.';

CREATE TYPE @extschema@.refund_part AS (
    refund_id uuid, transaction_id uuid, status text, amount_minor bigint, provider_key text);
COMMENT ON TYPE @extschema@.refund_part IS 'What is refunded of one of several payments.';

CREATE FUNCTION @extschema@._check_refund() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_check_refund';
COMMENT ON FUNCTION @extschema@._check_refund() IS
    'Row trigger of payment_refunds: completes the row, and refuses more than is left.';

CREATE FUNCTION @extschema@._follow_refund() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_follow_refund';
COMMENT ON FUNCTION @extschema@._follow_refund() IS
    'Row trigger of payment_refunds: reservation and refunded sum of the transaction follow, with ledger and events.';

CREATE FUNCTION @extschema@._follow_dispute() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_follow_dispute';
COMMENT ON FUNCTION @extschema@._follow_dispute() IS
    'Row trigger of payment_disputes: the disputed sum of the transaction follows, with ledger and events.';

CREATE FUNCTION @extschema@.create_refund(transaction_id uuid, amount_minor bigint DEFAULT NULL,
                                          reason_code text DEFAULT NULL, notes text DEFAULT NULL,
                                          idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.refund_receipt
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_create_refund';
COMMENT ON FUNCTION @extschema@.create_refund(uuid, bigint, text, text, text) IS
    'Reserves a part of what was captured, or without amount_minor all that is left, and publishes refund.requested '
    'for a worker that makes the call with this provider_key. Needs payment:refund, everywhere or where the payment '
    'belongs. UP001 when less is left.';

CREATE FUNCTION @extschema@.record_refund_result(refund_id uuid, outcome text, processor_refund_id text DEFAULT NULL,
                                                 response jsonb DEFAULT NULL, failure_code text DEFAULT NULL)
    RETURNS @extschema@.refund_state
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_record_refund';
COMMENT ON FUNCTION @extschema@.record_refund_result(uuid, text, text, jsonb, text) IS
    'What became of a refund: succeeded, declined, or unknown, which keeps its reservation. Needs payment:process; '
    'for money that people have taken themselves payment:record.';

CREATE FUNCTION @extschema@.cancel_refund(refund_id uuid)
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

CREATE FUNCTION @extschema@._refund_reference(reference_type text, reference_id uuid, currency text,
                                              amount_minor bigint, percent integer, reason_code text,
                                              notes text DEFAULT NULL)
    RETURNS SETOF uuid
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payment record;
    due bigint := amount_minor;
    part bigint;
    made uuid;
BEGIN
    PERFORM FROM @extschema@.payment_transactions AS t
    WHERE t.reference_id = _refund_reference.reference_id AND t.reference_type = _refund_reference.reference_type
    ORDER BY t.id FOR NO KEY UPDATE;
    IF due IS NULL THEN -- a share of what is left of all that was paid, rounded half up
        SELECT coalesce((sum(l.refundable_minor)::bigint * percent * 2 + 100) / 200, 0) INTO due
        FROM @extschema@._refundable(_refund_reference.reference_type, _refund_reference.reference_id,
                                     _refund_reference.currency) AS l;
    END IF;
    FOR payment IN SELECT l.* FROM @extschema@._refundable(_refund_reference.reference_type,
            _refund_reference.reference_id, _refund_reference.currency) AS l LOOP
        part := least(due, payment.refundable_minor);
        CONTINUE WHEN part <= 0;
        INSERT INTO @extschema@.payment_refunds (transaction_id, amount_minor, reason_code, notes, requested_by)
        VALUES (payment.transaction_id, part, _refund_reference.reason_code, _refund_reference.notes,
                usher.actor_id())
        RETURNING id INTO made;
        due := due - part;
        RETURN NEXT made;
    END LOOP;
    IF amount_minor IS NOT NULL AND due > 0 THEN
        PERFORM usher.raise_error('over_refund', 'more would be refunded than is left of the payments',
            jsonb_build_object('reference_id', _refund_reference.reference_id, 'amount_minor', amount_minor,
                               'remaining_minor', amount_minor - due));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._refund_reference(text, uuid, text, bigint, integer, text, text) IS
    'Refunds an amount, or a percentage of what is left, of all payments of a reference, the latest first.';

CREATE FUNCTION @extschema@._refundable(reference_type text, reference_id uuid, currency text)
    RETURNS TABLE (transaction_id uuid, refundable_minor bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT t.id, t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor
    FROM @extschema@.payment_transactions AS t
    WHERE t.reference_id = _refundable.reference_id AND t.reference_type = _refundable.reference_type
        AND t.currency = _refundable.currency
        AND t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor > 0
    ORDER BY t.created_at DESC, t.id DESC;
END
$$;
COMMENT ON FUNCTION @extschema@._refundable(text, uuid, text) IS
    'What can be refunded of each payment of a reference, the latest first.';

CREATE FUNCTION @extschema@.refund_reference(reference_type text, reference_id uuid, currency text,
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
COMMENT ON FUNCTION @extschema@.refund_reference(text, uuid, text, bigint, text, text, text) IS
    'Refunds an amount, or all that is left, of the payments for one reference, the latest first: one refund for each '
    'payment that takes part. Needs payment:refund. UP001 when less is left.';

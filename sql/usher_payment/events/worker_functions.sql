-- What a worker needs to call processors with payment:process and nothing more: its part of the events, one consumer
-- for all workers. Somebody who may (event:manage) subscribes it once, when there is a worker:
--     SELECT usher.subscribe('payment.attempt_requested', 'payment_worker', mode => 'async');
--     SELECT usher.subscribe('refund.requested', 'payment_worker', mode => 'async');

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

CREATE FUNCTION @extschema@.claim_payment_work(max_rows integer DEFAULT 1, visibility interval DEFAULT '30 seconds')
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

CREATE FUNCTION @extschema@.complete_payment_work(event_id uuid, attempt integer DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('payment:process');
    RETURN usher.complete_event('payment_worker', event_id, attempt);
END
$$;
COMMENT ON FUNCTION @extschema@.complete_payment_work(uuid, integer) IS
    'A call is done and reported. False when another worker has it by now. Needs payment:process.';

CREATE FUNCTION @extschema@.fail_payment_work(event_id uuid, attempt integer DEFAULT NULL,
                                              error_message text DEFAULT NULL, OUT status text,
                                              OUT retry_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('payment:process');
    SELECT f.status, f.retry_at INTO status, retry_at
    FROM usher.fail_event('payment_worker', event_id, error_message, attempt) AS f;
END
$$;
COMMENT ON FUNCTION @extschema@.fail_payment_work(uuid, integer, text) IS
    'A call is to be made again, after a while that grows: the processor did not answer. Needs payment:process.';

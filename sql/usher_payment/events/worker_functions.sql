-- What a worker needs to call processors with payment:process and nothing more: its part of the events, one consumer
-- for all workers. Somebody who may (event:manage) subscribes it once, when there is a worker:
--     SELECT usher.subscribe('payment.attempt_requested', 'payment_worker', mode => 'async');
--     SELECT usher.subscribe('refund.requested', 'payment_worker', mode => 'async');

CREATE FUNCTION @extschema@.claim_payment_work(max_rows integer DEFAULT 1, visibility interval DEFAULT '30 seconds')
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

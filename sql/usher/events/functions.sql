CREATE FUNCTION usher.publish(event text, payload jsonb DEFAULT '{}', key text DEFAULT NULL,
                              dedupe_key text DEFAULT NULL, dedupe text DEFAULT 'ignore') RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_events_publish';
REVOKE ALL ON FUNCTION usher.publish(text, jsonb, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.publish(text, jsonb, text, text, text) IS
    'Publishes an event in this transaction and returns its id. Sync subscribers run before it returns, in order, '
    'each as the owner of its handler; what they raise goes to the publisher. Async consumers claim it after the '
    'commit, those with the same key one after the other. With a dedupe_key that an event of this name has already, '
    'dedupe decides: ignore returns that one and does nothing; replace gives it the new payload while no consumer has '
    'claimed it, else publishes anew. Raises US501 when handlers publish in a circle. A name that an extension or '
    'application has declared (publishes of register_extension()) is its own: 42501 for a database role without the '
    'rights of the owner of that extension, or of the application''s schema.';

CREATE FUNCTION usher.require_handler(handler oid, arguments text, caller oid, OUT handler_schema name,
                                      OUT handler_name name)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function pg_proc;
BEGIN
    SELECT p.* INTO function FROM pg_proc AS p WHERE p.oid = handler;
    SELECT n.nspname INTO handler_schema FROM pg_namespace AS n WHERE n.oid = function.pronamespace;
    handler_name := function.proname;
    IF handler_schema IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'handler does not exist',
                                  jsonb_build_object('handler', handler));
    ELSIF function.prokind <> 'f' OR function.prorettype <> 'void'::regtype
          OR oidvectortypes(function.proargtypes) <> regexp_replace(arguments, '\S+ (\S+)', '\1', 'g') THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('handler must be a function (%s) that returns void', arguments),
                                  '{"argument": "handler"}');
    ELSIF NOT pg_has_role(caller, function.proowner, 'USAGE') THEN
        -- It will run as its owner with arguments of anybody's choice.
        PERFORM usher.raise_error('not_permitted', 'only the owner of a function can make it a handler');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.require_handler(oid, text, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher.require_handler(oid, text, oid) IS
    'For functions that take a handler, which will run as its owner: its name, as the tables keep it. Raises US005 '
    'when there is no such function, 22023 unless its arguments are those, "event text, payload jsonb" say, and it '
    'returns void, and 42501 unless it belongs to the caller. caller NULL: an extension that is being installed.';

CREATE FUNCTION usher.subscribe(event text, consumer text, handler regprocedure DEFAULT NULL, mode text DEFAULT 'sync',
                                max_attempts integer DEFAULT 25, since timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function_schema name;
    function_name name;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('event:manage');
        PERFORM usher._require_whole(); -- events carry what the key itself may not read
    END IF;
    IF event IS NULL OR event !~ '^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$' OR octet_length(event) > 100 THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'event must be words of a-z, 0-9 and _ joined by dots, such a name followed by '
                                  '".*", or "*"',
                                  '{"argument": "event"}');
    ELSIF consumer IS NULL OR octet_length(consumer) NOT BETWEEN 1 AND 100 THEN
        PERFORM usher.raise_error('invalid_argument', 'consumer must have 1 to 100 bytes',
                                  '{"argument": "consumer"}');
    ELSIF mode IS NULL OR mode NOT IN ('sync', 'async') THEN
        PERFORM usher.raise_error('invalid_argument', 'mode must be sync or async', '{"argument": "mode"}');
    ELSIF max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_attempts must be 1 to 1000',
                                  '{"argument": "max_attempts"}');
    ELSIF handler IS NULL AND mode = 'sync' THEN
        PERFORM usher.raise_error('invalid_argument', 'a sync subscription needs a handler',
                                  '{"argument": "handler"}');
    ELSIF since IS NOT NULL AND mode = 'sync' THEN
        PERFORM usher.raise_error('invalid_argument', 'since is for async subscriptions', '{"argument": "since"}',
                                  'A sync handler runs in the transaction that publishes: that one is over.');
    END IF;
    IF handler IS NOT NULL THEN
        SELECT h.handler_schema, h.handler_name INTO function_schema, function_name
        FROM usher.require_handler(handler, 'event text, payload jsonb', CASE
            WHEN usher._installing_extension() IS NULL THEN to_regrole(quote_ident(session_user))::oid END) AS h;
    END IF;
    INSERT INTO usher.subscriptions AS s (event, consumer, mode, handler_schema, handler_name, max_attempts, extension)
    VALUES (subscribe.event, subscribe.consumer, subscribe.mode, function_schema, function_name,
            subscribe.max_attempts, usher._installing_extension())
    ON CONFLICT ON CONSTRAINT subscriptions_event_consumer_key DO UPDATE
    SET mode = EXCLUDED.mode, handler_schema = EXCLUDED.handler_schema, handler_name = EXCLUDED.handler_name,
        max_attempts = EXCLUDED.max_attempts, is_active = true, extension = EXCLUDED.extension, updated_at = now();
    IF since IS NOT NULL THEN
        -- Waits for those who are publishing. Whoever publishes next finds the subscription (publish.cpp).
        LOCK TABLE usher.events IN SHARE MODE;
        INSERT INTO usher.deliveries (event_id, consumer, event, key)
        SELECT e.id, subscribe.consumer, e.event, e.key
        FROM usher.events e
        WHERE e.created_at >= subscribe.since
            AND (subscribe.event IN ('*', e.event)
                 OR right(subscribe.event, 2) = '.*' AND starts_with(e.event, left(subscribe.event, -1)))
            AND (usher._installing_extension() IS NULL OR e.publisher IS NOT NULL)
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.subscribe(text, text, regprocedure, text, integer, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.subscribe(text, text, regprocedure, text, integer, timestamptz) IS
    'Subscribes a consumer to an event, to "prefix.*" or to "*"; again with the same event and consumer, it changes '
    'the subscription. What the script of an extension subscribes to reaches it from declared publishers only. sync: '
    'the handler (event text, payload jsonb) runs inside publish(). async: the consumer '
    'claims events with claim_events(), or names a handler that the worker calls. With since an async consumer also '
    'gets what was published from that instant on and is kept still (usher.events_retention), none twice: a mailer '
    'that comes late loses no mail; publishing waits until the transaction is over. Handlers run as their owner with '
    'search_path pg_catalog.';

CREATE FUNCTION usher.unsubscribe(event text, consumer text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('event:manage');
    END IF;
    DELETE FROM usher.subscriptions s WHERE s.event = unsubscribe.event AND s.consumer = unsubscribe.consumer;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION usher.unsubscribe(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.unsubscribe(text, text) IS
    'Ends a subscription; false when there was none. What was published before can still be claimed by the consumer.';

CREATE FUNCTION usher.claim_events(consumer text, max_rows integer DEFAULT 1, visibility interval DEFAULT '30 seconds')
    RETURNS TABLE (event_id uuid, event text, payload jsonb, key text, attempt integer, causation_id uuid,
                   correlation_id text, created_at timestamptz, publisher text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF claim_events.consumer IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'consumer must not be null', '{"argument": "consumer"}');
    ELSIF visibility IS NULL OR visibility < '1 second' OR visibility > '1 day' THEN
        PERFORM usher.raise_error('invalid_argument', 'visibility must be between one second and one day',
                                  '{"argument": "visibility"}');
    END IF;
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    WITH next AS (
        SELECT d.event_id
        FROM usher.deliveries d
        WHERE d.consumer = claim_events.consumer AND d.status = 'pending' AND d.visible_at <= clock_timestamp()
          -- in order within a key: nothing while an earlier one is claimed, waits for its next attempt, or is not seen
          -- as done yet
          AND (d.key IS NULL OR NOT EXISTS (
                SELECT FROM usher.deliveries e
                WHERE e.consumer = d.consumer AND e.key = d.key AND e.status = 'pending' AND e.event_id < d.event_id))
        ORDER BY d.event_id
        LIMIT claim_events.max_rows
        FOR UPDATE OF d SKIP LOCKED
    ), claimed AS (
        -- A consumer that takes an event and dies each time must not do so for ever.
        UPDATE usher.deliveries d
        SET attempts = d.attempts + (d.attempts < m.max_attempts)::integer,
            status = CASE WHEN d.attempts < m.max_attempts THEN 'pending' ELSE 'parked' END,
            error_message = CASE WHEN d.attempts < m.max_attempts THEN d.error_message
                                 ELSE coalesce(d.error_message,
                                               'claimed and neither completed nor failed, too often') END,
            visible_at = clock_timestamp() + claim_events.visibility
        FROM next, LATERAL usher._max_attempts(claim_events.consumer, (SELECT t.event FROM usher.deliveries t
                            WHERE t.event_id = next.event_id
                              AND t.consumer = claim_events.consumer)) AS m (max_attempts)
        WHERE d.event_id = next.event_id AND d.consumer = claim_events.consumer
        RETURNING d.event_id, d.attempts, d.status
    )
    SELECT c.event_id, e.event, e.payload, e.key, c.attempts, e.causation_id, e.correlation_id, e.created_at,
           e.publisher
    FROM claimed c JOIN usher.events e ON e.id = c.event_id
    WHERE c.status = 'pending'
    ORDER BY c.event_id;
END
$$;
REVOKE ALL ON FUNCTION usher.claim_events(text, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION usher.claim_events(text, integer, interval) IS
    'Hands at most max_rows events to an async consumer, oldest first, and hides them from its other workers for the '
    'visibility time; within a key one at a time. Finish each with complete_event() or fail_event(); an event that '
    'gets neither is delivered again. Whoever may call it reads every event of the consumer. publisher: the extension '
    'or application whose event it is, NULL when anybody may have published it.';

CREATE FUNCTION usher._max_attempts(consumer text, event text) RETURNS integer
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- after unsubscribe(): the default
    RETURN coalesce((SELECT max(s.max_attempts) FROM usher.subscriptions s
                     WHERE s.consumer = _max_attempts.consumer
                       AND (s.event IN (_max_attempts.event, '*')
                            OR (s.event LIKE '%.*' AND starts_with(_max_attempts.event, left(s.event, -1))))), 25);
END
$$;
REVOKE ALL ON FUNCTION usher._max_attempts(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._max_attempts(text, text) IS
    'How often an event is tried for a consumer before it is parked.';

CREATE FUNCTION usher.complete_event(consumer text, event_id uuid, attempt integer DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE usher.deliveries d
    SET status = 'completed', completed_at = clock_timestamp(), error_message = NULL
    WHERE d.event_id = complete_event.event_id AND d.consumer = complete_event.consumer AND d.status = 'pending'
      AND d.attempts = coalesce(attempt, d.attempts) AND d.attempts > 0;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION usher.complete_event(text, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.complete_event(text, uuid, integer) IS
    'The consumer is done with an event. False when it is not claimed, or when the attempt (as claim_events() '
    'returned it) is over and another worker has it.';

CREATE FUNCTION usher.fail_event(consumer text, event_id uuid, error_message text DEFAULT NULL,
                                 attempt integer DEFAULT NULL, OUT status text, OUT retry_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    delivery usher.deliveries;
BEGIN
    SELECT d.* INTO delivery FROM usher.deliveries d
    WHERE d.event_id = fail_event.event_id AND d.consumer = fail_event.consumer AND d.status = 'pending'
      AND d.attempts = coalesce(fail_event.attempt, d.attempts) AND d.attempts > 0
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF delivery.attempts >= usher._max_attempts(delivery.consumer, delivery.event) THEN
        fail_event.status := 'parked';
    ELSE
        fail_event.status := 'pending';
        -- 2.7 seconds, 7.4, 20 … and from the tenth attempt on six hours
        fail_event.retry_at := clock_timestamp() + make_interval(secs => exp(least(10, delivery.attempts)));
    END IF;
    UPDATE usher.deliveries d
    SET status = fail_event.status, error_message = left(fail_event.error_message, 1000),
        visible_at = coalesce(fail_event.retry_at, d.visible_at)
    WHERE d.event_id = delivery.event_id AND d.consumer = delivery.consumer;
END
$$;
REVOKE ALL ON FUNCTION usher.fail_event(text, uuid, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.fail_event(text, uuid, text, integer) IS
    'The consumer could not handle an event: it is delivered again at retry_at, later each time, and after '
    'max_attempts it is parked, never dropped. status is NULL when the event was not claimed, or the attempt is over.';

CREATE FUNCTION usher.retry_event(consumer text, event_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('event:manage');
    UPDATE usher.deliveries d
    SET status = 'pending', attempts = 0, visible_at = clock_timestamp()
    WHERE d.event_id = retry_event.event_id AND d.consumer = retry_event.consumer AND d.status = 'parked';
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION usher.retry_event(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.retry_event(text, uuid) IS
    'Puts a parked event back for its consumer, with all attempts before it. False when it is not parked. Needs '
    'event:manage.';

CREATE FUNCTION usher._run_event_handler(event_id uuid, consumer text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_events_run_handler';
REVOKE ALL ON FUNCTION usher._run_event_handler(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._run_event_handler(uuid, text) IS
    'Calls the handler of an async subscription as its owner; false when the handler does not exist.';

CREATE FUNCTION usher.run_event_handlers(max_rows integer DEFAULT 100, OUT handled integer, OUT failed integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    subscriber text;
    claimed record;
    claims integer;
    ran boolean;
    failure text;
    -- What handlers have done is committed when this function's caller commits: not too late.
    ends_at CONSTANT timestamptz := clock_timestamp() + interval '10 seconds';
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    handled := 0;
    failed := 0;
    FOR subscriber IN
        SELECT DISTINCT s.consumer
        FROM usher.subscriptions s JOIN pg_namespace n ON n.nspname = s.handler_schema
            JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = s.handler_name
                AND p.proargtypes = '25 3802'::oidvector
        WHERE s.mode = 'async' AND s.is_active
          AND EXISTS (SELECT FROM usher.deliveries d WHERE d.consumer = s.consumer AND d.status = 'pending')
        ORDER BY s.consumer
    LOOP
        -- One at a time, so that what the time does not suffice for is not claimed.
        LOOP
            claims := 0;
            FOR claimed IN
                SELECT c.event_id, c.attempt
                FROM usher.claim_events(subscriber, 1, '1 hour') c
            LOOP
                claims := claims + 1;
                BEGIN
                    failure := NULL;
                    ran := usher._run_event_handler(claimed.event_id, subscriber);
                EXCEPTION WHEN OTHERS OR assert_failure THEN
                    ran := false;
                    failure := SQLSTATE || ' ' || SQLERRM;
                END;
                IF ran THEN
                    PERFORM usher.complete_event(subscriber, claimed.event_id, claimed.attempt);
                    handled := handled + 1;
                ELSE
                    PERFORM usher.fail_event(subscriber, claimed.event_id,
                                             coalesce(failure, 'the handler does not exist'), claimed.attempt);
                    failed := failed + 1;
                END IF;
            END LOOP;
            IF handled + failed >= run_event_handlers.max_rows OR clock_timestamp() > ends_at THEN
                RETURN;
            END IF;
            EXIT WHEN claims = 0;
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.run_event_handlers(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_event_handlers(integer) IS
    'Calls the handlers of async subscriptions for events that wait, each in a savepoint of its own; what a handler '
    'does and that its event is done commit together. A handler that takes longer than usher.handler_timeout has '
    'failed. After ten seconds it begins no further one. The background worker does this continually; without it, any '
    'scheduler may.';

CREATE FUNCTION usher.list_parked_events(only_consumer text DEFAULT NULL, after uuid DEFAULT NULL,
                                         max_rows integer DEFAULT 100)
    RETURNS TABLE (event_id uuid, consumer text, event text, key text, attempts integer, error_message text,
                   created_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('event:manage');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT d.event_id, d.consumer, d.event, d.key, d.attempts, d.error_message, d.created_at
    FROM usher.deliveries d
    WHERE d.status = 'parked' AND (only_consumer IS NULL OR d.consumer = only_consumer)
      AND (list_parked_events.after IS NULL OR d.event_id > list_parked_events.after)
    ORDER BY d.event_id, d.consumer
    LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_parked_events(text, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_parked_events(text, uuid, integer) IS
    'Events that failed too often, by keyset: pass the last event_id as after. retry_event() puts one back.';

CREATE FUNCTION usher.event_payload(event_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.payload FROM usher.events AS e WHERE e.id = event_payload.event_id;
END;
REVOKE ALL ON FUNCTION usher.event_payload(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.event_payload(uuid) IS
    'What an event says; NULL when it is not kept any longer. For features that do later what they were told, and '
    'keep no copy of a secret until then. For the owner of the extension.';

CREATE FUNCTION usher.cut_event(event_id uuid, keys text[], consumer text) RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH cut AS (
        UPDATE usher.events AS e SET payload = e.payload - cut_event.keys
        WHERE e.id = cut_event.event_id AND e.payload ?| cut_event.keys
            AND NOT EXISTS (SELECT FROM usher.deliveries AS d
                            WHERE d.event_id = e.id AND d.status = 'pending' AND d.consumer <> cut_event.consumer)
        RETURNING 1)
    SELECT EXISTS (SELECT FROM cut);
END;
REVOKE ALL ON FUNCTION usher.cut_event(uuid, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher.cut_event(uuid, text[], text) IS
    'Takes secrets out of an event that a consumer is done with; false when there are none, or another consumer waits '
    'for them still. For the owner of the extension.';

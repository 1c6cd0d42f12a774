-- Idempotency for the functions of extensions. The first call with a key stores its answer, in the same transaction as
-- what it did. A repetition waits for it, and gets the same answer if it asks for the same. Functions of an extension
-- trust what comes back: only they may store it.

CREATE FUNCTION usher._replay_call(extension name, idempotency_key text, request jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who CONSTANT text := coalesce(usher.actor_id()::text, session_user);
    hash CONSTANT text := encode(sha256(convert_to(request::text, 'UTF8')), 'hex');
    stored usher.idempotent_calls;
BEGIN
    IF idempotency_key = '' OR length(idempotency_key) > 255 THEN
        PERFORM usher.raise_error('invalid_argument', 'idempotency_key must have 1 to 255 characters',
            jsonb_build_object('argument', 'idempotency_key'));
    END IF;
    INSERT INTO usher.idempotent_calls (registrant, actor, key, request_hash)
    VALUES (_replay_call.extension, who, idempotency_key, hash) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT c.* INTO stored FROM usher.idempotent_calls AS c
    WHERE c.registrant = _replay_call.extension AND c.actor = who AND c.key = idempotency_key;
    IF stored.request_hash IS DISTINCT FROM hash THEN
        PERFORM usher.raise_error('idempotency_mismatch',
                                  'idempotency key was used before with other arguments', '{}');
    END IF;
    RETURN stored.result;
END
$$;
REVOKE ALL ON FUNCTION usher._replay_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._replay_call(name, text, jsonb) IS
    'What replay_call() does for a caller who may speak for the extension.';

CREATE FUNCTION usher.replay_call(extension name, idempotency_key text, request jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_registration_replay_call';
REVOKE ALL ON FUNCTION usher.replay_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.replay_call(name, text, jsonb) IS
    'For functions of extensions that take an idempotency key: the answer that remember_call() has stored for this '
    'key of whoever asks, or NULL when the request is new (then its key is taken) or has no key. Raises US004 when '
    'the key was used with another request, and 42501 for callers without the rights of the owner of the extension: '
    'its functions are SECURITY DEFINER. Under the name of an application whoever may call it does. Answers are kept '
    'for 30 days.';

CREATE FUNCTION usher._remember_call(extension name, idempotency_key text, result jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE usher.idempotent_calls AS c SET result = _remember_call.result
    WHERE c.registrant = _remember_call.extension AND c.actor = coalesce(usher.actor_id()::text, session_user)
        AND c.key = _remember_call.idempotency_key;
END
$$;
REVOKE ALL ON FUNCTION usher._remember_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._remember_call(name, text, jsonb) IS
    'What remember_call() does for a caller who may speak for the extension.';

CREATE FUNCTION usher.remember_call(extension name, idempotency_key text, result jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_registration_remember_call';
REVOKE ALL ON FUNCTION usher.remember_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.remember_call(name, text, jsonb) IS
    'Stores the answer of a call for its repetitions, in the transaction of what it did. For the same callers as '
    'replay_call().';

CREATE FUNCTION usher._forget_old_calls(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM usher.idempotent_calls AS c WHERE (c.registrant, c.actor, c.key) IN (
        SELECT o.registrant, o.actor, o.key FROM usher.idempotent_calls AS o
        WHERE o.created_at < now() - interval '30 days' LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
REVOKE ALL ON FUNCTION usher._forget_old_calls(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._forget_old_calls(integer) IS
    'Removes answers that are older than 30 days; returns how many.';

-- API keys for machines.

CREATE FUNCTION usher.create_api_key(name text, permissions text[], expires_at timestamptz DEFAULT NULL,
                                     user_id uuid DEFAULT NULL, OUT error text, OUT api_key_id uuid, OUT api_key text,
                                     OUT prefix text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_create_api_key';
REVOKE ALL ON FUNCTION usher.create_api_key(text, text[], timestamptz, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_api_key(text, text[], timestamptz, uuid) IS
    'A key by which a machine acts for the current user, or for one that they may manage: usher.authenticate() and '
    'HTTP take it in the place of an access token. It may do what the user may and permissions name ("booking:read", '
    '"booking:*", "*:*"), nothing else; permissions that do not exist are refused (22023). api_key is shown this '
    'once. Needs a session, of level 2 when the user has a second factor (US102, US103). error: too_many_factors (100 '
    'keys).';

CREATE FUNCTION usher.list_api_keys(user_id uuid DEFAULT NULL)
    RETURNS TABLE (api_key_id uuid, name text, prefix text, permissions text[], status text, created_at timestamptz,
                   expires_at timestamptz, last_used_at timestamptz, revoked_at timestamptz, revoked_reason text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_api_keys.user_id);
BEGIN
    PERFORM usher.log_read('user', target::text, '{"part": "api_keys"}');
    RETURN QUERY
    SELECT k.id, k.name::text, k.prefix, k.permissions,
           CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END,
           k.created_at, k.expires_at, l.last_used_at, k.revoked_at, k.revoked_reason::text
    FROM usher.api_keys k LEFT JOIN usher.api_key_uses l ON l.api_key_id = k.id
    WHERE k.user_id = target ORDER BY k.created_at DESC, k.id DESC;
END
$$;
REVOKE ALL ON FUNCTION usher.list_api_keys(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_api_keys(uuid) IS
    'API keys of the current user, or of one that they may manage, newest first; never the keys themselves.';

CREATE FUNCTION usher.revoke_api_key(api_key_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT k.user_id INTO owner FROM usher.api_keys k WHERE k.id = revoke_api_key.api_key_id;
    -- A key may end itself: whoever finds it leaked can do so with it.
    IF owner IS NOT NULL AND revoke_api_key.api_key_id IS DISTINCT FROM usher.current_api_key_id()
       AND (owner IS DISTINCT FROM usher.actor_id() OR usher.current_api_key_id() IS NOT NULL) THEN
        IF usher.actor_id() IS NULL OR usher.has_permission('user:manage') THEN
            PERFORM usher.require_permission('user:manage', owner);
        ELSE
            owner := NULL; -- others' keys do not exist for an ordinary user
        END IF;
    ELSIF owner IS NULL AND usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('user:manage');
    END IF;
    IF owner IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'API key does not exist',
                                  jsonb_build_object('api_key_id', revoke_api_key.api_key_id, 'reference', 'api_key',
                                                 'id', revoke_api_key.api_key_id));
    END IF;
    UPDATE usher.api_keys k
    SET revoked_at = clock_timestamp(),
        revoked_reason = CASE WHEN owner = usher.actor_id() THEN 'revoked_by_user'
                              ELSE 'revoked_by_administrator' END
    WHERE k.id = revoke_api_key.api_key_id AND k.revoked_at IS NULL;
    IF FOUND THEN
        PERFORM usher.log_event('api_key.revoked', jsonb_build_object('user_id', owner), resource_type => 'api_key',
                                resource_id => revoke_api_key.api_key_id::text, severity => 'notice');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_api_key(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_api_key(uuid) IS
    'Ends an API key of the current user, or of one that they may manage: it fails at the next statement, in every '
    'backend and on standbys. Ending it again does nothing. Unknown: US005.';

-- OAuth 2.0 for clients that speak it: token endpoint (RFC 6749), introspection (RFC 7662), revocation (RFC 7009) and
-- metadata (RFC 8414). The tokens are those of login() and refresh_session(), API keys, and what these are traded for.

CREATE FUNCTION usher._look_at_token(token text, OUT kind text, OUT session_id uuid, OUT user_id uuid,
                                     OUT api_key_id uuid, OUT claims jsonb, OUT expires_at timestamptz,
                                     OUT is_active boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    session usher.sessions;
    key usher.api_keys;
    problem text;
BEGIN
    is_active := false;
    IF token ~ '^uak_[0-9a-f]{12}_' THEN -- extension/usher/identity/api_key.hpp
        SELECT k.* INTO key FROM usher.api_keys k
        WHERE k.prefix = substr(token, 5, 12) AND k.key_hash = sha256(convert_to(token, 'UTF8'));
        kind := CASE WHEN key.id IS NOT NULL THEN 'api_key' END;
        user_id := key.user_id;
        api_key_id := key.id;
        expires_at := key.expires_at;
        claims := jsonb_build_object('scope', array_to_string(key.permissions, ' '), 'client_id', key.id);
        is_active := key.id IS NOT NULL AND key.revoked_at IS NULL AND coalesce(key.expires_at > now(), true)
                     AND EXISTS (SELECT FROM usher.users u WHERE u.id = key.user_id AND u.is_active);
        RETURN;
    END IF;
    -- session, generation and secret (extension/usher/identity/refresh_token.hpp)
    IF token ~ '^urt_[A-Za-z0-9_-]{70}$' THEN
        SELECT s.* INTO session FROM usher.sessions s
        WHERE s.id = encode(substr(decode(translate(substr(token, 5), '-_', '+/') || '==', 'base64'), 1, 16),
                            'hex')::uuid
          AND s.refresh_token_hash = sha256(convert_to(token, 'UTF8'));
        kind := CASE WHEN session.id IS NOT NULL THEN 'refresh_token' END;
        session_id := session.id;
        user_id := session.user_id;
        expires_at := session.expires_at;
        is_active := coalesce(session.status = 'active' AND session.expires_at > now(), false);
        RETURN;
    END IF;
    SELECT v.claims, v.error INTO claims, problem FROM usher.verify_token(token) v;
    IF problem IS NOT NULL OR claims ->> 'iss' IS DISTINCT FROM usher._own_issuer() THEN
        claims := NULL;
        RETURN;
    END IF;
    kind := 'access_token';
    user_id := (claims ->> 'sub')::uuid;
    session_id := (claims ->> 'sid')::uuid;
    expires_at := to_timestamp((claims ->> 'exp')::double precision);
    is_active := CASE WHEN session_id IS NULL
        THEN EXISTS (SELECT FROM usher.users u WHERE u.id = _look_at_token.user_id AND u.is_active)
             AND NOT EXISTS (SELECT FROM usher.revoked_tokens r WHERE r.jti::text = claims ->> 'jti')
             AND (coalesce(claims ->> 'client_id', 'usher') = 'usher' OR EXISTS (
                SELECT FROM usher.api_keys k WHERE k.id::text = claims ->> 'client_id' AND k.revoked_at IS NULL
                    AND coalesce(k.expires_at > now(), true)))
        ELSE EXISTS (SELECT FROM usher.sessions s
                     WHERE s.id = _look_at_token.session_id AND s.user_id = _look_at_token.user_id
                       AND s.status = 'active' AND s.expires_at > now()) END;
END
$$;
REVOKE ALL ON FUNCTION usher._look_at_token(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._look_at_token(text) IS
    'What an access token, refresh token or API key is, and whether it is good now; kind is NULL for any other text. '
    'A token from outside is not ours to say anything about. Changes nothing.';

CREATE FUNCTION usher.introspect_token(token text, token_type_hint text DEFAULT NULL,
    OUT active boolean, OUT error text, OUT token_type text, OUT scope text, OUT client_id text, OUT username text,
    OUT sub text, OUT aud text, OUT iss text, OUT exp bigint, OUT iat bigint, OUT nbf bigint, OUT jti text,
    OUT sid text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    PERFORM usher.require_permission('token:introspect');
    SELECT t.* INTO found FROM usher._look_at_token(introspect_token.token) t;
    active := found.is_active;
    IF NOT active THEN
        RETURN; -- RFC 7662 section 2.2: nothing else about a token that is not active
    END IF;
    token_type := CASE found.kind WHEN 'refresh_token' THEN 'refresh_token' ELSE 'Bearer' END;
    username := (SELECT coalesce(u.username, u.email) FROM usher.users u WHERE u.id = found.user_id);
    sub := found.user_id;
    sid := found.session_id;
    exp := date_part('epoch', found.expires_at)::bigint;
    scope := found.claims ->> 'scope';
    client_id := found.claims ->> 'client_id';
    aud := found.claims ->> 'aud';
    iss := found.claims ->> 'iss';
    iat := (found.claims ->> 'iat')::numeric::bigint;
    nbf := (found.claims ->> 'nbf')::numeric::bigint;
    jti := found.claims ->> 'jti';
END
$$;
REVOKE ALL ON FUNCTION usher.introspect_token(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.introspect_token(text, text) IS
    'Whether an access token, refresh token or API key is good now, and what it says (RFC 7662). active is false for '
    'anything else, whatever the reason. The hint is not needed. Needs token:introspect.';

CREATE FUNCTION usher.revoke_token(token text, token_type_hint text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT t.* INTO found FROM usher._look_at_token(revoke_token.token) t;
    IF found.is_active AND found.session_id IS NOT NULL THEN
        PERFORM usher._end_sessions(found.user_id, found.session_id, NULL, 'token_revoked');
    ELSIF found.is_active AND found.kind = 'access_token' THEN
        INSERT INTO usher.revoked_tokens (jti, expires_at)
        VALUES ((found.claims ->> 'jti')::uuid, found.expires_at) ON CONFLICT DO NOTHING;
        PERFORM usher.log_event('token.revoked', jsonb_build_object(
            'user_id', found.user_id, 'client_id', found.claims ->> 'client_id', 'jti', found.claims ->> 'jti'),
                                severity => 'notice');
    ELSIF found.is_active AND found.api_key_id IS NOT NULL THEN
        UPDATE usher.api_keys k
        SET revoked_at = clock_timestamp(), revoked_reason = 'token_revoked' WHERE k.id = found.api_key_id;
        PERFORM usher.log_event('api_key.revoked', jsonb_build_object('user_id', found.user_id),
                                resource_type => 'api_key', resource_id => found.api_key_id::text,
                                severity => 'notice');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_token(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_token(text, text) IS
    'Ends the session of an access or refresh token, and with it all its tokens; an access token that has no session '
    '(client_credentials, issue_token()), and nothing else; or an API key (RFC 7009). Whoever has the token may do '
    'so; unknown tokens are no error.';

CREATE FUNCTION usher.oauth_metadata() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- First: it loads the library, without which there is no such setting yet.
    issuer CONSTANT text := usher._own_issuer();
    base CONSTANT text := rtrim(current_setting('usher.public_url'), '/');
BEGIN
    RETURN jsonb_build_object(
        'issuer', issuer,
        'token_endpoint', base || '/oauth/token',
        'introspection_endpoint', base || '/oauth/introspect',
        'revocation_endpoint', base || '/oauth/revoke',
        'jwks_uri', base || '/.well-known/jwks.json',
        'service_documentation', base || '/docs',
        'response_types_supported', '[]'::jsonb, -- there is no authorization endpoint
        'grant_types_supported', '["refresh_token", "client_credentials"]'::jsonb,
        'token_endpoint_auth_methods_supported', '["none", "client_secret_basic", "client_secret_post"]'::jsonb,
        'introspection_endpoint_auth_methods_supported',
            '["client_secret_basic", "client_secret_post", "bearer"]'::jsonb,
        'revocation_endpoint_auth_methods_supported', '["none", "client_secret_basic", "client_secret_post"]'::jsonb);
END
$$;
REVOKE ALL ON FUNCTION usher.oauth_metadata() FROM PUBLIC;
COMMENT ON FUNCTION usher.oauth_metadata() IS
    'What OAuth 2.0 clients need to know (RFC 8414). The URLs begin with usher.public_url; issuer is what iss says in '
    'tokens.';

CREATE FUNCTION usher.oauth_token(grant_type text, INOUT refresh_token text DEFAULT NULL, client_id text DEFAULT NULL,
    client_secret text DEFAULT NULL, INOUT scope text DEFAULT NULL,
    OUT error text, OUT access_token text, OUT token_type text, OUT expires_in integer, OUT retry_after integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given CONSTANT text := refresh_token;
    refreshed record;
    key record;
    issued record;
BEGIN
    refresh_token := NULL;
    IF grant_type = 'client_credentials' THEN
        SELECT t.* INTO key FROM usher._look_at_token(client_secret) t;
        IF client_secret IS NULL OR key.kind IS DISTINCT FROM 'api_key' OR NOT key.is_active
           OR client_id IS DISTINCT FROM coalesce(key.api_key_id::text, '') THEN
            error := 'invalid_client';
        ELSE
            SELECT * INTO issued FROM usher._issue_client_token(key.api_key_id, key.user_id, scope, key.expires_at);
            error := CASE WHEN issued.access_token IS NULL THEN 'invalid_scope' END;
            access_token := issued.access_token;
            token_type := CASE WHEN error IS NULL THEN 'Bearer' END;
            expires_in := issued.expires_in;
            scope := issued.granted;
        END IF;
    ELSIF grant_type <> 'refresh_token' THEN
        error := 'unsupported_grant_type';
    ELSIF given IS NULL THEN
        error := 'invalid_request';
    ELSIF client_secret IS NOT NULL THEN -- sessions belong to users, not to clients with a secret
        error := 'invalid_client';
    ELSIF scope IS NOT NULL THEN -- tokens of sessions have none: what a user may do stands in tables
        error := 'invalid_scope';
    ELSE
        SELECT r.* INTO refreshed FROM usher.refresh_session(given) r;
        error := CASE WHEN refreshed.error IS NOT NULL THEN 'invalid_grant' END;
        access_token := refreshed.access_token;
        token_type := refreshed.token_type;
        expires_in := refreshed.expires_in;
        refresh_token := CASE WHEN error IS NULL THEN refreshed.refresh_token END;
        retry_after := refreshed.retry_after;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.oauth_token(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.oauth_token(text, text, text, text, text) IS
    'The token endpoint of OAuth 2.0 (RFC 6749). grant_type refresh_token trades a refresh token as refresh_session() '
    'does; client_credentials takes the id of an API key as client_id and the key as client_secret, and gives an '
    'access token that may do what scope says (permissions, separated by spaces; by default all that the key may) for '
    'usher.access_token_ttl, and no longer than the key. error: '
    'invalid_request, invalid_client, invalid_grant, invalid_scope or unsupported_grant_type; an error does not say '
    'why a token is not good.';

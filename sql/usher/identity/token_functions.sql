-- Access tokens (JWT), their keys, and tokens of the caller's own.

CREATE FUNCTION usher.issue_token(user_id uuid, claims jsonb DEFAULT '{}', ttl interval DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_identity_issue_token';
REVOKE ALL ON FUNCTION usher.issue_token(uuid, jsonb, interval) FROM PUBLIC;
COMMENT ON FUNCTION usher.issue_token(uuid, jsonb, interval) IS
    'An access token for an active user, without a session: it lives until it expires (ttl, by default '
    'usher.access_token_ttl, at most 24 hours) or the user is deactivated. claims may not hold iss, sub, aud, exp, '
    'iat, nbf, jti, sid, roles, amr, acr or client_id. revoke_token() ends it earlier. Needs key:manage.';

CREATE FUNCTION usher.verify_token(token text, OUT claims jsonb, OUT error text) RETURNS record
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_identity_verify_token';
REVOKE ALL ON FUNCTION usher.verify_token(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_token(text) IS
    'Claims of one of our access tokens, or the error code that says why it is not valid. Checks form, signature, '
    'type, issuer, audience and times; never raises for a bad token and writes nothing. Whether its session still '
    'lives is for usher.authenticate() to say.';

CREATE FUNCTION usher.sign_jwt(payload jsonb, key text, algorithm text DEFAULT 'HS256', kid text DEFAULT NULL)
    RETURNS text
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_sign_jwt';
REVOKE ALL ON FUNCTION usher.sign_jwt(jsonb, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.sign_jwt(jsonb, text, text, text) IS
    'A compact JWT of the payload, signed with the caller''s own key: for HS256, HS384 and HS512 a secret at least as '
    'long as the hash; for ES256, ES384, ES512, RS256, PS256 and EdDSA a private key in PEM; for all of them a JWK. '
    'No claim is added.';

CREATE FUNCTION usher.verify_jwt(token text, key text, algorithm text DEFAULT 'HS256', issuer text DEFAULT NULL,
                                 audience text DEFAULT NULL, OUT claims jsonb, OUT error text) RETURNS record
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_verify_jwt';
REVOKE ALL ON FUNCTION usher.verify_jwt(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_jwt(text, text, text, text, text) IS
    'Claims of a token that the caller''s own key has signed with this algorithm and no other, or an error code. exp '
    'and nbf are checked when present, iss and aud when given here. Never raises for a bad token; a bad key or '
    'algorithm raises 22023.';

CREATE FUNCTION usher.rotate_signing_key(algorithm text DEFAULT NULL, activates_in interval DEFAULT '0') RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_identity_rotate_signing_key';
REVOKE ALL ON FUNCTION usher.rotate_signing_key(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION usher.rotate_signing_key(text, interval) IS
    'Makes a new signing key and returns its kid. It signs after activates_in (at most 30 days), so that verifiers '
    'can fetch it before; the keys before it verify for 25 hours more, longer than any token lives. algorithm: by '
    'default that of the current key, ES256 at first. Needs key:manage.';

CREATE FUNCTION usher.list_signing_keys()
    RETURNS TABLE (kid text, algorithm text, status text, public_jwk jsonb, created_at timestamptz,
                   activates_at timestamptz, retires_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('key:manage');
    RETURN QUERY
        SELECT k.kid, k.algorithm,
               CASE WHEN k.retires_at <= clock_timestamp() THEN 'retired'
                    WHEN k.activates_at > clock_timestamp() THEN 'pending'
                    WHEN EXISTS (SELECT FROM usher.signing_keys younger
                                  WHERE younger.activates_at > k.activates_at
                                    AND younger.activates_at <= clock_timestamp()
                                    AND (younger.retires_at IS NULL
                                         OR younger.retires_at > clock_timestamp())) THEN 'retiring'
                    ELSE 'active' END,
               k.public_jwk, k.created_at, k.activates_at, k.retires_at
          FROM usher.signing_keys k
         ORDER BY k.activates_at DESC, k.kid;
END
$$;
REVOKE ALL ON FUNCTION usher.list_signing_keys() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_signing_keys() IS
    'All signing keys without their secrets, youngest first. status: pending, active (signs), retiring (verifies '
    'only) or retired. Needs key:manage.';

CREATE FUNCTION usher.jwks() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_identity_jwks';
REVOKE ALL ON FUNCTION usher.jwks() FROM PUBLIC;
COMMENT ON FUNCTION usher.jwks() IS
    'The public keys as a JSON Web Key Set (RFC 7517): everybody who verifies our tokens needs it. HMAC keys are '
    'never in it.';

CREATE FUNCTION usher.published_jwks() RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    keys CONSTANT jsonb := usher.jwks();
BEGIN
    IF keys -> 'keys' = '[]' THEN
        PERFORM usher.raise_error('no_signing_key', 'there is no signing key yet',
                                  hint => 'The first token makes one, and usher.rotate_signing_key() does.');
    END IF;
    RETURN keys;
END
$$;
REVOKE ALL ON FUNCTION usher.published_jwks() FROM PUBLIC;
COMMENT ON FUNCTION usher.published_jwks() IS
    'As jwks(), for clients, which keep what they get: while there is no key it is an error (US104, 503 over '
    'HTTP) instead of an empty set.';

CREATE FUNCTION usher._own_issuer() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_own_issuer';
REVOKE ALL ON FUNCTION usher._own_issuer() FROM PUBLIC;
COMMENT ON FUNCTION usher._own_issuer() IS
    'What iss says in access tokens: usher.token_issuer, or usher.public_url when that is empty.';

CREATE FUNCTION usher._issue_client_token(api_key_id uuid, user_id uuid, scope text, expires_at timestamptz,
                                          OUT access_token text, OUT granted text, OUT expires_in integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_identity_issue_client_token';
REVOKE ALL ON FUNCTION usher._issue_client_token(uuid, uuid, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._issue_client_token(uuid, uuid, text, timestamptz) IS
    'An access token for the machine that has an API key, with a scope that the key covers, by default all of it. '
    'NULL when the scope is more than that. Whether it is the right machine is the caller''s business.';

-- Request identity and context: who is asking, and from where, for the length of one transaction.

CREATE FUNCTION usher.authenticate(access_token text) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_request_authenticate';
REVOKE ALL ON FUNCTION usher.authenticate(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.authenticate(text) IS
    'Verifies an access token or an API key and makes its user the identity of this transaction; returns the user''s '
    'id. Raises 28000 when it is malformed, expired or revoked, with the code in DETAIL. Ends with the transaction '
    'and with ROLLBACK TO.';

CREATE FUNCTION usher.current_user_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_user_id';
REVOKE ALL ON FUNCTION usher.current_user_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_user_id() IS
    'The authenticated user of this transaction, for policies; NULL when there is none, when the token has expired or '
    'the session was revoked since, and for an API key without *:*, which is not the whole user.';

CREATE FUNCTION usher.current_user_id(permission text) RETURNS uuid
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_user_id_for';
REVOKE ALL ON FUNCTION usher.current_user_id(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.current_user_id(text) IS
    'As current_user_id(), but also the user of an API key that was given this permission ("note:read"): for what '
    'users may do with their own without holding a permission, and a machine only when told so.';

CREATE FUNCTION usher.actor_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_actor_id';
REVOKE ALL ON FUNCTION usher.actor_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.actor_id() IS
    'Who acts in this transaction, in person or by an API key: for records of who did something, and to tell that '
    'somebody is asking. No right follows from it; NULL without identity.';

CREATE FUNCTION usher.current_session_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_session_id';
REVOKE ALL ON FUNCTION usher.current_session_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_session_id() IS
    'The session that the access token of this transaction belongs to; NULL without identity or for tokens without a '
    'session.';

CREATE FUNCTION usher.current_claims() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_claims';
REVOKE ALL ON FUNCTION usher.current_claims() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_claims() IS
    'All claims of the access token of this transaction; NULL without identity. For decisions use '
    'usher.has_permission(): it reads tables, not claims.';

CREATE FUNCTION usher.current_api_key_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_api_key_id';
REVOKE ALL ON FUNCTION usher.current_api_key_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_api_key_id() IS
    'The API key by which somebody acts in this transaction; NULL without identity or when it came from an access '
    'token.';

CREATE FUNCTION usher.current_assurance_level() RETURNS integer
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_assurance_level';
REVOKE ALL ON FUNCTION usher.current_assurance_level() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_assurance_level() IS
    'How well the current user has proved who they are: 1, or 2 after a second factor (NIST SP 800-63B). For '
    'policies: USING (usher.current_assurance_level() >= 2). What the access token was issued with, or less when the '
    'session counts for less by now. 1 for API keys; NULL without identity.';

CREATE FUNCTION usher.require_assurance_level(level integer) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_require_assurance_level';
REVOKE ALL ON FUNCTION usher.require_assurance_level(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.require_assurance_level(integer) IS
    'Raises US102 unless current_assurance_level() is at least this (1 or 2), 28000 without identity. Over HTTP: 401 '
    'with error="insufficient_user_authentication" (RFC 9470).';

CREATE FUNCTION usher._require_whole() RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_require_whole';
REVOKE ALL ON FUNCTION usher._require_whole() FROM PUBLIC;
COMMENT ON FUNCTION usher._require_whole() IS
    '42501 for an API key without *:*: for changes of what others may do that no single permission stands for.';

CREATE FUNCTION usher._require_person() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_require_person';
REVOKE ALL ON FUNCTION usher._require_person() FROM PUBLIC;
COMMENT ON FUNCTION usher._require_person() IS
    'The current user, for what an API key must not do: 28000 without identity, US103 for an API key.';

CREATE FUNCTION usher.set_request_context(client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
                                          correlation_id text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_request_set_context';
REVOKE ALL ON FUNCTION usher.set_request_context(inet, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_request_context(inet, text, text) IS
    'Says where the request came from, for audit rows, lockout and limits of this transaction. It is never identity. '
    'user_agent: at most 512 bytes; correlation_id: at most 128 visible ASCII characters; else 22023.';

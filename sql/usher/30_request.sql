-- Request identity and context: who is asking, and from where, for the length of one transaction.

CREATE FUNCTION usher.authenticate(access_token text) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_request_authenticate';
REVOKE ALL ON FUNCTION usher.authenticate(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.authenticate(text) IS
    'Verifies an access token and makes its user the identity of this transaction; returns the user''s id. Raises 28000 when the token is malformed, expired or revoked, with the code in DETAIL. Ends with the transaction and with ROLLBACK TO.';

CREATE FUNCTION usher.current_user_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_user_id';
REVOKE ALL ON FUNCTION usher.current_user_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_user_id() IS
    'The authenticated user of this transaction, for policies and defaults; NULL when there is none, or when the token has expired or the session was revoked since.';

CREATE FUNCTION usher.current_session_id() RETURNS uuid
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_session_id';
REVOKE ALL ON FUNCTION usher.current_session_id() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_session_id() IS
    'The session that the access token of this transaction belongs to; NULL without identity or for tokens without a session.';

CREATE FUNCTION usher.current_claims() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_request_current_claims';
REVOKE ALL ON FUNCTION usher.current_claims() FROM PUBLIC;
COMMENT ON FUNCTION usher.current_claims() IS
    'All claims of the access token of this transaction; NULL without identity. For decisions use usher.has_permission(): it reads tables, not claims.';

CREATE FUNCTION usher.set_request_context(client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL, correlation_id text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_request_set_context';
REVOKE ALL ON FUNCTION usher.set_request_context(inet, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_request_context(inet, text, text) IS
    'Says where the request came from, for audit rows, lockout and limits of this transaction. It is never identity. user_agent: at most 512 bytes; correlation_id: at most 128 visible ASCII characters; else 22023.';

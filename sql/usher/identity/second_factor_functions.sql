-- Second factors, logins by code, and what follows a change of privileges. Whatever meets a code is C++.

-- TOTP and recovery codes --------------------------------------------------------------------------------------------

CREATE FUNCTION usher.enroll_totp(current_password text DEFAULT NULL, label text DEFAULT NULL, OUT error text,
                                  OUT factor_id uuid, OUT secret text, OUT otpauth_uri text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_enroll_totp';
REVOKE ALL ON FUNCTION usher.enroll_totp(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.enroll_totp(text, text) IS
    'Begins a TOTP authenticator (RFC 6238) for the current user: secret in base32 and the otpauth:// URI for a QR '
    'code, shown this once. It counts from confirm_totp() on. Needs the password, if the account has one, and a '
    'session of level 2 when there is a second factor already (US102). error: invalid_credentials, too_many_factors '
    '(5), busy.';

CREATE FUNCTION usher.confirm_totp(factor_id uuid, code text, OUT error text, OUT recovery_codes text[],
                                   OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_confirm_totp';
REVOKE ALL ON FUNCTION usher.confirm_totp(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.confirm_totp(uuid, text) IS
    'Takes an authenticator of the current user into use by a first code: from now on login() asks for one. The first '
    'gives ten recovery codes, shown this once. This session is of level 2 from its next refresh; publishes '
    'user.second_factor_added. error: invalid_code, busy. Unknown: US005.';

CREATE FUNCTION usher.verify_second_factor(code text, OUT error text, OUT access_token text, OUT token_type text,
                                           OUT expires_in integer, OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_verify_second_factor';
REVOKE ALL ON FUNCTION usher.verify_second_factor(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_second_factor(text) IS
    'Raises the current session to level 2 by a TOTP or recovery code and returns an access token that says so. '
    'error: invalid_code, no_second_factor, busy. A wrong code counts as a failed login.';

CREATE FUNCTION usher.login_second_factor(challenge text, code text, OUT error text, OUT user_id uuid,
                                          OUT session_id uuid, OUT access_token text, OUT token_type text,
                                          OUT expires_in integer, OUT refresh_token text, OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_login_second_factor';
REVOKE ALL ON FUNCTION usher.login_second_factor(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.login_second_factor(text, text) IS
    'The second half of a login that answered second_factor_required: takes its challenge and a TOTP or recovery '
    'code, and starts a session of level 2. error: invalid_code whatever is wrong with the code or the account; '
    'invalid_token, token_expired for the challenge; busy. Commit after a refusal too, so that it counts.';

CREATE FUNCTION usher.regenerate_recovery_codes(code text, OUT error text, OUT recovery_codes text[],
                                                OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_regenerate_recovery_codes';
REVOKE ALL ON FUNCTION usher.regenerate_recovery_codes(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.regenerate_recovery_codes(text) IS
    'Ten new recovery codes for the current user, shown this once; those before are worth nothing. Needs a TOTP or '
    'recovery code. error: invalid_code, no_second_factor, busy.';

CREATE FUNCTION usher.remove_second_factor(factor_id uuid, code text DEFAULT NULL, OUT error text,
                                           OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_remove_second_factor';
REVOKE ALL ON FUNCTION usher.remove_second_factor(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_second_factor(uuid, text) IS
    'Removes an authenticator of the current user; a confirmed one only with a TOTP or recovery code. With the last '
    'one the recovery codes go too, and all sessions are of level 1. Publishes user.second_factor_removed. error: '
    'invalid_code, busy. Unknown: US005.';

CREATE FUNCTION usher.reset_second_factors(user_id uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_reset_second_factors';
REVOKE ALL ON FUNCTION usher.reset_second_factors(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.reset_second_factors(uuid) IS
    'Removes all second factors and recovery codes of a user who has lost them (user:manage). Make sure by other '
    'means who is asking. Publishes user.second_factors_reset.';

CREATE FUNCTION usher.list_second_factors(user_id uuid DEFAULT NULL)
    RETURNS TABLE (factor_id uuid, kind text, label text, status text, codes_left integer, created_at timestamptz,
                   confirmed_at timestamptz, last_used_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_second_factors.user_id);
BEGIN
    PERFORM usher.log_read('user', target::text, '{"part": "second_factors"}');
    RETURN QUERY
    SELECT f.id, f.kind, f.label::text, CASE WHEN f.confirmed_at IS NULL THEN 'pending' ELSE 'confirmed' END,
           NULL::integer, f.created_at, f.confirmed_at, f.last_used_at
    FROM usher.second_factors f WHERE f.user_id = target ORDER BY f.created_at, f.id;
    RETURN QUERY
    SELECT NULL::uuid, 'recovery_codes', '', 'confirmed', (count(*) FILTER (WHERE r.used_at IS NULL))::integer,
           min(r.created_at), min(r.created_at), max(r.used_at)
    FROM usher.recovery_codes r WHERE r.user_id = target HAVING count(*) > 0;
END
$$;
REVOKE ALL ON FUNCTION usher.list_second_factors(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_second_factors(uuid) IS
    'Authenticators of the current user, or of one that they may manage, and how many recovery codes are left. '
    'Secrets are not in it.';

-- Codes by mail ------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.request_login_code(email text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_request_login_code';
REVOKE ALL ON FUNCTION usher.request_login_code(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.request_login_code(text) IS
    'Publishes user.login_code_requested with six digits to mail, if there is such an account. The answer and the '
    'time are the same if there is none; at most usher.one_time_tokens_per_hour for one account.';

CREATE FUNCTION usher.login_with_code(email text, code text, device jsonb DEFAULT '{}',
                                      OUT error text, OUT user_id uuid, OUT session_id uuid, OUT access_token text,
                                      OUT token_type text, OUT expires_in integer, OUT refresh_token text,
                                      OUT retry_after integer, OUT challenge text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_login_with_code';
REVOKE ALL ON FUNCTION usher.login_with_code(text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.login_with_code(text, text, jsonb) IS
    'Logs in with the code from the mail instead of a password, and verifies the address: the first time, what was '
    'set up before goes, the password too. Works while the password is locked. error: invalid_code whatever is wrong; '
    'second_factor_required with a challenge. A code dies after five wrong tries: commit after a refusal too.';

CREATE FUNCTION usher.request_verification_code(email text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_request_verification_code';
REVOKE ALL ON FUNCTION usher.request_verification_code(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.request_verification_code(text) IS
    'Publishes user.verification_code_requested with six digits to mail, if there is such an account and its address '
    'is not verified. The answer and the time are the same otherwise.';

CREATE FUNCTION usher.verify_email_code(email text, code text, password text DEFAULT NULL, OUT error text,
                                        OUT user_id uuid)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_verify_email_code';
REVOKE ALL ON FUNCTION usher.verify_email_code(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_email_code(text, text, text) IS
    'Marks the address as verified by the code that was mailed to it, with the password as verify_email() has it. '
    'error: password_required, or why it is refused, before the code is looked at; invalid_code whatever else is '
    'wrong; busy.';

CREATE FUNCTION usher._end_one_time_codes(user_id uuid, purpose text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH ended AS (
        UPDATE usher.one_time_codes c SET ended_at = clock_timestamp()
        WHERE c.user_id = _end_one_time_codes.user_id AND c.used_at IS NULL AND c.ended_at IS NULL
          AND c.purpose = coalesce(_end_one_time_codes.purpose, c.purpose)
        RETURNING c.event_id)
    UPDATE usher.events e SET payload = e.payload - 'code' FROM ended WHERE e.id = ended.event_id;
END
$$;
REVOKE ALL ON FUNCTION usher._end_one_time_codes(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._end_one_time_codes(uuid, text) IS
    'Ends the open one-time codes of a user and cuts them out of their events.';

-- Tokens of outside providers (R0-26, R1-20) -------------------------------------------------------------------------

CREATE FUNCTION usher.set_provider_tokens(user_id uuid, provider text, access_token text,
                                          refresh_token text DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_set_provider_tokens';
REVOKE ALL ON FUNCTION usher.set_provider_tokens(uuid, text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_provider_tokens(uuid, text, text, text, timestamptz) IS
    'Keeps the tokens that an outside provider gave for a linked account of a user (user:manage), sealed under the '
    'master key when there is one. NULL forgets one. US005 when the user has no account there.';

CREATE FUNCTION usher.get_provider_tokens(user_id uuid, provider text, OUT access_token text, OUT refresh_token text,
                                          OUT expires_at timestamptz)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_get_provider_tokens';
REVOKE ALL ON FUNCTION usher.get_provider_tokens(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.get_provider_tokens(uuid, text) IS
    'The tokens that set_provider_tokens() keeps, for whoever calls the provider on behalf of the user (user:manage). '
    'US005 when the user has no account there.';

-- A change of roles is a change of privileges: refresh tokens of before are not the parent of the next one.
CREATE FUNCTION usher._follow_user_roles() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_restoring() THEN
        UPDATE usher.sessions s SET generation_step = 2, parent_token_hash = NULL
        WHERE s.user_id IN (SELECT c.user_id FROM changed c) AND s.status = 'active';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_user_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_user_roles() IS
    'Trigger: sessions of users whose roles change skip a generation at their next refresh.';

-- Identity: what people and applications do with accounts. Whatever meets a password or a token is C++
-- (extension/identity); lists and administration are PL/pgSQL. Expected refusals are the result column `error`.

-- Registration, login, tokens, passwords -----------------------------------------------------------------------------

CREATE FUNCTION usher.register_user(email text, password text, first_name text DEFAULT NULL,
                                    last_name text DEFAULT NULL, username text DEFAULT NULL, phone text DEFAULT NULL,
                                    metadata jsonb DEFAULT '{}', OUT user_id uuid, OUT error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_register_user';
REVOKE ALL ON FUNCTION usher.register_user(text, text, text, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.register_user(text, text, text, text, text, text, jsonb) IS
    'Makes an account, gives it usher.default_role, publishes user.registered, and user.email_verification_requested '
    'with the token to mail. With an address that an account has but never proved, that mail alone is sent, and '
    'verify_email() with this password takes the account over: email_unverified. error: email_unverified, '
    'email_taken, username_taken, invalid_email, invalid_username, invalid_name, invalid_phone, invalid_metadata, or '
    'why the password is refused.';

CREATE FUNCTION usher.sign_up(email text, password text, first_name text DEFAULT NULL, last_name text DEFAULT NULL,
                              username text DEFAULT NULL, phone text DEFAULT NULL, OUT error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_sign_up';
REVOKE ALL ON FUNCTION usher.sign_up(text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.sign_up(text, text, text, text, text, text) IS
    'register_user() for a form that anybody may fill in: whether the address has an account already is told by mail '
    'only (user.registration_repeated, at most once in an hour), unless usher.reveal_taken_email is on. The answer '
    'and the time are the same. error: as register_user().';

CREATE FUNCTION usher.login(identifier text, password text, device jsonb DEFAULT '{}', OUT error text,
                            OUT user_id uuid, OUT session_id uuid, OUT access_token text, OUT token_type text,
                            OUT expires_in integer, OUT refresh_token text, OUT retry_after integer,
                            OUT challenge text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_login';
REVOKE ALL ON FUNCTION usher.login(text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.login(text, text, jsonb) IS
    'Checks e-mail address or username and password, and starts a session. error: invalid_credentials whatever is '
    'wrong with them; email_not_verified only after the right password; second_factor_required, with a challenge for '
    'login_second_factor(); busy. Commit after a refusal too, so that it counts. device describes the client and may '
    'hold a "fingerprint", and a "security_context" (an object) of what the application knows about the risk.';

CREATE FUNCTION usher.refresh_session(OUT error text, OUT user_id uuid, OUT session_id uuid, OUT access_token text,
                                      OUT token_type text, OUT expires_in integer, INOUT refresh_token text,
                                      OUT retry_after integer)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_refresh_session';
REVOKE ALL ON FUNCTION usher.refresh_session(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.refresh_session(text) IS
    'Trades a refresh token for an access token and the next refresh token. error: invalid_refresh_token, '
    'session_expired, session_revoked, or refresh_token_reused, which has ended the session: commit. What counts as '
    'reuse is set by usher.refresh_reuse.';

CREATE FUNCTION usher.change_password(current_password text, new_password text, OUT error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_change_password';
REVOKE ALL ON FUNCTION usher.change_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.change_password(text, text) IS
    'Changes the password of the current user. Ends all other sessions and what is pending. error: '
    'invalid_credentials when current_password is wrong (which counts as a failed login), password_reused, busy, or '
    'why the new password is refused.';

CREATE FUNCTION usher.set_password(user_id uuid, password text, OUT error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_set_password';
REVOKE ALL ON FUNCTION usher.set_password(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_password(uuid, text) IS
    'Sets a user''s password and unlocks the account, as an administrator (user:manage). Ends all sessions, what is '
    'pending and, by usher.cut_off_api_keys, API keys. error: why the password is refused.';

CREATE FUNCTION usher.import_password_hash(user_id uuid, hash text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_import_password_hash';
REVOKE ALL ON FUNCTION usher.import_password_hash(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.import_password_hash(uuid, text) IS
    'Takes over a password hash from another system: argon2id, argon2i, bcrypt, scrypt or PBKDF2. The next login '
    'replaces it by one of today''s settings. Raises 22023 when the hash cannot be read or costs too much.';

CREATE FUNCTION usher.unlock_user(user_id uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_unlock_user';
REVOKE ALL ON FUNCTION usher.unlock_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.unlock_user(uuid) IS
    'Ends a lockout and forgets the failures that led to it (user:manage).';

CREATE FUNCTION usher.request_password_reset(email text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_request_password_reset';
REVOKE ALL ON FUNCTION usher.request_password_reset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.request_password_reset(text) IS
    'Publishes user.password_reset_requested with a token to mail, if there is such an account. The answer and the '
    'time are the same if there is none; at most five in an hour for one account.';

CREATE FUNCTION usher.create_password_reset(user_id uuid, OUT token text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_create_password_reset';
REVOKE ALL ON FUNCTION usher.create_password_reset(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_password_reset(uuid) IS
    'A token for reset_password(), for whoever delivers it otherwise than by the event. Ends an earlier one.';

CREATE FUNCTION usher.reset_password(token text, new_password text, OUT error text, OUT user_id uuid)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_reset_password';
REVOKE ALL ON FUNCTION usher.reset_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.reset_password(text, text) IS
    'Sets a new password by a token, also while the account is locked: that ends the lockout, all sessions, what is '
    'pending and, by usher.cut_off_api_keys, API keys. A mailed token proves the mailbox: the first time, what a '
    'stranger had set up goes. error: invalid_token, token_expired, or why the password is refused, in which case the '
    'token stays good.';

CREATE FUNCTION usher.request_email_verification(email text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_request_email_verification';
REVOKE ALL ON FUNCTION usher.request_email_verification(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.request_email_verification(text) IS
    'Publishes user.email_verification_requested with a new token, if there is such an account and its address is not '
    'verified. The answer and the time are the same otherwise.';

CREATE FUNCTION usher.create_email_verification(user_id uuid, OUT token text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_create_email_verification';
REVOKE ALL ON FUNCTION usher.create_email_verification(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_email_verification(uuid) IS
    'A token for verify_email(), for whoever delivers it otherwise than by the event. Ends an earlier one.';

CREATE FUNCTION usher.verify_email(token text, password text DEFAULT NULL, OUT error text, OUT user_id uuid)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_verify_email';
REVOKE ALL ON FUNCTION usher.verify_email(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_email(text, text) IS
    'Marks the address that the token was sent to as verified; for a change of address, makes it the address of the '
    'account. Outside a session of the account it takes the password as well: the right one keeps all there is; with '
    'another one whoever reads the mailbox takes the account over, and what a stranger had set up goes (a change of '
    'address is refused then). error: invalid_token, token_expired, email_taken, password_required, busy, '
    'invalid_credentials, or why the password is refused; none of the last four costs the token.';

CREATE FUNCTION usher._prove_mailbox(user_id uuid, email text) RETURNS boolean
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_prove_mailbox';
REVOKE ALL ON FUNCTION usher._prove_mailbox(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._prove_mailbox(uuid, text) IS
    'The mailbox of a user was proved by somebody who may not be who set the account up: marks the address as '
    'verified and, the first time, ends all that was set up before.';

CREATE FUNCTION usher.request_email_change(new_email text, current_password text, OUT error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_request_email_change';
REVOKE ALL ON FUNCTION usher.request_email_change(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.request_email_change(text, text) IS
    'Sends a token to the new address of the current user (event user.email_change_requested); verify_email() with it '
    'makes the change. error: invalid_credentials, invalid_email, busy. An address that is taken is not told.';

CREATE FUNCTION usher._check_account_fields(email text, username text, first_name text, last_name text, phone text)
    RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_identity_check_account_fields';
REVOKE ALL ON FUNCTION usher._check_account_fields(text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_account_fields(text, text, text, text, text) IS
    'The error code of the first field that an account cannot have; NULL when all are good. NULL fields are not '
    'looked at.';

CREATE FUNCTION usher._request_origin(OUT client_ip inet, OUT user_agent text)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_identity_request_origin';
REVOKE ALL ON FUNCTION usher._request_origin() FROM PUBLIC;
COMMENT ON FUNCTION usher._request_origin() IS
    'Address and agent of the request: what set_request_context() said, else the address of the connection.';

-- Accounts. What others may read of a user is in usher.users; what must never be read (password hashes) or is counted
-- per login (lockout) is in usher.credentials, so that no view, audit row or export of users can carry it.

CREATE TABLE usher.users (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    email varchar(254) NOT NULL
        CHECK (position('@' IN email) > 0 AND usher.normalize_name(email) IS NOT DISTINCT FROM email),
    email_verified_at timestamptz,
    -- no @: login tells it from an e-mail address by that
    username varchar(50)
        CHECK (position('@' IN username) = 0 AND usher.normalize_name(username) IS NOT DISTINCT FROM username),
    first_name varchar(100) NOT NULL DEFAULT '',
    last_name varchar(100) NOT NULL DEFAULT '',
    display_name text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN first_name = '' AND last_name = '' THEN coalesce(username::text, split_part(email::text, '@', 1))
             WHEN first_name = '' THEN last_name::text
             WHEN last_name = '' THEN first_name::text
             ELSE first_name::text || ' ' || last_name::text END) STORED,
    phone varchar(20) CHECK (phone ~ '^[+]?[0-9][0-9 ()./-]*$'),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'active', 'deactivated', 'deleted', 'erased')),
    is_active boolean NOT NULL GENERATED ALWAYS AS (status IN ('pending', 'active')) STORED,
    tier varchar(20) NOT NULL DEFAULT 'FREE' CHECK (tier <> ''),
    profile jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(profile) = 'object' AND octet_length(profile::text) <= 65536),
    preferences jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(preferences) = 'object' AND octet_length(preferences::text) <= 65536),
    metadata jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 65536),
    external_id varchar(255) CHECK (external_id <> ''),
    version integer NOT NULL DEFAULT 1,
    last_login_at timestamptz,
    deactivated_at timestamptz,
    deleted_at timestamptz,
    erased_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'deleted') = (deleted_at IS NOT NULL AND erased_at IS NULL)),
    CHECK ((status = 'erased') = (erased_at IS NOT NULL))
);
CREATE UNIQUE INDEX users_email_key ON usher.users (usher.name_key(email::text));
CREATE UNIQUE INDEX users_username_key ON usher.users (usher.name_key(username::text));
CREATE UNIQUE INDEX users_external_id_key ON usher.users (external_id);
CREATE INDEX users_status_idx ON usher.users (status);
CREATE INDEX users_tier_idx ON usher.users (tier);
CREATE INDEX users_created_at_idx ON usher.users (created_at DESC, id DESC);
-- Which of many users have a name is read from this alone.
CREATE INDEX users_id_name_idx ON usher.users (id) INCLUDE (display_name);
-- without a list of what is pending, which every search would have to read
CREATE INDEX users_name_idx ON usher.users USING gin (usher.name_words(display_name)) WITH (fastupdate = off);
COMMENT ON TABLE usher.users IS
    'One row per account. Rows are never removed by usher''s functions: delete_user() marks them, erase_user() makes '
    'them anonymous.';
COMMENT ON COLUMN usher.users.email IS
    'As usher.normalize_name() has it, whoever writes the row: two spellings of one address are one account.';
COMMENT ON COLUMN usher.users.username IS 'As usher.normalize_name() has it; never with an @.';
COMMENT ON COLUMN usher.users.status IS
    'pending: e-mail address not verified yet; active; deactivated: by an administrator; deleted: can be restored; '
    'erased: anonymous for good.';
COMMENT ON COLUMN usher.users.is_active IS 'May be referred to by new bookings and the like: pending or active.';
COMMENT ON COLUMN usher.users.external_id IS 'Key of the user in the system that the row was imported from.';
COMMENT ON COLUMN usher.users.profile IS 'What users say about themselves; they may change it.';
COMMENT ON COLUMN usher.users.metadata IS
    'What the application keeps about the user; written by register_user() and set_user_metadata(), never over HTTP '
    'by the user.';
SELECT pg_catalog.pg_extension_config_dump('usher.users', '');

CREATE TABLE usher.credentials (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES usher.users (id) ON DELETE CASCADE,
    password_hash text CHECK (octet_length(password_hash) BETWEEN 20 AND 1024),
    password_changed_at timestamptz,
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    spent_permits bigint NOT NULL DEFAULT 0,
    last_failed_login_at timestamptz,
    locked_until timestamptz,
    lockout_count integer NOT NULL DEFAULT 0 CHECK (lockout_count >= 0),
    last_lockout_at timestamptz,
    reset_required boolean NOT NULL DEFAULT false,
    unproven_profile boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70); -- updated in place by failed logins
CREATE INDEX credentials_locked_until_idx ON usher.credentials (locked_until) WHERE locked_until IS NOT NULL;
COMMENT ON TABLE usher.credentials IS
    'Password hash and lockout state of an account. Nobody but the owner of the extension can read it.';
COMMENT ON COLUMN usher.credentials.password_hash IS 'NULL: the account has no password (external identities only).';
COMMENT ON COLUMN usher.credentials.spent_permits IS
    'Bit n: the nth of the guesses that are allowed in parallel was evaluated and wrong since the last success (see '
    'docs/identity.md).';
COMMENT ON COLUMN usher.credentials.reset_required IS
    'Too many failures: only a password reset or unlock_user() opens the account.';
COMMENT ON COLUMN usher.credentials.unproven_profile IS
    'What users.profile, names and the like say was entered by somebody who had not proved the mailbox: it goes when '
    'somebody else proves it.';
SELECT pg_catalog.pg_extension_config_dump('usher.credentials', '');

CREATE TABLE usher.password_history (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    password_hash text NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX password_history_user_id_idx ON usher.password_history (user_id, replaced_at DESC);
COMMENT ON TABLE usher.password_history IS 'Hashes of former passwords, kept when usher.password_history is above 0.';
SELECT pg_catalog.pg_extension_config_dump('usher.password_history', '');

CREATE TABLE usher.network_failures (
    network cidr NOT NULL PRIMARY KEY,
    failed_names bytea NOT NULL DEFAULT '' CHECK (octet_length(failed_names) % 8 = 0),
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    last_failed_login_at timestamptz,
    locked_until timestamptz,
    lockout_count integer NOT NULL DEFAULT 0 CHECK (lockout_count >= 0),
    last_lockout_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE usher.network_failures IS
    'Consecutive failed logins per network (an IPv4 address or an IPv6 /64), whatever the account.';
COMMENT ON COLUMN usher.network_failures.failed_names IS
    'The names of the last 64 of these failures, the newest last: eight bytes of the SHA-256 of each. A failure with '
    'the same name as the one before counts for its account only: one forgetful user does not lock their colleagues '
    'out. A success takes back what its own name has failed.';
SELECT pg_catalog.pg_extension_config_dump('usher.network_failures', '');

CREATE TABLE usher.login_attempts (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    email varchar(254) NOT NULL,
    user_id uuid REFERENCES usher.users (id) ON DELETE SET NULL,
    client_ip inet,
    user_agent text,
    success boolean NOT NULL,
    failure_reason varchar(100),
    retry_after integer,
    attempted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (success = (failure_reason IS NULL))
);
CREATE INDEX login_attempts_user_id_idx ON usher.login_attempts (user_id, attempted_at DESC);
CREATE INDEX login_attempts_email_idx ON usher.login_attempts (usher.name_key(email::text), attempted_at DESC);
CREATE INDEX login_attempts_client_ip_idx ON usher.login_attempts (client_ip, attempted_at DESC);
CREATE INDEX login_attempts_attempted_at_idx ON usher.login_attempts (attempted_at);
COMMENT ON TABLE usher.login_attempts IS 'Every login attempt, good or bad.';
COMMENT ON COLUMN usher.login_attempts.email IS
    'The name that was given: e-mail address or username. "?" when it is neither of an account nor shaped like an '
    'e-mail address: people type passwords there.';
COMMENT ON COLUMN usher.login_attempts.failure_reason IS
    'unknown_user, wrong_password, no_password, account_locked, network_locked, reset_required, account_inactive, '
    'email_not_verified, busy; second_factor_required (the password was right), wrong_code, code_reused.';
SELECT pg_catalog.pg_extension_config_dump('usher.login_attempts', '');

CREATE TABLE usher.identities (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    provider varchar(50) NOT NULL CHECK (provider <> ''),
    provider_user_id varchar(255) NOT NULL CHECK (provider_user_id <> ''),
    provider_email varchar(254),
    user_info jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(user_info) = 'object'),
    access_token text,
    refresh_token text,
    token_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    UNIQUE (provider, provider_user_id),
    UNIQUE (user_id, provider)
);
COMMENT ON TABLE usher.identities IS
    'Accounts at outside providers: one per user and provider, and each belongs to one user.';
COMMENT ON COLUMN usher.identities.access_token IS
    'The provider''s token for this account, sealed under the master key when there is one; set_provider_tokens() '
    'writes it.';
SELECT pg_catalog.pg_extension_config_dump('usher.identities', '');

CREATE TABLE usher.consents (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(100) NOT NULL CHECK (purpose <> ''),
    document_version varchar(50),
    evidence jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(evidence) = 'object' AND octet_length(evidence::text) <= 65536),
    client_ip inet,
    user_agent text,
    given_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    CHECK (withdrawn_at >= given_at)
);
CREATE UNIQUE INDEX consents_open_key ON usher.consents (user_id, purpose) WHERE withdrawn_at IS NULL;
CREATE INDEX consents_user_id_idx ON usher.consents (user_id, given_at);
COMMENT ON TABLE usher.consents IS
    'What a user agreed to, which version, when, and when it was withdrawn. Rows are kept.';
SELECT pg_catalog.pg_extension_config_dump('usher.consents', '');

CREATE TYPE usher.user_reference AS (id uuid, email text, role text, name text);
COMMENT ON TYPE usher.user_reference IS 'What other features show of a user instead of joining usher.users.';
-- Signing keys of access tokens. Private parts are readable by the extension's owner alone.

CREATE TABLE usher.signing_keys (
    kid text PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm = ANY (usher._algorithms('jwt'))),
    private_key text NOT NULL,
    public_jwk jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    activates_at timestamptz NOT NULL,
    retires_at timestamptz,
    CHECK (retires_at > activates_at)
);
REVOKE ALL ON TABLE usher.signing_keys FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.signing_keys', '');
COMMENT ON TABLE usher.signing_keys IS
    'Keys that sign access tokens. The youngest active one signs; all verify until they retire. Holds secrets: no '
    'role but the owner may read it.';
COMMENT ON COLUMN usher.signing_keys.private_key IS
    'PKCS#8 PEM, or for HMAC the secret in base64url; with usher.master_key_file sealed under that key.';
COMMENT ON COLUMN usher.signing_keys.public_jwk IS
    'What usher.jwks() publishes; NULL for HMAC keys, which have no public part.';

CREATE TABLE usher.signing_keys_inval ();
REVOKE ALL ON TABLE usher.signing_keys_inval FROM PUBLIC;
COMMENT ON TABLE usher.signing_keys_inval IS 'Always empty: carries the news that usher.signing_keys has changed.';
-- Outside issuers whose tokens are accepted. Their key sets are stored: nothing is fetched from within the server.

CREATE TABLE usher.token_issuers (
    issuer text PRIMARY KEY CHECK (length(issuer) BETWEEN 1 AND 512),
    provider varchar(50) NOT NULL CHECK (provider <> ''),
    audiences text[] NOT NULL CHECK (cardinality(audiences) > 0 AND array_position(audiences, NULL) IS NULL
                                     AND array_position(audiences, '') IS NULL),
    algorithms text[] NOT NULL CHECK (cardinality(algorithms) > 0 AND algorithms <@ usher._algorithms('jwt_key_pair')),
    jwks jsonb NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT token_issuers_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
REVOKE ALL ON TABLE usher.token_issuers FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.token_issuers', '');
COMMENT ON TABLE usher.token_issuers IS
    'Outside issuers: a token of theirs stands for the user whom usher.identities ties to its subject. No algorithm '
    'with a shared secret is possible.';
COMMENT ON COLUMN usher.token_issuers.provider IS
    'Under which name usher.identities knows the subjects of this issuer.';
COMMENT ON COLUMN usher.token_issuers.audiences IS 'One of these must be in the aud of a token.';
COMMENT ON COLUMN usher.token_issuers.jwks IS 'The issuer''s JSON Web Key Set (RFC 7517), public keys only.';

CREATE TABLE usher.token_issuers_inval ();
REVOKE ALL ON TABLE usher.token_issuers_inval FROM PUBLIC;
COMMENT ON TABLE usher.token_issuers_inval IS 'Always empty: carries the news that usher.token_issuers has changed.';

CREATE TABLE usher.issuer_key_sources (
    issuer text PRIMARY KEY REFERENCES usher.token_issuers ON DELETE CASCADE,
    url text NOT NULL CHECK (octet_length(url) <= 2048),
    is_discovery boolean NOT NULL,
    keys_url text CHECK (octet_length(keys_url) <= 2048),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_at timestamptz,
    fetched_at timestamptz,
    last_error text CHECK (length(last_error) <= 300)
);
REVOKE ALL ON TABLE usher.issuer_key_sources FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.issuer_key_sources', '');
COMMENT ON TABLE usher.issuer_key_sources IS
    'Where the keys of outside issuers are fetched from, for those that are not given by hand.';
COMMENT ON COLUMN usher.issuer_key_sources.url IS 'Of the discovery document (is_discovery), or of the keys.';
COMMENT ON COLUMN usher.issuer_key_sources.keys_url IS 'Of the keys, as the discovery document last said.';
-- Password hashes, and passwords that nobody may choose.

CREATE TABLE usher.password_blocklist (
    password text PRIMARY KEY CHECK (password = lower(password) AND length(password) BETWEEN 1 AND 1024),
    created_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON TABLE usher.password_blocklist FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.password_blocklist', '');
COMMENT ON TABLE usher.password_blocklist IS
    'Passwords that new passwords may not be equal to, in lower case, beside the built-in list of the commonest. '
    'Names of your product and town belong here, and lists of leaked passwords.';
-- Sessions and one-time tokens. Only hashes of tokens are stored, in rows that nobody but the owner of the extension
-- reads.

CREATE TABLE usher.sessions (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked', 'expired')),
    revoked_reason varchar(100),
    revoked_at timestamptz,
    generation integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    generation_step integer NOT NULL DEFAULT 1 CHECK (generation_step IN (1, 2)),
    refresh_token_hash bytea NOT NULL CHECK (octet_length(refresh_token_hash) = 32),
    parent_token_hash bytea CHECK (octet_length(parent_token_hash) = 32),
    rotation_key bytea NOT NULL CHECK (octet_length(rotation_key) = 32),
    refreshed_at timestamptz,
    device jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(device) = 'object' AND octet_length(device::text) <= 16384),
    fingerprint varchar(255),
    client_ip inet,
    user_agent text,
    security_context jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(security_context) = 'object'),
    assurance_level smallint NOT NULL DEFAULT 1 CHECK (assurance_level BETWEEN 1 AND 3),
    authentication_methods text[] NOT NULL DEFAULT '{pwd}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_activity_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    CHECK (expires_at <= absolute_expires_at),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((status = 'revoked') = (revoked_reason IS NOT NULL))
) WITH (fillfactor = 70); -- each refresh updates the row in place; no index may name a column that a refresh changes
CREATE INDEX sessions_user_id_idx ON usher.sessions (user_id, created_at DESC);
CREATE INDEX sessions_absolute_expires_at_idx ON usher.sessions (absolute_expires_at);
COMMENT ON TABLE usher.sessions IS
    'One row per login, whatever the number of refreshes. A session in force has status active and expires_at in the '
    'future.';
COMMENT ON COLUMN usher.sessions.generation IS 'Number of the refresh token that is good now.';
COMMENT ON COLUMN usher.sessions.generation_step IS
    '2 after a change of privileges: the next refresh skips a generation, so that no token of before is the parent of '
    'the new one.';
COMMENT ON COLUMN usher.sessions.rotation_key IS
    'Key of the HMAC chain by which a refresh token gives its successor (docs/identity.md). Useless without a token.';
COMMENT ON COLUMN usher.sessions.security_context IS
    'What the application knows about the risk of this login: the object "security_context" of the device given to '
    'login().';
COMMENT ON COLUMN usher.sessions.expires_at IS
    'End of the session: the idle limit, counted from the last refresh, or absolute_expires_at if that is earlier.';
COMMENT ON COLUMN usher.sessions.assurance_level IS
    'Authenticator assurance level (NIST SP 800-63B) reached by authentication_methods (RFC 8176).';
SELECT pg_catalog.pg_extension_config_dump('usher.sessions', '');

-- The cache of live sessions (extension/usher/request/current_identity.cpp) watches this table. New sessions and
-- refreshes do not disturb it.
CREATE TABLE usher.sessions_inval ();
COMMENT ON TABLE usher.sessions_inval IS
    'Always empty: carries the invalidation of cached sessions to all backends and standbys.';

-- Asked by extension/usher/identity/api_keys.cpp at every use of such a token.
CREATE TABLE usher.revoked_tokens (
    jti uuid NOT NULL PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_tokens_expires_at_idx ON usher.revoked_tokens (expires_at);
COMMENT ON TABLE usher.revoked_tokens IS
    'Access tokens without a session that were revoked before their end: those of client_credentials and of '
    'issue_token(). Upkeep removes them when they have expired.';
REVOKE ALL ON usher.revoked_tokens FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.revoked_tokens', '');

CREATE TABLE usher.one_time_tokens (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(50) NOT NULL CHECK (purpose::text IN ('email_verification', 'password_reset', 'email_change')),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    email varchar(254) NOT NULL,
    event_id uuid,
    registration jsonb CHECK (jsonb_typeof(registration) = 'object'),
    client_ip inet,
    user_agent text,
    security_context jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(security_context) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    ended_at timestamptz,
    CHECK (used_at IS NULL OR ended_at IS NULL)
);
CREATE UNIQUE INDEX one_time_tokens_open_key ON usher.one_time_tokens (user_id, purpose)
    WHERE used_at IS NULL AND ended_at IS NULL;
CREATE INDEX one_time_tokens_user_id_idx ON usher.one_time_tokens (user_id);
CREATE INDEX one_time_tokens_expires_at_idx ON usher.one_time_tokens (expires_at);
COMMENT ON TABLE usher.one_time_tokens IS
    'Links sent by mail, by hash. At most one per user and purpose is open: asking for a new one ends the old one.';
COMMENT ON COLUMN usher.one_time_tokens.email IS
    'The address that the token was sent to; it proves this address and no other.';
COMMENT ON COLUMN usher.one_time_tokens.security_context IS
    'The correlation id of the request that asked for the token.';
COMMENT ON COLUMN usher.one_time_tokens.event_id IS
    'The event that carries the token to the mailer; the token is cut out of it when it is used or ended.';
COMMENT ON COLUMN usher.one_time_tokens.registration IS
    'What was entered by somebody who registered with the address of an account that had not proved it, with the hash '
    'of their password; gone with the token''s use or end.';
COMMENT ON COLUMN usher.one_time_tokens.ended_at IS
    'When it was replaced by a newer one, or ended because the account may have been in other hands.';
SELECT pg_catalog.pg_extension_config_dump('usher.one_time_tokens', '');
-- Second factors, codes sent by mail, and API keys. Secrets that must be read again are sealed (docs/identity.md); of
-- all others there is a hash. Nobody but the owner of the extension reads these tables.

CREATE TABLE usher.second_factors (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    kind text NOT NULL DEFAULT 'totp' CHECK (kind = 'totp'),
    label varchar(100) NOT NULL DEFAULT '',
    secret text NOT NULL CHECK (octet_length(secret) BETWEEN 20 AND 1024),
    last_used_step bigint NOT NULL DEFAULT -1,
    confirmed_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX second_factors_user_id_idx ON usher.second_factors (user_id, created_at);
COMMENT ON TABLE usher.second_factors IS
    'TOTP authenticators (RFC 6238) of users. An authenticator counts once a first code of it was confirmed.';
COMMENT ON COLUMN usher.second_factors.secret IS
    'Sealed under the master key, when there is one (usher.master_key_file).';
COMMENT ON COLUMN usher.second_factors.last_used_step IS
    'Time step of the last code that was accepted: neither it nor an earlier one is accepted again.';
SELECT pg_catalog.pg_extension_config_dump('usher.second_factors', '');

CREATE TABLE usher.recovery_codes (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at timestamptz,
    UNIQUE (user_id, code_hash)
);
COMMENT ON TABLE usher.recovery_codes IS
    'Codes that stand in for a lost second factor, by hash, each good for one use.';
SELECT pg_catalog.pg_extension_config_dump('usher.recovery_codes', '');

CREATE TABLE usher.login_challenges (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    authentication_methods text[] NOT NULL,
    device jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(device) = 'object' AND octet_length(device::text) <= 16384),
    password_changed_at timestamptz,
    client_ip inet,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX login_challenges_user_id_idx ON usher.login_challenges (user_id);
CREATE INDEX login_challenges_expires_at_idx ON usher.login_challenges (expires_at);
COMMENT ON TABLE usher.login_challenges IS 'Logins whose first factor was right and whose second is still to come.';
COMMENT ON COLUMN usher.login_challenges.password_changed_at IS
    'Of the password that was right: after a change of the password the challenge is worth nothing.';
SELECT pg_catalog.pg_extension_config_dump('usher.login_challenges', '');

CREATE TABLE usher.one_time_codes (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(50) NOT NULL CHECK (purpose::text IN ('login', 'email_verification')),
    code_hmac bytea NOT NULL CHECK (octet_length(code_hmac) = 32),
    email varchar(254) NOT NULL,
    event_id uuid,
    wrong_tries integer NOT NULL DEFAULT 0 CHECK (wrong_tries >= 0),
    client_ip inet,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    ended_at timestamptz,
    CHECK (used_at IS NULL OR ended_at IS NULL)
);
CREATE UNIQUE INDEX one_time_codes_open_key ON usher.one_time_codes (user_id, purpose)
    WHERE used_at IS NULL AND ended_at IS NULL;
CREATE INDEX one_time_codes_user_id_idx ON usher.one_time_codes (user_id, purpose, created_at);
CREATE INDEX one_time_codes_expires_at_idx ON usher.one_time_codes (expires_at);
COMMENT ON TABLE usher.one_time_codes IS
    'Six-digit codes sent by mail, as HMAC under a key of the server. At most one per user and purpose is open: '
    'asking for a new one ends the old one.';
COMMENT ON COLUMN usher.one_time_codes.email IS
    'The address that the code was sent to; it proves this address and no other.';
COMMENT ON COLUMN usher.one_time_codes.event_id IS
    'The event that carries the code to the mailer; the code is cut out of it when it is used or ended.';
SELECT pg_catalog.pg_extension_config_dump('usher.one_time_codes', '');

CREATE TABLE usher.server_secrets (
    name text NOT NULL PRIMARY KEY CHECK (name IN ('one_time_codes')),
    secret text NOT NULL CHECK (octet_length(secret) BETWEEN 20 AND 1024),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE usher.server_secrets IS
    'Keys that usher makes for itself when it first needs them. one_time_codes: key of the HMAC of six-digit codes. '
    'Sealed under the master key, when there is one.';
SELECT pg_catalog.pg_extension_config_dump('usher.server_secrets', '');

CREATE TABLE usher.api_keys (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    name varchar(100) NOT NULL CHECK (name <> ''),
    prefix text NOT NULL UNIQUE CHECK (prefix ~ '^[0-9a-f]{12}$'),
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    permissions text[] NOT NULL CHECK (cardinality(permissions) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_reason varchar(100),
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX api_keys_user_id_idx ON usher.api_keys (user_id, created_at DESC);
COMMENT ON TABLE usher.api_keys IS
    'API keys: machines that act for a user, with at most the permissions listed here and never more than the user '
    'has.';
COMMENT ON COLUMN usher.api_keys.prefix IS 'The public part of the key, by which it is found and named.';
SELECT pg_catalog.pg_extension_config_dump('usher.api_keys', '');

-- A table of its own: whoever uses a key in a long transaction must not keep anybody from revoking it.
CREATE TABLE usher.api_key_uses (
    api_key_id uuid NOT NULL PRIMARY KEY REFERENCES usher.api_keys (id) ON DELETE CASCADE,
    last_used_at timestamptz
) WITH (fillfactor = 70); -- updated in place
COMMENT ON TABLE usher.api_key_uses IS
    'When each API key was last used, to the minute; uses on a standby or in read-only transactions are not recorded.';
SELECT pg_catalog.pg_extension_config_dump('usher.api_key_uses', '');

CREATE TYPE usher.user_details AS (
    user_id uuid, email text, email_verified boolean, username text, first_name text, last_name text, name text,
    phone text, status text, is_active boolean, tier text, role text, roles text[], profile jsonb, preferences jsonb,
    metadata jsonb, external_id text, locked_until timestamptz, last_login_at timestamptz, created_at timestamptz,
    updated_at timestamptz, version integer);
COMMENT ON TYPE usher.user_details IS 'A user as get_user() and find_user() show it. Never with a password hash.';

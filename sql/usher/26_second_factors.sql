-- Second factors, codes sent by mail, and API keys. Secrets that must be read again are sealed (docs/identity.md); of all
-- others there is a hash. Nobody but the owner of the extension reads these tables.

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
    'TOTP authenticators (RFC 6238) of users. One counts from when a first code of it was confirmed.';
COMMENT ON COLUMN usher.second_factors.secret IS 'Sealed under the master key, when there is one (usher.master_key_file).';
COMMENT ON COLUMN usher.second_factors.last_used_step IS 'Time step of the last code that was accepted: neither it nor an earlier one is accepted again.';
SELECT pg_catalog.pg_extension_config_dump('usher.second_factors', '');

CREATE TABLE usher.recovery_codes (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at timestamptz,
    UNIQUE (user_id, code_hash)
);
COMMENT ON TABLE usher.recovery_codes IS 'Codes that stand in for a lost second factor, by hash, each good for one use.';
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
COMMENT ON COLUMN usher.login_challenges.password_changed_at IS 'Of the password that was right: after a change of the password the challenge is worth nothing.';
SELECT pg_catalog.pg_extension_config_dump('usher.login_challenges', '');

CREATE TABLE usher.one_time_codes (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(50) NOT NULL CHECK (purpose IN ('login', 'email_verification')),
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
CREATE UNIQUE INDEX one_time_codes_open_key ON usher.one_time_codes (user_id, purpose) WHERE used_at IS NULL AND ended_at IS NULL;
CREATE INDEX one_time_codes_user_id_idx ON usher.one_time_codes (user_id, purpose, created_at);
CREATE INDEX one_time_codes_expires_at_idx ON usher.one_time_codes (expires_at);
COMMENT ON TABLE usher.one_time_codes IS
    'Six-digit codes sent by mail, as HMAC under a key of the server. At most one per user and purpose is open: asking for a new one ends the old one.';
COMMENT ON COLUMN usher.one_time_codes.email IS 'The address that the code was sent to; it proves this address and no other.';
COMMENT ON COLUMN usher.one_time_codes.event_id IS 'The event that carries the code to the mailer; the code is cut out of it when it is used or ended.';
SELECT pg_catalog.pg_extension_config_dump('usher.one_time_codes', '');

CREATE TABLE usher.server_secrets (
    name text NOT NULL PRIMARY KEY CHECK (name IN ('one_time_codes')),
    secret text NOT NULL CHECK (octet_length(secret) BETWEEN 20 AND 1024),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE usher.server_secrets IS
    'Keys that usher makes for itself when it first needs them. one_time_codes: key of the HMAC of six-digit codes. Sealed under the master key, when there is one.';
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
    'API keys: machines that act for a user, with at most the permissions listed here and never more than the user has.';
COMMENT ON COLUMN usher.api_keys.prefix IS 'The public part of the key, by which it is found and named.';
SELECT pg_catalog.pg_extension_config_dump('usher.api_keys', '');
-- The same news as for sessions: who acted by the key a moment ago is looked at again.
CREATE TRIGGER api_keys_invalidate AFTER UPDATE OF id, user_id, permissions, expires_at, revoked_at OR DELETE OR TRUNCATE ON usher.api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.api_keys ENABLE ALWAYS TRIGGER api_keys_invalidate;

-- A table of its own: whoever uses a key in a long transaction must not keep anybody from revoking it.
CREATE TABLE usher.api_key_uses (
    api_key_id uuid NOT NULL PRIMARY KEY REFERENCES usher.api_keys (id) ON DELETE CASCADE,
    last_used_at timestamptz
) WITH (fillfactor = 70); -- updated in place
COMMENT ON TABLE usher.api_key_uses IS 'When each API key was last used, to the minute; uses on a standby or in read-only transactions are not noted.';
SELECT pg_catalog.pg_extension_config_dump('usher.api_key_uses', '');

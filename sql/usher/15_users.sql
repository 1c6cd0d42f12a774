-- Accounts. What others may read of a user is in usher.users; what must never be read (password hashes) or is counted per
-- login (lockout) is in usher.credentials, so that no view, audit row or export of users can carry it.

CREATE TABLE usher.users (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    email varchar(254) NOT NULL CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    email_verified_at timestamptz,
    username varchar(50) CHECK (username <> '' AND username !~ '[@[:space:][:cntrl:]]'), -- no @: login tells it from an e-mail address by that
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
    profile jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(profile) = 'object' AND octet_length(profile::text) <= 65536),
    preferences jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object' AND octet_length(preferences::text) <= 65536),
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object' AND octet_length(metadata::text) <= 65536),
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
CREATE UNIQUE INDEX users_email_key ON usher.users (lower(email::text));
CREATE UNIQUE INDEX users_username_key ON usher.users (lower(username::text));
CREATE UNIQUE INDEX users_external_id_key ON usher.users (external_id);
CREATE INDEX users_status_idx ON usher.users (status);
CREATE INDEX users_tier_idx ON usher.users (tier);
CREATE INDEX users_created_at_idx ON usher.users (created_at DESC, id DESC);
COMMENT ON TABLE usher.users IS
    'One row per account. Rows are never removed by usher''s functions: delete_user() marks them, erase_user() makes them anonymous.';
COMMENT ON COLUMN usher.users.status IS
    'pending: e-mail address not verified yet; active; deactivated: by an administrator; deleted: can be restored; erased: anonymous for good.';
COMMENT ON COLUMN usher.users.is_active IS 'May be referred to by new bookings and the like: pending or active.';
COMMENT ON COLUMN usher.users.external_id IS 'Key of the user in the system that the row was imported from.';
COMMENT ON COLUMN usher.users.profile IS 'What the user says about himself; the user may change it.';
COMMENT ON COLUMN usher.users.metadata IS 'What the application notes about the user; set at registration, later by administrators only.';
SELECT pg_catalog.pg_extension_config_dump('usher.users', '');

CREATE TABLE usher.credentials (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES usher.users (id) ON DELETE CASCADE,
    password_hash text CHECK (octet_length(password_hash) BETWEEN 20 AND 1024),
    password_changed_at timestamptz,
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    spent_slots bigint NOT NULL DEFAULT 0,
    last_failed_login_at timestamptz,
    locked_until timestamptz,
    lockout_count integer NOT NULL DEFAULT 0 CHECK (lockout_count >= 0),
    last_lockout_at timestamptz,
    reset_required boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70); -- updated in place by failed logins
CREATE INDEX credentials_locked_until_idx ON usher.credentials (locked_until) WHERE locked_until IS NOT NULL;
COMMENT ON TABLE usher.credentials IS
    'Password hash and lockout state of an account. Nobody but the owner of the extension reads it.';
COMMENT ON COLUMN usher.credentials.password_hash IS 'NULL: the account has no password (external identities only).';
COMMENT ON COLUMN usher.credentials.spent_slots IS
    'Bit n: the nth of the guesses that are allowed in parallel was evaluated and wrong since the last success (see docs/identity.md).';
COMMENT ON COLUMN usher.credentials.reset_required IS 'Too many failures: only a password reset or unlock_user() opens the account.';
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
    last_name_hash bytea,
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    last_failed_login_at timestamptz,
    locked_until timestamptz,
    lockout_count integer NOT NULL DEFAULT 0 CHECK (lockout_count >= 0),
    last_lockout_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE usher.network_failures IS 'Consecutive failed logins per network (an IPv4 address or an IPv6 /64), whatever the account.';
COMMENT ON COLUMN usher.network_failures.last_name_hash IS
    'SHA-256 of the name that failed last. Failures with the same name again count for its account only: one forgetful user does not lock his colleagues out.';
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
CREATE INDEX login_attempts_email_idx ON usher.login_attempts (lower(email::text), attempted_at DESC);
CREATE INDEX login_attempts_client_ip_idx ON usher.login_attempts (client_ip, attempted_at DESC);
CREATE INDEX login_attempts_attempted_at_idx ON usher.login_attempts (attempted_at);
COMMENT ON TABLE usher.login_attempts IS 'Every login attempt, good or bad.';
COMMENT ON COLUMN usher.login_attempts.email IS
    'The name that was given: e-mail address or username. "?" when it is neither of an account nor shaped like an e-mail address: people type passwords there.';
COMMENT ON COLUMN usher.login_attempts.failure_reason IS
    'unknown_user, wrong_password, no_password, account_locked, network_locked, reset_required, account_inactive, email_not_verified, busy; second_factor_required (the password was right), wrong_code, code_reused.';
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
COMMENT ON COLUMN usher.identities.access_token IS 'The provider''s token for this account, sealed under the master key when there is one; set_provider_tokens() writes it.';
SELECT pg_catalog.pg_extension_config_dump('usher.identities', '');

CREATE TABLE usher.consents (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(100) NOT NULL CHECK (purpose <> ''),
    document_version varchar(50),
    evidence jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(evidence) = 'object' AND octet_length(evidence::text) <= 65536),
    client_ip inet,
    user_agent text,
    given_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    CHECK (withdrawn_at >= given_at)
);
CREATE UNIQUE INDEX consents_open_key ON usher.consents (user_id, purpose) WHERE withdrawn_at IS NULL;
CREATE INDEX consents_user_id_idx ON usher.consents (user_id, given_at);
COMMENT ON TABLE usher.consents IS 'What a user agreed to, which version, when, and when it was withdrawn. Rows are kept.';
SELECT pg_catalog.pg_extension_config_dump('usher.consents', '');

CREATE TYPE usher.user_reference AS (id uuid, email text, role text, name text);
COMMENT ON TYPE usher.user_reference IS 'What other features show of a user instead of joining usher.users.';

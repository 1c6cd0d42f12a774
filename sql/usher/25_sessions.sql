-- Sessions and one-time tokens. Only hashes of tokens are stored, in rows that nobody but the owner of the extension reads.

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
    'One row per login, whatever the number of refreshes. A session in force has status active and expires_at in the future.';
COMMENT ON COLUMN usher.sessions.generation IS 'Number of the refresh token that is good now.';
COMMENT ON COLUMN usher.sessions.generation_step IS
    '2 after a change of privileges: the next refresh skips a generation, so that no token of before is the parent of the new one.';
COMMENT ON COLUMN usher.sessions.rotation_key IS
    'Key of the HMAC chain by which a refresh token gives its successor (docs/identity.md). Useless without a token.';
COMMENT ON COLUMN usher.sessions.security_context IS 'What the application knows about the risk of this login: the object "security_context" of the device given to login().';
COMMENT ON COLUMN usher.sessions.expires_at IS
    'End of the session: the idle limit, counted from the last refresh, or absolute_expires_at if that is earlier.';
COMMENT ON COLUMN usher.sessions.assurance_level IS 'Authenticator assurance level (NIST SP 800-63B) reached by authentication_methods (RFC 8176).';
SELECT pg_catalog.pg_extension_config_dump('usher.sessions', '');

-- The cache of live sessions (extension/request/identity.cpp) watches this table. New sessions and refreshes do not disturb it.
CREATE TABLE usher.sessions_inval ();
COMMENT ON TABLE usher.sessions_inval IS 'Always empty: carries the invalidation of cached sessions to all backends and standbys.';
CREATE TRIGGER sessions_invalidate AFTER UPDATE OF id, user_id, status, assurance_level OR DELETE OR TRUNCATE ON usher.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.sessions ENABLE ALWAYS TRIGGER sessions_invalidate;
CREATE TRIGGER users_invalidate_sessions AFTER UPDATE OF id, status OR DELETE OR TRUNCATE ON usher.users
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.users ENABLE ALWAYS TRIGGER users_invalidate_sessions;
-- Tokens from outside stand for whoever their subject is linked to.
CREATE TRIGGER identities_invalidate_sessions AFTER UPDATE OF user_id, provider, provider_user_id OR DELETE OR TRUNCATE ON usher.identities
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.identities ENABLE ALWAYS TRIGGER identities_invalidate_sessions;

CREATE TABLE usher.one_time_tokens (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    purpose varchar(50) NOT NULL CHECK (purpose IN ('email_verification', 'password_reset', 'email_change')),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    email varchar(254) NOT NULL,
    event_id uuid,
    client_ip inet,
    user_agent text,
    security_context jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(security_context) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    ended_at timestamptz,
    CHECK (used_at IS NULL OR ended_at IS NULL)
);
CREATE UNIQUE INDEX one_time_tokens_open_key ON usher.one_time_tokens (user_id, purpose) WHERE used_at IS NULL AND ended_at IS NULL;
CREATE INDEX one_time_tokens_expires_at_idx ON usher.one_time_tokens (expires_at);
COMMENT ON TABLE usher.one_time_tokens IS
    'Links sent by mail, by hash. At most one per user and purpose is open: asking for a new one ends the old one.';
COMMENT ON COLUMN usher.one_time_tokens.email IS 'The address that the token was sent to; it proves this address and no other.';
COMMENT ON COLUMN usher.one_time_tokens.security_context IS 'The correlation id of the request that asked for the token.';
COMMENT ON COLUMN usher.one_time_tokens.event_id IS 'The event that carries the token to the mailer; the token is cut out of it when it is used or ended.';
COMMENT ON COLUMN usher.one_time_tokens.ended_at IS 'When it was replaced by a newer one or ended by a change of the password.';
SELECT pg_catalog.pg_extension_config_dump('usher.one_time_tokens', '');

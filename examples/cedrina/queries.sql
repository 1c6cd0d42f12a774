-- What Cedrina's document (R1) prints, in its order, run unchanged against the names of names.sql; what is no SQL is
-- answered by what does the same here. `psql -Xq -d cedrina < queries.sql` prints queries.out. Leaves nothing behind.
\pset pager off
\pset format unaligned
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET search_path = cedrina, public;

-- ---- R1, "Database Schema": the tables as the document makes them, in a schema of their own, to compare with -------

BEGIN;
CREATE SCHEMA document;
SET LOCAL search_path = document;

-- R1, "Core Tables", "Users Table"
CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    username VARCHAR(50) UNIQUE NOT NULL,
    email VARCHAR(254) UNIQUE NOT NULL,
    hashed_password VARCHAR(255) NOT NULL,
    is_active BOOLEAN DEFAULT TRUE,
    is_verified BOOLEAN DEFAULT FALSE,
    role VARCHAR(20) DEFAULT 'USER',
    tier VARCHAR(20) DEFAULT 'FREE',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    last_login_at TIMESTAMP WITH TIME ZONE,
    failed_login_attempts INTEGER DEFAULT 0,
    locked_until TIMESTAMP WITH TIME ZONE,
    password_changed_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    email_verified_at TIMESTAMP WITH TIME ZONE,
    profile_data JSONB,
    preferences JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}'
);
CREATE INDEX idx_users_username ON users(username);
CREATE INDEX idx_users_email ON users(email);
CREATE INDEX idx_users_role ON users(role);
CREATE INDEX idx_users_tier ON users(tier);
CREATE INDEX idx_users_is_active ON users(is_active);
CREATE INDEX idx_users_created_at ON users(created_at);

-- R1, "Core Tables", "OAuth Profiles Table"
CREATE TABLE oauth_profiles (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    provider VARCHAR(50) NOT NULL,
    provider_user_id VARCHAR(255) NOT NULL,
    access_token TEXT,
    refresh_token TEXT,
    token_expires_at TIMESTAMP WITH TIME ZONE,
    user_info JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(provider, provider_user_id),
    UNIQUE(user_id, provider)
);
CREATE INDEX idx_oauth_profiles_user_id ON oauth_profiles(user_id);
CREATE INDEX idx_oauth_profiles_provider ON oauth_profiles(provider);
CREATE INDEX idx_oauth_profiles_provider_user_id ON oauth_profiles(provider_user_id);

-- R1, "Core Tables", "Sessions Table"
CREATE TABLE sessions (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    session_token VARCHAR(255) UNIQUE NOT NULL,
    refresh_token VARCHAR(255) UNIQUE NOT NULL,
    is_active BOOLEAN DEFAULT TRUE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_activity_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    client_ip INET,
    user_agent TEXT,
    device_info JSONB,
    security_context JSONB DEFAULT '{}'
);
CREATE INDEX idx_sessions_user_id ON sessions(user_id);
CREATE INDEX idx_sessions_session_token ON sessions(session_token);
CREATE INDEX idx_sessions_refresh_token ON sessions(refresh_token);
CREATE INDEX idx_sessions_is_active ON sessions(is_active);
CREATE INDEX idx_sessions_expires_at ON sessions(expires_at);

-- R1, "Core Tables", "Password Reset Tokens Table"
CREATE TABLE password_reset_tokens (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_hash VARCHAR(255) UNIQUE NOT NULL,
    is_used BOOLEAN DEFAULT FALSE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    client_ip INET,
    user_agent TEXT,
    security_context JSONB DEFAULT '{}'
);
CREATE INDEX idx_password_reset_tokens_user_id ON password_reset_tokens(user_id);
CREATE INDEX idx_password_reset_tokens_token_hash ON password_reset_tokens(token_hash);
CREATE INDEX idx_password_reset_tokens_is_used ON password_reset_tokens(is_used);
CREATE INDEX idx_password_reset_tokens_expires_at ON password_reset_tokens(expires_at);

-- R1, "Security Tables", "Casbin Rules Table"
CREATE TABLE casbin_rules (
    id SERIAL PRIMARY KEY,
    ptype VARCHAR(10) NOT NULL,
    v0 VARCHAR(256),
    v1 VARCHAR(256),
    v2 VARCHAR(256),
    v3 VARCHAR(256),
    v4 VARCHAR(256),
    v5 VARCHAR(256),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    created_by VARCHAR(100),
    updated_by VARCHAR(100),
    is_active BOOLEAN DEFAULT TRUE
);
CREATE INDEX idx_casbin_rules_ptype ON casbin_rules(ptype);
CREATE INDEX idx_casbin_rules_v0 ON casbin_rules(v0);
CREATE INDEX idx_casbin_rules_v1 ON casbin_rules(v1);
CREATE INDEX idx_casbin_rules_is_active ON casbin_rules(is_active);

-- R1, "Security Tables", "Audit Logs Table"
CREATE TABLE audit_logs (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id) ON DELETE SET NULL,
    event_type VARCHAR(100) NOT NULL,
    event_data JSONB NOT NULL,
    client_ip INET,
    user_agent TEXT,
    correlation_id VARCHAR(100),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    severity VARCHAR(20) DEFAULT 'INFO',
    source VARCHAR(100),
    metadata JSONB DEFAULT '{}'
);
CREATE INDEX idx_audit_logs_user_id ON audit_logs(user_id);
CREATE INDEX idx_audit_logs_event_type ON audit_logs(event_type);
CREATE INDEX idx_audit_logs_created_at ON audit_logs(created_at);
CREATE INDEX idx_audit_logs_correlation_id ON audit_logs(correlation_id);
CREATE INDEX idx_audit_logs_severity ON audit_logs(severity);

-- R1, "Rate Limiting Tables", "Rate Limit Records Table"
CREATE TABLE rate_limit_records (
    id SERIAL PRIMARY KEY,
    key_hash VARCHAR(255) NOT NULL,
    algorithm VARCHAR(50) NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    request_count INTEGER DEFAULT 1,
    limit_value INTEGER NOT NULL,
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(key_hash, algorithm, window_start)
);
CREATE INDEX idx_rate_limit_records_key_hash ON rate_limit_records(key_hash);
CREATE INDEX idx_rate_limit_records_algorithm ON rate_limit_records(algorithm);
CREATE INDEX idx_rate_limit_records_window_start ON rate_limit_records(window_start);
CREATE INDEX idx_rate_limit_records_window_end ON rate_limit_records(window_end);

SET LOCAL search_path = cedrina, public;

\echo '-- R1, "Database Schema": each column has its name here; those whose type differs, and why'
SELECT d.table_name, count(*) AS columns, count(h.column_name) AS here,
       count(*) FILTER (WHERE h.type = d.type) AS of_the_same_type
FROM (SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = 'document'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped) AS d
LEFT JOIN (SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = 'cedrina'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped) AS h
USING (table_name, column_name)
GROUP BY d.table_name ORDER BY d.table_name;
SELECT format_type(d.atttypid, d.atttypmod) AS document, format_type(h.atttypid, h.atttypmod) AS here,
       string_agg(dc.relname || '.' || d.attname, ', ' ORDER BY dc.relname, d.attnum) AS columns,
       CASE WHEN d.atttypid = 'integer'::regtype
           THEN 'keys are uuids, which no sequence has to be restored for' ELSE 'surprise' END AS why
FROM pg_attribute d JOIN pg_class dc ON dc.oid = d.attrelid AND dc.relnamespace = 'document'::regnamespace
    AND dc.relkind = 'r'
JOIN pg_class hc ON hc.relname = dc.relname AND hc.relnamespace = 'cedrina'::regnamespace
JOIN pg_attribute h ON h.attrelid = hc.oid AND h.attname = d.attname
WHERE d.attnum > 0 AND format_type(d.atttypid, d.atttypmod) <> format_type(h.atttypid, h.atttypmod)
GROUP BY 1, 2, d.atttypid ORDER BY 1;

\echo '-- R1, "Indexes": what serves the look-up of each'
SELECT i.indexname AS document,
    coalesce(a.here, CASE WHEN a.why IS NULL THEN 'SURPRISE: no answer' ELSE 'none' END) AS here,
       CASE WHEN a.here NOT IN (SELECT u.indexname FROM pg_indexes u WHERE u.schemaname = 'usher')
           THEN 'SURPRISE: no such index'
            ELSE a.why END AS remark
FROM pg_indexes i
FULL JOIN (VALUES
    ('idx_users_username', 'users_username_key', 'by usher.name_key(), so that Ivy and ivy are one'),
    ('idx_users_email', 'users_email_key', 'by usher.name_key()'),
    ('idx_users_role', 'user_roles_role_id_idx', 'a user has many roles'),
    ('idx_users_tier', 'users_tier_idx', NULL),
    ('idx_users_is_active', 'users_status_idx', 'is_active follows from the status'),
    ('idx_users_created_at', 'users_created_at_idx', NULL),
    ('idx_oauth_profiles_user_id', 'identities_user_id_provider_key', NULL),
    ('idx_oauth_profiles_provider', 'identities_provider_provider_user_id_key', NULL),
    ('idx_oauth_profiles_provider_user_id', 'identities_provider_provider_user_id_key',
        'an id says something at its provider only'),
    ('idx_sessions_user_id', 'sessions_user_id_idx', NULL),
    ('idx_sessions_session_token', 'sessions_pkey', 'the token is signed, and names the session'),
    ('idx_sessions_refresh_token', 'sessions_pkey', 'the token names the session, whose row has its hash'),
    ('idx_sessions_is_active', 'sessions_user_id_idx', 'asked for of one user; of all, most rows are active'),
    ('idx_sessions_expires_at', 'sessions_absolute_expires_at_idx', 'the end that a refresh does not move'),
    ('idx_password_reset_tokens_user_id', 'one_time_tokens_user_id_idx', NULL),
    ('idx_password_reset_tokens_token_hash', 'one_time_tokens_token_hash_key', NULL),
    ('idx_password_reset_tokens_is_used', 'one_time_tokens_open_key', 'the open ones: one of a user'),
    ('idx_password_reset_tokens_expires_at', 'one_time_tokens_expires_at_idx', NULL),
    ('idx_casbin_rules_ptype', 'policy_rules_ptype_v0_idx', NULL),
    ('idx_casbin_rules_v0', 'policy_rules_ptype_v0_idx', 'values are asked for with their ptype'),
    ('idx_casbin_rules_v1', 'policy_rules_v1_idx', NULL),
    ('idx_casbin_rules_is_active', 'policy_rules_is_active_idx',
        'those that do not count; the others are in the two above'),
    ('idx_audit_logs_user_id', 'audit_logs_default_actor_id_idx', 'one for each month'),
    ('idx_audit_logs_event_type', 'audit_logs_default_event_type_idx', NULL),
    ('idx_audit_logs_created_at', 'audit_logs_default_pkey', 'an id begins with its time; months are partitions'),
    ('idx_audit_logs_correlation_id', 'audit_logs_default_correlation_id_idx', NULL),
    ('idx_audit_logs_severity', 'audit_logs_default_severity_idx', 'but for info, which is most of it'),
    ('idx_rate_limit_records_key_hash', 'rate_limit_records_pkey', NULL),
    ('idx_rate_limit_records_algorithm', NULL, 'follows from the policy, of which there are few'),
    ('idx_rate_limit_records_window_start', NULL, 'would make every hit write an index; upkeep reads the table'),
    ('idx_rate_limit_records_window_end', NULL, 'the same')) AS a (document, here, why) ON a.document = i.indexname
WHERE i.indexname IS NULL OR (i.schemaname = 'document' AND i.indexname LIKE 'idx\_%')
ORDER BY 1;

\echo '-- R1, "Indexing Strategy": every foreign key of accounts has an index that begins with it'
SELECT c.conrelid::regclass AS of_table, c.conname FROM pg_constraint c
WHERE c.contype = 'f' AND c.connamespace = 'usher'::regnamespace
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]);

-- ---- R1, "Entity Relationships": a user has many of each; what goes with the account -------------------------------

\echo '-- R1, "User Relationships"'
SELECT f.table_name, c.conname IS NOT NULL AS references_users,
       CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n'
           THEN 'set null' ELSE 'the id stays, without a name' END AS on_delete
FROM (VALUES ('identities'), ('sessions'), ('one_time_tokens'), ('audit_logs')) AS f (table_name)
LEFT JOIN pg_constraint c ON c.contype = 'f' AND c.conrelid = ('usher.' || f.table_name)::regclass
    AND c.confrelid = 'usher.users'::regclass AND c.conname LIKE '%user_id_fkey'
ORDER BY 1;

-- R1, "Security Relationships": rules are audited_by audit_logs
INSERT INTO casbin_rules (ptype, v0, v1, v2) VALUES ('p', 'auditor', '/logs', 'GET');
UPDATE casbin_rules SET is_active = false WHERE v0 = 'auditor';
SELECT event_type, event_data - 'old' ->> 'rule' AS rule, event_data -> 'old' ->> 'is_active' AS was_active
FROM audit_logs WHERE created_at >= now()
    AND (event_data ->> 'rule' LIKE '%auditor%' OR event_data #>> '{new,v0}' = 'auditor'
    OR event_data -> 'old' ? 'is_active') ORDER BY id;

-- ---- R1, "Domain Models": what a new one is like, when nothing else is said ----------------------------------------

\echo '-- R1, "User Entity"'
INSERT INTO users (username, email, hashed_password)
VALUES ('sam', 'sam@cedrina.example', usher.hash_password('a password of Sam''s own')) RETURNING id AS sam \gset
SELECT username, hashed_password, is_active, is_verified, role, tier, last_login_at, failed_login_attempts,
    locked_until,
       password_changed_at = created_at AS password_changed, email_verified_at, profile_data, preferences, metadata
FROM users WHERE id = :'sam';

\echo '-- R1, "Session Entity"'
-- nobody says that an address is proved but the link that was mailed; here it was imported as proved
SAVEPOINT before;
UPDATE users SET is_verified = true WHERE id = :'sam';
ROLLBACK TO before;
DELETE FROM users WHERE id = :'sam';
SELECT usher.erase_user(:'sam') \gset
INSERT INTO users (username, email, hashed_password, is_verified)
VALUES ('sam', 'sam@cedrina.example', usher.hash_password('a password of Sam''s own'), true) RETURNING id AS sam \gset
SELECT usher.set_request_context('192.0.2.1', 'cedrina/1.0', 'queries') \gset
SELECT error, session_id AS session FROM usher.login('SAM', 'a password of Sam''s own',
    '{"name": "laptop", "security_context": {"risk": "low"}}') \gset
SELECT session_token, refresh_token, is_active, created_at = last_activity_at AS never_refreshed,
    expires_at > now() AS goes_on,
       client_ip, user_agent, device_info, security_context FROM sessions WHERE id = :'session';

-- ---- R1, "Database Migrations" -------------------------------------------------------------------------------------

-- alembic upgrade head
ALTER EXTENSION usher UPDATE;
\echo '-- R1, "Migration Commands": alembic current; history is in CHANGELOG.md'
SELECT name, version ~ '^[0-9]+[.][0-9]' AS has_a_version FROM usher.list_extensions() WHERE version IS NOT NULL;
-- alembic revision --autogenerate finds what differs from the models; here what differs from the installed version
SELECT * FROM usher.schema_drift();
-- alembic downgrade -1: the dump of before the update, restored; see "Backup and Recovery" below

\echo '-- R1, "Example Migration": upgrade(), downgrade()'
ALTER TABLE document.users DROP COLUMN preferences; -- as it was before
ALTER TABLE document.users ADD COLUMN preferences jsonb;
CREATE INDEX idx_users_preferences ON document.users USING gin (preferences);
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM document.users WHERE preferences @> '{"theme": "dark"}';
SET LOCAL enable_seqscan = on;
DROP INDEX document.idx_users_preferences;
ALTER TABLE document.users DROP COLUMN preferences;
SELECT count(*) AS preferences_left FROM pg_attribute
WHERE attrelid = 'document.users'::regclass AND attname = 'preferences' AND NOT attisdropped;
-- usher.users has the column, and no such index: preferences are read with their user, never searched. Whoever does
-- search them adds it, and drift names it:
SAVEPOINT before;
CREATE INDEX idx_users_preferences ON usher.users USING gin (preferences);
SELECT * FROM usher.schema_drift();
ROLLBACK TO before;

-- ---- R1, "Query Optimization" --------------------------------------------------------------------------------------

\echo '-- R1, "Query Optimization"'
PREPARE find_user (text) AS
-- Optimized user lookup with role and tier
SELECT id, username, email, role, tier, is_active
FROM users
WHERE username = $1 AND is_active = true;
EXECUTE find_user('pat');
EXECUTE find_user('nobody');
-- the same by an index, in any letters, by name or address
SELECT u.user_id, u.username, u.email, upper(u.role) AS role, u.tier, u.status = 'active' AS is_active
    FROM usher.find_user('PAT') AS u;
SAVEPOINT before;
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM usher.users WHERE usher.name_key(username) = usher.name_key('PAT');
ROLLBACK TO before;

-- time passes: the session of Sam, and one that was ended before, which the statement of the document leaves for ever
SELECT session_id AS ended FROM usher.login('sam', 'a password of Sam''s own') \gset
UPDATE sessions SET is_active = false WHERE id = :'ended';
UPDATE usher.sessions SET created_at = created_at - interval '1 year', expires_at = expires_at - interval '1 year',
    absolute_expires_at = absolute_expires_at - interval '1 year',
        last_activity_at = last_activity_at - interval '1 year',
    revoked_at = revoked_at - interval '1 year' WHERE user_id = :'sam';
SELECT count(*) AS expired, count(*) FILTER (WHERE is_active) AS of_them_active FROM sessions WHERE expires_at < now();
-- Efficient session cleanup
DELETE FROM sessions
WHERE expires_at < NOW() AND is_active = true;
SELECT count(*) AS expired, count(*) FILTER (WHERE is_active) AS of_them_active FROM sessions WHERE expires_at < now();
-- upkeep removes both
SELECT task, affected FROM usher.run_maintenance() WHERE task LIKE 'sessions%' ORDER BY task;
SELECT count(*) AS expired FROM sessions WHERE expires_at < now();

SELECT usher.log_event('report.printed', '{"pages": 1}'), usher.log_event('report.printed', '{"pages": 2}') \gset
SELECT count(*) AS not_of_a_user FROM audit_logs WHERE event_type = 'report.printed' AND user_id IS NULL;
SELECT usher.authenticate((usher.login('sam', 'a password of Sam''s own')).access_token) = :'sam' AS is_sam;
SELECT usher.log_event('report.printed', '{"pages": 3}'), usher.log_event('report.printed', '{"pages": 4}') \gset
PREPARE audit_of_user (uuid, timestamptz, timestamptz) AS
-- Fast audit log queries with time range
SELECT event_type, event_data, created_at
FROM audit_logs
WHERE user_id = $1
  AND created_at >= $2
  AND created_at <= $3
ORDER BY created_at DESC;
SET LOCAL ROLE cedrina_admin;
CREATE TEMP TABLE found AS EXECUTE audit_of_user(:'sam', now() - interval '1 hour',
    clock_timestamp() + interval '1 second');
SELECT event_type, event_data FROM found WHERE event_type = 'report.printed' ORDER BY created_at DESC;
RESET ROLE;
-- the same in pages, for somebody with audit:read
SELECT usher.authenticate((usher.login('admin', 'cedrina-admin-demo')).access_token) IS NOT NULL AS is_admin;
SELECT event_type, event_data FROM usher.search_audit(actor_id => :'sam', event_type => 'report.printed',
    since => now() - interval '1 hour', until => clock_timestamp(), max_rows => 1);

-- ---- R1, "Connection Pooling" --------------------------------------------------------------------------------------

\echo '-- R1, "Connection Pooling": of the gateway'
-- DATABASE_POOL_SIZE = 20, DATABASE_MAX_OVERFLOW = 30, DATABASE_POOL_TIMEOUT = 30, DATABASE_POOL_RECYCLE = 3600:
-- --pool-size=20 --pool-overflow=30 --pool-wait-ms=30000 --connection-max-age-s=3600
SELECT name, value >= 50 AS has_room FROM usher.metrics() WHERE name = 'usher_connections_max';

-- ---- R1, "Security Considerations" ---------------------------------------------------------------------------------

\echo '-- R1, "Data Protection"'
SELECT left(password_hash, 7) AS bcrypt_with_rounds FROM usher.credentials WHERE user_id = :'sam';
SELECT length(usher.create_password_reset(:'sam')) > 40 AS long_token;
SELECT octet_length(token_hash) AS bytes_of_sha_256 FROM usher.one_time_tokens t WHERE t.user_id = :'sam'
    AND t.purpose = 'password_reset';
EXECUTE find_user('x'' OR ''1'' = ''1');
SELECT count(*) AS changes_of_sam_on_record FROM usher.row_history('usher.users', to_jsonb(:'sam'::text));
ROLLBACK;

\echo '-- R1, "Privacy Compliance": roles of the database that read hashes or tokens'
SELECT r.rolname, t.name FROM (VALUES ('cedrina_app'), ('cedrina_admin')) AS r (rolname),
    (VALUES ('usher.credentials'), ('usher.signing_keys'), ('usher.users'), ('usher.one_time_tokens')) AS t (name)
WHERE has_any_column_privilege(r.rolname, t.name, 'SELECT') AND t.name <> 'usher.users';

-- ---- R1, "Backup and Recovery" -------------------------------------------------------------------------------------

\echo '-- R1, "Backup Strategy": pg_dump, with a date in its name, and the whole of it restored beside'
\setenv PGHOST :HOST
\setenv PGPORT :PORT
\setenv PGUSER :USER
\! BACKUP_DIR=$(mktemp -d) && DATE=$(date +%Y%m%d_%H%M%S) && pg_dump -d cedrina > $BACKUP_DIR/cedrina_$DATE.sql && dropdb -f --if-exists cedrina_restored 2> /dev/null && createdb -T template0 cedrina_restored && psql -Xq -o /dev/null -v ON_ERROR_STOP=1 -d cedrina_restored -f $BACKUP_DIR/cedrina_$DATE.sql && ls $BACKUP_DIR | sed 's/[0-9]/n/g'; rm -r $BACKUP_DIR
\! psql -XqAt -d cedrina_restored -c "SELECT username, role, tier FROM cedrina.users ORDER BY id" -c "SELECT count(*) FROM usher.schema_drift()" -c "SELECT sum(violations) FROM usher.self_check()"
\echo '-- R1, "Recovery Procedures": some tables only, into the database that has lost their rows'
\! psql -XqAt -d cedrina_restored -c "DELETE FROM usher.policy_rules" && pg_dump --data-only -t usher.policy_rules -d cedrina | psql -Xq -o /dev/null -v ON_ERROR_STOP=1 -d cedrina_restored && psql -XqAt -d cedrina_restored -c "SELECT count(*) FROM cedrina.casbin_rules"; dropdb cedrina_restored
-- point in time: a base backup and the WAL since; docs/engine.md, "Upkeep"

-- ---- R1, "Monitoring and Maintenance" ------------------------------------------------------------------------------

\echo '-- R1, "Health Checks", and health(), which says the same'
-- Database health check queries
SELECT COUNT(*) FROM users WHERE is_active = true \gset
\set users :count
SELECT COUNT(*) FROM sessions WHERE expires_at > NOW() \gset
\set sessions :count
SELECT COUNT(*) FROM audit_logs WHERE created_at > NOW() - INTERVAL '1 hour' \gset
\set audit_rows :count
SELECT :users = h.active_users AS users, :sessions = h.live_sessions AS sessions,
    :audit_rows <= h.audit_rows_last_hour AS audit_rows
FROM usher.health() AS h;

\echo '-- R1, "Maintenance Tasks": sessions, audit log; indexes, statistics, dead rows'
SELECT string_agg(task, ', ' ORDER BY task) AS tasks FROM usher.run_maintenance()
    WHERE task ~ '^(sessions|audit_partitions|audit_rows)|_failed$';
REINDEX TABLE CONCURRENTLY usher.sessions;
ANALYZE usher.users;
VACUUM usher.sessions;
SELECT relname, last_analyze IS NOT NULL AS analyzed FROM pg_stat_user_tables WHERE relid = 'usher.users'::regclass;
SELECT * FROM usher.schema_drift();

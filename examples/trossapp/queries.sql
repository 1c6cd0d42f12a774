-- What R3 prints, in its order, against the tables of names.sql; queries.out is what comes out. Statements of the document
-- are unchanged; where it prints npm, node or docker, the SQL or the command that does the same stands instead.
\set ECHO queries
\set SHOW_CONTEXT never
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
SET search_path = trossapp, public;
SET TimeZone = 'UTC';
-- instants of the data, which are others each time
\set hide '|sed -E "s/20[0-9-]+ [0-9:.]+\\+00/<instant>/g"'

\echo '--- R3, System-Level Fields: every entity has them'
-- CREATE TABLE entity_name (…) is a pattern; this gives a table what is missing of it
BEGIN;
CREATE TABLE public.entity_name (name varchar(100) UNIQUE NOT NULL);
SELECT usher.enable_entity('public.entity_name');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'public.entity_name'::regclass AND attnum > 0 ORDER BY attname;
INSERT INTO public.entity_name (name) VALUES ('one') RETURNING is_active, deleted_at;
ROLLBACK;

\echo '--- R3, Current Schema; Work Orders Module; Soft Deletes: the tables and indexes as the document makes them'
-- They are made as printed, in a schema that goes again, and compared with the views of the same names.
BEGIN;
CREATE SCHEMA printed;
SET LOCAL search_path = printed, public;
-- of the extension uuid-ossp, which usher does not need
CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql RETURN gen_random_uuid();

-- R3, Roles Table
CREATE TABLE roles (
    id SERIAL PRIMARY KEY,
    name VARCHAR(50) UNIQUE NOT NULL,
    description TEXT,
    is_active BOOLEAN DEFAULT true,        -- ✨ System-level field
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP -- ✨ System-level field
);

-- R3, Users Table
CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) UNIQUE NOT NULL,    -- Name equivalent
    auth0_id VARCHAR(255) UNIQUE,
    first_name VARCHAR(100),
    last_name VARCHAR(100),
    role_id INTEGER REFERENCES roles(id) ON DELETE SET NULL,
    is_active BOOLEAN DEFAULT true,        -- ✨ System-level field
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP -- ✨ System-level field
);

-- R3, Audit Logs Table
CREATE TABLE audit_logs (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES users(id),
    action VARCHAR(50) NOT NULL,
    resource_type VARCHAR(100),
    resource_id INTEGER,
    old_values JSONB,
    new_values JSONB,
    ip_address VARCHAR(45),
    user_agent TEXT,
    result VARCHAR(20),
    error_message TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

-- R3, Refresh Tokens Table
CREATE TABLE refresh_tokens (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_id UUID NOT NULL DEFAULT uuid_generate_v4(),
    token_hash TEXT NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    is_active BOOLEAN DEFAULT true,        -- ✨ System-level field
    ip_address VARCHAR(45),
    user_agent TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_used_at TIMESTAMP,
    revoked_at TIMESTAMP
);

-- R3, Index Support
CREATE INDEX idx_users_active ON users(is_active);
CREATE INDEX idx_roles_active ON roles(is_active);

-- R3, Phase 9: Work Orders Module
CREATE TABLE work_orders (
    id SERIAL PRIMARY KEY,
    title VARCHAR(255) NOT NULL,           -- Name equivalent
    -- ... entity-specific fields ...
    is_active BOOLEAN DEFAULT true,        -- System-level field
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

\echo '--- the columns: how many of each table are the same; TIMESTAMP is timestamptz; what else differs: rows of logs have uuids'
CREATE TEMP VIEW pairs AS
SELECT c.relname, p.attname, format_type(p.atttypid, p.atttypmod) AS printed,
    (SELECT format_type(o.atttypid, o.atttypmod) FROM pg_attribute AS o
     WHERE o.attrelid = format('trossapp.%I', c.relname)::regclass AND o.attname = p.attname) AS ours
FROM pg_class AS c JOIN pg_attribute AS p ON p.attrelid = c.oid AND p.attnum > 0
WHERE c.relnamespace = 'printed'::regnamespace AND c.relkind = 'r';
SELECT relname, count(*) AS columns, count(*) FILTER (WHERE printed = ours) AS same,
    count(*) FILTER (WHERE (printed, ours) = ('timestamp without time zone', 'timestamp with time zone')) AS instants
FROM pairs GROUP BY relname ORDER BY relname;
SELECT relname, attname, printed, ours FROM pairs
WHERE printed IS DISTINCT FROM ours AND (printed, ours) <> ('timestamp without time zone', 'timestamp with time zone')
ORDER BY relname, attname;

\echo '--- the indexes: active users are found by their status; roles are so few that they are read as a whole'
SELECT i.relname AS printed, u.indexdef AS ours
FROM pg_class AS i
LEFT JOIN (VALUES ('idx_users_active', 'users_status_idx')) AS s (printed, ours) ON s.printed = i.relname
LEFT JOIN pg_indexes AS u ON u.indexname = s.ours AND u.schemaname = 'usher'
WHERE i.relnamespace = 'printed'::regnamespace AND i.relname LIKE 'idx%' ORDER BY i.relname;
ROLLBACK;

\echo '--- R3, Core Roles'
SELECT id, name, description FROM roles ORDER BY id;

\echo '--- R3, Commands: Start Databases, Apply Schema, Reset Databases, Check Status'
-- npm run db:start: ./dev run trossapp; npm run db:test:start: the same with USHER_INSTANCE=build/test-run
-- node backend/scripts/apply-schema.js: install.sql, which may run again, and changes nothing then
\set ECHO none
SET search_path = public;
\o /dev/null
\ir install.sql
\ir names.sql
\o
\set ECHO queries
SET search_path = trossapp, public;
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM roles) AS roles;
-- npm run db:reset: ./dev clean && ./dev run trossapp; npm run db:status, docker ps: ./dev status --system trossapp
SELECT status FROM usher.health();

\echo '--- R3, Automatic updated_at Triggers'
-- CREATE TRIGGER update_<table>_updated_at …: usher.enable_updated_at(), which enable_entity() calls
SELECT t.tgname, t.tgfoid::regproc, pg_get_triggerdef(t.oid) LIKE '%BEFORE UPDATE%FOR EACH ROW%' AS before_each_row
FROM pg_trigger AS t WHERE t.tgrelid = 'field.work_orders'::regclass AND t.tgfoid = 'usher.set_updated_at'::regproc;
INSERT INTO work_orders (title, client_id) VALUES ('A door squeaks', '01900000-0000-7000-8000-0000000000c7')
RETURNING id, title, status, is_active, updated_at = created_at AS is_new;
UPDATE work_orders SET title = 'A door creaks' WHERE id = 1 RETURNING title, updated_at > created_at AS has_moved;

\echo '--- R3, Soft Deletes (is_active)'
-- Instead of `DELETE FROM users WHERE id = 1`:
UPDATE users SET is_active = false WHERE id = 1;
SELECT id, email, is_active FROM users WHERE id = 1;
-- data stays, nothing is orphaned, and it is easily restored
UPDATE users SET is_active = true WHERE id = 1 RETURNING is_active;
-- who deletes all the same deactivates
DELETE FROM users WHERE id = 1;
SELECT id, email, is_active FROM users WHERE id = 1;
UPDATE users SET is_active = true WHERE id = 1;
DELETE FROM work_orders WHERE id = 1;
SELECT title, is_active FROM work_orders;
UPDATE work_orders SET is_active = true WHERE id = 1 RETURNING title, is_active;

\echo '--- R3, Querying Active Records'
UPDATE users SET is_active = false WHERE id = 1;
SELECT * FROM users WHERE is_active = true \g :hide
SELECT * FROM roles WHERE is_active = true \g :hide
UPDATE users SET is_active = true WHERE id = 1;

\echo '--- R3, Future Enhancements: deleted_at, of users, roles and work orders alike'
-- deleted_at follows is_active
DELETE FROM work_orders WHERE id = 1;
SELECT is_active, deleted_at IS NOT NULL AS has_time, (SELECT count(*) FROM field.active_work_orders) AS in_view
FROM field.work_orders;
UPDATE work_orders SET is_active = true WHERE id = 1;
INSERT INTO roles (name, description) VALUES ('trainee', 'Learns') RETURNING is_active;
UPDATE roles SET is_active = false WHERE name = 'trainee';
SELECT is_active, deleted_at IS NOT NULL AS has_time, (SELECT count(*) FROM usher.active_roles AS a WHERE a.id = r.id) AS in_view
FROM usher.roles AS r WHERE name = 'trainee';
UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'trainee') WHERE id = 1; -- not anew
UPDATE roles SET is_active = true WHERE name = 'trainee' RETURNING is_active;
SELECT is_active, deleted_at FROM usher.roles WHERE name = 'trainee';
DELETE FROM roles WHERE name = 'trainee';
UPDATE users SET is_active = false WHERE id = 1;
SELECT u.is_active, u.deactivated_at IS NOT NULL AS has_time, (SELECT count(*) FROM usher.active_users AS a WHERE a.id = u.id) AS in_view
FROM usher.users AS u JOIN trossapp.users AS t ON t.email = u.email WHERE t.id = 1;
UPDATE users SET is_active = true WHERE id = 1;

\echo '--- R3, Foreign Key Protection: a role is deleted, and its users have none'
INSERT INTO roles (name, description) VALUES ('helper', 'Helps for a summer') RETURNING id, is_active;
UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'helper') WHERE id = 1 RETURNING role_id;
DELETE FROM roles WHERE name = 'helper';
SELECT id, role_id, is_active FROM users WHERE id = 1;
SELECT usher.user_has_permission('01900000-0000-7000-8000-0000000000c1', 'work_order:submit') AS may_submit;
DELETE FROM roles WHERE name = 'technician';
UPDATE users SET role_id = 99 WHERE id = 1;
UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'client') WHERE id = 1 RETURNING role_id;

\echo '--- what is written under the names of the document obeys the rules of usher'
INSERT INTO users (email, auth0_id, first_name, last_name, role_id)
VALUES ('new@trossapp.example', 'auth0|new', 'Nora', 'New', (SELECT id FROM roles WHERE name = 'technician'))
RETURNING id, email, auth0_id, role_id, is_active;
INSERT INTO users (email) VALUES ('NEW@trossapp.example');
UPDATE users SET auth0_id = 'auth0|dora' WHERE email = 'new@trossapp.example';
UPDATE users SET email = 'other@trossapp.example' WHERE email = 'new@trossapp.example';
\set VERBOSITY terse
UPDATE work_orders SET status = 'completed' WHERE id = 1;
UPDATE work_orders SET status = 'scheduled' WHERE id = 1;
\set VERBOSITY default
UPDATE work_orders SET technician_id = '01900000-0000-7000-8000-0000000000c5', starts_at = '2029-01-01 09:00+00',
    ends_at = '2029-01-01 10:00+00', status = 'scheduled' WHERE id = 1 RETURNING status;
INSERT INTO audit_logs (action, resource_type, resource_id, result) VALUES ('exported', 'report', 7, 'success');
SELECT action, resource_type, resource_id, old_values ->> 'title' AS before, new_values ->> 'title' AS after
FROM audit_logs WHERE resource_type = 'field.work_orders' AND new_values ? 'title' ORDER BY created_at, id;
SELECT user_id, resource_type, resource_id, result, error_message FROM audit_logs WHERE resource_type = 'user'
    AND resource_id = 1 AND action LIKE '%activate%' ORDER BY created_at, id LIMIT 1;
DELETE FROM audit_logs;
-- refresh tokens: their hashes are read by nobody
SELECT user_id FROM usher.register_user('rex@trossapp.example', 'a long password of Rex', 'Rex') \g /dev/null
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email = 'rex@trossapp.example';
SELECT error FROM usher.login('rex@trossapp.example', 'a long password of Rex');
SELECT user_id, token_hash, is_active, revoked_at FROM refresh_tokens;
UPDATE refresh_tokens SET is_active = false;
SELECT is_active, revoked_at IS NOT NULL AS revoked FROM refresh_tokens;

\echo '--- who sees and writes what, as the application does, with tokens of the tenant'
\set ECHO none
SELECT field.demo_token('auth0|cleo') AS client, field.demo_token('auth0|tom') AS technician,
    field.demo_token('auth0|mia') AS manager \gset
SET ROLE trossapp_app;
\set ECHO queries
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM work_orders) AS work_orders,
    (SELECT count(*) FROM audit_logs) AS log, (SELECT count(*) FROM refresh_tokens) AS tokens;
\set ECHO none
BEGIN;
SELECT usher.authenticate(:'client') AS client_is;
\set ECHO queries
SELECT email, role_id FROM users;
INSERT INTO work_orders (title) VALUES ('A lamp flickers') RETURNING title, status, client_id;
SAVEPOINT mine;
SELECT (SELECT count(*) FROM work_orders) AS work_orders, (SELECT count(*) FROM audit_logs) AS log;
UPDATE users SET role_id = 1;
ROLLBACK TO mine;
UPDATE work_orders SET technician_id = '01900000-0000-7000-8000-0000000000c6' WHERE title = 'A lamp flickers';
ROLLBACK TO mine;
DELETE FROM work_orders WHERE title = 'A lamp flickers';
ROLLBACK TO mine;
UPDATE work_orders SET is_active = false WHERE title = 'A lamp flickers';
ROLLBACK;
\set ECHO none
BEGIN;
SELECT usher.authenticate(:'technician') AS technician_is;
\set ECHO queries
SELECT title, status FROM work_orders;
SAVEPOINT mine;
UPDATE work_orders SET title = 'Mine';
ROLLBACK TO mine;
UPDATE work_orders SET status = 'in_progress' RETURNING status;
ROLLBACK;
\set ECHO none
BEGIN;
SELECT usher.authenticate(:'manager') AS manager_is;
\set ECHO queries
SELECT email, role_id FROM users ORDER BY id;
SELECT count(*) > 0 AS reads_log FROM audit_logs;
UPDATE users SET is_active = false WHERE email = 'tom@trossapp.example' RETURNING is_active;
DELETE FROM work_orders WHERE id = 1;
SELECT title, is_active FROM work_orders;
ROLLBACK;
RESET ROLE;

\echo '--- R3, Emergency Procedures, Database Corrupted'
-- docker-compose down, docker volume prune -f: ./dev clean. Restart with a fresh schema: ./dev run trossapp. Verify:
-- ./dev status, and in the database
SELECT rule, violations FROM usher.self_check() WHERE violations > 0;
SELECT count(*) AS broken FROM usher.verify_audit_chain() WHERE NOT is_intact;

\echo '--- R3, Schema Drift Detected'
-- docker exec … pg_dump -s trossapp_dev > dev_schema.sql; … > test_schema.sql; diff dev_schema.sql test_schema.sql
\set ECHO none
\setenv PGHOST :HOST
\setenv PGPORT :PORT
\setenv PGUSER :USER
SELECT current_database() AS dev, current_database() || '_test' AS test \gset
\setenv DEV :dev
\setenv TEST :test
DROP DATABASE IF EXISTS :test;
CREATE DATABASE :test;
\! for file in install names; do psql -Xq -v ON_ERROR_STOP=1 -d "$TEST" -f $file.sql > /dev/null; done
\! sh drift.sh "$DEV" "$TEST" && echo 'dev and test are the same'
\! psql -Xq -d "$TEST" -c 'DROP INDEX field.work_orders_client_id_idx' -c 'ALTER TABLE usher.users DISABLE TRIGGER stamp_user'
\! sh drift.sh "$DEV" "$TEST" | grep '^[<>] [A-Z]'
-- what usher says by itself, without another database: of its own objects
\! psql -XqAt -d "$TEST" -c 'SELECT object, change FROM usher.schema_drift()'
-- Fix: Reapply canonical schema. What was changed of usher, by the command that made it.
\! psql -Xq -v ON_ERROR_STOP=1 -d "$TEST" -c 'ALTER TABLE usher.users ENABLE TRIGGER stamp_user' -f install.sql > /dev/null
\! sh drift.sh "$DEV" "$TEST" && echo 'dev and test are the same again'
DROP DATABASE :test;

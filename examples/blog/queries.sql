-- What the blog's document (R4) prints, in its order, run unchanged against the names of names.sql; what is no SQL is
-- answered by what does the same here. `psql -Xq -d blog < queries.sql` prints queries.out. Leaves nothing behind.
\pset pager off
\pset format unaligned
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET search_path = blog, public;

\echo '-- R4, "Database Overview": PostgreSQL 14 or later, UTF-8, UTC'
SELECT current_setting('server_version_num')::integer >= 140000 AS is_14_or_later,
    current_setting('server_encoding') AS encoding,
       current_setting('TimeZone') AS time_zone, current_database() AS name;

\echo '-- R4, "Entity Relationship Diagram" and "Table Definitions": each column has its name here; those whose type differs, and why'
CREATE TEMP TABLE document (table_name text, column_name text, type text);
INSERT INTO document VALUES
    ('users', 'id', 'uuid'), ('users', 'email', 'character varying(255)'),
    ('users', 'password_hash', 'character varying(255)'), ('users', 'name', 'character varying(100)'),
    ('users', 'phone', 'character varying(20)'), ('users', 'is_active', 'boolean'),
    ('users', 'is_verified', 'boolean'), ('users', 'last_login', 'timestamp without time zone'),
    ('users', 'created_at', 'timestamp without time zone'), ('users', 'updated_at', 'timestamp without time zone'),
    ('roles', 'id', 'uuid'), ('roles', 'name', 'character varying(50)'), ('roles', 'description', 'text'),
    ('roles', 'is_system', 'boolean'), ('roles', 'created_at', 'timestamp without time zone'),
    ('user_roles', 'user_id', 'uuid'), ('user_roles', 'role_id', 'uuid'),
    ('user_roles', 'assigned_at', 'timestamp without time zone'), ('user_roles', 'assigned_by', 'uuid'),
    ('sessions', 'id', 'uuid'), ('sessions', 'user_id', 'uuid'),
    ('sessions', 'token_hash', 'character varying(255)'), ('sessions', 'ip_address', 'inet'),
    ('sessions', 'user_agent', 'text'), ('sessions', 'expires_at', 'timestamp without time zone'),
    ('sessions', 'created_at', 'timestamp without time zone'), ('audit_logs', 'id', 'bigint'),
    ('audit_logs', 'user_id', 'uuid'), ('audit_logs', 'action', 'character varying(50)'),
    ('audit_logs', 'entity_type', 'character varying(50)'), ('audit_logs', 'entity_id', 'uuid'),
    ('audit_logs', 'old_values', 'jsonb'), ('audit_logs', 'new_values', 'jsonb'),
    ('audit_logs', 'ip_address', 'inet'), ('audit_logs', 'created_at', 'timestamp without time zone'),
    ('posts', 'id', 'uuid'), ('posts', 'user_id', 'uuid'), ('posts', 'title', 'text'), ('posts', 'content', 'text'),
    ('posts', 'status', 'text'), ('posts', 'published_at', 'timestamp without time zone'),
    ('posts', 'created_at', 'timestamp without time zone'), ('posts', 'updated_at', 'timestamp without time zone'),
    ('comments', 'id', 'uuid'), ('comments', 'post_id', 'uuid'), ('comments', 'user_id', 'uuid'),
    ('comments', 'content', 'text'), ('comments', 'created_at', 'timestamp without time zone');
SELECT d.table_name, count(*) AS columns, count(a.attname) AS here,
       count(*) FILTER (WHERE format_type(a.atttypid, a.atttypmod) = d.type) AS of_the_same_type
FROM document d LEFT JOIN pg_attribute a ON a.attrelid = ('blog.' || d.table_name)::regclass
    AND a.attname = d.column_name
GROUP BY d.table_name ORDER BY d.table_name;
SELECT d.type AS document, format_type(a.atttypid, a.atttypmod) AS here,
       string_agg(d.table_name || '.' || d.column_name, ', ' ORDER BY d.table_name, a.attnum) AS columns,
       CASE d.type WHEN 'timestamp without time zone' THEN 'an instant is one in every time zone'
                   WHEN 'bigint' THEN 'a uuid begins with its time, and needs no sequence'
                   ELSE 'surprise' END AS why
FROM document d JOIN pg_attribute a ON a.attrelid = ('blog.' || d.table_name)::regclass AND a.attname = d.column_name
WHERE format_type(a.atttypid, a.atttypmod) <> d.type GROUP BY 1, 2, 4 ORDER BY 1;

\echo '-- R4, "Indexes": what serves the look-up of each'
SELECT d.document, d.here, CASE WHEN i.indexname IS NULL THEN 'SURPRISE: no such index' ELSE d.why END AS remark
FROM (VALUES ('idx_users_email', 'users_email_key', 'by usher.name_key()'),
    ('idx_users_created_at', 'users_created_at_idx', 'descending, with the id'),
    ('idx_sessions_token_hash', 'sessions_pkey', 'a token names its session, whose row has its hash'),
    ('idx_sessions_expires_at', 'sessions_absolute_expires_at_idx', 'the end that a refresh does not move'),
    ('idx_audit_logs_user_id', 'audit_logs_default_actor_id_idx', 'one for each month'),
    ('idx_audit_logs_entity', 'audit_logs_default_resource_idx', NULL),
    ('idx_audit_logs_created_at', 'audit_logs_default_pkey', 'an id begins with its time'),
    ('idx_user_profiles_user_id', 'idx_user_profiles_user_id', NULL)) AS d (document, here, why)
LEFT JOIN pg_indexes i ON i.schemaname IN ('usher', 'blog') AND i.indexname = d.here ORDER BY 1;

\echo '-- R4, "user_roles", Constraints: a role once for each user; both go with either'
SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = 'usher.user_roles'::regclass AND (contype = 'f' OR conname ~ 'user_id_role_id') ORDER BY conname;

-- ---- R4, "Database Migrations" -------------------------------------------------------------------------------------

\echo '-- R4, "Migration Template": downgrade(), upgrade(), by the role for migrations'
BEGIN;
SET LOCAL ROLE blog_migrations;
-- downgrade(): op.drop_index, op.drop_table
DROP INDEX idx_user_profiles_user_id;
DROP TABLE user_profiles;
SELECT to_regclass('blog.user_profiles') IS NULL AS is_down;
-- upgrade(): op.create_table, op.create_index
CREATE TABLE user_profiles (
    id uuid PRIMARY KEY,
    user_id uuid REFERENCES usher.users (id),
    bio text,
    avatar_url varchar(500),
    created_at timestamp DEFAULT now()
);
CREATE INDEX idx_user_profiles_user_id ON user_profiles (user_id);
SELECT column_name, data_type, character_maximum_length AS length FROM information_schema.columns
WHERE table_schema = 'blog' AND table_name = 'user_profiles' ORDER BY ordinal_position;
ROLLBACK;
-- as install.sql has it: the same columns, one profile for each user
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_attribute a
WHERE a.attrelid = 'user_profiles'::regclass AND a.attnum > 0 ORDER BY a.attnum;
-- nobody else migrates: not the application, not analytics
SET ROLE blog_app;
ALTER TABLE posts ADD COLUMN rating integer;
SET ROLE blog_analytics;
DROP TABLE comments;
RESET ROLE;
-- usher's own migrations are versions of an extension: the same commands for each
ALTER EXTENSION usher UPDATE;
SELECT * FROM usher.schema_drift();

-- ---- R4, "Query Optimization" --------------------------------------------------------------------------------------

\echo '-- R4, "Common Query Patterns": get user with roles'
-- A view has no primary key that u.* could follow from, and the tables of usher have the document's names themselves.
SET search_path = usher, public;
PREPARE user_with_roles (text) AS
-- Get user with roles
SELECT u.*, array_agg(r.name) as roles
FROM users u
LEFT JOIN user_roles ur ON u.id = ur.user_id
LEFT JOIN roles r ON ur.role_id = r.id
WHERE u.email = $1
GROUP BY u.id;
CREATE TEMP TABLE found AS EXECUTE user_with_roles('edd@blog.example');
SELECT email, display_name, roles FROM found;
SET search_path = blog, public;
-- the same against the names, and by usher's function, which knows inherited roles and looks the address up by an
-- index
SELECT u.id, u.email, u.name, u.is_active, array_agg(r.name) AS roles
FROM users u LEFT JOIN user_roles ur ON u.id = ur.user_id LEFT JOIN roles r ON ur.role_id = r.id
WHERE u.email = 'edd@blog.example' GROUP BY u.id, u.email, u.name, u.is_active;
SELECT email, name, roles FROM usher.find_user('EDD@blog.example');

\echo '-- R4, "Common Query Patterns": a page of a list, by offset; and by key, which costs the same on every page'
PREPARE page (uuid, integer, integer) AS
-- Paginated resource list
SELECT * FROM resources
WHERE user_id = $1
  AND status = 'active'
ORDER BY created_at DESC
LIMIT $2 OFFSET $3;
BEGIN;
UPDATE posts SET created_at = created_at - interval '1 hour' WHERE title = 'Hello'; -- so that the order is certain
CREATE TEMP TABLE pages ON COMMIT DROP AS SELECT 0 AS page, r.* FROM resources r LIMIT 0;
CREATE TEMP TABLE first_page ON COMMIT DROP AS EXECUTE page('01900000-0000-7000-8000-0000000000b3', 1, 0);
CREATE TEMP TABLE second_page ON COMMIT DROP AS EXECUTE page('01900000-0000-7000-8000-0000000000b3', 1, 1);
SELECT (SELECT title FROM first_page) AS first_page, (SELECT title FROM second_page) AS second_page;
SELECT title FROM resources
WHERE user_id = '01900000-0000-7000-8000-0000000000b3' AND status = 'active'
  AND (created_at, id) < (SELECT created_at, id FROM first_page)
ORDER BY created_at DESC, id DESC LIMIT 1;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE user_id = '01900000-0000-7000-8000-0000000000b3'
    AND status = 'published'
ORDER BY created_at DESC LIMIT 1;
ROLLBACK;

\echo '-- R4, "Performance Guidelines": 1. every foreign key has an index that begins with it'
SELECT c.conrelid::regclass AS of_table, c.conname FROM pg_constraint c
WHERE c.contype = 'f' AND c.connamespace IN ('usher'::regnamespace, 'blog'::regnamespace)
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]);
\echo '-- 5. prepared statements'
SELECT name, parameter_types FROM pg_prepared_statements ORDER BY name;

-- ---- R4, "Data Integrity" ------------------------------------------------------------------------------------------

\echo '-- R4, "Constraints": foreign keys, checks, unique keys, required fields'
SELECT conrelid::regclass AS of_table, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE connamespace = 'blog'::regnamespace AND contype IN ('f', 'c') ORDER BY 1, 2;
SELECT indexname, regexp_replace(indexdef, '.* USING ', '') AS definition FROM pg_indexes
WHERE schemaname = 'blog' AND indexdef LIKE 'CREATE UNIQUE%' ORDER BY 1;
SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) AS required FROM information_schema.columns
WHERE table_schema = 'blog' AND is_nullable = 'NO' GROUP BY table_name ORDER BY table_name;
\set VERBOSITY terse
INSERT INTO posts (user_id, title) VALUES ('01900000-0000-7000-8000-0000000000b3', '');
INSERT INTO posts (user_id, title) VALUES ('01900000-0000-7000-8000-0000000000b3', 'Hello');
UPDATE posts SET status = 'lost' WHERE title = 'Hello';

\echo '-- R4, "Triggers": on the table that usher has of this name, where its own trigger keeps updated_at already'
BEGIN;
SET LOCAL search_path = usher, public;
-- Update timestamp trigger
CREATE OR REPLACE FUNCTION update_updated_at()
RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;

CREATE TRIGGER update_users_updated_at
BEFORE UPDATE ON users
FOR EACH ROW
EXECUTE FUNCTION update_updated_at();
UPDATE users SET updated_at = '2000-01-01', phone = '+1 555 0142' WHERE email = 'rae@blog.example';
SELECT phone, updated_at = now() AS is_now FROM users WHERE email = 'rae@blog.example';
-- a trigger that is not usher's is drift
SELECT object, change FROM usher.schema_drift() ORDER BY 1;
ROLLBACK;
\echo '-- the function, unchanged, on a table of the blog'
BEGIN;
SET LOCAL search_path = blog, public;
ALTER TABLE user_profiles ADD COLUMN updated_at timestamptz;
CREATE OR REPLACE FUNCTION update_updated_at()
RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER update_user_profiles_updated_at
BEFORE UPDATE ON user_profiles
FOR EACH ROW
EXECUTE FUNCTION update_updated_at();
UPDATE user_profiles SET bio = 'Writes more.';
SELECT bio, updated_at = now() AS is_now FROM user_profiles;
ROLLBACK;
-- posts and comments have usher's
SELECT tgrelid::regclass AS of_table, tgname FROM pg_trigger
WHERE tgrelid IN ('posts'::regclass, 'comments'::regclass) AND tgname LIKE '%updated_at%' ORDER BY 1;

-- ---- R4, "Backup and Recovery" -------------------------------------------------------------------------------------

\echo '-- R4, "Recovery Procedures": 4. data consistency verification'
SELECT coalesce(sum(violations), 0) AS violations FROM usher.self_check();
SELECT count(*) FILTER (WHERE NOT is_intact) AS broken_links FROM usher.verify_audit_chain();
SELECT in_recovery FROM usher.health();

-- ---- R4, "Security Considerations" ---------------------------------------------------------------------------------

\echo '-- R4, "Access Control": what each role of the database may do with a table'
SELECT r.role, t.name, concat_ws(', ', CASE WHEN has_table_privilege(r.role, t.name, 'SELECT') THEN 'all columns'
           WHEN has_any_column_privilege(r.role, t.name, 'SELECT') THEN 'some columns' END,
       CASE WHEN has_table_privilege(r.role, t.name, 'INSERT, UPDATE, DELETE') THEN 'writes' END,
       CASE WHEN pg_has_role(r.role, c.relowner, 'USAGE') THEN 'owns' END) AS may
FROM (VALUES (1, 'blog_app'), (2, 'blog_migrations'), (3, 'blog_analytics')) AS r (n, role),
     (VALUES ('blog.posts'), ('blog.user_profiles'), ('blog.users'), ('usher.users'), ('usher.credentials'),
         ('usher.audit_logs'))
         AS t (name) JOIN pg_class c ON c.oid = t.name::regclass
ORDER BY r.n, t.name;

\echo '-- R4, "Data Protection": row-level security'
SELECT c.relname, c.relrowsecurity, string_agg(p.policyname, ', ' ORDER BY p.policyname) AS policies
FROM pg_class c JOIN pg_policies p ON p.schemaname = 'blog' AND p.tablename = c.relname
WHERE c.relnamespace = 'blog'::regnamespace GROUP BY 1, 2 ORDER BY 1;
\echo '-- regular security audits: check_configuration(), of which the server''s own settings and files are the DBA''s'
SELECT finding FROM usher.check_configuration() WHERE finding ~ 'PUBLIC|without audit|trigger|password|bcrypt rounds'
    AND finding !~ 'pg_hba.conf';

\echo '-- R4, "SQL Injection Prevention": parameters are values'
SET search_path = usher, public;
CREATE TEMP TABLE injected AS EXECUTE user_with_roles('x'' OR ''1'' = ''1');
SET search_path = blog, public;
SELECT count(*) AS found FROM injected;
SELECT usher.find_user('x''; DROP TABLE posts; --') IS NULL AS nobody;
EXECUTE page('1 OR true', 1, 0);

-- ---- R4, "Monitoring and Maintenance" ------------------------------------------------------------------------------

\echo '-- R4, "Key Metrics": connections, times of statements, sizes, use of indexes, waits for locks'
SELECT name, count(*) > 0 AS known FROM usher.metrics()
WHERE name IN ('usher_connections', 'usher_connections_max', 'usher_index_scans_total', 'usher_lock_waits',
               'usher_oldest_transaction_seconds', 'usher_table_bytes', 'usher_transactions_total')
GROUP BY name ORDER BY name;
SELECT relname, pg_total_relation_size(relid) > 0 AS has_a_size, n_live_tup >= 0 AS rows_counted
    FROM pg_stat_user_tables
WHERE schemaname = 'blog' ORDER BY relname;
-- times of requests: /metrics of the gateway; of statements: pg_stat_statements
SELECT count(*) >= 0 AS waits_counted FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE NOT l.granted AND d.datname = current_database();
SELECT indexrelname, idx_scan >= 0 AS counted FROM pg_stat_user_indexes WHERE schemaname = 'blog' AND relname = 'posts'
ORDER BY indexrelname;

\echo '-- R4, "Maintenance Tasks": weekly VACUUM ANALYZE'
VACUUM ANALYZE posts;
VACUUM ANALYZE comments;
VACUUM ANALYZE usher.users;
SELECT relname, last_vacuum IS NOT NULL AS vacuumed, last_analyze IS NOT NULL AS analyzed FROM pg_stat_user_tables
WHERE relid IN ('posts'::regclass, 'comments'::regclass, 'usher.users'::regclass) ORDER BY relname;
\echo '-- monthly index rebuild'
REINDEX TABLE CONCURRENTLY posts;
REINDEX TABLE CONCURRENTLY usher.users;
SELECT count(*) AS invalid_indexes FROM pg_index WHERE NOT indisvalid;
\echo '-- quarterly partition maintenance: the months ahead are made, whoever asks'
SELECT string_agg(task, ', ' ORDER BY task) AS tasks FROM usher.run_maintenance()
    WHERE task ~ '^audit_partitions|_failed$';
SELECT count(*) >= 3 AS months_ahead FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'usher.audit_logs'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT';
\echo '-- annual archive of old data: a month of long ago, copied away before it is dropped'
BEGIN;
CREATE TABLE archive (LIKE usher.audit_logs);
CREATE FUNCTION archive_month(part regclass, since timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('INSERT INTO blog.archive SELECT * FROM %s', part); END $$;
SELECT usher._make_audit_partition('2001-02-01 00:00+00') AS made; -- as if the blog were that old
INSERT INTO usher.audit_logs (id, created_at, event_type, action)
VALUES (usher._first_id_at('2001-02-10 00:00+00'), '2001-02-10 00:00+00', 'post.shared', 'shared');
SET LOCAL usher.audit_retention = 366;
SET LOCAL usher.audit_archive_function = 'blog.archive_month';
SELECT task, affected FROM usher.run_maintenance() WHERE task = 'audit_partitions_retired';
SELECT (SELECT count(*) FROM archive WHERE event_type = 'post.shared') AS archived,
       (SELECT count(*) FROM audit_logs WHERE action = 'post.shared') AS left_in_the_log;
ROLLBACK;
\echo '-- and of what was deleted long ago'
BEGIN;
DELETE FROM posts WHERE title = 'Not yet';
UPDATE posts SET deleted_at = deleted_at - interval '1 year' WHERE title = 'Not yet';
SELECT usher.purge_deleted('posts', '90 days') AS purged;
ROLLBACK;

-- ---- R4, "Scaling Strategy", "Change Log" --------------------------------------------------------------------------

\echo '-- R4, "Horizontal Scaling": partitions; keys that need no sequence, so that tables may lie anywhere'
SELECT relname, partstrat, pg_get_partkeydef(partrelid) AS by FROM pg_partitioned_table
    JOIN pg_class ON oid = partrelid
WHERE relnamespace = 'usher'::regnamespace;
SELECT count(*) AS sequences FROM pg_sequences WHERE schemaname IN ('usher', 'blog');
-- read replicas: usher-gateway --standby-database; routes that read only
SELECT path_template, read_only FROM usher.list_routes() WHERE tag = 'blog' AND read_only ORDER BY 1;

-- Accounts, each with a password, a role and a session, for ./dev bench scale: psql -v users=1000000 -f users.sql
-- The passwords are all the same, and hashed as cheaply as the settings allow: what grows is to be seen beside it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
CREATE EXTENSION usher CASCADE;
SELECT usher.apply_role_preset('blog') \g /dev/null
SELECT usher.rotate_signing_key('EdDSA') \g /dev/null
CREATE SCHEMA scale;
CREATE FUNCTION scale.id(n bigint, first_day timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM first_day) * 1000)::bigint + n * 8), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION scale.user(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT scale.id(n, '2024-01-01 00:00+00') $$;

-- Indexes are made when the rows are there; triggers would only announce changes to caches that nobody has filled yet.
CREATE TABLE scale.indexes AS
    SELECT pg_get_indexdef(i.indexrelid) AS definition, i.indexrelid::regclass::text AS name
    FROM pg_index AS i WHERE i.indrelid IN ('usher.users'::regclass, 'usher.credentials'::regclass, 'usher.user_roles'::regclass,
            'usher.sessions'::regclass)
        AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid);
SELECT 'DROP INDEX ' || name FROM scale.indexes \gexec
CREATE TABLE scale.triggers AS
    SELECT format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.tgrelid::regclass, t.tgname) AS statement
    FROM pg_trigger AS t WHERE t.tgenabled = 'A';
ALTER TABLE usher.users DISABLE TRIGGER USER;
ALTER TABLE usher.credentials DISABLE TRIGGER USER;
ALTER TABLE usher.user_roles DISABLE TRIGGER USER;
ALTER TABLE usher.sessions DISABLE TRIGGER USER;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SELECT usher.hash_password('scale password 47 rivers') AS hash \gset
SELECT id AS role FROM usher.roles WHERE name = 'reader' \gset
INSERT INTO usher.users (id, email, email_verified_at, username, first_name, last_name, status, created_at)
    SELECT scale.user(i), 'user' || i || '@example.com', now(), 'user' || i,
        (ARRAY['Anna', 'Ben', 'Carla', 'David', 'Emma', 'Felix', 'Greta', 'Hans', 'Ida', 'Jan'])[1 + i % 10],
        initcap(translate(((i * 7919) % :users)::text, '0123456789', 'abelmorstu')) || 'son', 'active',
        '2024-01-01 00:00+00'::timestamptz + i * interval '8 milliseconds'
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.credentials (user_id, password_hash) SELECT scale.user(i), :'hash' FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.user_roles (user_id, role_id) SELECT scale.user(i), :'role' FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.sessions (id, user_id, refresh_token_hash, rotation_key, status, created_at, last_activity_at, expires_at, absolute_expires_at)
    SELECT scale.id(i, now()), scale.user(i), sha256(i::text::bytea), sha256(i::text::bytea), 'active', now(), now(),
        now() + interval '7 days', now() + interval '30 days'
    FROM generate_series(1::bigint, :users) AS i;
SELECT definition FROM scale.indexes \gexec
ALTER TABLE usher.users ENABLE TRIGGER USER;
ALTER TABLE usher.credentials ENABLE TRIGGER USER;
ALTER TABLE usher.user_roles ENABLE TRIGGER USER;
ALTER TABLE usher.sessions ENABLE TRIGGER USER;
RESET session_replication_role;
SELECT statement FROM scale.triggers \gexec
VACUUM (ANALYZE);

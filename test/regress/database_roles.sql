-- Database roles: the list of each level against the catalog, nothing for PUBLIC, and what each level can and cannot do.
\set VERBOSITY terse
SET client_min_messages = warning;

-- The access lists of all installed extensions.
CREATE SCHEMA regress_database_roles;
CREATE FUNCTION regress_database_roles.lists() RETURNS TABLE (schema name, kind text, levels text[], name text) LANGUAGE plpgsql AS $$
DECLARE
    installed record;
BEGIN
    FOR installed IN SELECT * FROM usher._installed() LOOP
        RETURN QUERY EXECUTE format('SELECT %L::name, l.kind, l.levels, m[1] FROM %I._access_list() l, regexp_matches(l.names, ''[a-z0-9_]+(?:\([^)]*\))?'', ''g'') AS m',
                                    installed.schema, installed.schema);
    END LOOP;
END $$;
CREATE VIEW regress_database_roles.members AS
    SELECT i.schema, d.classid, d.objid FROM usher._installed() i JOIN pg_extension e ON e.extname = i.extension
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e';

SELECT l.schema, l.kind, l.name AS listed_but_missing
FROM regress_database_roles.lists() l
WHERE (l.kind = 'function' AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = l.schema::text::regnamespace AND p.proname = l.name))
   OR (l.kind = 'table' AND to_regclass(format('%I.%I', l.schema, split_part(l.name, '(', 1))) IS NULL)
   OR l.kind NOT IN ('function', 'table')
ORDER BY 1, 2, 3;
SELECT DISTINCT m.schema, p.proname AS public_but_unlisted
FROM regress_database_roles.members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
WHERE p.proname NOT LIKE '\_%' AND NOT EXISTS (SELECT FROM regress_database_roles.lists() l WHERE l.kind = 'function' AND l.schema = m.schema AND l.name = p.proname)
ORDER BY 1, 2;
SELECT DISTINCT l.schema, unnest(l.levels) AS unknown_level FROM regress_database_roles.lists() l
EXCEPT SELECT i.schema, level FROM usher._installed() i, unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS level;

-- PUBLIC has nothing, in no kind of object.
SELECT m.classid::regclass AS kind, pg_describe_object(m.classid, m.objid, 0) AS object, a.privilege_type AS granted_to_public
FROM regress_database_roles.members m
LEFT JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
LEFT JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
LEFT JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
CROSS JOIN LATERAL (
    SELECT * FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WHERE p.oid IS NOT NULL
    UNION ALL SELECT * FROM aclexplode(c.relacl) WHERE c.oid IS NOT NULL
    UNION ALL SELECT x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid
    UNION ALL SELECT * FROM aclexplode(n.nspacl)) AS a
WHERE a.grantee = 0
ORDER BY 1, 2;
SELECT count(*) > 50 AS functions, count(*) FILTER (WHERE classid = 'pg_class'::regclass) > 10 AS tables FROM regress_database_roles.members;

-- Each level in turn.
CREATE ROLE regress_application;
CREATE ROLE regress_gateway;
CREATE ROLE regress_readonly;
CREATE ROLE regress_auditor;
CREATE ROLE regress_admin;
CREATE ROLE regress_nothing;
SELECT usher.grant_access(('regress_' || level)::name, level) FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS level;
SELECT usher.grant_access('regress_application', 'application'); -- again
SELECT role_name, level FROM usher.database_roles WHERE role_name LIKE 'regress%' ORDER BY 1, 2;

SELECT f AS function, has_function_privilege('regress_application', p.oid, 'EXECUTE') AS application, has_function_privilege('regress_gateway', p.oid, 'EXECUTE') AS gateway,
       has_function_privilege('regress_readonly', p.oid, 'EXECUTE') AS readonly, has_function_privilege('regress_auditor', p.oid, 'EXECUTE') AS auditor,
       has_function_privilege('regress_admin', p.oid, 'EXECUTE') AS admin
FROM unnest(ARRAY['login', 'has_permission', 'grant_role', 'issue_token', 'create_password_reset', 'rotate_signing_key', 'claim_events', 'list_login_attempts',
                  'run_maintenance', 'http_request', 'grant_access']) WITH ORDINALITY AS f (f, n)
JOIN pg_proc p ON p.pronamespace = 'usher'::regnamespace AND p.proname = f.f AND p.oid = (SELECT min(oid) FROM pg_proc WHERE pronamespace = 'usher'::regnamespace AND proname = f.f)
ORDER BY n;

-- What no level may read: secrets, and what stands for them.
SELECT l AS level, string_agg(c.relname || coalesce('.' || a.attname, ''), ' ' ORDER BY c.relname) AS readable_secrets
FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS l,
    (VALUES ('credentials', NULL), ('signing_keys', 'private_key'), ('one_time_tokens', NULL), ('sessions', 'refresh_token_hash'), ('sessions', 'parent_token_hash'),
            ('sessions', 'rotation_key'), ('password_history', NULL), ('events', 'payload')) AS s (t, col)
    JOIN pg_class c ON c.relnamespace = 'usher'::regnamespace AND c.relname = s.t
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.col
WHERE CASE WHEN s.col IS NULL THEN has_any_column_privilege('regress_' || l, c.oid, 'SELECT') ELSE has_column_privilege('regress_' || l, c.oid, a.attnum, 'SELECT') END
GROUP BY l ORDER BY l;
-- … or write: no level has any right to change a table by hand.
SELECT l AS level, c.oid::regclass AS writable FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS l,
    regress_database_roles.members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('r', 'p', 'v')
WHERE has_table_privilege('regress_' || l, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR has_any_column_privilege('regress_' || l, c.oid, 'INSERT, UPDATE');

SET ROLE regress_nothing;
SELECT usher.has_permission('booking:read');
SET ROLE regress_application;
SELECT usher.has_permission('booking:read');
SELECT usher.create_role('regress_x');
SELECT usher.issue_token('00000000-0000-0000-0000-000000000000');
SELECT count(*) FROM usher.users;
SET ROLE regress_gateway;
SELECT usher.create_role('regress_x');
SET ROLE regress_readonly;
SELECT count(*) >= 0 AS counted FROM (SELECT id, tier FROM usher.users) AS u;
SELECT email FROM usher.users;
SELECT usher.has_permission('booking:read');
SET ROLE regress_auditor;
SELECT count(*) >= 0 AS counted FROM (SELECT email FROM usher.users) AS u;
SELECT count(*) >= 0 AS counted FROM (SELECT id, client_ip FROM usher.sessions) AS s;
SELECT refresh_token_hash FROM usher.sessions;
SET ROLE regress_admin;
SELECT usher.create_role('regress_x') IS NOT NULL AS made; -- a trusted role needs no identity
SELECT usher.drop_role('regress_x');
SELECT usher.grant_access('regress_nothing', 'admin');
RESET ROLE;
-- Trust is inherited by membership, and ends with the level.
GRANT regress_admin TO regress_nothing;
SET ROLE regress_nothing;
SELECT usher.create_role('regress_x') IS NOT NULL AS made;
RESET ROLE;
REVOKE regress_admin FROM regress_nothing;

-- Statement parameters of applications stay out of the server log.
SELECT setrole::regrole, setconfig FROM pg_db_role_setting WHERE setrole::regrole::text LIKE 'regress%' ORDER BY setrole::regrole::text;

SELECT usher.grant_access('regress_auditor', 'readonly');
SELECT usher.revoke_access('regress_auditor', 'auditor'), usher.revoke_access('regress_auditor', 'auditor') AS again;
SET ROLE regress_auditor;
SELECT count(*) >= 0 AS counted FROM (SELECT id, tier FROM usher.users) AS u;
SELECT email FROM usher.users;
RESET ROLE;

SELECT usher.grant_access('regress_nobody', 'admin');
SELECT usher.grant_access('regress_nothing', 'god');
SELECT usher.grant_access(NULL, 'admin'), usher.grant_access('regress_nothing', NULL);
SELECT usher.revoke_access(('regress_' || level)::name) FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin', 'nothing']) AS level;
-- nothing is left that would keep the roles from being dropped
DROP ROLE regress_application, regress_gateway, regress_readonly, regress_auditor, regress_admin, regress_nothing;
DELETE FROM usher.roles WHERE name = 'regress_x';
DROP SCHEMA regress_database_roles CASCADE;

-- Database roles: the list of each level against the catalog, nothing for PUBLIC, and what each level can and cannot
-- do.
\set VERBOSITY terse
SET client_min_messages = warning;

-- What all installed extensions have registered.
CREATE SCHEMA regress_database_roles;
CREATE FUNCTION regress_database_roles.lists()
    RETURNS TABLE (schema name, kind text, levels text[], name text) LANGUAGE sql AS $$
    SELECT usher._schema_of(a.registrant), a.kind, a.levels, m[1]
    FROM usher.extension_access a, regexp_matches(a.names, '[a-z0-9_]+(?:\([^)]*\))?', 'g') AS m
$$;
CREATE VIEW regress_database_roles.members AS
    SELECT i.schema, d.classid, d.objid FROM usher._installed() i JOIN pg_extension e ON e.extname = i.extension
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e';

SELECT l.schema, l.kind, l.name AS listed_but_missing
FROM regress_database_roles.lists() l
WHERE (l.kind = 'function' AND NOT EXISTS (SELECT FROM pg_proc p
                                           WHERE p.pronamespace = l.schema::text::regnamespace AND p.proname = l.name))
   OR (l.kind = 'table' AND to_regclass(format('%I.%I', l.schema, split_part(l.name, '(', 1))) IS NULL)
   OR l.kind NOT IN ('function', 'table')
ORDER BY 1, 2, 3;
SELECT DISTINCT m.schema, p.proname AS public_but_unlisted
FROM regress_database_roles.members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
WHERE p.proname NOT LIKE '\_%' AND NOT EXISTS (SELECT FROM regress_database_roles.lists() l WHERE l.kind = 'function'
                                                   AND l.schema = m.schema AND l.name = p.proname)
ORDER BY 1, 2;
SELECT DISTINCT l.schema, unnest(l.levels) AS unknown_level FROM regress_database_roles.lists() l
EXCEPT SELECT i.schema, level
FROM usher._installed() i, unnest(ARRAY['application', 'gateway', 'courier', 'readonly', 'auditor', 'admin']) AS level;

-- PUBLIC has nothing, in no kind of object.
SELECT m.classid::regclass AS kind, pg_describe_object(m.classid, m.objid, 0) AS object,
       a.privilege_type AS granted_to_public
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
SELECT count(*) > 50 AS functions, count(*) FILTER (WHERE classid = 'pg_class'::regclass) > 10 AS tables
FROM regress_database_roles.members;

-- Each level in turn.
CREATE ROLE regress_application;
CREATE ROLE regress_gateway;
CREATE ROLE regress_readonly;
CREATE ROLE regress_auditor;
CREATE ROLE regress_admin;
CREATE ROLE regress_nothing;
SELECT usher.grant_access(('regress_' || level)::name, level)
FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS level;
SELECT usher.grant_access('regress_application', 'application'); -- again
SELECT role_name, level FROM usher.database_roles WHERE role_name LIKE 'regress%' ORDER BY 1, 2;

SELECT f AS function, has_function_privilege('regress_application', p.oid, 'EXECUTE') AS application,
       has_function_privilege('regress_gateway', p.oid, 'EXECUTE') AS gateway,
       has_function_privilege('regress_readonly', p.oid, 'EXECUTE') AS readonly,
       has_function_privilege('regress_auditor', p.oid, 'EXECUTE') AS auditor,
       has_function_privilege('regress_admin', p.oid, 'EXECUTE') AS admin
FROM unnest(ARRAY['login', 'has_permission', 'grant_role', 'issue_token', 'create_password_reset',
                  'rotate_signing_key', 'claim_events', 'list_login_attempts', 'run_maintenance', 'http_request',
                  'grant_access']) WITH ORDINALITY AS f (f, n)
JOIN pg_proc p ON p.pronamespace = 'usher'::regnamespace AND p.proname = f.f
    AND p.oid = (SELECT min(oid) FROM pg_proc WHERE pronamespace = 'usher'::regnamespace AND proname = f.f)
ORDER BY n;

-- What no level may read: secrets, and what stands for them.
SELECT l AS level, string_agg(c.relname || coalesce('.' || a.attname, ''), ' ' ORDER BY c.relname) AS readable_secrets
FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS l,
    (VALUES ('credentials', NULL), ('signing_keys', 'private_key'), ('one_time_tokens', NULL),
            ('sessions', 'refresh_token_hash'), ('sessions', 'parent_token_hash'),
            ('sessions', 'rotation_key'), ('password_history', NULL), ('events', 'payload')) AS s (t, col)
    JOIN pg_class c ON c.relnamespace = 'usher'::regnamespace AND c.relname = s.t
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.col
WHERE CASE WHEN s.col IS NULL THEN has_any_column_privilege('regress_' || l, c.oid, 'SELECT')
           ELSE has_column_privilege('regress_' || l, c.oid, a.attnum, 'SELECT') END
GROUP BY l ORDER BY l;
-- … or write: no level has any right to change a table by hand.
SELECT l AS level, c.oid::regclass AS writable
FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin']) AS l,
    regress_database_roles.members m
    JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('r', 'p', 'v')
WHERE has_table_privilege('regress_' || l, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
    OR has_any_column_privilege('regress_' || l, c.oid, 'INSERT, UPDATE');

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

-- A level belongs to the role, not to its name: not to another role of the same name.
CREATE ROLE regress_heir;
SELECT usher.grant_access('regress_heir', 'admin');
ALTER ROLE regress_heir RENAME TO regress_old_hand;
CREATE ROLE regress_heir;
SELECT usher.grant_access('regress_heir', 'application');
SET ROLE regress_heir;
SELECT usher.create_role('regress_y');
SET ROLE regress_old_hand;
SELECT usher.create_role('regress_y') IS NOT NULL AS made;
RESET ROLE;
SELECT role_name, level FROM usher.database_roles WHERE role_name ~ 'regress_(heir|old_hand)' ORDER BY 1, 2;
SELECT usher.revoke_access('regress_heir', 'admin') AS had_it; -- that of the role, not of the name
SELECT usher.revoke_access('regress_heir');
DROP OWNED BY regress_old_hand;
DROP ROLE regress_old_hand, regress_heir;
-- the role is gone, and its level with it, whoever is called so next
CREATE ROLE regress_old_hand;
SELECT usher.grant_access('regress_old_hand', 'application');
SET ROLE regress_old_hand;
SELECT usher.create_role('regress_z');
RESET ROLE;
SELECT role_name, level FROM usher.database_roles WHERE role_name ~ 'regress_(heir|old_hand)' ORDER BY 1, 2;
SELECT usher.revoke_access('regress_old_hand');
DROP ROLE regress_old_hand;
-- what is left of a role is found, and removed by upkeep, or by its name
CREATE ROLE regress_heir;
SELECT usher.grant_access('regress_heir', 'auditor');
DROP OWNED BY regress_heir;
DROP ROLE regress_heir;
SELECT finding, severity FROM usher.check_configuration() WHERE finding LIKE '%regress_heir%';
SELECT affected FROM usher.run_maintenance() WHERE task = 'levels_of_lost_roles_removed';
SELECT count(*) FROM usher.database_roles WHERE role_name = 'regress_heir';
-- A level that a dump has brought from another server counts for nothing, though there be a role with that Oid or name.
CREATE ROLE regress_heir;
INSERT INTO usher.database_roles (role_name, level, role_oid, server)
VALUES ('regress_heir', 'admin', 'regress_heir'::regrole, '1'), ('regress_gone', 'admin', 10, '1');
GRANT USAGE ON SCHEMA usher TO regress_heir;
GRANT EXECUTE ON FUNCTION usher.create_role TO regress_heir;
SET ROLE regress_heir;
SELECT usher.create_role('regress_z');
RESET ROLE;
SELECT finding, severity, advice FROM usher.check_configuration() WHERE finding ~ 'regress_(heir|gone)' ORDER BY 1;
SELECT usher.revoke_access('regress_gone'), usher.revoke_access('regress_heir', 'auditor') AS had_it;
SELECT usher.revoke_access('regress_gone');
SELECT usher.grant_access('regress_heir', 'admin'); -- confirms it
SELECT role_name, level, server <> '1' AS of_this_server FROM usher.database_roles WHERE role_name = 'regress_heir';
SET ROLE regress_heir;
SELECT usher.create_role('regress_z') IS NOT NULL AS made;
RESET ROLE;
SELECT finding FROM usher.check_configuration() WHERE finding ~ 'regress_(heir|gone)' ORDER BY 1;
SELECT usher.revoke_access('regress_heir');
DROP ROLE regress_heir;
DELETE FROM usher.roles WHERE name IN ('regress_y', 'regress_z');

-- Statement parameters of applications stay out of the server log.
SELECT setrole::regrole, setconfig
FROM pg_db_role_setting WHERE setrole::regrole::text LIKE 'regress%' ORDER BY setrole::regrole::text;

SELECT usher.grant_access('regress_auditor', 'readonly');
SELECT usher.revoke_access('regress_auditor', 'auditor'), usher.revoke_access('regress_auditor', 'auditor') AS again;
SET ROLE regress_auditor;
SELECT count(*) >= 0 AS counted FROM (SELECT id, tier FROM usher.users) AS u;
SELECT email FROM usher.users;
RESET ROLE;

SELECT usher.grant_access('regress_nobody', 'admin');
SELECT usher.grant_access('regress_nothing', 'god');
SELECT usher.grant_access(NULL, 'admin'), usher.grant_access('regress_nothing', NULL);
SELECT usher.revoke_access(('regress_' || level)::name)
FROM unnest(ARRAY['application', 'gateway', 'readonly', 'auditor', 'admin', 'nothing']) AS level;
-- nothing is left that would keep the roles from being dropped
DROP ROLE regress_application, regress_gateway, regress_readonly, regress_auditor, regress_admin, regress_nothing;
DELETE FROM usher.roles WHERE name = 'regress_x';
DROP SCHEMA regress_database_roles CASCADE;

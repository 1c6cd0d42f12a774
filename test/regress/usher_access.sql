-- Access control: roles, scopes, expiry, deny, the order of decision, management of users, presets.
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE SCHEMA regress_access;
CREATE TABLE regress_access.started AS SELECT clock_timestamp() AS at;
INSERT INTO usher.users (id, email, status) VALUES
    ('00000000-0000-7000-8000-0000000acc01', 'ada@access.test', 'active'),
    ('00000000-0000-7000-8000-0000000acc02', 'mona@access.test', 'active'),
    ('00000000-0000-7000-8000-0000000acc03', 'walt@access.test', 'active'),
    ('00000000-0000-7000-8000-0000000acc04', 'cleo@access.test', 'active'),
    ('00000000-0000-7000-8000-0000000acc05', 'nobody@access.test', 'active');
CREATE FUNCTION regress_access.id(who text) RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT u.id FROM usher.users u WHERE u.email = who || '@access.test' $$;
-- Becomes a user for the rest of the transaction.
CREATE FUNCTION regress_access.be(who text) RETURNS boolean LANGUAGE sql
    AS $$ SELECT usher.authenticate(usher.issue_token(regress_access.id(who))) = regress_access.id(who) $$;
CREATE FUNCTION regress_access.may(who text, permission text, scope text DEFAULT NULL)
    RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT usher.user_has_permission(regress_access.id(who), permission, scope) $$;

-- The car wash -------------------------------------------------------------------------------------------------------
SELECT usher.apply_role_preset('carwash');
CREATE TABLE regress_access.before AS
    SELECT (SELECT count(*) FROM usher.roles) AS roles, (SELECT count(*) FROM usher.permissions) AS permissions,
           (SELECT count(*) FROM usher.role_permissions) AS grants,
           (SELECT count(*) FROM usher.role_management) AS rights;
SELECT usher.apply_role_preset('carwash');
SELECT roles = (SELECT count(*) FROM usher.roles) AND permissions = (SELECT count(*) FROM usher.permissions)
   AND grants = (SELECT count(*) FROM usher.role_permissions)
   AND rights = (SELECT count(*) FROM usher.role_management) AS idempotent
FROM regress_access.before;
SELECT usher.apply_role_preset('bakery');
SELECT role, is_system, permissions FROM usher.list_roles() WHERE role IN ('admin', 'manager', 'washer', 'client');

SELECT usher.grant_role(regress_access.id('ada'), 'admin');
SELECT usher.grant_role(regress_access.id('mona'), 'manager');
SELECT usher.grant_role(regress_access.id('walt'), 'washer');
SELECT usher.grant_role(regress_access.id('cleo'), 'client');

-- admin manages everybody, manager washers and clients, others only themselves
SELECT split_part(a.email, '@', 1) AS actor,
       string_agg(split_part(t.email, '@', 1), ' ' ORDER BY t.email)
           FILTER (WHERE usher.can_manage(t.id, a.id)) AS manages
FROM usher.users a, usher.users t
WHERE a.email LIKE '%@access.test' AND t.email LIKE '%@access.test'
GROUP BY a.email ORDER BY a.email;
-- a washer who also is a manager is not a manager's to manage
SELECT usher.grant_role(regress_access.id('walt'), 'manager');
SELECT usher.can_manage(regress_access.id('walt'), regress_access.id('mona')),
       usher.can_manage(regress_access.id('walt'), regress_access.id('ada'));
SELECT usher.revoke_role(regress_access.id('walt'), 'manager'),
       usher.revoke_role(regress_access.id('walt'), 'manager') AS again;
SELECT usher.can_manage(NULL, NULL), usher.can_manage(NULL, regress_access.id('ada')),
       usher.can_manage(regress_access.id('ada'));

SELECT p AS permission, regress_access.may('ada', p) AS admin, regress_access.may('mona', p) AS manager,
       regress_access.may('walt', p) AS washer, regress_access.may('cleo', p) AS client,
       regress_access.may('nobody', p) AS nobody
FROM unnest(ARRAY['booking:create', 'booking:read', 'booking:confirm', 'booking:start', 'booking:complete',
                  'booking:*', 'user:manage', 'role:manage', 'key:manage', '*:*', 'invented:thing',
                  'not a permission', '']) AS p;

-- The other presets: what each role may do, and whom it manages.
BEGIN;
DELETE FROM usher.role_management;
SELECT usher.apply_role_preset(name) FROM unnest(ARRAY['clinic', 'field_service', 'blog']) AS name;
SELECT r.role, r.description, (SELECT string_agg(coalesce(t.name, 'everybody'), ' ' ORDER BY t.name)
                               FROM usher.role_management m JOIN usher.roles a ON a.id = m.actor_role_id
       LEFT JOIN usher.roles t ON t.id = m.target_role_id WHERE a.name = r.role) AS manages, r.permissions
FROM usher.list_roles() r WHERE r.role NOT LIKE 'regress%' AND r.role NOT IN ('washer') ORDER BY r.role;
-- the same as answers: one user for each role
INSERT INTO usher.users (email, status)
SELECT r.role || '@preset.test', 'active' FROM usher.list_roles() r WHERE r.role NOT LIKE 'regress%';
INSERT INTO usher.user_roles (user_id, role_id)
SELECT u.id, r.id FROM usher.roles r JOIN usher.users u ON u.email = r.name || '@preset.test';
SELECT split_part(a.email, '@', 1) AS actor, string_agg(split_part(t.email, '@', 1), ' ' ORDER BY t.email)
    FILTER (WHERE usher.can_manage(t.id, a.id)) AS manages
FROM usher.users a, usher.users t
WHERE a.email LIKE '%@preset.test' AND t.email LIKE '%@preset.test' GROUP BY a.email ORDER BY a.email;
ROLLBACK;

-- A preset that is applied again is audited when something was missing.
BEGIN;
SELECT count(*) AS before FROM usher.audit_logs WHERE event_type = 'access.preset_applied' \gset
SELECT count(usher.apply_role_preset('blog')) AS applied, count(usher.apply_role_preset('blog')) AS again;
DELETE FROM usher.role_permissions AS p USING usher.roles AS r
WHERE p.role_id = r.id AND (r.name, p.permission) = (SELECT o.name, x.permission FROM usher.roles AS o
    JOIN usher.role_permissions AS x ON x.role_id = o.id
    JOIN usher.role_presets AS t ON t.name = 'blog' AND t.preset -> 'roles' -> o.name -> 'permissions' ? x.permission
    ORDER BY o.name, x.permission LIMIT 1);
SELECT count(usher.apply_role_preset('blog')) AS mended;
SELECT count(*) - :before AS audited FROM usher.audit_logs WHERE event_type = 'access.preset_applied';
ROLLBACK;

-- Identity: none, then each of them ----------------------------------------------------------------------------------
SELECT usher.has_permission('booking:create'), usher.has_role('client'),
       usher.has_permission_somewhere('booking:create');
BEGIN;
SELECT regress_access.be('mona');
SELECT usher.has_permission('booking:confirm'), usher.has_permission('booking:confirm', 'anywhere'),
       usher.has_permission('booking:confirm', usher.uuid_v7()), usher.has_permission('key:manage'),
       usher.has_permission(NULL), usher.has_role('manager'), usher.has_role('washer'), usher.has_role(NULL);
SELECT usher.has_permission('booking:confirm', NULL::text), usher.has_permission('booking:confirm', NULL::uuid);
SELECT usher.can_manage(regress_access.id('walt')), usher.can_manage(regress_access.id('ada'));
SELECT usher.require_permission('booking:confirm');
SELECT usher.require_permission('booking:confirm', regress_access.id('walt'));
SAVEPOINT s;
SELECT usher.require_permission('booking:confirm', regress_access.id('ada'));
ROLLBACK TO s;
SELECT usher.require_permission('key:manage');
ROLLBACK TO s;
SELECT usher.require_permission('nonsense');
ROLLBACK TO s;
SELECT usher.require_permission(NULL);
ROLLBACK TO s;
-- Nobody hands out what is beyond them.
SELECT usher.grant_role(regress_access.id('cleo'), 'washer');
SELECT a.assigned_by = regress_access.id('mona') AS assigned_by_mona, a.assigned_at <= clock_timestamp() AS assigned
FROM usher.list_user_roles(regress_access.id('cleo')) AS a WHERE a.role = 'washer';
SELECT usher.grant_role(regress_access.id('cleo'), 'admin');
ROLLBACK TO s;
SELECT usher.grant_role(regress_access.id('mona'), 'admin');
ROLLBACK TO s;
SELECT usher.revoke_role(regress_access.id('ada'), 'admin');
ROLLBACK TO s;
SELECT usher.grant_permission('washer', 'booking:confirm');
ROLLBACK TO s;
SELECT usher.create_role('regress_x');
ROLLBACK TO s;
SELECT usher.apply_role_preset('carwash');
ROLLBACK;
BEGIN;
-- as the trusted database role, before anybody is logged in
SELECT usher.create_role('regress_clerk') IS NOT NULL AS made;
SELECT usher.grant_permission('regress_clerk', 'role:manage');
SELECT usher.add_role_management('regress_clerk', 'washer');
SELECT usher.grant_role(regress_access.id('nobody'), 'regress_clerk');
SELECT regress_access.be('nobody');
SAVEPOINT s;
SELECT usher.grant_permission('washer', 'booking:confirm'); -- does not have it
ROLLBACK TO s;
SELECT usher.add_role_parent('washer', 'admin');
ROLLBACK TO s;
SELECT usher.add_role_management('washer', NULL);
ROLLBACK TO s;
SELECT usher.grant_permission(regress_access.id('nobody'), 'role:manage', 'here'); -- what they have, to themselves
ROLLBACK;

-- Scopes, expiry, deny -----------------------------------------------------------------------------------------------
SELECT usher.create_role('regress_lead', 'Leads one site') IS NOT NULL AS made;
SELECT usher.create_permission('regress:read'), usher.create_permission('regress:write', 'Writes'),
       usher.create_permission('regress:*');
SELECT usher.grant_permission('regress_lead', 'regress:*');
SELECT usher.grant_role(regress_access.id('walt'), 'regress_lead', 'north');
SELECT regress_access.may('walt', 'regress:read', 'north') AS here,
       regress_access.may('walt', 'regress:read', 'south') AS there,
       regress_access.may('walt', 'regress:read') AS everywhere;
SELECT usher.grant_permission(regress_access.id('walt'), 'regress:read', 'north', 'deny');
SELECT regress_access.may('walt', 'regress:read', 'north') AS denied,
       regress_access.may('walt', 'regress:write', 'north') AS allowed;
SELECT usher.revoke_permission(regress_access.id('walt'), 'regress:read', 'north', 'deny'),
       regress_access.may('walt', 'regress:read', 'north');
BEGIN;
SELECT regress_access.be('walt');
SELECT usher.has_permission('regress:read', 'north'), usher.has_permission('regress:read'),
       usher.has_permission_somewhere('regress:read'), usher.has_role('regress_lead'),
       usher.has_role('regress_lead', 'north');
SELECT role, scope, inherited_by FROM usher.list_user_roles();
SELECT permission, effect, scope, via, role FROM usher.list_permissions();
ROLLBACK;
-- a uuid as scope is the same in both cases and forms
SELECT usher.grant_permission(regress_access.id('cleo'), 'regress:read', '0190B1C2-0000-7000-8000-00000000000A');
BEGIN;
SELECT regress_access.be('cleo');
SELECT usher.has_permission('regress:read', '0190b1c2-0000-7000-8000-00000000000a'::uuid),
       usher.has_permission('regress:read', '0190b1c2-0000-7000-8000-00000000000a'),
       usher.has_permission('regress:read', '0190b1c2-0000-7000-8000-00000000000b'::uuid);
COMMIT;
-- a direct grant for half a second ends at its instant, in the middle of a transaction, with nothing changed
SELECT usher.grant_permission(regress_access.id('nobody'), 'regress:write',
                              expires_at => clock_timestamp() + interval '0.5 s');
BEGIN;
SELECT regress_access.be('nobody');
SELECT usher.has_permission('regress:write') AS before, pg_sleep(0.6) IS NOT NULL AS slept,
       usher.has_permission('regress:write') AS after;
COMMIT;
-- a temporary deny gives way to the allow again
SELECT usher.grant_permission(regress_access.id('nobody'), 'regress:read');
SELECT usher.grant_permission(regress_access.id('nobody'), 'regress:read', effect => 'deny',
                              expires_at => clock_timestamp() + interval '0.3 s');
SELECT regress_access.may('nobody', 'regress:read') AS suspended, pg_sleep(0.4) IS NOT NULL AS slept,
       regress_access.may('nobody', 'regress:read') AS back;
-- the end of an assignment is the end of what the role gives
SELECT usher.grant_role(regress_access.id('nobody'), 'washer', expires_at => 'infinity');
SELECT regress_access.may('nobody', 'booking:start');
SELECT usher.grant_role(regress_access.id('nobody'), 'washer', expires_at => clock_timestamp());
SELECT regress_access.may('nobody', 'booking:start'), count(*) FROM usher.list_user_roles(regress_access.id('nobody'));

SELECT step, rule, effect, rule_scope, expires_at IS NOT NULL AS ends, counts, reason
FROM usher.explain_access(regress_access.id('nobody'), 'regress:read');
SELECT step, rule, effect, rule_scope, counts, reason
FROM usher.explain_access(regress_access.id('walt'), 'regress:read', 'south');
SELECT step, rule, effect, rule_scope, counts, reason
FROM usher.explain_access(regress_access.id('ada'), 'regress:read', 'south');
SELECT step, rule, effect, counts, reason FROM usher.explain_access(regress_access.id('cleo'), 'invented:thing');

-- check_access says how, and leaves an audit row either way
BEGIN;
SELECT regress_access.be('mona');
SELECT * FROM usher.check_access('booking:confirm', '{"type": "booking", "id": "42"}');
SELECT * FROM usher.check_access('key:manage');
COMMIT;
SELECT actor_id = regress_access.id('mona') AS by_mona, severity, result, resource_type, resource_id, event_data
FROM usher.audit_logs
WHERE event_type = 'access.checked' AND actor_id = regress_access.id('mona') ORDER BY created_at, id;
SELECT * FROM usher.check_access('booking:confirm', '[]');
SELECT * FROM usher.check_access('booking confirm');
SELECT * FROM usher.check_access('booking:confirm', '{"scope": 1}');

-- A deactivated user has nothing, at once, and gets it back.
UPDATE usher.users SET status = 'deactivated', deactivated_at = now() WHERE id = regress_access.id('mona');
SELECT regress_access.may('mona', 'booking:confirm'), usher.user_has_role(regress_access.id('mona'), 'manager'),
       usher.can_manage(regress_access.id('mona'), regress_access.id('ada'));
UPDATE usher.users SET status = 'active', deactivated_at = NULL WHERE id = regress_access.id('mona');
SELECT regress_access.may('mona', 'booking:confirm'), usher.user_has_role(regress_access.id('mona'), 'manager');

-- Roles inherit ------------------------------------------------------------------------------------------------------
SELECT usher.create_role('regress_a'), usher.create_role('regress_b'), usher.create_role('regress_c') \g /dev/null
SELECT usher.add_role_parent('regress_a', 'regress_b'), usher.add_role_parent('regress_b', 'regress_c');
SELECT usher.add_role_parent('regress_a', 'regress_b') AS again;
SELECT usher.add_role_parent('regress_c', 'regress_a');
SELECT usher.add_role_parent('regress_a', 'regress_a');
SELECT usher.grant_permission('regress_c', 'regress:write');
SELECT usher.grant_role(regress_access.id('cleo'), 'regress_a');
SELECT regress_access.may('cleo', 'regress:write'), usher.user_has_role(regress_access.id('cleo'), 'regress_c');
-- a role that is switched off gives nothing and passes nothing on
SELECT usher.update_role('regress_b', is_active => false);
SELECT regress_access.may('cleo', 'regress:write'), usher.user_has_role(regress_access.id('cleo'), 'regress_a'),
       usher.user_has_role(regress_access.id('cleo'), 'regress_b');
-- … and cannot be used to close a cycle behind its back
SELECT usher.add_role_parent('regress_c', 'regress_a');
SELECT usher.update_role('regress_b', is_active => true, description => 'In the middle');
SELECT regress_access.may('cleo', 'regress:write');
SELECT usher.remove_role_parent('regress_b', 'regress_c'), usher.remove_role_parent('regress_b', 'regress_c') AS again;
SELECT regress_access.may('cleo', 'regress:write');
-- dropping a user's role leaves them without it, not with an error
SELECT usher.drop_role('regress_a');
SELECT regress_access.may('cleo', 'regress:write'), usher.user_has_role(regress_access.id('cleo'), 'regress_a');

-- Refusals: what, and with which SQLSTATE ----------------------------------------------------------------------------
SELECT usher.drop_role('admin');
SELECT usher.update_role('admin', new_name => 'boss');
DELETE FROM usher.roles WHERE name = 'admin';
UPDATE usher.roles SET name = 'boss' WHERE name = 'admin';
SELECT usher.create_role('regress_lead');
SELECT usher.create_role('regress_lead', if_not_exists => true) IS NOT NULL AS there;
SELECT usher.update_role('regress_c', new_name => 'regress_lead');
SELECT usher.create_role('Not a name'), usher.create_role(NULL);
SELECT usher.create_role(repeat('x', 51));
SELECT usher.create_permission('regress:read');
SELECT usher.create_permission('regress:read', if_not_exists => true);
SELECT usher.create_permission('*:read');
SELECT usher.grant_role(regress_access.id('cleo'), 'no_such_role');
SELECT usher.grant_role('00000000-0000-0000-0000-000000000000', 'client');
SELECT usher.grant_role(NULL, 'client');
SELECT usher.grant_role(regress_access.id('cleo'), 'client', '');
SELECT usher.grant_permission('regress_lead', 'no:such');
SELECT usher.grant_permission('regress_lead', 'regress:read', effect => 'maybe');
SELECT usher.grant_permission('00000000-0000-7000-8000-0000000acc04', 'regress:read');
SELECT * FROM usher.explain_access(regress_access.id('cleo'), 'bad');
\set VERBOSITY sqlstate
SELECT usher.drop_role('admin');
SELECT usher.add_role_parent('regress_c', 'regress_c');
SELECT usher.add_role_parent('regress_b', 'no_such_role');
SELECT usher.create_role('regress_lead');
SELECT usher.create_role('');
CREATE ROLE regress_access_user;
GRANT USAGE ON SCHEMA usher TO regress_access_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA usher TO regress_access_user;
SET ROLE regress_access_user;
SELECT usher.create_role('regress_d');
SELECT * FROM usher.list_user_roles();
RESET ROLE;
\set VERBOSITY terse

-- A transaction whose identity has been lost does not fall back to the database role's own powers.
BEGIN;
SELECT usher.authenticate(usher.issue_token(regress_access.id('cleo'), '{}', interval '31 s')) IS NOT NULL AS known;
UPDATE usher.users SET status = 'deactivated', deactivated_at = now() WHERE email = 'cleo@access.test';
SELECT usher.current_user_id() IS NULL AS lost;
SELECT usher.create_role('regress_d');
ROLLBACK;

-- Row-level security and parallel queries ----------------------------------------------------------------------------
CREATE TABLE regress_access.rows AS
    SELECT n, CASE n % 3 WHEN 0 THEN 'north' WHEN 1 THEN 'south' END AS site FROM generate_series(1, 3000) AS n;
ALTER TABLE regress_access.rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_site ON regress_access.rows USING (usher.has_permission('regress:write', site));
ANALYZE regress_access.rows;
GRANT USAGE ON SCHEMA regress_access TO regress_access_user;
GRANT SELECT ON regress_access.rows TO regress_access_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_access TO regress_access_user;
BEGIN;
SELECT regress_access.be('walt');
SET LOCAL ROLE regress_access_user;
SELECT site, count(*) FROM regress_access.rows GROUP BY site;
RESET ROLE;
DELETE FROM usher.user_roles WHERE scope = 'north';
SET LOCAL ROLE regress_access_user;
SELECT site, count(*) FROM regress_access.rows GROUP BY site;
ROLLBACK;
-- Above a Gather node the leader checks in parallel mode, where no ordinary snapshot can be taken; the cache is empty
-- and is filled there.
CREATE TABLE regress_access.plain AS SELECT * FROM regress_access.rows;
ALTER TABLE regress_access.plain SET (parallel_workers = 2);
ANALYZE regress_access.plain;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT regress_access.be('walt');
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
INSERT INTO usher.policy_rules (ptype, v0, v1, v2) VALUES ('p', 'nobody here', 'x', 'y');
EXPLAIN (COSTS OFF) SELECT count(*)
    FROM (SELECT usher.has_permission('regress:write', site) AS ok FROM regress_access.plain WHERE n > 0 OFFSET 0) AS s
    WHERE ok;
SELECT count(*)
FROM (SELECT usher.has_permission('regress:write', site) AS ok FROM regress_access.plain WHERE n > 0 OFFSET 0) AS s
WHERE ok;
ROLLBACK;

-- A prepared statement follows the rules, not the plan.
PREPARE asks(uuid) AS SELECT usher.user_has_permission($1, 'regress:write', 'north');
EXECUTE asks(regress_access.id('walt'));
SELECT usher.revoke_role(regress_access.id('walt'), 'regress_lead', 'north');
EXECUTE asks(regress_access.id('walt'));

-- Policy rules: the last step of the decision ------------------------------------------------------------------------
INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3) VALUES
    ('p', 'regress_group', 'regress', 'read', NULL),
    ('p', regress_access.id('walt')::text, 'regress', 'write', 'allow'),
    ('p', 'washer', 'regress', 'paint', ''),
    ('p', 'regress_group', 'regress', 'burn', 'maybe'),
    ('g', regress_access.id('walt')::text, 'regress_group', NULL, NULL);
SELECT p, (usher._decide(regress_access.id('walt'), p, NULL)).via
FROM unnest(ARRAY['regress:read', 'regress:write', 'regress:paint', 'regress:burn', 'booking:read']) AS p;
SELECT step, rule, effect, counts, reason FROM usher.explain_access(regress_access.id('walt'), 'regress:read');
INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3) VALUES ('p', 'washer', 'booking', '*', 'deny');
SELECT step, rule, effect, counts, reason FROM usher.explain_access(regress_access.id('walt'), 'booking:read');
SELECT p, (usher._decide(regress_access.id('walt'), p, NULL)).via
FROM unnest(ARRAY['booking:read', 'regress:write']) AS p;
UPDATE usher.policy_rules SET is_active = false WHERE v1 = 'booking' AND v3 = 'deny';
SELECT regress_access.may('walt', 'booking:read'), updated_by IS NOT NULL AS stamped
FROM usher.policy_rules WHERE NOT is_active;

-- Each change left its audit row.
SELECT event_type, count(*) FROM usher.audit_logs
WHERE event_type LIKE 'access.%' AND created_at > (SELECT at FROM regress_access.started) AND (
    resource_id LIKE 'regress%' OR resource_id IN (SELECT id::text FROM usher.users WHERE email LIKE '%@access.test'))
GROUP BY event_type ORDER BY event_type;

-- What is left behind: nothing.
DELETE FROM usher.policy_rules WHERE v0 IN ('regress_group', 'washer', regress_access.id('walt')::text);
SELECT usher.drop_role(name) FROM usher.roles WHERE name LIKE 'regress%';
SELECT bool_and(usher.drop_permission(name)) FROM usher.permissions WHERE name LIKE 'regress%';
DROP OWNED BY regress_access_user;
DROP ROLE regress_access_user;
DROP SCHEMA regress_access CASCADE;
DELETE FROM usher.users WHERE email LIKE '%@access.test';

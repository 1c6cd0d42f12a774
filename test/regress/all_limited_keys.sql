-- API keys with one permission each, of an administrator who may do everything: tried on every function that an
-- application can call, and on every route. What such a key is admitted to stands below, function by function: it must
-- be what its permission says, never what its user may, and never the user's own account. A new function shows itself.
\set VERBOSITY terse
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE ROLE regress_limited_app;
SELECT usher.grant_access('regress_limited_app', 'application'), usher.grant_access('regress_limited_app', 'gateway');
SELECT usher.create_permission(p, if_not_exists => true) FROM unnest('{*:*,thing:read,note:read,user:manage,role:manage}'::text[]) p;
SELECT usher.create_role(r) IS NOT NULL AS made FROM unnest('{regress_all,regress_some,regress_none}'::text[]) r;
SELECT usher.grant_permission(to_role => 'regress_all', permission => '*:*'),
       usher.grant_permission(to_role => 'regress_some', permission => 'thing:read');
SELECT usher.add_role_management('regress_all', NULL);
SELECT user_id AS boss FROM usher.register_user('boss@limited.example', 'the password of the boss') \gset
SELECT user_id AS chief FROM usher.register_user('chief@limited.example', 'the password of the chief') \gset
SELECT user_id AS clerk FROM usher.register_user('clerk@limited.example', 'the password of the clerk') \gset
SELECT usher.grant_role(:'boss', 'regress_all'), usher.grant_role(:'chief', 'regress_all'),
       usher.grant_role(:'clerk', 'regress_some');

-- Every permission that some function, route, machine or preset names.
CREATE SCHEMA regress_limited;
CREATE TABLE regress_limited.permissions AS
    SELECT DISTINCT m[1] AS permission
    FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname ~ '^usher',
        regexp_matches(p.prosrc, '''([a-z_]+:[a-z_]+)''', 'g') m
    UNION SELECT r.permission FROM usher.routes r WHERE r.permission IS NOT NULL
    UNION SELECT unnest('{key:manage,machine:manage,nothing:read}'::text[]) -- of functions in C++; and of none
    ORDER BY 1;
SELECT string_agg(permission, ' ') AS permissions FROM regress_limited.permissions;
-- What is asked for can be found, and given: each stands in a preset.
SELECT p.permission AS in_no_preset FROM regress_limited.permissions p
WHERE NOT EXISTS (SELECT FROM usher.role_presets x WHERE x.preset -> 'permissions' ? p.permission);
SELECT count(usher.create_permission(p.permission, if_not_exists => true)) > 0 AS made FROM regress_limited.permissions p;
CREATE TABLE regress_limited.keys AS
    SELECT p.permission, k.api_key FROM regress_limited.permissions p,
        LATERAL usher.create_api_key(p.permission, ARRAY[p.permission], NULL, :'boss') k;
GRANT USAGE ON SCHEMA regress_limited TO regress_limited_app;

-- Calls a function by such a key, with values that look right, and undoes what it did. What refuses the key says so by
-- one of three codes; everything else counts as admitted, also what then found its arguments wrong.
CREATE FUNCTION regress_limited.admits(f pg_proc, api_key text, id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    call text := (
        SELECT format('SELECT * FROM %s(%s)', f.oid::regproc, string_agg(coalesce(
            CASE a.name WHEN 'permission' THEN '''thing:read''' WHEN 'role' THEN '''regress_some''' WHEN 'to_role' THEN '''regress_some'''
                        WHEN 'parent' THEN '''regress_none''' WHEN 'password' THEN '''a password nobody guesses'''
                        WHEN 'new_password' THEN '''a password nobody guesses''' WHEN 'event' THEN '''regress.event''' END,
            CASE a.type WHEN 'uuid' THEN quote_literal(id) WHEN 'text' THEN '''x''' WHEN 'jsonb' THEN '''{}'''
                        WHEN 'text[]' THEN '''{thing:read}''' WHEN 'integer' THEN '1' WHEN 'uuid[]' THEN format('ARRAY[%L::uuid]', id)
                        WHEN 'boolean' THEN 'true' WHEN 'timestamp with time zone' THEN 'now()' WHEN 'interval' THEN '''1 h''' ELSE 'NULL' END)
            || '::' || a.type, ', ' ORDER BY a.n))
        FROM (SELECT n, t::regtype::text AS type, f.proargnames[n] AS name
              FROM unnest(f.proargtypes::oid[]) WITH ORDINALITY AS t (t, n)) a);
BEGIN
    PERFORM usher.authenticate(api_key);
    SET LOCAL ROLE regress_limited_app;
    EXECUTE call;
    RAISE SQLSTATE 'RB001';
EXCEPTION
    WHEN SQLSTATE '42501' OR SQLSTATE 'US103' OR SQLSTATE '28000' THEN
        RETURN false;
    WHEN OTHERS THEN
        RETURN true;
END
$$;
CREATE FUNCTION regress_limited.admitted(id uuid, only_with_ids boolean DEFAULT true) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
DECLARE
    f pg_proc;
    them text;
BEGIN
    FOR f IN
        SELECT p.* FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
            JOIN pg_extension e ON e.oid = d.refobjid AND e.extname ~ '^usher'
        WHERE p.prokind = 'f' AND has_function_privilege('regress_limited_app', p.oid, 'EXECUTE')
            AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
            -- answers a request whoever asks, and has routes of its own, below
            AND p.proname <> 'http_request'
            AND ('uuid'::regtype = ANY (p.proargtypes::oid[]) OR NOT only_with_ids)
        ORDER BY e.extname <> 'usher', e.extname, p.proname, pg_get_function_identity_arguments(p.oid)
    LOOP
        IF regress_limited.admits(f, (SELECT k.api_key FROM regress_limited.keys k WHERE k.permission = 'nothing:read'), id) THEN
            them := 'any';
        ELSE
            SELECT string_agg(k.permission, ' ' ORDER BY k.permission) INTO them
            FROM regress_limited.keys k WHERE regress_limited.admits(f, k.api_key, id);
        END IF;
        line := format('%s(%s): %s', f.proname, (SELECT string_agg(t::regtype::text, ', ') FROM unnest(f.proargtypes::oid[]) t),
                       coalesce(them, '-'));
        RETURN NEXT;
    END LOOP;
END
$$;
\pset format unaligned
\pset tuples_only on
-- With the ids of somebody who may no more than the key of thing:read:
SELECT * FROM regress_limited.admitted(:'clerk', false);
-- What differs for the user of the key: less, and never more.
SELECT own.line FROM regress_limited.admitted(:'boss') own EXCEPT SELECT o.line FROM regress_limited.admitted(:'clerk') o
ORDER BY 1;
-- And for another administrator: nothing that lets the caller act as them.
SELECT o.line FROM regress_limited.admitted(:'chief') o EXCEPT SELECT c.line FROM regress_limited.admitted(:'clerk') c
ORDER BY 1;

-- Every route: which of these keys is let in.
CREATE FUNCTION regress_limited.let_in(method text, template text, api_key text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    answer record;
BEGIN
    answer := usher.http_request(method, regexp_replace(template, '\{[^}]*\}', gen_random_uuid()::text, 'g'), '',
        jsonb_build_object('authorization', 'Bearer ' || api_key, 'content-type', 'application/json'),
        CASE WHEN method <> 'GET' THEN '{}' ELSE '' END, NULL);
    RAISE SQLSTATE 'RB001' USING MESSAGE = answer.status;
EXCEPTION
    WHEN SQLSTATE 'RB001' THEN
        RETURN SQLERRM NOT IN ('401', '403');
END
$$;
SELECT format('%s %s: %s', r.method, r.path_template, coalesce(
    (SELECT string_agg(k.permission, ' ' ORDER BY k.permission) FROM regress_limited.keys k WHERE regress_limited.let_in(r.method, r.path_template, k.api_key)), '-'))
FROM usher.routes r WHERE r.access <> 'public' ORDER BY r.path_template COLLATE "C", r.method;
\pset tuples_only off
\pset format aligned

-- In the words of those who tried: a key of an administrator makes nobody an administrator.
CREATE FUNCTION regress_limited.try(permissions text[], statement text, person uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate((usher.create_api_key('tried', permissions, NULL, person)).api_key);
    SET LOCAL ROLE regress_limited_app;
    EXECUTE statement;
    RAISE SQLSTATE 'RB001' USING MESSAGE = 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN concat_ws(' ', nullif(SQLSTATE, 'RB001'), SQLERRM);
END
$$;
SELECT what, regress_limited.try(permissions, replace(replace(replace(statement, ':boss', :'boss'), ':chief', :'chief'), ':clerk', :'clerk'), :'boss')
FROM (VALUES
    ('makes another administrator', '{user:manage}'::text[], 'SELECT usher.grant_role('':clerk'', ''regress_all'')'),
    ('gives a role of more than it has', '{user:manage,role:manage}', 'SELECT usher.grant_role('':clerk'', ''regress_some'')'),
    ('gives a role of what it has', '{user:manage,thing:read}', 'SELECT usher.grant_role('':clerk'', ''regress_some'', ''here'')'),
    ('gives a role of nothing', '{user:manage}', 'SELECT usher.grant_role('':clerk'', ''regress_none'')'),
    ('takes a role that may be a deny', '{user:manage}', 'SELECT usher.revoke_role('':clerk'', ''regress_some'')'),
    ('sets its owner''s password', '{user:manage}', 'SELECT usher.set_password('':boss'', ''a password nobody guesses'')'),
    ('the same with everything', '{*:*}', 'SELECT usher.set_password('':boss'', ''a password nobody guesses'')'),
    ('sets another administrator''s password', '{user:manage}', 'SELECT usher.set_password('':chief'', ''a password nobody guesses'')'),
    ('sets the password of who may more', '{user:manage}', 'SELECT usher.set_password('':clerk'', ''a password nobody guesses'')'),
    ('sets the password of who may as much', '{user:manage,thing:read}', 'SELECT usher.set_password('':clerk'', ''a password nobody guesses'')'),
    ('the same with everything', '{*:*}', 'SELECT usher.set_password('':chief'', ''a password nobody guesses'')'),
    ('takes its owner''s factor away', '{user:manage}', 'SELECT usher.reset_second_factors('':boss'')'),
    ('gives its owner a permission', '{role:manage,thing:read}', 'SELECT usher.grant_permission('':boss''::uuid, ''thing:read'')'),
    ('makes all administrators by a parent', '{role:manage}', 'SELECT usher.add_role_parent(''regress_some'', ''regress_all'')'),
    ('by a grant to the role', '{role:manage}', 'SELECT usher.grant_permission(''regress_some''::text, ''user:manage'')'),
    ('by a right to manage', '{role:manage}', 'SELECT usher.add_role_management(''regress_some'', NULL)'),
    ('by a policy', '{policy:manage}', 'SELECT usher.add_policy(''p'', ''regress_some'', ''user'', ''manage'')'),
    ('by a token', '{key:manage}', 'SELECT usher.issue_token('':chief'')'),
    ('by an issuer', '{key:manage}', 'SELECT usher.add_token_issuer(''x'', ''{x}'', ''{}'', ''x'')'),
    ('by a route', '{route:manage}', 'SELECT usher.add_route(''GET'', ''/x'', ''usher.get_me()'', ''public'')'),
    ('by a subscription to tokens', '{event:manage}', 'SELECT usher.subscribe(''user.password_reset_requested'', ''x'', mode => ''async'')'),
    ('by a machine', '{machine:manage}', 'SELECT usher.define_machine(''x'', ''{}'')'),
    ('by a key', '{user:manage}', 'SELECT usher.create_api_key(''x'', ''{*:*}'', NULL, '':chief'')'))
    AS t (what, permissions, statement);

-- A table of the application with a policy on the user, or on the user and a permission.
CREATE TABLE regress_limited.notes (owner_id uuid, shared_id uuid);
INSERT INTO regress_limited.notes VALUES (:'clerk', NULL), (NULL, :'clerk');
ALTER TABLE regress_limited.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON regress_limited.notes USING (owner_id = usher.current_user_id());
CREATE POLICY shared ON regress_limited.notes USING (shared_id = usher.current_user_id('note:read'));
GRANT SELECT ON regress_limited.notes TO regress_limited_app;
SELECT p AS key, regress_limited.try(ARRAY[p], 'DO $b$ BEGIN RAISE ''rows: %'', (SELECT count(*) FROM regress_limited.notes); END $b$', :'clerk')
FROM unnest('{thing:read,note:read,*:*}'::text[]) p;

DROP SCHEMA regress_limited CASCADE;
DELETE FROM usher.users WHERE email LIKE '%limited.example';
SELECT usher.drop_role(r) FROM unnest('{regress_all,regress_some,regress_none}'::text[]) r;
SELECT usher.drop_permission('thing:read');
SELECT usher.revoke_access('regress_limited_app');
DROP ROLE regress_limited_app;

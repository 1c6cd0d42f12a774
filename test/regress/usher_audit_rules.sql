-- The rules of the machinery are audited themselves, also when raw SQL changes them, by whatever role.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_rules_app;
-- rows of the log since the test began
SELECT usher.log_event('regress.rules_begin') AS begin \gset
CREATE FUNCTION pg_temp.changes(since uuid)
    RETURNS TABLE (resource text, action text, changed text, old_values jsonb, new_values jsonb) LANGUAGE sql AS $$
    SELECT resource_type, action, (SELECT string_agg(k, ', ' ORDER BY k)
                                   FROM jsonb_object_keys(coalesce(new_values, old_values)) k), old_values, new_values
    FROM usher.audit_logs WHERE id > since AND source = 'trigger' ORDER BY id $$;

-- through the functions
SELECT usher.grant_access('regress_rules_app', 'readonly');
SELECT usher.define_machine('regress_rules',
                            '{"initial": ["a"], "transitions": [{"from": "a", "to": "b", "action": "go"}]}');
SELECT usher.define_rate_limit('regress.rules', 'fixed_window', 5, '1 minute');
SELECT usher.subscribe('regress.rules', 'regress', mode => 'async');
CREATE FUNCTION public.regress_rules() RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT usher.add_route('GET', '/regress/rules', 'public.regress_rules()', 'public') IS NOT NULL AS routed;
SELECT resource, action FROM pg_temp.changes(:'begin');
-- by raw SQL
SELECT usher.log_event('regress.rules_raw') AS raw \gset
UPDATE usher.machines SET definition = '{"initial": ["b"], "transitions": []}' WHERE name = 'regress_rules';
UPDATE usher.rate_limit_policies SET max_hits = 1000000 WHERE policy = 'regress.rules';
UPDATE usher.subscriptions SET is_active = false WHERE consumer = 'regress';
UPDATE usher.routes SET access = 'authenticated' WHERE path_template = '/regress/rules';
UPDATE usher.database_roles SET level = 'admin' WHERE role_name = 'regress_rules_app';
SELECT resource, action, changed FROM pg_temp.changes(:'raw');
SELECT old_values ->> 'level' AS old_level, new_values ->> 'level' AS new_level
FROM pg_temp.changes(:'raw') WHERE resource = 'usher.database_roles';
SELECT (old_values ->> 'max_hits')::integer AS old_hits, (new_values ->> 'max_hits')::integer AS new_hits
FROM pg_temp.changes(:'raw') WHERE resource = 'usher.rate_limit_policies';
-- and that somebody takes the audit away is found
ALTER TABLE usher.machines DISABLE TRIGGER usher_audit_update;
SELECT severity, finding FROM usher.check_configuration() WHERE finding LIKE '%machines%';
SELECT object, change FROM usher.schema_drift();
ALTER TABLE usher.machines ENABLE TRIGGER usher_audit_update;
-- taking back
SELECT usher.log_event('regress.rules_end') AS end \gset
SELECT usher.remove_route('GET', '/regress/rules'), usher.unsubscribe('regress.rules', 'regress'),
       usher.drop_rate_limit('regress.rules');
DELETE FROM usher.machines WHERE name = 'regress_rules';
SELECT usher.revoke_access('regress_rules_app');
SELECT resource, action FROM pg_temp.changes(:'end');
DROP FUNCTION public.regress_rules();
DROP OWNED BY regress_rules_app;
DROP ROLE regress_rules_app;

CREATE TRIGGER lock_role_graph BEFORE INSERT OR UPDATE OR DELETE ON usher.role_parents
    FOR EACH STATEMENT EXECUTE FUNCTION usher._lock_role_graph();
CREATE TRIGGER keep_role_closure AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.role_parents
    FOR EACH STATEMENT EXECUTE FUNCTION usher._keep_role_closure();
CREATE TRIGGER lock_role_graph BEFORE UPDATE OF is_active ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._lock_role_graph();
CREATE TRIGGER keep_role_closure AFTER UPDATE OF is_active ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._keep_role_closure();

CREATE TRIGGER lock_roles_loaded BEFORE INSERT ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._load_roles();
CREATE TRIGGER load_roles AFTER INSERT ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._load_roles();
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER lock_roles_loaded;
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER load_roles;

CREATE TRIGGER guard_role BEFORE UPDATE OR DELETE ON usher.roles
    FOR EACH ROW EXECUTE FUNCTION usher._guard_role();

CREATE TRIGGER stamp_policy_rule BEFORE UPDATE ON usher.policy_rules
    FOR EACH ROW EXECUTE FUNCTION usher._stamp_policy_rule();

-- What one user has is announced for that user: registrations leave what backends know of all others. A deactivated
-- user has nothing; other changes of users, such as the time of the last login, do not matter here.
SELECT usher._announce_changes(v.relation, 'access_inval')
FROM (VALUES ('usher.roles'::regclass), ('usher.role_closure'), ('usher.role_permissions'), ('usher.role_management'),
             ('usher.policy_rules'), ('usher.policy_models')) AS v (relation);
SELECT usher._announce_changes('usher.user_roles', 'access_inval', 'user_id'),
       usher._announce_changes('usher.user_permissions', 'access_inval', 'user_id'),
       usher._announce_changes('usher.users', 'access_inval', 'id',
                               'OLD.id IS DISTINCT FROM NEW.id OR OLD.status IS DISTINCT FROM NEW.status');
ALTER TABLE usher.role_parents ENABLE ALWAYS TRIGGER lock_role_graph;
ALTER TABLE usher.role_parents ENABLE ALWAYS TRIGGER keep_role_closure;
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER lock_role_graph;
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER keep_role_closure;
-- Every change of the rules of access control is audited, whatever client wrote it: the functions of access control
-- leave an event that says what was intended, and these triggers record the rows that changed, also for SQL that
-- bypasses the functions.
--
-- Loading a dump is no change: usher.audit_change() keeps quiet then, because the dump has the audit rows.
-- role_closure and role_graph are derived from role_parents, so they are left out.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['roles', 'role_parents', 'permissions', 'role_permissions', 'user_roles',
                                    'user_permissions', 'role_management', 'policy_rules', 'policy_models'] LOOP
        PERFORM usher.enable_audit(format('usher.%I', relation)::regclass, exclude => CASE relation
            WHEN 'permissions' THEN '{resource,action}'::text[]
            WHEN 'roles' THEN '{updated_at}'
            WHEN 'policy_rules' THEN '{updated_at}'
            WHEN 'policy_models' THEN '{updated_at}'
            ELSE '{}' END);
    END LOOP;
END
$$;
-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
SELECT usher.enable_soft_delete('usher.roles', 'allow', 'role'),
       usher.enable_soft_delete('usher.policy_rules', 'allow');

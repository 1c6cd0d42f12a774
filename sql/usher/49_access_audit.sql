-- Every change of the rules of access control is audited, whatever client wrote it: the functions of 36 and 39 leave an event that
-- says what was meant, and these triggers leave the rows that changed, for SQL that goes past the functions too.
--
-- Loading a dump is no change: usher.audit_change() keeps quiet then, because the dump has the audit rows. role_closure and
-- role_graph are derived from role_parents, so they are left out.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['roles', 'role_parents', 'permissions', 'role_permissions', 'user_roles', 'user_permissions',
                                    'role_management', 'policy_rules', 'policy_models'] LOOP
        PERFORM usher.enable_audit(format('usher.%I', relation)::regclass, exclude => CASE relation WHEN 'permissions' THEN '{resource,action}'::text[] ELSE '{}' END);
    END LOOP;
END
$$;

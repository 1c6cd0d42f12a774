SELECT usher._announce_changes('usher.extension_errors', 'registration_inval');

-- The tables of core that scripts of extensions, core's own too, write rows into.
SELECT usher.ship_rows(v.relation::regclass, v.key)
FROM (VALUES
    ('usher.extensions', '{name}'::text[]),
    ('usher.extension_hooks', '{registrant,hook}'),
    ('usher.extension_errors', '{code}'),
    ('usher.extension_access', '{registrant,kind,levels,names}'),
    ('usher.extension_settings', '{name}'),
    ('usher.extension_events', '{event}'),
    ('usher.role_presets', '{name,registrant}'),
    ('usher.personal_columns', '{registrant,table_name,column_name}'),
    ('usher.permissions', '{name}'),
    ('usher.policy_models', '{name}'),
    ('usher.rate_limit_policies', '{policy}'),
    ('usher.machines', '{name,version}'),
    ('usher.routes', '{shape,method}'),
    ('usher.subscriptions', '{event,consumer}')) AS v (relation, key);
CREATE TRIGGER follow_decision AFTER INSERT ON usher.decisions
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION usher._follow_decision();
ALTER TABLE usher.decisions ENABLE ALWAYS TRIGGER follow_decision;

-- And those that they may not: presets bring roles and grants, and the rest is not for an extension to give.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['roles', 'role_parents', 'role_permissions', 'role_management', 'user_roles',
                                    'user_permissions', 'policy_rules', 'token_issuers', 'database_roles', 'users',
                                    'api_keys', 'signing_keys', 'server_secrets', 'issuer_key_sources'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_script BEFORE INSERT ON usher.%I FOR EACH STATEMENT '
                       'EXECUTE FUNCTION usher._refuse_script()',
                       relation);
    END LOOP;
END
$$;

-- An extension may go by itself, or with its schema or its owner.
CREATE EVENT TRIGGER usher_forget_dropped_extensions ON sql_drop
    WHEN TAG IN ('DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION usher._forget_dropped_extensions();

CREATE EVENT TRIGGER usher_forget_renamed_schemas ON ddl_command_end
    WHEN TAG IN ('ALTER SCHEMA')
    EXECUTE FUNCTION usher._forget_renamed_schemas();

CREATE EVENT TRIGGER usher_cover_new_tables ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE SCHEMA')
    EXECUTE FUNCTION usher._cover_new_tables();

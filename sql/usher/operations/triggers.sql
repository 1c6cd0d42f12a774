-- The rules of the machinery are themselves audited, also when raw SQL changes them. Those of access control:
-- access/triggers.sql.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['database_roles', 'machines', 'rate_limit_policies', 'subscriptions',
                                    'routes'] LOOP
        IF to_regclass('usher.' || relation) IS NULL THEN
            RAISE EXCEPTION 'table usher.% does not exist', relation;
        END IF;
        PERFORM usher.enable_audit(format('usher.%I', relation)::regclass);
    END LOOP;
END
$$;

-- One that is missing (event triggers can be switched off) leaves names behind: then the audit log redacts all, and
-- check_configuration() says so.
SELECT usher._watch_columns(t.tgrelid) FROM pg_trigger AS t WHERE usher._names_columns(t.tgfoid) GROUP BY t.tgrelid;
CREATE EVENT TRIGGER usher_follow_columns ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TRIGGER')
    EXECUTE FUNCTION usher._follow_columns();

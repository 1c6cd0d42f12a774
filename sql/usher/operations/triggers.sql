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
        PERFORM usher.enable_audit(format('usher.%I', relation)::regclass,
            exclude => ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                             WHERE a.attrelid = format('usher.%I', relation)::regclass AND a.attname = 'updated_at'));
    END LOOP;
END
$$;
-- Accounts (R1-62, R3-03): whoever changes a name, an address or a tier, with which statement ever. Left out is what a
-- login counts or stamps, and what follows from other columns.
SELECT usher.enable_audit('usher.users', exclude => '{display_name,is_active,last_login_at,updated_at,version}');
SELECT usher.enable_audit('usher.credentials', exclude => '{failed_login_attempts,last_failed_login_at,spent_permits,
    updated_at}');
SELECT usher.enable_audit('usher.identities', exclude => '{last_used_at,updated_at}');
SELECT usher.enable_audit('usher.consents');
SELECT usher.enable_audit('usher.token_issuers', exclude => '{updated_at}');

-- Every table that says when it was changed says so by itself (R3-34), but users, whose own trigger knows what is no
-- change, and rate_limit_records, whose hits are older than their row.
SELECT usher.enable_updated_at(a.attrelid::regclass) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind = 'r' AND a.attname = 'updated_at'
    AND c.relname NOT IN ('users', 'rate_limit_records');

-- One that is missing (event triggers can be switched off) leaves names behind: then the audit log redacts all, and
-- check_configuration() says so.
SELECT usher._watch_columns(t.tgrelid) FROM pg_trigger AS t WHERE usher._names_columns(t.tgfoid) GROUP BY t.tgrelid;
CREATE EVENT TRIGGER usher_follow_columns ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'CREATE TRIGGER')
    EXECUTE FUNCTION usher._follow_columns();

-- After an update: levels cover what it has brought.
CREATE EVENT TRIGGER usher_grant_new_members ON ddl_command_end
    WHEN TAG IN ('ALTER EXTENSION')
    EXECUTE FUNCTION usher._grant_new_members();

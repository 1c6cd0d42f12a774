-- The rules of the machinery are themselves audited, also when raw SQL changes them. Those of access control: 49_access_audit.sql.
DO $do$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['database_roles', 'machines', 'rate_limit_policies', 'subscriptions', 'routes'] LOOP
        IF to_regclass('usher.' || relation) IS NULL THEN
            RAISE EXCEPTION 'table usher.% does not exist', relation;
        END IF;
        PERFORM usher.enable_audit(format('usher.%I', relation)::regclass);
    END LOOP;
END
$do$;

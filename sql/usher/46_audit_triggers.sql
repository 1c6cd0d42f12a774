-- Auditing the rows of a table: triggers that write usher.audit_logs.

CREATE FUNCTION usher.audit_change() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_audit_change';
REVOKE ALL ON FUNCTION usher.audit_change() FROM PUBLIC;
COMMENT ON FUNCTION usher.audit_change() IS
    'Statement trigger that writes one audit row per changed row; usher.enable_audit() sets it up. Its argument is a JSON object with the lists exclude, redact and key.';

CREATE FUNCTION usher.enable_audit(
    relation regclass,
    exclude text[] DEFAULT '{}',
    redact text[] DEFAULT '{}',
    key text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    missing text;
    options text;
    target regclass;
BEGIN
    IF relation IS NULL OR kind IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation does not exist', jsonb_build_object('relation', relation::oid::text));
    ELSIF kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s is not a table', relation), jsonb_build_object('relation', relation::text));
    ELSIF (SELECT c.relpersistence FROM pg_class c WHERE c.oid = relation) = 't' THEN -- may be written in a read-only transaction
        PERFORM usher.raise_error('invalid_argument', format('temporary table %s cannot be audited', relation), jsonb_build_object('relation', relation::text));
    ELSIF relation = 'usher.audit_logs'::regclass OR relation IN (SELECT p.relid FROM pg_partition_tree('usher.audit_logs') p) THEN
        PERFORM usher.raise_error('invalid_argument', 'the audit log cannot be audited by itself', jsonb_build_object('relation', relation::text));
    END IF;
    SELECT n INTO missing FROM unnest(coalesce(exclude, '{}') || coalesce(redact, '{}') || coalesce(key, '{}')) n
        WHERE n IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = relation AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument', format('column %s of relation %s does not exist', coalesce(quote_ident(missing), 'NULL'), relation),
            jsonb_build_object('relation', relation::text, 'column', missing));
    END IF;
    SELECT a.attname INTO missing FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = ANY (key) AND a.attgenerated = 'v' LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument', format('column %I of relation %s is not stored and cannot be a key', missing, relation),
            jsonb_build_object('relation', relation::text, 'column', missing));
    END IF;
    -- A statement fires the triggers of the table that it names: partitions get their own for statements that name them.
    FOR target IN SELECT p.relid FROM pg_partition_tree(relation) p UNION SELECT relation LOOP
        -- numbers: so that a renamed column stays in its list
        options := jsonb_strip_nulls(jsonb_build_object('exclude', coalesce(exclude, '{}'), 'redact', coalesce(redact, '{}'), 'key', key, 'numbers',
            (SELECT jsonb_object_agg(a.attname, a.attnum) FROM pg_attribute a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attname = ANY (coalesce(exclude, '{}') || coalesce(redact, '{}') || coalesce(key, '{}')))))::text;
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)', target, options);
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)', target, options);
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows '
                       'FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)', target, options);
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_truncate AFTER TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)', target, options);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.enable_audit(regclass, text[], text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.enable_audit(regclass, text[], text[], text[]) IS
    'Audits a table and its partitions: every changed row makes a row in usher.audit_logs. Columns in exclude are left out, those in redact show only that they changed, key names the identifying columns (default: the primary key). Calling it again changes the lists; call it after adding a partition.';

CREATE FUNCTION usher.disable_audit(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_trigger record;
BEGIN
    FOR found_trigger IN
        SELECT t.tgrelid::regclass AS target, t.tgname FROM pg_trigger t
        WHERE t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(relation) p UNION SELECT relation)
          AND t.tgfoid = 'usher.audit_change()'::regprocedure
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found_trigger.tgname, found_trigger.target);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.disable_audit(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher.disable_audit(regclass) IS 'Ends what enable_audit() began; rows that were written stay.';

-- Keeping a column with the time of the last change.

CREATE FUNCTION usher.set_updated_at() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_timestamps_set_updated_at';
REVOKE ALL ON FUNCTION usher.set_updated_at() FROM PUBLIC;
COMMENT ON FUNCTION usher.set_updated_at() IS
    'BEFORE UPDATE row trigger: sets a column to now(). Arguments: the column (default updated_at; timestamptz or '
    'timestamp), and "skip_unchanged" to leave rows that stay the same unwritten. Rows that are restored or '
    'replicated keep theirs.';

CREATE FUNCTION usher._updated_at_trigger_name(column_name name) RETURNS name
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (CASE WHEN octet_length(column_name::text) <= 50 THEN 'usher_set_' || column_name::text
                 ELSE 'usher_set_' || md5(column_name::text) END)::name;
END;
REVOKE ALL ON FUNCTION usher._updated_at_trigger_name(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._updated_at_trigger_name(name) IS
    'Name of the trigger for a column, within the length of an identifier.';

CREATE FUNCTION usher._row_trigger_tables(relation regclass) RETURNS TABLE (member regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.member FROM usher._descendants(relation) AS d WHERE d.depth = 0 OR NOT d.is_partition ORDER BY d.depth;
END;
REVOKE ALL ON FUNCTION usher._row_trigger_tables(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._row_trigger_tables(regclass) IS
    'Where row triggers have to be made for all rows of a table: partitions get theirs from the server, tables that '
    'inherit do not.';

CREATE FUNCTION usher._tell_foreign_tables(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found regclass;
BEGIN
    FOR found IN SELECT d.member FROM usher._descendants(relation) d WHERE d.is_foreign LOOP
        RAISE WARNING 'rows of foreign table % are seen to only when they are changed through this database', found;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._tell_foreign_tables(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._tell_foreign_tables(regclass) IS
    'Warns of partitions that are foreign tables: what changes them elsewhere fires no trigger here.';

CREATE FUNCTION usher.enable_updated_at(relation regclass, column_name name DEFAULT 'updated_at',
                                        skip_unchanged boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    base_type oid;
    generated "char";
    target regclass;
    is_first boolean;
BEGIN
    IF relation IS NULL OR kind IS NULL OR kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s is not a table', coalesce(relation::text, 'NULL')),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, a.attgenerated INTO base_type, generated
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF base_type IS NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s does not exist', coalesce(column_name, 'NULL'), relation),
            jsonb_build_object('argument', 'column_name', 'relation', relation::text, 'column', column_name));
    ELSIF base_type NOT IN ('timestamptz'::regtype, 'timestamp'::regtype) OR generated <> '' THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s must be a plain timestamptz or timestamp', column_name, relation),
            jsonb_build_object('argument', 'column_name', 'relation', relation::text, 'column', column_name));
    END IF;
    FOREACH is_first IN ARRAY '{true,false}'::boolean[] LOOP -- its lock holds back whoever makes a child now
        FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m WHERE (m.member = relation) = is_first
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.set_updated_at(%L%s)',
                usher._updated_at_trigger_name(column_name), target, column_name,
                CASE WHEN skip_unchanged THEN ', ''skip_unchanged''' ELSE '' END);
        END LOOP;
    END LOOP;
    PERFORM usher._tell_foreign_tables(relation);
END
$$;
REVOKE ALL ON FUNCTION usher.enable_updated_at(regclass, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.enable_updated_at(regclass, name, boolean) IS
    'Sets the column to now() with every update of a row, whatever the statement says, also of partitions and tables '
    'that inherit. skip_unchanged: an update that changes nothing writes nothing and counts no row.';

CREATE FUNCTION usher.disable_updated_at(relation regclass, column_name name DEFAULT 'updated_at') RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    IF column_name IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'column_name must not be null',
                                  '{"argument": "column_name"}');
    END IF;
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', usher._updated_at_trigger_name(column_name), target);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.disable_updated_at(regclass, name) FROM PUBLIC;
COMMENT ON FUNCTION usher.disable_updated_at(regclass, name) IS 'Ends what enable_updated_at() began.';

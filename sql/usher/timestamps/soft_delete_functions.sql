-- Soft delete: is_active = false instead of DELETE, with the time in deleted_at.

CREATE FUNCTION usher.soft_delete() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_timestamps_soft_delete';
REVOKE ALL ON FUNCTION usher.soft_delete() FROM PUBLIC;
COMMENT ON FUNCTION usher.soft_delete() IS
    'BEFORE INSERT OR UPDATE OR DELETE row trigger: deleted_at follows is_active, or with the arguments mode, column '
    'and status that column, and a deleted row is deactivated instead, or with mode "refuse" kept with US008, or with '
    '"allow" removed. BEFORE TRUNCATE statement trigger: refuses it with US008. usher.enable_soft_delete() sets both '
    'up. Rows that are restored or replicated are left alone.';

CREATE FUNCTION usher.announce_soft_delete() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_timestamps_announce_soft_delete';
REVOKE ALL ON FUNCTION usher.announce_soft_delete() FROM PUBLIC;
COMMENT ON FUNCTION usher.announce_soft_delete() IS
    'AFTER UPDATE row trigger: publishes <prefix>.deactivated or <prefix>.restored, for the owner of the table, when '
    'is_active has changed. payload: id, the value of the primary key, and actor_id. usher.enable_soft_delete() sets '
    'it up.';

CREATE FUNCTION usher._active_view_name(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := (SELECT 'active_' || c.relname FROM pg_class c WHERE c.oid = relation);
BEGIN
    IF octet_length(name) > 63 THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('the name of relation %s is too long for the view active_…', relation));
    END IF;
    RETURN (SELECT format('%I.%I', n.nspname, name)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation);
END
$$;
REVOKE ALL ON FUNCTION usher._active_view_name(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._active_view_name(regclass) IS 'Qualified name of the view of the active rows of a table.';

CREATE FUNCTION usher.enable_soft_delete(relation regclass, mode text DEFAULT 'deactivate',
                                         event_prefix text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    view_name text;
    columns text[];
    wrong text;
    reader record;
    target regclass;
BEGIN
    IF relation IS NULL OR kind IS NULL OR kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s is not a table', coalesce(relation::text, 'NULL')),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    ELSIF mode IS NULL OR mode NOT IN ('deactivate', 'refuse', 'allow') THEN
        PERFORM usher.raise_error('invalid_argument', 'mode must be deactivate, refuse or allow',
                                  '{"argument": "mode"}');
    ELSIF event_prefix !~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$' OR octet_length(event_prefix) > 80 THEN
        PERFORM usher.raise_error('invalid_argument', 'event_prefix must be words of a-z, 0-9 and _ joined by dots',
                                  '{"argument": "event_prefix"}');
    ELSIF event_prefix IS NOT NULL AND coalesce(cardinality(usher._primary_key(relation)), 0) <> 1 THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s must have a primary key of one column for its events', relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    SELECT d.member::text INTO wrong FROM usher._descendants(relation) d WHERE d.is_foreign LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s has the foreign table %s, whose rows cannot be kept', relation, wrong),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'foreign_table', wrong));
    END IF;
    view_name := usher._active_view_name(relation);
    SELECT array_agg(a.attname::text) INTO columns FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname IN ('is_active', 'deleted_at') AND a.attnum > 0
          AND NOT a.attisdropped;
    SELECT a.attname INTO wrong FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
          AND (a.attname, a.atttypid, a.attgenerated) NOT IN (('is_active', 'boolean'::regtype, ''),
                                                              ('deleted_at', 'timestamptz'::regtype, ''))
          AND a.attname = ANY (columns);
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s must be a plain boolean (is_active) or timestamptz (deleted_at)',
                   wrong, relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'column', wrong));
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS is_active boolean NOT NULL DEFAULT true, '
                   'ADD COLUMN IF NOT EXISTS deleted_at timestamptz', relation);
    IF 'is_active' = ANY (columns) THEN
        EXECUTE format('UPDATE %s SET is_active = true WHERE is_active IS NULL', relation);
        EXECUTE format('UPDATE %s SET deleted_at = CASE WHEN is_active THEN NULL ELSE now() END WHERE is_active = '
                       '(deleted_at IS NOT NULL)', relation);
        EXECUTE format('ALTER TABLE %s ALTER COLUMN is_active SET NOT NULL, ALTER COLUMN is_active SET DEFAULT true',
                       relation);
    END IF;
    -- after other BEFORE triggers (by name): what they leave is what counts
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_soft_delete BEFORE INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION usher.soft_delete(%L)', target, mode);
        IF event_prefix IS NULL THEN
            IF EXISTS (SELECT FROM pg_trigger t
                       WHERE t.tgrelid = target AND t.tgname = 'usher_announce_soft_delete') THEN
                EXECUTE format('DROP TRIGGER usher_announce_soft_delete ON %s', target);
            END IF;
        ELSE
            EXECUTE format('CREATE OR REPLACE TRIGGER usher_announce_soft_delete AFTER UPDATE ON %s '
                           'FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) '
                           'EXECUTE FUNCTION usher.announce_soft_delete(%L)', target, event_prefix);
        END IF;
    END LOOP;
    FOR target IN SELECT d.member FROM usher._descendants(relation) d LOOP
        IF mode = 'allow' THEN
            EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete_truncate ON %s', target);
        ELSE
            EXECUTE format('CREATE OR REPLACE TRIGGER usher_soft_delete_truncate BEFORE TRUNCATE ON %s '
                           'FOR EACH STATEMENT EXECUTE FUNCTION usher.soft_delete(%L)', target, mode);
        END IF;
    END LOOP;
    -- with the reader's own rights and row-level security on the table
    EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT %s FROM %s WHERE is_active',
        view_name,
        (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped), relation);
    EXECUTE format('COMMENT ON VIEW %s IS %L', view_name, format('Rows of %s that are not deleted.', relation));
    FOR reader IN SELECT DISTINCT x.grantee FROM pg_class c, aclexplode(c.relacl) x
        WHERE c.oid = relation AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %s', view_name,
                       CASE reader.grantee WHEN 0 THEN 'PUBLIC' ELSE reader.grantee::regrole::text END);
    END LOOP;
    RETURN view_name;
END
$$;
REVOKE ALL ON FUNCTION usher.enable_soft_delete(regclass, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.enable_soft_delete(regclass, text, text) IS
    'Rows of the table are deactivated, not deleted: adds is_active and deleted_at where they are missing, and a view '
    'active_<table> of the rows that are left, whose name it returns. mode deactivate: DELETE sets is_active = false '
    'and counts no row (IF NOT FOUND after it is always true: see soft_delete_row()); refuse: DELETE is an error, '
    'US008. TRUNCATE is refused in both, with US008. allow: DELETE and TRUNCATE remove rows as ever, and is_active '
    'is the way to keep them. With event_prefix, <prefix>.deactivated and <prefix>.restored are published. '
    'Partitions and tables that inherit are covered, also those that come later; foreign tables cannot be. Repeat it '
    'after adding a column, for the view. Deleting needs UPDATE on the table too.';

CREATE FUNCTION usher.disable_soft_delete(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    IF relation IS NULL OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation) THEN
        PERFORM usher.raise_error('invalid_argument', 'relation does not exist', '{"argument": "relation"}');
    END IF;
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete ON %s', target);
        EXECUTE format('DROP TRIGGER IF EXISTS usher_announce_soft_delete ON %s', target);
    END LOOP;
    FOR target IN SELECT d.member FROM usher._descendants(relation) d WHERE NOT d.is_foreign LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete_truncate ON %s', target);
    END LOOP;
    EXECUTE format('DROP VIEW IF EXISTS %s', usher._active_view_name(relation));
END
$$;
REVOKE ALL ON FUNCTION usher.disable_soft_delete(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher.disable_soft_delete(regclass) IS
    'Ends what enable_soft_delete() began and drops the view; the columns and their values stay.';

CREATE FUNCTION usher._row_condition(relation regclass, key jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text[] := usher._primary_key(relation);
BEGIN
    IF relation IS NULL OR key IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and key must not be null',
            jsonb_build_object('argument', CASE WHEN relation IS NULL THEN 'relation' ELSE 'key' END));
    END IF;
    IF columns IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no primary key', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    key := usher._key_object(relation, key, columns);
    -- Literals of unknown type: they take the types of their columns, so that the index is used.
    RETURN (SELECT string_agg(format('t.%I = %L', k.key, k.value), ' AND ') FROM jsonb_each_text(key) k);
END
$$;
REVOKE ALL ON FUNCTION usher._row_condition(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._row_condition(regclass, jsonb) IS
    'SQL condition for the row with a primary key: an object of its columns, or the value of the only one.';

CREATE FUNCTION usher._soft_row_condition(relation regclass, key jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    condition CONSTANT text := usher._row_condition(relation, key);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = relation AND a.attname = 'is_active' AND a.atttypid = 'boolean'::regtype) THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no soft delete', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text),
                                  'Set it up with usher.enable_soft_delete().');
    END IF;
    RETURN condition;
END
$$;
REVOKE ALL ON FUNCTION usher._soft_row_condition(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._soft_row_condition(regclass, jsonb) IS
    'As _row_condition(), for a table with soft delete.';

CREATE FUNCTION usher.soft_delete_row(relation regclass, key jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    condition CONSTANT text := usher._soft_row_condition(relation, key);
    deleted bigint;
BEGIN
    EXECUTE format('UPDATE %s t SET is_active = false WHERE %s AND t.is_active', relation, condition);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted > 0;
END
$$;
REVOKE ALL ON FUNCTION usher.soft_delete_row(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.soft_delete_row(regclass, jsonb) IS
    'Deletes a row of a table with soft delete, and says whether there was one: DELETE itself counts no row, so that '
    'FOUND after it is always false. false when no active row has that key: an object of the columns of the primary '
    'key, or the value of the only one, such as to_jsonb(id). Runs with the caller''s rights on the table.';

CREATE FUNCTION usher.restore_row(relation regclass, key jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    condition CONSTANT text := usher._soft_row_condition(relation, key);
    restored bigint;
BEGIN
    EXECUTE format('UPDATE %s t SET is_active = true WHERE %s AND NOT t.is_active', relation, condition);
    GET DIAGNOSTICS restored = ROW_COUNT;
    RETURN restored > 0;
END
$$;
REVOKE ALL ON FUNCTION usher.restore_row(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.restore_row(regclass, jsonb) IS
    'Makes a deleted row active again; false when there is none with that key. key: an object of the columns of the '
    'primary key, or the value of the only one, such as to_jsonb(id). 23505 when another active row has taken its '
    'unique value. Runs with the caller''s rights on the table.';

CREATE FUNCTION usher.purge_deleted(relation regclass, older_than interval DEFAULT '90 days',
                                    max_rows integer DEFAULT 10000) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_timestamps_purge_deleted';
REVOKE ALL ON FUNCTION usher.purge_deleted(regclass, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.purge_deleted(regclass, interval, integer) IS
    'Really removes rows that were deleted so long ago, at most max_rows; returns how many. The one way to get rid of '
    'them. Runs with the caller''s rights on the table.';

CREATE FUNCTION usher.add_unique_among_active(relation regclass, columns text[]) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
    index_name text;
    table_name text := (SELECT c.relname FROM pg_class c WHERE c.oid = relation);
    schema_name text := (SELECT n.nspname
                         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation);
BEGIN
    IF table_name IS NULL OR columns IS NULL OR cardinality(columns) = 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and at least one column are needed',
            jsonb_build_object('argument', CASE WHEN table_name IS NULL THEN 'relation' ELSE 'columns' END));
    END IF;
    SELECT n INTO missing FROM unnest(columns || 'is_active'::text) n
        WHERE n IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = n
                                         AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s does not exist', coalesce(quote_ident(missing), 'NULL'), relation),
            jsonb_build_object('argument', 'columns', 'relation', relation::text, 'column', missing));
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = relation AND a.attname = 'is_active' AND a.atttypid = 'boolean'::regtype) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column is_active of relation %s must be a boolean', relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'column', 'is_active'));
    END IF;
    index_name := table_name || '_active_' || array_to_string(columns, '_') || '_key';
    IF octet_length(index_name) > 63 THEN
        index_name := 'usher_active_' || md5(index_name);
    END IF;
    EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS %I ON %s (%s) WHERE is_active', index_name, relation,
        (SELECT string_agg(quote_ident(c), ', ' ORDER BY o) FROM unnest(columns) WITH ORDINALITY AS u (c, o)));
    RETURN format('%I.%I', schema_name, index_name);
END
$$;
REVOKE ALL ON FUNCTION usher.add_unique_among_active(regclass, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_unique_among_active(regclass, text[]) IS
    'Makes columns unique among the active rows of a table, so that a deleted row does not keep its name; returns the '
    'name of the index. 23505 when two active rows have the same values.';

CREATE FUNCTION usher.enable_entity(relation regclass, audit boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF relation IS NULL OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p')) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('relation %s is not a table', coalesce(relation::text, 'NULL')),
                                  '{"argument": "relation"}');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisprimary) THEN
        EXECUTE format('ALTER TABLE %s ADD COLUMN id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY', relation);
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(), '
                   'ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()', relation);
    PERFORM usher.enable_soft_delete(relation);
    PERFORM usher.enable_updated_at(relation);
    IF audit THEN
        PERFORM usher.enable_audit(relation);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.enable_entity(regclass, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.enable_entity(regclass, boolean) IS
    'Gives a table what every entity has, where it is missing: a key (id uuid), created_at, updated_at, is_active and '
    'deleted_at, with the triggers that keep them, and audit.';

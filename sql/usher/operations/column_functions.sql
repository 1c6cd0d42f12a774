-- Columns of other people's tables, kept by name: in the arguments of our triggers (audit, machines, updated_at) and
-- in what applications have registered about people. A dump knows names only, so names follow when a column is
-- renamed.
--
-- What a column was called before is no part of what an event trigger is told. So the names of the columns concerned
-- are kept, and compared.

CREATE FUNCTION usher._names_columns(function regproc) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT function::oid IN ('usher.audit_change'::regproc::oid, 'usher.check_transition'::regproc::oid,
                             'usher.record_transition'::regproc::oid, 'usher.set_updated_at'::regproc::oid);
END;
REVOKE ALL ON FUNCTION usher._names_columns(regproc) FROM PUBLIC;
COMMENT ON FUNCTION usher._names_columns(regproc) IS 'Trigger functions whose arguments name columns.';

CREATE FUNCTION usher._watch_columns(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM usher._watched_columns AS w
    WHERE w.relation = _watch_columns.relation OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = w.relation);
    INSERT INTO usher._watched_columns (relation, number, column_name, table_name)
    SELECT c.oid, a.attnum, a.attname, c.relname
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.oid = _watch_columns.relation
        AND (EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND usher._names_columns(t.tgfoid))
             OR EXISTS (SELECT FROM usher.personal_columns AS p
                 WHERE p.table_name = c.relname
                     AND to_regclass(format('%I.%I', usher._schema_of(p.registrant), p.table_name)) = c.oid));
END
$$;
REVOKE ALL ON FUNCTION usher._watch_columns(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._watch_columns(regclass) IS
    'Keeps the names that the columns of a table have now, if a trigger or a registration of ours names some.';

CREATE FUNCTION usher._renamed(names jsonb, renames jsonb, gone text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE jsonb_typeof(names)
        WHEN 'string' THEN coalesce(renames -> (names #>> '{}'), names)
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(coalesce(renames -> n.name, to_jsonb(n.name)) ORDER BY n.place), '[]')
            FROM jsonb_array_elements_text(names) WITH ORDINALITY AS n (name, place) WHERE n.name <> ALL (gone))
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(coalesce(renames ->> n.key, n.key), n.value), '{}')
            FROM jsonb_each(names) AS n WHERE n.key <> ALL (gone))
        ELSE names END;
END;
REVOKE ALL ON FUNCTION usher._renamed(jsonb, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._renamed(jsonb, jsonb, text[]) IS
    'A name, a list of names or an object by names, with the names that columns have now and without those that are '
    'gone.';

CREATE FUNCTION usher._object_or_null(words text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN jsonb_typeof(words::jsonb) = 'object' THEN words::jsonb END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._object_or_null(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._object_or_null(text) IS
    'The JSON object that a text is; NULL when it is none. Triggers can be made by hand, with any arguments.';

CREATE FUNCTION usher._renamed_arguments(function regproc, arguments text[], renames jsonb, gone text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options jsonb;
BEGIN
    IF function = 'usher.audit_change'::regproc THEN
        options := usher._object_or_null(arguments[1]);
        IF options IS NULL THEN
            RETURN arguments;
        END IF;
        RETURN ARRAY[(SELECT jsonb_object_agg(o.key,
            CASE WHEN o.key = 'subject' THEN usher._renamed(o.value, renames, '{}')
                WHEN o.key IN ('exclude', 'redact', 'personal', 'key', 'numbers')
                THEN usher._renamed(o.value, renames, gone) ELSE o.value END)
            FROM jsonb_each(options) AS o
            -- without columns it would be no key: that is the primary key again
            WHERE o.key <> 'key' OR usher._renamed(o.value, renames, gone) <> '[]')::text];
    ELSIF function = 'usher.set_updated_at'::regproc THEN
        arguments[1] := coalesce(renames ->> coalesce(arguments[1], 'updated_at'), arguments[1]);
        RETURN CASE WHEN arguments[1] IS NULL THEN '{}' ELSE arguments END;
    END IF;
    options := usher._object_or_null(arguments[3]);
    IF options IS NULL THEN
        RETURN arguments;
    END IF;
    RETURN ARRAY[arguments[1], coalesce(renames ->> arguments[2], arguments[2]),
        (SELECT coalesce(jsonb_object_agg(o.key, CASE WHEN o.key LIKE '%\_column' OR o.key = 'payload_columns'
                THEN usher._renamed(o.value, renames, gone) ELSE o.value END), '{}')
            || CASE WHEN renames ? 'id' AND NOT options ? 'id_column'
                    THEN jsonb_build_object('id_column', renames -> 'id') ELSE '{}' END
         FROM jsonb_each(options) AS o)::text];
END
$$;
REVOKE ALL ON FUNCTION usher._renamed_arguments(regproc, text[], jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._renamed_arguments(regproc, text[], jsonb, text[]) IS
    'The arguments of a trigger that names columns, with the names that they have now.';

CREATE FUNCTION usher._trigger_arguments(trigger_oid oid) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- every argument ends with a zero byte, which no text can hold
    SELECT ARRAY(SELECT convert_from(decode(a.hex, 'hex'), getdatabaseencoding())
        FROM regexp_split_to_table(regexp_replace(encode(t.tgargs, 'hex'), '(..)', '\1 ', 'g'), '00 ')
            WITH ORDINALITY AS s (bytes, place),
            LATERAL (SELECT replace(s.bytes, ' ', '')) AS a (hex)
        WHERE s.place <= t.tgnargs ORDER BY s.place)
    FROM pg_catalog.pg_trigger AS t WHERE t.oid = trigger_oid;
END;
REVOKE ALL ON FUNCTION usher._trigger_arguments(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._trigger_arguments(oid) IS 'The arguments of a trigger.';

CREATE FUNCTION usher._rename_in_triggers(relation regclass, new_trigger oid, renames jsonb, gone text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
    arguments text[];
    new_name name;
BEGIN
    -- Those of a partition that come from its table follow that. One with a condition is not made by our functions.
    FOR each IN
        SELECT t.oid, t.tgname, t.tgfoid::regproc AS function, t.tgenabled,
               usher._trigger_arguments(t.oid) AS arguments
        FROM pg_trigger AS t
        WHERE t.tgrelid = relation AND t.oid IS DISTINCT FROM new_trigger AND t.tgparentid = 0 AND t.tgqual IS NULL
            AND usher._names_columns(t.tgfoid)
    LOOP
        arguments := usher._renamed_arguments(each.function, each.arguments, renames, gone);
        CONTINUE WHEN arguments = each.arguments;
        new_name := CASE each.tgname
            WHEN usher._updated_at_trigger_name(each.arguments[1]::name)
                THEN usher._updated_at_trigger_name(arguments[1]::name)
            WHEN usher._machine_trigger_name('check', each.arguments[2]::name)
                THEN usher._machine_trigger_name('check', arguments[2]::name)
            WHEN usher._machine_trigger_name('record', each.arguments[2]::name)
                THEN usher._machine_trigger_name('record', arguments[2]::name)
            ELSE each.tgname END;
        IF new_name <> each.tgname THEN
            EXECUTE format('ALTER TRIGGER %I ON %s RENAME TO %I', each.tgname, relation, new_name);
        END IF;
        EXECUTE regexp_replace(pg_get_triggerdef(each.oid), '^CREATE (.*?) EXECUTE FUNCTION .*$',
                               'CREATE OR REPLACE \1')
            || format(' EXECUTE FUNCTION %s(%s)', each.function,
                      (SELECT string_agg(quote_literal(a), ', ' ORDER BY n)
                       FROM unnest(arguments) WITH ORDINALITY AS u (a, n)));
        IF each.tgenabled <> 'O' THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', relation, CASE each.tgenabled WHEN 'D' THEN 'DISABLE'
                WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' END, new_name);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._rename_in_triggers(regclass, oid, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._rename_in_triggers(regclass, oid, jsonb, text[]) IS
    'Makes the triggers of a table anew that name columns which have another name now or are gone, but not the one '
    'that was just made, which names them as they are.';

CREATE FUNCTION usher._follow_table(relation regclass, new_trigger oid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renames jsonb;
    gone text[];
    old_table name;
    new_table name;
    schema_name name;
BEGIN
    SELECT coalesce(jsonb_object_agg(w.column_name, a.attname) FILTER (WHERE a.attname <> w.column_name), '{}'),
           coalesce(array_agg(w.column_name::text) FILTER (WHERE a.attname IS NULL), '{}'),
           min(w.table_name::text), min(c.relname::text), min(n.nspname::text)
    INTO renames, gone, old_table, new_table, schema_name
    FROM usher._watched_columns AS w
        JOIN pg_class AS c ON c.oid = w.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS a ON a.attrelid = w.relation AND a.attnum = w.number AND NOT a.attisdropped
    WHERE w.relation = _follow_table.relation;
    IF old_table <> new_table OR renames <> '{}' THEN
        -- By one statement, which looks at the rows as they were: two columns may have changed names.
        UPDATE usher.personal_columns AS p
        SET table_name = new_table, column_name = coalesce(renames ->> p.column_name::text, p.column_name::text)::name
        WHERE p.table_name = old_table AND usher._schema_of(p.registrant) = schema_name
            AND (old_table <> new_table OR renames ? p.column_name::text);
    END IF;
    PERFORM usher._watch_columns(relation); -- before the triggers: making them is seen by the event trigger again
    IF renames <> '{}' OR gone <> '{}' THEN
        PERFORM usher._rename_in_triggers(relation, new_trigger, renames, gone);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_table(regclass, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_table(regclass, oid) IS
    'What names a table or its columns is given the names that they have now.';

CREATE FUNCTION usher._follow_columns() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target record;
BEGIN
    FOR target IN
        WITH RECURSIVE altered (relation, new_trigger) AS (
            SELECT coalesce(t.tgrelid, c.objid), t.oid
            FROM pg_event_trigger_ddl_commands() AS c
                LEFT JOIN pg_trigger AS t ON c.classid = 'pg_trigger'::regclass AND t.oid = c.objid
            WHERE c.classid IN ('pg_class'::regclass, 'pg_trigger'::regclass)
            UNION
            SELECT i.inhrelid, NULL FROM altered JOIN pg_inherits AS i ON i.inhparent = altered.relation)
        SELECT a.relation, a.new_trigger
        FROM altered AS a JOIN pg_class AS c ON c.oid = a.relation WHERE c.relkind IN ('r', 'p')
    LOOP
        PERFORM usher._follow_table(target.relation, target.new_trigger);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_columns() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_columns() IS
    'Event trigger: triggers and registrations that name a column go with it when it is renamed or dropped, so that a '
    'dump names the right one.';

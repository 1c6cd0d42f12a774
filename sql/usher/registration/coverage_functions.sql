-- Triggers that features put on tables of applications cover all rows of a table: those of its partitions and of the
-- tables that inherit from it, also of those that come later. The server itself hands down only row triggers, and only
-- to partitions. What is true here of the features of core is true of all extensions that are registered.

CREATE FUNCTION usher._feature_triggers()
    RETURNS TABLE (relation regclass, name name, function regprocedure, is_row boolean, has_tables boolean,
                   is_truncate boolean, state "char", oid oid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.tgrelid::regclass, t.tgname, t.tgfoid::regprocedure, t.tgtype & 1 <> 0,
           t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL, t.tgtype & 32 <> 0, t.tgenabled, t.oid
    FROM pg_catalog.pg_trigger AS t
    WHERE NOT t.tgisinternal AND EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
            JOIN usher.extensions AS x ON x.extension = e.extname
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
            AND d.refclassid = 'pg_catalog.pg_extension'::regclass);
END;
REVOKE ALL ON FUNCTION usher._feature_triggers() FROM PUBLIC;
COMMENT ON FUNCTION usher._feature_triggers() IS 'All triggers that call a function of a registered extension.';

CREATE FUNCTION usher._missing_triggers()
    RETURNS TABLE (parent regclass, member regclass, is_foreign boolean, is_partition boolean, name name,
                   function regprocedure, is_row boolean, has_tables boolean, is_truncate boolean, state "char",
                   oid oid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.relation, c.oid::regclass, c.relkind = 'f', c.relispartition, f.name, f.function, f.is_row, f.has_tables,
           f.is_truncate, f.state, f.oid
    FROM usher._feature_triggers() AS f
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.relation
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                      WHERE t.tgrelid = c.oid AND t.tgname = f.name AND t.tgfoid = f.function);
END;
REVOKE ALL ON FUNCTION usher._missing_triggers() FROM PUBLIC;
COMMENT ON FUNCTION usher._missing_triggers() IS
    'Triggers of features that a table has, and a partition of it or a table that inherits from it has not.';

CREATE FUNCTION usher._copy_trigger(trigger_id oid, target regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known pg_trigger := (SELECT t FROM pg_trigger t WHERE t.oid = trigger_id);
    definition text := pg_get_triggerdef(trigger_id);
    relation CONSTANT text := (SELECT format(' ON %I.%I ', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = known.tgrelid);
    place integer;
BEGIN
    -- behind the name, which may hold anything
    place := strpos(definition, quote_ident(known.tgname)) + length(quote_ident(known.tgname));
    place := place + strpos(substr(definition, place), relation) - 1;
    EXECUTE substr(definition, 1, place - 1) || format(' ON %s ', target)
        || substr(definition, place + length(relation));
    IF known.tgenabled <> 'O' THEN
        EXECUTE format('ALTER TABLE %s %s TRIGGER %I', target,
            CASE known.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'DISABLE' END,
            known.tgname);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._copy_trigger(oid, regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._copy_trigger(oid, regclass) IS 'Makes the same trigger on another table.';

CREATE FUNCTION usher._cover_tables(relations oid[]) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
    made integer := 0;
    found_any boolean := true;
BEGIN
    WHILE found_any LOOP -- level by level
        found_any := false;
        FOR missing IN
            SELECT DISTINCT ON (m.member, CASE WHEN m.function = 'usher.audit_change()'::regprocedure THEN ''
                                               ELSE m.name END) m.*
            FROM usher._missing_triggers() m
            WHERE m.member = ANY (relations) AND NOT (m.is_foreign AND (m.has_tables OR m.is_truncate))
        LOOP
            IF missing.function = 'usher.audit_change()'::regprocedure THEN
                PERFORM usher._audit_table(missing.member, usher._audit_lists(missing.parent));
            ELSE
                PERFORM usher._copy_trigger(missing.oid, missing.member);
            END IF;
            made := made + 1;
            found_any := true;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION usher._cover_tables(oid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._cover_tables(oid[]) IS
    'Gives partitions, and tables that inherit, the triggers of features that their tables have; returns how many '
    'were made.';

CREATE FUNCTION usher.cover_table(relation regclass) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN usher._cover_tables(ARRAY(SELECT d.member::oid FROM usher._descendants(relation) d));
END
$$;
REVOKE ALL ON FUNCTION usher.cover_table(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher.cover_table(regclass) IS
    'Gives the partitions of a table, and the tables that inherit from it, the triggers of features that it has and '
    'they lack; returns how many were made. An event trigger does that for tables that are new: this is for those '
    'that came while it was switched off. Needs rights on the tables.';

CREATE FUNCTION usher._cover_new_tables() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    members oid[];
    told record;
BEGIN
    IF usher._is_restoring() THEN
        RETURN; -- the dump has the triggers
    END IF;
    SELECT array_agg(DISTINCT d.member::oid) INTO members
    FROM pg_event_trigger_ddl_commands() AS c CROSS JOIN LATERAL usher._descendants(c.objid) AS d
    WHERE c.classid = 'pg_class'::regclass
        AND EXISTS (SELECT FROM pg_inherits AS i WHERE c.objid IN (i.inhrelid, i.inhparent));
    IF members IS NULL THEN
        RETURN;
    END IF;
    PERFORM usher._cover_tables(members);
    FOR told IN SELECT g.finding, g.advice FROM usher._trigger_gaps(members) g LOOP
        RAISE WARNING '%', told.finding USING HINT = told.advice;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._cover_new_tables() FROM PUBLIC;
COMMENT ON FUNCTION usher._cover_new_tables() IS
    'Event trigger: a table that becomes a partition, or inherits, gets the triggers of features that its table has; '
    'what cannot be covered is told by a warning.';

CREATE FUNCTION usher._trigger_gaps(members oid[] DEFAULT NULL)
    RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT format('table %s lacks trigger %I of table %s, to which it belongs', m.member, m.name,
                                        m.parent),
            'critical', format('SELECT usher.cover_table(%L);', m.parent)
        FROM usher._missing_triggers() m
        WHERE NOT m.is_foreign AND (members IS NULL OR m.member = ANY (members));
    RETURN QUERY SELECT DISTINCT
            format('changes of foreign table %s, which belongs to table %s, pass by %s', c.oid::regclass, f.relation,
                   f.function::oid::regproc),
            'warning', 'Detach it, or see to its rows where they are.'
        FROM usher._feature_triggers() f JOIN pg_inherits i ON i.inhparent = f.relation
            JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'f'
        WHERE members IS NULL OR c.oid = ANY (members);
    -- A statement fires the statement triggers of the table that it names, and of no other.
    RETURN QUERY SELECT DISTINCT
            format('statements that name table %s, to which table %s belongs, pass by %s', i.inhparent::regclass,
                   f.relation, f.function::oid::regproc),
            'warning', format('Enable it for %s.', i.inhparent::regclass)
        FROM usher._feature_triggers() f JOIN pg_inherits i ON i.inhrelid = f.relation
        WHERE NOT f.is_row AND (members IS NULL OR f.relation = ANY (members))
            AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = i.inhparent AND t.tgfoid = f.function
                                AND t.tgtype & 1 = 0);
END
$$;
REVOKE ALL ON FUNCTION usher._trigger_gaps(oid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._trigger_gaps(oid[]) IS
    'Where a feature that a table has does not see changes of its partitions, or of tables that inherit; of the '
    'tables given, or of all.';

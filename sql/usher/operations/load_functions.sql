-- After a dump was loaded with triggers switched off.

CREATE FUNCTION usher._resting_triggers() RETURNS TABLE (relation regclass, name name, state "char")
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = error
AS $$
BEGIN
    -- A digest says how the trigger is enabled, too: that which it has when it is as recorded is the one.
    RETURN QUERY
    WITH ordinary AS MATERIALIZED (
        SELECT i.extension, t.tgrelid::regclass AS relation, t.tgname AS name,
               format('trigger %I on %s', t.tgname, t.tgrelid::regclass) AS object,
               pg_get_triggerdef(t.oid) AS definition
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
                AND d.classid = 'pg_class'::regclass
            JOIN pg_trigger AS t ON t.tgrelid = d.objid AND NOT t.tgisinternal AND t.tgenabled = 'O')
    SELECT o.relation, o.name, s.state
    FROM ordinary AS o CROSS JOIN unnest('{A,R}'::"char"[]) AS s (state)
    WHERE EXISTS (SELECT FROM usher._schema_objects AS r
        WHERE r.extension = o.extension AND r.object = o.object AND r.server_version = usher._server_major()
            AND r.digest = md5(concat_ws(' ', o.definition, s.state)))
    ORDER BY o.relation::text COLLATE "C", o.name;
END
$$;
REVOKE ALL ON FUNCTION usher._resting_triggers() FROM PUBLIC;
COMMENT ON FUNCTION usher._resting_triggers() IS
    'Triggers that the installed version has enabled for more than ordinary statements (A: always, R: replica), and '
    'that are ordinary ones now: pg_restore --disable-triggers leaves them so.';

CREATE FUNCTION usher._load_again(relations regclass[]) RETURNS TABLE (relation regclass, loaded bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    -- as while a dump is loaded: what is ENABLE ALWAYS fires, and nothing else
    SET session_replication_role = replica
    SET usher.restoring = 'on'
AS $$
DECLARE
    derived regclass;
    columns text;
BEGIN
    -- All of them before any comes back: a claim, say, follows from a booking and its appointment.
    FOREACH relation IN ARRAY relations LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', relation);
        EXECUTE format('CREATE TEMP TABLE %I ON COMMIT DROP AS TABLE %s', '_usher_' || relation::oid, relation);
        FOR derived IN
            SELECT DISTINCT k.conrelid FROM pg_constraint AS k
                JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = k.conrelid AND d.deptype = 'e'
                JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
            WHERE k.contype = 'f' AND k.confrelid = relation AND k.conrelid <> ALL (coalesce(e.extconfig, '{}'))
        LOOP
            EXECUTE format('DELETE FROM %s', derived);
        END LOOP;
        EXECUTE format('DELETE FROM %s', relation);
    END LOOP;
    FOREACH relation IN ARRAY relations LOOP
        columns := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a
            WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
        EXECUTE format('SELECT count(*) FROM pg_temp.%I', '_usher_' || relation::oid) INTO loaded;
        EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.%3$I', relation, columns,
                       '_usher_' || relation::oid);
        EXECUTE format('DROP TABLE pg_temp.%I', '_usher_' || relation::oid);
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._load_again(regclass[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._load_again(regclass[]) IS
    'Takes the rows of tables out and loads them as from a dump, so that triggers make what follows from them: rows '
    'of other tables that refer to them and that no dump carries, which are removed before.';

CREATE FUNCTION usher.finish_load() RETURNS TABLE (step text, affected bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    PERFORM usher.require_permission('*:*');
    step := 'triggers_enabled';
    affected := 0;
    FOR each IN SELECT r.* FROM usher._resting_triggers() AS r LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', each.relation,
                       CASE each.state WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, each.name);
        affected := affected + 1;
    END LOOP;
    RETURN NEXT;
    FOR each IN
        SELECT l.* FROM usher._load_again(ARRAY(
            SELECT DISTINCT t.tgrelid::regclass
            FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
                JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                    AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
                JOIN pg_trigger AS t ON t.tgrelid = d.objid AND t.tgenabled = 'A' AND t.tgtype & 4 <> 0 -- INSERT
            -- apply_decisions() is for those
            WHERE t.tgrelid <> 'usher.decisions'::regclass
                AND t.tgfoid <> ALL (ARRAY['usher._load_rows()'::regprocedure, 'usher._keep_decision()'::regprocedure,
                    'usher._invalidate_cache()'::regprocedure, 'usher._invalidate_entry()'::regprocedure])
            ORDER BY 1)) AS l
    LOOP
        step := each.relation;
        affected := each.loaded;
        RETURN NEXT;
    END LOOP;
    step := 'decisions_applied';
    affected := usher.apply_decisions();
    RETURN NEXT;
    PERFORM usher.log_event('database.load_finished');
END
$$;
REVOKE ALL ON FUNCTION usher.finish_load() FROM PUBLIC;
COMMENT ON FUNCTION usher.finish_load() IS
    'After pg_restore --disable-triggers, as pg_upgradecluster -m dump does it, and before anybody works with the '
    'database: enables triggers as the installed version has them, loads once more the rows from which others follow '
    '(claims of bookings, the closure of roles and so on), so that those are made, moves rows of the logs to their '
    'place, and applies decisions. Every other way of loading a dump needs none of it. Locks these tables until the '
    'transaction ends. Needs *:*.';

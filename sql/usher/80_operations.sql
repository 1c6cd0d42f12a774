-- Upkeep and health. Every usher extension has private functions _run_maintenance, _check_configuration and _self_check in its
-- schema; the public functions here call those of all that are installed.

CREATE FUNCTION usher._installed() RETURNS TABLE (extension name, schema name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.extname, n.nspname
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'usher' OR e.extname LIKE 'usher\_%'
    ORDER BY e.extname;
END;
REVOKE ALL ON FUNCTION usher._installed() FROM PUBLIC;
COMMENT ON FUNCTION usher._installed() IS 'The usher extensions of this database and their schemas, core first.';

CREATE FUNCTION usher.run_maintenance(max_rows integer DEFAULT 10000) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installed record;
BEGIN
    IF max_rows IS NULL OR max_rows < 1 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be at least 1');
    END IF;
    FOR installed IN SELECT i.extension, i.schema FROM usher._installed() i LOOP
        IF to_regprocedure(format('%I._run_maintenance(integer)', installed.schema)) IS NOT NULL THEN
            BEGIN
                RETURN QUERY EXECUTE format('SELECT m.task, m.affected FROM %I._run_maintenance($1) AS m', installed.schema)
                    USING run_maintenance.max_rows;
            EXCEPTION WHEN OTHERS THEN -- one extension's trouble is not the others'
                RAISE WARNING 'upkeep of % failed: % (%)', installed.extension, SQLERRM, SQLSTATE;
                task := installed.extension || '_failed';
                affected := NULL;
                RETURN NEXT;
            END;
        END IF;
    END LOOP;
    -- Last, since it may lock the audit log: the lock is kept until the commit.
    task := 'audit_partitions_made';
    affected := usher._maintain_audit_partitions();
    RETURN NEXT;
    task := 'audit_partitions_retired';
    affected := usher._retire_audit_partitions();
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION usher.run_maintenance(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_maintenance(integer) IS
    'Upkeep of all usher extensions in one call, at most max_rows rows of each kind: expired sessions and tokens, old attempts, limits and events, holds, and the months of the audit log. An extension whose part fails is told by a warning and a row <extension>_failed; the others go on. For the background worker or any scheduler; safe to call at any time.';

CREATE FUNCTION usher._write_survivor(table_name text, data jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A row that refers to something that was rolled back as well cannot be written; its trace is in the server log.
    EXECUTE format('INSERT INTO usher.%1$I SELECT (jsonb_populate_record(NULL::usher.%1$I, $1)).* ON CONFLICT DO NOTHING', table_name)
        USING data;
EXCEPTION WHEN integrity_constraint_violation OR undefined_table OR data_exception THEN
    RAISE LOG 'usher: could not keep a row of % after a rollback: %', table_name, SQLERRM;
END $$;
REVOKE ALL ON FUNCTION usher._write_survivor(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._write_survivor(text, jsonb) IS
    'For the background worker: writes a row whose transaction was rolled back but which must stay, such as a failed login.';

CREATE FUNCTION usher.check_configuration() RETURNS TABLE (extension name, finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installed record;
BEGIN
    FOR installed IN SELECT i.extension, i.schema FROM usher._installed() i LOOP
        IF to_regprocedure(format('%I._check_configuration()', installed.schema)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format('SELECT $1, c.finding, c.severity, c.advice FROM %I._check_configuration() AS c', installed.schema)
                USING installed.extension;
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION usher.check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION usher.check_configuration() IS
    'What in the settings and grants of this server is unsafe or missing, with advice. severity: notice, warning, critical. No rows: all is well.';

CREATE FUNCTION usher.self_check() RETURNS TABLE (extension name, rule text, violations bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installed record;
BEGIN
    FOR installed IN SELECT i.extension, i.schema FROM usher._installed() i LOOP
        IF to_regprocedure(format('%I._self_check()', installed.schema)) IS NOT NULL THEN
            RETURN QUERY EXECUTE format('SELECT $1, c.rule, c.violations FROM %I._self_check() AS c', installed.schema)
                USING installed.extension;
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION usher.self_check() FROM PUBLIC;
COMMENT ON FUNCTION usher.self_check() IS
    'The rules that the data of all usher extensions must obey, each with the number of rows that break it: 0, if all is well.';

CREATE FUNCTION usher._is_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_operations_is_preloaded';
REVOKE ALL ON FUNCTION usher._is_preloaded() FROM PUBLIC;
COMMENT ON FUNCTION usher._is_preloaded() IS 'Whether the library was preloaded, so that there are shared counters and background workers.';

CREATE FUNCTION usher._lost_survivors() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_operations_lost_survivors';
REVOKE ALL ON FUNCTION usher._lost_survivors() FROM PUBLIC;
COMMENT ON FUNCTION usher._lost_survivors() IS 'How many rows that were to outlive a rollback were lost since the server started.';

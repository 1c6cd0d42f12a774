-- Upkeep and health. Every extension and application registers functions for its part; the public functions here call
-- all of them.

CREATE FUNCTION usher._installed() RETURNS TABLE (extension name, schema name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- an application may have dropped its schema without a word
    SELECT x.name, n.nspname
    FROM usher.extensions AS x JOIN pg_catalog.pg_namespace AS n ON n.nspname = usher._schema_of(x.name)
    ORDER BY x.name <> 'usher', x.name;
END;
REVOKE ALL ON FUNCTION usher._installed() FROM PUBLIC;
COMMENT ON FUNCTION usher._installed() IS
    'What is registered in this database, extensions and applications, and their schemas, core first.';

CREATE FUNCTION usher.upkeep_step(INOUT task text, statement text, max_rows integer, OUT affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF task IS NULL OR task !~ '^[a-z][a-z0-9_]{0,62}$' OR statement IS NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            'task must be a name of lower-case letters, digits and underscores, and statement not null',
            jsonb_build_object('argument', CASE WHEN task ~ '^[a-z][a-z0-9_]{0,62}$' THEN 'statement'
                                                ELSE 'task' END));
    END IF;
    BEGIN
        IF statement ~* '^\s*SELECT\M' THEN
            EXECUTE statement INTO affected USING max_rows;
        ELSE
            EXECUTE statement USING max_rows;
            GET DIAGNOSTICS affected = ROW_COUNT;
        END IF;
        task := task || CASE WHEN affected IS NULL THEN '_failed' ELSE '' END;
    EXCEPTION WHEN OTHERS OR assert_failure THEN -- a cancel and a shutdown are none of these: they end the whole
        RAISE WARNING 'upkeep step % failed: % (%)', task, SQLERRM, SQLSTATE;
        task := task || '_failed';
        affected := NULL;
    END;
END
$$;
REVOKE ALL ON FUNCTION usher.upkeep_step(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.upkeep_step(text, text, integer) IS
    'For the upkeep hook of an extension: runs one step on its own, so that its failure stops no other. statement '
    'takes max_rows as $1; a SELECT returns how many rows it has changed, or NULL when it has failed and said why; of '
    'other statements they are counted. A step that fails is told by a warning and becomes the row <task>_failed. '
    'Runs with the caller''s rights.';

CREATE FUNCTION usher._call_archive_function(hook regprocedure, source regclass, rows jsonb) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_call_row_archive_function';
REVOKE ALL ON FUNCTION usher._call_archive_function(regprocedure, regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._call_archive_function(regprocedure, regclass, jsonb) IS
    'Calls the archive function with the rights of its owner, in a security-restricted operation.';

CREATE FUNCTION usher._archive_wanted() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN current_setting('usher.archive_function') <> '';
REVOKE ALL ON FUNCTION usher._archive_wanted() FROM PUBLIC;
COMMENT ON FUNCTION usher._archive_wanted() IS 'Whether old rows go to an archive function before they are removed.';

CREATE FUNCTION usher._archive_rows(source regclass, removed bigint, rows jsonb) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named CONSTANT text := current_setting('usher.archive_function');
    hook CONSTANT regprocedure := to_regprocedure(nullif(named, '') || '(regclass, jsonb)');
BEGIN
    IF rows IS NULL THEN -- nothing was removed, or nobody wants it
        RETURN removed;
    END IF;
    IF hook IS NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            'usher.archive_function ' || named || ' (regclass, jsonb) does not exist: nothing is removed');
    END IF;
    PERFORM usher._call_archive_function(hook, source, rows);
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._archive_rows(regclass, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._archive_rows(regclass, bigint, jsonb) IS
    'Hands rows that have just been removed to usher.archive_function and returns their number; an error of it brings '
    'them back, because it ends the step.';

CREATE FUNCTION usher._remove_old_rows(source regclass, condition text, secrets text[], max_rows integer)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    EXECUTE format($sql$
        WITH gone AS (
            DELETE FROM %1$s d
            WHERE d.id IN (SELECT x.id FROM %1$s x WHERE %2$s LIMIT $1 FOR UPDATE SKIP LOCKED)
            RETURNING d)
        SELECT usher._archive_rows(%1$L, count(*),
                                   jsonb_agg(to_jsonb(g.d) - $2) FILTER (WHERE usher._archive_wanted()))
        FROM gone g$sql$, source, condition)
        INTO removed USING max_rows, secrets;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._remove_old_rows(regclass, text, text[], integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._remove_old_rows(regclass, text, text[], integer) IS
    'A step of upkeep: removes at most max_rows rows x of core''s table that meet a condition written in SQL, after '
    'the archive function, if there is one, has got them without their secrets; returns how many.';

CREATE FUNCTION usher._note_upkeep(registrant name, steps jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- Rows that somebody else notes down now are passed over: upkeep never waits for upkeep.
    PERFORM FROM usher.upkeep_failures f WHERE f.registrant = _note_upkeep.registrant FOR UPDATE NOWAIT;
    INSERT INTO usher.upkeep_failures AS f (registrant, task)
    SELECT DISTINCT _note_upkeep.registrant, regexp_replace(s.task, '_failed$', '')
    FROM jsonb_to_recordset(steps) AS s (task text, affected bigint) WHERE s.affected IS NULL
    ON CONFLICT ON CONSTRAINT upkeep_failures_pkey DO UPDATE
    SET failures = f.failures + 1, failed_at = clock_timestamp(), recovered_at = NULL;
    UPDATE usher.upkeep_failures f SET recovered_at = clock_timestamp()
    WHERE f.registrant = _note_upkeep.registrant AND f.recovered_at IS NULL
        AND NOT EXISTS (SELECT FROM jsonb_to_recordset(steps) AS s (task text, affected bigint)
                        WHERE s.affected IS NULL AND regexp_replace(s.task, '_failed$', '') = f.task);
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._note_upkeep(name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._note_upkeep(name, jsonb) IS
    'Notes which steps of one registrant have failed, and which that had failed have not.';

CREATE FUNCTION usher.run_maintenance(max_rows integer DEFAULT 10000) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s' -- upkeep comes again: what waits for long is left for the next time
AS $$
DECLARE
    hook record;
    steps jsonb;
    core_steps jsonb := '[]';
BEGIN
    IF max_rows IS NULL OR max_rows < 1 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be at least 1', '{"argument": "max_rows"}');
    END IF;
    FOR hook IN SELECT h.registrant, h.function FROM usher._hook_functions('upkeep') AS h LOOP
        BEGIN
            SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') INTO steps
            FROM jsonb_to_recordset(usher._call_hook(hook.function, max_rows => run_maintenance.max_rows))
                AS m (task text, affected bigint);
        EXCEPTION WHEN OTHERS OR assert_failure THEN -- one extension's trouble is not the others'
            RAISE WARNING 'upkeep of % failed: % (%)', hook.registrant, SQLERRM, SQLSTATE;
            steps := jsonb_build_array(jsonb_build_object('task', hook.registrant || '_failed', 'affected', NULL));
        END;
        RETURN QUERY SELECT m.task, m.affected FROM jsonb_to_recordset(steps) AS m (task text, affected bigint);
        IF hook.registrant = 'usher' THEN
            core_steps := steps;
        ELSE
            PERFORM usher._note_upkeep(hook.registrant, steps);
        END IF;
    END LOOP;
    -- Last, since it may lock the audit log: the lock is kept until the commit.
    SELECT jsonb_agg(to_jsonb(u)) INTO steps
    FROM (VALUES ('audit_partitions_made', 'SELECT usher._maintain_audit_partitions()'),
                 ('audit_partitions_retired', 'SELECT usher._retire_audit_partitions()')) AS s (task, statement)
        CROSS JOIN LATERAL usher.upkeep_step(s.task, s.statement, run_maintenance.max_rows) AS u;
    RETURN QUERY SELECT m.task, m.affected FROM jsonb_to_recordset(steps) AS m (task text, affected bigint);
    PERFORM usher._note_upkeep('usher', core_steps || steps);
END
$$;
REVOKE ALL ON FUNCTION usher.run_maintenance(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_maintenance(integer) IS
    'Upkeep of all registered extensions and applications in one call, at most max_rows rows of each kind: expired '
    'sessions and tokens, old attempts, limits and events, holds, and the months of the audit log. A step that fails '
    'is reported by a warning, a row <task>_failed (<extension>_failed for all of an extension), whose affected is '
    'NULL, and the metrics usher_upkeep_failing and usher_upkeep_failures_total; the others continue. For the '
    'background worker or any scheduler; safe to call at any time.';

CREATE FUNCTION usher._write_survivor(table_name text, data jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A row that refers to something that was rolled back as well cannot be written; its trace is in the server log.
    EXECUTE format('INSERT INTO usher.%1$I SELECT (jsonb_populate_record(NULL::usher.%1$I, $1)).* ON CONFLICT DO '
                   'NOTHING', table_name)
        USING data;
EXCEPTION WHEN integrity_constraint_violation OR undefined_table OR data_exception THEN
    RAISE LOG 'usher: could not keep a row of % after a rollback: %', table_name, SQLERRM;
END
$$;
REVOKE ALL ON FUNCTION usher._write_survivor(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._write_survivor(text, jsonb) IS
    'For the background worker: writes a row whose transaction was rolled back but which must stay, such as a failed '
    'login.';

CREATE FUNCTION usher.check_configuration() RETURNS TABLE (extension name, finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT h.registrant, c.finding, c.severity, c.advice
    FROM usher._hook_functions('configuration') AS h CROSS JOIN usher._try_hook(h.function) AS t
        CROSS JOIN LATERAL (
            SELECT f.finding, f.severity, f.advice
            FROM jsonb_to_recordset(t.answer) AS f (finding text, severity text, advice text)
            UNION ALL
            SELECT 'cannot be checked: ' || t.failure, 'critical', 'Mend the function of its hook "configuration".'
            WHERE t.failure IS NOT NULL) AS c
    WHERE h.function IS NOT NULL;
    RETURN QUERY
    SELECT e.extname, 'extension builds on usher and is not registered', 'warning',
        'Its install script must call usher.register_extension(): else its upkeep, checks, export and erasure are '
        'unknown.'
    FROM pg_extension AS e
    WHERE NOT EXISTS (SELECT FROM usher.extensions AS x WHERE x.name = e.extname)
        AND EXISTS (SELECT FROM pg_depend AS d
                        JOIN pg_extension AS core ON core.oid = d.refobjid AND core.extname = 'usher'
            WHERE d.classid = 'pg_extension'::regclass AND d.objid = e.oid
                AND d.refclassid = 'pg_extension'::regclass);
    RETURN QUERY
    SELECT h.registrant, format('the function of hook "%s" is gone, or returns something else', k.hook), 'critical',
           'Register again, or make the function again.'
    FROM usher._hooks() AS k CROSS JOIN usher._hook_functions(k.hook) AS h
    WHERE h.function IS NULL;
END
$$;
REVOKE ALL ON FUNCTION usher.check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION usher.check_configuration() IS
    'What in the settings and grants of this server is unsafe or missing, with advice. severity: notice, warning, '
    'critical. No rows: all is well.';

CREATE FUNCTION usher.self_check() RETURNS TABLE (extension name, rule text, violations bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT h.registrant, c.rule, c.violations
    FROM usher._hook_functions('self_check') AS h CROSS JOIN usher._try_hook(h.function) AS t
        CROSS JOIN LATERAL (
            SELECT f.rule, f.violations FROM jsonb_to_recordset(t.answer) AS f (rule text, violations bigint)
            UNION ALL
            SELECT 'the rules can be checked: ' || t.failure, 1 WHERE t.failure IS NOT NULL) AS c;
END
$$;
REVOKE ALL ON FUNCTION usher.self_check() FROM PUBLIC;
COMMENT ON FUNCTION usher.self_check() IS
    'The rules that the data of all usher extensions must obey, each with the number of rows that break it: 0, if all '
    'is well; 1 for the checks of an extension, if they fail themselves. Looks at everything, now; last_self_check() '
    'tells at once what was found last.';

CREATE FUNCTION usher._begin_self_check(max_age_seconds integer, of_registrant name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due name;
BEGIN
    INSERT INTO usher.self_checks (registrant, started_at)
    SELECT x.name, x.registered_at FROM usher.extensions AS x
    WHERE EXISTS (SELECT FROM usher.extension_hooks AS h WHERE h.registrant = x.name AND h.hook = 'self_check')
        AND NOT EXISTS (SELECT FROM usher.self_checks AS c WHERE c.registrant = x.name)
    ON CONFLICT DO NOTHING;
    -- One at a time: what somebody else runs now is not run twice.
    SELECT c.registrant INTO due FROM usher.self_checks AS c
    WHERE c.started_at <= clock_timestamp() - make_interval(secs => max_age_seconds)
        AND (of_registrant IS NULL OR c.registrant = of_registrant)
        AND EXISTS (SELECT FROM usher.extension_hooks AS h WHERE h.registrant = c.registrant AND h.hook = 'self_check')
    ORDER BY c.started_at, c.registrant LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    UPDATE usher.self_checks AS c SET started_at = clock_timestamp() WHERE c.registrant = due;
    RETURN due;
END
$$;
REVOKE ALL ON FUNCTION usher._begin_self_check(integer, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._begin_self_check(integer, name) IS
    'Takes the extension whose self-check was begun the longest ago, and at least so long ago, or NULL.';

CREATE FUNCTION usher._keep_self_check(of_registrant name) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    found jsonb;
    problem text;
BEGIN
    SELECT CASE WHEN t.failure IS NULL THEN t.answer END, t.failure INTO found, problem
    FROM usher._hook_functions('self_check') AS h CROSS JOIN usher._try_hook(h.function) AS t
    WHERE h.registrant = of_registrant;
    -- What it found before stays until there is something newer.
    UPDATE usher.self_checks AS c
    SET findings = coalesce(found, c.findings), failure = problem,
        checked_at = CASE WHEN problem IS NULL THEN clock_timestamp() ELSE c.checked_at END,
        took = CASE WHEN problem IS NULL THEN clock_timestamp() - began ELSE c.took END
    WHERE c.registrant = of_registrant;
    RETURN problem;
END
$$;
REVOKE ALL ON FUNCTION usher._keep_self_check(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._keep_self_check(name) IS
    'Runs the self-check of an extension and keeps what it finds; returns why it failed, if it did.';

CREATE FUNCTION usher.last_self_check()
    RETURNS TABLE (extension name, rule text, violations bigint, checked_at timestamptz, took interval, failure text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT h.registrant, f.rule, f.violations, c.checked_at, c.took,
           coalesce(c.failure, CASE WHEN c.started_at > c.checked_at AND c.started_at < now() - interval '1 hour'
                                    THEN format('begun at %s, and not done', c.started_at) END)
    FROM usher._hook_functions('self_check') AS h
        LEFT JOIN usher.self_checks AS c ON c.registrant = h.registrant
        LEFT JOIN LATERAL jsonb_to_recordset(c.findings) AS f (rule text, violations bigint) ON true;
END
$$;
REVOKE ALL ON FUNCTION usher.last_self_check() FROM PUBLIC;
COMMENT ON FUNCTION usher.last_self_check() IS
    'What the last self-check of each extension has found, and when, without looking at the data again: answered at '
    'once, however much there is. The background worker checks each extension every usher.self_check_interval; '
    'run_self_check() does so now. rule is NULL for what was never checked.';

CREATE FUNCTION usher.run_self_check(only_extension name DEFAULT NULL)
    RETURNS TABLE (extension name, rule text, violations bigint, checked_at timestamptz, took interval, failure text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    begun name;
BEGIN
    IF only_extension IS NOT NULL
        AND NOT EXISTS (SELECT FROM usher._hook_functions('self_check') AS h WHERE h.registrant = only_extension) THEN
        PERFORM usher.raise_error('unknown_reference', format('"%s" has registered no self-check', only_extension),
                                  jsonb_build_object('extension', only_extension));
    END IF;
    begun := usher._begin_self_check(0, only_extension);
    PERFORM usher._keep_self_check(begun) WHERE begun IS NOT NULL;
    RETURN QUERY SELECT l.* FROM usher.last_self_check() AS l WHERE l.extension = begun;
END
$$;
REVOKE ALL ON FUNCTION usher.run_self_check(name) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_self_check(name) IS
    'Runs the self-check of one extension, or of the one whose last check is the oldest, keeps what it finds for '
    'last_self_check(), and returns it. For a scheduler where there is no background worker. No rows: somebody '
    'else is at it.';

CREATE FUNCTION usher._is_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_operations_is_preloaded';
REVOKE ALL ON FUNCTION usher._is_preloaded() FROM PUBLIC;
COMMENT ON FUNCTION usher._is_preloaded() IS
    'Whether the library was preloaded, so that there are shared counters and background workers.';

CREATE FUNCTION usher._lost_survivors() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_operations_lost_survivors';
REVOKE ALL ON FUNCTION usher._lost_survivors() FROM PUBLIC;
COMMENT ON FUNCTION usher._lost_survivors() IS
    'How many rows that were to outlive a rollback were lost since the server started.';

CREATE FUNCTION usher._worker_expected() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_operations_worker_expected';
REVOKE ALL ON FUNCTION usher._worker_expected() FROM PUBLIC;
COMMENT ON FUNCTION usher._worker_expected() IS
    'Whether a background worker has to keep this database up: the library is preloaded, usher.worker_databases names '
    'the database, and the server is no standby. NULL when the setting cannot be read.';

CREATE FUNCTION usher._worker_jobs()
    RETURNS TABLE (job text, known_since timestamptz, running_since timestamptz, succeeded_at timestamptz,
                   failed_at timestamptz, message text)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_operations_worker_jobs';
REVOKE ALL ON FUNCTION usher._worker_jobs() FROM PUBLIC;
COMMENT ON FUNCTION usher._worker_jobs() IS
    'What the background worker of this database does regularly, when each job last succeeded and last failed, and '
    'why. Forgotten when the server stops.';

CREATE FUNCTION usher._worker_problem() RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected CONSTANT boolean := usher._worker_expected();
BEGIN
    IF expected IS NULL THEN
        RETURN 'usher.worker_databases is not a list of database names';
    ELSIF NOT expected THEN
        RETURN NULL;
    ELSIF NOT usher._worker_running() THEN
        RETURN 'the background worker does not run';
    END IF;
    RETURN (
        SELECT CASE WHEN j.failed_at > coalesce(j.succeeded_at, '-infinity')
                    THEN format('%s failed: %s', j.job, j.message)
                    ELSE format('%s has not succeeded since %s', j.job, greatest(j.succeeded_at, j.known_since)) END
        FROM usher._worker_jobs() j
        WHERE j.failed_at > coalesce(j.succeeded_at, '-infinity')
           OR greatest(j.succeeded_at, j.known_since) < clock_timestamp() - interval '30 seconds'
                - CASE WHEN j.job IN ('maintenance', 'sealing the audit log', 'self-check')
                                 THEN 3 * current_setting('usher.maintenance_interval')::interval
                             ELSE 5 * current_setting('usher.flush_interval')::interval END
              -- a self-check takes as long as there are rows, and usher.worker_job_timeout at most
              AND (j.job <> 'self-check' OR j.running_since IS NULL)
        ORDER BY j.failed_at DESC NULLS LAST, j.job LIMIT 1);
END
$$;
REVOKE ALL ON FUNCTION usher._worker_problem() FROM PUBLIC;
COMMENT ON FUNCTION usher._worker_problem() IS
    'What is wrong with the background worker: it is expected and does not run, the last run of a job failed, or a '
    'job has not succeeded for long. NULL when all is well, and when no worker is expected.';

CREATE FUNCTION usher._worker_running() RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_stat_activity a
                   WHERE a.backend_type = 'usher worker' AND a.datname = current_database());
END
$$;
REVOKE ALL ON FUNCTION usher._worker_running() FROM PUBLIC;
COMMENT ON FUNCTION usher._worker_running() IS 'Whether a background worker of usher is connected to this database.';

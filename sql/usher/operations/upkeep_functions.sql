-- Core's own part of upkeep and health.

CREATE FUNCTION usher._remove_expired_grants(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutoff CONSTANT timestamptz := now() - make_interval(days => current_setting('usher.identity_retention')::integer);
    relation text;
    removed bigint;
    total bigint := 0;
BEGIN
    -- They stopped working at the instant of expiry; this only tidies up what a review no longer needs to see.
    FOREACH relation IN ARRAY ARRAY['user_permissions', 'user_roles', 'role_permissions'] LOOP
        EXECUTE format('DELETE FROM usher.%1$I g WHERE g.ctid IN (SELECT o.ctid FROM usher.%1$I o WHERE o.expires_at '
                       '< $1 LIMIT $2 FOR UPDATE SKIP LOCKED)', relation)
            USING cutoff, max_rows;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION usher._remove_expired_grants(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._remove_expired_grants(integer) IS
    'Removes grants of roles and permissions that expired more than usher.identity_retention days ago; returns how '
    'many.';

CREATE FUNCTION usher.list_expiring_grants(before timestamptz DEFAULT now(), max_rows integer DEFAULT 100)
    RETURNS TABLE (expires_at timestamptz, user_id uuid, role text, permission text, effect text, scope text,
                   granted_by uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('role:read');
    IF before IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'before must not be null', '{"argument": "before"}');
    END IF;
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT u.expires_at, u.user_id, NULL, u.permission, u.effect, u.scope, u.granted_by
    FROM usher.user_permissions u WHERE u.expires_at < list_expiring_grants.before
    UNION ALL
    SELECT u.expires_at, u.user_id, r.name, NULL, NULL, u.scope, u.assigned_by
    FROM usher.user_roles u JOIN usher.roles r ON r.id = u.role_id
    WHERE u.expires_at < list_expiring_grants.before
    UNION ALL
    SELECT p.expires_at, NULL, r.name, p.permission, p.effect, p.scope, p.granted_by
    FROM usher.role_permissions p JOIN usher.roles r ON r.id = p.role_id
    WHERE p.expires_at < list_expiring_grants.before
    ORDER BY 1, 2, 3, 4, 6 LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_expiring_grants(timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_expiring_grants(timestamptz, integer) IS
    'For a review: roles and permissions of users, and permissions of roles, that expire before an instant, by '
    'default those that have expired and wait for upkeep; oldest first. Needs role:read.';

CREATE FUNCTION usher._remove_old_events(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    events_kept CONSTANT interval := make_interval(days => current_setting('usher.events_retention')::integer);
    removed bigint;
BEGIN
    WITH due AS (
        SELECT e.id FROM usher.events e
        WHERE e.created_at < now() - events_kept
            AND NOT EXISTS (SELECT FROM usher.deliveries d WHERE d.event_id = e.id AND d.status <> 'completed')
        LIMIT max_rows FOR UPDATE SKIP LOCKED),
    held AS ( -- events with a delivery that somebody holds
        SELECT d.event_id FROM usher.deliveries d JOIN due ON d.event_id = due.id
        EXCEPT ALL
        SELECT f.event_id
        FROM (SELECT d.event_id
              FROM usher.deliveries d JOIN due ON d.event_id = due.id FOR UPDATE OF d SKIP LOCKED) f),
    delivered AS (
        DELETE FROM usher.deliveries d USING due
        WHERE d.event_id = due.id AND due.id NOT IN (SELECT h.event_id FROM held h)),
    gone AS (
        DELETE FROM usher.events e USING due WHERE e.id = due.id AND due.id NOT IN (SELECT h.event_id FROM held h)
        RETURNING e)
    SELECT usher._archive_rows('usher.events', count(*),
                               jsonb_agg(to_jsonb(g.e)) FILTER (WHERE usher._archive_wanted()))
    INTO removed FROM gone g;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._remove_old_events(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._remove_old_events(integer) IS
    'Removes events that all consumers have completed and that are older than usher.events_retention days; returns '
    'how many.';

CREATE FUNCTION usher._run_maintenance(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step record;
BEGIN
    RETURN QUERY SELECT m.task, m.affected FROM usher._maintain_identity(max_rows) m;

    -- SKIP LOCKED: what somebody works on now is left for the next time, so upkeep never waits and is never waited
    -- for.
    FOR step IN
        SELECT * FROM (VALUES
            ('events_removed', 'SELECT usher._remove_old_events($1)'),
            ('levels_of_lost_roles_removed', 'SELECT usher._follow_database_roles()'),
            ('rate_limits_flushed', 'SELECT usher._flush_rate_limits()'),
            ('rate_limits_removed', 'SELECT usher._maintain_rate_limits($1)'),
            ('idempotent_answers_removed', $sql$
                DELETE FROM usher.idempotent_answers a
                WHERE (a.principal, a.key_hash) IN (
                    SELECT x.principal, x.key_hash FROM usher.idempotent_answers x
                    WHERE x.created_at
                        < now() - make_interval(hours => current_setting('usher.idempotency_retention')::integer)
                    LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('idempotent_calls_removed', 'SELECT usher._forget_old_calls($1)'),
            ('expired_grants_removed', 'SELECT usher._remove_expired_grants($1)'),
            ('audit_rows_removed', 'SELECT usher._remove_old_audit_rows($1)'),
            -- A key retires an hour after the last token that it signed has expired at the latest.
            ('signing_keys_removed', $sql$
                DELETE FROM usher.signing_keys k
                WHERE k.kid IN (SELECT x.kid FROM usher.signing_keys x
                                WHERE x.retires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('audit_rows_sealed', 'SELECT usher._keep_audit_log_sealed($1)'),
            ('table_sizes_noted', 'SELECT usher._note_table_sizes()')
        ) AS v (task, statement)
    LOOP
        RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step(step.task, step.statement, max_rows) u;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._run_maintenance(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._run_maintenance(integer) IS 'Core''s part of usher.run_maintenance().';

CREATE FUNCTION usher._live_sessions() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A refresh changes expires_at, so it has no index.
    RETURN (SELECT round(count(*) * 100 / usher.sample_percent('usher.sessions'))::bigint
            FROM usher.sessions s TABLESAMPLE SYSTEM (usher.sample_percent('usher.sessions'))
            WHERE s.status = 'active' AND s.expires_at > now());
END
$$;
REVOKE ALL ON FUNCTION usher._live_sessions() FROM PUBLIC;
COMMENT ON FUNCTION usher._live_sessions() IS 'How many sessions are in force, estimated where there are many.';

CREATE FUNCTION usher._waiting_deliveries()
    RETURNS TABLE (consumer text, status text, deliveries bigint, oldest timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- from one consumer to the next in the indexes of what waits and of what is parked
    RETURN QUERY
    WITH RECURSIVE step (consumer, status) AS (
        SELECT (SELECT d.consumer FROM usher.deliveries d WHERE d.status = 'pending' ORDER BY d.consumer LIMIT 1),
               'pending'
        UNION ALL
        SELECT (SELECT d.consumer FROM usher.deliveries d WHERE d.status = 'pending' AND d.consumer > s.consumer
                ORDER BY d.consumer LIMIT 1), s.status
        FROM step s WHERE s.consumer IS NOT NULL
    ), parked (consumer, status) AS (
        SELECT (SELECT d.consumer FROM usher.deliveries d WHERE d.status = 'parked' ORDER BY d.consumer LIMIT 1),
               'parked'
        UNION ALL
        SELECT (SELECT d.consumer FROM usher.deliveries d WHERE d.status = 'parked' AND d.consumer > s.consumer
                ORDER BY d.consumer LIMIT 1), s.status
        FROM parked s WHERE s.consumer IS NOT NULL
    )
    SELECT w.consumer, w.status,
           usher.count_or_estimate(format('SELECT FROM usher.deliveries d WHERE d.consumer = %L AND d.status = %L',
                                          w.consumer, w.status)),
           CASE w.status -- the condition of each index has to be there in words
               WHEN 'pending' THEN (SELECT d.created_at FROM usher.deliveries d
                                    WHERE d.consumer = w.consumer AND d.status = 'pending' ORDER BY d.event_id LIMIT 1)
               ELSE (SELECT d.created_at FROM usher.deliveries d
                     WHERE d.consumer = w.consumer AND d.status = 'parked' ORDER BY d.event_id LIMIT 1) END
    FROM (TABLE step UNION ALL TABLE parked) AS w
    WHERE w.consumer IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._waiting_deliveries() FROM PUBLIC;
COMMENT ON FUNCTION usher._waiting_deliveries() IS
    'How many deliveries of each consumer wait or are parked, and since when.';

CREATE FUNCTION usher.health(OUT status text, OUT in_recovery boolean, OUT preloaded boolean,
                             OUT active_users bigint, OUT live_sessions bigint, OUT audit_rows_last_hour bigint,
                             OUT parked_events bigint, OUT worker_expected boolean, OUT worker_running boolean,
                             OUT worker_problem text, OUT last_flush_at timestamptz, OUT last_upkeep_at timestamptz,
                             OUT extension_problems jsonb, OUT database_time timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    in_recovery := pg_is_in_recovery();
    preloaded := usher._is_preloaded();
    active_users := usher.count_or_estimate($sql$SELECT FROM usher.users u WHERE u.status = 'active'$sql$);
    live_sessions := usher._live_sessions();
    audit_rows_last_hour := usher.count_or_estimate($sql$SELECT FROM usher.audit_logs a
        WHERE a.created_at > now() - interval '1 hour'
            AND a.id > usher._first_id_at(now() - interval '1 hour 1 second')$sql$);
    parked_events := usher.count_or_estimate($sql$SELECT FROM usher.deliveries d WHERE d.status = 'parked'$sql$);
    worker_expected := usher._worker_expected();
    worker_running := usher._worker_running();
    worker_problem := usher._worker_problem();
    last_flush_at := (SELECT CASE WHEN bool_and(j.succeeded_at IS NOT NULL) THEN min(j.succeeded_at) END
        FROM usher._worker_jobs() j
        WHERE j.job NOT IN ('maintenance', 'sealing the audit log', 'self-check', 'running event handlers'));
    last_upkeep_at := (SELECT j.succeeded_at FROM usher._worker_jobs() j WHERE j.job = 'maintenance');
    extension_problems := (
        SELECT coalesce(jsonb_object_agg(h.registrant, p.problem), '{}')
        FROM usher._hook_functions('health') AS h CROSS JOIN usher._try_hook(h.function, seconds => 5) AS t
            CROSS JOIN coalesce('cannot be asked: ' || t.failure, t.answer ->> 0) AS p (problem)
        WHERE p.problem IS NOT NULL);
    database_time := clock_timestamp();
    status := CASE WHEN parked_events > 0 OR worker_problem IS NOT NULL OR extension_problems <> '{}' THEN 'degraded'
                   ELSE 'ok' END;
END
$$;
REVOKE ALL ON FUNCTION usher.health() FROM PUBLIC;
COMMENT ON FUNCTION usher.health() IS
    'A look at the whole: active users, live sessions, audit rows of the last hour, events that failed too often, and '
    'the state of the background worker: whether one is expected here, whether it runs, what is wrong with it, when '
    'it last wrote everything that is counted in shared memory, and when it last did its upkeep. status is ok, or '
    'degraded when events are parked, worker_problem is not null, or extension_problems names an extension. Numbers '
    'above 1,000 are estimates.';

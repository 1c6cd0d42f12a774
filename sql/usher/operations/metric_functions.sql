-- Numbers for whoever watches: usher.metrics() for a scraper, what a table was on each day, slow statements.

CREATE FUNCTION usher._statements_view() RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- the setting is there only where the library was preloaded; else the view raises
    SELECT format('%I.pg_stat_statements', n.nspname)
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_stat_statements' AND current_setting('pg_stat_statements.max', true) IS NOT NULL;
END;
REVOKE ALL ON FUNCTION usher._statements_view() FROM PUBLIC;
COMMENT ON FUNCTION usher._statements_view() IS 'The view of pg_stat_statements, where it can be asked; else NULL.';

CREATE FUNCTION usher.slow_statements(max_rows integer DEFAULT 20)
    RETURNS TABLE (statement text, calls bigint, mean_ms double precision, total_ms double precision,
                   rows_returned bigint, blocks_read bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text := usher._statements_view();
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF statements IS NULL THEN
        RETURN;
    END IF;
    -- Of other commands the text is kept as it was, and can hold a password.
    RETURN QUERY EXECUTE format($sql$
        SELECT s.query, s.calls, s.mean_exec_time, s.total_exec_time, s.rows, s.shared_blks_read
        FROM %s AS s
        WHERE s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND s.query ~* '^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CALL)\M'
        ORDER BY s.total_exec_time DESC, s.queryid LIMIT $1$sql$, statements) USING max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.slow_statements(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.slow_statements(integer) IS
    'The statements of this database that have taken the most time since the statistics were reset, by '
    'pg_stat_statements; no rows where that is not preloaded. With pg_stat_statements.track = all those within '
    'functions count too.';

CREATE FUNCTION usher._statement_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text := usher._statements_view();
BEGIN
    IF statements IS NOT NULL AND has_table_privilege(statements, 'SELECT') THEN
        RETURN QUERY EXECUTE format($sql$
            SELECT x.name, '{}'::jsonb, x.value
            FROM (SELECT coalesce(sum(s.total_exec_time), 0) / 1000, coalesce(sum(s.calls), 0) FROM %s AS s)
                    AS t (seconds, calls)
                CROSS JOIN LATERAL (VALUES ('usher_statement_seconds_total', t.seconds::double precision),
                                           ('usher_statements_total', t.calls::double precision)) AS x (name, value)
            $sql$, statements);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._statement_metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher._statement_metrics() IS 'A part of usher._metrics(): what pg_stat_statements counts.';

CREATE FUNCTION usher._server_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    standby CONSTANT boolean := pg_is_in_recovery();
    written CONSTANT pg_lsn := CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END;
BEGIN
    RETURN QUERY SELECT x.name, '{}'::jsonb, x.value::double precision
        FROM pg_database AS d JOIN pg_stat_database AS s ON s.datid = d.oid
            CROSS JOIN LATERAL (VALUES
                ('usher_in_recovery', standby::integer::numeric),
                ('usher_database_bytes', pg_database_size(d.oid)),
                ('usher_database_deadlocks_total', s.deadlocks),
                ('usher_database_temporary_bytes_total', s.temp_bytes),
                -- unknown without checksums
                ('usher_database_checksum_failures_total', s.checksum_failures),
                ('usher_transaction_id_age', greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)))) AS x (name, value)
        WHERE d.datname = current_database() AND x.value IS NOT NULL;
    IF standby THEN
        -- while it is connected and has replayed all that has come, nothing is missing, however old that is
        RETURN QUERY SELECT 'usher_replay_lag_seconds', '{}'::jsonb,
            CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = written THEN 0
                 ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
            END::double precision;
    END IF;
    RETURN QUERY SELECT 'usher_standby_lag_bytes', jsonb_build_object('standby', r.application_name),
            max(pg_wal_lsn_diff(written, r.replay_lsn))::double precision
        FROM pg_stat_replication AS r WHERE r.replay_lsn IS NOT NULL GROUP BY r.application_name;
    RETURN QUERY SELECT 'usher_replication_slot_bytes',
            jsonb_build_object('slot', s.slot_name, 'active', s.active),
            pg_wal_lsn_diff(written, s.restart_lsn)::double precision
        FROM pg_replication_slots AS s WHERE s.restart_lsn IS NOT NULL;
    RETURN QUERY SELECT x.name, '{}'::jsonb, x.value::double precision
        FROM pg_stat_archiver AS a
            CROSS JOIN LATERAL (VALUES
                ('usher_archive_failures_total', a.failed_count),
                ('usher_archive_failing',
                 (a.last_failed_time > coalesce(a.last_archived_time, '-infinity') IS TRUE)::integer))
                AS x (name, value)
        WHERE current_setting('archive_mode') <> 'off';
    RETURN QUERY SELECT 'usher_master_key_problem', '{}'::jsonb,
            (usher._master_key_problem() IS NOT NULL)::integer::double precision;
    RETURN QUERY SELECT 'usher_signing_key_age_seconds', jsonb_build_object('algorithm', k.algorithm),
            extract(epoch FROM clock_timestamp() - max(k.activates_at))::double precision
        FROM usher.signing_keys AS k WHERE k.activates_at <= now() GROUP BY k.algorithm;
    RETURN QUERY SELECT 'usher_audit_severe_last_hour', jsonb_build_object('severity', v.severity),
            usher.count_or_estimate(format($sql$SELECT FROM usher.audit_logs AS a
                WHERE a.severity = %L AND a.severity <> 'info' AND a.created_at > now() - interval '1 hour'
                    AND a.id > usher._first_id_at(now() - interval '1 hour 1 second')$sql$, v.severity))
                ::double precision
        FROM unnest('{warning,error,critical}'::text[]) AS v (severity);
END
$$;
REVOKE ALL ON FUNCTION usher._server_metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher._server_metrics() IS
    'A part of usher._metrics(): replication, archive, checksums, keys, severe events.';

CREATE FUNCTION usher._metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'usher_users', jsonb_build_object('status', s.status), c.users::double precision
        FROM unnest('{pending,active,deactivated,deleted,erased}'::text[]) AS s (status)
            CROSS JOIN usher.count_or_estimate(format('SELECT FROM usher.users u WHERE u.status = %L',
                                                      s.status)) AS c (users)
        WHERE c.users > 0;
    RETURN QUERY SELECT 'usher_sessions_live', '{}'::jsonb, usher._live_sessions()::double precision;
    RETURN QUERY SELECT 'usher_accounts_locked', '{}'::jsonb, count(*)::double precision
        FROM usher.credentials c WHERE c.locked_until > now();
    RETURN QUERY
        SELECT 'usher_login_attempts_last_hour', jsonb_build_object('success', s.success), c.attempts::double precision
        FROM unnest('{true,false}'::boolean[]) AS s (success)
            CROSS JOIN usher.count_or_estimate(format($sql$SELECT FROM usher.login_attempts a
                WHERE a.attempted_at > now() - interval '1 hour' AND a.success = %L$sql$, s.success)) AS c (attempts)
        WHERE c.attempts > 0;
    RETURN QUERY SELECT 'usher_deliveries', jsonb_build_object('consumer', d.consumer, 'status', d.status),
            d.deliveries::double precision
        FROM usher._waiting_deliveries() AS d;
    -- partitions are counted with their table: there are more every month
    RETURN QUERY SELECT 'usher_table_bytes', jsonb_build_object('schema', t.schema_name, 'table', t.table_name),
            t.bytes::double precision
        FROM usher._table_sizes() AS t;
    RETURN QUERY SELECT 'usher_table_rows',
            jsonb_build_object('schema', t.schemaname, 'table', root.relname, 'state', x.state),
            sum(x.n)::double precision
        FROM pg_stat_user_tables t
            JOIN pg_class root ON root.oid = coalesce(pg_partition_root(t.relid), t.relid)
            CROSS JOIN LATERAL (VALUES ('live', t.n_live_tup), ('dead', t.n_dead_tup)) AS x (state, n)
        WHERE t.schemaname IN (SELECT i.schema FROM usher._installed() i) AND root.relname NOT LIKE '%\_inval'
        GROUP BY t.schemaname, root.relname, x.state;
    RETURN QUERY SELECT 'usher_index_scans_total', jsonb_build_object(
        'schema', x.schemaname, 'table', x.relname, 'index', x.indexrelname), x.idx_scan::double precision
        FROM pg_stat_user_indexes x WHERE x.schemaname IN (SELECT i.schema FROM usher._installed() i);
    RETURN QUERY SELECT 'usher_connections', jsonb_build_object('state', coalesce(a.state, 'unknown')),
            count(*)::double precision
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.backend_type = 'client backend' GROUP BY a.state;
    RETURN QUERY SELECT 'usher_connections_max', '{}'::jsonb, current_setting('max_connections')::double precision;
    RETURN QUERY SELECT 'usher_lock_waits', '{}'::jsonb, count(*)::double precision
        FROM pg_locks l WHERE NOT l.granted;
    RETURN QUERY SELECT 'usher_oldest_transaction_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - min(a.xact_start)), 0)::double precision
        FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'client backend';
    RETURN QUERY SELECT 'usher_database_blocks_total', jsonb_build_object('from', x.source), x.n::double precision
        FROM pg_stat_database d
            CROSS JOIN LATERAL (VALUES ('cache', d.blks_hit), ('disk', d.blks_read)) AS x (source, n)
        WHERE d.datname = current_database();
    RETURN QUERY SELECT 'usher_transactions_total', jsonb_build_object('end', x.how), x.n::double precision
        FROM pg_stat_database d
            CROSS JOIN LATERAL (VALUES ('commit', d.xact_commit), ('rollback', d.xact_rollback)) AS x (how, n)
        WHERE d.datname = current_database();
    RETURN QUERY SELECT s.name, s.labels, s.value FROM usher._statement_metrics() AS s;
    RETURN QUERY SELECT 'usher_rate_limit_keys', jsonb_build_object('policy', r.policy, 'state', x.state),
            round(count(*) FILTER (WHERE x.counts) * 100 / usher.sample_percent('usher.rate_limit_records'))
        FROM usher.rate_limit_records r
                TABLESAMPLE SYSTEM (usher.sample_percent('usher.rate_limit_records'))
            CROSS JOIN LATERAL (VALUES ('hit', true), ('refused', r.refused_count > 0),
            ('blocked', coalesce(r.blocked_until > now(), false))) AS x (state, counts) GROUP BY r.policy, x.state;
    RETURN QUERY SELECT 'usher_grants_expired', '{}'::jsonb,
            (usher.count_or_estimate('SELECT FROM usher.user_permissions p WHERE p.expires_at < now()')
        + usher.count_or_estimate('SELECT FROM usher.user_roles r WHERE r.expires_at < now()'))::double precision;
    RETURN QUERY SELECT 'usher_oldest_pending_event_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - min(d.oldest)), 0)::double precision
        FROM usher._waiting_deliveries() AS d WHERE d.status = 'pending';
    -- they are numbered from 1, without gaps
    RETURN QUERY SELECT 'usher_audit_seals', '{}'::jsonb, coalesce(max(s.seq), 0)::double precision
        FROM usher.audit_seals s;
    RETURN QUERY SELECT 'usher_audit_sealed_until_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - (SELECT s.sealed_at FROM usher.audit_seals s
                                                             ORDER BY s.seq DESC LIMIT 1)), 0)::double precision;
    RETURN QUERY SELECT w.name, '{}'::jsonb, w.value::integer::double precision
        FROM (VALUES ('usher_worker_expected', coalesce(usher._worker_expected(), true)),
                     ('usher_worker_running', usher._worker_running())) AS w (name, value);
    RETURN QUERY SELECT 'usher_worker_job_failing', jsonb_build_object('job', j.job),
            (j.failed_at > coalesce(j.succeeded_at, '-infinity') IS TRUE)::integer::double precision
        FROM usher._worker_jobs() j;
    RETURN QUERY SELECT 'usher_worker_job_age_seconds', jsonb_build_object('job', j.job),
            extract(epoch FROM clock_timestamp() - greatest(j.succeeded_at, j.known_since))::double precision
        FROM usher._worker_jobs() j;
    RETURN QUERY SELECT x.name, jsonb_build_object('extension', f.registrant, 'task', f.task), x.value
        FROM usher.upkeep_failures f
            CROSS JOIN LATERAL (VALUES
                ('usher_upkeep_failures_total', f.failures::double precision),
                ('usher_upkeep_failing', (f.recovered_at IS NULL)::integer::double precision)) AS x (name, value);
    RETURN QUERY SELECT x.name, jsonb_build_object('extension', c.registrant), x.value
        FROM usher.self_checks AS c
            CROSS JOIN LATERAL (VALUES
                ('usher_self_check_violations',
                 (SELECT sum(f.violations) FROM jsonb_to_recordset(c.findings) AS f (violations bigint))
                     ::double precision),
                ('usher_self_check_age_seconds',
                 extract(epoch FROM clock_timestamp() - c.checked_at)::double precision),
                ('usher_self_check_failing', (c.failure IS NOT NULL)::integer::double precision)) AS x (name, value)
        WHERE x.value IS NOT NULL;
    RETURN QUERY SELECT s.name, s.labels, s.value FROM usher._server_metrics() AS s;
    RETURN QUERY SELECT 'usher_lost_survivors_total', '{}'::jsonb, usher._lost_survivors()::double precision;
END
$$;
REVOKE ALL ON FUNCTION usher._metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher._metrics() IS 'Core''s part of usher.metrics().';

CREATE FUNCTION usher._metric_help() RETURNS TABLE (name text, help text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    VALUES ('usher_accounts_locked', 'Accounts that are locked after failed logins.'),
        ('usher_archive_failing', '1 while the last attempt to archive a piece of the log has failed.'),
        ('usher_archive_failures_total', 'Failed attempts to archive a piece of the log.'),
        ('usher_audit_sealed_until_seconds', 'Age of the last seal of the audit log.'),
        ('usher_audit_seals', 'Seals of the audit log.'),
        ('usher_audit_severe_last_hour', 'Events of the audit log by severity, of the last hour.'),
        ('usher_connections', 'Connections to this database by state.'),
        ('usher_connections_max', 'The setting max_connections.'),
        ('usher_database_blocks_total', 'Blocks read, from the cache or from disk.'),
        ('usher_database_bytes', 'Size of the database.'),
        ('usher_database_checksum_failures_total', 'Blocks whose checksum was wrong.'),
        ('usher_database_deadlocks_total', 'Deadlocks.'),
        ('usher_database_temporary_bytes_total', 'Bytes written to temporary files.'),
        ('usher_deliveries', 'Deliveries of events that wait or are parked, by consumer.'),
        ('usher_grants_expired', 'Roles and permissions of users that have expired and wait for upkeep.'),
        ('usher_in_recovery', '1 on a standby.'),
        ('usher_index_scans_total', 'Scans of each index.'),
        ('usher_lock_waits', 'Locks that somebody waits for.'),
        ('usher_login_attempts_last_hour', 'Login attempts of the last hour.'),
        ('usher_lost_survivors_total', 'Rows that were to outlive a rollback and were lost.'),
        ('usher_master_key_problem', '1 while the master key cannot be used.'),
        ('usher_metrics_failing', '1 while an extension or application fails to tell its metrics, or has too many.'),
        ('usher_oldest_pending_event_seconds', 'Age of the oldest event that waits for a consumer.'),
        ('usher_oldest_transaction_seconds', 'Age of the oldest transaction.'),
        ('usher_rate_limit_keys', 'Keys of rate limits: hit, refused, blocked.'),
        ('usher_replay_lag_seconds', 'How far a standby is behind its primary.'),
        ('usher_replication_slot_bytes', 'Log that a replication slot holds back.'),
        ('usher_self_check_age_seconds', 'Age of the last self-check of each extension.'),
        ('usher_self_check_failing', '1 while the self-check of an extension fails.'),
        ('usher_self_check_violations', 'Rows that break a rule, by the last self-check of each extension.'),
        ('usher_sessions_live', 'Sessions in force.'),
        ('usher_signing_key_age_seconds', 'How long the newest signing key of each algorithm has been in use.'),
        ('usher_standby_lag_bytes', 'Log that a standby has not replayed yet.'),
        ('usher_statement_seconds_total', 'Time of all statements, by pg_stat_statements.'),
        ('usher_statements_total', 'Number of all statements, by pg_stat_statements.'),
        ('usher_table_bytes', 'Size of each table with its indexes.'),
        ('usher_table_rows', 'Rows of each table, live and dead.'),
        ('usher_transaction_id_age', 'Transactions since the oldest row that is not frozen.'),
        ('usher_transactions_total', 'Transactions, committed or rolled back.'),
        ('usher_upkeep_failing', '1 while a step of upkeep fails.'),
        ('usher_upkeep_failures_total', 'How often a step of upkeep has failed.'),
        ('usher_users', 'Accounts by status.'),
        ('usher_worker_expected', '1 where a background worker has to keep this database up.'),
        ('usher_worker_job_age_seconds', 'How long ago each job of the worker last succeeded.'),
        ('usher_worker_job_failing', '1 while the last run of a job of the worker has failed.'),
        ('usher_worker_running', '1 while the background worker runs.');
END;
REVOKE ALL ON FUNCTION usher._metric_help() FROM PUBLIC;
COMMENT ON FUNCTION usher._metric_help() IS 'What the metrics of core are about.';

CREATE FUNCTION usher.metrics() RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What fails here must not blind those who watch all the rest.
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT h.registrant, t.answer, t.failure
        FROM usher._hook_functions('metrics') AS h
            CROSS JOIN usher._try_hook(h.function, seconds => CASE WHEN h.registrant <> 'usher' THEN 5 END) AS t),
    told AS (
        SELECT m.name, m.labels, m.value, m.help
        FROM asked AS a
            CROSS JOIN ROWS FROM (jsonb_to_recordset(a.answer)
                                      AS (name text, labels jsonb, value double precision, help text))
                WITH ORDINALITY AS m (name, labels, value, help, place)
        -- Nor does one crowd out the others, or speak for them.
        WHERE a.registrant LIKE 'usher%' OR m.place <= 1000 AND m.name NOT LIKE 'usher\_%'
        UNION ALL
        SELECT 'usher_metrics_failing', jsonb_build_object('extension', a.registrant),
               (a.failure IS NOT NULL
                OR a.registrant NOT LIKE 'usher%' AND jsonb_array_length(a.answer) > 1000)::integer, NULL
        FROM asked AS a)
    SELECT t.name, t.labels, t.value, coalesce(t.help, d.help)
    FROM told AS t LEFT JOIN usher._metric_help() AS d ON d.name = t.name;
END
$$;
REVOKE ALL ON FUNCTION usher.metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher.metrics() IS
    'Numbers for a scraper, in the way of Prometheus: name, labels, value, and what it is about. Connections, lock '
    'waits, transactions, sizes, dead rows and index scans of the tables, replication, archive, users, sessions, '
    'limits, events, audit; with pg_stat_statements also the time of statements. The gateway serves them with its '
    'own at /metrics of its admin listener.';

CREATE FUNCTION usher._table_sizes() RETURNS TABLE (schema_name name, table_name name, bytes bigint, row_count bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- partitions are counted with their table
    SELECT n.nspname, root.relname, sum(pg_total_relation_size(c.oid))::bigint,
        sum(greatest(c.reltuples, 0))::bigint
    FROM usher._installed() AS i JOIN pg_namespace AS n ON n.nspname = i.schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = 'r'
        JOIN pg_class AS root ON root.oid = coalesce(pg_partition_root(c.oid), c.oid)
    WHERE root.relname NOT LIKE '%\_inval'
    GROUP BY n.nspname, root.relname;
END;
REVOKE ALL ON FUNCTION usher._table_sizes() FROM PUBLIC;
COMMENT ON FUNCTION usher._table_sizes() IS 'How large the tables of all registered extensions are now.';

CREATE FUNCTION usher._note_table_sizes() RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    noted bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM usher.table_sizes AS t WHERE t.day = today) THEN
        INSERT INTO usher.table_sizes (day, schema_name, table_name, bytes, row_count)
        SELECT today, s.schema_name, s.table_name, s.bytes, s.row_count FROM usher._table_sizes() AS s
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS noted = ROW_COUNT;
        DELETE FROM usher.table_sizes AS t WHERE t.day < today - 400;
    END IF;
    RETURN noted;
END
$$;
REVOKE ALL ON FUNCTION usher._note_table_sizes() FROM PUBLIC;
COMMENT ON FUNCTION usher._note_table_sizes() IS
    'A step of upkeep: once a day, how large each table is; forgets what is older than 400 days.';

CREATE FUNCTION usher.table_growth(days integer DEFAULT 30)
    RETURNS TABLE (schema_name name, table_name name, bytes bigint, row_count bigint, since date,
                   bytes_per_day bigint, rows_per_day bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 400 THEN
        PERFORM usher.raise_error('invalid_argument', 'days must be from 1 to 400', '{"argument": "days"}');
    END IF;
    RETURN QUERY
    SELECT s.schema_name, s.table_name, s.bytes, s.row_count, t.day,
        (s.bytes - t.bytes) / (today - t.day), (s.row_count - t.row_count) / (today - t.day)
    FROM usher._table_sizes() AS s
        LEFT JOIN LATERAL (
            SELECT o.day, o.bytes, o.row_count FROM usher.table_sizes AS o
            WHERE o.schema_name = s.schema_name AND o.table_name = s.table_name
                AND o.day >= today - days AND o.day < today
            ORDER BY o.day LIMIT 1) AS t ON true
    ORDER BY 6 DESC NULLS LAST, s.bytes DESC, s.schema_name, s.table_name;
END
$$;
REVOKE ALL ON FUNCTION usher.table_growth(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.table_growth(integer) IS
    'How large each table is, partitions counted with it, and by how much it has grown a day since the first day of '
    'these that is noted; the fastest first. Upkeep notes the sizes once a day, for 400 days. row_count is the '
    'planner''s estimate.';

-- Core's own part of upkeep, health and checks.

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
    -- They stopped working at the instant of expiry; this only tidies up what a review need not see any more.
    FOREACH relation IN ARRAY ARRAY['user_permissions', 'user_roles', 'role_permissions'] LOOP
        EXECUTE format('DELETE FROM usher.%1$I g WHERE g.ctid IN (SELECT o.ctid FROM usher.%1$I o WHERE o.expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)', relation)
            USING cutoff, max_rows;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    RETURN total;
END $$;
REVOKE ALL ON FUNCTION usher._remove_expired_grants(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._remove_expired_grants(integer) IS
    'Removes grants of roles and permissions that expired more than usher.identity_retention days ago; returns how many.';

CREATE FUNCTION usher._run_maintenance(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    events_kept CONSTANT interval := make_interval(days => current_setting('usher.events_retention')::integer);
BEGIN
    RETURN QUERY SELECT m.task, m.affected FROM usher._maintain_identity(max_rows) m;

    -- SKIP LOCKED: what somebody works on now is left for the next time, so upkeep never waits and is never waited for.
    task := 'events_removed';
    WITH due AS (
        SELECT e.id FROM usher.events e
        WHERE e.created_at < now() - events_kept
            AND NOT EXISTS (SELECT FROM usher.deliveries d WHERE d.event_id = e.id AND d.status <> 'completed')
        LIMIT max_rows FOR UPDATE SKIP LOCKED),
    delivered AS (
        DELETE FROM usher.deliveries d USING due WHERE d.event_id = due.id)
    DELETE FROM usher.events e USING due WHERE e.id = due.id;
    GET DIAGNOSTICS affected = ROW_COUNT;
    RETURN NEXT;

    task := 'rate_limits_flushed';
    affected := usher._flush_rate_limits();
    RETURN NEXT;

    task := 'rate_limits_removed';
    affected := usher._maintain_rate_limits(max_rows);
    RETURN NEXT;

    task := 'expired_grants_removed';
    affected := usher._remove_expired_grants(max_rows);
    RETURN NEXT;

    task := 'audit_rows_removed';
    affected := usher._remove_old_audit_rows(max_rows);
    RETURN NEXT;

    -- A key retires an hour after the last token that it signed has expired at the latest.
    task := 'signing_keys_removed';
    DELETE FROM usher.signing_keys k
    WHERE k.kid IN (SELECT x.kid FROM usher.signing_keys x WHERE x.retires_at < now() LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS affected = ROW_COUNT;
    RETURN NEXT;

    task := 'audit_rows_sealed';
    affected := CASE WHEN current_setting('usher.audit_chain')::boolean THEN usher._seal_audit_log(max_rows) ELSE 0 END;
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION usher._run_maintenance(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._run_maintenance(integer) IS 'Core''s part of usher.run_maintenance().';

CREATE FUNCTION usher.health(OUT status text, OUT in_recovery boolean, OUT preloaded boolean, OUT active_users bigint, OUT live_sessions bigint,
                             OUT audit_rows_last_hour bigint, OUT parked_events bigint, OUT database_time timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    in_recovery := pg_is_in_recovery();
    preloaded := usher._is_preloaded();
    active_users := (SELECT count(*) FROM usher.users u WHERE u.status = 'active');
    live_sessions := (SELECT count(*) FROM usher.sessions s WHERE s.status = 'active' AND s.expires_at > now());
    audit_rows_last_hour := (SELECT count(*) FROM usher.audit_logs a WHERE a.created_at > now() - interval '1 hour');
    parked_events := (SELECT count(*) FROM usher.deliveries d WHERE d.status = 'parked');
    database_time := clock_timestamp();
    status := CASE WHEN parked_events > 0 THEN 'degraded' ELSE 'ok' END;
END $$;
REVOKE ALL ON FUNCTION usher.health() FROM PUBLIC;
COMMENT ON FUNCTION usher.health() IS
    'A look at the whole: active users, live sessions, audit rows of the last hour, events that failed too often. status is ok, or degraded when events are parked. Counts rows: for people and scrapers, not for every request.';

CREATE FUNCTION usher.metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'usher_users', jsonb_build_object('status', u.status), count(*)::double precision FROM usher.users u GROUP BY u.status;
    RETURN QUERY SELECT 'usher_sessions_live', '{}'::jsonb, count(*)::double precision FROM usher.sessions s WHERE s.status = 'active' AND s.expires_at > now();
    RETURN QUERY SELECT 'usher_accounts_locked', '{}'::jsonb, count(*)::double precision FROM usher.credentials c WHERE c.locked_until > now();
    RETURN QUERY SELECT 'usher_login_attempts_last_hour', jsonb_build_object('success', a.success), count(*)::double precision
        FROM usher.login_attempts a WHERE a.attempted_at > now() - interval '1 hour' GROUP BY a.success;
    RETURN QUERY SELECT 'usher_deliveries', jsonb_build_object('consumer', d.consumer, 'status', d.status), count(*)::double precision
        FROM usher.deliveries d WHERE d.status <> 'completed' GROUP BY d.consumer, d.status;
    RETURN QUERY SELECT 'usher_table_bytes', jsonb_build_object('schema', n.nspname, 'table', c.relname), pg_total_relation_size(c.oid)::double precision
        FROM usher._installed() i JOIN pg_namespace n ON n.nspname = i.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
        WHERE c.relname NOT LIKE '%\_inval';
    RETURN QUERY SELECT 'usher_lost_survivors_total', '{}'::jsonb, usher._lost_survivors()::double precision;
END $$;
REVOKE ALL ON FUNCTION usher.metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher.metrics() IS
    'Numbers for a scraper, in the way of Prometheus: name, labels, value.';

CREATE FUNCTION usher._check_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_preloaded() THEN
        RETURN QUERY VALUES ('the library is not preloaded', 'warning',
            'Set shared_preload_libraries = ''usher'' and restart: without it failed logins in transactions that roll back are not counted, and the number of concurrent password hashes is not limited.');
    ELSIF NOT EXISTS (SELECT FROM unnest(string_to_array(current_setting('usher.worker_databases'), ',')) AS d(name) WHERE trim(d.name, ' "') = current_database()) THEN
        RETURN QUERY VALUES ('no background worker keeps this database up', 'notice',
            format('Add %s to usher.worker_databases, or have a scheduler call usher.run_maintenance().', quote_ident(current_database())));
    END IF;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RETURN QUERY VALUES ('the encoding of the database is not UTF8', 'warning',
            'Make the database anew with encoding UTF8: passwords cannot be normalized in other encodings.');
    END IF;
    IF current_setting('ssl') = 'off' AND current_setting('listen_addresses') NOT IN ('', 'localhost', '127.0.0.1', '::1') THEN
        RETURN QUERY VALUES ('connections over the network are not encrypted', 'warning', 'Set ssl = on: passwords and tokens travel as parameters.');
    END IF;
    IF current_setting('log_statement') = 'all' OR current_setting('log_min_duration_statement')::integer >= 0 THEN
        RETURN QUERY SELECT format('parameters of role %s are written to the server log', r.role_name), 'critical',
            format('ALTER ROLE %I SET log_parameter_max_length = 0;', r.role_name)
        FROM usher.database_roles r
        WHERE NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles a ON a.oid = s.setrole
                          WHERE a.rolname = r.role_name AND 'log_parameter_max_length=0' = ANY (s.setconfig))
            AND current_setting('log_parameter_max_length') <> '0';
    END IF;
    RETURN QUERY SELECT format('%s is granted to PUBLIC', p.oid::regprocedure), 'critical', format('REVOKE ALL ON FUNCTION %s FROM PUBLIC;', p.oid::regprocedure)
        FROM usher._installed() i JOIN pg_extension e ON e.extname = i.extension
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
        JOIN pg_proc p ON p.oid = d.objid
        WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee = 0);
    IF current_setting('usher.master_key_file') = '' THEN
        RETURN QUERY VALUES ('secrets are stored as they are', 'notice',
            'Set usher.master_key_file and call usher.wrap_secrets(): whoever reads a backup then holds no signing keys.');
    ELSIF current_setting('usher.master_key_file') NOT LIKE '/%'
        OR starts_with(current_setting('usher.master_key_file'), current_setting('data_directory') || '/') THEN
        RETURN QUERY VALUES ('the master key lies in the data directory', 'warning',
            'Move the file of usher.master_key_file elsewhere: a base backup holds it together with what is sealed under it.');
    END IF;
    IF usher._master_key_problem() IS NOT NULL THEN
        RETURN QUERY VALUES (usher._master_key_problem(), 'critical', 'Put the file right: until then nothing can be signed with the keys sealed under it.');
    ELSIF usher._has_secrets_to_wrap() THEN
        RETURN QUERY VALUES ('secrets are not sealed under the master key that is set', 'warning', 'SELECT * FROM usher.wrap_secrets();');
    END IF;
    -- Grants made by an extension's own script would not be dumped, so a feature cannot do this when it is installed.
    RETURN QUERY SELECT format('role %s has level %s, but nothing of it in schema %s', r.role_name, r.level, i.schema), 'warning',
            format('The extension %s was installed later: SELECT usher.grant_access(%L, %L);', i.extension, r.role_name, r.level)
        FROM usher.database_roles r CROSS JOIN usher._installed() i
        WHERE EXISTS (SELECT FROM pg_roles a WHERE a.rolname = r.role_name) AND NOT has_schema_privilege(r.role_name, i.schema, 'USAGE');
    IF NOT (SELECT bool_or(s.boot_val::integer <= s.setting::integer) FROM pg_settings s WHERE s.name = 'usher.argon2_memory')
        OR (SELECT s.setting::integer < s.boot_val::integer FROM pg_settings s WHERE s.name = 'usher.argon2_iterations') THEN
        RETURN QUERY VALUES ('Argon2id runs with less than the OWASP minimum', 'warning', 'Raise usher.argon2_memory to 19 MiB or more with usher.argon2_iterations of 2 or more.');
    END IF;
    IF (SELECT s.setting::integer < 8 FROM pg_settings s WHERE s.name = 'usher.password_min_length') THEN
        RETURN QUERY VALUES ('passwords may be shorter than 8 characters', 'warning', 'Raise usher.password_min_length.');
    END IF;
END $$;
REVOKE ALL ON FUNCTION usher._check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_configuration() IS 'Core''s part of usher.check_configuration().';

CREATE FUNCTION usher._self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'every user has a row of credentials', count(*) FROM usher.users u
        WHERE u.status <> 'erased' AND NOT EXISTS (SELECT FROM usher.credentials c WHERE c.user_id = u.id);
    RETURN QUERY SELECT 'no active session belongs to an inactive user', count(*) FROM usher.sessions s JOIN usher.users u ON u.id = s.user_id
        WHERE s.status = 'active' AND s.expires_at > now() AND NOT u.is_active;
    RETURN QUERY SELECT 'the closure of roles agrees with their parents', count(*) FROM (
        (SELECT r.role_id, r.ancestor_id FROM usher._role_reach r EXCEPT SELECT c.role_id, c.ancestor_id FROM usher.role_closure c)
        UNION ALL
        (SELECT c.role_id, c.ancestor_id FROM usher.role_closure c EXCEPT SELECT r.role_id, r.ancestor_id FROM usher._role_reach r)) AS differences;
    RETURN QUERY SELECT 'status histories have no gaps', count(*) FROM (
        SELECT h.relation, h.entity_id FROM usher.status_history h GROUP BY h.relation, h.entity_id HAVING max(h.seq) <> count(*)) AS gaps;
    RETURN QUERY SELECT 'status histories are chains', count(*) FROM usher.status_history h JOIN usher.status_history n
        ON n.relation = h.relation AND n.entity_id = h.entity_id AND n.seq = h.seq + 1
        WHERE n.from_status IS DISTINCT FROM h.to_status;
    RETURN QUERY SELECT 'deliveries belong to events', count(*) FROM usher.deliveries d
        WHERE NOT EXISTS (SELECT FROM usher.events e WHERE e.id = d.event_id);
END $$;
REVOKE ALL ON FUNCTION usher._self_check() FROM PUBLIC;
COMMENT ON FUNCTION usher._self_check() IS 'Core''s part of usher.self_check().';

-- Core's own part of check_configuration() and self_check().

CREATE FUNCTION usher._check_addresses() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    address CONSTANT text := rtrim(current_setting('usher.public_url'), '/');
    local CONSTANT text := '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/|$)';
BEGIN
    IF usher._own_issuer() <> address THEN
        RETURN QUERY VALUES ('usher.token_issuer is not the address that clients use (usher.public_url)', 'warning',
            'Leave usher.token_issuer empty: OAuth clients compare iss in tokens and issuer in the metadata with the '
            'address that they were given (RFC 8414, section 3.3).');
    END IF;
    IF address !~ '^https://[^/]' AND address !~ local THEN
        RETURN QUERY VALUES ('usher.public_url is not https, nor this machine', 'warning',
            'Set it to the address by which clients reach the gateway, https://api.example.com say: tokens and the '
            'OAuth metadata name it.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_addresses() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_addresses() IS
    'Part of check_configuration(): whether the address of the gateway and the issuer of tokens agree.';

CREATE FUNCTION usher._check_server_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_preloaded() THEN
        RETURN QUERY VALUES ('the library is not preloaded', 'warning',
            'Set shared_preload_libraries = ''usher'' and restart: without it failed logins in transactions that roll '
            'back are not counted, checks of access in transactions that roll back leave no trace, and the number of '
            'concurrent password hashes is not limited.');
    ELSIF NOT EXISTS (SELECT FROM unnest(string_to_array(current_setting('usher.worker_databases'), ',')) AS d(name)
                      WHERE trim(d.name, ' "') = current_database()) THEN
        RETURN QUERY VALUES ('no background worker keeps this database up', 'notice',
            format('Add %s to usher.worker_databases, or have a scheduler call usher.run_maintenance().',
                   quote_ident(current_database())));
    END IF;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RETURN QUERY VALUES ('the encoding of the database is not UTF8', 'warning',
            'Make the database anew with encoding UTF8: passwords cannot be normalized in other encodings.');
    END IF;
    IF current_setting('ssl') = 'off'
       AND current_setting('listen_addresses') NOT IN ('', 'localhost', '127.0.0.1', '::1') THEN
        RETURN QUERY VALUES ('connections over the network are not encrypted', 'warning',
                             'Set ssl = on: passwords and tokens travel as parameters.');
    END IF;
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (NOT current_setting('fsync')::boolean, 'fsync is off', 'critical',
         'Set fsync = on: a crash of the machine loses committed data.'),
        (NOT current_setting('full_page_writes')::boolean, 'full_page_writes is off', 'critical',
         'Set full_page_writes = on: a crash of the machine can tear pages.'),
        (current_setting('usher.restoring')::boolean, 'usher.restoring is on', 'critical',
         'Turn it off: no audit rows, history and events are written.'),
        (current_setting('session_replication_role') = 'replica', 'session_replication_role is replica', 'critical',
         'Reset it: triggers do not fire, so that nothing is audited or checked.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_server_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_server_settings() IS
    'Part of check_configuration(): the library, its worker, and what could lose or hide data.';

CREATE FUNCTION usher._check_logging() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (current_setting('log_statement') IN ('all', 'mod') AND current_setting('log_parameter_max_length') <> '0',
         'log_statement writes statements with their values to the server log', 'warning',
            'Set log_statement = ddl, and log_parameter_max_length = 0: passwords and tokens are values.'),
        (current_setting('log_parameter_max_length_on_error') <> '0',
         'parameters of failed statements are written to the server log', 'critical',
         'Set log_parameter_max_length_on_error = 0.'),
        (coalesce(current_setting('auto_explain.log_min_duration', true), '-1') <> '-1'
         AND coalesce(current_setting('auto_explain.log_parameter_max_length', true), '-1') <> '0',
            'auto_explain writes parameters to the server log', 'critical',
            'Set auto_explain.log_parameter_max_length = 0.'),
        (current_setting('debug_print_parse')::boolean OR current_setting('debug_print_rewritten')::boolean
         OR current_setting('debug_print_plan')::boolean,
            'parse trees, with their values, are written to the server log', 'critical',
            'Turn off debug_print_parse, debug_print_rewritten and debug_print_plan.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_logging() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_logging() IS
    'Part of check_configuration(): what writes values, passwords and tokens among them, to the server log.';

CREATE FUNCTION usher._check_account_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (current_setting('password_encryption') = 'md5', 'passwords of database roles are hashed with md5', 'warning',
         'Set password_encryption = scram-sha-256 and set the passwords again.'),
        (current_setting('usher.bcrypt_rounds')::integer < 12, 'bcrypt runs with fewer than 12 rounds', 'warning',
         'Raise usher.bcrypt_rounds to 12 or more.'),
        (current_setting('usher.lockout_threshold')::integer > 10,
         'an account takes more than 10 guesses before it is locked', 'warning',
         'Lower usher.lockout_threshold to 10 or less.'),
        ((SELECT s.setting::integer > 3600 FROM pg_settings s WHERE s.name = 'usher.access_token_ttl'),
         'access tokens live longer than an hour', 'warning', 'Lower usher.access_token_ttl: 15 minutes are usual.'),
        (NOT current_setting('usher.require_verified_email')::boolean, 'accounts with unverified addresses may log in',
         'notice', 'Set usher.require_verified_email = on.'),
        (current_setting('usher.reveal_lockout')::boolean,
         'login tells strangers that an account is locked, so that it exists', 'notice',
         'Set usher.reveal_lockout = off.'),
        (current_setting('usher.refresh_reuse') = 'lenient', 'the reuse of a refresh token goes unpunished', 'warning',
         'Set usher.refresh_reuse = grace or strict: a stolen token would not be noticed.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_account_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_account_settings() IS
    'Part of check_configuration(): what weakens passwords, lockouts and tokens.';

CREATE FUNCTION usher._check_audit_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (NOT current_setting('usher.audit_chain')::boolean, 'the audit log is not sealed', 'warning',
         'Set usher.audit_chain = on: changes of old audit rows would not be noticed.'),
        (current_setting('usher.audit_archive_function') <> '' AND to_regprocedure(
            current_setting('usher.audit_archive_function') || '(regclass, timestamptz, timestamptz)') IS NULL,
            'usher.audit_archive_function does not exist', 'warning',
            'Create it with the arguments (regclass, timestamptz, timestamptz), or empty the setting: no month is '
            'retired until then.'),
        (current_setting('usher.archive_function') <> '' AND to_regprocedure(
            current_setting('usher.archive_function') || '(regclass, jsonb)') IS NULL,
            'usher.archive_function does not exist', 'warning',
            'Create it with the arguments (regclass, jsonb), or empty the setting: old events, sessions and login '
            'attempts stay until then.'),
        (usher._audit_month_coverage(date_trunc('month', clock_timestamp(), 'UTC') + interval '32 days') <> 'all',
            'the audit log has no partition for the next month', 'warning',
            'Have usher.run_maintenance() called regularly, and see what it warns of.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_audit_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_audit_settings() IS
    'Part of check_configuration(): the seal, the archives and the next month of the audit log.';

CREATE FUNCTION usher._check_database_roles() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('log_statement') IN ('all', 'mod')
       OR current_setting('log_min_duration_statement')::integer >= 0
       OR current_setting('log_min_duration_sample')::integer >= 0
       OR current_setting('log_transaction_sample_rate')::float > 0 THEN
        RETURN QUERY SELECT format('parameters of role %s are written to the server log', r.role_name), 'critical',
            format('ALTER ROLE %I SET log_parameter_max_length = 0;', r.role_name)
        FROM (SELECT DISTINCT f.role, f.role_name FROM usher._levels_in_force() AS f) r
        WHERE NOT EXISTS (SELECT FROM pg_db_role_setting s
                          WHERE s.setrole = r.role AND 'log_parameter_max_length=0' = ANY (s.setconfig))
            AND current_setting('log_parameter_max_length') <> '0';
    END IF;
    IF has_function_privilege('pg_hba_file_rules()', 'EXECUTE') THEN
        RETURN QUERY SELECT format('line %s of pg_hba.conf lets anybody in without a password', h.line_number),
                'critical', 'Use scram-sha-256 or cert instead of trust.'
            FROM pg_hba_file_rules() h WHERE h.type LIKE 'host%' AND h.auth_method = 'trust';
        RETURN QUERY SELECT format('line %s of pg_hba.conf sends passwords that can be read or replayed',
                                   h.line_number), 'warning', 'Use scram-sha-256.'
            FROM pg_hba_file_rules() h
            WHERE h.auth_method = 'md5' OR (h.auth_method = 'password' AND h.type <> 'hostssl');
        RETURN QUERY SELECT format('line %s of pg_hba.conf accepts connections over the network without TLS',
                                   h.line_number), 'warning', 'Write hostssl instead of host.'
            FROM pg_hba_file_rules() h
            WHERE h.type IN ('host', 'hostnossl') AND h.auth_method <> 'reject'
                AND h.address NOT IN ('127.0.0.1', '::1', 'localhost', 'samehost');
    END IF;
    RETURN QUERY SELECT format('role %s of level %s passes all checks of the server', r.rolname, d.level), 'critical',
            format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS: row-level security and grants do not hold for it.',
                   r.rolname)
        FROM usher._levels_in_force() d JOIN pg_roles r ON r.oid = d.role
        WHERE d.level IN ('application', 'gateway', 'courier', 'readonly') AND (r.rolsuper OR r.rolbypassrls);
END
$$;
REVOKE ALL ON FUNCTION usher._check_database_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_database_roles() IS
    'Part of check_configuration(): how database roles log in, what is logged of them, and which pass all checks.';

CREATE FUNCTION usher._check_subscriptions() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT format('%s follows %s, but events of that name came from nobody who has declared it',
                                        s.extension, s.event), 'warning',
            'They were not acted on. If they are yours, declare the name: usher.register_extension(…, publishes => …).'
        FROM usher.subscriptions AS s
        WHERE s.extension IS NOT NULL
            AND EXISTS (SELECT FROM usher.events AS e WHERE e.event = s.event AND e.publisher IS NULL);
END
$$;
REVOKE ALL ON FUNCTION usher._check_subscriptions() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_subscriptions() IS
    'Part of check_configuration(): events that an extension follows and nobody has declared.';

-- Permissions come with presets, which may be applied after the routes were made: those will be there. Two routes of
-- core ask for a permission of features that need not be installed.
CREATE FUNCTION usher._check_routes() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT format('route %s %s asks for the permission %s, which is not defined', r.method,
                               r.path_template, r.permission), 'warning',
        format('SELECT usher.create_permission(%L), or usher.add_route() with another one.', r.permission)
    FROM usher.routes r
    WHERE r.is_active AND r.permission IS NOT NULL AND r.extension IS DISTINCT FROM 'usher'
        AND NOT EXISTS (SELECT FROM usher.permissions p WHERE p.name = r.permission)
        AND NOT EXISTS (SELECT FROM usher.role_presets x WHERE x.preset -> 'permissions' ? r.permission)
    ORDER BY r.path_template COLLATE "C", r.method;
END
$$;
REVOKE ALL ON FUNCTION usher._check_routes() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_routes() IS
    'Part of check_configuration(): routes that nobody but holders of a wildcard can be let into.';

CREATE FUNCTION usher._check_grants() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Levels that count for nothing, since their role is not of this server, or no longer there.
    RETURN QUERY SELECT format('level %s of role %s is of another server', d.level, d.role_name), 'warning',
            CASE WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = d.role_name)
                 THEN format('If the role that is called so here is meant: SELECT usher.grant_access(%L, %L); else: '
                             'SELECT usher.revoke_access(%L, %L);', d.role_name, d.level, d.role_name, d.level)
                 ELSE format('There is no role of this name: SELECT usher.revoke_access(%L, %L);', d.role_name,
                             d.level) END
        FROM usher.database_roles AS d WHERE d.server <> usher._server_identifier();
    RETURN QUERY SELECT format('role %s is gone, its level %s is left', d.role_name, d.level), 'notice',
            'SELECT usher.run_maintenance() removes it.'
        FROM usher.database_roles AS d
        WHERE d.server = usher._server_identifier()
            AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = d.role_oid);
    -- Triggers on tables of ours run with the rights of whoever writes there: the owner of the extension.
    RETURN QUERY SELECT format('role %s may put triggers on %s', x.grantee::regrole, c.oid::regclass), 'critical',
            format('REVOKE TRIGGER ON %s FROM %s: they would run as %s.', c.oid::regclass, x.grantee::regrole,
                   c.relowner::regrole)
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
                AND m.classid = 'pg_class'::regclass
            JOIN pg_class AS c ON c.oid = m.objid
            CROSS JOIN LATERAL aclexplode(c.relacl) AS x
        WHERE x.privilege_type = 'TRIGGER' AND x.grantee NOT IN (0, c.relowner);
    RETURN QUERY SELECT format('trigger %I of %s runs a function of %s as %s', t.tgname, t.tgrelid::regclass,
                               p.proowner::regrole, c.relowner::regrole), 'critical',
            format('ALTER FUNCTION %1$s OWNER TO %2$s; whoever owns it has the rights of %2$s.', p.oid::regprocedure,
                   c.relowner::regrole)
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
                AND m.classid = 'pg_class'::regclass
            JOIN pg_class AS c ON c.oid = m.objid
            JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
            JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT pg_has_role(p.proowner, c.relowner, 'USAGE');
    RETURN QUERY SELECT format('PUBLIC may %s %s', lower(x.privilege_type), c.oid::regclass), 'critical',
            format('REVOKE ALL ON %s FROM PUBLIC;', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) x
        WHERE n.nspname IN (SELECT i.schema FROM usher._installed() i) AND c.relkind IN ('r', 'p', 'v', 'm')
            AND x.grantee = 0;
    RETURN QUERY SELECT format('PUBLIC may create objects in schema %s', n.nspname), 'critical',
            format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC;', n.nspname)
        FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) x
        WHERE x.grantee = 0 AND x.privilege_type = 'CREATE'
            AND (n.nspname = 'public' OR n.nspname IN (SELECT i.schema FROM usher._installed() i));
END
$$;
REVOKE ALL ON FUNCTION usher._check_grants() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_grants() IS
    'Part of check_configuration(): levels that count for nothing, and rights on tables and schemas that nobody '
    'should have.';

CREATE FUNCTION usher._check_objects() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT format('table %s is not audited', c.oid::regclass), 'notice',
            format('SELECT usher.enable_audit(%L);', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid
                              AND t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgenabled <> 'D');
    RETURN QUERY SELECT g.finding, g.severity, g.advice FROM usher._trigger_gaps() g;
    RETURN QUERY SELECT format('rows of table %s cannot be told apart in the audit log: %s', t.tgrelid::regclass,
                               usher._audit_key_problem(t.tgrelid)), 'notice',
            format('SELECT usher.enable_audit(%L, key => …);', t.tgrelid::regclass)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid AND NOT c.relispartition
        WHERE t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgname = 'usher_audit_insert'
            AND usher._audit_key_problem(t.tgrelid) IS NOT NULL;
    RETURN QUERY SELECT format('trigger %I of table %s is disabled', t.tgname, t.tgrelid::regclass), 'critical',
            format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE t.tgenabled = 'D' AND n.nspname IN (SELECT i.schema FROM usher._installed() i);
    RETURN QUERY SELECT format('%s is granted to PUBLIC', p.oid::regprocedure), 'critical',
            format('REVOKE ALL ON FUNCTION %s FROM PUBLIC;', p.oid::regprocedure)
        FROM usher._installed() i JOIN pg_extension e ON e.extname = i.extension
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
            AND d.classid = 'pg_proc'::regclass
        JOIN pg_proc p ON p.oid = d.objid
        WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee = 0);
END
$$;
REVOKE ALL ON FUNCTION usher._check_objects() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_objects() IS
    'Part of check_configuration(): tables without audit, triggers that are disabled, functions that PUBLIC may call.';

CREATE FUNCTION usher._check_secrets() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('usher.master_key_file') = '' THEN
        RETURN QUERY VALUES ('secrets are stored as they are', 'notice',
            'Set usher.master_key_file and call usher.wrap_secrets(): whoever reads a backup then holds no signing '
            'keys.');
    ELSIF current_setting('usher.master_key_file') NOT LIKE '/%'
        OR starts_with(current_setting('usher.master_key_file'), current_setting('data_directory') || '/') THEN
        RETURN QUERY VALUES ('the master key lies in the data directory', 'warning',
            'Move the file of usher.master_key_file elsewhere: a base backup holds it together with what is sealed '
            'under it.');
    END IF;
    IF usher._master_key_problem() IS NOT NULL THEN
        RETURN QUERY VALUES (usher._master_key_problem(), 'critical',
                             'Put the file right: until then nothing can be signed with the keys sealed under it.');
    ELSIF usher._has_secrets_to_wrap() THEN
        RETURN QUERY VALUES ('secrets are not sealed under the master key that is set', 'warning',
                             'SELECT * FROM usher.wrap_secrets();');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_secrets() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_secrets() IS
    'Part of check_configuration(): the master key, and what is sealed under it.';

CREATE FUNCTION usher._check_late_extensions() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Grants made by an extension's own script would not be dumped, so a feature cannot do this when it is installed.
    RETURN QUERY SELECT format('role %s has level %s, but nothing of it in schema %s', r.role_name, r.level, i.schema),
            'warning',
            format('The extension %s was installed later: SELECT usher.grant_access(%L, %L);', i.extension,
                   r.role_name, r.level)
        FROM usher._levels_in_force() r CROSS JOIN usher._installed() i
        WHERE NOT has_schema_privilege(r.role, i.schema, 'USAGE')
            AND EXISTS (SELECT FROM usher.extension_access AS a
                        WHERE a.registrant = i.extension AND r.level = ANY (a.levels));
END
$$;
REVOKE ALL ON FUNCTION usher._check_late_extensions() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_late_extensions() IS
    'Part of check_configuration(): extensions that came after the grants of access.';

CREATE FUNCTION usher._check_passwords() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT bool_or(s.boot_val::integer <= s.setting::integer)
            FROM pg_settings s WHERE s.name = 'usher.argon2_memory')
        OR (SELECT s.setting::integer < s.boot_val::integer
            FROM pg_settings s WHERE s.name = 'usher.argon2_iterations') THEN
        RETURN QUERY VALUES ('Argon2id runs with less than the OWASP minimum', 'warning',
                             'Raise usher.argon2_memory to 19 MiB or more with usher.argon2_iterations of 2 or more.');
    END IF;
    IF (SELECT s.setting::integer < 8 FROM pg_settings s WHERE s.name = 'usher.password_min_length') THEN
        RETURN QUERY
            VALUES ('passwords may be shorter than 8 characters', 'warning', 'Raise usher.password_min_length.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_passwords() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_passwords() IS
    'Part of check_configuration(): whether passwords are as long, and their hashes as costly, as they must be.';

CREATE FUNCTION usher._check_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM usher._check_addresses();
    RETURN QUERY SELECT * FROM usher._check_server_settings();
    RETURN QUERY SELECT * FROM usher._check_logging();
    RETURN QUERY SELECT * FROM usher._check_account_settings();
    RETURN QUERY SELECT * FROM usher._check_audit_settings();
    RETURN QUERY SELECT * FROM usher._check_database_roles();
    RETURN QUERY SELECT * FROM usher._check_subscriptions();
    RETURN QUERY SELECT * FROM usher._check_routes();
    RETURN QUERY SELECT * FROM usher._check_grants();
    RETURN QUERY SELECT * FROM usher._check_objects();
    RETURN QUERY SELECT * FROM usher._check_secrets();
    RETURN QUERY SELECT * FROM usher._check_dump();
    RETURN QUERY SELECT * FROM usher._check_late_extensions();
    RETURN QUERY SELECT * FROM usher._check_passwords();
END
$$;
REVOKE ALL ON FUNCTION usher._check_configuration() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_configuration() IS 'Core''s part of usher.check_configuration().';

CREATE FUNCTION usher._self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'every user has a row of credentials', count(*) FROM usher.users u
        WHERE u.status <> 'erased' AND NOT EXISTS (SELECT FROM usher.credentials c WHERE c.user_id = u.id);
    RETURN QUERY SELECT 'no active session belongs to an inactive user', count(*)
        FROM usher.sessions s JOIN usher.users u ON u.id = s.user_id
        WHERE s.status = 'active' AND s.expires_at > now() AND NOT u.is_active;
    RETURN QUERY SELECT 'the closure of roles agrees with their parents', count(*) FROM (
        (SELECT r.role_id, r.ancestor_id
         FROM usher._role_reach r EXCEPT SELECT c.role_id, c.ancestor_id FROM usher.role_closure c)
        UNION ALL
        (SELECT c.role_id, c.ancestor_id
         FROM usher.role_closure c EXCEPT SELECT r.role_id, r.ancestor_id FROM usher._role_reach r)) AS differences;
    RETURN QUERY SELECT 'status histories have no gaps', count(*) FROM (
        SELECT FROM usher.status_history h
        GROUP BY coalesce(pg_partition_root(h.relation), h.relation), h.entity_id
        HAVING max(h.seq) <> count(*)) AS gaps;
    RETURN QUERY SELECT 'status histories are chains', count(*) FROM usher.status_history h JOIN usher.status_history n
        ON n.relation = h.relation AND n.entity_id = h.entity_id AND n.seq = h.seq + 1
        WHERE n.from_status IS DISTINCT FROM h.to_status;
    RETURN QUERY SELECT 'no object of the extensions is missing or changed', count(*)
        FROM usher.schema_drift() d WHERE d.change <> 'added';
    RETURN QUERY SELECT 'the seals of the audit log are a chain', count(*)
        FROM usher.audit_seals s LEFT JOIN usher.audit_seals p ON p.seq = s.seq - 1
        WHERE (s.seq > 1 AND p.seq IS NULL)
            OR s.chain <> usher._chain_seal(p.chain, s.seq, s.from_id, s.until_id, s.row_count, s.digest)
           OR s.from_id <> coalesce(p.until_id, '00000000-0000-0000-0000-000000000000');
    RETURN QUERY SELECT 'every machine can be read', count(*) FROM usher.machines m WHERE m.is_active
        AND (jsonb_typeof(m.definition -> 'initial') IS DISTINCT FROM 'array'
             OR jsonb_typeof(m.definition -> 'transitions') IS DISTINCT FROM 'array');
    RETURN QUERY SELECT 'deliveries belong to events', count(*) FROM usher.deliveries d
        WHERE NOT EXISTS (SELECT FROM usher.events e WHERE e.id = d.event_id);
    RETURN QUERY SELECT 'no row refers to one that is not there', usher._count_orphans();
    RETURN QUERY SELECT 'what was decided about shipped rows is in force', count(*)
        FROM usher.decisions d WHERE NOT usher._is_in_force(d);
END
$$;
REVOKE ALL ON FUNCTION usher._self_check() FROM PUBLIC;
COMMENT ON FUNCTION usher._self_check() IS 'Core''s part of usher.self_check().';

-- Database roles: who may call and read what. Nothing is granted to PUBLIC; usher.grant_access() hands out levels.
--
--   application  a program that connects to the database itself: every function that is guarded inside by permissions
--   gateway      the HTTP gateway: the same, because routed functions run as its role
--   readonly     analytics: tables without secrets and without personal trails
--   auditor      the audit trail, sign-in attempts, sessions and grants, to read only
--   admin        administration by hand or by migrations: all functions, also those that hand out tokens or keys, and a
--                trusted role for usher.require_permission()

CREATE TABLE usher.database_roles (
    role_name  name NOT NULL,
    level      text NOT NULL CHECK (level IN ('application', 'gateway', 'readonly', 'auditor', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by name NOT NULL DEFAULT session_user,
    PRIMARY KEY (role_name, level)
);
COMMENT ON TABLE usher.database_roles IS 'Database roles and the access levels that grant_access() gave them.';
REVOKE ALL ON usher.database_roles FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.database_roles', '');

-- The one list of what each level may do in this extension. Functions stand by name, all their forms together.
-- test/regress/database_roles.sql compares it with the catalog: no name without an object, no public function without a line.
CREATE FUNCTION usher._access_list() RETURNS TABLE (kind text, levels text[], names text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
    -- Who is asking, and what they may: safe for everybody who can connect as an application.
    ('function', '{application,gateway,admin}'::text[],
     'authenticate set_request_context current_user_id current_session_id current_api_key_id current_claims
      current_assurance_level require_assurance_level verify_token jwks
      has_permission has_permission_somewhere has_role user_has_permission user_has_role can_manage require_permission
      check_access explain_access list_permissions list_user_roles'),
    -- Accounts and sessions. What touches somebody else's account checks the permission of the identity itself.
    ('function', '{application,gateway,admin}',
     'register_user login refresh_session logout logout_all list_sessions revoke_session
      verify_email request_email_verification request_email_change request_password_reset reset_password change_password
      get_me get_user find_user list_users update_profile set_user_tier export_user user_reference user_references lock_user_reference
      set_password unlock_user deactivate_user reactivate_user delete_user restore_user erase_user
      enroll_totp confirm_totp verify_second_factor login_second_factor regenerate_recovery_codes remove_second_factor
      reset_second_factors list_second_factors create_api_key list_api_keys revoke_api_key
      request_login_code login_with_code request_verification_code verify_email_code
      link_identity unlink_identity list_identities record_consent withdraw_consent list_consents'),
    ('function', '{application,gateway,auditor,admin}', 'list_login_attempts'),
    -- Administration, guarded in the same way.
    ('function', '{application,gateway,admin}',
     'create_role update_role drop_role add_role_parent remove_role_parent add_role_management remove_role_management
      grant_role revoke_role create_permission drop_permission grant_permission revoke_permission apply_role_preset
      add_policy remove_policy load_policies enforce define_model drop_model
      define_machine apply_machine_preset attach_machine detach_machine validate_machine subscribe unsubscribe list_parked_events retry_event
      define_rate_limit drop_rate_limit reset_rate_limit add_route remove_route list_routes list_machines list_subscriptions
      add_token_issuer update_token_issuer remove_token_issuer list_token_issuers'),
    ('function', '{application,gateway,auditor,admin}', 'list_roles list_expiring_grants list_defined_permissions list_policies list_rate_limits rate_limit_hash'),
    -- Building blocks of applications: they see and change only what they are given.
    ('function', '{application,gateway,admin}',
     'uuid_v7 raise_error error_codes publish log_event log_read hit_rate_limit rate_limit_key http_request openapi
      oauth_token introspect_token revoke_token oauth_metadata
      machine_statuses machine_diagram machine_preset allowed_transitions history set_updated_at soft_delete restore_row'),
    ('function', '{application,admin}',
     'hash_password verify_password password_needs_rehash sign_jwt verify_jwt enable_updated_at disable_updated_at
      enable_soft_delete disable_soft_delete add_unique_among_active purge_deleted'),
    -- What hands out tokens or keys, or steps around a rule. Events carry one-time tokens to the mailer.
    ('function', '{admin}',
     'create_password_reset create_email_verification set_provider_tokens get_provider_tokens issue_token import_user import_password_hash rotate_signing_key list_signing_keys wrap_secrets
      claim_events complete_event fail_event run_event_handlers'),
    -- Upkeep.
    ('function', '{gateway,admin}', 'health metrics'),
    ('function', '{auditor,admin}', 'check_configuration self_check schema_drift'),
    ('function', '{admin}', 'run_maintenance'),
    -- The audit trail. Questions check the permission of the identity; enabling needs rights on the table.
    ('function', '{application,gateway,auditor,admin}', 'search_audit row_history row_as_of verify_audit_chain'),
    ('function', '{admin}', 'enable_audit disable_audit enable_entity'),
    -- Called by triggers that other functions make.
    ('function', '{admin}', 'check_transition record_transition audit_change'),
    -- Called by functions that run with the caller's own rights.
    ('function', '{application,gateway,admin}', '_check_attachment _machine_trigger_name _updated_at_trigger_name _active_view_name _row_condition _primary_key _key_object'),
    -- For the owner of the extension alone: they run with the caller's own rights.
    ('function', '{}', 'grant_access revoke_access'),

    -- Analytics sees numbers of people, not names, addresses or what they said about themselves.
    ('table', '{readonly,auditor,admin}',
     'users(id,status,is_active,tier,email_verified_at,last_login_at,deactivated_at,deleted_at,erased_at,created_at,updated_at)
      roles role_parents role_closure permissions role_permissions role_management user_roles
      machines status_history(id,relation,entity_id,seq,from_status,to_status,action,reason_code,changed_at)'),
    ('table', '{auditor,admin}',
     'users(email,username,display_name) user_permissions policy_rules policy_models database_roles status_history
      audit_logs login_attempts consents identities(id,user_id,provider,provider_user_id,created_at,last_used_at)
      sessions(id,user_id,status,revoked_reason,revoked_at,client_ip,user_agent,assurance_level,authentication_methods,created_at,last_activity_at,expires_at,absolute_expires_at)
      subscriptions deliveries rate_limit_policies rate_limit_records rate_limit_attacks');
END;
REVOKE ALL ON FUNCTION usher._access_list() FROM PUBLIC;
COMMENT ON FUNCTION usher._access_list() IS 'What each access level may call and read in core: kind, levels and names, with columns in parentheses.';

-- The same for every usher extension: gives a role what an access list says for a level.
CREATE FUNCTION usher._grant_list(schema_name name, role name, level text, kind text, levels text[], names text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item text;
    target regprocedure;
BEGIN
    IF NOT level = ANY (levels) THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, role);
    -- names are separated by white space; a table may be followed by its readable columns: users(id,email)
    FOR item IN SELECT m[1] FROM regexp_matches(names, '[a-z0-9_]+(?:\([^)]*\))?', 'g') AS m LOOP
        IF kind = 'function' THEN
            FOR target IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = quote_ident(schema_name)::regnamespace AND p.proname = item LOOP
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', target, role);
            END LOOP;
        ELSIF to_regclass(format('%I.%I', schema_name, split_part(item, '(', 1))) IS NULL THEN
            CONTINUE;
        ELSIF strpos(item, '(') > 0 THEN
            EXECUTE format('GRANT SELECT (%s) ON %I.%I TO %I',
                (SELECT string_agg(quote_ident(trim(c)), ', ') FROM string_to_table(rtrim(split_part(item, '(', 2), ')'), ',') AS c),
                schema_name, split_part(item, '(', 1), role);
        ELSE
            EXECUTE format('GRANT SELECT ON %I.%I TO %I', schema_name, item, role);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_list(name, name, text, text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_list(name, name, text, text, text[], text) IS
    'Grants what one line of an access list says, with the rights of the caller. For the _grant_access() of every usher extension.';

CREATE FUNCTION usher._grant_access(role name, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._grant_list('usher', role, level, l.kind, l.levels, l.names) FROM usher._access_list() l;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_access(name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_access(name, text) IS 'Grants what a level may do in this extension.';

CREATE FUNCTION usher._check_database_role(role name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null');
    ELSIF NOT pg_has_role((SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'usher'), 'USAGE') THEN
        PERFORM usher.raise_error('not_permitted', 'only the owner of the extension can change the access of database roles');
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        PERFORM usher.raise_error('unknown_reference', format('database role "%s" does not exist', role), jsonb_build_object('role', role),
                                  'Create it with CREATE ROLE.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_database_role(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_database_role(name) IS 'Refuses roles that do not exist and callers who may not grant.';

CREATE FUNCTION usher.grant_access(role name, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installed record;
BEGIN
    PERFORM usher._check_database_role(role);
    IF level IS NULL OR level NOT IN ('application', 'gateway', 'readonly', 'auditor', 'admin') THEN
        PERFORM usher.raise_error('invalid_argument', 'level must be application, gateway, readonly, auditor or admin');
    END IF;
    FOR installed IN SELECT i.schema FROM usher._installed() i LOOP
        IF to_regprocedure(format('%I._grant_access(name, text)', installed.schema)) IS NOT NULL THEN
            EXECUTE format('SELECT %I._grant_access($1, $2)', installed.schema) USING role, level;
        END IF;
    END LOOP;
    INSERT INTO usher.database_roles (role_name, level) VALUES (role, grant_access.level) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.database_role_granted', jsonb_build_object('level', level), 'database_role', role);
    END IF;

    -- Parameters of such roles are passwords and tokens: they must not reach the server log.
    IF level IN ('application', 'gateway') THEN
        BEGIN
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length = 0', role);
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length_on_error = 0', role);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'statement parameters of role "%" may reach the server log', role
                USING HINT = format('As a superuser: ALTER ROLE %I SET log_parameter_max_length = 0', role);
        END;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.grant_access(name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.grant_access(name, text) IS
    'Gives a database role an access level, application, gateway, readonly, auditor or admin, in all installed usher extensions. Repeat it after installing another one. For the owner of the extension.';

CREATE FUNCTION usher.revoke_access(role name, level text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    had boolean;
    member record;
    kept text;
BEGIN
    PERFORM usher._check_database_role(role);
    DELETE FROM usher.database_roles d
    WHERE d.role_name = role AND d.level = coalesce(revoke_access.level, d.level);
    had := FOUND;
    IF had THEN
        PERFORM usher._log_access_change('access.database_role_revoked', jsonb_build_object('level', coalesce(level, 'all')), 'database_role', role);
    END IF;
    FOR member IN
        SELECT CASE d.classid WHEN 'pg_proc'::regclass THEN 'FUNCTION ' || d.objid::regprocedure
                              WHEN 'pg_class'::regclass THEN 'TABLE ' || d.objid::regclass END AS object
        FROM usher._installed() i
        JOIN pg_extension e ON e.extname = i.extension
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
        WHERE p.prokind = 'f' OR c.relkind IN ('r', 'v', 'm', 'p')
        UNION ALL
        SELECT 'SCHEMA ' || quote_ident(i.schema) FROM usher._installed() i
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', member.object, role);
    END LOOP;
    FOR kept IN SELECT d.level FROM usher.database_roles d WHERE d.role_name = role LOOP
        PERFORM usher.grant_access(role, kept); -- what other levels give was revoked with the rest
    END LOOP;
    RETURN had;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_access(name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_access(name, text) IS
    'Takes an access level, or all, from a database role; false when it had none. For the owner of the extension.';

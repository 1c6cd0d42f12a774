-- Part of names.sql: accounts, tokens, what is watched, and who may do what.

-- ---- Core authentication -------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.users WITH (security_barrier) AS
SELECT u.id, u.username, u.email, '***'::text AS hashed_password, u.first_name, u.last_name, u.phone,
    u.status = 'active' AS is_active,
    EXISTS (SELECT FROM care.customers AS c WHERE c.user_id = u.id) AS is_customer,
    u.last_login_at, u.created_at, u.updated_at
FROM usher.users AS u
WHERE u.status NOT IN ('deleted', 'erased') AND clinic.sees('usher.users', u.id, 'user:manage');
COMMENT ON VIEW clinic.users IS
    'R2 users: accounts that are not deleted. is_customer: has a profile in customers. hashed_password reads ***; '
    'what is written there is a password, or a hash of another system (user:manage).';

CREATE OR REPLACE FUNCTION clinic.write_users() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.delete_user(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.hashed_password LIKE '$%' THEN
            SELECT r.user_id INTO NEW.id FROM usher.import_user(NEW.email, NEW.hashed_password,
                first_name => NEW.first_name, last_name => NEW.last_name, username => NEW.username,
                phone => NEW.phone, id => NEW.id) AS r, clinic.check_answer(r.error);
        ELSE
            SELECT r.user_id INTO NEW.id FROM usher.register_user(NEW.email, NEW.hashed_password, NEW.first_name,
                NEW.last_name, NEW.username, NEW.phone) AS r, clinic.check_answer(r.error);
        END IF;
        IF NEW.is_customer THEN
            PERFORM care.upsert_customer(NEW.id);
        END IF;
        NEW.hashed_password := '***';
        RETURN NEW;
    END IF;
    IF NEW.email IS DISTINCT FROM OLD.email OR NEW.id <> OLD.id THEN
        PERFORM clinic.refuse('an address is changed by whoever proves that it is theirs',
                              'usher.request_email_change(), with the password.');
    END IF;
    IF (NEW.first_name, NEW.last_name, NEW.username, NEW.phone)
        IS DISTINCT FROM (OLD.first_name, OLD.last_name, OLD.username, OLD.phone) THEN
        PERFORM clinic.check_answer(r.error) FROM usher.update_profile(NEW.first_name, NEW.last_name, NEW.username,
            NEW.phone, user_id => NEW.id) AS r;
    END IF;
    IF NEW.hashed_password LIKE '$%' THEN
        PERFORM usher.import_password_hash(NEW.id, NEW.hashed_password);
    ELSIF NEW.hashed_password <> '***' THEN
        PERFORM clinic.check_answer(usher.set_password(NEW.id, NEW.hashed_password));
    END IF;
    IF NEW.is_active AND NOT OLD.is_active THEN
        PERFORM usher.reactivate_user(NEW.id);
    ELSIF OLD.is_active AND NOT NEW.is_active THEN
        PERFORM usher.deactivate_user(NEW.id);
    END IF;
    IF NEW.is_customer AND NOT OLD.is_customer THEN
        PERFORM care.upsert_customer(NEW.id);
    ELSIF OLD.is_customer AND NOT NEW.is_customer THEN
        PERFORM clinic.refuse('a customer stays one', 'is_customer tells whether there is a profile.');
    END IF;
    NEW.hashed_password := '***';
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_users() IS
    'register_user(), import_user(), update_profile(), set_password(), deactivate_user(), delete_user() …';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.users
    FOR EACH ROW EXECUTE FUNCTION clinic.write_users();

-- ---- Token management: one table of sessions in usher, three in the document ---------------------------------------

CREATE OR REPLACE VIEW clinic.refresh_tokens WITH (security_barrier) AS
SELECT s.id, s.user_id, '***'::text AS token_hash, s.device AS device_info, s.client_ip AS ip_address, s.user_agent,
    s.expires_at, s.status <> 'active' AS is_revoked, s.revoked_at, s.generation AS use_count, s.created_at
FROM usher.sessions AS s WHERE clinic.sees('usher.sessions', s.user_id, 'user:manage');
COMMENT ON VIEW clinic.refresh_tokens IS
    'R2 refresh_tokens: each session has one refresh token that is good now, kept as a hash, which is not shown. '
    'Deleting or revoking one ends its session.';

CREATE OR REPLACE VIEW clinic.user_sessions WITH (security_barrier) AS
SELECT s.id, s.user_id, '***'::text AS session_token, s.client_ip AS ip_address, s.user_agent,
    s.status = 'active' AND s.expires_at > now() AS is_active, s.created_at, s.expires_at
FROM usher.sessions AS s WHERE clinic.sees('usher.sessions', s.user_id, 'user:manage');
COMMENT ON VIEW clinic.user_sessions IS 'R2 user_sessions, the simple table of before: the same sessions.';

CREATE OR REPLACE VIEW clinic.enhanced_user_sessions WITH (security_barrier) AS
SELECT s.id, s.user_id, s.id AS refresh_token_id,
    CASE WHEN s.status = 'active' AND s.expires_at <= now() THEN 'expired' ELSE s.status END AS status,
    s.fingerprint AS device_fingerprint, s.device AS device_info, s.client_ip AS ip_address, s.user_agent,
    s.last_activity_at, s.created_at, s.expires_at, s.revoked_at, s.revoked_reason
FROM usher.sessions AS s WHERE clinic.sees('usher.sessions', s.user_id, 'user:manage');
COMMENT ON VIEW clinic.enhanced_user_sessions IS
    'R2 enhanced_user_sessions: status, fingerprint and last activity of sessions. A session has the id of its '
    'token.';

CREATE OR REPLACE FUNCTION clinic.write_sessions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM clinic.refuse('sessions and their tokens are made by logging in', 'usher.login()');
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM usher.revoke_session(OLD.id);
        RETURN OLD;
    END IF;
    IF NOT (CASE TG_TABLE_NAME WHEN 'refresh_tokens' THEN to_jsonb(NEW) ->> 'is_revoked' = 'true'
                WHEN 'user_sessions' THEN to_jsonb(NEW) ->> 'is_active' = 'false'
                ELSE to_jsonb(NEW) ->> 'status' = 'revoked' END) THEN
        PERFORM clinic.refuse('a session can only be ended', 'usher.revoke_session(), usher.refresh_session()');
    END IF;
    PERFORM usher.revoke_session(OLD.id);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_sessions() IS 'revoke_session(), for all three tables of sessions.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.refresh_tokens
    FOR EACH ROW EXECUTE FUNCTION clinic.write_sessions();
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.user_sessions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_sessions();
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.enhanced_user_sessions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_sessions();

-- ---- Security monitoring -------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.audit_logs WITH (security_barrier) AS
SELECT a.id, coalesce(a.actor_id, a.subject_id) AS user_id, a.event_type AS action, a.resource_type AS resource,
    a.resource_id, a.client_ip AS ip_address, a.user_agent, a.result = 'success' AS success, a.error_message,
    a.event_data AS details, a.old_values, a.new_values, a.session_id, a.created_at
FROM usher.audit_logs AS a WHERE clinic.sees('usher.audit_logs', NULL, 'audit:read');
COMMENT ON VIEW clinic.audit_logs IS
    'R2 audit_logs: user actions, logins, changes of permissions, with address, agent and outcome. Rows can be added'
    ' (usher.log_event()), and never changed.';

CREATE OR REPLACE FUNCTION clinic.write_audit_logs() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    NEW.id := usher.log_event(NEW.action, coalesce(NEW.details, '{}'),
        result => CASE WHEN NEW.success IS FALSE THEN 'failure' ELSE 'success' END, resource_type => NEW.resource,
        resource_id => NEW.resource_id, error_message => NEW.error_message);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_audit_logs() IS
    'log_event(): who, from where and when is what usher knows of this transaction, whatever was written there.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.audit_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.write_audit_logs();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.audit_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Rows of the log stay; usher.run_maintenance() retires months.');

CREATE OR REPLACE VIEW clinic.rate_limit_logs WITH (security_barrier) AS
SELECT r.key_hash AS identifier, r.policy AS action, r.request_count AS attempts, r.limit_value AS max_attempts,
    r.refused_count, r.window_start, r.window_end, coalesce(r.blocked_until > now(), false) AS is_blocked,
    r.blocked_until, r.created_at, r.updated_at
FROM usher.rate_limit_records AS r WHERE clinic.sees('usher.rate_limit_records', NULL, 'limit:manage');
COMMENT ON VIEW clinic.rate_limit_logs IS
    'R2 rate_limit_logs: attempts by action and by whatever identifies who tries, an address or a user, kept as a '
    'hash (usher.rate_limit_hash()). A row that is added counts an attempt: RETURNING is_blocked.';

CREATE OR REPLACE FUNCTION clinic.write_rate_limit_logs() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    hit record;
BEGIN
    SELECT * INTO hit FROM usher.hit_rate_limit(NEW.action, NEW.identifier);
    NEW.identifier := usher.rate_limit_hash(NEW.action, NEW.identifier);
    NEW.is_blocked := NOT hit.allowed;
    NEW.blocked_until := CASE WHEN NOT hit.allowed THEN hit.reset_at END;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_rate_limit_logs() IS
    'hit_rate_limit(): RETURNING is_blocked says whether this attempt is one too many.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.rate_limit_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.write_rate_limit_logs();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.rate_limit_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('usher.reset_rate_limit() forgets the attempts of one key.');

CREATE OR REPLACE VIEW clinic.session_logs WITH (security_barrier) AS
SELECT a.id, coalesce(a.session_id, (a.event_data ->> 'session_id')::uuid) AS session_id,
    coalesce(a.actor_id, a.subject_id, s.user_id) AS user_id,
    CASE a.event_type WHEN 'login.succeeded' THEN 'login' WHEN 'session.refreshed' THEN 'token_refresh'
        WHEN 'session.revoked' THEN 'logout' ELSE substr(a.event_type, 9) END AS event,
    a.client_ip AS ip_address, a.user_agent, a.event_data AS details, a.created_at
FROM usher.audit_logs AS a LEFT JOIN usher.sessions AS s ON s.id = (a.event_data ->> 'session_id')::uuid
WHERE (a.event_type = 'login.succeeded' OR a.event_type LIKE 'session.%')
    AND clinic.sees('usher.audit_logs', coalesce(a.actor_id, a.subject_id, s.user_id), 'audit:read');
COMMENT ON VIEW clinic.session_logs IS
    'R2 session_logs: login, logout, token refresh and the like with their session, from the audit log. Rows that '
    'are added are events session.… of the application.';

CREATE OR REPLACE FUNCTION clinic.write_session_logs() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.event IN ('login', 'logout', 'token_refresh') THEN
        PERFORM clinic.refuse(format('%s is written down when it happens', NEW.event),
                              'usher.login(), usher.refresh_session(), usher.logout()');
    END IF;
    NEW.session_id := coalesce(usher.current_session_id(), NEW.session_id);
    NEW.id := usher.log_event('session.' || NEW.event, coalesce(NEW.details, '{}')
        || jsonb_build_object('session_id', NEW.session_id));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_session_logs() IS 'log_event(), of the session of this transaction if there is one.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.session_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.write_session_logs();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.session_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Rows of the log stay; usher.run_maintenance() retires months.');

-- ---- Role-based access control -------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.roles WITH (security_barrier) AS
SELECT r.id, r.name, r.description, r.is_active, r.is_system, r.created_at, r.updated_at
FROM usher.roles AS r WHERE clinic.sees('usher.roles', NULL, 'role:read');
COMMENT ON VIEW clinic.roles IS 'R2 roles: admin, manager, staff, customer and others, with description and status.';

CREATE OR REPLACE FUNCTION clinic.write_roles() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.drop_role(OLD.name);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.id := usher.create_role(NEW.name, NEW.description);
        RETURN NEW;
    END IF;
    PERFORM usher.update_role(OLD.name, nullif(NEW.name, OLD.name), NEW.description, NEW.is_active);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_roles() IS 'create_role(), update_role(), drop_role().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.roles
    FOR EACH ROW EXECUTE FUNCTION clinic.write_roles();

CREATE OR REPLACE VIEW clinic.permissions WITH (security_barrier) AS
SELECT p.name AS id, p.name, p.resource, p.action, p.description, p.created_at
FROM usher.permissions AS p WHERE clinic.sees('usher.permissions', NULL, 'role:read');
COMMENT ON VIEW clinic.permissions IS
    'R2 permissions: resource:action. In usher that name is the key, so it is the id here too.';

CREATE OR REPLACE FUNCTION clinic.write_permissions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.drop_permission(OLD.name);
        RETURN OLD;
    END IF;
    NEW.name := coalesce(NEW.name, NEW.resource || ':' || NEW.action);
    NEW.id := NEW.name;
    PERFORM usher.create_permission(NEW.name, NEW.description);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_permissions() IS 'create_permission(), drop_permission().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR DELETE ON clinic.permissions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_permissions();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE ON clinic.permissions
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('A permission is dropped, and another one made.');

CREATE OR REPLACE VIEW clinic.user_roles WITH (security_barrier) AS
SELECT g.user_id, g.role_id, g.scope, g.assigned_by, g.assigned_at, g.expires_at
FROM usher.user_roles AS g WHERE clinic.sees('usher.user_roles', g.user_id, 'role:read');
COMMENT ON VIEW clinic.user_roles IS
    'R2 user_roles: many users, many roles; everywhere, or in a scope, for ever or not.';

CREATE OR REPLACE FUNCTION clinic.write_user_roles() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.revoke_role(OLD.user_id, (SELECT r.name FROM clinic.roles AS r WHERE r.id = OLD.role_id),
                                  OLD.scope);
        RETURN OLD;
    END IF;
    PERFORM usher.grant_role(NEW.user_id, (SELECT r.name FROM clinic.roles AS r WHERE r.id = NEW.role_id), NEW.scope,
                             NEW.expires_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_user_roles() IS 'grant_role(), revoke_role(). Granting again changes expires_at.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.user_roles
    FOR EACH ROW EXECUTE FUNCTION clinic.write_user_roles();

CREATE OR REPLACE VIEW clinic.role_permissions WITH (security_barrier) AS
SELECT g.role_id, g.permission AS permission_id, g.effect, g.scope, g.granted_by, g.granted_at, g.expires_at
FROM usher.role_permissions AS g WHERE clinic.sees('usher.role_permissions', NULL, 'role:read');
COMMENT ON VIEW clinic.role_permissions IS 'R2 role_permissions: many roles, many permissions.';

CREATE OR REPLACE FUNCTION clinic.write_role_permissions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.revoke_permission(from_role => (SELECT r.name FROM clinic.roles AS r WHERE r.id = OLD.role_id),
                                        permission => OLD.permission_id, scope => OLD.scope, effect => OLD.effect);
        RETURN OLD;
    END IF;
    PERFORM usher.grant_permission(to_role => (SELECT r.name FROM clinic.roles AS r WHERE r.id = NEW.role_id),
                                   permission => NEW.permission_id, scope => NEW.scope,
                                   effect => coalesce(NEW.effect, 'allow'), expires_at => NEW.expires_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_role_permissions() IS 'grant_permission(), revoke_permission() of a role.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.role_permissions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_role_permissions();

CREATE OR REPLACE VIEW clinic.user_permissions WITH (security_barrier) AS
SELECT g.id, g.user_id, g.permission AS permission_id, g.effect, g.scope, g.granted_by, g.granted_at, g.expires_at
FROM usher.user_permissions AS g WHERE clinic.sees('usher.user_permissions', g.user_id, 'role:read');
COMMENT ON VIEW clinic.user_permissions IS 'R2 user_permissions: granted to a user directly, perhaps for a time.';

CREATE OR REPLACE FUNCTION clinic.write_user_permissions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.revoke_permission(from_user => OLD.user_id, permission => OLD.permission_id, scope => OLD.scope,
                                        effect => OLD.effect);
        RETURN OLD;
    END IF;
    PERFORM usher.grant_permission(to_user => NEW.user_id, permission => NEW.permission_id, scope => NEW.scope,
                                   effect => coalesce(NEW.effect, 'allow'), expires_at => NEW.expires_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_user_permissions() IS 'grant_permission(), revoke_permission() of a user.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.user_permissions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_user_permissions();

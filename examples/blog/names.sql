-- The tables of R4, the blog's document, that are usher's, under their own names with its columns: users, roles,
-- user_roles, permissions, sessions, audit_logs; and resources, of which it prints a query. posts, comments and
-- user_profiles are the blog's own (install.sql). What its application wrote to them can be written, by triggers that
-- call usher's functions: whoever may not do it there may not do it here, and what usher proves or counts by itself is
-- refused (0A000, with a hint). May run again.
--
-- No secret is in them: password_hash and token_hash are '***', or NULL when there is none. Times have a time zone;
-- the server's is UTC.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;

-- Whose rows one sees. Views read as their owner, so they ask this; by its owner's rights, since analytics may not ask
-- usher.
CREATE OR REPLACE FUNCTION blog.sees(user_id uuid, permission text DEFAULT 'user:read') RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(user_id = usher.current_user_id(), false) OR usher.has_permission(permission);
END
$$;
COMMENT ON FUNCTION blog.sees(uuid, text) IS 'One''s own rows, and with the permission all.';

\set names blog
\ir ../writable_views.sql

-- ---- users ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW blog.users WITH (security_barrier) AS
SELECT u.id, u.email::varchar(255) AS email,
       CASE WHEN c.password_hash IS NOT NULL THEN '***' END::varchar(255) AS password_hash,
       u.display_name::varchar(100) AS name, u.phone, u.is_active, u.email_verified_at IS NOT NULL AS is_verified,
       u.last_login_at AS last_login, u.created_at, u.updated_at
FROM usher.users u LEFT JOIN usher.credentials c ON c.user_id = u.id
WHERE u.status IN ('pending', 'active', 'deactivated')
  AND (pg_has_role('blog_migrations', 'USAGE') OR pg_has_role('blog_analytics', 'USAGE') OR blog.sees(u.id));
COMMENT ON VIEW blog.users IS
    'Accounts that are not deleted: one''s own, with user:read all. password_hash is *** or NULL; writing one '
    'imports it (blog_migrations only). blog_analytics sees all rows, and no column that says who it is.';

CREATE OR REPLACE FUNCTION blog.write_users() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.delete_user(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.email IS NULL OR NEW.password_hash IS NULL OR NEW.name IS NULL THEN
            RAISE 'email, password_hash and name must not be null' USING ERRCODE = 'not_null_violation',
                HINT = 'usher.register_user() takes a password, and hashes it.';
        END IF;
        IF EXISTS (SELECT FROM blog.users u WHERE u.id = NEW.id) THEN -- an import would return that account as it is
            RAISE 'there is a user with this id' USING ERRCODE = 'unique_violation';
        END IF;
        SELECT * INTO made FROM usher.import_user(NEW.email, NEW.password_hash, first_name => NEW.name,
            phone => NEW.phone,
            email_verified => coalesce(NEW.is_verified, false), created_at => coalesce(NEW.created_at, now()),
                id => NEW.id);
        PERFORM blog.check_answer(made.error);
        NEW.id := made.user_id;
    ELSE
        PERFORM blog.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{password_hash,name,phone,is_active,updated_at}',
            'An address is changed by usher.request_email_change(), and proved by usher.verify_email().');
        IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
            PERFORM usher.import_password_hash(NEW.id, NEW.password_hash);
        END IF;
        IF NEW.name IS DISTINCT FROM OLD.name OR NEW.phone IS DISTINCT FROM OLD.phone THEN
            SELECT * INTO made FROM usher.update_profile(
                first_name => CASE WHEN NEW.name IS DISTINCT FROM OLD.name THEN NEW.name END,
                last_name => CASE WHEN NEW.name IS DISTINCT FROM OLD.name THEN '' END,
                phone => coalesce(NEW.phone, ''), user_id => NEW.id);
            PERFORM blog.check_answer(made.error);
        END IF;
    END IF;
    IF NOT NEW.is_active AND (TG_OP = 'INSERT' OR OLD.is_active) THEN
        PERFORM usher.deactivate_user(NEW.id);
    ELSIF TG_OP = 'UPDATE' AND NEW.is_active AND NOT OLD.is_active THEN
        PERFORM usher.reactivate_user(NEW.id);
    END IF;
    SELECT * INTO NEW FROM blog.users u WHERE u.id = NEW.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION blog.write_users() IS 'Trigger: users are written by usher''s functions.';
CREATE OR REPLACE TRIGGER write_users INSTEAD OF INSERT OR UPDATE OR DELETE ON blog.users
    FOR EACH ROW EXECUTE FUNCTION blog.write_users();

-- ---- roles, user_roles, permissions --------------------------------------------------------------------------------

CREATE OR REPLACE VIEW blog.roles AS
SELECT r.id, r.name::varchar(50) AS name, r.description, r.is_system, r.created_at FROM usher.roles r
    WHERE r.is_active;
COMMENT ON VIEW blog.roles IS 'Roles. Those of the system cannot be dropped or renamed.';

CREATE OR REPLACE FUNCTION blog.write_roles() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.drop_role(OLD.name);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.id IS NOT NULL THEN
            RAISE 'usher makes the ids of roles' USING ERRCODE = '0A000';
        END IF;
        PERFORM usher.create_role(NEW.name, NEW.description, coalesce(NEW.is_system, false));
    ELSE
        PERFORM blog.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{name,description}', 'Make another role.');
        PERFORM usher.update_role(OLD.name, new_name => nullif(NEW.name, OLD.name), description => NEW.description);
    END IF;
    SELECT * INTO NEW FROM blog.roles r WHERE r.name = NEW.name;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION blog.write_roles() IS 'Trigger: roles are written by usher''s functions (role:manage).';
CREATE OR REPLACE TRIGGER write_roles INSTEAD OF INSERT OR UPDATE OR DELETE ON blog.roles
    FOR EACH ROW EXECUTE FUNCTION blog.write_roles();

CREATE OR REPLACE VIEW blog.user_roles WITH (security_barrier) AS
SELECT ur.user_id, ur.role_id, ur.assigned_at, ur.assigned_by FROM usher.user_roles ur
WHERE ur.scope IS NULL AND (ur.expires_at IS NULL OR ur.expires_at > now())
  AND (pg_has_role('blog_migrations', 'USAGE') OR pg_has_role('blog_analytics', 'USAGE') OR blog.sees(ur.user_id));
COMMENT ON VIEW blog.user_roles IS
    'Who has which role: of oneself, with user:read of all. Those with a scope are not in it. Who assigned it is '
    'usher''s to say.';

CREATE OR REPLACE FUNCTION blog.write_user_roles() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role text := (SELECT r.name FROM blog.roles r
                  WHERE r.id = CASE WHEN TG_OP = 'DELETE' THEN OLD.role_id ELSE NEW.role_id END);
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.revoke_role(OLD.user_id, role);
        RETURN OLD;
    ELSIF role IS NULL THEN
        RAISE 'role does not exist' USING ERRCODE = 'foreign_key_violation';
    ELSIF EXISTS (SELECT FROM blog.user_roles ur WHERE (ur.user_id, ur.role_id) = (NEW.user_id, NEW.role_id)) THEN
        RAISE 'the user has this role' USING ERRCODE = 'unique_violation';
    END IF;
    PERFORM usher.grant_role(NEW.user_id, role);
    SELECT * INTO NEW FROM blog.user_roles ur WHERE (ur.user_id, ur.role_id) = (NEW.user_id, NEW.role_id);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION blog.write_user_roles() IS 'Trigger: roles are given and taken by usher''s functions.';
CREATE OR REPLACE TRIGGER write_user_roles INSTEAD OF INSERT OR DELETE ON blog.user_roles
    FOR EACH ROW EXECUTE FUNCTION blog.write_user_roles();
CREATE OR REPLACE TRIGGER refuse_user_roles INSTEAD OF UPDATE ON blog.user_roles
    FOR EACH ROW EXECUTE FUNCTION blog.refuse_write('Delete the row, and insert another.');

CREATE OR REPLACE VIEW blog.permissions AS
SELECT p.id, p.role_id, p.permission AS name, p.granted_at AS created_at FROM usher.role_permissions p
WHERE p.effect = 'allow' AND p.scope IS NULL AND (p.expires_at IS NULL OR p.expires_at > now());
COMMENT ON VIEW blog.permissions IS 'What a role may do everywhere. The document has the entity, and no columns.';
CREATE OR REPLACE TRIGGER refuse_permissions INSTEAD OF INSERT OR UPDATE OR DELETE ON blog.permissions
    FOR EACH ROW EXECUTE FUNCTION blog.refuse_write('Call usher.grant_permission(), usher.revoke_permission().');

-- ---- sessions, audit_logs ------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW blog.sessions WITH (security_barrier) AS
SELECT s.id, s.user_id, '***'::varchar(255) AS token_hash, s.client_ip AS ip_address, s.user_agent, s.expires_at,
    s.created_at
FROM usher.sessions s
WHERE s.status = 'active' AND (pg_has_role('blog_migrations', 'USAGE') OR blog.sees(s.user_id));
COMMENT ON VIEW blog.sessions IS
    'Sessions that have not been ended; one whose time is over is in it until upkeep marks it. DELETE ends one.';

CREATE OR REPLACE FUNCTION blog.end_session() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.revoke_session(OLD.id);
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION blog.end_session() IS 'Trigger: sessions are ended by usher.revoke_session().';
CREATE OR REPLACE TRIGGER end_session INSTEAD OF DELETE ON blog.sessions FOR EACH ROW EXECUTE FUNCTION
    blog.end_session();
CREATE OR REPLACE TRIGGER refuse_sessions INSTEAD OF INSERT OR UPDATE ON blog.sessions
    FOR EACH ROW EXECUTE FUNCTION blog.refuse_write('usher.grant_permission(), usher.revoke_permission()');

CREATE OR REPLACE VIEW blog.audit_logs WITH (security_barrier) AS
SELECT a.id, a.actor_id AS user_id,
       CASE a.source WHEN 'trigger' THEN a.action ELSE a.event_type END::varchar(50) AS action,
           a.resource_type::varchar(50) AS entity_type,
       CASE WHEN a.resource_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
           THEN a.resource_id::uuid END AS entity_id,
       a.old_values, coalesce(a.new_values, nullif(a.event_data, '{}')) AS new_values, a.client_ip AS ip_address,
           a.created_at
FROM usher.audit_logs a
WHERE pg_has_role('blog_migrations', 'USAGE') OR blog.sees(NULL, 'audit:read');
COMMENT ON VIEW blog.audit_logs IS
    'The audit log, for those with audit:read. Only added to: by what happens, and by INSERT, which logs an event.';

CREATE OR REPLACE FUNCTION blog.write_audit_logs() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.id IS NOT NULL OR NEW.created_at IS NOT NULL OR NEW.ip_address IS NOT NULL OR NEW.old_values IS NOT NULL
       OR (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM usher.actor_id()) THEN
        RAISE 'usher says who did it, when, from where, and what was changed' USING ERRCODE = '0A000',
            HINT = 'usher.enable_audit() has a table''s changes logged.';
    END IF;
    NEW.id := usher.log_event(NEW.action, coalesce(NEW.new_values, '{}'), resource_type => NEW.entity_type,
                              resource_id => NEW.entity_id::text);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION blog.write_audit_logs() IS 'Trigger: events of the application are logged by usher.log_event().';
CREATE OR REPLACE TRIGGER write_audit_logs INSTEAD OF INSERT ON blog.audit_logs
    FOR EACH ROW EXECUTE FUNCTION blog.write_audit_logs();
CREATE OR REPLACE TRIGGER refuse_audit_logs INSTEAD OF UPDATE OR DELETE ON blog.audit_logs
    FOR EACH ROW EXECUTE FUNCTION blog.refuse_write('The log is only added to; upkeep archives and drops old months.');

-- ---- resources -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW blog.resources WITH (security_invoker) AS
SELECT p.id, p.user_id, p.title, CASE p.status WHEN 'published' THEN 'active' ELSE p.status END AS status, p.created_at
FROM blog.posts p WHERE p.is_active;
COMMENT ON VIEW blog.resources IS
    'Posts, as the document''s query of a page names them: the published ones are active. The policies of posts '
    'hold.';

-- ---- who may -------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA blog FROM PUBLIC;
GRANT EXECUTE ON FUNCTION blog.sees(uuid, text) TO blog_app, blog_migrations, blog_analytics;
GRANT EXECUTE ON FUNCTION blog.refuse_changes(jsonb, jsonb, text[], text), blog.check_answer(text) TO blog_app,
    blog_migrations;
GRANT SELECT, INSERT, UPDATE, DELETE ON blog.users, blog.roles, blog.user_roles, blog.permissions, blog.sessions,
    blog.audit_logs
    TO blog_app, blog_migrations;
GRANT SELECT ON blog.resources TO blog_app, blog_migrations;
GRANT SELECT (id, is_active, is_verified, last_login, created_at, updated_at) ON blog.users TO blog_analytics;
GRANT SELECT ON blog.roles, blog.user_roles, blog.permissions TO blog_analytics;
\o

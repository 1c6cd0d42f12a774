-- The tables of R3 under their own names, in a schema of their own, over usher: for an application that was written
-- for those tables. Reading is a view; writing calls usher's functions by INSTEAD OF triggers. May run again.
--
-- Users, roles and work orders have the numbers that the document counts; a row of a log has a uuid. Of refresh tokens
-- usher keeps hashes, which nobody reads: token_hash is '***'. TIMESTAMP is timestamptz; the rest has the types of the
-- document.
--
-- Who sees which rows: work orders, by the row-level security of field.work_orders (the view is security_invoker);
-- accounts and tokens, one's own, those whom one may manage, and all for a superuser; the log, with audit:read.
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS trossapp;
GRANT USAGE ON SCHEMA trossapp TO trossapp_app;

-- ---- what the views and triggers share -----------------------------------------------------------------------------

-- Views read tables as their owner, so they ask these for each row. Nobody is the DBA, or nothing.
CREATE OR REPLACE FUNCTION trossapp.is_dba() RETURNS boolean LANGUAGE sql STABLE
    RETURN usher.actor_id() IS NULL AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
CREATE OR REPLACE FUNCTION trossapp.sees_user(user_id uuid) RETURNS boolean LANGUAGE sql STABLE
    RETURN trossapp.is_dba() OR user_id = usher.current_user_id()
        OR (usher.has_permission('user:read') AND usher.can_manage(user_id));
CREATE OR REPLACE FUNCTION trossapp.reads_log() RETURNS boolean LANGUAGE sql STABLE
    RETURN trossapp.is_dba() OR usher.has_permission('audit:read');

-- The application may not read tables of numbers, nor which role is which
CREATE OR REPLACE FUNCTION trossapp.user_of(number integer) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT n.user_id FROM field.user_numbers AS n WHERE n.number = user_of.number);
CREATE OR REPLACE FUNCTION trossapp.role_of(number integer) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT r.name FROM field.role_numbers AS n JOIN usher.roles AS r ON r.id = n.role_id
            WHERE n.number = role_of.number);

\set names trossapp
\ir ../writable_views.sql

-- ---- roles ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW trossapp.roles AS
SELECT n.number AS id, r.name::varchar(50), r.description, r.is_active, r.created_at, r.updated_at
FROM usher.roles AS r JOIN field.role_numbers AS n ON n.role_id = r.id;
COMMENT ON VIEW trossapp.roles IS
    'Roles. The five of the preset cannot be dropped, others can: then their users have none. An inactive one gives '
    'nothing.';
CREATE OR REPLACE FUNCTION trossapp.number_role(role text) RETURNS integer LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO field.role_numbers (role_id) SELECT r.id FROM usher.roles AS r WHERE r.name = role RETURNING number;
END;
REVOKE ALL ON FUNCTION trossapp.number_role(text) FROM PUBLIC;
CREATE OR REPLACE FUNCTION trossapp.write_roles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.drop_role(OLD.name);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM usher.create_role(NEW.name, NEW.description);
        NEW.id := trossapp.number_role(NEW.name);
        PERFORM usher.update_role(NEW.name, is_active => false) WHERE NOT NEW.is_active;
    ELSE
        PERFORM trossapp.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{name,description,is_active,updated_at}',
            'A role keeps its number.');
        PERFORM usher.update_role(OLD.name, nullif(NEW.name, OLD.name), NEW.description,
            nullif(NEW.is_active, OLD.is_active));
    END IF;
    SELECT * INTO NEW FROM trossapp.roles AS r WHERE r.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON trossapp.roles
    FOR EACH ROW EXECUTE FUNCTION trossapp.write_roles();

-- ---- users ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW trossapp.users AS
SELECT n.number AS id, u.email::varchar(255), (
        SELECT i.provider_user_id FROM usher.identities AS i WHERE i.user_id = u.id AND i.provider = 'auth0'
    ) AS auth0_id, u.first_name, u.last_name, (
        SELECT m.number FROM field.role_numbers AS m JOIN usher.roles AS r ON r.id = m.role_id
        WHERE r.name = (usher.user_reference(u.id)).role
    ) AS role_id, u.is_active, u.created_at, u.updated_at
FROM usher.users AS u JOIN field.user_numbers AS n ON n.user_id = u.id
WHERE u.status <> 'erased' AND trossapp.sees_user(u.id);
COMMENT ON VIEW trossapp.users IS
    'Accounts, each with one role. auth0_id is who they are at the tenant: its tokens are theirs. DELETE deactivates, '
    'as is_active = false does, and ends what they have open; is_active = true brings them back. INSERT takes '
    'somebody over, as usher.import_user() does: for the DBA.';
CREATE OR REPLACE FUNCTION trossapp.write_users() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    key uuid := trossapp.user_of(OLD.id);
    before trossapp.users := OLD;
    made record;
    changed record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.deactivate_user(key) WHERE OLD.is_active;
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT * INTO made FROM usher.import_user(NEW.email, first_name => NEW.first_name, last_name => NEW.last_name);
        PERFORM trossapp.check_answer(made.error);
        key := made.user_id;
        before.role_id := (SELECT m.id FROM trossapp.roles AS m WHERE m.name = (usher.user_reference(key)).role);
        before.is_active := true;
    ELSE
        PERFORM trossapp.refuse_changes(to_jsonb(OLD), to_jsonb(NEW),
            '{auth0_id,first_name,last_name,role_id,is_active,updated_at}',
            'usher.request_email_change() proves who reads the new address.');
        IF (NEW.first_name, NEW.last_name) IS DISTINCT FROM (OLD.first_name, OLD.last_name) THEN
            SELECT * INTO changed FROM usher.update_profile(NEW.first_name, NEW.last_name, user_id => key);
            PERFORM trossapp.check_answer(changed.error);
        END IF;
    END IF;
    IF NEW.auth0_id IS DISTINCT FROM before.auth0_id THEN
        PERFORM usher.unlink_identity(key, 'auth0') WHERE before.auth0_id IS NOT NULL;
        PERFORM trossapp.check_answer((usher.link_identity(key, 'auth0', NEW.auth0_id)).error)
        WHERE NEW.auth0_id IS NOT NULL;
    END IF;
    IF NEW.role_id IS DISTINCT FROM before.role_id THEN
        IF NEW.role_id IS NOT NULL THEN
            IF trossapp.role_of(NEW.role_id) IS NULL THEN
                RAISE 'role % does not exist', NEW.role_id USING ERRCODE = 'foreign_key_violation';
            END IF;
            PERFORM usher.grant_role(key, trossapp.role_of(NEW.role_id));
        END IF;
        PERFORM usher.revoke_role(key, trossapp.role_of(before.role_id)) WHERE before.role_id IS NOT NULL;
    END IF;
    IF NEW.is_active AND NOT before.is_active THEN
        PERFORM usher.reactivate_user(key);
    ELSIF before.is_active AND NOT NEW.is_active THEN
        PERFORM usher.deactivate_user(key);
    END IF;
    SELECT * INTO NEW FROM trossapp.users AS u
    WHERE u.id = (SELECT n.id FROM trossapp.users AS n WHERE trossapp.user_of(n.id) = key);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON trossapp.users
    FOR EACH ROW EXECUTE FUNCTION trossapp.write_users();

-- ---- the log, and tokens -------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW trossapp.audit_logs AS
SELECT l.id, n.number AS user_id, l.action::varchar(50), l.resource_type::varchar(100),
    -- of work orders and users: by their numbers
    coalesce(w.number, o.number) AS resource_id, l.old_values, l.new_values,
    host(l.client_ip)::varchar(45) AS ip_address, l.user_agent, l.result::varchar(20), l.error_message, l.created_at
FROM usher.audit_logs AS l
LEFT JOIN field.user_numbers AS n ON n.user_id = l.actor_id
LEFT JOIN field.work_orders AS w ON l.resource_type = 'field.work_orders' AND w.id::text = l.resource_id
LEFT JOIN field.user_numbers AS o ON l.resource_type IN ('user', 'usher.users') AND o.user_id::text = l.resource_id
WHERE trossapp.reads_log();
COMMENT ON VIEW trossapp.audit_logs IS
    'The audit log. Triggers write it; what an application adds goes to usher.log_event(). Nobody changes a row.';
CREATE OR REPLACE FUNCTION trossapp.write_audit_logs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id := usher.log_event('app.' || NEW.action, jsonb_strip_nulls(jsonb_build_object(
            'old_values', NEW.old_values, 'new_values', NEW.new_values)), result => coalesce(NEW.result, 'success'),
        resource_type => NEW.resource_type, resource_id => NEW.resource_id::text,
        error_message => NEW.error_message);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT ON trossapp.audit_logs
    FOR EACH ROW EXECUTE FUNCTION trossapp.write_audit_logs();

CREATE OR REPLACE VIEW trossapp.refresh_tokens AS
SELECT s.id, n.number AS user_id, s.id AS token_id, '***'::text AS token_hash, s.expires_at,
    s.status = 'active' AND s.expires_at > now() AS is_active, host(s.client_ip)::varchar(45) AS ip_address,
    s.user_agent, s.created_at, s.refreshed_at AS last_used_at, s.revoked_at
FROM usher.sessions AS s JOIN field.user_numbers AS n ON n.user_id = s.user_id
WHERE trossapp.sees_user(s.user_id);
COMMENT ON VIEW trossapp.refresh_tokens IS
    'Sessions: each has one refresh token at a time, which usher.login() and refresh_session() give out. '
    'is_active = false, or DELETE, ends one.';
CREATE OR REPLACE FUNCTION trossapp.write_refresh_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM trossapp.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{is_active,revoked_at}',
            'usher.login() begins a session, usher.refresh_session() keeps it.');
        IF NEW.is_active AND NOT OLD.is_active THEN
            RAISE 'a session that has ended does not begin again' USING ERRCODE = 'feature_not_supported';
        END IF;
    END IF;
    PERFORM usher.revoke_session(OLD.id) WHERE OLD.is_active;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF UPDATE OR DELETE ON trossapp.refresh_tokens
    FOR EACH ROW EXECUTE FUNCTION trossapp.write_refresh_tokens();

-- ---- work orders ---------------------------------------------------------------------------------------------------

-- The document leaves open what a work order has beside what every entity has.
CREATE OR REPLACE VIEW trossapp.work_orders WITH (security_invoker = true) AS
SELECT w.number AS id, w.title, w.is_active, w.created_at, w.updated_at, w.description, w.status, w.reason, w.notes,
    w.client_id, w.technician_id, lower(w.during) AS starts_at, upper(w.during) AS ends_at
FROM field.work_orders AS w;
COMMENT ON VIEW trossapp.work_orders IS
    'Work orders; the status machine holds for whoever writes. DELETE is soft, and is_active = true brings one back.';
CREATE OR REPLACE FUNCTION trossapp.write_work_orders() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    key uuid := (SELECT w.id FROM field.work_orders AS w WHERE w.number = OLD.id);
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.soft_delete_row('field.work_orders', to_jsonb(key));
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO field.work_orders AS w (title, description, client_id)
        VALUES (NEW.title, coalesce(NEW.description, ''), coalesce(NEW.client_id, usher.current_user_id()))
        RETURNING w.number INTO NEW.id;
    ELSE
        PERFORM trossapp.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{title,is_active,updated_at,description,status,'
            'reason,notes,technician_id,starts_at,ends_at}', 'Submit another order.');
        IF NEW.is_active AND NOT OLD.is_active THEN
            PERFORM usher.restore_row('field.work_orders', to_jsonb(key));
        ELSIF OLD.is_active AND NOT NEW.is_active THEN
            PERFORM usher.soft_delete_row('field.work_orders', to_jsonb(key));
        END IF;
        UPDATE field.work_orders AS w SET title = NEW.title, description = NEW.description, status = NEW.status,
            reason = NEW.reason, notes = NEW.notes, technician_id = NEW.technician_id,
            during = CASE WHEN NEW.starts_at IS NOT NULL THEN tstzrange(NEW.starts_at, NEW.ends_at) END
        WHERE w.id = key AND (NEW.title, NEW.description, NEW.status, NEW.reason, NEW.notes, NEW.technician_id,
                NEW.starts_at, NEW.ends_at) IS DISTINCT FROM (OLD.title, OLD.description, OLD.status, OLD.reason,
                OLD.notes, OLD.technician_id, OLD.starts_at, OLD.ends_at);
    END IF;
    SELECT * INTO NEW FROM trossapp.work_orders AS w WHERE w.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON trossapp.work_orders
    FOR EACH ROW EXECUTE FUNCTION trossapp.write_work_orders();

ALTER VIEW trossapp.roles ALTER COLUMN is_active SET DEFAULT true;
ALTER VIEW trossapp.users ALTER COLUMN is_active SET DEFAULT true;
-- The application may try everything: what it may do is decided by usher.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA trossapp TO trossapp_app;
GRANT EXECUTE ON FUNCTION trossapp.number_role(text) TO trossapp_app;

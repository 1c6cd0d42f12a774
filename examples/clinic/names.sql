-- The clinic under the names of R2, "Database Schema Overview": each table of that document as a view over usher, with
-- the columns that the document names, and writable where its application wrote to it. A write calls usher's functions
-- as whoever writes, so it meets the rules that everything else meets. Run by a superuser after install.sql; may run
-- again.
--
-- Keys are uuids. The document calls that of users an integer, and prints no other type.
--
-- No secret is in here. hashed_password and token_hash always read '***'; a password that is written is hashed by
-- usher, a hash that is written is taken over if it is one of Argon2, bcrypt or scrypt.
--
-- Bookings, appointments, customers, products and payments are read with the rights of whoever asks
-- (security_invoker), so the row-level security of their tables holds. The tables of accounts and of the rest can be
-- read by no application at all: these views are read with the rights of their owner, and ask row by row who may see
-- it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
CREATE SCHEMA IF NOT EXISTS clinic;

-- ---- who sees what, and what cannot be -----------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION clinic.sees(relation text, user_id uuid, permission text, place uuid DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF has_table_privilege(relation, 'SELECT') THEN
        RETURN true; -- at once: auditors may not call what applications call
    END IF;
    RETURN user_id = usher.current_user_id(permission) OR usher.has_permission(permission, place);
END
$$;
COMMENT ON FUNCTION clinic.sees(text, uuid, text, uuid) IS
    'Whether whoever asks sees a row: a database role that may read the table itself, the user whose row it is, or '
    'somebody with the permission.';

CREATE OR REPLACE FUNCTION clinic.refuse(what text, hint text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = what, HINT = hint;
END
$$;
COMMENT ON FUNCTION clinic.refuse(text, text) IS 'Says that something is not written by hand, and who writes it.';

\set names clinic
\ir ../writable_views.sql

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

-- ---- Business: customers, bookings, appointments -------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.customers WITH (security_invoker) AS
SELECT c.id, c.user_id, c.name, c.email, c.phone, c.attributes, c.is_active, c.created_at, c.updated_at
FROM care.customers AS c;
COMMENT ON VIEW clinic.customers IS
    'R2 customers: profiles of users, who may have several, and of walk-in customers, who have no account.';

CREATE OR REPLACE FUNCTION clinic.write_customers() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.erase_customer(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'UPDATE' AND (NEW.id, NEW.user_id) IS DISTINCT FROM (OLD.id, OLD.user_id) THEN
        PERFORM clinic.refuse('a profile stays with its user', 'care.upsert_customer() makes another one.');
    END IF;
    SELECT c.id INTO NEW.id
    FROM care.upsert_customer(NEW.user_id, NEW.name, NEW.email, NEW.phone, NEW.attributes, NEW.id) AS c;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_customers() IS
    'upsert_customer(), and erase_customer() for those without an account; the others go with it.';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.customers
    FOR EACH ROW EXECUTE FUNCTION clinic.write_customers();

CREATE OR REPLACE VIEW clinic.bookings WITH (security_invoker) AS
SELECT b.id, b.customer_user_id AS user_id, b.customer_id,
    (SELECT a.id FROM care.appointments AS a WHERE a.booking_id = b.id ORDER BY a.start_at, a.id LIMIT 1)
        AS appointment_id,
    b.service_id, b.service_name, b.location_id, b.staff_id, b.status, b.start_at AS booking_date,
    b.end_at AS end_date,
    till.format_amount(b.price_minor, b.currency)::numeric AS total_amount, b.currency, b.paid_at,
    b.special_instructions AS notes, b.cancellation_reason, b.created_at, b.updated_at
FROM care.bookings AS b;
COMMENT ON VIEW clinic.bookings IS
    'R2 bookings: what customers have reserved. appointment_id is that of the first session. Writing a status moves '
    'the booking along, a date moves it, a staff_id gives it to somebody; deleting cancels.';

CREATE OR REPLACE FUNCTION clinic.write_bookings() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM care.cancel_booking(OLD.id, coalesce(OLD.cancellation_reason, 'customer_request'));
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT r.booking_id, r.status, r.end_at, r.staff_id INTO NEW.id, NEW.status, NEW.end_date, NEW.staff_id
        FROM care.create_booking(coalesce(NEW.customer_id, NEW.user_id), NEW.service_id, NEW.location_id,
                                 NEW.booking_date, NEW.staff_id, special_instructions => NEW.notes, id => NEW.id) AS r;
        RETURN NEW;
    END IF;
    IF NEW.booking_date <> OLD.booking_date THEN
        PERFORM care.reschedule_booking(NEW.id, NEW.booking_date, nullif(NEW.staff_id, OLD.staff_id));
    ELSIF NEW.staff_id IS DISTINCT FROM OLD.staff_id THEN
        PERFORM care.reassign_booking(NEW.id, NEW.staff_id);
    END IF;
    IF NEW.status <> OLD.status THEN
        CASE NEW.status
            WHEN 'confirmed' THEN PERFORM care.confirm_booking(NEW.id);
            WHEN 'in_progress' THEN PERFORM care.start_booking(NEW.id);
            WHEN 'completed' THEN PERFORM care.complete_booking(NEW.id);
            WHEN 'cancelled' THEN
                PERFORM care.cancel_booking(NEW.id, coalesce(NEW.cancellation_reason, 'customer_request'));
            ELSE PERFORM usher.raise_error('illegal_transition', format('no booking becomes %s', NEW.status));
        END CASE;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_bookings() IS
    'create_booking(), confirm_booking(), start_booking(), complete_booking(), cancel_booking(), '
    'reschedule_booking() …';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.bookings
    FOR EACH ROW EXECUTE FUNCTION clinic.write_bookings();

CREATE OR REPLACE VIEW clinic.appointments WITH (security_invoker) AS
SELECT a.id, a.booking_id, c.user_id, a.customer_id, a.practitioner_id AS doctor_id, b.service_id, a.location_id,
    a.start_at AS appointment_date, a.end_at AS end_date, a.status, a.notes, a.cancellation_reason,
    a.created_at, a.updated_at
FROM care.appointments AS a LEFT JOIN care.customers AS c ON c.id = a.customer_id
    LEFT JOIN care.bookings AS b ON b.id = a.booking_id; -- which the front desk does not see
COMMENT ON VIEW clinic.appointments IS
    'R2 appointments: when a patient (customer_id, user_id) meets a doctor for a service. Inserted with a booking_id'
    ' it is a further session of that booking, without one it is booked first. Writing a status moves it along.';

CREATE OR REPLACE FUNCTION clinic.write_appointments() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM care.transition_appointment(OLD.id, 'cancelled', 'customer_request');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.booking_id IS NULL THEN
            SELECT r.booking_id, r.end_at INTO NEW.booking_id, NEW.end_date
            FROM care.create_booking(coalesce(NEW.customer_id, NEW.user_id), NEW.service_id, NEW.location_id,
                                     NEW.appointment_date, NEW.doctor_id) AS r;
            SELECT a.appointment_id, a.status, a.practitioner_id INTO NEW.id, NEW.status, NEW.doctor_id
            FROM care.list_appointments(booking_id => NEW.booking_id) AS a;
        ELSE
            SELECT a.appointment_id, a.status, a.practitioner_id INTO NEW.id, NEW.status, NEW.doctor_id
            FROM care.schedule_appointment(NEW.booking_id, NEW.doctor_id,
                                           tstzrange(NEW.appointment_date, NEW.end_date), NEW.notes) AS a;
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.status = OLD.status THEN
        PERFORM clinic.refuse('an appointment moves with its status, and with its booking',
                              'care.transition_appointment(), care.reschedule_booking(), care.reassign_booking()');
    END IF;
    PERFORM care.transition_appointment(NEW.id, NEW.status, NEW.cancellation_reason, nullif(NEW.notes, OLD.notes));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_appointments() IS
    'create_booking(), schedule_appointment(), transition_appointment().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.appointments
    FOR EACH ROW EXECUTE FUNCTION clinic.write_appointments();

-- ---- Business: products and stock ----------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.products WITH (security_invoker) AS
SELECT p.id, p.sku, p.name, p.description, p.category, p.kind AS product_type,
    CASE WHEN d.price_minor IS NOT NULL THEN till.format_amount(d.price_minor, d.currency)::numeric END AS price,
    d.currency, p.status = 'active' AS is_active,
    coalesce((SELECT a.availability FROM shop.list_availability(ARRAY[p.id]) AS a
              WHERE p.status = 'active' AND p.track_stock LIMIT 1), CASE WHEN p.track_stock THEN 'out'
                                                                         ELSE 'unlimited' END) AS availability,
    (SELECT sum(l.on_hand - l.reserved) FROM shop.stock_levels AS l WHERE l.product_id = p.id)::bigint
        AS stock_quantity,
    p.tax_class, p.created_at, p.updated_at
FROM shop.products AS p CROSS JOIN LATERAL shop.get_product(p.id) AS d;
COMMENT ON VIEW clinic.products IS
    'R2 products: medical products, services, treatments; price, availability, description. stock_quantity is there '
    'for whoever may see stock. Writing a price adds it to the price list, from now on.';

CREATE OR REPLACE FUNCTION clinic.write_products() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    unit CONSTANT text := coalesce(NEW.currency, usher.setting('shop.currency'));
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT p.product_id INTO NEW.id FROM shop.create_product(NEW.sku, NEW.name, coalesce(NEW.product_type,
            'product'), CASE WHEN NEW.price IS NOT NULL THEN till.to_minor_units(NEW.price::text, unit) END, unit,
            NEW.description, category => NEW.category, tax_class => NEW.tax_class,
            status => CASE WHEN NEW.is_active THEN 'active' ELSE 'draft' END,
            id => NEW.id) AS p;
        RETURN NEW;
    END IF;
    IF (NEW.name, NEW.description, NEW.category) IS DISTINCT FROM (OLD.name, OLD.description, OLD.category) THEN
        PERFORM shop.update_product(NEW.id, jsonb_build_object('name', NEW.name, 'description', NEW.description,
                                                               'category', NEW.category));
    END IF;
    IF (NEW.price, NEW.currency) IS DISTINCT FROM (OLD.price, OLD.currency) THEN
        PERFORM shop.set_price(NEW.id, till.to_minor_units(NEW.price::text, unit), unit);
    END IF;
    IF NEW.is_active <> OLD.is_active THEN
        PERFORM shop.set_product_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'archived' END);
    END IF;
    IF NEW.stock_quantity IS DISTINCT FROM OLD.stock_quantity THEN
        PERFORM clinic.refuse('stock changes by movements', 'Insert into inventory_logs.');
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_products() IS
    'create_product(), update_product(), set_price(), set_product_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.products
    FOR EACH ROW EXECUTE FUNCTION clinic.write_products();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.products
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Orders refer to it: set is_active to false.');

CREATE OR REPLACE VIEW clinic.inventory_logs WITH (security_barrier) AS
SELECT l.id, l.product_id, l.location_id, l.movement AS movement_type, l.on_hand_delta AS quantity,
    l.reserved_delta AS reserved, l.on_hand_after AS stock_after, l.reason_code AS reason, l.actor_id AS user_id,
    l.created_at
FROM shop.inventory_logs AS l
WHERE clinic.sees('shop.inventory_logs', NULL, 'stock:read', l.location_id);
COMMENT ON VIEW clinic.inventory_logs IS
    'R2 inventory_logs: purchases, sales, adjustments and the other movements of stock. What is inserted moves '
    'stock; sales come from orders.';

CREATE OR REPLACE FUNCTION clinic.write_inventory_logs() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    CASE NEW.movement_type
        WHEN 'purchase' THEN
            SELECT r.on_hand INTO NEW.stock_after
            FROM shop.receive_stock(NEW.product_id, NEW.location_id, NEW.quantity) AS r;
        WHEN 'adjustment' THEN
            SELECT r.on_hand INTO NEW.stock_after
            FROM shop.adjust_stock(NEW.product_id, NEW.location_id, NEW.quantity, NEW.reason) AS r;
        ELSE PERFORM clinic.refuse(format('a movement "%s" follows from something', NEW.movement_type),
                                   'shop.place_order(), shop.fulfil_order(), shop.return_order() …');
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_inventory_logs() IS 'receive_stock(), adjust_stock().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.inventory_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.write_inventory_logs();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.inventory_logs
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Rows of the log stay; shop.log_retention says for how long.');

-- ---- Financial -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.payment_transactions WITH (security_invoker) AS
SELECT p.id, CASE p.reference_type WHEN 'booking' THEN p.reference_id END AS booking_id,
    CASE p.reference_type WHEN 'order' THEN p.reference_id END AS order_id, p.customer_id, p.user_id, p.purpose,
    till.format_amount(p.amount_minor, p.currency)::numeric AS amount, p.currency, p.payment_method, p.status,
    till.format_amount(p.refunded_minor + p.refund_reserved_minor, p.currency)::numeric AS refunded_amount,
    p.processor, p.failure_code, p.created_at, p.completed_at, p.updated_at
FROM till.payment_transactions AS p;
COMMENT ON VIEW clinic.payment_transactions IS
    'R2 payment_transactions: who pays what, how, for which booking or order; several for one booking. No card data '
    'is anywhere. Writing the status completed records money that was taken, refunded gives it back, failed gives '
    'up.';

CREATE OR REPLACE FUNCTION clinic.write_payment_transactions() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT p.transaction_id, p.status INTO NEW.id, NEW.status
        FROM till.create_payment(coalesce(NEW.customer_id, NEW.user_id),
            till.to_minor_units(NEW.amount::text, NEW.currency), NEW.currency, coalesce(NEW.payment_method, 'card'),
            CASE WHEN NEW.booking_id IS NOT NULL THEN 'booking' WHEN NEW.order_id IS NOT NULL THEN 'order' END,
            coalesce(NEW.booking_id, NEW.order_id), coalesce(NEW.purpose, 'sale'), id => NEW.id) AS p;
        RETURN NEW;
    END IF;
    CASE NEW.status
        WHEN 'completed' THEN
            PERFORM till.record_manual_payment(NEW.id, NEW.payment_method);
        WHEN 'refunded' THEN
            -- what was written, or all that is left
            PERFORM till.create_refund(NEW.id, CASE WHEN NEW.refunded_amount <> OLD.refunded_amount THEN
                till.to_minor_units((NEW.refunded_amount - OLD.refunded_amount)::text, NEW.currency) END);
        WHEN 'failed' THEN
            PERFORM till.cancel_payment(NEW.id);
        ELSE PERFORM usher.raise_error('illegal_transition', format('nobody makes a payment %s', NEW.status));
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_payment_transactions() IS
    'create_payment(), record_manual_payment(), create_refund(), cancel_payment().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION clinic.write_payment_transactions();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('What was paid stays on record: till.create_refund().');

CREATE OR REPLACE VIEW clinic.order_events WITH (security_barrier) AS
SELECT e.order_id, e.seq, e.event AS event_type, e.from_status AS old_status, e.to_status AS new_status,
    e.reason_code AS reason, e.payload AS event_data, e.actor_id AS user_id, e.created_at
FROM shop.order_events AS e JOIN shop.orders AS o ON o.id = e.order_id
WHERE clinic.sees('shop.order_events', o.user_id, 'order:read', o.location_id);
COMMENT ON VIEW clinic.order_events IS
    'R2 order_events: every status that an order had, and what else was written down, numbered; its audit trail.';

CREATE OR REPLACE FUNCTION clinic.write_order_events() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.new_status IS NOT NULL OR NEW.old_status IS NOT NULL THEN
        PERFORM clinic.refuse('statuses are written down when they change', 'shop.place_order() and the like.');
    END IF;
    NEW.seq := shop.add_order_event(NEW.order_id, NEW.event_type, coalesce(NEW.event_data, '{}'));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_order_events() IS 'add_order_event().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT ON clinic.order_events
    FOR EACH ROW EXECUTE FUNCTION clinic.write_order_events();
CREATE OR REPLACE TRIGGER refused INSTEAD OF UPDATE OR DELETE ON clinic.order_events
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('What happened stays on record.');

-- ---- Rewards and loyalty -------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW clinic.rewards WITH (security_barrier) AS
SELECT r.id, r.title AS name, r.description, r.kind AS reward_type, r.cost_points AS points_required,
    r.condition AS conditions, r.details AS rules, r.max_per_customer, r.stock - r.taken AS stock_left,
    r.status = 'active' AS is_active, r.valid_from, r.valid_until, r.created_at, r.updated_at
FROM club.loyalty_rewards AS r
WHERE r.status = 'active' OR clinic.sees('club.loyalty_rewards', NULL, 'loyalty:manage');
COMMENT ON VIEW clinic.rewards IS 'R2 rewards: what points are spent on, under which conditions.';

CREATE OR REPLACE FUNCTION clinic.write_rewards() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_reward_status(OLD.id, 'retired');
        RETURN OLD;
    END IF;
    changes := jsonb_strip_nulls(jsonb_build_object('title', NEW.name, 'description', NEW.description,
        'kind', NEW.reward_type, 'cost_points', NEW.points_required, 'condition', NEW.conditions,
        'details', NEW.rules, 'max_per_customer', NEW.max_per_customer, 'valid_from', NEW.valid_from,
        'valid_until', NEW.valid_until));
    IF TG_OP = 'INSERT' THEN
        SELECT r.reward_id INTO NEW.id FROM club.create_reward(changes) AS r;
    ELSE
        -- only what was changed: what somebody has taken does not change its terms
        SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}') INTO changes FROM jsonb_each(changes) AS c
        WHERE c.value <> ALL (SELECT o.value FROM jsonb_each(jsonb_build_object('title', OLD.name,
            'description', OLD.description, 'kind', OLD.reward_type, 'cost_points', OLD.points_required,
            'condition', OLD.conditions, 'details', OLD.rules, 'max_per_customer', OLD.max_per_customer,
            'valid_from', OLD.valid_from, 'valid_until', OLD.valid_until)) AS o WHERE o.key = c.key);
        IF changes <> '{}' THEN
            PERFORM club.update_reward(NEW.id, changes);
        END IF;
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_reward_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_rewards() IS 'create_reward(), update_reward(), set_reward_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.rewards
    FOR EACH ROW EXECUTE FUNCTION clinic.write_rewards();

CREATE OR REPLACE VIEW clinic.offers WITH (security_barrier) AS
SELECT o.id, o.title, o.description, o.kind AS offer_type, o.percent AS discount_percent,
    CASE WHEN o.currency IS NOT NULL THEN till.format_amount(o.amount_minor, o.currency)::numeric END
        AS discount_amount, o.currency, o.tiers AS target_tiers,
    o.segment AS target_segment, o.first_visit AS for_new_customers, o.max_uses, o.max_per_customer, o.uses,
    o.status = 'active' AS is_active, o.valid_from, o.valid_until, o.created_at, o.updated_at
FROM club.loyalty_offers AS o
WHERE o.status = 'active' OR clinic.sees('club.loyalty_offers', NULL, 'loyalty:read');
COMMENT ON VIEW clinic.offers IS
    'R2 offers: discounts for a time, and for whom (target_tiers, target_segment, new ones).';

CREATE OR REPLACE FUNCTION clinic.write_offers() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_offer_status(OLD.id, 'archived');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT o.offer_id INTO NEW.id FROM club.create_offer(jsonb_strip_nulls(jsonb_build_object(
            'title', NEW.title, 'description', NEW.description, 'kind', NEW.offer_type,
            'percent', NEW.discount_percent, 'amount_minor', CASE WHEN NEW.discount_amount IS NOT NULL THEN
                till.to_minor_units(NEW.discount_amount::text, NEW.currency) END,
            'currency', NEW.currency, 'tiers', NEW.target_tiers, 'segment', NEW.target_segment,
            'first_visit', NEW.for_new_customers, 'max_uses', NEW.max_uses,
            'max_per_customer', NEW.max_per_customer, 'valid_from', NEW.valid_from,
            'valid_until', NEW.valid_until))) AS o;
    ELSE
        PERFORM club.update_offer(NEW.id, jsonb_build_object('title', NEW.title, 'description', NEW.description,
                                                             'valid_until', NEW.valid_until));
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_offer_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_offers() IS 'create_offer(), update_offer(), set_offer_status().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.offers
    FOR EACH ROW EXECUTE FUNCTION clinic.write_offers();

CREATE OR REPLACE VIEW clinic.advertisements WITH (security_barrier) AS
SELECT a.id, a.title, a.content, a.placement, a.tiers AS target_tiers, a.segment AS target_segment, a.offer_id,
    coalesce(n.views, 0) AS views, coalesce(n.clicks, 0) AS clicks, a.status = 'active' AS is_active, a.valid_from,
    a.valid_until, a.created_at, a.updated_at
FROM club.loyalty_ads AS a
    LEFT JOIN (SELECT c.ad_id, sum(c.count) FILTER (WHERE c.kind = 'view')::bigint AS views,
                   sum(c.count) FILTER (WHERE c.kind = 'click')::bigint AS clicks
               FROM club.loyalty_ad_counts AS c GROUP BY c.ad_id) AS n ON n.ad_id = a.id
WHERE a.status = 'active' AND a.tiers IS NULL AND a.segment IS NULL
    OR clinic.sees('club.loyalty_ads', NULL, 'loyalty:read');
COMMENT ON VIEW clinic.advertisements IS
    'R2 advertisements: what is shown where, and how often it was seen and clicked. Writing views or clicks counts '
    'one. Those for some customers only are shown by club.list_current_advertisements().';

CREATE OR REPLACE FUNCTION clinic.write_advertisements() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM club.set_advertisement_status(OLD.id, 'archived');
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT a.ad_id INTO NEW.id FROM club.create_advertisement(jsonb_strip_nulls(jsonb_build_object(
            'title', NEW.title, 'placement', NEW.placement, 'content', NEW.content, 'tiers', NEW.target_tiers,
            'segment', NEW.target_segment, 'offer_id', NEW.offer_id, 'valid_from', NEW.valid_from,
            'valid_until', NEW.valid_until))) AS a;
    ELSIF NEW.views > OLD.views THEN
        PERFORM club.record_advertisement_event(NEW.id, 'view');
    ELSIF NEW.clicks > OLD.clicks THEN
        PERFORM club.record_advertisement_event(NEW.id, 'click');
    END IF;
    IF NEW.is_active IS DISTINCT FROM (TG_OP = 'UPDATE' AND OLD.is_active) AND NEW.is_active IS NOT NULL THEN
        PERFORM club.set_advertisement_status(NEW.id, CASE WHEN NEW.is_active THEN 'active' ELSE 'paused' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_advertisements() IS
    'create_advertisement(), set_advertisement_status(), record_advertisement_event().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE OR DELETE ON clinic.advertisements
    FOR EACH ROW EXECUTE FUNCTION clinic.write_advertisements();

CREATE OR REPLACE VIEW clinic.referrals WITH (security_barrier) AS
SELECT r.id, r.referrer_id, r.referee_id AS referred_id, NULL::text AS referral_code, r.status,
    r.referrer_points, r.referee_points AS referred_points, r.expires_at, r.created_at, r.updated_at
FROM club.referrals AS r
WHERE clinic.sees('club.referrals', r.referrer_id, 'loyalty:read')
    OR clinic.sees('club.referrals', r.referee_id, 'loyalty:read');
COMMENT ON VIEW clinic.referrals IS
    'R2 referrals: which customer has brought which, and the points for both. A referral_code is written, never '
    'read: whoever comes inserts the code that they were told.';

CREATE OR REPLACE FUNCTION clinic.write_referrals() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT r.referral_id, r.status INTO NEW.id, NEW.status
        FROM club.create_referral(NEW.referral_code, NEW.referred_id, NEW.referrer_id) AS r;
        NEW.referral_code := NULL;
        RETURN NEW;
    END IF;
    CASE NEW.status
        WHEN 'qualified' THEN PERFORM club.qualify_referral(NEW.id);
        WHEN 'rewarded' THEN PERFORM club.reward_referral(NEW.id);
        WHEN 'rejected' THEN PERFORM club.reject_referral(NEW.id, 'by_hand');
        ELSE PERFORM usher.raise_error('illegal_transition', format('nobody makes a referral %s', NEW.status));
    END CASE;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION clinic.write_referrals() IS
    'create_referral(), qualify_referral(), reward_referral(), reject_referral().';
CREATE OR REPLACE TRIGGER written INSTEAD OF INSERT OR UPDATE ON clinic.referrals
    FOR EACH ROW EXECUTE FUNCTION clinic.write_referrals();
CREATE OR REPLACE TRIGGER refused INSTEAD OF DELETE ON clinic.referrals
    FOR EACH ROW EXECUTE FUNCTION clinic.refuse_write('Who has brought whom stays on record: status rejected.');

-- ---- who uses them -------------------------------------------------------------------------------------------------
-- Whether a write is done is decided by the function that it calls.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA clinic FROM PUBLIC;
GRANT USAGE ON SCHEMA clinic TO clinic_app, clinic_reports, clinic_auditor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA clinic TO clinic_app;
GRANT EXECUTE ON FUNCTION clinic.sees(text, uuid, text, uuid) TO clinic_reports, clinic_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA clinic TO clinic_app;
GRANT SELECT ON clinic.users, clinic.roles, clinic.permissions, clinic.user_roles, clinic.role_permissions
    TO clinic_reports;
GRANT SELECT ON clinic.users, clinic.refresh_tokens, clinic.user_sessions, clinic.enhanced_user_sessions,
    clinic.audit_logs, clinic.rate_limit_logs, clinic.session_logs, clinic.roles, clinic.permissions,
    clinic.user_roles, clinic.role_permissions, clinic.user_permissions, clinic.inventory_logs, clinic.order_events,
    clinic.rewards, clinic.offers, clinic.advertisements, clinic.referrals TO clinic_auditor;
COMMIT;

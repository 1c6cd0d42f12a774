-- The tables of R0 under their own names, in a schema of their own, over usher: for an application that was written
-- for those tables. Reading is a view; writing calls usher's functions by INSTEAD OF triggers, so that the rules hold
-- whoever writes. May run again.
--
-- What the document keeps in these tables and usher shows to nobody reads '***' or NULL: hashes of passwords, tokens,
-- and what they are stored as. JSON is jsonb, TIMESTAMP is timestamptz; the rest has the types of the document.
--
-- Who sees which rows: bookings and payments, by the row-level security of their tables (the views are
-- security_invoker); accounts and sessions, one's own, those whom one may manage, and all for a superuser.
SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS carwash;
GRANT USAGE ON SCHEMA carwash TO carwash_app;

-- ---- what the views and triggers share -----------------------------------------------------------------------------

-- Views read tables as their owner, so they ask this for each row.
CREATE OR REPLACE FUNCTION carwash.sees_user(user_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF usher.actor_id() IS NULL THEN -- nobody: the DBA, or nothing
        RETURN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    END IF;
    RETURN user_id = usher.current_user_id() OR (usher.has_permission('user:read') AND usher.can_manage(user_id));
END
$$;
CREATE OR REPLACE FUNCTION carwash.sees_booking(booking_id uuid) RETURNS boolean LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM wash.bookings AS b WHERE b.id = booking_id);

\set names carwash
\ir ../writable_views.sql

-- ---- auth_users ----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.auth_users AS
SELECT u.id, u.email::varchar(255), '***'::varchar(255) AS password_hash, u.first_name, u.last_name, u.phone,
    (usher.user_reference(u.id)).role::varchar(20) AS role, u.is_active,
    u.email_verified_at IS NOT NULL AS email_verified, u.email_verified_at,
    CASE WHEN v.id IS NOT NULL THEN '***' END::varchar(255) AS email_verification_token,
    v.expires_at AS email_verification_expires,
    CASE WHEN r.id IS NOT NULL THEN '***' END::varchar(255) AS password_reset_token,
    r.expires_at AS password_reset_expires, r.created_at AS password_reset_requested_at, c.password_changed_at,
    coalesce(c.failed_login_attempts, 0) AS failed_login_attempts, c.locked_until,
    coalesce(c.lockout_count, 0) AS lockout_count, c.last_failed_login_at AS last_failed_login,
    u.last_login_at AS last_login,
    -- sessions, without their tokens
    (SELECT coalesce(jsonb_agg(jsonb_build_object('session_id', s.id, 'expires_at', s.expires_at) ORDER BY s.id), '[]')
     FROM usher.sessions AS s WHERE s.user_id = u.id AND s.status = 'active' AND s.expires_at > now())
        AS refresh_tokens,
    u.created_at, u.updated_at
FROM usher.users AS u
LEFT JOIN usher.credentials AS c ON c.user_id = u.id
LEFT JOIN usher.one_time_tokens AS v ON v.user_id = u.id AND v.purpose = 'email_verification'
    AND v.used_at IS NULL AND v.ended_at IS NULL AND v.expires_at > now()
LEFT JOIN usher.one_time_tokens AS r ON r.user_id = u.id AND r.purpose = 'password_reset'
    AND r.used_at IS NULL AND r.ended_at IS NULL AND r.expires_at > now()
WHERE u.status NOT IN ('deleted', 'erased') AND carwash.sees_user(u.id);
COMMENT ON VIEW carwash.auth_users IS
    'Accounts of usher as R0 has them. Hashes and tokens read ***; a hash that is written goes to '
    'usher.import_password_hash(), another role to grant_role(), is_active to deactivate_user(), DELETE to '
    'delete_user(). INSERT takes somebody over, as usher.import_user() does: for the DBA. Whoever comes by themselves '
    'is registered by usher.register_user().';

CREATE OR REPLACE FUNCTION carwash.set_role(user_id uuid, old_role text, new_role text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF new_role IS DISTINCT FROM old_role THEN
        PERFORM usher.grant_role(user_id, new_role) WHERE new_role IS NOT NULL;
        PERFORM usher.revoke_role(user_id, old_role) WHERE old_role IS NOT NULL;
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION carwash.write_auth_users() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    hash text := nullif(NEW.password_hash, '***');
    made record;
    changed record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.delete_user(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT * INTO made FROM usher.import_user(NEW.email, hash, first_name => NEW.first_name,
            last_name => NEW.last_name, phone => NEW.phone, email_verified => coalesce(NEW.email_verified, false),
            created_at => coalesce(NEW.created_at, now()), id => NEW.id);
        PERFORM carwash.check_answer(made.error);
        NEW.id := made.user_id;
        PERFORM carwash.set_role(NEW.id, (usher.user_reference(NEW.id)).role, coalesce(NEW.role, 'client'));
    ELSE
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{password_hash,first_name,last_name,phone,role,'
            'is_active,failed_login_attempts,locked_until,refresh_tokens,updated_at}',
            'Mailboxes are proved by usher.verify_email(), tokens are made by create_password_reset() and the like.');
        IF (NEW.first_name, NEW.last_name, NEW.phone) IS DISTINCT FROM (OLD.first_name, OLD.last_name, OLD.phone) THEN
            SELECT * INTO changed FROM usher.update_profile(NEW.first_name, NEW.last_name,
                phone => coalesce(NEW.phone, ''), user_id => OLD.id);
            PERFORM carwash.check_answer(changed.error);
        END IF;
        IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
            PERFORM usher.import_password_hash(OLD.id, NEW.password_hash);
        END IF;
        IF (NEW.failed_login_attempts, NEW.locked_until) IS DISTINCT FROM (OLD.failed_login_attempts, OLD.locked_until)
        THEN
            IF NEW.failed_login_attempts > 0 OR NEW.locked_until IS NOT NULL THEN
                RAISE 'guesses are counted by usher' USING ERRCODE = 'feature_not_supported';
            END IF;
            PERFORM usher.unlock_user(OLD.id);
        END IF;
        IF NEW.refresh_tokens IS DISTINCT FROM OLD.refresh_tokens THEN
            PERFORM usher.logout_all(OLD.id); -- sessions end; nobody writes a token
        END IF;
        PERFORM carwash.set_role(OLD.id, OLD.role, NEW.role);
        IF NEW.is_active AND NOT OLD.is_active THEN
            PERFORM usher.reactivate_user(OLD.id);
        ELSIF OLD.is_active AND NOT NEW.is_active THEN
            PERFORM usher.deactivate_user(OLD.id);
        END IF;
    END IF;
    SELECT * INTO NEW FROM carwash.auth_users AS u WHERE u.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON carwash.auth_users
    FOR EACH ROW EXECUTE FUNCTION carwash.write_auth_users();

-- ---- sessions, login attempts, OAuth -------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.auth_user_sessions AS
SELECT s.id, s.user_id, '***'::varchar(255) AS session_token, s.device AS device_info, s.client_ip AS ip_address,
    s.user_agent, s.created_at, s.last_activity_at AS last_activity, s.expires_at,
    s.status = 'active' AND s.expires_at > now() AS is_active
FROM usher.sessions AS s WHERE carwash.sees_user(s.user_id);
COMMENT ON VIEW carwash.auth_user_sessions IS
    'Sessions. The token reads ***: it is stored as a hash. is_active = false, or DELETE, ends a session.';
CREATE OR REPLACE FUNCTION carwash.write_auth_user_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{is_active}',
            'Sessions begin with usher.login().');
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
CREATE OR REPLACE TRIGGER write INSTEAD OF UPDATE OR DELETE ON carwash.auth_user_sessions
    FOR EACH ROW EXECUTE FUNCTION carwash.write_auth_user_sessions();
-- The name that the prefix auth_ gives in the section on prefixes.
CREATE OR REPLACE VIEW carwash.auth_sessions WITH (security_invoker = true) AS
SELECT * FROM carwash.auth_user_sessions;
COMMENT ON VIEW carwash.auth_sessions IS 'auth_user_sessions by the name that AUTH_TABLE_PREFIX gives them.';

CREATE OR REPLACE VIEW carwash.auth_login_attempts AS
SELECT a.id, a.email::varchar(255), a.user_id, a.client_ip AS ip_address, a.user_agent, a.success, a.failure_reason,
    a.attempted_at
FROM usher.login_attempts AS a WHERE carwash.sees_user(a.user_id);
COMMENT ON VIEW carwash.auth_login_attempts IS 'Login attempts, good or bad. usher.login() writes them, nobody else.';

CREATE OR REPLACE VIEW carwash.auth_oauth_providers AS
SELECT i.id, i.user_id, i.provider, i.provider_user_id, i.provider_email::varchar(255),
    CASE WHEN i.access_token IS NOT NULL THEN '***' END AS access_token,
    CASE WHEN i.refresh_token IS NOT NULL THEN '***' END AS refresh_token, i.token_expires_at AS token_expires,
    i.created_at, i.updated_at
FROM usher.identities AS i WHERE carwash.sees_user(i.user_id);
COMMENT ON VIEW carwash.auth_oauth_providers IS
    'Accounts at outside providers. Tokens that are written are kept by usher.set_provider_tokens(), sealed where '
    'there is a master key; they read ***, and usher.get_provider_tokens() gives them out.';
CREATE OR REPLACE FUNCTION carwash.write_auth_oauth_providers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    linked record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.unlink_identity(OLD.user_id, OLD.provider);
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW),
            '{provider_email,access_token,refresh_token,token_expires,updated_at}',
            'Unlink it, and link another one.');
    END IF;
    SELECT * INTO linked
    FROM usher.link_identity(NEW.user_id, NEW.provider, NEW.provider_user_id, NEW.provider_email);
    PERFORM carwash.check_answer(linked.error);
    IF nullif(NEW.access_token, '***') IS NOT NULL THEN
        PERFORM usher.set_provider_tokens(NEW.user_id, NEW.provider, NEW.access_token,
            nullif(NEW.refresh_token, '***'), NEW.token_expires);
    END IF;
    SELECT * INTO NEW FROM carwash.auth_oauth_providers AS p WHERE p.id = linked.identity_id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON carwash.auth_oauth_providers
    FOR EACH ROW EXECUTE FUNCTION carwash.write_auth_oauth_providers();

-- ---- services ------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.wash_services WITH (security_invoker = true) AS
SELECT s.id, s.name::varchar(100), s.description, s.duration_minutes, s.price_minor::integer AS price_cents,
    s.is_active, s.created_at, s.updated_at
FROM wash.services AS s;
COMMENT ON VIEW carwash.wash_services IS
    'Services in US dollars; a new one is offered at every active location. What has been sold is kept: DELETE stops '
    'offering it.';
CREATE OR REPLACE FUNCTION carwash.write_wash_services() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM wash.set_service_active(OLD.id, false);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.id := (wash.create_service(NEW.name, make_interval(mins => NEW.duration_minutes), NEW.price_cents, 'USD',
            NEW.description, id => NEW.id)).id;
        PERFORM wash.set_location_services(l.id, array_append(ARRAY(
            SELECT o.service_id FROM wash.location_services AS o WHERE o.location_id = l.id), NEW.id))
        FROM wash.locations AS l WHERE l.is_active;
    ELSE
        PERFORM wash.update_service(OLD.id, jsonb_build_object('name', NEW.name, 'description', NEW.description,
            'duration', make_interval(mins => NEW.duration_minutes), 'price_minor', NEW.price_cents))
        WHERE (NEW.name, NEW.description, NEW.duration_minutes, NEW.price_cents)
            IS DISTINCT FROM (OLD.name, OLD.description, OLD.duration_minutes, OLD.price_cents);
    END IF;
    PERFORM wash.set_service_active(NEW.id, NEW.is_active) FROM wash.services AS s
    WHERE s.id = NEW.id AND s.is_active <> NEW.is_active;
    SELECT * INTO NEW FROM carwash.wash_services AS s WHERE s.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON carwash.wash_services
    FOR EACH ROW EXECUTE FUNCTION carwash.write_wash_services();

-- ---- bookings ------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.wash_bookings WITH (security_invoker = true) AS
SELECT b.id, coalesce(b.customer_user_id, b.customer_id) AS customer_id, b.service_id, b.staff_id AS washer_id,
    b.start_at AS scheduled_at, b.status::varchar(20), b.vehicle_info, b.special_instructions,
    b.price_minor::integer AS price_cents, b.paid_at, b.payment_method::varchar(20), b.created_at, b.updated_at
FROM wash.bookings AS b;
COMMENT ON VIEW carwash.wash_bookings IS
    'Bookings. INSERT books (the price is that of the service; the location is the first that offers it), another '
    'status is a transition of the machine, another time or washer moves it. Payments write paid_at.';
CREATE OR REPLACE FUNCTION carwash.write_wash_bookings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF coalesce(NEW.status, 'pending') <> 'pending' THEN
            RAISE 'a booking begins as pending' USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.price_cents <> (SELECT s.price_minor FROM wash.services AS s WHERE s.id = NEW.service_id) THEN
            RAISE 'the price is that of the service' USING ERRCODE = 'check_violation';
        END IF;
        NEW.id := (wash.create_booking(NEW.customer_id, NEW.service_id, (
            SELECT o.location_id FROM wash.location_services AS o JOIN wash.locations AS l ON l.id = o.location_id
            WHERE o.service_id = NEW.service_id AND l.is_active ORDER BY l.id LIMIT 1),
            NEW.scheduled_at, NEW.washer_id, vehicle_info => NEW.vehicle_info,
            special_instructions => NEW.special_instructions, id => NEW.id)).booking_id;
    ELSE
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{washer_id,scheduled_at,status,updated_at}',
            'Book anew, or pay: see wash.create_booking() and wash.create_payment().');
        PERFORM wash.reschedule_booking(OLD.id, nullif(NEW.scheduled_at, OLD.scheduled_at),
            nullif(NEW.washer_id, OLD.washer_id))
        WHERE NEW.scheduled_at <> OLD.scheduled_at OR NEW.washer_id IS DISTINCT FROM OLD.washer_id;
        IF NEW.status IS DISTINCT FROM OLD.status THEN
            CASE NEW.status
                WHEN 'confirmed' THEN PERFORM wash.confirm_booking(OLD.id);
                WHEN 'in_progress' THEN PERFORM wash.start_booking(OLD.id);
                WHEN 'completed' THEN PERFORM wash.complete_booking(OLD.id);
                WHEN 'cancelled' THEN PERFORM wash.cancel_booking(OLD.id, 'customer_request');
                ELSE RAISE 'a booking does not become %', NEW.status USING ERRCODE = 'check_violation';
            END CASE;
        END IF;
    END IF;
    SELECT * INTO NEW FROM carwash.wash_bookings AS b WHERE b.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE ON carwash.wash_bookings
    FOR EACH ROW EXECUTE FUNCTION carwash.write_wash_bookings();

CREATE OR REPLACE VIEW carwash.wash_booking_history AS
SELECT h.id, h.entity_id AS booking_id, h.to_status::varchar(20) AS status, h.changed_by, h.notes, h.changed_at
FROM usher.status_history AS h
WHERE h.relation = 'wash.bookings'::regclass AND carwash.sees_booking(h.entity_id);
COMMENT ON VIEW carwash.wash_booking_history IS
    'What became of bookings. The status machine writes it, in the transaction of the change; nobody else does.';

-- The names that the prefix booking_ gives: the indexes and the joins of the document use them.
CREATE OR REPLACE VIEW carwash.booking_services WITH (security_invoker = true) AS
SELECT * FROM carwash.wash_services;
CREATE OR REPLACE VIEW carwash.booking_reservations WITH (security_invoker = true) AS
SELECT * FROM carwash.wash_bookings;
COMMENT ON VIEW carwash.booking_services IS 'wash_services by the name that BOOKING_TABLE_PREFIX gives them.';
COMMENT ON VIEW carwash.booking_reservations IS 'wash_bookings by the name that BOOKING_TABLE_PREFIX gives them.';

-- ---- payments ------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.payment_transactions WITH (security_invoker = true) AS
SELECT t.id, coalesce(t.user_id, t.customer_id) AS customer_id,
    CASE WHEN t.reference_type = 'booking' THEN t.reference_id END AS booking_id,
    t.amount_minor::integer AS amount_cents, t.currency::varchar(3), t.payment_method::varchar(20),
    t.status::varchar(20), t.processor::varchar(20), t.processor_transaction_id::varchar(255),
    (SELECT a.response FROM wash.list_payment_attempts(t.id) AS a ORDER BY a.attempt_no DESC LIMIT 1)
        AS processor_response,
    t.created_at, t.updated_at
FROM wash.payment_transactions AS t;
COMMENT ON VIEW carwash.payment_transactions IS
    'Payments, and what is kept of the answer of the processor. INSERT asks for money; status = completed says that '
    'the staff has taken it (cash and the like), processing that the processor is to be asked, failed gives it up, '
    'refunded gives it back.';
CREATE OR REPLACE FUNCTION carwash.write_payment_transactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF coalesce(NEW.status, 'pending') <> 'pending' THEN
            RAISE 'a payment begins as pending' USING ERRCODE = 'check_violation';
        END IF;
        NEW.id := (wash.create_payment(NEW.customer_id, NEW.amount_cents, coalesce(NEW.currency, 'USD'),
            NEW.payment_method, CASE WHEN NEW.booking_id IS NOT NULL THEN 'booking' END, NEW.booking_id,
            processor => NEW.processor, id => NEW.id)).transaction_id;
    ELSE
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{status,payment_method,processor,updated_at}',
            'What the processor says is reported by wash.record_payment_result().');
        IF NEW.status IS DISTINCT FROM OLD.status THEN
            CASE NEW.status
                WHEN 'completed' THEN PERFORM wash.record_manual_payment(OLD.id, NEW.payment_method);
                WHEN 'processing' THEN PERFORM wash.begin_payment_attempt(OLD.id, NEW.processor);
                WHEN 'failed' THEN PERFORM wash.cancel_payment(OLD.id);
                WHEN 'refunded' THEN PERFORM wash.create_refund(OLD.id);
                ELSE RAISE 'a payment does not become %', NEW.status USING ERRCODE = 'check_violation';
            END CASE;
        END IF;
    END IF;
    SELECT * INTO NEW FROM carwash.payment_transactions AS t WHERE t.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE ON carwash.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION carwash.write_payment_transactions();

-- The document names it and says nothing of its columns.
CREATE OR REPLACE VIEW carwash.payment_methods AS
SELECT m.id, coalesce(m.user_id, m.customer_id) AS customer_id, m.processor, m.kind, '***'::text AS token, m.brand,
    m.last_four, m.expiry_month, m.expiry_year, m.is_default, m.is_active, m.created_at, m.updated_at
FROM wash.payment_methods AS m WHERE carwash.sees_user(coalesce(m.user_id, m.customer_id));
COMMENT ON VIEW carwash.payment_methods IS
    'Saved payment methods: the processor''s token reads ***. wash.save_payment_method() makes them.';

-- ---- locations -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW carwash.wash_locations WITH (security_invoker = true) AS
SELECT l.id, l.name::varchar(100), l.address, l.city::varchar(50), l.state::varchar(20), l.zip_code::varchar(10),
    l.country::varchar(2), l.latitude, l.longitude, l.phone::varchar(20), l.email::varchar(255),
    -- as of today; what wash.import_location_hours() reads
    (SELECT jsonb_object_agg(lower(to_char(date '2024-01-01' + h.weekday - 1, 'FMDay')), jsonb_build_object(
         'open', to_char(h.opens, 'HH24:MI'), 'close', to_char(h.closes, 'HH24:MI')))
     FROM wash.location_hours AS h WHERE h.location_id = l.id AND h.valid @> current_date) AS operating_hours,
    ARRAY(SELECT o.service_id FROM wash.location_services AS o WHERE o.location_id = l.id ORDER BY o.service_id)
        AS services_offered,
    l.max_concurrent_bookings, l.is_active, l.created_at, l.updated_at
FROM wash.locations AS l;
COMMENT ON VIEW carwash.wash_locations IS
    'Locations, with one period of opening a day. DELETE closes one, if nobody has booked there.';
CREATE OR REPLACE FUNCTION carwash.write_wash_locations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    terms CONSTANT text[] := '{name,address,city,state,zip_code,country,latitude,longitude,phone,email,'
        'max_concurrent_bookings}';
    changes jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM wash.set_location_active(OLD.id, false);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.id := (wash.create_location(NEW.name, NEW.address, NEW.city, NEW.state, NEW.zip_code,
            coalesce(NEW.country, 'US'), 'America/New_York', NEW.latitude, NEW.longitude, NEW.phone, NEW.email,
            coalesce(NEW.max_concurrent_bookings, 5), NEW.id)).id;
    ELSE
        SELECT jsonb_object_agg(n.key, n.value) INTO changes FROM jsonb_each(to_jsonb(NEW)) AS n
        WHERE n.key = ANY (terms) AND n.value IS DISTINCT FROM to_jsonb(OLD) -> n.key;
        PERFORM wash.update_location(OLD.id, changes) WHERE changes IS NOT NULL;
    END IF;
    PERFORM wash.import_location_hours(NEW.id, NEW.operating_hours)
    WHERE NEW.operating_hours IS NOT NULL
        AND (TG_OP = 'INSERT' OR NEW.operating_hours IS DISTINCT FROM OLD.operating_hours);
    PERFORM wash.set_location_services(NEW.id, NEW.services_offered)
    WHERE NEW.services_offered IS NOT NULL
        AND (TG_OP = 'INSERT' OR NEW.services_offered IS DISTINCT FROM OLD.services_offered);
    PERFORM wash.set_location_active(NEW.id, NEW.is_active)
    WHERE TG_OP = 'UPDATE' AND NEW.is_active IS DISTINCT FROM OLD.is_active;
    SELECT * INTO NEW FROM carwash.wash_locations AS l WHERE l.id = NEW.id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON carwash.wash_locations
    FOR EACH ROW EXECUTE FUNCTION carwash.write_wash_locations();

CREATE OR REPLACE VIEW carwash.wash_location_staff AS
SELECT s.id, s.location_id, s.staff_id, s.role::varchar(20), s.assigned_at, s.is_active
FROM wash.location_staff AS s WHERE carwash.sees_user(s.staff_id);
COMMENT ON VIEW carwash.wash_location_staff IS
    'Who works where. is_active = false, or DELETE, ends it; coming bookings are left without staff.';
CREATE OR REPLACE FUNCTION carwash.write_wash_location_staff() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM wash.unassign_staff(OLD.location_id, OLD.staff_id);
        RETURN OLD;
    ELSIF TG_OP = 'UPDATE' THEN
        PERFORM carwash.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{role,is_active}', 'Assign somebody else.');
    END IF;
    IF NOT NEW.is_active THEN
        PERFORM wash.unassign_staff(NEW.location_id, NEW.staff_id);
    ELSE
        PERFORM wash.assign_staff(NEW.location_id, NEW.staff_id, NEW.role);
    END IF;
    SELECT * INTO NEW FROM carwash.wash_location_staff AS s
    WHERE s.location_id = NEW.location_id AND s.staff_id = NEW.staff_id;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON carwash.wash_location_staff
    FOR EACH ROW EXECUTE FUNCTION carwash.write_wash_location_staff();

-- What an INSERT leaves out is as the document says.
ALTER VIEW carwash.auth_users ALTER COLUMN role SET DEFAULT 'client';
ALTER VIEW carwash.wash_services ALTER COLUMN is_active SET DEFAULT true;
ALTER VIEW carwash.wash_bookings ALTER COLUMN status SET DEFAULT 'pending';
ALTER VIEW carwash.payment_transactions ALTER COLUMN currency SET DEFAULT 'USD';
ALTER VIEW carwash.payment_transactions ALTER COLUMN status SET DEFAULT 'pending';
ALTER VIEW carwash.wash_locations ALTER COLUMN country SET DEFAULT 'US';
ALTER VIEW carwash.wash_locations ALTER COLUMN max_concurrent_bookings SET DEFAULT 5;
ALTER VIEW carwash.wash_locations ALTER COLUMN is_active SET DEFAULT true;
ALTER VIEW carwash.wash_location_staff ALTER COLUMN is_active SET DEFAULT true;

-- The application may try everything: what it may do is decided by usher.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA carwash TO carwash_app;

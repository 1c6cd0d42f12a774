\echo Use "ALTER EXTENSION usher_booking UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_booking') AS x ON x.object = d.object
WHERE d.extension = 'usher_booking'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- Events of bookings carry the name of the service, for the text of a message. The triggers of the status are made
-- again, for which the table of bookings is locked until the transaction ends.

DROP FUNCTION @extschema@._booking_metrics();

CREATE TABLE @extschema@.booking_reminders (
    booking_id uuid PRIMARY KEY,
    start_at timestamptz NOT NULL,
    reminded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX booking_reminders_start_at_idx ON @extschema@.booking_reminders (start_at);
COMMENT ON TABLE @extschema@.booking_reminders IS
    'Which bookings booking.reminder was published for, and for which start: one that is moved has another reminder.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.booking_reminders', '');
CREATE OR REPLACE FUNCTION @extschema@._search_customers(search text, after uuid, max_rows integer, sees_all boolean,
                                              own_id uuid, managed uuid[], handled uuid[])
    RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Up to so many are all looked at. What more people meet is soon met by walking through those who may be seen.
    most CONSTANT integer := CASE WHEN sees_all THEN 5000 ELSE 15000 END;
    few integer;
    query CONSTANT tsquery := usher.name_query(search);
    word CONSTANT text := (tsvector_to_array(usher.name_words(search)))[1];
    is_common CONSTANT boolean := usher.expected_users(search) > 4 * most;
    accounts uuid[];
    named uuid[];
    others uuid[];
    own uuid[];
    batch uuid[];
    batch_size integer := 1000;
    looked_at integer := 0;
    met uuid[] := '{}';
BEGIN
    IF NOT sees_all AND cardinality(handled) = 0 THEN
        own := @extschema@._customers_after(after, 2147483647, sees_all, own_id, managed, handled);
    END IF;
    -- Few, rather few, or many? What few people meet is found at once.
    FOREACH few IN ARRAY ARRAY[500, most] LOOP
        IF few = most OR NOT is_common THEN
            accounts := ARRAY(SELECT a FROM usher.search_users(search, few + 1) AS a);
            named := ARRAY(SELECT c.id FROM @extschema@.customers AS c
                           WHERE usher.name_words(c.name) @@ query LIMIT few + 1);
            EXIT WHEN greatest(cardinality(accounts), cardinality(named)) <= few;
        END IF;
        LOOP
            batch := CASE WHEN own IS NOT NULL THEN own[looked_at + 1:looked_at + batch_size]
                          ELSE @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), batch_size,
                                                            sees_all, own_id, managed, handled) END;
            looked_at := looked_at + cardinality(batch);
            met := met || @extschema@._matching_among(batch, search, query, word);
            IF cardinality(batch) < batch_size OR cardinality(met) >= max_rows THEN
                RETURN met[1:max_rows];
            END IF;
            -- As many as the page needs, if they go on as they began. Where these would be many, it may be soon known
            -- who has the name; but whom somebody has served or made themselves are fewer than have a common one.
            batch_size := least(64000, greatest(500, (max_rows - cardinality(met)) * (looked_at::bigint * 5 / 4)
                                                     / greatest(cardinality(met), 1)))::integer;
            EXIT WHEN few < most AND batch_size > 4000 AND (own IS NULL OR NOT is_common);
        END LOOP;
    END LOOP;
    others := ARRAY(SELECT n FROM unnest(named) AS n
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE c.user_id = ANY (accounts) AND c.id <> c.user_id
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE usher.name_key(c.email) = usher.name_key(search)
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c WHERE c.phone = search);
    -- The first profile of an account has its id.
    met := accounts || others;
    IF own IS NOT NULL THEN
        met := ARRAY(SELECT unnest(met) INTERSECT SELECT unnest(own));
    ELSIF NOT sees_all THEN
        met := ARRAY(SELECT s FROM @extschema@._seen_among(met, own_id, managed, handled) AS s);
    END IF;
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c
                 WHERE c.id = ANY (met) AND c.id > _search_customers.after
                     AND (c.id = c.user_id OR c.id = ANY (others))
                 ORDER BY c.id LIMIT max_rows);
END
$$;
CREATE FUNCTION @extschema@._location_of(location_id uuid) RETURNS TABLE (name text, time_zone text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT l.name, l.time_zone FROM @extschema@.locations AS l WHERE l.id = _location_of.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@._location_of(uuid) IS
    'What messages call a location, and the time zone in which they tell the times of what takes place there.';
CREATE FUNCTION @extschema@._remind_of_bookings(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    notice CONSTANT interval := make_interval(hours => usher.setting('booking.reminder_notice')::integer);
    due record;
    reminded bigint := 0;
BEGIN
    FOR due IN
        -- Whoever has booked less than the notice before the start needs no reminder.
        WITH next AS (
            SELECT b.id, b.start_at FROM @extschema@.bookings AS b
            WHERE b.status = 'confirmed' AND b.start_at > statement_timestamp()
                AND b.start_at <= statement_timestamp() + notice AND b.created_at <= b.start_at - notice
                AND NOT EXISTS (SELECT FROM @extschema@.booking_reminders AS r
                                WHERE r.booking_id = b.id AND r.start_at = b.start_at)
            ORDER BY b.start_at LIMIT max_rows FOR KEY SHARE SKIP LOCKED
        ), told AS (
            INSERT INTO @extschema@.booking_reminders AS r (booking_id, start_at)
            SELECT n.id, n.start_at FROM next AS n
            ON CONFLICT ON CONSTRAINT booking_reminders_pkey DO UPDATE
            SET start_at = EXCLUDED.start_at, reminded_at = EXCLUDED.reminded_at WHERE r.start_at <> EXCLUDED.start_at
            RETURNING r.booking_id)
        SELECT b.id, b.customer_id, b.customer_user_id, b.service_id, b.service_name, b.location_id,
               l.name AS location_name, l.time_zone, b.start_at, b.end_at, b.status, b.version
        FROM told AS t JOIN @extschema@.bookings AS b ON b.id = t.booking_id
            JOIN @extschema@.locations AS l ON l.id = b.location_id
        ORDER BY b.start_at
    LOOP
        PERFORM usher.publish('booking.reminder', to_jsonb(due), due.id::text);
        reminded := reminded + 1;
    END LOOP;
    DELETE FROM @extschema@.booking_reminders AS r WHERE r.booking_id IN (
        SELECT o.booking_id FROM @extschema@.booking_reminders AS o
        WHERE o.start_at < statement_timestamp() - interval '1 day' LIMIT max_rows FOR UPDATE SKIP LOCKED);
    RETURN reminded;
END
$$;
COMMENT ON FUNCTION @extschema@._remind_of_bookings(integer) IS
    'Publishes booking.reminder once for each confirmed booking that starts within booking.reminder_notice hours; '
    'returns how many.';
CREATE OR REPLACE FUNCTION @extschema@._booking_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_holds_expired', 'SELECT @extschema@._expire_holds($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_reminders_published', 'SELECT @extschema@._remind_of_bookings($1)',
                               max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_guards_removed', 'SELECT @extschema@._forget_old_guards($1)', max_rows) AS u;
END
$$;
CREATE FUNCTION @extschema@._booking_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_bookings_to_come', jsonb_build_object('status', s.status),
        usher.count_or_estimate(format('SELECT FROM @extschema@.bookings AS b WHERE b.status = %L '
                                       'AND b.start_at > now()', s.status))::double precision,
        'Bookings in the future, by status.'
    FROM unnest('{pending,confirmed}'::text[]) AS s (status);
    RETURN QUERY
    SELECT 'usher_booking_holds_run_out', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.bookings AS b
            WHERE b.status = 'pending' AND b.hold_expires_at <= now()$sql$)::double precision,
        'Bookings whose hold has run out and that wait for upkeep.';
END
$$;
COMMENT ON FUNCTION @extschema@._booking_metrics() IS 'The part of usher_booking in usher.metrics().';
CREATE FUNCTION @extschema@._contact_of(customer_id uuid)
    RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    -- A name that somebody gave who may manage bookings: what a form of strangers has filled in greets nobody.
    SELECT c.user_id, CASE WHEN c.created_by IS NOT NULL THEN c.name END, c.email, c.attributes ->> 'language',
           c.attributes ->> 'time_zone'
    FROM @extschema@.customers AS c WHERE c.id = _contact_of.customer_id AND c.is_active;
END
$$;
COMMENT ON FUNCTION @extschema@._contact_of(uuid) IS
    'How to write to a customer: to their account, or to the address of their profile, in the language and time zone '
    'of its attributes ("language", "time_zone").';
SELECT usher.register_extension('Services, locations, hours, staff, customers, and bookings that cannot overlap',
    error_class => 'UB',
    error_codes => @extschema@._error_codes(),
    hooks => '{
        "upkeep": "_booking_upkeep", "self_check": "_booking_self_check", "configuration": "_booking_configuration",
        "metrics": "_booking_metrics", "export": "_export_customer", "erase": "_erase_customer",
        "profiles": "_profiles_of", "contact": "_contact_of", "location": "_location_of"}',
    -- what may go wrong here is counted by self_check, or is the business of the worker
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "appointments": {"user": ["created_by", "practitioner_id"], "personal": ["notes"],
            "impersonal": ["cancellation_reason", "status"]},
        "booking_reminders": {"impersonal": ["*"]},
        "booking_claims": {"user": ["resource_id"], "impersonal": ["holder_id", "resource_kind"]},
        "bookings": {"user": ["created_by", "customer_user_id", "staff_id"], "personal": ["special_instructions",
            "status_notes", "vehicle_info"],
            "impersonal": ["cancellation_reason", "currency", "payment_method", "payment_transaction", "series_id",
            "service_name", "status"]},
        "customers": {"subject": ["user_id"], "user": ["created_by"], "personal": ["attributes", "email", "name",
            "phone"]},
        "location_exceptions": {"impersonal": ["*"]},
        "location_staff": {"user": ["staff_id"], "impersonal": ["hours_version", "role"]},
        "locations": {"impersonal": ["*"]},
        "resource_guards": {"impersonal": ["*"]},
        "services": {"impersonal": ["*"]},
        "staff_hours": {"user": ["staff_id"]},
        "staff_skills": {"user": ["staff_id"]},
        "staff_time_off": {"user": ["created_by", "staff_id"], "personal": ["reason"]}
    }$json$,
    settings => '[
        {"name": "booking.reminder_notice", "type": "integer", "default_value": "24",
         "description": "Hours before a confirmed booking starts that booking.reminder is published; 0: never."}]',
    role_presets => $json$
    {
        "carwash": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["booking:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "washer": {"description": "Service execution, task management", "manages": [], "permissions": [
                    "booking:read", "booking:start", "booking:complete"]},
                "client": {"is_default": true, "description": "Service consumption, booking management",
                    "manages": [], "permissions": ["booking:create"]}
            }
        },
        "clinic": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours", "appointment:create": "Make appointments",
                "appointment:read": "See all appointments", "appointment:manage": "Change appointments",
                "customer:read": "See customers", "customer:manage": "Change customers"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["appointment:*", "booking:*", "customer:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "appointment:create", "appointment:read", "appointment:manage", "customer:read",
                    "booking:create", "booking:read", "booking:confirm", "booking:start", "booking:complete",
                    "booking:reschedule"]},
                "customer": {"is_default": true, "description": "Makes own appointments", "manages": [],
                    "permissions": ["appointment:create", "booking:create"]}
            }
        }
    }$json$,
    publishes => '{booking.created,booking.confirmed,booking.started,booking.completed,booking.cancelled,
        booking.rescheduled,booking.needs_staff,booking.orphaned,booking.refund_proposed,booking.customer_gone,
        booking.reminder,appointment.scheduled,
        appointment.arrived,appointment.started,appointment.completed,appointment.cancelled,appointment.no_show,
        appointment.rescheduled,
        service.deactivated,service.restored,location.deactivated,location.restored,location_staff.deactivated,
        location_staff.restored,customer.deactivated,customer.restored}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'list_services list_locations find_slots create_booking confirm_booking start_booking complete_booking
          cancel_booking
          reschedule_booking get_booking get_bookings list_bookings get_booking_history upsert_customer explain_slot
          create_booking_series reassign_booking swap_bookings export_booking_ical schedule_appointment
          transition_appointment
          list_appointments list_customers'),
        ('function', '{application,gateway,admin}',
         'create_service update_service set_service_active create_location update_location set_location_active
          set_customer_active
          set_location_hours
          import_location_hours set_location_exception set_location_services assign_staff unassign_staff
          set_staff_skills
          set_staff_hours add_staff_time_off remove_staff_time_off list_staff list_bookings_outside_hours
          cancel_user_bookings expire_holds'),
            -- For the row-level security policies: they tell only what is the caller's own.
        ('function', '{application,gateway,admin}',
         '_own_customers _served_customers _managed_locations _handled_locations _reads_all'),

        ('table', '{application,gateway,readonly,auditor,admin}',
         'services locations location_hours location_exceptions location_services location_staff staff_skills
          active_services active_locations active_location_staff'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'customers active_customers bookings appointments'),
        ('table', '{admin}', 'staff_hours staff_time_off')) AS v (kind, levels, names)) AS a));
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'service_name', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));

SELECT usher.finish_extension();

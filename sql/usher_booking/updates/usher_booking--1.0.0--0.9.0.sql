\echo Use "ALTER EXTENSION usher_booking UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_booking') AS x ON x.object = d.object
WHERE d.extension = 'usher_booking'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- 0.9.0 publishes no reminders, and so keeps no account of them; its events of bookings do not carry the name of the
-- service. The table of bookings is locked until the transaction ends.

DROP FUNCTION @extschema@._booking_metrics();
DROP FUNCTION @extschema@._contact_of(uuid);
DROP FUNCTION @extschema@._location_of(uuid);
DROP FUNCTION @extschema@._remind_of_bookings(integer);

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
    batch uuid[];
    batch_size integer := 1000;
    looked_at integer := 0;
    met uuid[] := '{}';
BEGIN
    -- Few, rather few, or many? What few people meet is found at once.
    FOREACH few IN ARRAY ARRAY[500, most] LOOP
        IF few = most OR NOT is_common THEN
            accounts := ARRAY(SELECT a FROM usher.search_users(search, few + 1) AS a);
            named := ARRAY(SELECT c.id FROM @extschema@.customers AS c
                           WHERE usher.name_words(c.name) @@ query LIMIT few + 1);
            EXIT WHEN greatest(cardinality(accounts), cardinality(named)) <= few;
        END IF;
        LOOP
            batch := @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), batch_size, sees_all,
                                                  own_id, managed, handled);
            looked_at := looked_at + cardinality(batch);
            met := met || @extschema@._matching_among(batch, search, query, word);
            IF cardinality(batch) < batch_size OR cardinality(met) >= max_rows THEN
                RETURN met[1:max_rows];
            END IF;
            -- As many as the page needs, if they go on as they began. Where these would be many, it may be soon known
            -- who has the name; but whom somebody has served or made themselves are never that many.
            batch_size := least(64000, greatest(500, (max_rows - cardinality(met)) * (looked_at::bigint * 5 / 4)
                                                     / greatest(cardinality(met), 1)))::integer;
            EXIT WHEN few < most AND batch_size > 4000 AND (sees_all OR cardinality(handled) > 0);
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
    IF NOT sees_all THEN
        met := ARRAY(SELECT s FROM @extschema@._seen_among(met, own_id, managed, handled) AS s);
    END IF;
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c
                 WHERE c.id = ANY (met) AND c.id > _search_customers.after
                     AND (c.id = c.user_id OR c.id = ANY (others))
                 ORDER BY c.id LIMIT max_rows);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._booking_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_holds_expired', 'SELECT @extschema@._expire_holds($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_guards_removed', 'SELECT @extschema@._forget_old_guards($1)', max_rows) AS u;
END
$$;
CREATE FUNCTION @extschema@._booking_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_bookings_to_come', jsonb_build_object('status', s.status),
        usher.count_or_estimate(format('SELECT FROM @extschema@.bookings AS b WHERE b.status = %L '
                                       'AND b.start_at > now()', s.status))::double precision
    FROM unnest('{pending,confirmed}'::text[]) AS s (status);
    RETURN QUERY
    SELECT 'usher_booking_holds_run_out', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.bookings AS b
            WHERE b.status = 'pending' AND b.hold_expires_at <= now()$sql$)::double precision;
END
$$;
COMMENT ON FUNCTION @extschema@._booking_metrics() IS 'The part of usher_booking in usher.metrics().';
SELECT usher.register_extension('Services, locations, hours, staff, customers, and bookings that cannot overlap',
    error_class => 'UB',
    error_codes => @extschema@._error_codes(),
    hooks => '{
        "upkeep": "_booking_upkeep", "self_check": "_booking_self_check", "configuration": "_booking_configuration",
        "metrics": "_booking_metrics", "export": "_export_customer", "erase": "_erase_customer",
        "profiles": "_profiles_of"}',
    -- what may go wrong here is counted by self_check, or is the business of the worker
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "appointments": {"user": ["created_by", "practitioner_id"], "personal": ["notes"],
            "impersonal": ["cancellation_reason", "status"]},
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
        appointment.scheduled,
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
ALTER EXTENSION usher_booking DROP TABLE @extschema@.booking_reminders;
DROP TABLE @extschema@.booking_reminders;
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));

SELECT usher.finish_extension();

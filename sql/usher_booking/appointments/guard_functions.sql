-- The status machine of appointments. The guards decide who may act: permission and place depend on the appointment.

CREATE FUNCTION @extschema@._handles(appointment jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._manages(appointment)
        OR (appointment ->> 'practitioner_id')::uuid = usher.current_user_id('appointment:manage')
        OR @extschema@._may('appointment:manage', (appointment ->> 'location_id')::uuid);
END
$$;
COMMENT ON FUNCTION @extschema@._handles(jsonb) IS
    'Whether the actor is the practitioner, the front desk (appointment:manage at the location) or a manager.';

CREATE FUNCTION @extschema@._guard_appointment(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    booking_status text;
    zone text;
BEGIN
    IF NOT coalesce(@extschema@._handles(old), false) THEN
        RETURN 'not_your_appointment';
    END IF;
    SELECT b.status, l.time_zone INTO booking_status, zone
        FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.id = (new ->> 'booking_id')::uuid;
    IF new ->> 'status' = 'no_show' THEN
        RETURN CASE WHEN clock_timestamp() < (new ->> 'start_at')::timestamptz THEN 'no_show_before_start' END;
    ELSIF booking_status NOT IN ('confirmed', 'in_progress') THEN
        RETURN 'booking_is_not_confirmed';
    ELSIF new ->> 'status' = 'arrived' AND (clock_timestamp() AT TIME ZONE zone)::date
        <> ((new ->> 'start_at')::timestamptz AT TIME ZONE zone)::date THEN
        RETURN 'another_day';
    ELSIF new ->> 'status' = 'in_progress' AND (new ->> 'needs_staff')::boolean
        AND new ->> 'practitioner_id' IS NULL THEN
        RETURN 'needs_staff';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_appointment(jsonb, jsonb) IS
    'Arrival on the day itself, start and end of a confirmed booking, no-show after the start.';

CREATE FUNCTION @extschema@._guard_appointment_cancel(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    booking @extschema@.bookings;
BEGIN
    IF new ->> 'cancellation_reason' = 'user_deleted'
       AND @extschema@._guard_appointment_withdraw(old, new) IS NULL THEN
        RETURN 'booking_is_cancelled'; -- see _guard_cancel()
    ELSIF coalesce(@extschema@._handles(old), false) THEN
        RETURN CASE WHEN new ->> 'cancellation_reason' IS NULL THEN 'reason_is_missing' END;
    ELSIF @extschema@._is_customer(old, 'appointment:manage') AND old ->> 'status' = 'scheduled' THEN
        SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = (old ->> 'booking_id')::uuid;
        booking.start_at := (old ->> 'start_at')::timestamptz;
        RETURN CASE WHEN booking.status <> 'pending'
                         AND @extschema@._is_too_late(to_jsonb(booking)) THEN 'too_late' END;
    END IF;
    RETURN 'not_your_appointment';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_appointment_cancel(jsonb, jsonb) IS
    'Patients cancel before the cut-off, staff with a reason.';

CREATE FUNCTION @extschema@._guard_appointment_withdraw(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN NOT EXISTS (SELECT FROM @extschema@.bookings AS b
        WHERE b.id = (new ->> 'booking_id')::uuid AND b.status = 'cancelled') THEN 'booking_is_not_cancelled' END;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_appointment_withdraw(jsonb, jsonb) IS
    'Appointments of a cancelled booking are cancelled with it.';

CREATE FUNCTION @extschema@._guard_appointment_move(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    booking @extschema@.bookings;
BEGIN
    IF old ->> 'practitioner_id' IS NOT NULL AND new ->> 'practitioner_id' IS NULL THEN
        RETURN CASE WHEN EXISTS (SELECT FROM @extschema@.location_staff AS ls
                                 WHERE ls.location_id = (old ->> 'location_id')::uuid
            AND ls.staff_id = (old ->> 'practitioner_id')::uuid AND ls.is_active) THEN 'staff_member_is_here' END;
    ELSIF coalesce(@extschema@._handles(old), false) THEN
        RETURN NULL;
    ELSIF @extschema@._is_customer(old, 'appointment:manage')
          AND old ->> 'practitioner_id' IS NOT DISTINCT FROM new ->> 'practitioner_id' THEN
        SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = (old ->> 'booking_id')::uuid;
        booking.start_at := (old ->> 'start_at')::timestamptz;
        RETURN CASE WHEN @extschema@._is_too_late(to_jsonb(booking)) THEN 'too_late' END;
    END IF;
    RETURN 'not_your_appointment';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_appointment_move(jsonb, jsonb) IS
    'Staff move appointments and give them to others, patients move theirs before the cut-off; anybody may take off '
    'somebody who no longer works here.';

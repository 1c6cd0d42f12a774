-- Free slots, and why a slot is not free.

CREATE FUNCTION @extschema@.find_slots(location_id uuid, service_id uuid, window_start timestamptz DEFAULT NULL,
    window_end timestamptz DEFAULT NULL, staff_id uuid DEFAULT NULL, max_rows integer DEFAULT 200)
    RETURNS TABLE (start_at timestamptz, end_at timestamptz, local_start timestamp, local_date date, free_places integer, staff_ids uuid[])
    LANGUAGE c STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_find_slots';
COMMENT ON FUNCTION @extschema@.find_slots(uuid, uuid, timestamptz, timestamptz, uuid, integer) IS
    'Free slots in a window (default: the next 7 days, at most 93): when, how many places are left at the peak, and who could do it. max_rows: at most 10000.';

CREATE FUNCTION @extschema@.explain_slot(location_id uuid, service_id uuid, start_at timestamptz, staff_id uuid DEFAULT NULL,
    customer_id uuid DEFAULT NULL)
    RETURNS TABLE (rule text, ok boolean, detail jsonb)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    service @extschema@.services;
    location @extschema@.locations;
    end_at timestamptz;
    claimed tstzrange;
    peak integer;
    free_staff uuid[];
    on_day integer;
BEGIN
    IF location_id IS NULL OR service_id IS NULL OR start_at IS NULL OR NOT isfinite(start_at) THEN
        PERFORM usher.raise_error('invalid_argument', 'location_id, service_id and start_at are needed',
            jsonb_build_object('argument', CASE WHEN location_id IS NULL THEN 'location_id' WHEN service_id IS NULL THEN 'service_id'
                ELSE 'start_at' END));
    END IF;
    IF customer_id IS NOT NULL AND NOT (customer_id = usher.current_user_id()
        OR customer_id = ANY (@extschema@._own_customers())) IS TRUE AND NOT @extschema@._may('booking:manage', location_id) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "booking:manage" is needed to ask about somebody else',
            jsonb_build_object('permission', 'booking:manage'));
    END IF;
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = explain_slot.service_id;
    SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = explain_slot.location_id;
    rule := 'service';
    ok := coalesce(service.is_active, false);
    detail := jsonb_build_object('service_id', service_id);
    RETURN NEXT;
    rule := 'location';
    ok := coalesce(location.is_active, false);
    detail := jsonb_build_object('location_id', location_id);
    RETURN NEXT;
    rule := 'service_at_location';
    ok := EXISTS (SELECT FROM @extschema@.location_services AS ls
        WHERE ls.location_id = explain_slot.location_id AND ls.service_id = explain_slot.service_id);
    detail := jsonb_build_object('location_id', location_id, 'service_id', service_id);
    RETURN NEXT;
    IF service.id IS NULL OR location.id IS NULL THEN
        RETURN;
    END IF;
    end_at := start_at + service.duration;
    claimed := tstzrange(start_at - service.buffer_before, end_at + service.buffer_after);
    rule := 'min_notice';
    ok := start_at >= now() + service.min_notice;
    detail := jsonb_build_object('min_notice', service.min_notice);
    RETURN NEXT;
    rule := 'horizon';
    ok := start_at <= now() + service.horizon;
    detail := jsonb_build_object('horizon', service.horizon);
    RETURN NEXT;
    rule := 'location_hours';
    ok := @extschema@._is_open(location_id, start_at, end_at);
    detail := jsonb_build_object('local_start', start_at AT TIME ZONE location.time_zone, 'time_zone', location.time_zone);
    RETURN NEXT;
    rule := 'slot_grid';
    ok := coalesce(@extschema@._on_grid(location_id, start_at, service.slot_step), false);
    detail := jsonb_build_object('slot_step', service.slot_step);
    RETURN NEXT;
    peak := @extschema@._peak_now(location_id, start_at, end_at);
    rule := 'capacity';
    ok := peak < location.max_concurrent_bookings;
    detail := jsonb_build_object('peak', peak, 'places', location.max_concurrent_bookings);
    RETURN NEXT;
    IF staff_id IS NULL THEN
        rule := 'staff_free';
        free_staff := ARRAY(SELECT c FROM @extschema@._staff_candidates(location_id, service, start_at) AS c);
        ok := NOT service.needs_staff OR cardinality(free_staff) > 0;
        detail := jsonb_build_object('staff_ids', to_jsonb(free_staff));
        RETURN NEXT;
    ELSE
        detail := jsonb_build_object('staff_id', staff_id);
        rule := 'staff_assigned';
        ok := EXISTS (SELECT FROM @extschema@.location_staff AS ls WHERE ls.location_id = explain_slot.location_id
            AND ls.staff_id = explain_slot.staff_id AND ls.is_active AND ls.bookable
            AND usher.user_has_role(ls.staff_id, ls.role, ls.location_id::text));
        RETURN NEXT;
        rule := 'staff_skilled';
        ok := NOT EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = explain_slot.staff_id)
            OR EXISTS (SELECT FROM @extschema@.staff_skills AS k
                WHERE k.staff_id = explain_slot.staff_id AND k.service_id = explain_slot.service_id);
        RETURN NEXT;
        rule := 'staff_hours';
        ok := coalesce(@extschema@._staff_at_work(location_id, staff_id, start_at, end_at), false);
        RETURN NEXT;
        rule := 'staff_time_off';
        ok := NOT EXISTS (SELECT FROM @extschema@.staff_time_off AS t WHERE t.staff_id = explain_slot.staff_id AND t.during && claimed);
        RETURN NEXT;
        rule := 'staff_free';
        ok := NOT @extschema@._is_claimed('staff', staff_id, claimed);
        RETURN NEXT;
    END IF;
    IF customer_id IS NOT NULL THEN
        detail := jsonb_build_object('customer_id', customer_id);
        rule := 'customer_free';
        ok := NOT service.customer_exclusive OR NOT @extschema@._is_claimed('customer', customer_id, tstzrange(start_at, end_at));
        RETURN NEXT;
        rule := 'daily_limit';
        SELECT count(*) INTO on_day FROM @extschema@.bookings AS b
            WHERE b.customer_id = explain_slot.customer_id AND b.service_id = explain_slot.service_id
                AND b.location_id = explain_slot.location_id AND b.status <> 'cancelled'
                AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > now())
                AND (b.start_at AT TIME ZONE location.time_zone)::date = (explain_slot.start_at AT TIME ZONE location.time_zone)::date;
        ok := service.daily_limit IS NULL OR on_day < service.daily_limit;
        detail := jsonb_build_object('limit', service.daily_limit, 'booked', on_day);
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.explain_slot(uuid, uuid, timestamptz, uuid, uuid) IS
    'Every rule that a booking at this instant must keep, one row each: whether it does, and what it goes by. About a customer only for themselves and for managers.';

CREATE FUNCTION @extschema@._is_claimed(kind text, id uuid, during tstzrange) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN EXISTS (SELECT FROM (
            SELECT c.booking_id FROM @extschema@.booking_claims AS c -- each kind has an index of its own
                WHERE kind = 'staff' AND c.resource_kind = 'staff' AND c.live AND c.resource_id = _is_claimed.id AND c.during && _is_claimed.during
            UNION ALL
            SELECT c.booking_id FROM @extschema@.booking_claims AS c
                WHERE kind = 'customer' AND c.resource_kind = 'customer' AND c.live AND c.resource_id = _is_claimed.id
                    AND c.during && _is_claimed.during) AS c
        JOIN @extschema@.bookings AS b ON b.id = c.booking_id
        WHERE b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > clock_timestamp());
END
$$;
COMMENT ON FUNCTION @extschema@._is_claimed(text, uuid, tstzrange) IS 'Whether somebody''s time is taken then; holds that ran out do not count.';

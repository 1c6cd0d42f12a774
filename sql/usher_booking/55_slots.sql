-- Free slots.

CREATE FUNCTION @extschema@._on_grid(location_id uuid, start_at timestamptz, slot_step interval) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT bool_or(mod(extract(epoch FROM start_at - lower(p))::numeric, extract(epoch FROM slot_step)::numeric) = 0)
        FROM @extschema@._open_periods(location_id, start_at, start_at + interval '1 second') AS p WHERE lower(p) <= start_at);
END
$$;
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'Whether a slot begins then: grids start with each opening period. NULL when the location is closed then.';

CREATE FUNCTION @extschema@.find_slots(location_id uuid, service_id uuid, window_start timestamptz DEFAULT NULL,
    window_end timestamptz DEFAULT NULL, staff_id uuid DEFAULT NULL, max_rows integer DEFAULT 200)
    RETURNS TABLE (start_at timestamptz, end_at timestamptz, local_start timestamp, local_date date, free_places integer, staff_ids uuid[])
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    service @extschema@.services;
    location @extschema@.locations;
    first_start timestamptz := coalesce(window_start, now());
    last_end timestamptz := coalesce(window_end, first_start + interval '7 days');
    open_hours tstzmultirange;
BEGIN
    PERFORM @extschema@._check_max_rows(max_rows);
    IF NOT isfinite(first_start) OR NOT isfinite(last_end) OR last_end <= first_start OR last_end - first_start > interval '93 days' THEN
        PERFORM usher.raise_error('invalid_argument', 'the window must end after it starts and span at most 93 days',
            jsonb_build_object('argument', 'window_end'));
    END IF;
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = find_slots.service_id AND s.is_active;
    SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = find_slots.location_id AND l.is_active;
    IF service.id IS NULL OR location.id IS NULL OR NOT EXISTS (SELECT FROM @extschema@.location_services AS ls
        WHERE ls.location_id = location.id AND ls.service_id = service.id) THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not offer this service',
            jsonb_build_object('location_id', find_slots.location_id, 'service_id', find_slots.service_id));
    END IF;
    first_start := greatest(first_start, now() + service.min_notice);
    IF first_start >= last_end THEN
        RETURN;
    END IF;
    SELECT range_agg(p) INTO open_hours FROM @extschema@._open_periods(location.id, first_start, last_end) AS p;
    IF open_hours IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH grid AS MATERIALIZED (
        SELECT DISTINCT s AS at
        FROM @extschema@._open_periods(location.id, first_start, last_end) AS p
            CROSS JOIN LATERAL generate_series(lower(p), upper(p) - interval '1 second', service.slot_step) AS s
        WHERE s >= first_start AND s + service.duration <= last_end AND s < now() + service.horizon
            AND open_hours @> tstzrange(s, s + service.duration, '[)')
    ), staff AS MATERIALIZED (
        SELECT ls.staff_id AS id,
            coalesce((SELECT range_agg(c.during) FROM @extschema@.booking_claims AS c
                JOIN @extschema@.bookings AS b ON b.id = c.booking_id
                WHERE c.resource_kind = 'staff' AND c.resource_id = ls.staff_id AND c.live
                    AND c.during && tstzrange(first_start - service.buffer_before, last_end + service.buffer_after, '[)')
                    AND NOT (b.status = 'pending' AND b.hold_expires_at IS NOT NULL AND b.hold_expires_at <= now())),
                '{}'::tstzmultirange) AS busy
        FROM @extschema@.location_staff AS ls
        WHERE ls.location_id = location.id AND ls.is_active AND ls.bookable
            AND (find_slots.staff_id IS NULL OR ls.staff_id = find_slots.staff_id)
            AND (NOT EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = ls.staff_id)
                OR EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = ls.staff_id AND k.service_id = service.id))
    ), slot AS (
        SELECT g.at, location.max_concurrent_bookings
                - @extschema@._peak_now(location.id, g.at, g.at + service.duration) AS places,
            ARRAY(SELECT s.id FROM staff AS s
                WHERE NOT s.busy && tstzrange(g.at - service.buffer_before, g.at + service.duration + service.buffer_after, '[)')
                ORDER BY s.id) AS staff_ids
        FROM grid AS g
    )
    SELECT s.at, s.at + service.duration, s.at AT TIME ZONE location.time_zone, (s.at AT TIME ZONE location.time_zone)::date,
        s.places, s.staff_ids
    FROM slot AS s
    WHERE s.places > 0 AND (cardinality(s.staff_ids) > 0 OR NOT (service.needs_staff OR find_slots.staff_id IS NOT NULL))
    ORDER BY s.at LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.find_slots(uuid, uuid, timestamptz, timestamptz, uuid, integer) IS
    'Free slots in a window (default: the next 7 days, at most 93): when, how many places are left at the peak, and who could do it.';

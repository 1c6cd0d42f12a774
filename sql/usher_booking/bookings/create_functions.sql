CREATE FUNCTION @extschema@._check_start(service_id uuid, location_id uuid, start_at timestamptz, by_manager boolean)
    RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_check_start';
COMMENT ON FUNCTION @extschema@._check_start(uuid, uuid, timestamptz, boolean) IS
    'Notice, horizon and slot grid of a start; opening hours are the business of the trigger.';

CREATE FUNCTION @extschema@._books_for_others(customer_id uuid, location_id uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_books_for_others';
COMMENT ON FUNCTION @extschema@._books_for_others(uuid, uuid) IS
    'Whether the actor books as a manager; raises 42501 for whoever may not book at all.';

CREATE FUNCTION @extschema@._require_bookable(service_id uuid, location_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_require_bookable';
COMMENT ON FUNCTION @extschema@._require_bookable(uuid, uuid) IS
    'Raises US005 unless the service and the location are active.';

CREATE FUNCTION @extschema@._make_booking(id uuid, customer_id uuid, service_id uuid, location_id uuid,
                                          start_at timestamptz, staff_id uuid, staff_policy text, vehicle_info jsonb,
                                          special_instructions text, series_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_make';
COMMENT ON FUNCTION @extschema@._make_booking(uuid, uuid, uuid, uuid, timestamptz, uuid, text, jsonb, text, uuid) IS
    'Inserts a booking, with somebody chosen when nobody is named, and confirms it where the service does so by '
    'itself.';

CREATE FUNCTION @extschema@.create_booking(customer_id uuid DEFAULT NULL, service_id uuid DEFAULT NULL,
                                           location_id uuid DEFAULT NULL, start_at timestamptz DEFAULT NULL,
                                           staff_id uuid DEFAULT NULL, staff_policy text DEFAULT 'any',
                                           vehicle_info jsonb DEFAULT NULL, special_instructions text DEFAULT NULL,
                                           id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL,
                                           overbook boolean DEFAULT false)
    RETURNS @extschema@.booking_receipt
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_create';
COMMENT ON FUNCTION @extschema@.create_booking(uuid, uuid, uuid, timestamptz, uuid, text, jsonb, text, uuid,
                                               text, boolean) IS
    'Books a service at a location, for oneself or, with booking:manage there, for a customer. Without staff_id '
    'somebody free is chosen, or nobody with staff_policy none. overbook: beyond the capacity of the location, with '
    'booking:overbook there; people are never booked twice. Raises UB001 to UB005, UB008 and UB010 when it cannot be.';

CREATE FUNCTION @extschema@._error_name(sqlstate text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT e.code FROM usher.error_codes() AS e WHERE e.sqlstate = _error_name.sqlstate);
END
$$;
COMMENT ON FUNCTION @extschema@._error_name(text) IS 'The name of an error by its SQLSTATE.';

CREATE FUNCTION @extschema@.create_booking_series(customer_id uuid DEFAULT NULL, service_id uuid DEFAULT NULL,
                                                  location_id uuid DEFAULT NULL, starts timestamptz[] DEFAULT NULL,
                                                  staff_id uuid DEFAULT NULL, staff_policy text DEFAULT 'any',
                                                  mode text DEFAULT 'all_or_nothing', vehicle_info jsonb DEFAULT NULL,
                                                  special_instructions text DEFAULT NULL,
                                                  idempotency_key text DEFAULT NULL)
    RETURNS TABLE (ordinal integer, booking_id uuid, status text, error_code text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who CONSTANT uuid := coalesce(create_booking_series.customer_id, usher.actor_id());
    by_manager boolean;
    service @extschema@.services;
    series CONSTANT uuid := usher.uuid_v7();
    answer jsonb;
    results jsonb := '[]';
    occurrence record;
    people uuid[];
    days tstzrange;
    made uuid;
    made_status text;
    failed text;
    failed_message text;
BEGIN
    IF service_id IS NULL OR location_id IS NULL OR who IS NULL OR starts IS NULL
       OR cardinality(starts) NOT BETWEEN 1 AND 100
        OR EXISTS (SELECT FROM unnest(starts) AS s WHERE s IS NULL OR NOT isfinite(s)) THEN
        PERFORM usher.raise_error('invalid_argument',
            'service_id, location_id, a customer and 1 to 100 starts are needed',
            jsonb_build_object(
                'argument', CASE WHEN service_id IS NULL THEN 'service_id' WHEN location_id IS NULL THEN 'location_id'
                WHEN who IS NULL THEN 'customer_id' ELSE 'starts' END));
    ELSIF staff_policy IS NULL OR staff_policy NOT IN ('any', 'none') THEN
        PERFORM usher.raise_error('invalid_argument', 'staff_policy must be any or none',
                                  jsonb_build_object('argument', 'staff_policy'));
    ELSIF mode IS NULL OR mode NOT IN ('all_or_nothing', 'skip_conflicts') THEN
        PERFORM usher.raise_error('invalid_argument', 'mode must be all_or_nothing or skip_conflicts',
                                  jsonb_build_object('argument', 'mode'));
    END IF;
    by_manager := @extschema@._books_for_others(who, location_id);
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'create_booking_series', 'customer_id', who,
        'service_id', service_id, 'location_id', location_id, 'starts', starts, 'staff_id', staff_id, 'staff_policy',
        staff_policy, 'mode', mode, 'vehicle_info', vehicle_info, 'special_instructions', special_instructions));
    IF answer IS NOT NULL THEN
        RETURN QUERY SELECT r.ordinal, r.booking_id, r.status, r.error_code
            FROM jsonb_to_recordset(answer) AS r (ordinal integer, booking_id uuid, status text, error_code text);
        RETURN;
    END IF;
    PERFORM @extschema@._require_bookable(service_id, location_id);
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = create_booking_series.service_id;
    -- All locks that any of them needs come first, in the one order, so that two series cannot wait for each other.
    PERFORM FROM @extschema@.locations AS l WHERE l.id = create_booking_series.location_id FOR SHARE;
    PERFORM @extschema@._lock_customer(who);
    people := CASE WHEN staff_policy = 'none' AND staff_id IS NULL THEN '{}'::uuid[]
                   WHEN staff_id IS NOT NULL THEN ARRAY[staff_id]
        ELSE ARRAY(SELECT ls.staff_id FROM @extschema@.location_staff AS ls
            WHERE ls.location_id = create_booking_series.location_id AND ls.is_active AND ls.bookable) END;
    PERFORM @extschema@._guard_location(location_id, starts, service.duration);
    PERFORM @extschema@._guard_series(location_id, people, who, starts, service);
    FOR occurrence IN SELECT s.start_at, s.ordinality::integer AS number
        FROM unnest(starts) WITH ORDINALITY AS s (start_at, ordinality)
        ORDER BY s.start_at, s.ordinality
    LOOP
        made := usher.uuid_v7();
        failed := NULL;
        BEGIN
            PERFORM @extschema@._check_start(service_id, location_id, occurrence.start_at, by_manager);
            PERFORM @extschema@._make_booking(made, who, service_id, location_id, occurrence.start_at, staff_id,
                                              staff_policy, vehicle_info, special_instructions, series);
        EXCEPTION
            WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' OR SQLSTATE 'UB003' OR SQLSTATE 'UB004' OR SQLSTATE 'UB005'
                OR SQLSTATE 'UB008'
                OR SQLSTATE 'UB010' THEN
                made := NULL;
                failed := @extschema@._error_name(SQLSTATE);
                failed_message := SQLERRM;
        END;
        IF failed IS NOT NULL AND mode = 'all_or_nothing' THEN
            PERFORM usher.raise_error(failed,
                format('booking %s of the series: %s', occurrence.number, failed_message),
                jsonb_build_object('ordinal', occurrence.number, 'start_at', occurrence.start_at));
        END IF;
        made_status := (SELECT b.status FROM @extschema@.bookings AS b WHERE b.id = made);
        results := results
            || jsonb_build_object('ordinal', occurrence.number, 'booking_id', made, 'status', made_status,
            'error_code', failed);
    END LOOP;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, results);
    END IF;
    RETURN QUERY SELECT r.ordinal, r.booking_id, r.status, r.error_code
        FROM jsonb_to_recordset(results) AS r (ordinal integer, booking_id uuid, status text, error_code text)
        ORDER BY r.ordinal;
END
$$;
COMMENT ON FUNCTION @extschema@.create_booking_series(uuid, uuid, uuid, timestamptz[], uuid, text, text, jsonb,
                                                      text, text) IS
    'Books 1 to 100 times at once. mode all_or_nothing: the first that cannot be raises its error, with its ordinal, '
    'and nothing is stored; skip_conflicts: one row for each, with error_code where it could not be.';

CREATE FUNCTION @extschema@._guard_series(location_id uuid, staff_ids uuid[], customer_id uuid, starts timestamptz[],
    service @extschema@.services) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO @extschema@.resource_guards AS g (kind, id, day)
        SELECT need.kind, need.id, need.day FROM (
            SELECT DISTINCT who.rank, who.kind, who.id, d::date AS day
            FROM unnest(starts) AS s (start_at)
                CROSS JOIN LATERAL (
                    SELECT 1, 'location', _guard_series.location_id
                    UNION ALL SELECT 2, 'staff', staff FROM unnest(staff_ids) AS staff
                    UNION ALL SELECT 3, 'customer', _guard_series.customer_id) AS who (rank, kind, id)
                CROSS JOIN LATERAL generate_series(
                    ((s.start_at - (service).buffer_before) AT TIME ZONE 'UTC')::date::timestamp,
                    ((s.start_at + (service).duration + (service).buffer_after) AT TIME ZONE 'UTC')::date::timestamp,
                    interval '1 day') AS d) AS need
        ORDER BY need.rank, need.id, need.day
        ON CONFLICT (kind, id, day) DO UPDATE SET touched = g.touched + 1;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_series(uuid, uuid[], uuid, timestamptz[], @extschema@.services) IS
    'Updates every guard that a series needs, in the order of guards.';

-- Making bookings.

CREATE TYPE @extschema@.booking_receipt AS (
    booking_id uuid, status text, start_at timestamptz, end_at timestamptz, staff_id uuid, price_minor bigint, currency text,
    hold_expires_at timestamptz, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.booking_receipt IS 'What create_booking() and reschedule_booking() answer; replayed: the request was made before.';

-- Idempotency: the first call with a key stores its answer, in the same transaction as what it did. A repetition waits for it, and
-- gets the same answer if it asks for the same.
CREATE FUNCTION @extschema@._replay(idempotency_key text, request jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who constant text := coalesce(usher.current_user_id()::text, session_user);
    hash constant text := encode(sha256(convert_to(request::text, 'UTF8')), 'hex');
    stored @extschema@.idempotency_keys;
BEGIN
    IF idempotency_key IS NULL THEN
        RETURN NULL;
    END IF;
    IF idempotency_key = '' OR length(idempotency_key) > 255 THEN
        PERFORM usher.raise_error('invalid_argument', 'idempotency_key must have 1 to 255 characters',
            jsonb_build_object('argument', 'idempotency_key'));
    END IF;
    INSERT INTO @extschema@.idempotency_keys (actor, key, request_hash) VALUES (who, idempotency_key, hash) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO stored FROM @extschema@.idempotency_keys AS k WHERE k.actor = who AND k.key = idempotency_key;
    IF stored.request_hash IS DISTINCT FROM hash THEN
        PERFORM usher.raise_error('idempotency_mismatch', 'idempotency key was used before with other arguments', '{}');
    END IF;
    RETURN stored.result;
END
$$;
COMMENT ON FUNCTION @extschema@._replay(text, jsonb) IS 'The stored answer of a request, or NULL when it is new; then its key is taken.';

CREATE FUNCTION @extschema@._remember(idempotency_key text, result jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    UPDATE @extschema@.idempotency_keys AS k SET result = _remember.result
        WHERE k.actor = coalesce(usher.current_user_id()::text, session_user) AND k.key = _remember.idempotency_key;
END
$$;
COMMENT ON FUNCTION @extschema@._remember(text, jsonb) IS 'Stores the answer of a request for its repetitions.';

CREATE FUNCTION @extschema@._check_start(service @extschema@.services, location_id uuid, start_at timestamptz, by_manager boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF start_at IS NULL OR NOT isfinite(start_at) THEN
        PERFORM usher.raise_error('invalid_argument', 'start_at must be an instant', jsonb_build_object('argument', 'start_at'));
    END IF;
    -- Managers book walk-in customers who stand at the door, at any minute; nobody books the past.
    IF start_at < clock_timestamp() + (CASE WHEN by_manager THEN interval '-15 minutes' ELSE (service).min_notice END) THEN
        PERFORM usher.raise_error('notice_or_horizon', 'the start is too soon',
            jsonb_build_object('rule', 'min_notice', 'min_notice', (service).min_notice, 'start_at', start_at));
    ELSIF start_at > clock_timestamp() + (CASE WHEN by_manager THEN interval '1095 days' ELSE (service).horizon END) THEN
        PERFORM usher.raise_error('notice_or_horizon', 'the start is too far ahead',
            jsonb_build_object('rule', 'horizon', 'horizon', (service).horizon, 'start_at', start_at));
    ELSIF NOT by_manager AND NOT @extschema@._on_grid(location_id, start_at, (service).slot_step) THEN
        PERFORM usher.raise_error('not_on_slot_grid', 'no slot begins at this time',
            jsonb_build_object('start_at', start_at, 'slot_step', (service).slot_step));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_start(@extschema@.services, uuid, timestamptz, boolean) IS
    'Notice, horizon and slot grid of a start; opening hours are the business of the trigger.';

CREATE FUNCTION @extschema@._staff_candidates(location_id uuid, service @extschema@.services, start_at timestamptz) RETURNS SETOF uuid
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant tstzrange := tstzrange(start_at - (service).buffer_before, start_at + (service).duration + (service).buffer_after, '[)');
BEGIN
    RETURN QUERY
    SELECT ls.staff_id
    FROM @extschema@.location_staff AS ls
        CROSS JOIN LATERAL (
            SELECT count(*) AS booked, max(b.end_at) FILTER (WHERE b.end_at <= _staff_candidates.start_at) AS idle_since
            FROM @extschema@.bookings AS b
            WHERE b.staff_id = ls.staff_id AND b.occupies
                AND b.start_at BETWEEN _staff_candidates.start_at - interval '24 hours' AND _staff_candidates.start_at + interval '24 hours'
        ) AS load
    WHERE ls.location_id = _staff_candidates.location_id AND ls.is_active AND ls.bookable
        AND (NOT EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = ls.staff_id)
            OR EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = ls.staff_id AND k.service_id = (service).id))
        AND NOT EXISTS (
            SELECT FROM @extschema@.booking_claims AS c JOIN @extschema@.bookings AS b ON b.id = c.booking_id
            WHERE c.resource_kind = 'staff' AND c.resource_id = ls.staff_id AND c.live AND c.during && wanted
                AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > clock_timestamp()))
    ORDER BY load.booked, load.idle_since NULLS FIRST, ls.staff_id;
END
$$;
COMMENT ON FUNCTION @extschema@._staff_candidates(uuid, @extschema@.services, timestamptz) IS
    'Who is free for a service then: least booked first, longest idle next.';

CREATE FUNCTION @extschema@._guard_location(location_id uuid, start_at timestamptz, end_at timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO @extschema@.resource_guards AS g (kind, id, local_day)
        SELECT 'location', l.id, day::date
        FROM @extschema@.locations AS l
            CROSS JOIN LATERAL generate_series((_guard_location.start_at AT TIME ZONE l.time_zone)::date::timestamp,
                (_guard_location.end_at AT TIME ZONE l.time_zone)::date::timestamp, interval '1 day') AS day
        WHERE l.id = _guard_location.location_id
        ORDER BY day
        ON CONFLICT (kind, id, local_day) DO UPDATE SET touched = g.touched + 1;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_location(uuid, timestamptz, timestamptz) IS
    'Takes the guards of a location before anybody is chosen, so that two choices cannot fall on the same person.';

CREATE FUNCTION @extschema@.create_booking(customer_id uuid DEFAULT NULL, service_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
    start_at timestamptz DEFAULT NULL, staff_id uuid DEFAULT NULL, staff_policy text DEFAULT 'any', vehicle_info jsonb DEFAULT NULL,
    special_instructions text DEFAULT NULL, id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.booking_receipt
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor constant uuid := usher.current_user_id();
    who constant uuid := coalesce(create_booking.customer_id, actor);
    by_manager boolean := false;
    service @extschema@.services;
    receipt @extschema@.booking_receipt;
    answer jsonb;
    candidate uuid;
    made uuid;
BEGIN
    IF service_id IS NULL OR location_id IS NULL OR start_at IS NULL OR who IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'service_id, location_id, start_at and a customer are needed',
            jsonb_build_object('argument', CASE WHEN service_id IS NULL THEN 'service_id' WHEN location_id IS NULL THEN 'location_id'
                WHEN start_at IS NULL THEN 'start_at' ELSE 'customer_id' END));
    ELSIF staff_policy IS NULL OR staff_policy NOT IN ('any', 'none') THEN
        PERFORM usher.raise_error('invalid_argument', 'staff_policy must be any or none', jsonb_build_object('argument', 'staff_policy'));
    END IF;
    IF actor IS NULL OR (who <> actor AND NOT EXISTS (SELECT FROM @extschema@.customers AS c WHERE c.id = who AND c.user_id = actor)) THEN
        IF NOT @extschema@._may('booking:manage', location_id) THEN
            PERFORM usher.raise_error('not_permitted', 'only managers of the location make bookings for others',
                jsonb_build_object('permission', 'booking:manage', 'location_id', location_id));
        END IF;
        by_manager := true;
    ELSIF NOT usher.has_permission('booking:create', location_id::text) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "booking:create" is needed',
            jsonb_build_object('permission', 'booking:create', 'location_id', location_id));
    END IF;
    answer := @extschema@._replay(idempotency_key, jsonb_build_object('function', 'create_booking', 'customer_id', who,
        'service_id', service_id, 'location_id', location_id, 'start_at', start_at, 'staff_id', staff_id, 'staff_policy', staff_policy,
        'vehicle_info', vehicle_info, 'special_instructions', special_instructions, 'id', create_booking.id));
    IF answer IS NOT NULL THEN
        receipt := jsonb_populate_record(NULL::@extschema@.booking_receipt, answer);
        receipt.replayed := true;
        RETURN receipt;
    END IF;
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = create_booking.service_id AND s.is_active;
    IF service.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'service does not exist or is not active',
            jsonb_build_object('service_id', create_booking.service_id));
    END IF;
    IF NOT EXISTS (SELECT FROM @extschema@.locations AS l WHERE l.id = create_booking.location_id AND l.is_active) THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not exist or is not active',
            jsonb_build_object('location_id', create_booking.location_id));
    END IF;
    PERFORM @extschema@._lock_customer(who);
    PERFORM @extschema@._check_start(service, location_id, start_at, by_manager);
    made := coalesce(create_booking.id, usher.uuid_v7());
    IF staff_id IS NOT NULL OR staff_policy = 'none' OR NOT service.needs_staff THEN
        INSERT INTO @extschema@.bookings (id, customer_id, service_id, location_id, start_at, staff_id, vehicle_info, special_instructions)
            VALUES (made, who, create_booking.service_id, create_booking.location_id, create_booking.start_at, create_booking.staff_id,
                create_booking.vehicle_info, create_booking.special_instructions);
    ELSE
        PERFORM @extschema@._guard_location(location_id, start_at, start_at + service.duration);
        FOR candidate IN SELECT c FROM @extschema@._staff_candidates(location_id, service, start_at) AS c LOOP
            BEGIN
                INSERT INTO @extschema@.bookings (id, customer_id, service_id, location_id, start_at, staff_id, vehicle_info,
                        special_instructions)
                    VALUES (made, who, create_booking.service_id, create_booking.location_id, create_booking.start_at, candidate,
                        create_booking.vehicle_info, create_booking.special_instructions);
                EXIT;
            EXCEPTION
                -- Booked at another location a moment ago, or not eligible any more: try the next.
                WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB005' THEN
                    IF EXISTS (SELECT FROM @extschema@.booking_claims AS c WHERE c.resource_kind = 'customer' AND c.resource_id = who
                        AND c.live AND c.during && tstzrange(create_booking.start_at, create_booking.start_at + service.duration, '[)')) THEN
                        RAISE; -- it is the customer who has another booking: nobody else would help
                    END IF;
                    candidate := NULL;
            END;
        END LOOP;
        IF candidate IS NULL THEN
            PERFORM usher.raise_error('slot_taken', 'nobody is free at this time',
                jsonb_build_object('rule', 'no_staff_free', 'location_id', location_id, 'start_at', start_at));
        END IF;
    END IF;
    IF service.auto_confirm THEN
        UPDATE @extschema@.bookings AS b SET status = 'confirmed'
            WHERE b.id = made AND (b.staff_id IS NOT NULL OR NOT b.needs_staff);
    END IF;
    SELECT b.id, b.status, b.start_at, b.end_at, b.staff_id, b.price_minor, b.currency, b.hold_expires_at, b.version, false
        INTO receipt FROM @extschema@.bookings AS b WHERE b.id = made;
    IF idempotency_key IS NOT NULL THEN
        PERFORM @extschema@._remember(idempotency_key, to_jsonb(receipt));
    END IF;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.create_booking(uuid, uuid, uuid, timestamptz, uuid, text, jsonb, text, uuid, text) IS
    'Books a service at a location, for oneself or, with booking:manage there, for a customer. Without staff_id somebody free is chosen, or nobody with staff_policy none. Raises UB001 to UB005 and UB008 when it cannot be.';

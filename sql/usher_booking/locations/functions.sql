-- Locations: address, capacity, hours, services and staff.

CREATE FUNCTION @extschema@._check_time_zone(time_zone text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF time_zone IS NULL OR NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = time_zone) THEN
        PERFORM usher.raise_error('invalid_argument',
            'time_zone must be an IANA time zone name, such as Europe/Berlin',
            jsonb_build_object('argument', 'time_zone'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_time_zone(text) IS 'Only zones the server knows by their full name.';

CREATE FUNCTION @extschema@.create_location(
    name text, address text, city text, state text, zip_code text, country text DEFAULT 'US',
    time_zone text DEFAULT 'UTC', latitude numeric DEFAULT NULL, longitude numeric DEFAULT NULL,
    phone text DEFAULT NULL, email text DEFAULT NULL, max_concurrent_bookings integer DEFAULT 5, id uuid DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    created @extschema@.locations;
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._require('location:manage');
    PERFORM @extschema@._check_time_zone(time_zone);
    INSERT INTO @extschema@.locations (id, name, address, city, state, zip_code, country, time_zone, latitude,
                                       longitude, phone, email, max_concurrent_bookings)
        VALUES (coalesce(create_location.id, usher.uuid_v7()), create_location.name, create_location.address,
                create_location.city, create_location.state, create_location.zip_code, create_location.country,
                create_location.time_zone, create_location.latitude, create_location.longitude, create_location.phone,
                create_location.email, create_location.max_concurrent_bookings)
        RETURNING * INTO created;
    RETURN created;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_location(text, text, text, text, text, text, text, numeric, numeric, text, text,
                                                integer, uuid) IS
    'Creates a location and returns it; it is closed until set_location_hours(). Needs location:manage.';

CREATE FUNCTION @extschema@.update_location(location_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    location @extschema@.locations;
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._check_changes(
        changes, ARRAY['name', 'address', 'city', 'state', 'zip_code', 'country', 'time_zone', 'latitude',
        'longitude', 'phone', 'email', 'max_concurrent_bookings']);
    -- The lock waits for bookings that are being made on the old capacity.
    SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = update_location.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(location.version, expected_version, 'location', location_id);
    location := jsonb_populate_record(location, changes);
    IF changes ? 'time_zone' THEN -- the server reads the files of all zones for that
        PERFORM @extschema@._check_time_zone(location.time_zone);
    END IF;
    UPDATE @extschema@.locations AS l
        SET name = location.name, address = location.address, city = location.city, state = location.state,
            zip_code = location.zip_code, country = location.country, time_zone = location.time_zone,
            latitude = location.latitude, longitude = location.longitude, phone = location.phone,
            email = location.email, max_concurrent_bookings = location.max_concurrent_bookings, version = l.version + 1
        WHERE l.id = update_location.location_id
        RETURNING * INTO location;
    RETURN location;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.update_location(uuid, jsonb, integer) IS
    'Changes columns of a location. A lower capacity blocks new bookings only; a new zone moves no booking. Needs '
    'location:manage.';

CREATE FUNCTION @extschema@.set_location_active(location_id uuid, INOUT is_active boolean, force boolean DEFAULT false,
    expected_version integer DEFAULT NULL, OUT id uuid, OUT version integer, OUT cancelled integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    live uuid[];
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    IF set_location_active.is_active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'is_active must not be null', '{"argument": "is_active"}');
    END IF;
    SELECT l.version INTO version
    FROM @extschema@.locations AS l WHERE l.id = set_location_active.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(version, expected_version, 'location', location_id);
    cancelled := 0;
    IF NOT is_active THEN
        PERFORM @extschema@._fence('location', ARRAY[location_id]);
        SELECT array_agg(b.id) INTO live FROM (
            SELECT b.id FROM @extschema@.bookings AS b
                WHERE b.location_id = set_location_active.location_id AND b.status IN ('pending', 'confirmed')
                    AND b.end_at > now() AND b.start_at > @extschema@._first_start(tstzrange(now(), NULL))
                ORDER BY b.id FOR UPDATE) AS b;
        IF live IS NOT NULL AND NOT force THEN
            PERFORM usher.raise_error('location_in_use', 'location has bookings that are still to come',
                jsonb_build_object('location_id', location_id, 'bookings', cardinality(live)),
                'Pass force => true to cancel them.');
        ELSIF live IS NOT NULL THEN
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = 'location_closed',
                    refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor - b.discount_minor END
                WHERE b.id = ANY (live);
            cancelled := cardinality(live);
        END IF;
    END IF;
    UPDATE @extschema@.locations AS l SET is_active = set_location_active.is_active, version = l.version + 1
        WHERE l.id = set_location_active.location_id
        RETURNING l.id, l.is_active, l.version INTO id, is_active, version;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer) IS
    'Opens or closes a location. Refused with UB009 while bookings are to come, unless forced: then they are '
    'cancelled. Publishes location.deactivated or location.restored. Needs location:manage.';

CREATE FUNCTION @extschema@.list_locations(after uuid DEFAULT NULL, max_rows integer DEFAULT 100,
                                           include_inactive boolean DEFAULT false)
    RETURNS TABLE (id uuid, name text, address text, city text, state text, zip_code text,
                   country text, time_zone text, latitude numeric, longitude numeric, phone text, email text,
                   max_concurrent_bookings integer, hours jsonb, service_ids uuid[], deleted_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF include_inactive THEN
        PERFORM @extschema@._require('location:manage');
    END IF;
    RETURN QUERY SELECT l.id, l.name, l.address, l.city, l.state,
            l.zip_code, l.country, l.time_zone, l.latitude, l.longitude, l.phone, l.email, l.max_concurrent_bookings,
            coalesce((SELECT jsonb_agg(jsonb_build_object('weekday', h.weekday, 'opens', h.opens, 'closes', h.closes)
                    ORDER BY h.weekday, h.opens)
                FROM @extschema@.location_hours AS h
                WHERE h.location_id = l.id AND h.valid @> (now() AT TIME ZONE l.time_zone)::date), '[]'),
            ARRAY(SELECT ls.service_id FROM @extschema@.location_services AS ls
                JOIN @extschema@.services AS s ON s.id = ls.service_id AND s.is_active
                WHERE ls.location_id = l.id ORDER BY 1),
            l.deleted_at
        FROM @extschema@.locations AS l
        WHERE (l.is_active OR include_inactive) AND (list_locations.after IS NULL OR l.id > list_locations.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_locations(uuid, integer, boolean) IS
    'Active locations with the weekly hours that hold today and the services they offer; the next page starts after '
    'the last id. With include_inactive also those that are closed for good or for now, which needs location:manage.';

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

CREATE FUNCTION @extschema@._check_location(location_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.locations AS l WHERE l.id = _check_location.location_id) THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not exist',
                                  jsonb_build_object('location_id', _check_location.location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_location(uuid) IS 'Raises US005 when there is no such location.';

CREATE FUNCTION @extschema@._lock_location(location_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM @extschema@.locations AS l WHERE l.id = _lock_location.location_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not exist',
                                  jsonb_build_object('location_id', location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_location(uuid) IS
    'Locks a location against bookings being made; raises US005 when it does not exist.';

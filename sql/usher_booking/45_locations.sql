-- Locations: address, capacity, hours, services and staff.

CREATE FUNCTION @extschema@._check_time_zone(time_zone text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF time_zone IS NULL OR NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = time_zone) THEN
        PERFORM usher.raise_error('invalid_argument', 'time_zone must be an IANA time zone name, such as Europe/Berlin',
            jsonb_build_object('argument', 'time_zone'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_time_zone(text) IS 'Only zones the server knows by their full name.';

CREATE FUNCTION @extschema@.create_location(
    name text, address text, city text, state text, zip_code text, country text DEFAULT 'US', time_zone text DEFAULT 'UTC',
    latitude numeric DEFAULT NULL, longitude numeric DEFAULT NULL, phone text DEFAULT NULL, email text DEFAULT NULL,
    max_concurrent_bookings integer DEFAULT 5, id uuid DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    created @extschema@.locations;
BEGIN
    PERFORM @extschema@._require('location:manage');
    PERFORM @extschema@._check_time_zone(time_zone);
    INSERT INTO @extschema@.locations (id, name, address, city, state, zip_code, country, time_zone, latitude, longitude, phone, email,
            max_concurrent_bookings)
        VALUES (coalesce(create_location.id, usher.uuid_v7()), create_location.name, create_location.address, create_location.city,
            create_location.state, create_location.zip_code, create_location.country, create_location.time_zone,
            create_location.latitude, create_location.longitude, create_location.phone, create_location.email,
            create_location.max_concurrent_bookings)
        RETURNING * INTO created;
    RETURN created;
END
$$;
COMMENT ON FUNCTION @extschema@.create_location(text, text, text, text, text, text, text, numeric, numeric, text, text, integer, uuid) IS
    'Creates a location and returns it; it is closed until set_location_hours(). Needs location:manage.';

CREATE FUNCTION @extschema@.update_location(location_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    location @extschema@.locations;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._check_changes(changes, ARRAY['name', 'address', 'city', 'state', 'zip_code', 'country', 'time_zone', 'latitude',
        'longitude', 'phone', 'email', 'max_concurrent_bookings']);
    -- The lock waits for bookings that are being made on the old capacity.
    SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = update_location.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(location.version, expected_version, 'location', location_id);
    location := jsonb_populate_record(location, changes);
    PERFORM @extschema@._check_time_zone(location.time_zone);
    UPDATE @extschema@.locations AS l
        SET name = location.name, address = location.address, city = location.city, state = location.state,
            zip_code = location.zip_code, country = location.country, time_zone = location.time_zone, latitude = location.latitude,
            longitude = location.longitude, phone = location.phone, email = location.email,
            max_concurrent_bookings = location.max_concurrent_bookings, version = l.version + 1
        WHERE l.id = update_location.location_id
        RETURNING * INTO location;
    RETURN location;
END
$$;
COMMENT ON FUNCTION @extschema@.update_location(uuid, jsonb, integer) IS
    'Changes columns of a location. A lower capacity blocks new bookings only; a new zone moves no booking. Needs location:manage.';

CREATE FUNCTION @extschema@.set_location_active(location_id uuid, active boolean, force boolean DEFAULT false,
    expected_version integer DEFAULT NULL, OUT id uuid, OUT is_active boolean, OUT version integer, OUT cancelled integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    live uuid[];
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    SELECT l.version INTO version FROM @extschema@.locations AS l WHERE l.id = set_location_active.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(version, expected_version, 'location', location_id);
    cancelled := 0;
    IF NOT active THEN
        PERFORM @extschema@._fence('location', ARRAY[location_id]);
        SELECT array_agg(b.id) INTO live FROM (
            SELECT b.id FROM @extschema@.bookings AS b
                WHERE b.location_id = set_location_active.location_id AND b.status IN ('pending', 'confirmed') AND b.end_at > now()
                ORDER BY b.id FOR UPDATE) AS b;
        IF live IS NOT NULL AND NOT force THEN
            PERFORM usher.raise_error('location_in_use', 'location has bookings that are still to come',
                jsonb_build_object('location_id', location_id, 'bookings', cardinality(live)),
                'Pass force => true to cancel them.');
        ELSIF live IS NOT NULL THEN
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = 'location_closed',
                    refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor END
                WHERE b.id = ANY (live);
            cancelled := cardinality(live);
        END IF;
    END IF;
    UPDATE @extschema@.locations AS l SET is_active = active, version = l.version + 1
        WHERE l.id = set_location_active.location_id RETURNING l.id, l.is_active, l.version INTO id, is_active, version;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer) IS
    'Opens or closes a location. Refused with UB009 while bookings are to come, unless forced: then they are cancelled. Needs location:manage.';

CREATE FUNCTION @extschema@.list_locations(after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (id uuid, name text, address text, city text, state text, zip_code text, country text, time_zone text,
        latitude numeric, longitude numeric, phone text, email text, max_concurrent_bookings integer, hours jsonb, service_ids uuid[])
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._check_max_rows(max_rows);
    RETURN QUERY SELECT l.id, l.name, l.address, l.city, l.state, l.zip_code, l.country, l.time_zone, l.latitude, l.longitude, l.phone,
            l.email, l.max_concurrent_bookings,
            coalesce((SELECT jsonb_agg(jsonb_build_object('weekday', h.weekday, 'opens', h.opens, 'closes', h.closes)
                    ORDER BY h.weekday, h.opens)
                FROM @extschema@.location_hours AS h
                WHERE h.location_id = l.id AND h.valid @> (now() AT TIME ZONE l.time_zone)::date), '[]'),
            ARRAY(SELECT ls.service_id FROM @extschema@.location_services AS ls
                JOIN @extschema@.services AS s ON s.id = ls.service_id AND s.is_active WHERE ls.location_id = l.id ORDER BY 1)
        FROM @extschema@.locations AS l
        WHERE l.is_active AND (list_locations.after IS NULL OR l.id > list_locations.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_locations(uuid, integer) IS
    'Active locations with the weekly hours that hold today and the services they offer; the next page starts after the last id.';

CREATE FUNCTION @extschema@._check_weekdays(weekdays integer[], valid daterange) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF weekdays IS NULL OR cardinality(weekdays) = 0 OR EXISTS (SELECT FROM unnest(weekdays) AS d WHERE d IS NULL OR d NOT BETWEEN 1 AND 7) THEN
        PERFORM usher.raise_error('invalid_argument', 'weekdays must be numbers from 1 (Monday) to 7 (Sunday)',
            jsonb_build_object('argument', 'weekdays'));
    END IF;
    IF valid IS NULL OR isempty(valid) THEN
        PERFORM usher.raise_error('invalid_argument', 'valid must be a range of dates that is not empty',
            jsonb_build_object('argument', 'valid'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_weekdays(integer[], daterange) IS 'Weekdays are 1 to 7, and hours are valid at some time.';

CREATE FUNCTION @extschema@.set_location_hours(location_id uuid, weekdays integer[], periods jsonb,
    valid daterange DEFAULT daterange(NULL, NULL)) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    written integer;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    PERFORM @extschema@._check_weekdays(weekdays, valid);
    DELETE FROM @extschema@.location_hours AS h
        WHERE h.location_id = set_location_hours.location_id AND h.weekday = ANY (weekdays) AND h.valid = set_location_hours.valid;
    INSERT INTO @extschema@.location_hours (location_id, weekday, opens, closes, valid)
        SELECT DISTINCT set_location_hours.location_id, d, p.opens, p.closes, set_location_hours.valid
        FROM unnest(weekdays) AS d CROSS JOIN @extschema@._parse_periods(periods) AS p;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_hours(uuid, integer[], jsonb, daterange) IS
    'Replaces the weekly hours of these ISO weekdays: periods like [{"opens": "08:00", "closes": "20:00"}] in local time. Returns the rows written. Needs location:manage.';

CREATE FUNCTION @extschema@._lock_location(location_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM @extschema@.locations AS l WHERE l.id = _lock_location.location_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not exist', jsonb_build_object('location_id', location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_location(uuid) IS 'Locks a location against bookings being made; raises US005 when it is not there.';

CREATE FUNCTION @extschema@.import_location_hours(location_id uuid, operating_hours jsonb) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names constant text[] := ARRAY['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
    day_name text;
    value jsonb;
    weekday integer;
    written integer := 0;
BEGIN
    IF operating_hours IS NULL OR jsonb_typeof(operating_hours) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'operating_hours must be a JSON object of weekdays',
            jsonb_build_object('argument', 'operating_hours'));
    END IF;
    FOR day_name, value IN SELECT e.key, e.value FROM jsonb_each(operating_hours) AS e LOOP
        weekday := coalesce(array_position(names, lower(day_name)),
            (SELECT n.ordinality FROM unnest(names) WITH ORDINALITY AS n (name, ordinality) WHERE left(n.name, 3) = lower(day_name)));
        IF weekday IS NULL THEN
            PERFORM usher.raise_error('invalid_argument', format('"%s" is not a weekday', day_name),
                jsonb_build_object('argument', 'operating_hours', 'key', day_name));
        END IF;
        written := written + @extschema@.set_location_hours(location_id, ARRAY[weekday], CASE
            WHEN jsonb_typeof(value) = 'array' THEN value
            WHEN value IN ('null', '"closed"', '{}') OR value ->> 'closed' = 'true' THEN '[]'
            ELSE jsonb_build_array(value) END);
    END LOOP;
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@.import_location_hours(uuid, jsonb) IS
    'Sets weekly hours from an object like {"monday": {"open": "08:00", "close": "18:00"}, "sunday": "closed"}. Needs location:manage.';

CREATE FUNCTION @extschema@.set_location_exception(location_id uuid, local_date date, periods jsonb, note text DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    IF local_date IS NULL OR NOT isfinite(local_date) THEN
        PERFORM usher.raise_error('invalid_argument', 'local_date must be a date', jsonb_build_object('argument', 'local_date'));
    END IF;
    INSERT INTO @extschema@.location_exceptions (location_id, local_date, periods, note)
        SELECT set_location_exception.location_id, set_location_exception.local_date,
            coalesce(jsonb_agg(jsonb_build_object('opens', p.opens, 'closes', p.closes) ORDER BY p.opens), '[]'),
            set_location_exception.note
        FROM @extschema@._parse_periods(set_location_exception.periods) AS p
        ON CONFLICT (location_id, local_date) DO UPDATE SET periods = excluded.periods, note = excluded.note;
    RETURN (SELECT count(*) FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.location_id = set_location_exception.location_id AND b.status IN ('pending', 'confirmed')
            AND b.start_at >= (set_location_exception.local_date - 1)::timestamp AT TIME ZONE l.time_zone
            AND b.start_at < (set_location_exception.local_date + 2)::timestamp AT TIME ZONE l.time_zone
            AND NOT @extschema@._is_open(b.location_id, b.start_at, b.end_at));
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_exception(uuid, date, jsonb, text) IS
    'Sets special hours for one local date, [] for closed. Returns how many bookings around that date now lie outside the hours; they are kept. Needs location:manage.';

-- Bookings keep their instants whatever happens to hours and zone; this finds those that no longer fit.
CREATE FUNCTION @extschema@.list_bookings_outside_hours(location_id uuid, after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (booking_id uuid, status text, start_at timestamptz, end_at timestamptz, local_start timestamp, staff_id uuid, rule text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._check_max_rows(max_rows);
    PERFORM @extschema@._require('booking:manage', coalesce(location_id, usher.uuid_v7()));
    RETURN QUERY
    SELECT found.id, found.status, found.start_at, found.end_at, found.start_at AT TIME ZONE found.time_zone, found.staff_id, found.rule
    FROM (
        SELECT b.id, b.status, b.start_at, b.end_at, b.staff_id, l.time_zone, CASE
            WHEN NOT @extschema@._is_open(b.location_id, b.start_at, b.end_at) THEN 'location_hours'
            WHEN b.staff_id IS NULL OR b.by_appointment THEN NULL
            WHEN NOT @extschema@._staff_at_work(b.location_id, b.staff_id, b.start_at, b.end_at) THEN 'staff_hours'
            WHEN EXISTS (SELECT FROM @extschema@.staff_time_off AS t WHERE t.staff_id = b.staff_id
                AND t.during && tstzrange(b.start_at - b.buffer_before, b.end_at + b.buffer_after)) THEN 'staff_time_off' END AS rule
        FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.location_id = list_bookings_outside_hours.location_id AND b.status IN ('pending', 'confirmed') AND b.end_at > now()
            AND (list_bookings_outside_hours.after IS NULL OR (b.start_at, b.id) > (
                SELECT x.start_at, x.id FROM @extschema@.bookings AS x WHERE x.id = list_bookings_outside_hours.after))
    ) AS found
    WHERE found.rule IS NOT NULL ORDER BY found.start_at, found.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_bookings_outside_hours(uuid, uuid, integer) IS
    'Coming bookings that the hours of the location or of their staff member cover no more, and which rule they break: after a change of hours or of the time zone. The next page starts after the last booking_id. Needs booking:manage there.';

CREATE FUNCTION @extschema@.set_location_services(location_id uuid, service_ids uuid[], OUT added integer, OUT removed integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    unknown uuid;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    IF service_ids IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'service_ids must be an array', jsonb_build_object('argument', 'service_ids'));
    END IF;
    SELECT wanted INTO unknown FROM unnest(service_ids) AS wanted
        WHERE NOT EXISTS (SELECT FROM @extschema@.services AS s WHERE s.id = wanted) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'service does not exist', jsonb_build_object('service_id', unknown));
    END IF;
    DELETE FROM @extschema@.location_services AS ls
        WHERE ls.location_id = set_location_services.location_id AND ls.service_id <> ALL (service_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO @extschema@.location_services (location_id, service_id)
        SELECT set_location_services.location_id, wanted FROM unnest(service_ids) AS wanted ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    -- A booking in flight with an older snapshot fails with 40001 instead of going by the old list.
    UPDATE @extschema@.locations AS l SET hours_version = usher.uuid_v7() WHERE l.id = set_location_services.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_services(uuid, uuid[]) IS
    'Makes these the services of the location; bookings that exist are kept. Needs location:manage.';

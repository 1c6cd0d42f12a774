-- Backends keep hours under the hours_version of their location or staff member, which is new with every change: of a
-- row that moves, for where it was and for where it is now. Whoever changes hours changes a row that bookings hold:
-- they wait for each other, and a transaction with an older snapshot fails with 40001 instead of going by old hours.
CREATE FUNCTION @extschema@._renew_location_hours(location_ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.locations AS l WHERE location_ids IS NULL OR l.id = ANY (location_ids)
        ORDER BY l.id FOR NO KEY UPDATE;
    UPDATE @extschema@.locations AS l SET hours_version = usher.uuid_v7()
        WHERE location_ids IS NULL OR l.id = ANY (location_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._renew_location_hours(uuid[]) IS
    'Gives these locations, or all of them, a new hours_version.';

CREATE FUNCTION @extschema@._renew_staff_hours(assignment_ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.location_staff AS ls WHERE assignment_ids IS NULL OR ls.id = ANY (assignment_ids)
        ORDER BY ls.id FOR NO KEY UPDATE;
    UPDATE @extschema@.location_staff AS ls SET hours_version = usher.uuid_v7()
        WHERE assignment_ids IS NULL OR ls.id = ANY (assignment_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._renew_staff_hours(uuid[]) IS
    'Gives these assignments of staff, or all of them, a new hours_version.';

CREATE FUNCTION @extschema@._hours_changed() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    locations uuid[];
    people uuid[];
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    END IF;
    CASE TG_ARGV[0]
        WHEN 'location' THEN
            locations := ARRAY(SELECT c.location_id FROM changed AS c);
            IF TG_OP = 'UPDATE' THEN
                locations := locations || ARRAY(SELECT b.location_id FROM before AS b);
            END IF;
            PERFORM @extschema@._renew_location_hours(locations);
        WHEN 'staff' THEN
            people := ARRAY(SELECT ls.id FROM changed AS c
                JOIN @extschema@.location_staff AS ls ON ls.location_id = c.location_id AND ls.staff_id = c.staff_id);
            IF TG_OP = 'UPDATE' THEN
                people := people || ARRAY(SELECT ls.id FROM before AS b
                    JOIN @extschema@.location_staff AS ls ON ls.location_id = b.location_id
                        AND ls.staff_id = b.staff_id);
            END IF;
            PERFORM @extschema@._renew_staff_hours(people);
        WHEN 'time_off' THEN
            people := ARRAY(SELECT ls.id FROM changed AS c JOIN @extschema@.location_staff AS ls USING (staff_id));
            IF TG_OP = 'UPDATE' THEN
                people := people || ARRAY(SELECT ls.id
                    FROM before AS b JOIN @extschema@.location_staff AS ls USING (staff_id));
            END IF;
            PERFORM @extschema@._renew_staff_hours(people);
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._hours_changed() IS
    'Statement trigger of hours: gives their location or staff member a new hours_version.';

CREATE FUNCTION @extschema@._hours_truncated() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    ELSIF TG_ARGV[0] = 'location' THEN
        PERFORM @extschema@._renew_location_hours(NULL);
    ELSE
        PERFORM @extschema@._renew_staff_hours(NULL);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._hours_truncated() IS
    'TRUNCATE trigger of hours: gives every location or staff member a new hours_version.';

-- Opening hours: from local wall time to instants. The arithmetic is C++ (extension/common/zone.hpp,
-- opening_hours.hpp); clock changes come from the server's own zone files.

CREATE FUNCTION @extschema@._local_to_instant(local timestamp, zone text, pick text DEFAULT 'first')
    RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_local_to_instant';
COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'For tests: the instant of a wall time, first or last of a repeated one, the end of the gap for one that never '
    'was. AT TIME ZONE picks the last of two, RFC 5545 the first.';

CREATE FUNCTION @extschema@._parse_periods(periods jsonb) RETURNS TABLE (opens time, closes time)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_parse_periods';
COMMENT ON FUNCTION @extschema@._parse_periods(jsonb) IS
    'The periods of one day from [{"opens": "08:00", "closes": "12:00"}, …], with open and close as well, or '
    '[["08:00", "12:00"], …]; one that closes at or before its opening ends on the next day.';

CREATE FUNCTION @extschema@._open_periods(location_id uuid, window_start timestamptz, window_end timestamptz)
    RETURNS TABLE (opens_at timestamptz, closes_at timestamptz)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_open_periods';
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'For tests: the opening periods of a location that touch the window, as instants; exceptions replace the weekly '
    'hours of their date.';

CREATE FUNCTION @extschema@._is_open(location_id uuid, start_at timestamptz, end_at timestamptz) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_is_open';
COMMENT ON FUNCTION @extschema@._is_open(uuid, timestamptz, timestamptz) IS
    'Whether the whole range lies inside the opening hours.';

CREATE FUNCTION @extschema@._on_grid(location_id uuid, start_at timestamptz, slot_step interval) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_on_grid';
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'For tests: whether a slot begins then. Grids start with each opening period; NULL when the location is closed '
    'then.';

CREATE FUNCTION @extschema@._check_weekdays(weekdays integer[], valid daterange) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF weekdays IS NULL OR cardinality(weekdays) = 0
        OR EXISTS (SELECT FROM unnest(weekdays) AS d WHERE d IS NULL OR d NOT BETWEEN 1 AND 7) THEN
        PERFORM usher.raise_error('invalid_argument', 'weekdays must be numbers from 1 (Monday) to 7 (Sunday)',
            jsonb_build_object('argument', 'weekdays'));
    END IF;
    IF valid IS NULL OR isempty(valid) THEN
        PERFORM usher.raise_error('invalid_argument', 'valid must be a range of dates that is not empty',
            jsonb_build_object('argument', 'valid'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_weekdays(integer[], daterange) IS
    'Weekdays are 1 to 7, and hours are valid at some time.';

CREATE FUNCTION @extschema@.set_location_hours(location_id uuid, weekdays integer[], periods jsonb,
    valid daterange DEFAULT daterange(NULL, NULL)) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    written integer;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    PERFORM @extschema@._check_weekdays(weekdays, valid);
    DELETE FROM @extschema@.location_hours AS h
        WHERE h.location_id = set_location_hours.location_id AND h.weekday = ANY (weekdays)
            AND h.valid = set_location_hours.valid;
    INSERT INTO @extschema@.location_hours (location_id, weekday, opens, closes, valid)
        SELECT DISTINCT set_location_hours.location_id, d, p.opens, p.closes, set_location_hours.valid
        FROM unnest(weekdays) AS d CROSS JOIN @extschema@._parse_periods(periods) AS p;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_hours(uuid, integer[], jsonb, daterange) IS
    'Replaces the weekly hours of these ISO weekdays: periods like [{"opens": "08:00", "closes": "20:00"}] in local '
    'time. Returns the rows written. Needs location:manage.';

CREATE FUNCTION @extschema@.import_location_hours(location_id uuid, operating_hours jsonb) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names CONSTANT text[] := ARRAY['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
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
            (SELECT n.ordinality FROM unnest(names) WITH ORDINALITY AS n (name, ordinality)
                WHERE left(n.name, 3) = lower(day_name)));
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
    'Sets weekly hours from an object like {"monday": {"open": "08:00", "close": "18:00"}, "sunday": "closed"}. '
    'Needs location:manage.';

CREATE FUNCTION @extschema@.set_location_exception(location_id uuid, local_date date, periods jsonb,
    note text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    IF local_date IS NULL OR NOT isfinite(local_date) THEN
        PERFORM usher.raise_error('invalid_argument', 'local_date must be a date',
            jsonb_build_object('argument', 'local_date'));
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
    'Sets special hours for one local date, [] for closed. Returns how many bookings around that date now lie '
    'outside the hours; they are kept. Needs location:manage.';

-- Bookings keep their instants whatever happens to hours and zone; this finds those that no longer fit.
CREATE FUNCTION @extschema@.list_bookings_outside_hours(location_id uuid, after uuid DEFAULT NULL,
    max_rows integer DEFAULT 100)
    RETURNS TABLE (booking_id uuid, status text, start_at timestamptz, end_at timestamptz, local_start timestamp,
        staff_id uuid, rule text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require('booking:manage', coalesce(location_id, usher.uuid_v7()));
    PERFORM @extschema@._check_location(location_id);
    RETURN QUERY
    SELECT found.id, found.status, found.start_at, found.end_at, found.start_at AT TIME ZONE found.time_zone,
        found.staff_id, found.rule
    FROM (
        SELECT b.id, b.status, b.start_at, b.end_at, b.staff_id, l.time_zone, CASE
            WHEN NOT @extschema@._is_open(b.location_id, b.start_at, b.end_at) THEN 'location_hours'
            WHEN b.staff_id IS NOT NULL
                AND NOT b.by_appointment THEN @extschema@._staff_away(b.location_id, b.staff_id,
                b.start_at, b.end_at, b.buffer_before, b.buffer_after) END AS rule
        FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.location_id = list_bookings_outside_hours.location_id AND b.status IN ('pending', 'confirmed')
            AND b.end_at > now() AND b.start_at > @extschema@._first_start(tstzrange(now(), NULL))
            AND (list_bookings_outside_hours.after IS NULL OR (b.start_at, b.id) > (
                SELECT x.start_at, x.id FROM @extschema@.bookings AS x WHERE x.id = list_bookings_outside_hours.after))
    ) AS found
    WHERE found.rule IS NOT NULL ORDER BY found.start_at, found.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_bookings_outside_hours(uuid, uuid, integer) IS
    'Coming bookings that the hours of the location or of their staff member no longer cover, and which rule they '
    'break: after a change of hours or of the time zone. The next page starts after the last booking_id. US005 for '
    'an unknown location. Needs booking:manage there.';

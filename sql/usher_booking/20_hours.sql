-- Opening hours: from local wall time to instants. Days are walked by date, never by adding 24 hours: a day has 23 or 25 of them
-- when the clocks change.

CREATE FUNCTION @extschema@._zone_offset(instant timestamptz, zone text) RETURNS interval
    LANGUAGE plpgsql STABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (instant AT TIME ZONE zone) - (instant AT TIME ZONE 'UTC');
END
$$;
COMMENT ON FUNCTION @extschema@._zone_offset(timestamptz, text) IS 'What the clocks of the zone show at that instant, less UTC.';

-- A wall time can stand for one instant, for two (the repeated hour in autumn), or for none (the skipped one in spring).
-- PostgreSQL's own AT TIME ZONE answers with the later instant of two and with one past the gap; RFC 5545 wants the first of two.
CREATE FUNCTION @extschema@._local_to_instant(local timestamp, zone text, pick text DEFAULT 'first') RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    as_utc constant timestamptz := local AT TIME ZONE 'UTC';
    -- Clocks are at most 14 hours ahead of UTC and 12 behind, so the answer lies between these two.
    offset_before constant interval := @extschema@._zone_offset(as_utc - interval '15 hours', zone);
    offset_after constant interval := @extschema@._zone_offset(as_utc + interval '13 hours', zone);
    before timestamptz := as_utc - offset_before;
    after timestamptz := as_utc - offset_after;
    fits_before boolean;
    fits_after boolean;
    low bigint;
    high bigint;
    middle bigint;
BEGIN
    IF before = after THEN
        RETURN before;
    END IF;
    fits_before := @extschema@._zone_offset(before, zone) = offset_before;
    fits_after := @extschema@._zone_offset(after, zone) = offset_after;
    IF fits_before AND fits_after THEN
        RETURN CASE pick WHEN 'last' THEN greatest(before, after) ELSE least(before, after) END;
    ELSIF fits_before THEN
        RETURN before;
    ELSIF fits_after THEN
        RETURN after;
    END IF;
    -- In the gap: the first instant after it is when the clocks jumped, found by halving.
    low := extract(epoch FROM least(before, after))::bigint;
    high := extract(epoch FROM greatest(before, after))::bigint;
    WHILE high - low > 1 LOOP
        middle := (low + high) / 2;
        IF @extschema@._zone_offset(to_timestamp(middle), zone) = offset_before THEN
            low := middle;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN to_timestamp(high);
END
$$;
COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'The instant of a wall time: first or last of a repeated one, the end of the gap for one that never was.';

-- Accepts [{"opens": "08:00", "closes": "12:00"}, …], the same with open/close, and [["08:00", "12:00"], …].
CREATE FUNCTION @extschema@._parse_periods(periods jsonb) RETURNS TABLE (opens time, closes time)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    period jsonb;
    first_text text;
    last_text text;
BEGIN
    IF periods IS NULL OR jsonb_typeof(periods) <> 'array' OR jsonb_array_length(periods) > 48 THEN
        PERFORM usher.raise_error('invalid_argument', 'periods must be a JSON array of at most 48 periods',
            jsonb_build_object('argument', 'periods'));
    END IF;
    FOR period IN SELECT value FROM jsonb_array_elements(periods) LOOP
        IF jsonb_typeof(period) = 'array' THEN
            first_text := period ->> 0;
            last_text := period ->> 1;
        ELSE
            first_text := coalesce(period ->> 'opens', period ->> 'open');
            last_text := coalesce(period ->> 'closes', period ->> 'close');
        END IF;
        IF first_text IS NULL OR last_text IS NULL OR first_text !~ '^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$'
            OR last_text !~ '^(([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?|24:00(:00)?)$' THEN
            PERFORM usher.raise_error('invalid_argument', 'a period must have opens and closes as hh:mm',
                jsonb_build_object('argument', 'periods'));
        END IF;
        opens := first_text::time;
        closes := last_text::time;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._parse_periods(jsonb) IS 'The periods of one day; one that closes at or before its opening ends on the next day.';

-- Periods of one local date, not yet merged: a slot grid starts anew with each of them.
CREATE FUNCTION @extschema@._open_periods(location_id uuid, window_start timestamptz, window_end timestamptz) RETURNS SETOF tstzrange
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    zone text;
    day date;
    last_day date;
    special jsonb;
    period record;
    closes_at timestamptz;
    opens_at timestamptz;
BEGIN
    SELECT l.time_zone INTO zone FROM @extschema@.locations AS l WHERE l.id = _open_periods.location_id;
    IF zone IS NULL THEN
        RETURN;
    END IF;
    -- A period of the day before may reach into the window after midnight.
    day := (window_start AT TIME ZONE zone)::date - 1;
    last_day := (window_end AT TIME ZONE zone)::date;
    WHILE day <= last_day LOOP
        SELECT e.periods INTO special FROM @extschema@.location_exceptions AS e
            WHERE e.location_id = _open_periods.location_id AND e.local_date = day;
        FOR period IN
            SELECT h.opens, h.closes FROM @extschema@.location_hours AS h
                WHERE special IS NULL AND h.location_id = _open_periods.location_id
                    AND h.weekday = extract(isodow FROM day) AND h.valid @> day
            UNION ALL
            SELECT p.opens, p.closes FROM @extschema@._parse_periods(coalesce(special, '[]')) AS p
        LOOP
            opens_at := @extschema@._local_to_instant(day + period.opens, zone, 'first');
            closes_at := @extschema@._local_to_instant(
                (day + CASE WHEN period.closes <= period.opens THEN 1 ELSE 0 END) + period.closes, zone, 'last');
            IF opens_at < closes_at AND closes_at > window_start AND opens_at < window_end THEN
                RETURN NEXT tstzrange(opens_at, closes_at, '[)');
            END IF;
        END LOOP;
        day := day + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'The opening periods of a location that touch the window, as instants: exceptions replace the weekly hours of their date.';

CREATE FUNCTION @extschema@._is_open(location_id uuid, start_at timestamptz, end_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT range_agg(p) FROM @extschema@._open_periods(location_id, start_at, end_at) AS p)
        @> tstzrange(start_at, end_at, '[)'), false);
END
$$;
COMMENT ON FUNCTION @extschema@._is_open(uuid, timestamptz, timestamptz) IS 'Whether the whole range lies inside the opening hours.';

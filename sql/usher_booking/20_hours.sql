-- Opening hours: from local wall time to instants. The arithmetic is C++ (extension/core/zone.hpp, opening_hours.hpp); clock changes
-- come from the server's own zone files.

CREATE FUNCTION @extschema@._local_to_instant(local timestamp, zone text, pick text DEFAULT 'first') RETURNS timestamptz
    LANGUAGE c STABLE PARALLEL SAFE STRICT
    AS 'MODULE_PATHNAME', 'usher_booking_local_to_instant';
COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'The instant of a wall time: first or last of a repeated one, the end of the gap for one that never was. AT TIME ZONE picks the last of two, RFC 5545 the first.';

CREATE FUNCTION @extschema@._parse_periods(periods jsonb) RETURNS TABLE (opens time, closes time)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_parse_periods';
COMMENT ON FUNCTION @extschema@._parse_periods(jsonb) IS
    'The periods of one day from [{"opens": "08:00", "closes": "12:00"}, …], with open and close as well, or [["08:00", "12:00"], …]; one that closes at or before its opening ends on the next day.';

CREATE FUNCTION @extschema@._open_periods(location_id uuid, window_start timestamptz, window_end timestamptz)
    RETURNS TABLE (opens_at timestamptz, closes_at timestamptz)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_open_periods';
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'The opening periods of a location that touch the window, as instants: exceptions replace the weekly hours of their date.';

CREATE FUNCTION @extschema@._is_open(location_id uuid, start_at timestamptz, end_at timestamptz) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_is_open';
COMMENT ON FUNCTION @extschema@._is_open(uuid, timestamptz, timestamptz) IS 'Whether the whole range lies inside the opening hours.';

CREATE FUNCTION @extschema@._on_grid(location_id uuid, start_at timestamptz, slot_step interval) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_on_grid';
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'Whether a slot begins then: grids start with each opening period. NULL when the location is closed then.';

CREATE FUNCTION @extschema@._staff_at_work(location_id uuid, staff_id uuid, start_at timestamptz, end_at timestamptz) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_staff_at_work';
COMMENT ON FUNCTION @extschema@._staff_at_work(uuid, uuid, timestamptz, timestamptz) IS
    'Whether the weekly hours of a staff member cover the whole range; NULL for somebody who is not assigned to the location.';

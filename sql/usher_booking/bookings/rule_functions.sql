CREATE FUNCTION @extschema@._complete_booking() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_complete';
COMMENT ON FUNCTION @extschema@._complete_booking() IS
    'Row trigger of bookings: takes the terms from the service and checks them.';

CREATE FUNCTION @extschema@._hold_is_over(status text, hold_expires_at timestamptz) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_hold_is_over';
COMMENT ON FUNCTION @extschema@._hold_is_over(text, timestamptz) IS
    'Whether a booking is pending and keeps its place no more, by the clock.';

CREATE FUNCTION @extschema@._booking_ical(booking_id uuid) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_ical';
COMMENT ON FUNCTION @extschema@._booking_ical(uuid) IS
    'The booking as iCalendar, for whoever may see it; NULL when there is none.';

CREATE FUNCTION @extschema@.export_booking_ical(booking_id uuid) RETURNS @extschema@."text/calendar"
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
BEGIN
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = export_booking_ical.booking_id;
    IF NOT coalesce(@extschema@._sees(booking), false) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    END IF;
    PERFORM @extschema@._log_reads('booking', ARRAY[export_booking_ical.booking_id]);
    RETURN @extschema@._booking_ical(booking_id);
END
$$;
COMMENT ON FUNCTION @extschema@.export_booking_ical(uuid) IS
    'A booking as iCalendar (RFC 5545), one by appointment as its appointments: UID is the id, SEQUENCE the version, '
    'STATUS TENTATIVE, CONFIRMED or CANCELLED. For those who may see the booking.';

-- Who has read about customers (R1-66).

CREATE FUNCTION @extschema@._log_reads(kind text, ids uuid[]) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sensitive uuid[] := '{}';
BEGIN
    -- As the services are now: what was booked before one was marked is as sensitive as what is booked after.
    IF EXISTS (SELECT FROM @extschema@.services AS s WHERE s.is_sensitive) THEN
        CASE kind
            WHEN 'booking' THEN
                sensitive := ARRAY(SELECT b.id FROM @extschema@.bookings AS b
                                       JOIN @extschema@.services AS s ON s.id = b.service_id
                                   WHERE b.id = ANY (ids) AND s.is_sensitive ORDER BY b.id);
            WHEN 'appointment' THEN
                sensitive := ARRAY(SELECT a.id FROM @extschema@.appointments AS a
                                       JOIN @extschema@.bookings AS b ON b.id = a.booking_id
                                       JOIN @extschema@.services AS s ON s.id = b.service_id
                                   WHERE a.id = ANY (ids) AND s.is_sensitive ORDER BY a.id);
            WHEN 'customer' THEN
                sensitive := ARRAY(SELECT k.id FROM unnest(ids) AS k (id)
                                   WHERE EXISTS (SELECT FROM @extschema@.bookings AS b
                                                     JOIN @extschema@.services AS s ON s.id = b.service_id
                                                 WHERE b.customer_id = k.id AND s.is_sensitive)
                                   ORDER BY k.id);
        END CASE;
    END IF;
    PERFORM usher.log_reads(kind, ids, sensitive);
END
$$;
COMMENT ON FUNCTION @extschema@._log_reads(text, uuid[]) IS
    'Logs who reads bookings, appointments or customers: those of services that are sensitive always, a customer who '
    'has ever booked such a service among them; all others as usher.audit_reads says.';

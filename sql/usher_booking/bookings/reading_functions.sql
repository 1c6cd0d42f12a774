CREATE FUNCTION @extschema@._describe_bookings(booking_ids uuid[]) RETURNS SETOF @extschema@.booking_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(DISTINCT person) INTO people
        FROM @extschema@.bookings AS b JOIN @extschema@.customers AS c ON c.id = b.customer_id
            CROSS JOIN LATERAL (VALUES (b.staff_id), (c.user_id)) AS who (person)
        WHERE b.id = ANY (booking_ids) AND person IS NOT NULL;
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT b.id, b.status, b.start_at, b.end_at, b.start_at AT TIME ZONE l.time_zone,
        b.customer_id,
        CASE WHEN c.user_id IS NULL THEN ROW(NULL, c.email, NULL, c.name)::usher.user_reference ELSE k.reference END,
        b.staff_id, w.reference, b.service_id, b.service_name, b.location_id, l.name,
        b.price_minor, b.currency, b.hold_expires_at, b.paid_at, b.payment_method, b.vehicle_info,
        b.special_instructions, b.status_notes, b.cancellation_reason, b.refund_due_minor, b.by_appointment,
        b.overbooked, b.series_id, b.created_at, b.updated_at, b.version
    FROM unnest(booking_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.bookings AS b ON b.id = wanted.id
        JOIN @extschema@.customers AS c ON c.id = b.customer_id
        JOIN @extschema@.locations AS l ON l.id = b.location_id
        LEFT JOIN known AS k ON k.id = c.user_id
        LEFT JOIN known AS w ON w.id = b.staff_id
    ORDER BY wanted.position;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_bookings(uuid[]) IS
    'The details of bookings in the order of the array, with one look-up of users.';

CREATE FUNCTION @extschema@.get_booking(booking_id uuid) RETURNS @extschema@.booking_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    details @extschema@.booking_details;
BEGIN
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = get_booking.booking_id;
    IF NOT coalesce(@extschema@._sees(booking), false) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    END IF;
    PERFORM @extschema@._log_reads('booking', ARRAY[get_booking.booking_id]);
    SELECT * INTO details FROM @extschema@._describe_bookings(ARRAY[get_booking.booking_id]);
    RETURN details;
END
$$;
COMMENT ON FUNCTION @extschema@.get_booking(uuid) IS
    'One booking. Raises US005 for one that does not exist or that the actor may not know of.';

CREATE FUNCTION @extschema@.get_bookings(booking_ids uuid[]) RETURNS SETOF @extschema@.booking_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    own_id CONSTANT uuid := usher.current_user_id('booking:read');
    own uuid[] := @extschema@._own_customers();
    managed uuid[] := @extschema@._managed_locations();
    seen uuid[];
BEGIN
    IF cardinality(booking_ids) > 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_ids must have at most 1000 elements',
            jsonb_build_object('argument', 'booking_ids'));
    ELSIF actor IS NULL THEN
        PERFORM usher.require_permission('booking:read');
    END IF;
    seen := ARRAY(
        SELECT wanted.id FROM unnest(booking_ids) WITH ORDINALITY AS wanted (id, position)
            JOIN @extschema@.bookings AS b ON b.id = wanted.id
        WHERE actor IS NULL OR b.customer_id = ANY (own) OR b.staff_id = own_id OR b.location_id = ANY (managed)
        ORDER BY wanted.position);
    PERFORM @extschema@._log_reads('booking', seen);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_bookings(seen) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.get_bookings(uuid[]) IS
    'Those of the bookings that the actor may see, in the order asked for.';

CREATE FUNCTION @extschema@.list_bookings(location_id uuid DEFAULT NULL, customer_id uuid DEFAULT NULL,
                                          staff_id uuid DEFAULT NULL, statuses text[] DEFAULT NULL,
                                          during tstzrange DEFAULT NULL, after uuid DEFAULT NULL,
                                          max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.booking_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off -- each walk goes along its index until the page is full, however few rows are expected
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    own_id CONSTANT uuid := usher.current_user_id('booking:read');
    own CONSTANT uuid[] := @extschema@._own_customers();
    managed CONSTANT uuid[] := @extschema@._managed_locations();
    wanted CONSTANT text[] := ARRAY(SELECT DISTINCT s FROM unnest(coalesce(statuses,
        '{pending,confirmed,in_progress,completed,cancelled}')) AS s);
    first_start timestamptz := @extschema@._first_start(during);
    last_start timestamptz;
    of_customers uuid[];
    of_staff uuid[];
    of_locations uuid[];
    everywhere boolean := false;
    sees_walk boolean := actor IS NULL; -- all of what is walked along
    page uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('booking:read');
    END IF;
    IF EXISTS (SELECT FROM unnest(statuses) AS s
        WHERE s IS NULL OR s NOT IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of bookings',
                                  jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT b.start_at INTO last_start FROM @extschema@.bookings AS b WHERE b.id = after AND @extschema@._sees(b);
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    -- What to walk along: what is asked for, or else what the actor sees.
    IF customer_id IS NOT NULL THEN
        of_customers := ARRAY[customer_id];
    ELSIF staff_id IS NOT NULL THEN
        of_staff := ARRAY[staff_id];
    ELSIF location_id IS NOT NULL AND (actor IS NULL OR location_id = ANY (managed)) THEN
        of_locations := ARRAY[location_id];
        sees_walk := true;
    ELSIF actor IS NULL OR location_id IS NULL AND @extschema@._are_most_locations(managed) THEN
        everywhere := true;
    ELSE
        of_customers := own;
        of_staff := ARRAY[own_id];
        sees_walk := true;
        of_locations := CASE WHEN location_id IS NULL THEN managed END;
    END IF;
    EXECUTE @extschema@._page_query('bookings', 'staff_id', of_customers, of_staff, of_locations, everywhere,
            't.start_at >= $6',
            CASE WHEN after IS NOT NULL THEN '(t.start_at, t.id) > ($7, $8)' END,
            CASE WHEN during IS NOT NULL THEN 't.start_at <= coalesce(upper($9), ''infinity'') AND t.during && $9' END,
            CASE WHEN location_id IS NOT NULL THEN 't.location_id = $10' END,
            CASE WHEN customer_id IS NOT NULL THEN 't.customer_id = $11' END,
            CASE WHEN staff_id IS NOT NULL THEN 't.staff_id = $12' END,
            CASE WHEN NOT sees_walk
                     THEN '(t.customer_id = ANY ($13) OR t.staff_id = $14 OR t.location_id = ANY ($15))' END)
        INTO page
        USING of_customers, of_staff, of_locations, wanted, max_rows, first_start, last_start, after, during,
        location_id, customer_id, staff_id, own, own_id, managed;
    PERFORM @extschema@._log_reads('booking', page);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_bookings(page) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.list_bookings(uuid, uuid, uuid, text[], tstzrange, uuid, integer) IS
    'The bookings that the actor may see, by start: customers their own, staff theirs, managers those of their '
    'locations. The next page starts after the last booking_id.';

CREATE FUNCTION @extschema@.get_booking_history(booking_id uuid, after_seq integer DEFAULT 0,
                                                max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, changed_by usher.user_reference, reason_code text,
                   notes text, changed_at timestamptz, version integer)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = get_booking_history.booking_id;
    IF NOT coalesce(@extschema@._sees(booking), false) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    END IF;
    PERFORM @extschema@._log_reads('booking', ARRAY[get_booking_history.booking_id]);
    RETURN QUERY
        SELECT h.seq, h.from_status, h.to_status, h.changed_by, h.reason_code, h.notes, h.changed_at, h.version
        FROM usher.history('@extschema@.bookings'::regclass, booking_id, after_seq, max_rows) AS h;
END
$$;
COMMENT ON FUNCTION @extschema@.get_booking_history(uuid, integer, integer) IS
    'Every status a booking had: who changed it, when and why.';

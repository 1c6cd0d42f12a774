-- What makes an appointment right, and how a booking and its appointments follow each other.

CREATE FUNCTION @extschema@._complete_appointment() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    booking @extschema@.bookings;
    is_placed boolean;
BEGIN
    IF usher._is_restoring() THEN
        RETURN NEW;
    END IF;
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = NEW.booking_id FOR UPDATE;
    IF booking.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', NEW.booking_id));
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NOT booking.by_appointment THEN
            PERFORM usher.raise_error('invalid_argument', 'the service of this booking is not given by appointment',
                jsonb_build_object('booking_id', booking.id));
        ELSIF booking.status NOT IN ('pending', 'confirmed', 'in_progress') THEN
            PERFORM usher.raise_error('illegal_transition',
                format('a booking that is %s takes no appointment', booking.status),
                jsonb_build_object('booking_id', booking.id, 'status', booking.status));
        END IF;
        NEW.customer_id := booking.customer_id;
        NEW.location_id := booking.location_id;
        NEW.buffer_before := booking.buffer_before;
        NEW.buffer_after := booking.buffer_after;
        NEW.customer_exclusive := booking.customer_exclusive;
        NEW.needs_staff := booking.needs_staff;
        NEW.overbooked := booking.overbooked;
        NEW.end_at := coalesce(NEW.end_at, NEW.start_at + booking.duration);
        NEW.created_by := usher.actor_id();
        NEW.created_at := now();
        NEW.version := 1;
        is_placed := true;
    ELSE
        IF NEW.id <> OLD.id OR NEW.booking_id <> OLD.booking_id OR NEW.customer_id <> OLD.customer_id
            OR NEW.location_id <> OLD.location_id THEN
            PERFORM usher.raise_error('invalid_argument',
                'booking, customer and location of an appointment cannot change',
                jsonb_build_object('appointment_id', OLD.id));
        END IF;
        is_placed := NEW.start_at <> OLD.start_at OR NEW.end_at <> OLD.end_at
            OR (NEW.practitioner_id IS NOT NULL AND NEW.practitioner_id IS DISTINCT FROM OLD.practitioner_id);
        IF is_placed AND OLD.status <> 'scheduled' THEN
            PERFORM usher.raise_error('illegal_transition',
                'only a scheduled appointment can be moved or given to somebody else',
                jsonb_build_object('appointment_id', OLD.id, 'status', OLD.status));
        END IF;
        IF NEW.status <> OLD.status THEN
            CASE NEW.status
                WHEN 'arrived' THEN NEW.arrived_at := clock_timestamp();
                WHEN 'in_progress' THEN NEW.started_at := clock_timestamp();
                WHEN 'completed' THEN NEW.completed_at := clock_timestamp();
                WHEN 'cancelled' THEN NEW.cancelled_at := clock_timestamp();
                ELSE NULL;
            END CASE;
        END IF;
    END IF;
    IF is_placed THEN
        IF NEW.start_at IS NULL OR NOT isfinite(NEW.start_at) OR NOT isfinite(NEW.end_at) OR NEW.end_at <= NEW.start_at
            OR NEW.end_at - NEW.start_at > interval '168 hours' THEN
            PERFORM usher.raise_error('invalid_argument', 'an appointment must end after it starts, within 168 hours',
                jsonb_build_object('argument', 'during'));
        END IF;
        IF NEW.practitioner_id IS NOT NULL THEN
            PERFORM @extschema@._lock_staff(NEW.location_id, booking.service_id, NEW.practitioner_id, NEW.start_at,
                                            NEW.end_at, NEW.buffer_before, NEW.buffer_after);
        END IF;
        IF NOT @extschema@._is_open(NEW.location_id, NEW.start_at, NEW.end_at) THEN
            PERFORM usher.raise_error('outside_hours', 'location is not open during the whole appointment',
                jsonb_build_object('rule', 'location_hours', 'location_id', NEW.location_id));
        END IF;
    END IF;
    NEW.occupies := NEW.status IN ('scheduled', 'arrived', 'in_progress') AND booking.occupies;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._complete_appointment() IS
    'Row trigger of appointments: takes what the booking says, checks hours and practitioner.';

-- The booking follows its appointments ...
CREATE FUNCTION @extschema@._follow_appointment() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current_status text;
    reason text;
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    END IF;
    SELECT b.status INTO current_status FROM @extschema@.bookings AS b WHERE b.id = NEW.booking_id;
    IF NEW.status = 'in_progress' AND current_status = 'confirmed' THEN
        UPDATE @extschema@.bookings AS b SET status = 'in_progress' WHERE b.id = NEW.booking_id;
    ELSIF NEW.status IN ('completed', 'cancelled', 'no_show')
          AND current_status IN ('pending', 'confirmed', 'in_progress')
        AND NOT EXISTS (SELECT FROM @extschema@.appointments AS a
            WHERE a.booking_id = NEW.booking_id AND a.status IN ('scheduled', 'arrived', 'in_progress')) THEN
        IF EXISTS (SELECT FROM @extschema@.appointments AS a
                   WHERE a.booking_id = NEW.booking_id AND a.status = 'completed') THEN
            UPDATE @extschema@.bookings AS b
            SET status = 'completed' WHERE b.id = NEW.booking_id AND b.status = 'in_progress';
        ELSE
            reason := CASE NEW.status
                          WHEN 'no_show' THEN 'no_show' ELSE coalesce(NEW.cancellation_reason, 'other') END;
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = reason,
                    refund_due_minor = CASE WHEN b.paid_at IS NULL OR reason = 'no_show' THEN 0
                                            ELSE b.price_minor - b.discount_minor END
                WHERE b.id = NEW.booking_id;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._follow_appointment() IS
    'Row trigger of appointments: the first to start starts the booking, the last to end ends it.';

-- ... and appointments their booking.
CREATE FUNCTION @extschema@._follow_booking() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    ELSIF NEW.status = 'cancelled' THEN
        UPDATE @extschema@.appointments AS a SET status = 'cancelled', cancellation_reason = NEW.cancellation_reason
            WHERE a.booking_id = NEW.id AND a.status IN ('scheduled', 'arrived', 'in_progress');
    ELSIF NEW.occupies <> OLD.occupies THEN
        UPDATE @extschema@.appointments AS a SET occupies = NEW.occupies -- the row trigger decides
            WHERE a.booking_id = NEW.id AND a.status IN ('scheduled', 'arrived', 'in_progress');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._follow_booking() IS
    'Row trigger of bookings by appointment: their appointments are cancelled, or take their time, with them.';

CREATE FUNCTION @extschema@._describe_appointments(appointment_ids uuid[])
    RETURNS SETOF @extschema@.appointment_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(DISTINCT person) INTO people
        FROM @extschema@.appointments AS a JOIN @extschema@.customers AS c ON c.id = a.customer_id
            CROSS JOIN LATERAL (VALUES (a.practitioner_id), (c.user_id)) AS who (person)
        WHERE a.id = ANY (appointment_ids) AND person IS NOT NULL;
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT a.id, a.booking_id, a.status, b.status, a.start_at, a.end_at, a.start_at AT TIME ZONE l.time_zone,
           a.customer_id, CASE WHEN c.user_id IS NULL THEN ROW(NULL, c.email, NULL, c.name)::usher.user_reference
                               ELSE k.reference END,
           a.practitioner_id, p.reference, b.service_name, a.location_id, l.name, a.notes, a.cancellation_reason,
           a.arrived_at, a.started_at, a.completed_at, a.cancelled_at, a.created_at, a.updated_at, a.version
    FROM unnest(appointment_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.appointments AS a ON a.id = wanted.id
        JOIN @extschema@.bookings AS b ON b.id = a.booking_id
        JOIN @extschema@.customers AS c ON c.id = a.customer_id
        JOIN @extschema@.locations AS l ON l.id = a.location_id
        LEFT JOIN known AS k ON k.id = c.user_id
        LEFT JOIN known AS p ON p.id = a.practitioner_id
    ORDER BY wanted.position;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_appointments(uuid[]) IS
    'The details of appointments in the order of the array, with one look-up of users.';

CREATE FUNCTION @extschema@._sees_appointment(appointment @extschema@.appointments) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.current_user_id('booking:read');
BEGIN
    IF (appointment).id IS NULL THEN
        RETURN false;
    ELSIF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('booking:read');
        RETURN true;
    END IF;
    RETURN coalesce((appointment).practitioner_id = actor, false)
        OR (appointment).customer_id = ANY (@extschema@._own_customers())
        OR (appointment).location_id = ANY (@extschema@._handled_locations());
END
$$;
COMMENT ON FUNCTION @extschema@._sees_appointment(@extschema@.appointments) IS
    'Whether the actor may know of the appointment: its patient, its practitioner, who handles its location.';

CREATE FUNCTION @extschema@.schedule_appointment(booking_id uuid, practitioner_id uuid DEFAULT NULL,
                                                 during tstzrange DEFAULT NULL, notes text DEFAULT NULL,
                                                 idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.appointment_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    known @extschema@.appointments;
    details @extschema@.appointment_details;
    made uuid;
    answer jsonb;
BEGIN
    IF booking_id IS NULL OR during IS NULL OR isempty(during) OR lower(during) IS NULL OR upper(during) IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id and during, a range with both ends, are needed',
            jsonb_build_object('argument', CASE WHEN booking_id IS NULL THEN 'booking_id' ELSE 'during' END));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'schedule_appointment', 'booking_id', booking_id,
        'practitioner_id', practitioner_id, 'during', during, 'notes', notes));
    IF answer IS NOT NULL THEN
        SELECT * INTO known FROM @extschema@.appointments AS a
        WHERE a.id = (answer ->> 'appointment_id')::uuid AND a.booking_id = schedule_appointment.booking_id;
        IF NOT @extschema@._sees_appointment(known) THEN
            PERFORM usher.raise_error('unknown_reference', 'appointment does not exist',
                                      jsonb_build_object('booking_id', booking_id));
        END IF;
        SELECT * INTO details FROM @extschema@._describe_appointments(ARRAY[known.id]);
        RETURN details;
    END IF;
    PERFORM @extschema@._lock_before_moving(ARRAY[booking_id], practitioner_id);
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = schedule_appointment.booking_id FOR UPDATE;
    IF booking.id IS NULL OR NOT (@extschema@._sees(booking)
        OR coalesce(booking.location_id = ANY (@extschema@._handled_locations()), false)) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    ELSIF NOT coalesce(
        @extschema@._handles(to_jsonb(booking) || jsonb_build_object('practitioner_id', booking.staff_id)), false) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "appointment:manage" is needed at this location',
            jsonb_build_object('permission', 'appointment:manage', 'location_id', booking.location_id));
    END IF;
    INSERT INTO @extschema@.appointments AS a (booking_id, practitioner_id, start_at, end_at, notes)
        VALUES (schedule_appointment.booking_id, coalesce(schedule_appointment.practitioner_id, booking.staff_id),
                lower(during), upper(during), schedule_appointment.notes)
        RETURNING a.id INTO made;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, jsonb_build_object('appointment_id', made));
    END IF;
    SELECT * INTO details FROM @extschema@._describe_appointments(ARRAY[made]);
    RETURN details;
END
$$;
COMMENT ON FUNCTION @extschema@.schedule_appointment(uuid, uuid, tstzrange, text, text) IS
    'A further session of a booking whose service is given by appointment; without practitioner_id with the staff '
    'member of the booking. For the practitioner, the front desk (appointment:manage) and managers of the location. '
    'Raises UB001 to UB003 and UB005 when it cannot be.';

CREATE FUNCTION @extschema@.transition_appointment(appointment_id uuid, to_status text, reason_code text DEFAULT NULL,
    notes text DEFAULT NULL, expected_version integer DEFAULT NULL) RETURNS @extschema@.appointment_status
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    appointment @extschema@.appointments;
    outcome @extschema@.appointment_status;
    violated text;
    reason text := reason_code;
BEGIN
    IF appointment_id IS NULL OR to_status IS NULL
        OR to_status NOT IN ('arrived', 'in_progress', 'completed', 'cancelled', 'no_show') THEN
        PERFORM usher.raise_error('invalid_argument',
            'appointment_id and to_status (arrived, in_progress, completed, cancelled or no_show) are needed',
            jsonb_build_object('argument', CASE WHEN appointment_id IS NULL THEN 'appointment_id'
                                                ELSE 'to_status' END));
    ELSIF reason_code IS NOT NULL
          AND (to_status <> 'cancelled' OR reason_code NOT IN ('customer_request', 'rejected', 'staff_unavailable',
        'location_closed', 'weather', 'entered_in_error', 'other')) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('"%s" is not a reason for "%s"', left(reason_code, 63), to_status),
            jsonb_build_object('argument', 'reason_code'));
    END IF;
    -- The booking first: whoever cancels it goes on to its appointments.
    PERFORM FROM @extschema@.bookings AS b WHERE b.id = (SELECT a.booking_id FROM @extschema@.appointments AS a
        WHERE a.id = transition_appointment.appointment_id) FOR UPDATE;
    SELECT * INTO appointment
    FROM @extschema@.appointments AS a WHERE a.id = transition_appointment.appointment_id FOR UPDATE;
    IF NOT @extschema@._sees_appointment(appointment) THEN
        PERFORM usher.raise_error('unknown_reference', 'appointment does not exist',
                                  jsonb_build_object('appointment_id', appointment_id));
    END IF;
    PERFORM @extschema@._check_version(appointment.version, expected_version, 'appointment', appointment_id);
    IF appointment.status = to_status THEN
        PERFORM usher.raise_error('illegal_transition', format('appointment is %s already', to_status),
            jsonb_build_object('id', appointment_id, 'from', to_status, 'to', to_status, 'rule', 'transition'));
    END IF;
    IF to_status = 'cancelled' AND reason IS NULL
        AND @extschema@._is_customer(to_jsonb(appointment), 'appointment:manage') THEN
        reason := 'customer_request';
    END IF;
    BEGIN
        UPDATE @extschema@.appointments AS a
            SET status = to_status, cancellation_reason = coalesce(reason, a.cancellation_reason),
                notes = coalesce(transition_appointment.notes, a.notes)
            WHERE a.id = transition_appointment.appointment_id;
    EXCEPTION
        WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
            IF violated <> 'appointments_practitioner_in_progress_idx' THEN
                RAISE;
            END IF;
            PERFORM usher.raise_error('staff_not_eligible', 'practitioner has another appointment in progress',
                jsonb_build_object('rule', 'one_in_progress', 'staff_id', appointment.practitioner_id));
    END;
    SELECT a.id, a.status, b.status, a.version INTO outcome
        FROM @extschema@.appointments AS a JOIN @extschema@.bookings AS b ON b.id = a.booking_id
        WHERE a.id = transition_appointment.appointment_id;
    RETURN outcome;
END
$$;
COMMENT ON FUNCTION @extschema@.transition_appointment(uuid, text, text, text, integer) IS
    'Moves an appointment along: arrived, in_progress, completed, cancelled (with a reason, patients their own before '
    'the cut-off), no_show (after the start). The first to start starts its booking, the last to end ends it.';

CREATE FUNCTION @extschema@.list_appointments(practitioner_id uuid DEFAULT NULL, customer_id uuid DEFAULT NULL,
    during tstzrange DEFAULT NULL, statuses text[] DEFAULT NULL, after uuid DEFAULT NULL, max_rows integer DEFAULT 100,
    location_id uuid DEFAULT NULL, booking_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.appointment_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off -- each walk goes along its index until the page is full, however few rows are expected
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    own_id CONSTANT uuid := usher.current_user_id('booking:read');
    own CONSTANT uuid[] := @extschema@._own_customers();
    handled CONSTANT uuid[] := @extschema@._handled_locations();
    wanted CONSTANT text[] := ARRAY(SELECT DISTINCT s FROM unnest(coalesce(statuses,
        '{scheduled,arrived,in_progress,completed,cancelled,no_show}')) AS s);
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
        WHERE s IS NULL OR s NOT IN ('scheduled', 'arrived', 'in_progress', 'completed', 'cancelled', 'no_show')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of appointments',
            jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT a.start_at INTO last_start
        FROM @extschema@.appointments AS a WHERE a.id = after AND @extschema@._sees_appointment(a);
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'appointment does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    -- What to walk along: what is asked for, or else what the actor sees. A booking has few, all of one customer.
    IF booking_id IS NOT NULL THEN
        of_customers := ARRAY(SELECT b.customer_id FROM @extschema@.bookings AS b
                              WHERE b.id = list_appointments.booking_id);
    ELSIF customer_id IS NOT NULL THEN
        of_customers := ARRAY[customer_id];
    ELSIF practitioner_id IS NOT NULL THEN
        of_staff := ARRAY[practitioner_id];
    ELSIF location_id IS NOT NULL AND (actor IS NULL OR location_id = ANY (handled)) THEN
        of_locations := ARRAY[location_id];
        sees_walk := true;
    ELSIF actor IS NULL OR location_id IS NULL AND @extschema@._are_most_locations(handled) THEN
        everywhere := true;
    ELSE
        of_customers := own;
        of_staff := ARRAY[own_id];
        sees_walk := true;
        of_locations := CASE WHEN location_id IS NULL THEN handled END;
    END IF;
    EXECUTE @extschema@._page_query('appointments', 'practitioner_id', of_customers, of_staff, of_locations,
            everywhere, 't.start_at >= $6',
            CASE WHEN after IS NOT NULL THEN '(t.start_at, t.id) > ($7, $8)' END,
            CASE WHEN during IS NOT NULL THEN 't.start_at <= coalesce(upper($9), ''infinity'') AND t.during && $9' END,
            CASE WHEN location_id IS NOT NULL THEN 't.location_id = $10' END,
            CASE WHEN customer_id IS NOT NULL THEN 't.customer_id = $11' END,
            CASE WHEN practitioner_id IS NOT NULL THEN 't.practitioner_id = $12' END,
            CASE WHEN booking_id IS NOT NULL THEN 't.booking_id = $13' END,
            CASE WHEN NOT sees_walk
                     THEN '(t.customer_id = ANY ($14) OR t.practitioner_id = $15 OR t.location_id = ANY ($16))' END)
        INTO page
        USING of_customers, of_staff, of_locations, wanted, max_rows, first_start, last_start, after, during,
        location_id, customer_id, practitioner_id, booking_id, own, own_id, handled;
    PERFORM @extschema@._log_reads('appointment', page);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_appointments(page) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.list_appointments(uuid, uuid, tstzrange, text[], uuid, integer, uuid, uuid) IS
    'The appointments that the actor may see, by start: patients their own, practitioners theirs, front desk and '
    'managers those of their locations. The next page starts after the last appointment_id.';

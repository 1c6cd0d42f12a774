-- What makes an appointment right, and how a booking and its appointments follow each other.

CREATE FUNCTION @extschema@._complete_appointment() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist', jsonb_build_object('booking_id', NEW.booking_id));
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NOT booking.by_appointment THEN
            PERFORM usher.raise_error('invalid_argument', 'the service of this booking is not given by appointment',
                jsonb_build_object('booking_id', booking.id));
        ELSIF booking.status NOT IN ('pending', 'confirmed', 'in_progress') THEN
            PERFORM usher.raise_error('illegal_transition', format('a booking that is %s takes no appointment', booking.status),
                jsonb_build_object('booking_id', booking.id, 'status', booking.status));
        END IF;
        NEW.customer_id := booking.customer_id;
        NEW.location_id := booking.location_id;
        NEW.buffer_before := booking.buffer_before;
        NEW.buffer_after := booking.buffer_after;
        NEW.customer_exclusive := booking.customer_exclusive;
        NEW.overbooked := booking.overbooked;
        NEW.end_at := coalesce(NEW.end_at, NEW.start_at + booking.duration);
        NEW.created_by := usher.current_user_id();
        NEW.created_at := now();
        NEW.version := 1;
        is_placed := true;
    ELSE
        IF NEW.id <> OLD.id OR NEW.booking_id <> OLD.booking_id OR NEW.customer_id <> OLD.customer_id
            OR NEW.location_id <> OLD.location_id THEN
            PERFORM usher.raise_error('invalid_argument', 'booking, customer and location of an appointment cannot change',
                jsonb_build_object('appointment_id', OLD.id));
        END IF;
        is_placed := NEW.start_at <> OLD.start_at OR NEW.end_at <> OLD.end_at
            OR (NEW.practitioner_id IS NOT NULL AND NEW.practitioner_id IS DISTINCT FROM OLD.practitioner_id);
        IF is_placed AND OLD.status <> 'scheduled' THEN
            PERFORM usher.raise_error('illegal_transition', 'only a scheduled appointment can be moved or given to somebody else',
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
            PERFORM @extschema@._lock_staff(NEW.location_id, booking.service_id, NEW.practitioner_id, NEW.start_at, NEW.end_at,
                NEW.buffer_before, NEW.buffer_after);
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

CREATE TRIGGER complete_appointment BEFORE INSERT OR UPDATE ON @extschema@.appointments
    FOR EACH ROW EXECUTE FUNCTION @extschema@._complete_appointment();
CREATE TRIGGER usher_claim_inserted AFTER INSERT ON @extschema@.appointments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('appointment');
CREATE TRIGGER usher_claim_updated AFTER UPDATE ON @extschema@.appointments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('appointment');

-- The booking follows its appointments ...
CREATE FUNCTION @extschema@._follow_appointment() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
    ELSIF NEW.status IN ('completed', 'cancelled', 'no_show') AND current_status IN ('pending', 'confirmed', 'in_progress')
        AND NOT EXISTS (SELECT FROM @extschema@.appointments AS a
            WHERE a.booking_id = NEW.booking_id AND a.status IN ('scheduled', 'arrived', 'in_progress')) THEN
        IF EXISTS (SELECT FROM @extschema@.appointments AS a WHERE a.booking_id = NEW.booking_id AND a.status = 'completed') THEN
            UPDATE @extschema@.bookings AS b SET status = 'completed' WHERE b.id = NEW.booking_id AND b.status = 'in_progress';
        ELSE
            reason := CASE NEW.status WHEN 'no_show' THEN 'no_show' ELSE coalesce(NEW.cancellation_reason, 'other') END;
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = reason,
                    refund_due_minor = CASE WHEN b.paid_at IS NULL OR reason = 'no_show' THEN 0 ELSE b.price_minor END
                WHERE b.id = NEW.booking_id;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._follow_appointment() IS 'Row trigger of appointments: the first to start starts the booking, the last to end ends it.';
CREATE TRIGGER follow_appointment AFTER UPDATE ON @extschema@.appointments
    FOR EACH ROW WHEN (NEW.status IS DISTINCT FROM OLD.status) EXECUTE FUNCTION @extschema@._follow_appointment();

-- ... and appointments their booking.
CREATE FUNCTION @extschema@._follow_booking() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
COMMENT ON FUNCTION @extschema@._follow_booking() IS 'Row trigger of bookings by appointment: their appointments are cancelled, or take their time, with them.';
CREATE TRIGGER follow_booking AFTER UPDATE ON @extschema@.bookings
    FOR EACH ROW WHEN (NEW.by_appointment AND NEW.status IS DISTINCT FROM OLD.status) EXECUTE FUNCTION @extschema@._follow_booking();

-- The status machine of bookings. Core's trigger walks it for every writer; the guards here add what permissions
-- cannot say: whose booking it is, where, and when. A guard answers NULL, or the reason why not. What the system does
-- by itself (a hold that ran out, a customer who is gone) has transitions of its own whose guards test the fact, so
-- that no caller needs extra rights for it. Where several transitions join the same statuses, the first one gives the
-- reason of a refusal: it is the one that people ask for.

CREATE FUNCTION @extschema@._manages(booking jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner_id uuid;
BEGIN
    IF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('booking:manage'); -- raises unless the database role itself is trusted
        RETURN true;
    END IF;
    IF NOT @extschema@._may('booking:manage', (booking ->> 'location_id')::uuid) THEN
        RETURN false;
    END IF;
    SELECT c.user_id INTO owner_id FROM @extschema@.customers AS c WHERE c.id = (booking ->> 'customer_id')::uuid;
    RETURN owner_id IS NULL OR usher.can_manage(owner_id, permission => 'booking:manage');
END
$$;
COMMENT ON FUNCTION @extschema@._manages(jsonb) IS
    'Whether the actor manages the location of a booking and, if the customer has an account, that customer.';

CREATE FUNCTION @extschema@._is_customer(booking jsonb, permission text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM @extschema@.customers AS c
        WHERE c.id = (booking ->> 'customer_id')::uuid AND c.user_id = usher.current_user_id(permission));
END
$$;
COMMENT ON FUNCTION @extschema@._is_customer(jsonb, text) IS
    'Whether the booking is the actor''s own as a customer; an API key needs the permission for that.';

CREATE FUNCTION @extschema@._user_is_gone(user_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reference usher.user_reference;
BEGIN
    reference := usher.lock_user_reference(user_id);
    RETURN (reference).id IS NULL;
EXCEPTION
    WHEN SQLSTATE 'US005' THEN
        RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._user_is_gone(uuid) IS 'Whether the user no longer exists or is not active.';

CREATE FUNCTION @extschema@._is_too_late(booking jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutoff interval;
BEGIN
    SELECT s.cancel_cutoff INTO cutoff FROM @extschema@.services AS s WHERE s.id = (booking ->> 'service_id')::uuid;
    RETURN clock_timestamp() > (booking ->> 'start_at')::timestamptz - cutoff;
END
$$;
COMMENT ON FUNCTION @extschema@._is_too_late(jsonb) IS
    'Whether the customer may no longer cancel or move the booking.';

CREATE FUNCTION @extschema@._payment_handler_runs() RETURNS boolean
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_booking_payment_handler_runs';
COMMENT ON FUNCTION @extschema@._payment_handler_runs() IS
    'Whether the handler of payment.completed runs in this backend now.';

CREATE FUNCTION @extschema@._lacks_staff(booking jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (booking ->> 'needs_staff')::boolean AND booking ->> 'staff_id' IS NULL
        AND NOT EXISTS (SELECT FROM @extschema@.appointments AS a WHERE a.booking_id = (booking ->> 'id')::uuid
            AND a.practitioner_id IS NOT NULL AND a.status = 'scheduled');
END
$$;
COMMENT ON FUNCTION @extschema@._lacks_staff(jsonb) IS 'Whether the service needs somebody and nobody is there yet.';

CREATE FUNCTION @extschema@._guard_confirm(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._hold_is_over(old ->> 'status', (old ->> 'hold_expires_at')::timestamptz) THEN
        RETURN 'hold_expired';
    ELSIF @extschema@._lacks_staff(new) THEN
        RETURN 'needs_staff';
    ELSIF (new ->> 'staff_id')::uuid = usher.current_user_id('booking:confirm')
          AND EXISTS (SELECT FROM @extschema@.services AS s
        WHERE s.id = (new ->> 'service_id')::uuid AND s.staff_may_confirm) THEN
        RETURN NULL; -- what the service allows needs no permission
    ELSIF NOT @extschema@._manages(new) THEN
        RETURN 'not_manager_of_location';
    ELSIF usher.actor_id() IS NOT NULL
          AND NOT usher.has_permission('booking:confirm', new ->> 'location_id') THEN
        RETURN 'permission booking:confirm is missing';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_confirm(jsonb, jsonb) IS
    'Managers confirm; the assigned staff member where the service allows it.';

CREATE FUNCTION @extschema@._guard_auto_confirm(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (old ->> 'auto_confirm')::boolean THEN
        RETURN 'not_automatic';
    ELSIF @extschema@._hold_is_over(old ->> 'status', (old ->> 'hold_expires_at')::timestamptz) THEN
        RETURN 'hold_expired';
    ELSIF @extschema@._lacks_staff(new) THEN
        RETURN 'needs_staff';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_auto_confirm(jsonb, jsonb) IS
    'Services may confirm their bookings by themselves.';

CREATE FUNCTION @extschema@._guard_paid(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@._payment_handler_runs()
       OR new ->> 'paid_at' IS NULL AND (new ->> 'prepay_minor')::bigint = 0 THEN
        RETURN 'not_paid'; -- the handler has looked at the hold, once: asked again, it might have run out meanwhile
    ELSIF @extschema@._lacks_staff(new) THEN
        RETURN 'needs_staff';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_paid(jsonb, jsonb) IS
    'Payment in full, or of the deposit, confirms; only inside the handler of payment.completed.';

CREATE FUNCTION @extschema@._guard_start(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    early interval;
BEGIN
    IF (new ->> 'by_appointment')::boolean THEN
        RETURN 'start_an_appointment';
    ELSIF (new ->> 'needs_staff')::boolean AND new ->> 'staff_id' IS NULL THEN
        RETURN 'needs_staff';
    END IF;
    SELECT s.early_start INTO early FROM @extschema@.services AS s WHERE s.id = (new ->> 'service_id')::uuid;
    IF clock_timestamp() < (new ->> 'start_at')::timestamptz - early THEN
        RETURN 'too_early';
    ELSIF (new ->> 'staff_id')::uuid = usher.current_user_id('booking:start') OR @extschema@._manages(new) THEN
        RETURN NULL;
    END IF;
    RETURN 'not_assigned_to_you';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_start(jsonb, jsonb) IS
    'The assigned staff member or a manager starts, not too early.';

CREATE FUNCTION @extschema@._guard_complete(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (new ->> 'by_appointment')::boolean THEN
        RETURN 'complete_the_appointments';
    ELSIF (new ->> 'staff_id')::uuid = usher.current_user_id('booking:complete') OR @extschema@._manages(new) THEN
        RETURN NULL;
    END IF;
    RETURN 'not_assigned_to_you';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_complete(jsonb, jsonb) IS 'The assigned staff member or a manager completes.';

CREATE FUNCTION @extschema@._guard_cancel(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason CONSTANT text := new ->> 'cancellation_reason';
    has_begun CONSTANT boolean := clock_timestamp() >= (old ->> 'start_at')::timestamptz;
BEGIN
    IF reason = 'hold_expired' THEN
        RETURN 'hold_is_open';
    ELSIF reason = 'user_deleted' AND @extschema@._guard_withdraw(old, new) IS NULL THEN
        RETURN 'customer_is_gone'; -- by their own hand, perhaps: then nobody is left who could be asked what they may
    ELSIF reason = 'no_show' AND NOT has_begun THEN
        RETURN 'no_show_before_start';
    ELSIF @extschema@._manages(old) THEN
        RETURN CASE WHEN reason IS NULL THEN 'reason_is_missing' END;
    ELSIF @extschema@._is_customer(old, 'booking:cancel')
          AND coalesce(reason, '') NOT IN ('no_show', 'rejected', 'user_deleted') THEN
        RETURN CASE WHEN old ->> 'status' = 'confirmed' AND @extschema@._is_too_late(old) THEN 'too_late' END;
    ELSIF (old ->> 'staff_id')::uuid = usher.current_user_id('booking:cancel') AND reason = 'no_show'
          AND old ->> 'status' = 'confirmed' THEN
        RETURN NULL;
    END IF;
    RETURN 'not_your_booking';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_cancel(jsonb, jsonb) IS
    'Customers cancel their own before the cut-off, managers with a reason, the assigned staff member a customer '
    'who did not come.';

CREATE FUNCTION @extschema@._guard_abort(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT @extschema@._manages(old) THEN
        RETURN 'not_manager_of_location';
    ELSIF new ->> 'cancellation_reason' IS NULL OR coalesce(new ->> 'status_notes', '') = '' THEN
        RETURN 'notes_are_missing';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_abort(jsonb, jsonb) IS
    'Work that has begun is cancelled by a manager only, with notes.';

CREATE FUNCTION @extschema@._guard_expire(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF new ->> 'cancellation_reason' = 'hold_expired'
        AND @extschema@._hold_is_over(old ->> 'status', (old ->> 'hold_expires_at')::timestamptz) THEN
        RETURN NULL;
    END IF;
    RETURN 'hold_is_open';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_expire(jsonb, jsonb) IS
    'A hold that ran out is cancelled by whoever notices it.';

CREATE FUNCTION @extschema@._guard_withdraw(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner_id uuid;
    may_come boolean;
BEGIN
    IF new ->> 'cancellation_reason' = 'user_deleted' THEN
        SELECT c.user_id, c.is_active INTO owner_id, may_come
        FROM @extschema@.customers AS c WHERE c.id = (old ->> 'customer_id')::uuid;
        IF (CASE WHEN owner_id IS NULL THEN NOT may_come ELSE @extschema@._user_is_gone(owner_id) END) THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN 'customer_is_here';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_withdraw(jsonb, jsonb) IS
    'Bookings of a deleted user are cancelled with the deletion.';

CREATE FUNCTION @extschema@._guard_appointments(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open_ones bigint;
    running bigint;
    done bigint;
    ended bigint;
BEGIN
    IF NOT (new ->> 'by_appointment')::boolean THEN
        RETURN 'no_appointments';
    END IF;
    SELECT count(*) FILTER (WHERE a.status IN ('scheduled', 'arrived', 'in_progress')),
            count(*) FILTER (WHERE a.status = 'in_progress'), count(*) FILTER (WHERE a.status = 'completed'),
            count(*) FILTER (WHERE a.status IN ('cancelled', 'no_show'))
        INTO open_ones, running, done, ended
        FROM @extschema@.appointments AS a WHERE a.booking_id = (new ->> 'id')::uuid;
    RETURN CASE new ->> 'status'
        WHEN 'in_progress' THEN CASE WHEN running = 0 THEN 'no_appointment_has_begun' END
        WHEN 'completed' THEN CASE WHEN open_ones > 0 OR done = 0 THEN 'appointments_are_open' END
        ELSE CASE WHEN open_ones > 0 OR done > 0 OR ended = 0 THEN 'appointments_are_open' END
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._guard_appointments(jsonb, jsonb) IS
    'A booking by appointment follows what its appointments are.';

CREATE FUNCTION @extschema@._guard_reschedule(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._hold_is_over(old ->> 'status', (old ->> 'hold_expires_at')::timestamptz) THEN
        RETURN 'hold_expired';
    ELSIF old ->> 'staff_id' IS NOT NULL AND new ->> 'staff_id' IS NULL THEN
        RETURN 'staff_member_is_here'; -- see unassign
    ELSIF @extschema@._manages(old) THEN
        RETURN NULL;
    ELSIF @extschema@._is_customer(old, 'booking:reschedule') THEN
        IF old ->> 'staff_id' IS DISTINCT FROM new ->> 'staff_id' THEN
            RETURN 'staff_is_chosen_by_managers';
        END IF;
        RETURN CASE WHEN @extschema@._is_too_late(old) THEN 'too_late' END;
    END IF;
    RETURN 'not_your_booking';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_reschedule(jsonb, jsonb) IS
    'Customers move their own booking before the cut-off, managers also give it to somebody else.';

CREATE FUNCTION @extschema@._guard_unassign(old jsonb, new jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old ->> 'staff_id' IS NOT NULL AND new ->> 'staff_id' IS NULL AND old -> 'start_at' = new -> 'start_at'
        AND NOT EXISTS (SELECT FROM @extschema@.location_staff AS ls
                        WHERE ls.location_id = (old ->> 'location_id')::uuid
            AND ls.staff_id = (old ->> 'staff_id')::uuid AND ls.is_active) THEN
        RETURN NULL;
    END IF;
    RETURN 'staff_member_is_here';
END
$$;
COMMENT ON FUNCTION @extschema@._guard_unassign(jsonb, jsonb) IS
    'Bookings of somebody who no longer works at the location are left without staff.';

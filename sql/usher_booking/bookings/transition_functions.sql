CREATE FUNCTION @extschema@._sees(booking @extschema@.bookings) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.current_user_id('booking:read');
BEGIN
    IF (booking).id IS NULL THEN
        RETURN false;
    ELSIF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('booking:read');
        RETURN true;
    END IF;
    RETURN (booking).staff_id = actor
        OR EXISTS (SELECT FROM @extschema@.customers AS c WHERE c.id = (booking).customer_id AND c.user_id = actor)
        OR @extschema@._may('booking:manage', (booking).location_id);
END
$$;
COMMENT ON FUNCTION @extschema@._sees(@extschema@.bookings) IS
    'Whether the actor may know of the booking: its customer, its staff member, managers of its location.';

CREATE FUNCTION @extschema@._refund_share(booking @extschema@.bookings) RETURNS smallint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    service @extschema@.services;
BEGIN
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = (booking).service_id;
    RETURN CASE service.refund_policy
        WHEN 'none' THEN 0
        WHEN 'by_notice' THEN CASE WHEN clock_timestamp() <= (booking).start_at - service.refund_notice THEN 100
                                   ELSE service.refund_percent END
        ELSE 100 END;
END
$$;
COMMENT ON FUNCTION @extschema@._refund_share(@extschema@.bookings) IS
    'What share of what was paid a customer who cancels now gets back, by the policy of the service, in percent.';

CREATE FUNCTION @extschema@._lock_booking(booking_id uuid, expected_version integer) RETURNS @extschema@.bookings
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
BEGIN
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = _lock_booking.booking_id FOR UPDATE;
    -- The answer is the same for a booking that does not exist and for one of somebody else: ids cannot be probed.
    IF NOT coalesce(@extschema@._sees(booking), false) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    END IF;
    PERFORM @extschema@._check_version(booking.version, expected_version, 'booking', booking_id);
    RETURN booking;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_booking(uuid, integer) IS
    'The booking, locked, if the actor may know of it and has seen its latest version.';

-- Deleting a user or closing a location locks those first and their bookings then: so does whatever takes guards.
CREATE FUNCTION @extschema@._lock_before_moving(booking_ids uuid[], staff_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    locations uuid[];
    people uuid[];
    person uuid;
BEGIN
    SELECT array_agg(DISTINCT b.location_id), array_agg(DISTINCT p.id) INTO locations, people
        FROM @extschema@.bookings AS b JOIN @extschema@.customers AS c ON c.id = b.customer_id
            CROSS JOIN LATERAL (VALUES (b.staff_id), (_lock_before_moving.staff_id), (c.user_id)) AS p (id)
        WHERE b.id = ANY (booking_ids);
    PERFORM FROM @extschema@.locations AS l WHERE l.id = ANY (locations) ORDER BY l.id FOR SHARE;
    FOR person IN SELECT p FROM unnest(people) AS p WHERE p IS NOT NULL ORDER BY p LOOP
        BEGIN
            PERFORM usher.lock_user_reference(person, false);
        EXCEPTION
            WHEN SQLSTATE 'US005' THEN
                NULL; -- the check of the booking names it
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_before_moving(uuid[], uuid) IS
    'Locks the locations, the staff and the customers of bookings, before the bookings.';

CREATE FUNCTION @extschema@._lock_with_guards(booking_id uuid) RETURNS boolean
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_lock_with_guards';
COMMENT ON FUNCTION @extschema@._lock_with_guards(uuid) IS
    'Takes the guards of a booking, then locks its row, so that whoever wants its place when the hold is over waits '
    'until it is decided. False when there is no such booking.';

CREATE FUNCTION @extschema@._check_hold(booking @extschema@.bookings) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF @extschema@._hold_is_over((booking).status, (booking).hold_expires_at) THEN
        PERFORM usher.raise_error('hold_expired', 'the hold of this booking has run out',
            jsonb_build_object('booking_id', (booking).id, 'hold_expires_at', (booking).hold_expires_at));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_hold(@extschema@.bookings) IS
    'Raises UB007 for a pending booking whose hold is over.';

-- To the machine an UPDATE that leaves the status as it is changes nothing; to a caller it is a second attempt.
CREATE FUNCTION @extschema@._check_not_yet(booking @extschema@.bookings, to_status text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (booking).status = to_status THEN
        PERFORM usher.raise_error('illegal_transition', format('booking is %s already', to_status),
            jsonb_build_object('id', (booking).id, 'from', to_status, 'to', to_status, 'rule', 'transition'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_not_yet(@extschema@.bookings, text) IS
    'Raises US001 for a booking that has this status already.';

CREATE FUNCTION @extschema@._advance(action text, booking_id uuid, to_status text, notes text,
                                     expected_version integer, idempotency_key text)
    RETURNS @extschema@.booking_status
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    answer jsonb;
    outcome @extschema@.booking_status;
    violated text;
BEGIN
    IF booking_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id must not be null',
                                  jsonb_build_object('argument', 'booking_id'));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', action, 'booking_id', booking_id, 'notes', notes));
    IF answer IS NOT NULL THEN
        outcome := jsonb_populate_record(NULL::@extschema@.booking_status, answer);
        outcome.replayed := true;
        RETURN outcome;
    END IF;
    IF to_status = 'confirmed' THEN
        PERFORM @extschema@._lock_before_moving(ARRAY[booking_id], NULL);
        PERFORM @extschema@._lock_with_guards(booking_id);
    END IF;
    booking := @extschema@._lock_booking(booking_id, expected_version);
    PERFORM @extschema@._check_not_yet(booking, to_status);
    IF to_status = 'confirmed' THEN
        PERFORM @extschema@._check_hold(booking);
    END IF;
    BEGIN
        UPDATE @extschema@.bookings AS b SET status = to_status, status_notes = coalesce(notes, b.status_notes)
            WHERE b.id = _advance.booking_id
            RETURNING b.id, b.status, b.version, false INTO outcome;
    EXCEPTION
        WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
            IF violated <> 'bookings_staff_in_progress_idx' THEN
                RAISE;
            END IF;
            PERFORM usher.raise_error('staff_not_eligible', 'staff member has another booking in progress',
                jsonb_build_object('rule', 'one_in_progress', 'staff_id', booking.staff_id));
    END;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(outcome));
    END IF;
    RETURN outcome;
END
$$;
COMMENT ON FUNCTION @extschema@._advance(text, uuid, text, text, integer, text) IS
    'The common part of confirm, start and complete.';

CREATE FUNCTION @extschema@.confirm_booking(booking_id uuid, notes text DEFAULT NULL,
                                            expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.booking_status
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._advance('confirm_booking', booking_id, 'confirmed', notes, expected_version, idempotency_key);
END
$$;
COMMENT ON FUNCTION @extschema@.confirm_booking(uuid, text, integer, text) IS
    'Confirms a pending booking. For managers of the location, and for its staff member where the service allows it.';

CREATE FUNCTION @extschema@.start_booking(booking_id uuid, notes text DEFAULT NULL,
                                          expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.booking_status
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._advance('start_booking', booking_id, 'in_progress', notes, expected_version, idempotency_key);
END
$$;
COMMENT ON FUNCTION @extschema@.start_booking(uuid, text, integer, text) IS
    'Begins work on a confirmed booking. For its staff member, who can have one in progress at a time, and for '
    'managers of the location.';

CREATE FUNCTION @extschema@.complete_booking(booking_id uuid, notes text DEFAULT NULL,
                                             expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.booking_status
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._advance('complete_booking', booking_id, 'completed', notes, expected_version, idempotency_key);
END
$$;
COMMENT ON FUNCTION @extschema@.complete_booking(uuid, text, integer, text) IS
    'Ends work on a booking in progress. For its staff member and for managers of the location.';

CREATE FUNCTION @extschema@.cancel_booking(booking_id uuid, reason_code text DEFAULT NULL, notes text DEFAULT NULL,
    expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS @extschema@.booking_cancellation
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    outcome @extschema@.booking_cancellation;
    answer jsonb;
    late boolean;
    own boolean;
    reason text := reason_code;
    share smallint;
BEGIN
    IF booking_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id must not be null',
                                  jsonb_build_object('argument', 'booking_id'));
    ELSIF reason_code IS NOT NULL
          AND reason_code NOT IN ('customer_request', 'rejected', 'no_show', 'staff_unavailable',
        'location_closed', 'weather', 'entered_in_error', 'other') THEN
        PERFORM usher.raise_error('invalid_argument', format('"%s" is not a reason to cancel', left(reason_code, 63)),
            jsonb_build_object('argument', 'reason_code',
                               'allowed', jsonb_build_array('customer_request', 'rejected', 'no_show',
                'staff_unavailable', 'location_closed', 'weather', 'entered_in_error', 'other')));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'cancel_booking', 'booking_id', booking_id,
        'reason_code', reason_code, 'notes', notes));
    IF answer IS NOT NULL THEN
        outcome := jsonb_populate_record(NULL::@extschema@.booking_cancellation, answer);
        outcome.replayed := true;
        RETURN outcome;
    END IF;
    booking := @extschema@._lock_booking(booking_id, expected_version);
    PERFORM @extschema@._check_not_yet(booking, 'cancelled');
    own := @extschema@._is_customer(to_jsonb(booking), 'booking:cancel');
    late := @extschema@._is_too_late(to_jsonb(booking));
    IF own AND late AND booking.status = 'confirmed' AND NOT @extschema@._manages(to_jsonb(booking)) THEN
        PERFORM usher.raise_error('too_late_to_cancel', 'it is too late to cancel this booking',
            jsonb_build_object('booking_id', booking_id, 'start_at', booking.start_at));
    END IF;
    IF reason IS NULL AND own THEN
        reason := 'customer_request';
    END IF;
    share := CASE WHEN reason = 'no_show' OR (own AND late) THEN 0
                  WHEN reason IN ('customer_request', 'other') THEN @extschema@._refund_share(booking) ELSE 100 END;
    UPDATE @extschema@.bookings AS b
        SET status = 'cancelled', cancellation_reason = reason, status_notes = coalesce(notes, b.status_notes),
            refund_percent = share,
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 -- half up
                                    ELSE ((b.price_minor - b.discount_minor)::numeric * share * 2 + 100)::bigint
                                         / 200 END
        WHERE b.id = cancel_booking.booking_id
        RETURNING b.id, b.status, b.refund_due_minor, b.currency, b.version, false INTO outcome;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(outcome));
    END IF;
    RETURN outcome;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_booking(uuid, text, text, integer, text) IS
    'Cancels a booking. Customers cancel their own before the cut-off, managers any with a reason (and with notes '
    'once work has begun), the staff member one whose customer did not come (no_show).';

CREATE FUNCTION @extschema@._move_only_appointment(booking_id uuid, start_at timestamptz, staff_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    appointment @extschema@.appointments;
BEGIN
    IF (SELECT count(*) FROM @extschema@.appointments AS a WHERE a.booking_id = _move_only_appointment.booking_id
        AND a.status NOT IN ('cancelled', 'no_show')) > 1 THEN
        PERFORM usher.raise_error('illegal_transition', 'a booking of several appointments cannot be moved as a whole',
            jsonb_build_object('booking_id', booking_id), 'Schedule another appointment and cancel the old one.');
    END IF;
    SELECT * INTO appointment FROM @extschema@.appointments AS a
        WHERE a.booking_id = _move_only_appointment.booking_id AND a.status = 'scheduled' FOR UPDATE;
    IF FOUND THEN
        UPDATE @extschema@.appointments AS a
            SET start_at = _move_only_appointment.start_at,
                end_at = _move_only_appointment.start_at + (appointment.end_at - appointment.start_at),
                practitioner_id = coalesce(_move_only_appointment.staff_id, a.practitioner_id)
            WHERE a.id = appointment.id;
    ELSIF staff_id IS NOT NULL THEN
        INSERT INTO @extschema@.appointments (booking_id, practitioner_id, start_at)
            VALUES (_move_only_appointment.booking_id, _move_only_appointment.staff_id,
                    _move_only_appointment.start_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._move_only_appointment(uuid, timestamptz, uuid) IS
    'A booking by appointment moves with its one appointment.';

CREATE FUNCTION @extschema@.reschedule_booking(booking_id uuid, start_at timestamptz DEFAULT NULL,
                                               staff_id uuid DEFAULT NULL, expected_version integer DEFAULT NULL,
                                               idempotency_key text DEFAULT NULL) RETURNS @extschema@.booking_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    receipt @extschema@.booking_receipt;
    answer jsonb;
BEGIN
    IF booking_id IS NULL OR (start_at IS NULL AND staff_id IS NULL) THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id and a new start_at or staff_id are needed',
            jsonb_build_object('argument', CASE WHEN booking_id IS NULL THEN 'booking_id' ELSE 'start_at' END));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'reschedule_booking', 'booking_id', booking_id,
        'start_at', start_at, 'staff_id', staff_id));
    IF answer IS NOT NULL THEN
        receipt := jsonb_populate_record(NULL::@extschema@.booking_receipt, answer);
        receipt.replayed := true;
        RETURN receipt;
    END IF;
    PERFORM @extschema@._lock_before_moving(ARRAY[booking_id], staff_id);
    booking := @extschema@._lock_booking(booking_id, expected_version);
    IF booking.status NOT IN ('pending', 'confirmed') THEN
        PERFORM usher.raise_error('illegal_transition', format('a booking that is %s cannot be moved', booking.status),
            jsonb_build_object('booking_id', booking_id, 'status', booking.status));
    END IF;
    PERFORM @extschema@._check_hold(booking);
    IF usher.actor_id() IS NOT NULL AND NOT @extschema@._manages(to_jsonb(booking))
        AND @extschema@._is_too_late(to_jsonb(booking)) THEN
        PERFORM usher.raise_error('too_late_to_cancel', 'it is too late to move this booking',
            jsonb_build_object('booking_id', booking_id, 'start_at', booking.start_at));
    END IF;
    IF start_at IS NOT NULL AND start_at <> booking.start_at THEN
        PERFORM @extschema@._check_start(booking.service_id, booking.location_id, start_at,
            usher.actor_id() IS NULL OR @extschema@._manages(to_jsonb(booking)));
    END IF;
    UPDATE @extschema@.bookings AS b
        SET start_at = coalesce(reschedule_booking.start_at, b.start_at),
            end_at = coalesce(reschedule_booking.start_at, b.start_at) + b.duration,
            staff_id = coalesce(reschedule_booking.staff_id, b.staff_id)
        WHERE b.id = reschedule_booking.booking_id
        RETURNING b.id, b.status, b.start_at, b.end_at, b.staff_id, b.price_minor, b.currency, b.hold_expires_at,
                  b.version, false
        INTO receipt;
    IF booking.by_appointment THEN
        PERFORM @extschema@._move_only_appointment(booking_id, receipt.start_at, reschedule_booking.staff_id);
    END IF;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(receipt));
    END IF;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.reschedule_booking(uuid, timestamptz, uuid, integer, text) IS
    'Moves a pending or confirmed booking to another time, or gives it to somebody else (managers), at its old '
    'price. It stays the same row.';

CREATE FUNCTION @extschema@.reassign_booking(booking_id uuid, staff_id uuid, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.booking_assignment
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved @extschema@.booking_receipt;
BEGIN
    IF booking_id IS NULL OR staff_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id and staff_id are needed',
            jsonb_build_object('argument', CASE WHEN booking_id IS NULL THEN 'booking_id' ELSE 'staff_id' END));
    END IF;
    moved := @extschema@.reschedule_booking(booking_id, NULL, staff_id, expected_version);
    RETURN ROW(moved.booking_id, moved.staff_id, moved.version)::@extschema@.booking_assignment;
END
$$;
COMMENT ON FUNCTION @extschema@.reassign_booking(uuid, uuid, integer) IS
    'Gives a pending or confirmed booking to another staff member, who must be free and eligible. For managers of '
    'the location.';

CREATE FUNCTION @extschema@.swap_bookings(booking_a uuid, booking_b uuid, expected_version_a integer DEFAULT NULL,
    expected_version_b integer DEFAULT NULL) RETURNS SETOF @extschema@.booking_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    a @extschema@.bookings;
    b @extschema@.bookings;
    booking @extschema@.bookings;
BEGIN
    IF booking_a IS NULL OR booking_b IS NULL OR booking_a = booking_b THEN
        PERFORM usher.raise_error('invalid_argument', 'two different bookings are needed',
                                  jsonb_build_object('argument', 'booking_b'));
    END IF;
    PERFORM @extschema@._lock_before_moving(ARRAY[booking_a, booking_b], NULL);
    IF booking_a < booking_b THEN -- everybody locks rows in this order
        a := @extschema@._lock_booking(booking_a, expected_version_a);
        b := @extschema@._lock_booking(booking_b, expected_version_b);
    ELSE
        b := @extschema@._lock_booking(booking_b, expected_version_b);
        a := @extschema@._lock_booking(booking_a, expected_version_a);
    END IF;
    IF a.location_id <> b.location_id THEN
        PERFORM usher.raise_error('invalid_argument', 'bookings of different locations cannot be swapped',
            jsonb_build_object('argument', 'booking_b'));
    END IF;
    FOREACH booking IN ARRAY ARRAY[a, b] LOOP
        IF booking.status NOT IN ('pending', 'confirmed') OR booking.by_appointment THEN
            PERFORM usher.raise_error('illegal_transition', format('a booking that is %s cannot be swapped',
                CASE WHEN booking.by_appointment THEN 'by appointment' ELSE booking.status END),
                jsonb_build_object('booking_id', booking.id, 'status', booking.status));
        END IF;
        PERFORM @extschema@._check_hold(booking);
    END LOOP;
    -- One statement: all old claims go before any new one comes.
    UPDATE @extschema@.bookings AS x
        SET start_at = CASE x.id WHEN a.id THEN b.start_at ELSE a.start_at END,
            end_at = CASE x.id WHEN a.id THEN b.start_at ELSE a.start_at END + x.duration,
            staff_id = CASE x.id WHEN a.id THEN b.staff_id ELSE a.staff_id END
        WHERE x.id IN (a.id, b.id);
    RETURN QUERY SELECT x.id, x.status, x.start_at, x.end_at, x.staff_id, x.price_minor, x.currency, x.hold_expires_at,
            x.version, false
        FROM @extschema@.bookings AS x WHERE x.id IN (a.id, b.id) ORDER BY x.start_at;
END
$$;
COMMENT ON FUNCTION @extschema@.swap_bookings(uuid, uuid, integer, integer) IS
    'Exchanges start and staff of two bookings of a location, both or neither. For those who may move both.';

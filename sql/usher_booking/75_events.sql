-- What happens here when something happened elsewhere, and what the clock brings.

CREATE FUNCTION @extschema@._cancel_bookings_of(user_id uuid, reason_code text, OUT cancelled integer, OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own uuid[] := ARRAY(SELECT c.id FROM @extschema@.customers AS c WHERE c.user_id = _cancel_bookings_of.user_id);
    left_over record;
BEGIN
    PERFORM @extschema@._fence('customer', ARRAY(SELECT unnest(own) UNION SELECT _cancel_bookings_of.user_id));
    UPDATE @extschema@.bookings AS b
        SET status = 'cancelled', cancellation_reason = _cancel_bookings_of.reason_code,
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor END
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.customer_id = ANY (own) AND x.status IN ('pending', 'confirmed') AND x.end_at > now()
            ORDER BY x.id FOR UPDATE);
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    orphaned := 0;
    FOR left_over IN SELECT b.id, b.location_id, b.staff_id FROM @extschema@.bookings AS b
        WHERE b.customer_id = ANY (own) AND b.status = 'in_progress' ORDER BY b.id
    LOOP
        PERFORM usher.publish('booking.orphaned', jsonb_build_object('booking_id', left_over.id, 'customer_user_id', user_id,
            'location_id', left_over.location_id, 'staff_id', left_over.staff_id), left_over.id::text);
        orphaned := orphaned + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._cancel_bookings_of(uuid, text) IS
    'Cancels the coming bookings of a user; work that has begun goes on and is announced as booking.orphaned.';

CREATE FUNCTION @extschema@.cancel_user_bookings(user_id uuid, reason_code text DEFAULT 'user_deleted',
    OUT cancelled integer, OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF user_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'user_id is needed', jsonb_build_object('argument', 'user_id'));
    END IF;
    PERFORM usher.require_permission('user:manage', user_id);
    SELECT c.cancelled, c.orphaned INTO cancelled, orphaned FROM @extschema@._cancel_bookings_of(user_id, reason_code) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_user_bookings(uuid, text) IS
    'Cancels the pending and confirmed bookings of a user that are still to come; those in progress stay and are counted as orphaned. Needs user:manage.';

CREATE FUNCTION @extschema@._on_user_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    gone constant uuid := (payload ->> 'user_id')::uuid;
BEGIN
    IF event <> 'user.deactivated' THEN
        PERFORM @extschema@._cancel_bookings_of(gone, 'user_deleted');
    END IF;
    IF event = 'user.erased' THEN
        UPDATE @extschema@.customers AS c SET name = NULL, email = NULL, phone = NULL, attributes = '{}' WHERE c.user_id = gone;
        UPDATE @extschema@.bookings AS b SET vehicle_info = NULL, special_instructions = NULL
            WHERE b.customer_id IN (SELECT c.id FROM @extschema@.customers AS c WHERE c.user_id = gone)
                AND (b.vehicle_info IS NOT NULL OR b.special_instructions IS NOT NULL);
    END IF;
    UPDATE @extschema@.location_staff AS ls SET is_active = false WHERE ls.staff_id = gone AND ls.is_active;
    IF FOUND THEN
        PERFORM @extschema@._unassign_bookings(gone);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_user_gone(text, jsonb) IS
    'Handler of user.deleted, user.erased and user.deactivated: a customer''s bookings are cancelled, a staff member''s need somebody else.';

-- Somebody without the role that they work in cannot take bookings any more.
CREATE FUNCTION @extschema@._on_role_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who constant uuid := (payload ->> 'user_id')::uuid;
    place record;
BEGIN
    FOR place IN SELECT ls.id, ls.location_id FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = who AND ls.is_active AND NOT usher.user_has_role(ls.staff_id, ls.role, ls.location_id::text)
        ORDER BY ls.location_id
    LOOP
        PERFORM @extschema@._lock_location(place.location_id); -- before staff and bookings, like everybody
        UPDATE @extschema@.location_staff AS ls SET is_active = false WHERE ls.id = place.id;
        PERFORM @extschema@._unassign_bookings(who, place.location_id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_role_changed(text, jsonb) IS
    'Handler of user.role_changed: takes a staff member off the locations where they worked in a role they have no longer.';

CREATE FUNCTION @extschema@._on_payment(event text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_on_payment';
COMMENT ON FUNCTION @extschema@._on_payment(text, jsonb) IS
    'Handler of payment.completed: marks the booking as paid and confirms it, or publishes booking.refund_proposed when it is too late. Payload: reference_type booking, reference_id, transaction_id, captured_minor, refunded_minor, currency, payment_method.';

CREATE FUNCTION @extschema@.expire_holds(max_rows integer DEFAULT 500) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    expired integer;
    moment constant timestamptz := clock_timestamp();
    over uuid[];
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 100000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be between 1 and 100000', jsonb_build_object('argument', 'max_rows'));
    END IF;
    over := ARRAY(SELECT x.id FROM @extschema@.bookings AS x WHERE x.status = 'pending' AND x.hold_expires_at <= moment
        ORDER BY x.hold_expires_at LIMIT max_rows);
    PERFORM @extschema@._guard_bookings(over); -- whoever books one of these places now waits for it, instead of finding its row in other hands
    UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = 'hold_expired'
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.id = ANY (over) AND x.status = 'pending' AND x.hold_expires_at <= moment ORDER BY x.id FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS expired = ROW_COUNT;
    -- Guards of days that have passed guard nothing any more.
    DELETE FROM @extschema@.resource_guards AS g WHERE (g.kind, g.id, g.day) IN (
        SELECT o.kind, o.id, o.day FROM @extschema@.resource_guards AS o
        WHERE o.day < current_date - 7 LIMIT max_rows FOR UPDATE SKIP LOCKED);
    DELETE FROM @extschema@.idempotency_keys AS k WHERE (k.actor, k.key) IN (
        SELECT o.actor, o.key FROM @extschema@.idempotency_keys AS o
        WHERE o.created_at < now() - interval '30 days' LIMIT max_rows FOR UPDATE SKIP LOCKED);
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@.expire_holds(integer) IS
    'Cancels pending bookings whose hold has run out, and forgets guards of past days and old idempotency keys. Returns how many holds. Safe to call at any time.';

CREATE FUNCTION @extschema@.self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY WITH wanted AS MATERIALIZED (
        SELECT b.id AS booking_id, b.id AS holder_id, who.kind, who.id, who.during
        FROM @extschema@.bookings AS b
            CROSS JOIN LATERAL (VALUES
                ('staff', b.staff_id, tstzrange(b.start_at - b.buffer_before, b.end_at + b.buffer_after, '[)')),
                ('customer', CASE WHEN b.customer_exclusive THEN b.customer_id END, b.during)) AS who (kind, id, during)
        WHERE b.occupies AND NOT b.by_appointment AND who.id IS NOT NULL
        UNION ALL
        SELECT a.booking_id, a.id, who.kind, who.id, who.during
        FROM @extschema@.appointments AS a
            CROSS JOIN LATERAL (VALUES
                ('staff', a.practitioner_id, tstzrange(a.start_at - a.buffer_before, a.end_at + a.buffer_after, '[)')),
                ('customer', CASE WHEN a.customer_exclusive THEN a.customer_id END, a.during)) AS who (kind, id, during)
        WHERE a.occupies AND who.id IS NOT NULL
    )
    SELECT k.kind || '_double_booked', count(a.id) FROM (VALUES ('staff'), ('customer')) AS k (kind)
        LEFT JOIN (wanted AS a JOIN wanted AS b ON b.kind = a.kind AND b.id = a.id AND a.holder_id < b.holder_id AND a.during && b.during)
            ON a.kind = k.kind
        GROUP BY k.kind
    UNION ALL
    SELECT 'claims_differ_from_bookings', count(*) FROM wanted AS w
        FULL JOIN (SELECT c.booking_id, c.holder_id, c.resource_kind, c.resource_id, c.during FROM @extschema@.booking_claims AS c
            WHERE c.live) AS found
            ON found.holder_id = w.holder_id AND found.booking_id = w.booking_id AND found.resource_kind = w.kind
                AND found.resource_id = w.id AND found.during = w.during
        WHERE w.booking_id IS NULL OR found.booking_id IS NULL;
    -- Capacity may have been lowered since; then this counts the bookings that were made before.
    RETURN QUERY SELECT 'over_capacity', count(*)
        FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.occupies AND b.end_at > now()
            AND NOT b.overbooked
            AND @extschema@._peak_now(b.location_id, b.start_at, b.end_at, false) > l.max_concurrent_bookings;
    RETURN QUERY SELECT 'end_differs_from_duration', count(*)
        FROM @extschema@.bookings AS b WHERE b.end_at <> b.start_at + b.duration;
    RETURN QUERY SELECT 'hold_without_pending', count(*)
        FROM @extschema@.bookings AS b WHERE b.hold_expires_at IS NOT NULL AND b.status <> 'pending';
    RETURN QUERY SELECT 'appointment_outlives_booking', count(*)
        FROM @extschema@.appointments AS a JOIN @extschema@.bookings AS b ON b.id = a.booking_id
        WHERE a.status IN ('scheduled', 'arrived', 'in_progress') AND (b.status IN ('cancelled', 'completed') OR a.occupies <> b.occupies);
    RETURN QUERY SELECT 'daily_limit_exceeded', count(*) FROM (
        SELECT 1 FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.daily_limit IS NOT NULL AND b.status <> 'cancelled'
            AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > now())
        GROUP BY b.customer_id, b.service_id, b.location_id, (b.start_at AT TIME ZONE l.time_zone)::date
        HAVING count(*) > max(b.daily_limit)) AS days;
END
$$;
COMMENT ON FUNCTION @extschema@.self_check() IS 'Counts what must never be, rule by rule.';

DO $do$
DECLARE
    event text;
BEGIN
    FOREACH event IN ARRAY ARRAY['user.deleted', 'user.erased', 'user.deactivated'] LOOP
        PERFORM usher.subscribe(event, 'usher_booking', '@extschema@._on_user_gone(text,jsonb)'::regprocedure, 'sync');
    END LOOP;
    PERFORM usher.subscribe('user.role_changed', 'usher_booking', '@extschema@._on_role_changed(text,jsonb)'::regprocedure, 'sync');
    PERFORM usher.subscribe('payment.completed', 'usher_booking', '@extschema@._on_payment(text,jsonb)'::regprocedure, 'sync');
END
$do$;

-- What happens here when something happened elsewhere, and what the clock brings.

CREATE FUNCTION @extschema@._cancel_bookings_of(user_id uuid, reason_code text, OUT cancelled integer,
                                                OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own CONSTANT uuid[] := @extschema@._customers_who_are(_cancel_bookings_of.user_id);
    left_over record;
BEGIN
    PERFORM @extschema@._fence('customer', ARRAY(SELECT unnest(own) UNION SELECT _cancel_bookings_of.user_id));
    UPDATE @extschema@.bookings AS b
        SET status = 'cancelled', cancellation_reason = _cancel_bookings_of.reason_code,
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor - b.discount_minor END
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.customer_id = ANY (own) AND x.status IN ('pending', 'confirmed') AND x.end_at > now()
            ORDER BY x.id FOR UPDATE);
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    orphaned := 0;
    FOR left_over IN SELECT b.id, b.location_id, b.staff_id, c.user_id AS account
        FROM @extschema@.bookings AS b JOIN @extschema@.customers AS c ON c.id = b.customer_id
        WHERE b.customer_id = ANY (own) AND b.status = 'in_progress' ORDER BY b.id
    LOOP
        PERFORM usher.publish('booking.orphaned',
                              jsonb_build_object('booking_id', left_over.id, 'customer_user_id', left_over.account,
            'location_id', left_over.location_id, 'staff_id', left_over.staff_id), left_over.id::text);
        orphaned := orphaned + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._cancel_bookings_of(uuid, text) IS
    'Cancels the coming bookings of a user; work that has begun goes on and is announced as booking.orphaned.';

CREATE FUNCTION @extschema@.cancel_user_bookings(user_id uuid, reason_code text DEFAULT 'user_deleted',
    OUT cancelled integer, OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF user_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'user_id must not be null', '{"argument": "user_id"}');
    END IF;
    PERFORM usher.require_permission('user:manage', user_id);
    SELECT c.cancelled, c.orphaned INTO cancelled, orphaned
    FROM @extschema@._cancel_bookings_of(user_id, reason_code) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_user_bookings(uuid, text) IS
    'Cancels the pending and confirmed bookings of a user that are still to come; those in progress stay and are '
    'counted as orphaned. Needs user:manage.';

CREATE FUNCTION @extschema@._on_user_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    gone CONSTANT uuid := coalesce(payload ->> 'customer_id', payload ->> 'user_id')::uuid;
    profile uuid;
BEGIN
    IF event = 'customer.erased' THEN -- nothing more can be booked
        IF EXISTS (SELECT FROM @extschema@.customers AS c WHERE c.id = gone AND c.user_id IS NOT NULL) THEN
            PERFORM usher.raise_error('invalid_argument', 'the profile belongs to an account, and goes with it',
                                      jsonb_build_object('argument', 'customer_id'));
        END IF;
        UPDATE @extschema@.customers AS c SET is_active = false
        WHERE c.id = gone AND c.user_id IS NULL AND c.is_active;
    END IF;
    IF event <> 'user.deactivated' THEN
        PERFORM @extschema@._cancel_bookings_of(gone, 'user_deleted');
        -- Others know a further profile by its own id, and whose it is by this.
        FOR profile IN SELECT c.id FROM @extschema@.customers AS c
            WHERE c.user_id = gone AND c.id <> gone ORDER BY c.id
        LOOP
            PERFORM usher.publish('booking.customer_gone', jsonb_build_object(
                'customer_id', profile, 'is_erased', event = 'user.erased'), profile::text);
        END LOOP;
    END IF;
    UPDATE @extschema@.location_staff AS ls SET is_active = false WHERE ls.staff_id = gone AND ls.is_active;
    IF FOUND THEN
        PERFORM @extschema@._unassign_bookings(gone);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_user_gone(text, jsonb) IS
    'Handler of user.deleted, user.erased, user.deactivated and customer.erased: a customer''s bookings are '
    'cancelled, a staff member''s need somebody else.';

-- Somebody without the role that they work in can no longer take bookings.
CREATE FUNCTION @extschema@._on_role_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who CONSTANT uuid := (payload ->> 'user_id')::uuid;
    place record;
BEGIN
    FOR place IN SELECT ls.id, ls.location_id FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = who AND ls.is_active
            AND NOT usher.user_has_role(ls.staff_id, ls.role, ls.location_id::text)
        ORDER BY ls.location_id
    LOOP
        PERFORM @extschema@._lock_location(place.location_id); -- before staff and bookings, like everybody
        UPDATE @extschema@.location_staff AS ls SET is_active = false WHERE ls.id = place.id;
        PERFORM @extschema@._unassign_bookings(who, place.location_id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_role_changed(text, jsonb) IS
    'Handler of user.role_changed: takes a staff member off the locations where they worked in a role they have no '
    'longer.';

CREATE FUNCTION @extschema@._on_payment(event text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_on_payment';
COMMENT ON FUNCTION @extschema@._on_payment(text, jsonb) IS
    'Handler of payment.completed: marks the booking as paid and confirms it, and publishes booking.refund_proposed '
    'for what is too much or comes too late. Payload: reference_type booking, reference_id, transaction_id, '
    'captured_minor, refunded_minor, currency, payment_method; the totals of several payments in '
    'reference_captured_minor and reference_refunded_minor. And of payment.refunded, payment.partially_refunded, '
    'refund.failed and refund.cancelled: a booking of which all went back is not paid any more.';

CREATE FUNCTION @extschema@._apply_discounts(booking_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_booking_apply_discounts';
COMMENT ON FUNCTION @extschema@._apply_discounts(uuid) IS
    'Takes what booking_discounts grants off a booking that is locked, never more than is still to be paid, and '
    'publishes booking.total_changed when that is another sum. Confirms what is covered by then.';

CREATE FUNCTION @extschema@._on_booking_discount(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.bookings;
    -- Of publishers that do not say which redemption it is, two events that say the same are one.
    granted_by CONSTANT text := coalesce(payload ->> 'redemption_id', md5(payload::text));
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'booking' THEN
        RETURN;
    END IF;
    PERFORM @extschema@._on_settling(event, payload);
    SELECT * INTO known FROM @extschema@.bookings AS b WHERE b.id = usher.uuid_or_null(payload ->> 'reference_id');
    IF known.id IS NULL OR EXISTS (SELECT FROM @extschema@.booking_discounts AS d
                                   WHERE d.booking_id = known.id AND d.source = granted_by) THEN
        RETURN; -- of other bookings, or known
    ELSIF known.status = 'cancelled' OR known.paid_at IS NOT NULL THEN
        -- Whoever uses up an offer for nothing has to hear of it: all of it is rolled back.
        PERFORM usher.raise_error('illegal_transition',
            CASE WHEN known.status = 'cancelled' THEN 'booking is cancelled and takes no more discounts'
                 ELSE 'booking is paid and takes no more discounts' END,
            jsonb_build_object('booking_id', known.id, 'status', known.status));
    ELSIF payload ->> 'currency' IS DISTINCT FROM known.currency THEN
        PERFORM usher.raise_error('invalid_argument', 'a discount is in the currency of its booking',
            jsonb_build_object('argument', 'currency', 'booking_id', known.id, 'currency', known.currency));
    ELSIF (payload ->> 'discount_minor')::bigint > 0 THEN
        INSERT INTO @extschema@.booking_discounts (booking_id, source, discount_minor)
        VALUES (known.id, granted_by, (payload ->> 'discount_minor')::bigint);
        PERFORM @extschema@._apply_discounts(known.id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_discount(text, jsonb) IS
    'Handler of loyalty.discount_granted: what offers take off a booking. The same redemption counts once. US001 when '
    'it is paid already, or cancelled.';

CREATE FUNCTION @extschema@._on_booking_offer_released(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given uuid;
BEGIN
    FOR given IN SELECT d.booking_id FROM @extschema@.booking_discounts AS d
        WHERE d.source = payload ->> 'redemption_id' ORDER BY d.booking_id
    LOOP
        PERFORM @extschema@._on_settling(event, jsonb_build_object('reference_type', 'booking',
                                                                   'reference_id', given));
        IF EXISTS (SELECT FROM @extschema@.bookings AS b WHERE b.id = given AND b.paid_at IS NULL
                       AND b.status IN ('pending', 'confirmed')) THEN
            DELETE FROM @extschema@.booking_discounts AS d
            WHERE d.booking_id = given AND d.source = payload ->> 'redemption_id';
            PERFORM @extschema@._apply_discounts(given);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_offer_released(text, jsonb) IS
    'Handler of loyalty.offer_released: a booking that is not paid and not begun loses the discount; others keep what '
    'was agreed.';

CREATE FUNCTION @extschema@._on_settling(event text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_on_settling';
COMMENT ON FUNCTION @extschema@._on_settling(text, jsonb) IS
    'Handler of payment.settling: takes the guards of a booking and locks it, before its payments are locked, so that '
    'payments and bookings wait for each other in one order.';

CREATE FUNCTION @extschema@._expire_holds(max_rows integer) RETURNS integer
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_expire_holds';
COMMENT ON FUNCTION @extschema@._expire_holds(integer) IS
    'Cancels pending bookings whose hold is over, at most so many.';

CREATE FUNCTION @extschema@.expire_holds(max_rows integer DEFAULT 500) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expired integer;
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 100000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be between 1 and 100000',
            jsonb_build_object('argument', 'max_rows'));
    END IF;
    expired := @extschema@._expire_holds(max_rows);
    PERFORM @extschema@._forget_old_guards(max_rows);
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@.expire_holds(integer) IS
    'Cancels pending bookings whose hold has run out, and forgets guards of past days. '
    'Returns how many holds. usher.run_maintenance() does the same; safe to call at any time.';

CREATE FUNCTION @extschema@._booking_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY WITH wanted AS MATERIALIZED (
        SELECT b.id AS booking_id, b.id AS holder_id, who.kind, who.id, who.during
        FROM @extschema@.bookings AS b
            CROSS JOIN LATERAL (VALUES
                ('staff', b.staff_id, tstzrange(b.start_at - b.buffer_before, b.end_at + b.buffer_after, '[)')),
                ('customer', CASE WHEN b.customer_exclusive THEN b.customer_id END,
                 b.during)) AS who (kind, id, during)
        WHERE b.occupies AND NOT b.by_appointment AND who.id IS NOT NULL
        UNION ALL
        SELECT a.booking_id, a.id, who.kind, who.id, who.during
        FROM @extschema@.appointments AS a
            CROSS JOIN LATERAL (VALUES
                ('staff', a.practitioner_id, tstzrange(a.start_at - a.buffer_before, a.end_at + a.buffer_after, '[)')),
                ('customer', CASE WHEN a.customer_exclusive THEN a.customer_id END,
                 a.during)) AS who (kind, id, during)
        WHERE a.occupies AND who.id IS NOT NULL
    ), starts AS ( -- each that begins before one of those that began earlier is over
        SELECT w.kind, lower(w.during) < max(upper(w.during)) OVER (
            PARTITION BY w.kind, w.id ORDER BY lower(w.during), w.holder_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_too_early
        FROM wanted AS w
    )
    SELECT k.kind || '_double_booked', count(s.kind)
    FROM (VALUES ('staff'), ('customer')) AS k (kind)
        LEFT JOIN starts AS s ON s.kind = k.kind AND s.is_too_early
    GROUP BY k.kind
    UNION ALL
    SELECT 'claims_differ_from_bookings', count(*) FROM wanted AS w
        FULL JOIN (SELECT c.booking_id, c.holder_id, c.resource_kind, c.resource_id, c.during
                   FROM @extschema@.booking_claims AS c
            WHERE c.live) AS found
            ON found.holder_id = w.holder_id AND found.booking_id = w.booking_id AND found.resource_kind = w.kind
                AND found.resource_id = w.id AND found.during = w.during
        WHERE w.booking_id IS NULL OR found.booking_id IS NULL;
    -- Capacity may have been lowered since; then this counts the bookings that were made before. Where there are never
    -- more than there are places, whatever else counts, nobody has to be asked booking by booking.
    RETURN QUERY WITH taken AS MATERIALIZED (
        SELECT b.location_id, b.start_at, b.end_at, b.overbooked FROM @extschema@.bookings AS b
            WHERE b.occupies AND NOT b.by_appointment AND b.end_at > now() - interval '168 hours'
        UNION ALL
        SELECT a.location_id, a.start_at, a.end_at, a.overbooked FROM @extschema@.appointments AS a
            WHERE a.occupies AND a.end_at > now() - interval '168 hours'
    ), peaks AS (
        SELECT e.location_id, sum(e.change) OVER (PARTITION BY e.location_id ORDER BY e.at, e.change) AS places
        FROM (SELECT t.location_id, t.start_at AS at, 1 AS change FROM taken AS t
              UNION ALL
              SELECT t.location_id, t.end_at, -1 FROM taken AS t) AS e
    ), crowded AS MATERIALIZED (
        SELECT DISTINCT p.location_id FROM peaks AS p JOIN @extschema@.locations AS l ON l.id = p.location_id
        WHERE p.places > l.max_concurrent_bookings
    ), suspects AS MATERIALIZED (
        SELECT t.* FROM taken AS t
        WHERE NOT t.overbooked AND t.end_at > now() AND t.location_id IN (SELECT c.location_id FROM crowded AS c)
    )
    SELECT 'over_capacity', count(*) FROM suspects AS t
    WHERE @extschema@._free_places(t.location_id, t.start_at, t.end_at, false) < 0;
    RETURN QUERY SELECT 'booking_without_appointment', count(*)
        FROM @extschema@.bookings AS b WHERE b.by_appointment AND b.occupies AND b.end_at > now()
            AND NOT EXISTS (SELECT FROM @extschema@.appointments AS a WHERE a.booking_id = b.id);
    RETURN QUERY SELECT 'end_differs_from_duration', count(*)
        FROM @extschema@.bookings AS b WHERE b.end_at <> b.start_at + b.duration;
    RETURN QUERY SELECT 'hold_without_pending', count(*)
        FROM @extschema@.bookings AS b WHERE b.hold_expires_at IS NOT NULL AND b.status <> 'pending';
    RETURN QUERY SELECT 'appointment_outlives_booking', count(*)
        FROM @extschema@.appointments AS a JOIN @extschema@.bookings AS b ON b.id = a.booking_id
        WHERE a.status IN ('scheduled', 'arrived', 'in_progress')
            AND (b.status IN ('cancelled', 'completed') OR a.occupies <> b.occupies);
    RETURN QUERY SELECT 'daily_limit_exceeded', count(*) FROM (
        SELECT 1 FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.daily_limit IS NOT NULL AND b.status <> 'cancelled'
            AND NOT @extschema@._hold_is_over(b.status, b.hold_expires_at)
        GROUP BY b.customer_id, b.service_id, b.location_id, (b.start_at AT TIME ZONE l.time_zone)::date
        HAVING count(*) > max(b.daily_limit)) AS days;
END
$$;
COMMENT ON FUNCTION @extschema@._booking_self_check() IS
    'The part of usher_booking in usher.self_check(): what must never be, rule by rule.';

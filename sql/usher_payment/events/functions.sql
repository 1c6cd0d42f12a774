-- What happens to payments when something happened elsewhere. Bookings are known by their events only: a reference of
-- type "booking", its price, and what its service wants paid in advance and given back.

CREATE FUNCTION @extschema@._on_booking_created(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    advance CONSTANT bigint := coalesce((payload ->> 'prepay_minor')::bigint, 0);
    price CONSTANT bigint := (payload ->> 'price_minor')::bigint;
BEGIN
    IF advance <= 0 OR payload ->> 'id' IS NULL THEN
        RETURN; -- paid on the spot, or for nothing
    END IF;
    PERFORM @extschema@._ask_payment((payload ->> 'customer_id')::uuid, (payload ->> 'customer_user_id')::uuid,
        (payload ->> 'location_id')::uuid, 'booking', (payload ->> 'id')::uuid,
        CASE WHEN advance < price THEN 'deposit' ELSE 'sale' END, advance, payload ->> 'currency', 'card',
        price - advance, usher.actor_id());
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_created(text, jsonb) IS
    'Handler of booking.created: what is to be paid in advance becomes a pending payment.';

CREATE FUNCTION @extschema@._on_booking_cancelled(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    booking CONSTANT uuid := (payload ->> 'id')::uuid;
    reason CONSTANT text := coalesce(payload ->> 'cancellation_reason', 'booking_cancelled');
    percent CONSTANT integer := (payload ->> 'refund_percent')::integer;
BEGIN
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'booking' AND t.reference_id = booking), reason);
    IF coalesce(percent, 0) > 0 THEN
        PERFORM @extschema@._refund_reference('booking', booking, payload ->> 'currency', NULL, percent, reason);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_cancelled(text, jsonb) IS
    'Handler of booking.cancelled: closes what is not paid, and refunds the share of what is paid that the policy of '
    'the service gives.';

CREATE FUNCTION @extschema@._on_refund_proposed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payment uuid;
    refundable bigint;
BEGIN
    SELECT t.id, least((payload ->> 'amount_minor')::bigint,
                       t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor)
    INTO payment, refundable
    FROM @extschema@.payment_transactions AS t
    WHERE t.id = usher.uuid_or_null(payload ->> 'transaction_id') FOR NO KEY UPDATE;
    IF refundable > 0 THEN -- else it is of another extension that takes payments, or nothing is left
        INSERT INTO @extschema@.payment_refunds (transaction_id, amount_minor, reason_code, requested_by)
        VALUES (payment, refundable, payload ->> 'reason', usher.actor_id());
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_refund_proposed(text, jsonb) IS
    'Handler of booking.refund_proposed: money for a booking that cannot be, or is paid already, goes back.';

CREATE FUNCTION @extschema@._replace_later(transaction_ids uuid[], amount_minor bigint, balance_minor bigint DEFAULT 0)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- What a feature has asked for; anybody makes other payments, of whatever sum.
    under_way CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (transaction_ids) AND t.status = 'processing' AND t.exclusive AND NOT t.refund_on_success
        ORDER BY t.id DESC);
BEGIN
    UPDATE @extschema@.payment_transactions AS t
    SET replacement_minor = CASE WHEN t.id = under_way[1] THEN _replace_later.amount_minor ELSE 0 END,
        balance_minor = CASE WHEN t.id = under_way[1] THEN _replace_later.balance_minor ELSE 0 END
    WHERE t.id = ANY (under_way);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@._replace_later(uuid[], bigint, bigint) IS
    'A processor that is at what is asked for takes the sum of before: what was too much goes back then, what is '
    'missing is asked for, and when it fails the new sum takes its place. Returns false when no processor is.';

CREATE FUNCTION @extschema@._on_booking_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    for_booking CONSTANT uuid := (payload ->> 'id')::uuid;
    for_customer CONSTANT uuid := (payload ->> 'customer_id')::uuid;
    total CONSTANT bigint := CASE WHEN payload ->> 'status' = 'cancelled' OR (payload ->> 'is_paid')::boolean
        THEN 0 ELSE (payload ->> 'total_minor')::bigint END;
    advance CONSTANT bigint := least((payload ->> 'prepay_minor')::bigint, total);
    paid CONSTANT bigint := (payload ->> 'paid_minor')::bigint;
    due CONSTANT bigint := greatest(CASE WHEN paid < advance THEN advance ELSE total END - paid, 0);
    later CONSTANT bigint := CASE WHEN paid < advance THEN total - advance ELSE 0 END;
    open CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'booking' AND t.reference_id = for_booking AND t.closed_at IS NULL
            AND t.exclusive AND t.status IN ('pending', 'processing', 'failed')
        ORDER BY t.id FOR NO KEY UPDATE);
BEGIN
    IF cardinality(open) = 0 -- nothing is asked for, as for what is paid on the spot
        OR cardinality(open) = 1 AND EXISTS (SELECT FROM @extschema@.payment_transactions AS t
            WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed') AND t.amount_minor = due
                AND t.balance_minor = later AND t.customer_id = for_customer
                AND t.currency = payload ->> 'currency')
    THEN
        RETURN;
    END IF;
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed')), 'booking_changed');
    IF NOT @extschema@._replace_later(open, due, later) AND due > 0 THEN
        PERFORM @extschema@._ask_payment(for_customer, (payload ->> 'customer_user_id')::uuid,
            (payload ->> 'location_id')::uuid, 'booking', for_booking,
            CASE WHEN later > 0 THEN 'deposit' WHEN paid < advance THEN 'sale' ELSE 'balance' END, due,
            payload ->> 'currency', 'card', later, usher.actor_id());
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_changed(text, jsonb) IS
    'Handler of booking.total_changed: what is asked for is replaced by what is left to pay, in advance or as the '
    'rest, or given up when nothing is; one that a processor is at, when that has failed.';

-- Orders are known by their events only, too: a reference of type "order", what it costs, and what of that is paid.

CREATE FUNCTION @extschema@._on_order_placed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due CONSTANT bigint := (payload ->> 'total_minor')::bigint - coalesce((payload ->> 'paid_minor')::bigint, 0);
BEGIN
    IF due > 0 AND payload ->> 'id' IS NOT NULL THEN
        PERFORM @extschema@._ask_payment((payload ->> 'customer_id')::uuid, (payload ->> 'user_id')::uuid,
            (payload ->> 'location_id')::uuid, 'order', (payload ->> 'id')::uuid, 'sale', due,
            payload ->> 'currency', 'card', 0, usher.actor_id());
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_placed(text, jsonb) IS
    'Handler of order.placed: what an order costs becomes a pending payment.';

CREATE FUNCTION @extschema@._on_order_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    open CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'order' AND t.reference_id = (payload ->> 'id')::uuid AND t.closed_at IS NULL
            AND t.status IN ('pending', 'processing', 'failed')
        ORDER BY t.id FOR NO KEY UPDATE);
BEGIN
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.status IN ('pending', 'failed')), 'order_changed');
    IF NOT @extschema@._replace_later(open, greatest(0, (payload ->> 'total_minor')::bigint
                                                        - coalesce((payload ->> 'paid_minor')::bigint, 0))) THEN
        PERFORM @extschema@._on_order_placed(event, payload);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_changed(text, jsonb) IS
    'Handler of order.total_changed and order.paid: the pending payment is replaced by one of what is left to pay, or '
    'given up when nothing is; one that a processor is at, when that has failed.';

CREATE FUNCTION @extschema@._on_order_cancelled(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._close_payments(ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE t.reference_type = 'order' AND t.reference_id = (payload ->> 'id')::uuid),
        coalesce(payload ->> 'reason_code', 'order_cancelled'));
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_cancelled(text, jsonb) IS
    'Handler of order.cancelled: closes what is not paid; what succeeds all the same goes back.';

CREATE FUNCTION @extschema@._on_order_refund(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    paid_for CONSTANT uuid := (payload ->> 'id')::uuid;
    refundable bigint;
BEGIN
    -- What staff refund already, sent or not, is not refunded once more: what is to be left says how much is missing.
    SELECT least(coalesce(sum(r.refundable_minor), 0)::bigint - coalesce((payload ->> 'left_minor')::bigint, 0),
                 (payload ->> 'amount_minor')::bigint)
    INTO refundable
    FROM @extschema@._refundable('order', paid_for, payload ->> 'currency') AS r;
    IF refundable > 0 THEN
        PERFORM @extschema@._refund_reference('order', paid_for, payload ->> 'currency', refundable, NULL,
                                              payload ->> 'reason');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_refund(text, jsonb) IS
    'Handler of order.refund_proposed: what is paid too much for an order goes back, less what is on its way back '
    'already.';

CREATE FUNCTION @extschema@._on_payer_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone CONSTANT uuid := coalesce(payload ->> 'customer_id', payload ->> 'user_id')::uuid;
    open CONSTANT uuid[] := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
        WHERE (t.user_id = gone OR t.customer_id = gone AND t.user_id IS NULL) AND t.closed_at IS NULL
            AND t.status IN ('pending', 'processing', 'failed'));
    paid_for record;
BEGIN
    -- Bookings and orders before their payments, in whatever order extensions were installed.
    FOR paid_for IN SELECT DISTINCT t.reference_type, t.reference_id FROM @extschema@.payment_transactions AS t
        WHERE t.id = ANY (open) AND t.reference_type IN ('booking', 'order') ORDER BY 1, 2
    LOOP
        PERFORM @extschema@._announce_payment(paid_for.reference_type, paid_for.reference_id);
    END LOOP;
    PERFORM @extschema@._close_payments(open, 'user_deleted');
    UPDATE @extschema@.payment_methods AS m SET is_active = false, is_default = false, version = m.version + 1
    WHERE (m.user_id = gone OR m.customer_id = gone AND m.user_id IS NULL) AND m.is_active;
    IF event = 'booking.customer_gone' AND (payload ->> 'is_erased')::boolean THEN
        PERFORM @extschema@._erase_payments(gone);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_payer_gone(text, jsonb) IS
    'Handler of user.deleted, user.erased, customer.erased and booking.customer_gone: '
    'open payments are given up, saved methods are gone.';

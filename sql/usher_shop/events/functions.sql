-- What happens to orders and stock when something happened elsewhere. Payments, bookings and users are known by their
-- events only.

CREATE FUNCTION @extschema@._on_order_payment(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders;
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'order' THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM @extschema@.orders AS o
    WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    IF known.id IS NULL OR payload ->> 'currency' IS DISTINCT FROM known.currency THEN
        RETURN; -- of another shop, or money that whoever takes it has to explain
    ELSIF event = 'refund.requested' AND known.status NOT IN ('cart', 'placed') THEN
        RETURN; -- what is paid stays so until the money is gone
    END IF;
    -- All payments for the order together, where the publisher says so; without that, only what comes is known.
    IF payload ? 'reference_captured_minor' THEN
        PERFORM @extschema@._settle_order(known.id,
            (payload ->> 'reference_captured_minor')::bigint - (payload ->> 'reference_refunded_minor')::bigint,
            (payload ->> 'reference_refunded_minor')::bigint, event => event);
    ELSIF event = 'payment.completed' THEN
        PERFORM @extschema@._settle_order(known.id,
            known.paid_minor - known.recorded_minor + known.handed_back_minor
            + coalesce((payload ->> 'captured_minor')::bigint, 0), event => event);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_payment(text, jsonb) IS
    'Handler of payment.completed, .refunded, .partially_refunded, .disputed and .dispute_closed, refund.requested, '
    '.failed and .cancelled: the order is paid when enough is, a cart when it is placed; what comes for a cancelled '
    'one is proposed for refund, what somebody refunds or a bank holds is not paid any more, and what a refund did '
    'not give back is. What is on its way back pays no order.';

CREATE FUNCTION @extschema@._on_discount_granted(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders;
    -- Which redemption it is of; of publishers that do not say, two events that say the same are one.
    granted_by CONSTANT text := coalesce(payload ->> 'redemption_id', md5(payload::text));
    whole CONSTANT bigint := (payload ->> 'discount_minor')::bigint;
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'order' THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM @extschema@.orders AS o
    WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    IF known.id IS NULL
       OR EXISTS (SELECT FROM @extschema@.order_discounts AS d
                  WHERE d.order_id = known.id AND d.source = granted_by) THEN
        RETURN; -- of another shop, or known
    ELSIF known.status <> 'cart' THEN
        -- Whoever uses up an offer for nothing has to hear of it: all of it is rolled back.
        PERFORM usher.raise_error('illegal_transition',
            format('order is %s and takes no more discounts', known.status),
            jsonb_build_object('order_id', known.id, 'status', known.status));
    ELSIF payload ->> 'currency' <> known.currency THEN
        PERFORM usher.raise_error('invalid_argument', 'a discount is in the currency of its order',
            jsonb_build_object('argument', 'currency', 'order_id', known.id, 'currency', known.currency));
    END IF;
    INSERT INTO @extschema@.order_discounts (order_id, source, line_no, discount_minor, reason)
    SELECT known.id, granted_by, g.line_no, sum(g.discount_minor), min(g.reason)
    FROM (SELECT l.line_no, l.discount_minor,
                 CASE WHEN l.reason ~ '^[a-z][a-z0-9_]{0,62}$' THEN l.reason ELSE 'offer' END AS reason
          FROM jsonb_to_recordset(CASE WHEN jsonb_typeof(payload -> 'lines') = 'array'
                                            AND payload -> 'lines' <> '[]' THEN payload -> 'lines'
              ELSE jsonb_build_array(jsonb_build_object('line_no', 0, 'discount_minor', whole,
                                                        'reason', payload ->> 'reason')) END)
              AS l (line_no integer, discount_minor bigint, reason text)) AS g
    WHERE g.discount_minor > 0
    GROUP BY g.line_no;
    PERFORM @extschema@._spread_discounts(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@._on_discount_granted(text, jsonb) IS
    'Handler of loyalty.discount_granted: what offers take off a cart, by line or in proportion. The same redemption '
    'counts once. US001 when the order is placed already.';

CREATE FUNCTION @extschema@._on_offer_released(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT o.id FROM @extschema@.orders AS o
        WHERE o.status = 'cart' AND o.id IN (SELECT d.order_id FROM @extschema@.order_discounts AS d
                                             WHERE d.source = payload ->> 'redemption_id')
        ORDER BY o.id FOR NO KEY UPDATE
    LOOP
        DELETE FROM @extschema@.order_discounts AS d
        WHERE d.order_id = given.id AND d.source = payload ->> 'redemption_id';
        PERFORM @extschema@._spread_discounts(given.id);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_offer_released(text, jsonb) IS
    'Handler of loyalty.offer_released: a cart loses the discount; what is placed keeps what was agreed.';

CREATE FUNCTION @extschema@._on_order_settling(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF payload ->> 'reference_type' = 'order' THEN
        PERFORM FROM @extschema@.orders AS o
        WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_settling(text, jsonb) IS
    'Handler of payment.settling and loyalty.redeeming: locks an order before its payments or offers are, so that '
    'both wait in one order.';

CREATE FUNCTION @extschema@._on_shop_customer_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone CONSTANT uuid := coalesce(payload ->> 'customer_id', payload ->> 'user_id')::uuid;
    theirs CONSTANT uuid[] := ARRAY(SELECT o.id FROM @extschema@.orders AS o
        WHERE (o.user_id = gone OR o.customer_id = gone AND o.user_id IS NULL) AND o.status IN ('cart', 'placed')
        ORDER BY o.id FOR NO KEY UPDATE);
    open @extschema@.orders;
BEGIN
    PERFORM @extschema@._take_levels(theirs);
    FOR open IN SELECT o.* FROM @extschema@.orders AS o WHERE o.id = ANY (theirs) ORDER BY o.id LOOP
        PERFORM @extschema@._cancel_order(open, 'user_deleted', NULL);
    END LOOP;
    IF event = 'booking.customer_gone' AND (payload ->> 'is_erased')::boolean THEN
        PERFORM @extschema@._erase_shop(gone);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_shop_customer_gone(text, jsonb) IS
    'Handler of user.deleted, user.erased, customer.erased and booking.customer_gone: '
    'carts and unpaid orders are given up, paid ones go on.';

CREATE FUNCTION @extschema@._on_booking_cancelled_orders(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sold CONSTANT uuid[] := ARRAY(SELECT o.id FROM @extschema@.orders AS o
        WHERE o.reference_type = 'booking' AND o.reference_id = (payload ->> 'id')::uuid
            AND o.status IN ('cart', 'placed', 'paid')
        ORDER BY o.id FOR NO KEY UPDATE);
    open @extschema@.orders;
BEGIN
    PERFORM @extschema@._take_levels(sold);
    FOR open IN SELECT o.* FROM @extschema@.orders AS o WHERE o.id = ANY (sold) ORDER BY o.id LOOP
        PERFORM @extschema@._cancel_order(open, 'booking_cancelled', NULL);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_cancelled_orders(text, jsonb) IS
    'Handler of booking.cancelled: what was sold in it and not handed out is cancelled, and what was paid for that is '
    'proposed for refund; what was handed out stays.';

CREATE FUNCTION @extschema@._on_booking_completed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place CONSTANT uuid := (payload ->> 'location_id')::uuid;
    booking CONSTANT uuid := (payload ->> 'id')::uuid;
    material record;
    available bigint;
    part bigint;
BEGIN
    FOR material IN SELECT m.product_id, m.quantity FROM @extschema@.service_materials AS m
        WHERE m.service_id = (payload ->> 'service_id')::uuid ORDER BY m.product_id
    LOOP
        SELECT l.on_hand - l.reserved INTO available FROM @extschema@.stock_levels AS l
        WHERE l.product_id = material.product_id AND l.location_id = place FOR NO KEY UPDATE;
        -- What was used was used, whatever the books say: what they do not have is told.
        part := least(material.quantity, greatest(coalesce(available, 0), 0));
        IF part > 0 THEN
            PERFORM @extschema@._move_stock(material.product_id, place, -part, 'use', 'booking', booking, NULL, NULL);
        END IF;
        IF part < material.quantity THEN
            PERFORM usher.publish('stock.short', jsonb_build_object('product_id', material.product_id,
                'location_id', place, 'booking_id', booking, 'missing', material.quantity - part));
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_completed(text, jsonb) IS
    'Handler of booking.completed: what its service uses up leaves the stock of its location.';

CREATE FUNCTION @extschema@.set_service_materials(service_id uuid, materials jsonb)
    RETURNS TABLE (product_id uuid, quantity bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    DELETE FROM @extschema@.service_materials AS m WHERE m.service_id = set_service_materials.service_id;
    RETURN QUERY
    INSERT INTO @extschema@.service_materials AS m (service_id, product_id, quantity)
    SELECT set_service_materials.service_id, w.product_id, sum(w.quantity)::bigint
    FROM @extschema@._wanted_lines(materials, 'materials') AS w
    GROUP BY w.product_id ORDER BY w.product_id
    RETURNING m.product_id, m.quantity;
END
$$;
COMMENT ON FUNCTION @extschema@.set_service_materials(uuid, jsonb) IS
    'What one booking of a service uses up when it is completed: [{"product_id", "quantity"}, …], instead of what was '
    'said before. Needs product:manage.';

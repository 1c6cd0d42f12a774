-- What happens to orders and stock when something happened elsewhere. Payments, bookings and users are known by their
-- events only.

CREATE FUNCTION @extschema@._on_order_payment(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders;
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'order'
       OR payload ->> 'reference_id' !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM @extschema@.orders AS o WHERE o.id = (payload ->> 'reference_id')::uuid FOR NO KEY UPDATE;
    IF known.id IS NULL OR known.status = 'cart' OR payload ->> 'currency' IS DISTINCT FROM known.currency THEN
        RETURN; -- of another shop, or money that whoever takes it has to explain
    END IF;
    -- All payments for the order together, where the publisher says so.
    PERFORM @extschema@._settle_order(known.id, coalesce(
        (payload ->> 'reference_captured_minor')::bigint - (payload ->> 'reference_refunded_minor')::bigint,
        known.paid_minor + (payload ->> 'captured_minor')::bigint, known.paid_minor));
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_payment(text, jsonb) IS
    'Handler of payment.completed: the order is paid when enough is; what comes for a cancelled one is proposed for '
    'refund.';

CREATE FUNCTION @extschema@._on_order_settling(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF payload ->> 'reference_type' = 'order'
       AND payload ->> 'reference_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        PERFORM FROM @extschema@.orders AS o WHERE o.id = (payload ->> 'reference_id')::uuid FOR NO KEY UPDATE;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_settling(text, jsonb) IS
    'Handler of payment.settling: locks an order before its payments are, so that both wait in one order.';

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
    FROM @extschema@._wanted_lines(materials) AS w
    GROUP BY w.product_id ORDER BY w.product_id
    RETURNING m.product_id, m.quantity;
END
$$;
COMMENT ON FUNCTION @extschema@.set_service_materials(uuid, jsonb) IS
    'What one booking of a service uses up when it is completed: [{"product_id", "quantity"}, …], instead of what was '
    'said before. Needs product:manage.';

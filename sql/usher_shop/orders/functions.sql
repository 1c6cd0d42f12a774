-- Orders: customers their own, staff those of their locations. Every function locks the order first, and then its
-- lines in the order in which levels are taken.

CREATE TYPE @extschema@.order_details AS (
    order_id uuid, status text, customer_id uuid, customer usher.user_reference, location_id uuid, currency text,
    discount_minor bigint, net_minor bigint, tax_minor bigint, total_minor bigint, paid_minor bigint,
    refunded_minor bigint, payment_status text,
    reference_type text, reference_id uuid, ship_to jsonb, notes text, reason_code text, lines jsonb,
    placed_at timestamptz, expires_at timestamptz, created_at timestamptz, updated_at timestamptz, version integer);
COMMENT ON TYPE @extschema@.order_details IS
    'An order as it is read, with its lines. payment_status: unpaid, partly_paid, paid, partly_refunded or refunded, '
    'as payments have it.';

CREATE FUNCTION @extschema@._check_order() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_check_order';
COMMENT ON FUNCTION @extschema@._check_order() IS
    'Row trigger of orders: status and sums follow from lines and payments.';

CREATE FUNCTION @extschema@._follow_order() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_follow_order';
COMMENT ON FUNCTION @extschema@._follow_order() IS
    'Row trigger of orders: every status is a row of order_events, and published with the lines.';

CREATE FUNCTION @extschema@._check_order_line() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_check_line';
COMMENT ON FUNCTION @extschema@._check_order_line() IS
    'Row trigger of order_lines: in a cart they follow the catalogue, then only progress changes. UC005 for what is '
    'not for sale, UC008 for more than is left.';

CREATE FUNCTION @extschema@._follow_order_line() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_follow_line';
COMMENT ON FUNCTION @extschema@._follow_order_line() IS
    'Row trigger of order_lines: the stock, the sums and the status of the order follow.';

CREATE FUNCTION @extschema@._guard_order_lines() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_guard_lines';
COMMENT ON FUNCTION @extschema@._guard_order_lines() IS
    'Trigger of order_lines: lines are taken out of carts only.';

CREATE FUNCTION @extschema@._guard_order_events() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_guard_events';
COMMENT ON FUNCTION @extschema@._guard_order_events() IS
    'Trigger of order_events: numbers and stamps what is added, and refuses everything else with UC009.';

CREATE FUNCTION @extschema@._forget_order_events(order_ids uuid[]) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_forget_events';
COMMENT ON FUNCTION @extschema@._forget_order_events(uuid[]) IS
    'Empties what applications have written down about orders of erased customers; the events stay.';

CREATE FUNCTION @extschema@._hold_customer(user_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_hold_customer';
COMMENT ON FUNCTION @extschema@._hold_customer(uuid) IS
    'Whoever deletes the user waits until this transaction is over; US005 when they are gone already.';

CREATE FUNCTION @extschema@._order_lines_json(order_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(jsonb_build_object('line_no', l.line_no, 'product_id', l.product_id, 'sku', l.sku,
        'name', p.name,
        'category', p.category, 'ordered', l.quantity, 'quantity', l.quantity - l.cancelled - l.returned,
        'price_minor', l.unit_price_minor,
        'amount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor,
        'discount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor
                          - l.net_minor - CASE WHEN l.tax_included THEN l.tax_minor ELSE 0 END,
        'total_minor', l.gross_minor) ORDER BY l.line_no), '[]')
    FROM @extschema@.order_lines AS l JOIN @extschema@.products AS p ON p.id = l.product_id
    WHERE l.order_id = _order_lines_json.order_id;
END;
COMMENT ON FUNCTION @extschema@._order_lines_json(uuid) IS
    'The lines as events have them: quantity and sums of what is neither cancelled nor returned.';

CREATE FUNCTION @extschema@._spread_discounts(order_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_spread_discounts';
COMMENT ON FUNCTION @extschema@._spread_discounts(uuid) IS
    'Gives the lines of a cart what order_discounts grants, as far as they cost something.';

CREATE FUNCTION @extschema@._price_order(order_id uuid) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_price_order';
COMMENT ON FUNCTION @extschema@._price_order(uuid) IS
    'Looks the prices of a cart up once more, and publishes order.placing for those who have offers; returns the '
    'total.';

CREATE FUNCTION @extschema@._place_order(order_id uuid, expected_total_minor bigint, payment_time interval)
    RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_place_order';
COMMENT ON FUNCTION @extschema@._place_order(uuid, bigint, interval) IS
    'Fixes what a cart says, reserves its stock, and publishes order.placing and order.placed.';

CREATE FUNCTION @extschema@._settle_order(order_id uuid, paid_minor bigint, refunded_minor bigint DEFAULT NULL,
                                          recorded_minor bigint DEFAULT 0, event text DEFAULT '')
    RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_settle_order';
COMMENT ON FUNCTION @extschema@._settle_order(uuid, bigint, bigint, bigint, text) IS
    'Notes what payments have come to and what of them went back (NULL: as before), and what was recorded beside '
    'them, and does what follows from it and from the lines. The event is that of payments, if it is one.';

CREATE FUNCTION @extschema@._settle_changed_orders() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> '@extschema@.order_lines'::regclass OR TG_LEVEL <> 'STATEMENT' OR TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'trigger "%" must fire AFTER UPDATE ON order_lines FOR EACH STATEMENT', TG_NAME
            USING ERRCODE = '39P01';
    END IF;
    PERFORM @extschema@._settle_order(o.id, NULL)
    FROM @extschema@.orders AS o
    WHERE o.id IN (SELECT c.order_id FROM changed_lines AS c) AND o.status <> 'cart';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_changed_orders() IS
    'Statement trigger of order_lines: what follows for their orders, once for all of their lines.';

CREATE FUNCTION @extschema@._end_order(order_id uuid, status text) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_end_order';
COMMENT ON FUNCTION @extschema@._end_order(uuid, text) IS 'Completes an order, or gives a cart up.';

CREATE FUNCTION @extschema@._acting_customer() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END;
END
$$;
COMMENT ON FUNCTION @extschema@._acting_customer() IS
    'The user who acts for themselves. NULL for an API key: it may do what it holds a permission for, and one''s own '
    'orders need none.';

CREATE FUNCTION @extschema@._describe_orders(order_ids uuid[]) RETURNS SETOF @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(DISTINCT o.user_id) INTO people FROM @extschema@.orders AS o
    WHERE o.id = ANY (order_ids) AND o.user_id IS NOT NULL;
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT o.id, o.status, o.customer_id, k.reference, o.location_id, o.currency, o.discount_minor, o.net_minor,
        o.tax_minor, o.total_minor, o.paid_minor, o.refunded_minor,
        CASE WHEN o.refunded_minor > 0 AND o.paid_minor <= 0 THEN 'refunded'
             WHEN o.refunded_minor > 0 THEN 'partly_refunded'
             WHEN o.paid_minor >= o.total_minor
                  AND (o.paid_minor > 0 OR o.status NOT IN ('cart', 'cancelled')) THEN 'paid'
             WHEN o.paid_minor > 0 THEN 'partly_paid' ELSE 'unpaid' END,
        o.reference_type, o.reference_id, o.ship_to, o.notes, o.reason_code,
        coalesce((SELECT jsonb_agg(to_jsonb(l) - '{id,order_id,reservation_id}'::text[] ORDER BY l.line_no)
                  FROM @extschema@.order_lines AS l WHERE l.order_id = o.id), '[]'),
        o.placed_at, o.expires_at, o.created_at, o.updated_at, o.version
    FROM unnest(order_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.orders AS o ON o.id = wanted.id
        LEFT JOIN known AS k ON k.id = o.user_id
    ORDER BY wanted.position;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_orders(uuid[]) IS
    'Orders as they are read, with one look-up of users for the whole batch.';

CREATE FUNCTION @extschema@._lock_order(order_id uuid, permission text, own boolean, expected_version integer)
    RETURNS @extschema@.orders
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders;
    is_own boolean;
BEGIN
    SELECT * INTO known FROM @extschema@.orders AS o WHERE o.id = _lock_order.order_id FOR NO KEY UPDATE;
    is_own := coalesce(known.user_id = @extschema@._acting_customer(), false);
    -- The answer is the same for an order that does not exist and for one of somebody else.
    IF NOT is_own AND NOT @extschema@._shop_may('order:read', known.location_id)
       AND NOT @extschema@._shop_may(permission, known.location_id) OR known.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'order does not exist',
                                  jsonb_build_object('order_id', _lock_order.order_id));
    END IF;
    IF NOT (own AND is_own) THEN
        PERFORM @extschema@._shop_require(permission, known.location_id);
    END IF;
    IF expected_version <> known.version THEN
        PERFORM usher.raise_error('stale_version', 'order was changed by somebody else',
            jsonb_build_object('id', known.id, 'expected_version', expected_version, 'version', known.version));
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_order(uuid, text, boolean, integer) IS
    'The order, locked, for its customer (own) or somebody with the permission at its location.';

CREATE FUNCTION @extschema@._order_now(order_id uuid) RETURNS @extschema@.order_details
    LANGUAGE sql VOLATILE
    RETURN (SELECT d FROM @extschema@._describe_orders(ARRAY[order_id]) AS d);
COMMENT ON FUNCTION @extschema@._order_now(uuid) IS 'The order as it has become.';

CREATE FUNCTION @extschema@._wanted_lines(lines jsonb, argument text DEFAULT 'lines')
    RETURNS TABLE (number bigint, product_id uuid, quantity bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lines IS NULL OR jsonb_typeof(lines) <> 'array' OR jsonb_array_length(lines) > 1000
       OR EXISTS (SELECT FROM jsonb_array_elements(lines) AS e
            WHERE jsonb_typeof(e.value) <> 'object' OR NOT coalesce(
                e.value ->> 'quantity' ~ '^[1-9][0-9]{0,11}$' AND jsonb_typeof(e.value -> 'quantity') = 'number'
                AND usher.uuid_or_null(e.value ->> 'product_id') IS NOT NULL, false)) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('%s must be an array of product_id and quantity (a whole number above 0), at most 1000', argument),
            jsonb_build_object('argument', argument));
    END IF;
    RETURN QUERY SELECT e.number, (e.value ->> 'product_id')::uuid, (e.value ->> 'quantity')::bigint
        FROM jsonb_array_elements(lines) WITH ORDINALITY AS e (value, number) ORDER BY e.number;
END
$$;
COMMENT ON FUNCTION @extschema@._wanted_lines(jsonb, text) IS 'Lines of a cart as callers write them.';

CREATE FUNCTION @extschema@.create_order(location_id uuid, lines jsonb DEFAULT '[]', customer_id uuid DEFAULT NULL,
                                         currency text DEFAULT NULL, ship_to jsonb DEFAULT NULL,
                                         notes text DEFAULT NULL, reference_type text DEFAULT NULL,
                                         reference_id uuid DEFAULT NULL, id uuid DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made CONSTANT uuid := coalesce(create_order.id, usher.uuid_v7());
    person CONSTANT uuid := @extschema@._acting_customer();
    customer CONSTANT uuid := coalesce(create_order.customer_id, usher.actor_id());
    answer jsonb;
    account uuid;
BEGIN
    IF customer IS DISTINCT FROM person OR person IS NULL THEN
        PERFORM @extschema@._shop_require('order:manage', create_order.location_id);
    END IF;
    IF customer IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'customer_id is needed',
                                  jsonb_build_object('argument', 'customer_id'));
    END IF;
    answer := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function', 'create_order',
        'location_id', create_order.location_id, 'lines', lines, 'customer_id', customer, 'currency',
        create_order.currency, 'ship_to', create_order.ship_to, 'notes', create_order.notes, 'reference_type',
        create_order.reference_type, 'reference_id', create_order.reference_id, 'id', create_order.id));
    IF answer IS NOT NULL THEN
        -- of whom and where the caller may order, as asked above
        IF NOT EXISTS (SELECT FROM @extschema@.orders AS o
                       WHERE o.id = (answer ->> 'order_id')::uuid AND o.customer_id = customer
                           AND o.location_id = create_order.location_id) THEN
            PERFORM usher.raise_error('unknown_reference', 'order does not exist', answer);
        END IF;
        RETURN @extschema@._order_now((answer ->> 'order_id')::uuid);
    END IF;
    SELECT r.id INTO account FROM usher.references_of(ARRAY[customer]) AS r;
    INSERT INTO @extschema@.orders (id, customer_id, user_id, location_id, currency, ship_to, notes, reference_type,
                                    reference_id, created_by)
    VALUES (made, customer, account, create_order.location_id,
            coalesce(create_order.currency, usher.setting('shop.currency')), create_order.ship_to, create_order.notes,
            create_order.reference_type, create_order.reference_id, usher.actor_id());
    INSERT INTO @extschema@.order_lines (order_id, product_id, quantity)
    SELECT made, w.product_id, w.quantity FROM @extschema@._wanted_lines(lines) AS w ORDER BY w.number;
    PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('order_id', made));
    RETURN @extschema@._order_now(made);
END
$$;
COMMENT ON FUNCTION @extschema@.create_order(uuid, jsonb, uuid, text, jsonb, text, text, uuid, uuid, text) IS
    'Begins a cart at a location, with [{"product_id", "quantity"}, …]: one''s own, or with order:manage of any '
    'customer. Nothing is reserved before place_order(). UC005 for what is not for sale.';

CREATE FUNCTION @extschema@.set_order_line(order_id uuid, quantity bigint, product_id uuid DEFAULT NULL,
                                           line_no integer DEFAULT NULL, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders := @extschema@._lock_order(set_order_line.order_id, 'order:manage', true,
                                                         expected_version);
BEGIN
    IF (set_order_line.product_id IS NULL) = (set_order_line.line_no IS NULL) THEN
        PERFORM usher.raise_error('invalid_argument', 'either product_id, for a new line, or line_no is needed',
                                  jsonb_build_object('argument', 'line_no'));
    ELSIF set_order_line.line_no IS NULL THEN
        INSERT INTO @extschema@.order_lines (order_id, product_id, quantity)
        VALUES (known.id, set_order_line.product_id, set_order_line.quantity);
    ELSE
        IF set_order_line.quantity = 0 THEN
            DELETE FROM @extschema@.order_lines AS l
            WHERE l.order_id = known.id AND l.line_no = set_order_line.line_no;
        ELSE
            UPDATE @extschema@.order_lines AS l SET quantity = set_order_line.quantity
            WHERE l.order_id = known.id AND l.line_no = set_order_line.line_no;
        END IF;
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'line does not exist',
                jsonb_build_object('order_id', known.id, 'line_no', set_order_line.line_no));
        END IF;
    END IF;
    PERFORM @extschema@._spread_discounts(known.id);
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_order_line(uuid, bigint, uuid, integer, integer) IS
    'Adds a line to a cart (product_id), or changes the quantity of one (line_no), 0 to take it out. One''s own, or '
    'with order:manage. US001 when it is placed.';

CREATE FUNCTION @extschema@.discount_order_line(order_id uuid, line_no integer, discount_minor bigint,
                                                reason_code text)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders := @extschema@._lock_order(discount_order_line.order_id, 'order:discount', false, NULL);
    missing name;
    broken name;
BEGIN
    UPDATE @extschema@.order_lines AS l
    SET discount_minor = discount_order_line.discount_minor, granted_minor = 0,
        discount_reason = discount_order_line.reason_code
    WHERE l.order_id = known.id AND l.line_no = discount_order_line.line_no;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'line does not exist',
            jsonb_build_object('order_id', known.id, 'line_no', discount_order_line.line_no));
    END IF;
    PERFORM @extschema@._spread_discounts(known.id);
    RETURN @extschema@._order_now(known.id);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.discount_order_line(uuid, integer, bigint, text) IS
    'Takes so much off a line of a cart, of all its units together, beside what offers take off. Needs '
    'order:discount, everywhere or at the location. 22023 for more than the line costs.';

CREATE FUNCTION @extschema@.preview_order(order_id uuid) RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(preview_order.order_id, 'order:manage', true, NULL);
    details @extschema@.order_details;
BEGIN
    IF known.status <> 'cart' THEN
        RETURN @extschema@._order_now(known.id);
    END IF;
    -- What placing would do, and then nothing of it: the answer cannot differ from what is placed.
    BEGIN
        PERFORM @extschema@._price_order(known.id);
        details := @extschema@._order_now(known.id);
        RAISE SQLSTATE 'UC000' USING MESSAGE = 'previewed';
    EXCEPTION
        WHEN SQLSTATE 'UC000' THEN
            RETURN details;
    END;
END
$$;
COMMENT ON FUNCTION @extschema@.preview_order(uuid) IS
    'The cart as it would be placed now, with the prices of now and all offers; nothing is changed or used up. Its '
    'total_minor is what place_order() expects. One''s own, or with order:manage. UC005 for what is not for sale.';

CREATE FUNCTION @extschema@.place_order(order_id uuid, expected_total_minor bigint DEFAULT NULL,
                                        expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders;
    answer CONSTANT jsonb := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function',
        'place_order', 'order_id', place_order.order_id, 'expected_total_minor', expected_total_minor));
BEGIN
    SELECT * INTO known FROM @extschema@.orders AS o WHERE o.id = place_order.order_id;
    -- People before their orders, as when they are deleted; then the order. What is placed already needs nobody.
    IF answer IS NULL AND known.user_id IS NOT NULL THEN
        PERFORM @extschema@._hold_customer(known.user_id);
    END IF;
    known := @extschema@._lock_order(place_order.order_id, 'order:manage', true, NULL);
    IF answer IS NULL THEN
        IF expected_version <> known.version THEN
            PERFORM usher.raise_error('stale_version', 'order was changed by somebody else', jsonb_build_object('id',
                known.id, 'expected_version', expected_version, 'version', known.version));
        END IF;
        PERFORM @extschema@._place_order(known.id, expected_total_minor,
                                         make_interval(mins => usher.setting('shop.payment_minutes')::integer));
        PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('order_id', known.id));
    END IF;
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.place_order(uuid, bigint, integer, text) IS
    'Orders a cart: prices are those of now, stock is reserved, a payment is opened where usher_payment is installed; '
    'all or nothing. UC001 when something is out of stock, UC005 when it is not for sale, UC007 when it costs another '
    'sum than expected. One''s own, or with order:manage. Not paid in shop.payment_minutes, it is cancelled.';

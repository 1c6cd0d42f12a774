CREATE FUNCTION @extschema@._require_visible_order(order_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    SELECT o.id, o.user_id, o.location_id INTO known
    FROM @extschema@.orders AS o WHERE o.id = _require_visible_order.order_id;
    -- The answer is the same for an order that does not exist and for one of somebody else.
    IF NOT (coalesce(known.user_id = @extschema@._acting_customer(), false)
            OR @extschema@._shop_may('order:read', known.location_id)) OR known.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'order does not exist',
                                  jsonb_build_object('order_id', _require_visible_order.order_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_visible_order(uuid) IS 'Raises US005 unless the actor may know of the order.';

CREATE FUNCTION @extschema@.get_order(order_id uuid) RETURNS @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.order_details;
BEGIN
    PERFORM @extschema@._require_visible_order(get_order.order_id);
    SELECT * INTO known FROM @extschema@._describe_orders(ARRAY[get_order.order_id]);
    RETURN known;
END
$$;
COMMENT ON FUNCTION @extschema@.get_order(uuid) IS
    'One order with its lines: one''s own, or with order:read everywhere or at its location. US005 for others.';

CREATE FUNCTION @extschema@.list_orders(customer_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
                                        statuses text[] DEFAULT NULL, created tstzrange DEFAULT NULL,
                                        reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                        after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    person CONSTANT uuid := @extschema@._acting_customer();
    reads_others CONSTANT boolean := actor IS NULL OR usher.has_permission_somewhere('order:read');
    last_created timestamptz;
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('order:read');
    END IF;
    IF EXISTS (SELECT FROM unnest(statuses) AS s WHERE s IS NULL
               OR s NOT IN ('cart', 'placed', 'paid', 'fulfilled', 'completed', 'cancelled')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of orders',
                                  jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT o.created_at INTO last_created FROM @extschema@.orders AS o
        WHERE o.id = after AND (actor IS NULL OR o.user_id = person
                                OR usher.has_permission('order:read', o.location_id::text));
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'order does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    RETURN QUERY SELECT d.* FROM @extschema@._describe_orders(ARRAY(
        SELECT o.id FROM @extschema@.orders AS o
        WHERE (list_orders.customer_id IS NULL OR o.customer_id = list_orders.customer_id)
            AND (list_orders.location_id IS NULL OR o.location_id = list_orders.location_id)
            AND (list_orders.statuses IS NULL OR o.status = ANY (list_orders.statuses))
            AND (list_orders.created IS NULL OR o.created_at <@ list_orders.created)
            AND (list_orders.reference_type IS NULL OR o.reference_type = list_orders.reference_type)
            AND (list_orders.reference_id IS NULL OR o.reference_id = list_orders.reference_id)
            AND (list_orders.after IS NULL OR (o.created_at, o.id) > (last_created, list_orders.after))
            AND (reads_others OR o.user_id = person)
            AND (actor IS NULL OR NOT reads_others OR o.user_id = person
                 OR usher.has_permission('order:read', o.location_id::text))
        ORDER BY o.created_at, o.id LIMIT max_rows)) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.list_orders(uuid, uuid, text[], tstzrange, text, uuid, uuid, integer) IS
    'The orders that the actor may see, oldest first: customers their own, staff those of their locations. The next '
    'page starts after the last order_id.';

CREATE FUNCTION @extschema@.list_order_events(order_id uuid, after_seq integer DEFAULT 0, max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, event text, from_status text, to_status text, reason_code text, payload jsonb,
                   actor usher.user_reference, created_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require_visible_order(list_order_events.order_id);
    RETURN QUERY
    WITH page AS MATERIALIZED (
        SELECT e.* FROM @extschema@.order_events AS e
        WHERE e.order_id = list_order_events.order_id AND e.seq > after_seq
        ORDER BY e.seq LIMIT max_rows
    ), known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.user_references(ARRAY(SELECT DISTINCT p.actor_id FROM page AS p WHERE p.actor_id IS NOT NULL)) AS r
    )
    SELECT p.seq, p.event, p.from_status, p.to_status, p.reason_code, p.payload, k.reference, p.created_at
    FROM page AS p LEFT JOIN known AS k ON k.id = p.actor_id
    ORDER BY p.seq;
END
$$;
COMMENT ON FUNCTION @extschema@.list_order_events(uuid, integer, integer) IS
    'The history of an order that one may see: every status, and what the application has added.';

-- Row-level security for those who SELECT from the tables themselves.
ALTER TABLE @extschema@.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_own ON @extschema@.orders FOR SELECT
    USING (user_id = (SELECT CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END));
CREATE POLICY orders_of_locations ON @extschema@.orders FOR SELECT
    USING (usher.has_permission('order:read', location_id::text));
CREATE POLICY orders_trusted ON @extschema@.orders FOR SELECT
    USING ((SELECT @extschema@._shop_reads_all('order:read')));

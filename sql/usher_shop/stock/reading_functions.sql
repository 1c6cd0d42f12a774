CREATE TYPE @extschema@.stock_level_details AS (
    product_id uuid, location_id uuid, on_hand bigint, reserved bigint, available bigint, low_threshold bigint,
    backorder_limit bigint);
COMMENT ON TYPE @extschema@.stock_level_details IS 'What is there of a product at a location.';

CREATE TYPE @extschema@.product_availability AS (product_id uuid, location_id uuid, availability text);
COMMENT ON TYPE @extschema@.product_availability IS 'What customers are told of it.';

CREATE FUNCTION @extschema@.get_stock_level(product_ids uuid[], location_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.stock_level_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._shop_require('stock:read', get_stock_level.location_id);
    RETURN QUERY
    SELECT l.product_id, l.location_id, l.on_hand, l.reserved, l.on_hand - l.reserved, l.low_threshold,
           l.backorder_limit
    FROM @extschema@.stock_levels AS l
    WHERE l.product_id = ANY (product_ids)
        AND (get_stock_level.location_id IS NULL OR l.location_id = get_stock_level.location_id)
    ORDER BY l.product_id, l.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@.get_stock_level(uuid[], uuid) IS
    'What is on hand, reserved and available, at one location or at all. Needs stock:read, everywhere or at the '
    'location.';

CREATE FUNCTION @extschema@.list_availability(product_ids uuid[], location_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.product_availability
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT p.id, l.location_id, CASE
        WHEN NOT p.track_stock THEN 'unlimited'
        WHEN l.product_id IS NULL THEN CASE WHEN p.backorder_limit > 0 THEN 'backorder' ELSE 'out' END
        WHEN l.on_hand - l.reserved <= 0 THEN CASE WHEN l.on_hand - l.reserved + l.backorder_limit > 0
                                                   THEN 'backorder' ELSE 'out' END
        WHEN l.on_hand - l.reserved <= l.low_threshold THEN 'low'
        ELSE 'in_stock' END
    FROM @extschema@.products AS p
        LEFT JOIN @extschema@.stock_levels AS l ON l.product_id = p.id
            AND (list_availability.location_id IS NULL OR l.location_id = list_availability.location_id)
    WHERE p.id = ANY (product_ids) AND p.status = 'active'
    ORDER BY p.id, l.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_availability(uuid[], uuid) IS
    'For customers: whether active products are in_stock, low, on backorder, out, or unlimited, at one location or at '
    'all that keep some. How many there are is for stock:read.';

CREATE FUNCTION @extschema@.list_inventory_log(product_id uuid, location_id uuid, during tstzrange DEFAULT NULL,
                                               after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (log_id uuid, created_at timestamptz, movement text, on_hand_delta bigint, reserved_delta bigint,
                   on_hand_after bigint, reserved_after bigint, balance_after bigint, unit_cost_minor bigint,
                   source_type text, source_id uuid, reason_code text, actor_id uuid)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._shop_require('stock:read', list_inventory_log.location_id);
    RETURN QUERY
    SELECT g.id, g.created_at, g.movement, g.on_hand_delta, g.reserved_delta, g.on_hand_after, g.reserved_after,
           g.on_hand_after - g.reserved_after, g.unit_cost_minor, g.source_type, g.source_id, g.reason_code, g.actor_id
    FROM @extschema@.inventory_logs AS g
    WHERE g.product_id = list_inventory_log.product_id AND g.location_id = list_inventory_log.location_id
        AND (during IS NULL OR g.created_at <@ during AND g.created_at >= coalesce(lower(during), '-infinity')
             AND g.created_at <= coalesce(upper(during), 'infinity'))
        AND (list_inventory_log.after IS NULL OR g.id > list_inventory_log.after)
    ORDER BY g.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_inventory_log(uuid, uuid, tstzrange, uuid, integer) IS
    'Every movement of a product at a location, oldest first, with what was there after it. The next page starts '
    'after the last log_id. Needs stock:read, everywhere or at the location.';

-- Row-level security for those who SELECT from the table themselves.
ALTER TABLE @extschema@.stock_levels ENABLE ROW LEVEL SECURITY;
CREATE POLICY levels_of_locations ON @extschema@.stock_levels FOR SELECT
    USING (usher.has_permission('stock:read', location_id::text));
CREATE POLICY levels_trusted ON @extschema@.stock_levels FOR SELECT
    USING ((SELECT @extschema@._shop_reads_all('stock:read')));

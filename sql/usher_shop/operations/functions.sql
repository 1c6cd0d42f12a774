-- What core calls: upkeep, checks, numbers, export and erasure.

CREATE FUNCTION @extschema@._shop_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM usher.upkeep_step('reservations_and_orders_ended',
        format('SELECT %I._end_overdue($1)', '@extschema@'), max_rows);
    RETURN QUERY SELECT * FROM usher.upkeep_step('inventory_partitions_made',
        format('SELECT %I._make_log_partitions($1)', '@extschema@'), max_rows);
    RETURN QUERY SELECT * FROM usher.upkeep_step('inventory_logs_rolled_up',
        format('SELECT %I._roll_up_log($1)', '@extschema@'), max_rows);
END
$$;
COMMENT ON FUNCTION @extschema@._shop_upkeep(integer) IS 'The part of usher_shop in usher.run_maintenance().';

CREATE FUNCTION @extschema@._shop_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'stock_promised_twice', count(*) FROM @extschema@.stock_levels AS l
        WHERE l.reserved < 0 OR l.on_hand - l.reserved < -l.backorder_limit;
    RETURN QUERY SELECT 'levels_differ_from_log', count(*) FROM @extschema@.stock_levels AS l
        FULL JOIN (
            SELECT s.product_id, s.location_id, sum(s.on_hand) AS on_hand, sum(s.reserved) AS reserved
            FROM (SELECT g.product_id, g.location_id, g.on_hand_delta AS on_hand, g.reserved_delta AS reserved
                  FROM @extschema@.inventory_logs AS g
                  UNION ALL
                  SELECT o.product_id, o.location_id, o.on_hand, o.reserved FROM @extschema@.inventory_openings AS o)
                AS s
            GROUP BY s.product_id, s.location_id) AS s ON s.product_id = l.product_id AND s.location_id = l.location_id
        WHERE coalesce(l.on_hand, 0) <> coalesce(s.on_hand, 0) OR coalesce(l.reserved, 0) <> coalesce(s.reserved, 0);
    RETURN QUERY SELECT 'reserved_differs_from_reservations', count(*) FROM @extschema@.stock_levels AS l
        FULL JOIN (
            SELECT r.product_id, r.location_id, sum(r.quantity - r.committed - r.released) AS open
            FROM @extschema@.stock_reservations AS r WHERE r.status = 'held'
            GROUP BY r.product_id, r.location_id) AS r ON r.product_id = l.product_id AND r.location_id = l.location_id
        WHERE coalesce(l.reserved, 0) <> coalesce(r.open, 0);
    RETURN QUERY SELECT 'reservation_amounts_wrong', count(*) FROM @extschema@.stock_reservations AS r
        WHERE r.committed < 0 OR r.released < 0 OR r.returned NOT BETWEEN 0 AND r.committed
            OR (r.status = 'held') <> (r.committed + r.released < r.quantity);
    RETURN QUERY SELECT 'orders_differ_from_lines', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT l.order_id, sum(l.net_minor) AS net, sum(l.tax_minor) AS tax, sum(l.gross_minor) AS gross
                   FROM @extschema@.order_lines AS l GROUP BY l.order_id) AS l ON l.order_id = o.id
        WHERE o.net_minor <> coalesce(l.net, 0) OR o.tax_minor <> coalesce(l.tax, 0)
            OR o.total_minor <> coalesce(l.gross, 0);
    RETURN QUERY SELECT 'order_lines_differ_from_stock', count(*) FROM @extschema@.order_lines AS l
        JOIN @extschema@.stock_reservations AS r ON r.id = l.reservation_id
        JOIN @extschema@.orders AS o ON o.id = l.order_id
        -- What was paid for is committed before it is sent; what of that is cancelled has returned.
        WHERE l.quantity <> r.quantity OR l.cancelled + l.returned <> r.released + r.returned
            OR r.returned < l.returned OR r.committed - r.returned < l.fulfilled - l.returned
            OR o.status = 'placed' AND r.committed <> l.fulfilled;
    RETURN QUERY SELECT 'order_discounts_differ', count(*) FROM (
        SELECT d.order_id, sum(d.discount_minor) AS granted FROM @extschema@.order_discounts AS d GROUP BY d.order_id)
            AS d
        FULL JOIN (SELECT l.order_id, sum(l.granted_minor) AS given FROM @extschema@.order_lines AS l
                   WHERE l.granted_minor > 0 GROUP BY l.order_id) AS l ON l.order_id = d.order_id
        WHERE coalesce(l.given, 0) > coalesce(d.granted, 0);
    RETURN QUERY SELECT 'product_facets_differ', count(*) FROM @extschema@.products AS p
        WHERE @extschema@._product_facets(p) <> ARRAY(SELECT f.facet FROM @extschema@.product_facets AS f
                     WHERE f.product_id = p.id AND f.name = p.name ORDER BY f.facet);
    RETURN QUERY SELECT 'order_events_have_gaps', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT e.order_id, count(*) AS count, max(e.seq) AS last
                   FROM @extschema@.order_events AS e GROUP BY e.order_id) AS e ON e.order_id = o.id
        WHERE o.event_count <> coalesce(e.count, 0) OR o.event_count <> coalesce(e.last, 0);
    RETURN QUERY SELECT 'order_status_differs', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT l.order_id, bool_and(l.fulfilled + l.cancelled = l.quantity) AS is_done
                   FROM @extschema@.order_lines AS l GROUP BY l.order_id) AS l ON l.order_id = o.id
        WHERE o.status = 'placed' AND o.paid_minor >= o.total_minor
            OR o.status = 'paid' AND l.is_done OR o.status IN ('fulfilled', 'completed') AND NOT l.is_done
            OR o.paid_minor - o.kept_minor > CASE WHEN o.placed_at IS NOT NULL THEN o.total_minor ELSE 0 END
                AND o.status <> 'cart';
END
$$;
COMMENT ON FUNCTION @extschema@._shop_self_check() IS
    'The part of usher_shop in usher.self_check(): what must never be, rule by rule.';

CREATE FUNCTION @extschema@._shop_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT format('tax class %s has no rate', p.tax_class), 'warning',
        format('SELECT %I.set_tax_rate(%L, …): what has this class cannot be ordered until then.', '@extschema@',
               p.tax_class)
    FROM (SELECT DISTINCT a.tax_class FROM @extschema@.products AS a
          WHERE a.status = 'active' AND a.tax_class IS NOT NULL) AS p
    WHERE NOT EXISTS (SELECT FROM @extschema@.tax_rates AS r
                      WHERE r.tax_class = p.tax_class AND r.valid_from <= now())
    ORDER BY p.tax_class;
END
$$;
COMMENT ON FUNCTION @extschema@._shop_configuration() IS 'The part of usher_shop in usher.check_configuration().';

CREATE FUNCTION @extschema@._shop_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.stock_levels');
BEGIN
    -- Of many levels a sample is counted: an index of those that are out would be changed by every movement.
    RETURN QUERY SELECT 'usher_shop_levels_out', '{}'::jsonb, round(count(*) * 100 / percent)::double precision,
            'Products of which a location has none left.'
        FROM @extschema@.stock_levels AS l TABLESAMPLE SYSTEM (percent) WHERE l.on_hand - l.reserved <= 0;
    RETURN QUERY SELECT 'usher_shop_reservations_overdue', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.stock_reservations AS r
            WHERE r.status = 'held' AND r.expires_at <= now()$sql$)::double precision,
        'Reservations that have run out and wait for upkeep.';
END
$$;
COMMENT ON FUNCTION @extschema@._shop_metrics() IS 'The part of usher_shop in usher.metrics().';

CREATE FUNCTION @extschema@._shop_health() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    overdue bigint;
BEGIN
    overdue := usher.count_or_estimate($sql$SELECT FROM @extschema@.stock_reservations AS r
        WHERE r.status = 'held' AND r.expires_at < now() - interval '1 hour'$sql$);
    RETURN CASE WHEN overdue > 0
                THEN format('%s reservations should have ended more than an hour ago', overdue) END;
END
$$;
COMMENT ON FUNCTION @extschema@._shop_health() IS 'The part of usher_shop in usher.health().';

CREATE FUNCTION @extschema@._export_shop(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _export_shop.user_id;
BEGIN
    RETURN jsonb_build_object(
        'orders', coalesce((SELECT jsonb_agg(to_jsonb(o) - 'created_by' || jsonb_build_object(
                'lines', (SELECT jsonb_agg(to_jsonb(l) - '{id,order_id,reservation_id}'::text[] ORDER BY l.line_no)
                          FROM @extschema@.order_lines AS l WHERE l.order_id = o.id),
                'events', (SELECT jsonb_agg(to_jsonb(e) - '{order_id,actor_id}'::text[] ORDER BY e.seq)
                           FROM @extschema@.order_events AS e WHERE e.order_id = o.id)) ORDER BY o.created_at, o.id)
            FROM @extschema@.orders AS o
            WHERE o.user_id = target OR o.customer_id = target AND o.user_id IS NULL), '[]'),
        'reservations', coalesce((SELECT jsonb_agg(to_jsonb(r) - 'created_by' ORDER BY r.created_at, r.id)
            FROM @extschema@.stock_reservations AS r WHERE r.created_by = target), '[]'));
END
$$;
COMMENT ON FUNCTION @extschema@._export_shop(uuid) IS
    'The part of usher_shop in usher.export_user() and export_customer().';

CREATE FUNCTION @extschema@._erase_shop(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _erase_shop.user_id;
    theirs CONSTANT uuid[] := ARRAY(SELECT o.id FROM @extschema@.orders AS o
                                    WHERE o.user_id = target OR o.customer_id = target AND o.user_id IS NULL);
    total bigint := @extschema@._forget_order_events(theirs);
    changed bigint;
BEGIN
    UPDATE @extschema@.orders AS o SET ship_to = NULL, notes = NULL
    WHERE o.id = ANY (theirs) AND (o.ship_to IS NOT NULL OR o.notes IS NOT NULL);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    -- Goods are not people: quantities stay, and so do the ids of staff who moved them, which say nothing any more.
    UPDATE @extschema@.stock_reservations AS r SET created_by = NULL WHERE r.created_by = target;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN total + changed + usher.forget_notes('@extschema@.orders', theirs);
END
$$;
COMMENT ON FUNCTION @extschema@._erase_shop(uuid) IS
    'The part of usher_shop in usher.erase_user() and erase_customer(): orders keep their sums and lose addresses '
    'and notes, and quantities stay, without whose reservations they were.';

\echo Use "ALTER EXTENSION usher_shop UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_shop') AS x ON x.object = d.object
WHERE d.extension = 'usher_shop'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

DROP FUNCTION @extschema@._shop_metrics();

CREATE OR REPLACE FUNCTION @extschema@._order_lines_json(order_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(jsonb_build_object('line_no', l.line_no, 'product_id', l.product_id, 'sku', l.sku,
        'category', p.category, 'ordered', l.quantity, 'quantity', l.quantity - l.cancelled - l.returned,
        'price_minor', l.unit_price_minor,
        'amount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor,
        'discount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor
                          - l.net_minor - CASE WHEN l.tax_included THEN l.tax_minor ELSE 0 END,
        'total_minor', l.gross_minor) ORDER BY l.line_no), '[]')
    FROM @extschema@.order_lines AS l JOIN @extschema@.products AS p ON p.id = l.product_id
    WHERE l.order_id = _order_lines_json.order_id;
END;
CREATE FUNCTION @extschema@._shop_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.stock_levels');
BEGIN
    -- Of many levels a sample is counted: an index of those that are out would be changed by every movement.
    RETURN QUERY SELECT 'usher_shop_levels_out', '{}'::jsonb, round(count(*) * 100 / percent)::double precision
        FROM @extschema@.stock_levels AS l TABLESAMPLE SYSTEM (percent) WHERE l.on_hand - l.reserved <= 0;
    RETURN QUERY SELECT 'usher_shop_reservations_overdue', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.stock_reservations AS r
            WHERE r.status = 'held' AND r.expires_at <= now()$sql$)::double precision;
END
$$;
COMMENT ON FUNCTION @extschema@._shop_metrics() IS 'The part of usher_shop in usher.metrics().';
SELECT usher.finish_extension();

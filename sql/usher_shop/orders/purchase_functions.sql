-- What others may rely on who give discounts: who orders what, for how much and where.

CREATE FUNCTION @extschema@._purchase_of(reference_id uuid)
    RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text,
                   location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'order', o.customer_id, o.user_id,
           (SELECT coalesce(sum(l.quantity * l.unit_price_minor), 0)::bigint
            FROM @extschema@.order_lines AS l WHERE l.order_id = o.id),
           o.currency, o.location_id, NULL::uuid, @extschema@._order_lines_json(o.id), NULL::timestamptz,
           o.status = 'cart'
    FROM @extschema@.orders AS o WHERE o.id = _purchase_of.reference_id;
END
$$;
COMMENT ON FUNCTION @extschema@._purchase_of(uuid) IS
    'The part of usher_shop in usher.purchase_of(): carts, which take discounts, and orders. amount_minor and lines '
    'are those of order.placing.';

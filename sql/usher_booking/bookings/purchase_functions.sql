-- What others may rely on who give discounts: who books what, for how much, where and when.

CREATE FUNCTION @extschema@._booked_purchase(reference_id uuid)
    RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text,
                   location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'booking', b.customer_id, b.customer_user_id, b.price_minor, b.currency, b.location_id, b.service_id,
           '[]'::jsonb, b.start_at, b.status IN ('pending', 'confirmed', 'in_progress')
    FROM @extschema@.bookings AS b WHERE b.id = _booked_purchase.reference_id;
END
$$;
COMMENT ON FUNCTION @extschema@._booked_purchase(uuid) IS
    'The part of usher_booking in usher.purchase_of(): what a booking costs before discounts, and when it is for. One '
    'that is over or cancelled takes none any more.';

CREATE FUNCTION @extschema@._on_loyalty_customer_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customers CONSTANT uuid[] := @extschema@._loyalty_customers((payload ->> 'user_id')::uuid);
BEGIN
    UPDATE @extschema@.points_accounts AS a SET closed_at = now()
    WHERE a.customer_id = ANY (customers) AND a.closed_at IS NULL;
    -- What they have reserved is nobody's any more.
    UPDATE @extschema@.reward_redemptions AS r SET status = 'reversed', reason_code = 'user_deleted'
    WHERE r.status = 'reserved' AND r.customer_id = ANY (customers);
    UPDATE @extschema@.referrals AS r SET status = 'rejected', reason_code = 'user_deleted'
    WHERE r.status IN ('pending', 'qualified')
        AND r.id IN (SELECT o.id FROM @extschema@.referrals AS o WHERE o.referrer_id = ANY (customers)
                     UNION SELECT o.id FROM @extschema@.referrals AS o WHERE o.referee_id = ANY (customers));
END
$$;
COMMENT ON FUNCTION @extschema@._on_loyalty_customer_gone(text, jsonb) IS
    'Handler of user.deleted and user.erased: nothing is earned or spent any more, reserved rewards are given back, '
    'open referrals rejected.';

CREATE FUNCTION @extschema@._on_tier_changed(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member uuid;
    current text;
BEGIN
    -- What is true now: events that wait for each other say what was.
    SELECT a.user_id, coalesce(a.tier, 'FREE') INTO member, current FROM @extschema@.points_accounts AS a
    WHERE a.customer_id = (payload ->> 'customer_id')::uuid AND a.closed_at IS NULL;
    IF member IS NOT NULL THEN
        PERFORM usher.set_user_tier(member, current);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_tier_changed(text, jsonb) IS
    'Handler of loyalty.tier_changed: the tier of the user, which rate limits know, follows.';

CREATE FUNCTION @extschema@._on_purchase_cancelled(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_booking CONSTANT boolean := event = 'booking.cancelled';
    reference CONSTANT text := payload ->> 'id';
BEGIN
    IF reference ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        PERFORM @extschema@._release_offers(CASE WHEN is_booking THEN 'booking' ELSE 'order' END, reference::uuid);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_purchase_cancelled(text, jsonb) IS
    'Handler of booking.cancelled and order.cancelled: offers that it has used can be used again.';

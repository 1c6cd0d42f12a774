CREATE FUNCTION @extschema@._loyalty_customers(user_id uuid) RETURNS uuid[]
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT array_agg(a.customer_id) FROM (
        SELECT a.customer_id FROM @extschema@.points_accounts AS a
        WHERE a.user_id = _loyalty_customers.user_id AND a.customer_id <> _loyalty_customers.user_id
        UNION ALL
        -- their own id, unless it is that of a profile of somebody else
        SELECT _loyalty_customers.user_id
        WHERE NOT EXISTS (SELECT FROM @extschema@.points_accounts AS a
                          WHERE a.customer_id = _loyalty_customers.user_id AND a.user_id <> a.customer_id)) AS a;
END;
COMMENT ON FUNCTION @extschema@._loyalty_customers(uuid) IS
    'The customers that a user is, or the one that has this id and no account.';

CREATE FUNCTION @extschema@._on_loyalty_customer_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone CONSTANT uuid := coalesce(payload ->> 'customer_id', payload ->> 'user_id')::uuid;
    customers CONSTANT uuid[] := @extschema@._loyalty_customers(gone);
    reserved uuid;
BEGIN
    -- Referrals and redemptions before accounts, each in one order.
    PERFORM FROM @extschema@.referrals AS r
    WHERE r.status IN ('pending', 'qualified')
        AND r.id IN (SELECT o.id FROM @extschema@.referrals AS o WHERE o.referrer_id = ANY (customers)
                     UNION SELECT o.id FROM @extschema@.referrals AS o WHERE o.referee_id = ANY (customers))
    ORDER BY r.id FOR NO KEY UPDATE;
    UPDATE @extschema@.referrals AS r SET status = 'rejected', reason_code = 'user_deleted'
    WHERE r.status IN ('pending', 'qualified')
        AND r.id IN (SELECT o.id FROM @extschema@.referrals AS o WHERE o.referrer_id = ANY (customers)
                     UNION SELECT o.id FROM @extschema@.referrals AS o WHERE o.referee_id = ANY (customers));
    PERFORM FROM @extschema@.reward_redemptions AS r
    WHERE r.status = 'reserved' AND r.customer_id = ANY (customers) ORDER BY r.customer_id, r.id FOR NO KEY UPDATE;
    PERFORM FROM @extschema@.points_accounts AS a
    WHERE a.customer_id = ANY (customers) ORDER BY a.customer_id FOR NO KEY UPDATE;
    UPDATE @extschema@.points_accounts AS a SET closed_at = now()
    WHERE a.customer_id = ANY (customers) AND a.closed_at IS NULL;
    -- What they have reserved is nobody's any more. Of what was reserved since the first look, what somebody else
    -- changes at this moment is left to them: whoever holds accounts does not wait for redemptions.
    FOR reserved IN
        SELECT r.id FROM @extschema@.reward_redemptions AS r
        WHERE r.status = 'reserved' AND r.customer_id = ANY (customers)
        ORDER BY r.reward_id, r.id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE @extschema@.reward_redemptions AS r SET status = 'reversed', reason_code = 'user_deleted'
        WHERE r.id = reserved AND r.status = 'reserved';
    END LOOP;
    IF event = 'booking.customer_gone' AND (payload ->> 'is_erased')::boolean THEN
        PERFORM @extschema@._erase_loyalty(gone);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_loyalty_customer_gone(text, jsonb) IS
    'Handler of user.deleted, user.erased, customer.erased and booking.customer_gone: '
    'nothing is earned or spent any more, reserved '
    'rewards are given back, open referrals rejected.';

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
    reference CONSTANT uuid := usher.uuid_or_null(payload ->> 'id');
BEGIN
    IF reference IS NOT NULL THEN
        PERFORM @extschema@._release_offers(CASE WHEN is_booking THEN 'booking' ELSE 'order' END, reference);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_purchase_cancelled(text, jsonb) IS
    'Handler of booking.cancelled, order.cancelled and order.abandoned: offers that it has used can be used again.';

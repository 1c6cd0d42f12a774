CREATE FUNCTION @extschema@._on_customer_gone(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone CONSTANT uuid := (payload ->> 'user_id')::uuid;
BEGIN
    UPDATE @extschema@.points_accounts AS a SET closed_at = now(), updated_at = now()
    WHERE (a.user_id = gone OR a.customer_id = gone) AND a.closed_at IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._on_customer_gone(text, jsonb) IS
    'Handler of user.deleted and user.erased: nothing is earned or spent any more.';

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

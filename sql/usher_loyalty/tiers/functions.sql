CREATE TYPE @extschema@.loyalty_tier_details AS (
    code text, rank integer, basis text, threshold bigint, currency text, counts_back interval, grace interval,
    is_active boolean, version integer);
COMMENT ON TYPE @extschema@.loyalty_tier_details IS 'A tier of customers, and how it is earned.';

CREATE FUNCTION @extschema@._review_tier(customer_id uuid) RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_review_tier';
COMMENT ON FUNCTION @extschema@._review_tier(uuid) IS 'Gives a customer the tier that they have earned by now.';

CREATE FUNCTION @extschema@.define_tier(code text, rank integer, threshold bigint, basis text DEFAULT 'points',
                                        currency text DEFAULT NULL, counts_back interval DEFAULT '1 year',
                                        grace interval DEFAULT '0', is_active boolean DEFAULT true)
    RETURNS @extschema@.loyalty_tier_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made @extschema@.loyalty_tier_details;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF define_tier.currency IS NOT NULL THEN
        PERFORM @extschema@._require_amount(define_tier.threshold, define_tier.currency, 'threshold');
    END IF;
    INSERT INTO @extschema@.loyalty_tiers AS t (code, rank, basis, threshold, currency, counts_back, grace, is_active)
    VALUES (define_tier.code, define_tier.rank, define_tier.basis, define_tier.threshold, define_tier.currency,
            define_tier.counts_back, define_tier.grace, define_tier.is_active)
    ON CONFLICT (code) DO UPDATE
    SET rank = EXCLUDED.rank, basis = EXCLUDED.basis, threshold = EXCLUDED.threshold, currency = EXCLUDED.currency,
        counts_back = EXCLUDED.counts_back, grace = EXCLUDED.grace, is_active = EXCLUDED.is_active,
        version = t.version + 1
    RETURNING t.code, t.rank, t.basis, t.threshold, t.currency, t.counts_back, t.grace, t.is_active, t.version
        INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.define_tier(text, integer, bigint, text, text, interval, interval, boolean) IS
    'Makes or changes a tier: of whoever has earned so many points, or spent so many minor units of a currency on '
    'bookings, by payments or on orders, as far back as counts_back. Whoever no longer does keeps it for its grace. '
    'Customers are given their tier when they earn, and within a day. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.list_tiers() RETURNS SETOF @extschema@.loyalty_tier_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT t.code, t.rank, t.basis, t.threshold, t.currency, t.counts_back, t.grace, t.is_active,
        t.version
                 FROM @extschema@.loyalty_tiers AS t ORDER BY t.rank;
END
$$;
COMMENT ON FUNCTION @extschema@.list_tiers() IS 'The tiers, the lowest first. Everybody may know them.';

CREATE FUNCTION @extschema@._review_tiers(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customer uuid;
    reviewed bigint := 0;
BEGIN
    FOR customer IN
        SELECT a.customer_id FROM @extschema@.points_accounts AS a
        WHERE a.customer_id IN (SELECT o.customer_id FROM @extschema@.points_accounts AS o
            WHERE o.tier IS NOT NULL
                AND (o.tier_reviewed_at < statement_timestamp() - interval '1 day'
                     OR (o.tier_lapses_at <= statement_timestamp() AND o.tier_reviewed_at < o.tier_lapses_at))
            ORDER BY o.tier_reviewed_at LIMIT max_rows)
        ORDER BY a.customer_id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM @extschema@._review_tier(customer);
        reviewed := reviewed + 1;
    END LOOP;
    RETURN reviewed;
END
$$;
COMMENT ON FUNCTION @extschema@._review_tiers(integer) IS
    'Looks at tiers that were not looked at for a day, or whose grace is over; returns at how many.';

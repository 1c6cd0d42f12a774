CREATE TYPE @extschema@.ad_change AS (ad_id uuid, status text, version integer);
COMMENT ON TYPE @extschema@.ad_change IS 'An advertisement that was made or changed.';

CREATE FUNCTION @extschema@.create_advertisement(definition jsonb) RETURNS @extschema@.ad_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g @extschema@.loyalty_ads;
    made @extschema@.ad_change;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition,
        '{title,content,placement,weight,valid_from,valid_until,tiers,segment,offer_id}', '{title,placement}');
    g := jsonb_populate_record(NULL::@extschema@.loyalty_ads, definition);
    INSERT INTO @extschema@.loyalty_ads AS a (title, content, placement, weight, valid_from, valid_until, tiers,
        segment,
                                              offer_id, created_by)
    VALUES (g.title, coalesce(g.content, '{}'), g.placement, coalesce(g.weight, 1), coalesce(g.valid_from, now()),
            g.valid_until, g.tiers, g.segment, g.offer_id, usher.actor_id())
    RETURNING a.id, a.status, a.version INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'definition');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_advertisement(jsonb) IS
    'Makes a draft: {"title", "placement", "content": what the application shows, "weight", "valid_from", '
    '"valid_until", "offer_id", and for whom: "tiers", "segment"}. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.set_advertisement_status(ad_id uuid, status text, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.ad_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ad @extschema@.loyalty_ads;
    made @extschema@.ad_change;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF set_advertisement_status.status IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'status must not be null', '{"argument": "status"}');
    END IF;
    SELECT * INTO ad FROM @extschema@.loyalty_ads AS a WHERE a.id = set_advertisement_status.ad_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'advertisement does not exist',
                                  jsonb_build_object('ad_id', set_advertisement_status.ad_id));
    ELSIF expected_version <> ad.version THEN
        PERFORM usher.raise_error('stale_version', 'advertisement was changed by somebody else',
            jsonb_build_object('id', ad.id, 'expected_version', expected_version, 'version', ad.version));
    END IF;
    UPDATE @extschema@.loyalty_ads AS a SET status = set_advertisement_status.status
    WHERE a.id = ad.id RETURNING a.id, a.status, a.version INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION @extschema@.set_advertisement_status(uuid, text, integer) IS
    'Activates, pauses or archives an advertisement. Needs loyalty:manage.';

CREATE FUNCTION @extschema@._fits_segment(segment text, customer_id uuid, at timestamptz) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_fits_segment';
COMMENT ON FUNCTION @extschema@._fits_segment(text, uuid, timestamptz) IS
    'Whether a customer is in a segment; everybody is where there is none.';

CREATE FUNCTION @extschema@.list_current_advertisements(placement text, customer_id uuid DEFAULT NULL,
                                                        at timestamptz DEFAULT NULL, max_rows integer DEFAULT 10)
    RETURNS TABLE (ad_id uuid, title text, content jsonb, offer_id uuid)
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := coalesce(at, statement_timestamp());
    target uuid := @extschema@._loyalty_person();
    member uuid;
    tier_is text;
    agrees boolean := false;
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF list_current_advertisements.customer_id IS NOT NULL THEN
        target := @extschema@._require_customer(list_current_advertisements.customer_id, 'loyalty:read');
    END IF;
    IF target IS NOT NULL THEN
        SELECT a.tier, a.user_id INTO tier_is, member FROM @extschema@.points_accounts AS a
        WHERE a.customer_id = target;
        agrees := usher.has_consent(coalesce(member, target), 'marketing');
    END IF;
    -- Chance by weight (Efraimidis and Spirakis): the order of a draw without putting back.
    RETURN QUERY
    SELECT a.id, a.title, a.content, a.offer_id
    FROM @extschema@.loyalty_ads AS a
    WHERE a.placement = list_current_advertisements.placement AND a.status = 'active' AND a.valid_from <= moment
        AND coalesce(moment < a.valid_until, true)
        AND ((a.tiers IS NULL AND a.segment IS NULL)
             OR (agrees AND coalesce(tier_is = ANY (a.tiers), a.tiers IS NULL)
                 AND @extschema@._fits_segment(a.segment, target, moment)))
    ORDER BY -ln(1 - random()) / a.weight LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_current_advertisements(text, uuid, timestamptz, integer) IS
    'What to show in a placement now, by chance and weight; to nobody in particular, to oneself, or with '
    'loyalty:read to a customer. Those with tiers or a segment are for customers who have agreed to "marketing" '
    '(record_consent()).';

CREATE FUNCTION @extschema@.record_advertisement_event(ad_id uuid, kind text DEFAULT 'view') RETURNS boolean
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_count_ad';
COMMENT ON FUNCTION @extschema@.record_advertisement_event(uuid, text) IS
    'Counts a view or a click; false for an advertisement that is not shown. With the library preloaded it is '
    'counted in shared memory, whatever becomes of the transaction.';

CREATE FUNCTION @extschema@._write_ad_counts() RETURNS bigint
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_write_ad_counts';
COMMENT ON FUNCTION @extschema@._write_ad_counts() IS
    'Writes what was counted in shared memory; returns how many counters.';

CREATE FUNCTION @extschema@.report_advertisements(since date DEFAULT NULL, until date DEFAULT NULL,
                                                  only_ad uuid DEFAULT NULL)
    RETURNS TABLE (ad_id uuid, title text, day date, views bigint, clicks bigint, click_through numeric)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan -- the conditions that are given are those of the query
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('loyalty:read');
    IF NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' THEN
        PERFORM @extschema@._write_ad_counts();
    END IF;
    RETURN QUERY
    SELECT a.id, a.title, c.day, c.views, c.clicks, round(c.clicks::numeric / nullif(c.views, 0), 4)
    FROM (SELECT n.ad_id, n.day, coalesce(sum(n.count) FILTER (WHERE n.kind = 'view'), 0)::bigint AS views,
                 coalesce(sum(n.count) FILTER (WHERE n.kind = 'click'), 0)::bigint AS clicks
          FROM @extschema@.loyalty_ad_counts AS n
          WHERE (since IS NULL OR n.day >= since) AND (until IS NULL OR n.day <= until)
              AND (only_ad IS NULL OR n.ad_id = only_ad)
          GROUP BY n.ad_id, n.day) AS c
        JOIN @extschema@.loyalty_ads AS a ON a.id = c.ad_id
    ORDER BY c.day, a.id;
END
$$;
COMMENT ON FUNCTION @extschema@.report_advertisements(date, date, uuid) IS
    'Views, clicks and clicks per view, by advertisement and day (UTC). Needs loyalty:read.';

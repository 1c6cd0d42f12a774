-- What core calls: upkeep, checks, numbers, export and erasure.

CREATE FUNCTION @extschema@._loyalty_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_points_expired', 'SELECT @extschema@._expire_points($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_expiry_announced', 'SELECT @extschema@._announce_expiring($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_tiers_reviewed', 'SELECT @extschema@._review_tiers($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_redemptions_expired', 'SELECT @extschema@._expire_redemptions($1)',
                               max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_offers_turned', 'SELECT @extschema@._turn_offers($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_referrals_expired', 'SELECT @extschema@._expire_referrals($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('loyalty_ad_counts_written', 'SELECT @extschema@._write_ad_counts()', max_rows) AS u;
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_upkeep(integer) IS 'The part of usher_loyalty in usher.run_maintenance().';

CREATE FUNCTION @extschema@._loyalty_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What constraints hold too: a dump that was edited, or a constraint that somebody dropped.
    RETURN QUERY SELECT 'points_below_zero', count(*) FROM @extschema@.points_accounts AS a
        WHERE a.balance < 0 OR a.debt < 0 OR (a.balance > 0 AND a.debt > 0);
    RETURN QUERY SELECT 'balances_differ_from_entries', count(*) FROM @extschema@.points_accounts AS a
        LEFT JOIN (SELECT e.customer_id, sum(e.points) AS points FROM @extschema@.points_entries AS e
                   GROUP BY e.customer_id) AS e ON e.customer_id = a.customer_id
        WHERE a.balance - a.debt <> coalesce(e.points, 0);
    RETURN QUERY SELECT 'balances_differ_from_lots', count(*) FROM @extschema@.points_accounts AS a
        LEFT JOIN (SELECT l.customer_id, sum(l.points_left) AS points FROM @extschema@.points_lots AS l
                   GROUP BY l.customer_id) AS l ON l.customer_id = a.customer_id
        WHERE a.balance <> coalesce(l.points, 0);
    RETURN QUERY SELECT 'lots_differ_from_uses', count(*) FROM @extschema@.points_lots AS l
        LEFT JOIN (SELECT u.lot_id, sum(u.points) AS points FROM @extschema@.points_lot_uses AS u
                   GROUP BY u.lot_id) AS u ON u.lot_id = l.id
        WHERE l.points_left <> l.points + coalesce(u.points, 0);
    RETURN QUERY SELECT 'earned_twice', count(*) FROM (
        SELECT 1 FROM @extschema@.points_entries AS e WHERE e.kind = 'earn' AND e.source_id IS NOT NULL
        GROUP BY e.customer_id, e.source_type, e.source_id, e.rule_code HAVING count(*) > 1) AS twice;
    RETURN QUERY SELECT 'entries_without_their_sign', count(*) FROM @extschema@.points_entries AS e
        WHERE NOT CASE WHEN e.kind IN ('earn', 'restore', 'give_back') THEN e.points > 0
            WHEN e.kind IN ('spend', 'take_back', 'expire') THEN e.points < 0
            ELSE e.kind = 'adjust' AND e.points <> 0 END;
    RETURN QUERY SELECT 'purchases_half_known', count(*) FROM @extschema@.points_sources AS s
        WHERE s.source_type NOT IN ('booking', 'payment', 'order')
            OR num_nonnulls(s.customer_id, s.amount_minor, s.occurred_at) NOT IN (0, 3);
    RETURN QUERY SELECT 'reversed_more_than_posted', count(*) FROM @extschema@.points_entries AS e
        JOIN (SELECT r.reverses, sum(r.points + coalesce((SELECT sum(b.points) FROM @extschema@.points_entries AS b
                  WHERE b.reverses = r.id), 0)) AS points
              FROM @extschema@.points_entries AS r
              WHERE r.reverses IS NOT NULL GROUP BY r.reverses) AS r ON r.reverses = e.id
        WHERE abs(r.points) > abs(e.points) OR sign(r.points) = sign(e.points);
    -- Nothing is kept of what came back whole, or was not paid with money.
    RETURN QUERY SELECT 'kept_of_what_does_not_count', count(*) FROM (
        SELECT s.source_type, s.source_id, s.customer_id FROM @extschema@.points_sources AS s
            JOIN @extschema@.points_deductions AS d ON d.source_type = s.source_type AND d.source_id = s.source_id
        WHERE s.customer_id IS NOT NULL
        GROUP BY s.source_type, s.source_id HAVING sum(d.amount_minor) >= s.amount_minor) AS gone
        WHERE EXISTS (SELECT FROM @extschema@.points_entries AS e
            WHERE e.source_id = gone.source_id AND e.source_type = gone.source_type AND e.kind IN ('earn', 'take_back',
                'restore')
                AND e.customer_id = gone.customer_id
            HAVING sum(e.points) > 0);
    -- Each table is read once and counted, not asked for each row of another one.
    RETURN QUERY WITH taken AS MATERIALIZED (
        SELECT c.offer_id, sum(c.uses) AS uses, max(c.uses) AS most
        FROM (SELECT u.offer_id, u.customer_id, count(*) AS uses FROM @extschema@.offer_uses AS u
              WHERE NOT u.is_released GROUP BY u.offer_id, u.customer_id) AS c
        GROUP BY c.offer_id
    ), found AS (
        SELECT coalesce(o.uses > o.max_uses, false) OR coalesce(t.most > o.max_per_customer, false) AS is_too_often,
               o.uses <> coalesce(t.uses, 0) AS differs
        FROM @extschema@.loyalty_offers AS o LEFT JOIN taken AS t ON t.offer_id = o.id
    )
    SELECT r.rule, r.violations
    FROM (SELECT count(*) FILTER (WHERE f.is_too_often) AS too_often, count(*) FILTER (WHERE f.differs) AS differing
          FROM found AS f) AS n
        CROSS JOIN LATERAL (VALUES ('offers_used_too_often', n.too_often),
                                   ('offer_counters_differ_from_uses', n.differing)) AS r (rule, violations);
    RETURN QUERY SELECT 'offer_lines_differ_from_discount', count(*) FROM @extschema@.offer_uses AS u
        WHERE u.lines <> '[]' AND u.discount_minor
            <> (SELECT sum((l ->> 'discount_minor')::bigint) FROM jsonb_array_elements(u.lines) AS l);
    RETURN QUERY SELECT 'voucher_counters_differ_from_uses', count(*) FROM @extschema@.offer_vouchers AS v
        LEFT JOIN (SELECT u.voucher_id, count(*) AS uses FROM @extschema@.offer_uses AS u
                   WHERE u.voucher_id IS NOT NULL AND NOT u.is_released GROUP BY u.voucher_id) AS u
            ON u.voucher_id = v.id
        WHERE v.uses <> coalesce(u.uses, 0);
    RETURN QUERY SELECT 'offer_keys_differ_from_offers', count(*) FROM @extschema@.loyalty_offers AS o
        WHERE (o.status IN ('scheduled', 'active'))
            <> EXISTS (SELECT FROM @extschema@.loyalty_offer_keys AS k WHERE k.offer_id = o.id);
    RETURN QUERY SELECT 'reward_counters_differ_from_redemptions', count(*) FROM @extschema@.loyalty_rewards AS w
        LEFT JOIN (SELECT r.reward_id, count(*) AS taken FROM @extschema@.reward_redemptions AS r
                   WHERE r.status IN ('reserved', 'redeemed') GROUP BY r.reward_id) AS r ON r.reward_id = w.id
        WHERE w.taken <> coalesce(r.taken, 0);
    -- A reward that is taken has been paid, one that was given back has not, and nothing else was paid as one.
    RETURN QUERY SELECT 'redemptions_differ_from_spendings', count(*) FROM @extschema@.points_entries AS e
        FULL JOIN @extschema@.reward_redemptions AS r ON r.entry_id = e.id
        WHERE (r.id IS NOT NULL OR (e.kind = 'spend' AND e.source_type = 'reward' AND e.rule_code = 'reward'))
            AND (r.id IS NULL OR e.id IS NULL OR -e.points <> r.cost_points OR (r.status IN ('reversed', 'expired'))
                <> EXISTS (SELECT FROM @extschema@.points_entries AS b WHERE b.reverses = e.id));
    RETURN QUERY SELECT 'referrals_in_a_circle', count(*) FROM (
        WITH RECURSIVE above (start_id, customer_id) AS (
            SELECT r.referee_id, r.referrer_id FROM @extschema@.referrals AS r
            UNION
            SELECT a.start_id, r.referrer_id FROM above AS a
                JOIN @extschema@.referrals AS r ON r.referee_id = a.customer_id)
        SELECT FROM above AS a WHERE a.start_id = a.customer_id) AS circle;
    RETURN QUERY SELECT 'referral_points_differ', count(*) FROM @extschema@.referrals AS r
        LEFT JOIN (SELECT e.source_id, sum(e.points) AS points FROM @extschema@.points_entries AS e
                   WHERE e.source_type = 'referral' AND e.kind = 'earn' GROUP BY e.source_id) AS e
            ON e.source_id = r.id
        WHERE coalesce(e.points, 0)
            <> CASE r.status WHEN 'rewarded' THEN r.referrer_points + r.referee_points ELSE 0 END;
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_self_check() IS
    'The part of usher_loyalty in usher.self_check(): what must never be, rule by rule.';

CREATE FUNCTION @extschema@._loyalty_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT format('rule %s earns by %s, which nobody publishes', r.code, r.event), 'notice',
           'Create the extension that publishes it, or declare it with usher.register_extension().'
    FROM @extschema@.earning_rules AS r
    WHERE r.valid_until IS NULL
        AND NOT EXISTS (SELECT FROM usher.list_extensions() AS e WHERE r.event = ANY (e.publishes))
    ORDER BY r.code;
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_configuration() IS
    'The part of usher_loyalty in usher.check_configuration().';

CREATE FUNCTION @extschema@._loyalty_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.points_accounts');
BEGIN
    -- Of many accounts a sample is read.
    RETURN QUERY
    SELECT 'usher_loyalty_points', jsonb_build_object('kind', p.kind), round(p.points * 100 / percent),
        'Points of all customers: what they have, and what they owe.'
    FROM (SELECT coalesce(sum(a.balance), 0)::double precision, coalesce(sum(a.debt), 0)::double precision
          FROM @extschema@.points_accounts AS a TABLESAMPLE SYSTEM (percent)) AS s (balance, debt)
        CROSS JOIN LATERAL (VALUES ('balance', s.balance), ('debt', s.debt)) AS p (kind, points);
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_metrics() IS 'The part of usher_loyalty in usher.metrics().';

CREATE FUNCTION @extschema@._export_loyalty(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customers CONSTANT uuid[] := @extschema@._loyalty_customers(_export_loyalty.user_id);
BEGIN
    RETURN jsonb_build_object(
        'accounts', coalesce((SELECT jsonb_agg(to_jsonb(a) ORDER BY a.customer_id)
            FROM @extschema@.points_accounts AS a WHERE a.customer_id = ANY (customers)), '[]'),
        'purchases', coalesce((SELECT jsonb_agg(to_jsonb(s) ORDER BY s.occurred_at, s.source_id)
            FROM @extschema@.points_sources AS s WHERE s.customer_id = ANY (customers)), '[]'),
        'entries', coalesce((SELECT jsonb_agg(to_jsonb(e) - 'created_by' ORDER BY e.id)
            FROM @extschema@.points_entries AS e WHERE e.customer_id = ANY (customers)), '[]'),
        'redemptions', coalesce((SELECT jsonb_agg(to_jsonb(r) - '{code_hash,created_by,redeemed_by}'::text[]
                                                  ORDER BY r.id)
            FROM @extschema@.reward_redemptions AS r WHERE r.customer_id = ANY (customers)), '[]'),
        'offers', coalesce((SELECT jsonb_agg(to_jsonb(u) - 'created_by' ORDER BY u.id)
            FROM @extschema@.offer_uses AS u WHERE u.customer_id = ANY (customers)), '[]'),
        'referrals', coalesce((SELECT jsonb_agg(jsonb_build_object('referral_id', r.id, 'status', r.status,
                'is_referrer', r.referrer_id = ANY (customers), 'created_at', r.created_at) ORDER BY r.id)
            FROM @extschema@.referrals AS r
            WHERE r.referrer_id = ANY (customers) OR r.referee_id = ANY (customers)), '[]'),
        'referral_codes', coalesce((SELECT jsonb_agg(to_jsonb(c) ORDER BY c.customer_id)
            FROM @extschema@.referral_codes AS c WHERE c.customer_id = ANY (customers)), '[]'),
        'signals', coalesce((SELECT jsonb_agg(to_jsonb(s) - 'value_hash' ORDER BY s.kind, s.value_hash)
            FROM @extschema@.referral_signals AS s WHERE s.customer_id = ANY (customers)), '[]'));
END
$$;
COMMENT ON FUNCTION @extschema@._export_loyalty(uuid) IS
    'The part of usher_loyalty in usher.export_user() and export_customer().';

CREATE FUNCTION @extschema@._erase_loyalty(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customers CONSTANT uuid[] := @extschema@._loyalty_customers(_erase_loyalty.user_id);
    changed bigint;
BEGIN
    -- Sums stay: they are the business of the books.
    UPDATE @extschema@.points_entries AS e SET note = NULL
    WHERE e.customer_id = ANY (customers) AND e.note IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    DELETE FROM @extschema@.referral_signals AS s WHERE s.customer_id = ANY (customers);
    DELETE FROM @extschema@.referral_codes AS c WHERE c.customer_id = ANY (customers);
    PERFORM FROM @extschema@.referrals AS r
    WHERE r.referrer_id = ANY (customers) OR r.referee_id = ANY (customers) ORDER BY r.id FOR NO KEY UPDATE;
    UPDATE @extschema@.referrals AS r SET evidence = NULL, notes = NULL
    WHERE (r.referrer_id = ANY (customers) OR r.referee_id = ANY (customers))
        AND (r.evidence IS NOT NULL OR r.notes IS NOT NULL);
    PERFORM FROM @extschema@.points_accounts AS a
    WHERE a.customer_id = ANY (customers) ORDER BY a.customer_id FOR NO KEY UPDATE;
    UPDATE @extschema@.points_accounts AS a SET attributes = '{}'
    WHERE a.customer_id = ANY (customers) AND a.attributes <> '{}';
    RETURN changed + usher.forget_notes('@extschema@.referrals', ARRAY(SELECT r.id FROM @extschema@.referrals AS r
            WHERE r.referrer_id = ANY (customers) OR r.referee_id = ANY (customers)))
        + usher.forget_notes('@extschema@.reward_redemptions',
        ARRAY(SELECT r.id FROM @extschema@.reward_redemptions AS r WHERE r.customer_id = ANY (customers)));
END
$$;
COMMENT ON FUNCTION @extschema@._erase_loyalty(uuid) IS
    'The part of usher_loyalty in usher.erase_user() and erase_customer(): sums stay, without notes, attributes, '
    'codes and signals.';

CREATE FUNCTION usher.define_rate_limit(policy text, algorithm text, max_hits integer, period interval,
                                        block_for interval DEFAULT NULL, tiers jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- the CHECKs of the table have them too
    most_hits CONSTANT integer := 1000000;
    longest CONSTANT interval := '366 days';
    tier record;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('limit:manage');
    END IF;
    IF policy IS NULL OR policy !~ '^[a-z0-9_.:-]{1,100}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'policy must have 1 to 100 characters of a-z, 0-9 and _ . : -',
                                  '{"argument": "policy"}');
    ELSIF algorithm IS NULL OR algorithm <> ALL (usher._algorithms('rate_limit')) THEN
        PERFORM usher.raise_error('invalid_argument',
            'algorithm must be one of ' || array_to_string(usher._algorithms('rate_limit'), ', '),
            '{"argument": "algorithm"}');
    ELSIF max_hits IS NULL OR max_hits NOT BETWEEN 1 AND most_hits THEN
        PERFORM usher.raise_error('invalid_argument', format('max_hits must be 1 to %s', most_hits),
                                  '{"argument": "max_hits"}');
    ELSIF period IS NULL OR period < '1 second' OR period > longest THEN
        PERFORM usher.raise_error('invalid_argument', 'period must be one second to 366 days',
                                  '{"argument": "period"}');
    ELSIF block_for < '1 second' OR block_for > longest THEN
        PERFORM usher.raise_error('invalid_argument', 'block_for must be one second to 366 days',
                                  '{"argument": "block_for"}');
    ELSIF tiers IS NULL OR jsonb_typeof(tiers) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'tiers must be an object of tiers and their max_hits',
                                  '{"argument": "tiers"}');
    END IF;
    FOR tier IN SELECT t.key, t.value FROM jsonb_each(tiers) t LOOP
        IF tier.key !~ '^[A-Za-z0-9_-]{1,20}$' OR jsonb_typeof(tier.value) <> 'number'
           OR tier.value::text !~ '^[1-9][0-9]{0,6}$' OR tier.value::integer > most_hits THEN
            PERFORM usher.raise_error('invalid_argument',
                                      format('tier "%s" must have max_hits of 1 to %s', left(tier.key, 100),
                                             most_hits),
                                      '{"argument": "tiers"}');
        END IF;
    END LOOP;
    INSERT INTO usher.rate_limit_policies AS p (policy, algorithm, max_hits, period, block_for, tiers, extension)
    VALUES (define_rate_limit.policy, define_rate_limit.algorithm,
            define_rate_limit.max_hits, define_rate_limit.period, define_rate_limit.block_for, define_rate_limit.tiers,
            usher._installing_extension())
    ON CONFLICT ON CONSTRAINT rate_limit_policies_pkey DO UPDATE
    SET algorithm = EXCLUDED.algorithm, max_hits = EXCLUDED.max_hits, period = EXCLUDED.period,
        block_for = EXCLUDED.block_for, tiers = EXCLUDED.tiers, extension = EXCLUDED.extension, updated_at = now();
END
$$;
REVOKE ALL ON FUNCTION usher.define_rate_limit(text, text, integer, interval, interval, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_rate_limit(text, text, integer, interval, interval, jsonb) IS
    'Defines or changes a policy: at most max_hits per period, by fixed_window, sliding_window or token_bucket. With '
    'block_for, a key that goes over is refused for that long. tiers: max_hits of users of a tier (set_user_tier), '
    '{"PREMIUM": 1000}. Keys start afresh when the algorithm changes.';

CREATE FUNCTION usher._forget_rate_limit(policy text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_forget';
REVOKE ALL ON FUNCTION usher._forget_rate_limit(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._forget_rate_limit(text) IS 'Forgets what shared memory has counted under a policy.';

CREATE FUNCTION usher._flush_rate_limits() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_flush';
REVOKE ALL ON FUNCTION usher._flush_rate_limits() FROM PUBLIC;
COMMENT ON FUNCTION usher._flush_rate_limits() IS
    'Writes what shared memory has counted to usher.rate_limit_records; returns how many keys. The background worker '
    'does it continually, run_maintenance() where there is none.';

CREATE FUNCTION usher._maintain_rate_limits(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept CONSTANT interval := make_interval(days => current_setting('usher.rate_limit_retention')::integer);
    removed bigint;
BEGIN
    DELETE FROM usher.rate_limit_records r
    WHERE r.key_hash IN (
        -- No index has the windows, which every hit changes: each time some of the rows are looked at.
        SELECT o.key_hash FROM usher.rate_limit_records o
            TABLESAMPLE SYSTEM (usher.sample_percent('usher.rate_limit_records', max_rows))
        WHERE o.window_end < clock_timestamp() AND (o.blocked_until IS NULL OR o.blocked_until < clock_timestamp())
          AND (o.refused_count = 0 OR o.updated_at < clock_timestamp() - kept)
        LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._maintain_rate_limits(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._maintain_rate_limits(integer) IS
    'Removes records that no longer have an effect, those of refused keys after usher.rate_limit_retention; returns '
    'how many.';

CREATE FUNCTION usher.drop_rate_limit(policy text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('limit:manage');
    DELETE FROM usher.rate_limit_policies p WHERE p.policy = drop_rate_limit.policy;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM usher.rate_limit_records r WHERE r.policy = drop_rate_limit.policy;
    PERFORM usher._forget_rate_limit(drop_rate_limit.policy);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.drop_rate_limit(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.drop_rate_limit(text) IS
    'Removes a policy and what was counted under it; false when there is none. Whoever still hits it gets an error.';

CREATE FUNCTION usher.hit_rate_limit(policy text, key text, cost integer DEFAULT 1, tier text DEFAULT NULL,
                                     OUT allowed boolean, OUT remaining integer, OUT retry_after integer,
                                     OUT reset_at timestamptz)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_hit';
REVOKE ALL ON FUNCTION usher.hit_rate_limit(text, text, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.hit_rate_limit(text, text, integer, text) IS
    'Counts a hit of a key under a policy; tier: by default that of the identity. Refused hits (allowed false) are a '
    'result, not an error; retry_after is in seconds, NULL when allowed. With the library preloaded a hit stays '
    'counted when its transaction rolls back, and hits never wait for each other; without, it belongs to the '
    'transaction, and hits of one key wait for each other until commit.';

CREATE FUNCTION usher.reset_rate_limit(policy text, key text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_reset';
REVOKE ALL ON FUNCTION usher.reset_rate_limit(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.reset_rate_limit(text, text) IS
    'Forgets what was counted for a key, its block included; false when there was nothing. What is counted in shared '
    'memory is forgotten at once, also when the transaction rolls back. Needs limit:manage.';

CREATE FUNCTION usher.rate_limit_hash(policy text, key text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT encode(sha256(convert_to(policy, 'UTF8') || '\x00'::bytea || convert_to(key, 'UTF8')), 'hex');
END;
REVOKE ALL ON FUNCTION usher.rate_limit_hash(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.rate_limit_hash(text, text) IS
    'key_hash of a key in rate_limit_records and rate_limit_attacks, to find the row of an address or a user.';

CREATE FUNCTION usher.rate_limit_key(address inet) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_limits_address_key';
REVOKE ALL ON FUNCTION usher.rate_limit_key(inet) FROM PUBLIC;
COMMENT ON FUNCTION usher.rate_limit_key(inet) IS
    'The key of an address: itself for IPv4, its /64 for IPv6, where one customer has 2^64 of them.';

CREATE FUNCTION usher.list_rate_limits()
    RETURNS TABLE (policy text, algorithm text, max_hits integer, period interval, block_for interval, tiers jsonb,
                   keys bigint, refused bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT p.policy, p.algorithm, p.max_hits, p.period, p.block_for, p.tiers,
           round(coalesce(r.keys, 0) * 100 / usher.sample_percent('usher.rate_limit_records'))::bigint,
           round(coalesce(r.refused, 0)::double precision * 100
                 / usher.sample_percent('usher.rate_limit_records'))::bigint
    FROM usher.rate_limit_policies p
        LEFT JOIN (SELECT x.policy, count(*) AS keys, sum(x.refused_count) AS refused
                   FROM usher.rate_limit_records x
                       TABLESAMPLE SYSTEM (usher.sample_percent('usher.rate_limit_records'))
                   GROUP BY x.policy) AS r ON r.policy = p.policy
    ORDER BY p.policy COLLATE "C";
END
$$;
REVOKE ALL ON FUNCTION usher.list_rate_limits() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_rate_limits() IS
    'All policies, how many keys were hit lately, and how many of their hits were refused: of more than some '
    'thousand keys an estimate.';

-- Rate limits: how often something may happen, by policy and key.

CREATE TABLE usher.rate_limit_policies (
    policy text NOT NULL PRIMARY KEY CHECK (policy ~ '^[a-z0-9_.:-]{1,100}$'),
    algorithm text NOT NULL CHECK (algorithm IN ('fixed_window', 'sliding_window', 'token_bucket')),
    max_hits integer NOT NULL CHECK (max_hits BETWEEN 1 AND 1000000),
    period interval NOT NULL CHECK (period BETWEEN '1 second' AND '366 days'),
    block_for interval CHECK (block_for BETWEEN '1 second' AND '366 days'),
    tiers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(tiers) = 'object'),
    extension name,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE usher.rate_limit_policies IS 'What define_rate_limit() said.';
COMMENT ON COLUMN usher.rate_limit_policies.block_for IS 'A refused hit blocks its key for so long; NULL: until the algorithm allows it again.';
COMMENT ON COLUMN usher.rate_limit_policies.tiers IS 'max_hits of users of a tier (users.tier) where it is not that of all: {"PREMIUM": 1000}.';
COMMENT ON COLUMN usher.rate_limit_policies.extension IS 'The extension whose script defined it; the row comes back with that extension and is not dumped.';
SELECT pg_catalog.pg_extension_config_dump('usher.rate_limit_policies', 'WHERE extension IS NULL');

CREATE TABLE usher.rate_limit_records (
    key_hash varchar(255) NOT NULL PRIMARY KEY,
    policy text NOT NULL,
    algorithm varchar(50) NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    request_count bigint NOT NULL DEFAULT 1,
    previous_count bigint NOT NULL DEFAULT 0,
    limit_value integer NOT NULL,
    refused_count bigint NOT NULL DEFAULT 0,
    blocked_until timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50); -- each hit updates its row in place: no index names a column that a hit changes
COMMENT ON TABLE usher.rate_limit_records IS
    'One row per policy and key that was hit lately. Keys (addresses, users) stand here as a hash only. Rows that weigh nothing any more are removed by run_maintenance(). With the library preloaded, counts live in shared memory and arrive here within usher.flush_interval.';
COMMENT ON COLUMN usher.rate_limit_records.key_hash IS 'SHA-256 of policy and key, in hexadecimal.';
COMMENT ON COLUMN usher.rate_limit_records.window_start IS 'Start of the current window; of a token bucket: the instant that request_count is right for.';
COMMENT ON COLUMN usher.rate_limit_records.window_end IS 'When nothing that was counted weighs any more.';
COMMENT ON COLUMN usher.rate_limit_records.request_count IS 'Hits in the current window; of a token bucket: used up, in millionths of a hit.';
COMMENT ON COLUMN usher.rate_limit_records.previous_count IS 'Hits in the window before, for sliding_window.';
COMMENT ON COLUMN usher.rate_limit_records.refused_count IS 'Hits refused since the row was made: what the view rate_limit_attacks shows.';
SELECT pg_catalog.pg_extension_config_dump('usher.rate_limit_records', '');

-- The cache of policies (extension/limits/limits.cpp) watches them.
CREATE TABLE usher.rate_limits_inval ();
COMMENT ON TABLE usher.rate_limits_inval IS 'Always empty: carries the invalidation of cached policies to all backends and standbys.';
CREATE TRIGGER rate_limit_policies_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.rate_limit_policies
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('rate_limits_inval');
ALTER TABLE usher.rate_limit_policies ENABLE ALWAYS TRIGGER rate_limit_policies_invalidate;

CREATE VIEW usher.rate_limit_attacks AS
    SELECT r.policy, r.key_hash, r.refused_count, r.limit_value, coalesce(r.blocked_until > clock_timestamp(), false) AS is_blocked,
           r.blocked_until, r.created_at AS first_hit_at, r.updated_at AS last_hit_at
    FROM usher.rate_limit_records r
    WHERE r.refused_count > 0;
COMMENT ON VIEW usher.rate_limit_attacks IS
    'Keys that were refused within usher.rate_limit_retention days; order by refused_count to see who insists. rate_limit_hash() tells whether it is a certain address or user.';

CREATE FUNCTION usher.define_rate_limit(policy text, algorithm text, max_hits integer, period interval, block_for interval DEFAULT NULL,
                                        tiers jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tier record;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('limit:manage');
    END IF;
    IF policy IS NULL OR policy !~ '^[a-z0-9_.:-]{1,100}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'policy must have 1 to 100 characters of a-z, 0-9 and _ . : -');
    ELSIF algorithm IS NULL OR algorithm NOT IN ('fixed_window', 'sliding_window', 'token_bucket') THEN
        PERFORM usher.raise_error('invalid_argument', 'algorithm must be fixed_window, sliding_window or token_bucket');
    ELSIF max_hits IS NULL OR max_hits NOT BETWEEN 1 AND 1000000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_hits must be 1 to 1000000');
    ELSIF period IS NULL OR period < '1 second' OR period > '366 days' THEN
        PERFORM usher.raise_error('invalid_argument', 'period must be one second to 366 days');
    ELSIF block_for < '1 second' OR block_for > '366 days' THEN
        PERFORM usher.raise_error('invalid_argument', 'block_for must be one second to 366 days');
    ELSIF tiers IS NULL OR jsonb_typeof(tiers) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'tiers must be an object of tiers and their max_hits');
    END IF;
    FOR tier IN SELECT t.key, t.value FROM jsonb_each(tiers) t LOOP
        IF tier.key !~ '^[A-Za-z0-9_-]{1,20}$' OR jsonb_typeof(tier.value) <> 'number'
           OR tier.value::text !~ '^[1-9][0-9]{0,6}$' OR tier.value::integer > 1000000 THEN
            PERFORM usher.raise_error('invalid_argument', format('tier "%s" must have max_hits of 1 to 1000000', left(tier.key, 100)));
        END IF;
    END LOOP;
    INSERT INTO usher.rate_limit_policies AS p (policy, algorithm, max_hits, period, block_for, tiers, extension)
    VALUES (define_rate_limit.policy, define_rate_limit.algorithm, define_rate_limit.max_hits, define_rate_limit.period,
            define_rate_limit.block_for, define_rate_limit.tiers, usher._installing_extension())
    ON CONFLICT ON CONSTRAINT rate_limit_policies_pkey DO UPDATE
    SET algorithm = EXCLUDED.algorithm, max_hits = EXCLUDED.max_hits, period = EXCLUDED.period, block_for = EXCLUDED.block_for,
        tiers = EXCLUDED.tiers, extension = EXCLUDED.extension, updated_at = now();
END $$;
REVOKE ALL ON FUNCTION usher.define_rate_limit(text, text, integer, interval, interval, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_rate_limit(text, text, integer, interval, interval, jsonb) IS
    'Defines or changes a policy: at most max_hits per period, by fixed_window, sliding_window or token_bucket. With block_for, a key that goes over is refused for that long. tiers: max_hits of users of a tier (set_user_tier), {"PREMIUM": 1000}. Keys start afresh when the algorithm changes.';

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
    'Writes what shared memory has counted to usher.rate_limit_records; returns how many keys. The background worker does it all the time, run_maintenance() where there is none.';

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
        SELECT o.key_hash FROM usher.rate_limit_records o
        WHERE o.window_end < clock_timestamp() AND (o.blocked_until IS NULL OR o.blocked_until < clock_timestamp())
          AND (o.refused_count = 0 OR o.updated_at < clock_timestamp() - kept)
        LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
REVOKE ALL ON FUNCTION usher._maintain_rate_limits(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._maintain_rate_limits(integer) IS
    'Removes records that weigh nothing any more, those of refused keys after usher.rate_limit_retention; returns how many.';

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
END $$;
REVOKE ALL ON FUNCTION usher.drop_rate_limit(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.drop_rate_limit(text) IS 'Removes a policy and what was counted under it; false when there is none. Whoever still hits it gets an error.';

CREATE FUNCTION usher.hit_rate_limit(policy text, key text, cost integer DEFAULT 1, tier text DEFAULT NULL,
                                     OUT allowed boolean, OUT remaining integer, OUT retry_after integer, OUT reset_at timestamptz)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_hit';
REVOKE ALL ON FUNCTION usher.hit_rate_limit(text, text, integer, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.hit_rate_limit(text, text, integer, text) IS
    'Counts a hit of a key under a policy; tier: by default that of the identity. Refused hits (allowed false) are a result, not an error; retry_after is in seconds, NULL when allowed. With the library preloaded a hit stays counted when its transaction rolls back, and hits never wait for each other; without, it belongs to the transaction, and hits of one key wait for each other until commit.';

CREATE FUNCTION usher.reset_rate_limit(policy text, key text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_limits_reset';
REVOKE ALL ON FUNCTION usher.reset_rate_limit(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.reset_rate_limit(text, text) IS
    'Forgets what was counted for a key, its block included; false when there was nothing. What is counted in shared memory is forgotten at once, also when the transaction rolls back. Needs limit:manage.';

CREATE FUNCTION usher.rate_limit_hash(policy text, key text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT encode(sha256(convert_to(policy, 'UTF8') || '\x00'::bytea || convert_to(key, 'UTF8')), 'hex');
END;
REVOKE ALL ON FUNCTION usher.rate_limit_hash(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.rate_limit_hash(text, text) IS 'key_hash of a key in rate_limit_records and rate_limit_attacks, to find the row of an address or a user.';

CREATE FUNCTION usher.rate_limit_key(address inet) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_limits_address_key';
REVOKE ALL ON FUNCTION usher.rate_limit_key(inet) FROM PUBLIC;
COMMENT ON FUNCTION usher.rate_limit_key(inet) IS 'The key of an address: itself for IPv4, its /64 for IPv6, where one customer has 2^64 of them.';

CREATE FUNCTION usher.list_rate_limits()
    RETURNS TABLE (policy text, algorithm text, max_hits integer, period interval, block_for interval, tiers jsonb, keys bigint, refused bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT p.policy, p.algorithm, p.max_hits, p.period, p.block_for, p.tiers, count(r.key_hash), coalesce(sum(r.refused_count), 0)::bigint
    FROM usher.rate_limit_policies p LEFT JOIN usher.rate_limit_records r ON r.policy = p.policy
    GROUP BY p.policy
    ORDER BY p.policy COLLATE "C";
END $$;
REVOKE ALL ON FUNCTION usher.list_rate_limits() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_rate_limits() IS 'All policies, how many keys were hit lately, and how many of their hits were refused.';

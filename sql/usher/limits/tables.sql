-- Rate limits: how often something may happen, by policy and key.

CREATE TABLE usher.rate_limit_policies (
    policy text NOT NULL PRIMARY KEY CHECK (policy ~ '^[a-z0-9_.:-]{1,100}$'),
    algorithm text NOT NULL CHECK (algorithm = ANY (usher._algorithms('rate_limit'))),
    max_hits integer NOT NULL CHECK (max_hits BETWEEN 1 AND 1000000),
    period interval NOT NULL CHECK (period BETWEEN '1 second' AND '366 days'),
    block_for interval CHECK (block_for BETWEEN '1 second' AND '366 days'),
    tiers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(tiers) = 'object'),
    extension name,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE usher.rate_limit_policies IS 'Policies, as define_rate_limit() made them.';
COMMENT ON COLUMN usher.rate_limit_policies.block_for IS
    'A refused hit blocks its key for so long; NULL: until the algorithm allows it again.';
COMMENT ON COLUMN usher.rate_limit_policies.tiers IS
    'max_hits of users of a tier (users.tier) where it is not that of all: {"PREMIUM": 1000}.';
COMMENT ON COLUMN usher.rate_limit_policies.extension IS
    'The extension whose script defined it; the row comes back with that extension and is not dumped.';

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
    'One row per policy and key that was hit lately. Keys (addresses, users) are stored as a hash only. Rows that no '
    'longer have an effect are removed by run_maintenance(). With the library preloaded, counts live in shared memory '
    'and arrive here within usher.flush_interval.';
COMMENT ON COLUMN usher.rate_limit_records.key_hash IS 'SHA-256 of policy and key, in hexadecimal.';
COMMENT ON COLUMN usher.rate_limit_records.window_start IS
    'Start of the current window; of a token bucket: the instant that request_count is right for.';
COMMENT ON COLUMN usher.rate_limit_records.window_end IS 'When nothing that was counted has an effect any longer.';
COMMENT ON COLUMN usher.rate_limit_records.request_count IS
    'Hits in the current window; of a token bucket: used up, in millionths of a hit.';
COMMENT ON COLUMN usher.rate_limit_records.previous_count IS 'Hits in the window before, for sliding_window.';
COMMENT ON COLUMN usher.rate_limit_records.refused_count IS
    'Hits refused since the row was made: what the view rate_limit_attacks shows.';
SELECT pg_catalog.pg_extension_config_dump('usher.rate_limit_records', '');

-- The cache of policies (extension/usher/limits/limits.cpp) watches them.
CREATE TABLE usher.rate_limits_inval ();
COMMENT ON TABLE usher.rate_limits_inval IS
    'Always empty: carries the invalidation of cached policies to all backends and standbys.';

CREATE VIEW usher.rate_limit_attacks AS
    SELECT r.policy, r.key_hash, r.refused_count, r.limit_value,
           coalesce(r.blocked_until > clock_timestamp(), false) AS is_blocked,
           r.blocked_until, r.created_at AS first_hit_at, r.updated_at AS last_hit_at
    FROM usher.rate_limit_records r
    WHERE r.refused_count > 0;
COMMENT ON VIEW usher.rate_limit_attacks IS
    'Keys that were refused within usher.rate_limit_retention days; order by refused_count to see who keeps trying. '
    'rate_limit_hash() shows whether a key is a certain address or user.';

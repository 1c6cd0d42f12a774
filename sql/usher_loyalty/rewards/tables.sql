CREATE TABLE @extschema@.loyalty_rewards (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    title text NOT NULL CHECK (title <> '' AND length(title) <= 200),
    description text CHECK (length(description) <= 2000),
    status text NOT NULL DEFAULT 'draft',
    kind text NOT NULL DEFAULT 'product' CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    details jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
    cost_points bigint NOT NULL CHECK (cost_points BETWEEN 1 AND 1000000000000),
    condition text NOT NULL DEFAULT 'true',
    stock integer CHECK (stock >= 0),
    taken integer NOT NULL DEFAULT 0,
    max_per_customer integer CHECK (max_per_customer > 0),
    keeps_for interval NOT NULL DEFAULT '30 days' CHECK (keeps_for > '0' AND isfinite(keeps_for)),
    valid_from timestamptz CHECK (isfinite(valid_from)),
    valid_until timestamptz CHECK (isfinite(valid_until)),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    -- Named by what they say; the triggers give a clear error before they do.
    CONSTRAINT loyalty_rewards_taken_check CHECK (taken >= 0 AND coalesce(taken <= stock, true))
);
COMMENT ON TABLE @extschema@.loyalty_rewards IS
    'What points can be spent on. The status obeys the machine "loyalty_reward". What it costs, and for whom it is, '
    'does not change once somebody has taken one. taken is counted by the rows of reward_redemptions.';
COMMENT ON COLUMN @extschema@.loyalty_rewards.keeps_for IS 'How long a code of it can be redeemed.';

CREATE TABLE @extschema@.reward_redemptions (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    reward_id uuid NOT NULL REFERENCES @extschema@.loyalty_rewards,
    customer_id uuid NOT NULL REFERENCES @extschema@.points_accounts,
    status text NOT NULL DEFAULT 'reserved',
    cost_points bigint NOT NULL,
    entry_id uuid NOT NULL REFERENCES @extschema@.points_entries,
    code_hash bytea UNIQUE,
    reason_code text CHECK (reason_code ~ '^[a-z][a-z0-9_]{0,62}$'),
    expires_at timestamptz NOT NULL,
    redeemed_at timestamptz,
    redeemed_by uuid,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX reward_redemptions_customer_idx ON @extschema@.reward_redemptions (customer_id, reward_id);
CREATE INDEX reward_redemptions_reward_idx ON @extschema@.reward_redemptions (reward_id);
CREATE INDEX reward_redemptions_entry_idx ON @extschema@.reward_redemptions (entry_id);
CREATE INDEX reward_redemptions_expires_idx ON @extschema@.reward_redemptions (expires_at) WHERE status = 'reserved';
COMMENT ON TABLE @extschema@.reward_redemptions IS
    'Rewards that customers have taken: reserved with a code, which staff redeem once; reversed or expired, and then '
    'the points go back. The status obeys the machine "loyalty_redemption".';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_rewards', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.reward_redemptions', '');

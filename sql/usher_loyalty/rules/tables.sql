CREATE TABLE @extschema@.earning_rules (
    code text NOT NULL CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$' AND code <> 'manual'),
    rule_version integer NOT NULL CHECK (rule_version > 0),
    event text NOT NULL CHECK (event IN ('booking.completed', 'payment.completed', 'order.completed')),
    counts text NOT NULL DEFAULT 'purchase' CHECK (counts IN ('purchase', 'line')),
    condition text NOT NULL DEFAULT 'true',
    points text NOT NULL,
    max_points bigint CHECK (max_points > 0),
    max_in_period bigint CHECK (max_in_period > 0),
    period text CHECK (period IN ('day', 'week', 'month', 'year')),
    time_zone text NOT NULL DEFAULT 'UTC',
    expires_after interval CHECK (expires_after > '0' AND isfinite(expires_after)),
    valid_from timestamptz NOT NULL DEFAULT now() CHECK (isfinite(valid_from)),
    valid_until timestamptz CHECK (isfinite(valid_until)),
    description text CHECK (length(description) <= 500),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, rule_version),
    CONSTRAINT earning_rules_cap_check CHECK ((period IS NULL) = (max_in_period IS NULL)),
    CONSTRAINT earning_rules_validity_check CHECK (valid_until IS NULL OR valid_until >= valid_from)
);
CREATE UNIQUE INDEX earning_rules_open_key ON @extschema@.earning_rules (code) WHERE valid_until IS NULL;
COMMENT ON TABLE @extschema@.earning_rules IS
    'How many points a purchase earns. A version never changes, but ends when the next one begins: what happened '
    'yesterday is judged by the rule of yesterday. condition and points are expressions: r.amount_minor / 100, '
    'r.tier == "GOLD", p.product_id in ("…", "…").';
COMMENT ON COLUMN @extschema@.earning_rules.counts IS
    'purchase: evaluated once; line: for each line of an order, as p, and summed up.';
COMMENT ON COLUMN @extschema@.earning_rules.max_in_period IS
    'Most points that a customer earns by this rule in a day, week, month or year of the time zone.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.earning_rules', '');

CREATE TABLE @extschema@.loyalty_tiers (
    code text PRIMARY KEY CHECK (code ~ '^[A-Za-z0-9_-]{1,20}$'),
    rank integer NOT NULL UNIQUE CHECK (rank > 0),
    basis text NOT NULL DEFAULT 'points' CHECK (basis IN ('points', 'booking', 'payment', 'order')),
    threshold bigint NOT NULL CHECK (threshold > 0),
    currency text,
    counts_back interval NOT NULL DEFAULT '1 year' CHECK (counts_back > '0' AND isfinite(counts_back)),
    grace interval NOT NULL DEFAULT '0' CHECK (grace >= '0' AND isfinite(grace)),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT loyalty_tiers_currency_check CHECK ((basis = 'points') = (currency IS NULL)),
    CONSTRAINT loyalty_tiers_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
COMMENT ON TABLE @extschema@.loyalty_tiers IS
    'Tiers of customers: who has earned so many points, or spent so much, lately. A customer has the highest tier '
    'that they qualify for, and keeps one that they no longer do for its grace.';
COMMENT ON COLUMN @extschema@.loyalty_tiers.basis IS
    'points that were earned and not taken back, or money spent: on bookings, by payments, or on orders, in currency.';
COMMENT ON COLUMN @extschema@.loyalty_tiers.counts_back IS 'How far back points or money count.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_tiers', '');

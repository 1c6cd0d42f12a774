CREATE TABLE @extschema@.loyalty_ads (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    title text NOT NULL CHECK (title <> '' AND length(title) <= 200),
    content jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(content) = 'object'),
    placement text NOT NULL CHECK (placement ~ '^[a-z][a-z0-9_]{0,62}$'),
    status text NOT NULL DEFAULT 'draft',
    weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000000),
    valid_from timestamptz NOT NULL DEFAULT now() CHECK (isfinite(valid_from)),
    valid_until timestamptz CHECK (isfinite(valid_until)),
    tiers text[] CHECK (cardinality(tiers) BETWEEN 1 AND 100),
    segment text REFERENCES @extschema@.loyalty_segments,
    offer_id uuid REFERENCES @extschema@.loyalty_offers,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT loyalty_ads_validity_check CHECK (valid_until IS NULL OR valid_until > valid_from)
);
CREATE INDEX loyalty_ads_placement_idx ON @extschema@.loyalty_ads (placement) WHERE status = 'active';
CREATE INDEX loyalty_ads_segment_idx ON @extschema@.loyalty_ads (segment) WHERE segment IS NOT NULL;
CREATE INDEX loyalty_ads_offer_idx ON @extschema@.loyalty_ads (offer_id) WHERE offer_id IS NOT NULL;
COMMENT ON TABLE @extschema@.loyalty_ads IS
    'What is shown where, and for how long. Those with tiers or a segment are for customers who have agreed to '
    'marketing. The status obeys the machine "loyalty_ad".';
COMMENT ON COLUMN @extschema@.loyalty_ads.weight IS 'How often it is shown, beside others of the same placement.';

CREATE TABLE @extschema@.loyalty_ad_counts (
    ad_id uuid NOT NULL REFERENCES @extschema@.loyalty_ads,
    day date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('view', 'click')),
    count bigint NOT NULL CHECK (count >= 0),
    PRIMARY KEY (ad_id, day, kind)
);
CREATE INDEX loyalty_ad_counts_day_idx ON @extschema@.loyalty_ad_counts (day);
COMMENT ON TABLE @extschema@.loyalty_ad_counts IS
    'Views and clicks, by day (UTC). With the library preloaded they are counted in shared memory, and written here '
    'within a minute or so.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_ads', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_ad_counts', '');

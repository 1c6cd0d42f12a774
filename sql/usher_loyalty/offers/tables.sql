CREATE TABLE @extschema@.loyalty_segments (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    condition text NOT NULL,
    description text CHECK (length(description) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE @extschema@.loyalty_segments IS
    'Groups of customers by a condition on their history and attributes: r.purchases >= 3 && r.days_since_last > 60.';

CREATE TABLE @extschema@.loyalty_offers (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    title text NOT NULL CHECK (title <> '' AND length(title) <= 200),
    description text CHECK (length(description) <= 2000),
    status text NOT NULL DEFAULT 'draft',
    kind text NOT NULL CHECK (kind IN ('percent', 'amount', 'buy_x_get_y')),
    percent numeric(5, 2) CHECK (percent > 0 AND percent <= 100),
    amount_minor bigint CHECK (amount_minor > 0),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    buy_quantity integer CHECK (buy_quantity BETWEEN 1 AND 1000),
    get_quantity integer CHECK (get_quantity BETWEEN 1 AND 1000),
    min_amount_minor bigint NOT NULL DEFAULT 0 CHECK (min_amount_minor >= 0),
    max_discount_minor bigint CHECK (max_discount_minor > 0),
    valid_from timestamptz NOT NULL DEFAULT now() CHECK (isfinite(valid_from)),
    valid_until timestamptz CHECK (isfinite(valid_until)),
    weekdays integer[] CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND cardinality(weekdays) > 0),
    hours int4range CHECK (hours <@ '[0,24)' AND NOT isempty(hours)),
    time_zone text NOT NULL DEFAULT 'UTC',
    tiers text[] CHECK (cardinality(tiers) BETWEEN 1 AND 100),
    segment text REFERENCES @extschema@.loyalty_segments,
    location_ids uuid[] CHECK (cardinality(location_ids) BETWEEN 1 AND 1000),
    service_ids uuid[] CHECK (cardinality(service_ids) BETWEEN 1 AND 1000),
    product_ids uuid[] CHECK (cardinality(product_ids) BETWEEN 1 AND 1000),
    first_visit boolean NOT NULL DEFAULT false,
    needs_voucher boolean NOT NULL DEFAULT false,
    is_stackable boolean NOT NULL DEFAULT false,
    stack_group text CHECK (stack_group ~ '^[a-z][a-z0-9_]{0,62}$'),
    priority integer NOT NULL DEFAULT 0,
    max_uses integer CHECK (max_uses > 0),
    max_per_customer integer CHECK (max_per_customer > 0),
    uses integer NOT NULL DEFAULT 0,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    -- Named by what they say; the triggers give a clear error before they do.
    CONSTRAINT loyalty_offers_uses_check CHECK (uses >= 0 AND coalesce(uses <= max_uses, true)),
    CONSTRAINT loyalty_offers_terms_check CHECK (CASE kind WHEN 'percent' THEN percent IS NOT NULL
        WHEN 'amount' THEN amount_minor IS NOT NULL AND currency IS NOT NULL
        ELSE buy_quantity IS NOT NULL AND get_quantity IS NOT NULL END),
    CONSTRAINT loyalty_offers_validity_check CHECK (valid_until IS NULL OR valid_until > valid_from)
);
CREATE INDEX loyalty_offers_segment_idx ON @extschema@.loyalty_offers (segment) WHERE segment IS NOT NULL;
CREATE INDEX loyalty_offers_window_idx ON @extschema@.loyalty_offers (valid_until)
    WHERE status IN ('scheduled', 'active', 'paused');
COMMENT ON TABLE @extschema@.loyalty_offers IS
    'Discounts, for whom and when. The status obeys the machine "loyalty_offer". uses is counted by the rows of '
    'offer_uses, and nobody writes it by hand.';
COMMENT ON COLUMN @extschema@.loyalty_offers.hours IS 'Local hours of the day: [9,12) is from 9 to 12.';
COMMENT ON COLUMN @extschema@.loyalty_offers.time_zone IS
    'Of weekdays and hours, where the situation names no other: that of its location.';
COMMENT ON COLUMN @extschema@.loyalty_offers.stack_group IS
    'Of stackable offers that have one in common only the first is given.';

CREATE TABLE @extschema@.loyalty_offer_keys (
    match_key text NOT NULL,
    offer_id uuid NOT NULL REFERENCES @extschema@.loyalty_offers ON DELETE CASCADE,
    PRIMARY KEY (match_key, offer_id)
);
CREATE INDEX loyalty_offer_keys_offer_idx ON @extschema@.loyalty_offer_keys (offer_id);
COMMENT ON TABLE @extschema@.loyalty_offer_keys IS
    'What an offer is found by: the products, services, locations or tiers that it is for, whichever come first, or '
    'everybody. Not dumped: a trigger derives it from the offers.';

CREATE TABLE @extschema@.offer_vouchers (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    offer_id uuid NOT NULL REFERENCES @extschema@.loyalty_offers,
    code_hash bytea NOT NULL UNIQUE,
    batch text CHECK (length(batch) <= 100),
    customer_id uuid,
    max_uses integer NOT NULL DEFAULT 1 CHECK (max_uses > 0),
    uses integer NOT NULL DEFAULT 0,
    valid_until timestamptz CHECK (isfinite(valid_until)),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT offer_vouchers_uses_check CHECK (uses BETWEEN 0 AND max_uses),
    CONSTRAINT offer_vouchers_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
CREATE INDEX offer_vouchers_offer_idx ON @extschema@.offer_vouchers (offer_id, batch);
CREATE INDEX offer_vouchers_customer_idx ON @extschema@.offer_vouchers (customer_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE @extschema@.offer_vouchers IS
    'Codes that give an offer, once or several times, kept as hashes: whoever reads them cannot use them.';

CREATE TABLE @extschema@.offer_uses (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    offer_id uuid NOT NULL REFERENCES @extschema@.loyalty_offers,
    customer_id uuid NOT NULL,
    nth integer NOT NULL CHECK (nth > 0),
    voucher_id uuid REFERENCES @extschema@.offer_vouchers,
    reference_type text NOT NULL CHECK (reference_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    reference_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 0 AND 1000000000000000),
    discount_minor bigint NOT NULL,
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    terms jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(terms) = 'object'),
    lines jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(lines) = 'array'),
    is_released boolean NOT NULL DEFAULT false,
    released_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT offer_uses_nth_key UNIQUE (offer_id, customer_id, nth),
    CONSTRAINT offer_uses_discount_check CHECK (discount_minor BETWEEN 0 AND amount_minor)
);
CREATE UNIQUE INDEX offer_uses_reference_key ON @extschema@.offer_uses (reference_id, reference_type, offer_id)
    WHERE NOT is_released;
CREATE INDEX offer_uses_customer_idx ON @extschema@.offer_uses (customer_id, created_at);
CREATE INDEX offer_uses_voucher_idx ON @extschema@.offer_uses (voucher_id) WHERE voucher_id IS NOT NULL;
COMMENT ON TABLE @extschema@.offer_uses IS
    'Offers that were used, with the discount and the terms as they were then. Rows are only added, and released.';
COMMENT ON COLUMN @extschema@.offer_uses.lines IS
    'To which lines the discount belongs: [{"line_no", "discount_minor", "reason"}]; none: to the whole.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_segments', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.loyalty_offers', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.offer_vouchers', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.offer_uses', '');

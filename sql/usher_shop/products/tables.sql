-- What is sold, at which price since when, and how it is taxed. Variants are products of their own: whatever is
-- counted, priced or ordered has one id.

CREATE TABLE @extschema@.products (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    sku text NOT NULL UNIQUE CHECK (sku <> '' AND length(sku) <= 100),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    kind text NOT NULL DEFAULT 'product' CHECK (kind IN ('product', 'service', 'treatment')),
    variant_of uuid REFERENCES @extschema@.products CHECK (variant_of <> id),
    category text CHECK (category <> '' AND length(category) <= 100),
    description text CHECK (length(description) <= 10000),
    unit text NOT NULL DEFAULT 'piece' CHECK (unit ~ '^[a-z][a-z0-9_]{0,19}$'),
    tax_class text CHECK (tax_class ~ '^[a-z][a-z0-9_]{0,62}$'),
    track_stock boolean NOT NULL DEFAULT true,
    backorder_limit bigint NOT NULL DEFAULT 0 CHECK (backorder_limit BETWEEN 0 AND 1000000000000),
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'archived')),
    deleted_at timestamptz,
    search_words tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple'::regconfig, name || ' ' || sku), 'A')
        || setweight(to_tsvector('simple'::regconfig, coalesce(category, '') || ' ' || coalesce(description, '')),
                     'B')) STORED,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT products_deleted_check CHECK ((status = 'archived') = (deleted_at IS NOT NULL))
);
CREATE INDEX products_variant_idx ON @extschema@.products (variant_of);
-- Pages go by name: of everything, and of one category. Rare words and attributes are found first, and then sorted.
CREATE INDEX products_name_idx ON @extschema@.products (status, name, id);
CREATE INDEX products_category_idx ON @extschema@.products (category, status, name, id) WHERE category IS NOT NULL;
CREATE INDEX products_words_idx ON @extschema@.products USING gin (search_words);
CREATE INDEX products_attributes_idx ON @extschema@.products USING gin (attributes jsonb_path_ops);
COMMENT ON TABLE @extschema@.products IS
    'Products, services and treatments, and variants of them, which are products of their own. The status obeys the '
    'machine "shop_product": what is active is for sale.';
COMMENT ON COLUMN @extschema@.products.variant_of IS 'The product that this is a variant of.';
COMMENT ON COLUMN @extschema@.products.deleted_at IS 'Since when it is archived; NULL of what is not.';
COMMENT ON COLUMN @extschema@.products.unit IS 'What a quantity of 1 is. Quantities are whole numbers.';
COMMENT ON COLUMN @extschema@.products.tax_class IS 'Which of tax_rates holds; NULL for what is not taxed.';
COMMENT ON COLUMN @extschema@.products.backorder_limit IS
    'How much more than there is may be promised, where its stock begins to be kept; then stock_levels says it.';

CREATE TABLE @extschema@.product_facets (
    facet bigint NOT NULL,
    name text NOT NULL,
    product_id uuid NOT NULL REFERENCES @extschema@.products ON DELETE CASCADE,
    PRIMARY KEY (facet, name, product_id)
);
CREATE INDEX product_facets_product_idx ON @extschema@.product_facets (product_id);
COMMENT ON TABLE @extschema@.product_facets IS
    'Active products by each of their attributes, in the order of names: pages of whatever has an attribute are read '
    'from its index. Not dumped: a trigger derives it from products.';

CREATE TABLE @extschema@.product_prices (
    product_id uuid NOT NULL REFERENCES @extschema@.products,
    currency text NOT NULL,
    location_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(valid_from)),
    amount_minor bigint,
    tax_included boolean NOT NULL DEFAULT true,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, currency, location_id, valid_from),
    CONSTRAINT product_prices_amount_check CHECK (CASE WHEN amount_minor IS NULL
        THEN location_id <> '00000000-0000-0000-0000-000000000000' AND @extschema@._is_price(0, currency)
        ELSE @extschema@._is_price(amount_minor, currency) END)
);
COMMENT ON TABLE @extschema@.product_prices IS
    'The price list: what one unit costs from a time on, until the next row of the same currency and location. A '
    'price that has been in force is never changed.';
COMMENT ON COLUMN @extschema@.product_prices.location_id IS
    'Where; the nil UUID stands for all locations that have no price of their own.';
COMMENT ON COLUMN @extschema@.product_prices.amount_minor IS
    'NULL, of a location: from then on the general price holds there again.';
COMMENT ON COLUMN @extschema@.product_prices.tax_included IS
    'Whether the tax is a part of the amount, or comes on top of it.';

CREATE TABLE @extschema@.tax_rates (
    tax_class text NOT NULL CHECK (tax_class ~ '^[a-z][a-z0-9_]{0,62}$'),
    location_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(valid_from)),
    rate_ppm integer CHECK (rate_ppm BETWEEN 0 AND 1000000),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tax_class, location_id, valid_from),
    CONSTRAINT tax_rates_rate_check CHECK (rate_ppm IS NOT NULL
        OR location_id <> '00000000-0000-0000-0000-000000000000')
);
COMMENT ON TABLE @extschema@.tax_rates IS
    'Tax rates by class, from a time on, everywhere or at a location. A rate that has been in force is never changed.';
COMMENT ON COLUMN @extschema@.tax_rates.location_id IS
    'Where; the nil UUID stands for all locations that have no rate of their own.';
COMMENT ON COLUMN @extschema@.tax_rates.rate_ppm IS 'Millionths: 190000 is 19 %, 88750 is 8.875 %.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.products', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.product_prices', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.tax_rates', '');

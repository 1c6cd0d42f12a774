-- What somebody orders, what became of each line, and everything that happened to the order. Customers, locations and
-- references are ids of other features: no foreign key leaves this extension.

CREATE TABLE @extschema@.orders (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL,
    user_id uuid,
    location_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'cart'
        CHECK (status IN ('cart', 'placed', 'paid', 'fulfilled', 'completed', 'cancelled')),
    currency text NOT NULL,
    discount_minor bigint NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),
    net_minor bigint NOT NULL DEFAULT 0 CHECK (net_minor >= 0),
    tax_minor bigint NOT NULL DEFAULT 0 CHECK (tax_minor >= 0),
    total_minor bigint NOT NULL DEFAULT 0 CHECK (total_minor = net_minor + tax_minor),
    paid_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    reference_type text CHECK (reference_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    reference_id uuid,
    ship_to jsonb CHECK (jsonb_typeof(ship_to) = 'object' AND length(ship_to::text) <= 4000),
    notes text CHECK (length(notes) <= 2000),
    reason_code text CHECK (reason_code ~ '^[a-z][a-z0-9_]{0,62}$'),
    event_count integer NOT NULL DEFAULT 0,
    placed_at timestamptz,
    expires_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    recorded_minor bigint NOT NULL DEFAULT 0 CHECK (recorded_minor >= 0),
    handed_back_minor bigint NOT NULL DEFAULT 0 CHECK (handed_back_minor >= 0),
    kept_minor bigint NOT NULL DEFAULT 0 CHECK (kept_minor >= 0),
    asked_minor bigint CHECK (asked_minor >= 0),
    CONSTRAINT orders_reference_check CHECK ((reference_type IS NULL) = (reference_id IS NULL))
) WITH (fillfactor = 80);
-- Pages are put together from a walk for each status.
CREATE INDEX orders_status_idx ON @extschema@.orders (status, created_at, id);
CREATE INDEX orders_customer_idx ON @extschema@.orders (customer_id, status, created_at, id);
CREATE INDEX orders_user_idx ON @extschema@.orders (user_id, status, created_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX orders_location_idx ON @extschema@.orders (location_id, status, created_at, id);
CREATE INDEX orders_reference_idx ON @extschema@.orders (reference_id, reference_type) WHERE reference_id IS NOT NULL;
CREATE INDEX orders_expires_idx ON @extschema@.orders (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE @extschema@.orders IS
    'What a customer orders at a location. Status and sums follow from lines and payments, and nobody writes them by '
    'hand; the status obeys the machine "shop_order".';
COMMENT ON COLUMN @extschema@.orders.total_minor IS
    'Of what is neither cancelled nor returned: the sum of its lines, each rounded once, half up.';
COMMENT ON COLUMN @extschema@.orders.paid_minor IS
    'What was captured or recorded, less what goes back.';
COMMENT ON COLUMN @extschema@.orders.refunded_minor IS
    'What went back, or is on its way back.';
COMMENT ON COLUMN @extschema@.orders.recorded_minor IS
    'What record_order_payment() has recorded: payments know nothing of it.';
COMMENT ON COLUMN @extschema@.orders.handed_back_minor IS
    'What of the recorded money is to be handed back, because no payment has so much to give back.';
COMMENT ON COLUMN @extschema@.orders.kept_minor IS
    'What is paid too much and not proposed for refund again: its refund has failed or was cancelled.';
COMMENT ON COLUMN @extschema@.orders.asked_minor IS
    'What was still to be paid as order.placed or order.total_changed has told last.';
COMMENT ON COLUMN @extschema@.orders.reference_type IS
    'What the order belongs to, such as a booking in which it is sold.';
COMMENT ON COLUMN @extschema@.orders.event_count IS 'The number of the last row of order_events.';
COMMENT ON COLUMN @extschema@.orders.expires_at IS 'Until when a placed order has to be paid.';

CREATE TABLE @extschema@.order_lines (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    order_id uuid NOT NULL REFERENCES @extschema@.orders,
    line_no integer NOT NULL,
    product_id uuid NOT NULL REFERENCES @extschema@.products,
    quantity bigint NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    unit_price_minor bigint NOT NULL,
    tax_rate_ppm integer NOT NULL,
    tax_included boolean NOT NULL,
    discount_minor bigint NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),
    granted_minor bigint NOT NULL DEFAULT 0 CHECK (granted_minor BETWEEN 0 AND discount_minor),
    discount_reason text CHECK (discount_reason ~ '^[a-z][a-z0-9_]{0,62}$'),
    net_minor bigint NOT NULL CHECK (net_minor >= 0),
    tax_minor bigint NOT NULL CHECK (tax_minor >= 0),
    gross_minor bigint NOT NULL CHECK (gross_minor = net_minor + tax_minor),
    reservation_id uuid REFERENCES @extschema@.stock_reservations,
    fulfilled bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    CONSTRAINT order_lines_number_key UNIQUE (order_id, line_no),
    CONSTRAINT order_lines_progress_check CHECK (quantity > 0 AND cancelled >= 0
        AND returned BETWEEN 0 AND fulfilled AND fulfilled + cancelled <= quantity)
) WITH (fillfactor = 80);
CREATE INDEX order_lines_product_idx ON @extschema@.order_lines (product_id);
-- What a count expects to lie there although it is sold.
CREATE INDEX order_lines_unsent_idx ON @extschema@.order_lines (product_id)
    WHERE reservation_id IS NOT NULL AND fulfilled + cancelled < quantity;
CREATE INDEX order_lines_reservation_idx ON @extschema@.order_lines (reservation_id) WHERE reservation_id IS NOT NULL;
COMMENT ON TABLE @extschema@.order_lines IS
    'Lines of orders. While the order is a cart they follow the catalogue; from then on name, price, tax and discount '
    'stay as they were agreed.';
COMMENT ON COLUMN @extschema@.order_lines.discount_minor IS 'Of the whole quantity.';
COMMENT ON COLUMN @extschema@.order_lines.granted_minor IS
    'What of the discount was granted by offers (order_discounts); the rest was given by staff.';
COMMENT ON COLUMN @extschema@.order_lines.gross_minor IS 'Of what is neither cancelled nor returned, with tax.';
COMMENT ON COLUMN @extschema@.order_lines.reservation_id IS 'Its stock; NULL where none is kept.';

CREATE TABLE @extschema@.order_discounts (
    order_id uuid NOT NULL REFERENCES @extschema@.orders,
    source text NOT NULL CHECK (source <> '' AND length(source) <= 100),
    line_no integer NOT NULL DEFAULT 0 CHECK (line_no >= 0),
    discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
    reason text CHECK (reason ~ '^[a-z][a-z0-9_]{0,62}$'),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_id, source, line_no)
);
CREATE INDEX order_discounts_source_idx ON @extschema@.order_discounts (source);
COMMENT ON TABLE @extschema@.order_discounts IS
    'What loyalty.discount_granted has granted to carts, and what became of it when they were placed: the lines have '
    'it in granted_minor, as far as they cost something.';
COMMENT ON COLUMN @extschema@.order_discounts.source IS
    'Which redemption it is of: granted twice, it is given once.';
COMMENT ON COLUMN @extschema@.order_discounts.line_no IS
    'Of which line; 0: of all of them, in proportion to what they cost.';

CREATE TABLE @extschema@.order_events (
    order_id uuid NOT NULL REFERENCES @extschema@.orders,
    seq integer NOT NULL,
    event text NOT NULL CHECK (event ~ '^[a-z][a-z0-9_]{0,62}$'),
    from_status text,
    to_status text,
    reason_code text,
    payload jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(payload) = 'object' AND length(payload::text) <= 10000),
    actor_id uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (order_id, seq)
);
COMMENT ON TABLE @extschema@.order_events IS
    'What happened to an order: every status, and what the application adds. Rows are only added, numbered without '
    'gaps, and say who and when by themselves.';

CREATE TABLE @extschema@.service_materials (
    service_id uuid NOT NULL,
    product_id uuid NOT NULL REFERENCES @extschema@.products,
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 1000000000),
    PRIMARY KEY (service_id, product_id)
);
CREATE INDEX service_materials_product_idx ON @extschema@.service_materials (product_id);
COMMENT ON TABLE @extschema@.service_materials IS
    'What one booking of a service uses up, when it is completed.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.orders', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.order_lines', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.order_discounts', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.order_events', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.service_materials', '');

-- How much there is, who has claimed how much of it, and every change of both. Locations are ids of other features: no
-- foreign key leaves this extension.

CREATE TABLE @extschema@.stock_levels (
    product_id uuid NOT NULL REFERENCES @extschema@.products,
    location_id uuid NOT NULL,
    on_hand bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    low_threshold bigint NOT NULL DEFAULT 0,
    backorder_limit bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (product_id, location_id),
    -- The row trigger gives a clear error before they do, and knows the other limits: each CHECK is read anew by every
    -- statement, which costs as much as the row.
    CONSTRAINT stock_levels_reserved_check CHECK (reserved >= 0),
    CONSTRAINT stock_levels_available_check CHECK (on_hand - reserved >= -backorder_limit)
) WITH (fillfactor = 50); -- rows are updated often, and in place
CREATE INDEX stock_levels_location_idx ON @extschema@.stock_levels (location_id, product_id);
COMMENT ON TABLE @extschema@.stock_levels IS
    'What is there and what of it is claimed, in units of the product. Every change is a row of inventory_logs, '
    'whoever makes it; reserved follows from stock_reservations, and nobody writes it by hand.';
COMMENT ON COLUMN @extschema@.stock_levels.low_threshold IS
    'stock.low is published when so much or less has become available.';
COMMENT ON COLUMN @extschema@.stock_levels.backorder_limit IS
    'How much more than on_hand may be reserved, and sent, before it is there: 0 for nothing.';

CREATE TABLE @extschema@.stock_reservations (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    product_id uuid NOT NULL,
    location_id uuid NOT NULL,
    quantity bigint NOT NULL,
    committed bigint NOT NULL DEFAULT 0,
    released bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'held',
    reference_type text,
    reference_id uuid,
    expires_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What else must hold is known to the row trigger.
    CONSTRAINT stock_reservations_amounts_check CHECK (quantity > 0 AND committed >= 0 AND released >= 0
        AND returned BETWEEN 0 AND committed AND committed + released <= quantity
        AND (status = 'held') = (committed + released < quantity))
) WITH (fillfactor = 80);
CREATE INDEX stock_reservations_reference_idx ON @extschema@.stock_reservations (reference_id, reference_type)
    WHERE reference_id IS NOT NULL;
CREATE INDEX stock_reservations_expires_idx ON @extschema@.stock_reservations (expires_at)
    WHERE status = 'held' AND expires_at IS NOT NULL;
CREATE INDEX stock_reservations_created_by_idx ON @extschema@.stock_reservations (created_by)
    WHERE created_by IS NOT NULL;
COMMENT ON COLUMN @extschema@.stock_reservations.status IS 'held, committed, released or expired.';
COMMENT ON TABLE @extschema@.stock_reservations IS
    'Claims on stock. What is open of one (quantity less committed and released) is reserved in its level; committed '
    'is what was sent, and returned what came back of that.';

CREATE TABLE @extschema@.inventory_logs (
    id uuid NOT NULL DEFAULT usher.uuid_v7(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    product_id uuid NOT NULL,
    location_id uuid NOT NULL,
    movement text NOT NULL,
    on_hand_delta bigint NOT NULL,
    reserved_delta bigint NOT NULL,
    on_hand_after bigint NOT NULL,
    reserved_after bigint NOT NULL,
    unit_cost_minor bigint,
    source_type text,
    source_id uuid,
    reason_code text,
    actor_id uuid
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE @extschema@.inventory_logs IS
    'Every change of a stock level, with what the level was after it. Rows are only added, by the trigger of '
    'stock_levels; months older than shop.log_retention days are rolled up into inventory_openings.';
COMMENT ON COLUMN @extschema@.inventory_logs.movement IS
    'purchase, sale, adjustment, reserve, release, return, transfer, count or use.';
COMMENT ON COLUMN @extschema@.inventory_logs.source_id IS
    'What the change was made for: a reservation, a delivery, a count, a transfer.';

CREATE TABLE @extschema@.inventory_logs_default PARTITION OF @extschema@.inventory_logs DEFAULT;
-- Each partition has a key of its own, by which a level's log is read. One of the whole table would be made for the
-- partitions in a dump before the dump makes theirs.
ALTER TABLE @extschema@.inventory_logs_default ADD PRIMARY KEY (product_id, location_id, id);
-- Upkeep looks for what is old enough to be rolled up; months are dropped whole.
CREATE INDEX inventory_logs_default_created_idx ON @extschema@.inventory_logs_default (created_at);
COMMENT ON TABLE @extschema@.inventory_logs_default IS
    'Rows of months without a partition of their own: the first one, and those in which nobody ran upkeep. '
    'Not dumped: _inventory_dump carries its rows.';

-- pg_dump takes the rows of an extension's table, but not those of a partition: as with the audit log, an empty table
-- carries them through. Partitions that upkeep has made are tables of the DBA's to pg_dump.
CREATE TABLE @extschema@._inventory_dump (LIKE @extschema@.inventory_logs, PRIMARY KEY (id));
COMMENT ON TABLE @extschema@._inventory_dump IS
    'Always empty: carries the rows of inventory_logs_default through a dump. What is loaded into it arrives in '
    'inventory_logs.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@._inventory_dump',
    (SELECT format('WHERE false UNION ALL SELECT %s FROM @extschema@.inventory_logs_default',
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
     FROM pg_attribute AS a WHERE a.attrelid = '@extschema@._inventory_dump'::regclass AND a.attnum > 0));

CREATE TABLE @extschema@.inventory_openings (
    product_id uuid NOT NULL,
    location_id uuid NOT NULL,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (product_id, location_id)
);
COMMENT ON TABLE @extschema@.inventory_openings IS
    'What the removed part of the log added up to: opening balance and log together are the level.';

CREATE TABLE @extschema@.stock_counts (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    location_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'finished', 'cancelled')),
    started_by uuid,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_by uuid,
    finished_at timestamptz CHECK ((finished_at IS NULL) = (status = 'open'))
);
CREATE UNIQUE INDEX stock_counts_open_key ON @extschema@.stock_counts (location_id) WHERE status = 'open';
COMMENT ON TABLE @extschema@.stock_counts IS 'Stocktakings: one at a time in each location.';

CREATE TABLE @extschema@.stock_count_lines (
    count_id uuid NOT NULL REFERENCES @extschema@.stock_counts,
    product_id uuid NOT NULL REFERENCES @extschema@.products,
    counted bigint NOT NULL CHECK (counted BETWEEN 0 AND 1000000000000),
    expected bigint NOT NULL,
    recorded_by uuid,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (count_id, product_id)
);
CREATE INDEX stock_count_lines_product_idx ON @extschema@.stock_count_lines (product_id);
COMMENT ON TABLE @extschema@.stock_count_lines IS
    'What somebody has counted, and what was on hand by the books at that moment: what moves later changes no '
    'difference.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.stock_levels', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.stock_reservations', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.inventory_openings', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.stock_counts', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.stock_count_lines', '');

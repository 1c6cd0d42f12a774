-- Sources of points say what all payments for them have brought and given back, and what an order costs without what
-- was returned: money that only goes back as a surplus takes no points along. Three columns without a default: the
-- table is locked for a moment. They are NULL for purchases so far, whose deductions stay as they were.
ALTER TABLE @extschema@.points_sources ADD COLUMN captured_minor bigint, ADD COLUMN refunded_minor bigint,
    ADD COLUMN kept_minor bigint;

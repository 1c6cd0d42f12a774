-- Derived from bookings and appointments, hence not dumped: loading them writes the claims again.
CREATE TABLE @extschema@.booking_claims (
    booking_id uuid NOT NULL REFERENCES @extschema@.bookings ON DELETE CASCADE,
    resource_kind text NOT NULL CHECK (resource_kind IN ('staff', 'customer')),
    holder_id uuid NOT NULL,
    resource_id uuid NOT NULL,
    during tstzrange NOT NULL,
    live boolean NOT NULL DEFAULT true,
    PRIMARY KEY (booking_id, resource_kind, holder_id),
    -- An exclusion constraint accepts a null or empty range without a word, so these say it.
    CONSTRAINT booking_claims_during_check
        CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)
        AND isfinite(lower(during)) AND isfinite(upper(during))),
    -- One for each kind: the kind is no part of the key then, which halves what an insert costs.
    CONSTRAINT booking_claims_staff_no_overlap EXCLUDE USING gist
        (resource_id WITH =, during WITH &&) WHERE (live AND resource_kind = 'staff'),
    CONSTRAINT booking_claims_customer_no_overlap EXCLUDE USING gist
        (resource_id WITH =, during WITH &&) WHERE (live AND resource_kind = 'customer')
);
COMMENT ON TABLE @extschema@.booking_claims IS
    'Whose time a booking takes, buffers included. Two live claims on one person cannot overlap, whatever client '
    'wrote them. Not dumped: loading the bookings makes them anew.';
COMMENT ON COLUMN @extschema@.booking_claims.holder_id IS 'The booking, or the appointment of it that takes the time.';

-- Counters that writers UPDATE before they claim, in one order. That makes competing writers queue instead of
-- deadlock, and makes the peak count right at REPEATABLE READ too, where a mere lock would let the second writer count
-- on an old snapshot.
CREATE TABLE @extschema@.resource_guards (
    kind text NOT NULL,
    id uuid NOT NULL,
    day date NOT NULL,
    touched bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (kind, id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE @extschema@.resource_guards IS
    'One row per resource and day that writers update before they claim. Days are those of UTC: what overlaps shares '
    'one. Only the limit of a customer per day counts local days. Not dumped: writers make them when they need them.';

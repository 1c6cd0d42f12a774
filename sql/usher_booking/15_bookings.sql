-- Bookings and what they take. A booking has one row for ever: it is never moved to another table or copied when it changes.

CREATE TABLE @extschema@.customers (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id uuid,
    name text CHECK (name <> '' AND length(name) <= 200),
    email text CHECK (length(email) <= 255),
    phone text CHECK (length(phone) <= 20),
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    created_by uuid,
    CONSTRAINT customers_known_check CHECK (user_id IS NOT NULL OR name IS NOT NULL)
);
COMMENT ON COLUMN @extschema@.customers.created_by IS
    'User who made the profile of somebody else, and sees it from then on: a walk-in customer has no booking yet. Not a foreign key.';
CREATE INDEX customers_created_by_idx ON @extschema@.customers (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX customers_user_id_idx ON @extschema@.customers (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX customers_email_idx ON @extschema@.customers (lower(email)) WHERE email IS NOT NULL;
COMMENT ON TABLE @extschema@.customers IS
    'Who books: the profile of a user, whose first profile carries the id of that user, or a walk-in customer without an account.';

CREATE TABLE @extschema@.bookings (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL REFERENCES @extschema@.customers,
    service_id uuid NOT NULL REFERENCES @extschema@.services,
    location_id uuid NOT NULL REFERENCES @extschema@.locations,
    staff_id uuid,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled')),
    start_at timestamptz NOT NULL CHECK (isfinite(start_at)),
    end_at timestamptz NOT NULL CHECK (isfinite(end_at)),
    during tstzrange NOT NULL GENERATED ALWAYS AS (tstzrange(start_at, end_at, '[)')) STORED,
    duration interval NOT NULL,
    buffer_before interval NOT NULL,
    buffer_after interval NOT NULL,
    service_name text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    pending_blocks boolean NOT NULL,
    auto_confirm boolean NOT NULL,
    needs_staff boolean NOT NULL,
    customer_exclusive boolean NOT NULL,
    by_appointment boolean NOT NULL DEFAULT false,
    daily_limit integer CHECK (daily_limit > 0),
    overbooked boolean NOT NULL DEFAULT false,
    series_id uuid,
    occupies boolean NOT NULL GENERATED ALWAYS AS
        (status IN ('confirmed', 'in_progress') OR (status = 'pending' AND pending_blocks)) STORED,
    hold_expires_at timestamptz,
    vehicle_info jsonb CHECK (jsonb_typeof(vehicle_info) = 'object'),
    special_instructions text CHECK (length(special_instructions) <= 2000),
    status_notes text CHECK (length(status_notes) <= 2000),
    cancellation_reason text CHECK (cancellation_reason ~ '^[a-z][a-z0-9_]{0,62}$'),
    refund_due_minor bigint CHECK (refund_due_minor BETWEEN 0 AND price_minor),
    paid_at timestamptz,
    payment_method text CHECK (length(payment_method) <= 20),
    confirmed_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL,
    CONSTRAINT bookings_during_check CHECK (start_at < end_at),
    CONSTRAINT bookings_cancellation_check CHECK (cancellation_reason IS NULL OR status = 'cancelled'),
    -- One pair of hands: whoever works on a booking cannot work on another.
    CONSTRAINT bookings_staff_check CHECK (staff_id IS NOT NULL OR NOT needs_staff OR by_appointment
        OR status NOT IN ('in_progress', 'completed'))
);
CREATE INDEX bookings_status_start_at_idx ON @extschema@.bookings (status, start_at);
CREATE INDEX bookings_customer_pending_idx ON @extschema@.bookings (customer_id) WHERE status = 'pending';
CREATE INDEX bookings_customer_idx ON @extschema@.bookings (customer_id, start_at);
CREATE INDEX bookings_staff_idx ON @extschema@.bookings (staff_id, start_at) WHERE staff_id IS NOT NULL;
CREATE INDEX bookings_service_id_idx ON @extschema@.bookings (service_id);
CREATE INDEX bookings_location_idx ON @extschema@.bookings (location_id, start_at);
CREATE INDEX bookings_hold_idx ON @extschema@.bookings (hold_expires_at) WHERE status = 'pending';
CREATE INDEX bookings_series_id_idx ON @extschema@.bookings (series_id) WHERE series_id IS NOT NULL;
-- For the peak of simultaneous bookings.
CREATE INDEX bookings_occupied_idx ON @extschema@.bookings USING gist (location_id, during) WHERE occupies;
-- A staff member works on one booking at a time.
CREATE UNIQUE INDEX bookings_staff_in_progress_idx ON @extschema@.bookings (staff_id)
    WHERE status = 'in_progress' AND NOT by_appointment;
COMMENT ON TABLE @extschema@.bookings IS
    'Bookings with the terms they were made on. The status obeys the machine "booking"; triggers keep end and claims in step.';
COMMENT ON COLUMN @extschema@.bookings.during IS 'The visible time, half open: [start_at, end_at).';
COMMENT ON COLUMN @extschema@.bookings.occupies IS 'Whether the booking takes a place and its people now.';
COMMENT ON COLUMN @extschema@.bookings.price_minor IS 'The price when it was booked, in minor units; later changes of the service do not touch it.';
COMMENT ON COLUMN @extschema@.bookings.overbooked IS 'Made beyond the capacity of the location, on purpose; needs booking:overbook.';
COMMENT ON COLUMN @extschema@.bookings.series_id IS 'The same for all bookings that were made together.';
COMMENT ON COLUMN @extschema@.bookings.refund_due_minor IS 'What the cancellation entitles to; whoever handles payments decides.';
COMMENT ON COLUMN @extschema@.bookings.paid_at IS 'Set by the handler of payments only.';

-- Sessions of a booking: one at first, more where a treatment takes several.
CREATE TABLE @extschema@.appointments (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    booking_id uuid NOT NULL REFERENCES @extschema@.bookings ON DELETE CASCADE,
    customer_id uuid NOT NULL REFERENCES @extschema@.customers,
    location_id uuid NOT NULL REFERENCES @extschema@.locations,
    practitioner_id uuid,
    status text NOT NULL DEFAULT 'scheduled'
        CHECK (status IN ('scheduled', 'arrived', 'in_progress', 'completed', 'cancelled', 'no_show')),
    start_at timestamptz NOT NULL CHECK (isfinite(start_at)),
    end_at timestamptz NOT NULL CHECK (isfinite(end_at)),
    during tstzrange NOT NULL GENERATED ALWAYS AS (tstzrange(start_at, end_at, '[)')) STORED,
    buffer_before interval NOT NULL,
    buffer_after interval NOT NULL,
    customer_exclusive boolean NOT NULL,
    overbooked boolean NOT NULL DEFAULT false,
    occupies boolean NOT NULL,
    notes text CHECK (length(notes) <= 10000),
    cancellation_reason text CHECK (cancellation_reason ~ '^[a-z][a-z0-9_]{0,62}$'),
    arrived_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT appointments_during_check CHECK (start_at < end_at),
    CONSTRAINT appointments_practitioner_check CHECK (practitioner_id IS NOT NULL OR status NOT IN ('in_progress', 'completed'))
);
CREATE INDEX appointments_booking_id_idx ON @extschema@.appointments (booking_id);
CREATE INDEX appointments_customer_idx ON @extschema@.appointments (customer_id, start_at);
CREATE INDEX appointments_practitioner_idx ON @extschema@.appointments (practitioner_id, start_at) WHERE practitioner_id IS NOT NULL;
CREATE INDEX appointments_location_idx ON @extschema@.appointments (location_id, start_at);
CREATE INDEX appointments_occupied_idx ON @extschema@.appointments USING gist (location_id, during) WHERE occupies;
CREATE UNIQUE INDEX appointments_practitioner_in_progress_idx ON @extschema@.appointments (practitioner_id) WHERE status = 'in_progress';
COMMENT ON TABLE @extschema@.appointments IS
    'When a patient and a practitioner meet. The status obeys the machine "appointment"; the booking follows its appointments.';
COMMENT ON COLUMN @extschema@.appointments.practitioner_id IS 'NULL when somebody else must be found.';
COMMENT ON COLUMN @extschema@.appointments.occupies IS 'Whether it takes a place and its people now; kept by triggers.';

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
    CONSTRAINT booking_claims_during_check CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)
        AND isfinite(lower(during)) AND isfinite(upper(during))),
    -- One for each kind: the kind is no part of the key then, which halves what an insert costs.
    CONSTRAINT booking_claims_staff_no_overlap EXCLUDE USING gist
        (resource_id WITH =, during WITH &&) WHERE (live AND resource_kind = 'staff'),
    CONSTRAINT booking_claims_customer_no_overlap EXCLUDE USING gist
        (resource_id WITH =, during WITH &&) WHERE (live AND resource_kind = 'customer')
);
COMMENT ON TABLE @extschema@.booking_claims IS
    'Whose time a booking takes, buffers included. Two live claims on one person cannot overlap, whatever client wrote them.';
COMMENT ON COLUMN @extschema@.booking_claims.holder_id IS 'The booking, or the appointment of it that takes the time.';

-- Counters that writers UPDATE before they claim, in one order. That makes competing writers queue instead of deadlock, and makes
-- the peak count right at REPEATABLE READ too, where a mere lock would let the second writer count on an old snapshot.
CREATE TABLE @extschema@.resource_guards (
    kind text NOT NULL,
    id uuid NOT NULL,
    day date NOT NULL,
    touched bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (kind, id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE @extschema@.resource_guards IS
    'One row per resource and day that writers update before they claim. Days are those of UTC: what overlaps shares one. Only the limit of a customer per day counts local days.';

CREATE TABLE @extschema@.idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL CHECK (key <> '' AND length(key) <= 255),
    request_hash text NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON @extschema@.idempotency_keys (created_at);
COMMENT ON TABLE @extschema@.idempotency_keys IS 'Requests that may be repeated: who, under which key, with what arguments, and what was answered.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.customers', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.bookings', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.appointments', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.idempotency_keys', '');

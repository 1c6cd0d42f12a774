CREATE TABLE @extschema@.bookings (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL REFERENCES @extschema@.customers,
    customer_user_id uuid,
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
    prepay_minor bigint NOT NULL DEFAULT 0 CHECK (prepay_minor BETWEEN 0 AND price_minor),
    refund_due_minor bigint CHECK (refund_due_minor BETWEEN 0 AND price_minor),
    refund_percent smallint CHECK (refund_percent BETWEEN 0 AND 100),
    paid_at timestamptz,
    payment_method text CHECK (length(payment_method) <= 20),
    payment_transaction text CHECK (length(payment_transaction) <= 255),
    confirmed_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL,
    discount_minor bigint NOT NULL DEFAULT 0 CHECK (discount_minor BETWEEN 0 AND price_minor),
    paid_minor bigint NOT NULL DEFAULT 0,
    CONSTRAINT bookings_during_check CHECK (start_at < end_at),
    CONSTRAINT bookings_cancellation_check CHECK (cancellation_reason IS NULL OR status = 'cancelled'),
    -- One pair of hands: whoever works on a booking cannot work on another.
    CONSTRAINT bookings_staff_check CHECK (staff_id IS NOT NULL OR NOT needs_staff OR by_appointment
        OR status NOT IN ('in_progress', 'completed'))
);
CREATE INDEX bookings_status_start_at_idx ON @extschema@.bookings (status, start_at);
CREATE INDEX bookings_customer_pending_idx ON @extschema@.bookings (customer_id) WHERE status = 'pending';
CREATE INDEX bookings_customer_idx ON @extschema@.bookings (customer_id, start_at);
-- Pages are put together from a walk for each status; whom a staff member has served is read from the index alone.
CREATE INDEX bookings_staff_idx ON @extschema@.bookings (staff_id, status, start_at) INCLUDE (customer_id)
    WHERE staff_id IS NOT NULL;
CREATE INDEX bookings_service_id_idx ON @extschema@.bookings (service_id);
CREATE INDEX bookings_location_idx ON @extschema@.bookings (location_id, status, start_at);
CREATE INDEX bookings_location_customer_idx ON @extschema@.bookings (location_id, customer_id);
CREATE INDEX bookings_hold_idx ON @extschema@.bookings (hold_expires_at) WHERE status = 'pending';
CREATE INDEX bookings_series_id_idx ON @extschema@.bookings (series_id) WHERE series_id IS NOT NULL;
-- For the peak of simultaneous bookings.
CREATE INDEX bookings_occupied_idx ON @extschema@.bookings USING gist (location_id, during) WHERE occupies;
-- A staff member works on one booking at a time.
CREATE UNIQUE INDEX bookings_staff_in_progress_idx ON @extschema@.bookings (staff_id)
    WHERE status = 'in_progress' AND NOT by_appointment;
COMMENT ON TABLE @extschema@.bookings IS
    'Bookings with the terms they were made on. The status obeys the machine "booking"; triggers keep end and '
    'claims in step.';
COMMENT ON COLUMN @extschema@.bookings.during IS 'The visible time, half open: [start_at, end_at).';
COMMENT ON COLUMN @extschema@.bookings.occupies IS 'Whether the booking takes a place and its people now.';
COMMENT ON COLUMN @extschema@.bookings.price_minor IS
    'The price when it was booked, in minor units; later changes of the service do not touch it.';
COMMENT ON COLUMN @extschema@.bookings.discount_minor IS
    'What offers take off the price (booking_discounts): what is left is to be paid.';
COMMENT ON COLUMN @extschema@.bookings.paid_minor IS
    'What payments for it have come to, less what goes back. Set by the handler of payments only.';
COMMENT ON COLUMN @extschema@.bookings.overbooked IS
    'Made beyond the capacity of the location, on purpose; needs booking:overbook.';
COMMENT ON COLUMN @extschema@.bookings.series_id IS 'The same for all bookings that were made together.';
COMMENT ON COLUMN @extschema@.bookings.refund_due_minor IS
    'What the cancellation entitles to; whoever handles payments decides.';
COMMENT ON COLUMN @extschema@.bookings.customer_user_id IS
    'The account of the customer when it was booked; NULL for a walk-in. Not a foreign key.';
COMMENT ON COLUMN @extschema@.bookings.prepay_minor IS
    'What has to be paid before it is confirmed by payment: a part of the price, all, or nothing.';
COMMENT ON COLUMN @extschema@.bookings.refund_percent IS
    'What share of all that was paid the cancellation gives back, by the policy of the service.';
COMMENT ON COLUMN @extschema@.bookings.paid_at IS 'Set by the handler of payments only.';
COMMENT ON COLUMN @extschema@.bookings.payment_transaction IS
    'The transaction that paid: another one for the same booking is proposed for refund.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.bookings', '');
-- Making bookings.

CREATE TYPE @extschema@.booking_receipt AS (
    booking_id uuid, status text, start_at timestamptz, end_at timestamptz, staff_id uuid, price_minor bigint,
    currency text, hold_expires_at timestamptz, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.booking_receipt IS
    'What create_booking() and reschedule_booking() answer; replayed: the request was made before.';
-- Moving bookings along. The machine decides; these functions lock the row, name the refusal, and answer.

CREATE TYPE @extschema@.booking_status AS (booking_id uuid, status text, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.booking_status IS 'Where a booking stands after a change of its status.';

CREATE TYPE @extschema@.booking_cancellation AS (
    booking_id uuid, status text, refund_due_minor bigint, currency text, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.booking_cancellation IS 'A cancelled booking and what its customer is due.';

CREATE TYPE @extschema@.booking_assignment AS (booking_id uuid, staff_id uuid, version integer);
COMMENT ON TYPE @extschema@.booking_assignment IS 'Who a booking was given to.';
CREATE TABLE @extschema@.booking_discounts (
    booking_id uuid NOT NULL REFERENCES @extschema@.bookings ON DELETE CASCADE,
    source text NOT NULL CHECK (source <> '' AND length(source) <= 100),
    discount_minor bigint NOT NULL CHECK (discount_minor > 0),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (booking_id, source)
);
CREATE INDEX booking_discounts_source_idx ON @extschema@.booking_discounts (source);
COMMENT ON TABLE @extschema@.booking_discounts IS
    'What loyalty.discount_granted has granted to bookings: bookings.discount_minor is the sum, as far as something '
    'is to be paid.';
COMMENT ON COLUMN @extschema@.booking_discounts.source IS
    'Which redemption it is of: granted twice, it is given once.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.booking_discounts', '');

CREATE TABLE @extschema@.booking_reminders (
    booking_id uuid PRIMARY KEY,
    start_at timestamptz NOT NULL,
    reminded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX booking_reminders_start_at_idx ON @extschema@.booking_reminders (start_at);
COMMENT ON TABLE @extschema@.booking_reminders IS
    'Which bookings booking.reminder was published for, and for which start: one that is moved has another reminder.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.booking_reminders', '');

-- Reading bookings. People are shown as usher.user_reference, fetched once for a whole batch and never joined.

CREATE TYPE @extschema@.booking_details AS (
    booking_id uuid, status text, start_at timestamptz, end_at timestamptz, local_start timestamp,
    customer_id uuid, customer usher.user_reference, staff_id uuid, washer usher.user_reference,
    service_id uuid, service_name text, location_id uuid, location_name text,
    price_minor bigint, currency text, hold_expires_at timestamptz, paid_at timestamptz, payment_method text,
    vehicle_info jsonb, special_instructions text, status_notes text, cancellation_reason text,
    refund_due_minor bigint, by_appointment boolean, overbooked boolean, series_id uuid, created_at timestamptz,
    updated_at timestamptz, version integer);
COMMENT ON TYPE @extschema@.booking_details IS 'A booking as it is read: its columns, and who and what it refers to.';

-- Over HTTP, the name of the domain is the media type of the answer.
CREATE DOMAIN @extschema@."text/calendar" AS text;
COMMENT ON DOMAIN @extschema@."text/calendar" IS 'iCalendar (RFC 5545).';

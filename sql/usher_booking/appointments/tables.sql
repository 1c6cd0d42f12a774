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
    needs_staff boolean NOT NULL DEFAULT true,
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
    CONSTRAINT appointments_during_check CHECK (start_at < end_at AND end_at - start_at <= '168 hours'),
    CONSTRAINT appointments_practitioner_check CHECK (practitioner_id IS NOT NULL OR NOT needs_staff
        OR status NOT IN ('in_progress', 'completed'))
);
CREATE INDEX appointments_booking_id_idx ON @extschema@.appointments (booking_id);
CREATE INDEX appointments_customer_idx ON @extschema@.appointments (customer_id, start_at);
CREATE INDEX appointments_status_start_at_idx ON @extschema@.appointments (status, start_at);
CREATE INDEX appointments_practitioner_idx ON @extschema@.appointments (practitioner_id, status, start_at)
    INCLUDE (customer_id) WHERE practitioner_id IS NOT NULL;
CREATE INDEX appointments_location_idx ON @extschema@.appointments (location_id, status, start_at);
CREATE INDEX appointments_location_customer_idx ON @extschema@.appointments (location_id, customer_id);
CREATE INDEX appointments_occupied_idx ON @extschema@.appointments USING gist (location_id, during) WHERE occupies;
CREATE UNIQUE INDEX appointments_practitioner_in_progress_idx ON @extschema@.appointments (practitioner_id)
    WHERE status = 'in_progress';
COMMENT ON TABLE @extschema@.appointments IS
    'When a patient and a practitioner meet. The status obeys the machine "appointment"; the booking follows its '
    'appointments.';
COMMENT ON COLUMN @extschema@.appointments.practitioner_id IS
    'NULL when somebody must be found, or nobody is needed.';
COMMENT ON COLUMN @extschema@.appointments.occupies IS
    'Whether it takes a place and its people now; kept by triggers.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.appointments', '');
-- Appointments: the sessions of a booking.

CREATE TYPE @extschema@.appointment_status AS (appointment_id uuid, status text, booking_status text, version integer);
COMMENT ON TYPE @extschema@.appointment_status IS 'Where an appointment and its booking stand after a change.';

CREATE TYPE @extschema@.appointment_details AS (
    appointment_id uuid, booking_id uuid, status text, booking_status text, start_at timestamptz, end_at timestamptz,
    local_start timestamp, customer_id uuid, customer usher.user_reference,
    practitioner_id uuid, practitioner usher.user_reference, service_name text, location_id uuid, location_name text,
    notes text, cancellation_reason text, arrived_at timestamptz, started_at timestamptz, completed_at timestamptz,
    cancelled_at timestamptz, created_at timestamptz, updated_at timestamptz,
    version integer);
COMMENT ON TYPE @extschema@.appointment_details IS
    'An appointment as it is read: its columns, and who and what it refers to.';

-- What can be booked and where: services, locations with their hours, the services and the staff of a location.
-- User ids (staff) are soft references: no foreign key leaves this extension.

CREATE TABLE @extschema@.services (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    description text CHECK (length(description) <= 10000),
    duration interval NOT NULL,
    duration_minutes integer GENERATED ALWAYS AS ((extract(epoch FROM duration) / 60)::integer) STORED,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    buffer_before interval NOT NULL DEFAULT '0',
    buffer_after interval NOT NULL DEFAULT '0',
    slot_step interval NOT NULL DEFAULT '15 minutes',
    min_notice interval NOT NULL DEFAULT '0' CHECK (min_notice >= '0'),
    horizon interval NOT NULL DEFAULT '365 days' CHECK (horizon > '0' AND horizon <= '1095 days'),
    cancel_cutoff interval NOT NULL DEFAULT '0' CHECK (cancel_cutoff >= '0'),
    early_start interval CHECK (early_start >= '0'),
    hold_ttl interval DEFAULT '15 minutes' CHECK (hold_ttl > '0'),
    pending_blocks boolean NOT NULL DEFAULT true,
    auto_confirm boolean NOT NULL DEFAULT false,
    staff_may_confirm boolean NOT NULL DEFAULT false,
    needs_staff boolean NOT NULL DEFAULT true,
    customer_exclusive boolean NOT NULL DEFAULT true,
    by_appointment boolean NOT NULL DEFAULT false,
    daily_limit integer CHECK (daily_limit > 0),
    prepayment text NOT NULL DEFAULT 'none' CHECK (prepayment IN ('none', 'deposit', 'full')),
    deposit_minor bigint CHECK (deposit_minor > 0),
    refund_policy text NOT NULL DEFAULT 'full' CHECK (refund_policy IN ('full', 'by_notice', 'none')),
    refund_notice interval NOT NULL DEFAULT '24 hours' CHECK (refund_notice >= '0'),
    refund_percent smallint NOT NULL DEFAULT 0 CHECK (refund_percent BETWEEN 0 AND 100),
    is_sensitive boolean NOT NULL DEFAULT false,
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT services_deposit_check CHECK ((prepayment = 'deposit') = (deposit_minor IS NOT NULL)
        AND coalesce(deposit_minor < price_minor, true)),
    -- Otherwise no start could ever be booked.
    CONSTRAINT services_notice_before_horizon_check CHECK (min_notice <= horizon),
    -- Spans are spans of real time. A month or a day has no fixed length, so neither may hide in them.
    CONSTRAINT services_duration_check CHECK (duration > '0' AND duration <= '168 hours'
        AND extract(day FROM duration) = 0 AND extract(month FROM duration) = 0 AND extract(year FROM duration) = 0),
    CONSTRAINT services_buffers_check CHECK (buffer_before >= '0' AND buffer_before <= '24 hours'
        AND buffer_after >= '0' AND buffer_after <= '24 hours'
        AND extract(day FROM buffer_before) = 0 AND extract(month FROM buffer_before) = 0
        AND extract(day FROM buffer_after) = 0 AND extract(month FROM buffer_after) = 0),
    CONSTRAINT services_slot_step_check CHECK (slot_step >= '1 minute' AND slot_step <= '24 hours'
        AND extract(day FROM slot_step) = 0 AND extract(month FROM slot_step) = 0),
    CONSTRAINT services_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
COMMENT ON TABLE @extschema@.services IS
    'What can be booked: how long it takes, what it costs and the rules of booking it.';
COMMENT ON COLUMN @extschema@.services.buffer_before IS
    'Time the staff member needs before the visible start; part of the claim, not of the booking.';
COMMENT ON COLUMN @extschema@.services.early_start IS
    'How long before the planned start work may begin; NULL: any time once it is confirmed.';
COMMENT ON COLUMN @extschema@.services.hold_ttl IS
    'How long a pending booking keeps its place; NULL: until it is decided.';
COMMENT ON COLUMN @extschema@.services.pending_blocks IS
    'Whether a pending booking takes its place already, or only a confirmed one does.';
COMMENT ON COLUMN @extschema@.services.customer_exclusive IS
    'Whether a customer may have only one such booking at a time.';
COMMENT ON COLUMN @extschema@.services.by_appointment IS
    'Whether a booking is given in appointments, one at first: they take the time of people then, not the booking.';
COMMENT ON COLUMN @extschema@.services.daily_limit IS
    'How many of it a customer may have on one local day of a location; NULL: any number.';

COMMENT ON COLUMN @extschema@.services.prepayment IS
    'What is to be paid before a booking is confirmed: nothing, a deposit, or all. Whoever takes payments learns it '
    'from booking.created.';
COMMENT ON COLUMN @extschema@.services.refund_policy IS
    'What a customer who cancels gets back of what was paid: all; all until refund_notice before the start and '
    'refund_percent of it later; or nothing.';
COMMENT ON COLUMN @extschema@.services.is_sensitive IS
    'Whether reading about who books it is logged, whatever usher.audit_reads says: what it is for tells something '
    'about them.';
CREATE INDEX services_is_sensitive_idx ON @extschema@.services (id) WHERE is_sensitive;

CREATE TABLE @extschema@.location_services (
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    service_id uuid NOT NULL REFERENCES @extschema@.services ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location_id, service_id)
);
CREATE INDEX location_services_service_id_idx ON @extschema@.location_services (service_id);
COMMENT ON TABLE @extschema@.location_services IS 'Which services a location offers.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.services', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_services', '');

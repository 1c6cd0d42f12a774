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
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    -- Spans are spans of real time. A month or a day has no fixed length, so neither may hide in them.
    CONSTRAINT services_duration_check CHECK (duration > '0' AND duration <= '168 hours'
        AND extract(day FROM duration) = 0 AND extract(month FROM duration) = 0 AND extract(year FROM duration) = 0),
    CONSTRAINT services_buffers_check CHECK (buffer_before >= '0' AND buffer_before <= '24 hours'
        AND buffer_after >= '0' AND buffer_after <= '24 hours'
        AND extract(day FROM buffer_before) = 0 AND extract(month FROM buffer_before) = 0
        AND extract(day FROM buffer_after) = 0 AND extract(month FROM buffer_after) = 0),
    CONSTRAINT services_slot_step_check CHECK (slot_step >= '1 minute' AND slot_step <= '24 hours'
        AND extract(day FROM slot_step) = 0 AND extract(month FROM slot_step) = 0)
);
COMMENT ON TABLE @extschema@.services IS 'What can be booked: how long it takes, what it costs and the rules of booking it.';
COMMENT ON COLUMN @extschema@.services.buffer_before IS 'Time the staff member needs before the visible start; part of the claim, not of the booking.';
COMMENT ON COLUMN @extschema@.services.early_start IS 'How long before the planned start work may begin; NULL: any time once it is confirmed.';
COMMENT ON COLUMN @extschema@.services.hold_ttl IS 'How long a pending booking keeps its place; NULL: until it is decided.';
COMMENT ON COLUMN @extschema@.services.pending_blocks IS 'Whether a pending booking takes its place already, or only a confirmed one does.';
COMMENT ON COLUMN @extschema@.services.customer_exclusive IS 'Whether a customer may have only one such booking at a time.';
COMMENT ON COLUMN @extschema@.services.by_appointment IS 'Whether a booking is given in appointments, one at first: they take the time of people then, not the booking.';
COMMENT ON COLUMN @extschema@.services.daily_limit IS 'How many of it a customer may have on one local day of a location; NULL: any number.';

CREATE TABLE @extschema@.locations (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    address text NOT NULL CHECK (address <> '' AND length(address) <= 1000),
    city text NOT NULL CHECK (city <> '' AND length(city) <= 50),
    state text NOT NULL CHECK (length(state) <= 20),
    zip_code text NOT NULL CHECK (length(zip_code) <= 10),
    country text NOT NULL DEFAULT 'US' CHECK (country ~ '^[A-Z]{2}$'),
    time_zone text NOT NULL,
    latitude numeric(10,8) CHECK (latitude BETWEEN -90 AND 90),
    longitude numeric(11,8) CHECK (longitude BETWEEN -180 AND 180),
    phone text CHECK (length(phone) <= 20),
    email text CHECK (length(email) <= 255),
    max_concurrent_bookings integer NOT NULL DEFAULT 5 CHECK (max_concurrent_bookings BETWEEN 1 AND 100000),
    is_active boolean NOT NULL DEFAULT true,
    hours_version uuid NOT NULL DEFAULT usher.uuid_v7(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE @extschema@.locations IS 'Where services are given: address, time zone and how many bookings fit at the same instant.';
COMMENT ON COLUMN @extschema@.locations.time_zone IS 'IANA name; opening hours and days are read in it.';
COMMENT ON COLUMN @extschema@.locations.hours_version IS 'New with every change of the hours: under it, backends keep them.';
COMMENT ON COLUMN @extschema@.locations.max_concurrent_bookings IS 'The peak of simultaneous bookings; not the number of bookings that touch an interval.';

CREATE TABLE @extschema@.location_hours (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    weekday integer NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    opens time NOT NULL CHECK (opens < '24:00'),
    closes time NOT NULL,
    valid daterange NOT NULL DEFAULT daterange(NULL, NULL) CHECK (NOT isempty(valid)),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (location_id, weekday, opens, valid)
);
COMMENT ON TABLE @extschema@.location_hours IS 'Weekly opening hours as local wall time; a period that closes at or before its opening ends on the next day.';
COMMENT ON COLUMN @extschema@.location_hours.weekday IS 'ISO 8601: Monday is 1, Sunday is 7.';

CREATE TABLE @extschema@.location_exceptions (
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    local_date date NOT NULL,
    periods jsonb NOT NULL CHECK (jsonb_typeof(periods) = 'array'),
    note text CHECK (length(note) <= 1000),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location_id, local_date)
);
COMMENT ON TABLE @extschema@.location_exceptions IS 'Hours of one local date that replace the weekly ones; an empty list means closed.';

CREATE TABLE @extschema@.location_services (
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    service_id uuid NOT NULL REFERENCES @extschema@.services ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location_id, service_id)
);
CREATE INDEX location_services_service_id_idx ON @extschema@.location_services (service_id);
COMMENT ON TABLE @extschema@.location_services IS 'Which services a location offers.';

CREATE TABLE @extschema@.location_staff (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    staff_id uuid NOT NULL,
    role text NOT NULL CHECK (role <> '' AND length(role) <= 100),
    bookable boolean NOT NULL,
    hours_version uuid NOT NULL DEFAULT usher.uuid_v7(),
    assigned_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (location_id, staff_id)
);
CREATE INDEX location_staff_staff_id_idx ON @extschema@.location_staff (staff_id) WHERE is_active;
COMMENT ON TABLE @extschema@.location_staff IS 'Who works at a location: those who give services, and the managers who act for it.';
COMMENT ON COLUMN @extschema@.location_staff.bookable IS 'Whether bookings may be given to this person.';

CREATE TABLE @extschema@.staff_skills (
    staff_id uuid NOT NULL,
    service_id uuid NOT NULL REFERENCES @extschema@.services ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (staff_id, service_id)
);
CREATE INDEX staff_skills_service_id_idx ON @extschema@.staff_skills (service_id);
COMMENT ON TABLE @extschema@.staff_skills IS 'The services a staff member may give; somebody without any row here may give all.';

CREATE TABLE @extschema@.staff_hours (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    location_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    weekday integer NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    opens time NOT NULL CHECK (opens < '24:00'),
    closes time NOT NULL,
    valid daterange NOT NULL DEFAULT daterange(NULL, NULL) CHECK (NOT isempty(valid)),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (location_id, staff_id, weekday, opens, valid),
    FOREIGN KEY (location_id, staff_id) REFERENCES @extschema@.location_staff (location_id, staff_id) ON DELETE CASCADE
);
COMMENT ON TABLE @extschema@.staff_hours IS
    'Weekly hours of a staff member at a location, in its local time; somebody without any row works whenever it is open.';

CREATE TABLE @extschema@.staff_time_off (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    staff_id uuid NOT NULL,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    reason text CHECK (length(reason) <= 1000),
    created_by uuid DEFAULT usher.current_user_id(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX staff_time_off_during_idx ON @extschema@.staff_time_off USING gist (staff_id, during);
COMMENT ON TABLE @extschema@.staff_time_off IS 'When a staff member is away, at every location.';

-- Whoever changes hours changes a row that bookings hold: they wait for each other, and a transaction with an older snapshot fails
-- with 40001 instead of going by old hours.
CREATE FUNCTION @extschema@._hours_changed() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    END IF;
    CASE TG_ARGV[0]
        WHEN 'location' THEN
            PERFORM FROM @extschema@.locations AS l WHERE l.id IN (SELECT c.location_id FROM changed AS c) ORDER BY l.id FOR NO KEY UPDATE;
            UPDATE @extschema@.locations AS l SET hours_version = usher.uuid_v7() WHERE l.id IN (SELECT c.location_id FROM changed AS c);
        WHEN 'staff' THEN
            UPDATE @extschema@.location_staff AS ls SET hours_version = usher.uuid_v7()
                WHERE (ls.location_id, ls.staff_id) IN (SELECT c.location_id, c.staff_id FROM changed AS c);
        WHEN 'time_off' THEN
            PERFORM FROM @extschema@.location_staff AS ls WHERE ls.staff_id IN (SELECT c.staff_id FROM changed AS c)
                ORDER BY ls.id FOR NO KEY UPDATE;
            UPDATE @extschema@.location_staff AS ls SET hours_version = usher.uuid_v7()
                WHERE ls.staff_id IN (SELECT c.staff_id FROM changed AS c);
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._hours_changed() IS 'Statement trigger of hours: gives their location or staff member a new hours_version.';

DO $do$
DECLARE
    source record;
    event record;
BEGIN
    FOR source IN SELECT * FROM (VALUES ('location_hours', 'location'), ('location_exceptions', 'location'), ('staff_hours', 'staff'),
        ('staff_time_off', 'time_off')) AS v (relation, what) LOOP
        FOR event IN SELECT * FROM (VALUES ('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')) AS v (name, rows) LOOP
            EXECUTE format('CREATE TRIGGER hours_changed_%s AFTER %s ON @extschema@.%I REFERENCING %s TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._hours_changed(%L)',
                lower(event.name), event.name, source.relation, event.rows, source.what);
        END LOOP;
    END LOOP;
END
$do$;

SELECT pg_catalog.pg_extension_config_dump('@extschema@.services', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.locations', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_hours', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_exceptions', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_services', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_staff', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_skills', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_hours', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_time_off', '');

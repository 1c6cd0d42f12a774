CREATE TABLE @extschema@.location_staff (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    staff_id uuid NOT NULL,
    role text NOT NULL CHECK (role <> '' AND length(role) <= 100),
    bookable boolean NOT NULL,
    hours_version uuid NOT NULL DEFAULT usher.uuid_v7(),
    assigned_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (location_id, staff_id),
    CONSTRAINT location_staff_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
CREATE INDEX location_staff_staff_id_idx ON @extschema@.location_staff (staff_id);
COMMENT ON TABLE @extschema@.location_staff IS
    'Who works at a location: those who give services, and the managers who act for it.';
COMMENT ON COLUMN @extschema@.location_staff.bookable IS 'Whether bookings may be given to this person.';

CREATE TABLE @extschema@.staff_skills (
    staff_id uuid NOT NULL,
    service_id uuid NOT NULL REFERENCES @extschema@.services ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (staff_id, service_id)
);
CREATE INDEX staff_skills_service_id_idx ON @extschema@.staff_skills (service_id);
COMMENT ON TABLE @extschema@.staff_skills IS
    'The services a staff member may give; somebody without any row here may give all.';

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
    'Weekly hours of a staff member at a location, in its local time; somebody without any row works whenever it is '
    'open.';

CREATE TABLE @extschema@.staff_time_off (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    staff_id uuid NOT NULL,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    reason text CHECK (length(reason) <= 1000),
    created_by uuid DEFAULT usher.actor_id(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX staff_time_off_during_idx ON @extschema@.staff_time_off USING gist (staff_id, during);
COMMENT ON TABLE @extschema@.staff_time_off IS 'When a staff member is away, at every location.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_staff', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_skills', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_hours', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.staff_time_off', '');
-- Bookings and what they take. A booking has one row for ever: it is never moved to another table or copied when it
-- changes.

CREATE TABLE @extschema@.customers (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id uuid,
    name text CHECK (name <> '' AND length(name) <= 200),
    email text CHECK (length(email) <= 255),
    phone text CHECK (length(phone) <= 20),
    attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    created_by uuid,
    CONSTRAINT customers_known_check CHECK (user_id IS NOT NULL OR name IS NOT NULL),
    CONSTRAINT customers_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
COMMENT ON COLUMN @extschema@.customers.created_by IS
    'User who made the profile of somebody else, and sees it from then on: a walk-in customer has no booking yet. Not '
    'a foreign key.';
CREATE INDEX customers_created_by_idx ON @extschema@.customers (created_by, id) WHERE created_by IS NOT NULL;
CREATE INDEX customers_user_id_idx ON @extschema@.customers (user_id) WHERE user_id IS NOT NULL;
-- Profiles that say more than their account does: a search reads of the others nothing but the account.
CREATE INDEX customers_own_words_idx ON @extschema@.customers (id) INCLUDE (user_id, name, email, phone)
    WHERE user_id IS DISTINCT FROM id OR name IS NOT NULL OR email IS NOT NULL OR phone IS NOT NULL;
CREATE INDEX customers_other_profiles_idx ON @extschema@.customers (user_id) WHERE id <> user_id;
CREATE INDEX customers_email_idx ON @extschema@.customers (usher.name_key(email)) WHERE email IS NOT NULL;
CREATE INDEX customers_phone_idx ON @extschema@.customers (phone) WHERE phone IS NOT NULL;
CREATE INDEX customers_name_idx ON @extschema@.customers USING gin (usher.name_words(name)) WITH (fastupdate = off)
    WHERE name IS NOT NULL;
COMMENT ON TABLE @extschema@.customers IS
    'Who books: the profile of a user, whose first profile carries the id of that user, or a walk-in customer without '
    'an account.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.customers', '');

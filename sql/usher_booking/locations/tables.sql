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
    deleted_at timestamptz,
    hours_version uuid NOT NULL DEFAULT usher.uuid_v7(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT locations_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
COMMENT ON TABLE @extschema@.locations IS
    'Where services are given: address, time zone and how many bookings fit at the same instant.';
COMMENT ON COLUMN @extschema@.locations.time_zone IS 'IANA name; opening hours and days are read in it.';
COMMENT ON COLUMN @extschema@.locations.hours_version IS
    'New with every change of the hours: under it, backends keep them.';
COMMENT ON COLUMN @extschema@.locations.max_concurrent_bookings IS
    'The peak of simultaneous bookings; not the number of bookings that touch an interval.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.locations', '');

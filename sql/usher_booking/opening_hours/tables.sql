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
COMMENT ON TABLE @extschema@.location_hours IS
    'Weekly opening hours as local wall time; a period that closes at or before its opening ends on the next day.';
COMMENT ON COLUMN @extschema@.location_hours.weekday IS 'ISO 8601: Monday is 1, Sunday is 7.';

CREATE TABLE @extschema@.location_exceptions (
    location_id uuid NOT NULL REFERENCES @extschema@.locations ON DELETE CASCADE,
    local_date date NOT NULL,
    periods jsonb NOT NULL CHECK (jsonb_typeof(periods) = 'array'),
    note text CHECK (length(note) <= 1000),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location_id, local_date)
);
COMMENT ON TABLE @extschema@.location_exceptions IS
    'Hours of one local date that replace the weekly ones; an empty list means closed.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_hours', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.location_exceptions', '');

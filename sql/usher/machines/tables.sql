-- Status machines: which status of a row may follow which, enforced for every writer by triggers on the status column.

CREATE TABLE usher.machines (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    is_active boolean NOT NULL DEFAULT true,
    extension text DEFAULT usher._installing_extension(),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version)
);
COMMENT ON TABLE usher.machines IS
    'Definitions of status machines; the newest active version of a name is in force. Change them with '
    'usher.define_machine().';
COMMENT ON COLUMN usher.machines.extension IS
    'Extension that brought the row and brings it again after a restore; NULL for rows of the application.';

CREATE TABLE usher.machine_inval ();
COMMENT ON TABLE usher.machine_inval IS
    'Always empty: its invalidation tells all backends that a machine has changed.';

CREATE TABLE usher.status_history (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    relation regclass NOT NULL,
    entity_id uuid NOT NULL,
    seq integer NOT NULL CHECK (seq > 0),
    from_status text,
    to_status text NOT NULL,
    action text NOT NULL,
    changed_by uuid,
    changed_by_name text NOT NULL,
    reason_code text,
    notes text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version integer,
    entity_key text,
    UNIQUE (relation, entity_id, seq)
);
CREATE INDEX status_history_changed_by_idx ON usher.status_history (changed_by) WHERE changed_by IS NOT NULL;
COMMENT ON TABLE usher.status_history IS
    'Every status that a row of an attached table had, in order; written by usher.record_transition().';
COMMENT ON COLUMN usher.status_history.entity_id IS
    'Key of the row; of a key that is no uuid, one made of the SHA-256 digest of its text.';
COMMENT ON COLUMN usher.status_history.entity_key IS 'Key of the row as text, when it is no uuid.';
COMMENT ON COLUMN usher.status_history.seq IS
    'Counts from 1 within the row: two racing changes cannot both have the same.';
COMMENT ON COLUMN usher.status_history.from_status IS 'NULL for the creation of the row.';
COMMENT ON COLUMN usher.status_history.changed_by IS
    'User who made the change, not a foreign key: history outlives the user. NULL when no user was authenticated.';
COMMENT ON COLUMN usher.status_history.changed_by_name IS
    'Display name of the user at that time, or the database role.';
SELECT pg_catalog.pg_extension_config_dump('usher.status_history', '');

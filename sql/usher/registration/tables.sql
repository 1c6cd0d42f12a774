-- Who builds on core: extensions and applications, and what each has registered. What has a table already (routes,
-- machines, subscriptions, rate limits, permissions) carries the name of its extension there.

CREATE TABLE usher.extensions (
    name name PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]*$'),
    -- NULL: the schema of the extension of this name, wherever it is now
    schema_name name,
    description text NOT NULL CHECK (description <> '' AND length(description) <= 1000),
    error_class text UNIQUE CHECK (error_class ~ '^[I-Z][0-9A-Z]$' AND error_class NOT IN ('P0', 'XX')),
    declined text[] NOT NULL DEFAULT '{}',
    extension text DEFAULT usher._installing_extension(),
    registered_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE usher.extensions IS
    'Extensions and applications that have registered with usher.register_extension().';
COMMENT ON COLUMN usher.extensions.declined IS 'Hooks that it says it can do without.';
COMMENT ON COLUMN usher.extensions.extension IS
    'The extension whose script made the row and brings it back; NULL for an application, whose row is dumped.';
REVOKE ALL ON usher.extensions FROM PUBLIC;

CREATE TABLE usher.extension_hooks (
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE,
    hook text NOT NULL
        CHECK (hook IN ('upkeep', 'self_check', 'configuration', 'metrics', 'health', 'export', 'erase',
                        'profiles', 'contact', 'location', 'purchase', 'flush')),
    function_name name NOT NULL,
    PRIMARY KEY (registrant, hook)
);
COMMENT ON TABLE usher.extension_hooks IS
    'Functions in the schema of their registrant that core calls: for upkeep, checks and metrics, and for what is '
    'kept about people.';
REVOKE ALL ON usher.extension_hooks FROM PUBLIC;

CREATE TABLE usher.extension_errors (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    sqlstate text UNIQUE CHECK (sqlstate ~ '^[0-9A-Z]{5}$'),
    http_status integer NOT NULL CHECK (http_status BETWEEN 400 AND 599),
    description text NOT NULL CHECK (description <> '' AND length(description) <= 500),
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE
);
CREATE INDEX extension_errors_registrant_idx ON usher.extension_errors (registrant);
COMMENT ON TABLE usher.extension_errors IS 'Error codes beside those of core; usher.error_codes() lists all of them.';
REVOKE ALL ON usher.extension_errors FROM PUBLIC;

CREATE TABLE usher.extension_access (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE,
    number integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('function', 'table')),
    levels text[] NOT NULL CHECK (levels <@ '{application,gateway,courier,readonly,auditor,admin}'),
    names text NOT NULL
);
CREATE INDEX extension_access_registrant_idx ON usher.extension_access (registrant, number);
COMMENT ON TABLE usher.extension_access IS
    'What each level of usher.grant_access() may call and read: names separated by white space, a table perhaps with '
    'its columns.';
REVOKE ALL ON usher.extension_access FROM PUBLIC;

CREATE TABLE usher.extension_settings (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$'),
    type text NOT NULL CHECK (type IN ('boolean', 'integer', 'text', 'interval')),
    default_value text NOT NULL,
    description text NOT NULL CHECK (description <> '' AND length(description) <= 500),
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE
);
CREATE INDEX extension_settings_registrant_idx ON usher.extension_settings (registrant);
COMMENT ON TABLE usher.extension_settings IS
    'Settings of extensions that have no C++ to define them with: ALTER DATABASE … SET name = value; usher.setting() '
    'reads them.';
REVOKE ALL ON usher.extension_settings FROM PUBLIC;

CREATE TABLE usher.extension_events (
    event text PRIMARY KEY CHECK (event ~ '^[a-z0-9_]+(\.[a-z0-9_]+)+$'),
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE
);
CREATE INDEX extension_events_registrant_idx ON usher.extension_events (registrant);
COMMENT ON TABLE usher.extension_events IS 'Events and who publishes them.';
REVOKE ALL ON usher.extension_events FROM PUBLIC;

CREATE TABLE usher.role_presets (
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE,
    preset jsonb NOT NULL CHECK (jsonb_typeof(preset) = 'object'),
    PRIMARY KEY (name, registrant)
);
CREATE INDEX role_presets_registrant_idx ON usher.role_presets (registrant);
COMMENT ON TABLE usher.role_presets IS
    'Roles and permissions for kinds of applications; several extensions can add to a preset of one name. See '
    'usher.apply_role_preset().';
REVOKE ALL ON usher.role_presets FROM PUBLIC;

CREATE TABLE usher.personal_columns (
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE,
    table_name name NOT NULL,
    column_name name NOT NULL,
    kind text NOT NULL CHECK (kind IN ('subject', 'user', 'personal', 'sensitive', 'sealed', 'impersonal')),
    PRIMARY KEY (registrant, table_name, column_name)
);
COMMENT ON TABLE usher.personal_columns IS
    'What the columns of registered tables say about people. subject: the id of the user whose row it is. user: the '
    'id of another user. personal: text or JSON about somebody, which the audit log repeats only for rows with a '
    'subject, so that it can be erased. sensitive: a secret or its hash, which it never repeats. sealed: a secret '
    'of an extension that is sealed under the master key, by the row''s id. impersonal: neither, though it is text, '
    'JSON or an id.';
CREATE UNIQUE INDEX personal_columns_subject_key ON usher.personal_columns (registrant, table_name)
    WHERE kind = 'subject';
REVOKE ALL ON usher.personal_columns FROM PUBLIC;

CREATE TABLE usher.idempotent_calls (
    registrant name NOT NULL REFERENCES usher.extensions ON DELETE CASCADE,
    actor text NOT NULL,
    key text NOT NULL CHECK (key <> '' AND length(key) <= 255),
    request_hash text NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (registrant, actor, key)
);
CREATE INDEX idempotent_calls_created_at_idx ON usher.idempotent_calls (created_at);
COMMENT ON TABLE usher.idempotent_calls IS
    'Calls of functions of extensions that may be repeated: who, under which key, with what arguments, and what was '
    'answered. Those over HTTP are in usher.idempotent_answers.';
REVOKE ALL ON usher.idempotent_calls FROM PUBLIC;

CREATE TABLE usher.registration_inval ();
COMMENT ON TABLE usher.registration_inval IS
    'Always empty: carries the invalidation of cached error codes to all backends and standbys.';
REVOKE ALL ON usher.registration_inval FROM PUBLIC;

-- What the DBA or the application has decided about rows that scripts of extensions ship (decision_functions.sql).
CREATE TABLE usher.decisions (
    table_name text NOT NULL,
    key jsonb NOT NULL CHECK (jsonb_typeof(key) = 'object'),
    kind text NOT NULL CHECK (kind IN ('added', 'changed', 'replaced', 'removed')),
    decided jsonb CHECK (jsonb_typeof(decided) = 'object'),
    shipped jsonb CHECK (jsonb_typeof(shipped) = 'object'),
    shipped_by name NOT NULL,
    is_applying boolean NOT NULL DEFAULT false,
    decided_by name NOT NULL DEFAULT session_user,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, key),
    CHECK ((decided IS NULL) = (kind = 'removed'))
);
COMMENT ON TABLE usher.decisions IS
    'Where the rows that extensions ship (routes, policies, subscriptions, machines and so on) are not as shipped: '
    'what somebody has changed, removed or added. Shipped rows come back with their extension and are not dumped; '
    'these are, and are applied when a dump is loaded and when an update ships other defaults. See '
    'usher.list_decisions() and usher.revert_decision().';
COMMENT ON COLUMN usher.decisions.kind IS
    'added: a row beside those of the extension. changed: some columns, the others follow what is shipped. replaced: '
    'the whole row. removed.';
COMMENT ON COLUMN usher.decisions.decided IS 'The columns that were decided, with their values; NULL for a removal.';
COMMENT ON COLUMN usher.decisions.shipped IS
    'The row as its extension ships it; NULL while nobody ships a row of this key.';
COMMENT ON COLUMN usher.decisions.is_applying IS
    'The decision is just being applied by this transaction: what it writes is no new decision.';
REVOKE ALL ON usher.decisions FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.decisions', '');

SELECT pg_catalog.pg_extension_config_dump('usher.idempotent_calls', '');

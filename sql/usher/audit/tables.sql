CREATE TABLE usher.audit_logs (
    id uuid NOT NULL DEFAULT usher.uuid_v7(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_type text COLLATE "C" NOT NULL CHECK (event_type <> '' AND octet_length(event_type) <= 100),
    action text NOT NULL CHECK (action <> '' AND octet_length(action) <= 100),
    severity text NOT NULL DEFAULT 'info'
        CHECK (severity IN ('debug', 'info', 'notice', 'warning', 'error', 'critical')),
    source text NOT NULL DEFAULT 'application' CHECK (source <> '' AND octet_length(source) <= 100),
    result text NOT NULL DEFAULT 'success' CHECK (result IN ('success', 'failure', 'denied')),
    actor_id uuid,
    actor_name text,
    session_id uuid,
    database_user text NOT NULL DEFAULT session_user,
    client_ip inet,
    user_agent text,
    correlation_id text COLLATE "C",
    resource_type text COLLATE "C",
    resource_id text COLLATE "C",
    key jsonb,
    old_values jsonb,
    new_values jsonb,
    event_data jsonb NOT NULL DEFAULT '{}',
    error_message text,
    metadata jsonb NOT NULL DEFAULT '{}',
    transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    statement_id integer,
    subject_id uuid,
    value_salt uuid,
    value_digest bytea,
    CONSTRAINT audit_logs_id_check CHECK (id >= usher._first_id_at(created_at - interval '1 second')
                                      AND id < usher._first_id_at(created_at + interval '1 second')),
    CHECK (subject_id IS NULL OR value_salt IS NOT NULL OR value_digest IS NOT NULL)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE usher.audit_logs IS
    'What was done, by whom, from where: every change of an audited row and every event. Rows are only ever added; '
    'the owner of the extension retires whole partitions.';
COMMENT ON COLUMN usher.audit_logs.event_type IS
    'row.insert, row.update, row.delete, row.truncate for changed rows, else the name of the event.';
COMMENT ON COLUMN usher.audit_logs.action IS
    'insert, update, delete, truncate, or the last part of the event''s name.';
COMMENT ON COLUMN usher.audit_logs.actor_id IS
    'User who acted, not a foreign key: the row outlives the user. NULL when no user was authenticated.';
COMMENT ON COLUMN usher.audit_logs.actor_name IS
    'Display name of the user at that time, or the database role that acted; NULL when the user was erased.';
COMMENT ON COLUMN usher.audit_logs.database_user IS 'Database role that the connection was made as.';
COMMENT ON COLUMN usher.audit_logs.resource_type IS
    'Qualified name of the table, or the kind of thing that the event is about.';
COMMENT ON COLUMN usher.audit_logs.resource_id IS
    'Value of the key; for a key of several columns the JSON text of the column "key".';
COMMENT ON COLUMN usher.audit_logs.key IS
    'Key columns and values of the row before the change (after it for an insert).';
COMMENT ON COLUMN usher.audit_logs.old_values IS 'Of an update the changed columns only, of a delete all columns.';
COMMENT ON COLUMN usher.audit_logs.new_values IS 'Of an update the changed columns only, of an insert all columns.';
COMMENT ON COLUMN usher.audit_logs.statement_id IS
    'Number of the command within its transaction: rows of one statement share it.';
COMMENT ON COLUMN usher.audit_logs.subject_id IS
    'The user whose row or account it is about, not a foreign key: erase_user() takes their values out of the row, '
    'and export_user() hands them out.';
COMMENT ON COLUMN usher.audit_logs.value_salt IS
    'Random, of a row with a subject: its values are sealed as the SHA-256 of this and themselves. Gone once they are '
    'erased.';
COMMENT ON COLUMN usher.audit_logs.value_digest IS
    'What was sealed of values that are erased: it keeps the chain whole, and without the salt nobody can try which '
    'values it was made from.';

CREATE TABLE usher.audit_logs_default PARTITION OF usher.audit_logs DEFAULT;
COMMENT ON TABLE usher.audit_logs_default IS
    'Audit rows of months that have no partition of their own yet. Not dumped: _audit_dump carries its rows.';

-- pg_dump takes the rows of an extension's table, but not those of a partitioned one, nor, by schema (-n usher), of a
-- partition: it crashes there, because it looks for the root of a table whose parents it has not read
-- (forcePartitionRootLoad() in pg_dump.c). So this table stands for the partition. The condition goes after FROM and
-- the name of the table as it is (dumpTableData() there), and so can bring other rows along.
CREATE TABLE usher._audit_dump (LIKE usher.audit_logs, PRIMARY KEY (id));
COMMENT ON TABLE usher._audit_dump IS
    'Always empty: carries the rows of audit_logs_default through a dump. What is loaded into it arrives in '
    'audit_logs.';
REVOKE ALL ON usher._audit_dump FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher._audit_dump',
    (SELECT format('WHERE false UNION ALL SELECT %s FROM usher.audit_logs_default',
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
     FROM pg_attribute AS a WHERE a.attrelid = 'usher._audit_dump'::regclass AND a.attnum > 0));
-- Evidence against tampering: blocks of audit rows are sealed with a digest, and each seal covers the one before it.
--
-- A trigger that chained row by row would make all writers wait for each other. Maintenance seals blocks instead,
-- after the fact: rows older than every transaction that may still add to them. Whoever can rewrite rows and all later
-- seals leaves no trace in here, so keep the newest chain value somewhere else from time to time.

CREATE TABLE usher.audit_seals (
    seq bigint NOT NULL PRIMARY KEY CHECK (seq > 0),
    from_id uuid NOT NULL,
    until_id uuid NOT NULL UNIQUE,
    row_count bigint NOT NULL CHECK (row_count >= 0),
    digest bytea NOT NULL,
    chain bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CHECK (from_id < until_id)
);
COMMENT ON TABLE usher.audit_seals IS
    'Seals of blocks of audit rows, in order; written by maintenance, checked by usher.verify_audit_chain().';
COMMENT ON COLUMN usher.audit_seals.digest IS
    'SHA-256 over the rows from from_id up to, not including, until_id, without actor_name, client_ip and user_agent, '
    'which erase_user() empties; of rows with a subject the values go in as a digest with a salt.';
COMMENT ON COLUMN usher.audit_seals.chain IS
    'SHA-256 over the chain value of the seal before and this seal''s own values.';
COMMENT ON COLUMN usher.audit_seals.retired_at IS
    'When retention removed rows of the block: only its place in the chain can still be checked.';
SELECT pg_catalog.pg_extension_config_dump('usher.audit_seals', '');

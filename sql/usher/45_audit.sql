-- The audit log: one table for changed rows and for events. Partitioned by month on created_at.
--
-- Names and keys compare byte by byte (COLLATE "C"): faster, and no index breaks when the system's collations change.
--
-- Indexes belong to the partitions, never to the parent. Partitions made later are ordinary tables of the schema, dumped and
-- restored like any other table: a parent index would be made twice by a restore, once on ATTACH and once by its own command.
--
-- An id begins with the millisecond of created_at: the primary key answers for times too, and writers are spared another index.

CREATE FUNCTION usher._first_id_at(instant timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (substr(encode(int8send(floor(least(greatest(extract(epoch FROM instant) * 1000, 0), 281474976710655))::bigint), 'hex'), 5)
            || '70008000000000000000')::uuid;
END;
REVOKE ALL ON FUNCTION usher._first_id_at(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._first_id_at(timestamptz) IS 'Smallest version 7 uuid of the millisecond; of the first or last one there is for an instant before or after all of them (RFC 9562).';

CREATE TABLE usher.audit_logs (
    id uuid NOT NULL DEFAULT usher.uuid_v7(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_type text COLLATE "C" NOT NULL CHECK (event_type <> '' AND octet_length(event_type) <= 100),
    action text NOT NULL CHECK (action <> '' AND octet_length(action) <= 100),
    severity text NOT NULL DEFAULT 'info' CHECK (severity IN ('debug', 'info', 'notice', 'warning', 'error', 'critical')),
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
    CONSTRAINT audit_logs_id_check CHECK (id >= usher._first_id_at(created_at - interval '1 second')
                                      AND id < usher._first_id_at(created_at + interval '1 second'))
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE usher.audit_logs IS
    'What was done, by whom, from where: every change of an audited row and every event. Rows are only ever added; the owner of the extension retires whole partitions.';
COMMENT ON COLUMN usher.audit_logs.event_type IS 'row.insert, row.update, row.delete, row.truncate for changed rows, else the name of the event.';
COMMENT ON COLUMN usher.audit_logs.action IS 'insert, update, delete, truncate, or the last part of the event''s name.';
COMMENT ON COLUMN usher.audit_logs.actor_id IS 'User who acted, not a foreign key: the row outlives the user. NULL when no user was authenticated.';
COMMENT ON COLUMN usher.audit_logs.actor_name IS 'Display name of the user at that time, or the database role that acted; NULL when the user was erased.';
COMMENT ON COLUMN usher.audit_logs.database_user IS 'Database role that the connection was made as.';
COMMENT ON COLUMN usher.audit_logs.resource_type IS 'Qualified name of the table, or the kind of thing that the event is about.';
COMMENT ON COLUMN usher.audit_logs.resource_id IS 'Value of the key; for a key of several columns the JSON text of the column "key".';
COMMENT ON COLUMN usher.audit_logs.key IS 'Key columns and values of the row before the change (after it for an insert).';
COMMENT ON COLUMN usher.audit_logs.old_values IS 'Of an update the changed columns only, of a delete all columns.';
COMMENT ON COLUMN usher.audit_logs.new_values IS 'Of an update the changed columns only, of an insert all columns.';
COMMENT ON COLUMN usher.audit_logs.statement_id IS 'Number of the command within its transaction: rows of one statement share it.';

CREATE TABLE usher.audit_logs_default PARTITION OF usher.audit_logs DEFAULT;
COMMENT ON TABLE usher.audit_logs_default IS 'Audit rows of months that have no partition of their own yet.';
SELECT pg_catalog.pg_extension_config_dump('usher.audit_logs_default', '');

-- Only the owner of the extension changes rows: to move them into a new partition, or to retire them.
CREATE FUNCTION usher._protect_audit_logs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_user = pg_get_userbyid((SELECT c.relowner FROM pg_class c WHERE c.oid = 'usher.audit_logs'::regclass)) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'audit logs cannot be changed' USING ERRCODE = 'insufficient_privilege',
        DETAIL = json_build_object('relation', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 'action', lower(TG_OP));
END
$$;
REVOKE ALL ON FUNCTION usher._protect_audit_logs() FROM PUBLIC;
COMMENT ON FUNCTION usher._protect_audit_logs() IS 'Statement trigger: lets nobody but the owner change or remove audit rows.';

CREATE TRIGGER audit_logs_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON usher.audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs();

-- What one partition has of its own. Most indexes leave out rows that they would never be asked for, so that a bulk change
-- by a plain database role pays for two only. No two entries are the same, so nothing is spent on looking for duplicates.
CREATE FUNCTION usher._prepare_audit_partition(partition_table regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := (SELECT c.relname FROM pg_class c WHERE c.oid = partition_table);
BEGIN
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY (id)', partition_table, name || '_pkey');
    EXECUTE format('CREATE INDEX %I ON %s (resource_type, resource_id, id) WITH (deduplicate_items = off)', name || '_resource_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (actor_id, id) WITH (deduplicate_items = off) WHERE actor_id IS NOT NULL', name || '_actor_id_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (correlation_id, id) WITH (deduplicate_items = off) WHERE correlation_id IS NOT NULL', name || '_correlation_id_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (event_type, id) WITH (deduplicate_items = off) WHERE source <> ''trigger''', name || '_event_type_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (severity, id) WITH (deduplicate_items = off) WHERE severity <> ''info''', name || '_severity_idx', partition_table);
    EXECUTE format('CREATE TRIGGER audit_logs_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs()', partition_table);
END
$$;
REVOKE ALL ON FUNCTION usher._prepare_audit_partition(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._prepare_audit_partition(regclass) IS 'Gives a partition of the audit log its indexes and its protection.';
SELECT usher._prepare_audit_partition('usher.audit_logs_default');

CREATE FUNCTION usher.log_event(
    event_type text,
    data jsonb DEFAULT '{}',
    severity text DEFAULT 'info',
    result text DEFAULT 'success',
    resource_type text DEFAULT NULL,
    resource_id text DEFAULT NULL,
    error_message text DEFAULT NULL)
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_audit_log_event';
REVOKE ALL ON FUNCTION usher.log_event(text, jsonb, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.log_event(text, jsonb, text, text, text, text, text) IS
    'Writes an event of the application into the audit log, with actor, session, address and correlation id of this transaction; returns its id.';

CREATE FUNCTION usher.log_read(resource_type text, resource_id text DEFAULT NULL, data jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_audit_log_read';
REVOKE ALL ON FUNCTION usher.log_read(text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.log_read(text, text, jsonb) IS
    'Writes data.read into the audit log, also in a transaction that is read only; does nothing unless usher.audit_reads is on, nor on a standby. get_user(), find_user(), list_users(), export_user() and the questions to the audit log call it; an application calls it in its own functions that hand out personal data.';

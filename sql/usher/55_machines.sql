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
COMMENT ON TABLE usher.machines IS 'Definitions of status machines; the newest active version of a name is in force. Change them with usher.define_machine().';
COMMENT ON COLUMN usher.machines.extension IS 'Extension that brought the row and brings it again after a restore; NULL for rows of the application.';
SELECT pg_catalog.pg_extension_config_dump('usher.machines', 'WHERE extension IS NULL');

CREATE TABLE usher.machine_inval ();
COMMENT ON TABLE usher.machine_inval IS 'Always empty: its invalidation tells all backends that a machine has changed.';
CREATE TRIGGER machines_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.machines
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('machine_inval');
ALTER TABLE usher.machines ENABLE ALWAYS TRIGGER machines_invalidate;

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
COMMENT ON TABLE usher.status_history IS 'Every status that a row of an attached table had, in order; written by usher.record_transition().';
COMMENT ON COLUMN usher.status_history.entity_id IS 'Key of the row; of a key that is no uuid, one made of the SHA-256 digest of its text.';
COMMENT ON COLUMN usher.status_history.entity_key IS 'Key of the row as text, when it is no uuid.';
COMMENT ON COLUMN usher.status_history.seq IS 'Counts from 1 within the row: two racing changes cannot both have the same.';
COMMENT ON COLUMN usher.status_history.from_status IS 'NULL for the creation of the row.';
COMMENT ON COLUMN usher.status_history.changed_by IS 'User who made the change, not a foreign key: history outlives the user. NULL when no user was authenticated.';
COMMENT ON COLUMN usher.status_history.changed_by_name IS 'Display name of the user at that time, or the database role.';
SELECT pg_catalog.pg_extension_config_dump('usher.status_history', '');

-- Definitions

CREATE FUNCTION usher.define_machine(name text, definition jsonb) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_define';
REVOKE ALL ON FUNCTION usher.define_machine(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_machine(text, jsonb) IS
    'Stores a status machine and returns its version; an unchanged definition keeps the version. Takes effect for attached tables at the next statement after commit. Refuses a faulty definition with 22023, naming the place. Needs machine:manage.';

CREATE FUNCTION usher.validate_machine(machine text)
    RETURNS TABLE (rule text, status text, message text)
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_validate';
REVOKE ALL ON FUNCTION usher.validate_machine(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.validate_machine(text) IS
    'What is odd about a machine though it may be used: unreachable_status, dead_end, no_way_to_terminal, no_terminal, missing_guard. No rows: nothing.';

CREATE FUNCTION usher.machine_diagram(machine text) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_diagram';
REVOKE ALL ON FUNCTION usher.machine_diagram(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.machine_diagram(text) IS 'The machine as a Mermaid state diagram.';

-- Triggers

CREATE FUNCTION usher.check_transition() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_check_transition';
REVOKE ALL ON FUNCTION usher.check_transition() FROM PUBLIC;
COMMENT ON FUNCTION usher.check_transition() IS
    'BEFORE INSERT OR UPDATE row trigger: refuses what the machine does not allow (US001 illegal_transition, US002 not_allowed, US003 stale_version) and counts the version. usher.attach_machine() sets it up.';

CREATE FUNCTION usher.record_transition() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_record_transition';
REVOKE ALL ON FUNCTION usher.record_transition() FROM PUBLIC;
COMMENT ON FUNCTION usher.record_transition() IS
    'AFTER INSERT OR UPDATE row trigger: writes history, audit row and event of a transition. usher.attach_machine() sets it up.';

CREATE FUNCTION usher._check_attachment(machine text, relation regclass, column_name name, options jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_check_attachment';
REVOKE ALL ON FUNCTION usher._check_attachment(text, regclass, name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_attachment(text, regclass, name, jsonb) IS 'Raises 22023 when the machine, a column or an option does not fit.';

CREATE FUNCTION usher._machine_trigger_name(part text, column_name name) RETURNS name
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (CASE WHEN octet_length(column_name::text) <= 40 THEN 'usher_' || part || '_' || column_name::text
                 ELSE 'usher_' || part || '_' || md5(column_name::text) END)::name;
END;
REVOKE ALL ON FUNCTION usher._machine_trigger_name(text, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._machine_trigger_name(text, name) IS 'Name of a trigger for a status column, within the length of an identifier.';

CREATE FUNCTION usher.attach_machine(machine text, relation regclass, column_name name, options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    strange text;
BEGIN
    PERFORM usher._check_attachment(machine, relation, column_name, coalesce(options, '{}'));
    EXECUTE format('SELECT coalesce(t.%1$I::text, ''NULL'') FROM %2$s t WHERE t.%1$I IS NULL OR NOT t.%1$I::text = ANY ($1) LIMIT 1', column_name, relation)
        INTO strange USING usher.machine_statuses(machine);
    IF strange IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has rows with status "%s", which machine "%s" does not know', relation, strange, machine),
            jsonb_build_object('relation', relation::text, 'status', strange, 'machine', machine));
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION usher.check_transition(%L, %L, %L)',
        usher._machine_trigger_name('check', column_name), relation, machine, column_name, coalesce(options, '{}'));
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION usher.record_transition(%L, %L, %L)',
        usher._machine_trigger_name('record', column_name), relation, machine, column_name, coalesce(options, '{}'));
END
$$;
REVOKE ALL ON FUNCTION usher.attach_machine(text, regclass, name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.attach_machine(text, regclass, name, jsonb) IS
    'Lets a machine rule over a status column of a table, for every writer. Options: id_column (a uuid, an integer or text; default id), version_column, reason_column, notes_column, scope_column, event_prefix, payload_columns, history, audit. Calling it again changes them.';

CREATE FUNCTION usher.detach_machine(relation regclass, column_name name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    trigger_name name;
BEGIN
    FOR trigger_name IN
        SELECT t.tgname FROM pg_trigger t
        WHERE t.tgrelid = relation AND t.tgfoid IN ('usher.check_transition()'::regprocedure, 'usher.record_transition()'::regprocedure)
          AND (detach_machine.column_name IS NULL OR t.tgname IN (usher._machine_trigger_name('check', detach_machine.column_name),
                                                                 usher._machine_trigger_name('record', detach_machine.column_name)))
        ORDER BY t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_name, relation);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.detach_machine(regclass, name) FROM PUBLIC;
COMMENT ON FUNCTION usher.detach_machine(regclass, name) IS
    'Ends what attach_machine() began, for one status column or all of the table; history stays.';

CREATE FUNCTION usher.machine_statuses(machine text) RETURNS text[]
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_statuses';
REVOKE ALL ON FUNCTION usher.machine_statuses(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.machine_statuses(text) IS 'Names of the statuses of a machine.';

-- Reading

CREATE FUNCTION usher.allowed_transitions(relation regclass, id anyelement)
    RETURNS TABLE (to_status text, action text, allowed boolean, why_not text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_allowed_transitions';
REVOKE ALL ON FUNCTION usher.allowed_transitions(regclass, anyelement) FROM PUBLIC;
COMMENT ON FUNCTION usher.allowed_transitions(regclass, anyelement) IS
    'The transitions that the row''s machine has from its current status, whether the current identity may make them, and if not, why. The caller must be able to read the row; US005 when there is none.';

CREATE FUNCTION usher.allowed_transitions(relation regclass, id text)
    RETURNS TABLE (to_status text, action text, allowed boolean, why_not text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_allowed_transitions';
REVOKE ALL ON FUNCTION usher.allowed_transitions(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.allowed_transitions(regclass, text) IS 'The same for a key given as text, of whatever type it is.';

CREATE FUNCTION usher.history(relation regclass, id anyelement, after_seq integer DEFAULT 0, max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, action text, changed_by usher.user_reference,
                   reason_code text, notes text, changed_at timestamptz, version integer)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_history';
REVOKE ALL ON FUNCTION usher.history(regclass, anyelement, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.history(regclass, anyelement, integer, integer) IS
    'The statuses of a row in order, from the one after after_seq. The caller must be able to read the row; US005 when there is none.';

CREATE FUNCTION usher.history(relation regclass, id text, after_seq integer DEFAULT 0, max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, action text, changed_by usher.user_reference,
                   reason_code text, notes text, changed_at timestamptz, version integer)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_history';
REVOKE ALL ON FUNCTION usher.history(regclass, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.history(regclass, text, integer, integer) IS 'The same for a key given as text, of whatever type it is.';

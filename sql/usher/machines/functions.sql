-- Definitions

CREATE FUNCTION usher.define_machine(name text, definition jsonb) RETURNS integer
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_define';
REVOKE ALL ON FUNCTION usher.define_machine(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_machine(text, jsonb) IS
    'Stores a status machine and returns its version; an unchanged definition keeps the version. Takes effect for '
    'attached tables at the next statement after commit. Refuses a faulty definition with 22023, naming the place. '
    'Needs machine:manage.';

CREATE FUNCTION usher.validate_machine(machine text)
    RETURNS TABLE (rule text, status text, message text)
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_validate';
REVOKE ALL ON FUNCTION usher.validate_machine(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.validate_machine(text) IS
    'What is questionable about a machine that may be used all the same: unreachable_status, dead_end, '
    'no_way_to_terminal, no_terminal, missing_guard. No rows: nothing.';

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
    'BEFORE INSERT OR UPDATE row trigger: refuses what the machine does not allow (US001 illegal_transition, US002 '
    'not_allowed, US003 stale_version) and counts the version. usher.attach_machine() sets it up.';

CREATE FUNCTION usher.record_transition() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_record_transition';
REVOKE ALL ON FUNCTION usher.record_transition() FROM PUBLIC;
COMMENT ON FUNCTION usher.record_transition() IS
    'AFTER INSERT OR UPDATE row trigger: writes history, audit row and event of a transition. usher.attach_machine() '
    'sets it up.';

CREATE FUNCTION usher._check_attachment(machine text, relation regclass, column_name name, options jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_machines_check_attachment';
REVOKE ALL ON FUNCTION usher._check_attachment(text, regclass, name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_attachment(text, regclass, name, jsonb) IS
    'Raises 22023 when the machine, a column or an option does not fit.';

CREATE FUNCTION usher._machine_trigger_name(part text, column_name name) RETURNS name
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (CASE WHEN octet_length(column_name::text) <= 40 THEN 'usher_' || part || '_' || column_name::text
                 ELSE 'usher_' || part || '_' || md5(column_name::text) END)::name;
END;
REVOKE ALL ON FUNCTION usher._machine_trigger_name(text, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._machine_trigger_name(text, name) IS
    'Name of a trigger for a status column, within the length of an identifier.';

CREATE FUNCTION usher.attach_machine(machine text, relation regclass, column_name name, options jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    strange text;
    target regclass;
    is_first boolean;
BEGIN
    PERFORM usher._check_attachment(machine, relation, column_name, coalesce(options, '{}'));
    EXECUTE format('SELECT coalesce(t.%1$I::text, ''NULL'') FROM %2$s t WHERE t.%1$I IS NULL OR NOT t.%1$I::text = '
                   'ANY ($1) LIMIT 1',
                   column_name, relation)
        INTO strange USING usher.machine_statuses(machine);
    IF strange IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', format(
            'relation %s has rows with status "%s", which machine "%s" does not know', relation, strange, machine),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'status', strange,
                               'machine', machine));
    END IF;
    FOREACH is_first IN ARRAY '{true,false}'::boolean[] LOOP -- its lock holds back whoever makes a child now
        FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m WHERE (m.member = relation) = is_first
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.check_transition(%L, %L, %L)', usher._machine_trigger_name('check', column_name),
                target, machine, column_name, coalesce(options, '{}'));
            EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.record_transition(%L, %L, %L)', usher._machine_trigger_name('record', column_name),
                target, machine, column_name, coalesce(options, '{}'));
        END LOOP;
    END LOOP;
    PERFORM usher._tell_foreign_tables(relation);
END
$$;
REVOKE ALL ON FUNCTION usher.attach_machine(text, regclass, name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.attach_machine(text, regclass, name, jsonb) IS
    'Lets a machine rule over a status column of a table, its partitions and the tables that inherit from it, for '
    'every writer. Options: id_column (a uuid, an integer or text, which tells rows of all partitions apart; default '
    'id), version_column, reason_column, notes_column, scope_column, event_prefix, payload_columns, history, audit. '
    'Calling it again changes them.';

CREATE FUNCTION usher.detach_machine(relation regclass, column_name name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_trigger record;
BEGIN
    FOR found_trigger IN
        SELECT t.tgname, t.tgrelid::regclass AS target FROM pg_trigger t
        WHERE t.tgrelid IN (SELECT m.member FROM usher._row_trigger_tables(relation) m)
          AND t.tgfoid IN ('usher.check_transition()'::regprocedure, 'usher.record_transition()'::regprocedure)
          AND (detach_machine.column_name IS NULL
               OR t.tgname IN (usher._machine_trigger_name('check', detach_machine.column_name),
                               usher._machine_trigger_name('record', detach_machine.column_name)))
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found_trigger.tgname, found_trigger.target);
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
    'The transitions that the row''s machine has from its current status, whether the current identity may make them, '
    'and if not, why. The caller must be able to read the row; US005 when there is none.';

CREATE FUNCTION usher.allowed_transitions(relation regclass, id text)
    RETURNS TABLE (to_status text, action text, allowed boolean, why_not text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_allowed_transitions';
REVOKE ALL ON FUNCTION usher.allowed_transitions(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.allowed_transitions(regclass, text) IS
    'The same for a key given as text, of whatever type it is.';

CREATE FUNCTION usher.history(relation regclass, id anyelement, after_seq integer DEFAULT 0,
                              max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, action text, changed_by usher.user_reference,
                   reason_code text, notes text, changed_at timestamptz, version integer)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_history';
REVOKE ALL ON FUNCTION usher.history(regclass, anyelement, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.history(regclass, anyelement, integer, integer) IS
    'The statuses of a row in order, from the one after after_seq; of a partition and of its table the same. The '
    'caller must be able to read the row; US005 when there is none.';

CREATE FUNCTION usher.history(relation regclass, id text, after_seq integer DEFAULT 0, max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, action text, changed_by usher.user_reference,
                   reason_code text, notes text, changed_at timestamptz, version integer)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_machines_history';
REVOKE ALL ON FUNCTION usher.history(regclass, text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.history(regclass, text, integer, integer) IS
    'The same for a key given as text, of whatever type it is.';

CREATE FUNCTION usher.forget_notes(relation regclass, entity_ids uuid[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    members CONSTANT oid[] := ARRAY(SELECT t.member::oid FROM usher._table_tree(forget_notes.relation) AS t);
    changed bigint;
BEGIN
    UPDATE usher.status_history AS h SET notes = NULL
    WHERE h.relation = ANY (members)
        AND h.entity_id = ANY (entity_ids) AND h.notes IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION usher.forget_notes(regclass, uuid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.forget_notes(regclass, uuid[]) IS
    'Takes the notes out of the status history of rows, for the hook erase of extensions; returns how many. For the '
    'owner of core.';

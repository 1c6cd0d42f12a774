-- Only the owner of the extension changes rows: to move them into a new partition, or to retire them.
CREATE FUNCTION usher._protect_audit_logs() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_user = pg_get_userbyid(
        (SELECT c.relowner FROM pg_class c WHERE c.oid = 'usher.audit_logs'::regclass)) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'audit logs cannot be changed' USING ERRCODE = 'insufficient_privilege',
        DETAIL = json_build_object('relation', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 'action', lower(TG_OP));
END
$$;
REVOKE ALL ON FUNCTION usher._protect_audit_logs() FROM PUBLIC;
COMMENT ON FUNCTION usher._protect_audit_logs() IS
    'Statement trigger: lets nobody but the owner change or remove audit rows.';

CREATE FUNCTION usher._load_audit_row() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> 'usher._audit_dump'::regclass OR TG_LEVEL <> 'ROW' OR TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'trigger "%" must fire BEFORE INSERT ON usher._audit_dump FOR EACH ROW', TG_NAME
            USING ERRCODE = '39P01';
    END IF;
    INSERT INTO usher.audit_logs SELECT NEW.*;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._load_audit_row() FROM PUBLIC;
COMMENT ON FUNCTION usher._load_audit_row() IS
    'Trigger of _audit_dump: a row that comes from a dump goes where audit rows are.';

-- What one partition has of its own. Most indexes leave out rows that they would never be asked for, so that a bulk
-- change by a plain database role pays for two only. No two entries are the same, so nothing is spent on looking for
-- duplicates.
CREATE FUNCTION usher._prepare_audit_partition(partition_table regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := (SELECT c.relname FROM pg_class c WHERE c.oid = partition_table);
BEGIN
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY (id)', partition_table, name || '_pkey');
    EXECUTE format('CREATE INDEX %I ON %s (resource_type, resource_id, id) WITH (deduplicate_items = off)',
                   name || '_resource_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (actor_id, id) WITH (deduplicate_items = off) WHERE actor_id IS NOT NULL',
                   name || '_actor_id_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (subject_id, id) WITH (deduplicate_items = off) WHERE subject_id IS NOT '
                   'NULL', name || '_subject_id_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (correlation_id, id) WITH (deduplicate_items = off) WHERE correlation_id IS '
                   'NOT NULL',
                   name || '_correlation_id_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (event_type, id) WITH (deduplicate_items = off) WHERE source <> ''trigger''',
                   name || '_event_type_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (severity, id) WITH (deduplicate_items = off) WHERE severity <> ''info''',
                   name || '_severity_idx', partition_table);
    -- inserts, updates and what has succeeded are most rows: who asks for them meets them soon
    EXECUTE format('CREATE INDEX %I ON %s (action, id) WITH (deduplicate_items = off) WHERE action <> ''insert'' '
                   'AND action <> ''update''', name || '_action_idx', partition_table);
    EXECUTE format('CREATE INDEX %I ON %s (result, id) WITH (deduplicate_items = off) WHERE result <> ''success''',
                   name || '_result_idx', partition_table);
    EXECUTE format('CREATE OR REPLACE TRIGGER audit_logs_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs()', partition_table);
END
$$;
REVOKE ALL ON FUNCTION usher._prepare_audit_partition(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._prepare_audit_partition(regclass) IS
    'Gives a partition of the audit log its indexes and its protection.';

CREATE FUNCTION usher._writes_directly(partition_table regclass) RETURNS boolean
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'usher_audit_writes_directly';
REVOKE ALL ON FUNCTION usher._writes_directly(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._writes_directly(regclass) IS
    'For tests: whether audit rows go into a partition of the log past the executor. Not with triggers, constraints '
    'or indexes of kinds that only the executor knows.';

CREATE FUNCTION usher.log_event(
    event_type text,
    data jsonb DEFAULT '{}',
    severity text DEFAULT 'info',
    result text DEFAULT 'success',
    resource_type text DEFAULT NULL,
    resource_id text DEFAULT NULL,
    error_message text DEFAULT NULL,
    metadata jsonb DEFAULT '{}')
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_audit_log_event';
REVOKE ALL ON FUNCTION usher.log_event(text, jsonb, text, text, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.log_event(text, jsonb, text, text, text, text, text, jsonb) IS
    'Writes an event of the application into the audit log, with actor, session, address and correlation id of this '
    'transaction; returns its id. data: what happened; metadata: what else is to be kept beside it, such as where the '
    'event came from (R1-37).';

CREATE FUNCTION usher.log_read(resource_type text, resource_id text DEFAULT NULL, data jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_audit_log_read';
REVOKE ALL ON FUNCTION usher.log_read(text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.log_read(text, text, jsonb) IS
    'Writes data.read into the audit log if usher.audit_reads names the kind resource_type, or is on; also in a '
    'transaction that is read only, and the row stays when that is rolled back. Raises US301 on a standby, which '
    'cannot write it. For functions that hand out personal data.';

CREATE FUNCTION usher.log_reads(resource_type text, ids uuid[], sensitive_ids uuid[] DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_audit_log_reads';
REVOKE ALL ON FUNCTION usher.log_reads(text, uuid[], uuid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.log_reads(text, uuid[], uuid[]) IS
    'The same for a page of rows by their ids, as one audit row for up to 128 of them; those that are sensitive are '
    'logged whatever usher.audit_reads says. Nothing is logged of a page without rows.';

-- Auditing the rows of a table: triggers that write usher.audit_logs.

CREATE FUNCTION usher.audit_change() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_audit_change';
REVOKE ALL ON FUNCTION usher.audit_change() FROM PUBLIC;
COMMENT ON FUNCTION usher.audit_change() IS
    'Statement trigger that writes one audit row per changed row; usher.enable_audit() sets it up. Its argument is a '
    'JSON object with the lists exclude, redact, personal, subject and key.';

CREATE FUNCTION usher._personal_columns(relation regclass, kinds text[]) RETURNS TABLE (name text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT p.column_name::text FROM usher.personal_columns AS p
    WHERE p.kind = ANY (kinds)
        AND relation = to_regclass(format('%I.%I', usher._schema_of(p.registrant), p.table_name));
END
$$;
REVOKE ALL ON FUNCTION usher._personal_columns(regclass, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._personal_columns(regclass, text[]) IS
    'Columns of a table that an extension or application has registered as one of these kinds.';

CREATE FUNCTION usher._audit_table(target regclass, lists jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- numbers: so that a renamed column stays in its list; they are those of this very table
    options CONSTANT text := lists || jsonb_strip_nulls(jsonb_build_object('relation', target::oid::bigint, 'numbers',
        (SELECT jsonb_object_agg(a.attname, a.attnum)
         FROM pg_attribute a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped
         AND EXISTS (SELECT FROM jsonb_each(lists) l WHERE l.value ? a.attname))));
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS '
                   'new_rows FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)',
                   target, options);
    EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS '
                   'old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)',
                   target, options);
    EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS '
                   'old_rows FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)',
                   target, options);
    EXECUTE format('CREATE OR REPLACE TRIGGER usher_audit_truncate AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change(%L)', target, options);
END
$$;
REVOKE ALL ON FUNCTION usher._audit_table(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_table(regclass, jsonb) IS
    'Makes the triggers of enable_audit() on one table. lists: {"exclude", "redact", "personal", "subject", "key"} of '
    'names of columns.';

CREATE FUNCTION usher._is_being_installed(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN usher._installing_extension() IS NOT NULL AND EXISTS (
        SELECT FROM pg_class AS c JOIN pg_type AS t ON t.oid = c.reltype
        WHERE c.oid = relation AND t.xmin = pg_current_xact_id()::xid);
END
$$;
REVOKE ALL ON FUNCTION usher._is_being_installed(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._is_being_installed(regclass) IS
    'Whether the script of an extension that runs now has just made the table.';

CREATE FUNCTION usher._note_audit(target regclass, event text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_being_installed(target) THEN -- before which there is nothing
        PERFORM usher.log_event(event, severity => 'notice', resource_type => 'audited_table',
                                resource_id => usher._table_name(target));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._note_audit(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._note_audit(regclass, text) IS
    'Notes in the log that changes of a table are audited from now on, or no longer; row_as_of() asks since when.';

CREATE FUNCTION usher.enable_audit(
    relation regclass,
    exclude text[] DEFAULT '{}',
    redact text[] DEFAULT '{}',
    key text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    subject CONSTANT text[] := ARRAY(SELECT s.name FROM usher._personal_columns(relation, '{subject}') AS s);
    personal text[];
    lists jsonb;
    missing text;
    target regclass;
    begun regclass[];
BEGIN
    IF relation IS NULL OR kind IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation does not exist',
                                  jsonb_build_object('argument', 'relation', 'relation', relation::oid::text));
    ELSIF kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s is not a table', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    -- may be written in a read-only transaction
    ELSIF (SELECT c.relpersistence FROM pg_class c WHERE c.oid = relation) = 't' THEN
        PERFORM usher.raise_error('invalid_argument', format('temporary table %s cannot be audited', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    ELSIF relation = 'usher.audit_logs'::regclass
          OR relation IN (SELECT p.relid FROM pg_partition_tree('usher.audit_logs') p) THEN
        PERFORM usher.raise_error('invalid_argument', 'the audit log cannot be audited by itself',
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    -- What is registered as sensitive is never repeated in the log; what is personal only where it can be erased
    -- again, because the row says whose it is.
    exclude := coalesce(exclude, '{}');
    redact := ARRAY(
        SELECT unnest(redact)
        UNION
        SELECT p.name FROM usher._personal_columns(relation, CASE subject WHEN '{}'
            THEN '{personal,sensitive,sealed}'::text[] ELSE '{sensitive,sealed}' END) AS p
        WHERE p.name <> ALL (exclude || coalesce(key, '{}'))
        ORDER BY 1);
    personal := ARRAY(
        SELECT p.name FROM usher._personal_columns(relation, '{personal}') AS p
        WHERE p.name <> ALL (exclude || redact || coalesce(key, '{}'))
        ORDER BY 1);
    lists := jsonb_strip_nulls(jsonb_build_object('exclude', exclude, 'redact', redact, 'personal',
        CASE WHEN personal <> '{}' THEN personal END, 'subject', CASE WHEN subject <> '{}' THEN subject END,
        'key', key));
    SELECT n INTO missing FROM unnest(exclude || redact || personal || subject || coalesce(key, '{}')) n
        WHERE n IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = relation AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s does not exist', coalesce(quote_ident(missing), 'NULL'), relation),
            jsonb_build_object('relation', relation::text, 'column', missing),
            (SELECT format('"%s" has registered it as %s: it has to register again, with the name of now.',
                           p.registrant, p.kind)
             FROM usher.personal_columns AS p
             WHERE p.column_name = missing
                 AND relation = to_regclass(format('%I.%I', usher._schema_of(p.registrant), p.table_name)) LIMIT 1));
    END IF;
    SELECT a.attname INTO missing FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = ANY (key) AND a.attgenerated = 'v' LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s is not stored and cannot be a key', missing, relation),
            jsonb_build_object('relation', relation::text, 'column', missing));
    END IF;
    SELECT d.member::text INTO missing FROM usher._descendants(relation) d WHERE d.is_foreign LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s has the foreign table %s, which cannot be audited', relation, missing),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'foreign_table', missing));
    END IF;
    -- Partitions follow their table. Those that are audited already only get other lists.
    begun := ARRAY(SELECT d.member FROM usher._descendants(relation) AS d JOIN pg_class AS c ON c.oid = d.member
                   WHERE (d.depth = 0 OR NOT c.relispartition) AND NOT usher._is_audited(d.member)
                   ORDER BY d.depth, d.member);
    -- The table first: its lock holds back whoever attaches a partition now.
    PERFORM usher._audit_table(relation, lists);
    -- A statement fires the triggers of the table that it names: partitions, and tables that inherit, get their own
    -- for statements that name them. Those that come later: usher._cover_new_tables().
    FOR target IN SELECT d.member FROM usher._descendants(relation) d WHERE d.depth > 0 LOOP
        PERFORM usher._audit_table(target, lists);
    END LOOP;
    PERFORM usher._note_audit(b.member, 'audit.enabled') FROM unnest(begun) AS b (member);
    IF EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = relation AND NOT EXISTS (
            SELECT FROM pg_trigger t
            WHERE t.tgrelid = i.inhparent AND t.tgfoid = 'usher.audit_change()'::regprocedure)) THEN
        RAISE NOTICE 'statements that name a table to which % belongs are not audited', relation
            USING HINT = 'Call usher.enable_audit() with that table.';
    END IF;
    IF usher._audit_key_problem(relation) IS NOT NULL THEN
        RAISE NOTICE 'rows of % cannot be told apart in the audit log: %', relation,
            usher._audit_key_problem(relation) USING HINT = 'Name the columns of a key: key => …';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.enable_audit(regclass, text[], text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.enable_audit(regclass, text[], text[], text[]) IS
    'Audits a table, its partitions and the tables that inherit from it, also those that come later: every changed '
    'row makes a row in usher.audit_logs. Columns in exclude are left out, those in redact, and those that an '
    'extension or application has registered as sensitive, show only that they changed; so do those registered as '
    'personal, unless a column is registered as subject and says whose row it is. key names the identifying columns '
    '(default: the primary key). The lists follow columns that are renamed or dropped; when one '
    'cannot be told any more, all values are redacted. Calling it again changes the lists. Foreign tables cannot be '
    'audited. The log keeps when it began, as the event audit.enabled.';

CREATE FUNCTION usher.disable_audit(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_trigger record;
    ended CONSTANT regclass[] := ARRAY(
        SELECT d.member FROM usher._descendants(relation) AS d JOIN pg_class AS c ON c.oid = d.member
        WHERE (d.depth = 0 OR NOT c.relispartition)
            AND EXISTS (SELECT FROM pg_trigger AS t
                        WHERE t.tgrelid = d.member AND t.tgfoid = 'usher.audit_change()'::regprocedure)
        ORDER BY d.depth, d.member);
BEGIN
    FOR found_trigger IN
        SELECT t.tgrelid::regclass AS target, t.tgname FROM pg_trigger t
        WHERE t.tgrelid IN (SELECT d.member FROM usher._descendants(relation) d)
          AND t.tgfoid = 'usher.audit_change()'::regprocedure
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found_trigger.tgname, found_trigger.target);
    END LOOP;
    PERFORM usher._note_audit(e.member, 'audit.disabled') FROM unnest(ended) AS e (member);
END
$$;
REVOKE ALL ON FUNCTION usher.disable_audit(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher.disable_audit(regclass) IS
    'Ends what enable_audit() began; rows that were written stay, and so does the event audit.disabled.';

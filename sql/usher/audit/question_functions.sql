-- Questions to the audit log. All of them need the permission audit:read, or a trusted database role. They read as the
-- owner of the extension, so they answer for audited tables only, and with no value that the log would not show.

CREATE FUNCTION usher._audit_form(relation regclass, query text, key jsonb) RETURNS jsonb
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_audit_form';
REVOKE ALL ON FUNCTION usher._audit_form(regclass, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_form(regclass, text, jsonb) IS
    'The row that a query finds with a key, as jsonb in the form that audit rows have: times in UTC, whatever the '
    'session says. Runs with the rights of the owner of the table and nothing more: the types of its columns, their '
    'CHECKs and casts are the owner''s.';

CREATE FUNCTION usher._table_name(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = relation);
END
$$;
REVOKE ALL ON FUNCTION usher._table_name(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._table_name(regclass) IS 'The name of a table with its schema, whatever search_path says.';

CREATE FUNCTION usher._audit_resource(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN usher._table_name(coalesce(pg_partition_root(relation), relation));
END
$$;
REVOKE ALL ON FUNCTION usher._audit_resource(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_resource(regclass) IS
    'resource_type of the rows of a table; of a partition that of its table.';

CREATE FUNCTION usher._audit_options(relation regclass) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(
        (SELECT convert_from(rtrim(t.tgargs, '\x00'), current_setting('server_encoding'))::jsonb FROM pg_trigger t
         WHERE t.tgrelid = relation AND t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgnargs = 1 LIMIT 1),
         '{}');
END
$$;
REVOKE ALL ON FUNCTION usher._audit_options(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_options(regclass) IS
    'The lists that enable_audit() was called with; {} for a table that is not audited.';

CREATE FUNCTION usher._primary_key(relation regclass) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- indkey counts from 0; behind its key columns stand those that the index only carries along (INCLUDE)
    RETURN (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
            WHERE i.indrelid = relation AND i.indisprimary);
END
$$;
REVOKE ALL ON FUNCTION usher._primary_key(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._primary_key(regclass) IS
    'The columns of the primary key by their names; NULL when there is none.';

CREATE FUNCTION usher._audit_list(relation regclass, list text) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options CONSTANT jsonb := usher._audit_options(relation);
BEGIN
    RETURN (SELECT array_agg(a.attname::text ORDER BY n.place)
            FROM jsonb_array_elements_text(options -> list) WITH ORDINALITY AS n (name, place)
                JOIN pg_attribute AS a ON a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
            WHERE a.attname = n.name
                OR a.attnum = (options -> 'numbers' ->> n.name)::integer AND NOT EXISTS (
                    SELECT FROM pg_attribute AS o
                    WHERE o.attrelid = relation AND o.attname = n.name AND NOT o.attisdropped));
END
$$;
REVOKE ALL ON FUNCTION usher._audit_list(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_list(regclass, text) IS
    'One of the lists that enable_audit() was called with, by the names that the columns have now; NULL when there is '
    'none, or it is empty.';

CREATE FUNCTION usher._audit_lists(relation regclass) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT jsonb_strip_nulls(jsonb_object_agg(k.list, to_jsonb(usher._audit_list(relation, k.list))))
            FROM unnest('{exclude,redact,personal,subject,key}'::text[]) AS k (list));
END
$$;
REVOKE ALL ON FUNCTION usher._audit_lists(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_lists(regclass) IS
    'All lists that enable_audit() has made for a table, by the names that the columns have now.';

CREATE FUNCTION usher._audit_key_problem(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns CONSTANT text[] := coalesce(usher._audit_list(relation, 'key'), usher._primary_key(relation));
    hidden text;
BEGIN
    IF columns IS NULL THEN
        RETURN 'it has no primary key';
    END IF;
    SELECT c INTO hidden FROM unnest(columns) AS c
    WHERE c = ANY (usher._audit_list(relation, 'exclude') || usher._audit_list(relation, 'redact')
                   || usher._audit_list(relation, 'personal')) LIMIT 1;
    RETURN 'column ' || quote_ident(hidden) || ' of its key is excluded or redacted';
END
$$;
REVOKE ALL ON FUNCTION usher._audit_key_problem(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_key_problem(regclass) IS
    'Why audit rows do not say which row of the table they are about; NULL when they do.';

CREATE FUNCTION usher._is_audited(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
                   WHERE t.tgrelid = relation AND t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgnargs = 1
                       AND t.tgenabled <> 'D' AND c.relkind IN ('r', 'p'));
END
$$;
REVOKE ALL ON FUNCTION usher._is_audited(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._is_audited(regclass) IS
    'Whether changes of the table are audited now. Partitions, and tables that inherit, have triggers of their own.';

-- enable_audit() and disable_audit() leave events about the table itself. Where there are none, a table of an
-- extension is audited since that was made; of others (0.9.0 left no events) the oldest row of the log says it.
-- So it is of a restored database, where extensions were made anew and the log is older.
CREATE FUNCTION usher._audited_since(relation regclass, instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    root CONSTANT regclass := coalesce(pg_partition_root(relation), relation);
    kind CONSTANT text := usher._audit_resource(relation);
    days CONSTANT integer := current_setting('usher.audit_retention')::integer;
    known timestamptz;
    is_known boolean := false;
    since timestamptz := '-infinity';
    last record;
BEGIN
    FOR last IN
        SELECT e.* FROM unnest(ARRAY[root, relation]) WITH ORDINALITY AS t (name, place)
            CROSS JOIN LATERAL (SELECT l.id, l.event_type, l.created_at FROM usher.audit_logs AS l
                                WHERE l.resource_type = 'audited_table' AND l.resource_id = usher._table_name(t.name)
                                    AND l.event_type IN ('audit.enabled', 'audit.disabled')
                                ORDER BY l.id DESC LIMIT 1) AS e
        WHERE t.place = 1 OR relation <> root
    LOOP
        known := last.created_at;
        IF last.event_type = 'audit.disabled' THEN -- and came back by another way
            SELECT l.created_at INTO known FROM usher.audit_logs AS l
            WHERE l.resource_type = kind AND l.source = 'trigger' AND l.id > last.id ORDER BY l.id LIMIT 1;
        END IF;
        since := greatest(since, coalesce(known, 'infinity'));
        is_known := true;
    END LOOP;
    IF NOT is_known THEN
        SELECT x.registered_at INTO known
        FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
            JOIN usher.extensions AS x ON x.extension = e.extname
        WHERE d.classid = 'pg_class'::regclass AND d.objid = root AND d.refclassid = 'pg_extension'::regclass
            AND d.deptype = 'e';
        IF known IS NULL OR known > instant THEN
            known := least(known, (SELECT l.created_at FROM usher.audit_logs AS l
                                   WHERE l.resource_type = kind AND l.source = 'trigger' ORDER BY l.id LIMIT 1));
        END IF;
        since := coalesce(known, 'infinity');
    END IF;
    RETURN CASE WHEN days > 0 THEN greatest(since, statement_timestamp() - make_interval(days => days))
                ELSE since END;
END
$$;
REVOKE ALL ON FUNCTION usher._audited_since(regclass, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._audited_since(regclass, timestamptz) IS
    'Since when the log has every change of a table that is audited: since it was enabled last, and as far back as '
    'rows are kept; infinity when nothing is known. It looks no further back than the instant needs.';

CREATE FUNCTION usher._audit_hidden(relation regclass, OUT excluded text[], OUT redacted text[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    excluded := coalesce(usher._audit_list(relation, 'exclude'), '{}');
    redacted := coalesce(usher._audit_list(relation, 'redact'), '{}')
        || ARRAY(SELECT p.name FROM usher._personal_columns(coalesce(pg_partition_root(relation), relation),
                                                            '{sensitive,sealed}') AS p);
END
$$;
REVOKE ALL ON FUNCTION usher._audit_hidden(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_hidden(regclass) IS
    'Columns that the log leaves out or redacts, by their names of now, and those that are registered as sensitive.';

CREATE FUNCTION usher._audit_mask(whole jsonb, excluded text[], redacted text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF whole ?| (excluded || redacted) THEN
        RETURN (whole || (SELECT coalesce(jsonb_object_agg(v.key, '[redacted]'::text), '{}')
                          FROM jsonb_each(whole) AS v
                          WHERE v.key = ANY (redacted) AND v.value <> 'null')) - excluded;
    END IF;
    RETURN whole;
END
$$;
REVOKE ALL ON FUNCTION usher._audit_mask(jsonb, text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_mask(jsonb, text[], text[]) IS
    'Values as the log may show them now: those that were written before a column was excluded, redacted or '
    'registered as sensitive, too.';

CREATE FUNCTION usher._has_lost_column(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options CONSTANT jsonb := usher._audit_options(relation);
BEGIN
    RETURN EXISTS (
        SELECT FROM unnest('{exclude,redact,personal,subject}'::text[]) AS k (list)
            CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(options -> k.list, '[]')) AS n (name)
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                          WHERE a.attrelid = relation AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped)
            AND NOT ((options -> 'relation') = to_jsonb(relation::oid::bigint)
                     AND coalesce(options -> 'numbers' ? n.name, false)));
END
$$;
REVOKE ALL ON FUNCTION usher._has_lost_column(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._has_lost_column(regclass) IS
    'Whether a column of the lists of an audited table cannot be told any more: then every value is redacted.';

-- A key is given as an object of its columns, or as the bare value of the only one.
CREATE FUNCTION usher._key_object(relation regclass, key jsonb, columns text[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(key) NOT IN ('object', 'array') AND cardinality(columns) = 1 THEN
        RETURN jsonb_build_object(columns[1], key);
    ELSIF jsonb_typeof(key) <> 'object'
          OR columns IS DISTINCT FROM (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(key) k) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('key must be an object of the columns %s', array_to_string(columns, ', ')),
            jsonb_build_object('argument', 'key', 'relation', relation::text, 'columns', columns));
    END IF;
    RETURN key;
END
$$;
REVOKE ALL ON FUNCTION usher._key_object(regclass, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._key_object(regclass, jsonb, text[]) IS
    'A key as an object of its columns; raises 22023 for one of other columns.';

CREATE FUNCTION usher._audit_key(relation regclass, key jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text[];
BEGIN
    IF relation IS NULL OR key IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and key must not be null',
            jsonb_build_object('argument', CASE WHEN relation IS NULL THEN 'relation' ELSE 'key' END));
    END IF;
    SELECT array_agg(k ORDER BY k) INTO columns FROM unnest(usher._audit_list(relation, 'key')) k;
    columns := coalesce(columns, usher._primary_key(relation));
    IF columns IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no key', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text),
                                  'Name one with usher.enable_audit(relation, key => …).');
    END IF;
    RETURN usher._key_object(relation, key, columns);
END
$$;
REVOKE ALL ON FUNCTION usher._audit_key(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_key(regclass, jsonb) IS
    'A key in the form of the column audit_logs.key; 22023 when it does not fit the table.';

-- The value that the trigger writes into resource_id. The key takes the form that the row's own values have there.
CREATE FUNCTION usher._audit_resource_id(relation regclass, key jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    formed jsonb;
    id text;
BEGIN
    formed := usher._audit_form(relation, format('SELECT jsonb_populate_record(NULL::%s, $1)', relation), key);
    SELECT jsonb_object_agg(k, formed -> k) INTO formed FROM jsonb_object_keys(key) k;
    IF (SELECT count(*) FROM jsonb_object_keys(formed)) = 1 THEN
        SELECT v.value INTO id FROM jsonb_each_text(formed) v;
    ELSE
        id := formed::text;
    END IF;
    RETURN CASE WHEN octet_length(id) <= 500 THEN id ELSE 'md5:' || md5(id) END;
END
$$;
REVOKE ALL ON FUNCTION usher._audit_resource_id(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_resource_id(regclass, jsonb) IS 'resource_id of the row with that key.';

CREATE FUNCTION usher._audit_resource_types() RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- from one to the next in the index: there are few
    RETURN ARRAY(
        WITH RECURSIVE step (kind) AS (
            (SELECT l.resource_type FROM usher.audit_logs l WHERE l.resource_type IS NOT NULL
             ORDER BY l.resource_type LIMIT 1)
            UNION ALL
            SELECT (SELECT l.resource_type FROM usher.audit_logs l WHERE l.resource_type > s.kind
                    ORDER BY l.resource_type LIMIT 1)
            FROM step s WHERE s.kind IS NOT NULL
        )
        SELECT s.kind FROM step s WHERE s.kind IS NOT NULL);
END
$$;
REVOKE ALL ON FUNCTION usher._audit_resource_types() FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_resource_types() IS 'The kinds of things that there are audit rows about.';

CREATE FUNCTION usher.search_audit(
    actor_id uuid DEFAULT NULL,
    event_type text DEFAULT NULL,
    action text DEFAULT NULL,
    resource_type text DEFAULT NULL,
    resource_id text DEFAULT NULL,
    correlation_id text DEFAULT NULL,
    session_id uuid DEFAULT NULL,
    severity text DEFAULT NULL,
    result text DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    after uuid DEFAULT NULL,
    max_rows integer DEFAULT 50)
    RETURNS SETOF usher.audit_logs
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    session_user_id uuid;
    session_started timestamptz;
    kinds text[];
    -- Of changed rows, the name of the event says what was done.
    wanted CONSTANT text := coalesce(action, substring(event_type FROM '^row\.(.*)'));
BEGIN
    PERFORM usher.require_permission('audit:read');
    PERFORM usher.check_max_rows(max_rows);
    IF result NOT IN ('success', 'failure', 'denied') THEN
        PERFORM usher.raise_error('invalid_argument',
            'result must be success, failure or denied', '{"argument": "result"}');
    END IF;
    IF severity NOT IN ('debug', 'info', 'notice', 'warning', 'error', 'critical') THEN
        PERFORM usher.raise_error('invalid_argument',
            'severity must be debug, info, notice, warning, error or critical', '{"argument": "severity"}');
    END IF;
    IF session_id IS NOT NULL THEN -- what was done in a session was done by its user, since it began
        SELECT s.user_id, s.created_at - interval '1 minute' INTO session_user_id, session_started
        FROM usher.sessions s WHERE s.id = session_id;
    END IF;
    IF resource_id IS NOT NULL AND resource_type IS NULL THEN
        kinds := usher._audit_resource_types();
    END IF;
    PERFORM usher.log_read('audit_log', NULL,
                           jsonb_strip_nulls(jsonb_build_object('actor_id', actor_id, 'event_type', event_type,
        'resource_type', resource_type, 'resource_id', resource_id, 'correlation_id', correlation_id, 'since', since,
        'until', until)));
    -- Only the conditions that are asked for: each finds its index.
    RETURN QUERY EXECUTE concat_ws(' AND ', 'SELECT * FROM usher.audit_logs l WHERE true',
            CASE WHEN actor_id IS NOT NULL THEN 'l.actor_id = $1' END,
            CASE WHEN event_type IS NOT NULL
                     THEN 'l.event_type = $2'
                         || CASE WHEN event_type NOT LIKE 'row.%' THEN ' AND l.source <> ''trigger''' ELSE '' END END,
            CASE WHEN action IS NOT NULL THEN 'l.action = $3' END,
            CASE WHEN wanted NOT IN ('insert', 'update')
                     THEN 'l.action = $14 AND l.action <> ''insert'' AND l.action <> ''update''' END,
            CASE WHEN resource_type IS NOT NULL THEN 'l.resource_type = $4' END,
            CASE WHEN resource_id IS NOT NULL THEN 'l.resource_id = $5' END,
            CASE WHEN correlation_id IS NOT NULL THEN 'l.correlation_id = $6' END,
            CASE WHEN kinds IS NOT NULL THEN '(l.resource_type = ANY ($15) OR l.resource_type IS NULL)' END,
            CASE WHEN session_id IS NOT NULL THEN 'l.session_id = $7' END,
            CASE WHEN session_user_id IS NOT NULL
                     THEN 'l.actor_id = $16 AND l.id >= usher._first_id_at($17)' END,
            CASE WHEN severity IS NOT NULL
                     THEN 'l.severity = $8'
                         || CASE WHEN severity <> 'info' THEN ' AND l.severity <> ''info''' ELSE '' END END,
            CASE WHEN result IS NOT NULL
                     THEN 'l.result = $9'
                         || CASE WHEN result <> 'success' THEN ' AND l.result <> ''success''' ELSE '' END END,
            CASE WHEN since IS NOT NULL
                     THEN 'l.created_at >= $10 AND l.id >= usher._first_id_at($10 - interval ''1 second'')' END,
            CASE WHEN until IS NOT NULL
                     THEN 'l.created_at < $11 AND l.id < usher._first_id_at($11 + interval ''1 second'')' END,
            CASE WHEN after IS NOT NULL THEN 'l.id < $12' END)
        || ' ORDER BY l.id DESC LIMIT $13'
        USING actor_id, event_type, action, resource_type, resource_id, correlation_id, session_id, severity, result,
        since, until, after, max_rows, wanted, kinds, session_user_id, session_started;
END
$$;
REVOKE ALL ON FUNCTION usher.search_audit(uuid, text, text, text, text, text, uuid, text, text, timestamptz,
                                          timestamptz, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.search_audit(uuid, text, text, text, text, text, uuid, text, text, timestamptz, timestamptz,
                                       uuid, integer) IS
    'Audit rows, newest first, that meet every condition given; until is exclusive. The next page: after => id of the '
    'last row. Every condition is answered from an index but the actions insert and update, the result success and '
    'the severity info, which most rows have. Needs audit:read.';

CREATE FUNCTION usher._refuse_unaudited(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.raise_error('not_configured', format('relation %s is not audited', relation),
        jsonb_build_object('relation', relation::text), 'usher.enable_audit() begins it.');
END
$$;
REVOKE ALL ON FUNCTION usher._refuse_unaudited(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._refuse_unaudited(regclass) IS 'Raises 55000: the log knows nothing of the table.';

CREATE FUNCTION usher.row_history(relation regclass, key jsonb, after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (id uuid, changed_at timestamptz, action text, actor_id uuid, actor_name text, old_values jsonb,
                   new_values jsonb, correlation_id text, transaction_id bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    wanted text;
    kind text;
    hidden record;
BEGIN
    PERFORM usher.require_permission('audit:read');
    PERFORM usher.check_max_rows(max_rows);
    kind := usher._audit_resource(relation);
    IF relation IS NOT NULL AND NOT usher._is_audited(relation) AND NOT EXISTS (
        SELECT FROM usher.audit_logs AS l WHERE l.resource_type = kind AND l.source = 'trigger') THEN
        PERFORM usher._refuse_unaudited(relation);
    END IF;
    wanted := usher._audit_resource_id(relation, usher._audit_key(relation, key));
    PERFORM usher.log_read(kind, wanted, '{"question": "row_history"}');
    hidden := usher._audit_hidden(relation);
    RETURN QUERY
        SELECT l.id, l.created_at, l.action, l.actor_id, l.actor_name,
               usher._audit_mask(l.old_values, hidden.excluded, hidden.redacted),
               usher._audit_mask(l.new_values, hidden.excluded, hidden.redacted), l.correlation_id, l.transaction_id
        FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger'
          AND (row_history.after IS NULL OR l.id > row_history.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.row_history(regclass, jsonb, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.row_history(regclass, jsonb, uuid, integer) IS
    'What happened to one row, oldest first. key: an object of the key columns, or the value of the only one, such as '
    'to_jsonb(id). A change of the key itself stands under the former key. 55000 for a table that is not audited and '
    'never was. Needs audit:read.';

-- From the last known whole row at or before the instant changes are applied; where the log begins later, they are
-- taken back from the first whole row after it, which may be the row as it is now.
CREATE FUNCTION usher.row_as_of(relation regclass, key jsonb, instant timestamptz) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    kind text := usher._audit_resource(relation);
    relatives CONSTANT text[] := ARRAY(SELECT usher._audit_resource(r.member)
                                       FROM usher._inheritance_relatives(relation) r);
    wanted text;
    known_since timestamptz;
    hidden record;
    whole jsonb;
    start_id uuid;
    change record;
    lost timestamptz;
    strange text;
BEGIN
    PERFORM usher.require_permission('audit:read');
    IF instant IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'instant must not be null', '{"argument": "instant"}');
    ELSIF relation IS NOT NULL AND NOT usher._is_audited(relation) THEN -- nothing is read that nobody audits
        PERFORM usher._refuse_unaudited(relation);
    END IF;
    key := usher._audit_key(relation, key);
    wanted := usher._audit_resource_id(relation, key);
    PERFORM usher.log_read(kind, wanted, '{"question": "row_as_of"}');
    IF usher._audit_key_problem(relation) IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured', format('rows of relation %s cannot be told apart in the audit log',
            relation), jsonb_build_object('relation', relation::text, 'problem', usher._audit_key_problem(relation)),
            'Name the columns of a key with usher.enable_audit(relation, key => …).');
    END IF;
    IF usher._has_lost_column(relation) THEN
        PERFORM usher.raise_error('not_configured', format('audit of relation %s redacts every value', relation),
            jsonb_build_object('relation', relation::text),
            'Call usher.enable_audit() again, with the columns that are meant.');
    END IF;
    known_since := usher._audited_since(relation, instant);
    hidden := usher._audit_hidden(relation);

    SELECT x.id, x.new_values INTO start_id, whole FROM (
        (SELECT l.id, l.new_values FROM usher.audit_logs l
         WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger'
             AND l.action IN ('insert', 'delete') AND l.created_at <= instant AND l.created_at >= known_since
         ORDER BY l.id DESC LIMIT 1)
        UNION ALL
        (SELECT l.id, l.new_values FROM usher.audit_logs l
         WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action = 'truncate'
             AND l.created_at <= instant AND l.created_at >= known_since
         ORDER BY l.id DESC LIMIT 1)) AS x
    ORDER BY x.id DESC LIMIT 1;

    -- Changes that may have been this row's, and do not say so: an answer without them would be wrong.
    SELECT l.created_at INTO lost FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action <> 'truncate'
          AND CASE WHEN start_id IS NULL THEN l.created_at > instant
                   ELSE l.id > start_id AND l.created_at <= instant END
        ORDER BY l.id DESC LIMIT 1;
    IF lost IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured', format('changes of relation %s were audited without a key',
            relation), jsonb_build_object('relation', relation::text, 'until', lost),
            'Only what came later can be asked for.');
    END IF;
    SELECT l.resource_type INTO strange FROM usher.audit_logs l
        WHERE l.resource_type = ANY (relatives) AND (l.resource_id = wanted OR l.resource_id IS NULL)
          AND l.source = 'trigger'
          AND CASE WHEN start_id IS NULL THEN l.created_at > instant
                   ELSE l.id > start_id AND l.created_at <= instant END
        ORDER BY l.id DESC LIMIT 1;
    IF strange IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured',
            format('rows of relation %s were changed by statements that name %s', relation, strange),
            jsonb_build_object('relation', relation::text, 'named', strange),
            'Tables that inherit have a history for each name: ask usher.row_history() of both.');
    END IF;

    IF instant < least(known_since, statement_timestamp())
       OR isfinite(instant) AND EXISTS (SELECT FROM usher.audit_seals AS s WHERE s.retired_at IS NOT NULL
                                            AND s.until_id > usher._first_id_at(instant)) THEN
        PERFORM usher.raise_error('not_configured',
            format('the audit log does not reach back so far for relation %s', relation),
            jsonb_build_object('relation', relation::text,
                               'since', CASE WHEN isfinite(known_since) THEN known_since END),
            'It was not audited yet, or not at that time, or rows of then have been retired.');
    END IF;

    IF start_id IS NOT NULL THEN -- deleted or truncated: whole is NULL and stays so
        FOR change IN SELECT l.new_values FROM usher.audit_logs l
            WHERE l.resource_type = kind AND l.resource_id = wanted AND l.action = 'update' AND l.source = 'trigger'
              AND l.id > start_id AND l.created_at <= instant ORDER BY l.id
        LOOP
            whole := whole || change.new_values;
        END LOOP;
        RETURN usher._audit_mask(whole, hidden.excluded, hidden.redacted);
    END IF;

    whole := usher._audit_form(relation,
        format('SELECT (t.*)::%1$s FROM %1$s t JOIN jsonb_populate_record(NULL::%1$s, $1) k ON %2$s', relation,
               (SELECT string_agg(format('t.%1$I = k.%1$I', c), ' AND ') FROM jsonb_object_keys(key) c)), key);
    IF whole ->> (usher._audit_list(relation, 'subject'))[1] IS NULL THEN -- nobody's row, which nobody can erase
        hidden.redacted := hidden.redacted || coalesce(usher._audit_list(relation, 'personal'), '{}');
    END IF;
    whole := usher._audit_mask(whole, hidden.excluded, hidden.redacted);
    FOR change IN
        SELECT l.id, l.action, l.old_values FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger' AND l.created_at > instant
        UNION ALL
        SELECT l.id, l.action, l.old_values FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action = 'truncate'
            AND l.created_at > instant
        ORDER BY id DESC
    LOOP
        CASE change.action
            WHEN 'insert' THEN whole := NULL;
            WHEN 'delete' THEN whole := change.old_values;
            WHEN 'truncate' THEN whole := NULL; -- what it held is not known
            ELSE whole := whole || change.old_values;
        END CASE;
    END LOOP;
    RETURN usher._audit_mask(whole, hidden.excluded, hidden.redacted);
END
$$;
REVOKE ALL ON FUNCTION usher.row_as_of(regclass, jsonb, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.row_as_of(regclass, jsonb, timestamptz) IS
    'An audited row as it was at an instant; NULL when it did not exist. Excluded columns are left out, and sensitive '
    'ones redacted. 55000 when the log does not say: tables that are not audited, instants before they were (again), '
    'rows without a key, a key that is redacted, changes under the name of another table of the same inheritance. '
    'Needs audit:read.';

-- Everything that follows keeps away from PUBLIC; usher.grant_access() hands out levels.
CREATE FUNCTION usher.uuid_v7() RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_uuid_v7';
REVOKE ALL ON FUNCTION usher.uuid_v7() FROM PUBLIC;
COMMENT ON FUNCTION usher.uuid_v7() IS
    'A new version 7 uuid (RFC 9562): sortable by time, the default key of every table.';

CREATE FUNCTION usher.uuid_or_null(value text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_uuid_or_null';
REVOKE ALL ON FUNCTION usher.uuid_or_null(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.uuid_or_null(text) IS
    'The uuid that a text is, in upper or lower case; NULL when it is none. For extensions, which hear of ids in '
    'events.';

CREATE FUNCTION usher._invalidate_cache() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_cache_invalidate';
REVOKE ALL ON FUNCTION usher._invalidate_cache() FROM PUBLIC;
COMMENT ON FUNCTION usher._invalidate_cache() IS
    'Trigger: announces to all backends and standbys that the data behind a cache has changed, once for a statement.';

CREATE FUNCTION usher._invalidate_entry() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_cache_invalidate_entry';
REVOKE ALL ON FUNCTION usher._invalidate_entry() FROM PUBLIC;
COMMENT ON FUNCTION usher._invalidate_entry() IS
    'Row trigger: announces to all backends and standbys that one entry of a cache has changed, that of the uuid in '
    'the named column.';

CREATE FUNCTION usher._announce_changes(relation regclass, cache text, key_column text DEFAULT NULL,
                                        only_when text DEFAULT NULL, also text DEFAULT 'INSERT OR DELETE')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name CONSTANT text := 'announce_' || regexp_replace(cache, '_inval$', '');
    whole CONSTANT text := format('usher._invalidate_cache(%L)', cache);
    each_row CONSTANT text := CASE WHEN key_column IS NULL THEN whole
                                   ELSE format('usher._invalidate_entry(%L, %L)', cache, key_column) END;
    change record;
BEGIN
    -- For rows: what another server sends changes rows only, and fires no trigger of statements. ENABLE ALWAYS: nor
    -- others.
    FOR change IN
        SELECT name AS trigger, also || CASE WHEN only_when IS NULL THEN ' OR UPDATE' ELSE '' END AS events,
               'ROW' AS level, each_row AS call
        UNION ALL SELECT name || '_changed', 'UPDATE', format('ROW WHEN (%s)', only_when), each_row
                  WHERE only_when IS NOT NULL
        UNION ALL SELECT name || '_truncated', 'TRUNCATE', 'STATEMENT', whole
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %1$I AFTER %3$s ON %2$s FOR EACH %4$s EXECUTE FUNCTION %5$s; '
                       'ALTER TABLE %2$s ENABLE ALWAYS TRIGGER %1$I',
                       change.trigger, relation, change.events, change.level, change.call);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._announce_changes(regclass, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._announce_changes(regclass, text, text, text, text) IS
    'Has every change of a table announced to a cache, by the name of its _inval table. key_column: of the uuid whose '
    'entry alone has changed. only_when: which updates matter. also: which of INSERT and DELETE.';

CREATE FUNCTION usher._is_restoring() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_is_restoring';
REVOKE ALL ON FUNCTION usher._is_restoring() FROM PUBLIC;
COMMENT ON FUNCTION usher._is_restoring() IS
    'Whether triggers must leave rows alone: usher.restoring is on or session_replication_role is replica.';

CREATE FUNCTION usher._is_loading() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_is_loading';
REVOKE ALL ON FUNCTION usher._is_loading() FROM PUBLIC;
COMMENT ON FUNCTION usher._is_loading() IS
    'Whether a dump is being loaded: _is_restoring(), but not where rows come from another server.';

CREATE FUNCTION usher._load_rows() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_operations_load_rows';
REVOKE ALL ON FUNCTION usher._load_rows() FROM PUBLIC;
COMMENT ON FUNCTION usher._load_rows() IS
    'BEFORE and AFTER INSERT statement trigger of tables with foreign keys: pg_restore --jobs loads tables in any '
    'order, so the keys are not asked while it does. usher.finish_extension() sets it up.';

CREATE FUNCTION usher._installing_extension() RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_installing_extension';
REVOKE ALL ON FUNCTION usher._installing_extension() FROM PUBLIC;
COMMENT ON FUNCTION usher._installing_extension() IS
    'The extension whose script is running, else NULL. Rows that a script brings come back with it and must not be '
    'dumped: keep this name in a column and dump WHERE it IS NULL.';

CREATE FUNCTION usher._server_identifier() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_server_identifier';
REVOKE ALL ON FUNCTION usher._server_identifier() FROM PUBLIC;
COMMENT ON FUNCTION usher._server_identifier() IS
    'The system identifier of this server (pg_control_system()): its roles have their Oids here alone. A standby '
    'and a physical backup have the same.';

-- The audit log: one table for changed rows and for events. Partitioned by month on created_at.
--
-- Names and keys compare byte by byte (COLLATE "C"): faster, and no index breaks when the system's collations change.
--
-- Indexes belong to the partitions, never to the parent. Partitions made later are ordinary tables of the schema,
-- dumped and restored like any other table: a parent index would be made twice by a restore, once on ATTACH and once
-- by its own command.
--
-- An id begins with the millisecond of created_at: the primary key answers for times too, and writers are spared
-- another index.

CREATE FUNCTION usher._first_id_at(instant timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (substr(encode(
        int8send(floor(least(greatest(extract(epoch FROM instant) * 1000, 0), 281474976710655))::bigint), 'hex'), 5)
            || '70008000000000000000')::uuid;
END;
REVOKE ALL ON FUNCTION usher._first_id_at(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._first_id_at(timestamptz) IS
    'Smallest version 7 uuid of the millisecond; of the first or last one there is for an instant before or after all '
    'of them (RFC 9562).';

-- Numbers for dashboards: exact while there are few, and never slow.
CREATE FUNCTION usher.count_or_estimate(statement text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    counted bigint;
    plan jsonb;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s LIMIT 1001) AS x', statement) INTO counted;
    IF counted > 1000 THEN
        EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
        counted := greatest((plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric::bigint, counted);
    END IF;
    RETURN counted;
END
$$;
REVOKE ALL ON FUNCTION usher.count_or_estimate(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.count_or_estimate(text) IS
    'How many rows a SELECT (without LIMIT) has: exactly up to 1,000, of more the planner''s estimate, which is as '
    'good as the last ANALYZE. For the metrics of an extension; a condition without an index belongs into a sample '
    '(sample_percent). Runs with the caller''s rights.';

CREATE FUNCTION usher.sample_percent(relation regclass, max_rows integer DEFAULT 4000) RETURNS real
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT least(100, 100.0 * greatest(max_rows, 4000) / greatest(1,
        pg_relation_size(c.oid) / current_setting('block_size')::bigint
            * CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples / c.relpages ELSE 50 END))::real
    FROM pg_class AS c WHERE c.oid = relation;
END;
REVOKE ALL ON FUNCTION usher.sample_percent(regclass, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.sample_percent(regclass, integer) IS
    'For TABLESAMPLE SYSTEM: how many percent of a table about max_rows of its rows are, but 4,000 at least; 100 for '
    'a smaller table. '
    'What is counted in the sample, divided by it, stands for the whole.';

-- Names are searched by the beginnings of their words, which an index answers for.
CREATE FUNCTION usher.name_words(name text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- else a.b and a/b were a host and a file to the parser, and b was not found
    SELECT to_tsvector('pg_catalog.simple'::regconfig, translate(name, './@\', '    '));
END;
REVOKE ALL ON FUNCTION usher.name_words(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.name_words(text) IS 'The words of a name, for an index (GIN) that name_query() asks.';

CREATE FUNCTION usher.name_query(search text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(quote_literal(w.word) || ':*', ' & ')::tsquery
    FROM unnest(tsvector_to_array(usher.name_words(left(search, 200)))) AS w (word);
END;
REVOKE ALL ON FUNCTION usher.name_query(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.name_query(text) IS
    'Finds names that have, for each word of the text, a word that begins with it; NULL, which finds nothing, for a '
    'text without words.';

CREATE FUNCTION usher._algorithms(kind text) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_operations_algorithms';
REVOKE ALL ON FUNCTION usher._algorithms(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._algorithms(text) IS
    'The names of the algorithms that there are: kind is jwt, jwt_key_pair (those of jwt without a secret) or '
    'rate_limit.';

-- Tables that belong to each other: a partitioned table and its partitions, a table and those that inherit from it.

CREATE FUNCTION usher._descendants(relation regclass) RETURNS TABLE (member regclass, is_partition boolean,
                                                                     is_foreign boolean, depth integer)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE tree (member, depth) AS (
        SELECT relation::oid, 0
        UNION
        SELECT i.inhrelid, t.depth + 1 FROM pg_catalog.pg_inherits AS i JOIN tree AS t ON i.inhparent = t.member)
    SELECT t.member::regclass, c.relispartition, c.relkind = 'f', min(t.depth)
    FROM tree AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.member
    GROUP BY t.member, c.relispartition, c.relkind ORDER BY 4, 1;
END;
REVOKE ALL ON FUNCTION usher._descendants(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._descendants(regclass) IS
    'The table itself, its partitions of all levels, and the tables that inherit from it.';

CREATE FUNCTION usher._table_tree(relation regclass) RETURNS TABLE (member regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.member FROM usher._descendants(coalesce(pg_partition_root(relation), relation)) AS d;
END;
REVOKE ALL ON FUNCTION usher._table_tree(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._table_tree(regclass) IS
    'All tables whose rows are rows of this one; of a partition all that its table has.';

CREATE FUNCTION usher._inheritance_relatives(relation regclass) RETURNS TABLE (member regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE edges AS (
        SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits AS i
            JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND NOT c.relispartition AND c.relkind <> 'i'),
    up (member) AS (
        SELECT relation::oid UNION SELECT e.inhparent FROM edges AS e JOIN up AS u ON e.inhrelid = u.member),
    down (member) AS (
        SELECT relation::oid UNION SELECT e.inhrelid FROM edges AS e JOIN down AS d ON e.inhparent = d.member)
    SELECT r.member::regclass FROM (SELECT u.member FROM up AS u UNION SELECT d.member FROM down AS d) AS r
    WHERE r.member <> relation::oid;
END;
REVOKE ALL ON FUNCTION usher._inheritance_relatives(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._inheritance_relatives(regclass) IS
    'Tables that it inherits from, and that inherit from it; partitions are not meant.';

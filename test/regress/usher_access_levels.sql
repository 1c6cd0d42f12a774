-- Each access level walks through every public function, table and column, really trying: what it can do must be what
-- the access lists say (usher.extension_access), no less and no more.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_levels;
CREATE VIEW regress_levels.levels AS SELECT level, ('regress_level_' || level)::name AS role
    FROM unnest(ARRAY['application', 'gateway', 'courier', 'readonly', 'auditor', 'admin']) AS level;
DO $$
DECLARE
    l record;
BEGIN
    FOR l IN SELECT * FROM regress_levels.levels LOOP
        EXECUTE format('CREATE ROLE %I', l.role);
        PERFORM usher.grant_access(l.role, l.level);
    END LOOP;
END $$;

-- What the lists promise: one row per level and function, or per level, table and column ('' for a whole table).
CREATE FUNCTION regress_levels.promises()
    RETURNS TABLE (schema name, kind text, level text, name text, col text) LANGUAGE sql AS $$
    SELECT usher._schema_of(l.registrant), l.kind, level, split_part(m[1], '(', 1), c
    FROM usher.extension_access l, unnest(l.levels) AS level, regexp_matches(l.names, '[a-z0-9_]+\([^)]*\)', 'g') AS m,
        string_to_table(rtrim(split_part(m[1], '(', 2), ')'), ',') AS c
    UNION ALL
    SELECT usher._schema_of(l.registrant), l.kind, level, m[1], ''
    FROM usher.extension_access l, unnest(l.levels) AS level,
        regexp_matches(regexp_replace(l.names, '[a-z0-9_]+\([^)]*\)', '', 'g'), '[a-z0-9_]+', 'g') AS m
$$;
CREATE TABLE regress_levels.promised AS SELECT DISTINCT p.schema, p.kind, p.level, p.name, trim(p.col) AS col
    FROM regress_levels.promises() p;

-- Tries a statement as a role, and takes back whatever it did.
CREATE FUNCTION regress_levels.try(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RAISE EXCEPTION 'taken back' USING ERRCODE = 'ZZ001';
EXCEPTION
    WHEN SQLSTATE 'ZZ001' THEN RETURN 'can';
    -- it got as far as the function
    WHEN OTHERS THEN RETURN CASE WHEN SQLSTATE = '42501' AND SQLERRM LIKE 'permission denied for %' THEN SQLERRM
                                 ELSE 'can' END;
END $$;

CREATE VIEW regress_levels.functions AS
    SELECT n.nspname AS schema, p.proname AS name, p.oid,
           -- arguments that the planner does not know: it would not even call a strict function with a constant NULL
           format('SELECT %I.%I(%s) FROM (SELECT %s OFFSET 0) AS a', n.nspname, p.proname,
                  (SELECT string_agg('a' || i, ', ' ORDER BY i)
                   FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i)),
                  (SELECT string_agg(format('NULL::%s AS a%s', format_type(t, NULL), i), ', ' ORDER BY i)
                   FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i))) AS call
    FROM usher._installed() e
        JOIN pg_extension x ON x.extname = e.extension JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass
            AND d.refobjid = x.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname NOT LIKE '\_%' AND p.prorettype <> 'trigger'::regtype;
CREATE VIEW regress_levels.relations AS
    SELECT e.schema, c.relname AS name, c.oid, c.relkind
    FROM usher._installed() e
        JOIN pg_extension x ON x.extname = e.extension JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass
            AND d.refobjid = x.oid AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'v');

SELECT count(*) > 150 AS functions, (SELECT count(*) > 50 FROM regress_levels.relations) AS tables,
       (SELECT count(*) > 500 FROM regress_levels.promised) AS promises FROM regress_levels.functions;

-- Functions: called with NULLs. A difference is a function that a level can call without a promise, or cannot in spite
-- of one.
WITH tried AS (
    SELECT l.level, f.schema, f.name, regress_levels.try(l.role, f.call) AS outcome,
           EXISTS (SELECT FROM regress_levels.promised p WHERE p.kind = 'function' AND p.level = l.level
                       AND p.schema = f.schema AND p.name = f.name) AS is_promised
    FROM regress_levels.levels l, regress_levels.functions f)
SELECT level, schema, name, is_promised, outcome FROM tried
WHERE is_promised <> (outcome = 'can') OR (NOT is_promised AND outcome NOT IN (
    'permission denied for function ' || name, 'permission denied for schema ' || schema))
ORDER BY 1, 2, 3;

-- Columns: each is selected.
WITH tried AS (
    SELECT l.level, r.schema, r.name, a.attname, regress_levels.try(
        l.role, format('SELECT %I FROM %I.%I LIMIT 0', a.attname, r.schema, r.name)) = 'can' AS reads,
           EXISTS (SELECT FROM regress_levels.promised p WHERE p.kind = 'table' AND p.level = l.level
                       AND p.schema = r.schema AND p.name = r.name AND p.col IN ('', a.attname)) AS is_promised
    FROM regress_levels.levels l, regress_levels.relations r
        JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped)
SELECT level, schema, name, attname, is_promised, reads FROM tried WHERE is_promised <> reads ORDER BY 1, 2, 3, 4;

-- Nobody writes to a table: insert, update, delete, truncate.
SELECT l.level, r.schema, r.name, s.statement
FROM regress_levels.levels l, regress_levels.relations r,
    LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                 AND a.attgenerated = '' ORDER BY a.attnum LIMIT 1) AS c,
    LATERAL (VALUES ('INSERT INTO %1$I.%2$I DEFAULT VALUES'), ('UPDATE %1$I.%2$I SET %3$I = NULL'),
                    ('DELETE FROM %1$I.%2$I'), ('TRUNCATE %1$I.%2$I CASCADE')) AS s (statement)
WHERE r.relkind IN ('r', 'p') AND regress_levels.try(l.role, format(s.statement, r.schema, r.name, c.attname)) = 'can'
ORDER BY 1, 2, 3, 4;

-- In short, by the number of what each level has: everybody less than admin, analytics no function at all.
SELECT l.level, count(*) FILTER (WHERE p.kind = 'function') > 0 AS calls,
       count(*) FILTER (WHERE p.kind = 'table') > 0 AS reads, count(*)
           FILTER (WHERE p.kind = 'function') < (SELECT count(*) FROM regress_levels.promised a
                                                 WHERE a.kind = 'function' AND a.level = 'admin') AS less_than_admin
FROM regress_levels.levels l LEFT JOIN regress_levels.promised p USING (level) GROUP BY l.level ORDER BY l.level;

DO $$
DECLARE
    l record;
BEGIN
    FOR l IN SELECT * FROM regress_levels.levels LOOP
        PERFORM usher.revoke_access(l.role);
        EXECUTE format('DROP ROLE %I', l.role);
    END LOOP;
END $$;
DROP SCHEMA regress_levels CASCADE;

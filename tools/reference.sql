-- Prints docs/reference.md from the catalog. Leaves nothing behind: the roles it needs go with the transaction.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
LOAD 'usher'; -- its settings are known only when it is loaded
BEGIN;

-- One role per level, to ask the catalog what each may do.
CREATE TEMP TABLE levels (level text PRIMARY KEY, place int);
INSERT INTO levels -- those that there are, in the order in which the table of roles names them
SELECT l.found[1], l.place
FROM pg_constraint AS c
    CROSS JOIN regexp_matches(pg_get_constraintdef(c.oid), '''(\w+)''', 'g') WITH ORDINALITY AS l (found, place)
WHERE c.conrelid = 'usher.database_roles'::regclass AND c.conname = 'database_roles_level_check';
DO $$
DECLARE
    l text;
BEGIN
    FOR l IN SELECT level FROM levels LOOP
        EXECUTE format('CREATE ROLE %I', 'usher_docs_' || l);
        PERFORM usher.grant_access('usher_docs_' || l, l);
    END LOOP;
END
$$;

CREATE TEMP VIEW members AS
    SELECT e.oid AS extension, e.extname, d.classid, d.objid
    FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    WHERE e.extname LIKE 'usher%';

-- A cell of a table may hold neither bars nor line breaks.
CREATE FUNCTION pg_temp.cell(text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT coalesce(replace(regexp_replace($1, '\s+', ' ', 'g'), '|', '\|'), '') $$;

\qecho '# Reference'
\qecho
\qecho 'Made by `./dev docs` from the catalog and its comments; a test checks that it is fresh. Do not edit.'
\qecho
\qecho 'Names that begin with `_` are private. *May execute* and *may read* name the levels of'
\qecho '`usher.grant_access()`; the owner and superusers always may. The features are shown in the schema `wash`;'
\qecho 'each lives where `CREATE EXTENSION … SCHEMA` puts it.'

WITH functions AS (
    SELECT m.extname, n.nspname, p.oid, p.proname, p.prokind,
           pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
           obj_description(p.oid, 'pg_proc') AS comment,
           (SELECT string_agg(l.level, ', ' ORDER BY l.place) FROM levels l
            WHERE has_function_privilege('usher_docs_' || l.level, p.oid, 'EXECUTE')) AS may
    FROM members m
    JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname NOT LIKE '\_%'
), tables AS (
    SELECT m.extname, n.nspname, c.oid, c.relname, obj_description(c.oid, 'pg_class') AS comment,
           CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
           (SELECT string_agg(l.level, ', ' ORDER BY l.place) FROM levels l
            WHERE has_any_column_privilege('usher_docs_' || l.level, c.oid, 'SELECT')) AS may,
           (SELECT string_agg(format('| `%s` | %s%s | %s |', a.attname, format_type(a.atttypid, a.atttypmod),
                                     CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                                     pg_temp.cell(col_description(c.oid, a.attnum))), E'\n' ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
    FROM members m
    JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind IN ('r', 'p', 'v')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname NOT LIKE '\_%'
), lines AS (
    SELECT extname, 1 AS part, '' AS name, '' AS detail, E'\n## ' || extname || E'\n\n### Functions' AS text
    FROM (SELECT DISTINCT extname FROM members) e
    UNION ALL
    SELECT extname, 1, proname, arguments,
           format(E'\n#### `%s.%s`\n\n```\n%s(%s)%s\n```\n\n%s\n\n*May execute:* %s.', nspname, proname, proname,
                  arguments, CASE WHEN result IS NULL OR result = '' THEN '' ELSE ' → ' || result END,
                  coalesce(comment, ''), coalesce(may, 'nobody else'))
    FROM functions
    UNION ALL
    SELECT DISTINCT extname, 2, '', '', E'\n### Tables' FROM tables
    UNION ALL
    SELECT extname, 2, relname, '',
           format(E'\n#### `%s.%s`%s\n\n%s\n\n*May read:* %s.\n\n| column | type | |\n| --- | --- | --- |\n%s',
                  nspname, relname, CASE kind WHEN 'view' THEN ' (view)' ELSE '' END, coalesce(comment, ''),
                  coalesce(may, 'nobody else'), columns)
    FROM tables
)
SELECT text FROM lines ORDER BY extname COLLATE "C", part, name COLLATE "C", detail COLLATE "C";

\qecho
\qecho '## Settings'
\qecho
\qecho '| name | default | who may change it | |'
\qecho '| --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s |', name,
              pg_temp.cell(CASE WHEN boot_val IS NULL OR boot_val = '' THEN '(empty)'
                                ELSE '`' || boot_val || coalesce(' ' || unit, '') || '`' END),
              CASE context WHEN 'user' THEN 'everybody'
                  WHEN 'superuser' THEN 'superusers' WHEN 'sighup' THEN 'the configuration file, at reload'
                           WHEN 'postmaster' THEN 'the configuration file, at start' ELSE context END,
              pg_temp.cell(concat_ws(' ', short_desc, extra_desc)))
FROM pg_settings WHERE name LIKE 'usher.%' ORDER BY name COLLATE "C";
-- Those of the features are known by what they have registered.
SELECT format('| `%s` | %s | everybody | %s |', s.name,
              CASE WHEN s.default_value = '' THEN '(empty)' ELSE '`' || pg_temp.cell(s.default_value) || '`' END,
              pg_temp.cell(s.description))
FROM usher.extension_settings AS s ORDER BY s.name COLLATE "C";
ROLLBACK;

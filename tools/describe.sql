-- What an extension is in a database, as lines of JSON, for comparisons between databases:
--   psql -XqAt -v extension=NAME -f describe.sql
-- kind and name say which object it is, definition is what must be the same. Oids and the numbers of columns, which
-- differ from one database to the next, are left out of it. The rest is for tools/upgrade_scripts.pl.
SET client_min_messages = warning;
SET search_path = pg_catalog;
SET timezone = 'UTC';
SET intervalstyle = 'postgres';
SELECT set_config('describe.extension', :'extension', false) \g /dev/null
WITH extension AS (SELECT e.* FROM pg_extension AS e WHERE e.extname = :'extension'),
member AS (
    SELECT d.classid, d.objid
    FROM pg_depend AS d JOIN extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE d.deptype = 'e'),
relation AS (
    SELECT c.* FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
function AS (
    SELECT p.* FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid),
line (kind, name, definition, more) AS (
    SELECT 'function', p.oid::regprocedure::text,
        pg_get_functiondef(p.oid)
            || CASE WHEN p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0)
                    THEN 'granted to PUBLIC' ELSE '' END,
        jsonb_build_object('result', pg_get_function_result(p.oid), 'defaults', p.pronargdefaults,
            'prokind', p.prokind, 'arguments',
            (SELECT jsonb_agg(coalesce(u.name, '') ORDER BY u.number)
             FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS u (name, mode, number)
             WHERE u.mode IS NULL OR u.mode <> 't'))
    FROM function AS p WHERE p.prokind <> 'a'
    UNION ALL
    SELECT 'table', r.oid::regclass::text,
        concat_ws(' ', r.relkind, r.relrowsecurity, r.relforcerowsecurity, r.reloptions::text), NULL
    FROM relation AS r WHERE r.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column', r.oid::regclass || '.' || quote_ident(a.attname),
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
                  nullif(a.attcollation, t.typcollation)::regcollation, pg_get_expr(f.adbin, f.adrelid)),
        jsonb_build_object('position', rank() OVER (PARTITION BY r.oid ORDER BY a.attnum))
    FROM relation AS r
        JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'c')
    UNION ALL
    SELECT 'view', r.oid::regclass::text, concat_ws(' ', pg_get_viewdef(r.oid), r.reloptions::text),
        jsonb_build_object('columns',
            (SELECT jsonb_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
             FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0))
    FROM relation AS r WHERE r.relkind = 'v'
    UNION ALL
    SELECT 'type', t.oid::regtype::text, concat_ws(' ', t.typtype, t.typbasetype::regtype,
        (SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname)
         FROM pg_constraint AS c WHERE c.contypid = t.oid),
        (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid)),
        NULL
    FROM pg_type AS t JOIN member AS m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
    WHERE t.typtype IN ('d', 'e', 'c')
        AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
    UNION ALL
    SELECT 'constraint', format('%I on %s', c.conname, c.conrelid::regclass),
        concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated), NULL
    FROM pg_constraint AS c JOIN relation AS r ON r.oid = c.conrelid
    WHERE c.contype IN ('c', 'f', 'p', 'u', 'x') OR c.contype = 'n' AND NOT c.convalidated
    UNION ALL
    SELECT 'index', i.indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid), NULL
    FROM pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
    UNION ALL
    -- triggers of the audit log name their table by its Oid, and columns by their numbers
    SELECT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass), concat_ws(' ',
        regexp_replace(regexp_replace(pg_get_triggerdef(t.oid), '"relation": \d+', '"relation": …', 'g'),
                       '"numbers": \{[^}]*\}', '"numbers": …', 'g'),
        t.tgenabled), NULL
    FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'policy', format('%I on %s', p.polname, p.polrelid::regclass), concat_ws(' ', p.polcmd, p.polpermissive,
        p.polroles::regrole[]::text, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)),
        NULL
    FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
    UNION ALL
    SELECT 'event trigger', quote_ident(t.evtname),
        concat_ws(' ', t.evtevent, t.evttags::text, t.evtfoid::regprocedure, t.evtenabled), NULL
    FROM pg_event_trigger AS t JOIN member AS m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid
    UNION ALL
    SELECT 'comment', i.type || ' ' || i.identity, d.description, NULL
    FROM pg_description AS d
        CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
    WHERE (d.classoid, d.objoid) IN (SELECT m.classid, m.objid FROM member AS m)
    UNION ALL
    SELECT 'dumped table', u.relation::regclass::text, coalesce(u.condition, ''), NULL
    FROM extension AS e, unnest(e.extconfig, e.extcondition) AS u (relation, condition)
    UNION ALL
    -- what goes when a function or view goes
    SELECT DISTINCT 'dependency', v.by || ' on ' || v.of, '', jsonb_build_object('of', v.of, 'by', v.by)
    FROM (SELECT CASE d.refclassid WHEN 'pg_proc'::regclass THEN 'function ' || d.refobjid::regprocedure
                     ELSE 'view ' || d.refobjid::regclass END AS of,
              CASE d.classid WHEN 'pg_proc'::regclass THEN 'function ' || d.objid::regprocedure
                  WHEN 'pg_trigger'::regclass THEN
                      (SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass)
                       FROM pg_trigger AS t WHERE t.oid = d.objid AND NOT t.tgisinternal)
                  ELSE (SELECT 'view ' || w.ev_class::regclass FROM pg_rewrite AS w WHERE w.oid = d.objid) END AS by
          FROM pg_depend AS d
          WHERE d.deptype IN ('n', 'a')
              AND d.classid IN ('pg_proc'::regclass, 'pg_rewrite'::regclass, 'pg_trigger'::regclass)
              AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT p.oid FROM function AS p)
                   OR d.refclassid = 'pg_class'::regclass
                      AND d.refobjid IN (SELECT r.oid FROM relation AS r WHERE r.relkind = 'v'))) AS v
    WHERE v.by <> v.of)
SELECT jsonb_build_object('kind', l.kind, 'name', l.name, 'definition', l.definition) || coalesce(l.more, '{}')
FROM line AS l
ORDER BY l.kind, l.name COLLATE "C";

-- The rows that its script ships, by their keys; of a machine the one that is in force, whatever its version is here.
SELECT format($query$
    SELECT jsonb_build_object('kind', %1$L, 'name', k.key::text, 'definition', (to_jsonb(t) - %2$L::text[])::text,
                              'table', %3$L, 'key', k.key)
    FROM %3$s AS t
        CROSS JOIN LATERAL (SELECT jsonb_object_agg(u.k, to_jsonb(t) -> u.k) FROM unnest(%4$L::text[]) AS u (k))
            AS k (key)
    WHERE t.%5$I = current_setting('describe.extension') %6$s ORDER BY k.key::text COLLATE "C"$query$,
    'row of ' || g.relation,
    '{id,created_at,updated_at,registered_at,created_by}'::text[]
        || CASE WHEN g.is_machines THEN '{version}'::text[] ELSE '{}' END,
    g.relation, CASE WHEN g.is_machines THEN '{name}'::text[] ELSE g.key END,
    a.attname, CASE WHEN g.is_machines THEN
        'AND t.version = (SELECT max(m.version) FROM usher.machines AS m WHERE m.name = t.name AND m.is_active)' END)
FROM (SELECT t.tgrelid::regclass AS relation, t.tgrelid = to_regclass('usher.machines') AS is_machines,
          string_to_array(btrim(replace(encode(t.tgargs, 'escape'), '\000', ','), ','), ',') AS key
      FROM pg_trigger AS t WHERE t.tgname = 'keep_decision') AS g
    JOIN pg_attribute AS a ON a.attrelid = g.relation AND a.attname IN ('extension', 'registrant')
        AND NOT a.attisdropped
ORDER BY g.relation::text COLLATE "C" \gexec

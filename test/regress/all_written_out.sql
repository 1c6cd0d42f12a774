-- What pg_dump and pg_upgrade write out of an object, PostgreSQL reads as the same: schema_drift() compares definitions as they are written
-- out, and pg_upgrade makes each object from that.
BEGIN;
CREATE TEMP TABLE before ON COMMIT DROP AS
    SELECT e.extname, d.* FROM pg_extension AS e, usher._describe_schema(e.extname) AS d WHERE e.extname LIKE 'usher%';
CREATE TEMP VIEW member AS
    SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname LIKE 'usher%' AND d.deptype = 'e';
CREATE FUNCTION pg_temp.read_again() RETURNS TABLE (kind text, objects bigint) LANGUAGE plpgsql AS $$
DECLARE
    each record;
    made jsonb := '{}';
BEGIN
    FOR each IN
        SELECT 'function' AS kind, pg_get_functiondef(p.oid) AS command
        FROM pg_proc AS p JOIN member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind IN ('f', 'p')
        UNION ALL
        SELECT 'constraint', format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
        FROM pg_constraint AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.conrelid
        WHERE c.contype = 'c' AND c.coninhcount = 0
        UNION ALL
        SELECT 'default', format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', f.adrelid::regclass, a.attname, pg_get_expr(f.adbin, f.adrelid))
        FROM pg_attrdef AS f JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = f.adrelid
            JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE a.attgenerated = ''
        UNION ALL
        SELECT 'view', format('CREATE OR REPLACE VIEW %s AS %s', c.oid::regclass, pg_get_viewdef(c.oid))
        FROM pg_class AS c JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind = 'v'
        UNION ALL
        SELECT 'index', format('DROP INDEX %s; %s', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid))
        FROM pg_index AS i JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid
            JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) AND NOT c.relispartition
            AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
        UNION ALL
        SELECT 'trigger', format('DROP TRIGGER %1$I ON %2$s; %3$s; ALTER TABLE %2$s %4$s TRIGGER %1$I', t.tgname, t.tgrelid::regclass, pg_get_triggerdef(t.oid),
            CASE t.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END)
        FROM pg_trigger AS t JOIN member AS m ON m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgqual IS NOT NULL
    LOOP
        EXECUTE each.command;
        made := made || jsonb_build_object(each.kind, coalesce((made ->> each.kind)::bigint, 0) + 1);
    END LOOP;
    RETURN QUERY SELECT k.key, k.value::bigint FROM jsonb_each_text(made) AS k;
END
$$;
SELECT kind, objects > CASE kind WHEN 'view' THEN 5 ELSE 20 END AS many FROM pg_temp.read_again() ORDER BY kind COLLATE "C";
SELECT b.extname, b.object FROM before AS b
    LEFT JOIN (SELECT e.extname, d.* FROM pg_extension AS e, usher._describe_schema(e.extname) AS d WHERE e.extname LIKE 'usher%') AS now
        ON now.extname = b.extname AND now.object = b.object
WHERE now.digest IS DISTINCT FROM b.digest ORDER BY b.extname, b.object COLLATE "C";
ROLLBACK;

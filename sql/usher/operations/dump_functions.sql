-- What a dump would not carry, or would carry and nobody could load: part of check_configuration().

CREATE FUNCTION usher._definitions() RETURNS TABLE (object text, command text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH relation AS (
        SELECT DISTINCT d.objid AS oid FROM pg_depend AS d JOIN pg_extension AS e ON d.refobjid = e.oid
            JOIN usher._installed() AS i ON i.extension = e.extname
        WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    SELECT format('column %I of %s', a.attname, r.oid::regclass),
           format('ALTER TABLE %s ADD COLUMN %I %s%s%s;', r.oid::regclass, a.attname,
                  format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attgenerated <> ''
                       THEN format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(f.adbin, f.adrelid),
                                   CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
                       ELSE ' DEFAULT ' || pg_get_expr(f.adbin, f.adrelid) END,
                  CASE WHEN a.attnotnull THEN ' NOT NULL' END)
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s;', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
    FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) || ';'
    FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
    UNION ALL
    SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid) || ';'
    FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal;
END
$$;
REVOKE ALL ON FUNCTION usher._definitions() FROM PUBLIC;
COMMENT ON FUNCTION usher._definitions() IS
    'What is on the tables of the extensions, by the names of schema_drift(), and the command that makes it.';

CREATE FUNCTION usher._check_dump() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint;
    resting CONSTANT text[] := ARRAY(SELECT format('trigger %I on %s', r.name, r.relation)
                                     FROM usher._resting_triggers() AS r);
BEGIN
    IF resting <> '{}' THEN
        RETURN QUERY VALUES (format('%s triggers are not enabled as the extensions have made them: %s%s',
                cardinality(resting), array_to_string(resting[1:2], ', '),
                CASE WHEN cardinality(resting) > 2 THEN ' …' ELSE '' END), 'critical',
            'SELECT * FROM usher.finish_load(); -- a dump was loaded with --disable-triggers: what follows from its '
            'rows was not made');
    END IF;
    RETURN QUERY SELECT format('what was decided about %s %s is not in force', d.table_name, d.key), 'critical',
            CASE WHEN to_regclass(d.table_name) IS NULL THEN 'Create its extension again.'
                 WHEN d.kind = 'changed' AND d.shipped IS NULL
                     THEN format('No extension ships that row any longer: SELECT usher.revert_decision(%L, %L);',
                                 d.table_name, d.key)
                 ELSE 'SELECT usher.apply_decisions();' END
        FROM usher.decisions AS d WHERE NOT usher._is_in_force(d)
        ORDER BY d.table_name COLLATE "C", d.key;
    SELECT count(*) INTO waiting FROM usher._audit_dump;
    IF waiting > 0 THEN
        RETURN QUERY VALUES (format('%s rows of the audit log wait in usher._audit_dump', waiting), 'warning',
            'SELECT * FROM usher.finish_load(); -- they were loaded with triggers switched off');
    END IF;
    RETURN QUERY SELECT format('audit of table %s redacts every value: column %I of its lists does not exist',
                               l.relation, l.column_name), 'critical',
            format('SELECT usher.enable_audit(%L, …), with the columns that are meant.', l.relation)
        FROM (SELECT DISTINCT t.tgrelid::regclass AS relation, n.name AS column_name
              FROM pg_trigger AS t
                  CROSS JOIN LATERAL (SELECT usher._trigger_arguments(t.oid)) AS a (arguments)
                  CROSS JOIN LATERAL (SELECT usher._object_or_null(a.arguments[1])) AS o (options)
                  CROSS JOIN LATERAL unnest('{exclude,redact,personal,subject}'::text[]) AS k (list)
                  CROSS JOIN LATERAL jsonb_array_elements_text(
                      CASE jsonb_typeof(o.options -> k.list) WHEN 'array' THEN o.options -> k.list ELSE '[]' END)
                      AS n (name)
              WHERE t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgnargs = 1
                  AND NOT EXISTS (SELECT FROM pg_attribute AS c
                      WHERE c.attrelid = t.tgrelid AND c.attname = n.name AND c.attnum > 0 AND NOT c.attisdropped)
                  AND NOT ((o.options -> 'relation') = to_jsonb(t.tgrelid::bigint)
                           AND coalesce(o.options -> 'numbers' ? n.name, false))) AS l
        ORDER BY 1;
    -- pg_dump leaves definitions on the tables of an extension to its script, and takes the values of all columns
    RETURN QUERY SELECT format(CASE WHEN d.object LIKE 'column %'
                                    THEN '%s was %s by hand: a dump cannot be loaded without it'
                                    ELSE '%s was %s by hand: a dump has nothing of it' END, d.object, d.change),
            CASE WHEN d.object LIKE 'column %' THEN 'critical' ELSE 'warning' END,
            'In a script to run between the definitions and the rows of a dump: '
                || coalesce(o.command, 'the command that did it.')
        FROM usher.schema_drift() AS d
            LEFT JOIN usher._definitions() AS o ON o.object = d.object AND d.change = 'added'
        WHERE d.change <> 'missing' AND d.object ~ '^(table|column|constraint|index|trigger) '
            AND d.object <> ALL (resting)
            -- the index of a constraint comes with it
            AND NOT EXISTS (SELECT FROM pg_constraint AS c
                WHERE d.object = 'index ' || nullif(c.conindid, 0)::regclass AND c.contype IN ('p', 'u', 'x'));
END
$$;
REVOKE ALL ON FUNCTION usher._check_dump() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_dump() IS
    'Part of check_configuration(): decisions that are not in force, audit lists that name no column, and what a DBA '
    'has added to the tables of extensions, which pg_dump does not carry.';

CREATE FUNCTION usher._count_orphans() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
    found bigint;
    orphans bigint := 0;
BEGIN
    FOR each IN
        SELECT k.conrelid::regclass AS child, k.confrelid::regclass AS parent,
            string_agg(format('c.%I = p.%I', a.attname, b.attname), ' AND ') AS match,
            string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') AS filled
        FROM pg_constraint AS k JOIN pg_extension AS e ON k.conrelid = ANY (e.extconfig)
            JOIN usher._installed() AS i ON i.extension = e.extname
            CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (child, parent)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.child
            JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = u.parent
        WHERE k.contype = 'f'
            -- since PostgreSQL 18 a key may ask nothing, or whether a period is covered, by several rows maybe
            AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
            AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
        GROUP BY k.oid, k.conrelid, k.confrelid
    LOOP
        EXECUTE format('SELECT count(*) FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
                       each.child, each.filled, each.parent, each.match) INTO found;
        orphans := orphans + found;
    END LOOP;
    RETURN orphans;
END
$$;
REVOKE ALL ON FUNCTION usher._count_orphans() FROM PUBLIC;
COMMENT ON FUNCTION usher._count_orphans() IS
    'Rows of dumped tables whose foreign key leads nowhere. pg_restore loads them without asking the keys.';

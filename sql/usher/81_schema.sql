-- What the installed version made, to notice when somebody has changed it since: a trigger disabled, a constraint dropped.

CREATE TABLE usher._schema_objects (
    extension name NOT NULL,
    object text NOT NULL,
    digest text NOT NULL,
    server_version integer NOT NULL,
    PRIMARY KEY (extension, object)
);
COMMENT ON TABLE usher._schema_objects IS
    'Every object of the usher extensions as its script made it. Not dumped: the script makes the rows anew.';
REVOKE ALL ON usher._schema_objects FROM PUBLIC;

CREATE FUNCTION usher._server_major() RETURNS integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT current_setting('server_version_num')::integer / 10000;
END;
REVOKE ALL ON FUNCTION usher._server_major() FROM PUBLIC;
COMMENT ON FUNCTION usher._server_major() IS 'Major version of the server: each writes definitions in its own way.';

CREATE FUNCTION usher._describe_schema(of_extension name) RETURNS TABLE (object text, digest text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = error
AS $$
BEGIN
    RETURN QUERY
    WITH member AS (
        SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = of_extension AND d.deptype = 'e'),
    relation AS (
        SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
    described (name, definition) AS (
        SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind <> 'a'
        UNION ALL
        SELECT 'table ' || r.oid::regclass, concat_ws(' ', r.relrowsecurity, r.relforcerowsecurity,
            (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                                         pg_get_expr(f.adbin, f.adrelid)), ', ' ORDER BY a.attname)
             FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
             WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped))
        FROM relation r WHERE r.relkind IN ('r', 'p')
        UNION ALL
        SELECT 'view ' || r.oid::regclass, pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
        UNION ALL
        SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass), concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated)
        FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
        UNION ALL
        SELECT 'index ' || i.indexrelid::regclass, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index i JOIN relation r ON r.oid = i.indrelid
        UNION ALL
        SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass), concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL
        SELECT format('policy %I on %s', p.polname, p.polrelid::regclass),
            concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN relation r ON r.oid = p.polrelid)
    SELECT d.name, md5(d.definition) FROM described d;
END $$;
REVOKE ALL ON FUNCTION usher._describe_schema(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._describe_schema(name) IS 'Every function, table, constraint, index, trigger, view and policy of an extension as it is now, with a digest.';

CREATE FUNCTION usher._record_schema(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM usher._schema_objects s WHERE s.extension = of_extension;
    INSERT INTO usher._schema_objects (extension, object, digest, server_version)
    SELECT of_extension, d.object, d.digest, usher._server_major() FROM usher._describe_schema(of_extension) d;
END $$;
REVOKE ALL ON FUNCTION usher._record_schema(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._record_schema(name) IS
    'Notes the objects of an extension for schema_drift(). The last statement of each install and update script.';

CREATE FUNCTION usher.schema_drift() RETURNS TABLE (extension name, object text, change text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce(s.extension, d.extension), coalesce(s.object, d.object),
           CASE WHEN d.object IS NULL THEN 'missing' WHEN s.object IS NULL THEN 'added' ELSE 'changed' END
    FROM (SELECT o.* FROM usher._schema_objects o JOIN usher._installed() i ON i.extension = o.extension) s
    FULL JOIN (SELECT i.extension, x.object, x.digest FROM usher._installed() i CROSS JOIN LATERAL usher._describe_schema(i.extension) x) d
        ON d.extension = s.extension AND d.object = s.object
    WHERE s.digest IS DISTINCT FROM d.digest
      -- else nothing was noted, or by another version of the server
      AND EXISTS (SELECT FROM usher._schema_objects o
                  WHERE o.extension = coalesce(s.extension, d.extension) AND o.server_version = usher._server_major())
    ORDER BY 1, 2;
END $$;
REVOKE ALL ON FUNCTION usher.schema_drift() FROM PUBLIC;
COMMENT ON FUNCTION usher.schema_drift() IS
    'What of the usher extensions is missing, changed or added since the installed version made it: functions, columns, constraints, indexes, triggers (also whether they are enabled), views, policies. No rows: nothing. After pg_upgrade to another major version there is nothing to compare with until the next ALTER EXTENSION UPDATE.';

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
        SELECT d.classid, d.objid
        FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = of_extension AND d.deptype = 'e'),
    relation AS (
        SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
    described (name, definition) AS (
        SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind <> 'a'
        UNION ALL
        SELECT 'table ' || r.oid::regclass, concat_ws(' ', r.relrowsecurity, r.relforcerowsecurity)
        FROM relation r WHERE r.relkind IN ('r', 'p')
        UNION ALL
        SELECT format('column %I of %s', a.attname, r.oid::regclass),
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                         pg_get_expr(f.adbin, f.adrelid))
        FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE r.relkind IN ('r', 'p')
        UNION ALL
        SELECT 'view ' || r.oid::regclass, pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
        UNION ALL
        SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass),
               concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated)
        FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid
        WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
            -- NOT NULL, a constraint since PostgreSQL 18, is said with its column, unless there is more to say
            OR c.contype = 'n' AND NOT c.convalidated
        UNION ALL
        SELECT 'index ' || i.indexrelid::regclass, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index i JOIN relation r ON r.oid = i.indrelid
        UNION ALL
        SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass),
               concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL
        SELECT format('policy %I on %s', p.polname, p.polrelid::regclass),
            concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                      pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN relation r ON r.oid = p.polrelid)
    SELECT d.name, md5(d.definition) FROM described d;
END
$$;
REVOKE ALL ON FUNCTION usher._describe_schema(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._describe_schema(name) IS
    'Every function, table, column, constraint, index, trigger, view and policy of an extension as it is now, with a '
    'digest.';

-- An update script begins by noting what was not as recorded, as "recorded>found" in the place of the digest: what it
-- leaves as it found it was somebody's doing, and goes on being a difference.
CREATE FUNCTION usher._record_schema(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted CONSTANT jsonb := (SELECT coalesce(jsonb_object_agg(s.object, s.digest), '{}')
                             FROM usher._schema_objects AS s
                             WHERE s.extension = of_extension AND s.digest LIKE '%>%');
BEGIN
    DELETE FROM usher._schema_objects AS s WHERE s.extension = of_extension;
    INSERT INTO usher._schema_objects (extension, object, digest, server_version)
    SELECT of_extension, v.object, v.digest, usher._server_major()
    FROM (SELECT coalesce(d.object, n.key) AS object,
                 CASE WHEN split_part(n.value, '>', 2) = coalesce(d.digest, '') THEN split_part(n.value, '>', 1)
                      ELSE d.digest END AS digest
          FROM usher._describe_schema(of_extension) AS d
              FULL JOIN jsonb_each_text(noted) AS n ON n.key = d.object) AS v
    WHERE v.digest <> '';
END
$$;
REVOKE ALL ON FUNCTION usher._record_schema(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._record_schema(name) IS
    'Records the objects of an extension for schema_drift(). The last statement of each install and update script.';

CREATE FUNCTION usher.schema_drift() RETURNS TABLE (extension name, object text, change text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT coalesce(s.extension, d.extension), coalesce(s.object, d.object),
           CASE WHEN d.object IS NULL THEN 'missing' WHEN s.object IS NULL THEN 'added' ELSE 'changed' END
    FROM (SELECT o.* FROM usher._schema_objects o JOIN usher._installed() i ON i.extension = o.extension) s
    FULL JOIN (SELECT i.extension, x.object, x.digest
               FROM usher._installed() i CROSS JOIN LATERAL usher._describe_schema(i.extension) x) d
        ON d.extension = s.extension AND d.object = s.object
    WHERE s.digest IS DISTINCT FROM d.digest
      -- otherwise nothing was recorded, or another version of the server recorded it
      AND EXISTS (SELECT FROM usher._schema_objects o
                  WHERE o.extension = coalesce(s.extension, d.extension) AND o.server_version = usher._server_major())
    ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION usher.schema_drift() FROM PUBLIC;
COMMENT ON FUNCTION usher.schema_drift() IS
    'Which objects of the usher extensions are missing, changed or added since the installed version made them: '
    'functions, columns, constraints, indexes, triggers (also whether they are enabled), views, policies. No rows: no '
    'difference. After pg_upgrade to another major version there is nothing to compare with until the next ALTER '
    'EXTENSION UPDATE.';

CREATE FUNCTION usher._order_free_loading(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT DISTINCT c.conrelid FROM pg_constraint AS c JOIN pg_extension AS e ON c.conrelid = ANY (e.extconfig)
        WHERE e.extname = of_extension AND c.contype = 'f'
            -- in an update most tables have them: making them again would keep everybody from writing
            AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.conrelid AND t.tgenabled = 'A'
                     AND t.tgname IN ('load_rows_before', 'load_rows_after')) < 2
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER load_rows_before BEFORE INSERT ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION usher._load_rows()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER load_rows_after AFTER INSERT ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION usher._load_rows()', target);
        EXECUTE format('ALTER TABLE %1$s ENABLE ALWAYS TRIGGER load_rows_before, '
                       'ENABLE ALWAYS TRIGGER load_rows_after', target);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._order_free_loading(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._order_free_loading(name) IS
    'Part of finish_extension(): lets pg_restore load the tables of an extension in any order, as --jobs does.';

CREATE FUNCTION usher._require_shipping(of_extension name, derived regclass[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
    has_rows boolean;
BEGIN
    FOR target IN
        SELECT c.oid FROM pg_class AS c
            JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
            JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = of_extension AND c.relkind = 'r' AND c.oid <> ALL (derived)
            AND NOT EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = c.oid AND t.tgfoid = 'usher._keep_decision()'::regprocedure)
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', target) INTO has_rows;
        IF has_rows THEN
            PERFORM usher.raise_error('invalid_argument',
                format('the script of "%s" has written rows into %s, and a dump would lose or double what is made of '
                       'them', of_extension, target),
                jsonb_build_object('relation', target::text),
                'Call usher.ship_rows() for the table. Rows that nobody decides about are named in derived.');
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._require_shipping(name, regclass[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_shipping(name, regclass[]) IS
    'Part of finish_extension(): no table of an extension that is just being created has rows, but those of '
    'ship_rows() and those derived.';

CREATE FUNCTION usher.finish_extension(derived regclass[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installing CONSTANT name := usher._installing_extension();
    since timestamptz;
    target regprocedure;
BEGIN
    IF installing IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'only the script of an extension can finish it');
    END IF;
    SELECT x.registered_at INTO since FROM usher.extensions AS x WHERE x.name = installing;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('not_configured', format('extension "%s" is not registered', installing), NULL,
            'Call usher.register_extension() before.');
    END IF;
    FOR target IN
        SELECT p.oid FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
            JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE d.deptype = 'e' AND e.extname = installing
            -- Only these: a script that changes the privileges of an object makes all that there are on it initial
            -- ones, those of grant_access() too, and no dump would carry them any longer.
            AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
    LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', target);
    END LOOP;
    IF since = now() THEN -- CREATE EXTENSION; later there are rows of others
        PERFORM usher._require_shipping(installing, derived);
    END IF;
    PERFORM usher._order_free_loading(installing);
    PERFORM usher._record_schema(installing);
END
$$;
REVOKE ALL ON FUNCTION usher.finish_extension(regclass[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.finish_extension(regclass[]) IS
    'The last statement of the install script of an extension, and of its update scripts: takes its functions from '
    'PUBLIC, lets pg_restore --jobs load its tables, and notes its objects for schema_drift(). Refuses rows that the '
    'install script wrote into tables without usher.ship_rows(), except those named in derived. Raises 55000 when the '
    'extension has not registered.';

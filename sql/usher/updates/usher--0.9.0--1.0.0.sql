\echo Use "ALTER EXTENSION usher UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher') AS x ON x.object = d.object
WHERE d.extension = 'usher'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

CREATE OR REPLACE FUNCTION usher._announce_changes(relation regclass, cache text, key_column text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION usher._record_schema(of_extension name) RETURNS void
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
CREATE OR REPLACE FUNCTION usher._order_free_loading(of_extension name) RETURNS void
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
CREATE OR REPLACE FUNCTION usher.finish_extension(derived regclass[] DEFAULT '{}') RETURNS void
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
COMMENT ON FUNCTION usher.finish_extension(regclass[]) IS
    'The last statement of the install script of an extension, and of its update scripts: takes its functions from '
    'PUBLIC, lets pg_restore --jobs load its tables, and notes its objects for schema_drift(). Refuses rows that the '
    'install script wrote into tables without usher.ship_rows(), except those named in derived. Raises 55000 when the '
    'extension has not registered.';
CREATE FUNCTION usher._grant_new_members() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH updated AS (
            SELECT c.objid AS oid FROM pg_event_trigger_ddl_commands() AS c
            WHERE c.classid = 'pg_extension'::regclass),
        -- What a DBA has revoked by hand stays revoked: only what came with this update is granted.
        member AS (
            SELECT CASE WHEN d.classid = 'pg_proc'::regclass THEN 'FUNCTION ' || d.objid::regprocedure
                        ELSE 'TABLE ' || d.objid::regclass END AS object
            FROM pg_depend AS d JOIN updated AS u ON u.oid = d.refobjid
            WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
                AND age(d.xmin) <= age(pg_current_xact_id()::xid)),
        listed AS (
            SELECT f.role_name, o.privilege, o.object
            FROM updated AS u JOIN pg_extension AS e ON e.oid = u.oid
                JOIN usher.extension_access AS a ON a.registrant = e.extname
                JOIN usher._levels_in_force() AS f ON f.level = ANY (a.levels)
                CROSS JOIN LATERAL usher._listed_objects(usher._schema_of(a.registrant), a.kind, a.names) AS o)
        SELECT l.role_name, l.privilege, l.object FROM listed AS l WHERE l.object IN (SELECT m.object FROM member AS m)
        UNION
        SELECT l.role_name, format('SELECT (%I)', a.attname), l.object
        FROM listed AS l JOIN pg_attribute AS a ON 'TABLE ' || a.attrelid::regclass = l.object
        WHERE l.privilege LIKE 'SELECT (%' AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NULL
            AND quote_ident(a.attname) = ANY (string_to_array(btrim(substr(l.privilege, 8), '()'), ', '))
            AND age(a.xmin) <= age(pg_current_xact_id()::xid)
            AND l.object NOT IN (SELECT m.object FROM member AS m)
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', given.privilege, given.object, given.role_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_new_members() FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_new_members() IS
    'Event trigger of ALTER EXTENSION: roles that have a level are granted what an update has brought for it. Not in '
    'the script of the update itself: privileges that a script grants are in no dump.';
CREATE EVENT TRIGGER usher_grant_new_members ON ddl_command_end
    WHEN TAG IN ('ALTER EXTENSION')
    EXECUTE FUNCTION usher._grant_new_members();
SELECT usher.finish_extension(derived => '{usher.role_graph,usher._schema_objects,usher._watched_columns}');

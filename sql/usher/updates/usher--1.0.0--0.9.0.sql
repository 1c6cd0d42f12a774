\echo Use "ALTER EXTENSION usher UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = ANY ('{usher_booking,usher_loyalty,usher_payment,usher_shop}')
                   AND string_to_array(e.extversion, '.')::integer[] > '{0,9,0}') THEN
        RAISE EXCEPTION 'the other extensions of usher have to go back first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION … UPDATE TO ''0.9.0'', or DROP EXTENSION for one that is younger; then usher.';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher') AS x ON x.object = d.object
WHERE d.extension = 'usher'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

DROP EVENT TRIGGER usher_grant_new_members;
DROP FUNCTION usher._grant_new_members();

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
        EXECUTE format('CREATE TRIGGER %1$I AFTER %3$s ON %2$s FOR EACH %4$s EXECUTE FUNCTION %5$s; '
                       'ALTER TABLE %2$s ENABLE ALWAYS TRIGGER %1$I',
                       change.trigger, relation, change.events, change.level, change.call);
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION usher._record_schema(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM usher._schema_objects s WHERE s.extension = of_extension;
    INSERT INTO usher._schema_objects (extension, object, digest, server_version)
    SELECT of_extension, d.object, d.digest, usher._server_major() FROM usher._describe_schema(of_extension) d;
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
        SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
            AND e.extname = installing
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
    'The last statement of the install script of an extension: takes its functions from PUBLIC, lets pg_restore '
    '--jobs load its tables, and notes its objects for schema_drift(). Refuses rows that the script wrote into tables '
    'without usher.ship_rows(), except those named in derived. Raises 55000 when the extension has not registered.';
SELECT usher._record_schema('usher');

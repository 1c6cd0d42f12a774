\echo Use "ALTER EXTENSION usher_payment UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_payment') AS x ON x.object = d.object
WHERE d.extension = 'usher_payment'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

SELECT usher.finish_extension();

\echo Use "ALTER EXTENSION usher_loyalty UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_loyalty') AS x ON x.object = d.object
WHERE d.extension = 'usher_loyalty'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

SELECT usher.finish_extension();

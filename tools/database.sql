-- What every database of ours begins with: all extensions, features in the schema `wash`, and the role that the
-- gateway connects as. May run again.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE SCHEMA IF NOT EXISTS wash;

DO $$
DECLARE
    feature name;
BEGIN
    FOR feature IN
        -- those that the server finds; up to 17, Debian's may look below another root as well
        SELECT name FROM pg_available_extensions WHERE name LIKE 'usher\_%'
        UNION
        SELECT substring(file FROM '^(usher_\w+)\.control$')
        FROM pg_config AS c
            CROSS JOIN unnest(ARRAY['', nullif(current_setting('extension_destdir', true), '')]) AS root
            CROSS JOIN pg_ls_dir(root || c.setting || '/extension', true, false) AS file
        WHERE c.name = 'SHAREDIR' AND file ~ '^usher_\w+\.control$'
        ORDER BY 1
    LOOP
        EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA wash CASCADE', feature);
    END LOOP;
END
$$;
\ir gateway_role.sql

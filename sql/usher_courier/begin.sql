\echo Use "CREATE EXTENSION usher_courier SCHEMA … CASCADE" to load this file. \quit

-- Nothing here may depend on the search_path of whoever runs it: every name below carries its schema. The extension's
-- own schema is the choice of the DBA, written as the macro that CREATE EXTENSION replaces; core's schema is always
-- usher.
SET LOCAL search_path TO pg_catalog, pg_temp;

\echo Use "CREATE EXTENSION usher CASCADE" to load this file. \quit

-- Nothing here may depend on the search_path of whoever runs it.
SET LOCAL search_path TO pg_catalog, pg_temp;

REVOKE ALL ON SCHEMA usher FROM PUBLIC;
COMMENT ON SCHEMA usher IS
    'The back office of an application: identity, access, audit, machines, limits, events, HTTP dispatch.';

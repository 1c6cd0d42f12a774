\echo Use "CREATE EXTENSION usher CASCADE" to load this file. \quit

-- Nothing here may depend on the search_path of whoever runs it.
SET LOCAL search_path TO pg_catalog, pg_temp;

REVOKE ALL ON SCHEMA usher FROM PUBLIC;
COMMENT ON SCHEMA usher IS 'The back office of an application: identity, access, audit, machines, limits, events, HTTP dispatch.';

-- Everything that follows keeps away from PUBLIC; usher.grant_access() hands out levels.
CREATE FUNCTION usher.uuid_v7() RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_uuid_v7';
REVOKE ALL ON FUNCTION usher.uuid_v7() FROM PUBLIC;
COMMENT ON FUNCTION usher.uuid_v7() IS 'A new version 7 uuid (RFC 9562): sortable by time, the default key of every table.';

CREATE FUNCTION usher._invalidate_cache() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_cache_invalidate';
REVOKE ALL ON FUNCTION usher._invalidate_cache() FROM PUBLIC;
COMMENT ON FUNCTION usher._invalidate_cache() IS
    'Statement trigger: announces to all backends and standbys that the data behind a cache has changed.';

CREATE FUNCTION usher._is_restoring() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_is_restoring';
REVOKE ALL ON FUNCTION usher._is_restoring() FROM PUBLIC;
COMMENT ON FUNCTION usher._is_restoring() IS
    'Whether triggers must leave rows alone: usher.restoring is on or session_replication_role is replica.';

CREATE FUNCTION usher._installing_extension() RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_installing_extension';
REVOKE ALL ON FUNCTION usher._installing_extension() FROM PUBLIC;
COMMENT ON FUNCTION usher._installing_extension() IS
    'The extension whose script is running, else NULL. Rows that a script brings come back with it and must not be dumped: keep this name in a column and dump WHERE it IS NULL.';

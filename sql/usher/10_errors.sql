-- Errors: one list in extension/core/error_codes.hpp, seen from SQL.

CREATE FUNCTION usher.error_codes(OUT code text, OUT sqlstate text, OUT http_status integer, OUT description text)
    RETURNS SETOF record
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_error_codes';
REVOKE ALL ON FUNCTION usher.error_codes() FROM PUBLIC;
COMMENT ON FUNCTION usher.error_codes() IS
    'Every code that functions answer with: its SQLSTATE when it is raised (NULL for codes that only are results) and its HTTP status.';

CREATE FUNCTION usher.raise_error(code text, message text, detail jsonb DEFAULT NULL, hint text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_raise_error';
REVOKE ALL ON FUNCTION usher.raise_error(text, text, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.raise_error(text, text, jsonb, text) IS
    'Raises an error of usher.error_codes() by name, with a JSON object as DETAIL. Unknown codes and codes without SQLSTATE raise 22023.';

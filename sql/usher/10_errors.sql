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

CREATE FUNCTION usher._check_max_rows(max_rows integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be between 1 and 1000', '{"argument": "max_rows"}');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_max_rows(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_max_rows(integer) IS 'Raises 22023 for a length that no page of a list has.';

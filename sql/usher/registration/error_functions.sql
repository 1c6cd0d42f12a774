-- Error codes: those of core are listed in extension/common/error_codes.hpp, the others have been registered.

CREATE FUNCTION usher._core_error_codes(OUT code text, OUT sqlstate text, OUT http_status integer,
                                        OUT description text)
    RETURNS SETOF record
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_core_error_codes';
REVOKE ALL ON FUNCTION usher._core_error_codes() FROM PUBLIC;
COMMENT ON FUNCTION usher._core_error_codes() IS 'The error codes of core.';

CREATE FUNCTION usher.error_codes()
    RETURNS TABLE (code text, sqlstate text, http_status integer, description text, extension name)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.code, c.sqlstate, c.http_status, c.description, 'usher'::name FROM usher._core_error_codes() AS c
    UNION ALL
    SELECT e.code, e.sqlstate, e.http_status, e.description, e.registrant FROM usher.extension_errors AS e;
END;
REVOKE ALL ON FUNCTION usher.error_codes() FROM PUBLIC;
COMMENT ON FUNCTION usher.error_codes() IS
    'Every code that functions answer with: its SQLSTATE when it is raised (NULL for codes that only are results), '
    'its HTTP status, and whose it is.';

CREATE FUNCTION usher.raise_error(code text, message text, detail jsonb DEFAULT NULL, hint text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_raise_error';
REVOKE ALL ON FUNCTION usher.raise_error(text, text, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.raise_error(text, text, jsonb, text) IS
    'Raises an error of usher.error_codes() by name, with a JSON object as DETAIL. Unknown codes and codes without '
    'SQLSTATE raise 22023, and so does unknown_reference with a member that is null: that argument is missing.';

CREATE FUNCTION usher.check_max_rows(max_rows integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be between 1 and 1000',
                                  '{"argument": "max_rows"}');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.check_max_rows(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.check_max_rows(integer) IS
    'For functions that answer in pages: raises 22023 for a length that no page has, which is 1 to 1000 rows.';

CREATE FUNCTION usher.raise_misfit(home regnamespace, column_name name, constraint_name name,
                                   argument text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule record;
    at text := nullif(column_name, '');
    detail jsonb;
BEGIN
    IF at IS NULL THEN
        SELECT c.contype AS kind, pg_get_constraintdef(c.oid) AS words,
            ARRAY(SELECT a.attname::text
                  FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
                      JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
                  ORDER BY k.place) AS columns
        INTO rule
        FROM pg_constraint AS c
        WHERE c.connamespace = home AND c.conname = constraint_name AND c.contype IN ('c', 'f')
        ORDER BY c.conrelid LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        at := rule.columns[1];
    END IF;
    detail := CASE WHEN argument IS NULL THEN jsonb_build_object('argument', at)
                   ELSE jsonb_build_object('argument', argument, 'member', at) END;
    IF rule IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('%s must not be null', at), detail);
    ELSIF rule.kind = 'f' THEN
        PERFORM usher.raise_error('unknown_reference', format('%s does not exist', at), detail);
    END IF;
    PERFORM usher.raise_error('invalid_argument', CASE WHEN cardinality(rule.columns) > 1
            THEN array_to_string(rule.columns, ', ') || ' do not fit together' ELSE format('%s does not fit', at) END,
        detail || jsonb_build_object('check', rule.words));
END
$$;
REVOKE ALL ON FUNCTION usher.raise_misfit(regnamespace, name, name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.raise_misfit(regnamespace, name, name, text) IS
    'For functions that have caught 23502, 23514 or 23503 of a row that they wrote: raises 22023, or US005, with the '
    'column as argument, or as member of one, and never shows the row. home is the schema of the table; column_name '
    'and constraint_name come from GET STACKED DIAGNOSTICS. Returns when it knows no such constraint.';

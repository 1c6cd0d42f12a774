-- What triggers of views in names.sql ask, in the schema :names of each system, which include it.

CREATE OR REPLACE FUNCTION :names.refuse_write() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE '% on % is not possible', TG_OP, TG_TABLE_NAME USING ERRCODE = 'feature_not_supported', HINT = TG_ARGV[0];
END
$$;
COMMENT ON FUNCTION :names.refuse_write() IS 'Refuses what nobody writes by hand; its argument says who writes it.';

CREATE OR REPLACE FUNCTION :names.refuse_changes(before jsonb, after jsonb, writable text[], hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others CONSTANT text := (SELECT string_agg(a.key, ', ' ORDER BY a.key) FROM jsonb_each(after) AS a
                             WHERE a.value IS DISTINCT FROM before -> a.key AND a.key <> ALL (writable));
BEGIN
    IF others IS NOT NULL THEN
        RAISE 'nobody writes this by hand: %', others USING ERRCODE = 'feature_not_supported', HINT = hint;
    END IF;
END
$$;
COMMENT ON FUNCTION :names.refuse_changes(jsonb, jsonb, text[], text) IS
    'Raises 0A000 when other columns than these have changed.';

CREATE OR REPLACE FUNCTION :names.check_answer(error text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF error IS NOT NULL THEN
        RAISE '%', error USING ERRCODE = CASE WHEN error LIKE '%\_taken' THEN '23505' ELSE '22023' END;
    END IF;
END
$$;
COMMENT ON FUNCTION :names.check_answer(text) IS
    'What usher answers as a result, an application of tables gets as an error.';

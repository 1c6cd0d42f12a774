-- Pages of bookings and appointments, by start. Each is put together from walks along indexes in the order of the
-- answer, each of which ends after a page: how long it takes depends on what is asked for, not on what there is.

CREATE FUNCTION @extschema@._are_most_locations(location_ids uuid[]) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A walk for each location costs as much as their number, one walk through all as much as it passes over.
    RETURN cardinality(location_ids)::bigint * cardinality(location_ids)
        > (SELECT count(*) FROM @extschema@.locations);
END
$$;
COMMENT ON FUNCTION @extschema@._are_most_locations(uuid[]) IS
    'Whether these are so many of the locations that what is theirs is found sooner among all than one by one.';

CREATE FUNCTION @extschema@._page_query(relation text, staff_column text, of_customers uuid[], of_staff uuid[],
                                        of_locations uuid[], everywhere boolean, VARIADIC conditions text[])
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    walks text;
BEGIN
    SELECT string_agg(format('SELECT x.start_at, x.id FROM %s CROSS JOIN LATERAL (SELECT t.start_at, t.id '
                                 'FROM @extschema@.%I AS t WHERE %s AND %s ORDER BY t.start_at, t.id LIMIT $5) AS x',
                             w.source, relation, w.condition, array_to_string(conditions, ' AND ')), ' UNION ')
    INTO walks
    FROM (VALUES
        (of_customers, 'unnest($1) AS k (id)', 't.customer_id = k.id AND t.status = ANY ($4)'),
        (of_staff, 'unnest($2) AS k (id) CROSS JOIN unnest($4) AS s (status)',
         format('t.%I = k.id AND t.status = s.status', staff_column)),
        (of_locations, 'unnest($3) AS k (id) CROSS JOIN unnest($4) AS s (status)',
         't.location_id = k.id AND t.status = s.status'),
        (CASE WHEN everywhere THEN ARRAY[NULL]::uuid[] END, 'unnest($4) AS s (status)', 't.status = s.status')
    ) AS w (ids, source, condition)
    WHERE w.ids <> '{}';
    RETURN format('SELECT ARRAY(SELECT x.id FROM (%s) AS x ORDER BY x.start_at, x.id LIMIT $5)',
                  coalesce(walks, 'SELECT NULL::timestamptz AS start_at, NULL::uuid AS id LIMIT 0'));
END
$$;
COMMENT ON FUNCTION @extschema@._page_query(text, text, uuid[], uuid[], uuid[], boolean, text[]) IS
    'The query for a page of a table t that meets all conditions: of customers ($1), staff ($2), locations ($3), or '
    'everywhere, with the statuses $4, at most $5 rows. Columns and conditions are of the callers, nobody else''s.';

CREATE FUNCTION @extschema@._first_start(during tstzrange) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN isempty(during) THEN 'infinity'
                WHEN lower(during) > '0001-01-01 00:00+00' THEN lower(during) - interval '168 hours'
                ELSE '-infinity' END;
END
$$;
COMMENT ON FUNCTION @extschema@._first_start(tstzrange) IS
    'The earliest start of what overlaps a range: neither bookings nor appointments last longer than a service may '
    '(services_duration_check, appointments_during_check).';

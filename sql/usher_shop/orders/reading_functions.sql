CREATE FUNCTION @extschema@._require_visible_order(order_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    SELECT o.id, o.user_id, o.location_id INTO known
    FROM @extschema@.orders AS o WHERE o.id = _require_visible_order.order_id;
    -- The answer is the same for an order that does not exist and for one of somebody else.
    IF NOT (coalesce(known.user_id = @extschema@._acting_customer(), false)
            OR @extschema@._shop_may('order:read', known.location_id)) OR known.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'order does not exist',
                                  jsonb_build_object('order_id', _require_visible_order.order_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_visible_order(uuid) IS 'Raises US005 unless the actor may know of the order.';

CREATE FUNCTION @extschema@.get_order(order_id uuid) RETURNS @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.order_details;
BEGIN
    PERFORM @extschema@._require_visible_order(get_order.order_id);
    PERFORM usher.log_reads('order', ARRAY[get_order.order_id]);
    SELECT * INTO known FROM @extschema@._describe_orders(ARRAY[get_order.order_id]);
    RETURN known;
END
$$;
COMMENT ON FUNCTION @extschema@.get_order(uuid) IS
    'One order with its lines: one''s own, or with order:read everywhere or at its location. US005 for others.';

-- A page is put together from walks along indexes in the order of the answer, each of which ends after a page: how
-- long it takes depends on what is asked for, not on what there is.
CREATE FUNCTION @extschema@._orders_query(walk text, VARIADIC conditions text[]) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('SELECT x.created_at, x.id FROM unnest($1) AS s (status) CROSS JOIN unnest($2) AS l (id) '
                      'CROSS JOIN LATERAL (SELECT o.created_at, o.id FROM @extschema@.orders AS o '
                      'WHERE %s AND %s ORDER BY o.created_at, o.id LIMIT $3) AS x',
                  walk, array_to_string(conditions, ' AND '));
END
$$;
COMMENT ON FUNCTION @extschema@._orders_query(text, text[]) IS
    'A query for orders o that meet all conditions, along an index: for each status s of $1 and each location l of '
    '$2 at most $3 rows. Columns and conditions are of the caller, nobody else''s.';

CREATE FUNCTION @extschema@.list_orders(customer_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
                                        statuses text[] DEFAULT NULL, created tstzrange DEFAULT NULL,
                                        reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                        after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off -- each walk goes along its index until the page is full, however few rows are expected
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    person CONSTANT uuid := @extschema@._acting_customer();
    reads_all CONSTANT boolean := actor IS NULL OR usher.has_permission('order:read');
    reads_others CONSTANT boolean := reads_all OR usher.has_permission_somewhere('order:read');
    wanted CONSTANT text[] := ARRAY(SELECT DISTINCT s FROM unnest(coalesce(statuses,
        '{cart,placed,paid,fulfilled,completed,cancelled}')) AS s);
    places uuid[] := ARRAY[NULL::uuid];
    last_created timestamptz;
    conditions text[];
    query text;
    page uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('order:read');
    END IF;
    IF EXISTS (SELECT FROM unnest(statuses) AS s WHERE s IS NULL
               OR s NOT IN ('cart', 'placed', 'paid', 'fulfilled', 'completed', 'cancelled')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of orders',
                                  jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT o.created_at INTO last_created FROM @extschema@.orders AS o
        WHERE o.id = after AND (actor IS NULL OR o.user_id = person
                                OR usher.has_permission('order:read', o.location_id::text));
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'order does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    conditions := ARRAY['o.status = s.status',
        CASE WHEN after IS NOT NULL THEN '(o.created_at, o.id) > ($4, $5)' END,
        CASE WHEN created IS NOT NULL
                 THEN 'o.created_at >= coalesce(lower($6), ''-infinity'') AND o.created_at <= coalesce(upper($6), '
                      '''infinity'') AND o.created_at <@ $6' END,
        CASE WHEN customer_id IS NOT NULL THEN 'o.customer_id = $7' END,
        CASE WHEN location_id IS NOT NULL THEN 'o.location_id = $8' END,
        CASE WHEN reference_type IS NOT NULL THEN 'o.reference_type = $9' END,
        CASE WHEN reference_id IS NOT NULL THEN 'o.reference_id = $10' END,
        CASE WHEN NOT reads_others THEN 'o.user_id = $11'
             WHEN actor IS NOT NULL
                 THEN '(o.user_id = $11 OR usher.has_permission(''order:read'', o.location_id::text))' END];
    -- What to walk along: what is asked for, or else what the actor sees.
    IF reference_id IS NOT NULL OR customer_id IS NOT NULL THEN
        query := @extschema@._orders_query('true', VARIADIC conditions); -- few: by the index of either
    ELSIF location_id IS NOT NULL AND reads_others THEN
        query := @extschema@._orders_query('o.location_id = $8', VARIADIC conditions);
    ELSIF reads_all THEN
        query := @extschema@._orders_query('true', VARIADIC conditions);
    ELSE
        query := @extschema@._orders_query('o.user_id = $11', VARIADIC conditions);
        IF reads_others THEN
            places := ARRAY(SELECT usher.uuid_or_null(p.scope) FROM usher.permission_scopes('order:read') AS p (scope)
                            WHERE usher.uuid_or_null(p.scope) IS NOT NULL) || NULL::uuid;
            query := query || ' UNION ' || @extschema@._orders_query('o.location_id = l.id', VARIADIC conditions);
        END IF;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT x.id FROM (SELECT DISTINCT p.created_at, p.id FROM (%s) AS p) AS x '
                   'ORDER BY x.created_at, x.id LIMIT $3)', query)
        INTO page
        USING wanted, places, max_rows, last_created, after, created, customer_id, location_id, reference_type,
        reference_id, person;
    PERFORM usher.log_reads('order', page);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_orders(page) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.list_orders(uuid, uuid, text[], tstzrange, text, uuid, uuid, integer) IS
    'The orders that the actor may see, oldest first: customers their own, staff those of their locations. The next '
    'page starts after the last order_id.';

CREATE FUNCTION @extschema@.list_order_events(order_id uuid, after_seq integer DEFAULT 0, max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, event text, from_status text, to_status text, reason_code text, payload jsonb,
                   actor usher.user_reference, created_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require_visible_order(list_order_events.order_id);
    PERFORM usher.log_reads('order', ARRAY[list_order_events.order_id]);
    RETURN QUERY
    WITH page AS MATERIALIZED (
        SELECT e.* FROM @extschema@.order_events AS e
        WHERE e.order_id = list_order_events.order_id AND e.seq > after_seq
        ORDER BY e.seq LIMIT max_rows
    ), known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(ARRAY(SELECT DISTINCT p.actor_id FROM page AS p WHERE p.actor_id IS NOT NULL)) AS r
    )
    SELECT p.seq, p.event, p.from_status, p.to_status, p.reason_code, p.payload, k.reference, p.created_at
    FROM page AS p LEFT JOIN known AS k ON k.id = p.actor_id
    ORDER BY p.seq;
END
$$;
COMMENT ON FUNCTION @extschema@.list_order_events(uuid, integer, integer) IS
    'The history of an order that one may see: every status, and what the application has added.';

-- Row-level security for those who SELECT from the tables themselves.
ALTER TABLE @extschema@.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_own ON @extschema@.orders FOR SELECT
    USING (user_id = (SELECT CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END));
CREATE POLICY orders_of_locations ON @extschema@.orders FOR SELECT
    USING (usher.has_permission('order:read', location_id::text));
CREATE POLICY orders_trusted ON @extschema@.orders FOR SELECT
    USING ((SELECT @extschema@._shop_reads_all('order:read')));

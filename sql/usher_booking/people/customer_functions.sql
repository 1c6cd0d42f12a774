-- Customers: who sees them, how they are found, and their profiles.

CREATE FUNCTION @extschema@._served_customers() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    own_id CONSTANT uuid := usher.current_user_id('customer:read');
    managed uuid[];
BEGIN
    IF actor IS NULL THEN
        RETURN '{}';
    END IF;
    managed := @extschema@._managed_locations();
    RETURN ARRAY(SELECT b.customer_id FROM @extschema@.bookings AS b WHERE b.staff_id = own_id
        UNION
        SELECT a.customer_id FROM @extschema@.appointments AS a WHERE a.practitioner_id = own_id
        UNION
        SELECT b.customer_id FROM @extschema@.bookings AS b WHERE b.location_id = ANY (managed)
        UNION
        SELECT a.customer_id
        FROM @extschema@.appointments AS a WHERE a.location_id = ANY (managed || @extschema@._front_desk_locations())
        UNION
        SELECT c.id FROM @extschema@.customers AS c WHERE c.created_by = own_id);
END
$$;
COMMENT ON FUNCTION @extschema@._served_customers() IS
    'The customers whose bookings or appointments the current identity works on or manages, and those it made. For '
    'policies of tables; lists of the extension ask _customers_after().';

-- The same rule as a walk in the order of ids, and as a question about some.
CREATE FUNCTION @extschema@._customers_of(location_id uuid, with_bookings boolean, after uuid, max_rows integer)
    RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    (SELECT DISTINCT b.customer_id FROM @extschema@.bookings AS b
     WHERE with_bookings AND b.location_id = _customers_of.location_id AND b.customer_id > _customers_of.after
     ORDER BY b.customer_id LIMIT max_rows)
    UNION
    (SELECT DISTINCT a.customer_id FROM @extschema@.appointments AS a
     WHERE a.location_id = _customers_of.location_id AND a.customer_id > _customers_of.after
     ORDER BY a.customer_id LIMIT max_rows)
    ORDER BY 1 LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@._customers_of(uuid, boolean, uuid, integer) IS
    'The next customers with appointments, or also with bookings, at a location, in the order of their ids.';

CREATE FUNCTION @extschema@._seen_among(customer_ids uuid[], own_id uuid, managed uuid[], handled uuid[])
    RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF cardinality(handled) <= 4 THEN
        -- Whom the user works for is read from indexes once; each is asked for in those of few locations, in the order
        -- of the index. Subqueries of one value, since for EXISTS a plan may read a table whole.
        RETURN QUERY
        SELECT k.id FROM unnest(customer_ids) AS k (id)
            JOIN (SELECT b.customer_id AS id FROM @extschema@.bookings AS b WHERE b.staff_id = own_id
                  UNION
                  SELECT a.customer_id FROM @extschema@.appointments AS a WHERE a.practitioner_id = own_id
                  UNION
                  SELECT m.id FROM @extschema@.customers AS m WHERE m.created_by = own_id
                  UNION
                  SELECT m.id FROM @extschema@.customers AS m WHERE m.user_id = own_id) AS own ON own.id = k.id
        UNION
        SELECT k.id FROM (SELECT u.id FROM unnest(customer_ids) AS u (id) ORDER BY u.id) AS k
            CROSS JOIN unnest(handled) AS l (id)
        WHERE (SELECT true FROM @extschema@.appointments AS a
               WHERE a.location_id = l.id AND a.customer_id = k.id LIMIT 1)
            OR (l.id = ANY (managed)
                AND (SELECT true FROM @extschema@.bookings AS b
                     WHERE b.location_id = l.id AND b.customer_id = k.id LIMIT 1))
        ORDER BY 1;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT c.id FROM @extschema@.customers AS c
    WHERE c.id = ANY (customer_ids)
        AND (c.user_id = own_id OR c.created_by = own_id
             OR EXISTS (SELECT FROM @extschema@.bookings AS b
                        WHERE b.customer_id = c.id AND (b.staff_id = own_id OR b.location_id = ANY (managed)))
             OR EXISTS (SELECT FROM @extschema@.appointments AS a
                        WHERE a.customer_id = c.id AND (a.practitioner_id = own_id OR a.location_id = ANY (handled))))
    ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION @extschema@._seen_among(uuid[], uuid, uuid[], uuid[]) IS
    'Those of the customers who are the user, were made by them, or are served by them or at these locations.';

CREATE FUNCTION @extschema@._customers_after(after uuid, max_rows integer, sees_all boolean, own_id uuid,
                                             managed uuid[], handled uuid[])
    RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch uuid[];
    seen uuid[] := '{}';
BEGIN
    IF sees_all THEN
        RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c
                     WHERE c.id > _customers_after.after ORDER BY c.id LIMIT max_rows);
    ELSIF @extschema@._are_most_locations(handled) THEN
        LOOP
            batch := @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), 1000, true, own_id,
                                                  managed, handled);
            seen := seen || ARRAY(SELECT s FROM @extschema@._seen_among(batch, own_id, managed, handled) AS s);
            EXIT WHEN cardinality(batch) < 1000 OR cardinality(seen) >= max_rows;
        END LOOP;
        RETURN seen[1:max_rows];
    END IF;
    RETURN ARRAY(
        SELECT c.id FROM @extschema@.customers AS c
        WHERE c.user_id = own_id AND c.id > _customers_after.after
        UNION
        (SELECT c.id FROM @extschema@.customers AS c
         WHERE c.created_by = own_id AND c.id > _customers_after.after ORDER BY c.id LIMIT max_rows)
        UNION
        SELECT b.customer_id FROM @extschema@.bookings AS b
        WHERE b.staff_id = own_id AND b.customer_id > _customers_after.after
        UNION
        SELECT a.customer_id FROM @extschema@.appointments AS a
        WHERE a.practitioner_id = own_id AND a.customer_id > _customers_after.after
        UNION
        SELECT c.id FROM unnest(handled) AS l (id)
            CROSS JOIN LATERAL @extschema@._customers_of(l.id, l.id = ANY (managed), _customers_after.after,
                                                         max_rows) AS c (id)
        ORDER BY 1 LIMIT max_rows);
END
$$;
COMMENT ON FUNCTION @extschema@._customers_after(uuid, integer, boolean, uuid, uuid[], uuid[]) IS
    'The next customers that somebody sees, in the order of their ids.';

CREATE FUNCTION @extschema@._matching_among(customer_ids uuid[], search text, query tsquery, word text) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    users uuid[];
BEGIN
    -- The first profile of an account has its id: of most customers the account alone is read, and of that an index.
    users := ARRAY(SELECT m FROM usher.matching_users(customer_ids, search) AS m);
    RETURN ARRAY(
        SELECT c.id FROM @extschema@.customers AS c WHERE c.id = ANY (users) AND c.id = c.user_id
        UNION
        (WITH others AS MATERIALIZED (
            SELECT c.id, c.user_id, c.name, c.email, c.phone FROM @extschema@.customers AS c
            WHERE c.id = ANY (customer_ids)
                -- as in customers_own_words_idx
                AND (c.user_id IS DISTINCT FROM c.id OR c.name IS NOT NULL OR c.email IS NOT NULL
                     OR c.phone IS NOT NULL)
        )
        SELECT o.id FROM others AS o
        WHERE o.phone = search OR usher.name_key(o.email) = usher.name_key(search)
            OR CASE WHEN position(word IN lower(o.name)) > 0 THEN usher.name_words(o.name) @@ query END
            OR o.user_id IN (SELECT m FROM usher.matching_users(ARRAY(SELECT x.user_id FROM others AS x
                                                                       WHERE x.user_id <> x.id), search) AS m))
        ORDER BY 1);
END
$$;
COMMENT ON FUNCTION @extschema@._matching_among(uuid[], text, tsquery, text) IS
    'Those of the customers who meet a search: by the name or address of the account, or of their profile, or by '
    'phone.';

CREATE FUNCTION @extschema@._search_customers(search text, after uuid, max_rows integer, sees_all boolean,
                                              own_id uuid, managed uuid[], handled uuid[])
    RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Up to so many are all looked at. What more people meet is soon met by walking through those who may be seen.
    most CONSTANT integer := CASE WHEN sees_all THEN 5000 ELSE 15000 END;
    few integer;
    query CONSTANT tsquery := usher.name_query(search);
    word CONSTANT text := (tsvector_to_array(usher.name_words(search)))[1];
    is_common CONSTANT boolean := usher.expected_users(search) > 4 * most;
    accounts uuid[];
    named uuid[];
    others uuid[];
    own uuid[];
    batch uuid[];
    batch_size integer := 1000;
    looked_at integer := 0;
    met uuid[] := '{}';
BEGIN
    IF NOT sees_all AND cardinality(handled) = 0 THEN
        own := @extschema@._customers_after(after, 2147483647, sees_all, own_id, managed, handled);
    END IF;
    -- Few, rather few, or many? What few people meet is found at once.
    FOREACH few IN ARRAY ARRAY[500, most] LOOP
        IF few = most OR NOT is_common THEN
            accounts := ARRAY(SELECT a FROM usher.search_users(search, few + 1) AS a);
            named := ARRAY(SELECT c.id FROM @extschema@.customers AS c
                           WHERE usher.name_words(c.name) @@ query LIMIT few + 1);
            EXIT WHEN greatest(cardinality(accounts), cardinality(named)) <= few;
        END IF;
        LOOP
            batch := CASE WHEN own IS NOT NULL THEN own[looked_at + 1:looked_at + batch_size]
                          ELSE @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), batch_size,
                                                            sees_all, own_id, managed, handled) END;
            looked_at := looked_at + cardinality(batch);
            met := met || @extschema@._matching_among(batch, search, query, word);
            IF cardinality(batch) < batch_size OR cardinality(met) >= max_rows THEN
                RETURN met[1:max_rows];
            END IF;
            -- As many as the page needs, if they go on as they began. Where these would be many, it may be soon known
            -- who has the name; but whom somebody has served or made themselves are fewer than have a common one.
            batch_size := least(64000, greatest(500, (max_rows - cardinality(met)) * (looked_at::bigint * 5 / 4)
                                                     / greatest(cardinality(met), 1)))::integer;
            EXIT WHEN few < most AND batch_size > 4000 AND (own IS NULL OR NOT is_common);
        END LOOP;
    END LOOP;
    others := ARRAY(SELECT n FROM unnest(named) AS n
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE c.user_id = ANY (accounts) AND c.id <> c.user_id
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE usher.name_key(c.email) = usher.name_key(search)
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c WHERE c.phone = search);
    -- The first profile of an account has its id.
    met := accounts || others;
    IF own IS NOT NULL THEN
        met := ARRAY(SELECT unnest(met) INTERSECT SELECT unnest(own));
    ELSIF NOT sees_all THEN
        met := ARRAY(SELECT s FROM @extschema@._seen_among(met, own_id, managed, handled) AS s);
    END IF;
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c
                 WHERE c.id = ANY (met) AND c.id > _search_customers.after
                     AND (c.id = c.user_id OR c.id = ANY (others))
                 ORDER BY c.id LIMIT max_rows);
END
$$;
COMMENT ON FUNCTION @extschema@._search_customers(text, uuid, integer, boolean, uuid, uuid[], uuid[]) IS
    'The next customers that somebody sees and that meet a search, in the order of their ids.';

CREATE FUNCTION @extschema@.list_customers(search text DEFAULT NULL, after uuid DEFAULT NULL,
                                           max_rows integer DEFAULT 100)
    RETURNS TABLE (id uuid, user_id uuid, customer usher.user_reference, name text, email text, phone text,
                   attributes jsonb, is_active boolean, created_at timestamptz, version integer)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    own_id CONSTANT uuid := usher.current_user_id('customer:read');
    sees_all CONSTANT boolean := actor IS NULL OR usher.has_permission('customer:manage');
    managed CONSTANT uuid[] := @extschema@._managed_locations();
    handled CONSTANT uuid[] := ARRAY(SELECT unnest(managed) UNION SELECT unnest(@extschema@._front_desk_locations()));
    first_after CONSTANT uuid := coalesce(after, '00000000-0000-0000-0000-000000000000');
    wanted uuid[];
    people uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('booking:manage');
    END IF;
    wanted := CASE WHEN nullif(search, '') IS NULL
                   THEN @extschema@._customers_after(first_after, max_rows, sees_all, own_id, managed, handled)
                   ELSE @extschema@._search_customers(search, first_after, max_rows, sees_all, own_id, managed,
                                                      handled) END;
    PERFORM @extschema@._log_reads('customer', wanted);
    people := ARRAY(SELECT DISTINCT c.user_id
                    FROM @extschema@.customers AS c WHERE c.id = ANY (wanted) AND c.user_id IS NOT NULL);
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT c.id, c.user_id, k.reference, c.name, c.email, c.phone, c.attributes, c.is_active, c.created_at, c.version
    FROM @extschema@.customers AS c LEFT JOIN known AS k ON k.id = c.user_id
    WHERE c.id = ANY (wanted) ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_customers(text, uuid, integer) IS
    'Customers that the actor may see: oneself, those one serves, manages or made, all with customer:manage. '
    'search: an e-mail address, the phone number of the profile, or the beginnings of words of a name, of the profile '
    'or of the account. The next page starts after the last id.';

CREATE FUNCTION @extschema@.upsert_customer(user_id uuid DEFAULT NULL, name text DEFAULT NULL, email text DEFAULT NULL,
    phone text DEFAULT NULL, attributes jsonb DEFAULT NULL, id uuid DEFAULT NULL)
    RETURNS @extschema@.customers
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    profile CONSTANT uuid := coalesce(upsert_customer.id, upsert_customer.user_id, usher.uuid_v7());
    -- As the addresses of accounts are written; what is none is kept as it was given.
    address CONSTANT text := coalesce(usher.normalize_name(upsert_customer.email), upsert_customer.email);
    customer @extschema@.customers;
    missing name;
    broken name;
BEGIN
    IF upsert_customer.user_id IS NULL
        OR upsert_customer.user_id IS DISTINCT FROM usher.current_user_id('customer:manage')
        OR profile <> upsert_customer.user_id THEN
        -- For somebody else, or under an id of the caller's choice: whoever makes bookings for others, anywhere.
        IF actor IS NULL THEN
            PERFORM usher.require_permission('booking:manage');
        ELSIF NOT usher.has_permission_somewhere('booking:manage') THEN
            PERFORM usher.raise_error('not_permitted',
                'permission "booking:manage" is needed for the profile of somebody else',
                jsonb_build_object('permission', 'booking:manage'));
        END IF;
    END IF;
    IF upsert_customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(upsert_customer.user_id);
    ELSIF upsert_customer.name IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'a customer without an account must have a name',
            jsonb_build_object('argument', 'name'));
    END IF;
    INSERT INTO @extschema@.customers AS c (id, user_id, name, email, phone, attributes, created_by)
        VALUES (profile, upsert_customer.user_id, upsert_customer.name, address, upsert_customer.phone,
            coalesce(upsert_customer.attributes, '{}'), nullif(actor, upsert_customer.user_id))
        ON CONFLICT (id) DO UPDATE
            SET name = coalesce(upsert_customer.name, c.name), email = coalesce(address, c.email),
                phone = coalesce(upsert_customer.phone, c.phone),
                attributes = coalesce(upsert_customer.attributes, c.attributes),
                version = c.version + 1
            WHERE c.user_id IS NOT DISTINCT FROM upsert_customer.user_id
        RETURNING c.* INTO customer;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('not_permitted', 'customer profile belongs to another user',
                                  jsonb_build_object('customer_id', profile));
    END IF;
    RETURN customer;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.upsert_customer(uuid, text, text, text, jsonb, uuid) IS
    'Creates or changes a customer profile: one''s own, or with booking:manage that of another user or of a walk-in '
    'customer without account.';

CREATE FUNCTION @extschema@.set_customer_active(customer_id uuid, is_active boolean,
                                                expected_version integer DEFAULT NULL)
    RETURNS @extschema@.customers
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    customer @extschema@.customers;
BEGIN
    IF NOT usher.has_permission('customer:manage') THEN
        PERFORM usher.require_permission('booking:manage');
    END IF;
    IF is_active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'is_active must not be null',
                                  jsonb_build_object('argument', 'is_active'));
    END IF;
    -- Waits for bookings that are being made, which hold the row.
    SELECT * INTO customer FROM @extschema@.customers AS c WHERE c.id = set_customer_active.customer_id FOR UPDATE;
    PERFORM @extschema@._check_version(customer.version, expected_version, 'customer', customer_id);
    IF is_active AND customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(customer.user_id); -- a profile is not more alive than its account
    ELSIF is_active AND customer.name = @extschema@._erased_name() THEN
        PERFORM usher.raise_error('unknown_reference', 'customer has been erased',
                                  jsonb_build_object('id', customer_id));
    END IF;
    IF is_active <> customer.is_active THEN
        UPDATE @extschema@.customers AS c SET is_active = set_customer_active.is_active, version = c.version + 1
            WHERE c.id = set_customer_active.customer_id RETURNING * INTO customer;
    END IF;
    RETURN customer;
END
$$;
COMMENT ON FUNCTION @extschema@.set_customer_active(uuid, boolean, integer) IS
    'Lets nothing more be booked for a customer, or lets it again; bookings that exist are kept. Restoring one of an '
    'account that is not active, or one that was erased, is refused with US005. Publishes customer.deactivated or '
    'customer.restored. Needs customer:manage or booking:manage.';

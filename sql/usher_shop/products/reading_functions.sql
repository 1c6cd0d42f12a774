-- Reading products: active ones for everybody, the others for those who manage them.

CREATE FUNCTION @extschema@.get_product(product_id uuid, currency text DEFAULT NULL, location_id uuid DEFAULT NULL)
    RETURNS @extschema@.product_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    product @extschema@.product_details;
BEGIN
    IF get_product.currency IS NOT NULL THEN
        PERFORM @extschema@._require_price(0, get_product.currency);
    END IF;
    SELECT * INTO product FROM @extschema@._describe_products(ARRAY[get_product.product_id],
        coalesce(get_product.currency, usher.setting('shop.currency')), get_product.location_id);
    -- The answer is the same for a product that does not exist and for one that is not for sale.
    IF product.product_id IS NULL
       OR product.status <> 'active' AND NOT @extschema@._shop_reads_all('product:manage') THEN
        PERFORM usher.raise_error('unknown_reference', 'product does not exist',
                                  jsonb_build_object('product_id', get_product.product_id));
    END IF;
    RETURN product;
END
$$;
COMMENT ON FUNCTION @extschema@.get_product(uuid, text, uuid) IS
    'One product with its price of now, in shop.currency unless another is named, at a location if one is named. What '
    'is not active is there for product:manage only: US005 for others.';

-- Words, and whatever else: what is common is soon met by whoever walks in the order of the pages, what is rare is
-- found by index and sorted. Which of the two it is shows after some thousand rows; no statistics know how many
-- products have two things at once.
CREATE FUNCTION @extschema@._rare_products(condition text, status text, category text, attributes jsonb,
    variant_of uuid, words tsquery, after uuid, max_rows integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    SET enable_indexscan = off -- bitmaps of all conditions, and no walk
    SET enable_seqscan = off
AS $$
DECLARE
    page uuid[];
BEGIN
    -- IS TRUE keeps the planner from the index of ids, which would be a walk
    EXECUTE format('SELECT ARRAY(SELECT p.id FROM @extschema@.products AS p WHERE %s AND (p.id > $6) IS TRUE '
                   'ORDER BY p.id LIMIT $7)', condition)
        INTO page USING status, category, attributes, variant_of, words, after, max_rows;
    RETURN page;
END
$$;
COMMENT ON FUNCTION @extschema@._rare_products(text, text, text, jsonb, uuid, tsquery, uuid, integer) IS
    'The next products that meet a condition of _find_products(), by the indexes of what is asked for.';

CREATE FUNCTION @extschema@._find_products(words tsquery, category text, attributes jsonb, variant_of uuid,
                                           status text, after uuid, max_rows integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step integer := 1000;
    looked_at bigint := 0;
    condition CONSTANT text := 'p.status = $1 AND p.search_words @@ $5'
        || CASE WHEN category IS NOT NULL THEN ' AND p.category = $2' ELSE '' END
        || CASE WHEN attributes IS NOT NULL THEN ' AND p.attributes @> $3' ELSE '' END
        || CASE WHEN variant_of IS NOT NULL THEN ' AND p.variant_of = $4' ELSE '' END;
    next_after uuid := coalesce(after, '00000000-0000-0000-0000-000000000000');
    found uuid[];
    page uuid[] := '{}';
BEGIN
    LOOP
        EXECUTE format('SELECT ARRAY(SELECT p.id FROM (SELECT * FROM @extschema@.products AS p WHERE p.id > $6 '
                       'ORDER BY p.id LIMIT $8) AS p WHERE %s ORDER BY p.id LIMIT $7)', condition)
            INTO found
            USING status, category, attributes, variant_of, words, next_after, max_rows - cardinality(page), step;
        page := page || found;
        IF cardinality(page) = max_rows THEN
            RETURN page;
        END IF;
        next_after := (SELECT p.id FROM @extschema@.products AS p WHERE p.id > next_after
                       ORDER BY p.id OFFSET step - 1 LIMIT 1);
        IF next_after IS NULL THEN -- that were all
            RETURN page;
        END IF;
        looked_at := looked_at + step;
        -- What the indexes would list takes as long as to walk past some 15,000.
        EXIT WHEN (max_rows - cardinality(page)) * looked_at > 15000 * greatest(cardinality(page), 1);
        -- As many as the page needs, if they go on as they began.
        step := least(10000, greatest(500, (max_rows - cardinality(page)) * looked_at * 5 / 4 / cardinality(page)));
    END LOOP;
    RETURN page || @extschema@._rare_products(condition, status, category, attributes, variant_of, words, next_after,
                                              max_rows - cardinality(page));
END
$$;
COMMENT ON FUNCTION @extschema@._find_products(tsquery, text, jsonb, uuid, text, uuid, integer) IS
    'The next products with these words, in the order in which they were added.';

CREATE FUNCTION @extschema@.search_products(query text DEFAULT NULL, category text DEFAULT NULL,
                                            attributes jsonb DEFAULT NULL, variant_of uuid DEFAULT NULL,
                                            status text DEFAULT 'active', currency text DEFAULT NULL,
                                            after uuid DEFAULT NULL, max_rows integer DEFAULT 100,
                                            location_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.product_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    words CONSTANT tsquery := websearch_to_tsquery('simple'::regconfig, query);
    last_name text;
    chosen bigint;
    page uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF search_products.status IS NULL OR search_products.status NOT IN ('draft', 'active', 'archived') THEN
        PERFORM usher.raise_error('invalid_argument', 'status must be draft, active or archived',
                                  jsonb_build_object('argument', 'status'));
    ELSIF search_products.status <> 'active' AND NOT @extschema@._shop_reads_all('product:manage') THEN
        PERFORM usher.raise_error('not_permitted', 'permission "product:manage" is needed',
                                  jsonb_build_object('permission', 'product:manage'));
    END IF;
    IF search_products.currency IS NOT NULL THEN
        PERFORM @extschema@._require_price(0, search_products.currency);
    END IF;
    IF after IS NOT NULL THEN
        SELECT p.name INTO last_name FROM @extschema@.products AS p
        WHERE p.id = after AND p.status = search_products.status;
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'product does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    IF words IS NULL AND search_products.status = 'active' AND search_products.attributes <> '{}'
       AND jsonb_typeof(search_products.attributes) = 'object' THEN
        chosen := @extschema@._rarest_facet(search_products.attributes, search_products.category);
    END IF;
    IF chosen IS NOT NULL THEN
        page := ARRAY(
            SELECT f.product_id FROM @extschema@.product_facets AS f,
                -- One by one, in the order of names, until the page is full: OFFSET 0 keeps the planner to that.
                LATERAL (SELECT FROM @extschema@.products AS p
                    WHERE p.id = f.product_id AND p.status = 'active' AND p.attributes @> search_products.attributes
                        AND (search_products.category IS NULL OR p.category = search_products.category)
                        AND (search_products.variant_of IS NULL OR p.variant_of = search_products.variant_of)
                    OFFSET 0) AS fits
            WHERE f.facet = chosen
                AND (search_products.after IS NULL OR (f.name, f.product_id) > (last_name, search_products.after))
            ORDER BY f.name, f.product_id LIMIT max_rows);
    ELSIF words IS NULL THEN
        page := ARRAY(
            SELECT p.id FROM @extschema@.products AS p
            WHERE p.status = search_products.status
                AND (search_products.category IS NULL OR p.category = search_products.category)
                AND (search_products.attributes IS NULL OR p.attributes @> search_products.attributes)
                AND (search_products.variant_of IS NULL OR p.variant_of = search_products.variant_of)
                AND (search_products.after IS NULL OR (p.name, p.id) > (last_name, search_products.after))
            ORDER BY p.name, p.id LIMIT max_rows);
    ELSE
        page := @extschema@._find_products(words, search_products.category, search_products.attributes,
            search_products.variant_of, search_products.status, search_products.after, max_rows);
    END IF;
    RETURN QUERY SELECT d.* FROM @extschema@._describe_products(page,
        coalesce(search_products.currency, usher.setting('shop.currency')), search_products.location_id) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.search_products(text, text, jsonb, uuid, text, text, uuid, integer, uuid) IS
    'Products by name, or, with a query, as they were added: with all words of the query ("-word" leaves out, quotes '
    'keep together), of a category, with all of these attributes, variants of one product. The next page starts after '
    'the last product_id. Drafts and archived ones need product:manage.';

-- Row-level security for those who SELECT from the table themselves.
ALTER TABLE @extschema@.products ENABLE ROW LEVEL SECURITY;
CREATE POLICY products_for_sale ON @extschema@.products FOR SELECT USING (status = 'active');
CREATE POLICY products_managed ON @extschema@.products FOR SELECT
    USING ((SELECT @extschema@._shop_reads_all('product:manage')));

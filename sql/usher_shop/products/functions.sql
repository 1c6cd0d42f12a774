-- Products and their prices. Whoever holds product:manage changes them; what is active anybody may see.

CREATE TYPE @extschema@.product_details AS (
    product_id uuid, sku text, name text, kind text, variant_of uuid, category text, description text, unit text,
    tax_class text, track_stock boolean, backorder_limit bigint, attributes jsonb, status text, price_minor bigint,
    currency text, tax_included boolean, created_at timestamptz, updated_at timestamptz, version integer);
COMMENT ON TYPE @extschema@.product_details IS
    'A product as it is read, with its price of now in one currency; price_minor is NULL when it has none.';

CREATE FUNCTION @extschema@._guard_validity() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_guard_validity';
COMMENT ON FUNCTION @extschema@._guard_validity() IS
    'Trigger of product_prices and tax_rates: raises UC004 when a row that has been in force is changed or removed.';

CREATE FUNCTION @extschema@._facets(attributes jsonb, category text DEFAULT NULL) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT hashtextextended(coalesce(category || E'\x1e', '') || a.key || E'\x1f' ||
        CASE jsonb_typeof(a.value) WHEN 'number' THEN trim_scale((a.value #>> '{}')::numeric)::text
            ELSE a.value::text END, 0)), '{}')
    FROM jsonb_each(attributes) AS a
    WHERE jsonb_typeof(a.value) NOT IN ('object', 'array');
END;
COMMENT ON FUNCTION @extschema@._facets(jsonb, text) IS
    'A number for each attribute with its value, 1 being 1.0, in all categories or in one: what products are found '
    'by. Lists and objects have none.';

CREATE FUNCTION @extschema@._product_facets(product @extschema@.products) RETURNS bigint[]
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT f ORDER BY f), '{}')
    FROM unnest(@extschema@._facets((product).attributes) || CASE WHEN (product).category IS NOT NULL
            THEN @extschema@._facets((product).attributes, (product).category) END) AS f
    WHERE (product).status = 'active';
END;
COMMENT ON FUNCTION @extschema@._product_facets(@extschema@.products) IS
    'What a product is found by: its attributes, and its attributes in its category. Nothing unless it is active.';

CREATE FUNCTION @extschema@._derive_facets() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> '@extschema@.products'::regclass OR TG_LEVEL <> 'ROW' OR TG_WHEN <> 'AFTER'
       OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'trigger "%" must fire AFTER INSERT OR UPDATE ON products FOR EACH ROW', TG_NAME
            USING ERRCODE = '39P01';
    ELSIF TG_OP = 'UPDATE' THEN
        DELETE FROM @extschema@.product_facets AS f WHERE f.product_id = NEW.id;
    END IF;
    INSERT INTO @extschema@.product_facets (facet, name, product_id)
    SELECT f, NEW.name, NEW.id FROM unnest(@extschema@._product_facets(NEW)) AS f;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._derive_facets() IS
    'Row trigger of products: what is active is found by its attributes, page by page by name.';

CREATE FUNCTION @extschema@._rarest_facet(attributes jsonb, category text) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    candidates CONSTANT bigint[] := @extschema@._facets(attributes, category);
    candidate bigint;
    found_few bigint := 5001;
    few bigint;
    rarest bigint;
BEGIN
    IF cardinality(candidates) = 1 THEN
        RETURN candidates[1];
    END IF;
    FOREACH candidate IN ARRAY candidates LOOP
        SELECT count(*) INTO few
        FROM (SELECT FROM @extschema@.product_facets AS f WHERE f.facet = candidate LIMIT 5000) AS l;
        IF few < found_few THEN
            rarest := candidate;
            found_few := few;
        END IF;
    END LOOP;
    RETURN rarest;
END
$$;
COMMENT ON FUNCTION @extschema@._rarest_facet(jsonb, text) IS
    'The attribute that the fewest products have, in a category if one is named, counted to 5000. NULL when only '
    'lists and objects are asked for.';

CREATE FUNCTION @extschema@._describe_products(product_ids uuid[], currency text, location_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.product_details
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT p.id, p.sku, p.name, p.kind, p.variant_of, p.category, p.description, p.unit, p.tax_class, p.track_stock,
           p.backorder_limit, p.attributes, p.status, c.amount_minor, _describe_products.currency, c.tax_included,
           p.created_at, p.updated_at, p.version
    FROM unnest(product_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.products AS p ON p.id = wanted.id
        LEFT JOIN LATERAL (
            SELECT b.amount_minor, b.tax_included FROM (
                (SELECT r.amount_minor, r.tax_included, 1 AS rank FROM @extschema@.product_prices AS r
                 WHERE r.product_id = p.id AND r.currency = _describe_products.currency
                     AND r.location_id = _describe_products.location_id AND r.valid_from <= clock_timestamp()
                 ORDER BY r.valid_from DESC LIMIT 1)
                UNION ALL
                (SELECT r.amount_minor, r.tax_included, 2 FROM @extschema@.product_prices AS r
                 WHERE r.product_id = p.id AND r.currency = _describe_products.currency
                     AND r.location_id = '00000000-0000-0000-0000-000000000000' AND r.valid_from <= clock_timestamp()
                 ORDER BY r.valid_from DESC LIMIT 1)) AS b
            WHERE b.amount_minor IS NOT NULL
            ORDER BY b.rank LIMIT 1) AS c ON true
    ORDER BY wanted.position;
END;
COMMENT ON FUNCTION @extschema@._describe_products(uuid[], text, uuid) IS
    'Products as they are read, with their prices of now in a currency, at a location where it has its own.';

CREATE FUNCTION @extschema@._add_price(product_id uuid, amount_minor bigint, currency text, valid_from timestamptz,
                                       tax_included boolean, location_id uuid DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- Nothing, of a location: the general price holds again.
    PERFORM @extschema@._require_price(
        CASE WHEN _add_price.location_id IS NULL THEN amount_minor ELSE coalesce(amount_minor, 0) END, currency);
    INSERT INTO @extschema@.product_prices (product_id, currency, location_id, valid_from, amount_minor, tax_included,
                                            created_by)
    VALUES (_add_price.product_id, _add_price.currency,
            coalesce(_add_price.location_id, '00000000-0000-0000-0000-000000000000'),
            coalesce(_add_price.valid_from, clock_timestamp()), _add_price.amount_minor,
            coalesce(_add_price.tax_included, true), usher.actor_id());
END
$$;
COMMENT ON FUNCTION @extschema@._add_price(uuid, bigint, text, timestamptz, boolean, uuid) IS
    'Adds a row to the price list.';

CREATE FUNCTION @extschema@.create_product(sku text, name text, kind text DEFAULT 'product',
                                           price_minor bigint DEFAULT NULL, currency text DEFAULT NULL,
                                           description text DEFAULT NULL, track_stock boolean DEFAULT NULL,
                                           backorder_limit bigint DEFAULT 0, attributes jsonb DEFAULT '{}',
                                           category text DEFAULT NULL, unit text DEFAULT 'piece',
                                           tax_class text DEFAULT NULL, tax_included boolean DEFAULT true,
                                           variant_of uuid DEFAULT NULL, status text DEFAULT 'draft',
                                           id uuid DEFAULT NULL)
    RETURNS @extschema@.product_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made CONSTANT uuid := coalesce(create_product.id, usher.uuid_v7());
    priced_in CONSTANT text := coalesce(create_product.currency, usher.setting('shop.currency'));
    product @extschema@.product_details;
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    IF create_product.status IS NULL OR create_product.status <> ALL (usher.machine_statuses('shop_product')) THEN
        PERFORM usher.raise_error('invalid_argument', 'status must be draft or active', '{"argument": "status"}');
    END IF;
    INSERT INTO @extschema@.products (id, sku, name, kind, variant_of, category, description, unit, tax_class,
                                      track_stock, backorder_limit, attributes, created_by)
    VALUES (made, create_product.sku, create_product.name, coalesce(create_product.kind, 'product'),
            create_product.variant_of, create_product.category, create_product.description,
            coalesce(create_product.unit, 'piece'), create_product.tax_class,
            coalesce(create_product.track_stock, coalesce(create_product.kind, 'product') = 'product'),
            coalesce(create_product.backorder_limit, 0), coalesce(create_product.attributes, '{}'), usher.actor_id());
    IF price_minor IS NOT NULL THEN
        PERFORM @extschema@._add_price(made, price_minor, priced_in, NULL, create_product.tax_included);
    END IF;
    IF create_product.status <> 'draft' THEN
        UPDATE @extschema@.products AS p SET status = create_product.status WHERE p.id = made;
    END IF;
    SELECT * INTO product FROM @extschema@._describe_products(ARRAY[made], priced_in);
    RETURN product;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_product(text, text, text, bigint, text, text, boolean, bigint, jsonb, text,
                                               text, text, boolean, uuid, text, uuid) IS
    'Adds a product, service or treatment, or a variant of one, as a draft or active at once; with a price from now '
    'on if one is given, in shop.currency unless another is named. track_stock: stock is kept, by default of products '
    'and not of services. Needs product:manage. 23505 for a SKU that is taken.';

CREATE FUNCTION @extschema@._lock_product(product_id uuid, expected_version integer) RETURNS @extschema@.products
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    product @extschema@.products;
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    SELECT * INTO product FROM @extschema@.products AS p WHERE p.id = _lock_product.product_id FOR NO KEY UPDATE;
    IF product.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'product does not exist',
                                  jsonb_build_object('product_id', _lock_product.product_id));
    ELSIF expected_version <> product.version THEN
        PERFORM usher.raise_error('stale_version', 'product was changed by somebody else',
            jsonb_build_object('id', product.id, 'expected_version', expected_version, 'version', product.version));
    END IF;
    RETURN product;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_product(uuid, integer) IS
    'The product, locked, for somebody who may change it and has seen this version.';

CREATE FUNCTION @extschema@.update_product(product_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.product_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    allowed CONSTANT text[] := '{sku,name,category,description,tax_class,backorder_limit,attributes}';
    product @extschema@.products := @extschema@._lock_product(update_product.product_id, expected_version);
    changed @extschema@.products;
    details @extschema@.product_details;
    unknown text;
    missing name;
    broken name;
BEGIN
    IF changes IS NULL OR jsonb_typeof(changes) <> 'object' OR changes = '{}' THEN
        PERFORM usher.raise_error('invalid_argument', 'changes must be a JSON object with at least one key',
                                  jsonb_build_object('argument', 'changes'));
    END IF;
    SELECT k INTO unknown FROM jsonb_object_keys(changes) AS k WHERE k <> ALL (allowed) ORDER BY k LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('changes may name %s', array_to_string(allowed, ', ')),
            jsonb_build_object('argument', 'changes', 'member', unknown, 'allowed', to_jsonb(allowed)));
    END IF;
    changed := jsonb_populate_record(product, changes);
    UPDATE @extschema@.products AS p
    SET sku = changed.sku, name = changed.name, category = changed.category, description = changed.description,
        tax_class = changed.tax_class, backorder_limit = changed.backorder_limit, attributes = changed.attributes,
        version = p.version + 1
    WHERE p.id = product.id;
    SELECT * INTO details FROM @extschema@._describe_products(ARRAY[product.id], usher.setting('shop.currency'));
    RETURN details;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.update_product(uuid, jsonb, integer) IS
    'Changes sku, name, category, description, tax_class, backorder_limit (of locations to come) or attributes: those '
    'that changes names. Needs product:manage. 22023 names a member that cannot be changed.';

CREATE FUNCTION @extschema@.set_product_status(product_id uuid, status text, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.product_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    product @extschema@.products := @extschema@._lock_product(set_product_status.product_id, expected_version);
    details @extschema@.product_details;
BEGIN
    IF set_product_status.status IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'status must not be null', '{"argument": "status"}');
    END IF;
    UPDATE @extschema@.products AS p SET status = set_product_status.status
    WHERE p.id = product.id AND p.status IS DISTINCT FROM set_product_status.status;
    SELECT * INTO details FROM @extschema@._describe_products(ARRAY[product.id], usher.setting('shop.currency'));
    RETURN details;
END
$$;
COMMENT ON FUNCTION @extschema@.set_product_status(uuid, text, integer) IS
    'Puts a product up for sale (active), takes it off (archived), or back. Orders that are placed keep it. Needs '
    'product:manage. US001 for a way that the machine shop_product does not know.';

CREATE FUNCTION @extschema@.set_price(product_id uuid, price_minor bigint, currency text DEFAULT NULL,
                                      valid_from timestamptz DEFAULT NULL, tax_included boolean DEFAULT true,
                                      location_id uuid DEFAULT NULL)
    RETURNS @extschema@.product_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    product @extschema@.products := @extschema@._lock_product(set_price.product_id, NULL);
    priced_in CONSTANT text := coalesce(set_price.currency, usher.setting('shop.currency'));
    details @extschema@.product_details;
    missing name;
    broken name;
BEGIN
    IF valid_from < statement_timestamp() THEN
        PERFORM usher.raise_error('invalid_argument', 'valid_from must not be in the past',
                                  jsonb_build_object('argument', 'valid_from'));
    END IF;
    PERFORM @extschema@._add_price(product.id, set_price.price_minor, priced_in, valid_from, tax_included,
                                   set_price.location_id);
    SELECT * INTO details FROM @extschema@._describe_products(ARRAY[product.id], priced_in, set_price.location_id);
    RETURN details;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.set_price(uuid, bigint, text, timestamptz, boolean, uuid) IS
    'What one unit costs from now or a later time on, everywhere or at one location, whose own price goes before the '
    'general one (price_minor NULL: until then). The price before ends then; orders that are placed keep theirs. '
    'Answers the product with its price of now. Needs product:manage.';

CREATE FUNCTION @extschema@.remove_future_price(product_id uuid, currency text, valid_from timestamptz,
                                                location_id uuid DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    product @extschema@.products := @extschema@._lock_product(remove_future_price.product_id, NULL);
BEGIN
    PERFORM @extschema@._require_price(0, remove_future_price.currency);
    DELETE FROM @extschema@.product_prices AS r
    WHERE r.product_id = product.id AND r.currency = remove_future_price.currency
        AND r.location_id = coalesce(remove_future_price.location_id, '00000000-0000-0000-0000-000000000000')
        AND r.valid_from = remove_future_price.valid_from;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_future_price(uuid, text, timestamptz, uuid) IS
    'Takes back a price that is not in force yet; UC004 for one that is. Needs product:manage.';

CREATE FUNCTION @extschema@.list_prices(product_id uuid)
    RETURNS TABLE (currency text, location_id uuid, price_minor bigint, tax_included boolean, valid_from timestamptz,
                   valid_until timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    IF NOT EXISTS (SELECT FROM @extschema@.products AS p WHERE p.id = list_prices.product_id) THEN
        PERFORM usher.raise_error('unknown_reference', 'product does not exist',
                                  jsonb_build_object('product_id', list_prices.product_id));
    END IF;
    RETURN QUERY
    SELECT r.currency, nullif(r.location_id, '00000000-0000-0000-0000-000000000000'), r.amount_minor, r.tax_included,
           r.valid_from, lead(r.valid_from) OVER (PARTITION BY r.currency, r.location_id ORDER BY r.valid_from)
    FROM @extschema@.product_prices AS r
    WHERE r.product_id = list_prices.product_id
    ORDER BY r.currency, r.location_id, r.valid_from;
END
$$;
COMMENT ON FUNCTION @extschema@.list_prices(uuid) IS
    'All prices that a product had, has and will have, the general ones (location_id NULL) first. US005 '
    'for an unknown product. Needs product:manage.';

CREATE FUNCTION @extschema@.set_tax_rate(tax_class text, rate_ppm integer, valid_from timestamptz DEFAULT NULL,
                                         location_id uuid DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    IF valid_from < statement_timestamp() THEN
        PERFORM usher.raise_error('invalid_argument', 'valid_from must not be in the past',
                                  jsonb_build_object('argument', 'valid_from'));
    END IF;
    INSERT INTO @extschema@.tax_rates (tax_class, location_id, rate_ppm, valid_from, created_by)
    VALUES (set_tax_rate.tax_class, coalesce(set_tax_rate.location_id, '00000000-0000-0000-0000-000000000000'),
            set_tax_rate.rate_ppm, coalesce(set_tax_rate.valid_from, clock_timestamp()), usher.actor_id());
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.set_tax_rate(text, integer, timestamptz, uuid) IS
    'How a class is taxed from now or a later time on, in millionths: 190000 is 19 %; everywhere, or at one location, '
    'whose own rate goes before the general one (rate_ppm NULL: until then). Needs product:manage.';

CREATE FUNCTION @extschema@.list_tax_rates()
    RETURNS TABLE (tax_class text, location_id uuid, rate_ppm integer, valid_from timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    RETURN QUERY SELECT r.tax_class, nullif(r.location_id, '00000000-0000-0000-0000-000000000000'), r.rate_ppm,
            r.valid_from
        FROM @extschema@.tax_rates AS r ORDER BY r.tax_class, r.location_id, r.valid_from;
END
$$;
COMMENT ON FUNCTION @extschema@.list_tax_rates() IS 'All tax rates of all classes. Needs product:manage.';

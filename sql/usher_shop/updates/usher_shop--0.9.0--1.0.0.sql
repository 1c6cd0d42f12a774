\echo Use "ALTER EXTENSION usher_shop UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_shop') AS x ON x.object = d.object
WHERE d.extension = 'usher_shop'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- An order keeps money that was recorded by hand apart from what payments come to, so that neither overwrites the
-- other; what of it is handed back; what a refund did not give back; and what whoever takes payments was last told to
-- ask for. Of orders of before nothing was recorded, as far as anybody knows: paid_minor stays as it is until a
-- payment says more. The columns have constant defaults; their checks read the table once, while it is locked.
ALTER TABLE @extschema@.orders
    ADD COLUMN recorded_minor bigint NOT NULL DEFAULT 0 CHECK (recorded_minor >= 0),
    ADD COLUMN handed_back_minor bigint NOT NULL DEFAULT 0 CHECK (handed_back_minor >= 0),
    ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0 CHECK (kept_minor >= 0),
    ADD COLUMN asked_minor bigint CHECK (asked_minor >= 0);

DROP FUNCTION @extschema@._settle_order(uuid, bigint, bigint);
DROP FUNCTION @extschema@._shop_metrics();
DROP FUNCTION @extschema@._wanted_lines(jsonb);
DROP FUNCTION @extschema@.add_order_event(uuid, text, jsonb);
DROP FUNCTION @extschema@.list_prices(uuid);
DROP FUNCTION @extschema@.record_count(uuid, uuid, bigint);
DROP FUNCTION @extschema@.return_order(uuid, jsonb, text);
DROP FUNCTION @extschema@.set_price(uuid, bigint, text, timestamptz, boolean, uuid);
DROP FUNCTION @extschema@.start_stock_count(uuid);
DROP FUNCTION @extschema@.transfer_stock(uuid, uuid, uuid, bigint, text);

COMMENT ON COLUMN @extschema@.orders.paid_minor IS
    'What was captured or recorded, less what goes back.';
COMMENT ON COLUMN @extschema@.orders.recorded_minor IS
    'What record_order_payment() has recorded: payments know nothing of it.';
COMMENT ON COLUMN @extschema@.orders.handed_back_minor IS
    'What of the recorded money is to be handed back, because no payment has so much to give back.';
COMMENT ON COLUMN @extschema@.orders.kept_minor IS
    'What is paid too much and not proposed for refund again: its refund has failed or was cancelled.';
COMMENT ON COLUMN @extschema@.orders.asked_minor IS
    'What was still to be paid as order.placed or order.total_changed has told last.';
CREATE OR REPLACE FUNCTION @extschema@.create_product(sku text, name text, kind text DEFAULT 'product',
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
CREATE OR REPLACE FUNCTION @extschema@.update_product(product_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.set_product_status(product_id uuid, status text,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.remove_future_price(product_id uuid, currency text, valid_from timestamptz,
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
CREATE OR REPLACE FUNCTION @extschema@.set_tax_rate(tax_class text, rate_ppm integer,
        valid_from timestamptz DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.get_product(product_id uuid, currency text DEFAULT NULL,
        location_id uuid DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.search_products(query text DEFAULT NULL, category text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.adjust_stock(product_id uuid, location_id uuid, delta bigint, reason_code text,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.stock_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    receipt @extschema@.stock_receipt;
    answer jsonb;
BEGIN
    PERFORM @extschema@._shop_require('stock:manage', adjust_stock.location_id);
    IF reason_code IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'reason_code must not be null',
                                  jsonb_build_object('argument', 'reason_code'));
    END IF;
    answer := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function', 'adjust_stock',
        'product_id', adjust_stock.product_id, 'location_id', adjust_stock.location_id, 'delta', delta,
        'reason_code', adjust_stock.reason_code));
    IF answer IS NOT NULL THEN
        RETURN jsonb_populate_record(receipt, answer);
    END IF;
    receipt := @extschema@._move_stock(adjust_stock.product_id, adjust_stock.location_id, delta, 'adjustment', NULL,
                                       NULL, adjust_stock.reason_code, NULL);
    PERFORM usher.remember_call('usher_shop', idempotency_key, to_jsonb(receipt));
    RETURN receipt;
END
$$;
CREATE FUNCTION @extschema@.transfer_stock(product_id uuid, from_location_id uuid, to_location_id uuid,
                                           quantity bigint, idempotency_key text DEFAULT NULL, OUT transfer_id uuid,
                                           OUT from_available bigint, OUT to_available bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    answer jsonb;
    place uuid;
    receipt @extschema@.stock_receipt;
BEGIN
    PERFORM @extschema@._shop_require('stock:manage', from_location_id);
    PERFORM @extschema@._shop_require('stock:manage', to_location_id);
    IF quantity IS NULL OR quantity < 1 OR from_location_id IS NOT DISTINCT FROM to_location_id THEN
        PERFORM usher.raise_error('invalid_argument', 'at least 1 unit is moved, from one location to another',
                                  jsonb_build_object('argument', 'quantity'));
    END IF;
    answer := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function', 'transfer_stock',
        'product_id', transfer_stock.product_id, 'from', from_location_id, 'to', to_location_id,
        'quantity', quantity));
    IF answer IS NOT NULL THEN
        SELECT a.transfer_id, a.from_available, a.to_available
        INTO transfer_id, from_available, to_available
        FROM jsonb_to_record(answer) AS a (transfer_id uuid, from_available bigint, to_available bigint);
        RETURN;
    END IF;
    transfer_id := usher.uuid_v7();
    -- Levels of a product are taken in the order of their locations, whichever way the goods go.
    FOREACH place IN ARRAY ARRAY[least(from_location_id, to_location_id), greatest(from_location_id, to_location_id)]
    LOOP
        receipt := @extschema@._move_stock(transfer_stock.product_id, place,
            CASE WHEN place = from_location_id THEN -quantity ELSE quantity END, 'transfer', 'transfer', transfer_id,
            NULL, NULL);
        IF place = from_location_id THEN
            from_available := receipt.available;
        ELSE
            to_available := receipt.available;
        END IF;
    END LOOP;
    PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('transfer_id', transfer_id,
        'from_available', from_available, 'to_available', to_available));
END
$$;
COMMENT ON FUNCTION @extschema@.transfer_stock(uuid, uuid, uuid, bigint, text) IS
    'Moves what is free from one location to another. UC002 when it is reserved. Needs stock:manage at both.';
CREATE OR REPLACE FUNCTION @extschema@.set_stock_limits(product_id uuid, location_id uuid,
        low_threshold bigint DEFAULT NULL,
                                             backorder_limit bigint DEFAULT NULL)
    RETURNS @extschema@.stock_limits
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    limits @extschema@.stock_limits;
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._shop_require('stock:manage', set_stock_limits.location_id);
    INSERT INTO @extschema@.stock_levels (product_id, location_id, backorder_limit)
    SELECT p.id, set_stock_limits.location_id, p.backorder_limit
    FROM @extschema@.products AS p WHERE p.id = set_stock_limits.product_id AND p.track_stock
    ON CONFLICT ON CONSTRAINT stock_levels_pkey DO NOTHING;
    UPDATE @extschema@.stock_levels AS l
    SET low_threshold = coalesce(set_stock_limits.low_threshold, l.low_threshold),
        backorder_limit = coalesce(set_stock_limits.backorder_limit, l.backorder_limit)
    WHERE l.product_id = set_stock_limits.product_id AND l.location_id = set_stock_limits.location_id
    RETURNING l.low_threshold, l.backorder_limit INTO limits;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'product of which stock is kept does not exist',
                                  jsonb_build_object('product_id', set_stock_limits.product_id));
    END IF;
    RETURN limits;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE FUNCTION @extschema@.start_stock_count(location_id uuid, OUT count_id uuid, OUT started_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._shop_require('stock:manage', start_stock_count.location_id);
    INSERT INTO @extschema@.stock_counts AS c (location_id, started_by)
    VALUES (start_stock_count.location_id, usher.actor_id())
    RETURNING c.id, c.started_at INTO start_stock_count.count_id, start_stock_count.started_at;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.start_stock_count(uuid) IS
    'Begins to count what is at a location. 23505 while another count is open there. Needs stock:manage, everywhere '
    'or at the location.';
CREATE FUNCTION @extschema@.record_count(count_id uuid, product_id uuid, quantity bigint, OUT expected bigint,
                                         OUT counted bigint, OUT difference bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.stock_counts := @extschema@._lock_count(record_count.count_id);
BEGIN
    IF quantity IS NULL OR quantity NOT BETWEEN 0 AND 1000000000000 THEN
        PERFORM usher.raise_error('invalid_argument', 'quantity must be between 0 and 1000000000000',
                                  jsonb_build_object('argument', 'quantity'));
    ELSIF NOT EXISTS (SELECT FROM @extschema@.products AS p
        WHERE p.id = record_count.product_id AND p.track_stock) THEN
        PERFORM usher.raise_error('unknown_reference', 'product of which stock is kept does not exist',
                                  jsonb_build_object('product_id', record_count.product_id));
    END IF;
    -- What is paid for and not sent lies there, too. One statement: both as of one moment.
    SELECT coalesce((SELECT l.on_hand FROM @extschema@.stock_levels AS l
                     WHERE l.product_id = record_count.product_id AND l.location_id = known.location_id), 0)
        + coalesce((SELECT sum(r.committed - r.returned - (o.fulfilled - o.returned))
                    FROM @extschema@.order_lines AS o
                        JOIN @extschema@.stock_reservations AS r ON r.id = o.reservation_id
                    WHERE o.product_id = record_count.product_id AND o.fulfilled + o.cancelled < o.quantity
                        AND r.location_id = known.location_id), 0)::bigint INTO record_count.expected;
    record_count.counted := quantity;
    record_count.difference := quantity - record_count.expected;
    INSERT INTO @extschema@.stock_count_lines (count_id, product_id, counted, expected, recorded_by)
    VALUES (known.id, record_count.product_id, quantity, record_count.expected, usher.actor_id())
    ON CONFLICT ON CONSTRAINT stock_count_lines_pkey DO UPDATE
    SET counted = excluded.counted, expected = excluded.expected, recorded_by = excluded.recorded_by,
        recorded_at = clock_timestamp();
END
$$;
COMMENT ON FUNCTION @extschema@.record_count(uuid, uuid, bigint) IS
    'So much of a product was counted, just now, with what is paid for and not sent yet; counted again, the newer '
    'number holds. UC006 when the count is over. '
    'Needs stock:manage, everywhere or at the location.';
CREATE OR REPLACE FUNCTION @extschema@._order_lines_json(order_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(jsonb_build_object('line_no', l.line_no, 'product_id', l.product_id, 'sku', l.sku,
        'name', p.name,
        'category', p.category, 'ordered', l.quantity, 'quantity', l.quantity - l.cancelled - l.returned,
        'price_minor', l.unit_price_minor,
        'amount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor,
        'discount_minor', (l.quantity - l.cancelled - l.returned) * l.unit_price_minor
                          - l.net_minor - CASE WHEN l.tax_included THEN l.tax_minor ELSE 0 END,
        'total_minor', l.gross_minor) ORDER BY l.line_no), '[]')
    FROM @extschema@.order_lines AS l JOIN @extschema@.products AS p ON p.id = l.product_id
    WHERE l.order_id = _order_lines_json.order_id;
END;
CREATE FUNCTION @extschema@._settle_order(order_id uuid, paid_minor bigint, refunded_minor bigint DEFAULT NULL,
                                          recorded_minor bigint DEFAULT 0, event text DEFAULT '')
    RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_settle_order';
COMMENT ON FUNCTION @extschema@._settle_order(uuid, bigint, bigint, bigint, text) IS
    'Notes what payments have come to and what of them went back (NULL: as before), and what was recorded beside '
    'them, and does what follows from it and from the lines. The event is that of payments, if it is one.';
CREATE OR REPLACE FUNCTION @extschema@._describe_orders(order_ids uuid[]) RETURNS SETOF @extschema@.order_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(DISTINCT o.user_id) INTO people FROM @extschema@.orders AS o
    WHERE o.id = ANY (order_ids) AND o.user_id IS NOT NULL;
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT o.id, o.status, o.customer_id, k.reference, o.location_id, o.currency, o.discount_minor, o.net_minor,
        o.tax_minor, o.total_minor, o.paid_minor, o.refunded_minor,
        CASE WHEN o.refunded_minor > 0 AND o.paid_minor <= 0 THEN 'refunded'
             WHEN o.refunded_minor > 0 THEN 'partly_refunded'
             WHEN o.paid_minor >= o.total_minor
                  AND (o.paid_minor > 0 OR o.status NOT IN ('cart', 'cancelled')) THEN 'paid'
             WHEN o.paid_minor > 0 THEN 'partly_paid' ELSE 'unpaid' END,
        o.reference_type, o.reference_id, o.ship_to, o.notes, o.reason_code,
        coalesce((SELECT jsonb_agg(to_jsonb(l) - '{id,order_id,reservation_id}'::text[] ORDER BY l.line_no)
                  FROM @extschema@.order_lines AS l WHERE l.order_id = o.id), '[]'),
        o.placed_at, o.expires_at, o.created_at, o.updated_at, o.version
    FROM unnest(order_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.orders AS o ON o.id = wanted.id
        LEFT JOIN known AS k ON k.id = o.user_id
    ORDER BY wanted.position;
END
$$;
CREATE FUNCTION @extschema@._wanted_lines(lines jsonb, argument text DEFAULT 'lines')
    RETURNS TABLE (number bigint, product_id uuid, quantity bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF lines IS NULL OR jsonb_typeof(lines) <> 'array' OR jsonb_array_length(lines) > 1000
       OR EXISTS (SELECT FROM jsonb_array_elements(lines) AS e
            WHERE jsonb_typeof(e.value) <> 'object' OR NOT coalesce(
                e.value ->> 'quantity' ~ '^[1-9][0-9]{0,11}$' AND jsonb_typeof(e.value -> 'quantity') = 'number'
                AND usher.uuid_or_null(e.value ->> 'product_id') IS NOT NULL, false)) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('%s must be an array of product_id and quantity (a whole number above 0), at most 1000', argument),
            jsonb_build_object('argument', argument));
    END IF;
    RETURN QUERY SELECT e.number, (e.value ->> 'product_id')::uuid, (e.value ->> 'quantity')::bigint
        FROM jsonb_array_elements(lines) WITH ORDINALITY AS e (value, number) ORDER BY e.number;
END
$$;
COMMENT ON FUNCTION @extschema@._wanted_lines(jsonb, text) IS 'Lines of a cart as callers write them.';
CREATE OR REPLACE FUNCTION @extschema@.create_order(location_id uuid, lines jsonb DEFAULT '[]',
        customer_id uuid DEFAULT NULL,
                                         currency text DEFAULT NULL, ship_to jsonb DEFAULT NULL,
                                         notes text DEFAULT NULL, reference_type text DEFAULT NULL,
                                         reference_id uuid DEFAULT NULL, id uuid DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made CONSTANT uuid := coalesce(create_order.id, usher.uuid_v7());
    person CONSTANT uuid := @extschema@._acting_customer();
    customer CONSTANT uuid := coalesce(create_order.customer_id, usher.actor_id());
    answer jsonb;
    account uuid;
BEGIN
    IF customer IS DISTINCT FROM person OR person IS NULL THEN
        PERFORM @extschema@._shop_require('order:manage', create_order.location_id);
    END IF;
    IF customer IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'customer_id is needed',
                                  jsonb_build_object('argument', 'customer_id'));
    END IF;
    answer := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function', 'create_order',
        'location_id', create_order.location_id, 'lines', lines, 'customer_id', customer, 'currency',
        create_order.currency, 'ship_to', create_order.ship_to, 'notes', create_order.notes, 'reference_type',
        create_order.reference_type, 'reference_id', create_order.reference_id, 'id', create_order.id));
    IF answer IS NOT NULL THEN
        -- of whom and where the caller may order, as asked above
        IF NOT EXISTS (SELECT FROM @extschema@.orders AS o
                       WHERE o.id = (answer ->> 'order_id')::uuid AND o.customer_id = customer
                           AND o.location_id = create_order.location_id) THEN
            PERFORM usher.raise_error('unknown_reference', 'order does not exist', answer);
        END IF;
        RETURN @extschema@._order_now((answer ->> 'order_id')::uuid);
    END IF;
    SELECT r.id INTO account FROM usher.references_of(ARRAY[customer]) AS r;
    INSERT INTO @extschema@.orders (id, customer_id, user_id, location_id, currency, ship_to, notes, reference_type,
                                    reference_id, created_by)
    VALUES (made, customer, account, create_order.location_id,
            coalesce(create_order.currency, usher.setting('shop.currency')), create_order.ship_to, create_order.notes,
            create_order.reference_type, create_order.reference_id, usher.actor_id());
    INSERT INTO @extschema@.order_lines (order_id, product_id, quantity)
    SELECT made, w.product_id, w.quantity FROM @extschema@._wanted_lines(lines) AS w ORDER BY w.number;
    PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('order_id', made));
    RETURN @extschema@._order_now(made);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.discount_order_line(order_id uuid, line_no integer, discount_minor bigint,
                                                reason_code text)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders := @extschema@._lock_order(discount_order_line.order_id, 'order:discount', false, NULL);
    missing name;
    broken name;
BEGIN
    UPDATE @extschema@.order_lines AS l
    SET discount_minor = discount_order_line.discount_minor, granted_minor = 0,
        discount_reason = discount_order_line.reason_code
    WHERE l.order_id = known.id AND l.line_no = discount_order_line.line_no;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'line does not exist',
            jsonb_build_object('order_id', known.id, 'line_no', discount_order_line.line_no));
    END IF;
    PERFORM @extschema@._spread_discounts(known.id);
    RETURN @extschema@._order_now(known.id);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.place_order(order_id uuid, expected_total_minor bigint DEFAULT NULL,
                                        expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders;
    answer CONSTANT jsonb := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function',
        'place_order', 'order_id', place_order.order_id, 'expected_total_minor', expected_total_minor));
BEGIN
    SELECT * INTO known FROM @extschema@.orders AS o WHERE o.id = place_order.order_id;
    -- People before their orders, as when they are deleted; then the order. What is placed already needs nobody.
    IF answer IS NULL AND known.user_id IS NOT NULL THEN
        PERFORM @extschema@._hold_customer(known.user_id);
    END IF;
    known := @extschema@._lock_order(place_order.order_id, 'order:manage', true, NULL);
    IF answer IS NULL THEN
        IF expected_version <> known.version THEN
            PERFORM usher.raise_error('stale_version', 'order was changed by somebody else', jsonb_build_object('id',
                known.id, 'expected_version', expected_version, 'version', known.version));
        END IF;
        PERFORM @extschema@._place_order(known.id, expected_total_minor,
                                         make_interval(mins => usher.setting('shop.payment_minutes')::integer));
        PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('order_id', known.id));
    END IF;
    RETURN @extschema@._order_now(known.id);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._cancel_order(known @extschema@.orders, reason_code text, lines jsonb)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.orders AS o SET reason_code = _cancel_order.reason_code WHERE o.id = known.id;
    IF known.status = 'cart' THEN
        PERFORM @extschema@._end_order(known.id, 'cancelled');
    ELSE
        PERFORM @extschema@._order_progress(known.id, 'cancel', lines);
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.cancel_order(order_id uuid, reason_code text DEFAULT 'customer_request',
                                         lines jsonb DEFAULT NULL, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(cancel_order.order_id, 'order:manage', true,
                                                         expected_version);
    missing name;
    broken name;
BEGIN
    IF known.status IN ('fulfilled', 'completed', 'cancelled') THEN
        PERFORM usher.raise_error('illegal_transition', format('order is %s already', known.status),
                                  jsonb_build_object('order_id', known.id, 'status', known.status));
    END IF;
    PERFORM @extschema@._cancel_order(known, coalesce(cancel_order.reason_code, 'customer_request'), lines);
    RETURN @extschema@._order_now(known.id);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE FUNCTION @extschema@.return_order(order_id uuid, lines jsonb, reason_code text DEFAULT 'returned',
                                         expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(return_order.order_id, 'order:fulfil', false,
                                                         expected_version);
BEGIN
    PERFORM @extschema@._require_placed(known);
    UPDATE @extschema@.orders AS o SET reason_code = coalesce(return_order.reason_code, 'returned')
    WHERE o.id = known.id;
    PERFORM @extschema@._order_progress(known.id, 'return', lines);
    PERFORM usher.publish('order.returned', jsonb_build_object('id', o.id, 'customer_id', o.customer_id,
        'user_id', o.user_id, 'location_id', o.location_id, 'currency', o.currency, 'total_minor', o.total_minor,
        'reason_code', o.reason_code, 'lines', @extschema@._order_lines_json(o.id)), key => o.id::text)
    FROM @extschema@.orders AS o WHERE o.id = known.id;
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.return_order(uuid, jsonb, text, integer) IS
    'What was sent came back: its stock is there again, and what is paid too much is proposed for refund. Needs '
    'order:fulfil, everywhere or at the location. UC008 for more than was sent.';
CREATE OR REPLACE FUNCTION @extschema@.record_order_payment(order_id uuid, amount_minor bigint,
                                                 idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(record_order_payment.order_id, 'order:manage', false, NULL);
    answer CONSTANT jsonb := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function',
        'record_order_payment', 'order_id', record_order_payment.order_id, 'amount_minor', amount_minor));
BEGIN
    IF answer IS NULL THEN
        IF known.status = 'cart' THEN
            PERFORM @extschema@._require_placed(known);
        ELSIF amount_minor IS NULL OR amount_minor NOT BETWEEN 1 AND 1000000000000000 THEN
            PERFORM usher.raise_error('invalid_argument', 'amount_minor must be between 1 and 1000000000000000',
                                      jsonb_build_object('argument', 'amount_minor'));
        END IF;
        PERFORM @extschema@._settle_order(known.id, NULL, recorded_minor => amount_minor);
        PERFORM usher.remember_call('usher_shop', idempotency_key, jsonb_build_object('order_id', known.id));
    END IF;
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.record_order_payment(uuid, bigint, text) IS
    'Money for an order that no extension for payments knows of: it counts beside what payments come to, and they are '
    'told what is left by order.total_changed. What is too much is proposed for refund. Needs order:manage, '
    'everywhere or at the location.';
CREATE FUNCTION @extschema@.add_order_event(order_id uuid, event text, payload jsonb DEFAULT '{}',
                                            idempotency_key text DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.orders := @extschema@._lock_order(add_order_event.order_id, 'order:manage', false, NULL);
    answer CONSTANT jsonb := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function',
        'add_order_event', 'order_id', add_order_event.order_id, 'event', add_order_event.event, 'payload',
        add_order_event.payload));
    number integer;
    missing name;
    broken name;
BEGIN
    IF answer IS NOT NULL THEN
        RETURN answer;
    ELSIF event = 'status' THEN
        PERFORM usher.raise_error('invalid_argument', 'the event "status" is written by the order itself',
                                  jsonb_build_object('argument', 'event'));
    END IF;
    INSERT INTO @extschema@.order_events AS e (order_id, event, payload)
    VALUES (known.id, add_order_event.event, coalesce(add_order_event.payload, '{}'))
    RETURNING e.seq INTO number;
    PERFORM usher.remember_call('usher_shop', idempotency_key, to_jsonb(number));
    RETURN number;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.add_order_event(uuid, text, jsonb, text) IS
    'Writes something down about an order ("parcel_sent", with its number), for ever, once for each idempotency_key; '
    'returns its number. Needs '
    'order:manage, everywhere or at the location.';
CREATE FUNCTION @extschema@._purchase_of(reference_id uuid)
    RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text,
                   location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'order', o.customer_id, o.user_id,
           (SELECT coalesce(sum(l.quantity * l.unit_price_minor), 0)::bigint
            FROM @extschema@.order_lines AS l WHERE l.order_id = o.id),
           o.currency, o.location_id, NULL::uuid, @extschema@._order_lines_json(o.id), NULL::timestamptz,
           o.status = 'cart'
    FROM @extschema@.orders AS o WHERE o.id = _purchase_of.reference_id;
END
$$;
COMMENT ON FUNCTION @extschema@._purchase_of(uuid) IS
    'The part of usher_shop in usher.purchase_of(): carts, which take discounts, and orders. amount_minor and lines '
    'are those of order.placing.';
CREATE OR REPLACE FUNCTION @extschema@.list_orders(customer_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@._on_order_payment(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders;
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'order' THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM @extschema@.orders AS o
    WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    IF known.id IS NULL OR payload ->> 'currency' IS DISTINCT FROM known.currency THEN
        RETURN; -- of another shop, or money that whoever takes it has to explain
    ELSIF event = 'refund.requested' AND known.status NOT IN ('cart', 'placed') THEN
        RETURN; -- what is paid stays so until the money is gone
    END IF;
    -- All payments for the order together, where the publisher says so; without that, only what comes is known.
    IF payload ? 'reference_captured_minor' THEN
        PERFORM @extschema@._settle_order(known.id,
            (payload ->> 'reference_captured_minor')::bigint - (payload ->> 'reference_refunded_minor')::bigint,
            (payload ->> 'reference_refunded_minor')::bigint, event => event);
    ELSIF event = 'payment.completed' THEN
        PERFORM @extschema@._settle_order(known.id,
            known.paid_minor - known.recorded_minor + known.handed_back_minor
            + coalesce((payload ->> 'captured_minor')::bigint, 0), event => event);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_order_payment(text, jsonb) IS
    'Handler of payment.completed, .refunded, .partially_refunded, .disputed and .dispute_closed, refund.requested, '
    '.failed and .cancelled: the order is paid when enough is, a cart when it is placed; what comes for a cancelled '
    'one is proposed for refund, what somebody refunds or a bank holds is not paid any more, and what a refund did '
    'not give back is. What is on its way back pays no order.';
CREATE OR REPLACE FUNCTION @extschema@._on_discount_granted(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders;
    -- Which redemption it is of; of publishers that do not say, two events that say the same are one.
    granted_by CONSTANT text := coalesce(payload ->> 'redemption_id', md5(payload::text));
    whole CONSTANT bigint := (payload ->> 'discount_minor')::bigint;
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'order' THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM @extschema@.orders AS o
    WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    IF known.id IS NULL
       OR EXISTS (SELECT FROM @extschema@.order_discounts AS d
                  WHERE d.order_id = known.id AND d.source = granted_by) THEN
        RETURN; -- of another shop, or known
    ELSIF known.status <> 'cart' THEN
        -- Whoever uses up an offer for nothing has to hear of it: all of it is rolled back.
        PERFORM usher.raise_error('illegal_transition',
            format('order is %s and takes no more discounts', known.status),
            jsonb_build_object('order_id', known.id, 'status', known.status));
    ELSIF payload ->> 'currency' <> known.currency THEN
        PERFORM usher.raise_error('invalid_argument', 'a discount is in the currency of its order',
            jsonb_build_object('argument', 'currency', 'order_id', known.id, 'currency', known.currency));
    END IF;
    INSERT INTO @extschema@.order_discounts (order_id, source, line_no, discount_minor, reason)
    SELECT known.id, granted_by, g.line_no, sum(g.discount_minor), min(g.reason)
    FROM (SELECT l.line_no, l.discount_minor,
                 CASE WHEN l.reason ~ '^[a-z][a-z0-9_]{0,62}$' THEN l.reason ELSE 'offer' END AS reason
          FROM jsonb_to_recordset(CASE WHEN jsonb_typeof(payload -> 'lines') = 'array'
                                            AND payload -> 'lines' <> '[]' THEN payload -> 'lines'
              ELSE jsonb_build_array(jsonb_build_object('line_no', 0, 'discount_minor', whole,
                                                        'reason', payload ->> 'reason')) END)
              AS l (line_no integer, discount_minor bigint, reason text)) AS g
    WHERE g.discount_minor > 0
    GROUP BY g.line_no;
    PERFORM @extschema@._spread_discounts(known.id);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_order_settling(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF payload ->> 'reference_type' = 'order' THEN
        PERFORM FROM @extschema@.orders AS o
        WHERE o.id = usher.uuid_or_null(payload ->> 'reference_id') FOR NO KEY UPDATE;
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.set_service_materials(service_id uuid, materials jsonb)
    RETURNS TABLE (product_id uuid, quantity bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._shop_require('product:manage', NULL);
    DELETE FROM @extschema@.service_materials AS m WHERE m.service_id = set_service_materials.service_id;
    RETURN QUERY
    INSERT INTO @extschema@.service_materials AS m (service_id, product_id, quantity)
    SELECT set_service_materials.service_id, w.product_id, sum(w.quantity)::bigint
    FROM @extschema@._wanted_lines(materials, 'materials') AS w
    GROUP BY w.product_id ORDER BY w.product_id
    RETURNING m.product_id, m.quantity;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._shop_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'stock_promised_twice', count(*) FROM @extschema@.stock_levels AS l
        WHERE l.reserved < 0 OR l.on_hand - l.reserved < -l.backorder_limit;
    RETURN QUERY SELECT 'levels_differ_from_log', count(*) FROM @extschema@.stock_levels AS l
        FULL JOIN (
            SELECT s.product_id, s.location_id, sum(s.on_hand) AS on_hand, sum(s.reserved) AS reserved
            FROM (SELECT g.product_id, g.location_id, g.on_hand_delta AS on_hand, g.reserved_delta AS reserved
                  FROM @extschema@.inventory_logs AS g
                  UNION ALL
                  SELECT o.product_id, o.location_id, o.on_hand, o.reserved FROM @extschema@.inventory_openings AS o)
                AS s
            GROUP BY s.product_id, s.location_id) AS s ON s.product_id = l.product_id AND s.location_id = l.location_id
        WHERE coalesce(l.on_hand, 0) <> coalesce(s.on_hand, 0) OR coalesce(l.reserved, 0) <> coalesce(s.reserved, 0);
    RETURN QUERY SELECT 'reserved_differs_from_reservations', count(*) FROM @extschema@.stock_levels AS l
        FULL JOIN (
            SELECT r.product_id, r.location_id, sum(r.quantity - r.committed - r.released) AS open
            FROM @extschema@.stock_reservations AS r WHERE r.status = 'held'
            GROUP BY r.product_id, r.location_id) AS r ON r.product_id = l.product_id AND r.location_id = l.location_id
        WHERE coalesce(l.reserved, 0) <> coalesce(r.open, 0);
    RETURN QUERY SELECT 'reservation_amounts_wrong', count(*) FROM @extschema@.stock_reservations AS r
        WHERE r.committed < 0 OR r.released < 0 OR r.returned NOT BETWEEN 0 AND r.committed
            OR (r.status = 'held') <> (r.committed + r.released < r.quantity);
    RETURN QUERY SELECT 'orders_differ_from_lines', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT l.order_id, sum(l.net_minor) AS net, sum(l.tax_minor) AS tax, sum(l.gross_minor) AS gross
                   FROM @extschema@.order_lines AS l GROUP BY l.order_id) AS l ON l.order_id = o.id
        WHERE o.net_minor <> coalesce(l.net, 0) OR o.tax_minor <> coalesce(l.tax, 0)
            OR o.total_minor <> coalesce(l.gross, 0);
    RETURN QUERY SELECT 'order_lines_differ_from_stock', count(*) FROM @extschema@.order_lines AS l
        JOIN @extschema@.stock_reservations AS r ON r.id = l.reservation_id
        JOIN @extschema@.orders AS o ON o.id = l.order_id
        -- What was paid for is committed before it is sent; what of that is cancelled has returned.
        WHERE l.quantity <> r.quantity OR l.cancelled + l.returned <> r.released + r.returned
            OR r.returned < l.returned OR r.committed - r.returned < l.fulfilled - l.returned
            OR o.status = 'placed' AND r.committed <> l.fulfilled;
    RETURN QUERY SELECT 'order_discounts_differ', count(*) FROM (
        SELECT d.order_id, sum(d.discount_minor) AS granted FROM @extschema@.order_discounts AS d GROUP BY d.order_id)
            AS d
        FULL JOIN (SELECT l.order_id, sum(l.granted_minor) AS given FROM @extschema@.order_lines AS l
                   WHERE l.granted_minor > 0 GROUP BY l.order_id) AS l ON l.order_id = d.order_id
        WHERE coalesce(l.given, 0) > coalesce(d.granted, 0);
    RETURN QUERY SELECT 'product_facets_differ', count(*) FROM @extschema@.products AS p
        WHERE @extschema@._product_facets(p) <> ARRAY(SELECT f.facet FROM @extschema@.product_facets AS f
                     WHERE f.product_id = p.id AND f.name = p.name ORDER BY f.facet);
    RETURN QUERY SELECT 'order_events_have_gaps', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT e.order_id, count(*) AS count, max(e.seq) AS last
                   FROM @extschema@.order_events AS e GROUP BY e.order_id) AS e ON e.order_id = o.id
        WHERE o.event_count <> coalesce(e.count, 0) OR o.event_count <> coalesce(e.last, 0);
    RETURN QUERY SELECT 'order_status_differs', count(*) FROM @extschema@.orders AS o
        LEFT JOIN (SELECT l.order_id, bool_and(l.fulfilled + l.cancelled = l.quantity) AS is_done
                   FROM @extschema@.order_lines AS l GROUP BY l.order_id) AS l ON l.order_id = o.id
        WHERE o.status = 'placed' AND o.paid_minor >= o.total_minor
            OR o.status = 'paid' AND l.is_done OR o.status IN ('fulfilled', 'completed') AND NOT l.is_done
            OR o.paid_minor - o.kept_minor > CASE WHEN o.placed_at IS NOT NULL THEN o.total_minor ELSE 0 END
                AND o.status <> 'cart';
END
$$;
CREATE FUNCTION @extschema@._shop_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.stock_levels');
BEGIN
    -- Of many levels a sample is counted: an index of those that are out would be changed by every movement.
    RETURN QUERY SELECT 'usher_shop_levels_out', '{}'::jsonb, round(count(*) * 100 / percent)::double precision,
            'Products of which a location has none left.'
        FROM @extschema@.stock_levels AS l TABLESAMPLE SYSTEM (percent) WHERE l.on_hand - l.reserved <= 0;
    RETURN QUERY SELECT 'usher_shop_reservations_overdue', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.stock_reservations AS r
            WHERE r.status = 'held' AND r.expires_at <= now()$sql$)::double precision,
        'Reservations that have run out and wait for upkeep.';
END
$$;
COMMENT ON FUNCTION @extschema@._shop_metrics() IS 'The part of usher_shop in usher.metrics().';
SELECT usher.register_extension('Products with prices, stock that cannot be promised twice, and orders',
    error_class => 'UC',
    error_codes => @extschema@._shop_error_codes(),
    hooks => '{
        "upkeep": "_shop_upkeep", "self_check": "_shop_self_check", "configuration": "_shop_configuration",
        "metrics": "_shop_metrics", "health": "_shop_health", "export": "_export_shop", "erase": "_erase_shop",
        "purchase": "_purchase_of"}',
    personal_data => $json$
    {
        "products": {"user": ["created_by"], "impersonal": ["attributes", "category", "description", "kind", "name",
            "search_words", "sku", "status", "tax_class", "unit", "variant_of"]},
        "product_facets": {"impersonal": ["*"]},
        "product_prices": {"user": ["created_by"], "impersonal": ["currency", "location_id", "product_id"]},
        "tax_rates": {"user": ["created_by"], "impersonal": ["location_id", "tax_class"]},
        "stock_levels": {"impersonal": ["*"]},
        "stock_reservations": {"user": ["created_by"], "impersonal": ["location_id", "product_id", "reference_id",
            "reference_type", "status"]},
        "inventory_logs": {"user": ["actor_id"], "impersonal": ["id", "location_id", "movement", "product_id",
            "reason_code", "source_id", "source_type"]},
        "_inventory_dump": {"user": ["actor_id"], "impersonal": ["location_id", "movement", "product_id",
            "reason_code", "source_id", "source_type"]},
        "inventory_openings": {"impersonal": ["*"]},
        "stock_counts": {"user": ["started_by", "finished_by"], "impersonal": ["location_id", "status"]},
        "orders": {"user": ["created_by", "customer_id", "user_id"], "personal": ["notes", "ship_to"], "impersonal": [
            "currency", "location_id", "reason_code", "reference_id", "reference_type", "status"]},
        "order_lines": {"impersonal": ["*"]},
        "order_discounts": {"impersonal": ["*"]},
        "order_events": {"user": ["actor_id"], "personal": ["payload"], "impersonal": ["event", "from_status",
            "order_id", "reason_code", "to_status"]},
        "service_materials": {"impersonal": ["*"]},
        "stock_count_lines": {"user": ["recorded_by"], "impersonal": ["count_id", "product_id"]}
    }$json$,
    settings => '[
        {"name": "shop.currency", "type": "text", "default_value": "EUR",
         "description": "Currency of prices where none is named."},
        {"name": "shop.payment_minutes", "type": "integer", "default_value": "60",
         "description": "Minutes in which a placed order has to be paid before it is cancelled."},
        {"name": "shop.log_retention", "type": "integer", "default_value": "730",
         "description": "Days that movements of stock are kept before they become an opening balance; 0: for ever."}]',
    role_presets => $json$
    {
        "shop": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "shop_clerk": {"description": "Sells at a location", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "order:read", "order:manage", "order:fulfil"]},
                "stock_keeper": {"description": "Keeps the stock of a location", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "stock:manage", "order:read", "order:fulfil"]},
                "shop_manager": {"description": "Answers for products and stock", "manages": ["shop_clerk",
                    "stock_keeper"], "permissions": ["product:manage", "stock:read", "stock:reserve", "stock:manage",
                    "order:read", "order:manage", "order:fulfil", "order:discount"]}
            }
        },
        "carwash": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["product:manage", "stock:read", "stock:reserve",
                    "stock:manage", "order:read", "order:manage", "order:fulfil", "order:discount"]}
            }
        },
        "clinic": {
            "permissions": {"product:manage": "Change products, prices and taxes", "stock:read": "See stock",
                "stock:reserve": "Reserve and release stock", "stock:manage": "Receive, move, count and send stock",
                "order:read": "See orders", "order:manage": "Make, place and cancel orders of others",
                "order:fulfil": "Send what was ordered, and take it back", "order:discount": "Give discounts"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["product:manage", "stock:read", "stock:reserve", "stock:manage", "order:read",
                    "order:manage", "order:fulfil", "order:discount"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "stock:read", "stock:reserve", "order:read", "order:manage", "order:fulfil"]}
            }
        }
    }$json$,
    publishes => '{product.created,product.activated,product.archived,stock.low,stock.out,stock.short,order.placing,
        order.placed,order.paid,order.fulfilled,order.recalled,order.completed,order.returned,order.cancelled,
        order.abandoned,order.total_changed,order.refund_proposed}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'create_product update_product set_product_status set_price remove_future_price list_prices set_tax_rate
          list_tax_rates get_product search_products receive_stock adjust_stock transfer_stock set_stock_limits
          reserve_stock commit_stock release_stock return_stock recall_stock expire_reservations start_stock_count
          record_count finish_stock_count cancel_stock_count get_stock_level list_availability list_inventory_log
          create_order set_order_line discount_order_line preview_order place_order fulfil_order recall_order
          cancel_order
          return_order complete_order record_order_payment add_order_event get_order list_orders list_order_events
          set_service_materials'),
        -- For the row-level security policies.
        ('function', '{application,gateway,admin}', '_shop_reads_all'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'products active_products stock_levels orders'),
        ('table', '{auditor,admin}', 'product_prices product_facets tax_rates stock_reservations inventory_logs
          inventory_openings
          stock_counts stock_count_lines order_lines order_discounts order_events
          service_materials'))
            AS v (kind, levels, names)) AS a));
-- What a loop makes in the install script.
SELECT usher.subscribe(v.event, 'usher_shop', format('@extschema@.%s(text,jsonb)', v.handler)::regprocedure, 'sync')
FROM (VALUES ('refund.requested', '_on_order_payment'), ('refund.failed', '_on_order_payment'),
    ('refund.cancelled', '_on_order_payment'), ('payment.disputed', '_on_order_payment'),
    ('payment.dispute_closed', '_on_order_payment')) AS v (event, handler);
SELECT usher.add_route(method => 'POST', path_template => v.path,
    function => format('@extschema@.%s', v.signature)::regprocedure, access => 'authenticated',
    permission => v.permission, success_status => v.success_status, summary => v.summary, tag => 'shop',
    rate_limit => CASE WHEN v.path LIKE '/orders%' THEN 'shop.order' END)
FROM (VALUES
    ('/orders/{order_id}/events', 'add_order_event(uuid,text,jsonb,text)', 'order:manage', 201,
     'Write something down about an order'),
    ('/orders/{order_id}/return', 'return_order(uuid,jsonb,text,integer)', 'order:fulfil', 200, 'Lines came back'),
    ('/tax-rates', 'set_tax_rate(text,integer,timestamptz,uuid)', 'product:manage', 204,
     'Set a tax rate from a time on')) AS v (path, signature, permission, success_status, summary);

SELECT usher.finish_extension();

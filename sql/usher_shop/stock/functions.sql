-- Changing stock: each function checks who asks, and moves levels by the one rule in C++.

CREATE TYPE @extschema@.stock_receipt AS (on_hand bigint, reserved bigint, available bigint, log_id uuid);
COMMENT ON TYPE @extschema@.stock_receipt IS 'What a level is after a movement, and the row of the log that says so.';

CREATE TYPE @extschema@.stock_limits AS (low_threshold bigint, backorder_limit bigint);
COMMENT ON TYPE @extschema@.stock_limits IS 'What set_stock_limits() has left in force.';

CREATE FUNCTION @extschema@._check_stock_level() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_check_level';
COMMENT ON FUNCTION @extschema@._check_stock_level() IS
    'Row trigger of stock_levels: what is reserved follows from reservations, and is never more than may be promised.';

CREATE FUNCTION @extschema@._follow_stock_level() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_follow_level';
COMMENT ON FUNCTION @extschema@._follow_stock_level() IS
    'Row trigger of stock_levels: every change is logged, and running low or out is published once.';

CREATE FUNCTION @extschema@._guard_stock_levels() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_guard_levels';
COMMENT ON FUNCTION @extschema@._guard_stock_levels() IS
    'Trigger of stock_levels and stock_reservations: raises UC004 for DELETE and TRUNCATE.';

CREATE FUNCTION @extschema@._guard_inventory_log() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_guard_log';
COMMENT ON FUNCTION @extschema@._guard_inventory_log() IS
    'Trigger of inventory_logs: raises UC004 for whatever is no movement of a level, whoever does it.';

CREATE FUNCTION @extschema@._move_stock(product_id uuid, location_id uuid, delta bigint, movement text,
                                        source_type text, source_id uuid, reason_code text, unit_cost_minor bigint)
    RETURNS @extschema@.stock_receipt
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_move_stock';
COMMENT ON FUNCTION @extschema@._move_stock(uuid, uuid, bigint, text, text, uuid, text, bigint) IS
    'Adds to what is on hand. UC002 when less would be there than is reserved.';

CREATE FUNCTION @extschema@.receive_stock(product_id uuid, location_id uuid, quantity bigint,
                                          unit_cost_minor bigint DEFAULT NULL, source_type text DEFAULT NULL,
                                          source_id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.stock_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    receipt @extschema@.stock_receipt;
    answer jsonb;
BEGIN
    PERFORM @extschema@._shop_require('stock:manage', receive_stock.location_id);
    IF quantity IS NULL OR quantity < 1 THEN
        PERFORM usher.raise_error('invalid_argument', 'quantity must be at least 1',
                                  jsonb_build_object('argument', 'quantity'));
    END IF;
    answer := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function', 'receive_stock',
        'product_id', receive_stock.product_id, 'location_id', receive_stock.location_id, 'quantity', quantity,
        'unit_cost_minor', receive_stock.unit_cost_minor, 'source_type', receive_stock.source_type,
        'source_id', receive_stock.source_id));
    IF answer IS NOT NULL THEN
        RETURN jsonb_populate_record(receipt, answer);
    END IF;
    -- A delivery comes once: whoever books it waits for the level, and then finds it in the log.
    IF receive_stock.source_id IS NOT NULL THEN
        PERFORM FROM @extschema@.stock_levels AS l
        WHERE l.product_id = receive_stock.product_id AND l.location_id = receive_stock.location_id
        FOR NO KEY UPDATE;
        SELECT g.on_hand_after, g.reserved_after, g.on_hand_after - g.reserved_after, g.id INTO receipt
        FROM @extschema@.inventory_logs AS g
        WHERE g.product_id = receive_stock.product_id AND g.location_id = receive_stock.location_id
            AND g.movement = 'purchase' AND g.source_id = receive_stock.source_id
            AND g.source_type IS NOT DISTINCT FROM receive_stock.source_type
        LIMIT 1;
    END IF;
    IF receipt.log_id IS NULL THEN
        receipt := @extschema@._move_stock(receive_stock.product_id, receive_stock.location_id, quantity, 'purchase',
            receive_stock.source_type, receive_stock.source_id, NULL, receive_stock.unit_cost_minor);
    END IF;
    PERFORM usher.remember_call('usher_shop', idempotency_key, to_jsonb(receipt));
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.receive_stock(uuid, uuid, bigint, bigint, text, uuid, text) IS
    'Goods have come: a product of one source (a delivery) is booked once at a location, and answered again. Needs '
    'stock:manage, everywhere or at the location.';

CREATE FUNCTION @extschema@.adjust_stock(product_id uuid, location_id uuid, delta bigint, reason_code text,
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
COMMENT ON FUNCTION @extschema@.adjust_stock(uuid, uuid, bigint, text, text) IS
    'Found, lost, broken: adds delta to what is on hand, for a reason ("damaged"). UC002 when less would be there '
    'than is reserved. Needs stock:manage, everywhere or at the location.';

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

CREATE FUNCTION @extschema@.set_stock_limits(product_id uuid, location_id uuid, low_threshold bigint DEFAULT NULL,
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
COMMENT ON FUNCTION @extschema@.set_stock_limits(uuid, uuid, bigint, bigint) IS
    'When stock.low is published, and how much may be promised before it is there; NULL leaves one as it is. UC002 '
    'when more is promised already. Needs stock:manage, everywhere or at the location.';

-- Counting stock. What is counted is compared with the books of that moment, so that shops need not close: what moves
-- between counting and booking changes no difference.

CREATE FUNCTION @extschema@._lock_count(count_id uuid) RETURNS @extschema@.stock_counts
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.stock_counts;
BEGIN
    SELECT * INTO known FROM @extschema@.stock_counts AS c WHERE c.id = _lock_count.count_id FOR NO KEY UPDATE;
    PERFORM @extschema@._shop_require('stock:manage', known.location_id);
    IF known.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'stock count does not exist',
                                  jsonb_build_object('count_id', _lock_count.count_id));
    ELSIF known.status <> 'open' THEN
        PERFORM usher.raise_error('count_closed', format('stock count is %s', known.status),
                                  jsonb_build_object('count_id', known.id, 'status', known.status));
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_count(uuid) IS 'The stock count, locked, for somebody who may work on it.';

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

CREATE FUNCTION @extschema@.finish_stock_count(count_id uuid)
    RETURNS TABLE (product_id uuid, expected bigint, counted bigint, difference bigint, on_hand bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.stock_counts := @extschema@._lock_count(finish_stock_count.count_id);
    line @extschema@.stock_count_lines;
BEGIN
    FOR line IN SELECT * FROM @extschema@.stock_count_lines AS c WHERE c.count_id = known.id ORDER BY c.product_id
    LOOP
        product_id := line.product_id;
        expected := line.expected;
        counted := line.counted;
        difference := counted - expected;
        IF difference <> 0 THEN
            on_hand := (@extschema@._move_stock(line.product_id, known.location_id, difference, 'count',
                                                'stock_count', known.id, NULL, NULL)).on_hand;
        ELSE
            SELECT l.on_hand INTO on_hand FROM @extschema@.stock_levels AS l
            WHERE l.product_id = line.product_id AND l.location_id = known.location_id;
        END IF;
        RETURN NEXT;
    END LOOP;
    UPDATE @extschema@.stock_counts AS c
    SET status = 'finished', finished_by = usher.actor_id(), finished_at = clock_timestamp()
    WHERE c.id = known.id;
END
$$;
COMMENT ON FUNCTION @extschema@.finish_stock_count(uuid) IS
    'Books what was counted less what was expected, product by product, all or nothing. UC002 when less would be '
    'there than is reserved, UC006 when the count is over. Needs stock:manage, everywhere or at the location.';

CREATE FUNCTION @extschema@.cancel_stock_count(count_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.stock_counts := @extschema@._lock_count(cancel_stock_count.count_id);
BEGIN
    UPDATE @extschema@.stock_counts AS c
    SET status = 'cancelled', finished_by = usher.actor_id(), finished_at = clock_timestamp()
    WHERE c.id = known.id;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_stock_count(uuid) IS
    'Gives a count up: nothing is booked. UC006 when it is over. Needs stock:manage, everywhere or at the location.';

-- Claims on stock. The row triggers of stock_reservations do the work; these functions say who may, and in which
-- order.

CREATE TYPE @extschema@.reservation_receipt AS (
    reservation_id uuid, product_id uuid, location_id uuid, quantity bigint, available_after bigint,
    expires_at timestamptz);
COMMENT ON TYPE @extschema@.reservation_receipt IS
    'What was reserved of one product at one location, all lines together, and what is left for others.';

CREATE TYPE @extschema@.reservation_state AS (
    reservation_id uuid, status text, open bigint, committed bigint, returned bigint, replayed boolean);
COMMENT ON TYPE @extschema@.reservation_state IS
    'Where a reservation stands; replayed: it stood there already, or the call was made before.';

CREATE FUNCTION @extschema@._check_reservation() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_check_reservation';
COMMENT ON FUNCTION @extschema@._check_reservation() IS
    'Row trigger of stock_reservations: what may become of one, and its status and amounts from each other.';

CREATE FUNCTION @extschema@._follow_reservation() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_follow_reservation';
COMMENT ON FUNCTION @extschema@._follow_reservation() IS
    'Row trigger of stock_reservations: the level follows. UC001 when more is asked for than is available.';

CREATE FUNCTION @extschema@.reserve_stock(lines jsonb, reference_type text DEFAULT NULL,
                                          reference_id uuid DEFAULT NULL, ttl interval DEFAULT '15 minutes',
                                          idempotency_key text DEFAULT NULL)
    RETURNS SETOF @extschema@.reservation_receipt
    LANGUAGE c VOLATILE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_shop_reserve';
COMMENT ON FUNCTION @extschema@.reserve_stock(jsonb, text, uuid, interval, text) IS
    'Claims [{"product_id", "location_id", "quantity"}, …] for a while (NULL: until it is released), all of it or '
    'nothing; lines of one product are added up first. UC001 when more is asked for than is available. Needs '
    'stock:reserve, everywhere or at the locations.';

CREATE FUNCTION @extschema@._change_reservation(reservation_id uuid, change text, quantity bigint)
    RETURNS @extschema@.reservation_state
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    known @extschema@.stock_reservations;
    amount bigint;
    state @extschema@.reservation_state;
BEGIN
    SELECT * INTO known FROM @extschema@.stock_reservations AS r
    WHERE r.id = _change_reservation.reservation_id FOR NO KEY UPDATE;
    PERFORM @extschema@._shop_require(CASE change WHEN 'release' THEN 'stock:reserve' ELSE 'stock:manage' END,
                                      known.location_id);
    IF known.id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'reservation does not exist',
                                  jsonb_build_object('reservation_id', _change_reservation.reservation_id));
    ELSIF quantity < 1 THEN
        PERFORM usher.raise_error('invalid_argument', 'quantity must be at least 1',
                                  jsonb_build_object('argument', 'quantity'));
    ELSIF EXISTS (SELECT FROM @extschema@.order_lines AS l WHERE l.reservation_id = known.id) THEN
        PERFORM usher.raise_error('illegal_transition', 'reservation is that of an order',
            jsonb_build_object('reservation_id', known.id, 'order_id', known.reference_id),
            'Send, cancel or return lines of the order.');
    END IF;
    state := (known.id, known.status, known.quantity - known.committed - known.released, known.committed,
              known.returned, true);
    -- All of it, again: nothing is left to do.
    IF quantity IS NULL AND (state.open = 0 AND change = 'commit' AND known.committed > 0
                             OR state.open = 0 AND change = 'release' AND known.released > 0
                             OR change IN ('return', 'recall') AND known.committed = known.returned) THEN
        RETURN state;
    END IF;
    amount := coalesce(quantity, CASE change WHEN 'return' THEN known.committed - known.returned
        WHEN 'recall' THEN known.committed - known.returned ELSE state.open END);
    -- Nothing open: what was asked for is refused as too much.
    amount := greatest(amount, 1);
    UPDATE @extschema@.stock_reservations AS r
    SET committed = r.committed + CASE change WHEN 'commit' THEN amount WHEN 'recall' THEN -amount ELSE 0 END,
        released = r.released + CASE change WHEN 'release' THEN amount ELSE 0 END,
        returned = r.returned + CASE change WHEN 'return' THEN amount ELSE 0 END
    WHERE r.id = known.id
    RETURNING r.id, r.status, r.quantity - r.committed - r.released, r.committed, r.returned, false INTO state;
    RETURN state;
END
$$;
COMMENT ON FUNCTION @extschema@._change_reservation(uuid, text, bigint) IS
    'commit, release, return or recall: a part of a reservation, or all that is left.';

CREATE FUNCTION @extschema@._change_reservation_once(reservation_id uuid, change text, quantity bigint,
                                                     idempotency_key text)
    RETURNS @extschema@.reservation_state
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state @extschema@.reservation_state;
    answer CONSTANT jsonb := usher.replay_call('usher_shop', idempotency_key, jsonb_build_object('function',
        change || '_stock', 'reservation_id', reservation_id, 'quantity', quantity));
BEGIN
    IF answer IS NOT NULL THEN
        RETURN jsonb_populate_record(state, answer || '{"replayed": true}');
    END IF;
    state := @extschema@._change_reservation(reservation_id, change, quantity);
    PERFORM usher.remember_call('usher_shop', idempotency_key, to_jsonb(state));
    RETURN state;
END
$$;
COMMENT ON FUNCTION @extschema@._change_reservation_once(uuid, text, bigint, text) IS
    'The same, once for each idempotency key.';

CREATE FUNCTION @extschema@.commit_stock(reservation_id uuid, quantity bigint DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.reservation_state
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN @extschema@._change_reservation_once(reservation_id, 'commit', quantity, idempotency_key);
COMMENT ON FUNCTION @extschema@.commit_stock(uuid, bigint, text) IS
    'What was reserved, or a part of it, leaves. UC003 when it has expired, or less of it is left. Needs '
    'stock:manage, everywhere or at the location.';

CREATE FUNCTION @extschema@.release_stock(reservation_id uuid, quantity bigint DEFAULT NULL,
                                          idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.reservation_state
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN @extschema@._change_reservation_once(reservation_id, 'release', quantity, idempotency_key);
COMMENT ON FUNCTION @extschema@.release_stock(uuid, bigint, text) IS
    'What was reserved, or a part of it, is free again. UC003 when less of it is left. Needs stock:reserve, '
    'everywhere or at the location.';

CREATE FUNCTION @extschema@.return_stock(reservation_id uuid, quantity bigint DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.reservation_state
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN @extschema@._change_reservation_once(reservation_id, 'return', quantity, idempotency_key);
COMMENT ON FUNCTION @extschema@.return_stock(uuid, bigint, text) IS
    'What had left, or a part of it, came back and is free. UC003 when less of it is out. Needs stock:manage, '
    'everywhere or at the location.';

CREATE FUNCTION @extschema@.recall_stock(reservation_id uuid, quantity bigint DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.reservation_state
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN @extschema@._change_reservation_once(reservation_id, 'recall', quantity, idempotency_key);
COMMENT ON FUNCTION @extschema@.recall_stock(uuid, bigint, text) IS
    'What had left, or a part of it, did not leave after all: it is reserved again. UC003 when less of it is out. '
    'Needs stock:manage, everywhere or at the location.';

CREATE FUNCTION @extschema@._expire_reservations(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    overdue record;
    ended bigint := 0;
BEGIN
    -- One after the other, in the order in which levels are taken.
    FOR overdue IN SELECT o.id FROM (
            SELECT r.id, r.product_id, r.location_id FROM @extschema@.stock_reservations AS r
            WHERE r.status = 'held' AND r.expires_at <= clock_timestamp()
            ORDER BY r.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED) AS o
        ORDER BY o.product_id, o.location_id, o.id
    LOOP
        UPDATE @extschema@.stock_reservations AS r SET status = 'expired' WHERE r.id = overdue.id;
        ended := ended + 1;
    END LOOP;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION @extschema@._expire_reservations(integer) IS
    'Ends reservations that are over; those that somebody is at are left alone.';

CREATE FUNCTION @extschema@.expire_reservations(max_rows integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._shop_require('stock:manage', NULL);
    RETURN @extschema@._expire_reservations(max_rows);
END
$$;
COMMENT ON FUNCTION @extschema@.expire_reservations(integer) IS
    'Ends reservations that are over, the oldest first; upkeep does it too, and whoever finds too little. Returns how '
    'many. Needs stock:manage.';

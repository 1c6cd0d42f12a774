-- What becomes of placed orders, line by line. Lines are named by [{"line_no", "quantity"}, …]; NULL stands for all
-- that can be.

CREATE FUNCTION @extschema@._take_levels(order_ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM @extschema@.stock_levels AS l
    WHERE (l.product_id, l.location_id) IN (
        SELECT r.product_id, r.location_id FROM @extschema@.stock_reservations AS r
        WHERE r.reference_id = ANY (order_ids) AND r.reference_type = 'order')
    ORDER BY l.product_id, l.location_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION @extschema@._take_levels(uuid[]) IS
    'For whoever changes several lines or orders at once: takes their levels first, in the order of levels.';

CREATE FUNCTION @extschema@._order_progress(order_id uuid, change text, lines jsonb) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    unknown integer;
    moved bigint;
BEGIN
    IF lines IS NOT NULL AND (jsonb_typeof(lines) <> 'array' OR jsonb_array_length(lines) NOT BETWEEN 1 AND 1000
        OR EXISTS (SELECT FROM jsonb_array_elements(lines) AS e
            WHERE jsonb_typeof(e.value) <> 'object' OR NOT coalesce(
                e.value ->> 'line_no' ~ '^[1-9][0-9]{0,8}$' AND jsonb_typeof(e.value -> 'line_no') = 'number'
                AND e.value ->> 'quantity' ~ '^[1-9][0-9]{0,11}$'
                AND jsonb_typeof(e.value -> 'quantity') = 'number', false))) THEN
        PERFORM usher.raise_error('invalid_argument',
            'lines must be an array of line_no and quantity (whole numbers above 0)',
            jsonb_build_object('argument', 'lines'));
    END IF;
    SELECT (e.value ->> 'line_no')::integer INTO unknown FROM jsonb_array_elements(lines) AS e
    WHERE NOT EXISTS (SELECT FROM @extschema@.order_lines AS l WHERE l.order_id = _order_progress.order_id
                      AND l.line_no = (e.value ->> 'line_no')::integer) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'line does not exist',
            jsonb_build_object('order_id', _order_progress.order_id, 'line_no', unknown));
    END IF;
    PERFORM @extschema@._take_levels(ARRAY[_order_progress.order_id]);
    -- In one statement: the order is settled once, after all of its lines.
    WITH wanted AS (
        SELECT (e.value ->> 'line_no')::integer AS line_no, sum((e.value ->> 'quantity')::bigint)::bigint AS quantity
        FROM jsonb_array_elements(lines) AS e GROUP BY 1
    ), parts AS (
        SELECT l.id, coalesce(w.quantity, CASE WHEN change IN ('fulfil', 'cancel')
            THEN l.quantity - l.fulfilled - l.cancelled ELSE l.fulfilled - l.returned END) AS quantity
        FROM @extschema@.order_lines AS l LEFT JOIN wanted AS w ON w.line_no = l.line_no
        WHERE l.order_id = _order_progress.order_id AND (lines IS NULL OR w.line_no IS NOT NULL)
    ), changed AS (
        UPDATE @extschema@.order_lines AS l
        SET fulfilled = l.fulfilled + CASE change WHEN 'fulfil' THEN p.quantity
                                                  WHEN 'recall' THEN -p.quantity ELSE 0 END,
            cancelled = l.cancelled + CASE change WHEN 'cancel' THEN p.quantity ELSE 0 END,
            returned = l.returned + CASE change WHEN 'return' THEN p.quantity ELSE 0 END
        FROM parts AS p
        WHERE l.id = p.id AND p.quantity > 0
        RETURNING p.quantity
    )
    SELECT coalesce(sum(c.quantity), 0) INTO moved FROM changed AS c;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION @extschema@._order_progress(uuid, text, jsonb) IS
    'fulfil, recall, cancel or return: parts of lines, or all that can be. Returns how many units that were.';

CREATE FUNCTION @extschema@._require_placed(known @extschema@.orders) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF known.status IN ('cart', 'cancelled') THEN
        PERFORM usher.raise_error('illegal_transition', format('order is %s', known.status),
                                  jsonb_build_object('order_id', known.id, 'status', known.status));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_placed(@extschema@.orders) IS 'Raises US001 for carts and what is cancelled.';

CREATE FUNCTION @extschema@.fulfil_order(order_id uuid, lines jsonb DEFAULT NULL,
                                         expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(fulfil_order.order_id, 'order:fulfil', false,
                                                         expected_version);
BEGIN
    PERFORM @extschema@._require_placed(known);
    PERFORM @extschema@._order_progress(known.id, 'fulfil', lines);
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.fulfil_order(uuid, jsonb, integer) IS
    'Parts of lines, or all that is left, are sent or handed out: their stock leaves. Paid and all sent, the order is '
    'fulfilled. Needs order:fulfil, everywhere or at the location. UC008 for more than is left.';

CREATE FUNCTION @extschema@.recall_order(order_id uuid, lines jsonb DEFAULT NULL,
                                         expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(recall_order.order_id, 'order:fulfil', false,
                                                         expected_version);
BEGIN
    PERFORM @extschema@._require_placed(known);
    PERFORM @extschema@._order_progress(known.id, 'recall', lines);
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.recall_order(uuid, jsonb, integer) IS
    'What was noted as sent was not: its stock is reserved again. Needs order:fulfil, everywhere or at the location.';

CREATE FUNCTION @extschema@._cancel_order(known @extschema@.orders, reason_code text, lines jsonb) RETURNS void
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
COMMENT ON FUNCTION @extschema@._cancel_order(@extschema@.orders, text, jsonb) IS
    'What was not sent is given up, and its stock is free.';

CREATE FUNCTION @extschema@.cancel_order(order_id uuid, reason_code text DEFAULT 'customer_request',
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
COMMENT ON FUNCTION @extschema@.cancel_order(uuid, text, jsonb, integer) IS
    'Gives up what was not sent, or parts of lines; what is paid too much then is proposed for refund. Nothing sent '
    'and nothing left, the order is cancelled. One''s own, or with order:manage. US001 when all of it was sent.';

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

CREATE FUNCTION @extschema@.complete_order(order_id uuid, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.order_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.orders := @extschema@._lock_order(complete_order.order_id, 'order:fulfil', false,
                                                         expected_version);
BEGIN
    IF known.status <> 'completed' THEN
        PERFORM @extschema@._end_order(known.id, 'completed');
    END IF;
    RETURN @extschema@._order_now(known.id);
END
$$;
COMMENT ON FUNCTION @extschema@.complete_order(uuid, integer) IS
    'A fulfilled order is over; returns are possible still. Needs order:fulfil, everywhere or at the location. US001 '
    'when it is not fulfilled.';

CREATE FUNCTION @extschema@.record_order_payment(order_id uuid, amount_minor bigint,
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

CREATE FUNCTION @extschema@._end_overdue(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    late_orders CONSTANT uuid[] := ARRAY(SELECT o.id FROM @extschema@.orders AS o
        WHERE o.expires_at <= clock_timestamp() AND o.status = 'placed'
        ORDER BY o.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED);
    late_holds CONSTANT uuid[] := ARRAY(SELECT r.id FROM @extschema@.stock_reservations AS r
        WHERE r.status = 'held' AND r.expires_at <= clock_timestamp()
        ORDER BY r.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED);
    late @extschema@.orders;
BEGIN
    -- The levels of all of them first, in the order of levels: others take several, too.
    PERFORM FROM @extschema@.stock_levels AS l
    WHERE (l.product_id, l.location_id) IN (
        SELECT r.product_id, r.location_id FROM @extschema@.stock_reservations AS r
        WHERE r.id = ANY (late_holds) OR r.reference_id = ANY (late_orders) AND r.reference_type = 'order')
    ORDER BY l.product_id, l.location_id FOR NO KEY UPDATE;
    UPDATE @extschema@.stock_reservations AS r SET status = 'expired' WHERE r.id = ANY (late_holds);
    FOR late IN SELECT o.* FROM @extschema@.orders AS o WHERE o.id = ANY (late_orders) ORDER BY o.id LOOP
        PERFORM @extschema@._cancel_order(late, 'expired', NULL);
        -- Of one that was sent in part, the rest is to be paid as before.
        UPDATE @extschema@.orders AS o SET expires_at = NULL WHERE o.id = late.id AND o.expires_at IS NOT NULL;
    END LOOP;
    RETURN cardinality(late_orders) + cardinality(late_holds);
END
$$;
COMMENT ON FUNCTION @extschema@._end_overdue(integer) IS
    'Ends reservations that are over, and orders that were not paid in time.';

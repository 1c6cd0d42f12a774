CREATE TYPE @extschema@.points_receipt AS (entry_id uuid, balance bigint, replayed boolean);
COMMENT ON TYPE @extschema@.points_receipt IS
    'An entry of the ledger of points, and what the customer can spend after it; replayed: by an earlier call.';

CREATE FUNCTION @extschema@._post_entry() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_post_entry';
COMMENT ON FUNCTION @extschema@._post_entry() IS
    'Row trigger of points_entries: account and lots follow, with an event. Raises UL001 for more than there is.';

CREATE FUNCTION @extschema@._keep_rows() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_loyalty_keep_rows';
COMMENT ON FUNCTION @extschema@._keep_rows() IS
    'Trigger: facts are only added, and what follows from them is not written by hand. Its first argument is "fact" '
    'or "follows", the others are columns that may be changed.';

CREATE FUNCTION @extschema@._on_purchase(event text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_on_purchase';
COMMENT ON FUNCTION @extschema@._on_purchase(text, jsonb) IS
    'Handler of what is bought, paid, refunded and cancelled: points are earned once for each source and rule, and '
    'taken back in proportion to what of it does not count.';

CREATE FUNCTION @extschema@._open_account(customer_id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_open_account';
COMMENT ON FUNCTION @extschema@._open_account(uuid) IS
    'Makes the account of points of a customer unless there is one. US005 for a user who is not active.';

CREATE FUNCTION @extschema@._loyalty_person() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    SELECT CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END;
END;
COMMENT ON FUNCTION @extschema@._loyalty_person() IS
    'The user who acts for themselves; not an API key, which may do what it holds a permission for.';

CREATE FUNCTION @extschema@._loyalty_sees(customer_id uuid, permission text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    person CONSTANT uuid := @extschema@._loyalty_person();
BEGIN
    IF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission(permission);
        RETURN true;
    END IF;
    RETURN coalesce(person = _loyalty_sees.customer_id, false) OR usher.has_permission(permission)
        OR EXISTS (SELECT FROM @extschema@.points_accounts AS a
                   WHERE a.customer_id = _loyalty_sees.customer_id AND a.user_id = person);
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_sees(uuid, text) IS
    'Whether the actor is the customer, or holds the permission.';

CREATE FUNCTION @extschema@._require_customer(customer_id uuid, permission text) RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := coalesce(_require_customer.customer_id, @extschema@._loyalty_person());
BEGIN
    IF NOT @extschema@._loyalty_sees(target, permission) THEN
        PERFORM usher.raise_error('not_permitted', format('permission "%s" is needed', permission),
                                  jsonb_build_object('permission', permission));
    ELSIF target IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'customer_id is needed',
                                  jsonb_build_object('argument', 'customer_id'));
    END IF;
    RETURN target;
END
$$;
COMMENT ON FUNCTION @extschema@._require_customer(uuid, text) IS
    'The customer that is meant, by default the actor. Raises 42501 for somebody else without the permission.';

CREATE FUNCTION @extschema@._require_points(points bigint) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF points IS NULL OR points NOT BETWEEN 1 AND 1000000000000 THEN
        PERFORM usher.raise_error('invalid_argument', 'points must be between 1 and 1000000000000',
                                  jsonb_build_object('argument', 'points'));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_points(bigint) IS 'Raises 22023 for what cannot be earned or spent.';

CREATE FUNCTION @extschema@._spendable(customer_id uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(sum(l.points_left), 0) FROM @extschema@.points_lots AS l
            WHERE l.customer_id = _spendable.customer_id AND l.points_left > 0
                AND coalesce(l.expires_at > statement_timestamp(), true));
END
$$;
COMMENT ON FUNCTION @extschema@._spendable(uuid) IS
    'The balance without lots whose time is over, which upkeep has not come to yet.';

CREATE FUNCTION @extschema@._answer_points(idempotency_key text, entry uuid, is_replayed boolean)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF idempotency_key IS NOT NULL AND NOT is_replayed THEN
        PERFORM usher.remember_call('usher_loyalty', idempotency_key, to_jsonb(entry));
    END IF;
    RETURN (entry, @extschema@._spendable((SELECT e.customer_id FROM @extschema@.points_entries AS e
                                           WHERE e.id = entry)), is_replayed)::@extschema@.points_receipt;
END
$$;
COMMENT ON FUNCTION @extschema@._answer_points(text, uuid, boolean) IS
    'What functions that add an entry answer, and remember for their key.';

CREATE FUNCTION @extschema@._answer_points_again(answer jsonb, customer_id uuid, reverses uuid DEFAULT NULL)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry CONSTANT uuid := answer #>> '{}';
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.points_entries AS e
                   WHERE e.id = entry AND (e.customer_id = _answer_points_again.customer_id
                                           OR e.reverses = _answer_points_again.reverses)) THEN
        PERFORM usher.raise_error('unknown_reference', 'entry does not exist', jsonb_build_object('entry_id', entry));
    END IF;
    RETURN @extschema@._answer_points(NULL, entry, true);
END
$$;
COMMENT ON FUNCTION @extschema@._answer_points_again(jsonb, uuid, uuid) IS
    'The same for a call that is repeated: the entry is one of the customer, or takes back the one that is named.';

CREATE FUNCTION @extschema@.earn_points(customer_id uuid, points bigint, source_type text DEFAULT NULL,
                                        source_id uuid DEFAULT NULL, rule text DEFAULT 'manual',
                                        expires_at timestamptz DEFAULT NULL, note text DEFAULT NULL,
                                        idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    answer jsonb;
    made uuid;
BEGIN
    PERFORM usher.require_permission('loyalty:earn');
    PERFORM @extschema@._require_points(earn_points.points);
    IF (earn_points.source_type IS NULL) <> (earn_points.source_id IS NULL) THEN
        PERFORM usher.raise_error('invalid_argument', 'source_type and source_id belong together',
                                  jsonb_build_object('argument', 'source_id'));
    END IF;
    answer := usher.replay_call('usher_loyalty', idempotency_key, jsonb_build_array('earn_points',
        earn_points.customer_id, earn_points.points, earn_points.source_type, earn_points.source_id, rule,
        earn_points.expires_at));
    IF answer IS NOT NULL THEN
        RETURN @extschema@._answer_points_again(answer, earn_points.customer_id);
    END IF;
    PERFORM @extschema@._open_account(earn_points.customer_id);
    INSERT INTO @extschema@.points_entries AS e (customer_id, kind, points, source_type, source_id, rule_code,
                                                 expires_at, note, created_by)
    VALUES (earn_points.customer_id, 'earn', earn_points.points, earn_points.source_type, earn_points.source_id,
            coalesce(rule, 'manual'), earn_points.expires_at, earn_points.note, usher.actor_id())
    ON CONFLICT (source_id, source_type, customer_id, rule_code) WHERE kind = 'earn' AND source_id IS NOT NULL
    DO NOTHING
    RETURNING e.id INTO made;
    IF made IS NOT NULL THEN
        PERFORM @extschema@._review_tier(earn_points.customer_id);
        RETURN @extschema@._answer_points(idempotency_key, made, false);
    END IF;
    SELECT e.id INTO made FROM @extschema@.points_entries AS e
    WHERE e.source_id = earn_points.source_id AND e.source_type = earn_points.source_type AND e.kind = 'earn'
        AND e.customer_id = earn_points.customer_id AND e.rule_code = coalesce(rule, 'manual');
    RETURN @extschema@._answer_points(NULL, made, true);
END
$$;
COMMENT ON FUNCTION @extschema@.earn_points(uuid, bigint, text, uuid, text, timestamptz, text, text) IS
    'Gives a customer points, once for each source and rule: a second call answers the same entry. They are lost at '
    'expires_at, unless they are spent before. Needs loyalty:earn.';

CREATE FUNCTION @extschema@.redeem_points(points bigint, customer_id uuid DEFAULT NULL, source_type text DEFAULT NULL,
                                          source_id uuid DEFAULT NULL, note text DEFAULT NULL,
                                          idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(redeem_points.customer_id, 'loyalty:redeem');
    answer jsonb;
    made uuid;
BEGIN
    PERFORM @extschema@._require_points(redeem_points.points);
    answer := usher.replay_call('usher_loyalty', idempotency_key, jsonb_build_array('redeem_points', target,
        redeem_points.points, redeem_points.source_type, redeem_points.source_id));
    IF answer IS NOT NULL THEN
        RETURN @extschema@._answer_points_again(answer, target);
    END IF;
    PERFORM @extschema@._open_account(target);
    INSERT INTO @extschema@.points_entries AS e (customer_id, kind, points, source_type, source_id, note, created_by)
    VALUES (target, 'spend', -redeem_points.points, redeem_points.source_type, redeem_points.source_id,
            redeem_points.note, usher.actor_id())
    RETURNING e.id INTO made;
    RETURN @extschema@._answer_points(idempotency_key, made, false);
END
$$;
COMMENT ON FUNCTION @extschema@.redeem_points(bigint, uuid, text, uuid, text, text) IS
    'Spends points of one''s own, or with loyalty:redeem of a customer, the oldest first. UL001 when there are fewer.';

CREATE FUNCTION @extschema@.give_back_points(entry_id uuid, points bigint DEFAULT NULL, note text DEFAULT NULL,
                                             idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    customer uuid;
    answer jsonb;
    made uuid;
    part bigint := points;
BEGIN
    PERFORM usher.require_permission('loyalty:adjust');
    answer := usher.replay_call('usher_loyalty', idempotency_key,
        jsonb_build_array('give_back_points', give_back_points.entry_id, give_back_points.points));
    IF answer IS NOT NULL THEN
        RETURN @extschema@._answer_points_again(answer, NULL, give_back_points.entry_id);
    END IF;
    SELECT a.customer_id INTO customer
    FROM @extschema@.points_entries AS e JOIN @extschema@.points_accounts AS a ON a.customer_id = e.customer_id
    WHERE e.id = give_back_points.entry_id AND e.kind = 'spend' FOR NO KEY UPDATE OF a;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'spending does not exist',
                                  jsonb_build_object('entry_id', give_back_points.entry_id));
    END IF;
    IF part IS NULL THEN
        SELECT -sum(e.points) INTO part FROM @extschema@.points_entries AS e
        WHERE e.id = give_back_points.entry_id OR e.reverses = give_back_points.entry_id;
    END IF;
    PERFORM @extschema@._require_points(part);
    INSERT INTO @extschema@.points_entries AS e (customer_id, kind, points, reverses, note, created_by)
    VALUES (customer, 'give_back', part, give_back_points.entry_id, give_back_points.note, usher.actor_id())
    RETURNING e.id INTO made;
    RETURN @extschema@._answer_points(idempotency_key, made, false);
END
$$;
COMMENT ON FUNCTION @extschema@.give_back_points(uuid, bigint, text, text) IS
    'Reverses a spending, whole or in part: the points go back to the lots that they came from, with their expiry. '
    'Needs loyalty:adjust.';

CREATE FUNCTION @extschema@.adjust_points(customer_id uuid, points bigint, note text,
                                          expires_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.points_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    answer jsonb;
    made uuid;
BEGIN
    PERFORM usher.require_permission('loyalty:adjust');
    IF points IS NULL OR points = 0 OR points NOT BETWEEN -1000000000000 AND 1000000000000 THEN
        PERFORM usher.raise_error('invalid_argument',
            'points must be between -1000000000000 and 1000000000000, and not 0', '{"argument": "points"}');
    END IF;
    IF coalesce(adjust_points.note, '') = '' THEN
        PERFORM usher.raise_error('invalid_argument', 'a note must say why', jsonb_build_object('argument', 'note'));
    END IF;
    answer := usher.replay_call('usher_loyalty', idempotency_key, jsonb_build_array('adjust_points',
        adjust_points.customer_id, adjust_points.points, adjust_points.note, adjust_points.expires_at));
    IF answer IS NOT NULL THEN
        RETURN @extschema@._answer_points_again(answer, adjust_points.customer_id);
    END IF;
    PERFORM @extschema@._open_account(adjust_points.customer_id);
    INSERT INTO @extschema@.points_entries AS e (customer_id, kind, points, expires_at, note, created_by)
    VALUES (adjust_points.customer_id, 'adjust', adjust_points.points, adjust_points.expires_at, adjust_points.note,
            usher.actor_id())
    RETURNING e.id INTO made;
    RETURN @extschema@._answer_points(idempotency_key, made, false);
END
$$;
COMMENT ON FUNCTION @extschema@.adjust_points(uuid, bigint, text, timestamptz, text) IS
    'Adds points to a customer, or with points below 0 takes them away, and notes why. Needs loyalty:adjust. UL001 '
    'when there are fewer.';

CREATE FUNCTION @extschema@._expire_points(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customer uuid;
    overdue bigint;
    expired bigint := 0;
BEGIN
    FOR customer IN
        SELECT a.customer_id FROM @extschema@.points_accounts AS a
        WHERE a.customer_id IN (SELECT l.customer_id FROM @extschema@.points_lots AS l
                                WHERE l.points_left > 0 AND l.expires_at <= statement_timestamp()
                                ORDER BY l.expires_at LIMIT max_rows)
        ORDER BY a.customer_id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        SELECT sum(l.points_left) INTO overdue FROM @extschema@.points_lots AS l
        WHERE l.customer_id = customer AND l.points_left > 0 AND l.expires_at <= statement_timestamp();
        IF overdue > 0 THEN
            INSERT INTO @extschema@.points_entries (customer_id, kind, points, rule_code)
            VALUES (customer, 'expire', -overdue, 'expiry');
            expired := expired + 1;
        END IF;
    END LOOP;
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@._expire_points(integer) IS
    'Ends lots whose time is over; returns of how many customers.';

CREATE FUNCTION @extschema@._announce_expiring(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lot record;
    announced bigint := 0;
BEGIN
    -- Accounts before their lots; an account that somebody changes now has its turn the next time.
    FOR lot IN
        WITH due AS MATERIALIZED (
            SELECT o.id, o.customer_id FROM @extschema@.points_lots AS o
            WHERE o.points_left > 0 AND o.announced_at IS NULL AND o.expires_at > statement_timestamp()
                AND o.expires_at <= statement_timestamp()
                    + make_interval(days => usher.setting('loyalty.expiry_notice')::integer)
            ORDER BY o.expires_at LIMIT max_rows
        ), held AS MATERIALIZED (
            SELECT a.customer_id, a.user_id FROM @extschema@.points_accounts AS a
            WHERE a.customer_id IN (SELECT d.customer_id FROM due AS d)
            ORDER BY a.customer_id FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE @extschema@.points_lots AS l SET announced_at = statement_timestamp()
        FROM due AS d JOIN held AS h ON h.customer_id = d.customer_id
        WHERE l.id = d.id AND l.points_left > 0 AND l.announced_at IS NULL
        RETURNING l.id, l.customer_id, h.user_id, l.points_left, l.expires_at
    LOOP
        PERFORM usher.publish('loyalty.points_expiring', jsonb_build_object('customer_id', lot.customer_id,
            'user_id', lot.user_id, 'entry_id', lot.id, 'points', lot.points_left, 'expires_at', lot.expires_at),
            lot.customer_id::text);
        announced := announced + 1;
    END LOOP;
    RETURN announced;
END
$$;
COMMENT ON FUNCTION @extschema@._announce_expiring(integer) IS
    'Publishes loyalty.points_expiring once for each lot that ends soon; returns how many.';

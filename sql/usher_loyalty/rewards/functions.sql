CREATE TYPE @extschema@.reward_details AS (
    reward_id uuid, title text, description text, status text, kind text, details jsonb, cost_points bigint,
    condition text, stock_left integer, max_per_customer integer, keeps_for interval, valid_from timestamptz,
    valid_until timestamptz, version integer);
COMMENT ON TYPE @extschema@.reward_details IS
    'What points can be spent on. stock_left is NULL where there is no limit.';

CREATE TYPE @extschema@.redemption_receipt AS (
    error text, redemption_id uuid, reward_id uuid, status text, code text, cost_points bigint, expires_at timestamptz,
    balance bigint, retry_after integer, replayed boolean);
COMMENT ON TYPE @extschema@.redemption_receipt IS
    'A reward that a customer has taken. The code is shown once; renew_reward_code() makes another one. error: '
    'code_invalid, or rate_limited for retry_after seconds.';

CREATE FUNCTION @extschema@._check_redemption() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_check_redemption';
COMMENT ON FUNCTION @extschema@._check_redemption() IS
    'Row trigger of reward_redemptions: spends the points and takes one of the stock. Raises UL001 for too few '
    'points, UL007 for a reward that cannot be taken.';

CREATE FUNCTION @extschema@._follow_redemption() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_follow_redemption';
COMMENT ON FUNCTION @extschema@._follow_redemption() IS
    'Row trigger of reward_redemptions: what is reversed or expires gives points and stock back.';

CREATE FUNCTION @extschema@._freeze_reward() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_condition(NEW.condition);
    IF TG_OP = 'UPDATE' AND (NEW.cost_points, NEW.condition, NEW.kind, NEW.details)
            IS DISTINCT FROM (OLD.cost_points, OLD.condition, OLD.kind, OLD.details)
       AND EXISTS (SELECT FROM @extschema@.reward_redemptions AS r WHERE r.reward_id = OLD.id) THEN
        PERFORM usher.raise_error('loyalty_append_only', 'a reward that somebody has taken does not change',
                                  jsonb_build_object('reward_id', OLD.id));
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._freeze_reward() IS
    'Row trigger of loyalty_rewards: raises 22023 for a condition that is wrong, UL005 for other terms once somebody '
    'has taken one.';

CREATE FUNCTION @extschema@._describe_reward(reward @extschema@.loyalty_rewards) RETURNS @extschema@.reward_details
    LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT ROW(reward.id, reward.title, reward.description, reward.status, reward.kind, reward.details,
               reward.cost_points, reward.condition, reward.stock - reward.taken, reward.max_per_customer,
               reward.keeps_for, reward.valid_from, reward.valid_until, reward.version)::@extschema@.reward_details;
END;
COMMENT ON FUNCTION @extschema@._describe_reward(@extschema@.loyalty_rewards) IS 'A reward as it is read.';

CREATE FUNCTION @extschema@._lock_reward(reward_id uuid, expected_version integer) RETURNS @extschema@.loyalty_rewards
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    reward @extschema@.loyalty_rewards;
BEGIN
    SELECT * INTO reward FROM @extschema@.loyalty_rewards AS r WHERE r.id = _lock_reward.reward_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'reward does not exist',
                                  jsonb_build_object('reward_id', _lock_reward.reward_id));
    ELSIF expected_version <> reward.version THEN
        PERFORM usher.raise_error('stale_version', 'reward was changed by somebody else',
            jsonb_build_object('id', reward.id, 'expected_version', expected_version, 'version', reward.version));
    END IF;
    RETURN reward;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_reward(uuid, integer) IS
    'Raises US005 for an unknown reward, US003 for a stale one.';

CREATE FUNCTION @extschema@.create_reward(definition jsonb) RETURNS @extschema@.reward_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g @extschema@.loyalty_rewards;
    made @extschema@.loyalty_rewards;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition, '{title,description,kind,details,cost_points,condition,stock,
        max_per_customer,keeps_for,valid_from,valid_until}', '{title,cost_points}');
    g := jsonb_populate_record(NULL::@extschema@.loyalty_rewards, definition);
    INSERT INTO @extschema@.loyalty_rewards AS r (title, description, kind, details, cost_points, condition, stock,
        max_per_customer, keeps_for, valid_from, valid_until, created_by)
    VALUES (g.title, g.description, coalesce(g.kind, 'product'), coalesce(g.details, '{}'), g.cost_points,
            coalesce(g.condition, 'true'), g.stock, g.max_per_customer, coalesce(g.keeps_for, '30 days'), g.valid_from,
            g.valid_until, usher.actor_id())
    RETURNING * INTO made;
    RETURN @extschema@._describe_reward(made);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'definition');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_reward(jsonb) IS
    'Makes a draft: {"title", "cost_points", "description", "kind", "details", "condition": "r.tier == ''GOLD''", '
    '"stock", "max_per_customer", "keeps_for", "valid_from", "valid_until"}. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.update_reward(reward_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.reward_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    g @extschema@.loyalty_rewards;
    made @extschema@.loyalty_rewards;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(changes, '{title,description,kind,details,cost_points,condition,stock,
        max_per_customer,keeps_for,valid_from,valid_until}', '{}', 'changes');
    g := jsonb_populate_record(@extschema@._lock_reward(update_reward.reward_id, expected_version), changes);
    UPDATE @extschema@.loyalty_rewards AS r
    SET (title, description, kind, details, cost_points, condition, stock, max_per_customer, keeps_for, valid_from,
         valid_until, version)
        = (g.title, g.description, g.kind, g.details, g.cost_points, g.condition, g.stock, g.max_per_customer,
           g.keeps_for, g.valid_from, g.valid_until, g.version + 1)
    WHERE r.id = g.id RETURNING * INTO made;
    RETURN @extschema@._describe_reward(made);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.update_reward(uuid, jsonb, integer) IS
    'Changes members of a reward, as create_reward() takes them. Raises UL005 for cost, condition, kind and details '
    'once somebody has taken one. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.set_reward_status(reward_id uuid, status text, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.reward_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made @extschema@.loyalty_rewards;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF set_reward_status.status IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'status must not be null', '{"argument": "status"}');
    END IF;
    PERFORM @extschema@._lock_reward(set_reward_status.reward_id, expected_version);
    UPDATE @extschema@.loyalty_rewards AS r SET status = set_reward_status.status
    WHERE r.id = set_reward_status.reward_id RETURNING * INTO made;
    RETURN @extschema@._describe_reward(made);
END
$$;
COMMENT ON FUNCTION @extschema@.set_reward_status(uuid, text, integer) IS
    'Activates, pauses or retires a reward. Codes of it can be redeemed all the same. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.list_rewards(all_statuses boolean DEFAULT false, after uuid DEFAULT NULL,
                                         max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.reward_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF all_statuses THEN
        PERFORM usher.require_permission('loyalty:manage');
    END IF;
    RETURN QUERY SELECT (@extschema@._describe_reward(r)).*
        FROM @extschema@.loyalty_rewards AS r
        WHERE (all_statuses OR (r.status = 'active' AND coalesce(r.valid_from <= statement_timestamp(), true)
                                AND coalesce(statement_timestamp() < r.valid_until, true)
                                AND coalesce(r.taken < r.stock, true)))
            AND (list_rewards.after IS NULL OR r.id > list_rewards.after)
        ORDER BY r.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_rewards(boolean, uuid, integer) IS
    'Rewards that can be taken now, the oldest first; with all_statuses, which needs loyalty:manage, all of them. '
    'The next page starts after the last reward_id.';

CREATE FUNCTION @extschema@._describe_redemption(redemption_id uuid) RETURNS @extschema@.redemption_receipt
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    receipt @extschema@.redemption_receipt;
BEGIN
    SELECT NULL, r.id, r.reward_id, r.status, NULL, r.cost_points, r.expires_at,
           @extschema@._spendable(r.customer_id), NULL, false
    INTO receipt
    FROM @extschema@.reward_redemptions AS r WHERE r.id = _describe_redemption.redemption_id;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_redemption(uuid) IS 'A redemption as functions answer it, without its code.';

CREATE FUNCTION @extschema@.redeem_reward(reward_id uuid, customer_id uuid DEFAULT NULL,
                                          idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.redemption_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(redeem_reward.customer_id, 'loyalty:redeem');
    fresh_code CONSTANT text := @extschema@._new_code();
    made uuid;
    answer jsonb;
    receipt @extschema@.redemption_receipt;
BEGIN
    answer := usher.replay_call('usher_loyalty', idempotency_key,
                                jsonb_build_array('redeem_reward', target, redeem_reward.reward_id));
    IF answer IS NOT NULL THEN
        SELECT r.id INTO made FROM @extschema@.reward_redemptions AS r
        WHERE r.id = (answer #>> '{}')::uuid AND r.customer_id = target AND r.reward_id = redeem_reward.reward_id;
        IF made IS NULL THEN
            PERFORM usher.raise_error('unknown_reference', 'redemption does not exist',
                                      jsonb_build_object('reward_id', redeem_reward.reward_id));
        END IF;
        receipt := @extschema@._describe_redemption(made);
        receipt.replayed := true;
        RETURN receipt;
    END IF;
    PERFORM @extschema@._open_account(target);
    INSERT INTO @extschema@.reward_redemptions AS r (reward_id, customer_id, code_hash, created_by)
    VALUES (redeem_reward.reward_id, target, @extschema@._code_hash(fresh_code), usher.actor_id())
    RETURNING r.id INTO made;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_loyalty', idempotency_key, to_jsonb(made));
    END IF;
    receipt := @extschema@._describe_redemption(made);
    receipt.code := fresh_code;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.redeem_reward(uuid, uuid, text) IS
    'Takes a reward for oneself, or with loyalty:redeem for a customer: its points are spent, and staff redeem the '
    'code once, until expires_at. A repeated call answers without the code. UL001, UL007.';

CREATE FUNCTION @extschema@.renew_reward_code(redemption_id uuid) RETURNS @extschema@.redemption_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    fresh_code CONSTANT text := @extschema@._new_code();
    owner uuid;
    receipt @extschema@.redemption_receipt;
BEGIN
    SELECT r.customer_id INTO owner FROM @extschema@.reward_redemptions AS r
    WHERE r.id = renew_reward_code.redemption_id AND r.status = 'reserved';
    IF owner IS NULL OR NOT @extschema@._loyalty_sees(owner, 'loyalty:redeem') THEN
        PERFORM usher.raise_error('unknown_reference', 'reserved reward does not exist',
                                  jsonb_build_object('redemption_id', renew_reward_code.redemption_id));
    END IF;
    UPDATE @extschema@.reward_redemptions AS r SET code_hash = @extschema@._code_hash(fresh_code)
    WHERE r.id = renew_reward_code.redemption_id AND r.status = 'reserved';
    receipt := @extschema@._describe_redemption(renew_reward_code.redemption_id);
    receipt.code := fresh_code;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.renew_reward_code(uuid) IS
    'Another code for a reward that one has reserved; the one before it is worth nothing.';

CREATE FUNCTION @extschema@.redeem_reward_code(code text) RETURNS @extschema@.redemption_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    guess record;
    found_id uuid;
    receipt @extschema@.redemption_receipt;
BEGIN
    PERFORM usher.require_permission('loyalty:redeem');
    guess := @extschema@._hit_code_limit();
    IF NOT guess.allowed THEN
        receipt.error := 'rate_limited';
        receipt.retry_after := guess.retry_after;
        RETURN receipt;
    END IF;
    SELECT r.id INTO found_id FROM @extschema@.reward_redemptions AS r
    WHERE r.code_hash = @extschema@._code_hash(redeem_reward_code.code) AND r.status = 'reserved'
        AND r.expires_at > statement_timestamp()
    FOR NO KEY UPDATE;
    IF found_id IS NULL THEN
        receipt.error := 'code_invalid';
        RETURN receipt;
    END IF;
    UPDATE @extschema@.reward_redemptions AS r SET status = 'redeemed' WHERE r.id = found_id;
    RETURN @extschema@._describe_redemption(found_id);
END
$$;
COMMENT ON FUNCTION @extschema@.redeem_reward_code(text) IS
    'Staff hand a reward out for its code, once. error: code_invalid, rate_limited. Needs loyalty:redeem.';

CREATE FUNCTION @extschema@.reverse_redemption(redemption_id uuid, reason_code text DEFAULT 'cancelled')
    RETURNS @extschema@.redemption_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    redemption @extschema@.reward_redemptions;
BEGIN
    SELECT * INTO redemption FROM @extschema@.reward_redemptions AS r
    WHERE r.id = reverse_redemption.redemption_id FOR NO KEY UPDATE;
    IF redemption.status = 'redeemed' THEN
        PERFORM usher.require_permission('loyalty:adjust');
    ELSIF redemption.id IS NULL OR NOT @extschema@._loyalty_sees(redemption.customer_id, 'loyalty:redeem') THEN
        PERFORM usher.raise_error('unknown_reference', 'redemption does not exist',
                                  jsonb_build_object('redemption_id', reverse_redemption.redemption_id));
    ELSIF redemption.status <> 'reserved' THEN
        PERFORM usher.raise_error('illegal_transition', format('redemption is %s already', redemption.status),
            jsonb_build_object('redemption_id', redemption.id, 'status', redemption.status));
    END IF;
    UPDATE @extschema@.reward_redemptions AS r
    SET status = 'reversed', reason_code = reverse_redemption.reason_code
    WHERE r.id = redemption.id;
    RETURN @extschema@._describe_redemption(redemption.id);
END
$$;
COMMENT ON FUNCTION @extschema@.reverse_redemption(uuid, text) IS
    'Gives back a reward that one has reserved; for one that was handed out already it needs loyalty:adjust. The '
    'points go back to the lots that they came from.';

CREATE FUNCTION @extschema@.list_redemptions(customer_id uuid DEFAULT NULL, after uuid DEFAULT NULL,
                                             max_rows integer DEFAULT 100)
    RETURNS TABLE (redemption_id uuid, reward_id uuid, title text, status text, cost_points bigint,
                   expires_at timestamptz, redeemed_at timestamptz, created_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(list_redemptions.customer_id, 'loyalty:read');
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM usher.log_read('customer', target::text, '{"part": "redemptions"}');
    RETURN QUERY
    SELECT r.id, r.reward_id, w.title, r.status, r.cost_points, r.expires_at, r.redeemed_at, r.created_at
    FROM @extschema@.reward_redemptions AS r JOIN @extschema@.loyalty_rewards AS w ON w.id = r.reward_id
    WHERE r.customer_id = target AND (list_redemptions.after IS NULL OR r.id < list_redemptions.after)
    ORDER BY r.id DESC LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_redemptions(uuid, uuid, integer) IS
    'The rewards that a customer has taken, the latest first: one''s own, or with loyalty:read. The next page starts '
    'after the last redemption_id.';

CREATE FUNCTION @extschema@._expire_redemptions(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expired bigint := 0;
    overdue record;
BEGIN
    -- Redemptions and their accounts without waiting, then rewards, in one order.
    FOR overdue IN
        SELECT r.id
        FROM @extschema@.reward_redemptions AS r JOIN @extschema@.points_accounts AS a ON a.customer_id = r.customer_id
        WHERE r.id IN (SELECT o.id FROM @extschema@.reward_redemptions AS o
                       WHERE o.status = 'reserved' AND o.expires_at <= statement_timestamp()
                       ORDER BY o.expires_at LIMIT max_rows)
        ORDER BY r.reward_id, r.id FOR NO KEY UPDATE OF r, a SKIP LOCKED
    LOOP
        UPDATE @extschema@.reward_redemptions AS r SET status = 'expired'
        WHERE r.id = overdue.id AND r.status = 'reserved';
        expired := expired + FOUND::integer;
    END LOOP;
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@._expire_redemptions(integer) IS
    'Ends reserved rewards whose time is over, and gives their points back; returns how many.';

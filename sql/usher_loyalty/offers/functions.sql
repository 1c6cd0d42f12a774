CREATE TYPE @extschema@.offer_change AS (offer_id uuid, status text, version integer);
COMMENT ON TYPE @extschema@.offer_change IS 'An offer that was made or changed.';

CREATE TYPE @extschema@.offer_judgement AS (
    offer_id uuid, title text, discount_minor bigint, applies boolean, why text, priority integer, version integer,
    lines jsonb);
COMMENT ON TYPE @extschema@.offer_judgement IS
    'What an offer takes off in a situation, or why it does not apply: not_valid_now, needs_voucher, used_up, '
    'used_by_customer, another_tier, another_segment, not_first_visit, another_location, another_service, '
    'other_products, another_weekday, another_hour, another_currency, below_minimum, takes_nothing_off, '
    'not_combinable. lines: to which lines its discount belongs, where the situation has lines.';

CREATE TYPE @extschema@.offer_receipt AS (
    error text, redemption_id uuid, offer_id uuid, discount_minor bigint, uses_left integer, retry_after integer,
    replayed boolean);
COMMENT ON TYPE @extschema@.offer_receipt IS
    'An offer that was used, or error: code_invalid, or rate_limited for retry_after seconds. uses_left is NULL '
    'where there is no limit.';

CREATE FUNCTION @extschema@._number_use() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_number_use';
COMMENT ON FUNCTION @extschema@._number_use() IS
    'Row trigger of offer_uses: which use of the customer it is. Raises UL003 for one too many.';

CREATE FUNCTION @extschema@._count_use() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_count_use';
COMMENT ON FUNCTION @extschema@._count_use() IS
    'Row trigger of offer_uses: the counters of offer and voucher follow. Raises UL003 for one too many.';

CREATE FUNCTION @extschema@._derive_offer_keys() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM @extschema@.loyalty_offer_keys AS k WHERE k.offer_id = NEW.id;
    IF NEW.status IN ('scheduled', 'active') THEN
        INSERT INTO @extschema@.loyalty_offer_keys (match_key, offer_id)
        SELECT DISTINCT k, NEW.id FROM unnest(CASE
            WHEN NEW.product_ids IS NOT NULL THEN ARRAY(SELECT 'product:' || i FROM unnest(NEW.product_ids) AS i)
            WHEN NEW.service_ids IS NOT NULL THEN ARRAY(SELECT 'service:' || i FROM unnest(NEW.service_ids) AS i)
            WHEN NEW.location_ids IS NOT NULL THEN ARRAY(SELECT 'location:' || i FROM unnest(NEW.location_ids) AS i)
            WHEN NEW.tiers IS NOT NULL THEN ARRAY(SELECT 'tier:' || t FROM unnest(NEW.tiers) AS t)
            ELSE '{all}' END) AS k;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._derive_offer_keys() IS
    'Row trigger of loyalty_offers: the keys that an offer is found by, while it is scheduled or active.';

CREATE FUNCTION @extschema@._check_condition(condition text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT
    AS 'MODULE_PATHNAME', 'usher_loyalty_check_condition';
COMMENT ON FUNCTION @extschema@._check_condition(text) IS 'Raises 22023 for an expression that is wrong.';

CREATE FUNCTION @extschema@._judge_offers(customer_id uuid, at timestamptz, context jsonb, offer_id uuid DEFAULT NULL,
                                          has_voucher boolean DEFAULT false, reference_type text DEFAULT NULL,
                                          reference_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.offer_judgement
    LANGUAGE c STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_judge_offers';
COMMENT ON FUNCTION @extschema@._judge_offers(uuid, timestamptz, jsonb, uuid, boolean, text, uuid) IS
    'The offers that the keys of a situation find, or one, and what each takes off or why it does not apply. What the '
    'reference was given before comes first.';

CREATE FUNCTION @extschema@.set_customer_attributes(customer_id uuid, attributes jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    now_is jsonb;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF set_customer_attributes.attributes IS NULL OR jsonb_typeof(set_customer_attributes.attributes) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'attributes must be an object',
                                  jsonb_build_object('argument', 'attributes'));
    END IF;
    PERFORM @extschema@._open_account(set_customer_attributes.customer_id);
    UPDATE @extschema@.points_accounts AS a
    SET attributes = jsonb_strip_nulls(a.attributes || set_customer_attributes.attributes)
    WHERE a.customer_id = set_customer_attributes.customer_id RETURNING a.attributes INTO now_is;
    RETURN now_is;
END
$$;
COMMENT ON FUNCTION @extschema@.set_customer_attributes(uuid, jsonb) IS
    'What conditions know of a customer as r.attributes: these members are set, those that are null go. Needs '
    'loyalty:manage.';

CREATE FUNCTION @extschema@.define_segment(code text, condition text, description text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    now_is integer;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    INSERT INTO @extschema@.loyalty_segments AS s (code, condition, description)
    VALUES (define_segment.code, define_segment.condition, define_segment.description)
    ON CONFLICT (code) DO UPDATE SET condition = EXCLUDED.condition, description = EXCLUDED.description,
        version = s.version + 1
    RETURNING s.version INTO now_is;
    RETURN now_is;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.define_segment(text, text, text) IS
    'Makes or changes a segment, and returns its version: r.purchases, r.spent_minor, r.days_since_first, '
    'r.days_since_last, r.tier, r.balance, r.attributes. Needs loyalty:manage.';

CREATE FUNCTION @extschema@._offer_members() RETURNS text[]
    LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT '{title,description,kind,percent,amount_minor,currency,buy_quantity,get_quantity,min_amount_minor,
        max_discount_minor,valid_from,valid_until,weekdays,hours,time_zone,tiers,segment,location_ids,service_ids,
        product_ids,first_visit,needs_voucher,is_stackable,stack_group,priority,max_uses,max_per_customer}'::text[];
END;
COMMENT ON FUNCTION @extschema@._offer_members() IS 'What the definition of an offer may have.';

CREATE FUNCTION @extschema@._require_amount(amount_minor bigint, currency text, argument text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_loyalty_require_amount';
COMMENT ON FUNCTION @extschema@._require_amount(bigint, text, text) IS
    'Raises 22023 for an amount below 0 or above what can be paid, or in what is no currency; NULL is left to others.';

CREATE FUNCTION @extschema@._require_offer_amounts(g @extschema@.loyalty_offers) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require_amount(g.amount_minor, g.currency, 'amount_minor');
    PERFORM @extschema@._require_amount(g.min_amount_minor, g.currency, 'min_amount_minor');
    PERFORM @extschema@._require_amount(g.max_discount_minor, g.currency, 'max_discount_minor');
END
$$;
COMMENT ON FUNCTION @extschema@._require_offer_amounts(@extschema@.loyalty_offers) IS
    'Raises 22023 for an offer of amounts that nobody can pay, or in what is no currency.';

CREATE FUNCTION @extschema@.create_offer(definition jsonb) RETURNS @extschema@.offer_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g @extschema@.loyalty_offers;
    made @extschema@.offer_change;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition, @extschema@._offer_members(), '{title,kind}');
    g := jsonb_populate_record(NULL::@extschema@.loyalty_offers, definition);
    PERFORM @extschema@._require_offer_amounts(g);
    PERFORM now() AT TIME ZONE g.time_zone;
    INSERT INTO @extschema@.loyalty_offers AS o (title, description, kind, percent, amount_minor, currency,
        buy_quantity,
        get_quantity, min_amount_minor, max_discount_minor, valid_from, valid_until, weekdays, hours, time_zone, tiers,
        segment, location_ids, service_ids, product_ids, first_visit, needs_voucher, is_stackable, stack_group,
            priority,
        max_uses, max_per_customer, created_by)
    VALUES (g.title, g.description, g.kind, g.percent, g.amount_minor, g.currency, g.buy_quantity, g.get_quantity,
            coalesce(g.min_amount_minor, 0), g.max_discount_minor, coalesce(g.valid_from, now()), g.valid_until,
            g.weekdays, g.hours, coalesce(g.time_zone, 'UTC'), g.tiers, g.segment, g.location_ids, g.service_ids,
            g.product_ids, coalesce(g.first_visit, false), coalesce(g.needs_voucher, false),
            coalesce(g.is_stackable, false), g.stack_group, coalesce(g.priority, 0), g.max_uses, g.max_per_customer,
            usher.actor_id())
    RETURNING o.id, o.status, o.version INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'definition');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_offer(jsonb) IS
    'Makes a draft: {"title", "kind": "percent" with "percent", "amount" with "amount_minor" and "currency", or '
    '"buy_x_get_y" with "buy_quantity" and "get_quantity"; when: "valid_from", "valid_until", "weekdays", "hours", '
    '"time_zone"; for whom: "tiers", "segment", "location_ids", "service_ids", "product_ids", "first_visit", '
    '"needs_voucher", "min_amount_minor"; how much: "max_discount_minor", "max_uses", "max_per_customer"; beside '
    'others: "priority", "is_stackable", "stack_group"}. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.update_offer(offer_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.offer_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    g @extschema@.loyalty_offers;
    made @extschema@.offer_change;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(changes, @extschema@._offer_members(), '{}', 'changes');
    SELECT * INTO g FROM @extschema@._lock_offer(update_offer.offer_id, expected_version);
    g := jsonb_populate_record(g, changes);
    PERFORM @extschema@._require_offer_amounts(g);
    PERFORM now() AT TIME ZONE g.time_zone;
    UPDATE @extschema@.loyalty_offers AS o
    SET (title, description, kind, percent, amount_minor, currency, buy_quantity, get_quantity, min_amount_minor,
         max_discount_minor, valid_from, valid_until, weekdays, hours, time_zone, tiers, segment, location_ids,
         service_ids, product_ids, first_visit, needs_voucher, is_stackable, stack_group, priority, max_uses,
         max_per_customer, version)
        = (g.title, g.description, g.kind, g.percent, g.amount_minor, g.currency, g.buy_quantity, g.get_quantity,
           g.min_amount_minor, g.max_discount_minor, g.valid_from, g.valid_until, g.weekdays, g.hours, g.time_zone,
           g.tiers, g.segment, g.location_ids, g.service_ids, g.product_ids, g.first_visit, g.needs_voucher,
           g.is_stackable, g.stack_group, g.priority, g.max_uses, g.max_per_customer, g.version + 1)
    WHERE o.id = g.id RETURNING o.id, o.status, o.version INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.update_offer(uuid, jsonb, integer) IS
    'Changes members of an offer, as create_offer() takes them. Uses keep the terms that they had. Needs '
    'loyalty:manage. US003 when expected_version is another.';

CREATE FUNCTION @extschema@._lock_offer(offer_id uuid, expected_version integer) RETURNS @extschema@.loyalty_offers
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    offer @extschema@.loyalty_offers;
BEGIN
    SELECT * INTO offer FROM @extschema@.loyalty_offers AS o WHERE o.id = _lock_offer.offer_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'offer does not exist',
                                  jsonb_build_object('offer_id', _lock_offer.offer_id));
    ELSIF expected_version <> offer.version THEN
        PERFORM usher.raise_error('stale_version', 'offer was changed by somebody else',
            jsonb_build_object('id', offer.id, 'expected_version', expected_version, 'version', offer.version));
    END IF;
    RETURN offer;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_offer(uuid, integer) IS
    'Raises US005 for an unknown offer, US003 for a stale one.';

CREATE FUNCTION @extschema@.set_offer_status(offer_id uuid, status text, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.offer_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made @extschema@.offer_change;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF set_offer_status.status IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'status must not be null', '{"argument": "status"}');
    END IF;
    PERFORM @extschema@._lock_offer(set_offer_status.offer_id, expected_version);
    UPDATE @extschema@.loyalty_offers AS o SET status = set_offer_status.status
    WHERE o.id = set_offer_status.offer_id RETURNING o.id, o.status, o.version INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION @extschema@.set_offer_status(uuid, text, integer) IS
    'Schedules, activates, pauses, expires or archives an offer. A scheduled one applies from valid_from on. Needs '
    'loyalty:manage.';

CREATE FUNCTION @extschema@.list_offers_for(customer_id uuid DEFAULT NULL, at timestamptz DEFAULT NULL,
                                            context jsonb DEFAULT '{}')
    RETURNS SETOF @extschema@.offer_judgement
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@._judge_offers(
        @extschema@._require_customer(list_offers_for.customer_id, 'loyalty:read'),
        coalesce(at, statement_timestamp()), coalesce(context, '{}'));
END
$$;
COMMENT ON FUNCTION @extschema@.list_offers_for(uuid, timestamptz, jsonb) IS
    'The offers for a customer (oneself, or with loyalty:read) in a situation: {"amount_minor", "currency", '
    '"location_id", "service_id", "time_zone", "lines": [{"line_no", "product_id", "quantity", "unit_minor"}]}. Those '
    'that apply together have their discounts, the others say why. Offers for other products, services, locations or '
    'tiers, and those that need a voucher, are not in the list.';

CREATE FUNCTION @extschema@.explain_offer(offer_id uuid, customer_id uuid DEFAULT NULL, at timestamptz DEFAULT NULL,
                                          context jsonb DEFAULT '{}')
    RETURNS @extschema@.offer_judgement
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    judged @extschema@.offer_judgement;
BEGIN
    SELECT * INTO judged FROM @extschema@._judge_offers(
        @extschema@._require_customer(explain_offer.customer_id, 'loyalty:read'),
        coalesce(explain_offer.at, statement_timestamp()), coalesce(explain_offer.context, '{}'),
        explain_offer.offer_id);
    IF judged.offer_id IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'offer does not exist',
                                  jsonb_build_object('offer_id', explain_offer.offer_id));
    END IF;
    RETURN judged;
END
$$;
COMMENT ON FUNCTION @extschema@.explain_offer(uuid, uuid, timestamptz, jsonb) IS
    'Whether one offer applies to a customer in a situation, and why not. US005 for an unknown one.';

CREATE FUNCTION @extschema@._turn_offers(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due uuid[];
    turned bigint;
BEGIN
    SELECT array_agg(s.id) INTO due FROM (
        SELECT o.id FROM @extschema@.loyalty_offers AS o
        WHERE o.status IN ('scheduled', 'active', 'paused')
            AND (o.valid_until <= statement_timestamp()
                 OR (o.status = 'scheduled' AND o.valid_from <= statement_timestamp()))
        ORDER BY o.id LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED) AS s;
    UPDATE @extschema@.loyalty_offers AS o
    SET status = CASE WHEN o.valid_until <= statement_timestamp() THEN 'expired' ELSE 'active' END
    WHERE o.id = ANY (due);
    GET DIAGNOSTICS turned = ROW_COUNT;
    RETURN turned;
END
$$;
COMMENT ON FUNCTION @extschema@._turn_offers(integer) IS
    'Offers whose window has begun or ended say so; returns how many.';

CREATE FUNCTION @extschema@._check_segment() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_condition(NEW.condition);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._check_segment() IS
    'Row trigger of loyalty_segments: raises 22023 for a condition that is wrong.';

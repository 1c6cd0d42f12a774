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

CREATE FUNCTION @extschema@._use_offer(offer @extschema@.loyalty_offers, customer_id uuid, reference_type text,
                                       reference_id uuid, voucher_id uuid, amount_minor bigint, discount_minor bigint,
                                       currency text, lines jsonb, terms jsonb DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    used CONSTANT uuid := usher.uuid_v7();
    counted CONSTANT text := coalesce(_use_offer.currency, offer.currency);
    told CONSTANT jsonb := jsonb_build_object('redemption_id', used, 'offer_id', offer.id, 'customer_id',
        _use_offer.customer_id, 'reference_type', _use_offer.reference_type, 'reference_id', _use_offer.reference_id,
        'discount_minor', _use_offer.discount_minor, 'currency', counted);
BEGIN
    INSERT INTO @extschema@.offer_uses (id, offer_id, customer_id, nth, voucher_id, reference_type, reference_id,
        amount_minor, discount_minor, currency, terms, lines, created_by)
    VALUES (used, offer.id, _use_offer.customer_id, 1, _use_offer.voucher_id, _use_offer.reference_type,
            _use_offer.reference_id, greatest(_use_offer.amount_minor, _use_offer.discount_minor),
            _use_offer.discount_minor, counted,
            jsonb_strip_nulls(jsonb_build_object('title', offer.title, 'kind', offer.kind, 'percent', offer.percent,
                'amount_minor', offer.amount_minor, 'currency', offer.currency, 'buy_quantity', offer.buy_quantity,
                'get_quantity', offer.get_quantity, 'max_discount_minor', offer.max_discount_minor,
                'is_stackable', offer.is_stackable, 'stack_group', offer.stack_group, 'version', offer.version)
                || coalesce(_use_offer.terms, '{}')), _use_offer.lines, usher.actor_id());
    PERFORM usher.publish('loyalty.offer_used', told, _use_offer.customer_id::text);
    -- Whoever prices the reference takes it off, in this transaction.
    PERFORM usher.publish('loyalty.discount_granted', told || jsonb_build_object('lines', _use_offer.lines),
                          _use_offer.customer_id::text);
    RETURN used;
END
$$;
COMMENT ON FUNCTION @extschema@._use_offer(@extschema@.loyalty_offers, uuid, text, uuid, uuid, bigint, bigint, text,
                                           jsonb, jsonb) IS
    'Uses an offer that was judged, with its terms as they are now or were then, and tells whoever prices the '
    'reference.';

CREATE FUNCTION @extschema@._purchase_facts(reference_type text, reference_id uuid, OUT customer_id uuid,
                                            OUT user_id uuid, OUT is_open boolean, OUT facts jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT p.customer_id, p.user_id, p.is_open,
           jsonb_strip_nulls(jsonb_build_object('amount_minor', p.amount_minor, 'currency', p.currency,
               'location_id', p.location_id, 'service_id', p.service_id, 'takes_place_at', p.takes_place_at,
               'lines', nullif(p.lines, '[]')))
    INTO customer_id, user_id, is_open, facts
    FROM usher.purchase_of(_purchase_facts.reference_type, _purchase_facts.reference_id) AS p
    WHERE p.customer_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._purchase_facts(text, uuid) IS
    'Whose purchase a reference is, and what it is as offers know situations; NULLs when nobody vouches for it.';

CREATE FUNCTION @extschema@._situation(facts jsonb, stated jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF facts IS NULL OR stated IS NULL OR jsonb_typeof(stated) <> 'object' THEN
        RETURN coalesce(stated, facts, '{}');
    ELSIF stated ->> 'currency' <> facts ->> 'currency' THEN
        PERFORM usher.raise_error('invalid_argument', 'a discount is in the currency of what it is for',
            jsonb_build_object('argument', 'context', 'currency', facts ->> 'currency'));
    END IF;
    RETURN facts || (stated - '{amount_minor,currency}'::text[]) || CASE
        WHEN jsonb_typeof(stated -> 'amount_minor') = 'number' THEN jsonb_build_object('amount_minor',
            least((stated ->> 'amount_minor')::numeric, (facts ->> 'amount_minor')::numeric))
        WHEN stated ? 'amount_minor' THEN jsonb_build_object('amount_minor', stated -> 'amount_minor')
        ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION @extschema@._situation(jsonb, jsonb) IS
    'What staff state, as far as it can be true of what is bought: its currency, and no higher amount. Without facts, '
    'what they state.';

CREATE FUNCTION @extschema@._judge_uses(reference_type text, reference_id uuid, at timestamptz, facts jsonb)
    RETURNS TABLE (offer_id uuid, applies boolean, why text, discount_minor bigint, amount_minor bigint, lines jsonb)
    LANGUAGE c STABLE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_judge_uses';
COMMENT ON FUNCTION @extschema@._judge_uses(text, uuid, timestamptz, jsonb) IS
    'What a reference was given before, judged anew by what it is now, one after the other.';

CREATE FUNCTION @extschema@._renew_uses(reference_type text, reference_id uuid, at timestamptz, facts jsonb,
                                        locked uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    due CONSTANT jsonb := (
        SELECT jsonb_agg(jsonb_build_object('use_id', u.id, 'offer_id', u.offer_id, 'applies', j.applies,
                   'why', j.why, 'discount_minor', j.discount_minor, 'amount_minor', j.amount_minor, 'lines',
                   CASE WHEN u.voucher_id IS NULL THEN j.lines
                        ELSE (SELECT coalesce(jsonb_agg(l.value || '{"reason": "voucher"}' ORDER BY l.number), '[]')
                              FROM jsonb_array_elements(j.lines) WITH ORDINALITY AS l (value, number)) END)
                   ORDER BY u.id)
        FROM @extschema@._judge_uses(_renew_uses.reference_type, _renew_uses.reference_id, at, facts) AS j
            JOIN @extschema@.offer_uses AS u ON u.reference_id = _renew_uses.reference_id
                AND u.reference_type = _renew_uses.reference_type AND u.offer_id = j.offer_id AND NOT u.is_released
        WHERE NOT j.applies OR j.discount_minor <> u.discount_minor
            -- Without lines it is of the whole; to which of them it belongs is not new then.
            OR u.lines <> '[]' AND (SELECT jsonb_object_agg(l ->> 'line_no', l -> 'discount_minor')
                                    FROM jsonb_array_elements(u.lines) AS l)
                <> (SELECT jsonb_object_agg(l ->> 'line_no', l -> 'discount_minor')
                    FROM jsonb_array_elements(j.lines) AS l));
    offers CONSTANT uuid[] := ARRAY(SELECT (d ->> 'offer_id')::uuid FROM jsonb_array_elements(due) AS d);
    change record;
    used @extschema@.offer_uses;
    offer @extschema@.loyalty_offers;
BEGIN
    IF NOT offers <@ locked THEN
        RETURN offers;
    END IF;
    FOR change IN SELECT * FROM jsonb_to_recordset(due) AS d (use_id uuid, offer_id uuid, applies boolean, why text,
                                                            discount_minor bigint, amount_minor bigint, lines jsonb)
    LOOP
        UPDATE @extschema@.offer_uses AS u SET is_released = true, released_at = now()
        WHERE u.id = change.use_id RETURNING * INTO used;
        PERFORM usher.publish('loyalty.offer_released', jsonb_build_object('redemption_id', used.id,
            'offer_id', used.offer_id, 'customer_id', used.customer_id, 'reference_type', used.reference_type,
            'reference_id', used.reference_id, 'rule', change.why), used.customer_id::text);
        IF change.applies THEN
            SELECT * INTO offer FROM @extschema@.loyalty_offers AS o WHERE o.id = used.offer_id;
            PERFORM @extschema@._use_offer(offer, used.customer_id, used.reference_type, used.reference_id,
                used.voucher_id, change.amount_minor, change.discount_minor, used.currency, change.lines, used.terms);
        END IF;
    END LOOP;
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION @extschema@._renew_uses(text, uuid, timestamptz, jsonb, uuid[]) IS
    'Judges what a reference was given before by what it is now. What does not apply any more is released, and what '
    'takes another sum off is released and used anew. Offers that would change have to be locked: if not all are, '
    'nothing happens, and those that would change are returned.';

CREATE FUNCTION @extschema@._on_order_placing(event text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_place_offers';
COMMENT ON FUNCTION @extschema@._on_order_placing(text, jsonb) IS
    'Handler of order.placing: offers that apply to the order are used for it. Nothing that goes wrong hinders the '
    'order, but is in the audit log: loyalty.offers_failed.';

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
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    INSERT INTO @extschema@.loyalty_segments AS s (code, condition, description)
    VALUES (define_segment.code, define_segment.condition, define_segment.description)
    ON CONFLICT (code) DO UPDATE SET condition = EXCLUDED.condition, description = EXCLUDED.description,
        version = s.version + 1
    RETURNING s.version INTO now_is;
    RETURN now_is;
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
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(changes, @extschema@._offer_members(), '{}');
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

CREATE FUNCTION @extschema@._require_buyer(reference_type text, reference_id uuid, customer_id uuid,
                                           is_staff boolean) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purchase CONSTANT record := @extschema@._purchase_facts(_require_buyer.reference_type,
                                                            _require_buyer.reference_id);
    person CONSTANT uuid := @extschema@._loyalty_person();
    target CONSTANT uuid := coalesce(_require_buyer.customer_id, purchase.customer_id);
BEGIN
    IF target IS DISTINCT FROM purchase.customer_id OR is_staff THEN
        PERFORM @extschema@._require_customer(target, 'loyalty:redeem');
    END IF;
    IF is_staff THEN
        IF target NOT IN (purchase.customer_id, coalesce(purchase.user_id, purchase.customer_id)) THEN
            PERFORM usher.raise_error('invalid_argument', 'customer_id is not whose purchase it is',
                jsonb_build_object('argument', 'customer_id', 'reference_type', _require_buyer.reference_type,
                                   'reference_id', _require_buyer.reference_id));
        END IF;
        RETURN coalesce(target, person);
    ELSIF person IS NULL THEN -- a key, which buys nothing
        PERFORM usher.require_permission('loyalty:redeem');
    ELSIF coalesce(purchase.user_id, purchase.customer_id) IS DISTINCT FROM person THEN
        -- The same whether it is unknown or of somebody else.
        PERFORM usher.raise_error('unknown_reference', 'nobody sells this to you',
            jsonb_build_object('reference_type', _require_buyer.reference_type,
                               'reference_id', _require_buyer.reference_id));
    END IF;
    RETURN purchase.customer_id;
END
$$;
COMMENT ON FUNCTION @extschema@._require_buyer(text, uuid, uuid, boolean) IS
    'Whose purchase a reference is: of the actor, or, for staff, of the customer whom they name. US005 when it is '
    'nobody''s or somebody else''s, 22023 for staff who name another customer.';

CREATE FUNCTION @extschema@.redeem_offer(reference_type text, reference_id uuid, offer_id uuid DEFAULT NULL,
                                         customer_id uuid DEFAULT NULL, amount_minor bigint DEFAULT NULL,
                                         context jsonb DEFAULT '{}', voucher_code text DEFAULT NULL,
                                         idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.offer_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    is_staff CONSTANT boolean := usher.actor_id() IS NULL OR usher.has_permission('loyalty:redeem');
    stated CONSTANT jsonb := coalesce(redeem_offer.context, '{}') || CASE
        WHEN redeem_offer.amount_minor IS NULL THEN '{}'
        ELSE jsonb_build_object('amount_minor', redeem_offer.amount_minor) END;
    purchase record;
    target uuid;
    situation jsonb;
    guess record;
    voucher @extschema@.offer_vouchers;
    offer @extschema@.loyalty_offers;
    judged @extschema@.offer_judgement;
    answer jsonb;
    receipt @extschema@.offer_receipt;
BEGIN
    target := @extschema@._require_buyer(redeem_offer.reference_type, redeem_offer.reference_id,
                                         redeem_offer.customer_id, is_staff);
    IF voucher_code IS NOT NULL THEN
        guess := @extschema@._hit_code_limit();
        IF NOT guess.allowed THEN
            receipt.error := 'rate_limited';
            receipt.retry_after := guess.retry_after;
            RETURN receipt;
        END IF;
        SELECT * INTO voucher FROM @extschema@.offer_vouchers AS v
        WHERE v.code_hash = @extschema@._code_hash(redeem_offer.voucher_code);
        IF voucher.id IS NULL OR voucher.offer_id <> coalesce(redeem_offer.offer_id, voucher.offer_id)
           OR NOT voucher.is_active OR coalesce(voucher.customer_id <> target, false)
           OR coalesce(voucher.valid_until <= statement_timestamp(), false) THEN
            receipt.error := 'code_invalid';
            RETURN receipt;
        END IF;
    END IF;
    answer := usher.replay_call('usher_loyalty', idempotency_key, jsonb_build_array('redeem_offer', target,
        redeem_offer.offer_id, voucher.id, redeem_offer.reference_type, redeem_offer.reference_id, stated));
    IF answer IS NOT NULL THEN
        SELECT NULL, u.id, u.offer_id, u.discount_minor, o.max_uses - o.uses, NULL, true INTO receipt
        FROM @extschema@.offer_uses AS u JOIN @extschema@.loyalty_offers AS o ON o.id = u.offer_id
        WHERE u.id = (answer #>> '{}')::uuid;
        RETURN receipt;
    END IF;
    -- What the reference is of, before its offers; a use that is released now, before the offer that it goes back to.
    PERFORM usher.publish('loyalty.redeeming', jsonb_build_object('reference_type', redeem_offer.reference_type,
        'reference_id', redeem_offer.reference_id, 'customer_id', target), target::text);
    PERFORM FROM @extschema@.offer_uses AS u
    WHERE u.reference_id = redeem_offer.reference_id AND u.reference_type = redeem_offer.reference_type
        AND u.offer_id = coalesce(redeem_offer.offer_id, voucher.offer_id) AND NOT u.is_released FOR NO KEY UPDATE;
    offer := @extschema@._lock_offer(coalesce(redeem_offer.offer_id, voucher.offer_id), NULL);
    -- What is bought, now that nobody changes it; and whoever used the last of the vouchers has committed by now.
    SELECT * INTO purchase FROM @extschema@._purchase_facts(redeem_offer.reference_type, redeem_offer.reference_id);
    IF is_staff THEN
        situation := @extschema@._situation(purchase.facts, stated);
    ELSIF NOT coalesce(purchase.is_open, false) THEN
        PERFORM usher.raise_error('illegal_transition', format('%s takes no more discounts',
            redeem_offer.reference_type), jsonb_build_object('reference_type', redeem_offer.reference_type,
                                                             'reference_id', redeem_offer.reference_id));
    ELSE
        situation := purchase.facts;
    END IF;
    SELECT * INTO voucher FROM @extschema@.offer_vouchers AS v WHERE v.id = voucher.id;
    IF voucher.uses >= voucher.max_uses THEN
        receipt.error := 'code_invalid';
        RETURN receipt;
    END IF;
    SELECT * INTO judged FROM @extschema@._judge_offers(target, statement_timestamp(), situation, offer.id,
                                                        voucher.id IS NOT NULL, redeem_offer.reference_type,
                                                        redeem_offer.reference_id);
    IF judged.why IN ('used_up', 'used_by_customer') THEN
        PERFORM usher.raise_error('offer_exhausted', 'offer cannot be used any more',
            jsonb_build_object('offer_id', offer.id, 'customer_id', target, 'rule', judged.why));
    ELSIF NOT judged.applies THEN
        PERFORM usher.raise_error('offer_not_applicable', 'offer does not apply',
            jsonb_build_object('offer_id', offer.id, 'customer_id', target, 'rule', judged.why));
    END IF;
    receipt.redemption_id := @extschema@._use_offer(offer, target, redeem_offer.reference_type,
        redeem_offer.reference_id, voucher.id, coalesce((situation ->> 'amount_minor')::bigint, 0),
        judged.discount_minor, situation ->> 'currency', judged.lines,
        -- What staff have stated holds whenever it is judged anew.
        jsonb_build_object('stated', (SELECT jsonb_object_agg(s.key, s.value) FROM jsonb_each(stated) AS s
            WHERE is_staff AND s.key IN ('amount_minor', 'location_id', 'service_id', 'time_zone',
                                         'takes_place_at'))));
    receipt.offer_id := offer.id;
    receipt.discount_minor := judged.discount_minor;
    SELECT o.max_uses - o.uses INTO receipt.uses_left FROM @extschema@.loyalty_offers AS o WHERE o.id = offer.id;
    receipt.replayed := false;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_loyalty', idempotency_key, to_jsonb(receipt.redemption_id));
    END IF;
    RETURN receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.redeem_offer(text, uuid, uuid, uuid, bigint, jsonb, text, text) IS
    'Uses an offer for a reference (a booking, an order) of oneself, or with loyalty:redeem of a customer, and keeps '
    'the discount with its terms. What it is for, how much and where, says whoever sells it (usher.purchase_of()); '
    'only staff can state something else, in the same currency and of no higher amount. By a voucher_code the offer '
    'is that of the voucher; error: code_invalid, rate_limited. Raises UL003 when no use is left, UL006 when it does '
    'not apply, beside others of it say, 23505 when the reference has it, US005 when nobody sells it to oneself, '
    'US001 when it takes no discounts any more.';

CREATE FUNCTION @extschema@._release_offers(reference_type text, reference_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    customer uuid;
    uses uuid[];
    offers uuid[];
    used record;
    released bigint := 0;
BEGIN
    SELECT u.customer_id INTO customer FROM @extschema@.offer_uses AS u
    WHERE u.reference_id = _release_offers.reference_id AND u.reference_type = _release_offers.reference_type
        AND NOT u.is_released LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- What the reference is of, its uses, then their offers, each in the order of offers.
    PERFORM usher.publish('loyalty.redeeming', jsonb_build_object('reference_type', _release_offers.reference_type,
        'reference_id', _release_offers.reference_id, 'customer_id', customer), customer::text);
    SELECT array_agg(s.id), array_agg(s.offer_id) INTO uses, offers
    FROM (SELECT u.id, u.offer_id FROM @extschema@.offer_uses AS u
          WHERE u.reference_id = _release_offers.reference_id AND u.reference_type = _release_offers.reference_type
              AND NOT u.is_released
          ORDER BY u.offer_id FOR NO KEY UPDATE) AS s;
    PERFORM FROM @extschema@.loyalty_offers AS o WHERE o.id = ANY (offers) ORDER BY o.id FOR NO KEY UPDATE;
    FOR used IN UPDATE @extschema@.offer_uses AS u SET is_released = true, released_at = now()
        WHERE u.id = ANY (uses)
        RETURNING u.id, u.offer_id, u.customer_id LOOP
        PERFORM usher.publish('loyalty.offer_released', jsonb_build_object('redemption_id', used.id, 'offer_id',
            used.offer_id, 'customer_id', used.customer_id, 'reference_type', _release_offers.reference_type,
            'reference_id', _release_offers.reference_id), used.customer_id::text);
        released := released + 1;
    END LOOP;
    RETURN released;
END
$$;
COMMENT ON FUNCTION @extschema@._release_offers(text, uuid) IS
    'Gives the uses of a reference back: offers and vouchers can be used again. Returns how many.';

CREATE FUNCTION @extschema@.release_offers(reference_type text, reference_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('loyalty:adjust');
    RETURN @extschema@._release_offers(release_offers.reference_type, release_offers.reference_id);
END
$$;
COMMENT ON FUNCTION @extschema@.release_offers(text, uuid) IS
    'Gives back the offers that a reference has used; bookings and orders that are cancelled do so by themselves. '
    'Needs loyalty:adjust.';

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

-- What is redeemed: for whom and for what, judged anew while it is ordered, and given back.

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
    -- Before the code is judged, and counted: a repetition answers the same, whatever has become of the voucher since.
    answer := usher.replay_call('usher_loyalty', idempotency_key, jsonb_build_array('redeem_offer', target,
        redeem_offer.offer_id, encode(@extschema@._code_hash(voucher_code), 'hex'), redeem_offer.reference_type,
        redeem_offer.reference_id, stated));
    IF answer IS NOT NULL THEN
        SELECT NULL, u.id, u.offer_id, u.discount_minor, o.max_uses - o.uses, NULL, true INTO receipt
        FROM @extschema@.offer_uses AS u JOIN @extschema@.loyalty_offers AS o ON o.id = u.offer_id
        WHERE u.id = (answer #>> '{}')::uuid AND u.customer_id = target
            AND u.reference_type = redeem_offer.reference_type AND u.reference_id = redeem_offer.reference_id;
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'redemption does not exist', jsonb_build_object(
                'reference_type', redeem_offer.reference_type, 'reference_id', redeem_offer.reference_id));
        END IF;
        RETURN receipt;
    END IF;
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

\echo Use "ALTER EXTENSION usher_loyalty UPDATE TO '1.0.0'" to load this file. \quit

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
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_loyalty') AS x ON x.object = d.object
WHERE d.extension = 'usher_loyalty'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- Sources of points say what all payments for them have brought and given back, and what an order costs without what
-- was returned: money that only goes back as a surplus takes no points along. Three columns without a default: the
-- table is locked for a moment. They are NULL for purchases so far, whose deductions stay as they were.
ALTER TABLE @extschema@.points_sources ADD COLUMN captured_minor bigint, ADD COLUMN refunded_minor bigint,
    ADD COLUMN kept_minor bigint;

DROP FUNCTION @extschema@._loyalty_metrics();
DROP FUNCTION @extschema@._refuse_members(jsonb, text[], text[]);
DROP FUNCTION @extschema@._use_offer(@extschema@.loyalty_offers, uuid, text, uuid, uuid, bigint, bigint, text, jsonb);
DROP FUNCTION @extschema@.report_advertisements(date, date, uuid);

COMMENT ON COLUMN @extschema@.points_sources.captured_minor IS
    'Of a booking or order that money went back of: the most that its payments are known to have brought together.';
COMMENT ON COLUMN @extschema@.points_sources.refunded_minor IS
    'The most of that which is known to have gone back, surplus included.';
COMMENT ON COLUMN @extschema@.points_sources.kept_minor IS
    'What an order costs without what was returned of it; NULL while nothing was.';
COMMENT ON TABLE @extschema@.points_deductions IS
    'What does not count of a purchase: refunds and cancellations (returned), what was paid with points or vouchers '
    '(not_money), and what a bank holds or has taken (disputed; void once the dispute is won, and then 0). One row '
    'for each cause, with the largest sum that was heard of. The one whose cause is the booking or order itself '
    'follows from what its payments and its seller say of the whole.';
COMMENT ON TABLE @extschema@.referrals IS
    'Who has brought whom. A customer is brought once, by somebody else, who was not brought by them, neither '
    'directly nor through others. The status obeys the machine "referral".';
CREATE OR REPLACE FUNCTION @extschema@._require_points(points bigint) RETURNS void
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
CREATE OR REPLACE FUNCTION @extschema@.earn_points(customer_id uuid, points bigint, source_type text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.redeem_points(points bigint, customer_id uuid DEFAULT NULL,
        source_type text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.give_back_points(entry_id uuid, points bigint DEFAULT NULL,
        note text DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.adjust_points(customer_id uuid, points bigint, note text,
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
CREATE OR REPLACE FUNCTION @extschema@._announce_expiring(max_rows integer) RETURNS bigint
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
CREATE FUNCTION @extschema@._refuse_members(definition jsonb, known text[], needed text[],
                                            argument text DEFAULT 'definition') RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF definition IS NULL OR jsonb_typeof(definition) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', format('%s must be an object', argument),
                                  jsonb_build_object('argument', argument));
    ELSIF argument = 'changes' AND definition = '{}' THEN
        PERFORM usher.raise_error('invalid_argument', 'changes must be a JSON object with at least one key',
                                  jsonb_build_object('argument', argument));
    END IF;
    SELECT k INTO wrong FROM jsonb_object_keys(definition) AS k WHERE k <> ALL (known) ORDER BY k LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument', format('%s has an unknown member "%s"', argument, wrong),
            jsonb_build_object('argument', argument, 'member', wrong, 'allowed', to_jsonb(known)));
    END IF;
    SELECT n INTO wrong FROM unnest(needed) AS n WHERE definition ->> n IS NULL ORDER BY n LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument', format('%s needs the member "%s"', argument, wrong),
                                  jsonb_build_object('argument', argument, 'member', wrong));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._refuse_members(jsonb, text[], text[], text) IS
    'Raises 22023 for a definition with members that nobody knows, or without those that it needs.';
CREATE OR REPLACE FUNCTION @extschema@.create_earning_rule(definition jsonb) RETURNS @extschema@.earning_rule_version
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given @extschema@.earning_rules;
    made @extschema@.earning_rules;
    previous @extschema@.earning_rules;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition,
        '{code,event,counts,condition,points,max_points,max_in_period,period,
        time_zone,expires_after,valid_from,valid_until,description}', '{code,event,points}');
    given := jsonb_populate_record(NULL::@extschema@.earning_rules, definition);
    given.valid_from := coalesce(given.valid_from, statement_timestamp());
    SELECT * INTO previous FROM @extschema@.earning_rules AS r
    WHERE r.code = given.code ORDER BY r.rule_version DESC LIMIT 1 FOR UPDATE;
    IF FOUND AND given.valid_from < greatest(previous.valid_from, least(previous.valid_until, statement_timestamp()))
    THEN
        PERFORM usher.raise_error('invalid_argument', 'a version of a rule begins after the one before it, and not in '
            'the past', jsonb_build_object('argument', 'valid_from', 'code', given.code));
    END IF;
    UPDATE @extschema@.earning_rules AS r SET valid_until = given.valid_from
    WHERE r.code = previous.code AND r.rule_version = previous.rule_version
        AND coalesce(r.valid_until > given.valid_from, true);
    INSERT INTO @extschema@.earning_rules AS r (code, rule_version, event, counts, condition, points, max_points,
        max_in_period, period, time_zone, expires_after, valid_from, valid_until, description, created_by)
    VALUES (given.code, coalesce(previous.rule_version, 0) + 1, given.event, coalesce(given.counts, 'purchase'),
            coalesce(given.condition, 'true'), given.points, given.max_points, given.max_in_period, given.period,
            coalesce(given.time_zone, 'UTC'), given.expires_after, given.valid_from, given.valid_until,
            given.description, usher.actor_id())
    RETURNING * INTO made;
    RETURN (made.code, made.rule_version, made.event, made.counts, made.condition, made.points, made.max_points,
            made.max_in_period, made.period, made.time_zone, made.expires_after, made.valid_from, made.valid_until,
            made.description)::@extschema@.earning_rule_version;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'definition');
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.define_tier(code text, rank integer, threshold bigint,
        basis text DEFAULT 'points',
                                        currency text DEFAULT NULL, counts_back interval DEFAULT '1 year',
                                        grace interval DEFAULT '0', is_active boolean DEFAULT true)
    RETURNS @extschema@.loyalty_tier_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    made @extschema@.loyalty_tier_details;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF define_tier.currency IS NOT NULL THEN
        PERFORM @extschema@._require_amount(define_tier.threshold, define_tier.currency, 'threshold');
    END IF;
    INSERT INTO @extschema@.loyalty_tiers AS t (code, rank, basis, threshold, currency, counts_back, grace, is_active)
    VALUES (define_tier.code, define_tier.rank, define_tier.basis, define_tier.threshold, define_tier.currency,
            define_tier.counts_back, define_tier.grace, define_tier.is_active)
    ON CONFLICT (code) DO UPDATE
    SET rank = EXCLUDED.rank, basis = EXCLUDED.basis, threshold = EXCLUDED.threshold, currency = EXCLUDED.currency,
        counts_back = EXCLUDED.counts_back, grace = EXCLUDED.grace, is_active = EXCLUDED.is_active,
        version = t.version + 1
    RETURNING t.code, t.rank, t.basis, t.threshold, t.currency, t.counts_back, t.grace, t.is_active, t.version
        INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._judge_offers(customer_id uuid, at timestamptz, context jsonb,
        offer_id uuid DEFAULT NULL,
                                          has_voucher boolean DEFAULT false, reference_type text DEFAULT NULL,
                                          reference_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.offer_judgement
    LANGUAGE c STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_judge_offers';
CREATE OR REPLACE FUNCTION @extschema@.define_segment(code text, condition text, description text DEFAULT NULL)
    RETURNS integer
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
CREATE OR REPLACE FUNCTION @extschema@.create_offer(definition jsonb) RETURNS @extschema@.offer_change
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
CREATE OR REPLACE FUNCTION @extschema@.update_offer(offer_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.set_offer_status(offer_id uuid, status text,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.list_offers_for(customer_id uuid DEFAULT NULL, at timestamptz DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.explain_offer(offer_id uuid, customer_id uuid DEFAULT NULL,
        at timestamptz DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.redeem_offer(reference_type text, reference_id uuid, offer_id uuid DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION @extschema@.create_vouchers(offer_id uuid, number integer DEFAULT 1,
        max_uses integer DEFAULT 1,
                                            batch text DEFAULT NULL, valid_until timestamptz DEFAULT NULL,
                                            customer_id uuid DEFAULT NULL, chosen_code text DEFAULT NULL)
    RETURNS TABLE (voucher_id uuid, code text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF number IS NULL OR number NOT BETWEEN 1 AND 10000 THEN
        PERFORM usher.raise_error('invalid_argument', 'number must be 1 to 10000',
                                  jsonb_build_object('argument', 'number'));
    ELSIF create_vouchers.chosen_code IS NOT NULL AND (number <> 1 OR length(create_vouchers.chosen_code) > 100
          OR @extschema@._code_hash(create_vouchers.chosen_code) IS NULL) THEN
        PERFORM usher.raise_error('invalid_argument',
            'chosen_code must have letters or digits, at most 100 characters, and be of one voucher',
            jsonb_build_object('argument', 'chosen_code'));
    END IF;
    PERFORM @extschema@._lock_offer(create_vouchers.offer_id, NULL);
    RETURN QUERY
    WITH fresh AS MATERIALIZED (
        SELECT usher.uuid_v7() AS id, coalesce(create_vouchers.chosen_code, @extschema@._new_code()) AS code
        FROM generate_series(1, number)
    ), stored AS (
        INSERT INTO @extschema@.offer_vouchers (id, offer_id, code_hash, batch, customer_id, max_uses, valid_until,
                                                created_by)
        SELECT f.id, create_vouchers.offer_id, @extschema@._code_hash(f.code), create_vouchers.batch,
               create_vouchers.customer_id, create_vouchers.max_uses, create_vouchers.valid_until, usher.actor_id()
        FROM fresh AS f
    )
    SELECT f.id, f.code FROM fresh AS f;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.revoke_vouchers(offer_id uuid, batch text DEFAULT NULL,
        voucher_id uuid DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    revoked bigint;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._lock_offer(revoke_vouchers.offer_id, NULL);
    UPDATE @extschema@.offer_vouchers AS v SET is_active = false
    WHERE v.offer_id = revoke_vouchers.offer_id AND v.is_active
        AND (revoke_vouchers.batch IS NULL OR v.batch = revoke_vouchers.batch)
        AND (revoke_vouchers.voucher_id IS NULL OR v.id = revoke_vouchers.voucher_id);
    GET DIAGNOSTICS revoked = ROW_COUNT;
    RETURN revoked;
END
$$;
COMMENT ON FUNCTION @extschema@.revoke_vouchers(uuid, text, uuid) IS
    'Ends the vouchers of an offer, of a batch, or one, until restore_vouchers(); returns how many. What was used '
    'stays used. US005 for an unknown offer. Needs loyalty:manage.';
CREATE OR REPLACE FUNCTION @extschema@.restore_vouchers(offer_id uuid, batch text DEFAULT NULL,
        voucher_id uuid DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    restored bigint;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._lock_offer(restore_vouchers.offer_id, NULL);
    UPDATE @extschema@.offer_vouchers AS v SET is_active = true
    WHERE v.offer_id = restore_vouchers.offer_id AND NOT v.is_active
        AND (restore_vouchers.batch IS NULL OR v.batch = restore_vouchers.batch)
        AND (restore_vouchers.voucher_id IS NULL OR v.id = restore_vouchers.voucher_id);
    GET DIAGNOSTICS restored = ROW_COUNT;
    RETURN restored;
END
$$;
COMMENT ON FUNCTION @extschema@.restore_vouchers(uuid, text, uuid) IS
    'Gives back what revoke_vouchers() took: all vouchers of an offer, a batch, or one; returns how many. What has '
    'expired meanwhile, or was used, stays so. US005 for an unknown offer. Needs loyalty:manage.';
CREATE OR REPLACE FUNCTION @extschema@.create_reward(definition jsonb) RETURNS @extschema@.reward_details
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
CREATE OR REPLACE FUNCTION @extschema@.update_reward(reward_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.set_reward_status(reward_id uuid, status text,
        expected_version integer DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@.redeem_reward(reward_id uuid, customer_id uuid DEFAULT NULL,
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
COMMENT ON FUNCTION @extschema@.reverse_redemption(uuid, text) IS
    'Gives back a reward that one has reserved; for one that was handed out already it needs loyalty:adjust. The '
    'points go back to the lots that they came from.';
CREATE OR REPLACE FUNCTION @extschema@.define_referral_program(referrer_points bigint, referee_points bigint,
    events text[] DEFAULT '{booking.completed,payment.completed,order.completed}', min_amount_minor bigint DEFAULT 0,
    waits_for interval DEFAULT '90 days', is_active boolean DEFAULT true, code text DEFAULT 'default')
    RETURNS integer
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
    INSERT INTO @extschema@.referral_programs AS p (code, referrer_points, referee_points, events, min_amount_minor,
                                                    waits_for, is_active)
    VALUES (define_referral_program.code, define_referral_program.referrer_points,
            define_referral_program.referee_points, define_referral_program.events,
            define_referral_program.min_amount_minor, define_referral_program.waits_for,
            define_referral_program.is_active)
    ON CONFLICT (code) DO UPDATE
    SET referrer_points = EXCLUDED.referrer_points, referee_points = EXCLUDED.referee_points, events = EXCLUDED.events,
        min_amount_minor = EXCLUDED.min_amount_minor, waits_for = EXCLUDED.waits_for, is_active = EXCLUDED.is_active,
        version = p.version + 1
    RETURNING p.version INTO now_is;
    RETURN now_is;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.note_customer_signal(customer_id uuid, kind text, value text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:earn');
    IF coalesce(length(note_customer_signal.value), 0) NOT BETWEEN 1 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'value must have 1 to 1000 characters',
                                  jsonb_build_object('argument', 'value'));
    END IF;
    INSERT INTO @extschema@.referral_signals (customer_id, kind, value_hash)
    VALUES (note_customer_signal.customer_id, note_customer_signal.kind,
            sha256(convert_to(lower(btrim(note_customer_signal.value)), 'UTF8')))
    ON CONFLICT DO NOTHING;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.create_referral(code text DEFAULT NULL, referee_id uuid DEFAULT NULL,
                                            referrer_id uuid DEFAULT NULL, program text DEFAULT 'default',
                                            evidence jsonb DEFAULT NULL)
    RETURNS @extschema@.referral_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    newcomer CONSTANT uuid := @extschema@._require_customer(create_referral.referee_id, 'loyalty:earn');
    staff CONSTANT boolean := usher.actor_id() IS NULL OR usher.has_permission('loyalty:earn');
    friend uuid;
    waits interval;
    known @extschema@.referrals;
    made uuid;
BEGIN
    IF create_referral.referrer_id IS NOT NULL AND NOT staff THEN
        PERFORM usher.require_permission('loyalty:earn');
    END IF;
    friend := coalesce(create_referral.referrer_id, (SELECT c.customer_id FROM @extschema@.referral_codes AS c
                                                     WHERE c.code = upper(btrim(create_referral.code))));
    SELECT p.waits_for INTO waits FROM @extschema@.referral_programs AS p
    WHERE p.code = create_referral.program AND p.is_active;
    IF friend IS NULL OR waits IS NULL THEN
        PERFORM usher.raise_error('unknown_reference',
            CASE WHEN waits IS NULL THEN 'program does not exist' ELSE 'referral code does not exist' END,
            CASE WHEN waits IS NULL THEN jsonb_build_object('program', create_referral.program)
                ELSE jsonb_build_object('code', create_referral.code) END);
    END IF;
    SELECT * INTO known FROM @extschema@.referrals AS r WHERE r.referee_id = newcomer;
    IF FOUND THEN
        IF known.referrer_id = friend THEN
            RETURN @extschema@._describe_referral(known.id, staff, true);
        END IF;
        PERFORM usher.raise_error('referral_refused', 'customer was brought by somebody already',
                                  jsonb_build_object('referee_id', newcomer, 'rule', 'brought_already'));
    ELSIF EXISTS (SELECT FROM @extschema@.points_sources AS s WHERE s.customer_id = newcomer) THEN
        PERFORM usher.raise_error('referral_refused', 'customer is not new',
                                  jsonb_build_object('referee_id', newcomer, 'rule', 'not_new'));
    END IF;
    INSERT INTO @extschema@.referrals AS r (program, referrer_id, referee_id, evidence, expires_at, created_by)
    VALUES (create_referral.program, friend, newcomer, create_referral.evidence, now() + waits, usher.actor_id())
    RETURNING r.id INTO made;
    RETURN @extschema@._describe_referral(made, staff);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.reject_referral(referral_id uuid, reason_code text, notes text DEFAULT NULL,
                                            evidence jsonb DEFAULT NULL)
    RETURNS @extschema@.referral_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('loyalty:earn');
    IF reject_referral.reason_code IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'reason_code must not be null',
                                  jsonb_build_object('argument', 'reason_code'));
    END IF;
    RETURN @extschema@._describe_referral(reject_referral.referral_id, true,
        NOT @extschema@._settle_referral(reject_referral.referral_id, 'rejected', reject_referral.reason_code,
                                         reject_referral.notes, reject_referral.evidence));
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.list_referrals(customer_id uuid DEFAULT NULL, only_status text DEFAULT NULL,
                                           only_flagged boolean DEFAULT false, after uuid DEFAULT NULL,
                                           max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.referral_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan -- the conditions that are given are those of the query
AS $$
#variable_conflict use_column
DECLARE
    staff CONSTANT boolean := usher.actor_id() IS NULL OR usher.has_permission('loyalty:read');
    target uuid := list_referrals.customer_id;
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF target IS NOT NULL OR NOT staff OR usher.actor_id() IS NULL THEN
        target := CASE WHEN target IS NULL AND usher.actor_id() IS NULL THEN NULL
                       ELSE @extschema@._require_customer(target, 'loyalty:read') END;
        IF target IS NULL THEN
            PERFORM usher.require_permission('loyalty:read');
        END IF;
    END IF;
    IF only_status NOT IN ('pending', 'qualified', 'rewarded', 'rejected', 'expired') THEN
        PERFORM usher.raise_error('invalid_argument',
            'only_status must be pending, qualified, rewarded, rejected or expired', '{"argument": "only_status"}');
    END IF;
    PERFORM usher.log_read('customer', target::text, '{"part": "referrals"}');
    RETURN QUERY
    SELECT r.id, r.status, r.referrer_id, r.referee_id, r.referrer_points, r.referee_points,
           CASE WHEN staff THEN r.flags END, CASE WHEN staff THEN r.reason_code END, r.expires_at, r.created_at,
           r.version, false
    FROM @extschema@.referrals AS r
    WHERE (target IS NULL OR target IN (r.referrer_id, r.referee_id))
        AND (only_status IS NULL OR r.status = only_status) AND (NOT only_flagged OR r.flags <> '{}')
        AND (list_referrals.after IS NULL OR r.id > list_referrals.after)
    ORDER BY r.id LIMIT max_rows;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._on_first_purchase(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Of a payment, what stays: one that comes too late is on its way back already.
    amount CONSTANT numeric := CASE WHEN event = 'payment.completed'
        THEN (payload ->> 'captured_minor')::numeric - coalesce((payload ->> 'refunded_minor')::numeric, 0)
        ELSE coalesce(payload ->> 'price_minor', payload ->> 'total_minor', '0')::numeric END;
    waiting record;
BEGIN
    IF usher.uuid_or_null(payload ->> 'customer_id') IS NULL
       OR payload ->> 'payment_method' IN ('points', 'voucher')
       OR event = 'payment.completed' AND payload ->> 'purpose' = 'duplicate'
       OR event <> 'booking.completed' AND NOT coalesce(amount > 0, false) THEN
        RETURN;
    END IF;
    SELECT r.id, r.flags, r.referrer_id, r.expires_at INTO waiting
    FROM @extschema@.referrals AS r JOIN @extschema@.referral_programs AS p ON p.code = r.program
    WHERE r.referee_id = (payload ->> 'customer_id')::uuid AND r.status = 'pending'
        AND _on_first_purchase.event = ANY (p.events) AND amount >= p.min_amount_minor;
    IF NOT FOUND OR waiting.expires_at <= statement_timestamp() THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM @extschema@._settle_referral(waiting.id, CASE waiting.flags WHEN '{}' THEN 'rewarded' ELSE 'qualified'
            END, NULL, NULL, jsonb_build_object('event', event), true);
    EXCEPTION WHEN SQLSTATE 'UL002' THEN
        NULL; -- another event of theirs was first
    WHEN SQLSTATE 'US005' OR SQLSTATE 'UL004' THEN
        PERFORM @extschema@._settle_referral(waiting.id, 'rejected', 'customer_is_gone', NULL, NULL);
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._on_first_purchase(text, jsonb) IS
    'Handler of what is completed: qualifies the referral of a newcomer, and rewards it unless it has flags. Money '
    'that goes back at once, and what costs nothing, does not count; a visit that is free does.';
CREATE OR REPLACE FUNCTION @extschema@.create_advertisement(definition jsonb) RETURNS @extschema@.ad_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    g @extschema@.loyalty_ads;
    made @extschema@.ad_change;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition,
        '{title,content,placement,weight,valid_from,valid_until,tiers,segment,offer_id}', '{title,placement}');
    g := jsonb_populate_record(NULL::@extschema@.loyalty_ads, definition);
    INSERT INTO @extschema@.loyalty_ads AS a (title, content, placement, weight, valid_from, valid_until, tiers,
        segment,
                                              offer_id, created_by)
    VALUES (g.title, coalesce(g.content, '{}'), g.placement, coalesce(g.weight, 1), coalesce(g.valid_from, now()),
            g.valid_until, g.tiers, g.segment, g.offer_id, usher.actor_id())
    RETURNING a.id, a.status, a.version INTO made;
    RETURN made;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'definition');
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.set_advertisement_status(ad_id uuid, status text,
        expected_version integer DEFAULT NULL)
    RETURNS @extschema@.ad_change
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ad @extschema@.loyalty_ads;
    made @extschema@.ad_change;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF set_advertisement_status.status IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'status must not be null', '{"argument": "status"}');
    END IF;
    SELECT * INTO ad FROM @extschema@.loyalty_ads AS a WHERE a.id = set_advertisement_status.ad_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'advertisement does not exist',
                                  jsonb_build_object('ad_id', set_advertisement_status.ad_id));
    ELSIF expected_version <> ad.version THEN
        PERFORM usher.raise_error('stale_version', 'advertisement was changed by somebody else',
            jsonb_build_object('id', ad.id, 'expected_version', expected_version, 'version', ad.version));
    END IF;
    UPDATE @extschema@.loyalty_ads AS a SET status = set_advertisement_status.status
    WHERE a.id = ad.id RETURNING a.id, a.status, a.version INTO made;
    RETURN made;
END
$$;
CREATE FUNCTION @extschema@.report_advertisements(since date DEFAULT NULL, until date DEFAULT NULL,
                                                  only_ad uuid DEFAULT NULL)
    RETURNS TABLE (ad_id uuid, title text, day date, views bigint, clicks bigint, click_through numeric)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan -- the conditions that are given are those of the query
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('loyalty:read');
    IF NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' THEN
        PERFORM @extschema@._write_ad_counts();
    END IF;
    RETURN QUERY
    SELECT a.id, a.title, c.day, c.views, c.clicks, round(c.clicks::numeric / nullif(c.views, 0), 4)
    FROM (SELECT n.ad_id, n.day, coalesce(sum(n.count) FILTER (WHERE n.kind = 'view'), 0)::bigint AS views,
                 coalesce(sum(n.count) FILTER (WHERE n.kind = 'click'), 0)::bigint AS clicks
          FROM @extschema@.loyalty_ad_counts AS n
          WHERE (since IS NULL OR n.day >= since) AND (until IS NULL OR n.day <= until)
              AND (only_ad IS NULL OR n.ad_id = only_ad)
          GROUP BY n.ad_id, n.day) AS c
        JOIN @extschema@.loyalty_ads AS a ON a.id = c.ad_id
    ORDER BY c.day, a.id;
END
$$;
COMMENT ON FUNCTION @extschema@.report_advertisements(date, date, uuid) IS
    'Views, clicks and clicks per view, by advertisement and day (UTC). Needs loyalty:read.';
CREATE OR REPLACE FUNCTION @extschema@._on_purchase_cancelled(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_booking CONSTANT boolean := event = 'booking.cancelled';
    reference CONSTANT uuid := usher.uuid_or_null(payload ->> 'id');
BEGIN
    IF reference IS NOT NULL THEN
        PERFORM @extschema@._release_offers(CASE WHEN is_booking THEN 'booking' ELSE 'order' END, reference);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_purchase_cancelled(text, jsonb) IS
    'Handler of booking.cancelled, order.cancelled and order.abandoned: offers that it has used can be used again.';
CREATE FUNCTION @extschema@._loyalty_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.points_accounts');
BEGIN
    -- Of many accounts a sample is read.
    RETURN QUERY
    SELECT 'usher_loyalty_points', jsonb_build_object('kind', p.kind), round(p.points * 100 / percent),
        'Points of all customers: what they have, and what they owe.'
    FROM (SELECT coalesce(sum(a.balance), 0)::double precision, coalesce(sum(a.debt), 0)::double precision
          FROM @extschema@.points_accounts AS a TABLESAMPLE SYSTEM (percent)) AS s (balance, debt)
        CROSS JOIN LATERAL (VALUES ('balance', s.balance), ('debt', s.debt)) AS p (kind, points);
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_metrics() IS 'The part of usher_loyalty in usher.metrics().';
SELECT usher.subscribe(v.event, 'usher_loyalty', '@extschema@._on_purchase(text,jsonb)', 'async')
FROM unnest('{booking.completed,payment.completed,payment.refunded,payment.partially_refunded,payment.disputed,
    payment.dispute_closed,order.completed,order.returned,order.cancelled}'::text[]) AS v (event);
SELECT usher.subscribe(v.event, 'usher_loyalty_offers', '@extschema@._on_purchase_cancelled(text,jsonb)', 'async')
FROM unnest('{order.cancelled,order.abandoned}'::text[]) AS v (event);
SELECT usher.finish_extension();

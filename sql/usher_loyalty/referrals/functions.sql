CREATE TYPE @extschema@.referral_details AS (
    referral_id uuid, status text, referrer_id uuid, referee_id uuid, referrer_points bigint, referee_points bigint,
    flags text[], reason_code text, expires_at timestamptz, created_at timestamptz, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.referral_details IS
    'Who has brought whom, and what each gets for it. flags: what both have in common, for staff only.';

CREATE FUNCTION @extschema@._check_referral() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_check_referral';
COMMENT ON FUNCTION @extschema@._check_referral() IS
    'Row trigger of referrals: raises UL008 for oneself and for circles, and notes terms and flags.';

CREATE FUNCTION @extschema@._follow_referral() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_loyalty_follow_referral';
COMMENT ON FUNCTION @extschema@._follow_referral() IS
    'Row trigger of referrals: one that is rewarded earns both their points, once.';

CREATE FUNCTION @extschema@._describe_referral(referral_id uuid, shows_flags boolean DEFAULT true,
                                               is_replayed boolean DEFAULT false)
    RETURNS @extschema@.referral_details
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found @extschema@.referral_details;
BEGIN
    SELECT r.id, r.status, r.referrer_id, r.referee_id, r.referrer_points, r.referee_points,
           CASE WHEN shows_flags THEN r.flags END, CASE WHEN shows_flags THEN r.reason_code END, r.expires_at,
           r.created_at, r.version, is_replayed
    INTO found FROM @extschema@.referrals AS r WHERE r.id = _describe_referral.referral_id;
    RETURN found;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_referral(uuid, boolean, boolean) IS 'A referral as it is read.';

CREATE FUNCTION @extschema@.define_referral_program(referrer_points bigint, referee_points bigint,
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
COMMENT ON FUNCTION @extschema@.define_referral_program(bigint, bigint, text[], bigint, interval, boolean, text) IS
    'What both get when a customer brings another one along, whose first purchase (one of these events, of at least '
    'min_amount_minor) comes within waits_for. Referrals keep the points that they were made with. Returns the '
    'version. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.get_referral_code(customer_id uuid DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(get_referral_code.customer_id, 'loyalty:read');
    existing text;
BEGIN
    PERFORM @extschema@._open_account(target);
    INSERT INTO @extschema@.referral_codes AS c (customer_id, code)
    VALUES (target, substr(@extschema@._new_code(), 1, 9)) ON CONFLICT DO NOTHING;
    SELECT c.code INTO existing FROM @extschema@.referral_codes AS c WHERE c.customer_id = target;
    IF NOT FOUND THEN -- of 40 bits, somebody has this one already, or is about to
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'could not make a code: try again';
    END IF;
    RETURN existing;
END
$$;
COMMENT ON FUNCTION @extschema@.get_referral_code(uuid) IS
    'What a customer tells others: one''s own, or with loyalty:read. It never changes.';

CREATE FUNCTION @extschema@.note_customer_signal(customer_id uuid, kind text, value text) RETURNS void
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
COMMENT ON FUNCTION @extschema@.note_customer_signal(uuid, text, text) IS
    'An address, network, device or payment_method of a customer, kept as a hash: a referral between two who have '
    'one in common waits for somebody to look. Needs loyalty:earn.';

CREATE FUNCTION @extschema@.create_referral(code text DEFAULT NULL, referee_id uuid DEFAULT NULL,
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
COMMENT ON FUNCTION @extschema@.create_referral(text, uuid, uuid, text, jsonb) IS
    'Somebody new, oneself or with loyalty:earn somebody else, was brought along by the customer whose code they '
    'give, or with loyalty:earn by referrer_id. Raises UL008 for oneself, for circles, for whoever was brought by '
    'somebody else or has bought something; again with the same referrer it answers the same.';

CREATE FUNCTION @extschema@._settle_referral(referral_id uuid, to_status text, reason_code text, notes text,
                                             evidence jsonb, qualifies boolean DEFAULT false)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    referral @extschema@.referrals;
BEGIN
    -- Users, then the referral, then both accounts, which its trigger credits in their order.
    SELECT * INTO referral FROM @extschema@.referrals AS r WHERE r.id = _settle_referral.referral_id;
    IF to_status = 'rewarded' AND referral.id IS NOT NULL THEN
        PERFORM @extschema@._open_account(p.id)
        FROM (SELECT v.id FROM unnest(ARRAY[referral.referrer_id, referral.referee_id]) AS v (id)
              ORDER BY v.id OFFSET 0) AS p;
    END IF;
    SELECT * INTO referral FROM @extschema@.referrals AS r WHERE r.id = _settle_referral.referral_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'referral does not exist',
                                  jsonb_build_object('referral_id', _settle_referral.referral_id));
    ELSIF referral.status = to_status THEN
        RETURN false;
    ELSIF referral.status IN ('rewarded', 'rejected', 'expired')
          OR ((to_status = 'qualified' OR qualifies) AND referral.expires_at <= statement_timestamp()) THEN
        PERFORM usher.raise_error('already_rewarded', format('referral is %s already',
            CASE WHEN referral.status = 'pending' THEN 'expired' ELSE referral.status END),
            jsonb_build_object('referral_id', referral.id, 'status', referral.status));
    END IF;
    IF qualifies AND referral.status = 'pending' AND to_status = 'rewarded' THEN
        UPDATE @extschema@.referrals AS r SET status = 'qualified' WHERE r.id = referral.id;
    END IF;
    UPDATE @extschema@.referrals AS r
    SET status = to_status, reason_code = coalesce(_settle_referral.reason_code, r.reason_code),
        notes = coalesce(_settle_referral.notes, r.notes),
        evidence = coalesce(r.evidence || _settle_referral.evidence, _settle_referral.evidence, r.evidence)
    WHERE r.id = referral.id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_referral(uuid, text, text, text, jsonb, boolean) IS
    'Moves a referral on, with accounts for both when it is rewarded. qualifies: one that is pending is '
    'qualified on the way. False when it is there already.';

CREATE FUNCTION @extschema@.qualify_referral(referral_id uuid, evidence jsonb DEFAULT NULL)
    RETURNS @extschema@.referral_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('loyalty:earn');
    RETURN @extschema@._describe_referral(qualify_referral.referral_id, true,
        NOT @extschema@._settle_referral(qualify_referral.referral_id, 'qualified', NULL, NULL,
                                         qualify_referral.evidence));
END
$$;
COMMENT ON FUNCTION @extschema@.qualify_referral(uuid, jsonb) IS
    'The newcomer has done what is asked of them; their first purchase says so by itself. Needs loyalty:earn.';

CREATE FUNCTION @extschema@.reward_referral(referral_id uuid) RETURNS @extschema@.referral_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('loyalty:earn');
    RETURN @extschema@._describe_referral(reward_referral.referral_id, true,
        NOT @extschema@._settle_referral(reward_referral.referral_id, 'rewarded', NULL, NULL, NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.reward_referral(uuid) IS
    'Gives both their points, once: one that is qualified and has flags waits for this. Needs loyalty:earn.';

CREATE FUNCTION @extschema@.reject_referral(referral_id uuid, reason_code text, notes text DEFAULT NULL,
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
COMMENT ON FUNCTION @extschema@.reject_referral(uuid, text, text, jsonb) IS
    'Nobody gets anything for it, and why. UL002 when it was rewarded. Needs loyalty:earn.';

CREATE FUNCTION @extschema@.list_referrals(customer_id uuid DEFAULT NULL, only_status text DEFAULT NULL,
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
COMMENT ON FUNCTION @extschema@.list_referrals(uuid, text, boolean, uuid, integer) IS
    'Whom one has brought, and who has brought one; with loyalty:read of all customers, with flags and reasons. The '
    'next page starts after the last referral_id.';

CREATE FUNCTION @extschema@._on_first_purchase(event text, payload jsonb) RETURNS void
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

CREATE FUNCTION @extschema@._expire_referrals(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due uuid[];
    expired bigint;
BEGIN
    SELECT array_agg(s.id) INTO due FROM (
        SELECT r.id FROM @extschema@.referrals AS r
        WHERE r.status = 'pending' AND r.expires_at <= statement_timestamp()
        ORDER BY r.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED) AS s;
    UPDATE @extschema@.referrals AS r SET status = 'expired' WHERE r.id = ANY (due);
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@._expire_referrals(integer) IS
    'Ends referrals whose newcomer has not come in time; returns how many.';

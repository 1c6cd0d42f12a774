CREATE TYPE @extschema@.earning_rule_version AS (
    code text, rule_version integer, event text, counts text, condition text, points text, max_points bigint,
    max_in_period bigint, period text, time_zone text, expires_after interval, valid_from timestamptz,
    valid_until timestamptz, description text);
COMMENT ON TYPE @extschema@.earning_rule_version IS 'A rule by which purchases earn points, as it was for some time.';

CREATE FUNCTION @extschema@._points_for(condition text, points text, counts_lines boolean, max_points bigint,
                                        purchase jsonb) RETURNS bigint
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_loyalty_points_for';
COMMENT ON FUNCTION @extschema@._points_for(text, text, boolean, bigint, jsonb) IS
    'What a purchase earns by a rule; without a purchase the rule is only checked. Raises 22023 for expressions that '
    'are wrong.';

CREATE FUNCTION @extschema@._check_rule() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._points_for(NEW.condition, NEW.points, NEW.counts = 'line', NEW.max_points, NULL);
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._check_rule() IS
    'Row trigger of earning_rules: raises 22023 for expressions that are wrong, and for an unknown time zone.';

CREATE FUNCTION @extschema@._announce_rules() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_loyalty_announce_rules';
COMMENT ON FUNCTION @extschema@._announce_rules() IS
    'Trigger of earning_rules: backends forget the rules that they have kept.';

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

CREATE FUNCTION @extschema@.create_earning_rule(definition jsonb) RETURNS @extschema@.earning_rule_version
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
COMMENT ON FUNCTION @extschema@.create_earning_rule(jsonb) IS
    'Makes a rule, or the next version of the one with that code, which ends then: {"code", "event": '
    '"booking.completed", "payment.completed" or "order.completed", "points": "r.amount_minor / 100", "condition", '
    '"counts": "purchase" or "line", "max_points", "max_in_period", "period", "time_zone", "expires_after", '
    '"valid_from", "valid_until", "description"}. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.end_earning_rule(code text, at timestamptz DEFAULT NULL)
    RETURNS @extschema@.earning_rule_version
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    ends_at CONSTANT timestamptz := coalesce(at, statement_timestamp());
    ended @extschema@.earning_rule_version;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF ends_at < statement_timestamp() THEN
        PERFORM usher.raise_error('invalid_argument', 'a rule does not end in the past',
                                  jsonb_build_object('argument', 'at'));
    END IF;
    UPDATE @extschema@.earning_rules AS r SET valid_until = greatest(ends_at, r.valid_from)
    WHERE r.code = end_earning_rule.code AND coalesce(r.valid_until > ends_at, true)
        AND r.rule_version = (SELECT max(o.rule_version) FROM @extschema@.earning_rules AS o WHERE o.code = r.code)
    RETURNING r.code, r.rule_version, r.event, r.counts, r.condition, r.points, r.max_points, r.max_in_period,
        r.period,
        r.time_zone, r.expires_after, r.valid_from, r.valid_until, r.description
    INTO ended;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'rule does not exist, or has ended',
                                  jsonb_build_object('code', end_earning_rule.code));
    END IF;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION @extschema@.end_earning_rule(text, timestamptz) IS
    'Ends the last version of a rule, now or at a time to come. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.list_earning_rules(code text DEFAULT NULL, at timestamptz DEFAULT NULL)
    RETURNS SETOF @extschema@.earning_rule_version
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('loyalty:read');
    RETURN QUERY
    SELECT r.code, r.rule_version, r.event, r.counts, r.condition, r.points, r.max_points, r.max_in_period, r.period,
           r.time_zone, r.expires_after, r.valid_from, r.valid_until, r.description
    FROM @extschema@.earning_rules AS r
    WHERE (list_earning_rules.code IS NULL OR r.code = list_earning_rules.code)
        AND (list_earning_rules.at IS NULL OR (r.valid_from <= list_earning_rules.at
                AND coalesce(r.valid_until > list_earning_rules.at, true)))
    ORDER BY r.code, r.rule_version;
END
$$;
COMMENT ON FUNCTION @extschema@.list_earning_rules(text, timestamptz) IS
    'All versions of all rules, or of one, or those that are valid at a time. Needs loyalty:read.';

CREATE FUNCTION @extschema@.preview_earning_rule(definition jsonb, purchase jsonb) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._refuse_members(definition,
        '{code,event,counts,condition,points,max_points,max_in_period,period,
        time_zone,expires_after,valid_from,valid_until,description}', '{points}');
    RETURN @extschema@._points_for(coalesce(definition ->> 'condition', 'true'), definition ->> 'points',
        coalesce(definition ->> 'counts', 'purchase') = 'line', (definition ->> 'max_points')::bigint,
        coalesce(purchase, '{}'));
END
$$;
COMMENT ON FUNCTION @extschema@.preview_earning_rule(jsonb, jsonb) IS
    'What a purchase would earn by a rule that nobody has to make for it: {"amount_minor": 1250, "tier": "GOLD", …}. '
    'Needs loyalty:manage.';

CREATE FUNCTION usher._check_model(definition text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_access_check_model';
REVOKE ALL ON FUNCTION usher._check_model(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_model(text) IS 'Raises 22023 with what is wrong with a policy model.';

CREATE FUNCTION usher.define_model(name text, definition text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    IF name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'model name must have 1 to 100 of A-Z, a-z, 0-9, _, . and -',
                                  '{"argument": "name"}');
    END IF;
    PERFORM usher._check_model(definition);
    INSERT INTO usher.policy_models AS m (name, definition, updated_by)
    VALUES (define_model.name, define_model.definition, coalesce(usher.actor_id()::text, session_user))
    ON CONFLICT ON CONSTRAINT policy_models_pkey
        DO UPDATE SET definition = excluded.definition, updated_at = now(), updated_by = excluded.updated_by;
    PERFORM usher._log_access_change('access.model_defined', jsonb_build_object('definition', definition),
                                     'policy_model', name);
END
$$;
REVOKE ALL ON FUNCTION usher.define_model(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_model(text, text) IS
    'Keeps a policy model, the text of a Casbin model file or a JSON object of r, p, g, e and m, under a name for '
    'enforce(). Needs policy:manage.';

CREATE FUNCTION usher.define_model(name text, definition jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.define_model(name, definition::text);
END
$$;
REVOKE ALL ON FUNCTION usher.define_model(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.define_model(text, jsonb) IS
    'define_model(text, text) for a model that is a JSON object of r, p, g, e and m. Needs policy:manage.';

CREATE FUNCTION usher.drop_model(name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    DELETE FROM usher.policy_models m WHERE m.name = drop_model.name;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.model_dropped', '{}', 'policy_model', name);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.drop_model(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.drop_model(text) IS 'Drops a policy model; false when there was none. Needs policy:manage.';

CREATE FUNCTION usher._check_policy(ptype text, v text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF ptype IS NULL OR ptype !~ '^[pg][0-9]{0,2}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'ptype must be p or g, or one of them with a number',
                                  '{"argument": "ptype"}');
    ELSIF v[1] IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'v0 must not be null', '{"argument": "v0"}');
    ELSIF EXISTS (SELECT FROM unnest(v) AS value WHERE octet_length(value) > 256) THEN
        PERFORM usher.raise_error('invalid_argument', 'v0 to v5 must not be longer than 256 bytes',
                                  '{"argument": "v0"}');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_policy(text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_policy(text, text[]) IS 'Raises 22023 for a policy rule that no row can hold.';

CREATE FUNCTION usher.add_policy(ptype text, v0 text, v1 text DEFAULT NULL, v2 text DEFAULT NULL, v3 text DEFAULT NULL,
                                 v4 text DEFAULT NULL, v5 text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := coalesce(usher.actor_id()::text, session_user);
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    PERFORM usher._check_policy(ptype, ARRAY[v0, v1, v2, v3, v4, v5]);
    INSERT INTO usher.policy_rules AS p (ptype, v0, v1, v2, v3, v4, v5, created_by, updated_by)
    VALUES (add_policy.ptype, add_policy.v0, add_policy.v1, add_policy.v2, add_policy.v3, add_policy.v4, add_policy.v5,
            actor, actor)
    ON CONFLICT ON CONSTRAINT policy_rules_ptype_v0_v1_v2_v3_v4_v5_key DO UPDATE SET is_active = true
    WHERE NOT p.is_active;
    IF FOUND THEN
        PERFORM usher._log_access_change(
            'access.policy_added', jsonb_build_object('rule', ARRAY[ptype, v0, v1, v2, v3, v4, v5]), 'policy', ptype);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.add_policy(text, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_policy(text, text, text, text, text, text, text) IS
    'Adds a policy rule, or switches it on again; false when it was there. Whoever may do this can give any '
    'permission. Needs policy:manage.';

CREATE FUNCTION usher.remove_policy(ptype text, v0 text, v1 text DEFAULT NULL, v2 text DEFAULT NULL,
                                    v3 text DEFAULT NULL, v4 text DEFAULT NULL, v5 text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    PERFORM usher._check_policy(ptype, ARRAY[v0, v1, v2, v3, v4, v5]);
    DELETE FROM usher.policy_rules p
    WHERE p.ptype = remove_policy.ptype AND p.v0 = remove_policy.v0 AND p.v1 IS NOT DISTINCT FROM remove_policy.v1
      AND p.v2 IS NOT DISTINCT FROM remove_policy.v2 AND p.v3 IS NOT DISTINCT FROM remove_policy.v3
      AND p.v4 IS NOT DISTINCT FROM remove_policy.v4 AND p.v5 IS NOT DISTINCT FROM remove_policy.v5;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.policy_removed', jsonb_build_object(
            'rule', ARRAY[ptype, v0, v1, v2, v3, v4, v5]), 'policy', ptype);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.remove_policy(text, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_policy(text, text, text, text, text, text, text) IS
    'Removes exactly this policy rule; false when there was none. Needs policy:manage.';

CREATE FUNCTION usher.disable_policy(ptype text, v0 text, v1 text DEFAULT NULL, v2 text DEFAULT NULL,
                                     v3 text DEFAULT NULL, v4 text DEFAULT NULL, v5 text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything, or deny it
    PERFORM usher._check_policy(ptype, ARRAY[v0, v1, v2, v3, v4, v5]);
    UPDATE usher.policy_rules p SET is_active = false
    WHERE p.is_active AND p.ptype = disable_policy.ptype AND p.v0 = disable_policy.v0
      AND p.v1 IS NOT DISTINCT FROM disable_policy.v1 AND p.v2 IS NOT DISTINCT FROM disable_policy.v2
      AND p.v3 IS NOT DISTINCT FROM disable_policy.v3 AND p.v4 IS NOT DISTINCT FROM disable_policy.v4
      AND p.v5 IS NOT DISTINCT FROM disable_policy.v5;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.policy_disabled', jsonb_build_object(
            'rule', ARRAY[ptype, v0, v1, v2, v3, v4, v5]), 'policy', ptype);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.disable_policy(text, text, text, text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.disable_policy(text, text, text, text, text, text, text) IS
    'Switches exactly this policy rule off and keeps it; add_policy() switches it on again. False when there was none '
    'that was on. Needs policy:manage.';

CREATE FUNCTION usher._policy_lines(policies text) RETURNS TABLE (line integer, ptype text, v text[])
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_access_policy_lines';
REVOKE ALL ON FUNCTION usher._policy_lines(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._policy_lines(text) IS
    'The rules of a Casbin policy file. Raises 22023 with the line of one that is malformed.';

CREATE FUNCTION usher.load_policies(policies text) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := coalesce(usher.actor_id()::text, session_user);
    loaded integer;
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    IF policies IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'policies must not be null', '{"argument": "policies"}');
    END IF;
    INSERT INTO usher.policy_rules AS p (ptype, v0, v1, v2, v3, v4, v5, created_by, updated_by)
    SELECT l.ptype, l.v[1], l.v[2], l.v[3], l.v[4], l.v[5], l.v[6], actor, actor
    FROM (SELECT DISTINCT ON (x.ptype, x.v) x.line, x.ptype, x.v
          FROM usher._policy_lines(policies) x ORDER BY x.ptype, x.v, x.line) l
    ORDER BY l.line
    ON CONFLICT ON CONSTRAINT policy_rules_ptype_v0_v1_v2_v3_v4_v5_key DO UPDATE SET is_active = true
    WHERE NOT p.is_active;
    GET DIAGNOSTICS loaded = ROW_COUNT;
    PERFORM usher._log_access_change('access.policies_loaded', jsonb_build_object('rules', loaded), 'policy', NULL);
    RETURN loaded;
END
$$;
REVOKE ALL ON FUNCTION usher.load_policies(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.load_policies(text) IS
    'Adds the rules of a Casbin policy file, as its text: "p, alice, data1, read" in lines. Rules that are there '
    'already are left alone; returns how many were added. A malformed line is an error 22023 that names it, and '
    'nothing is added. Needs policy:manage.';

CREATE FUNCTION usher.list_policies(ptype text DEFAULT NULL, v0 text DEFAULT NULL, after uuid DEFAULT NULL,
                                    max_rows integer DEFAULT 100)
    RETURNS TABLE (id uuid, rule_ptype text, rule text[], is_active boolean, created_at timestamptz, created_by text,
                   updated_at timestamptz, updated_by text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT p.id, p.ptype, array_remove(ARRAY[p.v0, p.v1, p.v2, p.v3, p.v4, p.v5], NULL), p.is_active, p.created_at,
           p.created_by, p.updated_at, p.updated_by
    FROM usher.policy_rules p
    WHERE (list_policies.ptype IS NULL OR p.ptype = list_policies.ptype)
      AND (list_policies.v0 IS NULL OR p.v0 = list_policies.v0)
      AND (list_policies.after IS NULL OR p.id > list_policies.after)
    ORDER BY p.id
    LIMIT list_policies.max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_policies(text, text, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_policies(text, text, uuid, integer) IS
    'Policy rules in the order in which they were added, by keyset: pass the last id as after. Needs policy:manage.';

CREATE FUNCTION usher.enforce(model text, request text[], context text DEFAULT '') RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_enforce';
REVOKE ALL ON FUNCTION usher.enforce(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher.enforce(text, text[], text) IS
    'Whether the policy rules let a request pass: model is a name of define_model() or a model text, request has one '
    'text per name of its request definition, JSON objects for attributes. context: ''2'' for r2, p2, e2 and m2 of '
    'the model. False for NULL.';

CREATE FUNCTION usher.enforce(model jsonb, request text[], context text DEFAULT '') RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_enforce_jsonb';
REVOKE ALL ON FUNCTION usher.enforce(jsonb, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher.enforce(jsonb, text[], text) IS
    'enforce(text, text[], text) for a model that is a JSON object of r, p, g, e and m. False for NULL.';

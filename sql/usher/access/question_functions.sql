-- Access control: why somebody may or may not, and who has what.

CREATE FUNCTION usher._decide(user_id uuid, permission text, scope text, OUT allowed boolean, OUT via text,
                              OUT expires_at timestamptz)
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_decide';
REVOKE ALL ON FUNCTION usher._decide(uuid, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._decide(uuid, text, text) IS
    'The decision with the step that made it (deny, role, direct, policy, or nothing) and the end of the rule that '
    'counted. NULL as user: the current identity.';

CREATE FUNCTION usher._log_check(data jsonb, allowed boolean, resource_type text, resource_id text) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_access_log_check';
REVOKE ALL ON FUNCTION usher._log_check(jsonb, boolean, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._log_check(jsonb, boolean, text, text) IS
    'Writes the audit row of check_access(). With the library preloaded, the row outlives a rollback of the caller.';

CREATE FUNCTION usher.check_access(permission text, resource jsonb DEFAULT NULL,
                                   OUT allowed boolean, OUT via text, OUT expires_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._check_permission_name(permission);
    IF resource IS NOT NULL AND (jsonb_typeof(resource) <> 'object' OR octet_length(resource::text) > 10000
            OR jsonb_typeof(resource -> 'scope') NOT IN ('string', 'null')
            OR octet_length(resource ->> 'scope') > 200) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'resource must be a JSON object of type, id and scope (text of at most 200 bytes)',
                                  '{"argument": "resource"}');
    END IF;
    SELECT d.allowed, d.via, d.expires_at INTO check_access.allowed, check_access.via, check_access.expires_at
    FROM usher._decide(NULL, permission, resource ->> 'scope') AS d;
    PERFORM usher._log_check(
        jsonb_strip_nulls(jsonb_build_object('permission', permission, 'scope', resource ->> 'scope',
                                             'allowed', allowed, 'via', via)),
        allowed, coalesce(left(resource ->> 'type', 100), split_part(permission, ':', 1)),
        left(resource ->> 'id', 100));
END
$$;
REVOKE ALL ON FUNCTION usher.check_access(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.check_access(text, jsonb) IS
    'Decides for the current identity like has_permission(), says by which step, and writes one audit row either way, '
    'which stays when the caller rolls back (with the library preloaded). resource: {"type", "id", "scope"}, all '
    'optional.';

-- One row per rule that speaks about the permission, whether it counts or not and why, in the order of decision; the
-- last row is the result. Worked out from the tables by SQL alone, so it also is a second opinion about the cached
-- decision.
CREATE FUNCTION usher.explain_access(user_id uuid, permission text, scope text DEFAULT NULL)
    RETURNS TABLE (step text, rule text, effect text, rule_scope text, expires_at timestamptz, counts boolean,
                   reason text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked_resource text := split_part(permission, ':', 1);
    asked_action text := split_part(permission, ':', 2);
    active boolean;
    asked_at timestamptz := clock_timestamp();
    each record;
    decided text;
BEGIN
    IF user_id IS DISTINCT FROM usher.current_user_id() OR user_id IS NULL THEN
        PERFORM usher.require_permission('user:manage', user_id);
    END IF;
    PERFORM usher._check_user(user_id);
    PERFORM usher._check_permission_name(permission);
    PERFORM usher._check_scope(scope);
    SELECT u.is_active INTO active FROM usher.users u WHERE u.id = explain_access.user_id;

    FOR each IN
        WITH found AS MATERIALIZED ( -- first what the user has, then what of it speaks about the permission
            SELECT r.source, concat_ws(' ', r.source, r.origin) || ': ' || r.permission AS text,
                   split_part(r.permission, ':', 1) AS resource, split_part(r.permission, ':', 2) AS action, r.effect,
                   r.scope, r.expires_at
            FROM usher._held_rules r WHERE r.user_id = explain_access.user_id
            UNION ALL
            SELECT 'policy', 'policy ' || p.origin || ': ' || p.resource || ':' || p.action, p.resource, p.action,
                   p.effect, p.scope, p.expires_at
            FROM usher._policy_rules_of(explain_access.user_id) p
        ), speaking AS (
            SELECT f.*, f.resource IN ('*', asked_resource) AND f.action IN ('*', asked_action) AS covers,
                   asked_resource IN ('*', f.resource) AND asked_action IN ('*', f.action) AS lies_within
            FROM found f
        )
        SELECT CASE s.effect WHEN 'deny' THEN 'deny' ELSE s.source END AS step, s.text, s.effect, s.scope,
               s.expires_at, CASE WHEN NOT active THEN 'the user is not active'
                    WHEN s.expires_at <= asked_at THEN 'expired'
                    WHEN s.scope IS NOT NULL AND explain_access.scope IS NULL THEN 'counts in its scope only'
                    WHEN s.scope IS NOT NULL AND lower(s.scope) <> lower(explain_access.scope) THEN 'another scope'
               END AS against
        FROM speaking s
        WHERE s.covers OR (s.effect = 'deny' AND s.lies_within)
        ORDER BY array_position(ARRAY['deny', 'role', 'direct', 'policy'],
                                CASE s.effect WHEN 'deny' THEN 'deny' ELSE s.source END), s.text, s.scope NULLS FIRST
    LOOP
        step := each.step;
        rule := each.text;
        effect := each.effect;
        rule_scope := each.scope;
        expires_at := each.expires_at;
        counts := each.against IS NULL;
        reason := coalesce(each.against, CASE WHEN decided IS NULL THEN 'decides' ELSE 'decided before' END);
        IF counts AND decided IS NULL THEN
            decided := each.step;
        END IF;
        RETURN NEXT;
    END LOOP;
    step := 'result'; rule := permission; rule_scope := scope; expires_at := NULL; counts := true;
    effect := CASE WHEN decided IN ('role', 'direct', 'policy') THEN 'allow' ELSE 'deny' END;
    reason := coalesce('by ' || decided, CASE WHEN active THEN 'no rule counts' ELSE 'the user is not active' END);
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION usher.explain_access(uuid, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.explain_access(uuid, text, text) IS
    'Every rule about a permission of a user in the order of decision, whether it counts and why not; last the '
    'result. For oneself, or with user:manage.';

CREATE FUNCTION usher._subject(user_id uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject uuid := coalesce(user_id, usher.actor_id());
BEGIN
    IF subject IS NULL THEN
        PERFORM usher._own_or_managed(NULL); -- raises
    ELSIF subject IS DISTINCT FROM usher.current_user_id() THEN
        PERFORM usher.require_permission('user:manage', subject);
    END IF;
    PERFORM usher._check_user(subject);
    RETURN subject;
END
$$;
REVOKE ALL ON FUNCTION usher._subject(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._subject(uuid) IS
    'Whom a question is about: oneself when NULL; somebody else only for those who may manage them (42501).';

CREATE FUNCTION usher.list_permissions(user_id uuid DEFAULT NULL)
    RETURNS TABLE (permission text, effect text, scope text, via text, role text, expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT uuid := usher._subject(user_id);
BEGIN
    RETURN QUERY
    SELECT r.permission, r.effect, r.scope, r.source, CASE r.source WHEN 'role' THEN r.origin END, r.expires_at
    FROM usher._held_rules r JOIN usher.users u ON u.id = r.user_id AND u.is_active
    WHERE r.user_id = subject AND (r.expires_at IS NULL OR r.expires_at > clock_timestamp())
    UNION ALL
    SELECT p.resource || ':' || p.action, p.effect, p.scope, 'policy', NULL, p.expires_at
    FROM usher._policy_rules_of(subject) p JOIN usher.users u ON u.id = subject AND u.is_active
    WHERE p.expires_at IS NULL OR p.expires_at > clock_timestamp()
    ORDER BY 1, 2, 3 NULLS FIRST, 4, 5;
END
$$;
REVOKE ALL ON FUNCTION usher.list_permissions(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_permissions(uuid) IS
    'All rules in force for a user, from roles, direct grants and policies. Default: the current identity; others '
    'need user:manage.';

CREATE FUNCTION usher.list_user_roles(user_id uuid DEFAULT NULL)
    RETURNS TABLE (role text, scope text, inherited_by text, assigned_by uuid, assigned_at timestamptz,
                   expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT uuid := usher._subject(user_id);
BEGIN
    RETURN QUERY
    SELECT h.role, h.scope, h.inherited_by, ur.assigned_by, ur.assigned_at, h.expires_at
    FROM usher._held_roles h
    LEFT JOIN usher.user_roles ur ON h.inherited_by IS NULL AND ur.user_id = h.user_id AND ur.role_id = h.role_id
        AND ur.scope IS NOT DISTINCT FROM h.scope
    WHERE h.user_id = subject AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp())
    ORDER BY 1, 2 NULLS FIRST, 3 NULLS FIRST;
END
$$;
REVOKE ALL ON FUNCTION usher.list_user_roles(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_user_roles(uuid) IS
    'The roles of a user, inherited ones included. Default: the current identity; others need user:manage.';

CREATE FUNCTION usher._count_holders(grants text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_force CONSTANT text := grants || ' AND (g.expires_at IS NULL OR g.expires_at > now())';
    users bigint := usher.count_or_estimate(in_force);
BEGIN
    IF users <= 1000 THEN -- one who has it in several scopes is one
        EXECUTE format('SELECT count(DISTINCT x.user_id) FROM (%s) AS x', in_force) INTO users;
    END IF;
    RETURN users;
END
$$;
REVOKE ALL ON FUNCTION usher._count_holders(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._count_holders(text) IS
    'How many users hold one of these grants g, a query for user_id, now; above 1,000 an estimate.';

CREATE FUNCTION usher.list_roles()
    RETURNS TABLE (role text, description text, is_system boolean, is_active boolean, parents text[],
                   permissions text[], users bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('role:read');
    RETURN QUERY
    SELECT r.name, r.description, r.is_system, r.is_active,
           ARRAY(SELECT p.name FROM usher.role_parents rp JOIN usher.roles p ON p.id = rp.parent_id
                 WHERE rp.role_id = r.id ORDER BY 1),
           ARRAY(SELECT concat_ws(' ', nullif(rp.effect, 'allow'), rp.permission, '@ ' || rp.scope)
                 FROM usher.role_permissions rp
                 WHERE rp.role_id = r.id AND (rp.expires_at IS NULL OR rp.expires_at > clock_timestamp())
                 ORDER BY rp.permission, rp.effect, rp.scope),
           usher._count_holders(format('SELECT g.user_id FROM usher.user_roles g WHERE g.role_id = %L', r.id))
    FROM usher.roles r
    ORDER BY r.name;
END
$$;
REVOKE ALL ON FUNCTION usher.list_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_roles() IS
    'All roles with parents, own permissions and the number of their users, above 1,000 an estimate. Needs role:read.';

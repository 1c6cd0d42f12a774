CREATE FUNCTION usher._policy_rules_of(user_id uuid)
    RETURNS TABLE (origin text, resource text, action text, effect text, scope text, expires_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM usher.policy_rules p WHERE p.is_active) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH RECURSIVE subject (name, scope, expires_at) AS (
        SELECT _policy_rules_of.user_id::text, NULL::text, NULL::timestamptz
        UNION
        SELECT h.role, h.scope, h.expires_at FROM usher._held_roles h WHERE h.user_id = _policy_rules_of.user_id
        UNION
        -- g rows: member, group and, optionally, the scope in which the membership holds
        SELECT g.v1, coalesce(s.scope, nullif(g.v2, '')), s.expires_at
        FROM subject s JOIN usher.policy_rules g ON g.ptype = 'g' AND g.v0 = s.name AND g.is_active
        WHERE coalesce(g.v3, '') = '' AND (coalesce(g.v2, '') = '' OR s.scope IS NULL OR s.scope = g.v2)
    )
    SELECT s.name, p.v1, p.v2, coalesce(nullif(p.v3, ''), 'allow'), s.scope, s.expires_at
    FROM subject s JOIN usher.policy_rules p ON p.ptype = 'p' AND p.v0 = s.name AND p.is_active
    WHERE p.v1 <> '' AND p.v2 <> '' AND coalesce(p.v3, '') IN ('', 'allow', 'deny') AND coalesce(p.v4, '') = '';
END
$$;
REVOKE ALL ON FUNCTION usher._policy_rules_of(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._policy_rules_of(uuid) IS
    'The p rows of policy_rules that count for a user: by id, by role name, or through g rows. Found by index, '
    'whatever their number.';

-- Decisions ----------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.has_permission(permission text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission';
REVOKE ALL ON FUNCTION usher.has_permission(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission(text, text) IS
    'Whether the current identity has the permission, resource:action, in this scope. False without an identity and '
    'for NULL. For row-level security policies.';

CREATE FUNCTION usher.has_permission(permission text, scope uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission_uuid';
REVOKE ALL ON FUNCTION usher.has_permission(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission(text, uuid) IS
    'has_permission(text, text) for scopes that are uuids, such as a location of the row.';

CREATE FUNCTION usher.has_permission_somewhere(permission text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission_somewhere';
REVOKE ALL ON FUNCTION usher.has_permission_somewhere(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission_somewhere(text) IS
    'Whether the current identity has the permission in at least one scope: for menus and entry gates, where no row '
    'is known yet.';

CREATE FUNCTION usher.permission_scopes(permission text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT x.scope FROM (
        SELECT r.scope FROM usher._held_rules r WHERE r.user_id = usher.actor_id() AND r.effect = 'allow'
        UNION
        SELECT p.scope FROM usher._policy_rules_of(usher.actor_id()) p) AS x
    WHERE x.scope IS NOT NULL AND usher.has_permission(permission_scopes.permission, x.scope);
END
$$;
REVOKE ALL ON FUNCTION usher.permission_scopes(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.permission_scopes(text) IS
    'The scopes that are named in a rule and in which the current identity has the permission: where to look for what '
    'it may see, when it may not see everything.';

CREATE FUNCTION usher.has_role(role text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_role';
REVOKE ALL ON FUNCTION usher.has_role(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_role(text, text) IS
    'Whether the current identity has the role, directly or inherited, everywhere or in this scope. Reads tables, not '
    'token claims.';

CREATE FUNCTION usher.user_has_permission(user_id uuid, permission text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_user_has_permission';
REVOKE ALL ON FUNCTION usher.user_has_permission(uuid, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_has_permission(uuid, text, text) IS 'has_permission() for any user.';

CREATE FUNCTION usher.user_has_role(user_id uuid, role text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_user_has_role';
REVOKE ALL ON FUNCTION usher.user_has_role(uuid, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_has_role(uuid, text, text) IS 'has_role() for any user.';

CREATE FUNCTION usher._kept_access(user_id uuid, OUT role text, OUT roles text[], OUT permissions text[])
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_kept_access';
REVOKE ALL ON FUNCTION usher._kept_access(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._kept_access(uuid) IS
    'What the cache of this backend knows of an active user: the role to show, all roles with the inherited ones, and '
    'the permissions that they were granted and that no deny takes away.';

CREATE FUNCTION usher.can_manage(target_user_id uuid, actor_user_id uuid DEFAULT NULL,
                                 permission text DEFAULT 'user:manage') RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_can_manage';
REVOKE ALL ON FUNCTION usher.can_manage(uuid, uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.can_manage(uuid, uuid, text) IS
    'Whether the actor (default: the current identity) may manage the target user: themselves always, others when '
    'role_management covers all of their roles. An API key must have been given the permission.';

CREATE FUNCTION usher.require_permission(permission text, target_user_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_require_permission';
REVOKE ALL ON FUNCTION usher.require_permission(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.require_permission(text, uuid) IS
    'Raises 42501 unless the current identity has the permission (and can manage the target user, if given), or there '
    'is no identity and the database role is a superuser, a member of the extension owner, or has access level admin.';

-- Triggers -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher._lock_role_graph() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE usher.role_graph SET version = version + 1;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._lock_role_graph() FROM PUBLIC;
COMMENT ON FUNCTION usher._lock_role_graph() IS 'Trigger: one change of the role graph at a time.';

CREATE FUNCTION usher._keep_role_closure() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    in_cycle text;
BEGIN
    -- Every edge counts here, whether its roles are active or not: waking a role up must not close a cycle.
    WITH RECURSIVE reach (role_id, ancestor_id) AS (
        SELECT p.role_id, p.parent_id FROM usher.role_parents p
        UNION
        SELECT reach.role_id, p.parent_id FROM reach JOIN usher.role_parents p ON p.role_id = reach.ancestor_id
    )
    SELECT min(r.name) INTO in_cycle
    FROM reach JOIN usher.roles r ON r.id = reach.role_id WHERE reach.role_id = reach.ancestor_id;
    IF in_cycle IS NOT NULL THEN
        PERFORM usher.raise_error('role_cycle', format('role "%s" cannot inherit from itself', in_cycle),
                                  jsonb_build_object('role', in_cycle));
    END IF;

    DELETE FROM usher.role_closure c
    WHERE NOT EXISTS (SELECT FROM usher._role_reach r WHERE r.role_id = c.role_id AND r.ancestor_id = c.ancestor_id);
    INSERT INTO usher.role_closure (role_id, ancestor_id)
    SELECT r.role_id, r.ancestor_id FROM usher._role_reach r
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._keep_role_closure() FROM PUBLIC;
COMMENT ON FUNCTION usher._keep_role_closure() IS
    'Trigger: refuses cycles, then makes role_closure what role_parents says.';

CREATE FUNCTION usher._load_roles() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_loading() THEN
        NULL; -- a new role has no parents yet
    ELSIF TG_WHEN = 'BEFORE' THEN
        UPDATE usher.role_graph SET version = version + 1;
    ELSE
        INSERT INTO usher.role_closure (role_id, ancestor_id)
        SELECT r.role_id, r.ancestor_id FROM usher._role_reach r
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._load_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher._load_roles() IS
    'Trigger: pg_restore --jobs may load the parents of roles before the roles, which complete the closure then.';

CREATE FUNCTION usher._guard_role() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.is_system AND (TG_OP = 'DELETE' OR NEW.name <> OLD.name) THEN
        PERFORM usher.raise_error('protected_role', format('system role "%s" cannot be dropped or renamed', OLD.name),
                                  jsonb_build_object('role', OLD.name));
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION usher._guard_role() FROM PUBLIC;
COMMENT ON FUNCTION usher._guard_role() IS 'Trigger: protects system roles and keeps updated_at.';

CREATE FUNCTION usher._stamp_policy_rule() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    NEW.updated_by := coalesce(usher.actor_id()::text, session_user);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION usher._stamp_policy_rule() FROM PUBLIC;
COMMENT ON FUNCTION usher._stamp_policy_rule() IS 'Trigger: keeps updated_at and updated_by of a changed policy rule.';

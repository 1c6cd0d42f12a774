-- Access control: the functions that change roles and permissions.
--
-- Nobody can hand out what is beyond them. With an identity set, giving or taking a role needs a role that manages it
-- (role_management), and granting a permission needs the permission itself in that scope. A trusted database role
-- without an identity may do all.

CREATE FUNCTION usher._role_id(role text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid;
BEGIN
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null', '{"argument": "role"}');
    END IF;
    SELECT r.id INTO found FROM usher.roles r WHERE r.name = _role_id.role;
    IF found IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', format('role "%s" does not exist', left(role, 100)),
            jsonb_build_object('role', left(role, 100)),
            CASE WHEN role ~ '^[0-9a-f-]{36}$' THEN 'To name a user, cast the id: ''…''::uuid.' END);
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION usher._role_id(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._role_id(text) IS 'Id of a role by name; raises US005 when there is none.';

CREATE FUNCTION usher._check_permission_name(permission text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF permission IS NULL OR octet_length(permission) > 150
        OR permission !~ '^([a-z0-9][a-z0-9_.-]*:([a-z0-9][a-z0-9_.-]*|\*)|\*:\*)$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'permission must have the form resource:action, resource:* or *:*, of a-z, 0-9, _, '
                                  '- and .',
                                  '{"argument": "permission"}');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_permission_name(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_permission_name(text) IS 'Raises 22023 for a name that no permission can have.';

CREATE FUNCTION usher._check_grant(permission text, scope text, effect text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF permission IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'permission must not be null', '{"argument": "permission"}');
    ELSIF NOT EXISTS (SELECT FROM usher.permissions p WHERE p.name = _check_grant.permission) THEN
        PERFORM usher.raise_error('unknown_reference', format('permission "%s" does not exist', left(permission, 160)),
            jsonb_build_object('permission', left(permission, 160)), 'Create it with usher.create_permission().');
    END IF;
    IF effect IS NULL OR effect NOT IN ('allow', 'deny') THEN
        PERFORM usher.raise_error('invalid_argument', 'effect must be allow or deny', '{"argument": "effect"}');
    END IF;
    PERFORM usher._check_scope(scope);
    IF effect = 'allow' AND usher.actor_id() IS NOT NULL AND NOT usher.has_permission(permission, scope) THEN
        PERFORM usher.raise_error(
            'not_permitted', format('permission "%s" cannot be granted by somebody who does not have it', permission),
            jsonb_build_object('permission', permission));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_grant(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_grant(text, text, text) IS
    'Refuses grants that make no sense, and grants of what the current identity does not have.';

CREATE FUNCTION usher._check_scope(scope text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF scope = '' OR octet_length(scope) > 200 THEN
        PERFORM usher.raise_error('invalid_argument', 'scope must be null or 1 to 200 bytes long',
                                  '{"argument": "scope"}');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_scope(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_scope(text) IS 'Raises 22023 for a scope that no row can have.';

CREATE FUNCTION usher._require_role_control(role_id uuid, scope text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher.actor_id() IS NULL OR EXISTS (
        SELECT FROM usher._held_roles h JOIN usher.role_management m ON m.actor_role_id = h.role_id
        WHERE h.user_id = usher.actor_id()
          AND (m.target_role_id IS NULL OR m.target_role_id = _require_role_control.role_id)
          AND (h.scope IS NULL OR lower(h.scope) = lower(_require_role_control.scope))
          AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp()))
    THEN
        RETURN;
    END IF;
    PERFORM usher.raise_error('not_permitted', 'none of your roles manages this role');
END
$$;
REVOKE ALL ON FUNCTION usher._require_role_control(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_role_control(uuid, text) IS
    'Raises 42501 unless a role of the current identity manages this one; nothing to check without an identity.';

CREATE FUNCTION usher._managed_role(role text, scope text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid := usher._role_id(role);
BEGIN
    PERFORM usher._require_role_control(this, scope);
    RETURN this;
END
$$;
REVOKE ALL ON FUNCTION usher._managed_role(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._managed_role(text, text) IS
    'Id of a role by name; raises US005 when there is none, 42501 when the current identity does not manage it.';

CREATE FUNCTION usher._require_active_role(role_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role record;
BEGIN
    -- held until the end of the transaction: whoever deactivates it waits
    SELECT r.name, r.is_active INTO role FROM usher.roles r WHERE r.id = _require_active_role.role_id FOR SHARE;
    IF NOT role.is_active THEN
        PERFORM usher.raise_error('unknown_reference', format('role "%s" is not active', role.name),
                                  jsonb_build_object('role', role.name));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._require_active_role(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_active_role(uuid) IS
    'Raises US005 for a role that is deactivated: who has it keeps it, nobody gets it anew.';

CREATE FUNCTION usher._log_access_change(event_type text, data jsonb, resource_type text, resource_id text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.log_event(event_type, jsonb_strip_nulls(data), 'notice', 'success', resource_type, resource_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._log_access_change(text, jsonb, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._log_access_change(text, jsonb, text, text) IS
    'One audit row for a change of who may do what, but not for what a script ships. Written by the functions, not by '
    'triggers, because restoring a dump is no change.';

-- Roles --------------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.create_role(name text, description text DEFAULT NULL, is_system boolean DEFAULT false,
                                  if_not_exists boolean DEFAULT false)
    RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_id uuid;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    IF name IS NULL OR name !~ '^[a-z][a-z0-9_-]{0,49}$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'role name must begin with a letter a-z and have at most 50 of a-z, 0-9, _ and -',
                                  '{"argument": "name"}');
    END IF;
    INSERT INTO usher.roles (name, description, is_system)
    VALUES (create_role.name, create_role.description, coalesce(create_role.is_system, false))
    ON CONFLICT ON CONSTRAINT roles_name_key DO NOTHING
    RETURNING id INTO role_id;
    IF role_id IS NULL THEN
        IF NOT coalesce(if_not_exists, false) THEN
            PERFORM usher.raise_error('already_exists', format('role "%s" already exists', name),
                                      jsonb_build_object('role', name));
        END IF;
        RETURN usher._role_id(name);
    END IF;
    PERFORM usher._log_access_change('access.role_created', jsonb_build_object('role', name), 'role', name);
    RETURN role_id;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
REVOKE ALL ON FUNCTION usher.create_role(text, text, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_role(text, text, boolean, boolean) IS
    'Makes a role and returns its id. Needs role:manage.';

CREATE FUNCTION usher.update_role(role text, new_name text DEFAULT NULL, description text DEFAULT NULL,
                                  is_active boolean DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    this := usher._managed_role(role);
    PERFORM usher._require_role_within(this);
    IF new_name IS NOT NULL AND new_name !~ '^[a-z][a-z0-9_-]{0,49}$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'role name must begin with a letter a-z and have at most 50 of a-z, 0-9, _ and -',
                                  '{"argument": "new_name"}');
    END IF;
    IF EXISTS (SELECT FROM usher.roles r WHERE r.name = new_name AND r.id <> this) THEN
        PERFORM usher.raise_error('already_exists', format('role "%s" already exists', new_name),
                                  jsonb_build_object('role', new_name));
    END IF;
    UPDATE usher.roles r
    SET name = coalesce(update_role.new_name, r.name), description = coalesce(update_role.description, r.description)
    WHERE r.id = this;
    IF update_role.is_active IS NOT NULL THEN -- a statement of its own: its triggers work the closure out anew
        UPDATE usher.roles r
        SET is_active = update_role.is_active WHERE r.id = this AND r.is_active <> update_role.is_active;
    END IF;
    PERFORM usher._log_access_change('access.role_updated',
        jsonb_build_object('role', role, 'new_name', new_name, 'description', description,
                           'is_active', update_role.is_active), 'role', role);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
REVOKE ALL ON FUNCTION usher.update_role(text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.update_role(text, text, text, boolean) IS
    'Renames, describes, deactivates or restores a role; NULL leaves a property as it is. A deactivated role gives '
    'nothing, whoever has it keeps it, and nobody gets it anew. Publishes role.deactivated or role.restored. Needs '
    'role:manage.';

CREATE FUNCTION usher.drop_role(role text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    this := usher._managed_role(role);
    PERFORM usher._require_role_within(this); -- what goes may be a deny
    DELETE FROM usher.roles r WHERE r.id = this;
    PERFORM usher._log_access_change('access.role_dropped', jsonb_build_object('role', role), 'role', role);
END
$$;
REVOKE ALL ON FUNCTION usher.drop_role(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.drop_role(text) IS
    'Drops a role with its grants and assignments; users who had no other have no permission left. System roles are '
    'refused. Needs role:manage.';

CREATE FUNCTION usher.add_role_parent(role text, parent text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child uuid;
    ancestor uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    child := usher._managed_role(role);
    ancestor := usher._managed_role(parent);
    PERFORM usher._require_role_within(ancestor);
    PERFORM usher._require_active_role(ancestor);
    INSERT INTO usher.role_parents (role_id, parent_id) VALUES (child, ancestor) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.role_parent_added',
                                         jsonb_build_object('role', role, 'parent', parent), 'role', role);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.add_role_parent(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_role_parent(text, text) IS
    'Lets a role inherit everything from a parent. A cycle is refused with US201. Needs role:manage.';

CREATE FUNCTION usher.remove_role_parent(role text, parent text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    child := usher._managed_role(role);
    PERFORM usher._require_role_within(usher._role_id(parent));
    DELETE FROM usher.role_parents p WHERE p.role_id = child AND p.parent_id = usher._role_id(parent);
    IF FOUND THEN
        PERFORM usher._log_access_change('access.role_parent_removed',
                                         jsonb_build_object('role', role, 'parent', parent), 'role', role);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.remove_role_parent(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_role_parent(text, text) IS
    'Ends an inheritance; false when there was none. Needs role:manage.';

CREATE FUNCTION usher.add_role_management(role text, target_role text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor uuid;
    target uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    PERFORM usher._require_whole(); -- to manage is no permission that a key could hold itself
    actor := usher._managed_role(role);
    target := CASE WHEN target_role IS NOT NULL THEN usher._role_id(target_role) END;
    PERFORM usher._require_role_control(target);
    INSERT INTO usher.role_management (actor_role_id, target_role_id) VALUES (actor, target) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.management_added', jsonb_build_object(
            'role', role, 'target_role', coalesce(target_role, '*')), 'role', role);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.add_role_management(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_role_management(text, text) IS
    'Lets users with a role manage users who have the target role; NULL as target means everybody. Needs role:manage.';

CREATE FUNCTION usher.remove_role_management(role text, target_role text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    PERFORM usher._require_whole(); -- to manage is no permission that a key could hold itself
    actor := usher._managed_role(role);
    DELETE FROM usher.role_management m
    WHERE m.actor_role_id = actor
      AND m.target_role_id IS NOT DISTINCT FROM CASE WHEN target_role IS NOT NULL THEN usher._role_id(target_role) END;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.management_removed', jsonb_build_object(
            'role', role, 'target_role', coalesce(target_role, '*')), 'role', role);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.remove_role_management(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_role_management(text, text) IS
    'Takes back add_role_management(); false when there was none. Needs role:manage.';

-- Assignments of roles -----------------------------------------------------------------------------------------------

CREATE FUNCTION usher._check_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF user_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'user_id must not be null', '{"argument": "user_id"}');
    ELSIF NOT EXISTS (SELECT FROM usher.users u WHERE u.id = _check_user.user_id) THEN
        PERFORM usher.raise_error('unknown_reference', 'user does not exist', jsonb_build_object('user_id', user_id));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_user(uuid) IS 'Raises US005 when there is no such user.';

CREATE FUNCTION usher.grant_role(user_id uuid, role text, scope text DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
BEGIN
    PERFORM usher.require_permission('user:manage', user_id);
    PERFORM usher._check_user(user_id);
    PERFORM usher._check_scope(scope);
    this := usher._managed_role(role, scope);
    PERFORM usher._require_role_within(this);
    PERFORM usher._require_active_role(this);
    PERFORM usher._assign_role(user_id, this, scope, expires_at);
END
$$;
REVOKE ALL ON FUNCTION usher.grant_role(uuid, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.grant_role(uuid, text, text, timestamptz) IS
    'Gives a user a role, everywhere or in one scope, until expires_at; again with another expires_at changes that. '
    'Needs user:manage, can_manage() of the user, and a role that manages the role.';

-- Also for registration, which gives new users the default role on nobody's behalf.
CREATE FUNCTION usher._assign_role(user_id uuid, role_id uuid, scope text DEFAULT NULL,
                                   expires_at timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role text;
BEGIN
    INSERT INTO usher.user_roles AS ur (user_id, role_id, scope, expires_at, assigned_by)
    VALUES (_assign_role.user_id, _assign_role.role_id, _assign_role.scope, _assign_role.expires_at,
            usher.actor_id())
    ON CONFLICT ON CONSTRAINT user_roles_user_id_role_id_scope_key DO UPDATE
        SET expires_at = excluded.expires_at, assigned_by = excluded.assigned_by, assigned_at = now()
        WHERE ur.expires_at IS DISTINCT FROM excluded.expires_at;
    IF FOUND THEN
        SELECT r.name INTO role FROM usher.roles r WHERE r.id = _assign_role.role_id;
        PERFORM usher._log_access_change('access.role_granted',
            jsonb_build_object('role', role, 'scope', scope, 'expires_at', expires_at), 'user', user_id::text);
        PERFORM usher.publish('user.role_changed',
            jsonb_build_object('user_id', user_id, 'role', role, 'scope', scope, 'change', 'granted',
                               'expires_at', expires_at), user_id::text);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._assign_role(uuid, uuid, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._assign_role(uuid, uuid, text, timestamptz) IS
    'Writes an assignment and its event, without asking who may.';

CREATE FUNCTION usher.revoke_role(user_id uuid, role text, scope text DEFAULT NULL, all_scopes boolean DEFAULT false)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
BEGIN
    PERFORM usher.require_permission('user:manage', user_id);
    PERFORM usher._check_user(user_id);
    this := usher._managed_role(role, scope);
    PERFORM usher._require_role_within(this);
    DELETE FROM usher.user_roles ur
    WHERE ur.user_id = revoke_role.user_id AND ur.role_id = this
      AND (revoke_role.all_scopes OR ur.scope IS NOT DISTINCT FROM revoke_role.scope);
    IF FOUND THEN
        PERFORM usher._log_access_change('access.role_revoked',
            jsonb_build_object('role', role, 'scope', scope, 'all_scopes', nullif(all_scopes, false)), 'user',
            user_id::text);
        PERFORM usher.publish('user.role_changed',
            jsonb_build_object('user_id', user_id, 'role', role, 'scope', scope, 'change', 'revoked'), user_id::text);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_role(uuid, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_role(uuid, text, text, boolean) IS
    'Takes a role from a user: the assignment with exactly this scope, or all. False when there was none. Needs what '
    'grant_role() needs.';

-- Permissions --------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.create_permission(name text, description text DEFAULT NULL, if_not_exists boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    PERFORM usher._check_permission_name(name);
    INSERT INTO usher.permissions (name, description) VALUES (create_permission.name, create_permission.description)
    ON CONFLICT ON CONSTRAINT permissions_pkey DO NOTHING;
    -- what somebody has dropped, a script does not bring back
    IF NOT FOUND AND NOT coalesce(if_not_exists, false) AND usher._installing_extension() IS NULL THEN
        PERFORM usher.raise_error('already_exists', format('permission "%s" already exists', name),
                                  jsonb_build_object('permission', name));
    END IF;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
REVOKE ALL ON FUNCTION usher.create_permission(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_permission(text, text, boolean) IS
    'Makes a permission that can be granted: resource:action, resource:* or *:*. Needs role:manage.';

CREATE FUNCTION usher.drop_permission(name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*'); -- it may be a deny that goes
    DELETE FROM usher.permissions p WHERE p.name = drop_permission.name;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.permission_dropped', jsonb_build_object('permission', name),
                                         'permission', name);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.drop_permission(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.drop_permission(text) IS
    'Drops a permission with all its grants; false when there was none. Needs *:*.';

CREATE FUNCTION usher.grant_permission(to_role text, permission text, scope text DEFAULT NULL,
                                       effect text DEFAULT 'allow', expires_at timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    this := usher._managed_role(to_role);
    PERFORM usher._check_grant(permission, scope, effect);
    INSERT INTO usher.role_permissions AS rp (role_id, permission, scope, effect, expires_at, granted_by)
    VALUES (this, grant_permission.permission, grant_permission.scope, grant_permission.effect,
            grant_permission.expires_at, usher.actor_id())
    ON CONFLICT ON CONSTRAINT role_permissions_role_id_permission_effect_scope_key DO UPDATE
        SET expires_at = excluded.expires_at, granted_by = excluded.granted_by, granted_at = now()
        WHERE rp.expires_at IS DISTINCT FROM excluded.expires_at;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.permission_granted',
            jsonb_build_object('permission', permission, 'scope', scope, 'effect', effect, 'expires_at', expires_at),
            'role', to_role);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.grant_permission(text, text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.grant_permission(text, text, text, text, timestamptz) IS
    'Allows or denies a role a permission, everywhere or in one scope, until expires_at. Needs role:manage, a role '
    'that manages the role and, to allow, the permission itself.';

CREATE FUNCTION usher.grant_permission(to_user uuid, permission text, scope text DEFAULT NULL,
                                       effect text DEFAULT 'allow', expires_at timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('role:manage', to_user);
    PERFORM usher._check_user(to_user);
    PERFORM usher._check_grant(permission, scope, effect);
    INSERT INTO usher.user_permissions AS up (user_id, permission, scope, effect, expires_at, granted_by)
    VALUES (to_user, grant_permission.permission, grant_permission.scope, grant_permission.effect,
            grant_permission.expires_at, usher.actor_id())
    ON CONFLICT ON CONSTRAINT user_permissions_user_id_permission_effect_scope_key DO UPDATE
        SET expires_at = excluded.expires_at, granted_by = excluded.granted_by, granted_at = now()
        WHERE up.expires_at IS DISTINCT FROM excluded.expires_at;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.permission_granted',
            jsonb_build_object('permission', permission, 'scope', scope, 'effect', effect, 'expires_at', expires_at),
            'user', to_user::text);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.grant_permission(uuid, text, text, text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.grant_permission(uuid, text, text, text, timestamptz) IS
    'Allows or denies a user a permission directly, everywhere or in one scope, until expires_at. Needs role:manage, '
    'can_manage() of the user and, to allow, the permission itself.';

CREATE FUNCTION usher.revoke_permission(from_role text, permission text, scope text DEFAULT NULL,
                                        effect text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
BEGIN
    PERFORM usher.require_permission('role:manage');
    this := usher._managed_role(from_role);
    -- Taking a deny away is giving: the same rule holds as for granting.
    PERFORM usher._check_grant(permission, scope, 'allow');
    DELETE FROM usher.role_permissions rp
    WHERE rp.role_id = this AND rp.permission = revoke_permission.permission
      AND rp.scope IS NOT DISTINCT FROM revoke_permission.scope
      AND rp.effect = coalesce(revoke_permission.effect, rp.effect);
    IF FOUND THEN
        PERFORM usher._log_access_change('access.permission_revoked',
            jsonb_build_object('permission', permission, 'scope', scope, 'effect', effect), 'role', from_role);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_permission(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_permission(text, text, text, text) IS
    'Takes the grants of a permission with exactly this scope (and this effect, if given) from a role. False when '
    'there were none.';

CREATE FUNCTION usher.revoke_permission(from_user uuid, permission text, scope text DEFAULT NULL,
                                        effect text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('role:manage', from_user);
    PERFORM usher._check_user(from_user);
    PERFORM usher._check_grant(permission, scope, 'allow');
    DELETE FROM usher.user_permissions up
    WHERE up.user_id = from_user AND up.permission = revoke_permission.permission
      AND up.scope IS NOT DISTINCT FROM revoke_permission.scope
      AND up.effect = coalesce(revoke_permission.effect, up.effect);
    IF FOUND THEN
        PERFORM usher._log_access_change('access.permission_revoked',
            jsonb_build_object('permission', permission, 'scope', scope, 'effect', effect), 'user', from_user::text);
        RETURN true;
    END IF;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_permission(uuid, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_permission(uuid, text, text, text) IS
    'Takes the direct grants of a permission with exactly this scope (and this effect, if given) from a user. False '
    'when there were none.';

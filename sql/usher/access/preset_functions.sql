-- Access control: roles and permissions of common applications, one call each.

-- Only adds: what an administrator has added stays, what they have taken away comes back. Step by step for all presets
-- together: a role of one may get its permissions from another, and manage roles of a third.
CREATE FUNCTION usher._apply_presets(names text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added bigint;
    total bigint := 0;
BEGIN
    INSERT INTO usher.permissions (name, description)
    SELECT p.key, p.value
    FROM usher.role_presets AS x CROSS JOIN jsonb_each_text(x.preset -> 'permissions') AS p
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.permissions (name, description)
    SELECT DISTINCT p.name, 'Everything about ' || split_part(p.name, ':', 1)
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names) AND p.name LIKE '%:*'
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.roles (name, description, is_system)
    SELECT r.key, r.value ->> 'description', true
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    -- Of several presets the first one applied says who newcomers are.
    UPDATE usher.roles AS o SET is_default = true
    WHERE NOT EXISTS (SELECT FROM usher.roles AS d WHERE d.is_default)
        AND o.name = (SELECT r.key
                      FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
                      WHERE x.name = ANY (names) AND (r.value -> 'is_default')::boolean
                      ORDER BY x.registrant <> 'usher', x.registrant, r.key LIMIT 1);
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.role_permissions (role_id, permission)
    SELECT o.id, p.name
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT o.id, t.id
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'manages') AS m (name)
        LEFT JOIN usher.roles AS t ON t.name = m.name
    WHERE x.name = ANY (names) AND (t.id IS NOT NULL OR m.name = '*')
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION usher._apply_presets(text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._apply_presets(text[]) IS
    'Adds the permissions, roles, grants and management rights of registered presets that are missing; returns how '
    'many rows that took.';

CREATE FUNCTION usher.apply_role_preset(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*');
    IF NOT EXISTS (SELECT FROM usher.role_presets AS p WHERE p.name = apply_role_preset.name) THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be one of ' ||
            (SELECT string_agg(DISTINCT p.name, ', ' ORDER BY p.name) FROM usher.role_presets AS p),
            '{"argument": "name"}');
    END IF;
    -- Administration is the same everywhere.
    IF usher._apply_presets(ARRAY['administration', name]) > 0 THEN
        PERFORM usher._log_access_change('access.preset_applied', '{}', 'role_preset', name);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.apply_role_preset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.apply_role_preset(text) IS
    'Makes the roles, permissions and management rights of a kind of application: what core and all extensions have '
    'registered in their role_presets under this name, field_service or blog, say, or carwash with bookings. Adds '
    'what is missing, so it can be repeated, and is audited when there was something to add. Needs *:*.';

CREATE FUNCTION usher.create_first_admin(email text, password text, first_name text DEFAULT NULL,
                                         last_name text DEFAULT NULL, OUT error text, OUT user_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
BEGIN
    PERFORM usher.require_permission('*:*');
    IF usher.actor_id() IS NOT NULL THEN
        PERFORM usher.raise_error('not_permitted', 'the first administrator is made by the DBA, not by a user');
    END IF;
    -- Of two at a time the second one finds what the first has made.
    LOCK TABLE usher.user_roles, usher.user_permissions IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM (SELECT r.user_id FROM usher.user_roles r
                            UNION SELECT p.user_id FROM usher.user_permissions p) AS granted
               WHERE usher.user_has_permission(granted.user_id, '*:*')) THEN
        PERFORM usher.raise_error('not_permitted', 'there is an administrator already', NULL,
                                  'Who may do everything can give others the role admin: usher.grant_role().');
    END IF;
    SELECT r.* INTO made FROM usher.register_user(email, password, first_name, last_name) r;
    error := made.error;
    IF error IS NOT NULL THEN
        RETURN;
    END IF;
    user_id := made.user_id;
    -- the DBA answers for the address
    UPDATE usher.users u SET email_verified_at = now(), status = 'active' WHERE u.id = made.user_id;
    PERFORM usher._apply_presets('{administration}');
    PERFORM usher.grant_role(made.user_id, 'admin');
    PERFORM usher._log_access_change('access.first_admin_created', '{}', 'user', made.user_id::text);
END
$$;
REVOKE ALL ON FUNCTION usher.create_first_admin(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.create_first_admin(text, text, text, text) IS
    'Opens an account that may do everything: role admin, with *:*, active, with an address that counts as verified. '
    'Works while nobody has *:*, so once; afterwards whoever has it gives it to others (42501). For the DBA: not with '
    'an identity, and over no route. error: as register_user().';

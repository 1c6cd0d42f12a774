-- Access control: roles and permissions of common applications, one call each.

-- Only adds: what an administrator has added stays, what they have taken away comes back. Step by step for all presets
-- together: a role of one may get its permissions from another, and manage roles of a third.
CREATE FUNCTION usher._apply_presets(names text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO usher.permissions (name, description)
    SELECT p.key, p.value
    FROM usher.role_presets AS x CROSS JOIN jsonb_each_text(x.preset -> 'permissions') AS p
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.permissions (name, description)
    SELECT DISTINCT p.name, 'Everything about ' || split_part(p.name, ':', 1)
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names) AND p.name LIKE '%:*'
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.roles (name, description, is_system)
    SELECT r.key, r.value ->> 'description', true
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_permissions (role_id, permission)
    SELECT o.id, p.name
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names)
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT o.id, t.id
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'manages') AS m (name)
        LEFT JOIN usher.roles AS t ON t.name = m.name
    WHERE x.name = ANY (names) AND (t.id IS NOT NULL OR m.name = '*')
    ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION usher._apply_presets(text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._apply_presets(text[]) IS
    'Adds the permissions, roles, grants and management rights of registered presets that are missing.';

CREATE FUNCTION usher.apply_role_preset(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*');
    IF NOT EXISTS (SELECT FROM usher.role_presets AS p WHERE p.name = apply_role_preset.name) THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be one of ' ||
            (SELECT string_agg(DISTINCT p.name, ', ' ORDER BY p.name) FROM usher.role_presets AS p));
    END IF;
    -- Administration is the same everywhere.
    PERFORM usher._apply_presets(ARRAY['administration', name]);
    PERFORM usher._log_access_change('access.preset_applied', '{}', 'role_preset', name);
END
$$;
REVOKE ALL ON FUNCTION usher.apply_role_preset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.apply_role_preset(text) IS
    'Makes the roles, permissions and management rights of a kind of application: what core and all extensions have '
    'registered in their role_presets under this name, field_service or blog, say, or carwash with bookings. Adds '
    'what is missing, so it can be repeated. Needs *:*.';

-- Access control: roles and permissions of common applications, one call each.

-- Only adds: what an administrator has added stays, what he has taken away comes back.
CREATE FUNCTION usher._apply_preset(preset jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO usher.permissions (name, description)
    SELECT p.key, p.value FROM jsonb_each_text(preset -> 'permissions') p
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.permissions (name, description)
    SELECT DISTINCT p.name, 'Everything about ' || split_part(p.name, ':', 1)
    FROM jsonb_each(preset -> 'roles') r CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE p.name LIKE '%:*'
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.roles (name, description, is_system)
    SELECT r.key, r.value ->> 'description', true FROM jsonb_each(preset -> 'roles') r
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_permissions (role_id, permission)
    SELECT o.id, p.name
    FROM jsonb_each(preset -> 'roles') r
    JOIN usher.roles o ON o.name = r.key
    CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    ON CONFLICT DO NOTHING;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT o.id, t.id
    FROM jsonb_each(preset -> 'roles') r
    JOIN usher.roles o ON o.name = r.key
    CROSS JOIN jsonb_array_elements_text(r.value -> 'manages') AS m (name)
    LEFT JOIN usher.roles t ON t.name = m.name
    WHERE t.id IS NOT NULL OR m.name = '*'
    ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION usher._apply_preset(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._apply_preset(jsonb) IS 'Adds the permissions, roles, grants and management rights of a preset that are missing.';

CREATE FUNCTION usher._preset(name text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Administration is the same everywhere.
    common jsonb := '{
        "*:*": "Everything", "user:read": "See accounts", "user:manage": "Manage accounts and give roles", "role:read": "See roles and grants",
        "role:manage": "Define roles and permissions and grant them", "policy:manage": "Change policy rules",
        "audit:read": "Read the audit log", "audit:manage": "Choose what is audited", "machine:manage": "Define status machines",
        "route:manage": "Publish functions over HTTP", "key:manage": "Manage signing keys", "limit:manage": "Define rate limits",
        "event:manage": "Manage event subscriptions"}';
    booking jsonb := '{
        "booking:create": "Book", "booking:read": "See all bookings", "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
        "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others", "booking:reschedule": "Move bookings of others",
        "booking:overbook": "Book beyond the capacity of a location", "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
        "location:manage": "Change locations and opening hours", "staff:manage": "Change staff and their hours"}';
BEGIN
    RETURN CASE name
        WHEN 'carwash' THEN jsonb_build_object('permissions', common || booking, 'roles', '{
            "admin": {"description": "Full system access, user management, system configuration", "permissions": ["*:*"], "manages": ["*"]},
            "manager": {"description": "Operations, staff management, reporting", "manages": ["washer", "client"],
                "permissions": ["booking:*", "service:manage", "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
            "washer": {"description": "Service execution, task management", "manages": [],
                "permissions": ["booking:read", "booking:start", "booking:complete"]},
            "client": {"description": "Service consumption, booking management", "manages": [], "permissions": ["booking:create"]}}'::jsonb)
        WHEN 'clinic' THEN jsonb_build_object('permissions', common || booking || '{
            "appointment:create": "Make appointments", "appointment:read": "See all appointments", "appointment:manage": "Change appointments",
            "customer:read": "See customers", "customer:manage": "Change customers"}', 'roles', '{
            "admin": {"description": "Full system access", "permissions": ["*:*"], "manages": ["*"]},
            "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                "permissions": ["appointment:*", "booking:*", "customer:*", "service:manage", "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
            "staff": {"description": "Practitioners and reception", "manages": [],
                "permissions": ["appointment:create", "appointment:read", "appointment:manage", "customer:read",
                                "booking:create", "booking:read", "booking:confirm", "booking:start", "booking:complete", "booking:reschedule"]},
            "customer": {"description": "Makes own appointments", "manages": [], "permissions": ["appointment:create", "booking:create"]}}'::jsonb)
        WHEN 'field_service' THEN jsonb_build_object('permissions', common || '{
            "work_order:submit": "Submit service requests", "work_order:read": "See all work orders", "work_order:assign": "Assign technicians",
            "work_order:schedule": "Schedule work orders", "work_order:update": "Update assigned work orders",
            "work_order:manage": "Change work orders in any way", "technician:manage": "Manage technicians"}', 'roles', '{
            "admin": {"description": "Full system access and user management", "permissions": ["*:*"], "manages": ["*"]},
            "manager": {"description": "Full data access, manages work orders and technicians", "manages": ["dispatcher", "technician", "client"],
                "permissions": ["work_order:*", "technician:manage", "user:read", "user:manage", "audit:read"]},
            "dispatcher": {"description": "Assigns and schedules work orders", "manages": [],
                "permissions": ["work_order:read", "work_order:assign", "work_order:schedule"]},
            "technician": {"description": "Updates assigned work orders only", "manages": [], "permissions": ["work_order:update"]},
            "client": {"description": "Submits and tracks service requests", "manages": [], "permissions": ["work_order:submit"]}}'::jsonb)
        WHEN 'blog' THEN jsonb_build_object('permissions', common || '{
            "post:create": "Write posts", "post:read": "Read unpublished posts", "post:edit": "Edit posts of others", "post:publish": "Publish posts",
            "post:delete": "Delete posts of others", "comment:create": "Comment", "comment:moderate": "Moderate comments"}', 'roles', '{
            "admin": {"description": "Full system access", "permissions": ["*:*"], "manages": ["*"]},
            "editor": {"description": "Publishes and moderates", "manages": ["author", "reader"],
                "permissions": ["post:*", "comment:*", "user:read", "user:manage"]},
            "author": {"description": "Writes posts", "manages": [], "permissions": ["post:create", "post:read", "comment:create"]},
            "reader": {"description": "Reads and comments", "manages": [], "permissions": ["comment:create"]}}'::jsonb)
    END;
END
$$;
REVOKE ALL ON FUNCTION usher._preset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._preset(text) IS 'The presets, or NULL for an unknown name.';

CREATE FUNCTION usher.apply_role_preset(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    preset jsonb := usher._preset(name);
BEGIN
    PERFORM usher.require_permission('*:*');
    IF preset IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be carwash, clinic, field_service or blog');
    END IF;
    -- Management rights refer to roles by name, so the roles come first, all of them.
    PERFORM usher._apply_preset(preset);
    PERFORM usher._log_access_change('access.preset_applied', '{}', 'role_preset', name);
END
$$;
REVOKE ALL ON FUNCTION usher.apply_role_preset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.apply_role_preset(text) IS
    'Makes the roles, permissions and management rights of a kind of application: carwash, clinic, field_service or blog. Adds what is missing, so it can be repeated. Needs *:*.';

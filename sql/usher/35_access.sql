-- Access control: roles, permissions and rules as data, and the functions that decide.
--
-- The decision is made in C++ (extension/core/permission.hpp says how) from a cache in each backend. The statement
-- triggers at the end of this file tell every backend, and every standby, when a commit has changed what it is read from.

-- Tables ---------------------------------------------------------------------------------------------------------------

CREATE TABLE usher.roles (
    id          uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_-]{0,49}$'),
    description text CHECK (octet_length(description) <= 4000),
    is_system   boolean NOT NULL DEFAULT false,
    is_active   boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE usher.roles IS
    'Roles of the application. A system role cannot be dropped or renamed; an inactive one gives nothing and passes nothing on.';

CREATE TABLE usher.role_parents (
    role_id    uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    parent_id  uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role_id, parent_id)
);
CREATE INDEX role_parents_parent_id_idx ON usher.role_parents (parent_id);
COMMENT ON TABLE usher.role_parents IS 'Inheritance: role_id has everything that parent_id has. Cycles are refused.';

-- Derived from role_parents, so not part of a dump: loading role_parents fills it.
CREATE TABLE usher.role_closure (
    role_id     uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    ancestor_id uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, ancestor_id)
);
CREATE INDEX role_closure_ancestor_id_idx ON usher.role_closure (ancestor_id);
COMMENT ON TABLE usher.role_closure IS
    'Every role that a role inherits from, near or far, through active roles only. Kept by triggers; do not write to it.';

CREATE TABLE usher.role_graph (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 0
);
INSERT INTO usher.role_graph DEFAULT VALUES;
COMMENT ON TABLE usher.role_graph IS
    'One row that every change of role_parents updates, so that two transactions cannot close a cycle between them unseen.';

CREATE TABLE usher.permissions (
    name        text PRIMARY KEY
                CHECK (name ~ '^([a-z0-9][a-z0-9_.-]*:([a-z0-9][a-z0-9_.-]*|\*)|\*:\*)$' AND octet_length(name) <= 150),
    resource    text NOT NULL GENERATED ALWAYS AS (split_part(name, ':', 1)) STORED,
    action      text NOT NULL GENERATED ALWAYS AS (split_part(name, ':', 2)) STORED,
    description text CHECK (octet_length(description) <= 4000),
    extension   text DEFAULT usher._installing_extension(),
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE usher.permissions IS
    'Permissions that can be granted: resource:action, resource:* for every action of a resource, *:* for everything.';
COMMENT ON COLUMN usher.permissions.extension IS
    'The extension whose script brought the row; such rows come back with the extension and are not dumped.';

CREATE TABLE usher.role_permissions (
    id         uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    role_id    uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    permission text NOT NULL REFERENCES usher.permissions (name) ON UPDATE CASCADE ON DELETE CASCADE,
    effect     text NOT NULL DEFAULT 'allow' CHECK (effect IN ('allow', 'deny')),
    scope      text CHECK (scope <> '' AND octet_length(scope) <= 200),
    expires_at timestamptz,
    granted_by uuid REFERENCES usher.users (id) ON DELETE SET NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (role_id, permission, effect, scope)
);
CREATE INDEX role_permissions_permission_idx ON usher.role_permissions (permission);
CREATE INDEX role_permissions_granted_by_idx ON usher.role_permissions (granted_by);
COMMENT ON TABLE usher.role_permissions IS 'What a role allows or denies. Scope NULL counts everywhere.';

CREATE TABLE usher.user_roles (
    id          uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id     uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    role_id     uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    scope       text CHECK (scope <> '' AND octet_length(scope) <= 200),
    assigned_by uuid REFERENCES usher.users (id) ON DELETE SET NULL,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    UNIQUE NULLS NOT DISTINCT (user_id, role_id, scope)
);
CREATE INDEX user_roles_role_id_idx ON usher.user_roles (role_id);
CREATE INDEX user_roles_assigned_by_idx ON usher.user_roles (assigned_by);
CREATE INDEX user_roles_expires_at_idx ON usher.user_roles (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE usher.user_roles IS
    'Roles of users: many each, everywhere (scope NULL) or in one scope such as a location, for ever or until expires_at.';

CREATE TABLE usher.user_permissions (
    id         uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    user_id    uuid NOT NULL REFERENCES usher.users (id) ON DELETE CASCADE,
    permission text NOT NULL REFERENCES usher.permissions (name) ON UPDATE CASCADE ON DELETE CASCADE,
    effect     text NOT NULL DEFAULT 'allow' CHECK (effect IN ('allow', 'deny')),
    scope      text CHECK (scope <> '' AND octet_length(scope) <= 200),
    expires_at timestamptz,
    granted_by uuid REFERENCES usher.users (id) ON DELETE SET NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (user_id, permission, effect, scope)
);
CREATE INDEX user_permissions_permission_idx ON usher.user_permissions (permission);
CREATE INDEX user_permissions_granted_by_idx ON usher.user_permissions (granted_by);
CREATE INDEX user_permissions_expires_at_idx ON usher.user_permissions (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE usher.user_permissions IS 'Permissions given to or taken from one user directly, beside the roles.';

CREATE TABLE usher.role_management (
    id             uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    actor_role_id  uuid NOT NULL REFERENCES usher.roles (id) ON DELETE CASCADE,
    target_role_id uuid REFERENCES usher.roles (id) ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (actor_role_id, target_role_id)
);
CREATE INDEX role_management_target_role_id_idx ON usher.role_management (target_role_id);
COMMENT ON TABLE usher.role_management IS
    'Whose users a role may manage: those who have only target roles listed here; target_role_id NULL means everybody.';

CREATE TABLE usher.policy_rules (
    id         uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    ptype      text NOT NULL CHECK (ptype ~ '^[pg][0-9]{0,2}$'),
    v0         text CHECK (octet_length(v0) <= 256),
    v1         text CHECK (octet_length(v1) <= 256),
    v2         text CHECK (octet_length(v2) <= 256),
    v3         text CHECK (octet_length(v3) <= 256),
    v4         text CHECK (octet_length(v4) <= 256),
    v5         text CHECK (octet_length(v5) <= 256),
    is_active  boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by text CHECK (length(created_by) <= 100),
    updated_by text CHECK (length(updated_by) <= 100),
    UNIQUE NULLS NOT DISTINCT (ptype, v0, v1, v2, v3, v4, v5)
);
CREATE INDEX policy_rules_ptype_v0_idx ON usher.policy_rules (ptype, v0) WHERE is_active;
CREATE INDEX policy_rules_v1_idx ON usher.policy_rules (ptype, v1) WHERE is_active;
CREATE INDEX policy_rules_is_active_idx ON usher.policy_rules (is_active) WHERE NOT is_active;
COMMENT ON TABLE usher.policy_rules IS
    'Policy rules in the shape that Casbin adapters use: p rows (subject, object, action, effect) and g rows (member, group).';

-- Empty for ever: its relcache entry carries the news that a cache is out of date.
CREATE TABLE usher.access_inval ();
COMMENT ON TABLE usher.access_inval IS 'Empty; announces to all backends that rules of access control have changed.';

SELECT pg_catalog.pg_extension_config_dump('usher.roles', '');
SELECT pg_catalog.pg_extension_config_dump('usher.role_parents', '');
SELECT pg_catalog.pg_extension_config_dump('usher.permissions', 'WHERE extension IS NULL');
SELECT pg_catalog.pg_extension_config_dump('usher.role_permissions', '');
SELECT pg_catalog.pg_extension_config_dump('usher.user_roles', '');
SELECT pg_catalog.pg_extension_config_dump('usher.user_permissions', '');
SELECT pg_catalog.pg_extension_config_dump('usher.role_management', '');
SELECT pg_catalog.pg_extension_config_dump('usher.policy_rules', '');

REVOKE ALL ON usher.roles, usher.role_parents, usher.role_closure, usher.role_graph, usher.permissions,
    usher.role_permissions, usher.user_roles, usher.user_permissions, usher.role_management, usher.policy_rules,
    usher.access_inval FROM PUBLIC;

-- What a user holds, in one place: the cache, explain_access() and the lists all read these two views. -------------------

CREATE VIEW usher._held_roles AS
    SELECT ur.user_id, ur.role_id, r.name AS role, ur.scope, ur.expires_at, NULL::text AS inherited_by
    FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id
    WHERE r.is_active
    UNION ALL
    SELECT ur.user_id, c.ancestor_id, a.name, ur.scope, ur.expires_at, r.name
    FROM usher.user_roles ur
    JOIN usher.roles r ON r.id = ur.role_id AND r.is_active
    JOIN usher.role_closure c ON c.role_id = ur.role_id
    JOIN usher.roles a ON a.id = c.ancestor_id;
COMMENT ON VIEW usher._held_roles IS
    'Roles of users with the inherited ones; expired assignments are still in it, because expiry is checked at use.';

-- A grant to a role counts where the role's assignment and the grant both count, and until the first of both expires.
CREATE VIEW usher._held_rules AS
    SELECT h.user_id, 'role' AS source, h.role || coalesce(' of ' || h.inherited_by, '') AS origin,
           rp.permission, rp.effect, coalesce(h.scope, rp.scope) AS scope, least(h.expires_at, rp.expires_at) AS expires_at
    FROM usher._held_roles h JOIN usher.role_permissions rp ON rp.role_id = h.role_id
    WHERE h.scope IS NULL OR rp.scope IS NULL OR lower(h.scope) = lower(rp.scope)
    UNION ALL
    SELECT up.user_id, 'direct', NULL, up.permission, up.effect, up.scope, up.expires_at
    FROM usher.user_permissions up;
COMMENT ON VIEW usher._held_rules IS 'Rules from roles and direct grants for each user, expired ones included.';

CREATE VIEW usher._role_reach AS
    WITH RECURSIVE reach (role_id, ancestor_id) AS (
        SELECT p.role_id, p.parent_id
        FROM usher.role_parents p JOIN usher.roles r ON r.id = p.parent_id AND r.is_active
        UNION
        SELECT reach.role_id, p.parent_id
        FROM reach
        JOIN usher.role_parents p ON p.role_id = reach.ancestor_id
        JOIN usher.roles r ON r.id = p.parent_id AND r.is_active
    )
    SELECT reach.role_id, reach.ancestor_id FROM reach;
COMMENT ON VIEW usher._role_reach IS 'What role_closure must hold: the ancestors of each role, through active roles only.';

REVOKE ALL ON usher._held_roles, usher._held_rules, usher._role_reach FROM PUBLIC;

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
    'The p rows of policy_rules that count for a user: by id, by role name, or through g rows. Found by index, whatever their number.';

-- Decisions ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.has_permission(permission text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission';
REVOKE ALL ON FUNCTION usher.has_permission(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission(text, text) IS
    'Whether the current identity has the permission, resource:action, in this scope. False without an identity and for NULL. For row-level security policies.';

CREATE FUNCTION usher.has_permission(permission text, scope uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission_uuid';
REVOKE ALL ON FUNCTION usher.has_permission(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission(text, uuid) IS 'has_permission(text, text) for scopes that are uuids, such as a location of the row.';

CREATE FUNCTION usher.has_permission_somewhere(permission text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_permission_somewhere';
REVOKE ALL ON FUNCTION usher.has_permission_somewhere(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_permission_somewhere(text) IS
    'Whether the current identity has the permission in at least one scope: for menus and entry gates, where no row is known yet.';

CREATE FUNCTION usher.has_role(role text, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_has_role';
REVOKE ALL ON FUNCTION usher.has_role(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_role(text, text) IS
    'Whether the current identity has the role, directly or inherited, everywhere or in this scope. Reads tables, not token claims.';

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

CREATE FUNCTION usher.can_manage(target_user_id uuid, actor_user_id uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_can_manage';
REVOKE ALL ON FUNCTION usher.can_manage(uuid, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.can_manage(uuid, uuid) IS
    'Whether the actor (default: the current identity) may manage the target user: himself always, others when role_management covers all of their roles.';

CREATE FUNCTION usher.require_permission(permission text, target_user_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_access_require_permission';
REVOKE ALL ON FUNCTION usher.require_permission(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.require_permission(text, uuid) IS
    'Raises 42501 unless the current identity has the permission (and can manage the target user, if given), or there is no identity and the database role is a superuser, a member of the extension owner, or has access level admin.';

-- Triggers -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher._lock_role_graph() RETURNS trigger
    LANGUAGE plpgsql
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
    LANGUAGE plpgsql
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
    SELECT min(r.name) INTO in_cycle FROM reach JOIN usher.roles r ON r.id = reach.role_id WHERE reach.role_id = reach.ancestor_id;
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
COMMENT ON FUNCTION usher._keep_role_closure() IS 'Trigger: refuses cycles, then makes role_closure what role_parents says.';

CREATE TRIGGER lock_role_graph BEFORE INSERT OR UPDATE OR DELETE ON usher.role_parents
    FOR EACH STATEMENT EXECUTE FUNCTION usher._lock_role_graph();
CREATE TRIGGER keep_role_closure AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.role_parents
    FOR EACH STATEMENT EXECUTE FUNCTION usher._keep_role_closure();
CREATE TRIGGER lock_role_graph BEFORE UPDATE OF is_active ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._lock_role_graph();
CREATE TRIGGER keep_role_closure AFTER UPDATE OF is_active ON usher.roles
    FOR EACH STATEMENT EXECUTE FUNCTION usher._keep_role_closure();

CREATE FUNCTION usher._guard_role() RETURNS trigger
    LANGUAGE plpgsql
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

CREATE TRIGGER guard_role BEFORE UPDATE OR DELETE ON usher.roles
    FOR EACH ROW EXECUTE FUNCTION usher._guard_role();

CREATE FUNCTION usher._stamp_policy_rule() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.updated_at := now();
    NEW.updated_by := coalesce(usher.current_user_id()::text, session_user);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION usher._stamp_policy_rule() FROM PUBLIC;
COMMENT ON FUNCTION usher._stamp_policy_rule() IS 'Trigger: keeps updated_at and updated_by of a changed policy rule.';

CREATE TRIGGER stamp_policy_rule BEFORE UPDATE ON usher.policy_rules
    FOR EACH ROW EXECUTE FUNCTION usher._stamp_policy_rule();

-- ENABLE ALWAYS: rows loaded with session_replication_role = replica change decisions too.
DO $$
DECLARE
    source text;
BEGIN
    FOREACH source IN ARRAY ARRAY['roles', 'role_closure', 'role_permissions', 'user_roles', 'user_permissions', 'role_management', 'policy_rules'] LOOP
        EXECUTE format($sql$
            CREATE TRIGGER invalidate_access AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.%1$I
                FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('access_inval');
            ALTER TABLE usher.%1$I ENABLE ALWAYS TRIGGER invalidate_access$sql$, source);
    END LOOP;
END
$$;
-- A deactivated user has nothing; other changes of users, such as the time of the last login, do not matter here.
CREATE TRIGGER invalidate_access AFTER UPDATE OF status ON usher.users
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('access_inval');
ALTER TABLE usher.users ENABLE ALWAYS TRIGGER invalidate_access;
ALTER TABLE usher.role_parents ENABLE ALWAYS TRIGGER lock_role_graph;
ALTER TABLE usher.role_parents ENABLE ALWAYS TRIGGER keep_role_closure;
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER lock_role_graph;
ALTER TABLE usher.roles ENABLE ALWAYS TRIGGER keep_role_closure;

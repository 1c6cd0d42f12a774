-- Access control: roles, permissions and rules as data, and the functions that decide.
--
-- The decision is made in C++ (extension/usher/access/permission.hpp says how) from a cache in each backend. The
-- statement triggers at the end of this file tell every backend, and every standby, when a commit has changed what it
-- is read from.

-- Tables -------------------------------------------------------------------------------------------------------------

CREATE TABLE usher.roles (
    id          uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9_-]{0,49}$'),
    description text CHECK (octet_length(description) <= 4000),
    is_system   boolean NOT NULL DEFAULT false,
    is_active   boolean NOT NULL DEFAULT true,
    deleted_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    is_default  boolean NOT NULL DEFAULT false,
    CONSTRAINT roles_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
CREATE UNIQUE INDEX roles_is_default_key ON usher.roles (is_default) WHERE is_default;
COMMENT ON TABLE usher.roles IS
    'Roles of the application. A system role cannot be dropped or renamed; an inactive one gives nothing and passes '
    'nothing on. The default one is what newcomers get unless usher.default_role names another: the one that a preset '
    'has for them.';

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
    'Every role that a role inherits from, near or far, through active roles only. Kept by triggers; do not '
    'write to it. Not dumped: loading the parents makes it anew.';

CREATE TABLE usher.role_graph (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 0
);
INSERT INTO usher.role_graph DEFAULT VALUES;
COMMENT ON TABLE usher.role_graph IS
    'One row that every change of role_parents updates, so that two transactions cannot close a cycle between them '
    'unseen. Not dumped: the script makes it.';

CREATE TABLE usher.permissions (
    name        text PRIMARY KEY
                CHECK (name ~ '^([a-z0-9][a-z0-9_.-]*:([a-z0-9][a-z0-9_.-]*|\*)|\*:\*)$'
                       AND octet_length(name) <= 150),
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
    'Roles of users: many each, everywhere (scope NULL) or in one scope such as a location, for ever or until '
    'expires_at.';

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
    'Whose users a role may manage: those who have only target roles listed here; target_role_id NULL means '
    'everybody.';

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
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by text CHECK (length(created_by) <= 100),
    updated_by text CHECK (length(updated_by) <= 100),
    UNIQUE NULLS NOT DISTINCT (ptype, v0, v1, v2, v3, v4, v5),
    CONSTRAINT policy_rules_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
CREATE INDEX policy_rules_ptype_v0_idx ON usher.policy_rules (ptype, v0) WHERE is_active;
CREATE INDEX policy_rules_v1_idx ON usher.policy_rules (ptype, v1) WHERE is_active;
CREATE INDEX policy_rules_is_active_idx ON usher.policy_rules (is_active) WHERE NOT is_active;
COMMENT ON TABLE usher.policy_rules IS
    'Policy rules in the shape that Casbin adapters use: p rows (subject, object, action, effect) and g rows (member, '
    'group).';

-- Empty for ever: its relcache entry carries the news that a cache is out of date.
CREATE TABLE usher.access_inval ();
COMMENT ON TABLE usher.access_inval IS 'Empty; announces to all backends that rules of access control have changed.';

SELECT pg_catalog.pg_extension_config_dump('usher.roles', '');
SELECT pg_catalog.pg_extension_config_dump('usher.role_parents', '');
SELECT pg_catalog.pg_extension_config_dump('usher.role_permissions', '');
SELECT pg_catalog.pg_extension_config_dump('usher.user_roles', '');
SELECT pg_catalog.pg_extension_config_dump('usher.user_permissions', '');
SELECT pg_catalog.pg_extension_config_dump('usher.role_management', '');
SELECT pg_catalog.pg_extension_config_dump('usher.policy_rules', '');

REVOKE ALL ON usher.roles, usher.role_parents, usher.role_closure, usher.role_graph, usher.permissions,
    usher.role_permissions, usher.user_roles, usher.user_permissions, usher.role_management, usher.policy_rules,
    usher.access_inval FROM PUBLIC;

-- What a user holds, in one place: the cache, explain_access() and the lists all read these two views. ---------------

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
           rp.permission, rp.effect, coalesce(h.scope, rp.scope) AS scope,
           least(h.expires_at, rp.expires_at) AS expires_at
    FROM usher._held_roles h JOIN usher.role_permissions rp ON rp.role_id = h.role_id
    WHERE h.scope IS NULL OR rp.scope IS NULL OR lower(h.scope) = lower(rp.scope)
    UNION ALL
    SELECT up.user_id, 'direct', NULL, up.permission, up.effect, up.scope, up.expires_at
    FROM usher.user_permissions up;
COMMENT ON VIEW usher._held_rules IS 'Rules from roles and direct grants for each user, expired ones included.';

CREATE VIEW usher._shown_roles AS
    SELECT ur.user_id, r.name AS role, ur.scope, ur.expires_at,
           row_number() OVER (PARTITION BY ur.user_id
                              ORDER BY manages.everybody DESC, manages.others DESC, ur.scope IS NOT NULL,
                                       ur.assigned_at DESC, r.name) AS place
    FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id AND r.is_active
    CROSS JOIN LATERAL (SELECT coalesce(bool_or(m.target_role_id IS NULL), false) AS everybody, count(*) AS others
                        FROM usher.role_management m WHERE m.actor_role_id = r.id) AS manages;
COMMENT ON VIEW usher._shown_roles IS
    'The roles that users were given, in the order in which they say something about them: first the one that may '
    'manage most others, of equals the newest. Expired ones are still in it.';

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
COMMENT ON VIEW usher._role_reach IS
    'What role_closure must hold: the ancestors of each role, through active roles only.';

REVOKE ALL ON usher._held_roles, usher._held_rules, usher._shown_roles, usher._role_reach FROM PUBLIC;
-- Access control: policy rules and models in the shape that Casbin users have them.
--
-- has_permission() asks the p rows as its last step, read as (subject, resource, action, effect). enforce() asks them
-- through a model of the application's own, with whatever columns and matcher it defines.

CREATE TABLE usher.policy_models (
    name       text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$'),
    definition text NOT NULL CHECK (octet_length(definition) <= 65536),
    extension  text DEFAULT usher._installing_extension(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL CHECK (length(updated_by) <= 100)
);
COMMENT ON TABLE usher.policy_models IS
    'Policy models by name, for enforce(): the text of a Casbin model file, or the same as a JSON object.';
REVOKE ALL ON usher.policy_models FROM PUBLIC;

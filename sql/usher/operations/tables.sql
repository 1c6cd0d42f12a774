-- What the installed version made, to notice when somebody has changed it since: a trigger disabled, a constraint
-- dropped.

CREATE TABLE usher._schema_objects (
    extension name NOT NULL,
    object text NOT NULL,
    digest text NOT NULL,
    server_version integer NOT NULL,
    PRIMARY KEY (extension, object)
);
COMMENT ON TABLE usher._schema_objects IS
    'Every object of the usher extensions as its script made it. Not dumped: the script makes the rows anew.';
REVOKE ALL ON usher._schema_objects FROM PUBLIC;
CREATE TABLE usher._watched_columns (
    relation oid NOT NULL,
    number smallint NOT NULL,
    column_name name NOT NULL,
    table_name name NOT NULL,
    PRIMARY KEY (relation, number)
);
COMMENT ON TABLE usher._watched_columns IS
    'Columns of tables that a trigger or a registration of ours names, as they are called now, to notice when one is '
    'renamed. Not dumped: making the triggers fills it.';
REVOKE ALL ON usher._watched_columns FROM PUBLIC;

-- Database roles: who may call and read what. Nothing is granted to PUBLIC; usher.grant_access() hands out levels.
--
--   application  a program that connects to the database itself: every function that is guarded inside by permissions
--   gateway      the HTTP gateway: the same, because routed functions run as its role
--   readonly     analytics: tables without secrets and without personal trails
--   auditor      the audit trail, sign-in attempts, sessions and grants, to read only
--   admin        administration by hand or by migrations: all functions, also those that hand out tokens or keys, and
-- a
--                trusted role for usher.require_permission()

-- A level belongs to the role itself: to its Oid on this server, which follows a new name and which no other role of
-- the same name has. A dump carries it to other servers, where the Oid is somebody else's: there it counts for nothing
-- until it is granted again.

CREATE TABLE usher.database_roles (
    role_name  name NOT NULL,
    level      text NOT NULL CHECK (level IN ('application', 'gateway', 'courier', 'readonly', 'auditor', 'admin')),
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by name NOT NULL DEFAULT session_user,
    role_oid   oid NOT NULL,
    server     text NOT NULL DEFAULT usher._server_identifier(),
    PRIMARY KEY (server, role_oid, level)
);
COMMENT ON TABLE usher.database_roles IS 'Database roles and the access levels that grant_access() gave them.';
COMMENT ON COLUMN usher.database_roles.role_name IS
    'What the role was called when the level was last granted, revoked or looked after by run_maintenance().';
COMMENT ON COLUMN usher.database_roles.role_oid IS 'The role itself, whatever its name is now.';
COMMENT ON COLUMN usher.database_roles.server IS
    'System identifier of the server whose role it is. On another one, where a dump may have brought the row, it '
    'counts for nothing until grant_access() is called there.';
REVOKE ALL ON usher.database_roles FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.database_roles', '');

CREATE TABLE usher.upkeep_failures (
    registrant name NOT NULL REFERENCES usher.extensions (name) ON DELETE CASCADE,
    task text NOT NULL,
    failures bigint NOT NULL DEFAULT 1,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recovered_at timestamptz,
    PRIMARY KEY (registrant, task)
);
COMMENT ON TABLE usher.upkeep_failures IS
    'Steps of upkeep that have failed, for usher.metrics(). Not dumped: it is about this server.';
COMMENT ON COLUMN usher.upkeep_failures.failures IS 'How often the step has failed.';
COMMENT ON COLUMN usher.upkeep_failures.recovered_at IS 'When it succeeded again; NULL when it still fails.';
REVOKE ALL ON usher.upkeep_failures FROM PUBLIC;

CREATE TABLE usher.self_checks (
    registrant name PRIMARY KEY REFERENCES usher.extensions (name) ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    checked_at timestamptz,
    took interval,
    findings jsonb NOT NULL DEFAULT '[]',
    failure text
);
COMMENT ON TABLE usher.self_checks IS
    'What the last self-check of each extension has found, for usher.last_self_check(). Not dumped: what is restored '
    'is checked again.';
COMMENT ON COLUMN usher.self_checks.started_at IS
    'When it was last begun, or, before that, when the extension was registered; later than checked_at while it runs, '
    'and when it was ended before it was done.';
REVOKE ALL ON usher.self_checks FROM PUBLIC;

CREATE TABLE usher.table_sizes (
    day date NOT NULL,
    schema_name name NOT NULL,
    table_name name NOT NULL,
    bytes bigint NOT NULL,
    row_count bigint NOT NULL,
    PRIMARY KEY (day, schema_name, table_name)
);
CREATE INDEX table_sizes_table_name_idx ON usher.table_sizes (schema_name, table_name, day);
COMMENT ON TABLE usher.table_sizes IS
    'How large each table was on each of the last 400 days, for usher.table_growth(). Not dumped: it is about this '
    'server.';
COMMENT ON COLUMN usher.table_sizes.bytes IS 'With indexes and partitions.';
COMMENT ON COLUMN usher.table_sizes.row_count IS 'As the planner estimated it.';
REVOKE ALL ON usher.table_sizes FROM PUBLIC;

-- Upkeep, health, metrics, and what check_configuration() and self_check() find when something is wrong.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA regress_operations;
-- What has changed since a snapshot of all findings
CREATE TABLE regress_operations.before AS SELECT finding FROM usher.check_configuration();
CREATE FUNCTION regress_operations.new_findings() RETURNS TABLE (severity text, finding text) LANGUAGE sql AS
    $$
        SELECT c.severity, c.finding
        FROM usher.check_configuration() c WHERE c.finding NOT IN (SELECT finding FROM regress_operations.before)
       ORDER BY c.severity COLLATE "C", c.finding COLLATE "C" $$;

-- Upkeep: each task once; an extension that fails does not keep the others from theirs
SELECT task
FROM usher.run_maintenance() WHERE task ~ '^(audit|events|rate|sessions|expired|login_attempts|one_time_tokens)_'
GROUP BY task HAVING count(*) = 1 ORDER BY task COLLATE "C";
SELECT task, affected FROM usher.run_maintenance(1) WHERE task LIKE 'audit_partitions%';
BEGIN;
CREATE FUNCTION regress_operations.upkeep(max_rows integer)
    RETURNS TABLE (task text, affected bigint) LANGUAGE plpgsql AS
    $$ BEGIN RAISE division_by_zero; END $$;
SELECT usher.register_extension('For this test', 'regress_operations', 'regress_operations', '{"upkeep": "upkeep"}',
    '{self_check,configuration,metrics,health,export,erase}');
SELECT task, affected FROM usher.run_maintenance() WHERE task LIKE '%failed' OR task LIKE 'audit_partitions%';
ROLLBACK;
SELECT usher.run_maintenance(0);
SELECT usher.run_maintenance(NULL);
-- expired grants go when nobody needs to review them any longer
SELECT user_id AS somebody FROM usher.register_user('operations@regress.example', 'correct horse battery') \gset
INSERT INTO usher.permissions (name, description) VALUES ('regress:operate', 'for this test');
INSERT INTO usher.user_permissions (user_id, permission, scope, expires_at) VALUES
    (:'somebody', 'regress:operate', 'now', now() - interval '1 day'),
    (:'somebody', 'regress:operate', 'old', now() - interval '91 days');
SELECT value >= 2 AS told FROM usher.metrics() WHERE name = 'usher_grants_expired';
SELECT permission, scope, role, user_id = :'somebody' AS his
FROM usher.list_expiring_grants() WHERE user_id = :'somebody';
SELECT usher.create_role('regress_operator'),
       usher.grant_role(:'somebody', 'regress_operator', expires_at => now() + interval '1 day') \g /dev/null
SELECT usher.grant_permission('regress_operator', 'regress:operate', expires_at => now() + interval '2 days');
SELECT role, permission, effect, user_id IS NULL AS of_role
FROM usher.list_expiring_grants(now() + interval '1 week') WHERE role = 'regress_operator';
SELECT * FROM usher.list_expiring_grants(NULL);
SELECT * FROM usher.list_expiring_grants(now(), 0);
SELECT usher.drop_role('regress_operator');
SELECT affected FROM usher.run_maintenance() WHERE task = 'expired_grants_removed';
SELECT scope FROM usher.user_permissions WHERE user_id = :'somebody';
DELETE FROM usher.permissions WHERE name = 'regress:operate';

-- Health and metrics
SELECT status IN ('ok', 'degraded') AS status, in_recovery, preloaded, active_users >= 0 AS users,
       audit_rows_last_hour > 0 AS audited, worker_running, database_time > now() AS now FROM usher.health();
-- no background worker is expected here: test/t/usher_worker_faults.pl has one
SELECT worker_expected, worker_running, worker_problem, last_flush_at, last_upkeep_at FROM usher.health();
SELECT name, value FROM usher.metrics() WHERE name LIKE 'usher\_worker%' ORDER BY name COLLATE "C";
SELECT name FROM usher.metrics()
WHERE name ~ '^usher_(users|table|index|connections|lock|oldest|database|transactions|grants|audit|lost)'
    AND name NOT LIKE '%checksum%' -- not every cluster has them
GROUP BY name ORDER BY name COLLATE "C";
SELECT bool_and(value >= 0) AS sane, count(*) FILTER (WHERE jsonb_typeof(labels) <> 'object') AS odd_labels
FROM usher.metrics();
-- each number is that of the tables
BEGIN;
UPDATE usher.users SET status = 'active' WHERE id = :'somebody';
INSERT INTO usher.sessions (user_id, refresh_token_hash, rotation_key, expires_at, absolute_expires_at)
    SELECT :'somebody', sha256(i::text::bytea), sha256(i::text::bytea), now() + interval '1 hour',
           now() + interval '1 day' FROM generate_series(1, 3) i;
UPDATE usher.credentials SET locked_until = now() + interval '1 hour' WHERE user_id = :'somebody';
INSERT INTO usher.deliveries (event_id, consumer, event, status)
SELECT usher.uuid_v7(), 'regress', 'regress.parked', 'parked' FROM generate_series(1, 4);
SELECT t.name, m.value = t.n AS is_right, m.value IS NOT NULL AS is_told
FROM (VALUES
    ('usher_users', '{"status": "active"}'::jsonb, (SELECT count(*) FROM usher.users WHERE status = 'active')),
    ('usher_sessions_live', '{}',
     (SELECT count(*) FROM usher.sessions WHERE status = 'active' AND expires_at > now())),
    ('usher_accounts_locked', '{}', (SELECT count(*) FROM usher.credentials WHERE locked_until > now())),
    ('usher_deliveries', '{"status": "parked", "consumer": "regress"}', 4),
    ('usher_audit_seals', '{}', (SELECT count(*) FROM usher.audit_seals)),
    ('usher_connections', '{"state": "active"}', (SELECT count(*)
                                                  FROM pg_stat_activity WHERE datname = current_database()
                                                      AND state = 'active' AND backend_type = 'client backend')),
    ('usher_connections_max', '{}', current_setting('max_connections')::bigint),
    ('usher_table_bytes', '{"table": "users", "schema": "usher"}', pg_total_relation_size('usher.users'))) AS t (
        name, labels, n)
LEFT JOIN usher.metrics() m ON m.name = t.name AND m.labels = t.labels ORDER BY t.name COLLATE "C";
SELECT h.status, h.active_users = (SELECT count(*) FROM usher.users WHERE status = 'active') AS users,
       h.live_sessions = (SELECT count(*)
                          FROM usher.sessions WHERE status = 'active' AND expires_at > now()) AS sessions,
       h.audit_rows_last_hour > 1000 -- an estimate then
           OR h.audit_rows_last_hour = (SELECT count(*)
                                        FROM usher.audit_logs WHERE created_at > now() - interval '1 hour') AS audit_rows,
       h.parked_events = (SELECT count(*) FROM usher.deliveries WHERE status = 'parked') AS parked
FROM usher.health() h;
ROLLBACK;

-- Settings that leak or weaken
BEGIN;
SET LOCAL usher.restoring = on;
SET LOCAL usher.bcrypt_rounds = 10;
SET LOCAL usher.lockout_threshold = 50;
SET LOCAL usher.access_token_ttl = '2h';
SET LOCAL usher.require_verified_email = off;
SET LOCAL usher.reveal_lockout = on;
SET LOCAL usher.refresh_reuse = lenient;
SET LOCAL usher.audit_chain = off;
SET LOCAL usher.audit_archive_function = 'nowhere.to_go';
SET LOCAL usher.archive_function = 'nowhere.to_go';
SET LOCAL usher.argon2_iterations = 1;
SET LOCAL log_statement = 'all';
SET LOCAL log_parameter_max_length_on_error = -1;
SET LOCAL debug_print_plan = on;
SET LOCAL password_encryption = md5;
SET LOCAL client_min_messages = error;
SELECT * FROM regress_operations.new_findings();
ROLLBACK;
-- Grants and roles
CREATE ROLE regress_operations_app SUPERUSER;
SELECT usher.grant_access('regress_operations_app', 'application');
ALTER ROLE regress_operations_app RESET log_parameter_max_length;
BEGIN;
GRANT SELECT ON usher.users TO PUBLIC;
GRANT EXECUTE ON FUNCTION usher.uuid_v7() TO PUBLIC;
GRANT CREATE ON SCHEMA usher TO PUBLIC;
SET LOCAL log_min_duration_statement = 0;
SELECT * FROM regress_operations.new_findings();
ROLLBACK;
SELECT usher.revoke_access('regress_operations_app');
DROP ROLE regress_operations_app;
-- Tables and triggers
CREATE TABLE regress_operations.unwatched (id integer PRIMARY KEY);
SELECT * FROM regress_operations.new_findings();
SELECT usher.enable_audit('regress_operations.unwatched');
ALTER TABLE regress_operations.unwatched DISABLE TRIGGER usher_audit_insert;
SELECT * FROM regress_operations.new_findings();
ALTER TABLE regress_operations.unwatched ENABLE TRIGGER usher_audit_insert;
SELECT * FROM regress_operations.new_findings();

-- The installed version and what has become of it
SELECT * FROM usher.schema_drift();
BEGIN;
ALTER TABLE usher.users ALTER COLUMN tier DROP NOT NULL;
ALTER TABLE usher.machines DISABLE TRIGGER announce_machine;
ALTER TABLE usher.audit_seals DROP CONSTRAINT audit_seals_check;
CREATE OR REPLACE FUNCTION usher.current_user_id() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT NULL::uuid $$;
CREATE INDEX regress_extra ON usher.users (created_at);
ALTER EXTENSION usher DROP FUNCTION usher.jwks();
DROP FUNCTION usher.jwks();
ALTER TABLE wash.services ADD COLUMN regress_extra integer;
SELECT * FROM usher.schema_drift();
SELECT rule, violations FROM usher.self_check() WHERE violations > 0;
ROLLBACK;

-- Rules about the data
SELECT count(*) > 8 AS many, count(*) = count(DISTINCT (extension, rule)) AS each_once FROM usher.self_check();
SELECT extension, rule, violations FROM usher.self_check() WHERE violations > 0;
BEGIN;
DELETE FROM usher.credentials WHERE user_id = :'somebody';
INSERT INTO usher.status_history (relation, entity_id, seq, to_status, action, changed_by_name) VALUES
    ('regress_operations.unwatched', :'somebody', 2, 'open', 'create', 'somebody'),
    ('regress_operations.unwatched', :'somebody', 3, 'lost', 'lose', 'somebody');
INSERT INTO usher.deliveries (event_id, consumer, event) VALUES (:'somebody', 'regress', 'regress.lost');
SELECT rule, violations FROM usher.self_check() WHERE violations > 0;
ROLLBACK;

DROP SCHEMA regress_operations CASCADE;

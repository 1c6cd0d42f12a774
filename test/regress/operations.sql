-- Upkeep, health, metrics, and what check_configuration() and self_check() find when something is wrong.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA regress_operations;
-- What has changed since a snapshot of all findings
CREATE TABLE regress_operations.before AS SELECT finding FROM usher.check_configuration();
CREATE FUNCTION regress_operations.new_findings() RETURNS TABLE (severity text, finding text) LANGUAGE sql AS
    $$ SELECT c.severity, c.finding FROM usher.check_configuration() c WHERE c.finding NOT IN (SELECT finding FROM regress_operations.before)
       ORDER BY c.severity COLLATE "C", c.finding COLLATE "C" $$;

-- Upkeep: each task once; an extension that fails does not keep the others from theirs
SELECT task FROM usher.run_maintenance() WHERE task ~ '^(audit|events|rate|sessions|expired|login_attempts|one_time_tokens)_' GROUP BY task HAVING count(*) = 1 ORDER BY task COLLATE "C";
SELECT task, affected FROM usher.run_maintenance(1) WHERE task LIKE 'audit_partitions%';
BEGIN;
CREATE OR REPLACE FUNCTION wash._run_maintenance(max_rows integer) RETURNS TABLE (task text, affected bigint) LANGUAGE plpgsql AS
    $$ BEGIN RAISE division_by_zero; END $$;
SELECT task, affected FROM usher.run_maintenance() WHERE task LIKE '%failed' OR task LIKE 'audit_partitions%';
ROLLBACK;
SELECT usher.run_maintenance(0);
SELECT usher.run_maintenance(NULL);
-- expired grants go when nobody needs to review them any more
SELECT user_id AS somebody FROM usher.register_user('operations@regress.example', 'correct horse battery') \gset
INSERT INTO usher.permissions (name, description) VALUES ('regress:operate', 'for this test');
INSERT INTO usher.user_permissions (user_id, permission, scope, expires_at) VALUES
    (:'somebody', 'regress:operate', 'now', now() - interval '1 day'), (:'somebody', 'regress:operate', 'old', now() - interval '91 days');
SELECT value >= 2 AS told FROM usher.metrics() WHERE name = 'usher_grants_expired';
SELECT affected FROM usher.run_maintenance() WHERE task = 'expired_grants_removed';
SELECT scope FROM usher.user_permissions WHERE user_id = :'somebody';
DELETE FROM usher.permissions WHERE name = 'regress:operate';

-- Health and metrics
SELECT status IN ('ok', 'degraded') AS status, in_recovery, preloaded, active_users >= 0 AS users, audit_rows_last_hour > 0 AS audited,
       worker_running, database_time > now() AS now FROM usher.health();
SELECT name FROM usher.metrics() WHERE name ~ '^usher_(users|table|index|connections|lock|oldest|database|transactions|grants|audit|lost)' GROUP BY name ORDER BY name COLLATE "C";
SELECT bool_and(value >= 0) AS sane, count(*) FILTER (WHERE jsonb_typeof(labels) <> 'object') AS odd_labels FROM usher.metrics();

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
ALTER TABLE usher.machines DISABLE TRIGGER machines_invalidate;
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
    ('regress_operations.unwatched', :'somebody', 2, 'open', 'create', 'somebody'), ('regress_operations.unwatched', :'somebody', 3, 'lost', 'lose', 'somebody');
INSERT INTO usher.deliveries (event_id, consumer, event) VALUES (:'somebody', 'regress', 'regress.lost');
SELECT rule, violations FROM usher.self_check() WHERE violations > 0;
ROLLBACK;

DROP SCHEMA regress_operations CASCADE;

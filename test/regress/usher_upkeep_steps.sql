-- Upkeep: every step stands on its own. One that fails is told by a warning, a row and a metric, and stops no other.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA regress_upkeep;
CREATE FUNCTION regress_upkeep.run(max_rows integer DEFAULT 10000) RETURNS TABLE (steps bigint, failed text) LANGUAGE sql AS $$
    SELECT count(*), string_agg(m.task, ' ' ORDER BY m.task) FILTER (WHERE m.affected IS NULL) FROM usher.run_maintenance(max_rows) AS m
$$;
CREATE FUNCTION regress_upkeep.failing() RETURNS TABLE (extension text, task text, failing float, total float) LANGUAGE sql AS $$
    SELECT m.labels ->> 'extension', m.labels ->> 'task', max(m.value) FILTER (WHERE m.name = 'usher_upkeep_failing'),
           max(m.value) FILTER (WHERE m.name = 'usher_upkeep_failures_total')
    FROM usher.metrics() AS m WHERE m.name LIKE 'usher\_upkeep\_fail%' GROUP BY 1, 2 ORDER BY 1, 2
$$;
SELECT failed FROM regress_upkeep.run();

-- Steps of core, in the middle and of each part
BEGIN;
ALTER TABLE usher.idempotent_calls RENAME TO idempotent_calls_away;
ALTER TABLE usher.login_challenges RENAME TO login_challenges_away;
SELECT steps > 15 AS many, failed FROM regress_upkeep.run();
SELECT failed FROM regress_upkeep.run();
SELECT * FROM regress_upkeep.failing();
ALTER TABLE usher.idempotent_calls_away RENAME TO idempotent_calls;
SELECT failed FROM regress_upkeep.run();
SELECT * FROM regress_upkeep.failing();
ALTER TABLE usher.login_challenges_away RENAME TO login_challenges;
SELECT failed FROM regress_upkeep.run();
SELECT * FROM regress_upkeep.failing();
ROLLBACK;
-- each of them: whatever it is that fails, all others are done
CREATE FUNCTION regress_upkeep.others_after(broken regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    usual bigint := (SELECT count(*) FROM usher.run_maintenance());
    answer text;
BEGIN
    EXECUTE format('ALTER TABLE %s RENAME TO regress_away', broken);
    SELECT CASE WHEN count(*) <> usual THEN 'steps are missing' ELSE count(*) FILTER (WHERE m.affected IS NULL)::text END INTO answer
    FROM usher.run_maintenance() AS m;
    RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = answer;
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN SQLERRM;
END $$;
SET client_min_messages = error;
SET usher.audit_chain = off; -- what is rolled back would be sealed again by every call
SELECT t, regress_upkeep.others_after(t) AS failed FROM unnest('{usher.sessions,usher.one_time_tokens,usher.one_time_codes,usher.login_challenges,
    usher.second_factors,usher.login_attempts,usher.network_failures,usher.events,usher.rate_limit_records,usher.idempotent_answers,
    usher.idempotent_calls,usher.user_roles,usher.signing_keys,wash.resource_guards}'::regclass[]) AS t;
RESET usher.audit_chain;
SET client_min_messages = warning;

-- Steps of an application's hook: those that it runs by upkeep_step() each for itself, else all of the hook
BEGIN;
CREATE FUNCTION regress_upkeep.upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step('regress_first', 'SELECT 1 / ($1 - $1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step('regress_second', 'SELECT $1::bigint', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step('regress_third', 'DELETE FROM regress_upkeep.none WHERE n < $1', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step('regress_fourth', 'SELECT NULL::bigint', max_rows) AS u;
END $$;
SELECT usher.register_extension('Upkeep', name => 'regress_upkeep', schema_name => 'regress_upkeep', hooks => '{"upkeep": "upkeep"}',
    declined_hooks => '{self_check,configuration,metrics,health,export,erase}');
SELECT task, affected FROM usher.run_maintenance(7) WHERE task LIKE 'regress%';
SELECT * FROM regress_upkeep.failing();
CREATE TABLE regress_upkeep.none (n integer);
CREATE OR REPLACE FUNCTION regress_upkeep.upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'regress_early'::text, 1::bigint;
    PERFORM 1 / 0;
END $$;
SELECT task, affected FROM usher.run_maintenance(7) WHERE task LIKE 'regress%' OR task LIKE 'audit_part%' OR task LIKE 'booking%';
SELECT * FROM regress_upkeep.failing();
-- what is counted goes with its extension
SELECT usher.unregister_extension('regress_upkeep');
SELECT * FROM regress_upkeep.failing();
ROLLBACK;
-- a cancel is no failure of a step: it ends the whole
BEGIN;
CREATE FUNCTION regress_upkeep.upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint) LANGUAGE sql AS $$
    SELECT u.task, u.affected FROM usher.upkeep_step('regress_slow', 'SELECT 1 FROM pg_sleep(60)', max_rows) AS u
$$;
SELECT usher.register_extension('Upkeep', name => 'regress_upkeep', schema_name => 'regress_upkeep', hooks => '{"upkeep": "upkeep"}',
    declined_hooks => '{self_check,configuration,metrics,health,export,erase}');
SET LOCAL statement_timeout = '500ms';
\set VERBOSITY sqlstate
SELECT * FROM usher.run_maintenance();
\set VERBOSITY terse
ROLLBACK;

-- Months of the audit log. Partitions of the DBA's, whatever their names, are as good as ours.
BEGIN;
CREATE FUNCTION regress_upkeep.month(ahead integer) RETURNS timestamptz LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
    SELECT date_trunc('month', now()) + make_interval(months => ahead)
$$;
CREATE FUNCTION regress_upkeep.maintain() RETURNS TABLE (task text, affected bigint, coverage text[]) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL client_min_messages = error; -- the warning names the month
    RETURN QUERY SELECT m.task, m.affected, NULL::text[] FROM usher.run_maintenance() AS m WHERE m.affected IS NULL;
    coverage := ARRAY(SELECT usher._audit_month_coverage(regress_upkeep.month(a)) FROM generate_series(0, 3) AS a);
    RETURN NEXT;
    SET LOCAL client_min_messages = warning;
END $$;
-- gives the rows of all months back to the default partition, as if there had been no upkeep yet
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT i.inhrelid FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usher.audit_logs'::regclass AND c.relname ~ '^audit_logs_[0-9]+_[0-9]+$' LOOP
        EXECUTE format('ALTER TABLE usher.audit_logs DETACH PARTITION %s', part);
        EXECUTE format('INSERT INTO usher.audit_logs_default SELECT * FROM %s', part);
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
    EXECUTE format('CREATE TABLE regress_upkeep.quarter PARTITION OF usher.audit_logs FOR VALUES FROM (%L) TO (%L)',
                   regress_upkeep.month(1), regress_upkeep.month(4));
END $$;
SAVEPOINT quarter;
SELECT m.task, m.affected FROM usher.run_maintenance() AS m WHERE m.task LIKE 'audit_partitions_made%';
SELECT usher._audit_month_coverage(now()) AS now, usher._audit_month_coverage(regress_upkeep.month(2)) AS ahead;
SELECT count(*) FROM usher.check_configuration() WHERE finding LIKE '%next month%';
ROLLBACK TO quarter;
-- one that covers a part of a month: that month fails, the others are made
DROP TABLE regress_upkeep.quarter;
DO $$
BEGIN
    EXECUTE format('CREATE TABLE regress_upkeep.days PARTITION OF usher.audit_logs FOR VALUES FROM (%L) TO (%L)',
                   regress_upkeep.month(1) + interval '3 days', regress_upkeep.month(1) + interval '5 days');
END $$;
SELECT task, affected, coverage FROM regress_upkeep.maintain();
SELECT extension, task, failing FROM regress_upkeep.failing();
SELECT finding FROM usher.check_configuration() WHERE finding LIKE '%next month%';
ROLLBACK TO quarter;
-- rows in the default partition that do not fit what the log demands now
DROP TABLE regress_upkeep.quarter;
SELECT usher.log_event('regress.misfit') IS NOT NULL AS logged;
ALTER TABLE usher.audit_logs ADD CONSTRAINT regress_fit CHECK (event_type <> 'regress.misfit') NOT VALID;
SELECT task, affected, coverage FROM regress_upkeep.maintain();
ROLLBACK TO quarter;
-- a table that has the name of a month, and is no partition
DROP TABLE regress_upkeep.quarter;
DO $$
BEGIN
    EXECUTE format('CREATE TABLE usher.%I ()', 'audit_logs_' || to_char(regress_upkeep.month(2) AT TIME ZONE 'UTC', 'YYYY_MM'));
END $$;
SELECT task, affected, coverage FROM regress_upkeep.maintain();
ROLLBACK;
-- what a warning says
BEGIN;
ALTER TABLE usher.login_challenges RENAME TO login_challenges_away;
SELECT task, affected FROM usher.run_maintenance() WHERE affected IS NULL;
ROLLBACK;

-- Sealing goes on until all is sealed, however few rows a block has
SELECT failed FROM regress_upkeep.run();
SELECT count(usher.log_event('regress.sealed')) FROM generate_series(1, 35);
SELECT FROM pg_sleep(1.2);
SELECT affected >= 35 AS all_sealed FROM usher.run_maintenance(10) WHERE task = 'audit_rows_sealed';
SELECT max(row_count) AS rows, count(*) >= 4 AS blocks, bool_and(is_intact) AS intact
FROM usher.verify_audit_chain(now() - interval '10 seconds') WHERE row_count > 0 AND row_count <= 10;
SELECT failed FROM regress_upkeep.run();

-- Old events, sessions and login attempts go to an archive first, without their secrets; while it does not take them, they stay
BEGIN;
CREATE TABLE regress_upkeep.archived (source text, archived jsonb);
CREATE FUNCTION regress_upkeep.archive(source regclass, rows jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_upkeep.archived SELECT source::text, r.value FROM jsonb_array_elements(rows) AS r;
    IF source = 'usher.events'::regclass THEN RAISE EXCEPTION 'the tape is full'; END IF;
END $$;
SET LOCAL client_min_messages = error;
SELECT user_id AS old FROM usher.import_user('old@upkeep.example') \gset
INSERT INTO usher.events (event, payload, created_at) VALUES ('regress.old', '{"a": 1}', now() - interval '900 days');
INSERT INTO usher.login_attempts (email, success, failure_reason, attempted_at)
VALUES ('old@upkeep.example', false, 'regress', now() - interval '900 days');
INSERT INTO usher.sessions (user_id, refresh_token_hash, rotation_key, device, expires_at, absolute_expires_at)
VALUES (:'old', sha256('a'), sha256('b'), '{"name": "an old phone"}', now() - interval '900 days', now() - interval '900 days');
CREATE FUNCTION regress_upkeep.removed() RETURNS TABLE (task text, affected bigint) LANGUAGE sql AS $$
    SELECT m.task, m.affected FROM usher.run_maintenance() AS m
    WHERE m.task ~ '^(events|sessions|login_attempts)_removed' ORDER BY m.task COLLATE "C"
$$;
SET LOCAL usher.archive_function = 'regress_upkeep.no_such';
SELECT * FROM regress_upkeep.removed();
SET LOCAL usher.archive_function = 'regress_upkeep.archive';
SELECT * FROM regress_upkeep.removed();
SELECT source, archived ->> 'email' AS email, archived -> 'device' AS device,
       archived ?| '{refresh_token_hash,parent_token_hash,rotation_key}' AS secrets
FROM regress_upkeep.archived ORDER BY source;
SET LOCAL usher.archive_function = '';
SELECT * FROM regress_upkeep.removed();
SELECT count(*) AS nothing_more FROM regress_upkeep.archived HAVING count(*) <> 2;
ROLLBACK;
DROP SCHEMA regress_upkeep CASCADE;

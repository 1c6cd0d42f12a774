-- What somebody watches: each metric says what it is about, sizes are noted once a day, and growth is told from them.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- Each metric of core has its help, and a name has one
SELECT DISTINCT m.name FROM usher._metrics() AS m WHERE m.name NOT IN (SELECT h.name FROM usher._metric_help() AS h) ORDER BY 1;
SELECT m.name FROM usher.metrics() AS m WHERE m.name LIKE 'usher\_%' GROUP BY m.name HAVING count(DISTINCT m.help) > 1;
-- … and what has help is measured by some function
SELECT h.name FROM usher._metric_help() AS h WHERE NOT EXISTS (
    SELECT FROM pg_proc AS p WHERE p.pronamespace = 'usher'::regnamespace AND p.proname ~ '^(_[a-z]*_?)?metrics$'
        AND p.prosrc LIKE '%''' || h.name || '''%');
-- No series comes twice
SELECT m.name, m.labels FROM usher.metrics() AS m GROUP BY 1, 2 HAVING count(*) > 1;
-- Partitions are counted with their table
SELECT labels ->> 'table' AS of_table, value > 0 AS has_size FROM usher.metrics()
WHERE name = 'usher_table_bytes' AND labels ->> 'table' LIKE 'audit\_logs%';
SELECT count(*) FILTER (WHERE m.labels ->> 'table' LIKE '%\_inval') AS of_caches, bool_and(m.value >= 0) AS sane
FROM usher.metrics() AS m WHERE m.name IN ('usher_table_bytes', 'usher_table_rows');
-- No copy of the log, no standby, no pg_stat_statements here
SELECT DISTINCT m.name FROM usher.metrics() AS m WHERE m.name ~ '^usher_(archive|standby|replay|replication|statement)' ORDER BY 1;
SELECT m.name, m.value FROM usher.metrics() AS m WHERE m.name IN ('usher_in_recovery', 'usher_master_key_problem') ORDER BY 1;

-- Sizes of a day are noted once
BEGIN;
DELETE FROM usher.table_sizes;
SELECT usher._note_table_sizes() > 100 AS noted;
SELECT usher._note_table_sizes() AS noted_again;
SELECT task, affected FROM usher.run_maintenance(1) WHERE task LIKE 'table\_sizes%';
-- One day is no growth yet
SELECT count(*) > 100 AS tables, count(since) AS known FROM usher.table_growth();

-- Growth is told from the first day that is noted within the time asked about
UPDATE usher.table_sizes AS t SET day = t.day - 10, bytes = greatest(t.bytes - 10 * 8192, 0), row_count = greatest(t.row_count - 70, 0);
INSERT INTO usher.table_sizes SELECT day + 6, schema_name, table_name, bytes + 4 * 8192, row_count FROM usher.table_sizes;
CREATE TEMP TABLE grown AS SELECT * FROM usher.table_growth();
SELECT (now() AT TIME ZONE 'UTC')::date - since AS days, bytes_per_day FROM grown WHERE table_name = 'users' AND schema_name = 'usher';
SELECT (now() AT TIME ZONE 'UTC')::date - since AS days, bytes_per_day FROM usher.table_growth(5) WHERE table_name = 'users' AND schema_name = 'usher';
SELECT count(*) AS partitions FROM grown WHERE table_name LIKE 'audit\_logs\_%';
SELECT array_agg(bytes_per_day) = array_agg(bytes_per_day ORDER BY bytes_per_day DESC NULLS LAST) AS fastest_first FROM (TABLE grown) AS g;
-- What is older than 400 days is forgotten
UPDATE usher.table_sizes SET day = day - 400;
SELECT usher._note_table_sizes() > 100 AS noted;
SELECT min(day) >= current_date - 401 AS old_ones_are_gone FROM usher.table_sizes;
ROLLBACK;
SELECT * FROM usher.table_growth(0);
SELECT * FROM usher.table_growth(401);
SELECT * FROM usher.table_growth(NULL);

-- Slow statements: none without pg_stat_statements, bad input in any case
SELECT * FROM usher.slow_statements();
SELECT * FROM usher.slow_statements(0);

-- Who may ask: levels
CREATE ROLE regress_watching_gateway;
CREATE ROLE regress_watching_auditor;
SELECT usher.grant_access('regress_watching_gateway', 'gateway'), usher.grant_access('regress_watching_auditor', 'auditor') \g /dev/null
SELECT r.role, f.function, has_function_privilege(r.role, 'usher.' || f.function, 'EXECUTE')
FROM (VALUES ('regress_watching_gateway'), ('regress_watching_auditor')) AS r (role),
    (VALUES ('metrics()'), ('table_growth(integer)'), ('slow_statements(integer)')) AS f (function) ORDER BY 1, 2;
SELECT usher.revoke_access('regress_watching_gateway'), usher.revoke_access('regress_watching_auditor') \g /dev/null
DROP ROLE regress_watching_gateway, regress_watching_auditor;

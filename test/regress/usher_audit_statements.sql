-- The audit log under statements of every kind, and values at the edge of what can be written: the change itself never
-- fails.
\set VERBOSITY terse
\pset null '(null)'
SET client_min_messages = warning;
SELECT set_config('default_toast_compression', CASE WHEN 'lz4' = ANY (enumvals) THEN 'lz4' ELSE 'pglz' END, false)
FROM pg_settings WHERE name = 'default_toast_compression' \gset
CREATE SCHEMA annals;
CREATE ROLE regress_annals_stranger;
-- what the log says of a table, in order; statement counts from 1 within the transaction
CREATE FUNCTION annals.log(relation text)
    RETURNS TABLE (action text, resource_id text, old_values jsonb, new_values jsonb, statement bigint)
    LANGUAGE sql AS $$
        SELECT action, resource_id, old_values, new_values,
               dense_rank() OVER (PARTITION BY transaction_id ORDER BY statement_id)
        FROM usher.audit_logs WHERE resource_type = relation ORDER BY id $$;

-- One statement that inserts, updates and deletes is one statement; so is one with data-modifying WITH
CREATE TABLE annals.stock (id integer PRIMARY KEY, n integer);
SELECT usher.enable_audit('annals.stock');
INSERT INTO annals.stock VALUES (1, 10), (2, 20);
BEGIN;
MERGE INTO annals.stock s USING (VALUES (1, 11), (2, NULL), (3, 30)) AS w (id, n) ON w.id = s.id
    WHEN MATCHED AND w.n IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET n = w.n
    WHEN NOT MATCHED THEN INSERT VALUES (w.id, w.n);
WITH gone AS (DELETE FROM annals.stock WHERE id = 3 RETURNING *),
    made AS (INSERT INTO annals.stock SELECT id + 1, n FROM gone)
    UPDATE annals.stock SET n = 12 WHERE id = 1;
INSERT INTO annals.stock VALUES (1, 0), (5, 50) ON CONFLICT (id) DO UPDATE SET n = 13;
COMMIT;
SELECT action, resource_id, old_values, new_values, statement FROM annals.log('annals.stock') OFFSET 2;

-- What the row triggers of a statement do comes after the statement, to the same row and to others
CREATE TABLE annals.growing (id integer PRIMARY KEY, n integer);
CREATE TABLE annals.sums (name text PRIMARY KEY, total integer);
CREATE FUNCTION annals.grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE annals.sums SET total = total + 1;
    IF NEW.n < 3 THEN UPDATE annals.growing SET n = NEW.n + 1 WHERE id = NEW.id; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER grow AFTER INSERT OR UPDATE ON annals.growing FOR EACH ROW EXECUTE FUNCTION annals.grow();
INSERT INTO annals.sums VALUES ('changes', 0);
SELECT usher.enable_audit('annals.growing'), usher.enable_audit('annals.sums');
INSERT INTO annals.growing VALUES (1, 1), (2, 2);
BEGIN;
UPDATE annals.growing SET n = 1 WHERE id = 1;
UPDATE annals.growing SET n = 9 WHERE id = 1;
COMMIT;
SELECT action, resource_id, old_values, new_values FROM annals.log('annals.growing');
SELECT (SELECT jsonb_object_agg(id, n) FROM annals.growing) AS rows,
       usher.row_as_of('annals.growing', '1', now()) AS one, usher.row_as_of('annals.growing', '2', now()) AS two;
SELECT old_values -> 'total' AS old, new_values -> 'total' AS new
FROM annals.log('annals.sums') WHERE action = 'update';

-- Inheritance: rows count as those of the table that the statement names; tables without columns and without a key
CREATE TABLE annals.papers (id integer, title text);
CREATE TABLE annals.journals (issue integer) INHERITS (annals.papers);
CREATE TABLE annals.nothing ();
SELECT usher.enable_audit('annals.papers'), usher.enable_audit('annals.journals'),
       usher.enable_audit('annals.nothing');
INSERT INTO annals.journals VALUES (1, 'a', 2);
UPDATE annals.papers SET title = 'b';
INSERT INTO annals.nothing DEFAULT VALUES;
DELETE FROM annals.nothing;
SELECT action, resource_type, old_values, new_values FROM usher.audit_logs
    WHERE resource_type IN ('annals.papers', 'annals.journals', 'annals.nothing') ORDER BY id;

-- A transaction that is prepared: the change and its audit row wait, and come, together
BEGIN;
UPDATE annals.stock SET n = 99 WHERE id = 1;
PREPARE TRANSACTION 'regress_audit';
SELECT n FROM annals.stock WHERE id = 1;
SELECT count(*) FROM annals.log('annals.stock') WHERE new_values = '{"n": 99}';
SELECT usher._seal_audit_log() AS not_sealed_meanwhile;
COMMIT PREPARED 'regress_audit';
SELECT count(*) FROM annals.log('annals.stock') WHERE new_values = '{"n": 99}';
BEGIN;
DELETE FROM annals.stock;
PREPARE TRANSACTION 'regress_audit';
ROLLBACK PREPARED 'regress_audit';
SELECT count(*) FROM annals.log('annals.stock') WHERE old_values = '{"n": 99, "id": 1}';

-- A role that has nothing of usher, under row-level security, through a view, in a savepoint that fails, and with a
-- cursor
GRANT USAGE ON SCHEMA annals TO regress_annals_stranger;
GRANT ALL ON annals.stock TO regress_annals_stranger;
ALTER TABLE annals.stock ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON annals.stock USING (n < 60);
CREATE VIEW annals.low WITH (security_invoker = true) AS SELECT * FROM annals.stock WHERE n < 55 WITH CHECK OPTION;
GRANT ALL ON annals.low TO regress_annals_stranger;
SET ROLE regress_annals_stranger;
SELECT count(*) FROM usher.audit_logs;
UPDATE annals.low SET n = n + 1;
DO $$ BEGIN
    BEGIN
        UPDATE annals.low SET n = n + 100;
    EXCEPTION WHEN OTHERS THEN
        UPDATE annals.low SET n = n - 1;
    END;
END $$;
BEGIN;
DECLARE each_row CURSOR FOR SELECT * FROM annals.stock WHERE id = 5;
FETCH each_row;
DELETE FROM annals.stock WHERE CURRENT OF each_row;
COMMIT;
RESET ROLE;
SELECT action, resource_id, old_values, new_values FROM usher.audit_logs
    WHERE resource_type = 'annals.stock' AND actor_name = 'regress_annals_stranger' ORDER BY id;

-- Types that have no like in JSON, and types of the application's own
CREATE TYPE annals.words AS RANGE (subtype = text);
CREATE DOMAIN annals.few AS text[] CHECK (cardinality(VALUE) < 3);
CREATE TYPE annals.mixed AS (a annals.few, r annals.words, x xml, b bytea, t timestamptz, f float8, n numeric,
                             j jsonb, lone json);
CREATE DOMAIN annals.domain AS annals.mixed;
CREATE TABLE annals.kinds (id integer PRIMARY KEY, m annals.mixed, ds annals.domain[], w annals.words, lsn pg_lsn,
    mac macaddr8, ov oidvector, tq tsquery, jp jsonpath, sn pg_snapshot, poly polygon, circ circle, reg regclass,
    tid tid, cidr cidr, dr daterange, drs daterange[], dd date[],
    js json[], inf numeric, mr tstzmultirange, acl aclitem[], bits bit(3)[], ym interval);
SELECT usher.enable_audit('annals.kinds');
INSERT INTO annals.kinds
VALUES (1, ROW('{a,b}', '[a,b)', '<x/>', '\xff', 'infinity', 'NaN', '-Infinity', '{"a": []}', '"\ud800"'),
    ARRAY[ROW(NULL, NULL, NULL, NULL, '4713-01-01 00:00+00 BC', '-Infinity', 'NaN', NULL, '1e999999')::annals.mixed,
          NULL]::annals.domain[],
    'empty', '16/B374D848', '08:00:2b:01:02:03:04:05', '1 2', 'a & b', '$.a', '10:20:10,14',
    '((0,0),(1,1))', '<(0,0),Infinity>', 'pg_class', '(0,1)', '10/8', '[-infinity,infinity]', '{"[2020-01-01,)"}',
    '{infinity,-infinity,5874897-12-31}', ARRAY['{"a": 1}', '"\udc00"', '1e-999999']::json[],
    'Infinity', '{(-infinity,infinity)}', NULL, '{101}', '-178000000 years');
SELECT e.key, e.value
FROM usher.audit_logs l, jsonb_each(l.new_values) e WHERE l.resource_type = 'annals.kinds' ORDER BY e.key COLLATE "C";
UPDATE annals.kinds SET m.f = 1, ds = NULL;
DELETE FROM annals.kinds;
SELECT action, resource_id, old_values #> '{m,f}' AS old, new_values #> '{m,f}' AS new FROM annals.log('annals.kinds');

-- Arrays of NULLs, and composite values of them, take no room in a table and much in JSON; deep JSON, a row of 300 MB,
-- a key of 10 MB
DO $$
BEGIN
    EXECUTE 'CREATE TYPE annals.broad AS ('
        || (SELECT string_agg(format('column_%s integer', g), ', ') FROM generate_series(1, 1500) g) || ')';
END
$$;
CREATE TABLE annals.edges (id integer PRIMARY KEY, nulls integer[], broad annals.broad[], deep json, deepb jsonb);
SELECT usher.enable_audit('annals.edges');
INSERT INTO annals.edges (id, nulls) VALUES (1, array_fill(NULL::integer, ARRAY[20000000]));
INSERT INTO annals.edges (id, broad) SELECT 2, array_agg(NULL::annals.broad) FROM generate_series(1, 3);
INSERT INTO annals.edges (id, broad)
VALUES (3, array_fill(('(' || repeat(',', 1499) || ')')::annals.broad, ARRAY[36000]));
INSERT INTO annals.edges (id, deep, deepb)
VALUES (4, (repeat('[', 5000) || repeat(']', 5000))::json, (repeat('[', 5000) || repeat(']', 5000))::jsonb);
SELECT resource_id, new_values -> 'nulls' AS nulls,
       CASE WHEN jsonb_typeof(new_values -> 'broad') = 'object' THEN new_values -> 'broad' END AS broad,
    length(new_values ->> 'deep') AS deep, length(new_values ->> 'deepb') AS deepb FROM annals.log('annals.edges');
DO $$
BEGIN
    EXECUTE 'CREATE TABLE annals.heavy (id text, '
        || (SELECT string_agg(format('c%s text', g), ', ') FROM generate_series(1, 200) g) || ')';
END
$$;
SELECT usher.enable_audit('annals.heavy', key => '{id}');
CREATE TABLE annals.source AS SELECT repeat('k', 10000000) AS k, repeat('x', 1500000) AS x;
DO $$ BEGIN EXECUTE 'INSERT INTO annals.heavy SELECT k' || repeat(', x', 200) || ' FROM annals.source'; END $$;
SELECT left(resource_id, 4) AS id, key,
       (SELECT count(*) FROM jsonb_each(new_values) e WHERE jsonb_typeof(e.value) = 'string') BETWEEN 60 AND 70 AS fit,
    (SELECT count(*) FROM jsonb_object_keys(new_values)) AS keys
FROM usher.audit_logs WHERE resource_type = 'annals.heavy';

SET client_min_messages = error;
DROP SCHEMA annals CASCADE;
DROP ROLE regress_annals_stranger;

-- The audit log: rows of any type, what is left out, who may read and change it, questions to it, its chain of seals.
SET client_min_messages = warning;
\pset null '(null)'
\set SHOW_CONTEXT never
SET timezone = 'America/New_York';
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = 0;
SELECT set_config('default_toast_compression', CASE WHEN 'lz4' = ANY (enumvals) THEN 'lz4' ELSE 'pglz' END, false)
FROM pg_settings WHERE name = 'default_toast_compression' \gset
CREATE SCHEMA ledger;
CREATE ROLE regress_audit_clerk;
CREATE ROLE regress_audit_auditor;
SELECT usher.grant_access('regress_audit_clerk', 'application');
SELECT usher.grant_access('regress_audit_auditor', 'auditor');
-- what the log says of a table, in order
CREATE FUNCTION ledger.log(relation text)
    RETURNS TABLE (action text, resource_id text, old_values jsonb, new_values jsonb)
    LANGUAGE sql AS $$
        SELECT action, resource_id, old_values, new_values
        FROM usher.audit_logs WHERE resource_type = relation ORDER BY id
    $$;

-- Insert, update, delete and truncate; an update tells changed columns only, and nothing when nothing changed
CREATE TABLE ledger.items (id integer PRIMARY KEY, name text, amount numeric);
GRANT USAGE ON SCHEMA ledger TO regress_audit_clerk;
GRANT ALL ON ledger.items TO regress_audit_clerk;
SELECT usher.enable_audit('ledger.items');
INSERT INTO ledger.items VALUES (1, 'one', 1.50), (2, NULL, 'NaN'), (3, 'three', '-Infinity');
UPDATE ledger.items SET amount = 1.5 WHERE id = 1;
UPDATE ledger.items SET name = name;
UPDATE ledger.items SET id = 20, name = 'twenty' WHERE id = 2;
UPDATE ledger.items SET name = NULL WHERE id = 99;
INSERT INTO ledger.items VALUES (1, 'again', 7), (4, 'four', 4) ON CONFLICT (id) DO UPDATE SET name = excluded.name;
DELETE FROM ledger.items WHERE id > 2;
WITH gone AS (DELETE FROM ledger.items RETURNING *) INSERT INTO ledger.items SELECT id + 100, name, amount FROM gone;
TRUNCATE ledger.items;
SELECT * FROM ledger.log('ledger.items');
SELECT DISTINCT event_type, source, severity, result, actor_id, actor_name = current_user AS by_role,
       database_user = session_user AS by_user, key FROM usher.audit_logs
WHERE resource_type = 'ledger.items' AND action IN ('truncate', 'delete') ORDER BY event_type, key;
COPY ledger.items FROM stdin;
7	copied	7
\.
SELECT * FROM ledger.log('ledger.items') OFFSET 12;

-- A change that is rolled back leaves nothing
BEGIN;
DELETE FROM ledger.items;
SAVEPOINT before;
INSERT INTO ledger.items VALUES (8, 'eight', 8);
ROLLBACK TO before;
COMMIT;
SELECT action FROM ledger.log('ledger.items') OFFSET 13;

-- Rows that are restored or replicated have their audit rows already
SET session_replication_role = replica;
INSERT INTO ledger.items VALUES (9, 'replica', 9);
RESET session_replication_role;
SET usher.restoring = on;
INSERT INTO ledger.items VALUES (10, 'restored', 10);
RESET usher.restoring;
SELECT count(*) FROM ledger.log('ledger.items');

-- Request context and identity of the statement; whoever changes rows need not be allowed to write the log
BEGIN;
SET LOCAL ROLE regress_audit_clerk;
SELECT usher.set_request_context('192.0.2.7', 'curl/8', 'order-42');
UPDATE ledger.items SET amount = 0;
COMMIT;
SELECT actor_id, actor_name, client_ip, user_agent, correlation_id, statement_id IS NOT NULL AS has_statement,
    transaction_id IS NOT NULL AS has_transaction FROM usher.audit_logs WHERE correlation_id = 'order-42' ORDER BY id;

-- Types: values as to_jsonb() makes them, whatever the settings of the session
CREATE DOMAIN ledger.cents AS integer CHECK (VALUE >= 0);
CREATE TYPE ledger.pair AS (a integer, b text);
CREATE TYPE ledger.nest AS (p ledger.pair, list numeric[]);
CREATE TYPE ledger.mood AS ENUM ('so so', 'good');
CREATE TABLE ledger.kinds (
    k uuid, d text, PRIMARY KEY (k, d),
    i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric(10,2), b boolean, c char(4), ch "char", nm name,
    o oid, dt date, t time, tz timetz, ts timestamp, tstz timestamptz, iv interval, by bytea, x xml, j json, jb jsonb,
    dom ledger.cents, en ledger.mood, comp ledger.pair, nested ledger.nest, comps ledger.pair[],
    ia integer[], ta text[], ba bytea[], r int4range, tr tstzrange, mr int8multirange, net inet, bits varbit, pt point,
    tsv tsvector, gen integer GENERATED ALWAYS AS (i2 * 2) STORED, gone text, "Odd ""name""" text);
ALTER TABLE ledger.kinds DROP COLUMN gone;
SELECT usher.enable_audit('ledger.kinds');
INSERT INTO ledger.kinds VALUES ('00000000-0000-7000-8000-00000000000a', 'plain',
    2, 9007199254740993, 0.1, 1e300, 12.30, true, 'ab', 'z', 'a_name', 4294967295,
    '2024-02-29', '12:34:56.789', '12:34:56+02', '2024-02-29 12:00', '2024-07-01 12:00+00', '1 mon 2 days 03:00',
    '\x00ff', '<a>&amp;</a>', '{"a": [1, 2.50]}', '[1, {"a": null}]', 5, 'good', (1, 'x'), ((2, NULL), '{1.0,NaN}'),
    '{"(1,a)","(,)"}', '{{1,2},{3,NULL}}', '{a,NULL,"b,c"}', '{"\\x01"}', '[1,5)', '["2024-07-01 00:00+00",)',
    '{[1,2),[5,9)}', '192.0.2.0/24', B'101', '(1,2)', 'a b');
INSERT INTO ledger.kinds (k, d, f4, f8, n, dt, ts, tstz, j, jb, c, ch, ia, r, x, "Odd ""name""")
    VALUES ('00000000-0000-7000-8000-00000000000b', 'odd', 'NaN', '-Infinity', 'NaN', 'infinity',
            '-infinity', 'infinity', '{"a": 1, "a": "\u0000"}', '"scalar"', '', '\377', '[-1:0]={1,2}', 'empty', '',
            'ünïcode "quoted" \ back');
SELECT resource_id, key FROM usher.audit_logs WHERE resource_type = 'ledger.kinds' ORDER BY id;
SELECT e.key, e.value FROM usher.audit_logs l, jsonb_each(l.new_values) e
WHERE l.resource_type = 'ledger.kinds' AND l.resource_id LIKE '%plain%' ORDER BY e.key COLLATE "C";
SELECT e.key, e.value FROM usher.audit_logs l, jsonb_each(l.new_values) e
    WHERE l.resource_type = 'ledger.kinds' AND l.resource_id LIKE '%odd%' AND e.value <> 'null'
    ORDER BY e.key COLLATE "C";
-- the binary form is what the server itself would make
SELECT count(*) FILTER (WHERE new_values::text::jsonb = new_values AND new_values @> new_values) AS sound, count(*)
FROM usher.audit_logs
    WHERE resource_type = 'ledger.kinds';
-- a key whose text depends on settings is found by whoever has others than the log
CREATE TABLE ledger.spans (days daterange, times tstzrange, amount integer, PRIMARY KEY (days, times));
SELECT usher.enable_audit('ledger.spans');
INSERT INTO ledger.spans VALUES ('[2026-02-01,2026-02-03)', '[2026-02-01 12:00,2026-02-01 13:00)', 1);
SELECT resource_id FROM usher.audit_logs WHERE resource_type = 'ledger.spans';
SELECT action, new_values ->> 'amount' AS amount FROM usher.row_history('ledger.spans',
    '{"days": "[01.02.2026,03.02.2026)", "times": "[2026-02-01 12:00,2026-02-01 13:00)"}');
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;
SELECT a.key AS unlike_to_jsonb, a.value, b.value
    FROM usher.audit_logs l
        JOIN ledger.kinds whole ON l.resource_id LIKE '%plain%' AND whole.d = 'plain', jsonb_each(l.new_values) a
    JOIN LATERAL jsonb_each(to_jsonb(whole)) b USING (key)
    WHERE l.resource_type = 'ledger.kinds' AND a.value <> b.value;
UPDATE ledger.kinds SET f8 = 2, n = n, comp = (1, 'y'), ia = '{{1,2},{3,NULL}}', dom = NULL WHERE d = 'plain';
SELECT old_values, new_values FROM usher.audit_logs WHERE resource_type = 'ledger.kinds' AND action = 'update';

-- many dates and times, some of them again, some with the same bits in another type; times with a zone are values of
-- their own
CREATE TABLE ledger.times (id integer PRIMARY KEY, dt date, t time, tz timetz, ts timestamp, tstz timestamptz,
                           ts2 timestamp, tstz2 timestamptz);
SELECT usher.enable_audit('ledger.times');
INSERT INTO ledger.times
    SELECT i, date '2000-01-01' + i % 50, time '00:00' + i % 50 * interval '1 microsecond',
           timetz '00:00+01' + i % 7 * interval '1 hour', timestamp '2000-01-01' + i % 50 * interval '1 microsecond',
           timestamptz '2000-01-01 00:00+00' + i % 50 * interval '1 microsecond',
        timestamp '2024-07-01' + i % 3 * interval '1 day', timestamptz '2024-07-01 12:00+02' - i * interval '1 month'
    FROM generate_series(1, 500) i;
SELECT count(*) AS rows, count(*) FILTER (WHERE l.new_values - 'tz' <> to_jsonb(whole) - 'tz') AS unlike_to_jsonb,
        count(*) FILTER (WHERE (l.new_values ->> 'tz')::timetz <> whole.tz) AS another_time
    FROM usher.audit_logs l JOIN ledger.times whole ON whole.id::text = l.resource_id
    WHERE l.resource_type = 'ledger.times';

-- Wide rows: more keys than one stride of the binary form, and as many columns as a table can have
DO $$ BEGIN
    EXECUTE 'CREATE TABLE ledger.wide ('
        || (SELECT string_agg('c' || g || ' integer', ', ') FROM generate_series(1, 1600) g) || ')';
END $$;
SELECT usher.enable_audit('ledger.wide', key => '{c1,c1600}');
INSERT INTO ledger.wide (c1, c33, c64, c777, c1600) VALUES (1, 33, 64, 777, 1600);
UPDATE ledger.wide SET c33 = 34, c1600 = NULL;
SELECT key, (SELECT count(*) FROM jsonb_object_keys(new_values)) AS keys, new_values -> 'c33' AS c33,
       new_values -> 'c777' AS c777, new_values -> 'c1600' AS c1600,
    new_values::text::jsonb = new_values AS sound
FROM usher.audit_logs WHERE resource_type = 'ledger.wide' ORDER BY id;

-- Large values: kept up to usher.audit_max_value, of larger ones the size; unchanged ones are not even read
CREATE TABLE ledger.large (id integer PRIMARY KEY, body text, raw bytea, n integer);
SELECT usher.enable_audit('ledger.large');
INSERT INTO ledger.large VALUES (1, repeat('x', 9 * 1024 * 1024), decode(repeat('00', 5 * 1024 * 1024), 'hex'), 0);
UPDATE ledger.large SET n = 1;
UPDATE ledger.large SET body = repeat('y', 100000);
SELECT action, old_values -> 'body' AS old_body, new_values -> 'raw' AS raw,
       length(new_values ->> 'body') AS body_length, new_values -> 'n' AS n
    FROM usher.audit_logs WHERE resource_type = 'ledger.large' ORDER BY id;

-- Exclude and redact; no key; unknown columns and relations
CREATE TABLE ledger.secrets (id integer, pin text, seen_at timestamptz, note text);
SELECT usher.enable_audit('ledger.secrets', exclude => '{seen_at}', redact => '{pin}');
INSERT INTO ledger.secrets VALUES (1, '1234', now(), 'a'), (2, NULL, now(), 'b');
UPDATE ledger.secrets SET seen_at = now() + interval '1 hour';
UPDATE ledger.secrets SET pin = '9999', note = 'c' WHERE id = 1;
SELECT * FROM ledger.log('ledger.secrets');
SELECT usher.enable_audit('ledger.secrets', exclude => '{id,pin,seen_at,note}');
DELETE FROM ledger.secrets;
SELECT * FROM ledger.log('ledger.secrets') OFFSET 3;
SELECT usher.enable_audit('ledger.secrets', exclude => '{nope}');
SELECT usher.enable_audit('ledger.secrets', key => ARRAY[NULL]);
SELECT usher.enable_audit('pg_user');
SELECT usher.enable_audit('usher.audit_logs');
SELECT usher.enable_audit('usher.audit_logs_default');
SELECT usher.enable_audit(NULL);
CREATE TEMPORARY TABLE scratch (id integer);
SELECT usher.enable_audit('scratch');
SELECT usher.disable_audit('ledger.secrets');
INSERT INTO ledger.secrets VALUES (3);
SELECT count(*) FROM ledger.log('ledger.secrets');

-- Columns that a primary key only carries along are no part of the key
CREATE TABLE ledger.carried (id integer, name text, is_active boolean NOT NULL DEFAULT true, deleted_at timestamptz,
                             PRIMARY KEY (id) INCLUDE (name));
SELECT usher.enable_audit('ledger.carried');
SELECT usher.enable_soft_delete('ledger.carried');
INSERT INTO ledger.carried VALUES (1, 'a');
UPDATE ledger.carried SET name = 'b';
DELETE FROM ledger.carried;
SELECT usher.restore_row('ledger.carried', '1');
SELECT action, old_values - 'deleted_at' AS old_values, new_values - 'deleted_at' AS new_values
FROM usher.row_history('ledger.carried', '1');

-- A table that changes its shape
CREATE TABLE ledger.shape (id integer PRIMARY KEY, a text);
SELECT usher.enable_audit('ledger.shape', redact => '{a}');
INSERT INTO ledger.shape VALUES (1, 'a');
ALTER TABLE ledger.shape ADD COLUMN b integer DEFAULT 5;
INSERT INTO ledger.shape VALUES (2, 'b', 6);
ALTER TABLE ledger.shape ALTER COLUMN b TYPE text;
UPDATE ledger.shape SET b = b || '!' WHERE id = 1;
ALTER TABLE ledger.shape RENAME COLUMN a TO renamed;
UPDATE ledger.shape SET renamed = 'secret';
ALTER TABLE ledger.shape DROP COLUMN renamed;
DELETE FROM ledger.shape;
SELECT * FROM ledger.log('ledger.shape');

-- Another primary key, of columns that do not change
CREATE TABLE ledger.rekeyed (a integer PRIMARY KEY, b integer NOT NULL);
SELECT usher.enable_audit('ledger.rekeyed');
INSERT INTO ledger.rekeyed VALUES (1, 2);
ALTER TABLE ledger.rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (b);
INSERT INTO ledger.rekeyed VALUES (3, 4);
SELECT resource_id, key FROM usher.audit_logs WHERE resource_type = 'ledger.rekeyed' ORDER BY id;

-- Partitions: by way of the table and by name; rows that move; a move that a trigger swallows
CREATE TABLE ledger.parts (id integer, region text, v integer, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE ledger.parts_north PARTITION OF ledger.parts FOR VALUES IN ('north');
CREATE TABLE ledger.parts_south (v integer, extra text, region text NOT NULL, id integer NOT NULL);
ALTER TABLE ledger.parts_south DROP COLUMN extra;
ALTER TABLE ledger.parts ATTACH PARTITION ledger.parts_south FOR VALUES IN ('south');
SELECT usher.enable_audit('ledger.parts');
INSERT INTO ledger.parts VALUES (1, 'north', 1), (2, 'south', 2), (3, 'north', 3);
INSERT INTO ledger.parts_south (id, region, v) VALUES (4, 'south', 4);
UPDATE ledger.parts SET region = 'south', v = v + 10 WHERE id = 1;
CREATE FUNCTION ledger.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE INSERT ON ledger.parts_south FOR EACH ROW EXECUTE FUNCTION ledger.swallow();
UPDATE ledger.parts SET region = CASE id WHEN 3 THEN 'south' ELSE region END, v = v + 100;
SELECT * FROM ledger.log('ledger.parts');

-- Foreign keys that act
CREATE TABLE ledger.parent (id integer PRIMARY KEY);
CREATE TABLE ledger.child (id integer PRIMARY KEY, parent_id integer
                               REFERENCES ledger.parent ON DELETE CASCADE ON UPDATE CASCADE);
SELECT usher.enable_audit('ledger.child');
INSERT INTO ledger.parent VALUES (1), (2);
INSERT INTO ledger.child VALUES (1, 1), (2, 2);
UPDATE ledger.parent SET id = 3 WHERE id = 1;
DELETE FROM ledger.parent;
SELECT * FROM ledger.log('ledger.child');

-- Triggers of one's own on the log: rows go the ordinary way
CREATE TABLE ledger.seen (n integer);
CREATE FUNCTION ledger.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger.seen VALUES (1);
    RETURN NEW;
END
$$;
BEGIN;
CREATE TRIGGER see AFTER INSERT ON usher.audit_logs FOR EACH ROW EXECUTE FUNCTION ledger.see();
INSERT INTO ledger.child (id) VALUES (11), (12);
UPDATE ledger.child SET parent_id = NULL;
SELECT count(*) FROM ledger.seen;
SELECT * FROM ledger.log('ledger.child') OFFSET 5;
ROLLBACK;

-- Nobody but the owner changes the log, and only auditors read it
SET ROLE regress_audit_auditor;
SELECT count(*) > 0 AS readable FROM usher.audit_logs;
DELETE FROM usher.audit_logs;
RESET ROLE;
GRANT ALL ON usher.audit_logs, usher.audit_logs_default TO regress_audit_auditor;
SET ROLE regress_audit_auditor;
UPDATE usher.audit_logs SET actor_name = 'nobody';
DELETE FROM usher.audit_logs_default;
TRUNCATE usher.audit_logs_default;
RESET ROLE;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON usher.audit_logs, usher.audit_logs_default
    FROM regress_audit_auditor;

-- Events of the application
SELECT usher.log_event('report.printed', '{"pages": 3}', 'notice', 'failure', 'report', 'r-1',
                       'out of paper') IS NOT NULL AS logged;
SELECT event_type, action, severity, source, result, resource_type, resource_id, event_data, error_message
FROM usher.audit_logs WHERE event_type = 'report.printed';
SELECT usher.log_event('');
SELECT usher.log_event(NULL);
SELECT usher.log_event(repeat('x', 101));
SELECT usher.log_event('a', '[]');
SELECT usher.log_event('a', '{}', 'loud');
SELECT usher.log_event('a', '{}', 'info', 'maybe');

-- Questions
SET ROLE regress_audit_clerk;
SELECT * FROM usher.search_audit();
SELECT * FROM usher.row_history('ledger.items', '1');
RESET ROLE;
SELECT action, resource_id FROM usher.search_audit(resource_type => 'ledger.child', max_rows => 2);
SELECT action, resource_id FROM usher.search_audit(resource_type => 'ledger.child', max_rows => 2,
    after => (SELECT min(id::text)::uuid FROM usher.search_audit(resource_type => 'ledger.child', max_rows => 2)));
SELECT action FROM usher.search_audit(correlation_id => 'order-42', resource_id => '9');
SELECT event_type FROM usher.search_audit(severity => 'notice', event_type => 'report.printed', result => 'failure',
                                          since => now() - interval '1 day', until => now() + interval '1 day');
SELECT count(*) FROM usher.search_audit(resource_type => 'ledger.child', until => now() - interval '1 day');
SELECT * FROM usher.search_audit(max_rows => 0);
SELECT action, old_values, new_values FROM usher.row_history('ledger.items', '1');
SELECT action, new_values FROM usher.row_history('ledger.parts', '{"id": 1, "region": "north"}');
SELECT * FROM usher.row_history('ledger.parts', '1');
SELECT * FROM usher.row_history('ledger.parts', '{}');
SELECT * FROM usher.row_history('ledger.secrets', '1');
SELECT * FROM usher.row_history('ledger.items', NULL);
CREATE TABLE ledger.moments (id integer PRIMARY KEY, v text, secret text, skipped text);
INSERT INTO ledger.moments VALUES (1, 'before the log', 's', 'x');
SELECT usher.enable_audit('ledger.moments', exclude => '{skipped}', redact => '{secret}');
SELECT clock_timestamp() AS t0 \gset
UPDATE ledger.moments SET v = 'first' WHERE id = 1;
INSERT INTO ledger.moments VALUES (2, 'new', 's', 'x');
SELECT clock_timestamp() AS t1 \gset
UPDATE ledger.moments SET v = 'second';
SELECT clock_timestamp() AS t2 \gset
DELETE FROM ledger.moments;
SELECT clock_timestamp() AS t3 \gset
INSERT INTO ledger.moments VALUES (1, 'anew', NULL, 'x');
SELECT i, usher.row_as_of('ledger.moments', '1', i_at) AS one,
       usher.row_as_of('ledger.moments', '{"id": 2}', i_at) AS two
    FROM (VALUES (0, :'t0'::timestamptz), (1, :'t1'), (2, :'t2'), (3, :'t3'), (4, clock_timestamp())) v (i, i_at);

-- Partitions of the log are made ahead, and rows that waited move into them
SELECT usher._maintain_audit_partitions(2) AS made, usher._maintain_audit_partitions(2) AS made_again;
SELECT count(*) FROM usher.audit_logs_default;
SELECT count(*) > 50 AS moved FROM usher.audit_logs;
SELECT count(*) AS partitions,
       count(*) FILTER (WHERE relname = 'audit_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')) AS this_month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usher.audit_logs'::regclass;
INSERT INTO ledger.child (id) VALUES (21);
SELECT * FROM ledger.log('ledger.child') OFFSET 5;

-- The chain of seals notices what was changed, removed or added
SELECT pg_sleep(1.1);
SELECT usher._seal_audit_log(20) AS sealed;
SELECT usher._seal_audit_log() > 0 AS sealed_more;
SELECT count(*) AS blocks, bool_and(row_count > 0) AS all_have_rows, bool_and(is_intact) AS all_intact,
       count(DISTINCT chain) AS chain_values FROM usher.verify_audit_chain();
BEGIN;
UPDATE usher.audit_logs SET actor_id = usher.uuid_v7() WHERE resource_type = 'ledger.items' AND action = 'truncate';
SELECT is_intact, problem FROM usher.verify_audit_chain() ORDER BY is_intact, problem;
ROLLBACK;
BEGIN;
DELETE FROM usher.audit_logs WHERE resource_type = 'ledger.items' AND action = 'truncate';
SELECT is_intact, regexp_replace(problem, '\d+', 'n', 'g') AS problem
FROM usher.verify_audit_chain() ORDER BY is_intact;
ROLLBACK;
BEGIN;
DELETE FROM usher.audit_seals WHERE seq = 1;
SELECT is_intact, problem FROM usher.verify_audit_chain() ORDER BY is_intact, problem;
ROLLBACK;
BEGIN;
UPDATE usher.audit_seals SET row_count = row_count + 1 WHERE seq = 1;
SELECT is_intact, problem FROM usher.verify_audit_chain() ORDER BY is_intact, problem;
ROLLBACK;
BEGIN;
INSERT INTO ledger.child (id) VALUES (22);
SELECT usher._seal_audit_log() AS not_beyond_open_transactions;
COMMIT;

-- Values of 100 MB, with generated, dropped and added columns beside them
CREATE TABLE ledger.big (id integer PRIMARY KEY, gone integer, t text, b bytea, twice integer
                             GENERATED ALWAYS AS (id * 2) STORED);
SELECT usher.enable_audit('ledger.big');
ALTER TABLE ledger.big DROP COLUMN gone;
INSERT INTO ledger.big (id, t, b)
VALUES (1, repeat('x', 100 * 1024 * 1024), decode(repeat('00', 10 * 1024 * 1024), 'hex'));
UPDATE ledger.big SET id = 2; -- the large values stay where they are
ALTER TABLE ledger.big ADD COLUMN later integer DEFAULT 7;
UPDATE ledger.big SET t = 'small', later = 8;
SELECT action, resource_id, CASE WHEN octet_length(old_values::text) < 400 THEN old_values END AS old,
       CASE WHEN octet_length(new_values::text) < 400 THEN new_values END AS new
    FROM ledger.log('ledger.big');

-- Months older than usher.audit_retention are archived and dropped; their seals stay as links of the chain
CREATE TABLE ledger.archived (month text, rows bigint);
CREATE FUNCTION ledger.archive(part regclass, since timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', part) INTO n;
    IF n > 1 THEN RAISE EXCEPTION 'the tape is full'; END IF;
    INSERT INTO ledger.archived VALUES (to_char(since AT TIME ZONE 'UTC', 'YYYY-MM'), n);
END $$;
SELECT usher._make_audit_partition('2001-02-01 00:00+00'), usher._make_audit_partition('2001-03-01 00:00+00'),
       usher._make_audit_partition('2001-03-01 00:00+00') AS again;
INSERT INTO usher.audit_logs (id, created_at, event_type, action) VALUES
    (usher._first_id_at('2001-02-10 00:00+00'), '2001-02-10 00:00+00', 'old.thing', 'thing'),
    (usher._first_id_at('2001-03-10 00:00+00'), '2001-03-10 00:00+00', 'old.thing', 'thing'),
    (usher._first_id_at('2001-03-11 00:00+00'), '2001-03-11 00:00+00', 'old.thing', 'thing');
SELECT usher._retire_audit_partitions() AS kept_for_ever;
SET usher.audit_retention = 400;
SET usher.audit_archive_function = 'ledger.no_such';
SELECT usher._retire_audit_partitions();
SET usher.audit_archive_function = 'ledger.archive';
SELECT usher._retire_audit_partitions();
SELECT * FROM ledger.archived;
SELECT usher._retire_audit_partitions() AS archive_failed;
RESET usher.audit_archive_function;
SELECT task, affected FROM usher.run_maintenance() WHERE task LIKE 'audit_partitions%';
SELECT usher._retire_audit_partitions() AS nothing_left;
SELECT count(*) FROM usher.audit_logs WHERE event_type = 'old.thing';
INSERT INTO usher.audit_logs (id, created_at, event_type, action)
VALUES (usher._first_id_at('2001-02-12 00:00+00'), '2001-02-12 00:00+00', 'old.thing', 'thing');
SELECT affected AS of_no_month FROM usher.run_maintenance() WHERE task = 'audit_rows_removed';
RESET usher.audit_retention;
-- A retired block can no longer be checked, but its place in the chain can
SELECT usher.log_event('regress.after_retirement') IS NOT NULL AS logged;
SELECT pg_sleep(1.1);
SELECT usher._seal_audit_log() > 0 AS sealed;
UPDATE usher.audit_seals SET retired_at = now() WHERE seq = 1;
DELETE FROM usher.audit_logs WHERE id < (SELECT until_id FROM usher.audit_seals WHERE seq = 1);
SELECT bool_and(is_intact) AS all_intact FROM usher.verify_audit_chain();
-- The chain can be turned off
SELECT pg_sleep(1.1);
SET usher.audit_chain = off;
SELECT affected FROM usher.run_maintenance() WHERE task = 'audit_rows_sealed';
RESET usher.audit_chain;

-- Reads are logged when that is wanted, in read-only transactions as well
SELECT usher.log_read('thing', '1');
SET usher.audit_reads = on;
BEGIN READ ONLY;
SELECT usher.log_read('report', 'turnover', '{"year": 2025}');
SELECT count(*) > 0 AS found FROM usher.search_audit(correlation_id => 'order-42');
INSERT INTO ledger.archived VALUES ('still read only', 0);
ROLLBACK;
BEGIN READ ONLY;
SELECT usher.log_read('report', 'turnover', '{"year": 2025}');
SELECT count(*) <= 1 AS listed FROM usher.list_users(max_rows => 1);
COMMIT;
SELECT user_id AS read_user FROM usher.register_user('read@regress.example', 'correct horse battery') \gset
SELECT count(*) FROM usher.get_user(:'read_user');
SELECT count(*) FROM usher.find_user('read@regress.example');
SELECT count(*) FROM usher.export_user(:'read_user');
SELECT action FROM usher.row_history('ledger.items', '99');
SELECT usher.row_as_of('ledger.moments', '1', now()) IS NULL AS row_as_of;
RESET usher.audit_reads;
SELECT event_type, resource_type, replace(resource_id, :'read_user', 'the user') AS resource_id, event_data
    FROM usher.audit_logs WHERE action = 'read' AND event_data IS DISTINCT FROM '{}' OR action = 'read'
        AND resource_id = :'read_user' ORDER BY id;
SELECT usher.log_read(NULL);

-- The trigger used by hand
CREATE TRIGGER wrong BEFORE INSERT ON ledger.secrets FOR EACH ROW EXECUTE FUNCTION usher.audit_change();
INSERT INTO ledger.secrets VALUES (1);
DROP TRIGGER wrong ON ledger.secrets;
CREATE TRIGGER wrong AFTER UPDATE ON ledger.secrets REFERENCING NEW TABLE AS n FOR EACH STATEMENT
    EXECUTE FUNCTION usher.audit_change();
UPDATE ledger.secrets SET id = 1;
DROP TRIGGER wrong ON ledger.secrets;
CREATE TRIGGER plain AFTER INSERT ON ledger.secrets REFERENCING NEW TABLE AS n FOR EACH STATEMENT
    EXECUTE FUNCTION usher.audit_change('no json');
INSERT INTO ledger.secrets VALUES (4);
SELECT * FROM ledger.log('ledger.secrets') OFFSET 3;

SET client_min_messages = error;
DROP SCHEMA ledger CASCADE;
SELECT usher.revoke_access('regress_audit_clerk'), usher.revoke_access('regress_audit_auditor');
DROP OWNED BY regress_audit_clerk, regress_audit_auditor;
DROP ROLE regress_audit_clerk, regress_audit_auditor;

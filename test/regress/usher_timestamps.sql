-- set_updated_at(): any column, both timestamp types, null and stored values, rows that must keep theirs.
SET client_min_messages = warning;
\pset null '(null)'
\set SHOW_CONTEXT never
CREATE SCHEMA clock;
CREATE TABLE clock.notes (id integer PRIMARY KEY, body text, updated_at timestamptz DEFAULT '2000-01-01', n integer);
SELECT usher.enable_updated_at('clock.notes');
INSERT INTO clock.notes VALUES (1, 'a'), (2, NULL), (4, repeat('long ', 5000));
INSERT INTO clock.notes VALUES (3, 'c', NULL, NULL);
SELECT id, updated_at = '2000-01-01' AS untouched FROM clock.notes ORDER BY id;
UPDATE clock.notes SET n = id;
SELECT id, updated_at > now() - interval '1 minute' AS recent, n, length(body) FROM clock.notes ORDER BY id;
BEGIN;
UPDATE clock.notes SET updated_at = '1999-01-01', n = 10 WHERE id = 1 RETURNING updated_at = now() AS is_now;
UPDATE clock.notes SET updated_at = NULL WHERE id IN (2, 3) RETURNING updated_at = now() AS is_now;
UPDATE clock.notes SET body = NULL WHERE id = 4 RETURNING updated_at = now() AS is_now, body, n;
INSERT INTO clock.notes
VALUES (1) ON CONFLICT (id) DO UPDATE SET body = 'upsert' RETURNING updated_at = now() AS is_now, body, n;
COMMIT;

-- A column added later, and dropped ones before it: rows of the former shape
CREATE TABLE clock.grown (gone text, id smallint, flag boolean, name text, gone2 integer, wide numeric);
INSERT INTO clock.grown VALUES ('g', 1, true, 'x', 5, 1.5), (NULL, 2, NULL, NULL, NULL, NULL);
ALTER TABLE clock.grown DROP COLUMN gone, DROP COLUMN gone2, ADD COLUMN touched timestamp;
SELECT usher.enable_updated_at('clock.grown', 'touched');
SET timezone = 'Asia/Tokyo';
BEGIN;
UPDATE clock.grown SET flag = false RETURNING id, flag, name, wide, touched = localtimestamp AS is_now;
UPDATE clock.grown SET flag = true RETURNING id, flag, name, wide, touched = localtimestamp AS is_now;
COMMIT;
RESET timezone;

-- Two columns of one table; a name as long as names can be; a domain; fixed columns before it
CREATE DOMAIN clock.stamp AS timestamptz NOT NULL;
CREATE TABLE clock.two (i integer,
                        b boolean, a_name_as_long_as_names_can_be_in_this_database_server_of_ours_ timestamptz,
                        "Changed At" clock.stamp DEFAULT '2000-01-01', t text);
SELECT usher.enable_updated_at('clock.two', 'a_name_as_long_as_names_can_be_in_this_database_server_of_ours_');
SELECT usher.enable_updated_at('clock.two', 'Changed At');
INSERT INTO clock.two VALUES (1, true, '2000-01-01'), (2, NULL, NULL);
BEGIN;
UPDATE clock.two
SET t = 'x' RETURNING i, b, a_name_as_long_as_names_can_be_in_this_database_server_of_ours_ = now() AS first,
    "Changed At" = now() AS second, t;
COMMIT;

-- skip_unchanged: rows that stay the same are not written
CREATE TABLE clock.calm (id integer, body text, big text, updated_at timestamptz DEFAULT '2000-01-01', twice integer
                             GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO clock.calm
VALUES (1, 'a', (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 5000) g)), (2, NULL, NULL);
SELECT usher.enable_updated_at('clock.calm', skip_unchanged => true);
UPDATE clock.calm SET body = body, updated_at = now() RETURNING id;
UPDATE clock.calm SET body = 'b' RETURNING id, updated_at > '2020-01-01' AS touched;
UPDATE clock.calm SET big = big || '' RETURNING id;
SELECT usher.enable_updated_at('clock.calm');
UPDATE clock.calm SET body = body RETURNING id;

-- Partitions, and rows that move between them
CREATE TABLE clock.parts (id integer, region text,
                          updated_at timestamptz DEFAULT '2000-01-01') PARTITION BY LIST (region);
CREATE TABLE clock.north PARTITION OF clock.parts FOR VALUES IN ('north');
CREATE TABLE clock.south (updated_at timestamptz DEFAULT '2000-01-01', region text, id integer);
ALTER TABLE clock.parts ATTACH PARTITION clock.south FOR VALUES IN ('south');
SELECT usher.enable_updated_at('clock.parts');
INSERT INTO clock.parts VALUES (1, 'north'), (2, 'south');
BEGIN;
UPDATE clock.parts SET region = 'south' WHERE id = 1 RETURNING tableoid::regclass, updated_at = now() AS is_now;
UPDATE clock.south SET id = id + 10 RETURNING id, updated_at = now() AS is_now;
COMMIT;

-- Rows that are restored or replicated keep theirs
SET session_replication_role = replica;
UPDATE clock.notes SET updated_at = '1990-01-01' WHERE id = 1;
RESET session_replication_role;
SET usher.restoring = on;
UPDATE clock.notes SET updated_at = '1990-01-01' WHERE id = 2;
RESET usher.restoring;
SELECT id, updated_at = '1990-01-01' AS kept FROM clock.notes WHERE id < 3 ORDER BY id;

-- The extension's own entities: created_at, and updated_at that follows
SELECT c.relname, a.attname, format_type(a.atttypid, NULL) AS type, a.attnotnull AS not_null,
       pg_get_expr(d.adbin, d.adrelid) AS "default"
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('created_at', 'updated_at')
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.oid IN ('usher.users'::regclass, 'usher.roles'::regclass, 'usher.machines'::regclass) ORDER BY 1, 2;
BEGIN;
INSERT INTO usher.users (email, updated_at) VALUES ('clock@regress.example', '2000-01-01');
UPDATE usher.users
SET first_name = 'Clock' WHERE email = 'clock@regress.example' RETURNING updated_at = now() AS is_now;
ROLLBACK;

-- What does not fit is refused
SELECT usher.enable_updated_at('clock.notes', 'nope');
SELECT usher.enable_updated_at('clock.notes', 'body');
SELECT usher.enable_updated_at('clock.notes', NULL);
SELECT usher.enable_updated_at(NULL);
SELECT usher.enable_updated_at('pg_user');
CREATE TABLE clock.made (a timestamp, b timestamp GENERATED ALWAYS AS (a + interval '1 day') STORED);
SELECT usher.enable_updated_at('clock.made', 'b');
CREATE TABLE clock.bad (a text, updated_at date);
INSERT INTO clock.bad VALUES ('a');
CREATE TRIGGER t AFTER UPDATE ON clock.bad FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
UPDATE clock.bad SET a = 'b';
DROP TRIGGER t ON clock.bad;
CREATE TRIGGER t BEFORE UPDATE ON clock.bad FOR EACH STATEMENT EXECUTE FUNCTION usher.set_updated_at();
UPDATE clock.bad SET a = 'b';
DROP TRIGGER t ON clock.bad;
CREATE TRIGGER t BEFORE INSERT ON clock.bad FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
INSERT INTO clock.bad VALUES ('b');
DROP TRIGGER t ON clock.bad;
CREATE TRIGGER t BEFORE UPDATE ON clock.bad FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
UPDATE clock.bad SET a = 'b';
DROP TRIGGER t ON clock.bad;
CREATE TRIGGER t BEFORE UPDATE ON clock.bad FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at('nope');
UPDATE clock.bad SET a = 'b';
DROP TRIGGER t ON clock.bad;
CREATE TRIGGER t BEFORE UPDATE ON clock.bad FOR EACH ROW
    EXECUTE FUNCTION usher.set_updated_at('updated_at', 'sometimes');
UPDATE clock.bad SET a = 'b';

SELECT usher.disable_updated_at('clock.notes');
SELECT usher.disable_updated_at('clock.notes');
UPDATE clock.notes SET updated_at = '1980-01-01' WHERE id = 1 RETURNING updated_at = '1980-01-01' AS kept;
SET client_min_messages = error;
DROP SCHEMA clock CASCADE;

-- Auditing never makes a correct write fail, whatever the values are: what cannot be kept becomes a note of its size,
-- and what stands beside it stays readable.
SET client_min_messages = warning;
\set VERBOSITY terse
SET default_toast_compression = pglz; -- since 19 it may be another, with other sizes
CREATE SCHEMA regress_limits;
CREATE VIEW regress_limits.log AS SELECT resource_type, resource_id, key, old_values, new_values FROM usher.audit_logs
    WHERE resource_type LIKE 'regress\_limits.%' ORDER BY id;
-- a value in short: notes as they are, only type and size of others
CREATE FUNCTION regress_limits.brief(value jsonb) RETURNS text LANGUAGE sql STRICT AS $$
    SELECT CASE WHEN value ? '$omitted' OR octet_length(value::text) <= 60 THEN value::text
                ELSE format('%s of %s bytes', jsonb_typeof(value), octet_length(value::text)) END $$;

-- Composite values and arrays of compressed texts
CREATE TABLE regress_limits.stored (t text);
-- compressed in the row: so it stays within a composite value
ALTER TABLE regress_limits.stored ALTER t SET STORAGE MAIN;
INSERT INTO regress_limits.stored VALUES (repeat('x', 600000));
DO $$ BEGIN
    EXECUTE 'CREATE TYPE regress_limits.broad AS (first int, '
        || (SELECT string_agg(format('t%s text', g), ', ') FROM generate_series(1, 1500) g) || ', last int)';
    EXECUTE 'CREATE TABLE regress_limits.composites (id int PRIMARY KEY, value regress_limits.broad, note text)';
    PERFORM usher.enable_audit('regress_limits.composites');
    EXECUTE 'INSERT INTO regress_limits.composites SELECT 1, ROW(7, '
        || (SELECT string_agg('t', ', ') FROM generate_series(1, 1500))
        || ', 8)::regress_limits.broad, ''beside'' FROM regress_limits.stored';
END $$;
SELECT resource_id, new_values ->> 'note' AS note, regress_limits.brief(new_values -> 'value') AS value
FROM regress_limits.log;
-- The same where the most is kept that can be
SET usher.audit_max_value = '64MB';
UPDATE regress_limits.composites SET value.first = 9;
SELECT old_values #> '{value,first}' AS old,
       new_values #> '{value,first}' AS new, regress_limits.brief(new_values #> '{value,t60}') AS t60,
       regress_limits.brief(new_values #> '{value,t1500}') AS t1500
FROM regress_limits.log WHERE old_values IS NOT NULL;
CREATE TYPE regress_limits.pair AS (id int, t text);
CREATE TABLE regress_limits.nested (id int PRIMARY KEY, pairs regress_limits.pair[], texts text[], note text);
SELECT usher.enable_audit('regress_limits.nested');
INSERT INTO regress_limits.nested SELECT 1, array_agg(ROW(g, s.t)::regress_limits.pair ORDER BY g), NULL, 'beside'
    FROM generate_series(1, 200) g, regress_limits.stored s;
INSERT INTO regress_limits.nested
SELECT 2, NULL, array_agg(repeat('z', 1000000)), 'beside' FROM generate_series(1, 60) g;
SELECT resource_id, new_values ->> 'note' AS note, regress_limits.brief(new_values -> 'pairs' -> 0) AS first,
       regress_limits.brief(new_values -> 'pairs' -> 199) AS last, regress_limits.brief(new_values -> 'texts') AS texts
FROM regress_limits.log WHERE resource_type = 'regress_limits.nested';

-- Numbers of elements: of json, of jsonb in an array, of arrays of arrays
CREATE TABLE regress_limits.elements (id int PRIMARY KEY, plain json, parts jsonb[], matrix int[],
                                      other json[], note text);
SELECT usher.enable_audit('regress_limits.elements');
INSERT INTO regress_limits.elements (id, plain, note)
VALUES (1, ('[' || repeat('1,', 30000000) || '1]')::json, 'beside');
INSERT INTO regress_limits.elements (id, plain, note)
VALUES (2, ('{"a":"' || repeat(',', 5000000) || '\"[1,1"}')::json, 'beside');
INSERT INTO regress_limits.elements (id, parts, note) SELECT 3, array_agg(v), 'beside'
FROM generate_series(1, 40) g, (SELECT jsonb_agg(0) AS v FROM generate_series(1, 100000)) v;
INSERT INTO regress_limits.elements (id, matrix, note) VALUES (4, array_fill(1, ARRAY[1500000, 1]), 'beside');
INSERT INTO regress_limits.elements (id, other, note)
VALUES (5, array_fill(('[' || repeat('1,', 999999) || '1]')::json, ARRAY[10]), 'beside');
SELECT resource_id, new_values ->> 'note' AS note, regress_limits.brief(
    new_values -> 'plain') AS plain, regress_limits.brief(new_values -> 'parts' -> 0) AS parts, regress_limits.brief(
        new_values -> 'parts' -> 39) AS parts_last, regress_limits.brief(new_values -> 'matrix') AS matrix,
    regress_limits.brief(new_values -> 'other' -> 9) AS other
FROM regress_limits.log WHERE resource_type = 'regress_limits.elements';

-- Depth: within an array deep ones are text
CREATE FUNCTION regress_limits.deep(levels int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE made jsonb := '1';
BEGIN
    FOR i IN 1 .. levels LOOP made := jsonb_build_array(made); END LOOP;
    RETURN made;
END $$;
CREATE TABLE regress_limits.depths (id int PRIMARY KEY, value jsonb, parts jsonb[]);
SELECT usher.enable_audit('regress_limits.depths');
INSERT INTO regress_limits.depths
SELECT levels, v, ARRAY[v, '1'] FROM (VALUES (100), (4000)) l (levels), regress_limits.deep(levels) v;
SELECT resource_id, octet_length(new_values ->> 'value') AS value, jsonb_typeof(new_values -> 'parts' -> 0) AS type,
    octet_length(new_values -> 'parts' ->> 0) AS part, new_values -> 'parts' -> 1 AS beside
FROM regress_limits.log WHERE resource_type = 'regress_limits.depths';

-- All columns of a row together, and many such rows in one statement
DO $$ BEGIN
    EXECUTE 'CREATE TABLE regress_limits.rows (id int PRIMARY KEY, '
        || (SELECT string_agg(format('c%s text', g), ', ') FROM generate_series(1, 8) g) || ', note text)';
    PERFORM usher.enable_audit('regress_limits.rows');
    EXECUTE 'INSERT INTO regress_limits.rows SELECT g, ' || (SELECT string_agg('t', ', ') FROM generate_series(1, 8))
        || ', ''beside'' FROM (VALUES (repeat(''x'', 20000000))) v (t), generate_series(1, 2) g';
END $$;
SELECT resource_id, new_values ->> 'note' AS note, regress_limits.brief(new_values -> 'c1') AS c1,
       regress_limits.brief(new_values -> 'c8') AS c8
FROM regress_limits.log WHERE resource_type = 'regress_limits.rows';

-- Keys: as large as they like
CREATE TABLE regress_limits.keys (a text, b text, c bytea, note text, PRIMARY KEY (a, b));
SELECT usher.enable_audit('regress_limits.keys');
INSERT INTO regress_limits.keys VALUES (repeat(E'\x01', 50000), repeat('"', 50000), NULL, 'beside');
SELECT usher.enable_audit('regress_limits.keys', key => '{a,b,c}');
INSERT INTO regress_limits.keys VALUES ('a', repeat('k', 120000), decode(repeat('00', 30000000), 'hex'), 'beside');
SELECT usher.disable_audit('regress_limits.keys');
SELECT usher.enable_audit('regress_limits.keys', key => '{c}');
INSERT INTO regress_limits.keys VALUES ('b', 'b', decode(repeat('00', 60000000), 'hex'), 'beside');
INSERT INTO regress_limits.keys VALUES ('c', 'c', decode(repeat('00', 70000000), 'hex'), 'beside');
SELECT left(resource_id, 9) AS id, new_values ->> 'note' AS note, regress_limits.brief(key) AS key
FROM regress_limits.log WHERE resource_type = 'regress_limits.keys';

-- Output functions: what they make is much larger than the value, or they raise errors
CREATE TABLE regress_limits.outputs (id int PRIMARY KEY, bits varbit, points polygon, note text);
SELECT usher.enable_audit('regress_limits.outputs');
INSERT INTO regress_limits.outputs VALUES (1, repeat('1', 100000000)::varbit, NULL, 'beside');
RESET usher.audit_max_value;
CREATE TYPE regress_limits.moody;
CREATE FUNCTION regress_limits.moody_in(cstring)
    RETURNS regress_limits.moody LANGUAGE internal STRICT IMMUTABLE AS 'textin';
CREATE FUNCTION regress_limits.moody_out(regress_limits.moody)
    RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'trigger_out';
CREATE TYPE regress_limits.moody (INPUT = regress_limits.moody_in, OUTPUT = regress_limits.moody_out);
CREATE TYPE regress_limits.holder AS (n int, m regress_limits.moody);
CREATE TABLE regress_limits.moods (id int PRIMARY KEY, mood regress_limits.moody, moods regress_limits.moody[],
                                   held regress_limits.holder, note text);
SELECT usher.enable_audit('regress_limits.moods');
INSERT INTO regress_limits.moods VALUES (1, 'x', '{x}', ROW(1, 'x'), 'beside');
SELECT usher.enable_audit('regress_limits.moods', key => '{mood}');
INSERT INTO regress_limits.moods VALUES (2, 'x', NULL, NULL, 'beside');
SELECT resource_id, new_values ->> 'note' AS note, new_values - 'id' - 'note' AS others FROM regress_limits.log
WHERE resource_type IN ('regress_limits.outputs', 'regress_limits.moods');
-- a composite type that gets such an attribute later
CREATE TYPE regress_limits.later AS (n int);
CREATE TABLE regress_limits.growing (id int PRIMARY KEY, value regress_limits.later, note text);
SELECT usher.enable_audit('regress_limits.growing');
INSERT INTO regress_limits.growing VALUES (1, ROW(1), 'before');
ALTER TYPE regress_limits.later ADD ATTRIBUTE m regress_limits.moody;
INSERT INTO regress_limits.growing VALUES (2, ROW(1, 'x'), 'beside');
SELECT resource_id, new_values FROM regress_limits.log WHERE resource_type = 'regress_limits.growing';

SELECT count(*) AS rows FROM regress_limits.log;
DELETE FROM usher.audit_logs WHERE resource_type LIKE 'regress\_limits.%';
DROP SCHEMA regress_limits CASCADE;

-- A role that may not look into the schema of the extension writes first in a session: what is asked about the log is
-- asked as its owner
CREATE ROLE regress_limits_writer;
CREATE SCHEMA regress_limits AUTHORIZATION regress_limits_writer;
CREATE TABLE regress_limits.things (id int PRIMARY KEY);
GRANT INSERT ON regress_limits.things TO regress_limits_writer;
SELECT usher.enable_audit('regress_limits.things');
\c -
SET client_min_messages = warning;
\set VERBOSITY terse
SET ROLE regress_limits_writer;
SELECT has_schema_privilege('usher', 'USAGE') AS may_look;
INSERT INTO regress_limits.things VALUES (1);
RESET ROLE;
SELECT count(*) FROM usher.audit_logs WHERE resource_type = 'regress_limits.things';
DELETE FROM usher.audit_logs WHERE resource_type = 'regress_limits.things';
DROP SCHEMA regress_limits CASCADE;
DROP ROLE regress_limits_writer;

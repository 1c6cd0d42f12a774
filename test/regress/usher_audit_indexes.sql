-- Audit rows are written past the executor: every index of the log has to hold them all the same, also one that the
-- DBA made.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION amcheck;
CREATE SCHEMA regress_shelf;
CREATE TABLE regress_shelf.book (id integer PRIMARY KEY, title text, note text);
SELECT usher.enable_audit('regress_shelf.book');
INSERT INTO regress_shelf.book VALUES (0, 'first');
SELECT tableoid::regclass AS part FROM usher.audit_logs WHERE resource_type = 'regress_shelf.book' \gset
-- every index against the table itself: what is missing in it, or stands in it twice?
CREATE FUNCTION pg_temp.check_indexes(part regclass) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = part AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') $$;
CREATE FUNCTION pg_temp.load(first integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_shelf.book SELECT i, 'title ' || i FROM generate_series(first, first + 1199) i;
    UPDATE regress_shelf.book SET title = title || '!' WHERE id >= first AND id % 3 = 0;
    UPDATE regress_shelf.book SET note = repeat('long ', 2000) WHERE id = first;
    DELETE FROM regress_shelf.book WHERE id = first + 1;
    RETURN (SELECT string_agg(format('%s %s', action, n), ', ' ORDER BY action)
            FROM (SELECT action, count(*) AS n FROM usher.audit_logs
            WHERE resource_type = 'regress_shelf.book' AND resource_id::integer BETWEEN first AND first + 1199
            GROUP BY action) a);
END $$;
-- With the shipped indexes nothing goes through the executor
SELECT count(*) > 1 AS partitions, bool_and(usher._writes_directly(p.inhrelid)) AS directly
FROM pg_inherits AS p WHERE p.inhparent = 'usher.audit_logs'::regclass;
SELECT usher._writes_directly(999999999::regclass);
SELECT pg_temp.load(10000) AS written, pg_temp.check_indexes(:'part') AS sound;

-- Rows in the order of the statement, whatever the batches
SELECT count(*) AS rows, count(*) FILTER (WHERE n > before) AS in_order
FROM (SELECT resource_id::integer AS n, lag(resource_id::integer, 1, 9999) OVER (ORDER BY id) AS before
      FROM usher.audit_logs WHERE resource_type = 'regress_shelf.book' AND action = 'insert'
          AND resource_id::integer BETWEEN 10000 AND 11199) o;

-- A partial index with one answer for a whole statement; made and dropped while this session goes on writing
CREATE INDEX regress_by_actor ON :part (actor_name, id) WHERE actor_id IS NULL AND source = 'trigger';
SELECT pg_temp.load(20000) AS written, pg_temp.check_indexes(:'part') AS sound;
DROP INDEX usher.regress_by_actor;
-- one that asks every row; one of an expression; one that is checked later; one that is no B-tree
CREATE INDEX regress_by_action ON :part (id) WHERE action = 'delete' AND resource_id IS NOT NULL;
SELECT pg_temp.load(30000) AS written, pg_temp.check_indexes(:'part') AS sound;
DROP INDEX usher.regress_by_action;
CREATE INDEX regress_by_title ON :part ((new_values ->> 'title'));
SELECT pg_temp.load(40000) AS written, pg_temp.check_indexes(:'part') AS sound;
DROP INDEX usher.regress_by_title;
ALTER TABLE :part ADD CONSTRAINT regress_once UNIQUE (id, created_at) DEFERRABLE INITIALLY DEFERRED;
SELECT pg_temp.load(50000) AS written, pg_temp.check_indexes(:'part') AS sound;
SELECT usher._writes_directly(:'part') AS directly;
ALTER TABLE :part DROP CONSTRAINT regress_once;
SELECT usher._writes_directly(:'part') AS directly;
CREATE INDEX regress_by_value ON :part USING gin (new_values jsonb_path_ops);
SELECT pg_temp.load(60000) AS written, pg_temp.check_indexes(:'part') AS sound;
SET enable_seqscan = off;
SET enable_indexscan = off;
SELECT count(*) FROM ONLY :part WHERE new_values @> '{"title": "title 60005"}';
RESET enable_seqscan;
RESET enable_indexscan;
DROP INDEX usher.regress_by_value;

-- An id begins with the time of its row, so the primary key answers for times too; whoever writes rows by hand keeps
-- to that
SELECT clock_timestamp() AS before \gset
SELECT pg_temp.load(70000) AS written;
SELECT clock_timestamp() AS after \gset
INSERT INTO regress_shelf.book VALUES (71200, 'one more');
SELECT count(*) = (SELECT count(*) FROM usher.audit_logs WHERE action = 'update' AND created_at >= :'before'
                       AND created_at < :'after') AS all_of_the_time, count(*)
    FROM usher.search_audit(action => 'update', since => :'before', until => :'after', max_rows => 1000);
SELECT count(*) AS later
FROM usher.search_audit(since => :'after', until => 'infinity') WHERE new_values ->> 'title' = 'one more';
SELECT count(*) > 0 AS from_the_beginning FROM usher.search_audit(since => '-infinity');
SELECT count(*) AS before_time_began FROM usher.search_audit(until => '1970-01-01');
INSERT INTO usher.audit_logs (created_at, event_type, action) VALUES ('2001-02-12 00:00+00', 'old.thing', 'thing');

-- Whoever renames a table or a schema finds the rows under the new name, in this session too
ALTER TABLE regress_shelf.book RENAME TO volume;
INSERT INTO regress_shelf.volume VALUES (1, 'renamed');
ALTER SCHEMA regress_shelf RENAME TO regress_cupboard;
INSERT INTO regress_cupboard.volume VALUES (2, 'moved');
SELECT resource_type, resource_id FROM usher.audit_logs WHERE resource_type ~ '^regress_.*volume$' ORDER BY id;
SELECT action, new_values ->> 'title' AS title FROM usher.row_history('regress_cupboard.volume', '2');

-- A block can be as large as one likes, or cut short
SELECT d.row_count > 8000 AS many, d.next_id IS NULL AS complete, octet_length(d.digest) AS bytes,
       d.digest = again.digest AS same
FROM usher._digest_audit_rows('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') d,
     usher._digest_audit_rows('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
                              1000000) again;
SELECT d.row_count, rest.row_count + 1000 = whole.row_count AS nothing_lost
FROM usher._digest_audit_rows('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') whole,
     usher._digest_audit_rows('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 1000) d,
     usher._digest_audit_rows(d.next_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff') rest;
SELECT * FROM usher._digest_audit_rows('00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000');
-- any change of any sealed value is seen: of a number's form, of a nested one, of a null that was nothing
SELECT usher.log_event('regress.digest', '{"a": [1, {"b": 1.0, "c": null}], "d": true, "e": ""}') AS id \gset
CREATE FUNCTION pg_temp.digest(wanted uuid) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT d.digest FROM usher._digest_audit_rows(wanted, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 1) d);
END $$;
SELECT pg_temp.digest(:'id') AS before \gset
CREATE FUNCTION pg_temp.digest_with(wanted uuid, data jsonb) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    kept jsonb := (SELECT event_data FROM usher.audit_logs WHERE id = wanted);
    digest bytea;
BEGIN
    UPDATE usher.audit_logs SET event_data = data WHERE id = wanted;
    digest := pg_temp.digest(wanted);
    UPDATE usher.audit_logs SET event_data = kept WHERE id = wanted;
    RETURN digest;
END $$;
SELECT v AS data, pg_temp.digest_with(:'id', v::jsonb) = :'before' AS same FROM unnest(ARRAY[
    '{"e": "", "d": true, "a": [1, {"c": null, "b": 1.0}]}',
    '{"a": [1, {"b": 1.00, "c": null}], "d": true, "e": ""}',
    '{"a": [1, {"b": "1.0", "c": null}], "d": true, "e": ""}',
    '{"a": [1, {"b": 1.0, "c": false}], "d": true, "e": ""}',
    '{"a": [1, {"b": 1.0}], "d": true, "e": ""}',
    '{"a": [[1], {"b": 1.0, "c": null}], "d": true, "e": ""}',
    '{"a": [1, {"b": 1.0, "c": null}], "d": true, "e": null}',
    '[]', '{}', 'null', '[null]']) v;
DELETE FROM usher.audit_logs WHERE id = :'id';
DELETE FROM usher.audit_logs WHERE resource_type ~ '^regress_(shelf|cupboard)';
DROP SCHEMA regress_cupboard CASCADE;
DROP EXTENSION amcheck;

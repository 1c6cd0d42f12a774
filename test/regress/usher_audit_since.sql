-- Since when the log knows a table: row_as_of() answers for no instant before its audit began, nor for a time in which it
-- was switched off, and row_history() says so of a table that was never audited.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_since;
CREATE TABLE regress_since.prices (id integer PRIMARY KEY, price integer);
CREATE FUNCTION regress_since.as_of(instant timestamptz, id integer DEFAULT 1, relation regclass DEFAULT 'regress_since.prices') RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(usher.row_as_of(relation, to_jsonb(id), instant)::text, 'no row');
EXCEPTION WHEN SQLSTATE '55000' THEN
    RETURN SQLERRM;
END
$$;
INSERT INTO regress_since.prices VALUES (1, 10);
SELECT clock_timestamp() AS unaudited \gset
SELECT usher.row_history('regress_since.prices', '1');
SELECT regress_since.as_of(now());
UPDATE regress_since.prices SET price = 11;
SELECT usher.enable_audit('regress_since.prices');
SELECT clock_timestamp() AS begun \gset
UPDATE regress_since.prices SET price = 12;
SELECT clock_timestamp() AS changed \gset
-- the lists only: it was audited already
SELECT usher.enable_audit('regress_since.prices', redact => '{}');
INSERT INTO regress_since.prices VALUES (2, 20);
SELECT clock_timestamp() AS added \gset
SELECT what, regress_since.as_of(instant) AS one, regress_since.as_of(instant, 2) AS two
FROM (VALUES (1, 'unaudited', :'unaudited'::timestamptz), (2, 'begun', :'begun'), (3, 'changed', :'changed'), (4, 'added', :'added'), (5, 'now', now()),
    (6, 'ever', 'infinity'), (7, 'never', '-infinity')) AS v (place, what, instant) ORDER BY place;

-- Off, and on again: what happened meanwhile nobody knows, nor what the rows were before
SELECT usher.disable_audit('regress_since.prices');
UPDATE regress_since.prices SET price = price + 100;
SELECT clock_timestamp() AS off \gset
SELECT regress_since.as_of(now()), (SELECT count(*) FROM usher.row_history('regress_since.prices', '2')) AS kept;
SELECT usher.enable_audit('regress_since.prices');
SELECT clock_timestamp() AS again \gset
UPDATE regress_since.prices SET price = price + 100 WHERE id = 2;
SELECT what, regress_since.as_of(instant) AS one, regress_since.as_of(instant, 2) AS two
FROM (VALUES (1, 'added', :'added'::timestamptz), (2, 'off', :'off'), (3, 'again', :'again'), (4, 'now', now())) AS v (place, what, instant) ORDER BY place;
-- and it is no secret
SELECT event_type, severity, resource_id, actor_name = session_user AS by_me FROM usher.search_audit(resource_type => 'audited_table', resource_id => 'regress_since.prices') ORDER BY id;
-- switched off by another way
ALTER TABLE regress_since.prices DISABLE TRIGGER USER;
SELECT regress_since.as_of(now());
ALTER TABLE regress_since.prices ENABLE TRIGGER USER;

-- Without these events, as 0.9.0 left a log, the oldest row is what is known
CREATE TABLE regress_since.old (id integer PRIMARY KEY, price integer);
INSERT INTO regress_since.old VALUES (1, 10), (2, 20);
SELECT usher.enable_audit('regress_since.old');
DELETE FROM usher.audit_logs WHERE resource_type = 'audited_table' AND resource_id = 'regress_since.old';
SELECT clock_timestamp() AS begun \gset
SELECT regress_since.as_of(:'begun', 1, 'regress_since.old'), regress_since.as_of(now(), 1, 'regress_since.old') AS now;
UPDATE regress_since.old SET price = 11 WHERE id = 1;
SELECT clock_timestamp() AS changed \gset
UPDATE regress_since.old SET price = 12 WHERE id = 1;
SELECT regress_since.as_of(:'begun', 1, 'regress_since.old') AS begun, regress_since.as_of(:'changed', 1, 'regress_since.old') AS changed,
       regress_since.as_of(:'changed', 2, 'regress_since.old') AS another;

-- Partitions follow their table; a table that inherits has its own beginning
CREATE TABLE regress_since.parts (id integer PRIMARY KEY, n integer) PARTITION BY LIST (id);
CREATE TABLE regress_since.part PARTITION OF regress_since.parts FOR VALUES IN (1);
CREATE TABLE regress_since.child (PRIMARY KEY (id)) INHERITS (regress_since.old);
SELECT usher.enable_audit('regress_since.parts');
CREATE TABLE regress_since.part_2 PARTITION OF regress_since.parts FOR VALUES IN (2);
INSERT INTO regress_since.parts VALUES (1, 1), (2, 2);
SELECT t AS name, regress_since.as_of(now(), i, t::regclass)
FROM (VALUES (1, 'regress_since.parts'), (1, 'regress_since.part'), (2, 'regress_since.part_2'), (2, 'regress_since.parts')) AS v (i, t) ORDER BY 1, i;
SELECT event_type, resource_id FROM usher.audit_logs WHERE resource_type = 'audited_table' AND resource_id ~ '^regress_since\.(part|child)' ORDER BY id;

-- Rows that are no longer kept
SET usher.audit_retention = 1;
SELECT regress_since.as_of(now() - interval '2 days', 1, 'regress_since.old'), regress_since.as_of(now(), 1, 'regress_since.old') AS now;
RESET usher.audit_retention;

-- Personal values of nobody: the row as it is now shows what the log would
CREATE TABLE regress_since.notes (id integer PRIMARY KEY, user_id uuid, body text);
SELECT usher.register_extension('Since', 'regress_since', 'regress_since', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h),
    personal_data => '{"notes": {"subject": ["user_id"], "personal": ["body"]}}');
INSERT INTO regress_since.notes VALUES (1, NULL, 'of nobody'), (2, '00000000-0000-7000-8000-000000000001', 'of somebody');
SELECT usher.enable_audit('regress_since.notes');
SELECT regress_since.as_of(now(), 1, 'regress_since.notes'), regress_since.as_of(now(), 2, 'regress_since.notes');
-- A column of the lists that is gone, in a table that another one was restored as: every value would be redacted
CREATE TABLE regress_since.restored (id integer PRIMARY KEY, moved text);
INSERT INTO regress_since.restored VALUES (1, 'hidden');
CREATE TRIGGER usher_audit_update AFTER UPDATE ON regress_since.restored REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change('{"redact": ["name"], "relation": 1, "numbers": {"name": 2}}');
SELECT regress_since.as_of('infinity', 1, 'regress_since.restored');
SELECT usher.unregister_extension('regress_since');
DROP SCHEMA regress_since CASCADE;

-- Every trigger function of every usher extension, as every kind of trigger, on tables that it does not expect: a
-- clear error or nothing at all, never a crash, never an internal error. The functions come from the catalog, so that
-- a new one is covered the day it is made.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE SCHEMA regress_kinds;
SELECT usher.define_machine(
    'regress_kinds', '{"initial": ["open"], "transitions": [{"from": "open", "to": "done", "action": "finish"}]}');

-- Names of ours with types of ours, and with any others.
CREATE TABLE regress_kinds.alike (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n integer, status text DEFAULT 'open',
                                  is_active boolean DEFAULT true, deleted_at timestamptz, updated_at timestamptz,
                                  version integer DEFAULT 1);
CREATE TABLE regress_kinds.unlike (id integer PRIMARY KEY DEFAULT 1, n integer, status point DEFAULT '(1,2)',
    is_active integer DEFAULT 7, deleted_at text, updated_at bytea, version text DEFAULT 'one',
    booking_id integer DEFAULT 3, customer_id integer DEFAULT 5, location_id integer DEFAULT 5, service_id integer,
    staff_id integer DEFAULT 9, practitioner_id integer, start_at integer DEFAULT 1, end_at text DEFAULT 'x',
    buffer_before integer, buffer_after integer, customer_exclusive text, occupies integer, overbooked text,
    by_appointment integer, daily_limit text, hold_expires_at text, duration integer);
CREATE TABLE regress_kinds.parted (LIKE regress_kinds.alike INCLUDING DEFAULTS) PARTITION BY LIST (n);
CREATE TABLE regress_kinds.parted_one PARTITION OF regress_kinds.parted FOR VALUES IN (1);
CREATE TABLE regress_kinds.parted_rest PARTITION OF regress_kinds.parted DEFAULT;
CREATE VIEW regress_kinds.seen AS SELECT * FROM regress_kinds.alike;

-- Makes the trigger, has each statement fire it, and takes everything back. What is wrong with an outcome, or NULL.
CREATE FUNCTION regress_kinds.fault_of(definition text, relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    faults text;
BEGIN
    BEGIN
        EXECUTE definition;
        FOREACH statement IN ARRAY ARRAY[
            'INSERT INTO %1$s (n) VALUES (1)', 'UPDATE %1$s SET n = 2', 'UPDATE %1$s SET n = n, status = status',
            'DELETE FROM %1$s', 'TRUNCATE %1$s',
            'MERGE INTO %1$s t USING (VALUES (1), (2)) AS s (n) ON t.n = s.n WHEN MATCHED AND s.n = 1 THEN UPDATE SET n = 3 WHEN MATCHED THEN DELETE
                WHEN NOT MATCHED THEN INSERT (n) VALUES (s.n)',
            'INSERT INTO %1$s (id, n) SELECT id, n FROM %1$s ON CONFLICT (id) DO UPDATE SET n = 4',
            'SET CONSTRAINTS ALL IMMEDIATE'] LOOP
            BEGIN
                EXECUTE format(statement, relation);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE LIKE 'XX%' THEN
                    faults := concat_ws('; ', faults, statement || ': ' || SQLERRM);
                END IF;
            END;
        END LOOP;
        RAISE SQLSTATE 'ZZ001';
    EXCEPTION WHEN OTHERS THEN
        IF SQLSTATE LIKE 'XX%' THEN
            faults := concat_ws('; ', faults, SQLERRM);
        END IF;
    END;
    RETURN faults;
END $$;

INSERT INTO regress_kinds.alike (n) SELECT generate_series(1, 3);
INSERT INTO regress_kinds.unlike (id, n) SELECT i, i FROM generate_series(1, 3) AS i;
INSERT INTO regress_kinds.parted (n) SELECT generate_series(1, 3);

CREATE VIEW regress_kinds.triggers AS
WITH functions AS (
    SELECT p.oid, p.oid::regproc AS name, p.proname
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
        AND d.deptype = 'e'
        AND d.classid = 'pg_catalog.pg_proc'::regclass
    JOIN pg_catalog.pg_proc p ON p.oid = d.objid
    WHERE e.extname LIKE 'usher%' AND p.prorettype = 'trigger'::regtype
), arguments (name, list) AS (
    VALUES ('.', ''), ('set_updated_at', $$'n'$$), ('set_updated_at', $$'updated_at', 'skip_unchanged'$$),
           ('transition$', $$'regress_kinds', 'status', '{}'$$),
        ('^audit', $$'{"redact": ["n"], "key": ["n"]}'$$), ('soft_delete', $$'refuse'$$), ('_claim', $$'booking'$$),
        ('_claim', $$'appointment'$$),
        ('_invalidate_cache', $$'access_inval'$$), ('_invalidate_entry', $$'access_inval', 'id'$$)
), kinds (timing, level, events, extra) AS (
    SELECT t, l, e, '' FROM unnest(ARRAY['BEFORE', 'AFTER']) AS t, unnest(ARRAY['ROW', 'STATEMENT']) AS l,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'INSERT OR UPDATE', 'UPDATE OR DELETE',
                     'INSERT OR UPDATE OR DELETE']) AS e
    UNION ALL VALUES ('BEFORE', 'STATEMENT', 'TRUNCATE', ''), ('AFTER', 'STATEMENT', 'TRUNCATE', ''),
        ('AFTER', 'STATEMENT', 'INSERT', 'REFERENCING NEW TABLE AS x'),
        ('AFTER', 'STATEMENT', 'UPDATE', 'REFERENCING OLD TABLE AS y NEW TABLE AS x'),
        ('AFTER', 'STATEMENT', 'UPDATE', 'REFERENCING NEW TABLE AS x'),
        ('AFTER', 'STATEMENT', 'DELETE', 'REFERENCING OLD TABLE AS y'),
        ('AFTER', 'ROW', 'INSERT OR UPDATE OR DELETE', 'DEFERRABLE INITIALLY DEFERRED'),
        ('AFTER', 'ROW', 'UPDATE', 'REFERENCING OLD TABLE AS y NEW TABLE AS x'),
        ('INSTEAD OF', 'ROW', 'INSERT OR UPDATE OR DELETE', '')
), relations (name) AS (VALUES ('regress_kinds.alike'), ('regress_kinds.unlike'), ('regress_kinds.parted'),
                               ('regress_kinds.seen'))
SELECT f.name AS function, r.name AS relation,
       format('CREATE %sTRIGGER tried %s %s ON %s %s FOR EACH %s EXECUTE FUNCTION %s(%s)',
              CASE WHEN k.extra LIKE 'DEFERRABLE%' THEN 'CONSTRAINT ' ELSE '' END,
              k.timing, k.events, r.name, k.extra, k.level, f.name, a.list) AS definition
FROM functions f JOIN arguments a ON f.proname ~ a.name, kinds k, relations r
WHERE (k.timing = 'INSTEAD OF') = (r.name = 'regress_kinds.seen');

SELECT count(DISTINCT function) > 15 AS functions_are_many, count(*) > 2000 AS triggers_are_many
FROM regress_kinds.triggers;
SELECT function, relation, definition, fault
FROM regress_kinds.triggers, LATERAL (SELECT regress_kinds.fault_of(definition, relation) AS fault) AS outcome
WHERE fault IS NOT NULL ORDER BY 1, 2, 3;

-- On a temporary table, that anybody may make, by every event of MERGE.
CREATE TEMP TABLE own (n integer PRIMARY KEY, updated_at timestamptz);
CREATE TRIGGER touch BEFORE UPDATE ON own FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
INSERT INTO own VALUES (1), (2), (3);
MERGE INTO own t USING (VALUES (1), (2), (4)) AS s (n) ON t.n = s.n WHEN MATCHED
        AND s.n = 1 THEN UPDATE SET n = 11 WHEN MATCHED THEN DELETE
    WHEN NOT MATCHED THEN INSERT (n) VALUES (s.n);
SELECT n, updated_at IS NOT NULL AS touched FROM own ORDER BY n;
DROP TRIGGER touch ON own;
CREATE TRIGGER touch BEFORE UPDATE OR DELETE ON own FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
MERGE INTO own t USING (VALUES (3), (4)) AS s (n) ON t.n = s.n WHEN MATCHED
        AND s.n = 3 THEN UPDATE SET n = 13 WHEN MATCHED THEN DELETE;
DROP TRIGGER touch ON own;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON own FOR EACH ROW EXECUTE FUNCTION usher.set_updated_at();
INSERT INTO own VALUES (3) ON CONFLICT (n) DO UPDATE SET n = 14;
-- the functions of booking keep to the tables of booking
CREATE TABLE regress_kinds.bookings (LIKE wash.bookings);
CREATE TRIGGER complete BEFORE INSERT ON regress_kinds.bookings FOR EACH ROW EXECUTE FUNCTION wash._complete_booking();
CREATE TRIGGER claim AFTER INSERT ON regress_kinds.bookings REFERENCING NEW TABLE AS made FOR EACH STATEMENT
    EXECUTE FUNCTION wash._claim('booking');
INSERT INTO regress_kinds.bookings DEFAULT VALUES;

DELETE FROM usher.machines WHERE name = 'regress_kinds';
DROP SCHEMA regress_kinds CASCADE;

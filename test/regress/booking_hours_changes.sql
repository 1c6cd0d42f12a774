-- What a backend keeps of opening hours is as good as what it would read anew, after every statement on every table of
-- hours: INSERT, UPDATE of each column, DELETE and TRUNCATE. Tables and columns come from the catalog, so that a new
-- one is covered the day it is made.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
CREATE SCHEMA changes_test;

-- Triggers that announce a change: on which tables, for which statements, and never for some columns or some rows only
SELECT c.relname AS relation, string_agg(v.event, ', ' ORDER BY v.bit) AS announced,
    bool_and(t.tgattr::text = '' AND t.tgqual IS NULL AND t.tgenabled <> 'D') AS always
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN (VALUES (4, 'INSERT'), (8, 'DELETE'), (16, 'UPDATE'), (32, 'TRUNCATE')) AS v (bit, event)
        ON t.tgtype & v.bit <> 0
WHERE p.pronamespace = 'wash'::regnamespace AND p.proname IN ('_hours_changed', '_hours_truncated')
GROUP BY c.relname ORDER BY c.relname;
-- an UPDATE is announced for the rows as they were and as they are
SELECT c.relname AS relation, count(t.tgoldtable) AS as_they_were, count(t.tgnewtable) AS as_they_are
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'wash'::regnamespace AND p.proname = '_hours_changed' AND t.tgtype & 16 <> 0
GROUP BY c.relname ORDER BY c.relname;

-- Two places, each with somebody
SELECT usher.apply_role_preset('carwash');
CREATE TABLE changes_test.place AS
    SELECT n, (wash.create_location('P' || n, 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin')).id AS location,
    (usher.register_user('changes' || n || '@example.com', 'long enough to be good', 'W' || n)).user_id AS staff
    FROM generate_series(1, 2) AS n;
SELECT count(usher.grant_role(staff, 'washer')) FROM changes_test.place;
SELECT count(wash.assign_staff(p.location, s.staff, 'washer')) FROM changes_test.place AS p, changes_test.place AS s;
INSERT INTO wash.location_hours (location_id, weekday, opens, closes)
SELECT location, 1 + n, '08:00', '12:00' FROM changes_test.place;
INSERT INTO wash.location_exceptions (location_id, local_date, periods)
SELECT location, date '2030-01-01' + n, '[["13:00", "14:00"]]' FROM changes_test.place;
INSERT INTO wash.staff_hours (location_id, staff_id, weekday, opens, closes)
SELECT location, staff, 1 + n, '09:00', '11:00' FROM changes_test.place;
INSERT INTO wash.staff_time_off (staff_id, during) SELECT staff, '[2030-01-07,2030-01-09)' FROM changes_test.place;

-- When who works where, in some weeks: what this backend says
CREATE FUNCTION changes_test.answer() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT concat(
        (SELECT string_agg(concat_ws(' ', p.n, o.opens_at, o.closes_at), ', ' ORDER BY p.n, o.opens_at, o.closes_at)
            FROM changes_test.place AS p, LATERAL wash._open_periods(p.location, '2029-12-31', '2030-01-21') AS o),
         '; ',
        (SELECT string_agg(wash._staff_at_work(p.location, s.staff, at, at + interval '1 hour')::text, ''
                               ORDER BY p.n, s.n, at)
            FROM changes_test.place AS p, changes_test.place AS s,
                 generate_series(date '2030-01-07', '2030-01-13', '1 day') AS day,
                generate_series(day + interval '7 hours', day + interval '12 hours', '1 hour') AS at)) $$;
-- and what it says when it has nothing that it could have kept
CREATE FUNCTION changes_test.fresh_answer() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE wash.locations SET hours_version = usher.uuid_v7();
    UPDATE wash.location_staff SET hours_version = usher.uuid_v7();
    RETURN changes_test.answer();
END $$;
CREATE FUNCTION changes_test.versions() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(concat(l.hours_version, ls.hours_version), ' ' ORDER BY ls.id)
    FROM wash.locations AS l JOIN wash.location_staff AS ls ON ls.location_id = l.id $$;

-- Another value for a column of the first row.
CREATE FUNCTION changes_test.another(relation text, name text, type text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE
        WHEN name = 'location_id' THEN (SELECT quote_literal(location) FROM changes_test.place WHERE n = 2)
        WHEN name = 'staff_id' THEN (SELECT quote_literal(staff) FROM changes_test.place WHERE n = 2)
        WHEN type = 'uuid' THEN 'gen_random_uuid()'
        WHEN type = 'integer' THEN name || ' % 7 + 1'
        WHEN type = 'time without time zone' THEN name || $q$ + interval '30 minutes'$q$
        WHEN type = 'date' THEN name || ' + 5'
        WHEN type = 'daterange' THEN $q$'[2030-01-14,)'$q$
        WHEN type = 'tstzrange' THEN $q$'[2030-01-14,2030-01-15)'$q$
        WHEN type = 'jsonb' THEN $q$'[["15:00", "16:00"]]'$q$
        WHEN type LIKE 'timestamp%' THEN $q$'2030-01-01'$q$
        ELSE quote_literal('x') END $$;

CREATE FUNCTION changes_test.try(statement text, OUT differs boolean, OUT answers boolean, OUT announced boolean)
    LANGUAGE plpgsql AS $$
DECLARE
    before text := changes_test.answer(); -- and now it is kept
    versions text := changes_test.versions();
    kept text;
BEGIN
    EXECUTE statement;
    announced := changes_test.versions() <> versions;
    kept := changes_test.answer();
    differs := kept <> changes_test.fresh_answer();
    answers := kept <> before;
    RAISE SQLSTATE 'ZZ001'; -- takes it back
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    NULL;
END $$;

CREATE TABLE changes_test.statements AS
    SELECT c.relname::text AS relation, s.event, s.statement FROM pg_class AS c CROSS JOIN LATERAL (
        SELECT 'UPDATE of ' || a.attname,
               format('UPDATE wash.%I SET %I = %s WHERE ctid = (SELECT min(ctid) FROM wash.%1$I WHERE %5$I = %4$L)',
                c.relname, a.attname, changes_test.another(c.relname, a.attname, format_type(a.atttypid, a.atttypmod)),
                CASE c.relname WHEN 'staff_time_off' THEN (SELECT staff FROM changes_test.place WHERE n = 1)
                    ELSE (SELECT location FROM changes_test.place WHERE n = 1) END,
                CASE c.relname WHEN 'staff_time_off' THEN 'staff_id' ELSE 'location_id' END)
            FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT 'DELETE', format('DELETE FROM wash.%I', c.relname)
        UNION ALL SELECT 'TRUNCATE', format('TRUNCATE wash.%I', c.relname)
        UNION ALL SELECT 'INSERT', CASE c.relname
            WHEN 'location_hours' THEN 'INSERT INTO wash.location_hours (location_id, weekday, opens, closes) SELECT '
                                       'location, 6, ''08:00'', ''12:00'' FROM changes_test.place'
            WHEN 'location_exceptions' THEN 'INSERT INTO wash.location_exceptions (location_id, local_date, periods) '
                                            'SELECT location, ''2030-01-15'', ''[]'' FROM changes_test.place'
            WHEN 'staff_hours' THEN 'INSERT INTO wash.staff_hours (location_id, staff_id, weekday, opens, closes) '
                                    'SELECT location, staff, 6, ''08:00'', ''12:00'' FROM changes_test.place'
            WHEN 'staff_time_off' THEN 'INSERT INTO wash.staff_time_off (staff_id, during) SELECT staff, '
                                       '''[2030-01-10,2030-01-11)'' FROM changes_test.place' END
        ) AS s (event, statement)
    WHERE c.oid IN (SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = 'wash._hours_changed()'::regprocedure);
SELECT relation, event FROM changes_test.statements WHERE statement IS NULL; -- a new table needs an INSERT here

SELECT s.relation, count(*) AS statements,
       count(*) FILTER (WHERE t.announced) AS announced, count(*) FILTER (WHERE t.answers) AS that_change_answers,
       string_agg(s.event, ', ' ORDER BY s.event) FILTER (WHERE t.differs) AS not_noticed,
       string_agg(s.event, ', ' ORDER BY s.event) FILTER (WHERE NOT t.announced) AS not_announced
FROM changes_test.statements AS s, LATERAL changes_test.try(s.statement) AS t GROUP BY s.relation ORDER BY s.relation;

-- Hours that move to another place are found there, and no more where they were
BEGIN;
SELECT p.n, count(o.opens_at) AS periods
FROM changes_test.place AS p LEFT JOIN LATERAL wash._open_periods(p.location, '2030-01-07', '2030-01-14') AS o ON true
GROUP BY p.n ORDER BY p.n;
UPDATE wash.location_hours SET location_id = (SELECT location FROM changes_test.place WHERE n = 2)
WHERE location_id = (SELECT location FROM changes_test.place WHERE n = 1);
SELECT p.n, count(o.opens_at) AS periods
FROM changes_test.place AS p LEFT JOIN LATERAL wash._open_periods(p.location, '2030-01-07', '2030-01-14') AS o ON true
GROUP BY p.n ORDER BY p.n;
TRUNCATE wash.location_hours;
SELECT p.n, count(o.opens_at) AS periods
FROM changes_test.place AS p LEFT JOIN LATERAL wash._open_periods(p.location, '2030-01-07', '2030-01-14') AS o ON true
GROUP BY p.n ORDER BY p.n;
ROLLBACK;

DELETE FROM wash.staff_time_off WHERE staff_id IN (SELECT staff FROM changes_test.place);
DELETE FROM wash.locations WHERE id IN (SELECT location FROM changes_test.place);
DELETE FROM usher.users WHERE id IN (SELECT staff FROM changes_test.place);
DROP SCHEMA changes_test CASCADE;

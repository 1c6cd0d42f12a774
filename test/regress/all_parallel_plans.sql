-- Whatever is not marked UNSAFE works inside parallel plans, in a worker or in their leader. The functions come from
-- the catalog; with the settings below every query is planned as parallel as it may be.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT count(set_config(name, 'on', false))
FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE SCHEMA regress_parallel;
CREATE VIEW regress_parallel.functions AS
SELECT p.*, p.oid AS function_oid, l.lanname FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
WHERE e.extname LIKE 'usher%' AND p.proparallel <> 'u' AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype;

-- No subtransaction can begin in a parallel plan: what catches an error is UNSAFE. Nor can anything be written. What
-- is VOLATILE and SAFE all the same is random, slow or an error, and reads or writes no table.
SELECT f.function_oid::regprocedure
FROM regress_parallel.functions f WHERE f.lanname = 'plpgsql' AND f.prosrc ~ '\mEXCEPTION\s+WHEN\M';
SELECT f.function_oid::regprocedure FROM regress_parallel.functions f
WHERE f.prosrc ~ '\m(INSERT INTO|DELETE FROM|FOR UPDATE|FOR SHARE|FOR NO KEY UPDATE)\M';
SELECT f.function_oid::regprocedure
FROM regress_parallel.functions f WHERE f.provolatile = 'v' AND f.proparallel = 's' ORDER BY 1;

CREATE TABLE regress_parallel.rows AS SELECT n FROM generate_series(1, 3) AS n;
CREATE FUNCTION regress_parallel.fault_of(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(x) FROM (SELECT %s AS x FROM regress_parallel.rows WHERE n > 0) AS called', call);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLERRM ~ 'parallel' OR SQLSTATE LIKE 'XX%'
                     OR SQLSTATE LIKE '25%' THEN SQLSTATE || ' ' || SQLERRM END;
END $$;
CREATE VIEW regress_parallel.calls AS
SELECT f.function_oid::regprocedure AS function, format('%s(%s)', f.function_oid::regproc, (
    SELECT string_agg(CASE WHEN t.typname IN ('text', 'varchar') THEN '''x'''
                           WHEN t.typname = 'uuid' THEN '''00000000-0000-0000-0000-00000000000a'''
        WHEN t.typname = 'jsonb' THEN '''{}''' WHEN t.typname ~ '^int' THEN '1' WHEN t.typname =
            'bool' THEN 'true' WHEN t.typname ~ '^timestamp' THEN '''2026-03-01'''
        WHEN t.typname = 'regclass' THEN '''usher.users''' WHEN t.typname =
            'interval' THEN '''1 hour''' WHEN t.typname ~ '^_' THEN '''{}''' ELSE 'NULL' END
        || '::' || format_type(t.oid, NULL), ', ' ORDER BY a.place)
    FROM unnest(f.proargtypes) WITH ORDINALITY AS a (type, place) JOIN pg_type t ON t.oid = a.type)) AS call
FROM regress_parallel.functions f WHERE NOT f.proretset;
SELECT count(*) > 50 AS functions_are_many FROM regress_parallel.calls;
SELECT function, fault FROM regress_parallel.calls, LATERAL (SELECT regress_parallel.fault_of(call) AS fault) AS called
WHERE fault IS NOT NULL ORDER BY 1;

-- Tables with policies, read by a role for which they hold.
CREATE ROLE regress_parallel_reader;
SELECT usher.grant_access('regress_parallel_reader', 'readonly');
SELECT usher.grant_access('regress_parallel_reader', 'application');
CREATE FUNCTION regress_parallel.read(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', relation);
    RETURN NULL;
EXCEPTION
    WHEN insufficient_privilege THEN RETURN NULL;
    WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
GRANT USAGE ON SCHEMA regress_parallel TO regress_parallel_reader;
SET ROLE regress_parallel_reader;
SELECT count(*) FROM wash.bookings WHERE start_at < '1999-01-01';
SELECT c.oid::regclass, fault FROM pg_class c, LATERAL (SELECT regress_parallel.read(c.oid) AS fault) AS tried
WHERE c.relrowsecurity AND fault IS NOT NULL ORDER BY 1;
SELECT count(*) > 0 AS there_are_some FROM pg_class c WHERE c.relrowsecurity;
RESET ROLE;
SELECT usher.revoke_access('regress_parallel_reader');
DROP OWNED BY regress_parallel_reader;
DROP ROLE regress_parallel_reader;
DROP SCHEMA regress_parallel CASCADE;

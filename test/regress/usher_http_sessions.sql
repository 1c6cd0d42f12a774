-- A request leaves nothing behind in its session: the next one is somebody else's.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TIME ZONE 'America/Los_Angeles'; -- that of pg_regress has another name on older servers
CREATE SCHEMA regress_sessions;
CREATE FUNCTION regress_sessions.run(statement text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    result text;
BEGIN
    IF statement ~ '^SELECT' THEN
        EXECUTE statement INTO result;
    ELSE
        EXECUTE statement;
    END IF;
    RETURN result;
END $$;
CREATE FUNCTION regress_sessions.run_and_fail(statement text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    EXECUTE statement;
    RAISE division_by_zero;
END $$;
CREATE FUNCTION regress_sessions.sets_time_zone() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SET TIME ZONE 'Asia/Tokyo';
    SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
    RETURN current_setting('TimeZone') || ' ' || current_setting('default_transaction_read_only');
END $$;
SELECT count(usher.add_route('POST', '/regress/' || p.proname, p.oid, 'public'))
FROM pg_proc p WHERE p.pronamespace = 'regress_sessions'::regnamespace;
-- what a request did, and whether its session is still good
CREATE FUNCTION regress_sessions.ask(statement text, name text DEFAULT 'run', OUT status integer, OUT answer text,
                                     OUT spoiled boolean) LANGUAGE sql VOLATILE AS $$
    SELECT h.status, CASE h.status WHEN 200 THEN h.body ELSE h.body::jsonb ->> 'code' END,
           h.headers::text ~ 'usher-session'
    FROM usher.http_request('POST', '/regress/' || name, NULL, '{"content-type": "application/json"}',
                            CASE WHEN statement IS NULL THEN '' ELSE jsonb_build_object('statement', statement)::text END) AS h $$;
CREATE VIEW regress_sessions.state AS
SELECT (SELECT array_agg(name || ' = ' || setting ORDER BY name) FROM pg_settings
        WHERE name IN ('TimeZone', 'search_path', 'statement_timeout', 'default_transaction_read_only')) AS settings,
       nullif(current_setting('regress.own', true), '') AS own,
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS advisory_locks,
       (SELECT count(*) FROM pg_class WHERE pg_my_temp_schema() <> 0 AND relnamespace = pg_my_temp_schema()) AS relations,
       ARRAY(SELECT pg_listening_channels()) AS channels,
       ARRAY(SELECT name FROM pg_prepared_statements WHERE from_sql ORDER BY name) AS prepared,
       ARRAY(SELECT name FROM pg_cursors WHERE name <> '' AND is_holdable ORDER BY name) AS cursors;
\x on
SELECT * FROM regress_sessions.state;
\x off

SELECT * FROM regress_sessions.ask(NULL, 'sets_time_zone'); -- by statements of its own
SELECT s.* FROM unnest(ARRAY[
    'SELECT set_config(''statement_timeout'', ''1'', false)',
    'SELECT set_config(''search_path'', ''regress_sessions'', false)',
    'SELECT set_config(''regress.own'', ''secret of one'', false)',
    'SET LOCAL TimeZone = ''Asia/Tokyo''',
    'SELECT pg_advisory_lock(1)',
    'SELECT pg_advisory_lock_shared(2, 3)',
    'SELECT pg_advisory_xact_lock(4)',
    'CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS secret',
    'CREATE TEMPORARY TABLE left_behind (a integer PRIMARY KEY) ON COMMIT DROP',
    'CREATE TEMPORARY VIEW left_behind AS SELECT 2 AS secret',
    'CREATE FUNCTION pg_temp.left_behind() RETURNS integer LANGUAGE sql AS ''SELECT 1''',
    'LISTEN regress_left_behind',
    'PREPARE regress_left_behind AS SELECT 1',
    'DECLARE regress_left_behind CURSOR WITH HOLD FOR SELECT 1']) AS statement,
    LATERAL regress_sessions.ask(statement) AS s;
\x on
SELECT * FROM regress_sessions.state;
\x off
-- also when the function failed
SELECT s.* FROM unnest(ARRAY[
    'SELECT set_config(''statement_timeout'', ''1'', false)',
    'SELECT pg_advisory_lock(1)',
    'CREATE TEMPORARY TABLE left_behind AS SELECT 1 AS secret',
    'LISTEN regress_left_behind',
    'PREPARE regress_left_behind AS SELECT 1',
    'DECLARE regress_left_behind CURSOR WITH HOLD FOR SELECT 1']) AS statement,
    LATERAL regress_sessions.ask(statement, 'run_and_fail') AS s;
\x on
SELECT * FROM regress_sessions.state;
\x off

-- What the session had of its own is left alone
SET regress.own = 'mine';
LISTEN regress_mine;
PREPARE regress_mine AS SELECT 1;
SELECT pg_advisory_lock(5);
CREATE TEMPORARY TABLE regress_mine AS SELECT 1 AS a;
SELECT s.* FROM unnest(ARRAY[
    'SELECT set_config(''regress.own'', ''theirs'', false)',
    'LISTEN regress_left_behind',
    'PREPARE regress_left_behind AS SELECT 1']) AS statement,
    LATERAL regress_sessions.ask(statement) AS s;
\x on
SELECT * FROM regress_sessions.state;
\x off
UNLISTEN *;
DEALLOCATE ALL;
SELECT pg_advisory_unlock(5);
DROP TABLE regress_mine;

-- More than can be undone: the gateway gives such a connection up
SELECT * FROM regress_sessions.ask($$DO 'BEGIN FOR i IN 1..20 LOOP EXECUTE ''PREPARE left_'' || i || '' AS SELECT 1''; END LOOP; END'$$);
DEALLOCATE ALL;
-- a request within a request
SELECT * FROM regress_sessions.ask($$SELECT status || set_config('statement_timeout', '1', false) FROM regress_sessions.ask('SELECT set_config(''statement_timeout'', ''2'', false)')$$);
SHOW statement_timeout;

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
DROP SCHEMA regress_sessions CASCADE;

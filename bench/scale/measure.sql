-- What ./dev bench scale measures on the accounts of users.sql: for each call the median of its time, which a machine that is busy
-- with other things hardly changes for calls as short as these, and of the blocks that it looks at, which do not depend on that at all.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.audit_chain = off;
CREATE TABLE scale.found (number integer, call text, runs integer, ms numeric, blocks numeric);
CREATE FUNCTION scale.blocks() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class AS c
    WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind IN ('r', 'i') $$;
-- statement: $1 is the number of an account, another one each time, and $2 what came of the statement before (a token, say).
-- Each run is a transaction. The first tenth only warms up.
CREATE PROCEDURE scale.measure(number integer, call text, runs integer, statement text, before text DEFAULT 'SELECT NULL::text')
    LANGUAGE plpgsql AS $$
DECLARE
    users CONSTANT bigint := (SELECT c.reltuples FROM pg_class AS c WHERE c.oid = 'usher.users'::regclass);
    times numeric[] := '{}';
    blocks bigint[] := '{}';
    given text;
    result text;
    n bigint;
    began timestamptz;
    ended timestamptz;
    seen bigint;
BEGIN
    FOR i IN 1 .. runs + runs / 10 LOOP
        n := 1 + (i * 7919::bigint * 104729) % (users - 1);
        EXECUTE before INTO given USING n;
        COMMIT;
        PERFORM scale.blocks();
        seen := scale.blocks();
        began := clock_timestamp();
        EXECUTE statement INTO result USING n, given;
        ended := clock_timestamp();
        IF i > runs / 10 THEN
            times := times || extract(epoch FROM ended - began) * 1000;
            blocks := blocks || scale.blocks() - seen;
        END IF;
        IF result IS DISTINCT FROM 'ok' THEN
            RAISE EXCEPTION '% of account % answers %', call, n, result;
        END IF;
        COMMIT;
    END LOOP;
    INSERT INTO scale.found SELECT number, call, runs, percentile_cont(0.5) WITHIN GROUP (ORDER BY c), percentile_cont(0.5) WITHIN GROUP (ORDER BY b)
    FROM unnest(times, blocks) AS x (c, b);
    COMMIT;
END $$;
CALL scale.measure(1, '`login()`, with the cheapest hash', 200,
    $$SELECT coalesce(l.error, 'ok') FROM usher.login('user' || $1 || '@example.com', 'scale password 47 rivers') AS l$$);
CALL scale.measure(2, '`refresh_session()`', 200, $$SELECT coalesce(r.error, 'ok') FROM usher.refresh_session($2) AS r$$,
    $$SELECT l.refresh_token FROM usher.login('user' || $1 || '@example.com', 'scale password 47 rivers') AS l$$);
CALL scale.measure(3, '`register_user()`, with the cheapest hash', 200,
    $$SELECT coalesce(r.error, 'ok') FROM usher.register_user('new' || $1 || '@example.com', 'scale password 48 rivers') AS r$$);
CALL scale.measure(4, '`verify_token()`', 500, $$SELECT coalesce(v.error, 'ok') FROM usher.verify_token($2) AS v$$,
    $$SELECT usher.issue_token(scale.user($1))$$);
CALL scale.measure(5, '`authenticate()` of somebody this backend does not know yet', 500, $$SELECT CASE WHEN usher.authenticate($2) IS NOT NULL THEN 'ok' END$$,
    $$SELECT l.access_token FROM usher.login('user' || $1 || '@example.com', 'scale password 47 rivers') AS l$$);
CALL scale.measure(6, '`user_has_permission()` of somebody this backend does not know yet', 500,
    $$SELECT CASE WHEN usher.user_has_permission(scale.user($1 + 1), 'comment:create') THEN 'ok' END$$);
CALL scale.measure(7, '`user_has_permission()` again', 500, $$SELECT CASE WHEN usher.user_has_permission(scale.user($1 + 2), 'comment:create') THEN 'ok' END$$,
    $$SELECT usher.user_has_permission(scale.user($1 + 2), 'comment:create')$$);
CALL scale.measure(8, '`find_user()` by e-mail address', 200, $$SELECT CASE WHEN u.user_id IS NOT NULL THEN 'ok' END FROM usher.find_user('user' || $1 || '@example.com') AS u$$);
CALL scale.measure(9, '`list_users()`, 50 from anywhere', 200, $$SELECT CASE WHEN count(*) > 0 THEN 'ok' END FROM usher.list_users(after => scale.user($1)) AS u$$);
CALL scale.measure(10, '`list_sessions()` of somebody', 200, $$SELECT CASE WHEN count(*) > 0 THEN 'ok' END FROM usher.list_sessions(scale.user($1)) AS s$$);
CALL scale.measure(11, '`search_users()` for a whole name, 100', 100,
    $$SELECT CASE WHEN count(*) > 0 THEN 'ok' END FROM usher.search_users((SELECT u.display_name FROM usher.users AS u WHERE u.id = scale.user($1)), 100) AS s$$);
CALL scale.measure(12, '`metrics()`', 5, $$SELECT CASE WHEN count(*) > 0 THEN 'ok' END FROM usher.metrics() AS m$$);
CALL scale.measure(13, '`run_maintenance()` with nothing to do', 5, $$SELECT CASE WHEN count(*) FILTER (WHERE m.affected IS NULL) = 0 THEN 'ok' END FROM usher.run_maintenance() AS m$$);
CALL scale.measure(14, '`self_check()` of core', 1, $$SELECT CASE WHEN count(*) > 0 THEN 'ok' END FROM usher.self_check() AS m$$);

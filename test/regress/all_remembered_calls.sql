-- What functions of an extension remember for an idempotency key they trust, and read rows back by it as their owner. So
-- nobody else remembers anything in the name of an extension, whatever their level of access may call.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_remembered;
SELECT usher.register_extension('Remembers', 'regress_remembered', 'regress_remembered', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h));
CREATE FUNCTION regress_remembered.try(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RAISE SQLSTATE 'RB001' USING MESSAGE = 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN concat_ws(' ', nullif(SQLSTATE, 'RB001'), regexp_replace(SQLERRM, '"usher\w*"', '"…"'));
END
$$;
DO $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY '{application,gateway,courier,readonly,auditor,admin}'::text[] LOOP
        EXECUTE format('CREATE ROLE %I', 'regress_remembered_' || level);
        PERFORM usher.grant_access(('regress_remembered_' || level)::name, level);
    END LOOP;
END
$$;
SELECT l.level, x.extension IS NOT NULL AS is_extension, f.call, regress_remembered.try('regress_remembered_' || l.level, format(f.statement, x.name)) AS outcome, count(*) > 1 AS several
FROM unnest('{application,gateway,courier,readonly,auditor,admin}'::text[]) WITH ORDINALITY AS l (level, place)
    CROSS JOIN usher.extensions AS x
    CROSS JOIN (VALUES ('replay', 'SELECT usher.replay_call(%L, ''p1'', ''{}'')'), ('remember', 'SELECT usher.remember_call(%L, ''p1'', ''{"appointment_id": 1}'')')) AS f (call, statement)
WHERE x.extension LIKE 'usher%' OR x.name = 'regress_remembered'
GROUP BY 1, 2, 3, 4, l.place ORDER BY l.place, 2, 3;
-- Not by way of what stands behind them either.
SELECT l.level, regress_remembered.try('regress_remembered_' || l.level, 'SELECT usher._remember_call(''usher'', ''p1'', ''{}'')') AS outcome
FROM unnest('{application,gateway,admin}'::text[]) AS l (level) ORDER BY 1;
-- The error says whose it is, and what to do instead
\set VERBOSITY default
SET ROLE regress_remembered_application;
SELECT usher.remember_call('usher', 'p1', '{}');
\set VERBOSITY terse
-- An application remembers under its own name; a repetition gets the answer, another request none. Nothing happens without a key.
SELECT usher.replay_call('regress_remembered', 'p1', '{"n": 1}') IS NULL AS is_new;
SELECT usher.remember_call('regress_remembered', 'p1', '{"made": 7}');
SELECT usher.replay_call('regress_remembered', 'p1', '{"n": 1}');
SELECT usher.replay_call('regress_remembered', 'p1', '{"n": 2}');
SELECT usher.replay_call('regress_remembered', NULL, '{"n": 2}') IS NULL AS without_key, usher.replay_call(NULL, NULL, NULL) IS NULL AS nor_this;
SELECT usher.replay_call('regress_remembered', '', '{}');
SELECT usher.replay_call('regress_nobody', 'p1', '{}');
SELECT usher.replay_call(NULL, 'p1', '{}');
RESET ROLE;

-- A function of the extension speaks for its owner, though that is no superuser, whoever calls it; another's does not.
CREATE ROLE regress_remembered_owner;
GRANT regress_remembered_application TO regress_remembered_owner;
CREATE FUNCTION regress_remembered.remember() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT usher.replay_call('regress_remembered', 'p2', '{}'); SELECT usher.remember_call('regress_remembered', 'p2', '{}') $$;
GRANT USAGE ON SCHEMA regress_remembered TO regress_remembered_application;
ALTER FUNCTION regress_remembered.remember() OWNER TO regress_remembered_owner;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE usher.extensions SET extension = 'plpgsql' WHERE name = 'regress_remembered'; -- an extension of somebody else
SET LOCAL session_replication_role = origin;
SELECT regress_remembered.try('regress_remembered_application', 'SELECT regress_remembered.remember()') AS of_no_owner;
UPDATE pg_extension SET extowner = 'regress_remembered_owner'::regrole WHERE extname = 'plpgsql';
SELECT regress_remembered.try('regress_remembered_application', 'SELECT regress_remembered.remember()') AS of_the_owner,
       regress_remembered.try('regress_remembered_application', 'SELECT usher.replay_call(''regress_remembered'', ''p2'', ''{}'')') AS directly;
ROLLBACK;

-- Every function that takes a key: those that read a row back by what is remembered are tried with the row of somebody
-- else, in the file that is named.
SELECT p.proname, CASE
    WHEN p.proname IN ('create_order') THEN 'shop_orders'
    WHEN p.proname IN ('schedule_appointment') THEN 'booking_clinic'
    WHEN p.proname IN ('redeem_reward', 'redeem_offer') THEN 'loyalty_offers'
    WHEN p.proname IN ('earn_points', 'redeem_points', 'adjust_points', 'give_back_points') THEN 'loyalty_points'
    WHEN p.proname IN ('refund_reference') THEN 'payment_refunds'
    WHEN p.proname IN ('place_order', 'record_order_payment') THEN 'the row of the request, by its own rule'
    WHEN p.proname IN ('create_payment', 'create_refund', 'post_ledger') THEN 'a column of the row itself'
    WHEN p.proname ~ '^(create|confirm|start|complete|cancel|reschedule)_booking|_stock$|^add_order_event$' THEN 'the answer as it was remembered' END AS read_back
FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE e.extname LIKE 'usher\_%' AND p.proname NOT LIKE '\_%' AND 'idempotency_key' = ANY (p.proargnames)
ORDER BY p.proname COLLATE "C";

SELECT usher.unregister_extension('regress_remembered');
DROP SCHEMA regress_remembered CASCADE;
DO $$
DECLARE
    level text;
BEGIN
    REVOKE regress_remembered_application FROM regress_remembered_owner;
    FOREACH level IN ARRAY '{application,gateway,courier,readonly,auditor,admin}'::text[] LOOP
        PERFORM usher.revoke_access(('regress_remembered_' || level)::name);
        EXECUTE format('DROP ROLE %I', 'regress_remembered_' || level);
    END LOOP;
    DROP ROLE regress_remembered_owner;
END
$$;

-- Code of others leaves nothing behind but what its owner may write, and its trouble is nobody else's: what it sets is as
-- before, and when it fails, is slow, or returns something else, those who ask everybody ask the others, and tell.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_effects_author;
CREATE SCHEMA regress_effects;
GRANT USAGE, CREATE ON SCHEMA regress_effects TO regress_effects_author;
CREATE TABLE regress_effects.jobs (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text NOT NULL DEFAULT 'open');
SELECT usher.define_machine('regress_effects', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": "open", "to": "done", "action": "finish"}]}');
SELECT usher.attach_machine('regress_effects', 'regress_effects.jobs', 'status');

-- What it sets is as before when it returns: else its search_path would choose the operators of whatever runs on, as the
-- owner of the extension or as whoever is there.
SET SESSION AUTHORIZATION regress_effects_author;
CREATE FUNCTION regress_effects.operator_of_mine(a jsonb, b jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'operator of mine as %', current_user;
    RETURN false;
END
$$;
CREATE OPERATOR regress_effects.<> (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = regress_effects.operator_of_mine);
CREATE FUNCTION regress_effects.set_all() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'regress_effects, pg_catalog', false),
        set_config('courier.app_url', 'https://evil.example', false), set_config('regress.planted', 'yes', false),
        set_config('statement_timeout', '54321', false), set_config('work_mem', '54321', true);
    RETURN 'set';
END
$$;
CREATE FUNCTION regress_effects.setting_health() RETURNS text LANGUAGE sql AS 'SELECT regress_effects.set_all()';
CREATE FUNCTION regress_effects.setting_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text) LANGUAGE sql AS
    $$ SELECT regress_effects.set_all(), '{}'::jsonb, 1::double precision, NULL $$;
CREATE FUNCTION regress_effects.setting_handler(event text, payload jsonb) RETURNS void LANGUAGE sql AS
    'SELECT regress_effects.set_all()';
CREATE FUNCTION regress_effects.setting_guard(old jsonb, new jsonb) RETURNS boolean LANGUAGE sql AS
    'SELECT regress_effects.set_all() IS NOT NULL';
CREATE FUNCTION regress_effects.setting_archive(partition regclass, since timestamptz, until timestamptz)
    RETURNS void LANGUAGE sql AS 'SELECT regress_effects.set_all()';
CREATE FUNCTION regress_effects.setting_check(integer) RETURNS boolean LANGUAGE sql AS
    'SELECT regress_effects.set_all() IS NOT NULL';
CREATE DOMAIN regress_effects.setting AS integer CHECK (regress_effects.setting_check(VALUE));
CREATE TABLE regress_effects.settings (id integer PRIMARY KEY, n regress_effects.setting);
RESET SESSION AUTHORIZATION;
-- What differs in the session from how it was: asked in between, by names that no search_path chooses.
CREATE FUNCTION regress_effects.changed() RETURNS TABLE (setting text, value text) LANGUAGE sql
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.name, v.value FROM (VALUES ('courier.app_url', NULL), ('regress.planted', NULL),
        ('statement_timeout', '0'), ('work_mem', '4MB')) AS was (name, value)
        CROSS JOIN LATERAL (SELECT was.name, nullif(current_setting(was.name, true), '')) AS v (name, value)
    WHERE v.value IS DISTINCT FROM was.value
$$;
SELECT usher.register_extension('Settings', name => 'regress_effects_settings', schema_name => 'regress_effects',
    hooks => '{"health": "setting_health", "metrics": "setting_metrics"}',
    declined_hooks => '{upkeep,self_check,configuration,export,erase}');
SELECT extension_problems -> 'regress_effects_settings' AS told FROM usher.health();
SELECT count(*) FROM usher.metrics() WHERE name = 'set';
SELECT usher.unregister_extension('regress_effects_settings');
SELECT usher.subscribe('regress_effects.set', 'regress_effects_settings', 'regress_effects.setting_handler(text,jsonb)', 'sync'),
       usher.subscribe('regress_effects.set_late', 'regress_effects_settings', 'regress_effects.setting_handler(text,jsonb)', 'async');
SELECT usher.publish('regress_effects.set') IS NOT NULL AS sync, usher.publish('regress_effects.set_late') IS NOT NULL AS late;
SELECT * FROM usher.run_event_handlers();
SELECT usher.unsubscribe('regress_effects.set', 'regress_effects_settings'), usher.unsubscribe('regress_effects.set_late', 'regress_effects_settings');
SELECT usher.define_machine('regress_effects', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": "open", "to": "done", "action": "finish", "guard": "regress_effects.setting_guard(jsonb,jsonb)"}]}');
INSERT INTO regress_effects.jobs DEFAULT VALUES;
UPDATE regress_effects.jobs SET status = 'done' WHERE status = 'open';
SELECT usher._call_archive_function('regress_effects.setting_archive(regclass,timestamptz,timestamptz)',
                                    'regress_effects.jobs', now(), now());
SELECT usher.enable_audit('regress_effects.settings');
SELECT count(*) FROM usher.row_history('regress_effects.settings', '1');
SELECT usher.row_as_of('regress_effects.settings', '1', now());
SHOW search_path;
SELECT * FROM regress_effects.changed();

-- What fails in a way that no handler for others catches, is slow, returns something else since, or far too much: each is
-- told, and the others are asked.
SET SESSION AUTHORIZATION regress_effects_author;
CREATE FUNCTION regress_effects.odd_health() RETURNS text LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'no'; END $$;
CREATE FUNCTION regress_effects.odd_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled USING MESSAGE = 'nobody has'; END $$;
CREATE FUNCTION regress_effects.odd_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'no upkeep'; END $$;
CREATE FUNCTION regress_effects.odd_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'no check'; END $$;
CREATE FUNCTION regress_effects.odd_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE sql AS $$ SELECT 'regress_many', jsonb_build_object('n', n), n FROM generate_series(1, 1001) AS n
                       UNION ALL SELECT 'usher_worker_running', '{}', 7 $$;
CREATE FUNCTION regress_effects.odd_contact(customer_id uuid)
    RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text)
    LANGUAGE sql AS $$ SELECT NULL::uuid, pg_sleep(60)::text, NULL, NULL, NULL $$;
CREATE FUNCTION regress_effects.odd_handler(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'not handled'; END $$;
CREATE FUNCTION regress_effects.good_handler(event text, payload jsonb) RETURNS void LANGUAGE sql AS 'SELECT 1';
RESET SESSION AUTHORIZATION;
SELECT usher.register_extension('Odd', name => 'regress_effects_odd', schema_name => 'regress_effects', hooks => '{
    "upkeep": "odd_upkeep", "self_check": "odd_self_check", "configuration": "odd_configuration",
    "metrics": "odd_metrics", "health": "odd_health", "contact": "odd_contact"}', declined_hooks => '{export,erase}');
SELECT extension_problems FROM usher.health();
SELECT finding, severity FROM usher.check_configuration() WHERE extension = 'regress_effects_odd';
CREATE OR REPLACE FUNCTION regress_effects.odd_health() RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE query_canceled USING MESSAGE = ''; END $$; -- which nobody takes for a limit of time
SELECT extension_problems FROM usher.health();
SELECT count(*) > 10 AS the_rest_is_done FROM usher.run_maintenance();
SELECT rule, violations FROM usher.self_check() WHERE extension = 'regress_effects_odd';
SELECT failure FROM usher.run_self_check('regress_effects_odd');
SELECT count(*) FILTER (WHERE name = 'regress_many') AS of_them,
       count(*) FILTER (WHERE name = 'usher_worker_running' AND value = 7) AS for_others,
       max(value) FILTER (WHERE name = 'usher_metrics_failing' AND labels ->> 'extension' = 'regress_effects_odd') AS is_told
FROM usher.metrics();
-- slow: asked once in a transaction
BEGIN;
SELECT clock_timestamp() AS since \gset
SAVEPOINT s;
SELECT usher.customer_contact(usher.uuid_v7());
ROLLBACK TO s;
SELECT clock_timestamp() BETWEEN :'since'::timestamptz + '1 second' AND :'since'::timestamptz + '20 seconds' AS waited,
       clock_timestamp() AS since \gset
SELECT :'waited' AS waited;
SELECT usher.customer_contact(usher.uuid_v7());
ROLLBACK TO s;
SELECT clock_timestamp() < :'since'::timestamptz + '1 second' AS at_once;
ROLLBACK;
-- another shape
DROP FUNCTION regress_effects.odd_metrics, regress_effects.odd_self_check, regress_effects.odd_contact;
CREATE FUNCTION regress_effects.odd_metrics() RETURNS TABLE (name text, labels jsonb, value text)
    LANGUAGE sql AS $$ SELECT 'regress_effects_odd', '{}'::jsonb, 'many' $$;
CREATE FUNCTION regress_effects.odd_self_check() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_effects.odd_contact(customer_id uuid) RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT value FROM usher.metrics() WHERE name = 'usher_metrics_failing' AND labels ->> 'extension' = 'regress_effects_odd';
SELECT rule, violations FROM usher.self_check() WHERE extension = 'regress_effects_odd';
SELECT usher.customer_contact(usher.uuid_v7());
SELECT finding FROM usher.check_configuration() WHERE extension = 'regress_effects_odd' ORDER BY finding COLLATE "C";
SELECT usher.unregister_extension('regress_effects_odd');
-- handlers of events, of which the next one is called nevertheless
SELECT usher.subscribe('regress_effects.odd', 'regress_effects_odd_1', 'regress_effects.odd_handler(text,jsonb)', 'async'),
       usher.subscribe('regress_effects.odd', 'regress_effects_odd_2', 'regress_effects.good_handler(text,jsonb)', 'async');
SELECT usher.publish('regress_effects.odd', '{}') IS NOT NULL AS published;
SELECT * FROM usher.run_event_handlers();
SELECT consumer, attempts, error_message FROM usher.deliveries WHERE event = 'regress_effects.odd' ORDER BY 1;
DELETE FROM usher.deliveries WHERE event = 'regress_effects.odd';
SELECT usher.unsubscribe('regress_effects.odd', 'regress_effects_odd_1'), usher.unsubscribe('regress_effects.odd', 'regress_effects_odd_2');

SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_effects_author';
DROP SCHEMA regress_effects CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_effects';
DROP OWNED BY regress_effects_author;
DROP ROLE regress_effects_author;

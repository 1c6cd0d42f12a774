-- Code of others runs with the rights of its owner and nothing more: guards, event handlers, the archive function.
-- Here each is attacked by whoever makes it run, and attacks whoever makes it run.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_foreign_app;
CREATE ROLE regress_foreign_author;
SELECT usher.grant_access('regress_foreign_app', 'application');
CREATE SCHEMA regress_foreign;
GRANT USAGE, CREATE ON SCHEMA regress_foreign TO regress_foreign_author;
GRANT USAGE ON SCHEMA regress_foreign TO regress_foreign_app;
CREATE TABLE regress_foreign.jobs (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text NOT NULL DEFAULT 'open');
GRANT SELECT, INSERT, UPDATE ON regress_foreign.jobs TO regress_foreign_app;

-- A superuser's guard names a table without its schema. It was tried with another search_path, and worked.
CREATE TABLE regress_foreign.allowed (yes boolean);
INSERT INTO regress_foreign.allowed VALUES (true);
CREATE FUNCTION regress_foreign.sloppy_guard(old jsonb, new jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT bool_or(yes) FROM allowed);
END
$$;
SELECT usher.define_machine('regress_foreign', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": "open", "to": "done", "action": "finish", "guard": "regress_foreign.sloppy_guard(jsonb,jsonb)"}]}');
SELECT usher.attach_machine('regress_foreign', 'regress_foreign.jobs', 'status');
INSERT INTO regress_foreign.jobs DEFAULT VALUES;
SET search_path = regress_foreign;
UPDATE regress_foreign.jobs SET status = 'done'; -- not as it was tried, but as everybody will run it
RESET search_path;

-- Who changes the row puts a view of their own in the way, whose function would make them a superuser.
SET SESSION AUTHORIZATION regress_foreign_app;
CREATE FUNCTION pg_temp.escalate() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER ROLE regress_foreign_app SUPERUSER';
    RETURN true;
EXCEPTION WHEN insufficient_privilege THEN -- said in other words since PostgreSQL 16
    RAISE insufficient_privilege USING MESSAGE = 'no superuser: may not make one';
END
$$;
CREATE TEMP VIEW allowed AS SELECT pg_temp.escalate() AS yes;
GRANT SELECT ON allowed TO PUBLIC;
UPDATE regress_foreign.jobs SET status = 'done';
SELECT action, allowed, why_not
FROM usher.allowed_transitions('regress_foreign.jobs', (SELECT id::text FROM regress_foreign.jobs));
-- with a plan that was made before
SET search_path = pg_catalog, pg_temp;
SELECT regress_foreign.sloppy_guard(NULL, '{}') FROM generate_series(1, 3);
UPDATE regress_foreign.jobs SET status = 'done';
RESET search_path;
DROP VIEW allowed;
-- within a view, in a subquery, as a plain table that says what they like
CREATE TEMP TABLE allowed (yes boolean);
INSERT INTO allowed VALUES (true);
GRANT SELECT ON allowed TO PUBLIC;
UPDATE regress_foreign.jobs SET status = 'done';
DROP TABLE allowed;
-- a domain, whose CHECK would run
CREATE DOMAIN pg_temp.amount AS integer CHECK (pg_temp.escalate());
UPDATE regress_foreign.jobs SET status = 'done';
DROP DOMAIN pg_temp.amount;
RESET SESSION AUTHORIZATION;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_foreign_app';
-- temporary objects that the guard does not touch are nobody's business
CREATE OR REPLACE FUNCTION regress_foreign.sloppy_guard(old jsonb, new jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN NULL; -- it goes on after a rollback of its own
    END;
    RETURN (SELECT bool_or(yes) FROM regress_foreign.allowed);
END $$;
CREATE TEMP TABLE mine AS SELECT 'done' AS status;
UPDATE regress_foreign.jobs j SET status = m.status FROM mine m;
SELECT status FROM regress_foreign.jobs;
DROP TABLE mine;

-- The other way round: the author of a guard or handler is not to act as whoever changes the row or publishes.
SET SESSION AUTHORIZATION regress_foreign_author;
CREATE TABLE regress_foreign.notes (text text);
CREATE FUNCTION regress_foreign.escalate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    ALTER ROLE regress_foreign_author SUPERUSER;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON regress_foreign.notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION regress_foreign.escalate();
CREATE FUNCTION regress_foreign.hostile_guard(old jsonb, new jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_foreign.notes VALUES ('guard');
    RETURN true;
END $$;
CREATE FUNCTION regress_foreign.hostile_handler(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_foreign.notes VALUES (event);
END
$$;
CREATE FUNCTION regress_foreign.hostile_archive(partition regclass, since timestamptz, until timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN INSERT INTO regress_foreign.notes VALUES ('archive'); END $$;
CREATE FUNCTION regress_foreign.curious(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE payload ->> 'try'
        WHEN 'role' THEN SET ROLE NONE;
        WHEN 'session' THEN SET SESSION AUTHORIZATION DEFAULT;
        WHEN 'table' THEN CREATE TEMP TABLE planted (n integer);
        WHEN 'user' THEN RAISE 'runs as %, search_path %', current_user, current_setting('search_path');
        WHEN 'read' THEN PERFORM FROM usher.credentials;
    END CASE;
END $$;
RESET SESSION AUTHORIZATION;
SELECT usher.define_machine('regress_foreign', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": "open", "to": "done", "action": "finish", "guard": "regress_foreign.hostile_guard(jsonb,jsonb)"}]}');
INSERT INTO regress_foreign.jobs DEFAULT VALUES;
UPDATE regress_foreign.jobs SET status = 'done' WHERE status = 'open';
SELECT usher.subscribe('regress_foreign.done', 'regress_hostile',
                       'regress_foreign.hostile_handler(text,jsonb)', 'sync'),
       usher.subscribe('regress_foreign.try', 'regress_curious', 'regress_foreign.curious(text,jsonb)', 'sync');
SELECT usher.publish('regress_foreign.done', '{}');
SELECT usher._call_archive_function('regress_foreign.hostile_archive(regclass,timestamptz,timestamptz)',
                                    'regress_foreign.jobs', now(), now());
SELECT usher.publish('regress_foreign.try', '{"try": "role"}');
SELECT usher.publish('regress_foreign.try', '{"try": "session"}');
SELECT usher.publish('regress_foreign.try', '{"try": "table"}');
SELECT usher.publish('regress_foreign.try', '{"try": "user"}');
SELECT usher.publish('regress_foreign.try', '{"try": "read"}');
-- async, by whoever runs the handlers: a superuser, the worker
SELECT usher.subscribe('regress_foreign.late', 'regress_late', 'regress_foreign.hostile_handler(text,jsonb)', 'async');
SELECT usher.publish('regress_foreign.late', '{}') IS NOT NULL AS published;
SELECT * FROM usher.run_event_handlers();
SELECT error_message FROM usher.deliveries WHERE consumer = 'regress_late';
DELETE FROM usher.deliveries WHERE consumer = 'regress_late';
-- the hooks of an application
SET SESSION AUTHORIZATION regress_foreign_author;
CREATE FUNCTION regress_foreign.note(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_foreign.notes VALUES (what);
    RETURN what;
END
$$;
CREATE FUNCTION regress_foreign.hostile_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE sql AS $$ SELECT regress_foreign.note('upkeep'), 1::bigint $$;
CREATE FUNCTION regress_foreign.hostile_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE sql AS $$ SELECT regress_foreign.note('self_check'), 1::bigint $$;
CREATE FUNCTION regress_foreign.hostile_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE sql AS $$ SELECT regress_foreign.note('configuration'), 'notice', '' $$;
CREATE FUNCTION regress_foreign.hostile_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE sql AS $$ SELECT regress_foreign.note('metrics'), '{}'::jsonb, 1::double precision $$;
CREATE FUNCTION regress_foreign.hostile_health() RETURNS text
    LANGUAGE sql AS $$ SELECT regress_foreign.note('health') $$;
CREATE FUNCTION regress_foreign.hostile_export(user_id uuid) RETURNS jsonb
    LANGUAGE sql AS $$ SELECT to_jsonb(regress_foreign.note('export')) $$;
CREATE FUNCTION regress_foreign.hostile_erase(user_id uuid) RETURNS bigint
    LANGUAGE sql AS $$ SELECT length(regress_foreign.note('erase'))::bigint $$;
CREATE FUNCTION regress_foreign.hostile_contact(customer_id uuid)
    RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text)
    LANGUAGE sql AS $$ SELECT NULL::uuid, regress_foreign.note('contact'), NULL, NULL, NULL $$;
CREATE FUNCTION regress_foreign.hostile_location(location_id uuid) RETURNS TABLE (name text, time_zone text)
    LANGUAGE sql AS $$ SELECT regress_foreign.note('location'), NULL $$;
CREATE FUNCTION regress_foreign.hostile_purchase(id uuid)
    RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text,
                   location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean)
    LANGUAGE sql AS $$
    SELECT regress_foreign.note('purchase'), id, id, 1::bigint, 'EUR', id, id, '[]'::jsonb, now(), true
$$;
RESET SESSION AUTHORIZATION;
SELECT usher.register_extension('Hostile', name => 'regress_hostile', schema_name => 'regress_foreign', hooks => '{
    "upkeep": "hostile_upkeep", "self_check": "hostile_self_check", "configuration": "hostile_configuration",
    "metrics": "hostile_metrics", "health": "hostile_health", "export": "hostile_export", "erase": "hostile_erase",
    "contact": "hostile_contact", "location": "hostile_location",
    "purchase": "hostile_purchase"}');
SELECT count(*) > 0 AS the_rest_is_done FROM usher.run_maintenance();
-- The others are told, and that this one cannot.
SELECT extension, rule, violations FROM usher.self_check() WHERE violations > 0;
SELECT finding, severity FROM usher.check_configuration() WHERE extension = 'regress_hostile';
SELECT labels ->> 'extension' AS fails FROM usher.metrics() WHERE name = 'usher_metrics_failing' AND value = 1;
SELECT count(DISTINCT labels ->> 'extension') > 5 AS others_do_not FROM usher.metrics()
WHERE name = 'usher_metrics_failing' AND value = 0;
SELECT status, extension_problems FROM usher.health();
SELECT user_id AS victim FROM usher.register_user('regress.foreign@example.com', 'a password of some length') \gset
SELECT usher.export_user(:'victim');
SELECT usher.erase_user(:'victim');
SELECT usher.customer_contact(usher.uuid_v7());
SELECT usher.location_reference(usher.uuid_v7());
SELECT usher.purchase_of('order', usher.uuid_v7());
DROP FUNCTION regress_foreign.hostile_configuration();
SELECT finding, severity FROM usher.check_configuration() WHERE extension = 'regress_hostile';
SELECT usher.unregister_extension('regress_hostile');
SELECT usher.erase_user(:'victim') IS NOT NULL AS erased;

-- Who reads the history of a row runs the CHECKs of its domains and the casts of its types.
SET SESSION AUTHORIZATION regress_foreign_author;
CREATE FUNCTION regress_foreign.try_all() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        ALTER ROLE regress_foreign_author SUPERUSER;
    EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'as %: no superuser: may not make one', current_user;
    END;
    BEGIN
        INSERT INTO regress_foreign.notes VALUES ('read');
    EXCEPTION WHEN OTHERS THEN RAISE WARNING 'as %: %', current_user, SQLERRM;
    END;
    BEGIN
        SET LOCAL ROLE NONE;
    EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'as %: %', current_user, SQLERRM;
    END;
    RETURN true;
END
$$;
CREATE FUNCTION regress_foreign.always(integer) RETURNS boolean LANGUAGE sql AS 'SELECT regress_foreign.try_all()';
CREATE DOMAIN regress_foreign.number AS integer CHECK (regress_foreign.always(VALUE));
CREATE TABLE regress_foreign.counted (id integer PRIMARY KEY, n regress_foreign.number);
CREATE TYPE regress_foreign.colour AS ENUM ('red', 'green');
CREATE FUNCTION regress_foreign.colour_json(regress_foreign.colour) RETURNS json LANGUAGE sql
    AS $$ SELECT to_json(CASE WHEN regress_foreign.try_all() THEN 'json' END) $$;
CREATE CAST (regress_foreign.colour AS json) WITH FUNCTION regress_foreign.colour_json;
CREATE TABLE regress_foreign.coloured (id integer PRIMARY KEY, c regress_foreign.colour);
INSERT INTO regress_foreign.coloured VALUES (1, 'red');
RESET SESSION AUTHORIZATION;
SELECT usher.enable_audit('regress_foreign.counted'), usher.enable_audit('regress_foreign.coloured');
SELECT count(*) FROM usher.row_history('regress_foreign.counted', '1');
SELECT usher.row_as_of('regress_foreign.counted', '1', now());
SELECT usher.row_as_of('regress_foreign.coloured', '1', now());
-- A policy that holds for the owner too would hide the row: that is told.
SET SESSION AUTHORIZATION regress_foreign_author;
CREATE TABLE regress_foreign.hidden (id integer PRIMARY KEY);
INSERT INTO regress_foreign.hidden VALUES (1);
ALTER TABLE regress_foreign.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
RESET SESSION AUTHORIZATION;
SELECT usher.enable_audit('regress_foreign.hidden');
SELECT usher.row_as_of('regress_foreign.hidden', '1', now());

-- Everything else that belongs to a table or type runs as whoever makes the statement, as ever: never as the owner of
-- the extension, though usher's triggers and functions stand between.
CREATE FUNCTION regress_foreign.as_ever(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> session_user THEN
        RAISE '% runs as %', what, current_user;
    END IF;
    PERFORM set_config('regress.told', concat_ws(' ', nullif(current_setting('regress.told', true), ''), what), false);
    RETURN true;
END
$$;
CREATE FUNCTION regress_foreign.as_ever_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM regress_foreign.as_ever('trigger');
    RETURN NEW;
END
$$;
CREATE FUNCTION regress_foreign.told() RETURNS TABLE (what text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT t FROM string_to_table(current_setting('regress.told', true), ' ') AS t ORDER BY t;
    PERFORM set_config('regress.told', '', false);
END
$$;
CREATE DOMAIN regress_foreign.status AS text CHECK (regress_foreign.as_ever('domain' || left(VALUE, 0)));
CREATE FUNCTION regress_foreign.default_status() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT CASE WHEN regress_foreign.as_ever('default') THEN 'open' END $$;
CREATE TABLE regress_foreign.things (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    status regress_foreign.status NOT NULL DEFAULT regress_foreign.default_status(),
    CHECK (regress_foreign.as_ever('check' || left(status, 0))));
CREATE INDEX ON regress_foreign.things ((regress_foreign.as_ever('index' || left(status, 0))));
CREATE TRIGGER as_ever BEFORE INSERT OR UPDATE ON regress_foreign.things FOR EACH ROW
    EXECUTE FUNCTION regress_foreign.as_ever_trigger();
GRANT ALL ON regress_foreign.things TO regress_foreign_app;
SELECT usher.define_machine('regress_foreign', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": null, "to": "open", "action": "open", "event": "opened"},
    {"from": "open", "to": "done", "action": "finish", "event": "finished"}]}');
SELECT usher.attach_machine('regress_foreign', 'regress_foreign.things', 'status', '{"event_prefix": "regress_thing"}');
SELECT usher.enable_soft_delete('regress_foreign.things');
SELECT usher.enable_audit('regress_foreign.things');
CREATE FUNCTION regress_foreign.route(status regress_foreign.status) RETURNS text LANGUAGE sql
    -- told within the request, which leaves no setting behind
    AS $$ SELECT current_user || regress_foreign.as_ever('route') || ': ' || current_setting('regress.told') $$;
SELECT usher.add_route('POST', '/regress-foreign', 'regress_foreign.route(regress_foreign.status)', 'public') IS NOT NULL
    AS added;
SELECT usher.grant_access('regress_foreign_app', 'gateway');
SET SESSION AUTHORIZATION regress_foreign_app;
INSERT INTO regress_foreign.things DEFAULT VALUES;
UPDATE regress_foreign.things SET status = 'done';
SELECT what FROM regress_foreign.told();
SELECT count(*) FROM regress_foreign.things, usher.history('regress_foreign.things', id::text);
SELECT count(*) FROM regress_foreign.things, usher.allowed_transitions('regress_foreign.things', id::text);
DELETE FROM regress_foreign.things;
SELECT usher.restore_row('regress_foreign.things', to_jsonb(id)) FROM regress_foreign.things;
SELECT what FROM regress_foreign.told();
SELECT status, body FROM usher.http_request('POST', '/regress-foreign', '', '{"content-type": "application/json"}',
                                            '{"status": "x"}', NULL);
RESET SESSION AUTHORIZATION;
SELECT usher.remove_route('POST', '/regress-foreign');

-- crypt() is that of the extension pgcrypto, not one that is found first: it would hear passwords.
SET SESSION AUTHORIZATION regress_foreign_author;
CREATE FUNCTION regress_foreign.crypt(password text, salt text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'crypt hears "%"', password;
    RETURN salt;
END
$$;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_foreign_app;
SET search_path = regress_foreign, pg_catalog;
SELECT crypt('hello', '');
SELECT usher.verify_password('U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') AS right_password,
       usher.verify_password('U*V', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') AS wrong_password;
RESET search_path;
RESET SESSION AUTHORIZATION;

-- What whoever is there has left for the end of the transaction is not to run as the owner of a handler.
CREATE FUNCTION regress_foreign.hasty(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
END
$$;
SELECT usher.subscribe('regress_foreign.hasty', 'regress_hasty', 'regress_foreign.hasty(text,jsonb)', 'sync');
GRANT USAGE ON SCHEMA usher TO regress_foreign_author;
GRANT EXECUTE ON FUNCTION usher.publish TO regress_foreign_author;
SET SESSION AUTHORIZATION regress_foreign_author;
BEGIN;
INSERT INTO regress_foreign.notes VALUES ('deferred');
SELECT usher.publish('regress_foreign.hasty');
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE; -- outside of handlers it is as ever
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT usher.unsubscribe('regress_foreign.hasty', 'regress_hasty'),
       usher.unsubscribe('regress_foreign.late', 'regress_late');

SELECT current_user = session_user AS back, current_setting('search_path') = '"$user", public' AS path_too;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_foreign_author';
SELECT count(*) FROM regress_foreign.notes;
-- and after all these refusals this session may use its temporary tables as before
CREATE TEMP TABLE mine AS SELECT 1 AS n;
SELECT n FROM mine;
DROP TABLE mine;
-- handlers that publish to each other without end
CREATE FUNCTION regress_foreign.again(event text, payload jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT usher.publish('regress_foreign.round', '{}')
$$;
SELECT usher.subscribe('regress_foreign.round', 'regress_again', 'regress_foreign.again(text,jsonb)', 'sync');
SELECT usher.publish('regress_foreign.round', '{}');

SELECT usher.unsubscribe('regress_foreign.done', 'regress_hostile'),
       usher.unsubscribe('regress_foreign.try', 'regress_curious'),
       usher.unsubscribe('regress_foreign.round', 'regress_again');
DROP SCHEMA regress_foreign CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_foreign';
SELECT usher.revoke_access('regress_foreign_app');
DROP OWNED BY regress_foreign_app, regress_foreign_author;
DROP ROLE regress_foreign_app, regress_foreign_author;

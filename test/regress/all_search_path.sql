-- A caller who puts a schema of their own before pg_catalog gets its operators into their own statements, never into
-- one that runs as the owner of the extension.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT current_user AS owner \gset
CREATE ROLE regress_path_app LOGIN;
SELECT usher.grant_access('regress_path_app', 'application'), usher.grant_access('regress_path_app', 'gateway');
CREATE SCHEMA regress_path AUTHORIZATION regress_path_app;
INSERT INTO usher.users (id, email, status, username)
VALUES ('00000000-0000-7000-8000-00000000d0f1', 'path@regress.test', 'active', 'path');
SELECT usher.create_permission('path:walk'),
       usher.grant_permission('00000000-0000-7000-8000-00000000d0f1'::uuid, 'path:walk');
SELECT usher.issue_token('00000000-0000-7000-8000-00000000d0f1') AS token \gset
SELECT usher.define_rate_limit('regress.path', 'fixed_window', 100, '1 hour');
CREATE FUNCTION regress_path.walk(a integer DEFAULT 1, OUT a_result integer) LANGUAGE sql AS 'SELECT a';
GRANT EXECUTE ON FUNCTION regress_path.walk(integer) TO regress_path_app;
SELECT usher.add_route('POST', '/regress-path', 'regress_path.walk(integer)', 'permission', 'path:walk',
                       'regress.path') IS NOT NULL AS added;
CREATE FUNCTION regress_path.noted(event text, payload jsonb) RETURNS void LANGUAGE sql AS '';
SELECT usher.subscribe('regress.path', 'regress_path', 'regress_path.noted(text,jsonb)');

-- Every operator there is between two values of these types, made anew: it does the same and says who ran it.
SET SESSION AUTHORIZATION regress_path_app;
CREATE FUNCTION regress_path.tell(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) session_user THEN
        PERFORM pg_catalog.set_config('regress.ran_as_owner', pg_catalog.concat(
            pg_catalog.current_setting('regress.ran_as_owner', true), what, '; '), false);
    END IF;
    PERFORM pg_catalog.set_config('regress.ran', 'yes', false);
END $$;
DO $$
DECLARE
    o record;
    made integer := 0;
BEGIN
    FOR o IN
        SELECT p.oprname AS name, p.oprleft::regtype AS a, p.oprright::regtype AS b, p.oprresult::regtype AS result
             FROM pg_operator p
             WHERE p.oprname IN ('=', '<>', '<', '<=', '>', '>=', '||', '+', '-', '->>', '->', '@>')
               AND p.oprnamespace = 'pg_catalog'::regnamespace
               AND p.oprleft = ANY ('{uuid,text,name,oid,timestamptz,bytea,int2,int4,int8,bool,jsonb,interval,'
                                    'inet,"char",oidvector,date,numeric}'::regtype[])
               AND p.oprright = ANY ('{uuid,text,name,oid,timestamptz,bytea,int2,int4,int8,bool,jsonb,interval,'
                                     'inet,"char",oidvector,date,numeric}'::regtype[])
    LOOP
        made := made + 1;
        EXECUTE format('CREATE FUNCTION regress_path.f%s(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM '
                       'regress_path.tell(%L); RETURN a OPERATOR(pg_catalog.%s) b; END $f$',
                       made, o.a, o.b, o.result, format('%s %s %s', o.a, o.name, o.b), o.name);
        EXECUTE format('CREATE OPERATOR regress_path.%s (FUNCTION = regress_path.f%s, LEFTARG = %s, RIGHTARG = %s)',
                       o.name, made, o.a, o.b);
    END LOOP;
    IF made < 90 THEN
        RAISE 'only % operators', made;
    END IF;
END $$;
-- and types by the names of the server's: whatever is cast to one is looked at
CREATE FUNCTION regress_path.look(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM regress_path.tell(what);
    RETURN true;
END $$;
CREATE DOMAIN regress_path.text AS pg_catalog.text CHECK (regress_path.look('text'));
CREATE DOMAIN regress_path.jsonb AS pg_catalog.jsonb CHECK (regress_path.look('jsonb'));
CREATE DOMAIN regress_path.uuid AS pg_catalog.uuid CHECK (regress_path.look('uuid'));
CREATE DOMAIN regress_path.timestamptz AS pg_catalog.timestamptz CHECK (regress_path.look('timestamptz'));
-- a new backend, which has planned nothing yet
\c - regress_path_app
SET search_path = regress_path, pg_catalog;
SELECT 1 = 1 AS his_own, current_setting('regress.ran') AS ran;

-- what an application or gateway calls
SELECT jsonb_build_object('authorization', 'Bearer ' || :'token', 'content-type', 'application/json',
                          'idempotency-key', 'k1') AS headers \gset
SELECT h.status FROM usher.http_request('POST', '/regress-path', NULL, :'headers', '{"a": 5}', '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('POST', '/regress-path', NULL, :'headers', '{"a": 5}', '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('GET', '/openapi.json', NULL, '{}', NULL, '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('GET', '/.well-known/jwks.json', NULL, '{}', NULL, '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('POST', '/auth/login', NULL, '{"content-type": "application/json"}',
                                        '{"identifier": "path", "password": "not the password"}', '192.0.2.1') AS h;
SELECT (usher.verify_token(:'token')).error;
BEGIN;
SELECT usher.authenticate(:'token');
SELECT usher.has_permission('path:walk'), usher.has_role('client'),
       usher.user_has_permission('00000000-0000-7000-8000-00000000d0f1', 'path:walk');
SELECT usher.publish('regress.path', '{}') IS NOT NULL AS published,
       usher.log_event('regress.path') IS NOT NULL AS logged;
SELECT (usher.hit_rate_limit('regress.path', 'k')).allowed;
SELECT api_key FROM usher.create_api_key('path', '{path:walk}') \gset
COMMIT;
SELECT h.status FROM usher.http_request('POST', '/regress-path', NULL, jsonb_build_object(
    'authorization', 'Bearer ' || :'api_key', 'content-type', 'application/json'), '{}', '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('POST', '/regress-path', NULL, jsonb_build_object(
    'authorization', 'Bearer ' || :'api_key', 'content-type', 'application/json'), '{}', '192.0.2.1') AS h;
SELECT (usher.user_reference('00000000-0000-7000-8000-00000000d0f1')).email AS found,
       (usher.lock_user_reference('00000000-0000-7000-8000-00000000d0f1')).email AS locked;
SELECT coalesce(nullif(current_setting('regress.ran_as_owner', true), ''), 'nothing') AS ran_as_owner;

-- temporary types are found before all others, whatever the path
\c - regress_path_app
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (regress_path.look('temporary text'));
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (regress_path.look('temporary jsonb'));
SELECT 'his own'::text, current_setting('regress.ran') AS ran;
SELECT (usher.verify_token(:'token')).error;
SELECT (usher.hit_rate_limit('regress.path', 'k2')).allowed;
SELECT h.status FROM usher.http_request('POST', '/regress-path', NULL, pg_catalog.jsonb_build_object(
    'authorization', 'Bearer ' || :'api_key', 'content-type', 'application/json', 'idempotency-key', 'k2'),
    '{}', '192.0.2.1') AS h;
SELECT h.status FROM usher.http_request('GET', '/openapi.json', NULL, '{}', NULL, '192.0.2.1') AS h;
SELECT usher.log_event('regress.path') IS NOT NULL AS logged;
SELECT coalesce(nullif(current_setting('regress.ran_as_owner', true), ''), 'nothing') AS ran_as_owner;
\c - :owner
SET client_min_messages = warning;
SELECT usher.remove_route('POST', '/regress-path'), usher.unsubscribe('regress.path', 'regress_path'),
       usher.drop_rate_limit('regress.path'), usher.drop_permission('path:walk');
DELETE FROM usher.users WHERE email = 'path@regress.test';
SELECT usher.revoke_access('regress_path_app');
DROP SCHEMA regress_path CASCADE;
DROP OWNED BY regress_path_app;
DROP ROLE regress_path_app;

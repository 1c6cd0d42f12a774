-- HTTP dispatch: routes, binding, results, errors, admission, limits, OpenAPI.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT usher.apply_role_preset('carwash'); -- for its permissions
CREATE SCHEMA regress_http;
CREATE ROLE regress_http_gateway;
SELECT usher.grant_access('regress_http_gateway', 'gateway');
GRANT USAGE ON SCHEMA regress_http TO regress_http_gateway;

CREATE TYPE regress_http.color AS ENUM ('red', 'green');
CREATE DOMAIN regress_http.positive AS integer NOT NULL CHECK (VALUE > 0);
CREATE TYPE regress_http.pair AS (x integer, y text);
CREATE TABLE regress_http.things (
    id integer PRIMARY KEY,
    parent integer REFERENCES regress_http.things,
    late integer REFERENCES regress_http.things DEFERRABLE INITIALLY DEFERRED,
    amount integer NOT NULL CHECK (amount > 0),
    span int4range,
    EXCLUDE USING gist (span WITH &&)
);
CREATE FUNCTION regress_http.echo(id uuid, n integer DEFAULT 7, big bigint DEFAULT NULL, flag boolean DEFAULT NULL,
                                  words text DEFAULT NULL, at timestamptz DEFAULT NULL, day date DEFAULT NULL,
                                  color regress_http.color DEFAULT NULL, amount regress_http.positive DEFAULT 1,
                                  tags text[] DEFAULT NULL, numbers integer[] DEFAULT NULL,
                                  document jsonb DEFAULT NULL, span tstzrange DEFAULT NULL, price numeric DEFAULT NULL,
                                  ratio double precision DEFAULT NULL, pair regress_http.pair DEFAULT NULL,
                                  address inet DEFAULT NULL, lasting interval DEFAULT NULL)
    RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT jsonb_strip_nulls(jsonb_build_object('id', id, 'n', n, 'big', big, 'flag', flag, 'words', words,
            'at', at AT TIME ZONE 'UTC', 'day', day, 'color', color, 'amount', amount, 'numbers', numbers, 'document',
            document, 'empty', isempty(span), 'price', price, 'ratio', ratio, 'pair', pair, 'address', address,
            'lasting', extract(epoch FROM lasting)))
            || CASE WHEN tags IS NULL THEN '{}' ELSE jsonb_build_object('tags', tags) END $$;
CREATE FUNCTION regress_http.all_types(OUT yes boolean, OUT a smallint, OUT b bigint, OUT c numeric,
                                       OUT d double precision, OUT e double precision, OUT f text, OUT g uuid,
                                       OUT h timestamptz, OUT i timestamp, OUT j date, OUT k interval, OUT l inet,
                                       OUT m integer[], OUT n text[], OUT o regress_http.pair,
                                       OUT p regress_http.pair[], OUT q jsonb, OUT r json, OUT s int4range,
                                       OUT t regress_http.color, OUT u regress_http.positive, OUT v bytea,
                                       OUT w text)
    LANGUAGE sql STABLE
    AS $$
        SELECT true, -1::smallint, 9223372036854775807, 12345678901234567890.123, 0.1::float8, 'NaN'::float8,
               E'q"\\\n\u00e9',
                 '00000000-0000-0000-0000-0000000000ab'::uuid, '2026-01-02 03:04:05.6+02'::timestamptz,
                 '2026-01-02 03:04:05'::timestamp, '2026-01-02'::date, '1 day 2 hours'::interval, '2001:db8::1'::inet,
                 '{{1,2},{3,NULL}}'::integer[], '{}'::text[],
                 (1, 'x')::regress_http.pair, ARRAY[(1, NULL)::regress_http.pair], '{"k": [1]}'::jsonb,
                 '{"z":1}'::json, '[1,3)'::int4range,
                 'red'::regress_http.color, 3::regress_http.positive, '\x00ff'::bytea, NULL::text $$;
ALTER FUNCTION regress_http.all_types() RENAME TO types; -- the plan follows the function, whatever its name
CREATE FUNCTION regress_http.outcome(code text DEFAULT NULL, wait integer DEFAULT NULL, OUT error text,
                                     OUT retry_after integer, OUT version integer)
    LANGUAGE sql VOLATILE AS $$ SELECT code, wait, 3 $$;
CREATE FUNCTION regress_http.only_error(OUT error text) LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION regress_http.add_thing(id integer, amount integer DEFAULT 1, parent integer DEFAULT NULL,
                                       span int4range DEFAULT NULL, late integer DEFAULT NULL)
    RETURNS void LANGUAGE sql
    AS $$ INSERT INTO regress_http.things (id, amount, parent, span, late) VALUES (id, amount, parent, span, late) $$;
CREATE FUNCTION regress_http.list_things() RETURNS TABLE (id integer, amount integer) LANGUAGE sql STABLE
    AS $$ SELECT t.id, t.amount FROM regress_http.things t ORDER BY t.id $$;
CREATE FUNCTION regress_http.numbers() RETURNS SETOF integer LANGUAGE sql AS 'VALUES (1), (NULL), (3)';
CREATE FUNCTION regress_http.thing(id integer) RETURNS regress_http.things LANGUAGE sql STABLE
    AS $$ SELECT * FROM regress_http.things t WHERE t.id = thing.id $$;
CREATE FUNCTION regress_http.nothing() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION regress_http.scalar() RETURNS integer LANGUAGE sql AS 'SELECT 42';
CREATE FUNCTION regress_http.fail(state text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_http.things VALUES (99, NULL, NULL, 1);
    RAISE EXCEPTION 'S3CRET text' USING ERRCODE = state, DETAIL = '{"fact": 1}';
END $$;
CREATE FUNCTION regress_http.who() RETURNS text LANGUAGE sql STABLE AS 'SELECT usher.current_user_id()::text';
COMMENT ON FUNCTION regress_http.list_things() IS 'Lists things. All of them.';
GRANT ALL ON ALL TABLES IN SCHEMA regress_http TO regress_http_gateway;

SELECT usher.add_route(m, p, f::regprocedure, a) IS NOT NULL AS added
FROM (VALUES ('GET', '/regress/echo/{id}', 'regress_http.echo'::regproc, 'public'),
             ('POST', '/regress/echo/{id}', 'regress_http.echo', 'public'),
             ('GET', '/regress/types', 'regress_http.types', 'public'),
             ('GET', '/regress/outcome', 'regress_http.outcome', 'public'),
             ('POST', '/regress/only-error', 'regress_http.only_error', 'public'),
             ('POST', '/regress/things', 'regress_http.add_thing', 'public'),
             ('GET', '/regress/things', 'regress_http.list_things', 'public'),
             ('GET', '/regress/things/{id}', 'regress_http.thing', 'public'),
             ('GET', '/regress/things/numbers', 'regress_http.numbers', 'public'),
             ('GET', '/regress/nothing', 'regress_http.nothing', 'public'),
             ('GET', '/regress/scalar', 'regress_http.scalar', 'public'),
             ('POST', '/regress/fail', 'regress_http.fail', 'public'),
             ('GET', '/regress/who', 'regress_http.who', 'authenticated')) AS r (m, p, f, a);
SELECT usher.add_route('GET', '/regress/managers', 'regress_http.who()', 'permission',
                       'regress:manage') IS NOT NULL AS added;
SELECT usher.add_route('GET', '/regress/read-only', 'regress_http.fail(text)', 'public',
                       read_only => true) IS NOT NULL AS added;
SELECT usher.define_rate_limit('regress.http', 'fixed_window', 2, '1 hour');
SELECT usher.add_route('GET', '/regress/limited', 'regress_http.scalar()', 'public', rate_limit => 'regress.http',
                       cache_control => 'max-age=1')
    IS NOT NULL AS added;

-- One request, as the gateway sends it. The correlation id is always the same, so that answers can be compared.
CREATE FUNCTION regress_http.ask(method text, path text, query text DEFAULT NULL, body text DEFAULT NULL,
                                 headers jsonb DEFAULT '{}')
    RETURNS TABLE (status integer, answer text, more text) LANGUAGE sql VOLATILE AS $$
    SELECT h.status, h.body,
           (SELECT string_agg(e ->> 0 || ': ' || (e ->> 1), ' | ' ORDER BY e ->> 0)
            FROM jsonb_array_elements(h.headers) AS e
            WHERE e ->> 0 NOT IN ('X-Correlation-Id', 'usher-route')
              AND NOT e IN ('["Cache-Control", "no-store"]', '["Content-Type", "application/json"]',
                            '["Content-Type", "application/problem+json"]'))
    FROM usher.http_request(method, path, query,
             '{"x-correlation-id": "regress", "content-type": "application/json"}'::jsonb || headers, body,
             '192.0.2.1') AS h $$;
GRANT EXECUTE ON FUNCTION regress_http.ask(text, text, text, text, jsonb) TO regress_http_gateway;
-- What a problem document says beside what every one says.
CREATE FUNCTION regress_http.no(method text, path text, query text DEFAULT NULL, body text DEFAULT NULL,
                                headers jsonb DEFAULT '{}')
    RETURNS TABLE (status integer, code text, said text, more text) LANGUAGE sql VOLATILE AS $$
    SELECT a.status, a.answer::jsonb ->> 'code',
           nullif((a.answer::jsonb - '{type,title,status,instance,code,correlation_id}'::text[])::text, '{}'), a.more
    FROM regress_http.ask(method, path, query, body, headers) AS a
    WHERE a.answer::jsonb ->> 'correlation_id' = 'regress' AND (a.answer::jsonb ->> 'status')::integer = a.status
      AND a.answer::jsonb ->> 'type' = 'urn:usher:error:' || (a.answer::jsonb ->> 'code')
      AND a.answer::jsonb ->> 'instance' = path $$;
GRANT EXECUTE ON FUNCTION regress_http.no(text, text, text, text, jsonb) TO regress_http_gateway;
SET SESSION AUTHORIZATION regress_http_gateway;

-- Arguments ----------------------------------------------------------------------------------------------------------
\set id 00000000-0000-0000-0000-0000000000ab
SELECT * FROM regress_http.ask('GET', '/regress/echo/' || :'id');
SELECT * FROM regress_http.ask('GET', '/regress/echo/' || :'id',
    'n=-5&big=-9223372036854775808&flag=true&words=a+b%20%2B%26&at=2026-01-01T00:00:00%2B02:00&day=2026-02-28&color=red&amount=3&tags=x&tags=y&numbers=1');
SELECT * FROM regress_http.ask('GET', '/regress/echo/' || :'id',
    'document=[1,{}]&span=empty&price=1.50&ratio=1e3&address=2001:db8::1&lasting=PT5M');
SELECT * FROM regress_http.ask('POST', '/regress/echo/' || :'id', 'n=5',
    '{"big":9223372036854775807,"flag":false,"words":"\u00e4\"\\","at":"2026-01-01T00:00:00Z","color":"green","tags":["q",null],"numbers":[],
      "document":{"k":[1,2,{"a":null}]},"span":"[2026-01-01,)","price":12345678901234567890.12,"pair":{"x":1,"y":"z"},"lasting":"PT2M"}');
-- null is null, not the default; exact decimals may come as strings
SELECT * FROM regress_http.ask('POST', '/regress/echo/' || :'id', NULL, '{"n":null,"price":"0.10"}');
SELECT * FROM regress_http.ask('POST', '/regress/echo/' || :'id', NULL, '{}');
SELECT * FROM regress_http.ask('POST', '/regress/echo/' || :'id', NULL, '');
-- every field that is wrong is named
SELECT e.* FROM regress_http.no('POST', '/regress/echo/xyz', 'n=5&zz=1&n=6&words=a',
    '{"n":6,"big":9223372036854775808,"flag":1,"words":5,"tags":"a","numbers":[1,"2"],"pair":[],"price":true,"at":"2026-01-01T00:00:00","color":7,"yy":1}') AS n,
    jsonb_to_recordset(n.said::jsonb -> 'errors') AS e (field text, "in" text, code text, detail text);
SELECT * FROM regress_http.no('GET', '/regress/echo/xyz');
SELECT q, n.status, n.said
FROM unnest(ARRAY['n=2147483648', 'n=', 'n=1.0', 'big=99999999999999999999', 'flag=yes',
                  'at=now', 'at=2026-13-01T00:00:00Z', 'at=2026-01-01', 'day=2026-02-30', 'color=blue', 'amount=0',
                  'numbers=x', 'document={', 'span=[2,1', 'price=abc', 'ratio=1e999', 'pair={}', 'address=1.2.3',
                  'lasting=long']) AS q,
     LATERAL regress_http.no('GET', '/regress/echo/' || :'id', q) AS n;
SELECT * FROM regress_http.no('POST', '/regress/echo/' || :'id', NULL, '{"amount":null}');
SELECT * FROM regress_http.no('POST', '/regress/things', NULL, '{"amount":1}');
SELECT * FROM regress_http.no('POST', '/regress/things');
SELECT b AS body, n.status, n.code, n.said
FROM unnest(ARRAY['[]', 'null', '"x"', '{', '{}x', '{"id":1,"id":2}', '{"id":1,}', '{"id":NaN}', '{"a":"\u0000"}',
    '{"a":"\ud800"}', '{"id":1e400}', '{"id":01}']) AS b,
            LATERAL regress_http.no('POST', '/regress/things', NULL, b) AS n;
SELECT n.status, n.code, n.said FROM regress_http.no('POST', '/regress/things', NULL, repeat('[', 10000)) AS n;
SELECT n.status, n.code, n.said
FROM regress_http.no('POST', '/regress/things', NULL, '{"x":"' || repeat('x', 2000000) || '"}') AS n;
SELECT n.status, n.code, n.said
FROM regress_http.no('POST', '/regress/things', NULL, '{"' || repeat('x', 1000) || '":1,"id":1}') AS n;
SELECT t AS content_type, n.status, n.code
FROM unnest(ARRAY['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', '']) AS t,
    LATERAL regress_http.no('POST', '/regress/things', NULL, '{"id":1}', jsonb_build_object('content-type', t)) AS n;
SELECT q AS query, n.status, n.code, n.said
FROM unnest(ARRAY['%', 'id=%00', 'id=%ff', '=1', 'a=' || repeat('x', 10000)]) AS q,
    LATERAL regress_http.no('GET', '/regress/things', q) AS n WHERE length(q) < 100 OR n.status <> 400;
-- injection: everything is a value
SELECT a.status, a.answer FROM regress_http.ask('POST', '/regress/echo/' || :'id', NULL,
                                                '{"words":"''; DROP TABLE regress_http.things; --"}') AS a;
SELECT n.status, n.said FROM regress_http.no('GET', '/regress/things/1;DROP%20TABLE%20x') AS n;

-- Results ------------------------------------------------------------------------------------------------------------
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET IntervalStyle = 'postgres_verbose';
SELECT * FROM regress_http.ask('GET', '/regress/types');
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
SELECT * FROM regress_http.ask('POST', '/regress/things', NULL, '{"id":1}');
SELECT * FROM regress_http.ask('POST', '/regress/things', NULL, '{"id":2,"parent":1,"span":"[1,5)"}');
SELECT * FROM regress_http.ask('GET', '/regress/things');
SELECT * FROM regress_http.ask('GET', '/regress/things/2');
SELECT * FROM regress_http.ask('GET', '/regress/things/numbers');
SELECT * FROM regress_http.ask('GET', '/regress/scalar');
SELECT * FROM regress_http.no('GET', '/regress/nothing');
SELECT * FROM regress_http.ask('POST', '/regress/only-error');
-- `error` steers the status; version makes the entity tag
SELECT * FROM regress_http.ask('GET', '/regress/outcome');
SELECT * FROM regress_http.ask('GET', '/regress/outcome', NULL, NULL, '{"if-none-match": "W/\"3\", \"4\""}');
SELECT * FROM regress_http.ask('GET', '/regress/outcome', NULL, NULL, '{"if-none-match": "\"4\""}');
SELECT * FROM regress_http.no('GET', '/regress/outcome', 'code=rate_limited&wait=9');
SELECT * FROM regress_http.no('GET', '/regress/outcome', 'code=invalid_credentials');
SELECT * FROM regress_http.no('GET', '/regress/outcome', 'code=something_new');

-- Errors: what the function did is taken back, the status tells, the server's own text does not ----------------------
SELECT s AS sqlstate, n.*
FROM unnest(
    ARRAY['P0001', '22012', '22023', '23502', '23505', '23514', '25006', '28000', '40001', '40P01', '42501', '42P01',
    '53100', '54000', '55000', '55P03', '08006', 'US001', 'US003', 'US005', 'US006', 'UZ999', 'XX000']) AS s,
    LATERAL regress_http.no('POST', '/regress/fail', NULL, jsonb_build_object('state', s)::text) AS n;
SELECT * FROM regress_http.no('POST', '/regress/things', NULL, '{"id":1}');
SELECT * FROM regress_http.no('POST', '/regress/things', NULL, '{"id":3,"parent":77}');
SELECT * FROM regress_http.no('POST', '/regress/things', NULL, '{"id":3,"amount":0}');
SELECT * FROM regress_http.no('POST', '/regress/things', NULL, '{"id":3,"span":"[4,6)"}');
SELECT * FROM regress_http.no('GET', '/regress/read-only', 'state=P0001');
SELECT id FROM regress_http.things ORDER BY id;
-- a deferred constraint fails at commit, after the answer: the gateway waits for it
SELECT a.status FROM regress_http.ask('POST', '/regress/things', NULL, '{"id":4,"late":77}') AS a;
-- a cancel is not an answer
SET statement_timeout = '100ms';
RESET SESSION AUTHORIZATION;
CREATE FUNCTION regress_http.slow() RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(10)';
SELECT usher.add_route('POST', '/regress/slow', 'regress_http.slow()', 'public') IS NOT NULL AS added;
SELECT * FROM regress_http.ask('POST', '/regress/slow');
RESET statement_timeout;
-- a route may have less time than others; whichever limit comes first counts, and afterwards the server's is in force
-- again
SELECT usher.add_route('POST', '/regress/slow', 'regress_http.slow()', 'public',
                       options => '{"timeout_ms": 100}') IS NOT NULL AS added;
SELECT * FROM regress_http.ask('POST', '/regress/slow');
SET statement_timeout = '1min';
SELECT * FROM regress_http.ask('POST', '/regress/slow');
SELECT usher.add_route('POST', '/regress/slow', 'regress_http.slow()', 'public',
                       options => '{"timeout_ms": 60000}') IS NOT NULL AS added;
SET statement_timeout = '100ms';
SELECT * FROM regress_http.ask('POST', '/regress/slow');
SELECT usher.add_route('GET', '/regress/quick', 'regress_http.scalar()', 'public',
                       options => '{"timeout_ms": 50}') IS NOT NULL AS added;
SELECT a.status, pg_sleep(10) FROM regress_http.ask('GET', '/regress/quick') AS a;
SET statement_timeout = 0;
SELECT a.status, pg_sleep(0.1) IS NOT NULL AS slept FROM regress_http.ask('GET', '/regress/quick') AS a;
-- a limit that is over where nothing looks: whoever looks next is told what it was
CREATE FUNCTION regress_http.busy() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    much numeric := 430000;
BEGIN
    -- which cannot be interrupted, and takes longer than the limit on any machine
    RETURN 1 < ALL (ARRAY[2 ^ much, 2 ^ (much - 1), 2 ^ (much - 2), 2 ^ (much - 3), 2 ^ (much - 4), 2 ^ (much - 5),
                          2 ^ (much - 6), 2 ^ (much - 7), 2 ^ (much - 8), 2 ^ (much - 9), 2 ^ (much - 10), 2 ^ (much - 11)]);
END $$;
SELECT usher.add_route('GET', '/regress/busy', 'regress_http.busy()', 'public',
                       options => '{"timeout_ms": 20}') IS NOT NULL AS added;
SET statement_timeout = '1min';
SELECT a.status, pg_sleep(10) FROM regress_http.ask('GET', '/regress/busy') AS a;
RESET statement_timeout;
SELECT timeout_ms FROM usher.list_routes() WHERE path_template IN ('/regress/slow', '/regress/quick') ORDER BY 1;
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', options => o::jsonb)
FROM unnest(ARRAY['{"timeout_ms": 0}']) AS o;
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', options => o::jsonb)
FROM unnest(ARRAY['{"timeout_ms": 3600001}']) AS o;
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', options => o::jsonb)
FROM unnest(ARRAY['{"timeout_ms": "5s"}']) AS o;
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', options => o::jsonb)
FROM unnest(ARRAY['{"timeout_ms": 1.5}']) AS o;
-- what is costly: what takes a password, and what says so
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', options => '{"costly": "yes"}');
SELECT string_agg(method || ' ' || path_template, E'\n' ORDER BY path_template) FROM usher.list_routes() WHERE is_costly;
BEGIN;
SELECT usher.add_route('GET', '/regress/report', 'regress_http.scalar()', options => '{"costly": true}') IS NOT NULL AS added;
SELECT usher.add_route('POST', '/auth/login', 'usher.login(text,text,jsonb)', access => 'public', options => '{"costly": false}') IS NOT NULL AS added;
SELECT path_template, is_costly FROM usher.list_routes() WHERE path_template IN ('/regress/report', '/auth/login') ORDER BY 1;
ROLLBACK;
-- a function that the gateway may not call is our fault, not the client's
REVOKE EXECUTE ON FUNCTION regress_http.slow() FROM PUBLIC;
SET SESSION AUTHORIZATION regress_http_gateway;
SELECT * FROM regress_http.no('POST', '/regress/slow');

-- Methods and paths --------------------------------------------------------------------------------------------------
SELECT * FROM regress_http.ask('HEAD', '/regress/scalar');
SELECT * FROM regress_http.ask('GET', '/regress/scalar/');
SELECT * FROM regress_http.ask('OPTIONS', '/regress/things');
SELECT * FROM regress_http.no('DELETE', '/regress/things');
SELECT * FROM regress_http.no('PATCH', '/regress/things/1');
SELECT m AS method, n.*
FROM unnest(ARRAY['TRACE', 'get', '', 'CONNECT']) AS m, LATERAL regress_http.no(m, '/regress/scalar') AS n;
SELECT p AS path, n.status, n.code, n.said
FROM unnest(ARRAY['/', '', 'regress', '//regress/scalar', '/regress//scalar', '/regress/scalar//', '/Regress/scalar',
    '/regress/../regress/scalar', '/regress/%', '/regress/%00', '/regress/%ff', '/regress/echo/', '/regress/nowhere',
    '/*']) AS p,
    LATERAL regress_http.no('GET', p) AS n;
SELECT n.status, n.code FROM regress_http.no('GET', '/' || repeat('a', 3000)) AS n;
SELECT n.status, n.code FROM regress_http.no('GET', repeat('/a', 1000)) AS n;
-- decoded once
SELECT a.status, a.answer FROM regress_http.ask('GET', '/regress/things/%32') AS a;
SELECT n.status, n.said FROM regress_http.no('GET', '/regress/things/%2532') AS n;
-- headers that are no object, and arguments that are null
SELECT status FROM usher.http_request(NULL, '/');
SELECT status FROM usher.http_request('GET', NULL);
SELECT status FROM usher.http_request('GET', '/regress/scalar', NULL, '[]');
SELECT status FROM usher.http_request('GET', '/regress/scalar', NULL, NULL, NULL, NULL);
SELECT status FROM usher.http_request('GET', '/regress/scalar', NULL,
                                      '{"authorization": 5, "user-agent": [], "x-correlation-id": {}}');
-- correlation: traceparent, then a valid id of the caller's, else a new one
SELECT (SELECT e ->> 1 FROM jsonb_array_elements(h.headers) e WHERE e ->> 0 = 'X-Correlation-Id') AS id
FROM (VALUES ('{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x-correlation-id": '
              '"mine"}'::jsonb)) AS g (given),
     usher.http_request('GET', '/regress/scalar', NULL, given) AS h;
SELECT given, (SELECT e ->> 1 ~ '^[0-9a-f-]{36}$'
               FROM jsonb_array_elements(h.headers) e WHERE e ->> 0 = 'X-Correlation-Id') AS is_new
FROM (VALUES ('{}'::jsonb), ('{"x-correlation-id": "a b"}'), ('{"traceparent": "00-0-0-01"}'),
             (jsonb_build_object('x-correlation-id', E'a\r\nSet-Cookie: b'))) AS g (given),
     usher.http_request('GET', '/regress/scalar', NULL, given) AS h;

-- Admission ----------------------------------------------------------------------------------------------------------
RESET SESSION AUTHORIZATION;
INSERT INTO usher.users (id, email, status) VALUES ('00000000-0000-7000-8000-00000000d001', 'one@http.test', 'active');
SELECT usher.issue_token('00000000-0000-7000-8000-00000000d001') AS token \gset
SELECT jsonb_build_object('authorization', 'Bearer ' || :'token') AS bearer \gset
SET SESSION AUTHORIZATION regress_http_gateway;
SELECT * FROM regress_http.ask('GET', '/regress/who', NULL, NULL, :'bearer');
SELECT * FROM regress_http.no('GET', '/regress/who');
SELECT a AS credentials, n.*
FROM unnest(ARRAY['Basic YTpi', 'Bearer', 'Bearer a b', 'Bearer é', 'Bearer abc', 'Bearer a.b.c',
                  'Bearer eyJhbGciOiJub25lIn0.e30.']) AS a,
    LATERAL regress_http.no('GET', '/regress/who', NULL, NULL, jsonb_build_object('authorization', a)) AS n;
SELECT n.status, n.code FROM regress_http.no(
    'GET', '/regress/who', NULL, NULL, jsonb_build_object('authorization', 'Bearer ' || repeat('a', 1000000))) AS n;
SELECT * FROM regress_http.no('GET', '/regress/managers', NULL, NULL, :'bearer');
SELECT * FROM regress_http.no('GET', '/regress/managers');
-- each request stands for itself, also within one transaction
BEGIN;
SELECT usher.authenticate(:'token') IS NOT NULL AS authenticated;
SELECT n.status FROM regress_http.no('GET', '/regress/who') AS n;
SELECT usher.current_user_id();
COMMIT;
-- a public route does not mind an old token
SELECT a.status FROM regress_http.ask('GET', '/regress/scalar', NULL, NULL, '{"authorization": "Bearer abc"}') AS a;
RESET SESSION AUTHORIZATION;
SELECT usher.create_permission('regress:manage', 'test');
SELECT usher.grant_permission(to_user => '00000000-0000-7000-8000-00000000d001', permission => 'regress:manage');
SELECT a.status FROM regress_http.ask('GET', '/regress/managers', NULL, NULL, :'bearer') AS a;
-- a request without token is nobody, even when the gateway connects as a superuser by mistake
SELECT usher.add_route('POST', '/regress/drop-limit', 'usher.drop_rate_limit(text)', 'public') IS NOT NULL AS added;
SELECT n.status, n.code FROM regress_http.no('POST', '/regress/drop-limit', NULL, '{"policy":"regress.http"}') AS n;
SELECT n.status, n.code
FROM regress_http.no('POST', '/regress/drop-limit', NULL, '{"policy":"regress.http"}', :'bearer') AS n;

-- Rate limit: per user or address, with headers ----------------------------------------------------------------------
SET SESSION AUTHORIZATION regress_http_gateway;
SELECT n, a.status, regexp_replace(a.more, 't=\d+|After: \d+', '…', 'g') AS more,
       (a.answer::jsonb ->> 'retry_after')::integer BETWEEN 3500 AND 3600 AS hour
FROM generate_series(1, 3) AS n, LATERAL (SELECT n) AS each (m),
     LATERAL regress_http.ask('GET', '/regress/limited', left(m::text, 0)) AS a;
SELECT a.status FROM regress_http.ask('GET', '/regress/limited', NULL, NULL, :'bearer') AS a;
RESET SESSION AUTHORIZATION;
-- a policy that is gone is our fault
SELECT usher.drop_rate_limit('regress.http');
SELECT n.status, n.code FROM regress_http.no('GET', '/regress/limited') AS n;

-- Routes: changed ones count at once, those of gone functions answer 404 ---------------------------------------------
SELECT usher.add_route('GET', '/regress/scalar', 'regress_http.numbers()', 'public',
                       summary => 'Changed') IS NOT NULL AS changed;
SELECT * FROM regress_http.ask('GET', '/regress/scalar');
DROP FUNCTION regress_http.numbers();
SELECT n.status FROM regress_http.no('GET', '/regress/scalar') AS n;
SELECT is_available, summary FROM usher.list_routes() WHERE path_template = '/regress/scalar';
CREATE FUNCTION regress_http.numbers() RETURNS SETOF integer LANGUAGE sql AS 'VALUES (7)';
SELECT * FROM regress_http.ask('GET', '/regress/scalar');
CREATE OR REPLACE FUNCTION regress_http.numbers() RETURNS SETOF integer LANGUAGE sql AS 'VALUES (8)';
SELECT * FROM regress_http.ask('GET', '/regress/scalar');
SELECT usher.remove_route('GET', '/regress/things/{whatever}'),
       usher.remove_route('GET', '/regress/things/{id}') AS again, usher.remove_route(NULL, NULL);
SELECT n.status FROM regress_http.no('GET', '/regress/things/1') AS n;
-- a routed function may change the routes it came by
CREATE FUNCTION regress_http.swap() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.add_route('GET', '/regress/swap', 'regress_http.scalar()', 'public');
    RETURN (SELECT h.status FROM usher.http_request('GET', '/regress/swap') AS h);
END $$;
SELECT usher.add_route('GET', '/regress/swap', 'regress_http.swap()', 'permission',
                       'regress:manage') IS NOT NULL AS added;
SELECT usher.grant_permission(to_user => '00000000-0000-7000-8000-00000000d001', permission => 'route:manage');
SELECT * FROM regress_http.ask('GET', '/regress/swap', NULL, NULL, :'bearer');
SELECT * FROM regress_http.ask('GET', '/regress/swap');
-- and ask its own route, for more plans than are kept
CREATE FUNCTION regress_http.deep(a text DEFAULT NULL, b text DEFAULT NULL, c text DEFAULT NULL, d text DEFAULT NULL,
                                  e text DEFAULT NULL) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN a = 'all' THEN (SELECT count(*) FROM generate_series(1, 31) AS n,
        LATERAL usher.http_request('GET', '/regress/deep', (SELECT string_agg(chr(97 + i) || '=1', '&')
                                                            FROM generate_series(0, 4) AS i WHERE n >> i & 1 = 1)) AS h
        WHERE h.status = 200 AND h.body = '{"result":31}') ELSE 31 END $$;
SELECT usher.add_route('GET', '/regress/deep', 'regress_http.deep(text,text,text,text,text)',
                       'public') IS NOT NULL AS added;
SELECT * FROM regress_http.ask('GET', '/regress/deep', 'a=all');
-- a function that is replaced while its arguments are read, by one that returns no row
CREATE FUNCTION regress_http.replaces(word text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DROP FUNCTION regress_http.replaced(regress_http.replacing);
    CREATE FUNCTION regress_http.replaced(word regress_http.replacing)
        RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1 WHERE false';
    RETURN true;
END $$;
CREATE DOMAIN regress_http.replacing AS text CHECK (regress_http.replaces(VALUE));
CREATE FUNCTION regress_http.replaced(word regress_http.replacing) RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT usher.add_route('POST', '/regress/replaced', 'regress_http.replaced(regress_http.replacing)',
                       'public') IS NOT NULL AS added;
SELECT n.status, n.code FROM regress_http.no('POST', '/regress/replaced', NULL, '{"word": "x"}') AS n;

CREATE FUNCTION regress_http.unnamed(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_http.many(VARIADIC a integer[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_http.any_type(a anyelement) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_http.records() RETURNS SETOF record LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_http.pairs(a regress_http.pair[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION regress_http.trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION regress_http.unnamed_results(OUT integer, OUT integer) LANGUAGE sql AS 'SELECT 1, 2';
CREATE PROCEDURE regress_http.procedure() LANGUAGE sql AS 'SELECT 1';
SELECT usher.add_route('FETCH', '/x', 'regress_http.scalar()');
SELECT usher.add_route(NULL, '/x', 'regress_http.scalar()');
SELECT usher.add_route('GET', NULL, 'regress_http.scalar()');
SELECT usher.add_route('GET', 'x', 'regress_http.scalar()');
SELECT usher.add_route('GET', '/{Id}', 'regress_http.scalar()');
SELECT usher.add_route('GET', '/' || repeat('x', 1000000), 'regress_http.scalar()');
SELECT usher.add_route('GET', '/{missing}', 'regress_http.scalar()');
SELECT usher.add_route('GET', '/{tags}', 'regress_http.echo'::regproc);
SELECT usher.add_route('GET', '/x', NULL);
SELECT usher.add_route('GET', '/x', 0);
SELECT usher.add_route('GET', '/x', 'regress_http.unnamed(integer)');
SELECT usher.add_route('GET', '/x', 'regress_http.many(integer[])');
SELECT usher.add_route('GET', '/x', 'regress_http.any_type(anyelement)');
SELECT usher.add_route('GET', '/x', 'regress_http.records()');
SELECT usher.add_route('GET', '/x', 'regress_http.unnamed_results()');
SELECT usher.add_route('GET', '/x', 'regress_http.pairs(regress_http.pair[])');
SELECT usher.add_route('GET', '/x', 'regress_http.trigger()');
SELECT usher.add_route('GET', '/x', 'regress_http.procedure()');
SELECT usher.add_route('GET', '/x', 'pg_catalog.count("any")');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', 'everybody');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', 'permission');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', 'public', 'a:b');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', 'permission', 'no colon');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', rate_limit => 'regress.unknown');
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', success_status => 302);
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', read_only => NULL);
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()', cache_control => E'a\r\nb');
SET SESSION AUTHORIZATION regress_http_gateway;
SELECT usher.add_route('GET', '/x', 'regress_http.scalar()');
SELECT usher.remove_route('GET', '/regress/scalar');
RESET SESSION AUTHORIZATION;

-- OpenAPI ------------------------------------------------------------------------------------------------------------
CREATE TABLE regress_http.api AS SELECT usher.openapi() AS document;
SELECT document ->> 'openapi', document #>> '{components,securitySchemes,bearer,scheme}' FROM regress_http.api;
SELECT jsonb_pretty(document #> '{paths,/regress/things}') FROM regress_http.api;
SELECT jsonb_pretty(document #> '{paths,/regress/managers,get,security}'),
       document #>> '{paths,/regress/managers,get,responses,403,$ref}' FROM regress_http.api;
SELECT p ->> 'name' AS name, p ->> 'in' AS "in", p ->> 'required' AS required, p -> 'schema' AS schema
FROM regress_http.api,
     jsonb_array_elements(document #> ARRAY['paths', '/regress/echo/{id}', 'get', 'parameters']) AS p;
SELECT key, value FROM regress_http.api,
    jsonb_each(document #> '{paths,/regress/types,get,responses,200,content,application/json,schema,properties}')
ORDER BY key COLLATE "C";
-- every reference leads somewhere, every operation has its own id, every path parameter is declared
SELECT r AS dangling FROM regress_http.api, jsonb_path_query(document, 'strict $.**."$ref"') AS r
WHERE document #> string_to_array(substr(r #>> '{}', 3), '/') IS NULL;
SELECT count(*) - count(DISTINCT o) AS repeated
FROM regress_http.api, jsonb_path_query(document, '$.paths.*.*.operationId') AS o;
-- routes whose paths differ in the names of parameters only are one path of the document
SELECT count(*) > 14 AS many, bool_and(EXISTS (
    SELECT FROM jsonb_each(document -> 'paths') AS p
    WHERE regexp_replace(p.key, '\{[^}]*\}', '{}', 'g') = regexp_replace(r.path_template, '\{[^}]*\}', '{}', 'g')
      AND p.value ? lower(r.method))) AS all_there
FROM regress_http.api, usher.list_routes() AS r WHERE r.is_available;
-- the document is what the route serves
SELECT a.status, a.answer::jsonb = usher.openapi() AS same,
       regexp_replace(a.more, 'ETag: "[^"]{22}"', 'ETag: …') AS more
FROM regress_http.ask('GET', '/openapi.json') AS a;

-- it is kept, and made anew when something that it shows has changed: a route, a function, a comment, a type; also
-- when that is taken back
CREATE FUNCTION regress_http.shown(path text DEFAULT '{paths,/regress/scalar,get,description}')
    RETURNS text LANGUAGE sql AS 'SELECT usher.openapi() #>> path::text[]';
CREATE FUNCTION regress_http.sized(mood regress_http.color DEFAULT NULL)
    RETURNS regress_http.pair LANGUAGE sql AS 'SELECT NULL::regress_http.pair';
SELECT usher.add_route('GET', '/regress/scalar', 'regress_http.scalar()', 'public'),
       usher.add_route('GET', '/regress/sized', 'regress_http.sized(regress_http.color)', 'public')
    \gset ignored_
SELECT regress_http.shown();
COMMENT ON FUNCTION regress_http.scalar() IS 'A number.';
SELECT regress_http.shown();
BEGIN;
COMMENT ON FUNCTION regress_http.scalar() IS 'Another number.';
SELECT regress_http.shown();
ROLLBACK;
SELECT regress_http.shown();
COMMENT ON FUNCTION regress_http.scalar() IS NULL;
SELECT regress_http.shown();
SELECT regress_http.shown('{paths,/regress/sized,get,responses,200,content,application/json,schema,properties}');
ALTER TYPE regress_http.pair ADD ATTRIBUTE z date;
ALTER TYPE regress_http.color ADD VALUE 'grumpy';
SELECT regress_http.shown('{paths,/regress/sized,get,responses,200,content,application/json,schema,properties}'),
       regress_http.shown('{paths,/regress/sized,get,parameters,0,schema,enum}');
BEGIN;
SELECT usher.remove_route('GET', '/regress/sized'), regress_http.shown('{paths,/regress/sized}');
ROLLBACK;
SELECT regress_http.shown('{paths,/regress/sized}') IS NOT NULL AS is_back;
CREATE OR REPLACE FUNCTION regress_http.sized(mood regress_http.color DEFAULT 'grumpy')
    RETURNS regress_http.pair LANGUAGE sql AS 'SELECT NULL::regress_http.pair';
DROP FUNCTION regress_http.sized(regress_http.color);
SELECT regress_http.shown('{paths,/regress/sized}');
BEGIN;
SET LOCAL track_functions = 'pl';
SELECT count(usher.openapi()) FROM generate_series(1, 5);
SELECT usher.openapi() IS NOT NULL AS asked;
SELECT sum(calls) AS made FROM pg_stat_xact_user_functions WHERE schemaname = 'usher' AND funcname = '_make_openapi';
COMMENT ON FUNCTION regress_http.scalar() IS 'A number.';
SELECT count(usher.openapi()) FROM generate_series(1, 5);
SELECT sum(calls) AS made FROM pg_stat_xact_user_functions WHERE schemaname = 'usher' AND funcname = '_make_openapi';
ROLLBACK;
-- whoever asks gets the whole of it, and may change their copy
SELECT jsonb_set(usher.openapi(), '{info,title}', '"x"') #>> '{info,title}',
       usher.openapi() #>> '{info,title}' = current_database() AS unharmed;

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
SELECT usher.drop_permission('regress:manage');
DELETE FROM usher.users WHERE email = 'one@http.test';
SELECT usher.revoke_access('regress_http_gateway');
DROP SCHEMA regress_http CASCADE;
DROP ROLE regress_http_gateway;

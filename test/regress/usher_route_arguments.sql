-- Where the arguments of routed functions come from: OpenAPI says what the dispatcher does, for every route.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_routes;
-- after_hours begins like a page cursor but continues no column; after_name does; after stands for the column id
CREATE FUNCTION regress_routes.shops(after_hours boolean DEFAULT false, after_name text DEFAULT NULL,
                                     after uuid DEFAULT NULL, max_rows integer DEFAULT 2)
    RETURNS TABLE (id uuid, name text, open_late boolean) LANGUAGE sql STABLE
    AS $$ SELECT s.id, s.name, after_hours
          FROM (SELECT lpad(n::text, 32, '0')::uuid AS id, 'shop ' || n AS name FROM generate_series(1, 3) AS n) AS s
          WHERE shops.after IS NULL OR (s.name, s.id) > (after_name, shops.after)
          ORDER BY s.name, s.id LIMIT max_rows $$;
-- these pages are no business of the dispatcher's
CREATE FUNCTION regress_routes.own_cursor(cursor text DEFAULT '', after text DEFAULT NULL, max_rows integer DEFAULT 1)
    RETURNS TABLE (id text) LANGUAGE sql STABLE AS $$ SELECT own_cursor.cursor || '+' $$;
CREATE FUNCTION regress_routes.no_page_size(after text DEFAULT NULL, max_rows text DEFAULT '1')
    RETURNS TABLE (id text) LANGUAGE sql STABLE AS $$ SELECT '1' $$;
CREATE FUNCTION regress_routes.required(after text, max_rows integer DEFAULT 1)
    RETURNS TABLE (id text) LANGUAGE sql STABLE AS $$ SELECT '1' $$;
SELECT usher.add_route(r.method, r.path, r.function::regprocedure, 'public') IS NOT NULL AS added
FROM (VALUES ('GET', '/regress/shops', 'regress_routes.shops(boolean, text, uuid, integer)'),
             ('POST', '/regress/shops', 'regress_routes.shops(boolean, text, uuid, integer)'),
             ('GET', '/regress/own_cursor', 'regress_routes.own_cursor(text, text, integer)'),
             ('GET', '/regress/no_page_size', 'regress_routes.no_page_size(text, text)'),
             ('DELETE', '/regress/required/{after}', 'regress_routes.required(text, integer)')
     ) AS r (method, path, function);
SELECT usher.add_route('GET', '/regress/{after_name}', 'regress_routes.shops(boolean, text, uuid, integer)', 'public');

CREATE FUNCTION regress_routes.ask(method text, path text, query text DEFAULT NULL, request_body text DEFAULT NULL)
    RETURNS jsonb LANGUAGE sql
    AS $$ SELECT r.body::jsonb
          FROM usher.http_request(method, path, query, '{"content-type": "application/json"}', request_body,
                                  '192.0.2.1') AS r $$;
-- what the dispatcher takes for a value of the type
CREATE FUNCTION regress_routes.sample(type oid) RETURNS text LANGUAGE sql
    AS $$ SELECT CASE t.typname WHEN 'uuid' THEN '00000000-0000-0000-0000-000000000001' WHEN 'date' THEN '2026-01-02'
                                WHEN 'time' THEN '08:30' WHEN 'timestamp' THEN '2026-01-02T03:04:05'
                                WHEN 'interval' THEN 'PT1H' WHEN 'bytea' THEN 'AP8='
        ELSE CASE t.typcategory WHEN 'B' THEN 'true' WHEN 'N' THEN '1' WHEN 'D' THEN '2026-01-02T03:04:05Z'
                                    WHEN 'A' THEN regress_routes.sample(t.typelem) ELSE 'x' END END
          FROM pg_type t WHERE t.oid = sample.type $$;
-- paths that differ in the names of parameters only are one
CREATE FUNCTION regress_routes.shape(path text) RETURNS text LANGUAGE sql
    AS $$ SELECT regexp_replace(path, '\{[^}]*\}', '{}', 'g') $$;

-- a page, and the next one with the filter still in force
SELECT regress_routes.ask('GET', '/regress/shops', 'after_hours=true') AS page \gset
SELECT jsonb_path_query_array(:'page', '$.items[*].name') AS names,
       :'page'::jsonb #> '{items,0,open_late}' AS open_late;
SELECT regress_routes.ask('GET', '/regress/shops',
                          'after_hours=true&cursor=' || (:'page'::jsonb ->> 'next')) AS second;
SELECT regress_routes.ask('GET', '/regress/own_cursor', 'cursor=mine') AS own;

SELECT o.path, string_agg(concat_ws(' ', coalesce(p ->> 'name', p ->> '$ref'), p ->> 'in'), ', ') AS parameters
FROM (VALUES ('/regress/shops'), ('/regress/own_cursor'), ('/regress/no_page_size')) AS o (path),
    jsonb_array_elements(usher.openapi() #> ARRAY['paths', o.path, 'get', 'parameters']) AS p
GROUP BY o.path ORDER BY o.path COLLATE "C";

-- Every route, with nothing between the request and its arguments. Each request has an argument that does not exist,
-- so that no function runs; the other errors tell what the dispatcher made of the rest.
BEGIN;
UPDATE usher.routes
SET access = 'public', permission = NULL, rate_limit = NULL, idempotency = 'none', requires_if_match = false,
    style = 'json';
CREATE TEMP TABLE routes AS
SELECT r.id, r.method, r.path_template, r.path_template AS path,
       r.method IN ('GET', 'DELETE') AS asks_by_query, p.oid AS function
FROM usher.routes r JOIN pg_proc p ON p.oid = to_regproc(format('%I.%I', r.function_schema, r.function_name))
WHERE r.is_active;
CREATE TEMP TABLE arguments AS
SELECT r.id, n.name, n.place, coalesce(p.proallargtypes[n.place], p.proargtypes[n.place - 1]) AS type,
       strpos(r.path_template, '{' || n.name || '}') > 0 AS is_in_path
FROM routes r JOIN pg_proc p ON p.oid = r.function
    CROSS JOIN LATERAL unnest(p.proargnames) WITH ORDINALITY AS n (name, place)
WHERE coalesce(p.proargmodes[n.place], 'i') IN ('i', 'b');
DO $$
DECLARE
    a record;
BEGIN
    FOR a IN SELECT * FROM arguments WHERE is_in_path LOOP
        UPDATE routes r SET path = replace(r.path, '{' || a.name || '}', regress_routes.sample(a.type)) WHERE r.id = a.id;
    END LOOP;
END $$;

-- what the document says; a path parameter may have another name there
CREATE TEMP TABLE documented AS
WITH operations AS (
    SELECT r.id, o.value -> lower(r.method) AS operation
    FROM routes r
        JOIN jsonb_each(usher.openapi() -> 'paths') AS o
            ON regress_routes.shape(o.key) = regress_routes.shape(r.path_template)
    WHERE o.value ? lower(r.method)),
parameters AS (
    SELECT o.id, p.value AS parameter FROM operations o, jsonb_array_elements(o.operation -> 'parameters') AS p)
SELECT p.id, p.parameter ->> 'in' AS place, p.parameter ->> 'name' AS name,
       (p.parameter ->> 'required')::boolean AS is_required
FROM parameters p WHERE p.parameter ->> 'in' = 'query'
UNION ALL
SELECT p.id, 'cursor', NULL, false FROM parameters p WHERE p.parameter ->> '$ref' = '#/components/parameters/Cursor'
UNION ALL
SELECT o.id, 'body', k.key, coalesce(s -> 'required' ? k.key, false)
FROM operations o, jsonb_path_query(o.operation, '$.requestBody.content.*.schema') AS s,
    jsonb_each(s -> 'properties') AS k;

-- what the dispatcher does with a cursor of as many parts as there are arguments that the document leaves out, and
-- with every argument once more
CREATE TEMP TABLE questions AS
SELECT r.*, EXISTS (SELECT FROM documented d WHERE d.id = r.id AND d.place = 'cursor') AS has_cursor,
       a.query, a.body, a.hidden,
       translate(encode(convert_to(a.key::text, 'UTF8'), 'base64'), E'+/=\n', '-_') AS cursor
FROM routes r
    CROSS JOIN LATERAL (
        SELECT string_agg(x.name || '=' || regress_routes.sample(x.type) || '&', '') AS query,
               coalesce(jsonb_object_agg(x.name, NULL) FILTER (WHERE x.name IS NOT NULL), '{}')
                   || '{"no_such": 1}' AS body,
               coalesce(array_agg(x.name) FILTER (WHERE x.is_hidden), '{}') AS hidden,
               jsonb_agg(regress_routes.sample(x.type) ORDER BY x.place) FILTER (WHERE x.is_hidden) AS key
        FROM (SELECT y.*, NOT y.is_in_path AND NOT EXISTS (
                         SELECT FROM documented d WHERE d.id = y.id AND d.name = y.name) AS is_hidden
              FROM arguments y WHERE y.id = r.id) AS x) AS a;
CREATE TEMP TABLE dispatched AS
SELECT q.*,
       regress_routes.ask(q.method, q.path, CASE WHEN q.has_cursor THEN 'cursor=' || q.cursor || '&' ELSE '' END
                          || CASE WHEN q.asks_by_query THEN coalesce(q.query, '') ELSE '' END || 'no_such=1',
                          CASE WHEN NOT q.asks_by_query THEN q.body::text END) -> 'errors' AS given_all,
       regress_routes.ask(q.method, q.path, 'no_such=1') -> 'errors' AS given_nothing,
       regress_routes.ask(q.method, q.path, 'cursor=!&no_such=1') -> 'errors' AS given_bad_cursor
FROM questions q;

SELECT count(*) > 100 AS many, count(*) FILTER (WHERE has_cursor) > 15 AS many_pages,
       count(*) FILTER (WHERE given_all IS NULL OR given_nothing IS NULL OR given_bad_cursor IS NULL) AS without_answer
FROM dispatched;
-- the cursor is known where the document has it, and nowhere else
SELECT d.method, d.path_template, d.has_cursor, d.given_bad_cursor FROM dispatched d
WHERE d.has_cursor <> jsonb_path_exists(d.given_bad_cursor, '$[*] ? (@.field == "cursor" && @.code == "invalid")')
  AND NOT EXISTS (SELECT FROM arguments a WHERE a.id = d.id AND a.name = 'cursor');
-- what came twice is what the path or the cursor had brought already; nothing that the document or the function has is
-- unknown
SELECT d.method, d.path_template, e ->> 'field' AS field, e ->> 'code' AS code
FROM dispatched d
    CROSS JOIN jsonb_array_elements(d.given_all) AS e
    LEFT JOIN arguments a ON a.id = d.id AND a.name = e ->> 'field'
WHERE e ->> 'field' <> 'no_such' AND (e ->> 'code' <> 'repeated' OR NOT (a.is_in_path OR a.name = ANY (d.hidden)));
SELECT d.method, d.path_template, h AS hidden_without_cursor FROM dispatched d, unnest(d.hidden) AS h
WHERE NOT d.given_all @> jsonb_build_array(jsonb_build_object('field', h, 'code', 'repeated'));
-- what the document requires is missing when it is not given, at the place that the document names
SELECT id, field, place
FROM (SELECT d.id, e ->> 'field' AS field, e ->> 'in' AS place
      FROM dispatched d, jsonb_array_elements(d.given_nothing) AS e
      WHERE e ->> 'code' = 'missing') AS missing
    FULL JOIN (SELECT d.id, d.name AS field, d.place FROM documented d WHERE d.is_required) AS required
        USING (id, field, place)
WHERE missing.* IS NULL OR required.* IS NULL;
ROLLBACK;

-- a function that was replaced by one that cannot be routed takes only its own route out of the document
DROP FUNCTION regress_routes.required(text, integer);
CREATE PROCEDURE regress_routes.required(after text, max_rows integer) LANGUAGE sql AS '';
SELECT usher.openapi() -> 'paths' ? '/regress/required/{after}' AS is_there,
       usher.openapi() -> 'paths' ? '/regress/shops' AS others;

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
DROP SCHEMA regress_routes CASCADE;

-- What the answers of all routes have in common, whatever extension they are of, asked of the catalog: a new route that
-- does otherwise shows itself.
\set VERBOSITY terse
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA regress_answers;
CREATE VIEW regress_answers.routes AS
    SELECT r.method, r.path_template, r.access, r.permission, r.success_status, r.extension, p.oid AS function, p.proname,
        p.prorettype, p.proretset, p.proargnames
    FROM usher.routes AS r JOIN pg_namespace AS n ON n.nspname = r.function_schema
        JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = r.function_name
             AND usher._argument_types(p.proargtypes) = r.function_arguments
    WHERE r.extension ~ '^usher';

SELECT usher.create_permission('*:*', if_not_exists => true), usher.create_role('regress_answers') IS NOT NULL AS made;
SELECT usher.grant_permission(to_role => 'regress_answers', permission => '*:*'),
       usher.add_role_management('regress_answers', NULL);
SELECT usher.grant_role(user_id, 'regress_answers') FROM usher.register_user('boss@answers.example', 'the password of the boss');
SELECT access_token AS boss FROM usher.login('boss@answers.example', 'the password of the boss') \gset

-- Whoever names something by its id that is not there hears so. Each route with a part of its path that is chosen is
-- asked about what nobody has, with whatever else it needs.
CREATE FUNCTION regress_answers.value(name text, type regtype) RETURNS jsonb LANGUAGE sql AS $$
    SELECT coalesce(
        CASE name WHEN 'permission' THEN '"nothing:such"' WHEN 'event' THEN '"nothing.such"' WHEN 'language' THEN '"en"'
                  WHEN 'outcome' THEN '"succeeded"' WHEN 'kind' THEN '"view"' WHEN 'method' THEN '"cash"' WHEN 'currency' THEN '"EUR"'
                  WHEN 'password' THEN '"a password nobody guesses"' WHEN 'key' THEN '"nobody"' WHEN 'to_status' THEN '"arrived"'
                  WHEN 'during' THEN '"[2030-01-01T00:00:00Z,2030-01-02T00:00:00Z)"' WHEN 'event_type' THEN '"note"' END::jsonb,
        CASE type WHEN 'uuid'::regtype THEN '"00000000-0000-7000-8000-000000000bad"' WHEN 'text'::regtype THEN '"nothing-such"'
                  WHEN 'date'::regtype THEN '"2030-01-01"' WHEN 'timestamptz'::regtype THEN '"2030-01-01T00:00:00Z"'
                  WHEN 'integer'::regtype THEN '1' WHEN 'bigint'::regtype THEN '1' WHEN 'boolean'::regtype THEN 'true'
                  WHEN 'jsonb'::regtype THEN '{}' WHEN 'interval'::regtype THEN '"PT1H"' WHEN 'uuid[]'::regtype THEN '[]'
                  WHEN 'integer[]'::regtype THEN '[1]' END::jsonb)
$$;
CREATE FUNCTION regress_answers.ask(route regress_answers.routes, token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    path text := route.path_template;
    query text;
    body jsonb := '{}';
    a record;
    answer record;
BEGIN
    FOR a IN SELECT * FROM usher._route_arguments(route.method, route.path_template, route.function) LOOP
        IF a.location = 'path' THEN
            path := replace(path, '{' || a.name || '}', regress_answers.value(a.name, a.type) #>> '{}');
        ELSIF a.location = 'query' AND NOT a.is_optional THEN
            query := concat_ws('&', query, a.name || '=' || (regress_answers.value(a.name, a.type) #>> '{}'));
        ELSIF a.location = 'body' AND (NOT a.is_optional OR a.name IN ('during', 'start_at')) THEN
            body := body || jsonb_build_object(a.name, regress_answers.value(a.name, a.type));
        END IF;
    END LOOP;
    IF route.proname IN ('update_service', 'update_location') THEN -- they want something to change
        body := body || '{"changes": {"name": "Nothing"}}';
    ELSIF route.proname IN ('update_offer', 'update_reward') THEN
        body := body || '{"changes": {"title": "Nothing"}}';
    END IF;
    answer := usher.http_request(route.method, path, query,
        jsonb_build_object('authorization', 'Bearer ' || token, 'content-type', 'application/json'),
        CASE WHEN route.method IN ('POST', 'PUT', 'PATCH') THEN body::text END);
    RAISE SQLSTATE 'RB001' USING MESSAGE = concat_ws(' ', answer.status, left(answer.body, 200));
EXCEPTION WHEN SQLSTATE 'RB001' THEN
    RETURN SQLERRM;
END
$$;
CREATE TABLE regress_answers.others (method text, path_template text, reason text);
INSERT INTO regress_answers.others VALUES
    ('PUT', '/machines/{name}', 'makes what is not there'), ('PUT', '/rate-limits/{policy}', 'makes what is not there'),
    ('PUT', '/loyalty/segments/{code}', 'makes what is not there'), ('PUT', '/loyalty/tiers/{code}', 'makes what is not there'),
    ('PUT', '/loyalty/customers/{customer_id}/attributes', 'customers are other extensions'''),
    ('POST', '/customers/{customer_id}/erase', 'nothing is held of whom nobody knows, and that is the answer'),
    ('GET', '/customers/{customer_id}/export', 'nothing is held of whom nobody knows, and that is the answer'),
    ('POST', '/payment-reconciliations/{processor}', 'the processor is a filter'),
    ('POST', '/payments/webhooks/{processor}', 'strangers do not learn which processors there are');
CREATE TABLE regress_answers.asked AS
    SELECT r.method, r.path_template, regress_answers.ask(r, :'boss') AS answer
    FROM regress_answers.routes AS r WHERE r.path_template LIKE '%{%';
SELECT format('%s %s: %s', a.method, a.path_template, a.answer)
FROM regress_answers.asked AS a LEFT JOIN regress_answers.others AS o USING (method, path_template)
WHERE (a.answer ~ '^404') = (o.reason IS NOT NULL)
ORDER BY a.path_template COLLATE "C", a.method;
SELECT count(*) > 140 AS asked, count(*) FILTER (WHERE answer ~ '^500') AS faults FROM regress_answers.asked;

-- False of a function that changes something is such an answer, and true of one is none. False of one that is only
-- asked is an answer, also where it is asked by POST and names nothing by its path, or has a name.
CREATE FUNCTION regress_answers.has_it(it text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT it = 'here' $$;
CREATE FUNCTION regress_answers.had_it(it text, OUT had boolean) LANGUAGE sql STABLE AS $$ SELECT it = 'here' $$;
SELECT count(usher.add_route(v.method, v.path, v.function::regprocedure, access => 'public'))
FROM (VALUES ('GET', '/regress/has/{it}', 'regress_answers.has_it(text)'), ('POST', '/regress/has/{it}', 'regress_answers.has_it(text)'),
    ('PUT', '/regress/has/{it}', 'regress_answers.has_it(text)'), ('PATCH', '/regress/has/{it}', 'regress_answers.has_it(text)'),
    ('DELETE', '/regress/has/{it}', 'regress_answers.has_it(text)'), ('POST', '/regress/has', 'regress_answers.has_it(text)'),
    ('DELETE', '/regress/has', 'regress_answers.has_it(text)'), ('POST', '/regress/had/{it}', 'regress_answers.had_it(text)'))
    AS v (method, path, function);
SELECT concat_ws(' ', v.method, v.path, v.query, v.body, '->', a.status, CASE WHEN a.status < 300 THEN a.body ELSE a.body::jsonb ->> 'code' END)
FROM (VALUES (1, 'GET', '/regress/has/gone'), (2, 'POST', '/regress/has/gone'), (3, 'PUT', '/regress/has/gone'), (4, 'PATCH', '/regress/has/gone'),
    (5, 'DELETE', '/regress/has/gone'), (6, 'DELETE', '/regress/has/here'), (7, 'POST', '/regress/has'), (8, 'DELETE', '/regress/has'),
    (9, 'POST', '/regress/had/gone')) AS r (n, method, path),
    LATERAL (SELECT r.n, r.method, r.path, CASE WHEN r.n = 8 THEN 'it=gone' END AS query, CASE WHEN r.n = 7 THEN '{"it": "gone"}' END AS body) AS v,
    usher.http_request(v.method, v.path, v.query, '{"content-type": "application/json"}', v.body) AS a
ORDER BY v.n;
SELECT r.path, usher.openapi() #> ARRAY['paths', r.path, r.method, 'responses'] ? '404'
FROM (VALUES ('/regress/has/{it}', 'get'), ('/regress/has', 'delete'), ('/regress/has', 'post')) AS r (path, method);

-- A function that sees to repetitions itself may say that this was one; elsewhere a column of that name is a column.
CREATE FUNCTION regress_answers.again(idempotency_key text DEFAULT NULL, OUT replayed boolean) LANGUAGE sql STABLE AS $$ SELECT idempotency_key = 'again' $$;
CREATE FUNCTION regress_answers.films(OUT replayed boolean) LANGUAGE sql STABLE AS $$ SELECT true $$;
SELECT count(usher.add_route('POST', '/regress/' || v.name, ('regress_answers.' || v.function)::regprocedure, access => 'public'))
FROM (VALUES ('again', 'again(text)'), ('films', 'films()')) AS v (name, function);
SELECT concat_ws(' ', v.path, v.key, '->', a.status, a.body, (SELECT h FROM jsonb_array_elements(a.headers) AS h WHERE h ->> 0 = 'Idempotency-Replayed'))
FROM (VALUES ('/regress/again', 'first'), ('/regress/again', 'again'), ('/regress/films', 'again')) AS v (path, key),
    usher.http_request('POST', v.path, NULL, jsonb_build_object('idempotency-key', v.key)) AS a;

-- What is made is answered by 201, or by 204 when there is nothing to say about it. Of add_policy() false says that the
-- rule was there.
SELECT format('%s %s: %s', r.method, r.path_template, r.success_status)
FROM regress_answers.routes AS r
WHERE r.method = 'POST' AND r.proname ~ '^(create|add)_'
    AND r.success_status <> CASE WHEN r.prorettype = 'void'::regtype THEN 204 ELSE 201 END
ORDER BY r.path_template COLLATE "C";
-- Nothing is promised that is not sent.
SELECT format('%s %s: %s', r.method, r.path_template, r.success_status)
FROM regress_answers.routes AS r
WHERE r.prorettype = 'void'::regtype AND r.success_status NOT IN (200, 202, 204) -- 200 is sent as 204
ORDER BY r.path_template COLLATE "C";
-- Lists are where there may be several: of currencies, products, lines, rules, …
SELECT r.proname FROM regress_answers.routes AS r
WHERE r.proretset AND (r.method <> 'GET' OR r.proname ~ '^get_') ORDER BY r.proname;

-- Who is let in: what a route names as its permission is asked of everybody, unless it says that only keys are asked.
SELECT count(usher.add_route('GET', '/regress/who/' || v.n, 'regress_answers.has_it(text)', access => v.access, permission => v.permission))
FROM (VALUES (1, NULL, NULL), (2, NULL, 'answers:read'), (3, 'authenticated', 'answers:read'), (4, 'permission', 'answers:read')) AS v (n, access, permission);
SELECT usher.add_route('GET', '/regress/who/5', 'regress_answers.has_it(text)', permission => 'answers:write') IS NOT NULL;
SELECT l.path_template, l.access, l.permission, substring(usher.openapi() #>> ARRAY['paths', l.path_template, 'get', 'description'] FROM '\n\n(.*)')
FROM usher.list_routes() AS l WHERE l.path_template LIKE '/regress/who/%';
SELECT format('%s %s', r.method, r.path_template) FROM regress_answers.routes AS r
WHERE (usher.openapi() #>> ARRAY['paths', r.path_template, lower(r.method), 'description'] ~ '\nNeeds the permission') <> (r.access = 'permission');
-- One that nobody has defined, and no preset will: a route may be made before its permission is, but not stay so unseen.
SELECT usher.create_permission('answers:read', if_not_exists => true);
SELECT finding, severity, advice FROM usher.check_configuration() WHERE finding ~ '^route GET /regress/who';

SELECT count(usher.remove_route(l.method, l.path_template)) FROM usher.list_routes() AS l WHERE l.path_template LIKE '/regress/%';
DROP SCHEMA regress_answers CASCADE;
DELETE FROM usher.users WHERE email = 'boss@answers.example';
SELECT usher.drop_role('regress_answers'), usher.drop_permission('answers:read');

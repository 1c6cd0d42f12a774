-- Bad input to every public function of every usher extension, and to every route: a clear error or an `error` code,
-- never an internal error, never a crash, never a secret in a message. The functions and routes come from the catalog,
-- so a new one is covered the day it is made.
\set VERBOSITY terse

CREATE SCHEMA regress_bad_input;
CREATE TABLE regress_bad_input.own (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text, updated_at timestamptz);

-- What may be put in for an argument, as SQL expressions. The marker stands for a secret, where the argument is one.
CREATE FUNCTION regress_bad_input.values_of(argument text, type text) RETURNS text[] LANGUAGE sql AS $$
    SELECT CASE
        WHEN type = 'text' AND argument ~ '(password|token|secret|hash|^key$)' THEN ARRAY[
            'NULL', '''''', '''S3CRET-marker''', 'repeat(''S3CRET-marker'', 100000)', 'E''S3CRET-marker\u0001''',
            '''$argon2id$S3CRET-marker''', '''S3CRET-marker.e30.x''', '''eyJhbGciOiJub25lIn0.e30.''',
            '''-----BEGIN PRIVATE KEY-----S3CRET-marker''', 'repeat(''é'', 600)']
        WHEN type IN ('text', 'character varying', 'name', 'character') THEN ARRAY[
            'NULL', '''''', '''no such name''', 'repeat(''x'', 1000000)', 'E''\u0001\t\n''', '''a@b@c''',
            'repeat(''é'', 600)', '''eyJhbGciOiJub25lIn0.e30.''', '''{"a":''', ''' ''', '''../../..''', '''%s%n''']
        WHEN type IN ('jsonb', 'json') THEN ARRAY[
            'NULL', '''{}''', '''[]''', '''null''', '''"text"''', '''1e400''',
            '(repeat(''['', 5000) || repeat('']'', 5000))::jsonb', 'jsonb_build_object(''k'', repeat(''x'', 1000000))',
            '''{"a": {"b": null}}''']
        WHEN type = 'uuid' THEN ARRAY['NULL', '''00000000-0000-0000-0000-000000000000''',
                                      '''ffffffff-ffff-ffff-ffff-ffffffffffff''']
        WHEN type IN ('integer', 'smallint') THEN ARRAY['NULL', '0', '-1', '32767', '-32768', '1']
        WHEN type IN ('bigint', 'numeric', 'double precision') THEN ARRAY['NULL', '0', '-1', '9223372036854775807',
                                                                          '-9223372036854775808', '1']
        WHEN type = 'boolean' THEN ARRAY['NULL', 'true', 'false']
        WHEN type = 'interval' THEN ARRAY['NULL', '''0''', '''-1 day''', '''100000 years''', '''1 second''']
        WHEN type LIKE 'timestamp%' THEN ARRAY['NULL', '''-infinity''', '''infinity''', '''1970-01-01''',
                                               '''294276-01-01''']
        WHEN type = 'date' THEN ARRAY['NULL', '''-infinity''', '''infinity''', '''2026-03-08''']
        WHEN type IN ('tstzrange', 'daterange') THEN ARRAY['NULL', '''empty''', '''(,)''',
                                                           '''[2026-03-08,2026-03-09)''', '''(,infinity]''']
        WHEN type = 'inet' THEN ARRAY['NULL', '''0.0.0.0/0''', '''::1''', '''203.0.113.9''']
        WHEN type = 'bytea' THEN ARRAY['NULL', '''''', '''\xff00''', 'decode(repeat(''ff'', 1000000), ''hex'')']
        WHEN type = 'regclass' THEN ARRAY['NULL', '0', '''pg_catalog.pg_class''', '''regress_bad_input.own''',
                                          '''usher.users''', '999999999']
        WHEN type IN ('regprocedure', 'oid') THEN ARRAY['NULL', '0', '''pg_catalog.now()''::regprocedure', '999999999']
        WHEN type LIKE '%[]' THEN ARRAY['NULL', '''{}''', '''{NULL}''']
        ELSE ARRAY['NULL']
    END
$$;

-- Runs a statement and takes it back. Returns what is wrong with its outcome, or NULL.
CREATE FUNCTION regress_bad_input.fault_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    words text;
    about text;
    advice text;
    place text;
BEGIN
    BEGIN
        EXECUTE statement;
        RAISE SQLSTATE 'ZZ001';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, words = MESSAGE_TEXT, about = PG_EXCEPTION_DETAIL,
            advice = PG_EXCEPTION_HINT, place = PG_EXCEPTION_CONTEXT;
    END;
    IF state LIKE 'XX%' THEN
        RETURN format('internal error %s %s', state, left(words, 200));
    END IF;
    IF concat_ws(' ', words, about, advice, replace(place, statement, '')) LIKE '%S3CRET%' THEN
        RETURN format('secret in the error %s', state);
    END IF;
    IF length(words) > 2000 OR state IN ('42883', '42703', '42804') THEN
        RETURN format('unclear error %s %s', state, left(words, 200));
    END IF;
    RETURN NULL;
END $$;

-- Each function with every argument running through its values, the others behind by one step each; then with
-- defaults.
CREATE VIEW regress_bad_input.calls AS
WITH functions AS (
    SELECT p.oid, p.pronargs, p.pronargdefaults, n.nspname, p.proname, p.proname NOT LIKE '\_%' AS is_public,
           coalesce(p.proargnames, '{}') AS names,
           ARRAY(SELECT pg_catalog.format_type(a.type, NULL)
                 FROM unnest(p.proargtypes) WITH ORDINALITY AS a(type, place) ORDER BY a.place) AS types
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
        AND d.deptype = 'e'
        AND d.classid = 'pg_catalog.pg_proc'::regclass
    JOIN pg_catalog.pg_proc p ON p.oid = d.objid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE e.extname LIKE 'usher%' AND (p.proname NOT LIKE '\_%' OR l.lanname = 'c')
        AND p.prorettype <> 'trigger'::regtype AND p.prokind = 'f'
)
SELECT f.oid::regprocedure AS function, f.is_public, step,
       format('SELECT * FROM %I.%I(%s)', f.nspname, f.proname, (
           SELECT string_agg(format('(%s)::%s', v.list[1 + (step + i * (step / 12)) % array_length(v.list, 1)],
                                    f.types[i + 1]), ', ' ORDER BY i)
           FROM generate_series(0, f.pronargs - 1) AS i, LATERAL (SELECT regress_bad_input.values_of(
               coalesce(f.names[i + 1], ''), f.types[i + 1]) AS list) AS v)) AS statement
FROM functions f, generate_series(0, CASE WHEN f.pronargs = 0 THEN 0 ELSE 35 END) AS step;

SELECT count(DISTINCT function) > 60 AS functions_are_many, count(*) > 1000 AS calls_are_many
FROM regress_bad_input.calls WHERE is_public;

SET client_min_messages = warning;
SELECT DISTINCT function, fault
FROM regress_bad_input.calls, LATERAL (SELECT regress_bad_input.fault_of(statement) AS fault) AS outcome
WHERE is_public AND fault IS NOT NULL
ORDER BY 1, 2;

-- Nobody but the functions of the extensions calls the inner ones; what they get then is not for them to judge, but no
-- value ends the server.
SELECT count(DISTINCT function) FILTER (WHERE fault IS NULL) > 60 AS inner_functions_are_many
FROM regress_bad_input.calls, LATERAL (SELECT regress_bad_input.fault_of(statement) AS fault) AS outcome
WHERE NOT is_public;

-- Functions that a trigger calls say so when they are called otherwise.
SELECT p.oid::regprocedure AS function, fault
FROM pg_catalog.pg_proc p,
     LATERAL (SELECT regress_bad_input.fault_of(format('SELECT %s', p.oid::regprocedure)) AS fault) AS outcome
WHERE p.pronamespace = 'usher'::regnamespace AND p.prorettype = 'trigger'::regtype AND fault IS NOT NULL
ORDER BY 1;

-- Every route, with bad paths, queries, headers and bodies: 4xx, with a problem document that names a code.
CREATE VIEW regress_bad_input.requests AS
WITH paths (n, value) AS (VALUES (0, 'not-a-uuid'), (1, '00000000-0000-0000-0000-000000000000'), (2, '%00%ff%2e%2e')),
    queries (n, value) AS (VALUES (0, NULL), (1, ''), (2, 'a=%zz&&=&a=1&a=2'), (3, repeat('q', 100000))),
    heads (n, value) AS (VALUES (0, NULL::jsonb),
        (1, '{"authorization": "Bearer S3CRET.marker.x", "content-type": "application/json"}'),
        (2, '{"authorization": "Bearer", "content-type": "text/plain"}'), (3, '{"content-type": "application/json"}')),
    bodies (n, value) AS (VALUES (0, NULL), (1, ''), (2, '{'), (3, '[]'), (4, 'null'), (5, '{"a":1,"a":2}'),
        (6, '{"unknown_argument": "S3CRET"}'),
        (7, repeat('[', 10000)), (8, repeat('x', 1000000)), (9, '{"email": 1, "password": null, "token": []}'))
SELECT r.method, r.path_template, regexp_replace(r.path_template, '\{[^}]*\}', paths.value, 'g') AS path,
       queries.value AS query, heads.value AS headers, bodies.value AS body
FROM usher.list_routes() AS r, heads, bodies, paths, queries
WHERE paths.n = (heads.n + bodies.n) % 3 AND queries.n = bodies.n % 4;

SELECT count(*) > 500 AS requests_are_many FROM regress_bad_input.requests;
SELECT method, path_template, answer.status, left(answer.body, 100) AS body, count(*)
FROM regress_bad_input.requests AS r,
    LATERAL usher.http_request(r.method, r.path, r.query, r.headers, r.body, '203.0.113.9') AS answer
WHERE answer.status >= 500
    OR (answer.status >= 400
        AND (answer.body::jsonb ->> CASE WHEN r.path_template LIKE '/oauth/%' THEN 'error' ELSE 'code' END) IS NULL)
    OR answer.body LIKE '%S3CRET%'
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3;

SELECT left(method, 10) AS method, left(path, 20) AS path, answer.status, answer.body::jsonb ->> 'code' AS code
FROM (VALUES ('', ''), ('GET', ''), ('GET', 'no-slash'), ('BREW', '/auth/login'), ('GET', '/auth/login'),
             ('GET', '/no/such/path'),
             ('GET', '/auth/%zz'), ('GET', '/auth//me'), (repeat('G', 1000), '/auth/me'),
             ('GET', '/' || repeat('p', 10000))) AS r(method, path),
    LATERAL usher.http_request(r.method, r.path, NULL, NULL, NULL, NULL) AS answer;
-- what only a gateway that is wrong would send is an error
SELECT usher.http_request(NULL, '/auth/me', NULL, NULL, NULL, NULL);
SELECT usher.http_request('GET', NULL, NULL, NULL, NULL, NULL);
SELECT usher.http_request('GET', '/auth/me', NULL, '[1]', NULL, NULL);
SELECT (usher.http_request('GET', '/auth/me', NULL, '{"authorization": {"a": 1}}', NULL, NULL)).status;

-- Text that is not valid in the database's encoding does not come in at all.
SELECT usher.verify_token(convert_from('\xfffe', 'UTF8'));
SELECT usher.hash_password(E'\xff');

\set VERBOSITY default
SET client_min_messages = warning;
DROP SCHEMA regress_bad_input CASCADE;

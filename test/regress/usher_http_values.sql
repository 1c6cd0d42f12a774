-- What values are taken and given over HTTP, preconditions, and answers that found nothing or were too large.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_values;
CREATE DOMAIN regress_values.even AS integer NOT NULL CHECK (VALUE % 2 = 0);
CREATE TYPE regress_values.inner AS (day date, even regress_values.even, tags text[]);
CREATE TYPE regress_values.outer AS (id uuid, inside regress_values.inner, many regress_values.inner[], code varchar(3));
CREATE TABLE regress_values.things (id integer PRIMARY KEY, name text, version integer NOT NULL DEFAULT 1);
INSERT INTO regress_values.things VALUES (1, 'one', 4);

CREATE FUNCTION regress_values.take(day date DEFAULT NULL, at timestamptz DEFAULT NULL, local timestamp DEFAULT NULL,
                                    clock time DEFAULT NULL, lasting interval DEFAULT NULL, id uuid DEFAULT NULL,
                                    price numeric DEFAULT NULL, ratio float8 DEFAULT NULL, n integer DEFAULT NULL,
                                    bytes bytea DEFAULT NULL, words text DEFAULT NULL, document jsonb DEFAULT NULL,
                                    days date[] DEFAULT NULL, row_value regress_values.outer DEFAULT NULL)
    RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT jsonb_strip_nulls(jsonb_build_object('day', day, 'at', at AT TIME ZONE 'UTC', 'local', local, 'clock', clock,
        'lasting', lasting::text, 'id', id, 'price', price, 'ratio', ratio, 'n', n, 'bytes', bytes, 'words', words,
        'document', document, 'days', days, 'row_value', row_value)) $$;
CREATE FUNCTION regress_values.give(OUT nan float8, OUT infinite float8, OUT no_number numeric, OUT price numeric, OUT bytes bytea,
                                    OUT clock time, OUT local timestamp, OUT lasting interval)
    LANGUAGE sql STABLE AS $$ SELECT 'NaN'::float8, '-Infinity'::float8, 'NaN'::numeric, 1.50, '\x00ff'::bytea, '08:30'::time,
        '2026-01-02 03:04:05.5'::timestamp, '1 day 02:03'::interval $$;
CREATE FUNCTION regress_values.big(bytes integer) RETURNS SETOF text LANGUAGE sql STABLE
    AS $$ SELECT repeat('x', 1000) FROM generate_series(1, bytes / 1000) $$;
CREATE FUNCTION regress_values.big_document(bytes integer) RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT to_jsonb(repeat('x', bytes)) $$;
CREATE FUNCTION regress_values.thing(id integer) RETURNS regress_values.things LANGUAGE plpgsql STABLE AS $$
DECLARE
    it regress_values.things;
BEGIN
    SELECT t.* INTO it FROM regress_values.things t WHERE t.id = thing.id;
    RETURN it;
END $$;
CREATE FUNCTION regress_values.thing_sql(id integer) RETURNS regress_values.things LANGUAGE sql STABLE
    AS $$ SELECT t FROM regress_values.things t WHERE t.id = thing_sql.id $$;
CREATE FUNCTION regress_values.nulls(OUT a text, OUT b integer) LANGUAGE sql STABLE AS 'SELECT NULL::text, NULL::integer';
CREATE FUNCTION regress_values.change(id integer, name text, expected_version integer DEFAULT NULL)
    RETURNS regress_values.things LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    it regress_values.things;
BEGIN
    IF expected_version = 0 THEN
        INSERT INTO regress_values.things (id, name) VALUES (change.id, change.name) ON CONFLICT DO NOTHING RETURNING * INTO it;
    ELSE
        UPDATE regress_values.things t SET name = change.name, version = t.version + 1
        WHERE t.id = change.id AND t.version = coalesce(expected_version, t.version) RETURNING * INTO it;
    END IF;
    IF it.id IS NULL THEN
        PERFORM usher.raise_error('stale_version', 'somebody was faster');
    END IF;
    RETURN it;
END $$;
CREATE FUNCTION regress_values.plain(name text) RETURNS void LANGUAGE sql VOLATILE AS 'SELECT';
CREATE FUNCTION regress_values.refuse(state text DEFAULT NULL) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF state IS NULL THEN
        RAISE EXCEPTION 'at most % a day', 5 USING DETAIL = 'not for the caller';
    END IF;
    RAISE EXCEPTION 'not for the caller' USING ERRCODE = state;
END $$;
SELECT count(usher.add_route(r.method, '/regress/' || p.proname, p.oid, 'public'))
FROM pg_proc p, unnest(ARRAY['GET', 'PUT']) AS r (method)
WHERE p.pronamespace = 'regress_values'::regnamespace AND (r.method = 'PUT' OR p.provolatile = 's');

CREATE FUNCTION regress_values.ask(method text, name text, query text DEFAULT NULL, body text DEFAULT NULL,
                                   headers jsonb DEFAULT '{}', OUT status integer, OUT answer text)
    LANGUAGE sql VOLATILE AS $$
    SELECT h.status, CASE WHEN h.status < 300 THEN left(h.body, 200)
        WHEN h.body = '' THEN ''
        ELSE concat_ws(' ', h.body::jsonb ->> 'code', h.body::jsonb ->> 'detail',
                       (SELECT string_agg((e ->> 'field') || ' ' || (e ->> 'detail'), '; ')
                        FROM jsonb_array_elements(h.body::jsonb -> 'errors') AS e)) END
    FROM usher.http_request(method, '/regress/' || name, query,
                            '{"content-type": "application/json"}' || headers, body) AS h $$;

-- the same from the query and from the body
SELECT given, (regress_values.ask('GET', 'take', given)).*,
       (regress_values.ask('PUT', 'take', NULL, jsonb_build_object(split_part(given, '=', 1),
                           replace(replace(split_part(given, '=', 2), '%2B', '+'), '%3D', '='))::text)).answer AS in_body
FROM unnest(ARRAY[
    'day=2026-12-31', 'day=tomorrow', 'day=infinity', 'day=20261231', 'day=2026-13-01', 'day=null', 'day=',
    'at=2026-01-02T03:04:05%2B02:00', 'at=2026-01-02T03:04:05', 'at=now', 'at=2026-01-02T25:04:05Z',
    'local=2026-01-02T03:04:05', 'local=2026-01-02T03:04:05%2B02:00', 'local=2026-01-02T03:04:05Z', 'local=today',
    'clock=08:30', 'clock=08:30Z', 'clock=noon', 'lasting=PT1H30M', 'lasting=1 day', 'lasting=P1Y2M3DT4H5M6.5S',
    'id=00000000-0000-0000-0000-0000000000AB', 'id={00000000-0000-0000-0000-0000000000ab}',
    'id=000000000000000000000000000000ab', 'price=12345678901234567890.123', 'price=NaN', 'price=1_000', 'ratio=Infinity',
    'ratio=1e400', 'ratio=0x10', 'bytes=AP8%3D', 'bytes=%5Cx00ff', 'bytes=AP8', 'words=null', 'n=null']) AS given;
SELECT (regress_values.ask('GET', 'take', 'days=2026-01-01&days=tomorrow')).*;
SELECT body, (regress_values.ask('PUT', 'take', NULL, body)).*
FROM unnest(ARRAY[
    '{"price": 1e2, "ratio": 1.5}', '{"price": true}', '{"day": null, "n": null, "document": null}', '{"day": 20261231}',
    '{"days": ["2026-01-01", null]}', '{"days": ["2026-01-01", "tomorrow"]}', '{"days": "2026-01-01"}']) AS body;
-- rows: every field is checked and named
SELECT body, (regress_values.ask('PUT', 'take', NULL, '{"row_value": ' || body || '}')).*
FROM unnest(ARRAY[
    '{}', '{"id": "00000000-0000-0000-0000-0000000000ab", "code": "abc"}', '{"ID": 1, "idd": 2}', '{"code": "abcd"}',
    '{"inside": {"day": "tomorrow", "even": "2"}}', '{"inside": {"even": 3}}', '{"inside": {"day": "2026-01-01"}}',
    '{"inside": {"even": 2, "tags": ["a", null], "x": 1}}', '{"inside": {"even": 2, "tags": ["a", null]}}',
    '{"many": [{"even": 2}, {"even": 4, "day": "x"}]}', '{"many": [{"even": 2}, {"even": 5}]}', '{"many": [{"even": 2}]}',
    '[]', '{"inside": []}']) AS body;

SELECT (regress_values.ask('GET', 'give')).*;
SELECT usher.openapi() #> '{paths,/regress/give,get,responses,200,content,application/json,schema,properties}';
SELECT p -> 'name' AS name, p -> 'schema' AS schema
FROM jsonb_array_elements(usher.openapi() #> '{paths,/regress/take,get,parameters}') AS p;

-- Nothing found
SELECT (regress_values.ask('GET', f, q)).* FROM (VALUES ('thing', 'id=1'), ('thing', 'id=2'), ('thing_sql', 'id=1'),
    ('thing_sql', 'id=2'), ('nulls', NULL)) AS v (f, q);

-- Preconditions
CREATE FUNCTION regress_values.put(if_match text DEFAULT NULL, if_none_match text DEFAULT NULL, id integer DEFAULT 1,
                                   name text DEFAULT 'change', OUT status integer, OUT answer text)
    LANGUAGE sql VOLATILE AS $$
    SELECT a.* FROM regress_values.ask('PUT', name, NULL,
        CASE name WHEN 'change' THEN jsonb_build_object('id', id, 'name', coalesce(if_match, if_none_match))
                  ELSE '{"name": "x"}' END::text,
        jsonb_strip_nulls(jsonb_build_object('if-match', if_match, 'if-none-match', if_none_match))) AS a $$;
SELECT * FROM regress_values.put('"3"');
SELECT * FROM regress_values.put('"04"');
SELECT * FROM regress_values.put('W/"4"');
SELECT * FROM regress_values.put('"2", "x,y", "4"');
SELECT * FROM regress_values.put('"2", "3"');
SELECT * FROM regress_values.put('*');
SELECT * FROM regress_values.put('6');
SELECT * FROM regress_values.put('"6"', '*');
SELECT * FROM regress_values.put(NULL, '*');
SELECT * FROM regress_values.put(NULL, '*', 2);
SELECT * FROM regress_values.put(NULL, '"7"');
SELECT * FROM regress_values.put(NULL, '*', 1, 'plain');
SELECT * FROM regress_values.put('"1"', NULL, 1, 'plain');
SELECT (regress_values.ask('GET', 'thing', 'id=1', NULL, jsonb_build_object('if-none-match', t))).status
FROM unnest(ARRAY['"6"', 'W/"6"', '"5", "6"', '*', '"06"', '"5"', 'nonsense']) AS t;

-- Bodies of any kind of JSON
SELECT t, (regress_values.ask('PUT', 'plain', NULL, '{"name": "x"}', jsonb_build_object('content-type', t))).status
FROM unnest(ARRAY['application/json; charset=utf-8', 'application/merge-patch+json', 'Application/vnd.x+JSON', 'text/json',
                  'application/jsonx', 'application/x-www-form-urlencoded']) AS t;

-- What the application refuses
SELECT (regress_values.ask('PUT', 'refuse', NULL, body)).*
FROM unnest(ARRAY['{}', '{"state": "P0001"}', '{"state": "P0002"}', '{"state": "XX000"}', '{"state": "45000"}']) AS body;

-- Answers have a largest size
SET usher.max_answer_size = '16kB';
SELECT f, bytes, a.status, left(a.answer, 20) AS answer
FROM (VALUES ('big', 15000), ('big', 20000), ('big_document', 15000), ('big_document', 20000)) AS v (f, bytes),
     LATERAL regress_values.ask('GET', f, 'bytes=' || bytes) AS a;
RESET usher.max_answer_size;
SELECT (regress_values.ask('GET', 'big', 'bytes=20000')).status;

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
DROP SCHEMA regress_values CASCADE;

-- A route calls the function that add_route() named, whatever happens to its types, its columns and its name, without a
-- new connection.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_changes;
CREATE TABLE regress_changes.things (id integer PRIMARY KEY, a text, b integer DEFAULT 7);
INSERT INTO regress_changes.things VALUES (1, 'one'), (2, 'two');
CREATE TYPE regress_changes.pair AS (x integer, y text);
CREATE TYPE regress_changes.mood AS ENUM ('calm');

CREATE FUNCTION regress_changes.one(id integer) RETURNS regress_changes.things LANGUAGE sql STABLE
    AS $$ SELECT t FROM regress_changes.things t WHERE t.id = one.id $$;
CREATE FUNCTION regress_changes.one_plpgsql(id integer) RETURNS regress_changes.things LANGUAGE plpgsql STABLE
    AS $$ DECLARE found_row regress_changes.things; BEGIN
        SELECT t.* INTO found_row FROM regress_changes.things t WHERE t.id = one_plpgsql.id; RETURN found_row; END $$;
CREATE FUNCTION regress_changes.many(max_rows integer DEFAULT 5, after integer DEFAULT NULL)
    RETURNS SETOF regress_changes.things LANGUAGE sql STABLE
    AS $$ SELECT t.* FROM regress_changes.things t WHERE after IS NULL OR t.id > after ORDER BY t.id LIMIT max_rows $$;
CREATE FUNCTION regress_changes.many_plpgsql() RETURNS SETOF regress_changes.things LANGUAGE plpgsql STABLE
    AS $$ BEGIN RETURN QUERY SELECT t.* FROM regress_changes.things t ORDER BY t.id; END $$;
CREATE FUNCTION regress_changes.pair(pair regress_changes.pair) RETURNS regress_changes.pair LANGUAGE sql STABLE
    AS 'SELECT pair';
CREATE FUNCTION regress_changes.feel(mood regress_changes.mood) RETURNS regress_changes.mood LANGUAGE sql STABLE
    AS 'SELECT mood';
CREATE FUNCTION regress_changes.which(n integer) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'integer ' || n $$;
CREATE FUNCTION regress_changes.greet(name text DEFAULT 'you') RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT 'hello ' || name $$;

SELECT count(usher.add_route('POST', '/regress/' || p.proname, p.oid, 'public'))
FROM pg_proc p WHERE p.pronamespace = 'regress_changes'::regnamespace;
SELECT count(usher.add_route('GET', '/regress/' || p.proname, p.oid, 'public'))
FROM pg_proc p WHERE p.pronamespace = 'regress_changes'::regnamespace AND p.proname ~ '^(many|greet)';
CREATE FUNCTION regress_changes.ask(method text, name text, query text, body text) RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT h.status || ' ' || CASE WHEN h.status < 300 THEN regexp_replace(h.body, '"next":"[^"]*"', '"next":…')
                                         ELSE concat_ws(' ', h.body::jsonb ->> 'code', h.body::jsonb ->> 'errors') END
          FROM usher.http_request(method, '/regress/' || name, query, '{"content-type": "application/json"}', body) h $$;
CREATE FUNCTION regress_changes.post(name text, body text DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT regress_changes.ask('POST', name, NULL, body) $$;
CREATE FUNCTION regress_changes.get(name text, query text DEFAULT NULL) RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT regress_changes.ask('GET', name, query, NULL) $$;
CREATE VIEW regress_changes.all_of_it AS
SELECT regress_changes.post('one', '{"id": 1}') AS one,
       regress_changes.post('one_plpgsql', '{"id": 1}') AS one_plpgsql,
       regress_changes.get('many', 'max_rows=1') AS many,
       regress_changes.get('many_plpgsql') AS many_plpgsql,
       regress_changes.post('pair', '{"pair": {"x": 1}}') AS pair,
       regress_changes.post('which', '{"n": 5}') AS which,
       regress_changes.get('greet') AS greet,
       usher.openapi() #> '{paths,/regress/one,post,responses,200,content,application/json,schema,required}' AS shown;
\x on
SELECT * FROM regress_changes.all_of_it;

-- Columns of a table come, go, and change their type and name
ALTER TABLE regress_changes.things DROP COLUMN a;
SELECT * FROM regress_changes.all_of_it;
ALTER TABLE regress_changes.things ADD COLUMN c boolean NOT NULL DEFAULT true;
SELECT * FROM regress_changes.all_of_it;
ALTER TABLE regress_changes.things ALTER COLUMN b TYPE text USING 'b' || b;
SELECT * FROM regress_changes.all_of_it;
ALTER TABLE regress_changes.things RENAME COLUMN b TO d;
SELECT * FROM regress_changes.all_of_it;
BEGIN;
ALTER TABLE regress_changes.things ADD COLUMN gone integer;
SELECT one, shown FROM regress_changes.all_of_it;
ROLLBACK;
SELECT one, shown FROM regress_changes.all_of_it;
ALTER TABLE regress_changes.things RENAME TO items;
CREATE VIEW regress_changes.things AS SELECT * FROM regress_changes.items;
SELECT one_plpgsql, shown FROM regress_changes.all_of_it;
DROP VIEW regress_changes.things;
ALTER TABLE regress_changes.items RENAME TO things;

-- the key of a page goes
ALTER TABLE regress_changes.things DROP COLUMN id CASCADE, ADD COLUMN number integer;
CREATE OR REPLACE FUNCTION regress_changes.many(max_rows integer DEFAULT 5, after integer DEFAULT NULL)
    RETURNS SETOF regress_changes.things LANGUAGE sql STABLE
    AS $$ SELECT t.* FROM regress_changes.things t LIMIT max_rows $$;
SELECT many FROM regress_changes.all_of_it;

-- Types of arguments
ALTER TYPE regress_changes.pair ADD ATTRIBUTE z date;
SELECT regress_changes.post('pair', '{"pair": {"x": 1, "z": "2026-01-02"}}');
ALTER TYPE regress_changes.pair DROP ATTRIBUTE x;
SELECT regress_changes.post('pair', '{"pair": {"x": 1}}'), regress_changes.post('pair', '{"pair": {"y": "why"}}') AS y;
ALTER TYPE regress_changes.pair ALTER ATTRIBUTE y TYPE integer;
SELECT regress_changes.post('pair', '{"pair": {"y": "why"}}'), regress_changes.post('pair', '{"pair": {"y": 3}}') AS y;
SELECT regress_changes.post('feel', '{"mood": "wild"}');
ALTER TYPE regress_changes.mood ADD VALUE 'wild';
SELECT regress_changes.post('feel', '{"mood": "wild"}');
ALTER TYPE regress_changes.mood RENAME VALUE 'wild' TO 'tame';
SELECT regress_changes.post('feel', '{"mood": "wild"}'), regress_changes.post('feel', '{"mood": "tame"}') AS tame;

-- Overloads of every kind take nothing away
CREATE FUNCTION regress_changes.which(n bigint) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'bigint' $$;
CREATE FUNCTION regress_changes.which(n text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'text' $$;
CREATE FUNCTION regress_changes.which(n integer, more text DEFAULT '') RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT 'two' $$;
CREATE FUNCTION regress_changes.which(n integer, VARIADIC more text[] DEFAULT '{}') RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT 'variadic' $$;
CREATE FUNCTION regress_changes.greet() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'nobody' $$;
SELECT which, greet, regress_changes.get('greet', 'name=all') AS named FROM regress_changes.all_of_it;

-- Another body, default, volatility, language and owner's rights
CREATE OR REPLACE FUNCTION regress_changes.greet(name text DEFAULT upper('me')) RETURNS text LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER AS $$ BEGIN PERFORM set_config('regress.greeted', name, true); RETURN 'bye ' || name; END $$;
SELECT greet, current_setting('regress.greeted', true) FROM regress_changes.all_of_it;
ALTER FUNCTION regress_changes.greet(text) STRICT;
SELECT regress_changes.post('greet', '{"name": null}');
REVOKE EXECUTE ON FUNCTION regress_changes.greet(text) FROM PUBLIC;
CREATE ROLE regress_changes_caller;
SELECT usher.grant_access('regress_changes_caller', 'gateway');
GRANT USAGE ON SCHEMA regress_changes TO regress_changes_caller;
SET ROLE regress_changes_caller;
SELECT regress_changes.get('greet'); -- our mistake, not the client's
RESET ROLE;
-- the name and the schema are what add_route() wrote down
ALTER FUNCTION regress_changes.greet(text) RENAME TO welcome;
SELECT regress_changes.get('greet');
ALTER FUNCTION regress_changes.welcome(text) RENAME TO greet;
SELECT regress_changes.get('greet');
DROP FUNCTION regress_changes.greet(text);
SELECT regress_changes.get('greet');
CREATE FUNCTION regress_changes.greet(other text DEFAULT 'x') RETURNS integer LANGUAGE sql AS 'SELECT length(other)';
SELECT regress_changes.get('greet', 'other=four');
\x off

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
DROP SCHEMA regress_changes CASCADE;
SELECT usher.revoke_access('regress_changes_caller');
DROP ROLE regress_changes_caller;

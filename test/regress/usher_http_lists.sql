-- Lists in pages: no row is lost, none comes twice, and next says the truth, whatever the function makes of max_rows.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_lists;
CREATE TABLE regress_lists.calls (name text, max_rows integer);
CREATE FUNCTION regress_lists.honest(rows integer, after integer DEFAULT NULL, max_rows integer DEFAULT 20)
    RETURNS TABLE (id integer) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO regress_lists.calls VALUES ('honest', max_rows);
    RETURN QUERY SELECT n FROM generate_series(coalesce(after, 0) + 1, rows) AS n LIMIT max_rows;
END $$;
CREATE FUNCTION regress_lists.cuts(rows integer, after integer DEFAULT NULL, max_rows integer DEFAULT 10)
    RETURNS TABLE (id integer) LANGUAGE sql STABLE
    AS $$ SELECT n FROM generate_series(coalesce(after, 0) + 1, rows) AS n LIMIT least(max_rows, 10) $$;
CREATE FUNCTION regress_lists.no_default(rows integer, max_rows smallint, after integer DEFAULT NULL)
    RETURNS TABLE (id integer) LANGUAGE sql STABLE
    AS $$ SELECT n FROM generate_series(coalesce(after, 0) + 1, rows) AS n LIMIT max_rows $$;
CREATE FUNCTION regress_lists.greedy(rows integer, after integer DEFAULT NULL, max_rows bigint DEFAULT 100000)
    RETURNS TABLE (id integer) LANGUAGE sql STABLE
    AS $$ SELECT n FROM generate_series(coalesce(after, 0) + 1, rows) AS n LIMIT max_rows $$;
CREATE FUNCTION regress_lists.two_keys(rows integer, after_a integer DEFAULT NULL, after_b text DEFAULT NULL,
                                       max_rows integer DEFAULT NULL)
    RETURNS TABLE (a integer, b text) LANGUAGE sql STABLE
    AS $$ SELECT n / 3, 'b' || n % 3 FROM generate_series(0, rows - 1) AS n
          WHERE after_a IS NULL OR (n / 3, 'b' || n % 3) > (after_a, after_b) ORDER BY 1, 2 LIMIT least(max_rows, 4) $$;
SELECT count(usher.add_route('GET', '/regress/' || p.proname, p.oid, 'public'))
FROM pg_proc p WHERE p.pronamespace = 'regress_lists'::regnamespace;
-- all pages of a list, and how many there were
CREATE FUNCTION regress_lists.walk(name text, query text, OUT pages integer, OUT rows bigint, OUT in_order boolean,
                                   OUT sizes integer[]) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    answer record;
    page jsonb := '{}';
    all_rows jsonb := '[]';
BEGIN
    pages := 0;
    LOOP
        SELECT h.status, h.body INTO answer FROM usher.http_request(
            'GET', '/regress/' || name, query || coalesce('&cursor=' || (page ->> 'next'), '')) AS h;
        IF answer.status <> 200 THEN
            RAISE EXCEPTION '%', answer.body;
        END IF;
        page := answer.body;
        pages := pages + 1;
        sizes := sizes || jsonb_array_length(page -> 'items');
        all_rows := all_rows || (page -> 'items');
        EXIT WHEN page ->> 'next' IS NULL OR pages > 50;
    END LOOP;
    SELECT count(DISTINCT r), array_agg(r ORDER BY n) = array_agg(r ORDER BY r) INTO rows, in_order
    FROM jsonb_array_elements(all_rows) WITH ORDINALITY AS e (r, n);
END $$;
SELECT name, query, w.* FROM (VALUES
    ('honest', 'rows=0'), ('honest', 'rows=5'), ('honest', 'rows=20'), ('honest', 'rows=21'), ('honest', 'rows=40'),
    ('honest', 'rows=30&max_rows=10'), ('honest', 'rows=1200&max_rows=1000'), ('honest', 'rows=500&max_rows=500'),
    ('cuts', 'rows=5'), ('cuts', 'rows=10'), ('cuts', 'rows=11'), ('cuts', 'rows=40'), ('cuts', 'rows=40&max_rows=20'), ('cuts', 'rows=10&max_rows=20'),
    ('cuts', 'rows=40&max_rows=9'), ('cuts', 'rows=25&max_rows=100000'), ('no_default', 'rows=9&max_rows=3'),
    ('greedy', 'rows=1001'), ('two_keys', 'rows=10'), ('two_keys', 'rows=8&max_rows=2')) AS v (name, query),
    LATERAL regress_lists.walk(name, query) AS w;
-- the function is asked for one row more than the page holds; a page that is known to be whole needs no second question
SELECT array_agg(max_rows ORDER BY c.ctid) FROM regress_lists.calls AS c;
TRUNCATE regress_lists.calls;
SELECT (regress_lists.walk('honest', 'rows=7')).pages;
SELECT array_agg(max_rows) FROM regress_lists.calls;

SELECT h.status, h.body::jsonb -> 'errors' AS errors
FROM unnest(ARRAY['0', '-1', '1.5', '', '99999999999']) AS n,
     LATERAL usher.http_request('GET', '/regress/honest', 'rows=1&max_rows=' || n) AS h;
SELECT p FROM jsonb_array_elements(usher.openapi() #> '{paths,/regress/honest,get,parameters}') AS p
WHERE p ->> 'name' = 'max_rows';
SET usher.max_page_rows = 3;
SELECT (regress_lists.walk('honest', 'rows=7')).sizes;
SELECT p #> '{schema,maximum}' AS maximum
FROM jsonb_array_elements(usher.openapi() #> '{paths,/regress/honest,get,parameters}') AS p WHERE p ->> 'name' = 'max_rows';
RESET usher.max_page_rows;

DELETE FROM usher.routes WHERE path_template LIKE '/regress/%';
DROP SCHEMA regress_lists CASCADE;

-- Names that others give their columns never decide how bytes are read.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_names;
SELECT usher.define_machine(
    'regress_names', '{"initial": ["open"], "terminal": ["done"], "transitions": [{"from": "open", "to": "done", '
                     '"action": "finish"}]}');

-- A table with a column of the name that a query of ours uses for its rows, in several types.
CREATE TABLE regress_names.things (t integer DEFAULT 5, id integer PRIMARY KEY, h text DEFAULT 'h',
                                   p point DEFAULT '(1,2)', status text NOT NULL DEFAULT 'open');
SELECT usher.attach_machine('regress_names', 'regress_names.things', 'status');
INSERT INTO regress_names.things (id) VALUES (1);
SELECT to_status, action, allowed FROM usher.allowed_transitions('regress_names.things', '1');
UPDATE regress_names.things SET status = 'done';
SELECT seq, from_status, to_status, action FROM usher.history('regress_names.things', '1');
ALTER TABLE regress_names.things DROP COLUMN t, ADD COLUMN t bytea DEFAULT '\x00';
SELECT to_status FROM usher.allowed_transitions('regress_names.things', '1');
SELECT count(*) FROM usher.history('regress_names.things', '1');
-- children that have their columns elsewhere
CREATE TABLE regress_names.child (extra text, id integer NOT NULL, h text, p point, status text NOT NULL, t bytea);
ALTER TABLE regress_names.child INHERIT regress_names.things;
INSERT INTO regress_names.child (extra, id, status) VALUES ('x', 2, 'open');
SELECT to_status, action FROM usher.allowed_transitions('regress_names.things', '2');

-- An id that is none is not repeated at length.
SELECT usher.allowed_transitions('regress_names.things', repeat('1', 300));
SELECT usher.history('regress_names.things', repeat('x', 60000));

-- A routed function of an application: its columns have names of ours, and types of its own.
CREATE FUNCTION regress_names.measures(OUT error double precision, OUT retry_after interval, OUT version text,
                                       OUT expires_in text, OUT access_token integer)
    LANGUAGE sql AS $$ SELECT 0.5, interval '3 seconds', 'v1', 'soon', 7 $$;
CREATE FUNCTION regress_names.failure(OUT error integer, OUT retry_after text) LANGUAGE sql AS 'SELECT 1, NULL';
CREATE FUNCTION regress_names.refusal(OUT error varchar(20), OUT retry_after smallint) LANGUAGE sql AS $$
    SELECT 'busy', 3::smallint
$$;
SELECT count(
    usher.add_route('GET', '/regress_names/' || name, ('regress_names.' || name || '()')::regprocedure, 'public'))
FROM unnest(ARRAY['measures', 'failure', 'refusal']) AS name;
SELECT path, answer.status, CASE WHEN answer.status = 200 THEN answer.body::jsonb
        ELSE jsonb_build_object('code', answer.body::jsonb ->> 'code',
                                'retry_after', answer.body::jsonb -> 'retry_after') END AS body
FROM unnest(ARRAY['measures', 'failure', 'refusal']) AS path,
     LATERAL usher.http_request('GET', '/regress_names/' || path, NULL, '{}', NULL, NULL) AS answer;
SELECT usher.remove_route('GET', '/regress_names/' || path)
FROM unnest(ARRAY['measures', 'failure', 'refusal']) AS path;

DROP SCHEMA regress_names CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_names';

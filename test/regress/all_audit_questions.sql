-- row_as_of() and row_history() read as the owner of the extension. Whoever may only read the audit log asks them for a
-- row of every table and view of the database: what is not audited does not answer, and no value that the log would not
-- show is in an answer. Tables, keys and columns come from the catalog.
SET client_min_messages = warning;
CREATE SCHEMA regress_questions;
CREATE ROLE regress_questions_app;
SELECT usher.grant_access('regress_questions_app', 'application');
SELECT usher.create_role('regress_questions') \g /dev/null
SELECT usher.create_permission('audit:read', if_not_exists => true) \g /dev/null
SELECT usher.grant_permission('regress_questions', 'audit:read') \g /dev/null
SELECT user_id AS reader FROM usher.import_user('reader@questions.example') \gset
SELECT usher.grant_role(:'reader', 'regress_questions') \g /dev/null
SELECT usher.issue_token(:'reader') AS token \gset

-- Rows of those that matter most, though nothing else has run; the tables of an application, audited and not.
SELECT usher.rotate_signing_key('ES256'), usher.create_password_reset(:'reader') IS NOT NULL AS reset \g /dev/null
SELECT usher.set_password(:'reader', 'a password that nobody guesses') \g /dev/null
CREATE TABLE regress_questions.secrets (id integer PRIMARY KEY, secret text);
INSERT INTO regress_questions.secrets VALUES (1, 'nobody was granted this');
CREATE VIEW regress_questions.view AS SELECT * FROM regress_questions.secrets;
CREATE MATERIALIZED VIEW regress_questions.kept AS SELECT * FROM regress_questions.secrets;
CREATE TABLE regress_questions.parts (id integer PRIMARY KEY, secret text) PARTITION BY LIST (id);
CREATE TABLE regress_questions.part PARTITION OF regress_questions.parts FOR VALUES IN (1);
INSERT INTO regress_questions.parts VALUES (1, 'nor this');
CREATE FOREIGN DATA WRAPPER regress_questions_wrapper;
CREATE SERVER regress_questions_server FOREIGN DATA WRAPPER regress_questions_wrapper;
CREATE FOREIGN TABLE regress_questions.elsewhere (id integer, secret text) SERVER regress_questions_server;
CREATE TABLE regress_questions.audited (id integer PRIMARY KEY, shown text, excluded text, redacted text, told_later text);
INSERT INTO regress_questions.audited VALUES (1, 'shown', 'hidden 1', 'hidden 2', 'hidden 3');
SELECT usher.enable_audit('regress_questions.audited', exclude => '{excluded}', redact => '{redacted}');
UPDATE regress_questions.audited SET told_later = 'hidden 4';
INSERT INTO regress_questions.audited VALUES (2, 'shown', 'hidden 1', 'hidden 2', 'hidden 3');
-- registered as sensitive when the log had it already
SELECT usher.register_extension('Questions', 'regress_questions', 'regress_questions',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h),
    personal_data => '{"audited": {"sensitive": ["told_later"]}}');
ALTER TABLE regress_questions.audited RENAME excluded TO excluded_renamed;
ALTER TABLE regress_questions.audited RENAME redacted TO redacted_renamed;

-- Asks as the reader, through an application.
CREATE FUNCTION regress_questions.ask(token text, question text, OUT state text, OUT answer jsonb) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate(token);
    SET LOCAL ROLE regress_questions_app;
    EXECUTE question INTO answer;
    RAISE SQLSTATE 'RB001';
EXCEPTION
    WHEN SQLSTATE 'RB001' THEN
        state := 'answered';
    WHEN OTHERS THEN
        state := SQLSTATE;
        answer := to_jsonb(SQLERRM);
END
$$;
-- The key of a row that there is, or of any.
CREATE FUNCTION regress_questions.key_of(relation regclass) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)
                     FROM (SELECT i.* FROM pg_index AS i WHERE i.indrelid = relation AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
                           ORDER BY i.indisprimary DESC LIMIT 1) AS i
                         JOIN pg_attribute AS a ON a.attrelid = relation AND a.attnum = ANY (i.indkey));
    key jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(r) FROM (SELECT %s FROM %s LIMIT 1) AS r', coalesce(columns, '1 AS id'), relation) INTO key;
    RETURN coalesce(key, '{"id": 1}');
EXCEPTION WHEN feature_not_supported OR fdw_no_schemas OR object_not_in_prerequisite_state THEN
    RETURN '{"id": 1}';
END
$$;
CREATE TABLE regress_questions.answers AS
    SELECT c.oid AS relation, c.relkind AS kind, n.nspname AS schema, q.name AS question, k.key, a.state, a.answer,
           EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = 'usher.audit_change()'::regprocedure) AS is_audited,
           EXISTS (SELECT FROM usher.audit_logs AS l
                   WHERE l.source = 'trigger' AND l.resource_type = (
                       SELECT format('%I.%I', rn.nspname, r.relname) FROM pg_class AS r JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
                       WHERE r.oid = coalesce(pg_partition_root(c.oid), c.oid))) AS is_known
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (SELECT regress_questions.key_of(c.oid) AS key) AS k
        CROSS JOIN (VALUES
            ('as of now', 'SELECT usher.row_as_of(%L::regclass, %L, now())'),
            ('as of some day', 'SELECT usher.row_as_of(%L::regclass, %L, ''infinity'')'),
            ('as of long ago', 'SELECT usher.row_as_of(%L::regclass, %L, ''2001-01-01'')'),
            ('history', 'SELECT jsonb_agg(jsonb_build_object(''old'', h.old_values, ''new'', h.new_values)) FROM usher.row_history(%L::regclass, %L) AS h'))
            AS q (name, statement)
        CROSS JOIN LATERAL regress_questions.ask(:'token', format(q.statement, c.oid, k.key)) AS a
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 't') AND c.relpersistence <> 't';
SELECT count(DISTINCT relation) > 200 AS many, count(DISTINCT relation) FILTER (WHERE schema = 'pg_catalog') > 60 AS catalogs,
       count(DISTINCT relation) FILTER (WHERE schema = 'wash') > 20 AS features, count(DISTINCT kind) AS kinds,
       count(*) FILTER (WHERE state = 'answered' AND answer IS NOT NULL) > 0 AS some_answer
FROM regress_questions.answers;

-- What nobody audits says nothing but that, about rows that are there and others.
SELECT DISTINCT relation::regclass, question, state, answer FROM regress_questions.answers
WHERE NOT is_audited AND NOT (question = 'history' AND is_known) AND state <> '55000'
ORDER BY 1, 2;
SELECT question, state, answer FROM regress_questions.answers WHERE relation = 'pg_authid'::regclass ORDER BY 1;
SELECT question, state, answer FROM regress_questions.answers WHERE relation = 'usher.signing_keys'::regclass AND question = 'as of now';
-- Tables with a secret that are audited: the rest of the row is there to be read.
SELECT question, state, answer FROM regress_questions.answers WHERE relation = 'regress_questions.audited'::regclass ORDER BY 1;
SELECT state, answer FROM regress_questions.ask(:'token', format($$ SELECT usher.row_as_of(%s, '2', now()) $$, 'regress_questions.audited'::regclass::oid));
SELECT state, answer FROM regress_questions.ask(:'token', format($$ SELECT jsonb_agg(h.new_values) FROM usher.row_history(%s, '2') AS h $$,
    'regress_questions.audited'::regclass::oid));

-- Nothing was there, and nothing logged, before the extensions were made.
SELECT DISTINCT relation::regclass, state, answer FROM regress_questions.answers WHERE question = 'as of long ago' AND answer IS NOT NULL AND state = 'answered' ORDER BY 1;

-- No answer has a value of a column that is sensitive, sealed, excluded or redacted.
CREATE TABLE regress_questions.hidden AS
    SELECT DISTINCT a.relation, n.name
    FROM regress_questions.answers AS a
        JOIN pg_trigger AS t ON t.tgrelid = a.relation AND t.tgfoid = 'usher.audit_change()'::regprocedure
        CROSS JOIN LATERAL (SELECT convert_from(rtrim(t.tgargs, '\x00'), 'UTF8')::jsonb AS lists) AS l
        CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(l.lists -> 'exclude', '[]') || coalesce(l.lists -> 'redact', '[]')) AS n (name)
    UNION
    SELECT DISTINCT a.relation, p.column_name::text
    FROM regress_questions.answers AS a JOIN pg_class AS c ON c.oid = coalesce(pg_partition_root(a.relation), a.relation)
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN usher.personal_columns AS p ON p.table_name = c.relname AND usher._schema_of(p.registrant) = n.nspname
    WHERE p.kind IN ('sensitive', 'sealed');
SELECT count(*) > 10 AS many FROM regress_questions.hidden;
SELECT DISTINCT a.relation::regclass, a.question, h.name
FROM regress_questions.answers AS a JOIN regress_questions.hidden AS h USING (relation)
    CROSS JOIN LATERAL jsonb_path_query(a.answer, '$.** ? (@.type() == "object")') AS o (part)
WHERE o.part ? h.name AND o.part -> h.name NOT IN ('null', '"[redacted]"') ORDER BY 1, 2, 3;
SELECT count(*) AS told FROM regress_questions.answers
WHERE answer::text ~ 'hidden [1-4]|nobody was granted|nor this';

-- Over HTTP it is the same.
SELECT h.status, h.body ~ 'rolpassword|SCRAM' AS told
FROM usher.http_request('GET', '/audit/as-of', format('relation=pg_catalog.pg_authid&key=%%22%s%%22&instant=2100-01-01T00:00:00Z', (SELECT oid FROM pg_authid WHERE rolname = session_user)),
    jsonb_build_object('authorization', 'Bearer ' || :'token'), NULL, '192.0.2.1') AS h;

SELECT usher.unregister_extension('regress_questions');
DROP FOREIGN DATA WRAPPER regress_questions_wrapper CASCADE;
DROP SCHEMA regress_questions CASCADE;
SELECT usher.delete_user(:'reader') \g /dev/null
SELECT usher.revoke_access('regress_questions_app');
DROP ROLE regress_questions_app;

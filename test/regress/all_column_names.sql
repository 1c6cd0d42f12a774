-- Columns of others may be named like the aliases that our own queries use: what is meant is the row, never such a
-- column.
SET client_min_messages = warning;
CREATE SCHEMA regress_names;
CREATE TABLE regress_names.letters (
    id integer PRIMARY KEY,
    a text, c text, k text, l text, n text, r text, t integer, x jsonb,
    change text, key text, relation text, wanted text, whole text
);
SELECT usher.enable_audit('regress_names.letters');
INSERT INTO regress_names.letters (id, r, t, whole) VALUES (1, 'r', 2, 'all');
UPDATE regress_names.letters SET t = 3 WHERE id = 1;
-- what was there before its first audit row is read from the table
SELECT usher.disable_audit('regress_names.letters');
INSERT INTO regress_names.letters (id, r, t) VALUES (2, 'r', 4);
SELECT usher.enable_audit('regress_names.letters');

SELECT usher.row_as_of('regress_names.letters', '1', now()) ->> 't' AS changed,
    usher.row_as_of('regress_names.letters', '2', now()) ->> 't' AS found;
SELECT action, new_values -> 't' AS t FROM usher.row_history('regress_names.letters', '{"id": 1}');
DROP SCHEMA regress_names CASCADE;

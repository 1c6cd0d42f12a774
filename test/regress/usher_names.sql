-- Spellings of one e-mail address or username are one account: whoever writes the name, and whoever asks for it.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192; -- hashing is not what is tested here
SET usher.argon2_iterations = 1;

CREATE SCHEMA regress_names;
CREATE TABLE regress_names.spellings (name text PRIMARY KEY);
INSERT INTO regress_names.spellings VALUES
    (E'jos\u00e9@b\u00fccher.example'), (E'Jose\u0301@bu\u0308cher.example'), (E'JOS\u00c9@xn--bcher-kva.example'),
    (E' jos\u00e9\uff20B\u00dcCHER\u3002example '), (E'jos\u00e9@b\u00fc\u00adcher.example'), (E'jos\u00e9@xn--bcher-KVA.EXAMPLE');
SELECT count(DISTINCT usher.name_key(name)), min(usher.name_key(name)) FROM regress_names.spellings;

-- Invisible characters are in no username and before no @.
SELECT count(*) AS tried, string_agg(to_hex(ascii(c)), ' ') FILTER (WHERE usher.normalize_name('a' || c || 'b') IS NOT NULL
    OR usher.normalize_name('a' || c || 'b@example.org') IS NOT NULL) AS passed
FROM unnest(string_to_array(E'\u00ad\u00a0\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u202e\u2060\u2063\u2066\u2069\u3000\u3164'
                            '\ufe0f\ufeff\uffa0\U000e0020\U000e0100', NULL)) AS c;
SELECT error FROM usher.register_user(E'a\u2060b@names.example', 'correct horse battery');
SELECT error FROM usher.register_user('ab@names.example', 'correct horse battery', username => E'a\ufe0fb');
SELECT error FROM usher.register_user('ab@names.example', 'correct horse battery', username => E'a\uff20b');

-- Registration.
SELECT error, user_id AS jose FROM usher.register_user(E'Jose\u0301@b\u00fccher.example', 'correct horse battery', username => E'Jose\u0301') \gset
SELECT email, username = E'Jos\u00e9' AS composed FROM usher.users WHERE id = :'jose';
SELECT DISTINCT r.error FROM regress_names.spellings s, usher.register_user(s.name, 'correct horse battery') r;
SELECT error FROM usher.register_user('other@names.example', 'correct horse battery', username => E'JOS\u00c9');
SELECT error FROM usher.register_user('other@names.example', 'correct horse battery', username => E'\uff2aos\u00e9');
SELECT user_id AS other FROM usher.register_user('other@names.example', 'correct horse battery', username => 'other') \gset

-- SQL that knows nothing of it: what it writes is stored in the one form, or refused.
INSERT INTO usher.users (email, username) VALUES (E'X\uff20EXAMPLE\u3002com', E'x\uff11') RETURNING email, username;
INSERT INTO usher.users (email) VALUES ('x@example.com');
INSERT INTO usher.users (email) VALUES (E'a\u2060b@example.com');
INSERT INTO usher.users (email) VALUES ('no address');
INSERT INTO usher.users (email, username) VALUES ('y@example.com', E'a\uff20b');
UPDATE usher.users SET email = E'jose\u0301@bu\u0308cher.example' WHERE id = :'other';
UPDATE usher.users SET email = E'Other@B\u00dcCHER.example' WHERE id = :'other' RETURNING email;
UPDATE usher.users SET username = E'jose\u0301' WHERE id = :'other';
ALTER TABLE usher.users DISABLE TRIGGER normalize_names; -- nor does anything get past the trigger
UPDATE usher.users SET email = E'jose\u0301@names.example' WHERE id = :'other';
ALTER TABLE usher.users ENABLE TRIGGER normalize_names;
SELECT version AS version_before FROM usher.users WHERE id = :'other' \gset
UPDATE usher.users SET email_verified_at = now() WHERE id IN (:'other', :'jose');
UPDATE usher.users SET email = E'other@b\u00fccher.example' WHERE id = :'other'
    RETURNING email_verified_at IS NOT NULL AS another_spelling_stays_verified;

-- Everything that looks a name up.
SELECT DISTINCT (usher.find_user(name)).user_id = :'jose' AS him FROM regress_names.spellings;
SELECT (usher.find_user(E'jose\u0301')).user_id = :'jose' AS by_username;
SELECT DISTINCT l.error, l.user_id = :'jose' AS him FROM regress_names.spellings s, usher.login(s.name, 'correct horse battery') l;
SELECT l.error, l.user_id = :'jose' AS him FROM usher.login(E'JOSE\u0301', 'correct horse battery') l;
SELECT count(*), count(DISTINCT email) FROM usher.login_attempts WHERE user_id = :'jose' AND success AND email LIKE '%@%' AND email = usher.normalize_name(email);
SELECT usher.request_login_code(min(name)), usher.request_password_reset(max(name)) FROM regress_names.spellings;
SELECT event, payload ->> 'email' AS email FROM usher.events WHERE key = :'jose' AND event ~ 'code|reset' ORDER BY event;
SELECT payload ->> 'code' AS code FROM usher.events WHERE key = :'jose' AND payload ? 'code' ORDER BY id DESC LIMIT 1 \gset
SELECT error, user_id = :'jose' AS him FROM usher.login_with_code(E'JOS\u00c9@b\u00fccher.example', :'code');
BEGIN;
SELECT FROM usher.authenticate(usher.issue_token(:'other'));
SELECT error FROM usher.update_profile(username => E'jose\u0301');
COMMIT;
SELECT error FROM usher.import_user(E'jose\u0301@B\u00fccher.example');
SELECT user_id AS imported FROM usher.import_user(E'im\u00adported@names.example') \gset
SELECT user_id AS imported FROM usher.import_user(E'Imported@Names\u3002example', email_verified => false) \gset
SELECT payload ->> 'email' AS email FROM usher.events WHERE event = 'user.registered' AND key = :'imported';
SELECT error, identity_id IS NOT NULL AS linked
FROM usher.link_identity(:'imported', 'regress', '1', E'imported@NAMES\uff0eexample', email_verified => true);
SELECT email_verified_at IS NOT NULL AS proved FROM usher.users WHERE id = :'imported';
SELECT error FROM usher.link_identity(:'imported', 'regress_unproved', '1', E'im\u0301ported@names.example', email_verified => true);
SELECT usher.matching_users(ARRAY[:'jose', :'other']::uuid[], name) = :'jose' AS matches FROM regress_names.spellings GROUP BY 1;

-- A change of address to another spelling of a taken one mails nobody.
BEGIN;
SELECT FROM usher.authenticate(usher.issue_token(:'other', claims => '{}'));
SELECT error FROM usher.request_email_change(E'JOSE\u0301@bu\u0308cher.example', 'correct horse battery');
SELECT error FROM usher.request_email_change(E'a\u2060b@names.example', 'correct horse battery');
COMMIT;
SELECT count(*) FROM usher.events WHERE event = 'user.email_change_requested' AND key = :'other';

-- Guesses under many spellings are guesses of one name, and are forgotten with the account.
BEGIN;
SELECT usher.set_request_context('192.0.2.77');
SELECT DISTINCT l.error FROM regress_names.spellings s, usher.login(s.name, 'wrong horse battery') l;
COMMIT;
SELECT failed_login_attempts, octet_length(failed_names) / 8 AS names
FROM usher.network_failures WHERE network = '192.0.2.77/32';
SELECT usher.erase_user(:'jose') IS NOT NULL AS erased;
SELECT count(*) FROM usher.login_attempts WHERE usher.name_key(email) = (SELECT usher.name_key(min(name)) FROM regress_names.spellings);
SELECT failed_names FROM usher.network_failures WHERE network = '192.0.2.77/32';

-- Customers without an account.
SELECT email FROM wash.upsert_customer(name => 'Walk In', email => E'Walk\uff20b\u00fccher\u3002example');
SELECT name FROM wash.list_customers(E'WALK@bu\u0308cher.example');
INSERT INTO wash.customers (name, email) VALUES ('Raw', E'Raw@bu\u0308cher.example');
SELECT name FROM wash.list_customers(E'raw@xn--bcher-kva.example');

-- How many a search would find: of words that begin with each of those that are asked for, by the sample that ANALYZE takes.
BEGIN;
INSERT INTO usher.users (email, status, first_name, last_name)
SELECT 'many' || i || '@names.example', 'active', 'Wanda' || i % 2, 'Quixley' FROM generate_series(1, 1000) AS i;
ANALYZE usher.users;
SELECT s AS search, round(usher.expected_users(s) / 100.0) * 100 AS about
FROM unnest(ARRAY['wanda', 'wanda0', 'wanda1', 'quix', 'wanda0 quixley', 'quixley wanda', 'wanda nobodyatall', 'nobodyatall',
                  '', NULL]) AS s;
ROLLBACK;

-- No feature compares addresses or usernames in a way of its own: indexes and statements use the key.
SELECT i.indexrelid::regclass AS index, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
JOIN pg_index i ON i.indrelid = d.objid
WHERE e.extname LIKE 'usher%' AND regexp_replace(pg_get_indexdef(i.indexrelid), ' INCLUDE .*', '') ~ '(email|username)[^(]*\)' AND pg_get_indexdef(i.indexrelid) !~ 'name_key';
SELECT p.oid::regprocedure AS compares_names_itself
FROM pg_extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
JOIN pg_proc p ON p.oid = d.objid
WHERE e.extname LIKE 'usher%' AND p.prosrc ~* '(lower|upper)\([a-z_.]*(email|username|address|identifier)\M';

SELECT usher.erase_user(:'other') IS NOT NULL, usher.erase_user(:'imported') IS NOT NULL;
DELETE FROM wash.customers WHERE name IN ('Walk In', 'Raw');
DELETE FROM usher.users WHERE email = 'X@example.com';
DROP SCHEMA regress_names CASCADE;

-- Accounts are audited with their values, whoever writes them (R1-62, R3-03); what is personal can be taken out of the log
-- again without breaking its seals (R1-64), and is only there when the log knows whose it is.
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
CREATE FUNCTION pg_temp.tell(since uuid) RETURNS TABLE (resource text, action text, old_values jsonb, new_values jsonb)
    LANGUAGE sql AS $$
    SELECT split_part(l.resource_type, '.', 2), l.action, l.old_values, l.new_values
    FROM usher.audit_logs AS l WHERE l.id > since AND l.source = 'trigger' ORDER BY l.id $$;
SELECT user_id AS ann FROM usher.register_user('ann@accounts.example', 'correct horse battery', 'Ann') \gset
SELECT user_id AS bob FROM usher.register_user('bob@accounts.example', 'correct horse battery', 'Bob') \gset

-- Raw SQL and functions leave old and new values of what changed
SELECT usher.uuid_v7() AS mark \gset
UPDATE usher.users SET first_name = 'Anna', phone = '+49 30 1' WHERE id = :'ann';
UPDATE usher.users SET email = 'anna@accounts.example' WHERE id = :'ann';
SELECT usher.set_user_tier(:'ann', 'GOLD');
SELECT error FROM usher.link_identity(:'ann', 'google', 'g-1', 'ann@mail.example');
SELECT usher.record_consent('newsletter', 'v1', :'ann') IS NOT NULL AS consented;
SELECT resource, action, old_values, new_values - '{id,user_id,created_at,given_at}'::text[] AS new_values
FROM pg_temp.tell(:'mark');

-- Of passwords only that they changed; a login leaves nothing here
SELECT usher.uuid_v7() AS mark \gset
UPDATE usher.credentials SET password_hash = password_hash || 'x', password_changed_at = '2026-01-01 00:00+00'
WHERE user_id = :'ann';
SELECT resource, action, old_values - 'password_changed_at' AS old_values, new_values FROM pg_temp.tell(:'mark');
SELECT usher.uuid_v7() AS mark \gset
SELECT error FROM usher.login('bob@accounts.example', 'wrong');
SELECT error FROM usher.login('bob@accounts.example', 'correct horse battery');
SELECT * FROM pg_temp.tell(:'mark');

-- Each row says whose it is: an export has it, and nobody else's
SELECT count(*) > 0 AS hers FROM jsonb_path_query(usher.export_user(:'ann'), '$.audit[*].old_values.first_name') AS v
WHERE v = '"Ann"';
SELECT usher.export_user(:'bob')::text ~ 'Anna|g-1' AS tells_of_ann, usher.export_user(:'ann')::text ~ 'Bob' AS of_bob;

-- A table of an application: personal columns are there for rows with a subject only
CREATE SCHEMA regress_accounts;
CREATE TABLE regress_accounts.pets (id integer PRIMARY KEY, owner_id uuid, name text, kind text);
SELECT usher.register_extension('Pets', name => 'pets', schema_name => 'regress_accounts', declined_hooks =>
    '{upkeep,self_check,configuration,metrics,health,export,erase}',
    personal_data => '{"pets": {"subject": ["owner_id"], "personal": ["name"], "impersonal": ["kind"]}}');
SELECT usher.enable_audit('regress_accounts.pets');
SELECT usher.uuid_v7() AS mark \gset
INSERT INTO regress_accounts.pets VALUES (1, :'ann', 'Rex', 'dog'), (2, NULL, 'Tom', 'cat');
UPDATE regress_accounts.pets SET owner_id = :'bob', name = 'Max' WHERE id = 1; -- Bob does not learn what it was
UPDATE regress_accounts.pets SET owner_id = :'bob', name = 'Tim' WHERE id = 2;
UPDATE regress_accounts.pets SET name = 'Ben' WHERE id = 2;
UPDATE regress_accounts.pets SET owner_id = NULL, name = 'nobody' WHERE id = 2;
DELETE FROM regress_accounts.pets WHERE id = 1;
SELECT l.action, CASE l.subject_id WHEN :'ann' THEN 'ann' WHEN :'bob' THEN 'bob' END AS subject,
       l.value_salt IS NOT NULL AS salted, l.old_values ->> 'name' AS old_name, l.new_values ->> 'name' AS new_name
FROM usher.audit_logs AS l WHERE l.id > :'mark' AND l.resource_type = 'regress_accounts.pets' ORDER BY l.id;

-- Salts are secrets of their own, also within one statement
SELECT count(DISTINCT l.value_salt) = count(l.value_salt) AS distinct_salts FROM usher.audit_logs AS l;

-- Nobody rewrites what is sealed with a salt
SELECT pg_sleep(1.1);
SELECT usher._seal_audit_log() > 0 AS sealed;
SELECT bool_and(is_intact) AS intact FROM usher.verify_audit_chain();
SELECT l.id AS victim FROM usher.audit_logs AS l
WHERE l.subject_id = :'ann' AND l.old_values ->> 'first_name' = 'Ann' \gset
BEGIN;
UPDATE usher.audit_logs SET old_values = '{"first_name": "Eve"}' WHERE id = :'victim';
SELECT bool_and(is_intact) AS intact FROM usher.verify_audit_chain();
ROLLBACK;
BEGIN;
UPDATE usher.audit_logs SET value_digest = sha256('x'), value_salt = NULL WHERE id = :'victim';
SELECT bool_and(is_intact) AS intact FROM usher.verify_audit_chain();
ROLLBACK;
BEGIN;
UPDATE usher.audit_logs SET subject_id = :'bob' WHERE id = :'victim';
SELECT bool_and(is_intact) AS intact FROM usher.verify_audit_chain();
ROLLBACK;

-- Erasure takes the values, also of rows that are gone, and what the erasure itself changed; the seals hold
SELECT usher.erase_user(:'ann');
SELECT count(*) > 5 AS rows, bool_and(l.value_salt IS NULL AND length(l.value_digest) = 32) AS erased,
       bool_and(l.event_data = '{}') AS no_data
FROM usher.audit_logs AS l WHERE l.subject_id = :'ann';
SELECT l.old_values, l.new_values FROM usher.audit_logs AS l WHERE l.id = :'victim';
SELECT l.new_values - 'owner_id' AS new_values FROM usher.audit_logs AS l
WHERE l.subject_id = :'ann' AND l.resource_type = 'regress_accounts.pets' AND l.action = 'insert';
SELECT count(*) AS left_over FROM usher.audit_logs AS l
WHERE l.subject_id = :'ann' AND l::text ~ 'Anna|anna@|ann@|\+49 30 1|g-1|Rex';
SELECT bool_and(is_intact) AS intact FROM usher.verify_audit_chain();
-- What is not personal is still there to be read, and a row can be followed
SELECT l.new_values ->> 'tier' AS tier FROM usher.audit_logs AS l
WHERE l.subject_id = :'ann' AND l.old_values ? 'tier' AND l.new_values ->> 'tier' = 'GOLD';
SELECT r ->> 'first_name' AS name, r ->> 'tier' AS tier
FROM usher.row_as_of('usher.users', to_jsonb(:'ann'::text), clock_timestamp()) AS r;

-- The column that says whose a row is goes by its new name; without it nothing can be erased, so nothing is told
ALTER TABLE regress_accounts.pets RENAME COLUMN owner_id TO keeper_id;
SELECT usher.uuid_v7() AS mark \gset
INSERT INTO regress_accounts.pets VALUES (3, :'bob', 'Kit', 'cat');
SET client_min_messages = error;
ALTER TABLE regress_accounts.pets DROP COLUMN keeper_id;
INSERT INTO regress_accounts.pets VALUES (4, 'Pip', 'cat');
RESET client_min_messages;
SELECT l.subject_id = :'bob' AS of_bob, l.new_values - 'keeper_id' AS new_values FROM usher.audit_logs AS l
WHERE l.id > :'mark' AND l.resource_type = 'regress_accounts.pets' ORDER BY l.id;
SELECT finding FROM usher.check_configuration() WHERE finding ~ 'pets';

-- A subject is one uuid
\set VERBOSITY terse
SELECT usher.register_extension('Pets', name => 'pets', schema_name => 'regress_accounts', declined_hooks =>
    '{upkeep,self_check,configuration,metrics,health,export,erase}',
    personal_data => '{"pets": {"subject": ["name"]}}');
SELECT usher.register_extension('Pets', name => 'pets', schema_name => 'regress_accounts', declined_hooks =>
    '{upkeep,self_check,configuration,metrics,health,export,erase}',
    personal_data => '{"pets": {"subject": ["id", "name"]}}');
SELECT usher.unregister_extension('pets');
DROP SCHEMA regress_accounts CASCADE;

-- What the application keeps about a user: written by administrators only (R1-18)
SELECT usher.set_user_metadata(:'bob', '{"crm": 17}');
SELECT metadata FROM usher.users WHERE id = :'bob';
SELECT usher.set_user_metadata(:'bob', '[]');
SELECT usher.set_user_metadata(:'bob', NULL);
SELECT usher.set_user_metadata(:'ann', '{"crm": 18}'); -- erased
BEGIN;
SELECT usher.issue_token(:'bob') AS token \gset
SELECT usher.authenticate(:'token') = :'bob' AS is_bob;
SAVEPOINT s;
SELECT usher.set_user_metadata(:'bob', '{"crm": 19}');
ROLLBACK TO s;
SELECT error FROM usher.update_profile(profile => '{"a": 1}');
COMMIT;
SELECT metadata FROM usher.users WHERE id = :'bob';

-- An event of the application has data and metadata (R1-37)
SELECT usher.log_event('report.printed', '{"pages": 3}', metadata => '{"printer": "west"}') AS event \gset
SELECT event_data, metadata FROM usher.search_audit(event_type => 'report.printed') WHERE id = :'event';
SELECT usher.log_event('report.printed', metadata => '[]');

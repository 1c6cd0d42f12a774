-- The first administrator: made once, by the DBA.
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
DELETE FROM usher.user_roles;
DELETE FROM usher.user_permissions;
CREATE ROLE regress_first_app;
SELECT usher.grant_access('regress_first_app', 'application');
SAVEPOINT app;
SET ROLE regress_first_app;
SELECT usher.create_first_admin('app@first.example', 'a long phrase nobody guesses');
ROLLBACK TO app;
SELECT error FROM usher.create_first_admin('ada@first.example', 'short');
SELECT error, user_id FROM usher.create_first_admin('ada@first.example', 'a long phrase nobody guesses', 'Ada') \gset
SELECT usher.user_has_permission(:'user_id', '*:*') AS may_everything, usher.user_has_role(:'user_id', 'admin') AS is_admin;
SELECT l.error FROM usher.login('ada@first.example', 'a long phrase nobody guesses') l;
-- whoever has a verified address is active, and counts as such
SELECT u.status, u.email_verified_at IS NOT NULL AS is_verified FROM usher.users u WHERE u.id = :'user_id';
SELECT count(*) FROM usher.list_users('active') l WHERE l.user_id = :'user_id';
SAVEPOINT twice;
SELECT usher.create_first_admin('bob@first.example', 'a long phrase nobody guesses');
ROLLBACK TO twice;
-- an administrator may make others, and nobody who is logged in the first one
SELECT usher.authenticate(usher.issue_token(:'user_id')) = :'user_id' AS logged_in;
SAVEPOINT logged_in;
SELECT usher.create_first_admin('bob@first.example', 'a long phrase nobody guesses');
ROLLBACK;
-- no route leads there
SELECT count(*) FROM usher.list_routes() WHERE function LIKE '%create_first_admin%';

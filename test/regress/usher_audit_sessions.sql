-- What the audit log knows of an account: logins that succeed and fail, refresh, logout, changed permissions and rows,
-- each with address, agent, session and result, found by user and time, session, kind, correlation.
\set VERBOSITY terse
\pset null '(null)'
SET client_min_messages = warning;
CREATE SCHEMA regress_trail;
CREATE TABLE regress_trail.cards (id integer PRIMARY KEY, owner text, pin text);
SELECT usher.enable_audit('regress_trail.cards', redact => '{pin}');
SELECT user_id AS ida FROM usher.register_user('ida@trail.example', 'a long password of Ida', 'Ida') \gset
SELECT error FROM usher.verify_email(usher.create_email_verification(:'ida'), 'a long password of Ida');
SELECT clock_timestamp() AS since \gset
-- a session from one place, with two wrong passwords before it
BEGIN;
SELECT usher.set_request_context('192.0.2.10', 'Trail/1.0', 'trail-1');
SELECT error FROM usher.login('ida@trail.example', 'not her password');
SELECT error FROM usher.login('ida@trail.example', 'nor this one');
SELECT error, session_id AS session, access_token AS token, refresh_token AS refresh
FROM usher.login('ida@trail.example', 'a long password of Ida') \gset
COMMIT;
-- what she does in it
BEGIN;
SELECT usher.set_request_context('192.0.2.10', 'Trail/1.0', 'trail-2');
SELECT usher.authenticate(:'token') = :'ida' AS it_is_ida;
INSERT INTO regress_trail.cards VALUES (1, 'Ida', 'PIN-1234');
UPDATE regress_trail.cards SET owner = 'Ida B.', pin = 'PIN-5678';
SELECT usher.log_event('card.printed', '{"copies": 1}', resource_type => 'card',
                       resource_id => '1') IS NOT NULL AS logged;
COMMIT;
-- refreshed from another place; a permission is given meanwhile; then she leaves
BEGIN;
SELECT usher.set_request_context('2001:db8::1', 'Trail/1.1', 'trail-3');
SELECT error, access_token AS token FROM usher.refresh_session(:'refresh') \gset
COMMIT;
SELECT usher.create_permission('card:print');
SELECT usher.grant_permission(:'ida'::uuid, 'card:print');
BEGIN;
SELECT usher.set_request_context('2001:db8::1', 'Trail/1.1', 'trail-4');
SELECT usher.authenticate(:'token') = :'ida' AS it_is_ida;
SELECT allowed, via FROM usher.check_access('card:print', '{"id": 1}');
SELECT allowed FROM usher.check_access('card:burn', '{"id": 1}');
SELECT usher.logout();
COMMIT;

-- The trail of the user: by time, newest first
SELECT event_type, result, severity, client_ip, user_agent, correlation_id, session_id = :'session' AS session, source
    FROM usher.search_audit(actor_id => :'ida', since => :'since', until => clock_timestamp());
-- what others did about her
SELECT event_type, result, resource_type, actor_id
FROM usher.search_audit(resource_id => :'ida', since => :'since') WHERE actor_id IS DISTINCT FROM :'ida';
-- of the session, of a request, of a kind, of a severity
SELECT event_type FROM usher.search_audit(session_id => :'session', since => :'since');
SELECT event_type, action, resource_type, resource_id, old_values, new_values, event_data, actor_name
FROM usher.search_audit(correlation_id => 'trail-2') ORDER BY id;
SELECT error_message, client_ip
FROM usher.search_audit(event_type => 'login.failed', actor_id => NULL, since => :'since', result => 'failure');
SELECT count(*) > 0 AS warned FROM usher.search_audit(severity => 'warning', since => :'since');
-- each question has its index, in every partition
SELECT regexp_replace(i.indexdef, '.* USING ', '') COLLATE "C" AS index_on
FROM pg_indexes i WHERE i.schemaname = 'usher' AND i.tablename = 'audit_logs_default' ORDER BY 1;
SELECT count(*) AS partitions_that_lack_one FROM pg_inherits p
    WHERE p.inhparent = 'usher.audit_logs'::regclass
        AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = p.inhrelid) <> 9;
-- no secret stands in it
SELECT count(*) AS secrets FROM usher.audit_logs l
WHERE l.created_at >= :'since'::timestamptz AND l::text ~ 'password of Ida|not her password|nor this one|PIN-|urt_';
-- it outlives the user
SELECT usher.delete_user(:'ida'), usher.erase_user(:'ida');
SELECT count(*) > 5 AS still_there FROM usher.search_audit(actor_id => :'ida', since => :'since');
SELECT count(*) AS dangling FROM pg_constraint WHERE conrelid = 'usher.audit_logs'::regclass AND contype = 'f';

SELECT usher.drop_permission('card:print');
SET client_min_messages = error;
DROP SCHEMA regress_trail CASCADE;

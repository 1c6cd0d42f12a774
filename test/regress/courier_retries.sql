-- A message that has failed can be tried again as long as its token is good, which stays where it was until then and nowhere else; one that
-- was used, replaced, has expired or was erased is refused, with the reason.
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA courier_again;
SELECT usher.apply_role_preset('courier');
UPDATE usher.deliveries SET status = 'completed', completed_at = now() WHERE consumer = 'usher_courier' AND status = 'pending';
DELETE FROM wash.messages;
CREATE TABLE courier_again.people AS
SELECT n AS name, (usher.register_user('again-' || n || '@example.com', 'a note on every door')).user_id AS id
FROM unnest('{used,replaced,expired,erased,idle,late,sent}'::text[]) AS n;
SELECT count(wash.report_message(c.message, c.attempt, 'sent')) AS sent FROM wash.claim_messages('test', 100) AS c;
-- Each asks for a reset of the password, and the server refuses all.
SELECT count(*) AS asked FROM courier_again.people AS p CROSS JOIN LATERAL usher.request_password_reset('again-' || p.name || '@example.com') AS r;
CREATE TABLE courier_again.failed AS
SELECT c.message, p.name, substring(c.body_text FROM 'token=([A-Za-z0-9_-]+)') AS token, wash.report_message(c.message, c.attempt, 'rejected', '554 5.7.1', 'no relay') AS status
FROM wash.claim_messages('test', 100) AS c JOIN courier_again.people AS p ON c.recipient = 'again-' || p.name || '@example.com';
SELECT f.name, f.status, m.keeps_secret, m.last_code FROM courier_again.failed AS f JOIN wash.messages AS m ON m.id = f.message ORDER BY f.name;
CREATE FUNCTION courier_again.kept(name text) RETURNS bigint LANGUAGE sql
    RETURN (SELECT count(*) FROM usher.events AS e JOIN courier_again.people AS p ON p.id::text = e.key WHERE p.name = kept.name AND e.payload ? 'token');
CREATE FUNCTION courier_again.retry(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    RETURN (SELECT wash.retry_message(f.message)::text FROM courier_again.failed AS f WHERE f.name = retry.name);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, detail);
END
$$;
SELECT name, courier_again.kept(name) AS tokens FROM courier_again.failed ORDER BY name;
-- no webhook, and no list, gets to know it
SELECT count(*) AS told FROM wash.list_messages('failed') AS l JOIN courier_again.failed AS f ON position(f.token IN l::text) > 0;

-- Used, replaced, expired, erased, locked out; each with its reason.
SELECT r.error FROM courier_again.failed AS f CROSS JOIN LATERAL usher.reset_password(f.token, 'another note on a door') AS r WHERE f.name = 'used';
SELECT usher.request_password_reset('again-replaced@example.com');
SELECT count(wash.report_message(c.message, c.attempt, 'sent')) AS newer FROM wash.claim_messages('test', 100) AS c;
UPDATE usher.events AS e SET payload = e.payload || jsonb_build_object('expires_at', now() - interval '1 second')
FROM courier_again.people AS p WHERE p.name = 'expired' AND e.key = p.id::text AND e.payload ? 'token';
SELECT usher.erase_user(id) FROM courier_again.people WHERE name = 'erased';
SELECT usher.deactivate_user(id) FROM courier_again.people WHERE name = 'idle';
SELECT name, courier_again.retry(name), courier_again.kept(name) AS tokens FROM unnest('{used,replaced,expired,erased,idle}'::text[]) AS name;
SELECT wash.retry_message(usher.uuid_v7()) AS unknown;

-- What was of no use any more before anybody tried it again: upkeep takes the token away, though the message is kept for the record.
UPDATE wash.messages AS m SET expires_at = now() - interval '1 second' FROM courier_again.failed AS f WHERE f.name = 'late' AND m.id = f.message;
SELECT courier_again.kept('late') AS tokens;
SELECT affected AS forgotten FROM usher.run_maintenance() WHERE task = 'message_secrets_forgotten';
SELECT courier_again.kept('late') AS tokens, m.status, m.keeps_secret, courier_again.retry('late') FROM courier_again.failed AS f JOIN wash.messages AS m ON m.id = f.message WHERE f.name = 'late';
-- Nor does it go from a message that is kept for it before its time.
BEGIN;
SET LOCAL courier.message_retention = 0;
SELECT affected > 0 AS removed FROM usher.run_maintenance() WHERE task = 'messages_removed';
SELECT f.name FROM courier_again.failed AS f JOIN wash.messages AS m ON m.id = f.message ORDER BY 1;
ROLLBACK;

-- Tried again, it goes with the token that it had, not after that has expired, and then the token is gone.
SELECT wash.lift_suppression('again-sent@example.com') AS counted, courier_again.retry('sent'), courier_again.retry('sent') AS at_once;
SELECT m.status, m.keeps_secret, m.attempts, m.expires_at <= (e.payload ->> 'expires_at')::timestamptz AS in_time
FROM courier_again.failed AS f JOIN wash.messages AS m ON m.id = f.message JOIN usher.events AS e ON e.id = m.event_id WHERE f.name = 'sent';
SELECT c.attempt, substring(c.body_text FROM 'token=([A-Za-z0-9_-]+)') = f.token AS same, wash.report_message(c.message, c.attempt, 'sent') AS reported
FROM wash.claim_messages('test') AS c JOIN courier_again.failed AS f ON f.message = c.message;
SELECT courier_again.kept('sent') AS tokens, courier_again.retry('sent') AS again;

-- An application's own secrets, which nobody but the courier cuts: replaced by a newer message, or erased with their user, they are gone.
SELECT usher.register_extension('Invitations', 'invitations', 'courier_again', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{guest.invited}');
SELECT wash.set_message_rule('guest.invited', secret_keys => '{ticket}', supersedes => '{guest.invited}');
SELECT version FROM wash.set_message_template('guest.invited', 'en', 'Come {{ticket}}', 'Your ticket: {{ticket}}');
CREATE FUNCTION courier_again.invite(ticket text) RETURNS boolean LANGUAGE sql
    RETURN (SELECT usher.publish('guest.invited', jsonb_build_object('user_id', p.id, 'ticket', ticket), p.name) FROM courier_again.people AS p WHERE p.name = 'sent') IS NOT NULL;
CREATE FUNCTION courier_again.tickets() RETURNS text LANGUAGE sql
    RETURN (SELECT string_agg(e.payload ->> 'ticket', ' ' ORDER BY e.id) FROM usher.events AS e WHERE e.event = 'guest.invited' AND e.payload ? 'ticket');
SELECT courier_again.invite('first') AS invited, wash.remove_message_template('guest.invited', 'en') AS without_template;
SELECT count(*) AS sent FROM wash.claim_messages('test');
SELECT status, last_code, keeps_secret, courier_again.tickets() FROM wash.messages WHERE event = 'guest.invited';
SELECT version FROM wash.set_message_template('guest.invited', 'en', 'Come {{ticket}}', 'Your ticket: {{ticket}}');
SELECT wash.retry_message(m.id) AS retried FROM wash.messages AS m WHERE m.event = 'guest.invited';
SELECT c.subject, c.body_text, wash.report_message(c.message, c.attempt, 'deferred', '451') FROM wash.claim_messages('test') AS c;
SELECT courier_again.invite('second') AS invited;
SELECT c.body_text, wash.report_message(c.message, c.attempt, 'rejected', '554') FROM wash.claim_messages('test') AS c;
SELECT status, last_code, keeps_secret, courier_again.tickets() FROM wash.messages WHERE event = 'guest.invited' ORDER BY id;
SELECT courier_again.invite('third') AS invited;
SELECT count(*) AS claimed FROM wash.claim_messages('test');
SELECT status, last_code, keeps_secret, courier_again.tickets() FROM wash.messages WHERE event = 'guest.invited' ORDER BY id;
SELECT usher.erase_user(id) FROM courier_again.people WHERE name = 'sent';
SELECT count(*) AS messages, courier_again.tickets() IS NULL AS no_ticket FROM wash.messages WHERE event = 'guest.invited';
DELETE FROM wash.message_rules WHERE event = 'guest.invited';
SELECT usher.unsubscribe('guest.invited', 'usher_courier'), usher.unregister_extension('invitations');
DELETE FROM wash.messages;
DELETE FROM wash.message_suppressions;
DROP SCHEMA courier_again CASCADE;

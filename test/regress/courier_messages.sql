-- Messages of events: who gets which, when they go and when they never do, and that what they say stands nowhere else.
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA courier_test;
SELECT usher.apply_role_preset('courier');
-- what other tests have published is none of ours
UPDATE usher.deliveries SET status = 'completed', completed_at = now() WHERE consumer = 'usher_courier' AND status = 'pending';
DELETE FROM wash.messages;
CREATE FUNCTION courier_test.make(name text) RETURNS uuid LANGUAGE sql
    RETURN (SELECT r.user_id FROM usher.register_user('courier-' || name || '@example.com', 'a note on every door', initcap(name)) AS r);
-- makes messages, and what is ready becomes due
CREATE FUNCTION courier_test.claim(n integer DEFAULT 100)
    RETURNS TABLE (message uuid, attempt integer, recipient text, subject text, body_text text, body_html text) LANGUAGE sql
    AS $$ SELECT c.message, c.attempt, c.recipient, c.subject, c.body_text, c.body_html FROM wash.claim_messages('test', n) AS c $$;
-- all that is ready, as sent: who got what
CREATE FUNCTION courier_test.deliver() RETURNS TABLE (recipient text, subject text) LANGUAGE plpgsql AS $$
DECLARE
    claimed record;
BEGIN
    LOOP
        FOR claimed IN SELECT * FROM courier_test.claim() LOOP
            PERFORM wash.report_message(claimed.message, claimed.attempt, 'sent', '250');
            recipient := claimed.recipient;
            subject := claimed.subject;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN claimed IS NULL;
        claimed := NULL;
    END LOOP;
END
$$;
CREATE FUNCTION courier_test.token_in(body text) RETURNS text LANGUAGE sql RETURN substring(body FROM 'token=([A-Za-z0-9_-]+)');

-- Somebody registers, gets one message, and what stands in it proves the address.
SELECT courier_test.make('ann') AS ann \gset
CREATE TABLE courier_test.claimed AS SELECT * FROM courier_test.claim();
SELECT attempt, recipient, subject FROM courier_test.claimed;
SELECT regexp_replace(regexp_replace(body_text, 'token=[A-Za-z0-9_-]+', 'token=…'), 'until .* \(UTC\)', 'until … (UTC)') FROM courier_test.claimed;
SELECT regexp_replace(substring(body_html FROM '<p><a.*?</p>'), 'token=[A-Za-z0-9_-]+', 'token=…', 'g') FROM courier_test.claimed;
SELECT message, courier_test.token_in(body_text) AS token FROM courier_test.claimed \gset
SELECT count(*) AS claimed_again FROM courier_test.claim();
-- The token stands in the event, until it has gone, and in no other table.
CREATE FUNCTION courier_test.where_is(secret text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    found boolean;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('usher', 'wash') ORDER BY c.oid::regclass::text LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t WHERE position($1 IN t::text) > 0)', relation) INTO found USING secret;
        IF found THEN
            RETURN NEXT relation::text;
        END IF;
    END LOOP;
END
$$;
SELECT * FROM courier_test.where_is(:'token');
SELECT wash.report_message(:'message', 1, 'sent', '250', 'queued');
SELECT * FROM courier_test.where_is(:'token');
SELECT status, attempts, last_code, sent_at IS NOT NULL AS is_sent, claimed_by FROM wash.messages WHERE id = :'message';
SELECT wash.report_message(:'message', 1, 'sent') IS NULL AS reported_already;
SELECT error, user_id = :'ann' AS is_ann FROM usher.verify_email(:'token', 'a note on every door');
SELECT * FROM courier_test.deliver();

-- What is rolled back was never said.
BEGIN;
SELECT courier_test.make('nobody') IS NOT NULL AS registered;
ROLLBACK;
SELECT count(*) AS messages FROM courier_test.claim();

-- Asked again: the newer token goes. Used, ended or expired before it went: nothing goes.
SELECT courier_test.make('ben') AS ben \gset
SELECT usher.request_email_verification('courier-ben@example.com');
SELECT usher.request_email_verification('courier-ben@example.com');
SELECT recipient, subject FROM courier_test.deliver();
SELECT usher.request_password_reset('courier-ben@example.com');
SELECT e.payload ->> 'token' AS token FROM usher.events AS e
WHERE e.event = 'user.password_reset_requested' AND e.key = :'ben' AND e.payload ? 'token' \gset
SELECT error FROM usher.reset_password(:'token', 'another note on a door');
SELECT recipient, subject FROM courier_test.deliver();
SELECT usher.request_password_reset('courier-ben@example.com');
UPDATE usher.events SET payload = payload || jsonb_build_object('expires_at', now() - interval '1 second')
WHERE event = 'user.password_reset_requested' AND key = :'ben' AND payload ? 'token';
SELECT recipient, subject FROM courier_test.deliver();
SELECT count(*) AS tokens FROM usher.events WHERE key = :'ben' AND payload ? 'token';

-- A change of address is told at both.
SELECT access_token FROM usher.login('courier-ann@example.com', 'a note on every door') \gset
BEGIN;
SELECT usher.authenticate(:'access_token') IS NOT NULL AS is_ann;
SELECT error FROM usher.request_email_change('courier-ann2@example.com', 'a note on every door');
COMMIT;
SELECT count(*) FROM courier_test.claim();
SELECT recipient, subject, body_text ~ 'courier-ann2@example.com' AS names_it, body_text ~ 'token=' AS has_token
FROM (SELECT m.recipient, w.subject_line AS subject, w.text_part AS body_text
      FROM wash.messages AS m CROSS JOIN LATERAL wash._write_message(m.event, m.audience, m.channel, m.language, usher.event_payload(m.event_id),
          m.user_id, m.customer_id, m.recipient, 1) AS w WHERE m.status = 'claimed') AS c ORDER BY recipient;
SELECT payload ->> 'token' AS token FROM usher.events WHERE event = 'user.email_change_requested' AND key = :'ann' AND payload ? 'token' \gset
SELECT wash.report_message(m.id, 1, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';
SELECT * FROM courier_test.where_is(:'token');
BEGIN;
SELECT usher.authenticate(:'access_token') IS NOT NULL AS is_ann;
SELECT error FROM usher.verify_email(:'token');
COMMIT;
SELECT recipient, subject FROM courier_test.deliver() ORDER BY recipient;

-- In the language and time zone of the user.
SELECT version FROM usher.update_profile(preferences => '{"language": "de-AT", "time_zone": "Asia/Tokyo"}', user_id => :'ann');
SELECT subject FROM wash.preview_message('booking.reminder', '{"start_at": "2026-12-01T14:00:00+00:00"}', 'de', user_id => :'ann');
SELECT subject FROM wash.preview_message('booking.reminder', '{"start_at": "2026-12-01T14:00:00+00:00", "time_zone": "Europe/Berlin"}', 'en', user_id => :'ann');
SELECT subject FROM wash.preview_message('booking.reminder', '{"start_at": "2026-12-01T14:00:00+00:00", "time_zone": "Europe/Nowhere"}', 'fr-CA');
-- what only begins like a time is a text of somebody, and so is a day that there is not; neither keeps the others from being told
SELECT p.key, p.value FROM jsonb_each_text(wash._local_times('{"start_at": "2026-12-01T14:00:00+00:00", "until": "2026-12-01 14:00:00.25+00", "short": "2026-12-01 14:00Z", "reason": "2026-12-01 10:00 does not suit me",
    "lines": "2026-12-01 10:00\nsuits me", "no_day": "2026-02-31T10:00:00+00:00", "no_zone": "2026-12-01 10:00:00 Nowhere/At"}', 'Asia/Tokyo')) AS p ORDER BY p.key COLLATE "C";
SELECT p.key, p.value FROM jsonb_each_text(wash._local_times('{"start_at": "2026-12-01T14:00:00+01:00", "reason": "2026-12-01 10:00 does not suit me"}', 'Europe/Nowhere')) AS p ORDER BY p.key COLLATE "C";
SELECT usher.request_login_code('courier-ann2@example.com');
SELECT subject, body_text ~ '\n\n[0-9]{6}\n\n' AS has_code, body_text ~ 'Asia/Tokyo' AS in_tokyo FROM courier_test.claim();
-- A subject cannot tell the secret, whatever its template says.
SELECT version FROM wash.set_message_template('user.login_code_requested', 'de', 'Code: {{code}}', 'Code: {{code}}', expected_version => 1);
SELECT w.subject_line, w.text_part FROM wash._write_message('user.login_code_requested', 'user', 'email', 'de', '{"code": "123456"}', NULL, NULL, 'x@example.com', 1) AS w;
SELECT usher.revert_decision('wash.message_templates', '{"event": "user.login_code_requested", "audience": "user", "channel": "email", "language": "de"}');
SELECT subject FROM wash.list_message_templates('user.login_code_requested');

-- A server that asks to come back later is asked again later; what the lease is over for goes to somebody else, under the same name.
SELECT message, attempt FROM (SELECT m.id AS message, m.attempts AS attempt FROM wash.messages AS m WHERE m.status = 'claimed') AS c \gset
SELECT wash.report_message(:'message', :attempt, 'deferred', '451 4.7.1', 'greylisted');
SELECT status, attempts, last_code, next_attempt_at BETWEEN now() + interval '20 seconds' AND now() + interval '40 seconds' AS in_half_a_minute
FROM wash.messages WHERE id = :'message';
SELECT count(*) AS too_early FROM courier_test.claim();
UPDATE wash.messages SET next_attempt_at = now() WHERE id = :'message';
SELECT message = :'message' AS is_it, attempt, message_id AS name FROM wash.claim_messages('other', lease => '1 minute') \gset second_
SELECT :'second_is_it', :second_attempt;
SELECT wash.report_message(:'message', 1, 'sent') IS NULL AS first_attempt_is_over;
UPDATE wash.messages SET next_attempt_at = now() - interval '1 second' WHERE id = :'message';
SELECT wash.report_message(:'message', 2, 'deferred') IS NULL AS lease_is_over;
SELECT message = :'message' AS is_it, attempt, message_id = :'second_name' AS same_name FROM wash.claim_messages('third');
SELECT wash.report_message(:'message', 3, 'aborted');
SELECT attempts FROM wash.messages WHERE id = :'message';
UPDATE wash.messages SET attempts = 24, next_attempt_at = now() WHERE id = :'message';
SELECT attempt FROM courier_test.claim();
SELECT wash.report_message(:'message', 25, 'deferred', '451');
SELECT status, last_code FROM wash.messages WHERE id = :'message';
SELECT payload - 'id' - 'user_id' FROM usher.events WHERE event = 'message.failed' ORDER BY id DESC LIMIT 1;
SELECT count(*) AS codes FROM usher.events WHERE event = 'user.login_code_requested' AND payload ? 'code';
SELECT wash.retry_message(:'message') AS its_code_is_good, wash.retry_message(:'message') AS it_waits;
SELECT subject, attempt, body_text ~ '\n\n[0-9]{6}\n\n' AS has_code FROM courier_test.claim();
SELECT wash.report_message(:'message', 1, 'sent');
SELECT count(*) AS codes FROM usher.events WHERE event = 'user.login_code_requested' AND payload ? 'code';
SELECT wash.retry_message(:'message') AS was_sent;

-- Refused by the server: counted, and after some, or at once where there is no such mailbox, nothing is sent there.
CREATE FUNCTION courier_test.refuse(code text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.request_password_reset('courier-ben@example.com');
    RETURN (SELECT wash.report_message(c.message, c.attempt, 'rejected', code, 'no') FROM courier_test.claim() AS c);
END
$$;
DELETE FROM usher.one_time_tokens WHERE user_id = :'ben';
SELECT courier_test.refuse('550 5.7.1'), courier_test.refuse('550 5.7.1');
SELECT bounces, suppressed_at IS NULL AS still_sent_to FROM wash.message_suppressions;
SELECT * FROM wash.list_suppressions();
SELECT usher.request_password_reset('courier-ben@example.com');
SELECT recipient FROM courier_test.deliver();
SELECT count(*) AS forgotten FROM wash.message_suppressions;
DELETE FROM usher.one_time_tokens WHERE user_id = :'ben';
SELECT courier_test.refuse('550 5.1.1');
SELECT address, reason, bounces, code FROM wash.list_suppressions();
SELECT payload - 'id' - 'user_id' FROM usher.events WHERE event = 'message.bounced' ORDER BY id DESC LIMIT 1;
SELECT usher.request_password_reset('courier-BEN@example.com');
SELECT recipient FROM courier_test.deliver();
SELECT status, last_code FROM wash.messages WHERE user_id = :'ben' ORDER BY id DESC LIMIT 1;
SELECT wash.lift_suppression('Courier-Ben@Example.com'), wash.lift_suppression('courier-ben@example.com');
SELECT wash.report_bounce('courier-ben@example.com', 'complaint') AS suppressed;
SELECT wash.suppress_address('not an address');
SELECT wash.lift_suppression('courier-ben@example.com');

-- The first of many equal messages goes, and the others of the hour as one.
CREATE FUNCTION courier_test.lock(who uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM usher.publish('user.locked', jsonb_build_object('user_id', who, 'locked_until', '2030-01-01T12:00:00Z'), who::text);
END
$$;
SELECT courier_test.lock(:'ben');
SELECT subject FROM courier_test.deliver();
SELECT courier_test.lock(:'ben') FROM generate_series(1, 3) \g /dev/null
SELECT subject FROM courier_test.deliver();
SELECT status, repeats, next_attempt_at - created_at BETWEEN interval '59 minutes' AND interval '1 hour' AS waits
FROM wash.messages WHERE event = 'user.locked' AND user_id = :'ben' ORDER BY id;
UPDATE wash.messages SET next_attempt_at = now() WHERE event = 'user.locked' AND status = 'pending';
SELECT body_text ~ '3 times over' AS says_so FROM courier_test.claim();
SELECT wash.report_message(m.id, m.attempts, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';

-- To one recipient one at a time, and in order; the urgent first.
SELECT courier_test.make('cid') AS cid \gset
SELECT usher.publish('user.password_changed', jsonb_build_object('user_id', :'cid'), 'a') IS NOT NULL AS published,
    usher.publish('user.second_factor_added', jsonb_build_object('user_id', :'cid'), 'b') IS NOT NULL AS published;
SELECT subject FROM courier_test.claim();
SELECT count(*) AS others FROM courier_test.claim();
SELECT wash.report_message(m.id, m.attempts, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';
SELECT subject FROM courier_test.deliver();

-- What an account should know: a login from a program that is new, though not the first of all; a lock; a key that acts for them.
CREATE FUNCTION courier_test.log_in(agent text, password text DEFAULT 'a note on every door') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.set_request_context('192.0.2.7', agent);
    RETURN coalesce((SELECT l.error FROM usher.login('courier-ann2@example.com', password) AS l), 'in');
END
$$;
SELECT courier_test.log_in('Phone/1'), courier_test.log_in('Phone/1');
SELECT subject, body_text ~ 'Phone/1' AS names_it, body_text ~ '192.0.2.7' AS says_where FROM courier_test.claim();
SELECT wash.report_message(m.id, m.attempts, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';
SELECT courier_test.log_in('Phone/1', 'wrong ' || n) FROM generate_series(1, 6) AS n;
SELECT subject FROM courier_test.deliver();
SELECT error, prefix IS NOT NULL AS made FROM usher.create_api_key('Robot', '{message:read}', user_id => :'ann');
SELECT subject, body_text ~ 'Robot' AS names_it FROM courier_test.claim();
SELECT wash.report_message(m.id, m.attempts, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';

-- What is overtaken by what comes after it need not go.
SELECT usher.publish('booking.created', jsonb_build_object('customer_user_id', :'cid', 'start_at', now() + interval '1 day'), 'booking 1') IS NOT NULL AS made,
    usher.publish('booking.confirmed', jsonb_build_object('customer_user_id', :'cid', 'start_at', now() + interval '1 day'), 'booking 1') IS NOT NULL AS confirmed,
    usher.publish('booking.created', jsonb_build_object('customer_user_id', :'cid', 'start_at', now() + interval '1 day'), 'booking 2') IS NOT NULL AS other;
SELECT subject FROM courier_test.deliver();

-- Nobody gets more than so many.
SELECT usher.define_rate_limit('courier.recipient', 'fixed_window', 2, '1 day');
SELECT courier_test.make('dan') AS dan \gset
SELECT usher.publish('user.password_changed', jsonb_build_object('user_id', :'dan'), n::text) IS NOT NULL FROM generate_series(1, 4) AS n \g /dev/null
SELECT count(*) AS delivered FROM courier_test.deliver();
SELECT status, last_code, count(*) FROM wash.messages WHERE user_id = :'dan' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT usher.revert_decision('usher.rate_limit_policies', '{"policy": "courier.recipient"}');

-- Who is not active gets nothing; an event that anybody can publish makes nothing; nor does an address that is none.
SELECT usher.deactivate_user(:'dan');
SELECT usher.publish('user.password_changed', jsonb_build_object('user_id', :'dan'), 'x') IS NOT NULL AS published;
INSERT INTO wash.message_rules (event) VALUES ('courier_test.anybody');
SELECT wash._follow_event('courier_test.anybody', NULL);
SELECT usher.publish('courier_test.anybody', jsonb_build_object('user_id', :'cid')) IS NOT NULL AS published;
SELECT usher.publish('user.email_changed', jsonb_build_object('user_id', :'cid', 'former_email', E'a@b.example\r\nBcc: c@d.example')) IS NOT NULL AS published;
SELECT recipient, subject FROM courier_test.deliver();
SELECT status, last_code FROM wash.messages WHERE audience = 'former_address' AND user_id = :'cid';
SELECT usher.unsubscribe('courier_test.anybody', 'usher_courier');

-- An application's own: declared, with a rule and a template.
SELECT wash.set_message_rule('courier_test.invoice');
SELECT usher.register_extension('Invoices', 'courier_test', 'courier_test', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h),
    publishes => '{courier_test.invoice}');
SELECT wash.set_message_template('courier_test.invoice', 'en', 'x', 'x');
SELECT wash.set_message_rule('courier_test.invoice', user_keys => '{customer,payer}', expires_key => 'due_at');
SELECT version FROM wash.set_message_template('courier_test.invoice', 'en', 'Invoice {{number}}', 'Pay {{amount_minor|money:currency}} by {{due_at|date}}.',
    '<p>Pay {{amount_minor|money:currency}} <a href="{{app_url}}/invoices/{{number}}">here</a>.</p>');
SELECT usher.publish('courier_test.invoice', jsonb_build_object('payer', :'cid', 'number', E'7/1\r\nBcc: <x@example.com>', 'amount_minor', 1250, 'currency', 'EUR',
    'due_at', '2030-01-01T10:00:00Z')) IS NOT NULL AS published;
SELECT recipient, subject, body_text, body_html FROM courier_test.claim();
SELECT wash.report_message(m.id, m.attempts, 'sent') FROM wash.messages AS m WHERE m.status = 'claimed';
SELECT wash.set_message_rule('courier_test.invoice', priority => 10);
SELECT wash.set_message_rule('courier_test.invoice', user_keys => NULL);
SELECT wash.set_message_rule('courier_test.invoice', max_age => '1 year');
-- Whoever writes a template: it can be read, and places values where they are safe.
SELECT wash.set_message_template('courier_test.invoice', 'en', 'Invoice {{number', 'x');
SELECT wash.set_message_template('courier_test.invoice', 'en', 'x', 'x', '<script>{{number}}</script>');
UPDATE wash.message_templates SET body_html = '<a onclick="x">' WHERE event = 'courier_test.invoice';
SELECT version FROM wash.set_message_template('courier_test.invoice', 'en', 'x', 'x', expected_version => 7);
SELECT wash.remove_message_template('courier_test.invoice', 'en'), wash.remove_message_template('courier_test.invoice', 'en');
SELECT usher.publish('courier_test.invoice', jsonb_build_object('payer', :'cid', 'due_at', '2030-01-01T10:00:00Z')) IS NOT NULL AS published;
SELECT recipient FROM courier_test.deliver();
SELECT status, last_code FROM wash.messages WHERE event = 'courier_test.invoice' ORDER BY id DESC LIMIT 1;
SELECT rule, violations FROM usher.self_check() WHERE violations > 0 AND rule LIKE '%messages%';
DELETE FROM wash.message_rules WHERE event LIKE 'courier_test.%';
SELECT usher.unsubscribe('courier_test.invoice', 'usher_courier'), usher.unregister_extension('courier_test');

-- Who may. The program that sends claims and reports, and sees nothing else; applications see no token.
CREATE ROLE regress_courier;
SELECT usher.grant_access('regress_courier', 'courier');
CREATE ROLE regress_courier_app;
SELECT usher.grant_access('regress_courier_app', 'application');
SET ROLE regress_courier;
SELECT count(*) FROM wash.claim_messages('program');
SELECT wash.report_message(gen_random_uuid(), 1, 'sent') IS NULL AS unknown;
SELECT wash.courier_heartbeat('program', '0.1.0');
SELECT count(*) FROM wash.list_messages();
SELECT count(*) FROM wash.messages;
SELECT count(*) FROM usher.claim_events('usher_courier');
SELECT wash.claim_messages('program', 0);
SELECT wash.claim_messages('program', lease => '0');
SELECT wash.report_message(gen_random_uuid(), 1, 'lost');
RESET ROLE;
SET ROLE regress_courier_app;
SELECT wash.claim_messages('application');
SELECT wash.list_messages();
RESET ROLE;
SELECT courier_test.make('eve') AS eve \gset
SELECT usher.grant_role(:'eve', 'postmaster') \g /dev/null
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE id = :'eve';
SELECT usher.issue_token(:'eve', '{}', '1 hour') AS eve_token, usher.issue_token(:'cid', '{}', '1 hour') AS cid_token \gset
SELECT status, body::jsonb -> 'items' -> 0 ->> 'event' AS event, body::jsonb ->> 'code' AS code
FROM (VALUES (:'eve_token'), (:'cid_token')) AS t (token)
    CROSS JOIN LATERAL usher.http_request('GET', '/messages', 'only_status=sent&max_rows=1', jsonb_build_object('authorization', 'Bearer ' || t.token)) AS h;
SELECT status, body::jsonb ->> 'subject' AS subject
FROM usher.http_request('POST', '/messages/preview', headers => jsonb_build_object('authorization', 'Bearer ' || :'eve_token', 'content-type', 'application/json'),
    body => '{"event": "booking.cancelled", "language": "de"}');
SELECT r.path, h.status, h.body::jsonb ->> 'code' AS code
FROM (VALUES ('/messages/templates/booking.cancelled/fr'), ('/messages/templates/user.login_code_requested/fr')) AS r (path)
    CROSS JOIN LATERAL usher.http_request('PUT', r.path, headers => jsonb_build_object('authorization', 'Bearer ' || :'eve_token', 'content-type', 'application/json'),
    body => '{"subject": "x", "body_text": "x"}') AS h;
SELECT wash.remove_message_template('booking.cancelled', 'fr');
SELECT status, body::jsonb ->> 'code' AS code
FROM usher.http_request('PUT', '/messages/templates/booking.cancelled/en', headers => jsonb_build_object('authorization', 'Bearer ' || :'eve_token', 'content-type', 'application/json'),
    body => '{"subject": "{{", "body_text": "x"}');

-- Health, numbers, upkeep, what somebody gets to know of themselves, and what is forgotten.
SELECT wash._courier_health() IS NULL AS is_well;
UPDATE wash.courier_workers SET seen_at = now() - interval '6 minutes';
SELECT wash._courier_health();
DELETE FROM wash.courier_workers;
SELECT name, labels FROM usher.metrics() WHERE name LIKE 'usher_courier%' ORDER BY name, labels;
SELECT courier_test.make('fay') AS fay \gset
-- A copy of the database makes the message under the same Message-ID: so does whoever makes it once more.
BEGIN;
SELECT count(*) > 0 AS claimed FROM courier_test.claim();
SELECT message_id AS name FROM wash.messages WHERE user_id = :'fay' \gset copy_
ROLLBACK;
SELECT affected > 0 AS made FROM usher.run_maintenance() WHERE task = 'messages_made';
SELECT message_id = :'copy_name' AS same_name, message_id ~ '^<[0-9a-f]{32}@' AS is_an_id FROM wash.messages WHERE user_id = :'fay';
UPDATE wash.messages SET expires_at = now() - interval '1 second' WHERE user_id = :'fay';
UPDATE wash.messages SET finished_at = now() - interval '31 days' WHERE user_id = :'dan';
SELECT task, affected > 0 AS some FROM usher.run_maintenance() WHERE task IN ('messages_expired', 'messages_removed');
SELECT status, last_code FROM wash.messages WHERE user_id IN (:'fay', :'dan');
SELECT count(*) AS tokens FROM usher.events WHERE key = :'fay' AND payload ? 'token';
SELECT wash.suppress_address('courier-fay@example.com');
SELECT jsonb_array_length(x -> 'messages') AS messages, x #>> '{messages,0,recipient}' AS recipient, jsonb_array_length(x -> 'suppressions') AS suppressions
FROM (SELECT usher.export_user(:'fay') -> 'usher_courier') AS e (x);
SELECT usher.erase_user(:'fay');
SELECT count(*) AS left_over FROM (SELECT FROM wash.messages AS m WHERE m::text ~ 'courier-fay' UNION ALL SELECT FROM wash.message_suppressions AS s WHERE s::text ~ 'courier-fay') AS l;
SELECT count(*) AS in_the_log FROM usher.audit_logs AS l WHERE l.resource_type LIKE 'wash.message_suppressions' AND l::text ~ 'courier-fay';
DELETE FROM wash.messages;
DROP SCHEMA courier_test CASCADE;
SELECT usher.revoke_access('regress_courier'), usher.revoke_access('regress_courier_app');
DROP ROLE regress_courier;
DROP ROLE regress_courier_app;

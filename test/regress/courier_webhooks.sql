-- Webhooks as the database sees them: each failure is tried again as events are, later each time and not before the receiver asks, 25 times; then
-- it is a dead letter that can be sent by hand. A webhook that fails for a week is disabled, which an event tells.
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA courier_hooks;
SELECT usher.apply_role_preset('courier');
UPDATE usher.deliveries SET status = 'completed', completed_at = now() WHERE consumer LIKE 'usher_courier%' AND status = 'pending';
DELETE FROM wash.http_requests;
DELETE FROM wash.messages;
SELECT usher.register_extension('Hooks', 'hooks', 'courier_hooks', declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{hooked.told,hooked.late}');
SELECT webhook_id AS hook FROM wash.add_webhook('https://hooks.example/a', '{hooked.*}') \gset
SELECT usher.publish('hooked.told', '{"n": 1}', 'k') IS NOT NULL AS published;
-- Fails n times; when it is tried next, against exp(n) seconds, at most six hours (as fail_event() does), or what Retry-After says.
CREATE FUNCTION courier_hooks.fail(status_code integer DEFAULT 500, retry_after interval DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    claimed record;
    said text;
    begun timestamptz;
    next timestamptz;
BEGIN
    UPDATE wash.http_requests SET next_attempt_at = now() WHERE status = 'pending';
    SELECT c.* INTO claimed FROM wash.claim_requests('test', 1) AS c;
    begun := clock_timestamp();
    said := wash.report_request(claimed.request, claimed.attempt, status_code, '{}', '', retry_after => fail.retry_after);
    next := (SELECT r.next_attempt_at FROM wash.http_requests AS r WHERE r.id = claimed.request);
    RETURN format('%s: %s, %s', claimed.attempt, said, CASE WHEN said <> 'pending' THEN 'no more'
        WHEN next - make_interval(secs => exp(least(10, claimed.attempt))) BETWEEN begun AND clock_timestamp() THEN 'as events wait'
        WHEN next - fail.retry_after BETWEEN begun AND clock_timestamp() THEN 'as it was asked to' ELSE (next - begun)::text END);
END
$$;
SELECT n, courier_hooks.fail(CASE n % 3 WHEN 0 THEN 503 WHEN 1 THEN 404 ELSE NULL END) FROM generate_series(1, 11) AS n;
SELECT courier_hooks.fail(429, '7 days') AS asked_to_wait;
SELECT courier_hooks.fail(500, '1 second') AS asked_to_hurry;
SELECT max(split_part(f, ':', 1)::integer) AS attempts, count(*) FILTER (WHERE f LIKE '%pending%') AS pending, max(f) FILTER (WHERE f LIKE '%failed%') AS last
FROM (SELECT courier_hooks.fail() FROM generate_series(14, 25)) AS t (f);
SELECT event, status, attempts, status_code FROM wash.list_http_requests('failed', :'hook');
SELECT payload - '{id,event_id,webhook_id}'::text[] FROM usher.events WHERE event = 'http_request.failed' AND payload ->> 'webhook_id' = :'hook';
SELECT url, failing_since IS NOT NULL AS fails, waiting, failed FROM wash.list_webhooks() WHERE webhook_id = :'hook';
-- By hand: a dead letter, and later one that was received and got lost there. What waits is not.
SELECT request_id AS request FROM wash.list_http_requests(of_webhook => :'hook') \gset
SELECT wash.retry_http_request(:'request') AS dead_letter, wash.retry_http_request(:'request') AS waits;
SELECT c.attempt, wash.report_request(c.request, c.attempt, 204, '{}', '') FROM wash.claim_requests('test') AS c;
SELECT failing_since IS NULL AS well, last_success_at IS NOT NULL AS worked FROM wash.list_webhooks() WHERE webhook_id = :'hook';
SELECT wash.retry_http_request(:'request') AS received;
SELECT c.attempt, convert_from(c.body, 'UTF8')::jsonb -> 'data' AS data, wash.report_request(c.request, c.attempt, 200, '{}', '') FROM wash.claim_requests('test') AS c;
SELECT wash.retry_http_request(usher.uuid_v7()) AS unknown;

-- A week: an hour before it is over, and after.
SELECT usher.publish('hooked.told', '{"n": 2}') IS NOT NULL AS published, usher.publish('hooked.told', '{"n": 3}') IS NOT NULL AS published;
SELECT courier_hooks.fail() AS first_failure;
UPDATE wash.webhooks SET failing_since = now() - interval '167 hours';
SELECT courier_hooks.fail(), is_active FROM wash.list_webhooks();
UPDATE wash.webhooks SET failing_since = now() - interval '168 hours 1 second';
SELECT courier_hooks.fail();
SELECT is_active, disabled_reason, waiting FROM wash.list_webhooks();
SELECT payload ->> 'id' = :'hook' AS is_it, payload ->> 'reason' AS reason FROM usher.events WHERE event = 'webhook.disabled' ORDER BY id DESC LIMIT 1;
SELECT labels ->> 'state' AS state, value FROM usher.metrics() WHERE name = 'usher_courier_webhooks' AND labels ->> 'state' = 'disabled';
-- Disabled, nothing goes; what waits goes when it is enabled again, what happens meanwhile does not.
UPDATE wash.http_requests SET next_attempt_at = now() WHERE status = 'pending';
SELECT usher.publish('hooked.told', '{"n": 4}') IS NOT NULL AS published;
SELECT count(*) AS claimed FROM wash.claim_requests('test');
SELECT wash.update_webhook(:'hook', is_active => true);
SELECT n, wash.report_request(request, attempt, 200, '{}', '') FROM (
    SELECT c.request, c.attempt, convert_from(c.body, 'UTF8')::jsonb #>> '{data,n}' AS n FROM wash.claim_requests('test') AS c) AS c ORDER BY n;
-- What has happened before somebody disables it waits for it, though nobody had looked at it yet.
SELECT usher.publish('hooked.told', jsonb_build_object('n', n), 'one key') IS NOT NULL AS published FROM generate_series(5, 6) AS n;
SELECT wash.update_webhook(:'hook', is_active => false), wash.update_webhook(:'hook', is_active => true);
SELECT waiting FROM wash.list_webhooks();
SELECT wash.remove_webhook(:'hook');

-- Messages of what was published before there was a rule: from an instant on.
SELECT user_id AS ann FROM usher.register_user('hooks-ann@example.com', 'a note on every door') \gset
SELECT count(wash.report_message(c.message, c.attempt, 'sent')) AS greeted FROM wash.claim_messages('test') AS c;
SELECT usher.publish('hooked.late', jsonb_build_object('user_id', :'ann', 'n', n), n::text) IS NOT NULL AS published FROM generate_series(1, 2) AS n;
UPDATE usher.events SET created_at = now() - interval '2 hours' WHERE event = 'hooked.late' AND payload ->> 'n' = '1';
SELECT wash.set_message_rule('hooked.late', since => now() - interval '1 hour');
SELECT version FROM wash.set_message_template('hooked.late', 'en', 'Number {{n}}', 'Number {{n}}');
SELECT c.subject, wash.report_message(c.message, c.attempt, 'sent') FROM wash.claim_messages('test') AS c;
SELECT wash.set_message_rule('hooked.late', since => '-infinity');
SELECT c.subject, wash.report_message(c.message, c.attempt, 'sent') FROM wash.claim_messages('test') AS c;
SELECT wash.set_message_rule('hooked.late');
SELECT count(*) AS again FROM wash.claim_messages('test');
DELETE FROM wash.message_rules WHERE event = 'hooked.late';
SELECT usher.unsubscribe('hooked.late', 'usher_courier'), usher.unregister_extension('hooks');
DELETE FROM wash.http_requests;
DELETE FROM wash.messages;
DROP SCHEMA courier_hooks CASCADE;

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
SELECT request_id AS request FROM wash.list_http_requests(only_webhook => :'hook') \gset
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

-- What cannot be opened or signed any more fails for good and says so; what is behind it goes. Nobody is told the detail.
SELECT webhook_id AS hook FROM wash.add_webhook('https://hooks.example/b', '{hooked.*}') \gset
SELECT webhook_id AS mute FROM wash.add_webhook('https://hooks.example/mute', '{hooked.told}') \gset
CREATE FUNCTION courier_hooks.take(request uuid, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ASSERT answer #>> '{context,name}' <> 'asserts', 'no';
END
$$;
CREATE TABLE courier_hooks.asked AS
SELECT n AS name, wash.enqueue_http_request('https://hooks.example/x', handler => 'courier_hooks.take(uuid,jsonb)', context => jsonb_build_object('name', n),
    ordering_key => left(n, 4), max_attempts => 1) AS id
FROM unnest('{lost,lost behind,no JSON,no body,nothing,good,answer lost,asserts,told}'::text[]) AS n;
SELECT usher.publish('hooked.told', '{"n": 7}', 'key of 7') IS NOT NULL AS published;
SELECT count(*) AS collected FROM wash.claim_requests('test', 1);
UPDATE wash.http_requests SET status = 'pending', attempts = 0, next_attempt_at = now() WHERE status = 'claimed';
UPDATE wash.http_requests AS r SET content = CASE a.name WHEN 'lost' THEN 'garbage' WHEN 'no JSON' THEN '{' WHEN 'no body' THEN '{"headers": {}}' END
FROM courier_hooks.asked AS a WHERE a.id = r.id AND a.name IN ('lost', 'no JSON', 'no body', 'nothing');
UPDATE wash.webhook_keys SET secret = 'garbage' WHERE webhook_id = :'mute';
DELETE FROM wash.webhook_keys WHERE webhook_id = :'hook';
CREATE FUNCTION courier_hooks.pass() RETURNS TABLE (name text, said text) LANGUAGE sql AS $$
    SELECT coalesce(a.name, r.event), wash.report_request(c.request, c.attempt, 200, '{}', 'ok')
    FROM (SELECT * FROM wash.claim_requests('test', 1) UNION ALL SELECT * FROM wash.claim_requests('test', 100)) AS c
        JOIN wash.http_requests AS r ON r.id = c.request LEFT JOIN courier_hooks.asked AS a ON a.id = c.request
$$;
SELECT * FROM courier_hooks.pass() ORDER BY 1;
UPDATE wash.http_requests AS r SET answer = 'garbage' FROM courier_hooks.asked AS a WHERE a.id = r.id AND a.name = 'answer lost';
SELECT * FROM courier_hooks.pass() ORDER BY 1;
SELECT wash.run_request_handler() FROM generate_series(1, 6);
SELECT coalesce(a.name, r.event) AS name, r.status, r.error_code FROM wash.http_requests AS r LEFT JOIN courier_hooks.asked AS a ON a.id = r.id ORDER BY 1, 3;
SELECT payload ->> 'reason' AS reason, count(*) FROM usher.events WHERE event = 'http_request.failed' AND created_at >= (SELECT min(created_at) FROM wash.http_requests) GROUP BY 1 ORDER BY 1;
-- With a secret again, what has failed for want of one is sent by hand.
SELECT wash.rotate_webhook_secret(:'hook') LIKE 'whsec%' AS rotated;
DELETE FROM wash.http_requests WHERE status <> 'failed';
SELECT wash.retry_http_request(request_id) FROM wash.list_http_requests('failed', :'hook');
SELECT headers ->> 'webhook-signature' LIKE 'v1,%' AS signed, wash.report_request(request, attempt, 200, '{}', '') FROM wash.claim_requests('test');
-- Where the master key itself cannot be used, nothing is thrown away: all wait until it is put back.
UPDATE wash.http_requests AS r SET content = '$sealed$1$0123456789abcdef$AAAA' FROM courier_hooks.asked AS a WHERE a.id = r.id AND a.name = 'lost';
SELECT wash.retry_http_request(id) FROM courier_hooks.asked WHERE name = 'lost';
SELECT * FROM wash.claim_requests('test');
SELECT r.status, r.attempts FROM wash.http_requests AS r JOIN courier_hooks.asked AS a ON a.id = r.id WHERE a.name = 'lost';
DELETE FROM wash.http_requests AS r USING courier_hooks.asked AS a WHERE a.id = r.id AND a.name = 'lost';
-- Nor does it keep anybody from being erased: what nobody can open is thrown away.
UPDATE wash.http_requests SET content = 'garbage' WHERE webhook_id IS NOT NULL;
SELECT wash._erase_webhook_events('key of 7') AS emptied;
SELECT status, content IS NULL AS emptied FROM wash.http_requests WHERE webhook_id = :'hook';
SELECT wash.remove_webhook(:'hook'), wash.remove_webhook(:'mute');
DELETE FROM wash.http_requests;

-- What a member is called says whether it is for its recipient only, however the words of its name are put together.
SELECT n AS "goes out, though it is a secret" FROM unnest('{token,tokens,resetToken,reset-token,RESET_TOKEN,accessToken,accesstoken,idTokens,apiKey,APIKey,api_keys,apikey,
    clientSecret,client_secret,secretValue,code,codes,reset_code,resetCode,login_code,loginCode,voucher_code,voucherCodes,discount_code,promoCode,recovery_codes,one_time_code,
    code2,pin,PIN,pins,user_pin,otp,totp,totpUri,otpauth_url,passwd,password,userPassword,password_hash,passphrase,passcode,pwd,magic_link,magicLink,reset_url,loginLink,
    private_key,privateKey,accessKey,credentials,jwt,authorization,set-cookie,cvc}'::text[]) AS n
WHERE NOT wash._tells_secret('hooked.told', jsonb_build_object('list', jsonb_build_array(1, jsonb_build_object(n, 'x'))));
SELECT n AS "is kept back, though it is none" FROM unnest('{country_code,countryCode,country_codes,currency_code,status_code,statusCode,postal_code,zip_code,zipCode,zipcode,postcode,
    error_code,errorCode,failure_code,reason_code,reasonCode,product_code,language_code,tax_code,http_status_code,barcode,key,keys,dedupe_key,provider_key,api_key_id,token_type,tokenizer,
    code_of_conduct,encoding,decoded,spin,pinned,shipping,pinCount,link,login_url,tracking_url,passenger,compass,secretary,keyboard,monkey,points,id,amount_minor}'::text[]) AS n
WHERE wash._tells_secret('hooked.told', jsonb_build_object('list', jsonb_build_array(1, jsonb_build_object(n, 'x'))));
SELECT wash._tells_secret('message.failed', '{"code": "550"}') AS failed, wash._tells_secret('message.bounced', '{"code": "550"}') AS bounced,
    wash._tells_secret('message.bounced', '{"a": {"token": "x"}}') AS tells, wash._tells_secret('hooked.told', '["token", {"a": "code"}]') AS values_count;
-- Of what the tests before this have had published, all features' events go out, but for those whose message says a secret.
SELECT DISTINCT e.event AS "kept back" FROM usher.events AS e JOIN usher.extension_events AS x ON x.event = e.event
WHERE x.registrant LIKE 'usher%' AND wash._tells_secret(e.event, e.payload) AND NOT EXISTS (
    SELECT FROM wash.message_rules AS r WHERE r.event = e.event AND r.secret_keys <> '{}')
ORDER BY 1;

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

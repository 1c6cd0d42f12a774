CREATE FUNCTION @extschema@._new_webhook_secret(webhook_key uuid, given text, OUT secret text, OUT stored text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_new_webhook_secret';
COMMENT ON FUNCTION @extschema@._new_webhook_secret(uuid, text) IS
    'A secret to sign webhooks with, whsec_ and base64: the given one (24 to 64 bytes) or a random one; and the '
    'form in '
    'which webhook_keys keeps it.';

CREATE FUNCTION @extschema@._sign_webhook(webhook uuid, message_id text, signed_at bigint, body bytea) RETURNS text
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_courier_sign_webhook';
COMMENT ON FUNCTION @extschema@._sign_webhook(uuid, text, bigint, bytea) IS
    'The signatures of a message with each secret of a webhook that is valid now (standardwebhooks.com).';

CREATE FUNCTION @extschema@._is_secret_name(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- resetToken, reset-token and reset_token are one name; the last word says what it is.
    SELECT w.name ~ '(token|secret|password|passwd|passphrase|passcode|credential|jwt)s?$'
        OR w.name ~ '(^|_)(code|pin|pwd|[th]?otp|cvv|cvc|authorization|cookie)s?$'
            -- codes of what everybody may know
            AND w.name !~ ('(^|_)(area|bank|branch|cancellation|category|class|color|colour|cost|country|currency|'
                           'decline|department|dial|error|exit|failure|fault|http|industry|iso|item|lang|language|'
                           'locale|location|plan|post|postal|problem|product|province|reason|refusal|region|'
                           'rejection|response|result|return|service|sort|source|state|status|tax|unit|zip)_codes?$')
        OR w.name ~ '(auth|coupon|login|otp|reset|verification|voucher)codes?$'
        OR w.name ~ '(^|_)(access|api|auth|encryption|master|private|recovery|secret|shared|signing)_?keys?$'
        OR w.name ~ ('(^|_)(activation|confirmation|invitation|invite|magic|otp|recovery|reset|totp|'
                     'verification)_?ur[il]s?$')
        OR w.name ~ ('(^|_)(activation|confirmation|invitation|invite|login|magic|recovery|reset|sign_?in|unlock|'
                     'verification)_?links?$')
        OR w.name ~ '(token|secret|password|passwd|passphrase|passcode)_(hash|plain|plaintext|text|value)(es|s)?$'
        OR w.name ~ '(^|_)otpauth(_|$)'
    FROM (SELECT trim(regexp_replace(lower(regexp_replace(regexp_replace(_is_secret_name.name,
              '([A-Z]+)([A-Z][a-z])', '\1_\2', 'g'), '([a-z0-9])([A-Z])', '\1_\2', 'g')),
              '[^a-z0-9]+', '_', 'g'), '_0123456789') AS name) AS w;
END;
COMMENT ON FUNCTION @extschema@._is_secret_name(text) IS
    'Whether a member of an event with this name may hold what only its recipient may read: the name ends with token, '
    'secret, password, code, pin and the like, in whatever way its words are put together. Codes of countries, '
    'currencies, errors and other things that everybody may know are none.';

CREATE FUNCTION @extschema@._tells_secret(event text, payload jsonb) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- What a message has to say in secret, and whatever looks like it.
    SELECT EXISTS (SELECT FROM @extschema@.message_rules AS r
                   WHERE r.event = _tells_secret.event AND cardinality(r.secret_keys) > 0)
        OR EXISTS (
            SELECT FROM jsonb_path_query(payload, 'strict $.** ? (@.type() == "object").keyvalue().key') AS k
            WHERE @extschema@._is_secret_name(k #>> '{}')
                -- What this extension says itself: the code is that of a mail server.
                AND NOT (_tells_secret.event IN ('message.failed', 'message.bounced') AND k #>> '{}' = 'code'));
END;
COMMENT ON FUNCTION @extschema@._tells_secret(text, jsonb) IS
    'Whether an event carries what only its recipient may read, such as a one-time token: no webhook gets it.';

CREATE FUNCTION @extschema@._follow_webhook_events(former text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.subscribe(e.event, 'usher_courier.webhooks', mode => 'async')
    FROM (SELECT DISTINCT unnest(w.events) FROM @extschema@.webhooks AS w) AS e (event);
    PERFORM usher.unsubscribe(f.event, 'usher_courier.webhooks')
    FROM unnest(former) AS f (event)
    WHERE NOT EXISTS (SELECT FROM @extschema@.webhooks AS w WHERE f.event = ANY (w.events));
END
$$;
COMMENT ON FUNCTION @extschema@._follow_webhook_events(text[]) IS
    'Subscribes to the events of all webhooks, and no longer to former ones that none of them names.';

CREATE FUNCTION @extschema@._check_webhook(url text, events text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refused text;
BEGIN
    PERFORM @extschema@._check_url(url);
    IF cardinality(events) NOT BETWEEN 1 AND 100 OR array_position(events, NULL) IS NOT NULL OR EXISTS (
            SELECT FROM unnest(events) AS e
            WHERE e !~ '^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$' OR octet_length(e) > 100) THEN
        PERFORM usher.raise_error('invalid_argument', 'events must be 1 to 100 names of events, such names followed '
                                  'by ".*", or "*"', '{"argument": "events"}');
    END IF;
    SELECT e INTO refused FROM unnest(events) AS e WHERE @extschema@._tells_secret(e, '{}') LIMIT 1;
    IF refused IS NOT NULL THEN
        PERFORM usher.raise_error('event_not_for_others', 'an event that carries a secret goes out to nobody',
                                  jsonb_build_object('event', refused));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_webhook(text, text[]) IS 'Raises what is wrong with a webhook.';

CREATE FUNCTION @extschema@.add_webhook(url text, events text[], description text DEFAULT NULL,
                                        secret text DEFAULT NULL, OUT webhook_id uuid, OUT webhook_secret text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    key_id CONSTANT uuid := usher.uuid_v7();
    made record;
BEGIN
    PERFORM usher.require_permission('event:manage');
    IF events IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'events must not be null', '{"argument": "events"}');
    ELSIF length(description) > 200 THEN
        PERFORM usher.raise_error('invalid_argument', 'description must have at most 200 characters',
                                  '{"argument": "description"}');
    END IF;
    PERFORM @extschema@._check_webhook(add_webhook.url, add_webhook.events);
    made := @extschema@._new_webhook_secret(key_id, add_webhook.secret);
    INSERT INTO @extschema@.webhooks AS w (url, events, description, created_by)
    VALUES (add_webhook.url, add_webhook.events, add_webhook.description, usher.actor_id())
    RETURNING w.id INTO webhook_id;
    INSERT INTO @extschema@.webhook_keys (id, webhook_id, secret) VALUES (key_id, add_webhook.webhook_id, made.stored);
    PERFORM @extschema@._follow_webhook_events('{}');
    PERFORM usher.log_event('webhook.added', jsonb_build_object('events', events), 'notice',
                            resource_type => 'webhook', resource_id => add_webhook.webhook_id::text);
    webhook_secret := made.secret;
END
$$;
COMMENT ON FUNCTION @extschema@.add_webhook(text, text[], text, text) IS
    'Sends events to a URL from now on: POST with {"type", "timestamp", "data"}, signed as standardwebhooks.com says. '
    'events: names, prefixes such as booking.*, or *; those that nobody has declared (publishes of '
    'register_extension()) and those that carry secrets go out to nobody. webhook_secret, which '
    'is told here and never again, verifies the signatures. Events of one key arrive in their order; what fails is '
    'tried again as events are, 25 times. Needs event:manage. Raises UM002 for a URL that no request may go to, UM003 '
    'for an event that carries a secret.';

CREATE FUNCTION @extschema@.update_webhook(webhook_id uuid, url text DEFAULT NULL, events text[] DEFAULT NULL,
                                           description text DEFAULT NULL, is_active boolean DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    changed @extschema@.webhooks;
BEGIN
    PERFORM usher.require_permission('event:manage');
    IF NOT update_webhook.is_active THEN -- what has happened until now waits for it
        PERFORM @extschema@._collect_webhook_events(1000);
    END IF;
    SELECT w.* INTO changed FROM @extschema@.webhooks AS w
    WHERE w.id = update_webhook.webhook_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF length(update_webhook.description) > 200 THEN
        PERFORM usher.raise_error('invalid_argument', 'description must have at most 200 characters',
                                  '{"argument": "description"}');
    END IF;
    PERFORM @extschema@._check_webhook(coalesce(update_webhook.url, changed.url),
                                       coalesce(update_webhook.events, changed.events));
    UPDATE @extschema@.webhooks AS w
    SET url = coalesce(update_webhook.url, w.url), events = coalesce(update_webhook.events, w.events),
        description = coalesce(update_webhook.description, w.description),
        is_active = coalesce(update_webhook.is_active, w.is_active),
        failing_since = CASE WHEN update_webhook.is_active THEN NULL ELSE w.failing_since END,
        disabled_at = CASE WHEN update_webhook.is_active THEN NULL ELSE w.disabled_at END,
        disabled_reason = CASE WHEN update_webhook.is_active THEN NULL ELSE w.disabled_reason END
    WHERE w.id = update_webhook.webhook_id;
    PERFORM @extschema@._follow_webhook_events(changed.events);
    PERFORM usher.log_event('webhook.changed', jsonb_build_object('events', update_webhook.events,
                            'is_active', update_webhook.is_active, 'url_changed', update_webhook.url IS NOT NULL),
                            'notice', resource_type => 'webhook', resource_id => update_webhook.webhook_id::text);
    PERFORM pg_notify('usher_courier', '');
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.update_webhook(uuid, text, text[], text, boolean) IS
    'Changes what is given of a webhook; what waits goes to the new url. is_active false holds back what waits, and '
    'what happens meanwhile is not sent later; true begins again, also after it was disabled. False when there is no '
    'such webhook. Needs event:manage.';

CREATE FUNCTION @extschema@.rotate_webhook_secret(webhook_id uuid, secret text DEFAULT NULL,
                                                  overlap interval DEFAULT '1 day') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    key_id CONSTANT uuid := usher.uuid_v7();
    made record;
BEGIN
    PERFORM usher.require_permission('event:manage');
    IF overlap IS NULL OR overlap NOT BETWEEN '0' AND '30 days' THEN
        PERFORM usher.raise_error('invalid_argument', 'overlap must be between nothing and 30 days',
                                  '{"argument": "overlap"}');
    END IF;
    PERFORM FROM @extschema@.webhooks AS w WHERE w.id = rotate_webhook_secret.webhook_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'webhook does not exist',
                                  jsonb_build_object('webhook_id', rotate_webhook_secret.webhook_id));
    END IF;
    made := @extschema@._new_webhook_secret(key_id, rotate_webhook_secret.secret);
    -- Two at most: the one before goes with the end of the overlap, those before it go now.
    DELETE FROM @extschema@.webhook_keys AS k
    WHERE k.webhook_id = rotate_webhook_secret.webhook_id AND k.expires_at IS NOT NULL;
    UPDATE @extschema@.webhook_keys AS k SET expires_at = clock_timestamp() + overlap
    WHERE k.webhook_id = rotate_webhook_secret.webhook_id;
    INSERT INTO @extschema@.webhook_keys (id, webhook_id, secret)
    VALUES (key_id, rotate_webhook_secret.webhook_id, made.stored);
    PERFORM usher.log_event('webhook.secret_rotated', '{}', 'notice', resource_type => 'webhook',
                            resource_id => rotate_webhook_secret.webhook_id::text);
    RETURN made.secret;
END
$$;
COMMENT ON FUNCTION @extschema@.rotate_webhook_secret(uuid, text, interval) IS
    'Gives a webhook a new secret and returns it, once. For the time of the overlap messages are signed with both. '
    'Needs event:manage.';

CREATE FUNCTION @extschema@.remove_webhook(webhook_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    former text[];
BEGIN
    PERFORM usher.require_permission('event:manage');
    -- Requests before their webhook, as whoever reports one locks them.
    DELETE FROM @extschema@.http_requests AS r WHERE r.webhook_id = remove_webhook.webhook_id;
    DELETE FROM @extschema@.webhooks AS w WHERE w.id = remove_webhook.webhook_id RETURNING w.events INTO former;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._follow_webhook_events(former);
    PERFORM usher.log_event('webhook.removed', '{}', 'notice', resource_type => 'webhook',
                            resource_id => remove_webhook.webhook_id::text);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_webhook(uuid) IS
    'Removes a webhook with what waits for it. False when there is none. Needs event:manage.';

CREATE FUNCTION @extschema@.list_webhooks()
    RETURNS TABLE (webhook_id uuid, url text, events text[], description text, is_active boolean,
                   failing_since timestamptz, last_success_at timestamptz, disabled_at timestamptz,
                   disabled_reason text, waiting bigint, failed bigint, created_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('event:manage');
    RETURN QUERY
    SELECT w.id, w.url, w.events, w.description, w.is_active, w.failing_since, w.last_success_at, w.disabled_at,
           w.disabled_reason, n.waiting, n.failed, w.created_at
    FROM @extschema@.webhooks AS w CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE r.status <> 'failed') AS waiting,
               count(*) FILTER (WHERE r.status = 'failed') AS failed
        FROM @extschema@.http_requests AS r WHERE r.webhook_id = w.id AND r.status <> 'completed') AS n
    ORDER BY w.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_webhooks() IS
    'The webhooks, without their secrets, and how many messages of each wait or have failed. Needs event:manage.';

CREATE FUNCTION @extschema@._collect_webhook_events(max_events integer) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told record;
    batch integer;
    collected integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.webhooks) THEN
        RETURN;
    END IF;
    LOOP -- of one key there is one event in each batch
        batch := 0;
        FOR told IN SELECT c.* FROM usher.claim_events('usher_courier.webhooks', least(max_events, 100), '1 minute')
            AS c LOOP
            batch := batch + 1;
            -- What nobody has declared anybody may have published, in the name of whoever they like.
            IF told.publisher IS NOT NULL AND NOT @extschema@._tells_secret(told.event, told.payload) THEN
                PERFORM @extschema@._add_request('webhook', 'POST', w.url, '{"content-type": "application/json"}',
                    convert_to(jsonb_build_object('type', told.event, 'timestamp',
                        to_char(told.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                        'data', told.payload)::text, 'UTF8'),
                    NULL, NULL, '{}', @extschema@._webhook_key(w.id, told.key), 25, '15 seconds', 4096, w.id,
                    told.event_id, told.event)
                FROM @extschema@.webhooks AS w
                WHERE w.is_active AND EXISTS (
                    SELECT FROM unnest(w.events) AS e
                    WHERE e IN ('*', told.event) OR right(e, 2) = '.*' AND starts_with(told.event, left(e, -1)));
            END IF;
            PERFORM usher.complete_event('usher_courier.webhooks', told.event_id, told.attempt);
        END LOOP;
        collected := collected + batch;
        EXIT WHEN batch = 0 OR collected >= max_events;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._collect_webhook_events(integer) IS
    'Makes requests of the events that webhooks are to hear of.';

CREATE FUNCTION @extschema@._webhook_key(webhook_id uuid, key text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN webhook_id || ':' || md5(key);
COMMENT ON FUNCTION @extschema@._webhook_key(uuid, text) IS
    'The ordering key of what a webhook hears of one key of events.';

CREATE FUNCTION @extschema@._erase_webhook_events(key text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request @extschema@.http_requests;
    said jsonb;
    body bytea;
    kept text;
    emptied bigint := 0;
BEGIN
    FOR request IN
        SELECT r.* FROM @extschema@.webhooks AS w JOIN @extschema@.http_requests AS r
            ON r.ordering_key = @extschema@._webhook_key(w.id, _erase_webhook_events.key)
        WHERE r.purpose = 'webhook' AND r.content IS NOT NULL
        FOR UPDATE OF r
    LOOP
        kept := NULL;
        IF usher.event_payload(request.event_id) IS NOT NULL THEN
            BEGIN
                said := @extschema@._open_content('content', request.id, request.content)::jsonb;
                body := convert_to(jsonb_set(convert_from(decode(said ->> 'body', 'hex'), 'UTF8')::jsonb, '{data}',
                                             usher.event_payload(request.event_id))::text, 'UTF8');
                kept := @extschema@._seal_content('content', request.id,
                            jsonb_set(said, '{body}', to_jsonb(encode(body, 'hex')))::text);
            EXCEPTION WHEN OTHERS OR assert_failure THEN -- nobody can open it, so nobody will be told
                PERFORM @extschema@._check_sealing(request.id, SQLSTATE);
            END;
        END IF;
        UPDATE @extschema@.http_requests AS r
        SET content = kept, status = CASE WHEN kept IS NULL AND r.finished_at IS NULL THEN 'failed' ELSE r.status END,
            claimed_by = CASE WHEN kept IS NOT NULL THEN r.claimed_by END,
            finished_at = CASE WHEN kept IS NULL THEN coalesce(r.finished_at, clock_timestamp())
                               ELSE r.finished_at END
        WHERE r.id = request.id;
        emptied := emptied + 1;
    END LOOP;
    RETURN emptied;
END
$$;
COMMENT ON FUNCTION @extschema@._erase_webhook_events(text) IS
    'Makes what webhooks were or will be told of a key what the events say now, after somebody was erased.';

CREATE FUNCTION @extschema@._report_webhook(request @extschema@.http_requests, is_good boolean, status_code integer,
                                            word text, retry_after interval) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    webhook @extschema@.webhooks;
    disabled text;
BEGIN
    IF is_good THEN
        UPDATE @extschema@.http_requests AS r
        SET status = 'completed', claimed_by = NULL, finished_at = clock_timestamp() WHERE r.id = request.id;
        UPDATE @extschema@.webhooks AS w SET failing_since = NULL, last_success_at = clock_timestamp()
        WHERE w.id = request.webhook_id
            AND (w.failing_since IS NOT NULL OR w.last_success_at IS NULL
                 OR w.last_success_at < clock_timestamp() - interval '1 minute');
        RETURN 'completed';
    END IF;
    UPDATE @extschema@.webhooks AS w SET failing_since = coalesce(w.failing_since, clock_timestamp())
    WHERE w.id = request.webhook_id RETURNING w.* INTO webhook;
    disabled := CASE WHEN status_code = 410 THEN 'gone'
                     WHEN webhook.failing_since <= clock_timestamp() - make_interval(
                         hours => usher.setting('courier.webhook_patience')::integer) THEN 'failures' END;
    IF webhook.is_active AND disabled IS NOT NULL THEN
        UPDATE @extschema@.webhooks AS w
        SET is_active = false, disabled_at = clock_timestamp(), disabled_reason = disabled WHERE w.id = webhook.id;
        PERFORM usher.publish('webhook.disabled', jsonb_build_object('id', webhook.id, 'reason', disabled,
                              'failing_since', webhook.failing_since), webhook.id::text);
    END IF;
    IF request.attempts >= request.max_attempts OR status_code = 410 THEN
        PERFORM @extschema@._fail_request(request, word);
        RETURN 'failed';
    END IF;
    UPDATE @extschema@.http_requests AS r
    SET status = 'pending', claimed_by = NULL,
        next_attempt_at = @extschema@._retry_at(request.attempts, retry_after)
    WHERE r.id = request.id;
    RETURN 'pending';
END
$$;
COMMENT ON FUNCTION @extschema@._report_webhook(@extschema@.http_requests, boolean, integer, text, interval) IS
    'A webhook was received, or not: then it is tried again, and the webhook is disabled when that goes on for too '
    'long (courier.webhook_patience), or when the receiver is gone (410).';

CREATE FUNCTION @extschema@._is_mail_address(address text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_is_mail_address';
COMMENT ON FUNCTION @extschema@._is_mail_address(text) IS
    'Whether a message can be sent there: local@domain, with nothing that ends a line or a header.';

CREATE FUNCTION @extschema@._parse_mailbox(mailbox text, OUT name text, OUT address text, OUT domain text)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_parse_mailbox';
COMMENT ON FUNCTION @extschema@._parse_mailbox(text) IS
    'The parts of "Name <address>" or "address"; NULLs when it is neither.';

CREATE FUNCTION @extschema@._first_id(payload jsonb, keys text[]) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT usher.uuid_or_null(payload ->> k.key) FROM unnest(keys) WITH ORDINALITY AS k (key, number)
            WHERE usher.uuid_or_null(payload ->> k.key) IS NOT NULL ORDER BY k.number LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._first_id(jsonb, text[]) IS 'The first of these members of an event that is an id.';

CREATE FUNCTION @extschema@._addressee(rule @extschema@.message_rules, payload jsonb, OUT user_id uuid,
                                       OUT customer_id uuid, OUT is_reachable boolean, OUT email text,
                                       OUT language text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    is_reachable := true;
    user_id := @extschema@._first_id(payload, rule.user_keys);
    IF user_id IS NULL THEN
        customer_id := @extschema@._first_id(payload, rule.customer_keys);
        IF customer_id IS NULL THEN
            RETURN;
        END IF;
        SELECT c.* INTO known FROM usher.customer_contact(customer_id) AS c;
        IF known.user_id IS NULL THEN
            email := known.email;
            language := known.language;
            RETURN;
        END IF;
        user_id := known.user_id;
        customer_id := NULL;
    END IF;
    SELECT coalesce(c.is_active, false), c.email, c.language INTO is_reachable, email, language
    FROM usher.user_contact(user_id) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@._addressee(@extschema@.message_rules, jsonb) IS
    'Whom an event concerns, by a rule: a user, or else a customer without an account, and how to write to them.';

CREATE FUNCTION @extschema@._is_suppressed(recipient_key text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM @extschema@.message_suppressions AS s
                   WHERE s.address_key = recipient_key AND s.suppressed_at IS NOT NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._is_suppressed(text) IS 'Whether nothing is sent to an address.';

-- One event and one rule: a message, or a reason for none.
CREATE FUNCTION @extschema@._make_message(rule @extschema@.message_rules, event_id uuid, payload jsonb, key text,
                                          created_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who record;
    to_address text;
    to_key text;
    useless_at timestamptz;
    replaced uuid;
    earlier record;
    ready_at timestamptz := clock_timestamp();
    refusal text;
    new_id CONSTANT uuid := usher.uuid_v7();
BEGIN
    SELECT a.* INTO who FROM @extschema@._addressee(rule, payload) AS a;
    IF NOT who.is_reachable THEN
        RETURN false;
    END IF;
    to_address := CASE WHEN rule.address_key IS NOT NULL THEN payload ->> rule.address_key ELSE who.email END;
    IF to_address IS NULL OR cardinality(rule.secret_keys) > 0 AND NOT payload ?| rule.secret_keys THEN
        RETURN false; -- nobody to write to, or what it is about was used or replaced
    END IF;
    useless_at := least(created_at + rule.max_age, (payload ->> rule.expires_key)::timestamptz);
    to_key := coalesce(usher.name_key(to_address), to_address);
    IF useless_at <= clock_timestamp() THEN
        RETURN false;
    END IF;
    -- What was to be said about the same thing, and has not been said, need not be.
    FOR replaced IN
        SELECT m.id FROM @extschema@.messages AS m
        WHERE key IS NOT NULL AND m.entity_key = key AND (m.status = 'pending' OR m.keeps_secret)
            AND m.event = ANY (rule.supersedes) AND m.recipient_key = to_key
        ORDER BY m.id FOR NO KEY UPDATE
    LOOP
        PERFORM @extschema@._finish_message(replaced, 'suppressed', 'superseded');
    END LOOP;
    IF rule.digest_window > '0' THEN
        SELECT m.id, m.status, m.attempts, m.next_attempt_at, m.created_at INTO earlier
        FROM @extschema@.messages AS m
        WHERE m.recipient_key = to_key AND m.event = rule.event AND m.audience = rule.audience
            AND m.created_at > clock_timestamp() - rule.digest_window AND m.status <> 'suppressed'
        ORDER BY m.id DESC LIMIT 1;
        IF earlier.status = 'pending' AND earlier.attempts = 0 AND earlier.next_attempt_at > earlier.created_at
           + interval '1 second' THEN
            UPDATE @extschema@.messages AS m
            SET repeats = m.repeats + 1, event_id = _make_message.event_id, expires_at = useless_at
            WHERE m.id = earlier.id AND m.status = 'pending' AND m.attempts = 0;
            IF FOUND THEN
                RETURN true;
            END IF;
        END IF;
        ready_at := greatest(ready_at, earlier.created_at + rule.digest_window);
    END IF;
    IF NOT @extschema@._is_mail_address(to_address) THEN
        refusal := 'invalid_address';
    ELSIF @extschema@._is_suppressed(to_key) THEN
        refusal := 'suppressed_address';
    ELSIF NOT (SELECT h.allowed FROM usher.hit_rate_limit('courier.recipient', to_key) AS h) THEN
        refusal := 'recipient_limit';
    END IF;
    INSERT INTO @extschema@.messages (id, event_id, event, audience, entity_key, user_id, customer_id, recipient,
                                      recipient_key, language, message_id, priority, next_attempt_at, expires_at,
                                      status, last_code, finished_at)
    VALUES (new_id, _make_message.event_id, rule.event, rule.audience, key, who.user_id, who.customer_id,
            left(to_address, 1000), left(to_key, 1000), who.language,
            -- of the event, not of this row: another copy of the database makes the same one
            format('<%s@%s>', left(encode(sha256(convert_to(_make_message.event_id || ' ' || rule.audience, 'UTF8')),
                                          'hex'), 32),
                   coalesce((@extschema@._parse_mailbox(usher.setting('courier.sender'))).domain, 'localhost')),
            rule.priority, ready_at, useless_at, CASE WHEN refusal IS NULL THEN 'pending' ELSE 'suppressed' END,
            refusal, CASE WHEN refusal IS NOT NULL THEN clock_timestamp() END)
    ON CONFLICT ON CONSTRAINT messages_event_key DO NOTHING;
    RETURN FOUND AND refusal IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._make_message(@extschema@.message_rules, uuid, jsonb, text, timestamptz) IS
    'Makes the message that a rule asks for; false when there is nothing to send: nobody to write to, of no use any '
    'more, or not to this address.';

CREATE FUNCTION @extschema@._drop_secrets(event_id uuid, event text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    secrets CONSTANT text[] := ARRAY(SELECT DISTINCT k FROM @extschema@.message_rules AS r, unnest(r.secret_keys) AS k
                                     WHERE r.event = _drop_secrets.event);
BEGIN
    IF cardinality(secrets) > 0 AND NOT EXISTS (
            SELECT FROM @extschema@.messages AS m
            WHERE m.event_id = _drop_secrets.event_id
                AND (m.status IN ('pending', 'claimed') OR m.keeps_secret)) THEN
        PERFORM usher.cut_event(event_id, secrets, 'usher_courier');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._drop_secrets(uuid, text) IS
    'Cuts secrets out of an event, once no message is left that has to say them, or could.';

CREATE FUNCTION @extschema@._has_secrets(event text, audience text, event_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT usher.event_payload(_has_secrets.event_id) ?| r.secret_keys
                     FROM @extschema@.message_rules AS r
                     WHERE r.event = _has_secrets.event AND r.audience = _has_secrets.audience
                         AND cardinality(r.secret_keys) > 0), false);
END
$$;
COMMENT ON FUNCTION @extschema@._has_secrets(text, text, uuid) IS
    'Whether a message has to say a token or code, and its event still has it.';

CREATE FUNCTION @extschema@._collect_messages(max_events integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    told record;
    rule @extschema@.message_rules;
    failure text;
    made integer;
    batch integer;
    collected bigint := 0;
BEGIN
    LOOP
        batch := 0;
        FOR told IN SELECT c.* FROM usher.claim_events('usher_courier', least(max_events, 100), '5 minutes') AS c LOOP
            batch := batch + 1;
            failure := NULL;
            made := 0;
            BEGIN
                -- What anybody may publish is no reason to write to people.
                FOR rule IN SELECT r.* FROM @extschema@.message_rules AS r
                    WHERE r.event = told.event AND r.is_active AND told.publisher IS NOT NULL
                    ORDER BY r.audience
                LOOP
                    made := made + @extschema@._make_message(rule, told.event_id, told.payload, told.key,
                                                             told.created_at)::integer;
                END LOOP;
            EXCEPTION WHEN OTHERS OR assert_failure THEN -- one event's trouble is not the others'
                failure := SQLSTATE || ' ' || SQLERRM;
            END;
            IF failure IS NULL THEN
                PERFORM usher.complete_event('usher_courier', told.event_id, told.attempt);
                IF made = 0 THEN
                    PERFORM @extschema@._drop_secrets(told.event_id, told.event);
                END IF;
            ELSE
                PERFORM usher.fail_event('usher_courier', told.event_id, failure, told.attempt);
            END IF;
        END LOOP;
        collected := collected + batch;
        EXIT WHEN batch = 0 OR collected >= max_events;
    END LOOP;
    RETURN collected;
END
$$;
COMMENT ON FUNCTION @extschema@._collect_messages(integer) IS
    'Makes messages of the events that the courier follows and has not seen; returns of how many events.';

CREATE FUNCTION @extschema@._finish_message(id uuid, status text, code text, detail text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    done @extschema@.messages;
BEGIN
    UPDATE @extschema@.messages AS m
    SET status = _finish_message.status, claimed_by = NULL, last_code = left(code, 100),
        last_detail = left(detail, 500), finished_at = clock_timestamp(),
        sent_at = CASE WHEN _finish_message.status = 'sent' THEN clock_timestamp() END,
        -- What has failed may be tried again, as long as that is of use.
        keeps_secret = _finish_message.status = 'failed' AND m.expires_at > clock_timestamp()
            AND @extschema@._has_secrets(m.event, m.audience, m.event_id)
    WHERE m.id = _finish_message.id
    RETURNING m.* INTO done;
    PERFORM @extschema@._drop_secrets(done.event_id, done.event);
    IF done.status = 'failed' THEN
        PERFORM usher.publish('message.failed', jsonb_build_object('id', done.id, 'user_id', done.user_id,
            'customer_id', done.customer_id, 'event', done.event, 'audience', done.audience, 'code', done.last_code,
            'attempts', done.attempts), coalesce(done.user_id, done.customer_id, done.id)::text);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_message(uuid, text, text, text) IS
    'A message has gone, or never will: what it had to say is forgotten, unless it has failed and can be tried again.';

CREATE FUNCTION @extschema@._check_claim(worker text, max_rows integer, lease interval) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Where the library is not preloaded, a session knows its settings from its first function in C on.
    PERFORM usher.actor_id();
    IF worker IS NULL OR octet_length(worker) NOT BETWEEN 1 AND 200 THEN
        PERFORM usher.raise_error('invalid_argument', 'worker must have 1 to 200 bytes', '{"argument": "worker"}');
    END IF;
    PERFORM usher.check_max_rows(max_rows);
    IF lease IS NULL OR lease < '1 second' OR lease > '1 hour' THEN
        PERFORM usher.raise_error('invalid_argument', 'lease must be between one second and one hour',
                                  '{"argument": "lease"}');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_claim(text, integer, interval) IS
    'Raises 22023, naming the argument, for a claim of messages or requests that cannot be.';

CREATE FUNCTION @extschema@.claim_messages(worker text, max_rows integer DEFAULT 10,
                                           lease interval DEFAULT '60 seconds')
    RETURNS TABLE (message uuid, attempt integer, message_id text, sender text, reply_to text, recipient text,
                   subject text, body_text text, body_html text, headers jsonb, expires_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    claimed @extschema@.messages;
    written record;
    payload jsonb;
    secrets text[];
    given integer := 0;
    looked integer;
BEGIN
    PERFORM @extschema@._check_claim(worker, max_rows, lease);
    PERFORM @extschema@._collect_messages(200);
    sender := usher.setting('courier.sender');
    reply_to := nullif(usher.setting('courier.reply_to'), '');
    -- Some of those that are claimed will turn out not to be sent: the next take their places.
    FOR round IN 1..3 LOOP
        looked := 0;
        FOR claimed IN SELECT c.* FROM @extschema@._claim_ready(worker, max_rows - given, lease) AS c LOOP
            looked := looked + 1;
            payload := usher.event_payload(claimed.event_id);
            SELECT r.secret_keys INTO secrets FROM @extschema@.message_rules AS r
            WHERE r.event = claimed.event AND r.audience = claimed.audience;
            IF claimed.expires_at <= clock_timestamp() THEN
                PERFORM @extschema@._finish_message(claimed.id, 'expired', 'too_late');
            ELSIF payload IS NULL OR cardinality(secrets) > 0 AND NOT payload ?| secrets THEN
                -- the token was used or replaced meanwhile, or the event is so old that it is not kept
                PERFORM @extschema@._finish_message(claimed.id, 'expired', 'not_valid_any_more');
            ELSIF @extschema@._is_suppressed(claimed.recipient_key) THEN
                PERFORM @extschema@._finish_message(claimed.id, 'suppressed', 'suppressed_address');
            ELSIF claimed.attempts > usher.setting('courier.max_attempts')::integer THEN
                PERFORM @extschema@._finish_message(claimed.id, 'failed', 'too_many_attempts', claimed.last_detail);
            ELSE
                BEGIN
                    SELECT w.* INTO written FROM @extschema@._write_message(claimed.event, claimed.audience,
                        claimed.channel, claimed.language, payload, claimed.user_id, claimed.customer_id,
                        claimed.recipient, claimed.repeats) AS w;
                EXCEPTION WHEN OTHERS OR assert_failure THEN
                    -- A feature that cannot say who or where that is: nobody else waits for it.
                    PERFORM @extschema@.report_message(claimed.id, claimed.attempts, 'deferred', SQLSTATE, SQLERRM);
                    CONTINUE;
                END;
                IF written.problem IS NOT NULL THEN
                    PERFORM @extschema@._finish_message(claimed.id, 'failed',
                        CASE written.problem WHEN 'no_template' THEN 'no_template' ELSE 'template_error' END,
                        written.problem);
                ELSE
                    given := given + 1;
                    message := claimed.id;
                    attempt := claimed.attempts;
                    message_id := claimed.message_id;
                    recipient := claimed.recipient;
                    subject := written.subject_line;
                    body_text := written.text_part;
                    body_html := written.html_part;
                    -- RFC 3834: nobody's absence is answered to a machine
                    headers := '{"Auto-Submitted": "auto-generated"}';
                    expires_at := claimed.expires_at;
                    RETURN NEXT;
                END IF;
            END IF;
        END LOOP;
        EXIT WHEN looked = 0 OR given >= max_rows;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.claim_messages(text, integer, interval) IS
    'Makes messages of what has happened, and hands some that are ready to a program that sends them: the most '
    'urgent first, to one recipient one at a time and in order. Each is to be reported with report_message() before '
    'the lease runs out; else it is handed out again, with the same message_id. For the access level courier: they '
    'hold tokens.';

CREATE FUNCTION @extschema@._claim_ready(worker text, max_rows integer, lease interval)
    RETURNS SETOF @extschema@.messages
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH next AS (
        SELECT m.id FROM @extschema@.messages AS m
        WHERE m.status IN ('pending', 'claimed') AND m.next_attempt_at <= moment
            -- Nobody gets the second message before the first: not while somebody sends that, or could.
            AND NOT EXISTS (
                SELECT FROM @extschema@.messages AS o
                WHERE o.recipient_key = m.recipient_key AND o.status IN ('pending', 'claimed') AND o.id <> m.id
                    AND (o.status = 'claimed' AND o.next_attempt_at > moment
                         OR o.next_attempt_at <= moment AND (o.priority, o.id) < (m.priority, m.id)))
        ORDER BY m.priority, m.next_attempt_at, m.id
        LIMIT max_rows FOR UPDATE SKIP LOCKED)
    UPDATE @extschema@.messages AS m
    SET status = 'claimed', claimed_by = _claim_ready.worker, attempts = m.attempts + 1,
        next_attempt_at = moment + lease
    FROM next WHERE m.id = next.id
    RETURNING m.*;
END
$$;
COMMENT ON FUNCTION @extschema@._claim_ready(text, integer, interval) IS
    'Marks messages that are ready as claimed: at most one of each recipient.';

CREATE FUNCTION @extschema@._person_written_to(recipient_key text, OUT user_id uuid, OUT customer_id uuid)
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.user_id, m.customer_id FROM @extschema@.messages AS m
    WHERE m.recipient_key = _person_written_to.recipient_key AND num_nonnulls(m.user_id, m.customer_id) > 0
    ORDER BY m.id DESC LIMIT 1;
END;
COMMENT ON FUNCTION @extschema@._person_written_to(text) IS 'Whom the last message to an address was for.';

CREATE FUNCTION @extschema@._count_bounce(address text, reason text, code text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- that there is no such mailbox, or no such domain, need not be said twice
    enough CONSTANT integer := CASE WHEN reason = 'complaint' OR code ~ '5\.1\.[0-9]' THEN 1
                                    ELSE usher.setting('courier.max_bounces')::integer END;
    to_key CONSTANT text := coalesce(usher.name_key(_count_bounce.address), _count_bounce.address);
    counted @extschema@.message_suppressions;
BEGIN
    INSERT INTO @extschema@.message_suppressions AS s (address_key, address, user_id, customer_id, reason, bounces,
                                                       last_code, suppressed_at)
    SELECT to_key, _count_bounce.address, p.user_id, p.customer_id, _count_bounce.reason, 1, left(code, 100),
           CASE WHEN enough <= 1 THEN clock_timestamp() END
    FROM @extschema@._person_written_to(to_key) AS p
    ON CONFLICT ON CONSTRAINT message_suppressions_pkey DO UPDATE
    SET bounces = s.bounces + 1, user_id = coalesce(EXCLUDED.user_id, s.user_id),
        customer_id = coalesce(EXCLUDED.customer_id, s.customer_id), last_code = EXCLUDED.last_code,
        reason = CASE WHEN s.suppressed_at IS NULL THEN EXCLUDED.reason ELSE s.reason END,
        suppressed_at = coalesce(s.suppressed_at, CASE WHEN s.bounces + 1 >= enough THEN clock_timestamp() END)
    RETURNING s.* INTO counted;
    RETURN counted.suppressed_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._count_bounce(text, text, text) IS
    'Counts a bounce or a complaint of an address; whether nothing is sent to it from now on.';

CREATE FUNCTION @extschema@._publish_bounce(bounced @extschema@.messages, reason text, code text,
                                            is_suppressed boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.publish('message.bounced', jsonb_build_object('id', bounced.id, 'user_id', bounced.user_id,
        'customer_id', bounced.customer_id, 'event', bounced.event, 'audience', bounced.audience, 'reason', reason,
        'code', left(code, 100), 'is_suppressed', is_suppressed),
        coalesce(bounced.user_id, bounced.customer_id, bounced.id)::text);
END
$$;
COMMENT ON FUNCTION @extschema@._publish_bounce(@extschema@.messages, text, text, boolean) IS
    'Publishes message.bounced.';

CREATE FUNCTION @extschema@.report_message(message uuid, attempt integer, outcome text, code text DEFAULT NULL,
                                           detail text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reported @extschema@.messages;
BEGIN
    IF outcome IS NULL OR outcome NOT IN ('sent', 'deferred', 'rejected', 'aborted') THEN
        PERFORM usher.raise_error('invalid_argument', 'outcome must be sent, deferred, rejected or aborted',
                                  '{"argument": "outcome"}');
    END IF;
    SELECT m.* INTO reported FROM @extschema@.messages AS m
    WHERE m.id = report_message.message AND m.status = 'claimed' AND m.attempts = report_message.attempt
        -- Who was late in sending it has sent it, though: if nobody else has begun to, nobody need.
        AND (m.next_attempt_at > clock_timestamp() OR outcome = 'sent') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF outcome = 'sent' THEN
        PERFORM @extschema@._finish_message(message, 'sent', code, detail);
        DELETE FROM @extschema@.message_suppressions AS s
        WHERE s.address_key = reported.recipient_key AND s.suppressed_at IS NULL;
        RETURN 'sent';
    ELSIF outcome = 'rejected' THEN
        PERFORM @extschema@._finish_message(message, 'failed', coalesce(code, 'rejected'), detail);
        PERFORM @extschema@._publish_bounce(reported, 'bounced', code,
                                            @extschema@._count_bounce(reported.recipient, 'bounced', code));
        RETURN 'failed';
    ELSIF outcome = 'deferred' AND reported.attempts >= usher.setting('courier.max_attempts')::integer THEN
        PERFORM @extschema@._finish_message(message, 'failed', coalesce(code, 'too_many_attempts'), detail);
        RETURN 'failed';
    END IF;
    -- half a minute, one, two … up to an hour, and some more or less, so that not all come back at once
    UPDATE @extschema@.messages AS m
    SET status = 'pending', claimed_by = NULL, last_code = left(report_message.code, 100),
        last_detail = left(report_message.detail, 500),
        attempts = m.attempts - (outcome = 'aborted')::integer,
        next_attempt_at = CASE WHEN outcome = 'aborted' THEN clock_timestamp()
            ELSE clock_timestamp() + (0.8 + 0.4 * random())
                 * least(interval '1 hour', interval '30 seconds' * power(2, least(m.attempts, 20) - 1)) END
    WHERE m.id = report_message.message;
    RETURN 'pending';
END
$$;
COMMENT ON FUNCTION @extschema@.report_message(uuid, integer, text, text, text) IS
    'Says what came of a message that was claimed: sent; deferred (to be tried again, later each time); rejected (by '
    'the server, for good: the bounce is counted, and after some the address is suppressed); aborted (not tried: the '
    'attempt does not count). code and detail are what the server said. The status of the message from then on; NULL, '
    'and nothing is changed, when the attempt is over. For the access level courier.';

CREATE FUNCTION @extschema@.courier_heartbeat(worker text, version text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF worker IS NULL OR octet_length(worker) NOT BETWEEN 1 AND 200 OR octet_length(version) > 100 THEN
        PERFORM usher.raise_error('invalid_argument', 'worker must have 1 to 200 bytes, version at most 100',
            jsonb_build_object('argument', CASE WHEN octet_length(worker) BETWEEN 1 AND 200 THEN 'version'
                                                ELSE 'worker' END));
    END IF;
    INSERT INTO @extschema@.courier_workers AS w (worker, version)
    VALUES (courier_heartbeat.worker, courier_heartbeat.version)
    ON CONFLICT ON CONSTRAINT courier_workers_pkey DO UPDATE
    SET seen_at = clock_timestamp(), version = EXCLUDED.version;
END
$$;
COMMENT ON FUNCTION @extschema@.courier_heartbeat(text, text) IS
    'A program that sends is there: usher.health() and usher.metrics() know it. For the access level courier.';

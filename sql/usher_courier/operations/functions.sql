-- What core calls: upkeep, checks, numbers, health, export and erasure.

CREATE FUNCTION @extschema@._expire_messages(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    overdue record;
    expired bigint := 0;
BEGIN
    FOR overdue IN
        SELECT m.id FROM @extschema@.messages AS m
        WHERE m.status IN ('pending', 'claimed') AND m.expires_at <= clock_timestamp()
            AND (m.status = 'pending' OR m.next_attempt_at <= clock_timestamp())
        ORDER BY m.expires_at LIMIT max_rows FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM @extschema@._finish_message(overdue.id, 'expired', 'too_late');
        expired := expired + 1;
    END LOOP;
    RETURN expired;
END
$$;
COMMENT ON FUNCTION @extschema@._expire_messages(integer) IS
    'Ends messages that are of no use any more; returns how many.';

CREATE FUNCTION @extschema@._forget_secrets(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    useless record;
    forgotten bigint := 0;
BEGIN
    FOR useless IN
        SELECT m.id, m.event_id, m.event FROM @extschema@.messages AS m
        WHERE m.keeps_secret AND m.expires_at <= clock_timestamp()
        ORDER BY m.expires_at LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        UPDATE @extschema@.messages AS m SET keeps_secret = false WHERE m.id = useless.id;
        PERFORM @extschema@._drop_secrets(useless.event_id, useless.event);
        forgotten := forgotten + 1;
    END LOOP;
    RETURN forgotten;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_secrets(integer) IS
    'Cuts tokens and codes that nobody can send any more, of messages that have failed; returns of how many.';

CREATE FUNCTION @extschema@._remove_old_messages(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM @extschema@.messages AS m WHERE m.id IN (
        SELECT o.id FROM @extschema@.messages AS o
        WHERE o.finished_at < now() - make_interval(days => usher.setting('courier.message_retention')::integer)
            AND NOT o.keeps_secret
        ORDER BY o.finished_at LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS removed = ROW_COUNT;
    -- programs that have not been heard of for a day
    DELETE FROM @extschema@.courier_workers AS w WHERE w.seen_at < now() - interval '1 day';
    RETURN removed;
END
$$;
COMMENT ON FUNCTION @extschema@._remove_old_messages(integer) IS
    'Removes messages that are done since courier.message_retention days; returns how many.';

CREATE FUNCTION @extschema@._courier_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('messages_made', 'SELECT @extschema@._collect_messages($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('messages_expired', 'SELECT @extschema@._expire_messages($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('message_secrets_forgotten', 'SELECT @extschema@._forget_secrets($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('messages_removed', 'SELECT @extschema@._remove_old_messages($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('requests_removed', 'SELECT @extschema@._request_upkeep($1)', max_rows) AS u;
END
$$;
COMMENT ON FUNCTION @extschema@._courier_upkeep(integer) IS 'The part of usher_courier in usher.run_maintenance().';

CREATE FUNCTION @extschema@._courier_self_check() RETURNS TABLE (rule text, violations bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'every template of messages can be filled', count(*)
        FROM @extschema@.message_templates AS t
            CROSS JOIN LATERAL @extschema@._render_message(t.subject, t.body_text, t.body_html, t.language, '{}', '{}')
                AS r
        WHERE r.problem IS NOT NULL;
    RETURN QUERY SELECT 'every rule of messages has a template', count(*)
        FROM @extschema@.message_rules AS r
        WHERE r.is_active AND @extschema@._template_language(r.event, r.audience, 'email', NULL) IS NULL;
    -- What constraints hold too: a dump that was edited, or a constraint that somebody dropped.
    RETURN QUERY SELECT 'messages are claimed by somebody, or done at some time', count(*)
        FROM @extschema@.messages AS m
        WHERE (m.status = 'claimed') <> (m.claimed_by IS NOT NULL)
            OR (m.status IN ('pending', 'claimed')) <> (m.finished_at IS NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._courier_self_check() IS 'The part of usher_courier in usher.self_check().';

CREATE FUNCTION @extschema@._courier_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sender CONSTANT text := usher.setting('courier.sender');
    domain CONSTANT text := (@extschema@._parse_mailbox(sender)).domain;
BEGIN
    BEGIN
        PERFORM @extschema@._allowed_networks();
    EXCEPTION WHEN invalid_text_representation THEN
        RETURN QUERY VALUES ('courier.allowed_networks is not a list of networks', 'error',
            'Until it is, no request is sent. ALTER DATABASE … SET courier.allowed_networks = ''10.1.0.0/16''.');
    END;
    IF domain IS NULL THEN
        RETURN QUERY VALUES ('courier.sender is not an address', 'error',
            'ALTER DATABASE … SET courier.sender = ''Name <address@your.domain>''.');
    ELSIF domain = 'localhost' THEN
        RETURN QUERY VALUES ('messages have no sender of their own (courier.sender)', 'warning',
            'ALTER DATABASE … SET courier.sender = ''Name <address@your.domain>''.');
    END IF;
    IF coalesce(nullif(usher.setting('courier.app_url'), ''), current_setting('usher.public_url'))
       !~ '^https://|^http://(localhost|127\.0\.0\.1)([:/]|$)' THEN
        RETURN QUERY VALUES ('links in messages are not https (courier.app_url, usher.public_url)', 'warning',
            'Tokens travel in them: serve the application over TLS.');
    ELSIF usher.setting('courier.app_url') = '' AND current_setting('usher.public_url') ~ '^http://localhost' THEN
        RETURN QUERY VALUES ('links in messages lead to this machine (courier.app_url, usher.public_url)', 'notice',
            'ALTER DATABASE … SET courier.app_url = ''https://your.application''.');
    END IF;
    IF NOT EXISTS (SELECT FROM @extschema@.courier_workers)
       AND EXISTS (SELECT FROM @extschema@.messages AS m
                   WHERE m.status = 'pending' AND m.next_attempt_at < clock_timestamp() - interval '1 hour') THEN
        RETURN QUERY VALUES ('messages wait, and no program has ever come to send them', 'warning',
            'Start usher-courier, or drop the extension.');
    END IF;
    RETURN QUERY
    SELECT format('messages are made for %s, which nobody publishes', r.event), 'notice',
           'Declare it in publishes of usher.register_extension().'
    FROM @extschema@.message_rules AS r
    WHERE r.extension IS NULL AND r.is_active
        AND NOT EXISTS (SELECT FROM usher.list_extensions() AS e WHERE r.event = ANY (e.publishes))
    ORDER BY r.event;
END
$$;
COMMENT ON FUNCTION @extschema@._courier_configuration() IS
    'The part of usher_courier in usher.check_configuration().';

CREATE FUNCTION @extschema@._courier_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.messages');
BEGIN
    -- Of many messages a sample is counted.
    RETURN QUERY
    SELECT 'usher_courier_messages', jsonb_build_object('status', s.status),
           round(coalesce(c.messages, 0)::double precision * 100 / percent), 'Messages by status.'
    FROM unnest('{pending,claimed,sent,failed,suppressed,expired}'::text[]) AS s (status)
        LEFT JOIN (SELECT m.status, count(*) AS messages FROM @extschema@.messages AS m TABLESAMPLE SYSTEM (percent)
                   GROUP BY m.status) AS c USING (status);
    RETURN QUERY
    SELECT 'usher_courier_oldest_message_seconds', '{}'::jsonb,
           coalesce(extract(epoch FROM clock_timestamp() - (
               SELECT min(o.next_attempt_at) FROM @extschema@.messages AS o
               WHERE o.status IN ('pending', 'claimed') AND o.next_attempt_at <= clock_timestamp())), 0)
               ::double precision,
           'How long the first message has been ready.';
    RETURN QUERY
    SELECT w.name, '{}'::jsonb, w.value::double precision, w.help
    FROM (SELECT count(*), count(*) FILTER (WHERE w.seen_at > clock_timestamp() - interval '2 minutes')
          FROM @extschema@.courier_workers AS w) AS c (known, seen)
        CROSS JOIN LATERAL (VALUES
            ('usher_courier_expected', (c.known > 0)::integer, '1 where a courier has been heard of within a day.'),
            ('usher_courier_workers', c.seen, 'Couriers that have been heard of within two minutes.'))
            AS w (name, value, help);
    RETURN QUERY
    SELECT 'usher_courier_suppressed_addresses', '{}'::jsonb,
           round(count(*)::double precision * 100 / usher.sample_percent('@extschema@.message_suppressions')),
           'Addresses that nothing is sent to.'
    FROM @extschema@.message_suppressions AS s
        TABLESAMPLE SYSTEM (usher.sample_percent('@extschema@.message_suppressions'))
    WHERE s.suppressed_at IS NOT NULL;
    RETURN QUERY
    SELECT 'usher_courier_requests', jsonb_build_object('status', s.status),
           round(coalesce(c.requests, 0)::double precision * 100 / usher.sample_percent('@extschema@.http_requests')),
           'HTTP requests by status.'
    FROM unnest('{pending,claimed,answered,completed,failed}'::text[]) AS s (status)
        LEFT JOIN (SELECT r.status, count(*) AS requests
                   FROM @extschema@.http_requests AS r
                       TABLESAMPLE SYSTEM (usher.sample_percent('@extschema@.http_requests'))
                   GROUP BY r.status) AS c USING (status);
    -- What waits for an earlier one of its key, or for a webhook that is switched off, is not late.
    RETURN QUERY
    SELECT 'usher_courier_oldest_request_seconds', '{}'::jsonb,
           coalesce(extract(epoch FROM clock_timestamp() - (
               SELECT r.next_attempt_at FROM @extschema@.http_requests AS r
               WHERE r.status IN ('pending', 'claimed', 'answered') AND r.next_attempt_at <= clock_timestamp()
                   AND (r.webhook_id IS NULL OR EXISTS (
                           SELECT FROM @extschema@.webhooks AS w WHERE w.id = r.webhook_id AND w.is_active))
                   AND (r.ordering_key IS NULL OR NOT EXISTS (
                           SELECT FROM @extschema@.http_requests AS o
                           WHERE o.ordering_key = r.ordering_key AND o.status IN ('pending', 'claimed', 'answered')
                               AND o.id < r.id))
               ORDER BY r.next_attempt_at, r.id LIMIT 1)), 0)::double precision,
           'How long the first HTTP request has been ready.';
    RETURN QUERY
    SELECT 'usher_courier_webhooks', jsonb_build_object('state', s.state), count(w.id)::double precision,
           'Webhooks: well, failing, or switched off because of it.'
    FROM unnest('{well,failing,disabled}'::text[]) AS s (state)
        LEFT JOIN @extschema@.webhooks AS w
            ON s.state = CASE WHEN w.disabled_at IS NOT NULL THEN 'disabled' WHEN NOT w.is_active THEN NULL
                              WHEN w.failing_since IS NOT NULL THEN 'failing' ELSE 'well' END
    GROUP BY s.state;
END
$$;
COMMENT ON FUNCTION @extschema@._courier_metrics() IS 'The part of usher_courier in usher.metrics().';

CREATE FUNCTION @extschema@._courier_health() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Only where a program sends, or has sent: elsewhere nobody is missing.
    IF NOT EXISTS (SELECT FROM @extschema@.courier_workers) THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM @extschema@.courier_workers AS w
                      WHERE w.seen_at > clock_timestamp() - interval '5 minutes') THEN
        RETURN 'no courier has been heard of for five minutes';
    ELSIF EXISTS (SELECT FROM @extschema@.messages AS m
                  WHERE m.status IN ('pending', 'claimed')
                      AND m.next_attempt_at < clock_timestamp() - interval '10 minutes') THEN
        RETURN 'messages have been ready for ten minutes, and nobody sends them';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._courier_health() IS 'The part of usher_courier in usher.health().';

CREATE FUNCTION @extschema@._export_courier(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_key CONSTANT text := usher.name_key((usher.user_contact(user_id)).email);
BEGIN
    RETURN jsonb_build_object(
        'messages', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.id, 'event', m.event,
                'recipient', m.recipient, 'language', m.language, 'status', m.status, 'created_at', m.created_at,
                'sent_at', m.sent_at) ORDER BY m.id)
            FROM @extschema@.messages AS m
            WHERE _export_courier.user_id IN (m.user_id, m.customer_id) OR m.recipient_key = own_key), '[]'),
        'suppressions', coalesce((SELECT jsonb_agg(jsonb_build_object('address', s.address, 'reason', s.reason,
                'suppressed_at', s.suppressed_at) ORDER BY s.address_key)
            FROM @extschema@.message_suppressions AS s
            WHERE _export_courier.user_id IN (s.user_id, s.customer_id) OR s.address_key = own_key), '[]'));
END
$$;
COMMENT ON FUNCTION @extschema@._export_courier(uuid) IS 'The part of usher_courier in usher.export_user().';

CREATE FUNCTION @extschema@._erase_courier(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- those of the account, and those that they were written to at
    addresses CONSTANT text[] := ARRAY(
        SELECT m.recipient_key FROM @extschema@.messages AS m
        WHERE _erase_courier.user_id IN (m.user_id, m.customer_id) AND m.recipient_key IS NOT NULL
        UNION SELECT usher.name_key((usher.user_contact(_erase_courier.user_id)).email));
    gone record;
    erased bigint := 0;
    lifted bigint;
BEGIN
    FOR gone IN
        DELETE FROM @extschema@.messages AS m
        WHERE _erase_courier.user_id IN (m.user_id, m.customer_id) OR m.recipient_key = ANY (addresses)
        RETURNING m.event_id, m.event, m.status IN ('pending', 'claimed') OR m.keeps_secret AS may_hold_secret
    LOOP
        erased := erased + 1;
        IF gone.may_hold_secret THEN
            PERFORM @extschema@._drop_secrets(gone.event_id, gone.event);
        END IF;
    END LOOP;
    DELETE FROM @extschema@.message_suppressions AS s
    WHERE _erase_courier.user_id IN (s.user_id, s.customer_id) OR s.address_key = ANY (addresses);
    GET DIAGNOSTICS lifted = ROW_COUNT;
    RETURN erased + lifted + @extschema@._erase_webhook_events(_erase_courier.user_id::text);
END
$$;
COMMENT ON FUNCTION @extschema@._erase_courier(uuid) IS 'The part of usher_courier in usher.erase_user().';

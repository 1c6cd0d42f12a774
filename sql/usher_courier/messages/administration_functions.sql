CREATE FUNCTION @extschema@.list_messages(of_status text DEFAULT NULL, recipient text DEFAULT NULL,
                                          after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (message uuid, event text, audience text, user_id uuid, customer_id uuid, recipient_address text,
                   language text, status text, repeats integer, attempts integer, next_attempt_at timestamptz,
                   code text, detail text, created_at timestamptz, sent_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('message:read');
    PERFORM usher.check_max_rows(max_rows);
    PERFORM usher.log_read('message', NULL, jsonb_strip_nulls(jsonb_build_object('status', of_status)));
    RETURN QUERY
    SELECT m.id, m.event, m.audience, m.user_id, m.customer_id, m.recipient, m.language, m.status, m.repeats,
           m.attempts, m.next_attempt_at, m.last_code, m.last_detail, m.created_at, m.sent_at, m.expires_at
    FROM @extschema@.messages AS m
    WHERE (of_status IS NULL OR m.status = of_status)
        AND (list_messages.recipient IS NULL OR m.recipient_key = usher.name_key(list_messages.recipient))
        AND (after IS NULL OR m.id < after)
    ORDER BY m.id DESC LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_messages(text, text, uuid, integer) IS
    'Messages and what became of them, the latest first, by keyset: pass the last message as after. Dead letters are '
    'those of the status failed. Needs message:read.';

CREATE FUNCTION @extschema@.retry_message(message uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:manage');
    UPDATE @extschema@.messages AS m
    SET status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), finished_at = NULL,
        expires_at = greatest(m.expires_at, clock_timestamp() + interval '1 day')
    WHERE m.id = retry_message.message AND m.status IN ('failed', 'suppressed', 'expired')
        AND @extschema@._can_be_said(m.event, m.audience, m.event_id);
    IF FOUND THEN
        PERFORM pg_notify('usher_courier', '');
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.retry_message(uuid) IS
    'Puts a message back that failed, with all attempts before it. False when it has not failed, or cannot be said '
    'any more: its token is gone, or its event. Needs message:manage.';

CREATE FUNCTION @extschema@._can_be_said(event text, audience text, event_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payload CONSTANT jsonb := usher.event_payload(event_id);
BEGIN
    RETURN payload IS NOT NULL AND NOT EXISTS (
        SELECT FROM @extschema@.message_rules AS r
        WHERE r.event = _can_be_said.event AND r.audience = _can_be_said.audience
            AND (cardinality(r.secret_keys) > 0 AND NOT payload ?| r.secret_keys
                 OR (payload ->> r.expires_key)::timestamptz <= clock_timestamp()));
END
$$;
COMMENT ON FUNCTION @extschema@._can_be_said(text, text, uuid) IS
    'Whether an event still says all that a message needs.';

CREATE FUNCTION @extschema@.suppress_address(address text, reason text DEFAULT 'manual') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('message:manage');
    IF address IS NULL OR NOT @extschema@._is_mail_address(address) THEN
        PERFORM usher.raise_error('invalid_argument', 'address must be an e-mail address', '{"argument": "address"}');
    ELSIF reason IS NULL OR reason NOT IN ('bounced', 'complaint', 'manual') THEN
        PERFORM usher.raise_error('invalid_argument', 'reason must be bounced, complaint or manual',
                                  '{"argument": "reason"}');
    END IF;
    INSERT INTO @extschema@.message_suppressions AS s (address_key, address, user_id, customer_id, reason,
                                                       suppressed_at)
    SELECT k.key, suppress_address.address, p.user_id, p.customer_id, suppress_address.reason, clock_timestamp()
    FROM usher.name_key(suppress_address.address) AS k (key)
        CROSS JOIN LATERAL @extschema@._person_written_to(k.key) AS p
    ON CONFLICT ON CONSTRAINT message_suppressions_pkey DO UPDATE
    SET reason = EXCLUDED.reason, suppressed_at = coalesce(s.suppressed_at, EXCLUDED.suppressed_at);
END
$$;
COMMENT ON FUNCTION @extschema@.suppress_address(text, text) IS
    'Sends nothing to an address from now on. reason: bounced, complaint or manual. Needs message:manage.';

CREATE FUNCTION @extschema@.lift_suppression(address text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:manage');
    DELETE FROM @extschema@.message_suppressions AS s
    WHERE s.address_key = usher.name_key(lift_suppression.address);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.lift_suppression(text) IS
    'Sends to an address again, and forgets its bounces; false when there were none. Needs message:manage.';

CREATE FUNCTION @extschema@.list_suppressions(after text DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (address text, reason text, bounces integer, code text, suppressed_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('message:read');
    PERFORM usher.check_max_rows(max_rows);
    PERFORM usher.log_read('suppression');
    RETURN QUERY
    SELECT s.address, s.reason, s.bounces, s.last_code, s.suppressed_at
    FROM @extschema@.message_suppressions AS s
    WHERE s.suppressed_at IS NOT NULL AND (after IS NULL OR s.address_key > usher.name_key(after))
    ORDER BY s.address_key LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_suppressions(text, integer) IS
    'Addresses that nothing is sent to, by keyset: pass the last address as after. Needs message:read.';

CREATE FUNCTION @extschema@.report_bounce(address text, kind text DEFAULT 'bounced', code text DEFAULT NULL,
                                          message_id text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bounced @extschema@.messages;
    is_suppressed boolean;
BEGIN
    PERFORM usher.require_permission('message:manage');
    IF address IS NULL OR NOT @extschema@._is_mail_address(address) THEN
        PERFORM usher.raise_error('invalid_argument', 'address must be an e-mail address', '{"argument": "address"}');
    ELSIF kind IS NULL OR kind NOT IN ('bounced', 'complaint') THEN
        PERFORM usher.raise_error('invalid_argument', 'kind must be bounced or complaint', '{"argument": "kind"}');
    END IF;
    is_suppressed := @extschema@._count_bounce(address, kind, code);
    SELECT m.* INTO bounced FROM @extschema@.messages AS m
    WHERE m.recipient_key = usher.name_key(address)
        AND (report_bounce.message_id IS NULL OR m.message_id = report_bounce.message_id)
    ORDER BY m.id DESC LIMIT 1;
    IF FOUND THEN
        PERFORM @extschema@._publish_bounce(bounced, kind, code, is_suppressed);
    END IF;
    RETURN is_suppressed;
END
$$;
COMMENT ON FUNCTION @extschema@.report_bounce(text, text, text, text) IS
    'A message came back after it was sent, or somebody complained: for whoever reads the mailbox of bounces, or '
    'hears it from a provider. Whether nothing is sent to the address from now on. Needs message:manage.';

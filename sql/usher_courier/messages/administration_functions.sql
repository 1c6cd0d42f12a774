CREATE FUNCTION @extschema@.list_messages(only_status text DEFAULT NULL, only_recipient text DEFAULT NULL,
                                          after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (message uuid, event text, audience text, user_id uuid, customer_id uuid, recipient text,
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
    IF only_status NOT IN ('pending', 'claimed', 'sent', 'failed', 'suppressed', 'expired') THEN
        PERFORM usher.raise_error('invalid_argument',
            'only_status must be pending, claimed, sent, failed, suppressed or expired',
            '{"argument": "only_status"}');
    END IF;
    PERFORM usher.log_read('message', NULL, jsonb_strip_nulls(jsonb_build_object('status', only_status)));
    RETURN QUERY
    SELECT m.id, m.event, m.audience, m.user_id, m.customer_id, m.recipient, m.language, m.status, m.repeats,
           m.attempts, m.next_attempt_at, m.last_code, m.last_detail, m.created_at, m.sent_at, m.expires_at
    FROM @extschema@.messages AS m
    WHERE (only_status IS NULL OR m.status = only_status)
        AND (only_recipient IS NULL OR m.recipient_key = usher.name_key(only_recipient))
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
DECLARE
    again @extschema@.messages;
    void record;
BEGIN
    PERFORM usher.require_permission('message:manage');
    SELECT m.* INTO again FROM @extschema@.messages AS m
    WHERE m.id = retry_message.message AND m.status IN ('failed', 'suppressed', 'expired') FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT w.* INTO void FROM @extschema@._why_void(again) AS w;
    IF void.reason IS NOT NULL THEN
        PERFORM usher.raise_error('message_is_void', 'the message cannot be sent again: ' || void.why,
                                  jsonb_build_object('reason', void.reason));
    END IF;
    UPDATE @extschema@.messages AS m
    SET status = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), finished_at = NULL,
        keeps_secret = false,
        expires_at = least(greatest(m.expires_at, clock_timestamp() + interval '1 day'), void.useless_at)
    WHERE m.id = again.id;
    PERFORM pg_notify('usher_courier', '');
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.retry_message(uuid) IS
    'Puts a message back that failed, or was not sent for another reason, with all attempts before it. The token of '
    'one that failed is kept for it as long as it is good. False when there is no such message, or it waits or was '
    'sent. Raises UM004 when it cannot be said any more: its token was used, replaced or has expired (token_gone, '
    'expired), its event is no longer kept (event_gone), or its recipient is not active (not_active). Needs '
    'message:manage.';

CREATE FUNCTION @extschema@._why_void(again @extschema@.messages, OUT reason text, OUT why text,
                                      OUT useless_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payload CONSTANT jsonb := usher.event_payload(again.event_id);
    rule @extschema@.message_rules;
BEGIN
    SELECT r.* INTO rule FROM @extschema@.message_rules AS r
    WHERE r.event = again.event AND r.audience = again.audience;
    useless_at := (payload ->> rule.expires_key)::timestamptz;
    IF payload IS NULL THEN
        reason := 'event_gone';
        why := 'its event is no longer kept';
    ELSIF cardinality(rule.secret_keys) > 0 AND NOT payload ?| rule.secret_keys THEN
        reason := 'token_gone';
        why := 'its token was sent, used or replaced, or has expired';
    ELSIF useless_at <= clock_timestamp() THEN
        reason := 'expired';
        why := 'it is of no use any more';
    ELSIF again.user_id IS NOT NULL AND (usher.user_contact(again.user_id)).is_active IS NOT TRUE
          OR again.customer_id IS NOT NULL AND (usher.customer_contact(again.customer_id)).email IS NULL THEN
        reason := 'not_active';
        why := 'its recipient is not active';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._why_void(@extschema@.messages) IS
    'Why a message that was not sent cannot be, a word and a sentence; NULL when it can, until useless_at.';

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

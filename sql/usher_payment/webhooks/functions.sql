CREATE FUNCTION @extschema@._announce_webhook_secrets() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_payment_announce_webhook_secrets';
COMMENT ON FUNCTION @extschema@._announce_webhook_secrets() IS
    'Trigger of payment_webhook_secrets: backends that keep the secrets read them again.';

CREATE FUNCTION @extschema@.verify_webhook(processor text, request_body text, request_headers jsonb) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_payment_verify_webhook';
COMMENT ON FUNCTION @extschema@.verify_webhook(text, text, jsonb) IS
    'Whether one of the secrets of the processor has signed this body, recently. Has no effect: receive_webhook() '
    'asks the same before it does anything.';

CREATE FUNCTION @extschema@.receive_webhook(processor text, request_body text DEFAULT NULL,
                                            request_headers jsonb DEFAULT '{}', OUT error text, OUT accepted boolean,
                                            OUT duplicate boolean)
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_receive_webhook';
COMMENT ON FUNCTION @extschema@.receive_webhook(text, text, jsonb) IS
    'Takes a webhook as it was sent. Nothing of it is read before one of the secrets of the processor has been found '
    'to have signed it. Each event has its effect once. error: webhook_signature_invalid, webhook_malformed.';

CREATE FUNCTION @extschema@.ingest_webhook(processor text, event_id text, event_type text,
                                           occurred_at timestamptz DEFAULT NULL, payload jsonb DEFAULT '{}',
                                           OUT accepted boolean, OUT duplicate boolean, OUT effect text,
                                           OUT transaction_id uuid)
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_ingest_webhook';
COMMENT ON FUNCTION @extschema@.ingest_webhook(text, text, text, timestamptz, jsonb) IS
    'Takes an event whose signature somebody else has checked. payload: the data of the event. effect: applied, known '
    '(it brought nothing new), other (not about a payment), unmatched (about nothing that is known yet), mismatch. '
    'Needs payment:process.';

CREATE FUNCTION @extschema@.add_webhook_secret(processor text, scheme text, secret text,
                                               header_name text DEFAULT NULL, tolerance_seconds integer DEFAULT 300,
                                               label text DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
    RETURNS uuid
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_add_webhook_secret';
COMMENT ON FUNCTION @extschema@.add_webhook_secret(text, text, text, text, integer, text, timestamptz) IS
    'What a processor signs its webhooks with, beside those that are known. scheme: stripe, standard '
    '(standardwebhooks.com), or hmac with the name of a header. Kept sealed under the master key. Needs '
    'webhook:manage.';

CREATE FUNCTION @extschema@.retire_webhook_secret(secret_id uuid, at timestamptz DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('webhook:manage');
    UPDATE @extschema@.payment_webhook_secrets AS s
    SET expires_at = coalesce(at, clock_timestamp()), is_active = at IS NOT NULL AND at > clock_timestamp()
    WHERE s.id = secret_id AND s.is_active;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.retire_webhook_secret(uuid, timestamptz) IS
    'Ends a secret, now or at a time to come. False when there is none that is active. Needs webhook:manage.';

CREATE FUNCTION @extschema@.list_webhook_secrets(only_processor text DEFAULT NULL)
    RETURNS TABLE (secret_id uuid, processor text, scheme text, header_name text, label text, is_active boolean,
                   created_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('webhook:manage');
    RETURN QUERY SELECT s.id, s.processor, s.scheme, s.header_name, s.label,
            s.is_active AND coalesce(s.expires_at > clock_timestamp(), true), s.created_at, s.expires_at
        FROM @extschema@.payment_webhook_secrets AS s
        WHERE only_processor IS NULL OR s.processor = only_processor
        ORDER BY s.processor, s.created_at, s.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_webhook_secrets(text) IS
    'What is known of each webhook secret, but not the secret itself. Needs webhook:manage.';

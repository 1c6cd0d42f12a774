CREATE TABLE @extschema@.payment_webhook_secrets (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    processor text NOT NULL CHECK (processor ~ '^[a-z][a-z0-9_]{0,19}$'),
    scheme text NOT NULL CHECK (scheme IN ('stripe', 'standard', 'hmac')),
    header_name text CHECK (header_name ~ '^[a-z0-9-]{1,64}$'),
    secret text NOT NULL,
    tolerance_seconds integer NOT NULL DEFAULT 300 CHECK (tolerance_seconds BETWEEN 1 AND 86400),
    label text CHECK (length(label) <= 100),
    is_active boolean NOT NULL DEFAULT true,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    CONSTRAINT payment_webhook_secrets_header_check CHECK ((scheme = 'hmac') = (header_name IS NOT NULL))
);
CREATE INDEX payment_webhook_secrets_processor_idx ON @extschema@.payment_webhook_secrets (processor) WHERE is_active;
COMMENT ON TABLE @extschema@.payment_webhook_secrets IS
    'What processors sign their webhooks with; several at a time while one replaces the other.';
COMMENT ON COLUMN @extschema@.payment_webhook_secrets.secret IS
    'Sealed under the master key, when there is one (usher.master_key_file).';

CREATE TABLE @extschema@.payment_webhook_events (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    processor text NOT NULL,
    event_id text NOT NULL CHECK (event_id <> '' AND length(event_id) <= 255),
    event_type text NOT NULL CHECK (length(event_type) <= 255),
    occurred_at timestamptz,
    report text NOT NULL,
    provider_key text,
    processor_transaction_id text,
    processor_refund_id text,
    processor_dispute_id text,
    amount_minor bigint,
    fee_minor bigint,
    currency text,
    failure_code text,
    effect text NOT NULL DEFAULT 'received'
        CHECK (effect IN ('received', 'applied', 'known', 'other', 'unmatched', 'mismatch')),
    transaction_id uuid,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_webhook_events_key UNIQUE (processor, event_id)
);
CREATE INDEX payment_webhook_events_received_idx ON @extschema@.payment_webhook_events (received_at);
CREATE INDEX payment_webhook_events_unmatched_idx ON @extschema@.payment_webhook_events
    (processor, processor_transaction_id) WHERE effect = 'unmatched';
CREATE INDEX payment_webhook_events_unmatched_refund_idx ON @extschema@.payment_webhook_events
    (processor, processor_refund_id) WHERE effect = 'unmatched';
CREATE INDEX payment_webhook_events_unmatched_dispute_idx ON @extschema@.payment_webhook_events
    (processor, processor_dispute_id) WHERE effect = 'unmatched';
COMMENT ON TABLE @extschema@.payment_webhook_events IS
    'Webhooks that were received, each once, and what they did. Of their content only what was understood is kept.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_webhook_secrets', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_webhook_events', '');

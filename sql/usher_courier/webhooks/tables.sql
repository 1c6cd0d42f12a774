-- Webhooks: who elsewhere hears of which events.

CREATE TABLE @extschema@.webhooks (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    url text NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    events text[] NOT NULL CHECK (cardinality(events) >= 1 AND cardinality(events) <= 100
                                  AND array_position(events, NULL) IS NULL),
    description text CHECK (length(description) <= 200),
    is_active boolean NOT NULL DEFAULT true,
    failing_since timestamptz,
    last_success_at timestamptz,
    disabled_at timestamptz,
    disabled_reason text CHECK (disabled_reason IN ('failures', 'gone')),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhooks_disabled_check CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)
                                              AND (disabled_at IS NULL OR NOT is_active))
);
COMMENT ON TABLE @extschema@.webhooks IS 'Addresses that events are sent to, signed as standardwebhooks.com says.';
COMMENT ON COLUMN @extschema@.webhooks.events IS 'Names of events, prefixes such as booking.*, or * for all.';
COMMENT ON COLUMN @extschema@.webhooks.failing_since IS 'The first failure since the last success.';
COMMENT ON COLUMN @extschema@.webhooks.disabled_at IS
    'Since when nothing is sent because the receiver failed for too long (failures), or said that it is gone.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.webhooks', '');

CREATE TABLE @extschema@.webhook_keys (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    webhook_id uuid NOT NULL REFERENCES @extschema@.webhooks ON DELETE CASCADE,
    secret text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX webhook_keys_webhook_id_idx ON @extschema@.webhook_keys (webhook_id);
COMMENT ON TABLE @extschema@.webhook_keys IS
    'What webhooks are signed with; two at a time while one replaces the other.';
COMMENT ON COLUMN @extschema@.webhook_keys.secret IS
    'Sealed under the master key, when there is one (usher.master_key_file).';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.webhook_keys', '');

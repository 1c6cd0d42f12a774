CREATE TABLE @extschema@.payment_refunds (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    transaction_id uuid NOT NULL REFERENCES @extschema@.payment_transactions,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'succeeded', 'failed', 'cancelled')),
    reason_code text CHECK (reason_code ~ '^[a-z][a-z0-9_]{0,62}$'),
    notes text CHECK (length(notes) <= 2000),
    processor text NOT NULL CHECK (processor ~ '^[a-z][a-z0-9_]{0,19}$'),
    processor_transaction_id text CHECK (length(processor_transaction_id) <= 255),
    provider_key text NOT NULL UNIQUE CHECK (provider_key <> '' AND length(provider_key) <= 255),
    processor_refund_id text CHECK (processor_refund_id <> '' AND length(processor_refund_id) <= 255),
    failure_code text CHECK (length(failure_code) <= 255),
    response jsonb CHECK (jsonb_typeof(response) = 'object'),
    remaining_minor bigint NOT NULL,
    idempotency_scope text NOT NULL DEFAULT '',
    idempotency_key text NOT NULL DEFAULT usher.uuid_v7()::text
        CHECK (idempotency_key <> '' AND length(idempotency_key) <= 255),
    request_hash bytea,
    requested_by uuid,
    provider_at timestamptz,
    resolved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT payment_refunds_amount_check CHECK (@extschema@._is_payable(amount_minor))
);
CREATE UNIQUE INDEX payment_refunds_idempotency_key ON @extschema@.payment_refunds
    (idempotency_scope, idempotency_key);
CREATE UNIQUE INDEX payment_refunds_processor_id_key ON @extschema@.payment_refunds (processor, processor_refund_id)
    WHERE processor_refund_id IS NOT NULL;
CREATE INDEX payment_refunds_transaction_idx ON @extschema@.payment_refunds (transaction_id, created_at);
CREATE INDEX payment_refunds_open_idx ON @extschema@.payment_refunds (created_at)
    WHERE status IN ('pending', 'processing');
CREATE INDEX payment_refunds_resolved_idx ON @extschema@.payment_refunds (resolved_at) WHERE status = 'succeeded';
COMMENT ON TABLE @extschema@.payment_refunds IS
    'Money on its way back. A row reserves its amount of the transaction until it fails or is cancelled, so that '
    'nobody refunds more than was captured. The status obeys the machine "refund".';
COMMENT ON COLUMN @extschema@.payment_refunds.remaining_minor IS
    'What was left to refund when this one had reserved its part: the answer to a repeated call.';

CREATE TABLE @extschema@.payment_disputes (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    transaction_id uuid NOT NULL REFERENCES @extschema@.payment_transactions,
    processor text NOT NULL,
    processor_dispute_id text NOT NULL CHECK (processor_dispute_id <> '' AND length(processor_dispute_id) <= 255),
    amount_minor bigint NOT NULL CHECK (@extschema@._is_payable(amount_minor)),
    currency text NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'won', 'lost')),
    reason text CHECK (length(reason) <= 255),
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    UNIQUE (processor, processor_dispute_id)
);
CREATE INDEX payment_disputes_transaction_idx ON @extschema@.payment_disputes (transaction_id);
COMMENT ON TABLE @extschema@.payment_disputes IS
    'Chargebacks: what the customer''s bank has taken back, or holds until it has decided.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_refunds', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_disputes', '');

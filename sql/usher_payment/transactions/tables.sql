-- What somebody pays, and the calls to a processor that are made for it. Customers, references and locations are ids
-- of other features: no foreign key leaves this extension.

CREATE TABLE @extschema@.payment_transactions (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL,
    user_id uuid,
    location_id uuid,
    reference_type text CHECK (reference_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    reference_id uuid,
    purpose text NOT NULL DEFAULT 'sale' CHECK (purpose ~ '^[a-z][a-z0-9_]{0,19}$'),
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    exponent smallint NOT NULL,
    payment_method text NOT NULL CHECK (payment_method ~ '^[a-z][a-z0-9_]{0,19}$'),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'refunded')),
    processor text CHECK (processor ~ '^[a-z][a-z0-9_]{0,19}$'),
    processor_transaction_id text CHECK (processor_transaction_id <> '' AND length(processor_transaction_id) <= 255),
    failure_code text CHECK (length(failure_code) <= 255),
    attempt_count integer NOT NULL DEFAULT 0,
    captured_minor bigint NOT NULL DEFAULT 0,
    refund_reserved_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    disputed_minor bigint NOT NULL DEFAULT 0 CHECK (disputed_minor >= 0),
    fee_minor bigint NOT NULL DEFAULT 0 CHECK (fee_minor >= 0),
    balance_minor bigint NOT NULL DEFAULT 0 CHECK (balance_minor >= 0),
    exclusive boolean NOT NULL DEFAULT false,
    refund_on_success boolean NOT NULL DEFAULT false,
    close_reason text CHECK (close_reason ~ '^[a-z][a-z0-9_]{0,62}$'),
    closed_at timestamptz,
    expires_at timestamptz CHECK (isfinite(expires_at)),
    completed_at timestamptz,
    idempotency_scope text NOT NULL DEFAULT '',
    idempotency_key text NOT NULL DEFAULT usher.uuid_v7()::text
        CHECK (idempotency_key <> '' AND length(idempotency_key) <= 255),
    request_hash bytea,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    replacement_minor bigint CHECK (replacement_minor >= 0),
    -- Named by what they say; the row trigger gives a clear error before they do.
    CONSTRAINT payment_transactions_amount_check CHECK (@extschema@._is_payable(amount_minor)),
    CONSTRAINT payment_transactions_currency_check
        CHECK (coalesce(exponent = @extschema@._currency_exponent(currency), false)),
    CONSTRAINT payment_transactions_reference_check CHECK ((reference_type IS NULL) = (reference_id IS NULL)),
    CONSTRAINT payment_transactions_captured_check CHECK (captured_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payment_transactions_refunds_check CHECK (refund_reserved_minor >= 0 AND refunded_minor >= 0
        AND refund_reserved_minor + refunded_minor <= captured_minor),
    -- The amounts say what the status is, and the other way round.
    CONSTRAINT payment_transactions_completed_check
        CHECK ((status IN ('completed', 'refunded')) = (captured_minor > 0)),
    CONSTRAINT payment_transactions_refunded_check
        CHECK ((status = 'refunded') = (captured_minor > 0 AND refunded_minor = captured_minor)),
    CONSTRAINT payment_transactions_closed_check CHECK (closed_at IS NULL OR captured_minor > 0 OR status = 'failed')
);
CREATE UNIQUE INDEX payment_transactions_idempotency_key ON @extschema@.payment_transactions
    (idempotency_scope, idempotency_key);
CREATE UNIQUE INDEX payment_transactions_processor_id_key ON @extschema@.payment_transactions
    (processor, processor_transaction_id) WHERE processor_transaction_id IS NOT NULL;
CREATE INDEX payment_transactions_customer_idx ON @extschema@.payment_transactions (customer_id, created_at);
CREATE INDEX payment_transactions_user_idx ON @extschema@.payment_transactions (user_id, created_at)
    WHERE user_id IS NOT NULL;
-- Pages are put together from a walk for each status.
CREATE INDEX payment_transactions_status_idx ON @extschema@.payment_transactions (status, created_at);
CREATE INDEX payment_transactions_location_idx ON @extschema@.payment_transactions (location_id, status, created_at)
    WHERE location_id IS NOT NULL;
CREATE INDEX payment_transactions_reference_type_idx ON @extschema@.payment_transactions
    (reference_type, status, created_at) WHERE reference_type IS NOT NULL;
CREATE INDEX payment_transactions_reference_idx ON @extschema@.payment_transactions (reference_id, reference_type)
    WHERE reference_id IS NOT NULL;
-- One live payment for each purpose of a reference, where whoever made it wants that.
CREATE UNIQUE INDEX payment_transactions_exclusive_key ON @extschema@.payment_transactions
    (reference_type, reference_id, purpose)
    WHERE exclusive AND closed_at IS NULL AND status IN ('pending', 'processing', 'failed');
CREATE INDEX payment_transactions_expires_idx ON @extschema@.payment_transactions (expires_at)
    WHERE closed_at IS NULL AND status IN ('pending', 'failed');
CREATE INDEX payment_transactions_completed_idx ON @extschema@.payment_transactions (completed_at)
    WHERE completed_at IS NOT NULL;
COMMENT ON TABLE @extschema@.payment_transactions IS
    'Sums that somebody is to pay, in minor units. The status obeys the machine "payment"; what was captured, '
    'reserved and refunded follows from attempts and refunds, and nobody writes it by hand.';
COMMENT ON COLUMN @extschema@.payment_transactions.user_id IS
    'The account of the customer, who may read the row; NULL for somebody without one.';
COMMENT ON COLUMN @extschema@.payment_transactions.exponent IS 'Decimal places of the minor unit, by ISO 4217.';
COMMENT ON COLUMN @extschema@.payment_transactions.refund_reserved_minor IS
    'What refunds that are not settled yet have claimed; part of captured_minor.';
COMMENT ON COLUMN @extschema@.payment_transactions.disputed_minor IS
    'What was charged back, or may be: no refund. Together with refunds it can exceed what was captured.';
COMMENT ON COLUMN @extschema@.payment_transactions.balance_minor IS
    'Of a deposit: what a second transaction asks for once this one is paid.';
COMMENT ON COLUMN @extschema@.payment_transactions.replacement_minor IS
    'What has come to be due while the processor was at another sum: asked for instead when that fails, and what is '
    'missing of it when that succeeds.';
COMMENT ON COLUMN @extschema@.payment_transactions.exclusive IS
    'Whether there may be only one live transaction of this purpose for the reference.';
COMMENT ON COLUMN @extschema@.payment_transactions.refund_on_success IS
    'What was given up while the processor was still at it: if it succeeds after all, it goes back.';
COMMENT ON COLUMN @extschema@.payment_transactions.expires_at IS
    'When upkeep closes it, unless it is paid or under way.';
COMMENT ON COLUMN @extschema@.payment_transactions.request_hash IS
    'Of what was asked for with the idempotency key, which is kept as long as the row.';

CREATE TABLE @extschema@.payment_attempts (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    transaction_id uuid NOT NULL REFERENCES @extschema@.payment_transactions,
    attempt_no integer NOT NULL CHECK (attempt_no > 0),
    processor text NOT NULL CHECK (processor ~ '^[a-z][a-z0-9_]{0,19}$'),
    provider_key text NOT NULL UNIQUE CHECK (provider_key <> '' AND length(provider_key) <= 255),
    saved_method_id uuid,
    outcome text NOT NULL DEFAULT 'requested'
        CHECK (outcome IN ('requested', 'unknown', 'declined', 'succeeded', 'superseded')),
    processor_transaction_id text CHECK (processor_transaction_id <> '' AND length(processor_transaction_id) <= 255),
    captured_minor bigint,
    fee_minor bigint CHECK (fee_minor >= 0),
    failure_code text CHECK (length(failure_code) <= 255),
    response jsonb CHECK (jsonb_typeof(response) = 'object'),
    provider_at timestamptz,
    requested_by uuid,
    requested_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CONSTRAINT payment_attempts_number_key UNIQUE (transaction_id, attempt_no),
    CONSTRAINT payment_attempts_captured_check
        CHECK ((outcome IN ('succeeded', 'superseded')) = (captured_minor IS NOT NULL)
            AND (captured_minor IS NULL OR @extschema@._is_payable(captured_minor)))
);
-- No second call while nobody knows what became of the first.
CREATE UNIQUE INDEX payment_attempts_live_key ON @extschema@.payment_attempts (transaction_id)
    WHERE outcome IN ('requested', 'unknown');
CREATE UNIQUE INDEX payment_attempts_processor_id_key ON @extschema@.payment_attempts
    (processor, processor_transaction_id) WHERE processor_transaction_id IS NOT NULL AND outcome <> 'superseded';
CREATE INDEX payment_attempts_unresolved_idx ON @extschema@.payment_attempts (requested_at)
    WHERE outcome IN ('requested', 'unknown');
COMMENT ON TABLE @extschema@.payment_attempts IS
    'Calls to a processor, stored before they are made. The provider key is sent along, so that a repeated call is '
    'the same one to the processor.';
COMMENT ON COLUMN @extschema@.payment_attempts.response IS
    'What is kept of the answer: known members only. For those who hold payment:manage.';
COMMENT ON COLUMN @extschema@.payment_attempts.provider_at IS
    'When the newest report about it happened, by the clock of the processor.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_transactions', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.payment_attempts', '');

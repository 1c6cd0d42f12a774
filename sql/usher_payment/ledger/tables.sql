-- Double entry: what leaves one account arrives in another, in the same journal and currency.

CREATE TABLE @extschema@.ledger_journals (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    reference_type text CHECK (reference_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    reference_id uuid,
    description text CHECK (length(description) <= 500),
    reverses uuid UNIQUE REFERENCES @extschema@.ledger_journals,
    idempotency_scope text NOT NULL DEFAULT '',
    idempotency_key text NOT NULL DEFAULT usher.uuid_v7()::text
        CHECK (idempotency_key <> '' AND length(idempotency_key) <= 255),
    request_hash bytea,
    posted_by uuid,
    posted_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ledger_journals_idempotency_key ON @extschema@.ledger_journals
    (idempotency_scope, idempotency_key);
CREATE INDEX ledger_journals_reference_idx ON @extschema@.ledger_journals (reference_id)
    WHERE reference_id IS NOT NULL;
COMMENT ON TABLE @extschema@.ledger_journals IS
    'What happened to money: one journal for each event, whose entries sum to zero in each currency. Rows are only '
    'added; what was wrong is reversed by another journal.';

CREATE TABLE @extschema@.ledger_entries (
    journal_id uuid NOT NULL REFERENCES @extschema@.ledger_journals,
    entry_no integer NOT NULL CHECK (entry_no > 0),
    account text NOT NULL CHECK (account ~ '^[a-z][a-z0-9_]{0,31}(:[a-z0-9_]{1,31})*$' AND length(account) <= 100),
    direction text NOT NULL CHECK (direction IN ('debit', 'credit')),
    amount_minor bigint NOT NULL CHECK (@extschema@._is_payable(amount_minor)),
    currency text NOT NULL CHECK (@extschema@._currency_exponent(currency) IS NOT NULL),
    PRIMARY KEY (journal_id, entry_no)
);
CREATE INDEX ledger_entries_account_idx ON @extschema@.ledger_entries (account, currency, journal_id)
    INCLUDE (direction, amount_minor);
COMMENT ON TABLE @extschema@.ledger_entries IS
    'Debits and credits of accounts, in minor units. At commit each journal must sum to zero in each currency.';
CREATE INDEX ledger_journals_posted_at_idx ON @extschema@.ledger_journals (posted_at);

-- Balances are sums of totals that are kept for each day, and of the journals that these do not contain yet. Whoever
-- posts adds a row and waits for nobody; upkeep adds what was posted to the totals.
CREATE TABLE @extschema@.ledger_totals (
    account text NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    debit_minor numeric(38, 0) NOT NULL,
    credit_minor numeric(38, 0) NOT NULL,
    PRIMARY KEY (account, currency, day)
);
COMMENT ON TABLE @extschema@.ledger_totals IS
    'What was debited and credited to an account on a day (UTC), without those in ledger_unsummed_journals. Kept by '
    'usher.run_maintenance().';

CREATE TABLE @extschema@.ledger_unsummed_journals (
    journal_id uuid PRIMARY KEY
);
COMMENT ON TABLE @extschema@.ledger_unsummed_journals IS 'Journals that ledger_totals does not contain yet.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.ledger_totals', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ledger_unsummed_journals', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ledger_journals', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ledger_entries', '');

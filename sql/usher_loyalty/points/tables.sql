-- What customers have earned and spent. Entries are the facts and are only added; accounts and lots follow from them.
-- Customers, bookings, payments and orders are ids of other features: no foreign key leaves this extension.

CREATE TABLE @extschema@.points_accounts (
    customer_id uuid PRIMARY KEY,
    user_id uuid,
    balance bigint NOT NULL DEFAULT 0,
    debt bigint NOT NULL DEFAULT 0,
    tier text,
    tier_since timestamptz,
    tier_lapses_at timestamptz,
    tier_reviewed_at timestamptz,
    attributes jsonb NOT NULL DEFAULT '{}',
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Neither is below 0, and one of them is 0. A short one, because each entry reads it from the catalog; the trigger
    -- of entries gives a clear error before it does.
    CONSTRAINT points_accounts_balance_check CHECK (least(balance, debt) = 0)
);
CREATE INDEX points_accounts_user_idx ON @extschema@.points_accounts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX points_accounts_review_idx ON @extschema@.points_accounts (tier_reviewed_at) WHERE tier IS NOT NULL;
COMMENT ON TABLE @extschema@.points_accounts IS
    'One row for each customer. Balance and debt follow from points_entries, and nobody writes them by hand: balance '
    '- debt is the sum of the entries, and balance what is left of the lots.';
COMMENT ON COLUMN @extschema@.points_accounts.user_id IS
    'The account of the customer, who may read the row; NULL for somebody without one.';
COMMENT ON COLUMN @extschema@.points_accounts.debt IS
    'Points that were taken back when they had been spent already: what is earned next pays them first.';
COMMENT ON COLUMN @extschema@.points_accounts.tier_lapses_at IS
    'When the tier is lost unless it is earned again: the end of its grace.';

CREATE TABLE @extschema@.points_sources (
    source_type text NOT NULL,
    source_id uuid NOT NULL,
    customer_id uuid,
    amount_minor bigint,
    currency text,
    occurred_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    captured_minor bigint,
    refunded_minor bigint,
    kept_minor bigint,
    PRIMARY KEY (source_type, source_id),
    CONSTRAINT points_sources_amount_check CHECK (amount_minor >= 0)
);
CREATE INDEX points_sources_customer_idx ON @extschema@.points_sources (customer_id, occurred_at)
    WHERE customer_id IS NOT NULL;
COMMENT ON TABLE @extschema@.points_sources IS
    'Purchases that earn: a booking, a payment, an order. Without a customer: only deductions of it have been heard '
    'of so far, because events arrive in any order.';
COMMENT ON COLUMN @extschema@.points_sources.captured_minor IS
    'Of a booking or order that money went back of: the most that its payments are known to have brought together.';
COMMENT ON COLUMN @extschema@.points_sources.refunded_minor IS
    'The most of that which is known to have gone back, surplus included.';
COMMENT ON COLUMN @extschema@.points_sources.kept_minor IS
    'What an order costs without what was returned of it; NULL while nothing was.';

CREATE TABLE @extschema@.points_deductions (
    source_type text NOT NULL,
    source_id uuid NOT NULL,
    cause_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('returned', 'not_money', 'disputed', 'void')),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_type, source_id, cause_id),
    FOREIGN KEY (source_type, source_id) REFERENCES @extschema@.points_sources
);
COMMENT ON TABLE @extschema@.points_deductions IS
    'What does not count of a purchase: refunds and cancellations (returned), what was paid with points or vouchers '
    '(not_money), and what a bank holds or has taken (disputed; void once the dispute is won, and then 0). One row '
    'for each cause, with the largest sum that was heard of. The one whose cause is the booking or order itself '
    'follows from what its payments and its seller say of the whole.';

CREATE TABLE @extschema@.points_entries (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL REFERENCES @extschema@.points_accounts,
    kind text NOT NULL,
    points bigint NOT NULL,
    source_type text,
    source_id uuid,
    rule_code text NOT NULL DEFAULT 'manual',
    rule_version integer,
    reverses uuid REFERENCES @extschema@.points_entries,
    expires_at timestamptz,
    note text,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now()
    -- What must hold of a row is decided by its trigger: each CHECK would be read from the catalog for every entry.
);
-- Earned once for each source and rule, however often its event arrives.
CREATE UNIQUE INDEX points_entries_earned_key ON @extschema@.points_entries
    (source_id, source_type, customer_id, rule_code) WHERE kind = 'earn' AND source_id IS NOT NULL;
CREATE INDEX points_entries_customer_idx ON @extschema@.points_entries (customer_id, id);
CREATE INDEX points_entries_period_idx ON @extschema@.points_entries (customer_id, occurred_at) INCLUDE (points)
    WHERE kind IN ('earn', 'take_back', 'restore');
CREATE INDEX points_entries_reverses_idx ON @extschema@.points_entries (reverses) WHERE reverses IS NOT NULL;
COMMENT ON TABLE @extschema@.points_entries IS
    'The ledger of points: earned, spent, taken back, restored, given back, expired, adjusted by somebody. Rows are '
    'only added; accounts and lots follow in the same statement, whoever adds them.';
COMMENT ON COLUMN @extschema@.points_entries.expires_at IS 'Of what is earned: when the rest of its lot is lost.';
COMMENT ON COLUMN @extschema@.points_entries.occurred_at IS
    'When what it is about happened: the rule of that time has judged it.';

CREATE TABLE @extschema@.points_lots (
    id uuid PRIMARY KEY REFERENCES @extschema@.points_entries,
    customer_id uuid NOT NULL, -- that of the entry
    points bigint NOT NULL,
    points_left bigint NOT NULL,
    expires_at timestamptz,
    announced_at timestamptz,
    CONSTRAINT points_lots_left_check CHECK (points > 0 AND points_left BETWEEN 0 AND points)
);
CREATE INDEX points_lots_open_idx ON @extschema@.points_lots (customer_id, id) WHERE points_left > 0;
CREATE INDEX points_lots_expires_idx ON @extschema@.points_lots (expires_at)
    WHERE points_left > 0 AND expires_at IS NOT NULL;
COMMENT ON TABLE @extschema@.points_lots IS
    'What is left of what was earned at once, by the id of its entry: the oldest lot is spent first, and expires '
    'whole.';
COMMENT ON COLUMN @extschema@.points_lots.announced_at IS 'When loyalty.points_expiring was published for it.';

CREATE TABLE @extschema@.points_lot_uses (
    entry_id uuid NOT NULL REFERENCES @extschema@.points_entries,
    lot_id uuid NOT NULL REFERENCES @extschema@.points_lots,
    points bigint NOT NULL CHECK (points <> 0),
    PRIMARY KEY (entry_id, lot_id)
);
CREATE INDEX points_lot_uses_lot_idx ON @extschema@.points_lot_uses (lot_id);
COMMENT ON TABLE @extschema@.points_lot_uses IS
    'Which lots an entry took from (below zero), or gave back to.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_accounts', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_sources', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_deductions', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_entries', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_lots', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.points_lot_uses', '');

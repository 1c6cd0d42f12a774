CREATE TABLE @extschema@.referral_programs (
    code text PRIMARY KEY DEFAULT 'default' CHECK (code ~ '^[a-z][a-z0-9_]{0,62}$'),
    referrer_points bigint NOT NULL CHECK (referrer_points BETWEEN 0 AND 1000000000000),
    referee_points bigint NOT NULL CHECK (referee_points BETWEEN 0 AND 1000000000000),
    events text[] NOT NULL DEFAULT '{booking.completed,payment.completed,order.completed}'
        CHECK (events <@ '{booking.completed,payment.completed,order.completed}' AND cardinality(events) > 0),
    min_amount_minor bigint NOT NULL DEFAULT 0 CHECK (min_amount_minor >= 0),
    waits_for interval NOT NULL DEFAULT '90 days' CHECK (waits_for > '0' AND isfinite(waits_for)),
    is_active boolean NOT NULL DEFAULT true,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT referral_programs_deleted_check CHECK (is_active = (deleted_at IS NULL))
);
COMMENT ON TABLE @extschema@.referral_programs IS
    'What both get when somebody brings somebody else along, and what the newcomer has to do for it. A referral '
    'keeps the terms that it was made with.';

CREATE TABLE @extschema@.referral_codes (
    customer_id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE @extschema@.referral_codes IS 'What a customer tells others. It is no secret.';

CREATE TABLE @extschema@.referral_signals (
    customer_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('address', 'network', 'device', 'payment_method')),
    value_hash bytea NOT NULL CHECK (octet_length(value_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, kind, value_hash)
);
COMMENT ON TABLE @extschema@.referral_signals IS
    'Hashes of what two customers who are one would have in common.';

CREATE TABLE @extschema@.referrals (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    program text NOT NULL REFERENCES @extschema@.referral_programs,
    referrer_id uuid NOT NULL,
    referee_id uuid NOT NULL UNIQUE,
    status text NOT NULL DEFAULT 'pending',
    flags text[] NOT NULL DEFAULT '{}',
    evidence jsonb CHECK (jsonb_typeof(evidence) = 'object'),
    reason_code text CHECK (reason_code ~ '^[a-z][a-z0-9_]{0,62}$'),
    notes text CHECK (length(notes) <= 2000),
    referrer_points bigint NOT NULL DEFAULT 0 CHECK (referrer_points >= 0),
    referee_points bigint NOT NULL DEFAULT 0 CHECK (referee_points >= 0),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '90 days' CHECK (isfinite(expires_at)),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT referrals_self_check CHECK (referrer_id <> referee_id)
);
CREATE INDEX referrals_referrer_idx ON @extschema@.referrals (referrer_id);
CREATE INDEX referrals_status_idx ON @extschema@.referrals (status, id);
CREATE INDEX referrals_flagged_idx ON @extschema@.referrals (id) WHERE flags <> '{}';
CREATE INDEX referrals_program_idx ON @extschema@.referrals (program);
CREATE INDEX referrals_expires_idx ON @extschema@.referrals (expires_at) WHERE status = 'pending';
COMMENT ON TABLE @extschema@.referrals IS
    'Who has brought whom. A customer is brought once, by somebody else, who was not brought by them, neither '
    'directly nor through others. The status obeys the machine "referral".';
COMMENT ON COLUMN @extschema@.referrals.flags IS
    'What both have in common: address, network, device, payment_method. Such a referral waits for somebody to look.';

CREATE TABLE @extschema@.referral_guards (
    id integer PRIMARY KEY CHECK (id = 1),
    changes bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE @extschema@.referral_guards IS
    'One row, which every new referral changes, so that none closes a circle that another one does not see yet. Not '
    'dumped: it comes back with the next referral.';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.referral_programs', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.referral_codes', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.referral_signals', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.referrals', '');

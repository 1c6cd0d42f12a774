-- One row for each message to one recipient, from the event that is its reason until it has gone or never will.

CREATE TABLE @extschema@.messages (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    event_id uuid NOT NULL,
    event text NOT NULL,
    audience text NOT NULL,
    channel text NOT NULL DEFAULT 'email' CHECK (channel = 'email'),
    entity_key text,
    user_id uuid,
    customer_id uuid,
    recipient text,
    recipient_key text,
    language text,
    message_id text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'claimed', 'sent', 'failed', 'suppressed', 'expired')),
    priority integer NOT NULL DEFAULT 5,
    repeats integer NOT NULL DEFAULT 1 CHECK (repeats > 0),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by text,
    expires_at timestamptz NOT NULL,
    keeps_secret boolean NOT NULL DEFAULT false,
    last_code text,
    last_detail text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT messages_event_key UNIQUE (event_id, audience, channel),
    CONSTRAINT messages_secret_check CHECK (status = 'failed' OR NOT keeps_secret),
    CONSTRAINT messages_claimed_check CHECK ((status = 'claimed') = (claimed_by IS NOT NULL)),
    CONSTRAINT messages_sent_check CHECK ((status = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT messages_finished_check CHECK ((status IN ('pending', 'claimed')) = (finished_at IS NULL))
);
CREATE INDEX messages_ready_idx ON @extschema@.messages (priority, next_attempt_at, id)
    WHERE status IN ('pending', 'claimed');
CREATE INDEX messages_recipient_idx ON @extschema@.messages (recipient_key, id DESC) WHERE recipient_key IS NOT NULL;
CREATE INDEX messages_open_recipient_idx ON @extschema@.messages (recipient_key)
    WHERE status IN ('pending', 'claimed');
CREATE INDEX messages_entity_idx ON @extschema@.messages (entity_key) WHERE status = 'pending' OR keeps_secret;
CREATE INDEX messages_keeps_secret_idx ON @extschema@.messages (expires_at) WHERE keeps_secret;
CREATE INDEX messages_expires_at_idx ON @extschema@.messages (expires_at) WHERE status IN ('pending', 'claimed');
CREATE INDEX messages_status_idx ON @extschema@.messages (status, id DESC);
CREATE INDEX messages_user_id_idx ON @extschema@.messages (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX messages_customer_id_idx ON @extschema@.messages (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX messages_finished_at_idx ON @extschema@.messages (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE @extschema@.messages IS
    'Messages and what became of them. What they say is made from the event when somebody claims them, and stands '
    'nowhere else.';
COMMENT ON COLUMN @extschema@.messages.entity_key IS
    'What it is about, the key of the event; a newer message about it may stand in its place.';
COMMENT ON COLUMN @extschema@.messages.customer_id IS
    'The customer whom it is for, where they have no account. Not a foreign key.';
COMMENT ON COLUMN @extschema@.messages.message_id IS
    'Message-ID (RFC 5322), the same in each attempt and from every copy of the database: who gets a message twice '
    'can tell.';
COMMENT ON COLUMN @extschema@.messages.status IS
    'pending: to be sent, from next_attempt_at on; claimed: somebody sends it, until next_attempt_at; sent; failed: '
    'refused, or tried too often; suppressed: not to be sent to this address, or not needed any more; expired: of no '
    'use any more.';
COMMENT ON COLUMN @extschema@.messages.repeats IS 'How many equal messages this one stands for.';
COMMENT ON COLUMN @extschema@.messages.keeps_secret IS
    'It has failed, and its token or code stays in the event until expires_at, for retry_message().';
COMMENT ON COLUMN @extschema@.messages.last_code IS 'Why it waits, or did not go: a code of SMTP, or a word of ours.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.messages', '');

CREATE TABLE @extschema@.message_suppressions (
    address_key text PRIMARY KEY,
    address text NOT NULL CHECK (octet_length(address) <= 254),
    user_id uuid,
    customer_id uuid,
    reason text NOT NULL CHECK (reason IN ('bounced', 'complaint', 'manual')),
    bounces integer NOT NULL DEFAULT 0 CHECK (bounces >= 0),
    last_code text,
    suppressed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_suppressions_at_idx ON @extschema@.message_suppressions (suppressed_at, address_key)
    WHERE suppressed_at IS NOT NULL;
CREATE INDEX message_suppressions_user_id_idx ON @extschema@.message_suppressions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX message_suppressions_customer_id_idx ON @extschema@.message_suppressions (customer_id)
    WHERE customer_id IS NOT NULL;
COMMENT ON TABLE @extschema@.message_suppressions IS
    'Addresses that nothing is sent to, and bounces of those that may become so.';
COMMENT ON COLUMN @extschema@.message_suppressions.address_key IS 'The address as usher.name_key() compares it.';
COMMENT ON COLUMN @extschema@.message_suppressions.user_id IS
    'Whom messages to the address were for last, so that it is forgotten with them. Not a foreign key.';
COMMENT ON COLUMN @extschema@.message_suppressions.customer_id IS 'The same, of a customer without an account.';
COMMENT ON COLUMN @extschema@.message_suppressions.suppressed_at IS 'NULL: fewer bounces than it takes.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.message_suppressions', '');

CREATE TABLE @extschema@.courier_workers (
    worker text PRIMARY KEY CHECK (worker <> '' AND octet_length(worker) <= 200),
    version text CHECK (octet_length(version) <= 100),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE @extschema@.courier_workers IS
    'Programs that send, and when each was last heard of. Not dumped: another server has others.';

-- Events: what features tell each other instead of reading each other's tables. An event is a row of the transaction
-- that publishes it.

CREATE TABLE usher.events (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    event text NOT NULL CHECK (event <> '' AND octet_length(event) <= 100),
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    key text CHECK (octet_length(key) BETWEEN 1 AND 255),
    dedupe_key text CHECK (octet_length(dedupe_key) BETWEEN 1 AND 255),
    causation_id uuid,
    depth integer NOT NULL DEFAULT 0 CHECK (depth >= 0),
    user_id uuid,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    publisher text
);
CREATE INDEX events_event_idx ON usher.events (event, id);
CREATE UNIQUE INDEX events_dedupe_key_idx ON usher.events (event, dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX events_created_at_idx ON usher.events (created_at);
CREATE INDEX events_user_id_idx ON usher.events (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX events_key_idx ON usher.events (key) WHERE key IS NOT NULL;
COMMENT ON TABLE usher.events IS
    'Every event, written by the transaction that caused it. One-time tokens travel to the mailer in payloads, so '
    'nobody but the owner of the extension can read it.';
COMMENT ON COLUMN usher.events.key IS 'Async consumers get events with the same key one after the other, in order.';
COMMENT ON COLUMN usher.events.dedupe_key IS
    'At most one event of a name has it: publishing again is ignored, or replaces what nobody has claimed yet.';
COMMENT ON COLUMN usher.events.causation_id IS 'The event whose handler published this one.';
COMMENT ON COLUMN usher.events.depth IS
    'Length of the chain of causes; bounded, so that handlers cannot run in a circle.';
COMMENT ON COLUMN usher.events.user_id IS 'The identity of the publishing transaction.';
COMMENT ON COLUMN usher.events.publisher IS
    'The extension or application that had declared the event, and whose it was; NULL for a name that anybody may '
    'use. Extensions act on events with a publisher only.';
SELECT pg_catalog.pg_extension_config_dump('usher.events', '');

CREATE TABLE usher.subscriptions (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    event text NOT NULL,
    consumer text NOT NULL CHECK (octet_length(consumer) BETWEEN 1 AND 100),
    mode text NOT NULL CHECK (mode IN ('sync', 'async')),
    handler_schema name,
    handler_name name,
    max_attempts integer NOT NULL DEFAULT 25 CHECK (max_attempts BETWEEN 1 AND 1000),
    is_active boolean NOT NULL DEFAULT true,
    extension name,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event, consumer),
    CHECK ((handler_schema IS NULL) = (handler_name IS NULL)),
    CHECK (mode = 'async' OR handler_name IS NOT NULL)
);
COMMENT ON TABLE usher.subscriptions IS 'Who gets which events, and how. Sync handlers run in the order of id.';
COMMENT ON COLUMN usher.subscriptions.event IS 'Name of an event, a prefix such as booking.*, or * for all.';
COMMENT ON COLUMN usher.subscriptions.handler_name IS
    'Function (event text, payload jsonb), by name: no Oid survives a dump. A handler that does not exist, or no '
    'longer exists, is skipped.';
COMMENT ON COLUMN usher.subscriptions.extension IS
    'The extension whose script subscribed; the row comes back with that extension and is not dumped.';

CREATE TABLE usher.deliveries (
    event_id uuid NOT NULL,
    consumer text NOT NULL,
    event text NOT NULL,
    key text,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'parked')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    visible_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    error_message text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    PRIMARY KEY (event_id, consumer),
    CHECK ((status = 'completed') = (completed_at IS NOT NULL))
);
CREATE INDEX deliveries_pending_idx ON usher.deliveries (consumer, event_id) WHERE status = 'pending';
CREATE INDEX deliveries_pending_key_idx ON usher.deliveries (consumer, key, event_id)
    WHERE status = 'pending' AND key IS NOT NULL;
CREATE INDEX deliveries_parked_idx ON usher.deliveries (consumer, event_id) WHERE status = 'parked';
CREATE INDEX deliveries_completed_at_idx ON usher.deliveries (completed_at) WHERE status = 'completed';
COMMENT ON TABLE usher.deliveries IS
    'One row per event and async consumer, written together with the event: readers follow the state of their own '
    'rows, so a late commit is never skipped.';
COMMENT ON COLUMN usher.deliveries.status IS
    'pending: to be delivered, or claimed until visible_at; completed; parked: failed too often, waits for '
    'retry_event().';
SELECT pg_catalog.pg_extension_config_dump('usher.deliveries', '');

-- The cache of subscriptions (extension/usher/events/subscriptions.cpp) watches them.
CREATE TABLE usher.events_inval ();
COMMENT ON TABLE usher.events_inval IS
    'Always empty: carries the invalidation of cached subscriptions to all backends and standbys.';

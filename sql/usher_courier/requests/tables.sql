-- HTTP requests that wait, with what came of those that do not.

CREATE TABLE @extschema@.http_requests (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    purpose text NOT NULL CHECK (purpose IN ('webhook', 'issuer_keys', 'application')),
    webhook_id uuid REFERENCES @extschema@.webhooks ON DELETE CASCADE,
    event_id uuid,
    event text CHECK (octet_length(event) <= 100),
    method text NOT NULL CHECK (method IN ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE')),
    url text NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    content text,
    ordering_key text CHECK (octet_length(ordering_key) BETWEEN 1 AND 300),
    handler_schema name,
    handler_name name,
    context jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(context) = 'object'),
    time_limit interval NOT NULL DEFAULT '10 seconds' CHECK (time_limit BETWEEN '1 second' AND '60 seconds'),
    max_bytes integer NOT NULL DEFAULT 65536 CHECK (max_bytes BETWEEN 0 AND 1048576),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'claimed', 'answered', 'completed', 'failed')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_by text,
    status_code integer,
    error_code text CHECK (octet_length(error_code) <= 1000),
    answer text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT http_requests_webhook_check CHECK ((purpose = 'webhook') = (webhook_id IS NOT NULL)),
    CONSTRAINT http_requests_handler_check CHECK ((handler_schema IS NULL) = (handler_name IS NULL)),
    CONSTRAINT http_requests_finished_check CHECK ((status IN ('completed', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX http_requests_ready_idx ON @extschema@.http_requests (next_attempt_at, id)
    WHERE status IN ('pending', 'claimed', 'answered');
CREATE INDEX http_requests_ordering_idx ON @extschema@.http_requests (ordering_key, id)
    WHERE status IN ('pending', 'claimed', 'answered') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX http_requests_event_key ON @extschema@.http_requests (webhook_id, event_id)
    WHERE webhook_id IS NOT NULL;
CREATE INDEX http_requests_webhook_idx ON @extschema@.http_requests (ordering_key)
    WHERE purpose = 'webhook' AND content IS NOT NULL;
CREATE INDEX http_requests_status_idx ON @extschema@.http_requests (status, id DESC);
CREATE INDEX http_requests_finished_at_idx ON @extschema@.http_requests (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE @extschema@.http_requests IS
    'Requests to other servers, until they have been answered: of webhooks, of the application, for keys of issuers.';
COMMENT ON COLUMN @extschema@.http_requests.url IS
    'Of a webhook: where that was when the event happened. It goes where the webhook is when it goes.';
COMMENT ON COLUMN @extschema@.http_requests.content IS
    'Headers and body, sealed under the master key: they may hold secrets. Gone once the request is finished, except '
    'of webhooks, which may be sent again.';
COMMENT ON COLUMN @extschema@.http_requests.answer IS 'What the handler has not taken yet, sealed as the content is.';
COMMENT ON COLUMN @extschema@.http_requests.status IS
    'pending: to be sent, from next_attempt_at on; claimed: somebody sends it, until next_attempt_at; answered: the '
    'handler is called, from next_attempt_at on; completed; failed: too often, waits for retry_http_request().';
COMMENT ON COLUMN @extschema@.http_requests.ordering_key IS 'Those with the same key go one after the other.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.http_requests', '');

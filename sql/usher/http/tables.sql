-- HTTP: which request calls which function. The gateway carries requests to http_request() and knows no feature.

CREATE TABLE usher.routes (
    id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY,
    method text NOT NULL CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
    path_template text NOT NULL,
    shape text NOT NULL,
    function_schema name NOT NULL,
    function_name name NOT NULL,
    function_arguments text NOT NULL,
    access text NOT NULL DEFAULT 'authenticated' CHECK (access IN ('public', 'authenticated', 'permission')),
    permission text,
    rate_limit text,
    success_status integer NOT NULL DEFAULT 200 CHECK (success_status BETWEEN 200 AND 299),
    read_only boolean NOT NULL DEFAULT false,
    cache_control text CHECK (cache_control ~ '^[ -~]{1,200}$'),
    idempotency text NOT NULL DEFAULT 'none' CHECK (idempotency IN ('none', 'optional', 'required')),
    requires_if_match boolean NOT NULL DEFAULT false,
    style text NOT NULL DEFAULT 'json' CHECK (style IN ('json', 'oauth', 'raw')),
    deprecated_at timestamptz,
    sunset_at timestamptz,
    timeout_ms integer CHECK (timeout_ms BETWEEN 1 AND 3600000),
    is_costly boolean NOT NULL DEFAULT false,
    examples jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(examples) = 'object'),
    summary text,
    tag text,
    is_active boolean NOT NULL DEFAULT true,
    extension name,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (shape, method),
    CHECK (access = 'authenticated' OR (access = 'permission') = (permission IS NOT NULL))
);
COMMENT ON TABLE usher.routes IS
    'Which method and path call which function, who may, and how often. A route whose function does not exist '
    '(because its feature was dropped) answers 404.';
COMMENT ON COLUMN usher.routes.permission IS
    'With access permission: what everybody needs. With access authenticated: what an API key must have been given, '
    'where its user needs nothing; NULL closes the route to keys without *:*.';
COMMENT ON COLUMN usher.routes.shape IS
    'path_template without the names of its parameters: what makes two routes collide.';
COMMENT ON COLUMN usher.routes.function_name IS
    'The function by schema, name and types of its arguments: no Oid survives a dump.';
COMMENT ON COLUMN usher.routes.read_only IS
    'The function runs in a read-only transaction, and the gateway may call it on a standby.';
COMMENT ON COLUMN usher.routes.idempotency IS
    'Whether a POST or PATCH with an Idempotency-Key gets the same answer again. Functions with an argument '
    'idempotency_key do that themselves.';
COMMENT ON COLUMN usher.routes.style IS
    'json; oauth: form-encoded requests, and errors as RFC 6749 has them; raw: the body as it was sent, in '
    'whatever form.';
COMMENT ON COLUMN usher.routes.deprecated_at IS 'Sent as Deprecation (RFC 9745); sunset_at as Sunset (RFC 8594).';
COMMENT ON COLUMN usher.routes.timeout_ms IS
    'The function is cancelled after this time (SQLSTATE 57014), where the server''s statement_timeout does not come '
    'first. NULL: that one alone.';
COMMENT ON COLUMN usher.routes.is_costly IS
    'The function keeps a processor busy for long, by hashing a password say: the gateway lets such requests have a '
    'part of its connections only (costly_connections).';
COMMENT ON COLUMN usher.routes.examples IS 'For the OpenAPI document: {"request": {…}, "response": {…}}.';
COMMENT ON COLUMN usher.routes.extension IS
    'The extension whose script added it; the row comes back with that extension and is not dumped.';

-- Written by http_request() (extension/usher/http/idempotency.cpp), in the transaction of what the request did.
CREATE TABLE usher.idempotent_answers (
    principal text NOT NULL,
    key_hash bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key_hash)
);
CREATE INDEX idempotent_answers_created_at_idx ON usher.idempotent_answers (created_at);
COMMENT ON TABLE usher.idempotent_answers IS
    'Successful answers to requests with an Idempotency-Key, kept for usher.idempotency_retention hours. Keys and '
    'requests are stored as SHA-256 digests only.';
COMMENT ON COLUMN usher.idempotent_answers.principal IS
    'user:<id>, or address:<network> for requests without a token.';
REVOKE ALL ON usher.idempotent_answers FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.idempotent_answers', '');

-- The cache of routes (extension/usher/http/routes.cpp) watches them.
CREATE TABLE usher.routes_inval ();
COMMENT ON TABLE usher.routes_inval IS
    'Always empty: carries the invalidation of cached routes to all backends and standbys.';

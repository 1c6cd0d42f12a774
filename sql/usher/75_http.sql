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
    style text NOT NULL DEFAULT 'json' CHECK (style IN ('json', 'oauth')),
    deprecated_at timestamptz,
    sunset_at timestamptz,
    timeout_ms integer CHECK (timeout_ms BETWEEN 1 AND 3600000),
    examples jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(examples) = 'object'),
    summary text,
    tag text,
    is_active boolean NOT NULL DEFAULT true,
    extension name,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (shape, method),
    CHECK ((access = 'permission') = (permission IS NOT NULL))
);
COMMENT ON TABLE usher.routes IS 'Which method and path call which function, who may, and how often. A route whose function does not exist (its feature was dropped) is not there.';
COMMENT ON COLUMN usher.routes.shape IS 'path_template without the names of its parameters: what makes two routes collide.';
COMMENT ON COLUMN usher.routes.function_name IS 'The function by schema, name and types of its arguments: no Oid survives a dump.';
COMMENT ON COLUMN usher.routes.read_only IS 'The function runs in a read-only transaction, and the gateway may call it on a standby.';
COMMENT ON COLUMN usher.routes.idempotency IS 'Whether a POST or PATCH with an Idempotency-Key gets the same answer again. Functions with an argument idempotency_key do that themselves.';
COMMENT ON COLUMN usher.routes.style IS 'json; oauth: form-encoded requests, and errors as RFC 6749 has them.';
COMMENT ON COLUMN usher.routes.deprecated_at IS 'Sent as Deprecation (RFC 9745); sunset_at as Sunset (RFC 8594).';
COMMENT ON COLUMN usher.routes.timeout_ms IS 'The function is cancelled after this time (SQLSTATE 57014), where the server''s statement_timeout does not come first. NULL: that one alone.';
COMMENT ON COLUMN usher.routes.examples IS 'For the OpenAPI document: {"request": {…}, "response": {…}}.';
COMMENT ON COLUMN usher.routes.extension IS 'The extension whose script added it; the row comes back with that extension and is not dumped.';
SELECT pg_catalog.pg_extension_config_dump('usher.routes', 'WHERE extension IS NULL');

-- Written by http_request() (extension/http/idempotency.cpp), in the transaction of what the request did.
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
COMMENT ON TABLE usher.idempotent_answers IS 'Successful answers to requests with an Idempotency-Key, kept for usher.idempotency_retention hours. Keys and requests are there as SHA-256 digests only.';
COMMENT ON COLUMN usher.idempotent_answers.principal IS 'user:<id>, or address:<network> for requests without a token.';
REVOKE ALL ON usher.idempotent_answers FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.idempotent_answers', '');

-- The cache of routes (extension/http/routes.cpp) watches them.
CREATE TABLE usher.routes_inval ();
COMMENT ON TABLE usher.routes_inval IS 'Always empty: carries the invalidation of cached routes to all backends and standbys.';
CREATE TRIGGER routes_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.routes
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('routes_inval');
ALTER TABLE usher.routes ENABLE ALWAYS TRIGGER routes_invalidate;

CREATE FUNCTION usher._argument_types(types oidvector) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(string_agg(format('%I.%I', n.nspname, t.typname), ',' ORDER BY a.place), '')
    FROM unnest(types::oid[]) WITH ORDINALITY AS a (type, place)
        JOIN pg_catalog.pg_type t ON t.oid = a.type JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace;
END;
REVOKE ALL ON FUNCTION usher._argument_types(oidvector) FROM PUBLIC;
COMMENT ON FUNCTION usher._argument_types(oidvector) IS 'The types of a function''s input arguments as text that means the same in any session.';

CREATE FUNCTION usher._check_route(path_template text, function regprocedure) RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_http_check_route';
REVOKE ALL ON FUNCTION usher._check_route(text, regprocedure) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_route(text, regprocedure) IS
    'The shape of a path template; raises 22023 when the template is malformed or the function cannot be routed there.';

CREATE FUNCTION usher._check_route_options(method text, access text, function regprocedure, INOUT options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    option record;
    function_name text := function::text;
    has_own_key boolean;
    shows_secrets boolean;
    good boolean;
BEGIN
    options := coalesce(options, '{}');
    IF jsonb_typeof(options) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'options must be an object', '{"argument": "options"}');
    END IF;
    FOR option IN SELECT o.key, o.value FROM jsonb_each(options) o LOOP
        good := CASE option.key
            WHEN 'idempotency' THEN option.value IN ('"none"', '"optional"', '"required"')
            WHEN 'requires_if_match' THEN jsonb_typeof(option.value) = 'boolean'
            WHEN 'style' THEN option.value IN ('"json"', '"oauth"')
            WHEN 'deprecated_at' THEN jsonb_typeof(option.value) = 'string'
            WHEN 'sunset_at' THEN jsonb_typeof(option.value) = 'string'
            WHEN 'timeout_ms' THEN jsonb_typeof(option.value) = 'number' AND option.value::text ~ '^[1-9][0-9]{0,6}$' AND option.value <= '3600000'
            WHEN 'examples' THEN jsonb_typeof(option.value) = 'object' AND option.value - '{request,response}'::text[] = '{}'
            END;
        IF good IS NULL THEN
            PERFORM usher.raise_error('invalid_argument', format('options: "%s" is not known', option.key), '{"argument": "options"}',
                'There are idempotency, requires_if_match, timeout_ms, style, deprecated_at, sunset_at and examples.');
        ELSIF NOT good THEN
            PERFORM usher.raise_error('invalid_argument', format('options: "%s" has a value that it cannot have', option.key), '{"argument": "options"}');
        END IF;
    END LOOP;
    SELECT 'idempotency_key' = ANY (p.proargnames),
           EXISTS (SELECT FROM usher._result_columns(p.oid) c WHERE c.name = ANY (usher._secret_columns()))
    INTO has_own_key, shows_secrets FROM pg_proc p WHERE p.oid = function;
    IF options ->> 'idempotency' IN ('optional', 'required') AND method NOT IN ('POST', 'PATCH') THEN
        PERFORM usher.raise_error('invalid_argument', 'options: "idempotency" is for POST and PATCH', '{"argument": "options"}');
    ELSIF options ->> 'idempotency' IN ('optional', 'required') AND shows_secrets THEN
        PERFORM usher.raise_error('invalid_argument', format('options: "idempotency" would store the secrets that %s returns', function_name),
                                  '{"argument": "options"}');
    ELSIF (options ->> 'requires_if_match')::boolean AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = function AND 'expected_version' = ANY (p.proargnames)) THEN
        PERFORM usher.raise_error('invalid_argument', 'options: "requires_if_match" needs a function with an argument expected_version', '{"argument": "options"}');
    END IF;
    -- Who has a token may repeat a request safely, unless the function sees to that itself or answers with secrets.
    IF options -> 'idempotency' IS NULL THEN
        options := options || jsonb_build_object('idempotency', CASE WHEN method IN ('POST', 'PATCH') AND access <> 'public'
            AND NOT coalesce(has_own_key, false) AND NOT shows_secrets THEN 'optional' ELSE 'none' END);
    END IF;
END $$;
REVOKE ALL ON FUNCTION usher._check_route_options(text, text, regprocedure, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_route_options(text, text, regprocedure, jsonb) IS 'The options of add_route(), checked and with their defaults.';

CREATE FUNCTION usher.add_route(method text, path_template text, function regprocedure, access text DEFAULT 'authenticated',
                                permission text DEFAULT NULL, rate_limit text DEFAULT NULL, success_status integer DEFAULT 200,
                                read_only boolean DEFAULT false, summary text DEFAULT NULL, tag text DEFAULT NULL,
                                cache_control text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    route_shape text;
    target pg_proc;
    route_id uuid;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('route:manage');
    END IF;
    IF method IS NULL OR method NOT IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE') THEN
        PERFORM usher.raise_error('invalid_argument', 'method must be GET, POST, PUT, PATCH or DELETE');
    ELSIF access IS NULL OR access NOT IN ('public', 'authenticated', 'permission') THEN
        PERFORM usher.raise_error('invalid_argument', 'access must be public, authenticated or permission');
    ELSIF (access = 'permission') <> (permission IS NOT NULL) THEN
        PERFORM usher.raise_error('invalid_argument', 'permission goes with access "permission", and only with it');
    ELSIF permission IS NOT NULL AND permission !~ '^[a-z0-9_.-]+:[a-z0-9_.-]+$' THEN
        PERFORM usher.raise_error('invalid_argument', 'permission must be resource:action');
    ELSIF success_status IS NULL OR success_status NOT BETWEEN 200 AND 299 THEN
        PERFORM usher.raise_error('invalid_argument', 'success_status must be 200 to 299');
    ELSIF read_only IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'read_only must not be null');
    ELSIF cache_control !~ '^[ -~]{1,200}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'cache_control must be 1 to 200 visible ASCII characters');
    ELSIF rate_limit IS NOT NULL AND NOT EXISTS (SELECT FROM usher.rate_limit_policies p WHERE p.policy = rate_limit) THEN
        PERFORM usher.raise_error('unknown_reference', 'rate_limit names a policy that is not defined');
    END IF;
    SELECT p.* INTO target FROM pg_proc p WHERE p.oid = add_route.function;
    IF target.oid IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'function does not exist');
    END IF;
    route_shape := usher._check_route(path_template, function);
    options := usher._check_route_options(method, access, function, options);
    INSERT INTO usher.routes AS r (method, path_template, shape, function_schema, function_name, function_arguments, access,
                                   permission, rate_limit, success_status, read_only, cache_control, idempotency,
                                   requires_if_match, style, deprecated_at, sunset_at, timeout_ms, examples, summary, tag, extension)
    SELECT add_route.method, add_route.path_template, route_shape, n.nspname, target.proname,
           usher._argument_types(target.proargtypes), add_route.access, add_route.permission, add_route.rate_limit,
           add_route.success_status, add_route.read_only, add_route.cache_control, options ->> 'idempotency',
           coalesce((options ->> 'requires_if_match')::boolean, false), coalesce(options ->> 'style', 'json'),
           (options ->> 'deprecated_at')::timestamptz, (options ->> 'sunset_at')::timestamptz, (options ->> 'timeout_ms')::integer,
           coalesce(options -> 'examples', '{}'),
           add_route.summary, add_route.tag,
           usher._installing_extension()
    FROM pg_namespace n WHERE n.oid = target.pronamespace
    ON CONFLICT ON CONSTRAINT routes_shape_method_key DO UPDATE
    SET path_template = EXCLUDED.path_template, function_schema = EXCLUDED.function_schema, function_name = EXCLUDED.function_name,
        function_arguments = EXCLUDED.function_arguments, access = EXCLUDED.access, permission = EXCLUDED.permission,
        rate_limit = EXCLUDED.rate_limit, success_status = EXCLUDED.success_status, read_only = EXCLUDED.read_only,
        cache_control = EXCLUDED.cache_control, idempotency = EXCLUDED.idempotency, requires_if_match = EXCLUDED.requires_if_match,
        style = EXCLUDED.style, deprecated_at = EXCLUDED.deprecated_at, sunset_at = EXCLUDED.sunset_at, timeout_ms = EXCLUDED.timeout_ms,
        examples = EXCLUDED.examples, summary = EXCLUDED.summary, tag = EXCLUDED.tag, is_active = true,
        extension = EXCLUDED.extension, updated_at = now()
    RETURNING r.id INTO route_id;
    RETURN route_id;
END $$;
REVOKE ALL ON FUNCTION usher.add_route(text, text, regprocedure, text, text, text, integer, boolean, text, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_route(text, text, regprocedure, text, text, text, integer, boolean, text, text, text, jsonb) IS
    'Makes a function answer a method and path such as /orders/{order_id}; again with the same method and path, it changes the route. {order_id} goes to the argument of that name, the rest comes by name from query and JSON body. A parameter may end in a suffix, as in {order_id}.pdf. The body is JSON, or as it is when the function returns a domain over text that is named after a media type, "text/calendar" say. The gateway''s role needs EXECUTE on the function. options: an object with idempotency (none, optional, required), requires_if_match, timeout_ms, style (json, oauth), deprecated_at, sunset_at, examples. Raises 22023 for what cannot be routed, US005 for an unknown policy.';

CREATE FUNCTION usher.remove_route(method text, path_template text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('route:manage');
    END IF;
    DELETE FROM usher.routes r
    WHERE r.method = remove_route.method AND r.shape = regexp_replace(remove_route.path_template, '\{[^{}/]*\}', '{}', 'g');
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION usher.remove_route(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_route(text, text) IS 'Takes a route away; false when there is none. The names of the path''s parameters do not matter.';

CREATE FUNCTION usher.list_routes()
    RETURNS TABLE (method text, path_template text, function text, access text, permission text, rate_limit text,
                   success_status integer, read_only boolean, summary text, tag text, is_available boolean, timeout_ms integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT r.method, r.path_template,
           format('%I.%I', r.function_schema, r.function_name),
           r.access, r.permission, r.rate_limit, r.success_status, r.read_only, r.summary, r.tag, p.oid IS NOT NULL, r.timeout_ms
    FROM usher.routes r
        LEFT JOIN pg_namespace n ON n.nspname = r.function_schema
        LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = r.function_name
             AND usher._argument_types(p.proargtypes) = r.function_arguments
    WHERE r.is_active
    ORDER BY r.path_template COLLATE "C", r.method COLLATE "C";
END $$;
REVOKE ALL ON FUNCTION usher.list_routes() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_routes() IS
    'All routes. The gateway asks it which of them are read only. is_available is false while the function does not exist.';

CREATE FUNCTION usher.http_request(method text, path text, query text DEFAULT NULL, headers jsonb DEFAULT '{}', body text DEFAULT NULL,
                                   client_ip inet DEFAULT NULL,
                                   OUT status integer, OUT headers jsonb, OUT body text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_http_request';
REVOKE ALL ON FUNCTION usher.http_request(text, text, text, jsonb, text, inet) FROM PUBLIC;
COMMENT ON FUNCTION usher.http_request(text, text, text, jsonb, text, inet) IS
    'Answers one HTTP request: finds the route, checks token, permission and rate limit, binds arguments by name, and calls the function in a savepoint of its own. headers: object of lower-case names and values; the answer''s headers: array of [name, value]. Meant for one statement per transaction; a deferred constraint still fails at its commit.';

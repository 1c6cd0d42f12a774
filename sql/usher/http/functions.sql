CREATE FUNCTION usher._argument_types(types oidvector) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(string_agg(format('%I.%I', n.nspname, t.typname), ',' ORDER BY a.place), '')
    FROM unnest(types::oid[]) WITH ORDINALITY AS a (type, place)
        JOIN pg_catalog.pg_type t ON t.oid = a.type JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace;
END;
REVOKE ALL ON FUNCTION usher._argument_types(oidvector) FROM PUBLIC;
COMMENT ON FUNCTION usher._argument_types(oidvector) IS
    'The types of a function''s input arguments as text that means the same in any session.';

CREATE FUNCTION usher._check_route(path_template text, function regprocedure) RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_http_check_route';
REVOKE ALL ON FUNCTION usher._check_route(text, regprocedure) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_route(text, regprocedure) IS
    'The shape of a path template; raises 22023 when the template is malformed or the function cannot be routed '
    'there.';

CREATE FUNCTION usher._route_arguments(method text, path_template text, function oid)
    RETURNS TABLE (name text, place integer, type oid, location text, is_optional boolean)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_http_route_arguments';
REVOKE ALL ON FUNCTION usher._route_arguments(text, text, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._route_arguments(text, text, oid) IS
    'The arguments of a routed function as the dispatcher binds them, in order. location: path, query, body, cursor '
    '(the query parameter of that name stands for them) or none.';

CREATE FUNCTION usher._routed_function(function oid, OUT is_routable boolean, OUT is_paged boolean,
                                       OUT media_type text, OUT shows_secrets boolean)
    LANGUAGE c STABLE COST 1000
    AS 'MODULE_PATHNAME', 'usher_http_routed_function';
REVOKE ALL ON FUNCTION usher._routed_function(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._routed_function(oid) IS
    'How the dispatcher answers with a function''s result: in pages, as a file of a media type (NULL: as JSON), with '
    'secrets, in which case no answer is ever stored. is_routable is false, and the rest NULL, for a function that it '
    'cannot call.';

CREATE FUNCTION usher._check_route_options(method text, access text, function regprocedure, INOUT options jsonb)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    option record;
    function_name text := function::text;
    has_own_key boolean;
    shows_secrets boolean;
    takes_password boolean;
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
            WHEN 'style' THEN option.value IN ('"json"', '"oauth"', '"raw"')
            WHEN 'deprecated_at' THEN jsonb_typeof(option.value) = 'string'
            WHEN 'sunset_at' THEN jsonb_typeof(option.value) = 'string'
            WHEN 'timeout_ms' THEN jsonb_typeof(option.value) = 'number' AND option.value::text ~ '^[1-9][0-9]{0,6}$'
                AND option.value <= '3600000'
            WHEN 'costly' THEN jsonb_typeof(option.value) = 'boolean'
            WHEN 'examples' THEN jsonb_typeof(option.value) = 'object'
                AND option.value - '{request,response}'::text[] = '{}'
            END;
        IF good IS NULL THEN
            PERFORM usher.raise_error('invalid_argument', format(
                'options: "%s" is not known', option.key), '{"argument": "options"}',
        'There are idempotency, requires_if_match, timeout_ms, costly, style, deprecated_at, sunset_at and examples.');
        ELSIF NOT good THEN
            PERFORM usher.raise_error('invalid_argument', format('options: "%s" has a value that it cannot have',
                                                                 option.key), '{"argument": "options"}');
        END IF;
    END LOOP;
    SELECT 'idempotency_key' = ANY (p.proargnames),
           (usher._routed_function(p.oid)).shows_secrets,
           EXISTS (SELECT FROM unnest(p.proargnames) AS a (name) WHERE a.name ~ '(^|_)password$')
    INTO has_own_key, shows_secrets, takes_password FROM pg_proc p WHERE p.oid = function;
    options := jsonb_build_object('costly', coalesce(takes_password, false)) || options;
    IF options ->> 'idempotency' IN ('optional', 'required') AND method NOT IN ('POST', 'PATCH') THEN
        PERFORM usher.raise_error('invalid_argument', 'options: "idempotency" is for POST and PATCH',
                                  '{"argument": "options"}');
    ELSIF options ->> 'idempotency' IN ('optional', 'required') AND shows_secrets THEN
        PERFORM usher.raise_error('invalid_argument', format(
            'options: "idempotency" would store the secrets that %s returns', function_name),
                                  '{"argument": "options"}');
    ELSIF (options ->> 'requires_if_match')::boolean AND NOT EXISTS (
        SELECT FROM pg_proc p WHERE p.oid = function AND 'expected_version' = ANY (p.proargnames)) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'options: "requires_if_match" needs a function with an argument expected_version',
                                  '{"argument": "options"}');
    END IF;
    -- Whoever has a token may repeat a request safely, unless the function sees to that itself or answers with
    -- secrets.
    IF options ->> 'style' = 'raw' AND (method = 'GET' OR NOT coalesce(
            (SELECT p.proargnames @> '{request_body,request_headers}'
             FROM pg_proc p WHERE p.oid = function), false)) THEN
        PERFORM usher.raise_error('invalid_argument',
            'a route of style raw needs a function with the arguments request_body and request_headers, and no GET',
            '{"argument": "options"}');
    END IF;
    IF options -> 'idempotency' IS NULL THEN
        options := options
            || jsonb_build_object('idempotency', CASE WHEN method IN ('POST', 'PATCH') AND access <> 'public'
            AND NOT coalesce(has_own_key, false) AND NOT shows_secrets THEN 'optional' ELSE 'none' END);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_route_options(text, text, regprocedure, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_route_options(text, text, regprocedure, jsonb) IS
    'The options of add_route(), checked and with their defaults.';

CREATE FUNCTION usher.add_route(method text, path_template text, function regprocedure,
                                access text DEFAULT NULL, permission text DEFAULT NULL,
                                rate_limit text DEFAULT NULL, success_status integer DEFAULT 200,
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
    -- Whoever names a permission means that it is needed.
    access := coalesce(access, CASE WHEN permission IS NULL THEN 'authenticated' ELSE 'permission' END);
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('route:manage');
        PERFORM usher._require_whole(); -- a route makes any function that the gateway may call public
    END IF;
    IF method IS NULL OR method NOT IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE') THEN
        PERFORM usher.raise_error('invalid_argument', 'method must be GET, POST, PUT, PATCH or DELETE',
                                  '{"argument": "method"}');
    ELSIF access NOT IN ('public', 'authenticated', 'permission') THEN
        PERFORM usher.raise_error('invalid_argument', 'access must be public, authenticated or permission',
                                  '{"argument": "access"}');
    ELSIF (access = 'permission' AND permission IS NULL) OR (access = 'public' AND permission IS NOT NULL) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'permission goes with access "permission", which needs one, or "authenticated"',
                                  '{"argument": "permission"}');
    ELSIF permission IS NOT NULL AND permission !~ '^[a-z0-9_.-]+:[a-z0-9_.-]+$' THEN
        PERFORM usher.raise_error('invalid_argument', 'permission must be resource:action',
                                  '{"argument": "permission"}');
    ELSIF success_status IS NULL OR success_status NOT BETWEEN 200 AND 299 THEN
        PERFORM usher.raise_error('invalid_argument', 'success_status must be 200 to 299',
                                  '{"argument": "success_status"}');
    ELSIF read_only IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'read_only must not be null', '{"argument": "read_only"}');
    ELSIF cache_control !~ '^[ -~]{1,200}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'cache_control must be 1 to 200 visible ASCII characters',
                                  '{"argument": "cache_control"}');
    ELSIF rate_limit IS NOT NULL
          AND NOT EXISTS (SELECT FROM usher.rate_limit_policies p WHERE p.policy = rate_limit) THEN
        PERFORM usher.raise_error('unknown_reference', 'rate_limit names a policy that is not defined');
    END IF;
    SELECT p.* INTO target FROM pg_proc p WHERE p.oid = add_route.function;
    IF target.oid IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'function does not exist',
                                  jsonb_build_object('function', function));
    END IF;
    route_shape := usher._check_route(path_template, function);
    options := usher._check_route_options(method, access, function, options);
    INSERT INTO usher.routes AS r (method, path_template, shape, function_schema, function_name, function_arguments,
                                   access, permission, rate_limit, success_status, read_only, cache_control,
                                   idempotency, requires_if_match, style, deprecated_at, sunset_at, timeout_ms,
                                   is_costly, examples, summary, tag, extension)
    SELECT add_route.method, add_route.path_template, route_shape, n.nspname, target.proname,
           usher._argument_types(target.proargtypes), add_route.access, add_route.permission, add_route.rate_limit,
           add_route.success_status, add_route.read_only, add_route.cache_control, options ->> 'idempotency',
           coalesce((options ->> 'requires_if_match')::boolean, false), coalesce(options ->> 'style', 'json'),
           (options ->> 'deprecated_at')::timestamptz, (options ->> 'sunset_at')::timestamptz,
           (options ->> 'timeout_ms')::integer, (options ->> 'costly')::boolean,
           coalesce(options -> 'examples', '{}'),
           add_route.summary, add_route.tag,
           usher._installing_extension()
    FROM pg_namespace n WHERE n.oid = target.pronamespace
    ON CONFLICT ON CONSTRAINT routes_shape_method_key DO UPDATE
    SET path_template = EXCLUDED.path_template, function_schema = EXCLUDED.function_schema,
        function_name = EXCLUDED.function_name, function_arguments = EXCLUDED.function_arguments,
        access = EXCLUDED.access, permission = EXCLUDED.permission, rate_limit = EXCLUDED.rate_limit,
        success_status = EXCLUDED.success_status, read_only = EXCLUDED.read_only,
        cache_control = EXCLUDED.cache_control, idempotency = EXCLUDED.idempotency,
        requires_if_match = EXCLUDED.requires_if_match, style = EXCLUDED.style, deprecated_at = EXCLUDED.deprecated_at,
        sunset_at = EXCLUDED.sunset_at, timeout_ms = EXCLUDED.timeout_ms, is_costly = EXCLUDED.is_costly,
        examples = EXCLUDED.examples, summary = EXCLUDED.summary, tag = EXCLUDED.tag, is_active = true,
        extension = EXCLUDED.extension, updated_at = now()
    RETURNING r.id INTO route_id;
    RETURN route_id;
END
$$;
REVOKE ALL ON FUNCTION usher.add_route(text, text, regprocedure, text, text, text, integer, boolean, text, text, text,
                                       jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.add_route(text, text, regprocedure, text, text, text, integer, boolean, text, text,
                                    text, jsonb) IS
    'Makes a function answer a method and path such as /orders/{order_id}; again with the same method and path, it '
    'changes the route. access: public (everybody), permission (whoever has the permission that is named, in some '
    'scope at least) or authenticated (whoever is logged in; the function decides what they may. A permission that is '
    'named with it is asked of API keys alone, which get in by it; without one they do not). NULL: permission where '
    'one is named, else authenticated. {order_id} goes to the argument of that name, the rest comes by name from '
    'query and JSON body. A parameter may end in a suffix, as in {order_id}.pdf. The body is JSON, or as it is when '
    'the function returns a domain over text that is named after a media type, "text/calendar" say. The gateway''s '
    'role needs EXECUTE on the function. options: an object with idempotency (none, optional, required), '
    'requires_if_match, timeout_ms, costly (true: the gateway lets such requests have a part of its connections only; '
    'the default for functions with an argument named password, or that ends in _password, which hash), style (json, '
    'oauth, raw: the body as it was sent goes to the argument request_body, and the headers to request_headers), '
    'deprecated_at, sunset_at, examples. Raises 22023 for what cannot be routed, US005 for an unknown policy.';

CREATE FUNCTION usher.remove_route(method text, path_template text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('route:manage');
    END IF;
    DELETE FROM usher.routes r
    WHERE r.method = remove_route.method
        AND r.shape = regexp_replace(remove_route.path_template, '\{[^{}/]*\}', '{}', 'g');
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION usher.remove_route(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.remove_route(text, text) IS
    'Takes a route away; false when there is none. The names of the path''s parameters do not matter.';

CREATE FUNCTION usher.list_routes()
    RETURNS TABLE (method text, path_template text, function text, access text, permission text, rate_limit text,
                   success_status integer, read_only boolean, summary text, tag text, is_available boolean,
                   timeout_ms integer, is_costly boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT r.method, r.path_template,
           format('%I.%I', r.function_schema, r.function_name),
           r.access, r.permission, r.rate_limit, r.success_status, r.read_only, r.summary, r.tag, p.oid IS NOT NULL,
           r.timeout_ms, r.is_costly
    FROM usher.routes r
        LEFT JOIN pg_namespace n ON n.nspname = r.function_schema
        LEFT JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = r.function_name
             AND usher._argument_types(p.proargtypes) = r.function_arguments
    WHERE r.is_active
    ORDER BY r.path_template COLLATE "C", r.method COLLATE "C";
END
$$;
REVOKE ALL ON FUNCTION usher.list_routes() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_routes() IS
    'All routes. The gateway asks it which of them are read only or costly. is_available is false while the function '
    'does not exist.';

CREATE FUNCTION usher.http_request(method text, path text, query text DEFAULT NULL, headers jsonb DEFAULT '{}',
                                   body text DEFAULT NULL, client_ip inet DEFAULT NULL, OUT status integer,
                                   OUT headers jsonb, OUT body text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_http_request';
REVOKE ALL ON FUNCTION usher.http_request(text, text, text, jsonb, text, inet) FROM PUBLIC;
COMMENT ON FUNCTION usher.http_request(text, text, text, jsonb, text, inet) IS
    'Answers one HTTP request: finds the route, checks token, permission and rate limit, binds arguments by name, and '
    'calls the function in a savepoint of its own. headers: object of lower-case names and values; the answer''s '
    'headers: array of [name, value]. Meant for one statement per transaction; a deferred constraint still fails at '
    'its commit.';

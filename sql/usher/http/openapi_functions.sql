-- The OpenAPI 3.1 document, made from the routes, the catalog and the COMMENTs of the functions.

CREATE FUNCTION usher._json_schema(type oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    described pg_type;
    base oid := type;
    schema jsonb;
    comment text;
BEGIN
    SELECT t.* INTO described FROM pg_type t WHERE t.oid = base;
    WHILE described.typtype = 'd' LOOP -- a domain looks like what it is made of
        comment := coalesce(comment, obj_description(base, 'pg_type'));
        base := described.typbasetype;
        SELECT t.* INTO described FROM pg_type t WHERE t.oid = base;
    END LOOP;
    schema := CASE base
        WHEN 'bool'::regtype THEN '{"type": "boolean"}'
        WHEN 'int2'::regtype THEN '{"type": "integer", "format": "int32", "minimum": -32768, "maximum": 32767}'
        WHEN 'int4'::regtype THEN '{"type": "integer", "format": "int32"}'
        WHEN 'int8'::regtype THEN '{"type": "integer", "format": "int64"}'
        WHEN 'numeric'::regtype THEN '{"type": "number"}'
        WHEN 'float4'::regtype THEN '{"type": "number", "format": "float"}'
        WHEN 'float8'::regtype THEN '{"type": "number", "format": "double"}'
        WHEN 'uuid'::regtype THEN '{"type": "string", "format": "uuid"}'
        WHEN 'timestamptz'::regtype THEN '{"type": "string", "format": "date-time"}'
        WHEN 'date'::regtype THEN '{"type": "string", "format": "date"}'
        WHEN 'time'::regtype THEN '{"type": "string", "pattern": "^\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?$",
            "description": "A time without an offset"}'
        WHEN 'timestamp'::regtype THEN '{"type": "string", "description": "A date and time without an offset",
            "pattern": "^\\d{4,}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d+)?)?$"}'
        WHEN 'bytea'::regtype THEN '{"type": "string", "contentEncoding": "base64"}'
        WHEN 'interval'::regtype THEN '{"type": "string", "format": "duration"}'
        WHEN 'inet'::regtype THEN '{"type": "string", "description": "IPv4 or IPv6 address"}'
        WHEN 'jsonb'::regtype THEN '{}'
        WHEN 'json'::regtype THEN '{}'
        ELSE NULL
    END;
    IF schema IS NULL THEN
        IF described.typcategory = 'A' AND described.typelem <> 0 THEN
            schema := jsonb_build_object('type', 'array',
                                         'items', usher._nullable(usher._json_schema(described.typelem)));
        ELSIF described.typtype = 'e' THEN
            schema := jsonb_build_object('type', 'string', 'enum',
                (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = base));
        ELSIF described.typtype = 'c' THEN
            schema := jsonb_build_object('type', 'object', 'properties',
                coalesce((SELECT jsonb_object_agg(a.attname, usher._nullable(usher._json_schema(a.atttypid)))
                          FROM pg_attribute a
                          WHERE a.attrelid = described.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '{}'));
        ELSIF described.typtype = 'r' THEN
            schema := jsonb_build_object('type', 'string', 'description', 'a range such as [lower,upper)');
        ELSE
            schema := '{"type": "string"}';
        END IF;
    END IF;
    RETURN schema || CASE WHEN comment IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('description', comment) END;
END
$$;
REVOKE ALL ON FUNCTION usher._json_schema(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._json_schema(oid) IS 'The JSON schema of what a value of a type looks like over HTTP.';

CREATE FUNCTION usher._nullable(schema jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE
        WHEN schema ? 'enum' THEN schema
            || jsonb_build_object('type', '["string", "null"]'::jsonb, 'enum', (schema -> 'enum') || 'null')
        WHEN jsonb_typeof(schema -> 'type') = 'string' THEN schema
            || jsonb_build_object('type', jsonb_build_array(schema -> 'type', 'null'))
        ELSE schema
    END;
END
$$;
REVOKE ALL ON FUNCTION usher._nullable(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._nullable(jsonb) IS 'The JSON schema that allows null as well.';

-- The columns of a function's result, in order; no rows when the result is a bare value.
CREATE FUNCTION usher._result_columns(function oid) RETURNS TABLE (name text, type oid, place bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proc pg_proc;
BEGIN
    SELECT p.* INTO proc FROM pg_proc p WHERE p.oid = function;
    IF proc.proargmodes && '{o,b,t}'::"char"[] AND proc.prorettype NOT IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN QUERY
        SELECT a.name, a.type, a.place
        FROM unnest(proc.proargnames, proc.proallargtypes,
                    proc.proargmodes) WITH ORDINALITY AS a (name, type, mode, place)
        WHERE a.mode IN ('o', 'b', 't') AND a.name <> ''; -- a single column without a name is a bare value
    ELSE
        RETURN QUERY
        SELECT a.attname::text, a.atttypid, a.attnum::bigint
        FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = proc.prorettype AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._result_columns(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._result_columns(oid) IS
    'The columns of a function''s result, in order; no rows when the result is a bare value.';

-- What a successful answer looks like; NULL for an answer without content.
CREATE FUNCTION usher._result_schema(function oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proc pg_proc;
    properties jsonb;
    required jsonb;
BEGIN
    SELECT p.* INTO proc FROM pg_proc p WHERE p.oid = function;
    IF proc.prorettype = 'void'::regtype THEN
        RETURN NULL;
    END IF;
    -- `error` steers the status and is never part of a single row; retry_after is left out when it is null
    SELECT jsonb_object_agg(c.name, usher._nullable(usher._json_schema(c.type))),
           jsonb_agg(c.name ORDER BY c.place) FILTER (WHERE proc.proretset OR c.name <> 'retry_after')
    INTO properties, required
    FROM usher._result_columns(function) c WHERE proc.proretset OR c.name <> 'error';
    IF properties IS NOT NULL OR EXISTS (SELECT FROM usher._result_columns(function)) THEN
        properties := jsonb_build_object('type', 'object', 'properties', coalesce(properties, '{}'))
                      || CASE WHEN required IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('required', required) END;
    END IF;
    IF proc.proretset THEN
        RETURN jsonb_build_object('type', 'object', 'required', '["items"]'::jsonb,
                                  'properties', jsonb_build_object('items',
            jsonb_build_object('type', 'array',
                               'items', coalesce(properties, usher._nullable(usher._json_schema(proc.prorettype))))));
    ELSIF properties IS NOT NULL THEN
        RETURN properties;
    ELSIF proc.prorettype IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN '{}';
    END IF;
    RETURN jsonb_build_object('type', 'object', 'required', '["result"]'::jsonb, 'properties',
        jsonb_build_object('result', usher._nullable(usher._json_schema(proc.prorettype))));
END
$$;
REVOKE ALL ON FUNCTION usher._result_schema(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._result_schema(oid) IS
    'The JSON schema of a routed function''s successful answer; NULL for an answer without content.';

-- The arguments of a routed function, and where they come from.
CREATE FUNCTION usher._openapi_arguments(route usher.routes, function oid, published_path text)
    RETURNS TABLE (name text, place integer, location text, is_optional boolean, schema jsonb)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    path_names text[] := ARRAY(SELECT m[1] FROM regexp_matches(route.path_template, '\{([^}]*)\}', 'g') AS m);
    published_names text[] := ARRAY(SELECT m[1] FROM regexp_matches(published_path, '\{([^}]*)\}', 'g') AS m);
    is_paged boolean := (usher._routed_function(function)).is_paged;
BEGIN
    RETURN QUERY
    SELECT coalesce(published_names[array_position(path_names, a.name)], a.name), a.place, a.location, a.is_optional,
           usher._json_schema(a.type)
               || CASE WHEN a.name = 'max_rows' AND is_paged
                       THEN jsonb_build_object('minimum', 1,
                                               'maximum', current_setting('usher.max_page_rows')::integer)
                       ELSE '{}' END
    FROM usher._route_arguments(route.method, route.path_template, function) AS a
    WHERE a.location IN ('path', 'query', 'body');
END
$$;
REVOKE ALL ON FUNCTION usher._openapi_arguments(usher.routes, oid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_arguments(usher.routes, oid, text) IS
    'The arguments of a routed function as a client sees them: in path, query or body. The cursor stands for others.';

-- Headers that have a meaning for the route.
CREATE FUNCTION usher._openapi_headers(route usher.routes, function oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[] := (SELECT coalesce(p.proargnames, '{}') FROM pg_proc p WHERE p.oid = function);
    writes boolean := route.method <> 'GET';
    found jsonb := '[]';
BEGIN
    IF writes AND (route.idempotency <> 'none' OR 'idempotency_key' = ANY (names)) THEN
        found := found || jsonb_build_object('name', 'Idempotency-Key',
            'in', 'header', 'required', route.idempotency = 'required',
            'description', 'A repeated request with the same key gets the same answer, and is done once.',
            'schema', '{"type": "string", "minLength": 1, "maxLength": 255}'::jsonb);
    END IF;
    IF writes AND 'expected_version' = ANY (names) THEN
        found := found || jsonb_build_object('name', 'If-Match', 'in', 'header', 'required', route.requires_if_match,
            'description', 'The ETag of what was read: 412 when somebody changed it since.', 'schema',
            '{"type": "string"}'::jsonb);
    END IF;
    IF NOT writes AND (route.cache_control IS NOT NULL
                       OR EXISTS (SELECT FROM usher._result_columns(function) c WHERE c.name = 'version')) THEN
        found := found || '{"name": "If-None-Match", "in": "header", "required": false, "schema": {"type": "string"},
                            "description": "The ETag of a kept copy: 304 when it is still good."}'::jsonb;
    END IF;
    IF EXISTS (SELECT FROM usher._result_columns(function) c WHERE c.name = 'access_token')
       AND route.style = 'json' THEN
        found := found || '{"name": "Usher-Session", "in": "header", "required": false,
                            "schema": {"type": "string", "enum": ["cookie"]},
                            "description": "cookie: the tokens come as cookies that scripts cannot read, and the body '
                           'has a csrf_token."}'::jsonb;
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION usher._openapi_headers(usher.routes, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_headers(usher.routes, oid) IS 'The header parameters of an operation.';

-- The schema of a successful answer, with what the dispatcher adds or takes away.
CREATE FUNCTION usher._openapi_result(route usher.routes, function oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result jsonb := usher._result_schema(function);
    session_columns text[] := '{access_token,refresh_token}';
BEGIN
    IF (usher._routed_function(function)).media_type IS NOT NULL THEN
        result := '{"type": "string"}';
    ELSIF (usher._routed_function(function)).is_paged THEN
        result := jsonb_set(result, '{properties,next}',
                            '{"type": ["string", "null"], "description": "The cursor of the next page; null on the '
                            'last"}')
                  || '{"required": ["items", "next"]}';
    ELSIF route.style = 'oauth' THEN -- what does not apply is left out
        result := result - 'required';
    ELSIF result -> 'properties' ? 'access_token' THEN -- in cookies, when the client asks for that
        result := jsonb_set(result, '{properties,csrf_token}',
                            '{"type": "string", "description": "Only with cookies"}')
                  || jsonb_build_object('required', (SELECT coalesce(jsonb_agg(r), '[]')
                                                     FROM jsonb_array_elements_text(result -> 'required') AS r
                                                     WHERE r <> ALL (session_columns)));
    END IF;
    RETURN result;
END
$$;
REVOKE ALL ON FUNCTION usher._openapi_result(usher.routes, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_result(usher.routes, oid) IS
    'The JSON schema of the body of a successful answer; NULL for none.';

CREATE FUNCTION usher._openapi_responses(route usher.routes, function oid, has_arguments boolean, has_body boolean)
    RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result jsonb := usher._openapi_result(route, function);
    status text := CASE WHEN result IS NULL AND route.success_status = 200 AND route.style <> 'oauth' THEN '204'
                        ELSE route.success_status::text END;
    headers jsonb := '{"X-Correlation-Id": {"$ref": "#/components/headers/CorrelationId"}}';
    failures text[] := '{400}';
    failure text;
    responses jsonb;
    names text[] := (SELECT coalesce(p.proargnames, '{}') FROM pg_proc p WHERE p.oid = function);
    has_tag boolean := route.cache_control IS NOT NULL
        OR EXISTS (SELECT FROM usher._result_columns(function) c WHERE c.name = 'version');
BEGIN
    headers := headers
        || CASE WHEN has_tag THEN '{"ETag": {"$ref": "#/components/headers/ETag"}}'::jsonb ELSE '{}' END
        || CASE WHEN (usher._routed_function(function)).is_paged
                    THEN '{"Link": {"$ref": "#/components/headers/Link"}}'::jsonb ELSE '{}' END
        || CASE WHEN route.rate_limit IS NOT NULL
                    THEN '{"RateLimit": {"$ref": "#/components/headers/RateLimit"}}'::jsonb ELSE '{}' END;
    responses := jsonb_build_object(status, jsonb_build_object('description', 'Success', 'headers', headers)
        || CASE WHEN result IS NULL OR status = '204' THEN '{}'::jsonb
                ELSE jsonb_build_object('content', jsonb_build_object(
                         coalesce((usher._routed_function(function)).media_type, 'application/json'),
                         jsonb_build_object('schema', result)
                         || CASE WHEN route.examples ? 'response' THEN jsonb_build_object(
                             'example', route.examples -> 'response') ELSE '{}' END)) END);
    IF has_tag AND route.method = 'GET' THEN
        responses := responses || '{"304": {"description": "The kept copy is still good"}}'::jsonb;
    END IF;
    failures := failures
        || CASE WHEN route.access <> 'public' THEN '{401,403}'::text[] ELSE '{}' END
        || CASE WHEN route.method = 'DELETE' OR route.path_template LIKE '%{%' THEN '{404}'::text[] ELSE '{}' END
        || CASE WHEN has_arguments AND route.style = 'json' THEN '{422}'::text[] ELSE '{}' END
        || CASE WHEN route.method <> 'GET' AND 'expected_version' = ANY (names) THEN '{412}'::text[] ELSE '{}' END
        || CASE WHEN route.requires_if_match THEN '{428}'::text[] ELSE '{}' END
        || CASE WHEN has_body AND route.style = 'json' THEN '{415}'::text[] ELSE '{}' END
        || CASE WHEN route.rate_limit IS NOT NULL THEN '{429}'::text[] ELSE '{}' END || '{default}'::text[];
    FOREACH failure IN ARRAY failures LOOP
        responses := responses || jsonb_build_object(failure, jsonb_build_object('$ref', '#/components/responses/'
            || CASE WHEN route.style = 'oauth' THEN 'OAuthError' ELSE 'Problem' END));
    END LOOP;
    RETURN responses;
END
$$;
REVOKE ALL ON FUNCTION usher._openapi_responses(usher.routes, oid, boolean, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_responses(usher.routes, oid, boolean, boolean) IS
    'The responses of an operation, by status.';

CREATE FUNCTION usher._openapi_operation(route usher.routes, function oid, published_path text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function_name name := (SELECT p.proname FROM pg_proc p WHERE p.oid = function);
    description text := obj_description(function, 'pg_proc');
    parameters jsonb;
    properties jsonb;
    required jsonb;
    body jsonb;
    operation jsonb;
BEGIN
    SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'in', a.location, 'required', a.location = 'path'
                                                 OR NOT a.is_optional, 'schema', a.schema)
                              ORDER BY a.location, a.place) FILTER (WHERE a.location IN ('path', 'query')), '[]'),
           jsonb_object_agg(a.name, CASE WHEN a.is_optional AND route.style = 'json' THEN usher._nullable(a.schema)
                                         ELSE a.schema END)
               FILTER (WHERE a.location = 'body'),
           jsonb_agg(a.name ORDER BY a.place) FILTER (WHERE a.location = 'body' AND NOT a.is_optional)
    INTO parameters, properties, required
    FROM usher._openapi_arguments(route, function, published_path) a;
    IF (usher._routed_function(function)).is_paged THEN
        parameters := parameters || '{"$ref": "#/components/parameters/Cursor"}'::jsonb;
    END IF;
    parameters := parameters || usher._openapi_headers(route, function);

    IF route.style = 'raw' THEN
        properties := nullif(properties - '{request_body,request_headers}'::text[], '{}');
    END IF;
    operation := jsonb_build_object(
        'operationId', lower(route.method) || rtrim(regexp_replace(published_path, '[^A-Za-z0-9]+', '_', 'g'), '_'),
        'summary', coalesce(route.summary, (regexp_match(description, '^(.{1,119}?)[.:;](\s|$)'))[1],
                            initcap(replace(function_name, '_', ' '))),
        'description', coalesce(description, 'Calls ' || function_name || '().')
            || CASE WHEN route.permission IS NULL THEN ''
                    WHEN route.access = 'permission' THEN E'\n\nNeeds the permission ' || route.permission || '.'
                    ELSE E'\n\nAn API key needs the permission ' || route.permission || '.' END,
        'tags', jsonb_build_array(coalesce(route.tag, 'default')),
        'responses', usher._openapi_responses(route, function, parameters <> '[]'
                                              OR properties IS NOT NULL, properties IS NOT NULL),
        'security', CASE WHEN route.access = 'public' THEN '[]'::jsonb
                         WHEN route.method = 'GET' THEN '[{"bearer": []}, {"cookie": []}]'
                         ELSE '[{"bearer": []}, {"cookie": [], "csrf": []}]' END);
    IF parameters <> '[]' THEN
        operation := operation || jsonb_build_object('parameters', parameters);
    END IF;
    IF route.deprecated_at IS NOT NULL THEN
        operation := operation || '{"deprecated": true}';
    END IF;
    IF route.style = 'raw' THEN
        operation := operation || '{"requestBody": {"required": true, "content": {"*/*": {"schema": {}}}}}';
    ELSIF properties IS NOT NULL THEN
        body := jsonb_build_object('type', 'object', 'properties', properties)
            || CASE WHEN route.style = 'oauth' THEN '{}'::jsonb ELSE '{"additionalProperties": false}' END
            || CASE WHEN required IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('required', required) END;
        operation := operation || jsonb_build_object('requestBody', jsonb_build_object(
            'required', required IS NOT NULL,
            'content', jsonb_build_object(
                CASE route.style WHEN 'oauth' THEN 'application/x-www-form-urlencoded' ELSE 'application/json' END,
                jsonb_build_object('schema', body)
                || CASE WHEN route.examples ? 'request' THEN jsonb_build_object('example', route.examples -> 'request')
                        ELSE '{}' END)));
    END IF;
    RETURN operation;
END
$$;
REVOKE ALL ON FUNCTION usher._openapi_operation(usher.routes, oid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_operation(
    usher.routes, oid, text) IS
'One operation of the OpenAPI document. published_path: the path in the document, which routes of one shape share.';

CREATE FUNCTION usher._make_openapi() RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    version text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'usher');
    paths jsonb;
    tags jsonb;
BEGIN
    -- Routes whose paths differ in the names of parameters only are one path for clients.
    SELECT jsonb_object_agg(p.published_path, p.operations) INTO paths
    FROM (
        SELECT l.published_path, jsonb_object_agg(
            lower((l.route).method), usher._openapi_operation(l.route, l.function, l.published_path)) AS operations
        FROM (
            SELECT r AS route, p.oid AS function,
                   min(r.path_template COLLATE "C") OVER (PARTITION BY r.shape) AS published_path
            FROM usher.routes r
                JOIN pg_namespace n ON n.nspname = r.function_schema
                JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = r.function_name
            WHERE r.is_active AND usher._argument_types(p.proargtypes) = r.function_arguments
                AND (usher._routed_function(p.oid)).is_routable
        ) AS l
        GROUP BY l.published_path
    ) AS p;
    SELECT jsonb_agg(jsonb_build_object('name', t.tag) ORDER BY t.tag) INTO tags
    FROM (SELECT DISTINCT coalesce(r.tag, 'default') COLLATE "C" AS tag FROM usher.routes r WHERE r.is_active) AS t;
    RETURN jsonb_build_object(
        'openapi', '3.1.0',
        'info', jsonb_build_object('title', current_database(), 'version', version,
            'description', 'Every operation is a function of the database. Refusals are problem documents (RFC 9457) '
                           'with a stable code.'),
        'servers', '[{"url": "/"}]'::jsonb,
        'tags', coalesce(tags, '[]'),
        'paths', coalesce(paths, '{}'),
        'components', '{
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "The access_token that POST /auth/login returns."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-usher_access",
                    "description": "Set by POST /auth/login with the header Usher-Session: cookie."},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token",
                    "description": "With a cookie, for everything but GET: the csrf_token of the login."}},
            "parameters": {"Cursor": {"name": "cursor", "in": "query", "required": false, "schema": {"type": "string"},
                "description": "The next of the page before."}},
            "headers": {
                "CorrelationId": {"description": "Names this request in logs and in the audit trail",
                    "schema": {"type": "string"}},
                "ETag": {"description": "The version of what was sent", "schema": {"type": "string"}},
                "Link": {"description": "The next page (RFC 8288), when there is one", "schema": {"type": "string"}},
                "RateLimit": {"description": "What is left of the limit (draft-ietf-httpapi-ratelimit-headers)",
                    "schema": {"type": "string"}}},
            "responses": {"Problem": {"description": "The request was refused", "content": {"application/problem+json":
                {"schema": {"$ref": "#/components/schemas/Problem"}}}},
                "OAuthError": {"description": "The request was refused (RFC 6749 section 5.2)", "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}},
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
            "schemas": {"OAuthError": {"type": "object", "required": ["error"], "properties": {
                    "error": {"type": "string"}, "error_description": {"type": "string"}}},
                "Problem": {"type": "object", "required": ["type", "title", "status", "code", "correlation_id"],
                "properties": {
                    "type": {"type": "string", "format": "uri", "description": "urn:usher:error: and the code"},
                    "title": {"type": "string", "description": "What the code means"},
                    "status": {"type": "integer", "minimum": 400, "maximum": 599},
                    "detail": {"type": "string", "description": "What happened this time, for people"},
                    "instance": {"type": "string", "description": "The path of the request"},
                    "code": {"type": "string", "description": "What happened, for programs"},
                    "correlation_id": {"type": "string",
                        "description": "Also in the header X-Correlation-Id and in the audit trail"},
                    "retry_after": {"type": "integer", "description": "Seconds; also in the header Retry-After"},
                    "details": {"type": "object", "description": "Facts for programs, by code"},
                    "errors": {"type": "array",
                        "items": {"type": "object", "required": ["field", "in", "code", "detail"],
                        "properties": {"field": {"type": "string"},
                            "in": {"enum": ["path", "query", "header", "body"]},
                            "code": {"enum": ["missing", "unknown", "invalid", "repeated"]},
                            "detail": {"type": "string"}}}}
                }}}}'::jsonb);
END
$$;
REVOKE ALL ON FUNCTION usher._make_openapi() FROM PUBLIC;
COMMENT ON FUNCTION usher._make_openapi() IS 'Makes the document that openapi() keeps.';

CREATE FUNCTION usher.openapi() RETURNS jsonb
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'usher_http_openapi';
REVOKE ALL ON FUNCTION usher.openapi() FROM PUBLIC;
COMMENT ON FUNCTION usher.openapi() IS
    'The OpenAPI 3.1 document of all routes, made from their functions'' arguments, results and comments. Each '
    'backend keeps it until one of these changes.';

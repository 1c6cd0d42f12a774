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
        WHEN 'time'::regtype THEN '{"type": "string", "format": "time"}'
        WHEN 'interval'::regtype THEN '{"type": "string", "format": "duration"}'
        WHEN 'inet'::regtype THEN '{"type": "string", "description": "IPv4 or IPv6 address"}'
        WHEN 'jsonb'::regtype THEN '{}'
        WHEN 'json'::regtype THEN '{}'
        ELSE NULL
    END;
    IF schema IS NULL THEN
        IF described.typcategory = 'A' AND described.typelem <> 0 THEN
            schema := jsonb_build_object('type', 'array', 'items', usher._nullable(usher._json_schema(described.typelem)));
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
END $$;
REVOKE ALL ON FUNCTION usher._json_schema(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._json_schema(oid) IS 'The JSON schema of what a value of a type looks like over HTTP.';

CREATE FUNCTION usher._nullable(schema jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE
        WHEN schema ? 'enum' THEN schema || jsonb_build_object('type', '["string", "null"]'::jsonb, 'enum', (schema -> 'enum') || 'null')
        WHEN jsonb_typeof(schema -> 'type') = 'string' THEN schema || jsonb_build_object('type', jsonb_build_array(schema -> 'type', 'null'))
        ELSE schema
    END;
END $$;
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
        FROM unnest(proc.proargnames, proc.proallargtypes, proc.proargmodes) WITH ORDINALITY AS a (name, type, mode, place)
        WHERE a.mode IN ('o', 'b', 't') AND a.name <> ''; -- a single column without a name is a bare value
    ELSE
        RETURN QUERY
        SELECT a.attname::text, a.atttypid, a.attnum::bigint
        FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = proc.prorettype AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped;
    END IF;
END $$;
REVOKE ALL ON FUNCTION usher._result_columns(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._result_columns(oid) IS 'The columns of a function''s result, in order; no rows when the result is a bare value.';

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
        RETURN jsonb_build_object('type', 'object', 'required', '["items"]'::jsonb, 'properties', jsonb_build_object('items',
            jsonb_build_object('type', 'array', 'items', coalesce(properties, usher._nullable(usher._json_schema(proc.prorettype))))));
    ELSIF properties IS NOT NULL THEN
        RETURN properties;
    ELSIF proc.prorettype IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN '{}';
    END IF;
    RETURN jsonb_build_object('type', 'object', 'required', '["result"]'::jsonb, 'properties',
        jsonb_build_object('result', usher._nullable(usher._json_schema(proc.prorettype))));
END $$;
REVOKE ALL ON FUNCTION usher._result_schema(oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._result_schema(oid) IS 'The JSON schema of a routed function''s successful answer; NULL for an answer without content.';

CREATE FUNCTION usher._openapi_operation(route usher.routes, function oid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    proc pg_proc;
    path_names text[] := ARRAY(SELECT m[1] FROM regexp_matches(route.path_template, '\{([^}]*)\}', 'g') AS m);
    in_query boolean := route.method IN ('GET', 'DELETE');
    description text := obj_description(function, 'pg_proc');
    result jsonb := usher._result_schema(function);
    status text := CASE WHEN result IS NULL AND route.success_status = 200 THEN '204' ELSE route.success_status::text END;
    parameters jsonb;
    properties jsonb;
    required jsonb;
    operation jsonb;
    responses jsonb;
    failure record;
BEGIN
    SELECT p.* INTO proc FROM pg_proc p WHERE p.oid = function;
    WITH argument AS (
        SELECT a.name, a.place, a.name = ANY (path_names) AS in_path,
               a.place > proc.pronargs - proc.pronargdefaults AS is_optional,
               usher._json_schema(a.type) AS schema
        FROM (
            SELECT n.name, t.type, row_number() OVER (ORDER BY n.place) AS place
            FROM unnest(proc.proargnames) WITH ORDINALITY AS n (name, place)
                JOIN unnest(coalesce(proc.proallargtypes, proc.proargtypes::oid[])) WITH ORDINALITY AS t (type, place) USING (place)
                LEFT JOIN unnest(proc.proargmodes) WITH ORDINALITY AS m (mode, place) USING (place)
            WHERE coalesce(m.mode, 'i') IN ('i', 'b')
        ) AS a
    )
    SELECT jsonb_agg(jsonb_build_object('name', a.name, 'in', CASE WHEN a.in_path THEN 'path' ELSE 'query' END,
                                        'required', a.in_path OR NOT a.is_optional, 'schema', a.schema)
                     ORDER BY NOT a.in_path, a.place) FILTER (WHERE a.in_path OR (in_query AND a.schema ->> 'type' IS DISTINCT FROM 'object')), -- rows come in bodies only
           jsonb_object_agg(a.name, CASE WHEN a.is_optional THEN usher._nullable(a.schema) ELSE a.schema END)
               FILTER (WHERE NOT a.in_path AND NOT in_query),
           jsonb_agg(a.name ORDER BY a.place) FILTER (WHERE NOT a.in_path AND NOT in_query AND NOT a.is_optional)
    INTO parameters, properties, required
    FROM argument a;

    responses := jsonb_build_object(status, jsonb_build_object('description', 'Success')
        || CASE WHEN result IS NULL OR status = '204' THEN '{}'::jsonb
                ELSE jsonb_build_object('content', jsonb_build_object('application/json', jsonb_build_object('schema', result))) END);
    FOR failure IN
        SELECT f.status FROM (VALUES
            ('400', true), ('401', route.access <> 'public'), ('403', route.access <> 'public'),
            ('422', parameters IS NOT NULL OR properties IS NOT NULL), ('429', route.rate_limit IS NOT NULL), ('default', true)
        ) AS f (status, applies) WHERE f.applies
    LOOP
        responses := responses || jsonb_build_object(failure.status, '{"$ref": "#/components/responses/Problem"}'::jsonb);
    END LOOP;

    operation := jsonb_build_object(
        'operationId', lower(route.method) || regexp_replace(route.path_template, '[^A-Za-z0-9]+', '_', 'g'),
        'summary', coalesce(route.summary, (regexp_match(description, '^(.{1,119}?)[.:;](\s|$)'))[1], initcap(replace(proc.proname, '_', ' '))),
        'tags', jsonb_build_array(coalesce(route.tag, 'default')),
        'responses', responses,
        'security', CASE WHEN route.access = 'public' THEN '[]'::jsonb ELSE '[{"bearer": []}]' END);
    IF description IS NOT NULL THEN
        operation := operation || jsonb_build_object('description', description
            || CASE WHEN route.permission IS NULL THEN '' ELSE E'\n\nNeeds the permission ' || route.permission || '.' END);
    END IF;
    IF parameters IS NOT NULL THEN
        operation := operation || jsonb_build_object('parameters', parameters);
    END IF;
    IF properties IS NOT NULL THEN
        operation := operation || jsonb_build_object('requestBody', jsonb_build_object(
            'required', required IS NOT NULL,
            'content', jsonb_build_object('application/json', jsonb_build_object('schema',
                jsonb_build_object('type', 'object', 'properties', properties, 'additionalProperties', false)
                || CASE WHEN required IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('required', required) END))));
    END IF;
    RETURN operation;
END $$;
REVOKE ALL ON FUNCTION usher._openapi_operation(usher.routes, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher._openapi_operation(usher.routes, oid) IS 'One operation of the OpenAPI document.';

CREATE FUNCTION usher.openapi() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    version text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'usher');
    paths jsonb;
    tags jsonb;
BEGIN
    SELECT jsonb_object_agg(p.path_template, p.operations) INTO paths
    FROM (
        SELECT r.path_template, jsonb_object_agg(lower(r.method), usher._openapi_operation(r, p.oid)) AS operations
        FROM usher.routes r
            JOIN pg_namespace n ON n.nspname = r.function_schema
            JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = r.function_name
        WHERE r.is_active AND usher._argument_types(p.proargtypes) = r.function_arguments
        GROUP BY r.path_template
    ) AS p;
    SELECT jsonb_agg(jsonb_build_object('name', t.tag) ORDER BY t.tag) INTO tags
    FROM (SELECT DISTINCT coalesce(r.tag, 'default') COLLATE "C" AS tag FROM usher.routes r WHERE r.is_active) AS t;
    RETURN jsonb_build_object(
        'openapi', '3.1.0',
        'info', jsonb_build_object('title', current_database(), 'version', version,
            'description', 'Every operation is a function of the database. Refusals are problem documents (RFC 9457) with a stable code.'),
        'servers', '[{"url": "/"}]'::jsonb,
        'tags', coalesce(tags, '[]'),
        'paths', coalesce(paths, '{}'),
        'components', '{
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "The access_token that POST /auth/login returns."}},
            "responses": {"Problem": {"description": "The request was refused", "content": {"application/problem+json":
                {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
            "schemas": {"Problem": {"type": "object", "required": ["type", "title", "status", "code", "correlation_id"],
                "properties": {
                    "type": {"type": "string", "format": "uri", "description": "urn:usher:error: and the code"},
                    "title": {"type": "string", "description": "What the code means"},
                    "status": {"type": "integer", "minimum": 400, "maximum": 599},
                    "detail": {"type": "string", "description": "What happened this time, for people"},
                    "instance": {"type": "string", "description": "The path of the request"},
                    "code": {"type": "string", "description": "What happened, for programs"},
                    "correlation_id": {"type": "string", "description": "Also in the header X-Correlation-Id and in the audit trail"},
                    "retry_after": {"type": "integer", "description": "Seconds; also in the header Retry-After"},
                    "details": {"type": "object", "description": "Facts for programs, by code"},
                    "errors": {"type": "array", "items": {"type": "object", "required": ["field", "in", "code", "detail"],
                        "properties": {"field": {"type": "string"}, "in": {"enum": ["path", "query", "header", "body"]},
                            "code": {"enum": ["missing", "unknown", "invalid", "repeated"]}, "detail": {"type": "string"}}}}
                }}}}'::jsonb);
END $$;
REVOKE ALL ON FUNCTION usher.openapi() FROM PUBLIC;
COMMENT ON FUNCTION usher.openapi() IS
    'The OpenAPI 3.1 document of all routes, made from their functions'' arguments, results and comments.';

-- Registration: what an extension or an application tells core about itself. Core registers in the same way
-- (registration.sql), so that nothing here knows any of them by name.

CREATE FUNCTION usher._schema_of(registrant name) RETURNS name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(x.schema_name, n.nspname)
    FROM usher.extensions AS x
        LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = x.name
        LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    WHERE x.name = registrant;
END;
REVOKE ALL ON FUNCTION usher._schema_of(name) FROM PUBLIC;
COMMENT ON FUNCTION usher._schema_of(name) IS 'The schema of a registered extension or application.';

-- The hooks that there are: how core calls each, and what it must return.
CREATE FUNCTION usher._hooks()
    RETURNS TABLE (hook text, arguments text, result text, purpose text, is_needed boolean)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES
    ('upkeep', 'integer', 'TABLE(task text, affected bigint)',
     'removes what has run out, at most so many rows of each kind', true),
    ('self_check', '', 'TABLE(rule text, violations bigint)', 'counts the rows that break a rule', true),
    ('configuration', '', 'TABLE(finding text, severity text, advice text)',
     'finds what is unsafe or missing in settings and grants', true),
    ('metrics', '', 'TABLE(name text, labels jsonb, value double precision)', 'numbers for a scraper', true),
    ('health', '', 'text', 'says what is wrong now, NULL when nothing is', true),
    ('export', 'uuid', 'jsonb', 'tells a user what is kept about them', true),
    ('erase', 'uuid', 'bigint', 'forgets a user, and says how many rows it changed', true),
    ('profiles', 'uuid', 'TABLE(profile_id uuid)', 'names the ids that a user is known by as a customer', false),
    ('contact', 'uuid', 'TABLE(user_id uuid, name text, email text, language text, time_zone text)',
     'says how to write to a customer, or whose account they have', false),
    ('location', 'uuid', 'TABLE(name text, time_zone text)',
     'says what a location is called, and the time zone of its clocks', false),
    ('purchase', 'uuid', 'TABLE(reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, '
        'currency text, location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamp with time zone, '
        'is_open boolean)',
     'says who buys what under an id, for how much and where', false),
    ('flush', '', 'bigint', 'writes what only shared memory counts, and says how many rows', false);
END;
REVOKE ALL ON FUNCTION usher._hooks() FROM PUBLIC;
COMMENT ON FUNCTION usher._hooks() IS
    'What core calls in registered extensions: arguments, result and purpose of each hook, and whether each must be '
    'given or declined.';

CREATE FUNCTION usher._call_hook(function regprocedure, max_rows integer DEFAULT NULL, user_id uuid DEFAULT NULL,
                                 seconds integer DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_call_hook';
REVOKE ALL ON FUNCTION usher._call_hook(regprocedure, integer, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._call_hook(regprocedure, integer, uuid, integer) IS
    'Runs a hook with the rights of its owner and nothing more, for so many seconds at most, and returns its rows as '
    'a JSON array.';

-- One feature's trouble is not the others': whoever asks all of them tells of the one that failed.
CREATE FUNCTION usher._try_hook(function regprocedure, user_id uuid DEFAULT NULL, seconds integer DEFAULT NULL,
                                OUT answer jsonb, OUT failure text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    answer := usher._call_hook(function, user_id => user_id, seconds => seconds);
EXCEPTION WHEN OTHERS OR assert_failure THEN
    answer := '[]';
    failure := format('%s (%s)', SQLERRM, SQLSTATE);
END
$$;
REVOKE ALL ON FUNCTION usher._try_hook(regprocedure, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._try_hook(regprocedure, uuid, integer) IS
    'Runs a hook as _call_hook() does; when it fails, no rows, and why.';

CREATE FUNCTION usher._returns(function regprocedure, result text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- metrics may say what they are about
    SELECT replace(pg_get_function_result(function), ', help text)', ')') IS NOT DISTINCT FROM result;
END;
REVOKE ALL ON FUNCTION usher._returns(regprocedure, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._returns(regprocedure, text) IS 'Whether a function returns what a hook has to.';

CREATE FUNCTION usher._hook_functions(of_hook text) RETURNS TABLE (registrant name, function regprocedure)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.registrant, CASE WHEN usher._returns(f.function, k.result) THEN f.function END
    FROM usher.extension_hooks AS h JOIN usher._hooks() AS k ON k.hook = h.hook
        CROSS JOIN to_regprocedure(format('%I.%I(%s)', usher._schema_of(h.registrant), h.function_name, k.arguments))
            AS f (function)
    WHERE h.hook = of_hook
    ORDER BY h.registrant <> 'usher', h.registrant;
END;
REVOKE ALL ON FUNCTION usher._hook_functions(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._hook_functions(text) IS
    'Who has registered a hook, core first, and the function; NULL for a function that is gone, or returns something '
    'else since.';

CREATE FUNCTION usher._first_answer(of_hook text, id uuid, members jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hook record;
    tried record;
    answer jsonb;
    failure text;
BEGIN
    FOR hook IN
        SELECT h.registrant, h.function FROM usher._hook_functions(of_hook) AS h WHERE _first_answer.id IS NOT NULL
    LOOP
        tried := usher._try_hook(hook.function, _first_answer.id, seconds => 1);
        SELECT r.value INTO answer FROM jsonb_array_elements(tried.answer) AS r
        WHERE r.value @> _first_answer.members LIMIT 1;
        IF FOUND THEN
            RETURN answer;
        END IF;
        failure := coalesce(failure, format('hook "%s" of "%s" failed: ', of_hook, hook.registrant) || tried.failure);
    END LOOP;
    IF failure IS NOT NULL THEN -- the one that failed may know it
        RAISE EXCEPTION USING MESSAGE = failure;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._first_answer(text, uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._first_answer(text, uuid, jsonb) IS
    'What the first feature says that knows this id, with these members; NULL when nobody does. Fails only if a hook '
    'has failed and no other feature knows the id.';

CREATE FUNCTION usher._flush_extensions() RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hook record;
    failures text;
BEGIN
    FOR hook IN SELECT h.registrant, h.function FROM usher._hook_functions('flush') AS h LOOP
        BEGIN
            PERFORM usher._call_hook(hook.function);
        EXCEPTION WHEN OTHERS OR assert_failure THEN -- one extension's trouble is not the others'
            failures := concat_ws('; ', failures, format('%s: %s (%s)', hook.registrant, SQLERRM, SQLSTATE));
        END;
    END LOOP;
    RETURN failures;
END
$$;
REVOKE ALL ON FUNCTION usher._flush_extensions() FROM PUBLIC;
COMMENT ON FUNCTION usher._flush_extensions() IS
    'Has extensions write what only shared memory counts, which the worker does about every usher.flush_interval and '
    'when the server stops; says whose failed, and why.';

CREATE FUNCTION usher._register_hooks(registrant name, hooks jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
    found_function pg_proc;
BEGIN
    FOR given IN
        SELECT h.key AS hook, h.value AS function_name, k.arguments, k.result
        FROM jsonb_each_text(hooks) AS h LEFT JOIN usher._hooks() AS k ON k.hook = h.key
    LOOP
        IF given.arguments IS NULL THEN
            PERFORM usher.raise_error('invalid_argument', format('there is no hook "%s"', given.hook),
                jsonb_build_object('hook', given.hook),
                'Hooks are ' || (SELECT string_agg(k.hook, ', ') FROM usher._hooks() AS k) || '.');
        END IF;
        SELECT p.* INTO found_function FROM pg_proc AS p
        WHERE p.oid = to_regprocedure(
            format('%I.%I(%s)', usher._schema_of(registrant), given.function_name, given.arguments));
        IF found_function.oid IS NULL OR NOT usher._returns(found_function.oid, given.result) THEN
            PERFORM usher.raise_error('unknown_reference',
                format('hook "%s" of "%s" needs a function %I.%I(%s) that returns %s', given.hook, registrant,
                       usher._schema_of(registrant), given.function_name, given.arguments, given.result),
                jsonb_strip_nulls(jsonb_build_object('hook', given.hook,
                                                     'returns', pg_get_function_result(found_function.oid))));
        ELSIF usher._installing_extension() IS NULL
              AND NOT pg_has_role(session_user, found_function.proowner, 'USAGE') THEN
            PERFORM usher.raise_error('not_permitted', 'only the owner of a function can make it a hook',
                jsonb_build_object('hook', given.hook));
        END IF;
        INSERT INTO usher.extension_hooks (registrant, hook, function_name)
        VALUES (_register_hooks.registrant, given.hook, given.function_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._register_hooks(name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._register_hooks(name, jsonb) IS
    'Part of register_extension(): the functions that core is to call.';

CREATE FUNCTION usher._register_errors(registrant name, error_class text, errors jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
    other name;
BEGIN
    FOR given IN SELECT *
        FROM jsonb_to_recordset(errors) AS e (code text, sqlstate text, http_status integer, description text) LOOP
        SELECT coalesce(e.registrant, 'usher') INTO other FROM usher.error_codes() AS c
            LEFT JOIN usher.extension_errors AS e ON e.code = c.code
        WHERE c.code = given.code OR c.sqlstate = given.sqlstate;
        IF FOUND THEN
            PERFORM usher.raise_error('already_exists',
                                      format('error code "%s" (%s) of "%s" is one of "%s" already', given.code,
                coalesce(given.sqlstate, 'no SQLSTATE'), registrant, other), jsonb_build_object('code', given.code));
        ELSIF left(given.sqlstate, 2) <> error_class OR given.sqlstate IS NOT NULL AND error_class IS NULL THEN
            PERFORM usher.raise_error('invalid_argument',
                                      format('SQLSTATE %s of error code "%s" is not of the class %s of "%s"',
                given.sqlstate, given.code, coalesce(error_class, '(none)'), registrant),
                                             jsonb_build_object('code', given.code));
        END IF;
        INSERT INTO usher.extension_errors (code, sqlstate, http_status, description, registrant)
        VALUES (given.code, given.sqlstate, given.http_status, given.description, _register_errors.registrant);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._register_errors(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._register_errors(name, text, jsonb) IS 'Part of register_extension(): error codes.';

CREATE FUNCTION usher._register_columns(registrant name, personal_data jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT t.key AS table_name, k.key AS kind, c.name AS column_name
        FROM jsonb_each(personal_data) AS t
            CROSS JOIN jsonb_each(t.value) AS k CROSS JOIN jsonb_array_elements_text(k.value) AS c (name)
    LOOP
        IF given.column_name = '*' AND given.kind = 'impersonal'
           AND personal_data -> given.table_name = '{"impersonal": ["*"]}' THEN
            NULL; -- a table that says nothing about people, and never will
        ELSIF NOT EXISTS (SELECT FROM pg_attribute AS a
            WHERE a.attrelid = to_regclass(format('%I.%I', usher._schema_of(registrant), given.table_name))
                AND a.attname = given.column_name AND a.attnum > 0 AND NOT a.attisdropped)
        THEN
            PERFORM usher.raise_error('unknown_reference',
                                      format('personal_data of "%s": column %I of %I.%I does not exist', registrant,
                given.column_name, usher._schema_of(registrant), given.table_name),
                jsonb_build_object('table', given.table_name, 'column', given.column_name));
        END IF;
        IF given.kind = 'subject' AND (jsonb_array_length(personal_data #> ARRAY[given.table_name, 'subject']) > 1
            OR (SELECT a.atttypid <> 'uuid'::regtype FROM pg_attribute AS a
                WHERE a.attrelid = to_regclass(format('%I.%I', usher._schema_of(registrant), given.table_name))
                    AND a.attname = given.column_name))
        THEN
            PERFORM usher.raise_error('invalid_argument',
                format('personal_data of "%s": the subject of %I.%I must be one column of type uuid', registrant,
                       usher._schema_of(registrant), given.table_name),
                jsonb_build_object('table', given.table_name, 'column', given.column_name));
        END IF;
        INSERT INTO usher.personal_columns (registrant, table_name, column_name, kind)
        VALUES (_register_columns.registrant, given.table_name, given.column_name, given.kind);
    END LOOP;
    PERFORM usher._watch_columns(to_regclass(format('%I.%I', usher._schema_of(registrant), t.name)))
    FROM jsonb_object_keys(personal_data) AS t (name);
END
$$;
REVOKE ALL ON FUNCTION usher._register_columns(name, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._register_columns(name, jsonb) IS
    'Part of register_extension(): what its columns say about people.';

CREATE FUNCTION usher._register_events(registrant name, publishes text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken usher.extension_events;
BEGIN
    SELECT v.* INTO taken FROM usher.extension_events AS v WHERE v.event = ANY (publishes);
    IF FOUND THEN
        PERFORM usher.raise_error('already_exists',
            format('event "%s" is already published by "%s"', taken.event, taken.registrant),
            jsonb_build_object('event', taken.event, 'publisher', taken.registrant));
    END IF;
    INSERT INTO usher.extension_events (event, registrant) SELECT DISTINCT e, registrant FROM unnest(publishes) AS e;
END
$$;
REVOKE ALL ON FUNCTION usher._register_events(name, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._register_events(name, text[]) IS
    'Part of register_extension(): the events that nobody else may publish from then on.';

CREATE FUNCTION usher.register_extension(description text, name name DEFAULT NULL, schema_name name DEFAULT NULL,
        hooks jsonb DEFAULT '{}', declined_hooks text[] DEFAULT '{}', error_class text DEFAULT NULL,
        error_codes jsonb DEFAULT '[]', personal_data jsonb DEFAULT '{}', access jsonb DEFAULT '[]',
        settings jsonb DEFAULT '[]', role_presets jsonb DEFAULT '{}',
        publishes text[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installing CONSTANT name := usher._installing_extension();
    said_by CONSTANT name := coalesce(installing, name);
    missing text;
    holder name;
BEGIN
    IF installing IS NULL THEN
        PERFORM usher.require_permission('*:*');
        IF name IS NULL OR schema_name IS NULL THEN
            PERFORM usher.raise_error('invalid_argument',
                                      'an application that registers needs a name and the schema of its functions',
                                      '{"argument": "name"}');
        ELSIF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = name) THEN
            PERFORM usher.raise_error('invalid_argument',
                                      format('"%s" is an extension: its own script registers it', name));
        ELSIF NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = schema_name) THEN
            PERFORM usher.raise_error('unknown_reference', format('schema "%s" does not exist', schema_name));
        END IF;
    ELSIF name <> installing OR schema_name IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('the script of extension "%s" registers that extension, in its own schema',
            installing));
    END IF;
    SELECT h.hook INTO missing FROM usher._hooks() AS h
    WHERE h.is_needed AND NOT hooks ? h.hook AND h.hook <> ALL (declined_hooks);
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('"%s" registers no function for the hook "%s"', said_by, missing),
            jsonb_build_object('hook', missing),
            format('Core calls it for what %s. Give a function in hooks, or name it in declined_hooks.',
            (SELECT h.purpose FROM usher._hooks() AS h WHERE h.hook = missing)));
    END IF;
    SELECT d INTO missing
    FROM unnest(declined_hooks) AS d WHERE hooks ? d OR NOT EXISTS (SELECT FROM usher._hooks() AS h WHERE h.hook = d);
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('declined_hooks names "%s", which is given or is no hook', missing),
            jsonb_build_object('hook', missing));
    END IF;

    SELECT x.name INTO holder FROM usher.extensions AS x
    WHERE x.error_class = register_extension.error_class AND x.name <> said_by;
    IF FOUND THEN
        PERFORM usher.raise_error('already_exists',
            format('error class %s of "%s" is that of another extension', error_class, said_by),
            jsonb_build_object('error_class', error_class),
            format('"%s" has it. Take two other characters, the first one from I to Z, for error_class and for each '
                   'SQLSTATE of error_codes; usher.list_extensions() says which are taken.', holder));
    END IF;

    -- What was said before is replaced. The row itself stays: answers for repeated calls refer to it.
    INSERT INTO usher.extensions AS x (name, schema_name, description, error_class, declined)
    VALUES (said_by, register_extension.schema_name, register_extension.description,
            register_extension.error_class, declined_hooks)
    ON CONFLICT ON CONSTRAINT extensions_pkey DO UPDATE
    SET schema_name = EXCLUDED.schema_name, description = EXCLUDED.description, error_class = EXCLUDED.error_class,
        declined = EXCLUDED.declined, extension = EXCLUDED.extension;
    DELETE FROM usher.extension_hooks AS h WHERE h.registrant = said_by;
    DELETE FROM usher.extension_errors AS e WHERE e.registrant = said_by;
    DELETE FROM usher.extension_access AS a WHERE a.registrant = said_by;
    DELETE FROM usher.extension_settings AS s WHERE s.registrant = said_by;
    DELETE FROM usher.extension_events AS v WHERE v.registrant = said_by;
    DELETE FROM usher.role_presets AS p WHERE p.registrant = said_by;
    DELETE FROM usher.personal_columns AS c WHERE c.registrant = said_by;
    PERFORM usher._register_hooks(said_by, hooks);
    PERFORM usher._register_errors(said_by, error_class, error_codes);
    PERFORM usher._register_columns(said_by, personal_data);
    INSERT INTO usher.extension_access (registrant, number, kind, levels, names)
    SELECT said_by, a.number, a.line ->> 'kind',
        ARRAY(SELECT jsonb_array_elements_text(a.line -> 'levels')), a.line ->> 'names'
    FROM jsonb_array_elements(access) WITH ORDINALITY AS a (line, number);
    INSERT INTO usher.extension_settings (name, type, default_value, description, registrant)
    SELECT s.name, s.type, s.default_value, s.description, said_by
    FROM jsonb_to_recordset(settings) AS s (name text, type text, default_value text, description text);
    INSERT INTO usher.role_presets (name, registrant, preset)
    SELECT p.key, said_by, p.value FROM jsonb_each(role_presets) AS p;
    PERFORM usher._register_events(said_by, publishes);
    IF installing IS NULL THEN
        PERFORM usher._log_access_change('access.extension_registered', '{}', 'extension', said_by);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.register_extension(text, name, name, jsonb, text[], text, jsonb, jsonb, jsonb, jsonb,
                                                jsonb, text[])
    FROM PUBLIC;
COMMENT ON FUNCTION usher.register_extension(text, name, name, jsonb, text[], text, jsonb, jsonb, jsonb, jsonb,
                                             jsonb, text[]) IS
    'Tells core about an extension, from its install script, or about an application, by name and schema (needs '
    '*:*); again, it replaces what was said before. hooks: {"upkeep": "function", …}, each of usher._hooks() or '
    'named in declined_hooks. error_codes: [{"code", "sqlstate", "http_status", "description"}]. personal_data: '
    '{"table": {"subject": ["column"], "user": ["column"], "personal": […], "sensitive": […], "sealed": […], '
    '"impersonal": […]}}, at most one subject, or {"table": {"impersonal": ["*"]}} for one that says nothing about '
    'people. access: [{"kind", "levels", "names"}]. settings: [{"name", "type", "default_value", "description"}]. '
    'role_presets: {"name": preset}. publishes: names of events, which nobody else may publish: it takes the rights '
    'of the owner of the extension, or of the application''s schema. '
    'docs/write-an-extension.md builds one.';

CREATE FUNCTION usher.unregister_extension(name name) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*');
    DELETE FROM usher.extensions AS x WHERE x.name = unregister_extension.name AND x.extension IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM usher._log_access_change('access.extension_unregistered', '{}', 'extension', name);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.unregister_extension(name) FROM PUBLIC;
COMMENT ON FUNCTION usher.unregister_extension(name) IS
    'Forgets what an application has registered; false when there is none of this name. What an extension has '
    'registered goes when it is dropped.';

CREATE FUNCTION usher.list_extensions()
    RETURNS TABLE (name name, schema_name name, description text, version text, error_class text, hooks jsonb,
                   declined_hooks text[], error_codes text[], settings text[], role_presets text[], publishes text[],
                   follows text[], machines text[], routes text[], rate_limits text[], personal_data jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT x.name, usher._schema_of(x.name), x.description, e.extversion, x.error_class,
        coalesce((SELECT jsonb_object_agg(h.hook, h.function_name)
                  FROM usher.extension_hooks AS h WHERE h.registrant = x.name), '{}'),
        x.declined,
        ARRAY(SELECT c.code FROM usher.extension_errors AS c WHERE c.registrant = x.name ORDER BY c.sqlstate, c.code),
        ARRAY(SELECT s.name FROM usher.extension_settings AS s WHERE s.registrant = x.name ORDER BY s.name),
        ARRAY(SELECT p.name FROM usher.role_presets AS p WHERE p.registrant = x.name ORDER BY p.name),
        ARRAY(SELECT v.event FROM usher.extension_events AS v WHERE v.registrant = x.name ORDER BY v.event),
        ARRAY(SELECT s.event FROM usher.subscriptions AS s WHERE s.extension = x.name ORDER BY s.event),
        ARRAY(SELECT DISTINCT m.name FROM usher.machines AS m WHERE m.extension = x.name::text ORDER BY m.name),
        ARRAY(SELECT r.method || ' ' || r.path_template FROM usher.routes AS r WHERE r.extension = x.name
            ORDER BY r.path_template, r.method),
        ARRAY(SELECT l.policy FROM usher.rate_limit_policies AS l WHERE l.extension = x.name ORDER BY l.policy),
        coalesce((SELECT jsonb_object_agg(t.table_name, t.kinds) FROM (
            SELECT k.table_name, jsonb_object_agg(k.kind, k.columns) AS kinds FROM (
                SELECT c.table_name, c.kind, jsonb_agg(c.column_name ORDER BY c.column_name) AS columns
                FROM usher.personal_columns AS c WHERE c.registrant = x.name AND c.kind <> 'impersonal'
                GROUP BY c.table_name, c.kind) AS k
            GROUP BY k.table_name) AS t), '{}')
    FROM usher.extensions AS x LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = x.name
    ORDER BY x.name <> 'usher', x.name;
END;
REVOKE ALL ON FUNCTION usher.list_extensions() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_extensions() IS
    'Everything that builds on core, core first, and what each has registered, also by add_route(), define_machine(), '
    'subscribe() and define_rate_limit().';

CREATE FUNCTION usher.setting(name text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known usher.extension_settings;
BEGIN
    SELECT s.* INTO known FROM usher.extension_settings AS s WHERE s.name = setting.name;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', format('no extension has registered a setting "%s"', name),
                                  jsonb_build_object('name', name));
    END IF;
    RETURN coalesce(nullif(current_setting(name, true), ''), known.default_value);
END
$$;
REVOKE ALL ON FUNCTION usher.setting(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.setting(text) IS
    'The value of a setting that an extension has registered: what ALTER DATABASE, ALTER ROLE or SET says, else its '
    'default. Anybody can SET it, so nothing that protects may depend on it.';

CREATE FUNCTION usher.list_unanswered_columns()
    RETURNS TABLE (extension name, table_name name, column_name name, type text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT x.name, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM usher.extensions AS x
        JOIN pg_catalog.pg_namespace AS n ON n.nspname = usher._schema_of(x.name)
        JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = x.name
    WHERE (e.oid IS NULL OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid))
        AND (e.oid IS NOT NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
        -- text of any kind, JSON, addresses, and ids that lead out of the extension
        AND (t.typcategory IN ('S', 'I', 'U', 'A') AND t.typname <> ALL ('{uuid,bytea,_int4,_uuid}'::name[])
            OR t.typname = 'bytea'
            OR t.typname IN ('uuid', '_uuid') AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid = c.oid AND a.attnum = ANY (k.conkey)
                    AND (k.contype = 'f' OR k.contype = 'p' AND a.attname = 'id')))
        AND NOT EXISTS (SELECT FROM usher.personal_columns AS p
            WHERE p.registrant = x.name AND p.table_name = c.relname AND p.column_name IN (a.attname, '*'))
    ORDER BY 1, 2, 3;
END;
REVOKE ALL ON FUNCTION usher.list_unanswered_columns() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_unanswered_columns() IS
    'Columns of registered extensions and applications that may hold the id of a user or something about a person '
    '(text, JSON, addresses, bytes, ids without a foreign key), and of which personal_data says nothing. No rows: all '
    'is answered for.';

-- The names of an application belong to the owner of its schema. Another schema that is called so later is not that
-- one.
CREATE FUNCTION usher._forget_lost_publishers() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost record;
BEGIN
    FOR lost IN
        WITH lost AS (
            DELETE FROM usher.extension_events AS v USING usher.extensions AS x
            WHERE x.name = v.registrant AND x.extension IS NULL
                AND NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = x.schema_name)
            RETURNING v.event, x.name, x.schema_name)
        SELECT l.* FROM lost AS l ORDER BY l.event
    LOOP
        RAISE WARNING 'event "%" of "%" is anybody''s now: schema "%" is gone', lost.event, lost.name, lost.schema_name
            USING HINT = 'Register the application again.';
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._forget_lost_publishers() FROM PUBLIC;
COMMENT ON FUNCTION usher._forget_lost_publishers() IS
    'Forgets which events were those of applications whose schema has been dropped or renamed.';

CREATE FUNCTION usher._forget_renamed_schemas() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._forget_lost_publishers();
END
$$;
REVOKE ALL ON FUNCTION usher._forget_renamed_schemas() FROM PUBLIC;
COMMENT ON FUNCTION usher._forget_renamed_schemas() IS
    'Event trigger: the events of an application are not those of another schema that gets the name.';

CREATE FUNCTION usher._forget_dropped_extensions() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone text;
    was_known boolean;
    consumers text[];
BEGIN
    FOR gone IN SELECT o.object_name
        FROM pg_event_trigger_dropped_objects() AS o WHERE o.object_type = 'extension' LOOP
        DELETE FROM usher.extensions AS x WHERE x.extension = gone;
        was_known := FOUND;
        DELETE FROM usher.routes AS r WHERE r.extension = gone;
        -- Also those that its functions have made for whoever called them: a consumer of its name is its own.
        WITH ended AS (
            DELETE FROM usher.subscriptions AS s
            WHERE s.extension = gone
                OR was_known AND (s.consumer = gone OR starts_with(s.consumer, gone || '.'))
            RETURNING s.consumer)
        SELECT array_agg(e.consumer) INTO consumers FROM ended AS e;
        -- What it has not taken nobody will, and events are kept as long as somebody is to have them.
        DELETE FROM usher.deliveries AS d
        WHERE d.consumer = ANY (consumers || CASE WHEN was_known THEN gone END) AND d.status IN ('pending', 'parked')
            AND NOT EXISTS (SELECT FROM usher.subscriptions AS s WHERE s.consumer = d.consumer);
        DELETE FROM usher.rate_limit_policies AS p WHERE p.extension = gone;
        DELETE FROM usher.machines AS m WHERE m.extension = gone;
        DELETE FROM usher._schema_objects AS o WHERE o.extension = gone;
        DELETE FROM usher.policy_models AS m WHERE m.extension = gone;
        DELETE FROM usher.permissions AS p WHERE p.extension = gone
            AND NOT EXISTS (SELECT FROM usher.role_permissions AS r WHERE r.permission = p.name)
            AND NOT EXISTS (SELECT FROM usher.user_permissions AS u WHERE u.permission = p.name);
        -- Permissions that are granted stay, and are the application's from now on.
        UPDATE usher.permissions AS p SET extension = NULL WHERE p.extension = gone;
        DELETE FROM usher.decisions AS d WHERE d.shipped_by = gone;
    END LOOP;
    PERFORM usher._forget_lost_publishers();
END
$$;
REVOKE ALL ON FUNCTION usher._forget_dropped_extensions() FROM PUBLIC;
COMMENT ON FUNCTION usher._forget_dropped_extensions() IS
    'Event trigger: what a dropped extension has registered goes with it, and the events of an application with its '
    'schema. What it did (history, audit rows, events) stays.';

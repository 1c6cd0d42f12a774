\echo Use "ALTER EXTENSION usher UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher') AS x ON x.object = d.object
WHERE d.extension = 'usher'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- The level "courier", for the program that sends messages and requests. Both tables are small: their constraints are
-- checked at once.
ALTER TABLE usher.database_roles DROP CONSTRAINT database_roles_level_check,
    ADD CONSTRAINT database_roles_level_check
    CHECK (level IN ('application', 'gateway', 'courier', 'readonly', 'auditor', 'admin'));
ALTER TABLE usher.extension_access DROP CONSTRAINT extension_access_levels_check,
    ADD CONSTRAINT extension_access_levels_check
    CHECK (levels <@ '{application,gateway,courier,readonly,auditor,admin}');
-- The hooks "contact", "location" and "purchase", likewise.
ALTER TABLE usher.extension_hooks DROP CONSTRAINT extension_hooks_hook_check,
    ADD CONSTRAINT extension_hooks_hook_check
    CHECK (hook IN ('upkeep', 'self_check', 'configuration', 'metrics', 'health', 'export', 'erase', 'profiles',
                    'contact', 'location', 'purchase', 'flush'));
-- They say what they said, as PostgreSQL writes it out: schema_drift() finds the same after pg_upgrade. Open tokens
-- and codes are few, and looked at once.
ALTER TABLE usher.one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
    ADD CONSTRAINT one_time_tokens_purpose_check
    CHECK (purpose::text IN ('email_verification', 'password_reset', 'email_change'));
ALTER TABLE usher.one_time_codes DROP CONSTRAINT one_time_codes_purpose_check,
    ADD CONSTRAINT one_time_codes_purpose_check CHECK (purpose::text IN ('login', 'email_verification'));

DROP FUNCTION usher._apply_presets(text[]);
DROP FUNCTION usher._call_hook(regprocedure, integer, uuid);
DROP FUNCTION usher._check_token_issuer(usher.token_issuers);
DROP FUNCTION usher.claim_events(text, integer, interval);
DROP FUNCTION usher.list_machines();
DROP FUNCTION usher.list_parked_events(text, uuid, integer);
DROP FUNCTION usher.list_unanswered_columns();
DROP FUNCTION usher.list_users(text, text, uuid, integer);
DROP FUNCTION usher.metrics();
DROP FUNCTION usher.run_event_handlers(integer);
DROP FUNCTION usher.run_self_check(name);

CREATE FUNCTION usher.uuid_or_null(value text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_uuid_or_null';
REVOKE ALL ON FUNCTION usher.uuid_or_null(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.uuid_or_null(text) IS
    'The uuid that a text is, in upper or lower case; NULL when it is none. For extensions, which hear of ids in '
    'events.';
CREATE OR REPLACE FUNCTION usher._announce_changes(relation regclass, cache text, key_column text DEFAULT NULL,
                                        only_when text DEFAULT NULL, also text DEFAULT 'INSERT OR DELETE')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name CONSTANT text := 'announce_' || regexp_replace(cache, '_inval$', '');
    whole CONSTANT text := format('usher._invalidate_cache(%L)', cache);
    each_row CONSTANT text := CASE WHEN key_column IS NULL THEN whole
                                   ELSE format('usher._invalidate_entry(%L, %L)', cache, key_column) END;
    change record;
BEGIN
    -- For rows: what another server sends changes rows only, and fires no trigger of statements. ENABLE ALWAYS: nor
    -- others.
    FOR change IN
        SELECT name AS trigger, also || CASE WHEN only_when IS NULL THEN ' OR UPDATE' ELSE '' END AS events,
               'ROW' AS level, each_row AS call
        UNION ALL SELECT name || '_changed', 'UPDATE', format('ROW WHEN (%s)', only_when), each_row
                  WHERE only_when IS NOT NULL
        UNION ALL SELECT name || '_truncated', 'TRUNCATE', 'STATEMENT', whole
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %1$I AFTER %3$s ON %2$s FOR EACH %4$s EXECUTE FUNCTION %5$s; '
                       'ALTER TABLE %2$s ENABLE ALWAYS TRIGGER %1$I',
                       change.trigger, relation, change.events, change.level, change.call);
    END LOOP;
END
$$;
CREATE TABLE usher.issuer_key_sources (
    issuer text PRIMARY KEY REFERENCES usher.token_issuers ON DELETE CASCADE,
    url text NOT NULL CHECK (octet_length(url) <= 2048),
    is_discovery boolean NOT NULL,
    keys_url text CHECK (octet_length(keys_url) <= 2048),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked_at timestamptz,
    fetched_at timestamptz,
    last_error text CHECK (length(last_error) <= 300)
);
REVOKE ALL ON TABLE usher.issuer_key_sources FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('usher.issuer_key_sources', '');
COMMENT ON TABLE usher.issuer_key_sources IS
    'Where the keys of outside issuers are fetched from, for those that are not given by hand.';
COMMENT ON COLUMN usher.issuer_key_sources.url IS 'Of the discovery document (is_discovery), or of the keys.';
COMMENT ON COLUMN usher.issuer_key_sources.keys_url IS 'Of the keys, as the discovery document last said.';
CREATE TABLE usher.table_sizes (
    day date NOT NULL,
    schema_name name NOT NULL,
    table_name name NOT NULL,
    bytes bigint NOT NULL,
    row_count bigint NOT NULL,
    PRIMARY KEY (day, schema_name, table_name)
);
CREATE INDEX table_sizes_table_name_idx ON usher.table_sizes (schema_name, table_name, day);
COMMENT ON TABLE usher.table_sizes IS
    'How large each table was on each of the last 400 days, for usher.table_growth(). Not dumped: it is about this '
    'server.';
COMMENT ON COLUMN usher.table_sizes.bytes IS 'With indexes and partitions.';
COMMENT ON COLUMN usher.table_sizes.row_count IS 'As the planner estimated it.';
REVOKE ALL ON usher.table_sizes FROM PUBLIC;
CREATE OR REPLACE FUNCTION usher._hooks()
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
CREATE FUNCTION usher._call_hook(function regprocedure, max_rows integer DEFAULT NULL, user_id uuid DEFAULT NULL,
                                 seconds integer DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_call_hook';
REVOKE ALL ON FUNCTION usher._call_hook(regprocedure, integer, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._call_hook(regprocedure, integer, uuid, integer) IS
    'Runs a hook with the rights of its owner and nothing more, for so many seconds at most, and returns its rows as '
    'a JSON array.';
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
CREATE OR REPLACE FUNCTION usher._hook_functions(of_hook text) RETURNS TABLE (registrant name, function regprocedure)
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
CREATE OR REPLACE FUNCTION usher._flush_extensions() RETURNS text
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
CREATE OR REPLACE FUNCTION usher._register_hooks(registrant name, hooks jsonb) RETURNS void
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
CREATE OR REPLACE FUNCTION usher._register_events(registrant name, publishes text[]) RETURNS void
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
CREATE OR REPLACE FUNCTION usher.register_extension(description text, name name DEFAULT NULL,
        schema_name name DEFAULT NULL,
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
CREATE OR REPLACE FUNCTION usher.setting(name text) RETURNS text
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
CREATE OR REPLACE FUNCTION usher._forget_dropped_extensions() RETURNS event_trigger
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
CREATE FUNCTION usher._ship_over_decision(relation regclass, this_key jsonb, made usher.decisions, before jsonb,
                                          after jsonb, installing name) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there jsonb;
    shipped_now jsonb;
BEGIN
    IF after IS NULL THEN
        IF made.kind = 'added' THEN
            RETURN NULL;
        ELSIF made.key IS NOT NULL THEN
            UPDATE usher.decisions AS d SET shipped = NULL WHERE d.table_name = relation::text AND d.key = this_key;
        END IF;
        RETURN '{}';
    ELSIF before IS NOT NULL THEN
        IF made.key IS NULL THEN
            RETURN '{}';
        END IF;
        shipped_now := coalesce(made.shipped, before)
            || coalesce(usher._changed_columns(relation, before, after), '{}');
        UPDATE usher.decisions AS d SET shipped = shipped_now
        WHERE d.table_name = relation::text AND d.key = this_key;
        RETURN coalesce(made.decided, '{}');
    END IF;
    there := usher._row_of(relation, this_key);
    IF made.key IS NULL THEN
        IF there IS NULL OR usher._shipped_by(there) IS NOT NULL THEN
            RETURN '{}';
        END IF;
        -- the application had it first
        INSERT INTO usher.decisions AS d (table_name, key, kind, decided, shipped, shipped_by, is_applying)
        VALUES (relation::text, this_key, 'replaced', usher._whole_row(relation, there), after, installing, true);
        PERFORM usher._update_row(relation, this_key, jsonb_build_object('extension', installing));
    ELSE
        UPDATE usher.decisions AS d
        SET shipped = after, shipped_by = installing, is_applying = true,
            kind = CASE d.kind WHEN 'added' THEN 'replaced' ELSE d.kind END
        WHERE d.table_name = relation::text AND d.key = this_key;
        IF made.kind <> 'removed' AND there IS NOT NULL THEN
            PERFORM usher._update_row(relation, this_key, after - 'id'::text || made.decided);
        END IF;
    END IF;
    UPDATE usher.decisions AS d SET is_applying = false WHERE d.table_name = relation::text AND d.key = this_key;
    RETURN CASE WHEN there IS NULL AND made.kind <> 'removed' THEN coalesce(made.decided, '{}') END;
END
$$;
REVOKE ALL ON FUNCTION usher._ship_over_decision(regclass, jsonb, usher.decisions, jsonb, jsonb, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._ship_over_decision(regclass, jsonb, usher.decisions, jsonb, jsonb, name) IS
    'Part of _keep_decision(): what the script of an extension does to a row about which something was decided, or '
    'nothing. Returns what is laid over its row, NULL when nothing is to be done with it.';
CREATE OR REPLACE FUNCTION usher._keep_decision() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO'
    SET intervalstyle = 'postgres'
    SET timezone = 'UTC'
AS $$
DECLARE
    relation CONSTANT text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    installing CONSTANT name := usher._installing_extension();
    owned CONSTANT boolean := EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = TG_RELID AND a.attname = 'extension' AND NOT a.attisdropped);
    before jsonb;
    after jsonb;
    this_key jsonb;
    made usher.decisions;
    there jsonb;
    shipper name;
    wanted jsonb;
BEGIN
    IF TG_LEVEL <> 'ROW' OR TG_WHEN <> 'BEFORE' OR TG_NARGS = 0 THEN
        RAISE EXCEPTION 'trigger "%" must fire BEFORE each row, with the columns of the key as arguments', TG_NAME
            USING ERRCODE = '39P01', HINT = 'Set it up with usher.ship_rows().';
    END IF;
    -- rows of a replica are as they are on its primary
    IF current_setting('session_replication_role') = 'replica' AND NOT usher._is_loading() THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD);
        this_key := usher._row_key(before, TG_ARGV);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW);
        this_key := coalesce(this_key, usher._row_key(after, TG_ARGV));
    END IF;
    SELECT d.* INTO made FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    IF made.is_applying THEN
        RETURN coalesce(NEW, OLD);
    END IF;

    -- A script ships: its row is the default, under what was decided.
    IF installing IS NOT NULL THEN
        wanted := usher._ship_over_decision(TG_RELID, this_key, made, before, after, installing);
        IF wanted IS NULL THEN
            RETURN NULL;
        ELSIF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        NEW := jsonb_populate_record(NEW, wanted);
        RETURN NEW;
    END IF;

    -- Anybody else decides.
    IF TG_OP = 'UPDATE' AND usher._row_key(after, TG_ARGV) <> this_key THEN
        -- a row under another key: this one goes, that one comes
        IF usher._shipped_by(before) IS NOT NULL THEN
            PERFORM usher._decide(relation, this_key, 'removed', NULL, before);
        END IF;
        before := NULL;
        this_key := usher._row_key(after, TG_ARGV);
        SELECT d.* INTO made FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    END IF;
    IF before IS NULL THEN
        IF made.kind IN ('changed', 'replaced') AND made.shipped IS NULL THEN
            -- nobody ships that row any longer
            DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
            made := NULL;
        END IF;
        there := usher._row_of(TG_RELID, this_key);
        IF made.kind = 'removed' AND there IS NULL THEN
            PERFORM usher._decide(relation, this_key, 'replaced', usher._whole_row(TG_RELID, after), made.shipped);
            IF owned THEN
                NEW.extension := made.shipped_by;
            END IF;
        ELSIF there IS NOT NULL AND usher._shipped_by(there) IS NOT NULL AND usher._is_loading() THEN
            -- a row of the application, from a dump of before an extension shipped one of this key
            INSERT INTO usher.decisions AS d (table_name, key, kind, decided, shipped, shipped_by, is_applying)
            VALUES (relation, this_key, 'replaced', usher._whole_row(TG_RELID, after), there,
                    usher._shipped_by(there), true);
            PERFORM usher._update_row(TG_RELID, this_key, usher._whole_row(TG_RELID, after));
            UPDATE usher.decisions AS d SET is_applying = false WHERE d.table_name = relation AND d.key = this_key;
            RETURN NULL;
        ELSIF owned THEN
            NEW.extension := NULL;
        ELSIF there IS NULL AND usher._shipped_by(after) IS NOT NULL THEN
            PERFORM usher._decide(relation, this_key, 'added', usher._whole_row(TG_RELID, after), NULL,
                                  usher._shipped_by(after));
        END IF;
        RETURN NEW;
    END IF;
    shipper := usher._shipped_by(before);
    IF TG_OP = 'UPDATE' THEN
        IF owned THEN
            NEW.extension := shipper;
        END IF;
        IF shipper IS NULL THEN
            RETURN NEW;
        ELSIF made.kind IN ('added', 'replaced') THEN
            PERFORM usher._decide(relation, this_key, made.kind, usher._whole_row(TG_RELID, after), made.shipped,
                                  shipper);
        ELSE
            wanted := usher._changed_columns(TG_RELID, coalesce(made.shipped, before), after);
            IF wanted IS NULL THEN
                DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
            ELSE
                PERFORM usher._decide(relation, this_key, 'changed',
                    wanted || coalesce((SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(after) AS c
                                        WHERE c.key IN ('id', 'updated_at')), '{}'),
                    coalesce(made.shipped, before));
            END IF;
        END IF;
        RETURN NEW;
    END IF;
    IF shipper IS NULL THEN
        RETURN OLD; -- also of an extension that is being dropped
    ELSIF made.kind = 'added' THEN
        DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    ELSIF TG_RELID = 'usher.extensions'::regclass THEN
        PERFORM usher.raise_error('invalid_argument', format('"%s" is an extension, and registered as long as it is '
            'there', before ->> 'name'), jsonb_build_object('name', before -> 'name'), 'Use DROP EXTENSION.');
    ELSE
        PERFORM usher._decide(relation, this_key, 'removed', NULL, coalesce(made.shipped, before));
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION usher.list_decisions() IS
    'Where rows that extensions ship are not as shipped: what was decided, and what the default is (NULL when nobody '
    'ships such a row). is_in_force is false when triggers were switched off while a dump was loaded: '
    'finish_load(). Needs *:*.';
COMMENT ON FUNCTION usher.apply_decisions() IS
    'Applies what was decided about shipped rows and is not in force, and says how many. Part of finish_load(), after '
    'pg_restore --disable-triggers; every other way of loading a dump does it by itself. Needs *:*.';
COMMENT ON FUNCTION usher.raise_error(text, text, jsonb, text) IS
    'Raises an error of usher.error_codes() by name, with a JSON object as DETAIL. Unknown codes and codes without '
    'SQLSTATE raise 22023, and so does unknown_reference with a member that is null: that argument is missing.';
CREATE FUNCTION usher.raise_misfit(home regnamespace, column_name name, constraint_name name,
                                   argument text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule record;
    at text := nullif(column_name, '');
    detail jsonb;
BEGIN
    IF at IS NULL THEN
        SELECT c.contype AS kind, pg_get_constraintdef(c.oid) AS words,
            ARRAY(SELECT a.attname::text
                  FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
                      JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
                  ORDER BY k.place) AS columns
        INTO rule
        FROM pg_constraint AS c
        WHERE c.connamespace = home AND c.conname = constraint_name AND c.contype IN ('c', 'f')
        ORDER BY c.conrelid LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        at := rule.columns[1];
    END IF;
    detail := CASE WHEN argument IS NULL THEN jsonb_build_object('argument', at)
                   ELSE jsonb_build_object('argument', argument, 'member', at) END;
    IF rule IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('%s must not be null', at), detail);
    ELSIF rule.kind = 'f' THEN
        PERFORM usher.raise_error('unknown_reference', format('%s does not exist', at), detail);
    END IF;
    PERFORM usher.raise_error('invalid_argument', CASE WHEN cardinality(rule.columns) > 1
            THEN array_to_string(rule.columns, ', ') || ' do not fit together' ELSE format('%s does not fit', at) END,
        detail || jsonb_build_object('check', rule.words));
END
$$;
REVOKE ALL ON FUNCTION usher.raise_misfit(regnamespace, name, name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.raise_misfit(regnamespace, name, name, text) IS
    'For functions that have caught 23502, 23514 or 23503 of a row that they wrote: raises 22023, or US005, with the '
    'column as argument, or as member of one, and never shows the row. home is the schema of the table; column_name '
    'and constraint_name come from GET STACKED DIAGNOSTICS. Returns when it knows no such constraint.';
CREATE FUNCTION usher._replay_call(extension name, idempotency_key text, request jsonb) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who CONSTANT text := coalesce(usher.actor_id()::text, session_user);
    hash CONSTANT text := encode(sha256(convert_to(request::text, 'UTF8')), 'hex');
    stored usher.idempotent_calls;
BEGIN
    IF idempotency_key = '' OR length(idempotency_key) > 255 THEN
        PERFORM usher.raise_error('invalid_argument', 'idempotency_key must have 1 to 255 characters',
            jsonb_build_object('argument', 'idempotency_key'));
    END IF;
    INSERT INTO usher.idempotent_calls (registrant, actor, key, request_hash)
    VALUES (_replay_call.extension, who, idempotency_key, hash) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT c.* INTO stored FROM usher.idempotent_calls AS c
    WHERE c.registrant = _replay_call.extension AND c.actor = who AND c.key = idempotency_key;
    IF stored.request_hash IS DISTINCT FROM hash THEN
        PERFORM usher.raise_error('idempotency_mismatch',
                                  'idempotency key was used before with other arguments', '{}');
    END IF;
    RETURN stored.result;
END
$$;
REVOKE ALL ON FUNCTION usher._replay_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._replay_call(name, text, jsonb) IS
    'What replay_call() does for a caller who may speak for the extension.';
CREATE OR REPLACE FUNCTION usher.replay_call(extension name, idempotency_key text, request jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_registration_replay_call';
COMMENT ON FUNCTION usher.replay_call(name, text, jsonb) IS
    'For functions of extensions that take an idempotency key: the answer that remember_call() has stored for this '
    'key of whoever asks, or NULL when the request is new (then its key is taken) or has no key. Raises US004 when '
    'the key was used with another request, and 42501 for callers without the rights of the owner of the extension: '
    'its functions are SECURITY DEFINER. Under the name of an application whoever may call it does. Answers are kept '
    'for 30 days.';
CREATE FUNCTION usher._remember_call(extension name, idempotency_key text, result jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE usher.idempotent_calls AS c SET result = _remember_call.result
    WHERE c.registrant = _remember_call.extension AND c.actor = coalesce(usher.actor_id()::text, session_user)
        AND c.key = _remember_call.idempotency_key;
END
$$;
REVOKE ALL ON FUNCTION usher._remember_call(name, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._remember_call(name, text, jsonb) IS
    'What remember_call() does for a caller who may speak for the extension.';
CREATE OR REPLACE FUNCTION usher.remember_call(extension name, idempotency_key text, result jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'usher_registration_remember_call';
COMMENT ON FUNCTION usher.remember_call(name, text, jsonb) IS
    'Stores the answer of a call for its repetitions, in the transaction of what it did. For the same callers as '
    'replay_call().';
COMMENT ON FUNCTION usher._stand_in_hash(text) IS
    'For tests: the hash of some account that is evaluated for a name that has none, so that unknown names take the '
    'same times as known ones; NULL when there is none.';
CREATE OR REPLACE FUNCTION usher._role_id(role text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found uuid;
BEGIN
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null', '{"argument": "role"}');
    END IF;
    SELECT r.id INTO found FROM usher.roles r WHERE r.name = _role_id.role;
    IF found IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', format('role "%s" does not exist', left(role, 100)),
            jsonb_build_object('role', left(role, 100)),
            CASE WHEN role ~ '^[0-9a-f-]{36}$' THEN 'To name a user, cast the id: ''…''::uuid.' END);
    END IF;
    RETURN found;
END
$$;
CREATE OR REPLACE FUNCTION usher._check_permission_name(permission text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF permission IS NULL OR octet_length(permission) > 150
        OR permission !~ '^([a-z0-9][a-z0-9_.-]*:([a-z0-9][a-z0-9_.-]*|\*)|\*:\*)$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'permission must have the form resource:action, resource:* or *:*, of a-z, 0-9, _, '
                                  '- and .',
                                  '{"argument": "permission"}');
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher._check_grant(permission text, scope text, effect text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF permission IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'permission must not be null', '{"argument": "permission"}');
    ELSIF NOT EXISTS (SELECT FROM usher.permissions p WHERE p.name = _check_grant.permission) THEN
        PERFORM usher.raise_error('unknown_reference', format('permission "%s" does not exist', left(permission, 160)),
            jsonb_build_object('permission', left(permission, 160)), 'Create it with usher.create_permission().');
    END IF;
    IF effect IS NULL OR effect NOT IN ('allow', 'deny') THEN
        PERFORM usher.raise_error('invalid_argument', 'effect must be allow or deny', '{"argument": "effect"}');
    END IF;
    PERFORM usher._check_scope(scope);
    IF effect = 'allow' AND usher.actor_id() IS NOT NULL AND NOT usher.has_permission(permission, scope) THEN
        PERFORM usher.raise_error(
            'not_permitted', format('permission "%s" cannot be granted by somebody who does not have it', permission),
            jsonb_build_object('permission', permission));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher._check_scope(scope text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF scope = '' OR octet_length(scope) > 200 THEN
        PERFORM usher.raise_error('invalid_argument', 'scope must be null or 1 to 200 bytes long',
                                  '{"argument": "scope"}');
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher.create_role(name text, description text DEFAULT NULL, is_system boolean DEFAULT false,
                                  if_not_exists boolean DEFAULT false)
    RETURNS uuid
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_id uuid;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    IF name IS NULL OR name !~ '^[a-z][a-z0-9_-]{0,49}$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'role name must begin with a letter a-z and have at most 50 of a-z, 0-9, _ and -',
                                  '{"argument": "name"}');
    END IF;
    INSERT INTO usher.roles (name, description, is_system)
    VALUES (create_role.name, create_role.description, coalesce(create_role.is_system, false))
    ON CONFLICT ON CONSTRAINT roles_name_key DO NOTHING
    RETURNING id INTO role_id;
    IF role_id IS NULL THEN
        IF NOT coalesce(if_not_exists, false) THEN
            PERFORM usher.raise_error('already_exists', format('role "%s" already exists', name),
                                      jsonb_build_object('role', name));
        END IF;
        RETURN usher._role_id(name);
    END IF;
    PERFORM usher._log_access_change('access.role_created', jsonb_build_object('role', name), 'role', name);
    RETURN role_id;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION usher.update_role(role text, new_name text DEFAULT NULL, description text DEFAULT NULL,
                                  is_active boolean DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this uuid;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    this := usher._managed_role(role);
    PERFORM usher._require_role_within(this);
    IF new_name IS NOT NULL AND new_name !~ '^[a-z][a-z0-9_-]{0,49}$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'role name must begin with a letter a-z and have at most 50 of a-z, 0-9, _ and -',
                                  '{"argument": "new_name"}');
    END IF;
    IF EXISTS (SELECT FROM usher.roles r WHERE r.name = new_name AND r.id <> this) THEN
        PERFORM usher.raise_error('already_exists', format('role "%s" already exists', new_name),
                                  jsonb_build_object('role', new_name));
    END IF;
    UPDATE usher.roles r
    SET name = coalesce(update_role.new_name, r.name), description = coalesce(update_role.description, r.description)
    WHERE r.id = this;
    IF update_role.is_active IS NOT NULL THEN -- a statement of its own: its triggers work the closure out anew
        UPDATE usher.roles r
        SET is_active = update_role.is_active WHERE r.id = this AND r.is_active <> update_role.is_active;
    END IF;
    PERFORM usher._log_access_change('access.role_updated',
        jsonb_build_object('role', role, 'new_name', new_name, 'description', description,
                           'is_active', update_role.is_active), 'role', role);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION usher._check_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF user_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'user_id must not be null', '{"argument": "user_id"}');
    ELSIF NOT EXISTS (SELECT FROM usher.users u WHERE u.id = _check_user.user_id) THEN
        PERFORM usher.raise_error('unknown_reference', 'user does not exist', jsonb_build_object('user_id', user_id));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher.create_permission(name text, description text DEFAULT NULL,
        if_not_exists boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('role:manage');
    PERFORM usher._check_permission_name(name);
    INSERT INTO usher.permissions (name, description) VALUES (create_permission.name, create_permission.description)
    ON CONFLICT ON CONSTRAINT permissions_pkey DO NOTHING;
    -- what somebody has dropped, a script does not bring back
    IF NOT FOUND AND NOT coalesce(if_not_exists, false) AND usher._installing_extension() IS NULL THEN
        PERFORM usher.raise_error('already_exists', format('permission "%s" already exists', name),
                                  jsonb_build_object('permission', name));
    END IF;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION usher.check_access(permission text, resource jsonb DEFAULT NULL,
                                   OUT allowed boolean, OUT via text, OUT expires_at timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._check_permission_name(permission);
    IF resource IS NOT NULL AND (jsonb_typeof(resource) <> 'object' OR octet_length(resource::text) > 10000
            OR jsonb_typeof(resource -> 'scope') NOT IN ('string', 'null')
            OR octet_length(resource ->> 'scope') > 200) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'resource must be a JSON object of type, id and scope (text of at most 200 bytes)',
                                  '{"argument": "resource"}');
    END IF;
    SELECT d.allowed, d.via, d.expires_at INTO check_access.allowed, check_access.via, check_access.expires_at
    FROM usher._decide(NULL, permission, resource ->> 'scope') AS d;
    PERFORM usher._log_check(
        jsonb_strip_nulls(jsonb_build_object('permission', permission, 'scope', resource ->> 'scope',
                                             'allowed', allowed, 'via', via)),
        allowed, coalesce(left(resource ->> 'type', 100), split_part(permission, ':', 1)),
        left(resource ->> 'id', 100));
END
$$;
CREATE OR REPLACE FUNCTION usher._subject(user_id uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject uuid := coalesce(user_id, usher.actor_id());
BEGIN
    IF subject IS NULL THEN
        PERFORM usher._own_or_managed(NULL); -- raises
    ELSIF subject IS DISTINCT FROM usher.current_user_id() THEN
        PERFORM usher.require_permission('user:manage', subject);
    END IF;
    PERFORM usher._check_user(subject);
    RETURN subject;
END
$$;
CREATE FUNCTION usher._apply_presets(names text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added bigint;
    total bigint := 0;
BEGIN
    INSERT INTO usher.permissions (name, description)
    SELECT p.key, p.value
    FROM usher.role_presets AS x CROSS JOIN jsonb_each_text(x.preset -> 'permissions') AS p
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.permissions (name, description)
    SELECT DISTINCT p.name, 'Everything about ' || split_part(p.name, ':', 1)
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names) AND p.name LIKE '%:*'
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.roles (name, description, is_system)
    SELECT r.key, r.value ->> 'description', true
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
    WHERE x.name = ANY (names)
    ORDER BY x.registrant <> 'usher', x.registrant
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    -- Of several presets the first one applied says who newcomers are.
    UPDATE usher.roles AS o SET is_default = true
    WHERE NOT EXISTS (SELECT FROM usher.roles AS d WHERE d.is_default)
        AND o.name = (SELECT r.key
                      FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
                      WHERE x.name = ANY (names) AND (r.value -> 'is_default')::boolean
                      ORDER BY x.registrant <> 'usher', x.registrant, r.key LIMIT 1);
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.role_permissions (role_id, permission)
    SELECT o.id, p.name
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'permissions') AS p (name)
    WHERE x.name = ANY (names)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    INSERT INTO usher.role_management (actor_role_id, target_role_id)
    SELECT o.id, t.id
    FROM usher.role_presets AS x CROSS JOIN jsonb_each(x.preset -> 'roles') AS r
        JOIN usher.roles AS o ON o.name = r.key
        CROSS JOIN jsonb_array_elements_text(r.value -> 'manages') AS m (name)
        LEFT JOIN usher.roles AS t ON t.name = m.name
    WHERE x.name = ANY (names) AND (t.id IS NOT NULL OR m.name = '*')
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    total := total + added;
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION usher._apply_presets(text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._apply_presets(text[]) IS
    'Adds the permissions, roles, grants and management rights of registered presets that are missing; returns how '
    'many rows that took.';
CREATE OR REPLACE FUNCTION usher.apply_role_preset(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*');
    IF NOT EXISTS (SELECT FROM usher.role_presets AS p WHERE p.name = apply_role_preset.name) THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be one of ' ||
            (SELECT string_agg(DISTINCT p.name, ', ' ORDER BY p.name) FROM usher.role_presets AS p),
            '{"argument": "name"}');
    END IF;
    -- Administration is the same everywhere.
    IF usher._apply_presets(ARRAY['administration', name]) > 0 THEN
        PERFORM usher._log_access_change('access.preset_applied', '{}', 'role_preset', name);
    END IF;
END
$$;
COMMENT ON FUNCTION usher.apply_role_preset(text) IS
    'Makes the roles, permissions and management rights of a kind of application: what core and all extensions have '
    'registered in their role_presets under this name, field_service or blog, say, or carwash with bookings. Adds '
    'what is missing, so it can be repeated, and is audited when there was something to add. Needs *:*.';
CREATE OR REPLACE FUNCTION usher.create_first_admin(email text, password text, first_name text DEFAULT NULL,
                                         last_name text DEFAULT NULL, OUT error text, OUT user_id uuid)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
BEGIN
    PERFORM usher.require_permission('*:*');
    IF usher.actor_id() IS NOT NULL THEN
        PERFORM usher.raise_error('not_permitted', 'the first administrator is made by the DBA, not by a user');
    END IF;
    -- Of two at a time the second one finds what the first has made.
    LOCK TABLE usher.user_roles, usher.user_permissions IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM (SELECT r.user_id FROM usher.user_roles r
                            UNION SELECT p.user_id FROM usher.user_permissions p) AS granted
               WHERE usher.user_has_permission(granted.user_id, '*:*')) THEN
        PERFORM usher.raise_error('not_permitted', 'there is an administrator already', NULL,
                                  'Who may do everything can give others the role admin: usher.grant_role().');
    END IF;
    SELECT r.* INTO made FROM usher.register_user(email, password, first_name, last_name) r;
    error := made.error;
    IF error IS NOT NULL THEN
        RETURN;
    END IF;
    user_id := made.user_id;
    -- the DBA answers for the address
    UPDATE usher.users u SET email_verified_at = now(), status = 'active' WHERE u.id = made.user_id;
    PERFORM usher._apply_presets('{administration}');
    PERFORM usher.grant_role(made.user_id, 'admin');
    PERFORM usher._log_access_change('access.first_admin_created', '{}', 'user', made.user_id::text);
END
$$;
COMMENT ON FUNCTION usher.create_first_admin(text, text, text, text) IS
    'Opens an account that may do everything: role admin, with *:*, active, with an address that counts as verified. '
    'Works while nobody has *:*, so once; afterwards whoever has it gives it to others (42501). For the DBA: not with '
    'an identity, and over no route. error: as register_user().';
CREATE OR REPLACE FUNCTION usher.define_model(name text, definition text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    IF name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'model name must have 1 to 100 of A-Z, a-z, 0-9, _, . and -',
                                  '{"argument": "name"}');
    END IF;
    PERFORM usher._check_model(definition);
    INSERT INTO usher.policy_models AS m (name, definition, updated_by)
    VALUES (define_model.name, define_model.definition, coalesce(usher.actor_id()::text, session_user))
    ON CONFLICT ON CONSTRAINT policy_models_pkey
        DO UPDATE SET definition = excluded.definition, updated_at = now(), updated_by = excluded.updated_by;
    PERFORM usher._log_access_change('access.model_defined', jsonb_build_object('definition', definition),
                                     'policy_model', name);
END
$$;
CREATE OR REPLACE FUNCTION usher._check_policy(ptype text, v text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF ptype IS NULL OR ptype !~ '^[pg][0-9]{0,2}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'ptype must be p or g, or one of them with a number',
                                  '{"argument": "ptype"}');
    ELSIF v[1] IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'v0 must not be null', '{"argument": "v0"}');
    ELSIF EXISTS (SELECT FROM unnest(v) AS value WHERE octet_length(value) > 256) THEN
        PERFORM usher.raise_error('invalid_argument', 'v0 to v5 must not be longer than 256 bytes',
                                  '{"argument": "v0"}');
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher.load_policies(policies text) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := coalesce(usher.actor_id()::text, session_user);
    loaded integer;
BEGIN
    PERFORM usher.require_permission('policy:manage');
    PERFORM usher._require_whole(); -- a rule may give anything
    IF policies IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'policies must not be null', '{"argument": "policies"}');
    END IF;
    INSERT INTO usher.policy_rules AS p (ptype, v0, v1, v2, v3, v4, v5, created_by, updated_by)
    SELECT l.ptype, l.v[1], l.v[2], l.v[3], l.v[4], l.v[5], l.v[6], actor, actor
    FROM (SELECT DISTINCT ON (x.ptype, x.v) x.line, x.ptype, x.v
          FROM usher._policy_lines(policies) x ORDER BY x.ptype, x.v, x.line) l
    ORDER BY l.line
    ON CONFLICT ON CONSTRAINT policy_rules_ptype_v0_v1_v2_v3_v4_v5_key DO UPDATE SET is_active = true
    WHERE NOT p.is_active;
    GET DIAGNOSTICS loaded = ROW_COUNT;
    PERFORM usher._log_access_change('access.policies_loaded', jsonb_build_object('rules', loaded), 'policy', NULL);
    RETURN loaded;
END
$$;
CREATE FUNCTION usher.require_handler(handler oid, arguments text, caller oid, OUT handler_schema name,
                                      OUT handler_name name)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function pg_proc;
BEGIN
    SELECT p.* INTO function FROM pg_proc AS p WHERE p.oid = handler;
    SELECT n.nspname INTO handler_schema FROM pg_namespace AS n WHERE n.oid = function.pronamespace;
    handler_name := function.proname;
    IF handler_schema IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'handler does not exist',
                                  jsonb_build_object('handler', handler));
    ELSIF function.prokind <> 'f' OR function.prorettype <> 'void'::regtype
          OR oidvectortypes(function.proargtypes) <> regexp_replace(arguments, '\S+ (\S+)', '\1', 'g') THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('handler must be a function (%s) that returns void', arguments),
                                  '{"argument": "handler"}');
    ELSIF NOT pg_has_role(caller, function.proowner, 'USAGE') THEN
        -- It will run as its owner with arguments of anybody's choice.
        PERFORM usher.raise_error('not_permitted', 'only the owner of a function can make it a handler');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.require_handler(oid, text, oid) FROM PUBLIC;
COMMENT ON FUNCTION usher.require_handler(oid, text, oid) IS
    'For functions that take a handler, which will run as its owner: its name, as the tables keep it. Raises US005 '
    'when there is no such function, 22023 unless its arguments are those, "event text, payload jsonb" say, and it '
    'returns void, and 42501 unless it belongs to the caller. caller NULL: an extension that is being installed.';
CREATE OR REPLACE FUNCTION usher.subscribe(event text, consumer text, handler regprocedure DEFAULT NULL,
        mode text DEFAULT 'sync',
                                max_attempts integer DEFAULT 25, since timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    function_schema name;
    function_name name;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('event:manage');
        PERFORM usher._require_whole(); -- events carry what the key itself may not read
    END IF;
    IF event IS NULL OR event !~ '^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$' OR octet_length(event) > 100 THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'event must be words of a-z, 0-9 and _ joined by dots, such a name followed by '
                                  '".*", or "*"',
                                  '{"argument": "event"}');
    ELSIF consumer IS NULL OR octet_length(consumer) NOT BETWEEN 1 AND 100 THEN
        PERFORM usher.raise_error('invalid_argument', 'consumer must have 1 to 100 bytes',
                                  '{"argument": "consumer"}');
    ELSIF mode IS NULL OR mode NOT IN ('sync', 'async') THEN
        PERFORM usher.raise_error('invalid_argument', 'mode must be sync or async', '{"argument": "mode"}');
    ELSIF max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_attempts must be 1 to 1000',
                                  '{"argument": "max_attempts"}');
    ELSIF handler IS NULL AND mode = 'sync' THEN
        PERFORM usher.raise_error('invalid_argument', 'a sync subscription needs a handler',
                                  '{"argument": "handler"}');
    ELSIF since IS NOT NULL AND mode = 'sync' THEN
        PERFORM usher.raise_error('invalid_argument', 'since is for async subscriptions', '{"argument": "since"}',
                                  'A sync handler runs in the transaction that publishes: that one is over.');
    END IF;
    IF handler IS NOT NULL THEN
        SELECT h.handler_schema, h.handler_name INTO function_schema, function_name
        FROM usher.require_handler(handler, 'event text, payload jsonb', CASE
            WHEN usher._installing_extension() IS NULL THEN to_regrole(quote_ident(session_user))::oid END) AS h;
    END IF;
    INSERT INTO usher.subscriptions AS s (event, consumer, mode, handler_schema, handler_name, max_attempts, extension)
    VALUES (subscribe.event, subscribe.consumer, subscribe.mode, function_schema, function_name,
            subscribe.max_attempts, usher._installing_extension())
    ON CONFLICT ON CONSTRAINT subscriptions_event_consumer_key DO UPDATE
    SET mode = EXCLUDED.mode, handler_schema = EXCLUDED.handler_schema, handler_name = EXCLUDED.handler_name,
        max_attempts = EXCLUDED.max_attempts, is_active = true, extension = EXCLUDED.extension, updated_at = now();
    IF since IS NOT NULL THEN
        -- Waits for those who are publishing. Whoever publishes next finds the subscription (publish.cpp).
        LOCK TABLE usher.events IN SHARE MODE;
        INSERT INTO usher.deliveries (event_id, consumer, event, key)
        SELECT e.id, subscribe.consumer, e.event, e.key
        FROM usher.events e
        WHERE e.created_at >= subscribe.since
            AND (subscribe.event IN ('*', e.event)
                 OR right(subscribe.event, 2) = '.*' AND starts_with(e.event, left(subscribe.event, -1)))
            AND (usher._installing_extension() IS NULL OR e.publisher IS NOT NULL)
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
CREATE FUNCTION usher.claim_events(consumer text, max_rows integer DEFAULT 1, visibility interval DEFAULT '30 seconds')
    RETURNS TABLE (event_id uuid, event text, payload jsonb, key text, attempt integer, causation_id uuid,
                   correlation_id text, created_at timestamptz, publisher text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF claim_events.consumer IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'consumer must not be null', '{"argument": "consumer"}');
    ELSIF visibility IS NULL OR visibility < '1 second' OR visibility > '1 day' THEN
        PERFORM usher.raise_error('invalid_argument', 'visibility must be between one second and one day',
                                  '{"argument": "visibility"}');
    END IF;
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    WITH next AS (
        SELECT d.event_id
        FROM usher.deliveries d
        WHERE d.consumer = claim_events.consumer AND d.status = 'pending' AND d.visible_at <= clock_timestamp()
          -- in order within a key: nothing while an earlier one is claimed, waits for its next attempt, or is not seen
          -- as done yet
          AND (d.key IS NULL OR NOT EXISTS (
                SELECT FROM usher.deliveries e
                WHERE e.consumer = d.consumer AND e.key = d.key AND e.status = 'pending' AND e.event_id < d.event_id))
        ORDER BY d.event_id
        LIMIT claim_events.max_rows
        FOR UPDATE OF d SKIP LOCKED
    ), claimed AS (
        -- A consumer that takes an event and dies each time must not do so for ever.
        UPDATE usher.deliveries d
        SET attempts = d.attempts + (d.attempts < m.max_attempts)::integer,
            status = CASE WHEN d.attempts < m.max_attempts THEN 'pending' ELSE 'parked' END,
            error_message = CASE WHEN d.attempts < m.max_attempts THEN d.error_message
                                 ELSE coalesce(d.error_message,
                                               'claimed and neither completed nor failed, too often') END,
            visible_at = clock_timestamp() + claim_events.visibility
        FROM next, LATERAL usher._max_attempts(claim_events.consumer, (SELECT t.event FROM usher.deliveries t
                            WHERE t.event_id = next.event_id
                              AND t.consumer = claim_events.consumer)) AS m (max_attempts)
        WHERE d.event_id = next.event_id AND d.consumer = claim_events.consumer
        RETURNING d.event_id, d.attempts, d.status
    )
    SELECT c.event_id, e.event, e.payload, e.key, c.attempts, e.causation_id, e.correlation_id, e.created_at,
           e.publisher
    FROM claimed c JOIN usher.events e ON e.id = c.event_id
    WHERE c.status = 'pending'
    ORDER BY c.event_id;
END
$$;
REVOKE ALL ON FUNCTION usher.claim_events(text, integer, interval) FROM PUBLIC;
COMMENT ON FUNCTION usher.claim_events(text, integer, interval) IS
    'Hands at most max_rows events to an async consumer, oldest first, and hides them from its other workers for the '
    'visibility time; within a key one at a time. Finish each with complete_event() or fail_event(); an event that '
    'gets neither is delivered again. Whoever may call it reads every event of the consumer. publisher: the extension '
    'or application whose event it is, NULL when anybody may have published it.';
CREATE FUNCTION usher.run_event_handlers(max_rows integer DEFAULT 100, OUT handled integer, OUT failed integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    subscriber text;
    claimed record;
    claims integer;
    ran boolean;
    failure text;
    -- What handlers have done is committed when this function's caller commits: not too late.
    ends_at CONSTANT timestamptz := clock_timestamp() + interval '10 seconds';
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    handled := 0;
    failed := 0;
    FOR subscriber IN
        SELECT DISTINCT s.consumer
        FROM usher.subscriptions s JOIN pg_namespace n ON n.nspname = s.handler_schema
            JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = s.handler_name
                AND p.proargtypes = '25 3802'::oidvector
        WHERE s.mode = 'async' AND s.is_active
          AND EXISTS (SELECT FROM usher.deliveries d WHERE d.consumer = s.consumer AND d.status = 'pending')
        ORDER BY s.consumer
    LOOP
        -- One at a time, so that what the time does not suffice for is not claimed.
        LOOP
            claims := 0;
            FOR claimed IN
                SELECT c.event_id, c.attempt
                FROM usher.claim_events(subscriber, 1, '1 hour') c
            LOOP
                claims := claims + 1;
                BEGIN
                    failure := NULL;
                    ran := usher._run_event_handler(claimed.event_id, subscriber);
                EXCEPTION WHEN OTHERS OR assert_failure THEN
                    ran := false;
                    failure := SQLSTATE || ' ' || SQLERRM;
                END;
                IF ran THEN
                    PERFORM usher.complete_event(subscriber, claimed.event_id, claimed.attempt);
                    handled := handled + 1;
                ELSE
                    PERFORM usher.fail_event(subscriber, claimed.event_id,
                                             coalesce(failure, 'the handler does not exist'), claimed.attempt);
                    failed := failed + 1;
                END IF;
            END LOOP;
            IF handled + failed >= run_event_handlers.max_rows OR clock_timestamp() > ends_at THEN
                RETURN;
            END IF;
            EXIT WHEN claims = 0;
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.run_event_handlers(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_event_handlers(integer) IS
    'Calls the handlers of async subscriptions for events that wait, each in a savepoint of its own; what a handler '
    'does and that its event is done commit together. A handler that takes longer than usher.handler_timeout has '
    'failed. After ten seconds it begins no further one. The background worker does this continually; without it, any '
    'scheduler may.';
CREATE FUNCTION usher.list_parked_events(only_consumer text DEFAULT NULL, after uuid DEFAULT NULL,
                                         max_rows integer DEFAULT 100)
    RETURNS TABLE (event_id uuid, consumer text, event text, key text, attempts integer, error_message text,
                   created_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('event:manage');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT d.event_id, d.consumer, d.event, d.key, d.attempts, d.error_message, d.created_at
    FROM usher.deliveries d
    WHERE d.status = 'parked' AND (only_consumer IS NULL OR d.consumer = only_consumer)
      AND (list_parked_events.after IS NULL OR d.event_id > list_parked_events.after)
    ORDER BY d.event_id, d.consumer
    LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_parked_events(text, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_parked_events(text, uuid, integer) IS
    'Events that failed too often, by keyset: pass the last event_id as after. retry_event() puts one back.';
CREATE FUNCTION usher.event_payload(event_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.payload FROM usher.events AS e WHERE e.id = event_payload.event_id;
END;
REVOKE ALL ON FUNCTION usher.event_payload(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.event_payload(uuid) IS
    'What an event says; NULL when it is not kept any longer. For features that do later what they were told, and '
    'keep no copy of a secret until then. For the owner of the extension.';
CREATE FUNCTION usher.cut_event(event_id uuid, keys text[], consumer text) RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH cut AS (
        UPDATE usher.events AS e SET payload = e.payload - cut_event.keys
        WHERE e.id = cut_event.event_id AND e.payload ?| cut_event.keys
            AND NOT EXISTS (SELECT FROM usher.deliveries AS d
                            WHERE d.event_id = e.id AND d.status = 'pending' AND d.consumer <> cut_event.consumer)
        RETURNING 1)
    SELECT EXISTS (SELECT FROM cut);
END;
REVOKE ALL ON FUNCTION usher.cut_event(uuid, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION usher.cut_event(uuid, text[], text) IS
    'Takes secrets out of an event that a consumer is done with; false when there are none, or another consumer waits '
    'for them still. For the owner of the extension.';
COMMENT ON FUNCTION usher._writes_directly(regclass) IS
    'For tests: whether audit rows go into a partition of the log past the executor. Not with triggers, constraints '
    'or indexes of kinds that only the executor knows.';
CREATE FUNCTION usher._is_being_installed(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN usher._installing_extension() IS NOT NULL AND EXISTS (
        SELECT FROM pg_class AS c JOIN pg_type AS t ON t.oid = c.reltype
        WHERE c.oid = relation AND t.xmin = pg_current_xact_id()::xid);
END
$$;
REVOKE ALL ON FUNCTION usher._is_being_installed(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._is_being_installed(regclass) IS
    'Whether the script of an extension that runs now has just made the table.';
CREATE FUNCTION usher._note_audit(target regclass, event text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_being_installed(target) THEN -- before which there is nothing
        PERFORM usher.log_event(event, severity => 'notice', resource_type => 'audited_table',
                                resource_id => usher._table_name(target));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._note_audit(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._note_audit(regclass, text) IS
    'Notes in the log that changes of a table are audited from now on, or no longer; row_as_of() asks since when.';
CREATE OR REPLACE FUNCTION usher.enable_audit(
    relation regclass,
    exclude text[] DEFAULT '{}',
    redact text[] DEFAULT '{}',
    key text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    subject CONSTANT text[] := ARRAY(SELECT s.name FROM usher._personal_columns(relation, '{subject}') AS s);
    personal text[];
    lists jsonb;
    missing text;
    target regclass;
    begun regclass[];
BEGIN
    IF relation IS NULL OR kind IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation does not exist',
                                  jsonb_build_object('argument', 'relation', 'relation', relation::oid::text));
    ELSIF kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s is not a table', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    -- may be written in a read-only transaction
    ELSIF (SELECT c.relpersistence FROM pg_class c WHERE c.oid = relation) = 't' THEN
        PERFORM usher.raise_error('invalid_argument', format('temporary table %s cannot be audited', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    ELSIF relation = 'usher.audit_logs'::regclass
          OR relation IN (SELECT p.relid FROM pg_partition_tree('usher.audit_logs') p) THEN
        PERFORM usher.raise_error('invalid_argument', 'the audit log cannot be audited by itself',
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    -- What is registered as sensitive is never repeated in the log; what is personal only where it can be erased
    -- again, because the row says whose it is.
    exclude := coalesce(exclude, '{}');
    redact := ARRAY(
        SELECT unnest(redact)
        UNION
        SELECT p.name FROM usher._personal_columns(relation, CASE subject WHEN '{}'
            THEN '{personal,sensitive,sealed}'::text[] ELSE '{sensitive,sealed}' END) AS p
        WHERE p.name <> ALL (exclude || coalesce(key, '{}'))
        ORDER BY 1);
    personal := ARRAY(
        SELECT p.name FROM usher._personal_columns(relation, '{personal}') AS p
        WHERE p.name <> ALL (exclude || redact || coalesce(key, '{}'))
        ORDER BY 1);
    lists := jsonb_strip_nulls(jsonb_build_object('exclude', exclude, 'redact', redact, 'personal',
        CASE WHEN personal <> '{}' THEN personal END, 'subject', CASE WHEN subject <> '{}' THEN subject END,
        'key', key));
    SELECT n INTO missing FROM unnest(exclude || redact || personal || subject || coalesce(key, '{}')) n
        WHERE n IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a
            WHERE a.attrelid = relation AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s does not exist', coalesce(quote_ident(missing), 'NULL'), relation),
            jsonb_build_object('relation', relation::text, 'column', missing),
            (SELECT format('"%s" has registered it as %s: it has to register again, with the name of now.',
                           p.registrant, p.kind)
             FROM usher.personal_columns AS p
             WHERE p.column_name = missing
                 AND relation = to_regclass(format('%I.%I', usher._schema_of(p.registrant), p.table_name)) LIMIT 1));
    END IF;
    SELECT a.attname INTO missing FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = ANY (key) AND a.attgenerated = 'v' LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s is not stored and cannot be a key', missing, relation),
            jsonb_build_object('relation', relation::text, 'column', missing));
    END IF;
    SELECT d.member::text INTO missing FROM usher._descendants(relation) d WHERE d.is_foreign LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s has the foreign table %s, which cannot be audited', relation, missing),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'foreign_table', missing));
    END IF;
    -- Partitions follow their table. Those that are audited already only get other lists.
    begun := ARRAY(SELECT d.member FROM usher._descendants(relation) AS d JOIN pg_class AS c ON c.oid = d.member
                   WHERE (d.depth = 0 OR NOT c.relispartition) AND NOT usher._is_audited(d.member)
                   ORDER BY d.depth, d.member);
    -- The table first: its lock holds back whoever attaches a partition now.
    PERFORM usher._audit_table(relation, lists);
    -- A statement fires the triggers of the table that it names: partitions, and tables that inherit, get their own
    -- for statements that name them. Those that come later: usher._cover_new_tables().
    FOR target IN SELECT d.member FROM usher._descendants(relation) d WHERE d.depth > 0 LOOP
        PERFORM usher._audit_table(target, lists);
    END LOOP;
    PERFORM usher._note_audit(b.member, 'audit.enabled') FROM unnest(begun) AS b (member);
    IF EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = relation AND NOT EXISTS (
            SELECT FROM pg_trigger t
            WHERE t.tgrelid = i.inhparent AND t.tgfoid = 'usher.audit_change()'::regprocedure)) THEN
        RAISE NOTICE 'statements that name a table to which % belongs are not audited', relation
            USING HINT = 'Call usher.enable_audit() with that table.';
    END IF;
    IF usher._audit_key_problem(relation) IS NOT NULL THEN
        RAISE NOTICE 'rows of % cannot be told apart in the audit log: %', relation,
            usher._audit_key_problem(relation) USING HINT = 'Name the columns of a key: key => …';
    END IF;
END
$$;
COMMENT ON FUNCTION usher.enable_audit(regclass, text[], text[], text[]) IS
    'Audits a table, its partitions and the tables that inherit from it, also those that come later: every changed '
    'row makes a row in usher.audit_logs. Columns in exclude are left out, those in redact, and those that an '
    'extension or application has registered as sensitive, show only that they changed; so do those registered as '
    'personal, unless a column is registered as subject and says whose row it is. key names the identifying columns '
    '(default: the primary key). The lists follow columns that are renamed or dropped; when one '
    'cannot be told any more, all values are redacted. Calling it again changes the lists. Foreign tables cannot be '
    'audited. The log keeps when it began, as the event audit.enabled.';
CREATE OR REPLACE FUNCTION usher.disable_audit(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_trigger record;
    ended CONSTANT regclass[] := ARRAY(
        SELECT d.member FROM usher._descendants(relation) AS d JOIN pg_class AS c ON c.oid = d.member
        WHERE (d.depth = 0 OR NOT c.relispartition)
            AND EXISTS (SELECT FROM pg_trigger AS t
                        WHERE t.tgrelid = d.member AND t.tgfoid = 'usher.audit_change()'::regprocedure)
        ORDER BY d.depth, d.member);
BEGIN
    FOR found_trigger IN
        SELECT t.tgrelid::regclass AS target, t.tgname FROM pg_trigger t
        WHERE t.tgrelid IN (SELECT d.member FROM usher._descendants(relation) d)
          AND t.tgfoid = 'usher.audit_change()'::regprocedure
        ORDER BY t.tgrelid, t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', found_trigger.tgname, found_trigger.target);
    END LOOP;
    PERFORM usher._note_audit(e.member, 'audit.disabled') FROM unnest(ended) AS e (member);
END
$$;
COMMENT ON FUNCTION usher.disable_audit(regclass) IS
    'Ends what enable_audit() began; rows that were written stay, and so does the event audit.disabled.';
CREATE FUNCTION usher._table_name(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = relation);
END
$$;
REVOKE ALL ON FUNCTION usher._table_name(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._table_name(regclass) IS 'The name of a table with its schema, whatever search_path says.';
CREATE OR REPLACE FUNCTION usher._audit_resource(relation regclass) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN usher._table_name(coalesce(pg_partition_root(relation), relation));
END
$$;
CREATE FUNCTION usher._is_audited(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
                   WHERE t.tgrelid = relation AND t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgnargs = 1
                       AND t.tgenabled <> 'D' AND c.relkind IN ('r', 'p'));
END
$$;
REVOKE ALL ON FUNCTION usher._is_audited(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._is_audited(regclass) IS
    'Whether changes of the table are audited now. Partitions, and tables that inherit, have triggers of their own.';
CREATE FUNCTION usher._audited_since(relation regclass, instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    root CONSTANT regclass := coalesce(pg_partition_root(relation), relation);
    kind CONSTANT text := usher._audit_resource(relation);
    days CONSTANT integer := current_setting('usher.audit_retention')::integer;
    known timestamptz;
    is_known boolean := false;
    since timestamptz := '-infinity';
    last record;
BEGIN
    FOR last IN
        SELECT e.* FROM unnest(ARRAY[root, relation]) WITH ORDINALITY AS t (name, place)
            CROSS JOIN LATERAL (SELECT l.id, l.event_type, l.created_at FROM usher.audit_logs AS l
                                WHERE l.resource_type = 'audited_table' AND l.resource_id = usher._table_name(t.name)
                                    AND l.event_type IN ('audit.enabled', 'audit.disabled')
                                ORDER BY l.id DESC LIMIT 1) AS e
        WHERE t.place = 1 OR relation <> root
    LOOP
        known := last.created_at;
        IF last.event_type = 'audit.disabled' THEN -- and came back by another way
            SELECT l.created_at INTO known FROM usher.audit_logs AS l
            WHERE l.resource_type = kind AND l.source = 'trigger' AND l.id > last.id ORDER BY l.id LIMIT 1;
        END IF;
        since := greatest(since, coalesce(known, 'infinity'));
        is_known := true;
    END LOOP;
    IF NOT is_known THEN
        SELECT x.registered_at INTO known
        FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
            JOIN usher.extensions AS x ON x.extension = e.extname
        WHERE d.classid = 'pg_class'::regclass AND d.objid = root AND d.refclassid = 'pg_extension'::regclass
            AND d.deptype = 'e';
        IF known IS NULL OR known > instant THEN
            known := least(known, (SELECT l.created_at FROM usher.audit_logs AS l
                                   WHERE l.resource_type = kind AND l.source = 'trigger' ORDER BY l.id LIMIT 1));
        END IF;
        since := coalesce(known, 'infinity');
    END IF;
    RETURN CASE WHEN days > 0 THEN greatest(since, statement_timestamp() - make_interval(days => days))
                ELSE since END;
END
$$;
REVOKE ALL ON FUNCTION usher._audited_since(regclass, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._audited_since(regclass, timestamptz) IS
    'Since when the log has every change of a table that is audited: since it was enabled last, and as far back as '
    'rows are kept; infinity when nothing is known. It looks no further back than the instant needs.';
CREATE FUNCTION usher._audit_hidden(relation regclass, OUT excluded text[], OUT redacted text[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    excluded := coalesce(usher._audit_list(relation, 'exclude'), '{}');
    redacted := coalesce(usher._audit_list(relation, 'redact'), '{}')
        || ARRAY(SELECT p.name FROM usher._personal_columns(coalesce(pg_partition_root(relation), relation),
                                                            '{sensitive,sealed}') AS p);
END
$$;
REVOKE ALL ON FUNCTION usher._audit_hidden(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_hidden(regclass) IS
    'Columns that the log leaves out or redacts, by their names of now, and those that are registered as sensitive.';
CREATE FUNCTION usher._audit_mask(whole jsonb, excluded text[], redacted text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF whole ?| (excluded || redacted) THEN
        RETURN (whole || (SELECT coalesce(jsonb_object_agg(v.key, '[redacted]'::text), '{}')
                          FROM jsonb_each(whole) AS v
                          WHERE v.key = ANY (redacted) AND v.value <> 'null')) - excluded;
    END IF;
    RETURN whole;
END
$$;
REVOKE ALL ON FUNCTION usher._audit_mask(jsonb, text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_mask(jsonb, text[], text[]) IS
    'Values as the log may show them now: those that were written before a column was excluded, redacted or '
    'registered as sensitive, too.';
CREATE FUNCTION usher._has_lost_column(relation regclass) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options CONSTANT jsonb := usher._audit_options(relation);
BEGIN
    RETURN EXISTS (
        SELECT FROM unnest('{exclude,redact,personal,subject}'::text[]) AS k (list)
            CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(options -> k.list, '[]')) AS n (name)
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                          WHERE a.attrelid = relation AND a.attname = n.name AND a.attnum > 0 AND NOT a.attisdropped)
            AND NOT ((options -> 'relation') = to_jsonb(relation::oid::bigint)
                     AND coalesce(options -> 'numbers' ? n.name, false)));
END
$$;
REVOKE ALL ON FUNCTION usher._has_lost_column(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._has_lost_column(regclass) IS
    'Whether a column of the lists of an audited table cannot be told any more: then every value is redacted.';
CREATE OR REPLACE FUNCTION usher._key_object(relation regclass, key jsonb, columns text[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(key) NOT IN ('object', 'array') AND cardinality(columns) = 1 THEN
        RETURN jsonb_build_object(columns[1], key);
    ELSIF jsonb_typeof(key) <> 'object'
          OR columns IS DISTINCT FROM (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(key) k) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('key must be an object of the columns %s', array_to_string(columns, ', ')),
            jsonb_build_object('argument', 'key', 'relation', relation::text, 'columns', columns));
    END IF;
    RETURN key;
END
$$;
CREATE OR REPLACE FUNCTION usher._audit_key(relation regclass, key jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text[];
BEGIN
    IF relation IS NULL OR key IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and key must not be null',
            jsonb_build_object('argument', CASE WHEN relation IS NULL THEN 'relation' ELSE 'key' END));
    END IF;
    SELECT array_agg(k ORDER BY k) INTO columns FROM unnest(usher._audit_list(relation, 'key')) k;
    columns := coalesce(columns, usher._primary_key(relation));
    IF columns IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no key', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text),
                                  'Name one with usher.enable_audit(relation, key => …).');
    END IF;
    RETURN usher._key_object(relation, key, columns);
END
$$;
CREATE OR REPLACE FUNCTION usher.search_audit(
    actor_id uuid DEFAULT NULL,
    event_type text DEFAULT NULL,
    action text DEFAULT NULL,
    resource_type text DEFAULT NULL,
    resource_id text DEFAULT NULL,
    correlation_id text DEFAULT NULL,
    session_id uuid DEFAULT NULL,
    severity text DEFAULT NULL,
    result text DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    after uuid DEFAULT NULL,
    max_rows integer DEFAULT 50)
    RETURNS SETOF usher.audit_logs
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    session_user_id uuid;
    session_started timestamptz;
    kinds text[];
    -- Of changed rows, the name of the event says what was done.
    wanted CONSTANT text := coalesce(action, substring(event_type FROM '^row\.(.*)'));
BEGIN
    PERFORM usher.require_permission('audit:read');
    PERFORM usher.check_max_rows(max_rows);
    IF result NOT IN ('success', 'failure', 'denied') THEN
        PERFORM usher.raise_error('invalid_argument',
            'result must be success, failure or denied', '{"argument": "result"}');
    END IF;
    IF severity NOT IN ('debug', 'info', 'notice', 'warning', 'error', 'critical') THEN
        PERFORM usher.raise_error('invalid_argument',
            'severity must be debug, info, notice, warning, error or critical', '{"argument": "severity"}');
    END IF;
    IF session_id IS NOT NULL THEN -- what was done in a session was done by its user, since it began
        SELECT s.user_id, s.created_at - interval '1 minute' INTO session_user_id, session_started
        FROM usher.sessions s WHERE s.id = session_id;
    END IF;
    IF resource_id IS NOT NULL AND resource_type IS NULL THEN
        kinds := usher._audit_resource_types();
    END IF;
    PERFORM usher.log_read('audit_log', NULL,
                           jsonb_strip_nulls(jsonb_build_object('actor_id', actor_id, 'event_type', event_type,
        'resource_type', resource_type, 'resource_id', resource_id, 'correlation_id', correlation_id, 'since', since,
        'until', until)));
    -- Only the conditions that are asked for: each finds its index.
    RETURN QUERY EXECUTE concat_ws(' AND ', 'SELECT * FROM usher.audit_logs l WHERE true',
            CASE WHEN actor_id IS NOT NULL THEN 'l.actor_id = $1' END,
            CASE WHEN event_type IS NOT NULL
                     THEN 'l.event_type = $2'
                         || CASE WHEN event_type NOT LIKE 'row.%' THEN ' AND l.source <> ''trigger''' ELSE '' END END,
            CASE WHEN action IS NOT NULL THEN 'l.action = $3' END,
            CASE WHEN wanted NOT IN ('insert', 'update')
                     THEN 'l.action = $14 AND l.action <> ''insert'' AND l.action <> ''update''' END,
            CASE WHEN resource_type IS NOT NULL THEN 'l.resource_type = $4' END,
            CASE WHEN resource_id IS NOT NULL THEN 'l.resource_id = $5' END,
            CASE WHEN correlation_id IS NOT NULL THEN 'l.correlation_id = $6' END,
            CASE WHEN kinds IS NOT NULL THEN '(l.resource_type = ANY ($15) OR l.resource_type IS NULL)' END,
            CASE WHEN session_id IS NOT NULL THEN 'l.session_id = $7' END,
            CASE WHEN session_user_id IS NOT NULL
                     THEN 'l.actor_id = $16 AND l.id >= usher._first_id_at($17)' END,
            CASE WHEN severity IS NOT NULL
                     THEN 'l.severity = $8'
                         || CASE WHEN severity <> 'info' THEN ' AND l.severity <> ''info''' ELSE '' END END,
            CASE WHEN result IS NOT NULL
                     THEN 'l.result = $9'
                         || CASE WHEN result <> 'success' THEN ' AND l.result <> ''success''' ELSE '' END END,
            CASE WHEN since IS NOT NULL
                     THEN 'l.created_at >= $10 AND l.id >= usher._first_id_at($10 - interval ''1 second'')' END,
            CASE WHEN until IS NOT NULL
                     THEN 'l.created_at < $11 AND l.id < usher._first_id_at($11 + interval ''1 second'')' END,
            CASE WHEN after IS NOT NULL THEN 'l.id < $12' END)
        || ' ORDER BY l.id DESC LIMIT $13'
        USING actor_id, event_type, action, resource_type, resource_id, correlation_id, session_id, severity, result,
        since, until, after, max_rows, wanted, kinds, session_user_id, session_started;
END
$$;
CREATE FUNCTION usher._refuse_unaudited(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.raise_error('not_configured', format('relation %s is not audited', relation),
        jsonb_build_object('relation', relation::text), 'usher.enable_audit() begins it.');
END
$$;
REVOKE ALL ON FUNCTION usher._refuse_unaudited(regclass) FROM PUBLIC;
COMMENT ON FUNCTION usher._refuse_unaudited(regclass) IS 'Raises 55000: the log knows nothing of the table.';
CREATE OR REPLACE FUNCTION usher.row_history(relation regclass, key jsonb, after uuid DEFAULT NULL,
        max_rows integer DEFAULT 100)
    RETURNS TABLE (id uuid, changed_at timestamptz, action text, actor_id uuid, actor_name text, old_values jsonb,
                   new_values jsonb, correlation_id text, transaction_id bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    wanted text;
    kind text;
    hidden record;
BEGIN
    PERFORM usher.require_permission('audit:read');
    PERFORM usher.check_max_rows(max_rows);
    kind := usher._audit_resource(relation);
    IF relation IS NOT NULL AND NOT usher._is_audited(relation) AND NOT EXISTS (
        SELECT FROM usher.audit_logs AS l WHERE l.resource_type = kind AND l.source = 'trigger') THEN
        PERFORM usher._refuse_unaudited(relation);
    END IF;
    wanted := usher._audit_resource_id(relation, usher._audit_key(relation, key));
    PERFORM usher.log_read(kind, wanted, '{"question": "row_history"}');
    hidden := usher._audit_hidden(relation);
    RETURN QUERY
        SELECT l.id, l.created_at, l.action, l.actor_id, l.actor_name,
               usher._audit_mask(l.old_values, hidden.excluded, hidden.redacted),
               usher._audit_mask(l.new_values, hidden.excluded, hidden.redacted), l.correlation_id, l.transaction_id
        FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger'
          AND (row_history.after IS NULL OR l.id > row_history.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION usher.row_history(regclass, jsonb, uuid, integer) IS
    'What happened to one row, oldest first. key: an object of the key columns, or the value of the only one, such as '
    'to_jsonb(id). A change of the key itself stands under the former key. 55000 for a table that is not audited and '
    'never was. Needs audit:read.';
CREATE OR REPLACE FUNCTION usher.row_as_of(relation regclass, key jsonb, instant timestamptz) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    kind text := usher._audit_resource(relation);
    relatives CONSTANT text[] := ARRAY(SELECT usher._audit_resource(r.member)
                                       FROM usher._inheritance_relatives(relation) r);
    wanted text;
    known_since timestamptz;
    hidden record;
    whole jsonb;
    start_id uuid;
    change record;
    lost timestamptz;
    strange text;
BEGIN
    PERFORM usher.require_permission('audit:read');
    IF instant IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'instant must not be null', '{"argument": "instant"}');
    ELSIF relation IS NOT NULL AND NOT usher._is_audited(relation) THEN -- nothing is read that nobody audits
        PERFORM usher._refuse_unaudited(relation);
    END IF;
    key := usher._audit_key(relation, key);
    wanted := usher._audit_resource_id(relation, key);
    PERFORM usher.log_read(kind, wanted, '{"question": "row_as_of"}');
    IF usher._audit_key_problem(relation) IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured', format('rows of relation %s cannot be told apart in the audit log',
            relation), jsonb_build_object('relation', relation::text, 'problem', usher._audit_key_problem(relation)),
            'Name the columns of a key with usher.enable_audit(relation, key => …).');
    END IF;
    IF usher._has_lost_column(relation) THEN
        PERFORM usher.raise_error('not_configured', format('audit of relation %s redacts every value', relation),
            jsonb_build_object('relation', relation::text),
            'Call usher.enable_audit() again, with the columns that are meant.');
    END IF;
    known_since := usher._audited_since(relation, instant);
    hidden := usher._audit_hidden(relation);

    SELECT x.id, x.new_values INTO start_id, whole FROM (
        (SELECT l.id, l.new_values FROM usher.audit_logs l
         WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger'
             AND l.action IN ('insert', 'delete') AND l.created_at <= instant AND l.created_at >= known_since
         ORDER BY l.id DESC LIMIT 1)
        UNION ALL
        (SELECT l.id, l.new_values FROM usher.audit_logs l
         WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action = 'truncate'
             AND l.created_at <= instant AND l.created_at >= known_since
         ORDER BY l.id DESC LIMIT 1)) AS x
    ORDER BY x.id DESC LIMIT 1;

    -- Changes that may have been this row's, and do not say so: an answer without them would be wrong.
    SELECT l.created_at INTO lost FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action <> 'truncate'
          AND CASE WHEN start_id IS NULL THEN l.created_at > instant
                   ELSE l.id > start_id AND l.created_at <= instant END
        ORDER BY l.id DESC LIMIT 1;
    IF lost IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured', format('changes of relation %s were audited without a key',
            relation), jsonb_build_object('relation', relation::text, 'until', lost),
            'Only what came later can be asked for.');
    END IF;
    SELECT l.resource_type INTO strange FROM usher.audit_logs l
        WHERE l.resource_type = ANY (relatives) AND (l.resource_id = wanted OR l.resource_id IS NULL)
          AND l.source = 'trigger'
          AND CASE WHEN start_id IS NULL THEN l.created_at > instant
                   ELSE l.id > start_id AND l.created_at <= instant END
        ORDER BY l.id DESC LIMIT 1;
    IF strange IS NOT NULL THEN
        PERFORM usher.raise_error('not_configured',
            format('rows of relation %s were changed by statements that name %s', relation, strange),
            jsonb_build_object('relation', relation::text, 'named', strange),
            'Tables that inherit have a history for each name: ask usher.row_history() of both.');
    END IF;

    IF instant < least(known_since, statement_timestamp())
       OR isfinite(instant) AND EXISTS (SELECT FROM usher.audit_seals AS s WHERE s.retired_at IS NOT NULL
                                            AND s.until_id > usher._first_id_at(instant)) THEN
        PERFORM usher.raise_error('not_configured',
            format('the audit log does not reach back so far for relation %s', relation),
            jsonb_build_object('relation', relation::text,
                               'since', CASE WHEN isfinite(known_since) THEN known_since END),
            'It was not audited yet, or not at that time, or rows of then have been retired.');
    END IF;

    IF start_id IS NOT NULL THEN -- deleted or truncated: whole is NULL and stays so
        FOR change IN SELECT l.new_values FROM usher.audit_logs l
            WHERE l.resource_type = kind AND l.resource_id = wanted AND l.action = 'update' AND l.source = 'trigger'
              AND l.id > start_id AND l.created_at <= instant ORDER BY l.id
        LOOP
            whole := whole || change.new_values;
        END LOOP;
        RETURN usher._audit_mask(whole, hidden.excluded, hidden.redacted);
    END IF;

    whole := usher._audit_form(relation,
        format('SELECT (t.*)::%1$s FROM %1$s t JOIN jsonb_populate_record(NULL::%1$s, $1) k ON %2$s', relation,
               (SELECT string_agg(format('t.%1$I = k.%1$I', c), ' AND ') FROM jsonb_object_keys(key) c)), key);
    IF whole ->> (usher._audit_list(relation, 'subject'))[1] IS NULL THEN -- nobody's row, which nobody can erase
        hidden.redacted := hidden.redacted || coalesce(usher._audit_list(relation, 'personal'), '{}');
    END IF;
    whole := usher._audit_mask(whole, hidden.excluded, hidden.redacted);
    FOR change IN
        SELECT l.id, l.action, l.old_values FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id = wanted AND l.source = 'trigger' AND l.created_at > instant
        UNION ALL
        SELECT l.id, l.action, l.old_values FROM usher.audit_logs l
        WHERE l.resource_type = kind AND l.resource_id IS NULL AND l.source = 'trigger' AND l.action = 'truncate'
            AND l.created_at > instant
        ORDER BY id DESC
    LOOP
        CASE change.action
            WHEN 'insert' THEN whole := NULL;
            WHEN 'delete' THEN whole := change.old_values;
            WHEN 'truncate' THEN whole := NULL; -- what it held is not known
            ELSE whole := whole || change.old_values;
        END CASE;
    END LOOP;
    RETURN usher._audit_mask(whole, hidden.excluded, hidden.redacted);
END
$$;
COMMENT ON FUNCTION usher.row_as_of(regclass, jsonb, timestamptz) IS
    'An audited row as it was at an instant; NULL when it did not exist. Excluded columns are left out, and sensitive '
    'ones redacted. 55000 when the log does not say: tables that are not audited, instants before they were (again), '
    'rows without a key, a key that is redacted, changes under the name of another table of the same inheritance. '
    'Needs audit:read.';
CREATE OR REPLACE FUNCTION usher._maintain_audit_partitions(months_ahead integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '500ms'
AS $$
DECLARE
    month timestamptz;
    made integer := 0;
    has_failed boolean := false;
BEGIN
    IF NOT pg_try_advisory_xact_lock('usher.audit_logs'::regclass::oid::integer, 1) THEN
        RETURN 0; -- somebody else is at it
    END IF;
    FOR ahead IN 0 .. months_ahead LOOP
        month := date_trunc('month', clock_timestamp()) + make_interval(months => ahead);
        BEGIN -- one month's trouble is not that of the next
            made := made + usher._make_audit_partition(month)::integer;
        EXCEPTION
            WHEN lock_not_available THEN
                EXIT;
            WHEN OTHERS OR assert_failure THEN
                RAISE WARNING 'no partition of the audit log could be made for %: % (%)', to_char(month, 'YYYY-MM'),
                    SQLERRM, SQLSTATE;
                has_failed := true;
        END;
    END LOOP;
    RETURN CASE WHEN NOT has_failed THEN made END;
END
$$;
CREATE OR REPLACE FUNCTION usher._archive_audit_rows(partition_table regclass, since timestamptz, until timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named CONSTANT text := current_setting('usher.audit_archive_function');
    hook regprocedure;
BEGIN
    IF named = '' THEN
        RETURN true;
    END IF;
    hook := to_regprocedure(named || '(regclass, timestamptz, timestamptz)');
    IF hook IS NULL THEN
        RAISE WARNING 'usher.audit_archive_function % (regclass, timestamptz, timestamptz) does not exist: % is kept',
            named, partition_table;
        RETURN false;
    END IF;
    PERFORM usher._call_archive_function(hook, partition_table, since, until);
    RETURN true;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    RAISE WARNING 'usher.audit_archive_function failed: % is kept: %', partition_table, SQLERRM;
    RETURN false;
END
$$;
CREATE OR REPLACE FUNCTION usher.enable_updated_at(relation regclass, column_name name DEFAULT 'updated_at',
                                        skip_unchanged boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    base_type oid;
    generated "char";
    target regclass;
    is_first boolean;
BEGIN
    IF relation IS NULL OR kind IS NULL OR kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s is not a table', coalesce(relation::text, 'NULL')),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, a.attgenerated INTO base_type, generated
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF base_type IS NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s does not exist', coalesce(column_name, 'NULL'), relation),
            jsonb_build_object('argument', 'column_name', 'relation', relation::text, 'column', column_name));
    ELSIF base_type NOT IN ('timestamptz'::regtype, 'timestamp'::regtype) OR generated <> '' THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %I of relation %s must be a plain timestamptz or timestamp', column_name, relation),
            jsonb_build_object('argument', 'column_name', 'relation', relation::text, 'column', column_name));
    END IF;
    FOREACH is_first IN ARRAY '{true,false}'::boolean[] LOOP -- its lock holds back whoever makes a child now
        FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m WHERE (m.member = relation) = is_first
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.set_updated_at(%L%s)',
                usher._updated_at_trigger_name(column_name), target, column_name,
                CASE WHEN skip_unchanged THEN ', ''skip_unchanged''' ELSE '' END);
        END LOOP;
    END LOOP;
    PERFORM usher._tell_foreign_tables(relation);
END
$$;
CREATE OR REPLACE FUNCTION usher.disable_updated_at(relation regclass, column_name name DEFAULT 'updated_at')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    IF column_name IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'column_name must not be null',
                                  '{"argument": "column_name"}');
    END IF;
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', usher._updated_at_trigger_name(column_name), target);
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION usher.enable_soft_delete(relation regclass, mode text DEFAULT 'deactivate',
                                         event_prefix text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = relation);
    view_name text;
    columns text[];
    wrong text;
    reader record;
    target regclass;
BEGIN
    IF relation IS NULL OR kind IS NULL OR kind NOT IN ('r', 'p') THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s is not a table', coalesce(relation::text, 'NULL')),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    ELSIF mode IS NULL OR mode NOT IN ('deactivate', 'refuse', 'allow') THEN
        PERFORM usher.raise_error('invalid_argument', 'mode must be deactivate, refuse or allow',
                                  '{"argument": "mode"}');
    ELSIF event_prefix !~ '^[a-z0-9_]+(\.[a-z0-9_]+)*$' OR octet_length(event_prefix) > 80 THEN
        PERFORM usher.raise_error('invalid_argument', 'event_prefix must be words of a-z, 0-9 and _ joined by dots',
                                  '{"argument": "event_prefix"}');
    ELSIF event_prefix IS NOT NULL AND coalesce(cardinality(usher._primary_key(relation)), 0) <> 1 THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s must have a primary key of one column for its events', relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    SELECT d.member::text INTO wrong FROM usher._descendants(relation) d WHERE d.is_foreign LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('relation %s has the foreign table %s, whose rows cannot be kept', relation, wrong),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'foreign_table', wrong));
    END IF;
    view_name := usher._active_view_name(relation);
    SELECT array_agg(a.attname::text) INTO columns FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname IN ('is_active', 'deleted_at') AND a.attnum > 0
          AND NOT a.attisdropped;
    SELECT a.attname INTO wrong FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
          AND (a.attname, a.atttypid, a.attgenerated) NOT IN (('is_active', 'boolean'::regtype, ''),
                                                              ('deleted_at', 'timestamptz'::regtype, ''))
          AND a.attname = ANY (columns);
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s must be a plain boolean (is_active) or timestamptz (deleted_at)',
                   wrong, relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'column', wrong));
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS is_active boolean NOT NULL DEFAULT true, '
                   'ADD COLUMN IF NOT EXISTS deleted_at timestamptz', relation);
    IF 'is_active' = ANY (columns) THEN
        EXECUTE format('UPDATE %s SET is_active = true WHERE is_active IS NULL', relation);
        EXECUTE format('UPDATE %s SET deleted_at = CASE WHEN is_active THEN NULL ELSE now() END WHERE is_active = '
                       '(deleted_at IS NOT NULL)', relation);
        EXECUTE format('ALTER TABLE %s ALTER COLUMN is_active SET NOT NULL, ALTER COLUMN is_active SET DEFAULT true',
                       relation);
    END IF;
    -- after other BEFORE triggers (by name): what they leave is what counts
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER usher_soft_delete BEFORE INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION usher.soft_delete(%L)', target, mode);
        IF event_prefix IS NULL THEN
            IF EXISTS (SELECT FROM pg_trigger t
                       WHERE t.tgrelid = target AND t.tgname = 'usher_announce_soft_delete') THEN
                EXECUTE format('DROP TRIGGER usher_announce_soft_delete ON %s', target);
            END IF;
        ELSE
            EXECUTE format('CREATE OR REPLACE TRIGGER usher_announce_soft_delete AFTER UPDATE ON %s '
                           'FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) '
                           'EXECUTE FUNCTION usher.announce_soft_delete(%L)', target, event_prefix);
        END IF;
    END LOOP;
    FOR target IN SELECT d.member FROM usher._descendants(relation) d LOOP
        IF mode = 'allow' THEN
            EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete_truncate ON %s', target);
        ELSE
            EXECUTE format('CREATE OR REPLACE TRIGGER usher_soft_delete_truncate BEFORE TRUNCATE ON %s '
                           'FOR EACH STATEMENT EXECUTE FUNCTION usher.soft_delete(%L)', target, mode);
        END IF;
    END LOOP;
    -- with the reader's own rights and row-level security on the table
    EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT %s FROM %s WHERE is_active',
        view_name,
        (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped), relation);
    EXECUTE format('COMMENT ON VIEW %s IS %L', view_name, format('Rows of %s that are not deleted.', relation));
    FOR reader IN SELECT DISTINCT x.grantee FROM pg_class c, aclexplode(c.relacl) x
        WHERE c.oid = relation AND x.privilege_type = 'SELECT' AND x.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %s', view_name,
                       CASE reader.grantee WHEN 0 THEN 'PUBLIC' ELSE reader.grantee::regrole::text END);
    END LOOP;
    RETURN view_name;
END
$$;
CREATE OR REPLACE FUNCTION usher.disable_soft_delete(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    IF relation IS NULL OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation) THEN
        PERFORM usher.raise_error('invalid_argument', 'relation does not exist', '{"argument": "relation"}');
    END IF;
    FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete ON %s', target);
        EXECUTE format('DROP TRIGGER IF EXISTS usher_announce_soft_delete ON %s', target);
    END LOOP;
    FOR target IN SELECT d.member FROM usher._descendants(relation) d WHERE NOT d.is_foreign LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS usher_soft_delete_truncate ON %s', target);
    END LOOP;
    EXECUTE format('DROP VIEW IF EXISTS %s', usher._active_view_name(relation));
END
$$;
CREATE OR REPLACE FUNCTION usher._row_condition(relation regclass, key jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text[] := usher._primary_key(relation);
BEGIN
    IF relation IS NULL OR key IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and key must not be null',
            jsonb_build_object('argument', CASE WHEN relation IS NULL THEN 'relation' ELSE 'key' END));
    END IF;
    IF columns IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no primary key', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text));
    END IF;
    key := usher._key_object(relation, key, columns);
    -- Literals of unknown type: they take the types of their columns, so that the index is used.
    RETURN (SELECT string_agg(format('t.%I = %L', k.key, k.value), ' AND ') FROM jsonb_each_text(key) k);
END
$$;
CREATE OR REPLACE FUNCTION usher._soft_row_condition(relation regclass, key jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    condition CONSTANT text := usher._row_condition(relation, key);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = relation AND a.attname = 'is_active' AND a.atttypid = 'boolean'::regtype) THEN
        PERFORM usher.raise_error('invalid_argument', format('relation %s has no soft delete', relation),
                                  jsonb_build_object('argument', 'relation', 'relation', relation::text),
                                  'Set it up with usher.enable_soft_delete().');
    END IF;
    RETURN condition;
END
$$;
CREATE OR REPLACE FUNCTION usher.add_unique_among_active(relation regclass, columns text[]) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
    index_name text;
    table_name text := (SELECT c.relname FROM pg_class c WHERE c.oid = relation);
    schema_name text := (SELECT n.nspname
                         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation);
BEGIN
    IF table_name IS NULL OR columns IS NULL OR cardinality(columns) = 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'relation and at least one column are needed',
            jsonb_build_object('argument', CASE WHEN table_name IS NULL THEN 'relation' ELSE 'columns' END));
    END IF;
    SELECT n INTO missing FROM unnest(columns || 'is_active'::text) n
        WHERE n IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = n
                                         AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column %s of relation %s does not exist', coalesce(quote_ident(missing), 'NULL'), relation),
            jsonb_build_object('argument', 'columns', 'relation', relation::text, 'column', missing));
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = relation AND a.attname = 'is_active' AND a.atttypid = 'boolean'::regtype) THEN
        PERFORM usher.raise_error('invalid_argument',
            format('column is_active of relation %s must be a boolean', relation),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'column', 'is_active'));
    END IF;
    index_name := table_name || '_active_' || array_to_string(columns, '_') || '_key';
    IF octet_length(index_name) > 63 THEN
        index_name := 'usher_active_' || md5(index_name);
    END IF;
    EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS %I ON %s (%s) WHERE is_active', index_name, relation,
        (SELECT string_agg(quote_ident(c), ', ' ORDER BY o) FROM unnest(columns) WITH ORDINALITY AS u (c, o)));
    RETURN format('%I.%I', schema_name, index_name);
END
$$;
CREATE OR REPLACE FUNCTION usher.enable_entity(relation regclass, audit boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF relation IS NULL OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p')) THEN
        PERFORM usher.raise_error('invalid_argument',
                                  format('relation %s is not a table', coalesce(relation::text, 'NULL')),
                                  '{"argument": "relation"}');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisprimary) THEN
        EXECUTE format('ALTER TABLE %s ADD COLUMN id uuid NOT NULL DEFAULT usher.uuid_v7() PRIMARY KEY', relation);
    END IF;
    EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(), '
                   'ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()', relation);
    PERFORM usher.enable_soft_delete(relation);
    PERFORM usher.enable_updated_at(relation);
    IF audit THEN
        PERFORM usher.enable_audit(relation);
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher.attach_machine(machine text, relation regclass, column_name name,
        options jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    strange text;
    target regclass;
    is_first boolean;
BEGIN
    PERFORM usher._check_attachment(machine, relation, column_name, coalesce(options, '{}'));
    EXECUTE format('SELECT coalesce(t.%1$I::text, ''NULL'') FROM %2$s t WHERE t.%1$I IS NULL OR NOT t.%1$I::text = '
                   'ANY ($1) LIMIT 1',
                   column_name, relation)
        INTO strange USING usher.machine_statuses(machine);
    IF strange IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', format(
            'relation %s has rows with status "%s", which machine "%s" does not know', relation, strange, machine),
            jsonb_build_object('argument', 'relation', 'relation', relation::text, 'status', strange,
                               'machine', machine));
    END IF;
    FOREACH is_first IN ARRAY '{true,false}'::boolean[] LOOP -- its lock holds back whoever makes a child now
        FOR target IN SELECT m.member FROM usher._row_trigger_tables(relation) m WHERE (m.member = relation) = is_first
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.check_transition(%L, %L, %L)', usher._machine_trigger_name('check', column_name),
                target, machine, column_name, coalesce(options, '{}'));
            EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION '
                           'usher.record_transition(%L, %L, %L)', usher._machine_trigger_name('record', column_name),
                target, machine, column_name, coalesce(options, '{}'));
        END LOOP;
    END LOOP;
    PERFORM usher._tell_foreign_tables(relation);
END
$$;
CREATE OR REPLACE FUNCTION usher.apply_machine_preset(name text, machine text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    preset jsonb := usher.machine_preset(name);
BEGIN
    IF preset IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be post, order or work_order',
                                  '{"argument": "name"}');
    END IF;
    RETURN usher.define_machine(coalesce(machine, name), preset);
END
$$;
CREATE OR REPLACE FUNCTION usher.define_rate_limit(policy text, algorithm text, max_hits integer, period interval,
                                        block_for interval DEFAULT NULL, tiers jsonb DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- the CHECKs of the table have them too
    most_hits CONSTANT integer := 1000000;
    longest CONSTANT interval := '366 days';
    tier record;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.require_permission('limit:manage');
    END IF;
    IF policy IS NULL OR policy !~ '^[a-z0-9_.:-]{1,100}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'policy must have 1 to 100 characters of a-z, 0-9 and _ . : -',
                                  '{"argument": "policy"}');
    ELSIF algorithm IS NULL OR algorithm <> ALL (usher._algorithms('rate_limit')) THEN
        PERFORM usher.raise_error('invalid_argument',
            'algorithm must be one of ' || array_to_string(usher._algorithms('rate_limit'), ', '),
            '{"argument": "algorithm"}');
    ELSIF max_hits IS NULL OR max_hits NOT BETWEEN 1 AND most_hits THEN
        PERFORM usher.raise_error('invalid_argument', format('max_hits must be 1 to %s', most_hits),
                                  '{"argument": "max_hits"}');
    ELSIF period IS NULL OR period < '1 second' OR period > longest THEN
        PERFORM usher.raise_error('invalid_argument', 'period must be one second to 366 days',
                                  '{"argument": "period"}');
    ELSIF block_for < '1 second' OR block_for > longest THEN
        PERFORM usher.raise_error('invalid_argument', 'block_for must be one second to 366 days',
                                  '{"argument": "block_for"}');
    ELSIF tiers IS NULL OR jsonb_typeof(tiers) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'tiers must be an object of tiers and their max_hits',
                                  '{"argument": "tiers"}');
    END IF;
    FOR tier IN SELECT t.key, t.value FROM jsonb_each(tiers) t LOOP
        IF tier.key !~ '^[A-Za-z0-9_-]{1,20}$' OR jsonb_typeof(tier.value) <> 'number'
           OR tier.value::text !~ '^[1-9][0-9]{0,6}$' OR tier.value::integer > most_hits THEN
            PERFORM usher.raise_error('invalid_argument',
                                      format('tier "%s" must have max_hits of 1 to %s', left(tier.key, 100),
                                             most_hits),
                                      '{"argument": "tiers"}');
        END IF;
    END LOOP;
    INSERT INTO usher.rate_limit_policies AS p (policy, algorithm, max_hits, period, block_for, tiers, extension)
    VALUES (define_rate_limit.policy, define_rate_limit.algorithm,
            define_rate_limit.max_hits, define_rate_limit.period, define_rate_limit.block_for, define_rate_limit.tiers,
            usher._installing_extension())
    ON CONFLICT ON CONSTRAINT rate_limit_policies_pkey DO UPDATE
    SET algorithm = EXCLUDED.algorithm, max_hits = EXCLUDED.max_hits, period = EXCLUDED.period,
        block_for = EXCLUDED.block_for, tiers = EXCLUDED.tiers, extension = EXCLUDED.extension, updated_at = now();
END
$$;
CREATE OR REPLACE FUNCTION usher._own_or_managed(user_id uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me CONSTANT uuid := usher.actor_id();
BEGIN
    IF coalesce(_own_or_managed.user_id, me) = me THEN
        RETURN usher._require_person(); -- the account itself is not what a machine's key is for
    END IF;
    IF _own_or_managed.user_id IS NULL THEN
        PERFORM usher.raise_error('authentication_required', 'no valid identity', NULL,
                                  'Call usher.authenticate() with an access token in this transaction, or name a '
                                  'user.');
    END IF;
    PERFORM usher.require_permission('user:manage', _own_or_managed.user_id);
    IF NOT EXISTS (SELECT FROM usher.users u WHERE u.id = _own_or_managed.user_id) THEN
        PERFORM usher._raise_unknown_user(_own_or_managed.user_id);
    END IF;
    RETURN _own_or_managed.user_id;
END
$$;
COMMENT ON FUNCTION usher._own_or_managed(uuid) IS
    'The user that a call is about: the current one when NULL; another one only for those who may manage them '
    '(42501), and if there is one (US005). An API key does not reach the account that it acts for (US103).';
CREATE OR REPLACE FUNCTION usher._raise_unknown_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.raise_error('unknown_reference', 'user does not exist',
                              jsonb_build_object('user_id', _raise_unknown_user.user_id, 'reference', 'user',
                                                 'id', _raise_unknown_user.user_id));
END
$$;
CREATE OR REPLACE FUNCTION usher.revoke_session(session_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT s.user_id INTO owner FROM usher.sessions s WHERE s.id = revoke_session.session_id;
    IF owner IS NULL OR owner IS DISTINCT FROM usher.actor_id() OR usher.current_api_key_id() IS NOT NULL THEN
        IF usher.actor_id() IS NULL OR usher.has_permission('user:manage') THEN
            PERFORM usher.require_permission('user:manage', owner);
        ELSE
            owner := NULL; -- others' sessions do not exist for an ordinary user
        END IF;
    END IF;
    IF owner IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'session does not exist',
                                  jsonb_build_object('session_id', revoke_session.session_id, 'reference', 'session',
                                                 'id', revoke_session.session_id));
    END IF;
    PERFORM usher._end_sessions(owner, revoke_session.session_id, NULL,
                                CASE WHEN owner = usher.actor_id() THEN 'ended_by_user'
                                     ELSE 'ended_by_administrator' END);
    PERFORM usher._end_pending(owner); -- whoever had that session may have begun something else
END
$$;
CREATE OR REPLACE FUNCTION usher.get_me(
    OUT user_id uuid, OUT email text, OUT email_verified boolean, OUT username text, OUT first_name text,
    OUT last_name text, OUT name text, OUT phone text, OUT status text, OUT tier text, OUT role text,
    OUT roles text[], OUT permissions text[], OUT profile jsonb, OUT preferences jsonb, OUT session_id uuid,
    OUT last_login_at timestamptz, OUT created_at timestamptz, OUT version integer)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- the latter only to raise
    target CONSTANT uuid := coalesce(usher.actor_id(), usher._require_person());
    kept CONSTANT record := usher._kept_access(target);
BEGIN
    permissions := kept.permissions;
    IF usher.current_api_key_id() IS NOT NULL THEN
        -- what it, or its token, was given, where its user has more: booking:read of booking:*
        permissions := ARRAY(
            SELECT p.name
            FROM (SELECT unnest(kept.permissions) AS name
                  UNION
                  SELECT k.name FROM jsonb_array_elements_text(coalesce(usher.current_claims() -> 'permissions',
                      to_jsonb(string_to_array(usher.current_claims() ->> 'scope', ' ')))) AS k (name)
                  WHERE usher.has_permission_somewhere(k.name)) AS p
            ORDER BY p.name COLLATE "C");
        IF usher.current_user_id('user:read') IS NULL THEN
            -- a key for something else learns whom it acts for and what it may
            SELECT u.id, u.status::text INTO user_id, status FROM usher.users u WHERE u.id = target;
            RETURN;
        END IF;
    END IF;
    role := kept.role;
    roles := kept.roles;
    session_id := usher.current_session_id();
    SELECT u.id, u.email::text, u.email_verified_at IS NOT NULL, u.username::text, u.first_name, u.last_name,
           u.display_name, u.phone, u.status::text, u.tier::text, u.profile, u.preferences, u.last_login_at,
           u.created_at, u.version
    INTO user_id, email, email_verified, username, first_name, last_name, name, phone, status, tier, profile,
         preferences, last_login_at, created_at, version
    FROM usher.users u WHERE u.id = target;
END
$$;
CREATE FUNCTION usher.list_users(only_status text DEFAULT NULL, only_tier text DEFAULT NULL,
                                 after uuid DEFAULT NULL, max_rows integer DEFAULT 50)
    RETURNS TABLE (user_id uuid, email text, username text, name text, status text, tier text, role text,
                   last_login_at timestamptz, created_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    page uuid[];
BEGIN
    PERFORM usher.require_permission('user:manage');
    PERFORM usher.check_max_rows(max_rows);
    IF only_status NOT IN ('pending', 'active', 'deactivated', 'deleted', 'erased') THEN
        PERFORM usher.raise_error('invalid_argument',
            'only_status must be pending, active, deactivated, deleted or erased', '{"argument": "only_status"}');
    END IF;
    PERFORM usher.log_read('user', NULL, jsonb_strip_nulls(
        jsonb_build_object('status', only_status, 'tier', only_tier, 'after', after, 'max_rows', max_rows)));
    page := ARRAY(
        SELECT u.id FROM usher.users u
        WHERE (only_status IS NULL OR u.status = only_status) AND (only_tier IS NULL OR u.tier = only_tier)
          AND (after IS NULL OR u.id < after)
        ORDER BY u.id DESC LIMIT max_rows);
    RETURN QUERY
    SELECT u.id, u.email::text, u.username::text, u.display_name, u.status, u.tier::text, r.role, u.last_login_at,
           u.created_at
    FROM usher.users u LEFT JOIN usher._primary_roles(page) AS r ON r.user_id = u.id
    WHERE u.id = ANY (page) ORDER BY u.id DESC;
END
$$;
REVOKE ALL ON FUNCTION usher.list_users(text, text, uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_users(text, text, uuid, integer) IS
    'Users, newest first (user:manage). after: the last id of the page before.';
CREATE OR REPLACE FUNCTION usher.search_users(search text, max_rows integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    query CONSTANT tsquery := usher.name_query(search);
BEGIN
    IF max_rows IS NULL OR max_rows < 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must not be null or below 0',
                                  '{"argument": "max_rows"}');
    END IF;
    RETURN QUERY
    SELECT u.id FROM usher.users u WHERE usher.name_key(u.email::text) = usher.name_key(search)
    UNION
    (SELECT u.id FROM usher.users u WHERE usher.name_words(u.display_name) @@ query LIMIT max_rows);
END
$$;
CREATE OR REPLACE FUNCTION usher.expected_users(search text) RETURNS bigint
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    accounts CONSTANT real := (SELECT c.reltuples FROM pg_class c WHERE c.oid = 'usher.users'::regclass);
    fraction real;
BEGIN
    -- The planner itself does not look for the beginnings of words in these. A word that begins none of them is rare.
    SELECT min(least(1, coalesce(found.frequency, 0)))
    INTO fraction
    FROM (SELECT sum(e.frequency) FILTER (WHERE starts_with(e.word, w.word)) AS frequency
          FROM pg_stats s
              CROSS JOIN unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS e (word, frequency)
              CROSS JOIN unnest(tsvector_to_array(usher.name_words(search))) AS w (word)
          WHERE s.schemaname = 'usher' AND s.tablename = 'users_name_idx'
          GROUP BY w.word) AS found;
    RETURN greatest(0, coalesce(fraction, 0) * accounts)::bigint;
END
$$;
CREATE FUNCTION usher.user_contact(id uuid, OUT is_active boolean, OUT email text, OUT is_verified boolean,
                                   OUT name text, OUT language text, OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT u.is_active, u.email, u.email_verified_at IS NOT NULL, u.display_name,
           coalesce(u.preferences ->> 'language', u.profile ->> 'language'),
           coalesce(u.preferences ->> 'time_zone', u.profile ->> 'time_zone')
    INTO is_active, email, is_verified, name, language, time_zone
    FROM usher.users u WHERE u.id = user_contact.id;
END
$$;
REVOKE ALL ON FUNCTION usher.user_contact(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.user_contact(uuid) IS
    'Where, in which language and in which time zone to write to a user, the last two as their preferences or their '
    'profile have them ("language": a tag such as de or de-AT, "time_zone": Europe/Vienna), unchecked. For features '
    'that write to users.';
CREATE FUNCTION usher.customer_contact(id uuid, OUT user_id uuid, OUT name text, OUT email text, OUT language text,
                                       OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT u.id INTO user_id FROM usher.users AS u WHERE u.id = customer_contact.id;
    IF NOT FOUND THEN
        SELECT c.user_id, c.name, c.email, c.language, c.time_zone INTO user_id, name, email, language, time_zone
        FROM jsonb_to_record(usher._first_answer('contact', customer_contact.id))
            AS c (user_id uuid, name text, email text, language text, time_zone text);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.customer_contact(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.customer_contact(uuid) IS
    'Where, in which language and in which time zone to write to a customer, as the first feature says that knows '
    'them (hook contact); user_id: the customer has an account, and user_contact() says how to write to it. NULLs '
    'when nobody knows the customer, or they are not active. name: only one that strangers cannot have chosen. '
    'For features that write to customers.';
CREATE FUNCTION usher.location_reference(id uuid, OUT name text, OUT time_zone text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT l.name, l.time_zone INTO name, time_zone
    FROM jsonb_to_record(usher._first_answer('location', location_reference.id)) AS l (name text, time_zone text);
END
$$;
REVOKE ALL ON FUNCTION usher.location_reference(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.location_reference(uuid) IS
    'What a location is called, and the time zone of its clocks, as the first feature says that knows it (hook '
    'location); NULLs when nobody does. For features that write to customers.';
CREATE FUNCTION usher.purchase_of(reference_type text, id uuid, OUT customer_id uuid, OUT user_id uuid,
                                  OUT amount_minor bigint, OUT currency text, OUT location_id uuid,
                                  OUT service_id uuid, OUT lines jsonb, OUT takes_place_at timestamptz,
                                  OUT is_open boolean)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT p.customer_id, p.user_id, p.amount_minor, p.currency, p.location_id, p.service_id,
           coalesce(p.lines, '[]'), p.takes_place_at, coalesce(p.is_open, true)
    INTO customer_id, user_id, amount_minor, currency, location_id, service_id, lines, takes_place_at, is_open
    FROM jsonb_to_record(usher._first_answer('purchase', purchase_of.id, jsonb_build_object('reference_type',
            coalesce(purchase_of.reference_type, ''))))
        AS p (customer_id uuid, user_id uuid, amount_minor bigint, currency text, location_id uuid, service_id uuid,
              lines jsonb, takes_place_at timestamptz, is_open boolean)
    WHERE p.customer_id IS NOT NULL AND p.amount_minor IS NOT NULL AND p.currency IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION usher.purchase_of(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.purchase_of(text, uuid) IS
    'Who buys what under this id, for how much and where, as the first feature says that sells it (hook purchase); '
    'NULLs when nobody does. amount_minor is what it costs before discounts, lines are as order.placing has them, '
    'takes_place_at is when it is for, if not for now, is_open whether it can still become cheaper. For features '
    'that give discounts.';
CREATE OR REPLACE FUNCTION usher.import_user(
    email text, password_hash text DEFAULT NULL, external_id text DEFAULT NULL, first_name text DEFAULT '',
    last_name text DEFAULT '', username text DEFAULT NULL, phone text DEFAULT NULL,
    email_verified boolean DEFAULT true, created_at timestamptz DEFAULT now(),
    profile jsonb DEFAULT '{}', metadata jsonb DEFAULT '{}', id uuid DEFAULT NULL, OUT error text, OUT user_id uuid)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    address text;
    first_role uuid;
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('user:manage');
    IF import_user.password_hash IS NOT NULL THEN
        PERFORM usher.password_needs_rehash(import_user.password_hash); -- raises what is wrong with it
    END IF;
    SELECT u.id INTO user_id FROM usher.users u WHERE u.external_id = import_user.external_id OR u.id = import_user.id;
    IF FOUND THEN
        RETURN; -- imported before
    END IF;
    error := usher._check_account_fields(coalesce(import_user.email, ''), nullif(btrim(import_user.username), ''),
                                         coalesce(import_user.first_name, ''), coalesce(import_user.last_name, ''),
                                         nullif(btrim(import_user.phone), ''));
    IF error IS NOT NULL THEN
        RETURN;
    END IF;
    INSERT INTO usher.users AS u (id, email, email_verified_at, username, first_name, last_name, phone, status,
                                  profile, metadata, external_id, created_at)
    VALUES (coalesce(import_user.id, usher.uuid_v7()), btrim(import_user.email),
            CASE WHEN import_user.email_verified THEN now() END, nullif(btrim(import_user.username), ''),
            coalesce(btrim(import_user.first_name), ''), coalesce(btrim(import_user.last_name), ''),
            nullif(btrim(import_user.phone), ''),
            CASE WHEN import_user.email_verified THEN 'active' ELSE 'pending' END,
            coalesce(import_user.profile, '{}'), coalesce(import_user.metadata, '{}'), import_user.external_id,
            coalesce(import_user.created_at, now()))
    ON CONFLICT DO NOTHING RETURNING u.id, u.email INTO user_id, address;
    IF user_id IS NULL THEN
        error := CASE WHEN EXISTS (SELECT FROM usher.users u WHERE usher.name_key(u.email::text) =
                                       usher.name_key(import_user.email)) THEN 'email_taken' ELSE 'username_taken' END;
        RETURN;
    END IF;
    INSERT INTO usher.credentials (user_id, password_hash, password_changed_at)
    VALUES (import_user.user_id, import_user.password_hash,
            CASE WHEN import_user.password_hash IS NOT NULL THEN import_user.created_at END);
    SELECT r.id INTO first_role
    FROM usher.roles r
    WHERE CASE current_setting('usher.default_role') WHEN '' THEN r.is_default
            ELSE r.name = current_setting('usher.default_role') END AND r.is_active;
    IF FOUND THEN
        INSERT INTO usher.user_roles (user_id, role_id) VALUES (import_user.user_id, first_role);
    END IF;
    PERFORM usher.publish('user.registered', jsonb_build_object('user_id', user_id, 'email', address,
                                                                'imported', true), user_id::text);
    PERFORM usher.log_event('user.imported', jsonb_strip_nulls(jsonb_build_object(
        'external_id', import_user.external_id)), resource_type => 'user', resource_id => user_id::text);
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('usher', missing, broken);
    RAISE;
END
$$;
CREATE OR REPLACE FUNCTION usher.link_identity(
    user_id uuid, provider text, provider_user_id text, provider_email text DEFAULT NULL, user_info jsonb DEFAULT '{}',
    email_verified boolean DEFAULT false, OUT error text, OUT identity_id uuid)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    holder uuid;
BEGIN
    PERFORM usher._require_power_over(link_identity.user_id);
    IF coalesce(length(link_identity.provider), 0) NOT BETWEEN 1 AND 50
       OR coalesce(length(link_identity.provider_user_id), 0) NOT BETWEEN 1 AND 255
       OR length(link_identity.provider_email) > 254
       OR coalesce(jsonb_typeof(link_identity.user_info), '') <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument',
            'provider (1 to 50 characters), provider_user_id (1 to 255), provider_email (at most 254) or user_info '
            '(an object) is not valid',
            jsonb_build_object('argument', CASE
                WHEN coalesce(length(link_identity.provider), 0) NOT BETWEEN 1 AND 50 THEN 'provider'
                WHEN coalesce(length(link_identity.provider_user_id), 0) NOT BETWEEN 1 AND 255 THEN 'provider_user_id'
                WHEN length(link_identity.provider_email) > 254 THEN 'provider_email' ELSE 'user_info' END));
    END IF;
    PERFORM FROM usher.users u WHERE u.id = link_identity.user_id AND u.status <> 'erased' FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(link_identity.user_id);
    END IF;
    IF link_identity.email_verified AND EXISTS (
           SELECT FROM usher.users u WHERE u.id = link_identity.user_id AND u.email_verified_at IS NULL
               AND usher.name_key(u.email) = usher.name_key(link_identity.provider_email)) THEN
        PERFORM usher._prove_mailbox(link_identity.user_id, link_identity.provider_email);
    END IF;
    INSERT INTO usher.identities (user_id, provider, provider_user_id, provider_email, user_info)
    VALUES (link_identity.user_id, link_identity.provider, link_identity.provider_user_id,
            link_identity.provider_email, link_identity.user_info)
    ON CONFLICT DO NOTHING RETURNING id INTO identity_id;
    IF identity_id IS NULL THEN
        SELECT i.user_id, i.id INTO holder, identity_id FROM usher.identities i
        WHERE i.provider = link_identity.provider AND i.provider_user_id = link_identity.provider_user_id;
        IF holder IS DISTINCT FROM link_identity.user_id THEN
            identity_id := NULL;
            error := CASE WHEN holder IS NULL THEN 'provider_taken' ELSE 'identity_taken' END;
            RETURN;
        END IF;
        UPDATE usher.identities i SET provider_email = coalesce(link_identity.provider_email, i.provider_email),
            user_info = link_identity.user_info, updated_at = now()
        WHERE i.id = identity_id;
        RETURN;
    END IF;
    PERFORM usher.log_event('user.identity_linked', jsonb_build_object('provider', link_identity.provider),
                            resource_type => 'user', resource_id => link_identity.user_id::text);
END
$$;
CREATE OR REPLACE FUNCTION usher._erase_traces(user_id uuid, address text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _erase_traces.user_id;
BEGIN
    UPDATE usher.login_attempts a SET email = '?', user_id = NULL, client_ip = NULL, user_agent = NULL
    WHERE a.user_id = target OR usher.name_key(a.email::text) = usher.name_key(address);
    UPDATE usher.network_failures n
    SET failed_names = ''
    WHERE position(substring(sha256(convert_to(usher.name_key(address), 'UTF8')) FOR 8) IN n.failed_names) > 0;
    UPDATE usher.events e SET payload = e.payload - '{email,former_email,name,token,code,client_ip,user_agent}'::text[]
    WHERE e.payload ->> 'user_id' = target::text AND e.key = target::text;
    DELETE FROM usher.idempotent_answers a WHERE a.principal = 'user:' || target;
    DELETE FROM usher.idempotent_calls c
    USING usher.extensions x WHERE c.registrant = x.name AND c.actor = target::text;
    UPDATE usher.status_history h SET changed_by_name = 'erased user' WHERE h.changed_by = target;
    -- Seals of the log leave these three columns out, so that the chain stays intact.
    UPDATE usher.audit_logs l SET actor_name = NULL, client_ip = NULL, user_agent = NULL WHERE l.actor_id = target;
    UPDATE usher.audit_logs l SET client_ip = NULL, user_agent = NULL
    WHERE l.resource_type = 'user' AND l.resource_id = target::text AND l.actor_id IS NULL;
END
$$;
CREATE OR REPLACE FUNCTION usher.record_consent(purpose text, document_version text DEFAULT NULL,
        user_id uuid DEFAULT NULL,
                                     evidence jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(record_consent.user_id);
    consent_id uuid;
BEGIN
    IF coalesce(length(record_consent.purpose), 0) NOT BETWEEN 1 AND 100
       OR length(record_consent.document_version) > 50
       OR coalesce(jsonb_typeof(record_consent.evidence), '') <> 'object'
       OR octet_length(record_consent.evidence::text) > 65536 THEN
        PERFORM usher.raise_error('invalid_argument',
            'purpose (1 to 100 characters), document_version (at most 50) or evidence (an object) is not valid',
            jsonb_build_object('argument', CASE
                WHEN coalesce(length(record_consent.purpose), 0) NOT BETWEEN 1 AND 100 THEN 'purpose'
                WHEN length(record_consent.document_version) > 50 THEN 'document_version' ELSE 'evidence' END));
    END IF;
    -- one consent of a user at a time
    PERFORM FROM usher.users u WHERE u.id = target AND u.is_active FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(target);
    END IF;
    SELECT c.id INTO consent_id FROM usher.consents c
    WHERE c.user_id = target AND c.purpose = record_consent.purpose AND c.withdrawn_at IS NULL
      AND c.document_version IS NOT DISTINCT FROM record_consent.document_version;
    IF FOUND THEN
        RETURN consent_id;
    END IF;
    UPDATE usher.consents c SET withdrawn_at = now()
    WHERE c.user_id = target AND c.purpose = record_consent.purpose AND c.withdrawn_at IS NULL;
    INSERT INTO usher.consents AS c (user_id, purpose, document_version, evidence, client_ip, user_agent)
    SELECT target, record_consent.purpose, record_consent.document_version, record_consent.evidence, x.client_ip,
           x.user_agent
    FROM usher._request_origin() x
    RETURNING c.id INTO consent_id;
    PERFORM usher.log_event('consent.recorded', jsonb_build_object(
        'purpose', record_consent.purpose, 'document_version', record_consent.document_version),
                            resource_type => 'user', resource_id => target::text);
    RETURN consent_id;
END
$$;
CREATE OR REPLACE FUNCTION usher.revoke_api_key(api_key_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT k.user_id INTO owner FROM usher.api_keys k WHERE k.id = revoke_api_key.api_key_id;
    -- A key may end itself: whoever finds it leaked can do so with it.
    IF owner IS NOT NULL AND revoke_api_key.api_key_id IS DISTINCT FROM usher.current_api_key_id()
       AND (owner IS DISTINCT FROM usher.actor_id() OR usher.current_api_key_id() IS NOT NULL) THEN
        IF usher.actor_id() IS NULL OR usher.has_permission('user:manage') THEN
            PERFORM usher.require_permission('user:manage', owner);
        ELSE
            owner := NULL; -- others' keys do not exist for an ordinary user
        END IF;
    ELSIF owner IS NULL AND usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('user:manage');
    END IF;
    IF owner IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'API key does not exist',
                                  jsonb_build_object('api_key_id', revoke_api_key.api_key_id, 'reference', 'api_key',
                                                 'id', revoke_api_key.api_key_id));
    END IF;
    UPDATE usher.api_keys k
    SET revoked_at = clock_timestamp(),
        revoked_reason = CASE WHEN owner = usher.actor_id() THEN 'revoked_by_user'
                              ELSE 'revoked_by_administrator' END
    WHERE k.id = revoke_api_key.api_key_id AND k.revoked_at IS NULL;
    IF FOUND THEN
        PERFORM usher.log_event('api_key.revoked', jsonb_build_object('user_id', owner), resource_type => 'api_key',
                                resource_id => revoke_api_key.api_key_id::text, severity => 'notice');
    END IF;
END
$$;
CREATE FUNCTION usher._check_token_issuer(given usher.token_issuers, has_keys boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(length(given.issuer), 0) NOT BETWEEN 1 AND 512 THEN
        PERFORM usher.raise_error('invalid_argument', 'issuer must have 1 to 512 characters',
                                  '{"argument": "issuer"}');
    ELSIF given.issuer = usher._own_issuer() THEN
        PERFORM usher.raise_error('invalid_argument', 'issuer is our own (usher.token_issuer, usher.public_url)',
                                  '{"argument": "issuer"}');
    ELSIF coalesce(length(given.provider), 0) NOT BETWEEN 1 AND 50 THEN
        PERFORM usher.raise_error('invalid_argument', 'provider must have 1 to 50 characters',
                                  '{"argument": "provider"}');
    ELSIF coalesce(cardinality(given.audiences), 0) = 0 OR array_position(given.audiences, NULL) IS NOT NULL
          OR array_position(given.audiences, '') IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'audiences must name at least one audience, and no empty one',
                                  '{"argument": "audiences"}');
    ELSIF coalesce(cardinality(given.algorithms), 0) = 0 THEN
        PERFORM usher.raise_error('invalid_argument', 'algorithms must name at least one algorithm',
                                  '{"argument": "algorithms"}');
    ELSIF given.jwks IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'jwks must not be null', '{"argument": "jwks"}');
    END IF;
    IF has_keys THEN
        PERFORM usher._count_issuer_keys(given.jwks, given.algorithms);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_token_issuer(usher.token_issuers, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_token_issuer(usher.token_issuers, boolean) IS
    'Raises 22023, naming what is wrong with an issuer that is about to be stored. has_keys false: its keys are yet '
    'to come.';
CREATE OR REPLACE FUNCTION usher.add_token_issuer(issuer text, audiences text[], jwks jsonb, provider text,
                                       algorithms text[] DEFAULT '{RS256,ES256}') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole(); -- its tokens stand for whole users
    PERFORM usher._check_token_issuer(
        ROW(issuer, provider, audiences, algorithms, jwks, true, NULL, now(), now())::usher.token_issuers);
    INSERT INTO usher.token_issuers (issuer, provider, audiences, algorithms, jwks)
    VALUES (issuer, provider, audiences, algorithms, jwks)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('already_exists', format('issuer "%s" already exists', issuer),
                                  jsonb_build_object('issuer', issuer));
    END IF;
    PERFORM usher.log_event('token_issuer.added', jsonb_build_object(
        'provider', provider, 'audiences', to_jsonb(audiences), 'algorithms', to_jsonb(algorithms)),
                            'notice', resource_type => 'token_issuer', resource_id => issuer);
END
$$;
CREATE OR REPLACE FUNCTION usher._sealed_columns()
    RETURNS TABLE (schema_name name, table_name text, key_column text, secret_column text, context text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('usher'::name, 'signing_keys', 'kid', 'private_key', 'signing_key:'),
           ('usher', 'second_factors', 'id', 'secret', 'totp:'),
           ('usher', 'server_secrets', 'name', 'secret', 'server_secret:'),
           ('usher', 'identities', 'id', 'access_token', 'identity_access:'),
           ('usher', 'identities', 'id', 'refresh_token', 'identity_refresh:')
    UNION ALL
    SELECT usher._schema_of(c.registrant), c.table_name::text, 'id'::text AS key_column, c.column_name::text,
           c.table_name || '.' || c.column_name || ':'
    FROM usher.personal_columns AS c JOIN usher.extensions AS x ON x.name = c.registrant
    WHERE c.kind = 'sealed' AND x.extension IS NOT NULL;
END;
CREATE FUNCTION usher.follow_token_issuer(issuer text, audiences text[] DEFAULT NULL, provider text DEFAULT NULL,
                                          keys_url text DEFAULT NULL, algorithms text[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    source_url CONSTANT text := coalesce(follow_token_issuer.keys_url,
        rtrim(follow_token_issuer.issuer, '/') || '/.well-known/openid-configuration');
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole(); -- its tokens stand for whole users
    IF source_url IS NULL OR octet_length(source_url) > 2048 OR source_url !~ '^https?://[^[:space:][:cntrl:]]+$' THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'keys_url must be an http or https URL, or issuer one when there is none',
                                  '{"argument": "keys_url"}');
    END IF;
    IF NOT EXISTS (SELECT FROM usher.token_issuers i WHERE i.issuer = follow_token_issuer.issuer) THEN
        -- The checks of add_token_issuer(), with a key that nobody has: until its own come no token is accepted.
        PERFORM usher._check_token_issuer(ROW(follow_token_issuer.issuer, follow_token_issuer.provider,
            follow_token_issuer.audiences, coalesce(follow_token_issuer.algorithms, '{RS256,ES256}'),
            '{"keys": []}'::jsonb, true, NULL, now(), now())::usher.token_issuers, false);
        INSERT INTO usher.token_issuers (issuer, provider, audiences, algorithms, jwks)
        VALUES (follow_token_issuer.issuer, follow_token_issuer.provider, follow_token_issuer.audiences,
                coalesce(follow_token_issuer.algorithms, '{RS256,ES256}'), '{"keys": []}');
    ELSIF num_nonnulls(follow_token_issuer.audiences, follow_token_issuer.provider,
                       follow_token_issuer.algorithms) > 0 THEN
        PERFORM usher.update_token_issuer(follow_token_issuer.issuer, follow_token_issuer.audiences,
            provider => follow_token_issuer.provider, algorithms => follow_token_issuer.algorithms);
    END IF;
    INSERT INTO usher.issuer_key_sources AS s (issuer, url, is_discovery)
    VALUES (follow_token_issuer.issuer, source_url, follow_token_issuer.keys_url IS NULL)
    ON CONFLICT ON CONSTRAINT issuer_key_sources_pkey DO UPDATE
    SET url = EXCLUDED.url, is_discovery = EXCLUDED.is_discovery, keys_url = NULL, due_at = clock_timestamp(),
        asked_at = NULL, last_error = NULL;
    PERFORM usher.log_event('token_issuer.followed', jsonb_build_object('url', source_url), 'notice',
                            resource_type => 'token_issuer', resource_id => follow_token_issuer.issuer);
    PERFORM pg_notify('usher_courier', '');
END
$$;
REVOKE ALL ON FUNCTION usher.follow_token_issuer(text, text[], text, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.follow_token_issuer(text, text[], text, text, text[]) IS
    'Accepts access tokens of an outside issuer, as add_token_issuer() does, with keys that are fetched and kept '
    'fresh: from keys_url, or from where its discovery document (OpenID Connect) says. usher_courier fetches them: '
    'at once, '
    'when Cache-Control says that they are old, and when a token has a key that nobody knows, at most every five '
    'minutes; where the library is not preloaded, every five minutes. An issuer that is there keeps '
    'what is not given. Needs key:manage.';
CREATE FUNCTION usher.unfollow_token_issuer(issuer text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('key:manage');
    PERFORM usher._require_whole();
    DELETE FROM usher.issuer_key_sources s WHERE s.issuer = unfollow_token_issuer.issuer;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM usher.log_event('token_issuer.unfollowed', '{}', 'notice', resource_type => 'token_issuer',
                            resource_id => unfollow_token_issuer.issuer);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.unfollow_token_issuer(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.unfollow_token_issuer(text) IS
    'Keys of this issuer are fetched no longer; those that are there stay. False when they were not. Needs '
    'key:manage.';
CREATE FUNCTION usher.list_followed_issuers()
    RETURNS TABLE (issuer text, url text, is_discovery boolean, fetched_at timestamptz, due_at timestamptz,
                   asked_at timestamptz, last_error text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('key:manage');
    RETURN QUERY
        SELECT s.issuer, s.url, s.is_discovery, s.fetched_at, s.due_at, s.asked_at, s.last_error
        FROM usher.issuer_key_sources s
        ORDER BY s.issuer;
END
$$;
REVOKE ALL ON FUNCTION usher.list_followed_issuers() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_followed_issuers() IS
    'The issuers whose keys are fetched, when they were last, and what went wrong since. Needs key:manage.';
CREATE FUNCTION usher._unknown_key_seen_at(issuer text) RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_identity_unknown_key_seen_at';
REVOKE ALL ON FUNCTION usher._unknown_key_seen_at(text) FROM PUBLIC;
COMMENT ON FUNCTION usher._unknown_key_seen_at(text) IS
    'When a token of the issuer last came with a key that nobody knows; NULL: never, or without preload.';
CREATE FUNCTION usher.want_issuer_keys(max_rows integer DEFAULT 10) RETURNS TABLE (issuer text, url text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    WITH next AS (
        SELECT s.issuer FROM usher.issuer_key_sources s JOIN usher.token_issuers i ON i.issuer = s.issuer
        WHERE i.is_active AND coalesce(s.asked_at < moment - interval '5 minutes', true)
            AND (s.due_at <= moment OR usher._unknown_key_seen_at(s.issuer) > coalesce(s.fetched_at, '-infinity')
                 -- Without preload nobody can say that a token came with an unknown key: verifying writes nothing.
                 OR NOT usher._is_preloaded() AND s.fetched_at < moment - interval '5 minutes')
        ORDER BY s.due_at LIMIT max_rows FOR UPDATE OF s SKIP LOCKED)
    UPDATE usher.issuer_key_sources s SET asked_at = moment
    FROM next WHERE s.issuer = next.issuer
    RETURNING s.issuer, s.url;
END
$$;
REVOKE ALL ON FUNCTION usher.want_issuer_keys(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.want_issuer_keys(integer) IS
    'Issuers whose keys are to be fetched now, and from where; no issuer twice in five minutes. Where the library is '
    'not preloaded, nobody can tell that a token has come with an unknown key, and each is asked every five minutes. '
    'For the feature that fetches them: what comes goes to take_issuer_document(). For the owner of the extension.';
CREATE FUNCTION usher.take_issuer_document(issuer text, document text, cache_control text DEFAULT NULL,
                                           error text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source usher.issuer_key_sources;
    known usher.token_issuers;
    content jsonb;
    failure text := take_issuer_document.error;
    fresh integer := substring(cache_control FROM '(?i)max-age=([0-9]{1,9})')::integer;
    next_url text;
BEGIN
    SELECT s.* INTO source FROM usher.issuer_key_sources s
    WHERE s.issuer = take_issuer_document.issuer FOR UPDATE;
    SELECT i.* INTO known FROM usher.token_issuers i WHERE i.issuer = take_issuer_document.issuer FOR UPDATE;
    IF source.issuer IS NULL OR known.issuer IS NULL THEN
        RETURN NULL; -- nobody follows it any more
    END IF;
    IF failure IS NULL THEN
        BEGIN
            content := document::jsonb;
            IF jsonb_typeof(content) IS DISTINCT FROM 'object' THEN
                failure := 'the answer is not a JSON object';
            ELSIF content ? 'keys' THEN
                content := jsonb_build_object('keys', content -> 'keys');
                PERFORM usher._count_issuer_keys(content, known.algorithms);
            ELSIF NOT source.is_discovery THEN
                failure := 'the answer is not a key set';
            ELSIF content ->> 'issuer' IS DISTINCT FROM known.issuer THEN
                failure := 'the discovery document is of another issuer'; -- OpenID Connect Discovery, section 4.3
            ELSIF coalesce(content ->> 'jwks_uri', '') !~ '^https?://[^[:space:][:cntrl:]]+$'
                  OR octet_length(content ->> 'jwks_uri') > 2048 THEN
                failure := 'the discovery document has no jwks_uri';
            ELSE
                next_url := content ->> 'jwks_uri';
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            failure := 'the keys cannot be used: ' || SQLERRM;
        END;
    END IF;
    IF next_url IS NOT NULL THEN
        UPDATE usher.issuer_key_sources s SET keys_url = next_url WHERE s.issuer = known.issuer;
        RETURN next_url;
    END IF;
    UPDATE usher.issuer_key_sources s
    SET last_error = left(failure, 300),
        fetched_at = CASE WHEN failure IS NULL THEN clock_timestamp() ELSE s.fetched_at END,
        due_at = clock_timestamp() + CASE WHEN failure IS NOT NULL THEN interval '10 minutes'
            ELSE make_interval(secs => least(greatest(coalesce(fresh, 3600), 300), 86400)) END
    WHERE s.issuer = known.issuer;
    IF failure IS NULL AND content IS DISTINCT FROM known.jwks THEN
        UPDATE usher.token_issuers i SET jwks = content, updated_at = now() WHERE i.issuer = known.issuer;
        PERFORM usher.log_event('token_issuer.keys_fetched',
            jsonb_build_object('keys', jsonb_path_query_array(content, '$.keys[*].kid')), 'notice',
            resource_type => 'token_issuer', resource_id => known.issuer);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher.take_issuer_document(text, text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.take_issuer_document(text, text, text, text) IS
    'What came from where the keys of an issuer are, or why nothing did. Keys that can be used take the place of '
    'those before, and are fetched again when Cache-Control says so (between five minutes and a day; an hour '
    'without it). '
    'What cannot be used changes nothing, and is tried again in ten minutes. Returns where to ask next, when it was a '
    'discovery document. For the owner of the extension.';
CREATE OR REPLACE FUNCTION usher.add_route(method text, path_template text, function regprocedure,
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
CREATE OR REPLACE FUNCTION usher._openapi_responses(route usher.routes, function oid, has_arguments boolean,
        has_body boolean)
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
CREATE OR REPLACE FUNCTION usher._openapi_operation(route usher.routes, function oid, published_path text)
    RETURNS jsonb
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
CREATE OR REPLACE FUNCTION usher.oauth_metadata() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- First: it loads the library, without which there is no such setting yet.
    issuer CONSTANT text := usher._own_issuer();
    base CONSTANT text := rtrim(current_setting('usher.public_url'), '/');
BEGIN
    RETURN jsonb_build_object(
        'issuer', issuer,
        'token_endpoint', base || '/oauth/token',
        'introspection_endpoint', base || '/oauth/introspect',
        'revocation_endpoint', base || '/oauth/revoke',
        'jwks_uri', base || '/.well-known/jwks.json',
        'service_documentation', base || '/docs',
        'response_types_supported', '[]'::jsonb, -- there is no authorization endpoint
        'grant_types_supported', '["refresh_token", "client_credentials"]'::jsonb,
        'token_endpoint_auth_methods_supported', '["none", "client_secret_basic", "client_secret_post"]'::jsonb,
        'introspection_endpoint_auth_methods_supported',
            '["client_secret_basic", "client_secret_post", "bearer"]'::jsonb,
        'revocation_endpoint_auth_methods_supported', '["none", "client_secret_basic", "client_secret_post"]'::jsonb);
END
$$;
CREATE FUNCTION usher.list_machines()
    RETURNS TABLE (machine text, version integer, statuses text[], extension name, updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('machine:manage');
    RETURN QUERY
    SELECT DISTINCT ON (m.name COLLATE "C") m.name, m.version, usher.machine_statuses(m.name), m.extension::name,
        m.updated_at
    FROM usher.machines m
    WHERE m.is_active
    ORDER BY m.name COLLATE "C", m.version DESC;
END
$$;
REVOKE ALL ON FUNCTION usher.list_machines() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_machines() IS
    'The status machines with the version that is in force. Needs machine:manage.';
CREATE OR REPLACE FUNCTION usher.upkeep_step(INOUT task text, statement text, max_rows integer, OUT affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF task IS NULL OR task !~ '^[a-z][a-z0-9_]{0,62}$' OR statement IS NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            'task must be a name of lower-case letters, digits and underscores, and statement not null',
            jsonb_build_object('argument', CASE WHEN task ~ '^[a-z][a-z0-9_]{0,62}$' THEN 'statement'
                                                ELSE 'task' END));
    END IF;
    BEGIN
        IF statement ~* '^\s*SELECT\M' THEN
            EXECUTE statement INTO affected USING max_rows;
        ELSE
            EXECUTE statement USING max_rows;
            GET DIAGNOSTICS affected = ROW_COUNT;
        END IF;
        task := task || CASE WHEN affected IS NULL THEN '_failed' ELSE '' END;
    EXCEPTION WHEN OTHERS OR assert_failure THEN -- a cancel and a shutdown are none of these: they end the whole
        RAISE WARNING 'upkeep step % failed: % (%)', task, SQLERRM, SQLSTATE;
        task := task || '_failed';
        affected := NULL;
    END;
END
$$;
CREATE OR REPLACE FUNCTION usher.run_maintenance(max_rows integer DEFAULT 10000)
    RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s' -- upkeep comes again: what waits for long is left for the next time
AS $$
DECLARE
    hook record;
    steps jsonb;
    core_steps jsonb := '[]';
BEGIN
    IF max_rows IS NULL OR max_rows < 1 THEN
        PERFORM usher.raise_error('invalid_argument', 'max_rows must be at least 1', '{"argument": "max_rows"}');
    END IF;
    FOR hook IN SELECT h.registrant, h.function FROM usher._hook_functions('upkeep') AS h LOOP
        BEGIN
            SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') INTO steps
            FROM jsonb_to_recordset(usher._call_hook(hook.function, max_rows => run_maintenance.max_rows))
                AS m (task text, affected bigint);
        EXCEPTION WHEN OTHERS OR assert_failure THEN -- one extension's trouble is not the others'
            RAISE WARNING 'upkeep of % failed: % (%)', hook.registrant, SQLERRM, SQLSTATE;
            steps := jsonb_build_array(jsonb_build_object('task', hook.registrant || '_failed', 'affected', NULL));
        END;
        RETURN QUERY SELECT m.task, m.affected FROM jsonb_to_recordset(steps) AS m (task text, affected bigint);
        IF hook.registrant = 'usher' THEN
            core_steps := steps;
        ELSE
            PERFORM usher._note_upkeep(hook.registrant, steps);
        END IF;
    END LOOP;
    -- Last, since it may lock the audit log: the lock is kept until the commit.
    SELECT jsonb_agg(to_jsonb(u)) INTO steps
    FROM (VALUES ('audit_partitions_made', 'SELECT usher._maintain_audit_partitions()'),
                 ('audit_partitions_retired', 'SELECT usher._retire_audit_partitions()')) AS s (task, statement)
        CROSS JOIN LATERAL usher.upkeep_step(s.task, s.statement, run_maintenance.max_rows) AS u;
    RETURN QUERY SELECT m.task, m.affected FROM jsonb_to_recordset(steps) AS m (task text, affected bigint);
    PERFORM usher._note_upkeep('usher', core_steps || steps);
END
$$;
CREATE OR REPLACE FUNCTION usher.check_configuration()
    RETURNS TABLE (extension name, finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT h.registrant, c.finding, c.severity, c.advice
    FROM usher._hook_functions('configuration') AS h CROSS JOIN usher._try_hook(h.function) AS t
        CROSS JOIN LATERAL (
            SELECT f.finding, f.severity, f.advice
            FROM jsonb_to_recordset(t.answer) AS f (finding text, severity text, advice text)
            UNION ALL
            SELECT 'cannot be checked: ' || t.failure, 'critical', 'Mend the function of its hook "configuration".'
            WHERE t.failure IS NOT NULL) AS c
    WHERE h.function IS NOT NULL;
    RETURN QUERY
    SELECT e.extname, 'extension builds on usher and is not registered', 'warning',
        'Its install script must call usher.register_extension(): else its upkeep, checks, export and erasure are '
        'unknown.'
    FROM pg_extension AS e
    WHERE NOT EXISTS (SELECT FROM usher.extensions AS x WHERE x.name = e.extname)
        AND EXISTS (SELECT FROM pg_depend AS d
                        JOIN pg_extension AS core ON core.oid = d.refobjid AND core.extname = 'usher'
            WHERE d.classid = 'pg_extension'::regclass AND d.objid = e.oid
                AND d.refclassid = 'pg_extension'::regclass);
    RETURN QUERY
    SELECT h.registrant, format('the function of hook "%s" is gone, or returns something else', k.hook), 'critical',
           'Register again, or make the function again.'
    FROM usher._hooks() AS k CROSS JOIN usher._hook_functions(k.hook) AS h
    WHERE h.function IS NULL;
END
$$;
CREATE OR REPLACE FUNCTION usher.self_check() RETURNS TABLE (extension name, rule text, violations bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT h.registrant, c.rule, c.violations
    FROM usher._hook_functions('self_check') AS h CROSS JOIN usher._try_hook(h.function) AS t
        CROSS JOIN LATERAL (
            SELECT f.rule, f.violations FROM jsonb_to_recordset(t.answer) AS f (rule text, violations bigint)
            UNION ALL
            SELECT 'the rules can be checked: ' || t.failure, 1 WHERE t.failure IS NOT NULL) AS c;
END
$$;
COMMENT ON FUNCTION usher.self_check() IS
    'The rules that the data of all usher extensions must obey, each with the number of rows that break it: 0, if all '
    'is well; 1 for the checks of an extension, if they fail themselves. Looks at everything, now; last_self_check() '
    'tells at once what was found last.';
CREATE OR REPLACE FUNCTION usher._keep_self_check(of_registrant name) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    found jsonb;
    problem text;
BEGIN
    SELECT CASE WHEN t.failure IS NULL THEN t.answer END, t.failure INTO found, problem
    FROM usher._hook_functions('self_check') AS h CROSS JOIN usher._try_hook(h.function) AS t
    WHERE h.registrant = of_registrant;
    -- What it found before stays until there is something newer.
    UPDATE usher.self_checks AS c
    SET findings = coalesce(found, c.findings), failure = problem,
        checked_at = CASE WHEN problem IS NULL THEN clock_timestamp() ELSE c.checked_at END,
        took = CASE WHEN problem IS NULL THEN clock_timestamp() - began ELSE c.took END
    WHERE c.registrant = of_registrant;
    RETURN problem;
END
$$;
CREATE FUNCTION usher.run_self_check(only_extension name DEFAULT NULL)
    RETURNS TABLE (extension name, rule text, violations bigint, checked_at timestamptz, took interval, failure text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    begun name;
BEGIN
    IF only_extension IS NOT NULL
        AND NOT EXISTS (SELECT FROM usher._hook_functions('self_check') AS h WHERE h.registrant = only_extension) THEN
        PERFORM usher.raise_error('unknown_reference', format('"%s" has registered no self-check', only_extension),
                                  jsonb_build_object('extension', only_extension));
    END IF;
    begun := usher._begin_self_check(0, only_extension);
    PERFORM usher._keep_self_check(begun) WHERE begun IS NOT NULL;
    RETURN QUERY SELECT l.* FROM usher.last_self_check() AS l WHERE l.extension = begun;
END
$$;
REVOKE ALL ON FUNCTION usher.run_self_check(name) FROM PUBLIC;
COMMENT ON FUNCTION usher.run_self_check(name) IS
    'Runs the self-check of one extension, or of the one whose last check is the oldest, keeps what it finds for '
    'last_self_check(), and returns it. For a scheduler where there is no background worker. No rows: somebody '
    'else is at it.';
CREATE OR REPLACE FUNCTION usher._worker_problem() RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected CONSTANT boolean := usher._worker_expected();
BEGIN
    IF expected IS NULL THEN
        RETURN 'usher.worker_databases is not a list of database names';
    ELSIF NOT expected THEN
        RETURN NULL;
    ELSIF NOT usher._worker_running() THEN
        RETURN 'the background worker does not run';
    END IF;
    RETURN (
        SELECT CASE WHEN j.failed_at > coalesce(j.succeeded_at, '-infinity')
                    THEN format('%s failed: %s', j.job, j.message)
                    ELSE format('%s has not succeeded since %s', j.job, greatest(j.succeeded_at, j.known_since)) END
        FROM usher._worker_jobs() j
        WHERE j.failed_at > coalesce(j.succeeded_at, '-infinity')
           OR greatest(j.succeeded_at, j.known_since) < clock_timestamp() - interval '30 seconds'
                - CASE WHEN j.job IN ('maintenance', 'sealing the audit log', 'self-check')
                                 THEN 3 * current_setting('usher.maintenance_interval')::interval
                             ELSE 5 * current_setting('usher.flush_interval')::interval END
              -- a self-check takes as long as there are rows, and usher.worker_job_timeout at most
              AND (j.job <> 'self-check' OR j.running_since IS NULL)
        ORDER BY j.failed_at DESC NULLS LAST, j.job LIMIT 1);
END
$$;
CREATE OR REPLACE FUNCTION usher._describe_schema(of_extension name) RETURNS TABLE (object text, digest text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = error
AS $$
BEGIN
    RETURN QUERY
    WITH member AS (
        SELECT d.classid, d.objid
        FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = of_extension AND d.deptype = 'e'),
    relation AS (
        SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid),
    described (name, definition) AS (
        SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind <> 'a'
        UNION ALL
        SELECT 'table ' || r.oid::regclass, concat_ws(' ', r.relrowsecurity, r.relforcerowsecurity)
        FROM relation r WHERE r.relkind IN ('r', 'p')
        UNION ALL
        SELECT format('column %I of %s', a.attname, r.oid::regclass),
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                         pg_get_expr(f.adbin, f.adrelid))
        FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE r.relkind IN ('r', 'p')
        UNION ALL
        SELECT 'view ' || r.oid::regclass, pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
        UNION ALL
        SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass),
               concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated)
        FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid
        WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
            -- NOT NULL, a constraint since PostgreSQL 18, is said with its column, unless there is more to say
            OR c.contype = 'n' AND NOT c.convalidated
        UNION ALL
        SELECT 'index ' || i.indexrelid::regclass, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index i JOIN relation r ON r.oid = i.indrelid
        UNION ALL
        SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass),
               concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
        UNION ALL
        SELECT format('policy %I on %s', p.polname, p.polrelid::regclass),
            concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                      pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN relation r ON r.oid = p.polrelid)
    SELECT d.name, md5(d.definition) FROM described d;
END
$$;
CREATE OR REPLACE FUNCTION usher._record_schema(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted CONSTANT jsonb := (SELECT coalesce(jsonb_object_agg(s.object, s.digest), '{}')
                             FROM usher._schema_objects AS s
                             WHERE s.extension = of_extension AND s.digest LIKE '%>%');
BEGIN
    DELETE FROM usher._schema_objects AS s WHERE s.extension = of_extension;
    INSERT INTO usher._schema_objects (extension, object, digest, server_version)
    SELECT of_extension, v.object, v.digest, usher._server_major()
    FROM (SELECT coalesce(d.object, n.key) AS object,
                 CASE WHEN split_part(n.value, '>', 2) = coalesce(d.digest, '') THEN split_part(n.value, '>', 1)
                      ELSE d.digest END AS digest
          FROM usher._describe_schema(of_extension) AS d
              FULL JOIN jsonb_each_text(noted) AS n ON n.key = d.object) AS v
    WHERE v.digest <> '';
END
$$;
CREATE OR REPLACE FUNCTION usher._order_free_loading(of_extension name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT DISTINCT c.conrelid FROM pg_constraint AS c JOIN pg_extension AS e ON c.conrelid = ANY (e.extconfig)
        WHERE e.extname = of_extension AND c.contype = 'f'
            -- in an update most tables have them: making them again would keep everybody from writing
            AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.conrelid AND t.tgenabled = 'A'
                     AND t.tgname IN ('load_rows_before', 'load_rows_after')) < 2
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER load_rows_before BEFORE INSERT ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION usher._load_rows()', target);
        EXECUTE format('CREATE OR REPLACE TRIGGER load_rows_after AFTER INSERT ON %s FOR EACH STATEMENT '
                       'EXECUTE FUNCTION usher._load_rows()', target);
        EXECUTE format('ALTER TABLE %1$s ENABLE ALWAYS TRIGGER load_rows_before, '
                       'ENABLE ALWAYS TRIGGER load_rows_after', target);
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION usher.finish_extension(derived regclass[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installing CONSTANT name := usher._installing_extension();
    since timestamptz;
    target regprocedure;
BEGIN
    IF installing IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'only the script of an extension can finish it');
    END IF;
    SELECT x.registered_at INTO since FROM usher.extensions AS x WHERE x.name = installing;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('not_configured', format('extension "%s" is not registered', installing), NULL,
            'Call usher.register_extension() before.');
    END IF;
    FOR target IN
        SELECT p.oid FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
            JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE d.deptype = 'e' AND e.extname = installing
            -- Only these: a script that changes the privileges of an object makes all that there are on it initial
            -- ones, those of grant_access() too, and no dump would carry them any longer.
            AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
    LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', target);
    END LOOP;
    IF since = now() THEN -- CREATE EXTENSION; later there are rows of others
        PERFORM usher._require_shipping(installing, derived);
    END IF;
    PERFORM usher._order_free_loading(installing);
    PERFORM usher._record_schema(installing);
END
$$;
COMMENT ON FUNCTION usher.finish_extension(regclass[]) IS
    'The last statement of the install script of an extension, and of its update scripts: takes its functions from '
    'PUBLIC, lets pg_restore --jobs load its tables, and notes its objects for schema_drift(). Refuses rows that the '
    'install script wrote into tables without usher.ship_rows(), except those named in derived. Raises 55000 when the '
    'extension has not registered.';
CREATE OR REPLACE FUNCTION usher._names_columns(function regproc) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT function::oid IN ('usher.audit_change'::regproc::oid, 'usher.check_transition'::regproc::oid,
                             'usher.record_transition'::regproc::oid, 'usher.set_updated_at'::regproc::oid);
END;
CREATE FUNCTION usher._resting_triggers() RETURNS TABLE (relation regclass, name name, state "char")
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET client_min_messages = error
AS $$
BEGIN
    -- A digest says how the trigger is enabled, too: that which it has when it is as recorded is the one.
    RETURN QUERY
    WITH ordinary AS MATERIALIZED (
        SELECT i.extension, t.tgrelid::regclass AS relation, t.tgname AS name,
               format('trigger %I on %s', t.tgname, t.tgrelid::regclass) AS object,
               pg_get_triggerdef(t.oid) AS definition
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
                AND d.classid = 'pg_class'::regclass
            JOIN pg_trigger AS t ON t.tgrelid = d.objid AND NOT t.tgisinternal AND t.tgenabled = 'O')
    SELECT o.relation, o.name, s.state
    FROM ordinary AS o CROSS JOIN unnest('{A,R}'::"char"[]) AS s (state)
    WHERE EXISTS (SELECT FROM usher._schema_objects AS r
        WHERE r.extension = o.extension AND r.object = o.object AND r.server_version = usher._server_major()
            AND r.digest = md5(concat_ws(' ', o.definition, s.state)))
    ORDER BY o.relation::text COLLATE "C", o.name;
END
$$;
REVOKE ALL ON FUNCTION usher._resting_triggers() FROM PUBLIC;
COMMENT ON FUNCTION usher._resting_triggers() IS
    'Triggers that the installed version has enabled for more than ordinary statements (A: always, R: replica), and '
    'that are ordinary ones now: pg_restore --disable-triggers leaves them so.';
CREATE FUNCTION usher._load_again(relations regclass[]) RETURNS TABLE (relation regclass, loaded bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    -- as while a dump is loaded: what is ENABLE ALWAYS fires, and nothing else
    SET session_replication_role = replica
    SET usher.restoring = 'on'
AS $$
DECLARE
    derived regclass;
    columns text;
BEGIN
    -- All of them before any comes back: a claim, say, follows from a booking and its appointment.
    FOREACH relation IN ARRAY relations LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', relation);
        EXECUTE format('CREATE TEMP TABLE %I ON COMMIT DROP AS TABLE %s', '_usher_' || relation::oid, relation);
        FOR derived IN
            SELECT DISTINCT k.conrelid FROM pg_constraint AS k
                JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = k.conrelid AND d.deptype = 'e'
                JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
            WHERE k.contype = 'f' AND k.confrelid = relation AND k.conrelid <> ALL (coalesce(e.extconfig, '{}'))
        LOOP
            EXECUTE format('DELETE FROM %s', derived);
        END LOOP;
        EXECUTE format('DELETE FROM %s', relation);
    END LOOP;
    FOREACH relation IN ARRAY relations LOOP
        columns := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a
            WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
        EXECUTE format('SELECT count(*) FROM pg_temp.%I', '_usher_' || relation::oid) INTO loaded;
        EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM pg_temp.%3$I', relation, columns,
                       '_usher_' || relation::oid);
        EXECUTE format('DROP TABLE pg_temp.%I', '_usher_' || relation::oid);
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._load_again(regclass[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._load_again(regclass[]) IS
    'Takes the rows of tables out and loads them as from a dump, so that triggers make what follows from them: rows '
    'of other tables that refer to them and that no dump carries, which are removed before.';
CREATE FUNCTION usher.finish_load() RETURNS TABLE (step text, affected bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
BEGIN
    PERFORM usher.require_permission('*:*');
    step := 'triggers_enabled';
    affected := 0;
    FOR each IN SELECT r.* FROM usher._resting_triggers() AS r LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', each.relation,
                       CASE each.state WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, each.name);
        affected := affected + 1;
    END LOOP;
    RETURN NEXT;
    FOR each IN
        SELECT l.* FROM usher._load_again(ARRAY(
            SELECT DISTINCT t.tgrelid::regclass
            FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
                JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                    AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
                JOIN pg_trigger AS t ON t.tgrelid = d.objid AND t.tgenabled = 'A' AND t.tgtype & 4 <> 0 -- INSERT
            -- apply_decisions() is for those
            WHERE t.tgrelid <> 'usher.decisions'::regclass
                AND t.tgfoid <> ALL (ARRAY['usher._load_rows()'::regprocedure, 'usher._keep_decision()'::regprocedure,
                    'usher._invalidate_cache()'::regprocedure, 'usher._invalidate_entry()'::regprocedure])
            ORDER BY 1)) AS l
    LOOP
        step := each.relation;
        affected := each.loaded;
        RETURN NEXT;
    END LOOP;
    step := 'decisions_applied';
    affected := usher.apply_decisions();
    RETURN NEXT;
    PERFORM usher.log_event('database.load_finished');
END
$$;
REVOKE ALL ON FUNCTION usher.finish_load() FROM PUBLIC;
COMMENT ON FUNCTION usher.finish_load() IS
    'After pg_restore --disable-triggers, as pg_upgradecluster -m dump does it, and before anybody works with the '
    'database: enables triggers as the installed version has them, loads once more the rows from which others follow '
    '(claims of bookings, the closure of roles and so on), so that those are made, moves rows of the logs to their '
    'place, and applies decisions. Every other way of loading a dump needs none of it. Locks these tables until the '
    'transaction ends. Needs *:*.';
CREATE OR REPLACE FUNCTION usher._definitions() RETURNS TABLE (object text, command text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH relation AS (
        SELECT DISTINCT d.objid AS oid FROM pg_depend AS d JOIN pg_extension AS e ON d.refobjid = e.oid
            JOIN usher._installed() AS i ON i.extension = e.extname
        WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
    SELECT format('column %I of %s', a.attname, r.oid::regclass),
           format('ALTER TABLE %s ADD COLUMN %I %s%s%s;', r.oid::regclass, a.attname,
                  format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attgenerated <> ''
                       THEN format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(f.adbin, f.adrelid),
                                   CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
                       ELSE ' DEFAULT ' || pg_get_expr(f.adbin, f.adrelid) END,
                  CASE WHEN a.attnotnull THEN ' NOT NULL' END)
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %I on %s', c.conname, c.conrelid::regclass),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s;', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
    FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) || ';'
    FROM relation AS r JOIN pg_index AS i ON i.indrelid = r.oid
    UNION ALL
    SELECT format('trigger %I on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid) || ';'
    FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal;
END
$$;
CREATE OR REPLACE FUNCTION usher._check_dump() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting bigint;
    resting CONSTANT text[] := ARRAY(SELECT format('trigger %I on %s', r.name, r.relation)
                                     FROM usher._resting_triggers() AS r);
BEGIN
    IF resting <> '{}' THEN
        RETURN QUERY VALUES (format('%s triggers are not enabled as the extensions have made them: %s%s',
                cardinality(resting), array_to_string(resting[1:2], ', '),
                CASE WHEN cardinality(resting) > 2 THEN ' …' ELSE '' END), 'critical',
            'SELECT * FROM usher.finish_load(); -- a dump was loaded with --disable-triggers: what follows from its '
            'rows was not made');
    END IF;
    RETURN QUERY SELECT format('what was decided about %s %s is not in force', d.table_name, d.key), 'critical',
            CASE WHEN to_regclass(d.table_name) IS NULL THEN 'Create its extension again.'
                 WHEN d.kind = 'changed' AND d.shipped IS NULL
                     THEN format('No extension ships that row any longer: SELECT usher.revert_decision(%L, %L);',
                                 d.table_name, d.key)
                 ELSE 'SELECT usher.apply_decisions();' END
        FROM usher.decisions AS d WHERE NOT usher._is_in_force(d)
        ORDER BY d.table_name COLLATE "C", d.key;
    SELECT count(*) INTO waiting FROM usher._audit_dump;
    IF waiting > 0 THEN
        RETURN QUERY VALUES (format('%s rows of the audit log wait in usher._audit_dump', waiting), 'warning',
            'SELECT * FROM usher.finish_load(); -- they were loaded with triggers switched off');
    END IF;
    RETURN QUERY SELECT format('audit of table %s redacts every value: column %I of its lists does not exist',
                               l.relation, l.column_name), 'critical',
            format('SELECT usher.enable_audit(%L, …), with the columns that are meant.', l.relation)
        FROM (SELECT DISTINCT t.tgrelid::regclass AS relation, n.name AS column_name
              FROM pg_trigger AS t
                  CROSS JOIN LATERAL (SELECT usher._trigger_arguments(t.oid)) AS a (arguments)
                  CROSS JOIN LATERAL (SELECT usher._object_or_null(a.arguments[1])) AS o (options)
                  CROSS JOIN LATERAL unnest('{exclude,redact,personal,subject}'::text[]) AS k (list)
                  CROSS JOIN LATERAL jsonb_array_elements_text(
                      CASE jsonb_typeof(o.options -> k.list) WHEN 'array' THEN o.options -> k.list ELSE '[]' END)
                      AS n (name)
              WHERE t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgnargs = 1
                  AND NOT EXISTS (SELECT FROM pg_attribute AS c
                      WHERE c.attrelid = t.tgrelid AND c.attname = n.name AND c.attnum > 0 AND NOT c.attisdropped)
                  AND NOT ((o.options -> 'relation') = to_jsonb(t.tgrelid::bigint)
                           AND coalesce(o.options -> 'numbers' ? n.name, false))) AS l
        ORDER BY 1;
    -- pg_dump leaves definitions on the tables of an extension to its script, and takes the values of all columns
    RETURN QUERY SELECT format(CASE WHEN d.object LIKE 'column %'
                                    THEN '%s was %s by hand: a dump cannot be loaded without it'
                                    ELSE '%s was %s by hand: a dump has nothing of it' END, d.object, d.change),
            CASE WHEN d.object LIKE 'column %' THEN 'critical' ELSE 'warning' END,
            'In a script to run between the definitions and the rows of a dump: '
                || coalesce(o.command, 'the command that did it.')
        FROM usher.schema_drift() AS d
            LEFT JOIN usher._definitions() AS o ON o.object = d.object AND d.change = 'added'
        WHERE d.change <> 'missing' AND d.object ~ '^(table|column|constraint|index|trigger) '
            AND d.object <> ALL (resting)
            -- the index of a constraint comes with it
            AND NOT EXISTS (SELECT FROM pg_constraint AS c
                WHERE d.object = 'index ' || nullif(c.conindid, 0)::regclass AND c.contype IN ('p', 'u', 'x'));
END
$$;
CREATE OR REPLACE FUNCTION usher._count_orphans() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    each record;
    found bigint;
    orphans bigint := 0;
BEGIN
    FOR each IN
        SELECT k.conrelid::regclass AS child, k.confrelid::regclass AS parent,
            string_agg(format('c.%I = p.%I', a.attname, b.attname), ' AND ') AS match,
            string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') AS filled
        FROM pg_constraint AS k JOIN pg_extension AS e ON k.conrelid = ANY (e.extconfig)
            JOIN usher._installed() AS i ON i.extension = e.extname
            CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (child, parent)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.child
            JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = u.parent
        WHERE k.contype = 'f'
            -- since PostgreSQL 18 a key may ask nothing, or whether a period is covered, by several rows maybe
            AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
            AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
        GROUP BY k.oid, k.conrelid, k.confrelid
    LOOP
        EXECUTE format('SELECT count(*) FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
                       each.child, each.filled, each.parent, each.match) INTO found;
        orphans := orphans + found;
    END LOOP;
    RETURN orphans;
END
$$;
CREATE FUNCTION usher._statements_view() RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- the setting is there only where the library was preloaded; else the view raises
    SELECT format('%I.pg_stat_statements', n.nspname)
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_stat_statements' AND current_setting('pg_stat_statements.max', true) IS NOT NULL;
END;
REVOKE ALL ON FUNCTION usher._statements_view() FROM PUBLIC;
COMMENT ON FUNCTION usher._statements_view() IS 'The view of pg_stat_statements, where it can be asked; else NULL.';
CREATE FUNCTION usher.slow_statements(max_rows integer DEFAULT 20)
    RETURNS TABLE (statement text, calls bigint, mean_ms double precision, total_ms double precision,
                   rows_returned bigint, blocks_read bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text := usher._statements_view();
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF statements IS NULL THEN
        RETURN;
    END IF;
    -- Of other commands the text is kept as it was, and can hold a password.
    RETURN QUERY EXECUTE format($sql$
        SELECT s.query, s.calls, s.mean_exec_time, s.total_exec_time, s.rows, s.shared_blks_read
        FROM %s AS s
        WHERE s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND s.query ~* '^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CALL)\M'
        ORDER BY s.total_exec_time DESC, s.queryid LIMIT $1$sql$, statements) USING max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.slow_statements(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.slow_statements(integer) IS
    'The statements of this database that have taken the most time since the statistics were reset, by '
    'pg_stat_statements; no rows where that is not preloaded. With pg_stat_statements.track = all those within '
    'functions count too.';
CREATE FUNCTION usher._statement_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text := usher._statements_view();
BEGIN
    IF statements IS NOT NULL AND has_table_privilege(statements, 'SELECT') THEN
        RETURN QUERY EXECUTE format($sql$
            SELECT x.name, '{}'::jsonb, x.value
            FROM (SELECT coalesce(sum(s.total_exec_time), 0) / 1000, coalesce(sum(s.calls), 0) FROM %s AS s)
                    AS t (seconds, calls)
                CROSS JOIN LATERAL (VALUES ('usher_statement_seconds_total', t.seconds::double precision),
                                           ('usher_statements_total', t.calls::double precision)) AS x (name, value)
            $sql$, statements);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._statement_metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher._statement_metrics() IS 'A part of usher._metrics(): what pg_stat_statements counts.';
CREATE FUNCTION usher._server_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    standby CONSTANT boolean := pg_is_in_recovery();
    written CONSTANT pg_lsn := CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END;
BEGIN
    RETURN QUERY SELECT x.name, '{}'::jsonb, x.value::double precision
        FROM pg_database AS d JOIN pg_stat_database AS s ON s.datid = d.oid
            CROSS JOIN LATERAL (VALUES
                ('usher_in_recovery', standby::integer::numeric),
                ('usher_database_bytes', pg_database_size(d.oid)),
                ('usher_database_deadlocks_total', s.deadlocks),
                ('usher_database_temporary_bytes_total', s.temp_bytes),
                -- unknown without checksums
                ('usher_database_checksum_failures_total', s.checksum_failures),
                ('usher_transaction_id_age', greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)))) AS x (name, value)
        WHERE d.datname = current_database() AND x.value IS NOT NULL;
    IF standby THEN
        -- while it is connected and has replayed all that has come, nothing is missing, however old that is
        RETURN QUERY SELECT 'usher_replay_lag_seconds', '{}'::jsonb,
            CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = written THEN 0
                 ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
            END::double precision;
    END IF;
    RETURN QUERY SELECT 'usher_standby_lag_bytes', jsonb_build_object('standby', r.application_name),
            max(pg_wal_lsn_diff(written, r.replay_lsn))::double precision
        FROM pg_stat_replication AS r WHERE r.replay_lsn IS NOT NULL GROUP BY r.application_name;
    RETURN QUERY SELECT 'usher_replication_slot_bytes',
            jsonb_build_object('slot', s.slot_name, 'active', s.active),
            pg_wal_lsn_diff(written, s.restart_lsn)::double precision
        FROM pg_replication_slots AS s WHERE s.restart_lsn IS NOT NULL;
    RETURN QUERY SELECT x.name, '{}'::jsonb, x.value::double precision
        FROM pg_stat_archiver AS a
            CROSS JOIN LATERAL (VALUES
                ('usher_archive_failures_total', a.failed_count),
                ('usher_archive_failing',
                 (a.last_failed_time > coalesce(a.last_archived_time, '-infinity') IS TRUE)::integer))
                AS x (name, value)
        WHERE current_setting('archive_mode') <> 'off';
    RETURN QUERY SELECT 'usher_master_key_problem', '{}'::jsonb,
            (usher._master_key_problem() IS NOT NULL)::integer::double precision;
    RETURN QUERY SELECT 'usher_signing_key_age_seconds', jsonb_build_object('algorithm', k.algorithm),
            extract(epoch FROM clock_timestamp() - max(k.activates_at))::double precision
        FROM usher.signing_keys AS k WHERE k.activates_at <= now() GROUP BY k.algorithm;
    RETURN QUERY SELECT 'usher_audit_severe_last_hour', jsonb_build_object('severity', v.severity),
            usher.count_or_estimate(format($sql$SELECT FROM usher.audit_logs AS a
                WHERE a.severity = %L AND a.severity <> 'info' AND a.created_at > now() - interval '1 hour'
                    AND a.id > usher._first_id_at(now() - interval '1 hour 1 second')$sql$, v.severity))
                ::double precision
        FROM unnest('{warning,error,critical}'::text[]) AS v (severity);
END
$$;
REVOKE ALL ON FUNCTION usher._server_metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher._server_metrics() IS
    'A part of usher._metrics(): replication, archive, checksums, keys, severe events.';
CREATE OR REPLACE FUNCTION usher._metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT 'usher_users', jsonb_build_object('status', s.status), c.users::double precision
        FROM unnest('{pending,active,deactivated,deleted,erased}'::text[]) AS s (status)
            CROSS JOIN usher.count_or_estimate(format('SELECT FROM usher.users u WHERE u.status = %L',
                                                      s.status)) AS c (users)
        WHERE c.users > 0;
    RETURN QUERY SELECT 'usher_sessions_live', '{}'::jsonb, usher._live_sessions()::double precision;
    RETURN QUERY SELECT 'usher_accounts_locked', '{}'::jsonb, count(*)::double precision
        FROM usher.credentials c WHERE c.locked_until > now();
    RETURN QUERY
        SELECT 'usher_login_attempts_last_hour', jsonb_build_object('success', s.success), c.attempts::double precision
        FROM unnest('{true,false}'::boolean[]) AS s (success)
            CROSS JOIN usher.count_or_estimate(format($sql$SELECT FROM usher.login_attempts a
                WHERE a.attempted_at > now() - interval '1 hour' AND a.success = %L$sql$, s.success)) AS c (attempts)
        WHERE c.attempts > 0;
    RETURN QUERY SELECT 'usher_deliveries', jsonb_build_object('consumer', d.consumer, 'status', d.status),
            d.deliveries::double precision
        FROM usher._waiting_deliveries() AS d;
    -- partitions are counted with their table: there are more every month
    RETURN QUERY SELECT 'usher_table_bytes', jsonb_build_object('schema', t.schema_name, 'table', t.table_name),
            t.bytes::double precision
        FROM usher._table_sizes() AS t;
    RETURN QUERY SELECT 'usher_table_rows',
            jsonb_build_object('schema', t.schemaname, 'table', root.relname, 'state', x.state),
            sum(x.n)::double precision
        FROM pg_stat_user_tables t
            JOIN pg_class root ON root.oid = coalesce(pg_partition_root(t.relid), t.relid)
            CROSS JOIN LATERAL (VALUES ('live', t.n_live_tup), ('dead', t.n_dead_tup)) AS x (state, n)
        WHERE t.schemaname IN (SELECT i.schema FROM usher._installed() i) AND root.relname NOT LIKE '%\_inval'
        GROUP BY t.schemaname, root.relname, x.state;
    RETURN QUERY SELECT 'usher_index_scans_total', jsonb_build_object(
        'schema', x.schemaname, 'table', x.relname, 'index', x.indexrelname), x.idx_scan::double precision
        FROM pg_stat_user_indexes x WHERE x.schemaname IN (SELECT i.schema FROM usher._installed() i);
    RETURN QUERY SELECT 'usher_connections', jsonb_build_object('state', coalesce(a.state, 'unknown')),
            count(*)::double precision
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.backend_type = 'client backend' GROUP BY a.state;
    RETURN QUERY SELECT 'usher_connections_max', '{}'::jsonb, current_setting('max_connections')::double precision;
    RETURN QUERY SELECT 'usher_lock_waits', '{}'::jsonb, count(*)::double precision
        FROM pg_locks l WHERE NOT l.granted;
    RETURN QUERY SELECT 'usher_oldest_transaction_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - min(a.xact_start)), 0)::double precision
        FROM pg_stat_activity a WHERE a.datname = current_database() AND a.backend_type = 'client backend';
    RETURN QUERY SELECT 'usher_database_blocks_total', jsonb_build_object('from', x.source), x.n::double precision
        FROM pg_stat_database d
            CROSS JOIN LATERAL (VALUES ('cache', d.blks_hit), ('disk', d.blks_read)) AS x (source, n)
        WHERE d.datname = current_database();
    RETURN QUERY SELECT 'usher_transactions_total', jsonb_build_object('end', x.how), x.n::double precision
        FROM pg_stat_database d
            CROSS JOIN LATERAL (VALUES ('commit', d.xact_commit), ('rollback', d.xact_rollback)) AS x (how, n)
        WHERE d.datname = current_database();
    RETURN QUERY SELECT s.name, s.labels, s.value FROM usher._statement_metrics() AS s;
    RETURN QUERY SELECT 'usher_rate_limit_keys', jsonb_build_object('policy', r.policy, 'state', x.state),
            round(count(*) FILTER (WHERE x.counts) * 100 / usher.sample_percent('usher.rate_limit_records'))
        FROM usher.rate_limit_records r
                TABLESAMPLE SYSTEM (usher.sample_percent('usher.rate_limit_records'))
            CROSS JOIN LATERAL (VALUES ('hit', true), ('refused', r.refused_count > 0),
            ('blocked', coalesce(r.blocked_until > now(), false))) AS x (state, counts) GROUP BY r.policy, x.state;
    RETURN QUERY SELECT 'usher_grants_expired', '{}'::jsonb,
            (usher.count_or_estimate('SELECT FROM usher.user_permissions p WHERE p.expires_at < now()')
        + usher.count_or_estimate('SELECT FROM usher.user_roles r WHERE r.expires_at < now()'))::double precision;
    RETURN QUERY SELECT 'usher_oldest_pending_event_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - min(d.oldest)), 0)::double precision
        FROM usher._waiting_deliveries() AS d WHERE d.status = 'pending';
    -- they are numbered from 1, without gaps
    RETURN QUERY SELECT 'usher_audit_seals', '{}'::jsonb, coalesce(max(s.seq), 0)::double precision
        FROM usher.audit_seals s;
    RETURN QUERY SELECT 'usher_audit_sealed_until_seconds', '{}'::jsonb,
            coalesce(extract(epoch FROM clock_timestamp() - (SELECT s.sealed_at FROM usher.audit_seals s
                                                             ORDER BY s.seq DESC LIMIT 1)), 0)::double precision;
    RETURN QUERY SELECT w.name, '{}'::jsonb, w.value::integer::double precision
        FROM (VALUES ('usher_worker_expected', coalesce(usher._worker_expected(), true)),
                     ('usher_worker_running', usher._worker_running())) AS w (name, value);
    RETURN QUERY SELECT 'usher_worker_job_failing', jsonb_build_object('job', j.job),
            (j.failed_at > coalesce(j.succeeded_at, '-infinity') IS TRUE)::integer::double precision
        FROM usher._worker_jobs() j;
    RETURN QUERY SELECT 'usher_worker_job_age_seconds', jsonb_build_object('job', j.job),
            extract(epoch FROM clock_timestamp() - greatest(j.succeeded_at, j.known_since))::double precision
        FROM usher._worker_jobs() j;
    RETURN QUERY SELECT x.name, jsonb_build_object('extension', f.registrant, 'task', f.task), x.value
        FROM usher.upkeep_failures f
            CROSS JOIN LATERAL (VALUES
                ('usher_upkeep_failures_total', f.failures::double precision),
                ('usher_upkeep_failing', (f.recovered_at IS NULL)::integer::double precision)) AS x (name, value);
    RETURN QUERY SELECT x.name, jsonb_build_object('extension', c.registrant), x.value
        FROM usher.self_checks AS c
            CROSS JOIN LATERAL (VALUES
                ('usher_self_check_violations',
                 (SELECT sum(f.violations) FROM jsonb_to_recordset(c.findings) AS f (violations bigint))
                     ::double precision),
                ('usher_self_check_age_seconds',
                 extract(epoch FROM clock_timestamp() - c.checked_at)::double precision),
                ('usher_self_check_failing', (c.failure IS NOT NULL)::integer::double precision)) AS x (name, value)
        WHERE x.value IS NOT NULL;
    RETURN QUERY SELECT s.name, s.labels, s.value FROM usher._server_metrics() AS s;
    RETURN QUERY SELECT 'usher_lost_survivors_total', '{}'::jsonb, usher._lost_survivors()::double precision;
END
$$;
CREATE FUNCTION usher._metric_help() RETURNS TABLE (name text, help text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    VALUES ('usher_accounts_locked', 'Accounts that are locked after failed logins.'),
        ('usher_archive_failing', '1 while the last attempt to archive a piece of the log has failed.'),
        ('usher_archive_failures_total', 'Failed attempts to archive a piece of the log.'),
        ('usher_audit_sealed_until_seconds', 'Age of the last seal of the audit log.'),
        ('usher_audit_seals', 'Seals of the audit log.'),
        ('usher_audit_severe_last_hour', 'Events of the audit log by severity, of the last hour.'),
        ('usher_connections', 'Connections to this database by state.'),
        ('usher_connections_max', 'The setting max_connections.'),
        ('usher_database_blocks_total', 'Blocks read, from the cache or from disk.'),
        ('usher_database_bytes', 'Size of the database.'),
        ('usher_database_checksum_failures_total', 'Blocks whose checksum was wrong.'),
        ('usher_database_deadlocks_total', 'Deadlocks.'),
        ('usher_database_temporary_bytes_total', 'Bytes written to temporary files.'),
        ('usher_deliveries', 'Deliveries of events that wait or are parked, by consumer.'),
        ('usher_grants_expired', 'Roles and permissions of users that have expired and wait for upkeep.'),
        ('usher_in_recovery', '1 on a standby.'),
        ('usher_index_scans_total', 'Scans of each index.'),
        ('usher_lock_waits', 'Locks that somebody waits for.'),
        ('usher_login_attempts_last_hour', 'Login attempts of the last hour.'),
        ('usher_lost_survivors_total', 'Rows that were to outlive a rollback and were lost.'),
        ('usher_master_key_problem', '1 while the master key cannot be used.'),
        ('usher_metrics_failing', '1 while an extension or application fails to tell its metrics, or has too many.'),
        ('usher_oldest_pending_event_seconds', 'Age of the oldest event that waits for a consumer.'),
        ('usher_oldest_transaction_seconds', 'Age of the oldest transaction.'),
        ('usher_rate_limit_keys', 'Keys of rate limits: hit, refused, blocked.'),
        ('usher_replay_lag_seconds', 'How far a standby is behind its primary.'),
        ('usher_replication_slot_bytes', 'Log that a replication slot holds back.'),
        ('usher_self_check_age_seconds', 'Age of the last self-check of each extension.'),
        ('usher_self_check_failing', '1 while the self-check of an extension fails.'),
        ('usher_self_check_violations', 'Rows that break a rule, by the last self-check of each extension.'),
        ('usher_sessions_live', 'Sessions in force.'),
        ('usher_signing_key_age_seconds', 'How long the newest signing key of each algorithm has been in use.'),
        ('usher_standby_lag_bytes', 'Log that a standby has not replayed yet.'),
        ('usher_statement_seconds_total', 'Time of all statements, by pg_stat_statements.'),
        ('usher_statements_total', 'Number of all statements, by pg_stat_statements.'),
        ('usher_table_bytes', 'Size of each table with its indexes.'),
        ('usher_table_rows', 'Rows of each table, live and dead.'),
        ('usher_transaction_id_age', 'Transactions since the oldest row that is not frozen.'),
        ('usher_transactions_total', 'Transactions, committed or rolled back.'),
        ('usher_upkeep_failing', '1 while a step of upkeep fails.'),
        ('usher_upkeep_failures_total', 'How often a step of upkeep has failed.'),
        ('usher_users', 'Accounts by status.'),
        ('usher_worker_expected', '1 where a background worker has to keep this database up.'),
        ('usher_worker_job_age_seconds', 'How long ago each job of the worker last succeeded.'),
        ('usher_worker_job_failing', '1 while the last run of a job of the worker has failed.'),
        ('usher_worker_running', '1 while the background worker runs.');
END;
REVOKE ALL ON FUNCTION usher._metric_help() FROM PUBLIC;
COMMENT ON FUNCTION usher._metric_help() IS 'What the metrics of core are about.';
CREATE FUNCTION usher.metrics() RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What fails here must not blind those who watch all the rest.
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT h.registrant, t.answer, t.failure
        FROM usher._hook_functions('metrics') AS h
            CROSS JOIN usher._try_hook(h.function, seconds => CASE WHEN h.registrant <> 'usher' THEN 5 END) AS t),
    told AS (
        SELECT m.name, m.labels, m.value, m.help
        FROM asked AS a
            CROSS JOIN ROWS FROM (jsonb_to_recordset(a.answer)
                                      AS (name text, labels jsonb, value double precision, help text))
                WITH ORDINALITY AS m (name, labels, value, help, place)
        -- Nor does one crowd out the others, or speak for them.
        WHERE a.registrant LIKE 'usher%' OR m.place <= 1000 AND m.name NOT LIKE 'usher\_%'
        UNION ALL
        SELECT 'usher_metrics_failing', jsonb_build_object('extension', a.registrant),
               (a.failure IS NOT NULL
                OR a.registrant NOT LIKE 'usher%' AND jsonb_array_length(a.answer) > 1000)::integer, NULL
        FROM asked AS a)
    SELECT t.name, t.labels, t.value, coalesce(t.help, d.help)
    FROM told AS t LEFT JOIN usher._metric_help() AS d ON d.name = t.name;
END
$$;
REVOKE ALL ON FUNCTION usher.metrics() FROM PUBLIC;
COMMENT ON FUNCTION usher.metrics() IS
    'Numbers for a scraper, in the way of Prometheus: name, labels, value, and what it is about. Connections, lock '
    'waits, transactions, sizes, dead rows and index scans of the tables, replication, archive, users, sessions, '
    'limits, events, audit; with pg_stat_statements also the time of statements. The gateway serves them with its '
    'own at /metrics of its admin listener.';
CREATE FUNCTION usher._table_sizes() RETURNS TABLE (schema_name name, table_name name, bytes bigint, row_count bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- partitions are counted with their table
    SELECT n.nspname, root.relname, sum(pg_total_relation_size(c.oid))::bigint,
        sum(greatest(c.reltuples, 0))::bigint
    FROM usher._installed() AS i JOIN pg_namespace AS n ON n.nspname = i.schema
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = 'r'
        JOIN pg_class AS root ON root.oid = coalesce(pg_partition_root(c.oid), c.oid)
    WHERE root.relname NOT LIKE '%\_inval'
    GROUP BY n.nspname, root.relname;
END;
REVOKE ALL ON FUNCTION usher._table_sizes() FROM PUBLIC;
COMMENT ON FUNCTION usher._table_sizes() IS 'How large the tables of all registered extensions are now.';
CREATE FUNCTION usher._note_table_sizes() RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    noted bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM usher.table_sizes AS t WHERE t.day = today) THEN
        INSERT INTO usher.table_sizes (day, schema_name, table_name, bytes, row_count)
        SELECT today, s.schema_name, s.table_name, s.bytes, s.row_count FROM usher._table_sizes() AS s
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS noted = ROW_COUNT;
        DELETE FROM usher.table_sizes AS t WHERE t.day < today - 400;
    END IF;
    RETURN noted;
END
$$;
REVOKE ALL ON FUNCTION usher._note_table_sizes() FROM PUBLIC;
COMMENT ON FUNCTION usher._note_table_sizes() IS
    'A step of upkeep: once a day, how large each table is; forgets what is older than 400 days.';
CREATE FUNCTION usher.table_growth(days integer DEFAULT 30)
    RETURNS TABLE (schema_name name, table_name name, bytes bigint, row_count bigint, since date,
                   bytes_per_day bigint, rows_per_day bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 400 THEN
        PERFORM usher.raise_error('invalid_argument', 'days must be from 1 to 400', '{"argument": "days"}');
    END IF;
    RETURN QUERY
    SELECT s.schema_name, s.table_name, s.bytes, s.row_count, t.day,
        (s.bytes - t.bytes) / (today - t.day), (s.row_count - t.row_count) / (today - t.day)
    FROM usher._table_sizes() AS s
        LEFT JOIN LATERAL (
            SELECT o.day, o.bytes, o.row_count FROM usher.table_sizes AS o
            WHERE o.schema_name = s.schema_name AND o.table_name = s.table_name
                AND o.day >= today - days AND o.day < today
            ORDER BY o.day LIMIT 1) AS t ON true
    ORDER BY 6 DESC NULLS LAST, s.bytes DESC, s.schema_name, s.table_name;
END
$$;
REVOKE ALL ON FUNCTION usher.table_growth(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.table_growth(integer) IS
    'How large each table is, partitions counted with it, and by how much it has grown a day since the first day of '
    'these that is noted; the fastest first. Upkeep notes the sizes once a day, for 400 days. row_count is the '
    'planner''s estimate.';
CREATE OR REPLACE FUNCTION usher._run_maintenance(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step record;
BEGIN
    RETURN QUERY SELECT m.task, m.affected FROM usher._maintain_identity(max_rows) m;

    -- SKIP LOCKED: what somebody works on now is left for the next time, so upkeep never waits and is never waited
    -- for.
    FOR step IN
        SELECT * FROM (VALUES
            ('events_removed', 'SELECT usher._remove_old_events($1)'),
            ('levels_of_lost_roles_removed', 'SELECT usher._follow_database_roles()'),
            ('rate_limits_flushed', 'SELECT usher._flush_rate_limits()'),
            ('rate_limits_removed', 'SELECT usher._maintain_rate_limits($1)'),
            ('idempotent_answers_removed', $sql$
                DELETE FROM usher.idempotent_answers a
                WHERE (a.principal, a.key_hash) IN (
                    SELECT x.principal, x.key_hash FROM usher.idempotent_answers x
                    WHERE x.created_at
                        < now() - make_interval(hours => current_setting('usher.idempotency_retention')::integer)
                    LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('idempotent_calls_removed', 'SELECT usher._forget_old_calls($1)'),
            ('expired_grants_removed', 'SELECT usher._remove_expired_grants($1)'),
            ('audit_rows_removed', 'SELECT usher._remove_old_audit_rows($1)'),
            -- A key retires an hour after the last token that it signed has expired at the latest.
            ('signing_keys_removed', $sql$
                DELETE FROM usher.signing_keys k
                WHERE k.kid IN (SELECT x.kid FROM usher.signing_keys x
                                WHERE x.retires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('audit_rows_sealed', 'SELECT usher._keep_audit_log_sealed($1)'),
            ('table_sizes_noted', 'SELECT usher._note_table_sizes()')
        ) AS v (task, statement)
    LOOP
        RETURN QUERY SELECT u.task, u.affected FROM usher.upkeep_step(step.task, step.statement, max_rows) u;
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION usher.health(OUT status text, OUT in_recovery boolean, OUT preloaded boolean,
                             OUT active_users bigint, OUT live_sessions bigint, OUT audit_rows_last_hour bigint,
                             OUT parked_events bigint, OUT worker_expected boolean, OUT worker_running boolean,
                             OUT worker_problem text, OUT last_flush_at timestamptz, OUT last_upkeep_at timestamptz,
                             OUT extension_problems jsonb, OUT database_time timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    in_recovery := pg_is_in_recovery();
    preloaded := usher._is_preloaded();
    active_users := usher.count_or_estimate($sql$SELECT FROM usher.users u WHERE u.status = 'active'$sql$);
    live_sessions := usher._live_sessions();
    audit_rows_last_hour := usher.count_or_estimate($sql$SELECT FROM usher.audit_logs a
        WHERE a.created_at > now() - interval '1 hour'
            AND a.id > usher._first_id_at(now() - interval '1 hour 1 second')$sql$);
    parked_events := usher.count_or_estimate($sql$SELECT FROM usher.deliveries d WHERE d.status = 'parked'$sql$);
    worker_expected := usher._worker_expected();
    worker_running := usher._worker_running();
    worker_problem := usher._worker_problem();
    last_flush_at := (SELECT CASE WHEN bool_and(j.succeeded_at IS NOT NULL) THEN min(j.succeeded_at) END
        FROM usher._worker_jobs() j
        WHERE j.job NOT IN ('maintenance', 'sealing the audit log', 'self-check', 'running event handlers'));
    last_upkeep_at := (SELECT j.succeeded_at FROM usher._worker_jobs() j WHERE j.job = 'maintenance');
    extension_problems := (
        SELECT coalesce(jsonb_object_agg(h.registrant, p.problem), '{}')
        FROM usher._hook_functions('health') AS h CROSS JOIN usher._try_hook(h.function, seconds => 5) AS t
            CROSS JOIN coalesce('cannot be asked: ' || t.failure, t.answer ->> 0) AS p (problem)
        WHERE p.problem IS NOT NULL);
    database_time := clock_timestamp();
    status := CASE WHEN parked_events > 0 OR worker_problem IS NOT NULL OR extension_problems <> '{}' THEN 'degraded'
                   ELSE 'ok' END;
END
$$;
CREATE FUNCTION usher._check_server_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT usher._is_preloaded() THEN
        RETURN QUERY VALUES ('the library is not preloaded', 'warning',
            'Set shared_preload_libraries = ''usher'' and restart: without it failed logins in transactions that roll '
            'back are not counted, checks of access in transactions that roll back leave no trace, and the number of '
            'concurrent password hashes is not limited.');
    ELSIF NOT EXISTS (SELECT FROM unnest(string_to_array(current_setting('usher.worker_databases'), ',')) AS d(name)
                      WHERE trim(d.name, ' "') = current_database()) THEN
        RETURN QUERY VALUES ('no background worker keeps this database up', 'notice',
            format('Add %s to usher.worker_databases, or have a scheduler call usher.run_maintenance().',
                   quote_ident(current_database())));
    END IF;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RETURN QUERY VALUES ('the encoding of the database is not UTF8', 'warning',
            'Make the database anew with encoding UTF8: passwords cannot be normalized in other encodings.');
    END IF;
    IF current_setting('ssl') = 'off'
       AND current_setting('listen_addresses') NOT IN ('', 'localhost', '127.0.0.1', '::1') THEN
        RETURN QUERY VALUES ('connections over the network are not encrypted', 'warning',
                             'Set ssl = on: passwords and tokens travel as parameters.');
    END IF;
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (NOT current_setting('fsync')::boolean, 'fsync is off', 'critical',
         'Set fsync = on: a crash of the machine loses committed data.'),
        (NOT current_setting('full_page_writes')::boolean, 'full_page_writes is off', 'critical',
         'Set full_page_writes = on: a crash of the machine can tear pages.'),
        (current_setting('usher.restoring')::boolean, 'usher.restoring is on', 'critical',
         'Turn it off: no audit rows, history and events are written.'),
        (current_setting('session_replication_role') = 'replica', 'session_replication_role is replica', 'critical',
         'Reset it: triggers do not fire, so that nothing is audited or checked.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_server_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_server_settings() IS
    'Part of check_configuration(): the library, its worker, and what could lose or hide data.';
CREATE FUNCTION usher._check_logging() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (current_setting('log_statement') IN ('all', 'mod') AND current_setting('log_parameter_max_length') <> '0',
         'log_statement writes statements with their values to the server log', 'warning',
            'Set log_statement = ddl, and log_parameter_max_length = 0: passwords and tokens are values.'),
        (current_setting('log_parameter_max_length_on_error') <> '0',
         'parameters of failed statements are written to the server log', 'critical',
         'Set log_parameter_max_length_on_error = 0.'),
        (coalesce(current_setting('auto_explain.log_min_duration', true), '-1') <> '-1'
         AND coalesce(current_setting('auto_explain.log_parameter_max_length', true), '-1') <> '0',
            'auto_explain writes parameters to the server log', 'critical',
            'Set auto_explain.log_parameter_max_length = 0.'),
        (current_setting('debug_print_parse')::boolean OR current_setting('debug_print_rewritten')::boolean
         OR current_setting('debug_print_plan')::boolean,
            'parse trees, with their values, are written to the server log', 'critical',
            'Turn off debug_print_parse, debug_print_rewritten and debug_print_plan.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_logging() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_logging() IS
    'Part of check_configuration(): what writes values, passwords and tokens among them, to the server log.';
CREATE FUNCTION usher._check_account_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (current_setting('password_encryption') = 'md5', 'passwords of database roles are hashed with md5', 'warning',
         'Set password_encryption = scram-sha-256 and set the passwords again.'),
        (current_setting('usher.bcrypt_rounds')::integer < 12, 'bcrypt runs with fewer than 12 rounds', 'warning',
         'Raise usher.bcrypt_rounds to 12 or more.'),
        (current_setting('usher.lockout_threshold')::integer > 10,
         'an account takes more than 10 guesses before it is locked', 'warning',
         'Lower usher.lockout_threshold to 10 or less.'),
        ((SELECT s.setting::integer > 3600 FROM pg_settings s WHERE s.name = 'usher.access_token_ttl'),
         'access tokens live longer than an hour', 'warning', 'Lower usher.access_token_ttl: 15 minutes are usual.'),
        (NOT current_setting('usher.require_verified_email')::boolean, 'accounts with unverified addresses may log in',
         'notice', 'Set usher.require_verified_email = on.'),
        (current_setting('usher.reveal_lockout')::boolean,
         'login tells strangers that an account is locked, so that it exists', 'notice',
         'Set usher.reveal_lockout = off.'),
        (current_setting('usher.refresh_reuse') = 'lenient', 'the reuse of a refresh token goes unpunished', 'warning',
         'Set usher.refresh_reuse = grace or strict: a stolen token would not be noticed.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_account_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_account_settings() IS
    'Part of check_configuration(): what weakens passwords, lockouts and tokens.';
CREATE FUNCTION usher._check_audit_settings() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT w.finding, w.severity, w.advice FROM (VALUES
        (NOT current_setting('usher.audit_chain')::boolean, 'the audit log is not sealed', 'warning',
         'Set usher.audit_chain = on: changes of old audit rows would not be noticed.'),
        (current_setting('usher.audit_archive_function') <> '' AND to_regprocedure(
            current_setting('usher.audit_archive_function') || '(regclass, timestamptz, timestamptz)') IS NULL,
            'usher.audit_archive_function does not exist', 'warning',
            'Create it with the arguments (regclass, timestamptz, timestamptz), or empty the setting: no month is '
            'retired until then.'),
        (current_setting('usher.archive_function') <> '' AND to_regprocedure(
            current_setting('usher.archive_function') || '(regclass, jsonb)') IS NULL,
            'usher.archive_function does not exist', 'warning',
            'Create it with the arguments (regclass, jsonb), or empty the setting: old events, sessions and login '
            'attempts stay until then.'),
        (usher._audit_month_coverage(date_trunc('month', clock_timestamp(), 'UTC') + interval '32 days') <> 'all',
            'the audit log has no partition for the next month', 'warning',
            'Have usher.run_maintenance() called regularly, and see what it warns of.')
        ) AS w (found, finding, severity, advice) WHERE w.found;
END
$$;
REVOKE ALL ON FUNCTION usher._check_audit_settings() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_audit_settings() IS
    'Part of check_configuration(): the seal, the archives and the next month of the audit log.';
CREATE FUNCTION usher._check_database_roles() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('log_statement') IN ('all', 'mod')
       OR current_setting('log_min_duration_statement')::integer >= 0
       OR current_setting('log_min_duration_sample')::integer >= 0
       OR current_setting('log_transaction_sample_rate')::float > 0 THEN
        RETURN QUERY SELECT format('parameters of role %s are written to the server log', r.role_name), 'critical',
            format('ALTER ROLE %I SET log_parameter_max_length = 0;', r.role_name)
        FROM (SELECT DISTINCT f.role, f.role_name FROM usher._levels_in_force() AS f) r
        WHERE NOT EXISTS (SELECT FROM pg_db_role_setting s
                          WHERE s.setrole = r.role AND 'log_parameter_max_length=0' = ANY (s.setconfig))
            AND current_setting('log_parameter_max_length') <> '0';
    END IF;
    IF has_function_privilege('pg_hba_file_rules()', 'EXECUTE') THEN
        RETURN QUERY SELECT format('line %s of pg_hba.conf lets anybody in without a password', h.line_number),
                'critical', 'Use scram-sha-256 or cert instead of trust.'
            FROM pg_hba_file_rules() h WHERE h.type LIKE 'host%' AND h.auth_method = 'trust';
        RETURN QUERY SELECT format('line %s of pg_hba.conf sends passwords that can be read or replayed',
                                   h.line_number), 'warning', 'Use scram-sha-256.'
            FROM pg_hba_file_rules() h
            WHERE h.auth_method = 'md5' OR (h.auth_method = 'password' AND h.type <> 'hostssl');
        RETURN QUERY SELECT format('line %s of pg_hba.conf accepts connections over the network without TLS',
                                   h.line_number), 'warning', 'Write hostssl instead of host.'
            FROM pg_hba_file_rules() h
            WHERE h.type IN ('host', 'hostnossl') AND h.auth_method <> 'reject'
                AND h.address NOT IN ('127.0.0.1', '::1', 'localhost', 'samehost');
    END IF;
    RETURN QUERY SELECT format('role %s of level %s passes all checks of the server', r.rolname, d.level), 'critical',
            format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS: row-level security and grants do not hold for it.',
                   r.rolname)
        FROM usher._levels_in_force() d JOIN pg_roles r ON r.oid = d.role
        WHERE d.level IN ('application', 'gateway', 'courier', 'readonly') AND (r.rolsuper OR r.rolbypassrls);
END
$$;
REVOKE ALL ON FUNCTION usher._check_database_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_database_roles() IS
    'Part of check_configuration(): how database roles log in, what is logged of them, and which pass all checks.';
CREATE FUNCTION usher._check_subscriptions() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT DISTINCT format('%s follows %s, but events of that name came from nobody who has declared it',
                                        s.extension, s.event), 'warning',
            'They were not acted on. If they are yours, declare the name: usher.register_extension(…, publishes => …).'
        FROM usher.subscriptions AS s
        WHERE s.extension IS NOT NULL
            AND EXISTS (SELECT FROM usher.events AS e WHERE e.event = s.event AND e.publisher IS NULL);
END
$$;
REVOKE ALL ON FUNCTION usher._check_subscriptions() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_subscriptions() IS
    'Part of check_configuration(): events that an extension follows and nobody has declared.';
CREATE FUNCTION usher._check_routes() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT format('route %s %s asks for the permission %s, which is not defined', r.method,
                               r.path_template, r.permission), 'warning',
        format('SELECT usher.create_permission(%L), or usher.add_route() with another one.', r.permission)
    FROM usher.routes r
    WHERE r.is_active AND r.permission IS NOT NULL AND r.extension IS DISTINCT FROM 'usher'
        AND NOT EXISTS (SELECT FROM usher.permissions p WHERE p.name = r.permission)
        AND NOT EXISTS (SELECT FROM usher.role_presets x WHERE x.preset -> 'permissions' ? r.permission)
    ORDER BY r.path_template COLLATE "C", r.method;
END
$$;
REVOKE ALL ON FUNCTION usher._check_routes() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_routes() IS
    'Part of check_configuration(): routes that nobody but holders of a wildcard can be let into.';
CREATE FUNCTION usher._check_grants() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Levels that count for nothing, since their role is not of this server, or no longer there.
    RETURN QUERY SELECT format('level %s of role %s is of another server', d.level, d.role_name), 'warning',
            CASE WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = d.role_name)
                 THEN format('If the role that is called so here is meant: SELECT usher.grant_access(%L, %L); else: '
                             'SELECT usher.revoke_access(%L, %L);', d.role_name, d.level, d.role_name, d.level)
                 ELSE format('There is no role of this name: SELECT usher.revoke_access(%L, %L);', d.role_name,
                             d.level) END
        FROM usher.database_roles AS d WHERE d.server <> usher._server_identifier();
    RETURN QUERY SELECT format('role %s is gone, its level %s is left', d.role_name, d.level), 'notice',
            'SELECT usher.run_maintenance() removes it.'
        FROM usher.database_roles AS d
        WHERE d.server = usher._server_identifier()
            AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = d.role_oid);
    -- Triggers on tables of ours run with the rights of whoever writes there: the owner of the extension.
    RETURN QUERY SELECT format('role %s may put triggers on %s', x.grantee::regrole, c.oid::regclass), 'critical',
            format('REVOKE TRIGGER ON %s FROM %s: they would run as %s.', c.oid::regclass, x.grantee::regrole,
                   c.relowner::regrole)
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
                AND m.classid = 'pg_class'::regclass
            JOIN pg_class AS c ON c.oid = m.objid
            CROSS JOIN LATERAL aclexplode(c.relacl) AS x
        WHERE x.privilege_type = 'TRIGGER' AND x.grantee NOT IN (0, c.relowner);
    RETURN QUERY SELECT format('trigger %I of %s runs a function of %s as %s', t.tgname, t.tgrelid::regclass,
                               p.proowner::regrole, c.relowner::regrole), 'critical',
            format('ALTER FUNCTION %1$s OWNER TO %2$s; whoever owns it has the rights of %2$s.', p.oid::regprocedure,
                   c.relowner::regrole)
        FROM usher._installed() AS i JOIN pg_extension AS e ON e.extname = i.extension
            JOIN pg_depend AS m ON m.refclassid = 'pg_extension'::regclass AND m.refobjid = e.oid AND m.deptype = 'e'
                AND m.classid = 'pg_class'::regclass
            JOIN pg_class AS c ON c.oid = m.objid
            JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
            JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT pg_has_role(p.proowner, c.relowner, 'USAGE');
    RETURN QUERY SELECT format('PUBLIC may %s %s', lower(x.privilege_type), c.oid::regclass), 'critical',
            format('REVOKE ALL ON %s FROM PUBLIC;', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) x
        WHERE n.nspname IN (SELECT i.schema FROM usher._installed() i) AND c.relkind IN ('r', 'p', 'v', 'm')
            AND x.grantee = 0;
    RETURN QUERY SELECT format('PUBLIC may create objects in schema %s', n.nspname), 'critical',
            format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC;', n.nspname)
        FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) x
        WHERE x.grantee = 0 AND x.privilege_type = 'CREATE'
            AND (n.nspname = 'public' OR n.nspname IN (SELECT i.schema FROM usher._installed() i));
END
$$;
REVOKE ALL ON FUNCTION usher._check_grants() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_grants() IS
    'Part of check_configuration(): levels that count for nothing, and rights on tables and schemas that nobody '
    'should have.';
CREATE FUNCTION usher._check_objects() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT format('table %s is not audited', c.oid::regclass), 'notice',
            format('SELECT usher.enable_audit(%L);', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
          AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid
                              AND t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgenabled <> 'D');
    RETURN QUERY SELECT g.finding, g.severity, g.advice FROM usher._trigger_gaps() g;
    RETURN QUERY SELECT format('rows of table %s cannot be told apart in the audit log: %s', t.tgrelid::regclass,
                               usher._audit_key_problem(t.tgrelid)), 'notice',
            format('SELECT usher.enable_audit(%L, key => …);', t.tgrelid::regclass)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid AND NOT c.relispartition
        WHERE t.tgfoid = 'usher.audit_change()'::regprocedure AND t.tgname = 'usher_audit_insert'
            AND usher._audit_key_problem(t.tgrelid) IS NOT NULL;
    RETURN QUERY SELECT format('trigger %I of table %s is disabled', t.tgname, t.tgrelid::regclass), 'critical',
            format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE t.tgenabled = 'D' AND n.nspname IN (SELECT i.schema FROM usher._installed() i);
    RETURN QUERY SELECT format('%s is granted to PUBLIC', p.oid::regprocedure), 'critical',
            format('REVOKE ALL ON FUNCTION %s FROM PUBLIC;', p.oid::regprocedure)
        FROM usher._installed() i JOIN pg_extension e ON e.extname = i.extension
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
            AND d.classid = 'pg_proc'::regclass
        JOIN pg_proc p ON p.oid = d.objid
        WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee = 0);
END
$$;
REVOKE ALL ON FUNCTION usher._check_objects() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_objects() IS
    'Part of check_configuration(): tables without audit, triggers that are disabled, functions that PUBLIC may call.';
CREATE FUNCTION usher._check_secrets() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('usher.master_key_file') = '' THEN
        RETURN QUERY VALUES ('secrets are stored as they are', 'notice',
            'Set usher.master_key_file and call usher.wrap_secrets(): whoever reads a backup then holds no signing '
            'keys.');
    ELSIF current_setting('usher.master_key_file') NOT LIKE '/%'
        OR starts_with(current_setting('usher.master_key_file'), current_setting('data_directory') || '/') THEN
        RETURN QUERY VALUES ('the master key lies in the data directory', 'warning',
            'Move the file of usher.master_key_file elsewhere: a base backup holds it together with what is sealed '
            'under it.');
    END IF;
    IF usher._master_key_problem() IS NOT NULL THEN
        RETURN QUERY VALUES (usher._master_key_problem(), 'critical',
                             'Put the file right: until then nothing can be signed with the keys sealed under it.');
    ELSIF usher._has_secrets_to_wrap() THEN
        RETURN QUERY VALUES ('secrets are not sealed under the master key that is set', 'warning',
                             'SELECT * FROM usher.wrap_secrets();');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_secrets() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_secrets() IS
    'Part of check_configuration(): the master key, and what is sealed under it.';
CREATE FUNCTION usher._check_late_extensions() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Grants made by an extension's own script would not be dumped, so a feature cannot do this when it is installed.
    RETURN QUERY SELECT format('role %s has level %s, but nothing of it in schema %s', r.role_name, r.level, i.schema),
            'warning',
            format('The extension %s was installed later: SELECT usher.grant_access(%L, %L);', i.extension,
                   r.role_name, r.level)
        FROM usher._levels_in_force() r CROSS JOIN usher._installed() i
        WHERE NOT has_schema_privilege(r.role, i.schema, 'USAGE')
            AND EXISTS (SELECT FROM usher.extension_access AS a
                        WHERE a.registrant = i.extension AND r.level = ANY (a.levels));
END
$$;
REVOKE ALL ON FUNCTION usher._check_late_extensions() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_late_extensions() IS
    'Part of check_configuration(): extensions that came after the grants of access.';
CREATE FUNCTION usher._check_passwords() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (SELECT bool_or(s.boot_val::integer <= s.setting::integer)
            FROM pg_settings s WHERE s.name = 'usher.argon2_memory')
        OR (SELECT s.setting::integer < s.boot_val::integer
            FROM pg_settings s WHERE s.name = 'usher.argon2_iterations') THEN
        RETURN QUERY VALUES ('Argon2id runs with less than the OWASP minimum', 'warning',
                             'Raise usher.argon2_memory to 19 MiB or more with usher.argon2_iterations of 2 or more.');
    END IF;
    IF (SELECT s.setting::integer < 8 FROM pg_settings s WHERE s.name = 'usher.password_min_length') THEN
        RETURN QUERY
            VALUES ('passwords may be shorter than 8 characters', 'warning', 'Raise usher.password_min_length.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_passwords() FROM PUBLIC;
COMMENT ON FUNCTION usher._check_passwords() IS
    'Part of check_configuration(): whether passwords are as long, and their hashes as costly, as they must be.';
CREATE OR REPLACE FUNCTION usher._check_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM usher._check_addresses();
    RETURN QUERY SELECT * FROM usher._check_server_settings();
    RETURN QUERY SELECT * FROM usher._check_logging();
    RETURN QUERY SELECT * FROM usher._check_account_settings();
    RETURN QUERY SELECT * FROM usher._check_audit_settings();
    RETURN QUERY SELECT * FROM usher._check_database_roles();
    RETURN QUERY SELECT * FROM usher._check_subscriptions();
    RETURN QUERY SELECT * FROM usher._check_routes();
    RETURN QUERY SELECT * FROM usher._check_grants();
    RETURN QUERY SELECT * FROM usher._check_objects();
    RETURN QUERY SELECT * FROM usher._check_secrets();
    RETURN QUERY SELECT * FROM usher._check_dump();
    RETURN QUERY SELECT * FROM usher._check_late_extensions();
    RETURN QUERY SELECT * FROM usher._check_passwords();
END
$$;
CREATE OR REPLACE FUNCTION usher._check_database_role(role name, may_be_gone boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null', '{"argument": "role"}');
    ELSIF NOT pg_has_role((SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'usher'), 'USAGE') THEN
        PERFORM usher.raise_error('not_permitted',
                                  'only the owner of the extension can change the access of database roles');
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role)
          AND NOT (may_be_gone AND EXISTS (SELECT FROM usher.database_roles d WHERE d.role_name = role)) THEN
        PERFORM usher.raise_error('unknown_reference', format('database role "%s" does not exist', role),
                                  jsonb_build_object('role', role), 'Create it with CREATE ROLE.');
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION usher.grant_access(role name, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._check_database_role(role);
    IF level IS NULL OR level NOT IN ('application', 'gateway', 'courier', 'readonly', 'auditor', 'admin') THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'level must be application, gateway, courier, readonly, auditor or admin',
                                  '{"argument": "level"}');
    END IF;
    PERFORM usher._grant_list(i.schema, role, a.kind, a.names)
    FROM usher._installed() AS i JOIN usher.extension_access AS a ON a.registrant = i.extension
    WHERE level = ANY (a.levels)
    ORDER BY a.registrant, a.number;
    PERFORM usher._follow_database_roles();
    -- what a dump brought from another server for a role of this name is hereby confirmed
    DELETE FROM usher.database_roles AS d
    WHERE d.server <> usher._server_identifier() AND d.role_name = role AND d.level = grant_access.level;
    INSERT INTO usher.database_roles (role_name, level, role_oid)
    SELECT r.rolname, grant_access.level, r.oid FROM pg_roles AS r WHERE r.rolname = role
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.database_role_granted', jsonb_build_object('level', level),
                                         'database_role', role);
    END IF;

    -- Parameters of such roles are passwords and tokens: they must not reach the server log.
    IF level IN ('application', 'gateway', 'courier') THEN
        BEGIN
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length = 0', role);
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length_on_error = 0', role);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'statement parameters of role "%" may reach the server log', role
                USING HINT = format('As a superuser: ALTER ROLE %I SET log_parameter_max_length = 0', role);
        END;
    END IF;
END
$$;
COMMENT ON FUNCTION usher.grant_access(name, text) IS
    'Gives a database role an access level, application, gateway, courier (which sends what goes out), readonly, '
    'auditor or admin, in all installed usher '
    'extensions. Repeat it after installing another one, and after restoring a dump on another server, where levels '
    'count for nothing until then. The level belongs to the role, not to its name. For the owner of the extension.';
CREATE FUNCTION usher._grant_new_members() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH updated AS (
            SELECT c.objid AS oid FROM pg_event_trigger_ddl_commands() AS c
            WHERE c.classid = 'pg_extension'::regclass),
        -- What a DBA has revoked by hand stays revoked: only what came with this update is granted.
        member AS (
            SELECT CASE WHEN d.classid = 'pg_proc'::regclass THEN 'FUNCTION ' || d.objid::regprocedure
                        ELSE 'TABLE ' || d.objid::regclass END AS object
            FROM pg_depend AS d JOIN updated AS u ON u.oid = d.refobjid
            WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
                AND age(d.xmin) <= age(pg_current_xact_id()::xid)),
        listed AS (
            SELECT f.role_name, o.privilege, o.object
            FROM updated AS u JOIN pg_extension AS e ON e.oid = u.oid
                JOIN usher.extension_access AS a ON a.registrant = e.extname
                JOIN usher._levels_in_force() AS f ON f.level = ANY (a.levels)
                CROSS JOIN LATERAL usher._listed_objects(usher._schema_of(a.registrant), a.kind, a.names) AS o)
        SELECT l.role_name, l.privilege, l.object FROM listed AS l WHERE l.object IN (SELECT m.object FROM member AS m)
        UNION
        SELECT l.role_name, format('SELECT (%I)', a.attname), l.object
        FROM listed AS l JOIN pg_attribute AS a ON 'TABLE ' || a.attrelid::regclass = l.object
        WHERE l.privilege LIKE 'SELECT (%' AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NULL
            AND quote_ident(a.attname) = ANY (string_to_array(btrim(substr(l.privilege, 8), '()'), ', '))
            AND age(a.xmin) <= age(pg_current_xact_id()::xid)
            AND l.object NOT IN (SELECT m.object FROM member AS m)
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', given.privilege, given.object, given.role_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_new_members() FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_new_members() IS
    'Event trigger of ALTER EXTENSION: roles that have a level are granted what an update has brought for it. Not in '
    'the script of the update itself: privileges that a script grants are in no dump.';
SELECT usher.register_extension('Accounts, access, audit, status machines, limits, events and HTTP dispatch',
    error_class => 'US',
    hooks => '{
        "upkeep": "_run_maintenance", "self_check": "_self_check", "configuration": "_check_configuration",
        "metrics": "_metrics",
        "export": "_export_user", "erase": "_erase_user"}',
    -- the columns of usher.health() say more
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "_audit_dump": {"impersonal": ["*"]},
        "_schema_objects": {"impersonal": ["*"]},
        "_watched_columns": {"impersonal": ["*"]},
        "api_keys": {"sensitive": ["key_hash"], "personal": ["name"], "impersonal": ["permissions", "prefix",
            "revoked_reason"]},
        "audit_logs": {"user": ["actor_id", "subject_id"], "personal": ["actor_name", "client_ip", "user_agent", "key",
            "new_values", "old_values", "event_data", "metadata", "error_message", "resource_id"],
            "impersonal": ["id", "action", "correlation_id", "database_user", "event_type", "resource_type",
            "result", "session_id", "severity", "source", "value_digest", "value_salt"]},
        "audit_seals": {"impersonal": ["*"]},
        "consents": {"subject": ["user_id"], "personal": ["client_ip", "evidence", "user_agent"],
            "impersonal": ["document_version", "purpose"]},
        "credentials": {"subject": ["user_id"], "sensitive": ["password_hash"]},
        "database_roles": {"impersonal": ["*"]},
        "decisions": {"impersonal": ["*"]},
        "deliveries": {"impersonal": ["*"]},
        "events": {"user": ["user_id"], "personal": ["payload"], "impersonal": ["causation_id", "correlation_id",
            "dedupe_key", "event", "key", "publisher"]},
        "extension_access": {"impersonal": ["*"]},
        "extension_errors": {"impersonal": ["*"]},
        "extension_events": {"impersonal": ["*"]},
        "extension_hooks": {"impersonal": ["*"]},
        "extension_settings": {"impersonal": ["*"]},
        "extensions": {"impersonal": ["*"]},
        "idempotent_calls": {"user": ["actor"], "personal": ["result"],
            "impersonal": ["key", "registrant", "request_hash"]},
        "idempotent_answers": {"personal": ["body", "headers"], "impersonal": ["fingerprint", "key_hash",
            "principal"]},
        "identities": {"subject": ["user_id"], "sensitive": ["access_token", "refresh_token"],
            "personal": ["provider_email", "provider_user_id", "user_info"], "impersonal": ["provider"]},
        "login_attempts": {"personal": ["client_ip", "email", "user_agent"], "impersonal": ["failure_reason"]},
        "login_challenges": {"sensitive": ["token_hash"], "personal": ["client_ip", "device", "user_agent"],
            "impersonal": ["authentication_methods"]},
        "machines": {"user": ["created_by"], "impersonal": ["definition", "extension", "name"]},
        "network_failures": {"personal": ["failed_names", "network"]},
        "one_time_codes": {"sensitive": ["code_hmac"], "personal": ["client_ip", "email", "user_agent"],
            "impersonal": ["event_id", "purpose"]},
        "one_time_tokens": {"sensitive": ["registration", "token_hash"], "personal": ["client_ip", "email",
            "security_context", "user_agent"], "impersonal": ["event_id", "purpose"]},
        "password_blocklist": {"impersonal": ["*"]},
        "password_history": {"sensitive": ["password_hash"]},
        "permissions": {"impersonal": ["*"]},
        "personal_columns": {"impersonal": ["*"]},
        "policy_models": {"impersonal": ["*"]},
        "policy_rules": {"user": ["v0"], "impersonal": ["ptype", "v1", "v2", "v3", "v4", "v5", "created_by",
            "updated_by"]},
        "rate_limit_policies": {"impersonal": ["*"]},
        "rate_limit_records": {"impersonal": ["*"]},
        "recovery_codes": {"sensitive": ["code_hash"]},
        "revoked_tokens": {"impersonal": ["jti"]},
        "role_permissions": {"impersonal": ["*"]},
        "role_presets": {"impersonal": ["*"]},
        "roles": {"impersonal": ["*"]},
        "routes": {"impersonal": ["*"]},
        "second_factors": {"sensitive": ["secret"], "personal": ["label"], "impersonal": ["kind"]},
        "server_secrets": {"sensitive": ["secret"], "impersonal": ["name"]},
        "sessions": {"sensitive": ["parent_token_hash", "refresh_token_hash", "rotation_key", "fingerprint"],
            "personal": ["client_ip", "device", "security_context", "user_agent"],
            "impersonal": ["authentication_methods", "revoked_reason", "status"]},
        "signing_keys": {"sensitive": ["private_key"], "impersonal": ["algorithm", "kid", "public_jwk"]},
        "status_history": {"user": ["changed_by"], "personal": ["changed_by_name", "notes"], "impersonal": ["action",
            "entity_id", "entity_key", "from_status", "reason_code", "to_status"]},
        "subscriptions": {"impersonal": ["*"]},
        "table_sizes": {"impersonal": ["*"]},
        "token_issuers": {"impersonal": ["*"]},
        "issuer_key_sources": {"impersonal": ["*"]},
        "user_permissions": {"impersonal": ["*"]},
        "upkeep_failures": {"impersonal": ["*"]},
        "self_checks": {"impersonal": ["*"]},
        "user_roles": {"impersonal": ["*"]},
        "users": {"subject": ["id"], "personal": ["display_name", "email", "external_id", "first_name", "last_name",
            "metadata", "phone", "preferences", "profile", "username"], "impersonal": ["status", "tier"]}
    }$json$,
    role_presets => $json$
    {
        "administration": {
            "permissions": {"*:*": "Everything", "user:read": "See accounts",
                "user:manage": "Manage accounts and give roles", "role:read": "See roles and grants",
                "role:manage": "Define roles and permissions and grant them",
                "policy:manage": "Change policy rules", "audit:read": "Read the audit log",
                "audit:manage": "Choose what is audited", "machine:manage": "Define status machines",
                "route:manage": "Publish functions over HTTP", "key:manage": "Manage signing keys",
                "limit:manage": "Define rate limits", "event:manage": "Manage event subscriptions",
                "token:introspect": "Ask whether tokens of others are good"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]}
            }
        },
        "field_service": {
            "permissions": {"work_order:submit": "Submit service requests",
                "work_order:read": "See all work orders", "work_order:assign": "Assign technicians",
                "work_order:schedule": "Schedule work orders", "work_order:update": "Update assigned work orders",
                "work_order:manage": "Change work orders in any way", "technician:manage": "Manage technicians"},
            "roles": {
                "admin": {"description": "Full system access and user management", "manages": ["*"],
                    "permissions": ["*:*"]},
                "manager": {"description": "Full data access, manages work orders and technicians",
                    "manages": ["dispatcher", "technician", "client"], "permissions": ["work_order:*",
                    "technician:manage", "user:read", "user:manage", "audit:read"]},
                "dispatcher": {"description": "Assigns and schedules work orders", "manages": [], "permissions": [
                    "work_order:read", "work_order:assign", "work_order:schedule"]},
                "technician": {"description": "Updates assigned work orders only", "manages": [], "permissions": [
                    "work_order:update"]},
                "client": {"is_default": true, "description": "Submits and tracks service requests", "manages": [],
                    "permissions": ["work_order:submit"]}
            }
        },
        "blog": {
            "permissions": {"post:create": "Write posts", "post:read": "Read unpublished posts",
                "post:edit": "Edit posts of others", "post:publish": "Publish posts",
                "post:delete": "Delete posts of others", "comment:create": "Comment",
                "comment:moderate": "Moderate comments"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "editor": {"description": "Publishes and moderates", "manages": ["author", "reader"],
                    "permissions": ["post:*", "comment:*", "user:read", "user:manage"]},
                "author": {"description": "Writes posts", "manages": [], "permissions": ["post:create",
                    "post:read", "comment:create"]},
                "reader": {"is_default": true, "description": "Reads and comments", "manages": [],
                    "permissions": ["comment:create"]}
            }
        }
    }$json$,
    publishes => '{user.registered,user.deactivated,user.reactivated,user.deleted,user.restored,user.erased,
        user.role_changed,role.deactivated,role.restored,user.tier_changed,user.claimed,user.registration_repeated,
        user.email_verified,user.email_verification_requested,
        user.email_change_requested,user.email_changed,user.password_changed,user.password_reset_requested,
        user.login_code_requested,user.verification_code_requested,user.locked,user.new_device,user.api_key_created,
        user.second_factor_added,user.second_factor_removed,user.second_factors_reset,consent.withdrawn,
        customer.erased}',
    -- What each level of grant_access() may do. Functions stand by name, all their forms together. A test compares
    -- this with the catalog: no name without an object, no public function without a line.
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Who is asking, and what they may: safe for everybody who can connect as an application.
        ('function', '{application,gateway,admin}',
         'authenticate set_request_context current_user_id actor_id current_session_id current_api_key_id
          current_claims current_assurance_level require_assurance_level verify_token jwks published_jwks
          has_permission has_permission_somewhere has_role user_has_permission user_has_role can_manage
          require_permission
          check_access explain_access list_permissions list_user_roles'),
        -- Accounts and sessions. What touches somebody else's account checks the permission of the identity itself.
        ('function', '{application,gateway,admin}',
         'register_user sign_up login refresh_session logout logout_all list_sessions revoke_session
          verify_email request_email_verification request_email_change request_password_reset reset_password
          change_password
          get_me get_user find_user list_users update_profile set_user_tier set_user_metadata export_user
          user_reference user_references lock_user_reference
          set_password unlock_user deactivate_user reactivate_user delete_user restore_user erase_user
          export_customer erase_customer
          enroll_totp confirm_totp verify_second_factor login_second_factor regenerate_recovery_codes
          remove_second_factor
          reset_second_factors list_second_factors create_api_key list_api_keys revoke_api_key
          request_login_code login_with_code request_verification_code verify_email_code
          link_identity unlink_identity list_identities record_consent withdraw_consent list_consents'),
        ('function', '{application,gateway,auditor,admin}', 'list_login_attempts'),
        -- Administration, guarded in the same way.
        ('function', '{application,gateway,admin}',
         'create_role update_role drop_role add_role_parent remove_role_parent add_role_management
          remove_role_management
          grant_role revoke_role create_permission drop_permission grant_permission revoke_permission apply_role_preset
          add_policy disable_policy remove_policy load_policies enforce define_model drop_model
          define_machine apply_machine_preset attach_machine detach_machine validate_machine subscribe unsubscribe
          list_parked_events retry_event
          define_rate_limit drop_rate_limit reset_rate_limit add_route remove_route list_routes list_machines
          list_subscriptions
          add_token_issuer update_token_issuer remove_token_issuer list_token_issuers
          follow_token_issuer unfollow_token_issuer list_followed_issuers
          register_extension unregister_extension list_extensions
          list_decisions revert_decision apply_decisions'),
        ('function', '{application,gateway,auditor,admin}',
         'list_roles list_expiring_grants list_defined_permissions list_policies list_rate_limits rate_limit_hash'),
        -- Building blocks of applications: they see and change only what they are given.
        ('function', '{application,gateway,admin}',
         'uuid_v7 normalize_name name_key raise_error raise_misfit error_codes setting check_max_rows replay_call
          remember_call publish log_event log_read log_reads hit_rate_limit
          rate_limit_key http_request
          openapi
          oauth_token introspect_token revoke_token oauth_metadata
          machine_statuses machine_diagram machine_preset allowed_transitions history set_updated_at soft_delete
          announce_soft_delete restore_row soft_delete_row'),
        ('function', '{application,admin}',
         'hash_password verify_password password_needs_rehash sign_jwt verify_jwt enable_updated_at disable_updated_at
          enable_soft_delete disable_soft_delete add_unique_among_active purge_deleted'),
        -- What hands out tokens or keys, or steps around a rule. Events carry one-time tokens to the mailer.
        ('function', '{admin}',
         'create_first_admin
          create_password_reset create_email_verification set_provider_tokens get_provider_tokens issue_token
          import_user import_password_hash rotate_signing_key list_signing_keys wrap_secrets
          claim_events complete_event fail_event run_event_handlers'),
        -- Upkeep.
        ('function', '{gateway,admin}', 'health metrics'),
        ('function', '{auditor,admin}',
         'check_configuration self_check last_self_check schema_drift list_unanswered_columns table_growth'),
        ('function', '{admin}', 'run_maintenance run_self_check slow_statements finish_load'),
        ('function', '{application,gateway,admin}', 'upkeep_step'),
        -- The audit trail. Questions check the permission of the identity; enabling needs rights on the table.
        ('function', '{application,gateway,auditor,admin}', 'search_audit row_history row_as_of verify_audit_chain'),
        ('function', '{admin}', 'enable_audit disable_audit enable_entity cover_table
          _audit_table _audit_key_problem _audit_list _audit_lists _audit_options _personal_columns _cover_tables
          _is_audited _is_being_installed _note_audit _table_name
          _missing_triggers _copy_trigger'),
        -- Called by triggers that other functions make.
        ('function', '{admin}', 'check_transition record_transition audit_change'),
        -- Called by functions that run with the caller's own rights.
        ('function', '{application,gateway,admin}',
         '_check_attachment _machine_trigger_name _updated_at_trigger_name _active_view_name _row_condition '
         '_soft_row_condition '
         '_descendants _table_tree _row_trigger_tables _tell_foreign_tables '
         '_primary_key _key_object'),
        -- For the owner of the extension alone: they run with the caller's own rights.
        ('function', '{}', 'grant_access revoke_access forget_notes has_consent finish_extension ship_rows
                           matching_users search_users expected_users references_of name_words name_query
                           permission_scopes count_or_estimate sample_percent event_payload cut_event user_contact
                           customer_contact location_reference purchase_of want_issuer_keys
                           take_issuer_document require_handler uuid_or_null'),

        -- Analytics sees numbers of people, not names, addresses or what they said about themselves.
        ('table', '{readonly,auditor,admin}',
         'users(id,status,is_active,tier,email_verified_at,last_login_at)
          users(deactivated_at,deleted_at,erased_at,created_at,updated_at)
          active_users active_roles
          roles role_parents role_closure permissions role_permissions role_management user_roles
          machines status_history(id,relation,entity_id,seq,from_status,to_status,action,reason_code,changed_at)'),
        ('table', '{auditor,admin}',
         'users(email,username,display_name) user_permissions policy_rules policy_models database_roles status_history
          active_policy_rules
          audit_logs login_attempts consents identities(id,user_id,provider,provider_user_id,created_at,last_used_at)
          sessions(id,user_id,status,revoked_reason,revoked_at,client_ip,user_agent,assurance_level)
          sessions(authentication_methods,created_at,last_activity_at,expires_at,absolute_expires_at)
          decisions
          subscriptions deliveries rate_limit_policies rate_limit_records rate_limit_attacks')) AS v (kind, levels,
                                                                                                      names)) AS a));
CREATE EVENT TRIGGER usher_grant_new_members ON ddl_command_end
    WHEN TAG IN ('ALTER EXTENSION')
    EXECUTE FUNCTION usher._grant_new_members();
SELECT usher.add_route('GET', '/auth/me', 'usher.get_me()', access => 'authenticated',
    permission => 'user:read', read_only => true, tag => 'auth', summary => 'Who am I, and what may I do?');
-- What a loop makes in the install script.
SELECT usher.add_route(method => 'POST', path_template => '/token-issuers/follow',
    function => 'usher.follow_token_issuer(text,text[],text,text,text[])', access => 'permission',
    permission => 'key:manage', success_status => 204, read_only => false, tag => 'keys',
    summary => 'Accept an outside issuer and fetch its keys');
SELECT usher.add_route(method => 'DELETE', path_template => '/token-issuers/followed',
    function => 'usher.unfollow_token_issuer(text)', access => 'permission', permission => 'key:manage',
    success_status => 200, read_only => false, tag => 'keys',
    summary => 'Fetch the keys of an outside issuer no longer');
SELECT usher.add_route(method => 'GET', path_template => '/token-issuers/followed',
    function => 'usher.list_followed_issuers()', access => 'permission', permission => 'key:manage',
    success_status => 200, read_only => true, tag => 'keys', summary => 'Outside issuers whose keys are fetched');
CREATE TRIGGER refuse_script BEFORE INSERT ON usher.issuer_key_sources
    FOR EACH STATEMENT EXECUTE FUNCTION usher._refuse_script();

SELECT usher.finish_extension(derived => '{usher.role_graph,usher._schema_objects,usher._watched_columns}');

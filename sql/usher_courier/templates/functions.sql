CREATE FUNCTION @extschema@._check_template(subject text, body_text text, body_html text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_check_template';
COMMENT ON FUNCTION @extschema@._check_template(text, text, text) IS
    'Raises UM001 for a template that cannot be read, or that would place a value where it is not safe.';

CREATE FUNCTION @extschema@._render_message(subject text, body_text text, body_html text, language text,
                                            values_of_subject jsonb, values_of_body jsonb, OUT subject_line text,
                                            OUT text_part text, OUT html_part text, OUT problem text)
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_render_message';
COMMENT ON FUNCTION @extschema@._render_message(text, text, text, text, jsonb, jsonb) IS
    'Fills the three templates of a message. problem says why it cannot be done, and is NULL else.';

CREATE FUNCTION @extschema@._check_template_row() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> '@extschema@.message_templates'::regclass OR TG_LEVEL <> 'ROW'
       OR TG_OP NOT IN ('INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'trigger "%" must fire for each row of message_templates that is written', TG_NAME
            USING ERRCODE = '39P01';
    END IF;
    PERFORM @extschema@._check_template(NEW.subject, NEW.body_text, NEW.body_html);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._check_template_row() IS 'Trigger: whoever writes a template, it can be read.';

CREATE FUNCTION @extschema@._template_language(of_event text, of_audience text, of_channel text, wanted text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fallback CONSTANT text := lower(usher.setting('courier.language'));
BEGIN
    RETURN (SELECT t.language FROM @extschema@.message_templates AS t
        WHERE t.event = of_event AND t.audience = of_audience AND t.channel = of_channel AND t.is_active
        ORDER BY CASE t.language WHEN lower(wanted) THEN 0 WHEN split_part(lower(wanted), '-', 1) THEN 1
                                 WHEN fallback THEN 2 WHEN split_part(fallback, '-', 1) THEN 3
                                 WHEN 'en' THEN 4 ELSE 5 END,
                 t.language
        LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._template_language(text, text, text, text) IS
    'The language, of those that there is a template in, for somebody who wants this one: that, its language without '
    'a region, courier.language, English, any. NULL when there is no template.';

-- Times become what clocks show where the recipient is: templates know no time zones.
CREATE FUNCTION @extschema@._local_times(payload jsonb, time_zone text) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone text := time_zone;
    shown jsonb := payload;
    member record;
BEGIN
    BEGIN
        PERFORM now() AT TIME ZONE zone;
    EXCEPTION WHEN data_exception THEN -- no zone of that name
        zone := 'UTC';
    END;
    FOR member IN
        SELECT v.key, v.value #>> '{}' AS said
        FROM jsonb_each(payload) AS v
        WHERE jsonb_typeof(v.value) = 'string'
            AND v.value #>> '{}' ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?'
                                    '( ?(Z|[+-][0-9]{2}(:?[0-9]{2}(:?[0-9]{2})?)?))?$')
    LOOP
        BEGIN
            shown := shown || jsonb_build_object(member.key, to_char(member.said::timestamptz AT TIME ZONE zone,
                                                                     'YYYY-MM-DD"T"HH24:MI'));
        EXCEPTION WHEN data_exception THEN -- no such day: it stays what somebody has written
        END;
    END LOOP;
    RETURN shown || jsonb_build_object('time_zone', zone);
END
$$;
COMMENT ON FUNCTION @extschema@._local_times(jsonb, text) IS
    'A payload with its times as clocks show them in a time zone, or in UTC when there is none of that name. A text '
    'that only begins like a time, or names a day that there is not, stays as it is.';

CREATE FUNCTION @extschema@._message_values(event text, payload jsonb, user_id uuid, customer_id uuid, recipient text,
                                            language text, repeats integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who jsonb;
    shown jsonb;
    zone text;
BEGIN
    -- Nobody is called by a name before they have confirmed their address: strangers could write to them by it.
    IF customer_id IS NULL THEN
        SELECT jsonb_build_object('id', user_id, 'email', c.email, 'time_zone', c.time_zone,
                                  'name', CASE WHEN c.is_verified THEN c.name END)
        INTO who FROM usher.user_contact(user_id) AS c WHERE c.is_active IS NOT NULL;
    ELSE
        SELECT jsonb_build_object('email', c.email, 'time_zone', c.time_zone, 'name', c.name)
        INTO who FROM usher.customer_contact(customer_id) AS c WHERE c.email IS NOT NULL;
    END IF;
    SELECT jsonb_strip_nulls(jsonb_build_object('location_name', l.name, 'time_zone', l.time_zone)) || payload
    INTO shown FROM usher.location_reference(@extschema@._first_id(payload, '{location_id}')) AS l;
    zone := coalesce(shown ->> 'time_zone', who ->> 'time_zone', usher.setting('courier.time_zone'));
    RETURN @extschema@._local_times(shown, zone) || jsonb_build_object(
        'event', event, 'recipient', recipient, 'language', language, 'repeats', repeats, 'is_repeated', repeats > 1,
        'app_name', usher.setting('courier.app_name'),
        'app_url', rtrim(coalesce(nullif(usher.setting('courier.app_url'), ''),
                                  current_setting('usher.public_url')), '/'),
        'user', jsonb_strip_nulls(who - 'time_zone'));
END
$$;
COMMENT ON FUNCTION @extschema@._message_values(text, jsonb, uuid, uuid, text, text, integer) IS
    'What a template can show: the payload of the event, what the location in it is called, and who, where and in '
    'what way.';

CREATE FUNCTION @extschema@._write_message(event text, audience text, channel text, language text, payload jsonb,
                                           user_id uuid, customer_id uuid, recipient text, repeats integer,
                                           OUT subject_line text, OUT text_part text, OUT html_part text,
                                           OUT problem text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    template @extschema@.message_templates;
    shown jsonb;
BEGIN
    SELECT t.* INTO template FROM @extschema@.message_templates AS t
    WHERE t.event = _write_message.event AND t.audience = _write_message.audience
        AND t.channel = _write_message.channel
        AND t.language = @extschema@._template_language(_write_message.event, _write_message.audience,
                                                        _write_message.channel, _write_message.language);
    IF NOT FOUND THEN
        problem := 'no_template';
        RETURN;
    END IF;
    shown := @extschema@._message_values(_write_message.event, payload, _write_message.user_id,
                                         _write_message.customer_id, recipient, template.language, repeats);
    -- What a subject says is seen on locked screens and in logs of servers: no secrets there.
    SELECT r.subject_line, r.text_part, r.html_part, r.problem INTO subject_line, text_part, html_part, problem
    FROM @extschema@._render_message(
        template.subject, template.body_text, template.body_html, template.language,
        shown - coalesce((SELECT m.secret_keys FROM @extschema@.message_rules AS m
                          WHERE m.event = _write_message.event AND m.audience = _write_message.audience), '{}'),
        shown) AS r;
END
$$;
COMMENT ON FUNCTION @extschema@._write_message(text, text, text, text, jsonb, uuid, uuid, text, integer) IS
    'What a message says, in the best language that there is. problem: no_template, or why the template cannot be '
    'filled.';

CREATE FUNCTION @extschema@.preview_message(event text, payload jsonb DEFAULT '{}', language text DEFAULT 'en',
                                            audience text DEFAULT 'user', user_id uuid DEFAULT NULL,
                                            OUT subject text, OUT body_text text, OUT body_html text,
                                            OUT problem text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:manage');
    IF user_id IS NOT NULL THEN
        PERFORM usher.require_permission('user:read');
    END IF;
    IF payload IS NULL OR jsonb_typeof(payload) <> 'object' THEN
        PERFORM usher.raise_error('invalid_argument', 'payload must be a JSON object', '{"argument": "payload"}');
    END IF;
    SELECT w.subject_line, w.text_part, w.html_part, w.problem INTO subject, body_text, body_html, problem
    FROM @extschema@._write_message(event, audience, 'email', language, payload, user_id, NULL, payload ->> 'email',
                                    1) AS w;
END
$$;
COMMENT ON FUNCTION @extschema@.preview_message(text, jsonb, text, text, uuid) IS
    'What the message about an event with this payload would say; nothing is sent. problem: no_template, or why the '
    'template cannot be filled. Needs message:manage, and with user_id user:read.';

CREATE FUNCTION @extschema@._require_writer(event text, also_secret boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:manage');
    -- Where a link leads to, its token goes, whosever account it opens.
    IF also_secret OR EXISTS (SELECT FROM @extschema@.message_rules AS r
                              WHERE r.event = _require_writer.event AND r.secret_keys <> '{}') THEN
        PERFORM usher.require_permission('*:*');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_writer(text, boolean) IS
    'Refuses those who may not change what messages about an event say: message:manage, and *:* where they carry '
    'tokens or codes.';

CREATE FUNCTION @extschema@.set_message_template(event text, language text, subject text, body_text text,
                                                 body_html text DEFAULT NULL, audience text DEFAULT 'user',
                                                 is_active boolean DEFAULT true,
                                                 expected_version integer DEFAULT NULL, OUT version integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tag CONSTANT text := lower(set_message_template.language);
    found_version integer;
BEGIN
    PERFORM @extschema@._require_writer(set_message_template.event);
    IF tag IS NULL OR tag !~ '^[a-z]{2,3}(-[a-z0-9]{2,8})*$' THEN
        PERFORM usher.raise_error('invalid_argument', 'language must be a tag such as en or de-AT',
                                  '{"argument": "language"}');
    ELSIF coalesce(set_message_template.subject, '') = '' OR coalesce(set_message_template.body_text, '') = '' THEN
        PERFORM usher.raise_error('invalid_argument', 'subject and body_text must not be empty',
            jsonb_build_object('argument', CASE WHEN coalesce(set_message_template.subject, '') = '' THEN 'subject'
                                                ELSE 'body_text' END));
    ELSIF NOT EXISTS (SELECT FROM @extschema@.message_rules AS r
                      WHERE r.event = set_message_template.event AND r.audience = set_message_template.audience) THEN
        PERFORM usher.raise_error('unknown_reference', 'no rule says to whom a message about this event goes',
                                  jsonb_build_object('event', set_message_template.event,
                                                     'audience', set_message_template.audience),
                                  'Call set_message_rule() first.');
    END IF;
    SELECT t.version INTO found_version FROM @extschema@.message_templates AS t
    WHERE t.event = set_message_template.event AND t.audience = set_message_template.audience
        AND t.channel = 'email' AND t.language = tag FOR NO KEY UPDATE;
    IF expected_version IS NOT NULL AND expected_version IS DISTINCT FROM found_version THEN
        PERFORM usher.raise_error('stale_version', 'the template was changed by somebody else',
                                  jsonb_build_object('version', found_version));
    END IF;
    INSERT INTO @extschema@.message_templates AS t (event, audience, language, subject, body_text, body_html,
                                                    is_active)
    VALUES (set_message_template.event, set_message_template.audience, tag, set_message_template.subject,
            set_message_template.body_text, nullif(set_message_template.body_html, ''),
            coalesce(set_message_template.is_active, true))
    ON CONFLICT ON CONSTRAINT message_templates_pkey DO UPDATE
    SET subject = EXCLUDED.subject, body_text = EXCLUDED.body_text, body_html = EXCLUDED.body_html,
        is_active = EXCLUDED.is_active, version = t.version + 1
    RETURNING t.version INTO set_message_template.version;
END
$$;
COMMENT ON FUNCTION
    @extschema@.set_message_template(text, text, text, text, text, text, boolean, integer) IS
    'Writes what messages about an event say in a language: {{placeholders}}, {{#sections}}…{{/sections}}, no code. '
    'Raises UM001 for what cannot be read or is not safe, and US003 when expected_version is not that of the '
    'template. Needs message:manage, and *:* where the message carries a token or a code.';

CREATE FUNCTION @extschema@.remove_message_template(event text, language text, audience text DEFAULT 'user')
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:manage');
    DELETE FROM @extschema@.message_templates AS t
    WHERE t.event = remove_message_template.event AND t.audience = remove_message_template.audience
        AND t.channel = 'email' AND t.language = lower(remove_message_template.language);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_message_template(text, text, text) IS
    'Removes a template; false when there is none. usher.revert_decision() brings a default back. Needs '
    'message:manage.';

CREATE FUNCTION @extschema@.list_message_templates(only_event text DEFAULT NULL, after text DEFAULT NULL,
                                                   max_rows integer DEFAULT 100)
    RETURNS TABLE (template text, event text, audience text, language text, subject text, body_text text,
                   body_html text, is_active boolean, is_default boolean, version integer, updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('message:read');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT l.* FROM (
        SELECT concat_ws(':', t.event, t.audience, t.language) AS template, t.event, t.audience, t.language, t.subject,
               t.body_text, t.body_html, t.is_active, t.extension IS NOT NULL, t.version, t.updated_at
        FROM @extschema@.message_templates AS t
        WHERE only_event IS NULL OR t.event = only_event) AS l
    WHERE after IS NULL OR l.template COLLATE "C" > after
    ORDER BY l.template COLLATE "C" LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_message_templates(text, text, integer) IS
    'Templates of messages, by keyset: pass the last template as after. is_default: shipped with the extension, '
    'changed or not. Needs message:read.';

CREATE FUNCTION @extschema@._follow_event(event text, since timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.subscribe(event, 'usher_courier', NULL, 'async', 25, since);
END
$$;
COMMENT ON FUNCTION @extschema@._follow_event(text, timestamptz) IS
    'Subscribes the courier to an event, from an instant on if there is one.';

CREATE FUNCTION @extschema@.set_message_rule(event text, audience text DEFAULT 'user',
        user_keys text[] DEFAULT '{user_id}', customer_keys text[] DEFAULT '{customer_id}',
        address_key text DEFAULT NULL, secret_keys text[] DEFAULT '{}', supersedes text[] DEFAULT '{}',
        expires_key text DEFAULT NULL, max_age interval DEFAULT '2 days', digest_window interval DEFAULT '0',
        priority integer DEFAULT 5, is_active boolean DEFAULT true, since timestamptz DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wrong CONSTANT text := CASE
        WHEN audience IS NULL OR audience !~ '^[a-z][a-z0-9_]{0,62}$' THEN 'audience'
        WHEN user_keys IS NULL OR array_position(user_keys, NULL) IS NOT NULL THEN 'user_keys'
        WHEN customer_keys IS NULL OR array_position(customer_keys, NULL) IS NOT NULL THEN 'customer_keys'
        WHEN secret_keys IS NULL OR array_position(secret_keys, NULL) IS NOT NULL THEN 'secret_keys'
        WHEN supersedes IS NULL OR array_position(supersedes, NULL) IS NOT NULL THEN 'supersedes'
        WHEN address_key = '' THEN 'address_key'
        WHEN expires_key = '' THEN 'expires_key'
        WHEN max_age IS NULL OR max_age NOT BETWEEN '1 minute' AND '30 days' THEN 'max_age'
        WHEN digest_window IS NULL OR digest_window NOT BETWEEN '0' AND '7 days' THEN 'digest_window'
        WHEN priority IS NULL OR priority NOT BETWEEN 0 AND 9 THEN 'priority'
        WHEN is_active IS NULL THEN 'is_active' END;
BEGIN
    PERFORM @extschema@._require_writer(set_message_rule.event, set_message_rule.secret_keys <> '{}');
    PERFORM usher.require_permission('event:manage');
    IF wrong IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('%s is not one that a rule can have', wrong),
            jsonb_build_object('argument', wrong),
            'audience is a name of a-z, 0-9 and _; lists have no NULL; max_age is 1 minute to 30 days, digest_window '
            'at most 7 days, priority 0 to 9.');
    END IF;
    IF NOT EXISTS (SELECT FROM usher.list_extensions() AS x WHERE set_message_rule.event = ANY (x.publishes)) THEN
        PERFORM usher.raise_error('unknown_reference', 'nobody has declared this event',
            jsonb_build_object('event', set_message_rule.event),
            'Declare it in publishes of usher.register_extension(): what anybody could publish makes no messages.');
    END IF;
    INSERT INTO @extschema@.message_rules AS r (event, audience, user_keys, customer_keys, address_key, secret_keys,
                                                supersedes, expires_key, max_age, digest_window, priority, is_active)
    VALUES (set_message_rule.event, set_message_rule.audience, set_message_rule.user_keys,
            set_message_rule.customer_keys, set_message_rule.address_key, set_message_rule.secret_keys,
            set_message_rule.supersedes, set_message_rule.expires_key, set_message_rule.max_age,
            set_message_rule.digest_window, set_message_rule.priority, set_message_rule.is_active)
    ON CONFLICT ON CONSTRAINT message_rules_pkey DO UPDATE
    SET user_keys = EXCLUDED.user_keys, customer_keys = EXCLUDED.customer_keys, address_key = EXCLUDED.address_key,
        secret_keys = EXCLUDED.secret_keys, supersedes = EXCLUDED.supersedes, expires_key = EXCLUDED.expires_key,
        max_age = EXCLUDED.max_age, digest_window = EXCLUDED.digest_window, priority = EXCLUDED.priority,
        is_active = EXCLUDED.is_active;
    IF NOT EXISTS (SELECT FROM usher.list_subscriptions() AS s
                   WHERE s.event = set_message_rule.event AND s.consumer = 'usher_courier') OR since IS NOT NULL THEN
        PERFORM @extschema@._follow_event(set_message_rule.event, since);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.set_message_rule(text, text, text[], text[], text, text[], text[], text, interval,
                                                 interval, integer, boolean, timestamptz) IS
    'Says that a message is made for an event, and to whom, and follows the event, from since on if it is given. '
    'user_keys name the members of its payload that may hold the id of a user, customer_keys those with a customer, '
    'who may have no account. The event must be a declared one. Needs message:manage and event:manage, and *:* '
    'where the message carries a token.';

CREATE FUNCTION @extschema@.list_message_rules()
    RETURNS TABLE (event text, audience text, user_keys text[], customer_keys text[], address_key text,
                   secret_keys text[], supersedes text[], expires_key text, max_age interval, digest_window interval,
                   priority integer, is_active boolean, is_default boolean, languages text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('message:read');
    RETURN QUERY
    SELECT r.event, r.audience, r.user_keys, r.customer_keys, r.address_key, r.secret_keys, r.supersedes,
           r.expires_key, r.max_age, r.digest_window, r.priority, r.is_active, r.extension IS NOT NULL,
           ARRAY(SELECT t.language FROM @extschema@.message_templates AS t
                 WHERE t.event = r.event AND t.audience = r.audience AND t.is_active ORDER BY t.language)
    FROM @extschema@.message_rules AS r
    ORDER BY r.event COLLATE "C", r.audience COLLATE "C";
END
$$;
COMMENT ON FUNCTION @extschema@.list_message_rules() IS
    'For which events messages are made, to whom, and in which languages. Needs message:read.';

CREATE FUNCTION @extschema@._html_of_text(body_text text, language text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format(E'<!DOCTYPE html>\n<html lang="%s">\n<body style="font-family: sans-serif; line-height: 1.5">\n%s\n'
                  '</body>\n</html>\n', language, string_agg(
        CASE WHEN l.paragraph ~ '^\{\{app_url\}\}[^ \n]*$'
             THEN format('<p><a href="%s">%s</a></p>', l.escaped, l.escaped)
             ELSE format('<p>%s</p>', replace(l.escaped, E'\n', E'<br>\n')) END, E'\n' ORDER BY l.number))
    FROM (SELECT p.number, p.paragraph,
                 replace(replace(replace(p.paragraph, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') AS escaped
          FROM string_to_table(rtrim(body_text, E'\n'), E'\n\n') WITH ORDINALITY AS p (paragraph, number)) AS l;
END;
COMMENT ON FUNCTION @extschema@._html_of_text(text, text) IS
    'A text template as HTML: a paragraph for each, and links for those that are one. The defaults are made so.';

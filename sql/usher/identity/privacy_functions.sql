-- Privacy: erasure, export of all that is held about a user, consents. test/regress/usher_privacy.sql asks the catalog
-- whether a table was forgotten here.

-- The address of the request and the name of the user stand in rows that must stay: the log of what was done, and
-- histories of status.
CREATE FUNCTION usher._erase_traces(user_id uuid, address text) RETURNS void
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
REVOKE ALL ON FUNCTION usher._erase_traces(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._erase_traces(uuid, text) IS
    'Takes names and addresses of a user out of rows that outlive the account.';

CREATE FUNCTION usher._erase_user(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _erase_user.user_id;
    address CONSTANT text := (SELECT u.email FROM usher.users u WHERE u.id = target);
BEGIN
    UPDATE usher.users u
    SET status = 'erased', email = format('%s@erased.invalid', target), email_verified_at = NULL, username = NULL,
        first_name = '', last_name = '', phone = NULL, profile = '{}', preferences = '{}', metadata = '{}',
        external_id = NULL, last_login_at = NULL
    WHERE u.id = target;
    DELETE FROM usher.credentials c WHERE c.user_id = target;
    DELETE FROM usher.password_history h WHERE h.user_id = target;
    DELETE FROM usher.identities i WHERE i.user_id = target;
    DELETE FROM usher.one_time_tokens t WHERE t.user_id = target;
    DELETE FROM usher.one_time_codes c WHERE c.user_id = target;
    DELETE FROM usher.login_challenges c WHERE c.user_id = target;
    DELETE FROM usher.second_factors f WHERE f.user_id = target;
    DELETE FROM usher.recovery_codes r WHERE r.user_id = target;
    DELETE FROM usher.api_keys k WHERE k.user_id = target;
    DELETE FROM usher.sessions s WHERE s.user_id = target;
    DELETE FROM usher.user_roles r WHERE r.user_id = target;
    DELETE FROM usher.user_permissions p WHERE p.user_id = target;
    DELETE FROM usher.policy_rules p WHERE p.v0 = target::text;
    -- That there was consent, and to what, stays provable; from where is personal.
    UPDATE usher.consents c
    SET client_ip = NULL, user_agent = NULL, evidence = '{}', withdrawn_at = coalesce(c.withdrawn_at, now())
    WHERE c.user_id = target;
    PERFORM usher._erase_traces(target, address);
    RETURN 1;
END
$$;
REVOKE ALL ON FUNCTION usher._erase_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._erase_user(uuid) IS 'Core''s part of usher.erase_user().';

CREATE FUNCTION usher.erase_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := erase_user.user_id;
    status_before text;
BEGIN
    PERFORM usher.require_permission('user:manage', target);
    SELECT u.status INTO status_before FROM usher.users u WHERE u.id = target FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(target);
    ELSIF status_before = 'erased' THEN
        RETURN;
    END IF;
    -- Core comes first: with the account goes the last chance to act for it.
    PERFORM usher._call_hook(h.function, user_id => target) FROM usher._hook_functions('erase') AS h;
    -- Last: what the hooks have changed was audited as well.
    PERFORM usher._erase_audited_values(target);
END
$$;
REVOKE ALL ON FUNCTION usher.erase_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.erase_user(uuid) IS
    'Makes an account anonymous for good (user:manage): names, address, password, sessions, identities and traces of '
    'logins go, in the audit log too; the id stays for rows that refer to it. What extensions and applications keep '
    'about the user goes in the same transaction (their hook erase); user.erased is published.';

-- Rows of a table as they are, without what is secret or says only how the row is stored.
CREATE FUNCTION usher._rows_of_user(relation text, user_id uuid, hidden text[] DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_rows jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_agg(to_jsonb(r) - $2 ORDER BY r.id) FROM usher.%I r WHERE r.user_id = $1', relation)
        INTO found_rows USING _rows_of_user.user_id, hidden || '{user_id}';
    RETURN coalesce(found_rows, '[]');
END
$$;
REVOKE ALL ON FUNCTION usher._rows_of_user(text, uuid, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._rows_of_user(text, uuid, text[]) IS
    'The rows of a user in a table of core, without the hidden columns.';

CREATE FUNCTION usher._told_values(name text, object jsonb, hidden text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN object IS NULL THEN '{}' ELSE jsonb_build_object(name, (
        SELECT coalesce(jsonb_object_agg(m.key, m.value), '{}') FROM jsonb_each(object) AS m
        WHERE m.value <> '"[redacted]"' AND m.key <> ALL (hidden))) END;
END;
REVOKE ALL ON FUNCTION usher._told_values(text, jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._told_values(text, jsonb, text[]) IS
    'Old or new values of an audit row under their name, without what is redacted or hidden; {} when there are none.';

CREATE FUNCTION usher._export_user(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _export_user.user_id;
    secrets CONSTANT text[] := ARRAY(SELECT DISTINCT p.column_name::text FROM usher.personal_columns AS p
                                     WHERE p.kind IN ('sensitive', 'sealed'));
    document jsonb;
BEGIN
    SELECT jsonb_build_object(
        'user', to_jsonb(u),
        'password', (SELECT to_jsonb(c) - '{user_id,password_hash,spent_permits}'::text[]
                         || jsonb_build_object('is_set', c.password_hash IS NOT NULL)
                     FROM usher.credentials c WHERE c.user_id = target),
        'former_passwords', usher._rows_of_user('password_history', target, '{password_hash}'),
        'roles', coalesce((SELECT jsonb_agg(to_jsonb(ur) - '{user_id,role_id}'::text[]
                                                || jsonb_build_object('role', r.name) ORDER BY ur.id)
                           FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id WHERE ur.user_id = target),
                           '[]'),
        'permissions', usher._rows_of_user('user_permissions', target),
        'policies', coalesce(
            (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.id) FROM usher.policy_rules p WHERE p.v0 = target::text), '[]'),
        'identities', usher._rows_of_user('identities', target, '{access_token,refresh_token}'),
        'sessions', usher._rows_of_user(
            'sessions', target, '{refresh_token_hash,parent_token_hash,rotation_key,generation,generation_step}'),
        'second_factors', usher._rows_of_user('second_factors', target, '{secret,last_used_step}'),
        'recovery_codes', usher._rows_of_user('recovery_codes', target, '{code_hash}'),
        'login_challenges', usher._rows_of_user('login_challenges', target, '{token_hash}'),
        'one_time_tokens', usher._rows_of_user('one_time_tokens', target, '{token_hash,registration}'),
        'one_time_codes', usher._rows_of_user('one_time_codes', target, '{code_hmac}'),
        'api_keys', coalesce((SELECT jsonb_agg(to_jsonb(k) - '{user_id,key_hash}'::text[]
                                                   || jsonb_build_object('last_used_at', x.last_used_at) ORDER BY k.id)
                              FROM usher.api_keys k LEFT JOIN usher.api_key_uses x ON x.api_key_id = k.id
                              WHERE k.user_id = target), '[]'),
        'consents', usher._rows_of_user('consents', target),
        'login_attempts', usher._rows_of_user('login_attempts', target, '{retry_after}'))
    INTO document FROM usher.users u WHERE u.id = target;
    -- What they did, and what happened to the account. Of what they did elsewhere old and new values may be about
    -- others, so they are not theirs to take.
    document := document || jsonb_build_object(
        'audit', coalesce((SELECT jsonb_agg(
            jsonb_build_object('id', l.id, 'at', l.created_at, 'event', l.event_type, 'result', l.result,
                               'resource_type', l.resource_type, 'resource_id', l.resource_id)
            || CASE WHEN l.actor_id = target OR l.actor_id IS NULL
                    THEN jsonb_build_object('session_id', l.session_id, 'client_ip', l.client_ip,
                                            'user_agent', l.user_agent)
                    ELSE '{"by_somebody_else": true}' END
            || CASE WHEN l.subject_id = target
                    THEN usher._told_values('old_values', l.old_values, secrets)
                         || usher._told_values('new_values', l.new_values, secrets)
                    ELSE '{}' END ORDER BY l.id)
                           FROM usher.audit_logs l WHERE l.actor_id = target OR l.subject_id = target),
                           '[]'),
        'status_changes',
        coalesce((SELECT jsonb_agg(to_jsonb(h) - '{changed_by,changed_by_name}'::text[] ORDER BY h.id)
                  FROM usher.status_history h WHERE h.changed_by = target), '[]'),
        'events', coalesce((SELECT jsonb_agg(jsonb_build_object('id', e.id, 'event', e.event, 'at', e.created_at)
                                             || CASE WHEN e.key = target::text THEN jsonb_build_object(
                                                 'payload', e.payload - '{token,code}'::text[]) ELSE '{}' END
                                             ORDER BY e.id)
                            FROM usher.events e WHERE e.user_id = target OR e.key = target::text), '[]'));
    RETURN document;
END
$$;
REVOKE ALL ON FUNCTION usher._export_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._export_user(uuid) IS
    'Core''s part of usher.export_user(): account, roles, sessions, factors, keys, consents, logins, what they did.';

CREATE FUNCTION usher._further_profiles(user_id uuid) RETURNS uuid[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT p.id::uuid FROM usher._hook_functions('profiles') AS h
                     CROSS JOIN LATERAL jsonb_array_elements_text(
                         usher._call_hook(h.function, user_id => _further_profiles.user_id)) AS p (id)
                 WHERE p.id <> _further_profiles.user_id::text ORDER BY 1);
END
$$;
REVOKE ALL ON FUNCTION usher._further_profiles(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._further_profiles(uuid) IS
    'The ids, beside that of the account, by which features know a user as a customer (hook profiles).';

CREATE FUNCTION usher._joined(held jsonb, more jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(held, '{}') || coalesce((
        SELECT jsonb_object_agg(m.key, CASE jsonb_typeof(held -> m.key)
            WHEN 'array' THEN (held -> m.key) || coalesce((
                SELECT jsonb_agg(e.value) FROM jsonb_array_elements(m.value) AS e
                WHERE e.value NOT IN (SELECT h.value FROM jsonb_array_elements(held -> m.key) AS h)), '[]')
            ELSE coalesce(held -> m.key, m.value) END)
        FROM jsonb_each(more) AS m), '{}');
END;
REVOKE ALL ON FUNCTION usher._joined(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._joined(jsonb, jsonb) IS
    'Two documents of the same parts as one: what is in the lists of either, and of anything else the first.';

CREATE FUNCTION usher.export_user(user_id uuid DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(export_user.user_id);
    part record;
    held jsonb;
    profiles uuid[];
    profile uuid;
    document jsonb := '{}';
BEGIN
    PERFORM usher.log_read('user', target::text, '{"export": true}');
    IF NOT EXISTS (SELECT FROM usher.users u WHERE u.id = target) THEN
        PERFORM usher._raise_unknown_user(target);
    END IF;
    profiles := usher._further_profiles(target);
    FOR part IN SELECT h.registrant, h.function FROM usher._hook_functions('export') AS h LOOP
        held := usher._call_hook(part.function, user_id => target) -> 0;
        -- what core holds stands at the top, the rest under the name of who holds it
        IF part.registrant = 'usher' THEN
            document := document || held;
            CONTINUE;
        END IF;
        FOREACH profile IN ARRAY profiles LOOP
            held := usher._joined(held, usher._call_hook(part.function, user_id => profile) -> 0);
        END LOOP;
        document := document || jsonb_build_object(part.registrant, coalesce(held, '{}'));
    END LOOP;
    PERFORM usher.log_event('user.exported', resource_type => 'user', resource_id => target::text);
    RETURN document || jsonb_build_object('exported_at', now());
END
$$;
REVOKE ALL ON FUNCTION usher.export_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.export_user(uuid) IS
    'All that is held about the current user, or one that they may manage, as one document: account, roles, sessions, '
    'factors, keys, consents, logins, what they did; and what each extension and application holds (their hook '
    'export), under its name, of their further profiles as customers as well. No hashes or secrets, nothing about '
    'others.';

-- Customers without an account: no row of core is about them, and none of its permissions for accounts.

CREATE FUNCTION usher._require_walk_in(customer_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('customer:manage');
    IF customer_id IS NULL OR EXISTS (SELECT FROM usher.users u WHERE u.id = customer_id) THEN
        PERFORM usher.raise_error('invalid_argument', 'customer_id must be that of a customer without an account',
                                  jsonb_build_object('argument', 'customer_id'),
                                  'For accounts there are usher.export_user() and usher.erase_user().');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._require_walk_in(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_walk_in(uuid) IS
    'Raises unless the caller has customer:manage, and the customer no account of that id.';

CREATE FUNCTION usher.export_customer(customer_id uuid) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    document jsonb;
BEGIN
    PERFORM usher._require_walk_in(customer_id);
    PERFORM usher.log_read('customer', customer_id::text, '{"export": true}');
    SELECT coalesce(jsonb_object_agg(h.registrant, coalesce(usher._call_hook(h.function, user_id => customer_id) -> 0,
                                                            '{}')), '{}')
    INTO document FROM usher._hook_functions('export') AS h WHERE h.registrant <> 'usher';
    PERFORM usher.log_event('customer.exported', resource_type => 'customer', resource_id => customer_id::text);
    RETURN document || jsonb_build_object('exported_at', now());
END
$$;
REVOKE ALL ON FUNCTION usher.export_customer(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.export_customer(uuid) IS
    'All that is held about a customer without an account, as one document: what each extension and application holds '
    '(their hook export), under its name. Needs customer:manage.';

CREATE FUNCTION usher.erase_customer(customer_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    PERFORM usher._require_walk_in(customer_id);
    -- What is still to come is given up first, as when a user is erased.
    PERFORM usher.publish('customer.erased', jsonb_build_object('customer_id', customer_id), customer_id::text);
    SELECT coalesce(sum((usher._call_hook(h.function, user_id => customer_id) ->> 0)::bigint), 0) INTO changed
    FROM usher._hook_functions('erase') AS h WHERE h.registrant <> 'usher';
    PERFORM usher._erase_audited_values(customer_id);
    PERFORM usher.log_event('customer.erased', jsonb_build_object('rows', changed), resource_type => 'customer',
                            resource_id => customer_id::text);
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION usher.erase_customer(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.erase_customer(uuid) IS
    'Makes a customer without an account anonymous for good, in all that extensions and applications keep (their hook '
    'erase), after customer.erased was published, on which they give up what is still to come. Sums and the id stay. '
    'Returns how many rows were changed; 0 when nobody knows the customer. Needs customer:manage.';

-- Consents (R1-67) ---------------------------------------------------------------------------------------------------

CREATE FUNCTION usher.record_consent(purpose text, document_version text DEFAULT NULL, user_id uuid DEFAULT NULL,
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
REVOKE ALL ON FUNCTION usher.record_consent(text, text, uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.record_consent(text, text, uuid, jsonb) IS
    'Records that the current user, or one that they may manage, agrees to a purpose. A new document_version replaces '
    'the consent before it; the same one is recorded once.';

CREATE FUNCTION usher.withdraw_consent(purpose text, user_id uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(withdraw_consent.user_id);
BEGIN
    UPDATE usher.consents c SET withdrawn_at = greatest(now(), c.given_at)
    WHERE c.user_id = target AND c.purpose = withdraw_consent.purpose AND c.withdrawn_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM usher.log_event('consent.withdrawn', jsonb_build_object('purpose', withdraw_consent.purpose),
                            resource_type => 'user', resource_id => target::text);
    PERFORM usher.publish('consent.withdrawn',
                          jsonb_build_object('user_id', target, 'purpose', withdraw_consent.purpose), target::text);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.withdraw_consent(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.withdraw_consent(text, uuid) IS
    'Ends a consent and publishes consent.withdrawn. False when there was none.';

CREATE FUNCTION usher.has_consent(user_id uuid, purpose text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM usher.consents c
                   WHERE c.user_id = has_consent.user_id AND c.purpose = has_consent.purpose
                       AND c.withdrawn_at IS NULL);
END
$$;
REVOKE ALL ON FUNCTION usher.has_consent(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.has_consent(uuid, text) IS
    'For functions of extensions, which decide by it what they do with a user: have they agreed to a purpose, and not '
    'taken it back?';

CREATE FUNCTION usher.list_consents(user_id uuid DEFAULT NULL)
    RETURNS TABLE (consent_id uuid, purpose text, document_version text, given_at timestamptz,
                   withdrawn_at timestamptz, evidence jsonb)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_consents.user_id);
BEGIN
    PERFORM usher.log_read('user', target::text, '{"part": "consents"}');
    RETURN QUERY SELECT c.id, c.purpose::text, c.document_version::text, c.given_at, c.withdrawn_at, c.evidence
                 FROM usher.consents c WHERE c.user_id = target ORDER BY c.given_at, c.id;
END
$$;
REVOKE ALL ON FUNCTION usher.list_consents(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_consents(uuid) IS
    'All consents of the current user, or of one that they may manage, withdrawn ones too.';

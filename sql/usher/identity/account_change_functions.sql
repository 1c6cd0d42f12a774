-- Changes of accounts: profile, life cycle, import, external identities, upkeep.

CREATE FUNCTION usher.update_profile(
    first_name text DEFAULT NULL, last_name text DEFAULT NULL, username text DEFAULT NULL, phone text DEFAULT NULL,
    profile jsonb DEFAULT NULL, preferences jsonb DEFAULT NULL, expected_version integer DEFAULT NULL,
    user_id uuid DEFAULT NULL, OUT error text, OUT version integer)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(update_profile.user_id);
    before record;
BEGIN
    SELECT u.version, u.username, u.status, u.email_verified_at IS NULL AS is_unproven INTO before
    FROM usher.users u WHERE u.id = target FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(target);
    ELSIF before.status = 'erased' THEN
        PERFORM usher._raise_unknown_user(target);
    ELSIF before.version <> expected_version THEN
        PERFORM usher.raise_error('stale_version', 'user was changed by somebody else',
                                  jsonb_build_object('version', before.version, 'expected_version', expected_version));
    END IF;
    error := usher._check_account_fields(NULL, update_profile.username, update_profile.first_name,
                                         update_profile.last_name, update_profile.phone);
    IF error IS NULL
       AND (jsonb_typeof(update_profile.profile) <> 'object' OR octet_length(update_profile.profile::text) > 65536
            OR jsonb_typeof(update_profile.preferences) <> 'object'
            OR octet_length(update_profile.preferences::text) > 65536) THEN
        error := 'invalid_profile';
    END IF;
    IF error IS NULL AND EXISTS (SELECT FROM usher.users u
                                 WHERE usher.name_key(u.username::text) = usher.name_key(update_profile.username)
                                     AND u.id <> target) THEN
        error := 'username_taken';
    END IF;
    IF error IS NOT NULL THEN
        RETURN;
    END IF;
    BEGIN
        UPDATE usher.users u
        SET first_name = coalesce(btrim(update_profile.first_name), u.first_name),
            last_name = coalesce(btrim(update_profile.last_name), u.last_name),
            username = CASE WHEN update_profile.username IS NULL THEN u.username
                            ELSE nullif(btrim(update_profile.username), '') END,
            phone = CASE WHEN update_profile.phone IS NULL THEN u.phone
                         ELSE nullif(btrim(update_profile.phone), '') END,
            profile = coalesce(update_profile.profile, u.profile),
            preferences = coalesce(update_profile.preferences, u.preferences)
        WHERE u.id = target RETURNING u.version INTO version;
    EXCEPTION WHEN unique_violation THEN -- somebody took it since the look above
        error := 'username_taken';
        RETURN;
    END;
    IF before.is_unproven AND target = usher.actor_id() THEN
        UPDATE usher.credentials c SET unproven_profile = true WHERE c.user_id = target AND NOT c.unproven_profile;
    END IF;
    PERFORM usher.log_event('user.profile_updated', jsonb_build_object('version', version), resource_type => 'user',
                            resource_id => target::text);
END
$$;
REVOKE ALL ON FUNCTION usher.update_profile(text, text, text, text, jsonb, jsonb, integer, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.update_profile(text, text, text, text, jsonb, jsonb, integer, uuid) IS
    'Changes the current user, or one that they may manage. NULL leaves a field alone, '''' empties it. error: '
    'username_taken, invalid_name, invalid_username, invalid_phone, invalid_profile. Another version than '
    'expected_version: US003.';

CREATE FUNCTION usher.set_user_tier(user_id uuid, tier text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text;
BEGIN
    PERFORM usher.require_permission('user:manage', set_user_tier.user_id);
    IF set_user_tier.tier IS NULL OR set_user_tier.tier !~ '^[A-Za-z0-9_-]{1,20}$' THEN
        PERFORM usher.raise_error('invalid_argument', 'tier must be 1 to 20 letters, digits, "_" or "-"',
                                  '{"argument": "tier"}');
    END IF;
    SELECT u.tier INTO before FROM usher.users u WHERE u.id = set_user_tier.user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(set_user_tier.user_id);
    END IF;
    UPDATE usher.users u SET tier = set_user_tier.tier WHERE u.id = set_user_tier.user_id;
    PERFORM usher.log_event('user.tier_changed', jsonb_build_object('from', before, 'to', set_user_tier.tier),
                            resource_type => 'user', resource_id => set_user_tier.user_id::text);
    PERFORM usher.publish('user.tier_changed', jsonb_build_object('user_id', set_user_tier.user_id, 'from', before,
                                                                  'to', set_user_tier.tier),
                          set_user_tier.user_id::text);
END
$$;
REVOKE ALL ON FUNCTION usher.set_user_tier(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_user_tier(uuid, text) IS
    'Sets the commercial tier of a user (user:manage) and publishes user.tier_changed.';

-- Life cycle. Triggers on users do what follows: sessions, tokens, events, audit.

CREATE FUNCTION usher.set_user_metadata(user_id uuid, metadata jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('user:manage', set_user_metadata.user_id);
    IF coalesce(jsonb_typeof(set_user_metadata.metadata), '') <> 'object'
       OR octet_length(set_user_metadata.metadata::text) > 65536 THEN
        PERFORM usher.raise_error('invalid_argument', 'metadata must be a JSON object of at most 64 kB',
                                  '{"argument": "metadata"}');
    END IF;
    UPDATE usher.users u SET metadata = set_user_metadata.metadata
    WHERE u.id = set_user_metadata.user_id AND u.status <> 'erased';
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(set_user_metadata.user_id);
    END IF;
    PERFORM usher.log_event('user.metadata_changed', resource_type => 'user',
                            resource_id => set_user_metadata.user_id::text);
END
$$;
REVOKE ALL ON FUNCTION usher.set_user_metadata(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.set_user_metadata(uuid, jsonb) IS
    'What the application keeps about a user (R1-18), in the place of what was there (user:manage). Users do not '
    'change it.';

CREATE FUNCTION usher._set_user_status(user_id uuid, new_status text, only_from text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text;
BEGIN
    SELECT u.status INTO before FROM usher.users u WHERE u.id = _set_user_status.user_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM usher._raise_unknown_user(_set_user_status.user_id);
    ELSIF before = new_status THEN
        RETURN;
    ELSIF before <> ALL (only_from) THEN
        PERFORM usher.raise_error('illegal_transition', format('user cannot go from %s to %s', before, new_status),
                                  jsonb_build_object('id', _set_user_status.user_id, 'from', before,
                                                     'to', new_status));
    END IF;
    UPDATE usher.users u SET status = new_status WHERE u.id = _set_user_status.user_id;
END
$$;
REVOKE ALL ON FUNCTION usher._set_user_status(uuid, text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._set_user_status(uuid, text, text[]) IS 'Changes status; doing it again does nothing.';

CREATE FUNCTION usher._status_in_use(user_id uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT CASE WHEN u.status IN ('pending', 'active') THEN u.status
                        WHEN u.email_verified_at IS NULL THEN 'pending' ELSE 'active' END
            FROM usher.users u WHERE u.id = _status_in_use.user_id);
END
$$;
REVOKE ALL ON FUNCTION usher._status_in_use(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._status_in_use(uuid) IS
    'The status that a user comes back to: active when the e-mail address was verified, else pending.';

CREATE FUNCTION usher.deactivate_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('user:manage', deactivate_user.user_id);
    PERFORM usher._set_user_status(deactivate_user.user_id, 'deactivated', '{pending,active}');
END
$$;
REVOKE ALL ON FUNCTION usher.deactivate_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.deactivate_user(uuid) IS
    'Closes an account until reactivate_user() (user:manage). Ends its sessions, publishes user.deactivated. Login '
    'answers invalid_credentials.';

CREATE FUNCTION usher.reactivate_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('user:manage', reactivate_user.user_id);
    PERFORM usher._set_user_status(reactivate_user.user_id, usher._status_in_use(reactivate_user.user_id),
                                   '{deactivated}');
END
$$;
REVOKE ALL ON FUNCTION usher.reactivate_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.reactivate_user(uuid) IS
    'Opens a deactivated account again (user:manage) and publishes user.reactivated.';

CREATE FUNCTION usher.delete_user(user_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._set_user_status(usher._own_or_managed(delete_user.user_id), 'deleted',
                                   '{pending,active,deactivated}');
END
$$;
REVOKE ALL ON FUNCTION usher.delete_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.delete_user(uuid) IS
    'Deletes the account of the current user, or of one that they may manage: marked, not removed. Ends its sessions, '
    'publishes user.deleted. restore_user() brings it back, erase_user() makes it final.';

CREATE FUNCTION usher.restore_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('user:manage', restore_user.user_id);
    PERFORM usher._set_user_status(restore_user.user_id, usher._status_in_use(restore_user.user_id), '{deleted}');
END
$$;
REVOKE ALL ON FUNCTION usher.restore_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.restore_user(uuid) IS
    'Brings a deleted account back (user:manage) and publishes user.restored.';

-- Users of another system (R1-07) ------------------------------------------------------------------------------------

CREATE FUNCTION usher.import_user(
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
REVOKE ALL ON FUNCTION usher.import_user(text, text, text, text, text, text, text, boolean, timestamptz, jsonb, jsonb,
                                         uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.import_user(text, text, text, text, text, text, text, boolean, timestamptz, jsonb,
                                      jsonb, uuid) IS
    'Takes over a user of another system with the hash of their password, which the first login renews, and their key '
    'there as external_id; mails nothing (user:manage). Whoever has that external_id or id already is returned as '
    'they are, so an import can be repeated. error: email_taken, username_taken, invalid_email, invalid_username, '
    'invalid_name, invalid_phone; a hash that cannot be read or costs too much: 22023.';

-- External identities (R0-26, R1-20) ---------------------------------------------------------------------------------

CREATE FUNCTION usher.link_identity(
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
REVOKE ALL ON FUNCTION usher.link_identity(uuid, text, text, text, jsonb, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher.link_identity(uuid, text, text, text, jsonb, boolean) IS
    'Ties an account at an outside provider to a user (user:manage). email_verified: the provider says that '
    'provider_email is verified; if it is the user''s, this is the proof of their mailbox, and what others had set up '
    'before goes. error: identity_taken when it belongs to another user, provider_taken when the user has another '
    'account there.';

CREATE FUNCTION usher.unlink_identity(user_id uuid, provider text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(unlink_identity.user_id);
BEGIN
    DELETE FROM usher.identities i WHERE i.user_id = target AND i.provider = unlink_identity.provider;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM usher.log_event('user.identity_unlinked', jsonb_build_object('provider', unlink_identity.provider),
                            resource_type => 'user', resource_id => target::text);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.unlink_identity(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.unlink_identity(uuid, text) IS
    'Unties an outside account from the current user, or from one that they may manage. False when there was none.';

CREATE FUNCTION usher.list_identities(user_id uuid DEFAULT NULL)
    RETURNS TABLE (identity_id uuid, provider text, provider_user_id text, provider_email text, user_info jsonb,
                   created_at timestamptz, last_used_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_identities.user_id);
BEGIN
    PERFORM usher.log_read('user', target::text, '{"part": "identities"}');
    RETURN QUERY SELECT i.id, i.provider::text, i.provider_user_id::text, i.provider_email::text, i.user_info,
            i.created_at, i.last_used_at
                 FROM usher.identities i WHERE i.user_id = target ORDER BY i.provider;
END
$$;
REVOKE ALL ON FUNCTION usher.list_identities(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_identities(uuid) IS
    'Outside accounts of the current user, or of one that they may manage.';

-- Upkeep -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher._maintain_identity(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept CONSTANT text := format('make_interval(days => %s)', current_setting('usher.identity_retention')::integer);
    step record;
BEGIN
    FOR step IN
        SELECT * FROM (VALUES
            ('sessions_expired', 'SELECT usher._expire_sessions($1)'),
            ('sessions_removed', $sql$
                SELECT usher._remove_old_rows('usher.sessions', 'x.absolute_expires_at < now() - @kept@
                    ORDER BY x.absolute_expires_at', '{refresh_token_hash,parent_token_hash,rotation_key}', $1)$sql$),
            ('one_time_tokens_ended', 'SELECT usher._end_one_time_secrets(''one_time_tokens'', ''token'', $1)'),
            ('one_time_tokens_removed', $sql$
                DELETE FROM usher.one_time_tokens t
                WHERE t.id IN (SELECT x.id FROM usher.one_time_tokens x WHERE x.expires_at < now() - @kept@
                               ORDER BY x.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('one_time_codes_ended', 'SELECT usher._end_one_time_secrets(''one_time_codes'', ''code'', $1)'),
            ('one_time_codes_removed', $sql$
                DELETE FROM usher.one_time_codes t
                WHERE t.id IN (SELECT x.id FROM usher.one_time_codes x WHERE x.expires_at < now() - @kept@
                               ORDER BY x.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('revoked_tokens_removed', $sql$
                DELETE FROM usher.revoked_tokens t
                WHERE t.jti IN (SELECT x.jti FROM usher.revoked_tokens x WHERE x.expires_at < now() - interval '1 hour'
                                ORDER BY x.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('login_challenges_removed', $sql$
                DELETE FROM usher.login_challenges c
                WHERE c.id IN (SELECT x.id FROM usher.login_challenges x
                               WHERE x.expires_at < now() ORDER BY x.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('pending_second_factors_removed', $sql$
                DELETE FROM usher.second_factors f
                WHERE f.id IN (SELECT x.id FROM usher.second_factors x
                               WHERE x.confirmed_at IS NULL AND x.created_at < now() - interval '1 day'
                               LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$),
            ('login_attempts_removed', $sql$
                SELECT usher._remove_old_rows('usher.login_attempts', 'x.attempted_at < now() - @kept@
                    ORDER BY x.attempted_at', '{}', $1)$sql$),
            ('network_failures_removed', $sql$
                DELETE FROM usher.network_failures n
                WHERE n.network IN (SELECT x.network FROM usher.network_failures x
                                    WHERE x.last_failed_login_at < now() - interval '7 days'
                                        AND (x.locked_until IS NULL OR x.locked_until < now())
                                    LIMIT $1 FOR UPDATE SKIP LOCKED)$sql$)
        ) AS v (task, statement)
    LOOP
        RETURN QUERY SELECT u.task, u.affected
            FROM usher.upkeep_step(step.task, replace(step.statement, '@kept@', kept), max_rows) u;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._maintain_identity(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._maintain_identity(integer) IS
    'Identity''s part of run_maintenance(): marks what has expired, and removes what is older than '
    'usher.identity_retention days.';

CREATE FUNCTION usher._end_one_time_secrets(relation text, secret text, max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended bigint;
BEGIN
    EXECUTE format($sql$
        WITH due AS (
            SELECT x.id, x.event_id FROM usher.%1$I x
            WHERE x.used_at IS NULL AND x.ended_at IS NULL AND x.expires_at <= now()
            ORDER BY x.expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED),
        free AS ( -- events that nobody holds: the others keep their secrets until the next time
            SELECT e.id FROM usher.events e WHERE e.id IN (SELECT d.event_id FROM due d)
            FOR NO KEY UPDATE SKIP LOCKED),
        ended AS (
            UPDATE usher.%1$I t SET ended_at = now() %2$s FROM due d
            WHERE t.id = d.id AND (d.event_id IS NULL OR d.event_id IN (SELECT f.id FROM free f)
                                 OR NOT EXISTS (SELECT FROM usher.events e WHERE e.id = d.event_id))
            RETURNING t.event_id),
        cut AS (
            UPDATE usher.events e SET payload = e.payload - $2 FROM ended WHERE e.id = ended.event_id)
        SELECT count(*) FROM ended$sql$, relation,
        CASE relation WHEN 'one_time_tokens' THEN ', registration = NULL' ELSE '' END)
        INTO ended USING max_rows, secret;
    RETURN ended;
END
$$;
REVOKE ALL ON FUNCTION usher._end_one_time_secrets(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._end_one_time_secrets(text, text, integer) IS
    'Ends tokens or codes that have expired, and takes them out of the events that carried them; returns how many.';

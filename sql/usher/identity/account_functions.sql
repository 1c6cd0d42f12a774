-- Accounts and sessions: lists, changes that need no password, administration, and what follows a change of status.

CREATE FUNCTION usher._own_or_managed(user_id uuid) RETURNS uuid
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
REVOKE ALL ON FUNCTION usher._own_or_managed(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._own_or_managed(uuid) IS
    'The user that a call is about: the current one when NULL; another one only for those who may manage them '
    '(42501), and if there is one (US005). An API key does not reach the account that it acts for (US103).';

CREATE FUNCTION usher._raise_unknown_user(user_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.raise_error('unknown_reference', 'user does not exist',
                              jsonb_build_object('user_id', _raise_unknown_user.user_id, 'reference', 'user',
                                                 'id', _raise_unknown_user.user_id));
END
$$;
REVOKE ALL ON FUNCTION usher._raise_unknown_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._raise_unknown_user(uuid) IS 'Raises unknown_reference for a user id.';

-- What follows a change of users, whoever makes it -------------------------------------------------------------------

CREATE FUNCTION usher._stamp_user() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF usher._is_restoring() THEN
        RETURN NEW;
    END IF;
    IF NEW.status IS DISTINCT FROM OLD.status THEN
        IF OLD.status = 'erased' OR (OLD.status = 'deleted' AND NEW.status = 'deactivated') THEN
            PERFORM usher.raise_error('illegal_transition',
                                      format('user cannot go from %s to %s', OLD.status, NEW.status),
                                      jsonb_build_object('id', OLD.id, 'from', OLD.status, 'to', NEW.status));
        END IF;
        NEW.deactivated_at := CASE NEW.status WHEN 'deactivated' THEN now() END;
        NEW.deleted_at := CASE NEW.status WHEN 'deleted' THEN now() WHEN 'erased' THEN OLD.deleted_at END;
        NEW.erased_at := CASE NEW.status WHEN 'erased' THEN now() END;
    END IF;
    IF usher.name_key(NEW.email) <> usher.name_key(OLD.email)
       AND NEW.email_verified_at IS NOT DISTINCT FROM OLD.email_verified_at THEN
        NEW.email_verified_at := NULL; -- what was verified is the old address
    END IF;
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION usher._stamp_user() FROM PUBLIC;
COMMENT ON FUNCTION usher._stamp_user() IS
    'Trigger: keeps version, updated_at and the instants of status; a changed address is not verified; an erased user '
    'does not come back.';

CREATE FUNCTION usher._end_one_time_tokens(user_id uuid, purpose text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    WITH ended AS (
        UPDATE usher.one_time_tokens t SET ended_at = clock_timestamp(), registration = NULL
        WHERE t.user_id = _end_one_time_tokens.user_id AND t.used_at IS NULL AND t.ended_at IS NULL
          AND t.purpose = coalesce(_end_one_time_tokens.purpose, t.purpose)
        RETURNING t.event_id)
    UPDATE usher.events e SET payload = e.payload - 'token' FROM ended WHERE e.id = ended.event_id;
    IF _end_one_time_tokens.purpose IS NULL THEN
        PERFORM usher._end_one_time_codes(_end_one_time_tokens.user_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._end_one_time_tokens(uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._end_one_time_tokens(uuid, text) IS
    'Ends the open one-time tokens of a user, of one purpose or all and then codes too, and cuts them out of their '
    'events.';

CREATE FUNCTION usher._follow_user_email() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._end_pending(NEW.id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_user_email() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_user_email() IS
    'Trigger: what was begun with the former address ends with it, another change of address too.';

CREATE FUNCTION usher._follow_user_status() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    act text;
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.status NOT IN ('deleted', 'erased') THEN
            PERFORM usher.publish('user.deleted', jsonb_build_object('user_id', OLD.id), OLD.id::text);
        END IF;
        PERFORM usher.log_event('user.removed', resource_type => 'user', resource_id => OLD.id::text,
                                severity => 'warning');
        RETURN NULL;
    END IF;

    IF NEW.status NOT IN ('pending', 'active') THEN
        -- FOR UPDATE waits for logins in flight, which hold the row FOR KEY SHARE: their sessions end here too.
        PERFORM FROM usher.users u WHERE u.id = NEW.id FOR UPDATE;
        PERFORM usher._cut_off(NEW.id, 'user_' || NEW.status, true);
    END IF;
    act := CASE WHEN NEW.status NOT IN ('pending', 'active') THEN NEW.status
                WHEN OLD.status = 'deleted' THEN 'restored'
                WHEN OLD.status = 'deactivated' THEN 'reactivated' END;
    IF act IS NOT NULL THEN
        IF act = 'erased' AND OLD.status <> 'deleted' THEN -- whoever follows user.deleted must hear of this user too
            PERFORM usher.publish('user.deleted', jsonb_build_object('user_id', NEW.id), NEW.id::text);
        END IF;
        PERFORM usher.publish('user.' || act, jsonb_build_object('user_id', NEW.id), NEW.id::text);
        PERFORM usher.log_event('user.' || act, jsonb_build_object('from', OLD.status), resource_type => 'user',
                                resource_id => NEW.id::text,
                                severity => CASE act WHEN 'erased' THEN 'warning' ELSE 'notice' END);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_user_status() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_user_status() IS
    'Trigger: a user who may no longer log in loses sessions and open tokens; publishes user.deactivated, .deleted, '
    '.erased, .restored, .reactivated.';

-- Sessions -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher._end_sessions(user_id uuid, session_id uuid, except_session uuid, reason text) RETURNS integer
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_end_sessions';
REVOKE ALL ON FUNCTION usher._end_sessions(uuid, uuid, uuid, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._end_sessions(uuid, uuid, uuid, text) IS
    'Revokes one session of a user, or all, or all but one, with an audit event for each; returns how many there '
    'were.';

CREATE FUNCTION usher._expire_sessions(max_rows integer) RETURNS bigint
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_expire_sessions';
REVOKE ALL ON FUNCTION usher._expire_sessions(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._expire_sessions(integer) IS
    'Upkeep: marks sessions that have outlived their time, at most so many; returns how many.';

CREATE FUNCTION usher._end_pending(user_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_end_pending';
REVOKE ALL ON FUNCTION usher._end_pending(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._end_pending(uuid) IS
    'Ends what was begun on an account and is not finished: one-time tokens and codes, logins that wait for a second '
    'factor, authenticators that were not confirmed.';

CREATE FUNCTION usher._cut_off(user_id uuid, reason text, is_recovery boolean, kept_session uuid DEFAULT NULL)
    RETURNS integer
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_identity_cut_off';
REVOKE ALL ON FUNCTION usher._cut_off(uuid, text, boolean, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._cut_off(uuid, text, boolean, uuid) IS
    'Ends everything that gives access to an account: its sessions but one, what is pending, and its API keys by '
    'usher.cut_off_api_keys. How many sessions there were.';

CREATE FUNCTION usher.revoke_session(session_id uuid) RETURNS void
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
REVOKE ALL ON FUNCTION usher.revoke_session(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_session(uuid) IS
    'Ends a session of the current user, or of a user they may manage, and what is pending for the account. Its '
    'access tokens fail at their next statement. Ending it again does nothing.';

CREATE FUNCTION usher.logout(session_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mine CONSTANT uuid := usher.current_session_id();
BEGIN
    IF coalesce(logout.session_id, mine) IS DISTINCT FROM mine THEN
        PERFORM usher.revoke_session(logout.session_id);
    ELSIF mine IS NULL THEN
        PERFORM usher.raise_error('authentication_required', 'no current session', NULL,
                                  'Call usher.authenticate() with an access token of a session, or name a session.');
    ELSE
        PERFORM usher._end_sessions(usher.current_user_id(), mine, NULL, 'logout');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.logout(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.logout(uuid) IS 'Ends the current session, or the named one as revoke_session() does.';

CREATE FUNCTION usher.logout_all(user_id uuid DEFAULT NULL, except_session uuid DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(logout_all.user_id);
BEGIN
    IF target = usher.actor_id() THEN
        RETURN usher._cut_off(target, 'logout_all', false, except_session);
    END IF;
    RETURN usher._cut_off(target, 'ended_by_administrator', true, except_session);
END
$$;
REVOKE ALL ON FUNCTION usher.logout_all(uuid, uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.logout_all(uuid, uuid) IS
    'Ends all sessions of the current user, or of a user they may manage, but one if it is named, and everything that '
    'is pending: tokens, codes, a change of address; API keys by usher.cut_off_api_keys. Returns how many sessions '
    'were in force.';

CREATE FUNCTION usher.list_sessions(user_id uuid DEFAULT NULL)
    RETURNS TABLE (session_id uuid, status text, is_current boolean, device jsonb, client_ip inet,
                   user_agent text, assurance_level smallint, created_at timestamptz, last_activity_at timestamptz,
                   expires_at timestamptz, revoked_at timestamptz, revoked_reason text)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_sessions.user_id);
BEGIN
    PERFORM usher.log_read('user', target::text, '{"part": "sessions"}');
    RETURN QUERY
    SELECT s.id, CASE WHEN s.status = 'active' AND s.expires_at <= now() THEN 'expired' ELSE s.status END,
           coalesce(s.id = usher.current_session_id(), false), s.device, s.client_ip, s.user_agent, s.assurance_level,
           s.created_at, s.last_activity_at, s.expires_at, s.revoked_at, s.revoked_reason::text
    FROM usher.sessions s WHERE s.user_id = target
    ORDER BY s.created_at DESC, s.id DESC;
END
$$;
REVOKE ALL ON FUNCTION usher.list_sessions(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_sessions(uuid) IS
    'Sessions of the current user, or of a user they may manage, newest first. Tokens are not in it.';

-- Reading users ------------------------------------------------------------------------------------------------------

CREATE FUNCTION usher._primary_roles(ids uuid[]) RETURNS TABLE (user_id uuid, role text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (s.user_id) s.user_id, s.role::text FROM usher._shown_roles s
    WHERE s.user_id = ANY (ids) AND (s.expires_at IS NULL OR s.expires_at > now())
    ORDER BY s.user_id, s.place;
END
$$;
REVOKE ALL ON FUNCTION usher._primary_roles(uuid[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._primary_roles(uuid[]) IS
    'The role to show of each of these users who may have several; none for those who have none.';

CREATE FUNCTION usher._primary_role(user_id uuid) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT r.role FROM usher._primary_roles(ARRAY[_primary_role.user_id]) AS r);
END
$$;
REVOKE ALL ON FUNCTION usher._primary_role(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._primary_role(uuid) IS
    'The role to show of a user who may have several; NULL when they have none.';

CREATE FUNCTION usher._role_names(user_id uuid) RETURNS text[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce((SELECT array_agg(DISTINCT h.role::text ORDER BY h.role::text) FROM usher._held_roles h
                     WHERE h.user_id = _role_names.user_id AND (h.expires_at IS NULL OR h.expires_at > now())), '{}');
END
$$;
REVOKE ALL ON FUNCTION usher._role_names(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._role_names(uuid) IS 'Roles in force for a user, inherited ones included, in any scope.';

CREATE FUNCTION usher._user_details(user_id uuid) RETURNS usher.user_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_user usher.user_details;
BEGIN
    SELECT u.id, u.email, u.email_verified_at IS NOT NULL,
           u.username, u.first_name, u.last_name, u.display_name, u.phone, u.status, u.is_active, u.tier,
           usher._primary_role(u.id), usher._role_names(u.id), u.profile, u.preferences, u.metadata, u.external_id,
           CASE WHEN c.reset_required THEN 'infinity' WHEN c.locked_until > now() THEN c.locked_until END,
           u.last_login_at, u.created_at, u.updated_at, u.version
    INTO found_user
    FROM usher.users u LEFT JOIN usher.credentials c ON c.user_id = u.id WHERE u.id = _user_details.user_id;
    RETURN found_user;
END
$$;
REVOKE ALL ON FUNCTION usher._user_details(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._user_details(uuid) IS 'Reads a user without asking who wants to know.';

CREATE FUNCTION usher.get_user(user_id uuid) RETURNS usher.user_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_user usher.user_details;
BEGIN
    found_user := usher._user_details(usher._own_or_managed(get_user.user_id));
    IF found_user.user_id IS NULL THEN
        PERFORM usher._raise_unknown_user(get_user.user_id);
    END IF;
    PERFORM usher.log_read('user', found_user.user_id::text);
    RETURN found_user;
END
$$;
REVOKE ALL ON FUNCTION usher.get_user(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher.get_user(uuid) IS
    'The current user, or one that they may manage, with roles. locked_until is infinity when only a reset opens the '
    'account. Unknown: US005.';

CREATE FUNCTION usher.find_user(identifier text) RETURNS usher.user_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key CONSTANT text := usher.name_key(identifier);
    found_id uuid;
BEGIN
    PERFORM usher.require_permission('user:manage');
    IF position('@' IN key) > 0 THEN
        SELECT u.id INTO found_id FROM usher.users u WHERE usher.name_key(u.email::text) = key;
    ELSE
        SELECT u.id INTO found_id FROM usher.users u WHERE usher.name_key(u.username::text) = key;
    END IF;
    PERFORM usher.log_read('user', found_id::text);
    RETURN usher._user_details(found_id);
END
$$;
REVOKE ALL ON FUNCTION usher.find_user(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.find_user(text) IS
    'The user with this e-mail address or username (user:manage); NULL when there is none.';

CREATE FUNCTION usher.get_me(
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
REVOKE ALL ON FUNCTION usher.get_me() FROM PUBLIC;
COMMENT ON FUNCTION usher.get_me() IS
    'The current user with roles and permissions, for menus. Decisions are made by has_permission(), which also knows '
    'scopes and policy rules. A limited API key is told what it may, and the person only with user:read.';

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

CREATE FUNCTION usher.list_login_attempts(user_id uuid DEFAULT NULL, max_rows integer DEFAULT 50)
    RETURNS TABLE (attempted_at timestamptz, email text, success boolean, failure_reason text, client_ip inet,
                   user_agent text, retry_after integer)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := usher._own_or_managed(list_login_attempts.user_id);
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM usher.log_read('user', target::text, '{"part": "login_attempts"}');
    RETURN QUERY
    SELECT a.attempted_at, a.email::text, a.success, a.failure_reason::text, a.client_ip, a.user_agent,
           CASE WHEN usher.actor_id() IS DISTINCT FROM target THEN a.retry_after END
    FROM usher.login_attempts a WHERE a.user_id = target ORDER BY a.attempted_at DESC, a.id DESC LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_login_attempts(uuid, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_login_attempts(uuid, integer) IS
    'Login attempts on the current user, or on one that they may manage, newest first.';

-- References for other features (R0-63) ------------------------------------------------------------------------------

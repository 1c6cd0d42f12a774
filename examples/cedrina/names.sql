-- The tables of Cedrina's document under their own names, with its columns, as views over usher: users,
-- oauth_profiles, sessions, password_reset_tokens, casbin_rules, audit_logs, rate_limit_records. What its application
-- wrote to them can be written, by triggers that call usher's functions: whoever may not do it there may not do it
-- here, and what usher counts or proves by itself is refused (0A000, with a hint which function does it). May run
-- again.
--
-- No secret is in them: where the document has a password's hash, a token or its hash, there is '***', or NULL when
-- there is none. The document's serial ids are uuids; its severities and roles are in capitals, usher's are not.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;

\set names cedrina
\ir ../writable_views.sql

-- ---- users ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.users WITH (security_barrier) AS
SELECT u.id, u.username, u.email,
       CASE WHEN c.password_hash IS NOT NULL THEN '***' END::varchar(255) AS hashed_password,
       u.is_active, u.email_verified_at IS NOT NULL AS is_verified,
       (SELECT upper(r.role) FROM usher._shown_roles r
        WHERE r.user_id = u.id AND (r.expires_at IS NULL OR r.expires_at > now())
        ORDER BY r.place LIMIT 1)::varchar(20) AS role,
       u.tier, u.created_at, u.updated_at, u.last_login_at,
       CASE WHEN m.manages THEN c.failed_login_attempts END AS failed_login_attempts,
       CASE WHEN m.manages THEN CASE WHEN c.reset_required THEN 'infinity' ELSE c.locked_until END END AS locked_until,
       c.password_changed_at, u.email_verified_at,
       u.profile AS profile_data, u.preferences,
       u.metadata
FROM usher.users u LEFT JOIN usher.credentials c ON c.user_id = u.id,
     LATERAL (SELECT pg_has_role('cedrina_admin', 'USAGE') OR usher.has_permission('user:manage') AS manages) AS m
WHERE u.status IN ('pending', 'active', 'deactivated') AND cedrina.sees(u.id);
COMMENT ON VIEW cedrina.users IS
    'Accounts that are not deleted: one''s own, with user:read all. hashed_password is *** or NULL; writing one '
    'imports it (cedrina_admin only). Failed logins and locks are shown to administrators only, so that nobody '
    'learns of a lock. A username is looked up by an index with usher.find_user().';

CREATE OR REPLACE FUNCTION cedrina.write_users() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
    before jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.delete_user(OLD.id);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.username IS NULL OR NEW.email IS NULL OR NEW.hashed_password IS NULL THEN
            RAISE 'username, email and hashed_password must not be null' USING ERRCODE = 'not_null_violation',
                HINT = 'usher.register_user() takes a password, and hashes it.';
        END IF;
        IF EXISTS (SELECT FROM cedrina.users u WHERE u.id = NEW.id)
            THEN -- an import would return that account as it is
            RAISE 'there is a user with this id' USING ERRCODE = 'unique_violation';
        END IF;
        SELECT * INTO made FROM usher.import_user(NEW.email, NEW.hashed_password, username => NEW.username,
            email_verified => coalesce(NEW.is_verified, false), created_at => coalesce(NEW.created_at, now()),
            profile => coalesce(NEW.profile_data, '{}'), metadata => coalesce(NEW.metadata, '{}'), id => NEW.id);
        PERFORM cedrina.check_answer(made.error);
        NEW.id := made.user_id;
    ELSE
        PERFORM cedrina.refuse_changes(before, to_jsonb(NEW), '{username,hashed_password,is_active,role,tier,
            updated_at,failed_login_attempts,locked_until,profile_data,preferences,metadata}',
            'An address is changed by usher.request_email_change(), and proved by usher.verify_email().');
        IF NEW.hashed_password IS DISTINCT FROM OLD.hashed_password THEN
            PERFORM usher.import_password_hash(NEW.id, NEW.hashed_password);
        END IF;
        IF (NEW.username, NEW.profile_data) IS DISTINCT FROM (OLD.username, OLD.profile_data) THEN
            SELECT * INTO made FROM usher.update_profile(username => coalesce(NEW.username, ''),
                profile => coalesce(NEW.profile_data, '{}'), user_id => NEW.id);
            PERFORM cedrina.check_answer(made.error);
        END IF;
        IF NEW.metadata IS DISTINCT FROM OLD.metadata THEN
            PERFORM usher.set_user_metadata(NEW.id, coalesce(NEW.metadata, '{}'));
        END IF;
        IF NEW.failed_login_attempts = 0 AND OLD.failed_login_attempts > 0
           OR NEW.locked_until IS NULL AND OLD.locked_until IS NOT NULL THEN
            PERFORM usher.unlock_user(NEW.id);
        ELSIF (NEW.failed_login_attempts, NEW.locked_until)
              IS DISTINCT FROM (OLD.failed_login_attempts, OLD.locked_until) THEN
            RAISE 'usher counts failed logins' USING ERRCODE = '0A000', HINT = 'usher.login() counts and locks.';
        END IF;
    END IF;

    IF NEW.preferences IS DISTINCT FROM (before -> 'preferences') AND NEW.preferences IS NOT NULL THEN
        SELECT * INTO made FROM usher.update_profile(preferences => NEW.preferences, user_id => NEW.id);
        PERFORM cedrina.check_answer(made.error);
    END IF;
    IF NEW.tier IS DISTINCT FROM (before ->> 'tier') AND NEW.tier IS NOT NULL THEN
        PERFORM usher.set_user_tier(NEW.id, NEW.tier);
    END IF;
    -- one role as in the document: the new one comes, the one that was shown goes
    IF NEW.role IS DISTINCT FROM coalesce(before ->> 'role', 'USER')
        AND (TG_OP = 'UPDATE' OR NEW.role IS NOT NULL) THEN
        IF NEW.role IS NOT NULL THEN
            PERFORM usher.grant_role(NEW.id, lower(NEW.role));
        END IF;
        PERFORM usher.revoke_role(NEW.id, lower(coalesce(before ->> 'role', 'USER')));
    END IF;
    IF NOT NEW.is_active AND (before ->> 'is_active')::boolean IS NOT FALSE THEN
        PERFORM usher.deactivate_user(NEW.id);
    ELSIF NEW.is_active AND (before ->> 'is_active')::boolean IS FALSE THEN
        PERFORM usher.reactivate_user(NEW.id);
    END IF;
    SELECT * INTO NEW FROM cedrina.users u WHERE u.id = NEW.id; -- as it is now, for RETURNING
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_users() IS 'Trigger: users are written by usher''s functions.';
CREATE OR REPLACE TRIGGER write_users INSTEAD OF INSERT OR UPDATE OR DELETE ON cedrina.users
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_users();

-- ---- oauth_profiles ------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.oauth_profiles WITH (security_barrier) AS
SELECT i.id, i.user_id, i.provider, i.provider_user_id,
       CASE WHEN i.access_token IS NOT NULL THEN '***' END AS access_token,
       CASE WHEN i.refresh_token IS NOT NULL THEN '***' END AS refresh_token,
       i.token_expires_at, i.user_info, i.created_at, i.updated_at
FROM usher.identities i WHERE cedrina.sees(i.user_id);
COMMENT ON VIEW cedrina.oauth_profiles IS
    'Accounts at outside providers. Tokens go in (cedrina_admin only) and are sealed; usher.get_provider_tokens() '
    'gives them to whoever calls the provider; here they are ***.';

CREATE OR REPLACE FUNCTION cedrina.write_oauth_profiles() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM usher.unlink_identity(OLD.user_id, OLD.provider);
        RETURN OLD;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT * INTO made FROM usher.link_identity(NEW.user_id, NEW.provider, NEW.provider_user_id,
                                                    user_info => coalesce(NEW.user_info, '{}'));
        PERFORM cedrina.check_answer(made.error);
    ELSE
        PERFORM cedrina.refuse_changes(to_jsonb(OLD), to_jsonb(NEW),
            '{access_token,refresh_token,token_expires_at,updated_at}',
            'Another account at the provider: delete this row, and insert one.');
    END IF;
    -- both together: one of a pair that is not written again would be ***
    IF NEW.access_token <> '***' THEN
        PERFORM usher.set_provider_tokens(NEW.user_id, NEW.provider, NEW.access_token,
                                          nullif(NEW.refresh_token, '***'), NEW.token_expires_at);
    ELSIF TG_OP = 'UPDATE' AND (NEW.refresh_token, NEW.token_expires_at)
          IS DISTINCT FROM (OLD.refresh_token, OLD.token_expires_at) THEN
        RAISE 'tokens of a provider are written together' USING ERRCODE = '0A000';
    END IF;
    SELECT * INTO NEW FROM cedrina.oauth_profiles p WHERE p.user_id = NEW.user_id AND p.provider = NEW.provider;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_oauth_profiles() IS
    'Trigger: outside accounts are tied and untied by usher''s functions.';
CREATE OR REPLACE TRIGGER write_oauth_profiles INSTEAD OF INSERT OR UPDATE OR DELETE ON cedrina.oauth_profiles
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_oauth_profiles();

-- ---- sessions ------------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.sessions WITH (security_barrier) AS
SELECT s.id, s.user_id, '***'::varchar(255) AS session_token, '***'::varchar(255) AS refresh_token,
       s.status = 'active' AS is_active, s.created_at, least(s.expires_at, s.revoked_at) AS expires_at,
       s.last_activity_at, s.client_ip, s.user_agent, s.device AS device_info, s.security_context
FROM usher.sessions s WHERE cedrina.sees(s.user_id);
COMMENT ON VIEW cedrina.sessions IS
    'Sessions. The session token is the access token, which is signed and not stored; of the refresh token there is '
    'a hash: both are *** here. A session that was ended expired then. DELETE ends it; upkeep removes the row later, '
    'active or not.';

CREATE OR REPLACE FUNCTION cedrina.write_sessions() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM cedrina.refuse_changes(to_jsonb(OLD), to_jsonb(NEW), '{is_active}',
            'usher.refresh_session() keeps the times of a session.');
        IF NEW.is_active AND NOT OLD.is_active THEN
            RAISE 'an ended session does not come back' USING ERRCODE = '0A000',
                HINT = 'usher.login() begins another.';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' OR OLD.is_active AND NOT NEW.is_active THEN
        PERFORM usher.revoke_session(OLD.id);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    SELECT * INTO NEW FROM cedrina.sessions s WHERE s.id = NEW.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_sessions() IS 'Trigger: sessions are ended by usher.revoke_session().';
CREATE OR REPLACE TRIGGER write_sessions INSTEAD OF UPDATE OR DELETE ON cedrina.sessions
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_sessions();
CREATE OR REPLACE TRIGGER refuse_sessions INSTEAD OF INSERT ON cedrina.sessions
    FOR EACH ROW EXECUTE FUNCTION cedrina.refuse_write('usher.login() begins a session.');

-- ---- password_reset_tokens -----------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.password_reset_tokens WITH (security_barrier) AS
SELECT t.id, t.user_id, '***'::varchar(255) AS token_hash, t.used_at IS NOT NULL AS is_used, t.created_at,
       least(t.expires_at, t.ended_at) AS expires_at, t.used_at, t.client_ip, t.user_agent, t.security_context
FROM usher.one_time_tokens t WHERE t.purpose = 'password_reset' AND cedrina.sees(t.user_id);
COMMENT ON VIEW cedrina.password_reset_tokens IS
    'Reset tokens that were asked for. INSERT with a user_id asks for one: it goes out by mail, and its hash, *** '
    'here, is kept. usher.reset_password() uses it, once; asking again ends the one before.';

CREATE OR REPLACE FUNCTION cedrina.write_reset_tokens() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.token_hash IS NOT NULL THEN
        RAISE 'usher makes the token' USING ERRCODE = '0A000', HINT = 'Leave token_hash out; the token is mailed.';
    END IF;
    PERFORM usher.request_password_reset((usher.get_user(NEW.user_id)).email);
    SELECT * INTO NEW FROM cedrina.password_reset_tokens t WHERE t.user_id = NEW.user_id ORDER BY t.id DESC LIMIT 1;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_reset_tokens() IS
    'Trigger: a reset token is asked for by usher.request_password_reset().';
CREATE OR REPLACE TRIGGER write_reset_tokens INSTEAD OF INSERT ON cedrina.password_reset_tokens
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_reset_tokens();
CREATE OR REPLACE TRIGGER refuse_reset_tokens INSTEAD OF UPDATE OR DELETE ON cedrina.password_reset_tokens
    FOR EACH ROW EXECUTE FUNCTION cedrina.refuse_write(
        'usher.reset_password() uses a token; usher.run_maintenance() removes what is used or over.');

-- ---- casbin_rules --------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.casbin_rules WITH (security_barrier) AS
SELECT r.id, r.ptype::varchar(10) AS ptype, r.v0::varchar(256) AS v0, r.v1::varchar(256) AS v1,
    r.v2::varchar(256) AS v2,
       r.v3::varchar(256) AS v3, r.v4::varchar(256) AS v4, r.v5::varchar(256) AS v5, r.created_at, r.updated_at,
       r.created_by::varchar(100) AS created_by, r.updated_by::varchar(100) AS updated_by, r.is_active
FROM usher.policy_rules r
WHERE pg_has_role('cedrina_admin', 'USAGE') OR usher.has_permission('policy:manage');
COMMENT ON VIEW cedrina.casbin_rules IS
    'Casbin''s rules, for those who may change them (policy:manage). Who wrote a rule is usher''s to say.';

CREATE OR REPLACE FUNCTION cedrina.write_casbin_rules() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM cedrina.refuse_changes(to_jsonb(OLD), to_jsonb(NEW),
            '{ptype,v0,v1,v2,v3,v4,v5,is_active,updated_at,updated_by}',
            'usher says who wrote a rule, and when.');
        IF (NEW.ptype, NEW.v0, NEW.v1, NEW.v2, NEW.v3, NEW.v4, NEW.v5)
           IS NOT DISTINCT FROM (OLD.ptype, OLD.v0, OLD.v1, OLD.v2, OLD.v3, OLD.v4, OLD.v5) THEN
            IF NEW.is_active AND NOT OLD.is_active THEN
                PERFORM usher.add_policy(NEW.ptype, NEW.v0, NEW.v1, NEW.v2, NEW.v3, NEW.v4, NEW.v5);
            ELSIF NOT NEW.is_active AND OLD.is_active THEN
                PERFORM usher.disable_policy(OLD.ptype, OLD.v0, OLD.v1, OLD.v2, OLD.v3, OLD.v4, OLD.v5);
            END IF;
            SELECT * INTO NEW FROM cedrina.casbin_rules r WHERE r.id = NEW.id;
            RETURN NEW;
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM usher.remove_policy(OLD.ptype, OLD.v0, OLD.v1, OLD.v2, OLD.v3, OLD.v4, OLD.v5);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM usher.add_policy(NEW.ptype, NEW.v0, NEW.v1, NEW.v2, NEW.v3, NEW.v4, NEW.v5);
    SELECT r.* INTO NEW FROM cedrina.casbin_rules r
    WHERE (r.ptype, r.v0) = (NEW.ptype, NEW.v0)
      AND (r.v1, r.v2, r.v3, r.v4, r.v5) IS NOT DISTINCT FROM (NEW.v1, NEW.v2, NEW.v3, NEW.v4, NEW.v5);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_casbin_rules() IS 'Trigger: rules are added and removed by usher''s functions.';
CREATE OR REPLACE TRIGGER write_casbin_rules INSTEAD OF INSERT OR UPDATE OR DELETE ON cedrina.casbin_rules
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_casbin_rules();

-- ---- audit_logs ----------------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.audit_logs WITH (security_barrier) AS
SELECT a.id, a.actor_id AS user_id, a.event_type::varchar(100) AS event_type,
       a.event_data || CASE WHEN a.old_values IS NULL THEN '{}' ELSE jsonb_build_object('old', a.old_values) END
                    || CASE WHEN a.new_values IS NULL
                        THEN '{}' ELSE jsonb_build_object('new', a.new_values) END AS event_data,
       a.client_ip, a.user_agent, a.correlation_id::varchar(100) AS correlation_id, a.created_at,
       upper(a.severity)::varchar(20) AS severity, a.source::varchar(100) AS source, a.metadata
FROM usher.audit_logs a
WHERE pg_has_role('cedrina_admin', 'USAGE') OR usher.has_permission('audit:read');
COMMENT ON VIEW cedrina.audit_logs IS
    'The audit log, for those with audit:read. user_id stays when the account goes, without a foreign key. INSERT '
    'logs an event of the application; nothing is changed or removed. usher.search_audit() asks in pages.';

CREATE OR REPLACE FUNCTION cedrina.write_audit_logs() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made uuid;
BEGIN
    IF NEW.id IS NOT NULL OR NEW.created_at IS NOT NULL OR NEW.user_id IS DISTINCT FROM usher.actor_id()
        AND NEW.user_id IS NOT NULL
       OR NEW.client_ip IS NOT NULL OR NEW.user_agent IS NOT NULL OR NEW.correlation_id IS NOT NULL
           OR NEW.source IS NOT NULL THEN
        RAISE 'usher says who did it, when, and from where' USING ERRCODE = '0A000',
            HINT = 'usher.authenticate() and usher.set_request_context() tell it.';
    END IF;
    made := usher.log_event(NEW.event_type, NEW.event_data, lower(coalesce(NEW.severity, 'INFO')),
                            metadata => coalesce(NEW.metadata, '{}'));
    NEW.id := made; -- the rest is for those who may read the log
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION cedrina.write_audit_logs() IS
    'Trigger: events of the application are logged by usher.log_event().';
CREATE OR REPLACE TRIGGER write_audit_logs INSTEAD OF INSERT ON cedrina.audit_logs
    FOR EACH ROW EXECUTE FUNCTION cedrina.write_audit_logs();
CREATE OR REPLACE TRIGGER refuse_audit_logs INSTEAD OF UPDATE OR DELETE ON cedrina.audit_logs
    FOR EACH ROW EXECUTE FUNCTION cedrina.refuse_write(
        'The log is only added to; usher.run_maintenance() archives and drops old months.');

-- ---- rate_limit_records --------------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW cedrina.rate_limit_records WITH (security_barrier) AS
SELECT left(r.key_hash, 32)::uuid AS id, r.key_hash, r.algorithm, r.window_start, r.window_end,
       CASE WHEN r.algorithm = 'token_bucket' THEN ceil(r.request_count / 1e6) ELSE r.request_count END::integer
           AS request_count,
       r.limit_value, r.metadata || jsonb_build_object('policy', r.policy, 'refused', r.refused_count) AS metadata,
       r.created_at, r.updated_at
FROM usher.rate_limit_records r
WHERE pg_has_role('cedrina_admin', 'USAGE') OR usher.has_permission('limit:manage');
COMMENT ON VIEW cedrina.rate_limit_records IS
    'Counts of keys that were hit lately, for those with limit:manage. Nobody writes them: usher.hit_rate_limit() '
    'counts. With the library preloaded they arrive here within usher.flush_interval.';
CREATE OR REPLACE TRIGGER refuse_rate_limit_records INSTEAD OF INSERT OR UPDATE OR DELETE ON cedrina.rate_limit_records
    FOR EACH ROW EXECUTE FUNCTION cedrina.refuse_write(
        'usher.hit_rate_limit() counts, usher.reset_rate_limit() forgets a key, usher.run_maintenance() removes what '
            'is over.');

-- ---- who may -------------------------------------------------------------------------------------------------------

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cedrina FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cedrina.refuse_changes(jsonb, jsonb, text[], text), cedrina.check_answer(text)
    TO cedrina_app, cedrina_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON cedrina.users, cedrina.oauth_profiles, cedrina.sessions,
    cedrina.password_reset_tokens,
    cedrina.casbin_rules, cedrina.audit_logs, cedrina.rate_limit_records TO cedrina_app, cedrina_admin;
\o

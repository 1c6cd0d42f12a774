CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('signing_keys_inval');
ALTER TABLE usher.signing_keys ENABLE ALWAYS TRIGGER signing_keys_changed;

CREATE TRIGGER token_issuers_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.token_issuers
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('token_issuers_inval');
ALTER TABLE usher.token_issuers ENABLE ALWAYS TRIGGER token_issuers_changed;
CREATE TRIGGER sessions_invalidate
    AFTER UPDATE OF id, user_id, status, assurance_level OR DELETE OR TRUNCATE ON usher.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.sessions ENABLE ALWAYS TRIGGER sessions_invalidate;
CREATE TRIGGER users_invalidate_sessions AFTER UPDATE OF id, status OR DELETE OR TRUNCATE ON usher.users
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.users ENABLE ALWAYS TRIGGER users_invalidate_sessions;
-- Tokens from outside stand for whoever their subject is linked to.
CREATE TRIGGER identities_invalidate_sessions
    AFTER UPDATE OF user_id, provider, provider_user_id OR DELETE OR TRUNCATE ON usher.identities
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.identities ENABLE ALWAYS TRIGGER identities_invalidate_sessions;
-- The same news as for sessions: who acted by the key a moment ago is looked at again.
CREATE TRIGGER api_keys_invalidate
    AFTER UPDATE OF id, user_id, permissions, expires_at, revoked_at OR DELETE OR TRUNCATE ON usher.api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.api_keys ENABLE ALWAYS TRIGGER api_keys_invalidate;
CREATE TRIGGER revoked_tokens_invalidate AFTER INSERT OR UPDATE OR TRUNCATE ON usher.revoked_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('sessions_inval');
ALTER TABLE usher.revoked_tokens ENABLE ALWAYS TRIGGER revoked_tokens_invalidate;
-- last_login_at is not in the list: a login is no change of the account.
CREATE TRIGGER stamp_user
    BEFORE UPDATE OF email, email_verified_at, username, first_name, last_name, phone, status, tier, profile,
    preferences, metadata, external_id ON usher.users
    FOR EACH ROW EXECUTE FUNCTION usher._stamp_user();
CREATE TRIGGER follow_user_email AFTER UPDATE OF email ON usher.users
    FOR EACH ROW WHEN (lower(OLD.email) IS DISTINCT FROM lower(NEW.email)) EXECUTE FUNCTION usher._follow_user_email();
CREATE TRIGGER follow_user_status AFTER UPDATE OF status ON usher.users
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION usher._follow_user_status();
CREATE TRIGGER follow_user_removal AFTER DELETE ON usher.users
    FOR EACH ROW EXECUTE FUNCTION usher._follow_user_status();
CREATE TRIGGER follow_user_roles_added AFTER INSERT ON usher.user_roles REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION usher._follow_user_roles();
CREATE TRIGGER follow_user_roles_changed AFTER UPDATE ON usher.user_roles REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION usher._follow_user_roles();
CREATE TRIGGER follow_user_roles_removed AFTER DELETE ON usher.user_roles REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION usher._follow_user_roles();

SELECT usher._announce_changes('usher.signing_keys', 'signing_keys_inval'),
       usher._announce_changes('usher.token_issuers', 'token_issuers_inval');

-- Whether somebody is who they were a moment ago (extension/usher/request/current_identity.cpp). A new row makes
-- nobody less than they were, and refreshes, logins and uses of keys change nothing of it: rows are told apart by
-- their values, which other triggers may have changed, not by the columns that a statement names. Tokens from outside
-- stand for whoever their subject is linked to.
SELECT usher._announce_changes(v.relation, 'sessions_inval', only_when => v.only_when, also => 'DELETE')
FROM (VALUES
    ('usher.sessions'::regclass,
     'OLD.id IS DISTINCT FROM NEW.id OR OLD.user_id IS DISTINCT FROM NEW.user_id '
     'OR OLD.status IS DISTINCT FROM NEW.status OR NEW.expires_at < OLD.expires_at '
     'OR OLD.assurance_level IS DISTINCT FROM NEW.assurance_level'),
    ('usher.users', 'OLD.id IS DISTINCT FROM NEW.id OR OLD.status IS DISTINCT FROM NEW.status'),
    ('usher.identities',
     'OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.provider IS DISTINCT FROM NEW.provider '
     'OR OLD.provider_user_id IS DISTINCT FROM NEW.provider_user_id'),
    ('usher.api_keys',
     'OLD.id IS DISTINCT FROM NEW.id OR OLD.user_id IS DISTINCT FROM NEW.user_id '
     'OR OLD.permissions IS DISTINCT FROM NEW.permissions OR OLD.expires_at IS DISTINCT FROM NEW.expires_at '
     'OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at')) AS v (relation, only_when);
SELECT usher._announce_changes('usher.revoked_tokens', 'sessions_inval');
CREATE TRIGGER normalize_names BEFORE INSERT OR UPDATE OF email, username ON usher.users
    FOR EACH ROW EXECUTE FUNCTION usher._normalize_user_names();
-- last_login_at is not in the list: a login is no change of the account.
CREATE TRIGGER stamp_user
    BEFORE UPDATE OF email, email_verified_at, username, first_name, last_name, phone, status, tier, profile,
    preferences, metadata, external_id ON usher.users
    FOR EACH ROW EXECUTE FUNCTION usher._stamp_user();
CREATE TRIGGER follow_user_email AFTER UPDATE OF email ON usher.users
    FOR EACH ROW WHEN (usher.name_key(OLD.email) IS DISTINCT FROM usher.name_key(NEW.email))
    EXECUTE FUNCTION usher._follow_user_email();
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
-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
-- Users have a status of their own, and so does the view; it has the columns that every level may read.
SELECT usher.enable_soft_delete('usher.token_issuers', 'allow');
CREATE VIEW usher.active_users WITH (security_invoker = true) AS
    SELECT u.id, u.status, u.is_active, u.tier, u.email_verified_at, u.last_login_at, u.created_at, u.updated_at
    FROM usher.users AS u WHERE u.is_active;
REVOKE ALL ON TABLE usher.active_users FROM PUBLIC;
COMMENT ON VIEW usher.active_users IS
    'Users who are neither deactivated nor deleted nor erased, without what names them.';

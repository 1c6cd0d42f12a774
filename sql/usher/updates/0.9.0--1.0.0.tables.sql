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
--- end
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

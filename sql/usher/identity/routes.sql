-- Core's own routes. What they limit is the work that one address can cause, well above what an office behind one
-- address does; guesses are the business of lockout. The DBA may define each anew.
SELECT usher.define_rate_limit('auth.register', 'token_bucket', 30, '1 hour');
SELECT usher.define_rate_limit('auth.login', 'token_bucket', 120, '1 minute');
SELECT usher.define_rate_limit('auth.refresh', 'token_bucket', 600, '1 minute');
-- Each of these may send a mail to somebody who did not ask for it.
SELECT usher.define_rate_limit('auth.mail', 'token_bucket', 30, '1 hour');

SELECT usher.add_route('POST', '/auth/register', 'usher.sign_up(text,text,text,text,text,text)',
    access => 'public', rate_limit => 'auth.register', success_status => 202, tag => 'auth',
    summary => 'Open an account',
    options => '{"examples": {"request": {"email": "ada@example.com", "password": "a long phrase nobody guesses", '
               '"first_name": "Ada"}}}');
SELECT usher.add_route('POST', '/auth/login', 'usher.login(text,text,jsonb)',
    access => 'public', rate_limit => 'auth.login', tag => 'auth',
    summary => 'Log in with e-mail address or username, and password',
    options => '{"examples": {"request": {"identifier": "ada@example.com", "password": "a long phrase nobody '
               'guesses"}}}');
SELECT usher.add_route('POST', '/auth/refresh', 'usher.refresh_session(text)',
    access => 'public', rate_limit => 'auth.refresh', tag => 'auth',
    summary => 'Exchange a refresh token for new tokens');
SELECT usher.add_route('POST', '/auth/logout', 'usher.logout(uuid)',
    tag => 'auth', summary => 'End this session, or another of one''s own');
SELECT usher.add_route('POST', '/auth/verify-email', 'usher.verify_email(text,text)',
    access => 'public', tag => 'auth', summary => 'Prove an e-mail address with the token sent to it');
SELECT usher.add_route('POST', '/auth/verify-email/request', 'usher.request_email_verification(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth',
    summary => 'Ask for another verification mail');
SELECT usher.add_route('POST', '/auth/password/forgot', 'usher.request_password_reset(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth',
    summary => 'Ask for a mail to set a new password');
SELECT usher.add_route('POST', '/auth/password/reset', 'usher.reset_password(text,text)',
    access => 'public', tag => 'auth', summary => 'Set a new password with the token from the mail');
SELECT usher.add_route('POST', '/auth/password/change', 'usher.change_password(text,text)',
    success_status => 204, tag => 'auth', summary => 'Change one''s password');
SELECT usher.add_route('GET', '/auth/me', 'usher.get_me()', access => 'authenticated',
    permission => 'user:read', read_only => true, tag => 'auth', summary => 'Who am I, and what may I do?');
SELECT usher.add_route('GET', '/auth/sessions', 'usher.list_sessions(uuid)',
    read_only => true, tag => 'auth', summary => 'List sessions');
SELECT usher.add_route('DELETE', '/auth/sessions/{session_id}', 'usher.revoke_session(uuid)',
    tag => 'auth', summary => 'End a session');
SELECT usher.add_route('PATCH', '/auth/me', 'usher.update_profile(text,text,text,text,jsonb,jsonb,integer,uuid)',
    tag => 'auth', summary => 'Change one''s profile', options => '{"idempotency": "none"}');
SELECT usher.add_route('GET', '/auth/me/permissions', 'usher.list_permissions(uuid)',
    read_only => true, tag => 'auth', summary => 'What one may do, and why');
SELECT usher.add_route('POST', '/auth/email/change', 'usher.request_email_change(text,text)',
    rate_limit => 'auth.mail', success_status => 202, tag => 'auth', summary => 'Ask for another e-mail address');
SELECT usher.add_route('GET', '/auth/consents', 'usher.list_consents(uuid)',
    read_only => true, tag => 'auth', summary => 'List consents');
SELECT usher.add_route('POST', '/auth/consents', 'usher.record_consent(text,text,uuid,jsonb)',
    success_status => 201, tag => 'auth', summary => 'Consent to a purpose');
SELECT usher.add_route('DELETE', '/auth/consents/{purpose}', 'usher.withdraw_consent(text,uuid)',
    tag => 'auth', summary => 'Withdraw a consent');

SELECT usher.add_route('GET', '/.well-known/jwks.json', 'usher.published_jwks()',
    access => 'public', read_only => true, tag => 'keys', summary => 'Public keys that access tokens are signed with',
    cache_control => 'public, max-age=300');
SELECT usher.add_route('GET', '/openapi.json', 'usher.openapi()',
    access => 'public', read_only => true, tag => 'meta', summary => 'This document',
    cache_control => 'public, max-age=60');

-- OAuth 2.0, for clients that speak it
SELECT usher.add_route('GET', '/.well-known/oauth-authorization-server', 'usher.oauth_metadata()',
    access => 'public', read_only => true, tag => 'oauth',
    summary => 'Metadata of the authorization server (RFC 8414)',
    cache_control => 'public, max-age=300');
SELECT usher.add_route('GET', '/.well-known/openid-configuration', 'usher.oauth_metadata()',
    access => 'public', read_only => true, tag => 'oauth',
    summary => 'The same, where clients of OpenID Connect look for it',
    cache_control => 'public, max-age=300');
SELECT usher.add_route('POST', '/oauth/token', 'usher.oauth_token(text,text,text,text,text)',
    access => 'public', rate_limit => 'auth.refresh', tag => 'oauth', summary => 'Token endpoint (RFC 6749)',
    options => '{"style": "oauth"}');
SELECT usher.add_route('POST', '/oauth/introspect', 'usher.introspect_token(text,text)',
    access => 'permission', permission => 'token:introspect', tag => 'oauth', summary => 'Is a token good? (RFC 7662)',
    options => '{"style": "oauth", "idempotency": "none"}');
SELECT usher.add_route('POST', '/oauth/revoke', 'usher.revoke_token(text,text)',
    access => 'public', tag => 'oauth', summary => 'End a token and its session (RFC 7009)',
    options => '{"style": "oauth"}');

-- Administration. Where one permission decides, the route asks for it; where it depends on the row, the function does.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('users', 'GET', '/users', 'list_users(text,text,uuid,integer)', 'user:manage', 200, true, 'List users'),
        ('users', 'GET', '/users/{user_id}', 'get_user(uuid)', NULL, 200, true, 'One user'),
        ('users', 'PATCH', '/users/{user_id}', 'update_profile(text,text,text,text,jsonb,jsonb,integer,uuid)', NULL,
         200, false, 'Change a profile'),
        ('users', 'DELETE', '/users/{user_id}', 'delete_user(uuid)', NULL, 204, false, 'Delete a user, for a while'),
        ('users', 'POST', '/users/{user_id}/deactivate', 'deactivate_user(uuid)', 'user:manage', 204, false,
         'Deactivate a user'),
        ('users', 'POST', '/users/{user_id}/reactivate', 'reactivate_user(uuid)', 'user:manage', 204, false,
         'Reactivate a user'),
        ('users', 'POST', '/users/{user_id}/restore', 'restore_user(uuid)', 'user:manage', 204, false,
         'Take a deletion back'),
        ('users', 'POST', '/users/{user_id}/erase', 'erase_user(uuid)', NULL, 204, false,
         'Erase the data of a user for good'),
        ('users', 'POST', '/users/{user_id}/unlock', 'unlock_user(uuid)', 'user:manage', 204, false,
         'Unlock an account'),
        ('users', 'PUT', '/users/{user_id}/password', 'set_password(uuid,text)', 'user:manage', 204, false,
         'Set a password'),
        ('users', 'PUT', '/users/{user_id}/tier', 'set_user_tier(uuid,text)', 'user:manage', 204, false, 'Set a tier'),
        ('users', 'PUT', '/users/{user_id}/metadata', 'set_user_metadata(uuid,jsonb)', 'user:manage', 204, false,
         'Set what the application keeps about a user'),
        ('users', 'GET', '/users/{user_id}/export', 'export_user(uuid)', NULL, 200, false, 'All data of a user'),
        ('users', 'GET', '/customers/{customer_id}/export', 'export_customer(uuid)', 'customer:manage', 200, false,
         'All data of a customer without an account'),
        ('users', 'POST', '/customers/{customer_id}/erase', 'erase_customer(uuid)', 'customer:manage', 200, false,
         'Erase the data of a customer without an account for good'),
        ('users', 'GET', '/users/{user_id}/sessions', 'list_sessions(uuid)', NULL, 200, true, 'Sessions of a user'),
        ('users', 'DELETE', '/users/{user_id}/sessions', 'logout_all(uuid,uuid)', NULL, 200, false,
         'End the sessions of a user'),
        ('users', 'GET', '/users/{user_id}/login-attempts', 'list_login_attempts(uuid,integer)', NULL, 200, true,
         'Logins and failed ones'),
        ('users', 'GET', '/users/{user_id}/identities', 'list_identities(uuid)', NULL, 200, true,
         'Outside accounts of a user'),
        ('users', 'GET', '/users/{user_id}/consents', 'list_consents(uuid)', NULL, 200, true, 'Consents of a user'),
        ('users', 'DELETE', '/users/{user_id}/identities/{provider}', 'unlink_identity(uuid,text)', NULL, 200, false,
         'Untie an outside account'),
        ('users', 'GET', '/users/{user_id}/second-factors', 'list_second_factors(uuid)', NULL, 200, true,
         'Second factors of a user'),
        ('users', 'DELETE', '/users/{user_id}/second-factors', 'reset_second_factors(uuid)', 'user:manage', 204, false,
         'Let a user begin again without second factors'),
        ('users', 'GET', '/users/{user_id}/api-keys', 'list_api_keys(uuid)', NULL, 200, true, 'API keys of a user'),
        ('access', 'GET', '/users/{user_id}/roles', 'list_user_roles(uuid)', NULL, 200, true, 'Roles of a user'),
        ('access', 'POST', '/users/{user_id}/roles', 'grant_role(uuid,text,text,timestamptz)', 'user:manage', 204,
         false, 'Give a user a role'),
        ('access', 'DELETE', '/users/{user_id}/roles/{role}', 'revoke_role(uuid,text,text,boolean)', 'user:manage',
         200, false, 'Take a role away'),
        ('access', 'GET', '/users/{user_id}/permissions', 'list_permissions(uuid)', NULL, 200, true,
         'What a user may do'),
        ('access', 'GET', '/users/{user_id}/permissions/{permission}', 'explain_access(uuid,text,text)', NULL, 200,
         true, 'Why a user may, or may not'),
        ('access', 'POST', '/users/{to_user}/permissions', 'grant_permission(uuid,text,text,text,timestamptz)',
         'role:manage', 204, false, 'Grant a user a permission'),
        ('access', 'DELETE', '/users/{from_user}/permissions/{permission}', 'revoke_permission(uuid,text,text,text)',
         'role:manage', 200, false, 'Revoke a grant of a user'),
        ('access', 'GET', '/roles', 'list_roles()', 'role:read', 200, true, 'List roles'),
        ('access', 'POST', '/roles', 'create_role(text,text,boolean,boolean)', 'role:manage', 201, false,
         'Make a role'),
        ('access', 'PATCH', '/roles/{role}', 'update_role(text,text,text,boolean)', 'role:manage', 204, false,
         'Change a role'),
        ('access', 'DELETE', '/roles/{role}', 'drop_role(text)', 'role:manage', 204, false, 'Drop a role'),
        ('access', 'PUT', '/roles/{role}/parents/{parent}', 'add_role_parent(text,text)', 'role:manage', 204, false,
         'Let a role inherit'),
        ('access', 'DELETE', '/roles/{role}/parents/{parent}', 'remove_role_parent(text,text)', 'role:manage', 200,
         false, 'Stop a role from inheriting another'),
        ('access', 'PUT', '/roles/{role}/manages/{target_role}', 'add_role_management(text,text)', 'role:manage', 204,
         false, 'Let a role manage another'),
        ('access', 'DELETE', '/roles/{role}/manages/{target_role}', 'remove_role_management(text,text)', 'role:manage',
         200, false, 'Stop a role from managing another'),
        ('access', 'POST', '/roles/{to_role}/permissions', 'grant_permission(text,text,text,text,timestamptz)',
         'role:manage', 204, false, 'Grant a role a permission'),
        ('access', 'DELETE', '/roles/{from_role}/permissions/{permission}', 'revoke_permission(text,text,text,text)',
         'role:manage', 200, false, 'Revoke a grant of a role'),
        ('access', 'GET', '/permissions', 'list_defined_permissions(text,text,integer)', 'role:read', 200, true,
         'The catalogue of permissions'),
        ('access', 'POST', '/permissions', 'create_permission(text,text,boolean)', 'role:manage', 204, false,
         'Define a permission'),
        ('access', 'DELETE', '/permissions/{name}', 'drop_permission(text)', 'role:manage', 200, false,
         'Drop a permission'),
        ('access', 'GET', '/policies', 'list_policies(text,text,uuid,integer)', 'policy:manage', 200, true,
         'List policy rules'),
        ('access', 'POST', '/policies', 'add_policy(text,text,text,text,text,text,text)', 'policy:manage', 200, false,
         'Add a policy rule'),
        ('access', 'DELETE', '/policies', 'remove_policy(text,text,text,text,text,text,text)', 'policy:manage', 200,
         false, 'Remove a policy rule'),
        ('audit', 'GET', '/audit', NULL, 'audit:read', 200, false, 'Search the audit log'),
        ('audit', 'GET', '/audit/history', 'row_history(regclass,jsonb,uuid,integer)', 'audit:read', 200, false,
         'What happened to a row'),
        ('audit', 'GET', '/audit/as-of', 'row_as_of(regclass,jsonb,timestamptz)', 'audit:read', 200, false,
         'A row as it was'),
        ('audit', 'GET', '/audit/chain', 'verify_audit_chain(timestamptz,timestamptz)', 'audit:read', 200, false,
         'Is the audit log complete?'),
        ('machines', 'GET', '/machines', 'list_machines()', 'machine:manage', 200, true, 'List machines'),
        ('machines', 'PUT', '/machines/{name}', 'define_machine(text,jsonb)', 'machine:manage', 200, false,
         'Define a status machine'),
        ('machines', 'GET', '/machines/{machine}/diagram', 'machine_diagram(text)', NULL, 200, true,
         'A machine as a Mermaid diagram'),
        ('machines', 'GET', '/machines/{machine}/statuses', 'machine_statuses(text)', NULL, 200, true,
         'The statuses of a machine'),
        ('machines', 'GET', '/machines/{machine}/findings', 'validate_machine(text)', 'machine:manage', 200, true,
         'What is odd about a machine'),
        ('events', 'GET', '/events/subscriptions', 'list_subscriptions()', 'event:manage', 200, true,
         'Who gets which events'),
        ('events', 'GET', '/events/parked', 'list_parked_events(text,uuid,integer)', 'event:manage', 200, true,
         'Events that failed too often'),
        ('events', 'POST', '/events/{event_id}/retry', 'retry_event(text,uuid)', 'event:manage', 200, false,
         'Deliver an event again'),
        ('limits', 'GET', '/rate-limits', 'list_rate_limits()', 'limit:manage', 200, true, 'List rate limits'),
        ('limits', 'PUT', '/rate-limits/{policy}', NULL, 'limit:manage', 204, false, 'Define a rate limit'),
        ('limits', 'DELETE', '/rate-limits/{policy}', 'drop_rate_limit(text)', 'limit:manage', 200, false,
         'Drop a rate limit'),
        ('limits', 'POST', '/rate-limits/{policy}/reset', 'reset_rate_limit(text,text)', 'limit:manage', 200, false,
         'Forget the hits of a key'),
        ('keys', 'GET', '/token-issuers', 'list_token_issuers()', 'key:manage', 200, true,
         'Outside issuers of tokens'),
        ('keys', 'POST', '/token-issuers', 'add_token_issuer(text,text[],jsonb,text,text[])', 'key:manage', 204, false,
         'Accept the tokens of an outside issuer'),
        ('keys', 'PATCH', '/token-issuers', 'update_token_issuer(text,text[],jsonb,text,text[],boolean)', 'key:manage',
         204, false, 'Change an outside issuer, its keys say'),
        ('keys', 'DELETE', '/token-issuers', 'remove_token_issuer(text)', 'key:manage', 204, false,
         'Stop accepting an outside issuer'),
        ('keys', 'POST', '/token-issuers/follow', 'follow_token_issuer(text,text[],text,text,text[])', 'key:manage',
         204, false, 'Accept an outside issuer and fetch its keys'),
        ('keys', 'GET', '/token-issuers/followed', 'list_followed_issuers()', 'key:manage', 200, true,
         'Outside issuers whose keys are fetched'),
        ('keys', 'DELETE', '/token-issuers/followed', 'unfollow_token_issuer(text)', 'key:manage', 200, false,
         'Fetch the keys of an outside issuer no longer'),
        ('meta', 'GET', '/routes', 'list_routes()', 'route:manage', 200, true, 'List routes')
        ) AS v (tag, method, path, signature, permission, success_status, read_only, summary)
    LOOP
        -- Functions with many arguments are named by their name: there is one of each.
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => CASE WHEN r.signature IS NOT NULL THEN format('usher.%s', r.signature)::regprocedure
                             ELSE (SELECT p.oid FROM pg_catalog.pg_proc p
                                   WHERE p.pronamespace = 'usher'::regnamespace
                                     AND p.proname = CASE r.path WHEN '/audit' THEN 'search_audit'
                                                         ELSE 'define_rate_limit' END)::regprocedure END,
            access => CASE WHEN r.permission IS NULL THEN 'authenticated' ELSE 'permission' END,
            -- What the function itself decides for people, who have an account too, takes a permission of an API key.
            permission => coalesce(r.permission, CASE WHEN r.path LIKE '/users/%' THEN 'user:manage'
                                                      WHEN r.path LIKE '/machines/%' THEN 'machine:manage' END),
            success_status => r.success_status, read_only => r.read_only, summary => r.summary, tag => r.tag);
    END LOOP;
END
$$;
-- Routes of second factors, codes by mail, and API keys. What guesses a code is limited by lockout, or by the code's
-- own five tries.

SELECT usher.add_route('POST', '/auth/login/second-factor', 'usher.login_second_factor(text,text)',
    access => 'public', rate_limit => 'auth.login', tag => 'auth',
    summary => 'The second half of a login: challenge and code');
SELECT usher.add_route('POST', '/auth/login/code/request', 'usher.request_login_code(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth',
    summary => 'Ask for a code by mail to log in with');
SELECT usher.add_route('POST', '/auth/login/code', 'usher.login_with_code(text,text,jsonb)',
    access => 'public', rate_limit => 'auth.login', tag => 'auth',
    summary => 'Log in with the code from the mail');
SELECT usher.add_route('POST', '/auth/verify-email/code/request', 'usher.request_verification_code(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth',
    summary => 'Ask for a code by mail to verify an address');
SELECT usher.add_route('POST', '/auth/verify-email/code', 'usher.verify_email_code(text,text,text)',
    access => 'public', tag => 'auth', summary => 'Prove an e-mail address with the code sent to it');

SELECT usher.add_route('GET', '/auth/second-factors', 'usher.list_second_factors(uuid)',
    read_only => true, tag => 'auth', summary => 'List second factors');
SELECT usher.add_route('POST', '/auth/second-factors/totp', 'usher.enroll_totp(text,text)',
    success_status => 201, tag => 'auth', summary => 'Begin an authenticator application (TOTP)');
SELECT usher.add_route('POST', '/auth/second-factors/{factor_id}/confirm', 'usher.confirm_totp(uuid,text)',
    tag => 'auth', summary => 'Take an authenticator into use by a first code');
SELECT usher.add_route('POST', '/auth/second-factors/{factor_id}/remove', 'usher.remove_second_factor(uuid,text)',
    tag => 'auth', summary => 'Remove an authenticator');
SELECT usher.add_route('POST', '/auth/second-factors/verify', 'usher.verify_second_factor(text)',
    tag => 'auth', summary => 'Raise this session by a code');
SELECT usher.add_route('POST', '/auth/second-factors/recovery-codes', 'usher.regenerate_recovery_codes(text)',
    tag => 'auth', summary => 'Get new recovery codes');

SELECT usher.add_route('POST', '/auth/sessions/logout-all', 'usher.logout_all(uuid,uuid)',
    tag => 'auth', summary => 'End all sessions, or all but one');

SELECT usher.add_route('GET', '/auth/api-keys', 'usher.list_api_keys(uuid)',
    read_only => true, tag => 'api keys', summary => 'List API keys');
SELECT usher.add_route('POST', '/auth/api-keys', 'usher.create_api_key(text,text[],timestamptz,uuid)',
    success_status => 201, tag => 'api keys', summary => 'Make an API key');
SELECT usher.add_route('DELETE', '/auth/api-keys/{api_key_id}', 'usher.revoke_api_key(uuid)',
    tag => 'api keys', summary => 'Revoke an API key');

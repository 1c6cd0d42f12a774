-- Core's own routes. POST /auth/login needs no rate limit of its own: failed logins lock the account and the network.

-- Each of these may send a mail to somebody who did not ask for it.
SELECT usher.define_rate_limit('auth.mail', 'token_bucket', 30, '1 hour');

SELECT usher.add_route('POST', '/auth/register', 'usher.register_user(text,text,text,text,text,text,jsonb)',
    access => 'public', success_status => 201, tag => 'auth', summary => 'Open an account');
SELECT usher.add_route('POST', '/auth/login', 'usher.login(text,text,jsonb)',
    access => 'public', tag => 'auth', summary => 'Log in with e-mail address or username, and password');
SELECT usher.add_route('POST', '/auth/refresh', 'usher.refresh_session(text)',
    access => 'public', tag => 'auth', summary => 'Exchange a refresh token for new tokens');
SELECT usher.add_route('POST', '/auth/logout', 'usher.logout(uuid)',
    tag => 'auth', summary => 'End this session, or another of one''s own');
SELECT usher.add_route('POST', '/auth/verify-email', 'usher.verify_email(text)',
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
SELECT usher.add_route('GET', '/auth/me', 'usher.get_me()',
    read_only => true, tag => 'auth', summary => 'Who am I, and what may I do?');
SELECT usher.add_route('GET', '/auth/sessions', 'usher.list_sessions(uuid)',
    read_only => true, tag => 'auth', summary => 'List sessions');
SELECT usher.add_route('DELETE', '/auth/sessions/{session_id}', 'usher.revoke_session(uuid)',
    tag => 'auth', summary => 'End a session');
SELECT usher.add_route('GET', '/.well-known/jwks.json', 'usher.jwks()',
    access => 'public', read_only => true, tag => 'keys', summary => 'Public keys that access tokens are signed with',
    cache_control => 'public, max-age=300');
SELECT usher.add_route('GET', '/openapi.json', 'usher.openapi()',
    access => 'public', read_only => true, tag => 'meta', summary => 'This document',
    cache_control => 'public, max-age=60');

-- Routes of second factors, codes by mail, and API keys. What guesses a code is limited by lockout, or by the code's own five tries.

SELECT usher.add_route('POST', '/auth/login/second-factor', 'usher.login_second_factor(text,text)',
    access => 'public', tag => 'auth', summary => 'The second half of a login: challenge and code');
SELECT usher.add_route('POST', '/auth/login/code/request', 'usher.request_login_code(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth', summary => 'Ask for a code by mail to log in with');
SELECT usher.add_route('POST', '/auth/login/code', 'usher.login_with_code(text,text,jsonb)',
    access => 'public', tag => 'auth', summary => 'Log in with the code from the mail');
SELECT usher.add_route('POST', '/auth/verify-email/code/request', 'usher.request_verification_code(text)',
    access => 'public', rate_limit => 'auth.mail', success_status => 202, tag => 'auth', summary => 'Ask for a code by mail to verify an address');
SELECT usher.add_route('POST', '/auth/verify-email/code', 'usher.verify_email_code(text,text)',
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

-- The story of an identity service: somebody opens an account, logs in by username, is limited by their tier, changes
-- profile and preferences, uses an OAuth provider, forgets the password; Casbin's rules decide by role and by
-- attributes; everything is on record, consents are kept, and the account goes, with all that it left behind. Needs
-- install.sql and names.sql:
--
--     ./dev psql --system cedrina -f examples/cedrina/story.sql
--
-- It plays several people, so it is run by a superuser; what they do is done as cedrina_app, which has only
-- grant_access('cedrina_app', 'application'), and upkeep as cedrina_admin. Who somebody is comes from
-- usher.authenticate() alone. Each step checks what it got. May run again: whoever comes is new.
\ir ../expect.sql
SET search_path = cedrina, public;
SELECT 'v' || substr(md5(random()::text), 1, 12) AS name \gset
SELECT :'name' || '@example.com' AS email, clock_timestamp() AS beginning \gset

\echo '--- 1. a visitor opens an account, proves the address, logs in by username'
SET ROLE cedrina_app;
SELECT pg_temp.expect('registration without a password worth the name', error, 'password_too_short')
    FROM usher.register_user(:'email', 'short', username => :'name');
SELECT user_id AS visitor FROM usher.register_user(:'email', 'what a visitor remembers', 'Vera',
    username => :'name') \gset
SELECT pg_temp.expect('the same name again', error, 'username_taken')
    FROM usher.register_user('another-' || :'email', 'what a visitor remembers', username => upper(:'name'));
SELECT pg_temp.expect('login before the address is proved',
    (SELECT error FROM usher.login(:'name', 'what a visitor remembers')), 'email_not_verified');
SELECT pg_temp.expect('accounts that nobody in particular sees', (SELECT count(*) FROM users)::text, '0');
RESET ROLE;
SELECT payload ->> 'token' AS token FROM usher.events WHERE event = 'user.email_verification_requested'
    AND key = :'visitor'
    ORDER BY id DESC LIMIT 1 \gset
SET ROLE cedrina_app;
SELECT pg_temp.expect('proof', (SELECT error FROM usher.verify_email(:'token', 'what a visitor remembers')), NULL);
SELECT pg_temp.expect('the link again', (SELECT error FROM usher.verify_email(:'token', 'what a visitor remembers')),
    'invalid_token');
BEGIN;
SELECT usher.set_request_context('203.0.113.9', 'cedrina/1.0', 'story-' || :'name') \gset
SELECT access_token AS visitor_token, refresh_token AS visitor_refresh, session_id AS visitor_session,
    coalesce(error, '') AS error
    FROM usher.login(upper(:'name'), 'what a visitor remembers',
        '{"name": "laptop", "fingerprint": "f-1", "security_context":
    {"risk": "low", "country": "NL"}}') \gset
COMMIT;
SELECT pg_temp.expect('login by username, in any letters', :'error', '');
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('what a new account is',
    (SELECT concat_ws(' ', username, role, tier, is_active, is_verified, hashed_password) FROM users),
    :'name' || ' USER FREE t t ***');
SELECT pg_temp.expect('a lock that is to be seen', (SELECT failed_login_attempts::text FROM users), NULL);
COMMIT;
RESET ROLE;
SELECT access_token AS admin_token FROM usher.login('admin', 'cedrina-admin-demo') \gset
SELECT access_token AS pat_token FROM usher.login('pat', 'cedrina-premium-demo') \gset
SET ROLE cedrina_app;

\echo '--- 2. profile and preferences are the user''s, tier, role and metadata are not'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
UPDATE users SET profile_data = '{"bio": "I visit"}', preferences = '{"theme": "dark"}' WHERE username = :'name';
SELECT pg_temp.expect('profile and preferences', (SELECT (profile_data || preferences)::text FROM users),
    '{"bio": "I visit", "theme": "dark"}');
SELECT pg_temp.expect('one''s own tier', pg_temp.refusal('UPDATE users SET tier = ''PREMIUM'''), '42501');
SELECT pg_temp.expect('one''s own role', pg_temp.refusal('UPDATE users SET role = ''ADMIN'''), '42501');
SELECT pg_temp.expect('one''s own metadata', pg_temp.refusal('UPDATE users SET metadata = ''{"vip": true}'''),
    '42501');
SELECT pg_temp.expect('one''s own proof', pg_temp.refusal('UPDATE users SET is_verified = false'), '0A000');
SELECT pg_temp.expect('a hash for oneself',
    pg_temp.refusal('UPDATE users SET hashed_password = '
        '''$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'''), '42501');
SELECT pg_temp.expect('an account made with a hash',
    pg_temp.refusal('INSERT INTO users (username, email, hashed_password)
    VALUES (''x'', ''x@example.com'', ''$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'')'), '42501');
SELECT pg_temp.expect('accounts of others', (SELECT count(*) FROM users WHERE username <> :'name')::text, '0');
SELECT pg_temp.expect('the hash where it is', pg_temp.refusal('SELECT password_hash FROM usher.credentials'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
UPDATE users SET metadata = '{"vip": true}' WHERE id = :'visitor';
SELECT pg_temp.expect('metadata by an administrator', (SELECT metadata::text FROM users WHERE id = :'visitor'),
    '{"vip": true}');
COMMIT;

RESET ROLE;
SET ROLE cedrina_admin; -- an import, and what an administrator writes
INSERT INTO users (username, email, hashed_password, is_verified, role, tier, preferences)
    VALUES ('i' || :'name', 'i' || :'email', usher.hash_password('what was known before'), true, 'ADMIN', 'PREMIUM',
            '{"theme": "light"}') RETURNING id AS imported \gset
SELECT pg_temp.expect('what was imported',
    (SELECT concat_ws(' ', role, tier, preferences ->> 'theme', is_verified, hashed_password)
    FROM users WHERE id = :'imported'), 'ADMIN PREMIUM light t ***');
SELECT pg_temp.expect('the same id again',
    pg_temp.refusal(format('INSERT INTO users (id, username, email, hashed_password)
    VALUES (%L, ''x'', ''x@example.com'', ''$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'')',
        :'imported')), '23505');
SELECT pg_temp.expect('the same name again',
    pg_temp.refusal(format('INSERT INTO users (username, email, hashed_password)
    VALUES (%L, ''x@example.com'', ''$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'')',
        'I' || :'name')), '23505');
SELECT pg_temp.expect('login with the password of before',
    (SELECT error FROM usher.login('i' || :'name', 'what was known before')), NULL);
UPDATE users SET role = 'USER', tier = 'FREE', is_active = false WHERE id = :'imported';
SELECT pg_temp.expect('an account that is closed',
    (SELECT concat_ws(' ', role, tier, is_active) FROM users WHERE id = :'imported'),
    'USER FREE f');
SELECT pg_temp.expect('login there', (SELECT error FROM usher.login('i' || :'name', 'what was known before')),
    'invalid_credentials');
UPDATE users SET is_active = true, hashed_password = usher.hash_password('what is known now') WHERE id = :'imported';
SELECT pg_temp.expect('opened again, with another password',
    (SELECT error FROM usher.login('i' || :'name', 'what is known now')), NULL);
SELECT pg_temp.expect('an address by hand',
    pg_temp.refusal(format('UPDATE users SET email = ''y@example.com'' WHERE id = %L', :'imported')), '0A000');
DELETE FROM users WHERE id = :'imported';
SELECT usher.erase_user(:'imported');
RESET ROLE;
SET ROLE cedrina_app;

\echo '--- 3. the tier and its limits: five reports a minute, then no more; PREMIUM has a hundred'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('reports of FREE', string_agg(allowed::text, ' ' ORDER BY n), 'true true true true true false')
    FROM (SELECT n, (usher.hit_rate_limit('cedrina.reports', :'visitor')).allowed
        FROM generate_series(1, 6) AS n) AS hits;
ROLLBACK;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('forgotten by a rollback', (usher.hit_rate_limit('cedrina.reports', :'visitor')).allowed::text,
    'false');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
UPDATE users SET tier = 'PREMIUM' WHERE id = :'visitor';
COMMIT;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('reports of PREMIUM, at once', allowed::text || ' ' || (remaining > 80), 'true true')
    FROM usher.hit_rate_limit('cedrina.reports', :'visitor');
SELECT pg_temp.expect('the counts of others', (SELECT count(*) FROM rate_limit_records)::text, '0');
COMMIT;
RESET ROLE;
SET ROLE cedrina_admin;
SELECT count(*) AS tasks FROM usher.run_maintenance() \gset
SELECT pg_temp.expect('what is kept of the key',
    (SELECT algorithm || ' ' || (metadata ->> 'policy') || ' refused ' || (metadata ->> 'refused')
        FROM rate_limit_records
     WHERE key_hash = usher.rate_limit_hash('cedrina.reports', :'visitor')),
         'sliding_window cedrina.reports refused 2');
RESET ROLE;

\echo '--- 4. an OAuth profile: tokens go in, and come out for whoever calls the provider'
SET ROLE cedrina_app;
SELECT usher.uuid_v7() AS octo \gset
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('tying an account to oneself by one''s word alone', pg_temp.refusal(format(
    'INSERT INTO oauth_profiles (user_id, provider, provider_user_id) VALUES (%L, ''github'', ''1'')', :'visitor')),
        '42501');
COMMIT;
RESET ROLE;
SET ROLE cedrina_admin; -- the callback of the provider, which has checked its answer
INSERT INTO oauth_profiles (user_id, provider, provider_user_id, access_token, refresh_token, token_expires_at,
    user_info)
    VALUES (:'visitor', 'github', :'octo', 'gho_accessmarker', 'ghr_refreshmarker', now() + interval '8 hours',
        '{"login": "octo"}');
SELECT pg_temp.expect('what is shown of the tokens',
    (SELECT concat_ws(' ', provider, access_token, refresh_token, user_info ->> 'login') FROM oauth_profiles
        WHERE user_id = :'visitor'),
    'github *** *** octo');
SELECT pg_temp.expect('for whoever calls the provider', access_token || ' ' || refresh_token,
    'gho_accessmarker ghr_refreshmarker')
    FROM usher.get_provider_tokens(:'visitor', 'github');
SELECT pg_temp.expect('a second account there', pg_temp.refusal(format(
    'INSERT INTO oauth_profiles (user_id, provider, provider_user_id) VALUES (%L, ''github'', ''another'')',
        :'visitor')), '23505');
SELECT pg_temp.expect('the account of somebody else there', pg_temp.refusal(format(
    'INSERT INTO oauth_profiles (user_id, provider, provider_user_id) SELECT id, ''github'', %L FROM users WHERE '
        'username = ''ivy''',
    :'octo')), '23505');
UPDATE oauth_profiles SET access_token = 'gho_nextmarker', refresh_token = 'ghr_nextmarker' WHERE user_id = :'visitor';
SELECT pg_temp.expect('the next tokens', access_token, 'gho_nextmarker')
    FROM usher.get_provider_tokens(:'visitor', 'github');
RESET ROLE;
-- sealed under the master key, when the server has one; check_configuration() says when it has none
SELECT pg_temp.expect('tokens that can be read where they are stored',
    (rtrim(access_token, '=') = rtrim(encode('gho_nextmarker', 'base64'), '='))::text,
    CASE current_setting('usher.master_key_file') WHEN '' THEN 'true' ELSE 'false' END)
    FROM usher.identities WHERE user_id = :'visitor';
SELECT pg_temp.expect('a server without a master key is told', count(*)::text,
    CASE current_setting('usher.master_key_file') WHEN '' THEN '1' ELSE '0' END)
    FROM usher.check_configuration() WHERE finding = 'secrets are stored as they are';
SELECT pg_temp.expect('tokens in the log', count(*)::text, '0') FROM usher.audit_logs
    WHERE concat(old_values, new_values, event_data) LIKE '%gho\_%';
SET ROLE cedrina_app;

\echo '--- 5. sessions, with what is known of their security'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('the session',
    (SELECT concat_ws(' ', is_active, host(client_ip), user_agent, device_info ->> 'name',
    security_context ->> 'country', session_token, refresh_token) FROM sessions),
        't 203.0.113.9 cedrina/1.0 laptop NL *** ***');
SELECT pg_temp.expect('a session without a login', pg_temp.refusal(format(
    'INSERT INTO sessions (user_id, session_token, refresh_token, expires_at) VALUES (%L, ''a'', ''b'', now() + '
        'interval ''1 day'')',
    :'visitor')), '0A000');
SELECT pg_temp.expect('a longer session', pg_temp.refusal('UPDATE sessions SET expires_at = ''infinity'''), '0A000');
COMMIT;
SELECT refresh_token AS next_refresh, access_token AS visitor_token, coalesce(error, '') AS error
    FROM usher.refresh_session(:'visitor_refresh') \gset
SELECT pg_temp.expect('refresh', :'error', '');
SELECT session_id AS phone, access_token AS phone_token
    FROM usher.login(:'name', 'what a visitor remembers', '{"name": "phone"}') \gset
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
DELETE FROM sessions WHERE id = :'phone'; -- does not see it
COMMIT;
BEGIN;
SELECT usher.authenticate(:'phone_token') AS me \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
UPDATE sessions SET is_active = false WHERE device_info ->> 'name' = 'phone';
SELECT pg_temp.expect('sessions', string_agg(device_info ->> 'name' || ' ' || is_active, ', ' ORDER BY id),
    'laptop true, phone false')
    FROM sessions;
COMMIT;
SELECT pg_temp.expect('the phone, a statement later',
    pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'phone_token')), '28000');

\echo '--- 6. a lost password: a token that works once; a locked account'
SELECT pg_temp.expect('wrong password no. ' || n, (SELECT error FROM usher.login(:'name', 'not it, no. ' || n)),
    'invalid_credentials')
    FROM generate_series(1, 5) AS n;
SELECT pg_temp.expect('the right one of a locked account',
    (SELECT error FROM usher.login(:'name', 'what a visitor remembers')),
    'invalid_credentials');
RESET ROLE;
SET ROLE cedrina_admin;
SELECT pg_temp.expect('what an administrator sees',
    (SELECT failed_login_attempts || ' ' || (locked_until > now()) FROM users
    WHERE id = :'visitor'), '5 true');
UPDATE users SET failed_login_attempts = 0, locked_until = NULL WHERE id = :'visitor';
SELECT pg_temp.expect('unlocked by an administrator',
    (SELECT failed_login_attempts || ' ' || (locked_until IS NULL) FROM users
    WHERE id = :'visitor'), '0 true');
SELECT pg_temp.expect('a lock by hand', pg_temp.refusal(format(
    'UPDATE users SET locked_until = ''infinity'' WHERE id = %L', :'visitor')), '0A000');
RESET ROLE;
SET ROLE cedrina_app;
SELECT pg_temp.expect('and again wrong, no. ' || n,
    (SELECT error FROM usher.login(:'name', 'still not it, no. ' || n)),
    'invalid_credentials') FROM generate_series(1, 5) AS n;
BEGIN;
SELECT usher.set_request_context('203.0.113.9') \gset
SELECT usher.request_password_reset(:'email'), usher.request_password_reset('nobody-' || :'email') \gset
COMMIT;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('the token that was asked for', (SELECT token_hash || ' ' || is_used || ' ' || host(client_ip)
    FROM password_reset_tokens), '*** false 203.0.113.9');
COMMIT;
RESET ROLE;
SELECT payload ->> 'token' AS token FROM usher.events WHERE event = 'user.password_reset_requested'
    AND key = :'visitor'
    ORDER BY id DESC LIMIT 1 \gset
SET ROLE cedrina_app;
SELECT pg_temp.expect('a token that was made up',
    (SELECT error FROM usher.reset_password('made up', 'another one to remember')),
    'invalid_token');
SELECT pg_temp.expect('the reset', (SELECT error FROM usher.reset_password(:'token', 'another one to remember')),
    NULL);
SELECT pg_temp.expect('the token again', (SELECT error FROM usher.reset_password(:'token', 'yet another to remember')),
    'invalid_token');
SELECT pg_temp.expect('a session of before',
    pg_temp.refusal(format('SELECT usher.authenticate(%L)', :'visitor_token')), '28000');
SELECT pg_temp.expect('the old password', (SELECT error FROM usher.login(:'name', 'what a visitor remembers')),
    'invalid_credentials');
SELECT access_token AS visitor_token, coalesce(error, '') AS error
    FROM usher.login(:'name', 'another one to remember') \gset
SELECT pg_temp.expect('the new one, and no lock', :'error', '');
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('used, and kept', (SELECT is_used || ' ' || (used_at IS NOT NULL) FROM password_reset_tokens),
    'true true');
COMMIT;

\echo '--- 7. Casbin: by role, by attributes'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('a document, by nobody''s rule', by_role::text, 'false') FROM may('/documents/7', 'GET');
SELECT pg_temp.expect('a rule for oneself',
    pg_temp.refusal(format('INSERT INTO casbin_rules (ptype, v0, v1) VALUES (''g'', %L, ''editor'')', :'name')),
        '42501');
SELECT pg_temp.expect('rules that a user sees', (SELECT count(*) FROM casbin_rules)::text, '0');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
INSERT INTO casbin_rules (ptype, v0, v1) VALUES ('g', :'name', 'editor');
SELECT pg_temp.expect('who wrote the rule',
    (SELECT created_by || ' ' || is_active FROM casbin_rules WHERE v0 = :'name'),
    '01900000-0000-7000-8000-0000000000a1 true');
SELECT pg_temp.expect('a rule by somebody else', pg_temp.refusal('INSERT INTO casbin_rules (ptype, v0, created_by)
    VALUES (''q'', ''x'', ''me'')'), '22023');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('RBAC: an editor writes, and reads as every reader',
    concat_ws(' ', (may('/documents/7', 'PUT')).by_role,
    (may('/documents/7', 'GET')).by_role, (may('/documents/7', 'DELETE')).by_role), 't t f');
SELECT pg_temp.expect('ABAC: one''s own may be deleted', concat_ws(' ',
    (may('/documents/7', 'DELETE', jsonb_build_object('owner', :'name'))).by_attributes,
    (may('/documents/7', 'DELETE', '{"owner": "pat"}')).by_attributes, (may('/documents/7', 'DELETE')).by_attributes),
        't f f');
SELECT pg_temp.expect('ABAC: large ones are exported by PREMIUM', concat_ws(' ',
    (may('/documents/7', 'EXPORT', '{"size": 1001}')).by_attributes,
        (may('/documents/7', 'EXPORT', '{"size": 1000}')).by_attributes),
    't f');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
UPDATE casbin_rules SET is_active = false WHERE v0 = :'name';
COMMIT;
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT pg_temp.expect('a rule that is switched off', (may('/documents/7', 'PUT')).by_role::text, 'false');
COMMIT;

\echo '--- 8. everything is on record: by user and time'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT usher.set_request_context('203.0.113.9', 'cedrina/1.0', 'story-' || :'name') \gset
INSERT INTO audit_logs (event_type, event_data, severity, metadata)
    VALUES ('document.printed', '{"document": 7}', 'WARNING', '{"pages": 3}');
SELECT pg_temp.expect('the log, for a user', (SELECT count(*) FROM audit_logs)::text, '0');
SELECT pg_temp.expect('an event of somebody else', pg_temp.refusal(
    'INSERT INTO audit_logs (user_id, event_type, event_data) VALUES (''01900000-0000-7000-8000-0000000000a1'', '
        '''x'', ''{}'')'), '0A000');
SELECT pg_temp.expect('a row less', pg_temp.refusal('DELETE FROM usher.audit_logs'), '42501');
COMMIT;
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT pg_temp.expect('the event',
    (SELECT concat_ws(' ', severity, event_data, metadata, host(client_ip), user_agent, correlation_id, source)
    FROM audit_logs WHERE user_id = :'visitor' AND event_type = 'document.printed' AND created_at >= :'beginning'),
    'WARNING {"document": 7} {"pages": 3} 203.0.113.9 cedrina/1.0 story-' || :'name' || ' application');
SELECT pg_temp.expect('logins, newest first', string_agg(event_type, ' ' ORDER BY id DESC),
    'login.succeeded login.succeeded login.succeeded')
    FROM usher.search_audit(actor_id => :'visitor', event_type => 'login.succeeded', since => :'beginning',
        until => clock_timestamp());
SELECT pg_temp.expect('old and new values of the preferences',
    (SELECT event_data -> 'old' ->> 'preferences' || ' to ' || (event_data -> 'new' ->> 'preferences') FROM audit_logs
     WHERE user_id = :'visitor' AND event_data -> 'new' ? 'preferences' AND created_at >= :'beginning'),
         '{} to {"theme": "dark"}');
SELECT pg_temp.expect('a log that nobody has changed', bool_and(is_intact)::text, 'true')
    FROM usher.verify_audit_chain(since => :'beginning');
COMMIT;

\echo '--- 9. consents; what is held about somebody; and how it goes'
BEGIN;
SELECT usher.authenticate(:'visitor_token') AS me \gset
SELECT usher.record_consent('newsletter', 'v1', evidence => '{"form": "profile"}'),
    usher.record_consent('terms', '2026-01') \gset
SELECT pg_temp.expect('withdrawn', usher.withdraw_consent('newsletter')::text, 'true');
SELECT pg_temp.expect('consents',
    string_agg(purpose || ' ' || document_version || ' ' || (withdrawn_at IS NULL), ', ' ORDER BY purpose),
    'newsletter v1 false, terms 2026-01 true') FROM usher.list_consents();
SELECT pg_temp.expect('the export', concat_ws(' ', export #>> '{user,username}', export #>> '{user,preferences,theme}',
    jsonb_array_length(export -> 'consents'), jsonb_array_length(export -> 'identities'),
        export::text ~ 'nextmarker|\$2b\$'),
    :'name' || ' dark 2 1 f') FROM usher.export_user() AS export;
SELECT pg_temp.expect('the export of somebody else',
    pg_temp.refusal('SELECT usher.export_user(''01900000-0000-7000-8000-0000000000a1'')'), '42501');
SELECT pg_temp.expect('the erasure of somebody else',
    pg_temp.refusal('SELECT usher.erase_user(''01900000-0000-7000-8000-0000000000a1'')'), '42501');
DELETE FROM users WHERE username = :'name';
COMMIT;
SELECT pg_temp.expect('login of a deleted account',
    (SELECT error FROM usher.login(:'name', 'another one to remember')),
    'invalid_credentials');
BEGIN;
SELECT usher.authenticate(:'admin_token') AS me \gset
SELECT usher.erase_user(:'visitor');
DELETE FROM casbin_rules WHERE v0 = :'name'; -- what an application writes about people is its own to erase
COMMIT;
RESET ROLE;
SELECT pg_temp.expect('traces of the visitor: ' || what, n::text, '0') FROM (
    SELECT 'accounts' AS what, count(*) AS n FROM usher.users u WHERE u::text LIKE '%' || :'name' || '%'
    UNION ALL SELECT 'attempts', count(*) FROM usher.login_attempts a WHERE a::text LIKE '%' || :'name' || '@%'
    UNION ALL SELECT 'outside accounts', count(*) FROM usher.identities WHERE user_id = :'visitor'
    UNION ALL SELECT 'sessions', count(*) FROM usher.sessions WHERE user_id = :'visitor'
    UNION ALL SELECT 'events', count(*) FROM usher.events e WHERE e.payload::text LIKE '%' || :'name' || '%'
    UNION ALL SELECT 'changed values', count(*) FROM usher.audit_logs a
        WHERE a.subject_id = :'visitor'
            AND concat(a.old_values, a.new_values, a.actor_name) LIKE '%' || :'name' || '%') AS traces;
SELECT pg_temp.expect('the consent is still known, without a name',
    string_agg(purpose || ' ' || evidence, ', ' ORDER BY purpose),
    'newsletter {}, terms {}') FROM usher.consents WHERE user_id = :'visitor';

\echo '--- 10. health, and what cleans up'
SET ROLE cedrina_admin;
SELECT pg_temp.expect('health',
    (active_users >= 3) || ' ' || (live_sessions >= 2) || ' ' || (audit_rows_last_hour > 0), 'true true true')
    FROM usher.health();
SELECT pg_temp.expect('live sessions by the names',
    (SELECT count(*) FROM sessions WHERE expires_at > now() AND is_active)::text,
    live_sessions::text) FROM usher.health();
SELECT pg_temp.expect('upkeep that failed', count(*)::text, '0') FROM usher.run_maintenance()
    WHERE task LIKE '%\_failed';
RESET ROLE;
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'

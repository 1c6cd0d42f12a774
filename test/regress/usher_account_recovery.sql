-- Accounts that change hands: what every way of recovery ends, and what becomes of an account that somebody else had
-- prepared.
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
SET usher.one_time_tokens_per_hour = 100;
CREATE ROLE regress_recovery_app;
SELECT usher.grant_access('regress_recovery_app', 'application');
CREATE SCHEMA regress_recovery;
CREATE FUNCTION regress_recovery.mailed(person uuid, wanted text, secret text DEFAULT 'token') RETURNS text
    LANGUAGE sql AS $$
    SELECT e.payload ->> secret
    FROM usher.events e WHERE e.key = person::text AND e.event = wanted ORDER BY e.id DESC LIMIT 1
$$;

-- Every table that holds something by which one gets at an account: a hash or a MAC of a secret, and whose it is. What
-- of it is open is said below; a new one has to be added there, and to cut_off().
SELECT c.relname AS openers
FROM pg_class c JOIN pg_attribute u ON u.attrelid = c.oid AND u.attname = 'user_id'
WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind IN ('r', 'p')
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
                    AND (a.attname ~ '(_hash|_hmac)$' OR a.attname = 'secret'))
ORDER BY 1;
CREATE FUNCTION regress_recovery.open(person uuid) RETURNS TABLE (what text, ones bigint) LANGUAGE sql AS $$
    SELECT 'sessions', count(*) FROM usher.sessions WHERE user_id = person AND status = 'active'
    UNION ALL
    SELECT 'token ' || t.purpose, count(*) FROM usher.one_time_tokens t
    WHERE user_id = person AND used_at IS NULL AND ended_at IS NULL GROUP BY 1
    UNION ALL
    SELECT 'code ' || c.purpose, count(*) FROM usher.one_time_codes c
    WHERE user_id = person AND used_at IS NULL AND ended_at IS NULL GROUP BY 1
    UNION ALL
    SELECT 'challenges', count(*) FROM usher.login_challenges WHERE user_id = person AND used_at IS NULL
    UNION ALL
    SELECT 'enrolments', count(*) FROM usher.second_factors WHERE user_id = person AND confirmed_at IS NULL
    UNION ALL
    SELECT 'keys', count(*) FROM usher.api_keys WHERE user_id = person AND revoked_at IS NULL
$$;
-- A user of whom everything is open at once, and whom one way of recovery meets.
CREATE FUNCTION regress_recovery.after(name text, statement text, OUT left_open text)
    LANGUAGE plpgsql AS $$
DECLARE
    address CONSTANT text := name || '@recovery.example';
    person CONSTANT uuid := (usher.register_user(address, 'the password of ' || name)).user_id;
    session record;
    token text;
BEGIN
    PERFORM usher.verify_email(usher.create_email_verification(person), 'the password of ' || name);
    session := usher.login(address, 'the password of ' || name);
    PERFORM usher.authenticate(session.access_token);
    PERFORM usher.create_api_key('machine', '{*:*}');
    PERFORM usher.enroll_totp('the password of ' || name);
    PERFORM usher.request_email_change('new-' || address, 'the password of ' || name);
    PERFORM usher.request_login_code(address);
    PERFORM usher.request_password_reset(address);
    INSERT INTO usher.one_time_codes (user_id, purpose, code_hmac, email, expires_at)
    VALUES (person, 'email_verification', sha256('x'), address, now() + interval '1 hour');
    INSERT INTO usher.one_time_tokens (user_id, purpose, token_hash, email, expires_at)
    VALUES (person, 'email_verification', sha256(convert_to(address, 'UTF8')), address, now() + interval '1 hour');
    INSERT INTO usher.login_challenges (user_id, token_hash, authentication_methods, expires_at)
    VALUES (person, sha256(convert_to('c' || address, 'UTF8')), '{pwd}', now() + interval '1 hour');
    ASSERT (SELECT bool_and(o.ones > 0) FROM regress_recovery.open(person) o), 'not everything is open';
    token := regress_recovery.mailed(person, 'user.email_change_requested');
    EXECUTE statement USING person, address, session.session_id;
    left_open := (SELECT string_agg(o.what || ' ' || o.ones, ', ') FROM regress_recovery.open(person) o WHERE o.ones > 0);
    -- the link that was mailed before moves nothing any more, whatever comes after
    IF (SELECT u.status FROM usher.users u WHERE u.id = person) IN ('deactivated', 'deleted') THEN
        UPDATE usher.users u SET status = 'active' WHERE u.id = person;
    END IF;
    left_open := name || ': ' || concat_ws(', ', left_open, 'the link: ' || (usher.verify_email(token, 'a new password of ' || name)).error);
END
$$;
\pset format unaligned
\pset tuples_only on
BEGIN; SELECT regress_recovery.after('reset', $$
    SELECT usher.reset_password(regress_recovery.mailed($1, 'user.password_reset_requested'), 'a new password of reset') $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('change', $$
    SELECT usher.change_password('the password of change', 'a new password of change') $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('logout_all', $$ SELECT usher.logout_all() $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('logout_others', $$ SELECT usher.logout_all(except_session => $3) $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('revoke_session', $$ SELECT usher.revoke_session($3) $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('delete', $$ SELECT usher.delete_user() $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('raw_deactivate', $$ UPDATE usher.users SET status = 'deactivated' WHERE id = $1 $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('raw_erase', $$ UPDATE usher.users SET status = 'erased' WHERE id = $1 $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('raw_address', $$ UPDATE usher.users SET email = 'x' || $2 WHERE id = $1 $$); ROLLBACK;
-- by an administrator, who is nobody's session here
SELECT user_id AS boss FROM usher.register_user('boss@recovery.example', 'the password of boss') \gset
SELECT usher.create_role('regress_boss') IS NOT NULL, usher.create_permission('*:*', if_not_exists => true);
SELECT usher.grant_permission(to_role => 'regress_boss', permission => '*:*'), usher.add_role_management('regress_boss', NULL),
    usher.grant_role(:'boss', 'regress_boss');
SELECT set_config('regress.boss', usher.issue_token(:'boss'), false) IS NOT NULL;
BEGIN; SELECT regress_recovery.after('set_password', $$
    WITH b AS MATERIALIZED (SELECT usher.authenticate(current_setting('regress.boss')))
    SELECT usher.set_password($1, 'a password of the boss') FROM b $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('import_hash', $$
    WITH b AS MATERIALIZED (SELECT usher.authenticate(current_setting('regress.boss')))
    SELECT usher.import_password_hash($1, '$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') FROM b $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('managed_logout', $$
    WITH b AS MATERIALIZED (SELECT usher.authenticate(current_setting('regress.boss')))
    SELECT usher.logout_all($1) FROM b $$); ROLLBACK;
BEGIN; SELECT regress_recovery.after('deactivate', $$
    WITH b AS MATERIALIZED (SELECT usher.authenticate(current_setting('regress.boss')))
    SELECT usher.deactivate_user($1) FROM b $$); ROLLBACK;
-- API keys by policy
BEGIN; SET LOCAL usher.cut_off_api_keys = 'never'; SELECT regress_recovery.after('reset', $$
    SELECT usher.reset_password(regress_recovery.mailed($1, 'user.password_reset_requested'), 'a new password of reset') $$); ROLLBACK;
BEGIN; SET LOCAL usher.cut_off_api_keys = 'always'; SELECT regress_recovery.after('change', $$
    SELECT usher.change_password('the password of change', 'a new password of change') $$); ROLLBACK;
\pset tuples_only off
\pset format aligned

-- An account that a stranger prepared: with a password, a session, a factor, a key, a linked account and a name.
CREATE PROCEDURE regress_recovery.prepare(address text) LANGUAGE plpgsql AS $$
DECLARE
    person CONSTANT uuid := (usher.register_user(address, 'the stranger knows this', 'Mallory', 'Stranger',
                                                 split_part(address, '@', 1), '+49 30 1', '{"vip": true}')).user_id;
    session CONSTANT record := usher.login(address, 'the stranger knows this');
BEGIN
    PERFORM usher.authenticate(session.access_token);
    PERFORM usher.create_api_key('machine', '{*:*}');
    PERFORM usher.update_profile(profile => '{"bio": "mine"}', preferences => '{"mail": "none"}');
    PERFORM usher.record_consent('newsletter', 'v1');
    PERFORM usher.request_email_change('stranger@recovery.example', 'the stranger knows this');
    INSERT INTO usher.second_factors (user_id, secret, confirmed_at) VALUES (person, repeat('A', 27), now());
    INSERT INTO usher.recovery_codes (user_id, code_hash) VALUES (person, sha256('x'));
    INSERT INTO usher.identities (user_id, provider, provider_user_id) VALUES (person, 'stranger', address);
END
$$;
CREATE FUNCTION regress_recovery.strangers(address text) RETURNS TABLE (
        session bigint, old_password text, password boolean, factors bigint, codes bigint, keys bigint, identities bigint,
        consents bigint, pending bigint, profile text, verified boolean) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM usher.sessions s WHERE s.user_id = u.id AND s.status = 'active'),
           (usher.login(address, 'the stranger knows this')).error, c.password_hash IS NOT NULL,
           (SELECT count(*) FROM usher.second_factors f WHERE f.user_id = u.id),
           (SELECT count(*) FROM usher.recovery_codes f WHERE f.user_id = u.id),
           (SELECT count(*) FROM usher.api_keys k WHERE k.user_id = u.id AND k.revoked_at IS NULL),
           (SELECT count(*) FROM usher.identities i WHERE i.user_id = u.id AND i.provider = 'stranger'),
           (SELECT count(*) FROM usher.consents k WHERE k.user_id = u.id AND k.withdrawn_at IS NULL),
           (SELECT count(*) FROM usher.one_time_tokens t WHERE t.user_id = u.id AND t.used_at IS NULL AND t.ended_at IS NULL),
           concat_ws(' ', u.first_name, u.last_name, u.username, u.phone, nullif(u.profile, '{}'),
                     nullif(u.preferences, '{}'), nullif(u.metadata, '{}')),
           u.email_verified_at IS NOT NULL
    FROM usher.users u JOIN usher.credentials c ON c.user_id = u.id WHERE lower(u.email) = lower(address)
$$;
CREATE FUNCTION regress_recovery.id(address text) RETURNS uuid LANGUAGE sql AS $$
    SELECT u.id FROM usher.users u WHERE u.email = address $$;
\x on
BEGIN;
CALL regress_recovery.prepare('vera@recovery.example');
SELECT * FROM regress_recovery.strangers('vera@recovery.example');
ROLLBACK;
\x off
\pset format unaligned
-- by the link, and a password of one's own
BEGIN;
CALL regress_recovery.prepare('link@recovery.example');
COMMIT;
SELECT regress_recovery.mailed(regress_recovery.id('link@recovery.example'), 'user.email_verification_requested') AS token \gset
SELECT error FROM usher.verify_email(:'token');
SELECT error FROM usher.verify_email(:'token', 'short');
SELECT error FROM usher.verify_email(:'token', 'what the owner chose');
SELECT * FROM regress_recovery.strangers('link@recovery.example');
SELECT error, session_id IS NOT NULL AS in FROM usher.login('link@recovery.example', 'what the owner chose');
SELECT event FROM usher.events WHERE key = regress_recovery.id('link@recovery.example')::text ORDER BY id DESC LIMIT 2;
-- by a code to log in with
BEGIN;
CALL regress_recovery.prepare('code@recovery.example');
COMMIT;
SELECT usher.request_login_code('code@recovery.example');
SELECT error, session_id IS NOT NULL AS in
FROM usher.login_with_code('code@recovery.example', regress_recovery.mailed(
    regress_recovery.id('code@recovery.example'), 'user.login_code_requested', 'code'));
SELECT * FROM regress_recovery.strangers('code@recovery.example');
-- by a code to verify with
BEGIN;
CALL regress_recovery.prepare('verify@recovery.example');
COMMIT;
SELECT usher.request_verification_code('verify@recovery.example');
SELECT error FROM usher.verify_email_code('verify@recovery.example', regress_recovery.mailed(
    regress_recovery.id('verify@recovery.example'), 'user.verification_code_requested', 'code'), 'what the owner chose');
SELECT * FROM regress_recovery.strangers('verify@recovery.example');
-- by a reset
BEGIN;
CALL regress_recovery.prepare('forgot@recovery.example');
COMMIT;
SELECT usher.request_password_reset('forgot@recovery.example');
SELECT error FROM usher.reset_password(regress_recovery.mailed(
    regress_recovery.id('forgot@recovery.example'), 'user.password_reset_requested'), 'what the owner chose');
SELECT * FROM regress_recovery.strangers('forgot@recovery.example');
-- by a provider that says so
BEGIN;
CALL regress_recovery.prepare('provider@recovery.example');
COMMIT;
SELECT error FROM usher.link_identity(regress_recovery.id('provider@recovery.example'), 'google', 'g1',
                                      'provider@recovery.example');
SELECT verified FROM regress_recovery.strangers('provider@recovery.example');
SELECT usher.unlink_identity(regress_recovery.id('provider@recovery.example'), 'google');
SELECT error FROM usher.link_identity(regress_recovery.id('provider@recovery.example'), 'google', 'g1',
                                      'Provider@recovery.example', email_verified => true);
SELECT * FROM regress_recovery.strangers('provider@recovery.example');
SELECT provider FROM usher.identities WHERE user_id = regress_recovery.id('provider@recovery.example');

-- Whoever set it up and proves the mailbox keeps all of it: with the password, or in a session.
BEGIN;
CALL regress_recovery.prepare('holder@recovery.example');
COMMIT;
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('holder@recovery.example'), 'user.email_verification_requested'), 'the stranger knows this');
SELECT * FROM regress_recovery.strangers('holder@recovery.example');
BEGIN;
CALL regress_recovery.prepare('session@recovery.example');
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('session@recovery.example'), 'user.email_verification_requested'));
COMMIT;
SELECT * FROM regress_recovery.strangers('session@recovery.example');

-- The owner's own registration takes over, with what they entered; the stranger learns nothing and keeps nothing.
BEGIN;
CALL regress_recovery.prepare('owner@recovery.example');
COMMIT;
SET ROLE regress_recovery_app;
SELECT user_id, error FROM usher.register_user('Owner@recovery.example', 'what the owner chose', 'Olga', 'Owner', 'olga');
RESET ROLE;
-- until the mailbox is proved nothing has changed
SELECT session, old_password, profile, verified FROM regress_recovery.strangers('owner@recovery.example');
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('owner@recovery.example'), 'user.email_verification_requested'), 'what the owner chose');
SELECT * FROM regress_recovery.strangers('owner@recovery.example');
SELECT error FROM usher.login('olga', 'what the owner chose');
SELECT count(*) AS kept FROM usher.one_time_tokens WHERE registration IS NOT NULL;
-- and now it is theirs
SELECT user_id, error FROM usher.register_user('owner@recovery.example', 'the stranger tries again');
-- a stranger who registers after the owner gets nowhere by it, and what they entered is not taken
SELECT error FROM usher.register_user('first@recovery.example', 'what the owner chose', 'Olga');
SELECT error FROM usher.register_user('first@recovery.example', 'the stranger knows this', 'Mallory');
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('first@recovery.example'), 'user.email_verification_requested'), 'what the owner chose');
SELECT old_password, profile, verified FROM regress_recovery.strangers('first@recovery.example');
-- what an administrator entered stays
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'boss')) IS NOT NULL;
SELECT error FROM usher.register_user('staff@recovery.example', 'set by the office', 'Stella', 'Staff');
COMMIT;
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('staff@recovery.example'), 'user.email_verification_requested'), 'what the owner chose');
SELECT profile, verified FROM regress_recovery.strangers('staff@recovery.example');

-- A change of address to somebody else's mailbox: whoever reads it cannot be made the owner of a stranger's account.
SELECT error FROM usher.register_user('trap@recovery.example', 'the stranger knows this');
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('trap@recovery.example'), 'user.email_verification_requested'), 'the stranger knows this');
BEGIN;
SELECT usher.authenticate(usher.issue_token(regress_recovery.id('trap@recovery.example'))) IS NOT NULL;
SELECT usher.request_email_change('victim@recovery.example', 'the stranger knows this');
COMMIT;
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('trap@recovery.example'), 'user.email_change_requested'));
SELECT error FROM usher.verify_email(regress_recovery.mailed(
    regress_recovery.id('trap@recovery.example'), 'user.email_change_requested'), 'what the victim types');
SELECT user_id IS NOT NULL AS registered, error FROM usher.register_user('victim@recovery.example', 'what the owner chose');

DELETE FROM usher.users WHERE email LIKE '%recovery.example';
SELECT usher.drop_role('regress_boss');
DROP SCHEMA regress_recovery CASCADE;
SELECT usher.revoke_access('regress_recovery_app');
DROP ROLE regress_recovery_app;

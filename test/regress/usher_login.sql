-- Login: one answer for everything that is wrong, lockout, and what is recorded.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
TRUNCATE usher.login_attempts, usher.network_failures;
CREATE ROLE regress_login_app;
SELECT usher.grant_access('regress_login_app', 'application');
SELECT user_id AS ann
FROM usher.register_user('ann@login.example', 'correct horse battery', username => 'ann_login') \gset
SELECT user_id AS bob FROM usher.register_user('bob@login.example', 'correct horse battery') \gset
SELECT user_id AS eve FROM usher.register_user('eve@login.example', 'correct horse battery') \gset
UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id IN (:'ann', :'bob');
INSERT INTO usher.users (email, status) VALUES ('no-password@login.example', 'active');
SET ROLE regress_login_app;

-- Right.
SELECT error, user_id = :'ann' AS ann, session_id IS NOT NULL AS session, access_token LIKE 'ey%.%.%' AS token,
       token_type, expires_in, refresh_token LIKE 'urt\_%' AS refresh, retry_after
FROM usher.login('ann@login.example', 'correct horse battery');
SELECT error FROM usher.login('  ANN@login.example ', 'correct horse battery');
SELECT error FROM usher.login('Ann_Login', 'correct horse battery', '{"fingerprint": "f00", "name": "phone"}');

RESET ROLE;
SELECT last_login_at > now() - interval '1 minute' AS noted FROM usher.users WHERE id = :'ann';
SET ROLE regress_login_app;

-- Wrong: the same answer.
SELECT l.* FROM usher.login('nobody@login.example', 'correct horse battery') l;
SELECT l.* FROM usher.login('ann@login.example', 'wrong') l;
SELECT error FROM usher.login('no-password@login.example', '');
SELECT error FROM usher.login('', '');
SELECT error FROM usher.login(repeat('x', 100000), repeat('y', 100000));
SELECT error FROM usher.login('my secret password', 'x');
SELECT error FROM usher.login('eve@login.example', 'wrong');
-- only the right password tells that the address is not verified
SELECT error FROM usher.login('eve@login.example', 'correct horse battery');
-- misuse is an error
SELECT usher.login(NULL, 'x');
SELECT usher.login('ann@login.example', NULL);
SELECT usher.login('ann@login.example', 'x', '[]');
SELECT usher.login('ann@login.example', 'x', jsonb_build_object('x', repeat('x', 20000)));

-- Five wrong passwords lock, also by username, whatever the outcome of the transaction's other work; a success starts
-- anew.
SELECT error FROM usher.login('ann@login.example', 'correct horse battery');
SELECT count(*) FILTER (WHERE l.error = 'invalid_credentials') AS refused
FROM generate_series(1, 4) g, LATERAL usher.login('ann@login.example', 'wrong ' || g) l;
SELECT error FROM usher.login('ann@login.example', 'correct horse battery');
SELECT error FROM usher.login('bob@login.example', 'wrong 1');
SELECT error FROM usher.login('bob@login.example', 'wrong 2');
SELECT error FROM usher.login('bob@login.example', 'wrong 3');
SELECT error FROM usher.login('bob@login.example', 'wrong 4');
SELECT error FROM usher.login('bob@login.example', 'wrong 5');
SELECT error, retry_after FROM usher.login('bob@login.example', 'correct horse battery');
RESET ROLE;
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds, lockout_count,
       reset_required
FROM usher.credentials WHERE user_id = :'bob';
SELECT (usher.get_user(:'bob')).locked_until > now() AS locked;
SELECT failed_login_attempts, spent_permits FROM usher.credentials WHERE user_id = :'ann';

-- usher.reveal_lockout tells the caller.
SET usher.reveal_lockout = on;
SELECT error, retry_after BETWEEN 1 AND 30 AS in_time FROM usher.login('bob@login.example', 'correct horse battery');
RESET usher.reveal_lockout;

-- After the lock there is one try at a time, and each failure doubles the next lock, up to an hour.
CREATE FUNCTION pg_temp.later() RETURNS void LANGUAGE sql AS $$
    UPDATE usher.credentials SET locked_until = now() - interval '1 second' WHERE locked_until IS NOT NULL $$;
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'wrong 6');
SELECT error FROM usher.login('bob@login.example', 'correct horse battery');
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds
FROM usher.credentials WHERE user_id = :'bob';
UPDATE usher.credentials SET failed_login_attempts = 98 WHERE user_id = :'bob';
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'wrong 99');
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds, reset_required
FROM usher.credentials WHERE user_id = :'bob';
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'wrong 100');
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'correct horse battery');
SELECT (usher.get_user(:'bob')).locked_until;
SELECT reset_required FROM usher.credentials WHERE user_id = :'bob';
SET ROLE regress_login_app;
SELECT usher.unlock_user(:'bob');
RESET ROLE;
-- a reset opens it, and logging in works at once
SELECT token AS reset FROM usher.create_password_reset(:'bob') \gset
BEGIN;
SELECT error FROM usher.reset_password(:'reset', 'another correct horse');
SELECT error, session_id IS NOT NULL AS session FROM usher.login('bob@login.example', 'another correct horse');
ROLLBACK;
SELECT usher.unlock_user(:'bob');
SELECT error FROM usher.login('bob@login.example', 'correct horse battery');
SELECT failed_login_attempts, spent_permits, locked_until, reset_required, lockout_count > 0 AS remembered
FROM usher.credentials WHERE user_id = :'bob';

-- A login that is rolled back has left nothing: session, refresh token and event are written in one transaction (R2-46)
SELECT count(*) AS sessions, (SELECT count(*) FROM usher.audit_logs WHERE event_type = 'login.succeeded') AS events,
       (SELECT count(*) FROM usher.login_attempts WHERE success) AS attempts FROM usher.sessions \gset before_
BEGIN;
SELECT error, refresh_token IS NOT NULL AS refresh_token FROM usher.login('bob@login.example', 'correct horse battery');
SELECT count(*) - :before_sessions AS sessions,
       (SELECT count(*) FROM usher.audit_logs WHERE event_type = 'login.succeeded') - :before_events AS events,
       (SELECT count(*) FROM usher.login_attempts WHERE success) - :before_attempts AS attempts FROM usher.sessions;
ROLLBACK;
SELECT count(*) - :before_sessions AS sessions,
       (SELECT count(*) FROM usher.audit_logs WHERE event_type = 'login.succeeded') - :before_events AS events,
       (SELECT count(*) FROM usher.login_attempts WHERE success) - :before_attempts AS attempts FROM usher.sessions;

-- The number of locks goes down by one a day, with the next success.
UPDATE usher.credentials
SET lockout_count = 5, last_lockout_at = now() - interval '49 hours', failed_login_attempts = 4 WHERE user_id = :'bob';
SELECT error FROM usher.login('bob@login.example', 'wrong');
SELECT lockout_count, lockout_count - 1 AS before_this_lock FROM usher.credentials WHERE user_id = :'bob';
SELECT usher.unlock_user(:'bob');
-- The waiting time is for administrators, not for the user whom the attempts are about.
SELECT failure_reason, retry_after > 0 AS told
FROM usher.list_login_attempts(:'bob', 1000) WHERE failure_reason = 'account_locked' LIMIT 1;
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'bob')) = :'bob' AS is_bob;
SELECT failure_reason, retry_after FROM usher.list_login_attempts() WHERE failure_reason = 'account_locked' LIMIT 1;
COMMIT;

-- Guesses in one transaction count one after the other.
BEGIN;
SELECT count(*) AS guesses FROM generate_series(1, 20) g, LATERAL usher.login('ann@login.example', 'guess ' || g) l;
COMMIT;
SELECT failed_login_attempts, spent_permits FROM usher.credentials WHERE user_id = :'ann';
SELECT failure_reason, count(*) FROM usher.login_attempts WHERE user_id = :'ann' GROUP BY 1 ORDER BY 1;
SELECT usher.unlock_user(:'ann');

-- Networks: failures with changing names lock the network, repeating one name does not. IPv6 counts by /64.
BEGIN;
SELECT usher.set_request_context('203.0.113.5', 'curl');
SELECT count(*) FROM generate_series(1, 7) g, LATERAL usher.login('nobody@login.example', 'wrong ' || g) l;
SELECT failed_login_attempts, locked_until FROM usher.network_failures WHERE network = '203.0.113.5/32';
SELECT count(*) FROM generate_series(1, 4) g, LATERAL usher.login('nobody' || g || '@login.example', 'wrong') l;
SELECT failed_login_attempts, locked_until > now() AS locked
FROM usher.network_failures WHERE network = '203.0.113.5/32';
SELECT error FROM usher.login('ann@login.example', 'correct horse battery');
SELECT usher.set_request_context('203.0.113.6', 'curl');
SELECT error FROM usher.login('ann@login.example', 'correct horse battery');
SELECT usher.set_request_context('2001:db8::1', 'curl');
SELECT count(*) FROM generate_series(1, 3) g, LATERAL usher.login('nobody' || g || '@login.example', 'wrong') l;
SELECT usher.set_request_context('2001:db8::2', 'curl');
SELECT error FROM usher.login('nobody@login.example', 'wrong');
SELECT network, failed_login_attempts FROM usher.network_failures WHERE family(network) = 6;
SELECT error FROM usher.login('ann@login.example', 'correct horse battery');
SELECT network, failed_login_attempts FROM usher.network_failures WHERE family(network) = 6;
SELECT usher.set_request_context('::ffff:198.51.100.7', 'curl');
SELECT error FROM usher.login('nobody@login.example', 'wrong');
SELECT network FROM usher.network_failures WHERE network <<= '198.51.100.0/24';
COMMIT;

-- Nothing tells over HTTP whether there is such an account, or what is the matter with it: status, headers and body
-- are the same.
SELECT user_id AS off FROM usher.register_user('off@login.example', 'correct horse battery') \gset
UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id = :'off';
SELECT usher.deactivate_user(:'off');
SELECT user_id AS locked FROM usher.register_user('locked@login.example', 'correct horse battery') \gset
UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id = :'locked';
SELECT count(error) FROM generate_series(1, 5) g, LATERAL usher.login('locked@login.example', 'wrong ' || g) l;
SET usher.network_lockout_threshold = 10000;
CREATE FUNCTION pg_temp.answer(path text, body jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, (SELECT string_agg(h::text, ' ' ORDER BY h)
                                     FROM jsonb_array_elements(r.headers) h WHERE h ->> 0 !~* '^ratelimit'), r.body)
    FROM usher.http_request('POST', path, '', '{"content-type": "application/json", "x-correlation-id": "the-same"}',
                            body::text, '198.51.100.99') r $$;
WITH answered AS MATERIALIZED (
    SELECT path, pg_temp.answer(path, body) AS answer
    FROM (VALUES ('nobody@login.example', 'x'), ('nobody', 'x'), ('ann@login.example', 'wrong'),
                 ('no-password@login.example', 'x'), ('off@login.example', 'correct horse battery'),
                 ('off@login.example', 'x'), ('locked@login.example', 'correct horse battery'),
                 ('locked@login.example', 'x'), ('eve@login.example', 'x')) AS q (name, password),
        LATERAL (VALUES ('/auth/login', jsonb_build_object('identifier', name, 'password', password)),
                        ('/auth/password/forgot', jsonb_build_object('email', name)),
                        ('/auth/verify-email/request', jsonb_build_object('email', name)),
                        ('/auth/login/code/request', jsonb_build_object('email', name)),
                        ('/auth/login/code', jsonb_build_object('email', name, 'code', '000000'))) AS r (path, body))
SELECT path, count(*) AS asked, count(DISTINCT answer) AS answers, min(left(answer, 3)) AS status
FROM answered GROUP BY path ORDER BY path;
-- what was behind it
SELECT DISTINCT failure_reason FROM usher.login_attempts WHERE client_ip = '198.51.100.99' ORDER BY 1;
RESET usher.network_lockout_threshold;
SELECT usher.unlock_user(:'ann');

-- A foreign or weaker hash is renewed by the next login.
SELECT usher.import_password_hash(:'ann', public.crypt('an old password', public.gen_salt('bf', 4)));
SELECT error FROM usher.login('ann@login.example', 'wrong');
SELECT left(password_hash, 4) AS hash FROM usher.credentials WHERE user_id = :'ann';
SELECT error FROM usher.login('ann@login.example', 'an old password');
SELECT left(password_hash, 9) AS hash FROM usher.credentials WHERE user_id = :'ann';
SELECT error FROM usher.login('ann@login.example', 'an old password');

-- … and by the other algorithm, when that is the setting.
SET usher.password_algorithm = 'bcrypt';
SET usher.bcrypt_rounds = 10;
SELECT error FROM usher.login('ann@login.example', 'an old password');
SELECT left(password_hash, 7) AS hash FROM usher.credentials WHERE user_id = :'ann';
SELECT error FROM usher.login('ann@login.example', 'an old password');
RESET usher.password_algorithm;
RESET usher.bcrypt_rounds;
-- Spelled with combining marks or without, a password is the same.
SELECT usher.set_password(:'ann', U&'Gru\0308n am Flu\00DF 47');
SELECT error FROM usher.login('ann@login.example', U&'Gr\00FCn am Flu\00DF 47');

-- Each attempt is an audit event as well.
SELECT (SELECT count(*) FROM usher.login_attempts WHERE user_id = :'ann') = (
    SELECT count(*) FROM usher.audit_logs WHERE event_type IN ('login.succeeded', 'login.failed')
        AND resource_id = :'ann')
       + 0 AS one_each;
-- Attempts are kept for usher.identity_retention days.
INSERT INTO usher.login_attempts (email, success, attempted_at)
VALUES ('old@login.example', true, now() - interval '91 days'),
       ('young@login.example', true, now() - interval '89 days');
SELECT affected FROM usher._maintain_identity(100) WHERE task = 'login_attempts_removed';
SELECT email FROM usher.login_attempts WHERE email IN ('old@login.example', 'young@login.example');

-- What is recorded: every attempt, the typed name only if it is an account's or looks like an address.
SELECT DISTINCT email, user_id IS NOT NULL AS known, success, failure_reason FROM usher.login_attempts
WHERE email LIKE '%@login.example' AND email NOT LIKE 'nobody%' OR email IN ('?', 'Ann_Login') ORDER BY 1, 2, 3, 4;
SELECT count(*) AS secrets FROM usher.login_attempts WHERE email ~ 'secret|correct';
SELECT count(*) > 0 AS audited FROM usher.audit_logs WHERE event_type = 'login.failed';
SELECT count(*) AS secrets FROM usher.audit_logs WHERE event_data::text ~ 'correct horse|argon2|urt_';

DELETE FROM usher.users WHERE email LIKE '%login.example';
DELETE FROM usher.network_failures;
DELETE FROM usher.login_attempts;
SELECT usher.revoke_access('regress_login_app');
DROP ROLE regress_login_app;

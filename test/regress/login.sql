-- Login: one answer for everything that is wrong, lockout, and what is recorded.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
TRUNCATE usher.login_attempts, usher.network_failures;
CREATE ROLE regress_login_app;
SELECT usher.grant_access('regress_login_app', 'application');
SELECT user_id AS ann FROM usher.register_user('ann@login.example', 'correct horse battery', username => 'ann_login') \gset
SELECT user_id AS bob FROM usher.register_user('bob@login.example', 'correct horse battery') \gset
SELECT user_id AS eve FROM usher.register_user('eve@login.example', 'correct horse battery') \gset
UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id IN (:'ann', :'bob');
INSERT INTO usher.users (email, status) VALUES ('no-password@login.example', 'active');
SET ROLE regress_login_app;

-- Right.
SELECT error, user_id = :'ann' AS ann, session_id IS NOT NULL AS session, access_token LIKE 'ey%.%.%' AS token, token_type, expires_in,
       refresh_token LIKE 'urt\_%' AS refresh, retry_after FROM usher.login('ann@login.example', 'correct horse battery');
SELECT error FROM usher.login('  ANN@login.example ', 'correct horse battery');
SELECT error FROM usher.login('Ann_Login', 'correct horse battery', '{"fingerprint": "f00", "name": "phone"}');

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

-- Five wrong passwords lock, also by username, whatever the outcome of the transaction's other work; a success starts anew.
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
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds, lockout_count, reset_required
FROM usher.credentials WHERE user_id = :'bob';
SELECT (usher.get_user(:'bob')).locked_until > now() AS locked;
SELECT failed_login_attempts, spent_slots FROM usher.credentials WHERE user_id = :'ann';

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
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds FROM usher.credentials WHERE user_id = :'bob';
UPDATE usher.credentials SET failed_login_attempts = 98 WHERE user_id = :'bob';
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'wrong 99');
SELECT failed_login_attempts, round(extract(epoch FROM locked_until - last_failed_login_at)) AS seconds, reset_required FROM usher.credentials WHERE user_id = :'bob';
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'wrong 100');
SELECT pg_temp.later();
SELECT error FROM usher.login('bob@login.example', 'correct horse battery');
SELECT (usher.get_user(:'bob')).locked_until;
SELECT reset_required FROM usher.credentials WHERE user_id = :'bob';
SET ROLE regress_login_app;
SELECT usher.unlock_user(:'bob');
RESET ROLE;
SELECT usher.unlock_user(:'bob');
SELECT error FROM usher.login('bob@login.example', 'correct horse battery');
SELECT failed_login_attempts, spent_slots, locked_until, reset_required, lockout_count > 0 AS remembered FROM usher.credentials WHERE user_id = :'bob';

-- Guesses in one transaction count one after the other.
BEGIN;
SELECT count(*) AS guesses FROM generate_series(1, 20) g, LATERAL usher.login('ann@login.example', 'guess ' || g) l;
COMMIT;
SELECT failed_login_attempts, spent_slots FROM usher.credentials WHERE user_id = :'ann';
SELECT failure_reason, count(*) FROM usher.login_attempts WHERE user_id = :'ann' GROUP BY 1 ORDER BY 1;
SELECT usher.unlock_user(:'ann');

-- Networks: failures with changing names lock the network, repeating one name does not. IPv6 counts by /64.
BEGIN;
SELECT usher.set_request_context('203.0.113.5', 'curl');
SELECT count(*) FROM generate_series(1, 7) g, LATERAL usher.login('nobody@login.example', 'wrong ' || g) l;
SELECT failed_login_attempts, locked_until FROM usher.network_failures WHERE network = '203.0.113.5/32';
SELECT count(*) FROM generate_series(1, 4) g, LATERAL usher.login('nobody' || g || '@login.example', 'wrong') l;
SELECT failed_login_attempts, locked_until > now() AS locked FROM usher.network_failures WHERE network = '203.0.113.5/32';
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

-- A foreign or weaker hash is renewed by the next login.
SELECT usher.import_password_hash(:'ann', public.crypt('an old password', public.gen_salt('bf', 4)));
SELECT error FROM usher.login('ann@login.example', 'wrong');
SELECT left(password_hash, 4) AS hash FROM usher.credentials WHERE user_id = :'ann';
SELECT error FROM usher.login('ann@login.example', 'an old password');
SELECT left(password_hash, 9) AS hash FROM usher.credentials WHERE user_id = :'ann';
SELECT error FROM usher.login('ann@login.example', 'an old password');

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

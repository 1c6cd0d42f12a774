-- Six-digit codes by mail: one open at a time, ten minutes, five wrong tries, once.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
CREATE ROLE regress_codes_app;
SELECT usher.grant_access('regress_codes_app', 'application');
SELECT user_id AS ann FROM usher.register_user('ann@codes.example', 'correct horse battery') \gset
SELECT user_id AS bob FROM usher.register_user('bob@codes.example', 'correct horse battery') \gset
-- What the mailer reads.
CREATE FUNCTION pg_temp.mailed(person uuid) RETURNS text LANGUAGE sql AS
    $$
        SELECT payload ->> 'code'
        FROM usher.events WHERE key = person::text AND event LIKE 'user.%\_code\_requested' ORDER BY id DESC LIMIT 1
    $$;
CREATE FUNCTION pg_temp.another(code text) RETURNS text LANGUAGE sql AS $$
    SELECT translate(code, '0123456789', '1234567890')
$$;

-- Asking says nothing, whoever is asked for.
SET ROLE regress_codes_app;
SELECT usher.request_login_code('ann@codes.example');
SELECT usher.request_login_code('nobody@codes.example');
SELECT usher.request_login_code('no address');
SELECT usher.request_login_code(NULL);
RESET ROLE;
SELECT event, payload - '{code,expires_at,user_id}'::text[] AS payload,
       payload ->> 'code' ~ '^[0-9]{6}$' AS six_digits,
       (payload ->> 'expires_at')::timestamptz - now() BETWEEN '9 min' AND '10 min' AS ten_minutes
FROM usher.events WHERE key = :'ann' AND event LIKE '%code%';
SELECT pg_temp.mailed(:'ann') AS code1 \gset
SELECT octet_length(code_hmac) AS hmac, code_hmac = sha256(convert_to(:'code1', 'UTF8')) AS plain_hash,
       octet_length(secret) AS key
FROM usher.one_time_codes, usher.server_secrets WHERE user_id = :'ann';

-- Another one ends the one before, and cuts it out of its event.
SET ROLE regress_codes_app;
SELECT usher.request_login_code('ANN@codes.example');
RESET ROLE;
SELECT pg_temp.mailed(:'ann') AS code2 \gset
SELECT payload ? 'code' AS has_code
FROM usher.events WHERE key = :'ann' AND event = 'user.login_code_requested' ORDER BY id;
SET ROLE regress_codes_app;
SELECT error FROM usher.login_with_code('ann@codes.example', CASE WHEN :'code1' = :'code2' THEN '' ELSE :'code1' END);

-- Wrong, unknown, malformed: the same answer.
SELECT * FROM usher.login_with_code('nobody@codes.example', :'code2');
SELECT * FROM usher.login_with_code('ann@codes.example', 'abcdef');
SELECT * FROM usher.login_with_code('bob@codes.example', :'code2');
SELECT error FROM usher.login_with_code('no address', :'code2');
SELECT error FROM usher.login_with_code('ann@codes.example', NULL);
-- Right: a session, of level 1, and the address is verified by it.
SELECT error, user_id = :'ann' AS is_ann, token_type, challenge, (usher.verify_token(
    access_token)).claims -> 'amr' AS amr, (usher.verify_token(access_token)).claims ->> 'acr' AS acr
FROM usher.login_with_code('ann@codes.example', ' ' || substr(:'code2', 1, 3) || ' ' || substr(:'code2', 4),
                           '{"name": "phone"}');
SELECT error FROM usher.login_with_code('ann@codes.example', :'code2'); -- once
RESET ROLE;
SELECT status, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'ann';
SELECT bool_or(payload ? 'code') AS has_code
FROM usher.events WHERE key = :'ann' AND event = 'user.login_code_requested';
SELECT failure_reason, count(*) FROM usher.login_attempts WHERE email LIKE '%codes.example' GROUP BY 1 ORDER BY 1;

-- Five wrong tries, also rolled back ones, and the right code is worth nothing.
SET ROLE regress_codes_app;
SELECT usher.request_login_code('ann@codes.example');
RESET ROLE;
SELECT pg_temp.mailed(:'ann') AS code3 \gset
SET ROLE regress_codes_app;
SELECT count(l.error) FROM generate_series(1, 2) g,
    LATERAL usher.login_with_code('ann@codes.example', pg_temp.another(:'code3') || left(g::text, 0)) l;
BEGIN; SELECT count(l.error) FROM generate_series(1, 2) g, LATERAL usher.login_with_code('ann@codes.example', pg_temp.another(:'code3') || left(g::text, 0)) l; ROLLBACK;
BEGIN; SAVEPOINT s; SELECT error FROM usher.login_with_code('ann@codes.example', pg_temp.another(:'code3')); ROLLBACK TO s;
SELECT error FROM usher.login_with_code('ann@codes.example', :'code3'); COMMIT;
SELECT error FROM usher.login_with_code('ann@codes.example', :'code3');
-- The account itself is not locked by it, and a locked password does not keep a code from working. (The password of
-- before the first code is gone: somebody else may have chosen it.)
SELECT error FROM usher.login('ann@codes.example', 'correct horse battery');
RESET ROLE;
SELECT usher.set_password(:'ann', 'correct horse battery');
SET ROLE regress_codes_app;
SELECT error FROM usher.login('ann@codes.example', 'correct horse battery');
SELECT count(error) FROM generate_series(1, 6) g, LATERAL usher.login('ann@codes.example', 'wrong ' || g) l;
SELECT error FROM usher.login('ann@codes.example', 'correct horse battery');
SELECT usher.request_login_code('ann@codes.example');
RESET ROLE;
SELECT pg_temp.mailed(:'ann') AS code4 \gset
SET ROLE regress_codes_app;
-- Four wrong ones are not five.
SELECT count(l.error) FROM generate_series(1, 4) g,
    LATERAL usher.login_with_code('ann@codes.example', pg_temp.another(:'code4') || left(g::text, 0)) l;
SELECT error FROM usher.login_with_code('ann@codes.example', :'code4');

-- Five in an hour; a code ends with its time, with the account, with the address.
SELECT usher.request_login_code('ann@codes.example');
SELECT usher.request_login_code('ann@codes.example');
RESET ROLE;
SELECT count(*) FROM usher.one_time_codes WHERE user_id = :'ann';
SELECT pg_temp.mailed(:'ann') AS code5 \gset
UPDATE usher.one_time_codes
SET expires_at = now() - interval '1 second' WHERE user_id = :'ann' AND used_at IS NULL AND ended_at IS NULL;
SELECT error FROM usher.login_with_code('ann@codes.example', :'code5');
UPDATE usher.one_time_codes SET wrong_tries = 0 WHERE user_id = :'ann';
SELECT affected FROM usher._maintain_identity(100) WHERE task = 'one_time_codes_ended';
SELECT bool_or(payload ? 'code') AS has_code
FROM usher.events WHERE key = :'ann' AND event = 'user.login_code_requested';
SELECT usher.request_login_code('bob@codes.example');
SELECT pg_temp.mailed(:'bob') AS code6 \gset
UPDATE usher.users SET email = 'robert@codes.example' WHERE id = :'bob';
SELECT error FROM usher.login_with_code('bob@codes.example', :'code6');
SELECT error FROM usher.login_with_code('robert@codes.example', :'code6');
SELECT usher.request_login_code('robert@codes.example');
SELECT pg_temp.mailed(:'bob') AS code7 \gset
SELECT usher.deactivate_user(:'bob');
SELECT error FROM usher.login_with_code('robert@codes.example', :'code7');
SELECT usher.reactivate_user(:'bob');
SELECT error FROM usher.login_with_code('robert@codes.example', :'code7');
SELECT usher.request_login_code(u.email)
FROM usher.users u WHERE status = 'deactivated' AND email LIKE '%codes.example';

-- Verification by code: only an address that is not verified, and only that.
SET ROLE regress_codes_app;
SELECT usher.request_verification_code('robert@codes.example');
SELECT usher.request_verification_code('ann@codes.example');
SELECT usher.request_verification_code('nobody@codes.example');
RESET ROLE;
SELECT u.email, c.purpose
FROM usher.one_time_codes c JOIN usher.users u ON u.id = c.user_id WHERE c.purpose = 'email_verification';
SELECT pg_temp.mailed(:'bob') AS code8 \gset
SET ROLE regress_codes_app;
SELECT error FROM usher.login_with_code('robert@codes.example', :'code8');
SELECT error, user_id FROM usher.verify_email_code('robert@codes.example', :'code8');
SELECT error, user_id FROM usher.verify_email_code('robert@codes.example', :'code8', 'short');
SELECT error, user_id FROM usher.verify_email_code('robert@codes.example', pg_temp.another(:'code8'),
                                                     'correct horse battery');
SELECT error, user_id FROM usher.verify_email_code('nobody@codes.example', :'code8', 'correct horse battery');
SELECT error, user_id = :'bob' AS is_bob
FROM usher.verify_email_code('robert@codes.example', :'code8', 'correct horse battery');
SELECT error, user_id = :'bob' AS is_bob
FROM usher.verify_email_code('robert@codes.example', :'code8', 'correct horse battery');
SELECT * FROM usher.one_time_codes;
SELECT * FROM usher.server_secrets;
RESET ROLE;
SELECT status, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'bob';

-- Wrong codes of many names lock the network.
BEGIN;
SELECT usher.set_request_context('198.51.100.7');
SELECT count(l.error)
FROM generate_series(1, 6) g, LATERAL usher.login_with_code(format('nobody%s@codes.example', g), '123456') l;
SELECT failed_login_attempts FROM usher.network_failures WHERE network = '198.51.100.7';
SELECT failure_reason, count(*) FROM usher.login_attempts WHERE client_ip = '198.51.100.7' GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- With a second factor the code is the first only.
INSERT INTO usher.second_factors (user_id, secret, confirmed_at) VALUES (:'bob', repeat('A', 27), now());
SELECT usher.request_login_code('robert@codes.example');
SELECT error, session_id, length(challenge) AS challenge
FROM usher.login_with_code('robert@codes.example', pg_temp.mailed(:'bob'));

DELETE FROM usher.users WHERE email LIKE '%codes.example';
DELETE FROM usher.network_failures WHERE network = '198.51.100.7';
SELECT usher.revoke_access('regress_codes_app');
DROP ROLE regress_codes_app;

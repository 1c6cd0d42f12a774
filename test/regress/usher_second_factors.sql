-- TOTP and recovery codes: enrolling, logging in with a second factor, levels of assurance, replay, lockout.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
SET usher.totp_window = 10; -- many steps to use, without waiting for them
CREATE ROLE regress_mfa_app;
SELECT usher.grant_access('regress_mfa_app', 'application');
CREATE SCHEMA regress_mfa AUTHORIZATION regress_mfa_app;
GRANT USAGE ON SCHEMA regress_mfa TO PUBLIC;

-- An authenticator application: RFC 6238 by pgcrypto, beside our own.
CREATE FUNCTION regress_mfa.from_base32(text) RETURNS bytea LANGUAGE sql AS $$
    SELECT decode(string_agg(lpad(to_hex(bits::bit(8)::integer), 2, '0'), '' ORDER BY n), 'hex')
    FROM (SELECT n, substr(all_bits, n * 8 + 1, 8) AS bits
          FROM (SELECT string_agg((strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', c) - 1)::bit(5)::text, ''
                                      ORDER BY i) AS all_bits
                FROM string_to_table($1, NULL) WITH ORDINALITY AS t (c, i)) b,
                generate_series(0, length(all_bits) / 8 - 1) n) bytes
$$;
CREATE FUNCTION regress_mfa.totp(secret text, step bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    mac bytea := hmac(int8send(step), regress_mfa.from_base32(secret), 'sha1');
    at integer := get_byte(mac, 19) & 15;
BEGIN
    RETURN lpad(((((get_byte(mac, at) & 127) << 24) | (
        get_byte(mac, at + 1) << 16) | (get_byte(mac, at + 2) << 8) | get_byte(mac, at + 3)) % 1000000)::text, 6, '0');
END $$;
SELECT floor(extract(epoch FROM clock_timestamp()) / 30)::bigint AS now \gset
-- Six digits that are not a code of any step that could be looked at.
CREATE FUNCTION regress_mfa.wrong(secret text, now bigint) RETURNS text LANGUAGE sql AS $$
    SELECT w FROM (SELECT lpad(n::text, 6, '0') AS w FROM generate_series(0, 100) n) x
    WHERE w NOT IN (SELECT regress_mfa.totp(secret, now + step) FROM generate_series(-30, 30) step) ORDER BY w LIMIT 1
$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_mfa TO regress_mfa_app;

SELECT user_id AS ann FROM usher.register_user('ann@mfa.example', 'correct horse battery') \gset
SELECT user_id AS bob FROM usher.register_user('bob@mfa.example', 'correct horse battery') \gset
SET ROLE regress_mfa_app;
SELECT session_id AS s1, access_token AS a1, refresh_token AS t1
FROM usher.login('ann@mfa.example', 'correct horse battery') \gset

-- The claims of a login with the password alone.
SELECT (usher.verify_token(:'a1')).claims -> 'amr' AS amr, (usher.verify_token(:'a1')).claims ->> 'acr' AS acr;

-- Enrolling needs the user, and the password.
SELECT usher.enroll_totp('correct horse battery');
BEGIN;
SELECT usher.authenticate(:'a1') IS NOT NULL AS ann;
SELECT usher.current_assurance_level();
SELECT * FROM usher.enroll_totp();
SELECT * FROM usher.enroll_totp('wrong');
SELECT error, factor_id AS f0, secret AS k0 FROM usher.enroll_totp('correct horse battery', 'old phone') \gset
SELECT error, factor_id AS f1, secret AS k1, otpauth_uri FROM usher.enroll_totp('correct horse battery', 'phone') \gset
SELECT :'f0' <> :'f1' AS another, length(:'k1') AS characters, :'otpauth_uri' = format(
    'otpauth://totp/usher:ann%%40mfa.example?secret=%s&issuer=usher&algorithm=SHA1&digits=6&period=30', :'k1') AS uri;
SELECT kind, label, status, codes_left FROM usher.list_second_factors(); -- one that is not confirmed gives way
SELECT * FROM usher.verify_second_factor('123456');
SELECT * FROM usher.regenerate_recovery_codes('123456');
COMMIT;

-- Until it is confirmed nothing is asked for. A wrong code confirms nothing.
SELECT error FROM usher.login('ann@mfa.example', 'correct horse battery');
BEGIN;
SELECT usher.authenticate(:'a1') IS NOT NULL AS ann;
SELECT error, recovery_codes FROM usher.confirm_totp(:'f1', regress_mfa.wrong(:'k1', :now));
SELECT error, recovery_codes FROM usher.confirm_totp(:'f1', 'no code at all');
SAVEPOINT s;
SELECT usher.confirm_totp('00000000-0000-0000-0000-000000000000', '123456');
ROLLBACK TO s;
SELECT error, recovery_codes AS codes, cardinality(recovery_codes) AS count
FROM usher.confirm_totp(:'f1', regress_mfa.totp(:'k1', :now - 9)) \gset
SELECT :count AS recovery_codes, (:'codes'::text[])[1] ~ '^[a-z2-7]{4}(-[a-z2-7]{4}){3}$' AS form;
SAVEPOINT s;
SELECT usher.confirm_totp(:'f1', regress_mfa.totp(:'k1', :now - 8)); -- it is
ROLLBACK TO s;
SELECT usher.current_assurance_level(); -- the session is of level 2, this token is not
SELECT kind, label, status, codes_left FROM usher.list_second_factors();
COMMIT;
SELECT refresh_token AS t2, access_token AS a2 FROM usher.refresh_session(:'t1') \gset
SELECT (usher.verify_token(:'a2')).claims -> 'amr' AS amr, (usher.verify_token(:'a2')).claims ->> 'acr' AS acr;
RESET ROLE;
-- Adding a factor has advanced the generation by 2, and what is stored is sealed or hashed.
SELECT generation, assurance_level, authentication_methods FROM usher.sessions WHERE id = :'s1';
SELECT count(*) AS plain FROM usher.recovery_codes r WHERE r::text LIKE '%' || (:'codes'::text[])[1] || '%'
    OR r.code_hash = sha256(convert_to((:'codes'::text[])[1], 'UTF8'));
SELECT last_used_step > 0 AS used, position(:'k1' IN secret) AS plain FROM usher.second_factors WHERE id = :'f1';
SET ROLE regress_mfa_app;

-- Logging in takes two steps. The challenge gives no session by itself.
SELECT error, user_id, session_id, access_token, refresh_token, length(challenge) AS challenge
FROM usher.login('ann@mfa.example', 'correct horse battery', '{"name": "tablet"}');
SELECT error, challenge FROM usher.login('ann@mfa.example', 'wrong');
SELECT challenge AS c1 FROM usher.login('ann@mfa.example', 'correct horse battery', '{"name": "tablet"}') \gset
SELECT usher.authenticate(:'c1');
SELECT error FROM usher.refresh_session(:'c1');
SELECT error, access_token FROM usher.login_second_factor(:'c1', regress_mfa.wrong(:'k1', :now));
SELECT error, access_token FROM usher.login_second_factor(:'c1', '');
SELECT error, access_token FROM usher.login_second_factor('no challenge', regress_mfa.totp(:'k1', :now - 8));
-- the step that confirmed it
SELECT error, access_token FROM usher.login_second_factor(:'c1', regress_mfa.totp(:'k1', :now - 9));
SELECT error, user_id = :'ann' AS is_ann, session_id AS s2, access_token AS a3, token_type, expires_in,
       refresh_token AS t3 FROM usher.login_second_factor(:'c1', regress_mfa.totp(:'k1', :now - 8)) \gset
SELECT (usher.verify_token(:'a3')).claims -> 'amr' AS amr, (usher.verify_token(:'a3')).claims ->> 'acr' AS acr \gset
SELECT :'is_ann' AS is_ann, :'amr' AS amr, :'acr' AS acr, :'token_type' AS token_type, :'expires_in' AS expires_in;
-- a challenge is good for one session
SELECT error FROM usher.login_second_factor(:'c1', regress_mfa.totp(:'k1', :now - 7));
BEGIN;
SELECT usher.authenticate(:'a3') = :'ann' AS ann, usher.current_assurance_level();
SELECT usher.require_assurance_level(2);
SELECT device ->> 'name' AS name, assurance_level FROM usher.list_sessions() WHERE is_current;
COMMIT;
-- Refreshing keeps the level.
SELECT access_token AS a4 FROM usher.refresh_session(:'t3') \gset
SELECT (usher.verify_token(:'a4')).claims ->> 'acr' AS acr;

-- A step is used once, whatever it was used for, and steps before it are gone with it.
SELECT challenge AS c2 FROM usher.login('ann@mfa.example', 'correct horse battery') \gset
SELECT error FROM usher.login_second_factor(:'c2', regress_mfa.totp(:'k1', :now - 8));
SELECT error FROM usher.login_second_factor(:'c2', regress_mfa.totp(:'k1', :now - 9));
-- Right codes that are no longer good are not guesses: nothing is locked.
SELECT error FROM generate_series(1, 10) g,
    LATERAL usher.login_second_factor(:'c2', regress_mfa.totp(:'k1', :now - 8) || left(g::text, 0)) l;
-- Even if the transaction that used it was rolled back.
BEGIN;
SELECT error FROM usher.login_second_factor(:'c2', regress_mfa.totp(:'k1', :now - 6));
ROLLBACK;
SELECT error FROM usher.login_second_factor(:'c2', regress_mfa.totp(:'k1', :now - 6));
SELECT error FROM usher.login_second_factor(:'c2', substr(regress_mfa.totp(:'k1', :now - 5), 1, 3) || ' '
                                                || substr(regress_mfa.totp(:'k1', :now - 5), 4));

-- Raising a session that was opened before. Where more is asked for, the error says what.
RESET ROLE;
UPDATE usher.sessions SET assurance_level = 1, authentication_methods = '{pwd}' WHERE id = :'s1';
SET ROLE regress_mfa_app;
\set VERBOSITY default
BEGIN;
-- the session counts for less than the token
SELECT usher.authenticate(:'a2') = :'ann' AS ann, usher.current_assurance_level();
SELECT usher.require_assurance_level(2);
ROLLBACK;
\set VERBOSITY sqlstate
BEGIN;
SELECT usher.authenticate(:'a2') = :'ann' AS ann;
SAVEPOINT s;
SELECT usher.require_assurance_level(3);
ROLLBACK TO s;
SELECT usher.enroll_totp('correct horse battery', 'second phone'); -- needs level 2
ROLLBACK TO s;
SELECT usher.create_api_key('sneaky', '{*:*}'); -- too
ROLLBACK TO s;
SELECT error, access_token FROM usher.verify_second_factor(regress_mfa.wrong(:'k1', :now));
SELECT error, access_token AS a5, token_type, expires_in
FROM usher.verify_second_factor(regress_mfa.totp(:'k1', :now - 4)) \gset
SELECT usher.authenticate(:'a5') = :'ann' AS ann, usher.current_assurance_level();
SELECT error, factor_id AS f2, secret AS k2 FROM usher.enroll_totp('correct horse battery', 'second phone') \gset
-- the codes that there are stay good
SELECT error, recovery_codes FROM usher.confirm_totp(:'f2', regress_mfa.totp(:'k2', :now + 0));
COMMIT;
SELECT usher.current_assurance_level();
SELECT usher.require_assurance_level(1);

-- Recovery codes: each once, in any spelling; for six digits they do not stand.
SELECT challenge AS c3 FROM usher.login('ann@mfa.example', 'correct horse battery') \gset
SELECT error FROM usher.login_second_factor(:'c3', 'aaaa-aaaa-aaaa-aaaa');
SELECT error, (usher.verify_token(access_token)).claims -> 'amr' AS amr
FROM usher.login_second_factor(:'c3', upper(replace((:'codes'::text[])[1], '-', ' ')));
SELECT challenge AS c4 FROM usher.login('ann@mfa.example', 'correct horse battery') \gset
SELECT error FROM usher.login_second_factor(:'c4', (:'codes'::text[])[1]);
BEGIN;
SELECT usher.authenticate(:'a5') = :'ann' AS ann;
SELECT codes_left FROM usher.list_second_factors() WHERE kind = 'recovery_codes';
SELECT error FROM usher.regenerate_recovery_codes(regress_mfa.wrong(:'k1', :now));
SELECT error, recovery_codes AS new_codes FROM usher.regenerate_recovery_codes((:'codes'::text[])[2]) \gset
SELECT codes_left FROM usher.list_second_factors() WHERE kind = 'recovery_codes';
COMMIT;
SELECT error FROM usher.login_second_factor(:'c4', (:'codes'::text[])[3]); -- replaced
SELECT error FROM usher.login_second_factor(:'c4', (:'new_codes'::text[])[3]);

-- A challenge ends with its time, and with the password.
SELECT challenge AS c5 FROM usher.login('ann@mfa.example', 'correct horse battery') \gset
RESET ROLE;
UPDATE usher.login_challenges
SET expires_at = now() - interval '1 second' WHERE token_hash = sha256(convert_to(:'c5', 'UTF8'));
SET ROLE regress_mfa_app;
SELECT error FROM usher.login_second_factor(:'c5', regress_mfa.totp(:'k1', :now + 5));
SELECT challenge AS c6 FROM usher.login('ann@mfa.example', 'correct horse battery') \gset
RESET ROLE;
SELECT usher.set_password(:'ann', 'another good password');
SET ROLE regress_mfa_app;
SELECT error FROM usher.login_second_factor(:'c6', regress_mfa.totp(:'k1', :now + 5));

-- Wrong codes lock, and the right password in between does not start the count anew. While locked a right code is
-- refused.
SELECT challenge AS c7 FROM usher.login('ann@mfa.example', 'another good password') \gset
SELECT error FROM usher.login_second_factor(:'c7', regress_mfa.wrong(:'k1', :now));
SELECT error FROM usher.login_second_factor(:'c7', regress_mfa.wrong(:'k1', :now));
SELECT error FROM usher.login('ann@mfa.example', 'another good password');
SELECT error FROM usher.login_second_factor(:'c7', regress_mfa.wrong(:'k1', :now));
SELECT error FROM usher.login_second_factor(:'c7', 'aaaa-aaaa-aaaa-aaaa');
BEGIN; SELECT error FROM usher.login_second_factor(:'c7', regress_mfa.wrong(:'k1', :now)); ROLLBACK; -- counts as well
SELECT error FROM usher.login_second_factor(:'c7', regress_mfa.totp(:'k1', :now + 6));
SELECT error FROM usher.login('ann@mfa.example', 'another good password');
RESET ROLE;
SELECT failure_reason, count(*) FROM usher.login_attempts WHERE user_id = :'ann' AND NOT success GROUP BY 1 ORDER BY 1;
SET usher.reveal_lockout = on;
SELECT error, retry_after BETWEEN 1 AND 30 AS retry_after
FROM usher.login_second_factor(:'c7', regress_mfa.totp(:'k1', :now + 6));
RESET usher.reveal_lockout;
SELECT usher.unlock_user(:'ann');
SELECT error, access_token AS a6, refresh_token AS t6, session_id AS s6
FROM usher.login_second_factor(:'c7', regress_mfa.totp(:'k1', :now + 6)) \gset

-- Removing: with a code; the last one takes the recovery codes with it, and sessions are of level 1 again.
SET ROLE regress_mfa_app;
BEGIN;
SELECT usher.authenticate(:'a6') = :'ann' AS ann;
SELECT error FROM usher.remove_second_factor(:'f2', regress_mfa.wrong(:'k1', :now));
SELECT error FROM usher.remove_second_factor(:'f2');
SELECT error FROM usher.remove_second_factor(:'f2', regress_mfa.totp(:'k2', :now + 1));
SELECT usher.current_assurance_level();
SELECT error FROM usher.remove_second_factor(:'f1', (:'new_codes'::text[])[4]);
SELECT usher.current_assurance_level();
SELECT * FROM usher.list_second_factors();
SAVEPOINT s;
SELECT usher.remove_second_factor(:'f1', '123456');
ROLLBACK TO s;
COMMIT;
SELECT error FROM usher.login('ann@mfa.example', 'another good password');
RESET ROLE;
SELECT generation_step FROM usher.sessions WHERE id = :'s6';
SET ROLE regress_mfa_app;
SELECT (usher.verify_token(access_token)).claims ->> 'acr' AS acr,
       (usher.verify_token(access_token)).claims -> 'amr' AS amr FROM usher.refresh_session(:'t6');
RESET ROLE;
SELECT generation FROM usher.sessions WHERE id = :'s6';

-- Somebody else's factors are nobody's business; an administrator can take them away.
SET ROLE regress_mfa_app;
SELECT access_token AS b1 FROM usher.login('bob@mfa.example', 'correct horse battery') \gset
BEGIN;
SELECT usher.authenticate(:'b1') = :'bob' AS bob;
SELECT factor_id AS fb, secret AS kb FROM usher.enroll_totp('correct horse battery') \gset
SELECT error FROM usher.confirm_totp(:'fb', regress_mfa.totp(:'kb', :now));
SAVEPOINT s;
SELECT usher.confirm_totp(:'f1', '123456');
ROLLBACK TO s;
SELECT * FROM usher.list_second_factors(:'ann');
ROLLBACK TO s;
SELECT usher.reset_second_factors(:'ann');
ROLLBACK TO s;
COMMIT;
SELECT usher.reset_second_factors(:'bob');
SELECT * FROM usher.second_factors;
RESET ROLE;
SELECT usher.reset_second_factors(:'bob');
SELECT error FROM usher.login('bob@mfa.example', 'correct horse battery');
SELECT event, payload - 'user_id' AS payload
FROM usher.events WHERE key IN (:'ann', :'bob') AND event LIKE 'user.second%' ORDER BY id;

-- At most five, and what was never confirmed goes after a day.
SELECT access_token AS b2 FROM usher.login('bob@mfa.example', 'correct horse battery') \gset
BEGIN;
SELECT usher.authenticate(:'b2') = :'bob' AS bob;
SELECT factor_id AS fb, secret AS kb FROM usher.enroll_totp('correct horse battery') \gset
SELECT error FROM usher.confirm_totp(:'fb', regress_mfa.totp(:'kb', :now));
SELECT access_token AS b3 FROM usher.verify_second_factor(regress_mfa.totp(:'kb', :now + 1)) \gset
INSERT INTO usher.second_factors (user_id, secret, confirmed_at)
SELECT :'bob', repeat('A', 27), now() FROM generate_series(1, 4);
SELECT usher.authenticate(:'b3') = :'bob' AS bob;
SELECT error, secret FROM usher.enroll_totp('correct horse battery');
COMMIT;
UPDATE usher.second_factors SET confirmed_at = NULL, created_at = now() - interval '2 days' WHERE user_id = :'bob';
SELECT affected FROM usher._maintain_identity(100) WHERE task = 'pending_second_factors_removed';

-- What a caller claims is not what counts.
SELECT usher.issue_token(:'ann', '{"acr": "aal2"}');
SELECT usher.issue_token(:'ann', '{"amr": ["mfa"]}');
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'ann')) = :'ann' AS ann, usher.current_assurance_level();
SAVEPOINT s;
SELECT usher.verify_second_factor('123456'); -- there is no session to raise
ROLLBACK TO s;
COMMIT;

-- Over HTTP: the challenge is among the details of the problem, and what asks for more says so as RFC 9470 wants it.
SELECT user_id AS eve FROM usher.register_user('eve@mfa.example', 'correct horse battery') \gset
CREATE FUNCTION regress_mfa.http(method text, path text, body jsonb, token text DEFAULT NULL)
RETURNS TABLE (status integer, answer jsonb, challenge text) LANGUAGE sql AS $$
    SELECT r.status, nullif(r.body, '')::jsonb,
           (SELECT h ->> 1 FROM jsonb_array_elements(r.headers) h WHERE lower(h ->> 0) = 'www-authenticate')
    FROM usher.http_request(method, path, '', jsonb_strip_nulls(jsonb_build_object(
        'content-type', 'application/json', 'authorization', 'Bearer ' || token)), body::text, '203.0.113.5') r
$$;
CREATE FUNCTION regress_mfa.pay() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.require_assurance_level(2);
    RETURN '{"paid": true}';
END
$$;
SELECT usher.add_route('POST', '/regress/pay', 'regress_mfa.pay()') IS NOT NULL AS route;
SELECT answer ->> 'access_token' AS e1
FROM regress_mfa.http('POST', '/auth/login',
                      '{"identifier": "eve@mfa.example", "password": "correct horse battery"}') \gset
SELECT status, answer ->> 'factor_id' AS fe, answer ->> 'secret' AS ke
FROM regress_mfa.http('POST', '/auth/second-factors/totp',
                      '{"current_password": "correct horse battery", "label": "phone"}', :'e1') \gset
SELECT :status AS status;
SELECT status, jsonb_array_length(answer -> 'recovery_codes') AS recovery_codes
FROM regress_mfa.http('POST', '/auth/second-factors/' || :'fe' || '/confirm',
                      jsonb_build_object('code', regress_mfa.totp(:'ke', :now - 9)), :'e1');
SELECT status, answer ->> 'code' AS code, challenge FROM regress_mfa.http('POST', '/regress/pay', '{}', :'e1');
SELECT status, answer ->> 'code' AS code, answer #>> '{details,challenge}' AS ce
FROM regress_mfa.http('POST', '/auth/login',
                      '{"identifier": "eve@mfa.example", "password": "correct horse battery"}') \gset
SELECT :status AS status, :'code' AS code, length(:'ce') AS challenge;
SELECT status, answer ->> 'code' AS code
FROM regress_mfa.http('POST', '/auth/login/second-factor',
                      jsonb_build_object('challenge', :'ce', 'code', regress_mfa.wrong(:'ke', :now)));
SELECT status, answer ->> 'access_token' AS e2
FROM regress_mfa.http('POST', '/auth/login/second-factor',
                      jsonb_build_object('challenge', :'ce', 'code', regress_mfa.totp(:'ke', :now - 8))) \gset
SELECT :status AS status;
SELECT status, answer, challenge FROM regress_mfa.http('POST', '/regress/pay', '{}', :'e2');
SELECT status, answer ->> 'code' AS code FROM regress_mfa.http(
    'POST', '/auth/second-factors/verify', jsonb_build_object('code', regress_mfa.totp(:'ke', :now - 8)), :'e1');
SELECT status, answer ? 'access_token' AS token FROM regress_mfa.http(
    'POST', '/auth/second-factors/verify', jsonb_build_object('code', regress_mfa.totp(:'ke', :now - 7)), :'e1');
SELECT status, jsonb_array_length(answer -> 'recovery_codes') AS recovery_codes
FROM regress_mfa.http('POST', '/auth/second-factors/recovery-codes',
                      jsonb_build_object('code', regress_mfa.totp(:'ke', :now - 6)), :'e2');
SELECT status FROM regress_mfa.http('POST', '/auth/second-factors/' || :'fe' || '/remove',
                                    jsonb_build_object('code', regress_mfa.totp(:'ke', :now - 5)), :'e2');
SELECT status, answer FROM regress_mfa.http('GET', '/auth/second-factors', NULL, :'e2');
SELECT status, answer FROM regress_mfa.http('POST', '/auth/login/code/request', '{"email": "nobody@mfa.example"}');
SELECT usher.remove_route('POST', '/regress/pay');

-- A change of roles is a change of privileges: it skips a generation like a change of factors.
SELECT usher.create_role('regress_mfa_role', 'role') IS NOT NULL AS role;
SELECT session_id AS s9, refresh_token AS r1 FROM usher.login('eve@mfa.example', 'correct horse battery') \gset
SELECT refresh_token AS r2 FROM usher.refresh_session(:'r1') \gset
SELECT usher.grant_role(:'eve', 'regress_mfa_role') IS NOT NULL AS granted;
SELECT error, refresh_token AS r3 FROM usher.refresh_session(:'r2') \gset
SELECT generation FROM usher.sessions WHERE id = :'s9';
SELECT error FROM usher.refresh_session(:'r2'); -- no grace: it is not the parent
SELECT usher.revoke_role(:'eve', 'regress_mfa_role');
SELECT usher.drop_role('regress_mfa_role');

DROP SCHEMA regress_mfa CASCADE;
DELETE FROM usher.users WHERE email LIKE '%mfa.example';
DELETE FROM usher.network_failures WHERE network = '203.0.113.5';
SELECT count(*) FROM usher.second_factors;
SELECT usher.revoke_access('regress_mfa_app');
DROP ROLE regress_mfa_app;

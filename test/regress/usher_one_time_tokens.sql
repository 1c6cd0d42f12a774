-- One-time tokens: verification, reset, change of address; what the outbox carries and for how long.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
CREATE ROLE regress_tokens_app;
SELECT usher.grant_access('regress_tokens_app', 'application');
CREATE FUNCTION pg_temp.mailed(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT e.payload ->> 'token' FROM usher.events e
    WHERE e.event = wanted AND e.payload ->> 'email' ILIKE '%tokens.example' ORDER BY e.id DESC LIMIT 1 $$;
SELECT user_id AS ann FROM usher.register_user('ann@tokens.example', 'correct horse battery') \gset
SELECT user_id AS bob FROM usher.register_user('bob@tokens.example', 'correct horse battery') \gset

-- Verification. Only the hash is stored; asking again ends the token before; each works once.
SELECT payload ->> 'token' AS first
FROM usher.events WHERE key = :'ann' AND event = 'user.email_verification_requested' \gset
SELECT count(*) AS plain FROM usher.one_time_tokens t WHERE t::text LIKE '%' || :'first' || '%';
SET ROLE regress_tokens_app;
SELECT usher.request_email_verification('ANN@tokens.example');
RESET ROLE;
SELECT payload ? 'token' AS has_token
FROM usher.events WHERE key = :'ann' AND event = 'user.email_verification_requested' ORDER BY id;
SELECT pg_temp.mailed('user.email_verification_requested') AS second \gset
SET ROLE regress_tokens_app;
SELECT error, user_id FROM usher.verify_email(:'first');
SELECT error, user_id FROM usher.verify_email('');
SELECT error, user_id FROM usher.verify_email(repeat('x', 1000000));
SELECT error, user_id FROM usher.reset_password(:'second', 'correct horse battery');
SELECT error, user_id FROM usher.verify_email(:'second');
SELECT error, user_id = :'ann' AS ann FROM usher.verify_email(:'second', 'correct horse battery');
SELECT error, user_id FROM usher.verify_email(:'second', 'correct horse battery');
SELECT usher.verify_email(NULL);
RESET ROLE;
SELECT status, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'ann';
SELECT count(*) AS tokens_left FROM usher.events WHERE key = :'ann' AND payload ? 'token';
SELECT event FROM usher.events WHERE key = :'ann' ORDER BY id DESC LIMIT 1;
-- a verified account gets no other one, an unknown address nothing, and nobody can tell
SELECT usher.request_email_verification('ann@tokens.example');
SELECT usher.request_email_verification('nobody@tokens.example');
SELECT usher.request_email_verification('');
SELECT count(*) FROM usher.one_time_tokens WHERE user_id = :'ann' AND used_at IS NULL AND ended_at IS NULL;

-- Expired.
SELECT token AS expired FROM usher.create_email_verification(:'bob') \gset
UPDATE usher.one_time_tokens SET expires_at = now() - interval '1 second' WHERE user_id = :'bob' AND ended_at IS NULL;
SELECT error FROM usher.verify_email(:'expired');
SELECT m.affected >= 1 AS ended FROM usher._maintain_identity(100) m WHERE m.task = 'one_time_tokens_ended';
SELECT error FROM usher.verify_email(:'expired');
-- the address changed since: the token proves the old one
SELECT token AS outdated FROM usher.create_email_verification(:'bob') \gset
SELECT token AS outdated_reset FROM usher.create_password_reset(:'bob') \gset
UPDATE usher.users SET email = 'robert@tokens.example' WHERE id = :'bob';
SELECT error FROM usher.verify_email(:'outdated');
SELECT error FROM usher.reset_password(:'outdated_reset', 'a new and better one');

-- Reset: works while locked, opens the lock, ends sessions and other tokens; a refused password costs nothing.
SELECT session_id AS s1, refresh_token AS t1 FROM usher.login('ann@tokens.example', 'correct horse battery') \gset
SELECT count(*) FROM generate_series(1, 6) g, LATERAL usher.login('ann@tokens.example', 'wrong ' || g) l;
SET ROLE regress_tokens_app;
SELECT usher.request_password_reset('ann@tokens.example');
SELECT usher.request_password_reset('nobody@tokens.example');
SELECT usher.request_password_reset('not an address');
SELECT usher.request_password_reset(NULL);
RESET ROLE;
SELECT pg_temp.mailed('user.password_reset_requested') AS reset \gset
SELECT count(*) AS events
FROM usher.events WHERE event = 'user.password_reset_requested' AND payload ->> 'email' LIKE '%tokens.example';
SET ROLE regress_tokens_app;
SELECT error FROM usher.refresh_session(:'t1');
SELECT error FROM usher.login('ann@tokens.example', 'correct horse battery');
SELECT error, user_id FROM usher.reset_password(:'reset', 'short');
SELECT error, user_id FROM usher.reset_password(:'reset', 'ann@tokens.example');
SELECT error, user_id FROM usher.reset_password('nonsense', 'a new and better one');
SELECT error, user_id = :'ann' AS ann FROM usher.reset_password(:'reset', 'a new and better one');
SELECT error, user_id FROM usher.reset_password(:'reset', 'a third and better one');
SELECT error FROM usher.login('ann@tokens.example', 'correct horse battery');
SELECT error FROM usher.login('ann@tokens.example', 'a new and better one');
RESET ROLE;
SELECT status, revoked_reason FROM usher.sessions WHERE id = :'s1';
SELECT token AS reset FROM usher.create_password_reset(:'ann') \gset
SELECT usher.set_password(:'ann', 'set by somebody else');
SELECT error FROM usher.reset_password(:'reset', 'a new and better one');
-- a reset by a mailed token proves the address as well, one by a token that was handed out does not
SELECT token AS reset FROM usher.create_password_reset(:'bob') \gset
SELECT error FROM usher.reset_password(:'reset', 'a new and better one');
SELECT status, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'bob';
SELECT usher.request_password_reset('robert@tokens.example');
SELECT pg_temp.mailed('user.password_reset_requested') AS reset \gset
SELECT error FROM usher.reset_password(:'reset', 'a newer and better one');
SELECT status, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'bob';
SELECT usher.create_password_reset('00000000-0000-0000-0000-000000000000');
-- deactivated: like unknown
SELECT token AS reset FROM usher.create_password_reset(:'bob') \gset
SELECT usher.deactivate_user(:'bob');
SELECT error FROM usher.reset_password(:'reset', 'a new and better one');
SELECT usher.request_password_reset('robert@tokens.example');
SELECT usher.create_password_reset(:'bob');
SELECT count(*) FROM usher.one_time_tokens WHERE user_id = :'bob' AND used_at IS NULL AND ended_at IS NULL;
SELECT usher.reactivate_user(:'bob');

-- Whoever is asked for, it takes at least 20 ms: what is done for an address that exists is done within them.
CREATE FUNCTION pg_temp.took(statement text) RETURNS interval LANGUAGE plpgsql AS $$
DECLARE began timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN clock_timestamp() - began;
END $$;
SELECT f AS function, bool_and(pg_temp.took(format('SELECT usher.%I(%L)', f, address)) >= '20 ms') AS long_enough
FROM unnest(ARRAY['request_password_reset', 'request_email_verification', 'request_login_code',
                  'request_verification_code']) AS f,
    unnest(ARRAY['ann@tokens.example', 'nobody@tokens.example', 'not an address', '']) AS address
GROUP BY f ORDER BY f;
DELETE FROM usher.one_time_tokens WHERE user_id = :'ann';

-- Where it was asked for.
BEGIN;
SELECT usher.set_request_context('203.0.113.44', 'browser', 'request-7');
SELECT token IS NOT NULL AS made FROM usher.create_password_reset(:'ann');
SELECT client_ip, user_agent, security_context, octet_length(token_hash) AS hash, used_at,
       expires_at - created_at BETWEEN '59 min' AND '61 min' AS an_hour
FROM usher.one_time_tokens
WHERE user_id = :'ann' AND purpose = 'password_reset' AND ended_at IS NULL AND used_at IS NULL;
COMMIT;

-- At most so many in an hour.
SET usher.one_time_tokens_per_hour = 3;
DELETE FROM usher.one_time_tokens WHERE user_id = :'ann';
SELECT count(usher.request_password_reset('ann@tokens.example')) FROM generate_series(1, 5);
SELECT count(*) FROM usher.one_time_tokens WHERE user_id = :'ann';

-- Change of address: confirmed on the new one.
SELECT usher.issue_token(:'ann') AS ann_token \gset
SET ROLE regress_tokens_app;
SELECT usher.request_email_change('new@tokens.example', 'set by somebody else');
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT usher.request_email_change('nonsense', 'set by somebody else');
SELECT usher.request_email_change('new@tokens.example', 'wrong');
SELECT usher.request_email_change('robert@tokens.example', 'set by somebody else');
SELECT usher.request_email_change('new@tokens.example', 'set by somebody else');
SELECT email FROM usher.get_me();
COMMIT;
RESET ROLE;
SELECT count(*) AS events FROM usher.events WHERE event = 'user.email_change_requested' AND key = :'ann';
SELECT pg_temp.mailed('user.email_change_requested') AS change \gset
SELECT error FROM usher.verify_email(:'change');
SELECT error FROM usher.verify_email(:'change', 'wrong');
UPDATE usher.users SET email = 'new@tokens.example' WHERE id = :'bob';
SELECT error FROM usher.verify_email(:'change', 'set by somebody else');
UPDATE usher.users SET email = 'robert@tokens.example' WHERE id = :'bob';
SELECT error FROM usher.verify_email(:'change', 'set by somebody else');
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT usher.request_email_change('new@tokens.example', 'set by somebody else');
COMMIT;
SELECT pg_temp.mailed('user.email_change_requested') AS change \gset
SELECT error FROM usher.verify_email(:'change', 'set by somebody else');
SELECT email, email_verified_at IS NOT NULL AS verified FROM usher.users WHERE id = :'ann';
SELECT payload - 'user_id' AS payload FROM usher.events WHERE event = 'user.email_changed' AND key = :'ann';
SELECT count(*) AS secrets
FROM usher.audit_logs a, (VALUES (:'change'), (:'reset')) v (token) WHERE a::text LIKE '%' || v.token || '%';

DELETE FROM usher.users WHERE email LIKE '%tokens.example';
SELECT usher.revoke_access('regress_tokens_app');
DROP ROLE regress_tokens_app;

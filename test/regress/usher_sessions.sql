-- Sessions: refresh rotation and its three modes, ending sessions, limits. One backend; the specs try it with several.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE ROLE regress_sessions_app;
SELECT usher.grant_access('regress_sessions_app', 'application');
SELECT user_id AS ann FROM usher.register_user('ann@sessions.example', 'correct horse battery') \gset
SELECT user_id AS bob FROM usher.register_user('bob@sessions.example', 'correct horse battery') \gset
SET ROLE regress_sessions_app;

BEGIN;
SELECT usher.set_request_context('203.0.113.9', 'phone');
SELECT session_id AS s0, refresh_token AS t0
FROM usher.login('ann@sessions.example', 'correct horse battery',
                 '{"name": "tablet", "fingerprint": "f01", "security_context": {"risk": "low"}}') \gset
COMMIT;
RESET ROLE;
SELECT client_ip, user_agent, device, fingerprint, security_context, status, created_at = last_activity_at AS new
FROM usher.sessions WHERE id = :'s0';
BEGIN;
SELECT usher.set_request_context('203.0.113.10', 'tablet');
SELECT error FROM usher.refresh_session(:'t0');
SELECT client_ip, user_agent, last_activity_at > created_at AS active FROM usher.sessions WHERE id = :'s0';
SELECT event_type, event_data - 'session_id' AS event_data, client_ip
FROM usher.audit_logs WHERE event_data ->> 'session_id' = :'s0' ORDER BY id;
COMMIT;
SET ROLE regress_sessions_app;
SELECT session_id AS s1, refresh_token AS t1, access_token AS a1
FROM usher.login('ann@sessions.example', 'correct horse battery', '{"name": "phone", "fingerprint": "f00"}') \gset

-- Each refresh gives a new pair; the parent gets the same successor again for a moment (grace).
SELECT refresh_token AS t2, access_token AS a2 FROM usher.refresh_session(:'t1') \gset
SELECT :'t1' <> :'t2' AS rotated, :'a1' <> :'a2' AS new_access_token;
SELECT error, user_id = :'ann' AS ann, session_id = :'s1' AS same_session, refresh_token = :'t2' AS same_successor,
       token_type, expires_in
FROM usher.refresh_session(:'t1');
SELECT refresh_token AS t3 FROM usher.refresh_session(:'t2') \gset
RESET ROLE;
SELECT generation, octet_length(refresh_token_hash) AS hash, status, fingerprint,
       expires_at < absolute_expires_at AS idle_first FROM usher.sessions WHERE id = :'s1';
SELECT count(*) AS plain FROM usher.sessions s WHERE s::text LIKE '%' || substr(:'t3', 5, 20) || '%';
SET ROLE regress_sessions_app;

-- What is no token of ours ends nothing.
SELECT error FROM usher.refresh_session('');
SELECT error FROM usher.refresh_session('urt_xyz');
SELECT error FROM usher.refresh_session(repeat('x', 1000000));
SELECT error FROM usher.refresh_session(left(:'t3', -1) || CASE right(:'t3', 1) WHEN 'A' THEN 'Q' ELSE 'A' END);
SELECT error FROM usher.refresh_session(:'a1');
SELECT usher.refresh_session(NULL);
SELECT error, refresh_token <> :'t3' AS rotated, refresh_token AS t4 FROM usher.refresh_session(:'t3') \gset
SELECT :'rotated' AS still_good;

-- Two generations old: the session ends, at once.
SELECT r.* FROM usher.refresh_session(:'t2') r;
SELECT error FROM usher.refresh_session(:'t4');
BEGIN; SELECT usher.authenticate(:'a2'); ROLLBACK;
RESET ROLE;
SELECT status, revoked_reason FROM usher.sessions WHERE id = :'s1';
SELECT severity, result FROM usher.audit_logs WHERE event_type = 'session.refresh_reused' AND resource_id = :'ann';

-- strict: the parent too.
SET usher.refresh_reuse = strict;
SELECT refresh_token AS t1 FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
SELECT refresh_token AS t2 FROM usher.refresh_session(:'t1') \gset
SELECT error FROM usher.refresh_session(:'t1');
SELECT error FROM usher.refresh_session(:'t2');
-- lenient: the parent whenever it comes, but not the one before it.
SET usher.refresh_reuse = lenient;
SELECT session_id AS s1, refresh_token AS t1 FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
SELECT refresh_token AS t2 FROM usher.refresh_session(:'t1') \gset
UPDATE usher.sessions SET refreshed_at = now() - interval '1 day' WHERE id = :'s1';
SELECT error, refresh_token = :'t2' AS same_successor FROM usher.refresh_session(:'t1');
-- grace: the moment is over.
SET usher.refresh_reuse = grace;
SELECT error FROM usher.refresh_session(:'t1');

-- Expiry: idle and absolute.
SELECT session_id AS s1, refresh_token AS t1, access_token AS a1
FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
UPDATE usher.sessions SET expires_at = now() - interval '1 second' WHERE id = :'s1';
BEGIN; SELECT usher.authenticate(:'a1'); ROLLBACK;
SELECT error FROM usher.refresh_session(:'t1');
SELECT error FROM usher.refresh_session(:'t1');
SELECT status FROM usher.sessions WHERE id = :'s1';
SELECT session_id AS s1, refresh_token AS t1 FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
UPDATE usher.sessions
SET absolute_expires_at = now() + interval '1 hour', expires_at = now() + interval '1 minute' WHERE id = :'s1';
SELECT error FROM usher.refresh_session(:'t1');
SELECT expires_at = absolute_expires_at AS not_beyond FROM usher.sessions WHERE id = :'s1';

-- The limits themselves: idle counts from the last refresh, absolute from the login.
SET usher.session_idle_timeout = '10 min';
SET usher.session_absolute_timeout = '15 min';
SELECT session_id AS s1, refresh_token AS t1 FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
SELECT expires_at - created_at AS idle, absolute_expires_at - created_at AS absolute
FROM usher.sessions WHERE id = :'s1';
UPDATE usher.sessions SET created_at = created_at - interval '4 min', expires_at = expires_at - interval '4 min',
    absolute_expires_at = absolute_expires_at - interval '4 min' WHERE id = :'s1';
SELECT error, refresh_token AS t2 FROM usher.refresh_session(:'t1') \gset
SELECT expires_at - last_activity_at AS idle_again FROM usher.sessions WHERE id = :'s1';
UPDATE usher.sessions SET created_at = created_at - interval '4 min', expires_at = expires_at - interval '4 min',
    absolute_expires_at = absolute_expires_at - interval '4 min' WHERE id = :'s1';
SELECT error, refresh_token AS t3 FROM usher.refresh_session(:'t2') \gset
SELECT expires_at = absolute_expires_at AS cut, absolute_expires_at - created_at AS absolute
FROM usher.sessions WHERE id = :'s1';
RESET usher.session_idle_timeout;
RESET usher.session_absolute_timeout;

-- A token two generations old ends the session in every mode.
CREATE FUNCTION pg_temp.replay_grandparent(mode text)
    RETURNS TABLE (replay text, current_token text, reason text) LANGUAGE plpgsql AS $$
DECLARE first text; last text; session uuid;
BEGIN
    PERFORM set_config('usher.refresh_reuse', mode, true);
    SELECT l.refresh_token, l.session_id INTO first, session
    FROM usher.login('ann@sessions.example', 'correct horse battery') l;
    SELECT r.refresh_token INTO last FROM usher.refresh_session(first) r;
    SELECT r.refresh_token INTO last FROM usher.refresh_session(last) r;
    replay := (usher.refresh_session(first)).error;
    current_token := (usher.refresh_session(last)).error;
    reason := (SELECT s.revoked_reason FROM usher.sessions s WHERE s.id = session);
    RETURN NEXT;
END $$;
SELECT mode, r.* FROM unnest(ARRAY['strict', 'grace', 'lenient']) AS mode, LATERAL pg_temp.replay_grandparent(mode) r;

-- The user's own view, and ending sessions. An access token fails at the next statement.
SELECT usher.logout_all(:'ann') > 0 AS ended;
SET ROLE regress_sessions_app;
SELECT session_id AS s1, access_token AS a1, refresh_token AS t1
FROM usher.login('ann@sessions.example', 'correct horse battery', '{"name": "one"}') \gset
SELECT session_id AS s2, access_token AS a2
FROM usher.login('ann@sessions.example', 'correct horse battery', '{"name": "two"}') \gset
SELECT session_id AS s3, access_token AS a3
FROM usher.login('ann@sessions.example', 'correct horse battery', '{"name": "three"}') \gset
SELECT session_id AS b1, access_token AS ba FROM usher.login('bob@sessions.example', 'correct horse battery') \gset
BEGIN;
SELECT usher.authenticate(:'a1') = :'ann' AS is_ann;
SELECT device ->> 'name' AS name, is_current FROM usher.list_sessions() WHERE status = 'active' ORDER BY created_at;
SELECT usher.revoke_session(:'s2');
SELECT usher.revoke_session(:'s2');
SAVEPOINT s;
SELECT usher.revoke_session(:'b1');
ROLLBACK TO s;
SELECT usher.revoke_session('00000000-0000-0000-0000-000000000000');
ROLLBACK TO s;
SELECT * FROM usher.list_sessions(:'bob');
ROLLBACK TO s;
SELECT usher.logout_all(:'bob');
ROLLBACK TO s;
SELECT usher.logout_all(except_session => :'s1');
SELECT device ->> 'name' AS name FROM usher.list_sessions() WHERE status = 'active';
SELECT usher.logout();
SELECT usher.current_user_id() IS NULL AS gone_at_once;
COMMIT;
BEGIN; SELECT usher.authenticate(:'a1'); ROLLBACK;
BEGIN; SELECT usher.authenticate(:'a3'); ROLLBACK;
SELECT error FROM usher.refresh_session(:'t1');
SELECT usher.logout();
SELECT usher.logout(:'b1');
SELECT * FROM usher.list_sessions();
SELECT * FROM usher.list_sessions(:'ann');
RESET ROLE;
SELECT DISTINCT revoked_reason FROM usher.sessions WHERE user_id = :'ann' AND status = 'revoked' ORDER BY 1;
SELECT usher.revoke_session(:'b1');
SELECT status, revoked_reason FROM usher.sessions WHERE id = :'b1';

-- A limit of sessions ends the oldest.
SET usher.max_sessions_per_user = 2;
SELECT count(*) AS logins FROM generate_series(1, 4) g,
    LATERAL usher.login('bob@sessions.example', 'correct horse battery', jsonb_build_object('n', g)) l
WHERE l.error IS NULL;
SELECT revoked_reason, count(*) FROM usher.sessions WHERE user_id = :'bob' GROUP BY 1 ORDER BY 1;
SELECT device ->> 'n' AS newest_stay FROM usher.sessions WHERE user_id = :'bob' AND status = 'active' ORDER BY 1;
RESET usher.max_sessions_per_user;

-- A change of password ends all other sessions, and no token of before is the parent of the next one.
SELECT usher.logout_all(:'ann');
SET ROLE regress_sessions_app;
SELECT session_id AS s1, access_token AS a1, refresh_token AS t0
FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
SELECT session_id AS s2, access_token AS a2 FROM usher.login('ann@sessions.example', 'correct horse battery') \gset
SELECT refresh_token AS t1 FROM usher.refresh_session(:'t0') \gset
SELECT usher.change_password('correct horse battery', 'a new and better one');
BEGIN;
SELECT usher.authenticate(:'a1') = :'ann' AS is_ann;
SELECT usher.change_password('wrong', 'a new and better one');
SELECT usher.change_password('correct horse battery', 'short');
SELECT usher.change_password('correct horse battery', 'correct horse battery');
SELECT usher.change_password('correct horse battery', 'a new and better one');
SELECT usher.current_user_id() = :'ann' AS still_here;
COMMIT;
BEGIN; SELECT usher.authenticate(:'a2'); ROLLBACK;
SELECT error FROM usher.login('ann@sessions.example', 'correct horse battery');
SELECT error, refresh_token AS t3 FROM usher.refresh_session(:'t1') \gset
RESET ROLE;
SELECT generation, parent_token_hash IS NULL AS no_parent FROM usher.sessions WHERE id = :'s1';
SELECT error FROM usher.refresh_session(:'t1');
SELECT status, revoked_reason FROM usher.sessions WHERE id = :'s1';
SELECT failed_login_attempts FROM usher.credentials WHERE user_id = :'ann';

-- Former passwords.
SET usher.password_history = 2;
SELECT usher.set_password(:'ann', 'password number one');
SELECT usher.set_password(:'ann', 'password number two');
SELECT token AS reset FROM usher.create_password_reset(:'ann') \gset
SELECT error FROM usher.reset_password(:'reset', 'password number two');
SELECT error FROM usher.reset_password(:'reset', 'password number one');
SELECT error FROM usher.reset_password(:'reset', 'a new and better one');
SELECT count(*) FROM usher.password_history WHERE user_id = :'ann';

-- Upkeep marks and removes.
UPDATE usher.sessions SET expires_at = now() - interval '1 second' WHERE user_id = :'bob' AND status = 'active';
SELECT m.affected >= 2 AS marked FROM usher._maintain_identity(100) m WHERE m.task = 'sessions_expired';
UPDATE usher.sessions
SET absolute_expires_at = now() - interval '91 days', expires_at = now() - interval '91 days' WHERE user_id = :'bob';
SELECT m.affected >= 5 AS removed FROM usher._maintain_identity(100) m WHERE m.task = 'sessions_removed';

DELETE FROM usher.users WHERE email LIKE '%sessions.example';
SELECT usher.revoke_access('regress_sessions_app');
DROP ROLE regress_sessions_app;

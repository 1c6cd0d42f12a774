-- Every path that ends sessions leaves an audit event for each of them.
\set VERBOSITY terse
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE SCHEMA regress_ends;

-- What each path does, to a user of its own with three sessions. $1: the user, $2: a session, $3: its refresh token,
-- $4: its access token.
CREATE TABLE regress_ends.paths (n serial PRIMARY KEY, path text NOT NULL, as_user boolean NOT NULL,
                                 act text NOT NULL);
INSERT INTO regress_ends.paths (path, as_user, act) VALUES
    ('logout', true, 'SELECT usher.logout()'),
    ('logout, named', true, 'SELECT usher.logout($2)'),
    ('revoke_session', true, 'SELECT usher.revoke_session($2)'),
    ('revoke_session by an administrator', false, 'SELECT usher.revoke_session($2)'),
    ('logout_all', true, 'SELECT usher.logout_all()'),
    ('logout_all but one', true, 'SELECT usher.logout_all(except_session => $2)'),
    ('logout_all by an administrator', false, 'SELECT usher.logout_all($1)'),
    ('revoke_token', false, 'SELECT usher.revoke_token($3)'),
    ('change_password', true, $$SELECT usher.change_password('correct horse battery', 'a new and better one')$$),
    ('set_password', false, $$SELECT usher.set_password($1, 'a new and better one')$$),
    ('reset_password', false,
     $$SELECT usher.reset_password(usher.create_password_reset($1), 'a new and better one')$$),
    ('import_password_hash', false,
        $$SELECT usher.import_password_hash($1, usher.hash_password('a new and better one'))$$),
    ('deactivate_user', false, 'SELECT usher.deactivate_user($1)'),
    ('delete_user', false, 'SELECT usher.delete_user($1)'),
    ('erase_user', false, 'SELECT usher.erase_user($1)'),
    ('a plain UPDATE', false, $$UPDATE usher.users SET status = 'deactivated' WHERE id = $1$$),
    ('a refresh token of long ago', false,
        'SELECT usher.refresh_session((usher.refresh_session((usher.refresh_session($3)).refresh_token)).refresh_token),
                usher.refresh_session($3)'),
    ('the limit of sessions', false,
        $$SELECT set_config('usher.max_sessions_per_user', '2', true), usher.login(u.email, 'correct horse battery')
          FROM usher.users u WHERE u.id = $1$$),
    ('a session that outlived its time', false,
        $$WITH aged AS (UPDATE usher.sessions SET expires_at = created_at WHERE id = $2) SELECT 1$$);
CREATE TABLE regress_ends.started (n integer, user_id uuid, id uuid);
-- An access token is good in its own transaction: one path, one transaction.
CREATE PROCEDURE regress_ends.walk(path regress_ends.paths) LANGUAGE plpgsql AS $$
DECLARE
    who uuid;
    entry record;
BEGIN
    who := (usher.register_user(format('path%s@ends.example', path.n), 'correct horse battery')).user_id;
    FOR i IN 1..3 LOOP
        SELECT l.session_id, l.refresh_token, l.access_token INTO entry
        FROM usher.login(format('path%s@ends.example', path.n), 'correct horse battery') AS l;
        INSERT INTO regress_ends.started VALUES (path.n, who, entry.session_id);
    END LOOP;
    IF path.as_user THEN
        PERFORM usher.authenticate(entry.access_token);
    END IF;
    EXECUTE path.act USING who, entry.session_id, entry.refresh_token, entry.access_token;
    IF path.path = 'a session that outlived its time' THEN
        PERFORM usher.refresh_session(entry.refresh_token);
    END IF;
    PERFORM set_config('usher.max_sessions_per_user', '0', true);
END $$;
SELECT format('CALL regress_ends.walk(%L)', p) FROM regress_ends.paths p ORDER BY p.n \gexec

-- one event for each session that ended, none for those that did not; the sessions of an erased user are gone
SELECT p.n, p.path, count(*) FILTER (WHERE e.has_ended) AS ended, min(s.revoked_reason) AS reason,
       string_agg(DISTINCT e.events::text, ', ') FILTER (WHERE e.has_ended) AS events,
       count(*) FILTER (WHERE cardinality(e.events) <> e.has_ended::integer) AS wrong
FROM regress_ends.started t
    JOIN regress_ends.paths p USING (n)
    LEFT JOIN usher.sessions s USING (id)
    CROSS JOIN LATERAL (
        SELECT s.status IS DISTINCT FROM 'active' AS has_ended,
               ARRAY(SELECT concat_ws(' ', a.event_type, a.event_data ->> 'reason',
                                      CASE WHEN a.event_data ->> 'user_id' = t.user_id::text THEN 'of this user' END)
                     FROM usher.audit_logs a
                     WHERE CASE a.event_type WHEN 'session.revoked' THEN a.resource_id = t.id::text
                                             WHEN 'session.expired' THEN a.event_data ->> 'session_id' = t.id::text END
              ) AS events) AS e
GROUP BY p.n, p.path ORDER BY p.n;
SELECT count(*) AS revoked_without_event FROM usher.sessions s
WHERE s.status = 'revoked' AND s.user_id IN (SELECT t.user_id FROM regress_ends.started t)
  AND NOT EXISTS (SELECT FROM usher.audit_logs a
                  WHERE a.event_type = 'session.revoked' AND a.resource_id = s.id::text);

DELETE FROM usher.users u USING regress_ends.started t WHERE u.id = t.user_id;
DROP SCHEMA regress_ends CASCADE;

-- API keys: what a machine may do with one, and what it may not.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE ROLE regress_keys_app;
SELECT usher.grant_access('regress_keys_app', 'application');
SELECT usher.create_role('regress_keys_clerk', 'clerk') IS NOT NULL AS role;
SELECT usher.create_permission(p) IS NOT NULL AS made
FROM unnest('{parcel:*,parcel:read,parcel:write,letter:read}'::text[]) p;
SELECT usher.grant_permission(to_role => 'regress_keys_clerk', permission => 'parcel:*');
SELECT user_id AS ann FROM usher.register_user('ann@keys.example', 'correct horse battery') \gset
SELECT user_id AS bob FROM usher.register_user('bob@keys.example', 'correct horse battery') \gset
SELECT usher.grant_role(:'ann', 'regress_keys_clerk') IS NOT NULL AS granted;
SELECT access_token AS a1 FROM usher.login('ann@keys.example', 'correct horse battery') \gset
SELECT access_token AS b1 FROM usher.login('bob@keys.example', 'correct horse battery') \gset
SET ROLE regress_keys_app;

-- Making one needs the user.
SELECT usher.create_api_key('nobody', '{parcel:read}');
BEGIN;
SELECT usher.authenticate(:'a1') IS NOT NULL AS ann;
SELECT error, api_key_id AS k1, api_key AS key1, prefix AS p1
FROM usher.create_api_key('scanner', '{parcel:read,letter:read,parcel:read}') \gset
SELECT api_key AS key2, api_key_id AS k2
FROM usher.create_api_key('everything', '{*:*}', now() + interval '1 hour') \gset
SELECT :'key1' ~ ('^uak_' || :'p1' || '_[A-Za-z0-9_-]{43}$') AS form, length(:'key1');
SAVEPOINT s;
SELECT usher.create_api_key('', '{parcel:read}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{parcel:read,parcel:raed}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{parcle:*}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{parcels}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{NULL}');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{parcel:read}', now() - interval '1 second');
ROLLBACK TO s;
SELECT usher.create_api_key('x', '{parcel:read}', NULL, :'bob');
ROLLBACK TO s;
SELECT name, prefix = :'p1' AS p1, permissions, status, last_used_at FROM usher.list_api_keys() ORDER BY name;
COMMIT;
RESET ROLE;
SELECT count(*) AS plain FROM usher.api_keys k WHERE k::text LIKE '%' || substr(:'key1', 18) || '%';
SELECT key_hash = sha256(convert_to(:'key1', 'UTF8')) AS sha256 FROM usher.api_keys WHERE id = :'k1';
SET ROLE regress_keys_app;

-- The key acts for the user: what they may and what it was given, nothing else.
BEGIN;
SELECT usher.authenticate(:'key1') = :'ann' AS is_ann, usher.current_api_key_id() = :'k1' AS by_key,
       usher.current_session_id(), usher.current_assurance_level();
SELECT usher.current_user_id() = :'ann' AS is_ann, usher.current_claims() - '{sub,api_key_id}'::text[] AS claims;
SELECT p, usher.has_permission(p)
FROM unnest('{parcel:read,parcel:write,letter:read,parcel:*,*:*,nonsense}'::text[]) p;
SELECT usher.has_permission_somewhere('parcel:read') AS read, usher.has_permission_somewhere('parcel:write') AS write;
SELECT usher.user_has_permission(:'ann', 'parcel:write') AS of_its_user, usher.has_role('regress_keys_clerk') AS role,
       usher.can_manage(:'ann') AS manage;
SELECT allowed FROM usher.check_access('parcel:read');
SELECT allowed FROM usher.check_access('parcel:write');
SAVEPOINT s;
SELECT usher.require_permission('parcel:read');
SAVEPOINT s;
SELECT usher.require_permission('parcel:write');
ROLLBACK TO s;
SELECT email, permissions FROM usher.get_me();
-- The account itself is out of its reach.
SELECT usher.change_password('correct horse battery', 'another good password');
ROLLBACK TO s;
SELECT usher.request_email_change('mallory@keys.example', 'correct horse battery');
ROLLBACK TO s;
SELECT usher.enroll_totp('correct horse battery');
ROLLBACK TO s;
SELECT usher.create_api_key('child', '{parcel:read}');
ROLLBACK TO s;
SELECT usher.delete_user();
ROLLBACK TO s;
SELECT usher.list_sessions();
ROLLBACK TO s;
SELECT usher.logout_all();
ROLLBACK TO s;
SELECT usher.revoke_session(s.id) FROM (SELECT ((usher.verify_token(:'a1')).claims ->> 'sid')::uuid AS id) s;
ROLLBACK TO s;
SELECT usher.export_user();
ROLLBACK TO s;
SELECT usher.update_profile(first_name => 'Mallory');
ROLLBACK TO s;
SELECT usher.revoke_api_key(:'k2');
ROLLBACK TO s;
SELECT usher.require_assurance_level(2);
ROLLBACK TO s;
COMMIT;
SELECT usher.current_user_id(), usher.current_api_key_id();
-- *:* stands for the whole user where permissions are asked for.
BEGIN;
SELECT usher.authenticate(:'key2') = :'ann' AS is_ann;
SELECT p, usher.has_permission(p) FROM unnest('{parcel:read,parcel:write,letter:read}'::text[]) p;
SELECT usher.has_role('regress_keys_clerk');
SELECT usher.change_password('correct horse battery', 'another good password');
ROLLBACK;

-- Row-level security sees the key as well: the answer is not kept from the session before.
RESET ROLE;
CREATE TABLE public.regress_parcels AS SELECT n FROM generate_series(1, 3) n;
ALTER TABLE public.regress_parcels ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON public.regress_parcels USING (usher.has_permission('parcel:write'));
GRANT SELECT ON public.regress_parcels TO regress_keys_app;
SET ROLE regress_keys_app;
PREPARE parcels AS SELECT count(*) FROM public.regress_parcels;
BEGIN;
SELECT usher.authenticate(:'a1') = :'ann' AS is_ann;
EXECUTE parcels;
SELECT usher.authenticate(:'key1') = :'ann' AS is_ann;
EXECUTE parcels;
COMMIT;

-- Over HTTP it is a bearer token.
RESET ROLE;
CREATE FUNCTION public.regress_scan() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object('by_key', usher.current_api_key_id() IS NOT NULL);
END
$$;
SELECT usher.add_route('GET', '/regress/scan', 'public.regress_scan()', access => 'permission',
                       permission => 'parcel:read') IS NOT NULL AS route;
SELECT usher.add_route('POST', '/regress/scan', 'public.regress_scan()', access => 'permission',
                       permission => 'parcel:write') IS NOT NULL AS route;
SELECT method, status, body FROM (VALUES ('GET'), ('POST')) m (method),
    LATERAL usher.http_request(method, '/regress/scan', '', jsonb_build_object('authorization', 'Bearer ' || :'key1'),
                               '', NULL) r WHERE status = 200;
SELECT method, status, body::jsonb ->> 'code' AS code FROM (VALUES ('GET'), ('POST')) m (method),
    LATERAL usher.http_request(method, '/regress/scan', '', jsonb_build_object('authorization', 'Bearer ' || :'key1'),
                               '', NULL) r WHERE status <> 200;

-- Used: once a minute at most, and not where nothing can be written.
SELECT last_used_at > now() - interval '1 minute' AS used FROM usher.api_key_uses WHERE api_key_id = :'k1';
UPDATE usher.api_key_uses SET last_used_at = now() - interval '59 seconds' WHERE api_key_id = :'k1';
SELECT usher.authenticate(:'key1') = :'ann' AS is_ann;
SELECT last_used_at > now() - interval '50 seconds' AS noted FROM usher.api_key_uses WHERE api_key_id = :'k1';
UPDATE usher.api_key_uses SET last_used_at = now() - interval '61 seconds' WHERE api_key_id = :'k1';
BEGIN READ ONLY; SELECT usher.authenticate(:'key1') = :'ann' AS is_ann; COMMIT;
SELECT last_used_at > now() - interval '50 seconds' AS noted FROM usher.api_key_uses WHERE api_key_id = :'k1';
SELECT usher.authenticate(:'key1') = :'ann' AS is_ann;
SELECT last_used_at > now() - interval '50 seconds' AS noted FROM usher.api_key_uses WHERE api_key_id = :'k1';

-- What is no key.
\set VERBOSITY default
SELECT usher.authenticate('uak_');
SELECT usher.authenticate(left(:'key1', -1) || CASE right(:'key1', 1) WHEN 'A' THEN 'B' ELSE 'A' END);
SELECT usher.authenticate('uak_000000000000_' || right(:'key1', 43));
\set VERBOSITY sqlstate

-- Revoked: at the next statement, by its user, by an administrator, or by itself. Others' keys do not exist.
SET ROLE regress_keys_app;
BEGIN;
SELECT usher.authenticate(:'b1') = :'bob' AS is_bob;
SAVEPOINT s;
SELECT usher.revoke_api_key(:'k1');
ROLLBACK TO s;
SELECT usher.list_api_keys(:'ann');
ROLLBACK TO s;
COMMIT;
SELECT usher.revoke_api_key(:'k1');
BEGIN;
SELECT usher.authenticate(:'key1') = :'ann' AS is_ann;
SELECT usher.revoke_api_key(:'k1');
SELECT usher.current_user_id(), usher.has_permission('parcel:read');
COMMIT;
\set VERBOSITY default
SELECT usher.authenticate(:'key1');
\set VERBOSITY sqlstate
BEGIN;
SELECT usher.authenticate(:'a1') = :'ann' AS is_ann;
SELECT usher.revoke_api_key(:'k1');
SELECT usher.revoke_api_key('00000000-0000-0000-0000-000000000000');
ROLLBACK;
RESET ROLE;
SELECT usher.revoke_api_key('00000000-0000-0000-0000-000000000000');
SELECT name, status, revoked_reason FROM usher.list_api_keys(:'ann') ORDER BY name;

-- Expired; or the permission, or the user, is gone.
BEGIN;
SELECT usher.authenticate(:'key2') = :'ann' AS is_ann, usher.has_permission('parcel:read');
SELECT usher.revoke_role(:'ann', 'regress_keys_clerk');
ROLLBACK;
SELECT usher.revoke_role(:'ann', 'regress_keys_clerk');
BEGIN; SELECT usher.authenticate(:'key2') = :'ann' AS is_ann, usher.has_permission('parcel:read'); COMMIT;
UPDATE usher.api_keys SET expires_at = now() - interval '1 second' WHERE id = :'k2';
SELECT usher.authenticate(:'key2');
UPDATE usher.api_keys SET expires_at = NULL WHERE id = :'k2';
SELECT usher.authenticate(:'key2') = :'ann' AS is_ann;
SELECT usher.deactivate_user(:'ann');
SELECT usher.authenticate(:'key2');
SELECT usher.create_api_key('late', '{parcel:read}', NULL, :'ann');
-- An administrator makes them for others.
SELECT error, length(api_key) FROM usher.create_api_key('robot', '{parcel:read}', NULL, :'bob');
SELECT event_type, count(*) FROM usher.audit_logs WHERE event_type LIKE 'api\_key.%'
    AND coalesce(event_data ->> 'user_id', resource_id) IN (:'ann', :'bob') GROUP BY 1 ORDER BY 1;
SELECT count(*) AS leaks FROM usher.audit_logs a
WHERE a::text LIKE '%' || substr(:'key1', 18) || '%' OR a::text LIKE '%' || substr(:'key2', 18) || '%';

DROP TABLE public.regress_parcels;
SELECT usher.remove_route('GET', '/regress/scan'), usher.remove_route('POST', '/regress/scan');
DROP FUNCTION public.regress_scan();
DELETE FROM usher.users WHERE email LIKE '%keys.example';
SELECT usher.drop_role('regress_keys_clerk');
SELECT usher.drop_permission(p) FROM unnest('{parcel:*,parcel:read,parcel:write,letter:read}'::text[]) p;
SELECT usher.revoke_access('regress_keys_app');
DROP ROLE regress_keys_app;

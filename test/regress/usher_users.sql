-- Accounts: registration, reading, profile, life cycle, external identities, consents, privacy.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192; -- hashing is not what is tested here
SET usher.argon2_iterations = 1;
SELECT usher.apply_role_preset('carwash');
CREATE ROLE regress_users_app;
SELECT usher.grant_access('regress_users_app', 'application');
INSERT INTO usher.password_blocklist (password) VALUES ('our town football club');
SET ROLE regress_users_app;

-- Registration: what is refused, and why.
SELECT error FROM usher.register_user('ann@users.example', 'Our Town Football Club');
SELECT error FROM usher.register_user('not an address', 'correct horse battery');
SELECT error FROM usher.register_user('ann@users.example', 'short');
SELECT error FROM usher.register_user('ann@users.example', repeat('x', 1025));
SELECT error FROM usher.register_user('ann.long@users.example', 'ANN.long@users.example');
SELECT error FROM usher.register_user('ann@users.example', 'the name is ann', username => 'the name is ann');
SELECT error FROM usher.register_user('ann@users.example', 'annabelle.leeward', 'Annabelle', 'Leeward', 'annabelle');
SELECT error FROM usher.register_user('ann@users.example', 'passwordpassword');
SELECT error FROM usher.register_user('ann@users.example', 'correct horse battery', username => 'a b');
SELECT error FROM usher.register_user('ann@users.example', 'correct horse battery', first_name => repeat('x', 101));
SELECT error FROM usher.register_user('ann@users.example', 'correct horse battery', phone => 'call me');
SELECT error FROM usher.register_user('ann@users.example', 'correct horse battery', metadata => '[]');
SELECT error FROM usher.register_user('ann@users.example', 'correct horse battery',
                                      metadata => jsonb_build_object('k', repeat('x', 70000)));
SELECT error FROM usher.register_user(NULL, 'correct horse battery');

SELECT error, user_id AS ann FROM usher.register_user(' Ann@Users.example ', 'correct horse battery', 'Ann', 'Lee',
                                                      'ann', '+49 30 123', '{"source": "test"}') \gset
SELECT :'ann' <> '' AS registered;
SELECT user_id, error FROM usher.register_user('ANN@users.EXAMPLE', 'correct horse battery');
SELECT user_id, error FROM usher.register_user('other@users.example', 'correct horse battery', username => 'ANN');
SELECT user_id AS bob FROM usher.register_user('bob@users.example', 'correct horse battery') \gset

-- What a new account is like.
RESET ROLE;
SELECT status, is_active, tier, email_verified_at, profile, preferences, metadata, last_login_at,
       created_at = updated_at AS unchanged, display_name, usher.user_has_role(id, 'client') AS client
FROM usher.users WHERE id = :'bob';
SELECT failed_login_attempts, locked_until, lockout_count, last_failed_login_at, reset_required,
       password_changed_at IS NOT NULL AS password FROM usher.credentials WHERE user_id = :'bob';
SET ROLE regress_users_app;

-- What the application may not see.
SELECT * FROM usher.credentials;
SELECT * FROM usher.sessions;
SELECT * FROM usher.one_time_tokens;
SELECT * FROM usher.users;
SELECT usher.create_password_reset(:'ann');
SELECT usher.import_password_hash(:'ann', 'x');

RESET ROLE;
SELECT email, status, is_active, display_name, phone, metadata, version, left(c.password_hash, 9) AS hash
FROM usher.users u JOIN usher.credentials c ON c.user_id = u.id WHERE u.id = :'ann';
SELECT r.name FROM usher.user_roles ur JOIN usher.roles r ON r.id = ur.role_id WHERE ur.user_id = :'ann';
SELECT event, payload ? 'token' AS has_token FROM usher.events WHERE key = :'ann' ORDER BY id;
SELECT usher.issue_token(:'ann') AS ann_token, usher.issue_token(:'bob') AS bob_token \gset
SET ROLE regress_users_app;

-- Nobody is logged in, and this role is not trusted.
SELECT * FROM usher.get_me();
SELECT usher.get_user(:'ann');
SELECT usher.find_user('ann');
SELECT usher.deactivate_user(:'ann');
SELECT usher.delete_user();
SELECT usher.export_user(:'ann');

-- Clients read and change themselves, and nobody else.
BEGIN;
SELECT usher.authenticate(:'ann_token') = :'ann' AS is_ann;
SELECT email, username, name, role, roles, permissions, status, email_verified, version FROM usher.get_me();
SELECT email, metadata FROM usher.get_user(:'ann');
SELECT *
FROM usher.update_profile(last_name => 'Miller', phone => '', profile => '{"colour": "red"}', expected_version => 1);
SELECT name, phone, profile, version FROM usher.get_me();
SELECT error FROM usher.update_profile(username => 'a@b');
SELECT error FROM usher.update_profile(profile => '[]');
SAVEPOINT s;
SELECT * FROM usher.update_profile(first_name => 'X', expected_version => 1);
ROLLBACK TO s;
SELECT usher.get_user(:'bob');
ROLLBACK TO s;
SELECT * FROM usher.update_profile(first_name => 'X', user_id => :'bob');
ROLLBACK TO s;
SELECT usher.deactivate_user(:'bob');
ROLLBACK TO s;
SELECT usher.erase_user(:'ann');
ROLLBACK TO s;
SELECT usher.set_user_tier(:'ann', 'GOLD');
ROLLBACK TO s;
SELECT usher.find_user('bob@users.example');
ROLLBACK TO s;
SELECT usher.link_identity(:'ann', 'google', '1');
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT usher.authenticate(:'bob_token') IS NOT NULL;
SELECT error FROM usher.update_profile(username => 'Ann');
COMMIT;

-- Consents: one in force per purpose, kept when withdrawn.
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT usher.record_consent('marketing', 'v1') = usher.record_consent('marketing', 'v1') AS same;
SELECT usher.record_consent('marketing', 'v2') IS NOT NULL;
SELECT usher.withdraw_consent('marketing'), usher.withdraw_consent('marketing');
SELECT purpose, document_version, withdrawn_at IS NOT NULL AS withdrawn FROM usher.list_consents();
SAVEPOINT s;
SELECT usher.record_consent('');
ROLLBACK TO s;
SELECT usher.record_consent('marketing', user_id => :'bob');
ROLLBACK TO s;
COMMIT;

-- An administrator (here: the superuser) manages accounts.
RESET ROLE;
SELECT f.email, f.user_id = g.user_id AS same FROM usher.find_user('ANN') f, usher.get_user(:'ann') g;
SELECT email, role, roles FROM usher.find_user('ann@users.example');
SELECT usher.find_user('nobody@users.example') IS NULL AS not_found;
SELECT usher.get_user('00000000-0000-0000-0000-000000000000');
SELECT usher.set_user_tier(:'ann', 'GOLD');
SELECT usher.set_user_tier(:'ann', '');
SELECT error, identity_id IS NOT NULL AS linked FROM usher.link_identity(:'ann', 'google', '1', 'ann@gmail.example');
SELECT error, identity_id IS NOT NULL AS linked FROM usher.link_identity(:'ann', 'google', '1', 'ann2@gmail.example');
SELECT error FROM usher.link_identity(:'bob', 'google', '1');
SELECT error FROM usher.link_identity(:'ann', 'google', '2');
SELECT usher.link_identity(:'ann', '', '2');
SELECT provider, provider_user_id, provider_email FROM usher.list_identities(:'ann');
-- the provider's tokens, for whoever calls it; never in a list or an export
SELECT usher.set_provider_tokens(:'ann', 'google', 'ya29.access', '1//refresh', '2030-01-01 00:00 UTC');
SELECT access_token, refresh_token, expires_at AT TIME ZONE 'UTC' AS expires_at
FROM usher.get_provider_tokens(:'ann', 'google');
SELECT count(*) AS plain FROM usher.identities i WHERE i::text ~ '(ya29|1//)';
SELECT usher.export_user(:'ann')::text ~ '(access_token|refresh_token)' AS exported;
SELECT usher.set_provider_tokens(:'ann', 'google', NULL);
SELECT access_token, refresh_token, expires_at FROM usher.get_provider_tokens(:'ann', 'google');
SELECT usher.set_provider_tokens(:'ann', 'elsewhere', 'x');
SELECT usher.unlink_identity(:'ann', 'google'), usher.unlink_identity(:'ann', 'google');
SELECT name, status, tier FROM usher.list_users(only_tier => 'GOLD');
SELECT * FROM usher.list_users(max_rows => 0);
SELECT usher.set_password(:'bob', 'short');
SELECT usher.set_password(:'bob', 'OUR TOWN FOOTBALL CLUB');
DELETE FROM usher.password_blocklist WHERE password = 'our town football club';
SELECT usher.set_password(:'bob', 'our town football club');
SELECT usher.set_password(:'bob', 'another good password');
SELECT usher.import_password_hash(:'bob', 'plain');
SELECT usher.import_password_hash(
    :'bob', '$argon2id$v=19$m=2097152,t=2,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
SELECT usher.import_password_hash(:'bob', usher.hash_password('an imported password'));

-- References are what other features show.
SELECT (usher.user_reference(:'ann')).email, (usher.user_reference(:'ann')).role, (usher.user_reference(:'ann')).name;
SELECT usher.user_reference('00000000-0000-0000-0000-000000000000') IS NULL AS none;
SELECT name
FROM usher.user_references(ARRAY[:'bob', :'ann', '00000000-0000-0000-0000-000000000000']::uuid[]) ORDER BY name;
SELECT (usher.lock_user_reference(:'ann')).name;
SELECT usher.lock_user_reference('00000000-0000-0000-0000-000000000000');

-- Life cycle. Sessions end, events tell the other features, and the refused steps say why.
SELECT error, session_id IS NOT NULL AS logged_in FROM usher.login('bob@users.example', 'an imported password');
SET usher.require_verified_email = off;
SELECT refresh_token AS bob_refresh FROM usher.login('bob@users.example', 'an imported password') \gset
SELECT usher.deactivate_user(:'bob');
SELECT usher.deactivate_user(:'bob');
SELECT status, revoked_reason FROM usher.sessions WHERE user_id = :'bob';
SELECT error FROM usher.refresh_session(:'bob_refresh');
SELECT error FROM usher.login('bob@users.example', 'an imported password');
SELECT usher.lock_user_reference(:'bob');
SELECT (usher.lock_user_reference(:'bob', require_active => false)).name;
SELECT usher.restore_user(:'bob');
SELECT usher.reactivate_user(:'bob');
SELECT error FROM usher.login('bob@users.example', 'an imported password');
SELECT usher.delete_user(:'bob');
SELECT usher.deactivate_user(:'bob');
SELECT usher.restore_user(:'bob');
SELECT status, deleted_at, deactivated_at FROM usher.users WHERE id = :'bob';
-- raw SQL obeys the same rules
UPDATE usher.users SET status = 'deleted' WHERE id = :'bob';
UPDATE usher.users SET status = 'deactivated' WHERE id = :'bob';
UPDATE usher.users SET is_active = true WHERE id = :'bob';
UPDATE usher.users SET email = 'ANN@users.example' WHERE id = :'bob';
SELECT event FROM usher.events WHERE key = :'bob' ORDER BY id;
UPDATE usher.users SET email_verified_at = now() WHERE id = :'bob';
UPDATE usher.users SET email = 'bob2@users.example' WHERE id = :'bob';
SELECT email_verified_at FROM usher.users WHERE id = :'bob';

-- Export has all but secrets; erasure leaves nothing to export.
SELECT jsonb_object_keys(usher.export_user(:'ann')) AS part ORDER BY part;
SELECT usher.export_user(:'bob')::text ~ '(argon2|_hash|rotation_key)' AS leaks;
SELECT usher.erase_user(:'bob');
SELECT usher.erase_user(:'bob');
SELECT status, email = id || '@erased.invalid' AS anonymous, username, phone, last_login_at
FROM usher.users WHERE id = :'bob';
SELECT (SELECT count(*) FROM usher.credentials c WHERE c.user_id = :'bob') AS credentials,
       (SELECT count(*) FROM usher.sessions s WHERE s.user_id = :'bob') AS sessions,
       (SELECT count(*)
        FROM usher.login_attempts a WHERE a.email ILIKE 'bob%@users.example' OR a.user_id = :'bob') AS attempts,
       (SELECT count(*) FROM usher.events e WHERE e.key = :'bob' AND e.payload::text ILIKE '%bob%') AS events;
UPDATE usher.users SET status = 'active' WHERE id = :'bob';
SELECT usher.restore_user(:'bob');
SELECT error FROM usher.register_user('bob@users.example', 'correct horse battery');
-- a removed row is a deleted user for the others
DELETE FROM usher.users WHERE id = :'ann';
SELECT event FROM usher.events WHERE key = :'ann' ORDER BY id DESC LIMIT 1;

DELETE FROM usher.users WHERE email LIKE '%users.example' OR email LIKE '%erased.invalid';
SELECT usher.revoke_access('regress_users_app');
DROP ROLE regress_users_app;

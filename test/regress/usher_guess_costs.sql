-- Guessing: what a success takes back, what unknown names cost, and what a hash may cost at all.
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
CREATE SCHEMA regress_costs;
SELECT user_id AS own FROM usher.register_user('own@costs.example', 'correct horse battery', username => 'owner') \gset
CREATE FUNCTION regress_costs.failures(address inet) RETURNS text LANGUAGE sql AS $$
    SELECT failed_login_attempts || CASE WHEN locked_until > now() THEN ' locked' ELSE '' END
    FROM usher.network_failures WHERE network = address::cidr $$;

-- A spray over twelve names, with a login to one's own account after each: that one does not open the network again.
CREATE TABLE regress_costs.spray AS SELECT NULL::integer AS n, NULL::text AS own, NULL::text AS failures LIMIT 0;
DO $$
DECLARE
    own text;
BEGIN
    PERFORM usher.set_request_context('198.51.100.107');
    FOR n IN 1..8 LOOP
        PERFORM usher.login('victim' || n || '@costs.example', 'password1');
        own := coalesce((usher.login('own@costs.example', 'correct horse battery')).error, 'logged in');
        INSERT INTO regress_costs.spray VALUES (n, own, regress_costs.failures('198.51.100.107'));
    END LOOP;
END
$$;
SELECT * FROM regress_costs.spray ORDER BY n;
-- What one's own name has failed is taken back, under each name that the account has, and nothing of others.
BEGIN;
SELECT usher.set_request_context('198.51.100.108');
SELECT count(l.error) FROM unnest('{own@costs.example,a@costs.example,owner,b@costs.example,OWN@costs.example}'::text[]) n,
    LATERAL usher.login(n, 'wrong') l;
UPDATE usher.network_failures SET locked_until = NULL WHERE network = '198.51.100.108';
SELECT regress_costs.failures('198.51.100.108');
SELECT error FROM usher.login('own@costs.example', 'correct horse battery');
SELECT regress_costs.failures('198.51.100.108');
COMMIT;

-- Unknown names take the times of known ones: each is evaluated like some account, always the same, in the proportions
-- that there are. Here every second account was imported with a hash that costs another amount.
CREATE TABLE regress_costs.before AS SELECT user_id FROM usher.credentials;
INSERT INTO usher.users (id, email) SELECT usher.uuid_v7(), 'mix' || n || '@costs.example' FROM generate_series(1, 400) n;
INSERT INTO usher.credentials (user_id, password_hash)
SELECT u.id, CASE row_number() OVER () % 2
        WHEN 0 THEN '$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
        ELSE '$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' END
FROM usher.users u WHERE u.email LIKE 'mix%@costs.example';
CREATE TABLE regress_costs.unknown AS
    SELECT n, left(usher._stand_in_hash('nobody' || n || '@costs.example'), 4) AS kind FROM generate_series(1, 400) n;
SELECT avg((kind = '$2b$')::integer) BETWEEN 0.3 AND 0.7 AS about_half FROM regress_costs.unknown;
SELECT count(*) AS changed FROM regress_costs.unknown u
WHERE u.kind IS DISTINCT FROM left(usher._stand_in_hash('nobody' || u.n || '@costs.example'), 4);
-- a few more accounts move hardly any name
INSERT INTO usher.users (id, email) SELECT usher.uuid_v7(), 'more' || n || '@costs.example' FROM generate_series(1, 40) n;
INSERT INTO usher.credentials (user_id, password_hash)
SELECT u.id, '$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'
FROM usher.users u WHERE u.email LIKE 'more%@costs.example';
SELECT count(*) < 120 AS most_stay FROM regress_costs.unknown u
WHERE u.kind IS DISTINCT FROM left(usher._stand_in_hash('nobody' || u.n || '@costs.example'), 4);
-- no password fits what an unknown name is evaluated like
SELECT DISTINCT l.error FROM generate_series(1, 20) n, LATERAL usher.login('nobody' || n, 'correct horse battery') l;

-- A hash may cost so much time and memory, whoever evaluates it, and no more; what new ones cost is always allowed.
\set VERBOSITY terse
CREATE FUNCTION regress_costs.hash(memory_kib integer, passes integer) RETURNS text LANGUAGE sql AS $$
    SELECT format('$argon2id$v=19$m=%s,t=%s,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
                  memory_kib, passes) $$;
SELECT usher.verify_password('x', regress_costs.hash(262144, 20));
SELECT usher.verify_password('x', regress_costs.hash(300000, 1));
SELECT usher.verify_password('x', '$pbkdf2-sha256$9000000$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
SELECT usher.verify_password('x', '$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW');
SELECT usher.import_password_hash(:'own', regress_costs.hash(262144, 20));
SELECT usher.import_user('costly@costs.example', password_hash => regress_costs.hash(262144, 20));
SELECT usher.password_needs_rehash(regress_costs.hash(262144, 20));
SELECT usher.verify_password('x', regress_costs.hash(1024, 1)) AS cheap;
BEGIN;
SET LOCAL usher.max_hash_time = '100ms';
SELECT usher.verify_password('x', regress_costs.hash(65536, 1));
ROLLBACK;
BEGIN;
SET LOCAL usher.max_hash_time = '100ms';
SET LOCAL usher.argon2_memory = 65536;
SELECT usher.verify_password('x', regress_costs.hash(65536, 1)) AS as_new_ones;
ROLLBACK;
SET usher.max_hash_time = '10min';
SELECT usher.password_needs_rehash(regress_costs.hash(262144, 20)) AS weaker_or_foreign;
RESET usher.max_hash_time;
-- What is stored already and costs more than the setting allows by now is wrong, as if it were another password's.
UPDATE usher.credentials SET password_hash = regress_costs.hash(262144, 20) WHERE user_id = :'own';
SELECT error FROM usher.login('own@costs.example', 'correct horse battery');

-- A network that is locked costs no hash, whatever the name.
UPDATE usher.credentials SET password_hash = regress_costs.hash(65536, 2) WHERE user_id = :'own';
CREATE FUNCTION regress_costs.milliseconds(address inet, identifier text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    best double precision;
BEGIN
    PERFORM usher.set_request_context(address);
    FOR n IN 1..5 LOOP
        began := clock_timestamp();
        PERFORM usher.login(identifier, 'wrong password');
        best := least(best, extract(epoch FROM clock_timestamp() - began) * 1000);
    END LOOP;
    RETURN best;
END $$;
INSERT INTO usher.network_failures (network, failed_login_attempts, last_failed_login_at, locked_until)
VALUES ('198.51.100.109', 20, now(), now() + interval '1 hour');
SELECT name, regress_costs.milliseconds('198.51.100.109', name) * 4 < free.milliseconds AS no_hash
FROM (SELECT regress_costs.milliseconds('198.51.100.110', 'own@costs.example') AS milliseconds OFFSET 0) AS free,
    unnest('{own@costs.example,nobody@costs.example}'::text[]) AS name;
SELECT DISTINCT failure_reason FROM usher.login_attempts WHERE client_ip = '198.51.100.109';

DELETE FROM usher.users WHERE email LIKE '%@costs.example';
DELETE FROM usher.network_failures WHERE network <<= '198.51.100.0/24';
DROP SCHEMA regress_costs CASCADE;

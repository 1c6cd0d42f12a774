-- Request identity: set by a verified token only, for one transaction, and by nothing else that an application role
-- can run.
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE ROLE regress_request_app;
SELECT usher.grant_access('regress_request_app', 'application');
CREATE SCHEMA regress_request AUTHORIZATION regress_request_app;

INSERT INTO usher.users (email, first_name, status)
VALUES ('ann@request.example', 'Ann', 'active') RETURNING id AS ann \gset
INSERT INTO usher.users (email, first_name, status)
VALUES ('bob@request.example', 'Bob', 'active') RETURNING id AS bob \gset
SELECT usher.issue_token(:'ann') AS ann_token \gset
SELECT usher.issue_token(:'bob') AS bob_token \gset
SET ROLE regress_request_app;

-- Who asks, as a name: ann, bob, nobody.
CREATE TABLE regress_request.people AS VALUES (:'ann'::uuid, 'ann'), (:'bob'::uuid, 'bob');
CREATE FUNCTION regress_request.who() RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
BEGIN
    RETURN coalesce((SELECT p.column2 FROM regress_request.people p WHERE p.column1 = usher.current_user_id()),
                    'nobody');
END $$;

-- Nobody before, the token's user inside the transaction, nobody after it.
SELECT regress_request.who();
BEGIN;
SELECT usher.authenticate(:'ann_token') = :'ann' AS authenticated;
SELECT regress_request.who();
SELECT usher.current_claims() ->> 'sub' = :'ann' AS claims_are_anns, usher.current_session_id() IS NULL AS no_session;
COMMIT;
SELECT regress_request.who(), usher.current_claims(), usher.current_session_id();
BEGIN; SELECT usher.authenticate(:'ann_token') IS NOT NULL; ROLLBACK;
SELECT regress_request.who();
-- a single statement is a transaction of its own
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT regress_request.who();
-- an error ends it as well
BEGIN; SELECT usher.authenticate(:'ann_token') IS NOT NULL; SELECT 1 / 0; ROLLBACK;
SELECT regress_request.who();

-- It follows savepoints, and the last token counts.
BEGIN;
SAVEPOINT a;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
ROLLBACK TO a;
SELECT regress_request.who();
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SAVEPOINT b;
SELECT usher.authenticate(:'bob_token') IS NOT NULL;
SELECT regress_request.who();
ROLLBACK TO b;
SELECT regress_request.who();
SAVEPOINT c;
SELECT usher.authenticate(:'bob_token') IS NOT NULL;
RELEASE c;
SELECT regress_request.who();
-- a token that is not good leaves the identity as it was
SAVEPOINT d;
SELECT usher.authenticate('x.y.z');
ROLLBACK TO d;
SELECT regress_request.who();
COMMIT;

-- What is not a token.
\set VERBOSITY default
SELECT usher.authenticate(NULL);
SELECT usher.authenticate('');
SELECT usher.authenticate(repeat('x', 1000000));
SELECT usher.authenticate(overlay(:'ann_token' PLACING CASE substr(
    :'ann_token', length(:'ann_token') - 20, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM length(:'ann_token') - 20));
\set VERBOSITY terse

-- No setting is identity.
SET usher.user_id = 'x';
SELECT set_config('usher.current_user_id', '00000000-0000-0000-0000-000000000000', false);
SET usher.access_token_ttl = '1 day';
SET usher.token_issuer = 'me';
SELECT set_config('usher.lockout_threshold', '1000', false);
SET usher.restoring = on;
ALTER ROLE regress_request_app SET usher.lockout_threshold = 100;
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
RESET ALL;
SET SESSION AUTHORIZATION DEFAULT;
SELECT usher.current_user_id() = :'ann' AS reset_changes_nothing;
SET LOCAL ROLE regress_request_app;
COMMIT;
SET ROLE regress_request_app;

-- Nothing carries it over the end of the transaction.
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
PREPARE who_prepared AS SELECT regress_request.who();
EXECUTE who_prepared;
DECLARE kept CURSOR WITH HOLD FOR SELECT regress_request.who() FROM generate_series(1, 2);
CREATE TEMP TABLE remembered AS SELECT usher.current_user_id() AS id;
CREATE FUNCTION regress_request.mine()
    RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN regress_request.who(); END';
SELECT regress_request.mine();
COMMIT;
EXECUTE who_prepared;
FETCH ALL FROM kept; -- was computed at commit, while ann was there
CLOSE kept;
SELECT regress_request.mine();
DO $$ BEGIN PERFORM regress_request.who(); RAISE WARNING 'in DO: %', regress_request.who(); END $$;
DISCARD ALL;
SET ROLE regress_request_app;
SELECT regress_request.who();
-- functions of the same name elsewhere do not change what usher's functions answer
CREATE FUNCTION regress_request.current_user_id() RETURNS uuid LANGUAGE sql AS $$
    SELECT '00000000-0000-0000-0000-000000000000'::uuid
$$;
SET search_path = regress_request, usher, pg_catalog;
SELECT usher.current_user_id(), usher.has_permission('user:manage');
RESET search_path;
-- the C functions behind it cannot be bound anew by the application role
CREATE FUNCTION regress_request.forge() RETURNS uuid LANGUAGE c AS '$libdir/usher', 'usher_request_current_user_id';
CREATE OR REPLACE FUNCTION usher.current_user_id() RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$;
-- nor can the tables behind it be read or written
SELECT * FROM usher.sessions;
SELECT password_hash FROM usher.credentials;
SELECT * FROM usher.signing_keys;
UPDATE usher.users SET status = 'active';
-- and a token for somebody else is not to be had
SELECT usher.issue_token(:'bob');

-- More that an application role could try: each in a transaction of its own, as nobody.
CREATE FUNCTION regress_request.as_definer(statement text)
    RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = usher, pg_temp AS $$
DECLARE answer text;
BEGIN
    EXECUTE statement INTO answer;
    RETURN coalesce(answer, 'nobody');
END $$;
SELECT regress_request.as_definer('SELECT usher.current_user_id()::text');
SELECT regress_request.as_definer('SELECT set_config(''usher.identity'', ''x'', false)');
SET usher.identity = 'x';
SET LOCAL usher.current_user_id = 'x';
ALTER ROLE regress_request_app SET usher.current_user_id = 'x';
ALTER DATABASE postgres SET usher.current_user_id = 'x';
SET request.jwt.claims = '{"sub": "00000000-0000-0000-0000-000000000000"}'; -- what other systems believe
SELECT regress_request.who(), usher.current_claims();
RESET request.jwt.claims;
SET SESSION AUTHORIZATION regress_request_app;
SELECT regress_request.who();
RESET SESSION AUTHORIZATION;
SET ROLE regress_request_app;
SELECT usher.set_request_context('127.0.0.1', :'ann', :'ann');
SELECT regress_request.who();
DO $$
BEGIN
    PERFORM usher.authenticate('x.y.z');
EXCEPTION
    WHEN OTHERS THEN
        RAISE WARNING 'in DO: %', regress_request.who();
    END
$$;
-- an exception block is a subtransaction: what was authenticated in it goes with it
CREATE FUNCTION regress_request.fail_after(token text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM usher.authenticate(token);
        RAISE EXCEPTION 'take it back';
    EXCEPTION WHEN raise_exception THEN
        RETURN regress_request.who();
    END;
END $$;
SELECT regress_request.fail_after(:'ann_token');
-- a procedure that commits: the identity ends with each transaction
CREATE PROCEDURE regress_request.commit_after(token text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate(token);
    RAISE WARNING 'before COMMIT: %', regress_request.who();
    COMMIT;
    RAISE WARNING 'after COMMIT: %', regress_request.who();
    PERFORM usher.authenticate(token);
    COMMIT AND CHAIN;
    RAISE WARNING 'after COMMIT AND CHAIN: %', regress_request.who();
    PERFORM usher.authenticate(token);
    ROLLBACK;
    RAISE WARNING 'after ROLLBACK: %', regress_request.who();
END $$;
CALL regress_request.commit_after(:'ann_token');
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
COMMIT AND CHAIN;
SELECT regress_request.who();
ROLLBACK AND CHAIN;
SELECT regress_request.who();
ROLLBACK;
-- DISCARD and RESET inside a transaction neither keep nor make an identity; nor does changing the role
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
DISCARD PLANS; DISCARD TEMP; DEALLOCATE ALL; RESET ALL;
SELECT regress_request.who();
COMMIT;
-- deferred work runs as who made it, if it runs in the transaction at all
CREATE TABLE regress_request.seen (who text);
CREATE FUNCTION regress_request.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_request.seen VALUES (regress_request.who());
    RETURN NULL;
END
$$;
CREATE TABLE regress_request.work (n integer);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON regress_request.work DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION regress_request.note();
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
INSERT INTO regress_request.work VALUES (1);
COMMIT;
INSERT INTO regress_request.work VALUES (2);
SELECT * FROM regress_request.seen;
-- an argument keeps its value when the identity that it was read from is gone
CREATE PROCEDURE regress_request.changes_hands(first uuid, token text) LANGUAGE plpgsql AS $$
DECLARE
    before text := first::text;
BEGIN
    COMMIT;
    PERFORM usher.authenticate(token);
    RAISE INFO 'same argument: %, somebody else: %', first::text = before, first <> usher.current_user_id();
END $$;
CREATE PROCEDURE regress_request.both(one text, other text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate(one);
    CALL regress_request.changes_hands(usher.current_user_id(), other);
END $$;
CALL regress_request.both(:'ann_token', :'bob_token');
-- generated columns, defaults and indexes keep values, not identities
CREATE TABLE regress_request.mine (owner uuid DEFAULT usher.current_user_id());
INSERT INTO regress_request.mine DEFAULT VALUES RETURNING owner;
CREATE TABLE regress_request.indexed (n integer, CHECK (usher.current_user_id() IS NULL));
\set VERBOSITY sqlstate
CREATE INDEX ON regress_request.indexed ((usher.current_user_id()));
\set VERBOSITY terse
-- what the identity is made of is not to be had
SELECT usher._require_person();
SELECT usher._is_restoring();
SELECT * FROM usher.api_keys;
SELECT * FROM usher.login_challenges;
INSERT INTO usher.sessions_inval DEFAULT VALUES;
COPY usher.sessions TO STDOUT;
SELECT setting FROM pg_settings WHERE name LIKE 'usher.%key_file' AND setting <> '';

-- A prepared transaction is nobody's.
BEGIN;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
PREPARE TRANSACTION 'regress_request';
SELECT regress_request.who();
COMMIT PREPARED 'regress_request';
SELECT regress_request.who();

-- Expiry is looked at in every statement.
RESET ROLE;
SELECT usher.issue_token(:'ann', ttl => '3 seconds') AS short_token \gset
SET ROLE regress_request_app;
BEGIN;
SELECT usher.authenticate(:'short_token') IS NOT NULL;
SELECT regress_request.who();
SELECT pg_sleep(3.1);
SELECT regress_request.who(), usher.current_claims() IS NULL AS no_claims;
COMMIT;
SELECT usher.authenticate(:'short_token');

-- So is the account.
RESET ROLE;
BEGIN;
SELECT usher.authenticate(:'bob_token') IS NOT NULL;
UPDATE usher.users SET status = 'deactivated' WHERE id = :'bob';
SELECT usher.current_user_id();
ROLLBACK;
BEGIN;
SELECT usher.authenticate(:'bob_token') IS NOT NULL;
SELECT usher.current_user_id() = :'bob' AS still_bob;
COMMIT;

-- A parallel query sees the identity: the functions stay in the leader.
CREATE TABLE regress_request.many AS SELECT n, CASE WHEN n % 2 = 0 THEN :'ann'::uuid ELSE :'bob'::uuid END AS owner
    FROM generate_series(1, 20000) AS n;
ANALYZE regress_request.many;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
-- its name until 15, and since
SELECT set_config(name, 'on', true) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT count(*) FROM regress_request.many WHERE owner = usher.current_user_id();
SELECT usher.current_user_id() = :'ann' AS in_a_worker_it_would_be_lost;
COMMIT;

-- In a parallel worker there is nobody, even for a function that claims to be safe there, and what it authenticates
-- stays there.
CREATE FUNCTION regress_request.in_worker(token text) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
    IF token IS NOT NULL THEN PERFORM usher.authenticate(token); END IF;
    RETURN coalesce(usher.current_user_id()::text, 'nobody');
END $$;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SELECT usher.authenticate(:'ann_token') IS NOT NULL;
SELECT DISTINCT regress_request.in_worker(NULL) FROM regress_request.many;
SELECT DISTINCT regress_request.in_worker(:'bob_token') = :'bob' AS bob_there FROM regress_request.many WHERE n < 3;
SELECT usher.current_user_id() = :'ann' AS still_ann;
COMMIT;

-- The context is a description. What would break log lines is refused.
BEGIN;
SELECT usher.set_request_context('2001:db8::1', 'curl/8', 'abc-123');
SELECT usher.set_request_context(NULL, NULL, NULL);
SELECT usher.set_request_context();
COMMIT;
SELECT usher.set_request_context('not an address', NULL, NULL);
SELECT usher.set_request_context(NULL, E'two\nlines', NULL);
SELECT usher.set_request_context(NULL, repeat('x', 513), NULL);
SELECT usher.set_request_context(NULL, NULL, 'with space');
SELECT usher.set_request_context(NULL, NULL, repeat('x', 129));

DROP SCHEMA regress_request CASCADE;
SELECT usher.revoke_access('regress_request_app');
DROP ROLE regress_request_app;
DELETE FROM usher.users WHERE id IN (:'ann', :'bob');

-- Erasure leaves no personal data behind, export leaves nothing out, import takes users over. What there is to look at
-- comes from the catalog, so that a table or column made later is looked at as well.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.password_history = 1;
SET usher.totp_window = 10;
SELECT usher.apply_role_preset('carwash');
CREATE SCHEMA regress_privacy;
CREATE TABLE regress_privacy.started AS SELECT clock_timestamp() AS at;

-- Somebody who leaves a trace in every table. Everything personal about her has a marker in it.
SELECT user_id AS ida FROM usher.register_user('former-marker@privacy.example', 'a first long password', 'Idamarker',
    'Lastmarker', 'usermarker', '+49 30 6655443',
    '{"note": "metamarker"}') \gset
SELECT usher.request_login_code('former-marker@privacy.example'); -- an event that is older than her address
SELECT payload ->> 'token' AS token
FROM usher.events WHERE key = :'ida' AND event = 'user.email_verification_requested' \gset
SELECT error FROM usher.verify_email(:'token', 'a first long password');
SELECT usher.set_request_context('203.0.113.201', 'agentmarker/1');
BEGIN;
SELECT usher.set_request_context('203.0.113.201', 'agentmarker/1');
SELECT error FROM usher.login('former-marker@privacy.example', 'wrong');
SELECT error, access_token AS access FROM usher.login('former-marker@privacy.example', 'a first long password',
                                                      '{"name": "devicemarker", "fingerprint": "printmarker"}') \gset
SELECT usher.authenticate(:'access') = :'ida' AS is_ida;
SELECT error
FROM usher.update_profile(profile => '{"hobby": "profilemarker"}', preferences => '{"colour": "preferencemarker"}');
SELECT usher.record_consent('newsletter', 'v1', evidence => '{"form": "consentmarker"}') IS NOT NULL AS consented;
SELECT usher.change_password('a first long password', 'a second long password');
SELECT usher.request_email_change('new-marker@privacy.example', 'a second long password');
COMMIT;
SELECT payload ->> 'token' AS token
FROM usher.events WHERE key = :'ida' AND event = 'user.email_change_requested' \gset
SELECT error FROM usher.verify_email(:'token', 'a second long password');
BEGIN;
SELECT usher.set_request_context('203.0.113.201', 'agentmarker/1');
SELECT usher.request_login_code('new-marker@privacy.example'),
       usher.request_password_reset('new-marker@privacy.example');
SELECT error, access_token AS access FROM usher.login('new-marker@privacy.example', 'a second long password') \gset
SELECT usher.authenticate(:'access') = :'ida' AS is_ida;
SELECT error, factor_id AS factor FROM usher.enroll_totp('a second long password', 'factormarker') \gset
SELECT error, length(api_key) AS key FROM usher.create_api_key('machine', '{booking:read}');
SELECT usher.log_event('privacy.test') IS NOT NULL AS logged;
COMMIT;
UPDATE usher.second_factors SET confirmed_at = now() WHERE id = :'factor';
INSERT INTO usher.recovery_codes (user_id, code_hash) VALUES (:'ida', sha256('x'));
SELECT error, length(challenge) AS challenge
FROM usher.login('usermarker', 'a second long password', '{"name": "devicemarker"}');
SELECT usher.issue_token(:'ida') AS token \gset
SELECT usher.grant_permission(:'ida'::uuid, 'booking:read'), usher.add_policy('p', :'ida', 'booking', 'read');
UPDATE usher.users SET external_id = 'externalmarker' WHERE id = :'ida';
SELECT error FROM usher.link_identity(:'ida', 'google', 'providermarker', 'provider-marker@mail.example',
                                      '{"picture": "picturemarker"}');
SELECT usher.set_provider_tokens(:'ida', 'google', 'tokenmarker');
-- a status that she changed, and an answer that is kept for a repeated request
SELECT usher.define_machine(
    'regress_privacy',
    '{"initial": ["open"], "terminal": ["done"], "transitions": [{"from": "open", "to": "done", "action": '
    '"finish"}]}');
CREATE TABLE regress_privacy.jobs (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text NOT NULL DEFAULT 'open');
SELECT usher.attach_machine('regress_privacy', 'regress_privacy.jobs', 'status');
CREATE FUNCTION regress_privacy.act() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'answermarker'; END $$;
SELECT usher.add_route('POST', '/regress/privacy', 'regress_privacy.act()') IS NOT NULL AS route;
BEGIN;
SELECT usher.authenticate(:'token') = :'ida' AS is_ida;
INSERT INTO regress_privacy.jobs DEFAULT VALUES;
UPDATE regress_privacy.jobs SET status = 'done';
COMMIT;
SELECT status
FROM usher.http_request('POST', '/regress/privacy', '', jsonb_build_object(
    'authorization', 'Bearer ' || :'token', 'idempotency-key', 'once', 'content-type', 'application/json'), '{}',
'203.0.113.201');

-- Export: every row of every table with a user_id stands in the document by its id, with all its columns but these.
SELECT usher.export_user(:'ida') AS document \gset
SELECT jsonb_object_keys(:'document'::jsonb) AS part ORDER BY 1;
CREATE FUNCTION regress_privacy.left_out(who uuid, document jsonb)
    RETURNS TABLE (relation text, what text) LANGUAGE plpgsql AS $$
DECLARE
    t record;
    r jsonb;
    part jsonb;
    seen boolean;
BEGIN
    FOR t IN
        SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id') AS has_id
             FROM pg_class c JOIN pg_attribute u ON u.attrelid = c.oid AND u.attname = 'user_id'
             WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        relation := t.relname;
        seen := false;
        FOR r IN EXECUTE format('SELECT to_jsonb(x) FROM usher.%I x WHERE x.user_id = $1', t.relname) USING who LOOP
            seen := true;
            SELECT e INTO part FROM jsonb_each(document) d, LATERAL (
                SELECT d.value AS e WHERE jsonb_typeof(d.value) = 'object' AND NOT t.has_id AND d.key = 'password'
                UNION ALL SELECT jsonb_array_elements(d.value) WHERE jsonb_typeof(d.value) = 'array' AND t.has_id) x
                WHERE NOT t.has_id OR e ->> 'id' = r ->> 'id' LIMIT 1;
            IF NOT FOUND THEN
                what := 'a row';
                RETURN NEXT;
            ELSE
                RETURN QUERY SELECT DISTINCT t.relname::text, k
                    FROM jsonb_object_keys(r) k WHERE NOT part ? k AND k <> 'user_id';
            END IF;
        END LOOP;
        IF NOT seen THEN
            what := 'this test makes no row in it';
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
SELECT DISTINCT * FROM regress_privacy.left_out(:'ida', :'document') ORDER BY 1, 2;
SELECT :'document' ~ '(argon2|urt_|uak_|tokenmarker|"token"|"code")' AS secrets;
SELECT jsonb_array_length(:'document'::jsonb -> 'status_changes') AS status_changes,
       (:'document'::jsonb #> '{audit}') @> '[{"event": "privacy.test", "client_ip": "203.0.113.201"}]' AS acts,
       jsonb_array_length(:'document'::jsonb -> 'policies') AS policies;

-- Erasure: no marker is left in any table of any usher extension. (That a network failed belongs to nobody, and goes
-- after a week.)
CREATE VIEW regress_privacy.tables AS
    SELECT c.oid::regclass AS relation FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    WHERE e.extname LIKE 'usher%' AND c.relkind IN ('r', 'p') AND NOT c.relispartition;
CREATE FUNCTION regress_privacy.marked() RETURNS TABLE (relation regclass, found text) LANGUAGE plpgsql AS $$
BEGIN
    FOR relation IN SELECT t.relation FROM regress_privacy.tables t ORDER BY t.relation::text LOOP
        RETURN QUERY EXECUTE format('SELECT DISTINCT %L::regclass, m[1] FROM %s t, regress_privacy.started s, '
                                    'regexp_matches(t::text, ''[A-Za-z-]*marker|6655443|203\.0\.113\.201'', ''g'') m '
                                    'WHERE %s',
            -- others leave huge rows there
            relation, relation,
            CASE relation WHEN 'usher.audit_logs'::regclass THEN 't.created_at >= s.at' ELSE 'true' END);
    END LOOP;
END $$;
SELECT pg_sleep(1.1);
SELECT usher._seal_audit_log() > 0 AS sealed;
SELECT relation, count(*) AS markers FROM regress_privacy.marked() GROUP BY relation ORDER BY relation::text;
SELECT usher.erase_user(:'ida');
SELECT * FROM regress_privacy.marked() ORDER BY relation::text, found;
-- what must stay does: that there was consent, who did what, and the seals of the log
SELECT purpose, document_version, withdrawn_at IS NOT NULL AS withdrawn FROM usher.consents WHERE user_id = :'ida';
SELECT changed_by = :'ida' AS by_her, changed_by_name
FROM usher.status_history WHERE relation = 'regress_privacy.jobs'::regclass ORDER BY seq;
SELECT actor_id = :'ida' AS by_her, actor_name, client_ip FROM usher.audit_logs WHERE event_type = 'privacy.test';
SELECT bool_and(v.is_intact) AS intact
FROM regress_privacy.started s, LATERAL usher.verify_audit_chain(since => s.at) v;
SELECT jsonb_path_query_array(usher.export_user(:'ida'),
                              '$.keyvalue() ? (@.value.type() == "array" && @.value.size() > 0).key') AS parts_left;
SELECT usher.remove_route('POST', '/regress/privacy');

-- Import: the key of the other system, the hash as it is, and nothing is mailed.
SELECT error, user_id AS imp FROM usher.import_user('imported@privacy.example',
    public.crypt('the old password', public.gen_salt('bf', 4)), '4711', 'Imp', 'Orted', 'imported',
    created_at => '2019-01-01 00:00 UTC', metadata => '{"legacy": true}') \gset
SELECT email, status, external_id, u.created_at AT TIME ZONE 'UTC' AS created_at, metadata,
       left(c.password_hash, 4) AS hash
FROM usher.users u JOIN usher.credentials c ON c.user_id = u.id WHERE u.id = :'imp';
SELECT event, payload - 'user_id' AS payload FROM usher.events WHERE key = :'imp';
SELECT error, session_id IS NOT NULL AS session FROM usher.login('imported', 'the old password');
SELECT left(c.password_hash, 9) AS renewed FROM usher.credentials c WHERE c.user_id = :'imp';
SELECT error, user_id = :'imp' AS the_same FROM usher.import_user('other@privacy.example', external_id => '4711');
SELECT (usher.get_user(:'imp')).external_id, (usher.get_user(:'imp')).role,
       usher.user_has_role(:'imp', 'client') AS client;
SELECT error, user_id FROM usher.import_user('IMPORTED@privacy.example', external_id => '4712');
SELECT error, user_id FROM usher.import_user('new@privacy.example', username => 'Imported');
SELECT error, user_id FROM usher.import_user('no address');
SELECT usher.import_user('new@privacy.example', 'plain text');
SELECT usher.import_user('new@privacy.example', '$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW');
SELECT error, user_id AS unverified FROM usher.import_user('unverified@privacy.example', email_verified => false) \gset
SELECT status, email_verified_at, display_name FROM usher.users WHERE id = :'unverified';
SELECT error FROM usher.login('unverified@privacy.example', '');
CREATE ROLE regress_privacy_app;
SELECT usher.grant_access('regress_privacy_app', 'application');
SET ROLE regress_privacy_app;
SELECT usher.import_user('app@privacy.example');
RESET ROLE;
SELECT usher.revoke_access('regress_privacy_app');
DROP ROLE regress_privacy_app;

DROP SCHEMA regress_privacy CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_privacy';
DELETE FROM usher.network_failures;
DELETE FROM usher.users WHERE email LIKE '%privacy.example' OR email LIKE '%erased.invalid';

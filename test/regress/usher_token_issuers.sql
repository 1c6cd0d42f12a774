-- Tokens of outside issuers: whose they are, every refusal once, and that changes are seen at once.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_issuers;

-- The issuer's key pairs: those of RFC 7515 A.3 (P-256) and A.2 (RSA), and another P-256 one.
\set ec '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}'
\set ec_public '{"kty":"EC","crv":"P-256","kid":"ec-1","use":"sig","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
\set rsa '{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ","p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc","q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc","dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0","dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU","qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}'
\set rsa_public '{"kty":"RSA","kid":"rsa-1","use":"sig","alg":"RS256","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}'

CREATE TABLE regress_issuers.sets AS
    SELECT jsonb_build_object('keys', jsonb_build_array(:'rsa_public'::jsonb, :'ec_public'::jsonb)) AS jwks;

INSERT INTO usher.users (email, status) VALUES ('ann@issuers.example', 'active') RETURNING id AS ann \gset
INSERT INTO usher.users (email, status) VALUES ('bob@issuers.example', 'active') RETURNING id AS bob \gset
SELECT error FROM usher.link_identity(:'ann', 'auth0', 'auth0|ann');

-- A token of the issuer, with other claims, header and keys where the test wants them.
CREATE FUNCTION regress_issuers.claims(changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql STABLE
    RETURN jsonb_strip_nulls(
        jsonb_build_object('iss', 'https://tenant.example/', 'aud', 'https://api.example', 'sub', 'auth0|ann',
        'iat', extract(epoch FROM clock_timestamp())::bigint - 60, 'exp',
        extract(epoch FROM clock_timestamp())::bigint + 600, 'azp', 'web', 'scope', 'openid') || changes);
SELECT set_config('regress.ec', :'ec', false) = :'ec' AND set_config('regress.rsa', :'rsa', false) = :'rsa' AS set;
CREATE FUNCTION regress_issuers.token(changes jsonb DEFAULT '{}', kid text DEFAULT 'ec-1')
    RETURNS text LANGUAGE sql STABLE
    RETURN usher.sign_jwt(regress_issuers.claims(changes), current_setting('regress.ec'), 'ES256', kid);

-- Not trusted yet: nobody's token.
SELECT claims, error FROM usher.verify_token(regress_issuers.token());

-- Issuers that are refused.
SELECT usher.add_token_issuer(NULL, '{a}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('', '{a}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('http://localhost:8080', '{a}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer(repeat('x', 513), '{a}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', NULL, jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a,NULL}', jwks, 'auth0') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', jwks, '') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', NULL, 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', '[]', 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', '{"keys": []}', 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}',
                              '{"keys": [{"kty": "oct", "alg": "HS256", "k": "AAAA"}]}', 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}',
                              jsonb_build_object('keys', jsonb_build_array(:'ec'::jsonb)), 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}',
                              '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}', 'auth0');
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', jwks, 'auth0', '{HS256}') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', jwks, 'auth0', '{none}') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', jwks, 'auth0', '{}') FROM regress_issuers.sets;
SELECT usher.add_token_issuer('https://tenant.example/', '{a}', jwks, 'auth0', '{EdDSA}') FROM regress_issuers.sets;
SELECT usher.update_token_issuer('https://nobody.example/', is_active => false);
SELECT usher.remove_token_issuer('https://nobody.example/');
SELECT usher.remove_token_issuer(NULL);

SELECT usher.add_token_issuer('https://tenant.example/', '{https://api.example,https://other.example}', jwks, 'auth0')
FROM regress_issuers.sets;
\set VERBOSITY sqlstate
SELECT usher.add_token_issuer('https://tenant.example/', '{https://api.example}', jwks, 'auth0')
FROM regress_issuers.sets;
\set VERBOSITY terse
SELECT issuer, provider, audiences, algorithms, jsonb_array_length(jwks -> 'keys') AS keys, is_active
FROM usher.list_token_issuers();

-- The token of a linked user is that user's.
SELECT claims - '{iat,exp}'::text[] AS claims, error FROM usher.verify_token(regress_issuers.token());
BEGIN;
SELECT usher.authenticate(regress_issuers.token()) = :'ann' AS is_ann;
SELECT usher.current_user_id() = :'ann' AS is_ann, usher.current_session_id() AS session,
       usher.current_claims() ->> 'sub' AS subject;
COMMIT;
-- When it was used last is kept (R1-20), to the minute
SELECT last_used_at > now() - interval '1 minute' AS just_now FROM usher.list_identities(:'ann');
SELECT usher.current_user_id();
-- also over HTTP
SELECT h.status, h.body::jsonb ->> 'email' AS email
FROM usher.http_request('GET', '/auth/me', NULL, jsonb_build_object(
    'authorization', 'Bearer ' || regress_issuers.token()), NULL, '192.0.2.1') h;
SELECT h.status, h.body::jsonb ->> 'code' AS code, h.headers -> 0 AS header
FROM usher.http_request('GET', '/auth/me', NULL, jsonb_build_object(
    'authorization', 'Bearer ' || regress_issuers.token('{"sub": "auth0|nobody"}')), NULL, '192.0.2.1') h;
-- a sid of theirs is none of our sessions
BEGIN;
SELECT usher.authenticate(regress_issuers.token(jsonb_build_object('sid', gen_random_uuid()))) = :'ann' AS is_ann,
       usher.current_session_id() AS session;
ROLLBACK;

-- roles that a token claims are words: decisions read tables
BEGIN;
SELECT usher.authenticate(
    regress_issuers.token('{"roles": ["admin"], "permissions": ["*:*"], "scope": "*:*"}')) = :'ann' AS is_ann,
       usher.current_claims() -> 'roles' AS claimed,
       usher.has_role('admin') AS admin, usher.has_permission('user:manage') AS may;
ROLLBACK;

-- What is accepted, and every refusal.
SELECT n, (usher.verify_token(token)).error
FROM (VALUES
    (1, regress_issuers.token('{"aud": ["https://x.example", "https://other.example"]}')),
    (2, usher.sign_jwt(regress_issuers.claims(), :'rsa', 'RS256', 'rsa-1')),
    (3, usher.sign_jwt(regress_issuers.claims(), :'ec', 'ES256')), -- the only key for ES256
    (10, regress_issuers.token('{"aud": "https://x.example"}')),
    (11, regress_issuers.token('{"aud": []}')),
    (12, regress_issuers.token('{"aud": null}')),
    (13, regress_issuers.token('{"aud": ["https://api.example", 7]}')),
    (14, regress_issuers.token('{"iss": "https://tenant.example"}')), -- no slash at its end: another issuer
    (15, regress_issuers.token('{"exp": null}')),
    (16, regress_issuers.token('{"exp": 1}')),
    (17, regress_issuers.token('{"nbf": 4102444800}')),
    (18, regress_issuers.token('{"sub": null}')),
    (19, regress_issuers.token('{"sub": ""}')),
    (20, regress_issuers.token('{"sub": 7}')),
    (21, regress_issuers.token(jsonb_build_object('sub', repeat('x', 2000)))),
    (22, regress_issuers.token('{"sub": "auth0|nobody"}')),
    (23, regress_issuers.token(jsonb_build_object('sub', :'ann'))), -- our own id is no subject of theirs
    (24, regress_issuers.token('{}', 'ec-2')),
    (25, regress_issuers.token('{}', 'rsa-1')),
    (26, usher.sign_jwt(regress_issuers.claims(), :'rsa', 'PS256', 'rsa-1'))
) AS t(n, token)
ORDER BY n;
-- the public key as an HMAC secret, and their key under the name of ours
SELECT (usher.verify_token(usher.sign_jwt(regress_issuers.claims(), ' ' || :'ec_public', 'HS256', 'ec-1'))).error;
SELECT usher.rotate_signing_key('ES256') AS own \gset
SELECT (usher.verify_token(
    regress_issuers.token(jsonb_build_object('iss', 'http://localhost:8080', 'aud', 'usher', 'sub', :'ann'), :'own'))).error;
SELECT (usher.verify_token(regress_issuers.token('{}', :'own'))).error;
-- one of our own tokens is not theirs
SELECT (usher.verify_token(usher.issue_token(:'ann'))).error;
-- Seen again it comes from memory; whose it is does not.
SELECT regress_issuers.token() AS token \gset
SELECT error FROM usher.verify_token(:'token');
BEGIN;
SELECT usher.authenticate(:'token') = :'ann' AS is_ann;
SELECT usher.unlink_identity(:'ann', 'auth0');
ROLLBACK;
SELECT error FROM usher.verify_token(:'token');
SELECT usher.unlink_identity(:'ann', 'auth0');
SELECT error FROM usher.verify_token(:'token');
SELECT usher.authenticate(:'token');
SELECT error FROM usher.link_identity(:'bob', 'auth0', 'auth0|ann');
SELECT usher.authenticate(:'token') = :'bob' AS is_bob;
-- a deactivated user is refused, with a code of its own
SELECT usher.deactivate_user(:'bob');
SELECT error FROM usher.verify_token(:'token');
\set VERBOSITY default
SELECT usher.authenticate(:'token');
\set VERBOSITY terse
SELECT usher.reactivate_user(:'bob');
SELECT error FROM usher.verify_token(:'token');
-- in the middle of a transaction
BEGIN;
SELECT usher.authenticate(:'token') = :'bob' AS is_bob;
DELETE FROM usher.identities WHERE user_id = :'bob';
SELECT usher.current_user_id();
ROLLBACK;
-- expiry is looked at every time
SELECT regress_issuers.token(jsonb_build_object('exp', extract(epoch FROM clock_timestamp()) + 2)) AS short \gset
SELECT error FROM usher.verify_token(:'short');
SELECT pg_sleep(2.1);
SELECT error FROM usher.verify_token(:'short');

-- Changes of the issuer are seen at once, those of a transaction that rolls back not at all afterwards.
BEGIN;
SELECT usher.update_token_issuer('https://tenant.example/', is_active => false);
SELECT error FROM usher.verify_token(:'token');
ROLLBACK;
SELECT error FROM usher.verify_token(:'token');
SELECT usher.update_token_issuer('https://tenant.example/', audiences => '{somebody else}');
SELECT error FROM usher.verify_token(:'token');
SELECT usher.update_token_issuer('https://tenant.example/', audiences => '{https://api.example}',
                                 algorithms => '{RS256}');
SELECT error FROM usher.verify_token(:'token');
SELECT usher.update_token_issuer('https://tenant.example/', algorithms => '{ES256,RS256}', provider => 'other');
SELECT error FROM usher.verify_token(:'token');
SELECT usher.update_token_issuer('https://tenant.example/', provider => 'auth0',
                                 jwks => jsonb_build_object('keys', jsonb_build_array(:'rsa_public'::jsonb)));
SELECT error FROM usher.verify_token(:'token');
SELECT usher.update_token_issuer('https://tenant.example/', jwks => '{"keys": []}');
SELECT usher.update_token_issuer('https://tenant.example/', jwks => jwks) FROM regress_issuers.sets;
SELECT error FROM usher.verify_token(:'token');
-- a key set that came past the functions spoils nothing else
UPDATE usher.token_issuers SET jwks = '{"keys": "junk"}';
SELECT error FROM usher.verify_token(:'token');
SELECT (usher.verify_token(usher.issue_token(:'ann'))).error;
SELECT usher.remove_token_issuer('https://tenant.example/');
SELECT error FROM usher.verify_token(:'token');
SELECT count(*) FROM usher.list_token_issuers();
SELECT event_type, severity, resource_id, event_data
FROM usher.audit_logs WHERE event_type LIKE 'token_issuer.%' ORDER BY id;

-- Who may.
CREATE ROLE regress_issuers_app;
SELECT usher.grant_access('regress_issuers_app', 'application');
SET ROLE regress_issuers_app;
SELECT usher.add_token_issuer('https://evil.example/', '{a}', '{"keys": []}', 'auth0');
SELECT usher.update_token_issuer('https://tenant.example/', is_active => true);
SELECT usher.remove_token_issuer('https://tenant.example/');
SELECT * FROM usher.list_token_issuers();
SELECT count(*) FROM usher.token_issuers;
SELECT usher.wrap_secrets();
RESET ROLE;
SELECT usher.revoke_access('regress_issuers_app', 'application');
DROP ROLE regress_issuers_app;

DROP SCHEMA regress_issuers CASCADE;
DELETE FROM usher.signing_keys WHERE kid <> :'own';
UPDATE usher.signing_keys SET retires_at = NULL;
DELETE FROM usher.users WHERE email LIKE '%@issuers.example';

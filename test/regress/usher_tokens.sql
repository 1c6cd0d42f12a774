-- Access tokens, their keys, and tokens of the caller's own: what is accepted, and every refusal once.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA regress_tokens;

-- A token taken apart, changed and put together again.
CREATE FUNCTION regress_tokens.encode(plain text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN rtrim(translate(replace(encode(convert_to(plain, 'UTF8'), 'base64'), E'\n', ''), '+/', '-_'), '=');
CREATE FUNCTION regress_tokens.encode_bytes(bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN rtrim(translate(replace(encode(bytes, 'base64'), E'\n', ''), '+/', '-_'), '=');
CREATE FUNCTION regress_tokens.decode(coded text) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN convert_from(decode(rpad(translate(coded, '-_', '+/'), (length(coded) + 3) / 4 * 4, '='), 'base64'),
                        'UTF8')::jsonb;

INSERT INTO usher.users (email, status) VALUES ('ann@tokens.example', 'active') RETURNING id AS ann \gset
INSERT INTO usher.users (email, status, deactivated_at)
VALUES ('gone@tokens.example', 'deactivated', now()) RETURNING id AS gone \gset

-- Issue and verify, with the algorithm of the default whatever ran before.
SELECT usher.rotate_signing_key('ES256') AS es256 \gset
SELECT usher.issue_token(:'ann', '{"shift": "early"}', '10 minutes') AS token \gset
SELECT split_part(:'token', '.', 1) AS header, split_part(:'token', '.', 2) AS payload,
       split_part(:'token', '.', 3) AS signature \gset
SELECT d - 'kid' AS header,
       d ->> 'kid' = (SELECT kid FROM usher.list_signing_keys() WHERE status = 'active' LIMIT 1) AS kid_is_current
FROM regress_tokens.decode(:'header') AS d;
SELECT error, claims - '{sub,iat,nbf,exp,jti}'::text[] AS claims, claims ->> 'sub' = :'ann' AS sub,
       (claims ->> 'exp')::bigint - (claims ->> 'iat')::bigint AS ttl, claims -> 'nbf' = claims -> 'iat' AS nbf,
       (claims ->> 'jti')::uuid IS NOT NULL AS jti
FROM usher.verify_token(:'token');
-- the second time comes from the cache
SELECT (SELECT v FROM usher.verify_token(:'token') v) = (SELECT v FROM usher.verify_token(:'token') v) AS same;

-- aud is a plain string, and the default life is usher.access_token_ttl, 15 minutes
SELECT jsonb_typeof(c -> 'aud') AS aud, (c ->> 'exp')::bigint - (c ->> 'iat')::bigint AS seconds
FROM (SELECT (usher.verify_token(usher.issue_token(:'ann'))).claims AS c) AS t;

-- Refusals of issue_token.
SELECT usher.issue_token(NULL);
SELECT usher.issue_token('00000000-0000-0000-0000-000000000000');
SELECT usher.issue_token(:'gone');
SELECT usher.issue_token(:'ann', '[]');
SELECT usher.issue_token(:'ann', '{"sub": "somebody else"}');
SELECT usher.issue_token(:'ann', '{"roles": ["admin"]}');
SELECT usher.issue_token(:'ann', '{}', '0');
SELECT usher.issue_token(:'ann', '{}', '-1 second');
SELECT usher.issue_token(:'ann', '{}', '25 hours');
SELECT usher.issue_token(:'ann', jsonb_build_object('x', repeat('x', 20000)));
\set VERBOSITY sqlstate
SELECT usher.issue_token(NULL);
SELECT usher.issue_token(:'gone');
SELECT usher.issue_token(:'ann', '[]');
\set VERBOSITY terse

-- What is no token of ours: an error code, never an exception.
SELECT n, (usher.verify_token(token)).*
FROM (VALUES
    (1, NULL), (2, ''), (3, '.'), (4, 'a.b.c'), (5, :'token' || '.'), (6, :'token' || '='), (7, ' ' || :'token'),
    (8, repeat('x', 1000000)),
    (9, repeat('.', 1000000)),
    (10, :'header' || '.' || :'payload'),
    (11, :'header' || '.' || :'payload' || '.'),
    (12, :'header' || '.' || regress_tokens.encode('{"sub":"x"}') || '.' || :'signature'),
    (13, regress_tokens.encode('{"alg":"none"}') || '.' || :'payload' || '.AA'),
    (14, regress_tokens.encode('{"alg":"none","kid":"nobody"}') || '.' || :'payload' || '.AA'),
    (15, regress_tokens.encode((regress_tokens.decode(:'header') || '{"alg": "HS256"}')::text) || '.' || :'payload'
         || '.' || :'signature'),
    (16, regress_tokens.encode((regress_tokens.decode(:'header') || '{"crit": ["exp"]}')::text) || '.' || :'payload'
         || '.' || :'signature'),
    (17, regress_tokens.encode((regress_tokens.decode(:'header') || '{"typ": "JWT"}')::text) || '.' || :'payload'
         || '.' || :'signature'),
    (18, regress_tokens.encode('{"alg":"ES256","alg":"ES256"}') || '.' || :'payload' || '.' || :'signature'),
    (19, regress_tokens.encode('[]') || '.' || :'payload' || '.' || :'signature'),
    (20, :'header' || '.' || :'payload' || '.' || reverse(:'signature') || 'A')
) AS bad(n, token)
ORDER BY n;

-- Expired, not yet valid, other issuer, other audience, other type: signed with our own key, as only the owner could.
SELECT private_key, kid FROM usher.signing_keys ORDER BY activates_at DESC LIMIT 1 \gset
SELECT usher.issue_token(:'ann', '{}', '1 second') AS short \gset
SELECT error FROM usher.verify_token(:'short');
SELECT pg_sleep(1.1);
SELECT claims, error FROM usher.verify_token(:'short');
SET usher.clock_skew = 60;
SELECT error FROM usher.verify_token(:'short');
RESET usher.clock_skew;
SET usher.token_issuer = 'somebody else';
SELECT error FROM usher.verify_token(:'token');
RESET usher.token_issuer;
SET usher.token_audience = 'somebody else';
SELECT error FROM usher.verify_token(:'token');
RESET usher.token_audience;
SELECT error FROM usher.verify_token(:'token');
SELECT error
FROM usher.verify_token(usher.sign_jwt(jsonb_build_object('sub', :'ann', 'iss', 'http://localhost:8080', 'aud', 'usher',
                                                          'exp', 4102444800), :'private_key', 'ES256', :'kid'));

-- Tokens of the caller's own: every algorithm.
CREATE TABLE regress_tokens.own_keys AS
    SELECT algorithm, private_key, public_jwk FROM usher.signing_keys WHERE false;
DO $$
DECLARE
    algorithm text;
    named text;
BEGIN
    FOREACH algorithm IN ARRAY '{ES384,ES512,EdDSA,RS256,PS256}'::text[] LOOP
        named := usher.rotate_signing_key(algorithm);
        INSERT INTO regress_tokens.own_keys
        SELECT k.algorithm, k.private_key, k.public_jwk FROM usher.signing_keys k WHERE k.kid = named;
    END LOOP;
END $$;
SELECT k.algorithm, v.claims, v.error,
       (usher.verify_jwt(usher.sign_jwt('{"a": 1}', k.private_key, k.algorithm), k.public_jwk::text,
                         k.algorithm)).claims AS with_public_jwk
FROM regress_tokens.own_keys k,
     usher.verify_jwt(usher.sign_jwt('{"a": 1}', k.private_key, k.algorithm), k.private_key, k.algorithm) v
ORDER BY k.algorithm;
SELECT algorithm, (
    usher.verify_jwt(usher.sign_jwt('{"a": [1, "\u00e4"]}', repeat('k', 64), algorithm), repeat('k', 64), algorithm)).*
FROM unnest('{HS256,HS384,HS512}'::text[]) AS algorithm;
SELECT usher.sign_jwt('{"sub": "1"}', repeat('k', 32)) AS own \gset
SELECT :'own' AS token;

-- Claims of every shape come out as the jsonb that the server itself makes of their text.
SELECT n, (v.claims = payload::jsonb) AS same, v.claims::text = payload::jsonb::text AS same_text,
       pg_column_size(ROW(v.claims)) = pg_column_size(ROW(payload::jsonb)) AS same_size
FROM (VALUES
    (1, '{}'), (2, '{"a":{},"b":[],"c":[[]],"d":[{}],"":null}'), (3, '{"bb":1,"a":2,"c":3,"aaa":4,"ab":5}'),
    (4, '{"n":[0,-0,1,-1,1.0,1.50,-1.5e-3,1e2,1E+20,9223372036854775807,-9223372036854775808,9223372036854775808,'
        '123456789012345678901234567890.123456789]}'),
    (5, '{"e":[1e-307,1e307,0.1,0e0,-0.0]}'), (6, '{"t":true,"f":false,"z":null,"s":"","l":[true,false,null,""]}'),
    (7, '{"\u00e4\u0062":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00","ab":"x","\u0061c":1}'),
    (8, '{"deep":[[[[[[[[[[[[{"x":[1,"y"]}]]]]]]]]]]]]}'),
    (9, (SELECT json_object_agg('key' || i, i) FROM generate_series(1, 100) i)::text),
    (10, (SELECT json_build_object('list', json_agg(repeat('x', i))) FROM generate_series(0, 99) i)::text),
    (11, (SELECT json_build_object(
        'mixed', json_agg(CASE i % 4 WHEN 0 THEN to_json(i) WHEN 1 THEN to_json(i::text)
                              WHEN 2 THEN json_build_array(i) ELSE json_build_object(i, i) END))
          FROM generate_series(1, 100) i)::text),
    (12, json_build_object('long', repeat('x', 9000), 'longer', repeat('ä', 1000))::text)
) AS shape(n, payload),
LATERAL (SELECT regress_tokens.encode('{"alg":"HS256"}') || '.' || regress_tokens.encode(payload)) AS h(signed),
LATERAL usher.verify_jwt(signed || '.' || regress_tokens.encode_bytes(
    hmac(convert_to(signed, 'UTF8'), convert_to(repeat('k', 32), 'UTF8'), 'sha256')),
                         repeat('k', 32)) AS v
ORDER BY n;

-- Refusals of verify_jwt that are results.
SELECT n, (usher.verify_jwt(token, key, algorithm, issuer, audience)).*
FROM (VALUES
    (1, NULL, repeat('k', 32), 'HS256', NULL, NULL),
    (2, 'junk', repeat('k', 32), 'HS256', NULL, NULL),
    (3, :'own', repeat('j', 32), 'HS256', NULL, NULL),
    (4, :'own', repeat('k', 64), 'HS512', NULL, NULL),
    (5, :'own', repeat('k', 32), 'HS256', 'us', NULL),
    (6, :'own', repeat('k', 32), 'HS256', NULL, 'us'),
    (7, usher.sign_jwt('{"exp": 1}', repeat('k', 32)), repeat('k', 32), 'HS256', NULL, NULL),
    (8, usher.sign_jwt('{"nbf": 4102444800}', repeat('k', 32)), repeat('k', 32), 'HS256', NULL, NULL),
    (9, usher.sign_jwt('{"exp": "tomorrow"}', repeat('k', 32)), repeat('k', 32), 'HS256', NULL, NULL),
    (10, usher.sign_jwt('{"iss": "us", "aud": ["them", "us"]}', repeat('k', 32)), repeat('k', 32), 'HS256', 'us', 'us')
) AS bad(n, token, key, algorithm, issuer, audience)
ORDER BY n;
-- a public key is no HMAC secret
SELECT (usher.verify_jwt(usher.sign_jwt('{}', k.public_jwk ->> 'n'), k.public_jwk::text, 'RS256')).*
FROM regress_tokens.own_keys k WHERE k.algorithm = 'RS256';

-- Refusals of keys and algorithms that are exceptions: the caller's mistake.
SELECT usher.verify_jwt(:'own', NULL);
SELECT usher.verify_jwt(:'own', '');
SELECT usher.verify_jwt(:'own', 'short');
SELECT usher.verify_jwt(:'own', repeat('k', 1000000));
SELECT usher.verify_jwt(:'own', repeat('k', 32), 'none');
SELECT usher.verify_jwt(:'own', repeat('k', 32), NULL);
SELECT usher.verify_jwt(:'own', repeat('k', 32), 'ES256');
SELECT usher.verify_jwt(:'own', '{"kty":"oct"}');
SELECT usher.verify_jwt(:'own', '{"kty":"EC","crv":"P-256"}', 'ES256');
SELECT usher.verify_jwt(:'own', :'private_key', 'HS256');
SELECT usher.verify_jwt(:'own', :'private_key', 'ES384');
SELECT usher.sign_jwt(NULL, repeat('k', 32));
SELECT usher.sign_jwt('[]', repeat('k', 32));
SELECT usher.sign_jwt(jsonb_build_object('x', repeat('x', 20000)), repeat('k', 32));
SELECT usher.sign_jwt('{}', public_jwk::text, algorithm) FROM regress_tokens.own_keys WHERE algorithm = 'EdDSA';

-- Rotation: the new key signs, the old ones verify until they retire, all are published.
SELECT usher.rotate_signing_key('ES256') AS es256 \gset
SELECT error FROM usher.verify_token(:'token');
SELECT status, count(*) > 0 AS some FROM usher.list_signing_keys() GROUP BY status ORDER BY status;
SELECT status, retires_at IS NULL AS stays FROM usher.list_signing_keys() WHERE kid = :'es256';
SELECT min(retires_at - now()) > '24 hours' AS overlap FROM usher.list_signing_keys() WHERE status = 'retiring';
-- two in one transaction: the second one signs
BEGIN;
SELECT usher.rotate_signing_key('ES384') AS first \gset
SELECT usher.rotate_signing_key('ES256') AS es256 \gset
COMMIT;
SELECT status FROM usher.list_signing_keys() WHERE kid = :'es256';
SELECT usher.rotate_signing_key(NULL, '1 day') AS later \gset
SELECT status, algorithm FROM usher.list_signing_keys() WHERE kid = :'later';
SELECT status, date_trunc('hour', retires_at - now() + interval '30 minutes') AS retires_in
FROM usher.list_signing_keys() WHERE kid = :'es256';
-- one before a pending one: it signs until that begins
SELECT usher.rotate_signing_key('ES256') AS es256 \gset
SELECT status, date_trunc('hour', retires_at - now() + interval '30 minutes') AS retires_in
FROM usher.list_signing_keys() WHERE kid = :'es256';
SELECT status, retires_at FROM usher.list_signing_keys() WHERE kid = :'later';
SELECT regress_tokens.decode(split_part(usher.issue_token(:'ann'), '.', 1)) ->> 'kid' = :'es256' AS still_es256;
SELECT count(*) = jsonb_array_length(usher.jwks() -> 'keys') AS all_published
FROM usher.list_signing_keys() WHERE status <> 'retired';
SELECT DISTINCT jsonb_object_keys(j) AS members FROM jsonb_array_elements(usher.jwks() -> 'keys') AS j ORDER BY 1;
-- HMAC keys sign but are never published
SELECT usher.rotate_signing_key('HS256') AS hs256 \gset
SELECT usher.issue_token(:'ann') AS hs256_token \gset
SELECT regress_tokens.decode(split_part(:'hs256_token', '.', 1)) ->> 'alg' AS alg, error
FROM usher.verify_token(:'hs256_token');
SELECT usher.jwks()::text LIKE '%' || :'hs256' || '%' AS published;
-- a retired key no longer verifies, in this session too
UPDATE usher.signing_keys
SET activates_at = now() - interval '2 days', retires_at = now() - interval '1 day' WHERE kid = :'hs256';
SELECT error FROM usher.verify_token(:'hs256_token');
BEGIN;
DELETE FROM usher.signing_keys;
SELECT error FROM usher.verify_token(:'token');
ROLLBACK;
SELECT error FROM usher.verify_token(:'token');
SELECT usher.rotate_signing_key('none');
SELECT usher.rotate_signing_key('ES256', '-1 day');
SELECT usher.rotate_signing_key('ES256', '31 days');

-- Upkeep: a key goes when it has retired, and not before; its tokens are refused from then on. The longest life that a
-- token can have ends before its key retires, whenever it was made.
SELECT usher.rotate_signing_key('ES384') AS old_key \gset
SELECT usher.issue_token(:'ann', '{}', '24 hours') AS longest \gset
SELECT usher.rotate_signing_key('ES256') AS es256 \gset
SELECT retires_at > to_timestamp(
    (regress_tokens.decode(split_part(:'longest', '.', 2)) ->> 'exp')::bigint) + interval '59 minutes' AS outlived
FROM usher.list_signing_keys() WHERE kid = :'old_key';
SELECT affected FROM usher.run_maintenance() WHERE task = 'signing_keys_removed' \gset before_
SELECT count(*) AS still_there FROM usher.list_signing_keys() WHERE kid = :'old_key';
SELECT error FROM usher.verify_token(:'longest');
UPDATE usher.signing_keys
SET activates_at = activates_at - interval '26 hours', retires_at = now() - interval '1 second' WHERE kid = :'old_key';
SELECT affected FROM usher.run_maintenance() WHERE task = 'signing_keys_removed';
SELECT count(*) AS still_there FROM usher.list_signing_keys() WHERE kid = :'old_key';
SELECT error FROM usher.verify_token(:'longest');
SELECT error FROM usher.verify_token(usher.issue_token(:'ann'));

-- Who may.
CREATE ROLE regress_tokens_app;
SELECT usher.grant_access('regress_tokens_app', 'application');
SET ROLE regress_tokens_app;
SELECT error FROM usher.verify_token(:'token');
SELECT jsonb_array_length(usher.jwks() -> 'keys') > 0 AS published;
SELECT count(*) FROM usher.signing_keys;
SELECT usher.issue_token(:'ann');
SELECT usher.rotate_signing_key();
SELECT * FROM usher.list_signing_keys();
RESET ROLE;
SELECT usher.revoke_access('regress_tokens_app', 'application');
DROP ROLE regress_tokens_app;

DROP SCHEMA regress_tokens CASCADE;
DELETE FROM usher.signing_keys WHERE kid <> :'es256';
UPDATE usher.signing_keys SET retires_at = NULL;
DELETE FROM usher.users WHERE email LIKE '%@tokens.example';

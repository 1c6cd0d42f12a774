# usher.verify_token() with HS256: 100,000 different tokens in one statement, more than the memory of a backend holds, and
# 1,000 that come again and again. The PL/pgSQL form uses pgcrypto's hmac and what SQL has for the rest: it looks the key up and
# checks type, signature, issuer, audience and times, as verify_token() does.
use base64url;
return {
    title  => 'HS256 access tokens verified inside one statement of 100,000',
    rows   => 100_000,
    rounds => 5,
    setup  => $base64url::setup . q{
        DELETE FROM usher.signing_keys;
        SELECT usher.rotate_signing_key('HS256');
        CREATE TABLE bench.keys AS SELECT kid, bench.from_base64url(private_key) AS secret FROM usher.signing_keys;
        ALTER TABLE bench.keys ADD PRIMARY KEY (kid);
        CREATE FUNCTION bench.verify(token text) RETURNS jsonb LANGUAGE plpgsql STABLE STRICT AS $$
        DECLARE
            parts text[] := string_to_array(token, '.');
            header jsonb;
            claims jsonb;
            key bytea;
            epoch float8 := extract(epoch FROM clock_timestamp());
        BEGIN
            IF array_length(parts, 1) <> 3 THEN RETURN NULL; END IF;
            header := convert_from(bench.from_base64url(parts[1]), 'UTF8')::jsonb;
            IF header ->> 'alg' <> 'HS256' OR header ->> 'typ' <> 'at+jwt' THEN RETURN NULL; END IF;
            SELECT k.secret INTO key FROM bench.keys k WHERE k.kid = header ->> 'kid';
            IF key IS NULL OR hmac(convert_to(parts[1] || '.' || parts[2], 'UTF8'), key, 'sha256') <> bench.from_base64url(parts[3]) THEN
                RETURN NULL;
            END IF;
            claims := convert_from(bench.from_base64url(parts[2]), 'UTF8')::jsonb;
            IF claims ->> 'iss' <> 'usher' OR claims ->> 'aud' <> 'usher' THEN RETURN NULL; END IF;
            IF (claims ->> 'exp')::float8 <= epoch OR (claims ->> 'nbf')::float8 > epoch THEN RETURN NULL; END IF;
            RETURN claims;
        END $$;
        DELETE FROM usher.users WHERE email = 'bench@token.example';
        INSERT INTO usher.users (email, status) VALUES ('bench@token.example', 'active');
        CREATE TABLE bench.tokens AS
            SELECT n, usher.issue_token(u.id, '{"role": "client"}', '12 hours') AS token
            FROM usher.users u, generate_series(1, 100000) AS n WHERE u.email = 'bench@token.example';
        CREATE TABLE bench.repeated AS
            SELECT t.token FROM generate_series(1, 100) AS again, bench.tokens t WHERE t.n <= 1000 ORDER BY again, t.n;
        VACUUM (FREEZE, ANALYZE) bench.tokens;
        VACUUM (FREEZE, ANALYZE) bench.repeated;
        -- what both forms accept and refuse must be the same, else the figures mean nothing
        DO $$
        BEGIN
            ASSERT (SELECT bool_and(bench.verify(token) = (usher.verify_token(token)).claims) FROM bench.tokens WHERE n <= 2000);
            ASSERT (SELECT bool_and(bench.verify(left(token, -2) || 'AA') IS NULL AND (usher.verify_token(left(token, -2) || 'AA')).claims IS NULL)
                    FROM bench.tokens WHERE n <= 2000 AND right(token, 2) <> 'AA');
        END $$;
    },
    variants => [
        { name => 'nothing', measure => 'SELECT count(length(token)) FROM bench.tokens;' },
        { name => 'PL/pgSQL and pgcrypto', measure => 'SELECT count(bench.verify(token)) FROM bench.tokens;' },
        { name => 'verify_token(), first sight', ours => 1, measure => 'SELECT count((usher.verify_token(token)).claims) FROM bench.tokens;' },
        { name => 'verify_token(), seen before', ours => 1, measure => 'SELECT count((usher.verify_token(token)).claims) FROM bench.repeated;' },
    ],
    targets => [
        { variant => 'verify_token(), first sight', against => 'PL/pgSQL and pgcrypto', at_most => 0.1 },
        { variant => 'verify_token(), seen before', against => 'PL/pgSQL and pgcrypto', at_most => 0.04 },
    ],
};

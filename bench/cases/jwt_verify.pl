# One HS256 token checked: signature, claims as jsonb, exp and nbf. The PL/pgSQL form uses pgcrypto's hmac and what SQL has
# for the rest; it checks the same things.
use base64url;
return {
    title => 'HS256 token verified inside one statement',
    rows  => 2_000,
    setup => $base64url::setup . q{
        CREATE FUNCTION bench.verify(token text, secret bytea) RETURNS jsonb LANGUAGE plpgsql STABLE STRICT AS $$
        DECLARE
            parts text[] := string_to_array(token, '.');
            header jsonb;
            claims jsonb;
            epoch float8 := extract(epoch FROM now());
        BEGIN
            IF array_length(parts, 1) <> 3 THEN RETURN NULL; END IF;
            header := convert_from(bench.from_base64url(parts[1]), 'UTF8')::jsonb;
            IF header ->> 'alg' <> 'HS256' THEN RETURN NULL; END IF;
            IF hmac(convert_to(parts[1] || '.' || parts[2], 'UTF8'), secret, 'sha256') <> bench.from_base64url(parts[3]) THEN
                RETURN NULL;
            END IF;
            claims := convert_from(bench.from_base64url(parts[2]), 'UTF8')::jsonb;
            IF (claims ->> 'exp')::float8 <= epoch OR (claims ->> 'nbf')::float8 > epoch THEN RETURN NULL; END IF;
            RETURN claims;
        END $$;
        CREATE TABLE bench.tokens AS
            SELECT usher.sign_jwt(jsonb_build_object('sub', gen_random_uuid(), 'iss', 'bench', 'aud', 'bench',
                       'nbf', extract(epoch FROM now())::bigint - 60, 'exp', extract(epoch FROM now())::bigint + 86400,
                       'role', 'client'), repeat('k', 32), 'HS256') AS token
            FROM generate_series(1, 2000);
        VACUUM (FREEZE, ANALYZE) bench.tokens;
        -- what both forms accept and refuse must be the same, else the figures mean nothing
        DO $$
        BEGIN
            ASSERT (SELECT bool_and(bench.verify(token, repeat('k', 32)::bytea) = (usher.verify_jwt(token, repeat('k', 32), 'HS256')).claims)
                    FROM bench.tokens);
            ASSERT (SELECT bool_and(bench.verify(token, repeat('x', 32)::bytea) IS NULL
                                    AND (usher.verify_jwt(token, repeat('x', 32), 'HS256')).claims IS NULL) FROM bench.tokens);
        END $$;
    },
    variants => [
        { name => 'nothing', measure => 'SELECT count(length(token)) FROM bench.tokens;' },
        { name => 'PL/pgSQL and pgcrypto', measure => q{SELECT count(bench.verify(token, repeat('k', 32)::bytea)) FROM bench.tokens;} },
        { name => 'usher.verify_jwt()', ours => 1,
          measure => q{SELECT count((usher.verify_jwt(token, repeat('k', 32), 'HS256')).claims) FROM bench.tokens;} },
    ],
};

# Becoming the user of a token, against PL/pgSQL that does the same work on rows: verifies an HMAC token by pgcrypto and looks
# whether its session is in force. Ours are ECDSA tokens (ES256), each used before in this backend, as those of a session with
# more than one request are.
use base64url;
return {
    title => 'authenticate() with a token of a session, seen before',
    rounds => 15,
    rows  => 500,
    setup => $base64url::setup . q{
        DELETE FROM usher.users WHERE email LIKE '%authenticate.bench';
        SET usher.argon2_memory = 8192; SET usher.argon2_iterations = 1; SET usher.require_verified_email = off;
        SELECT user_id FROM usher.register_user('ann@authenticate.bench', 'correct horse battery');
        CREATE TABLE bench.sessions (id uuid PRIMARY KEY, user_id uuid NOT NULL, status text NOT NULL, expires_at timestamptz NOT NULL);
        CREATE FUNCTION bench.authenticate(token text) RETURNS uuid LANGUAGE plpgsql AS $$
        DECLARE
            parts text[] := string_to_array(token, '.');
            claims jsonb;
            epoch float8 := extract(epoch FROM now());
        BEGIN
            IF array_length(parts, 1) <> 3 OR convert_from(bench.from_base64url(parts[1]), 'UTF8')::jsonb ->> 'alg' <> 'HS256'
                OR hmac(parts[1] || '.' || parts[2], repeat('k', 32), 'sha256') <> bench.from_base64url(parts[3]) THEN
                RAISE invalid_authorization_specification;
            END IF;
            claims := convert_from(bench.from_base64url(parts[2]), 'UTF8')::jsonb;
            IF (claims ->> 'exp')::float8 <= epoch OR (claims ->> 'nbf')::float8 > epoch OR claims ->> 'iss' <> 'bench' OR claims ->> 'aud' <> 'bench' THEN
                RAISE invalid_authorization_specification;
            END IF;
            PERFORM FROM bench.sessions s WHERE s.id = (claims ->> 'sid')::uuid AND s.user_id = (claims ->> 'sub')::uuid AND s.status = 'active' AND s.expires_at > now();
            IF NOT FOUND THEN RAISE invalid_authorization_specification; END IF;
            PERFORM set_config('bench.user_id', claims ->> 'sub', true);
            RETURN (claims ->> 'sub')::uuid;
        END $$;
        CREATE TABLE bench.ours AS
            SELECT l.session_id, l.access_token AS token FROM generate_series(1, 500) g,
                LATERAL usher.login('ann@authenticate.bench', 'correct horse battery' || left(g::text, 0)) l;
        INSERT INTO bench.sessions SELECT id, user_id, status, expires_at FROM usher.sessions WHERE id IN (SELECT session_id FROM bench.ours);
        CREATE TABLE bench.mine AS
            SELECT usher.sign_jwt(jsonb_build_object('iss', 'bench', 'sub', user_id, 'aud', 'bench', 'sid', id, 'jti', gen_random_uuid(), 'iat', 1,
                'nbf', 1, 'exp', extract(epoch FROM now())::bigint + 86400, 'roles', '["client"]'::jsonb, 'amr', '["pwd"]'::jsonb, 'acr', 'aal1'),
                repeat('k', 32), 'HS256') AS token FROM bench.sessions;
        VACUUM (FREEZE, ANALYZE) bench.sessions, bench.ours, bench.mine;
    },
    variants => [
        { name => 'nothing', measure => 'SELECT count(length(token)) FROM bench.mine;' },
        { name => 'PL/pgSQL and pgcrypto', measure => 'SELECT count(bench.authenticate(token)) FROM bench.mine;' },
        { name => 'usher.authenticate()', ours => 1, measure => 'SELECT count(usher.authenticate(token)) FROM bench.ours;' },
    ],
    targets => [ { variant => 'usher.authenticate()', against => 'PL/pgSQL and pgcrypto', at_most => 1.0 } ],
    teardown => q{DELETE FROM usher.users WHERE email LIKE '%authenticate.bench'; RESET ALL;},
};

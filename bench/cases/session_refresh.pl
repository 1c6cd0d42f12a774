# Exchanging a refresh token, against PL/pgSQL that does the same work on rows of the same tables: finds and holds the session,
# looks whether the token is its own and whether it and its user are good, writes the next token, writes an audit row, signs an
# access token. Both sign by HMAC, since SQL has nothing else; our default, ES256, costs some 25 us more.
return {
    title => 'a refresh of a session',
    rounds => 15,
    rows  => 200,
    setup => q{
        CREATE EXTENSION IF NOT EXISTS pgcrypto;
        DELETE FROM usher.users WHERE email LIKE '%refresh.bench';
        SET usher.argon2_memory = 8192; SET usher.argon2_iterations = 1; SET usher.require_verified_email = off;
        SELECT user_id FROM usher.register_user('ann@refresh.bench', 'correct horse battery');
        SELECT usher.rotate_signing_key('HS256');
        -- the same tables, with their constraints and indexes
        CREATE TABLE bench.users (LIKE usher.users INCLUDING ALL);
        CREATE TABLE bench.sessions (LIKE usher.sessions INCLUDING ALL) WITH (fillfactor = 70);
        CREATE TABLE bench.audit (LIKE usher.audit_logs INCLUDING ALL) PARTITION BY RANGE (created_at);
        CREATE TABLE bench.audit_default PARTITION OF bench.audit DEFAULT;
        CREATE FUNCTION bench.to_base64url(b bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN RETURN translate(encode(b, 'base64'), E'+/=\n', '-_'); END $$;
        CREATE FUNCTION bench.sign(claims jsonb) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE signed text := bench.to_base64url('{"alg":"HS256","typ":"at+jwt","kid":"1"}') || '.' || bench.to_base64url(convert_to(claims::text, 'UTF8'));
        BEGIN RETURN signed || '.' || bench.to_base64url(hmac(signed, repeat('k', 32), 'sha256')); END $$;
        CREATE FUNCTION bench.refresh(token text, OUT error text, OUT access_token text, OUT refresh_token text) LANGUAGE plpgsql AS $$
        DECLARE
            session record;
            next_token text;
        BEGIN
            SELECT s.*, u.is_active INTO session FROM bench.sessions s JOIN bench.users u ON u.id = s.user_id
            WHERE s.id = split_part(token, '.', 1)::uuid FOR NO KEY UPDATE OF s;
            IF NOT FOUND OR session.refresh_token_hash <> sha256(convert_to(token, 'UTF8')) THEN error := 'invalid_refresh_token'; RETURN; END IF;
            IF session.status <> 'active' OR NOT session.is_active OR session.expires_at <= now() THEN error := 'session_revoked'; RETURN; END IF;
            next_token := session.id || '.' || bench.to_base64url(gen_random_bytes(32));
            UPDATE bench.sessions s SET refresh_token_hash = sha256(convert_to(next_token, 'UTF8')), parent_token_hash = s.refresh_token_hash,
                generation = s.generation + s.generation_step, generation_step = 1, refreshed_at = clock_timestamp(), last_activity_at = clock_timestamp(),
                expires_at = least(s.absolute_expires_at, now() + interval '30 days'), client_ip = coalesce(inet_client_addr(), s.client_ip)
            WHERE s.id = session.id;
            INSERT INTO bench.audit (event_type, action, actor_name, client_ip, resource_type, resource_id, event_data)
            VALUES ('session.refreshed', 'refreshed', session_user, inet_client_addr(), 'user', session.user_id::text,
                jsonb_build_object('session_id', session.id, 'generation', session.generation + 1, 'repeated', false));
            access_token := bench.sign(jsonb_build_object('iss', 'bench', 'sub', session.user_id, 'aud', 'bench', 'sid', session.id, 'jti', gen_random_uuid(),
                'iat', extract(epoch FROM now())::bigint, 'nbf', extract(epoch FROM now())::bigint, 'exp', extract(epoch FROM now())::bigint + 900,
                'roles', '[]'::jsonb, 'amr', '["pwd"]'::jsonb, 'acr', 'aal1'));
            refresh_token := next_token;
        END $$;
        -- 200 sessions, each refreshed once in each round: one session in one transaction would drag all its former versions along
        CREATE TABLE bench.ours WITH (fillfactor = 50) AS
            SELECT l.refresh_token AS token FROM generate_series(1, 200) g, LATERAL usher.login('ann@refresh.bench', 'correct horse battery' || left(g::text, 0)) l;
        CREATE TABLE bench.mine WITH (fillfactor = 50) AS SELECT usher.uuid_v7() AS id, '' AS token FROM generate_series(1, 200);
        UPDATE bench.mine SET token = id || '.first';
        INSERT INTO bench.users (id, email, status) SELECT id, email, 'active' FROM usher.users WHERE email = 'ann@refresh.bench';
        INSERT INTO bench.sessions (id, user_id, refresh_token_hash, rotation_key, expires_at, absolute_expires_at)
            SELECT m.id, u.id, sha256(convert_to(m.token, 'UTF8')), gen_random_bytes(32), now() + interval '30 days', now() + interval '90 days' FROM bench.mine m, bench.users u;
    },
    variants => [
        { name => 'nothing', measure => 'UPDATE bench.mine SET token = (SELECT left(token, 100));' },
        { name => 'PL/pgSQL and pgcrypto', measure => 'UPDATE bench.mine SET token = (SELECT r.refresh_token FROM bench.refresh(token) r WHERE r.error IS NULL);' },
        { name => 'usher.refresh_session()', ours => 1,
          measure => 'UPDATE bench.ours SET token = (SELECT r.refresh_token FROM usher.refresh_session(token) r WHERE r.error IS NULL);' },
    ],
    notes => sub { my ($run_sql) = @_; my ($mine, $ours) = map { ($run_sql->("SELECT count(token) FROM bench.$_;"))[0] } qw(mine ours); $mine == 200 && $ours == 200 or die "refused: $mine, $ours\n"; return () },
    targets => [ { variant => 'usher.refresh_session()', against => 'PL/pgSQL and pgcrypto', at_most => 1.0 } ],
    teardown => q{SELECT usher.rotate_signing_key('ES256'); DELETE FROM usher.users WHERE email LIKE '%refresh.bench'; RESET ALL;},
};

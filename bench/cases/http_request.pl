# usher.http_request() against the bare call of the function that it routes to, and what each step of it adds: the route, the
# token, the permission, an argument in the path, the entity tag.
return {
    title => 'a routed read inside one statement',
    rows  => 2_000,
    setup => q{
        SELECT usher.apply_role_preset('blog');
        CREATE FUNCTION bench.one(n integer, OUT id integer, OUT name text, OUT at timestamptz) LANGUAGE plpgsql STABLE
            AS $$ BEGIN id := n; name := 'a name'; at := '2026-01-01 00:00:00+00'; END $$;
        SELECT usher.add_route('GET', '/bench/open/{n}', 'bench.one(integer)', access => 'public', read_only => true);
        SELECT usher.add_route('GET', '/bench/token/{n}', 'bench.one(integer)', read_only => true);
        SELECT usher.add_route('GET', '/bench/permission/{n}', 'bench.one(integer)', access => 'permission', permission => 'user:manage', read_only => true);
        DO $$
        DECLARE
            who uuid := (SELECT user_id FROM usher.register_user('bench@example.com', 'tiger umbrella 47 rivers'));
        BEGIN
            UPDATE usher.users SET email_verified_at = now() WHERE id = who;
            PERFORM usher.grant_role(who, 'admin');
        END $$;
        CREATE TABLE bench.headers AS
            SELECT jsonb_build_object('authorization', 'Bearer ' || l.access_token, 'host', 'localhost', 'accept', '*/*', 'user-agent', 'bench') AS value
            FROM usher.login('bench@example.com', 'tiger umbrella 47 rivers') AS l;
        -- what is measured must be a good answer, else the figures mean nothing
        DO $$
        BEGIN
            ASSERT (SELECT bool_and((usher.http_request('GET', p || '7', headers => h.value)).status = 200)
                    FROM bench.headers h, unnest(ARRAY['/bench/open/', '/bench/token/', '/bench/permission/']) AS p);
        END $$;
    },
    variants => [
        { name => 'the function, and its row as JSON', measure => 'SELECT count((SELECT to_json(r) FROM bench.one(n) AS r)::text) FROM generate_series(1, 2000) AS n;' },
        { name => 'the gateway\'s statement for a path that has no route', ours => 1,
          measure => q{SELECT count((usher.http_request('GET', '/none/' || n, headers => h.value)).status) FROM generate_series(1, 2000) AS n, bench.headers h;} },
        { name => 'public route', ours => 1,
          measure => q{SELECT count((usher.http_request('GET', '/bench/open/' || n, headers => h.value - 'authorization')).status) FROM generate_series(1, 2000) AS n, bench.headers h;} },
        { name => 'route with token', ours => 1,
          measure => q{SELECT count((usher.http_request('GET', '/bench/token/' || n, headers => h.value)).status) FROM generate_series(1, 2000) AS n, bench.headers h;} },
        { name => 'route with token and permission', ours => 1,
          measure => q{SELECT count((usher.http_request('GET', '/bench/permission/' || n, headers => h.value)).status) FROM generate_series(1, 2000) AS n, bench.headers h;} },
    ],
};

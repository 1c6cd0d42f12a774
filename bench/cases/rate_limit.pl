# Hits of one key and of ever new ones, from one backend; the table is what a hit without preload costs, one UPDATE of a row by hand.
return {
    title    => 'hit_rate_limit(): calls inside one statement',
    rows     => 10_000,
    rounds   => 7,
    setup    => q{
        SELECT usher.define_rate_limit('bench', 'sliding_window', 1000000, '1 hour');
        CREATE TABLE bench.counter (key text PRIMARY KEY, hits bigint NOT NULL) WITH (fillfactor = 50);
        CREATE FUNCTION bench.hit(of_key text) RETURNS boolean LANGUAGE plpgsql AS $$
        DECLARE n bigint;
        BEGIN
            INSERT INTO bench.counter AS c VALUES (of_key, 1) ON CONFLICT (key) DO UPDATE SET hits = c.hits + 1 RETURNING hits INTO n;
            RETURN n <= 1000000;
        END $$;},
    reset    => 'TRUNCATE bench.counter;',
    variants => [
        { name => 'nothing', measure => 'SELECT count(*) FROM generate_series(1, 10000) i WHERE (SELECT i) > 0;' },
        { name => '20,000 hits a second', command => 'echo 50000' },
        { name => 'PL/pgSQL, upsert of one row each', measure => q{SELECT count(bench.hit('k' || i)) FROM generate_series(1, 10000) i;} },
        { name => 'usher.hit_rate_limit(), one key', ours => 1,
          measure => q{SELECT count((usher.hit_rate_limit('bench', 'k')).allowed) FROM generate_series(1, 10000) i;} },
        { name => 'usher.hit_rate_limit(), 1,000 keys', ours => 1,
          measure => q{SELECT count((usher.hit_rate_limit('bench', (i % 1000)::text)).allowed) FROM generate_series(1, 10000) i;} },
    ],
    targets  => [ map { { variant => "usher.hit_rate_limit(), $_", against => '20,000 hits a second', ratio_at_most => 1 } } 'one key', '1,000 keys' ],
};

# A login against the bare hash at the same parameters: what everything around the hash costs, which is lockout, session, token,
# attempt and audit row. Then the time that an unknown name takes against a wrong password, in pairs, and the memory of a hash.
# Neither of these is asserted anywhere: they are for people who read this page.
return {
    title => 'a login against the bare hash (Argon2id, 19 MiB, t=2, p=1)',
    rounds => 10,
    rows  => 10,
    setup => q{
        DELETE FROM usher.users WHERE email LIKE '%login.bench';
        SELECT user_id FROM usher.register_user('ann@login.bench', 'correct horse battery');
        UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email = 'ann@login.bench';
        SELECT session_id IS NOT NULL FROM usher.login('ann@login.bench', 'correct horse battery'); -- makes the signing key
        -- a name of ours in a list of our own, so that the bare hash reads one row as well
        CREATE TABLE bench.hash AS SELECT c.password_hash FROM usher.credentials c JOIN usher.users u ON u.id = c.user_id WHERE u.email = 'ann@login.bench';
        CREATE TABLE bench.outcome (error text);
    },
    variants => [
        { name => 'nothing', measure => q{SELECT count(left(g::text, 0)) FROM generate_series(1, 10) g;} },
        { name => 'the bare hash',
          measure => q{SELECT count(usher.verify_password('correct horse battery' || left(g::text, 0), h.password_hash)) FROM generate_series(1, 10) g, bench.hash h;} },
        { name => 'usher.login()', ours => 1,
          measure => q{SELECT count(l.access_token) FROM generate_series(1, 10) g, LATERAL usher.login('ann@login.bench', 'correct horse battery' || left(g::text, 0)) l;} },
    ],
    targets => [ { variant => 'usher.login()', against => 'the bare hash', at_most => 1.10 } ],
    notes => sub {
        my ($run_sql, $backend) = @_;
        # An unknown name and a wrong password take turns; each pair is one after the other, so that a drift cancels.
        # Every tenth right login forgets the failures, so that nothing is locked.
        my $tries = 200;
        my @pairs = map { [ split /\|/ ] } $run_sql->(qq{
            SET usher.lockout_threshold = 100;
            SET usher.network_lockout_threshold = 10000;
            CREATE TEMP TABLE pairs (n integer, unknown double precision, wrong double precision);
            DO \$\$
            DECLARE
                t0 timestamptz; t1 timestamptz; t2 timestamptz;
            BEGIN
                FOR n IN 1 .. $tries LOOP
                    t0 := clock_timestamp();
                    IF n % 2 = 0 THEN
                        PERFORM usher.login('nobody' || n || '\@login.bench', 'wrong');
                        t1 := clock_timestamp();
                        PERFORM usher.login('ann\@login.bench', 'wrong');
                        t2 := clock_timestamp();
                        INSERT INTO pairs VALUES (n, extract(epoch FROM t1 - t0) * 1e6, extract(epoch FROM t2 - t1) * 1e6);
                    ELSE
                        PERFORM usher.login('ann\@login.bench', 'wrong');
                        t1 := clock_timestamp();
                        PERFORM usher.login('nobody' || n || '\@login.bench', 'wrong');
                        t2 := clock_timestamp();
                        INSERT INTO pairs VALUES (n, extract(epoch FROM t2 - t1) * 1e6, extract(epoch FROM t1 - t0) * 1e6);
                    END IF;
                    IF n % 10 = 0 THEN PERFORM usher.unlock_user(id) FROM usher.users WHERE email = 'ann\@login.bench'; END IF;
                END LOOP;
            END \$\$;
            SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY unknown)), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY wrong)),
                   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY unknown - wrong)),
                   round(percentile_cont(0.25) WITHIN GROUP (ORDER BY unknown - wrong)), round(percentile_cont(0.75) WITHIN GROUP (ORDER BY unknown - wrong)),
                   count(*) FILTER (WHERE unknown > wrong)
            FROM pairs;
            RESET ALL;});
        my ($unknown, $wrong, $difference, $low, $high, $longer) = @{ $pairs[-1] };
        my $peak = sub { open my $file, '<', "/proc/$backend/status" or die $!; my ($kb) = map { /^VmHWM:\s*(\d+)/ ? $1 : () } <$file>; return $kb };
        my $before = $peak->();
        $run_sql->(q{SET usher.argon2_memory = '64MB'; SELECT length(usher.hash_password('x')); RESET usher.argon2_memory;});
        my $cores = () = `cat /proc/cpuinfo` =~ /^processor/mg;
        my $step = ($peak->() - $before) / 1024;
        return ("Unknown name against wrong password, $tries pairs: median $unknown us and $wrong us; difference $difference us (quartiles $low to $high);"
              . " the unknown name took longer in $longer of $tries.", '',
            sprintf('Memory of a concurrent hash: the peak of the backend grows by %.0f MiB when it computes one of 64 MiB (usher.argon2_memory), and that is given'
              . ' back. So at the default %d hashes at once (usher.max_concurrent_hashes = 0, the number of cores) take %d times 19 MiB.', $step,
                $cores, $cores), '');
    },
    teardown => q{DELETE FROM usher.users WHERE email LIKE '%login.bench';},
};

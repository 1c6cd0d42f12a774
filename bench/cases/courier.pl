# What a registration costs more where mail is made of it: a delivery beside the event, and nothing else, since the message is made when a
# courier claims it. With the cheapest hash that there is, so that it shows. Then what making, claiming and reporting a message costs the
# database, without a network.
return {
    title  => 'registration with usher_courier (Argon2id, 8 MiB, t=1)',
    rows   => 50,
    rounds => 9,
    setup  => q{
        CREATE SCHEMA bench_courier;
        CREATE EXTENSION usher_courier SCHEMA bench_courier;
        CREATE TABLE bench.round AS SELECT 0::bigint AS n;
    },
    reset   => 'UPDATE bench.round SET n = n + 1; VACUUM usher.events, usher.deliveries, usher.users;',
    measure => q{SET usher.argon2_memory = '8MB'; SET usher.argon2_iterations = 1;
        SELECT count(u.user_id) FROM bench.round AS r, generate_series(1, 50) AS g,
            LATERAL usher.register_user(format('u%s-%s@courier.bench', r.n, g), 'correct horse battery') AS u;},
    variants => [
        { name => 'without usher_courier', reset => q{UPDATE usher.subscriptions SET is_active = false WHERE consumer = 'usher_courier';} },
        { name => 'with usher_courier', ours => 1, reset => q{UPDATE usher.subscriptions SET is_active = true WHERE consumer = 'usher_courier';} },
    ],
    targets => [ { variant => 'with usher_courier', against => 'without usher_courier', ratio_at_most => 1.05 } ],
    notes   => sub {
        my ($run_sql, $backend) = @_;
        my $cpu = sub { open my $fh, '<', "/proc/$backend/schedstat" or die; return (split ' ', <$fh>)[0] };
        my $messages = 2000;
        $run_sql->(qq{
            UPDATE usher.subscriptions SET is_active = true WHERE consumer = 'usher_courier';
            UPDATE usher.deliveries SET status = 'completed', completed_at = now() WHERE consumer = 'usher_courier' AND status = 'pending';
            INSERT INTO usher.users (email, status) SELECT 'm' || n || '\@courier.bench', 'active' FROM generate_series(1, $messages) AS n;
            SELECT count(usher.publish('user.password_changed', jsonb_build_object('user_id', u.id), u.id::text))
            FROM usher.users AS u WHERE u.email LIKE 'm%\@courier.bench';
            VACUUM ANALYZE usher.events, usher.deliveries, usher.users;});
        my $sent = 0;
        my $before = $cpu->();
        while (1) {
            my ($some) = $run_sql->(q{SELECT count(bench_courier.report_message(c.message, c.attempt, 'sent', '250')) FROM bench_courier.claim_messages('bench', 100) AS c;});
            last unless $some;
            $sent += $some;
        }
        my $each = ($cpu->() - $before) / 1e3 / $messages;
        die "$sent messages of $messages" unless $sent == $messages;
        return (sprintf('A message made, claimed and reported takes %.0f us of the database: %.0f a second of one backend.', $each, 1e6 / $each), '');
    },
    teardown => 'DROP EXTENSION usher_courier; DROP SCHEMA bench_courier;',
};

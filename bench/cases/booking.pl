# Bookings with everything on (rules, capacity, history, audit row, event) against a bare INSERT with the same exclusion constraints;
# one hot day; free slots; and whether a booking costs more when many are stored. BENCH_BOOKINGS sets how many (1,000,000 takes a while).
#
# What is compared: create_booking() keeps a row of bookings and two claims (the staff member's time, the customer's time), each kind
# under its exclusion constraint. So the bare peer writes the same three rows into copies of the same two tables, with the same columns,
# CHECKs, foreign keys, indexes and exclusion constraints, and nothing else: no trigger of ours, no rule, no history, no event, no audit
# row. It does so with one plain statement in one transaction, and is told every value. A second peer shows how much of that is the
# tables: the smallest one that can refuse a double booking, one row with one exclusion constraint on staff and time.
#
# Both are measured at two settings: as PostgreSQL ships, where a commit is on disk before it is answered, and with that off (fsync,
# synchronous_commit, full_page_writes), where nothing but CPU counts. Same clients, same prepared protocol, one round trip each.
use strict;
use warnings;
use File::Basename;
use File::Temp;
use IPC::Open2;
use durable;

my $stored = $ENV{BENCH_BOOKINGS} || 100_000;
my @psql = ($ENV{BENCH_PSQL}, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $ENV{BENCH_CONNINFO});

sub sql {
    my ($text) = @_;
    my $pid = open2(my $from, my $to, @psql) or die "psql: $!";
    print $to "SET client_min_messages = warning;\n$text\n";
    close $to;
    my @lines = <$from>;
    waitpid $pid, 0;
    die "psql failed in: " . substr($text, 0, 200) . "\n" if $?;
    chomp @lines;
    return $lines[-1];
}

# Clients of pgbench for some seconds: transactions a second, and the slowest in ms. :i counts from $first in every client.
sub clients {
    my ($clients, $seconds, $script, $first) = @_;
    my $dir = File::Temp->newdir;
    open my $fh, '>', "$dir/script.sql" or die $!;
    print $fh "\\set i :i + 1\n$script";
    close $fh;
    my $pgbench = dirname($ENV{BENCH_PSQL}) . '/pgbench';
    my $i = $first // 0;
    my $out = `$pgbench -n -M prepared -D i=$i -c $clients -j 2 -T $seconds -l --log-prefix=$dir/log -f $dir/script.sql "$ENV{BENCH_CONNINFO}" 2>&1`;
    die $out if $?;
    my ($tps) = $out =~ /^tps = ([\d.]+)/m;
    my $slowest = 0;
    for my $log (glob "$dir/log.*") {
        open my $lines, '<', $log or die $!;
        while (<$lines>) { my $us = (split)[2]; $slowest = $us if $us > $slowest }
    }
    return ($tps, $slowest / 1000);
}

# CPU time of one backend for one booking, in us.
sub cost {
    my $text = q{SELECT pg_backend_pid(); SELECT bench.book_some(50); \echo == start
SELECT pg_sleep(0.3); SELECT bench.book_some(300); \echo == end
SELECT pg_sleep(0.3);};
    my $pid = open2(my $from, my $to, @psql) or die "psql: $!";
    print $to "$text\n";
    close $to;
    my ($backend, $before, $after);
    my $cpu = sub { open my $fh, '<', "/proc/$backend/schedstat" or die $!; return (split ' ', <$fh>)[0] };
    while (<$from>) {
        chomp;
        $backend //= $_;
        $before = $cpu->() if $_ eq '== start';
        $after = $cpu->() if $_ eq '== end';
    }
    waitpid $pid, 0;
    die "psql failed\n" if $?;
    return ($after - $before) / 300 / 1000;
}

# Confirmed bookings of 20 staff members from a day on, as a restore would load them, without triggers.
sub store {
    my ($count, $first_day, $step) = @_;
    sql(qq{SET session_replication_role = replica;
        INSERT INTO bench_wash.bookings (customer_id, service_id, location_id, staff_id, status, start_at, end_at, duration, buffer_before, buffer_after,
                service_name, price_minor, currency, pending_blocks, auto_confirm, needs_staff, customer_exclusive, created_at, updated_at, version)
            SELECT bench.person((21 + i % 2000)::integer), p.service, p.location, bench.person((1 + i % 20)::integer), 'confirmed', at, at + interval '30 minutes', '30 minutes', '0', '0',
                'S', 1000, 'EUR', true, false, true, true, now(), now(), 1
            FROM bench.place AS p, generate_series(0, $count - 1) AS i,
                LATERAL (SELECT date_trunc('day', now()) + interval '$first_day days' + (i / 20) * interval '$step minutes' AS at) AS t;
        INSERT INTO bench_wash.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)
            SELECT b.id, b.id, k.kind, k.id, b.during FROM bench_wash.bookings AS b, LATERAL (VALUES ('staff', b.staff_id), ('customer', b.customer_id)) AS k (kind, id)
            ON CONFLICT DO NOTHING;
        ANALYZE bench_wash.bookings; ANALYZE bench_wash.booking_claims;});
}

# Bookings a second of the three, 8 clients, in turns.
sub spread {
    my ($location, $service) = split /\|/, sql('SELECT location, service FROM bench.place');
    # the same for all: which day, slot, staff member and customer
    my $set = "\\set n :i * 8 + :client_id\n\\set c 21 + :n / 200 % 20 * 100 + :n % 100\n\\set w 1 + :n / 200 % 20\n\\set d 2 + :n % 200\n\\set t :n / 4000 % 40\n";
    my ($customer, $staff) = map { "('00000000-0000-7000-8000-' || lpad($_\::text, 12, '0'))::uuid" } ':c', ':w';
    my $at = "date_trunc('day', now()) + :d * interval '1 day' + :t * interval '30 minutes'";
    my %script = (
        ours => "SELECT * FROM bench_wash.create_booking($customer, '$service', '$location', $at, $staff);\n",
        bare => "WITH b AS (INSERT INTO bench.bookings (id, customer_id, service_id, location_id, staff_id, status, start_at, end_at, duration, buffer_before,"
          . " buffer_after, service_name, price_minor, currency, pending_blocks, auto_confirm, needs_staff, customer_exclusive, created_at, updated_at, version)"
          . " SELECT usher.uuid_v7(), $customer, '$service', '$location', $staff, 'pending', at, at + interval '30 minutes', '30 minutes', '0', '0',"
          . " 'S', 1000, 'EUR', true, false, true, true, now(), now(), 1 FROM (SELECT $at AS at) AS t RETURNING id, customer_id, staff_id, during)"
          . " INSERT INTO bench.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)"
          . " SELECT b.id, b.id, k.kind, k.id, b.during FROM b, LATERAL (VALUES ('staff', b.staff_id), ('customer', b.customer_id)) AS k (kind, id);\n",
        smallest => "INSERT INTO bench.smallest (customer_id, service_id, location_id, staff_id, during)"
          . " SELECT $customer, '$service', '$location', $staff, tstzrange(at, at + interval '30 minutes') FROM (SELECT $at AS at) AS t;\n",
    );
    my (%tps, %first);
    for my $round (1 .. 2) {
        for my $who (qw(bare ours smallest)) {
            my $seconds = $who eq 'smallest' ? 1 : 3;
            my ($tps) = clients(8, $seconds, $set . $script{$who}, $first{$who});
            $first{$who} += int($tps * $seconds / 4) + 1000; # no slot twice
            $tps{$who} += $tps / 2;
        }
    }
    sql('TRUNCATE bench_wash.bookings, bench_wash.booking_claims, bench_wash.appointments, bench.bookings, bench.booking_claims, bench.smallest');
    return %tps;
}

sub report {
    sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE;
        DROP SCHEMA IF EXISTS bench CASCADE;
        DROP EXTENSION IF EXISTS usher_booking;
        DROP SCHEMA IF EXISTS bench_wash CASCADE;
        CREATE EXTENSION IF NOT EXISTS btree_gist;
        CREATE SCHEMA bench_wash;
        CREATE EXTENSION usher_booking SCHEMA bench_wash;
        CREATE SCHEMA bench;
        SELECT usher.apply_role_preset('carwash');
        CREATE FUNCTION bench.person(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE
            AS $$ SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
        INSERT INTO usher.users (id, email, status) SELECT bench.person(n), 'bench' || n || '@example.com', 'active'
            FROM generate_series(1, 2020) AS n ON CONFLICT DO NOTHING;
        SELECT count(usher.grant_role(bench.person(n), 'washer')) FROM generate_series(1, 20) AS n;
        CREATE TABLE bench.place AS SELECT (bench_wash.create_location('L', 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin', max_concurrent_bookings => 20)).id AS location,
            (bench_wash.create_service('S', '30 minutes', 1000, 'EUR', slot_step => '30 minutes', hold_ttl => NULL)).id AS service;
        SELECT bench_wash.set_location_hours(location, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'),
            bench_wash.set_location_services(location, ARRAY[service]) FROM bench.place;
        SELECT count(bench_wash.assign_staff(location, bench.person(n), 'washer')) FROM bench.place, generate_series(1, 20) AS n;
        INSERT INTO bench_wash.customers (id, user_id) SELECT bench.person(n), bench.person(n) FROM generate_series(21, 2020) AS n;
        CREATE SEQUENCE bench.n;
        -- the same two tables without anything of ours on them
        CREATE TABLE bench.bookings (LIKE bench_wash.bookings INCLUDING ALL);
        CREATE TABLE bench.booking_claims (LIKE bench_wash.booking_claims INCLUDING ALL, FOREIGN KEY (booking_id) REFERENCES bench.bookings ON DELETE CASCADE);
        ALTER TABLE bench.bookings ADD FOREIGN KEY (customer_id) REFERENCES bench_wash.customers,
            ADD FOREIGN KEY (service_id) REFERENCES bench_wash.services, ADD FOREIGN KEY (location_id) REFERENCES bench_wash.locations;
        CREATE TABLE bench.smallest (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), customer_id uuid NOT NULL, service_id uuid NOT NULL,
            location_id uuid NOT NULL, staff_id uuid NOT NULL, during tstzrange NOT NULL, EXCLUDE USING gist (staff_id WITH =, during WITH &&));
        CREATE FUNCTION bench.book(n bigint, first_day integer DEFAULT 2) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE p bench.place := (SELECT p FROM bench.place AS p);
        BEGIN
            PERFORM bench_wash.create_booking(bench.person((21 + n / 200 % 20 * 100 + n % 100)::integer), p.service, p.location,
                date_trunc('day', now()) + (first_day + n % 200) * interval '1 day' + (n / 4000 % 40) * interval '30 minutes',
                bench.person((1 + n / 200 % 20)::integer));
        END $$;
        CREATE FUNCTION bench.book_some(times integer) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN FOR i IN 1 .. times LOOP PERFORM bench.book(nextval('bench.n'), 40); END LOOP; END $$;});

    my @lines = ('| 8 clients, spread over 200 days | smallest table | bare INSERT | **create_booking()** | of the bare INSERT |', '| --- | --- | --- | --- | --- |');
    my %share;
    for my $on (1, 0) {
        durable::commits(\&sql, $on);
        my %tps = spread();
        my $name = $on ? 'durable commits' : 'CPU only';
        $share{$name} = $tps{ours} / $tps{bare};
        push @lines, sprintf('| %s | %.0f/s | %.0f/s | %.0f/s | %.2f |', $name, @tps{qw(smallest bare ours)}, $share{$name});
    }
    push @lines, '', 'Target: at least 0.5 of the throughput of the bare INSERT: ' .
        join('; ', map { sprintf('%s %.2f, %s', $_, $share{$_}, $share{$_} >= 0.5 ? 'met' : '**missed**') } 'durable commits', 'CPU only') . '.', '';

    my $deadlocks = sql(q{SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()});
    my ($hot, $slowest) = clients(32, 5, "\\set s random(0, 47)\n\\set w random(1, 20)\n\\set c random(21, 2020)\nSELECT bench.hot(:s, :w, :c);\n")
        if sql(q{CREATE FUNCTION bench.hot(s integer, w integer, c integer) RETURNS void LANGUAGE plpgsql AS $$
            DECLARE p bench.place := (SELECT p FROM bench.place AS p);
            BEGIN
                PERFORM bench_wash.create_booking(bench.person(c), p.service, p.location, date_trunc('day', now()) + interval '300 days' + s * interval '30 minutes', bench.person(w));
            EXCEPTION WHEN SQLSTATE 'UB001' OR SQLSTATE 'UB002' THEN
                DELETE FROM bench_wash.bookings WHERE start_at = date_trunc('day', now()) + interval '300 days' + s * interval '30 minutes' AND staff_id = bench.person(w);
            END $$; SELECT 1;});
    $deadlocks = sql(q{SELECT pg_sleep(1); SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()}) - $deadlocks;
    push @lines, sprintf('One hot day, 32 clients: %.0f calls/s, the slowest took %.0f ms (target: below 1000), %d deadlocks (target: 0).', $hot, $slowest, $deadlocks), '';

    sql('TRUNCATE bench_wash.bookings, bench_wash.booking_claims, bench_wash.appointments');
    sql(q{SELECT setval('bench.n', 200000)});
    store(10_000, 1, 86);
    my $ms = sql(q{CREATE TEMP TABLE t (ms numeric, slots bigint);
        DO $$
        DECLARE began timestamptz;
        BEGIN
            FOR i IN 1 .. 5 LOOP
                began := clock_timestamp();
                INSERT INTO t SELECT 0, count(*) FROM bench.place AS p, bench_wash.find_slots(p.location, p.service, now(), now() + interval '31 days', max_rows => 10000) AS s;
                UPDATE t SET ms = extract(epoch FROM clock_timestamp() - began) * 1000 WHERE ms = 0;
            END LOOP;
        END $$;
        SELECT round(percentile_disc(0.5) WITHIN GROUP (ORDER BY ms), 1) || ' ms for ' || max(slots) || ' slots' FROM t;});
    push @lines, "find_slots() of a month, 20 staff members, 10,000 bookings in it: $ms.", '';
    my $few = cost();
    store($stored - 10_000, -int($stored / 20 / 48) - 10, 30);
    my $many = cost();
    push @lines, sprintf('One booking costs %.0f us of CPU with 10,000 stored and %.0f us with %d: %.2f (target: at most 1.3 with 1,000,000).', $few, $many, $stored, $many / $few);
    sql('DROP SCHEMA bench CASCADE; DROP EXTENSION usher_booking; DROP SCHEMA bench_wash CASCADE');
    return @lines;
}

return { title => 'bookings with claims, capacity, history, audit and events', report => \&report };

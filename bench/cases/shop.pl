# The shop beside hand-written SQL: 32 clients who reserve one hot product, whether an order costs more when there are many products, and
# pages of a search among them. BENCH_PRODUCTS sets how many (1,000,000), BENCH_SECONDS how long the clients run in each turn (10).
#
# What is compared: reserve_stock() checks who asks, adds lines up, keeps a claim that can end, be committed in parts and be returned, and
# tells when stock runs low. The hand-written form is one statement, UPDATE … WHERE on_hand - reserved >= n with the same row of a log. All
# by prepared statements, with commits that wait for the disk, as PostgreSQL ships.
use strict;
use warnings;
use Time::HiRes qw(time);
use backend qw(sql session costs middle_of);
use durable;

my $stored = $ENV{BENCH_PRODUCTS} || 1_000_000;
my $seconds = $ENV{BENCH_SECONDS} || 10;

# How long one answer takes in ms, in a backend that has answered before.
sub answer_time {
    my ($statement) = @_;
    my $ask = session();
    $ask->($statement) for 1 .. 3;
    my @taken;
    for (1 .. 15) {
        my $start = time;
        $ask->($statement);
        push @taken, (time - $start) * 1000;
    }
    $ask->();
    return middle_of(@taken);
}

sub throughput {
    my ($script) = @_;
    my $file = "/tmp/usher_bench_shop.$$.sql";
    open my $handle, '>', $file or die "$file: $!";
    print $handle $script;
    close $handle;
    my $pgbench = $ENV{BENCH_PSQL} =~ s/psql$/pgbench/r;
    my $out = qx('$pgbench' -n -M prepared -c 32 -j 2 -T $seconds -f '$file' '$ENV{BENCH_CONNINFO}' 2>&1);
    unlink $file;
    return $out =~ /tps = ([0-9.]+)/ ? $1 : die "pgbench: $out";
}

# Products as a restore would load them, without triggers, each with a price and some stock; what they are found by is made in one statement.
sub store {
    my ($from, $to) = @_;
    sql(qq{SET session_replication_role = replica;
        ALTER TABLE bench_shop.products DISABLE TRIGGER derive_facets;
        INSERT INTO bench_shop.products (id, sku, name, category, description, attributes, status)
            SELECT bench.product(n), 'sku-' || n, (ARRAY['Cream', 'Soap', 'Lotion', 'Oil', 'Mask'])[1 + n % 5] || ' ' || md5(n::text), 'category-' || n % 200, 'with ' || (ARRAY['lemon', 'rose', 'mint'])[1 + n % 3] || ' and word' || n % 1000,
                jsonb_build_object('size', n / 7 % 50, 'colour', (ARRAY['red', 'blue', 'green'])[1 + n % 3], 'batch', n % 10000) || CASE WHEN n % 5 = 1 AND md5(n::text) > 'f' THEN '{"late": true}' ELSE '{}' END::jsonb, 'active' FROM generate_series($from, $to) AS n;
        INSERT INTO bench_shop.product_facets (facet, name, product_id) SELECT f, p.name, p.id FROM bench_shop.products AS p, unnest(bench_shop._product_facets(p)) AS f WHERE p.id BETWEEN bench.product($from) AND bench.product($to);
        ALTER TABLE bench_shop.products ENABLE ALWAYS TRIGGER derive_facets;
        INSERT INTO bench_shop.product_prices (product_id, currency, amount_minor, valid_from) SELECT bench.product(n), 'EUR', 100 + n % 1000, now() FROM generate_series($from, $to) AS n;
        INSERT INTO bench_shop.stock_levels (product_id, location_id, on_hand) SELECT bench.product(n), bench.product(0), 1000000 FROM generate_series($from, $to) AS n;
        SELECT gin_clean_pending_list('bench_shop.products_words_idx'), gin_clean_pending_list('bench_shop.products_attributes_idx');
        VACUUM ANALYZE bench_shop.product_facets;
        VACUUM ANALYZE bench_shop.products; VACUUM ANALYZE bench_shop.product_prices; VACUUM ANALYZE bench_shop.stock_levels;});
}

sub report {
    sql(q{CREATE EXTENSION IF NOT EXISTS usher CASCADE;
        DROP SCHEMA IF EXISTS bench CASCADE;
        DROP SCHEMA IF EXISTS hand CASCADE;
        DROP EXTENSION IF EXISTS usher_shop;
        DROP SCHEMA IF EXISTS bench_shop CASCADE;
        CREATE SCHEMA bench_shop;
        CREATE EXTENSION usher_shop SCHEMA bench_shop;
        CREATE SCHEMA bench;
        CREATE FUNCTION bench.product(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid $$;
        -- a transaction for each call
        CREATE PROCEDURE bench.repeat(times integer, statement text) LANGUAGE plpgsql AS $$
        BEGIN
            FOR i IN 1 .. times LOOP
                EXECUTE statement;
                COMMIT;
            END LOOP;
        END $$;
        CREATE FUNCTION bench.order_five(most bigint) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM bench_shop.place_order((bench_shop.create_order(bench.product(0), (SELECT jsonb_agg(jsonb_build_object('product_id', bench.product(1 + floor(random() * most + 0 * n)::bigint), 'quantity', n)) FROM generate_series(1, 5) AS n), bench.product(0))).order_id);
        END $$;
        CREATE SCHEMA hand;
        CREATE TABLE hand.levels (product_id uuid, location_id uuid, on_hand bigint NOT NULL, reserved bigint NOT NULL, PRIMARY KEY (product_id, location_id), CHECK (reserved >= 0), CHECK (on_hand >= reserved)) WITH (fillfactor = 50);
        CREATE TABLE hand.logs (id uuid NOT NULL DEFAULT gen_random_uuid(), created_at timestamptz NOT NULL DEFAULT clock_timestamp(), product_id uuid NOT NULL, location_id uuid NOT NULL, movement text NOT NULL, on_hand_delta bigint NOT NULL, reserved_delta bigint NOT NULL,
            on_hand_after bigint NOT NULL, reserved_after bigint NOT NULL, unit_cost_minor bigint, source_type text, source_id uuid, reason_code text, actor_id uuid, PRIMARY KEY (product_id, location_id, id, created_at)) PARTITION BY RANGE (created_at);
        CREATE TABLE hand.logs_default PARTITION OF hand.logs DEFAULT;});
    store(1, 1000);
    sql('INSERT INTO hand.levels VALUES (bench.product(1), bench.product(0), 1000000000, 0); UPDATE bench_shop.stock_levels SET on_hand = 1000000000 WHERE product_id = bench.product(1)');

    my $verdict = sub { my ($good) = @_; return $good ? 'met' : '**missed**' };
    my ($product, $place) = map { sprintf "'00000000-0000-7000-9000-%012d'", $_ } 1, 0;
    my $hand = "WITH l AS (UPDATE hand.levels SET reserved = reserved + 1 WHERE product_id = $product AND location_id = $place AND on_hand - reserved >= 1 RETURNING *)
        INSERT INTO hand.logs (product_id, location_id, movement, on_hand_delta, reserved_delta, on_hand_after, reserved_after, source_type, source_id) SELECT product_id, location_id, 'reserve', 0, 1, on_hand, reserved, 'reservation', gen_random_uuid() FROM l;\n" =~ s/\n\s*(?=INSERT)/ /r;
    my $ours = "SELECT available_after FROM bench_shop.reserve_stock(jsonb_build_array(jsonb_build_object('product_id', $product, 'location_id', $place, 'quantity', 1)), ttl => NULL);\n";
    durable::commits(\&sql, 1);
    my (@hand, @ours);
    for (1 .. 5) {
        push @hand, throughput($hand);
        push @ours, throughput($ours);
    }
    durable::commits(\&sql, 0);
    my $ratio = middle_of(map { $ours[$_] / $hand[$_] } 0 .. $#hand);
    my @lines = ('| one hot product, 32 clients | reservations/s | ratio |', '| --- | --- | --- |', sprintf('| hand-written UPDATE with a row of the log | %.0f | 1 |', middle_of(@hand)), sprintf('| **reserve_stock()** | %.0f | %.2f |', middle_of(@ours), $ratio), '',
        sprintf('Target: at least 0.7 of the hand-written form: %.2f, %s.', $ratio, $verdict->($ratio >= 0.7)), '');

    my ($few) = costs(9, 100, 'SELECT bench.order_five(1000)');
    store(1001, $stored);
    my ($many) = costs(9, 100, "SELECT bench.order_five($stored)");
    push @lines, sprintf('| an order of 5 lines, begun and placed | 1,000 products | %d products | ratio |', $stored), '| --- | --- | --- | --- |', sprintf('| CPU time | %.0f us | %.0f us | %.2f |', $few, $many, $many / $few), '',
        sprintf('Target: at most 1.3: %.2f, %s.', $many / $few, $verdict->($many / $few <= 1.3)), '';

    my @searches = (['the first page', 'max_rows => 20'], ['a page in the middle', "after => bench.product($stored / 2), max_rows => 20"], ['a category', "category => 'category-7', max_rows => 20"], ['a rare word (1 in 1,000)', "'word77', max_rows => 20"],
        ['a common word (1 in 3)', "'lemon', max_rows => 20"], ['a word that begins a fifth of all names', "'soap', max_rows => 20"], ['two words', "'lemon word77', max_rows => 20"], ['a word and an attribute', "'rose', attributes => '{\"size\": 7}', max_rows => 20"], ['one SKU', "'sku-4711', max_rows => 20"],
        ['an attribute (1 in 3)', "attributes => '{\"colour\": \"red\"}', max_rows => 20"], ['an attribute (1 in 50)', "attributes => '{\"size\": 7}', max_rows => 20"], ['a rare attribute (1 in 10,000)', "attributes => '{\"batch\": 77}', max_rows => 20"],
        ['an attribute of the last names only', "attributes => '{\"late\": true}', max_rows => 20"], ['two attributes', "attributes => '{\"colour\": \"red\", \"size\": 7}', max_rows => 20"],
        ['a page in the middle, of an attribute', "attributes => '{\"colour\": \"red\"}', after => bench.product($stored / 2 / 3 * 3), max_rows => 20"], ['an attribute in a category', "category => 'category-7', attributes => '{\"size\": 7}', max_rows => 20"]);
    push @lines, sprintf('| a page of 20 of %d products | until it is there | CPU time of the backend |', $stored), '| --- | --- | --- |';
    my @statements = map { "SELECT sku, name, price_minor FROM bench_shop.search_products($_->[1])" } @searches;
    my @cpu = map { $_ / 1000 } costs(3, 10, @statements);
    my @times = map { answer_time("$_;") } @statements;
    push @lines, sprintf('| %s | %.1f ms | %.1f ms |', $searches[$_][0], $times[$_], $cpu[$_]) for 0 .. $#searches;
    my ($slowest) = sort { $b <=> $a } @times;
    my ($dearest) = sort { $b <=> $a } @cpu;
    push @lines, '', sprintf('Target: below 10 ms: %.1f, %s; of CPU time, which others on the machine do not change: %.1f, %s.', $slowest, $verdict->($slowest < 10), $dearest, $verdict->($dearest < 10));
    sql('DROP SCHEMA bench CASCADE; DROP SCHEMA hand CASCADE; DROP EXTENSION usher_shop; DROP SCHEMA bench_shop CASCADE');
    return @lines;
}

return { title => 'a shop with stock, orders and a search', report => \&report };

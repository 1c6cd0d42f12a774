# What the cases of access control share: 10,000 users with 2 of 20 roles, 100 permissions, 30 in each role, and a table of a
# million bookings at 100 sites, read by a role without rights of its own.
package access;
use strict;
use warnings;

our $rows = 1_000_000;
our $few = 10_000; # for what is slow: figures are per row

our $setup = qq{
    DO \$\$ BEGIN CREATE ROLE bench_reader; EXCEPTION WHEN duplicate_object THEN END \$\$;
    GRANT bench_reader TO CURRENT_USER;
    SELECT usher.grant_access('bench_reader', 'application');
    GRANT USAGE ON SCHEMA bench TO bench_reader;
    DELETE FROM usher.users WHERE email LIKE '%\@bench.test';
    DELETE FROM usher.roles WHERE name LIKE 'bench%';
    INSERT INTO usher.users (email, status) SELECT 'u' || n || '\@bench.test', 'active' FROM generate_series(1, 10000) n;
    INSERT INTO usher.permissions (name) SELECT 'booking:read' UNION SELECT 'thing' || n || ':do' FROM generate_series(1, 99) n ON CONFLICT DO NOTHING;
    INSERT INTO usher.roles (name) SELECT 'bench' || n FROM generate_series(1, 20) n;
    INSERT INTO usher.role_permissions (role_id, permission)
        SELECT r.id, 'thing' || 1 + (hashint4(n) & 1023 + ascii(right(r.name, 1)) * 7) % 99 || ':do' FROM usher.roles r, generate_series(1, 30) n WHERE r.name LIKE 'bench%'
        UNION SELECT r.id, 'booking:read' FROM usher.roles r WHERE r.name LIKE 'bench%';
    CREATE TABLE bench.sites AS SELECT n, usher.uuid_v7() AS id FROM generate_series(1, 100) n;
    CREATE TABLE bench.bookings (id bigint PRIMARY KEY, site_id uuid NOT NULL, owner_id uuid NOT NULL, title text, state text, note text,
                                 starts_at timestamptz, ends_at timestamptz, price numeric, created_at timestamptz);
    INSERT INTO bench.bookings
        SELECT b.id, s.id, usher.uuid_v7(), 'title ' || b.id, 'confirmed', repeat('n', 30), now(), now(), 12.50, now()
        FROM generate_series(1, $rows) AS b (id) JOIN bench.sites s ON s.n = 1 + b.id % 100;
    CREATE TABLE bench.few_bookings AS SELECT * FROM bench.bookings LIMIT $few;
    GRANT SELECT ON bench.bookings, bench.few_bookings TO bench_reader;
    CREATE TABLE bench.me AS SELECT id FROM usher.users WHERE email = 'u77\@bench.test';
    UPDATE bench.bookings SET owner_id = (SELECT id FROM bench.me) WHERE id % 10 = 0;
    VACUUM (FREEZE, ANALYZE) bench.bookings, bench.few_bookings;
};
our $teardown = q{
    DELETE FROM usher.users WHERE email LIKE '%@bench.test';
    DELETE FROM usher.roles WHERE name LIKE 'bench%';
};

# Puts a policy on the table, or none, and begins a transaction of the user.
sub under {
    my ($policy, $table) = (@_, 'bench.bookings');
    my $rules = defined $policy
        ? "CREATE POLICY bench_policy ON $table FOR SELECT USING ($policy); ALTER TABLE $table ENABLE ROW LEVEL SECURITY;"
        : "ALTER TABLE $table DISABLE ROW LEVEL SECURITY;";
    return "DROP POLICY IF EXISTS bench_policy ON $table; $rules
        SELECT usher.issue_token(id) AS token FROM bench.me \\gset
        BEGIN; SET LOCAL ROLE bench_reader; SELECT usher.authenticate(:'token') IS NOT NULL; SELECT count(*) FROM $table WHERE id < 10;";
}
sub count_rows { my ($table) = (@_, 'bench.bookings'); return "SELECT count(*) FROM $table; COMMIT;" }

1;

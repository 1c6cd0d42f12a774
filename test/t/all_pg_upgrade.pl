# pg_upgrade from another major, with every extension and the systems of examples/ in it. USHER_OLD_BIN is the folder of the old server's
# programs, USHER_OLD_SETTINGS what its postgresql.conf needs to find usher: `./dev test-long pg_upgrade` has both.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($old_bin, $old_settings) = @ENV{qw(USHER_OLD_BIN USHER_OLD_SETTINGS)};
plan skip_all => 'for ./dev test-long pg_upgrade' unless $old_bin;
my $source = $ENV{USHER_SOURCE};
my @systems = grep { -f "$source/examples/$_/install.sql" } map { m{([^/]+)/install\.sql$} } glob "$source/examples/*/install.sql";
cmp_ok(scalar @systems, '>=', 4, 'there are systems: ' . join(', ', @systems));

my $new = PostgreSQL::Test::Cluster->new('new');
my $old;
{
    local $ENV{TEMP_CONFIG}; # that of the new server
    my $prefix = $old_bin =~ s{/bin$}{}r;
    $old = PostgreSQL::Test::Cluster->new('old', install_path => $prefix);
    $old->init(extra => [ '--data-checksums', '--locale=C.UTF-8', '--encoding=UTF8' ]);
    $old->append_conf('postgresql.conf', "shared_preload_libraries = 'usher'\nmax_prepared_transactions = 4\n$old_settings\n");
    $old->start;
}
$new->init(extra => [ '--data-checksums', '--locale=C.UTF-8', '--encoding=UTF8' ]);
my ($was) = $old->safe_psql('postgres', 'SHOW server_version') =~ /^(\d+)/;
my ($is) = run_command([ 'postgres', '--version' ]);
($is) = $is =~ / (\d+)/;
cmp_ok($was, '<', $is, "from $was to $is") or BAIL_OUT('nothing to upgrade');

sub run_file
{
    my ($node, $database, $file) = @_;
    my ($out, $error) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ], '>', \$out, '2>', \$error);
    ok($good, "$database: " . $file =~ s{^\Q$source\E/}{}r) or diag($error);
}

# --- what there is to lose

for my $system (@systems)
{
    $old->safe_psql('postgres', "CREATE DATABASE $system");
    run_file($old, $system, "$source/examples/$system/$_.sql") for grep { -f "$source/examples/$system/$_.sql" } qw(install names story);
}
$old->safe_psql('carwash', 'SELECT pg_sleep(1.1); SELECT count(*) FROM usher.run_maintenance()'); # seals the audit log
# An application's own table, with what the extension puts on it.
$old->safe_psql('carwash', q{
    CREATE TABLE public.notes (id integer PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT '2001-01-01');
    SELECT usher.enable_updated_at('public.notes');
    SELECT usher.enable_audit('public.notes');
    INSERT INTO public.notes VALUES (1, 'one');
    UPDATE public.notes SET body = 'two'});

# Every table of the extensions and of the application with what identifies its rows.
sub contents
{
    my ($node, $database) = @_;
    my $queries = $node->safe_psql($database, q{
        SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), '''')) FROM ONLY %s t',
                      c.oid::regclass::text, c.oid::regclass)
        FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
        ORDER BY c.oid::regclass::text COLLATE "C"});
    return $node->safe_psql($database, join ";\n", split /\n/, $queries);
}
my %questions = (
    'extensions and their versions' => q{SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension WHERE extname LIKE 'usher%' ORDER BY 1},
    'seals of the audit log' => 'SELECT seq, row_count, is_intact, chain FROM usher.verify_audit_chain()',
    # of others than the owner, whose own may be written out or not
    'privileges' => q{SELECT line FROM (
        SELECT format('%s %s %s', p.oid::regprocedure, a.grantee::regrole, a.privilege_type)
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace::regnamespace::text !~ '^pg_' AND a.grantee <> p.proowner
        UNION ALL
        SELECT format('%s %s %s', c.oid::regclass, a.grantee::regrole, a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND a.grantee <> c.relowner AND a.privilege_type <> 'MAINTAIN'
    ) AS lines (line) ORDER BY line COLLATE "C"});
my (%before, %said);
for my $system (@systems)
{
    $before{$system} = contents($old, $system);
    $said{$system} = { map { $_ => $old->safe_psql($system, $questions{$_}) } keys %questions };
}
my $filled = () = $before{carwash} =~ /\|[1-9]\d*\|/g;
cmp_ok($filled, '>=', 30, 'there is something to lose: tables with rows');
$old->stop;

# --- pg_upgrade

chdir PostgreSQL::Test::Utils::tempdir();
my ($new_bin) = run_command([ $ENV{PG_CONFIG} || 'pg_config', '--bindir' ]);
my @upgrade = ('pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bin, '-B', $new_bin, '-s', $new->host, '-p', $old->port, '-P', $new->port);
for my $case ([ 'pg_upgrade --check', '--check' ], [ 'pg_upgrade' ])
{
    my ($name, @more) = @$case;
    my $log = '';
    ok(IPC::Run::run([ @upgrade, @more ], '>', \$log, '2>&1'), $name) or do {
        diag($log);
        diag(slurp_file($_)) for map { glob $new->data_dir . "/pg_upgrade_output.d/*/$_" } '*.txt', 'log/*.log';
        BAIL_OUT('pg_upgrade');
    };
}
$new->start;

for my $system (@systems)
{
    is(contents($new, $system), $before{$system}, "$system: every row of every table is the same");
    is($new->safe_psql($system, $questions{$_}), $said{$system}{$_}, "$system: $_") for sort keys %questions;
    is($new->safe_psql($system, 'SELECT * FROM usher.schema_drift()'), '', "$system: usher.schema_drift() finds nothing");
    is($new->safe_psql($system, q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '',
        "$system: usher.self_check() finds nothing");
}

# schema_drift() has digests of the old server only, whose words for expressions pg_upgrade has kept. So: are all objects there, and no others?
$new->safe_psql('postgres', 'CREATE DATABASE fresh');
run_file($new, 'fresh', "$source/examples/carwash/install.sql");
my $objects = q{SELECT e.extname, d.object FROM pg_extension e, usher._describe_schema(e.extname) d WHERE e.extname LIKE 'usher%'
    AND d.object !~ '_\d{4}_\d\d' ORDER BY e.extname, d.object COLLATE "C"};
is($new->safe_psql('carwash', $objects), $new->safe_psql('fresh', $objects), 'the extensions have the objects that they have when made on this server');

# and it goes on
run_file($new, 'carwash', "$source/examples/carwash/story.sql");
my $moved = q{UPDATE public.notes SET body = 'three' RETURNING updated_at > '2026-01-01'};
is($new->safe_psql('carwash', $moved), 't', 'updated_at moves');
is($new->safe_psql('carwash', q{SELECT count(*) FROM usher.audit_logs WHERE resource_type = 'public.notes' AND new_values ->> 'body' = 'three'}), '1', 'the change is audited');
$new->stop;
done_testing();

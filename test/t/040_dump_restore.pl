# pg_dump | psql into a new database: no row is lost or rewritten, and everything keeps working.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->start;

sub run_file
{
    my ($database, $file, $name) = @_;
    my ($out, $error) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ], '>', \$out, '2>', \$error);
    ok($good, $name) or diag($error);
    return $out;
}

# Every table of the extensions with what identifies its contents, of the rows that a dump is to carry.
sub contents
{
    my ($database) = @_;
    my $queries = $node->safe_psql($database, q{
        SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), '''')) FROM %s t %s',
                      c.oid::regclass::text, c.oid::regclass, e.extcondition[array_position(e.extconfig, c.oid)])
        FROM pg_extension e, pg_class c
        WHERE e.extname LIKE 'usher%' AND c.oid = ANY (e.extconfig) AND c.relkind IN ('r', 'p')
        ORDER BY c.oid::regclass::text COLLATE "C"});
    return $node->safe_psql($database, join ";\n", split /\n/, $queries);
}

# Every privilege on the extensions' objects.
my $privileges = q{
    SELECT line FROM (
        SELECT format('%s %s %s', p.oid::regprocedure, a.grantee::regrole, a.privilege_type)
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace::regnamespace::text IN ('usher', 'wash')
        UNION ALL
        SELECT format('%s %s %s', c.oid::regclass, a.grantee::regrole, a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text IN ('usher', 'wash')
    ) AS lines (line) ORDER BY line COLLATE "C"};

$node->safe_psql('postgres', 'CREATE DATABASE before');
run_file('before', "$source/tools/database.sql", 'the extensions are created');
run_file('before', "$source/examples/demo.sql", 'the demo is loaded');
run_file('before', "$source/examples/carwash.sql", 'and its story has happened');

# An application's own table, with what the extension puts on it.
$node->safe_psql('before', q{
    CREATE TABLE public.notes (id integer PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT '2001-01-01');
    INSERT INTO public.notes VALUES (1, 'one');
    SELECT usher.enable_updated_at('public.notes');
    SELECT usher.enable_audit('public.notes');
    UPDATE public.notes SET body = 'two'});

# the audit log has its months, and a seal
$node->safe_psql('before', 'SELECT pg_sleep(1.1); SELECT count(*) FROM usher.run_maintenance()');
my $log = q{SELECT tableoid::regclass, count(*), md5(string_agg(l::text, chr(10) ORDER BY l.id)) FROM usher.audit_logs l GROUP BY 1 ORDER BY 1::text COLLATE "C";
    SELECT seq, row_count, is_intact, chain FROM usher.verify_audit_chain();
    SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'usher.audit_logs'::regclass ORDER BY 1::text COLLATE "C"};
my $before = contents('before');
my $log_before = $node->safe_psql('before', $log);
like($log_before, qr/^usher\.audit_logs_\d{4}_\d\d\|[1-9].*^1\|[1-9]\d*\|t\|/ms, 'the audit log is in months, and sealed');
my ($filled) = scalar(() = $before =~ /\|[1-9]\d*\|/g);
cmp_ok($filled, '>=', 12, 'a dump has something to lose: tables with rows');
my $notes = $node->safe_psql('before', 'SELECT * FROM public.notes');

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
for my $way (
    [ 'plain',  [ 'pg_dump', '-f', "$dump.sql" ], [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.sql" ] ],
    # not with --jobs: PostgreSQL then loads the tables of extensions without regard to their foreign keys
    [ 'custom', [ 'pg_dump', '-Fc', '-f', "$dump.custom" ], [ 'pg_restore', '--exit-on-error', "$dump.custom" ] ])
{
    my ($name, $save, $restore) = @$way;
    $node->safe_psql('postgres', "CREATE DATABASE $name");
    $node->command_ok([ @$save, '-d', $node->connstr('before') ], "$name: pg_dump");
    $node->command_ok([ @$restore, '-d', $node->connstr($name) ], "$name: restored without an error");
    is(contents($name), $before, "$name: every row of every table is the same");
    is($node->safe_psql($name, 'SELECT * FROM public.notes'), $notes, "$name: restoring does not touch updated_at");
    is($node->safe_psql($name, $log), $log_before, "$name: the audit log is the same: no row more or less, in the same months, its chain intact");
    is($node->safe_psql($name, 'SELECT count(*) FROM usher.schema_drift()'), 0, "$name: and so is every object");
    is($node->safe_psql($name, $privileges), $node->safe_psql('before', $privileges), "$name: and every privilege");
    is($node->safe_psql($name, q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '',
        "$name: usher.self_check() finds nothing");

    # works: the story once more, on top of what was restored
    run_file($name, "$source/examples/carwash.sql", "$name: the story happens again");
    $node->safe_psql($name, q{UPDATE public.notes SET body = 'three'});
    isnt($node->safe_psql($name, 'SELECT updated_at FROM public.notes'), $node->safe_psql('before', 'SELECT updated_at FROM public.notes'),
        "$name: updated_at moves");
}

$node->stop;
done_testing();

# make install into a DESTDIR; creating and dropping the extensions in every order.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $build) = @ENV{qw(USHER_SOURCE USHER_BUILD)};
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $version = `sed -n '/^  "version":/{s/.*: "\\(.*\\)".*/\\1/p;q}' '$source/META.json'`);
like($version, qr/^\d+\.\d+\.\d+$/, 'META.json states the version');

# --- files

my @extensions = sort map { m{([^/]+)\.control$} } glob("$source/sql/*/*.control");
my $root = PostgreSQL::Test::Utils::tempdir();

sub make
{
    my (@target) = @_;
    my $log = '';
    my $good = IPC::Run::run([ 'make', '-C', $build, '-f', "$source/Makefile", "VPATH=$source", "PG_CONFIG=$pg_config", @target ],
        '>&', \$log);
    ok($good, "make $target[0]") or diag($log);
}

sub files
{
    my @found;
    for my $line (split /\n/, `cd '$root' && find . -type f -o -type l`) { push @found, $line =~ s{^\./}{}r }
    return [ sort @found ];
}

chomp(my $share = `$pg_config --sharedir`);
chomp(my $lib = `$pg_config --pkglibdir`);
chomp(my $include = `$pg_config --includedir-server`);
s{^/}{} for $share, $lib, $include;
my @updates = map { m{([^/]+)$} } map { glob("$source/sql/$_/updates/$_--*.sql") } @extensions;
cmp_ok(scalar @updates, '>=', 2, 'there are upgrade scripts');
# what extensions of others are built with
my @kit = ("$lib/libusher_kit.a", "$share/usher/usher.mk",
    map { s{^\Q$source\E/extension/}{$include/extension/usher/}r } glob("$source/extension/common/*.hpp $source/extension/pg/*.hpp $source/extension/kit/*.hpp"));
cmp_ok(scalar @kit, '>', 40, 'there are headers');
make('install', "DESTDIR=$root");
is_deeply(files(), [ sort "$lib/usher.so", @kit, (map { ("$share/extension/$_.control", "$share/extension/$_--$version.sql") } @extensions),
        map { "$share/extension/$_" } @updates ],
    'exactly these files are installed');
for my $extension (@extensions)
{
    my $control = slurp_file("$root/$share/extension/$extension.control");
    like($control, qr/^default_version = '\Q$version\E'$/m, "$extension.control has the version");
    my $script = slurp_file("$root/$share/extension/$extension--$version.sql");
    like($script, qr/\A\\echo Use "CREATE EXTENSION/, "the script of $extension refuses to be run by psql");
    unlike($script, qr/^CREATE OR REPLACE /m, "the script of $extension takes over nothing that somebody planted");
}
make('uninstall', "DESTDIR=$root");
is_deeply(files(), [], 'and make uninstall removes them');

# --- creating and dropping

my $node = PostgreSQL::Test::Cluster->new('install');
$node->init;
$node->start;

# Every object of a database, by name, but nothing of the system's own.
my $inventory = q{
    SELECT thing FROM (
    SELECT 'relation ' || c.oid::regclass FROM pg_class c WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'type ' || t.oid::regtype FROM pg_type t WHERE t.typnamespace::regnamespace::text !~ '^(pg_|information_schema)'
    UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT 'extension ' || extname FROM pg_extension
    UNION ALL SELECT 'cast ' || c.castsource::regtype || ' to ' || c.casttarget::regtype FROM pg_cast c WHERE c.oid >= 16384
    ) AS things (thing) ORDER BY thing COLLATE "C"};
my @features = grep { $_ ne 'usher' } @extensions;
my @orders = (
    [ 'core first', [ 'CREATE EXTENSION usher CASCADE', map { "CREATE EXTENSION $_ SCHEMA wash CASCADE" } @features ] ],
    [ 'features first, core by CASCADE', [ map { "CREATE EXTENSION $_ SCHEMA wash CASCADE" } reverse @features ] ]);
pop @orders unless @features;
my $number = 0;
my @made;
for my $order (@orders)
{
    my ($name, $statements) = @$order;
    my $database = 'order' . ++$number;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, 'CREATE SCHEMA wash');
    # what these bring belongs to them
    $node->safe_psql($database, 'CREATE EXTENSION pgcrypto; CREATE EXTENSION btree_gist');
    my $before = $node->safe_psql($database, $inventory);
    $node->safe_psql($database, join '; ', @$statements);
    push @made, $node->safe_psql($database, $inventory);
    isnt($made[-1], $before, "$name: created");

    if (@features)
    {
        my ($code, undef, $error) = $node->psql($database, 'DROP EXTENSION usher');
        isnt($code, 0, "$name: core does not go while others need it");
        like($error, qr/cannot drop extension usher because other objects depend on it/, "$name: and it is said why");
        $node->safe_psql($database, join '; ', map { "DROP EXTENSION $_" } @features);
        is($node->safe_psql($database, "SELECT count(*) FROM pg_class WHERE relnamespace = 'wash'::regnamespace"), 0,
            "$name: a dropped feature leaves its schema empty");
        is($node->safe_psql($database, "SELECT count(*) FROM pg_extension WHERE extname = 'usher'"), 1, "$name: core stays");
    }
    $node->safe_psql($database, 'DROP EXTENSION usher');
    is($node->safe_psql($database, $inventory), $before, "$name: dropping leaves nothing");
    # once more, in the same session as the drop: the library's caches must not remember
    $node->safe_psql($database, join '; ', 'CREATE EXTENSION usher CASCADE', 'DROP EXTENSION usher', @$statements);
    is($node->safe_psql($database, $inventory), $made[-1], "$name: and it can be created again");
}
is($made[0], $made[-1], 'the order makes no difference');

# A function that somebody planted in the schema is not taken over.
$node->safe_psql('postgres', q{CREATE DATABASE planted});
$node->safe_psql('planted', q{CREATE SCHEMA usher; CREATE FUNCTION usher.uuid_v7() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'});
my ($code, undef, $error) = $node->psql('planted', 'CREATE EXTENSION usher CASCADE');
isnt($code, 0, 'CREATE EXTENSION fails where its objects exist already');
like($error, qr/already exists/, 'and it says so');

# The library without preload: everything but the shared counters works.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is($node->safe_psql('order1', 'SELECT count(usher.uuid_v7())'), 1, 'works without shared_preload_libraries');

$node->stop;
done_testing();

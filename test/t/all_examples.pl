# Every system of examples/, found by its install.sql: made in a database of its own name, twice; what its document prints, and what comes
# out; its story, twice; and then nothing is wrong in it. They share one server, as with ./dev run all. A file that is missing is a failure.
#
# USHER_EXAMPLES, a list of names, restricts it to some.
use strict;
use warnings;
use Cwd;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $examples = "$ENV{USHER_SOURCE}/examples";
my @systems = map { (split m{/})[-2] } sort glob "$examples/*/install.sql";
@systems = split ' ', $ENV{USHER_EXAMPLES} if $ENV{USHER_EXAMPLES};
cmp_ok(scalar @systems, '>', 0, 'there are systems: ' . join ', ', @systems);

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
# no background worker, which would change something in between
$node->append_conf('postgresql.conf', "log_statement = none\n");
# secrets of all of them are sealed, as they are to be
my $key = PostgreSQL::Test::Utils::tempdir . '/master.key';
append_to_file($key, join '', map { chr int rand 256 } 1 .. 32);
chmod 0600, $key or die $!;
$node->append_conf('postgresql.conf', "usher.master_key_file = '$key'\n");
$node->start;

# What psql prints, where \ir and \! find the files of the system.
sub run_file
{
    my ($system, $file, @options) = @_;
    my ($out, $errors) = ('', '');
    my $folder = getcwd();
    chdir "$examples/$system" or die "examples/$system: $!";
    my $good = IPC::Run::run([ 'psql', '-Xq', @options, '-d', $node->connstr($system), '-f', $file ], '<', \undef, '>', \$out, '2>', \$errors);
    chdir $folder or die $!;
    return ($good, $out, $errors);
}

# What a dump has of it, in any order; but for instants (updated_at of what was said once more), the lines that are of this dump alone,
# and the record that somebody has applied a preset of roles, which stands there each time.
sub dump_of
{
    my ($system) = @_;
    my ($out) = run_command([ 'pg_dump', '-d', $node->connstr($system) ]);
    $out =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d/<instant>/g;
    return join "\n", sort grep { !/^\\(?:un)?restrict |\taccess\.preset_applied\t/ } split /\n/, $out;
}

sub installed
{
    my ($system, $what) = @_;
    for my $part ('install', 'names')
    {
        my ($good, undef, $errors) = run_file($system, "$part.sql", '-v', 'ON_ERROR_STOP=1');
        ok($good, "$system: $part.sql $what");
        is($errors, '', "$system: … and says nothing");
    }
}

# What a hook before each commit would look for.
{
    $node->safe_psql('postgres', 'CREATE DATABASE unreadable');
    my $schema = slurp_file("$examples/$systems[0]/install.sql");
    append_to_file("$ENV{TESTDIR}/unreadable.sql", $schema . "CREATE TABEL of_a_slip ();\n");
    my ($out, $errors) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('unreadable'), '-f', "$ENV{TESTDIR}/unreadable.sql" ], '<', \undef, '>', \$out, '2>', \$errors);
    ok(!$good && $errors =~ /unreadable\.sql:\d+: ERROR:  syntax error at or near "TABEL"/, 'a file that cannot be read fails, and names its line') or diag($errors);
    $node->safe_psql('postgres', 'DROP DATABASE unreadable');
}

for my $system (@systems)
{
    $node->safe_psql('postgres', "CREATE DATABASE $system");
    installed($system, 'runs');
    my $before = dump_of($system);
    installed($system, 'runs again');
    my $after = dump_of($system);
    ok($before eq $after, "$system: which changes nothing") or diag(differences($before, $after));

    my $expected = -f "$examples/$system/queries.out" ? slurp_file("$examples/$system/queries.out") : 'no queries.out';
    my ($good, $out) = (1, '');
    my $folder = getcwd();
    chdir "$examples/$system" or die "examples/$system: $!";
    # by standard input, so that errors that are meant name no line; both outputs in one
    $good = IPC::Run::run([ 'sh', '-c', 'exec psql -Xq -d "$0" < queries.sql 2>&1', $node->connstr($system) ], '<', \undef, '>', \$out);
    chdir $folder or die $!;
    ok($good, "$system: queries.sql comes to its end");
    ok($out eq $expected, "$system: … and prints queries.out") or diag(differences($expected, $out));
    append_to_file("$ENV{TESTDIR}/$system.queries.out", $out); # to be copied, once somebody has read it

    for my $time ('runs', 'runs again')
    {
        my ($good, $out, $errors) = run_file($system, 'story.sql');
        ok($good, "$system: story.sql $time without a surprise") or diag($errors);
        like($out, qr/the whole story came out as it should\n\z/, "$system: … to its end");
        is($errors, '', "$system: … and says nothing else");
    }

    is($node->safe_psql($system, q{SELECT rule || ': ' || violations FROM usher.self_check() WHERE violations > 0}), '', "$system: self_check() finds nothing");
    $node->safe_psql($system, 'SELECT count(*) FROM usher.run_maintenance()');
    # but for what is so in this cluster: it trusts whoever reaches its socket, has no worker, and no time for the disk
    is($node->safe_psql($system, q{SELECT finding FROM usher.check_configuration()
        WHERE finding !~ 'of pg_hba.conf lets anybody in' AND finding NOT IN ('fsync is off', 'no background worker keeps this database up')}), '', "$system: check_configuration() finds nothing");
    is($node->safe_psql($system, 'SELECT object, change FROM usher.schema_drift()'), '', "$system: schema_drift() finds nothing");
}
$node->stop;
done_testing();

# Lines of one text that the other has not, for a first look: the first of them.
sub differences
{
    my ($one, $other) = @_;
    my (%in_one, %in_other);
    $in_one{$_}++ for split /\n/, $one;
    $in_other{$_}++ for split /\n/, $other;
    my @lines = ((map { "- $_" } grep { !$in_other{$_} } split /\n/, $one), (map { "+ $_" } grep { !$in_one{$_} } split /\n/, $other));
    splice @lines, 40 if @lines > 40;
    return join "\n", @lines;
}

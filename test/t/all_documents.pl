# The documents made from the catalog are fresh.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $node = PostgreSQL::Test::Cluster->new('documents');
$node->init;
$node->start;
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$source/tools/database.sql" ],
    'all extensions are created');

for my $page ('reference', 'errors', 'routes')
{
    my ($made, $error);
    ok(IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$source/tools/$page.sql" ],
            '>', \$made, '2>', \$error), "$page.md can be made") or diag($error);
    my $kept = -f "$source/docs/$page.md" ? slurp_file("$source/docs/$page.md") : '';
    ok($made ne '' && $made eq $kept, "docs/$page.md is fresh (./dev docs makes it)") or diag(first_difference($made, $kept));
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_roles WHERE rolname LIKE 'usher_docs%'}), 0, 'making them leaves no roles');

sub first_difference
{
    my @made = split /\n/, shift;
    my @kept = split /\n/, shift;
    for my $i (0 .. ($#made > $#kept ? $#made : $#kept))
    {
        my ($one, $other) = ($made[$i] // '(end)', $kept[$i] // '(end)');
        return "line " . ($i + 1) . "\n  catalog: $one\n  file:    $other" if $one ne $other;
    }
    return 'line endings';
}

$node->stop;
done_testing();

# The examples of docs/engine.md are run in order, and print what is said there.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @blocks = document_blocks('docs/engine.md');
cmp_ok(scalar @blocks, '>=', 7, 'docs/engine.md has blocks to run');

my $node = PostgreSQL::Test::Cluster->new('page');
$node->init;
$node->start;
my ($out, $err) = ('', '');
# one session, as a reader would have it; what a block prints ends at a mark
my $script = join '', map { "$_->{text}\\echo == end of block\n\\warn == end of block\n" } @blocks;
my $good = IPC::Run::run([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-P', 'border=1', '-P', 'format=aligned', '-d', $node->connstr('postgres') ],
	'<', \$script, '>', \$out, '2>', \$err);
ok($good, 'all blocks run without an error') or diag($err);
$out =~ s/ \| /|/g;
my @printed = split /^== end of block$/m, $out;
my @warned = split /^== end of block$/m, $err;
for my $i (0 .. $#blocks)
{
	for my $expect (@{ $blocks[$i]{expect} })
	{
		like(($printed[$i] // '') . ($warned[$i] // ''), qr/$expect/, "line $blocks[$i]{line}: prints what is said");
	}
}
$node->stop;
done_testing();

# The examples of docs/engine.md: its "sql" blocks are run in order, and each <!-- expect: REGEX --> must match what its block printed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($inside, $fence, $number, @blocks) = (0, 0, 0);
for my $line (split /\n/, slurp_file("$ENV{USHER_SOURCE}/docs/engine.md"))
{
	$number++;
	if ($line =~ /^<!-- test:begin -->/) { $inside = 1 }
	elsif ($line =~ /^<!-- test:end -->/) { $inside = 0 }
	elsif (!$inside) { next }
	elsif ($fence && $line =~ /^```/) { $fence = 0 }
	elsif ($fence) { $blocks[-1]{text} .= "$line\n" }
	elsif ($line =~ /^```sql$/) { $fence = 1; push @blocks, { line => $number, text => '', expect => [] } }
	elsif ($line =~ /^<!-- expect: (.*) -->$/) { push @{ $blocks[-1]{expect} }, $1 }
}
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

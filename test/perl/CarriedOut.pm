# Carries out the blocks of a page: shell and SQL, as somebody would who follows it.
package CarriedOut;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(run_block sh);

# Runs a block of DocumentBlocks, looks at what it prints, and returns it.
sub run_block
{
	my ($block) = @_;
	my ($out, $err) = ('', '');
	my ($in, @command) = $block->{language} eq 'sh' ? ('', 'sh', '-ec', $block->{text}) : ($block->{text}, 'psql', '-X', '-v', 'ON_ERROR_STOP=1');
	my $good = IPC::Run::run(\@command, '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default * 2));
	ok($block->{fails} ? !$good : $good, "line $block->{line}: " . ($block->{fails} ? 'is refused' : 'runs')) or diag("$out\n$err");
	for my $expected (@{ $block->{expect} })
	{
		like("$out$err", qr/$expected/m, "line $block->{line}: prints what is said");
	}
	return $out;
}

# A line of shell that must work; returns what it prints.
sub sh
{
	my ($text) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'sh', '-ec', $text ], '<', \undef, '>', \$out, '2>', \$err) or die "$text:\n$out$err";
	chomp $out;
	return $out;
}

1;

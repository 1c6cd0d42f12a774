# The examples of a document that tests run.
#
# Between <!-- test:begin: run by test/t/NAME.pl --> and <!-- test:end --> every fenced block is one, and that test runs all of them:
# test/checks/blocks.sh looks that every block of a page stands in such a place or says why it is not run, and this module
# fails the test that leaves one of its blocks unread. <!-- expect: REGEX --> after a block must match what the block prints;
# <!-- expect-failure --> says that it fails.
package DocumentBlocks;
use strict;
use warnings;
use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(document_blocks);
my @handed_out;

# The blocks of a page of the sources that name the running test, each { line, language, text, file, expect => [REGEX...], fails }. With the
# name of another test: those which that one runs, and of which this one needs some.
sub document_blocks
{
	my ($page, $runner) = @_;
	my $test = 'test/t/' . ($runner // basename($0));
	my ($inside, $fence, $number, $file, @blocks) = (0, 0, 0);
	for my $line (split /\n/, slurp_file("$ENV{USHER_SOURCE}/$page"))
	{
		$number++;
		if ($line =~ /^<!-- test:begin: run by (\S+) -->/) { $inside = $1 eq $test }
		elsif ($line =~ /^<!-- test:end -->/) { $inside = 0 }
		elsif (!$inside) { next }
		elsif ($fence && $line =~ /^ *```$/) { $fence = 0 }
		elsif ($fence) { $blocks[-1]{text} .= "$line\n" }
		elsif ($line =~ /^ *```(\w+)$/)
		{
			$fence = 1;
			push @blocks, { line => $number, language => $1, text => '', file => $file, expect => [] };
			undef $file;
		}
		elsif ($line =~ /^<!-- file: (\S+) -->$/) { $file = $1 }
		elsif ($line =~ /^<!-- expect: (.*) -->$/) { push @{ $blocks[-1]{expect} }, $1 }
		elsif ($line =~ /^<!-- expect-failure -->$/) { $blocks[-1]{fails} = 1 }
	}
	@blocks = grep { $_->{language} ne 'mermaid' } @blocks; # pictures
	die "$page has no block that is run by $test" unless @blocks;
	for my $block ($runner ? () : @blocks)
	{
		my $text = delete $block->{text};
		push @handed_out, { where => "$page:$block->{line}", text => $text, reads => 0 };
		tie $block->{text}, 'DocumentBlocks::Text', $handed_out[-1];
	}
	return @blocks;
}

# A test that was skipped, or that has failed already, says so itself.
END
{
	my @unread = map { $_->{where} } grep { !$_->{reads} } @handed_out;
	if (@unread && !$?)
	{
		print STDERR "these blocks were not run: @unread\n";
		$? = 1;
	}
}

# A text that notes that it was read.
package DocumentBlocks::Text;
sub TIESCALAR { my ($class, $block) = @_; return bless $block, $class }
sub FETCH { my ($block) = @_; $block->{reads}++; return $block->{text} }
sub STORE { die 'the text of a page is not changed' }

1;

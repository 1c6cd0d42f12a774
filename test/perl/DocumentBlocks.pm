# The examples of a document that tests run.
#
# Between <!-- test:begin --> and <!-- test:end --> every fenced block is one. <!-- expect: REGEX --> after a block must match what
# the block prints; <!-- expect-failure --> says that it fails. <!-- test:begin: run by FILE --> names the one test that can run it.
package DocumentBlocks;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(document_blocks);

# The blocks of a page of the sources, each { line, language, text, file, expect => [REGEX...], fails }; of those that name a test, that test's.
sub document_blocks
{
	my ($page, $test) = @_;
	my ($inside, $fence, $number, $file, @blocks) = (0, 0, 0);
	for my $line (split /\n/, slurp_file("$ENV{USHER_SOURCE}/$page"))
	{
		$number++;
		if ($line =~ /^<!-- test:begin(?:: run by (\S+))? -->/) { $inside = ($1 // '') eq ($test // '') }
		elsif ($line =~ /^<!-- test:end -->/) { $inside = 0 }
		elsif (!$inside) { next }
		elsif ($fence && $line =~ /^```/) { $fence = 0 }
		elsif ($fence) { $blocks[-1]{text} .= "$line\n" }
		elsif ($line =~ /^```(\w+)$/)
		{
			$fence = 1;
			push @blocks, { line => $number, language => $1, text => '', file => $file, expect => [] };
			undef $file;
		}
		elsif ($line =~ /^<!-- file: (\S+) -->$/) { $file = $1 }
		elsif ($line =~ /^<!-- expect: (.*) -->$/) { push @{ $blocks[-1]{expect} }, $1 }
		elsif ($line =~ /^<!-- expect-failure -->$/) { $blocks[-1]{fails} = 1 }
	}
	return @blocks;
}

1;

# docs/requirements.md against what ran: every row of the five sources has a line, or stands among those that are not shown yet, and
# every line names cases that passed.
#
#   requirements.pl           the page itself: each row has a line, each line names cases of files that are there
#   requirements.pl CASES     and those have passed, as the run that wrote CASES says (cases.pl), or their file was skipped, which is told
#
# A line names its cases as `file`: "case". A case of a TAP file or a unit test is its name; of a regression test, a comment that
# says what the statements after it show; of an expected output, something that stands in it; of a check, its name. Those of
# the systems in examples/ are the steps of their stories, and the comments and the output of their queries.
use strict;
use warnings;
use utf8;
use List::Util qw(uniq);
use open qw(:std :encoding(UTF-8));

my %rows_of = (R0 => 91, R1 => 75, R2 => 61, R3 => 46, R4 => 53); # how many rows each source has
my $page = 'docs/requirements.md';
chdir $ENV{SRC} or die "$ENV{SRC}: $!";
my $bad = 0;
sub complain { print "$page: @_\n"; $bad = 1 }

my (%passed, %skipped, %output); # by file: what passed, whether this machine cannot run it, and what was printed
if (my $cases = $ARGV[0])
{
    open my $fh, '<', $cases or die "$cases: $!";
    while (<$fh>)
    {
        chomp;
        my ($file, $case) = split /\t/, $_, 2;
        $skipped{$file} = 1 if $case eq '# skipped';
        $passed{$file}{ plain($case) } = 1;
        $output{$file} .= plain($case) . ' ' if $file =~ /\.out\z/;
    }
}
# Spaces as one, no rule of dashes, no full stop at the end, and quotes of one kind, since the page quotes names.
sub plain { my ($text) = @_; $text =~ s/-{3,}//g; $text =~ tr/"/'/; $text =~ s/\s+/ /g; $text =~ s/^ | $//g; $text =~ s/\.$//; return $text }

sub has_passed
{
    my ($file, $case) = @_;
    my $known = $passed{$file} or return 0;
    $case = plain($case);
    return 1 if $known->{$case};
    return 1 if $file =~ m{^test/unit/} && grep { /\.\Q$case\E\z/ } keys %$known;
    return index($output{$file} // '', $case) >= 0;
}

my ($section, %line_of, %deviates, %missing, %unseen) = ('');
open my $fh, '<', $page or die "$page: $!";
while (<$fh>)
{
    if (/^## (.+)/) { $section = $1; next }
    next unless /^\| (R(\d)-(\d\d)) \|/;
    my $row = $1;
    complain("$section: there is no row $row") if $3 < 1 || $3 > ($rows_of{"R$2"} // 0);
    if ($section eq 'Not shown yet') { $missing{$row} = 1; next }
    if ($section eq 'Answered in another way') { $deviates{$row} = 1; next }
    complain("$section: $row stands there twice") if $line_of{$row}{$section}++;
    my $tests = (split / \| /)[2] // '';
    my @tests = $tests =~ /`([^`]+)`: "([^"]+)"/g or complain("$row names no test (`file`: \"case\")");
    while (my ($file, $case) = splice @tests, 0, 2)
    {
        $case =~ s/\\\|/|/g;
        if ($file !~ m{^test/(?:t/\w+\.pl|regress/\w+\.sql|specs/\w+\.spec|expected/\w+\.out|unit/\w+\.cpp|checks/\w+\.sh)\z|^examples/\w+/(?:story\.sql|story\.sh|queries\.sql|queries\.out)\z}) { complain("$row: $file is no file of a test") }
        elsif (!-f $file) { complain("$row: there is no $file") }
        elsif ($skipped{$file}) { push @{ $unseen{$file} }, $row }
        elsif (%passed && !has_passed($file, $case)) { complain("$row: no case \"$case\" of $file has passed") }
    }
}
for my $source (sort keys %rows_of)
{
    for my $row (map { sprintf '%s-%02d', $source, $_ } 1 .. $rows_of{$source})
    {
        complain("$row has no line") unless $line_of{$row} || $missing{$row};
        complain("$row is shown, and stands among those that are not") if $line_of{$row} && $missing{$row};
    }
}
complain("$_ is answered in another way, and has no line that shows how") for grep { !$line_of{$_} } sort keys %deviates;
print "$_ was skipped, so these were not shown in this run: " . join(" ", uniq(@{ $unseen{$_} })) . "\n" for sort keys %unseen;
printf "%d of the 326 rows are not shown yet: %s\n", scalar(keys %missing), join ', ', sort keys %missing if %missing;
exit $bad;

#!/bin/sh
# docs/requirements.md: every row that a section claims has a line, and every line names a test that exists: `file`: "text in it".
set -eu
cd "$SRC"
exec perl -Mutf8 -CSD -e '
    use strict; use warnings;
    my ($section, %claimed, %shown, $bad) = ("");
    my $complain = sub { print "docs/requirements.md: @_\n"; $bad = 1 };
    my $text_of = sub {
        open my $fh, "<", $_[0] or return;
        my $text = join " ", <$fh>;
        return $text =~ s/\s+/ /gr;
    };
    while (<>) {
        if (/^## (.+)/) { $section = $1 }
        elsif (/^Rows: (.+)/) {
            for my $range (split /,\s*/, $1 =~ s/\.$//r) {
                my ($source, $first, $last) = $range =~ /^(R\d)-(\d\d)(?:…\1-(\d\d))?$/ or do { $complain->("$section: \"$range\" is no range of rows"); next };
                $claimed{$section}{sprintf "%s-%02d", $source, $_} = 1 for $first .. $last // $first;
            }
        }
        elsif (/^\| (R\d-\d\d) \|/) {
            my $row = $1;
            $claimed{$section}{$row} or $complain->("$section: $row stands in the table, but not in its rows");
            $shown{$section}{$row}++ and $complain->("$section: $row stands there twice");
            my $tests = (split / \| /)[2] // "";
            my @tests = $tests =~ /`([^`]+)`: "([^"]+)"/g or $complain->("$row names no test (`file`: \"text in it\")");
            while (my ($file, $quote) = splice @tests, 0, 2) {
                my $text = $text_of->($file);
                if (!defined $text) { $complain->("$row: there is no $file") }
                elsif (index($text, $quote =~ s/\\\|/|/gr) < 0) { $complain->("$row: $file does not say \"$quote\"") }
            }
        }
    }
    for my $part (sort keys %claimed) {
        $shown{$part}{$_} or $complain->("$part: $_ has no line") for sort keys %{ $claimed{$part} };
    }
    exit($bad ? 1 : 0);
' docs/requirements.md

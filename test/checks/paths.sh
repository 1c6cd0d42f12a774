#!/bin/sh
# Every file or folder of ours that a document names in `code` exists: `extension/…`, `sql/…`, `test/…` and the other rooms.
# Names with <placeholders>, … or * are patterns; of {a,b} each must exist.
set -eu
cd "$SRC"
exec perl -Mutf8 -CSD -e '
    use strict; use warnings;
    my $bad = 0;
    for my $page (@ARGV) {
        open my $fh, "<", $page or die "$page: $!";
        my $is_code = 0;
        while (<$fh>) {
            $is_code = !$is_code if /^```/;
            my @named = $is_code ? /^(\S+\/)\s{2,}/ : /`([^`\s]+)`/g;
            for my $path (@named) {
                next if $path !~ m{^(?:extension|sql|test|gateway|tools|docs|bench|examples|deploy|\.github)/} || $path =~ /[<*…]/;
                $path =~ s/:\d+$//;
                -e $_ or do { print "$page:$.: there is no $_\n"; $bad = 1 } for glob $path;
            }
        }
    }
    exit $bad;
' *.md docs/*.md

#!/bin/sh
# Every command of a page is carried out by a test, or the page says why not.
#
# A block of code of a page stands between <!-- test:begin: run by test/t/NAME.pl --> and <!-- test:end -->, where that test takes the
# blocks of the page, or right behind <!-- not run: REASON -->. Diagrams (mermaid) and blocks without a language, which hold no
# commands, need neither. Tests that a page names are there.
set -eu
cd "$SRC"
exec perl -CSD -e '
    use strict; use warnings; use utf8;
    my $bad = 0;
    my $complain = sub { print "@_\n"; $bad = 1 };
    my %source;
    my $text_of = sub {
        my ($file) = @_;
        return $source{$file} //= do { open my $fh, "<", $file or return ""; local $/; <$fh> };
    };
    for my $page (@ARGV) {
        my ($runner, $reason, $language, $line) = ("", 0, undef, 0);
        for (split /\n/, $text_of->($page)) {
            ++$line;
            if (defined $language) {
                if (/^\s*```\s*$/) { $language = undef; next }
                # what looks like a command wants a language
                $complain->("$page:$line: a command in a block without a language")
                    if $language eq "" && /^\s*(?:SELECT|CREATE|ALTER|DROP|INSERT|UPDATE|DELETE|GRANT|psql|pg_\w+|curl|make|sudo|apt-get|systemctl|\.\/dev|\$ )\b/;
                next;
            }
            if (/^\s*(?:```|~~~)\s*(\S*)/) {
                $language = $1;
                $complain->("$page:$line: blocks begin with three backticks") if /~~~/;
                $complain->("$page:$line: no test runs this block, and the page does not say why")
                    unless $runner || $reason || $language eq "" || $language eq "mermaid";
                $complain->("$page:$line: a block that is run needs no reason why not") if $runner && $reason;
                $reason = 0;
            } elsif (/^<!-- test:begin/) {
                ($runner) = /^<!-- test:begin: run by (test\/t\/\S+\.pl) -->$/ or $complain->("$page:$line: names no test");
                $runner //= "";
                $complain->("$page:$line: $runner does not take the blocks of this page")
                    unless index($text_of->($runner), "document_blocks(\x27$page\x27") >= 0;
            } elsif (/^<!-- test:end -->$/) {
                $complain->("$page:$line: nothing has begun here") unless $runner;
                $runner = "";
            } elsif (/^\s*<!-- not run: \S.{9,} -->$/) { $reason = 1 }
            elsif (/^\s*<!-- not run/) { $complain->("$page:$line: give a reason of ten characters at least, on one line") }
            elsif (/\S/) { $reason = 0 }
            $complain->("$page:$line: there is no $1") if !defined $language && m{\b(test/(?:t|regress|specs|unit|checks|fuzz|data|expected)/[\w.-]+\w)} && !-e $1 && $1 !~ /NAME/;
        }
        $complain->("$page: a test:begin without an end") if $runner;
        $complain->("$page: a block without an end") if defined $language;
    }
    exit $bad;
' *.md docs/*.md examples/*/*.md test/node/*.md bench/*.md bench/*/*.md

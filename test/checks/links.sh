#!/bin/sh
# Every link from one document to another leads somewhere, and every page of docs/ can be reached from README.md.
set -eu
cd "$SRC"
exec perl -Mutf8 -CSD -e '
    use strict; use warnings;
    use File::Basename;
    my (%links, %anchors, $bad);
    my $complain = sub { print "@_\n"; $bad = 1 };
    for my $page (@ARGV) {
        open my $fh, "<", $page or die "$page: $!";
        my ($line, $is_code) = (0, 0);
        while (<$fh>) {
            ++$line;
            $is_code = !$is_code if /^```/;
            next if $is_code;
            s/`[^`]*`/`/g unless /^#/; # code holds no links
            if (/^#+ (.+?)\s*$/) { # as GitHub makes anchors of headings
                my $anchor = lc $1;
                $anchor =~ s/[^\w\- ]//g;
                $anchors{$page}{ $anchor =~ tr/ /-/r } = 1;
            }
            while (/\]\(([^)\s]+)\)/g) {
                push @{ $links{$page} }, [ $line, $1 ] if $1 !~ /^(?:https?|mailto):/;
            }
        }
    }
    my %next;
    for my $page (sort keys %links) {
        for my $link (@{ $links{$page} }) {
            my ($line, $target) = @$link;
            my ($file, $anchor) = split /#/, $target, 2;
            $file = $file eq "" ? $page : (dirname($page) eq "." ? "" : dirname($page) . "/") . $file;
            1 while $file =~ s{(^|/)[^/]+/\.\./}{$1};
            if (!-e $file) { $complain->("$page:$line: there is no $file") }
            elsif (defined $anchor && !$anchors{$file}{$anchor}) { $complain->("$page:$line: $file has no heading #$anchor") }
            $next{$page}{$file} = 1;
        }
    }
    my %reached = ("README.md" => 1);
    my @pages = keys %reached;
    while (defined(my $page = shift @pages)) {
        push @pages, grep { !$reached{$_}++ } keys %{ $next{$page} };
    }
    for my $page (grep { m{^docs/} } @ARGV) { $reached{$page} or $complain->("no link leads from README.md to $page") }
    exit($bad ? 1 : 0);
' *.md docs/*.md test/node/*.md bench/*.md bench/http/*.md

#!/bin/sh
# Every file or folder of ours that a document names in `code` exists: `extension/…`, `sql/…`, `test/…` and the other rooms.
# Names with <placeholders>, … or * are patterns; of {a,b} each must exist. So does every file that a comment names with its
# folder, wherever that begins: `usher/identity/guesses.hpp` lies in extension/. Names in capitals stand for others.
set -eu
cd "$SRC"
perl -Mutf8 -CSD -e '
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
rooms="extension sql test gateway tools bench examples deploy"
find $rooms docs .github -type f | perl -Mutf8 -CSD -e '
    use strict; use warnings;
    my ($bad, @files, %ends) = (0);
    while (my $file = <STDIN>) {
        chomp $file;
        push @files, $file;
        my $end = $file;
        $ends{$end} = 1;
        $ends{$end} = 1 while $end =~ s{^[^/]+/}{};
    }
    my %comment = ((map { $_ => qr{//(.*)} } qw(cpp hpp)), sql => qr{--(.*)}, map { $_ => qr{^\s*#(.*)} } qw(sh pl pm));
    for my $file (grep { !m{/(?:updates|data|corpus|node_modules)/} } @files) {
        my $form = $comment{$file =~ s/.*\.//r} or next;
        open my $fh, "<", $file or die "$file: $!";
        while (<$fh>) {
            next if !/$form/ || $1 =~ m{://};
            for my $path ($1 =~ m{([\w./-]+/[\w.-]+\.(?:cpp|hpp|sql|sh|pl|pm|md|spec))\b}g) {
                next if $path =~ /NAME|FROM|FOLDER/ || $ends{$path =~ s{^\.?/}{}r};
                print "$file:$.: there is no $path\n";
                $bad = 1;
            }
        }
    }
    exit $bad;
'

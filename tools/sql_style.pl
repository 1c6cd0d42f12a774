# The style of SQL files: usage: perl tools/sql_style.pl FILE...   Prints what is not in it, one finding a line.
# What each rule wants stands beside it; CONTRIBUTING.md shows a function that follows them all.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

my $limit = 119; # lines end before column 120

# Words that PostgreSQL or PL/pgSQL reserves, so that they cannot be names, and some that nobody here takes for one.
my %keyword = map { $_ => 1 } qw(
    all and any array as asc both case cast check collate column constraint create default deferrable desc distinct do
    else end except for foreign from grant group having in initially intersect into lateral limit not null offset on only
    or order primary references returning select some table then to trailing union unique using variadic when where window
    with cross full inner is isnull join like natural outer similar ilike begin declare loop perform raise elsif exit
    constant insert update delete values returns language volatile stable immutable parallel security definer
    drop alter truncate execute conflict nothing exists between overlaps revoke strict leakproof
);
# Types, in lower case.
my %type = map { $_ => 1 } qw(
    text uuid integer int bigint smallint boolean bool jsonb json bytea inet cidr timestamptz timestamp interval date
    numeric float real double varchar char name oid regclass regprocedure regtype regrole record void daterange tstzrange
    int4range int8range citext
);

my $bad = 0;
sub complain {
    my ($file, $line, $what) = @_;
    print "$file:$line: $what\n";
    $bad = 1;
}

# The text with everything inside strings, quoted names and comments blanked out; bodies between dollar quotes stay code.
sub code_of {
    my ($text) = @_;
    my $blank = sub { $_[0] =~ s/[^\n]/ /gr };
    my $out = "";
    pos($text) = 0;
    while (pos($text) < length $text) {
        if    ($text =~ /\G--[^\n]*/gc)                         { $out .= $blank->($&) }
        elsif ($text =~ m{\G/\*.*?\*/}gcs)                      { $out .= $blank->($&) }
        elsif ($text =~ /\G[eE]'(?:[^'\\]|''|\\.)*'/gcs)        { $out .= $blank->($&) }
        elsif ($text =~ /\G'(?:[^']|'')*'/gcs)                  { $out .= $blank->($&) }
        elsif ($text =~ /\G"(?:[^"]|"")*"/gcs)                  { $out .= $blank->($&) }
        elsif ($text =~ /\G\$(\w+)\$.*?\$\1\$/gcs)              { $out .= $blank->($&) } # not a body: text, JSON, SQL
        elsif ($text =~ /\G(?:(?<=\n)|(?<![^\n]))\\[^\n]*/gc)   { $out .= $blank->($&) } # a command of psql
        elsif ($text =~ /\G\\g\w*[^\n]*/gc)                     { $out .= $blank->($&) }
        else  { $text =~ /\G./gcs; $out .= $& }
    }
    return $out;
}

for my $file (@ARGV) {
    open my $fh, "<", $file or die "$file: $!";
    my $text = do { local $/; <$fh> };
    close $fh;
    my $code = code_of($text);
    my @lines = split /\n/, $text, -1;
    my @code = split /\n/, $code, -1;
    $lines[-1] eq "" or complain($file, scalar @lines, "the file must end with a newline");

    for my $n (1 .. @lines) {
        my ($line, $words) = ($lines[$n - 1], $code[$n - 1]);
        length $line <= $limit or complain($file, $n, "the line is longer than $limit characters");
        $line !~ /\t/ or complain($file, $n, "tab");
        $line !~ /\s$/ or complain($file, $n, "white space at the end of the line");
        while ($words =~ /(?<![.\w@%\$:])([A-Za-z_]\w*)(?!\w)(\s*\(|\s*=>)?/g) {
            my ($word, $then) = ($1, $2 // "");
            if ($keyword{$word}) { # a name of an argument, or a function such as left()
                next if $then =~ /=>/;
                # a name too: what people speak
                next if $word eq "language" && substr($words, pos $words) !~ /^\s+(?:c|sql|plpgsql)\b/;
                complain($file, $n, "keyword \"$word\" must be in upper case");
            }
            elsif ($word eq uc $word && $type{lc $word}) {
                complain($file, $n, "type \"$word\" must be in lower case");
            }
        }
    }

    # The head of a function:
    #
    #     CREATE FUNCTION usher.do_this(argument text) RETURNS void
    #         LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    #         SET search_path = pg_catalog, pg_temp
    #     AS $$
    #     BEGIN
    #         …
    #     END
    #     $$;
    next if $file !~ m{(?:^|/)sql/};
    my ($in_head, $last, %made) = (0, "");
    for my $n (1 .. @lines) {
        my ($line, $words) = ($lines[$n - 1], $code[$n - 1]);
        if ($words =~ /^CREATE (?:OR REPLACE )?FUNCTION (\S+?)\(/) {
            ($in_head, $last) = (1, $1);
            $made{$last} = 1;
        }
        if ($in_head && $words =~ /\bLANGUAGE\b/ && $words !~ /^    LANGUAGE/) {
            complain($file, $n, "LANGUAGE must begin a line, with four spaces before it");
        }
        if ($in_head && $words =~ /^    LANGUAGE\b/) {
            $words =~ /^    LANGUAGE (?:c|sql|plpgsql) (?:IMMUTABLE|STABLE|VOLATILE)(?: STRICT)?(?: LEAKPROOF)?(?: PARALLEL (?:SAFE|RESTRICTED|UNSAFE))?(?: SECURITY DEFINER)?(?: COST \d+)?(?: ROWS \d+)?;?$/
                or complain($file, $n, "the line must be LANGUAGE, volatility, STRICT, PARALLEL, SECURITY DEFINER, in this order, and nothing else");
            $words !~ /SECURITY DEFINER/ || ($lines[$n] // "") eq "    SET search_path = pg_catalog, pg_temp"
                or complain($file, $n + 1, "after SECURITY DEFINER must come a line \"    SET search_path = pg_catalog, pg_temp\"");
        }
        if ($in_head && $words =~ /^\s*SET \w/ && $words !~ /^    SET [\w.]+ = [\w., ]+$/) {
            complain($file, $n, "a setting of a function must have a line of its own, with four spaces before it, and =");
        }
        if ($words =~ /\bAS \$\$/ && $line ne 'AS $$') { complain($file, $n, 'a body must begin with "AS $$" on a line of its own') }
        if ($words =~ /\$\$;/ && $line ne '$$;')       { complain($file, $n, 'a body must end with "$$;" on a line of its own') }
        if ($words =~ /^DO\b/ && $line ne 'DO $$' && $line ne 'DO $do$') { complain($file, $n, 'an anonymous block must begin with "DO $$"') }
        $in_head = 0 if $words =~ /\bAS \$\$|;\s*$|^BEGIN ATOMIC/;
        # An upgrade script may change what is said of a function, and nothing else of it.
        if ($words =~ /^COMMENT ON FUNCTION (\S+?)\(/ && $1 ne $last && ($made{$1} || $file !~ m{/updates/})) {
            complain($file, $n, "the comment on $1() must follow its function" . ($made{$1} ? "" : ", which is not in this file"));
        }
    }
}
exit $bad;

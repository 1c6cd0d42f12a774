# Runs the cases of bench/cases/ and prints a table for each. usage: bench.pl --out FILE [CASE...]
#
# Method: in each round every variant runs once, on the same data freshly loaded, in an order that rotates. What is
# compared is the CPU time of the backend (/proc/PID/schedstat, in ns), read before and after the measured statement.
# Ratios and differences are taken within a round, so that a drift of the machine's speed cancels; the median over the
# rounds is printed, with the quartiles.
#
# A case is a Perl file that returns a hash:
#   title     one line
#   rounds    how many (20), after one round that is not counted
#   rows      how many rows or calls one run makes: figures are per row
#   setup     SQL, once; it finds the extension usher, and an empty schema bench that the next case empties again
#   reset     SQL before each run, not measured
#   measure   SQL that is measured, unless the variant has its own
#   variants  list of { name, reset, measure, rows, ours }: the first is the base, the one without the feature; or
#             { name, command }: a program that prints its CPU time per row in ns, run once instead of in every round
#   report    instead of all others: code that measures by itself and returns the lines of its part of the page
#   targets   list of { variant, against, at_most }: added time of one in terms of another's; or of
#             { variant, against, ratio_at_most } or { variant, against, times_faster }: the whole time
#   notes     sub ($run_sql, $backend) that measures something more and returns lines for the page
use strict;
use warnings;
use File::Basename;
use IPC::Open2;
use POSIX ();

my $here = dirname(__FILE__);
unshift @INC, $here;
$ENV{BENCH_HERE} = $here; # for programs that cases run
my ($out, @names);
while (@ARGV) {
    my $arg = shift @ARGV;
    if ($arg eq '--out') { $out = shift @ARGV }
    else { push @names, $arg }
}
@names = map { basename($_, '.pl') } sort glob("$here/cases/*.pl") unless @names;

# --- one psql session, spoken to in turns ----------------------------------------------------------------------------

my ($from, $to, $backend);

sub connect_session {
    my $pid = open2($from, $to, $ENV{BENCH_PSQL}, '-XqAt', '-v', 'ON_ERROR_STOP=1', $ENV{BENCH_CONNINFO})
        or die "psql: $!";
    run_sql('SET client_min_messages = warning;');
    $backend = (run_sql('SELECT pg_backend_pid();'))[0];
}

# Sends SQL and returns the lines that come back. psql ends at the first error, which then ends us.
sub run_sql {
    my ($sql) = @_;
    print $to "$sql\n\\echo == done\n";
    $to->flush;
    my @lines;
    while (my $line = <$from>) {
        chomp $line;
        return @lines if $line eq '== done';
        push @lines, $line;
    }
    die "psql ended in: " . substr($sql, 0, 300) . "\n";
}

sub cpu_ns {
    open my $fh, '<', "/proc/$backend/schedstat" or die "/proc/$backend/schedstat: $!";
    return (split ' ', <$fh>)[0];
}

# --- figures ---------------------------------------------------------------------------------------------------------

sub quantile {
    my ($q, @x) = @_;
    @x = sort { $a <=> $b } @x;
    my $at = $q * $#x;
    my $low = POSIX::floor($at);
    my $high = POSIX::ceil($at);
    return $x[$low] + ($at - $low) * ($x[$high] - $x[$low]);
}
sub median { return quantile(0.5, @_) }

sub duration { # of ns, with three figures
    my ($ns) = @_;
    my ($value, $unit) = abs($ns) >= 1e6 ? ($ns / 1e6, 'ms') : abs($ns) >= 1e3 ? ($ns / 1e3, 'us') : ($ns, 'ns');
    return sprintf('%.3g %s', $value, $unit);
}

# A target for the whole time of one variant in terms of another's.
sub whole_time {
    my ($target, $ns) = @_;
    my ($one, $other) = @{$ns}{ $target->{variant}, $target->{against} };
    my $ratio = median(map { $one->[$_] / $other->[$_] } 0 .. $#$one);
    my ($wanted, $reached, $met) = defined $target->{times_faster}
        ? ("at least $target->{times_faster} times faster than", sprintf('%.1f', 1 / $ratio), 1 / $ratio >= $target->{times_faster})
        : (sprintf('at most %.2f of', $target->{ratio_at_most}), sprintf('%.2f', $ratio), $ratio <= $target->{ratio_at_most});
    return sprintf('Target: "%s" %s "%s": %s, %s.', $target->{variant}, $wanted, $target->{against}, $reached, $met ? 'met' : '**missed**');
}

sub run_case {
    my ($name) = @_;
    my $file = "$here/cases/$name.pl";
    -f $file or die "there is no case $name; see bench/cases/\n";
    my $case = do $file or die "$file: " . ($@ || $!);
    return ("## $name: $case->{title}", '', $case->{report}->(), '') if $case->{report};
    my @variants = @{ $case->{variants} };
    my $rounds = $ENV{BENCH_ROUNDS} || $case->{rounds} || 20;

    connect_session();
    run_sql('CREATE EXTENSION IF NOT EXISTS usher CASCADE; DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench;');
    run_sql($case->{setup}) if $case->{setup};
    my %ns = map { $_->{name} => [] } @variants;
    for my $variant (grep { $_->{command} } @variants) {
        my $printed = `$variant->{command}`;
        $? == 0 && $printed =~ /^([\d.]+)\s*$/ or die "$variant->{command}: $printed";
        $ns{ $variant->{name} } = [ ($1) x $rounds ];
    }
    for my $round (0 .. $rounds) {
        for my $i (0 .. $#variants) {
            my $variant = $variants[($i + $round) % @variants];
            next if $variant->{command};
            run_sql($_) for grep { defined } $case->{reset}, $variant->{reset};
            my $before = cpu_ns();
            run_sql($variant->{measure} // $case->{measure});
            my $after = cpu_ns();
            # the first round warms caches and plans
            push @{ $ns{ $variant->{name} } }, ($after - $before) / ($variant->{rows} // $case->{rows}) if $round;
        }
    }
    my @notes = $case->{notes} ? $case->{notes}->(\&run_sql, $backend) : ();
    run_sql($case->{teardown}) if $case->{teardown};
    close $to;
    close $from;
    wait;

    my @base = @{ $ns{ $variants[0]{name} } };
    my %added;
    my @lines = ("## $name: $case->{title}", '', "$rounds rounds, $case->{rows} rows each; CPU time of the backend per row", '',
        '| variant | time | ratio (quartiles) | added (quartiles) |', '| --- | --- | --- | --- |');
    for my $variant (@variants) {
        my @x = @{ $ns{ $variant->{name} } };
        my @ratio = map { $x[$_] / $base[$_] } 0 .. $#x;
        my @added = map { $x[$_] - $base[$_] } 0 .. $#x;
        $added{ $variant->{name} } = \@added;
        my $label = $variant->{ours} ? "**$variant->{name}**" : $variant->{name};
        push @lines, $variant == $variants[0]
            ? sprintf('| %s | %s | 1 | |', $label, duration(median(@x)))
            : sprintf('| %s | %s | %.2f (%.2f-%.2f) | %s (%s to %s) |', $label, duration(median(@x)), median(@ratio),
                quantile(0.25, @ratio), quantile(0.75, @ratio), duration(median(@added)),
                duration(quantile(0.25, @added)), duration(quantile(0.75, @added)));
    }
    push @lines, '';
    for my $target (@{ $case->{targets} // [] }) {
        push(@lines, whole_time($target, \%ns), ''), next unless defined $target->{at_most};
        my ($one, $other) = @added{ $target->{variant}, $target->{against} };
        my $share = median(map { $one->[$_] / $other->[$_] } 0 .. $#$one);
        push @lines, sprintf('Target: time added by "%s" at most %.2f of that of "%s": %.2f, %s.', $target->{variant},
            $target->{at_most}, $target->{against}, $share, $share <= $target->{at_most} ? 'met' : '**missed**'), '';
    }
    return (@lines, @notes);
}

# --- the page --------------------------------------------------------------------------------------------------------

sub first_line { my ($command) = @_; my $line = `$command 2>/dev/null`; $line =~ s/\n.*//s; return $line }

connect_session();
my ($version) = run_sql('SHOW server_version;');
my @settings = run_sql("SELECT name || ' ' || current_setting(name) FROM pg_settings WHERE name IN ('shared_buffers', 'fsync',
    'synchronous_commit', 'full_page_writes', 'autovacuum', 'jit', 'max_parallel_workers_per_gather') ORDER BY name;");
close $to;
close $from;
wait;

my ($model) = map { /^model name\s*:\s*(.*)/ ? $1 : () } split /\n/, `cat /proc/cpuinfo`;
my @page = ('# Measurements', '', 'Made by `./dev bench`, which explains the method at the head of `bench/bench.pl`. Times are CPU time of the backend on this',
    'machine; what carries over to others is the ratio within a case, and best the added time of one variant against another\'s.', '',
    '- ' . ($model // 'unknown processor') . ', ' . first_line('nproc') . ' cores; ' . first_line('uname -sr'),
    "- PostgreSQL $version; " . first_line('g++ --version'),
    '- ' . join(', ', @settings), '- ' . POSIX::strftime('%Y-%m-%d', gmtime), '');
for my $name (@names) {
    my @lines = run_case($name);
    print map { "$_\n" } @lines;
    push @page, @lines;
}
open my $fh, '>', $out or die "$out: $!";
print $fh map { "$_\n" } @page;
close $fh or die $!;

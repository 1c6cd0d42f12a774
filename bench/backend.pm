# For cases that ask a server themselves: one statement after the other, a backend that is spoken to in turns, and what its calls cost.
package backend;
use strict;
use warnings;
use Exporter 'import';
use IPC::Open2;

our @EXPORT_OK = qw(sql session costs middle_of);

my @psql = ($ENV{BENCH_PSQL}, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $ENV{BENCH_CONNINFO});

# The last line that is answered.
sub sql {
    my ($text) = @_;
    my $pid = open2(my $from, my $to, @psql) or die "psql: $!";
    print $to "SET client_min_messages = warning;\n$text\n";
    close $to;
    my @lines = <$from>;
    waitpid $pid, 0;
    die "psql failed in: " . substr($text, 0, 200) . "\n" if $?;
    chomp @lines;
    return $lines[-1];
}

# One backend, until it is told nothing.
sub session {
    my $pid = open2(my $from, my $to, @psql) or die "psql: $!";
    $to->autoflush(1);
    return sub {
        my ($text) = @_;
        if (!defined $text) { close $to; waitpid $pid, 0; return }
        print $to "$text\n\\echo == done\n";
        my @lines;
        while (my $line = <$from>) {
            chomp $line;
            return @lines if $line eq '== done';
            push @lines, $line;
        }
        die "psql ended in: $text\n";
    };
}

sub middle_of { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ] }

# CPU time of one backend in us for one call of each statement, in turns, the median over the rounds.
sub costs {
    my ($rounds, $times, @statements) = @_;
    my $ask = session();
    $ask->('SET client_min_messages = warning;');
    my ($backend) = $ask->('SELECT pg_backend_pid();');
    my $cpu = sub { open my $fh, '<', "/proc/$backend/schedstat" or die $!; return (split ' ', <$fh>)[0] };
    my @taken;
    for my $round (0 .. $rounds) { # the first is not counted
        for my $i (0 .. $#statements) {
            my $before = $cpu->();
            $ask->("CALL bench.repeat($times, \$call\$$statements[$i]\$call\$);");
            push @{ $taken[$i] }, ($cpu->() - $before) / $times / 1000 if $round > 0;
        }
    }
    $ask->();
    return map { middle_of(@$_) } @taken;
}

1;

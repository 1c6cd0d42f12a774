# Runs TAP files and writes "PASSED FAILED" (assertions) to a file.
# usage: tap.pl COUNTS_FILE CASES_FILE JOBS [-Ifolder...] FILE...
# What passed is added to CASES_FILE by name (tools/cases.pl).
# A file that fails without a failed assertion (it died, or its plan was not met) counts as one failure.
use strict;
use warnings;
use TAP::Harness;
use TAP::Parser::Aggregator;
use File::Basename;

my ($counts, $cases, $jobs, @rest) = @ARGV;
open my $passed_cases, '>>', $cases or die "$cases: $!";
my @lib = map { substr $_, 2 } grep { /^-I/ } @rest;
my @files = grep { !/^-I/ } @rest;

my $harness = TAP::Harness->new({ jobs => $jobs, lib => \@lib, switches => ['-MUsherMinors'], verbosity => -1, failures => 1, color => 0 });
my ($passed, $failed) = (0, 0);
my %seen; # by parser: the lines of what failed, and why a part was skipped
$harness->callback(
    made_parser => sub {
        my ($parser) = @_;
        $parser->callback(
            test => sub {
                my ($result) = @_;
                push @{ $seen{$parser}{failed} }, $result->raw unless $result->is_ok;
                push @{ $seen{$parser}{good} }, $result->description =~ s/^- //r if $result->is_ok && !$result->has_skip;
                $seen{$parser}{skipped}{ $result->explanation } = 1 if $result->has_skip;
            });
    });
$harness->callback(
    after_test => sub {
        my ($job, $parser) = @_;
        my $name = basename($job->[0], '.pl');
        my $good = () = $parser->passed;
        my $bad = () = $parser->failed;
        $bad = 1 if !$bad && $parser->has_problems;
        # a file without a single assertion tests nothing
        $bad = 1 if !$bad && !$good && !$parser->skip_all;
        print $passed_cases "test/t/$name.pl\t$_\n" for $bad ? () : @{ $seen{$parser}{good} // [] };
        print $passed_cases "test/t/$name.pl\t# skipped\n" if !$bad && $parser->skip_all;
        $passed += $good;
        $failed += $bad;
        my $skipped = join '', map { ", skipped a part: $_" } sort keys %{ $seen{$parser}{skipped} // {} };
        printf "tap %s ... %s\n", $name, $bad ? 'FAILED' : $parser->skip_all ? 'skipped: ' . $parser->skip_all : "$good ok$skipped";
        return unless $bad;
        print map { "    $_\n" } @{ $seen{$parser}{failed} // [] };
        my $log = "$ENV{TESTDIR}/tmp_check/log/regress_log_$name";
        if (open my $fh, '<', $log) {
            my @lines = <$fh>;
            splice @lines, 0, -60 if @lines > 60;
            print "--- end of $log\n", @lines;
        }
    });
open my $quiet, '>', '/dev/null' or die $!;
$harness->formatter->stdout($quiet) if $harness->formatter->can('stdout');
my $aggregate = TAP::Parser::Aggregator->new;
$aggregate->start;
$harness->aggregate_tests($aggregate, @files);
$aggregate->stop;
open my $fh, '>', $counts or die "$counts: $!";
print $fh "$passed $failed\n";
close $fh or die $!;

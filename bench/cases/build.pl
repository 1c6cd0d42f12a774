# What `./dev run` compiles on a fresh clone, in CPU time, and what a second call and `./dev test` compile after it. Another machine
# and another compiler take other times: what carries over is that nothing is compiled twice.
use File::Temp;

return {
    title => 'compiling everything from nothing, and again',
    report => sub {
        my $folder = File::Temp->newdir('usher-build-XXXXXX', DIR => "$ENV{BUILD}/bench");
        my %compiled;
        # targets => CPU seconds, seconds, files that were compiled
        my $build = sub {
            my (@targets) = @_;
            my ($wall, @before) = (time, times);
            my $log = `BUILD='$folder' sh '$ENV{SRC}/tools/build.sh' @targets 2>&1`;
            $? == 0 or die "make @targets: $log";
            my @after = times;
            my @files = $log =~ /^  CXX (\S+)/mg;
            $compiled{$_}++ for @files;
            return ($after[2] + $after[3] - $before[2] - $before[3], time - $wall, scalar @files);
        };
        mkdir "$folder/gateway";
        if (-f "$ENV{BUILD}/gateway/httplib.folder") { # fetching a library is not compiling
            chomp($ENV{USHER_HTTPLIB_INCLUDE} = `cat '$ENV{BUILD}/gateway/httplib.folder'`);
        }
        my @lines = ('| what | CPU time | time on ' . ($ENV{JOBS} // 2) . ' cores | files compiled |', '| --- | --- | --- | --- |');
        my @spent;
        for my $part ([ '`./dev run` on a fresh clone', 'all', 'gateway' ], [ '`./dev run` again', 'all', 'gateway' ],
            [ '`./dev test` after it', 'all', 'unit-build', 'boundary', 'gateway' ])
        {
            my ($what, @targets) = @$part;
            my @measured = $build->(@targets);
            push @spent, $measured[0];
            push @lines, sprintf '| %s | %.0f s | %.0f s | %d |', $what, @measured;
        }
        my @twice = grep { $compiled{$_} > 1 } sort keys %compiled;
        return join("\n", @lines, '', 'Compiled twice: ' . (@twice ? join(', ', @twice) : 'nothing') . '.',
            sprintf('Target: at most 240 s of CPU time for the first: %.0f s, %s.', $spent[0], $spent[0] <= 240 ? 'met' : '**missed**'));
    },
};

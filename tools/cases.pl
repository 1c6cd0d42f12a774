# Which cases passed in this run of the tests, by name: what docs/requirements.md may name. Adds lines "FILE<tab>CASE" to a file.
#
#   cases.pl CASES unit LOG             each test that the log of usher_unit_test calls OK
#   cases.pl CASES regress LOG FOLDER   of each test that pg_regress calls ok: the comments of its file in FOLDER, which
#                                       say what the statements after them show, and the lines of its expected output
#   cases.pl CASES specs LOG FOLDER     the same for isolation tests
#   cases.pl CASES examples FOLDER      of each system in FOLDER whose story came to its end, the steps of it, and of each whose
#                                       queries print what they should, their comments and the lines of what they print
# TAP descriptions come from tap.pl, checks from test.sh.
use strict;
use warnings;
use File::Basename qw(basename);

my ($cases, $kind, $log, $folder) = @ARGV;
sub lines_of { my ($file) = @_; open my $fh, '<', $file or return; my @lines = <$fh>; chomp @lines; return @lines }
open my $out, '>>', $cases or die "$cases: $!";
sub passed { my ($file, $case) = @_; print $out "$file\t$case\n" if $case =~ /\w/ }

if ($kind eq 'unit')
{
    my %file_of;
    for my $file (glob "$ENV{SRC}/test/unit/*.cpp")
    {
        my $text = join "\n", lines_of($file);
        $file_of{"$1.$2"} = 'test/unit/' . basename($file) while $text =~ /^TEST(?:_[FP])?\((\w+),\s*(\w+)\)/mg;
    }
    for (lines_of($log))
    {
        next unless m{^\[       OK \] (?:\w+/)?(\w+\.\w+)};
        passed($file_of{$1} // 'test/unit', $1);
    }
    exit;
}
if ($kind eq 'examples')
{
    my %good = map { m{^test/t/(?:all|gateway)_examples\.pl\t(.+)} ? ($1 => 1) : () } lines_of($cases);
    for my $system (map { basename($_) } glob "$log/*")
    {
        if ($good{"$system: … and prints queries.out"})
        {
            passed("examples/$system/queries.sql", $_) for map { /^(?:--|\\echo '(?:-- )?)\s*(.+?)'?$/ ? $1 : () } lines_of("$log/$system/queries.sql");
            passed("examples/$system/queries.out", $_) for lines_of("$log/$system/queries.out");
        }
        for my $file (grep { $good{"$system: $_ runs without a surprise"} } 'story.sql', 'story.sh')
        {
            my $text = join "\n", lines_of("$log/$system/$file");
            passed("examples/$system/$file", $1 =~ s/''/'/gr) while $text =~ /expect\(?\s*'((?:[^']|'')+)'/g;
            passed("examples/$system/$file", $1) while $text =~ /expect "([^"]+)"/g;
        }
    }
    exit;
}
# PostgreSQL 15 says "test name ... ok" or "     name ... ok", later ones write TAP: "ok 1   - name"
my %good = map { /^(?:test)?\s*(\w+)\s+\.\.\. ok\b/ || /^ok \d+\s+[-+] (\w+)/ ? ($1 => 1) : () } lines_of($log);
my ($ending, $comment) = $kind eq 'specs' ? ('spec', '#') : ('sql', '--');
for my $name (sort keys %good)
{
    passed("test/$kind/$name.$ending", $_) for map { /^\Q$comment\E\s*(.+)/ ? $1 : () } lines_of("$folder/$kind/$name.$ending");
    passed("test/expected/$name.out", $_) for lines_of("$folder/expected/$name.out");
}

# The commands of README.md do what it says: they are taken from its text and run in order, in one shell, as a reader would.
use strict;
use warnings;
use DocumentBlocks;
use File::Temp;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $work = File::Temp->newdir('usher-readme-XXXXXX', TMPDIR => 1);

my @blocks = document_blocks('README.md');
cmp_ok(scalar @blocks, '>=', 5, 'README.md has blocks to run');
cmp_ok(scalar(map { @{ $_->{expect} } } @blocks), '>=', 5, 'and says what comes out');

# One shell for all, so that variables stay; a block's end and status are written to its own file.
my $script = "cd '$source'\n";
for my $i (0 .. $#blocks)
{
    open my $fh, '>', "$work/block$i.sh" or die $!;
    print $fh $blocks[$i]{text};
    close $fh;
    $script .= "{ . '$work/block$i.sh'; } > '$work/out$i' 2>&1\necho \$? > '$work/status$i'\n";
}

# A private instance beside whatever runs in this checkout.
$ENV{USHER_INSTANCE} = "$ENV{TESTDIR}/instance";
IPC::Run::run([ 'sh', '-c', $script ], '<', '/dev/null');
for my $i (0 .. $#blocks)
{
    my $block = $blocks[$i];
    my $status = -f "$work/status$i" ? slurp_file("$work/status$i") : 'not run';
    my $out = -f "$work/out$i" ? slurp_file("$work/out$i") : '';
    chomp $status;
    my $good = $block->{fails} ? ($status ne '0' && $status ne 'not run') : $status eq '0';
    ok($good, "README.md line $block->{line}: the commands run") or diag("status $status\n$block->{text}\n$out");
    for my $expect (@{ $block->{expect} })
    {
        like($out, qr/$expect/, "README.md line $block->{line}: and print what is said");
    }
}

END
{
    my $status = $?;
    system("cd '$source' && ./dev stop > /dev/null 2>&1") if $ENV{USHER_INSTANCE};
    $? = $status;
}
done_testing();

# ./dev dist: the archive for PGXN has what is committed, all of it and nothing else, below a folder with name and version.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $build) = @ENV{qw(USHER_SOURCE USHER_BUILD)};
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my @git = ('git', '-c', "safe.directory=$source", '-C', $source);
my ($out, $error) = ('', '');
plan skip_all => 'no git, or no checkout' unless eval { IPC::Run::run([ @git, 'rev-parse', '--show-toplevel' ], '>', \$out, '2>', \$error) } && $out =~ /^\Q$source\E$/m;

ok(IPC::Run::run([ "$source/dev", 'dist' ], '>', \$out, '2>', \$error), './dev dist') or diag($error);
my ($archive) = $out =~ /^(\S+\.zip)$/m;
my ($version) = slurp_file("$source/META.json") =~ /^  "version": "(.*?)"/m;
is($archive, "$build/usher-$version.zip", 'is named for the version');
my ($listed) = run_command([ 'unzip', '-Z1', $archive ]);
my @files = sort grep { !m{/$} } split /\n/, $listed;
my ($tracked) = run_command([ @git, 'ls-tree', '-r', '--name-only', 'HEAD' ]);
is_deeply(\@files, [ sort map { "usher-$version/$_" } split /\n/, $tracked ], 'has what is committed');

# The client of PGXN takes it. It would build for minutes, so its make does nothing.
SKIP:
{
    skip 'no pgxnclient', 1 unless grep { -x "$_/pgxn" } split /:/, $ENV{PATH};
    local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
    my $log = '';
    ok(IPC::Run::run([ 'pgxn', 'install', '--sudo', 'env', '--make', '/bin/true', '--pg_config', $pg_config, $archive ], '>', \$log, '2>&1'), 'pgxn install') or diag($log);
}

# What is unpacked can be installed. The objects are those that are there already, and by their times newer than every source.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $unpacked = "$folder/usher-$version";
system_or_bail('unzip', '-q', $archive, '-d', $folder);
system_or_bail('find', $unpacked, '-exec', 'touch', '-d', '2001-01-01', '{}', '+');
mkdir "$folder/built" or die;
system_or_bail('cp', '-a', "$build/obj", "$folder/built/obj");
my $log = '';
ok(IPC::Run::run([ 'make', '-C', "$folder/built", '-f', "$unpacked/Makefile", "VPATH=$unpacked", "PG_CONFIG=$pg_config", 'install', "DESTDIR=$folder/root" ], '>', \$log, '2>&1'),
    'make install from the archive') or diag($log);
chomp(my $share = `$pg_config --sharedir`);
chomp(my $lib = `$pg_config --pkglibdir`);
ok(-s "$folder/root$lib/usher.so", 'there is the library');

# Its scripts are those of the sources, each as built here, unless that was built from what is not committed yet. The build folder may have
# more: scripts of versions before, which nobody installs.
my @scripts = map { m{^sql/(\w+)/\g1\.control$} ? ("$1.control", "$1--$version.sql") : m{^sql/(\w+)/updates/(\g1--[^/]+\.sql)$} ? $2 : () } split /\n/, $tracked;
cmp_ok(scalar @scripts, '>', 12, 'there are scripts');
is_deeply([ map { s{.*/}{}r } glob "$folder/root$share/extension/*" ], [ sort @scripts ], 'exactly these scripts are installed');
my ($changed) = run_command([ @git, 'status', '--porcelain', '--', 'sql', 'META.json' ]);
for my $name ($changed ? () : sort @scripts)
{
    is(slurp_file("$folder/root$share/extension/$name"), slurp_file("$build/sql/$name"), "$name is the same");
}
unlink $archive;
done_testing();

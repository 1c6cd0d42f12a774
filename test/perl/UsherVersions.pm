# A server on which two versions of the extensions can be installed: this one, and one that test/data keeps.
package UsherVersions;
use strict;
use warnings;
use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use UsherRoot;

our @EXPORT = qw(versions_node kept_version this_version kept_extensions unpack_kept make_scripts describe_extension);

my $source = $ENV{USHER_SOURCE};

sub this_version
{
	my ($version) = slurp_file("$source/META.json") =~ /^  "version": "([\d.]+)"/m;
	return $version;
}

# The newest of the versions kept, and its extensions, core first.
sub kept_version
{
	my @versions = sort { join('', map { sprintf '%04d', $_ } split /\./, $a) cmp join('', map { sprintf '%04d', $_ } split /\./, $b) }
		map { basename($_) } glob "$source/test/data/[0-9]*.*.*";
	return $versions[-1];
}
sub kept_extensions { return ('usher', sort grep { $_ ne 'usher' } map { basename($_, '.control') } glob "$source/test/data/" . kept_version() . '/*.control') }

# A file of test/data/VERSION, uncompressed into a folder.
sub unpack_kept
{
	my ($name, $folder) = @_;
	IPC::Run::run([ 'gunzip', '-c', "$source/test/data/" . kept_version() . "/$name.gz" ], '>', "$folder/$name") or die "gunzip $name failed";
	return "$folder/$name";
}

# The server, not yet started, and where it looks for the scripts of extensions: those of this version, and beside them those kept.
sub versions_node
{
	my ($name) = @_;
	my ($node, undef, $share) = own_root($name, extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	unpack_kept("$_--" . kept_version() . '.sql', "$share/extension") for kept_extensions();
	return ($node, "$share/extension");
}

# tools/upgrade_scripts.pl on such a server: whether it was content, and what it said.
sub make_scripts
{
	my ($node, @arguments) = @_;
	my $said = '';
	my $good = IPC::Run::run([ 'perl', "$source/tools/upgrade_scripts.pl", 'server=' . $node->connstr(), @arguments ], '<', \undef, '>', \$said, '2>&1');
	return ($good, $said);
}

# What an extension is in a database, as lines: kind, name and definition of each object.
sub describe_extension
{
	my ($node, $database, $extension) = @_;
	my ($lines, $errors) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v', "extension=$extension", '-d', $node->connstr($database), '-f', "$source/tools/describe.sql" ],
		'<', \undef, '>', \$lines, '2>', \$errors) or die "describe.sql: $errors";
	return sort grep { !/"kind": "dependency"/ } map { s/"position": \d+, //r } split /\n/, $lines;
}

1;

# A root of its own for a test that installs extensions: what ./dev test has installed, in a folder that the test may write.
package UsherRoot;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(own_root);

# The folder, where in it $sharedir and $pkglibdir are, and a server, not yet started, that finds what lies there. One that has no setting
# for it lies there itself (tools/cluster.sh).
sub own_root
{
	my ($name, @init) = @_;
	my ($bindir, $pkglibdir, $sharedir) = map { my ($folder) = run_command([ $ENV{PG_CONFIG}, "--$_" ]); $folder } qw(bindir pkglibdir sharedir);
	my $settings = slurp_file($ENV{TEMP_CONFIG});
	my ($installed) = $settings =~ m{^dynamic_library_path = '(.*?)\Q$pkglibdir\E:}m or die 'where are the extensions installed?';
	my $own = PostgreSQL::Test::Utils::tempdir() . '/root';
	system('cp', '-a', $installed, $own) == 0 or die "cp $installed";
	my $node = PostgreSQL::Test::Cluster->new($name, -x "$own$bindir/postgres" ? (install_path => "$own$bindir" =~ s{/bin$}{}r) : ());
	$node->init(@init);
	$node->append_conf('postgresql.conf', $settings =~ s/\Q$installed\E/$own/gr);
	return ($node, $own, "$own$sharedir", "$own$pkglibdir");
}

1;

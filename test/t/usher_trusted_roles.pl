# Trust in a database role is that role's: a dump that is restored on another server trusts nobody there until it is told to.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %node;
for my $name (qw(here there))
{
	my $node = $node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->start;
}
my $here = $node{here};
my $there = $node{there};
$here->safe_psql('postgres', q{
	CREATE ROLE z LOGIN;
	CREATE ROLE y LOGIN;
	SET client_min_messages = warning;
	CREATE EXTENSION usher CASCADE;
	SELECT usher.grant_access('z', 'admin'), usher.grant_access('y', 'application')});

# Another role has the name there. The roles are made in another order, so that one has the Oid of the other.
$there->safe_psql('postgres', 'CREATE ROLE y LOGIN; CREATE ROLE z LOGIN; CREATE DATABASE restored');
is($there->safe_psql('postgres', q{SELECT oid FROM pg_roles WHERE rolname = 'y'}), $here->safe_psql('postgres', q{SELECT oid FROM pg_roles WHERE rolname = 'z'}),
	'the Oid is that of another role');

sub is_trusted
{
	my ($node, $database, $role) = @_;
	my ($out, $error) = ('', '');
	$node->psql($database, q{SELECT usher.create_role('r' || pg_backend_pid()) IS NOT NULL}, stdout => \$out, stderr => \$error, extra_params => [ '-U', $role ]);
	return 1 if $out eq 't';
	like($error, qr/nobody is logged in/, "$role: what is missing is trust, not a right");
	return 0;
}
ok(is_trusted($here, 'postgres', 'z'), 'the administrator is trusted where they were made one');

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$here->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $here->connstr('postgres') ], 'pg_dump');
$there->command_ok([ 'pg_restore', '--exit-on-error', '-d', $there->connstr('restored'), $dump ], 'restored on another server');
ok(!is_trusted($there, 'restored', 'z'), 'the role of the same name is not trusted');
ok(!is_trusted($there, 'restored', 'y'), 'nor the one of the same Oid');
my $findings = q{SELECT finding FROM usher.check_configuration() WHERE finding LIKE '%another server' ORDER BY 1};
is($there->safe_psql('restored', $findings), "level admin of role z is of another server\nlevel application of role y is of another server", 'both are found');
$there->safe_psql('restored', 'SELECT usher.grant_access(d.role_name, d.level) FROM usher.database_roles AS d');
ok(is_trusted($there, 'restored', 'z'), 'granted again, it is');
ok(!is_trusted($there, 'restored', 'y'), 'and the other has only its own level');
is($there->safe_psql('restored', $findings), '', 'nothing is left to find');

# In another database of the same server the roles are the same, so nothing has to be said again.
$here->safe_psql('postgres', 'CREATE DATABASE again');
$here->command_ok([ 'pg_restore', '--exit-on-error', '-d', $here->connstr('again'), $dump ], 'restored on the same server');
ok(is_trusted($here, 'again', 'z'), 'the same role is trusted there');
# It is the role, though the dump has its former name, and another has that.
$here->safe_psql('postgres', 'ALTER ROLE z RENAME TO x; CREATE ROLE z LOGIN; CREATE DATABASE renamed');
$here->command_ok([ 'pg_restore', '--exit-on-error', '-d', $here->connstr('renamed'), $dump ], 'restored after a new role has taken the name');
$here->safe_psql('renamed', 'GRANT USAGE ON SCHEMA usher TO x; GRANT EXECUTE ON FUNCTION usher.create_role TO x'); # a dump has privileges by name
ok(!is_trusted($here, 'renamed', 'z'), 'the new one is not trusted');
ok(is_trusted($here, 'renamed', 'x'), 'the renamed one is');

$_->stop for values %node;
done_testing();

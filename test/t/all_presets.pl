# Each preset of roles, of core and of every extension, alone in a database of its own: a newcomer gets its default role, each role may do
# what the preset says and nothing else, manages whom it says and nobody else, and applying it again changes nothing.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('presets');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'usher'\nusher.argon2_memory = 8192\nusher.argon2_iterations = 1\n");
$node->start;
my @extensions = qw(usher_booking usher_payment usher_shop usher_loyalty usher_courier);
$node->safe_psql('postgres', 'CREATE DATABASE installed');
$node->safe_psql('installed', 'SET client_min_messages = warning; CREATE EXTENSION usher CASCADE; CREATE SCHEMA app; ' . join '', map { "CREATE EXTENSION $_ SCHEMA app CASCADE;" } @extensions);

# What all extensions together have registered under one name.
my %presets = %{ decode_json($node->safe_psql('installed', q{SELECT jsonb_object_agg(name, parts) FROM (SELECT name, jsonb_agg(preset) AS parts FROM usher.role_presets GROUP BY name) AS p})) };
my @presets = grep { $_ ne 'administration' } sort keys %presets;
cmp_ok(scalar @presets, '>=', 6, 'there are presets: ' . join ', ', @presets);
for my $preset (@presets)
{
	$node->safe_psql('postgres', "CREATE DATABASE $preset TEMPLATE installed");
	my $one = sub { return $node->safe_psql($preset, $_[0]) };
	$one->("SELECT usher.apply_role_preset('$preset')");
	my (%permissions, %manages, $default);
	for my $part (@{ $presets{administration} }, @{ $presets{$preset} })
	{
		for my $role (keys %{ $part->{roles} })
		{
			$permissions{$role}{$_} = 1 for @{ $part->{roles}{$role}{permissions} };
			$manages{$role}{$_} = 1 for @{ $part->{roles}{$role}{manages} // [] };
			$default = $role if $part->{roles}{$role}{is_default};
		}
	}
	my @roles = sort keys %permissions;
	is($one->('SELECT string_agg(name, q) FROM (SELECT name, chr(44) AS q FROM usher.roles ORDER BY name COLLATE "C") AS r'), join(',', @roles), "$preset: its roles are there, and no others");
	$one->("SELECT usher.register_user('newcomer\@presets.example', 'correct horse battery')");
	is($one->(q{SELECT string_agg(r.name, ',') FROM usher.user_roles AS u JOIN usher.roles AS r ON r.id = u.role_id}), $default // '', "$preset: a newcomer gets its default role");
	$one->(q{SELECT usher.import_user('imported@presets.example')});
	is($one->(q{SELECT count(DISTINCT role_id) FROM usher.user_roles}), $default ? 1 : 0, "$preset: … and so does whoever is imported");

	# everybody of one role, asked about every permission that there is
	$one->("INSERT INTO usher.users (email, status) SELECT name || '\@presets.example', 'active' FROM usher.roles; INSERT INTO usher.credentials (user_id) SELECT id FROM usher.users WHERE email IN (SELECT name || '\@presets.example' FROM usher.roles); INSERT INTO usher.user_roles (user_id, role_id) SELECT u.id, r.id FROM usher.users AS u JOIN usher.roles AS r ON u.email = r.name || '\@presets.example'");
	my %may;
	for (split /\n/, $one->(q{SELECT r.name, p.name FROM usher.roles AS r JOIN usher.users AS u ON u.email = r.name || '@presets.example' CROSS JOIN usher.permissions AS p WHERE usher.user_has_permission(u.id, p.name)}))
	{
		my ($role, $permission) = split /\|/;
		$may{$role}{$permission} = 1;
	}
	my @all = split /\n/, $one->('SELECT name FROM usher.permissions');
	for my $role (@roles)
	{
		my %wanted = map { my $named = $_; (map { $_ => 1 } grep { $named eq '*:*' || $_ eq $named || ($named =~ /^(\w+):\*$/ && /^$1:/) } @all) } keys %{ $permissions{$role} };
		is_deeply($may{$role} // {}, \%wanted, "$preset: $role may do what it says, and nothing else");
		my $managed = $one->("SELECT string_agg(t.name, ',' ORDER BY t.name COLLATE \"C\") FROM usher.roles AS t WHERE usher.can_manage((SELECT id FROM usher.users WHERE email = t.name || '\@presets.example'), (SELECT id FROM usher.users WHERE email = '$role\@presets.example')) AND t.name <> '$role'");
		my @whom = sort grep { $_ ne $role && ($manages{$role}{'*'} || $manages{$role}{$_}) } @roles;
		is($managed, join(',', @whom), "$preset: $role manages whom it says, and nobody else");
	}
	my $state = q{SELECT md5(string_agg(t, chr(10) ORDER BY t)) FROM (SELECT r::text AS t FROM usher.roles AS r UNION ALL SELECT (role_id, permission)::text FROM usher.role_permissions UNION ALL SELECT (actor_role_id, target_role_id)::text FROM usher.role_management UNION ALL SELECT p.name FROM usher.permissions AS p) AS x};
	my $before = $one->($state);
	$one->("SELECT usher.apply_role_preset('$preset')");
	is($one->($state), $before, "$preset: applied again it changes nothing");
	is($one->('SELECT rule FROM usher.self_check() WHERE violations > 0'), '', "$preset: self_check() finds nothing");
}
# Two in one database: the first one says who newcomers are; the setting stands above both.
$node->safe_psql('blog', "SELECT usher.apply_role_preset('clinic'); SELECT usher.register_user('second\@presets.example', 'correct horse battery')");
my $role_of = q{SELECT string_agg(r.name, ',') FROM usher.user_roles AS u JOIN usher.roles AS r ON r.id = u.role_id JOIN usher.users AS x ON x.id = u.user_id WHERE x.email = };
is($node->safe_psql('blog', "$role_of 'second\@presets.example'"), 'reader', 'of two presets the first one applied says who newcomers are');
$node->safe_psql('blog', "SET usher.default_role = 'customer'; SELECT usher.register_user('third\@presets.example', 'correct horse battery')");
is($node->safe_psql('blog', "$role_of 'third\@presets.example'"), 'customer', '… and usher.default_role stands above both');
$node->stop;
done_testing();

# docs/write-an-extension.md, word for word: an extension from a folder outside of the tree, with PGXS alone, in SQL and then in C++;
# an application that registers; and what an extension that forgets something is told.
use strict;
use warnings;
use DocumentBlocks;
use File::Basename;
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherRoot;

# A root of its own, which make install may write.
my ($node, $own, $sharedir) = own_root('extension');
my $folder = PostgreSQL::Test::Utils::tempdir;
$node->start;
my %environment = (
	PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', DESTDIR => $own, PG_CONFIG => $ENV{PG_CONFIG},
	USHER_MK => "$sharedir/usher/usher.mk", MAKEFLAGS => '');
local @ENV{ keys %environment } = values %environment;
$node->safe_psql('postgres', 'CREATE EXTENSION usher CASCADE');

my @blocks = document_blocks('docs/write-an-extension.md');
cmp_ok(scalar @blocks, '>', 12, 'the page has blocks');
for my $block (@blocks)
{
	my ($out, $err, $good) = ('', '', 1);
	if ($block->{file})
	{
		make_path(dirname("$folder/$block->{file}"));
		open my $file, '>', "$folder/$block->{file}" or die "$block->{file}: $!";
		print $file $block->{text};
		close $file;
		next;
	}
	if ($block->{language} eq 'sh')
	{
		$good = IPC::Run::run([ 'sh', '-ec', "cd '$folder'; $block->{text}" ], '<', \undef, '>', \$out, '2>', \$err);
	}
	else
	{
		$good = IPC::Run::run([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres' ], '<', \$block->{text}, '>', \$out, '2>', \$err);
	}
	ok($good, "line $block->{line}: runs") or diag("$out\n$err\n" . (-f "$folder/notes/regression.diffs" ? slurp_file("$folder/notes/regression.diffs") : ''));
	(my $printed = "$out$err") =~ s/ \| /|/g;
	like($printed, qr/$_/, "line $block->{line}: prints what is said") for @{ $block->{expect} };
	if ($block->{text} =~ /new_values/) { unlike($out, qr/milk.*milk/s, 'the audit log does not repeat a personal column') }
}

# ./dev new-extension writes the same with another name, which works as it is, and beside another one.
{
	my ($out, $err) = ('', '');
	my $new = sub { return IPC::Run::run([ "$ENV{USHER_SOURCE}/dev", 'new-extension', "$folder/$_[0]", @_[ 1 .. $#_ ] ], '<', \undef, '>', \$out, '2>', \$err) };
	for ([ 'letters', 'letter' ], [ 'libraries', 'library' ])
	{
		my ($name, $one) = @$_;
		ok($new->($name), "$name: a new extension") or diag($err);
		like($out, qr/One of its $name is called $one, and its errors have the class ([I-Z][0-9A-Z]): \1/, '… says what it is called and which class it took');
		ok(IPC::Run::run([ 'sh', '-ec', "make -C '$folder/$name' install && make -C '$folder/$name' installcheck" ], '<', \undef, '>', \$out, '2>', \$err),
			'… is installed and passes its test') or diag("$out\n$err\n" . (-f "$folder/$name/regression.diffs" ? slurp_file("$folder/$name/regression.diffs") : ''));
		$node->safe_psql('postgres', "CREATE SCHEMA $name; CREATE EXTENSION $name SCHEMA $name");
	}
	is($node->safe_psql('postgres', q{SELECT count(DISTINCT error_class) FROM usher.list_extensions() WHERE name IN ('letters', 'libraries')}),
		2, 'the two stand beside each other');
	is($node->safe_psql('postgres', q{SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc AS p WHERE p.pronamespace = 'libraries'::regnamespace}),
		'_erase_libraries _export_libraries _libraries_upkeep publish_library write_library', 'and one library is a library');
	$node->safe_psql('postgres', 'DROP EXTENSION letters; DROP EXTENSION libraries');
	ok($new->('mice', 'MQ', 'mouse'), 'a class and a singular of one\'s own');
	like(slurp_file("$folder/mice/mice--1.0.sql"), qr/write_mouse.*Raises MQ001.*error_class => 'MQ'.*"sqlstate": "MQ001"/s, '… stand in the script');
	for my $class ('US', 'UB', 'UP', 'UC', 'UL', 'UM', 'P0', 'XX', 'A1', 'L', 'l1', 'L12')
	{
		ok(!$new->('taken', $class) && !-e "$folder/taken", "the class $class is refused");
	}
	ok(!$new->('Not Good'), 'a name that is none is refused');
	ok(!$new->('letters'), 'and so is a folder that is there');
}

# What is forgotten is said. Each is a whole extension in two files.
sub create_error
{
	my ($name, $script, $schema) = @_;
	my $extensions = "$sharedir/extension";
	for ([ "$name.control", "default_version = '1'\nrequires = 'usher'\nrelocatable = false\n" ], [ "$name--1.sql", $script ])
	{
		open my $file, '>', "$extensions/$_->[0]" or die "$_->[0]: $!";
		print $file $_->[1];
		close $file;
	}
	my (undef, undef, $error) = $node->psql('postgres', "CREATE EXTENSION $name SCHEMA " . ($schema // 'public'));
	return $error;
}
my $all = q('{upkeep,self_check,configuration,metrics,health,export,erase}');
like(create_error('forgets', q{SELECT usher.register_extension('x', declined_hooks => '{upkeep}')}),
	qr/"forgets" registers no function for the hook "self_check"/, 'a forgotten hook fails CREATE EXTENSION, by name');
like(create_error('misnames', q{SELECT usher.register_extension('x', hooks => '{"upkeeping": "f"}', declined_hooks => } . "$all)"),
	qr/there is no hook "upkeeping"/, 'a hook that there is not');
like(create_error('mistypes', q{CREATE FUNCTION public.h() RETURNS integer LANGUAGE sql RETURN 1;
	SELECT usher.register_extension('x', hooks => '{"health": "h"}', declined_hooks => '{upkeep,self_check,configuration,metrics,export,erase}')}),
	qr/hook "health" of "mistypes" needs a function public\.h\(\) that returns text/, 'a hook of another kind');
like(create_error('declines', qq{SELECT usher.register_extension('x', declined_hooks => $all || '{dance}'::text[])}),
	qr/declined_hooks names "dance"/, 'declining what there is not');
like(create_error('unfinished', 'SELECT usher.finish_extension()'), qr/extension "unfinished" is not registered/, 'an extension that does not register');
like(create_error('steals', qq{SELECT usher.register_extension('x', declined_hooks => $all, error_class => 'US',
	error_codes => '[{"code": "mine", "sqlstate": "US001", "http_status": 400, "description": "x"}]')}),
	qr/error class US of "steals" is that of another extension.*HINT:  "usher" has it\. Take two other characters/s, 'a class of errors that core has');
like(create_error('misfiles', qq{SELECT usher.register_extension('x', declined_hooks => $all, error_class => 'UQ',
	error_codes => '[{"code": "mine", "sqlstate": "UR001", "http_status": 400, "description": "x"}]')}),
	qr/SQLSTATE UR001 of error code "mine" is not of the class UQ/, 'an SQLSTATE of another class');
like(create_error('misses', qq{SELECT usher.register_extension('x', declined_hooks => $all, personal_data => '{"t": {"user": ["u"]}}')}),
	qr/column u of public\.t does not exist/, 'a column that there is not');

# Two features in one schema, each with everything, and each gone without a trace.
$node->safe_psql('postgres', 'CREATE SCHEMA shared');
for my $name (qw(twin_a twin_b))
{
	my $class = $name eq 'twin_a' ? 'UY' : 'UZ';
	is(create_error($name, qq{
		CREATE TABLE \@extschema\@.${name}s (id uuid PRIMARY KEY, user_id uuid, words text);
		CREATE FUNCTION \@extschema\@._${name}_check() RETURNS TABLE (rule text, violations bigint) LANGUAGE sql STABLE AS \$\$ SELECT 'of $name', 0::bigint \$\$;
		SELECT usher.register_extension('A twin', hooks => '{"self_check": "_${name}_check"}',
			declined_hooks => '{upkeep,configuration,metrics,health,export,erase}', error_class => '$class',
			error_codes => '[{"code": "${name}_error", "sqlstate": "${class}001", "http_status": 409, "description": "Twins."}]',
			personal_data => '{"${name}s": {"user": ["user_id"], "personal": ["words"]}}', publishes => '{$name.born}',
			role_presets => '{"twins": {"permissions": {"$name:see": "See"},
				"roles": {"${name}_role": {"description": "A twin", "permissions": ["twin_a:see", "twin_b:see"], "manages": ["twin_a_role", "twin_b_role"]}}}}',
			access => '[{"kind": "table", "levels": ["auditor"], "names": "${name}s"}]');
		SELECT usher.define_rate_limit('$name', 'fixed_window', 1, '1 minute');
		SELECT usher.finish_extension();}, 'shared'), '', "$name is created in a schema that it shares");
}
is($node->safe_psql('postgres', q{SELECT string_agg(rule, ',' ORDER BY rule) FROM usher.self_check() WHERE extension LIKE 'twin%'}),
	'of twin_a,of twin_b', 'both are called');
is($node->safe_psql('postgres', q{SELECT usher.apply_role_preset('twins'); SELECT count(*) FROM usher.permissions WHERE name LIKE 'twin%'}) =~ s/^\n//r,
	2, 'both add to one preset');
is($node->safe_psql('postgres', q{SELECT count(*) FROM usher.role_permissions p JOIN usher.roles r ON r.id = p.role_id WHERE r.name LIKE 'twin%'
	UNION ALL SELECT count(*) FROM usher.role_management m JOIN usher.roles r ON r.id = m.actor_role_id WHERE r.name LIKE 'twin%'}),
	"4\n4", 'where each role may what the other brings, and manages the role of the other');
$node->safe_psql('postgres', 'DROP EXTENSION twin_a');
is($node->safe_psql('postgres', q{SELECT string_agg(name, ',') FROM usher.list_extensions() WHERE name LIKE 'twin%'}), 'twin_b', 'one is dropped, the other stays');
$node->safe_psql('postgres', 'DROP SCHEMA shared CASCADE');
is($node->safe_psql('postgres', q{SELECT count(*) FROM usher.list_extensions() WHERE name LIKE 'twin%'}), 0, 'the other goes with its schema');
# whatever table of core names an extension
my $left = $node->safe_psql('postgres', q{
	SELECT string_agg(format('SELECT %L FROM usher.%I WHERE %I::text LIKE ''twin%%''', c.relname || '.' || a.attname, c.relname, a.attname), ' UNION ALL ')
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind = 'r' AND a.attname IN ('extension', 'registrant')});
is($node->safe_psql('postgres', $left), '', 'nothing of them is left in any table');
$node->stop;
done_testing();

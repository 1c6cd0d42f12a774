# What a DBA makes of rows that extensions ship survives every way of dumping and loading, and every update of an extension: for
# each table that has such rows one is changed, one removed and one added. The tables come from the catalog.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherRoot;

# A root of its own, where extensions can be put.
my ($node, undef, $sharedir) = own_root('decisions');
my $folder = PostgreSQL::Test::Utils::tempdir;
$node->start;

sub write_file
{
	my ($name, $text) = @_;
	open my $file, '>', "$sharedir/extension/$name" or die "$name: $!";
	print $file $text;
	close $file;
}
sub one { my ($database, $query) = @_; return $node->safe_psql($database, $query) }

# An extension that ships three rows into each table: one will be kept, one changed, one removed. In version 1.1 all have another
# default, and a fourth comes.
sub script
{
	my ($version) = @_;
	my @names = $version eq '1.0' ? qw(kept changed removed) : qw(kept changed removed fresh taken);
	my $n = $version eq '1.0' ? 1 : 2;
	my $list = sub { my ($form) = @_; return join ', ', map { (my $line = $form) =~ s/NAME/$_/g; $line } @names };
	my $each = sub { my ($form) = @_; return join '', map { (my $line = $form) =~ s/NAME/$_/g; $line } @names };
	my $i = 0;
	my $errors = join ', ', map { $i++; qq({"code": "parcel_$_", "sqlstate": "XP00$i", "http_status": 40$n, "description": "Of $version."}) } @names;
	my $hooks = '"health": "parcel_health", "metrics": "parcel_metrics", "self_check": "parcel_check"';
	return qq~
		SELECT usher.register_extension('Parcels $version', hooks => '{$hooks}', declined_hooks => '{upkeep,configuration,export,erase}', error_class => 'XP',
			error_codes => '[$errors]',
			personal_data => '{"sizes": {"impersonal": ["name", "extension"]}, "kept": {"impersonal": ["words"]}, "changed": {"impersonal": ["words"]}, "removed": {"impersonal": ["words"]}}',
			access => '[~ . $list->('{"kind": "table", "levels": ["auditor"], "names": "NAME"}') . q~]',
			settings => '[~ . $list->(qq({"name": "parcel.NAME", "type": "integer", "default_value": "$n", "description": "Of $version."})) . q~]',
			role_presets => '{~ . $list->(qq("parcel_NAME": {"permissions": {"parcel:v$n": "Of $version"}})) . q~}',
			publishes => '{~ . $list->('parcel.NAME') . q~}');~
	  . $each->(qq{
		SELECT usher.define_rate_limit('parcel.NAME', 'fixed_window', $n, '1 hour');
		SELECT usher.add_route('GET', '/parcels/NAME', 'parcel.parcel_health()', 'authenticated', summary => 'Of $version');
		SELECT usher.subscribe('parcel.NAME', 'parcel', mode => 'async', max_attempts => $n);
		SELECT usher.create_permission('parcel:NAME', 'A parcel', true);
		SELECT usher.define_model('parcel_NAME', '{"r": "sub", "p": "sub", "e": "some(where (p.eft == allow))", "m": "r.sub == p.sub || r.sub == \\"v$n\\""}'::text);
		SELECT usher.define_machine('parcel_NAME', '{"initial": ["v$n"], "transitions": [{"from": null, "to": "v$n", "action": "make"}]}');
		INSERT INTO parcel.sizes (name, litres) VALUES ('NAME', $n) ON CONFLICT (name) DO UPDATE SET litres = EXCLUDED.litres, extension = EXCLUDED.extension;})
	  . "\n" . q{SELECT usher.finish_extension();};
}
my $objects = q{
	CREATE TABLE parcel.sizes (name text PRIMARY KEY, litres integer NOT NULL, extension name DEFAULT usher._installing_extension());
	SELECT usher.ship_rows('parcel.sizes', '{name}');
	CREATE TABLE parcel.kept (words text); CREATE TABLE parcel.changed (words text); CREATE TABLE parcel.removed (words text);
	CREATE FUNCTION parcel.parcel_health() RETURNS text LANGUAGE sql RETURN NULL::text;
	CREATE FUNCTION parcel.other_health() RETURNS text LANGUAGE sql RETURN NULL::text;
	CREATE FUNCTION parcel.parcel_metrics() RETURNS TABLE (name text, labels jsonb, value double precision) LANGUAGE sql AS $$ SELECT 'x', '{}'::jsonb, 1 WHERE false $$;
	CREATE FUNCTION parcel.parcel_check() RETURNS TABLE (rule text, violations bigint) LANGUAGE sql AS $$ SELECT 'x', 0::bigint WHERE false $$;};
write_file('parcel.control', "default_version = '1.0'\nrequires = 'usher'\nschema = 'parcel'\nrelocatable = false\n");
write_file('parcel--1.0.sql', $objects . script('1.0'));
write_file('parcel--1.1.sql', $objects . script('1.1'));
write_file('parcel--1.0--1.1.sql', script('1.1'));

$node->safe_psql('postgres', 'CREATE DATABASE before');
one('before', 'CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; CREATE EXTENSION parcel');

# What is decided: changed, removed and added rows of each table.
my %decide = (
	'usher.extensions' => [ q{UPDATE usher.extensions SET description = 'Mine' WHERE name = 'parcel'} ],
	'usher.extension_hooks' => [ q{UPDATE usher.extension_hooks SET function_name = 'other_health' WHERE (registrant, hook) = ('parcel', 'health')},
		q{DELETE FROM usher.extension_hooks WHERE (registrant, hook) = ('parcel', 'metrics')} ],
	'usher.extension_errors' => [ q{UPDATE usher.extension_errors SET description = 'Mine' WHERE code = 'parcel_changed'},
		q{DELETE FROM usher.extension_errors WHERE code = 'parcel_removed'},
		q{INSERT INTO usher.extension_errors VALUES ('parcel_added', 'XP999', 418, 'Mine', 'parcel')} ],
	'usher.extension_access' => [ q{UPDATE usher.extension_access SET levels = '{admin}' WHERE (registrant, names) = ('parcel', 'changed')},
		q{DELETE FROM usher.extension_access WHERE (registrant, names) = ('parcel', 'removed')} ],
	'usher.extension_settings' => [ q{UPDATE usher.extension_settings SET default_value = '99' WHERE name = 'parcel.changed'},
		q{DELETE FROM usher.extension_settings WHERE name = 'parcel.removed'} ],
	'usher.extension_events' => [ q{UPDATE usher.extension_events SET event = 'parcel.renamed' WHERE event = 'parcel.changed'},
		q{DELETE FROM usher.extension_events WHERE event = 'parcel.removed'} ],
	'usher.role_presets' => [ q{UPDATE usher.role_presets SET preset = '{"permissions": {}}' WHERE name = 'parcel_changed'},
		q{DELETE FROM usher.role_presets WHERE name = 'parcel_removed'} ],
	'usher.personal_columns' => [ q{UPDATE usher.personal_columns SET kind = 'personal' WHERE (registrant, table_name) = ('parcel', 'changed')},
		q{DELETE FROM usher.personal_columns WHERE (registrant, table_name) = ('parcel', 'removed')},
		q{INSERT INTO usher.personal_columns VALUES ('parcel', 'sizes', 'litres', 'impersonal')} ],
	'usher.permissions' => [ q{UPDATE usher.permissions SET description = 'Mine' WHERE name = 'parcel:changed'}, q{SELECT usher.drop_permission('parcel:removed')} ],
	'usher.policy_models' => [
		q{SELECT usher.define_model('parcel_changed', '{"r": "sub", "p": "sub", "e": "some(where (p.eft == allow))", "m": "r.sub == \"mine\""}'::text)},
		q{SELECT usher.drop_model('parcel_removed')} ],
	'usher.rate_limit_policies' => [ q{SELECT usher.define_rate_limit('parcel.changed', 'sliding_window', 99, '90 minutes')},
		q{SELECT usher.drop_rate_limit('parcel.removed')}, q{SELECT usher.define_rate_limit('mine', 'token_bucket', 5, '2 days')} ],
	'usher.machines' => [ q{UPDATE usher.machines SET is_active = false WHERE name = 'parcel_changed'}, q{DELETE FROM usher.machines WHERE name = 'parcel_removed'},
		q{SELECT usher.define_machine('parcel_kept', '{"initial": ["mine"], "transitions": [{"from": null, "to": "mine", "action": "make"}]}')} ],
	'usher.routes' => [ q{SELECT usher.add_route('GET', '/parcels/changed', 'parcel.parcel_health()', 'permission', 'parcel:kept', summary => 'Mine', options => '{"sunset_at": "2040-01-01T00:00:00+02"}')},
		q{SELECT usher.remove_route('GET', '/parcels/removed')}, q{SELECT usher.remove_route('POST', '/auth/register')},
		q{SELECT usher.add_route('GET', '/mine', 'parcel.other_health()')} ],
	'usher.subscriptions' => [ q{SELECT usher.subscribe('parcel.changed', 'parcel', mode => 'async', max_attempts => 99)},
		q{SELECT usher.unsubscribe('parcel.removed', 'parcel')}, q{SELECT usher.subscribe('parcel.kept', 'mine', mode => 'async')} ],
	'parcel.sizes' => [ q{UPDATE parcel.sizes SET litres = 99 WHERE name = 'changed'}, q{DELETE FROM parcel.sizes WHERE name = 'removed'},
		q{INSERT INTO parcel.sizes VALUES ('mine', 5), ('taken', 7)} ]);

# Columns that differ from one installation to the next.
my $tables = one('before', q{SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'usher._keep_decision()'::regprocedure ORDER BY 1});
is(join("\n", sort keys %decide), join("\n", sort split /\n/, $tables), 'every table with shipped rows is tried');
sub contents
{
	my ($database) = @_;
	return join "\n", map {
		"$_\n" . one($database, "SELECT row FROM (SELECT (to_jsonb(t) - '{id,number,created_at,updated_at,registered_at,granted_at,updated_by}'::text[])::text FROM $_ t) AS r (row) ORDER BY row COLLATE \"C\"")
	} split /\n/, $tables;
}
sub decisions { return one($_[0], q{SELECT table_name, key, kind, decided, shipped, shipped_by, decided_by, decided_at, is_in_force FROM usher.list_decisions()}) }

one('before', join ";\n", map { @$_ } @decide{ sort keys %decide });
my ($contents, $decisions) = (contents('before'), decisions('before'));
my %kinds = map { $_ => one('before', "SELECT string_agg(DISTINCT kind, ',' ORDER BY kind) FROM usher.list_decisions() WHERE table_name = '$_'") } split /\n/, $tables;
like($kinds{$_}, $_ eq 'usher.extensions' ? qr/changed/ : /access|events/ ? qr/added,removed/ : qr/changed,removed/, "$_: both are decisions")
	for sort keys %kinds; # where all that there is to change is the key, the row is another one
unlike($decisions, qr/\|f$/m, 'all are in force');
like($contents, qr/"period": "01:30:00"/, 'the changed policy is there');
unlike($contents, qr{"/auth/register"}, 'and the removed route is not');
my (undef, undef, $refused) = $node->psql('before', q{DELETE FROM usher.extensions WHERE name = 'parcel'});
like($refused, qr/"parcel" is an extension, and registered as long as it is there/, 'an extension cannot be unregistered while it is there');
is(one('before', q{BEGIN; UPDATE usher.routes SET extension = 'usher' WHERE path_template = '/mine'; SELECT extension IS NULL FROM usher.routes WHERE path_template = '/mine'; ROLLBACK}), 't',
	'nobody makes a row of their own one that is not dumped');
is(one('before', q{BEGIN; TRUNCATE usher.subscriptions; SELECT count(*) > 3 FROM usher.list_decisions() WHERE (table_name, kind) = ('usher.subscriptions', 'removed'); ROLLBACK}), 't',
	'TRUNCATE removes, too');

# Every way to dump and load.
my @connection = ('-d', $node->connstr('before'));
my $loaded = 0;
sub same
{
	my ($name, $way) = @_;
	is(contents($name), $contents, "$way: every shipped row is as it was decided");
	is(decisions($name), $decisions, "$way: and so is every decision");
	is(one($name, 'SELECT string_agg(rule, chr(10)) FROM usher.self_check() WHERE violations > 0'), '', "$way: usher.self_check() finds nothing");
}
for my $way (
	[ 'plain', [], [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f' ] ],
	[ 'plain, in one transaction', [], [ 'psql', '-Xq1', '-v', 'ON_ERROR_STOP=1', '-f' ] ],
	[ 'plain, as INSERTs', ['--inserts'], [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f' ] ],
	[ 'custom', ['-Fc'], [ 'pg_restore', '--exit-on-error' ] ],
	[ 'custom, with jobs', ['-Fc'], [ 'pg_restore', '--exit-on-error', '--jobs=4' ] ],
	[ 'folder, with jobs both ways', [ '-Fd', '--jobs=3' ], [ 'pg_restore', '--exit-on-error', '--jobs=4' ] ],
	[ 'tar, triggers off', ['-Ft'], [ 'pg_restore', '--exit-on-error', '--disable-triggers' ] ],
	[ 'in sections', ['-Fc'], map { [ 'pg_restore', '--exit-on-error', "--section=$_" ] } qw(pre-data data post-data) ],
	[ 'in sections, with jobs', ['-Fc'], map { [ 'pg_restore', '--exit-on-error', '--jobs=4', "--section=$_" ] } qw(pre-data data post-data) ])
{
	my ($name, $options, @restore) = @$way;
	my $database = 'load' . ++$loaded;
	one('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'pg_dump', @$options, '-f', "$folder/$database", @connection ], "$name: pg_dump");
	$node->command_ok([ @$_[0 .. $#$_ - ($_->[-1] eq '-f')], '-d', $node->connstr($database), $_->[-1] eq '-f' ? ('-f', "$folder/$database") : "$folder/$database" ], "$name: loaded")
		for @restore;
	same($database, $name);
}
# Data alone, into a database that has the extensions; with triggers off it has to be said.
my $extensions = 'CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; CREATE EXTENSION parcel';
for my $way ([ 'data', [] ], [ 'data, triggers off', ['--disable-triggers'] ])
{
	my ($name, $options) = @$way;
	my $database = 'load' . ++$loaded;
	one('postgres', "CREATE DATABASE $database");
	one($database, $extensions);
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$folder/$database", @connection ], "$name: pg_dump");
	$node->command_ok([ 'pg_restore', '--data-only', @$options, '--exit-on-error', '-d', $node->connstr($database), "$folder/$database" ], "$name: loaded");
	if (@$options)
	{
		like(one($database, 'SELECT finding, advice FROM usher.check_configuration()'), qr/removed.*is not in force\|.*apply_decisions|is not in force\|SELECT usher.apply_decisions/s,
			"$name: check_configuration() sees what is not in force");
		cmp_ok(one($database, 'SELECT usher.apply_decisions()'), '>', 10, "$name: it is applied");
	}
	is(contents($database), $contents, "$name: every shipped row is as it was decided");
}

# An update ships other defaults: what was decided stays, and the columns that were not follow.
write_file('parcel.control', "default_version = '1.1'\nrequires = 'usher'\nschema = 'parcel'\nrelocatable = false\n");
one('before', 'CREATE DATABASE updated TEMPLATE load1');
one('updated', q{ALTER EXTENSION parcel UPDATE});
# the same version made anew under the decisions of the old one
one('postgres', 'CREATE DATABASE renewed');
$node->command_ok([ 'pg_restore', '--exit-on-error', '--jobs=4', '-d', $node->connstr('renewed'), "$folder/load5" ], 'a dump of the old version is loaded where the new one is installed');
my %new = map { $_ => contents($_) } qw(updated renewed);
for my $name (qw(updated renewed))
{
	is(one($name, q{SELECT algorithm, max_hits FROM usher.rate_limit_policies WHERE policy LIKE 'parcel.%' ORDER BY policy}),
		"sliding_window|99\nfixed_window|2\nfixed_window|2\nfixed_window|2", "$name: the changed policy is as it was decided, others are as shipped now, the removed one is gone");
	is(one($name, q{SELECT path_template, access, summary FROM usher.routes WHERE path_template LIKE '/parcels%' ORDER BY 1}),
		"/parcels/changed|permission|Mine\n/parcels/fresh|authenticated|Of 1.1\n/parcels/kept|authenticated|Of 1.1\n/parcels/taken|authenticated|Of 1.1", "$name: routes");
	is(one($name, q{SELECT name, litres, extension IS NULL FROM parcel.sizes ORDER BY 1}), "changed|99|f\nfresh|2|f\nkept|2|f\nmine|5|t\ntaken|7|f",
		"$name: a row of the application stays as it is when an extension ships one of its key");
	is(one($name, q{SELECT code, http_status, description FROM usher.extension_errors WHERE registrant = 'parcel' ORDER BY 1}),
		"parcel_added|418|Mine\nparcel_changed|402|Mine\nparcel_fresh|402|Of 1.1.\nparcel_kept|402|Of 1.1.\nparcel_taken|402|Of 1.1.", "$name: columns that were not decided follow");
	is(one($name, q{SELECT name, usher.machine_statuses(name) FROM (SELECT DISTINCT name FROM usher.machines WHERE name LIKE 'parcel%' AND is_active) m ORDER BY 1}),
		"parcel_fresh|{v2}\nparcel_kept|{mine}\nparcel_taken|{v2}", "$name: a machine of one's own stays in force, one that was switched off stays off");
	is(one($name, q{SELECT hook, function_name FROM usher.extension_hooks WHERE registrant = 'parcel' ORDER BY 1}), "health|other_health\nself_check|parcel_check", "$name: hooks");
	is(one($name, q{SELECT column_name FROM usher.personal_columns WHERE (registrant, table_name) = ('parcel', 'sizes') ORDER BY 1}), "extension\nlitres\nname", "$name: a row that was added stays");
	is(one($name, q{SELECT count(*) FROM usher.list_decisions() WHERE NOT is_in_force}), 0, "$name: all is in force");
}
# Definitions of machines of before stay where there was an update.
s/^usher\.machines\n.*?\nusher\./usher./ms for values %new;
is($new{renewed}, $new{updated}, 'both are the same');

# Back to the default, which is the one of now.
is(one('updated', q{SELECT usher.revert_decision('usher.rate_limit_policies', '{"policy": "parcel.changed"}'), usher.revert_decision('usher.routes', '{"shape": "/parcels/removed", "method": "GET"}'),
	usher.revert_decision('usher.personal_columns', '{"registrant": "parcel", "table_name": "sizes", "column_name": "litres"}'), usher.revert_decision('usher.routes', '{"shape": "/", "method": "GET"}')}),
	't|t|t|f', 'decisions are reverted');
is(one('updated', q{SELECT algorithm, max_hits FROM usher.rate_limit_policies WHERE policy = 'parcel.changed'; SELECT summary, extension FROM usher.routes WHERE path_template = '/parcels/removed';
	SELECT count(*) FROM usher.personal_columns WHERE (registrant, table_name, column_name) = ('parcel', 'sizes', 'litres')}), "fixed_window|2\nOf 1.1|parcel\n0", 'each row is as it is shipped now');
one('updated', q{UPDATE usher.subscriptions SET max_attempts = 2 WHERE event = 'parcel.changed'});
is(one('updated', q{SELECT count(*) FROM usher.list_decisions() WHERE key @> '{"event": "parcel.changed", "consumer": "parcel"}'}), 0, 'so is one that was written back by hand');
# A removed row that somebody makes anew is theirs as a whole.
one('updated', q{SELECT usher.add_route('POST', '/auth/register', 'parcel.other_health()', 'public')});
is(one('updated', q{SELECT kind, decided ->> 'function_name', shipped ->> 'function_name' FROM usher.list_decisions() WHERE key @> '{"shape": "/auth/register"}'}),
	'replaced|other_health|sign_up', 'a route in the place of a removed one');

# What a script may not write, and what it must say.
sub create_error
{
	my ($name, $script) = @_;
	write_file("$name.control", "default_version = '1'\nrequires = 'usher'\nrelocatable = false\n");
	write_file("$name--1.sql", $script);
	my (undef, undef, $error) = $node->psql('before', "CREATE EXTENSION $name SCHEMA public");
	return $error;
}
my $register = q{SELECT usher.register_extension('x', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}');};
like(create_error('grants', qq{$register SELECT usher.create_role('shipped');}), qr/the script of extension "grants" cannot write rows of usher\.roles/,
	'a script that makes a role is refused');
like(create_error('seeds', qq{CREATE TABLE \@extschema\@.seeds (n integer PRIMARY KEY); INSERT INTO \@extschema\@.seeds VALUES (1); $register SELECT usher.finish_extension();}),
	qr/the script of "seeds" has written rows into (public\.)?seeds/, 'so is one that fills a table and does not say that it ships the rows');
like(create_error('plain', qq{CREATE TABLE \@extschema\@.plains (n integer PRIMARY KEY); SELECT usher.ship_rows('\@extschema\@.plains', '{n}'); $register}),
	qr/has no column "extension"/, 'or whose table cannot say whose row it is');
is(create_error('derives', qq{CREATE TABLE \@extschema\@.derives (n integer PRIMARY KEY); INSERT INTO \@extschema\@.derives VALUES (1); $register SELECT usher.finish_extension(derived => '{public.derives}');}),
	'', 'rows that nobody decides about are named');
# Of core and its features: rows stand in tables that ship them, in those named as derived, and nowhere else.
one('postgres', 'CREATE DATABASE fresh');
one('fresh', 'CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE');
my $filled = one('fresh', q{SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
	JOIN pg_extension e ON d.refobjid = e.oid AND e.extname LIKE 'usher%'
	WHERE c.relkind = 'r' AND (xpath('/row/filled/text()', query_to_xml(format('SELECT EXISTS (SELECT FROM %s) AS filled', c.oid::regclass), false, true, '')))[1]::text = 'true'
		AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'usher._keep_decision()'::regprocedure) ORDER BY 1});
is(join("\n", sort split /\n/, $filled), "usher._schema_objects\nusher._watched_columns\nusher.role_graph", 'no other table of core or booking has rows after CREATE EXTENSION');

# An extension that goes takes decisions about its rows along, and permissions that were granted stay, and are dumped.
one('updated', q{SELECT usher.create_role('packer'); SELECT usher.grant_permission('packer'::text, 'parcel:kept'); DROP EXTENSION parcel});
is(one('updated', q{SELECT count(*) FROM usher.decisions WHERE shipped_by = 'parcel'; SELECT name, extension IS NULL FROM usher.permissions WHERE name LIKE 'parcel:%'}), "0\nparcel:kept|t",
	'a dropped extension leaves no decisions, and a granted permission');
one('postgres', 'CREATE DATABASE after');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$folder/after", '-d', $node->connstr('updated') ], 'what is left is dumped');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('after'), "$folder/after" ], 'and loaded');
is(one('after', q{SELECT count(*) FROM usher.role_permissions WHERE permission = 'parcel:kept'}), 1, 'with the grant');

$node->stop;
done_testing();

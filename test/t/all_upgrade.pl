# From the version that test/data keeps to this one, and back, twice, with rows in the tables of all extensions: what the scripts make is
# what CREATE EXTENSION makes, and no row is lost. The new library serves the old scripts; a dump of before is restored into this version;
# clients go on meanwhile.
use strict;
use warnings;
use File::Basename;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use UsherVersions;

my ($source, $from, $to) = ($ENV{USHER_SOURCE}, kept_version(), this_version());
my @extensions = kept_extensions();
my @features = grep { $_ ne 'usher' } @extensions;
my %schema = (usher => 'usher', usher_booking => 'wash', usher_payment => 'pay', usher_shop => 'shop', usher_loyalty => 'club'); # as load.sql has them
my ($node, $share) = versions_node('upgrade');
$node->append_conf('postgresql.conf', "autovacuum = off\nusher.audit_chain = off\n");
$node->start;
note("$from to $to");

# --- the scripts are those that the tool makes; it leaves a database of each version, to compare with

my $folder = PostgreSQL::Test::Utils::tempdir();
mkdir "$folder/$_" for qw(old out);
unpack_kept("$_--$from.sql", "$folder/old") for @extensions;
my ($good, $said) = make_scripts($node, "from=$from", "to=$to", "old=$folder/old", "new=$share", "steps=$source/sql/%s/updates", "out=$folder/out", "share=$share", 'only_scripts=1',
	'usher', sort map { basename($_) } glob "$source/sql/usher_*");
ok($good, 'upgrade scripts can be made') or diag($said);
for my $extension (@extensions)
{
	for my $script ("$extension--$from--$to.sql", "$extension--$to--$from.sql")
	{
		my $kept = -f "$source/sql/$extension/updates/$script" ? slurp_file("$source/sql/$extension/updates/$script") : 'nothing';
		ok($kept eq slurp_file("$folder/out/$extension/$script"), "$script is as ./dev upgrade-scripts $from makes it");
	}
}
like(slurp_file($_), qr/\A-- \w.{20}/, (split m{/}, $_)[-3] . ': the step by hand says what and why') for glob "$source/sql/*/updates/*.tables.sql";

# every function of C that the old scripts name is in this library
my %symbols = map { (split)[2] => 1 } grep { / T / } split /\n/, `nm -D --defined-only '$ENV{USHER_BUILD}/usher.so'`;
my %named;
for (@extensions) { $named{$_} = 1 for slurp_file("$folder/old/$_--$from.sql") =~ /AS 'MODULE_PATHNAME', '(\w+)'/g }
cmp_ok(scalar keys %named, '>', 100, 'the old scripts name functions of the library');
is(join(' ', grep { !$symbols{$_} } sort keys %named), '', '… and this library has each of them');

# --- a database of the old version, with rows, under the new library

sub create_old
{
	my ($database, %in) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, join ';', 'SET client_min_messages = warning', "CREATE EXTENSION usher VERSION '$from' CASCADE", 'CREATE EXTENSION btree_gist',
		map { ("CREATE SCHEMA IF NOT EXISTS $in{$_}", "CREATE EXTENSION $_ SCHEMA $in{$_} VERSION '$from' CASCADE") } @features);
}
$node->safe_psql('postgres', 'CREATE ROLE upgrade_app LOGIN; CREATE ROLE upgrade_gateway; CREATE ROLE upgrade_reader; CREATE ROLE upgrade_auditor; CREATE ROLE upgrade_admin');
my $grants = q{SELECT usher.grant_access('upgrade_' || v.role, v.level) FROM (VALUES ('app', 'application'), ('gateway', 'gateway'), ('reader', 'readonly'),
	('auditor', 'auditor'), ('admin', 'admin')) AS v (role, level)};
create_old('filled', %schema);
$node->safe_psql('filled', q{SELECT usher.apply_role_preset(p) FROM unnest('{carwash,payments}'::text[]) AS p; SELECT usher.rotate_signing_key('EdDSA');} . $grants);
$node->command_ok([ 'psql', '-Xqq', '-v', 'users=500', '-d', $node->connstr('filled'), '-f', unpack_kept('load.sql', $folder) ], 'rows are loaded');

# of every table that a dump carries, the columns that the old version has
my @tables = split /\n/, $node->safe_psql('filled', q{
	SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), '''')) FROM (SELECT %s FROM %s %s) AS t',
		c.oid::regclass, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
			-- what is shipped follows the version
			AND NOT a.attisdropped AND (c.oid, a.attname) <> ('usher.decisions'::regclass, 'shipped')), c.oid::regclass, e.extcondition[array_position(e.extconfig, c.oid)])
	FROM pg_extension AS e JOIN pg_class AS c ON c.oid = ANY (e.extconfig)
	WHERE e.extname LIKE 'usher%' AND c.relname NOT IN ('_audit_dump', '_inventory_dump') AND c.relkind IN ('r', 'p') ORDER BY c.oid::regclass::text COLLATE "C"});
sub contents { return $node->safe_psql($_[0], join ";\n", @tables) }
my $contents = contents('filled');
# load.sql cares for how many rows there are, not for all that they have to agree with
my $findings = q{SELECT rule || ': ' || violations FROM usher.self_check() WHERE violations > 0 AND rule !~ 'missing or changed'};
my $found_before = $node->safe_psql('filled', $findings);
for my $extension (@extensions)
{
	cmp_ok(scalar(() = $contents =~ /^\Q$schema{$extension}\E\.\S*\|[1-9]/mg), '>=', 8, "$extension has tables with rows");
}

# What an extension is, in a database of the tool and in one of ours; lines that are in one alone.
sub differences
{
	my ($wanted, $database, $skip) = @_;
	my @differences;
	for my $extension (@extensions)
	{
		my %count;
		for (describe_extension($node, $wanted, $extension)) { s/\bat_(usher_\w+?)\b/$schema{$1}/g; $count{$_}++ }
		$count{$_}-- for describe_extension($node, $database, $extension);
		push @differences, map { "$extension, " . ($count{$_} > 0 ? 'wanted' : 'found') . ": $_" } grep { $count{$_} && !($skip && /$skip/) } sort keys %count;
	}
	return join "\n", map { substr $_, 0, 400 } splice @differences, 0, 10;
}
my $of_roles = q{
	SELECT line FROM (
		SELECT format('%s %s %s', p.oid::regprocedure, a.grantee::regrole, a.privilege_type) FROM pg_proc AS p, aclexplode(p.proacl) AS a
		UNION ALL SELECT format('%s %s %s', c.oid::regclass, a.grantee::regrole, a.privilege_type) FROM pg_class AS c, aclexplode(c.relacl) AS a
		UNION ALL SELECT format('%s.%s %s %s', t.attrelid::regclass, t.attname, a.grantee::regrole, a.privilege_type) FROM pg_attribute AS t, aclexplode(t.attacl) AS a)
	AS v (line) WHERE line ~ ' upgrade_' ORDER BY line COLLATE "C"};
sub grants_of_dump
{
	my ($database) = @_;
	my ($dump) = run_command([ 'pg_dump', '-s', '-d', $node->connstr($database) ]);
	return join "\n", sort grep { / TO upgrade_/ } split /\n/, $dump;
}
sub in_schemas { my ($text) = @_; $text =~ s/\bat_(usher_\w+?)\b/$schema{$1}/g; return join "\n", sort split /\n/, $text }
my @there = map { "ALTER EXTENSION $_ UPDATE" } @extensions;
my @back = map { "ALTER EXTENSION $_ UPDATE TO '$from'" } reverse @extensions;
is($node->safe_psql('filled', "SELECT path FROM pg_extension_update_paths('usher') WHERE source = '$from' AND target = '$to'"), "$from--$to", 'the server knows the way');

# --- the order of the extensions

my ($code, undef, $error) = $node->psql('filled', "ALTER EXTENSION usher_booking UPDATE");
like($error, qr/extension "usher" has to be updated first/, 'a feature is not updated before core');
$node->safe_psql('filled', $there[0]);
is($node->safe_psql('filled', $findings), $found_before, 'core alone goes first: self_check() of features of before finds nothing more');
$node->safe_psql('filled', $there[1]);
($code, undef, $error) = $node->psql('filled', "ALTER EXTENSION usher UPDATE TO '$from'");
like($error, qr/the other extensions of usher have to go back first/, 'core does not go back before its features');
$node->safe_psql('filled', join ';', @there[2 .. $#there]);

# --- there and back, and again

$node->safe_psql('upgrade_new', $grants);
my $grants_new = in_schemas(grants_of_dump('upgrade_new'));
for my $time ('', 'once more: ')
{
	my $skip = $time && '"kind": "(?:row of|index|column)'; # decided, or changed by hand, see below
	$node->safe_psql('filled', join ';', @there) if $time;
	is($node->safe_psql('filled', q{SELECT string_agg(DISTINCT extversion, ' ') FROM pg_extension WHERE extname LIKE 'usher%'}), $to, "${time}all are of version $to");
	is(differences('upgrade_new', 'filled', $skip), '', "${time}every object and every shipped row is as CREATE EXTENSION makes it");
	is(contents('filled'), $contents, "${time}every row of before is there, as it was");
	is($node->safe_psql('filled', $findings), $found_before, "${time}self_check() finds nothing more than before");
	is(in_schemas($node->safe_psql('filled', $of_roles)), in_schemas($node->safe_psql('upgrade_new', $of_roles)), "${time}roles may what their levels say in this version");
	is(grants_of_dump('filled'), $grants_new, "${time}… and a dump carries it");
	if (!$time) { is($node->safe_psql('filled', 'SELECT * FROM usher.schema_drift()'), '', 'schema_drift() finds nothing') }
	else
	{
		is($node->safe_psql('filled', 'SELECT object, change FROM usher.schema_drift()'), "column tier of usher.users|changed\nindex usher.by_hand|added", 'what was changed by hand before is still named');
		is($node->safe_psql('filled', q{SELECT count(*) FROM usher.list_decisions() WHERE is_in_force}), '2', 'what was decided is in force');
		is($node->safe_psql('filled', q{SELECT max_hits FROM usher.rate_limit_policies WHERE policy = 'auth.login'}), '77', '… a limit that was changed');
		is($node->safe_psql('filled', q{SELECT count(*) FROM usher.routes WHERE path_template = '/auth/register'}), '0', '… and a route that was removed');
	}
	# at the version already: nothing happens
	my $stderr;
	$node->psql('filled', join(';', @there), stderr => \$stderr);
	is(scalar(() = $stderr =~ /NOTICE:  version "\Q$to\E" of extension "\w+" is already installed/g), scalar @extensions, "${time}an update once more does nothing, and says so");

	$node->safe_psql('filled', join ';', @back);
	is(differences('upgrade_old', 'filled', $skip), '', "${time}and back: every object is as CREATE EXTENSION of before makes it");
	is(contents('filled'), $contents, "${time}… and every row is there");
	next if $time;
	is($node->safe_psql('filled', 'SELECT * FROM usher.schema_drift()'), '', '… and schema_drift() finds nothing');
	$node->safe_psql('filled', $grants . q{;
		SELECT usher.define_rate_limit('auth.login', 'token_bucket', 77, '1 minute'), usher.remove_route('POST', '/auth/register');
		CREATE INDEX by_hand ON usher.users (tier, id);
		ALTER TABLE usher.users ALTER COLUMN tier SET DEFAULT 'SILVER'});
	$contents = contents('filled');
}
$node->safe_psql('filled', q{DROP INDEX usher.by_hand});

# --- docs/upgrade.md, as it stands there

my @blocks = document_blocks('docs/upgrade.md');
cmp_ok(scalar @blocks, '>=', 5, 'the page has blocks');
for my $block (@blocks)
{
	my ($out, $errors) = ('', '');
	my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('filled') ], '<', \$block->{text}, '>', \$out, '2>', \$errors);
	ok($good, "docs/upgrade.md:$block->{line} runs") or diag($errors);
	like($out, qr/$_/m, "… and prints $_") for @{ $block->{expect} };
}
is(contents('filled'), $contents, 'what the page says leaves every row');

# --- by dump and restore

my $dump = "$folder/full.dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('filled') ], "a dump of version $from");
$node->safe_psql('postgres', 'CREATE DATABASE restored');
# All of it, but for what was granted on functions whose arguments are others now, as the page says.
my $restore_errors = '';
IPC::Run::run([ 'pg_restore', '--jobs=2', '-d', $node->connstr('restored'), $dump ], '2>', \$restore_errors);
my %unknown = map { $_ => 1 } $restore_errors =~ /^pg_restore: error: could not execute query: (.*)$/mg;
is(join("\n", sort keys %unknown), join("\n", map { "ERROR:  function $_ does not exist" } 'shop.add_order_event(uuid, text, jsonb)', 'shop.return_order(uuid, jsonb, text)'),
    "… is restored where $to is installed, but for privileges on functions that have other arguments");
is(join("\n", grep { !/^GRANT / } $restore_errors =~ /^Command was: (.*)$/mg), '', '… and nothing else');
$node->safe_psql('restored', 'SELECT usher.grant_access(role_name, level) FROM usher.database_roles');
is($node->safe_psql('restored', q{SELECT string_agg(DISTINCT extversion, ' ') FROM pg_extension WHERE extname LIKE 'usher%'}), $to, '… and is of this version then');
is(contents('restored'), $contents, '… with every row');
is(differences('upgrade_new', 'restored', '"kind": "row of'), '', '… and every object of this version');
is($node->safe_psql('restored', 'SELECT object FROM usher.schema_drift()'), '', '… of which schema_drift() finds no difference');
is($node->safe_psql('restored', q{SELECT max_hits FROM usher.rate_limit_policies WHERE policy = 'auth.login'}), '77', '… and what was decided is in force');
is($node->safe_psql('restored', $findings), $found_before, '… and self_check() finds nothing more than before');
$node->safe_psql('postgres', 'DROP DATABASE restored');

# --- a rolling restart: the library of this version with the scripts of before

system('tar', '-C', $folder, '-xzf', "$source/test/data/$from/examples.tar.gz") == 0 or die 'tar';
sub runs
{
	my ($database, $file, $what) = @_;
	my $errors = '';
	ok(IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ], '<', \undef, '>', \my $out, '2>', \$errors), $what) or diag($errors);
}
my $violations = q{SELECT rule || ': ' || violations FROM usher.self_check() WHERE violations > 0};
for my $database ('rolling', 'rolling_core')
{
	create_old($database, map { $_ => 'wash' } @extensions);
	runs($database, "$folder/examples/carwash/install.sql", "install.sql of the car wash of $from runs on the library of $to");
	runs($database, "$folder/examples/carwash/story.sql", '… and its story.sql') if $database eq 'rolling';
	$node->safe_psql($database, $there[0]) if $database eq 'rolling_core'; # each extension by itself, and core is the first
	runs($database, "$source/test/data/rolling.sql", '… and so do a shop and a club' . ($database eq 'rolling_core' ? ', also when core alone is updated' : ''));
	is($node->safe_psql($database, $violations), '', '… and self_check() finds nothing');
	$node->safe_psql($database, join ';', @there);
	is($node->safe_psql($database, $violations), '', '… nor after the update');
}

# --- under traffic, with lock_timeout

# what an update locks so that others cannot go on: tables that statements of the scripts change, and the list of machines
my $locks = $node->safe_psql('filled', join(';', 'BEGIN', @there) . q{;
	SELECT DISTINCT l.relation::regclass FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
	WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.oid >= 16384 AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
		-- nobody waits for a table that is new
		AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' AND age(d.xmin) <= age(pg_current_xact_id()::xid));
	ROLLBACK});
my $statements = join '', map { slurp_file("$source/sql/$_/updates/$_--$from--$to.sql") } @extensions;
$statements =~ s/\$(\w*)\$.*?\$\1\$//gs; # bodies of functions lock nothing, nor does what is said about tables
$statements =~ s/^(?:SELECT usher\.register_extension|COMMENT ON).*?;$//gms;
is(join(' ', grep { my ($table) = /(\w+)$/; $statements !~ /\b$table\b/ && $_ ne 'usher.machines' } split /\n/, $locks), '',
	'an update keeps nobody from reading or writing a table that it does not change');

my $script = "$folder/traffic.sql";
append_to_file($script, <<'SQL');
\set n random(101, 400)
BEGIN;
SELECT usher.authenticate(usher.issue_token(size.user(:n)));
SELECT usher.has_permission('user:read'), (usher.get_me()).email;
SELECT usher.log_event('regress.traffic');
SELECT count(*) FROM usher.hit_rate_limit('auth.refresh', 'traffic' || :n);
COMMIT;
SQL
my ($traffic, $heard) = ('', '');
my $connection = $node->connstr('filled');
my $clients = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '600', '-f', $script, $connection ], '<', \undef, '>', \$traffic, '2>', \$heard);
my $seen = sub { $node->safe_psql('filled', q{SELECT count(*) FROM usher.audit_logs WHERE event_type = 'regress.traffic'}) };
my $waits = sub {
	my ($more) = @_;
	my $before = $seen->();
	for (1 .. 600) { return 1 if $seen->() >= $before + $more; sleep 0.1 }
	return 0;
};
ok($waits->(20), 'clients work');
my $tries = 0;
for my $statements (\@there, \@back, \@there)
{
	for my $statement (@$statements)
	{
		for (1 .. 100)
		{
			$tries++;
			my ($code, undef, $error) = $node->psql('filled', "SET lock_timeout = '2s'; $statement");
			last if $code == 0;
			like($error, qr/lock timeout|deadlock detected/, "$statement: only a lock was in the way") or last;
		}
	}
	ok($waits->(20), 'clients go on working');
}
note("$tries statements for " . 3 * @extensions . ' updates');
$clients->kill_kill;
unlike($heard, qr/ERROR|aborted/, 'no client had an error') or diag($heard);
is($node->safe_psql('filled', q{SELECT string_agg(DISTINCT extversion, ' ') FROM pg_extension WHERE extname LIKE 'usher%'}), $to, 'updated under traffic');
is(differences('upgrade_new', 'filled', '"kind": "(?:row of|column)'), '', '… and every object is as CREATE EXTENSION makes it');

$node->stop;
done_testing();

# Without preload a session loads the library with the first function in C that it calls, and knows no setting of ours before: no function may
# ask for one first. Each is called in a session of its own.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my @features = grep { $_ ne 'usher' } sort map { m{([^/]+)\.control$} } glob("$source/sql/*/*.control");
my $node = PostgreSQL::Test::Cluster->new('unloaded');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nfsync = off\nstatement_timeout = 10s\n");
$node->start;
$node->safe_psql('postgres', join '; ', 'SET client_min_messages = warning', 'CREATE EXTENSION usher CASCADE', 'CREATE SCHEMA wash',
	map { "CREATE EXTENSION $_ SCHEMA wash CASCADE" } @features);
my @calls = split /\n/, $node->safe_psql('postgres', q{
	SELECT format('BEGIN; SELECT %I.%I(%s); ROLLBACK;', n.nspname, p.proname, (
		SELECT string_agg(CASE a.type WHEN 'uuid'::regtype THEN quote_literal('00000000-0000-7000-8000-000000000001') || '::uuid'
				WHEN 'text'::regtype THEN '''x''::text' WHEN 'integer'::regtype THEN '1'
				WHEN 'jsonb'::regtype THEN '''{}''::jsonb' WHEN 'interval'::regtype THEN '''1 minute''::interval'
				ELSE 'NULL::' || format_type(a.type, NULL) END, ', ' ORDER BY a.n)
		FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, n)))
	FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
	WHERE n.nspname IN ('usher', 'wash') AND p.prokind = 'f' AND l.lanname IN ('sql', 'plpgsql')
		-- what others call: private functions come after one of these
		AND (p.proname !~ '^_' OR EXISTS (SELECT FROM usher._hooks() AS k, usher._hook_functions(k.hook) AS h WHERE h.function = p.oid AND h.registrant <> 'usher'))
		AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
	ORDER BY n.nspname, p.proname});
cmp_ok(scalar @calls, '>', 300, 'there are functions to call: ' . scalar @calls);
my $script = PostgreSQL::Test::Utils::tempdir() . '/calls.sql';
append_to_file($script, join('', map { "\\c\n$_\n" } @calls));
my $errors = '';
IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $script ], '>', \my $out, '2>', \$errors);
is($?, 0, 'all are called');
unlike($errors, qr/server closed|could not connect|connection to server/, '… each in a session that is there');
my @lines = split /\n/, slurp_file($script);
my @wrong = map { /sql:(\d+):.*unrecognized configuration parameter "(.*?)"/ ? "$lines[$1 - 1]: $2" : () } split /\n/, $errors;
is(join("\n", @wrong), '', 'none asks for a setting before the library is there');
$node->stop;
done_testing();

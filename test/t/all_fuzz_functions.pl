# Every function of every usher extension, public or private, called with random arguments that are drawn by type: as an
# application, as a user of it and as superuser, in transactions of every kind. No call may end the server, fail with an internal
# error, run on after its timeout, or write in a READ ONLY transaction; and what an application can do leaves no row that breaks a rule.
#
# USHER_FUZZ_SEED repeats a run, but for ids, which are new each time. USHER_FUZZ_SECONDS says how long one lasts, USHER_LONG makes it
# longer. USHER_FUZZ_ONLY, a regular expression, restricts it to functions of that name. Batches with a finding are kept as files.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $source = $ENV{USHER_SOURCE};
my $seed = $ENV{USHER_FUZZ_SEED} // int(rand(1_000_000));
my $seconds = $ENV{USHER_FUZZ_SECONDS} // ($ENV{USHER_LONG} ? 300 : 12);
my $only = qr/$ENV{USHER_FUZZ_ONLY}/ if defined $ENV{USHER_FUZZ_ONLY};
note("seed $seed: USHER_FUZZ_SEED=$seed repeats this run");
srand($seed);

# Internal errors that are right: [SQLSTATE, message, the reason].
my @justified = (
	# A plain call of ours hands the name of a type to the server, and the server's own answer to some of them is of this class.
	[ 'XX000', qr/^cache lookup failed for (?:type|relation|function) (?:0|999999999)$/, 'somebody made up the OID' ],
);

# --- the world -------------------------------------------------------------------------------------------------------

my $node = PostgreSQL::Test::Cluster->new('fuzz');
$node->init;
# a crash must not end the search, and hashing must not be most of what happens
$node->append_conf('postgresql.conf', <<'CONF');
restart_after_crash = on
usher.argon2_memory = 8192
usher.argon2_iterations = 1
usher.require_verified_email = off
usher.hash_wait = 500
usher.access_token_ttl = 86400
max_parallel_workers_per_gather = 2
CONF
$node->start;
my $conninfo = $node->connstr('postgres');
sub psql_file
{
	my ($file, $what) = @_;
	my ($out, $err) = ('', '');
	my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $conninfo, '-f', $file ], '<', \undef, '>', \$out, '2>', \$err);
	ok($good, $what) or BAIL_OUT($err);
}
psql_file("$source/tools/database.sql", 'all extensions are created');
psql_file("$source/examples/carwash/install.sql", 'the demo is loaded');
psql_file("$source/test/fuzz/world.sql", 'and things that fit nothing');

my %token = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{
	SET ROLE fuzz_app;
	SELECT who, (usher.login(who || '@carwash.example', password)).access_token
	FROM (VALUES ('admin', 'sparkling-admin-demo'), ('manager', 'sparkling-manager-demo'), ('client', 'sparkling-client-demo')) AS a (who, password)});
ok(3 == grep({ length } values %token), 'three users have logged in');
my $is_old = $node->safe_psql('postgres', 'SHOW server_version_num') < 160000;
my $forced = $is_old ? 'force_parallel_mode' : 'debug_parallel_query';

# --- the functions, and what may be put in ---------------------------------------------------------------------------

# Perl has no array of arrays in text: columns by a control character, rows by another one
sub rows { return map { [ split /\x1f/, $_, -1 ] } split /\x1e/, $node->safe_psql('postgres', $_[0] =~ s/\bROW_OF\(/concat_ws(E'\\x1f', /gr) }

my @functions = map { {
	oid => $_->[0], call => $_->[1], kind => $_->[2], public => $_->[3] eq 't', returns => $_->[4],
	types => [ split /,/, $_->[5] ], names => [ split /,/, $_->[6], -1 ], defaults => $_->[7], name => $_->[8], result => $_->[9] } }
  rows(q{
	SELECT string_agg(ROW_OF(p.oid, format('%I.%I', n.nspname, p.proname), p.prokind, has_function_privilege('fuzz_app', p.oid, 'EXECUTE'),
		p.prorettype, array_to_string(p.proargtypes::oid[], ','),
		(SELECT coalesce(string_agg(coalesce(p.proargnames[i], ''), ',' ORDER BY i), '') FROM generate_series(1, p.pronargs) AS i),
		p.pronargdefaults, p.oid::regprocedure, p.prorettype::regtype), E'\x1e' ORDER BY p.oid::regprocedure::text COLLATE "C")
	FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
		AND d.classid = 'pg_proc'::regclass
	JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE e.extname LIKE 'usher%'});
cmp_ok(scalar @functions, '>', 200, 'the extensions have functions');
@functions = grep { $_->{name} =~ $only } @functions if $only;

my %type = map { $_->[0] => { name => $_->[1], kind => $_->[2], element => $_->[3], base => $_->[4], labels => [ split /,/, $_->[5] ],
	fields => [ split /,/, $_->[6] ] } } rows(q{
	SELECT string_agg(ROW_OF(t.oid, format_type(t.oid, NULL), t.typtype, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typbasetype,
		(SELECT coalesce(string_agg(enumlabel, ',' ORDER BY enumsortorder), '') FROM pg_enum WHERE enumtypid = t.oid),
		(SELECT coalesce(string_agg(atttypid::text, ',' ORDER BY attnum), '') FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0)), E'\x1e')
	FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typrelid = 0 OR t.typnamespace::regnamespace::text IN ('usher', 'wash', 'fuzz')});

# Values that the world has, by the name of their column and its type, and by the type alone: ids of the right tables and the wrong.
my (%pool, %of_type);
for my $known (rows(q{
	SELECT string_agg(ROW_OF(a.attname, a.atttypid, c.relname, v), E'\x1e' ORDER BY a.attrelid::regclass::text COLLATE "C", a.attnum, v COLLATE "C")
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, fuzz.known_values(c.oid, a.attname) AS v
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace::regnamespace::text IN ('usher', 'wash') AND a.attnum > 0 AND NOT a.attisdropped}))
{
	my ($name, $oid, $relation, $value) = @$known;
	# a secret in the place of a name would be quoted in an error, and the search of the logs for secrets takes that for a leak
	next if $value =~ /PRIVATE KEY|"d"|"token"|"code"|\$argon2|\$2[aby]\$/;
	my $key = $name eq 'id' ? ($relation =~ s/s$//r) . '_id' : $name;
	push @{ $pool{"$key $oid"} }, $value;
	push @{ $of_type{$oid} }, $value;
}
push @{ $pool{"$_ 25"} }, values %token for qw(token access_token);
push @{ $pool{"hash 25"} }, '$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHQ$aGFzaA';

sub one_of { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }
sub quoted { my ($text) = @_; $text =~ s/'/''/g; $text =~ s/\\/\\\\/g; return "E'$text'" }

# Something that was right once: cut, doubled, or with a stranger in it.
sub broken
{
	my ($text) = @_;
	return $text . $text if $text =~ /[^\x00-\x7f]/; # half a character would not even reach the function
	my $at = int rand(1 + length $text);
	my $how = int rand 5;
	return substr $text, 0, $at if $how == 0;
	return $text . $text if $how == 1;
	substr $text, $at, ($how == 2 ? 0 : 1), one_of('(', ')', '"', "'", '{', '}', '[', '*', ':', '.', '/', '%', '\\', "\n", "\x01", 'é', '😀', '-', '0', ' ', '==', ',');
	return $text;
}

my @scraps = ('', ' ', 'x', 'é', '*', '*:*', 'booking:read', 'client', 'admin', 'manager', 'client@carwash.example', 'no such name', 'status', 'id', 't', 'created_at',
	'pending', 'confirmed', 'active', 'wash.bookings', 'usher.users', 'fuzz.odd', 'public', 'pg_temp', 'UTC', 'America/New_York', 'Mars/Olympus', 'USD',
	'GET', 'POST', '/auth/login', '/bookings/{id}', '/{a}/{a}', '../..', '%00%ff', '%s%n', 'a=%zz&a=1', 'Bearer x.y.z', 'eyJhbGciOiJub25lIn0.e30.',
	'true', 'false', 'null', '{}', '[]', '{"a":', '"', '0', '-1', '1e400', '203.0.113.9', '::1', '10.0.0.0/8', 'usher.list_routes()', 'pg_catalog.now()',
	'r.sub == p.sub && r.obj == p.obj && keyMatch(r.act, p.act)', 'g(r.sub, p.sub)', 'eval(p.rule)', 'keyMatch("a")', 'regexMatch(r.obj, "(a+)+$")', 'globMatch(r.obj, "{a,{b,c}}*")',
	"[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = r.sub == p.sub",
	"p, admin, booking, read\ng, a, b\n", "BEGIN:VCALENDAR\r\n", '-----BEGIN PUBLIC KEY-----', '$2b$10$abc',
	"now()", 'SELECT 1', "'; DROP TABLE x; --", '00000000-0000-0000-0000-000000000000');
# what only SQL can say in few bytes
my @huge = ("repeat('x', 1000000)", "repeat('é', 600)", "repeat('(', 30000)", "'1 == 1' || repeat('+1', 30000)", "'1' || repeat('==1', 21000)", "repeat('{,}', 30000)",
	"repeat('[', 20000)", "repeat('a:', 5000)", "repeat('/x', 20000)", "repeat('!', 20000) || 'true'", "repeat('-', 20000) || '1'", "repeat(E'p, a, b, c\\n', 3000)",
	"'eval(' || repeat('(', 9000)", "repeat('a.', 20000)", "repeat('%', 3000)", "E'\\u0001\\t\\n\\u007f\\ufffd'");
my @documents = ('{}', '[]', 'null', '"text"', '1e400', '0', 'true', '[[[[]]]]', '{"a": {"b": null}}', '[null, {}, [], "", 0]', '{"": ""}', '[{"opens": "07:00", "closes": "21:00"}]',
	'[{"opens": "23:00", "closes": "01:00"}]', '[{"opens": "24:00", "closes": "24:00"}]', '{"kty": "RSA", "n": "AQAB", "e": "AQAB"}', '{"keys": [{"kty": "EC", "crv": "P-256", "x": "", "y": ""}]}',
	'{"sub": "x", "exp": 9223372036854775807, "iat": -1}', '{"exp": 1e300, "aud": [null]}', '{"statuses": ["a", "b"], "initial": "a", "transitions": [{"from": "a", "to": "b"}]}');
my @huge_documents = ("(repeat('[', 5000) || repeat(']', 5000))::jsonb", "jsonb_build_object('k', repeat('x', 1000000))", "(repeat('{\"a\":', 5000) || '1' || repeat('}', 5000))::jsonb",
	"(SELECT jsonb_agg(i) FROM generate_series(1, 20000) AS i)", "(SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 5000) AS i)");
my @words = map { @{ $_->{names} } } @functions;

sub document
{
	my ($depth) = @_;
	return one_of('null', 'true', '0', '-1', '9223372036854775808', '1e308', '""', '"client"', '"booking:read"', '"2026-03-08T02:30:00Z"', '"infinity"', '"\u0001"') if $depth == 0 || chance(0.4);
	return '[' . join(', ', map { document($depth - 1) } 1 .. int rand 4) . ']' if chance(0.4);
	return '{' . join(', ', map { sprintf '"%s": %s', one_of('', 'id', 'status', 'a', 'keys', 'from', 'to', @words ? one_of(@words) : 'x'), document($depth - 1) } 1 .. int rand 5) . '}';
}

my @relations = map { quoted($_) } split /\n/, $node->safe_psql('postgres', q{
	SELECT oid::regclass FROM pg_class
	WHERE relnamespace::regnamespace::text IN ('fuzz', 'wash') OR relnamespace = 'usher'::regnamespace AND relkind <> 'i'
		OR oid IN ('pg_class'::regclass, 'pg_stat_activity'::regclass, 'pg_authid'::regclass, 'pg_toast.pg_toast_1255'::regclass, 'pg_proc_oid_index'::regclass)
	ORDER BY relnamespace::regnamespace::text, relname});
my @procedures = map { quoted($_) } split /\n/, $node->safe_psql('postgres', q{
	SELECT oid::regprocedure FROM pg_proc WHERE pronamespace::regnamespace::text IN ('fuzz', 'usher', 'wash')
		OR oid IN ('now()'::regprocedure, 'max(integer)'::regprocedure, 'pg_sleep(double precision)'::regprocedure, 'int4in(cstring)'::regprocedure, 'row_number()'::regprocedure)
	ORDER BY 1});
my @routes = rows(q{SELECT string_agg(ROW_OF(method, path_template), E'\x1e' ORDER BY path_template, method) FROM usher.list_routes()});
my @odd_relations = grep { /fuzz\./ } @relations;

# An SQL expression for an argument of this type and name. Literals carry the type by a cast.
sub value
{
	my ($oid, $name, $depth) = @_;
	my $about = $type{$oid} // { name => 'text', kind => 'b', element => 0 };
	my $type = $about->{name};
	return "NULL::$type" if chance(0.08);
	if ($about->{kind} eq 'p')
	{
		return 'ROW(1, NULL, \'x\')' if $type eq 'record';
		return one_of("ARRAY[1, NULL]", "'{}'::text[]") if $type =~ /array/;
		return one_of('1', "'x'::text", 'NULL::integer');
	}
	return "(" . value($about->{base}, $name, $depth) . ")::$type" if $about->{kind} eq 'd';
	return quoted(one_of(@{ $about->{labels} })) . "::$type" if $about->{kind} eq 'e';
	return 'ROW(' . join(', ', map { value($_, '', 1) } @{ $about->{fields} }) . ")::$type" if $about->{kind} eq 'c';
	if ($about->{element})
	{
		my $element = $about->{element};
		return "'{}'::$type" if chance(0.1);
		return "'{NULL}'::$type" if chance(0.1);
		return sprintf 'array_fill(%s, ARRAY[%d])', value($element, $name, 1), one_of(2, 1000, 20000) if chance(0.08);
		return sprintf 'array_fill(%s, ARRAY[2, 2], ARRAY[0, -3])', value($element, $name, 1) if chance(0.08);
		(my $stem = $name) =~ s/s$//;
		return 'ARRAY[' . join(', ', map { value($element, $stem, 1) } 1 .. 1 + rand 4) . "]::$type";
	}
	if (my $known = $pool{"$name $oid"})
	{
		return quoted(one_of(@$known)) . "::$type" if @$known && chance(0.55);
	}
	if (my $known = $of_type{$oid})
	{
		return quoted(one_of(@$known)) . "::$type" if @$known && chance(0.3) && $type !~ /^reg/;
	}
	if ($type =~ /^(?:text|name|character varying|character|citext|"char")$/)
	{
		return '(' . one_of(@huge) . ")::$type" if chance(0.12) && !$depth;
		my $text = one_of(@scraps, @{ $pool{"$name $oid"} // [] });
		return quoted(chance(0.3) ? broken($text) : $text) . "::$type";
	}
	if ($type =~ /^jsonb?$/)
	{
		return '(' . one_of(@huge_documents) . ")::$type" if chance(0.1) && !$depth;
		return quoted(one_of(@documents)) . "::$type" if chance(0.4);
		return quoted(document(4)) . "::$type";
	}
	return quoted(one_of('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0190b1c2-0000-7000-8000-00000000000a')) . '::uuid' if $type eq 'uuid';
	return '(' . one_of(0, 1, -1, 2, 5, 100, 32767, -32768) . ')::smallint' if $type eq 'smallint';
	return '(' . one_of(0, 1, 1, 2, 5, 10, 100, -1, 365, 86400, 2147483647, -2147483648) . ')::integer' if $type eq 'integer';
	return '(' . one_of(0, 1, 2, 10, 1000, -1, 4294967296, '9223372036854775807', '-9223372036854775808') . ')::bigint' if $type eq 'bigint';
	return one_of("'NaN'", "'Infinity'", "'-Infinity'", 0, -1, 1, '1e300', '-1e300', '1e-300', 0.5) . "::$type" if $type =~ /^(?:numeric|double precision|real)$/;
	return one_of('true', 'false') if $type eq 'boolean';
	return one_of("'0'", "'1 second'", "'1 hour'", "'30 minutes'", "'-1 day'", "'1 month'", "'1 month -30 days'", "'100000 years'", "'-178000000 years'", "'178000000 years'",
		"'2147483647 days'", "'1 microsecond'", "'99999999 hours'") . '::interval' if $type eq 'interval';
	return one_of("'-infinity'", "'infinity'", "'1970-01-01'", "'294276-12-31 23:59:59.999999+00'", "'294247-01-10 04:00:54.775807+00'", "'4713-01-01 BC'", "'2026-03-08 02:30 America/New_York'",
		'now()', "now() + interval '1 day'", "now() + interval '30 hours'", "date_trunc('day', now()) + interval '2 days 15 hours'", "now() - interval '1 hour'", "now() + interval '400 days'") . "::$type" if $type =~ /^timestamp/;
	return one_of("'-infinity'", "'infinity'", "'2026-03-08'", "'5874897-12-31'", "'4713-01-01 BC'", 'current_date', 'current_date + 2') . '::date' if $type eq 'date';
	return one_of("'00:00'", "'24:00'", "'07:00'", "'23:59:59.999999'") . "::$type" if $type =~ /^time/;
	return one_of("'empty'", "'(,)'", "'[2026-03-08,2026-03-09)'", "'(,infinity]'", "'[-infinity,infinity]'", "'[294276-01-01,)'", "'[4713-01-01 BC,2026-01-01)'") . "::$type" if $type =~ /^(?:tst?z?|date)range$/;
	return one_of("'[1,5)'", "'empty'", "'(,)'") . "::$type" if $type =~ /range$/;
	return one_of("'0.0.0.0/0'", "'::1'", "'203.0.113.9'", "'10.0.0.0/8'", "'::ffff:1.2.3.4'", "'ffff::/128'") . "::$type" if $type =~ /^(?:inet|cidr)$/ && $type eq 'inet';
	return one_of("''", "'\\xff00'", "'\\x00'", "decode(repeat('ff', 1000000), 'hex')", "decode(repeat('00', 32), 'hex')", "decode(repeat('41', 16), 'hex')") . '::bytea' if $type eq 'bytea';
	return one_of(0, 999999999, one_of(@odd_relations), one_of(@relations)) . '::regclass' if $type eq 'regclass';
	return one_of(0, 999999999, one_of(@procedures), one_of(@procedures)) . '::regprocedure' if $type eq 'regprocedure';
	return one_of(0, 999999999, one_of(@relations) . '::regclass', one_of(@procedures) . '::regprocedure') . '::oid' if $type eq 'oid';
	return quoted(one_of('fuzz_app', 'postgres', 'usher_gateway')) . '::regrole' if $type eq 'regrole';
	return one_of(0, "'text'", "'fuzz.pair'", "'integer[]'") . '::regtype' if $type eq 'regtype';
	return "NULL::$type";
}

# SELECT of everything that the call returns, printed by the server: a pointer that leads nowhere shows when it is followed.
sub call_of
{
	my ($f) = @_;
	my @types = @{ $f->{types} };
	my $given = @types - (chance(0.4) ? int rand(1 + $f->{defaults}) : 0);
	my $arguments = join ', ', map { value($types[$_], $f->{names}[$_] // '', 0) } 0 .. $given - 1;
	return "CALL $f->{call}($arguments)" if $f->{kind} eq 'p';
	return "SELECT $f->{call}($arguments)" if $f->{kind} ne 'f' || $f->{result} =~ /^(?:record|trigger|event_trigger|internal|anyelement|anyarray)$/;
	return "SELECT $f->{call}($arguments) FROM generate_series(1, 3)" if chance(0.1);
	return "SELECT sum(length(r::text)) FROM $f->{call}($arguments) AS r";
}

# --- trigger functions, as every kind of trigger on tables that they do not expect ------------------------------------

my @trigger_functions = grep { $_->{result} eq 'trigger' } @functions;
sub trigger_calls
{
	my $f = one_of(@trigger_functions, (grep { $_->{public} } @trigger_functions) x 3);
	my $table = one_of(qw(fuzz.odd fuzz.empty fuzz.partitioned fuzz.dropped fuzz.generated fuzz.audited fuzz.softly fuzz.odd_view own own own own));
	my $is_view = $table eq 'fuzz.odd_view';
	my $level = one_of('ROW', 'ROW', 'ROW', 'STATEMENT');
	my $time = $is_view ? ($level eq 'ROW' ? 'INSTEAD OF' : one_of('BEFORE', 'AFTER')) : one_of('BEFORE', 'AFTER');
	my @events = grep { chance(0.6) } qw(INSERT UPDATE DELETE), $level eq 'STATEMENT' && !$is_view ? 'TRUNCATE' : ();
	@events = ('UPDATE') unless @events;
	my $transition = '';
	if ($time eq 'AFTER' && @events == 1 && $events[0] ne 'TRUNCATE' && !$is_view && chance(0.4))
	{
		$transition = 'REFERENCING' . ($events[0] ne 'INSERT' ? ' OLD TABLE AS gone' : '') . ($events[0] ne 'DELETE' ? ' NEW TABLE AS came' : '');
	}
	my $arguments = chance(0.5) ? '' : join ', ', map { chance(0.5) ? "'$_'" : quoted(one_of(@scraps)) } map { one_of(qw(updated_at deactivated_at status id), 'fuzz.odd') } 1 .. 1 + rand 3;
	my $deferred = $time eq 'AFTER' && $level eq 'ROW' && !$transition && chance(0.3);
	return (
		sprintf('CREATE%s TRIGGER zz %s %s ON %s %s %s FOR EACH %s EXECUTE FUNCTION %s(%s)', $deferred ? ' CONSTRAINT' : '', $time, join(' OR ', @events), $table,
			$deferred ? 'DEFERRABLE INITIALLY DEFERRED' : '', $transition, $level, $f->{call}, $arguments),
		map { one_of(
			"INSERT INTO $table DEFAULT VALUES", "INSERT INTO $table DEFAULT VALUES", "UPDATE $table SET id = id", "UPDATE $table SET id = NULL",
			"DELETE FROM $table", 'TRUNCATE fuzz.odd, fuzz.empty, fuzz.partitioned, fuzz.dropped, fuzz.generated',
			"INSERT INTO $table SELECT * FROM $table",
			"MERGE INTO $table AS t USING (VALUES (1), (2)) AS v (n) ON v.n = 1 WHEN MATCHED THEN UPDATE SET id = t.id WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
			"MERGE INTO $table AS t USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN DELETE",
			"INSERT INTO $table SELECT * FROM $table ON CONFLICT DO NOTHING", 'SET CONSTRAINTS ALL IMMEDIATE') } 1 .. 5);
}

# --- stories: what one call sets up, the next one reads ---------------------------------------------------------------

my @tables = (qw(fuzz.odd fuzz.odd fuzz.empty fuzz.partitioned fuzz.part_low fuzz.child fuzz.dropped fuzz.generated fuzz.secured fuzz.audited fuzz.softly fuzz.odd_view own), 'fuzz."Strange ""name"');
sub changes
{
	my ($table) = @_;
	return map { one_of("INSERT INTO $table DEFAULT VALUES", "UPDATE $table SET id = id", "DELETE FROM $table", "INSERT INTO $table SELECT * FROM $table LIMIT 1",
			"UPDATE $table SET status = 'b'", "UPDATE $table SET status = " . value(25, 'status', 1), "UPDATE $table SET id = DEFAULT",
			"MERGE INTO $table AS x USING (VALUES (1)) AS v (n) ON true WHEN MATCHED THEN UPDATE SET id = x.id WHEN NOT MATCHED THEN INSERT DEFAULT VALUES") } 1 .. 3;
}
sub text { return value(25, $_[0] // '', 0) }
sub json { return value(3802, $_[0] // '', 0) }
sub matcher { return chance(0.3) ? one_of(@huge) : quoted(join one_of(' && ', ' || ', ' == '), map { chance(0.3) ? broken($_) : $_ } map { one_of(
	'r.sub == p.sub', 'keyMatch(r.obj, p.obj)', 'keyMatch2(r.obj, p.obj)', 'regexMatch(r.obj, p.obj)', 'globMatch(r.obj, p.obj)', 'ipMatch(r.sub, "10.0.0.0/8")', 'g(r.sub, p.sub)', 'eval(r.sub)', 'eval(p.sub)',
	'keyMatch("a")', 'keyMatch()', 'eval()', 'r.sub in ("a", "b")', '!(r.act == "x")', 'r.sub.name == "x"', '1 == 1', 'true', 'r.obj != p.obj', '1 + 1 > 1', '"a"') } 1 .. 1 + rand 4) }
sub model
{
	return sprintf "(E'r = sub, obj, act\\np = sub, obj, act%s\\ng = _, _\\ne = %s\\nm = ' || %s)", one_of('', ', eft', ', eft, sub'),
		one_of('some(where (p.eft == allow))', 'some(where (p.eft == allow)) && !some(where (p.eft == deny))', 'priority(p.eft) || deny', 'x'), matcher();
}
sub request { return 'ARRAY[' . join(', ', map { chance(0.25) ? matcher() : text('v0') } 1 .. (chance(0.8) ? 3 : int rand 5)) . ']::text[]' }
sub machine
{
	my @names = ('a', 'b', one_of('1', 'draft', 'active', '', 'x' x 300));
	return quoted(sprintf '{"initial": ["%s"], "transitions": [%s]}', $names[0],
		join ', ', map { sprintf '{"from": "%s", "to": "%s", "action": "%s"%s}', one_of(@names), one_of(@names), one_of('go', 'go', 'stop', 'x'),
			one_of('', '', ', "guard": "fuzz.guard(jsonb,jsonb)"', ', "guard": "fuzz.fails(text)"', ', "permission": "a:b"', ', "reason": "required"', ', "sets": {"updated_at": "now"}', ', "x": ' . document(2) =~ s/\\/\\\\/gr) } 0 .. rand 5);
}
my @stories = (
	sub { ("SELECT usher.define_model('fuzz', " . model() . ')', "SELECT usher.add_policy('p', 'a', " . text('v1') . ', ' . text('v2') . ')', "SELECT usher.load_policies(" . text('policies') . ')',
		map { "SELECT usher.enforce('fuzz', " . request() . ')' } 1 .. 2) },
	sub { my $m = matcher();
		"SELECT usher.enforce(jsonb_build_object('r', 'sub, obj, act', 'p', 'sub, obj, act', 'e', 'some(where (p.eft == allow))', 'm', $m), " . request() . ')' },
	sub { my $table = one_of(@tables);
		my $column = one_of(qw(status status t id error version tags));
		("SELECT usher.define_machine('fuzz', " . machine() . ')', "SELECT usher.attach_machine('fuzz', " . quoted($table) . ", '$column', " . one_of("'{}'", json('options')) . ')', changes($table),
			map { ("SELECT a.* FROM $table AS x, usher.allowed_transitions(" . quoted($table) . ', x.id) AS a', "SELECT a FROM $table AS x, usher.history(" . quoted($table) . ', x.id::text) AS a') } 1) },
	sub { my $function = one_of(@procedures);
		my $path = one_of('/fuzz', '/fuzz/{id}', '/fuzz/{a}/{t}');
		my $method = one_of(qw(GET POST PATCH DELETE));
		("SELECT usher.add_route('$method', '$path', $function, " . one_of("'public'", "'public'", "'authenticated'", text('access')) . ')',
			map { "SELECT usher.http_request('$method', " . quoted(one_of('/fuzz', '/fuzz/1', '/fuzz/%00', '/fuzz/1/2')) . ', ' . one_of('NULL', "'a=1&id=2'", text('query')) . ', ' .
				one_of("'{}'", '\'{"content-type": "application/json"}\'', json('headers')) . ', ' . one_of('NULL', "'{}'", '\'{"a": 1}\'', json('body') . '::text', text('body')) . ", '203.0.113.9')" } 1 .. 3) },
	sub { my ($method, $path) = @{ one_of(@routes) };
		$path =~ s/\{[^}]*\}/one_of('1', '0190b1c2-0000-7000-8000-00000000000a', '%ff', 'x', map { @{ $_ } } @pool{ grep { \/_id 2950$\/ } sort keys %pool })/ge;
		map { "SELECT usher.http_request('$method', " . quoted($path) . ', ' . one_of('NULL', "'a=1'", text('query')) . ', ' .
			sprintf('jsonb_build_object(\'authorization\', \'Bearer \' || %s, \'content-type\', \'application/json\')', quoted(one_of(values %token))) . ', ' .
			one_of('NULL', "'{}'", quoted(document(3)), json('body') . '::text') . ", '203.0.113.9')" } 1 .. 2 },
	sub { my $table = one_of(@tables);
		my $name = quoted($table);
		(one_of("SELECT usher.enable_audit($name)", "SELECT usher.enable_audit($name, " . value(1009, 'columns', 1) . ')', "SELECT usher.enable_entity($name)"), changes($table),
			"SELECT usher.row_as_of($name, " . one_of('jsonb_build_object(\'id\', 1)', json('key')) . ", now())", "SELECT count(*) FROM usher.row_history($name, " . one_of('jsonb_build_object(\'id\', 1)', json('key')) . ')') },
	sub { my $table = one_of(@tables);
		my $name = quoted($table);
		(one_of("SELECT usher.enable_updated_at($name)", "SELECT usher.enable_updated_at($name, skip_unchanged => true)", "SELECT usher.enable_soft_delete($name)", "SELECT usher.enable_soft_delete($name, " . text('mode') . ')'),
			changes($table), "SELECT usher.purge_deleted($name, '0')", "SELECT usher.restore_row($name, " . one_of('jsonb_build_object(\'id\', 1)', json('key')) . ')', changes($table)) },
	sub { my $handler = one_of('NULL', 'NULL', @procedures);
		("SELECT usher.subscribe('fuzz.*', 'fuzz', $handler, " . one_of("'sync'", "'async'", text('mode')) . ')', "SELECT usher.publish('fuzz.happened', " . json('payload') . ', ' . text('key') . ')',
			"SELECT usher.publish(" . text('event') . ", '{}')", "SELECT length(e::text) FROM usher.claim_events('fuzz', " . value(23, 'n', 1) . ', ' . value(1186, 'visibility', 1) . ') AS e', 'SELECT usher.run_event_handlers()') },
	sub { ("SELECT usher.define_rate_limit('fuzz', " . one_of("'sliding_window'", "'token_bucket'", "'fixed_window'", text('algorithm')) . ', ' . value(23, 'max_hits', 1) . ', ' . value(1186, 'period', 1) . ', ' . value(1186, 'block_for', 1) . ')',
		map { "SELECT usher.hit_rate_limit('fuzz', " . text('key') . ', ' . value(23, 'cost', 1) . ')' } 1 .. 2) },
);

# --- batches ---------------------------------------------------------------------------------------------------------

my $is_slow = -d '/proc/self' && ($ENV{ASAN_OPTIONS} // '') ne '';
my $timeout = $is_slow ? 20_000 : $seconds < 60 ? 1_000 : 3_000; # ms
my $slack = $is_slow ? 60 : 5;           # s past it
my ($batches, $calls, $crashes) = (0, 0, 0);
my (%states, @bad, @slow, %crashed, %tally, %example);
my $log_offset = 0;

# What would leave the four identities without their session, their rights or a key is taken back.
my $ends_identity = qr/logout|session|password|deactivate|delete|erase|factor|totp|revoke|drop|role|rotate|lock|issuer|link|email|user|mode|wrap|access/;

# One transaction around one call, or a few: every statement ends with a line that says which call it was.
sub transaction
{
	my ($identity, @statements) = @_;
	# with it, an error takes back its own statement only, so that the next one finds what those before have set up
	my @lines = ('\set ON_ERROR_ROLLBACK ' . (@statements > 1 || chance(0.3) ? 'on' : 'off'));
	my $is_read_only = chance(0.12);
	push @lines, ('BEGIN' . ($is_read_only ? ' READ ONLY' : '') . (chance(0.15) ? ' ISOLATION LEVEL ' . one_of('REPEATABLE READ', 'SERIALIZABLE') : ''));
	push @lines, "SET LOCAL $forced = on", 'SET LOCAL parallel_setup_cost = 0', 'SET LOCAL parallel_tuple_cost = 0' if chance(0.2);
	my $who = $identity eq 'superuser' && chance(0.5) ? 'admin' : $identity;
	push @lines, "SELECT usher.authenticate('$token{$who}')" if $token{$who};
	push @lines, 'SET LOCAL search_path = fuzz, wash, usher' if chance(0.1);
	push @lines, 'SAVEPOINT a' if my $savepoint = chance(0.15);
	push @lines, 'SET LOCAL statement_timeout = ' . one_of(1, 2, 5, 10, 20) if my $cut = chance(0.12);
	for my $statement (@statements)
	{
		push @lines, "\\echo call $calls", $statement;
		push @lines, 'ROLLBACK TO a' if $savepoint && chance(0.4);
		$calls++;
	}
	push @lines, "SET LOCAL statement_timeout = $timeout" if $cut;
	push @lines, 'RELEASE a' if $savepoint && chance(0.3);
	# temporary tables may be written in a READ ONLY transaction, others not, but for the log of who has read what is sensitive
	push @lines, q{SELECT 'wrote while READ ONLY' FROM pg_current_xact_id_if_assigned() AS x WHERE x IS NOT NULL} if $is_read_only && !grep { /\bown\b|\blog_reads?\(/ } @statements;
	my $is_kept = chance(0.2) && $identity ne 'superuser' && !grep { $_ =~ $ends_identity } @statements;
	push @lines, '\echo call end', $is_kept ? 'COMMIT' : 'ROLLBACK';
	return @lines;
}

sub batch
{
	my ($identity, $count, $end) = @_;
	my $role = $identity eq 'superuser' ? 'RESET ROLE' : 'SET ROLE fuzz_app';
	my @lines = ('\set VERBOSITY verbose', '\timing on', 'SET client_min_messages = error', "SET statement_timeout = $timeout", 'SET lock_timeout = 1000', $role,
		'CREATE TEMPORARY TABLE own (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), status text, updated_at timestamptz, deactivated_at timestamptz)');
	my @allowed = grep { !$crashed{ $_->{name} } && ($identity eq 'superuser' || $_->{public} || chance(0.02)) && ($_->{name} !~ /password|login|register|import_user/ || chance(0.5)) } @functions;
	return unless @allowed;
	for (1 .. $count)
	{
		my @story = !$only && chance(0.35) ? one_of(@stories)->() : ();
		# what has crashed once is left alone, so that others are found
		if (@story && !grep { my $line = $_; grep { index($line, $_) >= 0 } values %crashed } @story) { push @lines, transaction($identity, @story) }
		elsif ($identity eq 'superuser' && @trigger_functions && chance(0.5)) { push @lines, transaction($identity, trigger_calls()) }
		else { push @lines, transaction($identity, map { call_of(one_of(@allowed)) } 1 .. (chance(0.3) ? 3 : 1)) }
	}
	my $file = sprintf '%s/batch_%03d.sql', $node->basedir, $batches++;
	# a meta-command ends with its line, a statement with a semicolon
	append_to_file($file, join('', map { /^\\/ ? "$_\n" : "$_;\n" } @lines));

	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XqAt', '-d', $conninfo, '-f', $file ], '<', \undef, '>', \$out, '2>', \$err);
	my $looked = time;
	while ($run->pumpable)
	{
		$run->pump_nb;
		Time::HiRes::sleep(0.01);
		# what is left of a batch full of slow calls is not waited for
		if (time > $end + 3) { $run->signal('TERM'); $end += 1000 }
		next if time < $looked + $slack;
		stop_what_does_not_end();
		$looked = time;
	}
	$run->finish;
	examine($file, $out, $err);
}

# A call that does not look whether it is cancelled can only be killed.
sub stop_what_does_not_end
{
	for my $one (rows("SELECT string_agg(ROW_OF(pid, left(query, 600)), E'\\x1e') FROM pg_stat_activity
		WHERE state = 'active' AND backend_type = 'client backend' AND query_start < now() - interval '$timeout ms' - interval '$slack s'"))
	{
		my ($pid, $query) = @$one;
		push @bad, "does not end, $slack s after its timeout of $timeout ms: $query";
		kill 'KILL', $pid;
	}
}

# The statements from BEGIN up to the one of a call.
sub transaction_of
{
	my ($call, @lines) = @_;
	my @found;
	for my $i (0 .. $#lines)
	{
		@found = () if $lines[$i] =~ /^BEGIN/;
		push @found, substr $lines[$i], 0, 300 unless $lines[$i] =~ /^\\/;
		return join "\n    ", @found, substr $lines[ $i + 1 ], 0, 300 if $lines[$i] eq "\\echo call $call";
	}
	return '';
}

sub examine
{
	my ($file, $out, $err) = @_;
	my @lines = split /\n/, slurp_file($file);
	my $is_bad = 0;
	my $complain = sub { push @bad, join ' ', @_; $is_bad = 1 };
	# psql:FILE:LINE: ERROR:  STATE: message
	while ($err =~ /^psql:\S+?:(\d+): (?:ERROR|FATAL|PANIC):  (\w{5}): (.*?)(?=^psql:|\z)/gms)
	{
		my ($number, $state, $rest) = ($1, $2, $3);
		my ($message) = split /^(?:DETAIL|HINT|CONTEXT|LINE \d+|SCHEMA NAME|LOCATION|QUERY|TABLE NAME|COLUMN NAME|CONSTRAINT NAME|DATATYPE NAME):? /m, $rest;
		chomp $message;
		$states{$state}++;
		# a statement may have line ends within: psql names the line of its end
		my $statement = substr $lines[ $number - 1 ], 0, 600;
		if ($state =~ /^XX/ && !grep { $state eq $_->[0] && $message =~ $_->[1] } @justified) { $complain->("internal error: $statement\n    $state $rest") }
		elsif (length $message > 2000) { $complain->("a message of " . length($message) . " characters: $statement\n    $state " . substr $message, 0, 200) }
		if ($ENV{USHER_FUZZ_ONLY} || $ENV{USHER_LONG})
		{
			my $kind = "$state " . substr $message, 0, 90;
			$tally{$kind}++;
			$example{$kind} //= $statement;
		}
	}
	my $call = '';
	for my $line (split /\n/, $out)
	{
		if ($line =~ /^call (\w+)/) { $call = $1 }
		elsif ($line eq 'wrote while READ ONLY') { $complain->("written in a READ ONLY transaction, up to call $call in $file: " . transaction_of($call, @lines)) }
		elsif ($line =~ /^Time: ([\d.]+) ms/ && $1 > 0.9 * $timeout && $1 <= $timeout + 1000 * $slack) { push @slow, transaction_of($call, @lines) =~ s/.*\n    //sr }
		elsif ($line =~ /^Time: ([\d.]+) ms/ && $1 > $timeout + 1000 * $slack) { $complain->("$1 ms with a timeout of $timeout ms, call $call in $file: " . transaction_of($call, @lines)) }
	}
	if ($err =~ /server closed the connection|connection to server was lost|terminating connection because of crash/)
	{
		$crashes++;
		$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server does not come back');
	}
	my $log = slurp_file($node->logfile, $log_offset);
	$log_offset += length $log;
	while ($log =~ /^([^\n]*(?:terminated by signal|TRAP:|AddressSanitizer|runtime error:)[^\n]*)\n((?:[^\n]*DETAIL[^\n]*\n)?)/gm)
	{
		$complain->("the server: $1\n    " . substr $2, 0, 800);
		my $what = $2;
		$crashed{ $_->{name} } = "$_->{call}(" for grep { index($what, $_->{call} . '(') >= 0 } @functions;
	}
	unlink $file unless $is_bad;
}

sub run_for
{
	my ($limit, @identities) = @_;
	my $end = time + $limit;
	for (my $i = 0; time < $end && $crashes < 10; $i++) { batch($identities[ $i % @identities ], 30, $end) }
}

sub clear
{
	my ($what) = @_;
	is(scalar @bad, 0, $what) or diag(join "\n", map { "- $_" } @bad > 40 ? @bad[ 0 .. 39 ] : @bad);
	@bad = ();
}

# --- what an application can do --------------------------------------------------------------------------------------

run_for($seconds * 0.6, qw(application client manager admin));
my $as_application = $calls;
clear('as an application and its users: no crash, no internal error, no endless message, nothing past its timeout');
is($node->safe_psql('postgres', 'SELECT * FROM usher.self_check() WHERE violations > 0'), '', 'and no rule of the data is broken');

# --- what only a superuser can do: private functions may break rules then, but not the server -------------------------

run_for($seconds * 0.4, 'superuser');
clear('as superuser, private functions and triggers too: the same');
is($crashes, 0, 'the server never went down');
cmp_ok($as_application, '>', 30, 'there were calls as an application') unless $only;
cmp_ok($calls - $as_application, '>', 30, 'and as superuser') unless $only;
note(sprintf '%d calls in %d batches; outcomes: %s', $calls, $batches, join ', ', map { "$_ $states{$_}" } sort keys %states);
note(join "\n", 'cancelled after the whole timeout:', @slow) if @slow && ($ENV{USHER_FUZZ_ONLY} || $ENV{USHER_LONG});
note(join "\n", map { "$tally{$_}  $_\n      $example{$_}" } sort { $tally{$b} <=> $tally{$a} || $a cmp $b } keys %tally) if %tally;

$node->stop;
done_testing();

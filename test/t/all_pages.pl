# The pages about features carry out what stands in them: each in a database and a session of its own, block after block, as a reader
# would follow it. Statements in the middle of a sentence, `SELECT …`, are at least statements that the server knows, and functions that are named are there.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('pages');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'usher, pg_stat_statements'\npg_stat_statements.track = all\n");
$node->start;
# what every page begins with: a server, and the role of the application
$node->safe_psql('postgres', 'CREATE ROLE my_app LOGIN; CREATE ROLE usher_courier LOGIN');
sub sql { my ($database, $text) = @_; return $node->safe_psql($database, "SET client_min_messages = warning; $text") }

# By page: its blocks; what a reader has before they come to it (the role `my_app` has a level; places and people have ids); and what
# holds when they have read it.
my $application = "CREATE EXTENSION usher CASCADE; SELECT usher.grant_access('my_app', 'application')";
my @pages = (
	[ 'install', [ document_blocks('docs/install.md') ], '', '',
		"SELECT count(*) FROM pg_extension WHERE extname IN ('usher', 'usher_booking')" => 2 ],
	[ 'booking', [ document_blocks('docs/booking.md') ], $application, '',
		"SELECT has_schema_privilege('my_app', 'wash', 'USAGE')" => 't' ],
	[ 'shop', [ document_blocks('docs/shop.md') ], $application, 'SELECT usher.uuid_v7() AS here, usher.uuid_v7() AS customer \gset',
		'SELECT fulfilled FROM shop.order_lines' => 1 ],
	[ 'loyalty', [ document_blocks('docs/loyalty.md') ], $application, 'SELECT usher.uuid_v7() AS customer \gset',
		'SELECT (SELECT count(*) FROM shop.earning_rules), (SELECT count(*) FROM shop.loyalty_offers)' => '3|2' ],
	[ 'payment', [ document_blocks('docs/payment.md') ], $application, '',
		'SELECT count(*), count(expires_at) FROM shop.payment_webhook_secrets' => '1|1' ],
	[ 'dump', [ document_blocks('docs/dump.md') ], "$application; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE", '',
		'SELECT table_name, kind FROM usher.list_decisions()' => 'usher.rate_limit_policies|changed' ],
	[ 'watching', [ document_blocks('docs/watching.md') ], 'CREATE EXTENSION usher CASCADE; CREATE EXTENSION pg_stat_statements', '',
		'SELECT count(*) > 0 FROM usher.slow_statements(20)' => 't' ]);

for my $page (@pages)
{
	my ($database, $blocks, $before, $variables, $question, $answer) = @$page;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	sql($database, $before);
	my $script = join "\\echo == end of block\n\\warn == end of block\n", "$variables\n", (map { $_->{text} } @$blocks), '';
	my ($out, $errors) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ], '<', \$script, '>', \$out, '2>', \$errors);
	# the first mark stands behind the variables
	my @printed = split /^== end of block$/m, $out, -1;
	my @warned = split /^== end of block$/m, $errors, -1;
	for my $i (0 .. $#$blocks)
	{
		my $block = $blocks->[$i];
		ok(@printed > $i + 2, "$database: line $block->{line} runs") or diag($warned[ $i + 1 ] // 'not reached');
		like($printed[ $i + 1 ] // '', qr/$_/, "$database: line $block->{line} prints what is said") for @{ $block->{expect} };
	}
	is(sql($database, $question), $answer, "$database: what is there afterwards");
}

# --- Statements in sentences: those that are whole, in a database with all that there is.
$node->safe_psql('postgres', 'CREATE DATABASE sentences');
sql('sentences', "CREATE SCHEMA app; CREATE TABLE app.orders (id uuid PRIMARY KEY); CREATE EXTENSION pg_stat_statements; \\i $ENV{USHER_SOURCE}/tools/database.sql");
my ($tried, @wrong) = (0);
my %known = map { $_ => 1 } split(/\n/, sql('sentences', 'SELECT DISTINCT proname FROM pg_proc')),
	# of C++, of Casbin's models, of jq, of a man page, and of the sources of others
	qw(cut_off eval select gateway courier migrate_database setup_database);
my $of_code = qr/architecture|walks|write-an-extension/; # they name functions of C++
# Functions of ours by name: the arguments of each form, and what they and its result are called.
my %forms;
for (split /\n/, sql('sentences', q{
	SELECT p.proname || '|' || coalesce((SELECT string_agg(a.name, ',' ORDER BY a.i) FROM unnest(p.proargnames) WITH ORDINALITY AS a (name, i)
			WHERE coalesce(p.proargmodes[a.i], 'i') IN ('i', 'b', 'v')), '')
		|| '|' || concat_ws(',', array_to_string(p.proargnames, ','), (SELECT string_agg(c.attname, ',') FROM pg_type AS t
			JOIN pg_attribute AS c ON c.attrelid = t.typrelid AND c.attnum > 0 WHERE t.oid = p.prorettype))
		|| '|' || (p.prorettype = 'jsonb'::regtype)
	FROM pg_proc AS p WHERE p.pronamespace IN ('usher'::regnamespace, 'wash'::regnamespace)}))
{
	my ($function, $arguments, $columns, $is_json) = split /\|/, $_, -1;
	push @{ $forms{$function} }, { arguments => { map { $_ => 1 } split /,/, $arguments },
		columns => { map { $_ => 1 } split /,/, $columns }, is_json => $is_json eq 'true' };
}
my %types = map { $_ => 1 } split /\n/, sql('sentences', q{SELECT format_type(oid, NULL) FROM pg_type WHERE typtype = 'b' AND format_type(oid, NULL) ~ '^[a-z]+$'});
my %words = map { $_ => 1 } qw(true false null on off default);
# Those arguments of a function of ours that no form of it has: words that stand for values, where no value stands beside them, and
# what is before =>.
sub misnamed
{
	my ($function, $said) = @_;
	my @said = map { s/^\s+|\s+$//gr } split /,/, $said;
	my @names = map { /^(\w+)\s*=>/ ? $1 : () } @said;
	my @plain = grep { !/=>|^…$/ } @said;
	push @names, @plain if !grep { !/^[a-z_][a-z0-9_]*$/ } @plain and grep { !$types{$_} } @plain; # a signature has types
	@names = grep { !$words{$_} } @names;
	return () if !@names || !$forms{$function};
	my @missing = map { my $form = $_; [ grep { !$form->{arguments}{$_} } @names ] } @{ $forms{$function} };
	return @{ (sort { @$a <=> @$b } @missing)[0] };
}
for my $file ('README.md', glob "$ENV{USHER_SOURCE}/docs/*.md")
{
	my $name = $file =~ s{^\Q$ENV{USHER_SOURCE}\E/}{}r;
	my $text = slurp_file("$ENV{USHER_SOURCE}/$name");
	$text =~ s/^ *```.*?^ *```$//gms;
	while ($name !~ $of_code && $text =~ /`([^`\n]+)`/g)
	{
		my $span = $1;
		push @wrong, "$name: there is no $_()" for grep { !$known{$_} } $span =~ /(?<![\w:.])(?:(?:usher|wash|shop|club|courier)\.)?([a-z_][a-z0-9_]*)\(/g;
	}
	for my $span (map { /`([^`]+)`/g } split /\n\n/, $text)
	{
		next if $span =~ /^SELECT\b/; # whole statements are asked about below
		while ($span =~ /(?<![\w:.])((?:(?:usher|wash|shop|club|courier)\.)?)([a-z_][a-z0-9_]*)\(([^()]*)\)/g)
		{
			my ($schema, $function, $said) = ($1, $2, $3);
			next if $name =~ $of_code && $schema eq '';
			push @wrong, "$name: $function() has no argument $_" for misnamed($function, $said);
		}
	}
	# `column` and `column` of `function()`
	while ($text =~ /((?:`[a-z_]+`(?:,|\sand|\sor)?\s)+)of\s`(?:\w+\.)?([a-z_]+)\([^`]*\)`/g)
	{
		my ($columns, $function) = ($1, $2);
		next if !$forms{$function} || grep { $_->{is_json} } @{ $forms{$function} };
		for my $column ($columns =~ /`(\w+)`/g)
		{
			push @wrong, "$name: $function() has no $column" if !grep { $_->{columns}{$column} } @{ $forms{$function} };
		}
	}
	while ($text =~ /`((?:SELECT|SET|ALTER SYSTEM|VACUUM|CHECKPOINT|REINDEX)\b[^`]*)`/g)
	{
		for my $statement (split /;\s*/, $1 =~ s/\s+/ /gr)
		{
			next if $statement =~ /…|^[A-Z ()]+$/; # a form to fill in, or key words
			# what is no query is read, and not run
			my ($status, undef, $error) = $node->psql('sentences', $statement =~ /^SELECT/ ? "PREPARE said AS $statement"
				: "DO \$_\$ BEGIN RETURN; $statement; END \$_\$");
			$tried++;
			push @wrong, "$name: $statement: " . ($error =~ s/\n.*//sr) if $status != 0;
		}
	}
}
cmp_ok($tried, '>=', 20, 'pages have statements in their sentences');
is(join("\n", @wrong), '', 'and the server knows them, and every function that they name');

$node->stop;
done_testing();

# The functions that write rows past the executor, against a plain INSERT of the same values, over random tables: the same row, or the
# same SQLSTATE. Where they decline, the plain INSERT is what callers run instead. USHER_SEED repeats a run; USHER_LONG makes it
# thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = $ENV{USHER_BOUNDARY} or die "USHER_BOUNDARY must name the test library";
my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $rounds = $ENV{USHER_LONG} ? 6000 : 500;
note("seed $seed: USHER_SEED=$seed repeats this run");
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('direct_tables');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA r;
CREATE FUNCTION r.insert_planned(relation regclass, names text[], vals text[]) RETURNS boolean LANGUAGE c AS '$library', 'boundary_insert';
CREATE FUNCTION r.insert_form(relation regclass, names text[], vals text[], checks text[]) RETURNS boolean LANGUAGE c AS '$library', 'boundary_insert_form';
CREATE TABLE r.numbers (n integer PRIMARY KEY);
INSERT INTO r.numbers VALUES (1), (2);
CREATE TABLE r.seen (what text);
CREATE DOMAIN r.short AS text CHECK (octet_length(VALUE) < 6);
CREATE DOMAIN r.small AS integer CHECK (VALUE < 50) NOT NULL;
CREATE FUNCTION r.lower(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN IF t LIKE '%x%' THEN RAISE EXCEPTION 'x' USING ERRCODE = 'US998'; END IF; RETURN lower(t); END \$\$;
CREATE FUNCTION r.change() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN NEW := jsonb_populate_record(NEW, '{"t1": "changed", "n2": 7}'); RETURN NEW; END \$\$;
CREATE FUNCTION r.skip() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RETURN NULL; END \$\$;
CREATE FUNCTION r.refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'US999'; END \$\$;
CREATE FUNCTION r.see() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO r.seen SELECT TG_WHEN || TG_LEVEL || (to_jsonb(n) - 'counted')::text FROM n; RETURN NULL; END \$\$;
-- What a write leaves: its rows and what triggers have seen, or the SQLSTATE, also of what is deferred.
CREATE FUNCTION r.outcome(command text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
    direct boolean;
    found text;
BEGIN
    IF command LIKE 'SELECT%' THEN
        EXECUTE command INTO direct;
    ELSE
        EXECUTE command;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    SELECT coalesce((SELECT jsonb_agg(to_jsonb(t) - 'counted' ORDER BY to_jsonb(t)::text)::text FROM r.tried AS t), 'no row')
        || coalesce((SELECT string_agg(s.what, ' ') FROM r.seen AS s), '') INTO found;
    RAISE EXCEPTION USING ERRCODE = 'ZX001', MESSAGE = found, DETAIL = coalesce(direct, true)::text;
EXCEPTION WHEN SQLSTATE 'ZX001' THEN
    GET STACKED DIAGNOSTICS found = PG_EXCEPTION_DETAIL;
    RETURN found || ' ' || SQLERRM;
    WHEN OTHERS THEN RETURN 'error ' || SQLSTATE;
END \$\$;
SQL

sub any { return $_[ int(rand(@_)) ]; }
sub quoted { my ($text) = @_; return defined $text ? "'" . ($text =~ s/'/''/gr) . "'" : 'NULL' }

my @names = qw(n1 n2 t1 t2);
my @checks = ('n1 < 50', 'n2 IS NULL OR n2 > 0', "t1 <> 'x'", 'octet_length(t2) < 6', 't2 IS NOT NULL', 'n1 = n2', "t1 IN ('a', 'abc')");

sub table
{
	my ($planned) = @_;
	my $kind = rand();
	my @columns;
	for my $name (@names)
	{
		my $number = $name =~ /^n/;
		my $type = rand() < 0.85 ? ($number ? 'integer' : 'text') : any($number ? ('bigint', 'smallint', 'r.small') : ('varchar(4)', 'varchar', 'r.short', 'text COLLATE "C"'));
		my $rest = rand() < 0.8 ? '' : any('NOT NULL', $number ? "CHECK ($name < 100)" : "CHECK ($name <> '')", 'UNIQUE', "DEFAULT " . ($number ? 5 : "'d'"));
		push @columns, "$name $type $rest";
	}
	push @columns, any('more integer', "more text DEFAULT 'more'", 'more integer NOT NULL', 'more integer NOT NULL DEFAULT 3', 'counted integer GENERATED ALWAYS AS IDENTITY',
		"more text GENERATED ALWAYS AS (t1 || t2) STORED") if rand() < ($planned ? 0.5 : 0.1);
	push @columns, 'CHECK (' . any(@checks) . ')' for 1 .. any(0, 0, 1, 1, 2);
	push @columns, any('FOREIGN KEY (n1) REFERENCES r.numbers', 'FOREIGN KEY (n1) REFERENCES r.numbers DEFERRABLE INITIALLY DEFERRED', 'UNIQUE (t1)', 'UNIQUE (n1, t1) DEFERRABLE INITIALLY DEFERRED',
		'UNIQUE (t2) DEFERRABLE', 'EXCLUDE USING btree (t1 WITH =)', 'EXCLUDE USING btree (n1 WITH =) WHERE (n2 > 0) DEFERRABLE INITIALLY DEFERRED', 'PRIMARY KEY (n1)') if rand() < 0.4;
	my $columns = join(', ', @columns);
	my $sql = $kind < 0.75 ? "CREATE " . any('', '', '', 'UNLOGGED ') . "TABLE r.tried ($columns);"
		: $kind < 0.85 ? "CREATE TABLE r.parent ($columns) PARTITION BY LIST (n2); CREATE TABLE r.tried PARTITION OF r.parent FOR VALUES IN (" . any('1', '1, 2', 'NULL') . ');'
		: $kind < 0.9 ? "CREATE TABLE r.tried ($columns) PARTITION BY LIST (n2); CREATE TABLE r.part PARTITION OF r.tried FOR VALUES IN (1, NULL);"
		: $kind < 0.95 ? "CREATE TABLE r.parent ($columns); CREATE TABLE r.tried () INHERITS (r.parent);"
		: "CREATE TABLE r.base ($columns); CREATE VIEW r.tried AS SELECT * FROM r.base;";
	for (1 .. any(0, 0, 1, 1, 2))
	{
		$sql .= any(
			"CREATE TRIGGER a BEFORE INSERT ON r.tried FOR EACH ROW " . any('', "WHEN (NEW.t1 = 'abc') ") . 'EXECUTE FUNCTION r.' . any('change', 'skip', 'refuse') . '();',
			'CREATE TRIGGER b BEFORE INSERT ON r.tried FOR EACH STATEMENT EXECUTE FUNCTION r.' . any('skip', 'refuse') . '();',
			'CREATE TRIGGER c AFTER INSERT ON r.tried REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION r.see();',
			'CREATE CONSTRAINT TRIGGER d AFTER INSERT ON r.tried DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION r.refuse();',
			'CREATE TRIGGER e BEFORE INSERT ON r.tried FOR EACH ROW EXECUTE FUNCTION r.refuse(); ALTER TABLE r.tried ' . any('DISABLE TRIGGER e;', 'ENABLE REPLICA TRIGGER e;', 'ENABLE ALWAYS TRIGGER e;'),
			'CREATE RULE r AS ON INSERT TO r.tried ' . any("WHERE NEW.t1 = 'abc' ", '') . 'DO ' . any('INSTEAD NOTHING;', "ALSO INSERT INTO r.seen VALUES ('rule');"),
			'ALTER TABLE r.tried ENABLE ROW LEVEL SECURITY;' . any('', "ALTER TABLE r.tried FORCE ROW LEVEL SECURITY;"),
			'CREATE INDEX ON r.tried (r.lower(t1));', 'CREATE UNIQUE INDEX ON r.tried (t2) WHERE n1 > 0;', 'CREATE UNIQUE INDEX ON r.tried (n1) NULLS NOT DISTINCT;',
			"CREATE INDEX ON r.tried (n1) WHERE r.lower(t2) <> '';", 'ALTER TABLE r.tried DROP COLUMN n2;', 'ALTER TABLE r.tried RENAME t2 TO t3;',
			'ALTER TABLE r.tried ADD CHECK (' . any(@checks) . ') NOT VALID' . any('', ' NO INHERIT') . ';', 'ALTER TABLE r.tried ALTER ' . any('n2', 't2') . ' SET NOT NULL;',
			'REVOKE INSERT ON r.tried FROM postgres;', 'ALTER TABLE r.tried SET (fillfactor = 10);', 'CREATE TABLE r.child () INHERITS (r.tried);');
	}
	return $sql;
}

my (@worlds, $sql);
$sql = "SET client_min_messages = error;\n";
for my $round (1 .. $rounds)
{
	my $planned = rand() < 0.5;
	my %value = (n1 => any(1, 1, 2, 3, 60, undef), n2 => any(1, 1, 2, -1, undef), t1 => any('a', 'abc', 'abc', 'x', '', undef), t2 => any('b', 'b', 'longer', 'x', undef));
	my @given = $planned ? grep { rand() < 0.85 } @names : @names;
	@given = @names if !@given;
	my $list = join(', ', @given);
	my $arrays = 'ARRAY[' . join(', ', map { quoted($_) } @given) . '], ARRAY[' . join(', ', map { quoted($value{$_}) } @given) . ']::text[]';
	my $row = join(', ', map { quoted($value{$_}) . '::' . (/^n/ ? 'integer' : 'text') } @given);
	my $ours = $planned ? "SELECT r.insert_planned('r.tried', $arrays)" : "SELECT r.insert_form('r.tried', $arrays, ARRAY(SELECT c FROM r.known WHERE obeyed))";
	my $definition = table($planned);
	push @worlds, "$definition\n    $ours";
	my $plain = "INSERT INTO r.tried ($list) VALUES ($row)";
	$sql .= "BEGIN;\nDO \$o\$ BEGIN EXECUTE " . quoted($definition) . "; EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION 'no table: %', SQLERRM; END \$o\$;\n";
	# a writer stands for the checks that its row obeys, and for no other
	$sql .= "CREATE TABLE r.known (c text, obeyed boolean);\n";
	$sql .= "INSERT INTO r.known SELECT " . quoted($_) . ", coalesce((SELECT $_ FROM (VALUES (" . join(', ', map { quoted($value{$_}) . '::' . (/^n/ ? 'integer' : 'text') } @names)
		. ")) AS v (n1, n2, t1, t2)), true);\n" for @checks, 'n1 < 100', 'n2 < 100', "t1 <> ''", "t2 <> ''";
	# a row is there already, now and then: what is unique is asked
	$sql .= "DO \$o\$ BEGIN INSERT INTO r.tried ($list) VALUES ($row); SET CONSTRAINTS ALL IMMEDIATE; EXCEPTION WHEN OTHERS THEN NULL; END \$o\$;\n" if rand() < 0.2;
	$sql .= "SELECT 'world $round', r.outcome(" . quoted($ours) . '), r.outcome(' . quoted($plain) . ");\nROLLBACK;\n";
}
my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-q', '-F', "\x01" ], on_error_stop => 0);
my ($writes, $differ, $refused, $direct) = (0, 0, 0, 0);
for my $line (split /\n/, $out)
{
	my ($world, $ours, $plain) = $line =~ /^world (\d+)\x01(.*)\x01(.*)$/s or next;
	++$writes;
	++$refused if $plain =~ /^error/;
	next if $ours =~ /^false/; # declined: the caller runs the plain INSERT
	++$direct;
	next if $ours eq $plain;
	++$differ;
	diag("$worlds[$world - 1]\n    ours: $ours\n   plain: $plain") if $differ <= 5;
}
is($status, 0, 'the session lives to the end') or diag(substr($err, -2000));
cmp_ok($writes, '>', $rounds / 2, "$writes of $rounds tables could be made");
is($differ, 0, 'no row and no SQLSTATE differs from that of a plain INSERT');
cmp_ok($direct, '>', $writes / 10, "many rows go past the executor ($direct of $writes)");
cmp_ok($refused, '>', $writes / 10, "many are refused ($refused of $writes)");
done_testing();

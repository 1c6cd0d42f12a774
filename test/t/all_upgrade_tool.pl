# tools/upgrade_scripts.pl, by a small extension in two versions: what it takes over, what it wants written by hand, and what it refuses.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherVersions;

my ($node, $share) = versions_node('upgrade_tool');
$node->start;
$node->safe_psql('template1', 'CREATE EXTENSION usher CASCADE'); # copied into each database below

my $folder = PostgreSQL::Test::Utils::tempdir();
mkdir "$folder/$_" for qw(old new out updates);
sub write_file { my ($path, $text) = @_; open my $fh, '>', $path or die "$path: $!"; print $fh $text; close $fh }

my %old = (table => '', count => 'integer', view => 'SELECT i.id', gone => 1, machine => 0, seconds => 60, extra_route => 1, check => '0');
my %new = (table => "    note text NOT NULL DEFAULT '',\n", count => 'bigint', view => 'SELECT i.id, i.note', machine => 1, seconds => 30, check => '1', new_table => 1);
sub script
{
	my (%is) = @_;
	my $lost = $is{machine} ? ', {"from": "new", "to": "lost", "action": "lose"}' : '';
	return <<"PAIR" . ($is{gone} ? <<'GONE' : '') . ($is{extra_route} ? <<'ROUTE' : '') . ($is{new_table} ? <<'TABLE' : '') . "SELECT usher.finish_extension();\n";
\\echo Use "CREATE EXTENSION regress_pair" to load this file. \\quit
SET LOCAL search_path TO pg_catalog, pg_temp;
CREATE TABLE \@extschema\@.items (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    amount integer NOT NULL CHECK (amount > $is{check}),
    status text,
$is{table}    UNIQUE (id, amount)
);
COMMENT ON TABLE \@extschema\@.items IS 'Items.';
REVOKE ALL ON \@extschema\@.items FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('\@extschema\@.items', '');
CREATE VIEW \@extschema\@.item_ids AS $is{view} FROM \@extschema\@.items AS i;
CREATE FUNCTION \@extschema\@.item_count(at_least integer DEFAULT 0) RETURNS $is{count}
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN count(*) > 0 THEN count(*) ELSE 0 END FROM \@extschema\@.items AS i WHERE i.amount >= at_least;
END;
REVOKE ALL ON FUNCTION \@extschema\@.item_count(integer) FROM PUBLIC;
COMMENT ON FUNCTION \@extschema\@.item_count(integer) IS 'Counts; semicolons; \$\$ and ''quotes'' too.';
-- its text is the same in both versions, but it depends on the one before
CREATE FUNCTION \@extschema\@.has_items() RETURNS boolean
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT \@extschema\@.item_count() > 0;
END;
REVOKE ALL ON FUNCTION \@extschema\@.has_items() FROM PUBLIC;
COMMENT ON FUNCTION \@extschema\@.has_items() IS 'Whether there are any.';
CREATE FUNCTION \@extschema\@._count_changes() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS \$\$
BEGIN
    RETURN NEW; -- $is{seconds}
END
\$\$;
REVOKE ALL ON FUNCTION \@extschema\@._count_changes() FROM PUBLIC;
COMMENT ON FUNCTION \@extschema\@._count_changes() IS 'A trigger.';
CREATE TRIGGER count_changes BEFORE @{[ $is{gone} ? 'UPDATE' : 'INSERT OR UPDATE' ]} ON \@extschema\@.items FOR EACH ROW EXECUTE FUNCTION \@extschema\@._count_changes();
ALTER TABLE \@extschema\@.items ENABLE ALWAYS TRIGGER count_changes;
SELECT usher.register_extension('A pair of versions', declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
    personal_data => '{"items": {"impersonal": ["*"]}}',
    access => '[{"kind": "function", "levels": ["application"], "names": "item_count has_items @{[ $is{gone} ? '' : 'item_note' ]}"},
                {"kind": "table", "levels": ["auditor"], "names": "items(id@{[ $is{gone} ? '' : ',note' ]})"}]');
SELECT usher.define_machine('regress_item', '{"initial": ["new"],
    "transitions": [{"from": "new", "to": "sent", "action": "send"}$lost]}');
SELECT usher.define_rate_limit('regress.items', 'fixed_window', $is{seconds}, '1 minute');
SELECT usher.define_rate_limit('regress.more', 'fixed_window', $is{seconds}, '1 minute');
SELECT usher.add_route('GET', '/regress-items', '\@extschema\@.has_items()', 'public', rate_limit => 'regress.items', cache_control => 'max-age=$is{seconds}');
PAIR
-- in the old version only
CREATE FUNCTION @extschema@.forgotten(text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN $1;
REVOKE ALL ON FUNCTION @extschema@.forgotten(text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.forgotten(text) IS 'Goes.';
GONE
SELECT usher.add_route('GET', '/regress-forgotten', '@extschema@.has_items()', 'public');
ROUTE
-- in the new version only
CREATE TABLE @extschema@.notes (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    item_id uuid NOT NULL REFERENCES @extschema@.items
);
CREATE INDEX notes_item_idx ON @extschema@.notes (item_id);
COMMENT ON TABLE @extschema@.notes IS 'New.';
REVOKE ALL ON @extschema@.notes FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.notes', '');
CREATE FUNCTION @extschema@.item_note(id uuid) RETURNS text
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT i.note FROM @extschema@.items AS i WHERE i.id = item_note.id;
END;
REVOKE ALL ON FUNCTION @extschema@.item_note(uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.item_note(uuid) IS 'New.';
TABLE
}

write_file("$share/regress_pair.control", "default_version = '1.1.0'\nrelocatable = false\nrequires = 'usher'\nsuperuser = true\n");
write_file("$folder/old/regress_pair--1.0.0.sql", script(%old));
write_file("$share/regress_pair--1.1.0.sql", script(%new));
sub tool { return make_scripts($node, 'from=1.0.0', 'to=1.1.0', "old=$folder/old", "new=$share", "steps=$folder/updates", "out=$folder/out", "share=$share", 'regress_pair', @_) }
my ($there, $back) = map { "$folder/updates/$_.tables.sql" } '1.0.0--1.1.0', '1.1.0--1.0.0';

# --- what has to be written by hand

my ($good, $said) = tool();
ok(!$good, 'tables that differ need a step');
like($said, qr/these differ, and there is no \Q$there\E:\n  table \S*\.?items/, '… and it is said where, and for which');

write_file($there, "ALTER TABLE \@extschema\@.items ADD COLUMN note text;\n");
($good, $said) = tool();
ok(!$good, 'a step explains itself');
like($said, qr/does not begin with a comment that says what changes, and why/, '… or is refused');

write_file($there, "-- Items have notes: people asked for them.\n-- The amount is one at least.\nALTER TABLE \@extschema\@.items ADD COLUMN note text NOT NULL DEFAULT '';\n");
write_file($back, "-- Back to items without notes.\n");
($good, $said) = tool();
ok(!$good, 'a step that forgets something is found out');
like($said, qr/^1\.0\.0 to 1\.1\.0, regress_pair: constraint items_amount_check on \S+items is\n    CHECK \(\(amount > 0\)\) t\n  instead of\n    CHECK \(\(amount > 1\)\) t/m,
	'… by what the update has made, and what CREATE EXTENSION makes');
like($said, qr/What an update makes is not what CREATE EXTENSION makes: write the rest into/, '… and it is said where the rest belongs');

write_file($there, slurp_file($there) . "--- at \@extschema\@.itmes\n");
($good, $said) = tool();
like($said, qr/at \@extschema\@\.itmes: there is no such table or type/, 'a part for no table is refused');

write_file($there, slurp_file($there) =~ s/^---.*\n//mr . "ALTER TABLE \@extschema\@.items DROP CONSTRAINT items_amount_check;\n--- at \@extschema\@.items\nALTER TABLE \@extschema\@.items ADD CONSTRAINT items_amount_check CHECK (amount > 1);\n");
write_file($back, "-- Back to items without notes, which are lost.\n--- at \@extschema\@.items\nALTER TABLE \@extschema\@.items DROP CONSTRAINT items_amount_check, ADD CONSTRAINT items_amount_check CHECK (amount > 0);\n--- end\nALTER TABLE \@extschema\@.items DROP COLUMN note;\nALTER EXTENSION regress_pair DROP TABLE \@extschema\@.notes;\nDROP TABLE \@extschema\@.notes;\n");
($good, $said) = tool();
ok($good, 'with the right steps it is content: there, back and there again come out as CREATE EXTENSION makes it') or diag($said);

# --- what is in the script

my $script = slurp_file("$folder/out/regress_pair/regress_pair--1.0.0--1.1.0.sql");
like($script, qr/\A\\echo Use "ALTER EXTENSION regress_pair UPDATE TO '1\.1\.0'" to load this file\. \\quit/, 'psql does not run it');
like($script, qr/^-- Items have notes: people asked for them\.$/m, 'it says what and why');
like($script, qr/^DROP FUNCTION \@extschema\@\.has_items\(\);\nDROP FUNCTION \@extschema\@\.item_count\(integer\);$/m, 'what a changed result takes along goes before it');
like($script, qr/^DROP FUNCTION \@extschema\@\.forgotten\(text\);$/m, 'what is gone is dropped');
unlike($script, qr/REVOKE ALL ON FUNCTION \@extschema\@\._count_changes/, 'privileges of a function that is replaced are left alone');
like($script, qr/^CREATE OR REPLACE FUNCTION \@extschema\@\._count_changes\(\)/m, '… which is replaced where it stands');

# --- with rows, decisions, changes by hand, levels and a dump

$node->safe_psql('postgres', 'CREATE DATABASE data');
$node->safe_psql('postgres', 'CREATE ROLE pair_app; CREATE ROLE pair_auditor');
$node->safe_psql('data', q{
	CREATE EXTENSION regress_pair SCHEMA public VERSION '1.0.0';
	SELECT usher.grant_access('pair_app', 'application'), usher.grant_access('pair_auditor', 'auditor');
	INSERT INTO public.items (amount) VALUES (2), (3);
	SELECT usher.define_rate_limit('regress.items', 'fixed_window', 7, '1 minute'), usher.remove_route('GET', '/regress-items');
	CREATE INDEX by_hand ON public.items (amount);
	ALTER TABLE public.items ALTER COLUMN status SET DEFAULT 'new';
	REVOKE EXECUTE ON FUNCTION usher.uuid_v7() FROM pair_app});
is($node->safe_psql('data', q{SELECT object, change FROM usher.schema_drift() WHERE extension = 'regress_pair'}),
	"column status of public.items|changed\nindex public.by_hand|added", 'what is changed by hand is named before');
$node->safe_psql('data', q{ALTER EXTENSION regress_pair UPDATE});
is($node->safe_psql('data', q{SELECT extversion FROM pg_extension WHERE extname = 'regress_pair'}), '1.1.0', 'ALTER EXTENSION goes to the newest version');
is($node->safe_psql('data', q{SELECT object, change FROM usher.schema_drift() WHERE extension = 'regress_pair'}),
	"column status of public.items|changed\nindex public.by_hand|added", '… and after an update just as well');
is($node->safe_psql('data', q{SELECT amount, note FROM public.items ORDER BY amount}), "2|\n3|", 'rows stay');
is($node->safe_psql('data', q{SELECT max_hits FROM usher.rate_limit_policies WHERE policy LIKE 'regress%' ORDER BY policy}), "7\n30", 'a limit that was decided stays, another one is the new default');
is($node->safe_psql('data', q{SELECT count(*) FROM usher.routes WHERE path_template LIKE '/regress%'}), '0', 'a route that was removed stays away, and the one that is no longer shipped is gone');
is($node->safe_psql('data', q{SELECT d.shipped ->> 'max_hits' FROM usher.list_decisions() AS d WHERE d.key ->> 'policy' = 'regress.items'}), '30', 'what was decided against is the new default');
is($node->safe_psql('data', q{SELECT version, definition::text ~ 'lose' FROM usher.machines WHERE name = 'regress_item' AND is_active ORDER BY version DESC LIMIT 1}), '2|t', 'the machine has a new version, which is in force');
my $privileges = q{
	SELECT has_function_privilege('pair_app', 'public.item_count(integer)', 'EXECUTE'), has_function_privilege('pair_app', 'public.has_items()', 'EXECUTE'),
		has_function_privilege('pair_app', 'public.item_note(uuid)', 'EXECUTE'), has_column_privilege('pair_auditor', 'public.items', 'note', 'SELECT'),
		has_column_privilege('pair_auditor', 'public.items', 'amount', 'SELECT'), has_function_privilege('pair_app', 'usher.uuid_v7()', 'EXECUTE')};
is($node->safe_psql('data', $privileges), 't|t|t|t|f|f', 'levels cover what is new and what was made again, and nothing that was revoked by hand');

$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->safe_psql('data', 'DROP INDEX public.by_hand');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('data') ], 'a dump after it');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], '… is restored');
is($node->safe_psql('restored', $privileges), 't|t|t|t|f|f', '… and has every privilege');

# --- while others hold what it needs

my $holder = $node->background_psql('data');
$holder->query_safe('BEGIN');
$holder->query_safe('LOCK TABLE public.items IN ACCESS SHARE MODE');
my ($code, undef, $error) = $node->psql('data', q{SET lock_timeout = '100ms'; ALTER EXTENSION regress_pair UPDATE TO '1.0.0'});
isnt($code, 0, 'an update that waits for a lock gives up after lock_timeout');
like($error, qr/canceling statement due to lock timeout/, '… and says so');
is($node->safe_psql('data', q{SELECT extversion FROM pg_extension WHERE extname = 'regress_pair'}), '1.1.0', '… and has changed nothing');
$holder->query_safe('COMMIT');
$holder->quit;
$node->safe_psql('data', q{ALTER EXTENSION regress_pair UPDATE TO '1.0.0'});
is($node->safe_psql('data', q{SELECT count(*), max(amount) FROM public.items}), '2|3', 'back again, with its rows');

$node->stop;
done_testing();

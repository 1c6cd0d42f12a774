# Rows that go past the executor, against a plain INSERT of the same values, over random changes that a DBA makes to the tables:
# the same row, or the same SQLSTATE. Each world of changes is a transaction that is rolled back. USHER_SEED repeats a run;
# USHER_LONG makes it thorough.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{USHER_SEED} // int(rand(1_000_000));
my $rounds = $ENV{USHER_LONG} ? 3000 : 200;
note("seed $seed: USHER_SEED=$seed repeats this run");
srand($seed);

my $node = PostgreSQL::Test::Cluster->new('direct_random');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA r;
SELECT usher.define_machine('r', '{"initial": ["open"], "transitions": [{"from": null, "to": "open", "action": "create"}, {"from": "open", "to": "done", "action": "finish"}]}');
CREATE TABLE r.jobs (id uuid PRIMARY KEY, status text NOT NULL DEFAULT 'open');
SELECT usher.attach_machine('r', 'r.jobs', 'status', '{}');
CREATE TABLE r.things (id int PRIMARY KEY, n int);
INSERT INTO r.things VALUES (1, 1);
SELECT usher.enable_audit('r.things');
CREATE DOMAIN r.short AS text CHECK (octet_length(VALUE) < 12);
CREATE DOMAIN r.any AS text;
CREATE FUNCTION r.fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW := jsonb_populate_record(NEW, '{"correlation_id": "filled", "notes": "filled"}'); RETURN NEW; END $$;
CREATE FUNCTION r.skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION r.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'US999'; END $$;
CREATE FUNCTION r.lower(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF t LIKE '%x%' THEN RAISE EXCEPTION 'x' USING ERRCODE = 'US998'; END IF; RETURN lower(t); END $$;
-- What a write leaves: its row without what differs from write to write, or the SQLSTATE.
CREATE FUNCTION r.outcome(command text, question text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
    EXECUTE command;
    EXECUTE question INTO found;
    RAISE EXCEPTION USING ERRCODE = 'US000', MESSAGE = coalesce(found, 'no row');
EXCEPTION WHEN SQLSTATE 'US000' THEN RETURN SQLERRM;
    WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SQL

sub any { return $_[ int(rand(@_)) ]; }

# each: the table, its write by usher and by hand, and what is asked afterwards
my %case = (
	'usher.events' => {
		ours => q{SELECT usher.publish('r.made', '{"a": "xyz"}', 'key-1')},
		plain => q{INSERT INTO usher.events (id, event, payload, key, causation_id, depth, user_id, correlation_id)
			VALUES (usher.uuid_v7(), text 'r.made', jsonb '{"a": "xyz"}', text 'key-1', NULL::uuid, 0, NULL::uuid, NULL::text)},
		ask => q{SELECT to_jsonb(e) - 'id' - 'created_at' FROM usher.events e WHERE to_jsonb(e) ->> 'event' = 'r.made'},
		texts => [qw(event key dedupe_key correlation_id)], filled => 'event', empty => [qw(key dedupe_key correlation_id user_id)],
		others => [ [qw(depth bigint)], [qw(depth smallint)], [qw(payload text)], ['created_at', 'timestamptz(0)'], ['created_at', 'timestamp'] ] },
	'usher.status_history' => {
		ours => q{INSERT INTO r.jobs VALUES ('00000000-0000-7000-8000-000000000001')},
		plain => q{INSERT INTO usher.status_history (relation, entity_id, seq, from_status, to_status, action, changed_by, changed_by_name,
				reason_code, notes, version, entity_key)
			VALUES ('r.jobs'::regclass, uuid '00000000-0000-7000-8000-000000000001', 1, NULL::text, text 'open', text 'create', NULL::uuid,
				current_user::text, NULL::text, NULL::text, NULL::int, NULL::text)},
		ask => q{SELECT to_jsonb(h) - 'id' - 'changed_at' FROM usher.status_history h WHERE to_jsonb(h) ->> 'entity_id' = '00000000-0000-7000-8000-000000000001'},
		texts => [qw(to_status action reason_code notes entity_key)], filled => 'action', empty => [qw(reason_code notes changed_by version)],
		others => [ [qw(seq bigint)], [qw(version bigint)], [qw(relation oid)], ['changed_at', 'timestamptz(0)'] ] },
	'usher.audit_logs' => {
		ours => q{UPDATE r.things SET n = n + 1},
		plain => q{INSERT INTO usher.audit_logs (id, created_at, event_type, action, severity, source, result, actor_id, actor_name, session_id,
				database_user, client_ip, user_agent, correlation_id, resource_type, resource_id, key, old_values, new_values, event_data,
				error_message, metadata, transaction_id, statement_id)
			VALUES (usher.uuid_v7(), clock_timestamp(), text 'row.update', text 'update', text 'info', text 'trigger', text 'success', NULL::uuid,
				session_user::text, NULL::uuid, session_user::text, NULL::inet, NULL::text, NULL::text, text 'r.things', text '1', jsonb '{"id": 1}',
				jsonb '{"n": 1}', jsonb '{"n": 2}', jsonb '{}', NULL::text, jsonb '{}', pg_current_xact_id()::text::bigint, 0)},
		ask => q{SELECT to_jsonb(a) - 'id' - 'created_at' - 'transaction_id' - 'statement_id' FROM usher.audit_logs a
			WHERE to_jsonb(a) ->> 'resource_type' = 'r.things'},
		texts => [qw(event_type action source actor_name resource_id user_agent)], filled => 'action', empty => [qw(actor_id user_agent error_message)],
		others => [ [qw(transaction_id numeric)], [qw(statement_id bigint)], [qw(client_ip cidr)], [qw(new_values text)] ] });

# the partition of the audit log that takes rows: changes go there, or to the log itself
sub change
{
	my ($table, $about) = @_;
	my $where = $table eq 'usher.audit_logs' ? any('usher.audit_logs', 'usher.audit_logs_default') : $table;
	my ($text, $empty, $other) = (any(@{ $about->{texts} }), any(@{ $about->{empty} }), any(@{ $about->{others} }));
	my $whole = $table; # types of columns are those of the log
	return any(
		"ALTER TABLE $whole ALTER $text TYPE " . any('varchar', 'varchar(3)', 'varchar(200)', 'r.short', 'r.any', 'text COLLATE "C"', 'bytea USING NULL'),
		"ALTER TABLE $whole ALTER $other->[0] DROP DEFAULT, ALTER $other->[0] TYPE $other->[1] USING $other->[0]::text::$other->[1]",
		"ALTER TABLE $where ALTER $empty SET NOT NULL",
		"ALTER TABLE $where ALTER $about->{filled} DROP NOT NULL",
		"ALTER TABLE $where ADD CONSTRAINT r_check CHECK (" . any("$text <> 'x'", "$text IS NULL", "length($text) < 4", "$empty IS NOT NULL", "$text IS NOT NULL",
			"r.lower($text) <> 'z'") . ") NOT VALID",
		"DO \$\$ DECLARE c text; BEGIN SELECT conname INTO c FROM pg_constraint WHERE conrelid = '$table'::regclass AND contype = 'c' ORDER BY md5(conname || "
			. int(rand(1000)) . ") LIMIT 1; EXECUTE format('ALTER TABLE $table DROP CONSTRAINT %I', c); EXECUTE format('ALTER TABLE $table ADD CONSTRAINT %I CHECK ("
			. any("$text = ''other''", "$text IS NULL", "$empty IS NULL") . ") NOT VALID', c); END \$\$",
		"ALTER TABLE $whole ADD COLUMN r_more " . any('int', "text DEFAULT 'more'", 'int NOT NULL DEFAULT 5', "text GENERATED ALWAYS AS ($text || '!') STORED", 'text NOT NULL'),
		"ALTER TABLE $whole ADD COLUMN r_gone int; ALTER TABLE $whole DROP COLUMN r_gone",
		"ALTER TABLE $whole DROP COLUMN $empty",
		"ALTER TABLE $whole RENAME $empty TO r_renamed",
		"CREATE TRIGGER aaa_r BEFORE INSERT ON $where FOR EACH ROW EXECUTE FUNCTION r." . any('fill', 'skip', 'refuse') . "()"
			. any('', "; ALTER TABLE $where DISABLE TRIGGER aaa_r", "; ALTER TABLE $where ENABLE REPLICA TRIGGER aaa_r"),
		"CREATE TRIGGER aaa_r AFTER INSERT ON $where FOR EACH STATEMENT EXECUTE FUNCTION r." . any('skip', 'refuse') . "()",
		"ALTER TABLE $where ENABLE ROW LEVEL SECURITY" . any('', "; ALTER TABLE $where FORCE ROW LEVEL SECURITY"),
		"CREATE INDEX ON $where ((r.lower($text)))",
		"CREATE INDEX ON $where ($empty) WHERE " . any("r.lower($text) IS NOT NULL", "$text > 'a'"),
		"ALTER TABLE $where ADD EXCLUDE USING btree ($text WITH =)",
		"ALTER TABLE $where ADD CONSTRAINT r_later UNIQUE ($text" . ($where eq 'usher.audit_logs' ? ', created_at' : '') . ") DEFERRABLE INITIALLY DEFERRED",
		"CREATE TABLE r.child () INHERITS ($where)",
		"CREATE RULE r_rule AS ON INSERT TO $where DO " . any('INSTEAD NOTHING', 'ALSO SELECT 1'),
		"ALTER TABLE $where SET UNLOGGED",
		"ALTER TABLE $where SET (fillfactor = 50)",
		"REVOKE ALL ON $where FROM postgres, PUBLIC");
}

my ($differ, $writes, $changed, $refused) = (0, 0, 0, 0);
my $sql = "SET client_min_messages = error;\n";
my @worlds;
for my $round (1 .. $rounds)
{
	my $table = any(sort keys %case);
	my $about = $case{$table};
	# each in a subtransaction: many combinations are not allowed
	my @changes = map { change($table, $about) } 1 .. 1 + int(rand(3));
	push @worlds, "$table: " . join('; ', @changes);
	$sql .= "BEGIN;\n";
	$sql .= "DELETE FROM usher.audit_logs_default; DELETE FROM usher.events; DELETE FROM usher.status_history;\n";
	# something was written before, so that what is kept of the table has to be given up
	$sql .= "SAVEPOINT before; $about->{ours}; ROLLBACK TO before;\n" if rand() < 0.7;
	for my $change (@changes)
	{
		my $quoted = $change =~ s/'/''/gr;
		$sql .= "DO \$o\$ BEGIN EXECUTE '$quoted'; EXCEPTION WHEN OTHERS THEN NULL; END \$o\$;\n";
	}
	my ($ours, $plain, $ask) = map { s/'/''/gr } @{$about}{qw(ours plain ask)};
	$sql .= "SELECT 'world $round', r.outcome('$ours', '$ask'), r.outcome('$plain', '$ask');\nROLLBACK;\n";
	# A plan that a rule has made empty refers to no table any more: the server never finds out that the rule is gone.
	$sql .= "DISCARD PLANS;\n" if "@changes" =~ /INSTEAD NOTHING/;
}
my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-q', '-F', "\x01" ], on_error_stop => 0);
for my $line (split /\n/, $out)
{
	my ($world, $ours, $plain) = $line =~ /^world (\d+)\x01(.*)\x01(.*)$/s or next;
	++$writes;
	++$refused if $plain =~ /^[0-9A-Z]{5}$/;
	next if $ours eq $plain;
	++$differ;
	diag("$worlds[$world - 1]\n    ours: $ours\n   plain: $plain") if $differ <= 5;
}
is($status, 0, 'the session lives to the end') or diag($err);
is($writes, $rounds, "$rounds worlds were compared");
is($differ, 0, 'no row and no SQLSTATE differs from that of a plain INSERT');
cmp_ok($refused, '>', $rounds / 10, "some writes are refused ($refused of $writes)");

# where nothing may be written, the server says so as it does for an INSERT
for my $write (q{SELECT usher.publish('r.made')}, q{SELECT usher.log_event('r.made')}, q{SELECT usher.publish('r.made', dedupe_key => 'x')})
{
	(undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN READ ONLY; $write");
	like($err, qr/25006: cannot execute INSERT in a read-only transaction/, "$write in a transaction that only reads");
}
(undef, undef, $err) = $node->psql('postgres', q{
	CREATE TEMPORARY TABLE things (id int PRIMARY KEY);
	CREATE TRIGGER by_hand AFTER INSERT ON things REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION usher.audit_change();
	\set VERBOSITY verbose
	BEGIN READ ONLY;
	INSERT INTO things VALUES (1)});
like($err, qr/25006: cannot execute INSERT/, 'the audit row of a temporary table in a transaction that only reads');
is($node->safe_psql('postgres', q{SET usher.audit_reads = on; BEGIN READ ONLY; SELECT usher.log_read('r.thing', '1'); COMMIT;
	SELECT count(*) FROM usher.audit_logs WHERE event_type = 'data.read'}), "\n1", 'log_read() may write in one, by design');

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('direct_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
for my $write (q{SELECT usher.publish('r.made')}, q{SELECT usher.log_event('r.made')}, q{SELECT usher.publish('r.made', dedupe_key => 'x')})
{
	(undef, undef, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$write");
	like($err, qr/25006: cannot execute INSERT in a read-only transaction/, "$write on a standby");
}
# a log with holes where somebody asks a standby would be none
for my $read (q{SET usher.audit_reads = on; SELECT usher.log_read('r.thing', '1')}, q{SELECT usher.log_reads('r.thing', '{}', ARRAY[usher.uuid_v7()])})
{
	(undef, undef, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$read");
	like($err, qr/US301: this reading is logged, which a standby cannot do/, "$read there");
}
is($standby->safe_psql('postgres', q{SELECT usher.log_read('r.thing', '1') IS NULL, usher.log_reads('r.thing', ARRAY[usher.uuid_v7()]) IS NULL}), 't|t', 'what is not logged may be read on a standby');

done_testing();

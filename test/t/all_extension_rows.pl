# usher-backup take (docs/backup.md): the rows of each extension as they were, everything else as it is. Extensions and tables come from the
# catalog: every row of every table is compared, with shipped rows that somebody has changed, removed and added, and months of a log.
use strict;
use warnings;
use CarriedOut;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $now = PostgreSQL::Test::Cluster->new('now');
$now->init(allows_streaming => 1);
$now->start;
$now->safe_psql('postgres', 'CREATE DATABASE app');
for my $part (qw(install names story))
{
	command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $now->connstr('app'), '-f', "$source/examples/clinic/$part.sql" ], "the clinic: $part");
}
$now->safe_psql('app', q{
	CREATE SCHEMA courier;
	CREATE EXTENSION usher_courier SCHEMA courier;
	SELECT count(*) FROM usher.run_maintenance();
	SELECT count(*) FROM courier.add_webhook('https://partner.example/hooks', '{user.*,booking.*,order.*}');
	SELECT usher.register_user('guest@example.com', 'correct horse battery');
	SELECT count(*) FROM courier.claim_messages('w', 2);
	SELECT courier.suppress_address('gone@example.com');
	UPDATE courier.message_templates SET subject = 'As it was' WHERE (event, language) = ('booking.confirmed', 'en');
	DELETE FROM courier.message_templates WHERE (event, language) = ('booking.cancelled', 'de');
	INSERT INTO courier.message_templates (event, language, subject, body_text) VALUES ('booking.confirmed', 'fr', 'Bienvenue', 'Bonjour');
	UPDATE courier.message_rules SET priority = 9 WHERE event = 'order.placed'});
# rows in a month of their own, and in the default partition
$now->safe_psql('app', q{SET session_replication_role = replica; UPDATE shop.inventory_logs SET created_at = created_at + interval '1 month' WHERE movement = 'sale'});
is($now->safe_psql('app', 'SELECT count(DISTINCT tableoid) FROM shop.inventory_logs'), 2, 'the log of stock is in months');

my @extensions = split /\n/, $now->safe_psql('app', q{SELECT extname FROM pg_extension WHERE extname LIKE 'usher\_%' ORDER BY 1});
is(scalar @extensions, 5, 'every feature is there');
$now->backup('copy');
my $then = PostgreSQL::Test::Cluster->new('then');
$then->init_from_backup($now, 'copy');
$then->start;
# What nobody need keep: made when it is needed.
my %passing = map { $_ => 1 } qw(care.resource_guards club.referral_guards courier.courier_workers);

sub is_shipped { my ($node, $table) = @_; return $node->safe_psql('app', "SELECT count(*) FROM pg_trigger WHERE tgrelid = '$table'::regclass AND tgname = 'keep_decision'") }
# Of each table of an extension what identifies its rows; and the decisions about them.
sub contents
{
	my ($node, $extension) = @_;
	my @tables = grep { !$passing{$_} } split /\n/, $node->safe_psql('app', qq{
		SELECT c.oid::regclass FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
			JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = '$extension' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1});
	# of a table with shipped rows without what differs from one installation to the next (usher._decidable())
	return { map {
		my $row = is_shipped($node, $_) ? "(to_jsonb(t) - '{id,updated_at}'::text[])::text" : 't::text';
		$_ => $node->safe_psql('app', "SELECT count(*), md5(coalesce(string_agg($row, chr(10) ORDER BY $row COLLATE \"C\"), '')) FROM $_ AS t")
	} @tables };
}
my $decisions = q{SELECT table_name, key, kind, decided - '{id,updated_at}'::text[] FROM usher.decisions ORDER BY 1, 2};
sub rows_of { my ($contents) = @_; my $sum = 0; $sum += (split /\|/)[0] for values %$contents; return $sum }

local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($now->host, $now->port, 'app');
my $take = "$source/deploy/backup/usher-backup";
for my $extension (@extensions)
{
	my $was = contents($then, $extension);
	cmp_ok(rows_of($was), '>', 3, "$extension: there is something to lose");
	# half of all rows is lost, and of those that are shipped some are decided about
	for my $table (sort keys %$was)
	{
		$now->safe_psql('app', is_shipped($now, $table) ? "DELETE FROM $table WHERE event ~ '^order'"
			: "SET session_replication_role = replica; DELETE FROM $table WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM $table LIMIT (SELECT (count(*) + 1) / 2 FROM $table))");
	}
	if ($extension eq 'usher_courier')
	{
		$now->safe_psql('app', q{UPDATE courier.message_templates SET subject = 'As it is' WHERE event = 'booking.confirmed';
			SELECT usher.revert_decision(table_name, key) FROM usher.decisions WHERE key ->> 'event' = 'booking.cancelled'});
	}
	isnt(rows_of(contents($now, $extension)), rows_of($was), "$extension: rows are lost");
	my %others = map { $_ => contents($now, $_) } grep { $_ ne $extension } @extensions;
	my $port = $then->port;
	is(sh("'$take' take $port $extension 2>&1"), 'every rule holds', "$extension: is taken back");
	is_deeply(contents($now, $extension), $was, "$extension: every row of every table is as it was");
	is_deeply({ map { $_ => contents($now, $_) } keys %others }, \%others, "$extension: and nothing else is");
}
is($now->safe_psql('app', $decisions), $then->safe_psql('app', $decisions), 'what was decided about shipped rows is what was decided then');
isnt($then->safe_psql('app', $decisions), '', '… which is something');
is($now->safe_psql('app', q{SELECT string_agg(finding, '; ') FROM usher.check_configuration() WHERE finding ~ 'is not in force|not enabled|by hand'}), '', 'nothing is left to do');
is($now->safe_psql('app', q{SELECT count(*) FROM usher.audit_logs WHERE event_type = 'database.restored'}), 5, 'the audit log has it');
# together, in one transaction; and what does not go
is(sh("'$take' take " . $then->port . ' usher_booking usher_payment 2>&1'), 'every rule holds', 'extensions that belong together');
like(sh("'$take' take " . $then->port . ' usher 2>&1 || echo "status $?"'), qr/not the same extensions.*^status 2$/ms, 'the core is not taken back by itself');
$then->safe_psql('app', 'DROP EXTENSION usher_courier');
like(sh("'$take' take " . $then->port . ' usher_courier 2>&1 || echo "status $?"'), qr/not the same extensions.*^status 2$/ms, 'nor what was not there');
cmp_ok(rows_of(contents($now, 'usher_courier')), '>', 50, '… and nothing of it is lost');

$_->stop for $now, $then;
done_testing();

# Crowds of pgbench clients against a cluster with usher, at one isolation level after another. What a statement answers, or how it is
# refused, is what a crowd returns.
package UsherCrowd;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($node $level one start_cluster crowd finish);
our ($node, $level);
my @checks;

# With usher, and with the functions that find what a crowd has left behind: "shop._shop_self_check()".
sub start_cluster
{
	my ($name, $settings, @of_features) = @_;
	@checks = @of_features;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "fsync = off\n$settings\n");
	$node->start;
	one(<<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE TABLE stage (name text PRIMARY KEY, id uuid, key text);
CREATE TABLE outcome (answer text);
CREATE FUNCTION stage(wanted text) RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT s.id FROM stage AS s WHERE s.name = wanted $$;
-- what a statement answers, or how it is refused; what is to be tried again is for pgbench to try
CREATE FUNCTION answer(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	EXECUTE statement INTO said;
	INSERT INTO outcome VALUES (said);
EXCEPTION
	WHEN serialization_failure OR deadlock_detected THEN
		RAISE;
	WHEN OTHERS THEN
		INSERT INTO outcome VALUES (SQLSTATE);
END $$;
SQL
}

sub one { return $node->safe_psql('postgres', $_[0]) }

# Empties the stage, sets it, lets that many clients run a script once, or as long as pgbench is told, and returns their answers:
# "UC001 22, held 10".
sub crowd
{
	my ($clients, $setup, $script, @how_long) = @_;
	my $file = $node->basedir . '/script.sql';
	one("TRUNCATE stage, outcome; $setup");
	open my $handle, '>', $file or die $!;
	print $handle $script;
	close $handle;
	local $ENV{PGOPTIONS} = "-c default_transaction_isolation=" . ($level =~ s/ /\\ /r) . " -c lock_timeout=60s";
	my ($out, $err);
	my $good = IPC::Run::run([ 'pgbench', '-n', '-c', $clients, '-j', 2, '--max-tries', 1000, @how_long ? @how_long : ('-t', 1), '-f', $file, $node->connstr('postgres') ], '>', \$out, '2>', \$err);
	ok($good && $err !~ /aborted/, "$level: pgbench came to its end") or diag($err);
	my $rules = join ' UNION ALL ', map { "SELECT * FROM $_" } @checks;
	is(one("SELECT string_agg(rule || ' ' || violations, ', ') FROM ($rules) AS c WHERE violations > 0"), '', "$level: … and left nothing wrong behind");
	return one("SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY 1) AS x");
}

# Nothing deadlocked, nobody waited for long, and no process broke.
sub finish
{
	my $log = slurp_file($node->logfile);
	is(scalar(() = $log =~ /deadlock detected/g), 0, 'no deadlock');
	is(scalar(() = $log =~ /canceling statement due to lock timeout/g), 0, 'nobody waited for long');
	unlike($log, qr/PANIC|TRAP|terminated by signal/, 'no process broke');
	$node->stop;
	done_testing();
}

1;

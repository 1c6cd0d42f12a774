# Rate limits under real parallelism, across ROLLBACK and a restart: with the library preloaded and without.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('limits');
$node->init;
$node->append_conf('postgresql.conf', "usher.flush_interval = 200ms\n");

sub one { return $node->safe_psql('postgres', $_[0]) }

# Eight clients hit one key; each writes down what it was told. The odd ones roll back.
sub hits
{
	my ($policy, $clients, $each) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$policy.sql";
	PostgreSQL::Test::Utils::append_to_file($script, <<"SQL");
\\if :rolls_back
BEGIN;
SELECT (usher.hit_rate_limit('$policy', 'everybody')).allowed::integer AS allowed \\gset
ROLLBACK;
\\else
SELECT (usher.hit_rate_limit('$policy', 'everybody')).allowed::integer AS allowed \\gset
\\endif
INSERT INTO told (policy, allowed, rolled_back) VALUES ('$policy', :allowed = 1, :rolls_back = 1);
SQL
	my @runs = map {
		my ($out, $err) = ('', '');
		IPC::Run::start([ 'pgbench', '-n', '-c', $clients / 2, '-j', 1, '-t', $each, '-D', "rolls_back=$_", '-f', $script, $node->connstr('postgres') ],
			'<', \undef, '>', \$out, '2>', \$err)
	} 0, 1;
	$_->finish or die "pgbench failed" for @runs;
}

for my $preload ('usher', '')
{
	my $mode = $preload ? 'preloaded' : 'not preloaded';
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\n");
	$node->append_conf('postgresql.conf', $preload ? "usher.worker_databases = 'postgres'\n" : "usher.worker_databases = ''\n");
	$node->stop if -e $node->data_dir . '/postmaster.pid';
	$node->start;
	one('SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS usher CASCADE;
		 CREATE TABLE IF NOT EXISTS told (policy text, allowed boolean, rolled_back boolean)');

	for my $algorithm (qw(fixed_window sliding_window token_bucket))
	{
		my $policy = ($preload ? 'shared' : 'table') . ".$algorithm";
		one("SELECT usher.define_rate_limit('$policy', '$algorithm', 150, '366 days')");
		hits($policy, 8, 50);
		my $counted = $preload ? 'true' : 'NOT rolled_back'; # what was rolled back is forgotten without preload
		is(one("SELECT count(*) FROM told WHERE policy = '$policy' AND allowed AND $counted"), 150, "$mode: $algorithm: exactly as many hits as allowed");
		is(one("SELECT count(*) FROM told WHERE policy = '$policy'"), 400, "$mode: $algorithm: nobody got an error");
	}

	if ($preload)
	{
		ok($node->poll_query_until('postgres', q{SELECT refused_count = 250 FROM usher.rate_limit_attacks WHERE policy = 'shared.fixed_window'}),
			'the worker writes the counts into the table');
		$node->restart;
		is(one("SELECT (usher.hit_rate_limit('shared.fixed_window', 'everybody')).allowed"), 'f', 'the counts outlive a restart');
		is(one("SELECT usher.reset_rate_limit('shared.fixed_window', 'everybody')"), 't', 'an administrator can reset them');
		is(one("SELECT (usher.hit_rate_limit('shared.fixed_window', 'everybody')).remaining"), 149, 'then they start afresh');
		$node->restart;
		is(one("SELECT (usher.hit_rate_limit('shared.fixed_window', 'everybody')).remaining"), 148, 'after a restart too');

		# A hit in an open transaction holds nobody up.
		my $open = $node->background_psql('postgres');
		$open->query_safe("BEGIN; SELECT usher.hit_rate_limit('shared.fixed_window', 'everybody')");
		is(one("SET statement_timeout = '5s'; SELECT (usher.hit_rate_limit('shared.fixed_window', 'everybody')).remaining"), 146, 'an open transaction does not block others');
		$open->quit;

		# More keys than there is room for: the rest is counted in the table.
		one(q{SELECT usher.define_rate_limit('many', 'fixed_window', 2, '1 hour')});
		is(one(q{SELECT count(*) FROM generate_series(1, 66000) i, LATERAL usher.hit_rate_limit('many', i::text) h WHERE h.remaining = 1}), 66000, '66,000 keys are all counted');
		is(one(q{SELECT bool_and(h.remaining = 0) FROM (VALUES ('1'), ('66000')) k (key), LATERAL usher.hit_rate_limit('many', k.key) h}), 't', 'the first and the last of them alike');
		is(one(q{SELECT usher.drop_rate_limit('many')}), 't', 'room is made again');
	}
	else
	{
		is(one("BEGIN; SELECT (usher.hit_rate_limit('table.fixed_window', 'roller')).remaining; ROLLBACK"), 149, 'not preloaded: a hit');
		is(one("SELECT (usher.hit_rate_limit('table.fixed_window', 'roller')).remaining"), 149, 'not preloaded: is forgotten by a rollback');
		like(one('SELECT finding FROM usher.check_configuration()'), qr/not preloaded/, 'and check_configuration() says so');
	}
}

$node->stop;
done_testing();

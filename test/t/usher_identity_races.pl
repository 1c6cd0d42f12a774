# Lockout and refresh under real parallelism and across ROLLBACK, with the library preloaded and without, and after a restart.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherParallel qw(tally);

my $clients = 50;
my $node = PostgreSQL::Test::Cluster->new('identity_races');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
max_connections = 120
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.flush_interval = 200ms
usher.hash_wait = 60s
CONF

sub parallel { return UsherParallel::parallel($node, @_) }

sub one { return $node->safe_psql('postgres', $_[0]) }

sub register
{
	my ($name) = @_;
	my $id = one("SELECT user_id FROM usher.register_user('$name\@races.example', 'correct horse battery')");
	one("UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id = '$id'");
	return $id;
}

sub evaluated { return one("SELECT count(*) FROM usher.login_attempts WHERE user_id = '$_[0]' AND failure_reason = 'wrong_password'") }

for my $preload ('usher', '')
{
	my $mode = $preload ? 'preloaded' : 'not preloaded';
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\nusher.worker_databases = 'postgres'\n");
	$node->stop if -e $node->data_dir . '/postmaster.pid';
	$node->append_conf('postgresql.conf', "usher.worker_databases = ''\n") unless $preload;
	$node->start;
	one('SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS usher CASCADE');
	my $tag = $preload ? 'p' : 'n';

	# 64 wrong guesses at once.
	my $user = register("wrong$tag");
	my @answers = parallel(64, "SELECT error FROM usher.login('wrong$tag\@races.example', 'wrong :client');");
	is(tally(@answers), 'invalid_credentials: 64', "$mode: 64 wrong guesses at once get the same answer");
	is(evaluated($user), 5, "$mode: five of them are evaluated");
	is(one("SELECT failed_login_attempts FROM usher.credentials WHERE user_id = '$user'"), 5, "$mode: five of them are counted");
	is(one("SELECT count(*) FROM usher.login_attempts WHERE user_id = '$user'"), 64, "$mode: all of them are recorded");
	is(one("SELECT error FROM usher.login('wrong$tag\@races.example', 'correct horse battery')"), 'invalid_credentials', "$mode: the right password is refused then");

	# Right ones at once, and among failures.
	$user = register("right$tag");
	@answers = parallel($clients, "SELECT coalesce(error, 'in') FROM usher.login('right$tag\@races.example', 'correct horse battery');");
	is(tally(@answers), "in: $clients", "$mode: parallel right logins all succeed");
	is(one("SELECT count(*) FROM usher.sessions WHERE user_id = '$user' AND status = 'active'"), $clients, "$mode: each has a session");

	# One refresh token used by all at once.
	one("CREATE TABLE refresh_$tag AS SELECT refresh_token FROM usher.login('right$tag\@races.example', 'correct horse battery')");
	@answers = parallel($clients, "SELECT coalesce(r.error, r.refresh_token) FROM refresh_$tag t, usher.refresh_session(t.refresh_token) r;");
	my %successors = map { $_ => 1 } @answers;
	is(scalar(keys %successors), 1, "$mode: $clients refreshes with one token have one successor");
	like($answers[0], qr/^urt_/, "$mode: and it is a token");
	one("CREATE TABLE strict_$tag AS SELECT session_id, refresh_token FROM usher.login('right$tag\@races.example', 'correct horse battery')");
	@answers = parallel($clients, "SET usher.refresh_reuse = strict; SELECT coalesce(r.error, 'refreshed') FROM strict_$tag t, usher.refresh_session(t.refresh_token) r;");
	is(tally(@answers), 'refresh_token_reused: 1, refreshed: 1, session_revoked: ' . ($clients - 2), "$mode: strict: one wins, the first reuse ends the session");

	# A one-time token used by all at once.
	one("CREATE TABLE reset_$tag AS SELECT usher.create_password_reset('$user') AS token");
	@answers = parallel(8, "SELECT coalesce(r.error, 'reset') FROM reset_$tag t, usher.reset_password(t.token, 'new password of :client') r;");
	is(tally(@answers), 'invalid_token: 7, reset: 1', "$mode: a reset token works once");

	# Registration of one address by all at once.
	@answers = parallel(8, "SELECT coalesce(error, 'registered') FROM usher.register_user('same$tag\@races.example', 'correct horse battery');");
	is(tally(@answers), 'email_unverified: 7, registered: 1', "$mode: an address is registered once");

	next unless $preload;

	# Rolled back guesses.
	$user = register('rollback');
	one("BEGIN; SELECT count(l.error) FROM generate_series(1, 1000) g, LATERAL usher.login('rollback\@races.example', 'wrong ' || g) l; ROLLBACK");
	is(one("SELECT error FROM usher.login('rollback\@races.example', 'correct horse battery')"), 'invalid_credentials', '1000 wrong guesses that are rolled back lock the account');
	ok($node->poll_query_until('postgres', "SELECT failed_login_attempts = 5 AND locked_until > now() FROM usher.credentials WHERE user_id = '$user'"),
		'the worker writes the lock into the table');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1001 FROM usher.login_attempts WHERE user_id = '$user'"), 'and every attempt');
	$node->restart;
	is(one("SELECT error FROM usher.login('rollback\@races.example', 'correct horse battery')"), 'invalid_credentials', 'the lock outlives a restart');
	one("SELECT usher.unlock_user('$user')");
	is(one("SELECT coalesce(error, 'in') FROM usher.login('rollback\@races.example', 'correct horse battery')"), 'in', 'unlock_user() ends it');

	# One by one, each in its own rolled back transaction or savepoint.
	$user = register('single');
	one("BEGIN; SELECT error FROM usher.login('single\@races.example', 'wrong'); ROLLBACK") for 1 .. 3;
	one("BEGIN; SAVEPOINT s; SELECT error FROM usher.login('single\@races.example', 'wrong'); ROLLBACK TO s; COMMIT");
	one("SELECT error FROM usher.login('single\@races.example', 'wrong')");
	is(one("SELECT error FROM usher.login('single\@races.example', 'correct horse battery')"), 'invalid_credentials', 'rolled back and committed failures add up');
	one("SELECT usher.unlock_user('$user')");
	one("BEGIN; SELECT error FROM usher.login('single\@races.example', 'wrong'); ROLLBACK") for 1 .. 4;
	is(one("SELECT coalesce(error, 'in') FROM usher.login('single\@races.example', 'correct horse battery')"), 'in', 'four are not five');

	# A client that is killed while it guesses leaves nothing behind.
	$user = register('killed');
	for (1 .. 6)
	{
		my ($out, $err) = ('', '');
		one("UPDATE usher.credentials SET password_hash = '\$argon2id\$v=19\$m=65536,t=8,p=1\$c2FsdHNhbHRzYWx0\$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE user_id = '$user'") if $_ == 1;
		my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT error FROM usher.login('killed\@races.example', 'wrong')" ], '<', \undef, '>', \$out, '2>', \$err);
		$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT error FROM usher.login(''killed%' AND state = 'active'");
		one("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT error FROM usher.login(''killed%'");
		$psql->finish;
	}
	one("SELECT usher.import_password_hash('$user', usher.hash_password('correct horse battery'))");
	is(one("SELECT coalesce(error, 'in') FROM usher.login('killed\@races.example', 'correct horse battery')"), 'in', 'killed clients hold no permit');
}

$node->stop;
done_testing();

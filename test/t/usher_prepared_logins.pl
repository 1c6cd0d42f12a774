# Failed logins in transactions that are prepared count exactly once: while it is not known what becomes of them, and after COMMIT
# PREPARED, ROLLBACK PREPARED, and a PREPARE TRANSACTION that fails. A restart in between may forget them, but counts none twice.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('prepared');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres'
max_prepared_transactions = 10
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.flush_interval = 100ms
usher.require_verified_email = off
CONF
$node->start;
sub one { return $node->safe_psql('postgres', $_[0]) }
sub eventually { my ($sql, $what) = @_; ok($node->poll_query_until('postgres', $sql), $what) }
one('SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');

sub register { return one("SELECT user_id FROM usher.register_user('$_[0]\@prepared.example', 'correct horse battery')") }
sub login { my ($name, $password) = @_; return "SELECT error FROM usher.login('$name\@prepared.example', '$password')" }
sub wrong { my ($name, $times) = @_; return join('; ', map { login($name, "wrong $_") } 1 .. $times // 1) }
sub right { return one("SELECT coalesce(error, 'in') FROM usher.login('$_[0]\@prepared.example', 'correct horse battery')") }
sub counted { return one("SELECT failed_login_attempts FROM usher.credentials WHERE user_id = '$_[0]'") }
sub recorded { return "(SELECT count(*) FROM usher.login_attempts WHERE user_id = '$_[0]')" }
sub failures { return "(SELECT failed_login_attempts FROM usher.credentials WHERE user_id = '$_[0]')" }
# Every job of the worker has run twice from now on, so whatever it would write is written.
sub let_it_flush
{
	one('SELECT pg_sleep(0.05)');
	for (1 .. 2)
	{
		my $now = one('SELECT clock_timestamp()');
		$node->poll_query_until('postgres', "SELECT last_flush_at > '$now' FROM usher.health()") or die 'the worker does not flush';
	}
}

# committed
my $user = register('committed');
one('BEGIN; ' . wrong('committed') . q{; PREPARE TRANSACTION 'one'});
let_it_flush();
is(one('SELECT ' . failures($user) . ', ' . recorded($user)), '0|0', 'nothing is written while the transaction is prepared');
is(one('SELECT status, worker_problem FROM usher.health()'), 'ok|', 'and nobody waits for it');
one(q{COMMIT PREPARED 'one'});
let_it_flush();
is(one('SELECT ' . failures($user) . ', ' . recorded($user)), '1|1', 'COMMIT PREPARED: the failure counts once, and is recorded once');
one(wrong('committed', 3));
is(right('committed'), 'in', 'four failures are not five');

# rolled back
$user = register('rolled');
one('BEGIN; ' . wrong('rolled') . q{; PREPARE TRANSACTION 'one'});
one(q{ROLLBACK PREPARED 'one'});
eventually('SELECT ' . failures($user) . ' = 1 AND ' . recorded($user) . ' = 1', 'ROLLBACK PREPARED: the failure is counted and recorded nevertheless');
let_it_flush();
is(one('SELECT ' . failures($user) . ', ' . recorded($user)), '1|1', 'once');
one(wrong('rolled', 3));
is(right('rolled'), 'in', 'four failures are not five');

# for lockout they count at once, and after the end whatever it was
for my $end ('COMMIT', 'ROLLBACK')
{
	my $name = lc $end;
	$user = register($name);
	one('BEGIN; ' . wrong($name, 5) . q{; PREPARE TRANSACTION 'five'});
	is(right($name), 'invalid_credentials', "five failures in a prepared transaction lock the account ($end)");
	is(right($name), 'invalid_credentials', 'for everybody');
	one("$end PREPARED 'five'");
	is(right($name), 'invalid_credentials', "$end PREPARED: still locked at once");
	eventually('SELECT ' . failures($user) . " = 5 AND locked_until > now() FROM usher.credentials WHERE user_id = '$user'", 'and then in the table');
	let_it_flush();
	is(counted($user), 5, 'with five failures');
	one("SELECT usher.unlock_user('$user')");
	is(right($name), 'in', 'unlocked, nothing of it is left');
}
# unlocked while it is prepared: the failures that come later count
$user = register('few');
one('BEGIN; ' . wrong('few', 4) . q{; PREPARE TRANSACTION 'four'});
is(right('few'), 'in', 'four failures in a prepared transaction lock nobody out');
one(q{ROLLBACK PREPARED 'four'});
eventually('SELECT ' . failures($user) . ' = 4', 'and are four afterwards');

# several accounts, a savepoint, two transactions of one account
my @users = map { register("several$_") } 1 .. 5;
one('BEGIN; ' . join('; ', map { wrong("several$_", $_ > 3 ? 2 : 1) } 1 .. 5) . q{; PREPARE TRANSACTION 'several'});
one(q{ROLLBACK PREPARED 'several'});
eventually('SELECT array[' . join(', ', map { failures($_) } @users) . '] = array[1, 1, 1, 2, 2]', 'each account of a transaction gets its own');
$user = register('savepoint');
one('BEGIN; SAVEPOINT s; ' . wrong('savepoint') . '; ROLLBACK TO s; ' . wrong('savepoint') . q{; PREPARE TRANSACTION 'one'});
one(q{COMMIT PREPARED 'one'});
eventually('SELECT ' . failures($user) . ' = 2 AND ' . recorded($user) . ' = 2', 'one before a ROLLBACK TO and one after it are two');

# PREPARE TRANSACTION that fails, and a prepared transaction without failures
$user = register('failing');
one(q{BEGIN; CREATE TABLE kept (); PREPARE TRANSACTION 'taken'});
my ($ret, $out, $err) = $node->psql('postgres', 'BEGIN; ' . wrong('failing') . q{; PREPARE TRANSACTION 'taken'});
like($err, qr/"taken" is already in use/, 'PREPARE TRANSACTION fails');
($ret, $out, $err) = $node->psql('postgres', 'BEGIN; CREATE TEMPORARY TABLE mine (); ' . wrong('failing') . q{; PREPARE TRANSACTION 'other'});
like($err, qr/temporary objects/, 'and for another reason');
one(q{ROLLBACK PREPARED 'taken'});
eventually('SELECT ' . failures($user) . ' = 2 AND ' . recorded($user) . ' = 2', 'then the failures were rolled back');
let_it_flush();
is(one('SELECT ' . failures($user) . ', ' . recorded($user)), '2|2', 'and count once');

# networks: each failure has another name
sub network_failures { return one("SELECT coalesce(sum(failed_login_attempts), 0) FROM usher.network_failures WHERE network <<= '$_[0]'") }
for my $case ([ 'COMMIT', '192.0.2' ], [ 'ROLLBACK', '198.51.100' ])
{
	my ($end, $network) = @$case;
	my $guesses = join '; ', map { login("nobody$_", 'wrong') } 1 .. 4;
	one("BEGIN; SELECT usher.set_request_context(client_ip => '$network.7'); $guesses; PREPARE TRANSACTION 'network'");
	one("$end PREPARED 'network'");
	$node->poll_query_until('postgres', "SELECT sum(failed_login_attempts) = 4 FROM usher.network_failures WHERE network <<= '$network.0/24'");
	let_it_flush();
	is(network_failures("$network.0/24"), 4, "$end PREPARED: four failures of a network are four");
}

# the rows that prepared transactions of the worker's own kind leave: counts of rate limits are written again, and are the same
one(q{SELECT usher.define_rate_limit('calls', 'fixed_window', 5, '1 hour'); BEGIN; SELECT count(usher.hit_rate_limit('calls', 'x')) FROM generate_series(1, 3); PREPARE TRANSACTION 'hits'});
eventually(q{SELECT request_count = 3 FROM usher.rate_limit_records WHERE policy = 'calls'}, 'hits of a prepared transaction are counted and written');
one(q{ROLLBACK PREPARED 'hits'});
let_it_flush();
is(one(q{SELECT request_count FROM usher.rate_limit_records WHERE policy = 'calls'}), 3, 'and stay, whatever becomes of it');

# a restart in between
my @ends = ([ 'COMMIT', register('restarted_commit') ], [ 'ROLLBACK', register('restarted_rollback') ]);
one('BEGIN; ' . wrong('restarted_' . lc $_->[0]) . "; PREPARE TRANSACTION '$_->[0]'") for @ends;
$node->restart;
one("$_->[0] PREPARED '$_->[0]'") for @ends;
let_it_flush();
is(counted($ends[0][1]), 1, 'after a restart COMMIT PREPARED counts once');
cmp_ok(counted($ends[1][1]), '<=', 1, 'and ROLLBACK PREPARED at most once');
is(one('SELECT count(*) FROM pg_prepared_xacts'), 0, 'nothing is left prepared');
is(one(q{SELECT status FROM usher.health()}), 'ok', 'and all is well');
$node->stop;
done_testing();

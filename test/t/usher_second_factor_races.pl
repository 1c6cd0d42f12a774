# Second factors, codes and turns to hash under real parallelism and across ROLLBACK, with the library preloaded and without.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherParallel;

my $clients = 32;
my $node = PostgreSQL::Test::Cluster->new('second_factor_races');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
max_connections = 120
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.flush_interval = 200ms
usher.hash_wait = 60s
usher.totp_window = 10
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

# A user with a confirmed authenticator: id, secret, recovery codes.
sub register
{
	my ($name) = @_;
	my $id = one("SELECT user_id FROM usher.register_user('$name\@mfa.example', 'correct horse battery')");
	one("UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE id = '$id'");
	my $token = one("SELECT access_token FROM usher.login('$name\@mfa.example', 'correct horse battery')");
	my ($factor, $secret) = split /\|/, one("SELECT factor_id, secret FROM usher.authenticate('$token') a, usher.enroll_totp('correct horse battery')");
	my $code = totp($secret, -9);
	my @codes = split /,/, one("SELECT array_to_string(recovery_codes, ',') FROM usher.authenticate('$token') a, usher.confirm_totp('$factor', '$code')");
	return ($id, $secret, @codes);
}

sub challenge { return one("SELECT challenge FROM usher.login('$_[0]\@mfa.example', 'correct horse battery')") }
sub sessions { return one("SELECT count(*) FROM usher.sessions WHERE user_id = '$_[0]' AND assurance_level = 2 AND authentication_methods \@> '{mfa}'") }

for my $preload ('usher', '')
{
	my $mode = $preload ? 'preloaded' : 'not preloaded';
	my $tag = $preload ? 'p' : 'n';
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'\nusher.worker_databases = '" . ($preload ? 'postgres' : '') . "'\n");
	$node->stop if -e $node->data_dir . '/postmaster.pid';
	$node->start;
	one('SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS usher CASCADE');

	# One code, used by all at once for one challenge.
	my ($user, $secret, @recovery) = register("same$tag");
	is(scalar(@recovery), 10, "$mode: ten recovery codes");
	my $before = sessions($user);
	my $challenge = challenge("same$tag");
	my $code = totp($secret, -5);
	my @answers = parallel($node, $clients, "SELECT coalesce(error, 'in') FROM usher.login_second_factor('$challenge', '$code');");
	# Whoever comes after the winner's commit finds the challenge used.
	is(tally(map { s/^invalid_(code|token)$/refused/r } @answers), 'in: 1, refused: ' . ($clients - 1), "$mode: of $clients uses of one code for one challenge one wins");
	is(sessions($user) - $before, 1, "$mode: and has a session");

	# The same with a challenge for each.
	one("CREATE TABLE challenges_$tag AS SELECT g AS n, challenge FROM generate_series(1, $clients) g, LATERAL usher.login('same$tag\@mfa.example', 'correct horse' || left(g::text, 0) || ' battery')");
	$code = totp($secret, -3);
	@answers = parallel($node, $clients, "SELECT coalesce(error, 'in') FROM challenges_$tag c, usher.login_second_factor(c.challenge, '$code') WHERE c.n = :client;");
	is(tally(@answers), 'in: 1, invalid_code: ' . ($clients - 1), "$mode: of $clients uses of one code for as many challenges one wins");
	@answers = parallel($node, $clients, "SELECT coalesce(error, 'in') FROM challenges_$tag c, usher.login_second_factor(c.challenge, '$recovery[0]') WHERE c.n = :client AND c.n > 1;");
	is((grep { $_ eq 'in' } @answers), 1, "$mode: a recovery code works once");
	is(one("SELECT coalesce(error, 'in') FROM usher.login_second_factor('" . challenge("same$tag") . "', '$recovery[1]')"), 'in',
		"$mode: right codes that came too late have not locked the account");

	# Wrong codes by all at once are guesses like any other.
	($user, $secret, @recovery) = register("wrong$tag");
	$challenge = challenge("wrong$tag");
	@answers = parallel($node, $clients, "SELECT error FROM usher.login_second_factor('$challenge', 'aaaa-aaaa-aaaa-aaaa');");
	is(tally(@answers), "invalid_code: $clients", "$mode: $clients wrong codes at once get the same answer");
	is(one("SELECT count(*) FROM usher.login_attempts WHERE user_id = '$user' AND failure_reason = 'wrong_code'"), 5, "$mode: five of them are evaluated");
	is(one("SELECT failed_login_attempts FROM usher.credentials WHERE user_id = '$user'"), 5, "$mode: and counted");
	$code = totp($secret, 1);
	is(one("SELECT error FROM usher.login_second_factor('$challenge', '$code')"), 'invalid_code', "$mode: a right one is refused then");
	one("SELECT usher.unlock_user('$user')");

	# Codes by mail.
	one("SELECT usher.request_login_code('wrong$tag\@mfa.example')");
	my $mailed = one("SELECT payload ->> 'code' FROM usher.events WHERE key = '$user' AND event = 'user.login_code_requested'");
	(my $other = $mailed) =~ tr/0-9/1-90/;
	@answers = parallel($node, $clients, "SELECT error FROM usher.login_with_code('wrong$tag\@mfa.example', '$other');");
	is(tally(@answers), "invalid_code: $clients", "$mode: $clients wrong codes by mail at once");
	is(one("SELECT wrong_tries || ' ' || (ended_at IS NOT NULL) FROM usher.one_time_codes WHERE user_id = '$user'"), '5 true', "$mode: the code is dead after five");
	is(one("SELECT error FROM usher.login_with_code('wrong$tag\@mfa.example', '$mailed')"), 'invalid_code', "$mode: the right one is refused then");
	one("SELECT usher.request_login_code('wrong$tag\@mfa.example')");
	$mailed = one("SELECT payload ->> 'code' FROM usher.events WHERE key = '$user' AND event = 'user.login_code_requested' AND payload ? 'code'");
	@answers = parallel($node, 8, "SELECT error FROM usher.login_with_code('wrong$tag\@mfa.example', '$mailed');");
	is(tally(@answers), 'invalid_code: 7, second_factor_required: 1', "$mode: a right one is accepted once");

	next unless $preload;

	# What is rolled back counts: wrong codes, codes by mail, and failures of a network.
	($user, $secret) = register('rollback');
	$challenge = challenge('rollback');
	one("BEGIN; SELECT error FROM usher.login_second_factor('$challenge', 'aaaa-aaaa-aaaa-aaaa'); ROLLBACK") for 1 .. 5;
	$code = totp($secret, 1);
	is(one("SELECT error FROM usher.login_second_factor('$challenge', '$code')"), 'invalid_code', 'five wrong codes that are rolled back lock the account');
	ok($node->poll_query_until('postgres', "SELECT failed_login_attempts = 5 AND locked_until > now() FROM usher.credentials WHERE user_id = '$user'"),
		'the worker writes the lock into the table');
	one("SELECT usher.request_login_code('rollback\@mfa.example')");
	$mailed = one("SELECT payload ->> 'code' FROM usher.events WHERE key = '$user' AND event = 'user.login_code_requested'");
	($other = $mailed) =~ tr/0-9/1-90/;
	one("BEGIN; SELECT error FROM usher.login_with_code('rollback\@mfa.example', '$other'); ROLLBACK") for 1 .. 5;
	ok($node->poll_query_until('postgres', "SELECT wrong_tries = 5 FROM usher.one_time_codes WHERE user_id = '$user'"), 'so do wrong codes by mail');
	is(one("SELECT error FROM usher.login_with_code('rollback\@mfa.example', '$mailed')"), 'invalid_code', 'and the right one is refused');

	one("BEGIN; SELECT usher.set_request_context('203.0.113.77'); SELECT count(l.error) FROM generate_series(1, 3) g, LATERAL usher.login('stranger' || g || '\@mfa.example', 'wrong') l; ROLLBACK");
	one("BEGIN; SELECT usher.set_request_context('203.0.113.77'); SELECT error FROM usher.login('other$_\@mfa.example', 'wrong'); ROLLBACK") for 1 .. 2;
	is(one("BEGIN; SELECT set_config('client_min_messages', 'error', true); SELECT usher.set_request_context('203.0.113.77'); SELECT error FROM usher.login('same$tag\@mfa.example', 'correct horse battery'); COMMIT"),
		"error\n\ninvalid_credentials", 'failures of a network that are rolled back lock it');
	ok($node->poll_query_until('postgres', "SELECT failed_login_attempts = 5 AND locked_until > now() FROM usher.network_failures WHERE network = '203.0.113.77'"),
		'the worker writes them into the table');
	is(one("SELECT error FROM usher.login('same$tag\@mfa.example', 'correct horse battery')"), 'second_factor_required', 'other networks are not locked');
	one("BEGIN; SELECT usher.set_request_context('203.0.113.78'); SELECT error FROM usher.login('one-name\@mfa.example', 'wrong'); ROLLBACK") for 1 .. 8;
	is(one("SELECT count(*) FROM usher.network_failures WHERE network = '203.0.113.78' AND locked_until > now()"), 0, 'one name again and again does not lock a network');

	# Turns to hash: SQL functions wait for one like logins, not for ever, and can be cancelled.
	my $slow = $node->background_psql('postgres');
	$slow->query_safe("SET usher.max_hash_time = '10min'; SET usher.argon2_memory = '256MB'; SET usher.argon2_iterations = 20; SET usher.max_concurrent_hashes = 2");
	my $hash = one("SET usher.argon2_memory = '256MB'; SET usher.argon2_iterations = 20; SELECT usher.hash_password('slow')");
	$slow->query_until(qr/started/, "\\echo started\nSELECT count(usher.verify_password('wrong ' || g, '$hash')) FROM generate_series(1, 100) g;\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count(usher.verify%' AND state = 'active'");
	my ($ret, $out, $err) = $node->psql('postgres', "SET usher.max_concurrent_hashes = 1; SET usher.hash_wait = '100ms'; SET statement_timeout = '60s'; SELECT usher.hash_password('quick')", on_error_stop => 1);
	# a turn may come between two hashes of the other session, which gives its own back each time
	like($err . $out, qr/too many passwords are being hashed|argon2id/, 'hash_password() waits for a turn, at most usher.hash_wait');
	my $tries = 0;
	until ($err =~ /too many passwords/ || ++$tries > 30)
	{
		($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET usher.max_concurrent_hashes = 1; SET usher.hash_wait = '20ms'; SET usher.max_hash_time = '10min'; SELECT usher.verify_password('x', '$hash')", on_error_stop => 1);
	}
	like($err, qr/53400|too many passwords/, 'and so does verify_password()');
	# Everything else has at most half of the turns: of two, one is left to logins.
	($err, $tries) = ('', 0);
	until ($err =~ /too many passwords/ || ++$tries > 30)
	{
		($ret, $out, $err) = $node->psql('postgres', "SET usher.max_concurrent_hashes = 2; SET usher.hash_wait = 0; SELECT usher.hash_password('quick')", on_error_stop => 1);
	}
	like($err, qr/too many passwords/, 'the second of two turns is not for hash_password()');
	is(one("SET usher.max_concurrent_hashes = 2; SET usher.hash_wait = 0; SELECT error FROM usher.login('same$tag\@mfa.example', 'correct horse battery')"), 'second_factor_required',
		'but for login()');
	my $answer = '';
	$tries = 0;
	until ($answer eq 'busy|1' || ++$tries > 30)
	{
		$answer = one("SET usher.max_concurrent_hashes = 1; SET usher.hash_wait = '20ms'; SELECT error, retry_after FROM usher.login('same$tag\@mfa.example', 'correct horse battery')");
	}
	is($answer, 'busy|1', 'login() answers busy, with retry_after');
	is(one("SELECT count(*) > 0 AND bool_and(NOT success) FROM usher.login_attempts WHERE failure_reason = 'busy'"), 't', 'which is recorded, and counts for nothing');
	my ($waiting_out, $waiting_err) = ('', '');
	my $waiting = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET usher.max_concurrent_hashes = 1", '-c', "SET usher.max_hash_time = '10min'",
		'-c', "SELECT count(usher.verify_password('wrong ' || g, '$hash')) FROM generate_series(1, 1000) g" ], '<', \undef, '>', \$waiting_out, '2>', \$waiting_err);
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1000)%' AND wait_event = 'Extension' AND pid <> pg_backend_pid()"),
		'one waits');
	one("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1000)%' AND pid <> pg_backend_pid()");
	$waiting->finish;
	like($waiting_err, qr/canceling statement due to user request/, 'and can be cancelled');
	one("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT count(usher.verify%' AND pid <> pg_backend_pid()");
	eval { $slow->quit };
	is(one("SELECT usher.verify_password('quick', usher.hash_password('quick'))"), 't', 'all turns are free again');
}

$node->stop;
done_testing();

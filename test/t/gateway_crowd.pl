# Costly routes, logins above all, get a part of the connections only: however many ask for them, a cheap read never waits
# for a connection behind one.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('crowd', settings => "fsync = off\nshared_preload_libraries = 'usher'\n");
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE FUNCTION app.wait() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN 1; END $$;
CREATE FUNCTION app.cheap() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO gateway_test;
SELECT usher.add_route('POST', '/wait', 'app.wait()', access => 'public', options => '{"costly": true}');
SELECT usher.add_route('GET', '/cheap', 'app.cheap()', access => 'public', read_only => true);
-- the shipped limits are for one address, and here all come from one
SELECT usher.define_rate_limit('auth.login', 'token_bucket', 1000000, '1 minute');
SQL

# --- which routes are costly: those that hash
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT path_template, ' ') FROM usher.list_routes() WHERE is_costly AND path_template ~ '^/auth/(login|register|password/(reset|change))$'}),
	'/auth/login /auth/password/change /auth/password/reset /auth/register', 'logins, registrations and new passwords are costly');
is($node->safe_psql('postgres', q{SELECT count(*) FROM usher.routes r WHERE NOT r.is_costly AND EXISTS (
	SELECT FROM pg_proc p WHERE p.proname = r.function_name AND p.pronamespace::regnamespace::text = r.function_schema
		AND p.proargnames::text[] && '{password,new_password,current_password}')}), '0', '… and no route takes a password without being costly');

# --- a crowd that waits
my $block = $node->background_psql('postgres');
$block->query_safe('SELECT pg_advisory_lock(42)');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', pool_size => 4, pool_wait_ms => 120000, statement_timeout_ms => 300000);
sub metric { my ($name) = @_; return (http($gateway, 'GET', "$gateway->{admin}/metrics")->{content} =~ /^usher_gateway_$name (\d+)/m)[0] }
my $ask = "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
my @crowd = map { my $s = connect_to($gateway); syswrite($s, $ask); $s } 1 .. 32;
wait_for(sub { metric('requests_in_flight') == 32 && metric('pool_costly_in_use') == 1 }, '32 requests of a costly route are there, and one of them has a connection');
is((grep { http($gateway, 'GET', '/cheap')->{status} == 200 } 1 .. 50), 50, 'cheap reads are answered meanwhile');
is_deeply([ metric('requests_in_flight'), metric('pool_costly_in_use'), metric('pool_timeouts_total') ], [ 32, 1, 0 ], '… before any of them, and without a timeout');
$block->query_safe('SELECT pg_advisory_unlock(42)');
is((grep { (parse_answers(scalar raw($gateway, '', socket => $_)))[0]{status} == 200 } @crowd), 32, 'then each has its turn');
stop_gateway($gateway);

$block->query_safe('SELECT pg_advisory_lock(42)');
$gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', pool_size => 4, costly_connections => 2, pool_wait_ms => 300, statement_timeout_ms => 300000);
@crowd = map { my $s = connect_to($gateway); syswrite($s, $ask); $s } 1 .. 6;
wait_for(sub { metric('pool_timeouts_total') == 4 }, 'costly_connections of them have one; who waits for too long gives up');
my @answers = map { my ($got) = parse_answers(scalar raw($gateway, '', socket => $_, wait => 1)); $got ? $got : () } @crowd;
is(scalar(@answers), 4, '… four');
problem_is($answers[0], 503, 'overloaded', '… and hears');
is($answers[0]{headers}{'retry-after'}[0], '1', '… when to come back');
is(http($gateway, 'GET', '/cheap')->{status}, 200, '… while cheap reads go on');
$block->query_safe('SELECT pg_advisory_unlock(42)');
$block->quit;
stop_gateway($gateway);

# --- 64 logins at a time
SKIP:
{
	skip 'node is not installed', 1 unless grep { -x "$_/node" } split /:/, $ENV{PATH};
	$node->safe_psql('postgres', q{ALTER SYSTEM SET usher.network_lockout_threshold = 10000; SELECT pg_reload_conf()});
	$gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', log_requests => 'false', max_requests_per_connection => 1000000);
	my $seconds = $ENV{USHER_LONG} ? 20 : 3;
	my $measure = sub {
		my ($logins) = @_;
		my ($out, $errors) = ('', '');
		IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/crowd.js", $gateway->{url}, '/cheap', 8, $logins, $seconds ], '<', \undef, '>', \$out, '2>', \$errors);
		is($errors, '', "the load with $logins logins ran");
		return decode_json($out);
	};
	http($gateway, 'GET', '/cheap') for 1 .. 100;
	my ($alone, $crowded) = ($measure->(0), $measure->(64));
	note(sprintf 'cheap reads a second: %d alone, %d beside 64 clients that log in (%.2f); logins %s; slowest read %d ms', $alone->{reads}{200} / $seconds,
		$crowded->{reads}{200} / $seconds, $crowded->{reads}{200} / $alone->{reads}{200}, encode_json($crowded->{logins}), $crowded->{slowest_ms});
	is_deeply([ keys %{ $crowded->{reads} } ], [200], 'no read is refused');
	cmp_ok($crowded->{logins}{401} // 0, '>', 0, 'logins are answered');
	my %other = %{ $crowded->{logins} };
	delete @other{ 401, 503 };
	is_deeply(\%other, {}, '… with a refusal, or the word to come back');
	is(stop_gateway($gateway), 0, 'stopped');
}
done_testing();

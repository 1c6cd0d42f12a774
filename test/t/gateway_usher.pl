# The gateway and the real usher.http_request together: the path of a request from the socket to the tables.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use Test::More;
use UsherGateway;

my $node = PostgreSQL::Test::Cluster->new('usher');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION usher CASCADE;
CREATE ROLE gateway_test LOGIN;
SELECT usher.grant_access('gateway_test', 'gateway');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE TABLE app.notes (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, text text);
CREATE FUNCTION app.add_note(id int, text text, OUT note_id int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO app.notes VALUES (id, text);
    IF text = 'fail' THEN RAISE EXCEPTION 'the secret of %', text USING ERRCODE = 'XX000'; END IF;
    IF text = 'refuse' THEN RAISE EXCEPTION 'not %', text; END IF;
    note_id := id;
END $$;
SELECT usher.define_rate_limit('test.notes', 'fixed_window', 1000, '1 hour');
SELECT usher.add_route('POST', '/notes', 'app.add_note(int,text)', access => 'public', success_status => 201, rate_limit => 'test.notes');
CREATE FUNCTION app.nap(OUT slept boolean) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN PERFORM pg_sleep(20); slept := true; END $$;
GRANT EXECUTE ON FUNCTION app.nap() TO gateway_test;
SELECT usher.add_route('GET', '/nap', 'app.nap()', access => 'public', options => '{"timeout_ms": 200}');
SQL
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test');
sub post { my ($path, $body, %headers) = @_; return http($gateway, 'POST', $path, { headers => { 'Content-Type' => 'application/json', %headers }, content => encode_json($body) }) }
sub sql { return $node->safe_psql('postgres', $_[0]) }

is(http($gateway, 'GET', "$gateway->{admin}/readyz")->{status}, 200, 'ready');
my $answer = http($gateway, 'GET', '/openapi.json');
is_deeply([ $answer->{status}, json_of($answer)->{openapi} =~ /^3\.1/ ? 1 : 0 ], [ 200, 1 ], 'the OpenAPI document');
problem_is(http($gateway, 'GET', '/no/such/route'), 404, 'not_found', 'no route: the database answers in the form of the gateway');
$answer = http($gateway, 'PUT', '/auth/login', { headers => { 'Content-Type' => 'application/json' }, content => '{}' });
problem_is($answer, 405, 'method_not_allowed', 'another method');
like($answer->{headers}{allow}, qr/POST/, '… Allow');
my ($head) = parse_answers(scalar raw($gateway, "HEAD /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 1);
is($head->{status}, 200, 'HEAD like GET');

# --- an account
my $email = 'gateway@example.com';
my $password = 'tiger umbrella 47 rivers';
$answer = post('/auth/register', { email => $email, password => $password }, 'X-Correlation-Id' => 'reg-1', 'User-Agent' => 'test/1');
is($answer->{status}, 202, 'register') or diag($answer->{content});
is($answer->{headers}{'x-correlation-id'}, 'reg-1', '… correlation id');
my $token = sql("SELECT payload ->> 'token' FROM usher.events WHERE event = 'user.email_verification_requested'");
is(post('/auth/verify-email', { token => $token, password => $password })->{status}, 200, 'verify the address');
my $failed = sub { return sql("SELECT (SELECT count(*) FROM usher.login_attempts WHERE NOT success) || ' ' || (SELECT failed_login_attempts FROM usher.credentials c JOIN usher.users u ON u.id = c.user_id WHERE u.email = '$email')") };
is($failed->(), '0 0', 'no failed login so far');
$answer = post('/auth/login', { identifier => $email, password => 'wrong password' });
is($answer->{status}, 401, 'a wrong password');
is($failed->(), '1 1', '… it counts, although it was refused');
is(json_of($answer)->{code}, 'invalid_credentials', '… its code');
cmp_ok(sql("SELECT count(*) FROM usher.audit_logs WHERE correlation_id = '$answer->{headers}{'x-correlation-id'}' AND client_ip = '127.0.0.1'"), '>=', 1,
    '… and it is on record, with address and correlation id, although the answer was a refusal');
$answer = post('/auth/login', { identifier => $email, password => $password });
is($answer->{status}, 200, 'log in') or diag($answer->{content});
is($answer->{headers}{'cache-control'}, 'no-store', '… not to be stored');
my $bearer = { headers => { Authorization => 'Bearer ' . (json_of($answer)->{access_token} // '') } };
is(http($gateway, 'GET', '/auth/me', $bearer)->{status}, 200, 'who am I');
$answer = http($gateway, 'GET', '/auth/me');
is($answer->{status}, 401, 'without a token');
unlike($answer->{headers}{'www-authenticate'}, qr/error=/, '… a challenge without an error');
$answer = http($gateway, 'GET', '/auth/me', { headers => { Authorization => 'Bearer abc.def.ghi' } });
is($answer->{status}, 401, 'with a wrong token');
like($answer->{headers}{'www-authenticate'}, qr/error="invalid_token"/, '… invalid_token');
is(http($gateway, 'POST', '/auth/logout', $bearer)->{status} < 300, 1, 'log out');
is(http($gateway, 'GET', '/auth/me', $bearer)->{status}, 401, '… and the token is of no use any more');

# --- an application's own function
is(post('/notes', { id => 1, text => 'x' })->{status}, 201, 'a route of the application');
problem_is(post('/notes', { id => 1, text => 'y' }), 409, 'conflict', 'a deferred constraint fails at commit: 409, never 201');
$answer = post('/notes', { id => 3, text => 'z' });
my ($left) = $answer->{headers}{ratelimit} =~ /r=(\d+)/;
$answer = post('/notes', { id => 2, text => 'fail' });
is($answer->{status}, 500, 'a function that raises');
unlike($answer->{content}, qr/secret/, '… keeps its message to itself');
is(json_of(post('/notes', { id => 2, text => 'refuse' }))->{detail}, 'not refuse', 'a RAISE without an SQLSTATE of its own is for the caller');
$left--;
is(sql('SELECT string_agg(id::text, \',\' ORDER BY id) FROM app.notes'), '1,3', '… and its row was rolled back');
like($answer->{headers}{ratelimit}, qr/r=$left;/, '… and nothing else: the request counts against the limit');
like(post('/notes', { id => 4, text => 'z' })->{headers}{ratelimit}, qr/r=@{[ $left - 2 ]};/, '… as the next one sees');
my $started = time;
problem_is(http($gateway, 'GET', '/nap'), 504, 'timeout', 'a route with a time limit of its own');
cmp_ok(time - $started, '<', 8, '… is stopped by it, not by the gateway\'s');
is(post('/notes', [])->{status} =~ /^4/ ? 1 : 0, 1, 'a body that is no object');
is(post('/notes', { id => 'x', text => 1 })->{status}, 422, 'arguments of the wrong kind');
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

# Between gateway and database: errors, commits, retries, time limits, a full pool, hang-ups, restarts, poolers.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use UsherGateway;

my $node = start_cluster('database');
my $gateway = start_gateway($node, pool_size => 2, pool_wait_ms => 300, statement_timeout_ms => 1500);
sub in_background { my ($self, $path) = @_; my $socket = connect_to($self); syswrite($socket, "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); return $socket }
sub finish { my ($socket) = @_; return (parse_answers(scalar raw(undef, '', socket => $socket, wait => 15)))[0] // { status => -1 } }
sub sleepers { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'") }

# --- SQLSTATEs
my %status_of = (
    '23505' => [ 409, 'conflict' ], '23503' => [ 409, 'conflict' ], '23P01' => [ 409, 'conflict' ], '23502' => [ 400, 'invalid_value' ], '23514' => [ 400, 'invalid_value' ],
    '22023' => [ 400, 'invalid_value' ], '22P02' => [ 400, 'invalid_value' ], '57014' => [ 504, 'timeout' ], '55P03' => [ 503, 'unavailable' ], '53300' => [ 503, 'unavailable' ],
    '08006' => [ 503, 'unavailable' ], '40P01' => [ 503, 'unavailable' ], '42883' => [ 500, 'internal_error' ], 'P0001' => [ 400, 'refused_by_application' ], 'XX000' => [ 500, 'internal_error' ],
    '25006' => [ 500, 'internal_error' ], '54001' => [ 500, 'internal_error' ]);
for my $state (sort keys %status_of)
{
    my $answer = http($gateway, 'POST', "/raise?$state");
    problem_is($answer, @{ $status_of{$state} }, "SQLSTATE $state");
    unlike($answer->{content}, qr/secret/, "$state: no text of the server");
    ok($answer->{headers}{'retry-after'}, "$state: Retry-After") if $answer->{status} == 503;
}
is(http($gateway, 'GET', '/serialization')->{status}, 200, 'a serialization failure is tried again, twice');

# --- connections that must not be used again
sub metric { my ($name) = @_; return (http($gateway, 'GET', "$gateway->{admin}/metrics")->{content} =~ /^usher_gateway_$name (\d+)/m)[0] }
{
    my $connects = metric('database_connects_total');
    my $answer = post_json($gateway, '/answer', { status => 200, headers => [ [ 'usher-session', 'spoiled' ] ], body => '{}' });
    ok($answer->{status} == 200 && !exists $answer->{headers}{'usher-session'}, 'a request that left something in its session is answered');
    is(metric('database_sessions_spoiled_total'), 1, '… and counted');
    is(http($gateway, 'GET', '/echo')->{status}, 200, '… the next') for 1 .. 4;
    is(metric('database_connects_total') - $connects, 1, '… has another connection');
    my $patient = start_gateway($node, pool_size => 2); # many megabytes take their time on a busy machine
    my $resident = sub { open my $file, '<', "/proc/$patient->{pid}/status" or die; return (join('', <$file>) =~ /^VmRSS:\s+(\d+)/m)[0] / 1024 };
    my $before = $resident->();
    for (1 .. 6) { my $big = http($patient, 'GET', '/big?20000000'); is(length $big->{content}, 20_000_002, 'an answer of 20 MB') or diag(substr $big->{content}, 0, 300) }
    my $kept = $resident->() - $before;
    note("$kept MB");
    cmp_ok($kept, '<', 30, '… leaves no buffer of its size behind');
    stop_gateway($patient);
}

# --- an answer only after the commit
is(http($gateway, 'POST', '/write?1')->{status}, 201, 'a write');
problem_is(http($gateway, 'POST', '/write?1'), 409, 'conflict', 'a constraint that fails at commit: 409, never 201');
is($node->safe_psql('postgres', 'SELECT count(*) FROM usher.written'), '1', '… and one row is there');

# --- limits
my $started = time;
problem_is(http($gateway, 'GET', '/sleep?20'), 504, 'timeout', 'a statement that takes too long');
ok(time - $started < 6, '… is stopped in time');
my @busy = map { in_background($gateway, '/sleep?1.2') } 1 .. 2;
wait_for(sub { sleepers() == 2 }, 'both connections are at work');
$started = time;
my $answer = http($gateway, 'GET', '/echo');
problem_is($answer, 503, 'overloaded', 'a third request');
ok($answer->{headers}{'retry-after'} && time - $started < 1.1, '… is told so soon, with Retry-After');
like(http($gateway, 'GET', "$gateway->{admin}/readyz")->{content}, qr/"ok"/, 'the admin listener answers meanwhile');
is(finish($_)->{status}, 200, 'the busy ones are answered') for @busy;

# --- hang-up
my $socket = in_background($gateway, '/sleep?1.4');
wait_for(sub { sleepers() == 1 }, 'a statement runs');
close $socket;
wait_for(sub { sleepers() == 0 }, 'its client hangs up: it is cancelled');
wait_for(sub { grep { $_->{status} == 499 } log_lines($gateway, 'request') }, '… and logged as 499');
is(http($gateway, 'GET', '/echo')->{status}, 200, 'the connection to the database is used again');

# --- the database goes away and comes back
problem_is(http($gateway, 'POST', '/terminate'), 503, 'unavailable', 'a backend that dies within a request');
is(http($gateway, 'GET', '/echo')->{status}, 200, 'the next request has a new connection');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'usher-gateway'"); # waits until they are gone
is(http($gateway, 'POST', '/echo')->{status}, 200, 'connections that died while idle are noticed before they are used');
$node->stop('fast');
$answer = http($gateway, 'GET', '/echo');
problem_is($answer, 503, 'unavailable', 'the database is down');
ok($answer->{headers}{'retry-after'}, '… Retry-After');
is(http($gateway, 'GET', "$gateway->{admin}/readyz")->{status}, 503, '… not ready');
is(http($gateway, 'GET', "$gateway->{admin}/livez")->{status}, 200, '… but alive');
$started = time;
http($gateway, 'GET', '/echo') for 1 .. 50;
ok(time - $started < 5, '… and it says so at once');
$node->start;
wait_for(sub { http($gateway, 'GET', '/echo')->{status} == 200 }, 'the database is back: so is the gateway');
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/readyz")->{status} == 200 }, '… ready');

# --- acknowledged writes survive restarts
my $writer = fork() // die;
if (!$writer)
{
    my $acknowledged = 0;
    my $odd = 0;
    my $id = 1000;
    my $limit = time + 6;
    while (time < $limit)
    {
        my $status = http($gateway, 'POST', '/write?' . ++$id)->{status};
        $acknowledged++ if $status == 201;
        $odd++ if $status != 201 && $status != 503;
        open my $file, '>', "$gateway->{folder}/count" or die;
        print $file "$acknowledged $odd\n";
        close $file;
        sleep 0.002;
    }
    require POSIX;
    POSIX::_exit(0);
}
for (1 .. 2) { sleep 1.2; $node->restart }
waitpid($writer, 0);
open my $file, '<', "$gateway->{folder}/count" or die;
my ($acknowledged, $odd) = split ' ', scalar <$file>;
cmp_ok($acknowledged, '>', 10, "writes during two restarts: $acknowledged acknowledged");
is($odd, 0, 'answered 201 or 503, nothing else');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM usher.written WHERE id > 1000'), '>=', $acknowledged, 'none of the acknowledged is lost');

# --- behind a transaction pooler: nothing named, no start options, the deadline is the gateway's own
my $pooled = start_gateway($node, pooler => 'true', pool_size => 1, statement_timeout_ms => 700);
my $echo = http($pooled, 'GET', '/echo');
is_deeply([ @{ json_of($echo) }{qw(statement_timeout time_zone)} ], [ '0', 'UTC' ], 'pooler: no setting of the session but the time zone');
problem_is(http($pooled, 'GET', '/sleep?20'), 504, 'timeout', 'pooler: the gateway cancels');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%usher.http_request%' AND pid <> pg_backend_pid()"), '0', '… for real');
is(http($pooled, 'GET', '/echo')->{status}, 200, '… and goes on');

# --- several hosts: the first does not exist
my $folder = $gateway->{folder};
my ($host, $port) = ($node->host, $node->port);
my $several = start_gateway($node, database => "host=$folder,$host port=$port,$port dbname=postgres target_session_attrs=read-write");
is(http($several, 'GET', '/echo')->{status}, 200, 'several hosts: the one that answers is taken');

# --- the function is missing, or must not be called
$node->safe_psql('postgres', 'CREATE DATABASE empty; CREATE ROLE stranger LOGIN');
my $empty = start_gateway($node, database => $node->connstr('empty'));
is(http($empty, 'GET', "$empty->{admin}/readyz")->{status}, 503, 'without usher.http_request: not ready');
problem_is(http($empty, 'GET', '/echo'), 500, 'internal_error', '… and 500 for requests');
my $stranger = start_gateway($node, database => $node->connstr('postgres') . ' user=stranger');
is(http($stranger, 'GET', "$stranger->{admin}/readyz")->{status}, 503, 'a role without rights: not ready');
ok(!grep({ /secret text/ } do { open my $log, '<', $gateway->{log} or die; <$log> }), 'no text of the server in the log');
done_testing();

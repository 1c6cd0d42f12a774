# The program itself: options, health, metrics, log, many idle clients, slow clients, stopping.
use strict;
use warnings;
use File::Basename;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use UsherGateway;

my $program = $ENV{USHER_GATEWAY};
my $folder = PostgreSQL::Test::Utils::tempdir();
sub run_program
{
    my ($environment, @flags) = @_;
    local %ENV = (%ENV, %$environment);
    my ($out, $errors) = ('', '');
    IPC::Run::run([ $program, @flags ], '<', \undef, '>', \$out, '2>', \$errors);
    return ($? >> 8, $out, $errors);
}
sub config_file { my ($text) = @_; open my $file, '>', "$folder/config.json" or die; print $file $text; close $file; return "$folder/config.json" }

# --- options
my ($status, $out, $errors) = run_program({}, '--help');
ok($status == 0 && $out =~ /--pool-size=8/ && $out =~ /--max-body-bytes=1048576/, '--help shows options and defaults');
my $page = slurp_file(($ENV{USHER_SOURCE} // dirname(__FILE__) . '/../..') . '/docs/gateway.md');
my @undocumented;
my $options = 0;
while ($out =~ /^  --([a-z-]+)(?:=(.*))?$/mg)
{
    my ($name, $default) = ($1 =~ tr/-/_/r, $2 // '');
    my ($names, $cell) = $page =~ /^\| ([^|]*`$name`[^|]*) \| *([^|]*?) *\|/m;
    $options++;
    push @undocumented, $name unless defined $cell && ($default eq '' || $cell =~ /\Q$default\E/);
}
cmp_ok($options, '>', 30, 'options are listed');
is_deeply(\@undocumented, [], 'docs/gateway.md has each option with its default');
($status, $out) = run_program({}, '--version');
like($out, qr/^usher-gateway \d+\.\d+\.\d+$/, '--version');
is((run_program({}, '--check-config'))[0], 0, '--check-config: the defaults are valid');
my @bad = (
    [ '--no-such-option=1', qr/unknown option --no-such-option/ ], [ '--port=70000', qr/--port must be a number from 0 to 65535/ ], [ '--port=8o80', qr/--port must be a number/ ],
    [ '--pool-size=0', qr/--pool-size must be/ ], [ '--pooler=maybe', qr/--pooler must be true or false/ ], [ '--trusted-proxies=10.0.0.0/33', qr/10\.0\.0\.0\/33/ ],
    [ '--trusted-proxies=example.com', qr/example\.com/ ], [ '--cors-origins=*', qr/cors_origins/ ], [ '--cors-origins=https://a/', qr/cors_origins/ ], [ '--forwarded-header=via', qr/forwarded_header/ ],
    [ '--config=/no/such/file', qr{could not open configuration file /no/such/file} ], [ '--port', qr/--port needs a value/ ]);
for (@bad)
{
    my ($flag, $message) = @$_;
    ($status, $out, $errors) = run_program({}, '--check-config', $flag);
    ok($status == 2 && $errors =~ $message, "refused: $flag") or diag($errors);
}
($status, $out, $errors) = run_program({}, '--check-config', '--database=host=x password=hunter2 nonsense');
ok($status == 2 && "$out$errors" !~ /hunter2/, 'a bad connection string is refused without showing the password');
for ([ '{', qr/not valid JSON/ ], [ '[]', qr/one JSON object/ ], [ '{"prot": 1}', qr/unknown option "prot"/ ], [ '{"port": 1.5}', qr/"port"/ ], [ '{"port": []}', qr/"port"/ ], [ '{"cors_origins": [1]}', qr/array of strings/ ])
{
    ($status, $out, $errors) = run_program({}, '--check-config', '--config', config_file($_->[0]));
    ok($status == 2 && $errors =~ $_->[1], "refused file: $_->[0]") or diag($errors);
}
ok((run_program({ USHER_GATEWAY_PROT => 1 }, '--check-config'))[0] == 2, 'an unknown variable is refused');
# everything that is wrong is said at once, whether to check or to run
my @mistakes = ("unknown option --no-such-option (see --help)", "option --port needs a value", '"max_headers" in FILE must be a number from 1 to 1000', 'unknown option "prot" in FILE',
    'USHER_GATEWAY_POOL_SIZE must be a number from 1 to 1000', 'unknown option USHER_GATEWAY_PROT in the environment', 'trusted_proxies: "a" is not an address or network',
    'trusted_proxies: "b" is not an address or network', 'cors_origins: "*" is not an origin like https://app.example.com', 'server_timing must be never, request or always',
    'database is not a valid libpq connection string');
for my $action (['--check-config'], [])
{
    my $file = config_file('{"max_headers": 0, "prot": 1, "server_timing": "often"}');
    ($status, $out, $errors) = run_program({ USHER_GATEWAY_PROT => 1, USHER_GATEWAY_POOL_SIZE => 0 }, @$action, '--config', $file, '--no-such-option=1', '--trusted-proxies=a,10.0.0.1,b',
        '--cors-origins=*,https://good.example.com', '--database=nonsense', '--pages=/no/such/folder', '--port');
    is($status, 2, "many mistakes: exit status 2 (@$action)");
    my @said = map { s/^usher-gateway: //r =~ s/\Q$file\E/FILE/r } split /\n/, $errors;
    is_deeply([ sort @said ], [ sort @mistakes, @$action ? 'pages: there is no index.html in /no/such/folder' : () ], '… each has its line');
}

# --- an old cpp-httplib is refused, by what fetches it and by the compiler
{
    mkdir "$folder/old" or die;
    append_to_file("$folder/old/httplib.h", "#define CPPHTTPLIB_VERSION \"0.40.9\"\n#define CPPHTTPLIB_VERSION_NUM \"0x002809\"\n");
    my $source = "$ENV{USHER_SOURCE}/gateway";
    my ($out, $errors) = ('', '');
    local $ENV{USHER_HTTPLIB_INCLUDE} = "$folder/old";
    ok(!IPC::Run::run([ "$source/fetch-httplib", $folder ], '<', \undef, '>', \$out, '2>', \$errors) && $errors =~ /older than 0\.41/, 'an old httplib.h is refused when it is looked for');
    ok(!IPC::Run::run([ 'g++', '-std=c++20', '-fsyntax-only', '-x', 'c++', '-I', "$folder/old", "$source/http.hpp" ], '<', \undef, '>', \$out, '2>', \$errors) && $errors =~ /cpp-httplib 0\.41 or newer is needed/, '… and does not compile');
}

# --- mirrors are found where apt has fetched no list yet: apt 3.3 says nothing of such targets
{
    mkdir "$folder/apt" or die;
    append_to_file("$folder/apt/apt-get", <<'END');
#!/bin/sh
case $* in
    *indextargets*) ;;
    '--print-uris update') echo "'http://mirror.invalid/debian/dists/forky/InRelease' mirror.invalid_debian_dists_forky_InRelease 0 " ;;
    *) exit 100 ;;
esac
END
    chmod 0755, "$folder/apt/apt-get";
    my ($out, $errors) = ('', '');
    local $ENV{PATH} = "$folder/apt:$ENV{PATH}";
    delete local $ENV{USHER_HTTPLIB_INCLUDE};
    ok(!IPC::Run::run([ "$ENV{USHER_SOURCE}/gateway/fetch-httplib", "$folder/fetched" ], '<', \undef, '>', \$out, '2>', \$errors), 'without a mirror that answers there is no httplib.h');
    like($errors, qr{^no usable cpp-httplib from http://mirror\.invalid/debian forky:$}m, '… but the mirror was found, and asked');
}

my $node = start_cluster('process');
my $gateway = start_gateway($node, config => config_file('{"max_body_bytes": 10, "max_headers": 20, "pool_size": 3, "cors_origins": ["https://a.example"]}'),
    environment => { USHER_GATEWAY_MAX_BODY_BYTES => 20, USHER_GATEWAY_POOL_SIZE => 4 }, pool_size => 2);
my $post = sub { http($gateway, 'POST', '/echo', { headers => { 'Content-Type' => 'application/json' }, content => '"' . 'x' x ($_[0] - 2) . '"' })->{status} };
is_deeply([ $post->(20), $post->(21) ], [ 200, 413 ], 'the environment wins over the file');
like(http($gateway, 'GET', "$gateway->{admin}/metrics")->{content}, qr/^usher_gateway_pool_connections 2$/m, 'a flag wins over both');

# --- health and metrics
for my $path (qw(/livez /readyz /healthz))
{
    my $answer = http($gateway, 'GET', "$gateway->{admin}$path");
    is_deeply([ $answer->{status}, json_of($answer) ], [ 200, { status => 'ok' } ], $path);
}
is(http($gateway, 'GET', "$gateway->{admin}/echo")->{status}, 404, 'the admin listener passes nothing on');
is(http($gateway, 'POST', "$gateway->{admin}/metrics")->{status}, 405, '… and takes no POST');
isnt(http($gateway, 'GET', "/$_")->{status}, 200, "/$_ is not on the public side") for qw(metrics readyz livez);
http($gateway, 'GET', '/echo?token=hunter2') for 1 .. 3;
my $metrics = http($gateway, 'GET', "$gateway->{admin}/metrics");
is($metrics->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'metrics: the exact content type');
like($metrics->{content}, qr/^usher_gateway_requests_total\{method="GET",route="\/echo",status="200"\} 3$/m, 'metrics: requests by route');
like($metrics->{content}, qr/^usher_gateway_request_duration_seconds_bucket\{le="\+Inf"\} \d+$/m, 'metrics: a histogram');
like($metrics->{content}, qr/^usher_gateway_requests_in_flight 0$/m, 'metrics: nothing in flight');
my @malformed = grep { !/^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [-+0-9.e]+)$/ } split /\n/, $metrics->{content};
is_deeply(\@malformed, [], 'metrics: each line is well-formed');

# --- the log
http($gateway, 'POST', '/echo?secret=hunter2', { headers => { Authorization => 'Bearer hunter2', Cookie => 'c=hunter2', 'Content-Type' => 'application/json' }, content => '"hunter2"' });
my $line;
wait_for(sub { ($line) = grep { $_->{method} eq 'POST' && $_->{request_bytes} == 9 } log_lines($gateway, 'request') }, 'the request is in the log');
is_deeply([ sort keys %$line ], [ sort qw(time level event method path route status duration_ms database_ms request_bytes response_bytes correlation_id client_ip) ], 'a log line per request');
is_deeply([ @$line{qw(path client_ip)} ], [ '/echo', '127.0.0.1' ], '… with path and client');
unlike(slurp_file($gateway->{log}), qr/hunter2/, '… without query, headers or body');
is(stop_gateway($gateway), 0, 'it stops');
ok(!-e "$gateway->{folder}/ready", '… and removes its ready file');

# --- ports
$gateway = start_gateway($node, port => 0, admin_port => 0);
isnt($gateway->{port}, 0, 'any free port');
($status, $out, $errors) = run_program({}, "--port=$gateway->{port}", '--admin-port=0');
ok($status == 2 && $errors =~ /could not listen on 127\.0\.0\.1 port $gateway->{port}/, 'a taken port is an error');
my $second = start_gateway($node, port => $gateway->{port}, port_search => 50);
ok($second->{port} > $gateway->{port}, '… unless it may search on');
stop_gateway($second);

# --- many clients that do nothing
my @idle;
for (1 .. 1000)
{
    my $socket = connect_to($gateway);
    syswrite($socket, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    push @idle, $socket;
}
my $answered = grep { raw($gateway, '', socket => $_, until => qr/\}$/) =~ m{^HTTP/1\.1 200 } } @idle;
is($answered, 1000, '1,000 clients at a time are answered');
my $slowest = 0;
for (@idle)
{
    my $started = time;
    $answered-- unless raw($gateway, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", socket => $_, until => qr/\}$/) =~ m{^HTTP/1\.1 200 };
    $slowest = time - $started if time - $started > $slowest;
}
is($answered, 1000, sprintf 'and answered again after idling (slowest %.0f ms)', $slowest * 1000);
close $_ for @idle;
stop_gateway($gateway);

# --- slow clients, and more than there is room for
$gateway = start_gateway($node, head_timeout_ms => 800, body_timeout_ms => 800, idle_timeout_ms => 1000, max_connections => 20, max_requests_per_connection => 3);
my @slow = map { my $s = connect_to($gateway); syswrite($s, $_ % 2 ? "GET /echo HTTP/1.1\r\nX-" : "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"); $s } 1 .. 10;
my $started = time;
is(http($gateway, 'GET', '/echo')->{status}, 200, 'slow heads and bodies do not stop others');
ok(time - $started < 0.7, '… or slow them down');
my $answer = (parse_answers(scalar raw($gateway, '', socket => $slow[0])))[0];
problem_is($answer, 408, 'request_timeout', 'a head that does not come');
problem_is((parse_answers(scalar raw($gateway, '', socket => $slow[1])))[0], 408, 'request_timeout', 'a body that does not come');
my ($got, $closed) = raw($gateway, '', wait => 5);
ok($got eq '' && $closed, 'a connection that says nothing is closed without a word');
($got, $closed) = raw($gateway, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n" x 5);
is(scalar(parse_answers($got)), 3, 'max_requests_per_connection');
close $_ for @slow;
my @many = map { my $s = connect_to($gateway); syswrite($s, "GET /sleep?0.5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); $s } 1 .. 30;
my %statuses;
for my $socket (@many)
{
	my ($each) = parse_answers(scalar raw($gateway, '', socket => $socket));
	$statuses{ $each ? $each->{status} : 'closed' }++;
}
ok(($statuses{503} // 0) >= 5 && ($statuses{200} // 0) >= 8, 'beyond max_connections: 503') or diag(explain(\%statuses));
stop_gateway($gateway);

# --- stopping
$gateway = start_gateway($node);
my $waiting = connect_to($gateway);
syswrite($waiting, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
raw($gateway, '', socket => $waiting, until => qr/\}$/); # now kept alive
my @flying = map { my $s = connect_to($gateway); syswrite($s, "GET /sleep?0.8 HTTP/1.1\r\nHost: a\r\n\r\n"); $s } 1 .. 5;
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/metrics")->{content} =~ /requests_in_flight 5$/m }, 'five requests are in flight');
kill 'TERM', $gateway->{pid};
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/readyz")->{content} =~ /draining/ }, 'SIGTERM: not ready any more');
for (@flying)
{
    ($answer) = parse_answers(scalar raw($gateway, '', socket => $_));
    is_deeply([ $answer->{status}, $answer->{headers}{connection}[0] ], [ 200, 'close' ], 'a request in flight is answered');
}
is((raw($gateway, '', socket => $waiting))[1], 1, 'an idle connection is closed');
$gateway->{process}->finish;
is($gateway->{process}->result(0), 0, 'exit status 0');
is((log_lines($gateway, 'stopped'))[0]{requests_cut_off}, JSON::PP::false, 'nothing was cut off');

$gateway = start_gateway($node, drain_timeout_ms => 300, statement_timeout_ms => 60000);
my $long = connect_to($gateway);
syswrite($long, "GET /sleep?30 HTTP/1.1\r\nHost: a\r\n\r\n");
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/metrics")->{content} =~ /requests_in_flight 1$/m }, 'a long request');
$started = time;
is(stop_gateway($gateway), 1, 'a request beyond drain_timeout: exit status 1');
ok(time - $started < 5, '… in time');
is((parse_answers(scalar raw($gateway, '', socket => $long)))[0]{status}, 504, '… its client is told');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), '0', '… and the statement is gone');
done_testing();

# How requests are told apart (RFC 9112): what could be read in two ways is refused, and nothing is smuggled behind it.
use strict;
use warnings;
use Errno;
use Test::More;
use UsherGateway;

my $node = start_cluster('framing');
my $gateway = start_gateway($node);
my $end = "\r\n\r\n";
my $get = "GET /echo HTTP/1.1\r\nHost: a$end";
my $smuggled = "GET /status/299 HTTP/1.1\r\nHost: a$end"; # would be answered 299, which nothing else is

# Memory of the gateway, in MB: VmRSS now, VmHWM at most so far.
sub memory { my ($what) = @_; open my $file, '<', "/proc/$gateway->{pid}/status" or die; my ($kb) = join('', <$file>) =~ /^$what:\s+(\d+) kB/m; return $kb / 1024 }

my $resident = memory('VmRSS');

# Refused, closed, and what follows is not taken for a request.
sub refused
{
    my ($bytes, $status, $name) = @_;
    my ($answer, $closed, $count) = exchange($gateway, $bytes . $smuggled);
    is_deeply([ $answer->{status}, $closed, $count ], [ $status, 1, 1 ], $name) or diag(explain($answer));
    like($answer->{headers}{'content-type'}[0] // '', qr{^application/problem\+json$}, "$name: problem document");
}
sub post { my ($fields, $body) = @_; return "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n$fields\r\n$body" }

# --- lengths
refused(post("Content-Length: 2\r\nContent-Length: 2\r\n", '{}'), 400, 'Content-Length twice');
refused(post("Content-Length: 2\r\nContent-Length: 50\r\n", '{}'), 400, 'two different lengths');
refused(post("Content-Length: 2, 2\r\n", '{}'), 400, 'a list of lengths');
refused(post("Content-Length: $_\r\n", '{}'), 400, "Content-Length '$_'") for '+2', '-2', '0x2', '2 2', '', '2.0', '1e1';
refused(post("Content-Length: 99999999999999999999999999\r\n", '{}'), 413, 'a length beyond 64 bits');
refused(post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0$end"), 400, 'both length and chunked');
refused(post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0$end"), 400, 'chunked and length 0');
refused(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0$end"), 400, 'Transfer-Encoding twice');
refused(post("Transfer-Encoding: $_\r\n", "0$end"), 501, "Transfer-Encoding '$_'") for 'identity', 'chunked, gzip', 'gzip, chunked', 'xchunked', "\"chunked\"";
refused(post("Transfer-Encoding : chunked\r\n", "0$end"), 400, 'space before the colon');
refused("POST /echo HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked${end}0$end", 400, 'chunked in HTTP/1.0');

# --- chunks
sub chunked { my ($body) = @_; return post("Transfer-Encoding: chunked\r\n", $body) }
for my $size ('-1', '+1', ' 1', '0x1', 'g', '', '1,1', '1 1', "1\t2")
{
    refused(chunked("$size\r\n{}\r\n0$end"), 400, "chunk size '$size'");
}
refused(chunked("ffffffffffffffff\r\n{}\r\n0$end"), 413, 'chunk size of 64 bits');
refused(chunked("10000000000000002\r\n{}\r\n0$end"), 413, 'chunk size that overflows');
refused(chunked('0' x 5000 . "2\r\n{}\r\n0$end"), 400, 'chunk size with 5000 zeros');
refused(chunked("2\n{}\n0\n\n"), 400, 'chunks ended by bare LF');
refused(chunked("2\r\n{}XX0$end"), 400, 'a chunk longer than its size');
refused(chunked("2;a=\0b\r\n{}\r\n0$end"), 400, 'NUL in a chunk extension');
refused(chunked("2\r\n{}\r\n0\r\nbroken trailer$end"), 400, 'a malformed trailer');
refused(chunked("1;" . 'x' x 10000 . "\r\n{\r\n"), 400, 'a chunk extension of 10 kB');
{
    my ($answer, undef, $count) = exchange($gateway, chunked("1;ext=\"v\"\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: v$end") . $smuggled);
    is_deeply([ $answer->{status}, json_of($answer)->{body}, $count ], [ 200, '{}', 2 ], 'chunks are put together, trailers dropped');
    ok(!exists json_of($answer)->{headers}{'x-trailer'}, 'a trailer is not a header');
}

# --- the head
refused("GET /echo HTTP/1.1\nHost: a\n\n", 400, 'bare LF');
refused("GET /echo HTTP/1.1\r\nHost: a\nX: b$end", 400, 'one bare LF');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: b\rc$end", 400, 'bare CR in a value');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: b\r\n folded$end", 400, 'obs-fold');
refused("GET /echo HTTP/1.1\r\n Host: a$end", 400, 'a fold before the first field');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: b\0c$end", 400, 'NUL in a value');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: b\ec$end", 400, 'a control character in a value');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: \xff\xfe$end", 400, 'a value that is not UTF-8');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX\0: b$end", 400, 'NUL in a name');
refused("GET /echo HTTP/1.1\r\nHost: a\r\n: b$end", 400, 'an empty name');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nno colon$end", 400, 'a line without a colon');
refused("GET /echo HTTP/1.1$end", 400, 'no Host');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nHost: a$end", 400, 'two Hosts');
refused("GET /echo HTTP/1.1\r\nHost: a, b$end", 400, 'two hosts in one');
refused("GET /echo HTTP/1.1\r\nHost: $_$end", 400, "Host '$_'")
  for 'a b', 'user@a', 'a:b', 'a:99999', 'a:80:80', ':80', '[::1', '[::g]', '::1', '[fe80::1%25eth0]', 'a\\b', 'a"b', 'a%zz', '<a>', "\xc3\xa4.example";
refused("GET http://user\@a/echo HTTP/1.1\r\nHost: a$end", 400, 'a user in the target');
refused("GET http://a:b/echo HTTP/1.1\r\nHost: a$end", 400, 'a port that is none in the target');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Type: a\r\nContent-Type: b$end", 400, 'Content-Type twice');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b$end", 400, 'Authorization twice');
refused("GET /echo HTTP/1.1\r\nHost: a\r\n$_: cookie\r\n$_: none$end", 400, "$_ twice") for 'Usher-Session', 'Sec-Fetch-Site', 'X-CSRF-Token', 'Origin', 'Idempotency-Key';
refused("GET  /echo HTTP/1.1\r\nHost: a$end", 400, 'two spaces in the request line');
refused("GET /echo\tHTTP/1.1\r\nHost: a$end", 400, 'a tab in the request line');
refused("GET /ec ho HTTP/1.1\r\nHost: a$end", 400, 'a space in the target');
refused("GET /echo#part HTTP/1.1\r\nHost: a$end", 400, 'a fragment');
refused("GET echo HTTP/1.1\r\nHost: a$end", 400, 'a target without a slash');
refused("GET ftp://a/echo HTTP/1.1\r\nHost: a$end", 400, 'a target of another scheme');
refused("GET /a/../echo HTTP/1.1\r\nHost: a$end", 400, 'a dot segment');
refused("GET /a/%2e%2e/echo HTTP/1.1\r\nHost: a$end", 400, 'an encoded dot segment');
refused("GET /echo?a=%zz HTTP/1.1\r\nHost: a$end", 400, 'a broken escape');
refused("GET /%00 HTTP/1.1\r\nHost: a$end", 400, 'an encoded NUL in the path');
refused("GET /echo?a=%00 HTTP/1.1\r\nHost: a$end", 400, 'an encoded NUL in the query');
refused("GET /%ff HTTP/1.1\r\nHost: a$end", 400, 'a path that is not UTF-8');
refused("GET /echo$end", 400, 'HTTP/0.9');
refused("GET /echo HTTP/2.0\r\nHost: a$end", 505, 'HTTP/2.0');
refused("GET /echo HTTP/0.9\r\nHost: a$end", 505, 'HTTP/0.9');
refused("GET /echo HTTP/1.x\r\nHost: a$end", 400, 'HTTP/1.x');
refused("GET /echo HTTP/1.10\r\nHost: a$end", 400, 'HTTP/1.10');
refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 'a TLS hello');
refused("G\@T /echo HTTP/1.1\r\nHost: a$end", 400, 'a method that is no token');

# --- sizes
refused('GET /' . 'a' x 9000 . " HTTP/1.1\r\nHost: a$end", 414, 'a target of 9 kB');
refused('GET /' . 'a' x 100_000 . " HTTP/1.1\r\nHost: a$end", 414, 'a request line of 100 kB');
refused("GET /echo HTTP/1.1\r\nHost: a\r\nX: " . 'a' x 100_000 . $end, 431, 'a header line of 100 kB');
refused("GET /echo HTTP/1.1\r\nHost: a\r\n" . "X: b\r\n" x 10_000 . "\r\n", 431, '10,000 headers');
refused("GET /echo HTTP/1.1\r\nHost: a\r\n" . "X: b\r\n" x 64 . "\r\n", 431, '65 headers');
refused(post("Content-Length: 2000000\r\n", ' ' x 2_000_000), 413, 'a body of 2 MB');
refused(chunked(sprintf("%x\r\n", 2_000_000) . ' ' x 2_000_000 . "\r\n0$end"), 413, 'a chunked body of 2 MB');
refused(chunked("1\r\n \r\n" x 1_100_000), 413, 'a body of 1.1 million chunks');

# --- what is refused is logged with what is known of it
{
    my $known = sub { my ($bytes) = @_; my $before = log_lines($gateway, 'request'); exchange($gateway, $bytes); my @lines; wait_for(sub { @lines = log_lines($gateway, 'request'); @lines > $before }, 'it is logged'); return $lines[-1] };
    my $line = $known->("PUT /known/path?secret HTTP/1.1\r\nHost: a\r\nX-Correlation-Id: known-1\r\nX: b\0c$end");
    is_deeply([ @$line{qw(status method path correlation_id)} ], [ 400, 'PUT', '/known/path', 'known-1' ], 'a malformed head: method, path and correlation id');
    $line = $known->("GET /known HTTP/1.1\r\nX: " . 'a' x 100_000 . $end);
    is_deeply([ @$line{qw(status method path)} ], [ 431, 'GET', '/known' ], 'a head that is too large');
    $line = $known->('GET /' . 'a' x 100_000 . " HTTP/1.1\r\nHost: a$end");
    ok($line->{status} == 414 && $line->{method} eq 'GET' && length $line->{path} <= 256, 'a target that is too long: its beginning');
    $line = $known->("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n");
    is_deeply([ @$line{qw(status method path client_ip)} ], [ 400, '', '', '127.0.0.1' ], 'noise: nothing but where it came from');
}

# --- bodies where there are none
refused("$_ /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2$end\{}", 400, "$_ with a body") for qw(GET DELETE OPTIONS);
refused("GET /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked${end}0$end", 400, 'GET with a chunked body');

# --- what must work
my $good = sub {
    my ($bytes, $name, %options) = @_;
    my ($answer, $closed) = exchange($gateway, $bytes, until => qr/\}$/, %options);
    is($answer->{status}, 200, $name) or diag(explain($answer));
    return json_of($answer);
};
$good->("\r\n$get", 'an empty line before the request');
my $echo = $good->("GET http://other/echo?a=1 HTTP/1.1\r\nHost: a$end", 'an absolute target');
is_deeply([ @$echo{qw(path query)}, $echo->{headers}{host} ], [ '/echo', 'a=1', 'other' ], 'its host replaces Host');
$good->("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0$end", 'GET with length 0');
$good->("GET /echo HTTP/1.0\r\n\r\n", 'HTTP/1.0 without Host');
$good->("GET /echo HTTP/$_\r\nHost: a$end", "HTTP/$_ is understood as 1.1") for '1.2', '1.9';
$good->("GET /echo HTTP/1.1\r\nHost: $_$end", "Host '$_'") for 'a', 'a:8080', 'A.b-c_d~e', '[::1]', '[2001:db8::1]:443', '[v1.a:b]', '127.0.0.1:1', 'a:', '', 'xn--4ca.example', 'a%41';
$echo = $good->("GET /echo HTTP/1.1\r\nHost: a\r\nX-Text: \xc3\xa4 %41 \t$end", 'UTF-8 in a value');
is($echo->{headers}{'x-text'}, "\x{e4} %41", 'a value is trimmed and not percent-decoded');
{
    my ($got, $closed) = raw($gateway, $get x 5 . "GET /status/404 HTTP/1.1\r\nHost: a$end" . "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close$end" . $smuggled);
    is_deeply([ map { $_->{status} } parse_answers($got) ], [ (200) x 5, 404, 200 ], 'pipelined requests are answered in order, none after close');
    ok($closed, 'then the connection is closed');
}
{
    my ($got, $closed) = raw($gateway, "GET /echo HTTP/1.0\r\n\r\n");
    ok($closed, 'HTTP/1.0 closes');
    my $old = "GET /echo HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive$end";
    ($got, $closed) = raw($gateway, $old x 2 . "GET /echo HTTP/1.0\r\nHost: a$end");
    is_deeply([ map { $_->{headers}{connection}[0] } parse_answers($got) ], [ 'keep-alive', 'keep-alive', 'close' ], 'HTTP/1.0 with keep-alive is told that it stays');
    ok($closed, '… until it wants no more');
    ($got) = raw($gateway, $get, until => qr/\}$/);
    unlike($got, qr/^connection:/mi, 'HTTP/1.1 needs no such word');
    my $socket = connect_to($gateway);
    for my $part (split //, $get) { syswrite($socket, $part) }
    $got = raw($gateway, '', socket => $socket, until => qr/\}$/);
    is((parse_answers($got))[0]{status}, 200, 'a request byte by byte');
}
{
    my ($got) = raw($gateway, "HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close$end");
    my ($answer) = parse_answers($got, 1);
    ok($answer->{status} == 200 && $answer->{headers}{'content-length'}[0] > 0 && $got =~ /\r\n\r\n$/, 'HEAD: the length, no body');
}
{
    my $socket = connect_to($gateway);
    my $request = post("Content-Length: 2\r\nExpect: 100-continue\r\n", '');
    like(raw($gateway, $request, socket => $socket, until => qr/\r\n\r\n/), qr{^HTTP/1\.1 100 Continue\r\n\r\n$}, '100 Continue');
    my ($answer) = parse_answers(raw($gateway, '{}', socket => $socket, until => qr/\}$/));
    is($answer->{status}, 200, '… then the body is taken');
    ($answer) = exchange($gateway, post("Content-Length: 2000000\r\nExpect: 100-continue\r\n", ''));
    is($answer->{status}, 413, 'a body that is too large is not asked for');
    ($answer) = exchange($gateway, post("Content-Length: 2\r\nExpect: something\r\n", '{}'));
    is($answer->{status}, 417, 'an unknown expectation');
}

# --- memory: 60 clients at a time, each sending far more than may be kept, of what costs most
{
    my @flood = (chunked("1\r\n \r\n" x 300_000), post("Content-Length: 1048576\r\n", '[' x 1_048_576), "GET /echo HTTP/1.1\r\nHost: a\r\n" . "X: b\r\n" x 100_000, 'GET /' . 'a' x 1_000_000,
        post("Content-Length: 1048576\r\n", '{"a":' x 209_715 . ' ' ), chunked(sprintf("%x\r\n", 2_000_000) . ' ' x 2_000_000));
    my @clients = map { my $s = connect_to($gateway); $s->blocking(0); { socket => $s, bytes => $flood[ $_ % @flood ], sent => 0, done => 0 } } 1 .. 60;
    my $limit = time + 60;
    local $SIG{PIPE} = 'IGNORE';
    while ((my @open = grep { !$_->{done} } @clients) && time < $limit)
    {
        for my $client (@open)
        {
            my $sent = $client->{sent} < length $client->{bytes} ? syswrite($client->{socket}, $client->{bytes}, 65536, $client->{sent}) : 0;
            $client->{sent} += $sent // 0;
            my $got = sysread($client->{socket}, my $answer, 65536);
            $client->{answer} .= $answer if $got;
            $client->{done} = 1 if defined $got ? $got == 0 : !$!{EAGAIN};
        }
        select undef, undef, undef, 0.002;
    }
    is((grep { ($_->{answer} // '') !~ m{^HTTP/1\.1 4} } @clients), 0, 'a flood: every client is refused');
    my $peak = memory('VmHWM');
    cmp_ok($peak - $resident, '<', 150, sprintf 'memory stays bounded: %.0f MB at first, %.0f MB at most, %.0f MB afterwards', $resident, $peak, memory('VmRSS'));
}
$good->($get, 'and the gateway is alive');
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'so is the server');
is(stop_gateway($gateway), 0, 'it stops in good order');
done_testing();

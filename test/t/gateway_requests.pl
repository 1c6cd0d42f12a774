# What the gateway passes on, what it refuses before the database is asked, and the headers of every answer.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use UsherGateway;

my $node = start_cluster('requests');
my $gateway = start_gateway($node, trusted_proxies => '127.0.0.0/8,10.0.0.0/8,2001:db8::/32',
    cors_origins => 'https://app.example.com,http://localhost:3000', hsts_max_age_s => 600);
my $json = { 'Content-Type' => 'application/json' };
sub get_with { my (%headers) = @_; return http($gateway, 'GET', '/echo', { headers => \%headers }) }
sub send_json { my ($body, %headers) = @_; return http($gateway, 'POST', '/echo', { headers => { %$json, %headers }, content => $body }) }

# --- what arrives
my $echo = json_of(http($gateway, 'POST', '/echo?a=1&b=%C3%A4', { headers => { %$json, 'X-Two' => [ 'a', 'b' ], 'User-Agent' => 'test/1' }, content => '{"k": "ä"}' }));
is_deeply([ @$echo{qw(method path query body)} ], [ 'POST', '/echo', 'a=1&b=%C3%A4', "{\"k\": \"\x{e4}\"}" ], 'method, path, query and body as sent')
  or diag(explain($echo));
is($echo->{headers}{'x-two'}, 'a, b', 'a repeated header is one list');
is($echo->{headers}{'user-agent'}, 'test/1', 'names in lower case');
is_deeply([ grep { exists $echo->{headers}{$_} } qw(connection content-length te transfer-encoding keep-alive) ], [], 'nothing about the connection');
is_deeply([ @$echo{qw(time_zone application_name statement_timeout)} ], [ 'UTC', 'usher-gateway', '10s' ], 'session settings');
$echo = json_of((exchange($gateway, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-Stay: 1\r\nCookie: a=1\r\nCookie: b=2\r\nX-Forwarded-Proto: https\r\nTE: trailers\r\n\r\n"))[0]);
is_deeply([ map { $echo->{headers}{$_} } 'x-hop', 'x-stay', 'cookie', 'x-forwarded-proto', 'te' ], [ undef, '1', 'a=1; b=2', undef, undef ],
    'headers named by Connection and claims of proxies are dropped, cookies joined');
is(json_of(http($gateway, 'GET', '/echo'))->{body}, undef, 'no body is NULL');
is(json_of(http($gateway, 'POST', '/echo'))->{body}, undef, 'an empty body is NULL');
for my $attack ("'; DROP TABLE usher.written; --", q{"}, q{$1}, q{\\'}, '%27%3B%20SELECT%201')
{
    my $quoted = $attack =~ s/([^A-Za-z0-9%])/sprintf '%%%02X', ord $1/ger;
    my $answer = json_of(http($gateway, 'POST', "/echo?q=$quoted", { headers => { %$json, 'X-Text' => $attack, Cookie => $attack }, content => encode_json([$attack]) }));
    is_deeply([ decode_json($answer->{body})->[0], $answer->{headers}{'x-text'}, $answer->{query} ], [ $attack, $attack, "q=$quoted" ], "quoting survives: $attack");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM usher.written'), '0', 'and the table is there');

# --- JSON
my %bad_json = (
    'no JSON' => '{"a":', 'two documents' => '{} {}', 'a trailing comma' => '[1,]', 'single quotes' => "{'a': 1}", 'NaN' => '[NaN]',
    'a key twice' => '{"a": 1, "b": {"c": 1, "c": 2}}', 'a key twice in disguise' => '{"a": 1, "\u0061": 2}',
    'depth 10,000' => '[' x 10_000 . ']' x 10_000, 'depth 65' => '[' x 65 . ']' x 65, 'unclosed depth' => '{"a":' x 200_000,
    'invalid UTF-8' => "[\"\xff\"]", 'overlong UTF-8' => "[\"\xc0\x80\"]", 'a surrogate in UTF-8' => "[\"\xed\xa0\x80\"]",
    'U+0000' => '["a\u0000b"]', 'U+0000 in a key' => '{"\u0000": 1}', 'a NUL byte' => "[\"a\0b\"]", 'a lone surrogate' => '["\ud800"]',
    '1e400' => '[1e400]', 'a byte order mark' => "\xef\xbb\xbf{}", 'a comment' => '{} // x', 'only space' => '  ',
    'a number of 100 kB' => '[' . '9' x 100_000 . ']');
problem_is(send_json($bad_json{$_}), 400, 'malformed_request', $_) for sort keys %bad_json;
is(send_json($_)->{status}, 200, 'good JSON: ' . substr($_, 0, 30))
  for '{}', '[]', 'null', '"x"', '1e300', '18446744073709551616', '[' x 64 . ']' x 64, '{"a": {"a": {"a": 1}}}', '["\ud83d\ude00"]', "\n{}\n";
problem_is(send_json(' ' x 1_048_577), 413, 'body_too_large', 'one byte too many');
is(send_json('"' . 'x' x 1_048_574 . '"')->{status}, 200, 'a body of exactly the limit');

# --- media types
sub post_type { my ($type, $body) = @_; return http($gateway, 'POST', '/echo', { headers => { 'Content-Type' => $type }, content => $body // '{}' }) }
is(post_type($_)->{status}, 200, "taken: $_") for 'application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON;charset="UTF-8"', 'application/merge-patch+json', 'application/x-www-form-urlencoded';
problem_is(post_type($_), 415, 'unsupported_media_type', "refused: $_") for 'text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/octet-stream', 'json';
problem_is(post_type('application/json; charset=latin1'), 415, 'unsupported_media_type', 'another charset');
problem_is(post_type('application/x-www-form-urlencoded', "a=\xff"), 400, 'malformed_request', 'a form that is not UTF-8');
problem_is((exchange($gateway, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"))[0], 415, 'unsupported_media_type', 'a body without a type');
problem_is(send_json('{}', 'Content-Encoding' => 'gzip'), 415, 'unsupported_media_type', 'a compressed body');
is(get_with(Accept => $_)->{status}, 200, "Accept: $_")
  for '*/*', 'application/json', 'application/*;q=0.1', 'text/html, */*;q=0.8', 'application/problem+json', 'image/png, application/json;q=0.5', 'TEXT/HTML';
problem_is(get_with(Accept => $_), 406, 'not_acceptable', "Accept: $_") for 'image/png', 'application/xml', 'application/json;q=0', '*/*; q=0.0';

# --- methods
is(json_of(http($gateway, $_, '/echo'))->{method}, $_, "$_ is passed on") for qw(GET PUT PATCH DELETE OPTIONS POST);
for (qw(TRACE CONNECT))
{
    my $answer = (exchange($gateway, "$_ /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[0];
    problem_is($answer, 405, 'method_not_allowed', $_);
    like($answer->{headers}{allow}[0], qr/GET, HEAD, POST/, "$_: Allow");
}
problem_is((exchange($gateway, "$_ /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[0], 501, 'not_implemented', "method $_") for 'BREW', 'get', 'PROPFIND';
is((exchange($gateway, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[0]{status}, 204, 'OPTIONS *');

# --- credentials
is(get_with(Authorization => $_)->{status}, 200, "passed on: $_") for 'Bearer abc', 'bearer a.b-c_d~e+f/g==', 'Bearer  abc', 'Basic dXNlcjpwYXNz';
problem_is(get_with(Authorization => $_), 400, 'invalid_request', "malformed: $_") for 'Bearer', 'Bearer a b', 'Bearer a,b', 'Bearer =', 'Bearer a"b', 'Bearer a=b';
problem_is(get_with(Authorization => 'Digest x'), 401, 'authentication_required', 'an unknown scheme');
is(get_with(Authorization => 'Bearer a b')->{headers}{'www-authenticate'}, 'Bearer error="invalid_request"', 'with a challenge');
problem_is(http($gateway, 'GET', "/echo?x=1&$_"), 400, 'invalid_request', "a token in the query: $_") for 'access_token=abc', 'access%5Ftoken=abc', 'Access_Token';

# --- correlation
my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
sub correlation { return get_with(@_)->{headers}{'x-correlation-id'} }
is(correlation('X-Correlation-Id' => 'order-1.A_b'), 'order-1.A_b', 'a well-formed id is kept');
is(json_of(get_with('X-Correlation-Id' => 'order-1'))->{headers}{'x-correlation-id'}, 'order-1', '… and passed on');
like(correlation('X-Correlation-Id' => $_), qr/^[0-9a-f]{32}$/, 'replaced: ' . substr($_, 0, 20)) for 'a b', 'a/b', 'x' x 129, '<script>', '';
is(correlation(traceparent => "00-$trace-00f067aa0ba902b7-01"), $trace, 'the trace id of traceparent');
is(correlation(traceparent => "00-$trace-00f067aa0ba902b7-01", 'X-Correlation-Id' => 'order-1'), $trace, '… before X-Correlation-Id, as in the database');
is(correlation(traceparent => "01-$trace-00f067aa0ba902b7-01-more"), $trace, 'of a later version too');
isnt(correlation(traceparent => $_), $trace, "not of $_")
  for "00-$trace-00f067aa0ba902b7-01-more", "ff-$trace-00f067aa0ba902b7-01", "00-$trace-0000000000000000-01", '00-' . uc($trace) . '-00f067aa0ba902b7-01', "00-$trace-00f067aa0ba902b7", "00-$trace-00f067aa0ba902b7-0g";
isnt(correlation(traceparent => '00-' . '0' x 32 . '-00f067aa0ba902b7-01'), '0' x 32, 'not of all zeros');
isnt(correlation(), correlation(), 'otherwise each request has its own');

# --- who the client is (the peer, 127.0.0.1, is a trusted proxy here)
sub client_ip { my ($self, @hops) = @_; return json_of(http($self, 'GET', '/echo', { headers => @hops ? { 'X-Forwarded-For' => @hops == 1 ? $hops[0] : \@hops } : {} }))->{client_ip} }
my %address = (
    '203.0.113.9' => '203.0.113.9', '1.1.1.1, 203.0.113.9' => '203.0.113.9', '203.0.113.9, 10.1.2.3' => '203.0.113.9', '1.1.1.1, 203.0.113.9, 10.1.2.3, 127.0.0.2' => '203.0.113.9',
    '10.9.9.9, 10.1.2.3' => '10.9.9.9', '203.0.113.9:1234' => '203.0.113.9', '[2001:db9::1]:80' => '2001:db9::1', '2001:db9::1, 2001:db8::5' => '2001:db9::1',
    'garbage' => '127.0.0.1', '203.0.113.9, garbage, 10.1.2.3' => '10.1.2.3', 'unknown, 10.1.2.3' => '10.1.2.3', "'; DROP TABLE x" => '127.0.0.1', '::ffff:203.0.113.9' => '203.0.113.9');
is(client_ip($gateway, $_), $address{$_}, "X-Forwarded-For: $_") for sort keys %address;
is(client_ip($gateway), '127.0.0.1', 'no header: the peer');
is(client_ip($gateway, '1.1.1.1', '203.0.113.9'), '203.0.113.9', 'two headers are one list');
my $plain = start_gateway($node);
is(client_ip($plain, '203.0.113.9'), '127.0.0.1', 'without trusted proxies the header counts for nothing');
my $forwarded = start_gateway($node, trusted_proxies => '127.0.0.1', forwarded_header => 'Forwarded');
sub forwarded { my ($value) = @_; return json_of(http($forwarded, 'GET', '/echo', { headers => { Forwarded => $value, 'X-Forwarded-For' => '9.9.9.9' } }))->{client_ip} }
is(forwarded('for=203.0.113.9;proto=https'), '203.0.113.9', 'Forwarded');
is(forwarded('for=1.1.1.1, By=x; For="[2001:db9::1]:4711"'), '2001:db9::1', 'Forwarded with an IPv6 address');
is(forwarded('for=_hidden'), '127.0.0.1', 'Forwarded with a made-up name');

# --- CORS and other headers
my $answer = get_with(Origin => 'https://app.example.com');
is($answer->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'an allowed origin');
like($answer->{headers}{'access-control-expose-headers'}, qr/ETag.*X-Correlation-Id/, 'exposed headers');
is($answer->{headers}{vary}, 'Origin', 'Vary');
ok(!exists $answer->{headers}{'access-control-allow-credentials'}, 'no credentials unless configured');
for my $origin ('https://evil.example.com', 'null', 'https://app.example.com.evil.org', 'http://app.example.com')
{
    $answer = get_with(Origin => $origin);
    ok(!exists $answer->{headers}{'access-control-allow-origin'} && $answer->{headers}{vary} eq 'Origin', "not allowed: $origin");
}
sub preflight { my ($origin) = @_; return http($gateway, 'OPTIONS', '/no/such/route', { headers => { Origin => $origin, 'Access-Control-Request-Method' => 'POST' } }) }
$answer = preflight('http://localhost:3000');
is($answer->{status}, 204, 'a preflight is answered without the database');
like($answer->{headers}{'access-control-allow-headers'}, qr/Authorization, Content-Type, Idempotency-Key/, '… with the headers');
$answer = preflight('https://evil.example.com');
ok($answer->{status} == 204 && !grep { /^access-control/ } keys %{ $answer->{headers} }, 'a preflight from elsewhere allows nothing');
$answer = get_with();
is_deeply([ @{ $answer->{headers} }{qw(x-content-type-options cache-control referrer-policy content-security-policy strict-transport-security server)} ],
    [ 'nosniff', 'no-store', 'no-referrer', "default-src 'none'; frame-ancestors 'none'", 'max-age=600', 'usher' ], 'security headers');
like($answer->{headers}{date}, qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, 'Date');
is($answer->{headers}{'server-timing'}, undef, 'no Server-Timing unless it is asked for');
$answer = get_with('Usher-Timing' => '1');
like($answer->{headers}{'server-timing'}, qr/^wait;dur=[\d.]+, db;dur=[\d.]+, total;dur=[\d.]+$/, 'Server-Timing for a request that asks');
ok(!exists json_of($answer)->{headers}{'usher-timing'}, '… which is not the database\'s business');
my ($waited, $queried, $total) = http($gateway, 'GET', '/sleep?0.2', { headers => { 'Usher-Timing' => '1' } })->{headers}{'server-timing'} =~ /dur=([\d.]+)/g;
ok($queried >= 200 && $total >= $queried + $waited, '… in milliseconds') or diag("$waited $queried $total");
my $always = start_gateway($node, server_timing => 'always');
like(http($always, 'GET', '/echo')->{headers}{'server-timing'}, qr/^wait;/, 'server_timing=always');
my $never = start_gateway($node, server_timing => 'never');
is(http($never, 'GET', '/echo', { headers => { 'Usher-Timing' => '1' } })->{headers}{'server-timing'}, undef, 'server_timing=never');
stop_gateway($_) for $always, $never;

# --- answers of the database
sub answer_of { my ($status, $headers, $body) = @_; return http($gateway, 'POST', '/answer', { headers => $json, content => encode_json({ status => $status, headers => $headers, body => $body }) }) }
$answer = answer_of(201, [ [ 'Location', '/x/1' ], [ 'Set-Cookie', 'a=1' ], [ 'Set-Cookie', 'b=2' ], [ 'Content-Type', 'text/csv' ], [ 'Cache-Control', 'max-age=60' ] ], 'a,b');
is_deeply([ $answer->{status}, @{ $answer->{headers} }{qw(location set-cookie content-type cache-control)}, $answer->{content} ],
    [ 201, '/x/1', [ 'a=1', 'b=2' ], 'text/csv', 'max-age=60', 'a,b' ], 'headers of the database, repeated ones too');
$answer = answer_of(200, [ [ 'Content-Length', '99' ], [ 'Transfer-Encoding', 'chunked' ], [ 'Connection', 'x' ], [ 'Server', 'y' ], [ 'usher-route', '/a/{b}' ] ], 'abc');
is_deeply([ @{ $answer->{headers} }{qw(content-length transfer-encoding connection server usher-route)} ], [ 3, undef, undef, 'usher', undef ], 'none about the connection');
problem_is(answer_of(@$_), 500, 'internal_error', 'refused from the database: ' . encode_json($_))
  for [ 200, [ [ 'X', "a\r\nSet-Cookie: b" ] ], '' ], [ 200, [ [ "X\r\nY", 'a' ] ], '' ], [ 200, [ [ 'X: y', 'a' ] ], '' ], [ 200, [ ['X'] ], '' ], [ 200, { X => 'a' }, '' ], [ 99, [], '' ], [ 1000, [], '' ];
for my $status (204, 304)
{
    my ($got) = raw($gateway, "GET /status/$status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ok($got =~ m{^HTTP/1\.1 $status } && $got !~ /content-length/i && $got =~ /\r\n\r\n$/, "$status has no body and no length");
}
my ($got) = raw($gateway, "GET /status/404 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nConnection: close\r\n\r\n");
is_deeply([ map { $_->{status} } parse_answers($got) ], [ 404, 200 ], 'an error keeps the connection; Range is ignored');
is(length http($gateway, 'GET', '/big?3000000')->{content}, 3_000_002, 'an answer of 3 MB');
ok(!grep({ /evil|secret/i } slurp($gateway->{log})), 'nothing of the requests\' headers in the log');
sub slurp { my ($file) = @_; open my $handle, '<', $file or die; return <$handle> }
done_testing();

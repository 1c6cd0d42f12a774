# Sessions of browsers: cookies that scripts cannot read, CSRF token and origin, CORS, and security headers.
use strict;
use warnings;
use JSON::PP;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('browser_sessions');
my $user = add_user($node, 'b@example.com');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test',
    cors_origins => 'https://app.example.com,https://other.example.com', cors_credentials => 'true', hsts_max_age_s => 31536000);
my $own = "http://127.0.0.1:$gateway->{port}";

# --- log in
my $answer = post_json($gateway, '/auth/login', { identifier => 'b@example.com', password => $UsherGateway::password }, 'Usher-Session' => 'cookie');
is($answer->{status}, 200, 'log in for cookies') or die($answer->{content});
my $body = json_of($answer);
ok(!exists $body->{access_token} && !exists $body->{refresh_token}, 'tokens are not in the body');
my $lines = $answer->{headers}{'set-cookie'};
is(scalar @$lines, 3, 'one Set-Cookie for each cookie');
my %cookies;
for my $line (@$lines)
{
    my ($name, $value, $rest) = $line =~ /^([^=]+)=([^;]*); (.*)$/;
    $cookies{$name} = { value => $value, rest => $rest };
    like($rest, qr{^Path=/; Max-Age=[1-9]\d*; Secure}, "$name: whole host, secure");
    like($rest, qr/; SameSite=Lax$/, "$name: SameSite");
    unlike($rest, qr/Domain/, "$name: no domain");
}
is_deeply([ sort keys %cookies ], [qw(__Host-usher_access __Host-usher_csrf __Host-usher_refresh)], 'their names');
like($cookies{"__Host-usher_$_"}{rest}, qr/; HttpOnly/, "$_: not for scripts") for qw(access refresh);
unlike($cookies{'__Host-usher_csrf'}{rest}, qr/HttpOnly/, 'the CSRF token is for scripts');
is($cookies{'__Host-usher_csrf'}{value}, $body->{csrf_token}, '… and in the body too');

my $cookie = join '; ', map { "$_=$cookies{$_}{value}" } sort keys %cookies;
my %csrf = ('X-CSRF-Token' => $body->{csrf_token});
sub get { my ($path, %headers) = @_; return http($gateway, 'GET', $path, { headers => { Cookie => $cookie, %headers } }) }
sub send_as { my ($path, %headers) = @_; return post_json($gateway, $path, { first_name => 'B' }, method => 'PATCH', Cookie => $cookie, %headers) }

# --- reading
is(json_of(get('/auth/me'))->{user_id}, $user, 'a cookie is enough to read');
problem_is(get('/auth/me', Authorization => 'Bearer abc'), 400, 'invalid_request', 'cookie and Authorization together');
is(get('/auth/me', Origin => 'https://evil.example.com')->{headers}{'access-control-allow-origin'}, undef, 'another origin may not read the answer');

# --- a page of another site, on localhost with the API on 127.0.0.1 say: its browser would drop the cookies in silence
for my $site ('cross-site', 'same-site', 'same-origin', 'none')
{
    my $answer = post_json($gateway, '/auth/login', { identifier => 'b@example.com', password => $UsherGateway::password }, 'Usher-Session' => 'cookie', 'Sec-Fetch-Site' => $site);
    if ($site ne 'cross-site')
    {
        is($answer->{status}, 200, "a login for cookies, $site");
        next;
    }
    problem_is($answer, 403, 'origin_not_allowed', "a login for cookies, $site");
    like(json_of($answer)->{detail}, qr/localhost and 127\.0\.0\.1 are two sites/, '… is told why');
}

# --- writing
is(send_as('/auth/me', %csrf, Origin => $own)->{status}, 200, 'with token and own origin');
is(send_as('/auth/me', %csrf, Origin => 'https://app.example.com')->{status}, 200, '… or an origin on the list');
is(send_as('/auth/me', %csrf, 'Sec-Fetch-Site' => 'same-origin')->{status}, 200, '… or without Origin, from the same origin by Sec-Fetch-Site');
problem_is(send_as('/auth/me', Origin => $own), 403, 'csrf_token_invalid', 'without the token');
problem_is(send_as('/auth/me', 'X-CSRF-Token' => 'x' x 43, Origin => $own), 403, 'csrf_token_invalid', 'with another token');
for my $case ([ 'another origin', Origin => 'https://evil.example.com' ], [ 'an opaque origin', Origin => 'null' ], [ 'a name that begins like ours', Origin => "$own.evil.example.com" ],
    [ 'another site by Sec-Fetch-Site', 'Sec-Fetch-Site' => 'cross-site' ], [ 'neither Origin nor Sec-Fetch-Site' ])
{
    my ($name, @headers) = @$case;
    problem_is(send_as('/auth/me', %csrf, @headers), 403, 'origin_not_allowed', $name);
}
# The cookies may come in several fields, in any order: the database reads all of them.
for my $fields ([ 'a=b', $cookie ], [ $cookie, 'a=b' ], [ 'a=b', split /; /, $cookie ])
{
    my $name = 'cookies in ' . @$fields . ' fields, ' . ($fields->[0] eq 'a=b' ? 'the session after others' : 'the session first');
    problem_is(post_json($gateway, '/auth/me', { first_name => 'B' }, method => 'PATCH', Cookie => $fields, %csrf, @$_), 403, 'origin_not_allowed', "$name, @$_")
      for [], [ Origin => 'https://evil.example.com' ];
    is(post_json($gateway, '/auth/me', { first_name => 'B' }, method => 'PATCH', Cookie => $fields, %csrf, Origin => $own)->{status}, 200, "$name, own origin");
    is(json_of(http($gateway, 'GET', '/auth/me', { headers => { Cookie => $fields } }))->{user_id}, $user, "$name: read");
}
problem_is(post_json($gateway, '/auth/me', {}, method => 'PATCH', Cookie => [ 'a=b', '__Host-usher_access=abc' ]), 403, 'origin_not_allowed', 'a cookie that is none, in the second field');
is($node->safe_psql('postgres', "SELECT version FROM usher.users WHERE id = '$user'") > 1, 1, 'the good ones were done');
my $me = get('/auth/me');
is(post_json($gateway, '/auth/login', { identifier => 'b@example.com', password => $UsherGateway::password }, Cookie => $cookie, Origin => $own)->{status}, 200,
    'an old cookie does not keep anybody from logging in');

# --- refresh by cookie: only when the page asks for it by a header of its own, which a form cannot send
is(post_json($gateway, '/auth/refresh', {}, Cookie => $cookie, Origin => $own)->{status}, 422, 'the refresh cookie is not taken without Usher-Session');
$answer = post_json($gateway, '/auth/refresh', {}, Cookie => $cookie, Origin => $own, 'Usher-Session' => 'cookie');
is($answer->{status}, 200, 'refresh by cookie') or diag($answer->{content});
is(scalar @{ $answer->{headers}{'set-cookie'} }, 3, '… gives new cookies');
($cookie) = map { join '; ', map { /^([^;]*)/ } @$_ } $answer->{headers}{'set-cookie'};
%csrf = ('X-CSRF-Token' => json_of($answer)->{csrf_token});
is(get('/auth/me')->{status}, 200, '… that work');

# --- log out
$answer = post_json($gateway, '/auth/logout', '', Cookie => $cookie, Origin => $own, %csrf);
is($answer->{status}, 204, 'log out') or diag($answer->{content});
is_deeply([ map { /^([^=]+)=; .*Max-Age=0/ } @{ $answer->{headers}{'set-cookie'} // [] } ], [qw(__Host-usher_access __Host-usher_refresh __Host-usher_csrf)], '… the browser forgets');
is(get('/auth/me')->{status}, 401, '… and the session is over');

# --- preflight, and what every answer carries
$answer = http($gateway, 'OPTIONS', '/auth/me', { headers => { Origin => 'https://app.example.com', 'Access-Control-Request-Method' => 'PATCH', 'Access-Control-Request-Headers' => 'x-csrf-token' } });
is($answer->{status}, 204, 'preflight');
is($answer->{headers}{'access-control-allow-origin'}, 'https://app.example.com', '… the origin');
is($answer->{headers}{'access-control-allow-credentials'}, 'true', '… with cookies');
like($answer->{headers}{'access-control-allow-headers'}, qr/X-CSRF-Token/i, '… the CSRF header');
like($answer->{headers}{'access-control-allow-headers'}, qr/Usher-Session/i, '… the session header');
$answer = http($gateway, 'OPTIONS', '/auth/me', { headers => { Origin => 'https://evil.example.com', 'Access-Control-Request-Method' => 'PATCH' } });
is($answer->{headers}{'access-control-allow-origin'}, undef, 'no preflight for others');
for my $path ('/auth/me', '/openapi.json', '/no/such/route')
{
    my $headers = http($gateway, 'GET', $path)->{headers};
    is_deeply([ @$headers{qw(x-content-type-options referrer-policy strict-transport-security content-security-policy server)} ],
        [ 'nosniff', 'no-referrer', 'max-age=31536000', "default-src 'none'; frame-ancestors 'none'", 'usher' ], "security headers of $path");
}
stop_gateway($gateway);
my $log = PostgreSQL::Test::Utils::slurp_file($gateway->{log});
unlike($log, qr/\Q$_\E/, 'no secret is in the log') for $cookies{'__Host-usher_access'}{value}, $cookies{'__Host-usher_refresh'}{value}, $body->{csrf_token}, $UsherGateway::password;
done_testing();

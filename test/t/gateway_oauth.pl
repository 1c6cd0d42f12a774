# OAuth 2.0: clients of others work unchanged, tokens of client_credentials may do what was asked for and end, and what is
# revoked is what was meant.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('oauth');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test');
sub one { return $node->safe_psql('postgres', $_[0]) }
one("ALTER SYSTEM SET usher.public_url = '$gateway->{url}/'; SELECT pg_reload_conf()");
stop_gateway($gateway); # its connections would know the other address for a moment
$gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', port => $gateway->{port}, port_search => 0);
my $issuer = $gateway->{url};
my $user = add_user($node, 'owner@example.com', 'admin');
my ($id, $key) = split /\|/, one("SELECT api_key_id, api_key FROM usher.create_api_key('machine', '{user:read,user:manage,token:introspect}', user_id => '$user')");
sub form { my ($where, $content, %headers) = @_; return http($gateway, 'POST', "/oauth/$where", { headers => { 'Content-Type' => 'application/x-www-form-urlencoded', %headers }, content => $content }) }
sub basic { return (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", '')) }
sub with { my ($method, $path, $token) = @_; return http($gateway, $method, $path, { headers => { Authorization => "Bearer $token" } })->{status} }
sub claims { my ($token) = @_; return decode_json(decode_base64((split /\./, $token)[1] =~ tr{-_}{+/}r)) }

# --- before there is a key
my $answer = http($gateway, 'GET', '/.well-known/jwks.json');
is_deeply([ $answer->{status}, $answer->{headers}{'cache-control'} ], [ 503, 'no-store' ], 'an empty key set is not given out, and not kept') or diag($answer->{content});

# --- others' clients
SKIP:
{
	skip 'node is not installed', 1 unless grep { -x "$_/node" } split /:/, $ENV{PATH};
	local $ENV{NODE_PATH} = $ENV{USHER_NODE};
	my ($out, $errors) = ('', '');
	my $ran = IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/oauth_clients.js", $issuer, $id, $key, 'user:read', 'usher' ], '<', \undef, '>', \$out, '2>', \$errors);
	ok($ran, 'the clients ran') or diag($errors);
	for my $each (@{ $ran ? decode_json($out) : [] })
	{
		utf8::encode(my $name = $each->[0]); # modules of PostgreSQL 17 and later die of a wide character
		ok($each->[1], $name);
	}
}

# --- the tokens
my $metadata = json_of(http($gateway, 'GET', '/.well-known/oauth-authorization-server'));
is($metadata->{issuer}, $issuer, 'issuer is the address that people use, without the slash');
is_deeply(json_of(http($gateway, 'GET', '/.well-known/openid-configuration')), $metadata, 'the same at both well-known paths');
my %session = log_in($gateway, 'owner@example.com');
my $mine = claims($session{Authorization} =~ s/Bearer //r);
is_deeply([ @$mine{qw(iss client_id)} ], [ $issuer, 'usher' ], 'a token of a session says who issued it, to whom');
sub token { my ($scope) = @_; return json_of(form('token', 'grant_type=client_credentials' . ($scope ? "&scope=$scope" : ''), basic($id, $key))) }
my ($all, $narrow) = (token(), token('user:read'));
is($all->{scope}, 'token:introspect user:manage user:read', 'without a scope: all that the key may');
my $claims = claims($narrow->{access_token});
is_deeply([ @$claims{qw(iss sub aud client_id scope)}, $claims->{exp} - $claims->{iat} ], [ $issuer, $user, 'usher', $id, 'user:read', $narrow->{expires_in} ], 'claims of RFC 9068');
is_deeply([ map { exists $claims->{$_} ? 1 : 0 } qw(roles sid amr) ], [ 0, 0, 0 ], '… and none of a person');
is_deeply([ map { with('GET', '/users?max_rows=1', $_->{access_token}) } $all, $narrow ], [ 200, 403 ], 'a token may do what its scope says, and nothing else of its key');
for my $bearer ($narrow->{access_token}, $key)
{
	my $me = json_of(http($gateway, 'GET', '/auth/me', { headers => { Authorization => "Bearer $bearer" } }));
	is_deeply([ $me->{user_id}, $me->{permissions} ], [ $user, $bearer eq $key ? [ 'token:introspect', 'user:manage', 'user:read' ] : ['user:read'] ], '… and is told what it may');
}
is(with('GET', '/auth/sessions', $_->{access_token}), 403, '… and never what a person only may') for $all, $narrow;
is(with('GET', '/auth/api-keys', $all->{access_token}), 403, '… such as keys');
my $clash = form('introspect', "token=$narrow->{access_token}", basic('00000000-0000-0000-0000-000000000000', $key));
is_deeply([ $clash->{status}, $clash->{headers}{'www-authenticate'} ], [ 401, 'Basic realm="usher"' ], 'introspection by Basic: id and key must belong together');

# --- revocation
is(form('revoke', "token=$narrow->{access_token}")->{status}, 200, 'a token is revoked');
is_deeply([ map { with('GET', '/auth/me', $_->{access_token}) } $narrow, $all ], [ 401, 200 ], '… at once, and no other of the same key');
my $lone = one("SELECT usher.issue_token('$user')");
is(with('GET', '/auth/me', $lone), 200, 'a token of issue_token() is good');
form('revoke', "token=$lone");
is(with('GET', '/auth/me', $lone), 401, '… until it is revoked');
one("UPDATE usher.api_keys SET permissions = '{user:read}' WHERE id = '$id'");
is(with('GET', '/users?max_rows=1', $all->{access_token}), 403, 'what a key no longer may, its tokens may not');
one("SELECT usher.revoke_api_key('$id')");
is_deeply([ with('GET', '/auth/me', $all->{access_token}), form('token', 'grant_type=client_credentials', basic($id, $key))->{status} ], [ 401, 401 ], 'the tokens of a key end with it');
my ($short_id, $short) = split /\|/, one("SELECT api_key_id, api_key FROM usher.create_api_key('short', '{user:read}', now() + interval '90 seconds', '$user')");
cmp_ok(json_of(form('token', 'grant_type=client_credentials', basic($short_id, $short)))->{expires_in}, '<=', 90, 'no token lives longer than its key');
one("UPDATE usher.revoked_tokens SET expires_at = now() - interval '1 day'; SELECT usher.run_maintenance()");
is(one('SELECT count(*) FROM usher.revoked_tokens'), '0', 'upkeep forgets revoked tokens that have expired');

# --- the settings agree
sub findings { return one("$_[0]; SELECT finding FROM usher.check_configuration() WHERE finding ~ 'public_url|token_issuer' ORDER BY 1") }
is(findings("SET usher.public_url = 'https://api.example.com'"), '', 'an https address is in order');
like(findings("SET usher.token_issuer = 'usher'; SET usher.public_url = 'https://api.example.com'"), qr/token_issuer is not the address/, 'an issuer that is not the address is found');
like(findings("SET usher.public_url = 'http://api.example.com'"), qr/public_url is not https/, 'so is an address in the clear');
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

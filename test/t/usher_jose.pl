# Tokens against another implementation, the npm library jose: it verifies ours by jwks(), and we verify its own, with a key
# that the caller gives and as those of an outside issuer, on a hot standby too.
use strict;
use warnings;
use DocumentBlocks;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @asymmetric = qw(ES256 ES384 ES512 RS256 PS256 EdDSA);
my @hmac = qw(HS256 HS384 HS512);

my $node = PostgreSQL::Test::Cluster->new('jose');
$node->init(allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION usher CASCADE');
$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('jose_standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;

sub one { return $node->safe_psql('postgres', $_[0]) }

sub jose
{
	my ($command, $input) = @_;
	local $ENV{NODE_PATH} = $ENV{USHER_NODE};
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'node', "$ENV{USHER_SOURCE}/test/node/jose.js", $command ], '<', \encode_json($input), '>', \$out, '2>', \$err)
	  or die "jose.js $command failed: $err";
	return decode_json($out);
}

sub quoted { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

# Ours, verified by jose: one token of each key while they all verify.
my $user = one("INSERT INTO usher.users (email, status) VALUES ('ann\@jose.example', 'active') RETURNING id");
my @tokens;
for my $algorithm (@asymmetric, @hmac)
{
	my $kid = one("SELECT usher.rotate_signing_key('$algorithm')");
	my %token = (alg => $algorithm, token => one("SELECT usher.issue_token('$user', '{\"\\u00e4\": [1, null]}')"));
	$token{secret} = one("SELECT private_key FROM usher.signing_keys WHERE kid = '$kid'") if $algorithm =~ /^HS/;
	push @tokens, \%token;
}
my $jwks = decode_json(one('SELECT usher.jwks()'));
is(scalar @{ $jwks->{keys} }, scalar @asymmetric, 'jwks() holds the public keys, and no others');
my $said = jose('verify', { jwks => $jwks, issuer => 'http://localhost:8080', audience => 'usher', tokens => \@tokens });
is($said->{$_}, "ok $_ $user", "jose verifies our $_") for @asymmetric, @hmac;

# An ended key is no longer in jwks(), so jose refuses what it signed.
one("UPDATE usher.signing_keys SET activates_at = now() - interval '2 days', retires_at = now() - interval '1 day' WHERE algorithm = 'ES384'");
$said = jose('verify', { jwks => decode_json(one('SELECT usher.jwks()')), issuer => 'http://localhost:8080', audience => 'usher', tokens => \@tokens });
like($said->{ES384}, qr/^ERR_JWKS_NO_MATCHING_KEY/, 'jose finds no retired key');
is($said->{ES256}, "ok ES256 $user", 'but the others');

# Those of jose, with a key of the caller's.
my $now = time;
my $secret = 'jose secret of more than 64 bytes, which is what HS512 asks for: 0123456789';
my $made = jose('sign', { secret => $secret, claims => { iss => 'https://jose.example/', aud => [ 'other', 'us' ], sub => 'jose|ann', iat => $now - 1, exp => $now + 3600, name => "\x{e4}\x{1f600}" } });
for my $each (@{ $made->{made} })
{
	my %keys = $each->{secret} ? (secret => $each->{secret}) : (PEM => $each->{pem}, 'private PEM' => $each->{private_pem}, JWK => encode_json($each->{jwk}));
	for my $form (sort keys %keys)
	{
		my $verify = "usher.verify_jwt('$each->{token}', " . quoted($keys{$form}) . ", '$each->{alg}', 'https://jose.example/', 'us')";
		is(one("SELECT coalesce(error, claims ->> 'sub' || ' ' || (claims ->> 'name' = U&'\\00e4\\+01f600')) FROM $verify"), 'jose|ann true', "$each->{alg} of jose verifies by its $form");
	}
	(my $changed = $each->{token}) =~ s/(.{20})$/reverse $1/e;
	my $verify = "usher.verify_jwt('$changed', " . quoted((sort values %keys)[0]) . ", '$each->{alg}')";
	like(one("SELECT error FROM $verify"), qr/^(invalid_signature|invalid_token)$/, 'a changed one does not');
}

# As an outside issuer, on the primary and on the standby.
sub of_standby { my ($sql) = @_; $node->wait_for_catchup($standby); return $standby->safe_psql('postgres', $sql) }
my %made = map { $_->{alg} => $_ } @{ $made->{made} };
my $set = encode_json({ keys => [ map { $made{$_}{jwk} } @asymmetric ] });
my $algorithms = '{' . join(',', @asymmetric) . '}';
one("SELECT usher.add_token_issuer('https://jose.example/', '{us}', " . quoted($set) . ", 'jose', '$algorithms')");
is(one("SELECT error FROM usher.verify_token('$made{ES256}{token}')"), 'unknown_subject', 'a subject that is not linked is refused');
one("SELECT usher.link_identity('$user', 'jose', 'jose|ann')");
for my $algorithm (@asymmetric)
{
	my $token = $made{$algorithm}{token};
	is(one("BEGIN; SELECT usher.authenticate('$token') = '$user'; COMMIT"), 't', "$algorithm of jose authenticates the linked user");
	is(of_standby("BEGIN; SELECT usher.authenticate('$token') = usher.current_user_id(); COMMIT"), 't', 'on a standby too');
	is(one("SELECT error FROM usher.verify_token('$made{$algorithm}{untyped}')"), '', 'a token without typ is accepted');
	is(one("SELECT error FROM usher.verify_token('$made{$algorithm}{logout}')"), 'wrong_token_type', 'a logout token is not');
	is(one("SELECT error FROM usher.verify_token('$made{$algorithm}{nameless}')"), '', 'a token without kid is, by the only key that it can be');
}
is(one("SELECT error FROM usher.verify_token('$made->{forged}')"), 'wrong_algorithm', 'not one with a shared secret');
is(one("SELECT error FROM usher.verify_token('$made{HS256}{token}')"), 'wrong_algorithm', 'nor without kid');

# The example of docs/identity.md.
my ($example) = map { $_->{text} } document_blocks('docs/identity.md') or die 'the example is missing';
my $bob = one("INSERT INTO usher.users (email, status) VALUES ('bob\@jose.example', 'active') RETURNING id");
my $auth0 = jose('sign', { secret => $secret, claims => { iss => 'https://tenant.eu.auth0.com/', aud => [ 'https://api.example.com', 'https://tenant.eu.auth0.com/userinfo' ],
	sub => 'auth0|5f7c8ec7c33c6c004bbafe82', iat => $now - 1, exp => $now + 3600, azp => 'web', scope => 'openid profile' } });
my ($rs256) = grep { $_->{alg} eq 'RS256' } @{ $auth0->{made} };
my ($out, $err) = ('', '');
IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'jwks=' . encode_json({ keys => [ $rs256->{jwk} ] }), '-v', "user_id=$bob", '-v', "token=$rs256->{untyped}", $node->connstr('postgres') ],
	'<', \$example, '>', \$out, '2>', \$err);
is($err, '', 'the example of docs/identity.md runs');
is($out, "\n\n$bob\n\n", 'and authenticates the linked user');

# A session of the standby that has verified the token before sees every change at its next statement.
my $session = $standby->background_psql('postgres');
my $check = "SELECT 'says ' || coalesce((usher.verify_token('$made{ES256}{token}')).error, 'ok')";
my $after = sub {
	my ($sql, $expected, $name) = @_;
	one($sql) if $sql;
	$node->wait_for_catchup($standby);
	is($session->query_safe($check), "says $expected", $name);
};
$after->('', 'ok', 'the standby knows the token');
$after->("SELECT usher.update_token_issuer('https://jose.example/', is_active => false)", 'unknown_key', 'an issuer that is switched off');
$after->("SELECT usher.update_token_issuer('https://jose.example/', is_active => true)", 'ok', 'and on again');
$after->("SELECT usher.update_token_issuer('https://jose.example/', jwks => jsonb_build_object('keys', jsonb_build_array(" . quoted(encode_json($made{RS256}{jwk})) . "::jsonb)))",
	'unknown_key', 'a key that is taken out of the set');
$after->("SELECT usher.update_token_issuer('https://jose.example/', jwks => " . quoted($set) . ')', 'ok', 'and put back');
$after->("SELECT usher.deactivate_user('$user')", 'token_revoked', 'a deactivated user');
$after->("SELECT usher.reactivate_user('$user')", 'ok', 'who is active again');
$after->("SELECT usher.unlink_identity('$user', 'jose')", 'unknown_subject', 'an identity that is unlinked');
$after->("SELECT usher.link_identity('$user', 'jose', 'jose|ann')", 'ok', 'and linked again');
$after->("SELECT usher.remove_token_issuer('https://jose.example/')", 'unknown_key', 'an issuer that is removed');
$session->quit;
$standby->stop;
$node->stop;
done_testing();

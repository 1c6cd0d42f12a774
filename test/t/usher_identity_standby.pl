# Ending a session or an API key is seen at the next statement: in other backends, and on a hot standby once it has replayed
# the commit. And what only reads works there.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('identity_primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "usher.argon2_memory = 8MB\nusher.argon2_iterations = 1\nusher.require_verified_email = off\n");
$primary->start;
sub one { return $primary->safe_psql('postgres', $_[0]) }
one('SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
my $ann = one("SELECT user_id FROM usher.register_user('ann\@standby.example', 'correct horse battery')");
one("SELECT usher.create_permission('parcel:read'); SELECT usher.grant_permission(to_user => '$ann', permission => 'parcel:read')");

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('identity_standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;

sub login { return split /\|/, one("SELECT session_id, access_token FROM usher.login('ann\@standby.example', 'correct horse battery')") }
sub replayed { $primary->wait_for_catchup($standby, 'replay') }

my ($session, $token) = login();
my ($other_session, $other_token) = login();
my ($key_id, $key) = split /\|/, one("SELECT api_key_id, api_key FROM usher.create_api_key('scanner', '{parcel:read}', NULL, '$ann')");
replayed();

# Sessions that are in the middle of a transaction as the user.
my %busy;
for my $node ($primary, $standby)
{
	for my $credential ($token, $other_token, $key)
	{
		my $psql = $node->background_psql('postgres', on_error_stop => 0);
		$psql->query("BEGIN ISOLATION LEVEL REPEATABLE READ");
		is($psql->query("SELECT usher.authenticate('$credential')"), $ann, $node->name . ': authenticates');
		is($psql->query("SELECT usher.has_permission('parcel:read')"), 't', $node->name . ': has the permission');
		$busy{ $node->name }{$credential} = $psql;
	}
}
my $who = 'SELECT usher.current_user_id()';
is($standby->safe_psql('postgres', "SELECT error IS NULL FROM usher.verify_token('$token')"), 't', 'the standby verifies tokens');
is($standby->safe_psql('postgres', "SELECT count(*) FROM usher.authenticate('$token') a, usher.list_sessions() WHERE status = 'active'"), 2, 'and lists sessions');
is(one("SELECT last_used_at IS NULL FROM usher.api_key_uses WHERE api_key_id = '$key_id'"), 't', 'a use of the key on the standby is not noted');
my ($ret, $out, $err) = $standby->psql('postgres', "SELECT usher.login('ann\@standby.example', 'correct horse battery')");
like($err, qr/read-only|recovery/, 'nobody logs in on a standby');

one("SELECT usher.revoke_session('$session')");
one("SELECT usher.revoke_api_key('$key_id')");
replayed();
for my $node ($primary, $standby)
{
	my $name = $node->name;
	is($busy{$name}{$token}->query($who), '', "$name: the ended session fails at the next statement of an open transaction");
	is($busy{$name}{$token}->query("SELECT usher.has_permission('parcel:read')"), 'f', "$name: and has no permission any more");
	is($busy{$name}{$key}->query($who), '', "$name: so does the revoked key");
	is($busy{$name}{$other_token}->query($who), $ann, "$name: the user's other session goes on");
	for my $gone ($token, $key)
	{
		($ret, $out, $err) = $node->psql('postgres', "SELECT usher.authenticate('$gone')");
		like($err, qr/access token is not valid/, "$name: and does not begin a new transaction");
	}
}
one("SELECT usher.deactivate_user('$ann')");
replayed();
for my $node ($primary, $standby)
{
	is($busy{ $node->name }{$other_token}->query($who), '', $node->name . ': a deactivated user is gone at once');
	$_->quit for values %{ $busy{ $node->name } };
}

# The examples of docs/identity.md run as they stand there.
my @examples = map { $_->{text} } document_blocks('docs/identity.md');
is(scalar(@examples), 3, 'docs/identity.md has examples');
my @said = map { $primary->safe_psql('postgres', $_) } @examples;
is($said[0], 't|4711', 'the example of import says what it should');
is($said[-1], 't|t', 'the example of API keys says what it should');

$standby->stop;
$primary->stop;
done_testing();

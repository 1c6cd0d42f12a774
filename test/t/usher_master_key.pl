# The master key outside of the database: what is sealed, every way in which its file can be wrong, a change of the key, and a
# standby. The keys never show in the server log.
use strict;
use warnings;
use DocumentBlocks;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $keys = PostgreSQL::Test::Utils::tempdir;
my $node = PostgreSQL::Test::Cluster->new('master_key');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "log_statement = all\nlog_min_messages = debug1\nlog_error_verbosity = verbose\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION usher CASCADE');

# What psql says of a statement that fails, with its SQLSTATE.
sub error_of
{
	my ($sql, $where) = @_;
	my ($status, $out, $err) = ($where // $node)->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $err;
}

sub one { return $node->safe_psql('postgres', $_[0]) }

sub write_key
{
	my ($name, $content, $mode) = @_;
	my $path = "$keys/$name";
	unlink $path;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file $content;
	close $file;
	chmod $mode // 0600, $path;
	return $path;
}

sub set_keys
{
	my ($path, $former) = @_;
	one("ALTER SYSTEM SET usher.master_key_file = '$path'");
	one("ALTER SYSTEM SET usher.former_master_key_file = '" . ($former // '') . "'");
	one('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres',
		"SELECT current_setting('usher.master_key_file') = '$path' AND current_setting('usher.former_master_key_file') = '" . ($former // '') . "'")
	  or die 'the settings did not arrive';
	return;
}

sub findings { return one("SELECT string_agg(severity || ': ' || finding, E'\\n' ORDER BY finding) FROM usher.check_configuration() WHERE finding ~ 'secret|master key'") }
sub sealed { return one("SELECT count(*) FILTER (WHERE private_key LIKE '\$sealed\$1\$%') || ' of ' || count(*) FROM usher.signing_keys") }

my ($hex, $second) = (join('', map { sprintf '%02x', $_ } 1 .. 32), "\xfe" x 32);
my $first_file = write_key('first', "$hex\n");
my $second_file = write_key('second', $second);

# Without a master key: as they are, and the configuration check says so.
my $user = one("INSERT INTO usher.users (email, status) VALUES ('ann\@keys.example', 'active') RETURNING id");
one("SELECT usher.rotate_signing_key('$_')") for 'HS256', 'ES256';
is(sealed(), '0 of 2', 'without a master key nothing is sealed');
is(findings(), 'notice: secrets are stored as they are', 'and check_configuration() says so');
my $plain = one("SELECT private_key FROM usher.signing_keys WHERE algorithm = 'ES256'");
my ($err, $old_token);
$old_token = one("SELECT usher.issue_token('$user')");

# With one: new keys are sealed, old ones by wrap_secrets(), and all work as before.
set_keys($first_file);
is(findings(), 'warning: secrets are not sealed under the master key that is set', 'the check names what is left to do');
one("SELECT usher.rotate_signing_key('HS512')");
is(sealed(), '1 of 3', 'a new key is sealed');
is(one("SELECT wrapped FROM usher.wrap_secrets() WHERE secrets = 'signing_keys'"), '2', 'wrap_secrets() seals the others');
is(sealed(), '3 of 3', 'now all are sealed');
is(one("SELECT sum(wrapped) FROM usher.wrap_secrets()"), '0', 'a second time there is nothing to do');
is(findings(), '', 'and nothing to find');
is(one("SELECT (usher.verify_token('$old_token')).error IS NULL"), 't', 'an old token verifies');
my $sealed_token = one("SELECT usher.issue_token('$user')");
is(one("SELECT (usher.verify_token('$sealed_token')).error IS NULL"), 't', 'a sealed key signs and verifies');
is(one("SELECT count(*) FROM usher.signing_keys WHERE private_key LIKE '%PRIVATE%'"), '0', 'no private key is left in the table');
unlike($node->safe_psql('postgres', 'SELECT * FROM usher.list_signing_keys()'), qr/sealed|PRIVATE/, 'list_signing_keys() shows neither form');

# A key belongs to its row.
one('BEGIN; UPDATE usher.signing_keys k SET private_key = (SELECT o.private_key FROM usher.signing_keys o WHERE o.algorithm = \'ES256\') WHERE k.algorithm = \'HS512\'; COMMIT');
$err = error_of("SELECT usher.issue_token('$user')");
like($err, qr/US101: a sealed secret was damaged, or belongs to another row/, 'a key that was put into another row does not open');
one("DELETE FROM usher.signing_keys WHERE algorithm = 'HS512'");
one("UPDATE usher.signing_keys SET retires_at = NULL WHERE algorithm = 'ES256'");

# Each way in which the file can be wrong has its own words, and no word of the key.
my %wrong = (
	missing => [ "$keys/none", 'could not be opened: there is no such file' ],
	folder => [ $keys, 'is not a regular file' ],
	short => [ write_key('short', 'abc'), 'does not hold a key of 256 bits' ],
	long => [ write_key('long', $hex x 100), 'does not hold a key of 256 bits' ],
	empty => [ write_key('empty', ''), 'does not hold a key of 256 bits' ],
	group => [ write_key('group', $hex, 0640), 'can be read or written by others than its owner' ],
	world => [ write_key('world', $hex, 0604), 'can be read or written by others than its owner' ],
	group_writes => [ write_key('writes', $hex, 0620), 'can be read or written by others than its owner' ]);
POSIX::mkfifo("$keys/pipe", 0600) or die "pipe: $!";
$wrong{pipe} = [ "$keys/pipe", 'is not a regular file' ];
for my $case (sort keys %wrong)
{
	my ($path, $message) = @{ $wrong{$case} };
	set_keys($path);
	$err = error_of("SELECT usher.issue_token('$user')");
	like($err, qr/US101: master key file "\Q$path\E" \Q$message\E/, "$case: signing names what is wrong");
	unlike($err, qr/\Q$hex\E/, "$case: and not the key");
	is(findings(), "critical: master key file \"$path\" $message", "$case: and so does check_configuration()");
	$err = error_of('SELECT usher.rotate_signing_key()');
	like($err, qr/US101/, "$case: no key is stored unsealed instead");
	$err = error_of('SELECT * FROM usher.wrap_secrets()');
	like($err, qr/US101/, "$case: and none is unwrapped");
	is(one("SELECT error FROM usher.verify_token((SELECT '$old_token'))"), '', "$case: what has a public key still verifies");
}
set_keys($second_file);
$err = error_of("SELECT usher.issue_token('$user')");
like($err, qr/a secret is sealed under master key [0-9a-f]{16}, which is not the one in the key file/, 'another key: the error names the one that is missing');
like($err, qr/HINT:  Set usher.former_master_key_file/, 'and what to do');
set_keys('');
$err = error_of("SELECT usher.issue_token('$user')");
like($err, qr/a secret is sealed under a master key, but no key file is set/, 'no key file at all');

# Over HTTP nobody sees more than that something is wrong.
one("SELECT usher.register_user('bob\@keys.example', 'correct horse battery')");
one("UPDATE usher.users SET status = 'active', email_verified_at = now()");
is(one(q{SELECT h.status || ' ' || (h.body::jsonb ->> 'code') || ' ' || coalesce(h.body::jsonb ->> 'detail', '-')
	FROM usher.http_request('POST', '/auth/login', NULL, '{"content-type": "application/json"}', '{"identifier": "bob@keys.example", "password": "correct horse battery"}', '192.0.2.1') h}),
	'500 master_key_unavailable -', 'a login over HTTP answers 500 without details');

# A change of the master key: the new one first, the old one beside it, then everything anew.
set_keys($second_file, $first_file);
is(one("SELECT (usher.verify_token('$old_token')).error IS NULL"), 't', 'the former key opens what it sealed');
is(findings(), 'warning: secrets are not sealed under the master key that is set', 'the check asks for wrap_secrets()');
one("SELECT usher.issue_token('$user')");
is(one("SELECT wrapped FROM usher.wrap_secrets() WHERE secrets = 'signing_keys'"), '2', 'wrap_secrets() seals under the new key');
set_keys($second_file);
is(one("SELECT (usher.verify_token(usher.issue_token('$user'))).error IS NULL"), 't', 'the former file is no longer needed');
is(one("SELECT string_agg(DISTINCT event_data ->> 'secrets', ',') FROM usher.audit_logs WHERE event_type = 'secrets.wrapped'"), 'signing_keys', 'wrapping is audited');

# In the data directory, where every backup takes it along.
my $inside = $node->data_dir . '/master.key';
PostgreSQL::Test::Utils::append_to_file($inside, $second);
chmod 0600, $inside;
set_keys($inside);
is(findings(), 'warning: the master key lies in the data directory', 'a key beside the data is found');
set_keys('master.key');
is(findings(), 'warning: the master key lies in the data directory', 'by a relative path too');
is(one("SELECT (usher.verify_token(usher.issue_token('$user'))).error IS NULL"), 't', 'but it works');
set_keys($second_file);

# A standby without the file verifies what has a public key, and says why it cannot verify the rest.
one("SELECT usher.rotate_signing_key('ES256')");
my $public_token = one("SELECT usher.issue_token('$user')");
one("SELECT usher.rotate_signing_key('HS256')");
my $secret_token = one("SELECT usher.issue_token('$user')");
$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->append_conf('postgresql.auto.conf', "usher.master_key_file = '$keys/none'\nusher.former_master_key_file = ''");
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT error IS NULL FROM usher.verify_token('$public_token')"), 't', 'a standby without the key verifies by public keys');
is($standby->safe_psql('postgres', "BEGIN; SELECT usher.authenticate('$public_token') = '$user'; COMMIT"), 't', 'and authenticates');
is($standby->safe_psql('postgres', "SELECT jsonb_array_length(usher.jwks() -> 'keys') > 0"), 't', 'and publishes them');
$err = error_of("SELECT error FROM usher.verify_token('$secret_token')", $standby);
like($err, qr/US101: master key file "\Q$keys\E\/none" could not be opened/, 'an HMAC key needs the file');
$standby->stop;

# Back to no master key.
set_keys('', $second_file);
cmp_ok(one("SELECT wrapped FROM usher.wrap_secrets() WHERE secrets = 'signing_keys'"), '>', 0, 'wrap_secrets() unwraps when no key is set');
set_keys('');
is(sealed() =~ /^0 of/ ? 'none' : sealed(), 'none', 'nothing is sealed any more');
is(one("SELECT private_key FROM usher.signing_keys WHERE algorithm = 'ES256' ORDER BY activates_at LIMIT 1"), $plain, 'and the key is the one it was');
is(one("SELECT (usher.verify_token('$old_token')).error IS NULL"), 't', 'that its tokens verify with');

# As docs/identity.md has it, in another folder. ALTER SYSTEM goes before what stands in postgresql.conf.
{
	my ($make, $settings, $wrap) = map { $_->{text} =~ s{/etc/postgresql}{$keys}gr } document_blocks('docs/identity.md');
	my $owner = getpwuid $<;
	command_ok([ 'sh', '-ec', $make =~ s/chown postgres/chown $owner/r ], 'the commands of the page make a key');
	one('ALTER SYSTEM RESET usher.master_key_file');
	$node->append_conf('postgresql.conf', $settings);
	one('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('usher.master_key_file') = '$keys/usher.key'") or die 'the setting did not arrive';
	like(one($wrap), qr/^signing_keys\|[1-9]/m, '… under which secrets are sealed');
	is(sealed() =~ /^(\d+) of \1$/ ? 'all' : sealed(), 'all', '… all of them');
	is(one("SELECT (usher.verify_token('$old_token')).error IS NULL"), 't', '… and work');
}

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/\Q$hex\E|\Q$second\E/, 'the server log does not hold a master key');
(my $body = $plain) =~ s/-----[A-Z ]+-----|\n//g;
unlike($log, qr/\Q$body\E|BEGIN PRIVATE/, 'nor a signing key');
$node->stop;
done_testing();

# No secret leaves the server by another way than the answer: not through the server log at log_statement = all with
# parameters, pg_stat_activity, errors and their context, audit rows, events, or any table.
#
# Everything that takes or gives a secret is called by the granted roles, with the secrets as parameters of prepared
# statements (pgbench -M prepared), once rightly and once in a way that raises an error. Then all these places are
# searched for each secret.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherParallel qw(totp);

my $node = PostgreSQL::Test::Cluster->new('secrets');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
log_statement = all
log_min_duration_statement = 0
log_min_messages = debug1
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
track_activity_query_size = 64kB
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
usher.totp_window = 10
CONF
$node->start;
sub one { return $node->safe_psql('postgres', $_[0]) }
one('SET client_min_messages = warning; CREATE EXTENSION usher CASCADE');
one("CREATE ROLE app LOGIN; CREATE ROLE gate LOGIN; SELECT usher.grant_access('app', 'application'); SELECT usher.grant_access('gate', 'gateway')");
# Where the roles put what they were given, by parameters as well.
one('CREATE TABLE given (name text PRIMARY KEY, value text); GRANT ALL ON given TO app, gate');
one('CREATE TABLE watched (query text)');

my @seen; # what pg_stat_activity showed while a script ran
my $script = $node->basedir . '/script.sql';

# Runs a script as a role, with variables; returns what pgbench said.
sub run_as
{
	my ($role, $sql, %variables) = @_;
	PostgreSQL::Test::Utils::append_to_file($script, '') unless -e $script;
	open my $file, '>', $script or die $!;
	print $file $sql;
	close $file;
	my ($out, $err) = ('', '');
	my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', 1, '-t', 1, '-f', $script, '-U', $role, '-h', $node->host, '-p', $node->port,
			(map { ('-D', "$_=$variables{$_}") } sort keys %variables), 'postgres' ], '<', \undef, '>', \$out, '2>', \$err);
	while ($pgbench->pumpable)
	{
		$pgbench->pump_nb;
		push @seen, $node->safe_psql('postgres', 'SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	}
	$pgbench->finish;
	return $out . $err;
}

sub runs
{
	my ($name, $role, $sql, %variables) = @_;
	my $said = run_as($role, $sql, %variables);
	like($said, qr{number of transactions actually processed: 1/1}, "$name runs as $role") or diag($said);
}

sub fails
{
	my ($name, $role, $error, $sql, %variables) = @_;
	like(run_as($role, $sql, %variables), $error, "$name raises an error as $role");
}

my %secret = (
	password => 'Tr0ub4dor-horse-battery', wrong_password => 'wr0ng-guess-of-somebody', new_password => 'Another-g00d-password',
	reset_password => 'Reset-by-mail-passw0rd', jwt_secret => 'an-HMAC-secret-of-more-than-32-bytes', short_password => 'sh0rtpw',
	known_hash => '$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0$Tm90QVJlYWxIYXNoQnV0VGhlRm9ybUlzUmlnaHQ',
	bad_hash => '$argon2id$v=19$m=99999999,t=1,p=1$c2VjcmV0c2VjcmV0$c2VjcmV0aGFzaHNlY3JldGhhc2g', provider_token => 'ya29.a-token-of-the-provider');
my $email = 'ann@secrets.example';

# Accounts and sessions.
runs('registration', 'app', <<'SQL', email => $email, password => $secret{password}, short => $secret{short_password});
SELECT user_id, error FROM usher.register_user(:email, :short) \gset bad_
SELECT user_id FROM usher.register_user(:email, :password) \gset
INSERT INTO given VALUES ('user_id', :user_id);
SQL
my $user = one("SELECT value FROM given WHERE name = 'user_id'");
sub mailed { return one("SELECT payload ->> '$_[1]' FROM usher.events WHERE event = '$_[0]' AND payload ? '$_[1]'") }
$secret{verification_token} = mailed('user.email_verification_requested', 'token');
runs('verification', 'app', 'SELECT usher.verify_email(:token, :password);', token => $secret{verification_token}, password => $secret{password});
runs('login', 'app', <<'SQL', email => $email, password => $secret{password}, wrong => $secret{wrong_password});
SELECT error FROM usher.login(:email, :wrong) \gset bad_
SELECT error FROM usher.login(:wrong, :password) \gset bad_
SELECT session_id, access_token, refresh_token FROM usher.login(:email, :password) \gset
INSERT INTO given VALUES ('access_token', :access_token), ('refresh_token', :refresh_token);
SELECT usher.authenticate(:access_token);
SELECT refresh_token AS next_token, access_token AS next_access FROM usher.refresh_session(:refresh_token) \gset
INSERT INTO given VALUES ('next_refresh_token', :next_token), ('next_access_token', :next_access);
SELECT error FROM usher.verify_token(:next_access) \gset bad_
SQL
$secret{$_} = one("SELECT value FROM given WHERE name = '$_'") for qw(access_token refresh_token next_refresh_token next_access_token);
fails('a token that is not good', 'app', qr/access token is not valid/, 'SELECT usher.authenticate(:token);', token => $secret{access_token} . 'x');
fails('an error in the statement that has a secret', 'app', qr/division by zero/, 'SELECT usher.verify_token(:token), 1 / (length(:token) - length(:token));', token => $secret{access_token});

# Second factors.
runs('enrolling', 'app', <<'SQL', token => $secret{access_token}, password => $secret{password});
BEGIN;
SELECT usher.authenticate(:token);
SELECT factor_id, secret, otpauth_uri FROM usher.enroll_totp(:password) \gset
COMMIT;
INSERT INTO given VALUES ('factor_id', :factor_id), ('totp_secret', :secret);
SQL
$secret{totp_secret} = one("SELECT value FROM given WHERE name = 'totp_secret'");
my $factor = one("SELECT value FROM given WHERE name = 'factor_id'");
runs('confirming', 'app', <<'SQL', token => $secret{access_token}, factor => $factor, code => totp($secret{totp_secret}, -9));
BEGIN;
SELECT usher.authenticate(:token);
SELECT recovery_codes[1] AS code1, recovery_codes[2] AS code2 FROM usher.confirm_totp(:factor, :code) \gset
COMMIT;
INSERT INTO given VALUES ('recovery_code_1', :code1), ('recovery_code_2', :code2);
SQL
$secret{$_} = one("SELECT value FROM given WHERE name = '$_'") for qw(recovery_code_1 recovery_code_2);
runs('a login with two factors', 'app', <<'SQL', email => $email, password => $secret{password}, recovery => $secret{recovery_code_1}, code => totp($secret{totp_secret}, -8));
SELECT challenge FROM usher.login(:email, :password) \gset
INSERT INTO given VALUES ('challenge', :challenge);
SELECT error FROM usher.login_second_factor(:challenge, :recovery) \gset bad_
SELECT challenge AS again FROM usher.login(:email, :password) \gset
SELECT access_token FROM usher.login_second_factor(:again, :code) \gset
INSERT INTO given VALUES ('strong_token', :access_token);
SQL
$secret{$_} = one("SELECT value FROM given WHERE name = '$_'") for qw(challenge strong_token);

# Codes and links by mail, passwords.
runs('asking for mail', 'app', "SELECT usher.request_login_code(:email);\nSELECT usher.request_password_reset(:email);", email => $email);
my $code = mailed('user.login_code_requested', 'code');
$secret{reset_token} = mailed('user.password_reset_requested', 'token');
runs('a login with a code', 'app', 'SELECT error FROM usher.login_with_code(:email, :code) \gset', email => $email, code => $code);
runs('a reset', 'app', <<'SQL', token => $secret{reset_token}, short => $secret{short_password}, password => $secret{reset_password});
SELECT error AS refused FROM usher.reset_password(:token, :short) \gset
SELECT error FROM usher.reset_password(:token, :password) \gset
SQL
runs('a change of password', 'app', <<'SQL', email => $email, old => $secret{reset_password}, new => $secret{new_password}, wrong => $secret{wrong_password}, code => totp($secret{totp_secret}, -7));
SELECT challenge FROM usher.login(:email, :old) \gset
SELECT access_token FROM usher.login_second_factor(:challenge, :code) \gset
BEGIN;
SELECT usher.authenticate(:access_token);
SELECT usher.change_password(:wrong, :new);
SELECT usher.change_password(:old, :new);
SELECT api_key FROM usher.create_api_key('machine', '{*:*}') \gset
COMMIT;
INSERT INTO given VALUES ('api_key', :api_key);
SELECT usher.authenticate(:api_key);
SELECT usher.hash_password(:new) AS hash \gset
INSERT INTO given VALUES ('hash', :hash);
SELECT usher.verify_password(:new, :hash);
SQL
$secret{$_} = one("SELECT value FROM given WHERE name = '$_'") for qw(api_key hash);

# Tokens of the caller's own, and what administrators do.
runs('own tokens', 'app', <<'SQL', secret => $secret{jwt_secret});
SELECT usher.sign_jwt('{"sub": "1"}', :secret, 'HS256') AS token \gset
SELECT error FROM usher.verify_jwt(:token, :secret, 'HS256') \gset
SQL
fails('an algorithm that there is not', 'app', qr/algorithm/, "SELECT usher.sign_jwt('{}', :secret, 'HS1');", secret => $secret{jwt_secret});
one('GRANT EXECUTE ON FUNCTION usher.import_password_hash, usher.set_provider_tokens, usher.link_identity TO app');
one("INSERT INTO usher.database_roles (role_name, level, role_oid) VALUES ('app', 'admin', 'app'::regrole)");
runs('import', 'app', <<'SQL', user => $user, hash => $secret{known_hash}, token => $secret{provider_token});
SELECT usher.import_password_hash(:user, :hash);
SELECT identity_id FROM usher.link_identity(:user, 'google', '1') \gset
SELECT usher.set_provider_tokens(:user, 'google', :token);
SQL
fails('a hash over the caps', 'app', qr/hash|cost|memory/, 'SELECT usher.import_password_hash(:user, :hash);', user => $user, hash => $secret{bad_hash});

# The same through the gateway's one statement.
runs('HTTP', 'gate', <<'SQL', email => $email, password => $secret{password}, wrong => $secret{wrong_password}, token => $secret{strong_token}, key => $secret{api_key}, refresh => $secret{next_refresh_token});
SELECT status FROM usher.http_request('POST', '/auth/login', '', '{"content-type": "application/json"}', jsonb_build_object('identifier', :email::text, 'password', :wrong::text)::text, NULL) \gset
SELECT status FROM usher.http_request('POST', '/auth/register', '', '{"content-type": "application/json"}', jsonb_build_object('email', 'bob@secrets.example', 'password', :password::text)::text, NULL) \gset
SELECT status FROM usher.http_request('POST', '/auth/refresh', '', '{"content-type": "application/json"}', jsonb_build_object('refresh_token', :refresh::text)::text, NULL) \gset
SELECT status FROM usher.http_request('GET', '/auth/me', '', jsonb_build_object('authorization', 'Bearer ' || :token::text), NULL, NULL) \gset
SELECT status FROM usher.http_request('GET', '/auth/me', '', jsonb_build_object('authorization', 'Bearer ' || :key::text), NULL, NULL) \gset
SELECT status FROM usher.http_request('POST', '/auth/password/change', '', jsonb_build_object('authorization', 'Bearer ' || :key::text, 'content-type', 'application/json'), jsonb_build_object('current_password', :password::text, 'new_password', :wrong::text)::text, NULL) \gset
SQL
fails('HTTP with headers that are none', 'gate', qr/ERROR/, "SELECT usher.http_request('POST', '/auth/login', '', :password::jsonb, :password, NULL);", password => $secret{password});

# Without grant_access() the log would have them: that it is silent is no accident of its settings.
runs('a control', one('SELECT current_user'), 'SELECT length(:canary::text);', canary => 'canary-in-the-log');

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
like($log, qr/usher\.register_user\(\$1, \$2\)/, 'the log has the statements, with placeholders');
like($log, qr/usher\.import_password_hash\(\$1, \$2\)/, 'those that failed too');
like($log, qr/canary-in-the-log/, 'and the parameters of a role without an access level');
cmp_ok(scalar(@seen), '>', 20, 'pg_stat_activity was looked at');
my %places = ('the server log' => $log, 'pg_stat_activity' => join("\n", @seen));
for my $table (split /\n/, one("SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind = 'r'"))
{
	$places{$table} = one("SELECT t::text FROM $table t");
}
like($places{'usher.users'}, qr/\Q$email/, 'and the tables');
my $stored_hash = one("SELECT password_hash FROM usher.credentials WHERE user_id = '$user'");
is($stored_hash, $secret{known_hash}, 'the imported hash is in credentials');
delete $secret{known_hash};
for my $name (sort keys %secret)
{
	cmp_ok(length $secret{$name}, '>', 6, "$name is something to look for");
	my @found = grep { index($places{$_}, $secret{$name}) >= 0 } sort keys %places;
	is("@found", '', "$name is found nowhere");
}
unlike($places{'the server log'}, qr/\Q$stored_hash/, 'the imported hash is not in the log');
unlike($places{'usher.events'}, qr/"code"/, 'no code is left in the events');

$node->stop;
done_testing();

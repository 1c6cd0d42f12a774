# check_configuration() finds each weakness of a server, and is silent about what has been put right.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('weak');
$node->init;
$node->append_conf('postgresql.conf', 'log_statement = none'); # a test node logs all
$node->start;
$node->safe_psql('postgres', q{SET client_min_messages = warning; CREATE EXTENSION usher CASCADE; CREATE ROLE weak_app; SELECT usher.grant_access('weak_app', 'application')});
sub findings { return $node->safe_psql('postgres', q{SELECT severity || ': ' || finding || ' -> ' || advice FROM usher.check_configuration() ORDER BY 1}) }
my $strong = findings();

# Each setting, what is found, and how bad it is. Some are those of the server, some of its libraries, some of the extension.
my @weak = (
	[ "listen_addresses = '127.0.0.1,127.0.0.2'",    qr/warning: connections over the network are not encrypted .* ssl = on/, 'missing TLS' ],
	[ "shared_preload_libraries = ''",               qr/warning: the library is not preloaded .* shared_preload_libraries = 'usher'/, 'missing preload' ],
	[ "full_page_writes = off",                      qr/critical: full_page_writes is off/, 'full_page_writes' ],
	[ "session_replication_role = replica",          qr/critical: session_replication_role is replica/, 'session_replication_role' ],
	[ "usher.restoring = on",                        qr/critical: usher.restoring is on/, 'usher.restoring' ],
	[ "log_statement = 'mod'",                       qr/warning: log_statement writes statements with their values to the server log/, 'log_statement' ],
	[ "log_parameter_max_length_on_error = 100",     qr/critical: parameters of failed statements are written to the server log/, 'log_parameter_max_length_on_error' ],
	[ "debug_print_parse = on",                      qr/critical: parse trees, with their values, are written to the server log/, 'debug_print_parse' ],
	[ "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0", qr/critical: auto_explain writes parameters to the server log/, 'auto_explain' ],
	[ "password_encryption = md5",                   qr/warning: passwords of database roles are hashed with md5/, 'password_encryption' ],
	[ "usher.bcrypt_rounds = 10",                    qr/warning: bcrypt runs with fewer than 12 rounds/, 'usher.bcrypt_rounds' ],
	[ "usher.argon2_memory = 8192",                  qr/warning: Argon2id runs with less than the OWASP minimum/, 'usher.argon2_memory' ],
	[ "usher.lockout_threshold = 50",                qr/warning: an account takes more than 10 guesses/, 'usher.lockout_threshold' ],
	[ "usher.access_token_ttl = '2h'",               qr/warning: access tokens live longer than an hour/, 'usher.access_token_ttl' ],
	[ "usher.refresh_reuse = lenient",               qr/warning: the reuse of a refresh token goes unpunished/, 'usher.refresh_reuse' ],
	[ "usher.reveal_lockout = on",                   qr/notice: login tells strangers that an account is locked/, 'usher.reveal_lockout' ],
	[ "usher.require_verified_email = off",          qr/notice: accounts with unverified addresses may log in/, 'usher.require_verified_email' ],
	[ "usher.audit_chain = off",                     qr/warning: the audit log is not sealed/, 'usher.audit_chain' ],
	[ "usher.archive_function = 'nowhere.to_go'", qr/warning: usher.archive_function does not exist/, 'usher.archive_function' ],
	[ "usher.audit_archive_function = 'nowhere.to_go'", qr/warning: usher.audit_archive_function does not exist/, 'usher.audit_archive_function' ],
	[ "usher.master_key_file = 'key'",               qr/warning: the master key lies in the data directory/, 'usher.master_key_file' ]);
like($strong, qr/critical: fsync is off/, 'fsync: found, as tests run');
unlike($strong, $_->[1], "$_->[2]: not found before") for grep { $_->[2] !~ /preload/ } @weak;
$node->append_conf('postgresql.conf', join "\n", map { $_->[0] } @weak);
# what lets people in
my $hba = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/pg_hba.conf');
PostgreSQL::Test::Utils::append_to_file($node->data_dir . '/pg_hba.conf', "host all all 10.0.0.0/8 trust\nhost all all 10.1.0.0/16 md5\nhostssl all all 10.2.0.0/16 scram-sha-256\n");
$node->restart;
my $found = findings();
like($found, $_->[1], "$_->[2]: found") for @weak;
like($found, qr/critical: line \d+ of pg_hba.conf lets anybody in without a password/, 'pg_hba.conf: trust');
like($found, qr/warning: line \d+ of pg_hba.conf sends passwords that can be read or replayed/, 'pg_hba.conf: md5');
is(scalar(() = $found =~ /accepts connections over the network without TLS/g), 2, 'pg_hba.conf: host instead of hostssl, twice');

# privileges and tables
$node->safe_psql('postgres', q{
	SET session_replication_role = origin;
	GRANT SELECT ON usher.users TO PUBLIC;
	GRANT EXECUTE ON FUNCTION usher.uuid_v7() TO PUBLIC;
	GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE ROLE weak_author;
	GRANT TRIGGER ON usher.machines TO weak_author;
	CREATE FUNCTION weak_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	ALTER FUNCTION weak_trigger() OWNER TO weak_author;
	CREATE TRIGGER weak BEFORE INSERT ON usher.machines FOR EACH ROW EXECUTE FUNCTION weak_trigger();
	ALTER ROLE weak_app BYPASSRLS;
	ALTER ROLE weak_app RESET log_parameter_max_length;
	CREATE TABLE unwatched (id integer);
	ALTER TABLE usher.machines DISABLE TRIGGER announce_machine});
$found = findings();
like($found, qr/critical: PUBLIC may select usher.users .*REVOKE ALL ON usher.users FROM PUBLIC/, 'a table granted to PUBLIC');
like($found, qr/critical: usher.uuid_v7\(\) is granted to PUBLIC/, 'a function granted to PUBLIC');
like($found, qr/critical: PUBLIC may create objects in schema public/, 'a schema that anybody may write');
like($found, qr/critical: role weak_app of level application passes all checks of the server/, 'a role that row-level security does not hold for');
like($found, qr/critical: parameters of role weak_app are written to the server log .*SET log_parameter_max_length = 0/, 'a role whose parameters are logged');
like($found, qr/notice: table public.unwatched is not audited .*enable_audit\('public.unwatched'\)/, 'a table without audit');
like($found, qr/critical: trigger announce_machine of table usher.machines is disabled/, 'a trigger that is disabled');
like($found, qr/critical: role weak_author may put triggers on usher.machines -> REVOKE TRIGGER ON usher.machines FROM weak_author/, 'a role that may put triggers on a table of ours');
like($found, qr/critical: trigger weak of usher.machines runs a function of weak_author as (\w+) -> ALTER FUNCTION public.weak_trigger\(\) OWNER TO \g1/, 'a trigger with a function of somebody else');

# following one piece of advice finds the next
$node->safe_psql('postgres', q{SET client_min_messages = warning; SELECT usher.enable_audit('unwatched')});
like(findings(), qr/notice: rows of table public.unwatched cannot be told apart .*enable_audit\('public.unwatched', key => /, 'a table that is audited without a key');

# All put right by following the advice: nothing more is found than at first, in a server that has the library preloaded.
$node->safe_psql('postgres', q{
	SET session_replication_role = origin;
	REVOKE SELECT ON usher.users FROM PUBLIC;
	REVOKE EXECUTE ON FUNCTION usher.uuid_v7() FROM PUBLIC;
	REVOKE CREATE ON SCHEMA public FROM PUBLIC;
	REVOKE TRIGGER ON usher.machines FROM weak_author;
	DROP FUNCTION weak_trigger() CASCADE;
	ALTER ROLE weak_app NOBYPASSRLS;
	SELECT usher.grant_access('weak_app', 'application');
	SELECT usher.enable_audit('unwatched', key => '{id}');
	ALTER TABLE usher.machines ENABLE ALWAYS TRIGGER announce_machine});
my $conf = PostgreSQL::Test::Utils::slurp_file($node->data_dir . '/postgresql.conf');
$conf =~ s/^\Q$_\E$/# $_/mg for map { split /\n/, $_->[0] } @weak;
open my $file, '>', $node->data_dir . '/postgresql.conf' or die;
print $file "$conf\nlisten_addresses = ''\nlog_statement = none\n";
close $file;
open $file, '>', $node->data_dir . '/pg_hba.conf' or die;
print $file $hba;
close $file;
$node->restart;
is(findings(), $strong, 'followed, the advice leaves what was there at first');
$node->stop;
done_testing();

# docs/runbook.md, in order: each accident is made, the page is followed, and what it promises is looked at.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('runbook');
$node->init(allows_streaming => 1, extra => ['--data-checksums']);
my $folder = PostgreSQL::Test::Utils::tempdir;
my $key = "$folder/master.key";
sh("umask 077; head -c 32 /dev/urandom > '$key'");
$node->append_conf('postgresql.conf', "usher.master_key_file = '$key'\nusher.require_verified_email = off\nusher.worker_databases = 'app'\n");
$node->start;
sub one { return $node->safe_psql('app', $_[0]) }
append_to_file("$folder/schema.sql", <<'SQL');
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA wash;
CREATE EXTENSION usher_booking SCHEMA wash CASCADE;
CREATE EXTENSION usher_payment SCHEMA wash CASCADE;
CREATE EXTENSION usher_shop SCHEMA wash CASCADE;
CREATE EXTENSION usher_loyalty SCHEMA wash CASCADE;
CREATE SCHEMA courier;
CREATE EXTENSION usher_courier SCHEMA courier CASCADE;
SELECT usher.grant_access('usher_gateway', 'gateway');
SQL
$node->safe_psql('postgres', 'CREATE ROLE usher_gateway LOGIN; CREATE DATABASE app');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('app'), '-f', "$folder/schema.sql" ], 'a database');
my %environment = (
	PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'app', DATA => $node->data_dir, DUMP => "$folder/dump", SCHEMA => "$folder/schema.sql",
	MASTER_KEY => $key, PGPASSFILE_OF_GATEWAY => "$folder/passfile");
local @ENV{ keys %environment } = values %environment;

my @blocks = document_blocks('docs/runbook.md');
is(scalar @blocks, 23, 'docs/runbook.md has its blocks');
# The next block of the page, after so many that this test passes over.
sub follow { return run_block(shift @blocks) }

# A login; its tokens in the order of the columns.
sub log_in
{
	my ($name) = @_;
	my ($error, $access, $refresh) = split /\|/, one("SELECT error, access_token, refresh_token FROM usher.login('$name\@runbook.example', 'what $name remembers')"), -1;
	return { error => $error, access => $access, refresh => $refresh };
}
sub accepts { my ($session) = @_; my ($status) = $node->psql('app', "SELECT usher.authenticate('$session->{access}')"); return $status == 0 ? 'accepted' : 'refused' }
sub refresh
{
	my ($session) = @_;
	my ($error, $access, $refresh) = split /\|/, one("SELECT error, access_token, refresh_token FROM usher.refresh_session(refresh_token => '$session->{refresh}')"), -1;
	@$session{qw(access refresh)} = ($access, $refresh);
	return $error;
}
sub people { one("SELECT usher.register_user('$_\@runbook.example', 'what $_ remembers')") for qw(ann bob) }
people();
follow(); # what the server says

# --- damaged: an index on the disk, whose pages no longer match their checksums
sub damage
{
	my ($relation) = @_;
	my $file = one("SELECT pg_relation_filepath('$relation')");
	$node->stop;
	open my $page, '+<:raw', $node->data_dir . "/$file" or die "$file: $!";
	seek $page, 8192 + 4000, 0;
	print $page 'damaged';
	close $page;
	$node->start;
	return;
}
damage('usher.users_email_key');
isnt(scalar $node->psql('app', q{INSERT INTO usher.users (email, status) VALUES ('eve@runbook.example', 'active')}), 0, 'damaged: nobody new comes in');
follow();
follow();
follow();
is(one(q{SELECT count(*) FROM usher.users WHERE email = 'ann@runbook.example'}), 1, 'an index that was damaged is whole again');
sh('pg_dump -Fc -f "$DUMP" app');
# what belongs to the database itself
$node->safe_psql('postgres', q{
	CREATE ROLE keeper;
	ALTER DATABASE app OWNER TO keeper;
	REVOKE ALL ON DATABASE app FROM PUBLIC;
	GRANT CONNECT ON DATABASE app TO usher_gateway WITH GRANT OPTION;
	ALTER DATABASE app SET usher.public_url = 'https://it''s.example';
	ALTER DATABASE app SET courier.sender = 'The Shop <post@shop.example>';
	ALTER DATABASE app SET search_path = public, "Other one";
	ALTER ROLE keeper IN DATABASE app SET statement_timeout = '7s'});
my $of_database = q{
	SELECT pg_get_userbyid(datdba), (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(datacl) AS a) FROM pg_database WHERE datname = 'app';
	SELECT setrole::regrole, v FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) AS v WHERE datname = 'app' ORDER BY 1, 2};
my $of_database_before = $node->safe_psql('postgres', $of_database);
is(log_in('ann')->{error}, '', 'a login after the dump');
follow();
is(one('SELECT count(*) || $$ $$ || (SELECT count(*) FROM usher.sessions) FROM usher.users'), '2 0', 'the dump is the database now, with what it had');
is($node->safe_psql('postgres', $of_database), $of_database_before, '… with the settings, the owner and the privileges of the database');
is(one('SHOW usher.public_url') . ' ' . one('SHOW courier.sender'), "https://it's.example The Shop <post\@shop.example>", '… which are in force');
is(one("SELECT datallowconn FROM pg_database WHERE datname = 'app_damaged'"), 'f', '… and nobody gets into the damaged one');
is(log_in('bob')->{error}, '', '… and it is in use');
follow();
is(one('SELECT count(*) FROM usher.users'), 0, 'an empty database from what makes its schema');
people();

# --- full: what keeps the log, and what need not be kept
$node->safe_psql('app', q{SELECT pg_create_physical_replication_slot('gone_standby', true)});
one('SELECT pg_switch_wal(); SELECT usher.log_event($$runbook.filled$$)') for 1 .. 2;
one(q{SET session_replication_role = replica; INSERT INTO usher.login_attempts (success, failure_reason, attempted_at, email) VALUES (false, 'invalid_credentials', now() - interval '40 days', 'x@runbook.example')});
my $log_begins = sub { return one('SELECT min(name) FROM pg_ls_waldir() WHERE name ~ $$^[0-9A-F]{24}$$') };
my $before = $log_begins->();
follow();
follow();
is(one('SELECT count(*) FROM pg_replication_slots'), 0, 'the slot is gone');
cmp_ok($log_begins->(), 'gt', $before, '… and so is the log that it kept');
like(follow(), qr/login_attempts_removed\s*\|\s*1/, 'what is old is gone');

# --- locked out
for my $name (map { "guess$_" } 1 .. 6)
{
	one(qq{BEGIN; SELECT usher.set_request_context('198.51.100.7'); SELECT usher.login('$name\@runbook.example', 'x'); COMMIT});
}
one("SELECT usher.login('ann\@runbook.example', 'wrong')") for 1 .. 5;
is(log_in('ann')->{error}, 'invalid_credentials', 'locked out: the right password is refused');
is(one('SELECT locked_until > now() FROM usher.network_failures WHERE network >>= $$198.51.100.7$$'), 't', 'and a network is');
follow();
follow();
is(log_in('ann')->{error}, '', 'and let in again');
is(one(q{BEGIN; SELECT usher.set_request_context('198.51.100.7'); SELECT 'error: ' || coalesce(error, '') FROM usher.login('bob@runbook.example', 'what bob remembers'); COMMIT}), "\nerror: ", '… from that network too');
follow();
$node->poll_query_until('app', q{SELECT current_setting('usher.lockout_max') = '1min'});

# --- the master key
my $bob = log_in('bob');
one(qq{BEGIN; SELECT usher.authenticate('$bob->{access}'); SELECT usher.enroll_totp('what bob remembers'); COMMIT});
one('UPDATE usher.second_factors SET confirmed_at = now()');
is(log_in('bob')->{error}, 'second_factor_required', 'bob has a second factor');
# … and whatever else is sealed, of every extension: a column that is new must be filled here, and then the page has to say what becomes of it.
one(q{INSERT INTO usher.identities (user_id, provider, provider_user_id) SELECT id, 'auth0', 'auth0|ann' FROM usher.users WHERE email = 'ann@runbook.example';
	SELECT usher.set_provider_tokens(user_id, 'auth0', 'an access token', 'a refresh token') FROM usher.identities});
one(q{SELECT usher.request_login_code('ann@runbook.example')}) if one(q{SELECT count(*) FROM usher.server_secrets}) == 0;
one(q{SELECT wash.add_webhook_secret('stripe', 'stripe', 'whsec_of_the_processor_that_nobody_guesses')});
my $hook = one(q{SELECT webhook_id FROM courier.add_webhook('https://partner.example/hooks', '{product.*}')});
one(q{CREATE SCHEMA shop; CREATE FUNCTION shop.take(request uuid, answer jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
	SELECT courier.enqueue_http_request('https://partner.example/' || n, 'POST', body => 'a secret', handler => 'shop.take(uuid,jsonb)') FROM unnest('{first,second}'::text[]) AS n});
one(q{SELECT courier.report_request(request, attempt, 200, '{}', 'an answer') FROM courier.claim_requests('runbook', 1)});
my @sealed = split /\n/, one(q{SELECT concat_ws(' ', quote_ident(schema_name) || '.' || quote_ident(table_name), quote_ident(secret_column)) FROM usher._sealed_columns() ORDER BY 1});
cmp_ok(scalar @sealed, '>=', 8, 'columns are sealed, by the catalog');
my %left_out = map { split / /, $_, 2 } split /\n/, one(q{SELECT table_name || ' ' || column_name FROM usher.personal_columns WHERE kind = 'sealed'
	EXCEPT SELECT table_name || ' ' || secret_column FROM usher._sealed_columns()});
is(join(' ', %left_out), '', '… each that an extension has registered');
my ($section) = slurp_file("$ENV{USHER_SOURCE}/docs/runbook.md") =~ /^## The master key is lost\n(.*?)^## /ms;
for my $column (@sealed)
{
	my ($table, $name) = split / /, $column;
	cmp_ok(one(qq{SELECT count(*) FROM $table WHERE $name LIKE '\$sealed\$%'}), '>', 0, "$column: something is sealed under the key");
	like($section, qr/\Q$table\E\b/, '… and the page says what becomes of it');
}
sh(qq{mv '$key' '$key.elsewhere'});
is((split ' ', ($node->psql('app', q{\set VERBOSITY sqlstate
	SELECT usher.login('ann@runbook.example', 'what ann remembers')}))[2])[-1], 'US101', 'without the master key nobody logs in');
sh(qq{mv '$key.elsewhere' '$key'});
my $ann = log_in('ann');
is($ann->{error}, '', 'put back, it works at once');
unlink $key;
is((split ' ', ($node->psql('app', q{\set VERBOSITY sqlstate
	SELECT * FROM courier.claim_requests('runbook')}))[2])[-1], 'US101', 'without it no request goes');
is(one(q{SELECT string_agg(status, ' ' ORDER BY id) FROM courier.http_requests}), 'answered pending', '… and none is lost');
follow(); # another key
follow();
follow();
follow();
follow();
is(one(q{SELECT string_agg(status || ' ' || error_code, ', ' ORDER BY id) FROM courier.http_requests}), join(', ', ('failed the master key was lost') x 2),
	'lost: requests that waited have failed, and say why');
is(one(q{SELECT count(*) FROM usher.events WHERE event = 'http_request.failed'}), 2, '… and so do their events');
one(q{SELECT courier.enqueue_http_request('https://partner.example/third'); SELECT usher.publish('product.created', '{"sku": "soap"}')});
is(one(qq{SELECT string_agg(coalesce(headers ->> 'webhook-signature' ~ '^v1,.', false)::text, ' ' ORDER BY headers ? 'webhook-id') FROM courier.claim_requests('runbook')}),
	'false true', '… and the next go, webhooks with a signature');
is(accepts($ann), 'refused', 'lost: tokens of before are refused');
is(refresh($ann) . accepts($ann), 'accepted', '… and the session goes on with a new one');
is(log_in('bob')->{error}, '', '… and who had a second factor logs in, and may set one up');
is(one('SELECT count(*) FROM usher.check_configuration() WHERE finding ~ $$master key$$'), 0, '… and nothing is left to do');

# --- leaks
follow();
is(accepts($ann), 'refused', 'leaked signing key: what it has signed is refused at once');
is(refresh($ann) . accepts($ann), 'accepted', '… and the session goes on');
follow();
is(accepts($ann) . ' ' . refresh($ann), 'refused session_revoked', 'leaked backup: nothing that was in it goes on');
my $former = slurp_file($key);
follow();
isnt(slurp_file($key), $former, '… the master key is another one');
is(log_in('ann')->{error}, '', '… which opens everything');
follow();
is(log_in('ann')->{error}, 'invalid_credentials', '… and passwords that may be guessed open nothing');
my $reset = one(q{SELECT usher.create_password_reset(id) FROM usher.users WHERE email = 'ann@runbook.example'});
is(one("SELECT error FROM usher.reset_password('$reset', 'what ann has thought of')"), '', '… until their owners choose another one');
my $intruder = $node->background_psql('app', on_error_stop => 0, extra_params => [ '-U', 'usher_gateway' ]);
is($intruder->query('SELECT 1'), 1, 'somebody is there as the gateway');
follow();
is(one(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'usher_gateway'}), 0, 'leaked password of the gateway: they are not any more');
like(slurp_file("$folder/passfile"), qr/^\*:\*:\*:usher_gateway:.{32}$/, '… and the new one is where the gateway reads it');
is(one(q{SELECT rolpassword ~ '^SCRAM' FROM pg_authid WHERE rolname = 'usher_gateway'}), 't', '… and the server has it');
unlike(slurp_file($node->logfile), qr/ALTER ROLE usher_gateway/, '… and no log');
eval { $intruder->quit };
follow();
is(scalar @blocks, 0, 'the page is at its end');
$node->stop;
done_testing();

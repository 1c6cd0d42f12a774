# What a backend keeps of rows is never older than the last commit, whatever statement changes them. Every cache is asked here
# twice: the tables that the first call scans and the second does not are those that it is read from. Each of them is then changed
# in another session by every kind of statement, INSERT, UPDATE of each column, DELETE and TRUNCATE, and has to be read again.
#
# Caches that go by a version in a row are not in it: opening hours (test/regress/booking_hours_changes.sql).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my $node = PostgreSQL::Test::Cluster->new('caches');
$node->init;
$node->start;
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', "$source/tools/database.sql" ],
	'all extensions are created');
sub one { return $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }

my $user = '00000000-0000-7000-8000-0000000000ca';
one("INSERT INTO usher.users (id, email, status) VALUES ('$user', 'cache\@caches.test', 'active');
     SELECT usher.create_permission('thing:read'), usher.create_permission('thing:write'), usher.create_role('reader'), usher.create_role('writer');
     SELECT usher.add_role_parent('writer', 'reader'), usher.grant_permission('reader', 'thing:read');
     SELECT usher.add_role_management('reader', 'writer');
     SELECT usher.grant_permission('$user'::uuid, 'thing:read'), usher.grant_role('$user', 'writer');
     SELECT usher.add_policy('p', 'reader', 'thing', 'read');
     SELECT usher.define_model('caches', '{\"r\": \"sub, obj\", \"p\": \"sub, obj\", \"g\": \"_, _\", \"e\": \"some(where (p.eft == allow))\", \"m\": \"g(r.sub, p.sub) && r.obj == p.obj\"}'::jsonb);
     SELECT usher.add_policy('g', 'ann', 'readers');
     SELECT usher.define_rate_limit('caches', 'fixed_window', 1000000, '1 day');
     SELECT usher.define_machine('caches', '{\"initial\": [\"open\"], \"transitions\": [{\"from\": \"open\", \"to\": \"done\", \"action\": \"finish\"}]}');
     CREATE FUNCTION heard(text, jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
     SELECT usher.subscribe('caches.told', 'caches', 'heard(text, jsonb)', 'async');");
my $token = one("SELECT usher.issue_token('$user', ttl => '1 hour')");
one("SELECT usher.add_token_issuer('https://caches.test', ARRAY['usher'], usher.jwks(), 'caches', ARRAY['ES256'])");

# --- every cache has a probe -----------------------------------------------------------------------------------------

# By what announces it: calls that fill the cache.
my %probes = (
	access_inval => ["usher.user_has_permission('$user', 'thing:read')", "usher.enforce('caches', ARRAY['ann', 'data'])"],
	events_inval => ["usher.publish('caches.told')"],
	machine_inval => ["usher.machine_diagram('caches')"],
	rate_limits_inval => ["usher.hit_rate_limit('caches', 'k')"],
	registration_inval => ["usher.raise_error('time_not_available', 'x')"],
	routes_inval => ["usher.http_request('GET', '/nothing')"],
	sessions_inval => [], # for a transaction only: below
	signing_keys_inval => ["usher.verify_token('$token')"],
	token_issuers_inval => ["usher.verify_token('$token')"],
);
my $in_catalog = one(q{SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid AND c.relname ~ '_inval$' WHERE e.extname LIKE 'usher%'});
is($in_catalog, join(' ', sort keys %probes), 'every cache of the catalog is asked here');
my %in_code = map { $_ => 1 } split /\s+/, `grep -rhoE 'Invalidation [a-z_]+\\{"[a-z_]+"' $source/extension | sed 's/.*"\\(.*\\)"/\\1/'`;
is(join(' ', sort keys %in_code), $in_catalog, 'and every one in the sources is in the catalog');

# --- what it is read from, and what announces that -------------------------------------------------------------------

# Statements that need not be announced, with the reason.
my %needless = (
	'sessions_inval usher.sessions INSERT' => 'a new row makes nobody less than they were',
	'sessions_inval usher.users INSERT' => 'the same',
	'sessions_inval usher.identities INSERT' => 'the same',
	'sessions_inval usher.api_keys INSERT' => 'the same',
);
# What is read into shared memory, where it is changed.
my %shared = ('usher.rate_limit_records' => 1);
# Row triggers with WHEN: the columns of the table that the cache reads.
my %columns = (
	'access_inval usher.users' => 'id status',
	'sessions_inval usher.users' => 'id status',
	'sessions_inval usher.sessions' => 'assurance_level expires_at id status user_id',
	'sessions_inval usher.identities' => 'provider provider_user_id user_id',
	'sessions_inval usher.api_keys' => 'expires_at id permissions revoked_at user_id',
);
my $scans = q{SELECT 'scans ' || coalesce(string_agg(format('%I.%I %s', schemaname, relname, seq_scan + coalesce(idx_scan, 0)), ','), '') FROM pg_stat_xact_user_tables
    WHERE seq_scan + coalesce(idx_scan, 0) > 0};
my $session;
sub scanned # what a call scans in the session
{
	my ($call) = @_;
	my ($before, $after) = map { { map { /(\S+) (\d+)/ ? ($1 => $2) : () } split /,/, $_ } }
		$session->query_safe("BEGIN; $scans; DO \$do\$ BEGIN PERFORM $call; EXCEPTION WHEN OTHERS THEN NULL; END \$do\$; $scans; COMMIT") =~ /^scans (.*)$/mg;
	return { map { $_ => $after->{$_} - ($before->{$_} // 0) } grep { $after->{$_} > ($before->{$_} // 0) } keys %$after };
}
my %reads;
for my $cache (sort keys %probes)
{
	for my $call (@{ $probes{$cache} })
	{
		$session = $node->background_psql('postgres', on_error_stop => 1);
		my $cold = scanned($call);
		scanned($call); # plans
		my $warm = scanned($call);
		$reads{$cache}{$_}{$call} = 1 for grep { $cold->{$_} > ($warm->{$_} // 0) && !$shared{$_} } keys %$cold;
		$session->quit;
	}
}
$reads{sessions_inval}{"usher.$_"} = {} for qw(sessions users identities api_keys);
my %read_by = map { my $cache = $_; map { $_ => 1 } keys %{ $reads{$cache} } } keys %reads;
for my $table (qw(usher.users usher.user_roles usher.user_permissions usher.roles usher.role_closure usher.role_permissions usher.role_management
	usher.policy_rules usher.policy_models usher.subscriptions usher.extension_events usher.extensions usher.machines usher.rate_limit_policies
	usher.extension_errors usher.routes usher.signing_keys usher.token_issuers))
{
	ok($read_by{$table}, "$table is seen to be read for a cache");
}
note(join "\n", map { my $cache = $_; "$cache: " . join(' ', sort keys %{ $reads{$cache} }) } sort keys %reads);

for my $cache (sort keys %reads)
{
	for my $table (sort keys %{ $reads{$cache} })
	{
		# one call may fill several caches: any of them may hear of it
		my @caches = grep { my $other = $_; $other eq $cache || grep { my $call = $_; grep { $_ eq $call } @{ $probes{$other} } } keys %{ $reads{$cache}{$table} } } keys %probes;
		my $caches = join "', '", @caches;
		# event, and the columns of the trigger
		my @triggers = map { [ split /\|/, $_, -1 ] } split /\n/, one(qq{
		    SELECT v.event, t.tgattr::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
		    JOIN (VALUES (4, 'INSERT'), (8, 'DELETE'), (16, 'UPDATE'), (32, 'TRUNCATE')) AS v (bit, event) ON t.tgtype & v.bit <> 0
		    WHERE t.tgrelid = '$table'::regclass AND p.proname IN ('_invalidate_cache', '_invalidate_entry') AND t.tgenabled = 'A'
		        AND split_part(encode(t.tgargs, 'escape'), E'\\\\000', 1) IN ('$caches')});
		my %events = map { $_->[0] => $_ } @triggers;
		for my $event (qw(INSERT UPDATE DELETE TRUNCATE))
		{
			next if $needless{"$cache $table $event"};
			ok($events{$event}, "$cache: $event of $table is announced, always");
		}
		is(join(' ', grep { $_ } map { $_->[1] } @triggers), '', "$cache: no trigger of $table goes by the columns that a statement names");
		my $definition = one("SELECT string_agg(pg_get_triggerdef(t.oid), ' ') FROM pg_trigger t WHERE t.tgrelid = '$table'::regclass AND t.tgqual IS NOT NULL
		    AND split_part(encode(t.tgargs, 'escape'), E'\\\\000', 1) IN ('$caches')");
		my %told = map { $_ => 1 } $definition =~ /\b(?:old|new)\.([a-z_]+)/g;
		is(join(' ', sort keys %told), $columns{"$cache $table"} // '', "$cache: conditions of triggers of $table are about the columns that are read");
	}
}

# --- every statement makes it read again -----------------------------------------------------------------------------

for my $cache (sort keys %reads)
{
	for my $table (sort keys %{ $reads{$cache} })
	{
		next if $columns{"$cache $table"};
		my ($call) = sort keys %{ $reads{$cache}{$table} };
		my @columns = split /\n/, one("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''");
		my $columns = join ', ', @columns;
		# as rows come from another server: constraints are not looked at, and no trigger fires that is not ENABLE ALWAYS
		my @statements = (map({ [ "UPDATE of $_", "UPDATE $table SET $_ = $_" ] } @columns),
			[ 'DELETE', "CREATE TABLE kept AS SELECT $columns FROM $table; DELETE FROM $table" ],
			[ 'INSERT', "INSERT INTO $table ($columns) SELECT $columns FROM kept; DROP TABLE kept" ]);
		$session = $node->background_psql('postgres', on_error_stop => 1);
		scanned($call) for 1 .. 3;
		my $warm = scanned($call)->{$table} // 0;
		my @missed;
		for my $statement (@statements)
		{
			scanned($call);
			one("SET session_replication_role = replica; $statement->[1]");
			push @missed, $statement->[0] unless (scanned($call)->{$table} // 0) > $warm;
		}
		is(join(', ', @missed), '', "$cache: $table is read again after every statement (" . @statements . ')');
		$session->quit;
	}
}

# --- who somebody is, within a transaction ---------------------------------------------------------------------------

my $whole = one("SELECT usher.issue_token('$user', ttl => '1 hour')");
my $changes = 0;
# Begins a transaction as somebody, changes something elsewhere, and asks again: are they still who they were?
sub still
{
	my ($credential, $change) = @_;
	my $asked = $node->background_psql('postgres', on_error_stop => 1);
	$asked->query_safe("BEGIN; SELECT usher.authenticate('$credential')");
	my $before = $asked->query_safe('SELECT usher.actor_id() IS NOT NULL');
	one($change);
	my $after = $asked->query_safe('SELECT usher.actor_id() IS NOT NULL');
	$asked->quit;
	return "$before $after";
}
sub login { return split /\|/, one("SELECT access_token, session_id FROM usher.login('who\@caches.test', 'correct horse battery')") }
one("SELECT usher.register_user('who\@caches.test', 'correct horse battery'); UPDATE usher.users SET status = 'active', email_verified_at = now() WHERE email = 'who\@caches.test'");
my $who = one("SELECT id FROM usher.users WHERE email = 'who\@caches.test'");
for my $change ("status = 'revoked', revoked_at = now(), revoked_reason = 'test'", "expires_at = now() - interval '1 second'", "user_id = '$user'", 'id = usher.uuid_v7()')
{
	my ($access, $id) = login();
	is(still($access, "UPDATE usher.sessions SET last_activity_at = now() WHERE id = '$id'"), 't t', 'a session that is used is the same');
	is(still($access, "UPDATE usher.sessions SET $change WHERE id = '$id'"), 't f', "a session ends with UPDATE SET $change");
}
{
	# what is changed is not named by the statement
	one("CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.status := ''revoked''; NEW.revoked_at := now(); NEW.revoked_reason := ''test''; RETURN NEW; END';
	     CREATE TRIGGER ends BEFORE UPDATE ON usher.sessions FOR EACH ROW WHEN (NEW.device ? 'end') EXECUTE FUNCTION ends()");
	my ($access, $id) = login();
	is(still($access, "UPDATE usher.sessions SET device = '{\"end\": 1}' WHERE id = '$id'"), 't f', 'also where another trigger changes the row');
	one('DROP TRIGGER ends ON usher.sessions');
	($access, $id) = login();
	is(still($access, "DELETE FROM usher.sessions WHERE id = '$id'"), 't f', 'and with its row');
}
sub api_key
{
	return split /\|/, one("BEGIN; SELECT FROM usher.authenticate('" . (login())[0] . "'); SELECT api_key, api_key_id FROM usher.create_api_key('k', ARRAY['thing:read', 'thing:write']); COMMIT");
}
for my $change ("revoked_at = now(), revoked_reason = 'test'", "expires_at = now() - interval '1 second'", "permissions = ARRAY['thing:read']", "user_id = '$user'")
{
	my ($key, $id) = api_key();
	is(still($key, "UPDATE usher.api_keys SET name = 'other' WHERE id = '$id'"), 't t', 'a key with another name is the same');
	is(still($key, "UPDATE usher.api_keys SET $change WHERE id = '$id'"), 't f', "a key ends with UPDATE SET $change");
}
my ($access) = login();
is(still($access, "UPDATE usher.users SET tier = 'X' WHERE id = '$who'"), 't t', 'a user of another tier is the same');
is(still($access, "UPDATE usher.users SET status = 'deactivated' WHERE id = '$who'"), 't f', 'a deactivated one is nobody');
is(one("SELECT usher.define_rate_limit('tiers', 'fixed_window', 10, '1 day', tiers => '{\"X\": 20}') \\g /dev/null
	UPDATE usher.users SET status = 'active', tier = 'FREE' WHERE id = '$who'; BEGIN; SELECT FROM usher.authenticate(usher.issue_token('$who')) \\g /dev/null
	SELECT remaining FROM usher.hit_rate_limit('tiers', 'a'); UPDATE usher.users SET tier = 'X' WHERE id = '$who'; SELECT remaining FROM usher.hit_rate_limit('tiers', 'b'); COMMIT"),
	"9\n19", 'another tier counts at the next statement');

# --- TRUNCATE, which leaves little behind ----------------------------------------------------------------------------

sub scans_of { my ($call) = @_; my $scans = scanned($call); my $sum = 0; $sum += $_ for values %$scans; return $sum }
for my $cache (sort keys %reads)
{
	for my $table (sort keys %{ $reads{$cache} })
	{
		my ($call) = reverse sort keys %{ $reads{$cache}{$table} }; # not one that the TRUNCATE before has left without its model
		next unless defined $call;
		$session = $node->background_psql('postgres', on_error_stop => 1);
		scans_of($call) for 1 .. 3;
		my $warm = scans_of($call);
		one("SET session_replication_role = replica; TRUNCATE $table CASCADE");
		cmp_ok(scans_of($call), '>', $warm, "$cache: what was read from $table is forgotten with its TRUNCATE");
		$session->quit;
	}
}

$node->stop;
done_testing();

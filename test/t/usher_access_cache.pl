# What a backend remembers about permissions is never older than the last commit: in its own transaction, after savepoints, in
# prepared plans, in loops of PL/pgSQL, in parallel queries, on a hot standby; it ends at the instant of expiry; and it stays small.
# (Two sessions against each other at all isolation levels: test/specs/usher_access_visibility.spec.)
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('access_cache');
$node->init(allows_streaming => 1);
$node->start;
my $user = '00000000-0000-7000-8000-0000000000ca';
$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
INSERT INTO usher.users (id, email, status) VALUES ('$user', 'cache\@access.test', 'active');
SELECT usher.create_permission('thing:read'), usher.create_permission('thing:write'), usher.create_role('reader');
SELECT usher.grant_permission('reader', 'thing:read');
CREATE TABLE things (id integer PRIMARY KEY, kind text);
INSERT INTO things SELECT n, CASE n % 2 WHEN 0 THEN 'thing:read' ELSE 'thing:write' END FROM generate_series(1, 20000) n;
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON things USING (usher.has_permission('thing:read'));
CREATE ROLE app;
SELECT usher.grant_access('app', 'application');
GRANT SELECT ON things TO app;
ANALYZE things;
SQL
sub one { return $node->safe_psql('postgres', $_[0]) }
my $token = one("SELECT usher.issue_token('$user', ttl => '1 hour')");
my $login = "SELECT usher.authenticate('$token') IS NOT NULL \\g /dev/null\n";
my $grant = "SELECT usher.grant_role('$user', 'reader') \\g /dev/null\n";
my $revoke = "SELECT usher.revoke_role('$user', 'reader') \\g /dev/null\n";
my $may = "SELECT usher.user_has_permission('$user', 'thing:read');\n";

# --- one session -----------------------------------------------------------------------------------------------------

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	is(one("$may BEGIN ISOLATION LEVEL $level; $may $grant $may SAVEPOINT s; $revoke $may ROLLBACK TO s; $may $revoke $may SAVEPOINT t; $grant $may ROLLBACK TO t; $may ROLLBACK; $may"),
		join("\n", qw(f f t f t f t f f)), "$level: own changes count at once, and those taken back at once no more");
	is(one("BEGIN ISOLATION LEVEL $level; $grant COMMIT; $may BEGIN ISOLATION LEVEL $level; $may $revoke COMMIT; $may"), "t\nt\nf", "$level: after the commit");
}

my $ask = 'EXECUTE may;';
for my $mode ('force_generic_plan', 'force_custom_plan')
{
	my $between = sub { my ($change) = @_; return "RESET ROLE; $change SET ROLE app; BEGIN; $login" };
	is(one("SET plan_cache_mode = $mode; PREPARE may AS SELECT usher.has_permission('thing:read'), (SELECT count(*) FROM things);
	       PREPARE which (text) AS SELECT usher.has_permission(\$1);"
			. "SET ROLE app; BEGIN; $login $ask COMMIT;" . $between->($grant) . "$ask EXECUTE which ('thing:read'); EXECUTE which ('thing:write'); COMMIT;"
			. $between->($revoke) . "$ask EXECUTE which ('thing:read'); COMMIT; $ask"),
		join("\n", 'f|0', 't|20000', 't', 'f', 'f|0', 'f', 'f|0'), "$mode: prepared statements follow grants, their arguments and the identity");
}

is(one("$grant BEGIN; $login SELECT string_agg(kind || ' ' || usher.has_permission(kind), ', ' ORDER BY id) FROM things WHERE id < 4; COMMIT; $revoke"),
	'thing:write false, thing:read true, thing:write false', 'a permission from a column is asked for each row');
# The same expression, and so the same call site, is used again with other values, and after changes of its own.
one("CREATE FUNCTION each_permission() RETURNS text LANGUAGE plpgsql AS \$\$
     DECLARE p text; answer boolean; answers text := '';
     BEGIN
         FOREACH p IN ARRAY ARRAY['thing:read', 'thing:write', 'thing:read', 'nothing', NULL] LOOP
             answer := usher.has_permission(p);
             answers := answers || answer::text || ' ';
         END LOOP;
         FOR i IN 1 .. 3 LOOP
             answer := usher.has_permission('thing:read');
             answers := answers || answer::text || ' ';
             IF i = 1 THEN DELETE FROM usher.user_roles WHERE user_id = '$user'; ELSE PERFORM usher._assign_role('$user', usher._role_id('reader')); END IF;
         END LOOP;
         RETURN answers;
     END \$\$");
is(one("$grant BEGIN; $login SELECT each_permission(); ROLLBACK; $revoke"), 'true false true false false true false true ',
	'a loop of PL/pgSQL asks anew for each value, and sees what it changed itself');

# --- parallel query: the functions run in the leader, which has the identity -----------------------------------------

my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;';
one('CREATE TABLE numbers AS SELECT n FROM generate_series(1, 50000) n; GRANT SELECT ON numbers TO app; ANALYZE numbers');
my $query = "SELECT count(*), bool_and(usher.has_permission('thing:read')), (SELECT count(*) FROM things) FROM numbers";
like(one("$parallel SET ROLE app; EXPLAIN (COSTS off) $query"), qr/Gather/, 'a query with a check in it can be parallel');
is(one("$grant $parallel SET ROLE app; BEGIN; $login $query; COMMIT; RESET ROLE; $revoke SET ROLE app; BEGIN; $login $query; COMMIT"),
	"50000|t|20000\n50000|f|0", 'and answers right, before and after a change');
my $forced = one('SHOW server_version_num') < 160000 ? 'force_parallel_mode' : 'debug_parallel_query';
is(one("$grant $parallel SET $forced = on; SET ROLE app; BEGIN; $login SELECT usher.has_permission('thing:read'), usher.has_role('reader'), usher.current_user_id() = '$user'; COMMIT; RESET ROLE; $revoke"),
	't|t|t', 'also where the planner is made to use a worker');

# --- expiry at the instant, without a sweeper ------------------------------------------------------------------------

my $wrong = sub {
	my ($which, $call) = @_;
	return one("SELECT usher.grant_permission('$user'::uuid, 'thing:write', expires_at => clock_timestamp() + interval '400 ms') \\g /dev/null
	    BEGIN; $login CREATE TEMP TABLE seen ON COMMIT DROP AS
	        SELECT clock_timestamp() AS before, $call AS answer, clock_timestamp() AS after, pg_sleep(0.004)::text FROM generate_series(1, 200);
	    SELECT count(*) FILTER (WHERE answer AND before >= expires_at OR NOT answer AND after < expires_at), bool_or(answer), bool_or(NOT answer)
	    FROM seen, usher.user_permissions p WHERE p.user_id = '$user' AND p.permission = 'thing:write'; COMMIT");
};
is($wrong->('cached', "usher.user_has_permission('$user', 'thing:write')"), '0|t|t', 'within one statement a permission ends at its instant');
is($wrong->('call site', "usher.has_permission('thing:write')"), '0|t|t', 'also where the answer is kept at the call site');
is(one("SELECT usher.grant_permission('$user'::uuid, 'thing:write', effect => 'deny', expires_at => clock_timestamp() + interval '200 ms'),
        usher.grant_permission('$user'::uuid, 'thing:write') \\g /dev/null
    SELECT usher.user_has_permission('$user', 'thing:write'); SELECT pg_sleep(0.25) \\g /dev/null
    SELECT usher.user_has_permission('$user', 'thing:write')"), "f\nt", 'a denial ends likewise');

# --- hot standby -----------------------------------------------------------------------------------------------------

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('access_cache_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $session = $standby->background_psql('postgres', on_error_stop => 1);
my $there = sub {
	$node->wait_for_catchup($standby, 'replay');
	return $session->query_safe("SELECT usher.user_has_permission('$user', 'thing:read')") . ' '
		. $session->query_safe("SET ROLE app; BEGIN; SELECT '' FROM usher.authenticate('$token')") # one transaction of a client
		. $session->query_safe("SELECT usher.has_permission('thing:read'), (SELECT count(*) FROM things); COMMIT; RESET ROLE");
};
is($there->(), 'f f|0', 'standby: not granted');
one($grant);
is($there->(), 't t|20000', 'standby: a grant counts after replay, in a session that had asked before');
one("BEGIN; $revoke ROLLBACK");
is($there->(), 't t|20000', 'standby: a change that was rolled back does not');
one($revoke);
is($there->(), 'f f|0', 'standby: neither does what was revoked');
one("SELECT usher.add_policy('p', '$user', 'thing', 'read')");
is($there->(), 't t|20000', 'standby: policy rules are followed as well');
one("UPDATE usher.users SET status = 'deactivated', deactivated_at = now() WHERE id = '$user'");
is($session->query_safe("SELECT pg_is_in_recovery()") . $node->wait_for_catchup($standby, 'replay')
	. $session->query_safe("SELECT usher.user_has_permission('$user', 'thing:read')"), 'tf', 'standby: and deactivation');
$session->quit;
$standby->stop;

# --- a change to one user is news about that user --------------------------------------------------------------------

# Scans of tables of usher that a check in this session took, by whom it asked about: none, when it was answered from memory.
my $other = $node->background_psql('postgres', on_error_stop => 1);
my ($asked_a, $asked_b) = ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000b');
one("INSERT INTO usher.users (id, email, status) VALUES ('$asked_a', 'a\@news.test', 'active'), ('$asked_b', 'b\@news.test', 'active')");
my $answer = sub {
	my ($id) = @_;
	my $scans = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_xact_user_tables WHERE schemaname = 'usher'";
	my ($before, $may, $after) = split /\n/, $other->query_safe("BEGIN; $scans; SELECT usher.user_has_permission('$id', 'thing:read'); $scans; COMMIT");
	return "$may " . ($after > $before ? 'read' : 'kept');
};
$answer->($_) for $asked_a, $asked_b; # plans, and both entries
is($answer->($asked_a) . ', ' . $answer->($asked_b), 'f kept, f kept', 'both users are in the cache of another backend');
# Every statement that can change what a user holds, once for B.
my @user_changes = (
	["SELECT usher.grant_role('$asked_b', 'reader')", 't'],
	["UPDATE usher.user_roles SET expires_at = now() - interval '1 minute' WHERE user_id = '$asked_b'", 'f'],
	["UPDATE usher.user_roles SET expires_at = NULL WHERE user_id = '$asked_b'", 't'],
	["UPDATE usher.users SET status = 'deactivated', deactivated_at = now() WHERE id = '$asked_b'", 'f'],
	["UPDATE usher.users SET status = 'active', deactivated_at = NULL WHERE id = '$asked_b'", 't'],
	["SELECT usher.revoke_role('$asked_b', 'reader')", 'f'],
	["SELECT usher.grant_permission('$asked_b'::uuid, 'thing:read')", 't'],
	["UPDATE usher.user_permissions SET permission = 'thing:write' WHERE user_id = '$asked_b'", 'f'],
	["UPDATE usher.user_permissions SET permission = 'thing:*' WHERE user_id = '$asked_b'", 't'],
	["DELETE FROM usher.user_permissions WHERE user_id = '$asked_b'", 'f'],
	["WITH gone AS (DELETE FROM usher.users WHERE id = '$asked_b' RETURNING *) SELECT count(*) FROM gone", 'f'],
);
one("SELECT usher.create_permission('thing:*')");
$answer->($_) for $asked_a, $asked_b;
for my $change (@user_changes)
{
	one($change->[0]);
	is($answer->($asked_a) . ', ' . $answer->($asked_b), "f kept, $change->[1] read", "only the one whom it is about is read again: $change->[0]");
}
one("SELECT usher.add_policy('p', '$asked_b', 'thing', 'read')");
is($answer->($asked_b), 'f read', 'an account that is not there has nothing');
one("INSERT INTO usher.users (id, email, status) VALUES ('$asked_b', 'b\@news.test', 'active')");
is($answer->($asked_a) . ', ' . $answer->($asked_b), 'f read, t read', 'what was asked about an account before it was made is forgotten with it');
one("BEGIN; SELECT usher.grant_role('$asked_a', 'reader'); ROLLBACK");
is($answer->($asked_a), 'f kept', 'a change that is rolled back is no news');
one("SELECT error FROM usher.register_user('someone\@news.test', 'correct horse battery staple')");
is($answer->($asked_a), 'f kept', 'neither is a registration');
my $more = sub { return "INSERT INTO usher.user_roles (user_id, role_id) SELECT u.id, r.id FROM usher.users u, usher.roles r WHERE u.email LIKE '%\@$_[0].test' AND r.name = 'reader'" };
one("INSERT INTO usher.users (email, status) SELECT 'n' || n || '\@few.test', 'active' FROM generate_series(1, 40) n; " . $more->('few'));
is($answer->($asked_a), 'f kept', 'nor a statement about 40 others');
one("INSERT INTO usher.users (email, status) SELECT 'n' || n || '\@many.test', 'active' FROM generate_series(1, 65) n");
is($answer->($asked_a), 'f read', 'one about many is news about all');
one($more->('many') . "; SELECT usher.grant_role('$asked_a', 'reader')");
is($answer->($asked_a), 't read', 'the user among them');
for my $table ('user_roles', 'user_permissions')
{
	one("SELECT usher.grant_permission('$asked_a'::uuid, 'thing:read')");
	$answer->($asked_a);
	one("TRUNCATE usher.$table");
	is($answer->($asked_a), ($table eq 'user_roles' ? 't' : 'f') . ' read', "TRUNCATE of $table is, too");
}
$other->quit;

# --- bounded memory --------------------------------------------------------------------------------------------------

# Resident memory of a backend that asks about very many users, in kB, shared memory left out.
one("INSERT INTO usher.users (email, status) SELECT 'n' || n || '\@memory.test', 'active' FROM generate_series(1, 100000) n;
     INSERT INTO usher.user_roles (user_id, role_id) SELECT u.id, r.id FROM usher.users u, usher.roles r WHERE u.email LIKE '%\@memory.test' AND r.name = 'reader';
     CREATE TABLE asked AS SELECT id, row_number() OVER () AS n FROM usher.users WHERE email LIKE '%\@memory.test';");
my $backend = $node->background_psql('postgres', on_error_stop => 1);
my $pid = $backend->query_safe('SELECT pg_backend_pid()');
my $memory = sub { return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon' };
my $check = sub { return $backend->query_safe("SELECT count(*) FILTER (WHERE usher.user_has_permission(id, 'thing:read')) FROM asked WHERE n BETWEEN $_[0] AND $_[1]") };
is($check->(1, 100), 100, 'a backend asks about 100 users');
my $small = $memory->();
is($check->(101, 25000), 24900, 'about 25,000');
my $full = $memory->();
is($check->(25001, 100000), 75000, 'about 100,000');
my $most = $memory->();
note("anonymous memory in kB: after 100 users $small, 25,000 $full, 100,000 $most");
cmp_ok($full - $small, '<', 4 * 8192, 'it stays in the order of usher.access_cache_size, 8 MB');
cmp_ok($most - $full, '<', 2048, 'and does not grow from there');
is($backend->query_safe("SELECT sum(total_bytes) < 20 * 1024 * 1024 FROM pg_backend_memory_contexts"), 't', 'nor do the memory contexts of the server');
# asking about very many permissions of one user, and of many
is($backend->query_safe("SELECT count(*) FILTER (WHERE usher.user_has_permission(id, 'p' || k || ':x')) FROM asked, generate_series(1, 100) k WHERE n <= 3000"), 0, '300,000 different questions');
cmp_ok($memory->() - $most, '<', 2 * 8192, 'answers are counted as well');
$backend->quit;

$node->stop;
done_testing();

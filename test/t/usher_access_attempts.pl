# check_access() leaves an audit row for each attempt, allowed or not, also when the caller rolls back: with the library preloaded.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('access_attempts');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'usher'
usher.worker_databases = 'postgres'
usher.flush_interval = 100ms
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE;
SELECT usher.apply_role_preset('carwash');
INSERT INTO usher.users (id, email, status) VALUES ('00000000-0000-7000-8000-0000000000aa', 'attempts@access.test', 'active');
SELECT usher.grant_role('00000000-0000-7000-8000-0000000000aa', 'washer');
SQL

sub one { return $node->safe_psql('postgres', $_[0]) }
my $login = q{SELECT usher.authenticate(usher.issue_token('00000000-0000-7000-8000-0000000000aa')) \g /dev/null
};
# The attempts about one resource, as "result permission by-whom client how-often".
sub attempts
{
	my ($id) = @_;
	return one("SELECT string_agg(concat_ws(' ', result, event_data ->> 'permission', client_ip, n), ', ' ORDER BY result) FROM (
	    SELECT result, event_data, client_ip, count(*) AS n FROM usher.audit_logs WHERE event_type = 'access.checked' AND resource_id = '$id'
	        AND actor_id = '00000000-0000-7000-8000-0000000000aa' GROUP BY 1, 2, 3) AS a");
}
my $check = sub { my ($id) = @_; return qq{
    SELECT allowed FROM usher.check_access('booking:read', '{"type": "booking", "id": "$id"}');
    SELECT allowed FROM usher.check_access('booking:cancel', '{"type": "booking", "id": "$id"}');
    } };

is(one("BEGIN; $login" . $check->('committed') . 'COMMIT'), "t\nf", 'one allowed, one not');
is(attempts('committed'), 'denied booking:cancel 1, success booking:read 1', 'committed: both are there');

is(one("BEGIN; $login SELECT usher.set_request_context('192.0.2.7', 'agent', 'correlation') \\g /dev/null\n" . $check->('rolled') . 'ROLLBACK'), "t\nf", 'the same, rolled back');
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM usher.audit_logs WHERE resource_id = 'rolled'") or die 'the attempts did not survive the rollback';
is(attempts('rolled'), 'denied booking:cancel 192.0.2.7 1, success booking:read 192.0.2.7 1', 'rolled back: both are there, as they were made');
is(one("SELECT count(DISTINCT (database_user, correlation_id, user_agent)) || ' ' || bool_and(created_at < clock_timestamp()) FROM usher.audit_logs WHERE resource_id = 'rolled'"),
    '1 true', 'with everything that was known about the request');

one("BEGIN; $login SAVEPOINT s;" . $check->('savepoint') . 'ROLLBACK TO s;' . $check->('after') . 'COMMIT');
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM usher.audit_logs WHERE resource_id = 'savepoint'") or die 'the attempts did not survive the savepoint';
is(attempts('savepoint'), 'denied booking:cancel 1, success booking:read 1', 'rolled back to a savepoint: both are there');
is(attempts('after'), 'denied booking:cancel 1, success booking:read 1', 'and those after it once');

my ($status, $out, $error) = $node->psql('postgres', "BEGIN; $login" . $check->('failed') . 'SELECT 1 / 0');
like($error, qr/division by zero/, 'a transaction fails after its checks');
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM usher.audit_logs WHERE resource_id = 'failed'") or die 'the attempts did not survive the error';
is(attempts('failed'), 'denied booking:cancel 1, success booking:read 1', 'both are there');

# a block of PL/pgSQL that swallows the error rolls its part back as well
one("BEGIN; $login DO \$\$ BEGIN PERFORM usher.check_access('booking:cancel', '{\"id\": \"swallowed\"}'); RAISE 'no'; EXCEPTION WHEN OTHERS THEN END \$\$; COMMIT");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM usher.audit_logs WHERE resource_id = 'swallowed'") or die 'the attempt did not survive the block';
is(attempts('swallowed'), 'denied booking:cancel 1', 'swallowed by an exception block: it is there');

# what was read stays read (R1-66), a page of ids too
one("BEGIN; $login SELECT usher.log_reads('read', '{}', ARRAY(SELECT usher.uuid_v7() FROM generate_series(1, 200))); ROLLBACK");
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM usher.audit_logs WHERE event_type = 'data.read' AND resource_type = 'read'") or die 'the reads did not survive the rollback';
is(one(q{SELECT string_agg(concat_ws(' ', jsonb_array_length(event_data -> 'ids'), event_data -> 'sensitive', actor_id IS NOT NULL), ', ' ORDER BY id) FROM usher.audit_logs WHERE resource_type = 'read'}),
    '128 true t, 72 true t', 'who reads what is sensitive, and rolls back, is in the log');

# a clean stop forgets nothing
one("ALTER SYSTEM SET usher.flush_interval = '60s'; SELECT pg_reload_conf()");
one("BEGIN; $login" . $check->('stopped') . 'ROLLBACK');
$node->restart;
is(attempts('stopped'), 'denied booking:cancel 1, success booking:read 1', 'a restart between rollback and writing loses nothing');

# Without the library preloaded nothing can stay; the configuration says so.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is(one("BEGIN; $login" . $check->('unloaded') . 'ROLLBACK'), "t\nf", 'not preloaded: checks work');
is(attempts('unloaded'), '', 'their rows go with the rollback');
like(one("SELECT advice FROM usher.check_configuration() WHERE finding = 'the library is not preloaded'"), qr/checks of access in transactions that roll back leave no trace/,
    'and check_configuration() says so');

$node->stop;
done_testing();

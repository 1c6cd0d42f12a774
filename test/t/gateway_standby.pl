# Reads from a standby, the primary for the rest; failover with several hosts in the connection string.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('primary', init => { allows_streaming => 1 });
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE TABLE app.notes (id int PRIMARY KEY);
CREATE FUNCTION app.where_am_i(OUT in_recovery boolean, OUT notes bigint) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN in_recovery := pg_is_in_recovery(); notes := (SELECT count(*) FROM app.notes); END $$;
CREATE FUNCTION app.add_note(id int, OUT in_recovery boolean) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN INSERT INTO app.notes VALUES (id); in_recovery := pg_is_in_recovery(); END $$;
CREATE FUNCTION app.read_what_is_sensitive(OUT in_recovery boolean) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ BEGIN PERFORM usher.log_reads('note', '{}', '{01900000-0000-7000-8000-000000000001}'); in_recovery := pg_is_in_recovery(); END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO gateway_test;
SELECT usher.add_route('GET', '/read', 'app.where_am_i()', access => 'public', read_only => true);
SELECT usher.add_route('GET', '/me-read', 'app.where_am_i()', read_only => true);
SELECT usher.add_route('GET', '/sensitive', 'app.read_what_is_sensitive()', access => 'public', read_only => true);
SELECT usher.add_route('GET', '/other', 'app.where_am_i()', access => 'public');
SELECT usher.add_route('POST', '/notes', 'app.add_note(int)', access => 'public', success_status => 201);
SQL
add_user($node, 'u@example.com');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);

sub conninfo
{
    my ($attributes, @nodes) = @_;
    return sprintf 'host=%s port=%s dbname=postgres user=gateway_test target_session_attrs=%s', join(',', map { $_->host } @nodes), join(',', map { $_->port } @nodes), $attributes;
}
my $gateway = start_gateway($node, database => conninfo('read-write', $node, $standby), standby_database => conninfo('standby', $node, $standby));
sub where { my ($path, %headers) = @_; my $answer = http($gateway, 'GET', $path, { headers => {%headers} }); return $answer->{status} == 200 ? json_of($answer)->{in_recovery} ? 'standby' : 'primary' : $answer->{status} }

wait_for(sub { where('/read') eq 'standby' }, 'a read-only route is answered by the standby');
is(where('/read'), 'standby', '… from then on');
is(where('/other'), 'primary', 'another one by the primary');
is(where('/sensitive'), 'primary', 'what is sensitive is read from the primary, which logs it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM usher.audit_logs WHERE event_type = 'data.read' AND resource_type = 'note'}), 1, '… once');
is(post_json($gateway, '/notes', { id => 1 })->{status}, 201, 'writes go to the primary');
my %user = log_in($gateway, 'u@example.com');
like(where('/me-read', %user), qr/^(primary|standby)$/, 'a fresh session is good at once, even when the standby has not heard of it');
$node->wait_for_catchup($standby);
is(where('/me-read', %user), 'standby', '… and then there too');
is(where('/me-read'), 401, 'without a token it is refused, there and here');
like(http($gateway, 'GET', "$gateway->{admin}/metrics")->{content}, qr/^usher_gateway_standby_answers_total [1-9]/m, 'answers of standbys are counted');

# --- health pages for load balancers: a gateway beside each server tells what that is
sub asks { my ($self, $page) = @_; my $answer = http($self, 'GET', "$self->{admin}/$page"); return "$answer->{status} " . (json_of($answer)->{role} // json_of($answer)->{code}) }
my $beside_primary = start_gateway($node, database => conninfo('any', $node));
my $beside_standby = start_gateway($standby, database => conninfo('any', $standby));
is(asks($beside_primary, 'primary'), '200 primary', '/primary of the primary');
is(asks($beside_primary, 'replica'), '503 primary', '/replica of the primary');
is(asks($beside_primary, 'read-only'), '200 primary', '/read-only of the primary');
is(asks($beside_standby, 'primary'), '503 replica', '/primary of the standby');
is(asks($beside_standby, 'replica'), '200 replica', '/replica of the standby');
is(asks($beside_standby, 'read-only'), '200 replica', '/read-only of the standby');
is(asks($beside_standby, 'replica?lag=60'), '200 replica', '/replica?lag= of a standby that is not behind');
is(http($beside_primary, 'HEAD', "$beside_primary->{admin}/primary")->{status}, 200, 'HEAD asks as well');
is(asks($beside_standby, "replica?$_"), '400 invalid_request', "refused: ?$_") for 'lag=', 'lag=1x', 'lag=-1', 'lagging=1', 'l';
my $metrics_of_standby = http($beside_standby, 'GET', "$beside_standby->{admin}/metrics")->{content};
like($metrics_of_standby, qr/^usher_in_recovery 1$/m, 'the metrics of a standby say that it is one');
like($metrics_of_standby, qr/^usher_replay_lag_seconds \d/m, '… and how far it is behind');
like(http($beside_primary, 'GET', "$beside_primary->{admin}/metrics")->{content}, qr/^usher_standby_lag_bytes\{standby="standby"\} \d/m, 'those of the primary how far each standby is');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$node->safe_psql('postgres', 'CREATE TABLE app.unseen (); SELECT pg_switch_wal()');
wait_for(sub { asks($beside_standby, 'replica?lag=0') eq '503 replica' }, 'a standby that is behind is left out by ?lag=');
is(asks($beside_standby, 'replica'), '200 replica', '… and by nothing else');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_for(sub { asks($beside_standby, 'replica?lag=0') eq '200 replica' }, '… until it has caught up');

# --- the standby goes away
$standby->stop('immediate');
is(where('/read'), 'primary', 'without a standby the primary answers');
is(where('/read'), 'primary', '… also the next time');
$standby->start;
wait_for(sub { where('/read') eq 'standby' }, 'the standby is found again');

# --- failover: the primary dies, the standby becomes it
$node->wait_for_catchup($standby);
$node->stop('immediate');
wait_for(sub { asks($beside_primary, 'primary') eq '503 unknown' }, '/primary of a dead primary: 503');
is(where('/read'), 'standby', 'reads go on while there is no primary');
is(post_json($gateway, '/notes', { id => 2 })->{status}, 503, 'writes cannot');
my $early = start_gateway($standby, database => conninfo('any', $standby));
problem_is(post_json($early, '/notes', { id => 2 }), 503, 'unavailable', 'a write that reaches a server before it is promoted');
# … and one whose transaction began before that, and that writes after it
my $waiting = PostgreSQL::Test::Utils::tempdir();
my $across = '';
PostgreSQL::Test::Utils::append_to_file("$waiting/script", <<"SQL");
BEGIN;
SELECT 'began';
\\! touch $waiting/began; for i in \$(seq 600); do [ -e $waiting/promoted ] && break; sleep 0.1; done
SELECT status, body::jsonb ->> 'code' FROM usher.http_request('POST', '/notes', '', '{"content-type": "application/json"}', '{"id": 8}', '127.0.0.1');
COMMIT;
SQL
my $session = IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $standby->connstr('postgres'), '-f', "$waiting/script" ], '<', \undef, '>', \$across, '2>&1');
wait_for(sub { -e "$waiting/began" }, 'a transaction begins on the standby');
$standby->promote;
PostgreSQL::Test::Utils::append_to_file("$waiting/promoted", '');
$session->finish;
is($across, "began\n503|unavailable\n", 'a write across the promotion');
wait_for(sub { my $s = post_json($early, '/notes', { id => 2 })->{status}; $s == 201 || $s == 409 }, '… works once it is');
is(stop_gateway($early), 0, 'stopped');
wait_for(sub { my $s = post_json($gateway, '/notes', { id => 3 })->{status}; $s == 201 || $s == 409 }, 'after the promotion writes go to the new primary');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM app.notes WHERE id IN (1, 3)'), 2, '… and nothing acknowledged is lost');
wait_for(sub { asks($beside_standby, 'primary') eq '200 primary' }, '/primary finds the new one');
is(where('/read'), 'primary', 'and so do reads, as there is no standby any more');
is(http($gateway, 'GET', "$gateway->{admin}/readyz")->{status}, 200, 'ready');

# --- synchronous replication, and no standby that answers: the write is there, but a failover might lose it
my $impatient = start_gateway($standby, database => conninfo('read-write', $standby), statement_timeout_ms => 500);
is(post_json($impatient, '/notes', { id => 4 })->{status}, 201, 'a write');
$standby->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$standby->reload;
$standby->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'");
problem_is(post_json($impatient, '/notes', { id => 5 }), 503, 'unavailable', 'a write that no standby has is not acknowledged');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM app.notes WHERE id = 5'), 1, '… though it is there');
is(where('/read'), 'primary', 'what only reads goes on');
$standby->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
$standby->reload;
wait_for(sub { post_json($impatient, '/notes', { id => 6 })->{status} =~ /^(201|409)$/ }, 'with a standby again, or without asking for one, writes are acknowledged');
is(stop_gateway($impatient), 0, 'stopped');
is(stop_gateway($gateway), 0, 'stopped');
stop_gateway($_) for $beside_primary, $beside_standby;
done_testing();

# Mixed load at 64 connections while the database is restarted twice: no wrong answer, no acknowledged write is lost, and
# nothing but 503 in between. 60 seconds with USHER_LONG=1, else 9.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use UsherGateway;

plan skip_all => 'node is not installed' unless grep { -x "$_/node" } split /:/, $ENV{PATH};
my $seconds = $ENV{USHER_LONG} ? 60 : 9;
my $node = start_usher_cluster('restarts', settings => "fsync = off\n");
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO gateway_test;
CREATE TABLE app.notes (id int PRIMARY KEY);
CREATE FUNCTION app.add_note(id int) RETURNS app.notes LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DECLARE made app.notes; BEGIN INSERT INTO app.notes VALUES (add_note.id) RETURNING * INTO made; RETURN made; END $$;
CREATE FUNCTION app.get_note(id int) RETURNS app.notes LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DECLARE found app.notes; BEGIN SELECT n.* INTO found FROM app.notes n WHERE n.id = get_note.id; RETURN found; END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO gateway_test;
SELECT usher.add_route('POST', '/notes', 'app.add_note(int)', access => 'public', success_status => 201);
SELECT usher.add_route('GET', '/notes/{id}', 'app.get_note(int)', access => 'public', read_only => true);
SQL
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', log_requests => 'false', max_requests_per_connection => 1000000);
my ($out, $errors) = ('', '');
my $load = IPC::Run::start([ 'node', "$ENV{USHER_SOURCE}/test/node/load.js", $gateway->{url}, 64, $seconds ], '<', \undef, '>', \$out, '2>', \$errors);
sleep $seconds / 3;
$node->restart; # fast: sessions are ended
sleep $seconds / 4;
$node->stop('immediate'); # a crash: what was acknowledged comes from the log
$node->start;
$load->finish;
is($errors, '', 'the load ran');
my $seen = decode_json($out);
note(explain($seen->{statuses}));
is_deeply([ @{ $seen->{wrong} }[ 0 .. ($#{ $seen->{wrong} } > 4 ? 4 : $#{ $seen->{wrong} }) ] ], [], 'no wrong answer');
is_deeply($seen->{errors}, [], 'no connection was broken');
cmp_ok($seen->{statuses}{201} // 0, '>', 100, 'writes were acknowledged');
cmp_ok($seen->{statuses}{200} // 0, '>', 100, 'reads were answered');
cmp_ok($seen->{statuses}{503} // 0, '>', 0, 'the restarts were noticed');
my %there = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT id FROM app.notes');
is((grep { !$there{$_} } @{ $seen->{acknowledged} }), 0, 'no acknowledged write is lost');
# the load may have ended while the server was only just back
my $ready = 0;
for (1 .. 50)
{
	$ready = http($gateway, 'GET', "$gateway->{admin}/readyz")->{status};
	last if $ready == 200;
	select undef, undef, undef, 0.2;
}
is($ready, 200, 'ready again');
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

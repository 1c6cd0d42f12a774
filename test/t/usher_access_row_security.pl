# The row-level security of docs/access.md: own rows, team rows and scoped managers do what the page says; and identities do not mix
# when transactions of different users share a connection, as behind a pooler or PostgREST.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('access_row_security');
$node->init;
$node->start;
my @examples = map { $_->{text} } document_blocks('docs/access.md');
my ($roles, $setup, $grants, $transaction, $model, $file) = @examples;
is(scalar(@examples), 6, 'docs/access.md has its examples');
$node->safe_psql('postgres', "SET client_min_messages = warning; CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; $setup");
sub one { return $node->safe_psql('postgres', $_[0]) }

my %id;
$id{$_} = one("INSERT INTO usher.users (email, status) VALUES ('$_\@rows.test', 'active') RETURNING id") for qw(ada bob cid dan);
$id{$_} = one("INSERT INTO sites (name) VALUES ('$_') RETURNING id") for qw(north south);
one("\\set ada $id{ada}\n\\set bob $id{bob}\n\\set north $id{north}\n$grants");
one("SELECT usher.grant_role('$id{cid}', 'member', scope => '$id{south}')");
one("INSERT INTO tasks (owner_id, site_id, title) VALUES ('$id{$_->[0]}', '$id{$_->[1]}', '$_->[0] $_->[1]')")
    for [qw(ada south)], [qw(bob north)], [qw(bob south)], [qw(cid north)], [qw(cid south)], [qw(dan south)];
my %token = map { $_ => one("SELECT usher.issue_token('$id{$_}', ttl => '1 hour')") } qw(ada bob cid dan);

# What each sees and can do, in one transaction each.
my $see = "SELECT string_agg(title, ', ' ORDER BY title) FROM tasks;";
sub as { my ($who, $sql) = @_; return "BEGIN; SELECT usher.authenticate('$token{$who}') \\g /dev/null\n$sql COMMIT;" }
my %sees = (
    ada => 'ada south, bob north, bob south, cid north', # own, the north, and Bob's, whom she manages
    bob => 'bob north, bob south, cid north',
    cid => 'ada south, bob south, cid north, cid south, dan south',
    dan => 'dan south');
sub web { my ($sql) = @_; return $node->psql('postgres', $sql, extra_params => [ '-U', 'web' ]) }
for my $who (sort keys %sees)
{
    my ($status, $out) = web(as($who, $see));
    is($out, $sees{$who}, "$who sees what the page says");
}
my ($status, $out) = web("\\set access_token $token{dan}\n\\pset tuples_only off\n$transaction");
is($status, 0, 'the request of the page runs');
like($out, qr/dan south\n\(1 row\)/, '… and shows what its user may see');
my (undef, $nobody) = web("SELECT count(*) FROM tasks");
is($nobody, '0', 'nobody sees nothing');
my $write = sub { my ($who, $sql) = @_; my (undef, $out, $error) = web(as($who, $sql)); return $out || ($error =~ /ERROR:  (.*)/ ? $1 : '') };
is($write->('ada', "UPDATE tasks SET title = title WHERE true RETURNING title;") =~ tr/\n/,/r, 'ada south,bob north,cid north', 'a leader changes her own and those of her site');
is($write->('bob', "WITH u AS (UPDATE tasks SET title = title RETURNING title) SELECT count(*) FROM u;"), '2', 'a member their own');
like($write->('ada', "UPDATE tasks SET site_id = '$id{south}' WHERE title = 'bob north';"), qr/violates row-level security policy/, 'a task cannot be moved out of the site');
like($write->('dan', "INSERT INTO tasks (owner_id, site_id, title) VALUES ('$id{ada}', '$id{south}', 'x');"), qr/violates row-level security policy/, 'or made for somebody else');
is($write->('dan', "INSERT INTO tasks (site_id, title) VALUES ('$id{south}', 'new') RETURNING owner_id = '$id{dan}';"), 't', 'one without an owner is mine');
is($write->('cid', "WITH d AS (DELETE FROM tasks RETURNING title) SELECT count(*) FROM d; ROLLBACK;"), '2', 'deleting is for owners');
one("DELETE FROM tasks WHERE title = 'new'");
one("SELECT usher.revoke_role('$id{ada}', 'leader', scope => '$id{north}')");
is($write->('ada', $see), 'ada south', 'what a role gave goes with it');
one("SELECT usher.grant_role('$id{ada}', 'leader', scope => '$id{north}')");

# One connection, transactions of different users one after the other, ended in every way that there is.
my $connection = $node->background_psql('postgres', extra_params => [ '-U', 'web' ], on_error_stop => 0);
my @endings = ('COMMIT', 'ROLLBACK', 'SELECT 1 / 0; ROLLBACK', "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5); ROLLBACK", 'SAVEPOINT s; ROLLBACK TO s; COMMIT',
    'DISCARD PLANS; COMMIT', "PREPARE TRANSACTION 'x'; ROLLBACK", "SELECT usher.authenticate('forged'); COMMIT");
my ($wrong, $asked) = ('', 0);
$connection->query("PREPARE seen AS $see PREPARE mine AS SELECT count(*) FROM tasks WHERE owner_id = usher.current_user_id()");
for my $round (1 .. 3)
{
    for my $ending (@endings)
    {
        my $who = (sort keys %sees)[ $asked++ % 4 ];
        my $seen = $connection->query("BEGIN; SELECT '' FROM usher.authenticate('$token{$who}'); EXECUTE seen");
        $wrong .= "$who sees $seen\n" unless $seen eq $sees{$who} || $seen eq "\n$sees{$who}";
        $connection->query($ending);
        my $after = $connection->query('SELECT coalesce(usher.current_user_id()::text, $$nobody$$), (SELECT count(*) FROM tasks); EXECUTE mine');
        $wrong .= "after $ending: $after\n" unless $after eq "nobody|0\n0";
    }
}
$connection->quit;
one("ROLLBACK PREPARED 'x'") if one('SELECT count(*) FROM pg_prepared_xacts');
is($wrong, '', "$asked transactions of different users on one connection: each is its own, and nobody's after it");

# As PostgREST does it: an authenticator connects, and each request is one transaction with a role, settings, a function, the query.
one(q{CREATE ROLE authenticator LOGIN NOINHERIT; GRANT web TO authenticator;
    CREATE FUNCTION pre_request() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM usher.authenticate(substr(current_setting('request.headers')::json ->> 'authorization', 8));
    END $$});
my $request = sub {
    my ($token, $claimed) = @_;
    my (undef, $out, $error) = $node->psql('postgres', "BEGIN; SET LOCAL ROLE web;
        SELECT set_config('request.headers', '{\"authorization\": \"Bearer $token\"}', true), set_config('request.jwt.claims', '{\"sub\": \"$claimed\"}', true) \\g /dev/null
        SELECT pre_request() \\g /dev/null
        $see COMMIT;", extra_params => [ '-U', 'authenticator' ]);
    return $out || ($error =~ /ERROR:  (.*)/ ? $1 : '');
};
is($request->($token{$_}, $id{ada}), $sees{$_}, "PostgREST-like: $_ sees the same, whatever a setting claims") for sort keys %sees;
is($request->('forged', $id{ada}), 'access token is not valid', 'a forged token is refused');

# PgBouncer itself, if there is one: two server connections for four clients at once.
SKIP: {
    my ($program) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
    skip 'pgbouncer is not installed', 1 unless $program;
    skip 'pgbouncer does not run as root', 1 if $> == 0;
    my $folder = PostgreSQL::Test::Utils::tempdir_short();
    my ($host, $port) = ($node->host, $node->port);
    append_to_file("$folder/users", "\"web\" \"\"\n");
    append_to_file("$folder/ini", <<"INI");
[databases]
postgres = host=$host port=$port dbname=postgres user=web
[pgbouncer]
listen_addr =
unix_socket_dir = $folder
listen_port = 6432
auth_type = any
auth_file = $folder/users
pool_mode = transaction
default_pool_size = 2
logfile = $folder/log
pidfile = $folder/pid
INI
    my $bouncer = IPC::Run::start([ $program, '-q', "$folder/ini" ], '<', \undef, '>', '/dev/null', '2>', '/dev/null');
    my $up = 0;
    for (1 .. 100) { last if $up = -S "$folder/.s.PGSQL.6432"; select undef, undef, undef, 0.1 }
    my @clients = map {
        my $who = (sort keys %sees)[ $_ % 4 ];
        my $client = { who => $who, out => '', err => '', in => "BEGIN; SELECT usher.authenticate('$token{$who}') \\g /dev/null\n$see COMMIT; SELECT count(*) FROM tasks;\n" x 25 };
        $client->{run} = IPC::Run::start([ 'psql', '-XAtq', '-h', $folder, '-p', 6432, '-U', 'web', 'postgres' ],
            '<', \$client->{in}, '>', \$client->{out}, '2>', \$client->{err});
        $client;
    } 1 .. 8;
    $_->{run}->finish for @clients;
    my $differences = join '', map { $_->{out} eq "$sees{$_->{who}}\n0\n" x 25 ? '' : "$_->{who}: $_->{out}$_->{err}" } @clients;
    is($differences, '', '8 clients behind PgBouncer with 2 connections: 200 transactions, each sees its own');
    $bouncer->kill_kill;
}

# The other examples of the page.
$node->safe_psql('postgres', $roles, extra_params => [ '-v', "user_id=$id{dan}" ]);
is(one("SELECT string_agg(concat_ws(' ', permission, effect, scope, via), ', ' ORDER BY permission, effect) FROM usher.list_permissions('$id{dan}')"),
    'booking:create allow north role, invoice:send allow north role, invoice:send deny direct', 'roles: the page gives what it says');
my $said = $node->safe_psql('postgres', $model);
like($said, qr/\nt$/, 'a model of Casbin: allowed');
is($node->safe_psql('postgres', $file), '1', 'a policy file: the rule that is new');

$node->stop;
done_testing();

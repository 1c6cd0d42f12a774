# The pool: connections that are kept, more of them while all are busy, the wait, the age; DATABASE_URL; and the numbers of the sources.
use strict;
use warnings;
use DocumentBlocks;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use UsherGateway;

my $node = start_cluster('pool');
sub in_background { my ($self, $path) = @_; my $socket = connect_to($self); syswrite($socket, "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); return $socket }
sub finish { my ($socket) = @_; return (parse_answers(scalar raw(undef, '', socket => $socket, wait => 60)))[0] // { status => -1 } }
sub sleepers { return $node->safe_psql('template1', "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'") }
sub wake { return $node->safe_psql('template1', "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'") }
sub open_connections { return $node->safe_psql('template1', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usher-gateway' AND query LIKE '%usher.http_request(%'") }
sub metric { my ($self, $name) = @_; return (http($self, 'GET', "$self->{admin}/metrics")->{content} =~ /^usher_gateway_$name (\d+)/m)[0] }
my @patient = (statement_timeout_ms => 600_000, database_metrics_s => 0);

# --- overflow and wait
{
    my $gateway = start_gateway($node, @patient, pool_size => 1, pool_overflow => 2, pool_wait_ms => 300);
    is(metric($gateway, 'pool_connections') + metric($gateway, 'pool_overflow_connections'), 3, 'the pool is one connection and two more');
    my @busy = map { in_background($gateway, '/sleep?600') } 1 .. 3;
    wait_for(sub { sleepers() == 3 }, 'three requests have a connection at a time');
    problem_is(http($gateway, 'GET', '/echo'), 503, 'overloaded', 'a fourth waits pool_wait_ms in vain');
    is(metric($gateway, 'pool_timeouts_total'), 1, '… and is counted');
    wake();
    is(finish($_)->{status}, 504, '… those that are cancelled are told') for @busy;
    wait_for(sub { open_connections() == 1 }, 'the overflow is closed when it is idle');
    is(http($gateway, 'GET', '/echo')->{status}, 200, 'the connection that was kept is used');
    is(open_connections(), 1, '… and no other');
    stop_gateway($gateway);
}

# --- age
{
    my $gateway = start_gateway($node, @patient, pool_size => 1, connection_max_age_s => 1);
    wait_for(sub { http($gateway, 'GET', '/echo')->{status} == 200 && metric($gateway, 'database_connections_replaced_total') > 0 }, 'a connection that is old is replaced');
    is(open_connections(), 1, '… by one');
    $node->safe_psql('template1', 'ALTER DATABASE postgres ALLOW_CONNECTIONS false');
    my $failures = metric($gateway, 'database_connect_failures_total');
    my @statuses;
    wait_for(sub { push @statuses, http($gateway, 'GET', '/echo')->{status}; metric($gateway, 'database_connect_failures_total') > $failures }, 'while there is no new one');
    is_deeply([ grep { $_ != 200 } @statuses, http($gateway, 'GET', '/echo')->{status} ], [], '… the old one goes on');
    $node->safe_psql('template1', 'ALTER DATABASE postgres ALLOW_CONNECTIONS true');
    my $replaced = metric($gateway, 'database_connections_replaced_total');
    wait_for(sub { http($gateway, 'GET', '/echo')->{status} == 200 && metric($gateway, 'database_connections_replaced_total') > $replaced }, '… until there is');
    stop_gateway($gateway);
}

# --- the page about pools
{
    my ($json) = map { $_->{text} } document_blocks('docs/pools.md');
    my $file = PostgreSQL::Test::Utils::tempdir() . '/gateway.json';
    append_to_file($file, $json);
    is(system("'$ENV{USHER_GATEWAY}' --check-config --config '$file' > /dev/null"), 0, 'the options of docs/pools.md are valid');
    is_deeply(JSON::PP::decode_json($json), { pool_size => 20, pool_overflow => 30, pool_wait_ms => 30000, connection_max_age_s => 3600 }, '… and the numbers that follow');
}

# --- pool 20, overflow 30, wait 30 s, recycle 3,600 s
{
    my $gateway = start_gateway($node, @patient, pool_size => 20, pool_overflow => 30, pool_wait_ms => 30_000, connection_max_age_s => 3600);
    my @busy = map { in_background($gateway, '/sleep?600') } 1 .. 52;
    wait_for(sub { sleepers() == 50 }, 'pool 20, overflow 30: fifty requests at a time');
    wait_for(sub { metric($gateway, 'pool_waiting') == 2 }, '… and the others wait');
    is(metric($gateway, 'pool_in_use'), 50, '… all fifty are in use');
    wait_for(sub { wake(); metric($gateway, 'pool_in_use') == 0 }, '… until these are done');
    is_deeply({ map { finish($_)->{status} => 1 } @busy }, { 504 => 1 }, 'nobody waited in vain');
    wait_for(sub { open_connections() == 20 }, 'twenty stay');
    stop_gateway($gateway);
}

# --- DATABASE_URL, also as SQLAlchemy writes it
my $host = $node->host =~ s/\//%2F/gr;
my $address = "$host:" . $node->port . '/postgres';
sub echo
{
    my ($url, %options) = @_;
    my $gateway = start_gateway($node, @patient, environment => { DATABASE_URL => $url }, database => '', %options);
    my $answer = json_of(http($gateway, 'GET', '/echo'));
    stop_gateway($gateway);
    return $answer->{application_name};
}
my $user = getpwuid($>);
is(echo("postgresql://$user\@$address"), 'usher-gateway', 'DATABASE_URL is understood');
is(echo("postgres://$user\@$address?application_name=shop"), 'shop', '… with parameters of libpq');
is(echo("postgresql+asyncpg://$user\@$address?ssl=disable&application_name=py"), 'py', '… with a driver of SQLAlchemy, whose ssl is sslmode');
# names, passwords and hosts of every kind
{
    my ($name, $password) = (q{o'd d@:/?#[]&=%}, q{p?s&s=w:r/d@%25+\\ '});
    my $escaped = sub { return $_[0] =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger };
    my $is_v6 = eval { require IO::Socket::IP; IO::Socket::IP->new(LocalHost => '::1', Listen => 1) };
    $node->append_conf('postgresql.conf', 'listen_addresses = \'127.0.0.1' . ($is_v6 ? ', ::1' : '') . "'\npassword_encryption = 'scram-sha-256'\n");
    my $rules = slurp_file($node->data_dir . '/pg_hba.conf');
    unlink $node->data_dir . '/pg_hba.conf';
    $node->append_conf('pg_hba.conf', join('', map { qq{host all "$name",plain $_ scram-sha-256\n} } '127.0.0.1/32', '::1/128') . $rules);
    $node->restart;
    $node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA usher TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA usher TO PUBLIC');
    $node->safe_psql('template1', "CREATE ROLE \"$name\" LOGIN PASSWORD '" . ($password =~ s/'/''/gr) . "'");
    $node->safe_psql('template1', "CREATE ROLE plain LOGIN PASSWORD 'what?is=this&that'");
    $node->safe_psql('template1', "CREATE DATABASE \"$name\" TEMPLATE postgres");
    my $port = $node->port;
    my $who = $escaped->($name) . ':' . $escaped->($password);
    is(echo("postgresql://$who\@127.0.0.1:$port/" . $escaped->($name)), 'usher-gateway', '… with odd characters in names and password');
    is(echo("postgresql://plain:what?is=this&that\@127.0.0.1:$port/postgres?application_name=odd"), 'odd', '… with ? and & in the password as they are');
    is(echo("postgresql://$who\@127.0.0.1:1,127.0.0.1:$port/postgres"), 'usher-gateway', '… with several hosts, of which the first is away');
    is(echo("postgresql://$who\@/postgres?host=127.0.0.1&port=$port&sslmode=prefer&target_session_attrs=read-write"), 'usher-gateway', '… with the host among the parameters');
    is(echo("postgresql:///postgres?host=$host&port=$port&user=$user"), 'usher-gateway', '… with the folder of the socket among them');
    SKIP:
    {
        skip 'there is no IPv6', 1 unless $is_v6;
        is(echo("postgresql://$who\@[::1]:$port/postgres"), 'usher-gateway', '… with an address of IPv6');
    }
    my $gateway = start_gateway($node, @patient, environment => { DATABASE_URL => "postgresql://$who\@127.0.0.1:$port/postgres?sslmode=require" }, database => '');
    is(http($gateway, 'GET', '/echo')->{status}, 503, '… and sslmode counts: without TLS at the server there is no connection');
    stop_gateway($gateway);
    unlike(slurp_file($gateway->{log}), qr/\Q$password\E/, '… and the log does not have the password');
}
is(echo('postgresql://nobody@127.0.0.1:1/none', database => $node->connstr('postgres')), 'usher-gateway', 'an option wins over DATABASE_URL');
for (
    [ 'mysql://app:hunter2@db/app', qr/^usher-gateway: DATABASE_URL is a URL of another kind of database; it begins with postgresql:\/\/$/m ],
    [ 'postgresql://app:hunter2@db/app?prepared_statement_cache_size=0', qr/^usher-gateway: DATABASE_URL: the URL has a parameter "prepared_statement_cache_size" that libpq does not know/m ],
    [ 'postgresql+asyncpg://app:hunter2@db/app?ssl=hunter2', qr/^usher-gateway: DATABASE_URL: ssl in the URL must be true or a value of sslmode$/m ],
    [ 'postgresql://app:hunt?er2hunter2@db/app?nothing=hunter2', qr/^usher-gateway: DATABASE_URL: the URL has a parameter "nothing" that libpq does not know/m ],
    [ 'postgresql://app:hunter2@[db/app', qr/^usher-gateway: DATABASE_URL is not a valid libpq connection string or URL$/m ])
{
    my ($url, $message) = @$_;
    local $ENV{DATABASE_URL} = $url;
    my ($out, $errors) = ('', '');
    IPC::Run::run([ $ENV{USHER_GATEWAY}, '--check-config' ], '<', \undef, '>', \$out, '2>', \$errors);
    ok($? >> 8 == 2 && $errors =~ $message && $errors !~ /hunter2/, 'refused, and no value of it shown: ' . $url =~ s/\?.*//r =~ s/hunter2/…/r) or diag($errors);
}
{
    my ($out, $errors) = ('', '');
    IPC::Run::run([ $ENV{USHER_GATEWAY}, '--check-config', '--standby-database=mongodb://db/app', '--database=host=x options=-csearch_path=a://b' ], '<', \undef, '>', \$out, '2>', \$errors);
    is($errors, "usher-gateway: standby_database is a URL of another kind of database; it begins with postgresql://\n", 'the options are read in the same way');
}
done_testing();

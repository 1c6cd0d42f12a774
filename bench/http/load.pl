# The gateway against Node `http` + `pg` and against pgbench, for the same call on the same machine, in turn.
#
# usage: ./dev bench http, or load.pl CONNINFO GATEWAY [SECONDS] with wrk, node and pgbench in PATH, NODE_PATH for the package pg
#
# A routed read with token and permission check, from 16 and 64 keep-alive connections. Each server is measured in each round,
# in an order that rotates; the median of the ratios within a round is what counts. CPU time is that of the server process and of
# PostgreSQL's backends, for each request.
use strict;
use warnings;
use File::Temp;
use IPC::Run ();
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);

my ($conninfo, $gateway, $seconds) = @ARGV;
$seconds //= 3;
my %connection = $conninfo =~ /(\w+)='?([^\s']+)/g;
my $ticks = POSIX::sysconf(&POSIX::_SC_CLK_TCK);
my $work = File::Temp->newdir;
(my $here = __FILE__) =~ s{[^/]*$}{};

sub sql { my ($out) = ''; IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $conninfo ], '<', \$_[0], '>', \$out) or die "psql failed\n"; chomp $out; return $out }
sql(q{
    SET client_min_messages = warning;
    CREATE EXTENSION IF NOT EXISTS usher CASCADE;
    DROP SCHEMA IF EXISTS bench CASCADE;
    CREATE SCHEMA bench;
    SELECT usher.apply_role_preset('carwash');
    CREATE FUNCTION bench.one(n integer, OUT id integer, OUT name text) LANGUAGE plpgsql STABLE AS $$ BEGIN id := n; name := 'a name'; END $$;
    SELECT usher.add_route('GET', '/bench/{n}', 'bench.one(integer)', access => 'permission', permission => 'user:manage', read_only => true);
    DO $$
    DECLARE who uuid := (SELECT user_id FROM usher.register_user('load@example.com', 'tiger umbrella 47 rivers'));
    BEGIN UPDATE usher.users SET email_verified_at = now(), username = 'load' WHERE id = who; PERFORM usher.grant_role(who, 'admin'); END $$;
    CREATE TABLE bench.token AS SELECT access_token FROM usher.login('load', 'tiger umbrella 47 rivers');
}) if sql(q{SELECT to_regclass('bench.token') IS NULL}) eq 't';
my $token = sql('SELECT access_token FROM bench.token');

# User and system time of a process and its children's that are there now, in seconds.
sub cpu_of
{
    my $sum = 0;
    for my $pid (@_)
    {
        open my $f, '<', "/proc/$pid/stat" or next;
        my @fields = split ' ', (<$f> =~ s/^.*\) //r);
        $sum += ($fields[11] + $fields[12]) / $ticks;
    }
    return $sum;
}
sub backends { return grep { /^\d+$/ } split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) }

my @servers;
{
    open my $script, '>', "$work/call.sql" or die;
    my $headers = encode_json({ authorization => "Bearer $token", host => 'localhost' });
    print $script "SELECT status, headers, body FROM usher.http_request('GET', '/bench/7', NULL, '$headers', NULL, '127.0.0.1');\n";
    close $script;
    push @servers, { name => 'pgbench, prepared', run => sub {
        my ($connections) = @_;
        my $clients = $connections > 8 ? 8 : $connections; # as many as the pools have
        my $before = cpu_of(backends());
        my $out = '';
        IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-T', $seconds, '-f', "$work/call.sql", '-d', $conninfo ], '>', \$out, '2>', '/dev/null') or die 'pgbench';
        return { rate => $out =~ /tps = ([\d.]+)/ ? $1 : die($out) };
    } };
}
sub http_server
{
    my ($name, $pid, $url) = @_;
    return { name => $name, pid => $pid, run => sub {
        my ($connections) = @_;
        my @backends = backends();
        my @before = (cpu_of($pid), cpu_of(@backends));
        my $out = '';
        IPC::Run::run([ 'wrk', '-t', 1, '-c', $connections, '-d', $seconds, '--latency', '-H', "Authorization: Bearer $token", "$url/bench/7" ], '>', \$out, '2>&1') or die $out;
        die "errors: $out" if $out =~ /Non-2xx|Socket errors/;
        my ($requests) = $out =~ /(\d+) requests in/;
        my ($rate) = $out =~ m{Requests/sec:\s+([\d.]+)};
        my ($p99) = $out =~ /99%\s+(\S+)/;
        return { rate => $rate, p99 => $p99, cpu => (cpu_of($pid) - $before[0]) / $requests * 1e6, backend => (cpu_of(@backends) - $before[1]) / $requests * 1e6 };
    } };
}
my ($process, $node);
END { $_ && $_->kill_kill for $node, $process } # also when something fails
my $ready = "$work/ready";
$process = IPC::Run::start([ $gateway, "--database=$conninfo", '--port=0', '--admin-port=0', "--ready-file=$ready", '--log-requests=false', '--max-requests-per-connection=1000000000' ], '<', \undef, '>', '/dev/null', '2>&1');
sleep 0.05 until -s $ready;
{ local $/; open my $f, '<', $ready or die; my $r = decode_json(<$f>); push @servers, http_server('usher-gateway', $r->{pid}, $r->{gateway}) }
my $node_port = '';
$node = IPC::Run::start([ 'node', "${here}node_pg.js", encode_json({ host => $connection{host}, port => $connection{port}, user => $connection{user} // POSIX::getpwuid($>), database => $connection{dbname} }) ], '<', \undef, '>', \$node_port, '2>', '/dev/null');
$node->pump until $node_port =~ /\n/;
chomp $node_port;
push @servers, http_server('Node http + pg', $node->{KIDS}[0]{PID}, "http://127.0.0.1:$node_port");

sub median { my @s = sort { $a <=> $b } @_; return $s[ @s / 2 ] }
for my $connections (16, 64)
{
    my %seen;
    $_->{run}->($connections) for @servers; # warm
    for my $round (0 .. 2)
    {
        for my $i (0 .. $#servers) { my $server = $servers[ ($i + $round) % @servers ]; push @{ $seen{ $server->{name} } }, $server->{run}->($connections) }
    }
    print "$connections connections:\n";
    printf "  %-20s %8s %10s %14s %14s\n", '', 'calls/s', 'p99', 'server CPU', 'backend CPU';
    for my $server (@servers)
    {
        my @runs = @{ $seen{ $server->{name} } };
        my @cpu = map { my $k = $_; defined $runs[0]{$k} ? sprintf('%.0f us/call', median(map { $_->{$k} } @runs)) : '' } qw(cpu backend);
        printf "  %-20s %8.0f %10s %14s %14s\n", $server->{name}, median(map { $_->{rate} } @runs), $runs[1]{p99} // '', @cpu;
    }
    my @ratio = map { my $r = $_; [ $seen{'usher-gateway'}[$r]{rate} / $seen{'Node http + pg'}[$r]{rate}, $seen{'usher-gateway'}[$r]{rate} / $seen{'pgbench, prepared'}[$r]{rate} ] } 0 .. 2;
    printf "  gateway / Node http + pg: %.2f (wanted: 1.5)   gateway / pgbench: %.2f (wanted: 0.35)\n", median(map { $_->[0] } @ratio), median(map { $_->[1] } @ratio);
}

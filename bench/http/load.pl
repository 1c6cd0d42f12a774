# The gateway against Node `http` + `pg`, fastify + `pg`, PostGraphile, and against pgbench, for the same call on the same machine,
# in turn.
#
# usage: ./dev bench http, or load.pl CONNINFO GATEWAY RESULTS [SECONDS] with wrk, node and pgbench in PATH, NODE_PATH for the packages
#
# A routed read with token and permission check, from 16 and 64 keep-alive connections. Each server is measured in each round,
# in an order that rotates; the median of the ratios within a round is what counts. CPU time is that of the server process and of
# PostgreSQL's backends, for each request. Every server has 8 connections to the database, and so has pgbench.
use strict;
use warnings;
use File::Temp;
use IPC::Run ();
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time sleep);

my ($conninfo, $gateway, $results, $seconds) = @ARGV;
$seconds //= $ENV{BENCH_SECONDS} // 2; # of each run
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
    SELECT usher.apply_role_preset('blog');
    CREATE FUNCTION bench.one(n integer, OUT id integer, OUT name text) LANGUAGE plpgsql STABLE AS $$ BEGIN id := n; name := 'a name'; END $$;
    SELECT usher.add_route('GET', '/bench/{n}', 'bench.one(integer)', access => 'permission', permission => 'user:manage', read_only => true);
    DO $$
    DECLARE who uuid := (SELECT user_id FROM usher.register_user('load@example.com', 'tiger umbrella 47 rivers'));
    BEGIN UPDATE usher.users SET email_verified_at = now(), username = 'load' WHERE id = who; PERFORM usher.grant_role(who, 'admin'); END $$;
    -- for PostGraphile, whose queries are functions that are STABLE
    CREATE FUNCTION bench.request(path text, headers jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (usher.http_request('GET', path, NULL, headers, NULL, '127.0.0.1')).body; END $$;
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
        my ($connections, $for) = @_;
        $for //= $seconds;
        my $clients = $connections > 8 ? 8 : $connections; # as many as the pools have
        my $out = '';
        IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-T', $for, '-f', "$work/call.sql", '-d', $conninfo ], '>', \$out, '2>', '/dev/null') or die 'pgbench';
        return { rate => $out =~ /tps = ([\d.]+)/ ? $1 : die($out) };
    } };
}
sub http_server
{
    my ($name, $pid, @request) = @_;
    return { name => $name, pid => $pid, run => sub {
        my ($connections, $for) = @_;
        $for //= $seconds;
        my @backends = backends();
        my @before = (cpu_of($pid), cpu_of(@backends));
        my $out = '';
        IPC::Run::run([ 'wrk', '-t', 1, '-c', $connections, '-d', $for, '--latency', @request ], '>', \$out, '2>&1') or die $out;
        die "errors: $out" if $out =~ /Non-2xx|Socket errors/;
        my ($requests) = $out =~ /(\d+) requests in/;
        my ($rate) = $out =~ m{Requests/sec:\s+([\d.]+)};
        my ($p99) = $out =~ /99%\s+(\S+)/;
        return { rate => $rate, p99 => $p99, cpu => (cpu_of($pid) - $before[0]) / $requests * 1e6, backend => (cpu_of(@backends) - $before[1]) / $requests * 1e6 };
    } };
}
my @processes;
END { local $?; $_->kill_kill for @processes } # also when something fails; what became of them is not what became of us
sub start
{
    my ($command, $out, $errors) = @_;
    push @processes, IPC::Run::start($command, '<', \undef, '>', $out, '2>', $errors // '/dev/null');
    return $processes[-1];
}
my @read = ('-H', "Authorization: Bearer $token");
my $ready = "$work/ready";
start([ $gateway, "--database=$conninfo", '--port=0', '--admin-port=0', "--ready-file=$ready", '--log-requests=false', '--max-requests-per-connection=1000000000' ], '/dev/null');
sleep 0.05 until -s $ready;
{ local $/; open my $f, '<', $ready or die; my $r = decode_json(<$f>); push @servers, http_server('usher-gateway', $r->{pid}, @read, "$r->{gateway}/bench/7") }

# A Node server of this folder: its process id and address, or nothing when it does not run here.
my @notes;
sub node_server
{
    my ($script) = @_;
    my ($port, $errors) = ('', '');
    my $process = start([ 'node', "$here$script", encode_json({ host => $connection{host}, port => $connection{port} + 0, user => $connection{user} // POSIX::getpwuid($>), database => $connection{dbname} }) ], \$port, \$errors);
    $process->pump while $port !~ /\n/ && $process->pumpable;
    chomp $port;
    return ($process->{KIDS}[0]{PID}, "http://127.0.0.1:$port") if $port;
    push @notes, "$script does not run here: " . (split /\n/, $errors)[0];
    return;
}
for ([ 'Node http + pg', 'node_pg.js' ], [ 'fastify + pg', 'fastify_pg.js' ])
{
    my ($name, $script) = @$_;
    my ($pid, $url) = node_server($script);
    push @servers, http_server($name, $pid, @read, "$url/bench/7") if $pid;
}
if (my ($pid, $url) = node_server('postgraphile.js'))
{
    my $query = encode_json({ query => '{ request(path: "/bench/7", headers: ' . (encode_json({ authorization => "Bearer $token", host => 'localhost' }) =~ s/"(\w+)":/$1:/gr) . ') }' });
    (my $quoted = $query) =~ s/([\\"])/\\$1/g;
    open my $script, '>', "$work/graphql.lua" or die;
    print $script "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = \"$quoted\"\n";
    close $script;
    my $out = '';
    IPC::Run::run([ 'curl', '-sS', '--retry', 20, '--retry-connrefused', '--retry-delay', 1, '-H', 'Content-Type: application/json', '-d', $query, "$url/graphql" ], '>', \$out, '2>&1');
    if ($out =~ /a name/) { push @servers, http_server('PostGraphile', $pid, '-s', "$work/graphql.lua", "$url/graphql") }
    else { push @notes, "PostGraphile answers: $out" }
}

sub median { my @s = sort { $a <=> $b } @_; return $s[ @s / 2 ] }
sub first_line { my ($out) = (''); IPC::Run::run([@_], '<', \undef, '>', \$out, '2>', '/dev/null'); return (split /\n/, $out)[0] // '' }
my $report = '';
sub say_it { my ($format, @values) = @_; my $text = sprintf $format, @values; print $text; $report .= $text }
my ($cpu) = map { /^model name\s*:\s*(.*)/ ? $1 : () } do { open my $f, '<', '/proc/cpuinfo' or die; <$f> };
say_it("# The gateway beside other servers\n\nMade by `./dev bench http` (`bench/http/load.pl` says how). One routed read with token and permission check: the same call\n"
      . "`usher.http_request` behind each server, all with 8 connections to one PostgreSQL, measured in turn, and `wrk` on the same machine.\n"
      . "Ratios carry over to other machines, figures do not.\n\n- %s, %d cores; %s\n- %s; Node %s\n- %s\n", $cpu // '?', `nproc` + 0, first_line('uname', '-sr'),
    first_line('psql', '--version'), first_line('node', '--version'), POSIX::strftime('%Y-%m-%d', gmtime));
for my $connections (16, 64)
{
    my %seen;
    $_->{run}->($connections, 1) for @servers; # warm
    for my $round (0 .. 2)
    {
        for my $i (0 .. $#servers) { my $server = $servers[ ($i + $round) % @servers ]; push @{ $seen{ $server->{name} } }, $server->{run}->($connections) }
    }
    say_it("\n## %d keep-alive connections\n\n| server | calls/s | 99th percentile | CPU of the server per call | CPU of PostgreSQL per call |\n| --- | --- | --- | --- | --- |\n", $connections);
    for my $server (@servers)
    {
        my @runs = @{ $seen{ $server->{name} } };
        my @cpu = map { my $k = $_; defined $runs[0]{$k} ? sprintf('%.0f us', median(map { $_->{$k} } @runs)) : '' } qw(cpu backend);
        say_it("| %s | %.0f | %s | %s | %s |\n", $server->{name}, median(map { $_->{rate} } @runs), $runs[1]{p99} // '', @cpu);
    }
    my $against = sub { my ($other) = @_; return median(map { $seen{'usher-gateway'}[$_]{rate} / $seen{$other}[$_]{rate} } 0 .. 2) };
    my $judge = sub { my ($other, $least) = @_; my $ratio = $against->($other); return sprintf '%.2f times %s (goal %.2f: %s)', $ratio, $other, $least, $ratio >= $least ? 'met' : '**missed**' };
    say_it("\nusher-gateway: %s; %s%s.\n", $judge->('Node http + pg', 1.5), $judge->('pgbench, prepared', 0.35),
        join '', map { my $name = $_->{name}; $name =~ /fastify|PostGraphile/ ? sprintf('; %.2f times %s', $against->($name), $name) : () } @servers);
}
say_it("\n%s\n", $_) for @notes;
open my $f, '>', $results or die "$results: $!";
print $f $report;
close $f;

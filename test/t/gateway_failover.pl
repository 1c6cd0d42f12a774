# deploy/ha/ on three addresses of the loopback interface: etcd, Patroni, haproxy, PgBouncer and one gateway under mixed load, while the
# primary's machine is killed, cut off, and relieved. No acknowledged write is lost with synchronous_mode; without, some are. The page is
# docs/failover.md, whose numbers this prints. Minutes: ./dev test-long gateway failover.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);
use UsherGateway;

plan skip_all => 'takes minutes: ./dev test-long gateway failover' unless $ENV{USHER_LONG};
my %program = map { my $name = $_; $name => (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin')[0] } qw(etcd patroni patronictl haproxy pgbouncer node);
if (my @missing = grep { !$program{$_} } sort keys %program) { plan skip_all => "not installed: @missing" }
plan skip_all => 'PostgreSQL does not run as root' if $> == 0;

$SIG{$_} = sub { exit 1 } for qw(INT TERM); # so that what is started here ends
my $deploy = "$ENV{USHER_SOURCE}/deploy/ha";
my $folder = PostgreSQL::Test::Utils::tempdir;
my $sockets = PostgreSQL::Test::Utils::tempdir_short;
my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(5432 8008 2379 2380 5000 5001 6432);
my $ports = join '|', keys %port;

# A file of deploy/ha/ with the addresses, ports and folders of this test.
sub configured
{
	my ($file, $n) = @_;
	my $text = slurp_file("$deploy/$file");
	if ($n) # what is the machine's own
	{
		$text =~ s/^(\s*(?:listen|connect_address): 10\.0\.0\.1|name: node|ETCD_NAME=node)1/$1$n/gm;
		$text =~ s{^(ETCD_(?:LISTEN|INITIAL_ADVERTISE|ADVERTISE)\w*=http://10\.0\.0\.1)1}{$1$n}gm;
	}
	$text =~ s/\b10\.0\.0\.1([123])\b/127.0.0.$1/g;
	$text =~ s/\b10\.0\.0\.20\b/127.0.0.1/g; # the front's own
	$text =~ s/\b10\.0\.0\.21\b/127.0.0.21/g;
	$text =~ s{\b10\.0\.0\.0/24}{127.0.0.0/24}g;
	$text =~ s/\b($ports)\b/$port{$1}/g;
	$text =~ s{/var/run/postgresql}{$sockets}g;
	$text =~ s{/etc/(?:pgbouncer|usher)/}{$folder/}g;
	$text =~ s{/etc/ssl/(?:certs|private)/ssl-cert-snakeoil}{$folder/snakeoil}g;
	return $text;
}
sub write_file { my ($name, $text) = @_; open my $file, '>', "$folder/$name" or die "$name: $!"; print $file $text; close $file; chmod 0600, "$folder/$name"; return "$folder/$name" }
sub start_program { my ($log, @command) = @_; return IPC::Run::start([@command], '<', \undef, '>>', "$folder/$log.log", '2>&1') }

# As the package ssl-cert makes them.
system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', '/CN=node', '-keyout', "$folder/snakeoil.key", '-out', "$folder/snakeoil.pem");
chmod 0600, "$folder/snakeoil.key";

# --- three machines
my %node = map { $_ => { n => $_, name => "node$_", address => "127.0.0.$_" } } 1 .. 3;
my %settings = slurp_file($ENV{TEMP_CONFIG}) =~ /^(extension_destdir|extension_control_path|dynamic_library_path|fsync) = (.*)$/gm;
for my $node (values %node)
{
	my $n = $node->{n};
	my $text = configured('patroni.yml', $n);
	mkdir "$sockets/$n" or die;
	my $bin = sh('pg_config --bindir');
	ok($text =~ s{^  data_dir: .*$}{  data_dir: $folder/data$n}m && $text =~ s{^  bin_dir: .*$}{  bin_dir: $bin}m && $text =~ s{^  pgpass: .*$}{  pgpass: $folder/pgpass$n}m
			&& $text =~ s{^    unix_socket_directories: .*$}{join "\n", "    unix_socket_directories: $sockets/$n", map { "    $_: " . ($settings{$_} =~ /^'/ ? $settings{$_} : "\"$settings{$_}\"") } sort keys %settings}me
			&& $text =~ s{local all postgres peer}{local all all trust}, "patroni.yml of node $n");
	$node->{patroni_config} = write_file("patroni$n.yml", $text);
	my %etcd = configured('etcd.conf', $n) =~ /^(ETCD_\w+)=(.*)$/gm;
	$etcd{ETCD_DATA_DIR} = "$folder/etcd$n";
	$node->{etcd_environment} = \%etcd;
}
sub start_etcd { my ($node) = @_; local %ENV = (%ENV, %{ $node->{etcd_environment} }); $node->{etcd} = start_program("etcd$node->{n}", $program{etcd}) }
sub start_patroni { my ($node) = @_; $node->{patroni} = start_program("patroni$node->{n}", $program{patroni}, $node->{patroni_config}) }

# The processes of a machine: Patroni, etcd, and the server with its children.
sub pid_of { my ($run) = @_; return $run->{KIDS}[0]{PID} }
sub server_processes
{
	my ($node) = @_;
	my $file = "$folder/data$node->{n}/postmaster.pid";
	my ($postmaster) = -e $file ? slurp_file($file) =~ /^(\d+)/ : ();
	return () unless $postmaster && kill 0, $postmaster;
	return ($postmaster, split ' ', qx(ps -o pid= --ppid $postmaster));
}
sub machine { my ($node) = @_; return ((map { pid_of($node->{$_}) } grep { $node->{$_} } qw(patroni etcd)), server_processes($node)) }

END
{
	my $status = $?;
	kill 'CONT', map { machine($_) } values %node;
	kill 'KILL', map { machine($_) } values %node;
	for my $run (map { @$_{qw(patroni etcd)} } values %node) { eval { $run->finish } if $run }
	$? = $status;
}

my $http = HTTP::Tiny->new(timeout => 2);
sub ask { my ($node, $path) = @_; return $http->get("http://$node->{address}:$port{8008}$path") }
sub leader { return (grep { ask($_, '/primary')->{status} == 200 } @node{ 1 .. 3 })[0] }
sub members
{
	for my $node (@node{ 1 .. 3 })
	{
		my $answer = ask($node, '/cluster');
		return @{ decode_json($answer->{content})->{members} } if $answer->{status} == 200;
	}
	return ();
}
sub is_whole
{
	my @members = members();
	return 0 unless @members == 3 && (grep { $_->{role} eq 'leader' && $_->{state} eq 'running' } @members) == 1;
	my %timelines = map { ($_->{timeline} // '') => 1 } @members;
	return 0 if keys %timelines != 1; # one that sleeps is there for a while as it was
	return (grep { $_->{role} =~ /^(replica|sync_standby)$/ && $_->{state} =~ /^(running|streaming)$/ && ($_->{lag} // '') =~ /^\d+$/ && $_->{lag} < 1 << 20 } @members) == 2;
}
sub has_sync { return scalar grep { $_->{role} eq 'sync_standby' } members() }
sub query
{
	my ($node, $sql, $database, $seconds) = @_;
	my ($out, $error) = ('', '');
	IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', "host=$node->{address} port=$port{5432} user=postgres password=CHANGE-postgres dbname=" . ($database // 'app') ],
		'<', \$sql, '>', \$out, '2>', \$error, IPC::Run::timeout($seconds // 60)) or die "$sql: $error";
	chomp $out;
	return $out;
}

start_etcd($_) for @node{ 1 .. 3 };
wait_for(sub { ($http->get("http://127.0.0.1:$port{2379}/health")->{content} // '') =~ /true/ }, 'etcd has a leader') or BAIL_OUT('no etcd');
start_patroni($_) for @node{ 1 .. 3 };
wait_for(sub { is_whole() && has_sync() }, 'Patroni makes a primary and two standbys, one of them synchronous')
  or do { diag(slurp_file("$folder/patroni1.log")); done_testing(); exit };

my $primary = leader();
query($primary, 'CREATE DATABASE app', 'postgres');
query($primary, <<'SQL');
CREATE EXTENSION usher CASCADE;
CREATE ROLE usher_gateway LOGIN PASSWORD 'tunnel';
SELECT usher.grant_access('usher_gateway', 'gateway');
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO usher_gateway;
CREATE TABLE app.notes (id int PRIMARY KEY);
CREATE FUNCTION app.add_note(id int) RETURNS app.notes LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DECLARE made app.notes; BEGIN INSERT INTO app.notes VALUES (add_note.id) RETURNING * INTO made; RETURN made; END $$;
CREATE FUNCTION app.get_note(id int) RETURNS app.notes LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DECLARE found app.notes; BEGIN SELECT n.* INTO found FROM app.notes n WHERE n.id = get_note.id; RETURN found; END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO usher_gateway;
SELECT usher.add_route('POST', '/notes', 'app.add_note(int)', access => 'public', success_status => 201);
SELECT usher.add_route('GET', '/notes/{id}', 'app.get_note(int)', access => 'public', read_only => true);
SELECT usher.define_rate_limit('failover', 'fixed_window', 1000, '10 days');
SQL

# --- the way to them
my $pooler_config = write_file('pgbouncer.ini', configured('pgbouncer.ini'));
{
	my ($secrets) = grep { $_->{text} =~ /USERLIST/ } document_blocks('docs/pools.md', 'gateway_pgbouncer.pl');
	local %ENV = (%ENV, PGHOST => $primary->{address}, PGPORT => $port{5432}, PGUSER => 'postgres', PGPASSWORD => 'CHANGE-postgres', USERLIST => "$folder/userlist.txt");
	sh($secrets->{text});
}
write_file('gateway.pgpass', "*:$port{6432}:*:usher_gateway:tunnel\n");
my $unencrypted = '';
IPC::Run::run([ 'psql', '-XqAt', '-d', "host=$primary->{address} port=$port{5432} user=usher_gateway password=tunnel dbname=app sslmode=disable", '-c', 'SELECT 1' ], '<', \undef, '>', \my $answered, '2>', \$unencrypted);
like($unencrypted, qr/no pg_hba\.conf entry .*no encryption/, 'the servers take nothing without TLS');
is(query($primary, q{SELECT string_agg(finding, ', ') FROM usher.check_configuration() WHERE finding ~ 'pg_hba|TLS|encrypt'}), '', '… and check_configuration() has no word against it');
my $proxy_config = write_file('haproxy.cfg', configured('haproxy.cfg'));
my %beside = (haproxy => start_program('haproxy', $program{haproxy}, '-db', '-f', $proxy_config), pgbouncer => start_program('pgbouncer', $program{pgbouncer}, $pooler_config));
END { for my $run (values %beside) { eval { $run->signal('KILL'); $run->finish } } }
wait_for(sub { -S "$sockets/.s.PGSQL.$port{6432}" }, 'PgBouncer listens') or diag(slurp_file("$folder/pgbouncer.log"));
my $gateway_options = configured('gateway.json');
{
	package Elsewhere; # in the place of a node
	sub connstr { return '' }
}
my $gateway = start_gateway(bless({}, 'Elsewhere'), database => decode_json($gateway_options)->{database}, log_requests => 'false', max_requests_per_connection => 1000000,
	drain_delay_ms => 0, environment => { USHER_GATEWAY_CONFIG => write_file('gateway.json', $gateway_options) });
wait_for(sub { http($gateway, 'GET', "$gateway->{admin}/readyz")->{status} == 200 }, 'the gateway is ready') or diag(slurp_file($gateway->{log}));

my ($out, $errors) = ('', '');
my $load = $beside{load} = IPC::Run::start([ $program{node}, "$ENV{USHER_SOURCE}/test/node/load.js", $gateway->{url}, '8+2', 3600, 504 ], '<', \undef, '>', \$out, '2>', \$errors);
sleep 5;
my $standby_answers = sub { http($gateway, 'GET', "$gateway->{admin}/metrics")->{content} =~ /^usher_gateway_standby_answers_total (\d+)/m ? $1 : 0 };
wait_for(sub { $standby_answers->() > 0 }, 'standbys answer what only reads');
my $hits = sub { my ($times) = @_; return query(leader(), "SELECT min(1000 - remaining) || ' ' || max(1000 - remaining) FROM (SELECT (usher.hit_rate_limit('failover', 'one')).remaining FROM generate_series(1, $times)) AS hit") };
is($hits->(7), '1 7', 'hits are counted');
my $flushed = sub { query(leader(), q{SELECT coalesce(sum(hits), 0) FROM usher.rate_limit_records WHERE policy = 'failover'}) };

my @blocks = document_blocks('docs/failover.md');
is(scalar @blocks, 5, 'docs/failover.md has its blocks');
my ($list, $setting, $switch, $asynchronous, $synchronous) = @blocks;
local $ENV{PATRONICTL_CONFIG_FILE} = $node{1}{patroni_config};
run_block($list);
run_block($setting);
for my $node (@node{ 1 .. 3 }) { wait_for(sub { query($node, 'SHOW usher.public_url', 'postgres') eq 'https://api.example.com' }, "$node->{name}: a setting reaches it") }

# --- what happens, and when
my @phases;
sub phase
{
	my ($name, $what) = @_;
	my $before = leader();
	push @phases, [ $name, time ];
	$what->($before);
	wait_for(sub { my $now = leader(); $now && $now != $before }, "$name: another one is primary");
	my $now = leader();
	wait_for(sub { eval { query($now, 'SELECT NOT pg_is_in_recovery()') } // '' eq 't' }, "$name: it takes writes");
	wait_for(sub { post_json($gateway, '/notes', { id => -time() % 1000000 - 1000000 * @phases })->{status} =~ /^(201|409)$/ }, "$name: through the same gateway as before");
	return $now;
}
sub rejoined { my ($name) = @_; wait_for(sub { is_whole() && has_sync() }, "$name: who was primary is a standby, and the cluster is whole") or diag(explain([members()])) }

phase('kill', sub { my ($node) = @_; kill 'KILL', machine($node); $_->finish for @$node{qw(patroni etcd)}; sleep 1 });
my ($dead) = grep { !ask($_, '/liveness')->{success} } @node{ 1 .. 3 };
my $read_before = $standby_answers->();
my ($first) = split ' ', $hits->(1);
cmp_ok($first, '>=', 1, 'kill: counters go on');
cmp_ok($first, '<=', 8, '… from what was written, which may be behind by usher.flush_interval');
start_etcd($dead);
start_patroni($dead);
rejoined('kill');
wait_for(sub { $standby_answers->() > $read_before }, 'kill: standbys answer again');

# The server alone crashes: its Patroni starts it again, unless that takes longer than primary_start_timeout.
push @phases, [ 'crash', time ];
my $crashed = leader();
kill 'KILL', server_processes($crashed);
wait_for(sub { post_json($gateway, '/notes', { id => -999 })->{status} =~ /^(201|409)$/ }, 'crash: writes through the same gateway as before');
rejoined('crash');
diag('crash: ' . (leader() == $crashed ? 'started again by its Patroni' : 'another one took over'));

phase('cut off', sub { my ($node) = @_; $dead = $node; kill 'STOP', machine($node) });
my $promoted = leader();
kill 'CONT', machine($dead);
rejoined('cut off');
is(leader()->{name}, $promoted->{name}, 'cut off: who wakes up does not become primary again');

# Only the agents hang: two servers believe to be primary, and one of them can acknowledge.
phase('agent', sub { my ($node) = @_; $dead = $node; kill 'STOP', map { pid_of($node->{$_}) } qw(patroni etcd) });
is(query($dead, 'SELECT pg_is_in_recovery()'), 'f', 'agent: the one before still runs as a primary');
my $unheard = eval { query($dead, 'INSERT INTO app.notes VALUES (2000000000)', 'app', 5); 'acknowledged' } // 'no answer';
is($unheard, 'no answer', 'agent: … which acknowledges nothing');
kill 'CONT', map { pid_of($dead->{$_}) } qw(patroni etcd);
rejoined('agent');
for my $node (leader(), $dead) # which may be restarting
{
	wait_for(sub { (eval { query($node, 'SELECT count(*) FROM app.notes WHERE id = 2000000000') } // '') eq '0' }, 'agent: what it had taken meanwhile is gone from ' . ($node == $dead ? 'it' : 'the new one'));
}

# Most of etcd is gone: no primary rather than two.
push @phases, [ 'no majority', time ];
kill 'STOP', map { pid_of($node{$_}{etcd}) } 1, 2;
wait_for(sub { !leader() }, 'no majority: there is no primary');
wait_for(sub { http($gateway, 'GET', '/notes/1000000')->{status} == 200 }, 'no majority: standbys answer what only reads');
kill 'CONT', map { pid_of($node{$_}{etcd}) } 1, 2;
wait_for(sub { leader() }, 'no majority: with one there is a primary again');
rejoined('no majority');

my $counted = (split ' ', $hits->(5))[1];
phase('switchover', sub { run_block($switch) });
is($hits->(1), ($counted + 1) . ' ' . ($counted + 1), 'switchover: counters in shared memory are there to the last');
rejoined('switchover');
push @phases, [ 'after', time ];
sleep 3;
$load->signal('TERM');
$load->finish;
delete $beside{load};
is($errors, '', 'the load ran');
my $seen = decode_json($out);
note(explain($seen->{statuses}));
is_deeply([ grep { defined } @{ $seen->{wrong} }[ 0 .. 4 ] ], [], 'no wrong answer');
is_deeply($seen->{errors}, [], 'no connection of a client was broken');
cmp_ok(scalar @{ $seen->{acknowledged} }, '>', 1000, 'writes were acknowledged');
my %there = map { $_ => 1 } split /\n/, query(leader(), 'SELECT id FROM app.notes');
is((grep { !$there{$_} } @{ $seen->{acknowledged} }), 0, 'no acknowledged write is lost');
for my $i (0 .. $#phases - 1)
{
	my ($name, $from) = @{ $phases[$i] };
	for my $kind (qw(write read))
	{
		my @silent = sort { $b <=> $a } map { $_->[2] - $_->[1] } grep { $_->[0] eq $kind && $_->[2] >= $from && $_->[1] < $phases[ $i + 1 ][1] } @{ $seen->{silences} };
		my $longest = $silent[0] // 0;
		diag(sprintf '%s: %.1f s without a good answer to a %s', $name, $longest, $kind);
		cmp_ok($longest, '<', 120, "$name: ${kind}s are answered again");
	}
}
is(query(leader(), 'SELECT count(*) FROM usher.self_check() WHERE violations > 0'), 0, 'every rule holds');
is(query(leader(), 'SELECT count(*) FROM usher.verify_audit_chain() WHERE NOT is_intact'), 0, 'the audit log is intact');

# --- without synchronous_mode: what the standbys have not heard of is lost
run_block($asynchronous);
wait_for(sub { query(leader(), 'SHOW synchronous_standby_names') eq '' }, 'asynchronous: nobody waits for standbys');
my $alone = leader();
my @senders = split ' ', qx(pgrep -P ${\ (server_processes($alone))[0]} -f walsender);
is(scalar @senders, 2, 'asynchronous: two standbys are sent the log');
kill 'STOP', @senders;
is(post_json($gateway, '/notes', { id => 2_000_000_001 })->{status}, 201, 'asynchronous: a write that no standby has is acknowledged');
kill 'KILL', machine($alone);
$_->finish for @$alone{qw(patroni etcd)};
wait_for(sub { my $now = leader(); $now && $now != $alone }, 'asynchronous: another one is primary');
wait_for(sub { post_json($gateway, '/notes', { id => 2_000_000_002 })->{status} =~ /^(201|409)$/ }, 'asynchronous: through the same gateway as before');
is(query(leader(), 'SELECT string_agg(id::text, $$ $$) FROM app.notes WHERE id > 2000000000'), '2000000002', 'asynchronous: … and lost with the primary');
run_block($synchronous);
start_etcd($alone);
start_patroni($alone);
rejoined('asynchronous');
is(query($alone, 'SELECT string_agg(id::text, $$ $$) FROM app.notes WHERE id > 2000000000'), '2000000002', 'asynchronous: who comes back is rewound, and has it no longer');

is(stop_gateway($gateway), 0, 'the gateway ran all the time');
$_->signal('INT') for values %beside;
$_->finish for values %beside;
for my $node (@node{ 1 .. 3 }) # Patroni stops its server
{
	kill 'TERM', pid_of($node->{patroni});
	$node->{patroni}->finish;
}
for my $node (@node{ 1 .. 3 }) { kill 'TERM', pid_of($node->{etcd}); $node->{etcd}->finish; delete @$node{qw(patroni etcd)} }
done_testing();

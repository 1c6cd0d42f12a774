# docs/runbook.md, "The disk is full", on a disk that is: the server's folder is a small file system of its own, in a mount namespace, which
# needs no root where the kernel lets anybody make one.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $disk_mb = 160;
my ($uid, $gid) = ($>, (split ' ', $))[0]);
my @namespace = ('unshare', '--user', "--map-user=$uid", "--map-group=$gid", '--keep-caps', '--mount');
my $tried = '';
IPC::Run::run([ @namespace, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt' ], '<', \undef, '>&', \$tried)
	or plan skip_all => "no file system of one's own can be made here: $tried";

my $node = PostgreSQL::Test::Cluster->new('full_disk');
$node->init(allows_streaming => 1, extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', <<'CONF');
usher.require_verified_email = off
usher.argon2_memory = 8MB
usher.argon2_iterations = 1
max_wal_size = 1GB
wal_recycle = off
autovacuum = off
restart_after_crash = off
CONF
my ($data, $log) = ($node->data_dir, $node->logfile);

# Whoever holds the namespace open, until this test ends in whatever way. The data directory is moved onto the new disk.
my ($words, $said) = ('', '');
my $holder = IPC::Run::start([ @namespace, 'sh', '-ec', <<'END', 'sh', $data, $disk_mb ], '<', \$words, '>', \$said, '2>&1');
cp -a "$1" "$1.before"
mount -t tmpfs -o "size=$2M,mode=0700" tmpfs "$1"
cp -a "$1.before/." "$1/"
echo "ready $$"
cat > /dev/null
END
$holder->pump until $said =~ /^ready (\d+)$/m || !$holder->pumpable;
my ($there) = $said =~ /^ready (\d+)$/m or BAIL_OUT($said);
# Runs shell there; returns whether it went well.
sub on_disk
{
	my ($text) = @_;
	my $answer = '';
	my $good = IPC::Run::run([ 'nsenter', '--preserve-credentials', '--user', '--mount', "--target=$there", 'sh', '-ec', $text ], '<', \undef, '>&', \$answer);
	note($answer) if $answer ne '';
	return $good;
}
sub start_server { return on_disk("pg_ctl --wait --timeout=120 --silent -D '$data' -l '$log' start") }
sub free_kb { my $out = ''; IPC::Run::run([ 'nsenter', '--preserve-credentials', '--user', '--mount', "--target=$there", 'df', '--output=avail', '-k', $data ], '>', \$out); return ($out =~ /(\d+)/)[0] }
sub is_running { return on_disk("pg_ctl -D '$data' status > /dev/null") }
# What lies on the same disk, and leaves so much of it.
sub fill { my ($leave_kb) = @_; my $size = free_kb() - $leave_kb; return on_disk("head -c ${size}K /dev/zero > '$data/old_server.log'") }
sub make_room { return on_disk("rm '$data/old_server.log'") }
END
{
	my $status = $?;
	if ($there)
	{
		on_disk("pg_ctl --silent -D '$data' -m immediate stop > /dev/null 2>&1 || true");
		$holder->kill_kill(grace => 2);
	}
	$? = $status;
}

ok(start_server(), 'the server starts on a disk of its own') or BAIL_OUT(slurp_file($log));
$node->safe_psql('postgres', 'CREATE DATABASE app');
local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, 'app');
sub one { return $node->safe_psql('app', $_[0]) }
one(q{CREATE EXTENSION usher CASCADE; SELECT usher.register_user('ann@full.example', 'what ann remembers');
	CREATE TABLE confirmed AS SELECT 0 AS n; SELECT pg_create_physical_replication_slot('gone_standby', true)});
my @blocks = document_blocks('docs/runbook.md', 'usher_runbook.pl');
my ($look) = grep { $blocks[$_]{text} =~ /pg_ls_waldir/ } 0 .. $#blocks;
my ($see, $drop, $upkeep) = @blocks[ $look .. $look + 2 ];
sub sqlstate_of { my ($sql) = @_; my (undef, undef, $errors) = $node->psql('app', "\\set VERBOSITY sqlstate\n$sql"); return ($errors =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5})/)[0] // '' }
my $many_events = q{SELECT count(usher.log_event('full.filled', jsonb_build_object('text', repeat(md5(n::text), 60)))) FROM generate_series(1, 20000) AS n};

# --- a table finds no room
one('SELECT pg_switch_wal(); CHECKPOINT'); # the log has a segment that is empty
fill(0);
is(sqlstate_of($many_events), '53100', 'a disk that is full: what needs room is refused');
is(one(q{SELECT usher.has_permission('user:manage') IS NOT NULL, status FROM usher.health()}), 't|ok', '… and what reads goes on');
make_room();
is(one(q{SELECT error IS NULL FROM usher.login('ann@full.example', 'what ann remembers')}), 't', 'with room again everything goes on, without a restart');

# --- the log finds no room: the slot of a standby that is gone keeps all of it
fill(6 * 1024);
# Begun again, it has what is left of the last segment of the log, until that is too little for the start itself.
my ($confirmed, $stops, $size, $is_beyond) = (0, 0, 200000, 0);
until ($is_beyond || $confirmed > 1000 || $stops > 20)
{
	my ($status) = $node->psql('app', "UPDATE confirmed SET n = $confirmed + 1; SELECT pg_logical_emit_message(true, 'filler', repeat('x', $size))");
	if ($status == 0) { $confirmed++; next }
	$stops++;
	for (1 .. 600) { last if !is_running(); sleep 0.1 }
	$size = 1 + int($size / 4);
	$is_beyond = !start_server();
}
cmp_ok($confirmed, '>', 10, 'what the log has room for is written');
cmp_ok($stops, '>=', 1, '… and then the server stops');
like(slurp_file($log), qr/(?:PANIC|FATAL):  could not write to file "pg_wal\/xlogtemp\.\d+": No space left on device/, '… and says why');
ok($is_beyond, '… and in the end does not start any more');
make_room();
ok(start_server(), 'with room made beside it, it does');
cmp_ok(one('SELECT n FROM confirmed'), '>=', $confirmed, '… and has whatever it had confirmed');
my $free = free_kb();
run_block($_) for $see, $drop;
is(one('SELECT count(*) FROM pg_replication_slots'), 0, 'the slot is dropped');
cmp_ok(free_kb(), '>', $free + 4096, '… and the disk has room again');
run_block($upkeep);
is(one(q{SELECT string_agg(rule, chr(10)) FROM usher.self_check() WHERE violations > 0}), '', 'nothing is damaged');
is(one('SELECT count(*) FROM usher.verify_audit_chain() WHERE NOT is_intact'), 0, '… nor the audit log');
is(one(q{SELECT error IS NULL FROM usher.login('ann@full.example', 'what ann remembers')}), 't', '… and everything goes on');
ok(on_disk("pg_ctl --wait --silent -D '$data' -m fast stop"), 'stopped');
done_testing();

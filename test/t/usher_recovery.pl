# docs/backup.md, in order: the log is archived, a full backup, what is kept; back to the instant before an accident, whole; and a standby
# that takes over.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('backed_up');
$node->init(allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION usher CASCADE;
    SET usher.require_verified_email = off;
    SELECT usher.register_user('ann@recovery.example', 'what ann remembers');
    SELECT usher.register_user('bob@recovery.example', 'what bob remembers');
    SELECT usher.login('ann@recovery.example', 'what ann remembers'), usher.login('bob@recovery.example', 'what bob remembers')});

# from here on as on Debian, with the background worker
$node->stop;
my ($settings, $programs) = as_debian_has_it($node);
$ENV{PATH} = "$programs:$ENV{PATH}";
append_to_file("$settings/conf.d/worker.conf", "shared_preload_libraries = 'usher'\nusher.worker_databases = 'postgres'\n");
sh('systemctl start postgresql@15-main');
my $folder = PostgreSQL::Test::Utils::tempdir;
my %environment = (
	PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', DATA => $node->data_dir, CONF => $settings, BACKUPS => "$folder/backups",
	RESTORED => "$folder/restored", RESTORED_PORT => PostgreSQL::Test::Cluster::get_free_port(),
	STANDBY => "$folder/standby", STANDBY_PORT => PostgreSQL::Test::Cluster::get_free_port());
local @ENV{ keys %environment } = values %environment;

my @blocks = document_blocks('docs/backup.md');
is(scalar @blocks, 9, 'docs/backup.md has its blocks');
my ($archive, $backup, $retention, $accident, $restore, $check, $log_out, $standby, $promote) = @blocks;
run_block($archive);

# two backups of before: one of a month and a half ago, and one of ten days ago, whose log is older than a week
run_block($backup);
my ($first) = glob "$folder/backups/base/*";
system('cp', '-a', $first, "$folder/backups/base/20000101_020000");
system('touch', '-d', '45 days ago', "$folder/backups/base/20000101_020000");
rename $first, "$folder/backups/base/20000202_020000";
system('touch', '-d', '10 days ago', "$folder/backups/base/20000202_020000");
my ($needed) = slurp_file("$folder/backups/base/20000202_020000/backup_label") =~ /^START WAL LOCATION: .*\(file (\S+)\)/m;
# the log of after that is filled, so that there is some of before and some of after
$node->safe_psql('postgres', "SELECT usher.log_event('recovery.filled'), pg_switch_wal()") for 1 .. 3;
run_block($backup);
my $kept = run_block($retention);
unlike($kept, qr/20000101/, 'what is older than 30 days is gone');
like($kept, qr/20000202.*\n.*\d{8}_\d{6}/, 'what is younger is not');
$node->poll_query_until('postgres', "SELECT last_archived_wal > '$needed' FROM pg_stat_archiver");
is(scalar(grep { /^[0-9A-F]{24}$/ && $_ lt $needed } map { s{.*/}{}r } glob "$folder/backups/wal/*"), 0, 'no log of before the last week\'s first backup');
cmp_ok(scalar(grep { /^[0-9A-F]{24}$/ } map { s{.*/}{}r } glob "$folder/backups/wal/*"), '>', 0, '… and the rest is there');

# Somebody was made after the backup, and is in the log only; the accident, and what came after it, is not to come back.
$node->safe_psql('postgres', "SELECT usher.log_event('recovery.before'); SELECT pg_sleep(1.1); SELECT usher.run_maintenance()");
run_block($accident);
$node->safe_psql('postgres', "SELECT usher.log_event('recovery.after')");
sh('sleep 1.1');
sh($backup->{text}); # which is of no use
run_block($restore);
is(restored(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'usher'}), 0, 'what is restored has no worker');
run_block($check);
# What the restored server answers.
sub restored
{
	my ($out) = run_command([ 'psql', '-p', $ENV{RESTORED_PORT}, '-XqAtc', $_[0] ]);
	return $out;
}
is(restored(q{SELECT string_agg(DISTINCT event_type, ' ' ORDER BY event_type) FROM usher.audit_logs WHERE event_type ~ '^recovery.(before|after)$'}),
	'recovery.before', 'everything until the accident, nothing after it');
is(restored('SELECT count(*) > 0 FROM usher.verify_audit_chain()'), 't', 'there were seals to verify');
run_block($log_out);
run_block($standby);
run_block($promote);

system_log('pg_ctl', '-D', $ENV{$_}, '-m', 'immediate', 'stop') for qw(RESTORED STANDBY);
$node->_update_pid(0);
done_testing();

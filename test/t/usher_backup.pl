# docs/backup.md with pgBackRest, in order, by the files of deploy/backup/: full and incremental backups, what is kept, back to the instant
# before a bad UPDATE, the tables of one extension, and the whole server from nothing; the master key is in no backup.
use strict;
use warnings;
use CarriedOut;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
sub program { my ($name) = @_; return (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0] }
program('pgbackrest') or plan skip_all => 'pgbackrest is not installed';

my $node = PostgreSQL::Test::Cluster->new('backrest');
$node->init(allows_streaming => 1, extra => ['--data-checksums']);
$ENV{PGOPTIONS} = '-c search_path='; # as the page has it
my $folder = PostgreSQL::Test::Utils::tempdir;
mkdir "$folder/$_" or die for qw(repository log lock spool bin);
my $key = join '', map { sprintf '%02x', $_ } reverse 1 .. 32;
append_to_file("$folder/master.key", "$key\n");
chmod 0600, "$folder/master.key";
$node->append_conf('postgresql.conf', "usher.master_key_file = '$folder/master.key'\n");
$node->start;
$node->safe_psql('postgres', q{
    CREATE SCHEMA wash;
    CREATE EXTENSION usher_loyalty SCHEMA wash CASCADE;
    CREATE SCHEMA courier;
    CREATE EXTENSION usher_courier SCHEMA courier;
    SET usher.require_verified_email = off;
    SELECT usher.register_user('ann@backup.example', 'what ann remembers');
    SELECT usher.register_user('bob@backup.example', 'what bob remembers');
    SELECT usher.login('ann@backup.example', 'what ann remembers');
    SELECT wash.adjust_points('00000000-0000-7000-8000-0000000000c1', 100, 'welcome')});

# whoever verifies is superuser in every database: one of them has an owner who waits for that
$node->safe_psql('postgres', 'CREATE ROLE landlord LOGIN; CREATE DATABASE theirs OWNER landlord');
$node->safe_psql('theirs', q{
	SET SESSION AUTHORIZATION landlord;
	CREATE SCHEMA evil;
	CREATE FUNCTION evil.try() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN ALTER ROLE landlord SUPERUSER; END IF;
		RETURN true;
	END $$;
	CREATE FUNCTION evil.is(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT evil.try()';
	CREATE OPERATOR evil.= (FUNCTION = evil.is, LEFTARG = name, RIGHTARG = name);
	CREATE VIEW evil.pg_extension AS SELECT * FROM pg_catalog.pg_extension WHERE evil.try();
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	ALTER DATABASE theirs SET search_path = evil, pg_catalog});

# from here on as on Debian
$node->stop;
my $first_look = join ' ', 'pgbackrest --stanza=look --no-online --log-level-file=off', '--pg1-path=' . $node->data_dir,
	map { "--$_-path=$folder/bin" } qw(repo1 lock);
`$first_look stanza-create 2>&1` =~ /unexpected control version/
	and plan skip_all => 'this pgbackrest is older than the server: ' . `pgbackrest version`;
my ($settings, $programs) = as_debian_has_it($node);
$ENV{PATH} = "$programs:$ENV{PATH}";
sh('systemctl start postgresql@15-main');

# the configuration that is shipped, with the folders of this test in the places of the machine's
my $configuration = slurp_file("$source/deploy/backup/pgbackrest.conf");
ok($configuration =~ s{^repo1-path=.*$}{repo1-path=$folder/repository\nrepo1-cipher-pass=opensesame\nlog-path=$folder/log\nlock-path=$folder/lock\nspool-path=$folder/spool}m
		&& $configuration =~ s{^pg1-path=.*$}{'pg1-path=' . $node->data_dir . "\npg1-socket-path=" . $node->host}me
		&& $configuration =~ s{^pg1-port=.*$}{'pg1-port=' . $node->port}me, 'pgbackrest.conf names what is to be replaced');
my ($locks) = $configuration =~ /^lock-path=(\S+)$/m;
$configuration =~ s/^lock-path=\S+\n(?=\nrepo1-bundle)//m;
my $unit = slurp_file("$source/deploy/backup/usher-backup\@.service");
unlike($locks // '/tmp/pgbackrest', qr{^/(var/)?tmp/}, 'locks lie where the unit, with a /tmp of its own, and `pgbackrest stop` both see them');
like($unit, qr/^PrivateTmp=yes$/m, '… which it has');
is($configuration =~ /^repo1-retention-full-type=time\nrepo1-retention-full=30\nrepo1-retention-archive-type=full\nrepo1-retention-archive=7$/m ? 1 : 0, 1,
	'full backups for 30 days, the log of the last 7');
append_to_file("$folder/pgbackrest.conf", $configuration);
symlink "$source/deploy/backup/usher-backup", "$folder/bin/usher-backup" or die;
my %environment = (
	PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', DATA => $node->data_dir, CONF => $settings,
	PATH => "$folder/bin:$ENV{PATH}", PGBACKREST_CONFIG => "$folder/pgbackrest.conf",
	RESTORED => "$folder/restored", RESTORED_PORT => PostgreSQL::Test::Cluster::get_free_port());
local @ENV{ keys %environment } = values %environment;
sub one { return $node->safe_psql('postgres', $_[0]) }
sub labels { return map { /^\s+\w+ backup: (\S+)$/ ? $1 : () } split /\n/, sh('pgbackrest --stanza=app info') }
chdir $folder;

my @blocks = document_blocks('docs/backup.md');
is(scalar @blocks, 11, 'docs/backup.md has its blocks');
my ($archive, $backup, $accident, $restore, $beside, $extension, $stop, $lost, $again, $twice, $worker) = @blocks;
run_block($archive);
run_block($backup);
is(scalar(my @two = labels()), 2, 'a full backup and an incremental one');

# in the log only
one(q{SELECT usher.log_event('backup.before'), wash.adjust_points('00000000-0000-7000-8000-0000000000c1', 11, 'before');
	SELECT pg_sleep(1.1); SELECT usher.run_maintenance()});
run_block($accident);
one(q{SELECT usher.log_event('backup.after'), wash.adjust_points('00000000-0000-7000-8000-0000000000c1', 5000, 'a mistake')});
append_to_file("$settings/conf.d/worker.conf", "shared_preload_libraries = 'usher'\nusher.worker_databases = 'postgres'\nlog_line_prefix = 'elsewhere '\n");
run_block($restore);
$ENV{USHER_BACKUP_SETTINGS} = "$settings/postgresql.conf";
like(slurp_file("$folder/restored/restore.log"), qr/^elsewhere /m, 'settings that lie elsewhere are used');
ok(!-e "$folder/restored/postmaster.pid", 'what is restored is left stopped');
run_block($beside);
is(sh(q{psql -p "$RESTORED_PORT" -XqAtc "SELECT rolsuper FROM pg_roles WHERE rolname = 'landlord'"}), 'f', 'the owner of a database gets nothing of those who verify it');
is(sh(q{psql -p "$RESTORED_PORT" -XqAtc "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'usher'"}), 0, 'what is restored has no worker');
ok(!-e "$settings/../pid" || slurp_file("$settings/../pid") == slurp_file($node->data_dir . '/postmaster.pid') =~ s/\n.*//sr, 'and leaves the PID of the other server alone');
is(one(q{SELECT count(*) FROM usher.audit_logs WHERE event_type = 'backup.after'}), 1, 'one column came back, and nothing else went');
is(one('SELECT balance FROM wash.points_accounts'), 5111, 'points that were given since are there');
run_block($extension);
run_block($stop);
ok(!-e "$folder/restored/postmaster.pid", 'it is stopped again');
is(one('SELECT balance || $$ $$ || (SELECT sum(points) FROM wash.points_entries) FROM wash.points_accounts'), '111 111', 'the rows of one extension are those of then');
is(one(q{SELECT string_agg(event_type, ' ' ORDER BY id) FROM usher.audit_logs WHERE event_type ~ '^(backup|database)\.'}), 'backup.before backup.after database.restored',
	'… beside everything else as it is now');
is(one(q{SELECT (wash.adjust_points('00000000-0000-7000-8000-0000000000c1', 1, 'on')).balance}), 112, '… and it goes on from there');

is(system("grep -rqa -e '$key' '$folder/restored'"), 256, 'the master key is in nothing that comes out of a backup');
is(sh(qq{usher-backup restore '$folder/repository' 2>&1 || echo "status \$?"}), "usher-backup: $folder/repository is not empty\nstatus 2", 'nothing is restored over something');

# the machine is gone, with what was not archived; what was, comes back
one(q{SELECT usher.log_event('backup.last'); SELECT pg_switch_wal()});
$node->poll_query_until('postgres', q{SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver});
$node->_update_pid(1); # somebody else has started it
$node->stop('immediate');
sh('rm -rf "$DATA"');
run_block($lost);
run_block($again);
run_block($twice);
my $has_worker = q{psql -XqAtc "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'usher'"};
is(sh($has_worker), 0, 'no worker runs before somebody has looked');
run_block($worker);
ok(scalar(grep { sh($has_worker) > 0 || !sleep 1 } 1 .. 30), '… and afterwards one does');
is(one(q{SELECT count(*) FROM usher.audit_logs WHERE event_type = 'backup.last'}), 1, 'the whole server comes back, up to the end of the archived log');
is(one(q{SET usher.require_verified_email = off; SELECT (usher.login('bob@backup.example', 'what bob remembers')).error IS NULL}), 't', 'and signs with the keys that the master key seals');

# somebody stops all backups
sh('pgbackrest --stanza=app stop');
like(sh('usher-backup incremental 2>&1 || echo "status $?"'), qr/stop file exists.*^status \d+$/ms, 'after `pgbackrest stop` there is no backup');
sh('pgbackrest --stanza=app start');

# incremental backups go before the full one that they stand on, and need no more than Debian's pgbackrest brings
mkdir "$folder/few" or die;
symlink program($_), "$folder/few/$_" or die "$_: $!" for qw(pgbackrest date sed tr sh);
is(scalar(my @three = labels()), 3, 'there are two full backups and one incremental');
sh(qq{PATH='$folder/few' USHER_INCREMENTAL_DAYS=0 '$folder/bin/usher-backup' incremental});
is(join(' ', map { /I$/ ? 'incremental' : 'full' } labels()), 'full full', 'incremental backups that are too old are gone, full ones are not');

# what cannot be restored, and a page that was damaged on the disk, are told: in the long run
if ($ENV{USHER_LONG})
{
	like(sh(qq{usher-backup restore '$folder/tomorrow' "\$(date -d '1 day' '+%F %T%z')" 2>&1 || echo "status \$?"}), qr/recovery ended before configured recovery target was reached.*^status 1$/ms,
		'an instant that the log does not reach is an error');
	my $file = one(q{SELECT pg_relation_filepath('usher.users')});
	one('CHECKPOINT');
	$node->_update_pid(1);
	sh('pg_ctl -D "$DATA" -m fast -w stop');
	open my $page, '+<:raw', $node->data_dir . "/$file" or die $!;
	seek $page, 8100, 0;
	print $page 'damaged';
	close $page;
	sh('systemctl start postgresql@15-main');
	like(sh('usher-backup full 2>&1 || true'), qr/invalid page checksum.*\Q$file\E|\Q$file\E.*checksum/s, 'a backup tells of a damaged page');
	like(sh(qq{usher-backup restore '$folder/damaged' 2>&1 || echo "status \$?"}), qr/^status 1$/m, 'a restored server that is damaged is found out');
}

# the timers, as systemd reads them
SKIP:
{
	program('systemd-analyze') or skip 'systemd-analyze is not installed', 1;
	my %times = map { $_ => (slurp_file("$source/deploy/backup/usher-backup-$_.timer") =~ /^OnCalendar=(.*)$/m)[0] } qw(full incremental);
	like(sh("systemd-analyze calendar --base-time='2030-01-31 12:00:00 UTC' --iterations=2 '$times{full}'"), qr/2030-02-01 02:00:00 UTC.*2030-02-02 02:00:00 UTC/s, 'a full backup every night at two, UTC');
	like(sh("systemd-analyze calendar --base-time='2030-01-31 12:00:00 UTC' --iterations=4 '$times{incremental}'"),
		qr/2030-01-31 14:00:00 UTC.*2030-01-31 20:00:00 UTC.*2030-02-01 08:00:00 UTC.*2030-02-01 14:00:00 UTC/s, 'incremental ones every six hours after it');
	for my $unit (qw(usher-backup@.service usher-backup-full.timer usher-backup-incremental.timer))
	{
		my $text = slurp_file("$source/deploy/backup/$unit") =~ s{/usr/local/bin}{$folder/bin}gr;
		append_to_file("$folder/" . ($unit =~ s/@/\@full/r), $text);
	}
	my $said = sh("cd '$folder' && systemd-analyze verify ./usher-backup\@full.service ./usher-backup-full.timer 2>&1 || echo failed");
	unlike($said, qr/usher-backup|failed/, 'systemd-analyze verify has nothing to say') or diag($said);
}

chdir '/';
sh('pg_ctl -D "$DATA" -m immediate -w stop');
$node->_update_pid(0);
END
{
	my $status = $?;
	PostgreSQL::Test::Utils::system_log('pg_ctl', '-D', $_, '-m', 'immediate', 'stop') for grep { -e "$_/postmaster.pid" } @environment{qw(DATA RESTORED)};
	$? = $status;
}
done_testing();

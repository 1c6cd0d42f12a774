# Watching: the metrics of gateway and database at one place, the rules and the dashboard of deploy/watch, by Debian's Prometheus. With
# USHER_LONG=1 the server itself scrapes, and alerts come and go.
use strict;
use warnings;
use File::Copy;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use UsherCourier qw(start_courier stop_courier);
use UsherGateway;

my $watch = "$ENV{USHER_SOURCE}/deploy/watch";
sub program { my ($name) = @_; return (grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/bin')[0] }
my ($promtool, $prometheus) = map { program($_) } qw(promtool prometheus);
my $folder = PostgreSQL::Test::Utils::tempdir();
sub write_file { my ($name, $text) = @_; open my $file, '>', "$folder/$name" or die; print $file $text; close $file; return "$folder/$name" }
sub run_program { my $out = ''; my $good = IPC::Run::run([@_], '<', \undef, '>&', \$out); return ($good, $out) }

my $node = start_usher_cluster('watch', settings => "shared_preload_libraries = 'usher, pg_stat_statements'\npg_stat_statements.track = all\nusher.worker_databases = 'postgres'\nusher.maintenance_interval = '1s'\n");
$node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION pg_stat_statements;
CREATE SCHEMA wash; CREATE EXTENSION usher_booking SCHEMA wash CASCADE; CREATE SCHEMA pay; CREATE EXTENSION usher_payment SCHEMA pay;
CREATE SCHEMA shop; CREATE EXTENSION usher_shop SCHEMA shop; CREATE SCHEMA club; CREATE EXTENSION usher_loyalty SCHEMA club;
CREATE SCHEMA mail; CREATE EXTENSION usher_courier SCHEMA mail;
ALTER DATABASE postgres SET courier.sender = 'Shop <shop@shop.example>';
CREATE ROLE courier_test LOGIN; SELECT usher.grant_access('courier_test', 'courier');
-- an application with metrics of its own, some of which would break the format
CREATE SCHEMA app;
CREATE FUNCTION app.metrics() RETURNS TABLE (name text, labels jsonb, value double precision, help text) LANGUAGE sql AS $$
    VALUES ('app_parcels', '{"place": "a \"b\"\\ \n c", "bad label": 1}'::jsonb, 4::double precision, E'Parcels\nby \\ place.'), ('app_sold_total', '{}', 1e9, 'Sold.'),
        ('bad name', '{}', 1, NULL), ('usher_gateway_connections', '{}', 1, NULL), ('app_unknown', '{}', 'NaN', NULL), ('app_nothing', '{}', NULL, NULL) $$;
SELECT usher.register_extension('Parcels', 'app', 'app', hooks => '{"metrics": "metrics"}', declined_hooks => '{upkeep,self_check,configuration,health,export,erase}');
-- … and one that cannot tell them
CREATE FUNCTION app.broken_metrics() RETURNS TABLE (name text, labels jsonb, value double precision) LANGUAGE sql AS $$ SELECT 'app_broken', '{}'::jsonb, 1 / (random() * 0) $$;
SELECT usher.register_extension('Broken', 'broken', 'app', hooks => '{"metrics": "broken_metrics"}', declined_hooks => '{upkeep,self_check,configuration,health,export,erase}');
SQL
is($node->safe_psql('postgres', q{SELECT string_agg(e.name, ' ' ORDER BY e.name) FROM pg_available_extensions AS e WHERE e.name LIKE 'usher%' AND e.installed_version IS NULL}), '', 'every extension is installed');
add_user($node, 'u@example.com');
my $mail = PostgreSQL::Test::Utils::tempdir();
my $courier = start_courier($node, mail_sink => $mail);
wait_for(sub { my @letters = glob "$mail/*.eml"; @letters > 0 }, 'a message is sent');
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', database_metrics_s => 3600);
sub scrape { my ($of) = @_; my $answer = http($gateway, 'GET', ($of // $gateway)->{admin} . '/metrics'); is($answer->{status}, 200, 'scraped') if $answer->{status} != 200; return $answer->{content} }
wait_for(sub { $node->safe_psql('postgres', q{SELECT last_upkeep_at IS NOT NULL FROM usher.health()}) eq 't' }, 'the worker has done its upkeep');
log_in($gateway, 'u@example.com');

# --- one place for all
my $text = scrape();
like($text, qr/^usher_gateway_requests_total\{method="POST",route="\/auth\/login",status="200"\} 1$/m, 'requests of the gateway');
like($text, qr/^usher_users\{status="\w+"\} 1$/m, '… and accounts of the database');
like($text, qr/^usher_worker_running 1$/m, '… its worker');
like($text, qr/^usher_worker_job_age_seconds\{job="maintenance"\} \d/m, '… and the worker\'s jobs');
like($text, qr/^usher_statements_total [1-9]/m, '… statements, with pg_stat_statements');
like($text, qr/^usher_table_bytes\{schema="usher",table="audit_logs"\} [1-9]/m, '… tables with their partitions');
like($text, qr/^usher_index_scans_total\{index="users_email_key",schema="usher",table="users"\} \d/m, '… indexes');
like($text, qr/^usher_gateway_database_up 1$/m, '… and that it answers');
like($text, qr/^# HELP app_parcels Parcels by \/ place\.\n# TYPE app_parcels gauge\napp_parcels\{place="a \\"b\\"\\\\ \\n c"\} 4$/m, 'what an application says is escaped');
like($text, qr/^# TYPE app_sold_total counter\napp_sold_total 1e\+09$/m, '… and typed by its name');
like($text, qr/^usher_metrics_failing\{extension="app"\} 0\nusher_metrics_failing\{extension="broken"\} 1$/m, 'one that fails is named, and keeps nobody from telling');
unlike($text, qr/bad name|bad label|app_unknown|app_nothing/, '… and what would break the format is left out');
is(() = $text =~ /^usher_gateway_connections /mg, 1, '… nobody speaks for the gateway');
is_deeply([ grep { !/^(# (HELP|TYPE) \w+ .+|\w+(\{([^"\\}]|"([^"\\]|\\.)*")*\})? [-+0-9.e]+)$/ } split /\n/, $text ], [], 'each line is well-formed');
my %help = map { $_ => 1 } $text =~ /^# HELP (\w+) /mg;
is_deeply([ grep { !$help{$_} } $text =~ /^# TYPE (\w+) /mg ], [], '… and each metric says what it is about');
like($text, qr/^usher_courier_workers 1$/m, 'the database has heard of the courier');
my $of_courier = scrape($courier);
like($of_courier, qr/^usher_courier_attempts_total\{kind="message",outcome="sent"\} [1-9]/m, '… which tells of itself');
scrape() for 1 .. 5;
is($node->safe_psql('postgres', q{SELECT sum(calls) FROM pg_stat_statements WHERE toplevel AND query LIKE '%FROM usher.metrics() AS m'}), '1', 'the database is asked once, however many scrape');
my $without = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', database_metrics_s => 0);
unlike(scrape($without), qr/^(usher_users|usher_gateway_database_up)/m, 'a gateway can leave the database out');
stop_gateway($without);

# --- a new gateway while the database has the scripts of before, and one that may not ask
$node->safe_psql('postgres', 'CREATE DATABASE before');
$node->safe_psql('before', q{SET client_min_messages = warning; CREATE EXTENSION usher CASCADE; ALTER EXTENSION usher UPDATE TO '0.9.0'; SELECT usher.grant_access('gateway_test', 'gateway')});
my $newer = start_gateway($node, database => $node->connstr('before') . ' user=gateway_test', database_metrics_s => 1);
my $of_before = scrape($newer);
ok($of_before =~ /^usher_gateway_database_up 1$/m, 'the scripts of 0.9.0: the database is up');
ok($of_before =~ /^usher_gateway_database_metrics_failing 0$/m, '… and its metrics can be asked');
ok($of_before =~ /^# TYPE usher_connections_max gauge\nusher_connections_max \d/m, '… though they have no help');
$node->safe_psql('before', 'REVOKE EXECUTE ON FUNCTION usher.metrics() FROM gateway_test');
wait_for(sub { scrape($newer) =~ /^usher_gateway_database_metrics_failing 1$/m }, 'one that may not ask says so');
ok(scrape($newer) =~ /^usher_gateway_database_up 1$/m, '… and that the database is there all the same');
stop_gateway($newer);

# --- slow statements
my ($slow) = $node->safe_psql('postgres', q{SELECT count(*) > 5 AND bool_and(calls > 0 AND total_ms > 0) AND bool_or(statement LIKE '%usher.http_request(%') FROM usher.slow_statements(500)});
is($slow, 't', 'slow statements, those of the gateway among them');
$node->safe_psql('postgres', q{CREATE ROLE regress_secret PASSWORD 'hunter2'; DROP ROLE regress_secret});
is($node->safe_psql('postgres', q{SELECT count(*) FROM usher.slow_statements(500) WHERE statement ~ 'hunter2|ROLE'}), '0', '… but no commands that may hold a password');

# --- what the page and the alerts tell people to ask can be asked
my $told = slurp_file("$ENV{USHER_SOURCE}/docs/watching.md");
my @told = ($told =~ /```sql\n(.*?)```/gs, $told =~ /`(SELECT .*?)`/gs, slurp_file("$watch/usher-rules.yml") =~ /: (SELECT .*)"$/mg);
cmp_ok(scalar(@told), '>', 10, 'statements for people');
is_deeply([ grep { my ($status) = $node->psql('postgres', $_); $status != 0 } @told ], [], '… which the database answers');

# --- the age of backups, as the unit has it written for prometheus-node-exporter
my ($noted) = slurp_file("$ENV{USHER_SOURCE}/deploy/backup/usher-backup\@.service") =~ /^ExecStartPost=\+.* exec setpriv --reuid=prometheus .* \/usr\/local\/bin\/usher-backup (.*); fi'$/m;
sub note_backup { local $ENV{USHER_NODE_METRICS} = $_[0]; return IPC::Run::run([ 'sh', "$ENV{USHER_SOURCE}/deploy/backup/usher-backup", map { s/%i/full/r } split / /, $noted // '' ]) }
ok(note_backup("$folder/none"), 'a backup where nobody watches');
mkdir "$folder/node" or die;
ok(note_backup("$folder/node"), '… and where somebody does');
my $of_backup = join '', map { slurp_file($_) } glob "$folder/node/*";
ok($of_backup =~ /^usher_backup_completed_timestamp_seconds\{type="full"\} (\d+)$/m && abs($1 - time) < 60, '… says when it was done') or diag($of_backup);
is(sprintf('%o', (stat "$folder/node/usher_backup_full.prom")[2] & 0777), '644', '… to all');
is(join(' ', map { s{.*/}{}r } glob "$folder/node/*"), 'usher_backup_full.prom', '… in one file');
mkdir "$folder/fake" or die;
append_to_file("$folder/fake/id", "#!/bin/sh\necho 0\n");
chmod 0755, "$folder/fake/id" or die;
{
	local $ENV{PATH} = "$folder/fake:$ENV{PATH}";
	ok(!note_backup("$folder/node"), '… never as root, who would write whatever that folder leads to');
}

# --- rules and dashboard name what there is
my %seen = map { $_ => 1 } "$text$of_courier$of_backup" =~ /^# TYPE (\w+) /mg, split /\n/, $node->safe_psql('postgres', 'SELECT name FROM usher._metric_help()');
$seen{$_} = 1 for qw(node_filesystem_avail_bytes node_filesystem_size_bytes); # of prometheus-node-exporter
my $rules = slurp_file("$watch/usher-rules.yml");
my $dashboard = decode_json(slurp_file("$watch/grafana-dashboard.json"));
my @questions = map { $_->{expr} } map { @{ $_->{targets} // [] } } @{ $dashboard->{panels} };
cmp_ok(scalar(@questions), '>', 40, 'the dashboard asks');
my %named = map { s/_(bucket|sum|count)$//r => 1 } join("\n", $rules, @questions) =~ /\b((?:usher|node)_\w+)/g;
cmp_ok(scalar(keys %named), '>', 40, 'rules and dashboard name metrics');
is_deeply([ grep { !$seen{$_} } sort keys %named ], [], '… and every one of these exists');
is_deeply([ grep { !$named{$_} && !/^app_/ } sort keys %seen ], [], 'every metric of each extension and of both programs is on the dashboard or in a rule');
my %panels;
$panels{"$_->{gridPos}{x} $_->{gridPos}{y}"}++ for @{ $dashboard->{panels} };
is_deeply([ grep { $panels{$_} > 1 } keys %panels ], [], 'no panel lies upon another');

# --- every alert says where its answer stands
my @alerts = $rules =~ /- alert: (\w+)\n(.*?)(?=\n      - alert|\n\n|\z)/gs;
my (%unanswered, $alerts);
while (my ($name, $body) = splice @alerts, 0, 2)
{
    $alerts++;
    my ($page, $anchor) = $body =~ /runbook: (docs\/\w+\.md)#([\w-]+)$/m;
    my %anchors;
    if ($page && -e "$ENV{USHER_SOURCE}/$page")
    {
        %anchors = map { lc($_) =~ s/[^\w -]//gr =~ tr/ /-/r => 1 } slurp_file("$ENV{USHER_SOURCE}/$page") =~ /^#+ (.*)$/mg;
        $unanswered{$name} = "$page#$anchor" unless $anchors{$anchor};
    }
    elsif (!$page || $page ne 'docs/runbook.md') { $unanswered{$name} = $page // 'nowhere' }
    $unanswered{$name} = 'no severity' unless $body =~ /severity: (page|ticket)/;
}
cmp_ok($alerts, '>', 20, 'there are alerts');
is_deeply(\%unanswered, {}, '… and each has its part of a page');

# --- promtool
SKIP:
{
    skip 'promtool is not installed', 1 unless $promtool;
    my ($out, $errors) = ('', '');
    my $scraped = "$text$of_backup" =~ s/^(# HELP|# TYPE)? ?app_\w+.*\n//mgr; # what an application names is its own matter
    my $good = IPC::Run::run([ $promtool, 'check', 'metrics' ], '<', \$scraped, '>', \$out, '2>', \$errors);
    ok($good && $errors eq '', 'promtool check metrics') or diag("$out$errors");
    $good = IPC::Run::run([ $promtool, 'check', 'metrics' ], '<', \$of_courier, '>', \$out, '2>', \$errors);
    ok($good && $errors eq '', '… of the courier') or diag("$out$errors");
    ($good, $out) = run_program($promtool, 'check', 'config', "$watch/prometheus.yml");
    ok($good, 'promtool check config, and the rules') or diag($out);
    ($good, $out) = run_program($promtool, 'test', 'rules', "$watch/usher-rules-test.yml");
    ok($good, 'promtool test rules: alerts come when they should, and not else') or diag($out);
}

# --- the server itself
SKIP:
{
    skip 'the long suite starts Prometheus', 1 unless $ENV{USHER_LONG};
    skip 'prometheus is not installed', 1 unless $prometheus;
    my $scraped = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', database_metrics_s => 1);
    my ($admin, $admin_of_courier) = map { $_->{admin} =~ m{//(.*)$} } $scraped, $courier;
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $config = slurp_file("$watch/prometheus.yml");
    ok($config =~ s/127\.0\.0\.1:8081/$admin/ && $config =~ s/127\.0\.0\.1:8082/$admin_of_courier/ && $config =~ s/_interval: 15s/_interval: 1s/g && $config =~ s/127\.0\.0\.1:9100/127.0.0.1:1/, 'prometheus.yml names all of it');
    write_file('usher-rules.yml', $rules =~ s/for: \d+[mh]$/for: 1s/mgr);
    my $server = IPC::Run::start([ $prometheus, '--config.file=' . write_file('prometheus.yml', $config), "--storage.tsdb.path=$folder/data", "--web.listen-address=127.0.0.1:$port" ], '<', \undef, '>&', "$folder/prometheus.log");
    my $client = HTTP::Tiny->new(timeout => 30);
    my $api = sub { my $answer = $client->get("http://127.0.0.1:$port/api/v1/$_[0]"); return $answer->{success} ? decode_json($answer->{content})->{data} : {} };
    my $value = sub { my $found = $api->("query?query=$_[0]")->{result} // []; return @$found ? $found->[0]{value}[1] : '' };
    my $fires = sub { my ($name) = @_; return scalar grep { $_->{labels}{alertname} eq $name && $_->{state} eq 'firing' } @{ $api->('alerts')->{alerts} // [] } };
    wait_for(sub { $value->('up{job="usher"}') eq '1' }, 'Prometheus scrapes the gateway');
    wait_for(sub { $value->('usher_users') eq '1' }, '… and the database through it');
    wait_for(sub { $value->('up{job="usher-courier"}') eq '1' }, '… and the courier');
    my %unknown = map { $_->{expr} => 1 } grep { $_->{health} eq 'err' } map { @{ $_->{rules} } } @{ $api->('rules')->{groups} // [] };
    is_deeply(\%unknown, {}, 'it can evaluate every rule');
    ok(!$fires->('UsherEventsParked'), 'no alert of what is well');
    $node->safe_psql('postgres', q{SELECT usher.subscribe('app.told', 'teller', mode => 'async', max_attempts => 1)});
    my $event = $node->safe_psql('postgres', q{SELECT usher.publish('app.told')});
    $node->safe_psql('postgres', q{SELECT usher.fail_event('teller', c.event_id, 'lost') FROM usher.claim_events('teller', 1) AS c});
    wait_for(sub { $fires->('UsherEventsParked') }, 'a parked event is an alert');
    $node->safe_psql('postgres', qq{SELECT usher.retry_event('teller', '$event')});
    $node->safe_psql('postgres', q{SELECT usher.complete_event('teller', c.event_id) FROM usher.claim_events('teller', 1) AS c});
    wait_for(sub { !$fires->('UsherEventsParked') }, '… until it is done');
    $node->stop('fast');
    wait_for(sub { $fires->('UsherDatabaseUnreachable') }, 'a database that is away is an alert');
    $node->start;
    wait_for(sub { !$fires->('UsherDatabaseUnreachable') }, '… until it is back');
    stop_gateway($scraped);
    wait_for(sub { $fires->('UsherGatewayDown') }, 'a gateway that is away is an alert');
    $server->signal('TERM');
    $server->finish;
}

# --- without a database
my $impatient = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', database_metrics_s => 1);
like(scrape($impatient), qr/^usher_gateway_database_up 1$/m, 'the database is there');
$node->stop('fast');
wait_for(sub { scrape($impatient) =~ /^usher_gateway_database_up 0$/m }, 'without it, that is said');
my $alone = scrape($impatient);
ok($alone =~ /^usher_gateway_connections \d/m && $alone !~ /^usher_users/m, '… and the gateway\'s own numbers, but no old ones of the database');
stop_gateway($_) for $gateway, $impatient;
stop_courier($courier);
done_testing();

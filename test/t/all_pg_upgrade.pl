# pg_upgrade from another major, with every extension: the systems of examples/, and the courier beside each. USHER_OLD_BIN is the folder of
# the old server's programs, USHER_OLD_SETTINGS what its postgresql.conf needs to find usher: `./dev test-long pg_upgrade` has both.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherVersions qw(kept_version this_version);

my ($old_bin, $old_settings) = @ENV{qw(USHER_OLD_BIN USHER_OLD_SETTINGS)};
plan skip_all => 'for ./dev test-long pg_upgrade' unless $old_bin;
my $source = $ENV{USHER_SOURCE};
my @systems = grep { -f "$source/examples/$_/install.sql" } map { m{([^/]+)/install\.sql$} } glob "$source/examples/*/install.sql";

# Two servers, the old one of which runs.
sub servers
{
    my ($name, $settings) = @_;
    my @encoding = ('--locale=C.UTF-8', '--encoding=UTF8');
    my $new = PostgreSQL::Test::Cluster->new("${name}new");
    $new->init(extra => [ '--data-checksums', @encoding ]);
    local $ENV{TEMP_CONFIG}; # that of the new server
    my $old = PostgreSQL::Test::Cluster->new("${name}old", install_path => $old_bin =~ s{/bin$}{}r);
    $old->init(extra => [ '--data-checksums', @encoding ]);
    $old->append_conf('postgresql.conf', $settings);
    $old->start;
    return ($old, $new);
}
my ($new_bin) = run_command([ $ENV{PG_CONFIG} || 'pg_config', '--bindir' ]);
sub pg_upgrade # whether it worked, and what it said
{
    my ($old, $new, @more) = @_;
    my $log = '';
    chdir PostgreSQL::Test::Utils::tempdir();
    return (1, '') if IPC::Run::run([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bin, '-B', $new_bin,
            '-s', $new->host, '-p', $old->port, '-P', $new->port, @more ], '>', \$log, '2>&1');
    return (0, join '', $log, map { slurp_file($_) } map { glob $new->data_dir . "/pg_upgrade_output.d/*/$_" } '*.txt', 'log/*.log');
}

# Some pairs of minors upgrade no database that has a table, whoever made it: docs/install.md, "Another major of PostgreSQL".
{
    my ($old, $new) = servers('plain_', '');
    $old->safe_psql('postgres', 'CREATE TABLE plain (a integer)');
    my $from = $old->safe_psql('postgres', 'SHOW server_version');
    $old->stop;
    my ($good, $log) = pg_upgrade($old, $new);
    my ($refusal) = $log =~ /(ERROR: .*)/;
    $good or $refusal or BAIL_OUT("pg_upgrade without usher: $log");
    $good or plan skip_all => "from $from to $new_bin not even a database without usher can go: $refusal";
}

my ($old, $new) = servers('', "shared_preload_libraries = 'usher'\nmax_prepared_transactions = 4\n$old_settings\n");
my ($was) = $old->safe_psql('postgres', 'SHOW server_version') =~ /^(\d+)/;
my ($is) = run_command([ 'postgres', '--version' ]);
($is) = $is =~ / (\d+)/;
cmp_ok(scalar @systems, '>=', 4, 'there are systems: ' . join(', ', @systems));
cmp_ok($was, '<', $is, "from $was to $is") or BAIL_OUT('nothing to upgrade');

sub run_file
{
    my ($node, $database, $file) = @_;
    my ($out, $error) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ], '>', \$out, '2>', \$error);
    ok($good, "$database: " . $file =~ s{^\Q$source\E/}{}r) or diag($error);
}

# --- what there is to lose

# A system, and the courier, which none of them has itself, with a partner who hears of what happens there.
sub install
{
    my ($node, $system, $database) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    run_file($node, $database, "$source/examples/$system/install.sql");
    $node->safe_psql($database, q{
        CREATE SCHEMA courier;
        CREATE EXTENSION usher_courier SCHEMA courier;
        SELECT usher.grant_access('courier_program', 'courier');
        SELECT count(*) FROM courier.add_webhook('https://partner.example/hooks', '{user.*,booking.*,order.*}')});
}
sub as_program
{
    my ($node, $system, $sql) = @_;
    return $node->safe_psql($system, $sql, connstr => $node->connstr($system) . ' user=courier_program');
}
sub report_message
{
    my ($node, $system, $claimed) = @_;
    my ($id, $attempt) = split /\|/, $claimed;
    return as_program($node, $system, "SELECT courier.report_message('$id', $attempt, 'sent')");
}
sub report_request
{
    my ($node, $system, $claimed) = @_;
    my ($id, $attempt) = split /\|/, $claimed;
    return as_program($node, $system, "SELECT courier.report_request('$id', $attempt, 204, '{}', '')");
}

$old->safe_psql('postgres', 'CREATE ROLE courier_program LOGIN');
for my $system (@systems)
{
    install($old, $system, $system);
    run_file($old, $system, "$source/examples/$system/$_.sql") for grep { -f "$source/examples/$system/$_.sql" } qw(names story);
}
is_deeply([ split /\n/, $old->safe_psql('clinic', q{SELECT extname FROM pg_extension WHERE extname LIKE 'usher%' ORDER BY 1}) ],
    [ sort map { m{([^/]+)/order$} } glob "$source/sql/*/order" ], 'every extension is there');
$old->safe_psql('carwash', 'SELECT pg_sleep(1.1); SELECT count(*) FROM usher.run_maintenance()'); # seals the audit log
# Messages and requests in every state: sent, on its way, and not yet begun.
my %on_its_way;
for my $system (@systems)
{
    $old->safe_psql($system, qq{
        SELECT usher.register_user('guest$_\@example.com', 'correct horse battery');
        SELECT courier.enqueue_http_request('https://partner.example/guests', 'POST', body => '$_')}) for 1 .. 3;
    my @messages = split /\n/, as_program($old, $system, "SELECT message, attempt FROM courier.claim_messages('w', 2, '1 hour')");
    my @requests = split /\n/, as_program($old, $system, "SELECT request, attempt FROM courier.claim_requests('w', 2, '1 hour')");
    is("@{[ scalar @messages, scalar @requests ]}", '2 2', "$system: there is something to send");
    is(report_message($old, $system, shift @messages), 'sent', '… a message has gone');
    is(report_request($old, $system, shift @requests), 'completed', '… and a request');
    $on_its_way{$system} = [ @messages, @requests ];
}
# An application's own table, with what the extension puts on it.
$old->safe_psql('carwash', q{
    CREATE TABLE public.notes (id integer PRIMARY KEY, body text, updated_at timestamptz NOT NULL DEFAULT '2001-01-01');
    SELECT usher.enable_updated_at('public.notes');
    SELECT usher.enable_audit('public.notes');
    INSERT INTO public.notes VALUES (1, 'one');
    UPDATE public.notes SET body = 'two'});

# Every table of the extensions and of the application with what identifies its rows.
sub contents
{
    my ($node, $database) = @_;
    my $queries = $node->safe_psql($database, q{
        SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), '''')) FROM ONLY %s t',
                      c.oid::regclass::text, c.oid::regclass)
        FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
        ORDER BY c.oid::regclass::text COLLATE "C"});
    return $node->safe_psql($database, join ";\n", split /\n/, $queries);
}
my %questions = (
    'extensions and their versions' => q{SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension WHERE extname LIKE 'usher%' ORDER BY 1},
    'seals of the audit log' => 'SELECT seq, row_count, is_intact, chain FROM usher.verify_audit_chain()',
    # of others than the owner, whose own may be written out or not
    'privileges' => q{SELECT line FROM (
        SELECT format('%s %s %s', p.oid::regprocedure, a.grantee::regrole, a.privilege_type)
        FROM pg_proc p, aclexplode(p.proacl) a WHERE p.pronamespace::regnamespace::text !~ '^pg_' AND a.grantee <> p.proowner
        UNION ALL
        SELECT format('%s %s %s', c.oid::regclass, a.grantee::regrole, a.privilege_type)
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND a.grantee <> c.relowner AND a.privilege_type <> 'MAINTAIN'
    ) AS lines (line) ORDER BY line COLLATE "C"});
my (%before, %said);
for my $system (@systems)
{
    $before{$system} = contents($old, $system);
    $said{$system} = { map { $_ => $old->safe_psql($system, $questions{$_}) } keys %questions };
}
my $filled = () = $before{carwash} =~ /\|[1-9]\d*\|/g;
cmp_ok($filled, '>=', 30, 'there is something to lose: tables with rows');
$old->stop;

# --- pg_upgrade

for my $case ([ 'pg_upgrade --check', '--check' ], [ 'pg_upgrade' ])
{
    my ($name, @more) = @$case;
    my ($good, $log) = pg_upgrade($old, $new, @more);
    ok($good, $name) or do {
        diag($log);
        BAIL_OUT('pg_upgrade');
    };
}
$new->start;

for my $system (@systems)
{
    is(contents($new, $system), $before{$system}, "$system: every row of every table is the same");
    is($new->safe_psql($system, $questions{$_}), $said{$system}{$_}, "$system: $_") for sort keys %questions;
    is($new->safe_psql($system, 'SELECT * FROM usher.schema_drift()'), '', "$system: usher.schema_drift() finds nothing");
    is($new->safe_psql($system, q{SELECT string_agg(rule || ' ' || violations, ', ') FROM usher.self_check() WHERE violations > 0}), '',
        "$system: usher.self_check() finds nothing");
}

# schema_drift() has digests of the old server only. So: what differs from what is made on this server? Triggers of the audit log name their table by
# its OID, which is kept, and is another one in another database.
my $objects = q{SELECT concat_ws('|', e.extname, d.object, CASE WHEN d.object ~ '^trigger usher_audit_' THEN '' ELSE d.digest END)
    FROM pg_extension e, usher._describe_schema(e.extname) d
    WHERE e.extname LIKE 'usher%' AND d.object !~ '_\d{4}_\d\d' ORDER BY e.extname, d.object COLLATE "C"};
sub differences
{
    my ($one, $other) = @_;
    my %count;
    $count{$_}++ for map { split /\n/ } $one, $other;
    my %objects = map { s/\|\w*$//r => 1 } grep { $count{$_} == 1 } keys %count;
    return [ sort keys %objects ];
}
for my $system (@systems)
{
    install($new, $system, "fresh_$system");
    is_deeply(differences($new->safe_psql($system, $objects), $new->safe_psql("fresh_$system", $objects)), [],
        "$system: every object of the extensions is as this server makes it");
}

# and it goes on
for my $system (@systems)
{
    my ($message, $request) = @{ $on_its_way{$system} };
    is(report_message($new, $system, $message), 'sent', "$system: a message that was claimed before is reported sent");
    is(report_request($new, $system, $request), 'completed', "$system: … and so is a request");
}
run_file($new, 'carwash', "$source/examples/carwash/story.sql");
my $moved = q{UPDATE public.notes SET body = 'three' RETURNING updated_at > '2026-01-01'};
is($new->safe_psql('carwash', $moved), 't', 'updated_at moves');
is($new->safe_psql('carwash', q{SELECT count(*) FROM usher.audit_logs WHERE resource_type = 'public.notes' AND new_values ->> 'body' = 'three'}), '1', 'the change is audited');

# The next update finds what it needs, and schema_drift() has something to compare with again.
my $update = q{SELECT format('ALTER EXTENSION %%I UPDATE TO %%L', extname, '%s') FROM pg_extension
    WHERE extname LIKE 'usher%%' ORDER BY (extname = 'usher') = %s, extname};
$new->safe_psql('clinic', 'DROP EXTENSION usher_courier'); # which the version before does not have
for my $step ([ kept_version(), 'true' ], [ this_version(), 'false' ])
{
    my ($to, $features_first) = @$step;
    my $statements = $new->safe_psql('clinic', sprintf $update, $to, $features_first);
    $new->safe_psql('clinic', join ";\n", 'SET client_min_messages = warning', split /\n/, $statements);
    is($new->safe_psql('clinic', q{SELECT DISTINCT extversion FROM pg_extension WHERE extname LIKE 'usher%'}), $to, "clinic: ALTER EXTENSION … UPDATE TO $to");
}
cmp_ok($new->safe_psql('clinic', 'SELECT count(*) FROM usher._schema_objects WHERE server_version = usher._server_major()'), '>', 1000, '… which this server has recorded');
is($new->safe_psql('clinic', 'SELECT * FROM usher.schema_drift()'), '', '… and usher.schema_drift() finds nothing');
$new->stop;
done_testing();

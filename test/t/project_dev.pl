# ./dev run, status and stop: two instances at once, a second call, a second system, and nothing left afterwards.
use strict;
use warnings;
use DocumentBlocks;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $source = $ENV{USHER_SOURCE};
# the second in a folder whose path is too long for a socket
my @instances = ("$ENV{TESTDIR}/one", "$ENV{TESTDIR}/" . ('long-' x 20) . 'two');

sub dev
{
    my ($instance, @arguments) = @_;
    local $ENV{USHER_INSTANCE} = $instance;
    my $out = '';
    my $good = IPC::Run::run([ "$source/dev", @arguments ], '<', '/dev/null', '>', \$out, '2>&1');
    return ($good, $out);
}

sub status
{
    my ($instance) = @_;
    my ($good, $out) = dev($instance, 'status', '--json');
    return $good ? decode_json($out) : undef;
}

my ($good, $out) = dev($instances[0], 'status');
ok(!$good, 'status fails while nothing runs');
like($out, qr/not running/, 'and says so');

my @status;
for my $instance (@instances)
{
    ($good, $out) = dev($instance, 'run');
    ok($good, './dev run') or diag($out);
    push @status, status($instance);
    is_deeply([ sort keys %{ $status[-1] } ], [qw(admin conninfo database database_url gateway pg_version systems)], 'status --json has these keys');
    like($out, qr/\Q$status[-1]{gateway}\E/, 'run says where the gateway is');
    like($status[-1]{pg_version}, qr/^\d+\.\d+$/, 'and status which PostgreSQL it is');
    my $answer = `curl -s -o /dev/null -w '%{http_code}' '$status[-1]{gateway}/openapi.json'`;
    is($answer, '200', 'the gateway answers at once');
    is(`curl -s -o /dev/null -w '%{http_code}' '$status[-1]{gateway}$_'`, '200', "so does $_") for '/', '/docs', '/docs/swagger-ui-bundle.js';
    is(decode_json(`curl -s '$status[-1]{gateway}/.well-known/oauth-authorization-server'`)->{issuer}, $status[-1]{gateway}, 'issuer is its address');
    like($out, qr/building.*starting PostgreSQL.*making the database.*starting the gateway/s, 'run says what it is doing');
    $answer = `curl -s -o /dev/null -w '%{http_code}' '$status[-1]{admin}/readyz'`;
    is($answer, '200', 'and its admin listener says that it is ready');
    is(`psql -XAtq '@{[ $status[-1]{conninfo} =~ s/'/'\\''/gr ]}' -c 'SELECT current_database()'`, "$status[-1]{database}\n", 'the conninfo works');
    is(`psql -XAtq '$status[-1]{database_url}' -c 'SELECT current_database()'`, "$status[-1]{database}\n", 'so does the DATABASE_URL');
    is(system("DATABASE_URL='$status[-1]{database_url}' '$ENV{USHER_GATEWAY}' --check-config > /dev/null"), 0, '… which the gateway understands');
}
isnt($status[0]{gateway}, $status[1]{gateway}, 'two instances have two gateways');
isnt($status[0]{conninfo}, $status[1]{conninfo}, 'and two servers');

($good, $out) = dev($instances[0], 'psql', '-XAtqc', q{CREATE TABLE public.mine (n integer); SELECT 'made'});
is($out, "made\n", './dev psql passes its arguments on');
($good, $out) = dev($instances[1], 'psql', '-XAtqc', q{SELECT to_regclass('public.mine') IS NULL});
is($out, "t\n", 'what happens in one is not seen in the other');

my $before = Time::HiRes::time();
($good, $out) = dev($instances[0], 'run');
ok($good, 'a second ./dev run') or diag($out);
cmp_ok(Time::HiRes::time() - $before, '<', 20, 'takes seconds');
is_deeply(status($instances[0]), $status[0], 'and changes nothing');
($good, $out) = dev($instances[0], 'psql', '-XAtqc', 'SELECT count(*) FROM public.mine');
is($out, "0\n", 'the database is the same');

# A second system beside the first: a database and a gateway of its own, with its own address as issuer.
($good, $out) = dev($instances[0], 'run', 'nothing');
ok(!$good, 'a system that is not there');
like($out, qr/there is no system "nothing"; there are: carwash .*trossapp/, 'is no system, and the others are named');
($good, $out) = dev($instances[0], 'psql', '--system', 'trossapp', '-XAtqc', 'SELECT 1');
like($out, qr/\.\/dev run trossapp makes it/, 'one without a database is said to have none');
($good, $out) = dev($instances[0], 'run', 'trossapp');
ok($good, './dev run trossapp') or diag($out);
like($out, qr/demo_token/, 'says what to try');
is_deeply({ %{ status($instances[0]) }, systems => undef }, { %{ $status[0] }, systems => undef }, 'the car wash runs on, where it was');
my $systems = status($instances[0])->{systems};
is_deeply([ sort keys %$systems ], [qw(carwash trossapp)], 'both run');
isnt($systems->{carwash}{$_}, $systems->{trossapp}{$_}, "each with its own $_") for qw(gateway admin conninfo database);
for my $name (sort keys %$systems)
{
    my $gateway = $systems->{$name}{gateway};
    is(decode_json(`curl -s '$gateway/.well-known/oauth-authorization-server'`)->{issuer}, $gateway, "$name: the issuer is its address");
    is(decode_json(`curl -s '$gateway/openapi.json'`)->{paths}{'/work-orders'} ? 'work orders' : 'none', $name eq 'trossapp' ? 'work orders' : 'none', "$name: its gateway serves its database");
}
($good, $out) = dev($instances[0], 'psql', '-XAtqc', 'SELECT current_database()');
is($out, "carwash\n", './dev psql means the car wash');
($good, $out) = dev($instances[0], 'psql', '--system', 'trossapp', '-XAtqc', 'SELECT current_database()');
is($out, "trossapp\n", '… or the one that is named');
{
    local $ENV{USHER_DATABASE} = 'trossapp';
    ($good, $out) = dev($instances[0], 'psql', '-XAtqc', q{SELECT worker_running FROM usher.health()});
    is($out, "t\n", '… or that of USHER_DATABASE; it has a background worker as well');
    is(status($instances[0])->{database}, 'trossapp', '… and so does status');
}

# Schemas and versions, as docs/upgrade.md has them.
my @blocks = document_blocks('docs/upgrade.md');
cmp_ok(scalar @blocks, '>=', 8, 'docs/upgrade.md has commands');
for my $block (@blocks)
{
    my ($command) = split /\n/, $block->{text};
    $command =~ m{^\./dev (.*)} or die $command;
    ($good, $out) = dev($instances[0], split / /, $1);
    is($good ? 1 : 0, $block->{fails} ? 0 : 1, "docs/upgrade.md: $command") or diag($out);
    like($out, qr/$_/m, "… prints $_") for @{ $block->{expect} };
}
($good, $out) = dev($instances[0], 'reset', 'trossapp', '--dev');
ok($good, './dev reset --dev') or diag($out);
is_deeply(status($instances[0])->{systems}, $systems, '… and the gateway is back, where it was');
sub as_role
{
    my ($role, $statement) = @_;
    my $conninfo = $systems->{trossapp}{conninfo} =~ s/user=postgres dbname=trossapp/user=$role dbname=trossapp_test/r;
    my $out = '';
    IPC::Run::run([ 'psql', '-XAtq', $conninfo, '-c', $statement ], '<', \undef, '>', \$out, '2>&1');
    return $out;
}
is(as_role('trossapp_test', 'CREATE SCHEMA of_tests; SELECT count(*) FROM usher.health()'), "1\n", 'the role for tests uses its database');
like(as_role('trossapp_app', 'SELECT 1'), qr/permission denied for database "trossapp_test"/, '… and other roles do not');

($good, $out) = dev($instances[0], 'stop');
ok($good, './dev stop') or diag($out);
is(status($instances[0]), undef, 'it is stopped');
ok(status($instances[1]), 'the other one runs on');
is(`curl -s -o /dev/null -w '%{http_code}' '$_->{gateway}/openapi.json'`, '000', "the gateway of $_->{database} is gone") for values %$systems;
($good) = dev($instances[0], 'stop');
ok($good, 'stopping what is stopped is no error');

($good, $out) = dev($instances[0], 'run');
ok($good, 'run after stop') or diag($out);
($good, $out) = dev($instances[0], 'psql', '-XAtqc', 'SELECT count(*) FROM public.mine');
is($out, "0\n", 'and the data is still there');
is_deeply(status($instances[0])->{systems}, $systems, 'both systems are back, where they were');

END
{
    my $status = $?;
    dev($_, 'stop') for @instances;
    $? = $status;
}
done_testing();

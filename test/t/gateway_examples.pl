# The stories of examples/ over HTTP: a gateway for each system, as ./dev run makes it, and story.sh with curl. Twice, since people try
# things more than once.
#
# USHER_EXAMPLES, a list of names, restricts it to some.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $examples = "$ENV{USHER_SOURCE}/examples";
my @systems = map { (split m{/})[-2] } sort glob "$examples/*/install.sql";
@systems = split ' ', $ENV{USHER_EXAMPLES} if $ENV{USHER_EXAMPLES};
cmp_ok(scalar @systems, '>', 0, 'there are systems: ' . join ', ', @systems);

my $node = PostgreSQL::Test::Cluster->new('served');
$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$node->append_conf('postgresql.conf', "usher.worker_databases = '" . join(',', @systems) . "'\nmax_worker_processes = 16\n");
$node->start;

sub psql_file
{
    my ($system, $file) = @_;
    my ($out, $errors) = ('', '');
    my $good = IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($system), '-f', $file ], '<', \undef, '>', \$out, '2>', \$errors);
    ok($good, "$system: " . $file =~ s{.*/}{}r) or diag($errors);
}

for my $system (@systems)
{
    $node->safe_psql('postgres', "CREATE DATABASE $system");
    psql_file($system, $_) for "$examples/$system/install.sql", "$examples/$system/names.sql", "$ENV{USHER_SOURCE}/tools/gateway_role.sql";

    # its address is what tokens name as their issuer, and connections learn that when they begin
    my $conninfo = $node->connstr($system) . ' user=usher_gateway';
    my $gateway = start_gateway($node, database => $conninfo);
    $node->safe_psql('postgres', "ALTER DATABASE $system SET usher.public_url = '$gateway->{url}'");
    my $port = $gateway->{port};
    is(stop_gateway($gateway), 0, "$system: stopped");
    $gateway = start_gateway($node, database => $conninfo, port => $port, port_search => 0);

    # for the mail: what reads the database as its superuser
    my $psql = "$gateway->{folder}/psql";
    append_to_file($psql, "#!/bin/sh\nexec psql -XqAt -d '" . $node->connstr($system) =~ s/'/'\\''/gr . "' \"\$@\"\n");
    chmod 0755, $psql or die $!;
    for my $time ('runs', 'runs again')
    {
        local $ENV{USHER_URL} = $gateway->{url};
        local $ENV{PSQL} = $psql;
        my ($out, $errors) = ('', '');
        my $good = IPC::Run::run([ 'sh', "$examples/$system/story.sh" ], '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(300));
        ok($good, "$system: story.sh $time without a surprise") or diag("$out\n$errors");
        like($out, qr/the whole story came out as it should\n\z/, "$system: … to its end");
        is($errors, '', "$system: … and says nothing else");
    }
    is(stop_gateway($gateway), 0, "$system: stopped again");
    is($node->safe_psql($system, q{SELECT rule || ': ' || violations FROM usher.self_check() WHERE violations > 0}), '', "$system: self_check() finds nothing");
}
$node->stop;
done_testing();

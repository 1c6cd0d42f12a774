# The OpenAPI document by other people's tools: redocly and spectral find no error in it, and Prism, as a validating proxy
# before the gateway, finds no answer that violates it. Every documented operation is called, and succeeds.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use OpenapiScenario;
use UsherGateway;

my $modules = $ENV{USHER_NODE} // '';
plan skip_all => 'the npm packages are not installed' unless -d "$modules/\@stoplight/prism-cli";
my $source = $ENV{USHER_SOURCE};
my $node = start_usher_cluster('openapi');
$node->safe_psql('postgres', slurp_file("$source/examples/carwash/install.sql"));
$node->safe_psql('postgres', 'DROP EXTENSION usher_payment'); # it has tests of its own: gateway_payments
$node->safe_psql('postgres', "SELECT usher.grant_access('gateway_test', 'gateway')");
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=gateway_test', max_body_bytes => 4_000_000);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $scenario = scenario($node, $gateway);

my $answer = http($gateway, 'GET', '/openapi.json');
is($answer->{status}, 200, 'the document') or die($answer->{content});
my $document = decode_json($answer->{content});
is($document->{openapi}, '3.1.0', 'OpenAPI 3.1');
append_to_file("$folder/openapi.json", $answer->{content});

sub tool
{
    my ($name, @command) = @_;
    my ($out, $errors) = ('', '');
    local $ENV{HOME} = $folder;
    my $good = IPC::Run::run([ 'node', @command ], '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(240));
    ok($good, "$name finds no error") or diag(substr("$out$errors", 0, 6000));
    return $out;
}
tool('redocly', "$modules/\@redocly/cli/bin/cli.js", 'lint', "$folder/openapi.json", '--extends=recommended', '--format=summary', '--skip-rule=info-license');
append_to_file("$folder/spectral.yaml", "extends: [\"spectral:oas\"]\n");
tool('spectral', "$modules/\@stoplight/spectral-cli/dist/index.js", 'lint', "$folder/openapi.json", '-r', "$folder/spectral.yaml", '--fail-severity=error', '-q');

# --- Prism before the gateway
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $prism = IPC::Run::start([ 'node', "$modules/\@stoplight/prism-cli/dist/index.js", 'proxy', "$folder/openapi.json", $gateway->{url}, '--port', $port, '--host', '127.0.0.1' ],
    '<', \undef, '>', "$folder/prism.log", '2>&1');
wait_for(sub { slurp_file("$folder/prism.log") =~ /listening on/ }, 'Prism listens') or die(slurp_file("$folder/prism.log"));

append_to_file("$folder/scenario.json", encode_json({ document => $document, %$scenario }));
my ($out, $errors) = ('', '');
ok(IPC::Run::run([ 'node', "$source/test/node/openapi_walk.js", "http://127.0.0.1:$port", "$folder/scenario.json" ], '<', \undef, '>', \$out, '2>', \$errors, IPC::Run::timeout(240)), 'the walk') or diag($errors);
$prism->signal('TERM');
$prism->finish;

my @walked = map { decode_json($_) } split /\n/, $out;
my @operations = map { my $item = $_; map { $_->{operationId} } values %$item } values %{ $document->{paths} };
is_deeply([ sort map { $_->{operation} } @walked ], [ sort @operations ], 'every documented operation was called (' . @operations . ')');
for my $each (@walked)
{
    is_deeply($each->{violations}, [], "$each->{operation}: $each->{status}, as documented") or diag(explain($each));
    like($each->{status}, qr/^2/, "$each->{operation}: succeeds")
      or diag("$each->{text}\nIf the operation is new: what it needs belongs into test/perl/OpenapiScenario.pm.");
}
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

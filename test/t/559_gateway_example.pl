# The example of docs/gateway.md, word for word: its SQL is run, then its commands, which must print what is said.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('example');
$node->safe_psql('postgres', "CREATE ROLE usher_gateway LOGIN; SELECT usher.grant_access('usher_gateway', 'gateway')");
add_user($node, 'u@example.com');
my ($text) = slurp_file("$ENV{USHER_SOURCE}/docs/gateway.md") =~ /<!-- test:begin -->(.*?)<!-- test:end -->/s;
my ($sql) = $text =~ /```sql\n(.*?)```/s;
$node->safe_psql('postgres', $sql);
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=usher_gateway');
my %user = log_in($gateway, 'u@example.com');
local $ENV{GATEWAY} = $gateway->{url};
local $ENV{TOKEN} = $user{Authorization} =~ s/^Bearer //r;
my $blocks = 0;
while ($text =~ /```sh\n(.*?)```\n((?:<!-- expect: .*? -->\n)*)/sg)
{
    my ($commands, $expect) = ($1, $2);
    my $out = '';
    ok(IPC::Run::run([ 'sh', '-ec', $commands ], '<', \undef, '>', \$out, '2>&1'), "block @{[ ++$blocks ]} runs") or diag($out);
    like($out, qr/$_/, '… and prints what is said') for $expect =~ /<!-- expect: (.*?) -->/g;
}
cmp_ok($blocks, '>=', 4, 'the example has commands');
my $answer = post_json($gateway, '/orders', '{"item": "soap", "quantity": 2}', %user, 'Idempotency-Key' => '5f0c');
is($answer->{headers}{'idempotency-replayed'}, 'true', 'the same key gives the same answer');
is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.orders'), 1, '… and no second order');
my $order = json_of($answer)->{id};
is(post_json($gateway, "/orders/$order", { quantity => 3 }, method => 'PATCH', %user, 'If-Match' => '"1"')->{status}, 200, 'If-Match');
is(post_json($gateway, "/orders/$order", { quantity => 3 }, method => 'PATCH', %user, 'If-Match' => '"1"')->{status}, 412, '… again');
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

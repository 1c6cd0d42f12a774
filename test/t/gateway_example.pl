# The example of docs/gateway.md, word for word: its SQL is run, then its commands, which must print what is said.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Utils;
use Test::More;
use UsherGateway;

my $node = start_usher_cluster('example');
$node->safe_psql('postgres', "CREATE ROLE usher_gateway LOGIN; SELECT usher.grant_access('usher_gateway', 'gateway')");
add_user($node, 'u@example.com');
my ($function, @commands) = document_blocks('docs/gateway.md');
$node->safe_psql('postgres', $function->{text});
my $gateway = start_gateway($node, database => $node->connstr('postgres') . ' user=usher_gateway');
my %user = log_in($gateway, 'u@example.com');
local $ENV{GATEWAY} = $gateway->{url};
local $ENV{TOKEN} = $user{Authorization} =~ s/^Bearer //r;
cmp_ok(scalar @commands, '>=', 4, 'the example has commands');
for my $block (@commands)
{
    my $out = '';
    ok(IPC::Run::run([ 'sh', '-ec', $block->{text} ], '<', \undef, '>', \$out, '2>&1'), "line $block->{line}: the commands run") or diag($out);
    like($out, qr/$_/, '… and print what is said') for @{ $block->{expect} };
}
my $answer = post_json($gateway, '/orders', '{"item": "soap", "quantity": 2}', %user, 'Idempotency-Key' => '5f0c');
is($answer->{headers}{'idempotency-replayed'}, 'true', 'the same key gives the same answer');
is($node->safe_psql('postgres', q{SELECT count(*) FROM shop.orders WHERE item = 'soap'}), 1, '… and no second order');
my $order = json_of($answer)->{id};
is(post_json($gateway, "/orders/$order", { quantity => 3 }, method => 'PATCH', %user, 'If-Match' => '"1"')->{status}, 200, 'If-Match');
is(post_json($gateway, "/orders/$order", { quantity => 3 }, method => 'PATCH', %user, 'If-Match' => '"1"')->{status}, 412, '… again');
is(stop_gateway($gateway), 0, 'stopped');
done_testing();

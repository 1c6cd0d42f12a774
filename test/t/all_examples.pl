# Each example runs from beginning to end in a database of its own; it checks by itself what it gets. Those of booking: all_dump_restore and booking_life.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->start;
for my $example (qw(blog work_orders shop))
{
	my ($out, $err) = ('', '');
	$node->safe_psql('postgres', "CREATE DATABASE $example");
	my $good = IPC::Run::run([ 'psql', '-X', '-d', $node->connstr($example), '-f', "$ENV{USHER_SOURCE}/examples/$example.sql" ], '<', \undef, '>', \$out, '2>', \$err);
	ok($good, "examples/$example.sql runs without a surprise") or diag($err);
	like($out, qr/the whole story came out as it should/, "examples/$example.sql comes to its end");
	is($err, '', "examples/$example.sql says nothing else");
}
$node->stop;
done_testing();

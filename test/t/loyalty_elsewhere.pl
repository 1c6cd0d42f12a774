# A feature in a cluster of its own: usher_loyalty beside nothing but core, fed by the events of payments in another cluster, by what
# docs/scaling.md says. Each event has its effect once, though the feeder dies between the two clusters; an outage of either loses none.
use strict;
use warnings;
use DocumentBlocks;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @blocks = document_blocks('docs/scaling.md', 'test/t/loyalty_elsewhere.pl');
is(scalar @blocks, 3, 'docs/scaling.md has its blocks');
my ($subscribe, $install, $take) = map { $_->{text} } @blocks;

my %node = map { $_ => PostgreSQL::Test::Cluster->new("loyalty_$_") } qw(shop club);
for (values %node) { $_->init; $_->start }
sub shop { return $node{shop}->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }
sub club { return $node{club}->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }
shop('CREATE EXTENSION usher CASCADE; CREATE SCHEMA pay; CREATE EXTENSION usher_payment SCHEMA pay');
shop($subscribe);
club($install);
club($take);
is(club("SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname LIKE 'usher%'"), 'usher usher_loyalty', 'the other cluster has core and loyalty alone');
club(q{SELECT club.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "r.amount_minor / 100"}')});

# The program between them. It may die before it says that an event is done.
sub feed
{
    my (%options) = @_;
    my $fed = 0;
    for my $event (map { decode_json($_) } split /\n/, shop("SELECT to_jsonb(e) FROM usher.claim_events('club', 100, visibility => '1 second') AS e"))
    {
        my ($id, $name) = @$event{qw(event_id event)};
        my $payload = encode_json($event->{payload});
        club("SELECT feed.take('$id', '$name', \$json\$$payload\$json\$)");
        $fed++;
        die "killed\n" if $options{dies};
        shop("SELECT usher.complete_event('club', '$id', $event->{attempt})");
    }
    club('SELECT usher.run_event_handlers()');
    return $fed;
}
sub pay
{
    my ($customer, $amount) = @_;
    return shop("SELECT p.transaction_id FROM pay.create_payment('$customer', $amount, 'EUR', 'cash') AS p") =~ s{^(.*)$}{shop("SELECT t FROM (SELECT '$1'::text AS t) AS x, pay.record_manual_payment('$1') AS r")}er;
}
sub points { return club("SELECT coalesce(sum(a.balance), 0) FROM club.points_accounts AS a WHERE a.customer_id = '$_[0]'") }

# What was claimed and not completed comes again, a second later.
sub feed_until
{
    my ($customer, $points, $name) = @_;
    my $limit = time + 120;
    while (time < $limit && (points($customer) != $points || shop("SELECT count(*) FROM usher.deliveries WHERE consumer = 'club' AND status <> 'completed'") != 0)) { feed(); sleep 0.2 }
    return is(points($customer), $points, $name);
}

my ($ann, $ben) = map { shop("SELECT r.user_id FROM usher.register_user('$_\@example.com', 'a long enough password') AS r") } qw(ann ben);
my $first = pay($ann, 1250);
cmp_ok(feed(), '>', 0, 'the events of a payment go to the other cluster');
is(points($ann), 12, '… and earn points there');
is(feed(), 0, 'nothing is left to feed');

pay($ann, 700);
is(eval { feed(dies => 1); 1 }, undef, 'the feeder dies before it says that it is done');
feed_until($ann, 19, '… and what it feeds again earns once');

$node{club}->stop;
pay($ben, 500) for 1 .. 3;
is(eval { feed(); 1 }, undef, 'while the other cluster is away');
$node{club}->start;
feed_until($ben, 15, '… nothing is lost');

shop("SELECT pay.record_refund_result(r.refund_id, 'succeeded') FROM pay.create_refund('$first', 1250) AS r");
1 while feed();
is(points($ann), 7, 'what is refunded is taken back');

shop("SELECT usher.erase_user('$ann')");
1 while feed(); # those of one key come one after the other
is(club("SELECT closed_at IS NOT NULL FROM club.points_accounts WHERE customer_id = '$ann'"), 't', 'whoever is erased there is gone here');
is(club("SELECT count(*) FROM usher.self_check() WHERE violations > 0"), 0, 'the other cluster checks itself');
is(shop("SELECT count(*) FROM usher.deliveries WHERE consumer = 'club' AND status <> 'completed'"), 0, 'and all is delivered');
done_testing();

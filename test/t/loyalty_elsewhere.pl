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

my @blocks = document_blocks('docs/scaling.md');
is(scalar @blocks, 4, 'docs/scaling.md has its blocks');
my ($subscribe, $install, $take, $move) = map { $_->{text} } @blocks;

my %node = map { $_ => PostgreSQL::Test::Cluster->new("loyalty_$_") } qw(shop club);
for (values %node) { $_->init; $_->start }
sub shop { return $node{shop}->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }
sub club { return $node{club}->safe_psql('postgres', "SET client_min_messages = warning; $_[0]") }
# At first both are in one cluster, and a customer has points.
shop('CREATE EXTENSION usher CASCADE; CREATE SCHEMA pay; CREATE EXTENSION usher_payment SCHEMA pay; CREATE SCHEMA club; CREATE EXTENSION usher_loyalty SCHEMA club');
shop(q{SELECT club.create_earning_rule('{"code": "per_euro", "event": "payment.completed", "points": "r.amount_minor / 100"}')});
my ($ann, $ben, $eve) = map { shop("SELECT r.user_id FROM usher.register_user('$_\@example.com', 'a long enough password') AS r") } qw(ann ben eve);
pay($ann, 300);
shop('SELECT usher.run_event_handlers()');
shop($subscribe);
pay($ann, 400); # both hear of this one
shop('SELECT usher.run_event_handlers()');
club($install);
club($take);
{
	local @ENV{qw(PGHOST PGPORT PGDATABASE OTHER)} = ($node{shop}->host, $node{shop}->port, 'postgres', $node{club}->connstr('postgres'));
	my $folder = PostgreSQL::Test::Utils::tempdir();
	$node{shop}->command_ok([ 'sh', '-ec', "cd '$folder'\n$move" ], 'the rows of the feature move');
}
is(shop("SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname LIKE 'usher%'"), 'usher usher_payment', 'the first cluster has it no longer');
is(club("SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname LIKE 'usher%'"), 'usher usher_loyalty', 'the other one has core and loyalty alone');
is(points($ann), 7, '… and the points');
is(club('SELECT count(*) FROM usher.self_check() WHERE violations > 0'), 0, '… which agree with each other');

# The program between them, with the rights of its roles alone. It may die before it says that an event is done.
sub as_feeder { my ($cluster, $sql) = @_; return $node{$cluster}->safe_psql('postgres', $sql, extra_params => [ '-U', 'feeder' ]) }
sub feed
{
    my (%options) = @_;
    my $fed = 0;
    return 0 unless as_feeder('club', 'SELECT 1') eq '1';
    for my $event (map { decode_json($_) } split /\n/, as_feeder('shop', "SELECT to_jsonb(e) FROM feed.claim('1 second') AS e"))
    {
        my ($id, $name) = @$event{qw(event_id event)};
        my $payload = encode_json($event->{payload});
        if (!eval { as_feeder('club', "SELECT feed.take('$id', '$name', \$json\$$payload\$json\$)"); 1 })
        {
            as_feeder('shop', "SELECT feed.fail('$id', $event->{attempt}, 'it was not taken')");
            next;
        }
        $fed++;
        die "killed\n" if $options{dies};
        as_feeder('shop', "SELECT feed.complete('$id', $event->{attempt})");
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

feed_until($ann, 7, 'what was paid while they moved earns once');
my $first = pay($ann, 1250);
cmp_ok(feed(), '>', 0, 'the events of a payment go to the other cluster');
is(points($ann), 19, '… and earn points there');
is(feed(), 0, 'nothing is left to feed');

pay($ann, 700);
is(eval { feed(dies => 1); 1 }, undef, 'the feeder dies before it says that it is done');
feed_until($ann, 26, '… and what it feeds again earns once');
{
    my ($id, $payload) = split /\|/, shop("SELECT e.id, e.payload FROM usher.events AS e WHERE e.event = 'payment.completed' ORDER BY e.id DESC LIMIT 1");
    as_feeder('club', "SELECT feed.take('$id', 'payment.completed', \$json\$$payload\$json\$)") for 1 .. 3;
    club('SELECT usher.run_event_handlers()');
    is(points($ann), 26, '… also days later');
}
is(eval { as_feeder('club', 'SELECT count(*) FROM club.points_accounts'); 1 }, undef, 'its role reads nothing there');
is(eval { as_feeder('shop', "SELECT * FROM usher.claim_events('other', 1)"); 1 }, undef, '… and no events of other consumers');
is(eval { as_feeder('club', "SELECT usher.publish('payment.completed', '{}')"); 1 }, undef, '… and publishes nothing by itself');


$node{club}->stop;
pay($ben, 500) for 1 .. 3;
is(eval { feed(); 1 }, undef, 'while the other cluster is away') for 1 .. 3;
is(shop(q{SELECT coalesce(max(attempts), 0) FROM usher.deliveries WHERE consumer = 'club' AND status <> 'completed'}), 0, '… no attempt is used up');
$node{club}->start;
feed_until($ben, 15, '… nothing is lost');

pay($ben, 200);
is(eval { feed(dies => 1); 1 }, undef, 'the feeder dies');
$node{shop}->stop('immediate');
is(eval { feed(); 1 }, undef, '… and the first cluster crashes');
$node{shop}->start;
feed_until($ben, 17, '… nothing is lost, and nothing comes twice');

# What is not taken comes later; what is about others goes on.
club('ALTER FUNCTION feed.take(uuid, text, jsonb) RENAME TO really_take');
club(qq{CREATE FUNCTION feed.take(event_id uuid, event text, payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \$\$
    BEGIN
        IF payload ->> 'customer_id' = '$ben' THEN RAISE 'not today'; END IF;
        PERFORM feed.really_take(event_id, event, payload);
    END \$\$; GRANT EXECUTE ON FUNCTION feed.take(uuid, text, jsonb) TO feeder});
pay($ben, 100);
pay($ann, 100);
feed();
is(points($ann) . ' ' . points($ben), '27 17', 'an event that fails keeps nobody else');
is(shop(q{SELECT string_agg(error_message, ',') FROM usher.deliveries WHERE consumer = 'club' AND status = 'pending'}), 'it was not taken', '… and says why it waits');
club('DROP FUNCTION feed.take(uuid, text, jsonb)');
club('ALTER FUNCTION feed.really_take(uuid, text, jsonb) RENAME TO take');
shop(q{UPDATE usher.deliveries SET visible_at = now() WHERE consumer = 'club' AND status = 'pending'});
feed_until($ben, 18, '… until it is taken');

shop("SELECT pay.record_refund_result(r.refund_id, 'succeeded') FROM pay.create_refund('$first', 1250) AS r");
1 while feed();
is(points($ann), 15, 'what is refunded is taken back');

pay($eve, 900);
feed_until($eve, 9, 'another customer');
shop("SELECT usher.delete_user('$eve')");
1 while feed();
is(club("SELECT closed_at IS NOT NULL FROM club.points_accounts WHERE customer_id = '$eve'"), 't', 'whoever is deleted there has a closed account here');
is(points($eve), 9, '… which keeps what it has');
shop("SELECT usher.erase_user('$ann')");
1 while feed(); # those of one key come one after the other
is(club("SELECT closed_at IS NOT NULL FROM club.points_accounts WHERE customer_id = '$ann'"), 't', 'whoever is erased there is gone here');
is(club("SELECT count(*) FROM usher.audit_logs WHERE event_type = 'customer.erased' AND resource_id = '$ann'"), 1, '… with what was kept of them');
is(club("SELECT count(*) FROM usher.self_check() WHERE violations > 0"), 0, 'the other cluster checks itself');
is(shop("SELECT count(*) FROM usher.deliveries WHERE consumer = 'club' AND status <> 'completed'"), 0, 'and all is delivered');
done_testing();

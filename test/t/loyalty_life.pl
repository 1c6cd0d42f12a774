# The life of the extension: alone in a schema whose name needs quotes, dumped and restored with points, offers, rewards and referrals that
# are under way, views in shared memory across a restart, and dropped while core goes on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('loyalty_life');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'usher'\nusher.worker_databases = 'postgres'\n");
$node->start;
sub one { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', "SET client_min_messages = warning; $sql") }

# Alone
one(q{CREATE EXTENSION usher CASCADE; CREATE SCHEMA "The Club"; CREATE EXTENSION usher_loyalty SCHEMA "The Club"});
my $club = '"The Club"';
is(one(q{SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname LIKE 'usher%'}), 'usher usher_loyalty', 'it needs core and nothing else');
my $customer = '00000000-0000-7000-8000-000000000001';
one(qq{SELECT $club.create_earning_rule('{"code": "each", "event": "payment.completed", "points": "r.amount_minor / 10"}');
	SELECT $club.define_tier('SILVER', 1, 50);
	SELECT $club._on_purchase('payment.completed', jsonb_build_object('transaction_id', usher.uuid_v7(), 'customer_id', '$customer', 'captured_minor', 1000, 'currency', 'EUR'));
	SELECT $club.redeem_points(30, '$customer'); SELECT $club.earn_points('$customer', 20, expires_at => now() + interval '1 year');
	SELECT $club.set_offer_status((SELECT offer_id FROM $club.create_offer('{"title": "a", "kind": "percent", "percent": 10, "tiers": ["SILVER", "GOLD"], "max_uses": 3}')), 'active');
	SELECT $club.redeem_offer('order', usher.uuid_v7(), (SELECT id FROM $club.loyalty_offers), '$customer', 100);
	SELECT $club.set_reward_status((SELECT reward_id FROM $club.create_reward('{"title": "a", "cost_points": 20, "stock": 2}')), 'active');
	SELECT $club.redeem_reward((SELECT id FROM $club.loyalty_rewards), '$customer');
	SELECT $club.define_referral_program(10, 5); SELECT $club.create_referral(referrer_id => '$customer', referee_id => usher.uuid_v7());
	SELECT $club.set_advertisement_status((SELECT ad_id FROM $club.create_advertisement('{"title": "a", "placement": "home"}')), 'active');});
my $code = one("SELECT code FROM $club.create_vouchers((SELECT id FROM $club.loyalty_offers))");
is(one("SELECT balance || ' ' || tier FROM $club.get_points_balance('$customer')"), '70 SILVER', 'installed in a schema with a name that needs quotes, it works');
is(one('SELECT count(*) FROM usher.schema_drift()'), '0', 'schema_drift() finds nothing');
is(one('SELECT count(*) FROM usher.list_unanswered_columns()'), '0', 'each column says what it tells about people');

# Views outlive the transaction. The worker writes them, without anybody who asks, and once more when the server stops
one("BEGIN; SELECT $club.record_advertisement_event((SELECT id FROM $club.loyalty_ads)) FROM generate_series(1, 50); ROLLBACK");
ok($node->poll_query_until('postgres', "SELECT coalesce(sum(count), 0) = 50 FROM $club.loyalty_ad_counts"), 'views of transactions that are rolled back are counted in shared memory, and written by the worker');
one("SELECT $club.record_advertisement_event((SELECT id FROM $club.loyalty_ads), 'click')");
$node->restart;
is(one("SELECT string_agg(kind || ' ' || count, ', ' ORDER BY kind) FROM $club.loyalty_ad_counts"), 'click 1, view 50', 'an orderly stop forgets none');
is(one("SELECT views || ' ' || clicks FROM $club.report_advertisements()"), '50 1', '… as the report says');

# Dumped and restored: the same rows, nothing written again, what is derived made anew
my @tables = split /\n/, one(q{SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = '"The Club"'::regnamespace AND c.relkind = 'r' AND c.relname <> 'referral_guards' ORDER BY 1});
cmp_ok(scalar(@tables), '>', 20, 'there are many tables');
my $state = join '; ', map { "SELECT '$_ ' || count(*) || ' ' || md5(string_agg(t::text, '|' ORDER BY t::text)) FROM $club.$_ AS t" } @tables, ;
$state .= '; SELECT count(*) FROM usher.events; SELECT count(*) FROM usher.status_history';
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dumped');
one('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restored');
is(one($state, 'restored'), one($state), 'the restored database has the same points, offers, rewards, referrals, counts and keys');
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0', 'restored'), '0', '… in which self_check() finds nothing');
is(one("SELECT discount_minor FROM $club.redeem_offer('order', usher.uuid_v7(), customer_id => '$customer', amount_minor => 100, voucher_code => '$code')", 'restored'), '10', '… vouchers are good');
is(one("SELECT balance FROM $club.redeem_points(70, '$customer')", 'restored'), '0', '… and points can be spent');
is(one("SELECT string_agg(rule, ' ') FROM $club._loyalty_self_check() WHERE violations > 0", 'restored'), '', '… and life goes on');

# Dropped
one('DROP EXTENSION usher_loyalty');
is(one(q{SELECT count(*) FROM usher.list_extensions() WHERE name = 'usher_loyalty'}), '0', 'dropped, it leaves nothing behind');
is(one(q{SELECT count(*) FROM usher.list_routes() WHERE path_template LIKE '/loyalty%'}), '0', '… and no route');
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0'), '0', '… and core goes on');
$node->stop;
done_testing();

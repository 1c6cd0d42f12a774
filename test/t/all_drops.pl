# A feature that was used is dropped: nothing that it has registered with core, or that its functions have made there, is left behind, for each
# feature, and every table of core is asked. What it did stays: the audit log, histories, events, and what was given to roles.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{USHER_SOURCE};
my @features = grep { $_ ne 'usher' } sort map { m{([^/]+)\.control$} } glob("$source/sql/*/*.control");
my $node = PostgreSQL::Test::Cluster->new('drops');
$node->init;
$node->append_conf('postgresql.conf', "usher.argon2_memory = 8MB\nusher.argon2_iterations = 1\n");
$node->start;
my $quiet = 'SET client_min_messages = warning; ';
sub one { return $node->safe_psql('postgres', $quiet . $_[0]) }
one('CREATE EXTENSION usher CASCADE; CREATE EXTENSION btree_gist');
one(q{CREATE SCHEMA app; SELECT usher.register_extension('Letters', name => 'letters', schema_name => 'app', publishes => '{letter.written}',
	declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}')});
my @stays = qw(audit_logs status_history events deliveries);

# Rows that name the feature, its schema or its consumers.
one(q{CREATE FUNCTION app.named(wanted text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
BEGIN
	FOR relation IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'usher'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
		RETURN QUERY EXECUTE format('SELECT %L || t::text FROM %s AS t WHERE t::text ~ %L', relation || ' ', relation, wanted);
	END LOOP;
END $$});
my %used = (
	usher_booking => q{SELECT SCHEMA.create_location('A', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin');
		SELECT (SCHEMA.upsert_customer(name => 'Will')).name},
	usher_courier => q{SELECT SCHEMA.set_message_rule('letter.written'); SELECT SCHEMA.add_webhook('https://a.example/', '{letter.written,user.*}');
		SELECT SCHEMA.set_message_template('letter.written', 'en', 'x', 'x');
		SELECT usher.register_user('dropped@courier.example', 'correct horse battery'); SELECT usher.publish('letter.written', '{"user_id": 1}');
		SELECT SCHEMA.enqueue_http_request('https://b.example/'); SELECT SCHEMA.claim_messages('w');
		SELECT usher.publish('letter.written', '{"user_id": 2}', 'late'); SELECT SCHEMA.suppress_address('x@courier.example')},
	usher_shop => q{SELECT SCHEMA.create_product('soap', 'Soap', price_minor => 500, currency => 'EUR', status => 'active')},
	usher_payment => q{SELECT SCHEMA.create_payment(usher.uuid_v7(), 1000, 'EUR')},
	usher_loyalty => q{SELECT SCHEMA.earn_points(usher.uuid_v7(), 50, note => 'x')});
is_deeply([ sort keys %used ], \@features, 'each feature is used');

for my $feature (@features)
{
	my $schema = "of_$feature";
	my $role = "drop_$feature";
	one("CREATE SCHEMA $schema; CREATE EXTENSION $feature SCHEMA $schema; CREATE ROLE $role; SELECT usher.grant_access('$role', l) FROM unnest('{application,admin}'::text[]) AS l LIMIT 1");
	one($used{$feature} =~ s/SCHEMA/$schema/gr);
	# decisions of administrators about what it ships, rights that they gave, a consumer and a limit of their own
	one("UPDATE usher.routes SET is_active = false WHERE extension = '$feature'; UPDATE usher.subscriptions SET max_attempts = 3 WHERE extension = '$feature' AND mode = 'async'");
	one("SELECT usher.apply_role_preset(p.name) FROM (SELECT DISTINCT name FROM usher.role_presets WHERE registrant = '$feature') AS p");
	one("SELECT usher.subscribe('*', 'others_of_$feature', mode => 'async'); SELECT usher.publish('letter.written')");
	isnt(one("SELECT count(*) FROM app.named('\\m$feature\\M') AS n"), '0', "$feature is registered");
	one("DROP EXTENSION $feature; DROP SCHEMA $schema");
	my $left = one("SELECT string_agg(DISTINCT split_part(n, ' ', 1) || ': ' || n, chr(10)) FROM app.named('\\m(of_)?$feature\\M') AS n
		WHERE split_part(n, ' ', 1) <> ALL ('{" . join(',', map { "usher.$_" } @stays) . "}')");
	is($left, '', "$feature leaves nothing behind in core");
	is(one("SELECT count(*) FROM usher.deliveries WHERE consumer LIKE '$feature%' AND status <> 'completed'"), '0', '… and keeps no event that it will never take');
	is(one("SELECT count(*) > 0 FROM usher.deliveries WHERE consumer = 'others_of_$feature' AND status = 'pending'"), 't', '… others have theirs still');
	is(one("SELECT count(*) FROM usher.subscriptions WHERE consumer = 'others_of_$feature'"), '1', '… and their subscription');
	is(one(q{SELECT string_agg(format('%s %s', extension, rule), ', ') FROM usher.self_check() WHERE violations > 0}), '', '… and core is well');
	one("CREATE SCHEMA $schema; CREATE EXTENSION $feature SCHEMA $schema");
	is(one("SELECT count(*) FROM usher.decisions WHERE shipped_by = '$feature'"), '0', '… made again, it is as shipped');
	one("DROP EXTENSION $feature; DROP SCHEMA $schema");
}
one("CREATE EXTENSION pg_trgm; SELECT usher.subscribe('letter.written', 'pg_trgm', mode => 'async'); DROP EXTENSION pg_trgm");
is(one("SELECT count(*) FROM usher.subscriptions WHERE consumer = 'pg_trgm'"), '1', 'a consumer that shares its name with an extension of others stays');
$node->stop;
done_testing();

# A logical replication subscriber gets rows as they are: no second audit row, no touched timestamp, no history, no event; and
# so does a session with session_replication_role = replica.
use strict;
use warnings;
use DocumentBlocks;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %node;
for my $name (qw(publisher subscriber))
{
	my $node = $node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 'logical');
	$node->start;
	$node->safe_psql('postgres', q{
		SET client_min_messages = warning;
		CREATE EXTENSION usher CASCADE;
		CREATE SCHEMA shop;
		CREATE TABLE shop.orders (id uuid PRIMARY KEY, title text, status text NOT NULL DEFAULT 'placed', reason text, version integer,
			updated_at timestamptz NOT NULL DEFAULT now());
		SELECT usher.apply_machine_preset('order');
		SELECT usher.attach_machine('order', 'shop.orders', 'status', '{"reason_column": "reason", "version_column": "version", "event_prefix": "order"}');
		SELECT usher.enable_updated_at('shop.orders');
		SELECT usher.enable_soft_delete('shop.orders');
		SELECT usher.enable_audit('shop.orders');
		CREATE FUNCTION shop.note(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'handled %', event; END $$;
		SELECT usher.subscribe('order.*', 'notes', 'shop.note(text,jsonb)');
		SELECT usher.subscribe('order.*', 'mailer', mode => 'async')});
}
my ($publisher, $subscriber) = @node{qw(publisher subscriber)};
sub counts
{
	return $_[0]->safe_psql('postgres', q{SELECT (SELECT count(*) FROM usher.audit_logs WHERE resource_type = 'shop.orders'),
		(SELECT count(*) FROM usher.status_history), (SELECT count(*) FROM usher.events), (SELECT count(*) FROM usher.deliveries)});
}
my $rows = 'SELECT * FROM shop.orders ORDER BY id';

$publisher->safe_psql('postgres', "INSERT INTO shop.orders (id, title, updated_at) SELECT ('00000000-0000-7000-8000-00000000000' || i)::uuid, 'copied', '2020-01-01' FROM generate_series(1, 3) i");
$publisher->safe_psql('postgres', 'CREATE PUBLICATION shop FOR TABLE shop.orders');
my $connection = $publisher->connstr('postgres');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION shop CONNECTION \$\$$connection\$\$ PUBLICATION shop");
$subscriber->wait_for_subscription_sync($publisher, 'shop') if $subscriber->can('wait_for_subscription_sync');
$subscriber->poll_query_until('postgres', q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel}) or die 'not in step';
is($subscriber->safe_psql('postgres', $rows), $publisher->safe_psql('postgres', $rows), 'the first copy of the rows is the same, times and versions too');
is(counts($subscriber), '0|0|0|0', 'and left no audit row, history, event or delivery');
isnt(counts($publisher), '0|0|0|0', 'while the publisher has them');

$publisher->safe_psql('postgres', q{
	UPDATE shop.orders SET status = 'paid', title = 'streamed' WHERE id::text LIKE '%1';
	UPDATE shop.orders SET status = 'cancelled', reason = 'too late' WHERE id::text LIKE '%2';
	DELETE FROM shop.orders WHERE id::text LIKE '%3';
	INSERT INTO shop.orders (id, title) VALUES ('00000000-0000-7000-8000-000000000004', 'new')});
$publisher->wait_for_catchup('shop');
is($subscriber->safe_psql('postgres', $rows), $publisher->safe_psql('postgres', $rows), 'streamed rows are the same');
is(counts($subscriber), '0|0|0|0', 'and left nothing either');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM shop.orders WHERE is_active AND deleted_at IS NULL'), 3, 'a soft delete arrives as one');

# what backends of the subscriber know of permissions follows the rows that arrive, though no trigger of statements fires for them
$_->safe_psql('postgres', "SELECT usher.create_permission('thing:read')") for $publisher, $subscriber;
$publisher->safe_psql('postgres', 'CREATE PUBLICATION access FOR TABLE usher.users, usher.user_permissions');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION access CONNECTION \$\$$connection\$\$ PUBLICATION access WITH (copy_data = false)");
my $user = '00000000-0000-7000-8000-0000000000aa';
my $asked = $subscriber->background_psql('postgres', on_error_stop => 1);
my $may = sub {
	$publisher->safe_psql('postgres', $_[0]);
	$publisher->wait_for_catchup('access');
	return $asked->query_safe("SELECT usher.user_has_permission('$user', 'thing:read')");
};
is($may->("INSERT INTO usher.users (id, email, status) VALUES ('$user', 'ann\@replica.test', 'active')"), 'f', 'a user arrives without permissions');
is($may->("SELECT usher.grant_permission('$user'::uuid, 'thing:read')"), 't', 'a grant that arrives counts in a session that had asked before');
is($may->("UPDATE usher.users SET status = 'deactivated' WHERE id = '$user'"), 'f', 'so does a deactivation');
is($may->("UPDATE usher.users SET status = 'active' WHERE id = '$user'"), 't', 'and its end');
is($may->("SELECT usher.revoke_permission('$user'::uuid, 'thing:read')"), 'f', 'and what is revoked');
$asked->quit;

# the subscriber's own writes are watched as ever
$subscriber->safe_psql('postgres', q{UPDATE shop.orders SET title = 'local' WHERE id::text LIKE '%4'});
is(counts($subscriber), '1|0|0|0', 'an own change of the subscriber is audited');

# the same by hand
my $before = counts($publisher);
$publisher->safe_psql('postgres', q{
	SET session_replication_role = replica;
	INSERT INTO shop.orders (id, status, updated_at, version) VALUES ('00000000-0000-7000-8000-000000000005', 'fulfilled', '2021-01-01', 7);
	UPDATE shop.orders SET status = 'placed', title = 'by hand' WHERE id::text LIKE '%5';
	DELETE FROM shop.orders WHERE id::text LIKE '%1'});
is(counts($publisher), $before, 'session_replication_role = replica: no audit row, history, event or delivery');
is($publisher->safe_psql('postgres', q{SELECT updated_at = '2021-01-01', version, status FROM shop.orders WHERE id::text LIKE '%5'}), 't|7|placed', 'and nothing touched');
is($publisher->safe_psql('postgres', q{SELECT count(*) FROM shop.orders WHERE id::text LIKE '%1'}), 0, 'a delete deletes');

# what docs/scaling.md has: some columns of accounts, to a database without usher
my ($publication, $subscription) = map { $_->{text} } document_blocks('docs/scaling.md');
$publisher->safe_psql('postgres', $publication);
$subscriber->safe_psql('postgres', 'CREATE DATABASE plain');
$subscriber->safe_psql('plain', "\\set shop `printf '%s' \"\$SHOP_CLUSTER\"`\n$subscription") for local $ENV{SHOP_CLUSTER} = $connection;
my $people = "SELECT string_agg(u.id || ' ' || u.status || ' ' || u.tier, ', ' ORDER BY u.id) FROM usher.users AS u";
my $alike = sub {
	my ($what) = @_;
	my $expected = $publisher->safe_psql('postgres', $people);
	ok($subscriber->poll_query_until('plain', "SELECT ($people) IS NOT DISTINCT FROM \$\$$expected\$\$"), $what) or diag($subscriber->safe_psql('plain', $people));
};
$alike->('some columns of accounts come to a database without usher');
$publisher->safe_psql('postgres', "UPDATE usher.users SET tier = 'GOLD' WHERE id = '$user'");
$alike->('… and follow');

$subscriber->stop;
$publisher->stop;
done_testing();

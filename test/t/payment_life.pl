# The life of the extension: in a schema whose name needs quotes, alone or beside bookings in either order, dumped and restored with
# payments that are under way, its secrets under a master key that changes, and dropped while others go on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('payment_life');
$node->init;
$node->start;
sub one { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', "SET client_min_messages = warning; $sql") }

# Alone
one(q{CREATE EXTENSION usher CASCADE; CREATE SCHEMA "Pay Me"; CREATE EXTENSION usher_payment SCHEMA "Pay Me"});
my $pay = '"Pay Me"';
is(one(q{SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension WHERE extname LIKE 'usher%'}), 'usher usher_payment', 'it needs core and nothing else');
my $payment = one("SELECT transaction_id FROM $pay.create_payment(usher.uuid_v7(), 1000, 'EUR', idempotency_key => 'kept')");
my $attempt = one("SELECT attempt_id FROM $pay.begin_payment_attempt('$payment', 'fake')");
is(one("SELECT status FROM $pay.record_payment_result('$attempt', 'succeeded', 'ch_1', fee_minor => 30)"), 'completed', 'installed in a schema with a name that needs quotes, it works');
my $refund = one("SELECT refund_id FROM $pay.create_refund('$payment', 300)");
one("SELECT $pay.record_refund_result('$refund', 'succeeded', 're_1'); SELECT $pay.create_refund('$payment', 100);
	SELECT $pay.ingest_webhook('fake', 'evt_1', 'dispute.opened', now(), '{\"transaction_id\": \"ch_1\", \"dispute_id\": \"dp_1\", \"amount_minor\": 50}');
	SELECT $pay.add_webhook_secret('fake', 'stripe', 'whsec_before_any_master_key'); SELECT $pay.save_payment_method('fake', 'tok', customer_id => usher.uuid_v7());
	SELECT $pay.begin_payment_attempt((SELECT transaction_id FROM $pay.create_payment(usher.uuid_v7(), 70, 'JPY')), 'fake')");
# one journal is in the totals of the ledger, the others are not yet
is(one("SELECT $pay._sum_ledger(1) || ' ' || (SELECT count(*) > 0 FROM $pay.ledger_unsummed_journals)"), '1 true', 'a part of the ledger is summed');
is(one('SELECT count(*) FROM usher.schema_drift()'), '0', 'schema_drift() finds nothing');
is(one('SELECT count(*) FROM usher.list_unanswered_columns()'), '0', 'each column says what it tells about people');

# Dumped and restored: the same rows, nothing written again
my $state = "SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM $pay.payment_transactions AS t; SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM $pay.payment_attempts AS t;
	SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM $pay.payment_refunds AS t; SELECT md5(string_agg(t::text, '|' ORDER BY t.journal_id, t.entry_no)) FROM $pay.ledger_entries AS t; SELECT string_agg(t::text, '|' ORDER BY t) FROM $pay.ledger_totals AS t;
	SELECT string_agg(t::text, '|' ORDER BY t) FROM $pay.ledger_unsummed_journals AS t; SELECT string_agg(t::text, '|' ORDER BY t) FROM $pay.get_trial_balance() AS t;
	SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM $pay.payment_webhook_secrets AS t; SELECT count(*) FROM $pay.payment_webhook_events; SELECT count(*) FROM $pay.payment_disputes; SELECT count(*) FROM $pay.payment_methods;
	SELECT count(*) FROM usher.events; SELECT count(*) FROM usher.status_history; SELECT count(*) FROM usher.machines WHERE name IN ('payment', 'refund')";
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'dumped');
one('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restored');
is(one($state, 'restored'), one($state), 'the restored database has the same payments, journals, histories and events');
is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0', 'restored'), '0', '… in which self_check() finds nothing');
is(one("SELECT remaining_minor FROM $pay.create_refund('$payment')", 'restored'), '0', '… and life goes on');
is(one("SELECT transaction_id = '$payment' AND replayed FROM $pay.create_payment((SELECT customer_id FROM $pay.payment_transactions WHERE id = '$payment'), 1000, 'EUR', idempotency_key => 'kept')", 'restored'),
	't', '… where keys are still known');

# Secrets under a master key, which changes
my $key = $node->basedir . '/usher.key';
for my $which ('', '2') { my $digit = $which eq '' ? 'a' : 'b'; append_to_file("$key$which", $digit x 64); chmod 0600, "$key$which" }
sub setting { my ($name, $value) = @_; $node->safe_psql('postgres', "ALTER SYSTEM SET usher.$name = '$value'"); $node->reload; $node->poll_query_until('postgres', "SELECT current_setting('usher.$name') = '$value'") or die }
my $is_good = "SELECT string_agg(x.secret || ' ' || $pay.verify_webhook('fake', 'body', jsonb_build_object('stripe-signature', format('t=%s,v1=%s', extract(epoch FROM now())::bigint,
	encode(public.hmac(extract(epoch FROM now())::bigint || '.body', x.secret, 'sha256'), 'hex')))), ', ' ORDER BY x.secret) FROM (VALUES ('whsec_before_any_master_key'), ('whsec_under_the_master_key')) AS x (secret)";
setting('master_key_file', $key);
one("SELECT $pay.add_webhook_secret('fake', 'stripe', 'whsec_under_the_master_key')");
my $both = 'whsec_before_any_master_key true, whsec_under_the_master_key true';
is(one("SELECT string_agg(starts_with(secret, '\$sealed\$')::text, ' ' ORDER BY created_at) FROM $pay.payment_webhook_secrets"), 'false true', 'a secret is sealed when there is a master key');
is(one($is_good), $both, '… and both are good');
is(one("SELECT wrapped FROM usher.wrap_secrets() WHERE secrets = 'payment_webhook_secrets'"), '1', 'wrap_secrets() seals the other one');
is(one($is_good), $both, '… and both are still good');
setting('former_master_key_file', $key);
setting('master_key_file', "${key}2");
is(one($is_good), $both, 'with another key, the former one opens them');
is(one("SELECT wrapped FROM usher.wrap_secrets() WHERE secrets = 'payment_webhook_secrets'"), '2', '… until they are sealed anew');
setting('former_master_key_file', '');
is(one($is_good), $both, '… and need it no more');

# Beside bookings, in either order of installation
for my $order ([qw(usher_booking wash usher_payment till)], [qw(usher_payment till usher_booking wash)])
{
	my $database = "first_$order->[0]";
	one("CREATE DATABASE $database");
	one("CREATE EXTENSION usher CASCADE; CREATE SCHEMA wash; CREATE SCHEMA till; CREATE EXTENSION $order->[0] SCHEMA $order->[1] CASCADE; CREATE EXTENSION $order->[2] SCHEMA $order->[3] CASCADE;
		INSERT INTO usher.users (id, email, status) VALUES ('00000000-0000-7000-8000-000000000001', 'a\@example.com', 'active');
		CREATE TABLE place AS SELECT (wash.create_location('L', 'A', 'C', 'S', '1', time_zone => 'UTC')).id AS location,
			(wash.create_service('S', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full')).id AS service;
		SELECT wash.set_location_hours(location, '{1,2,3,4,5,6,7}', '[[\"00:00\", \"24:00\"]]'), wash.set_location_services(location, ARRAY[service]) FROM place;", $database);
	my $book = "SELECT (wash.create_booking('00000000-0000-7000-8000-000000000001', service, location, date_trunc('hour', now()) + interval '50 hours')).booking_id FROM place";
	my $booking = one($book, $database);
	one("SELECT till.record_payment_result((till.begin_payment_attempt(id, 'fake')).attempt_id, 'succeeded', 'ch_1') FROM till.payment_transactions", $database);
	is(one("SELECT status FROM wash.bookings WHERE id = '$booking'", $database), 'confirmed', "$order->[0] first: a payment confirms its booking");
	one($book, $database);
	one("SELECT usher.delete_user('00000000-0000-7000-8000-000000000001')", $database);
	is(one("SELECT string_agg(status || ' ' || refund_reserved_minor, ', ' ORDER BY status) FROM till.payment_transactions", $database), 'completed 1000, failed 0', "$order->[0] first: the payments of a user who goes");
	is(one('SELECT count(*) FROM usher.self_check() WHERE violations > 0 AND rule <> \'every user has a row of credentials\'', $database), '0', "$order->[0] first: self_check() finds nothing");
	is(one("SELECT count(*) FROM pg_constraint AS c JOIN pg_depend AS a ON a.objid = c.conrelid AND a.deptype = 'e' JOIN pg_depend AS b ON b.objid = c.confrelid AND b.deptype = 'e'
		WHERE c.contype = 'f' AND a.refobjid <> b.refobjid", $database), '0', "$order->[0] first: no foreign key from one to the other");
	# dropped, and the other one goes on
	one("UPDATE usher.users SET status = 'active', deleted_at = NULL", $database);
	one('DROP EXTENSION usher_payment CASCADE', $database);
	isnt(one($book, $database), '', "$order->[0] first: bookings are made without payments");
	is(one("SELECT count(*) FROM usher.list_routes() WHERE tag = 'payment'", $database) . one("SELECT count(*) FROM usher.machines WHERE name IN ('payment', 'refund')", $database), '00', "$order->[0] first: nothing is left of them");
}
$node->stop;
done_testing();

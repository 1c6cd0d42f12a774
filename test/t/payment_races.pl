# Crowds of 32 at all three isolation levels, through the functions and (C-19) by raw SQL: C-16 one key, C-17 webhook and client success
# together, C-18 a retry after a timeout and both results, C-19 refunds; refunds against webhooks, cancellations of bookings against
# results, and users who are deleted meanwhile. Nothing is paid or refunded twice, and no deadlock is logged.
use strict;
use warnings;
use Test::More;
use UsherCrowd;

start_cluster('payment_races', 'max_connections = 100', 'pay._payment_self_check()');
one(<<'SQL');
SET client_min_messages = warning;
CREATE SCHEMA pay;
CREATE EXTENSION usher_payment SCHEMA pay;
CREATE EXTENSION usher_booking SCHEMA pay CASCADE;
CREATE FUNCTION new_payment(amount bigint DEFAULT 100) RETURNS uuid LANGUAGE sql AS $$ SELECT (pay.create_payment(usher.uuid_v7(), amount, 'EUR')).transaction_id $$;
-- a payment with an attempt that is under way
CREATE FUNCTION under_way(amount bigint DEFAULT 100) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	payment uuid := new_payment(amount);
	attempt pay.payment_attempt_receipt := pay.begin_payment_attempt(payment, 'fake');
BEGIN
	INSERT INTO stage VALUES ('payment', payment, NULL), ('attempt', (attempt).attempt_id, (attempt).provider_key);
END $$;
CREATE FUNCTION paid(amount bigint DEFAULT 100) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM under_way(amount);
	PERFORM pay.record_payment_result(stage('attempt'), 'succeeded', 'ch_' || stage('attempt'));
END $$;
CREATE FUNCTION events(wanted text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM usher.events AS e WHERE e.event = wanted AND e.key = stage('payment')::text $$;
SQL
my $sums = "SELECT status || ' ' || captured_minor || ' ' || refund_reserved_minor || ' ' || refunded_minor FROM pay.payment_transactions WHERE id = stage('payment')";

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;
	my $key = $level =~ s/ //r;

	is(crowd(32, '', "SELECT answer('SELECT transaction_id || '' '' || status || '' '' || amount_minor || '' '' || version FROM pay.create_payment(''00000000-0000-7000-8000-000000000001'', 100, ''EUR'', idempotency_key => ''$key'')');\n")
		=~ s/^\S+ //r, 'pending 100 1 32', "$level: C-16, one key, one payment, one answer for 32 clients");
	is(one("SELECT count(*) FROM pay.payment_transactions WHERE idempotency_key = '$key'"), '1', "$level: C-16, one row");
	is(crowd(32, '', "SELECT answer('SELECT status FROM pay.create_payment(''00000000-0000-7000-8000-000000000001'', ' || 100 + (:client_id % 2) || ', ''EUR'', idempotency_key => ''$key'')');\n"),
		'US004 16, pending 16', "$level: C-16, another amount is refused");

	is(crowd(32, 'SELECT under_way()', <<'SCRIPT'), 'completed 16, true 16', "$level: C-17, webhook and client success together");
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT status FROM pay.record_payment_result(%L, ''succeeded'', ''ch_%s'')', stage('attempt'), stage('attempt'))
	ELSE format('SELECT accepted FROM pay.ingest_webhook(''fake'', ''evt_%s_%s'', ''payment.succeeded'', now(), ''{"provider_key": "%s", "transaction_id": "ch_%s", "amount_minor": 100}'')',
		stage('attempt'), :client_id % 8, (SELECT key FROM stage WHERE name = 'attempt'), stage('attempt')) END);
SCRIPT
	is(one($sums), 'completed 100 0 0', "$level: C-17, captured once");
	is(one("SELECT events('payment.completed') || ' ' || events('payment.duplicate_charge')"), '1 0', "$level: C-17, completed once");
	is(one("SELECT count(*) FROM pay.ledger_journals WHERE reference_id = stage('payment')"), '1', "$level: C-17, one journal");

	is(crowd(32, "SELECT under_way(); SELECT pay.record_payment_result(stage('attempt'), 'unknown')", <<'SCRIPT'),
SELECT answer(CASE :client_id % 4 WHEN 0 THEN format('SELECT ''again '' || (provider_key = %L) FROM pay.begin_payment_attempt(%L)', (SELECT key FROM stage WHERE name = 'attempt'), stage('payment'))
	WHEN 1 THEN format('SELECT CASE WHEN status = ''failed'' THEN status ELSE ''not failed'' END FROM pay.record_payment_result(%L, ''unknown'')', stage('attempt'))
	WHEN 2 THEN format('SELECT CASE WHEN status = ''failed'' THEN status ELSE ''not failed'' END FROM pay.record_payment_result(%L, ''succeeded'', ''ch_%s'')', stage('attempt'), stage('attempt'))
	ELSE format('SELECT CASE WHEN status = ''failed'' THEN status ELSE ''not failed'' END FROM pay.get_payment(%L)', stage('payment')) END);
SCRIPT
		, one("SELECT CASE WHEN n > 0 THEN 'US001 ' || n || ', ' ELSE '' END || CASE WHEN n < 8 THEN 'again true ' || 8 - n || ', ' ELSE '' END || 'not failed 24' FROM (SELECT count(*) AS n FROM outcome WHERE answer = 'US001') AS x"),
		"$level: C-18, the same key is used again, and unknown is never shown as failed");
	is(one($sums), 'completed 100 0 0', "$level: C-18, captured once");
	is(one("SELECT count(*) FROM pay.payment_attempts WHERE transaction_id = stage('payment')"), '1', "$level: C-18, one attempt");

	for my $raw (0, 1)
	{
		my $how = $raw ? 'raw SQL' : 'the functions';
		my $refund = $raw ? 'INSERT INTO pay.payment_refunds (transaction_id, amount_minor) VALUES (%L, 10) RETURNING status' : 'SELECT status FROM pay.create_refund(%L, 10)';
		is(crowd(32, 'SELECT paid()', "SELECT answer(format('$refund', stage('payment')));\n"), 'UP001 22, pending 10', "$level: C-19 by $how, ten of 32 refunds of 10 on 100");
		is(one($sums), 'completed 100 100 0', "$level: C-19 by $how, all of it is reserved");
	}
	is(crowd(32, 'SELECT paid()', "SELECT answer(format('SELECT status FROM pay.create_refund(%L, idempotency_key => %L)', stage('payment'), stage('payment')));\n"), 'pending 32',
		"$level: one key, one refund for 32 clients");
	is(one($sums), 'completed 100 100 0', "$level: … of all that there is");

	is(crowd(32, "SELECT paid(); INSERT INTO stage SELECT 'refund', r.refund_id, r.provider_key FROM pay.create_refund(stage('payment')) AS r", <<'SCRIPT'), 'refunded 32', "$level: a refund meets webhooks about itself");
SELECT answer(CASE WHEN :client_id % 2 = 0 THEN format('SELECT transaction_status FROM pay.record_refund_result(%L, ''succeeded'', ''re_%s'')', stage('refund'), stage('refund'))
	ELSE format('SELECT CASE WHEN effect IN (''applied'', ''known'') THEN ''refunded'' ELSE effect END FROM pay.ingest_webhook(''fake'', ''evt_%s_%s'', ''refund.succeeded'', now(), ''{"provider_key": "%s", "refund_id": "re_%s", "amount_minor": 100}'')',
		stage('refund'), :client_id % 8, (SELECT key FROM stage WHERE name = 'refund'), stage('refund')) END);
SCRIPT
	is(one($sums), 'refunded 100 0 100', "$level: … once");
	is(one("SELECT events('payment.refunded')"), '1', "$level: … with one event");

	# One payment, many who begin: one attempt
	is(crowd(32, "INSERT INTO stage VALUES ('payment', new_payment())", "SELECT answer(format('SELECT attempt_no FROM pay.begin_payment_attempt(%L, ''fake'')', stage('payment')));\n"), '1 32',
		"$level: one attempt for all who begin");
	is(one("SELECT events('payment.attempt_requested')"), '1', "$level: … and one call to make");
}

# Payments of bookings against all that can happen to the bookings: cancelled, paid, given up, refunded, and their customers deleted
one(<<'SQL');
SELECT usher.apply_role_preset('carwash');
INSERT INTO usher.users (id, email, status) SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com', 'active' FROM generate_series(1001, 1200) AS n;
DO $$
DECLARE
	place uuid := (pay.create_location('L', 'A', 'C', 'S', '1', time_zone => 'UTC', max_concurrent_bookings => 10000)).id;
	service uuid := (pay.create_service('S', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'deposit', deposit_minor => 300)).id;
BEGIN
	PERFORM pay.set_location_hours(place, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
	PERFORM pay.set_location_services(place, ARRAY[service]);
	CREATE TABLE there AS SELECT place, service;
END $$;
CREATE FUNCTION person(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8000-' || lpad((1000 + n)::text, 12, '0'))::uuid $$;
CREATE FUNCTION act(what integer, who integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	payment record;
	booking uuid;
BEGIN
	SELECT t.id, t.reference_id, t.status, (SELECT a.id FROM pay.payment_attempts AS a WHERE a.transaction_id = t.id AND a.outcome <> 'succeeded' LIMIT 1) AS attempt INTO payment
	FROM pay.payment_transactions AS t WHERE t.user_id = person(who) ORDER BY random() LIMIT 1;
	CASE WHEN what = 0 OR payment.id IS NULL THEN
		PERFORM answer(format('SELECT status FROM pay.create_booking(%L, %L, %L, date_trunc(''hour'', now()) + interval ''50 hours'')', person(who), there.service, there.place)) FROM there;
	WHEN what = 1 THEN PERFORM answer(format('SELECT status FROM pay.cancel_booking(%L, ''customer_request'')', payment.reference_id));
	WHEN what = 2 THEN PERFORM answer(format('SELECT attempt_no FROM pay.begin_payment_attempt(%L, ''fake'')', payment.id));
	WHEN what = 3 AND payment.attempt IS NOT NULL THEN PERFORM answer(format('SELECT status FROM pay.record_payment_result(%L, %L, %L)', payment.attempt, o, CASE o WHEN 'succeeded' THEN 'ch_' || payment.attempt END)) FROM (SELECT (ARRAY['succeeded', 'succeeded', 'declined', 'unknown'])[1 + floor(random() * 4)] AS o) AS x;
	WHEN what = 4 THEN PERFORM answer(format('SELECT status FROM pay.cancel_payment(%L)', payment.id));
	WHEN what = 5 THEN PERFORM answer(format('SELECT status FROM pay.create_refund(%L, 7)', payment.id));
	WHEN what = 6 THEN PERFORM answer(format('SELECT status FROM pay.record_manual_payment(%L, ''cash'')', payment.id));
	WHEN what = 7 AND random() < 0.05 THEN PERFORM answer(format('SELECT usher.delete_user(%L)', person(who)));
	WHEN what = 8 THEN PERFORM answer(format('SELECT accepted FROM pay.ingest_webhook(''fake'', usher.uuid_v7()::text, ''payment.succeeded'', now(), ''{"provider_key": "usher-%s", "transaction_id": "ch_%s"}'')', payment.attempt, payment.attempt));
	ELSE PERFORM pay._expire_holds(10);
	END CASE;
END $$;
SQL
my $seconds = $ENV{USHER_LONG} ? 120 : 10;
for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;
	one("UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");
	crowd(32, '', "\\set what random(0, 9)\n\\set who random(1, 40)\nSELECT act(:what, :who);\n", '-T', $seconds);
	is(one("SELECT string_agg(DISTINCT answer, ' ') FROM outcome WHERE answer ~ '^[0-9A-Z]{5}\$' AND answer !~ '^(UP00[139]|UP008|US00[1235]|UB00[67]|22023)\$'"), '', "$level: payments of bookings are refused for good reasons only");
	is(one("SELECT string_agg(rule, ' ') FROM pay._booking_self_check() WHERE violations > 0"), '', "$level: nothing is wrong with the bookings");
	is(one("SELECT count(*) FROM pay.bookings AS b WHERE b.status = 'cancelled' AND EXISTS (SELECT FROM pay.payment_transactions AS t WHERE t.reference_id = b.id AND t.status IN ('pending', 'failed') AND t.closed_at IS NULL)"), '0',
		"$level: no payment of a cancelled booking is still open");
	is(one("SELECT count(*) FROM pay.bookings AS b WHERE b.paid_at IS NOT NULL AND b.price_minor > (SELECT sum(t.captured_minor) FROM pay.payment_transactions AS t WHERE t.reference_id = b.id)"), '0', "$level: what is paid was captured");
	note(one("SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY 1) AS x"));
}

finish();

# Crowds: the booking scenarios C-05, C-07, C-09, C-10, C-24, C-26, C-27 and C-33, with 32 connections, at all three isolation levels.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use BookingCrowd;

BookingCrowd::start_cluster('races_more');
my $bookings = 'clinic.bookings WHERE location_id = (SELECT location FROM scenario)';

query(<<'SQL');
-- C-05: hold number n is paid at about the instant it runs out, and its time is booked by somebody else just after that
CREATE TABLE hold (n integer, id uuid, expires_at timestamptz);
CREATE FUNCTION pay(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	h hold := (SELECT h FROM hold AS h WHERE h.n = pay.n);
BEGIN
	PERFORM pg_sleep(greatest(0, extract(epoch FROM h.expires_at - clock_timestamp()) - 0.03 + random() * 0.06));
	PERFORM usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', h.id, 'transaction_id', 't' || n,
		'captured_minor', 1000, 'refunded_minor', 0, 'currency', 'EUR', 'payment_method', 'card'));
END $$;
CREATE FUNCTION take_over(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	h hold := (SELECT h FROM hold AS h WHERE h.n = take_over.n);
BEGIN
	PERFORM pg_sleep(greatest(0, extract(epoch FROM h.expires_at - clock_timestamp()) + 0.001 + random() * 0.03));
	PERFORM book(300 + n, n, 0);
END $$;
-- C-07: another location with the same washer
CREATE FUNCTION book_elsewhere(customer integer, washer integer, minutes integer, place integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s scenario := (SELECT s FROM scenario AS s ORDER BY location OFFSET place LIMIT 1);
	at timestamptz := (SELECT (current_date + 2 + max(day) + time '12:00') AT TIME ZONE 'UTC' FROM scenario) + minutes * interval '1 minute';
BEGIN
	PERFORM clinic.create_booking(person(customer), s.service, s.location, at, person(washer));
	INSERT INTO outcome VALUES ('ok', customer);
EXCEPTION WHEN SQLSTATE 'UB001' THEN
	INSERT INTO outcome VALUES (SQLSTATE, customer);
END $$;
-- C-09: ten times on days that follow each other
CREATE FUNCTION book_series(customer integer, mode text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s scenario := (SELECT s FROM scenario AS s);
BEGIN
	INSERT INTO outcome SELECT coalesce(r.error_code, 'ok'), customer, r.booking_id FROM clinic.create_booking_series(person(customer), s.service, s.location,
		ARRAY(SELECT noon(60 * n) FROM generate_series(0, 9) AS n), person(1), mode => mode) AS r;
EXCEPTION WHEN SQLSTATE 'UB001' THEN
	INSERT INTO outcome VALUES (SQLSTATE, customer);
END $$;
SQL

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;

	# C-05, sixteen pairs
	query(<<'SQL');
TRUNCATE scenario, outcome, hold;
SELECT make_location(100, 16, '{"hold_ttl": "2.5 seconds"}');
SELECT book(200 + n, n, 0) FROM generate_series(1, 16) AS n;
INSERT INTO hold SELECT who - 200, o.id, b.hold_expires_at FROM outcome AS o JOIN clinic.bookings AS b ON b.id = o.id;
TRUNCATE outcome;
SQL
	pgbench(32, [ '-t', 1 ], "SELECT pay(1 + :client_id / 2) WHERE :client_id % 2 = 0;\nSELECT take_over(1 + :client_id / 2) WHERE :client_id % 2 = 1;\n");
	# Neither is possible: who books found the hold in the hands of a payment that then came too late. Never both.
	is(query(<<"SQL"), '', "$level: C-05, the old booking is confirmed and paid, or ends with a refund proposed; never both bookings");
SELECT h.n, old.status, old.cancellation_reason, old.paid_at IS NOT NULL AS paid, o.answer, e.reason
FROM hold AS h JOIN clinic.bookings AS old ON old.id = h.id JOIN outcome AS o ON o.who = 300 + h.n
	LEFT JOIN LATERAL (SELECT e.payload ->> 'reason' AS reason FROM usher.events AS e
		WHERE e.event = 'booking.refund_proposed' AND e.key = h.id::text) AS e ON true
WHERE ((old.status = 'confirmed' AND old.paid_at IS NOT NULL AND o.answer = 'UB001' AND e.reason IS NULL)
	OR (old.status = 'cancelled' AND old.cancellation_reason = 'hold_expired' AND old.paid_at IS NULL 
		AND o.answer IN ('ok', 'UB001') AND e.reason IS NOT NULL)) IS NOT TRUE
SQL
	is(query("SELECT count(*) FROM outcome"), 16, "$level: C-05, sixteen pairs");

	# C-07
	is(crowd(32, 'SELECT make_location(50, 1); SELECT make_location(50, 1)',
			"SELECT book_elsewhere(101 + :client_id, 1, (:client_id / 2 % 4) * 15, :client_id % 2);\n"),
		'UB001 31, ok 1', "$level: C-07, one washer at two locations");

	# C-09
	crowd(1, 'SELECT make_location(50, 1); SELECT book(400, 1, 360); DELETE FROM outcome', "SELECT book_series(101, 'all_or_nothing');\n");
	is(query("SELECT answer FROM outcome"), 'UB001', "$level: C-09, conflict at the seventh of ten: refused");
	is(query("SELECT count(*) FROM $bookings"), 1, "$level: C-09, and nothing is stored");
	crowd(1, 'SELECT make_location(50, 1); SELECT book(400, 1, 360); DELETE FROM outcome', "SELECT book_series(101, 'skip_conflicts');\n");
	is(query("SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY 1) AS o"),
		'ok 9, slot_taken 1', "$level: C-09, or nine and an error row");
	is(crowd(32, 'SELECT make_location(50, 1)', "SELECT book_series(101 + :client_id, 'all_or_nothing');\n"),
		'UB001 31, ok 10', "$level: C-09, one of 32 series wins as a whole");

	# C-24
	for my $case (['confirmed', 'start'], ['in_progress', 'complete'])
	{
		my ($status, $action) = @$case;
		query("TRUNCATE scenario, outcome; SELECT make_location(5, 1); SELECT book(101, 1, 0); SELECT clinic.confirm_booking(id) FROM outcome;"
			  . ($status eq 'in_progress' ? 'SELECT clinic.start_booking(id) FROM outcome;' : '') . 'DELETE FROM outcome');
		pgbench(32, [ '-t', 1 ], "SELECT attempt(CASE WHEN :client_id % 2 = 0 THEN 'SELECT clinic.${action}_booking(\$1)' ELSE 'SELECT clinic.cancel_booking(\$1, ''other'', ''at once'')' END, (SELECT id FROM $bookings));\n");
		is(query('SELECT count(*) FROM outcome'), 32, "$level: C-24, $action and cancel at once, 32 answers");
		# a cancellation with notes may follow a start, nothing follows what is final
		like(query("SELECT string_agg(to_status, ' ' ORDER BY seq) FROM usher.status_history WHERE entity_id = (SELECT id FROM $bookings)"),
			$action eq 'start' ? qr/^pending confirmed (in_progress |)cancelled$/ : qr/^pending confirmed in_progress (completed|cancelled)$/,
			"$level: C-24, $action and cancel at once leave a possible history");
	}
	query("UPDATE clinic.bookings SET status = 'completed' WHERE status = 'in_progress'");

	# C-26
	is(crowd(32, 'SELECT make_location(50, 1)',
			"SELECT book(101 + :client_id, 1, :client_id * 60) WHERE :client_id <> 7;\nSELECT usher.deactivate_user(person(1)) FROM (SELECT pg_sleep(0.01)) AS s WHERE :client_id = 7;\n") =~ /^(?:UB005 (\d+))?(?:, )?(?:ok (\d+))?$/ ? ($1 // 0) + ($2 // 0) : 'something else',
		31, "$level: C-26, a washer is deactivated while 31 bookings are made for him");
	is(query("SELECT count(*) FROM $bookings AND staff_id = person(1)"), 0, "$level: C-26, nobody silently keeps him");
	is(query("SELECT count(*) FROM $bookings AND NOT EXISTS (SELECT FROM usher.events AS e WHERE e.event = 'booking.needs_staff' AND e.key = bookings.id::text)"), 0,
		"$level: C-26, each that was made needs staff now");
	query('SELECT usher.reactivate_user(person(1))');

	# C-27
	crowd(32, 'SELECT make_location(12, 40)',
		"SELECT book(101 + :client_id, 1 + :client_id, 0) WHERE :client_id <> 9;\nSELECT clinic.update_location((SELECT location FROM scenario), '{\"max_concurrent_bookings\": 3}') WHERE :client_id = 9;\n");
	is(query(<<"SQL"), '', "$level: C-27, nobody exceeds the lower capacity after it was committed");
SELECT b.n FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, row_number() OVER (ORDER BY pg_xact_commit_timestamp(xmin)) AS n FROM $bookings) AS b,
	(SELECT pg_xact_commit_timestamp(xmin) AS at FROM clinic.locations WHERE id = (SELECT location FROM scenario)) AS l
WHERE b.n > 12 OR (b.at > l.at AND b.n > 3)
SQL
	is(query("SELECT max_concurrent_bookings FROM clinic.locations WHERE id = (SELECT location FROM scenario)"), 3, "$level: C-27, it was lowered");

	query("SELECT clinic.update_location((SELECT location FROM scenario), '{\"max_concurrent_bookings\": 12}')"); # for self_check()

	# C-33: an hour at noon and half an hour after it change places; the third wants the half hour that the swap needs
	query(<<'SQL');
TRUNCATE scenario, outcome;
SELECT make_location(5, 1);
SELECT (clinic.create_service('Short', '30 minutes', 1000, 'EUR')).id AS short \gset
SELECT clinic.set_location_services(location, ARRAY[service, :'short'::uuid]) FROM scenario;
SELECT book(101, 1, 0);
SELECT clinic.create_booking(person(102), :'short', location, noon(60), person(1)) FROM scenario;
DELETE FROM outcome;
SQL
	pgbench(32, [ '-t', 1 ],
		"SELECT attempt('SELECT clinic.swap_bookings(\$1, (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND customer_id = person(102)), 1, 1)', (SELECT id FROM $bookings AND customer_id = person(101))) WHERE :client_id % 2 = 0;\n"
		  . "SELECT book(201 + :client_id, 1, 90) WHERE :client_id % 2 = 1;\n");
	is(query("SELECT count(*) FROM outcome WHERE answer = 'ok'"), 1, "$level: C-33, the swap or one third wins");
	is(query('SELECT count(*) FROM outcome'), 32, "$level: C-33, everybody got an answer");
	is_clean('C-05 to C-33');

	# C-10
	is(query(<<"SQL"), '22000 23514 23P01', "$level: C-10, claims that overlap, and null, empty and unbounded ranges are refused");
BEGIN ISOLATION LEVEL $level;
DO \$\$
DECLARE
	claim clinic.booking_claims := (SELECT c FROM clinic.booking_claims AS c WHERE c.live AND c.resource_kind = 'staff' LIMIT 1);
	other uuid := (SELECT b.id FROM clinic.bookings AS b WHERE b.id <> claim.booking_id LIMIT 1);
	attempted text;
BEGIN
	CREATE TEMP TABLE refused (code text) ON COMMIT PRESERVE ROWS;
	FOREACH attempted IN ARRAY ARRAY['overlap', 'null', 'empty', 'no start', 'no end', 'infinity'] LOOP
		BEGIN
			INSERT INTO clinic.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)
				SELECT other, other, 'staff', claim.resource_id, CASE attempted WHEN 'overlap' THEN claim.during WHEN 'empty' THEN 'empty'
					WHEN 'no start' THEN tstzrange(NULL, now()) WHEN 'no end' THEN tstzrange(now(), NULL) WHEN 'infinity' THEN tstzrange(now(), 'infinity') END;
			INSERT INTO refused VALUES ('accepted ' || attempted);
		EXCEPTION
			WHEN exclusion_violation OR check_violation THEN INSERT INTO refused VALUES (SQLSTATE);
			WHEN not_null_violation THEN INSERT INTO refused VALUES ('22000');
		END;
	END LOOP;
END \$\$;
COMMIT;
SELECT string_agg(DISTINCT code, ' ' ORDER BY code) FROM refused;
SQL
}
finish();

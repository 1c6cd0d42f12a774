# Crowds of 32, where something else happens at the same time: scenarios C-05, C-07, C-09, C-22, C-24, C-26, C-27 and C-33, and C-10 by raw
# SQL, at all three isolation levels. After each, nothing overlaps, nothing is over-full, each history is a walk through the machine with
# one event for each step; and no deadlock was logged.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use BookingCrowd;

BookingCrowd::start_cluster('races_more');
my $bookings = 'clinic.bookings WHERE location_id = (SELECT location FROM scenario)';

query(<<'SQL');
-- C-05: hold number n is paid, confirmed or swept at about the instant it runs out, and its time is booked by somebody else just after that
CREATE TABLE hold (n integer, id uuid, expires_at timestamptz);
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

	# C-05, sixteen pairs: eight holds are paid, five confirmed by hand, three are left to the sweeper
	query(<<'SQL');
TRUNCATE scenario, outcome, hold;
SELECT make_location(100, 16, '{"hold_ttl": "2.5 seconds"}');
SELECT book(200 + n, n, 0) FROM generate_series(1, 16) AS n;
INSERT INTO hold SELECT who - 200, o.id, b.hold_expires_at FROM outcome AS o JOIN clinic.bookings AS b ON b.id = o.id;
TRUNCATE outcome;
SQL
	pgbench(32, [ '-t', 1 ], "\\set before random(-200, 30)\n\\set after random(1, 30)\n\\set n 1 + :client_id / 2\n"
		  . "SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - clock_timestamp()) + CASE WHEN :client_id % 2 = 0 THEN :before ELSE :after END / 1000.0)) FROM hold WHERE n = :n;\n"
		  . "SELECT CASE WHEN n <= 8 THEN pay(id)::text WHEN n <= 13 THEN attempt('SELECT clinic.confirm_booking(\$1)', id) ELSE clinic.expire_holds()::text END FROM hold WHERE n = :n AND :client_id % 2 = 0;\n"
		  . "SELECT book(300 + :n, :n, 0) WHERE :client_id % 2 = 1;\n");
	is(query(<<"SQL"), '', "$level: C-05, the old booking is confirmed or the new one is made: one of them, and who paid in vain gets a refund");
SELECT h.n, old.status, old.cancellation_reason, old.paid_at IS NOT NULL AS paid, o.answer, e.reason
FROM hold AS h JOIN clinic.bookings AS old ON old.id = h.id LEFT JOIN outcome AS o ON o.who = 300 + h.n
	LEFT JOIN LATERAL (SELECT e.payload ->> 'reason' AS reason FROM usher.events AS e
		WHERE e.event = 'booking.refund_proposed' AND e.key = h.id::text) AS e ON true
WHERE ((old.status = 'confirmed' AND o.answer = 'UB001' AND (old.paid_at IS NOT NULL) = (h.n <= 8) AND e.reason IS NULL)
	OR (old.status = 'cancelled' AND old.cancellation_reason = 'hold_expired' AND old.paid_at IS NULL AND o.answer = 'ok'
		AND (e.reason IN ('hold_expired', 'booking_cancelled')) IS NOT DISTINCT FROM CASE WHEN h.n <= 8 THEN true END)) IS NOT TRUE
SQL
	is(wrong(), '', "$level: C-05 leaves nothing wrong behind");
	note("$level: C-05, confirmed: ", query("SELECT count(*) FROM $bookings AND status = 'confirmed'"));

	# C-07
	is(crowd('C-07', 32, 'SELECT make_location(50, 1); SELECT make_location(50, 1)',
			"SELECT book_elsewhere(101 + :client_id, 1, (:client_id / 2 % 4) * 15, :client_id % 2);\n"),
		'UB001 31, ok 1', "$level: C-07, one washer at two locations");

	# C-09
	crowd('C-09', 1, 'SELECT make_location(50, 1); SELECT book(400, 1, 360); DELETE FROM outcome', "SELECT book_series(101, 'all_or_nothing');\n");
	is(query("SELECT answer FROM outcome"), 'UB001', "$level: C-09, conflict at the seventh of ten: refused");
	is(query("SELECT count(*) FROM $bookings"), 1, "$level: C-09, and nothing is stored");
	crowd('C-09', 1, 'SELECT make_location(50, 1); SELECT book(400, 1, 360); DELETE FROM outcome', "SELECT book_series(101, 'skip_conflicts');\n");
	is(query("SELECT string_agg(answer || ' ' || n, ', ' ORDER BY answer) FROM (SELECT answer, count(*) AS n FROM outcome GROUP BY 1) AS o"),
		'ok 9, slot_taken 1', "$level: C-09, or nine and an error row");
	is(crowd('C-09', 32, 'SELECT make_location(50, 1)', "SELECT book_series(101 + :client_id, 'all_or_nothing');\n"),
		'UB001 31, ok 10', "$level: C-09, one of 32 series wins as a whole");

	# C-22: a customer may come once a day, and tries at every hour from an evening to the night after next
	is(crowd('C-22', 32, q{SELECT make_location(50, 32, '{"customer_exclusive": false, "daily_limit": 1}')},
			"SELECT book(101, 1 + :client_id, (:client_id - 16) * 60);\n"), 'UB010 29, ok 3', "$level: C-22, one of each day");
	is(query("SELECT count(DISTINCT (start_at AT TIME ZONE 'Europe/Berlin')::date) FROM $bookings"), 3, "$level: C-22, days of the location");

	# C-24: work that has begun is cancelled with notes only
	for my $case (['start', '', 'pending confirmed (in_progress|cancelled)'], ['complete', ', ', 'pending confirmed in_progress (completed|cancelled)'])
	{
		my ($action, $notes, $history) = @$case;
		$notes &&= ", ''at once''";
		my $answers = crowd("C-24, $action and cancel", 32, "SELECT make_location(5, 1); SELECT book(101, 1, 0); SELECT clinic.confirm_booking(id) FROM outcome;"
			  . ($action eq 'complete' ? 'SELECT clinic.start_booking(id) FROM outcome;' : '') . 'DELETE FROM outcome',
			"SELECT attempt(CASE WHEN :client_id % 2 = 0 THEN 'SELECT clinic.${action}_booking(\$1)' ELSE 'SELECT clinic.cancel_booking(\$1, ''other''$notes)' END, (SELECT id FROM $bookings));\n");
		like($answers, qr/^US001 \d+, (?:US002 \d+, )?ok 1$/, "$level: C-24, $action and cancel at once, one of 32 wins");
		like(query("SELECT string_agg(to_status, ' ' ORDER BY seq) FROM usher.status_history WHERE entity_id = (SELECT id FROM $bookings)"), qr/^$history$/,
			"$level: C-24, $action and cancel at once leave a possible history");
		query("UPDATE clinic.bookings SET status = 'completed' WHERE status = 'in_progress'");
	}

	# C-26: bookings are made for a washer, and given to one, who is being deactivated
	like(crowd('C-26', 32, 'SELECT make_location(50, 2); SELECT book(300 + n, 2, (40 + n) * 60) FROM generate_series(0, 15) AS n; DELETE FROM outcome',
			"SELECT book(101 + :client_id, 1, :client_id * 60) WHERE :client_id % 2 = 1 AND :client_id <> 7;\n"
			  . "SELECT attempt('SELECT clinic.reassign_booking(\$1, person(1))', (SELECT id FROM $bookings AND customer_id = person(300 + :client_id / 2))) WHERE :client_id % 2 = 0;\n"
			  . "SELECT usher.deactivate_user(person(1)) FROM (SELECT pg_sleep(0.01)) AS s WHERE :client_id = 7;\n"),
		qr/^(?:UB005 \d+)?(?:, )?(?:ok \d+)?$/, "$level: C-26, a washer is deactivated while being booked and assigned");
	is(query('SELECT count(*) FROM outcome'), 31, "$level: C-26, everybody got an answer");
	is(query("SELECT count(*) FROM $bookings AND staff_id = person(1)"), 0, "$level: C-26, no booking silently keeps the washer");
	is(query("SELECT count(*) FROM outcome AS o JOIN clinic.bookings AS b USING (id) WHERE o.answer = 'ok' AND (b.staff_id IS NOT NULL
		OR NOT EXISTS (SELECT FROM usher.events AS e WHERE e.event = 'booking.needs_staff' AND e.key = b.id::text))"), 0, "$level: C-26, each that had the washer needs staff now");
	query('SELECT usher.reactivate_user(person(1))');

	# C-27
	query('TRUNCATE scenario, outcome; SELECT make_location(12, 40)');
	pgbench(32, [ '-t', 1 ],
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
	is_clean('C-33');

	# C-10
	is(query(<<"SQL"), 'empty 23514, infinity 23514, no end 23514, no start 23514, null 23502, overlap 23P01', "$level: C-10, claims that overlap, and null, empty and unbounded ranges are refused");
BEGIN ISOLATION LEVEL $level;
DO \$\$
DECLARE
	claim clinic.booking_claims := (SELECT c FROM clinic.booking_claims AS c WHERE c.live AND c.resource_kind = 'staff' LIMIT 1);
	other uuid := (SELECT b.id FROM clinic.bookings AS b WHERE b.id <> claim.booking_id LIMIT 1);
	attempted text;
BEGIN
	CREATE TEMP TABLE refused (attempted text, code text) ON COMMIT PRESERVE ROWS;
	FOREACH attempted IN ARRAY ARRAY['overlap', 'null', 'empty', 'no start', 'no end', 'infinity'] LOOP
		BEGIN
			INSERT INTO clinic.booking_claims (booking_id, holder_id, resource_kind, resource_id, during)
				SELECT other, usher.uuid_v7(), 'staff', claim.resource_id, CASE attempted WHEN 'overlap' THEN claim.during WHEN 'empty' THEN 'empty'
					WHEN 'no start' THEN tstzrange(NULL, now()) WHEN 'no end' THEN tstzrange(now(), NULL) WHEN 'infinity' THEN tstzrange(now(), 'infinity') END;
			INSERT INTO refused VALUES (attempted, 'accepted');
		EXCEPTION
			WHEN OTHERS THEN INSERT INTO refused VALUES (attempted, SQLSTATE);
		END;
	END LOOP;
END \$\$;
COMMIT;
SELECT string_agg(attempted || ' ' || code, ', ' ORDER BY attempted) FROM refused;
SQL
}
finish();

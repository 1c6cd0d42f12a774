# Crowds: the booking scenarios C-01 to C-12, C-25 and C-34 of the design, with up to 64 connections, at all three isolation levels,
# through the functions and by raw SQL. Afterwards nothing overlaps, nothing is over-full, and no deadlock was logged.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use BookingCrowd;

my $seconds = $ENV{USHER_LONG} ? 200 : 20; # of the deadlock hunt, for each isolation level
BookingCrowd::start_cluster('races');

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;

	for my $raw ('false', 'true')
	{
		my $how = $raw eq 'true' ? 'raw SQL' : 'the function';
		is(crowd(32, 'SELECT make_location(100, 1)', "SELECT book(101 + :client_id, 1, (:client_id % 4) * 15, $raw);\n"),
			'UB001 31, ok 1', "$level: C-01, one of 32 gets the washer, by $how");
		is_clean("C-01 by $how");
		is(crowd(32, 'SELECT make_location(5, 40); SELECT book(300 + n, n, 0) FROM generate_series(1, 4) AS n; DELETE FROM outcome',
				"SELECT book(101 + :client_id, 5 + :client_id, 30, $raw);\n"),
			'UB002 31, ok 1', "$level: C-02, one of 32 gets the last place, by $how");
		is_clean("C-02 by $how");
	}

	is(crowd(2, 'SELECT make_location(5, 1)', "SELECT book(101 + :client_id, 1, 0);\n"), 'UB001 1, ok 1', "$level: C-03, a pending booking takes its slot");

	is(crowd(2, q{SELECT make_location(5, 1, '{"pending_blocks": false}'); SELECT book(101, 1, 0); SELECT book(102, 1, 30); DELETE FROM outcome;
			SELECT id FROM clinic.bookings},
			"SELECT attempt('SELECT clinic.confirm_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) ORDER BY id OFFSET :client_id LIMIT 1));\n"),
		'UB001 1, ok 1', "$level: C-04, of two pending ones that do not block, one is confirmed");
	is($node->safe_psql('postgres', 'SELECT string_agg(status, \' \' ORDER BY status) FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)'),
		'confirmed pending', "$level: C-04, the other stays pending");

	is(crowd(5, 'SELECT make_location(5, 3)', "SELECT book(101 + :client_id, NULL, 0);\n"), 'UB001 2, ok 3', "$level: C-06, any of three washers for five");
	is($node->safe_psql('postgres', 'SELECT count(DISTINCT staff_id) FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)'),
		3, "$level: C-06, three different ones");

	is(crowd(2, 'SELECT make_location(5, 1); SELECT book(101, 1, 0); DELETE FROM outcome',
			"SELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s), expected_version => 1)', 60 + :client_id * 120), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario)));\n"),
		'US003 1, ok 1', "$level: C-08, one of two reschedules");

	is(crowd(2, 'SELECT make_location(5, 2)', "SELECT book(101, 1 + :client_id, :client_id * 30);\n"),
		'UB001 1, ok 1', "$level: C-11, a customer is in one place at a time");

	is(crowd(2, "SELECT make_location(5, 1); SELECT book(101, 1, 0); SELECT book(102, 1, 120); SELECT clinic.confirm_booking(id) FROM outcome; DELETE FROM outcome",
			"SELECT attempt('SELECT clinic.start_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) ORDER BY start_at OFFSET :client_id LIMIT 1));\n"),
		'UB005 1, ok 1', "$level: C-25, a washer starts one booking at a time");
	is_clean('C-03 to C-25');
	$node->safe_psql('postgres', "UPDATE clinic.bookings SET status = 'completed' WHERE status = 'in_progress'");

	# C-34: a random mix of everything, all on two days at one location; customers are deleted meanwhile, and come back
	$node->safe_psql('postgres', 'TRUNCATE scenario, outcome; SELECT make_location(6, 8)');
	pgbench(64, [ '-T', $seconds ],
		"\\set c random(101, 400)\n\\set w random(0, 8)\n\\set m random(0, 190)\nSELECT book(:c, nullif(:w, 0), :m * 15, :c % 5 = 0);\n",
		"\\set m random(0, 190)\n\\set o random(0, 60)\nSELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s))', :m * 15), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\n\\set w random(1, 8)\nSELECT attempt(format('SELECT clinic.reschedule_booking(\$1, staff_id => person(%s))', :w), (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.cancel_booking(\$1, ''other'')', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.confirm_booking(\$1)', (SELECT id FROM clinic.bookings WHERE location_id = (SELECT location FROM scenario) AND status = 'pending' ORDER BY id OFFSET :o LIMIT 1));\n",
		"\\set c random(101, 400)\nSELECT usher.delete_user(person(:c)) WHERE EXISTS (SELECT FROM usher.users WHERE id = person(:c) AND status = 'active');\n",
		"\\set c random(101, 400)\nUPDATE usher.users SET status = 'active', deleted_at = NULL WHERE id = person(:c) AND status = 'deleted';\n");
	my $booked = $node->safe_psql('postgres', "SELECT count(*) FROM outcome WHERE answer = 'ok'");
	cmp_ok($booked, '>', 20, "$level: C-34, the hunt did something ($booked)");
	is_clean('C-34');
	is(query("SELECT count(*) FROM clinic.bookings AS b JOIN usher.users AS u ON u.id = b.customer_id WHERE u.status = 'deleted' AND b.status IN ('pending', 'confirmed')"),
		0, "$level: C-34, no live booking of a deleted user");
	query("UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");
	is($node->safe_psql('postgres', <<'SQL'), '', "$level: C-34, each history is a walk through the machine, and there is one event for each step");
WITH history AS (SELECT entity_id, array_agg(to_status ORDER BY seq) AS statuses, count(*) AS steps, bool_and(from_status IS NOT DISTINCT FROM previous) AS is_chain
	FROM (SELECT h.*, lag(to_status) OVER (PARTITION BY entity_id ORDER BY seq) AS previous FROM usher.status_history AS h
		WHERE relation = 'clinic.bookings'::regclass) AS h GROUP BY entity_id),
published AS (SELECT key, count(*) AS n FROM usher.events WHERE event LIKE 'booking.%' AND event NOT IN ('booking.orphaned', 'booking.refund_proposed') GROUP BY key)
SELECT b.id FROM clinic.bookings AS b LEFT JOIN history AS h ON h.entity_id = b.id LEFT JOIN published AS p ON p.key = b.id::text
WHERE (h.is_chain AND h.statuses[array_length(h.statuses, 1)] = b.status AND h.steps = p.n) IS NOT TRUE
SQL
}

# C-12: a user is deleted while he books. Never a live booking of a deleted user.
for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;
	$node->safe_psql('postgres', 'TRUNCATE scenario, outcome; SELECT make_location(40, 40)');
	$node->safe_psql('postgres', "UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");
	pgbench(32, [ '-t', 4 ],
		"\\set w random(1, 40)\n\\set m random(0, 90)\nSELECT book(201 + :client_id / 2, :w, :m * 15) WHERE :client_id % 2 = 0;\n"
		  . "SELECT usher.delete_user(person(201 + :client_id / 2)) FROM (SELECT pg_sleep(random() * 0.1)) AS s WHERE :client_id % 2 = 1 AND EXISTS (SELECT FROM usher.users WHERE id = person(201 + :client_id / 2) AND status = 'active');\n");
	is($node->safe_psql('postgres', "SELECT count(*) FROM clinic.bookings AS b JOIN usher.users AS u ON u.id = b.customer_id WHERE u.status = 'deleted' AND b.status IN ('pending', 'confirmed')"),
		0, "$level: C-12, no live booking of a deleted user");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM usher.users WHERE status = 'deleted'"), '>', 10, "$level: C-12, users were deleted");
}

finish();

# Crowds of 32: who gets the slot, the place, the washer? Scenarios C-01 to C-04, C-06, C-08, C-11, C-12 and C-25, and C-34, the deadlock
# hunt of 64, at all three isolation levels, through the functions and (C-01, C-02, C-04) by raw SQL. After each, nothing overlaps, nothing
# is over-full, each history is a walk through the machine with one event for each step; and no deadlock was logged.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use BookingCrowd;

my $seconds = $ENV{USHER_LONG} ? 200 : 20; # of the deadlock hunt, for each isolation level
BookingCrowd::start_cluster('races');
my $bookings = 'clinic.bookings WHERE location_id = (SELECT location FROM scenario)';

for (('read committed', 'repeatable read', 'serializable'))
{
	$level = $_;

	for my $raw ('false', 'true')
	{
		my $how = $raw eq 'true' ? 'raw SQL' : 'the functions';
		is(crowd("C-01 by $how", 32, 'SELECT make_location(100, 1)', "SELECT book(101 + :client_id, 1, (:client_id % 4) * 15, $raw);\n"),
			'UB001 31, ok 1', "$level: C-01, one of 32 gets the washer, by $how");
		is(crowd("C-02 by $how", 32, 'SELECT make_location(5, 40); SELECT book(300 + n, n, 0) FROM generate_series(1, 4) AS n; DELETE FROM outcome',
				"SELECT book(101 + :client_id, 5 + :client_id, 30, $raw);\n"),
			'UB002 31, ok 1', "$level: C-02, one of 32 gets the last place, by $how");

		my $confirm = $raw eq 'true' ? "UPDATE clinic.bookings SET status = ''confirmed'' WHERE id = \$1" : 'SELECT clinic.confirm_booking($1)';
		is(crowd("C-04 by $how", 32, q{SELECT make_location(5, 1, '{"pending_blocks": false}'); SELECT book(100 + n, 1, n % 4 * 15) FROM generate_series(1, 32) AS n;
				DELETE FROM outcome}, "SELECT attempt('$confirm', (SELECT id FROM $bookings ORDER BY id OFFSET :client_id LIMIT 1));\n"),
			'UB001 31, ok 1', "$level: C-04, of 32 pending ones that do not block, one is confirmed, by $how");
		is(query("SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM $bookings GROUP BY 1) AS b"),
			'confirmed 1, pending 31', "$level: C-04, the others stay pending");
	}

	is(crowd('C-03', 32, 'SELECT make_location(50, 1)', "SELECT book(101 + :client_id, 1, 0);\n"), 'UB001 31, ok 1',
		"$level: C-03, a pending booking takes its slot");

	is(crowd('C-06', 32, 'SELECT make_location(50, 3)', "SELECT book(101 + :client_id, NULL, 0);\n"), 'UB001 29, ok 3', "$level: C-06, any of three washers for 32");
	is(query("SELECT count(DISTINCT staff_id) FROM $bookings"), 3, "$level: C-06, three different ones");

	# C-08
	is(crowd('C-08', 32, 'SELECT make_location(5, 1); SELECT book(101, 1, 0); DELETE FROM outcome',
			"SELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s), expected_version => 1)', 60 + :client_id * 60), (SELECT id FROM $bookings));\n"),
		'US003 31, ok 1', "$level: C-08, one of 32 reschedules");
	is(crowd('C-08 with cancellations', 32, 'SELECT make_location(5, 1); SELECT book(101, 1, 0); DELETE FROM outcome',
			"SELECT attempt(CASE WHEN :client_id % 2 = 0 THEN format('SELECT clinic.reschedule_booking(\$1, noon(%s), expected_version => 1)', 60 + :client_id * 60)"
			  . " ELSE 'SELECT clinic.cancel_booking(\$1, ''other'', expected_version => 1)' END, (SELECT id FROM $bookings));\n"),
		'US003 31, ok 1', "$level: C-08, one of 16 reschedules and 16 cancellations of the version that all have seen");
	is(query("SELECT count(*) || ' ' || bool_and(b.version = 2 AND h.n = 2) FROM (SELECT id, version FROM $bookings) AS b
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM usher.status_history WHERE entity_id = b.id) AS h"), '1 true', "$level: C-08, still one row, changed once");
	crowd('C-08 without versions', 32, 'SELECT make_location(5, 1); SELECT book(101, 1, 0); DELETE FROM outcome',
		"SELECT attempt(CASE WHEN :client_id % 2 = 0 THEN format('SELECT clinic.reschedule_booking(\$1, noon(%s))', 60 + :client_id * 60)"
		  . " ELSE 'SELECT clinic.cancel_booking(\$1, ''other'')' END, (SELECT id FROM $bookings));\n");
	is(query("SELECT count(*) || ' ' || min(status) FROM $bookings"), '1 cancelled', "$level: C-08, one row, and nothing after the cancellation");
	is(query("SELECT count(*) FROM outcome WHERE answer NOT IN ('ok', 'US001')"), 0, "$level: C-08, who comes later is told so");

	# C-11: one customer, 32 devices, two services
	for my $case ([ 'true', 'UB001 31, ok 1' ], [ 'false', 'ok 32' ])
	{
		is(crowd("C-11 with customer_exclusive $case->[0]", 32, "SELECT make_location(50, 32, '{\"customer_exclusive\": $case->[0]}')",
				"SELECT book(101, 1 + :client_id, :client_id % 4 * 15, false, :client_id % 2 = 0);\n"),
			$case->[1], "$level: C-11, a customer in one place at a time, if the service says so: $case->[0]");
	}

	is(crowd('C-25', 32, 'SELECT make_location(5, 1); SELECT book(100 + n, 1, n * 60) FROM generate_series(1, 32) AS n; SELECT clinic.confirm_booking(id) FROM outcome; DELETE FROM outcome',
			"SELECT attempt('SELECT clinic.start_booking(\$1)', (SELECT id FROM $bookings ORDER BY id OFFSET :client_id LIMIT 1));\n"),
		'UB005 31, ok 1', "$level: C-25, a washer starts one of 32 bookings");
	query("UPDATE clinic.bookings SET status = 'completed' WHERE status = 'in_progress'");

	# C-12: users are deleted while they book, in sixteen pairs
	query('TRUNCATE scenario, outcome; SELECT make_location(40, 40)');
	pgbench(32, [ '-t', 4 ],
		"\\set w random(1, 40)\n\\set m random(0, 90)\nSELECT book(201 + :client_id / 2, :w, :m * 15) WHERE :client_id % 2 = 0;\n"
		  . "SELECT usher.delete_user(person(201 + :client_id / 2)) FROM (SELECT pg_sleep(random() * 0.1)) AS s WHERE :client_id % 2 = 1 AND EXISTS (SELECT FROM usher.users WHERE id = person(201 + :client_id / 2) AND status = 'active');\n");
	is(wrong(), '', "$level: C-12, no live booking of a deleted user");
	is(query("SELECT count(*) FROM usher.users WHERE status = 'deleted'"), 16, "$level: C-12, users were deleted");
	is(query("SELECT string_agg(DISTINCT coalesce(cancellation_reason, status), ' ') FROM $bookings") || 'user_deleted', 'user_deleted',
		"$level: C-12, what was booked before is cancelled with that reason");
	query("UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");

	# C-34: a random mix of everything, all on two days at one location; holds run out soon, customers are deleted, and come back
	query(q{TRUNCATE scenario, outcome; SELECT make_location(6, 8, '{"hold_ttl": "5 seconds"}')});
	my $some = "(SELECT id FROM $bookings AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :o LIMIT 1)";
	my $pending = "(SELECT id FROM $bookings AND status = 'pending' ORDER BY id OFFSET :o LIMIT 1)";
	pgbench(64, [ '-T', $seconds ],
		"\\set c random(101, 400)\n\\set w random(0, 8)\n\\set m random(0, 190)\nSELECT book(:c, nullif(:w, 0), :m * 15, :c % 5 = 0);\n",
		"\\set m random(0, 190)\n\\set o random(0, 60)\nSELECT attempt(format('SELECT clinic.reschedule_booking(\$1, noon(%s))', :m * 15), $some);\n",
		"\\set o random(0, 60)\n\\set w random(1, 8)\nSELECT attempt(format('SELECT clinic.reassign_booking(\$1, person(%s))', :w), $some);\n",
		"\\set o random(0, 60)\n\\set p random(0, 60)\nSELECT attempt(format('SELECT clinic.swap_bookings(\$1, %L)', id), $some) FROM (SELECT id FROM $bookings AND status IN ('pending', 'confirmed') ORDER BY id OFFSET :p LIMIT 1) AS b WHERE :o <> :p;\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.cancel_booking(\$1, ''other'')', $some);\n",
		"\\set o random(0, 60)\nSELECT attempt('SELECT clinic.confirm_booking(\$1)', $pending);\n",
		"\\set o random(0, 60)\nSELECT pay(id) FROM $pending AS b WHERE id IS NOT NULL;\n",
		"SELECT clinic.expire_holds();\n",
		"\\set c random(101, 400)\nSELECT usher.delete_user(person(:c)) WHERE EXISTS (SELECT FROM usher.users WHERE id = person(:c) AND status = 'active');\n",
		"\\set c random(101, 400)\nUPDATE usher.users SET status = 'active', deleted_at = NULL WHERE id = person(:c) AND status = 'deleted';\n");
	my $booked = query("SELECT count(*) FROM outcome WHERE answer = 'ok'");
	cmp_ok($booked, '>', 20, "$level: C-34, the hunt did something ($booked)");
	cmp_ok(query("SELECT count(*) FROM $bookings AND paid_at IS NOT NULL"), '>', 0, "$level: C-34, some were paid");
	is_clean('C-34');
	query("UPDATE usher.users SET status = 'active', deleted_at = NULL WHERE status = 'deleted'");
}
finish();

# The life of the extension: dumped and restored into another cluster while holds are live (C-37), dropped while others go on (C-38), and
# installed in a schema with a name that needs quotes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->start;
$old->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA "Car wash";
CREATE EXTENSION usher_booking SCHEMA "Car wash" CASCADE;
SET search_path = "Car wash";
SELECT usher.apply_role_preset('carwash');
INSERT INTO usher.users (id, email, status) SELECT usher.uuid_v7(), 'p' || n || '@example.com', 'active' FROM generate_series(1, 3) AS n;
SELECT id AS washer FROM usher.users WHERE email = 'p1@example.com' \gset
SELECT id AS customer FROM usher.users WHERE email = 'p2@example.com' \gset
SELECT usher.grant_role(:'washer', 'washer');
SELECT id AS place FROM create_location('L', 'A', 'C', 'S', '1', time_zone => 'Europe/Berlin', max_concurrent_bookings => 3) \gset
SELECT set_location_hours(:'place', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT id AS quick FROM create_service('Quick', '30 minutes', 1000, 'EUR', hold_ttl => '1 second', customer_exclusive => false) \gset
SELECT id AS slow FROM create_service('Slow', '30 minutes', 1000, 'EUR', hold_ttl => '1 day', customer_exclusive => false) \gset
SELECT id AS visit FROM create_service('Visit', '30 minutes', 1000, 'EUR', by_appointment => true) \gset
SELECT set_location_services(:'place', ARRAY[:'quick', :'slow', :'visit']::uuid[]);
SELECT assign_staff(:'place', :'washer', 'washer');
SELECT set_staff_hours(:'washer', :'place', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT date_trunc('day', now()) + interval '3 days 10 hours' AS ten \gset
SELECT count(create_booking(:'customer', :'quick', :'place', :'ten'::timestamptz + n * interval '30 minutes', :'washer')) FROM generate_series(1, 5) AS n;
SELECT count(create_booking(:'customer', :'slow', :'place', :'ten'::timestamptz + n * interval '30 minutes', :'washer')) FROM generate_series(6, 8) AS n;
SELECT confirm_booking(booking_id) FROM create_booking(:'customer', :'slow', :'place', :'ten'::timestamptz + interval '5 hours', :'washer');
SELECT create_booking(:'customer', :'visit', :'place', :'ten'::timestamptz + interval '6 hours', :'washer');
SELECT cancel_booking(booking_id, 'weather') FROM create_booking(:'customer', :'slow', :'place', :'ten'::timestamptz + interval '7 hours', :'washer');
-- now the place has fewer than were booked: restoring does not ask again
SELECT (update_location(:'place', '{"max_concurrent_bookings": 1}')).id;
SQL

# what is derived (claims) is compared, too, though a dump does not carry it
my $contents = q{
	SELECT 'bookings', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".bookings AS t
	UNION ALL SELECT 'appointments', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".appointments AS t
	UNION ALL SELECT 'claims', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".booking_claims AS t
	UNION ALL SELECT 'hours', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".staff_hours AS t
	UNION ALL SELECT 'assignments', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".location_staff AS t
	UNION ALL SELECT 'locations', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Car wash".locations AS t
	UNION ALL SELECT 'history', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM usher.status_history AS t
	UNION ALL SELECT 'events', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM usher.events AS t};
my $before = $old->safe_psql('postgres', $contents);
is($old->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE status = 'pending') || ' pending, ' || count(*) FILTER (WHERE occupies) || ' live' FROM "Car wash".bookings}),
	'9 pending, 10 live', 'there are holds');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->start;
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$old->command_ok([ 'pg_dump', '-f', $dump, '-d', $old->connstr('postgres') ], 'C-37: pg_dump with live holds');
$new->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $new->connstr('postgres') ], 'C-37: restored into another cluster');
is($new->safe_psql('postgres', $contents), $before, 'C-37: bookings, claims, history and events are the same; nothing was fired again');
is($new->safe_psql('postgres', q{SELECT bool_and(convalidated) FROM pg_constraint WHERE connamespace = '"Car wash"'::regnamespace}), 't', 'C-37: constraints are valid');
is($new->safe_psql('postgres', q{SELECT count(*) > 0 FROM "Car wash".resource_guards}), 'f', 'C-37: guards are not dumped');
$new->safe_psql('postgres', 'SELECT pg_sleep(1.1)'); # what had a second has run out by now
is($new->safe_psql('postgres', q{SELECT "Car wash".expire_holds(), "Car wash".expire_holds()}), '5|0', 'C-37: the holds that ran out expire, once');
is($new->safe_psql('postgres', q{SELECT status || ' ' || count(*) FROM "Car wash".bookings GROUP BY status ORDER BY 1}), "cancelled 6\nconfirmed 1\npending 4", 'C-37: and the others stay');
is($new->safe_psql('postgres', q{SELECT rule FROM "Car wash"._booking_self_check() WHERE violations > 0}), '', 'C-37: nothing is violated');
is($new->safe_psql('postgres', <<'SQL'), 'UB001', 'C-37: what is claimed stays claimed');
DO $$
BEGIN
	CREATE TEMP TABLE answer AS SELECT ''::text AS code;
	PERFORM "Car wash".create_booking(b.customer_id, b.service_id, b.location_id, b.start_at, b.staff_id) FROM "Car wash".bookings AS b WHERE b.status = 'confirmed';
EXCEPTION WHEN SQLSTATE 'UB001' THEN
	CREATE TEMP TABLE answer AS SELECT SQLSTATE AS code;
END $$;
SELECT code FROM answer;
SQL

# No object of one extension depends on an object of the other, but for the calls that functions make; users are soft references.
is($new->safe_psql('postgres', <<'SQL'), '', 'C-38: no foreign key leaves the extension');
SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint
WHERE contype = 'f' AND (connamespace::regnamespace::text = 'usher') <> ((SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = confrelid) = 'usher')
SQL
is($new->safe_psql('postgres', <<'SQL'), '', 'C-38: core depends on nothing of the feature');
SELECT d.classid::regclass, d.objid FROM pg_depend AS d JOIN pg_depend AS member ON member.classid = d.refclassid AND member.objid = d.refobjid
	AND member.deptype = 'e' AND member.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'usher_booking')
	JOIN pg_depend AS core ON core.classid = d.classid AND core.objid = d.objid AND core.deptype = 'e'
	AND core.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'usher')
SQL

# C-38
$new->safe_psql('postgres', 'DROP EXTENSION usher_booking');
is($new->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relnamespace = '"Car wash"'::regnamespace}), 0, 'C-38: dropped without a trace in its schema');
is($new->safe_psql('postgres', q{SELECT count(*) FROM pg_proc AS p WHERE pronamespace = '"Car wash"'::regnamespace
	AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')}), 0, 'C-38: functions, too, but for those of btree_gist');
is($new->safe_psql('postgres', <<'SQL'), 'deleted', 'C-38: events that it would handle are published without an error');
SELECT usher.publish('payment.completed', '{"reference_type": "booking", "reference_id": "00000000-0000-7000-8000-000000000001"}') \g /dev/null
SELECT usher.delete_user(id) FROM usher.users WHERE email = 'p2@example.com' \g /dev/null
SELECT status FROM usher.users WHERE email LIKE '%p2%' OR status = 'deleted';
SQL
is($new->safe_psql('postgres', q{SELECT status FROM usher.http_request('GET', '/services')}), 404, 'C-38: its routes are not there');
is($new->safe_psql('postgres', q{SELECT status FROM usher.http_request('GET', '/.well-known/openid-configuration')}), 200, 'C-38: those of others are');
$new->safe_psql('postgres', 'SET client_min_messages = warning; CREATE SCHEMA clinic; CREATE EXTENSION usher_booking SCHEMA clinic');
is($new->safe_psql('postgres', q{SELECT status FROM usher.http_request('GET', '/services')}), 200, 'and it comes back in another schema');
is($new->safe_psql('postgres', q{SELECT count(*) FROM clinic._booking_self_check() WHERE violations > 0}), 0, 'where it works');

# One backend sees it come, go and come elsewhere.
is($new->safe_psql('postgres', <<'SQL'), "t\nt\nt", 'plans that a backend keeps follow the schema');
SET client_min_messages = warning;
SELECT clinic._is_open(usher.uuid_v7(), now(), now() + interval '1 hour') IS FALSE;
DROP EXTENSION usher_booking;
CREATE SCHEMA other;
CREATE EXTENSION usher_booking SCHEMA other;
SELECT other._is_open(usher.uuid_v7(), now(), now() + interval '1 hour') IS FALSE;
ALTER SCHEMA other RENAME TO renamed;
SELECT renamed._is_open(usher.uuid_v7(), now(), now() + interval '1 hour') IS FALSE;
SQL

$old->stop;
$new->stop;
done_testing();

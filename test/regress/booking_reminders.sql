-- Reminders: booking.reminder is published once for each confirmed booking that starts soon, again when it was moved, and never for one
-- that was booked less than the notice before.
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA booking_reminded;
SELECT user_id AS ann FROM usher.register_user('reminded-ann@example.com', 'long enough to be good', 'Ann') \gset
SELECT id AS service FROM wash.create_service('Reminded wash', '30 minutes', 2500, 'USD', needs_staff => false) \gset
SELECT id AS location FROM wash.create_location('Reminded location', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 9) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[{"opens": "00:00", "closes": "24:00"}]') IS NOT NULL AS hours,
    wash.set_location_services(:'location', ARRAY[:'service'::uuid]) IS NOT NULL AS services;
CREATE FUNCTION booking_reminded.book(who uuid, service uuid, location uuid, days integer) RETURNS uuid LANGUAGE sql
    RETURN (SELECT b.booking_id FROM wash.create_booking(service_id => service, location_id => location, customer_id => who,
        start_at => date_trunc('day', now()) + make_interval(days => days, hours => 10)) AS b);
SELECT booking_reminded.book(:'ann', :'service', :'location', 3) AS early, booking_reminded.book(:'ann', :'service', :'location', 4) AS late,
    booking_reminded.book(:'ann', :'service', :'location', 5) AS pending \gset
SELECT (wash.confirm_booking(:'early')).status, (wash.confirm_booking(:'late')).status;
-- the first, and the one that is not confirmed, were booked a month ago
SET session_replication_role = replica;
UPDATE wash.bookings SET created_at = now() - interval '1 month' WHERE id IN (:'early', :'pending');
RESET session_replication_role;
CREATE FUNCTION booking_reminded.remind(notice integer) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('booking.reminder_notice', notice::text, true);
    PERFORM wash._remind_of_bookings(1000);
    RETURN QUERY SELECT e.payload FROM usher.events AS e JOIN wash.bookings AS b ON b.id::text = e.payload ->> 'id'
        WHERE e.event = 'booking.reminder' AND b.service_name = 'Reminded wash' ORDER BY e.id;
END
$$;
SELECT count(*) AS too_early FROM booking_reminded.remind(24);
SELECT count(*) AS never FROM booking_reminded.remind(0);
SELECT r ->> 'id' = :'early' AS early, r ->> 'customer_user_id' = :'ann' AS ann, r ->> 'service_name' AS service, r ->> 'location_name' AS location,
    r ->> 'time_zone' AS zone, r ->> 'status' AS status FROM booking_reminded.remind(24 * 6) AS r;
SELECT count(*) AS once FROM booking_reminded.remind(24 * 6);
SELECT count(wash.reschedule_booking(:'early', date_trunc('day', now()) + interval '3 days 15 hours'));
SELECT count(*) AS again FROM booking_reminded.remind(24 * 6);
SELECT count(*) FILTER (WHERE task = 'booking_reminders_published') AS upkeep_does_it FROM usher.run_maintenance();
DROP SCHEMA booking_reminded CASCADE;

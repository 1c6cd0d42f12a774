-- A clinic in plain SQL: a practitioner with hours, a treatment of two sessions, a payment, and a calendar entry. Runs
-- in a database of its own, as a superuser (the people act through usher.authenticate() in an application; see
-- carwash.sql for that):
--
--     createdb clinic && psql -d clinic -f examples/clinic.sql
--
-- Each step checks what it got: the script stops at the first surprise.
\ir expect.sql
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA clinic;
CREATE EXTENSION usher_booking SCHEMA clinic CASCADE;
SELECT usher.apply_role_preset('clinic');
-- Bookings act on payments of whoever has declared that event: here the practice's own till. From then on nobody can
-- publish it without the rights of the owner of that schema.
CREATE SCHEMA till;
SELECT usher.register_extension('The till of the practice', 'till', 'till',
    declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}',
    publishes => '{payment.completed}');

-- Who is who
SELECT user_id AS doctor FROM usher.register_user('doctor@clinic.example', 'a doctor''s long password', 'Ada') \gset
SELECT user_id AS patient FROM usher.register_user('patient@clinic.example', 'a patient''s long password', 'Bob') \gset
SELECT usher.grant_role(:'doctor', 'staff');
SELECT usher.grant_role(:'patient', 'customer');

-- What and where: a therapy given in appointments, at a practice that is open on weekdays, with a lunch break of the
-- doctor
SELECT id AS therapy
FROM clinic.create_service('Physiotherapy', '45 minutes', 9000, 'EUR', buffer_after => '15 minutes',
    by_appointment => true, cancel_cutoff => '24 hours', hold_ttl => '2 days') \gset
SELECT id AS practice
FROM clinic.create_location('Practice', '1 Road', 'Kathmandu', 'BA', '44600', 'NP', 'Asia/Kathmandu') \gset
SELECT clinic.set_location_hours(:'practice', '{1,2,3,4,5,6,7}', '[["08:00", "18:00"]]');
SELECT clinic.set_location_services(:'practice', ARRAY[:'therapy'::uuid]);
SELECT clinic.assign_staff(:'practice', :'doctor', 'staff');
SELECT clinic.set_staff_hours(:'doctor', :'practice', '{1,2,3,4,5,6,7}', '[["09:00", "12:00"], ["13:00", "17:00"]]');

-- 10:00 local time in a week; why 12:15 would not do
SELECT ((now() AT TIME ZONE 'Asia/Kathmandu')::date + 7 + time '10:00') AT TIME ZONE 'Asia/Kathmandu' AS ten \gset
SELECT pg_temp.expect('what is wrong with lunch time', string_agg(rule, ', '), 'staff_hours')
FROM clinic.explain_slot(:'practice', :'therapy', :'ten'::timestamptz + interval '135 minutes', :'doctor', :'patient')
WHERE NOT ok;

-- The booking and its first appointment are made together; another session follows
SELECT booking_id AS booking FROM clinic.create_booking(:'patient', :'therapy', :'practice', :'ten', :'doctor') \gset
SELECT pg_temp.expect('first appointment', min(a.status) || ' at ' || min(a.local_start::time),
                      'scheduled at 10:00:00')
FROM clinic.list_appointments(customer_id => :'patient') AS a;
SELECT (clinic.schedule_appointment(
    :'booking', NULL, tstzrange(:'ten'::timestamptz + interval '7 days',
                                :'ten'::timestamptz + interval '7 days 45 minutes'))).appointment_id AS second \gset

-- Paid in full: the feature of payments publishes this, and the booking is confirmed
SELECT usher.publish('payment.completed', jsonb_build_object('reference_type', 'booking', 'reference_id', :'booking',
                                                             'transaction_id', 'p-1', 'captured_minor', 9000,
                                                             'refunded_minor', 0, 'currency', 'EUR',
                                                             'payment_method', 'card'));
SELECT pg_temp.expect('after the payment', status || ', paid by ' || payment_method, 'confirmed, paid by card')
FROM clinic.get_booking(:'booking');

-- For the patient's calendar: one entry for each session
SELECT pg_temp.expect('entries in the calendar',
                      (regexp_count(clinic.export_booking_ical(:'booking'), 'BEGIN:VEVENT'))::text, '2');

-- The first session takes place, the second is cancelled: that completes the booking
SELECT a.appointment_id AS first
FROM clinic.list_appointments(customer_id => :'patient') AS a ORDER BY a.start_at LIMIT 1 \gset
SELECT pg_temp.expect('when it begins', booking_status, 'in_progress')
FROM clinic.transition_appointment(:'first', 'in_progress');
SELECT pg_temp.expect('when it ends', booking_status, 'in_progress')
FROM clinic.transition_appointment(:'first', 'completed', notes => 'better');
SELECT pg_temp.expect('after the last', booking_status, 'completed')
FROM clinic.transition_appointment(:'second', 'cancelled', 'customer_request');
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;

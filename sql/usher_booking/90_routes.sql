-- The functions over HTTP. Access rights are decided inside the functions: who may do what depends on the booking.

-- Of one user; the DBA may define it anew.
SELECT usher.define_rate_limit('booking.create', 'token_bucket', 60, '1 minute');

DO $do$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/services', 'list_services(uuid,uuid,integer)', 'public', 200, true, 'Services on offer'),
        ('GET', '/locations', 'list_locations(uuid,integer)', 'public', 200, true, 'Locations, their hours and services'),
        ('GET', '/slots', 'find_slots(uuid,uuid,timestamptz,timestamptz,uuid,integer)', 'public', 200, true, 'Free slots'),
        ('POST', '/bookings', 'create_booking(uuid,uuid,uuid,timestamptz,uuid,text,jsonb,text,uuid,text,boolean)', 'authenticated', 201, false,
            'Book a service'),
        ('GET', '/bookings', 'list_bookings(uuid,uuid,uuid,text[],tstzrange,uuid,integer)', 'authenticated', 200, true,
            'Bookings that one may see'),
        ('GET', '/bookings/{booking_id}', 'get_booking(uuid)', 'authenticated', 200, true, 'One booking'),
        ('GET', '/bookings/{booking_id}.ics', 'export_booking_ical(uuid)', 'authenticated', 200, true, 'One booking as iCalendar'),
        ('GET', '/bookings/{booking_id}/history', 'get_booking_history(uuid,integer,integer)', 'authenticated', 200, true,
            'Every status a booking had'),
        ('POST', '/bookings/{booking_id}/confirm', 'confirm_booking(uuid,text,integer,text)', 'authenticated', 200, false,
            'Confirm a pending booking'),
        ('POST', '/bookings/{booking_id}/start', 'start_booking(uuid,text,integer,text)', 'authenticated', 200, false,
            'Begin work on a booking'),
        ('POST', '/bookings/{booking_id}/complete', 'complete_booking(uuid,text,integer,text)', 'authenticated', 200, false,
            'End work on a booking'),
        ('POST', '/bookings/{booking_id}/cancel', 'cancel_booking(uuid,text,text,integer,text)', 'authenticated', 200, false,
            'Cancel a booking'),
        ('POST', '/bookings/{booking_id}/reschedule', 'reschedule_booking(uuid,timestamptz,uuid,integer,text)', 'authenticated', 200,
            false, 'Move a booking, or give it to somebody else'),
        ('POST', '/bookings/{booking_id}/reassign', 'reassign_booking(uuid,uuid,integer)', 'authenticated', 200, false,
            'Give a booking to somebody else'),
        ('POST', '/bookings/series', 'create_booking_series(uuid,uuid,uuid,timestamptz[],uuid,text,text,jsonb,text,text)', 'authenticated',
            201, false, 'Book several times at once'),
        ('POST', '/bookings/swap', 'swap_bookings(uuid,uuid,integer,integer)', 'authenticated', 200, false, 'Exchange two bookings'),
        ('GET', '/slots/explain', 'explain_slot(uuid,uuid,timestamptz,uuid,uuid)', 'authenticated', 200, true,
            'Why a slot is free or not, rule by rule'),
        ('GET', '/appointments', 'list_appointments(uuid,uuid,tstzrange,text[],uuid,integer,uuid,uuid)', 'authenticated', 200, true,
            'Appointments that one may see'),
        ('POST', '/bookings/{booking_id}/appointments', 'schedule_appointment(uuid,uuid,tstzrange,text,text)', 'authenticated', 201, false,
            'A further session of a booking'),
        ('POST', '/appointments/{appointment_id}/transition', 'transition_appointment(uuid,text,text,text,integer)', 'authenticated', 200,
            false, 'Arrive, start, complete, cancel, no-show'),
        ('GET', '/customers', 'list_customers(text,uuid,integer)', 'authenticated', 200, true, 'Customers that one may see'),
        ('POST', '/customers', 'upsert_customer(uuid,text,text,text,jsonb,uuid)', 'authenticated', 200, false,
            'Create or change a customer profile'),
        ('POST', '/services', 'create_service(text,interval,bigint,text,text,interval,interval,interval,interval,interval,interval,interval,boolean,boolean,boolean,jsonb,uuid,interval,boolean,boolean,boolean,integer)',
            'authenticated', 201, false, 'Create a service'),
        ('PATCH', '/services/{service_id}', 'update_service(uuid,jsonb,integer)', 'authenticated', 200, false, 'Change a service'),
        ('PUT', '/services/{service_id}/active', 'set_service_active(uuid,boolean,integer)', 'authenticated', 200, false,
            'Offer a service or stop offering it'),
        ('POST', '/locations', 'create_location(text,text,text,text,text,text,text,numeric,numeric,text,text,integer,uuid)', 'authenticated',
            201, false, 'Create a location'),
        ('PATCH', '/locations/{location_id}', 'update_location(uuid,jsonb,integer)', 'authenticated', 200, false, 'Change a location'),
        ('PUT', '/locations/{location_id}/active', 'set_location_active(uuid,boolean,boolean,integer)', 'authenticated', 200, false,
            'Open or close a location'),
        ('PUT', '/locations/{location_id}/hours', 'set_location_hours(uuid,integer[],jsonb,daterange)', 'authenticated', 200, false,
            'Set weekly opening hours'),
        ('PUT', '/locations/{location_id}/exceptions/{local_date}', 'set_location_exception(uuid,date,jsonb,text)', 'authenticated', 200,
            false, 'Set the hours of one date'),
        ('PUT', '/locations/{location_id}/services', 'set_location_services(uuid,uuid[])', 'authenticated', 200, false,
            'Set the services of a location'),
        ('GET', '/locations/{location_id}/bookings-outside-hours', 'list_bookings_outside_hours(uuid,uuid,integer)', 'authenticated', 200,
            true, 'Bookings that the hours cover no more'),
        ('GET', '/locations/{location_id}/staff', 'list_staff(uuid,boolean,uuid,integer)', 'authenticated', 200, true,
            'Staff of a location'),
        ('POST', '/locations/{location_id}/staff', 'assign_staff(uuid,uuid,text,boolean)', 'authenticated', 201, false,
            'Assign somebody to a location'),
        ('DELETE', '/locations/{location_id}/staff/{staff_id}', 'unassign_staff(uuid,uuid)', 'authenticated', 200, false,
            'Take somebody off a location'),
        ('PUT', '/locations/{location_id}/staff/{staff_id}/hours', 'set_staff_hours(uuid,uuid,integer[],jsonb,daterange)', 'authenticated',
            200, false, 'Set weekly hours of a staff member'),
        ('PUT', '/staff/{staff_id}/skills', 'set_staff_skills(uuid,uuid[])', 'authenticated', 200, false,
            'Set the services that a staff member may give'),
        ('POST', '/staff/{staff_id}/time-off', 'add_staff_time_off(uuid,tstzrange,text)', 'authenticated', 201, false, 'Add time off'),
        ('DELETE', '/staff/time-off/{time_off_id}', 'remove_staff_time_off(uuid)', 'authenticated', 200, false, 'Take time off back')
        ) AS v (method, path, signature, access, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure, access => r.access, success_status => r.success_status,
            read_only => r.read_only, summary => r.summary, tag => 'booking',
            rate_limit => CASE WHEN r.method = 'POST' AND r.path IN ('/bookings', '/bookings/series') THEN 'booking.create' END);
    END LOOP;
END
$do$;

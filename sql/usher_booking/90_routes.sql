-- The functions over HTTP. Access rights are decided inside the functions: who may do what depends on the booking.
DO $do$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/services', 'list_services(uuid,uuid,integer)', 'public', 200, true, 'Services on offer'),
        ('GET', '/locations', 'list_locations(uuid,integer)', 'public', 200, true, 'Locations, their hours and services'),
        ('GET', '/slots', 'find_slots(uuid,uuid,timestamptz,timestamptz,uuid,integer)', 'public', 200, true, 'Free slots'),
        ('POST', '/bookings', 'create_booking(uuid,uuid,uuid,timestamptz,uuid,text,jsonb,text,uuid,text)', 'authenticated', 201, false,
            'Book a service'),
        ('GET', '/bookings', 'list_bookings(uuid,uuid,uuid,text[],tstzrange,uuid,integer)', 'authenticated', 200, true,
            'Bookings that one may see'),
        ('GET', '/bookings/{booking_id}', 'get_booking(uuid)', 'authenticated', 200, true, 'One booking'),
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
            false, 'Move a booking, or give it to somebody else')
        ) AS v (method, path, signature, access, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure, access => r.access, success_status => r.success_status,
            read_only => r.read_only, summary => r.summary, tag => 'booking');
    END LOOP;
END
$do$;

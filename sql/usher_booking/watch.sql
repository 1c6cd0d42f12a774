-- Core features on these tables: the machine on the status, audit, modification times.
DO $$
DECLARE
    relation text;
BEGIN
    PERFORM usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
        'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
        'version_column', 'version', 'event_prefix', 'booking',
        'payload_columns',
        jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'service_name', 'location_id', 'staff_id',
            'status',
            'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor', 'refund_percent',
            'completed_at', 'cancellation_reason', 'version')));
    PERFORM usher.attach_machine('appointment', '@extschema@.appointments'::regclass, 'status', jsonb_build_object(
        'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'notes',
        'version_column', 'version', 'event_prefix', 'appointment',
        'payload_columns', jsonb_build_array('booking_id', 'customer_id', 'location_id', 'practitioner_id', 'status',
                                             'start_at', 'end_at', 'cancellation_reason', 'version')));
    FOREACH relation IN ARRAY ARRAY['services', 'locations', 'location_hours', 'location_exceptions',
                                    'location_services', 'location_staff', 'staff_skills', 'staff_hours',
                                    'staff_time_off', 'customers', 'bookings', 'appointments'] LOOP
        PERFORM usher.enable_audit(format('@extschema@.%I', relation)::regclass);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['services', 'locations', 'location_staff', 'customers', 'bookings',
                                    'appointments'] LOOP
        PERFORM usher.enable_updated_at(format('@extschema@.%I', relation)::regclass);
    END LOOP;
END
$$;

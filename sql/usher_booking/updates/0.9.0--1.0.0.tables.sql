-- Events of bookings carry the name of the service, for the text of a message. The triggers of the status are made
-- again, for which the table of bookings is locked until the transaction ends.
--- end
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'service_name', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));

-- 0.9.0 publishes no reminders, and so keeps no account of them; its events of bookings do not carry the name of the
-- service. It takes nothing off a booking: what offers have granted goes. The table of bookings is locked until the
-- transaction ends.
-- Nor does it hear of what these events tell.
SELECT usher.unsubscribe(e, 'usher_booking')
FROM unnest(ARRAY['payment.refunded', 'payment.partially_refunded', 'refund.failed', 'refund.cancelled',
    'loyalty.redeeming', 'loyalty.discount_granted', 'loyalty.offer_released']) AS e;
--- end
ALTER EXTENSION usher_booking DROP TABLE @extschema@.booking_reminders;
DROP TABLE @extschema@.booking_reminders;
ALTER EXTENSION usher_booking DROP TABLE @extschema@.booking_discounts;
DROP TABLE @extschema@.booking_discounts;
ALTER TABLE @extschema@.bookings DROP COLUMN discount_minor, DROP COLUMN paid_minor;
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));

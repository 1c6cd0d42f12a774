-- Events of bookings carry the name of the service, for the text of a message. The triggers of the status are made
-- again, for which the table of bookings is locked until the transaction ends.
-- A booking keeps what offers take off its price and what payments for it have come to. Both begin at 0: one that is
-- paid already counts as paid in full until a payment says more. The check reads the table once.
ALTER TABLE @extschema@.bookings
    ADD COLUMN discount_minor bigint NOT NULL DEFAULT 0 CHECK (discount_minor BETWEEN 0 AND price_minor),
    ADD COLUMN paid_minor bigint NOT NULL DEFAULT 0;
--- end
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'service_name', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));
-- What a loop makes in the install script.
SELECT usher.subscribe(v.event, 'usher_booking', format('@extschema@.%s(text,jsonb)', v.handler)::regprocedure, 'sync')
FROM (VALUES ('payment.refunded', '_on_payment'), ('payment.partially_refunded', '_on_payment'),
    ('refund.failed', '_on_payment'), ('refund.cancelled', '_on_payment'),
    ('loyalty.redeeming', '_on_settling'), ('loyalty.discount_granted', '_on_booking_discount'),
    ('loyalty.offer_released', '_on_booking_offer_released')) AS v (event, handler);

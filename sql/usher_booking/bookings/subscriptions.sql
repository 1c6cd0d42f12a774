DO $$
DECLARE
    event text;
BEGIN
    FOREACH event IN ARRAY ARRAY['user.deleted', 'user.erased', 'user.deactivated', 'customer.erased'] LOOP
        PERFORM usher.subscribe(event, 'usher_booking', '@extschema@._on_user_gone(text,jsonb)'::regprocedure, 'sync');
    END LOOP;
    PERFORM usher.subscribe('user.role_changed', 'usher_booking',
                            '@extschema@._on_role_changed(text,jsonb)'::regprocedure, 'sync');
    PERFORM usher.subscribe('payment.completed', 'usher_booking',
                            '@extschema@._on_payment(text,jsonb)'::regprocedure, 'sync');
    FOREACH event IN ARRAY ARRAY['payment.refunded', 'payment.partially_refunded', 'refund.failed',
                                 'refund.cancelled'] LOOP
        PERFORM usher.subscribe(event, 'usher_booking', '@extschema@._on_payment(text,jsonb)'::regprocedure, 'sync');
    END LOOP;
    FOREACH event IN ARRAY ARRAY['payment.settling', 'loyalty.redeeming'] LOOP
        PERFORM usher.subscribe(event, 'usher_booking', '@extschema@._on_settling(text,jsonb)'::regprocedure, 'sync');
    END LOOP;
    PERFORM usher.subscribe('loyalty.discount_granted', 'usher_booking',
                            '@extschema@._on_booking_discount(text,jsonb)'::regprocedure, 'sync');
    PERFORM usher.subscribe('loyalty.offer_released', 'usher_booking',
                            '@extschema@._on_booking_offer_released(text,jsonb)'::regprocedure, 'sync');
END
$$;

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
    PERFORM usher.subscribe('payment.settling', 'usher_booking',
                            '@extschema@._on_settling(text,jsonb)'::regprocedure, 'sync');
END
$$;

DO $$
DECLARE
    s record;
BEGIN
    FOR s IN SELECT * FROM (VALUES
        ('payment.completed', '_on_order_payment'), ('payment.settling', '_on_order_settling'),
        ('loyalty.redeeming', '_on_order_settling'),
        ('user.deleted', '_on_shop_customer_gone'), ('user.erased', '_on_shop_customer_gone'),
        ('customer.erased', '_on_shop_customer_gone'), ('booking.customer_gone', '_on_shop_customer_gone'),
        ('payment.refunded', '_on_order_payment'), ('payment.partially_refunded', '_on_order_payment'),
        ('refund.requested', '_on_order_payment'),
        ('refund.failed', '_on_order_payment'), ('refund.cancelled', '_on_order_payment'),
        ('payment.disputed', '_on_order_payment'), ('payment.dispute_closed', '_on_order_payment'),
        ('loyalty.discount_granted', '_on_discount_granted'), ('loyalty.offer_released', '_on_offer_released'),
        ('booking.cancelled', '_on_booking_cancelled_orders'),
        ('booking.completed', '_on_booking_completed')) AS v (event, handler)
    LOOP
        PERFORM usher.subscribe(s.event, 'usher_shop',
                                format('@extschema@.%s(text,jsonb)', s.handler)::regprocedure, 'sync');
    END LOOP;
END
$$;

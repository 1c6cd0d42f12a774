SELECT usher.subscribe(v.event, 'usher_loyalty', '@extschema@._on_purchase(text,jsonb)', 'async')
FROM unnest('{booking.completed,payment.completed,payment.refunded,payment.partially_refunded,payment.disputed,
    payment.dispute_closed,order.completed,order.returned,order.cancelled}'::text[]) AS v (event);
SELECT usher.subscribe(v.event, 'usher_loyalty_referrals', '@extschema@._on_first_purchase(text,jsonb)', 'async')
FROM unnest('{booking.completed,payment.completed,order.completed}'::text[]) AS v (event);
SELECT usher.subscribe('loyalty.tier_changed', 'usher_loyalty', '@extschema@._on_tier_changed(text,jsonb)', 'async');
SELECT usher.subscribe('order.placing', 'usher_loyalty', '@extschema@._on_order_placing(text,jsonb)', 'sync');
SELECT usher.subscribe('booking.cancelled', 'usher_loyalty_offers',
                       '@extschema@._on_purchase_cancelled(text,jsonb)', 'async');
SELECT usher.subscribe(v.event, 'usher_loyalty_offers', '@extschema@._on_purchase_cancelled(text,jsonb)', 'async')
FROM unnest('{order.cancelled,order.abandoned}'::text[]) AS v (event);
SELECT usher.subscribe('user.deleted', 'usher_loyalty', '@extschema@._on_loyalty_customer_gone(text,jsonb)', 'sync');
SELECT usher.subscribe('user.erased', 'usher_loyalty', '@extschema@._on_loyalty_customer_gone(text,jsonb)', 'sync');
SELECT usher.subscribe(v.event, 'usher_loyalty', '@extschema@._on_loyalty_customer_gone(text,jsonb)', 'sync')
FROM unnest('{customer.erased,booking.customer_gone}'::text[]) AS v (event);

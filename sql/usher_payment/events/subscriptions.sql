SELECT usher.subscribe('booking.created', 'usher_payment', '@extschema@._on_booking_created(text,jsonb)', 'sync');
SELECT usher.subscribe('booking.cancelled', 'usher_payment', '@extschema@._on_booking_cancelled(text,jsonb)', 'sync');
SELECT usher.subscribe('booking.total_changed', 'usher_payment', '@extschema@._on_booking_changed(text,jsonb)',
                       'sync');
SELECT usher.subscribe('booking.refund_proposed', 'usher_payment', '@extschema@._on_refund_proposed(text,jsonb)',
                       'sync');
SELECT usher.subscribe('order.placed', 'usher_payment', '@extschema@._on_order_placed(text,jsonb)', 'sync');
SELECT usher.subscribe('order.total_changed', 'usher_payment', '@extschema@._on_order_changed(text,jsonb)', 'sync');
SELECT usher.subscribe('order.paid', 'usher_payment', '@extschema@._on_order_changed(text,jsonb)', 'sync');
SELECT usher.subscribe('order.cancelled', 'usher_payment', '@extschema@._on_order_cancelled(text,jsonb)', 'sync');
SELECT usher.subscribe('order.refund_proposed', 'usher_payment', '@extschema@._on_order_refund(text,jsonb)', 'sync');
SELECT usher.subscribe('user.deleted', 'usher_payment', '@extschema@._on_payer_gone(text,jsonb)', 'sync');
SELECT usher.subscribe('user.erased', 'usher_payment', '@extschema@._on_payer_gone(text,jsonb)', 'sync');
SELECT usher.subscribe('customer.erased', 'usher_payment', '@extschema@._on_payer_gone(text,jsonb)', 'sync');
SELECT usher.subscribe('booking.customer_gone', 'usher_payment', '@extschema@._on_payer_gone(text,jsonb)', 'sync');

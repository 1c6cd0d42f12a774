-- 0.9.0 does not tell recorded money from that of payments, and knows of no refund that did not succeed: what is known
-- of both goes with the columns, and paid_minor has the sum.
-- Nor does it hear of what these events tell.
SELECT usher.unsubscribe(e, 'usher_shop')
FROM unnest('{refund.requested,refund.failed,refund.cancelled,payment.disputed,payment.dispute_closed}'::text[]) AS e;
--- end
ALTER TABLE @extschema@.orders
    DROP COLUMN recorded_minor, DROP COLUMN handed_back_minor, DROP COLUMN kept_minor, DROP COLUMN asked_minor;
SELECT usher.add_route(method => 'POST', path_template => v.path,
    function => format('@extschema@.%s', v.signature)::regprocedure, access => 'authenticated',
    permission => v.permission, success_status => v.success_status, summary => v.summary, tag => 'shop',
    rate_limit => CASE WHEN v.path LIKE '/orders%' THEN 'shop.order' END)
FROM (VALUES
    ('/orders/{order_id}/events', 'add_order_event(uuid,text,jsonb)', 'order:manage', 201,
     'Write something down about an order'),
    ('/orders/{order_id}/return', 'return_order(uuid,jsonb,text)', 'order:fulfil', 200, 'Lines came back'),
    ('/tax-rates', 'set_tax_rate(text,integer,timestamptz,uuid)', 'product:manage', 201,
     'Set a tax rate from a time on')) AS v (path, signature, permission, success_status, summary);

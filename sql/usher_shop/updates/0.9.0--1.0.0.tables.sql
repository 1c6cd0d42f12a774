-- An order keeps money that was recorded by hand apart from what payments come to, so that neither overwrites the
-- other; what of it is handed back; what a refund did not give back; and what whoever takes payments was last told to
-- ask for. Of orders of before nothing was recorded, as far as anybody knows: paid_minor stays as it is until a
-- payment says more. The columns have constant defaults; their checks read the table once, while it is locked.
ALTER TABLE @extschema@.orders
    ADD COLUMN recorded_minor bigint NOT NULL DEFAULT 0 CHECK (recorded_minor >= 0),
    ADD COLUMN handed_back_minor bigint NOT NULL DEFAULT 0 CHECK (handed_back_minor >= 0),
    ADD COLUMN kept_minor bigint NOT NULL DEFAULT 0 CHECK (kept_minor >= 0),
    ADD COLUMN asked_minor bigint CHECK (asked_minor >= 0);
--- end
-- What a loop makes in the install script.
SELECT usher.subscribe(v.event, 'usher_shop', format('@extschema@.%s(text,jsonb)', v.handler)::regprocedure, 'sync')
FROM (VALUES ('refund.requested', '_on_order_payment'), ('refund.failed', '_on_order_payment'),
    ('refund.cancelled', '_on_order_payment'), ('payment.disputed', '_on_order_payment'),
    ('payment.dispute_closed', '_on_order_payment')) AS v (event, handler);
SELECT usher.add_route(method => 'POST', path_template => v.path,
    function => format('@extschema@.%s', v.signature)::regprocedure, access => 'authenticated',
    permission => v.permission, success_status => v.success_status, summary => v.summary, tag => 'shop',
    rate_limit => CASE WHEN v.path LIKE '/orders%' THEN 'shop.order' END)
FROM (VALUES
    ('/orders/{order_id}/events', 'add_order_event(uuid,text,jsonb,text)', 'order:manage', 201,
     'Write something down about an order'),
    ('/orders/{order_id}/return', 'return_order(uuid,jsonb,text,integer)', 'order:fulfil', 200, 'Lines came back'),
    ('/tax-rates', 'set_tax_rate(text,integer,timestamptz,uuid)', 'product:manage', 204,
     'Set a tax rate from a time on')) AS v (path, signature, permission, success_status, summary);

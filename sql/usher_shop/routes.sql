-- The functions over HTTP. Access rights are decided inside the functions: who may do what depends on the location.
-- The permission here is what an API key must have been given. What is for sale anybody may see.

-- Of one address; the DBA may define it anew.
SELECT usher.define_rate_limit('shop.search', 'token_bucket', 600, '1 minute');
-- Of one user.
SELECT usher.define_rate_limit('shop.order', 'token_bucket', 120, '1 minute');

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/products', 'search_products(text,text,jsonb,uuid,text,text,uuid,integer,uuid)', NULL, 200, true,
         'Products by words, category and attributes'),
        ('GET', '/products/{product_id}', 'get_product(uuid,text,uuid)', NULL, 200, true,
         'One product with its price'),
        ('GET', '/product-availability', 'list_availability(uuid[],uuid)', NULL, 200, true,
         'Whether products can be had'),
        ('POST', '/products',
         'create_product(text,text,text,bigint,text,text,boolean,bigint,jsonb,text,text,text,boolean,uuid,text,uuid)',
         'product:manage', 201, false, 'Add a product'),
        ('PATCH', '/products/{product_id}', 'update_product(uuid,jsonb,integer)', 'product:manage', 200, false,
         'Change a product'),
        ('POST', '/products/{product_id}/status', 'set_product_status(uuid,text,integer)', 'product:manage', 200,
         false, 'Put a product up for sale, or take it off'),
        ('GET', '/products/{product_id}/prices', 'list_prices(uuid)', 'product:manage', 200, true,
         'The price list of a product'),
        ('POST', '/products/{product_id}/prices', 'set_price(uuid,bigint,text,timestamptz,boolean,uuid)',
         'product:manage', 201, false, 'Set a price from a time on'),
        ('DELETE', '/products/{product_id}/prices', 'remove_future_price(uuid,text,timestamptz,uuid)',
         'product:manage', 200, false, 'Take back a price that is not in force yet'),
        ('GET', '/tax-rates', 'list_tax_rates()', 'product:manage', 200, true, 'Tax rates of all classes'),
        ('POST', '/tax-rates', 'set_tax_rate(text,integer,timestamptz,uuid)', 'product:manage', 204, false,
         'Set a tax rate from a time on'),
        ('GET', '/stock', 'get_stock_level(uuid[],uuid)', 'stock:read', 200, true, 'What is on hand and reserved'),
        ('GET', '/stock/log', 'list_inventory_log(uuid,uuid,tstzrange,uuid,integer)', 'stock:read', 200, true,
         'Movements of a product at a location'),
        ('POST', '/stock/receive', 'receive_stock(uuid,uuid,bigint,bigint,text,uuid,text)', 'stock:manage', 201,
         false, 'Goods have come'),
        ('POST', '/stock/adjust', 'adjust_stock(uuid,uuid,bigint,text,text)', 'stock:manage', 201, false,
         'Goods were found or lost'),
        ('POST', '/stock/transfer', 'transfer_stock(uuid,uuid,uuid,bigint,text)', 'stock:manage', 201, false,
         'Goods go to another location'),
        ('POST', '/stock/limits', 'set_stock_limits(uuid,uuid,bigint,bigint)', 'stock:manage', 200, false,
         'When stock is low, and how much may be promised'),
        ('POST', '/stock/reservations', 'reserve_stock(jsonb,text,uuid,interval,text)', 'stock:reserve', 201, false,
         'Reserve stock'),
        ('POST', '/stock/reservations/{reservation_id}/commit', 'commit_stock(uuid,bigint,text)', 'stock:manage',
         200, false, 'What was reserved leaves'),
        ('POST', '/stock/reservations/{reservation_id}/release', 'release_stock(uuid,bigint,text)', 'stock:reserve',
         200, false, 'What was reserved is free'),
        ('POST', '/stock/reservations/{reservation_id}/return', 'return_stock(uuid,bigint,text)', 'stock:manage',
         200, false, 'What had left came back'),
        ('POST', '/stock/reservations/{reservation_id}/recall', 'recall_stock(uuid,bigint,text)', 'stock:manage',
         200, false, 'What had left did not leave'),
        ('POST', '/stock/counts', 'start_stock_count(uuid)', 'stock:manage', 201, false, 'Begin to count'),
        ('POST', '/stock/counts/{count_id}/lines', 'record_count(uuid,uuid,bigint)', 'stock:manage', 200, false,
         'So much was counted'),
        ('POST', '/stock/counts/{count_id}/finish', 'finish_stock_count(uuid)', 'stock:manage', 200, false,
         'Book the differences'),
        ('POST', '/stock/counts/{count_id}/cancel', 'cancel_stock_count(uuid)', 'stock:manage', 200, false,
         'Give a count up'),
        ('POST', '/orders', 'create_order(uuid,jsonb,uuid,text,jsonb,text,text,uuid,uuid,text)', 'order:manage', 201,
         false, 'Begin a cart'),
        ('GET', '/orders', 'list_orders(uuid,uuid,text[],tstzrange,text,uuid,uuid,integer)', 'order:read', 200, true,
         'Orders that one may see'),
        ('GET', '/orders/{order_id}', 'get_order(uuid)', 'order:read', 200, true, 'One order with its lines'),
        ('GET', '/orders/{order_id}/events', 'list_order_events(uuid,integer,integer)', 'order:read', 200, true,
         'What happened to an order'),
        ('POST', '/orders/{order_id}/events', 'add_order_event(uuid,text,jsonb,text)', 'order:manage', 201, false,
         'Write something down about an order'),
        ('POST', '/orders/{order_id}/lines', 'set_order_line(uuid,bigint,uuid,integer,integer)', 'order:manage', 200,
         false, 'Change a cart'),
        ('POST', '/orders/{order_id}/discounts', 'discount_order_line(uuid,integer,bigint,text)', 'order:discount',
         200, false, 'Take something off a line'),
        ('POST', '/orders/{order_id}/preview', 'preview_order(uuid)', 'order:manage', 200, false,
         'What a cart would cost if it were placed now'),
        ('POST', '/orders/{order_id}/place', 'place_order(uuid,bigint,integer,text)', 'order:manage', 200, false,
         'Order a cart'),
        ('POST', '/orders/{order_id}/payments', 'record_order_payment(uuid,bigint,text)', 'order:manage', 200, false,
         'Money that no extension knows of'),
        ('POST', '/orders/{order_id}/fulfil', 'fulfil_order(uuid,jsonb,integer)', 'order:fulfil', 200, false,
         'Lines are sent'),
        ('POST', '/orders/{order_id}/recall', 'recall_order(uuid,jsonb,integer)', 'order:fulfil', 200, false,
         'Lines were not sent after all'),
        ('POST', '/orders/{order_id}/cancel', 'cancel_order(uuid,text,jsonb,integer)', 'order:manage', 200, false,
         'Give up what was not sent'),
        ('POST', '/orders/{order_id}/return', 'return_order(uuid,jsonb,text,integer)', 'order:fulfil', 200, false,
         'Lines came back'),
        ('POST', '/orders/{order_id}/complete', 'complete_order(uuid,integer)', 'order:fulfil', 200, false,
         'An order is over'),
        ('POST', '/service-materials', 'set_service_materials(uuid,jsonb)', 'product:manage', 200, false,
         'What a service uses up')
        ) AS v (method, path, signature, permission, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure,
            access => CASE WHEN r.permission IS NULL THEN 'public' ELSE 'authenticated' END,
            permission => r.permission, success_status => r.success_status, read_only => r.read_only,
            summary => r.summary, tag => 'shop',
            rate_limit => CASE WHEN r.permission IS NULL THEN 'shop.search'
                               WHEN r.path LIKE '/orders%' AND r.method = 'POST' THEN 'shop.order' END);
    END LOOP;
END
$$;

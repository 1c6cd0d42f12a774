-- A shop on usher_shop and usher_payment, in plain SQL: products, stock that is never promised twice, orders and their
-- payments, which know each other by events only. Runs in a database of its own, as a superuser; the people act as the
-- database role shop_app:
--
--     createdb shop && psql -d shop -f examples/shop.sql
--
-- Each step checks what it got: the script stops at the first surprise.
\ir expect.sql
CREATE EXTENSION usher CASCADE;
CREATE SCHEMA shop;
CREATE EXTENSION usher_payment SCHEMA shop;
CREATE EXTENSION usher_shop SCHEMA shop;
SELECT usher.apply_role_preset('shop'), usher.apply_role_preset('payments') \gset

-- ---- the application -----------------------------------------------------------------------------------------------

DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_app') THEN CREATE ROLE shop_app; END IF; END $$;
SELECT usher.grant_access('shop_app', 'application');
-- After the commit, by whoever packs
SELECT usher.subscribe('order.paid', 'warehouse', mode => 'async');
SELECT usher.subscribe('stock.low', 'purchasing', mode => 'async');
-- The tenth part of soap for everybody, while it is being ordered
CREATE FUNCTION shop.soap_week(event text, payload jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE shop.order_lines AS l
    SET discount_minor = l.unit_price_minor * l.quantity / 10, discount_reason = 'soap_week'
    WHERE l.order_id = (payload ->> 'id')::uuid AND l.sku = 'soap';
END
$$;
SELECT usher.subscribe('order.placing', 'soap_week', 'shop.soap_week(text,jsonb)');

SELECT pg_temp.person('max@shop.example', 'Max', 'shop_manager') AS max,
       pg_temp.person('kay@shop.example', 'Kay', 'shop_clerk') AS kay,
       pg_temp.person('cy@shop.example', 'Cy') AS cy, pg_temp.person('dan@shop.example', 'Dan') AS dan,
       usher.uuid_v7() AS here \gset
SELECT usher.grant_role(:'kay', 'cashier') \gset
SELECT usher.issue_token(:'max') AS max_token, usher.issue_token(:'kay') AS kay_token,
       usher.issue_token(:'cy') AS cy_token, usher.issue_token(:'dan') AS dan_token \gset
SET ROLE shop_app;

-- ---- what happens in it --------------------------------------------------------------------------------------------

\echo '--- products, prices, and what is there of them'
BEGIN;
SELECT usher.authenticate(:'max_token') AS me \gset
SELECT shop.set_tax_rate('standard', 190000) \gset
SELECT product_id AS soap FROM shop.create_product('soap', 'Soap', price_minor => 500, tax_class => 'standard',
    attributes => '{"scent": "lemon"}', status => 'active') \gset
SELECT product_id AS cream FROM shop.create_product('cream', 'Cream', price_minor => 1250, tax_class => 'standard',
    status => 'active') \gset
SELECT pg_temp.expect('soap', available::text, '3') FROM shop.receive_stock(:'soap', :'here', 3, 200);
SELECT pg_temp.expect('cream', available::text, '10') FROM shop.receive_stock(:'cream', :'here', 10, 400);
SELECT low_threshold FROM shop.set_stock_limits(:'soap', :'here', 1) \gset
COMMIT;
SELECT pg_temp.expect('what nobody in particular finds', string_agg(sku, ', '), 'soap')
FROM shop.search_products(attributes => '{"scent": "lemon"}');

\echo '--- ordered by a customer, who neither sets prices nor calls it paid'
BEGIN;
SELECT usher.authenticate(:'cy_token') AS me \gset
SELECT order_id AS first, total_minor FROM shop.create_order(:'here', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 2),
    jsonb_build_object('product_id', :'cream', 'quantity', 1))) \gset
SELECT pg_temp.expect('a total of their own', pg_temp.refusal(
    format('UPDATE shop.orders SET total_minor = 1 WHERE id = %L', :'first')), '42501');
SELECT pg_temp.expect('a discount of their own', pg_temp.refusal(
    format('SELECT shop.discount_order_line(%L, 1, 100, ''please'')', :'first')), '42501');
SELECT pg_temp.expect('what they are asked to agree to', total_minor::text, '2150') FROM shop.preview_order(:'first');
SELECT pg_temp.expect('placed', status || ' ' || total_minor, 'placed 2150')
FROM shop.place_order(:'first', expected_total_minor => 2150);
SELECT pg_temp.expect('paid by saying so', pg_temp.refusal(
    format('SELECT shop.record_order_payment(%L, 2150)', :'first')), '42501');
COMMIT;

\echo '--- the last ones are gone for others, and orders are nobody else''s business'
BEGIN;
SELECT usher.authenticate(:'dan_token') AS me \gset
SELECT order_id AS second FROM shop.create_order(:'here', jsonb_build_array(
    jsonb_build_object('product_id', :'soap', 'quantity', 2))) \gset
SELECT pg_temp.expect('more soap than is left', pg_temp.refusal(
    format('SELECT shop.place_order(%L)', :'second')), 'UC001');
SELECT pg_temp.expect('an order of somebody else', pg_temp.refusal(
    format('SELECT shop.cancel_order(%L)', :'first')), 'US005');
SELECT pg_temp.expect('orders that they see', count(*)::text, '1') FROM shop.list_orders();
COMMIT;

\echo '--- paid at the till, sent in two parcels, one thing comes back'
BEGIN;
SELECT usher.authenticate(:'kay_token') AS me \gset
SELECT pg_temp.expect('the payment', p.status, 'completed')
FROM shop.list_payments(reference_type => 'order', reference_id => :'first') AS o,
    LATERAL shop.record_manual_payment(o.transaction_id, 'cash') AS p;
SELECT pg_temp.expect('the order', status, 'paid') FROM shop.get_order(:'first');
SELECT pg_temp.expect('one parcel', status, 'paid')
FROM shop.fulfil_order(:'first', '[{"line_no": 1, "quantity": 1}]');
SELECT pg_temp.expect('the other', status, 'fulfilled') FROM shop.fulfil_order(:'first');
SELECT pg_temp.expect('cancelling it now', pg_temp.refusal(
    format('SELECT shop.cancel_order(%L)', :'first')), 'US001');
SELECT pg_temp.expect('what it costs without one soap', total_minor::text, '1700')
FROM shop.return_order(:'first', '[{"line_no": 1, "quantity": 1}]', 'broken');
SELECT pg_temp.expect('what goes back', r.status || ' ' || r.amount_minor, 'pending 450')
FROM shop.list_payments(reference_type => 'order', reference_id => :'first') AS o,
    LATERAL shop.list_refunds(o.transaction_id) AS r;
SELECT pg_temp.expect('soap that is there', available::text, '2')
FROM shop.get_stock_level(ARRAY[:'soap'::uuid], :'here');
COMMIT;

\echo '--- everything is on record'
RESET ROLE;
SELECT pg_temp.expect('the way of the order', string_agg(to_status, ', ' ORDER BY seq),
                      'cart, placed, paid, fulfilled')
FROM shop.list_order_events(:'first');
SELECT pg_temp.expect('the way of the soap', string_agg(movement, ', ' ORDER BY log_id),
                      'purchase, reserve, sale, return')
FROM shop.list_inventory_log(:'soap', :'here');
SELECT pg_temp.expect('what the warehouse gets', string_agg(payload ->> 'total_minor', ', '), '2150')
FROM usher.claim_events('warehouse', 10);
SELECT pg_temp.expect('what is to be bought', string_agg(payload ->> 'available', ', '), '1')
FROM usher.claim_events('purchasing', 10);
SELECT pg_temp.expect('what made the order paid', c.event, 'payment.completed')
FROM usher.events e JOIN usher.events c ON c.id = e.causation_id WHERE e.event = 'order.paid';
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'

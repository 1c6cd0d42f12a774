-- What a shop and a club do, on the car wash of an example, between the restart with a new library and ALTER EXTENSION … UPDATE: with the
-- scripts of the version that is kept beside this file, so only with what that has. test/t/all_upgrade.pl runs it. What one thing does to
-- another is checked where that could go wrong unseen: nothing that loyalty does hinders an order.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA rolling;
CREATE FUNCTION rolling.expect(what text, got text, wanted text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF got IS DISTINCT FROM wanted THEN RAISE '%: % instead of %', what, coalesce(got, 'NULL'), wanted; END IF;
END
$$;
CREATE FUNCTION rolling.order_of(customer uuid, quantity integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (wash.create_order('01900000-0000-7000-8000-000000000001', jsonb_build_array(jsonb_build_object('product_id', p.id, 'quantity', quantity)), customer, 'USD')).order_id
    FROM wash.products AS p WHERE p.sku = 'wax'
$$;
CREATE FUNCTION rolling.stands(of_order uuid) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s of %s, %s back', o.status, o.paid_minor, o.total_minor, o.refunded_minor) FROM wash.orders AS o WHERE o.id = of_order
$$;
CREATE FUNCTION rolling.payment_of(reference uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT t.id FROM wash.payment_transactions AS t WHERE t.reference_id = reference ORDER BY t.created_at DESC, t.id DESC LIMIT 1
$$;
CREATE FUNCTION rolling.pay(reference uuid, theirs text) RETURNS text LANGUAGE sql AS $$
    SELECT (wash.record_payment_result((wash.begin_payment_attempt(rolling.payment_of(reference), 'cards')).attempt_id, 'succeeded', theirs)).status
$$;
CREATE FUNCTION rolling.refund_of(reference uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT r.id FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id
    WHERE t.reference_id = reference AND r.status IN ('pending', 'processing') ORDER BY r.created_at DESC, r.id DESC LIMIT 1
$$;
-- what others hear of, as the background worker lets them
CREATE FUNCTION rolling.deliver() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    total integer := 0;
    done record;
BEGIN
    LOOP
        SELECT * INTO done FROM usher.run_event_handlers(1000);
        IF done.failed > 0 THEN RETURN done.failed || ' failed'; END IF;
        EXIT WHEN done.handled = 0;
        total := total + done.handled;
    END LOOP;
    RETURN CASE WHEN total > 0 THEN 'handled' ELSE 'nothing' END;
END
$$;
CREATE FUNCTION rolling.points(customer uuid) RETURNS text LANGUAGE sql AS $$ SELECT (wash.get_points_balance(customer)).balance::text $$;
CREATE TABLE rolling.heard (event text, payload jsonb);
CREATE FUNCTION rolling.hear(event text, payload jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO rolling.heard VALUES (event, payload) $$;
SELECT usher.subscribe('order.paid', 'rolling', 'rolling.hear(text,jsonb)', 'sync');
SELECT usher.subscribe('order.refund_proposed', 'rolling', 'rolling.hear(text,jsonb)', 'async');

SELECT usher.apply_role_preset(p) FROM unnest('{shop,loyalty}'::text[]) AS p;
SELECT user_id AS ann FROM usher.import_user('ann@rolling.example', first_name => 'Ann') \gset
SELECT user_id AS bob FROM usher.import_user('bob@rolling.example', first_name => 'Bob') \gset
SELECT product_id AS wax FROM wash.create_product('wax', 'Wax', price_minor => 1000, currency => 'USD', track_stock => true, status => 'active') \gset
SELECT available FROM wash.receive_stock(:'wax', '01900000-0000-7000-8000-000000000001', 100);
SELECT rule_version FROM wash.create_earning_rule('{"code": "of_orders", "event": "order.completed", "points": "floor(r.amount_minor / 100)", "valid_from": "2026-01-01T00:00:00Z"}');
SELECT rule_version FROM wash.create_earning_rule('{"code": "of_bookings", "event": "booking.completed", "points": "floor(r.amount_minor / 100)", "valid_from": "2026-01-01T00:00:00Z"}');
SELECT rule_version FROM wash.create_earning_rule('{"code": "of_payments", "event": "payment.completed", "points": "floor(r.amount_minor / 1000)", "valid_from": "2026-01-01T00:00:00Z"}');
SELECT status FROM wash.set_offer_status((wash.create_offer('{"title": "tenth", "kind": "percent", "percent": 10, "hours": "[0,24)", "valid_from": "2026-01-01T00:00:00Z", "is_stackable": true}')).offer_id, 'active');
SELECT (wash.create_offer('{"title": "two off", "kind": "amount", "amount_minor": 200, "currency": "USD", "valid_from": "2026-01-01T00:00:00Z", "needs_voucher": true, "is_stackable": true}')).offer_id AS voucher_offer \gset
SELECT status FROM wash.set_offer_status(:'voucher_offer', 'active');
SELECT code AS voucher FROM wash.create_vouchers(:'voucher_offer') \gset
SELECT rolling.deliver();

-- An order: a cart with a voucher, an offer that is given when it is placed, paid by card, sent, a part returned
SELECT rolling.order_of(:'ann', 10) AS o \gset
SELECT rolling.expect('a voucher for a cart', discount_minor::text, '200') FROM wash.redeem_offer('order', :'o', customer_id => :'ann', amount_minor => 10000, context => '{"currency": "USD"}', voucher_code => :'voucher');
SELECT rolling.expect('a cart', rolling.stands(:'o'), 'cart: 0 of 9800, 0 back');
SELECT rolling.expect('what it would cost', total_minor::text, '8800') FROM wash.preview_order(:'o');
SELECT rolling.expect('an order', status, 'placed') FROM wash.place_order(:'o', 8800);
SELECT rolling.expect('offers that fail', count(*)::text, '0') FROM usher.audit_logs WHERE event_type = 'loyalty.offers_failed';
SELECT rolling.expect('paid by card', rolling.pay(:'o', 'ch_1'), 'completed');
SELECT rolling.expect('an order that is paid', rolling.stands(:'o'), 'paid: 8800 of 8800, 0 back');
SELECT status FROM wash.fulfil_order(:'o');
SELECT rolling.expect('an order that is over', status, 'completed') FROM wash.complete_order(:'o');
SELECT rolling.deliver();
SELECT rolling.expect('points of an order and its payment', rolling.points(:'ann'), '96');
SELECT status FROM wash.return_order(:'o', '[{"line_no": 1, "quantity": 5}]');
SELECT rolling.expect('what goes back', rolling.stands(:'o'), 'completed: 4400 of 4400, 4400 back');
SELECT rolling.expect('its refund', status, 'succeeded') FROM wash.record_refund_result(rolling.refund_of(:'o'), 'succeeded', 're_1');
SELECT rolling.deliver();
SELECT rolling.expect('what goes back, still', rolling.stands(:'o'), 'completed: 4400 of 4400, 4400 back');
SELECT rolling.expect('points that were taken back', rolling.points(:'ann'), '48');

-- A cart that is given up, an order that is cancelled with a refund, one that is cancelled in parts, and money by hand
SELECT rolling.order_of(:'bob', 1) AS o \gset
SELECT rolling.expect('no cart any more', status, 'cancelled') FROM wash.cancel_order(:'o');
SELECT rolling.order_of(:'bob', 2) AS o \gset
SELECT status FROM wash.place_order(:'o');
SELECT rolling.pay(:'o', 'ch_2');
SELECT rolling.expect('no order any more', status, 'cancelled') FROM wash.cancel_order(:'o');
SELECT rolling.expect('all of it goes back', rolling.stands(:'o'), 'cancelled: 0 of 0, 1800 back');
SELECT rolling.expect('a refund that fails', status, 'failed') FROM wash.record_refund_result(rolling.refund_of(:'o'), 'declined', 're_2');
SELECT wash.create_refund(rolling.payment_of(:'o'));
SELECT rolling.expect('another one', status, 'succeeded') FROM wash.record_refund_result(rolling.refund_of(:'o'), 'succeeded', 're_3');
SELECT rolling.expect('all of it went back', rolling.stands(:'o'), 'cancelled: 0 of 0, 1800 back');
SELECT rolling.order_of(:'bob', 4) AS o \gset
SELECT status FROM wash.place_order(:'o');
SELECT status FROM wash.cancel_order(:'o', lines => '[{"line_no": 1, "quantity": 1}]');
SELECT rolling.expect('another sum is asked for', string_agg(t.amount_minor || ' ' || t.status, ', ' ORDER BY t.created_at, t.id), '3600 failed, 2700 pending') FROM wash.payment_transactions AS t WHERE t.reference_id = :'o';
SELECT rolling.expect('cash', status, 'completed') FROM wash.record_manual_payment(rolling.payment_of(:'o'), 'cash');
SELECT rolling.expect('paid with cash', rolling.stands(:'o'), 'paid: 2700 of 2700, 0 back');
SELECT rolling.order_of(:'bob', 1) AS o \gset
SELECT status FROM wash.place_order(:'o');
SELECT status FROM wash.record_order_payment(:'o', 400);
SELECT status FROM wash.record_order_payment(:'o', 600);
SELECT rolling.expect('what is too much goes back', rolling.stands(:'o'), 'paid: 900 of 900, 100 back');
SELECT rolling.deliver();

-- A referral, a booking that is paid and earns, then a dispute and refunds that a processor tells of
SELECT wash.define_referral_program(100, 50);
SELECT user_id AS eve FROM usher.import_user('eve@rolling.example', first_name => 'Eve') \gset
SELECT status FROM wash.create_referral(wash.get_referral_code(:'ann'), :'eve');
SELECT (wash.create_booking(:'eve', '01900000-0000-7000-8000-000000000013', '01900000-0000-7000-8000-000000000001', date_trunc('day', now()) + '9 days 15 hours')).booking_id AS b \gset
SELECT rolling.expect('paid in advance', rolling.pay(:'b', 'ch_3'), 'completed');
SELECT rolling.expect('a booking that is paid', status || coalesce(' ' || payment_method, ''), 'confirmed card') FROM wash.bookings WHERE id = :'b';
SELECT rolling.deliver();
SELECT rolling.expect('the money of a payment, a welcome', rolling.points(:'eve'), '62');
SELECT rolling.expect('a dispute', effect, 'applied') FROM wash.ingest_webhook('cards', 'evt_1', 'dispute.opened', now(), '{"transaction_id": "ch_3", "dispute_id": "dp_1", "amount_minor": 4000, "currency": "USD"}');
SELECT rolling.deliver();
SELECT rolling.expect('a dispute that was won', effect, 'applied') FROM wash.ingest_webhook('cards', 'evt_2', 'dispute.won', now(), '{"transaction_id": "ch_3", "dispute_id": "dp_1", "amount_minor": 4000, "currency": "USD"}');
SELECT rolling.expect('a refund at the processor', effect, 'applied') FROM wash.ingest_webhook('cards', 'evt_3', 'refund.succeeded', now(), '{"transaction_id": "ch_3", "refund_id": "re_9", "amount_minor": 6000, "currency": "USD"}');
SELECT rolling.expect('an event that comes too early', effect, 'unmatched') FROM wash.ingest_webhook('cards', 'evt_4', 'refund.succeeded', now(), '{"transaction_id": "ch_9", "refund_id": "re_10", "amount_minor": 100, "currency": "USD"}');
SELECT rolling.deliver();
SELECT rolling.expect('a booking of which a part went back', status, 'confirmed') FROM wash.bookings WHERE id = :'b';
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT rolling.expect('the rest', status, 'succeeded') FROM wash.record_refund_result(rolling.refund_of(:'b'), 'succeeded', 're_11');
SELECT (wash.create_payment(:'bob', 5000, 'USD')).transaction_id AS p \gset
SELECT rolling.expect('declined', status, 'failed') FROM wash.record_payment_result((wash.begin_payment_attempt(:'p', 'cards')).attempt_id, 'declined');
SELECT rolling.expect('a payment of nothing', status, 'completed') FROM wash.record_payment_result((wash.begin_payment_attempt(:'p', 'cards')).attempt_id, 'succeeded', 'ch_9');
SELECT rolling.expect('… and what came too early', refunded_minor::text, '100') FROM wash.payment_transactions WHERE id = :'p';
SELECT rolling.deliver();

-- What comes twice, and what changes meanwhile
SELECT rolling.order_of(:'bob', 4) AS o \gset
SELECT status FROM wash.place_order(:'o');
SELECT attempt_id AS first FROM wash.begin_payment_attempt(rolling.payment_of(:'o'), 'cards') \gset
SELECT status FROM wash.cancel_order(:'o', lines => '[{"line_no": 1, "quantity": 1}]');
SELECT status FROM wash.record_payment_result(:'first', 'unknown');
SELECT rolling.expect('too much by card', status, 'completed') FROM wash.record_payment_result(:'first', 'succeeded', 'ch_20');
SELECT rolling.expect('… of which a part goes back', rolling.stands(:'o'), 'paid: 2700 of 2700, 900 back');
SELECT status FROM wash.create_refund(rolling.payment_of(:'o'), 100);
SELECT rolling.expect('a dispute of all of it', effect, 'applied') FROM wash.ingest_webhook('cards', 'evt_20', 'dispute.opened', now(), '{"transaction_id": "ch_20", "dispute_id": "dp_20", "amount_minor": 3600, "currency": "USD"}');
SELECT rolling.expect('what nobody has sent', string_agg(DISTINCT r.status, ', '), 'cancelled') FROM wash.payment_refunds AS r JOIN wash.payment_transactions AS t ON t.id = r.transaction_id WHERE t.reference_id = :'o';
SELECT rolling.expect('a dispute that is lost', effect, 'applied') FROM wash.ingest_webhook('cards', 'evt_21', 'dispute.lost', now(), '{"transaction_id": "ch_20", "dispute_id": "dp_20", "amount_minor": 3600, "currency": "USD"}');
SELECT (wash.create_booking(:'bob', '01900000-0000-7000-8000-000000000013', '01900000-0000-7000-8000-000000000001', date_trunc('day', now()) + '10 days 15 hours')).booking_id AS b \gset
SELECT rolling.pay(:'b', 'ch_21');
SELECT (wash.create_payment(:'bob', 12000, 'USD', reference_type => 'booking', reference_id => :'b')).transaction_id AS p \gset
SELECT status FROM wash.record_manual_payment(:'p', 'cash');
SELECT rolling.expect('a booking that is paid twice', string_agg(r.amount_minor || ' ' || r.status, ', '), '12000 pending') FROM wash.payment_refunds AS r WHERE r.transaction_id = :'p';
SELECT status FROM wash.cancel_booking(:'b', 'customer_request');
SELECT (wash.create_payment(:'bob', 12000, 'USD', reference_type => 'booking', reference_id => :'b')).transaction_id AS p \gset
SELECT status FROM wash.record_manual_payment(:'p', 'cash');
SELECT rolling.expect('a booking that is paid too late', string_agg(r.amount_minor || ' ' || r.status, ', '), '12000 pending') FROM wash.payment_refunds AS r WHERE r.transaction_id = :'p';
SELECT rolling.deliver();

-- A booking that is done, with an offer
SELECT (wash.create_booking(:'bob', '01900000-0000-7000-8000-000000000011', '01900000-0000-7000-8000-000000000001', date_trunc('day', now()) + '9 days 20 hours')).booking_id AS b \gset
SELECT code AS voucher FROM wash.create_vouchers(:'voucher_offer') \gset
SELECT rolling.expect('a voucher for a booking', discount_minor::text, '200') FROM wash.redeem_offer('booking', :'b', customer_id => :'bob', amount_minor => 2500, context => '{"currency": "USD"}', voucher_code => :'voucher');
SELECT why FROM wash.explain_offer(:'voucher_offer', :'bob', context => '{"amount_minor": 1000, "currency": "USD", "location_id": "01900000-0000-7000-8000-000000000001"}');
SELECT status FROM wash.confirm_booking(:'b');
SELECT status FROM wash.start_booking(:'b');
SELECT status FROM wash.complete_booking(:'b');
SELECT rolling.deliver();

-- What hooks say, and upkeep
CREATE FUNCTION rolling.numbers() RETURNS TABLE (name text, labels jsonb, value double precision) LANGUAGE sql STABLE AS $$ SELECT 'rolling_heard', '{}'::jsonb, count(*)::float8 FROM rolling.heard $$;
SELECT rolling.expect('what a handler has heard', string_agg(DISTINCT event, ', '), 'order.paid, order.refund_proposed') FROM rolling.heard;
SELECT usher.register_extension('what is heard', 'rolling', 'rolling', hooks => '{"metrics": "numbers"}', declined_hooks => '{upkeep,self_check,configuration,health,export,erase}');
SELECT rolling.expect('metrics', (count(*) > 10) || ' ' || max(value) FILTER (WHERE name = 'rolling_heard'), 'true ' || (SELECT count(*) FROM rolling.heard)) FROM usher.metrics();
SELECT rolling.expect('health', extension_problems::text, '{}') FROM usher.health();
SELECT rolling.expect('upkeep', (count(*) > 5)::text, 'true') FROM usher.run_maintenance();
SELECT rolling.expect('parked', count(*)::text, '0') FROM usher.list_parked_events();
SELECT rolling.expect('an export', (usher.export_user(:'ann')::text ~ 'orders')::text, 'true');
SELECT usher.erase_user(:'bob');
SELECT rolling.deliver();
SELECT rolling.expect('a gateway', status::text, '401') FROM usher.http_request('GET', '/auth/me');
SELECT rolling.expect('a gateway that finds nothing', status::text, '404') FROM usher.http_request('GET', '/nothing');

-- Orders and their payments in plain SQL: two tables, each with a status machine, that know each other
-- by events only. Runs in a database of its own, as a superuser; the people act as the database role shop_app:
--
--     createdb shop && psql -d shop -f examples/shop.sql
--
-- Each step checks what it got: the script stops at the first surprise.
\ir expect.sql
CREATE EXTENSION usher CASCADE;
SELECT usher.apply_machine_preset('order') \gset
-- Real payments are what usher_payment is for (docs/payment.md); here they are a machine of the application's own
SELECT usher.define_machine('shop_payment', '{
    "initial": ["pending"], "terminal": ["refunded"],
    "transitions": [
        {"from": null, "to": "pending", "action": "create", "event": "created"},
        {"from": "pending", "to": "processing", "action": "process", "permission": "payment:process",
            "event": "processing"},
        {"from": "processing", "to": "completed", "action": "capture", "permission": "payment:process",
            "event": "completed"},
        {"from": "processing", "to": "failed", "action": "fail", "permission": "payment:process", "event": "failed"},
        {"from": "failed", "to": "processing", "action": "retry", "permission": "payment:process",
            "event": "retried"},
        {"from": "failed", "to": "completed", "action": "succeed_late", "permission": "payment:process",
            "event": "late_success"},
        {"from": "pending", "to": "failed", "action": "cancel", "permission": "payment:process",
            "requires_reason": true, "event": "cancelled"},
        {"from": "completed", "to": "refunded", "action": "refund", "permission": "payment:refund",
            "event": "refunded"}]}') \gset

-- ---- the application -----------------------------------------------------------------------------------------------

CREATE SCHEMA shop;
CREATE TABLE shop.orders (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    customer_id uuid NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor > 0),
    currency text NOT NULL DEFAULT 'EUR',
    status text NOT NULL DEFAULT 'placed',
    reason text,
    version integer NOT NULL DEFAULT 1
);
CREATE TABLE shop.payments (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    order_id uuid NOT NULL, -- no foreign key: payments could live in another schema, of another team
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    status text NOT NULL DEFAULT 'pending',
    reason text,
    version integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX one_payment ON shop.payments (order_id) WHERE status <> 'failed';
SELECT usher.enable_entity('shop.orders'), usher.enable_entity('shop.payments') \gset
SELECT usher.attach_machine('order', 'shop.orders', 'status',
    '{"reason_column": "reason", "version_column": "version", "event_prefix": "order", "payload_columns": '
    '["customer_id", "total_minor"]}'),
  usher.attach_machine('shop_payment', 'shop.payments', 'status',
    '{"reason_column": "reason", "version_column": "version", "event_prefix": "payment", "payload_columns": '
    '["order_id", "amount_minor"]}') \gset

-- In the same transaction: what is paid is paid, or neither is
CREATE FUNCTION shop.follow_payment(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF event IN ('payment.completed', 'payment.late_success') THEN
        UPDATE shop.orders SET status = 'paid'
        WHERE id = (payload ->> 'order_id')::uuid AND total_minor = (payload ->> 'amount_minor')::bigint;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the amount is not that of the order' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF event = 'payment.refunded' THEN
        UPDATE shop.orders SET status = 'cancelled', reason = 'refunded' WHERE id = (payload ->> 'order_id')::uuid;
    END IF;
END
$$;
SELECT usher.subscribe('payment.*', 'orders', 'shop.follow_payment(text,jsonb)');
-- After the commit, by whoever packs
SELECT usher.subscribe('order.paid', 'warehouse', mode => 'async');

SELECT usher.create_permission(name)
FROM unnest('{order:pay,order:fulfil,payment:process,payment:refund}'::text[]) AS name \g /dev/null
SELECT usher.create_role('cashier', 'Takes money'), usher.create_role('packer', 'Sends goods') \g /dev/null
SELECT usher.grant_permission('cashier', name)
FROM unnest('{order:pay,payment:process,payment:refund}'::text[]) AS name \g /dev/null
SELECT usher.grant_permission('packer', 'order:fulfil');
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_app') THEN CREATE ROLE shop_app; END IF; END $$;
SELECT usher.grant_access('shop_app', 'application');
GRANT USAGE ON SCHEMA shop TO shop_app;
GRANT SELECT, INSERT, UPDATE ON shop.orders, shop.payments TO shop_app;

-- ---- what happens in it --------------------------------------------------------------------------------------------

SELECT pg_temp.person('cy@shop.example', 'Cy') AS cy,
       pg_temp.person('kay@shop.example', 'Kay', 'cashier') AS kay,
       pg_temp.person('pat@shop.example', 'Pat', 'packer') AS pat \gset
SELECT usher.issue_token(:'cy') AS cy_token, usher.issue_token(:'kay') AS kay_token,
       usher.issue_token(:'pat') AS pat_token \gset
SET ROLE shop_app;

\echo '--- placed by a customer, who cannot call it paid'
BEGIN;
SELECT usher.authenticate(:'cy_token') AS me \gset
INSERT INTO shop.orders (customer_id, total_minor) VALUES (usher.current_user_id(), 2500) RETURNING id AS first \gset
INSERT INTO shop.orders (customer_id, total_minor) VALUES (usher.current_user_id(), 900) RETURNING id AS second \gset
INSERT INTO shop.payments (order_id, amount_minor) VALUES (:'first', 2500) RETURNING id AS payment \gset
INSERT INTO shop.payments (order_id, amount_minor) VALUES (:'second', 800) RETURNING id AS wrong \gset
SELECT pg_temp.expect('an order that its customer calls paid', pg_temp.refusal(
    format('UPDATE shop.orders SET status = ''paid'' WHERE id = %L', :'first')), 'US002');
SELECT pg_temp.expect('an order that begins as paid', pg_temp.refusal(
    'INSERT INTO shop.orders (customer_id, total_minor, status) VALUES (usher.current_user_id(), 1, ''paid'')'),
'US001');
UPDATE shop.orders SET status = 'cancelled', reason = 'changed my mind' WHERE id = :'second';
COMMIT;

\echo '--- paid by way of the payment: at the first attempt not, then after all'
BEGIN;
SELECT usher.authenticate(:'kay_token') AS me \gset
UPDATE shop.payments SET status = 'processing' WHERE id = :'payment';
UPDATE shop.payments SET status = 'failed' WHERE id = :'payment';
SELECT pg_temp.expect('what is possible then', string_agg(action, ', ' ORDER BY action), 'retry, succeed_late')
FROM usher.allowed_transitions('shop.payments', :'payment') WHERE allowed;
UPDATE shop.payments SET status = 'completed' WHERE id = :'payment';
SELECT pg_temp.expect('the order', status, 'paid') FROM shop.orders WHERE id = :'first';
-- money for an order that is cancelled, and not its price: nothing of it happens
UPDATE shop.payments SET status = 'processing' WHERE id = :'wrong';
SELECT pg_temp.expect('the wrong amount', pg_temp.refusal(
    format('UPDATE shop.payments SET status = ''completed'' WHERE id = %L', :'wrong')), '23514');
SELECT pg_temp.expect('that payment', status, 'processing') FROM shop.payments WHERE id = :'wrong';
SELECT pg_temp.expect('packing by the cashier', pg_temp.refusal(
    format('UPDATE shop.orders SET status = ''fulfilled'' WHERE id = %L', :'first')), 'US002');
COMMIT;

\echo '--- packed, sent, and no way back from there'
RESET ROLE;
SELECT pg_temp.expect('what the warehouse gets', string_agg(payload ->> 'total_minor', ', '), '2500')
FROM usher.claim_events('warehouse', 10);
SELECT usher.complete_event('warehouse', event_id) FROM usher.deliveries WHERE consumer = 'warehouse' \g /dev/null
SET ROLE shop_app;
BEGIN;
SELECT usher.authenticate(:'pat_token') AS me \gset
UPDATE shop.orders SET status = 'fulfilled' WHERE id = :'first';
UPDATE shop.orders SET status = 'completed' WHERE id = :'first';
SELECT pg_temp.expect('cancelling it now', pg_temp.refusal(
    format('UPDATE shop.orders SET status = ''cancelled'', reason = ''late'' WHERE id = %L', :'first')), 'US001');
COMMIT;
-- so a refund fails as a whole
BEGIN;
SELECT usher.authenticate(:'kay_token') AS me \gset
SELECT pg_temp.expect('a refund of what was sent', pg_temp.refusal(
    format('UPDATE shop.payments SET status = ''refunded'' WHERE id = %L', :'payment')), 'US001');
COMMIT;
RESET ROLE;

\echo '--- everything is on record'
SELECT pg_temp.expect('the way of the order', string_agg(action, ', ' ORDER BY seq), 'place, pay, fulfil, complete')
FROM usher.history('shop.orders', :'first');
SELECT pg_temp.expect('and of its payment', string_agg(action, ', ' ORDER BY seq),
                      'create, process, fail, succeed_late')
FROM usher.history('shop.payments', :'payment');
SELECT pg_temp.expect('what made the order paid', c.event, 'payment.late_success')
FROM usher.events e JOIN usher.events c ON c.id = e.causation_id WHERE e.event = 'order.paid';
SELECT pg_temp.expect('violations', count(*)::text, '0') FROM usher.self_check() WHERE violations > 0;
\echo 'the whole story came out as it should'

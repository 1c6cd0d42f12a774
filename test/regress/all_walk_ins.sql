-- Customers without an account: what each feature holds about them is handed out, and erased, with what is still to come given up first.
-- Whoever has an account, or a second profile of one, is not erased that way.
SET client_min_messages = warning;
CREATE SCHEMA walk_ins;
CREATE FUNCTION walk_ins.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT usher.apply_role_preset('clinic');
SELECT user_id AS ann FROM usher.register_user('ann@walkins.example', 'long enough to be good', 'Ann') \gset
SELECT user_id AS max FROM usher.register_user('max@walkins.example', 'long enough to be good', 'Max') \gset
SELECT user_id AS sue FROM usher.register_user('sue@walkins.example', 'long enough to be good', 'Sue') \gset
SELECT usher.grant_role(:'max', 'manager'), usher.grant_role(:'sue', 'staff') \g /dev/null
SELECT id AS place FROM wash.create_location('Walk-ins', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS wax FROM wash.create_service('Wax', '1 hour', 1000, 'EUR', prepayment => 'full', early_start => '30 days') \gset
SELECT id AS look FROM wash.create_service('Look', '1 hour', 1000, 'EUR', auto_confirm => true, early_start => '30 days') \gset
SELECT wash.set_location_hours(:'place', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]'), wash.set_location_services(:'place', ARRAY[:'wax', :'look']::uuid[]),
    wash.assign_staff(:'place', :'sue', 'staff') \g /dev/null
SELECT product_id AS soap FROM wash.create_product('walk-in-soap', 'Soap', price_minor => 500, currency => 'EUR', status => 'active') \gset
SELECT wash.receive_stock(:'soap', :'place', 10) \g /dev/null
SELECT date_trunc('day', now() AT TIME ZONE 'Europe/Berlin') + interval '3 days 10 hours' AS ten \gset

-- Will, who never had an account, and a second profile of Ann, have the same of each
SELECT id AS will FROM wash.upsert_customer(name => 'Will', email => 'will@walkins.example', phone => '030 1', attributes => '{"note": "walk-in secret"}') \gset
SELECT id AS child FROM wash.upsert_customer(:'ann', 'Her child', attributes => '{"note": "walk-in secret"}', id => usher.uuid_v7()) \gset
SELECT booking_id AS wills FROM wash.create_booking(:'will', :'wax', :'place', :'ten'::timestamp AT TIME ZONE 'Europe/Berlin', :'sue', special_instructions => 'walk-in secret') \gset
SELECT booking_id AS begun FROM wash.create_booking(:'will', :'look', :'place', (:'ten'::timestamp + interval '2 hours') AT TIME ZONE 'Europe/Berlin', :'sue') \gset
SELECT status FROM wash.start_booking(:'begun', 'walk-in secret');
SELECT booking_id AS childs FROM wash.create_booking(:'child', :'wax', :'place', (:'ten'::timestamp + interval '4 hours') AT TIME ZONE 'Europe/Berlin', :'sue', special_instructions => 'walk-in secret') \gset
SELECT order_id AS wills_order FROM wash.create_order(:'place', jsonb_build_array(jsonb_build_object('product_id', :'soap', 'quantity', 1)), :'will', notes => 'walk-in secret') \gset
SELECT order_id AS childs_order FROM wash.create_order(:'place', jsonb_build_array(jsonb_build_object('product_id', :'soap', 'quantity', 1)), :'child', notes => 'walk-in secret') \gset
SELECT status FROM wash.place_order(:'wills_order');
SELECT (wash.earn_points(c, 50, note => 'walk-in secret')).balance FROM unnest(ARRAY[:'will', :'child']::uuid[]) AS c;
SELECT wash.note_customer_signal(c, 'address', 'walk-in secret') FROM unnest(ARRAY[:'will', :'child']::uuid[]) AS c \g /dev/null

-- What is held
SELECT key, CASE WHEN key <> 'exported_at' THEN (SELECT string_agg(format('%s %s', p.key, jsonb_array_length(p.value)), ', ' ORDER BY p.key) FROM jsonb_each(e.value) AS p
    WHERE jsonb_array_length(p.value) > 0) END AS rows
FROM jsonb_each(usher.export_customer(:'will')) AS e WHERE key NOT LIKE 'regress%' ORDER BY key;
SELECT event_type, result FROM usher.audit_logs WHERE resource_type = 'customer' AND resource_id = :'will' AND event_type = 'customer.exported';

-- Who may not, and whom not
SELECT what, walk_ins.refusal(statement) FROM (VALUES
    ('an account', format('SELECT usher.erase_customer(%L)', :'ann')), ('the export of an account', format('SELECT usher.export_customer(%L)', :'ann')),
    ('nobody', 'SELECT usher.erase_customer(NULL)')) AS v (what, statement);
BEGIN;
SELECT usher.authenticate(usher.issue_token(:'sue')) \g /dev/null
SELECT walk_ins.refusal(format('SELECT usher.erase_customer(%L)', :'will')) AS by_staff, walk_ins.refusal(format('SELECT usher.export_customer(%L)', :'will')) AS told_to_staff;
COMMIT;
SELECT usher.erase_customer(usher.uuid_v7()) AS unknown, walk_ins.refusal(format('SELECT usher.erase_customer(%L)', :'child')) AS a_second_profile;
SELECT name, attributes, is_active FROM wash.customers WHERE id = :'child';
SELECT b.status, b.special_instructions, o.status AS order_status, o.notes FROM wash.bookings AS b, wash.orders AS o WHERE b.id = :'childs' AND o.id = :'childs_order';
SELECT closed_at IS NULL AS open FROM wash.points_accounts WHERE customer_id = :'child';

-- Erased, over HTTP; again, it is the same
SELECT status, body FROM usher.http_request('POST', format('/customers/%s/erase', :'will'), headers => jsonb_build_object('authorization', 'Bearer ' || usher.issue_token(:'max')));
SELECT usher.erase_customer(:'will') > 0 AS again;
SELECT name, email, phone, attributes, is_active FROM wash.customers WHERE id = :'will';
SELECT status, cancellation_reason, special_instructions, status_notes FROM wash.bookings WHERE customer_id = :'will' ORDER BY start_at;
SELECT action FROM usher.history('wash.bookings', :'wills') ORDER BY seq DESC LIMIT 1;
SELECT payload ->> 'customer_user_id' AS account FROM usher.events WHERE event = 'booking.orphaned' AND key = :'begun' ORDER BY id LIMIT 1;
SELECT status, notes, total_minor FROM wash.orders WHERE id = :'wills_order';
SELECT reference_type, status, close_reason FROM wash.payment_transactions WHERE customer_id = :'will' ORDER BY 1;
SELECT closed_at IS NOT NULL AS closed, balance FROM wash.points_accounts WHERE customer_id = :'will';
SELECT note FROM wash.points_entries WHERE customer_id = :'will';
SELECT count(*) AS signals FROM wash.referral_signals WHERE customer_id = :'will';
SELECT walk_ins.refusal(format('SELECT wash.create_booking(%L, %L, %L, %L, %L)', :'will', :'wax', :'place', (:'ten'::timestamp + interval '1 day') AT TIME ZONE 'Europe/Berlin', :'sue')) AS another_one;
SELECT extension, rule FROM usher.self_check() WHERE violations > 0;

-- The export of the account has what each feature holds under the id of the second profile, and none of it twice
SELECT e.key, (SELECT string_agg(format('%s %s', p.key, jsonb_array_length(p.value)), ', ' ORDER BY p.key) FROM jsonb_each(e.value) AS p
    WHERE jsonb_array_length(p.value) > 0) AS rows
FROM jsonb_each(usher.export_user(:'ann')) AS e WHERE e.key LIKE 'usher\_%' ORDER BY e.key;

-- The account is deleted, then erased: the second profile, which shop and loyalty know by its own id, goes with it
SELECT usher.delete_user(:'ann') \g /dev/null
SELECT b.status, o.status AS order_status, o.notes, a.closed_at IS NULL AS open, e.note FROM wash.bookings AS b, wash.orders AS o, wash.points_accounts AS a, wash.points_entries AS e
WHERE b.id = :'childs' AND o.id = :'childs_order' AND a.customer_id = :'child' AND e.customer_id = :'child';
SELECT usher.erase_user(:'ann') \g /dev/null
SELECT c.name, c.attributes, b.special_instructions, o.notes, e.note FROM wash.customers AS c, wash.bookings AS b, wash.orders AS o, wash.points_entries AS e
WHERE c.id = :'child' AND b.id = :'childs' AND o.id = :'childs_order' AND e.customer_id = :'child';
SELECT count(*) AS signals FROM wash.referral_signals WHERE customer_id = :'child';

-- the way it was
DELETE FROM wash.bookings WHERE location_id = :'place';
DELETE FROM wash.customers WHERE id IN (:'will', :'child', :'ann');
DELETE FROM wash.locations WHERE id = :'place';
DELETE FROM wash.services WHERE id IN (:'wax', :'look');
DROP SCHEMA walk_ins CASCADE;

-- R2, "Database Schema Overview", against the names of names.sql, in the order of the document. It prints no SQL: it
-- names tables with their key fields, relations, flows and upkeep, and here each of them is asked for. What is printed
-- is compared with queries.out, so nothing in it depends on the time. What writes is rolled back.
--
--     cd examples/clinic && psql -Xq -d clinic < queries.sql
\pset pager off
\pset footer off
\pset format wrapped
\pset columns 115
\set VERBOSITY terse
\set ON_ERROR_ROLLBACK on
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET search_path = clinic, public;
\set paul '\'c0000000-0000-7000-8000-000000000005\''
\set fay '\'c0000000-0000-7000-8000-000000000006\''
\set desk '\'c0000000-0000-7000-8000-000000000004\''
\set practice '\'c1000000-0000-7000-8000-000000000001\''
\set visit '\'c4000000-0000-7000-8000-000000000001\''
\set purchase '\'c5000000-0000-7000-8000-000000000001\''

-- R2, sections "Table Organization by Functionality" and "Table Summary by Function": each table under its name, with
-- each field that the document names or describes. The document counts by category.
CREATE TEMP TABLE document (place serial, category text, name text, fields text);
INSERT INTO document (category, name, fields) VALUES
    ('Authentication', 'users', 'id username email hashed_password is_active is_customer first_name last_name phone'),
    ('Authentication', 'refresh_tokens', 'user_id token_hash device_info ip_address expires_at'),
    ('Authentication', 'user_sessions', 'user_id'),
    ('Authentication', 'enhanced_user_sessions',
     'refresh_token_id user_id status device_fingerprint last_activity_at'),
    ('Security', 'audit_logs', 'user_id action ip_address user_agent success'),
    ('Security', 'rate_limit_logs', 'identifier action attempts is_blocked blocked_until'),
    ('Security', 'session_logs', 'session_id event'),
    ('RBAC', 'roles', 'name description is_active'),
    ('RBAC', 'permissions', 'name resource action'),
    ('RBAC', 'user_roles', 'user_id role_id'),
    ('RBAC', 'role_permissions', 'role_id permission_id'),
    ('RBAC', 'user_permissions', 'user_id permission_id expires_at'),
    ('Business', 'appointments', 'user_id customer_id doctor_id service_id status appointment_date notes'),
    ('Business', 'bookings', 'user_id customer_id appointment_id'),
    ('Business', 'customers', 'user_id name email phone attributes'),
    ('Business', 'products', 'name description price availability product_type'),
    ('Business', 'inventory_logs', 'product_id movement_type quantity'),
    ('Financial', 'payment_transactions', 'booking_id customer_id payment_method amount'),
    ('Financial', 'order_events', 'order_id event_type old_status new_status'),
    ('Marketing', 'rewards', 'reward_type points_required rules conditions'),
    ('Marketing', 'offers', 'title valid_from valid_until target_tiers target_segment'),
    ('Marketing', 'advertisements', 'title content views clicks'),
    ('Marketing', 'referrals', 'referrer_id referred_id referrer_points referred_points');
\echo 'fields of the document that a table does not have'
SELECT d.name, f AS missing
FROM document AS d CROSS JOIN LATERAL string_to_table(d.fields, ' ') AS f
WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                  WHERE a.attrelid = to_regclass('clinic.' || d.name) AND a.attname = f AND NOT a.attisdropped);
\echo 'tables of the document, and those that are here and not in it'
SELECT d.category, count(*) AS tables, string_agg(d.name, ', ' ORDER BY d.place) AS names
FROM document AS d WHERE to_regclass('clinic.' || d.name) IS NOT NULL GROUP BY d.category ORDER BY min(d.place);
SELECT c.relname AS more FROM pg_class AS c
WHERE c.relnamespace = 'clinic'::regnamespace AND c.relname NOT IN (SELECT d.name FROM document AS d);
\echo 'the types of those fields; the document prints one: integer, for the key of users'
SELECT d.name, f AS field, format_type(a.atttypid, a.atttypmod) AS type
FROM document AS d CROSS JOIN LATERAL string_to_table(d.fields, ' ') WITH ORDINALITY AS t (f, number)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass('clinic.' || d.name) AND a.attname = f
ORDER BY d.place, t.number;
\echo 'each has a comment; whose rights it is read with'
SELECT d.name, obj_description(c.oid, 'pg_class') LIKE 'R2 ' || d.name || '%' AS described,
    CASE WHEN 'security_invoker=true' = ANY (c.reloptions) THEN 'of whoever asks' ELSE 'its own, row by row' END
        AS rights
FROM document AS d JOIN pg_class AS c ON c.oid = to_regclass('clinic.' || d.name) ORDER BY d.place;

\echo
\echo '---- Authentication & security: Core Authentication'
-- users: credentials, personal info, contact details
SELECT username, email, hashed_password, first_name, last_name, phone, is_active, is_customer
FROM users WHERE email LIKE '%@clinic.example' ORDER BY id;
\echo 'found by e-mail or username, as a login does: which index serves that'
SELECT i.indexrelid::regclass AS index FROM pg_index AS i
WHERE i.indrelid = 'usher.users'::regclass AND i.indisunique AND NOT i.indisprimary
ORDER BY i.indexrelid::regclass::text;

\echo '---- Token Management, Security Monitoring: a login, a refresh, a logout, rolled back (R2-46 is below)'
BEGIN;
SELECT usher.set_request_context('192.0.2.7', 'curl/8.0', 'queries') \g /dev/null
SELECT session_id, access_token, refresh_token AS token
FROM usher.login('paul', 'healthy-paul-demo', '{"name": "phone", "fingerprint": "f-1"}') \gset
-- refresh_tokens: links to users, hashed, device, address, expiration
SELECT u.username, t.token_hash, t.device_info ->> 'name' AS device, t.ip_address, t.expires_at > now() AS good,
    t.is_revoked
FROM refresh_tokens AS t JOIN users AS u ON u.id = t.user_id WHERE t.id = :'session_id';
-- user_sessions: basic; enhanced_user_sessions: status, fingerprint, activity, link to the token
SELECT u.username, s.session_token, s.is_active
FROM user_sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.id = :'session_id';
SELECT u.username, s.status, s.device_fingerprint, s.last_activity_at >= s.created_at AS seen, t.id = s.id AS token
FROM enhanced_user_sessions AS s JOIN users AS u ON u.id = s.user_id
    JOIN refresh_tokens AS t ON t.id = s.refresh_token_id
WHERE s.id = :'session_id';
SELECT error, access_token FROM usher.refresh_session(:'token') \gset
SELECT usher.authenticate(:'access_token') \g /dev/null
-- what the application itself has to say about its sessions, and about anything
INSERT INTO session_logs (event, details) VALUES ('idle_warning', '{"minutes": 5}');
INSERT INTO audit_logs (action, resource, resource_id, success, details)
VALUES ('letter.printed', 'letter', '17', true, '{"pages": 2}');
UPDATE refresh_tokens SET is_revoked = true WHERE id = :'session_id';
SELECT status, revoked_reason FROM usher.sessions WHERE id = :'session_id';
\echo 'session_logs: login, logout, token refresh, linked to the session'
SELECT l.event, u.username, l.ip_address, l.details ->> 'minutes' AS minutes, s.id IS NOT NULL AS session
FROM session_logs AS l JOIN users AS u ON u.id = l.user_id LEFT JOIN user_sessions AS s ON s.id = l.session_id
WHERE l.session_id = :'session_id' ORDER BY l.created_at, l.id;
\echo 'audit_logs: actions, addresses, agents, success or failure'
SELECT error FROM usher.login('paul', 'not his password');
SELECT a.action, u.username, a.ip_address, a.user_agent, a.success
FROM audit_logs AS a LEFT JOIN users AS u ON u.id = a.user_id
WHERE a.ip_address = '192.0.2.7' AND a.action IN ('login.succeeded', 'login.failed', 'letter.printed')
    AND a.created_at >= now() ORDER BY a.created_at, a.id;
-- permission changes are there as well
SELECT DISTINCT a.details ->> 'permission' AS permission, u.username AS of_user
FROM audit_logs AS a JOIN users AS u ON u.id::text = a.resource_id
WHERE a.action = 'access.permission_granted' AND a.resource_id = :desk;
UPDATE audit_logs SET success = true WHERE action = 'login.failed';
DELETE FROM session_logs WHERE session_id = :'session_id';
INSERT INTO user_sessions (user_id) VALUES (:paul);
ROLLBACK;

\echo '---- rate_limit_logs: attempts by whoever, blocked when there are too many'
SELECT usher.reset_rate_limit('clinic.contact_form', '192.0.2.8') \g /dev/null
INSERT INTO rate_limit_logs (action, identifier) SELECT 'clinic.contact_form', '192.0.2.8' FROM generate_series(1, 5)
RETURNING is_blocked;
-- what is counted in shared memory arrives in the table within a moment, or now
SELECT count(*) FROM usher.run_maintenance() \g /dev/null
SELECT action, attempts, max_attempts, refused_count, is_blocked, blocked_until > now() AS for_a_while
FROM rate_limit_logs WHERE identifier = usher.rate_limit_hash('clinic.contact_form', '192.0.2.8');
DELETE FROM rate_limit_logs WHERE action = 'clinic.contact_form';

\echo
\echo '---- Role-based access control'
-- roles: admin, manager, staff, customer, with description and status
SELECT name, description, is_active FROM roles WHERE name IN ('admin', 'manager', 'staff', 'customer') ORDER BY name;
-- permissions: resource:action
SELECT name, resource, action FROM permissions
WHERE name IN ('user:read', 'appointment:create') OR resource IN ('booking', 'payment') ORDER BY name;
-- user_roles, role_permissions: many to many
SELECT u.username, r.name AS role FROM user_roles AS g JOIN users AS u ON u.id = g.user_id
    JOIN roles AS r ON r.id = g.role_id
WHERE u.email LIKE '%@clinic.example' ORDER BY u.id, r.name;
SELECT r.name AS role, string_agg(p.name, ' ' ORDER BY p.name) AS permissions
FROM role_permissions AS g JOIN roles AS r ON r.id = g.role_id JOIN permissions AS p ON p.id = g.permission_id
WHERE r.name IN ('admin', 'manager', 'staff', 'customer') GROUP BY r.name ORDER BY r.name;
-- user_permissions: direct, for a time
SELECT u.username, p.name AS permission, g.expires_at > now() AS still,
    g.expires_at < now() + interval '31 days' AS ends
FROM user_permissions AS g JOIN users AS u ON u.id = g.user_id JOIN permissions AS p ON p.id = g.permission_id
WHERE u.id = :desk;
\echo 'written by the names as well; rolled back'
BEGIN;
INSERT INTO roles (name, description) VALUES ('auditing_staff', 'Looks, and touches nothing');
INSERT INTO permissions (resource, action, description) VALUES ('letter', 'print', 'Print letters');
INSERT INTO role_permissions (role_id, permission_id)
SELECT r.id, p.id FROM roles AS r, permissions AS p WHERE r.name = 'auditing_staff' AND p.name = 'letter:print';
INSERT INTO user_roles (user_id, role_id, expires_at)
SELECT :desk, r.id, now() + interval '1 day' FROM roles AS r WHERE r.name = 'auditing_staff';
SELECT permission, via, role FROM usher.list_permissions(:desk) WHERE permission = 'letter:print';
UPDATE roles SET is_active = false WHERE name = 'auditing_staff';
SELECT usher.user_has_permission(:desk, 'letter:print') AS by_an_inactive_role;
INSERT INTO user_permissions (user_id, permission_id, expires_at)
VALUES (:desk, 'letter:print', now() + interval '1 hour');
SELECT usher.user_has_permission(:desk, 'letter:print') AS directly;
DELETE FROM user_permissions WHERE user_id = :desk AND permission_id = 'letter:print';
DELETE FROM user_roles AS g USING roles AS r WHERE r.id = g.role_id AND r.name = 'auditing_staff';
DELETE FROM roles WHERE name = 'auditing_staff';
SELECT usher.user_has_permission(:desk, 'letter:print') AS none_is_left;
DELETE FROM roles WHERE name = 'customer';
ROLLBACK;

\echo
\echo '---- Business logic'
-- appointments: patients, doctors, services; status, dates, notes
SELECT p.username AS patient, d.username AS doctor, b.service_name, a.status, a.notes,
    a.end_date - a.appointment_date AS duration
FROM appointments AS a JOIN users AS p ON p.id = a.user_id JOIN users AS d ON d.id = a.doctor_id
    JOIN bookings AS b ON b.id = a.booking_id
WHERE a.booking_id = :visit ORDER BY a.appointment_date;
-- bookings: links to appointments and customers
SELECT b.service_name, b.status, b.total_amount, b.currency, c.user_id = b.user_id AS customer,
    a.booking_id = b.id AS appointment
FROM bookings AS b JOIN customers AS c ON c.id = b.customer_id JOIN appointments AS a ON a.id = b.appointment_id
WHERE b.id = :visit;
-- customers: links to users and appointments
SELECT u.username, count(*) AS appointments FROM customers AS c JOIN users AS u ON u.id = c.user_id
    JOIN appointments AS a ON a.customer_id = c.id
WHERE c.id = :paul GROUP BY u.username;
-- products: medical products, services, treatments; pricing, availability, descriptions
SELECT sku, name, product_type, price, currency, availability, description
FROM products WHERE sku IN ('cream', 'bandage', 'taping') ORDER BY sku;
-- inventory_logs: purchase, sale, adjustment
BEGIN;
INSERT INTO inventory_logs (product_id, location_id, movement_type, quantity, reason)
SELECT p.id, :practice, v.movement, v.quantity, v.reason
FROM products AS p, (VALUES ('purchase', 5, NULL), ('adjustment', -1, 'broken')) AS v (movement, quantity, reason)
WHERE p.sku = 'cream' RETURNING movement_type, quantity;
SELECT l.movement_type, l.quantity, l.reason FROM inventory_logs AS l JOIN products AS p ON p.id = l.product_id
WHERE p.sku = 'cream' AND l.movement_type IN ('purchase', 'sale', 'adjustment')
    AND (l.created_at >= now() OR l.movement_type = 'purchase') ORDER BY l.created_at, l.id;
INSERT INTO inventory_logs (product_id, location_id, movement_type, quantity) SELECT id, :practice, 'sale', -1
FROM products WHERE sku = 'cream';
ROLLBACK;
-- payment_transactions: bookings, customers, payment methods
SELECT b.service_name, u.username, p.payment_method, p.amount, p.currency, p.status
FROM payment_transactions AS p JOIN bookings AS b ON b.id = p.booking_id JOIN customers AS c ON c.id = p.customer_id
    JOIN users AS u ON u.id = c.user_id
WHERE b.id = :visit;
-- order_events: status changes and events of an order, its audit trail
SELECT seq, event_type, old_status, new_status FROM order_events WHERE order_id = :purchase AND seq <= 4 ORDER BY seq;
UPDATE order_events SET new_status = 'completed' WHERE order_id = :purchase;

\echo
\echo '---- Rewards & loyalty'
-- rewards: points, rules and conditions
SELECT name, reward_type, points_required, rules, conditions, max_per_customer FROM rewards
WHERE name = 'Hand cream for nothing';
-- offers: for a time, for whom
SELECT title, offer_type, discount_percent, for_new_customers, target_tiers, valid_until FROM offers
WHERE title = 'Welcome';
-- advertisements: content, engagement
SELECT title, placement, content, is_active FROM advertisements WHERE title = 'Healthy hands';
-- referrals: relationships, and what is distributed
SELECT a.username AS referrer, b.username AS referred, r.referrer_points, r.referred_points
FROM referrals AS r JOIN users AS a ON a.id = r.referrer_id JOIN users AS b ON b.id = r.referred_id
WHERE r.referred_id = :fay;
\echo 'written by the names; rolled back'
BEGIN;
INSERT INTO rewards (name, points_required, conditions, rules, is_active)
VALUES ('A massage', 200, 'r.tier == ''GOLD''', '{"minutes": 20}', true) RETURNING name;
UPDATE rewards SET description = 'Twenty minutes' WHERE name = 'A massage';
INSERT INTO offers (title, offer_type, discount_amount, currency, target_tiers, is_active, valid_until)
VALUES ('Ten off', 'amount', 10.00, 'EUR', '{GOLD}', true, now() + interval '1 month') RETURNING title;
INSERT INTO advertisements (title, placement, content, is_active) VALUES ('Yoga', 'lobby', '{"text": "Om"}', true);
INSERT INTO products (sku, name, price, currency, is_active) VALUES ('ball', 'A ball', 9.90, 'EUR', true);
UPDATE products SET price = 8.50 WHERE sku = 'ball';
SELECT r.name, r.description, r.is_active, o.discount_amount, o.target_tiers, a.content, p.price
FROM rewards AS r, offers AS o, advertisements AS a, products AS p
WHERE r.name = 'A massage' AND o.title = 'Ten off' AND a.title = 'Yoga' AND p.sku = 'ball';
INSERT INTO products (sku, name, price, currency, is_active) VALUES ('bad', 'Too cheap', -1, 'EUR', true);
ROLLBACK;

\echo
\echo '---- Key relationships'
\echo 'one user: many tokens, sessions, audit and session logs, roles, permissions, appointments, bookings, customers'
BEGIN;
SELECT count(usher.login('paul', 'healthy-paul-demo')) AS logins FROM generate_series(1, 2);
INSERT INTO user_roles (user_id, role_id) SELECT :paul, r.id FROM roles AS r WHERE r.name = 'staff';
INSERT INTO user_permissions (user_id, permission_id) VALUES (:paul, 'audit:read'), (:paul, 'user:read');
INSERT INTO customers (id, user_id, name) VALUES ('c6000000-0000-7000-8000-000000000001', :paul, 'Paul''s daughter');
INSERT INTO bookings (customer_id, service_id, location_id, booking_date, staff_id)
SELECT 'c6000000-0000-7000-8000-000000000001', b.service_id, b.location_id, b.booking_date + interval '3 hours',
    b.staff_id
FROM bookings AS b WHERE b.id = :visit;
SELECT v.name, n > 1 AS many FROM (
    SELECT 'refresh_tokens', count(*) FROM refresh_tokens WHERE user_id = :paul
    UNION ALL SELECT 'user_sessions', count(*) FROM user_sessions WHERE user_id = :paul
    UNION ALL SELECT 'enhanced_user_sessions', count(*) FROM enhanced_user_sessions WHERE user_id = :paul
    UNION ALL SELECT 'audit_logs', count(*) FROM audit_logs WHERE user_id = :paul
    UNION ALL SELECT 'session_logs', count(*) FROM session_logs WHERE user_id = :paul
    UNION ALL SELECT 'user_roles', count(*) FROM user_roles WHERE user_id = :paul
    UNION ALL SELECT 'user_permissions', count(*) FROM user_permissions WHERE user_id = :paul
    UNION ALL SELECT 'appointments', count(*) FROM appointments WHERE user_id = :paul
    UNION ALL SELECT 'bookings', count(*) FROM bookings WHERE user_id = :paul
    UNION ALL SELECT 'customers', count(*) FROM customers WHERE user_id = :paul) AS v (name, n);
\echo 'each row of the many sides has its one; accounts that are deleted are in usher.users, and not in users'
SELECT r.many, r.by_column, r.one, n.rows > 0 AS there_are, n.leads_nowhere FROM (VALUES
    (1, 'refresh_tokens', 'user_id', 'usher.users'), (2, 'user_sessions', 'user_id', 'usher.users'),
    (3, 'enhanced_user_sessions', 'user_id', 'usher.users'), (4, 'audit_logs', 'user_id', 'usher.users'),
    (5, 'session_logs', 'user_id', 'usher.users'), (6, 'user_roles', 'user_id', 'usher.users'),
    (7, 'user_roles', 'role_id', 'roles'), (8, 'user_permissions', 'user_id', 'usher.users'),
    (9, 'user_permissions', 'permission_id', 'permissions'), (10, 'role_permissions', 'role_id', 'roles'),
    (11, 'role_permissions', 'permission_id', 'permissions'),
    (12, 'enhanced_user_sessions', 'refresh_token_id', 'refresh_tokens'),
    (13, 'session_logs', 'session_id', 'user_sessions'), (14, 'appointments', 'user_id', 'usher.users'),
    (15, 'bookings', 'user_id', 'usher.users'), (16, 'customers', 'user_id', 'usher.users'),
    (17, 'appointments', 'customer_id', 'customers'), (18, 'bookings', 'customer_id', 'customers'),
    (19, 'appointments', 'booking_id', 'bookings'), (20, 'bookings', 'appointment_id', 'appointments'),
    (21, 'payment_transactions', 'booking_id', 'bookings'),
    (22, 'payment_transactions', 'customer_id', 'customers'), (23, 'inventory_logs', 'product_id', 'products'),
    (24, 'referrals', 'referrer_id', 'usher.users'), (25, 'referrals', 'referred_id', 'usher.users'))
    AS r (number, many, by_column, one)
    CROSS JOIN LATERAL xmltable('/table/row' PASSING query_to_xml(format(
        'SELECT count(*) AS rows, count(*) FILTER (WHERE o.id IS NULL) AS nowhere
         FROM clinic.%I AS m LEFT JOIN %s AS o ON o.id = m.%I WHERE m.%3$I IS NOT NULL', r.many, r.one, r.by_column),
        false, false, '') COLUMNS rows bigint, leads_nowhere bigint PATH 'nowhere') AS n
ORDER BY r.number;
\echo 'a role: many users, many permissions; a permission: many roles'
SELECT count(DISTINCT g.user_id) > 1 AS users, count(DISTINCT p.permission_id) > 1 AS permissions
FROM roles AS r JOIN user_roles AS g ON g.role_id = r.id JOIN role_permissions AS p ON p.role_id = r.id
WHERE r.name = 'staff';
SELECT count(*) > 1 AS roles FROM role_permissions WHERE permission_id = 'booking:create';
\echo 'a customer: many appointments, many bookings; a booking: many payments'
INSERT INTO bookings (customer_id, service_id, location_id, booking_date, staff_id)
SELECT :paul, b.service_id, b.location_id, b.booking_date + interval '5 hours', b.staff_id
FROM bookings AS b WHERE b.id = :visit;
INSERT INTO payment_transactions (booking_id, customer_id, amount, currency, payment_method, purpose)
VALUES (:visit, :paul, 12.50, 'EUR', 'cash', 'tip') RETURNING amount, status;
SELECT (SELECT count(*) > 1 FROM appointments WHERE customer_id = :paul) AS appointments,
    (SELECT count(*) > 1 FROM bookings WHERE customer_id = :paul) AS bookings,
    (SELECT count(*) > 1 FROM payment_transactions WHERE booking_id = :visit) AS payments;
ROLLBACK;

\echo
\echo '---- Usage patterns: authentication flow, 1 to 4, and what is left of it when the transaction does not commit'
BEGIN;
INSERT INTO users (username, email, hashed_password, first_name, last_name, is_customer)
VALUES ('newcomer', 'newcomer@clinic.example', 'a long password of the newcomer', 'Nora', 'Newcomer', true);
SELECT usher.verify_email(usher.create_email_verification(id), 'a long password of the newcomer')
FROM users WHERE username = 'newcomer' \g /dev/null
SELECT session_id AS session FROM usher.login('newcomer', 'a long password of the newcomer') \gset
CREATE TEMP VIEW flow AS
SELECT '1 user' AS step, count(*) FROM users WHERE username = 'newcomer'
UNION ALL SELECT '2 refresh token', count(*) FROM refresh_tokens WHERE created_at >= now()
UNION ALL SELECT '3 session', count(*) FROM enhanced_user_sessions WHERE created_at >= now()
UNION ALL SELECT '4 event', count(*) FROM audit_logs WHERE action = 'login.succeeded' AND created_at >= now();
SELECT * FROM flow;
SELECT u.username, r.name AS default_role, u.is_customer
FROM users AS u JOIN user_roles AS g ON g.user_id = u.id JOIN roles AS r ON r.id = g.role_id
WHERE u.username = 'newcomer';
ROLLBACK;
\echo 'R2-46: the event is in the transaction of the login, and goes with it'
SELECT (SELECT count(*) FROM users WHERE username = 'newcomer') AS users,
    (SELECT count(*) FROM refresh_tokens WHERE id = :'session') AS tokens,
    (SELECT count(*) FROM enhanced_user_sessions WHERE id = :'session') AS sessions,
    (SELECT count(*) FROM audit_logs WHERE details ->> 'session_id' = :'session') AS events,
    (SELECT count(*) FROM session_logs WHERE session_id = :'session') AS session_events;

\echo '---- Authorization flow, 1 to 3: role, then direct permission, and each attempt is logged'
\echo '1 what a role gives'
SELECT p.name FROM user_roles AS g JOIN role_permissions AS rp ON rp.role_id = g.role_id
    JOIN permissions AS p ON p.id = rp.permission_id
WHERE g.user_id = :desk AND p.name IN ('booking:confirm', 'payment:refund');
\echo '2 what is given directly'
SELECT p.name FROM user_permissions AS g JOIN permissions AS p ON p.id = g.permission_id
WHERE g.user_id = :desk AND p.name IN ('booking:confirm', 'payment:refund');
SELECT v.permission, e.step, e.effect
FROM (VALUES ('booking:confirm'), ('payment:refund'), ('product:manage')) AS v (permission)
    CROSS JOIN LATERAL usher.explain_access(:desk, v.permission) AS e
WHERE e.counts ORDER BY v.permission, e.step;
\echo '3 logged, allowed or not'
BEGIN;
SELECT usher.authenticate(usher.issue_token(:desk)) \g /dev/null
SELECT v.permission, c.allowed, c.via
FROM (VALUES ('booking:confirm'), ('payment:refund'), ('product:manage')) AS v (permission)
    CROSS JOIN LATERAL usher.check_access(v.permission) AS c;
SELECT u.username, a.details ->> 'permission' AS permission, a.details ->> 'via' AS via, a.success
FROM audit_logs AS a JOIN users AS u ON u.id = a.user_id
WHERE a.action = 'access.checked' AND a.created_at >= now() ORDER BY a.created_at, a.id;
ROLLBACK;

\echo '---- Business flow, 1 to 4'
BEGIN;
\echo '1 the customer books, 2 and has an appointment'
INSERT INTO bookings (id, customer_id, service_id, location_id, booking_date, staff_id, notes)
SELECT 'c4000000-0000-7000-8000-0000000000ff', :fay, service_id, location_id, booking_date + interval '1 hour',
    staff_id, 'by the window' FROM bookings WHERE id = :visit RETURNING status, notes;
SELECT a.status, d.username AS doctor FROM appointments AS a JOIN users AS d ON d.id = a.doctor_id
WHERE a.booking_id = 'c4000000-0000-7000-8000-0000000000ff';
\echo '3 the payment is there, and taken'
SELECT amount, status FROM payment_transactions WHERE booking_id = 'c4000000-0000-7000-8000-0000000000ff';
UPDATE payment_transactions SET status = 'completed', payment_method = 'cash'
WHERE booking_id = 'c4000000-0000-7000-8000-0000000000ff';
SELECT b.status AS booking, p.status AS payment, b.paid_at IS NOT NULL AS paid
FROM bookings AS b JOIN payment_transactions AS p ON p.booking_id = b.id
WHERE b.id = 'c4000000-0000-7000-8000-0000000000ff';
\echo '4 orders write events'
SELECT order_id AS bought FROM shop.create_order(:practice, '[{"product_id": "c3000000-0000-7000-8000-000000000002",
    "quantity": 1}]', :fay) \gset
SELECT status FROM shop.place_order(:'bought');
UPDATE payment_transactions SET status = 'completed', payment_method = 'cash' WHERE order_id = :'bought';
INSERT INTO order_events (order_id, event_type, event_data) VALUES (:'bought', 'wrapped', '{"paper": "blue"}');
SELECT seq, event_type, old_status, new_status, event_data FROM order_events WHERE order_id = :'bought' ORDER BY seq;
\echo 'what nobody can do by these names either'
UPDATE bookings SET status = 'pending' WHERE id = 'c4000000-0000-7000-8000-0000000000ff';
ROLLBACK;
BEGIN;
INSERT INTO appointments (customer_id, service_id, location_id, appointment_date, doctor_id)
SELECT :fay, service_id, location_id, appointment_date, doctor_id FROM appointments WHERE booking_id = :visit LIMIT 1;
ROLLBACK;
UPDATE payment_transactions SET status = 'processing' WHERE booking_id = :visit;
DELETE FROM payment_transactions WHERE booking_id = :visit;

\echo
\echo '---- Maintenance considerations'
\echo 'archiving, sessions and tokens, grants, logs: one call, whose tasks are'
SELECT string_agg(DISTINCT m.task, ' ' ORDER BY m.task) AS tasks FROM usher.run_maintenance() AS m
WHERE m.task ~ 'audit|rate|session|token|grant|inventory|log|attempt|event|hold|order|point';
\echo 'audit_logs can grow large: by month, months are retired by age, after they went to an archive of your choice'
SELECT p.partstrat = 'r' AS by_range FROM pg_partitioned_table AS p WHERE p.partrelid = 'usher.audit_logs'::regclass;
SELECT name FROM pg_settings WHERE name LIKE 'usher.audit_%' ORDER BY name;
\echo 'refresh_tokens and sessions are cleaned up: what is over and still there'
SELECT count(*) AS too_old FROM enhanced_user_sessions WHERE expires_at < now() - interval '1 year';
\echo 'patterns of attacks in rate_limit_logs'
SELECT a.policy, a.refused_count, a.is_blocked FROM usher.rate_limit_attacks AS a
WHERE a.key_hash = usher.rate_limit_hash('clinic.contact_form', '192.0.2.8');
SELECT usher.reset_rate_limit('clinic.contact_form', '192.0.2.8') \g /dev/null
\echo 'user_roles and role_permissions: which index serves them; checks ask a cache, not these'
SELECT i.indrelid::regclass AS of_table, pg_get_indexdef(i.indexrelid) ~ '\((user_id|role_id)' AS by_the_first_key
FROM pg_index AS i WHERE i.indrelid IN ('usher.user_roles'::regclass, 'usher.role_permissions'::regclass)
    AND pg_get_indexdef(i.indexrelid) ~ '\((user_id|role_id)' ORDER BY i.indrelid::regclass::text;
\echo 'user_permissions that expire'
SELECT u.username, p.name AS permission FROM user_permissions AS g JOIN users AS u ON u.id = g.user_id
    JOIN permissions AS p ON p.id = g.permission_id
WHERE g.expires_at < now() + interval '60 days' AND u.id = :desk;
SELECT permission, scope FROM usher.list_expiring_grants(now() + interval '60 days') WHERE user_id = :desk;
\echo 'regular backups (docs/dump.md): what of the core business is in a dump'
SELECT t.relation::regclass FROM pg_extension AS e CROSS JOIN LATERAL unnest(e.extconfig) AS t (relation)
WHERE t.relation IN ('care.appointments'::regclass, 'care.bookings'::regclass, 'care.customers'::regclass,
                     'till.payment_transactions'::regclass)
ORDER BY t.relation::regclass::text;
\echo 'payment_transactions: row-level security, and no column for a card'
SELECT c.relrowsecurity FROM pg_class AS c WHERE c.oid = 'till.payment_transactions'::regclass;
SELECT count(*) AS card_columns FROM pg_attribute AS a WHERE a.attrelid = 'clinic.payment_transactions'::regclass
    AND a.attname ~ 'card|number|cvc|pan';
SET ROLE clinic_app;
SELECT count(*) AS seen_by_nobody_in_particular FROM payment_transactions;
RESET ROLE;
\echo 'inventory_logs: by month, for so many days, then added up'
SELECT p.partstrat = 'r' AS by_range, usher.setting('shop.log_retention') AS days
FROM pg_partitioned_table AS p WHERE p.partrelid = 'shop.inventory_logs'::regclass;

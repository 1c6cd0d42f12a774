-- A database of some size, for test/t/all_size.pl: users accounts, twice as many bookings, five times as many audit rows, a payment for
-- each account. Written table by table, without triggers: what matters is how many rows there are, and that questions can be asked whose
-- answer is rare. The sizes are skewed on purpose: location 1 has a twentieth of all bookings, the first of its staff a tenth of these;
-- customer 101 books more than anybody, and the administrator has done much.
--   psql -v users=1000000 -f load.sql
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA size;
CREATE TABLE size.of AS
    SELECT n AS users, greatest(n / 500, 20) AS locations, 5 * greatest(n / 500, 20) AS staff, 50 AS services, 2 * n AS bookings,
        date_trunc('minute', now()) AS now FROM (VALUES (:users)) AS v (n);
SELECT * FROM size.of \gset
-- Ids and times of the nth row of a kind. Functions that PostgreSQL can inline, made with the numbers in them.
CREATE FUNCTION size.id(n bigint, at timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid $$;
SELECT format('CREATE FUNCTION size.%s RETURNS %s LANGUAGE sql STABLE PARALLEL SAFE AS %L', f.head, f.type, f.body) FROM (VALUES
    ('at(n bigint, of bigint, days integer)', 'timestamptz', format('SELECT %L::timestamptz - make_interval(secs => days * 86400.0 * (of - n) / of)', :'now')),
    ('user(n bigint)', 'uuid', format('SELECT size.id(n, size.at(n, %s, 1000))', :users)),
    ('manager(location bigint)', 'uuid', 'SELECT size.user(200 + location)'),
    ('staff(n bigint)', 'uuid', format('SELECT size.user(%s / 2 + n)', :users)),
    ('location(n bigint)', 'uuid', $$SELECT size.id(n, '2020-01-01 00:00+00')$$),
    ('service(n bigint)', 'uuid', $$SELECT size.id(n, '2020-01-02 00:00+00')$$),
    ('booking(n bigint)', 'uuid', $$SELECT size.id(n, '2022-01-01 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('appointment(n bigint)', 'uuid', $$SELECT size.id(n, '2022-02-01 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('payment(n bigint)', 'uuid', $$SELECT size.id(n, '2022-01-02 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('product(n bigint)', 'uuid', $$SELECT size.id(n, '2022-03-02 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('order(n bigint)', 'uuid', $$SELECT size.id(n, '2022-04-01 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('reservation(n bigint)', 'uuid', $$SELECT size.id(n, '2022-04-02 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('entry(n bigint)', 'uuid', $$SELECT size.id(n, '2022-05-01 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('offer(n bigint)', 'uuid', $$SELECT size.id(n, '2022-06-01 00:00+00')$$),
    ('reward(n bigint)', 'uuid', $$SELECT size.id(n, '2022-06-02 00:00+00')$$),
    ('referral(n bigint)', 'uuid', $$SELECT size.id(n, '2022-06-03 00:00+00'::timestamptz + n * interval '1 second')$$),
    ('session(n bigint)', 'uuid', format('SELECT size.id(n, size.at(n, %s, 30))', :users))) AS f (head, type, body) \gexec
CREATE FUNCTION size.upcoming(wanted text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT b.id FROM wash.bookings AS b WHERE b.status = wanted AND b.start_at > now() + interval '20 days'
        AND b.location_id <> size.location(1) AND NOT b.by_appointment ORDER BY b.start_at LIMIT 1 $$;
CREATE FUNCTION size.colleague(booking_id uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT ls.staff_id FROM wash.bookings AS b JOIN wash.location_staff AS ls ON ls.location_id = b.location_id
    WHERE b.id = booking_id AND ls.bookable AND ls.staff_id <> b.staff_id ORDER BY ls.staff_id LIMIT 1 $$;
-- The actor of a call until the end of the transaction.
CREATE FUNCTION size.act_as(who uuid) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM usher.authenticate(usher.issue_token(who)); END $$;

-- Accounts
INSERT INTO usher.users (id, email, email_verified_at, username, first_name, last_name, phone, status, tier, deleted_at, created_at)
    SELECT size.user(i), 'user' || i || '@example.com', now(), 'user' || i,
        (ARRAY['Anna', 'Ben', 'Carla', 'David', 'Emma', 'Felix', 'Greta', 'Hans', 'Ida', 'Jan'])[1 + i % 10],
        initcap(translate(lpad(((i * 7919) % :users)::text, 7, '0'), '0123456789', 'abelmorstu')) || 'son', '+49 30 ' || i,
        CASE WHEN i = 77 THEN 'deactivated' WHEN i % 1000 = 999 THEN 'deleted' ELSE 'active' END,
        CASE WHEN i % 10000 = 7 THEN 'GOLD' ELSE 'FREE' END, CASE WHEN i % 1000 = 999 THEN now() END,
        size.at(i, :users, 1000)
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.credentials (user_id, password_hash) SELECT id, '$argon2id$v=19$m=19456,t=2,p=1$none' FROM usher.users;
INSERT INTO usher.user_roles (user_id, role_id, expires_at)
    SELECT size.user(i), (SELECT id FROM usher.roles WHERE name = 'client'), CASE WHEN i % 5000 = 1 THEN now() + interval '3 days' END
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.user_roles (user_id, role_id) SELECT size.user(1), id FROM usher.roles WHERE name = 'admin';
INSERT INTO usher.user_roles (user_id, role_id)
    SELECT size.manager(l), (SELECT id FROM usher.roles WHERE name = 'manager') FROM generate_series(1::bigint, :locations) AS l;
INSERT INTO usher.user_roles (user_id, role_id)
    SELECT size.staff(s), (SELECT id FROM usher.roles WHERE name = 'washer') FROM generate_series(1::bigint, :staff) AS s;
INSERT INTO usher.user_permissions (user_id, permission, expires_at)
    SELECT size.user(i * 100), 'booking:read', now() + i % 1000 * interval '1 day' FROM generate_series(1::bigint, :users / 100) AS i;
INSERT INTO usher.user_permissions (user_id, permission, scope) VALUES (size.user(50), 'payment:read', size.location(2)::text),
    (size.user(50), 'order:read', size.location(3)::text);
INSERT INTO usher.policy_rules (ptype, v0, v1, v2, v3) SELECT 'p', size.user(i * 10)::text, 'report' || i % 10, 'read', 'allow'
    FROM generate_series(1::bigint, least(:users / 100, 1000)) AS i;
INSERT INTO usher.sessions (id, user_id, refresh_token_hash, rotation_key, status, revoked_at, revoked_reason, created_at, last_activity_at,
        expires_at, absolute_expires_at)
    SELECT size.session(i), size.user(i), sha256(i::text::bytea), sha256(i::text::bytea),
        CASE WHEN i % 20 = 3 THEN 'revoked' ELSE 'active' END, CASE WHEN i % 20 = 3 THEN now() END, CASE WHEN i % 20 = 3 THEN 'logout' END,
        size.at(i, :users, 30), size.at(i, :users, 30), size.at(i, :users, 30) + interval '7 days', size.at(i, :users, 30) + interval '30 days'
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.login_attempts (id, email, user_id, client_ip, success, failure_reason, attempted_at)
    SELECT size.id(i, size.at(i, 2 * :users, 90)), 'user' || 1 + i % :users || '@example.com', size.user(1 + i % :users),
        '10.0.0.0'::inet + i % 100000, i % 7 > 0, CASE WHEN i % 7 = 0 THEN 'wrong_password' END, size.at(i, 2 * :users, 90)
    FROM generate_series(1::bigint, 2 * :users) AS i;
INSERT INTO usher.identities (user_id, provider, provider_user_id)
    SELECT size.user(i), 'accounts', i::text FROM generate_series(1::bigint, :users, 3) AS i;
INSERT INTO usher.consents (user_id, purpose, document_version) SELECT size.user(i), 'terms', '1' FROM generate_series(1::bigint, :users) AS i;
INSERT INTO usher.one_time_tokens (user_id, purpose, token_hash, email, expires_at)
    SELECT size.user(i), 'password_reset', sha256(i::text::bytea), 'user' || i || '@example.com', now() + interval '1 hour'
    FROM generate_series(1::bigint, :users, 5) AS i;
INSERT INTO usher.api_keys (user_id, name, prefix, key_hash, permissions)
    SELECT size.user(i), 'key', lpad(to_hex(i), 12, '0'), sha256(i::text::bytea), '{booking:read}' FROM generate_series(1::bigint, :users, 50) AS i;
INSERT INTO usher.rate_limit_records (key_hash, policy, algorithm, window_start, window_end, limit_value)
    SELECT encode(sha256(i::text::bytea), 'hex'), 'login', 'fixed_window', now(), now() + interval '1 hour', 10
    FROM generate_series(1::bigint, :users / 10) AS i;
INSERT INTO usher.idempotent_answers (principal, key_hash, fingerprint, status, headers, body)
    SELECT 'user:' || size.user(i), sha256(i::text::bytea), '\x00', 200, '{}', '' FROM generate_series(1::bigint, :users, 5) AS i;

-- Bookings
INSERT INTO wash.locations (id, name, address, city, state, zip_code, country, time_zone)
    SELECT size.location(l), 'Location ' || l, l || ' Main Street', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin'
    FROM generate_series(1::bigint, :locations) AS l;
INSERT INTO wash.services (id, name, duration, price_minor, currency, needs_staff)
    SELECT size.service(s), 'Service ' || s, '30 minutes', 2500, 'EUR', s % 2 = 0 FROM generate_series(1::bigint, :services) AS s;
INSERT INTO wash.location_services (location_id, service_id)
    SELECT size.location(l), size.service(s) FROM generate_series(1::bigint, :locations) AS l, generate_series(1::bigint, 10) AS s;
INSERT INTO wash.location_hours (location_id, weekday, opens, closes)
    SELECT size.location(l), d, '08:00', '20:00' FROM generate_series(1::bigint, :locations) AS l, generate_series(1::bigint, 7) AS d;
INSERT INTO wash.location_staff (location_id, staff_id, role, bookable)
    SELECT size.location(l), size.manager(l), 'manager', false FROM generate_series(1::bigint, :locations) AS l;
INSERT INTO wash.location_staff (location_id, staff_id, role, bookable)
    SELECT size.location(CASE WHEN s <= :staff / 20 THEN 1 ELSE 2 + (s - 1 - :staff / 20) % (:locations - 1) END), size.staff(s), 'washer', true
    FROM generate_series(1::bigint, :staff) AS s;
INSERT INTO wash.staff_time_off (staff_id, during)
    SELECT size.staff(s), tstzrange(now() + interval '30 days', now() + interval '37 days') FROM generate_series(1::bigint, :staff, 3) AS s;
INSERT INTO wash.customers (id, user_id, name, email, phone, created_by, created_at)
    SELECT size.user(i), CASE WHEN i % 10 > 0 THEN size.user(i) END, CASE WHEN i % 10 = 0 THEN u.display_name END,
        CASE WHEN i % 10 = 0 THEN 'walkin' || i || '@example.com' END, CASE WHEN i % 10 = 0 THEN '030 ' || i END,
        CASE WHEN i % 10 = 0 THEN size.manager(1 + i % :locations) END, u.created_at
    FROM generate_series(1::bigint, :users) AS i JOIN usher.users AS u ON u.id = size.user(i);
CREATE TABLE size.bookings AS
    SELECT b, size.booking(b) AS id, CASE WHEN b % 5000 = 11 THEN 101 ELSE 1 + (b * 7919 + b / 20) % :users END AS customer,
        CASE WHEN b % 20 = 0 THEN 1 ELSE 2 + b % (:locations - 1) END AS location,
        date_trunc('minute', size.at(b, :bookings, 1000) + interval '60 days') AS start_at,
        CASE WHEN b > :bookings * 0.94 THEN CASE WHEN b % 10 = 0 THEN 'pending' ELSE 'confirmed' END
             WHEN b > :bookings * 0.9399 THEN 'in_progress' WHEN b % 10 = 1 THEN 'cancelled' ELSE 'completed' END AS status,
        CASE WHEN b % 200 = 0 THEN 1 WHEN b % 20 = 0 THEN 2 + b / 20 % (:staff / 20 - 1)
             ELSE 1 + :staff / 20 + b % (:locations - 1) + (:locations - 1) * (b / 100 % 4) END AS staff
    FROM generate_series(1::bigint, :bookings) AS b;
-- A name that many have, but nobody who books at location 1 or with the first of its staff.
UPDATE usher.users AS u SET last_name = 'Petersen'
    FROM (SELECT size.user(b.customer) AS id FROM size.bookings AS b GROUP BY b.customer
          HAVING bool_and(b.location <> 1 AND b.staff <> 1) AND b.customer % 90 = 7) AS c WHERE c.id = u.id;
INSERT INTO wash.bookings (id, customer_id, customer_user_id, service_id, location_id, staff_id, status, start_at, end_at, duration,
        buffer_before, buffer_after, service_name, price_minor, currency, pending_blocks, auto_confirm, needs_staff, customer_exclusive,
        by_appointment, hold_expires_at, created_at, updated_at, version)
    SELECT id, size.user(customer), CASE WHEN customer % 10 > 0 THEN size.user(customer) END, size.service(1 + b % 10), size.location(location),
        size.staff(staff), status, start_at, start_at + interval '30 minutes', '30 minutes', '0', '0', 'Service', 2500, 'EUR', true, false,
        true, true, b % 4 = 0, CASE WHEN status = 'pending' THEN now() + interval '1 day' END, start_at - interval '10 days', start_at, 1
    FROM size.bookings;
INSERT INTO wash.booking_claims (booking_id, resource_kind, holder_id, resource_id, during)
    SELECT b.id, k.kind, CASE WHEN b.b % 4 = 0 THEN size.appointment(b.b) ELSE b.id END, CASE k.kind WHEN 'staff' THEN size.staff(b.staff) ELSE size.user(b.customer) END,
        tstzrange(b.start_at, b.start_at + interval '30 minutes')
    FROM size.bookings AS b CROSS JOIN (VALUES ('staff'), ('customer')) AS k (kind)
    WHERE b.status IN ('pending', 'confirmed', 'in_progress') ON CONFLICT DO NOTHING;
INSERT INTO wash.appointments (id, booking_id, customer_id, location_id, practitioner_id, status, start_at, end_at, buffer_before, buffer_after,
        customer_exclusive, occupies)
    SELECT size.appointment(b.b), b.id, size.user(b.customer), size.location(b.location),
        size.staff(b.staff), CASE WHEN b.status IN ('pending', 'confirmed') THEN 'scheduled' WHEN b.status = 'in_progress' THEN 'arrived' ELSE b.status END,
        b.start_at, b.start_at + interval '30 minutes', '0', '0', true, b.status NOT IN ('completed', 'cancelled')
    FROM size.bookings AS b WHERE b.b % 4 = 0;
INSERT INTO wash.resource_guards (kind, id, day)
    SELECT DISTINCT 'location', size.location(location), start_at::date FROM size.bookings WHERE status IN ('pending', 'confirmed');
INSERT INTO usher.status_history (relation, entity_id, seq, from_status, to_status, action, changed_by, changed_by_name, changed_at)
    SELECT 'wash.bookings'::regclass, b.id, s.seq, s.before, s.after, 'action', size.user(b.customer), 'Somebody', b.start_at
    FROM size.bookings AS b CROSS JOIN (VALUES (1, NULL, 'pending'), (2, 'pending', 'confirmed')) AS s (seq, before, after)
    WHERE s.seq = 1 OR b.status <> 'pending';
INSERT INTO usher.events (id, event, payload, key, user_id, created_at)
    SELECT size.id(b.b, size.at(b.b, :bookings, 30)), 'booking.created', jsonb_build_object('user_id', size.user(b.customer)), b.id::text,
        size.user(b.customer), size.at(b.b, :bookings, 30) FROM size.bookings AS b WHERE b.b % 2 = 0;
INSERT INTO usher.deliveries (event_id, consumer, event, key, status, attempts, created_at, completed_at)
    SELECT e.id, 'mailer', e.event, e.key, s.status, 1, e.created_at, CASE s.status WHEN 'completed' THEN e.created_at END
    FROM (SELECT *, row_number() OVER () AS number FROM usher.events) AS e CROSS JOIN LATERAL (SELECT CASE
        WHEN e.number % 10 = 1 THEN 'pending' WHEN e.number % 1000 = 2 THEN 'parked' ELSE 'completed' END) AS s (status);
INSERT INTO usher.subscriptions (event, consumer, mode) VALUES ('booking.created', 'mailer', 'async');

-- Payments
INSERT INTO pay.payment_transactions (id, customer_id, user_id, location_id, reference_type, reference_id, amount_minor, currency, exponent,
        payment_method, status, processor, processor_transaction_id, attempt_count, captured_minor, refunded_minor, completed_at, created_at)
    SELECT size.payment(b / 2), size.user(customer), size.user(customer), size.location(location), 'booking', id, 2500, 'EUR', 2, 'card', s.status, 'fake', 'ch_' || b,
        1, CASE WHEN s.status = 'completed' THEN 2500 ELSE 0 END, 0, CASE WHEN s.status = 'completed' THEN start_at END, start_at - interval '1 day'
    FROM size.bookings CROSS JOIN LATERAL (SELECT CASE WHEN b % 1000 = 2 THEN 'failed' WHEN b = :bookings THEN 'processing' ELSE 'completed' END) AS s (status)
    WHERE b % 2 = 0;
INSERT INTO pay.payment_attempts (transaction_id, attempt_no, processor, provider_key, outcome, processor_transaction_id, captured_minor, requested_at)
    SELECT id, 1, 'fake', 'usher-' || id, CASE status WHEN 'failed' THEN 'declined' WHEN 'processing' THEN 'unknown' ELSE 'succeeded' END, processor_transaction_id,
        nullif(captured_minor, 0), created_at FROM pay.payment_transactions;
INSERT INTO pay.payment_refunds (transaction_id, amount_minor, currency, status, processor, provider_key, remaining_minor, resolved_at, created_at)
    SELECT size.payment(p * 20), 100, 'EUR', CASE WHEN p % 100 = 3 THEN 'pending' ELSE 'succeeded' END, 'fake', 'refund-' || p, 2400,
        CASE WHEN p % 100 <> 3 THEN t.created_at END, t.created_at
    FROM generate_series(1::bigint, :users / 20) AS p JOIN pay.payment_transactions AS t ON t.id = size.payment(p * 20);
INSERT INTO pay.payment_methods (customer_id, user_id, processor, token, last_four)
    SELECT size.user(i), size.user(i), 'fake', 'tok_' || i, '4242' FROM generate_series(1::bigint, :users, 2) AS i;
INSERT INTO pay.payment_webhook_events (processor, event_id, event_type, report, effect, transaction_id, received_at)
    SELECT 'fake', 'evt_' || i, 'payment.succeeded', '{}', CASE WHEN i % 1000 = 5 THEN 'unmatched' ELSE 'applied' END, size.payment(i), size.at(i, :users, 80)
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO pay.ledger_journals (id, kind, reference_type, reference_id, posted_at)
    SELECT size.id(i, '2022-03-01 00:00+00'::timestamptz + i * interval '1 second'), 'capture', 'payment', size.payment(i), size.at(i, :users, 1000)
    FROM generate_series(1::bigint, :users) AS i;
INSERT INTO pay.ledger_entries (journal_id, entry_no, account, direction, amount_minor, currency)
    SELECT size.id(i, '2022-03-01 00:00+00'::timestamptz + i * interval '1 second'), e.no, CASE WHEN i = 50 THEN 'rare' ELSE e.account END, e.direction, 2500, 'EUR'
    FROM generate_series(1::bigint, :users) AS i CROSS JOIN (VALUES (1, 'processor:fake', 'debit'), (2, 'sales', 'credit')) AS e (no, account, direction);

INSERT INTO pay.ledger_totals (account, currency, day, debit_minor, credit_minor)
    SELECT e.account, e.currency, (j.posted_at AT TIME ZONE 'UTC')::date, coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'debit'), 0),
        coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'credit'), 0)
    FROM pay.ledger_journals AS j JOIN pay.ledger_entries AS e ON e.journal_id = j.id WHERE j.posted_at < (SELECT o.now FROM size.of AS o) - interval '5 minutes' GROUP BY 1, 2, 3;
INSERT INTO pay.ledger_unsummed_journals SELECT j.id FROM pay.ledger_journals AS j WHERE j.posted_at >= (SELECT o.now FROM size.of AS o) - interval '5 minutes';

-- The shop: a product for each account, half as many orders. A twentieth of all stock lies at location 1, which has most orders as well.
INSERT INTO shop.products (id, sku, name, category, description, attributes, status, deleted_at, variant_of, created_at)
    SELECT size.product(p), 'SKU-' || p, (ARRAY['Soap', 'Wax', 'Sponge', 'Towel', 'Polish'])[1 + p % 5] || ' ' || initcap(translate(lpad(p::text, 7, '0'), '0123456789', 'abelmorstu')),
        'category ' || p % 100, CASE WHEN p % 1000 = 3 THEN 'Smells of lavender' END, jsonb_build_object('size', p % 7, 'colour', CASE WHEN p % 5000 = 9 THEN 'purple' ELSE 'white' END),
        CASE WHEN p % 20 = 13 THEN 'archived' ELSE 'active' END, CASE WHEN p % 20 = 13 THEN now() END, CASE WHEN p % 50 = 7 THEN size.product(p - 1) END, size.at(p, :users, 1000)
    FROM generate_series(1::bigint, :users) AS p;
INSERT INTO shop.product_prices (product_id, currency, valid_from, amount_minor)
    SELECT size.product(p), 'EUR', size.at(p, :users, 1000), 500 + p % 1000 FROM generate_series(1::bigint, :users) AS p;
INSERT INTO shop.stock_levels (product_id, location_id, on_hand, reserved, low_threshold)
    SELECT size.product(p), size.location(CASE WHEN p % 20 < 2 THEN 1 ELSE 2 + p % (:locations - 1) END), 100, (p % 20 = 0)::integer, CASE WHEN p % 1000 = 1 THEN 200 ELSE 5 END
    FROM generate_series(1::bigint, :users) AS p;
INSERT INTO shop.stock_reservations (id, product_id, location_id, quantity, status, expires_at, created_at)
    SELECT size.reservation(p), size.product(p), size.location(1), 1, 'held', now() + interval '1 hour', now()
    FROM generate_series(20::bigint, :users, 20) AS p;
INSERT INTO shop.inventory_logs (id, created_at, product_id, location_id, movement, on_hand_delta, reserved_delta, on_hand_after, reserved_after, source_type, source_id)
    SELECT size.id(p, size.at(p, :users, 20)), size.at(p, :users, 20), size.product(p), l.location_id, 'purchase', 100, 0, 100, 0, NULL, NULL
    FROM generate_series(1::bigint, :users) AS p JOIN shop.stock_levels AS l ON l.product_id = size.product(p)
    UNION ALL
    SELECT size.id(:users + p, now()), now(), size.product(p), size.location(1), 'reserve', 0, 1, 100, 1, 'reservation', size.reservation(p)
    FROM generate_series(20::bigint, :users, 20) AS p;
SELECT shop._make_log_partitions(100) AS months \gset
INSERT INTO shop.orders (id, customer_id, user_id, location_id, status, currency, net_minor, total_minor, paid_minor, event_count, placed_at, expires_at, created_at)
    SELECT size.order(o), size.user(c.number), size.user(c.number), size.location(CASE WHEN o % 20 = 0 THEN 1 ELSE 2 + o % (:locations - 1) END), s.status, 'EUR', 1000, 1000,
        CASE WHEN s.status IN ('placed', 'cart', 'cancelled') THEN 0 ELSE 1000 END, 2, CASE WHEN s.status <> 'cart' THEN size.at(o, :users / 2, 900) END,
        CASE WHEN s.status = 'placed' THEN now() + interval '1 day' END, size.at(o, :users / 2, 900)
    FROM generate_series(1::bigint, :users / 2) AS o CROSS JOIN LATERAL (SELECT CASE WHEN o % 500 = 3 THEN 101 ELSE 1 + (o * 7919) % :users END AS number) AS c
        CROSS JOIN LATERAL (SELECT CASE WHEN o % 1000 = 7 THEN 'placed' WHEN o % 1000 = 8 THEN 'paid' WHEN o % 100 = 9 THEN 'cancelled' WHEN o % 1000 = 11 THEN 'cart' ELSE 'completed' END AS status) AS s;
INSERT INTO shop.order_lines (id, order_id, line_no, product_id, quantity, sku, name, unit_price_minor, tax_rate_ppm, tax_included, net_minor, tax_minor, gross_minor, fulfilled)
    SELECT size.id(o, '2022-04-03 00:00+00'::timestamptz + o * interval '1 second'), size.order(o), 1, size.product(1 + (o * 31) % :users), 1, 'SKU', 'Something', 1000, 0, true, 1000, 0, 1000,
        CASE WHEN o % 1000 IN (7, 8, 11) OR o % 100 = 9 THEN 0 ELSE 1 END
    FROM generate_series(1::bigint, :users / 2) AS o;
INSERT INTO shop.order_events (order_id, seq, event, to_status, created_at)
    SELECT size.order(o), e.seq, e.event, e.event, size.at(o, :users / 2, 900)
    FROM generate_series(1::bigint, :users / 2) AS o CROSS JOIN (VALUES (1, 'cart'), (2, 'placed')) AS e (seq, event);
INSERT INTO shop.service_materials (service_id, product_id, quantity) SELECT size.service(s), size.product(s), 1 FROM generate_series(1::bigint, :services) AS s;

-- Points of most customers; customer 101 has more of them than anybody. Offers, most of them for one of the products.
CREATE TABLE size.entries AS
    SELECT e, CASE WHEN e % 2000 = 11 THEN 101 ELSE 1 + (e * 7919) % :users END AS customer FROM generate_series(1::bigint, :users) AS e;
INSERT INTO club.points_accounts (customer_id, user_id, balance, created_at)
    SELECT size.user(customer), size.user(customer), 10 * count(*), now() - interval '2 years' FROM size.entries GROUP BY customer;
INSERT INTO club.points_entries (id, customer_id, kind, points, rule_code, expires_at, occurred_at, created_at)
    SELECT size.entry(e), size.user(customer), 'earn', 10, 'manual', now() + interval '1 year' + e * interval '1 second', size.at(e, :users, 700), size.at(e, :users, 700) FROM size.entries;
INSERT INTO club.points_lots (id, customer_id, points, points_left, expires_at)
    SELECT size.entry(e), size.user(customer), 10, 10, now() + interval '1 year' + e * interval '1 second' FROM size.entries;
INSERT INTO club.points_sources (source_type, source_id, customer_id, amount_minor, currency, occurred_at)
    SELECT 'order', size.order(e), size.user(customer), 1000, 'EUR', size.at(e, :users, 700) FROM size.entries WHERE e <= :users / 2;
INSERT INTO club.loyalty_tiers (code, rank, threshold) VALUES ('SILVER', 1, 1000), ('GOLD', 2, 5000);
INSERT INTO club.loyalty_offers (id, title, status, kind, percent, product_ids, location_ids, needs_voucher, is_stackable, uses, valid_until)
    SELECT size.offer(f), 'Offer ' || f, CASE WHEN f % 10 = 9 THEN 'paused' ELSE 'active' END, 'percent', 10, CASE WHEN f > 3 AND f % 2 = 0 THEN ARRAY[size.product(f)] END,
        CASE WHEN f > 3 AND f % 2 = 1 THEN ARRAY[size.location(f)] END, f = 2, false, CASE WHEN f = 3 THEN :users / 10 ELSE 0 END, now() + interval '1 year'
    FROM generate_series(1::bigint, :users / 50) AS f;
INSERT INTO club.offer_vouchers (offer_id, code_hash, batch) SELECT size.offer(2), sha256(('VOUCHER' || v)::bytea), 'batch ' || v % 100 FROM generate_series(1::bigint, :users / 10) AS v;
INSERT INTO club.offer_uses (offer_id, customer_id, nth, reference_type, reference_id, amount_minor, discount_minor, currency)
    SELECT size.offer(3), size.user(1 + 2 * u), 1, 'order', size.order(u), 1000, 100, 'EUR' FROM generate_series(1::bigint, :users / 10) AS u;
INSERT INTO club.loyalty_rewards (id, title, status, cost_points, taken)
    SELECT size.reward(r), 'Reward ' || r, CASE WHEN r % 10 = 0 THEN 'retired' ELSE 'active' END, 10, 0 FROM generate_series(1::bigint, 500) AS r;
INSERT INTO club.reward_redemptions (reward_id, customer_id, status, cost_points, entry_id, expires_at, created_at)
    SELECT size.reward(r % 500 + 1), size.user(customer), 'expired', 10, size.entry(e), now() - interval '1 day', size.at(e, :users, 700)
    FROM size.entries CROSS JOIN LATERAL (SELECT e / 20 AS r) AS n WHERE e % 20 = 0;
INSERT INTO club.referral_programs (code, referrer_points, referee_points) VALUES ('default', 100, 50);
INSERT INTO club.referral_codes (customer_id, code) SELECT size.user(c), 'CODE' || c FROM generate_series(1::bigint, :users, 10) AS c;
INSERT INTO club.referrals (id, program, referrer_id, referee_id, status, flags, expires_at, created_at)
    SELECT size.referral(r), 'default', CASE WHEN r % 20 = 0 THEN size.user(101) ELSE size.user(1 + 10 * (r % (:users / 20))) END, size.user(2 * r), CASE WHEN r % 10 = 0 THEN 'pending' ELSE 'expired' END,
        CASE WHEN r % 500 = 3 THEN '{same_device}' ELSE '{}' END::text[], now() + interval '1 day', size.at(r, :users / 10, 300)
    FROM generate_series(1::bigint, :users / 10) AS r;
INSERT INTO club.loyalty_ads (id, title, placement, status) SELECT size.id(a, '2022-06-04 00:00+00'), 'Advertisement ' || a, 'place_' || a % 20, 'active' FROM generate_series(1::bigint, 1000) AS a;
INSERT INTO courier.messages (id, event_id, event, audience, user_id, recipient, recipient_key, message_id, status, attempts, next_attempt_at, expires_at,
                              claimed_by, sent_at, finished_at, created_at)
    SELECT size.id(m, '2022-07-01 00:00+00'), size.id(m, '2022-07-02 00:00+00'), 'user.password_changed', 'user', size.user(m), 'user' || m || '@example.com',
           'user' || m || '@example.com', '<' || m || '@example.com>', s.status, 1, now() - interval '1 minute', now() + interval '1 day',
           CASE WHEN s.status = 'claimed' THEN 'size' END, CASE WHEN s.status = 'sent' THEN now() END, CASE WHEN s.status NOT IN ('pending', 'claimed') THEN now() END, now()
    FROM generate_series(1::bigint, :users) AS m
        CROSS JOIN LATERAL (SELECT CASE WHEN m % 5000 = 1 THEN 'failed' WHEN m % 5000 = 2 THEN 'claimed' WHEN m % 5000 < 10 THEN 'pending' ELSE 'sent' END) AS s (status);
INSERT INTO usher.events (id, event, payload, key, user_id) -- of the first, which has failed and can be sent again
    VALUES (size.id(1, '2022-07-02 00:00+00'), 'user.password_changed', jsonb_build_object('user_id', size.user(1)), size.user(1)::text, size.user(1));
INSERT INTO courier.message_suppressions (address_key, address, reason, bounces, suppressed_at)
    SELECT 'user' || s || '@example.com', 'user' || s || '@example.com', 'bounced', 1, now() FROM generate_series(1::bigint, :users, 10) AS s;
INSERT INTO club.loyalty_ad_counts (ad_id, day, kind, count)
    SELECT a.id, current_date - d, 'view', 10 FROM club.loyalty_ads AS a CROSS JOIN generate_series(0, least(:users / 1000, 365)::integer) AS d;

-- The audit log: eleven months until now.
SELECT count(usher._make_audit_partition(date_trunc('month', now()) - make_interval(months => m))) AS months FROM generate_series(0, 11) AS m \gset
INSERT INTO usher.audit_logs (id, created_at, event_type, action, severity, source, result, actor_id, actor_name, session_id, database_user, correlation_id,
        resource_type, resource_id, key, new_values, transaction_id)
    SELECT size.id(r, a.at), a.at, CASE WHEN c.is_change THEN 'row.update' WHEN r % 10 = 8 THEN 'session.created' WHEN r = 999 THEN 'data.archived' ELSE 'report.printed' END,
        CASE WHEN c.is_change THEN 'update' WHEN r % 10 = 8 THEN 'created' WHEN r = 999 THEN 'archived' ELSE 'printed' END,
        CASE WHEN NOT c.is_change AND r % 500 = 9 THEN 'warning' ELSE 'info' END, CASE WHEN c.is_change THEN 'trigger' ELSE 'application' END,
        CASE WHEN r IN (1009, 2009) THEN 'failure' WHEN r % 1000 = 19 THEN 'denied' ELSE 'success' END,
        CASE WHEN r % 100 = 0 THEN size.user(1) WHEN r % 10 < 7 THEN size.user(1 + (r * 7919) % :users) END, 'Somebody',
        CASE WHEN r % 10 < 7 THEN size.session(1 + (r * 7919) % :users) END, 'application', 'request-' || r / 3,
        CASE WHEN c.is_change THEN 'wash.bookings' ELSE 'user' END,
        CASE WHEN c.is_change THEN size.booking(1 + r % :bookings)::text ELSE size.user(1 + (r * 7919) % :users)::text END,
        CASE WHEN c.is_change THEN jsonb_build_object('id', size.booking(1 + r % :bookings)) END, '{"status": "confirmed"}', r
    FROM generate_series(1::bigint, 5 * :users) AS r CROSS JOIN LATERAL (SELECT size.at(r, 5 * :users, 330) AS at) AS a
        CROSS JOIN LATERAL (SELECT r % 10 < 8 AS is_change) AS c;
RESET session_replication_role;

-- How many rows this transaction has read of each table, by whatever scan: those of indexes are counted too.
CREATE FUNCTION size.read() RETURNS TABLE (relation text, rows_read bigint, rows_there real) LANGUAGE sql AS $$
    SELECT coalesce(pg_partition_root(t.oid), t.oid)::regclass::text, sum(pg_stat_get_xact_tuples_returned(t.oid)
            + coalesce((SELECT sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) FROM pg_index AS i WHERE i.indrelid = t.oid), 0))::bigint,
        sum(t.reltuples)::real
    FROM pg_class AS t WHERE t.relkind = 'r' AND t.relnamespace IN ('usher'::regnamespace, 'wash'::regnamespace, 'pay'::regnamespace,
        'shop'::regnamespace, 'club'::regnamespace) GROUP BY 1 $$;
-- One call: how long it took, how much of that the processor worked on it (on Linux), and the tables of which it has read more than a quarter.
CREATE FUNCTION size.cpu_ms() RETURNS numeric LANGUAGE sql VOLATILE AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat', 0, 100, true), ' ', 1)::numeric / 1000000 $$;
CREATE FUNCTION size.measure(statement text, OUT ms numeric, OUT mostly_read text, OUT error text, OUT cpu_ms numeric) LANGUAGE plpgsql AS $$
DECLARE
    read_before CONSTANT jsonb := (SELECT jsonb_object_agg(r.relation, r.rows_read) FROM size.read() AS r);
    worked CONSTANT numeric := size.cpu_ms();
    started CONSTANT timestamptz := clock_timestamp();
BEGIN
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        error := SQLERRM;
    END;
    ms := round(extract(epoch FROM clock_timestamp() - started) * 1000, 1);
    cpu_ms := round(size.cpu_ms() - worked, 1);
    SELECT string_agg(format('%s of %s rows of %s', r.rows_read - (read_before ->> r.relation)::bigint, r.rows_there, r.relation), ', ')
    INTO mostly_read FROM size.read() AS r
    WHERE r.rows_there > 4000 AND r.rows_read - (read_before ->> r.relation)::bigint > r.rows_there / 4;
END $$;
ANALYZE;

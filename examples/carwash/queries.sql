-- What R0 prints, in its order, against the tables of names.sql; queries.out is what comes out. Statements of the document
-- are unchanged; where it prints Python or a shell, the SQL or the command that does the same stands instead.
\set ECHO queries
\set SHOW_CONTEXT never
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
SET search_path = carwash, public;
SET TimeZone = 'UTC';
-- instants of the data, which are others each time
\set hide '|sed -E "s/20[0-9-]+ [0-9:.]+\\+00/<instant>/g"'

\echo '--- R0, Current Database Schema; Future Feature Integration: the tables as the document makes them'
-- They are made as printed, in a schema that goes again, and compared with the views of the same names.
BEGIN;
CREATE SCHEMA printed;
SET LOCAL search_path = printed, public;

-- R0, 1. auth_users (Primary Table)
CREATE TABLE auth_users (
    id                          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email                       VARCHAR(255) NOT NULL UNIQUE,
    password_hash               VARCHAR(255) NOT NULL,
    first_name                  VARCHAR(100) NOT NULL,
    last_name                   VARCHAR(100) NOT NULL,
    phone                       VARCHAR(20),
    role                        VARCHAR(20) NOT NULL DEFAULT 'client',
    is_active                   BOOLEAN NOT NULL DEFAULT true,
    
    -- Email verification
    email_verified              BOOLEAN NOT NULL DEFAULT false,
    email_verified_at           TIMESTAMP,
    email_verification_token    VARCHAR(255),
    email_verification_expires  TIMESTAMP,
    
    -- Password reset
    password_reset_token        VARCHAR(255),
    password_reset_expires      TIMESTAMP,
    password_reset_requested_at TIMESTAMP,
    password_changed_at         TIMESTAMP,
    
    -- Account lockout
    failed_login_attempts       INTEGER NOT NULL DEFAULT 0,
    locked_until               TIMESTAMP,
    lockout_count              INTEGER NOT NULL DEFAULT 0,
    last_failed_login          TIMESTAMP,
    
    -- Session management
    last_login                 TIMESTAMP,
    refresh_tokens             JSON DEFAULT '[]',
    
    -- Timestamps
    created_at                 TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at                 TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Indexes
CREATE INDEX idx_auth_users_email ON auth_users(email);
CREATE INDEX idx_auth_users_role ON auth_users(role);
CREATE INDEX idx_auth_users_is_active ON auth_users(is_active);
CREATE INDEX idx_auth_users_email_verification_token ON auth_users(email_verification_token);
CREATE INDEX idx_auth_users_password_reset_token ON auth_users(password_reset_token);
CREATE INDEX idx_auth_users_locked_until ON auth_users(locked_until);

-- R0, 2. Potential Future Auth Tables
-- User sessions (if detailed session tracking is needed)
CREATE TABLE auth_user_sessions (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         UUID NOT NULL REFERENCES auth_users(id) ON DELETE CASCADE,
    session_token   VARCHAR(255) NOT NULL UNIQUE,
    device_info     JSON,
    ip_address      INET,
    user_agent      TEXT,
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_activity   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at      TIMESTAMP NOT NULL,
    is_active       BOOLEAN NOT NULL DEFAULT true
);

-- Login attempts (for detailed security auditing)
CREATE TABLE auth_login_attempts (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    email           VARCHAR(255) NOT NULL,
    user_id         UUID REFERENCES auth_users(id) ON DELETE SET NULL,
    ip_address      INET,
    user_agent      TEXT,
    success         BOOLEAN NOT NULL,
    failure_reason  VARCHAR(100),
    attempted_at    TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- OAuth providers (if social login is added)
CREATE TABLE auth_oauth_providers (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         UUID NOT NULL REFERENCES auth_users(id) ON DELETE CASCADE,
    provider        VARCHAR(50) NOT NULL, -- 'google', 'facebook', etc.
    provider_user_id VARCHAR(255) NOT NULL,
    provider_email  VARCHAR(255),
    access_token    TEXT,
    refresh_token   TEXT,
    token_expires   TIMESTAMP,
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    
    UNIQUE(provider, provider_user_id)
);

-- R0, Wash Service Feature
-- Wash services offered
CREATE TABLE wash_services (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name            VARCHAR(100) NOT NULL,
    description     TEXT,
    duration_minutes INTEGER NOT NULL,
    price_cents     INTEGER NOT NULL,
    is_active       BOOLEAN NOT NULL DEFAULT true,
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Customer bookings
CREATE TABLE wash_bookings (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id     UUID NOT NULL, -- References auth_users(id)
    service_id      UUID NOT NULL REFERENCES wash_services(id),
    washer_id       UUID, -- References auth_users(id) where role='washer'
    
    -- Booking details
    scheduled_at    TIMESTAMP NOT NULL,
    status          VARCHAR(20) NOT NULL DEFAULT 'pending',
    vehicle_info    JSON,
    special_instructions TEXT,
    
    -- Pricing
    price_cents     INTEGER NOT NULL,
    paid_at         TIMESTAMP,
    payment_method  VARCHAR(20),
    
    -- Timestamps
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    
    -- Foreign key constraints handled at application level
    -- to avoid tight coupling between features
    CONSTRAINT chk_booking_status CHECK (status IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled'))
);

-- Booking status history
CREATE TABLE wash_booking_history (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    booking_id      UUID NOT NULL REFERENCES wash_bookings(id) ON DELETE CASCADE,
    status          VARCHAR(20) NOT NULL,
    changed_by      UUID, -- References auth_users(id)
    notes           TEXT,
    changed_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- R0, Payment Feature
-- Payment transactions
CREATE TABLE payment_transactions (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id     UUID NOT NULL, -- References auth_users(id)
    booking_id      UUID, -- References wash_bookings(id)
    
    -- Transaction details
    amount_cents    INTEGER NOT NULL,
    currency        VARCHAR(3) NOT NULL DEFAULT 'USD',
    payment_method  VARCHAR(20) NOT NULL,
    status          VARCHAR(20) NOT NULL DEFAULT 'pending',
    
    -- External payment processor
    processor       VARCHAR(20), -- 'stripe', 'paypal', etc.
    processor_transaction_id VARCHAR(255),
    processor_response JSON,
    
    -- Timestamps
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    
    CONSTRAINT chk_payment_status CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'refunded'))
);

-- R0, Location Feature
-- Wash locations
CREATE TABLE wash_locations (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name            VARCHAR(100) NOT NULL,
    address         TEXT NOT NULL,
    city            VARCHAR(50) NOT NULL,
    state           VARCHAR(20) NOT NULL,
    zip_code        VARCHAR(10) NOT NULL,
    country         VARCHAR(2) NOT NULL DEFAULT 'US',
    
    -- Geographic coordinates
    latitude        DECIMAL(10, 8),
    longitude       DECIMAL(11, 8),
    
    -- Operational details
    phone           VARCHAR(20),
    email           VARCHAR(255),
    operating_hours JSON,
    services_offered UUID[], -- Array of wash_services IDs
    max_concurrent_bookings INTEGER DEFAULT 5,
    
    is_active       BOOLEAN NOT NULL DEFAULT true,
    created_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at      TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Staff assignments to locations
CREATE TABLE wash_location_staff (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    location_id     UUID NOT NULL REFERENCES wash_locations(id) ON DELETE CASCADE,
    staff_id        UUID NOT NULL, -- References auth_users(id) where role IN ('washer', 'manager')
    role            VARCHAR(20) NOT NULL,
    assigned_at     TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    is_active       BOOLEAN NOT NULL DEFAULT true,
    
    UNIQUE(location_id, staff_id)
);

-- R0, Performance Optimization: the document calls the bookings by the name that another prefix gives
CREATE TABLE booking_reservations (LIKE wash_bookings);
-- Feature-specific indexes
CREATE INDEX idx_auth_users_email_active ON auth_users(email) WHERE is_active = true;
CREATE INDEX idx_booking_status_date ON booking_reservations(status, scheduled_at);
CREATE INDEX idx_payment_customer_date ON payment_transactions(customer_id, created_at);

-- Partial indexes for common queries
CREATE INDEX idx_auth_users_locked ON auth_users(id) WHERE locked_until IS NOT NULL;
CREATE INDEX idx_booking_pending ON booking_reservations(customer_id) WHERE status = 'pending';

\echo '--- the columns: how many of each table are the same; JSON is jsonb, TIMESTAMP is timestamptz; what else differs'
CREATE TEMP VIEW pairs AS
SELECT c.relname, p.attname, format_type(p.atttypid, p.atttypmod) AS printed,
    (SELECT format_type(o.atttypid, o.atttypmod) FROM pg_attribute AS o
     WHERE o.attrelid = format('carwash.%I', c.relname)::regclass AND o.attname = p.attname) AS ours
FROM pg_class AS c JOIN pg_attribute AS p ON p.attrelid = c.oid AND p.attnum > 0
WHERE c.relnamespace = 'printed'::regnamespace AND c.relkind = 'r';
SELECT relname, count(*) AS columns, count(*) FILTER (WHERE printed = ours) AS same,
    count(*) FILTER (WHERE (printed, ours) = ('json', 'jsonb')) AS jsonb,
    count(*) FILTER (WHERE (printed, ours) = ('timestamp without time zone', 'timestamp with time zone')) AS instants
FROM pairs GROUP BY relname ORDER BY relname;
SELECT relname, attname, printed, ours FROM pairs
WHERE printed IS DISTINCT FROM ours
    AND (printed, ours) NOT IN (('json', 'jsonb'), ('timestamp without time zone', 'timestamp with time zone'))
ORDER BY relname, attname;

\echo '--- the indexes: the one of usher that serves the same look-up'
-- E-mail addresses are found whatever their case, so the index is on usher.name_key(); tokens are found by their hash.
SELECT i.relname AS printed, u.indexdef AS ours
FROM pg_class AS i
LEFT JOIN (VALUES
    ('idx_auth_users_email', 'users_email_key'), ('idx_auth_users_email_active', 'users_email_key'),
    ('idx_auth_users_role', 'user_roles_role_id_idx'), ('idx_auth_users_is_active', 'users_status_idx'),
    ('idx_auth_users_email_verification_token', 'one_time_tokens_token_hash_key'),
    ('idx_auth_users_password_reset_token', 'one_time_tokens_token_hash_key'),
    ('idx_auth_users_locked_until', 'credentials_locked_until_idx'),
    ('idx_auth_users_locked', 'credentials_locked_until_idx'),
    ('idx_booking_status_date', 'bookings_status_start_at_idx'),
    ('idx_booking_pending', 'bookings_customer_pending_idx'),
    ('idx_payment_customer_date', 'payment_transactions_customer_idx')) AS s (printed, ours) ON s.printed = i.relname
LEFT JOIN pg_indexes AS u ON u.indexname = s.ours AND u.schemaname IN ('usher', 'wash')
WHERE i.relnamespace = 'printed'::regnamespace AND i.relname LIKE 'idx%' ORDER BY i.relname;

\echo '--- the rules: what the constraints of the document refuse is refused'
SELECT c.relname, pg_get_constraintdef(k.oid) AS printed, (
    SELECT string_agg(s, ', ' ORDER BY s) FROM unnest(usher.machine_statuses(m.machine)) AS s) AS ours
FROM (VALUES ('wash_bookings', 'booking'), ('payment_transactions', 'payment')) AS m (relation, machine)
JOIN pg_class AS c ON c.relname = m.relation AND c.relnamespace = 'printed'::regnamespace
JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'c' ORDER BY c.relname;
ROLLBACK;

\echo '--- R0, Role Hierarchy & Permissions: who can manage whom'
SELECT a.role AS actor, string_agg(t.role, ', ' ORDER BY t.role) AS manages
FROM auth_users AS a JOIN auth_users AS t ON t.id <> a.id AND usher.can_manage(t.id, a.id)
WHERE a.role <> 'payment_worker' AND t.role <> 'payment_worker' GROUP BY a.id, a.role ORDER BY a.role, a.id;
SELECT role, description FROM usher.list_roles() WHERE role IN ('admin', 'manager', 'washer', 'client') ORDER BY role;

\echo '--- R0, Inter-Feature Relationships, 1: verify the customer, then create the booking'
CREATE TEMP TABLE times AS SELECT (date_trunc('day', now() AT TIME ZONE 'America/New_York')
    + interval '3 days 10 hours') AT TIME ZONE 'America/New_York' AS ten;
-- raise ValueError("Customer not found")
INSERT INTO wash_bookings (customer_id, service_id, scheduled_at)
VALUES ('01900000-0000-7000-8000-00000000dead', '01900000-0000-7000-8000-000000000011', (SELECT ten FROM times));
-- booking = await self._booking_repo.create(...)
INSERT INTO wash_bookings (id, customer_id, service_id, washer_id, scheduled_at, vehicle_info, special_instructions)
VALUES ('01900000-0000-7000-8000-0000000000b1', '01900000-0000-7000-8000-0000000000a5',
    '01900000-0000-7000-8000-000000000011', '01900000-0000-7000-8000-0000000000a3', (SELECT ten FROM times),
    '{"plate": "USHER 1"}', 'mind the mirror')
RETURNING status, price_cents, vehicle_info, special_instructions, paid_at;
-- The foreign key that the document avoids: these are views, and between the tables below no key crosses extensions.
ALTER TABLE wash_bookings ADD CONSTRAINT fk_customer 
    FOREIGN KEY (customer_id) REFERENCES auth_users(id);
SELECT count(*) AS keys_that_cross
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_class AS r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace <> r.relnamespace;

\echo '--- what is written under the names of the document obeys the rules of usher'
-- the same washer at the same time; a jump; somebody who is no washer
INSERT INTO wash_bookings (customer_id, service_id, washer_id, scheduled_at)
VALUES ('01900000-0000-7000-8000-0000000000a1', '01900000-0000-7000-8000-000000000011',
    '01900000-0000-7000-8000-0000000000a3', (SELECT ten FROM times));
UPDATE wash_bookings SET status = 'completed' WHERE id = '01900000-0000-7000-8000-0000000000b1';
UPDATE wash_bookings SET washer_id = '01900000-0000-7000-8000-0000000000a5'
WHERE id = '01900000-0000-7000-8000-0000000000b1';
UPDATE wash_bookings SET paid_at = now() WHERE id = '01900000-0000-7000-8000-0000000000b1';
UPDATE wash_bookings SET status = 'confirmed' WHERE id = '01900000-0000-7000-8000-0000000000b1' RETURNING status;
UPDATE wash_bookings SET scheduled_at = scheduled_at + interval '1 hour', washer_id =
    '01900000-0000-7000-8000-0000000000a4' WHERE id = '01900000-0000-7000-8000-0000000000b1' RETURNING washer_id;
SELECT status, changed_by, notes FROM wash_booking_history ORDER BY changed_at, id;
-- cash at the counter
INSERT INTO payment_transactions (id, customer_id, booking_id, amount_cents, payment_method)
VALUES ('01900000-0000-7000-8000-0000000000c1', '01900000-0000-7000-8000-0000000000a5',
    '01900000-0000-7000-8000-0000000000b1', 2500, 'cash') RETURNING status, currency;
UPDATE payment_transactions SET status = 'completed' WHERE id = '01900000-0000-7000-8000-0000000000c1' RETURNING status;
SELECT paid_at IS NOT NULL AS paid, payment_method FROM wash_bookings;
-- accounts, their secrets, their hours
INSERT INTO auth_users (id, email, password_hash, first_name, last_name, role)
VALUES ('01900000-0000-7000-8000-0000000000a7', 'new@carwash.example',
    '$2b$04$nQdJ5sEKYSECsSIeFKyFVuzGF8dbwCx2tTJAlQ0MEvSnrpTJNFPGy', 'Nora', 'New', 'washer')
RETURNING email, password_hash, role, is_active, refresh_tokens;
UPDATE auth_users SET phone = '+1 212 555 0199', is_active = false WHERE email = 'new@carwash.example'
RETURNING phone, role, is_active;
-- its mailbox is proved, not written
UPDATE auth_users SET email = 'other@carwash.example' WHERE email = 'new@carwash.example';
INSERT INTO auth_oauth_providers (user_id, provider, provider_user_id, provider_email, access_token)
VALUES ('01900000-0000-7000-8000-0000000000a5', 'google', '110248495921238986420', 'clara@gmail.example', 'ya29.a')
RETURNING provider, access_token, refresh_token;
SELECT access_token FROM usher.get_provider_tokens('01900000-0000-7000-8000-0000000000a5', 'google');
INSERT INTO wash_location_staff (location_id, staff_id, role)
VALUES ('01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-0000000000a5', 'washer');
UPDATE wash_locations SET operating_hours = jsonb_set(operating_hours, '{sunday}', '{"open": "08:00", "close": "20:00"}'),
    max_concurrent_bookings = 4 RETURNING operating_hours -> 'sunday' AS sunday, max_concurrent_bookings;

\echo '--- R0, 3. Shared Value Objects: UserReference, and the booking that carries two'
SELECT (r).* FROM usher.user_reference('01900000-0000-7000-8000-0000000000a5') AS r;
SELECT customer, washer FROM wash.get_booking('01900000-0000-7000-8000-0000000000b1');

\echo '--- R0, Table Naming Conventions: prefixes'
SELECT relname FROM pg_class WHERE relnamespace = 'carwash'::regnamespace AND relkind = 'v' ORDER BY relname;
-- AUTH_TABLE_PREFIX, BOOKING_TABLE_PREFIX, PAYMENT_TABLE_PREFIX: the schema of each extension
SELECT e.extname, n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname LIKE 'usher%' ORDER BY e.extname;

\echo '--- R0, Database Configuration, Auto-Migration Strategy'
-- setup_database(): CREATE EXTENSION, which is done; again, it does nothing
CREATE EXTENSION IF NOT EXISTS usher_booking SCHEMA wash;
-- migrate_database(target_version)
\set ECHO none
SELECT extversion AS target_version FROM pg_extension WHERE extname = 'usher_booking' \gset
ALTER EXTENSION usher_booking UPDATE TO :'target_version';
\set ECHO queries
-- DB_POOL_SIZE, DB_MAX_OVERFLOW and DB_POOL_TIMEOUT are options of the gateway:
--     usher-gateway --pool-size 20 --pool-overflow 30 --pool-wait-ms 30000

\echo '--- R0, Query Patterns, Cross-Feature Queries'
SELECT b.*, u.email, u.first_name 
FROM booking_reservations b 
JOIN auth_users u ON b.customer_id = u.id \g :hide
-- get_booking_with_customer(booking_id)
SELECT status, (customer).email, (customer).name, (washer).name AS washer
FROM wash.get_booking('01900000-0000-7000-8000-0000000000b1');

\echo '--- R0, Efficient Data Loading: get_bookings_with_customers(ids)'
SELECT booking_id, status, (customer).name FROM wash.get_bookings(ARRAY['01900000-0000-7000-8000-0000000000b1',
    '01900000-0000-7000-8000-00000000dead']::uuid[]);
-- get_users_by_ids(customer_ids)
SELECT r.* FROM usher.user_references(ARRAY['01900000-0000-7000-8000-0000000000a5',
    '01900000-0000-7000-8000-0000000000a3']::uuid[]) AS r ORDER BY r.id;

\echo '--- R0, Getting Started, 1. Current Implementation'
-- python main.py: ./dev run carwash. Check the database:
\d auth_users

\echo '--- R0, 2. Event-Driven Communication: a user is deleted, and each feature cleans up'
INSERT INTO wash_bookings (id, customer_id, service_id, scheduled_at)
VALUES ('01900000-0000-7000-8000-0000000000b2', '01900000-0000-7000-8000-0000000000a5',
    '01900000-0000-7000-8000-000000000013', (SELECT ten FROM times) + interval '4 hours');
SELECT status, amount_cents FROM payment_transactions WHERE booking_id = '01900000-0000-7000-8000-0000000000b2';
BEGIN;
DELETE FROM auth_users WHERE id = '01900000-0000-7000-8000-0000000000a5';
SELECT event, payload - 'email' FROM usher.events WHERE event LIKE 'user.%' ORDER BY id DESC LIMIT 1;
SELECT status FROM wash_bookings ORDER BY id;
SELECT status FROM payment_transactions WHERE booking_id = '01900000-0000-7000-8000-0000000000b2';
SELECT count(*) AS accounts FROM auth_users WHERE email = 'client@carwash.example';
ROLLBACK;

\echo '--- who sees and writes what, as the application does: nobody nothing, a client their own, a manager their people''s'
SET ROLE carwash_app;
SELECT (SELECT count(*) FROM auth_users) AS accounts, (SELECT count(*) FROM auth_user_sessions) AS sessions,
    (SELECT count(*) FROM wash_bookings) AS bookings, (SELECT count(*) FROM wash_booking_history) AS history,
    (SELECT count(*) FROM payment_transactions) AS payments, (SELECT count(*) FROM wash_services) AS services;
INSERT INTO auth_users (email, first_name, last_name, role) VALUES ('evil@carwash.example', 'E', 'Vil', 'admin');
UPDATE wash_services SET price_cents = 1 WHERE id = '01900000-0000-7000-8000-000000000011';
RESET ROLE;
\set ECHO none
SELECT usher.issue_token('01900000-0000-7000-8000-0000000000a5') AS client,
    usher.issue_token('01900000-0000-7000-8000-0000000000a2') AS manager \gset
SET ROLE carwash_app;
BEGIN;
SELECT usher.authenticate(:'client') AS client_is;
\set ECHO queries
SELECT email, role FROM auth_users;
SELECT (SELECT count(*) FROM wash_bookings) AS bookings, (SELECT count(*) FROM wash_booking_history) AS history,
    (SELECT count(*) FROM payment_transactions) AS payments, (SELECT count(*) FROM wash_services) AS services,
    (SELECT count(*) FROM wash_locations) AS locations, (SELECT count(*) FROM wash_location_staff) AS staff;
UPDATE auth_users SET first_name = 'Klara' WHERE role = 'client' RETURNING first_name;
SAVEPOINT mine;
UPDATE auth_users SET role = 'admin' WHERE role = 'client';
ROLLBACK TO mine;
UPDATE wash_bookings SET status = 'completed' WHERE id = '01900000-0000-7000-8000-0000000000b1';
ROLLBACK TO mine;
UPDATE payment_transactions SET status = 'completed' WHERE booking_id = '01900000-0000-7000-8000-0000000000b2';
ROLLBACK TO mine;
UPDATE wash_services SET price_cents = 1;
ROLLBACK TO mine;
SELECT password_hash FROM usher.credentials;
ROLLBACK TO mine;
INSERT INTO wash_bookings (service_id, scheduled_at)
SELECT '01900000-0000-7000-8000-000000000011', min(start_at) FROM wash.find_slots('01900000-0000-7000-8000-000000000001',
    '01900000-0000-7000-8000-000000000011', now() + interval '5 days', now() + interval '6 days')
RETURNING customer_id, status, price_cents;
UPDATE wash_bookings SET status = 'cancelled' WHERE id <> '01900000-0000-7000-8000-0000000000b1' AND status = 'pending'
RETURNING status;
ROLLBACK;
BEGIN;
\set ECHO none
SELECT usher.authenticate(:'manager') AS manager_is;
\set ECHO queries
SELECT email, role FROM auth_users ORDER BY id;
SELECT email, success FROM auth_login_attempts;
UPDATE wash_services SET price_cents = 2600, description = 'More foam' WHERE name = 'Exterior wash'
RETURNING price_cents, description;
UPDATE auth_users SET is_active = false WHERE email = 'washer2@carwash.example' RETURNING is_active;
SELECT status, washer_id IS NOT NULL AS has_washer FROM wash_bookings ORDER BY id;
UPDATE auth_users SET role = 'admin' WHERE email = 'washer@carwash.example';
ROLLBACK;
RESET ROLE;

-- What a DBA runs for the car wash of R0: extensions, roles, accounts, two washers, services, a location. On a
-- database called carwash, as a superuser; may run again, and changes nothing then. `./dev run` does all of it.
--
-- demo: Demo accounts (e-mail, password):
-- demo:   admin@carwash.example     sparkling-admin-demo
-- demo:   manager@carwash.example   sparkling-manager-demo
-- demo:   washer@carwash.example    sparkling-washer-demo
-- demo:   washer2@carwash.example   sparkling-washer-demo
-- demo:   client@carwash.example    sparkling-client-demo
-- demo: The same in SQL: ./dev psql --system carwash -f examples/carwash/story.sql
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
-- The prefix of the document is a schema here.
CREATE SCHEMA IF NOT EXISTS wash;
CREATE EXTENSION IF NOT EXISTS usher_booking SCHEMA wash CASCADE;
CREATE EXTENSION IF NOT EXISTS usher_payment SCHEMA wash CASCADE;

BEGIN;
SELECT usher.apply_role_preset('carwash');
SELECT usher.apply_role_preset('payments');

-- Roles for applications that connect to the database themselves, and for the program that calls the processor of
-- cards. Give them passwords to use them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{carwash_app,carwash_worker}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        PERFORM usher.grant_access(name, 'application');
    END LOOP;
END
$$;

DO $$
DECLARE
    account record;
    account_id uuid;
    made record;
BEGIN
    FOR account IN SELECT * FROM (VALUES
        ('a1', 'admin@carwash.example', 'sparkling-admin-demo', 'Ada', 'Admin', 'admin'),
        ('a2', 'manager@carwash.example', 'sparkling-manager-demo', 'Max', 'Manager', 'manager'),
        ('a3', 'washer@carwash.example', 'sparkling-washer-demo', 'Wanda', 'Washer', 'washer'),
        ('a4', 'washer2@carwash.example', 'sparkling-washer-demo', 'Will', 'Washer', 'washer'),
        ('a5', 'client@carwash.example', 'sparkling-client-demo', 'Clara', 'Client', 'client'),
        -- a program, which nobody logs in as: it has a token
        ('a6', 'payments@carwash.example', NULL, 'Payment', 'Worker', 'payment_worker')
        ) AS a (short_id, email, password, first_name, last_name, role)
    LOOP
        account_id := '01900000-0000-7000-8000-0000000000' || account.short_id;
        CONTINUE WHEN EXISTS (SELECT FROM usher.users WHERE id = account_id);
        SELECT * INTO made FROM usher.import_user(account.email,
            CASE WHEN account.password IS NOT NULL THEN usher.hash_password(account.password) END,
            first_name => account.first_name, last_name => account.last_name, id => account_id);
        IF made.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.email, made.error;
        END IF;
        IF account.role <> 'client' THEN -- which everybody is at first
            PERFORM usher.grant_role(made.user_id, account.role);
            PERFORM usher.revoke_role(made.user_id, 'client');
        END IF;
    END LOOP;
END
$$;

DO $$
DECLARE
    location CONSTANT uuid := '01900000-0000-7000-8000-000000000001';
    exterior CONSTANT uuid := '01900000-0000-7000-8000-000000000011';
    full_wash CONSTANT uuid := '01900000-0000-7000-8000-000000000012';
    detail CONSTANT uuid := '01900000-0000-7000-8000-000000000013';
BEGIN
    IF EXISTS (SELECT FROM wash.locations WHERE id = location) THEN
        RETURN;
    END IF;
    PERFORM wash.create_service('Exterior wash', '30 minutes', 2500, 'USD', 'Foam, rinse and dry', id => exterior);
    PERFORM wash.create_service('Full service', '1 hour', 5900, 'USD', 'Exterior wash, vacuum, windows and wax',
        buffer_after => '15 minutes', slot_step => '30 minutes', id => full_wash);
    -- Paid in advance. Clients move and cancel it until a day before; until two days before all of it goes back,
    -- then half.
    PERFORM wash.create_service('Interior detail', '2 hours', 12000, 'USD', 'Every seam, by hand',
        prepayment => 'full', cancel_cutoff => '24 hours', refund_policy => 'by_notice', refund_notice => '48 hours',
        refund_percent => 50, id => detail);
    PERFORM wash.create_location('Sparkling Car Wash', '1 Clean Street', 'New York',
                                 'NY', '10001', time_zone => 'America/New_York', phone => '+1 212 555 0100',
                                 email => 'hello@carwash.example', id => location);
    PERFORM wash.set_location_hours(location, '{1,2,3,4,5,6,7}', '[{"opens": "07:00", "closes": "21:00"}]');
    PERFORM wash.set_location_services(location, ARRAY[exterior, full_wash, detail]);
    PERFORM wash.assign_staff(location, '01900000-0000-7000-8000-0000000000a3', 'washer');
    PERFORM wash.assign_staff(location, '01900000-0000-7000-8000-0000000000a4', 'washer');
    PERFORM wash.assign_staff(location, '01900000-0000-7000-8000-0000000000a2', 'manager');
END
$$;

-- What the program that calls the processor waits for.
SELECT usher.subscribe('payment.attempt_requested', 'payment_worker', mode => 'async');
SELECT usher.subscribe('refund.requested', 'payment_worker', mode => 'async');
-- What the processor signs its webhooks with. Yours is a secret.
SELECT wash.add_webhook_secret('cards', 'stripe', 'whsec_of_the_demo_and_of_nothing_else')
WHERE NOT EXISTS (SELECT FROM wash.list_webhook_secrets('cards'));
COMMIT;

-- Demo data for `./dev run`: a car wash with two services, hours, staff and a customer. May run again; changes nothing
-- then.
--
-- demo: Demo accounts (e-mail, password):
-- demo:   admin@carwash.example     sparkling-admin-demo
-- demo:   manager@carwash.example   sparkling-manager-demo
-- demo:   washer@carwash.example    sparkling-washer-demo
-- demo:   washer2@carwash.example   sparkling-washer-demo
-- demo:   client@carwash.example    sparkling-client-demo
-- demo: The same in SQL: ./dev psql -f examples/carwash/story.sql
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE SCHEMA IF NOT EXISTS wash;
CREATE EXTENSION IF NOT EXISTS usher_booking SCHEMA wash CASCADE;

BEGIN;
SELECT usher.apply_role_preset('carwash');

-- A role for applications that connect to the database themselves; give it a password to use it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'carwash_app') THEN
        CREATE ROLE carwash_app LOGIN;
    END IF;
END
$$;
SELECT usher.grant_access('carwash_app', 'application');

DO $$
DECLARE
    account record;
    made record;
    verified record;
BEGIN
    FOR account IN SELECT * FROM (VALUES
        ('admin@carwash.example', 'sparkling-admin-demo', 'Ada', 'Admin', 'admin'),
        ('manager@carwash.example', 'sparkling-manager-demo', 'Max', 'Manager', 'manager'),
        ('washer@carwash.example', 'sparkling-washer-demo', 'Wanda', 'Washer', 'washer'),
        ('washer2@carwash.example', 'sparkling-washer-demo', 'Will', 'Washer', 'washer'),
        ('client@carwash.example', 'sparkling-client-demo', 'Clara', 'Client', 'client')
        ) AS a (email, password, first_name, last_name, role)
    LOOP
        CONTINUE WHEN (usher.find_user(account.email)).user_id IS NOT NULL;
        SELECT * INTO made
        FROM usher.register_user(account.email, account.password, account.first_name, account.last_name);
        IF made.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.email, made.error;
        END IF;
        SELECT * INTO verified
        FROM usher.verify_email(usher.create_email_verification(made.user_id), account.password);
        IF verified.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.email, verified.error;
        END IF;
        IF account.role <> 'client' THEN
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
BEGIN
    IF EXISTS (SELECT FROM wash.locations WHERE id = location) THEN
        RETURN;
    END IF;
    PERFORM wash.create_service('Exterior wash', '30 minutes', 2500, 'USD', 'Foam, rinse and dry', id => exterior);
    PERFORM wash.create_service('Full service', '1 hour', 5900, 'USD', 'Exterior wash, vacuum, windows and wax',
        buffer_after => '15 minutes', slot_step => '30 minutes', id => full_wash);
    PERFORM wash.create_location('Sparkling Car Wash', '1 Clean Street', 'New York',
                                 'NY', '10001', time_zone => 'America/New_York', phone => '+1 212 555 0100',
                                 email => 'hello@carwash.example', id => location);
    PERFORM wash.set_location_hours(location, '{1,2,3,4,5,6,7}', '[{"opens": "07:00", "closes": "21:00"}]');
    PERFORM wash.set_location_services(location, ARRAY[exterior, full_wash]);
    PERFORM wash.assign_staff(location, (usher.find_user('washer@carwash.example')).user_id, 'washer');
    PERFORM wash.assign_staff(location, (usher.find_user('washer2@carwash.example')).user_id, 'washer');
    PERFORM wash.assign_staff(location, (usher.find_user('manager@carwash.example')).user_id, 'manager');
END
$$;
COMMIT;

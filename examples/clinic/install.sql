-- A clinic that takes appointments, sells, is paid, and has regular customers: what a DBA runs as a superuser on an
-- empty database. Each feature lives in a schema of its own. May run again; changes nothing then.
--
--     ./dev run clinic
--
-- demo: Demo accounts of the clinic (e-mail, password):
-- demo:   admin@clinic.example      healthy-admin-demo       runs everything
-- demo:   manager@clinic.example    healthy-manager-demo     runs the practice and its staff
-- demo:   doctor@clinic.example     healthy-doctor-demo      treats patients
-- demo:   desk@clinic.example       healthy-desk-demo        the front desk
-- demo:   paul@clinic.example       healthy-paul-demo        a patient
-- demo:   fay@clinic.example        healthy-fay-demo         another, whom Paul has brought along
-- demo: The story in SQL: ./dev psql --system clinic -f examples/clinic/story.sql
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usher CASCADE;
CREATE SCHEMA IF NOT EXISTS care;
CREATE SCHEMA IF NOT EXISTS till;
CREATE SCHEMA IF NOT EXISTS shop;
CREATE SCHEMA IF NOT EXISTS club;
CREATE EXTENSION IF NOT EXISTS usher_booking SCHEMA care CASCADE;
CREATE EXTENSION IF NOT EXISTS usher_payment SCHEMA till CASCADE;
CREATE EXTENSION IF NOT EXISTS usher_shop SCHEMA shop CASCADE;
CREATE EXTENSION IF NOT EXISTS usher_loyalty SCHEMA club CASCADE;

BEGIN;
-- admin, manager, staff and customer, with what each extension gives them; whoever registers is a customer
SELECT usher.apply_role_preset('clinic') \g /dev/null

-- Database roles: the application, reports, and whoever reads the audit log. Give them passwords to use them.
DO $$
DECLARE
    of record;
BEGIN
    FOR of IN SELECT * FROM (VALUES ('clinic_app', 'application'), ('clinic_reports', 'readonly'),
                             ('clinic_auditor', 'auditor')) AS v (name, level) LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = of.name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', of.name);
        END IF;
        PERFORM usher.grant_access(of.name, of.level);
    END LOOP;
END
$$;

-- Attempts that the application itself limits, by address, user or what it likes
SELECT usher.define_rate_limit('clinic.contact_form', 'fixed_window', 3, '1 hour', block_for => '1 hour')
WHERE NOT EXISTS (SELECT FROM usher.rate_limit_policies WHERE policy = 'clinic.contact_form') \g /dev/null

-- After the commit two programs want to know: whoever packs, and whoever buys.
SELECT usher.subscribe(v.event, v.consumer, v.handler::regprocedure, v.mode)
FROM (VALUES ('order.paid', 'warehouse', NULL, 'async'), ('stock.low', 'purchasing', NULL, 'async'))
    AS v (event, consumer, handler, mode)
WHERE NOT EXISTS (SELECT FROM usher.list_subscriptions() AS s WHERE (s.event, s.consumer) = (v.event, v.consumer))
\g /dev/null

-- People. The hash of a password is what another system would hand over as well (usher.import_user()).
DO $$
DECLARE
    account record;
    made record;
BEGIN
    FOR account IN SELECT * FROM (VALUES
        ('c0000000-0000-7000-8000-000000000001'::uuid, 'admin', 'Ada', 'Admin', 'admin'),
        ('c0000000-0000-7000-8000-000000000002', 'manager', 'Max', 'Manager', 'manager'),
        ('c0000000-0000-7000-8000-000000000003', 'doctor', 'Dora', 'Doctor', 'staff'),
        ('c0000000-0000-7000-8000-000000000004', 'desk', 'Rita', 'Reception', 'staff'),
        ('c0000000-0000-7000-8000-000000000005', 'paul', 'Paul', 'Patient', 'customer'),
        ('c0000000-0000-7000-8000-000000000006', 'fay', 'Fay', 'Friend', 'customer')
        ) AS a (id, username, first_name, last_name, role)
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM usher.users AS u WHERE u.id = account.id);
        SELECT * INTO made FROM usher.import_user(
            account.username || '@clinic.example', usher.hash_password(format('healthy-%s-demo', account.username)),
            first_name => account.first_name, last_name => account.last_name, username => account.username,
            id => account.id);
        IF made.error IS NOT NULL THEN
            RAISE 'demo account %: %', account.username, made.error;
        END IF;
        IF account.role <> 'customer' THEN
            PERFORM usher.grant_role(account.id, account.role);
            PERFORM usher.revoke_role(account.id, 'customer');
        END IF;
    END LOOP;
END
$$;

-- What is treated, sold and given, where and by whom
DO $$
DECLARE
    doctor CONSTANT uuid := 'c0000000-0000-7000-8000-000000000003';
    practice CONSTANT uuid := 'c1000000-0000-7000-8000-000000000001';
    therapy CONSTANT uuid := 'c2000000-0000-7000-8000-000000000001';
    check_up CONSTANT uuid := 'c2000000-0000-7000-8000-000000000002';
    cream CONSTANT uuid := 'c3000000-0000-7000-8000-000000000001';
    bandage CONSTANT uuid := 'c3000000-0000-7000-8000-000000000002';
    taping CONSTANT uuid := 'c3000000-0000-7000-8000-000000000003';
    added uuid;
BEGIN
    IF EXISTS (SELECT FROM care.locations WHERE id = practice) THEN
        RETURN;
    END IF;
    -- Given in appointments and paid in advance; what is cancelled a day before is refunded. Who has it is nobody
    -- else's business: whoever reads about its patients is on record.
    PERFORM care.create_service('Physiotherapy', '45 minutes', 9000, 'EUR', 'Two hands, and what they know',
        buffer_after => '15 minutes', by_appointment => true, cancel_cutoff => '24 hours', hold_ttl => '2 days',
        prepayment => 'full', refund_policy => 'by_notice', refund_notice => '24 hours', is_sensitive => true,
        id => therapy);
    PERFORM care.create_service('Check-up', '30 minutes', 4000, 'EUR', 'How are you?', by_appointment => true,
        auto_confirm => true, id => check_up);
    PERFORM care.create_location('Practice', 'Rua do Alecrim 1', 'Lisboa', 'Lisboa', '1200-014', 'PT',
        'Europe/Lisbon', email => 'hello@clinic.example', id => practice);
    PERFORM care.set_location_hours(practice, '{1,2,3,4,5,6,7}', '[["08:00", "18:00"]]');
    PERFORM care.set_location_services(practice, ARRAY[therapy, check_up]);
    PERFORM care.assign_staff(practice, doctor, 'staff');
    PERFORM care.assign_staff(practice, 'c0000000-0000-7000-8000-000000000004', 'staff', bookable => false);
    PERFORM care.assign_staff(practice, 'c0000000-0000-7000-8000-000000000002', 'manager');
    PERFORM care.set_staff_hours(doctor, practice, '{1,2,3,4,5,6,7}', '[["09:00", "12:00"], ["13:00", "17:00"]]');

    PERFORM shop.set_tax_rate('standard', 230000);
    PERFORM shop.create_product('cream', 'Hand cream', price_minor => 1200, currency => 'EUR', category => 'care',
        description => 'For hands that heal', tax_class => 'standard', status => 'active', id => cream);
    PERFORM shop.create_product('bandage', 'Elastic bandage', price_minor => 500, currency => 'EUR',
        category => 'supplies', description => 'Two metres', tax_class => 'standard', status => 'active',
        id => bandage);
    PERFORM shop.create_product('taping', 'Taping', 'treatment', price_minor => 1500, currency => 'EUR',
        category => 'treatments', description => 'Without an appointment', status => 'active', id => taping);
    PERFORM shop.receive_stock(cream, practice, 20, 400);
    PERFORM shop.receive_stock(bandage, practice, 30, 100);
    PERFORM shop.set_stock_limits(cream, practice, 5);
    -- Each session of physiotherapy uses up a bandage.
    PERFORM shop.set_service_materials(therapy, jsonb_build_array(jsonb_build_object('product_id', bandage,
                                                                                     'quantity', 1)));

    -- A point for each euro of what was had, and of what was bought. A payment alone earns nothing: it is for these.
    PERFORM club.create_earning_rule('{"code": "treatments", "event": "booking.completed",
        "points": "r.amount_minor / 100", "expires_after": "2 years"}');
    PERFORM club.create_earning_rule('{"code": "goods", "event": "order.completed", "points": "r.amount_minor / 100",
        "expires_after": "2 years"}');
    PERFORM club.define_tier('GOLD', 2, 500);
    PERFORM club.define_referral_program(100, 50);
    SELECT reward_id INTO added FROM club.create_reward('{"title": "Hand cream for nothing", "cost_points": 80,
        "kind": "product", "details": {"sku": "cream"}, "condition": "r.purchases >= 1", "stock": 1000,
        "max_per_customer": 2, "description": "For whoever has been here"}');
    PERFORM club.set_reward_status(added, 'active');
    SELECT offer_id INTO added FROM club.create_offer('{"title": "Welcome", "kind": "percent", "percent": 10,
        "first_visit": true, "max_per_customer": 1, "description": "A tenth off what is had first"}');
    PERFORM club.set_offer_status(added, 'active');
    SELECT ad_id INTO added FROM club.create_advertisement(jsonb_build_object('title', 'Healthy hands',
        'placement', 'lobby', 'content', '{"text": "Ask for our cream"}'::jsonb, 'offer_id', added));
    PERFORM club.set_advertisement_status(added, 'active');
END
$$;

-- What has happened so far: Paul comes next week, has bought cream, brought Fay along; Rita may refund for a while.
DO $$
DECLARE
    manager CONSTANT uuid := 'c0000000-0000-7000-8000-000000000002';
    desk CONSTANT uuid := 'c0000000-0000-7000-8000-000000000004';
    paul CONSTANT uuid := 'c0000000-0000-7000-8000-000000000005';
    fay CONSTANT uuid := 'c0000000-0000-7000-8000-000000000006';
    practice CONSTANT uuid := 'c1000000-0000-7000-8000-000000000001';
    therapy CONSTANT uuid := 'c2000000-0000-7000-8000-000000000001';
    visit CONSTANT uuid := 'c4000000-0000-7000-8000-000000000001';
    purchase CONSTANT uuid := 'c5000000-0000-7000-8000-000000000001';
    ten CONSTANT timestamptz := ((now() AT TIME ZONE 'Europe/Lisbon')::date + 7 + time '10:00')
        AT TIME ZONE 'Europe/Lisbon';
BEGIN
    IF EXISTS (SELECT FROM care.bookings WHERE id = visit) THEN
        RETURN;
    END IF;
    PERFORM care.upsert_customer(paul);
    PERFORM care.create_booking(paul, therapy, practice, ten, 'c0000000-0000-7000-8000-000000000003', id => visit);
    -- a second session a week later
    PERFORM care.schedule_appointment(visit, NULL, tstzrange(ten + interval '7 days',
                                                             ten + interval '7 days 45 minutes'));
    PERFORM till.record_manual_payment(p.transaction_id, 'cash')
    FROM till.list_payments(reference_type => 'booking', reference_id => visit) AS p;

    PERFORM shop.create_order(practice, '[{"product_id": "c3000000-0000-7000-8000-000000000001", "quantity": 2}]',
                              paul, id => purchase);
    PERFORM shop.place_order(purchase);
    PERFORM till.record_manual_payment(p.transaction_id, 'cash')
    FROM till.list_payments(reference_type => 'order', reference_id => purchase) AS p;
    PERFORM shop.fulfil_order(purchase);

    PERFORM club.create_referral(referee_id => fay, referrer_id => paul);
    PERFORM usher.grant_permission(desk, 'payment:refund', expires_at => now() + interval '30 days');
END
$$;
COMMIT;

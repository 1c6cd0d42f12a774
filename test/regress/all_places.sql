-- Whoever may do everything at one location does nothing to what belongs to another, by any function of bookings, payments and orders that takes
-- an id. The functions come from the catalog, so a new one is covered the day it is made.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA places_test;
CREATE ROLE regress_places;
SELECT usher.grant_access('regress_places', 'application');
SELECT usher.apply_role_preset('carwash') \g /dev/null
SELECT usher.create_role('regress_everything', if_not_exists => true) IS NOT NULL AS made;
SELECT usher.grant_permission(to_role => 'regress_everything', permission => '*:*');
SELECT id AS ann FROM wash.upsert_customer(name => 'Ann', email => 'ann@places.example') \gset
SELECT user_id AS here_boss FROM usher.register_user('mia@places.example', 'long enough to be good', 'Mia') \gset
SELECT user_id AS there_boss FROM usher.register_user('max@places.example', 'long enough to be good', 'Max') \gset
SELECT user_id AS bob FROM usher.register_user('bob@places.example', 'long enough to be good', 'Bob') \gset
UPDATE usher.users SET email_verified_at = now(), status = 'active' WHERE email LIKE '%@places.example';
SELECT id AS here FROM wash.create_location('Here', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 50) \gset
SELECT id AS there FROM wash.create_location('There', '2 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin', max_concurrent_bookings => 50) \gset
SELECT usher.grant_role(:'bob', 'washer') \g /dev/null
SELECT usher.grant_role(u, 'manager') FROM unnest(ARRAY[:'here_boss', :'there_boss']::uuid[]) AS u \g /dev/null
SELECT wash.assign_staff(:'here', :'here_boss', 'manager'), wash.assign_staff(:'there', :'there_boss', 'manager'), wash.assign_staff(:'there', :'bob', 'washer') \g /dev/null
-- the role was needed to be assigned; from now on each may do everything at one location, and nothing elsewhere
SELECT usher.revoke_role(u, 'manager') FROM unnest(ARRAY[:'here_boss', :'there_boss']::uuid[]) AS u \g /dev/null
SELECT usher.grant_role(:'here_boss', 'regress_everything', :'here'), usher.grant_role(:'there_boss', 'regress_everything', :'there') \g /dev/null
CREATE TABLE places_test.tokens AS SELECT u.first_name AS who, usher.issue_token(u.id, '{}', '1 hour') AS token FROM usher.users AS u WHERE u.email LIKE '%@places.example';

-- What there is at the other location
SELECT count(wash.set_location_hours(p, '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')) FROM unnest(ARRAY[:'here', :'there']::uuid[]) AS p;
SELECT id AS prepaid FROM wash.create_service('Places', '1 hour', 1000, 'EUR', needs_staff => false, customer_exclusive => false, prepayment => 'full') \gset
SELECT count(wash.set_location_services(p, ARRAY[:'prepaid']::uuid[])) FROM unnest(ARRAY[:'here', :'there']::uuid[]) AS p;
SELECT product_id AS soap FROM wash.create_product('places-soap', 'Soap', price_minor => 500, currency => 'EUR', status => 'active') \gset
SELECT count(wash.receive_stock(:'soap', p, 100)) FROM unnest(ARRAY[:'here', :'there']::uuid[]) AS p;
SELECT booking_id AS booking FROM wash.create_booking(:'ann', :'prepaid', :'there', date_trunc('hour', now()) + interval '100 hours') \gset
SELECT booking_id AS paid_booking FROM wash.create_booking(:'ann', :'prepaid', :'there', date_trunc('hour', now()) + interval '102 hours') \gset
SELECT order_id AS cart FROM wash.create_order(:'there', jsonb_build_array(jsonb_build_object('product_id', :'soap', 'quantity', 3)), :'ann') \gset
SELECT order_id AS placed FROM wash.place_order((wash.create_order(:'there', jsonb_build_array(jsonb_build_object('product_id', :'soap', 'quantity', 3)), :'ann')).order_id) \gset
SELECT t.id AS asked FROM wash.payment_transactions AS t WHERE t.reference_id = :'booking' \gset
SELECT t.id AS paid FROM wash.payment_transactions AS t WHERE t.reference_id = :'paid_booking' \gset
SELECT status FROM wash.record_manual_payment(:'paid', 'cash');
SELECT refund_id AS refund FROM wash.create_refund(:'paid', 100) \gset
SELECT t.id AS tried FROM wash.payment_transactions AS t WHERE t.reference_id = :'placed' \gset
SELECT attempt_id AS attempt FROM wash.begin_payment_attempt(:'tried', 'places') \gset
-- one that says that it is for the first location, as one could be made before anybody knew of the booking
INSERT INTO wash.payment_transactions (customer_id, amount_minor, currency, exponent, payment_method, reference_type, reference_id, location_id) VALUES (:'ann', 1000, 'EUR', 2, 'cash', 'booking', :'booking', :'here') RETURNING id AS mislabelled \gset
SELECT r.id AS reservation FROM wash.stock_reservations AS r WHERE r.reference_id = :'placed' \gset
SELECT count_id AS stock_count FROM wash.start_stock_count(:'there') \gset
CREATE TABLE places_test.ids AS SELECT unnest(ARRAY[:'there', :'booking', :'paid_booking', :'cart', :'placed', :'asked', :'paid', :'refund', :'tried', :'attempt', :'mislabelled', :'reservation', :'stock_count']) AS id;

-- What may be put in for an argument, as SQL expressions; nothing for one that is left out when it can be
CREATE TABLE places_test.arguments (argument text, expression text, is_order boolean);
INSERT INTO places_test.arguments SELECT v.argument, quote_literal(v.id), v.id = :'placed' FROM (VALUES
    ('location_id', :'here'), ('location_id', :'there'), ('from_location_id', :'here'), ('from_location_id', :'there'), ('to_location_id', :'here'), ('to_location_id', :'there'), ('booking_id', :'booking'), ('booking_id', :'paid_booking'),
    ('booking_a', :'booking'), ('booking_b', :'paid_booking'), ('order_id', :'cart'), ('order_id', :'placed'), ('transaction_id', :'asked'), ('transaction_id', :'paid'), ('transaction_id', :'tried'), ('transaction_id', :'mislabelled'),
    ('refund_id', :'refund'), ('attempt_id', :'attempt'), ('reservation_id', :'reservation'), ('count_id', :'stock_count'), ('reference_id', :'booking'), ('reference_id', :'placed'), ('reference_type', 'booking'), ('reference_type', 'order'),
    ('customer_id', :'ann'), ('user_id', :'ann'), ('staff_id', :'bob'), ('service_id', :'prepaid'), ('product_id', :'soap'), ('currency', 'EUR'), ('payment_method', 'cash'), ('processor', 'places'), ('purpose', 'balance'), ('outcome', 'succeeded'),
    ('role', 'washer'), ('to_status', 'cancelled'), ('status', 'archived'), ('changes', '{"name": "Taken"}'), ('periods', '[["10:00", "12:00"]]'), ('operating_hours', '{}'), ('event', 'taken')) AS v (argument, id);
INSERT INTO places_test.arguments VALUES ('amount_minor', '1'), ('staff_id', 'NULL'), ('lines', format('jsonb_build_array(jsonb_build_object(''line_no'', 1, ''quantity'', 1, ''product_id'', %L, ''location_id'', %L))', :'soap', :'there')),
    ('service_ids', '''{}'''), ('weekdays', '''{1}'''), ('start_at', 'date_trunc(''hour'', now()) + interval ''110 hours'''), ('starts', 'ARRAY[date_trunc(''hour'', now()) + interval ''110 hours'']'), ('during', 'tstzrange(now() + interval ''100 hours'', now() + interval ''101 hours'')');
CREATE FUNCTION places_test.calls() RETURNS TABLE (function name, call text) LANGUAGE sql AS $$
    WITH RECURSIVE functions AS (
        SELECT p.oid, p.proname, p.pronargs - p.pronargdefaults AS needed, p.proargnames, p.proargtypes::oid[] AS types
        FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE e.extname IN ('usher_booking', 'usher_payment', 'usher_shop') AND p.proname !~ '^_' AND p.provolatile = 'v' AND 'uuid'::regtype = ANY (p.proargtypes::oid[]) AND has_function_privilege('regress_places', p.oid, 'EXECUTE')
    ), given AS (
        SELECT f.oid, row_number() OVER (PARTITION BY f.oid ORDER BY a.number) AS place, a.name, array_agg(coalesce(v.expression, CASE
            WHEN a.type IN ('bigint'::regtype, 'integer'::regtype, 'numeric'::regtype) THEN '1' WHEN a.type = 'boolean'::regtype THEN 'false' WHEN a.type = 'uuid'::regtype THEN 'usher.uuid_v7()' WHEN a.type = 'date'::regtype THEN 'current_date + 5'
            WHEN a.type = 'jsonb'::regtype THEN '''[]''' WHEN a.type = 'timestamptz'::regtype THEN 'now()' WHEN a.type = 'interval'::regtype THEN '''1 hour''' ELSE '''x''' END)) AS expressions
        FROM functions AS f CROSS JOIN LATERAL unnest(f.proargnames[1:cardinality(f.types)], f.types) WITH ORDINALITY AS a (name, type, number) LEFT JOIN places_test.arguments AS v ON v.argument = a.name
        WHERE v.argument IS NOT NULL OR a.number <= f.needed GROUP BY f.oid, a.name, a.number
    ), walk (oid, place, written) AS (
        SELECT f.oid, 0::bigint, ''::text FROM functions AS f
        UNION ALL
        SELECT g.oid, g.place, w.written || CASE WHEN g.place > 1 THEN ', ' ELSE '' END || quote_ident(g.name)::text COLLATE "default" || ' => ' || e COLLATE "default" FROM walk AS w JOIN given AS g ON g.oid = w.oid AND g.place = w.place + 1, unnest(g.expressions) AS e
    )
    SELECT f.proname, format('SELECT * FROM wash.%I(%s)', f.proname, w.written) FROM walk AS w JOIN functions AS f USING (oid) WHERE w.place = (SELECT coalesce(max(g.place), 0) FROM given AS g WHERE g.oid = w.oid)
        AND NOT EXISTS (SELECT FROM places_test.arguments AS v WHERE v.argument = 'reference_id' AND strpos(w.written, 'reference_id => ' || v.expression) > 0
                        AND w.written LIKE '%reference_type => ' || CASE WHEN v.is_order THEN '''booking''%' ELSE '''order''%' END) -- nothing has this id and that type
    ORDER BY 1, 2
$$;
-- Which tables have rows that were written by this transaction and name something at the other location
CREATE FUNCTION places_test.written(since bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    found boolean;
    names text := '';
BEGIN
    FOR relation IN SELECT s.relid FROM pg_stat_xact_user_tables AS s JOIN pg_depend AS d ON d.objid = s.relid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e' JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE e.extname IN ('usher_booking', 'usher_payment', 'usher_shop') AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 ORDER BY s.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS r WHERE r.xmin::text::bigint > $1 AND EXISTS (SELECT FROM places_test.ids AS i WHERE strpos(r::text, i.id) > 0))', relation) INTO found USING since;
        IF found THEN
            names := names || ' ' || (SELECT c.relname FROM pg_class AS c WHERE c.oid = relation);
        END IF;
    END LOOP;
    RETURN ltrim(names);
END
$$;
CREATE FUNCTION places_test.outcome(somebody text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    secret text := (SELECT t.token FROM places_test.tokens AS t WHERE t.who = somebody);
    before bigint := pg_current_xact_id()::text::bigint % 4294967296;
BEGIN
    SET LOCAL ROLE regress_places;
    PERFORM usher.authenticate(secret);
    EXECUTE call;
    RESET ROLE;
    RAISE EXCEPTION SQLSTATE 'PT000' USING MESSAGE = places_test.written(before); -- rolls back, identity and all
EXCEPTION
    WHEN SQLSTATE 'PT000' THEN
        RESET ROLE;
        RETURN SQLERRM;
    WHEN OTHERS THEN
        RESET ROLE;
        RETURN SQLSTATE;
END
$$;
DO $$
DECLARE
    each record;
    result text;
BEGIN
    CREATE TABLE places_test.outcomes (who text, function name, call text, outcome text);
    FOR each IN SELECT w.who, c.* FROM places_test.calls() AS c CROSS JOIN (VALUES ('Mia'), ('Max')) AS w (who) LOOP
        result := places_test.outcome(each.who, each.call);
        INSERT INTO places_test.outcomes VALUES (each.who, each.function, each.call, result);
    END LOOP;
END
$$;
SELECT count(DISTINCT o.function) > 70 AS functions, count(*) > 150 AS calls FROM places_test.outcomes AS o;
-- those that can be called so do it for whoever may
SELECT string_agg(DISTINCT o.function, ' ' ORDER BY o.function) AS of_there FROM places_test.outcomes AS o WHERE o.who = 'Max' AND o.outcome ~ '^[a-z]';
-- and nothing for who may elsewhere; an order of one's own location may say that it is about something at another one
SELECT DISTINCT o.function, o.outcome FROM places_test.outcomes AS o WHERE o.who = 'Mia' AND o.outcome ~ '^[a-z]' ORDER BY 1, 2;
-- what went through and changed nothing there, and what is refused with anything but a lack of permission
SELECT string_agg(DISTINCT o.function, ' ' ORDER BY o.function) AS without_effect FROM places_test.outcomes AS o WHERE o.who = 'Mia' AND o.outcome = '';
SELECT o.outcome, string_agg(DISTINCT o.function, ' ' ORDER BY o.function) FROM places_test.outcomes AS o WHERE o.who = 'Mia' AND o.outcome ~ '^[0-9A-Z]' AND o.outcome NOT IN ('42501', 'US005') GROUP BY 1 ORDER BY 1;
SELECT usher.revoke_access('regress_places');
DROP SCHEMA places_test CASCADE;
DROP OWNED BY regress_places;
DROP ROLE regress_places;

-- What others rely on in the tables themselves: columns, lengths, indexes, names, and that no statement joins into
-- another extension.
SET client_min_messages = warning;

SELECT c.table_name, c.column_name, c.data_type || CASE c.data_type WHEN 'numeric' THEN format(
    '(%s,%s)', c.numeric_precision, c.numeric_scale) ELSE '' END AS type,
    c.is_nullable = 'NO' AS required,
    CASE WHEN c.is_generated = 'ALWAYS' THEN 'generated' ELSE c.column_default END AS default
FROM information_schema.columns AS c
WHERE c.table_schema = 'wash'
    AND c.table_name IN ('services', 'locations', 'location_staff', 'customers', 'bookings', 'appointments')
ORDER BY array_position(ARRAY['services', 'locations', 'location_staff', 'customers', 'bookings', 'appointments'],
                        c.table_name::text), c.ordinal_position;

-- Keys inside the extension are foreign keys; users are not
SELECT conrelid::regclass AS referencing, confrelid::regclass AS referenced, confdeltype AS on_delete
FROM pg_constraint
WHERE contype = 'f' AND conrelid IN (SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE e.extname = 'usher_booking' AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
ORDER BY conrelid::regclass::text COLLATE "C", confrelid::regclass::text COLLATE "C";
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'u' AND conrelid IN (SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE e.extname = 'usher_booking' AND d.classid = 'pg_class'::regclass AND d.deptype = 'e') ORDER BY conrelid::regclass::text COLLATE "C";

-- Texts are as long as they may be, and no longer
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    violated text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION
    WHEN check_violation OR invalid_parameter_value THEN
        GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
        RETURN SQLSTATE || ' ' || coalesce(nullif(violated, ''), SQLERRM);
END
$$;
BEGIN;
SELECT id AS location FROM wash.create_location('L', 'A', 'C', 'S', '1') \gset
SELECT l.key, pg_temp.refusal(format('SELECT wash.update_location(%L, %L)', :'location',
                                     jsonb_build_object(l.key, repeat('x', l.most)))) AS longest,
    pg_temp.refusal(format('SELECT wash.update_location(%L, %L)', :'location',
                           jsonb_build_object(l.key, repeat('x', l.most + 1)))) AS too_long
FROM (VALUES ('name', 100), ('city', 50), ('state', 20), ('zip_code', 10), ('phone', 20),
             ('email', 255)) AS l (key, most);
SELECT v AS country,
       pg_temp.refusal(format('SELECT wash.update_location(%L, %L)', :'location', jsonb_build_object('country', v)))
FROM unnest(ARRAY['NZ', 'nz', 'NZL']) AS v;
SELECT v AS position, pg_temp.refusal(format('SELECT wash.update_location(%L, %L)', :'location', v))
FROM unnest(ARRAY['{"latitude": -90, "longitude": 180}', '{"latitude": 90.1}', '{"longitude": -180.1}']) AS v;
SELECT pg_temp.refusal(
    format('SELECT wash.create_service(%L, ''1 hour'', 1, ''EUR'')', repeat('x', 100))) AS longest_name,
       pg_temp.refusal(format('SELECT wash.create_service(%L, ''1 hour'', 1, ''EUR'')', repeat('x', 101))) AS too_long;
ROLLBACK;

-- Indexes for what is asked most
SELECT indexdef FROM pg_indexes WHERE schemaname = 'wash'
    AND indexname IN ('bookings_status_start_at_idx', 'bookings_customer_pending_idx') ORDER BY indexname;

-- Names: lower case with underscores, and tables in the plural (or what has none)
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'wash'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition AND c.relname !~ '^_'
    AND c.relname !~ '^([a-z]+_)*([a-z]+s|staff|off)$';
SELECT c.relname, a.attname
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'wash'::regnamespace AND c.relkind = 'r' AND a.attname !~ '^[a-z]+(_[a-z]+)*$';

-- No function of the extension reads a table of core: users, history and events are asked for by core's functions
SELECT p.proname, m[1] AS reads FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'usher_booking' JOIN pg_proc AS p ON p.oid = d.objid
    CROSS JOIN LATERAL regexp_matches(p.prosrc, '\m(?:FROM|JOIN|INTO|UPDATE)\s+usher\.([a-z_]+)(\s*\()?', 'g') AS m
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND m[2] IS NULL
ORDER BY 1, 2;

-- The history of a booking outlives its row
BEGIN;
SELECT id AS location FROM wash.create_location('L', 'A', 'C', 'S', '1') \gset
SELECT id AS service FROM wash.create_service('S', '1 hour', 1, 'EUR', needs_staff => false) \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]');
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service'::uuid]);
SELECT id AS customer FROM wash.upsert_customer(name => 'Walk-in') \gset
SELECT booking_id AS booking
FROM wash.create_booking(:'customer', :'service', :'location', date_trunc('day', now()) + interval '3 days') \gset
SELECT status FROM wash.cancel_booking(:'booking', 'other', 'changed their mind');
SELECT seq, from_status, to_status, reason_code, notes, changed_at <= clock_timestamp() AS has_time
FROM wash.get_booking_history(:'booking');
DELETE FROM wash.bookings WHERE id = :'booking';
SELECT count(*) AS appointments_and_claims FROM wash.booking_claims WHERE booking_id = :'booking';
SELECT seq, to_status FROM usher.status_history WHERE entity_id = :'booking' ORDER BY seq;
-- a price is whole minor units
SELECT price_minor, currency, pg_typeof(price_minor) FROM wash.services WHERE id = :'service';
-- staff are users who have the role
INSERT INTO usher.users (id, email, status)
VALUES ('00000000-0000-7000-8000-00000000ca7a', 'catalog@example.com', 'active');
SELECT usher.apply_role_preset('carwash');
\set VERBOSITY sqlstate
SAVEPOINT no_role;
SELECT wash.assign_staff(:'location', '00000000-0000-7000-8000-00000000ca7a', 'washer');
ROLLBACK TO no_role;
SELECT wash.assign_staff(:'location', '00000000-0000-7000-8000-00000000dead', 'washer');
ROLLBACK TO no_role;
SELECT usher.grant_role('00000000-0000-7000-8000-00000000ca7a', 'washer');
SELECT role, is_active FROM wash.assign_staff(:'location', '00000000-0000-7000-8000-00000000ca7a', 'washer');
ROLLBACK;

-- A DBA alters the type of a column of ours: whatever reads or writes it says so, and reads no bytes as something
-- else. The columns of the tables that clients reach most are altered in turn, and everything that a client does is
-- tried.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE SCHEMA regress_altered;
CREATE TABLE regress_altered.things (id integer PRIMARY KEY, status text NOT NULL DEFAULT 'open',
                                     updated_at timestamptz);
SELECT usher.define_machine('regress_altered', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": null, "to": "open", "action": "create", "event": "made"},
    {"from": "open", "to": "done", "action": "finish", "event": "done"}]}');
SELECT usher.attach_machine('regress_altered', 'regress_altered.things', 'status',
                            '{"event_prefix": "regress_altered"}');
SELECT usher.enable_audit('regress_altered.things');
SELECT usher.subscribe('regress_altered.*', 'regress_altered', mode => 'async');
SELECT usher.define_rate_limit('regress_altered', 'fixed_window', 100, '1 hour');
SELECT (usher.register_user('altered@example.com', 'long enough to be good', 'Alter')).user_id AS somebody \gset
SELECT id AS location
FROM wash.create_location('Altered', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Altered', '1 hour', 1000, 'EUR', needs_staff => false) \gset
SELECT count(wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]')),
       count(wash.set_location_services(:'location', ARRAY[:'service'::uuid]));

-- What clients do, in a form that needs nothing but these.
CREATE TABLE regress_altered.statements (statement text);
INSERT INTO regress_altered.statements VALUES
    ($$INSERT INTO regress_altered.things (id) VALUES (1)$$),
    ($$UPDATE regress_altered.things SET status = 'done'$$),
    ($$SELECT usher.publish('regress_altered.done', '{}', 'k')$$),
    ($$SELECT usher.log_event('regress.altered', '{}')$$),
    ($$SELECT * FROM usher.claim_events('regress_altered', 5)$$),
    ($$SELECT usher.hit_rate_limit('regress_altered', 'x')$$),
    ($$SELECT usher.check_access('booking:read', '{}')$$),
    (format('SELECT usher.user_has_permission(%L, %L), usher.list_permissions(%1$L)', :'somebody', 'booking:read')),
    (format('SELECT usher.authenticate(usher.issue_token(%L))', :'somebody')),
    ($$SELECT usher.jwks()$$),
    ($$SELECT usher.allowed_transitions('regress_altered.things', '1'), usher.history('regress_altered.things', '1')$$),
    ($$SELECT usher.http_request('GET', '/auth/me', NULL, '{}', NULL, '203.0.113.7')$$),
    (format('SELECT wash.find_slots(%L, %L)', :'location', :'service')),
    (format($$SELECT wash.create_booking(%L, %L, %L, date_trunc('day', now()) + interval '3 days', staff_policy => 'none')$$, :'somebody', :'service', :'location')),
    ($$SELECT wash.start_booking(id) FROM wash.bookings$$),
    ($$SELECT usher.enforce('{"r": "s", "p": "s", "e": "some(where (p.eft == allow))", "m": "r.s == p.s"}', ARRAY['x'])$$);

CREATE FUNCTION regress_altered.faults_of(alteration text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    each record;
    faults text;
BEGIN
    BEGIN
        EXECUTE alteration;
        FOR each IN SELECT s.statement FROM regress_altered.statements s LOOP
            BEGIN
                EXECUTE each.statement;
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE LIKE 'XX%' THEN
                    faults := concat_ws('; ', faults, left(each.statement, 60) || ': ' || SQLERRM);
                END IF;
            END;
        END LOOP;
        RAISE SQLSTATE 'ZZ001';
    EXCEPTION WHEN OTHERS THEN NULL; -- some columns cannot become some types
    END;
    RETURN faults;
END $$;
-- once as they are, so that everything is kept that is kept
SELECT regress_altered.faults_of('SELECT 1') IS NULL AS as_shipped;
CREATE VIEW regress_altered.alterations AS
SELECT c.relname, format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT, ALTER COLUMN %2$I TYPE %s USING %s',
                         c.oid::regclass, a.attname, t.type, t.value) AS alteration
FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.objid JOIN pg_attribute a ON a.attrelid = c.oid,
    LATERAL (VALUES ('text', quote_ident(a.attname) || '::text'), ('integer', '7'), ('name', quote_literal('x')),
                    ('bigint', '7')) AS t (type, value)
WHERE e.extname LIKE 'usher%' AND c.relkind = 'r' AND NOT c.relispartition AND c.relname NOT LIKE '%\_inval'
    AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = '' AND a.atttypid <> t.type::regtype;
SELECT count(*) > 500 AS alterations_are_many FROM regress_altered.alterations;
SELECT alteration, faults
FROM (SELECT alteration, regress_altered.faults_of(alteration) AS faults FROM regress_altered.alterations
    WHERE relname IN ('bookings', 'events', 'status_history', 'booking_claims', 'sessions', 'machines',
                      'rate_limit_records', 'user_roles', 'location_hours')) AS tried
WHERE faults IS NOT NULL ORDER BY 1;
SELECT faults
FROM unnest(
    ARRAY['event_type TYPE varchar(50)', 'statement_id TYPE bigint', 'resource_id TYPE name', 'actor_name TYPE name',
        'transaction_id TYPE numeric', 'old_values TYPE text', 'outcome TYPE integer USING 1']) AS a,
    LATERAL (SELECT regress_altered.faults_of('ALTER TABLE usher.audit_logs ALTER COLUMN ' || a) AS faults) AS tried
WHERE faults IS NOT NULL;
-- as shipped again, all is well
SELECT regress_altered.faults_of('SELECT 1') IS NULL AS as_shipped;
DROP SCHEMA regress_altered CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_altered';
SELECT usher.unsubscribe('regress_altered.*', 'regress_altered');
SELECT usher.drop_rate_limit('regress_altered');
DELETE FROM usher.users WHERE email = 'altered@example.com';

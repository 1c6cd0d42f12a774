-- History, events and claims are written past the executor. What a DBA adds to their tables counts all the same.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA regress_direct;
CREATE TABLE regress_direct.seen (place serial, relation name, what text);
CREATE FUNCTION regress_direct.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_direct.seen (relation, what)
    VALUES (TG_TABLE_NAME,
            coalesce(to_jsonb(NEW) ->> 'to_status', to_jsonb(NEW) ->> 'event', to_jsonb(NEW) ->> 'resource_kind'));
    RETURN NULL;
END $$;
SELECT usher.define_machine('regress_direct', '{"initial": ["open"], "transitions": [
    {"from": null, "to": "open", "action": "create", "event": "made"},
    {"from": "open", "to": "done", "action": "finish", "event": "finished"}]}');
CREATE TABLE regress_direct.jobs (id uuid PRIMARY KEY, status text NOT NULL DEFAULT 'open');
SELECT usher.attach_machine('regress_direct', 'regress_direct.jobs', 'status', '{"event_prefix": "regress_direct"}');

-- As shipped: numbers go on where an id is used again
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000001');
UPDATE regress_direct.jobs SET status = 'done';
DELETE FROM regress_direct.jobs;
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000001');
SELECT h.seq, h.from_status, h.to_status, h.action,
       h.changed_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS is_now
FROM usher.status_history AS h WHERE h.relation = 'regress_direct.jobs'::regclass ORDER BY h.seq;
SELECT e.event, e.key, e.payload ->> 'to' AS "to", e.depth,
       e.created_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS is_now
FROM usher.events AS e WHERE e.event LIKE 'regress\_direct.%' ORDER BY e.id;

-- Triggers of the DBA's fire
BEGIN;
CREATE TRIGGER regress_see AFTER INSERT ON usher.status_history FOR EACH ROW EXECUTE FUNCTION regress_direct.see();
CREATE TRIGGER regress_see AFTER INSERT ON usher.events FOR EACH ROW EXECUTE FUNCTION regress_direct.see();
UPDATE regress_direct.jobs SET status = 'done';
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000002');
SELECT relation, what FROM regress_direct.seen ORDER BY place;
SELECT count(*) FROM usher.status_history AS h WHERE h.relation = 'regress_direct.jobs'::regclass;
ROLLBACK;

-- So do CHECKs, columns with a default, and row-level security, which does not bind the owner
BEGIN;
ALTER TABLE usher.events ADD CONSTRAINT regress_check CHECK (event <> 'regress_direct.finished') NOT VALID;
UPDATE regress_direct.jobs SET status = 'done';
ROLLBACK;
BEGIN;
ALTER TABLE usher.status_history ADD COLUMN regress_site text NOT NULL DEFAULT 'here';
ALTER TABLE usher.events ENABLE ROW LEVEL SECURITY;
UPDATE regress_direct.jobs SET status = 'done';
SELECT h.seq, h.to_status, h.regress_site
FROM usher.status_history AS h WHERE h.relation = 'regress_direct.jobs'::regclass ORDER BY h.seq;
ROLLBACK;

-- Claims of bookings
CREATE FUNCTION regress_direct.person(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000000-0000-7000-8000-0000000009' || lpad(n::text, 2, '0'))::uuid
$$;
INSERT INTO usher.users (id, email, status)
SELECT regress_direct.person(n), 'regress-direct' || n || '@example.com', 'active' FROM generate_series(1, 3) AS n;
BEGIN;
SELECT usher.apply_role_preset('carwash') IS NOT NULL AS applied;
SELECT usher.grant_role(regress_direct.person(1), 'washer') IS NULL AS granted;
SELECT id AS location
FROM wash.create_location('Direct', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Direct', '1 hour', 100, 'EUR') \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]') > 0 AS opened;
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service'::uuid]);
SELECT is_active FROM wash.assign_staff(:'location', regress_direct.person(1), 'washer');
CREATE TRIGGER regress_see AFTER INSERT ON wash.booking_claims FOR EACH ROW EXECUTE FUNCTION regress_direct.see();
SELECT status FROM wash.create_booking(regress_direct.person(2), :'service', :'location',
                                       date_trunc('day', now()) + interval '5 days', regress_direct.person(1));
SELECT relation, what FROM regress_direct.seen ORDER BY place;
SELECT c.resource_kind, c.live, upper(c.during) - lower(c.during) AS length
FROM wash.booking_claims AS c JOIN wash.bookings AS b ON b.id = c.booking_id
WHERE b.location_id = :'location' ORDER BY 1;
SAVEPOINT before;
SELECT wash.create_booking(regress_direct.person(3), :'service', :'location',
                           date_trunc('day', now()) + interval '5 days 30 minutes', regress_direct.person(1));
ROLLBACK TO before;
-- and again without the trigger, past the executor
DROP TRIGGER regress_see ON wash.booking_claims;
SELECT status FROM wash.create_booking(regress_direct.person(3), :'service', :'location',
                                       date_trunc('day', now()) + interval '6 days', regress_direct.person(1));
SELECT count(*), count(DISTINCT c.booking_id)
FROM wash.booking_claims AS c JOIN wash.bookings AS b ON b.id = c.booking_id WHERE b.location_id = :'location';
SAVEPOINT before;
SELECT wash.create_booking(regress_direct.person(2), :'service', :'location',
                           date_trunc('day', now()) + interval '6 days 30 minutes', regress_direct.person(1));
ROLLBACK TO before;

-- The row of a booking itself bypasses the planner and the executor, and passes all that a statement would
CREATE FUNCTION regress_direct.book(days integer, vehicle jsonb DEFAULT NULL, notes text DEFAULT NULL)
    RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT b.booking_id IS NOT NULL FROM wash.create_booking(regress_direct.person(2),
        (SELECT s.id FROM wash.services AS s WHERE s.name = 'Direct'),
        (SELECT l.id FROM wash.locations AS l WHERE l.name = 'Direct'),
        date_trunc('day', now()) + days * interval '1 day', regress_direct.person(1),
        vehicle_info => vehicle, special_instructions => notes) AS b);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT regress_direct.book(8, vehicle => '[]'), regress_direct.book(8, notes => repeat('x', 2001));
ALTER TABLE wash.bookings ADD CONSTRAINT regress_check CHECK (special_instructions <> 'no') NOT VALID;
SELECT regress_direct.book(8, notes => 'no'), regress_direct.book(8, notes => 'yes');
ALTER TABLE wash.bookings DROP CONSTRAINT regress_check;
-- a domain that becomes stricter, of which nothing is said about the table
SAVEPOINT before;
CREATE DOMAIN regress_direct.channel AS text;
ALTER TABLE wash.bookings ADD COLUMN regress_channel regress_direct.channel DEFAULT 'web';
SELECT regress_direct.book(16);
ALTER DOMAIN regress_direct.channel ADD CONSTRAINT not_web CHECK (VALUE <> 'web') NOT VALID;
SELECT regress_direct.book(17);
ROLLBACK TO before;
CREATE UNIQUE INDEX regress_unique ON wash.bookings (special_instructions) WHERE special_instructions = 'no';
SELECT regress_direct.book(9, notes => 'no'), regress_direct.book(10, notes => 'no'),
       regress_direct.book(10, notes => 'yes');
CREATE FUNCTION regress_direct.fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.special_instructions = 'skip' THEN
        RETURN NULL;
    END IF;
    NEW.special_instructions := TG_WHEN || ' ' || coalesce(NEW.special_instructions, '');
    RETURN NEW;
END $$;
CREATE TRIGGER aaa_fill BEFORE INSERT ON wash.bookings FOR EACH ROW WHEN (NEW.special_instructions IS NOT NULL)
    EXECUTE FUNCTION regress_direct.fill();
CREATE FUNCTION regress_direct.late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'late: %', NEW.special_instructions;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON wash.bookings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.special_instructions = 'BEFORE late') EXECUTE FUNCTION regress_direct.late();
ALTER TABLE wash.bookings ADD COLUMN regress_site text NOT NULL DEFAULT 'here', ADD COLUMN regress_twice text
    GENERATED ALWAYS AS (special_instructions || '!') STORED;
SELECT regress_direct.book(11, notes => 'filled'), regress_direct.book(12), regress_direct.book(13, notes => 'skip'),
       regress_direct.book(14, notes => 'late');
SELECT b.special_instructions, b.regress_site, b.regress_twice, b.status, b.occupies,
       upper(b.during) - b.start_at AS length, b.version,
    (SELECT count(*) FROM usher.status_history AS h WHERE h.entity_id = b.id) AS histories,
    (SELECT count(*) FROM usher.events AS e WHERE e.key = b.id::text) AS events,
    (SELECT count(*) FROM usher.audit_logs AS a
     WHERE a.resource_id = b.id::text AND a.new_values ->> 'regress_site' = 'here') AS audited,
    (SELECT count(*) FROM wash.booking_claims AS c WHERE c.booking_id = b.id) AS claims
FROM wash.bookings AS b WHERE b.start_at >= date_trunc('day', now()) + interval '8 days'
    AND b.customer_id = regress_direct.person(2) ORDER BY b.start_at;
SAVEPOINT before;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO before;
-- rules have their say
CREATE RULE regress_rule AS ON INSERT TO wash.bookings WHERE NEW.special_instructions = 'ruled' DO INSTEAD NOTHING;
SELECT regress_direct.book(15, notes => 'ruled'), regress_direct.book(15, notes => 'not ruled');
DROP RULE regress_rule ON wash.bookings;
DROP TRIGGER late ON wash.bookings;

-- a handler of its event that deletes the booking leaves no claim behind
CREATE FUNCTION regress_direct.forget(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM wash.bookings AS b WHERE b.id = (payload ->> 'id')::uuid;
END $$;
SELECT usher.subscribe('booking.created', 'regress_direct', 'regress_direct.forget(text,jsonb)');
SELECT wash.create_booking(regress_direct.person(2), :'service', :'location',
                           date_trunc('day', now()) + interval '7 days', regress_direct.person(1));
ROLLBACK;

-- A rule that makes nothing of an event, and goes again: the session's plans do not outlive it
CREATE RULE regress_nothing AS ON INSERT TO usher.events DO INSTEAD NOTHING;
SELECT count(usher.publish('regress_direct.ruled', '{}')) FROM generate_series(1, 3);
DROP RULE regress_nothing ON usher.events;
SELECT count(usher.publish('regress_direct.unruled', '{}')) FROM generate_series(1, 3);
SELECT event, count(*) FROM usher.events WHERE event LIKE 'regress\_direct.%ruled' GROUP BY 1;
CREATE RULE regress_nothing AS ON INSERT TO usher.status_history DO INSTEAD NOTHING;
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000009');
DROP RULE regress_nothing ON usher.status_history;
UPDATE regress_direct.jobs SET status = 'done' WHERE id = '00000000-0000-7000-8000-000000000009';
SELECT seq, to_status FROM usher.status_history
WHERE relation = 'regress_direct.jobs'::regclass AND entity_id = '00000000-0000-7000-8000-000000000009';
-- what an index would not take is refused by name
SELECT usher.log_event('regress.long', resource_id => repeat('x', 1001));
SELECT usher.log_event('regress.long', resource_type => repeat('x', 501));

DELETE FROM usher.users WHERE id IN (SELECT regress_direct.person(n) FROM generate_series(1, 3) AS n);
DELETE FROM usher.status_history WHERE relation = 'regress_direct.jobs'::regclass;
DELETE FROM usher.events WHERE event LIKE 'regress\_direct.%';
DELETE FROM usher.machines WHERE name = 'regress_direct';
DROP SCHEMA regress_direct CASCADE;

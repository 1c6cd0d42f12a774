-- History, events and claims are written past the executor. What a DBA adds to their tables counts all the same.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA regress_direct;
CREATE TABLE regress_direct.seen (place serial, relation name, what text);
CREATE FUNCTION regress_direct.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_direct.seen (relation, what) VALUES (TG_TABLE_NAME, coalesce(to_jsonb(NEW) ->> 'to_status', to_jsonb(NEW) ->> 'event', to_jsonb(NEW) ->> 'resource_kind'));
    RETURN NULL;
END $$;
SELECT usher.define_machine('regress_direct', '{"initial": ["open"], "transitions": [
    {"from": null, "to": "open", "action": "create", "event": "made"}, {"from": "open", "to": "done", "action": "finish", "event": "finished"}]}');
CREATE TABLE regress_direct.jobs (id uuid PRIMARY KEY, status text NOT NULL DEFAULT 'open');
SELECT usher.attach_machine('regress_direct', 'regress_direct.jobs', 'status', '{"event_prefix": "regress_direct"}');

-- As shipped: numbers go on where an id is used again
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000001');
UPDATE regress_direct.jobs SET status = 'done';
DELETE FROM regress_direct.jobs;
INSERT INTO regress_direct.jobs VALUES ('00000000-0000-7000-8000-000000000001');
SELECT h.seq, h.from_status, h.to_status, h.action, h.changed_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS is_now
FROM usher.status_history AS h WHERE h.relation = 'regress_direct.jobs'::regclass ORDER BY h.seq;
SELECT e.event, e.key, e.payload ->> 'to' AS "to", e.depth, e.created_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS is_now
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
SELECT h.seq, h.to_status, h.regress_site FROM usher.status_history AS h WHERE h.relation = 'regress_direct.jobs'::regclass ORDER BY h.seq;
ROLLBACK;

-- Claims of bookings
CREATE FUNCTION regress_direct.person(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8000-0000000009' || lpad(n::text, 2, '0'))::uuid $$;
INSERT INTO usher.users (id, email, status) SELECT regress_direct.person(n), 'regress-direct' || n || '@example.com', 'active' FROM generate_series(1, 3) AS n;
BEGIN;
SELECT usher.grant_role(regress_direct.person(1), 'washer') IS NULL AS granted;
SELECT id AS location FROM wash.create_location('Direct', '1 Road', 'Berlin', 'BE', '10115', 'DE', 'Europe/Berlin') \gset
SELECT id AS service FROM wash.create_service('Direct', '1 hour', 100, 'EUR') \gset
SELECT wash.set_location_hours(:'location', '{1,2,3,4,5,6,7}', '[["00:00", "24:00"]]') > 0 AS opened;
SELECT added FROM wash.set_location_services(:'location', ARRAY[:'service'::uuid]);
SELECT is_active FROM wash.assign_staff(:'location', regress_direct.person(1), 'washer');
CREATE TRIGGER regress_see AFTER INSERT ON wash.booking_claims FOR EACH ROW EXECUTE FUNCTION regress_direct.see();
SELECT status FROM wash.create_booking(regress_direct.person(2), :'service', :'location', date_trunc('day', now()) + interval '5 days', regress_direct.person(1));
SELECT relation, what FROM regress_direct.seen ORDER BY place;
SELECT c.resource_kind, c.live, upper(c.during) - lower(c.during) AS length FROM wash.booking_claims AS c JOIN wash.bookings AS b ON b.id = c.booking_id
WHERE b.location_id = :'location' ORDER BY 1;
SAVEPOINT before;
SELECT wash.create_booking(regress_direct.person(3), :'service', :'location', date_trunc('day', now()) + interval '5 days 30 minutes', regress_direct.person(1));
ROLLBACK TO before;
-- and again without the trigger, past the executor
DROP TRIGGER regress_see ON wash.booking_claims;
SELECT status FROM wash.create_booking(regress_direct.person(3), :'service', :'location', date_trunc('day', now()) + interval '6 days', regress_direct.person(1));
SELECT count(*), count(DISTINCT c.booking_id) FROM wash.booking_claims AS c JOIN wash.bookings AS b ON b.id = c.booking_id WHERE b.location_id = :'location';
SAVEPOINT before;
SELECT wash.create_booking(regress_direct.person(2), :'service', :'location', date_trunc('day', now()) + interval '6 days 30 minutes', regress_direct.person(1));
ROLLBACK TO before;
-- a handler of its event that deletes the booking leaves no claim behind
CREATE FUNCTION regress_direct.forget(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM wash.bookings AS b WHERE b.id = (payload ->> 'id')::uuid;
END $$;
SELECT usher.subscribe('booking.created', 'regress_direct', 'regress_direct.forget(text,jsonb)');
SELECT wash.create_booking(regress_direct.person(2), :'service', :'location', date_trunc('day', now()) + interval '7 days', regress_direct.person(1));
ROLLBACK;

DELETE FROM usher.users WHERE id IN (SELECT regress_direct.person(n) FROM generate_series(1, 3) AS n);
DELETE FROM usher.status_history WHERE relation = 'regress_direct.jobs'::regclass;
DELETE FROM usher.events WHERE event LIKE 'regress\_direct.%';
DELETE FROM usher.machines WHERE name = 'regress_direct';
DROP SCHEMA regress_direct CASCADE;

-- Status machines: definitions, what triggers refuse and record, who may do what, what readers are told.
SET client_min_messages = warning;
\pset null '(null)'
\set SHOW_CONTEXT never
CREATE SCHEMA shop;
CREATE ROLE regress_machines_clerk;
GRANT USAGE ON SCHEMA shop TO regress_machines_clerk;
SELECT usher.grant_access('regress_machines_clerk', 'application');

CREATE TABLE shop.orders (
    id uuid PRIMARY KEY DEFAULT usher.uuid_v7(),
    title text NOT NULL DEFAULT '',
    shop_id text,
    status varchar(20) NOT NULL DEFAULT 'open',
    due date NOT NULL DEFAULT '2030-01-01',
    reason text,
    notes text,
    amount integer NOT NULL DEFAULT 0,
    version integer NOT NULL DEFAULT 1
);
GRANT SELECT, INSERT, UPDATE ON shop.orders TO regress_machines_clerk;

CREATE FUNCTION shop.may_ship(old jsonb, new jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF (new ->> 'amount')::integer <= 0 THEN RETURN 'nothing to ship'; END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION shop.may_return(old jsonb, new jsonb) RETURNS boolean LANGUAGE sql AS $$
    SELECT (new ->> 'amount')::integer < 100
$$;

-- Definitions
SELECT usher.define_machine('Order', '{"initial": ["open"], "transitions": []}');
SELECT usher.define_machine('test_order', '[]');
SELECT usher.define_machine('test_order', '{"initial": ["open"], "transitions": [{"from": "open", "to": "shipped"}]}');
SELECT usher.define_machine(
    'test_order', '{"initial": ["open"], "transitions": [{"from": "open", "to": "shipped", "action": "ship", "guard": '
                  '"shop.no_such(jsonb,jsonb)"}]}');
SELECT usher.define_machine('test_order', NULL);
SELECT usher.define_machine('test_order', '{
    "initial": ["open"], "terminal": ["returned", "cancelled"],
    "transitions": [
        {"from": null, "to": "open", "action": "create"},
        {"from": "open", "to": "shipped", "action": "ship", "permission": "order:ship",
            "guard": "shop.may_ship(jsonb,jsonb)"},
        {"from": "open", "to": "open", "action": "postpone", "columns": ["due"]},
        {"from": "shipped", "to": "returned", "action": "return", "guard": "shop.may_return(jsonb,jsonb)"},
        {"from": ["open", "shipped"], "to": "cancelled", "action": "cancel", "requires_reason": true}]}');
SELECT usher.validate_machine('test_order');
SELECT usher.machine_diagram('test_order');
SELECT usher.machine_diagram('no_such');

-- Attaching
SELECT usher.attach_machine('no_such', 'shop.orders', 'status');
SELECT usher.attach_machine('test_order', 'shop.orders', 'state');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status', '{"reason_column": "why"}');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status', '{"reason_column": "reason", "colour": "red"}');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status',
                            '{"reason_column": "reason", "version_column": "title"}');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status', '{"reason_column": "reason", "id_column": "due"}');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status', '[]');
INSERT INTO shop.orders (status) VALUES ('lost');
SELECT usher.attach_machine('test_order', 'shop.orders', 'status', '{"reason_column": "reason"}');
DELETE FROM shop.orders;
SELECT usher.attach_machine('test_order', 'shop.orders', 'status',
    '{"reason_column": "reason", "notes_column": "notes", "version_column": "version", "scope_column": "shop_id"}');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass AND NOT tgisinternal ORDER BY 1;

-- A way through the machine by raw SQL, as a trusted role
\set one '00000000-0000-7000-8000-000000000001'
INSERT INTO shop.orders (id, status) VALUES (:'one', 'shipped');
INSERT INTO shop.orders (id, status) VALUES (:'one', 'elsewhere');
INSERT INTO shop.orders (id, notes) VALUES (:'one', 'by telephone');
UPDATE shop.orders SET status = 'returned' WHERE id = :'one';
UPDATE shop.orders SET status = 'elsewhere' WHERE id = :'one';
UPDATE shop.orders SET status = 'shipped' WHERE id = :'one';
UPDATE shop.orders SET due = '2030-02-01' WHERE id = :'one';
UPDATE shop.orders SET amount = 250 WHERE id = :'one';
UPDATE shop.orders SET status = 'shipped' WHERE id = :'one';
UPDATE shop.orders SET due = '2030-03-01' WHERE id = :'one';
UPDATE shop.orders SET status = 'returned' WHERE id = :'one';
UPDATE shop.orders SET status = 'cancelled' WHERE id = :'one';
UPDATE shop.orders SET status = 'cancelled', reason = '  ' WHERE id = :'one';
\echo :SQLSTATE
UPDATE shop.orders
SET status = 'cancelled', reason = 'customer_request', version = 4 WHERE id = :'one' RETURNING version;
UPDATE shop.orders SET status = 'open' WHERE id = :'one';
SELECT seq, from_status, to_status, action, (changed_by).id, (changed_by).name = current_user AS by_role, reason_code,
       notes, version
    FROM usher.history('shop.orders', :'one');
SELECT seq, to_status FROM usher.history('shop.orders', :'one', 1, 1);
SELECT * FROM usher.history('shop.orders', :'one', 0, 0);
SELECT * FROM usher.history('shop.orders', '00000000-0000-7000-8000-0000000000ff');
SELECT * FROM usher.history('pg_class', usher.uuid_v7());

-- Versions: the one that the row has, the next one, or none at all; any other is stale
\set two '00000000-0000-7000-8000-000000000002'
INSERT INTO shop.orders (id, amount) VALUES (:'two', 5);
UPDATE shop.orders SET title = 'b' WHERE id = :'two' RETURNING version;
UPDATE shop.orders SET title = 'c', version = version + 1 WHERE id = :'two' RETURNING version;
UPDATE shop.orders SET title = 'd', version = 1 WHERE id = :'two';
UPDATE shop.orders SET title = 'd', version = 99 WHERE id = :'two';
UPDATE shop.orders SET title = 'd', version = NULL WHERE id = :'two' RETURNING version;

-- Permissions: without identity only a trusted role passes; guards run as their owner
SET ROLE regress_machines_clerk;
SELECT to_status, action, allowed, why_not FROM usher.allowed_transitions('shop.orders', :'two') ORDER BY 1, 2;
UPDATE shop.orders SET status = 'shipped' WHERE id = :'two';
UPDATE shop.orders SET status = 'cancelled', reason = 'changed my mind' WHERE id = :'two' RETURNING version;
SELECT usher.define_machine('clerk', '{"initial": ["a"], "transitions": []}');
SELECT * FROM usher.status_history;
RESET ROLE;
SELECT to_status, action, allowed, why_not FROM usher.allowed_transitions('shop.orders', :'two') ORDER BY 1, 2;
SELECT * FROM usher.allowed_transitions('shop.orders', '00000000-0000-7000-8000-0000000000ff');
SELECT * FROM usher.allowed_transitions('pg_class', usher.uuid_v7());

-- A new version of the machine counts at once, an unchanged one keeps its number
SELECT usher.define_machine('test_order', definition) FROM usher.machines WHERE name = 'test_order';
SELECT usher.define_machine(
    'test_order', '{"initial": ["open"], "transitions": [{"from": "open", "to": "done", "action": "finish"}]}');
INSERT INTO shop.orders (id) VALUES ('00000000-0000-7000-8000-000000000003');
UPDATE shop.orders SET status = 'done' WHERE id = '00000000-0000-7000-8000-000000000003' RETURNING status;
BEGIN;
SELECT usher.define_machine(
    'test_order', '{"initial": ["open"], "transitions": [{"from": "done", "to": "open", "action": "reopen"}]}');
UPDATE shop.orders SET status = 'open' WHERE id = '00000000-0000-7000-8000-000000000003' RETURNING status;
ROLLBACK;
UPDATE shop.orders SET status = 'open' WHERE id = '00000000-0000-7000-8000-000000000003';
SELECT rule, status FROM usher.validate_machine('test_order') ORDER BY 1, 2;

-- Rows that are restored or replicated come as they are, without history
BEGIN;
SET LOCAL usher.restoring = on;
INSERT INTO shop.orders (id, status, version)
VALUES ('00000000-0000-7000-8000-000000000004', 'cancelled', 7) RETURNING status, version;
COMMIT;
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO shop.orders (id, status, version)
VALUES ('00000000-0000-7000-8000-000000000005', 'cancelled', 7) RETURNING status, version;
UPDATE shop.orders SET status = 'open' WHERE id = '00000000-0000-7000-8000-000000000005' RETURNING status, version;
COMMIT;
SELECT count(*) FROM usher.status_history WHERE relation = 'shop.orders'::regclass
    AND entity_id IN ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000005');

-- Events and the audit log
SELECT event_type, action, source, resource_type, resource_id, event_data - 'id' - 'actor_id' AS event_data
    FROM usher.audit_logs WHERE source = 'machine' AND resource_id = :'two' ORDER BY id;

-- Triggers used by hand
CREATE TRIGGER wrong AFTER UPDATE ON shop.orders FOR EACH ROW
    EXECUTE FUNCTION usher.check_transition('test_order', 'status', '{}');
UPDATE shop.orders SET title = 'e' WHERE id = :'two';
DROP TRIGGER wrong ON shop.orders;
CREATE TRIGGER wrong BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION usher.check_transition('test_order');
UPDATE shop.orders SET title = 'e' WHERE id = :'two';
DROP TRIGGER wrong ON shop.orders;

-- Other column types; a table without attachment is free again
CREATE TYPE shop.mood AS ENUM ('open', 'done');
CREATE TABLE shop.moods (key uuid PRIMARY KEY, mood shop.mood NOT NULL);
SELECT usher.attach_machine('test_order', 'shop.moods', 'mood', '{"id_column": "key", "audit": false}');
INSERT INTO shop.moods VALUES (:'one', 'done');
INSERT INTO shop.moods VALUES (:'one', 'open');
UPDATE shop.moods SET mood = 'done';
SELECT to_status FROM usher.history('shop.moods', :'one');
SELECT usher.detach_machine('shop.moods');
UPDATE shop.moods SET mood = 'open' RETURNING mood;
SELECT * FROM usher.history('shop.moods', :'one');

-- history outlives the row
DELETE FROM shop.moods;
SELECT seq, from_status, to_status, action
FROM usher.status_history WHERE relation = 'shop.moods'::regclass AND entity_id = :'one' ORDER BY seq;

-- Keys that are no uuid: integers and texts, given as they are or as text; a NULL status is none of the machine's
SELECT usher.define_machine(
    'regress_parcel',
    '{"initial": ["open"], "transitions": [{"from": "open", "to": "sent", "action": "send", "event": "sent"}]}');
CREATE TABLE shop.parcels (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text);
INSERT INTO shop.parcels (status) VALUES ('open'), (NULL);
SELECT usher.attach_machine('regress_parcel', 'shop.parcels', 'status',
                            '{"id_column": "number", "event_prefix": "parcel"}');
DELETE FROM shop.parcels WHERE status IS NULL;
SELECT usher.attach_machine('regress_parcel', 'shop.parcels', 'status',
                            '{"id_column": "number", "event_prefix": "parcel"}');
SELECT usher.subscribe('parcel.*', 'regress_parcels', mode => 'async');
INSERT INTO shop.parcels (status) VALUES ('open') RETURNING number;
SELECT to_status, action, allowed FROM usher.allowed_transitions('shop.parcels', 3) WHERE allowed ORDER BY 1;
UPDATE shop.parcels SET status = 'sent' WHERE number = 3;
UPDATE shop.parcels SET status = 'sent' WHERE number = 1;
SELECT seq, from_status, to_status, action FROM usher.history('shop.parcels', 3);
SELECT to_status FROM usher.history('shop.parcels', ' 03 ');
SELECT to_status FROM usher.history('shop.parcels', 3::smallint, 1, 1);
SELECT to_status FROM usher.history('shop.parcels', 1);
SELECT * FROM usher.history('shop.parcels', 4);
SELECT * FROM usher.history('shop.parcels', 'three');
SELECT * FROM usher.history('shop.parcels', 'NaN'::float8);
SELECT * FROM usher.history('shop.parcels', NULL::bigint);
SELECT entity_key, count(*) FROM usher.status_history WHERE relation = 'shop.parcels'::regclass GROUP BY 1 ORDER BY 1;
SELECT resource_id, event_data -> 'id' AS id FROM usher.audit_logs WHERE resource_type = 'shop.parcels' ORDER BY id;
SELECT key, payload -> 'id' AS id FROM usher.events WHERE event LIKE 'parcel.%' ORDER BY id;
SELECT usher.unsubscribe('parcel.*', 'regress_parcels');
CREATE TABLE shop.letters (code text PRIMARY KEY, status text NOT NULL);
SELECT usher.attach_machine('regress_parcel', 'shop.letters', 'status', '{"id_column": "code"}');
INSERT INTO shop.letters VALUES ('É "1"', 'open'), ('', 'open'), (repeat('long ', 1000), 'open');
UPDATE shop.letters SET status = 'sent';
SELECT left(l.code, 10) AS code, h.seq, h.to_status
FROM shop.letters l, usher.history('shop.letters', l.code) h ORDER BY l.code COLLATE "C", h.seq;
SELECT DISTINCT length(resource_id) AS length FROM usher.audit_logs WHERE resource_type = 'shop.letters' ORDER BY 1;

-- What is odd about a definition: statuses that cannot be reached, dead ends, no way to an end, guards that are gone
CREATE FUNCTION shop.will_go(old jsonb, new jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT usher.define_machine('regress_odd', '{"initial": ["open"], "terminal": ["done"], "transitions": [
    {"from": "open", "to": "done", "action": "finish", "guard": "shop.will_go(jsonb,jsonb)"},
    {"from": "open", "to": "stuck", "action": "stick"},
    {"from": "island", "to": "done", "action": "swim"}, {"from": "open", "to": "round", "action": "turn"},
    {"from": "round", "to": "about", "action": "turn"},
    {"from": "about", "to": "round", "action": "turn"}]}');
SELECT rule, status, message FROM usher.validate_machine('regress_odd') ORDER BY 1, 2;
DROP FUNCTION shop.will_go(jsonb, jsonb);
SELECT rule, status, message FROM usher.validate_machine('regress_odd') WHERE rule = 'missing_guard';
SELECT * FROM usher.validate_machine('no_such');
-- Times are JSON's in a payload, whatever DateStyle and time zone are set where the row is changed
CREATE TABLE shop.trips (id uuid PRIMARY KEY, status text, departs timestamptz, day date, opens time, noted timestamp, none date);
SELECT usher.attach_machine('regress_parcel', 'shop.trips', 'status',
                            '{"event_prefix": "trip", "payload_columns": ["departs", "day", "opens", "noted", "none"]}');
SELECT usher.subscribe('trip.*', 'regress_trips', mode => 'async');
SET DateStyle = 'German';
SET TimeZone = 'Asia/Tokyo';
INSERT INTO shop.trips VALUES (:'one', 'open', '2026-12-01 14:00:00+00', '2026-12-01', '09:30', '2026-12-01 09:30', NULL);
UPDATE shop.trips SET status = 'sent';
SELECT payload - '{relation,id,from,to,action,reason_code,version,actor_id}'::text[] AS times FROM usher.events
WHERE event = 'trip.sent';
RESET DateStyle;
RESET TimeZone;
SELECT usher.unsubscribe('trip.*', 'regress_trips');
-- Presets: each is sound, has a diagram, and works on a table
SELECT p.preset, usher.apply_machine_preset(p.preset, 'regress_' || p.preset) AS version,
       (SELECT count(*) FROM usher.validate_machine('regress_' || p.preset)) AS findings
    FROM (VALUES ('post'), ('order'), ('work_order')) AS p (preset);
SELECT usher.machine_diagram('regress_work_order');
SELECT usher.apply_machine_preset('invoice');
SELECT usher.machine_preset('invoice'), usher.machine_preset('post') ->> 'initial' AS initial;
CREATE TABLE shop.tickets (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text NOT NULL DEFAULT 'submitted',
                           reason text);
SELECT usher.attach_machine('regress_work_order', 'shop.tickets', 'status',
                            '{"reason_column": "reason", "event_prefix": "work_order"}');
INSERT INTO shop.tickets (id) VALUES (:'one');
UPDATE shop.tickets SET status = 'in_progress';
UPDATE shop.tickets SET status = 'cancelled';
UPDATE shop.tickets SET status = 'cancelled', reason = 'no longer needed';
UPDATE shop.tickets SET status = 'scheduled';
SELECT to_status, action, reason_code FROM usher.history('shop.tickets', :'one');

SET client_min_messages = error;
DELETE FROM usher.machines WHERE name = 'test_order' OR name LIKE 'regress\_%';
UPDATE shop.orders SET status = 'open' WHERE id = :'one';
DROP SCHEMA shop CASCADE;
SELECT usher.revoke_access('regress_machines_clerk');
DROP ROLE regress_machines_clerk;

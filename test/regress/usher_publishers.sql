-- Events have publishers: a name belongs to the extension or application that declared it, and extensions act on events
-- of declared publishers only.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_till;
CREATE ROLE regress_app;
SELECT usher.grant_access('regress_till', 'application'), usher.grant_access('regress_app', 'application');
CREATE SCHEMA regress_till AUTHORIZATION regress_till;
CREATE SCHEMA regress_app AUTHORIZATION regress_app;
CREATE TABLE regress_till.heard (place serial, consumer text, event text, payload jsonb);

-- What anybody could do with these names: pay a booking, take a washer off all locations, send a forged mail.
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('user.deactivated', '{"user_id": "00000000-0000-7000-8000-000000000001"}');
SELECT usher.publish('user.password_reset_requested', '{"email": "victim@example.com", "token": "forged"}');
SELECT usher.publish('user.deleted', '{}', dedupe_key => 'x', dedupe => 'replace');
SELECT usher.publish('booking.confirmed', '{}');
\set VERBOSITY default
SELECT usher.publish('consent.withdrawn', '{}');
\set VERBOSITY sqlstate
SELECT usher.publish('consent.withdrawn', '{}');
\set VERBOSITY terse
-- names that nobody has declared are everybody's, those that begin like others too
SELECT usher.publish('regress_app.hello', '{}') IS NOT NULL AS published,
       usher.publish('user.regress_waved', '{}') IS NOT NULL AS this_too;
RESET SESSION AUTHORIZATION;
SELECT event, publisher FROM usher.events WHERE event IN ('regress_app.hello', 'user.regress_waved') ORDER BY 1;
-- what core publishes by itself is its own, in functions and triggers, though an application calls them
SET SESSION AUTHORIZATION regress_app;
SELECT user_id AS victim FROM usher.register_user('regress.publishers@example.com', 'a password of some length') \gset
RESET SESSION AUTHORIZATION;
SELECT usher.deactivate_user(:'victim');
SELECT event, publisher FROM usher.events WHERE key = :'victim' ORDER BY id;
SELECT usher.erase_user(:'victim') IS NOT NULL AS erased;

-- An application declares its names. They belong to the owner of its schema from then on.
SELECT usher.register_extension('A till', 'regress_till', 'regress_till',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{till.opened,till.closed}');
SELECT publishes FROM usher.list_extensions() WHERE name = 'regress_till';
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('till.opened');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_till;
SELECT usher.publish('till.opened', '{"by": "till"}') IS NOT NULL AS published;
CREATE FUNCTION regress_till.open_for(name text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT usher.publish('till.opened', jsonb_build_object('by', name)) IS NOT NULL
$$;
GRANT USAGE ON SCHEMA regress_till TO regress_app;
RESET SESSION AUTHORIZATION;
-- whoever uses its functions publishes through them
SET SESSION AUTHORIZATION regress_app;
SELECT regress_till.open_for('app');
RESET SESSION AUTHORIZATION;
-- a change of the schema's owner is seen at once
ALTER SCHEMA regress_till OWNER TO regress_app;
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('till.opened', '{"by": "new owner"}') IS NOT NULL AS published;
RESET SESSION AUTHORIZATION;
ALTER SCHEMA regress_till OWNER TO regress_till;
SELECT payload ->> 'by' AS by, publisher FROM usher.events WHERE event LIKE 'till.%' ORDER BY id;
-- a name has one publisher
SELECT usher.register_extension('Another', 'regress_other', 'regress_app',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{till.opened}');
SELECT usher.register_extension('Another', 'regress_other', 'regress_app',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{user.deleted}');

-- A machine publishes for the owner of its table, whoever changes the row.
CREATE TABLE regress_till.drawers (id uuid PRIMARY KEY DEFAULT usher.uuid_v7(), status text NOT NULL DEFAULT 'shut');
ALTER TABLE regress_till.drawers OWNER TO regress_till;
CREATE TABLE regress_app.drawers (LIKE regress_till.drawers INCLUDING ALL);
ALTER TABLE regress_app.drawers OWNER TO regress_app;
SELECT usher.define_machine('regress_drawer', '{"initial": ["shut"], "transitions": [
    {"from": "shut", "to": "open", "action": "open", "event": "opened"}]}');
SELECT usher.attach_machine('regress_drawer', 'regress_till.drawers', 'status', '{"event_prefix": "till"}');
SELECT usher.attach_machine('regress_drawer', 'regress_app.drawers', 'status', '{"event_prefix": "till"}');
ALTER TABLE regress_app.drawers OWNER TO regress_till;
SELECT usher.attach_machine('regress_drawer', 'regress_app.drawers', 'status', '{"event_prefix": "till"}');
ALTER TABLE regress_app.drawers OWNER TO regress_app;
GRANT USAGE ON SCHEMA regress_till TO regress_app;
GRANT ALL ON regress_till.drawers TO regress_app;
SET SESSION AUTHORIZATION regress_app;
INSERT INTO regress_till.drawers DEFAULT VALUES;
INSERT INTO regress_app.drawers DEFAULT VALUES;
UPDATE regress_till.drawers SET status = 'open';
UPDATE regress_app.drawers SET status = 'open';
RESET SESSION AUTHORIZATION;
SELECT count(*), min(publisher) FROM usher.events WHERE event = 'till.opened' AND payload ? 'relation';

-- Extensions act on declared publishers only; the others hear everything. An extension subscribes in its script: here
-- the rows are made to look so.
CREATE FUNCTION regress_till.hear_extension(event text, payload jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO regress_till.heard (consumer, event, payload) VALUES ('extension', event, payload) $$;
CREATE FUNCTION regress_till.hear_other(event text, payload jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO regress_till.heard (consumer, event, payload) VALUES ('other', event, payload) $$;
SELECT usher.subscribe('lamp.*', 'regress_extension', 'regress_till.hear_extension(text,jsonb)'),
       usher.subscribe('lamp.*', 'regress_other', 'regress_till.hear_other(text,jsonb)'),
       usher.subscribe('lamp.lit', 'regress_extension_async', 'regress_till.hear_extension(text,jsonb)', 'async'),
       usher.subscribe('lamp.lit', 'regress_other_async', 'regress_till.hear_other(text,jsonb)', 'async');
-- as if its script had made them
ALTER TABLE usher.subscriptions DISABLE TRIGGER keep_decision;
UPDATE usher.subscriptions SET extension = 'usher_booking' WHERE consumer LIKE 'regress_extension%';
ALTER TABLE usher.subscriptions ENABLE ALWAYS TRIGGER keep_decision;
SELECT usher.publish('lamp.lit', '{"n": 1}') IS NOT NULL AS published;
SELECT consumer, payload FROM regress_till.heard ORDER BY place;
SELECT consumer FROM usher.deliveries WHERE event = 'lamp.lit' ORDER BY consumer;
SELECT finding, severity FROM usher.check_configuration() WHERE finding LIKE '%lamp%';
-- a delivery that is there all the same is not acted on
INSERT INTO usher.deliveries (event_id, consumer, event)
SELECT id, 'regress_extension_async', event FROM usher.events WHERE event = 'lamp.lit';
SELECT * FROM usher.run_event_handlers();
SELECT consumer, payload FROM regress_till.heard ORDER BY place;
SELECT error_message FROM usher.deliveries WHERE consumer = 'regress_extension_async';
DELETE FROM usher.deliveries WHERE consumer = 'regress_extension_async';
TRUNCATE regress_till.heard;
SELECT usher.register_extension('A till', 'regress_till', 'regress_till',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h),
    publishes => '{till.opened,till.closed,lamp.lit}');
SELECT usher.publish('lamp.lit', '{"n": 2}') IS NOT NULL AS published;
SELECT * FROM usher.run_event_handlers();
SELECT consumer, payload FROM regress_till.heard ORDER BY place;
-- a program that claims events sees whose they are
SELECT usher.subscribe('lamp.*', 'regress_program', mode => 'async');
SELECT usher.publish('lamp.lit', '{"n": 3}') IS NOT NULL AS published,
       usher.publish('lamp.broken', '{"n": 4}') IS NOT NULL AS this_too;
SELECT event, publisher FROM usher.claim_events('regress_program', 10);

-- What was published under a name before it was declared does not stand in the way of its publisher.
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('lamp.changed', '{"forged": true}', dedupe_key => 'first') AS forged \gset
RESET SESSION AUTHORIZATION;
SELECT usher.register_extension('A till', 'regress_till', 'regress_till',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h),
    publishes => '{till.opened,till.closed,lamp.lit,lamp.changed}');
SELECT usher.publish('lamp.changed', '{"forged": false}', dedupe_key => 'first') <> :'forged' AS published,
       usher.publish('lamp.changed', '{"forged": false}', dedupe_key => 'first') <> :'forged' AS once;
SELECT payload, publisher FROM usher.events WHERE event = 'lamp.changed' ORDER BY id;

-- The schema, and not another one of its name
ALTER SCHEMA regress_till RENAME TO regress_old_till;
CREATE SCHEMA regress_till AUTHORIZATION regress_app;
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('lamp.lit', '{"n": 5}') IS NOT NULL AS published;
RESET SESSION AUTHORIZATION;
SELECT payload, publisher FROM usher.events WHERE event = 'lamp.lit' ORDER BY id DESC LIMIT 1;
SELECT usher.register_extension('A till', 'regress_till', 'regress_till',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{till.opened}');
DROP SCHEMA regress_till;
SELECT publishes FROM usher.list_extensions() WHERE name = 'regress_till';
ALTER SCHEMA regress_old_till RENAME TO regress_till;
SELECT usher.register_extension('A till', 'regress_till', 'regress_till',
    declined_hooks => (SELECT array_agg(h.hook) FROM usher._hooks() AS h), publishes => '{till.opened}');
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('till.opened');
RESET SESSION AUTHORIZATION;

-- An application that is forgotten leaves its names to everybody.
SELECT usher.unregister_extension('regress_till');
SET SESSION AUTHORIZATION regress_app;
SELECT usher.publish('till.opened') IS NOT NULL AS published;
RESET SESSION AUTHORIZATION;

DELETE FROM usher.deliveries WHERE consumer LIKE 'regress_%';
DELETE FROM usher.subscriptions WHERE consumer LIKE 'regress_%';
DELETE FROM usher.events WHERE event ~ '^(till|lamp|regress_app)\.' OR event = 'user.regress_waved';
DROP SCHEMA regress_till, regress_app CASCADE;
DELETE FROM usher.machines WHERE name = 'regress_drawer';
SELECT usher.revoke_access('regress_till'), usher.revoke_access('regress_app');
DROP ROLE regress_till, regress_app;

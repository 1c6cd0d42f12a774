-- Events: sync and async subscribers, order, chains, retries, parking; every refusal once.
\set VERBOSITY terse
SET client_min_messages = warning;
-- What others have published, and nobody has taken yet, is not for the handlers here.
DELETE FROM usher.deliveries;
DELETE FROM usher.events;
CREATE SCHEMA regress_events;
CREATE ROLE regress_events_owner;
CREATE ROLE regress_events_app;
SELECT usher.grant_access('regress_events_app', 'application');

CREATE TABLE regress_events.seen (place serial, handler text, event text, payload jsonb, role text, path text);
CREATE FUNCTION regress_events.first(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_events.seen (handler, event, payload, role, path)
    VALUES ('first', event, payload, current_user, current_setting('search_path'));
END $$;
CREATE FUNCTION regress_events.second(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_events.seen (handler, event, payload, role, path)
    VALUES ('second', event, payload, current_user, current_setting('search_path'));
    IF payload ? 'refuse' THEN
        RAISE EXCEPTION 'second does not want this' USING ERRCODE = '23514';
    END IF;
END $$;
CREATE FUNCTION regress_events.forward(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.publish('regress.forwarded', payload);
END $$;
CREATE FUNCTION regress_events.circle(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.publish('regress.circle', payload);
END $$;
CREATE FUNCTION regress_events.picky(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF payload ? 'bad' THEN
        RAISE EXCEPTION 'picky cannot do this';
    END IF;
    INSERT INTO regress_events.seen (handler, event, payload) VALUES ('picky', event, payload);
END $$;
CREATE FUNCTION regress_events.wrong(event text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION regress_events.wrong_result(event text, payload jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT USAGE ON SCHEMA regress_events TO regress_events_owner;
GRANT INSERT ON regress_events.seen TO regress_events_owner;
GRANT USAGE ON SEQUENCE regress_events.seen_place_seq TO regress_events_owner;
ALTER FUNCTION regress_events.second(text, jsonb) OWNER TO regress_events_owner;

-- Sync: in the order of subscription, as the handler's owner, with a safe path, whoever publishes --------------------
SELECT usher.subscribe('regress.done', 'zz', 'regress_events.first(text,jsonb)');
SELECT usher.subscribe('regress.*', 'aa', 'regress_events.second(text,jsonb)');
SET SESSION AUTHORIZATION regress_events_app;
SET search_path = regress_events, public;
SELECT usher.publish('regress.done', '{"n": 1}') IS NOT NULL AS published;
SELECT usher.publish('regress.other', '{"n": 2}') IS NOT NULL AS published;
SELECT usher.publish('regressions', '{"n": 3}') IS NOT NULL AS published;
SELECT current_user, current_setting('search_path');
RESET SESSION AUTHORIZATION;
RESET search_path;
SELECT handler, event, payload, role = 'regress_events_owner' AS as_owner, path
FROM regress_events.seen ORDER BY place;
-- what a subscriber raises goes to the publisher, and nothing stays
SELECT usher.publish('regress.done', '{"refuse": true}');
SELECT count(*) FROM regress_events.seen;
SELECT count(*) FROM usher.events WHERE payload ? 'refuse';
-- a savepoint takes back an event and what came of it
BEGIN;
SAVEPOINT before;
SELECT usher.publish('regress.done', '{"n": 4}') IS NOT NULL AS published;
ROLLBACK TO before;
COMMIT;
SELECT count(*) FROM usher.events WHERE payload = '{"n": 4}';
-- subscribing again changes the subscription; the order stays
SELECT usher.subscribe('regress.done', 'zz', 'regress_events.second(text,jsonb)');
TRUNCATE regress_events.seen;
SELECT usher.publish('regress.done', '{"n": 5}') IS NOT NULL AS published;
SELECT handler FROM regress_events.seen ORDER BY place;
-- a handler that is gone is skipped, and back when it is back
DROP FUNCTION regress_events.second(text, jsonb);
TRUNCATE regress_events.seen;
SELECT usher.publish('regress.done', '{"n": 6}') IS NOT NULL AS published;
SELECT count(*) FROM regress_events.seen;
CREATE FUNCTION regress_events.second(event text, payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_events.seen (handler, event, payload) VALUES ('second is back', event, payload);
END $$;
SELECT usher.publish('regress.done', '{"n": 7}') IS NOT NULL AS published;
SELECT handler FROM regress_events.seen ORDER BY place;
SELECT usher.unsubscribe('regress.done', 'zz'), usher.unsubscribe('regress.done', 'zz') AS again,
       usher.unsubscribe('regress.*', 'aa');

-- Chains -------------------------------------------------------------------------------------------------------------
SELECT usher.subscribe('regress.start', 'forward', 'regress_events.forward(text,jsonb)');
SELECT usher.publish('regress.start', '{"n": 8}') AS start_id \gset
SELECT event, depth, causation_id = :'start_id' AS caused_by_start
FROM usher.events WHERE payload = '{"n": 8}' ORDER BY id;
SELECT usher.subscribe('regress.circle', 'circle', 'regress_events.circle(text,jsonb)');
\set VERBOSITY sqlstate
SELECT usher.publish('regress.circle');
\set VERBOSITY terse
SELECT count(*) FROM usher.events WHERE event = 'regress.circle';
-- the chain is forgotten after the error
SELECT usher.publish('regress.plain', '{"n": 9}') IS NOT NULL AS published;
SELECT depth, causation_id FROM usher.events WHERE payload = '{"n": 9}';
SELECT usher.unsubscribe('regress.circle', 'circle'), usher.unsubscribe('regress.start', 'forward');

-- Async: in order within a key, one at a time ------------------------------------------------------------------------
SELECT usher.subscribe('regress.work', 'worker', mode => 'async', max_attempts => 2);
-- a second pattern makes no second delivery
SELECT usher.subscribe('regress.*', 'worker', mode => 'async', max_attempts => 2);
SELECT usher.publish('regress.work', jsonb_build_object('w', n),
                     CASE WHEN n <= 3 THEN 'k' END) IS NOT NULL AS published
FROM generate_series(1, 5) AS n;
SELECT count(*) FROM usher.deliveries WHERE consumer = 'worker';
CREATE TABLE regress_events.claimed AS SELECT * FROM usher.claim_events('worker', 10);
SELECT payload, key, attempt FROM regress_events.claimed ORDER BY event_id;
SELECT payload FROM usher.claim_events('worker', 10);
SELECT payload, usher.complete_event('worker', event_id, attempt) AS completed,
       usher.complete_event('worker', event_id, attempt) AS again
FROM regress_events.claimed ORDER BY event_id;
SELECT payload, key FROM usher.claim_events('worker', 10);
-- a failure comes again later, and is parked after the last attempt; the next of its key may then go on
SELECT f.status, f.retry_at > now() AS later
FROM usher.events e, usher.fail_event('worker', e.id, 'could not') f WHERE e.payload = '{"w": 2}';
SELECT payload FROM usher.claim_events('worker', 10);
UPDATE usher.deliveries SET visible_at = now() WHERE consumer = 'worker' AND status = 'pending';
SELECT payload, attempt FROM usher.claim_events('worker', 10);
-- the first attempt is over: its worker comes too late
SELECT usher.complete_event('worker', e.id, 1), f.status
FROM usher.events e, usher.fail_event('worker', e.id, 'too late', 1) f WHERE e.payload = '{"w": 2}';
SELECT f.status, f.retry_at
FROM usher.events e, usher.fail_event('worker', e.id, 'could not again', 2) f WHERE e.payload = '{"w": 2}';
SELECT consumer, event, key, attempts, error_message FROM usher.list_parked_events('worker');
SELECT payload FROM usher.claim_events('worker', 10);
-- claimed and left alone, too often: parked as well
UPDATE usher.deliveries SET visible_at = now() WHERE consumer = 'worker' AND status = 'pending';
SELECT payload, attempt FROM usher.claim_events('worker', 10);
UPDATE usher.deliveries SET visible_at = now() WHERE consumer = 'worker' AND status = 'pending';
SELECT payload, attempt FROM usher.claim_events('worker', 10);
SELECT consumer, error_message FROM usher.list_parked_events('worker');
SELECT usher.retry_event('worker', event_id), usher.retry_event('worker', event_id) AS again
FROM usher.list_parked_events('worker') ORDER BY event_id;
SELECT payload, attempt FROM usher.claim_events('worker', 10);
-- what was published before unsubscribe() can still be claimed, what comes after it is not delivered
SELECT usher.unsubscribe('regress.work', 'worker'), usher.unsubscribe('regress.*', 'worker');
SELECT usher.publish('regress.work', '{"w": 6}') IS NOT NULL AS published;
SELECT count(*) FILTER (WHERE status = 'pending') AS pending FROM usher.deliveries WHERE consumer = 'worker';

-- Async with a handler -----------------------------------------------------------------------------------------------
SELECT usher.subscribe('regress.task', 'picky', 'regress_events.picky(text,jsonb)', 'async');
SELECT usher.publish('regress.task', '{"t": 1}', 'k') IS NOT NULL,
       usher.publish('regress.task', '{"t": 2, "bad": 1}', 'other') IS NOT NULL,
       usher.publish('regress.task', '{"t": 3}', 'k') IS NOT NULL;
TRUNCATE regress_events.seen;
SELECT * FROM usher.run_event_handlers();
SELECT handler, payload FROM regress_events.seen ORDER BY place;
SELECT status, attempts, error_message FROM usher.deliveries WHERE consumer = 'picky' ORDER BY event_id;
SELECT * FROM usher.run_event_handlers();
SELECT usher.unsubscribe('regress.task', 'picky');

-- Refusals -----------------------------------------------------------------------------------------------------------
SELECT usher.publish(NULL), 1;
SELECT usher.publish('');
SELECT usher.publish('Has Capitals');
SELECT usher.publish('dots..twice');
SELECT usher.publish(repeat('x', 1000000));
SELECT usher.publish('regress.x', NULL);
SELECT usher.publish('regress.x', '[]');
SELECT usher.publish('regress.x', '{}', '');
SELECT usher.publish('regress.x', '{}', repeat('k', 256));
SELECT usher.subscribe(NULL, 'c', 'regress_events.first(text,jsonb)');
SELECT usher.subscribe('*.x', 'c', 'regress_events.first(text,jsonb)');
SELECT usher.subscribe('regress.x', '', 'regress_events.first(text,jsonb)');
SELECT usher.subscribe('regress.x', 'c');
SELECT usher.subscribe('regress.x', 'c', 'regress_events.first(text,jsonb)', 'later');
SELECT usher.subscribe('regress.x', 'c', 'regress_events.wrong(text)');
SELECT usher.subscribe('regress.x', 'c', 'regress_events.wrong_result(text,jsonb)');
SELECT usher.subscribe('regress.x', 'c', 0);
SELECT usher.subscribe('regress.x', 'c', 'regress_events.first(text,jsonb)', max_attempts => 0);
SELECT * FROM usher.claim_events(NULL);
SELECT * FROM usher.claim_events('c', 0);
SELECT * FROM usher.claim_events('c', 1, '0');
SELECT * FROM usher.claim_events('nobody there');
SELECT usher.complete_event('c', '00000000-0000-0000-0000-000000000000'), usher.complete_event(NULL, NULL);
SELECT * FROM usher.fail_event('c', '00000000-0000-0000-0000-000000000000');
SELECT usher.retry_event(NULL, NULL);
SELECT * FROM usher.run_event_handlers(0);
SELECT * FROM usher.list_parked_events(max_rows => 0);
-- an application publishes; it does not read events, which carry tokens, nor subscribe without the permission
SET SESSION AUTHORIZATION regress_events_app;
SELECT * FROM usher.events;
SELECT * FROM usher.claim_events('mailer');
SELECT usher.subscribe('user.*', 'spy', mode => 'async');
SELECT usher.unsubscribe('user.*', 'spy');
SELECT * FROM usher.list_parked_events();
SELECT usher._run_event_handler('00000000-0000-0000-0000-000000000000', 'c');
RESET SESSION AUTHORIZATION;

-- A dedupe key: the second event is ignored, or replaces what nobody has claimed yet
SELECT usher.subscribe('regress.once', 'once', mode => 'async');
SELECT usher.publish('regress.once', '{"n": 1}', 'dk', 'order-1') AS first_id \gset
SELECT usher.publish('regress.once', '{"n": 2}', 'dk', 'order-1') = :'first_id' AS same,
       usher.publish('regress.once', '{"n": 3}', 'dk', 'order-2') = :'first_id' AS same_other,
       usher.publish('regress.once_more', '{"n": 4}', 'dk', 'order-1') = :'first_id' AS same_event;
SELECT usher.publish('regress.once', '{"n": 5}', 'dk', 'order-1', 'replace') = :'first_id' AS same;
SELECT payload FROM usher.events WHERE event = 'regress.once' ORDER BY id;
SELECT payload, attempt FROM usher.claim_events('once');
SELECT usher.publish('regress.once', '{"n": 6}', 'dk', 'order-1', 'replace') = :'first_id' AS same;
SELECT payload, dedupe_key FROM usher.events WHERE event = 'regress.once' ORDER BY id;
SELECT usher.complete_event('once', :'first_id');
SELECT usher.publish('regress.once', '{"n": 7}', 'dk', 'order-1') = (
    SELECT id FROM usher.events WHERE event = 'regress.once' AND dedupe_key = 'order-1') AS ignored;
SELECT count(*) FROM usher.events WHERE event = 'regress.once';
SELECT usher.publish('regress.once', '{}', NULL, '');
SELECT usher.publish('regress.once', '{}', NULL, 'x', 'merge');
SELECT usher.publish('regress.once', '{}', NULL, 'x', NULL);
SELECT usher.unsubscribe('regress.once', 'once');
-- What every consumer has completed is removed after usher.events_retention days; what waits or is parked stays
UPDATE usher.events SET created_at = now() - interval '31 days' WHERE event LIKE 'regress.on%';
SELECT affected FROM usher.run_maintenance() WHERE task = 'events_removed';
SELECT event, payload FROM usher.events WHERE event LIKE 'regress.on%' ORDER BY id;

-- Whoever comes late gets what was published from an instant on, and nothing twice
SELECT usher.publish('regress.since.a', '{"n": 0}') IS NOT NULL AS published \gset
UPDATE usher.events SET created_at = now() - interval '2 days' WHERE event = 'regress.since.a';
SELECT usher.publish('regress.since.a', '{"n": 1}', key => 'k') IS NOT NULL AS published \gset
SELECT usher.publish('regress.sincere', '{"n": 2}') IS NOT NULL AS published \gset
SELECT usher.subscribe('regress.since.*', 'late', mode => 'async', since => now() - interval '1 day');
SELECT usher.subscribe('regress.since.a', 'late', mode => 'async', since => now() - interval '1 day');
SELECT usher.publish('regress.since.a', '{"n": 3}') IS NOT NULL AS published \gset
SELECT event, payload, key FROM usher.claim_events('late', 10) ORDER BY event_id;
SELECT usher.subscribe('regress.since.a', 'late', mode => 'async', since => '-infinity');
SELECT event, payload FROM usher.claim_events('late', 10) ORDER BY event_id;
SELECT usher.subscribe('regress.since.a', 'late', 'regress_events.first(text,jsonb)', since => now());
DELETE FROM usher.subscriptions WHERE consumer = 'late';
DELETE FROM usher.deliveries WHERE consumer = 'late';

SELECT usher.revoke_access('regress_events_app');
DELETE FROM usher.deliveries WHERE consumer IN ('worker', 'picky', 'once');
DELETE FROM usher.events WHERE event LIKE 'regress%';
DROP SCHEMA regress_events CASCADE;
DROP ROLE regress_events_app, regress_events_owner;

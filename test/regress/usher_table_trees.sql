-- Partitions, those that come later or are foreign tables, and tables that inherit: each feature that puts triggers on
-- tables sees their rows, refuses them, or says that it does not.
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE SCHEMA regress_trees;
CREATE FOREIGN DATA WRAPPER regress_nowhere;
CREATE SERVER regress_nowhere FOREIGN DATA WRAPPER regress_nowhere;
SELECT usher.define_machine('regress_trees', '{"initial": ["open"], "transitions": [
    {"from": null, "to": "open", "action": "create", "event": "made"},
    {"from": "open", "to": "done", "action": "finish", "event": "finished"},
    {"from": "done", "to": "done", "action": "correct", "columns": ["note"], "requires_reason": true}]}');
CREATE FUNCTION regress_trees.logged(kind text) RETURNS TABLE (action text, key jsonb, old jsonb, new jsonb) LANGUAGE sql AS $$
    SELECT l.action, l.key, l.old_values, l.new_values FROM usher.audit_logs AS l
    WHERE l.resource_type = kind AND l.source = 'trigger' ORDER BY l.id
$$;
CREATE FUNCTION regress_trees.triggers(relation regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.tgname, ' ' ORDER BY t.tgname COLLATE "C") FROM pg_trigger AS t WHERE t.tgrelid = relation AND NOT t.tgisinternal
$$;
CREATE FUNCTION regress_trees.gaps() RETURNS TABLE (severity text, finding text) LANGUAGE sql AS $$
    SELECT c.severity, c.finding FROM usher.check_configuration() AS c
    WHERE c.finding LIKE '%regress\_trees.%' AND c.finding NOT LIKE '%is not audited' ORDER BY 2
$$;

-- Machines: a row that moves between partitions goes through its machine once -------------------------------------------
CREATE TABLE regress_trees.orders (id integer, region integer, status text NOT NULL DEFAULT 'open', version integer, reason text, note text,
                                   PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE regress_trees.orders_1 PARTITION OF regress_trees.orders FOR VALUES IN (1);
-- other numbers of columns
CREATE TABLE regress_trees.orders_2 (note text, gone integer, reason text, version integer, status text NOT NULL, region integer, id integer);
ALTER TABLE regress_trees.orders_2 DROP COLUMN gone;
ALTER TABLE regress_trees.orders_2 ALTER id SET NOT NULL, ALTER region SET NOT NULL;
ALTER TABLE regress_trees.orders ATTACH PARTITION regress_trees.orders_2 FOR VALUES IN (2, 3);
SELECT usher.attach_machine('regress_trees', 'regress_trees.orders', 'status',
                            '{"version_column": "version", "reason_column": "reason", "event_prefix": "regress_trees"}');
INSERT INTO regress_trees.orders VALUES (1, 1), (2, 1), (3, 2);
UPDATE regress_trees.orders SET status = 'done' WHERE id = 1;
UPDATE regress_trees.orders SET region = 2 WHERE id = 1; -- of a status that no row begins with
UPDATE regress_trees.orders SET region = 3 - region, status = 'done' WHERE id IN (2, 3); -- both at once
SELECT tableoid::regclass, id, status, version FROM regress_trees.orders ORDER BY id;
SELECT seq, from_status, to_status, action, version FROM usher.history('regress_trees.orders', 1);
SELECT seq, from_status, to_status, action, version FROM usher.history('regress_trees.orders', 2);
SELECT seq, from_status, to_status, action, version FROM usher.history('regress_trees.orders_1', 3); -- by the name of its partition
SELECT DISTINCT relation FROM usher.status_history WHERE relation::text LIKE 'regress_trees.%';
SELECT to_status, action, allowed FROM usher.allowed_transitions('regress_trees.orders', 2);
SELECT event, key, payload ->> 'relation' AS relation, payload ->> 'from' AS "from" FROM usher.events
WHERE event LIKE 'regress\_trees.%' ORDER BY id;
-- what the machine forbids it forbids on the way, too; a version is asked for once; a watched column moves with its reason
UPDATE regress_trees.orders SET region = 1, status = 'open' WHERE id = 1;
UPDATE regress_trees.orders SET region = 1, version = 9 WHERE id = 1;
UPDATE regress_trees.orders SET region = 1, note = 'new' WHERE id = 1;
UPDATE regress_trees.orders SET region = 1, note = 'new', reason = 'typo' WHERE id = 1;
SELECT seq, from_status, to_status, action, reason_code, version FROM usher.history('regress_trees.orders', 1, after_seq => 2);
-- MERGE, and a row that looks like the other half of a move and is none
MERGE INTO regress_trees.orders AS o USING (VALUES (1, 2), (4, 2)) AS s (id, region) ON o.id = s.id
WHEN MATCHED THEN UPDATE SET region = s.region WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, s.region);
SELECT tableoid::regclass, id, status, version FROM regress_trees.orders WHERE id IN (1, 4) ORDER BY id;
WITH kept AS (UPDATE regress_trees.orders SET reason = 'kept' WHERE id = 1 RETURNING id)
INSERT INTO regress_trees.orders (id, region, status) SELECT 1, 3, 'done' FROM kept;
WITH moved AS (UPDATE regress_trees.orders SET region = 3 - region WHERE id = 1 RETURNING id)
INSERT INTO regress_trees.orders (id, region, status) SELECT 9, 3, 'done' FROM moved;
WITH gone AS (DELETE FROM regress_trees.orders WHERE id = 1 RETURNING *)
INSERT INTO regress_trees.orders SELECT id, 1, status FROM gone;
-- a subtransaction that is rolled back leaves nothing to be mistaken for a move
DO $$
BEGIN
    BEGIN
        UPDATE regress_trees.orders SET region = 3 - region WHERE id = 1;
        RAISE EXCEPTION 'back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    INSERT INTO regress_trees.orders (id, region, status) VALUES (5, 1, 'done');
EXCEPTION WHEN SQLSTATE 'US001' THEN RAISE WARNING '%', SQLERRM;
END $$;
-- many rows, and back
INSERT INTO regress_trees.orders (id, region) SELECT i, 1 FROM generate_series(100, 299) AS i;
UPDATE regress_trees.orders SET region = 2, status = 'done' WHERE id >= 100;
UPDATE regress_trees.orders SET region = 1 WHERE id >= 100 AND region = 2;
SELECT count(*), count(DISTINCT h.entity_id), max(h.seq), min(h.version), max(h.version) FROM usher.status_history AS h
WHERE h.relation = 'regress_trees.orders'::regclass AND length(h.entity_key) = 3;
DELETE FROM regress_trees.orders WHERE id >= 100;
-- by a function of the partition key's own statement within a trigger
CREATE FUNCTION regress_trees.move_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE regress_trees.orders SET region = CASE region WHEN 1 THEN 2 ELSE 1 END WHERE id = 3;
    RETURN NEW;
END $$;
CREATE TRIGGER zzz_move BEFORE UPDATE ON regress_trees.orders FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION regress_trees.move_other();
UPDATE regress_trees.orders SET region = CASE region WHEN 1 THEN 2 ELSE 1 END WHERE id = 1;
DROP TRIGGER zzz_move ON regress_trees.orders;
SELECT tableoid::regclass, id, status FROM regress_trees.orders WHERE id IN (1, 3) ORDER BY id;
-- attached with rows that have a history of their own: it goes on
CREATE TABLE regress_trees.orders_4 (LIKE regress_trees.orders INCLUDING DEFAULTS);
SELECT usher.attach_machine('regress_trees', 'regress_trees.orders_4', 'status', '{"version_column": "version", "reason_column": "reason"}');
INSERT INTO regress_trees.orders_4 VALUES (40, 4);
ALTER TABLE regress_trees.orders ATTACH PARTITION regress_trees.orders_4 FOR VALUES IN (4);
SELECT usher.detach_machine('regress_trees.orders_4');
ALTER TABLE regress_trees.orders ATTACH PARTITION regress_trees.orders_4 FOR VALUES IN (4);
UPDATE regress_trees.orders SET status = 'done' WHERE id = 40;
SELECT seq, from_status, to_status FROM usher.history('regress_trees.orders', 40);
SELECT seq, from_status, to_status FROM usher.history('regress_trees.orders_4', 40);
SELECT rule, violations FROM usher.self_check() WHERE rule LIKE 'status histories%' ORDER BY 1;

-- A partition that comes later: its own statements are seen as well -----------------------------------------------------
CREATE TABLE regress_trees.items (id integer, place integer, is_active boolean NOT NULL DEFAULT true, deleted_at timestamptz,
                                  updated_at timestamptz, secret text) PARTITION BY LIST (place);
CREATE TABLE regress_trees.items_1 PARTITION OF regress_trees.items FOR VALUES IN (1);
SELECT usher.enable_audit('regress_trees.items', redact => '{secret}', exclude => '{updated_at}', key => '{id}');
SELECT usher.enable_updated_at('regress_trees.items');
SELECT usher.enable_soft_delete('regress_trees.items');
ALTER TABLE regress_trees.items RENAME secret TO hidden;
CREATE TABLE regress_trees.items_2 PARTITION OF regress_trees.items FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE regress_trees.items_2_1 PARTITION OF regress_trees.items_2 FOR VALUES IN (21);
CREATE TABLE regress_trees.items_3 (hidden text, updated_at timestamptz, deleted_at timestamptz, is_active boolean NOT NULL, place integer, id integer);
ALTER TABLE regress_trees.items ATTACH PARTITION regress_trees.items_3 FOR VALUES IN (3);
SELECT r, regress_trees.triggers(r) FROM unnest('{regress_trees.items,regress_trees.items_1,regress_trees.items_2,regress_trees.items_2_1,
    regress_trees.items_3}'::regclass[]) AS r;
INSERT INTO regress_trees.items_2_1 VALUES (21, 2, true, NULL, NULL, 'x');
INSERT INTO regress_trees.items_3 VALUES ('y', NULL, NULL, true, 3, 31);
UPDATE regress_trees.items_3 SET hidden = 'z';
DELETE FROM regress_trees.items_2;
SELECT action, key, new - 'deleted_at' AS new FROM regress_trees.logged('regress_trees.items');
SELECT id, is_active, updated_at IS NOT NULL AS touched FROM regress_trees.items ORDER BY id;
-- a whole tree that is attached at once, and within CREATE SCHEMA
CREATE TABLE regress_trees.items_5 (LIKE regress_trees.items) PARTITION BY LIST (id);
CREATE TABLE regress_trees.items_5_1 PARTITION OF regress_trees.items_5 FOR VALUES IN (51);
SELECT regress_trees.triggers('regress_trees.items_5_1') IS NULL AS none_yet;
ALTER TABLE regress_trees.items ATTACH PARTITION regress_trees.items_5 FOR VALUES IN (5);
CREATE SCHEMA regress_trees_more CREATE TABLE items_6 PARTITION OF regress_trees.items FOR VALUES IN (6);
SELECT r, regress_trees.triggers(r) = regress_trees.triggers('regress_trees.items') AS same
FROM unnest('{regress_trees.items_5,regress_trees.items_5_1,regress_trees_more.items_6}'::regclass[]) AS r;
DROP SCHEMA regress_trees_more CASCADE;
SELECT * FROM regress_trees.gaps();

-- TRUNCATE does not empty what is only soft-deleted, by whatever name
TRUNCATE regress_trees.items;
TRUNCATE regress_trees.items_3;
TRUNCATE regress_trees.items_2_1;
CREATE TABLE regress_trees.groups (id integer PRIMARY KEY);
CREATE TABLE regress_trees.members (id integer PRIMARY KEY REFERENCES regress_trees.groups);
SELECT usher.enable_soft_delete('regress_trees.members', 'refuse');
INSERT INTO regress_trees.groups VALUES (1);
INSERT INTO regress_trees.members VALUES (1);
TRUNCATE regress_trees.groups CASCADE;
SET usher.restoring = on;
TRUNCATE regress_trees.members;
RESET usher.restoring;
SELECT usher.disable_soft_delete('regress_trees.members');
TRUNCATE regress_trees.groups CASCADE;
SELECT regress_trees.triggers('regress_trees.members') IS NULL AS none_left;

-- Tables that inherit ---------------------------------------------------------------------------------------------------
CREATE TABLE regress_trees.things (id integer PRIMARY KEY, status text NOT NULL DEFAULT 'open', is_active boolean NOT NULL DEFAULT true,
                                   deleted_at timestamptz, updated_at timestamptz, reason text, note text);
CREATE TABLE regress_trees.tools (weight integer) INHERITS (regress_trees.things);
SELECT usher.enable_audit('regress_trees.things', key => '{id}', exclude => '{deleted_at,updated_at}');
SELECT usher.enable_updated_at('regress_trees.things');
SELECT usher.enable_soft_delete('regress_trees.things');
SELECT usher.attach_machine('regress_trees', 'regress_trees.things', 'status', '{"reason_column": "reason"}');
CREATE TABLE regress_trees.hammers () INHERITS (regress_trees.tools); -- comes later
CREATE TABLE regress_trees.nails (LIKE regress_trees.things INCLUDING ALL);
ALTER TABLE regress_trees.nails INHERIT regress_trees.things;
SELECT r, regress_trees.triggers(r) FROM unnest('{regress_trees.things,regress_trees.tools,regress_trees.hammers,regress_trees.nails}'::regclass[]) AS r;
INSERT INTO regress_trees.hammers (id, weight) VALUES (1, 10);
INSERT INTO regress_trees.hammers (id, status) VALUES (2, 'done');
UPDATE regress_trees.things SET status = 'done';
DELETE FROM regress_trees.things;
TRUNCATE ONLY regress_trees.hammers;
SELECT tableoid::regclass, id, status, is_active, deleted_at IS NOT NULL AS gone, updated_at IS NOT NULL AS touched FROM regress_trees.things;
SELECT seq, to_status FROM usher.history('regress_trees.things', 1);
SELECT seq, to_status FROM usher.history('regress_trees.hammers', 1);
SELECT * FROM regress_trees.logged('regress_trees.hammers');
SELECT * FROM regress_trees.logged('regress_trees.things');
SELECT usher.row_as_of('regress_trees.hammers', '1', clock_timestamp()); -- part of it stands under another name
SELECT usher.row_as_of('regress_trees.things', '1', now() - interval '1 minute');
SELECT * FROM regress_trees.gaps();
-- of a table that inherits from one without
CREATE TABLE regress_trees.plain (id integer PRIMARY KEY);
CREATE TABLE regress_trees.special () INHERITS (regress_trees.plain);
SET client_min_messages = notice;
SELECT usher.enable_audit('regress_trees.special', key => '{id}');
SELECT usher.enable_audit('regress_trees.items_1', key => '{id}') IS NULL;
SET client_min_messages = warning;
SELECT * FROM regress_trees.gaps();
SELECT usher.disable_audit('regress_trees.special');

-- Switched off, and made good
ALTER EVENT TRIGGER usher_cover_new_tables DISABLE;
CREATE TABLE regress_trees.items_7 PARTITION OF regress_trees.items FOR VALUES IN (7);
CREATE TABLE regress_trees.saws () INHERITS (regress_trees.things);
ALTER EVENT TRIGGER usher_cover_new_tables ENABLE;
SELECT * FROM regress_trees.gaps();
SELECT usher.cover_table('regress_trees.items') > 0 AS items, usher.cover_table('regress_trees.things') > 0 AS things;
SELECT * FROM regress_trees.gaps();
SELECT regress_trees.triggers('regress_trees.items_7') = regress_trees.triggers('regress_trees.items') AS items,
       regress_trees.triggers('regress_trees.saws') = regress_trees.triggers('regress_trees.things') AS saws;

-- Foreign tables --------------------------------------------------------------------------------------------------------
CREATE FOREIGN TABLE regress_trees.items_8 PARTITION OF regress_trees.items FOR VALUES IN (8) SERVER regress_nowhere;
SELECT * FROM regress_trees.gaps();
SELECT usher.enable_audit('regress_trees.items');
SELECT usher.enable_soft_delete('regress_trees.items');
SELECT usher.enable_updated_at('regress_trees.items');
CREATE TABLE regress_trees.loose (id integer, status text, reason text, note text) PARTITION BY LIST (id);
SELECT usher.attach_machine('regress_trees', 'regress_trees.loose', 'status', '{"reason_column": "reason"}');
CREATE FOREIGN TABLE regress_trees.loose_8 PARTITION OF regress_trees.loose FOR VALUES IN (8) SERVER regress_nowhere;
SELECT usher.enable_audit('regress_trees.items_8');
DROP FOREIGN TABLE regress_trees.items_8, regress_trees.loose_8;

-- The log itself: a partition of the DBA's is protected as well
CREATE TABLE regress_trees.log_1999 (LIKE usher.audit_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE usher.audit_logs ATTACH PARTITION regress_trees.log_1999 FOR VALUES FROM ('1999-01-01') TO ('2000-01-01');
SELECT regress_trees.triggers('regress_trees.log_1999');
DROP TABLE regress_trees.log_1999;

-- Keys: deferrable, none, later, hidden ---------------------------------------------------------------------------------
CREATE TABLE regress_trees.later (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n integer);
SELECT usher.enable_audit('regress_trees.later');
INSERT INTO regress_trees.later VALUES (1, 1);
SELECT clock_timestamp() AS first \gset
UPDATE regress_trees.later SET n = 2;
SELECT clock_timestamp() AS second \gset
DELETE FROM regress_trees.later;
SELECT usher.row_as_of('regress_trees.later', '1', :'first') AS first, usher.row_as_of('regress_trees.later', '1', :'second') AS second,
       usher.row_as_of('regress_trees.later', '1', clock_timestamp()) AS now;
SELECT action, new_values FROM usher.row_history('regress_trees.later', '1');
SET client_min_messages = notice;
CREATE TABLE regress_trees.keyless (id integer, n integer);
SELECT usher.enable_audit('regress_trees.keyless');
INSERT INTO regress_trees.keyless VALUES (1, 1);
SELECT clock_timestamp() AS first \gset
UPDATE regress_trees.keyless SET n = 2;
\set VERBOSITY default
SELECT usher.row_as_of('regress_trees.keyless', '1', :'first');
\set VERBOSITY terse
ALTER TABLE regress_trees.keyless ADD PRIMARY KEY (id);
SELECT clock_timestamp() AS second \gset
UPDATE regress_trees.keyless SET n = 3;
SELECT usher.row_as_of('regress_trees.keyless', '1', :'first');
SELECT usher.row_as_of('regress_trees.keyless', '1', :'second') AS second;
INSERT INTO regress_trees.keyless VALUES (2, 1);
UPDATE regress_trees.keyless SET n = 4 WHERE id = 2;
SELECT usher.row_as_of('regress_trees.keyless', '2', clock_timestamp()) AS whole;
CREATE TABLE regress_trees.hidden (id integer, mail text, n integer, PRIMARY KEY (id, mail));
SELECT usher.enable_audit('regress_trees.hidden', redact => '{mail}');
INSERT INTO regress_trees.hidden VALUES (1, 'a@example.com', 1);
SELECT usher.row_as_of('regress_trees.hidden', '{"id": 1, "mail": "a@example.com"}', now() - interval '1 minute');
ALTER TABLE regress_trees.hidden RENAME mail TO address;
SELECT usher.row_as_of('regress_trees.hidden', '{"id": 1, "address": "a@example.com"}', now() - interval '1 minute');
SET client_min_messages = warning;
SELECT * FROM regress_trees.gaps();

-- All of it with the rights of somebody who owns the tables, and whose partitions others attach
CREATE ROLE regress_trees_admin;
CREATE ROLE regress_trees_owner;
SELECT usher.grant_access('regress_trees_admin', 'admin');
GRANT USAGE, CREATE ON SCHEMA regress_trees TO regress_trees_admin, regress_trees_owner;
SET ROLE regress_trees_admin;
CREATE TABLE regress_trees.own (id integer, place integer, status text, reason text, note text) PARTITION BY LIST (place);
CREATE TABLE regress_trees.own_1 PARTITION OF regress_trees.own FOR VALUES IN (1);
SELECT usher.enable_audit('regress_trees.own', key => '{id}');
SELECT usher.cover_table('regress_trees.own');
RESET ROLE;
GRANT regress_trees_admin TO regress_trees_owner;
ALTER TABLE regress_trees.own OWNER TO regress_trees_owner;
REVOKE regress_trees_admin FROM regress_trees_owner;
SET ROLE regress_trees_owner; -- without any level of access
CREATE TABLE regress_trees.own_2 PARTITION OF regress_trees.own FOR VALUES IN (2);
RESET ROLE;
SELECT regress_trees.triggers('regress_trees.own_2') = regress_trees.triggers('regress_trees.own') AS same;
DROP TABLE regress_trees.own;
REVOKE ALL ON SCHEMA regress_trees FROM regress_trees_admin, regress_trees_owner;
SELECT usher.revoke_access('regress_trees_admin');
DROP ROLE regress_trees_admin, regress_trees_owner;

DELETE FROM usher.status_history WHERE relation::text LIKE 'regress_trees.%';
DELETE FROM usher.events WHERE event LIKE 'regress\_trees.%';
DELETE FROM usher.machines WHERE name = 'regress_trees';
SET client_min_messages = error;
DROP SCHEMA regress_trees CASCADE;
DROP SERVER regress_nowhere;
DROP FOREIGN DATA WRAPPER regress_nowhere;

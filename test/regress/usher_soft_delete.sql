-- Soft delete: DELETE deactivates or is refused, deleted_at follows is_active, the view, restoring, unique among
-- active rows.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_soft_clerk;
SELECT usher.grant_access('regress_soft_clerk', 'application');
CREATE SCHEMA regress_soft;
GRANT USAGE ON SCHEMA regress_soft TO regress_soft_clerk;
CREATE TABLE regress_soft.customers (id integer PRIMARY KEY, name text NOT NULL, email text);
CREATE TABLE regress_soft.orders (id integer PRIMARY KEY, customer_id integer NOT NULL
                                      REFERENCES regress_soft.customers ON DELETE CASCADE);
INSERT INTO regress_soft.customers
VALUES (1, 'Ann', 'ann@example.org'), (2, 'Bob', 'bob@example.org'), (3, 'Cy', NULL);
INSERT INTO regress_soft.orders VALUES (1, 1), (2, 1), (3, 2);
GRANT SELECT, INSERT, UPDATE, DELETE ON regress_soft.customers TO regress_soft_clerk;
SELECT usher.enable_soft_delete('regress_soft.customers');
SELECT usher.enable_updated_at('regress_soft.customers'); -- has no such column
SELECT usher.enable_audit('regress_soft.customers');
SELECT usher.add_unique_among_active('regress_soft.customers', ARRAY['email']);

-- Deleting as an application's role, with what it may do anyway
SET SESSION AUTHORIZATION regress_soft_clerk;
DELETE FROM regress_soft.customers WHERE id = 1 RETURNING id;
SELECT id, is_active, deleted_at IS NOT NULL AS stamped FROM regress_soft.customers ORDER BY id;
SELECT id FROM regress_soft.active_customers ORDER BY id;
DELETE FROM regress_soft.customers WHERE id = 1; -- once more: stays as it is
RESET SESSION AUTHORIZATION;
-- no orphans, and nothing lost
SELECT count(*) FROM regress_soft.orders;
SELECT action, old_values - 'deleted_at' AS old, new_values - 'deleted_at' AS new
FROM usher.row_history('regress_soft.customers', '1');

-- Whoever may delete but not update cannot deactivate
REVOKE UPDATE ON regress_soft.customers FROM regress_soft_clerk;
SET SESSION AUTHORIZATION regress_soft_clerk;
DELETE FROM regress_soft.customers WHERE id = 2;
RESET SESSION AUTHORIZATION;
GRANT UPDATE ON regress_soft.customers TO regress_soft_clerk;

-- A new row may take the address of the deleted one, and then the old one cannot come back
INSERT INTO regress_soft.customers VALUES (4, 'New Ann', 'ann@example.org');
INSERT INTO regress_soft.customers VALUES (5, 'Another Ann', 'ann@example.org');
SELECT usher.restore_row('regress_soft.customers', '1');
UPDATE regress_soft.customers SET email = NULL WHERE id = 4;
SET SESSION AUTHORIZATION regress_soft_clerk;
SELECT usher.restore_row('regress_soft.customers', '1'),
       usher.restore_row('regress_soft.customers', '{"id": 1}') AS again,
       usher.restore_row('regress_soft.customers', '99') AS unknown;
RESET SESSION AUTHORIZATION;
SELECT id, is_active, deleted_at FROM regress_soft.customers WHERE id = 1;
-- DELETE counts no row, and so FOUND says nothing; soft_delete_row() knows
SET client_min_messages = notice;
DO $$
BEGIN
    DELETE FROM regress_soft.customers WHERE id = 4;
    RAISE NOTICE 'found after DELETE: %', FOUND;
END
$$;
SET client_min_messages = warning;
UPDATE regress_soft.customers SET is_active = true, email = NULL WHERE id = 4;
SET SESSION AUTHORIZATION regress_soft_clerk;
SELECT usher.soft_delete_row('regress_soft.customers', '4'),
       usher.soft_delete_row('regress_soft.customers', '{"id": 4}') AS again,
       usher.soft_delete_row('regress_soft.customers', '99') AS unknown;
RESET SESSION AUTHORIZATION;
SELECT id, is_active, deleted_at IS NOT NULL AS has_time FROM regress_soft.customers WHERE id = 4;
SELECT usher.soft_delete_row('usher.routes_inval', '1');
SELECT usher.restore_row('regress_soft.customers', '4');

-- By hand, too
UPDATE regress_soft.customers SET is_active = false WHERE id = 3;
INSERT INTO regress_soft.customers (id, name, is_active) VALUES (6, 'Dee', false);
INSERT INTO regress_soft.customers (id, name, deleted_at) VALUES (7, 'Eve', '2020-01-01');
UPDATE regress_soft.customers SET is_active = NULL WHERE id = 7;
SELECT id, is_active, deleted_at IS NOT NULL AS stamped FROM regress_soft.customers ORDER BY id;

-- Many rows in a statement
DELETE FROM regress_soft.customers;
SELECT count(*) FILTER (WHERE is_active) AS active, count(*) FROM regress_soft.customers;

-- Purging really removes, only what is old enough, and takes what hangs on it
SELECT usher.purge_deleted('regress_soft.customers');
SELECT usher.purge_deleted('regress_soft.customers', '0', 2);
SELECT usher.purge_deleted('regress_soft.customers', '0');
SELECT (SELECT count(*) FROM regress_soft.customers) AS customers,
       (SELECT count(*) FROM regress_soft.orders) AS orders;
SELECT usher.purge_deleted('regress_soft.customers', '-1 day');
SELECT usher.purge_deleted('regress_soft.customers', '1 day', 0);

-- Restored and replicated rows are left alone
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO regress_soft.customers (id, name, is_active) VALUES (8, 'Restored', false);
DELETE FROM regress_soft.customers WHERE id = 8;
COMMIT;
SELECT count(*) FROM regress_soft.customers;

-- refuse
SELECT usher.enable_soft_delete('regress_soft.orders', 'refuse');
INSERT INTO regress_soft.customers VALUES (9, 'Fay');
INSERT INTO regress_soft.orders VALUES (9, 9);
DELETE FROM regress_soft.orders;
SELECT usher.purge_deleted('regress_soft.orders', '0');
UPDATE regress_soft.orders SET is_active = false;
SELECT usher.purge_deleted('regress_soft.orders', '0');

-- Partitions, a table that has the columns already, and names that need quotes
CREATE TABLE regress_soft."Odd Name" (id integer, part integer, is_active boolean, deleted_at timestamptz,
                                      PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE regress_soft.odd_1 PARTITION OF regress_soft."Odd Name" FOR VALUES IN (1);
CREATE TABLE regress_soft.odd_2 PARTITION OF regress_soft."Odd Name" FOR VALUES IN (2);
INSERT INTO regress_soft."Odd Name"
VALUES (1, 1, true, NULL), (1, 2, false, NULL), (2, 2, NULL, now()), (3, 2, true, now());
SELECT usher.enable_soft_delete('regress_soft."Odd Name"');
SELECT id, part, is_active, deleted_at IS NOT NULL AS stamped FROM regress_soft."Odd Name" ORDER BY id, part;
DELETE FROM regress_soft."Odd Name" WHERE part = 2;
ALTER TABLE regress_soft.odd_1 RENAME TO odd_one;
DELETE FROM regress_soft.odd_one;
SELECT count(*) FROM regress_soft."active_Odd Name";
SELECT usher.restore_row('regress_soft."Odd Name"', '{"id": 2, "part": 2}');
SELECT usher.restore_row('regress_soft."Odd Name"', '2');
SELECT usher.purge_deleted('regress_soft."Odd Name"', '0');
SELECT id, part FROM regress_soft."Odd Name";

-- Row-level security: a row that the policy hides is neither deleted nor shown
ALTER TABLE regress_soft.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON regress_soft.customers TO regress_soft_clerk USING (name = 'Gus') WITH CHECK (true);
CREATE POLICY keep ON regress_soft.customers AS RESTRICTIVE
    FOR UPDATE TO regress_soft_clerk USING (id <> 11) WITH CHECK (true);
INSERT INTO regress_soft.customers VALUES (10, 'Gus'), (11, 'Gus');
SET SESSION AUTHORIZATION regress_soft_clerk;
SELECT id FROM regress_soft.active_customers ORDER BY id;
DELETE FROM regress_soft.customers WHERE id = 9;
DELETE FROM regress_soft.customers WHERE id = 11;
DELETE FROM regress_soft.customers WHERE id = 10;
RESET SESSION AUTHORIZATION;
SELECT id FROM regress_soft.active_customers ORDER BY id;

-- Everything an entity has
CREATE TABLE regress_soft.things (name text UNIQUE NOT NULL);
SELECT usher.enable_entity('regress_soft.things');
INSERT INTO regress_soft.things VALUES ('a thing');
DELETE FROM regress_soft.things;
SELECT name, id IS NOT NULL AS id, is_active, deleted_at = created_at AS at_once, updated_at = created_at AS touched
FROM regress_soft.things;
SELECT string_agg(tgname, ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'regress_soft.things'::regclass;
SELECT usher.disable_soft_delete('regress_soft.things');
DELETE FROM regress_soft.things;
SELECT count(*) FROM regress_soft.things;

-- Refusals
CREATE TABLE regress_soft.bad (is_active text);
SELECT usher.enable_soft_delete('regress_soft.bad');
SELECT usher.enable_soft_delete('regress_soft.active_customers');
SELECT usher.enable_soft_delete('regress_soft.customers', 'hide');
SELECT usher.enable_soft_delete(NULL);
SELECT usher.add_unique_among_active('regress_soft.customers', '{}');
SELECT usher.add_unique_among_active('regress_soft.customers', '{nothing}');
SELECT usher.add_unique_among_active('regress_soft.bad', '{is_active}');
SELECT usher.restore_row('regress_soft.customers', '{"email": 1}');
SELECT usher.restore_row('regress_soft.bad', '1');
SELECT usher.disable_soft_delete(NULL);
CREATE TRIGGER wrong AFTER INSERT ON regress_soft.bad FOR EACH STATEMENT EXECUTE FUNCTION usher.soft_delete();
INSERT INTO regress_soft.bad VALUES ('x');
SELECT usher.soft_delete();

DROP SCHEMA regress_soft CASCADE;
SELECT usher.revoke_access('regress_soft_clerk');
DROP ROLE regress_soft_clerk;

-- Partitioned tables: an update of the partition key moves the row, whatever else the statement and its triggers do
CREATE SCHEMA regress_soft_parts;
CREATE TABLE regress_soft_parts.orders (id integer, region text, note text,
                                        PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE regress_soft_parts.north PARTITION OF regress_soft_parts.orders FOR VALUES IN ('north');
CREATE TABLE regress_soft_parts.south PARTITION OF regress_soft_parts.orders FOR VALUES IN ('south');
SELECT usher.enable_soft_delete('regress_soft_parts.orders');
INSERT INTO regress_soft_parts.orders VALUES (1, 'north'), (2, 'north'), (3, 'south'), (4, 'north');
UPDATE regress_soft_parts.orders SET region = 'south' WHERE id = 1;
SELECT tableoid::regclass AS partition, id, is_active, deleted_at IS NOT NULL AS deleted
FROM regress_soft_parts.orders ORDER BY id;
-- all rows at once, some of them to where they are
UPDATE regress_soft_parts.orders SET region = 'south';
UPDATE regress_soft_parts.orders SET region = CASE WHEN id < 3 THEN 'north' ELSE 'south' END;
-- by MERGE, which also deletes
MERGE INTO regress_soft_parts.orders o USING (VALUES (1, 'south'), (2, 'gone')) AS s (id, region) ON o.id = s.id
    WHEN MATCHED AND s.region = 'gone' THEN DELETE WHEN MATCHED THEN UPDATE SET region = s.region;
SELECT tableoid::regclass AS partition, id, is_active FROM regress_soft_parts.orders ORDER BY id;
-- a trigger of the table that moves and deletes other rows meanwhile, and fires after ours
CREATE FUNCTION regress_soft_parts.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'meddle' AND OLD.note IS NULL THEN
        UPDATE regress_soft_parts.orders SET region = 'north' WHERE id = 3;
        DELETE FROM regress_soft_parts.orders WHERE id = 4;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER z_meddle BEFORE UPDATE ON regress_soft_parts.orders FOR EACH ROW
    EXECUTE FUNCTION regress_soft_parts.meddle();
UPDATE regress_soft_parts.orders SET region = 'north', note = 'meddle' WHERE id = 1;
SELECT tableoid::regclass AS partition, id, is_active, note FROM regress_soft_parts.orders ORDER BY id;
-- what is updated by one statement and deleted by the next is deactivated
BEGIN;
UPDATE regress_soft_parts.orders SET note = 'x' WHERE id = 1;
DELETE FROM regress_soft_parts.orders WHERE id = 1;
SELECT tableoid::regclass AS partition, id, is_active FROM regress_soft_parts.orders WHERE id = 1;
ROLLBACK;
-- where deletions are refused, rows move all the same
SELECT usher.enable_soft_delete('regress_soft_parts.orders', 'refuse');
UPDATE regress_soft_parts.orders SET region = 'south' WHERE id = 1;
DELETE FROM regress_soft_parts.orders WHERE id = 1;
SELECT tableoid::regclass AS partition, id, is_active FROM regress_soft_parts.orders WHERE id = 1;
DROP SCHEMA regress_soft_parts CASCADE;

-- What tables may have since PostgreSQL 18: periods as keys, constraints that are not enforced, the row before.
-- expected/usher_newer_constraints_1.out is what comes out before 18.
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
\set VERBOSITY terse
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA newer;

-- A primary key that ends in a period: the audit log has both columns as the key, and questions take it
CREATE TABLE newer.prices (
    product integer NOT NULL,
    valid daterange NOT NULL,
    amount integer NOT NULL CHECK (amount > 0) NOT ENFORCED,
    PRIMARY KEY (product, valid WITHOUT OVERLAPS));
SELECT usher.enable_entity('newer.prices');
INSERT INTO newer.prices (product, valid, amount) VALUES (1, '[2026-01-01,2026-02-01)', 100),
    (1, '[2026-02-01,2026-03-01)', 110), (2, '[2026-01-01,2026-03-01)', 7);
INSERT INTO newer.prices (product, valid, amount) VALUES (1, '[2026-01-15,2026-01-20)', 120);
UPDATE newer.prices SET amount = 105 WHERE product = 1 AND '2026-01-10'::date <@ valid
RETURNING old.amount AS was, new.amount AS is, new.updated_at >= old.updated_at AS moved;
UPDATE newer.prices SET amount = 0 WHERE product = 2 RETURNING amount; -- the CHECK is not enforced
SELECT action, new_values ->> 'amount' AS amount FROM usher.row_history('newer.prices',
    '{"product": 1, "valid": "[2026-01-01,2026-02-01)"}');
SELECT usher.row_as_of('newer.prices', '{"product": 1, "valid": "[2026-01-01,2026-01-31]"}',
                       clock_timestamp()) ->> 'amount' AS amount;
SELECT usher.soft_delete_row('newer.prices', '{"product": 1, "valid": "[2026-02-01,2026-03-01)"}');
SELECT usher.soft_delete_row('newer.prices', '{"product": 1, "valid": "[2026-02-01,2026-03-01)"}');
SELECT product, valid, amount FROM newer.active_prices ORDER BY product, valid;
-- of a DELETE that became a deactivation there is no row to return
DELETE FROM newer.prices WHERE product = 2 RETURNING old.amount, new.amount;
SELECT product, valid, is_active FROM newer.prices ORDER BY product, valid;
SELECT usher.restore_row('newer.prices', '{"product": 2, "valid": "[2026-01-01,2026-03-01)"}');

-- A foreign key of a period sees what is stored: a row that is deactivated is still there
CREATE TABLE newer.orders (
    id integer PRIMARY KEY,
    product integer,
    valid daterange,
    status text NOT NULL DEFAULT 'open',
    FOREIGN KEY (product, PERIOD valid) REFERENCES newer.prices (product, PERIOD valid));
SELECT usher.enable_audit('newer.orders');
INSERT INTO newer.orders (id, product, valid) VALUES (1, 1, '[2026-01-10,2026-02-10)');
INSERT INTO newer.orders (id, product, valid) VALUES (2, 1, '[2026-02-10,2026-03-10)');
SELECT action, resource_id, new_values ->> 'valid' AS valid FROM usher.audit_logs
WHERE resource_type = 'newer.orders' ORDER BY id;

-- MERGE and the row before it, under a machine
SELECT usher.define_machine(
    'newer', '{"initial": ["open"], "transitions": [{"from": "open", "to": "paid", "action": "pay"}]}');
SELECT usher.attach_machine('newer', 'newer.orders', 'status');
MERGE INTO newer.orders AS o USING (VALUES (1, 'paid'), (3, 'open')) AS v (id, status) ON v.id = o.id
    WHEN MATCHED THEN UPDATE SET status = v.status
    WHEN NOT MATCHED THEN INSERT (id, status) VALUES (v.id, v.status)
RETURNING merge_action(), old.status AS was, new.id, new.status AS is;
MERGE INTO newer.orders AS o USING (VALUES (1, 'open')) AS v (id, status) ON v.id = o.id
    WHEN MATCHED THEN UPDATE SET status = v.status;
SELECT entity_key, from_status, to_status FROM usher.status_history WHERE relation = 'newer.orders'::regclass
ORDER BY entity_key, seq;

-- COPY leaves out what cannot be read, and nothing that a trigger refuses
COPY newer.orders (id, status) FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1, LOG_VERBOSITY silent);
ten	open
10	open
\.
COPY newer.orders (id, status) FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 1, LOG_VERBOSITY silent);
11	paid
\.
SELECT id, status FROM newer.orders ORDER BY id;

-- What a DBA has added to tables of the extensions is named, with the command that makes it once more
BEGIN;
ALTER TABLE wash.services ADD COLUMN loud text GENERATED ALWAYS AS (upper(name));
ALTER TABLE usher.users ADD CONSTRAINT regress_phone NOT NULL phone NOT VALID;
ALTER TABLE usher.roles ADD CONSTRAINT regress_promise FOREIGN KEY (id) REFERENCES usher.users NOT ENFORCED;
SELECT finding, advice FROM usher.check_configuration() WHERE finding ~ 'loud|regress_' ORDER BY 1;
SELECT object, change FROM usher.schema_drift() WHERE object ~ 'loud|phone|regress_' ORDER BY 1;
-- no rule is broken that anybody promised
SELECT violations FROM usher.self_check() WHERE rule = 'no row refers to one that is not there';
ROLLBACK;

DROP SCHEMA newer CASCADE;

-- Virtual generated columns, which PostgreSQL has since 18: rows do not hold their values.
-- expected/usher_virtual_columns_1.out is what comes out before 18.
SELECT current_setting('server_version_num')::int < 180000 AS too_old \gset
\if :too_old
\quit
\endif
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA virtual;

-- Audited: left out, and what cannot be computed is no reason for a write to fail
CREATE TABLE virtual.orders (
    id integer PRIMARY KEY,
    amount integer NOT NULL,
    parts integer NOT NULL,
    total integer GENERATED ALWAYS AS (amount * 2),
    share integer GENERATED ALWAYS AS (amount / parts),
    stored integer GENERATED ALWAYS AS (amount * 3) STORED,
    note text,
    updated_at timestamptz NOT NULL DEFAULT '2001-01-01 00:00+00');
SELECT usher.enable_audit('virtual.orders', redact => '{total}');
SELECT usher.enable_audit('virtual.orders', key => '{total}');
SELECT usher.enable_updated_at('virtual.orders', skip_unchanged => true);
SELECT usher.enable_soft_delete('virtual.orders');
INSERT INTO virtual.orders (id, amount, parts) VALUES (1, 10, 0), (2, 20, 4);
UPDATE virtual.orders SET amount = 40 WHERE id = 2;
UPDATE virtual.orders SET amount = 40 WHERE id = 2; -- unchanged
UPDATE virtual.orders SET note = 'x' WHERE id = 1;
DELETE FROM virtual.orders WHERE id = 1;
SELECT id, amount, total, stored, note, updated_at > '2001-01-02' AS moved, is_active FROM virtual.orders ORDER BY id;
SELECT share FROM virtual.orders WHERE id = 2;
SELECT action, resource_id, old_values - '{updated_at,deleted_at}'::text[] AS old,
       new_values - '{updated_at,deleted_at}'::text[] AS new
    FROM usher.audit_logs WHERE resource_type = 'virtual.orders' ORDER BY id;
SELECT usher.row_as_of('virtual.orders', '2', clock_timestamp()) - '{updated_at}'::text[] AS by_log;
-- Where the log begins later, the row as it is now is read, by a query that computes virtual columns
DELETE FROM usher.audit_logs WHERE resource_type = 'virtual.orders';
SELECT usher.row_as_of('virtual.orders', '2', clock_timestamp()) - '{updated_at}'::text[] AS by_row;
SELECT f ? 'total' AS has_virtual, f ? 'stored' AS has_stored FROM usher._audit_form('virtual.orders',
    'SELECT (o.*)::virtual.orders FROM virtual.orders o WHERE o.id = ($1 ->> ''id'')::integer', '{"id": 2}') AS f;

-- A column that appears, and one that is dropped, while the trigger has seen the table already
DROP VIEW virtual.active_orders;
ALTER TABLE virtual.orders DROP COLUMN share, ADD COLUMN half integer GENERATED ALWAYS AS (amount / 2);
UPDATE virtual.orders SET amount = 50 WHERE id = 2;
SELECT old_values - 'updated_at' AS old, new_values - 'updated_at' AS new
FROM usher.audit_logs WHERE resource_type = 'virtual.orders';

-- Columns of the kinds that usher writes itself
CREATE TABLE virtual.wrong (id integer PRIMARY KEY, status text, updated_at timestamptz GENERATED ALWAYS AS (
    '2001-01-01 00:00+00'), is_active boolean GENERATED ALWAYS AS (true));
SELECT usher.enable_updated_at('virtual.wrong');
SELECT usher.enable_soft_delete('virtual.wrong');

-- Machines: no part of an attachment may be virtual; a guard is given what is stored
CREATE FUNCTION virtual.guard(old jsonb, new jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN new ? 'total' OR (new ->> 'amount')::int < 5 THEN 'refused: ' || new::text END
$$;
SELECT usher.define_machine(
    'virtual', '{"initial": ["open"], "transitions": [{"from": "open", "to": "paid", "action": "pay", "guard": '
               '"virtual.guard(jsonb,jsonb)"}]}');
CREATE TABLE virtual.bills (id integer PRIMARY KEY, status text NOT NULL DEFAULT 'open', amount integer, total integer
                                GENERATED ALWAYS AS (amount * 2), state text
                                GENERATED ALWAYS AS (status), version integer);
SELECT usher.attach_machine('virtual', 'virtual.bills', 'state');
SELECT usher.attach_machine('virtual', 'virtual.bills', 'status', '{"id_column": "total"}');
SELECT usher.attach_machine('virtual', 'virtual.bills', 'status', '{"payload_columns": ["amount", "total"]}');
SELECT usher.attach_machine('virtual', 'virtual.bills', 'status',
                            '{"payload_columns": ["amount"], "version_column": "version"}');
INSERT INTO virtual.bills (id, amount) VALUES (1, 7), (2, 3);
UPDATE virtual.bills SET status = 'paid' WHERE id = 1;
UPDATE virtual.bills SET status = 'paid' WHERE id = 2;
SELECT id, status, total, state, version FROM virtual.bills ORDER BY id;
SELECT entity_key, to_status
FROM usher.status_history WHERE relation = 'virtual.bills'::regclass ORDER BY entity_key, seq;

DROP SCHEMA virtual CASCADE;

-- Stock: levels, reservations and their log, through the functions and by raw SQL; counting; transfers; low and out told once.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
CREATE SCHEMA shop_test;
CREATE FUNCTION shop_test.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION shop_test.id(n integer) RETURNS uuid LANGUAGE sql AS $$ SELECT ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION shop_test.lines(VARIADIC numbers integer[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('product_id', shop_test.id(numbers[i]), 'location_id', shop_test.id(numbers[i + 1]), 'quantity', numbers[i + 2]))
    FROM generate_series(1, cardinality(numbers), 3) AS i
$$;
CREATE FUNCTION shop_test.level(product integer, place integer) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s on hand, %s reserved, %s available', g.on_hand, g.reserved, g.available) FROM wash.get_stock_level(ARRAY[shop_test.id(product)], shop_test.id(place)) AS g
$$;
CREATE FUNCTION shop_test.wrong() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(c.rule || ' ' || c.violations, ', ') FROM wash._shop_self_check() AS c WHERE c.violations > 0 $$;
CREATE TABLE shop_test.mark (event_id uuid);
CREATE FUNCTION shop_test.events() RETURNS text LANGUAGE sql AS $$
    WITH seen AS (SELECT string_agg(e.event || ' ' || coalesce(e.payload ->> 'available', ''), ', ' ORDER BY e.id) AS names FROM usher.events AS e
                  WHERE e.id > coalesce((SELECT max(event_id::text)::uuid FROM shop_test.mark), '00000000-0000-0000-0000-000000000000') AND e.event LIKE 'stock.%'),
        marked AS (INSERT INTO shop_test.mark SELECT e.id FROM usher.events AS e ORDER BY e.id DESC LIMIT 1 RETURNING 1)
    SELECT names FROM seen, (SELECT count(*) FROM marked) AS m
$$;
SELECT status FROM wash.create_product('stock-filler', 'Filler, 1 ml', id => shop_test.id(1), status => 'active');
SELECT track_stock FROM wash.create_product('stock-massage', 'Massage', 'service', id => shop_test.id(2), status => 'active');
SELECT track_stock FROM wash.create_product('stock-cream', 'Cream', backorder_limit => 5, id => shop_test.id(3), status => 'active');
SELECT track_stock FROM wash.create_product('stock-soap', 'Soap', id => shop_test.id(4), status => 'active');

-- What comes is booked once for each source
SELECT on_hand, reserved, available, log_id IS NOT NULL AS logged FROM wash.receive_stock(shop_test.id(1), shop_test.id(11), 10, 250, 'delivery', shop_test.id(21));
SELECT on_hand FROM wash.receive_stock(shop_test.id(1), shop_test.id(11), 10, 250, 'delivery', shop_test.id(21)) AS again;
SELECT on_hand FROM wash.receive_stock(shop_test.id(4), shop_test.id(11), 7, idempotency_key => 'r1');
SELECT on_hand FROM wash.receive_stock(shop_test.id(4), shop_test.id(11), 7, idempotency_key => 'r1') AS again;
SELECT wrong, shop_test.refusal(format('SELECT wash.receive_stock(%s)', arguments)) FROM (VALUES
    ('another request', 'shop_test.id(4), shop_test.id(11), 8, idempotency_key => ''r1'''), ('nothing', 'shop_test.id(1), shop_test.id(11), 0'), ('less', 'shop_test.id(1), shop_test.id(11), -1'),
    ('too much', 'shop_test.id(1), shop_test.id(11), 9223372036854775807'), ('of a service', 'shop_test.id(2), shop_test.id(11), 1'), ('of nothing', 'shop_test.id(99), shop_test.id(11), 1'),
    ('a cost below zero', 'shop_test.id(1), shop_test.id(11), 1, -1')) AS v (wrong, arguments);

-- Reserved, all or nothing; lines of one product are added up (C-14)
SELECT product_id, quantity, available_after, expires_at > now() AS expires FROM wash.reserve_stock(shop_test.lines(1, 11, 3, 4, 11, 1, 1, 11, 1), 'order', shop_test.id(31), idempotency_key => 'k1') ORDER BY 1;
SELECT product_id, quantity, available_after FROM wash.reserve_stock(shop_test.lines(1, 11, 3, 4, 11, 1, 1, 11, 1), 'order', shop_test.id(31), idempotency_key => 'k1') AS again ORDER BY 1;
SELECT shop_test.level(1, 11), shop_test.level(4, 11);
SELECT wrong, shop_test.refusal(format('SELECT wash.reserve_stock(%s)', arguments)) FROM (VALUES
    ('two lines above what is there', 'shop_test.lines(1, 11, 3, 1, 11, 4)'), ('one product of two', 'shop_test.lines(4, 11, 1, 1, 11, 7)'), ('elsewhere', 'shop_test.lines(1, 12, 1)'),
    ('of a service', 'shop_test.lines(2, 11, 1)'), ('of nothing', 'shop_test.lines(99, 11, 1)'), ('no quantity', 'shop_test.lines(1, 11, 0)'), ('less', 'shop_test.lines(1, 11, -1)'),
    ('a fraction', '''[{"product_id": "00000000-0000-7000-8001-000000000001", "location_id": "00000000-0000-7000-8001-000000000011", "quantity": 1.5}]'''),
    ('no product', '''[{"location_id": "00000000-0000-7000-8001-000000000011", "quantity": 1}]'''), ('no lines', '''[]'''), ('no array', '''{}'''), ('nothing at all', 'NULL'), ('no line', '''[1]'''),
    ('no time', 'shop_test.lines(1, 11, 1), ttl => ''0''')) AS v (wrong, arguments);
SELECT shop_test.level(1, 11), shop_test.level(4, 11);

-- Committed in part, given back, returned, recalled; never more than there is of it
SELECT r.id AS held FROM wash.stock_reservations AS r WHERE r.product_id = shop_test.id(1) \gset
SELECT status, open, committed, returned, replayed FROM wash.commit_stock(:'held', 2);
SELECT shop_test.level(1, 11);
SELECT wrong, shop_test.refusal(format('SELECT wash.%s_stock(%L%s)', wrong, :'held', rest)) FROM (VALUES
    ('commit', ', 3'), ('release', ', 3'), ('return', ', 3'), ('recall', ', 3'), ('commit', ', 0'), ('release', ', -1'), ('return', ', 9223372036854775807')) AS v (wrong, rest);
SELECT status, open, committed, returned FROM wash.release_stock(:'held', 1);
SELECT status, open, committed, returned FROM wash.commit_stock(:'held', idempotency_key => 'c1');
SELECT status, open, committed, replayed FROM wash.commit_stock(:'held', idempotency_key => 'c1');
SELECT status, open, committed, replayed FROM wash.commit_stock(:'held');
SELECT shop_test.level(1, 11);
SELECT status, open, committed, returned FROM wash.return_stock(:'held', 1);
SELECT shop_test.refusal(format('SELECT wash.return_stock(%L, 3)', :'held')) AS more_than_is_out;
SELECT shop_test.refusal(format('SELECT wash.recall_stock(%L, 3)', :'held')) AS more_than_is_out;
SELECT status, open, committed, returned FROM wash.recall_stock(:'held', 2);
SELECT shop_test.level(1, 11);
SELECT status, open, committed, returned FROM wash.release_stock(:'held');
SELECT status, replayed FROM wash.release_stock(:'held');
SELECT shop_test.level(1, 11);
SELECT shop_test.refusal(format('SELECT wash.commit_stock(%L)', shop_test.id(99))) AS nothing;
SELECT movement, on_hand_delta, reserved_delta, on_hand_after, reserved_after, balance_after, unit_cost_minor, source_type FROM wash.list_inventory_log(shop_test.id(1), shop_test.id(11));
SELECT movement, balance_after FROM wash.list_inventory_log(shop_test.id(1), shop_test.id(11), max_rows => 2) AS page;
SELECT count(*) FROM wash.list_inventory_log(shop_test.id(1), shop_test.id(11), after => (SELECT log_id FROM wash.list_inventory_log(shop_test.id(1), shop_test.id(11), max_rows => 1))) AS rest;
SELECT count(*) FROM wash.list_inventory_log(shop_test.id(1), shop_test.id(11), during => tstzrange(now() - interval '1 day', now() - interval '1 hour')) AS before;
SELECT shop_test.wrong();

-- Expired ones give way to whoever finds too little, and cannot be committed
SELECT on_hand, available FROM wash.adjust_stock(shop_test.id(1), shop_test.id(11), -6, 'damaged');
SELECT shop_test.level(1, 11);
SELECT reservation_id AS short FROM wash.reserve_stock(shop_test.lines(1, 11, 3), ttl => '1 ms') \gset
SELECT pg_sleep(0.05) \g /dev/null
SELECT shop_test.refusal(format('SELECT wash.commit_stock(%L)', :'short')) AS over;
SELECT quantity, available_after FROM wash.reserve_stock(shop_test.lines(1, 11, 2), ttl => NULL);
SELECT status, released FROM wash.stock_reservations WHERE id = :'short';
SELECT reservation_id AS short FROM wash.reserve_stock(shop_test.lines(1, 11, 1), ttl => '1 ms') \gset
SELECT pg_sleep(0.05) \g /dev/null
SELECT wash.expire_reservations() AS ended;
SELECT shop_test.level(1, 11);
SELECT shop_test.wrong();

-- … but one whose time is over before its turn has come gives nothing back that it has not taken
SELECT shop_test.refusal('SELECT wash.reserve_stock(shop_test.lines(1, 11, 3), ttl => ''1 us'')') AS over_at_once;
SELECT shop_test.wrong();

-- Backorder: below zero as far as allowed
SELECT available_after FROM wash.reserve_stock(shop_test.lines(3, 11, 5), 'order', shop_test.id(32), ttl => NULL);
SELECT shop_test.refusal('SELECT wash.reserve_stock(shop_test.lines(3, 11, 1))') AS too_far;
SELECT c.status FROM wash.stock_reservations AS r, LATERAL wash.commit_stock(r.id, 2) AS c WHERE r.reference_id = shop_test.id(32);
SELECT shop_test.level(3, 11);
SELECT shop_test.refusal('SELECT wash.set_stock_limits(shop_test.id(3), shop_test.id(11), backorder_limit => 4)') AS promised_already;
SELECT on_hand, available FROM wash.receive_stock(shop_test.id(3), shop_test.id(11), 1);
SELECT * FROM wash.set_stock_limits(shop_test.id(3), shop_test.id(11), backorder_limit => 4);
SELECT shop_test.wrong();

-- Transfers take what is free
SELECT from_available, to_available FROM wash.transfer_stock(shop_test.id(4), shop_test.id(11), shop_test.id(12), 4, 't1');
SELECT from_available, to_available FROM wash.transfer_stock(shop_test.id(4), shop_test.id(11), shop_test.id(12), 4, 't1') AS again;
SELECT from_available, to_available FROM wash.transfer_stock(shop_test.id(4), shop_test.id(12), shop_test.id(11), 1);
SELECT shop_test.refusal('SELECT wash.transfer_stock(shop_test.id(4), shop_test.id(11), shop_test.id(12), 4)') AS reserved,
       shop_test.refusal('SELECT wash.transfer_stock(shop_test.id(4), shop_test.id(11), shop_test.id(11), 1)') AS nowhere,
       shop_test.refusal('SELECT wash.adjust_stock(shop_test.id(4), shop_test.id(11), -4, ''lost'')') AS reserved_too,
       shop_test.refusal('SELECT wash.adjust_stock(shop_test.id(4), shop_test.id(11), 0, ''lost'')') AS nothing;
SELECT shop_test.level(4, 11), shop_test.level(4, 12);

-- Low and out, once for each crossing
SELECT shop_test.events() \g /dev/null
SELECT * FROM wash.set_stock_limits(shop_test.id(4), shop_test.id(12), 2);
SELECT wash.adjust_stock(shop_test.id(4), shop_test.id(12), -1, 'lost') \g /dev/null
SELECT shop_test.events() AS low;
SELECT wash.adjust_stock(shop_test.id(4), shop_test.id(12), -1, 'lost') \g /dev/null
SELECT shop_test.events() AS still_low;
SELECT reservation_id AS last_one FROM wash.reserve_stock(shop_test.lines(4, 12, 1)) \gset
SELECT shop_test.events() AS out;
SELECT * FROM wash.list_availability(ARRAY[shop_test.id(2), shop_test.id(3), shop_test.id(4)]);
SELECT wash.release_stock(:'last_one') \g /dev/null
SELECT wash.receive_stock(shop_test.id(4), shop_test.id(12), 5) \g /dev/null
SELECT shop_test.events() AS back;
SELECT wash.reserve_stock(shop_test.lines(4, 12, 6)) \g /dev/null
SELECT shop_test.events() AS both_at_once;

-- Counting, while goods move
SELECT count_id AS inventory FROM wash.start_stock_count(shop_test.id(11)) \gset
SELECT shop_test.refusal('SELECT wash.start_stock_count(shop_test.id(11))') AS another;
SELECT * FROM wash.record_count(:'inventory', shop_test.id(4), 9);
SELECT * FROM wash.record_count(:'inventory', shop_test.id(4), 5);
SELECT * FROM wash.record_count(:'inventory', shop_test.id(1), 2);
SELECT on_hand FROM wash.receive_stock(shop_test.id(4), shop_test.id(11), 100) AS meanwhile;
SELECT shop_test.refusal(format('SELECT wash.record_count(%L, shop_test.id(2), 1)', :'inventory')) AS a_service,
       shop_test.refusal(format('SELECT wash.record_count(%L, shop_test.id(1), -1)', :'inventory')) AS less_than_nothing;
SELECT expected, counted, difference, on_hand FROM wash.finish_stock_count(:'inventory');
SELECT shop_test.refusal(format('SELECT wash.finish_stock_count(%L)', :'inventory')) AS twice, shop_test.refusal(format('SELECT wash.record_count(%L, shop_test.id(1), 1)', :'inventory')) AS late,
       shop_test.refusal(format('SELECT wash.cancel_stock_count(%L)', :'inventory')) AS given_up, shop_test.refusal(format('SELECT wash.finish_stock_count(%L)', shop_test.id(99))) AS nothing;
SELECT count_id AS inventory FROM wash.start_stock_count(shop_test.id(11)) \gset
SELECT difference FROM wash.record_count(:'inventory', shop_test.id(1), 0);
SELECT shop_test.refusal(format('SELECT wash.finish_stock_count(%L)', :'inventory')) AS reserved_and_not_there;
SELECT wash.cancel_stock_count(:'inventory');
SELECT status FROM wash.stock_counts WHERE location_id = shop_test.id(11) ORDER BY started_at;
SELECT shop_test.wrong();

-- Raw SQL of the owner obeys the same rules
SELECT what, shop_test.refusal(statement) FROM (VALUES
    ('reserving', 'INSERT INTO wash.stock_reservations (product_id, location_id, quantity) VALUES (shop_test.id(4), shop_test.id(11), 3)'),
    ('reserving too much', 'INSERT INTO wash.stock_reservations (product_id, location_id, quantity) VALUES (shop_test.id(4), shop_test.id(11), 300)'),
    ('reserving nothing', 'INSERT INTO wash.stock_reservations (product_id, location_id, quantity) VALUES (shop_test.id(4), shop_test.id(11), 0)'),
    ('reserving by nobody knows what', 'INSERT INTO wash.stock_reservations (product_id, location_id, quantity) VALUES (NULL, shop_test.id(11), 1)'),
    ('a new one that is committed', 'INSERT INTO wash.stock_reservations (product_id, location_id, quantity, committed, status) VALUES (shop_test.id(4), shop_test.id(11), 1, 1, ''committed'')'),
    ('committing by the status', 'UPDATE wash.stock_reservations SET status = ''committed'' WHERE quantity = 3 AND product_id = shop_test.id(4)'),
    ('committing twice', 'UPDATE wash.stock_reservations SET status = ''released'' WHERE quantity = 3 AND product_id = shop_test.id(4)'),
    ('back to held', 'UPDATE wash.stock_reservations SET status = ''held'' WHERE quantity = 3 AND product_id = shop_test.id(4)'),
    ('expiring what is not over', 'UPDATE wash.stock_reservations SET status = ''expired'' WHERE status = ''held'' AND product_id = shop_test.id(4)'),
    ('another quantity', 'UPDATE wash.stock_reservations SET quantity = 1 WHERE status = ''held'''),
    ('more than it is', 'UPDATE wash.stock_reservations SET committed = 1000 WHERE status = ''held'''),
    ('no reservation any more', 'DELETE FROM wash.stock_reservations'),
    ('a level up', 'UPDATE wash.stock_levels SET on_hand = on_hand + 1 WHERE product_id = shop_test.id(4) AND location_id = shop_test.id(11)'),
    ('a level below what is reserved', 'UPDATE wash.stock_levels SET on_hand = 0 WHERE reserved > 0'),
    ('reserved by hand', 'UPDATE wash.stock_levels SET reserved = 0'),
    ('reserved by hand, of a new one', 'INSERT INTO wash.stock_levels (product_id, location_id, on_hand, reserved) VALUES (shop_test.id(4), shop_test.id(13), 1, 1)'),
    ('a new level', 'INSERT INTO wash.stock_levels (product_id, location_id, on_hand) VALUES (shop_test.id(4), shop_test.id(13), 3)'),
    ('a level of another product', 'UPDATE wash.stock_levels SET location_id = shop_test.id(14) WHERE location_id = shop_test.id(13)'),
    ('no level', 'DELETE FROM wash.stock_levels'),
    ('no levels', 'TRUNCATE wash.stock_levels CASCADE'),
    ('a log of one''s own', 'INSERT INTO wash.inventory_logs (product_id, location_id, movement, on_hand_delta, reserved_delta, on_hand_after, reserved_after) VALUES (shop_test.id(4), shop_test.id(11), ''sale'', 1, 0, 1, 0)'),
    ('through the table for dumps', 'INSERT INTO wash._inventory_dump (id, created_at, product_id, location_id, movement, on_hand_delta, reserved_delta, on_hand_after, reserved_after) VALUES (shop_test.id(1), now(), shop_test.id(4), shop_test.id(11), ''sale'', 1, 0, 1, 0)'),
    ('another log', 'UPDATE wash.inventory_logs SET on_hand_delta = 0'),
    ('no log', 'DELETE FROM wash.inventory_logs_default'),
    ('no logs', 'TRUNCATE wash.inventory_logs'),
    ('nor in its parts', 'TRUNCATE wash.inventory_logs_default')) AS v (what, statement);
SELECT movement, on_hand_delta, reserved_delta, reason_code FROM wash.inventory_logs WHERE product_id = shop_test.id(4) ORDER BY id DESC LIMIT 4;
SELECT shop_test.wrong();

-- The log's months: made ahead, kept from changes, and rolled up
SELECT task, affected IN (0, 3) AS as_many FROM wash._shop_upkeep(100);
SELECT task, affected FROM wash._shop_upkeep(100);
SELECT count(*) FROM pg_inherits WHERE inhparent = 'wash.inventory_logs'::regclass;
DO $$
DECLARE
    partition regclass;
    month timestamptz := date_trunc('month', now(), 'UTC') - interval '10 years';
BEGIN
    SELECT max(inhrelid::regclass::text)::regclass INTO partition FROM pg_inherits WHERE inhparent = 'wash.inventory_logs'::regclass AND inhrelid <> 'wash.inventory_logs_default'::regclass;
    RAISE WARNING '%', shop_test.refusal(format('TRUNCATE %s', partition)) || '; ' || shop_test.refusal(format('INSERT INTO %s SELECT * FROM wash.inventory_logs_default', partition));
    -- an old month, as it would be after ten years
    EXECUTE format('CREATE TABLE wash.%I PARTITION OF wash.inventory_logs FOR VALUES FROM (%L) TO (%L)', 'inventory_logs_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
    SET LOCAL session_replication_role = replica;
    INSERT INTO wash.inventory_logs SELECT (jsonb_populate_record(g, jsonb_build_object('created_at', month + interval '1 day'))).* FROM wash.inventory_logs_default AS g WHERE g.product_id = shop_test.id(1);
    DELETE FROM wash.inventory_logs_default WHERE product_id = shop_test.id(1);
    UPDATE wash.inventory_logs_default SET created_at = month + interval '3 months' WHERE product_id = shop_test.id(3);
END
$$;
SELECT shop_test.wrong();
SET shop.log_retention = 0;
SELECT task, affected FROM wash._shop_upkeep(100) WHERE task = 'inventory_logs_rolled_up';
SET shop.log_retention = 730;
SELECT task, affected > 0 AS rolled_up FROM wash._shop_upkeep(100) WHERE task = 'inventory_logs_rolled_up';
SELECT task, affected > 0 AS rolled_up FROM wash._shop_upkeep(100) WHERE task = 'inventory_logs_rolled_up';
SELECT task, affected FROM wash._shop_upkeep(100) WHERE task = 'inventory_logs_rolled_up';
SELECT product_id, on_hand, reserved FROM wash.inventory_openings ORDER BY product_id;
SELECT count(*) FROM wash.inventory_logs WHERE product_id IN (shop_test.id(1), shop_test.id(3));
SELECT shop_test.wrong();
RESET shop.log_retention;

SELECT on_hand FROM wash.receive_stock(shop_test.id(4), shop_test.id(12), 10);

-- Who may: by permission, everywhere or at a location; customers see whether, and not how many
SET usher.argon2_memory = 8192;
SET usher.argon2_iterations = 1;
SET usher.require_verified_email = off;
SELECT usher.apply_role_preset('shop') \g /dev/null
SELECT user_id AS keeper FROM usher.register_user('keeper@shop.example', 'the password of the keeper') \gset
SELECT user_id AS clerk FROM usher.register_user('clerk@shop.example', 'the password of the clerk') \gset
SELECT user_id AS customer FROM usher.register_user('customer@shop.example', 'the password of a customer') \gset
SELECT usher.grant_role(:'keeper', 'stock_keeper', scope => shop_test.id(11)::text) \g /dev/null
SELECT usher.grant_role(:'clerk', 'shop_clerk') \g /dev/null
CREATE ROLE regress_shop_app;
SELECT usher.grant_access('regress_shop_app', 'application');
GRANT USAGE ON SCHEMA shop_test TO regress_shop_app;
CREATE FUNCTION shop_test.allowed(token text) RETURNS TABLE (what text, answer text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usher.authenticate(token);
    SET LOCAL ROLE regress_shop_app;
    FOR what, answer IN SELECT * FROM (VALUES
        ('receive at 11', 'wash.receive_stock(shop_test.id(4), shop_test.id(11), 1)'), ('receive at 12', 'wash.receive_stock(shop_test.id(4), shop_test.id(12), 1)'),
        ('reserve at 12', 'wash.reserve_stock(shop_test.lines(4, 12, 1))'), ('release', format('wash.release_stock(%L)', shop_test.id(99))), ('level at 11', 'wash.get_stock_level(ARRAY[shop_test.id(4)], shop_test.id(11))'),
        ('level everywhere', 'wash.get_stock_level(ARRAY[shop_test.id(4)])'), ('log at 12', 'wash.list_inventory_log(shop_test.id(4), shop_test.id(12))'), ('availability', 'wash.list_availability(ARRAY[shop_test.id(4)])'),
        ('expire', 'wash.expire_reservations()'), ('a price', 'wash.set_price(shop_test.id(4), 100)'), ('a count at 11', 'wash.start_stock_count(shop_test.id(11))'),
        ('transfer 11 to 12', 'wash.transfer_stock(shop_test.id(4), shop_test.id(11), shop_test.id(12), 1)')) AS v (what, call)
    LOOP
        answer := left(shop_test.refusal('SELECT ' || answer), 5);
        RETURN NEXT;
    END LOOP;
    what := 'levels by row-level security';
    SELECT count(DISTINCT location_id) INTO answer FROM wash.stock_levels;
    RETURN NEXT;
    RESET ROLE;
END
$$;
SELECT k.what, k.answer AS keeper_of_11 FROM shop_test.allowed(usher.issue_token(:'keeper')) AS k;
SELECT k.what, k.answer AS clerk FROM shop_test.allowed(usher.issue_token(:'clerk')) AS k;
SELECT k.what, k.answer AS customer FROM shop_test.allowed(usher.issue_token(:'customer')) AS k;
SET ROLE regress_shop_app;
SELECT shop_test.refusal('SELECT wash.receive_stock(shop_test.id(4), shop_test.id(11), 1)') AS nobody;
SELECT count(*) AS of_nobody FROM wash.stock_levels;
SELECT availability FROM wash.list_availability(ARRAY[shop_test.id(4)], shop_test.id(11));
RESET ROLE;
SELECT shop_test.wrong();

-- Export and erasure
SELECT jsonb_array_length(usher.export_user(:'clerk') -> 'usher_shop' -> 'reservations') AS reservations;
SELECT usher.erase_user(:'clerk') \g /dev/null
SELECT count(*) FROM wash.stock_reservations WHERE created_by = :'clerk';
SELECT shop_test.wrong();
SELECT usher.revoke_access('regress_shop_app');
REVOKE ALL ON SCHEMA shop_test FROM regress_shop_app;
DROP ROLE regress_shop_app;
DROP SCHEMA shop_test CASCADE;

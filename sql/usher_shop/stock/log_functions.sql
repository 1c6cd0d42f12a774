-- The log's months: made ahead, and rolled up into opening balances when they are old. Both need the table for a
-- moment alone; they give up after half a second, so that nobody waits behind them for a long transaction, and come
-- again.

CREATE FUNCTION @extschema@._load_inventory_row() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> '@extschema@._inventory_dump'::regclass OR TG_LEVEL <> 'ROW' OR TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'trigger "%" must fire BEFORE INSERT ON _inventory_dump FOR EACH ROW', TG_NAME
            USING ERRCODE = '39P01';
    END IF;
    INSERT INTO @extschema@.inventory_logs SELECT NEW.*;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._load_inventory_row() IS
    'Trigger of _inventory_dump: a row that comes from a dump goes where the log is.';

CREATE FUNCTION @extschema@._roll_up_default(before timestamptz, max_rows integer) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_shop_roll_up_default';
COMMENT ON FUNCTION @extschema@._roll_up_default(timestamptz, integer) IS
    'Rolls up rows of inventory_logs_default that are older; returns how many.';

CREATE FUNCTION @extschema@._make_log_partitions(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '500ms'
AS $$
DECLARE
    month timestamptz;
    name text;
    made bigint := 0;
BEGIN
    -- Months to come only: what has begun lies in the default partition, and stays there.
    FOR ahead IN 1 .. least(3, max_rows) LOOP
        month := date_trunc('month', clock_timestamp()) + make_interval(months => ahead);
        name := 'inventory_logs_' || to_char(month, 'YYYY_MM');
        IF to_regclass(format('%I.%I', '@extschema@', name)) IS NULL THEN
            EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.inventory_logs FOR VALUES FROM (%3$L) TO (%4$L)',
                           '@extschema@', name, month, month + interval '1 month');
            EXECUTE format('ALTER TABLE %1$I.%2$I ADD PRIMARY KEY (product_id, location_id, id)', '@extschema@', name);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
EXCEPTION WHEN lock_not_available THEN
    RETURN made;
END
$$;
COMMENT ON FUNCTION @extschema@._make_log_partitions(integer) IS
    'Makes the partitions of the next months; returns how many, 0 when the table was busy.';

CREATE FUNCTION @extschema@._roll_up_log(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '500ms'
AS $$
DECLARE
    days CONSTANT integer := usher.setting('shop.log_retention')::integer;
    oldest record;
    rows bigint;
BEGIN
    IF days <= 0 THEN
        RETURN 0;
    END IF;
    -- One month a call: the locks are short, and there is one a month.
    SELECT c.relname AS name, p.month + interval '1 month' AS until INTO oldest
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT to_timestamp(right(c.relname, 7), 'YYYY_MM') AS month) AS p
    WHERE i.inhparent = '@extschema@.inventory_logs'::regclass AND c.relname ~ '^inventory_logs_[0-9]{4}_[0-9]{2}$'
        AND p.month + interval '1 month' < clock_timestamp() - make_interval(days => days)
    ORDER BY p.month LIMIT 1;
    IF NOT FOUND THEN
        RETURN @extschema@._roll_up_default(clock_timestamp() - make_interval(days => days), max_rows);
    END IF;
    LOCK TABLE @extschema@.inventory_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('INSERT INTO %1$I.inventory_openings AS p (product_id, location_id, on_hand, reserved, until)
        SELECT g.product_id, g.location_id, sum(g.on_hand_delta)::bigint, sum(g.reserved_delta)::bigint, $1
        FROM %1$I.%2$I AS g GROUP BY g.product_id, g.location_id
        ON CONFLICT (product_id, location_id) DO UPDATE
        SET on_hand = p.on_hand + excluded.on_hand, reserved = p.reserved + excluded.reserved, until = excluded.until',
        '@extschema@', oldest.name) USING oldest.until;
    EXECUTE format('SELECT count(*) FROM %I.%I', '@extschema@', oldest.name) INTO rows;
    EXECUTE format('ALTER TABLE %1$I.inventory_logs DETACH PARTITION %1$I.%2$I', '@extschema@', oldest.name);
    EXECUTE format('DROP TABLE %I.%I', '@extschema@', oldest.name);
    RETURN rows;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END
$$;
COMMENT ON FUNCTION @extschema@._roll_up_log(integer) IS
    'Adds the oldest month of the log that is older than shop.log_retention days to the opening balances, and drops '
    'it; returns how many rows that were.';

-- Upkeep of the audit log: months are made ahead, and retired when they are old. Both need the table for a moment
-- alone; they give up after half a second, so that nobody waits behind them for a long transaction, and come again.

CREATE FUNCTION usher._audit_month_coverage(instant timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    month CONSTANT timestamptz := date_trunc('month', instant);
    until CONSTANT timestamptz := month + interval '1 month';
    covered interval;
BEGIN
    -- Ranges of partitions do not overlap, so their parts of the month can be added up.
    SELECT sum(least(r.upper, until) - greatest(r.lower, month)) INTO covered
    FROM (SELECT CASE b.bounds[1] WHEN 'MINVALUE' THEN '-infinity' ELSE trim('''' FROM b.bounds[1]) END::timestamptz
                     AS lower,
                 CASE b.bounds[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE trim('''' FROM b.bounds[2]) END::timestamptz
                     AS upper
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                              'FROM \((.*)\) TO \((.*)\)$') AS b (bounds)
          WHERE i.inhparent = 'usher.audit_logs'::regclass AND b.bounds IS NOT NULL) AS r
    WHERE r.lower < until AND r.upper > month;
    RETURN CASE WHEN covered IS NULL THEN 'none' WHEN covered = until - month THEN 'all' ELSE 'part' END;
END
$$;
REVOKE ALL ON FUNCTION usher._audit_month_coverage(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._audit_month_coverage(timestamptz) IS
    'How much of the month of an instant has partitions of the audit log, whoever made them: all, part or none.';

CREATE FUNCTION usher._make_audit_partition(month timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    until CONSTANT timestamptz := month + interval '1 month';
    name CONSTANT text := 'audit_logs_' || to_char(month, 'YYYY_MM');
    coverage CONSTANT text := usher._audit_month_coverage(month);
BEGIN
    IF coverage = 'all' THEN -- made by whomever
        RETURN false;
    ELSIF coverage = 'part' THEN
        RAISE EXCEPTION 'partitions of the audit log cover only a part of the month'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Attach partitions for the rest of it.';
    END IF;
    EXECUTE format('CREATE TABLE usher.%I (LIKE usher.audit_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    -- Rows of a month that has begun lie in the default partition: they move, or ATTACH would refuse. Nobody else may
    -- add one meanwhile. Writers wait before they choose a partition: one that waited for the lock of the default
    -- partition would go on with its choice, which is wrong by then.
    LOCK TABLE usher.audit_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('WITH moved AS (DELETE FROM usher.audit_logs_default WHERE created_at >= $1 AND created_at < $2 '
                   'RETURNING *) INSERT INTO usher.%I SELECT * FROM moved', name)
        USING month, until;
    EXECUTE format('ALTER TABLE usher.audit_logs ATTACH PARTITION usher.%I FOR VALUES FROM (%L) TO (%L)', name,
                   month, until);
    PERFORM usher._prepare_audit_partition(format('usher.%I', name)::regclass);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher._make_audit_partition(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._make_audit_partition(timestamptz) IS
    'Makes the partition of a month, moving rows that waited in the default partition; false when the month has '
    'partitions.';

CREATE FUNCTION usher._maintain_audit_partitions(months_ahead integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '500ms'
AS $$
DECLARE
    month timestamptz;
    made integer := 0;
    has_failed boolean := false;
BEGIN
    IF NOT pg_try_advisory_xact_lock('usher.audit_logs'::regclass::oid::integer, 1) THEN
        RETURN 0; -- somebody else is at it
    END IF;
    FOR ahead IN 0 .. months_ahead LOOP
        month := date_trunc('month', clock_timestamp()) + make_interval(months => ahead);
        BEGIN -- one month's trouble is not that of the next
            made := made + usher._make_audit_partition(month)::integer;
        EXCEPTION
            WHEN lock_not_available THEN
                EXIT;
            WHEN OTHERS OR assert_failure THEN
                RAISE WARNING 'no partition of the audit log could be made for %: % (%)', to_char(month, 'YYYY-MM'),
                    SQLERRM, SQLSTATE;
                has_failed := true;
        END;
    END LOOP;
    RETURN CASE WHEN NOT has_failed THEN made END;
END
$$;
REVOKE ALL ON FUNCTION usher._maintain_audit_partitions(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._maintain_audit_partitions(integer) IS
    'Makes the partitions of this month and of those ahead; returns how many, 0 when the table was busy, NULL when '
    'one could not be made, of which a warning tells. Called by usher.run_maintenance().';

CREATE FUNCTION usher._call_archive_function(hook regprocedure, partition_table regclass, since timestamptz,
                                             until timestamptz)
    RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_audit_call_archive_function';
REVOKE ALL ON FUNCTION usher._call_archive_function(regprocedure, regclass, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._call_archive_function(regprocedure, regclass, timestamptz, timestamptz) IS
    'Calls the archive function with the rights of its owner, in a security-restricted operation.';

CREATE FUNCTION usher._archive_audit_rows(partition_table regclass, since timestamptz, until timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named CONSTANT text := current_setting('usher.audit_archive_function');
    hook regprocedure;
BEGIN
    IF named = '' THEN
        RETURN true;
    END IF;
    hook := to_regprocedure(named || '(regclass, timestamptz, timestamptz)');
    IF hook IS NULL THEN
        RAISE WARNING 'usher.audit_archive_function % (regclass, timestamptz, timestamptz) does not exist: % is kept',
            named, partition_table;
        RETURN false;
    END IF;
    PERFORM usher._call_archive_function(hook, partition_table, since, until);
    RETURN true;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    RAISE WARNING 'usher.audit_archive_function failed: % is kept: %', partition_table, SQLERRM;
    RETURN false;
END
$$;
REVOKE ALL ON FUNCTION usher._archive_audit_rows(regclass, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher._archive_audit_rows(regclass, timestamptz, timestamptz) IS
    'Calls the archive function of the setting, if there is one; false when the rows have to stay.';

CREATE FUNCTION usher._retire_audit_partitions() RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '500ms'
AS $$
DECLARE
    days CONSTANT integer := current_setting('usher.audit_retention')::integer;
    oldest record;
BEGIN
    IF days = 0 OR NOT pg_try_advisory_xact_lock('usher.audit_logs'::regclass::oid::integer, 1) THEN
        RETURN 0;
    END IF;
    -- One a call: the locks are short, and there is one a month.
    SELECT p.partition_table, p.month, p.month + interval '1 month' AS until INTO oldest
    FROM (SELECT i.inhrelid::regclass AS partition_table, to_timestamp(substr(c.relname, 12), 'YYYY_MM') AS month
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'usher.audit_logs'::regclass AND c.relname ~ '^audit_logs_[0-9]{4}_[0-9]{2}$') p
    WHERE p.month + interval '1 month' < clock_timestamp() - make_interval(days => days)
    ORDER BY p.month LIMIT 1;
    IF NOT FOUND OR NOT usher._archive_audit_rows(oldest.partition_table, oldest.month, oldest.until) THEN
        RETURN 0;
    END IF;
    LOCK TABLE usher.audit_logs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE usher.audit_logs DETACH PARTITION %s', oldest.partition_table);
    EXECUTE format('DROP TABLE %s', oldest.partition_table);
    UPDATE usher.audit_seals s SET retired_at = clock_timestamp()
        WHERE s.retired_at IS NULL AND s.from_id < usher._first_id_at(oldest.until)
            AND s.until_id > usher._first_id_at(oldest.month);
    RETURN 1;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END
$$;
REVOKE ALL ON FUNCTION usher._retire_audit_partitions() FROM PUBLIC;
COMMENT ON FUNCTION usher._retire_audit_partitions() IS
    'Archives and drops the oldest month of the audit log that is older than usher.audit_retention days; returns 1, '
    'or 0 when there is none, the archive function kept it, or the table was busy. The seals of its rows stay as '
    'links of the chain.';

CREATE FUNCTION usher._remove_old_audit_rows(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    days CONSTANT integer := current_setting('usher.audit_retention')::integer;
    cutoff CONSTANT timestamptz := clock_timestamp() - make_interval(days => days);
    removed bigint;
    newest uuid;
BEGIN
    -- Rows of a month without a partition: there are some only when nobody called upkeep for months.
    IF days = 0 OR current_setting('usher.audit_archive_function') <> ''
       OR NOT EXISTS (SELECT FROM usher.audit_logs_default d WHERE d.created_at < cutoff) THEN
        RETURN 0;
    END IF;
    WITH removed AS (
        DELETE FROM usher.audit_logs_default d
        WHERE d.id IN (SELECT o.id FROM usher.audit_logs_default o WHERE o.created_at < cutoff
                       ORDER BY o.id LIMIT max_rows FOR UPDATE SKIP LOCKED)
        RETURNING d.id)
    SELECT count(*), (array_agg(r.id ORDER BY r.id DESC))[1] INTO removed, newest FROM removed r;
    UPDATE usher.audit_seals s SET retired_at = clock_timestamp() WHERE s.retired_at IS NULL AND s.from_id <= newest;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._remove_old_audit_rows(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._remove_old_audit_rows(integer) IS
    'Removes rows older than usher.audit_retention from the default partition, unless an archive function wants whole '
    'months.';

CREATE FUNCTION @extschema@._claim() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_claim';
COMMENT ON FUNCTION @extschema@._claim() IS
    'Statement trigger of bookings and appointments: claims follow time, staff and status.';

CREATE FUNCTION @extschema@._free_places(location_id uuid, start_at timestamptz, end_at timestamptz,
    with_overbooked boolean DEFAULT true) RETURNS integer
    LANGUAGE c STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off -- as the statement trigger does
    AS 'MODULE_PATHNAME', 'usher_booking_free_places';
COMMENT ON FUNCTION @extschema@._free_places(uuid, timestamptz, timestamptz, boolean) IS
    'How many places the peak inside the range leaves; holds that are over do not count. Below 0: more than there '
    'are.';

-- Whoever ends something (a user, a location) must see every booking of it. At READ COMMITTED their next statement
-- does, once they have its row lock. A longer snapshot does not: there they touch the guards of every day that can be
-- booked, which fails with 40001 if somebody took one since.
CREATE FUNCTION @extschema@._fence(kind text, ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        RETURN;
    END IF;
    INSERT INTO @extschema@.resource_guards AS g (kind, id, day)
        SELECT _fence.kind, wanted, current_date + day.n
        FROM unnest(ids) AS wanted CROSS JOIN generate_series(-8, 1100) AS day (n)
        ORDER BY wanted, day.n
        ON CONFLICT (kind, id, day) DO UPDATE SET touched = g.touched + 1;
END
$$;
COMMENT ON FUNCTION @extschema@._fence(text, uuid[]) IS
    'Makes a transaction with an old snapshot fail if a resource was booked since.';

CREATE FUNCTION @extschema@._guard_location(location_id uuid, starts timestamptz[], duration interval) RETURNS void
    LANGUAGE c VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_guard_location';
COMMENT ON FUNCTION @extschema@._guard_location(uuid, timestamptz[], interval) IS
    'Queues for the days of these bookings at a location and updates their guards, before any other guard.';

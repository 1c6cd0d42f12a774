-- What makes a booking right, for raw SQL as well as for the functions. The row trigger completes and checks the row
-- (extension/booking/rules.cpp); the statement trigger takes the guards, the claims and the capacity (claims.cpp). Order of locks:
-- location, user, guards (sorted), claims.

CREATE FUNCTION @extschema@._lock_customer(customer_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_lock_customer';
COMMENT ON FUNCTION @extschema@._lock_customer(uuid) IS
    'Makes sure that the customer, and the user behind it, exists and stays active until commit. Makes the profile of a user at first use.';

CREATE FUNCTION @extschema@._lock_staff(location_id uuid, service_id uuid, staff_id uuid, start_at timestamptz, end_at timestamptz,
    buffer_before interval, buffer_after interval) RETURNS void
    LANGUAGE c VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_lock_staff';
COMMENT ON FUNCTION @extschema@._lock_staff(uuid, uuid, uuid, timestamptz, timestamptz, interval, interval) IS
    'Makes sure that the staff member is an active user, works at the location in a role they still have, may give the service, and is at work then.';

CREATE FUNCTION @extschema@._complete_booking() RETURNS trigger
    LANGUAGE c
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_complete';
COMMENT ON FUNCTION @extschema@._complete_booking() IS 'Row trigger of bookings: takes the terms from the service and checks them.';

CREATE FUNCTION @extschema@._claim() RETURNS trigger
    LANGUAGE c
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_claim';
COMMENT ON FUNCTION @extschema@._claim() IS 'Statement trigger of bookings and appointments: claims follow time, staff and status.';

CREATE FUNCTION @extschema@._peak_now(location_id uuid, start_at timestamptz, end_at timestamptz,
    with_overbooked boolean DEFAULT true) RETURNS integer
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off -- as the statement trigger does
AS $$
#variable_conflict use_column
BEGIN
    -- Sweep: +1 where a booking begins, -1 where it ends; ends sort first because ranges are half open.
    RETURN coalesce((
        SELECT max(level) FROM (
            SELECT sum(step) OVER (ORDER BY at, step) AS level
            FROM (SELECT b.start_at, b.end_at, b.overbooked, b.status, b.hold_expires_at
                    FROM @extschema@.bookings AS b
                    WHERE b.location_id = _peak_now.location_id AND b.occupies AND NOT b.by_appointment
                        AND b.during && tstzrange(_peak_now.start_at, _peak_now.end_at, '[)')
                    UNION ALL
                    SELECT a.start_at, a.end_at, a.overbooked, b.status, b.hold_expires_at
                    FROM @extschema@.appointments AS a JOIN @extschema@.bookings AS b ON b.id = a.booking_id
                    WHERE a.location_id = _peak_now.location_id AND a.occupies
                        AND a.during && tstzrange(_peak_now.start_at, _peak_now.end_at, '[)')) AS b
                CROSS JOIN LATERAL (VALUES (greatest(b.start_at, _peak_now.start_at), 1), (b.end_at, -1)) AS edge (at, step)
            WHERE (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > clock_timestamp())
                AND (with_overbooked OR NOT b.overbooked)
        ) AS swept), 0);
END
$$;
COMMENT ON FUNCTION @extschema@._peak_now(uuid, timestamptz, timestamptz, boolean) IS
    'The largest number of bookings at the same instant inside the range; holds that ran out do not count.';

-- Whoever ends something (a user, a location) must see every booking of it. At READ COMMITTED his next statement does, once he has
-- its row lock. A longer snapshot does not: there he touches the guards of every day that can be booked, which fails with 40001 if
-- somebody took one since.
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
COMMENT ON FUNCTION @extschema@._fence(text, uuid[]) IS 'Makes a transaction with an old snapshot fail if a resource was booked since.';

CREATE TRIGGER complete_booking BEFORE INSERT OR UPDATE ON @extschema@.bookings
    FOR EACH ROW EXECUTE FUNCTION @extschema@._complete_booking();
-- Named so that they fire after those of history and audit: nobody should wait for a guard longer than claims take.
CREATE TRIGGER usher_claim_inserted AFTER INSERT ON @extschema@.bookings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('booking');
CREATE TRIGGER usher_claim_updated AFTER UPDATE ON @extschema@.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('booking');

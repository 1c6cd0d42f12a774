-- What core calls: upkeep, checks and numbers of bookings.

CREATE FUNCTION @extschema@._forget_old_guards(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    forgotten bigint;
BEGIN
    -- Guards of days that have passed no longer guard anything. Of many, some are looked at each time.
    DELETE FROM @extschema@.resource_guards AS g WHERE (g.kind, g.id, g.day) IN (
        SELECT o.kind, o.id, o.day
        FROM @extschema@.resource_guards AS o
            TABLESAMPLE SYSTEM (usher.sample_percent('@extschema@.resource_guards', max_rows))
        WHERE o.day < current_date - 7 LIMIT max_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_old_guards(integer) IS
    'Removes guards of days that are over; returns how many.';

CREATE FUNCTION @extschema@._remind_of_bookings(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    notice CONSTANT interval := make_interval(hours => usher.setting('booking.reminder_notice')::integer);
    due record;
    reminded bigint := 0;
BEGIN
    FOR due IN
        -- Whoever has booked less than the notice before the start needs no reminder.
        WITH next AS (
            SELECT b.id, b.start_at FROM @extschema@.bookings AS b
            WHERE b.status = 'confirmed' AND b.start_at > statement_timestamp()
                AND b.start_at <= statement_timestamp() + notice AND b.created_at <= b.start_at - notice
                AND NOT EXISTS (SELECT FROM @extschema@.booking_reminders AS r
                                WHERE r.booking_id = b.id AND r.start_at = b.start_at)
            ORDER BY b.start_at LIMIT max_rows FOR KEY SHARE SKIP LOCKED
        ), told AS (
            INSERT INTO @extschema@.booking_reminders AS r (booking_id, start_at)
            SELECT n.id, n.start_at FROM next AS n
            ON CONFLICT ON CONSTRAINT booking_reminders_pkey DO UPDATE
            SET start_at = EXCLUDED.start_at, reminded_at = EXCLUDED.reminded_at WHERE r.start_at <> EXCLUDED.start_at
            RETURNING r.booking_id)
        SELECT b.id, b.customer_id, b.customer_user_id, b.service_id, b.service_name, b.location_id,
               l.name AS location_name, l.time_zone, b.start_at, b.end_at, b.status, b.version
        FROM told AS t JOIN @extschema@.bookings AS b ON b.id = t.booking_id
            JOIN @extschema@.locations AS l ON l.id = b.location_id
        ORDER BY b.start_at
    LOOP
        PERFORM usher.publish('booking.reminder', to_jsonb(due), due.id::text);
        reminded := reminded + 1;
    END LOOP;
    DELETE FROM @extschema@.booking_reminders AS r WHERE r.booking_id IN (
        SELECT o.booking_id FROM @extschema@.booking_reminders AS o
        WHERE o.start_at < statement_timestamp() - interval '1 day' LIMIT max_rows FOR UPDATE SKIP LOCKED);
    RETURN reminded;
END
$$;
COMMENT ON FUNCTION @extschema@._remind_of_bookings(integer) IS
    'Publishes booking.reminder once for each confirmed booking that starts within booking.reminder_notice hours; '
    'returns how many.';

CREATE FUNCTION @extschema@._booking_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_holds_expired', 'SELECT @extschema@._expire_holds($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_reminders_published', 'SELECT @extschema@._remind_of_bookings($1)',
                               max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_guards_removed', 'SELECT @extschema@._forget_old_guards($1)', max_rows) AS u;
END
$$;
COMMENT ON FUNCTION @extschema@._booking_upkeep(integer) IS 'The part of usher_booking in usher.run_maintenance().';

CREATE FUNCTION @extschema@._booking_configuration() RETURNS TABLE (finding text, severity text, advice text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT format('location %s has no opening hours', l.name), 'notice',
        format('SELECT %I.set_location_hours(%L, …): nothing can be booked there.', '@extschema@', l.id)
    FROM @extschema@.locations AS l
    WHERE l.is_active AND NOT EXISTS (SELECT FROM @extschema@.location_hours AS h WHERE h.location_id = l.id)
        AND NOT EXISTS (SELECT FROM @extschema@.location_exceptions AS x WHERE x.location_id = l.id);
END
$$;
COMMENT ON FUNCTION @extschema@._booking_configuration() IS
    'The part of usher_booking in usher.check_configuration().';

CREATE FUNCTION @extschema@._booking_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_bookings_to_come', jsonb_build_object('status', s.status),
        usher.count_or_estimate(format('SELECT FROM @extschema@.bookings AS b WHERE b.status = %L '
                                       'AND b.start_at > now()', s.status))::double precision,
        'Bookings in the future, by status.'
    FROM unnest('{pending,confirmed}'::text[]) AS s (status);
    RETURN QUERY
    SELECT 'usher_booking_holds_run_out', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.bookings AS b
            WHERE b.status = 'pending' AND b.hold_expires_at <= now()$sql$)::double precision,
        'Bookings whose hold has run out and that wait for upkeep.';
END
$$;
COMMENT ON FUNCTION @extschema@._booking_metrics() IS 'The part of usher_booking in usher.metrics().';

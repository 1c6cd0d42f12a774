-- What makes a booking right, for raw SQL as well as for the functions. A row trigger completes and checks the row; a statement
-- trigger then takes the guards, the claims and the capacity. Order of locks: user and location, guards (sorted), claims.
--
-- Some functions set how they are planned: planning their statements anew for each call would cost more than running them, and a plan
-- that is kept must go by index even if it was made while the tables were empty.

CREATE FUNCTION @extschema@._lock_customer(customer_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    customer @extschema@.customers;
    reference usher.user_reference;
BEGIN
    SELECT * INTO customer FROM @extschema@.customers AS c WHERE c.id = _lock_customer.customer_id FOR SHARE;
    IF NOT FOUND THEN
        -- The first profile of a user has the id of that user and is made when it is first needed.
        BEGIN
            reference := usher.lock_user_reference(customer_id);
        EXCEPTION
            WHEN SQLSTATE 'US005' THEN
                reference := NULL;
        END;
        IF (reference).id IS NULL THEN
            PERFORM usher.raise_error('unknown_reference', 'customer not found', jsonb_build_object('customer_id', customer_id));
        END IF;
        INSERT INTO @extschema@.customers (id, user_id) VALUES (_lock_customer.customer_id, _lock_customer.customer_id)
            ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    IF customer.user_id IS NOT NULL THEN
        BEGIN
            reference := usher.lock_user_reference(customer.user_id);
        EXCEPTION
            WHEN SQLSTATE 'US005' THEN
                reference := NULL;
        END;
        IF (reference).id IS NULL THEN
            PERFORM usher.raise_error('unknown_reference', 'customer not found', jsonb_build_object('customer_id', customer_id));
        END IF;
    END IF;
    IF NOT customer.is_active THEN
        PERFORM usher.raise_error('unknown_reference', 'customer is not active', jsonb_build_object('customer_id', customer_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_customer(uuid) IS
    'Makes sure that the customer, and the user behind it, exists and stays active until commit. Makes the profile of a user at first use.';

CREATE FUNCTION @extschema@._lock_staff(location_id uuid, service_id uuid, staff_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    reference usher.user_reference;
    why text;
BEGIN
    BEGIN
        reference := usher.lock_user_reference(staff_id);
    EXCEPTION
        WHEN SQLSTATE 'US005' THEN
            reference := NULL;
    END;
    IF (reference).id IS NULL THEN
        why := 'unknown_or_inactive_user';
    ELSE
        -- FOR SHARE: whoever takes the staff member off the location waits for this booking, and then sees it.
        PERFORM FROM @extschema@.location_staff AS ls
            WHERE ls.location_id = _lock_staff.location_id AND ls.staff_id = _lock_staff.staff_id
                AND ls.is_active AND ls.bookable AND usher.user_has_role(ls.staff_id, ls.role, ls.location_id::text)
            FOR SHARE OF ls;
        IF NOT FOUND THEN
            why := 'not_assigned';
        ELSIF EXISTS (SELECT FROM @extschema@.staff_skills AS k WHERE k.staff_id = _lock_staff.staff_id)
            AND NOT EXISTS (SELECT FROM @extschema@.staff_skills AS k
                WHERE k.staff_id = _lock_staff.staff_id AND k.service_id = _lock_staff.service_id) THEN
            why := 'not_skilled';
        END IF;
    END IF;
    IF why IS NOT NULL THEN
        PERFORM usher.raise_error('staff_not_eligible', 'staff member cannot take this booking',
            jsonb_build_object('rule', why, 'staff_id', staff_id, 'location_id', location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_staff(uuid, uuid, uuid) IS
    'Makes sure that the staff member is an active user, works at the location in a role he still has, and may give the service.';

CREATE FUNCTION @extschema@._complete_booking() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    service @extschema@.services;
    location @extschema@.locations;
BEGIN
    IF usher._is_restoring() THEN
        RETURN NEW; -- checked when it was made, maybe by other rules
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = NEW.service_id;
        IF service.id IS NULL OR NOT service.is_active THEN
            PERFORM usher.raise_error('unknown_reference', 'service does not exist or is not active',
                jsonb_build_object('service_id', NEW.service_id));
        END IF;
        -- FOR SHARE: a change of the capacity or of the zone waits for this booking.
        SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = NEW.location_id FOR SHARE;
        IF location.id IS NULL OR NOT location.is_active THEN
            PERFORM usher.raise_error('unknown_reference', 'location does not exist or is not active',
                jsonb_build_object('location_id', NEW.location_id));
        END IF;
        IF NOT EXISTS (SELECT FROM @extschema@.location_services AS ls
            WHERE ls.location_id = NEW.location_id AND ls.service_id = NEW.service_id) THEN
            PERFORM usher.raise_error('unknown_reference', 'service is not offered at this location',
                jsonb_build_object('service_id', NEW.service_id, 'location_id', NEW.location_id));
        END IF;
        PERFORM @extschema@._lock_customer(NEW.customer_id);
        IF NEW.staff_id IS NOT NULL THEN
            PERFORM @extschema@._lock_staff(NEW.location_id, NEW.service_id, NEW.staff_id);
        END IF;
        NEW.duration := service.duration;
        NEW.buffer_before := service.buffer_before;
        NEW.buffer_after := service.buffer_after;
        NEW.service_name := service.name;
        NEW.price_minor := coalesce(NEW.price_minor, service.price_minor);
        NEW.currency := coalesce(NEW.currency, service.currency);
        NEW.pending_blocks := service.pending_blocks;
        NEW.auto_confirm := service.auto_confirm;
        NEW.needs_staff := service.needs_staff;
        NEW.customer_exclusive := service.customer_exclusive;
        NEW.hold_expires_at := CASE WHEN NEW.status = 'pending' THEN clock_timestamp() + service.hold_ttl END;
        NEW.created_by := usher.current_user_id();
        NEW.created_at := now();
        NEW.updated_at := now();
        NEW.version := 1;
    ELSE
        IF NEW.id <> OLD.id OR NEW.customer_id <> OLD.customer_id OR NEW.service_id <> OLD.service_id
            OR NEW.location_id <> OLD.location_id OR NEW.created_at <> OLD.created_at THEN
            PERFORM usher.raise_error('invalid_argument', 'customer, service and location of a booking cannot change',
                jsonb_build_object('booking_id', OLD.id));
        END IF;
        IF (NEW.start_at <> OLD.start_at OR NEW.end_at <> OLD.end_at OR NEW.staff_id IS DISTINCT FROM OLD.staff_id)
            AND OLD.status NOT IN ('pending', 'confirmed') AND NOT (NEW.staff_id IS NULL AND NEW.start_at = OLD.start_at) THEN
            PERFORM usher.raise_error('illegal_transition', 'only a pending or confirmed booking can be moved or given to somebody else',
                jsonb_build_object('booking_id', OLD.id, 'status', OLD.status));
        END IF;
        IF NEW.staff_id IS NOT NULL AND NEW.staff_id IS DISTINCT FROM OLD.staff_id THEN
            PERFORM @extschema@._lock_staff(NEW.location_id, NEW.service_id, NEW.staff_id);
        END IF;
        IF NEW.start_at <> OLD.start_at THEN
            SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = NEW.location_id FOR SHARE;
            NEW.end_at := CASE WHEN NEW.end_at = OLD.end_at THEN NEW.start_at + NEW.duration ELSE NEW.end_at END;
        END IF;
        IF NEW.status <> OLD.status THEN
            NEW.hold_expires_at := CASE WHEN NEW.status = 'pending' THEN NEW.hold_expires_at END;
            CASE NEW.status
                WHEN 'confirmed' THEN NEW.confirmed_at := clock_timestamp();
                WHEN 'in_progress' THEN NEW.started_at := clock_timestamp();
                WHEN 'completed' THEN NEW.completed_at := clock_timestamp();
                WHEN 'cancelled' THEN NEW.cancelled_at := clock_timestamp();
                ELSE NULL;
            END CASE;
        END IF;
    END IF;
    NEW.end_at := coalesce(NEW.end_at, NEW.start_at + NEW.duration);
    IF NEW.end_at <> NEW.start_at + NEW.duration THEN
        PERFORM usher.raise_error('invalid_argument', 'end_at must be start_at plus the duration of the service',
            jsonb_build_object('end_at', NEW.end_at, 'expected', NEW.start_at + NEW.duration));
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.start_at <> OLD.start_at)
        AND NOT @extschema@._is_open(NEW.location_id, NEW.start_at, NEW.end_at) THEN
        PERFORM usher.raise_error('outside_hours', 'location is not open during the whole booking',
            jsonb_build_object('location_id', NEW.location_id, 'start_at', NEW.start_at, 'end_at', NEW.end_at));
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION @extschema@._complete_booking() IS 'Row trigger of bookings: takes the terms from the service, checks them, and counts the version.';

CREATE FUNCTION @extschema@._peak_now(location_id uuid, start_at timestamptz, end_at timestamptz) RETURNS integer
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off -- see above
AS $$
#variable_conflict use_column
BEGIN
    -- Sweep: +1 where a booking begins, -1 where it ends; ends sort first because ranges are half open.
    RETURN coalesce((
        SELECT max(level) FROM (
            SELECT sum(step) OVER (ORDER BY at, step) AS level
            FROM @extschema@.bookings AS b
                CROSS JOIN LATERAL (VALUES (greatest(b.start_at, _peak_now.start_at), 1), (b.end_at, -1)) AS edge (at, step)
            WHERE b.location_id = _peak_now.location_id AND b.occupies
                AND b.during && tstzrange(_peak_now.start_at, _peak_now.end_at, '[)')
                AND (b.status <> 'pending' OR b.hold_expires_at IS NULL OR b.hold_expires_at > clock_timestamp())
        ) AS swept), 0);
END
$$;
COMMENT ON FUNCTION @extschema@._peak_now(uuid, timestamptz, timestamptz) IS
    'The largest number of bookings at the same instant inside the range; holds that ran out do not count.';

CREATE FUNCTION @extschema@._take_guards(booking_ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off -- see above
AS $$
#variable_conflict use_column
BEGIN
    -- One order for everybody: the location first, then people; inside a kind by id and day.
    INSERT INTO @extschema@.resource_guards AS g (kind, id, local_day)
        SELECT need.kind, need.id, need.day FROM (
            SELECT DISTINCT 1 AS rank, 'location' AS kind, b.location_id AS id, day::date AS day
            FROM @extschema@.bookings AS b
                JOIN @extschema@.locations AS l ON l.id = b.location_id
                CROSS JOIN LATERAL generate_series((b.start_at AT TIME ZONE l.time_zone)::date::timestamp,
                    (b.end_at AT TIME ZONE l.time_zone)::date::timestamp, interval '1 day') AS day
            WHERE b.id = ANY (booking_ids)
            UNION
            SELECT CASE who.kind WHEN 'staff' THEN 2 ELSE 3 END, who.kind, who.id, day::date
            FROM @extschema@.bookings AS b
                CROSS JOIN LATERAL (VALUES ('staff', b.staff_id), ('customer', b.customer_id)) AS who (kind, id)
                CROSS JOIN LATERAL generate_series(((b.start_at - b.buffer_before) AT TIME ZONE 'UTC')::date::timestamp,
                    ((b.end_at + b.buffer_after) AT TIME ZONE 'UTC')::date::timestamp, interval '1 day') AS day
            WHERE b.id = ANY (booking_ids) AND who.id IS NOT NULL
        ) AS need
        ORDER BY need.rank, need.id, need.day
        ON CONFLICT (kind, id, local_day) DO UPDATE SET touched = g.touched + 1;
END
$$;
COMMENT ON FUNCTION @extschema@._take_guards(uuid[]) IS 'Updates the guard rows of these bookings in the one order that everybody keeps.';

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
    INSERT INTO @extschema@.resource_guards AS g (kind, id, local_day)
        SELECT _fence.kind, wanted, current_date + day
        FROM unnest(ids) AS wanted CROSS JOIN generate_series(-8, 1100) AS day
        ORDER BY wanted, day
        ON CONFLICT (kind, id, local_day) DO UPDATE SET touched = g.touched + 1;
END
$$;
COMMENT ON FUNCTION @extschema@._fence(text, uuid[]) IS 'Makes a transaction with an old snapshot fail if a resource was booked since.';

CREATE FUNCTION @extschema@._expire_rivals(booking_ids uuid[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off -- see above
AS $$
#variable_conflict use_column
DECLARE
    moment constant timestamptz := clock_timestamp(); -- an index can find what is before a constant
BEGIN
    -- A constraint cannot look at the clock, so holds that ran out and stand in the way are cancelled here, under the guard.
    -- SKIP LOCKED: whoever is working on one of them decides; waiting for him while holding guards could deadlock.
    UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = 'hold_expired'
        WHERE b.id IN (
            SELECT old.id
            FROM @extschema@.bookings AS old
                JOIN @extschema@.bookings AS new ON new.id = ANY (booking_ids) AND new.id <> old.id
            WHERE old.status = 'pending' AND old.hold_expires_at <= moment AND old.occupies
                AND (old.location_id = new.location_id OR old.staff_id = new.staff_id OR old.customer_id = new.customer_id)
                AND tstzrange(old.start_at - old.buffer_before, old.end_at + old.buffer_after, '[)')
                    && tstzrange(new.start_at - new.buffer_before, new.end_at + new.buffer_after, '[)')
            FOR UPDATE OF old SKIP LOCKED);
END
$$;
COMMENT ON FUNCTION @extschema@._expire_rivals(uuid[]) IS 'Cancels holds that ran out and overlap these bookings.';

CREATE FUNCTION @extschema@._place_claims(booking_ids uuid[], check_capacity boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off -- see above
AS $$
#variable_conflict use_column
DECLARE
    wanted integer;
    placed integer;
    rival record;
    full_one record;
BEGIN
    WITH claim AS (
        SELECT b.id AS booking_id, who.kind, who.id, who.during
        FROM @extschema@.bookings AS b
            CROSS JOIN LATERAL (VALUES
                ('staff', b.staff_id, tstzrange(b.start_at - b.buffer_before, b.end_at + b.buffer_after, '[)')),
                ('customer', CASE WHEN b.customer_exclusive THEN b.customer_id END, b.during)) AS who (kind, id, during)
        WHERE b.id = ANY (booking_ids) AND b.occupies AND who.id IS NOT NULL
    ), insertion AS (
        INSERT INTO @extschema@.booking_claims (booking_id, resource_kind, resource_id, during)
            SELECT c.booking_id, c.kind, c.id, c.during FROM claim AS c ORDER BY c.kind, c.id, c.during
            ON CONFLICT DO NOTHING
            RETURNING 1
    )
    SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM insertion) INTO wanted, placed;
    IF placed < wanted THEN
        SELECT c.resource_kind, c.resource_id, b.start_at, b.end_at INTO rival
            FROM @extschema@.bookings AS b
                JOIN @extschema@.booking_claims AS c ON c.live AND c.booking_id <> b.id AND
                    ((c.resource_kind = 'staff' AND c.resource_id = b.staff_id
                        AND c.during && tstzrange(b.start_at - b.buffer_before, b.end_at + b.buffer_after, '[)'))
                    OR (c.resource_kind = 'customer' AND c.resource_id = b.customer_id AND b.customer_exclusive AND c.during && b.during))
            WHERE b.id = ANY (booking_ids)
            ORDER BY c.resource_kind DESC LIMIT 1;
        PERFORM usher.raise_error('slot_taken', CASE rival.resource_kind
                WHEN 'customer' THEN 'customer has another booking at this time'
                ELSE 'staff member has another booking at this time' END,
            jsonb_build_object('rule', coalesce(rival.resource_kind, 'staff') || '_double_booked', 'resource_id', rival.resource_id,
                'start_at', rival.start_at, 'end_at', rival.end_at));
    END IF;
    IF check_capacity THEN
        SELECT l.id AS location_id, l.max_concurrent_bookings AS places INTO full_one
            FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
            WHERE b.id = ANY (booking_ids) AND b.occupies
                AND @extschema@._peak_now(b.location_id, b.start_at, b.end_at) > l.max_concurrent_bookings
            LIMIT 1;
        IF FOUND THEN
            PERFORM usher.raise_error('capacity_full', 'location has no place left at this time',
                jsonb_build_object('rule', 'capacity', 'location_id', full_one.location_id, 'places', full_one.places));
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._place_claims(uuid[], boolean) IS
    'Writes the claims of these bookings, or raises UB001 slot_taken or UB002 capacity_full.';

CREATE FUNCTION @extschema@._claim_inserted() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fresh uuid[];
BEGIN
    SELECT array_agg(n.id) INTO fresh FROM new_rows AS n WHERE n.occupies;
    IF fresh IS NULL THEN
        RETURN NULL;
    ELSIF usher._is_restoring() THEN
        PERFORM @extschema@._place_claims(fresh, false); -- claims are not dumped; capacity may have been lowered since
    ELSE
        PERFORM @extschema@._take_guards(fresh);
        PERFORM @extschema@._expire_rivals(fresh);
        PERFORM @extschema@._place_claims(fresh);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._claim_inserted() IS 'Statement trigger of bookings: claims for new rows.';

CREATE FUNCTION @extschema@._claim_updated() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed uuid[];
    placed uuid[];
BEGIN
    SELECT array_agg(n.id), array_agg(n.id) FILTER (WHERE n.occupies
            AND (NOT o.occupies OR n.during <> o.during OR (n.staff_id IS NOT NULL AND n.staff_id IS DISTINCT FROM o.staff_id)))
        INTO changed, placed
        FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
        WHERE n.occupies <> o.occupies OR n.during <> o.during OR n.staff_id IS DISTINCT FROM o.staff_id;
    IF changed IS NULL THEN
        RETURN NULL;
    END IF;
    -- Giving up time or a person needs no guard; only taking does. Guards come first: somebody who waits for a claim that is being
    -- given up here must not hold a guard that is still wanted here.
    IF placed IS NOT NULL THEN
        PERFORM @extschema@._take_guards(placed);
        PERFORM @extschema@._expire_rivals(placed);
    END IF;
    -- All old claims go before any new one comes: that lets one statement swap two bookings.
    DELETE FROM @extschema@.booking_claims AS c
        USING new_rows AS n
        WHERE c.booking_id = n.id AND n.id = ANY (changed)
            AND (n.id = ANY (placed) OR NOT n.occupies OR (c.resource_kind = 'staff' AND n.staff_id IS NULL));
    IF placed IS NOT NULL THEN
        PERFORM @extschema@._place_claims(placed);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._claim_updated() IS 'Statement trigger of bookings: claims follow time, staff and status.';

CREATE TRIGGER complete_booking BEFORE INSERT OR UPDATE ON @extschema@.bookings
    FOR EACH ROW EXECUTE FUNCTION @extschema@._complete_booking();
CREATE TRIGGER claim_inserted AFTER INSERT ON @extschema@.bookings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim_inserted();
CREATE TRIGGER claim_updated AFTER UPDATE ON @extschema@.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim_updated();

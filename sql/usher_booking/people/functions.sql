CREATE FUNCTION @extschema@._staff_at_work(location_id uuid, staff_id uuid, start_at timestamptz, end_at timestamptz)
    RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_staff_at_work';
COMMENT ON FUNCTION @extschema@._staff_at_work(uuid, uuid, timestamptz, timestamptz) IS
    'Whether the weekly hours of a staff member cover the whole range; NULL for somebody who is not assigned to the '
    'location.';

CREATE FUNCTION @extschema@._staff_away(location_id uuid, staff_id uuid, start_at timestamptz, end_at timestamptz,
    buffer_before interval, buffer_after interval) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_staff_away';
COMMENT ON FUNCTION @extschema@._staff_away(uuid, uuid, timestamptz, timestamptz, interval, interval) IS
    'Which rule keeps a staff member from being at work then, staff_hours or staff_time_off; NULL for none.';

-- What makes a booking right, for raw SQL as well as for the functions. The row trigger completes and checks the row
-- (extension/usher_booking/bookings/booking_trigger.cpp); the statement trigger takes the guards, the claims and the
-- capacity (claims.cpp). Order of locks: location, user, guards (sorted), claims.

CREATE FUNCTION @extschema@._lock_customer(customer_id uuid) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_lock_customer';
COMMENT ON FUNCTION @extschema@._lock_customer(uuid) IS
    'Makes sure that the customer, and the user behind it, exists and stays active until commit. Makes the profile '
    'of a user at first use.';

CREATE FUNCTION @extschema@._lock_staff(location_id uuid, service_id uuid, staff_id uuid, start_at timestamptz,
                                        end_at timestamptz, buffer_before interval, buffer_after interval) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_lock_staff';
COMMENT ON FUNCTION @extschema@._lock_staff(uuid, uuid, uuid, timestamptz, timestamptz, interval, interval) IS
    'Makes sure that the staff member is an active user, works at the location in a role they still have, may give '
    'the service, and is at work then.';
-- Staff of locations, and customers.

CREATE FUNCTION @extschema@.assign_staff(location_id uuid, staff_id uuid, role text, bookable boolean DEFAULT NULL)
    RETURNS @extschema@.location_staff
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    assigned @extschema@.location_staff;
BEGIN
    PERFORM @extschema@._require('staff:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    IF NOT EXISTS (SELECT FROM @extschema@.locations AS l WHERE l.id = assign_staff.location_id AND l.is_active) THEN
        PERFORM usher.raise_error('unknown_reference', 'location is not active',
                                  jsonb_build_object('location_id', location_id));
    END IF;
    PERFORM usher.lock_user_reference(staff_id);
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null', '{"argument": "role"}');
    END IF;
    IF NOT coalesce(usher.user_has_role(staff_id, role, location_id::text), false) THEN
        PERFORM usher.raise_error('staff_not_eligible', format('user does not have the role "%s"', role),
            jsonb_build_object('rule', 'role', 'staff_id', staff_id, 'role', role));
    END IF;
    INSERT INTO @extschema@.location_staff AS ls (location_id, staff_id, role, bookable)
        VALUES (assign_staff.location_id, assign_staff.staff_id, assign_staff.role,
                coalesce(assign_staff.bookable, assign_staff.role <> 'manager'))
        ON CONFLICT (location_id, staff_id) DO UPDATE
            SET role = excluded.role, bookable = excluded.bookable, is_active = true, assigned_at = now()
        RETURNING ls.* INTO assigned;
    RETURN assigned;
END
$$;
COMMENT ON FUNCTION @extschema@.assign_staff(uuid, uuid, text, boolean) IS
    'Assigns a user to a location in a role that they must have; anybody but managers takes bookings unless told '
    'otherwise. Needs staff:manage.';

CREATE FUNCTION @extschema@._unassign_bookings(staff_id uuid, location_id uuid DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    changed integer;
BEGIN
    PERFORM @extschema@._fence('staff', ARRAY[staff_id]);
    UPDATE @extschema@.bookings AS b SET staff_id = NULL
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.staff_id = _unassign_bookings.staff_id AND x.status IN ('pending', 'confirmed')
                AND x.end_at > now() AND x.start_at > @extschema@._first_start(tstzrange(now(), NULL))
                AND (_unassign_bookings.location_id IS NULL OR x.location_id = _unassign_bookings.location_id)
            ORDER BY x.id FOR UPDATE);
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE @extschema@.appointments AS a SET practitioner_id = NULL
        WHERE a.id IN (SELECT x.id FROM @extschema@.appointments AS x
            WHERE x.practitioner_id = _unassign_bookings.staff_id AND x.status = 'scheduled' AND x.end_at > now()
                AND x.start_at > @extschema@._first_start(tstzrange(now(), NULL))
                AND (_unassign_bookings.location_id IS NULL OR x.location_id = _unassign_bookings.location_id)
            ORDER BY x.booking_id, x.id FOR UPDATE);
    RETURN changed;
END
$$;
COMMENT ON FUNCTION @extschema@._unassign_bookings(uuid, uuid) IS
    'Leaves the coming bookings of a staff member without staff; the machine publishes booking.needs_staff.';

CREATE FUNCTION @extschema@.unassign_staff(location_id uuid, staff_id uuid, OUT id uuid, OUT is_active boolean,
                                           OUT needs_staff integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._require('staff:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    UPDATE @extschema@.location_staff AS ls SET is_active = false
        WHERE ls.location_id = unassign_staff.location_id AND ls.staff_id = unassign_staff.staff_id AND ls.is_active
        RETURNING ls.id, ls.is_active INTO id, is_active;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'user is not assigned to this location',
            jsonb_build_object('location_id', location_id, 'staff_id', staff_id));
    END IF;
    needs_staff := @extschema@._unassign_bookings(staff_id, location_id);
END
$$;
COMMENT ON FUNCTION @extschema@.unassign_staff(uuid, uuid) IS
    'Takes a staff member off a location; needs_staff says how many coming bookings are without staff now. Needs '
    'staff:manage.';

CREATE FUNCTION @extschema@.set_staff_skills(staff_id uuid, service_ids uuid[], OUT added integer, OUT removed integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    unknown uuid;
BEGIN
    PERFORM usher.require_permission('staff:manage', staff_id);
    IF service_ids IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'service_ids must be an array',
                                  jsonb_build_object('argument', 'service_ids'));
    END IF;
    PERFORM usher.lock_user_reference(staff_id);
    -- held until the end of the transaction: whoever deactivates one waits
    PERFORM FROM @extschema@.services AS s WHERE s.id = ANY (service_ids) ORDER BY s.id FOR SHARE;
    SELECT wanted INTO unknown FROM unnest(service_ids) AS wanted
        WHERE NOT EXISTS (SELECT FROM @extschema@.services AS s WHERE s.id = wanted AND s.is_active)
            AND NOT EXISTS (SELECT FROM @extschema@.staff_skills AS k
                WHERE k.staff_id = set_staff_skills.staff_id AND k.service_id = wanted) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'service does not exist or is not active',
                                  jsonb_build_object('service_id', unknown));
    END IF;
    DELETE FROM @extschema@.staff_skills AS k
    WHERE k.staff_id = set_staff_skills.staff_id AND k.service_id <> ALL (service_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO @extschema@.staff_skills (staff_id, service_id)
        SELECT set_staff_skills.staff_id, wanted FROM unnest(service_ids) AS wanted ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION @extschema@.set_staff_skills(uuid, uuid[]) IS
    'Makes these the services that a staff member may give; an empty list means all. Needs staff:manage.';

CREATE FUNCTION @extschema@._require_staff(location_id uuid, staff_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.location_staff AS ls WHERE ls.staff_id = _require_staff.staff_id
        AND (_require_staff.location_id IS NULL OR ls.location_id = _require_staff.location_id)) THEN
        PERFORM usher.raise_error('unknown_reference', format('user is not assigned to %s location',
            CASE WHEN location_id IS NULL THEN 'any' ELSE 'this' END),
            jsonb_strip_nulls(jsonb_build_object('location_id', location_id))
                || jsonb_build_object('staff_id', staff_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_staff(uuid, uuid) IS
    'Raises US005 for somebody who is not assigned to the location, or to any.';

-- Who looks after the time of a staff member: managers of a location they are assigned to.
CREATE FUNCTION @extschema@._may_manage_staff(staff_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('staff:manage');
        RETURN true;
    END IF;
    -- Whoever may everywhere is told of somebody who works nowhere that there is nobody, not that they may not.
    RETURN @extschema@._may('staff:manage', usher.uuid_v7()) OR EXISTS (SELECT FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = _may_manage_staff.staff_id AND @extschema@._may('staff:manage', ls.location_id));
END
$$;
COMMENT ON FUNCTION @extschema@._may_manage_staff(uuid) IS
    'Whether the actor has staff:manage everywhere, or at a location of the staff member.';

CREATE FUNCTION @extschema@.set_staff_hours(staff_id uuid, location_id uuid, weekdays integer[], periods jsonb,
    valid daterange DEFAULT daterange(NULL, NULL), OUT rows_written integer, OUT conflicting_bookings integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._require('staff:manage', coalesce(location_id, usher.uuid_v7()));
    PERFORM @extschema@._check_weekdays(weekdays, valid);
    PERFORM @extschema@._require_staff(location_id, staff_id);
    PERFORM FROM @extschema@.location_staff AS ls
        WHERE ls.location_id = set_staff_hours.location_id AND ls.staff_id = set_staff_hours.staff_id
        FOR NO KEY UPDATE;
    DELETE FROM @extschema@.staff_hours AS h
        WHERE h.location_id = set_staff_hours.location_id AND h.staff_id = set_staff_hours.staff_id
            AND h.weekday = ANY (weekdays) AND h.valid = set_staff_hours.valid;
    INSERT INTO @extschema@.staff_hours (location_id, staff_id, weekday, opens, closes, valid)
        SELECT DISTINCT set_staff_hours.location_id, set_staff_hours.staff_id, d, p.opens, p.closes,
               set_staff_hours.valid
        FROM unnest(weekdays) AS d CROSS JOIN @extschema@._parse_periods(periods) AS p;
    GET DIAGNOSTICS rows_written = ROW_COUNT;
    SELECT count(*) INTO conflicting_bookings
    FROM @extschema@.booking_claims AS c JOIN @extschema@.bookings AS b ON b.id = c.booking_id
        WHERE c.resource_kind = 'staff' AND c.resource_id = set_staff_hours.staff_id AND c.live
            AND c.during && tstzrange(now(), NULL)
            AND b.location_id = set_staff_hours.location_id AND b.status IN ('pending', 'confirmed')
            AND NOT @extschema@._staff_at_work(b.location_id, c.resource_id, lower(c.during) + b.buffer_before,
                upper(c.during) - b.buffer_after);
END
$$;
COMMENT ON FUNCTION @extschema@.set_staff_hours(uuid, uuid, integer[], jsonb, daterange) IS
    'Replaces the weekly hours of a staff member at a location for these ISO weekdays, in its local time; without '
    'any hours they work whenever it is open. conflicting_bookings: coming ones that lie outside now; they are '
    'kept. Needs staff:manage there.';

CREATE FUNCTION @extschema@.add_staff_time_off(staff_id uuid, during tstzrange, reason text DEFAULT NULL,
    OUT time_off_id uuid, OUT conflicting_bookings integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF NOT @extschema@._may_manage_staff(staff_id) THEN
        PERFORM usher.raise_error('not_permitted',
            'permission "staff:manage" is needed at a location of the staff member',
            jsonb_build_object('permission', 'staff:manage', 'staff_id', staff_id));
    ELSIF during IS NULL OR isempty(during) THEN
        PERFORM usher.raise_error('invalid_argument', 'during must be a range of time that is not empty',
            jsonb_build_object('argument', 'during'));
    END IF;
    PERFORM @extschema@._require_staff(NULL, staff_id);
    PERFORM FROM @extschema@.location_staff AS ls
    WHERE ls.staff_id = add_staff_time_off.staff_id ORDER BY ls.id FOR NO KEY UPDATE;
    -- Said twice, it is the same: who took one of two back would be away still.
    SELECT t.id INTO time_off_id FROM @extschema@.staff_time_off AS t
    WHERE t.staff_id = add_staff_time_off.staff_id AND t.during = add_staff_time_off.during
        AND t.reason IS NOT DISTINCT FROM add_staff_time_off.reason ORDER BY t.id LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO @extschema@.staff_time_off AS t (staff_id, during, reason)
            VALUES (add_staff_time_off.staff_id, add_staff_time_off.during, add_staff_time_off.reason)
            RETURNING t.id INTO time_off_id;
    END IF;
    SELECT count(*) INTO conflicting_bookings
    FROM @extschema@.booking_claims AS c JOIN @extschema@.bookings AS b ON b.id = c.booking_id
        WHERE c.resource_kind = 'staff' AND c.resource_id = add_staff_time_off.staff_id AND c.live
            AND c.during && add_staff_time_off.during AND b.status IN ('pending', 'confirmed');
END
$$;
COMMENT ON FUNCTION @extschema@.add_staff_time_off(uuid, tstzrange, text) IS
    'Nobody can book the staff member then, at any location. conflicting_bookings: those that exist; they are kept. '
    'The same span for the same reason again is the same time off. Needs staff:manage at one of their locations.';

CREATE FUNCTION @extschema@.remove_staff_time_off(time_off_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    who uuid;
BEGIN
    SELECT t.staff_id INTO who FROM @extschema@.staff_time_off AS t WHERE t.id = remove_staff_time_off.time_off_id;
    IF NOT @extschema@._may_manage_staff(coalesce(who, usher.uuid_v7())) THEN
        PERFORM usher.raise_error('not_permitted',
            'permission "staff:manage" is needed at a location of the staff member',
            jsonb_build_object('permission', 'staff:manage'));
    END IF;
    DELETE FROM @extschema@.staff_time_off AS t WHERE t.id = remove_staff_time_off.time_off_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_staff_time_off(uuid) IS
    'Takes time off back; false when there is none. Needs staff:manage at a location of the staff member.';

CREATE FUNCTION @extschema@.list_staff(location_id uuid, include_inactive boolean DEFAULT false,
                                       after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS TABLE (staff_id uuid, staff usher.user_reference, role text, bookable boolean, is_active boolean,
                   assigned_at timestamptz, hours jsonb, service_ids uuid[], time_off jsonb)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require('staff:manage', coalesce(location_id, usher.uuid_v7()));
    PERFORM @extschema@._check_location(location_id);
    people := ARRAY(SELECT ls.staff_id FROM @extschema@.location_staff AS ls
        WHERE ls.location_id = list_staff.location_id AND (ls.is_active OR include_inactive)
            AND (list_staff.after IS NULL OR ls.staff_id > list_staff.after)
        ORDER BY ls.staff_id LIMIT max_rows);
    PERFORM usher.log_reads('staff', people);
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT ls.staff_id, k.reference, ls.role, ls.bookable, ls.is_active, ls.assigned_at,
        coalesce((SELECT jsonb_agg(
                jsonb_build_object('weekday', h.weekday, 'opens', h.opens, 'closes', h.closes, 'valid', h.valid)
                ORDER BY h.weekday, h.opens, h.valid)
            FROM @extschema@.staff_hours AS h WHERE h.location_id = ls.location_id AND h.staff_id = ls.staff_id),
                  '[]'),
        ARRAY(SELECT s.service_id FROM @extschema@.staff_skills AS s WHERE s.staff_id = ls.staff_id ORDER BY 1),
        coalesce((SELECT jsonb_agg(jsonb_build_object('time_off_id', t.id, 'during', t.during, 'reason', t.reason)
                                       ORDER BY t.during)
            FROM @extschema@.staff_time_off AS t
            WHERE t.staff_id = ls.staff_id AND t.during && tstzrange(now(), NULL)), '[]')
    FROM @extschema@.location_staff AS ls LEFT JOIN known AS k ON k.id = ls.staff_id
    WHERE ls.location_id = list_staff.location_id AND ls.staff_id = ANY (people)
    ORDER BY ls.staff_id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_staff(uuid, boolean, uuid, integer) IS
    'Who works at a location, with hours, skills (none: all services) and coming time off; the next page starts '
    'after the last staff_id. US005 for an unknown location. Needs staff:manage there.';

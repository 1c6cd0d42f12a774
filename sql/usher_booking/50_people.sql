-- Staff of locations, and customers.

CREATE FUNCTION @extschema@.assign_staff(location_id uuid, staff_id uuid, role text, bookable boolean DEFAULT NULL)
    RETURNS @extschema@.location_staff
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    assigned @extschema@.location_staff;
BEGIN
    PERFORM @extschema@._require('staff:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    PERFORM usher.lock_user_reference(staff_id);
    IF NOT coalesce(usher.user_has_role(staff_id, role, location_id::text), false) THEN
        PERFORM usher.raise_error('staff_not_eligible', format('user does not have the role "%s"', role),
            jsonb_build_object('rule', 'role', 'staff_id', staff_id, 'role', role));
    END IF;
    INSERT INTO @extschema@.location_staff AS ls (location_id, staff_id, role, bookable)
        VALUES (assign_staff.location_id, assign_staff.staff_id, assign_staff.role, coalesce(assign_staff.bookable, assign_staff.role <> 'manager'))
        ON CONFLICT (location_id, staff_id) DO UPDATE
            SET role = excluded.role, bookable = excluded.bookable, is_active = true, assigned_at = now()
        RETURNING ls.* INTO assigned;
    RETURN assigned;
END
$$;
COMMENT ON FUNCTION @extschema@.assign_staff(uuid, uuid, text, boolean) IS
    'Assigns a user to a location in a role that he must have; anybody but managers takes bookings unless told otherwise. Needs staff:manage.';

CREATE FUNCTION @extschema@._unassign_bookings(staff_id uuid, location_id uuid DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    changed integer;
BEGIN
    PERFORM @extschema@._fence('staff', ARRAY[staff_id]);
    UPDATE @extschema@.bookings AS b SET staff_id = NULL
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.staff_id = _unassign_bookings.staff_id AND x.status IN ('pending', 'confirmed') AND x.end_at > now()
                AND (_unassign_bookings.location_id IS NULL OR x.location_id = _unassign_bookings.location_id)
            ORDER BY x.id FOR UPDATE);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION @extschema@._unassign_bookings(uuid, uuid) IS 'Leaves the coming bookings of a staff member without staff; the machine publishes booking.needs_staff.';

CREATE FUNCTION @extschema@.unassign_staff(location_id uuid, staff_id uuid, OUT id uuid, OUT is_active boolean, OUT needs_staff integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
    'Takes a staff member off a location; needs_staff says how many coming bookings are without staff now. Needs staff:manage.';

CREATE FUNCTION @extschema@.set_staff_skills(staff_id uuid, service_ids uuid[], OUT added integer, OUT removed integer)
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    unknown uuid;
BEGIN
    PERFORM usher.require_permission('staff:manage', staff_id);
    IF service_ids IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'service_ids must be an array', jsonb_build_object('argument', 'service_ids'));
    END IF;
    PERFORM usher.lock_user_reference(staff_id);
    SELECT wanted INTO unknown FROM unnest(service_ids) AS wanted
        WHERE NOT EXISTS (SELECT FROM @extschema@.services AS s WHERE s.id = wanted) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'service does not exist', jsonb_build_object('service_id', unknown));
    END IF;
    DELETE FROM @extschema@.staff_skills AS k WHERE k.staff_id = set_staff_skills.staff_id AND k.service_id <> ALL (service_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO @extschema@.staff_skills (staff_id, service_id)
        SELECT set_staff_skills.staff_id, wanted FROM unnest(service_ids) AS wanted ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION @extschema@.set_staff_skills(uuid, uuid[]) IS
    'Makes these the services that a staff member may give; an empty list means all. Needs staff:manage.';

CREATE FUNCTION @extschema@.upsert_customer(user_id uuid DEFAULT NULL, name text DEFAULT NULL, email text DEFAULT NULL,
    phone text DEFAULT NULL, attributes jsonb DEFAULT NULL, id uuid DEFAULT NULL)
    RETURNS @extschema@.customers
    LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor constant uuid := usher.current_user_id();
    profile constant uuid := coalesce(upsert_customer.id, upsert_customer.user_id, usher.uuid_v7());
    customer @extschema@.customers;
BEGIN
    IF upsert_customer.user_id IS NULL OR upsert_customer.user_id IS DISTINCT FROM actor
        OR profile <> upsert_customer.user_id THEN
        -- For somebody else, or under an id of the caller's choice: whoever makes bookings for others, anywhere.
        IF actor IS NULL THEN
            PERFORM usher.require_permission('booking:manage');
        ELSIF NOT usher.has_permission_somewhere('booking:manage') THEN
            PERFORM usher.raise_error('not_permitted', 'permission "booking:manage" is needed for the profile of somebody else',
                jsonb_build_object('permission', 'booking:manage'));
        END IF;
    END IF;
    IF upsert_customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(upsert_customer.user_id);
    ELSIF upsert_customer.name IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'a customer without an account must have a name',
            jsonb_build_object('argument', 'name'));
    END IF;
    INSERT INTO @extschema@.customers AS c (id, user_id, name, email, phone, attributes)
        VALUES (profile, upsert_customer.user_id, upsert_customer.name, upsert_customer.email, upsert_customer.phone,
            coalesce(upsert_customer.attributes, '{}'))
        ON CONFLICT (id) DO UPDATE
            SET name = coalesce(upsert_customer.name, c.name), email = coalesce(upsert_customer.email, c.email),
                phone = coalesce(upsert_customer.phone, c.phone), attributes = coalesce(upsert_customer.attributes, c.attributes),
                version = c.version + 1
            WHERE c.user_id IS NOT DISTINCT FROM upsert_customer.user_id
        RETURNING c.* INTO customer;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('not_permitted', 'customer profile belongs to another user', jsonb_build_object('id', profile));
    END IF;
    RETURN customer;
END
$$;
COMMENT ON FUNCTION @extschema@.upsert_customer(uuid, text, text, text, jsonb, uuid) IS
    'Creates or changes a customer profile: one''s own, or with booking:manage that of another user or of a walk-in customer without account.';

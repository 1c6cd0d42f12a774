-- What is kept about a user here: as a customer, and as somebody who works.

-- A person is known by the id of the account, or, without one, by that of the profile.
CREATE FUNCTION @extschema@._customers_who_are(person uuid) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c WHERE c.user_id = person
                 UNION ALL
                 SELECT c.id FROM @extschema@.customers AS c WHERE c.id = person AND c.user_id IS NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._customers_who_are(uuid) IS
    'The profiles of a user, or the one of a customer without an account.';

CREATE FUNCTION @extschema@._profiles_of(user_id uuid) RETURNS TABLE (profile_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT c.id FROM @extschema@.customers AS c WHERE c.user_id = _profiles_of.user_id ORDER BY c.id;
END
$$;
COMMENT ON FUNCTION @extschema@._profiles_of(uuid) IS
    'The ids of a user as a customer: others know what was bought or earned under each.';

CREATE FUNCTION @extschema@._contact_of(customer_id uuid)
    RETURNS TABLE (user_id uuid, name text, email text, language text, time_zone text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    -- A name that somebody gave who may manage bookings: what a form of strangers has filled in greets nobody.
    SELECT c.user_id, CASE WHEN c.created_by IS NOT NULL THEN c.name END, c.email, c.attributes ->> 'language',
           c.attributes ->> 'time_zone'
    FROM @extschema@.customers AS c WHERE c.id = _contact_of.customer_id AND c.is_active;
END
$$;
COMMENT ON FUNCTION @extschema@._contact_of(uuid) IS
    'How to write to a customer: to their account, or to the address of their profile, in the language and time zone '
    'of its attributes ("language", "time_zone").';

CREATE FUNCTION @extschema@._export_customer(user_id uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _export_customer.user_id;
    own CONSTANT uuid[] := @extschema@._customers_who_are(target);
BEGIN
    RETURN jsonb_build_object(
        'customers', coalesce((SELECT jsonb_agg(to_jsonb(c) - '{user_id,created_by}'::text[] ORDER BY c.id)
            FROM @extschema@.customers AS c WHERE c.id = ANY (own)), '[]'),
        'bookings',
        coalesce((SELECT jsonb_agg(to_jsonb(b) - '{created_by,during,occupies}'::text[] ORDER BY b.start_at, b.id)
            FROM @extschema@.bookings AS b WHERE b.customer_id = ANY (own)), '[]'),
        'appointments', coalesce((SELECT jsonb_agg(to_jsonb(a) - '{during,occupies}'::text[] ORDER BY a.start_at, a.id)
            FROM @extschema@.appointments AS a WHERE a.customer_id = ANY (own)), '[]'),
        'works_at', coalesce((SELECT jsonb_agg(to_jsonb(s) - 'staff_id' ORDER BY s.location_id)
            FROM @extschema@.location_staff AS s WHERE s.staff_id = target), '[]'),
        'skills', coalesce((SELECT jsonb_agg(to_jsonb(k) - 'staff_id' ORDER BY k.service_id)
            FROM @extschema@.staff_skills AS k WHERE k.staff_id = target), '[]'),
        'hours', coalesce((SELECT jsonb_agg(to_jsonb(h) - 'staff_id' ORDER BY h.location_id, h.weekday, h.opens)
            FROM @extschema@.staff_hours AS h WHERE h.staff_id = target), '[]'),
        'time_off', coalesce((SELECT jsonb_agg(to_jsonb(t) - '{staff_id,created_by}'::text[] ORDER BY t.during)
            FROM @extschema@.staff_time_off AS t WHERE t.staff_id = target), '[]'),
        'work',
        coalesce((SELECT jsonb_agg(jsonb_build_object('booking_id', b.id, 'start_at', b.start_at, 'end_at', b.end_at,
                'status', b.status) ORDER BY b.start_at, b.id)
            FROM @extschema@.bookings AS b WHERE b.staff_id = target), '[]'));
END
$$;
COMMENT ON FUNCTION @extschema@._export_customer(uuid) IS
    'The part of usher_booking in usher.export_user() and export_customer().';

CREATE FUNCTION @extschema@._erase_customer(user_id uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target CONSTANT uuid := _erase_customer.user_id;
    own CONSTANT uuid[] := @extschema@._customers_who_are(target);
    their_bookings CONSTANT uuid[] := ARRAY(SELECT b.id
                                            FROM @extschema@.bookings AS b WHERE b.customer_id = ANY (own));
    their_appointments CONSTANT uuid[] := ARRAY(SELECT a.id
                                                FROM @extschema@.appointments AS a WHERE a.customer_id = ANY (own));
    changed bigint;
    total bigint := 0;
BEGIN
    -- The rows stay: what was booked, and what it cost, is somebody else's business too.
    UPDATE @extschema@.customers AS c
    SET name = CASE WHEN c.user_id IS NULL THEN @extschema@._erased_name() END, email = NULL, phone = NULL,
        attributes = '{}'
    WHERE c.id = ANY (own);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE @extschema@.bookings AS b SET vehicle_info = NULL, special_instructions = NULL, status_notes = NULL
    WHERE b.id = ANY (their_bookings)
        AND (b.vehicle_info IS NOT NULL OR b.special_instructions IS NOT NULL OR b.status_notes IS NOT NULL);
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE @extschema@.appointments AS a
    SET notes = NULL WHERE a.id = ANY (their_appointments) AND a.notes IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    UPDATE @extschema@.staff_time_off AS t SET reason = NULL WHERE t.staff_id = target AND t.reason IS NOT NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    total := total + changed;
    RETURN total + usher.forget_notes('@extschema@.bookings', their_bookings)
        + usher.forget_notes('@extschema@.appointments', their_appointments);
END
$$;
COMMENT ON FUNCTION @extschema@._erase_customer(uuid) IS
    'The part of usher_booking in usher.erase_user() and erase_customer(): bookings stay, without what was said in '
    'them and about their customer.';

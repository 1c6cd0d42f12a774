\echo Use "ALTER EXTENSION usher_booking UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_booking') AS x ON x.object = d.object
WHERE d.extension = 'usher_booking'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- 0.9.0 publishes no reminders, and so keeps no account of them; its events of bookings do not carry the name of the
-- service. It takes nothing off a booking: what offers have granted goes. The table of bookings is locked until the
-- transaction ends.
-- Nor does it hear of what these events tell.
SELECT usher.unsubscribe(e, 'usher_booking')
FROM unnest(ARRAY['payment.refunded', 'payment.partially_refunded', 'refund.failed', 'refund.cancelled',
    'loyalty.redeeming', 'loyalty.discount_granted', 'loyalty.offer_released']) AS e;

DROP FUNCTION @extschema@._apply_discounts(uuid);
DROP FUNCTION @extschema@._booked_purchase(uuid);
DROP FUNCTION @extschema@._booking_error_codes();
DROP FUNCTION @extschema@._booking_metrics();
DROP FUNCTION @extschema@._check_location(uuid);
DROP FUNCTION @extschema@._contact_of(uuid);
DROP FUNCTION @extschema@._location_of(uuid);
DROP FUNCTION @extschema@._on_booking_discount(text, jsonb);
DROP FUNCTION @extschema@._on_booking_offer_released(text, jsonb);
DROP FUNCTION @extschema@._remind_of_bookings(integer);
DROP FUNCTION @extschema@._require_service_price(bigint, text);
DROP FUNCTION @extschema@.list_locations(uuid, integer, boolean);
DROP FUNCTION @extschema@.list_services(uuid, uuid, integer, boolean);
DROP FUNCTION @extschema@.set_customer_active(uuid, boolean, integer);
DROP FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer);
DROP FUNCTION @extschema@.set_service_active(uuid, boolean, integer);

COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'The instant of a wall time: first or last of a repeated one, the end of the gap for one that never was. AT '
    'TIME ZONE picks the last of two, RFC 5545 the first.';
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'The opening periods of a location that touch the window, as instants: exceptions replace the weekly hours of '
    'their date.';
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'Whether a slot begins then: grids start with each opening period. NULL when the location is closed then.';
CREATE OR REPLACE FUNCTION @extschema@.list_bookings_outside_hours(location_id uuid, after uuid DEFAULT NULL,
    max_rows integer DEFAULT 100)
    RETURNS TABLE (booking_id uuid, status text, start_at timestamptz, end_at timestamptz, local_start timestamp,
        staff_id uuid, rule text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require('booking:manage', coalesce(location_id, usher.uuid_v7()));
    RETURN QUERY
    SELECT found.id, found.status, found.start_at, found.end_at, found.start_at AT TIME ZONE found.time_zone,
        found.staff_id, found.rule
    FROM (
        SELECT b.id, b.status, b.start_at, b.end_at, b.staff_id, l.time_zone, CASE
            WHEN NOT @extschema@._is_open(b.location_id, b.start_at, b.end_at) THEN 'location_hours'
            WHEN b.staff_id IS NOT NULL
                AND NOT b.by_appointment THEN @extschema@._staff_away(b.location_id, b.staff_id,
                b.start_at, b.end_at, b.buffer_before, b.buffer_after) END AS rule
        FROM @extschema@.bookings AS b JOIN @extschema@.locations AS l ON l.id = b.location_id
        WHERE b.location_id = list_bookings_outside_hours.location_id AND b.status IN ('pending', 'confirmed')
            AND b.end_at > now() AND b.start_at > @extschema@._first_start(tstzrange(now(), NULL))
            AND (list_bookings_outside_hours.after IS NULL OR (b.start_at, b.id) > (
                SELECT x.start_at, x.id FROM @extschema@.bookings AS x WHERE x.id = list_bookings_outside_hours.after))
    ) AS found
    WHERE found.rule IS NOT NULL ORDER BY found.start_at, found.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_bookings_outside_hours(uuid, uuid, integer) IS
    'Coming bookings that the hours of the location or of their staff member no longer cover, and which rule they '
    'break: after a change of hours or of the time zone. The next page starts after the last booking_id. Needs '
    'booking:manage there.';
CREATE OR REPLACE FUNCTION @extschema@.assign_staff(location_id uuid, staff_id uuid, role text,
        bookable boolean DEFAULT NULL)
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
CREATE OR REPLACE FUNCTION @extschema@._require_staff(location_id uuid, staff_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.location_staff AS ls WHERE ls.staff_id = _require_staff.staff_id
        AND (_require_staff.location_id IS NULL OR ls.location_id = _require_staff.location_id)) THEN
        PERFORM usher.raise_error('unknown_reference', 'user is not assigned to this location',
            jsonb_build_object('location_id', location_id, 'staff_id', staff_id));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._may_manage_staff(staff_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF usher.actor_id() IS NULL THEN
        PERFORM usher.require_permission('staff:manage');
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = _may_manage_staff.staff_id AND @extschema@._may('staff:manage', ls.location_id));
END
$$;
COMMENT ON FUNCTION @extschema@._may_manage_staff(uuid) IS
    'Whether the actor has staff:manage at a location of the staff member.';
CREATE OR REPLACE FUNCTION @extschema@.add_staff_time_off(staff_id uuid, during tstzrange, reason text DEFAULT NULL,
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
    INSERT INTO @extschema@.staff_time_off AS t (staff_id, during, reason)
        VALUES (add_staff_time_off.staff_id, add_staff_time_off.during, add_staff_time_off.reason)
        RETURNING t.id INTO time_off_id;
    SELECT count(*) INTO conflicting_bookings
    FROM @extschema@.booking_claims AS c JOIN @extschema@.bookings AS b ON b.id = c.booking_id
        WHERE c.resource_kind = 'staff' AND c.resource_id = add_staff_time_off.staff_id AND c.live
            AND c.during && add_staff_time_off.during AND b.status IN ('pending', 'confirmed');
END
$$;
COMMENT ON FUNCTION @extschema@.add_staff_time_off(uuid, tstzrange, text) IS
    'Nobody can book the staff member then, at any location. conflicting_bookings: those that exist; they are kept. '
    'Needs staff:manage at one of their locations.';
CREATE OR REPLACE FUNCTION @extschema@.list_staff(location_id uuid, include_inactive boolean DEFAULT false,
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
    'after the last staff_id. Needs staff:manage there.';
CREATE OR REPLACE FUNCTION @extschema@._search_customers(search text, after uuid, max_rows integer, sees_all boolean,
                                              own_id uuid, managed uuid[], handled uuid[])
    RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Up to so many are all looked at. What more people meet is soon met by walking through those who may be seen.
    most CONSTANT integer := CASE WHEN sees_all THEN 5000 ELSE 15000 END;
    few integer;
    query CONSTANT tsquery := usher.name_query(search);
    word CONSTANT text := (tsvector_to_array(usher.name_words(search)))[1];
    is_common CONSTANT boolean := usher.expected_users(search) > 4 * most;
    accounts uuid[];
    named uuid[];
    others uuid[];
    batch uuid[];
    batch_size integer := 1000;
    looked_at integer := 0;
    met uuid[] := '{}';
BEGIN
    -- Few, rather few, or many? What few people meet is found at once.
    FOREACH few IN ARRAY ARRAY[500, most] LOOP
        IF few = most OR NOT is_common THEN
            accounts := ARRAY(SELECT a FROM usher.search_users(search, few + 1) AS a);
            named := ARRAY(SELECT c.id FROM @extschema@.customers AS c
                           WHERE usher.name_words(c.name) @@ query LIMIT few + 1);
            EXIT WHEN greatest(cardinality(accounts), cardinality(named)) <= few;
        END IF;
        LOOP
            batch := @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), batch_size, sees_all,
                                                  own_id, managed, handled);
            looked_at := looked_at + cardinality(batch);
            met := met || @extschema@._matching_among(batch, search, query, word);
            IF cardinality(batch) < batch_size OR cardinality(met) >= max_rows THEN
                RETURN met[1:max_rows];
            END IF;
            -- As many as the page needs, if they go on as they began. Where these would be many, it may be soon known
            -- who has the name; but whom somebody has served or made themselves are never that many.
            batch_size := least(64000, greatest(500, (max_rows - cardinality(met)) * (looked_at::bigint * 5 / 4)
                                                     / greatest(cardinality(met), 1)))::integer;
            EXIT WHEN few < most AND batch_size > 4000 AND (sees_all OR cardinality(handled) > 0);
        END LOOP;
    END LOOP;
    others := ARRAY(SELECT n FROM unnest(named) AS n
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE c.user_id = ANY (accounts) AND c.id <> c.user_id
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c
                    WHERE usher.name_key(c.email) = usher.name_key(search)
                    UNION ALL
                    SELECT c.id FROM @extschema@.customers AS c WHERE c.phone = search);
    -- The first profile of an account has its id.
    met := accounts || others;
    IF NOT sees_all THEN
        met := ARRAY(SELECT s FROM @extschema@._seen_among(met, own_id, managed, handled) AS s);
    END IF;
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c
                 WHERE c.id = ANY (met) AND c.id > _search_customers.after
                     AND (c.id = c.user_id OR c.id = ANY (others))
                 ORDER BY c.id LIMIT max_rows);
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.upsert_customer(user_id uuid DEFAULT NULL, name text DEFAULT NULL,
        email text DEFAULT NULL,
    phone text DEFAULT NULL, attributes jsonb DEFAULT NULL, id uuid DEFAULT NULL)
    RETURNS @extschema@.customers
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    profile CONSTANT uuid := coalesce(upsert_customer.id, upsert_customer.user_id, usher.uuid_v7());
    -- As the addresses of accounts are written; what is none is kept as it was given.
    address CONSTANT text := coalesce(usher.normalize_name(upsert_customer.email), upsert_customer.email);
    customer @extschema@.customers;
BEGIN
    IF upsert_customer.user_id IS NULL
        OR upsert_customer.user_id IS DISTINCT FROM usher.current_user_id('customer:manage')
        OR profile <> upsert_customer.user_id THEN
        -- For somebody else, or under an id of the caller's choice: whoever makes bookings for others, anywhere.
        IF actor IS NULL THEN
            PERFORM usher.require_permission('booking:manage');
        ELSIF NOT usher.has_permission_somewhere('booking:manage') THEN
            PERFORM usher.raise_error('not_permitted',
                'permission "booking:manage" is needed for the profile of somebody else',
                jsonb_build_object('permission', 'booking:manage'));
        END IF;
    END IF;
    IF upsert_customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(upsert_customer.user_id);
    ELSIF upsert_customer.name IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'a customer without an account must have a name',
            jsonb_build_object('argument', 'name'));
    END IF;
    INSERT INTO @extschema@.customers AS c (id, user_id, name, email, phone, attributes, created_by)
        VALUES (profile, upsert_customer.user_id, upsert_customer.name, address, upsert_customer.phone,
            coalesce(upsert_customer.attributes, '{}'), nullif(actor, upsert_customer.user_id))
        ON CONFLICT (id) DO UPDATE
            SET name = coalesce(upsert_customer.name, c.name), email = coalesce(address, c.email),
                phone = coalesce(upsert_customer.phone, c.phone),
                attributes = coalesce(upsert_customer.attributes, c.attributes),
                version = c.version + 1
            WHERE c.user_id IS NOT DISTINCT FROM upsert_customer.user_id
        RETURNING c.* INTO customer;
    IF NOT FOUND THEN
        PERFORM usher.raise_error('not_permitted', 'customer profile belongs to another user',
                                  jsonb_build_object('id', profile));
    END IF;
    RETURN customer;
END
$$;
CREATE FUNCTION @extschema@.set_customer_active(customer_id uuid, active boolean,
                                                expected_version integer DEFAULT NULL)
    RETURNS @extschema@.customers
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    customer @extschema@.customers;
BEGIN
    IF NOT usher.has_permission('customer:manage') THEN
        PERFORM usher.require_permission('booking:manage');
    END IF;
    IF active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'active must not be null',
                                  jsonb_build_object('argument', 'active'));
    END IF;
    -- Waits for bookings that are being made, which hold the row.
    SELECT * INTO customer FROM @extschema@.customers AS c WHERE c.id = set_customer_active.customer_id FOR UPDATE;
    PERFORM @extschema@._check_version(customer.version, expected_version, 'customer', customer_id);
    IF active AND customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(customer.user_id); -- a profile is not more alive than its account
    ELSIF active AND customer.name = @extschema@._erased_name() THEN
        PERFORM usher.raise_error('unknown_reference', 'customer has been erased',
                                  jsonb_build_object('id', customer_id));
    END IF;
    IF active <> customer.is_active THEN
        UPDATE @extschema@.customers AS c SET is_active = active, version = c.version + 1
            WHERE c.id = set_customer_active.customer_id RETURNING * INTO customer;
    END IF;
    RETURN customer;
END
$$;
COMMENT ON FUNCTION @extschema@.set_customer_active(uuid, boolean, integer) IS
    'Lets nothing more be booked for a customer, or lets it again; bookings that exist are kept. Restoring one of an '
    'account that is not active, or one that was erased, is refused with US005. Publishes customer.deactivated or '
    'customer.restored. Needs customer:manage or booking:manage.';
CREATE OR REPLACE FUNCTION @extschema@._follow_appointment() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    current_status text;
    reason text;
BEGIN
    IF usher._is_restoring() THEN
        RETURN NULL;
    END IF;
    SELECT b.status INTO current_status FROM @extschema@.bookings AS b WHERE b.id = NEW.booking_id;
    IF NEW.status = 'in_progress' AND current_status = 'confirmed' THEN
        UPDATE @extschema@.bookings AS b SET status = 'in_progress' WHERE b.id = NEW.booking_id;
    ELSIF NEW.status IN ('completed', 'cancelled', 'no_show')
          AND current_status IN ('pending', 'confirmed', 'in_progress')
        AND NOT EXISTS (SELECT FROM @extschema@.appointments AS a
            WHERE a.booking_id = NEW.booking_id AND a.status IN ('scheduled', 'arrived', 'in_progress')) THEN
        IF EXISTS (SELECT FROM @extschema@.appointments AS a
                   WHERE a.booking_id = NEW.booking_id AND a.status = 'completed') THEN
            UPDATE @extschema@.bookings AS b
            SET status = 'completed' WHERE b.id = NEW.booking_id AND b.status = 'in_progress';
        ELSE
            reason := CASE NEW.status
                          WHEN 'no_show' THEN 'no_show' ELSE coalesce(NEW.cancellation_reason, 'other') END;
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = reason,
                    refund_due_minor = CASE WHEN b.paid_at IS NULL OR reason = 'no_show' THEN 0 ELSE b.price_minor END
                WHERE b.id = NEW.booking_id;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.schedule_appointment(booking_id uuid, practitioner_id uuid DEFAULT NULL,
                                                 during tstzrange DEFAULT NULL, notes text DEFAULT NULL,
                                                 idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.appointment_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    details @extschema@.appointment_details;
    made uuid;
    answer jsonb;
BEGIN
    IF booking_id IS NULL OR during IS NULL OR isempty(during) OR lower(during) IS NULL OR upper(during) IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id and during, a range with both ends, are needed',
            jsonb_build_object('argument', CASE WHEN booking_id IS NULL THEN 'booking_id' ELSE 'during' END));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'schedule_appointment', 'booking_id', booking_id,
        'practitioner_id', practitioner_id, 'during', during, 'notes', notes));
    IF answer IS NOT NULL THEN
        SELECT * INTO details FROM @extschema@._describe_appointments(ARRAY[(answer ->> 'appointment_id')::uuid]);
        RETURN details;
    END IF;
    PERFORM @extschema@._lock_before_moving(ARRAY[booking_id], practitioner_id);
    SELECT * INTO booking FROM @extschema@.bookings AS b WHERE b.id = schedule_appointment.booking_id FOR UPDATE;
    IF booking.id IS NULL OR NOT (@extschema@._sees(booking)
        OR coalesce(booking.location_id = ANY (@extschema@._handled_locations()), false)) THEN
        PERFORM usher.raise_error('unknown_reference', 'booking does not exist',
                                  jsonb_build_object('booking_id', booking_id));
    ELSIF NOT coalesce(
        @extschema@._handles(to_jsonb(booking) || jsonb_build_object('practitioner_id', booking.staff_id)), false) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "appointment:manage" is needed at this location',
            jsonb_build_object('permission', 'appointment:manage', 'location_id', booking.location_id));
    END IF;
    INSERT INTO @extschema@.appointments AS a (booking_id, practitioner_id, start_at, end_at, notes)
        VALUES (schedule_appointment.booking_id, coalesce(schedule_appointment.practitioner_id, booking.staff_id),
                lower(during), upper(during), schedule_appointment.notes)
        RETURNING a.id INTO made;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, jsonb_build_object('appointment_id', made));
    END IF;
    SELECT * INTO details FROM @extschema@._describe_appointments(ARRAY[made]);
    RETURN details;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._check_changes(changes jsonb, allowed text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text;
BEGIN
    IF changes IS NULL OR jsonb_typeof(changes) <> 'object' OR changes = '{}' THEN
        PERFORM usher.raise_error('invalid_argument', 'changes must be a JSON object with at least one key',
            jsonb_build_object('argument', 'changes'));
    END IF;
    SELECT key INTO unknown FROM jsonb_object_keys(changes) AS key WHERE key <> ALL (allowed) ORDER BY key LIMIT 1;
    IF unknown IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('"%s" cannot be changed', unknown),
            jsonb_build_object('argument', 'changes', 'key', unknown, 'allowed', to_jsonb(allowed)));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._check_version(actual integer, expected integer, what text, id uuid)
    RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF actual IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', format('%s does not exist', what),
                                  jsonb_build_object('id', id));
    ELSIF expected IS NOT NULL AND expected <> actual THEN
        PERFORM usher.raise_error('stale_version', format('%s was changed by somebody else', what),
            jsonb_build_object('id', id, 'expected_version', expected, 'version', actual));
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.create_service(
    name text, duration interval, price_minor bigint, currency text, description text DEFAULT NULL,
    buffer_before interval DEFAULT '0', buffer_after interval DEFAULT '0', slot_step interval DEFAULT '15 minutes',
    min_notice interval DEFAULT '0', horizon interval DEFAULT '365 days', cancel_cutoff interval DEFAULT '0',
    hold_ttl interval DEFAULT '15 minutes', pending_blocks boolean DEFAULT true, auto_confirm boolean DEFAULT false,
    needs_staff boolean DEFAULT true, attributes jsonb DEFAULT '{}', id uuid DEFAULT NULL,
    early_start interval DEFAULT NULL, staff_may_confirm boolean DEFAULT false,
    customer_exclusive boolean DEFAULT true, by_appointment boolean DEFAULT false, daily_limit integer DEFAULT NULL,
    prepayment text DEFAULT 'none', deposit_minor bigint DEFAULT NULL, refund_policy text DEFAULT 'full',
    refund_notice interval DEFAULT '24 hours', refund_percent integer DEFAULT 0, is_sensitive boolean DEFAULT false)
    RETURNS @extschema@.services
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    created @extschema@.services;
BEGIN
    PERFORM @extschema@._require('service:manage');
    PERFORM @extschema@._check_notice(min_notice, horizon);
    INSERT INTO @extschema@.services (id, name, description, duration, price_minor, currency, buffer_before,
            buffer_after, slot_step, min_notice, horizon, cancel_cutoff, hold_ttl, pending_blocks, auto_confirm,
            needs_staff, attributes, early_start,
            staff_may_confirm, customer_exclusive, by_appointment, daily_limit, prepayment, deposit_minor,
            refund_policy, refund_notice, refund_percent, is_sensitive)
        VALUES (coalesce(create_service.id, usher.uuid_v7()), create_service.name, create_service.description,
            create_service.duration, create_service.price_minor, create_service.currency, create_service.buffer_before,
            create_service.buffer_after, create_service.slot_step, create_service.min_notice, create_service.horizon,
            create_service.cancel_cutoff,
            create_service.hold_ttl, create_service.pending_blocks, create_service.auto_confirm,
            create_service.needs_staff, create_service.attributes, create_service.early_start,
            create_service.staff_may_confirm, create_service.customer_exclusive,
            create_service.by_appointment, create_service.daily_limit, create_service.prepayment,
            create_service.deposit_minor, create_service.refund_policy, create_service.refund_notice,
            create_service.refund_percent, create_service.is_sensitive)
        RETURNING * INTO created;
    RETURN created;
END
$$;
COMMENT ON FUNCTION @extschema@.create_service(text, interval, bigint, text, text, interval, interval, interval,
                                               interval, interval, interval, interval, boolean, boolean, boolean,
                                               jsonb, uuid, interval, boolean, boolean, boolean, integer, text, bigint,
                                               text, interval, integer, boolean) IS
    'Creates a service and returns it. Prices are in minor units of the currency (ISO 4217). Whoever reads about '
    'customers of one that is_sensitive is logged. Needs service:manage.';
CREATE OR REPLACE FUNCTION @extschema@.update_service(service_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
    RETURNS @extschema@.services
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    service @extschema@.services;
BEGIN
    PERFORM @extschema@._require('service:manage');
    PERFORM @extschema@._check_changes(
        changes, ARRAY['name', 'description', 'duration', 'price_minor', 'currency', 'buffer_before',
        'buffer_after', 'slot_step', 'min_notice', 'horizon', 'cancel_cutoff', 'early_start', 'hold_ttl',
        'pending_blocks', 'auto_confirm', 'staff_may_confirm', 'needs_staff', 'customer_exclusive', 'by_appointment',
        'daily_limit', 'prepayment', 'deposit_minor', 'refund_policy', 'refund_notice', 'refund_percent',
        'is_sensitive', 'attributes']);
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = update_service.service_id FOR UPDATE;
    PERFORM @extschema@._check_version(service.version, expected_version, 'service', service_id);
    service := jsonb_populate_record(service, changes);
    PERFORM @extschema@._check_notice(service.min_notice, service.horizon);
    UPDATE @extschema@.services AS s
        SET name = service.name, description = service.description, duration = service.duration,
            price_minor = service.price_minor, currency = service.currency, buffer_before = service.buffer_before,
            buffer_after = service.buffer_after, slot_step = service.slot_step, min_notice = service.min_notice,
            horizon = service.horizon, cancel_cutoff = service.cancel_cutoff, early_start = service.early_start,
            hold_ttl = service.hold_ttl, pending_blocks = service.pending_blocks, auto_confirm = service.auto_confirm,
            staff_may_confirm = service.staff_may_confirm, needs_staff = service.needs_staff,
            customer_exclusive = service.customer_exclusive, by_appointment = service.by_appointment,
            daily_limit = service.daily_limit, prepayment = service.prepayment, deposit_minor = service.deposit_minor,
            refund_policy = service.refund_policy, refund_notice = service.refund_notice,
            refund_percent = service.refund_percent, is_sensitive = service.is_sensitive,
            attributes = service.attributes, version = s.version + 1
        WHERE s.id = update_service.service_id
        RETURNING * INTO service;
    RETURN service;
END
$$;
CREATE FUNCTION @extschema@.set_service_active(service_id uuid, active boolean, expected_version integer DEFAULT NULL)
    RETURNS @extschema@.services
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    service @extschema@.services;
BEGIN
    PERFORM @extschema@._require('service:manage');
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = set_service_active.service_id FOR UPDATE;
    PERFORM @extschema@._check_version(service.version, expected_version, 'service', service_id);
    UPDATE @extschema@.services AS s SET is_active = active, version = s.version + 1
        WHERE s.id = set_service_active.service_id RETURNING * INTO service;
    RETURN service;
END
$$;
COMMENT ON FUNCTION @extschema@.set_service_active(uuid, boolean, integer) IS
    'Offers a service or stops offering it; bookings that exist are kept. Publishes service.deactivated or '
    'service.restored. Needs service:manage.';
CREATE FUNCTION @extschema@.list_services(location_id uuid DEFAULT NULL, after uuid DEFAULT NULL,
                                          max_rows integer DEFAULT 100, include_deleted boolean DEFAULT false)
    RETURNS TABLE (id uuid, name text, description text, duration interval, duration_minutes integer,
                   price_minor bigint, currency text, attributes jsonb, deleted_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF include_deleted THEN
        PERFORM @extschema@._require('service:manage');
    END IF;
    RETURN QUERY
        SELECT s.id, s.name, s.description, s.duration, s.duration_minutes, s.price_minor, s.currency, s.attributes,
            s.deleted_at
        FROM @extschema@.services AS s
        WHERE (s.is_active OR include_deleted) AND (list_services.after IS NULL OR s.id > list_services.after)
            AND (list_services.location_id IS NULL OR EXISTS (SELECT FROM @extschema@.location_services AS ls
                WHERE ls.service_id = s.id AND ls.location_id = list_services.location_id))
        ORDER BY s.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_services(uuid, uuid, integer, boolean) IS
    'Active services, of one location if given; the next page starts after the last id. With include_deleted also '
    'those that are no longer offered, which needs service:manage.';
CREATE OR REPLACE FUNCTION @extschema@.create_location(
    name text, address text, city text, state text, zip_code text, country text DEFAULT 'US',
    time_zone text DEFAULT 'UTC', latitude numeric DEFAULT NULL, longitude numeric DEFAULT NULL,
    phone text DEFAULT NULL, email text DEFAULT NULL, max_concurrent_bookings integer DEFAULT 5, id uuid DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    created @extschema@.locations;
BEGIN
    PERFORM @extschema@._require('location:manage');
    PERFORM @extschema@._check_time_zone(time_zone);
    INSERT INTO @extschema@.locations (id, name, address, city, state, zip_code, country, time_zone, latitude,
                                       longitude, phone, email, max_concurrent_bookings)
        VALUES (coalesce(create_location.id, usher.uuid_v7()), create_location.name, create_location.address,
                create_location.city, create_location.state, create_location.zip_code, create_location.country,
                create_location.time_zone, create_location.latitude, create_location.longitude, create_location.phone,
                create_location.email, create_location.max_concurrent_bookings)
        RETURNING * INTO created;
    RETURN created;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.update_location(location_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
    RETURNS @extschema@.locations
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    location @extschema@.locations;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._check_changes(
        changes, ARRAY['name', 'address', 'city', 'state', 'zip_code', 'country', 'time_zone', 'latitude',
        'longitude', 'phone', 'email', 'max_concurrent_bookings']);
    -- The lock waits for bookings that are being made on the old capacity.
    SELECT * INTO location FROM @extschema@.locations AS l WHERE l.id = update_location.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(location.version, expected_version, 'location', location_id);
    location := jsonb_populate_record(location, changes);
    IF changes ? 'time_zone' THEN -- the server reads the files of all zones for that
        PERFORM @extschema@._check_time_zone(location.time_zone);
    END IF;
    UPDATE @extschema@.locations AS l
        SET name = location.name, address = location.address, city = location.city, state = location.state,
            zip_code = location.zip_code, country = location.country, time_zone = location.time_zone,
            latitude = location.latitude, longitude = location.longitude, phone = location.phone,
            email = location.email, max_concurrent_bookings = location.max_concurrent_bookings, version = l.version + 1
        WHERE l.id = update_location.location_id
        RETURNING * INTO location;
    RETURN location;
END
$$;
CREATE FUNCTION @extschema@.set_location_active(location_id uuid, active boolean, force boolean DEFAULT false,
    expected_version integer DEFAULT NULL, OUT id uuid, OUT is_active boolean, OUT version integer,
    OUT cancelled integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    live uuid[];
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    SELECT l.version INTO version
    FROM @extschema@.locations AS l WHERE l.id = set_location_active.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(version, expected_version, 'location', location_id);
    cancelled := 0;
    IF NOT active THEN
        PERFORM @extschema@._fence('location', ARRAY[location_id]);
        SELECT array_agg(b.id) INTO live FROM (
            SELECT b.id FROM @extschema@.bookings AS b
                WHERE b.location_id = set_location_active.location_id AND b.status IN ('pending', 'confirmed')
                    AND b.end_at > now() AND b.start_at > @extschema@._first_start(tstzrange(now(), NULL))
                ORDER BY b.id FOR UPDATE) AS b;
        IF live IS NOT NULL AND NOT force THEN
            PERFORM usher.raise_error('location_in_use', 'location has bookings that are still to come',
                jsonb_build_object('location_id', location_id, 'bookings', cardinality(live)),
                'Pass force => true to cancel them.');
        ELSIF live IS NOT NULL THEN
            UPDATE @extschema@.bookings AS b SET status = 'cancelled', cancellation_reason = 'location_closed',
                    refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor END
                WHERE b.id = ANY (live);
            cancelled := cardinality(live);
        END IF;
    END IF;
    UPDATE @extschema@.locations AS l SET is_active = active, version = l.version + 1
        WHERE l.id = set_location_active.location_id
        RETURNING l.id, l.is_active, l.version INTO id, is_active, version;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer) IS
    'Opens or closes a location. Refused with UB009 while bookings are to come, unless forced: then they are '
    'cancelled. Publishes location.deactivated or location.restored. Needs location:manage.';
CREATE FUNCTION @extschema@.list_locations(after uuid DEFAULT NULL, max_rows integer DEFAULT 100,
                                           include_deleted boolean DEFAULT false)
    RETURNS TABLE (id uuid, name text, address text, city text, state text, zip_code text,
                   country text, time_zone text, latitude numeric, longitude numeric, phone text, email text,
                   max_concurrent_bookings integer, hours jsonb, service_ids uuid[], deleted_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF include_deleted THEN
        PERFORM @extschema@._require('location:manage');
    END IF;
    RETURN QUERY SELECT l.id, l.name, l.address, l.city, l.state,
            l.zip_code, l.country, l.time_zone, l.latitude, l.longitude, l.phone, l.email, l.max_concurrent_bookings,
            coalesce((SELECT jsonb_agg(jsonb_build_object('weekday', h.weekday, 'opens', h.opens, 'closes', h.closes)
                    ORDER BY h.weekday, h.opens)
                FROM @extschema@.location_hours AS h
                WHERE h.location_id = l.id AND h.valid @> (now() AT TIME ZONE l.time_zone)::date), '[]'),
            ARRAY(SELECT ls.service_id FROM @extschema@.location_services AS ls
                JOIN @extschema@.services AS s ON s.id = ls.service_id AND s.is_active
                WHERE ls.location_id = l.id ORDER BY 1),
            l.deleted_at
        FROM @extschema@.locations AS l
        WHERE (l.is_active OR include_deleted) AND (list_locations.after IS NULL OR l.id > list_locations.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_locations(uuid, integer, boolean) IS
    'Active locations with the weekly hours that hold today and the services they offer; the next page starts after '
    'the last id. With include_deleted also those that are closed for good or for now, which needs location:manage.';
CREATE OR REPLACE FUNCTION @extschema@._advance(action text, booking_id uuid, to_status text, notes text,
                                     expected_version integer, idempotency_key text)
    RETURNS @extschema@.booking_status
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    answer jsonb;
    outcome @extschema@.booking_status;
    violated text;
BEGIN
    IF booking_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id is needed',
                                  jsonb_build_object('argument', 'booking_id'));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', action, 'booking_id', booking_id, 'notes', notes));
    IF answer IS NOT NULL THEN
        outcome := jsonb_populate_record(NULL::@extschema@.booking_status, answer);
        outcome.replayed := true;
        RETURN outcome;
    END IF;
    IF to_status = 'confirmed' THEN
        PERFORM @extschema@._lock_before_moving(ARRAY[booking_id], NULL);
        PERFORM @extschema@._lock_with_guards(booking_id);
    END IF;
    booking := @extschema@._lock_booking(booking_id, expected_version);
    PERFORM @extschema@._check_not_yet(booking, to_status);
    IF to_status = 'confirmed' THEN
        PERFORM @extschema@._check_hold(booking);
    END IF;
    BEGIN
        UPDATE @extschema@.bookings AS b SET status = to_status, status_notes = coalesce(notes, b.status_notes)
            WHERE b.id = _advance.booking_id
            RETURNING b.id, b.status, b.version, false INTO outcome;
    EXCEPTION
        WHEN unique_violation THEN
            GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
            IF violated <> 'bookings_staff_in_progress_idx' THEN
                RAISE;
            END IF;
            PERFORM usher.raise_error('staff_not_eligible', 'staff member has another booking in progress',
                jsonb_build_object('rule', 'one_in_progress', 'staff_id', booking.staff_id));
    END;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(outcome));
    END IF;
    RETURN outcome;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.cancel_booking(booking_id uuid, reason_code text DEFAULT NULL,
        notes text DEFAULT NULL,
    expected_version integer DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS @extschema@.booking_cancellation
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    booking @extschema@.bookings;
    outcome @extschema@.booking_cancellation;
    answer jsonb;
    late boolean;
    own boolean;
    reason text := reason_code;
    share smallint;
BEGIN
    IF booking_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'booking_id is needed',
                                  jsonb_build_object('argument', 'booking_id'));
    ELSIF reason_code IS NOT NULL
          AND reason_code NOT IN ('customer_request', 'rejected', 'no_show', 'staff_unavailable',
        'location_closed', 'weather', 'entered_in_error', 'other') THEN
        PERFORM usher.raise_error('invalid_argument', format('"%s" is not a reason to cancel', left(reason_code, 63)),
            jsonb_build_object('argument', 'reason_code',
                               'allowed', jsonb_build_array('customer_request', 'rejected', 'no_show',
                'staff_unavailable', 'location_closed', 'weather', 'entered_in_error', 'other')));
    END IF;
    answer := usher.replay_call('usher_booking', idempotency_key,
                                  jsonb_build_object('function', 'cancel_booking', 'booking_id', booking_id,
        'reason_code', reason_code, 'notes', notes));
    IF answer IS NOT NULL THEN
        outcome := jsonb_populate_record(NULL::@extschema@.booking_cancellation, answer);
        outcome.replayed := true;
        RETURN outcome;
    END IF;
    booking := @extschema@._lock_booking(booking_id, expected_version);
    PERFORM @extschema@._check_not_yet(booking, 'cancelled');
    own := @extschema@._is_customer(to_jsonb(booking), 'booking:cancel');
    late := @extschema@._is_too_late(to_jsonb(booking));
    IF own AND late AND booking.status = 'confirmed' AND NOT @extschema@._manages(to_jsonb(booking)) THEN
        PERFORM usher.raise_error('too_late_to_cancel', 'it is too late to cancel this booking',
            jsonb_build_object('booking_id', booking_id, 'start_at', booking.start_at));
    END IF;
    IF reason IS NULL AND own THEN
        reason := 'customer_request';
    END IF;
    share := CASE WHEN reason = 'no_show' OR (own AND late) THEN 0
                  WHEN reason IN ('customer_request', 'other') THEN @extschema@._refund_share(booking) ELSE 100 END;
    UPDATE @extschema@.bookings AS b
        SET status = 'cancelled', cancellation_reason = reason, status_notes = coalesce(notes, b.status_notes),
            refund_percent = share,
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 -- half up
                                    ELSE (b.price_minor::numeric * share * 2 + 100)::bigint / 200 END
        WHERE b.id = cancel_booking.booking_id
        RETURNING b.id, b.status, b.refund_due_minor, b.currency, b.version, false INTO outcome;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(outcome));
    END IF;
    RETURN outcome;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@._cancel_bookings_of(user_id uuid, reason_code text, OUT cancelled integer,
                                                OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own CONSTANT uuid[] := @extschema@._customers_who_are(_cancel_bookings_of.user_id);
    left_over record;
BEGIN
    PERFORM @extschema@._fence('customer', ARRAY(SELECT unnest(own) UNION SELECT _cancel_bookings_of.user_id));
    UPDATE @extschema@.bookings AS b
        SET status = 'cancelled', cancellation_reason = _cancel_bookings_of.reason_code,
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor END
        WHERE b.id IN (SELECT x.id FROM @extschema@.bookings AS x
            WHERE x.customer_id = ANY (own) AND x.status IN ('pending', 'confirmed') AND x.end_at > now()
            ORDER BY x.id FOR UPDATE);
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    orphaned := 0;
    FOR left_over IN SELECT b.id, b.location_id, b.staff_id, c.user_id AS account
        FROM @extschema@.bookings AS b JOIN @extschema@.customers AS c ON c.id = b.customer_id
        WHERE b.customer_id = ANY (own) AND b.status = 'in_progress' ORDER BY b.id
    LOOP
        PERFORM usher.publish('booking.orphaned',
                              jsonb_build_object('booking_id', left_over.id, 'customer_user_id', left_over.account,
            'location_id', left_over.location_id, 'staff_id', left_over.staff_id), left_over.id::text);
        orphaned := orphaned + 1;
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION @extschema@.cancel_user_bookings(user_id uuid, reason_code text DEFAULT 'user_deleted',
    OUT cancelled integer, OUT orphaned integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF user_id IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'user_id is needed', jsonb_build_object('argument', 'user_id'));
    END IF;
    PERFORM usher.require_permission('user:manage', user_id);
    SELECT c.cancelled, c.orphaned INTO cancelled, orphaned
    FROM @extschema@._cancel_bookings_of(user_id, reason_code) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@._on_payment(text, jsonb) IS
    'Handler of payment.completed: marks the booking as paid and confirms it, or publishes booking.refund_proposed '
    'when it is too late. Payload: reference_type booking, reference_id, transaction_id, captured_minor, '
    'refunded_minor, currency, payment_method; the totals of several payments in '
    'reference_captured_minor and reference_refunded_minor.';
CREATE OR REPLACE FUNCTION @extschema@._booking_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_holds_expired', 'SELECT @extschema@._expire_holds($1)', max_rows) AS u;
    RETURN QUERY SELECT u.task, u.affected
        FROM usher.upkeep_step('booking_guards_removed', 'SELECT @extschema@._forget_old_guards($1)', max_rows) AS u;
END
$$;
CREATE FUNCTION @extschema@._booking_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_bookings_to_come', jsonb_build_object('status', s.status),
        usher.count_or_estimate(format('SELECT FROM @extschema@.bookings AS b WHERE b.status = %L '
                                       'AND b.start_at > now()', s.status))::double precision
    FROM unnest('{pending,confirmed}'::text[]) AS s (status);
    RETURN QUERY
    SELECT 'usher_booking_holds_run_out', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.bookings AS b
            WHERE b.status = 'pending' AND b.hold_expires_at <= now()$sql$)::double precision;
END
$$;
COMMENT ON FUNCTION @extschema@._booking_metrics() IS 'The part of usher_booking in usher.metrics().';
CREATE FUNCTION @extschema@._error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_error_codes';
COMMENT ON FUNCTION @extschema@._error_codes() IS
    'The error codes of usher_booking (extension/usher_booking/booking_errors.hpp).';
SELECT usher.register_extension('Services, locations, hours, staff, customers, and bookings that cannot overlap',
    error_class => 'UB',
    error_codes => @extschema@._error_codes(),
    hooks => '{
        "upkeep": "_booking_upkeep", "self_check": "_booking_self_check", "configuration": "_booking_configuration",
        "metrics": "_booking_metrics", "export": "_export_customer", "erase": "_erase_customer",
        "profiles": "_profiles_of"}',
    -- what may go wrong here is counted by self_check, or is the business of the worker
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "appointments": {"user": ["created_by", "practitioner_id"], "personal": ["notes"],
            "impersonal": ["cancellation_reason", "status"]},
        "booking_claims": {"user": ["resource_id"], "impersonal": ["holder_id", "resource_kind"]},
        "bookings": {"user": ["created_by", "customer_user_id", "staff_id"], "personal": ["special_instructions",
            "status_notes", "vehicle_info"],
            "impersonal": ["cancellation_reason", "currency", "payment_method", "payment_transaction", "series_id",
            "service_name", "status"]},
        "customers": {"subject": ["user_id"], "user": ["created_by"], "personal": ["attributes", "email", "name",
            "phone"]},
        "location_exceptions": {"impersonal": ["*"]},
        "location_staff": {"user": ["staff_id"], "impersonal": ["hours_version", "role"]},
        "locations": {"impersonal": ["*"]},
        "resource_guards": {"impersonal": ["*"]},
        "services": {"impersonal": ["*"]},
        "staff_hours": {"user": ["staff_id"]},
        "staff_skills": {"user": ["staff_id"]},
        "staff_time_off": {"user": ["created_by", "staff_id"], "personal": ["reason"]}
    }$json$,
    role_presets => $json$
    {
        "carwash": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["booking:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "washer": {"description": "Service execution, task management", "manages": [], "permissions": [
                    "booking:read", "booking:start", "booking:complete"]},
                "client": {"is_default": true, "description": "Service consumption, booking management",
                    "manages": [], "permissions": ["booking:create"]}
            }
        },
        "clinic": {
            "permissions": {"booking:create": "Book", "booking:read": "See all bookings",
                "booking:confirm": "Confirm bookings", "booking:start": "Start bookings",
                "booking:complete": "Complete bookings", "booking:cancel": "Cancel bookings of others",
                "booking:reschedule": "Move bookings of others",
                "booking:overbook": "Book beyond the capacity of a location",
                "booking:manage": "Change bookings in any way", "service:manage": "Change the services on offer",
                "location:manage": "Change locations and opening hours",
                "location:manage_any": "Do the same, and all about bookings, at every location",
                "staff:manage": "Change staff and their hours", "appointment:create": "Make appointments",
                "appointment:read": "See all appointments", "appointment:manage": "Change appointments",
                "customer:read": "See customers", "customer:manage": "Change customers"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["appointment:*", "booking:*", "customer:*", "service:manage",
                    "location:manage", "staff:manage", "user:read", "user:manage", "audit:read"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "appointment:create", "appointment:read", "appointment:manage", "customer:read",
                    "booking:create", "booking:read", "booking:confirm", "booking:start", "booking:complete",
                    "booking:reschedule"]},
                "customer": {"is_default": true, "description": "Makes own appointments", "manages": [],
                    "permissions": ["appointment:create", "booking:create"]}
            }
        }
    }$json$,
    publishes => '{booking.created,booking.confirmed,booking.started,booking.completed,booking.cancelled,
        booking.rescheduled,booking.needs_staff,booking.orphaned,booking.refund_proposed,booking.customer_gone,
        appointment.scheduled,
        appointment.arrived,appointment.started,appointment.completed,appointment.cancelled,appointment.no_show,
        appointment.rescheduled,
        service.deactivated,service.restored,location.deactivated,location.restored,location_staff.deactivated,
        location_staff.restored,customer.deactivated,customer.restored}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'list_services list_locations find_slots create_booking confirm_booking start_booking complete_booking
          cancel_booking
          reschedule_booking get_booking get_bookings list_bookings get_booking_history upsert_customer explain_slot
          create_booking_series reassign_booking swap_bookings export_booking_ical schedule_appointment
          transition_appointment
          list_appointments list_customers'),
        ('function', '{application,gateway,admin}',
         'create_service update_service set_service_active create_location update_location set_location_active
          set_customer_active
          set_location_hours
          import_location_hours set_location_exception set_location_services assign_staff unassign_staff
          set_staff_skills
          set_staff_hours add_staff_time_off remove_staff_time_off list_staff list_bookings_outside_hours
          cancel_user_bookings expire_holds'),
            -- For the row-level security policies: they tell only what is the caller's own.
        ('function', '{application,gateway,admin}',
         '_own_customers _served_customers _managed_locations _handled_locations _reads_all'),

        ('table', '{application,gateway,readonly,auditor,admin}',
         'services locations location_hours location_exceptions location_services location_staff staff_skills
          active_services active_locations active_location_staff'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'customers active_customers bookings appointments'),
        ('table', '{admin}', 'staff_hours staff_time_off')) AS v (kind, levels, names)) AS a));
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'loyalty.discount_granted';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'loyalty.offer_released';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'loyalty.redeeming';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'payment.partially_refunded';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'payment.refunded';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'refund.cancelled';
DELETE FROM usher.subscriptions AS r WHERE r.extension = 'usher_booking'
    AND r.consumer = 'usher_booking'
    AND r.event = 'refund.failed';
ALTER EXTENSION usher_booking DROP TABLE @extschema@.booking_reminders;
DROP TABLE @extschema@.booking_reminders;
ALTER EXTENSION usher_booking DROP TABLE @extschema@.booking_discounts;
DROP TABLE @extschema@.booking_discounts;
ALTER TABLE @extschema@.bookings DROP COLUMN discount_minor, DROP COLUMN paid_minor;
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));

SELECT usher.finish_extension();

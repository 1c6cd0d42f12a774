\echo Use "ALTER EXTENSION usher_booking UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_booking') AS x ON x.object = d.object
WHERE d.extension = 'usher_booking'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

-- Events of bookings carry the name of the service, for the text of a message. The triggers of the status are made
-- again, for which the table of bookings is locked until the transaction ends.
-- A booking keeps what offers take off its price and what payments for it have come to. Both begin at 0: one that is
-- paid already counts as paid in full until a payment says more. The check reads the table once.
ALTER TABLE @extschema@.bookings
    ADD COLUMN discount_minor bigint NOT NULL DEFAULT 0 CHECK (discount_minor BETWEEN 0 AND price_minor),
    ADD COLUMN paid_minor bigint NOT NULL DEFAULT 0;

DROP FUNCTION @extschema@._booking_metrics();
DROP FUNCTION @extschema@._error_codes();
DROP FUNCTION @extschema@.list_locations(uuid, integer, boolean);
DROP FUNCTION @extschema@.list_services(uuid, uuid, integer, boolean);
DROP FUNCTION @extschema@.set_customer_active(uuid, boolean, integer);
DROP FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer);
DROP FUNCTION @extschema@.set_service_active(uuid, boolean, integer);

COMMENT ON COLUMN @extschema@.bookings.discount_minor IS
    'What offers take off the price (booking_discounts): what is left is to be paid.';
COMMENT ON COLUMN @extschema@.bookings.paid_minor IS
    'What payments for it have come to, less what goes back. Set by the handler of payments only.';
CREATE TABLE @extschema@.booking_discounts (
    booking_id uuid NOT NULL REFERENCES @extschema@.bookings ON DELETE CASCADE,
    source text NOT NULL CHECK (source <> '' AND length(source) <= 100),
    discount_minor bigint NOT NULL CHECK (discount_minor > 0),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (booking_id, source)
);
CREATE INDEX booking_discounts_source_idx ON @extschema@.booking_discounts (source);
COMMENT ON TABLE @extschema@.booking_discounts IS
    'What loyalty.discount_granted has granted to bookings: bookings.discount_minor is the sum, as far as something '
    'is to be paid.';
COMMENT ON COLUMN @extschema@.booking_discounts.source IS
    'Which redemption it is of: granted twice, it is given once.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.booking_discounts', '');
CREATE TABLE @extschema@.booking_reminders (
    booking_id uuid PRIMARY KEY,
    start_at timestamptz NOT NULL,
    reminded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX booking_reminders_start_at_idx ON @extschema@.booking_reminders (start_at);
COMMENT ON TABLE @extschema@.booking_reminders IS
    'Which bookings booking.reminder was published for, and for which start: one that is moved has another reminder.';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.booking_reminders', '');
COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'For tests: the instant of a wall time, first or last of a repeated one, the end of the gap for one that never '
    'was. AT TIME ZONE picks the last of two, RFC 5545 the first.';
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'For tests: the opening periods of a location that touch the window, as instants; exceptions replace the weekly '
    'hours of their date.';
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'For tests: whether a slot begins then. Grids start with each opening period; NULL when the location is closed '
    'then.';
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
    PERFORM @extschema@._check_location(location_id);
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
    'break: after a change of hours or of the time zone. The next page starts after the last booking_id. US005 for '
    'an unknown location. Needs booking:manage there.';
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
CREATE OR REPLACE FUNCTION @extschema@._require_staff(location_id uuid, staff_id uuid) RETURNS void
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
    -- Whoever may everywhere is told of somebody who works nowhere that there is nobody, not that they may not.
    RETURN @extschema@._may('staff:manage', usher.uuid_v7()) OR EXISTS (SELECT FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = _may_manage_staff.staff_id AND @extschema@._may('staff:manage', ls.location_id));
END
$$;
COMMENT ON FUNCTION @extschema@._may_manage_staff(uuid) IS
    'Whether the actor has staff:manage everywhere, or at a location of the staff member.';
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
    own uuid[];
    batch uuid[];
    batch_size integer := 1000;
    looked_at integer := 0;
    met uuid[] := '{}';
BEGIN
    IF NOT sees_all AND cardinality(handled) = 0 THEN
        own := @extschema@._customers_after(after, 2147483647, sees_all, own_id, managed, handled);
    END IF;
    -- Few, rather few, or many? What few people meet is found at once.
    FOREACH few IN ARRAY ARRAY[500, most] LOOP
        IF few = most OR NOT is_common THEN
            accounts := ARRAY(SELECT a FROM usher.search_users(search, few + 1) AS a);
            named := ARRAY(SELECT c.id FROM @extschema@.customers AS c
                           WHERE usher.name_words(c.name) @@ query LIMIT few + 1);
            EXIT WHEN greatest(cardinality(accounts), cardinality(named)) <= few;
        END IF;
        LOOP
            batch := CASE WHEN own IS NOT NULL THEN own[looked_at + 1:looked_at + batch_size]
                          ELSE @extschema@._customers_after(coalesce(batch[cardinality(batch)], after), batch_size,
                                                            sees_all, own_id, managed, handled) END;
            looked_at := looked_at + cardinality(batch);
            met := met || @extschema@._matching_among(batch, search, query, word);
            IF cardinality(batch) < batch_size OR cardinality(met) >= max_rows THEN
                RETURN met[1:max_rows];
            END IF;
            -- As many as the page needs, if they go on as they began. Where these would be many, it may be soon known
            -- who has the name; but whom somebody has served or made themselves are fewer than have a common one.
            batch_size := least(64000, greatest(500, (max_rows - cardinality(met)) * (looked_at::bigint * 5 / 4)
                                                     / greatest(cardinality(met), 1)))::integer;
            EXIT WHEN few < most AND batch_size > 4000 AND (own IS NULL OR NOT is_common);
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
    IF own IS NOT NULL THEN
        met := ARRAY(SELECT unnest(met) INTERSECT SELECT unnest(own));
    ELSIF NOT sees_all THEN
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
    missing name;
    broken name;
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
                                  jsonb_build_object('customer_id', profile));
    END IF;
    RETURN customer;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
CREATE FUNCTION @extschema@.set_customer_active(customer_id uuid, is_active boolean,
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
    IF is_active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'is_active must not be null',
                                  jsonb_build_object('argument', 'is_active'));
    END IF;
    -- Waits for bookings that are being made, which hold the row.
    SELECT * INTO customer FROM @extschema@.customers AS c WHERE c.id = set_customer_active.customer_id FOR UPDATE;
    PERFORM @extschema@._check_version(customer.version, expected_version, 'customer', customer_id);
    IF is_active AND customer.user_id IS NOT NULL THEN
        PERFORM usher.lock_user_reference(customer.user_id); -- a profile is not more alive than its account
    ELSIF is_active AND customer.name = @extschema@._erased_name() THEN
        PERFORM usher.raise_error('unknown_reference', 'customer has been erased',
                                  jsonb_build_object('id', customer_id));
    END IF;
    IF is_active <> customer.is_active THEN
        UPDATE @extschema@.customers AS c SET is_active = set_customer_active.is_active, version = c.version + 1
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
                    refund_due_minor = CASE WHEN b.paid_at IS NULL OR reason = 'no_show' THEN 0
                                            ELSE b.price_minor - b.discount_minor END
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
    known @extschema@.appointments;
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
        SELECT * INTO known FROM @extschema@.appointments AS a
        WHERE a.id = (answer ->> 'appointment_id')::uuid AND a.booking_id = schedule_appointment.booking_id;
        IF NOT @extschema@._sees_appointment(known) THEN
            PERFORM usher.raise_error('unknown_reference', 'appointment does not exist',
                                      jsonb_build_object('booking_id', booking_id));
        END IF;
        SELECT * INTO details FROM @extschema@._describe_appointments(ARRAY[known.id]);
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
            jsonb_build_object('argument', 'changes', 'member', unknown, 'allowed', to_jsonb(allowed)));
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
                                  jsonb_build_object(what || '_id', id));
    ELSIF expected IS NOT NULL AND expected <> actual THEN
        PERFORM usher.raise_error('stale_version', format('%s was changed by somebody else', what),
            jsonb_build_object('id', id, 'expected_version', expected, 'version', actual));
    END IF;
END
$$;
CREATE FUNCTION @extschema@._require_service_price(price_minor bigint, currency text) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_require_price';
COMMENT ON FUNCTION @extschema@._require_service_price(bigint, text) IS
    'Raises 22023 for what is no price: bookings at it could never be paid.';
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
    missing name;
    broken name;
BEGIN
    PERFORM @extschema@._require('service:manage');
    PERFORM @extschema@._check_notice(min_notice, horizon);
    PERFORM @extschema@._require_service_price(create_service.price_minor, create_service.currency);
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
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_service(text, interval, bigint, text, text, interval, interval, interval,
                                               interval, interval, interval, interval, boolean, boolean, boolean,
                                               jsonb, uuid, interval, boolean, boolean, boolean, integer, text, bigint,
                                               text, interval, integer, boolean) IS
    'Creates a service and returns it. Prices are in minor units of the currency (ISO 4217). What costs nothing wants '
    'nothing in advance, whatever prepayment says. Whoever reads about customers of one that is_sensitive is logged. '
    'Needs service:manage.';
CREATE OR REPLACE FUNCTION @extschema@.update_service(service_id uuid, changes jsonb,
        expected_version integer DEFAULT NULL)
    RETURNS @extschema@.services
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    service @extschema@.services;
    missing name;
    broken name;
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
    IF changes ?| '{price_minor,currency}' THEN -- one of before may have what was accepted then
        PERFORM @extschema@._require_service_price(service.price_minor, service.currency);
    END IF;
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
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
CREATE FUNCTION @extschema@.set_service_active(service_id uuid, is_active boolean,
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
    IF set_service_active.is_active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'is_active must not be null', '{"argument": "is_active"}');
    END IF;
    SELECT * INTO service FROM @extschema@.services AS s WHERE s.id = set_service_active.service_id FOR UPDATE;
    PERFORM @extschema@._check_version(service.version, expected_version, 'service', service_id);
    UPDATE @extschema@.services AS s SET is_active = set_service_active.is_active, version = s.version + 1
        WHERE s.id = set_service_active.service_id RETURNING * INTO service;
    RETURN service;
END
$$;
COMMENT ON FUNCTION @extschema@.set_service_active(uuid, boolean, integer) IS
    'Offers a service or stops offering it; bookings that exist are kept. Publishes service.deactivated or '
    'service.restored. Needs service:manage.';
CREATE FUNCTION @extschema@.list_services(location_id uuid DEFAULT NULL, after uuid DEFAULT NULL,
                                          max_rows integer DEFAULT 100, include_inactive boolean DEFAULT false)
    RETURNS TABLE (id uuid, name text, description text, duration interval, duration_minutes integer,
                   price_minor bigint, currency text, attributes jsonb, deleted_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF include_inactive THEN
        PERFORM @extschema@._require('service:manage');
    END IF;
    RETURN QUERY
        SELECT s.id, s.name, s.description, s.duration, s.duration_minutes, s.price_minor, s.currency, s.attributes,
            s.deleted_at
        FROM @extschema@.services AS s
        WHERE (s.is_active OR include_inactive) AND (list_services.after IS NULL OR s.id > list_services.after)
            AND (list_services.location_id IS NULL OR EXISTS (SELECT FROM @extschema@.location_services AS ls
                WHERE ls.service_id = s.id AND ls.location_id = list_services.location_id))
        ORDER BY s.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_services(uuid, uuid, integer, boolean) IS
    'Active services, of one location if given; the next page starts after the last id. With include_inactive also '
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
    missing name;
    broken name;
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
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
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
    missing name;
    broken name;
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
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken, 'changes');
    RAISE;
END
$$;
CREATE FUNCTION @extschema@.set_location_active(location_id uuid, INOUT is_active boolean, force boolean DEFAULT false,
    expected_version integer DEFAULT NULL, OUT id uuid, OUT version integer, OUT cancelled integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    live uuid[];
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    IF set_location_active.is_active IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'is_active must not be null', '{"argument": "is_active"}');
    END IF;
    SELECT l.version INTO version
    FROM @extschema@.locations AS l WHERE l.id = set_location_active.location_id FOR UPDATE;
    PERFORM @extschema@._check_version(version, expected_version, 'location', location_id);
    cancelled := 0;
    IF NOT is_active THEN
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
                    refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor - b.discount_minor END
                WHERE b.id = ANY (live);
            cancelled := cardinality(live);
        END IF;
    END IF;
    UPDATE @extschema@.locations AS l SET is_active = set_location_active.is_active, version = l.version + 1
        WHERE l.id = set_location_active.location_id
        RETURNING l.id, l.is_active, l.version INTO id, is_active, version;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_active(uuid, boolean, boolean, integer) IS
    'Opens or closes a location. Refused with UB009 while bookings are to come, unless forced: then they are '
    'cancelled. Publishes location.deactivated or location.restored. Needs location:manage.';
CREATE FUNCTION @extschema@.list_locations(after uuid DEFAULT NULL, max_rows integer DEFAULT 100,
                                           include_inactive boolean DEFAULT false)
    RETURNS TABLE (id uuid, name text, address text, city text, state text, zip_code text,
                   country text, time_zone text, latitude numeric, longitude numeric, phone text, email text,
                   max_concurrent_bookings integer, hours jsonb, service_ids uuid[], deleted_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF include_inactive THEN
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
        WHERE (l.is_active OR include_inactive) AND (list_locations.after IS NULL OR l.id > list_locations.after)
        ORDER BY l.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_locations(uuid, integer, boolean) IS
    'Active locations with the weekly hours that hold today and the services they offer; the next page starts after '
    'the last id. With include_inactive also those that are closed for good or for now, which needs location:manage.';
CREATE FUNCTION @extschema@._location_of(location_id uuid) RETURNS TABLE (name text, time_zone text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT l.name, l.time_zone FROM @extschema@.locations AS l WHERE l.id = _location_of.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@._location_of(uuid) IS
    'What messages call a location, and the time zone in which they tell the times of what takes place there.';
CREATE FUNCTION @extschema@._check_location(location_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.locations AS l WHERE l.id = _check_location.location_id) THEN
        PERFORM usher.raise_error('unknown_reference', 'location does not exist',
                                  jsonb_build_object('location_id', _check_location.location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_location(uuid) IS 'Raises US005 when there is no such location.';
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
        PERFORM usher.raise_error('invalid_argument', 'booking_id must not be null',
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
        PERFORM usher.raise_error('invalid_argument', 'booking_id must not be null',
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
                                    ELSE ((b.price_minor - b.discount_minor)::numeric * share * 2 + 100)::bigint
                                         / 200 END
        WHERE b.id = cancel_booking.booking_id
        RETURNING b.id, b.status, b.refund_due_minor, b.currency, b.version, false INTO outcome;
    IF idempotency_key IS NOT NULL THEN
        PERFORM usher.remember_call('usher_booking', idempotency_key, to_jsonb(outcome));
    END IF;
    RETURN outcome;
END
$$;
CREATE FUNCTION @extschema@._booked_purchase(reference_id uuid)
    RETURNS TABLE (reference_type text, customer_id uuid, user_id uuid, amount_minor bigint, currency text,
                   location_id uuid, service_id uuid, lines jsonb, takes_place_at timestamptz, is_open boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'booking', b.customer_id, b.customer_user_id, b.price_minor, b.currency, b.location_id, b.service_id,
           '[]'::jsonb, b.start_at, b.status IN ('pending', 'confirmed', 'in_progress')
    FROM @extschema@.bookings AS b WHERE b.id = _booked_purchase.reference_id;
END
$$;
COMMENT ON FUNCTION @extschema@._booked_purchase(uuid) IS
    'The part of usher_booking in usher.purchase_of(): what a booking costs before discounts, and when it is for. One '
    'that is over or cancelled takes none any more.';
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
            refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor - b.discount_minor END
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
        PERFORM usher.raise_error('invalid_argument', 'user_id must not be null', '{"argument": "user_id"}');
    END IF;
    PERFORM usher.require_permission('user:manage', user_id);
    SELECT c.cancelled, c.orphaned INTO cancelled, orphaned
    FROM @extschema@._cancel_bookings_of(user_id, reason_code) AS c;
END
$$;
COMMENT ON FUNCTION @extschema@._on_payment(text, jsonb) IS
    'Handler of payment.completed: marks the booking as paid and confirms it, and publishes booking.refund_proposed '
    'for what is too much or comes too late. Payload: reference_type booking, reference_id, transaction_id, '
    'captured_minor, refunded_minor, currency, payment_method; the totals of several payments in '
    'reference_captured_minor and reference_refunded_minor. And of payment.refunded, payment.partially_refunded, '
    'refund.failed and refund.cancelled: a booking of which all went back is not paid any more.';
CREATE FUNCTION @extschema@._apply_discounts(booking_id uuid) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_booking_apply_discounts';
COMMENT ON FUNCTION @extschema@._apply_discounts(uuid) IS
    'Takes what booking_discounts grants off a booking that is locked, never more than is still to be paid, and '
    'publishes booking.total_changed when that is another sum. Confirms what is covered by then.';
CREATE FUNCTION @extschema@._on_booking_discount(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known @extschema@.bookings;
    -- Of publishers that do not say which redemption it is, two events that say the same are one.
    granted_by CONSTANT text := coalesce(payload ->> 'redemption_id', md5(payload::text));
BEGIN
    IF payload ->> 'reference_type' IS DISTINCT FROM 'booking' THEN
        RETURN;
    END IF;
    PERFORM @extschema@._on_settling(event, payload);
    SELECT * INTO known FROM @extschema@.bookings AS b WHERE b.id = usher.uuid_or_null(payload ->> 'reference_id');
    IF known.id IS NULL OR EXISTS (SELECT FROM @extschema@.booking_discounts AS d
                                   WHERE d.booking_id = known.id AND d.source = granted_by) THEN
        RETURN; -- of other bookings, or known
    ELSIF known.status = 'cancelled' OR known.paid_at IS NOT NULL THEN
        -- Whoever uses up an offer for nothing has to hear of it: all of it is rolled back.
        PERFORM usher.raise_error('illegal_transition',
            CASE WHEN known.status = 'cancelled' THEN 'booking is cancelled and takes no more discounts'
                 ELSE 'booking is paid and takes no more discounts' END,
            jsonb_build_object('booking_id', known.id, 'status', known.status));
    ELSIF payload ->> 'currency' IS DISTINCT FROM known.currency THEN
        PERFORM usher.raise_error('invalid_argument', 'a discount is in the currency of its booking',
            jsonb_build_object('argument', 'currency', 'booking_id', known.id, 'currency', known.currency));
    ELSIF (payload ->> 'discount_minor')::bigint > 0 THEN
        INSERT INTO @extschema@.booking_discounts (booking_id, source, discount_minor)
        VALUES (known.id, granted_by, (payload ->> 'discount_minor')::bigint);
        PERFORM @extschema@._apply_discounts(known.id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_discount(text, jsonb) IS
    'Handler of loyalty.discount_granted: what offers take off a booking. The same redemption counts once. US001 when '
    'it is paid already, or cancelled.';
CREATE FUNCTION @extschema@._on_booking_offer_released(event text, payload jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given uuid;
BEGIN
    FOR given IN SELECT d.booking_id FROM @extschema@.booking_discounts AS d
        WHERE d.source = payload ->> 'redemption_id' ORDER BY d.booking_id
    LOOP
        PERFORM @extschema@._on_settling(event, jsonb_build_object('reference_type', 'booking',
                                                                   'reference_id', given));
        IF EXISTS (SELECT FROM @extschema@.bookings AS b WHERE b.id = given AND b.paid_at IS NULL
                       AND b.status IN ('pending', 'confirmed')) THEN
            DELETE FROM @extschema@.booking_discounts AS d
            WHERE d.booking_id = given AND d.source = payload ->> 'redemption_id';
            PERFORM @extschema@._apply_discounts(given);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._on_booking_offer_released(text, jsonb) IS
    'Handler of loyalty.offer_released: a booking that is not paid and not begun loses the discount; others keep what '
    'was agreed.';
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
CREATE OR REPLACE FUNCTION @extschema@._booking_upkeep(max_rows integer) RETURNS TABLE (task text, affected bigint)
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
CREATE FUNCTION @extschema@._booking_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_error_codes';
COMMENT ON FUNCTION @extschema@._booking_error_codes() IS
    'The error codes of usher_booking (extension/usher_booking/booking_errors.hpp).';
SELECT usher.register_extension('Services, locations, hours, staff, customers, and bookings that cannot overlap',
    error_class => 'UB',
    error_codes => @extschema@._booking_error_codes(),
    hooks => '{
        "upkeep": "_booking_upkeep", "self_check": "_booking_self_check", "configuration": "_booking_configuration",
        "metrics": "_booking_metrics", "export": "_export_customer", "erase": "_erase_customer",
        "profiles": "_profiles_of", "contact": "_contact_of", "location": "_location_of",
        "purchase": "_booked_purchase"}',
    -- what may go wrong here is counted by self_check, or is the business of the worker
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "appointments": {"user": ["created_by", "practitioner_id"], "personal": ["notes"],
            "impersonal": ["cancellation_reason", "status"]},
        "booking_discounts": {"impersonal": ["*"]},
        "booking_reminders": {"impersonal": ["*"]},
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
    settings => '[
        {"name": "booking.reminder_notice", "type": "integer", "default_value": "24",
         "description": "Hours before a confirmed booking starts that booking.reminder is published; 0: never."}]',
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
        booking.rescheduled,booking.needs_staff,booking.orphaned,booking.refund_proposed,booking.total_changed,
        booking.customer_gone,booking.reminder,appointment.scheduled,
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
SELECT usher.attach_machine('booking', '@extschema@.bookings'::regclass, 'status', jsonb_build_object(
    'scope_column', 'location_id', 'reason_column', 'cancellation_reason', 'notes_column', 'status_notes',
    'version_column', 'version', 'event_prefix', 'booking',
    'payload_columns',
    jsonb_build_array('customer_id', 'customer_user_id', 'service_id', 'service_name', 'location_id', 'staff_id',
        'status', 'start_at', 'end_at', 'price_minor', 'currency', 'prepay_minor', 'refund_due_minor',
        'refund_percent', 'completed_at', 'cancellation_reason', 'version')));
-- What a loop makes in the install script.
SELECT usher.subscribe(v.event, 'usher_booking', format('@extschema@.%s(text,jsonb)', v.handler)::regprocedure, 'sync')
FROM (VALUES ('payment.refunded', '_on_payment'), ('payment.partially_refunded', '_on_payment'),
    ('refund.failed', '_on_payment'), ('refund.cancelled', '_on_payment'),
    ('loyalty.redeeming', '_on_settling'), ('loyalty.discount_granted', '_on_booking_discount'),
    ('loyalty.offer_released', '_on_booking_offer_released')) AS v (event, handler);

SELECT usher.finish_extension();

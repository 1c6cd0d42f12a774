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
DROP FUNCTION @extschema@._contact_of(uuid);
DROP FUNCTION @extschema@._location_of(uuid);
DROP FUNCTION @extschema@._on_booking_discount(text, jsonb);
DROP FUNCTION @extschema@._on_booking_offer_released(text, jsonb);
DROP FUNCTION @extschema@._remind_of_bookings(integer);
DROP FUNCTION @extschema@._require_service_price(bigint, text);

COMMENT ON FUNCTION @extschema@._local_to_instant(timestamp, text, text) IS
    'The instant of a wall time: first or last of a repeated one, the end of the gap for one that never was. AT '
    'TIME ZONE picks the last of two, RFC 5545 the first.';
COMMENT ON FUNCTION @extschema@._open_periods(uuid, timestamptz, timestamptz) IS
    'The opening periods of a location that touch the window, as instants: exceptions replace the weekly hours of '
    'their date.';
COMMENT ON FUNCTION @extschema@._on_grid(uuid, timestamptz, interval) IS
    'Whether a slot begins then: grids start with each opening period. NULL when the location is closed then.';
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
CREATE OR REPLACE FUNCTION @extschema@.set_location_active(location_id uuid, active boolean,
        force boolean DEFAULT false,
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

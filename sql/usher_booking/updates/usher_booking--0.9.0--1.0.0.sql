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
                    refund_due_minor = CASE WHEN b.paid_at IS NULL THEN 0 ELSE b.price_minor - b.discount_minor END
                WHERE b.id = ANY (live);
            cancelled := cardinality(live);
        END IF;
    END IF;
    UPDATE @extschema@.locations AS l SET is_active = active, version = l.version + 1
        WHERE l.id = set_location_active.location_id
        RETURNING l.id, l.is_active, l.version INTO id, is_active, version;
END
$$;
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

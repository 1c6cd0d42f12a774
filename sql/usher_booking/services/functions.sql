-- Services: what a location can offer.

-- Applies a JSON object of changes to a row, for functions that update some columns of it.
CREATE FUNCTION @extschema@._check_changes(changes jsonb, allowed text[]) RETURNS void
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
COMMENT ON FUNCTION @extschema@._check_changes(jsonb, text[]) IS 'Refuses changes of anything but the allowed keys.';

CREATE FUNCTION @extschema@._check_version(actual integer, expected integer, what text, id uuid) RETURNS void
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
COMMENT ON FUNCTION @extschema@._check_version(integer, integer, text, uuid) IS
    'Raises US005 for a row that does not exist, US003 for a version that has passed.';

CREATE FUNCTION @extschema@._check_notice(min_notice interval, horizon interval) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF min_notice > horizon THEN
        PERFORM usher.raise_error('invalid_argument', 'min_notice must not be above the horizon of the service',
            jsonb_build_object('argument', 'min_notice', 'min_notice', min_notice, 'horizon', horizon));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_notice(interval, interval) IS
    'Raises 22023 for a service that nobody could ever book.';

CREATE FUNCTION @extschema@._require_service_price(price_minor bigint, currency text) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_booking_require_price';
COMMENT ON FUNCTION @extschema@._require_service_price(bigint, text) IS
    'Raises 22023 for what is no price: bookings at it could never be paid.';

CREATE FUNCTION @extschema@.create_service(
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

CREATE FUNCTION @extschema@.update_service(service_id uuid, changes jsonb, expected_version integer DEFAULT NULL)
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
COMMENT ON FUNCTION @extschema@.update_service(uuid, jsonb, integer) IS
    'Changes columns of a service; bookings that exist keep the terms they were made on. Needs service:manage.';

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

CREATE FUNCTION @extschema@.set_location_services(location_id uuid, service_ids uuid[], OUT added integer,
                                                  OUT removed integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    unknown uuid;
BEGIN
    PERFORM @extschema@._require('location:manage', location_id);
    PERFORM @extschema@._lock_location(location_id);
    IF service_ids IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'service_ids must be an array',
                                  jsonb_build_object('argument', 'service_ids'));
    END IF;
    -- held until the end of the transaction: whoever deactivates one waits
    PERFORM FROM @extschema@.services AS s WHERE s.id = ANY (service_ids) ORDER BY s.id FOR SHARE;
    SELECT wanted INTO unknown FROM unnest(service_ids) AS wanted
        WHERE NOT EXISTS (SELECT FROM @extschema@.services AS s WHERE s.id = wanted AND s.is_active)
            AND NOT EXISTS (SELECT FROM @extschema@.location_services AS ls
                WHERE ls.location_id = set_location_services.location_id AND ls.service_id = wanted) LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('unknown_reference', 'service does not exist or is not active',
                                  jsonb_build_object('service_id', unknown));
    END IF;
    DELETE FROM @extschema@.location_services AS ls
        WHERE ls.location_id = set_location_services.location_id AND ls.service_id <> ALL (service_ids);
    GET DIAGNOSTICS removed = ROW_COUNT;
    INSERT INTO @extschema@.location_services (location_id, service_id)
        SELECT set_location_services.location_id, wanted FROM unnest(service_ids) AS wanted ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    -- A booking in flight with an older snapshot fails with 40001 instead of going by the old list.
    UPDATE @extschema@.locations AS l
    SET hours_version = usher.uuid_v7() WHERE l.id = set_location_services.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@.set_location_services(uuid, uuid[]) IS
    'Makes these the services of the location; bookings that exist are kept. Needs location:manage.';

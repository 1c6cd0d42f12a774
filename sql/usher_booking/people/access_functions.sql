-- Who may do what: permissions come from core; where they count comes from location_staff. A manager acts at the
-- locations that are assigned to them, whoever holds location:manage_any acts everywhere.

CREATE FUNCTION @extschema@._may(permission text, location_id uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_booking_may';
COMMENT ON FUNCTION @extschema@._may(text, uuid) IS
    'Whether the current actor has a permission and works at the location (or may act at any). Raises 42501 for an '
    'untrusted database role without identity.';

CREATE FUNCTION @extschema@._require(permission text, location_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF location_id IS NULL THEN
        PERFORM usher.require_permission(permission);
    ELSIF NOT @extschema@._may(permission, location_id) THEN
        PERFORM usher.raise_error('not_permitted', format('permission "%s" is needed at this location', permission),
            jsonb_build_object('permission', permission, 'location_id', location_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require(text, uuid) IS
    'Raises 42501 unless the actor may, everywhere or at the location.';

CREATE FUNCTION @extschema@._own_customers() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.current_user_id('booking:read');
BEGIN
    IF actor IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT c.id FROM @extschema@.customers AS c WHERE c.user_id = actor);
END
$$;
COMMENT ON FUNCTION @extschema@._own_customers() IS 'The customer profiles of the current identity.';

CREATE FUNCTION @extschema@._managed_locations() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.actor_id();
BEGIN
    IF actor IS NULL OR NOT usher.has_permission_somewhere('booking:manage') THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT ls.location_id FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = actor AND ls.is_active AND usher.has_permission('booking:manage', ls.location_id::text)
        UNION
        SELECT l.id FROM @extschema@.locations AS l
        WHERE usher.has_permission_somewhere('location:manage_any')
            AND usher.has_permission('booking:manage', l.id::text)
            AND usher.has_permission('location:manage_any', l.id::text));
END
$$;
COMMENT ON FUNCTION @extschema@._managed_locations() IS 'The locations whose bookings the current identity manages.';

CREATE FUNCTION @extschema@._front_desk_locations() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.actor_id();
BEGIN
    IF actor IS NULL OR NOT usher.has_permission_somewhere('appointment:manage') THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT ls.location_id FROM @extschema@.location_staff AS ls
        WHERE ls.staff_id = actor AND ls.is_active
            AND usher.has_permission('appointment:manage', ls.location_id::text));
END
$$;
COMMENT ON FUNCTION @extschema@._front_desk_locations() IS
    'The locations at whose front desk the current identity works.';

CREATE FUNCTION @extschema@._handled_locations() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT unnest(@extschema@._managed_locations())
                 UNION SELECT unnest(@extschema@._front_desk_locations()));
END
$$;
COMMENT ON FUNCTION @extschema@._handled_locations() IS
    'The locations whose appointments the current identity handles: as a manager or at the front desk.';

CREATE FUNCTION @extschema@._reads_all() RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_booking_reads_all';
COMMENT ON FUNCTION @extschema@._reads_all() IS
    'Whether this is a trusted database role that acts for nobody in particular.';

CREATE FUNCTION @extschema@._erased_name() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'erased customer';
COMMENT ON FUNCTION @extschema@._erased_name() IS 'What a customer without an account is called once erased.';

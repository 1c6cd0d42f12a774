-- Lists for people who administrate over HTTP: what the other files have functions to change, but none to look at.

CREATE FUNCTION usher.list_defined_permissions(only_resource text DEFAULT NULL, after text DEFAULT NULL,
                                               max_rows integer DEFAULT 200)
    RETURNS TABLE (permission text, description text, roles text[], users bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('role:read');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY
    SELECT p.name, p.description,
           ARRAY(SELECT DISTINCT r.name FROM usher.role_permissions rp JOIN usher.roles r ON r.id = rp.role_id
                 WHERE rp.permission = p.name AND rp.effect = 'allow'
                   AND (rp.expires_at IS NULL OR rp.expires_at > clock_timestamp())
                 ORDER BY r.name),
           usher._count_holders(format('SELECT g.user_id FROM usher.user_permissions g WHERE g.permission = %L '
                                       'AND g.effect = ''allow''', p.name))
    FROM usher.permissions p
    WHERE (only_resource IS NULL OR p.resource = only_resource)
      AND (list_defined_permissions.after IS NULL OR p.name COLLATE "C" > list_defined_permissions.after)
    ORDER BY p.name COLLATE "C"
    LIMIT max_rows;
END
$$;
REVOKE ALL ON FUNCTION usher.list_defined_permissions(text, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION usher.list_defined_permissions(text, text, integer) IS
    'The catalogue of permissions: the roles that allow each, and how many users were granted it directly, above '
    '1,000 an estimate. By keyset: pass the last permission as after. Needs role:read.';

CREATE FUNCTION usher.list_machines()
    RETURNS TABLE (machine text, version integer, statuses text[], extension name, updated_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('machine:manage');
    RETURN QUERY
    SELECT DISTINCT ON (m.name COLLATE "C") m.name, m.version, usher.machine_statuses(m.name), m.extension::name,
        m.updated_at
    FROM usher.machines m
    WHERE m.is_active
    ORDER BY m.name COLLATE "C", m.version DESC;
END
$$;
REVOKE ALL ON FUNCTION usher.list_machines() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_machines() IS
    'The status machines with the version that is in force. Needs machine:manage.';

CREATE FUNCTION usher.list_subscriptions()
    RETURNS TABLE (event text, consumer text, mode text, handler text, is_active boolean, pending bigint,
                   parked bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('event:manage');
    RETURN QUERY
    WITH waiting AS MATERIALIZED (SELECT * FROM usher._waiting_deliveries())
    SELECT s.event, s.consumer, s.mode, CASE WHEN s.handler_name IS NOT NULL THEN format(
        '%I.%I', s.handler_schema, s.handler_name) END, s.is_active,
           coalesce((SELECT w.deliveries FROM waiting w WHERE w.consumer = s.consumer AND w.status = 'pending'), 0),
           coalesce((SELECT w.deliveries FROM waiting w WHERE w.consumer = s.consumer AND w.status = 'parked'), 0)
    FROM usher.subscriptions s
    ORDER BY s.event COLLATE "C", s.consumer COLLATE "C";
END
$$;
REVOKE ALL ON FUNCTION usher.list_subscriptions() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_subscriptions() IS
    'Who gets which events, and how many of them wait for the consumer or were parked, which above 1,000 is '
    'an estimate. Needs event:manage.';

-- Names are separated by white space, a function with all its forms; a table may be followed by its readable columns:
-- users(id,email).
CREATE FUNCTION usher._listed_objects(schema_name name, kind text, names text)
    RETURNS TABLE (privilege text, object text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    item text[];
    columns text;
BEGIN
    FOR item IN SELECT m FROM regexp_matches(names, '([a-z0-9_]+)(?:\(([^)]*)\))?', 'g') AS m LOOP
        IF kind = 'function' THEN
            RETURN QUERY SELECT 'EXECUTE', 'FUNCTION ' || p.oid::regprocedure
                FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
                WHERE n.nspname = schema_name AND p.proname = item[1];
        ELSE
            columns := (SELECT string_agg(quote_ident(trim(c)), ', ') FROM string_to_table(item[2], ',') AS c);
            RETURN QUERY SELECT 'SELECT' || coalesce(' (' || columns || ')', ''), 'TABLE ' || c.oid::regclass
                FROM pg_class AS c WHERE c.oid = to_regclass(format('%I.%I', schema_name, item[1]));
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._listed_objects(name, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._listed_objects(name, text, text) IS
    'The objects that a line of usher.extension_access names, those that there are, and the privilege that it gives.';

CREATE FUNCTION usher._grant_list(schema_name name, role name, kind text, names text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    listed record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, role);
    FOR listed IN SELECT o.privilege, o.object FROM usher._listed_objects(schema_name, kind, names) AS o LOOP
        EXECUTE format('GRANT %s ON %s TO %I', listed.privilege, listed.object, role);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_list(name, name, text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_list(name, name, text, text) IS
    'Grants what one line of usher.extension_access says, with the rights of the caller.';

CREATE FUNCTION usher._check_database_role(role name, may_be_gone boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'role must not be null', '{"argument": "role"}');
    ELSIF NOT pg_has_role((SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'usher'), 'USAGE') THEN
        PERFORM usher.raise_error('not_permitted',
                                  'only the owner of the extension can change the access of database roles');
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role)
          AND NOT (may_be_gone AND EXISTS (SELECT FROM usher.database_roles d WHERE d.role_name = role)) THEN
        PERFORM usher.raise_error('unknown_reference', format('database role "%s" does not exist', role),
                                  jsonb_build_object('role', role), 'Create it with CREATE ROLE.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._check_database_role(name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION usher._check_database_role(name, boolean) IS
    'Refuses roles that do not exist (unless they may be gone, and there are levels of that name) and callers who may '
    'not grant.';

CREATE FUNCTION usher._levels_in_force() RETURNS TABLE (role oid, role_name name, level text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid, r.rolname, d.level
    FROM usher.database_roles AS d JOIN pg_catalog.pg_roles AS r ON r.oid = d.role_oid
    WHERE d.server = usher._server_identifier();
END;
REVOKE ALL ON FUNCTION usher._levels_in_force() FROM PUBLIC;
COMMENT ON FUNCTION usher._levels_in_force() IS
    'The roles of this server that have a level, under the names that they have now.';

CREATE FUNCTION usher._follow_database_roles() RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here CONSTANT text := usher._server_identifier();
    removed bigint;
BEGIN
    UPDATE usher.database_roles AS d SET role_name = r.rolname FROM pg_roles AS r
    WHERE r.oid = d.role_oid AND d.server = here AND d.role_name <> r.rolname;
    -- The server counts on with every new Oid and comes round after four thousand million: what is left of a role that
    -- is gone must not wait for that.
    DELETE FROM usher.database_roles AS d
    WHERE d.server = here AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = d.role_oid);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_database_roles() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_database_roles() IS
    'Brings the names of roles up to date and removes the levels of roles that are gone; returns how many.';

CREATE FUNCTION usher.grant_access(role name, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher._check_database_role(role);
    IF level IS NULL OR level NOT IN ('application', 'gateway', 'courier', 'readonly', 'auditor', 'admin') THEN
        PERFORM usher.raise_error('invalid_argument',
                                  'level must be application, gateway, courier, readonly, auditor or admin',
                                  '{"argument": "level"}');
    END IF;
    PERFORM usher._grant_list(i.schema, role, a.kind, a.names)
    FROM usher._installed() AS i JOIN usher.extension_access AS a ON a.registrant = i.extension
    WHERE level = ANY (a.levels)
    ORDER BY a.registrant, a.number;
    PERFORM usher._follow_database_roles();
    -- what a dump brought from another server for a role of this name is hereby confirmed
    DELETE FROM usher.database_roles AS d
    WHERE d.server <> usher._server_identifier() AND d.role_name = role AND d.level = grant_access.level;
    INSERT INTO usher.database_roles (role_name, level, role_oid)
    SELECT r.rolname, grant_access.level, r.oid FROM pg_roles AS r WHERE r.rolname = role
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM usher._log_access_change('access.database_role_granted', jsonb_build_object('level', level),
                                         'database_role', role);
    END IF;

    -- Parameters of such roles are passwords and tokens: they must not reach the server log.
    IF level IN ('application', 'gateway', 'courier') THEN
        BEGIN
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length = 0', role);
            EXECUTE format('ALTER ROLE %I SET log_parameter_max_length_on_error = 0', role);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'statement parameters of role "%" may reach the server log', role
                USING HINT = format('As a superuser: ALTER ROLE %I SET log_parameter_max_length = 0', role);
        END;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher.grant_access(name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.grant_access(name, text) IS
    'Gives a database role an access level, application, gateway, courier (which sends what goes out), readonly, '
    'auditor or admin, in all installed usher '
    'extensions. Repeat it after installing another one, and after restoring a dump on another server, where levels '
    'count for nothing until then. The level belongs to the role, not to its name. For the owner of the extension.';

CREATE FUNCTION usher.revoke_access(role name, level text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here CONSTANT text := usher._server_identifier();
    role_id CONSTANT oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = role);
    had boolean;
    member record;
    kept text;
BEGIN
    PERFORM usher._check_database_role(role, may_be_gone => true);
    DELETE FROM usher.database_roles AS d
    WHERE d.level = coalesce(revoke_access.level, d.level)
        AND (d.server = here AND d.role_oid = role_id
             OR d.role_name = role AND (d.server <> here
                 OR NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = d.role_oid)));
    had := FOUND;
    PERFORM usher._follow_database_roles();
    IF had THEN
        PERFORM usher._log_access_change('access.database_role_revoked',
                                         jsonb_build_object('level', coalesce(level, 'all')), 'database_role', role);
    END IF;
    IF role_id IS NULL THEN
        RETURN had;
    END IF;
    FOR member IN
        SELECT CASE d.classid WHEN 'pg_proc'::regclass THEN 'FUNCTION ' || d.objid::regprocedure
                              WHEN 'pg_class'::regclass THEN 'TABLE ' || d.objid::regclass END AS object
        FROM usher._installed() i
        JOIN pg_extension e ON e.extname = i.extension
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
        WHERE p.prokind = 'f' OR c.relkind IN ('r', 'v', 'm', 'p')
        UNION ALL -- of applications, what they have registered
        SELECT o.object
        FROM usher._installed() i JOIN usher.extensions x ON x.name = i.extension AND x.extension IS NULL
        JOIN usher.extension_access a ON a.registrant = x.name
        CROSS JOIN LATERAL usher._listed_objects(i.schema, a.kind, a.names) o
        UNION ALL
        SELECT 'SCHEMA ' || quote_ident(i.schema) FROM usher._installed() i
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', member.object, role);
    END LOOP;
    FOR kept IN SELECT f.level FROM usher._levels_in_force() AS f WHERE f.role = role_id LOOP
        PERFORM usher.grant_access(role, kept); -- what other levels give was revoked with the rest
    END LOOP;
    RETURN had;
END
$$;
REVOKE ALL ON FUNCTION usher.revoke_access(name, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.revoke_access(name, text) IS
    'Takes an access level, or all, from a database role; false when it had none. Also of roles that are gone, or '
    'that a dump brought from another server. For the owner of the extension.';

CREATE FUNCTION usher._grant_new_members() RETURNS event_trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH updated AS (
            SELECT c.objid AS oid FROM pg_event_trigger_ddl_commands() AS c
            WHERE c.classid = 'pg_extension'::regclass),
        -- What a DBA has revoked by hand stays revoked: only what came with this update is granted.
        member AS (
            SELECT CASE WHEN d.classid = 'pg_proc'::regclass THEN 'FUNCTION ' || d.objid::regprocedure
                        ELSE 'TABLE ' || d.objid::regclass END AS object
            FROM pg_depend AS d JOIN updated AS u ON u.oid = d.refobjid
            WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
                AND age(d.xmin) <= age(pg_current_xact_id()::xid)),
        listed AS (
            SELECT f.role_name, o.privilege, o.object
            FROM updated AS u JOIN pg_extension AS e ON e.oid = u.oid
                JOIN usher.extension_access AS a ON a.registrant = e.extname
                JOIN usher._levels_in_force() AS f ON f.level = ANY (a.levels)
                CROSS JOIN LATERAL usher._listed_objects(usher._schema_of(a.registrant), a.kind, a.names) AS o)
        SELECT l.role_name, l.privilege, l.object FROM listed AS l WHERE l.object IN (SELECT m.object FROM member AS m)
        UNION
        SELECT l.role_name, format('SELECT (%I)', a.attname), l.object
        FROM listed AS l JOIN pg_attribute AS a ON 'TABLE ' || a.attrelid::regclass = l.object
        WHERE l.privilege LIKE 'SELECT (%' AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NULL
            AND quote_ident(a.attname) = ANY (string_to_array(btrim(substr(l.privilege, 8), '()'), ', '))
            AND age(a.xmin) <= age(pg_current_xact_id()::xid)
            AND l.object NOT IN (SELECT m.object FROM member AS m)
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', given.privilege, given.object, given.role_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher._grant_new_members() FROM PUBLIC;
COMMENT ON FUNCTION usher._grant_new_members() IS
    'Event trigger of ALTER EXTENSION: roles that have a level are granted what an update has brought for it. Not in '
    'the script of the update itself: privileges that a script grants are in no dump.';

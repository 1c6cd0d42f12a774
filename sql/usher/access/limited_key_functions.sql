-- API keys without *:* in the administration of others: a limited key gives nobody what it was not given itself. Its
-- list of permissions is what counts, whatever the user whom it acts for may do.

CREATE FUNCTION usher._require_role_within(role_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reach uuid[];
BEGIN
    IF usher.actor_id() IS NULL OR usher.current_user_id() IS NOT NULL THEN
        RETURN; -- no limited key
    END IF;
    -- Inactive roles too: what they hold comes back when they are switched on.
    WITH RECURSIVE r (id) AS (
        SELECT _require_role_within.role_id
        UNION SELECT p.parent_id FROM r JOIN usher.role_parents p ON p.role_id = r.id)
    SELECT array_agg(r.id) INTO reach FROM r;
    IF EXISTS (SELECT FROM usher.role_permissions rp
               WHERE rp.role_id = ANY (reach) AND usher.current_user_id(rp.permission) IS NULL)
       OR EXISTS (SELECT FROM usher.role_management m WHERE m.actor_role_id = ANY (reach))
       OR EXISTS (SELECT FROM usher.policy_rules p JOIN usher.roles r ON r.name = p.v0 WHERE r.id = ANY (reach)) THEN
        PERFORM usher.raise_error('not_permitted', 'the role holds more than this API key was given',
                                  NULL, 'Use a key with *:*, or log in.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._require_role_within(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_role_within(uuid) IS
    '42501 for a limited API key and a role with a permission, a deny, a policy or a right to manage that is not the '
    'key''s own.';

CREATE FUNCTION usher._require_power_over(user_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('user:manage', _require_power_over.user_id);
    IF usher.actor_id() IS NULL OR usher.current_user_id() IS NOT NULL THEN
        RETURN; -- no limited key
    END IF;
    PERFORM usher._require_role_within(h.role_id)
    FROM usher._held_roles h WHERE h.user_id = _require_power_over.user_id;
    IF EXISTS (SELECT FROM usher.user_permissions p WHERE p.user_id = _require_power_over.user_id
                   AND p.effect = 'allow' AND usher.current_user_id(p.permission) IS NULL)
       OR EXISTS (SELECT FROM usher._policy_rules_of(_require_power_over.user_id)) THEN
        PERFORM usher.raise_error('not_permitted', 'the user may do more than this API key was given',
                                  NULL, 'Use a key with *:*, or log in.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._require_power_over(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._require_power_over(uuid) IS
    'For what lets the caller act as the user afterwards (a password, a reset token, a key): user:manage, and for a '
    'limited API key that the user may nothing that the key may not (42501).';

-- Status machines of common applications, one call each. Their permissions are those of the role presets blog and
-- field_service; an application that needs more defines its own machine, starting from machine_preset().

CREATE FUNCTION usher.machine_preset(name text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE name
        WHEN 'post' THEN '{
            "initial": ["draft"], "terminal": ["archived"],
            "transitions": [
                {"from": null, "to": "draft", "action": "create", "event": "created"},
                {"from": "draft", "to": "published", "action": "publish", "permission": "post:publish",
                    "event": "published"},
                {"from": "published", "to": "draft", "action": "unpublish", "permission": "post:publish",
                    "event": "unpublished"},
                {"from": ["draft", "published"], "to": "archived", "action": "archive", "permission": "post:publish",
                    "event": "archived"}]}'::jsonb
        WHEN 'order' THEN '{
            "initial": ["placed"], "terminal": ["completed", "cancelled"],
            "transitions": [
                {"from": null, "to": "placed", "action": "place", "event": "placed"},
                {"from": "placed", "to": "paid", "action": "pay", "permission": "order:pay", "event": "paid"},
                {"from": "paid", "to": "fulfilled", "action": "fulfil", "permission": "order:fulfil",
                    "event": "fulfilled"},
                {"from": "fulfilled", "to": "completed", "action": "complete", "event": "completed"},
                {"from": ["placed", "paid"], "to": "cancelled", "action": "cancel", "requires_reason": true,
                    "event": "cancelled"}]}'::jsonb
        WHEN 'work_order' THEN '{
            "initial": ["submitted"], "terminal": ["closed", "cancelled"],
            "transitions": [
                {"from": null, "to": "submitted", "action": "submit", "permission": "work_order:submit",
                    "event": "submitted"},
                {"from": "submitted", "to": "scheduled", "action": "schedule", "permission": "work_order:schedule",
                    "event": "scheduled"},
                {"from": "scheduled", "to": "in_progress", "action": "start", "permission": "work_order:update",
                    "event": "started"},
                {"from": "in_progress", "to": "on_hold", "action": "hold", "permission": "work_order:update",
                    "requires_reason": true, "event": "held"},
                {"from": "on_hold", "to": "in_progress", "action": "resume", "permission": "work_order:update",
                    "event": "resumed"},
                {"from": "in_progress", "to": "completed", "action": "complete", "permission": "work_order:update",
                    "event": "completed"},
                {"from": "completed", "to": "closed", "action": "accept", "event": "closed"},
                {"from": "completed", "to": "in_progress", "action": "rework", "permission": "work_order:manage",
                    "requires_reason": true, "event": "reopened"},
                {"from": "submitted", "to": "cancelled", "action": "withdraw", "requires_reason": true,
                    "event": "cancelled"},
                {"from": ["scheduled", "on_hold"], "to": "cancelled", "action": "cancel",
                    "permission": "work_order:schedule", "requires_reason": true, "event": "cancelled"}]}'::jsonb
    END;
END
$$;
REVOKE ALL ON FUNCTION usher.machine_preset(text) FROM PUBLIC;
COMMENT ON FUNCTION usher.machine_preset(text) IS
    'Definition of a status machine that comes with usher: post, order or work_order; NULL for another name. '
    'Change it as you like and pass it to define_machine().';

CREATE FUNCTION usher.apply_machine_preset(name text, machine text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    preset jsonb := usher.machine_preset(name);
BEGIN
    IF preset IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'preset must be post, order or work_order',
                                  '{"argument": "name"}');
    END IF;
    RETURN usher.define_machine(coalesce(machine, name), preset);
END
$$;
REVOKE ALL ON FUNCTION usher.apply_machine_preset(text, text) FROM PUBLIC;
COMMENT ON FUNCTION usher.apply_machine_preset(text, text) IS
    'Defines the status machine of a preset (post, order, work_order), by default under its own name, and '
    'returns its version. Needs machine:manage.';

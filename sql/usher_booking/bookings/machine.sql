DO $$
BEGIN
    PERFORM usher.define_machine('booking', replace($json$
    {
        "initial": ["pending"],
        "terminal": ["completed", "cancelled"],
        "transitions": [
            {"from": null, "to": "pending", "action": "create", "event": "created"},
            {"from": "pending", "to": "confirmed", "action": "confirm",
             "guard": "@._guard_confirm(jsonb,jsonb)", "event": "confirmed"},
            {"from": "pending", "to": "confirmed", "action": "auto_confirm",
             "guard": "@._guard_auto_confirm(jsonb,jsonb)", "event": "confirmed"},
            {"from": "pending", "to": "confirmed", "action": "pay",
             "guard": "@._guard_paid(jsonb,jsonb)", "event": "confirmed"},
            {"from": "confirmed", "to": "in_progress", "action": "start", "permission": "booking:start",
             "guard": "@._guard_start(jsonb,jsonb)", "event": "started"},
            {"from": "in_progress", "to": "completed", "action": "complete", "permission": "booking:complete",
             "guard": "@._guard_complete(jsonb,jsonb)", "event": "completed"},
            {"from": "confirmed", "to": "in_progress", "action": "follow_start",
             "guard": "@._guard_appointments(jsonb,jsonb)", "event": "started"},
            {"from": "in_progress", "to": "completed", "action": "follow_end",
             "guard": "@._guard_appointments(jsonb,jsonb)", "event": "completed"},
            {"from": ["pending", "confirmed"], "to": "cancelled", "action": "cancel",
             "guard": "@._guard_cancel(jsonb,jsonb)", "event": "cancelled"},
            {"from": "pending", "to": "cancelled", "action": "expire",
             "guard": "@._guard_expire(jsonb,jsonb)", "event": "cancelled"},
            {"from": ["pending", "confirmed"], "to": "cancelled", "action": "withdraw",
             "guard": "@._guard_withdraw(jsonb,jsonb)", "event": "cancelled"},
            {"from": "in_progress", "to": "cancelled", "action": "abort", "permission": "booking:manage",
             "guard": "@._guard_abort(jsonb,jsonb)", "event": "cancelled"},
            {"from": ["pending", "confirmed", "in_progress"], "to": "cancelled", "action": "follow_cancellation",
             "guard": "@._guard_appointments(jsonb,jsonb)", "event": "cancelled"},
            {"from": "pending", "to": "pending", "action": "reschedule", "columns": ["start_at", "staff_id"],
             "guard": "@._guard_reschedule(jsonb,jsonb)", "event": "rescheduled"},
            {"from": "confirmed", "to": "confirmed", "action": "reschedule", "columns": ["start_at", "staff_id"],
             "guard": "@._guard_reschedule(jsonb,jsonb)", "event": "rescheduled"},
            {"from": "pending", "to": "pending", "action": "unassign", "columns": ["staff_id"],
             "guard": "@._guard_unassign(jsonb,jsonb)", "event": "needs_staff"},
            {"from": "confirmed", "to": "confirmed", "action": "unassign", "columns": ["staff_id"],
             "guard": "@._guard_unassign(jsonb,jsonb)", "event": "needs_staff"}
        ]
    }$json$, '"@.', '"' || replace('@extschema@', '"', '\"') || '.')::jsonb);
END
$$;

DO $$
BEGIN
    PERFORM usher.define_machine('appointment', replace($json$
    {
        "initial": ["scheduled"],
        "terminal": ["completed", "cancelled", "no_show"],
        "transitions": [
            {"from": null, "to": "scheduled", "action": "schedule", "event": "scheduled"},
            {"from": "scheduled", "to": "arrived", "action": "arrive",
             "guard": "@._guard_appointment(jsonb,jsonb)", "event": "arrived"},
            {"from": ["scheduled", "arrived"], "to": "in_progress", "action": "start",
             "guard": "@._guard_appointment(jsonb,jsonb)", "event": "started"},
            {"from": "in_progress", "to": "completed", "action": "complete",
             "guard": "@._guard_appointment(jsonb,jsonb)", "event": "completed"},
            {"from": ["scheduled", "arrived"], "to": "cancelled", "action": "cancel",
             "guard": "@._guard_appointment_cancel(jsonb,jsonb)", "event": "cancelled"},
            {"from": ["scheduled", "arrived", "in_progress"], "to": "cancelled", "action": "withdraw",
             "guard": "@._guard_appointment_withdraw(jsonb,jsonb)", "event": "cancelled"},
            {"from": "scheduled", "to": "no_show", "action": "report_no_show",
             "guard": "@._guard_appointment(jsonb,jsonb)", "event": "no_show"},
            {"from": "scheduled", "to": "scheduled", "action": "move",
                "columns": ["start_at", "end_at", "practitioner_id"],
             "guard": "@._guard_appointment_move(jsonb,jsonb)", "event": "rescheduled"}
        ]
    }$json$, '"@.', '"' || replace('@extschema@', '"', '\"') || '.')::jsonb);
END
$$;

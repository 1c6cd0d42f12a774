-- P1 to P8: the statuses of the sources. Money facts live in amounts, not in more statuses. What may be true when a
-- status is taken is decided by the row triggers; the machine says which status may follow which, and keeps the
-- history. payment.completed and payment.late_success are published by the trigger of attempts, and
-- payment.refunded by that of refunds, with the totals of the reference.
SELECT usher.define_machine('payment', '{
    "initial": ["pending"], "terminal": ["refunded"],
    "transitions": [
        {"from": null, "to": "pending", "action": "create", "event": "created"},
        {"from": "pending", "to": "processing", "action": "process", "event": "processing"},
        {"from": "processing", "to": "completed", "action": "capture"},
        {"from": "processing", "to": "failed", "action": "fail", "event": "failed"},
        {"from": "failed", "to": "processing", "action": "retry", "event": "retried"},
        {"from": "pending", "to": "failed", "action": "cancel", "event": "cancelled"},
        {"from": "failed", "to": "failed", "action": "close", "columns": ["closed_at"], "event": "cancelled"},
        {"from": "failed", "to": "completed", "action": "succeed_late"},
        {"from": "completed", "to": "refunded", "action": "refund"}]}');

-- What was refunded at the processor is noted here: nobody is asked to refund it again. What had failed or was
-- cancelled can have been made all the same. refund.requested, refund.failed and refund.cancelled are published by the
-- trigger of refunds, with the totals of the reference.
SELECT usher.define_machine('refund', '{
    "initial": ["pending", "processing"], "terminal": ["succeeded"],
    "transitions": [
        {"from": null, "to": "processing", "action": "note"},
        {"from": null, "to": "pending", "action": "request"},
        {"from": "pending", "to": "processing", "action": "process", "event": "processing"},
        {"from": ["pending", "processing"], "to": "succeeded", "action": "succeed", "event": "succeeded"},
        {"from": ["pending", "processing"], "to": "failed", "action": "fail"},
        {"from": "pending", "to": "cancelled", "action": "cancel"},
        {"from": ["failed", "cancelled"], "to": "succeeded", "action": "succeed_late",
         "event": "succeeded"}]}');

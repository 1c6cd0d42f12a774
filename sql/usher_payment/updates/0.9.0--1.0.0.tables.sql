-- A sum that has come to be due while a processor is at another one is kept with that payment, and webhooks that came
-- too early are found by refunds and disputes as well. The table of payments is locked for an instant; that of
-- webhooks while it is read once for each index, of which few rows are in it. A saved method is given by the name that
-- arguments call it, method_id.
ALTER TABLE @extschema@.payment_transactions
    ADD COLUMN replacement_minor bigint CHECK (replacement_minor >= 0);
CREATE INDEX IF NOT EXISTS payment_webhook_events_unmatched_refund_idx ON @extschema@.payment_webhook_events
    (processor, processor_refund_id) WHERE effect = 'unmatched';
CREATE INDEX IF NOT EXISTS payment_webhook_events_unmatched_dispute_idx ON @extschema@.payment_webhook_events
    (processor, processor_dispute_id) WHERE effect = 'unmatched';
ALTER TYPE @extschema@.payment_method_details RENAME ATTRIBUTE id TO method_id;

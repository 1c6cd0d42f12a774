-- 0.9.0 leaves the sum of a payment as it is when its order changes while a processor is at it: what was noted for
-- that moment is lost.
--- end
DROP INDEX @extschema@.payment_webhook_events_unmatched_refund_idx;
DROP INDEX @extschema@.payment_webhook_events_unmatched_dispute_idx;
ALTER TABLE @extschema@.payment_transactions DROP COLUMN replacement_minor;
ALTER TYPE @extschema@.payment_method_details RENAME ATTRIBUTE method_id TO id;

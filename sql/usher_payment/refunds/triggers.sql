CREATE TRIGGER check_refund BEFORE INSERT OR UPDATE ON @extschema@.payment_refunds
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_refund();
CREATE TRIGGER follow_refund AFTER INSERT OR UPDATE OF status ON @extschema@.payment_refunds
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_refund('tells');
CREATE TRIGGER announce_webhook_secrets AFTER INSERT OR UPDATE OR DELETE ON @extschema@.payment_webhook_secrets
    FOR EACH ROW EXECUTE FUNCTION @extschema@._announce_webhook_secrets();
CREATE TRIGGER announce_webhook_secrets_truncated AFTER TRUNCATE ON @extschema@.payment_webhook_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._announce_webhook_secrets();
ALTER TABLE @extschema@.payment_webhook_secrets ENABLE ALWAYS TRIGGER announce_webhook_secrets;
ALTER TABLE @extschema@.payment_webhook_secrets ENABLE ALWAYS TRIGGER announce_webhook_secrets_truncated;
CREATE TRIGGER follow_dispute AFTER INSERT OR UPDATE ON @extschema@.payment_disputes
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_dispute();

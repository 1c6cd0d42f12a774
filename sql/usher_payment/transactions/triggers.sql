CREATE TRIGGER check_payment BEFORE INSERT OR UPDATE ON @extschema@.payment_transactions
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_payment();
CREATE TRIGGER check_attempt BEFORE INSERT OR UPDATE ON @extschema@.payment_attempts
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_attempt();
CREATE TRIGGER follow_attempt AFTER INSERT OR UPDATE OF outcome, fee_minor, processor_transaction_id
    ON @extschema@.payment_attempts
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_attempt();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.payment_methods
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.payment_disputes
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.payment_webhook_secrets
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.payment_webhook_events
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.ledger_journals
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
CREATE TRIGGER refuse_card_numbers BEFORE INSERT OR UPDATE ON @extschema@.ledger_entries
    FOR EACH ROW EXECUTE FUNCTION @extschema@._refuse_card_numbers();
-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
SELECT usher.enable_soft_delete('@extschema@.payment_methods', 'allow', 'payment_method');

CREATE CONSTRAINT TRIGGER check_journal AFTER INSERT ON @extschema@.ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION @extschema@._check_journal();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON @extschema@.ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._refuse_ledger_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON @extschema@.ledger_journals
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._refuse_ledger_change();
CREATE TRIGGER note_journal AFTER INSERT ON @extschema@.ledger_journals
    FOR EACH ROW EXECUTE FUNCTION @extschema@._note_journal();

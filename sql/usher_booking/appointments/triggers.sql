CREATE TRIGGER complete_appointment BEFORE INSERT OR UPDATE ON @extschema@.appointments
    FOR EACH ROW EXECUTE FUNCTION @extschema@._complete_appointment();
CREATE TRIGGER usher_claim_inserted AFTER INSERT ON @extschema@.appointments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('appointment');
-- claims are not in a dump: loading the rows makes them
ALTER TABLE @extschema@.appointments ENABLE ALWAYS TRIGGER usher_claim_inserted;
CREATE TRIGGER usher_claim_updated AFTER UPDATE ON @extschema@.appointments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION @extschema@._claim('appointment');
CREATE TRIGGER follow_appointment AFTER UPDATE ON @extschema@.appointments
    FOR EACH ROW WHEN (NEW.status IS DISTINCT FROM OLD.status) EXECUTE FUNCTION @extschema@._follow_appointment();
CREATE TRIGGER follow_booking AFTER UPDATE ON @extschema@.bookings
    FOR EACH ROW WHEN (NEW.by_appointment AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION @extschema@._follow_booking();

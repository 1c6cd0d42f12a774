CREATE TRIGGER complete_booking BEFORE INSERT OR UPDATE ON @extschema@.bookings
    FOR EACH ROW EXECUTE FUNCTION @extschema@._complete_booking();
-- Named so that they fire after those of history and audit: nobody should wait for a guard longer than claims take.
CREATE TRIGGER usher_claim_inserted AFTER INSERT ON @extschema@.bookings
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._claim('booking');
-- claims are not in a dump: loading the rows makes them
ALTER TABLE @extschema@.bookings ENABLE ALWAYS TRIGGER usher_claim_inserted;
CREATE TRIGGER usher_claim_updated AFTER UPDATE ON @extschema@.bookings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    EXECUTE FUNCTION @extschema@._claim('booking');

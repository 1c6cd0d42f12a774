CREATE TRIGGER check_referral BEFORE INSERT OR UPDATE ON @extschema@.referrals
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_referral();
CREATE TRIGGER follow_referral AFTER UPDATE ON @extschema@.referrals
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_referral();
CREATE TRIGGER keep_rows BEFORE DELETE ON @extschema@.referrals
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.referrals
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('fact');

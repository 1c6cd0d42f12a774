CREATE TRIGGER post_entry AFTER INSERT ON @extschema@.points_entries
    FOR EACH ROW EXECUTE FUNCTION @extschema@._post_entry();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON @extschema@.points_entries
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('fact', 'note');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.points_entries
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER keep_rows BEFORE UPDATE ON @extschema@.points_accounts
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('follows', 'user_id', 'tier', 'tier_since', 'tier_lapses_at',
                                                         'tier_reviewed_at', 'attributes', 'closed_at', 'updated_at');
CREATE TRIGGER keep_new_rows BEFORE INSERT ON @extschema@.points_accounts
    FOR EACH ROW WHEN (NEW.balance <> 0 OR NEW.debt <> 0) EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_rows BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.points_lots
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('follows', 'announced_at');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.points_lots
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_rows BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.points_lot_uses
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.points_lot_uses
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('follows');
CREATE TRIGGER check_rule BEFORE INSERT ON @extschema@.earning_rules
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_rule();
CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON @extschema@.earning_rules
    FOR EACH ROW EXECUTE FUNCTION @extschema@._keep_rows('fact', 'valid_until', 'description');
CREATE TRIGGER keep_table BEFORE TRUNCATE ON @extschema@.earning_rules
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._keep_rows('fact');
CREATE TRIGGER announce_rules AFTER INSERT OR UPDATE OR DELETE ON @extschema@.earning_rules
    FOR EACH ROW EXECUTE FUNCTION @extschema@._announce_rules();
CREATE TRIGGER announce_rules_truncated AFTER TRUNCATE ON @extschema@.earning_rules
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._announce_rules();
ALTER TABLE @extschema@.earning_rules ENABLE ALWAYS TRIGGER announce_rules;
ALTER TABLE @extschema@.earning_rules ENABLE ALWAYS TRIGGER announce_rules_truncated;

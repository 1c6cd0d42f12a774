CREATE TRIGGER check_level BEFORE INSERT OR UPDATE ON @extschema@.stock_levels
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_stock_level();
CREATE TRIGGER follow_level AFTER INSERT OR UPDATE ON @extschema@.stock_levels
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_stock_level();
CREATE TRIGGER guard_level BEFORE DELETE ON @extschema@.stock_levels
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_stock_levels();
CREATE TRIGGER guard_levels BEFORE TRUNCATE ON @extschema@.stock_levels
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_stock_levels();
CREATE TRIGGER check_reservation BEFORE INSERT OR UPDATE ON @extschema@.stock_reservations
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_reservation();
CREATE TRIGGER follow_reservation AFTER INSERT OR UPDATE ON @extschema@.stock_reservations
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_reservation();
CREATE TRIGGER guard_reservation BEFORE DELETE ON @extschema@.stock_reservations
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_stock_levels();
CREATE TRIGGER guard_reservations BEFORE TRUNCATE ON @extschema@.stock_reservations
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_stock_levels();
-- Those for rows hold for every partition, the others for one table each.
CREATE TRIGGER guard_log BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.inventory_logs
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_inventory_log();
CREATE TRIGGER guard_log_truncate BEFORE TRUNCATE ON @extschema@.inventory_logs
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_inventory_log();
CREATE TRIGGER guard_log_truncate BEFORE TRUNCATE ON @extschema@.inventory_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_inventory_log();
CREATE TRIGGER load_inventory_row BEFORE INSERT ON @extschema@._inventory_dump
    FOR EACH ROW EXECUTE FUNCTION @extschema@._load_inventory_row();
ALTER TABLE @extschema@._inventory_dump ENABLE ALWAYS TRIGGER load_inventory_row;

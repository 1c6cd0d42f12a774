CREATE TRIGGER check_order BEFORE INSERT OR UPDATE ON @extschema@.orders
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_order();
CREATE TRIGGER follow_order AFTER INSERT OR UPDATE OF status ON @extschema@.orders
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_order();
CREATE TRIGGER check_line BEFORE INSERT OR UPDATE ON @extschema@.order_lines
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_order_line();
CREATE TRIGGER follow_line AFTER INSERT OR UPDATE OR DELETE ON @extschema@.order_lines
    FOR EACH ROW EXECUTE FUNCTION @extschema@._follow_order_line();
CREATE TRIGGER settle_orders AFTER UPDATE ON @extschema@.order_lines REFERENCING NEW TABLE AS changed_lines
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._settle_changed_orders();
CREATE TRIGGER guard_line BEFORE DELETE ON @extschema@.order_lines
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_order_lines();
CREATE TRIGGER guard_lines BEFORE TRUNCATE ON @extschema@.order_lines
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_order_lines();
CREATE TRIGGER guard_event BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.order_events
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_order_events();
CREATE TRIGGER guard_events BEFORE TRUNCATE ON @extschema@.order_events
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_order_events();

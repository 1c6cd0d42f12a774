CREATE TRIGGER guard_price BEFORE UPDATE OR DELETE ON @extschema@.product_prices
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_prices BEFORE TRUNCATE ON @extschema@.product_prices
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_rate BEFORE UPDATE OR DELETE ON @extschema@.tax_rates
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_rates BEFORE TRUNCATE ON @extschema@.tax_rates
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_validity();

CREATE TRIGGER derive_facets AFTER INSERT ON @extschema@.products
    FOR EACH ROW EXECUTE FUNCTION @extschema@._derive_facets();
CREATE TRIGGER derive_changed_facets AFTER UPDATE ON @extschema@.products
    FOR EACH ROW WHEN (OLD.name <> NEW.name OR OLD.status <> NEW.status OR OLD.attributes <> NEW.attributes
                       OR OLD.category IS DISTINCT FROM NEW.category)
    EXECUTE FUNCTION @extschema@._derive_facets();
ALTER TABLE @extschema@.products ENABLE ALWAYS TRIGGER derive_facets;
ALTER TABLE @extschema@.products ENABLE ALWAYS TRIGGER derive_changed_facets;
CREATE TRIGGER guard_price BEFORE UPDATE OR DELETE ON @extschema@.product_prices
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_prices BEFORE TRUNCATE ON @extschema@.product_prices
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_rate BEFORE UPDATE OR DELETE ON @extschema@.tax_rates
    FOR EACH ROW EXECUTE FUNCTION @extschema@._guard_validity();
CREATE TRIGGER guard_rates BEFORE TRUNCATE ON @extschema@.tax_rates
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._guard_validity();

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
-- What is switched off is kept, with the time, and can come back (docs/engine.md, "Deactivation").
-- Products have a status with a machine: deleted_at follows it, and the view has what is for sale.
CREATE TRIGGER usher_soft_delete BEFORE INSERT OR UPDATE ON @extschema@.products
    FOR EACH ROW EXECUTE FUNCTION usher.soft_delete('allow', 'status', 'archived');
CREATE VIEW @extschema@.active_products WITH (security_invoker = true) AS
    SELECT p.id, p.sku, p.name, p.kind, p.variant_of, p.category, p.description, p.unit, p.tax_class, p.track_stock,
           p.backorder_limit, p.attributes, p.status, p.created_by, p.created_at, p.updated_at, p.version
    FROM @extschema@.products AS p WHERE p.status = 'active';
COMMENT ON VIEW @extschema@.active_products IS 'Products that are for sale: neither drafts nor archived.';

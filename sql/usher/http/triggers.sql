CREATE TRIGGER routes_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.routes
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('routes_inval');
ALTER TABLE usher.routes ENABLE ALWAYS TRIGGER routes_invalidate;

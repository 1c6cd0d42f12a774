CREATE TRIGGER machines_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.machines
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('machine_inval');
ALTER TABLE usher.machines ENABLE ALWAYS TRIGGER machines_invalidate;

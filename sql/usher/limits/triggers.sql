CREATE TRIGGER rate_limit_policies_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.rate_limit_policies
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('rate_limits_inval');
ALTER TABLE usher.rate_limit_policies ENABLE ALWAYS TRIGGER rate_limit_policies_invalidate;

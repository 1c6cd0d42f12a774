CREATE TRIGGER subscriptions_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.subscriptions
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('events_inval');
ALTER TABLE usher.subscriptions ENABLE ALWAYS TRIGGER subscriptions_invalidate;
-- who may publish what stands in the same cache
CREATE TRIGGER extension_events_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.extension_events
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('events_inval');
ALTER TABLE usher.extension_events ENABLE ALWAYS TRIGGER extension_events_invalidate;
CREATE TRIGGER extensions_invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usher.extensions
    FOR EACH STATEMENT EXECUTE FUNCTION usher._invalidate_cache('events_inval');
ALTER TABLE usher.extensions ENABLE ALWAYS TRIGGER extensions_invalidate;

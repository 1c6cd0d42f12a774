CREATE TRIGGER audit_logs_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON usher.audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs();
SELECT usher._prepare_audit_partition('usher.audit_logs_default');
CREATE TRIGGER audit_seals_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON usher.audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs();
CREATE TRIGGER load_audit_row BEFORE INSERT ON usher._audit_dump
    FOR EACH ROW EXECUTE FUNCTION usher._load_audit_row();
ALTER TABLE usher._audit_dump ENABLE ALWAYS TRIGGER load_audit_row;

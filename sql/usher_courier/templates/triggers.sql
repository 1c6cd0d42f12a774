CREATE TRIGGER check_template BEFORE INSERT OR UPDATE ON @extschema@.message_templates
    FOR EACH ROW EXECUTE FUNCTION @extschema@._check_template_row();

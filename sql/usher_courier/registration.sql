-- What usher_courier tells core about itself.

CREATE FUNCTION @extschema@._courier_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_error_codes';
COMMENT ON FUNCTION @extschema@._courier_error_codes() IS
    'The error codes of usher_courier (extension/usher_courier/courier_errors.hpp).';

SELECT usher.register_extension('E-mail from templates, webhooks, requests to others',
    error_class => 'UM',
    error_codes => @extschema@._courier_error_codes(),
    declined_hooks => '{upkeep,self_check,configuration,metrics,health,export,erase}');

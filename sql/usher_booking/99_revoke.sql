-- Nothing for PUBLIC: every function of this extension, public and private.
DO $do$
DECLARE
    target regprocedure;
BEGIN
    FOR target IN
        SELECT d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
            AND e.extname = 'usher_booking'
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', target);
    END LOOP;
END
$do$;

-- Last: what this script has made, for usher.schema_drift().
SELECT usher._record_schema('usher_booking');

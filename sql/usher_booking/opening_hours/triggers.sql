-- One trigger for each event, because transition tables allow no more. An UPDATE shows the rows as they were, too.
DO $$
DECLARE
    source record;
    change record;
BEGIN
    FOR source IN SELECT * FROM (VALUES ('location_hours', 'location'), ('location_exceptions', 'location'),
        ('staff_hours', 'staff'), ('staff_time_off', 'time_off')) AS v (relation, what) LOOP
        FOR change IN SELECT * FROM (VALUES ('insert', 'NEW TABLE AS changed'), ('delete', 'OLD TABLE AS changed'),
            ('update', 'OLD TABLE AS before NEW TABLE AS changed')) AS v (event, rows) LOOP
            EXECUTE format('CREATE TRIGGER hours_changed_%s AFTER %s ON @extschema@.%I REFERENCING %s
                FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._hours_changed(%L)',
                change.event, upper(change.event), source.relation, change.rows, source.what);
        END LOOP;
        EXECUTE format('CREATE TRIGGER hours_changed_truncate AFTER TRUNCATE ON @extschema@.%I
            FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._hours_truncated(%L)', source.relation, source.what);
    END LOOP;
END
$$;

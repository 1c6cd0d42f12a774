# What the audit cases share: a table of 11 columns and the ways to audit it, all into tables of the same form as usher.audit_logs
# with its two full indexes. The floor writes ready-made jsonb with plain SQL: no trigger could do with less.
package audited;
use strict;
use warnings;
use wide_table;

sub setup {
    my ($rows) = @_;
    return wide_table::setup($rows) . q{
        SELECT usher._maintain_audit_partitions();
        CREATE TABLE bench.log (LIKE usher.audit_logs INCLUDING DEFAULTS);
        SELECT usher._prepare_audit_partition('bench.log');
        CREATE TABLE bench.ready AS
            SELECT id, id::text AS resource_id, jsonb_build_object('id', id) AS key, to_jsonb(s) AS whole,
                   jsonb_build_object('counter', counter) AS old_part, jsonb_build_object('counter', counter + 1) AS new_part
            FROM bench.seed s ORDER BY id;
        CREATE FUNCTION bench.audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, new_values)
                VALUES ('row.insert', 'insert', 'trigger', current_user, 'bench.t', NEW.id::text, jsonb_build_object('id', NEW.id), to_jsonb(NEW));
            ELSE
                INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, old_values, new_values)
                SELECT 'row.update', 'update', 'trigger', current_user, 'bench.t', OLD.id::text, jsonb_build_object('id', OLD.id),
                       jsonb_object_agg(a.key, a.value), jsonb_object_agg(a.key, b.value)
                FROM jsonb_each(to_jsonb(OLD)) a JOIN jsonb_each(to_jsonb(NEW)) b USING (key) WHERE a.value <> b.value;
            END IF;
            RETURN NULL;
        END $$;
        CREATE FUNCTION bench.audit_statement() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, new_values)
                SELECT 'row.insert', 'insert', 'trigger', current_user, 'bench.t', n.id::text, jsonb_build_object('id', n.id), to_jsonb(n) FROM new_rows n;
            ELSE
                INSERT INTO bench.log (event_type, action, source, actor_name, resource_type, resource_id, key, old_values, new_values)
                SELECT 'row.update', 'update', 'trigger', current_user, 'bench.t', o.id::text, jsonb_build_object('id', o.id), c.before, c.after
                FROM old_rows o JOIN new_rows n USING (id),
                     LATERAL (SELECT jsonb_object_agg(a.key, a.value) AS before, jsonb_object_agg(a.key, b.value) AS after
                              FROM jsonb_each(to_jsonb(o)) a JOIN jsonb_each(to_jsonb(n)) b USING (key) WHERE a.value <> b.value) c;
            END IF;
            RETURN NULL;
        END $$;
    };
}

# No trigger and no audit rows left by the variant before. The checkpoint makes its WAL files ready to be used again, as those of
# a server that has run for a while are: making new ones is work for the kernel.
sub reset {
    my ($filled) = @_;
    my $fill = $filled ? 'INSERT INTO bench.t SELECT * FROM bench.seed;' : '';
    return qq{
        DROP TRIGGER IF EXISTS audit ON bench.t;
        SELECT usher.disable_audit('bench.t');
        TRUNCATE bench.t, bench.log;
        TRUNCATE usher.audit_logs, usher.audit_seals;
        $fill
        VACUUM (FREEZE, ANALYZE) bench.t;
        CHECKPOINT;
    };
}

sub variants {
    my ($event, $measure, $floor) = @_;
    my $tables = $event eq 'INSERT' ? 'NEW TABLE AS new_rows' : 'OLD TABLE AS old_rows NEW TABLE AS new_rows';
    return [
        { name => 'no audit' },
        ($floor ? { name => 'floor: INSERT of ready jsonb', measure => "$measure $floor" } : ()),
        { name => 'PL/pgSQL, row', reset => "CREATE TRIGGER audit AFTER $event ON bench.t FOR EACH ROW EXECUTE FUNCTION bench.audit_row();" },
        { name => 'PL/pgSQL, statement',
          reset => "CREATE TRIGGER audit AFTER $event ON bench.t REFERENCING $tables FOR EACH STATEMENT EXECUTE FUNCTION bench.audit_statement();" },
        { name => 'usher.enable_audit()', reset => "SELECT usher.enable_audit('bench.t');", ours => 1 },
        # Rows are sealed once they are a second old: waiting takes no CPU time.
        ($floor ? { name => 'usher.enable_audit(), rows sealed too', ours => 1, reset => "SELECT usher.enable_audit('bench.t');",
                    measure => "$measure SELECT pg_sleep(1.2); SELECT usher._seal_audit_log(1000000);" } : ()),
    ];
}

sub targets {
    my $ours = 'usher.enable_audit()';
    my $floor = 'floor: INSERT of ready jsonb';
    return [
        { variant => $ours, against => $floor, ratio_at_most => 1.2 },
        { variant => "$ours, rows sealed too", against => $floor, ratio_at_most => 1.5 },
        { variant => $ours, against => 'PL/pgSQL, statement', times_faster => 1.5 },
        { variant => $ours, against => 'PL/pgSQL, row', times_faster => 4 },
    ];
}
1;

-- Shipped rows and decisions about them. What the script of an extension writes into a table that it was given by
-- ship_rows() is a default: it comes back with the extension, in its newest form, and is not dumped. What anybody else
-- makes of such a row is a decision: usher.decisions has it, a dump carries it, and neither a restore nor an update of
-- the extension takes it back. The tables hold what is in force, so whoever reads them asks nothing else.

CREATE FUNCTION usher._row_key(shipped_row jsonb, key text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(k, shipped_row -> k) FROM unnest(key) AS k;
END;
REVOKE ALL ON FUNCTION usher._row_key(jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._row_key(jsonb, text[]) IS 'The key of a row, as usher.decisions has it.';

CREATE FUNCTION usher._shipped_by(any_row jsonb) RETURNS name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.extname FROM pg_catalog.pg_extension AS e
    WHERE e.extname = CASE WHEN any_row ? 'registrant'
        THEN (SELECT x.extension FROM usher.extensions AS x WHERE x.name = (any_row ->> 'registrant')::name)
        ELSE any_row ->> 'extension' END;
END;
REVOKE ALL ON FUNCTION usher._shipped_by(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._shipped_by(jsonb) IS
    'The extension that ships a row; NULL for a row of the application, and for one of an extension that is gone.';

-- Identities and times of a row differ from one installation to the next, and say nothing about what was decided.
CREATE FUNCTION usher._decidable(relation regclass, any_row jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT any_row - ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = relation AND (a.attgenerated <> ''
            OR a.attname IN ('id', 'extension', 'number', 'created_at', 'updated_at', 'registered_at')));
END;
REVOKE ALL ON FUNCTION usher._decidable(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._decidable(regclass, jsonb) IS 'The columns of a row that a decision can be about.';

CREATE FUNCTION usher._whole_row(relation regclass, any_row jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT any_row - ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = relation AND (a.attgenerated <> '' OR a.attname = 'extension'));
END;
REVOKE ALL ON FUNCTION usher._whole_row(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._whole_row(regclass, jsonb) IS 'The columns of a row that can be written.';

CREATE FUNCTION usher._changed_columns(relation regclass, shipped jsonb, any_row jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(usher._decidable(relation, any_row)) AS c
    WHERE c.value IS DISTINCT FROM shipped -> c.key;
END;
REVOKE ALL ON FUNCTION usher._changed_columns(regclass, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._changed_columns(regclass, jsonb, jsonb) IS
    'The columns in which a row is not as it is shipped; NULL when there are none.';

-- The five below write and read by the key, whatever the table.

CREATE FUNCTION usher._key_condition(relation regclass, key jsonb) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT string_agg(format('t.%1$I IS NOT DISTINCT FROM (pg_catalog.jsonb_populate_record(NULL::%2$s, $1)).%1$I',
        k, relation), ' AND ') FROM jsonb_object_keys(key) AS k;
END;
REVOKE ALL ON FUNCTION usher._key_condition(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._key_condition(regclass, jsonb) IS
    'SQL that is true for the row t of a table that has the key; the key is its parameter.';

CREATE FUNCTION usher._row_of(relation regclass, key jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_row jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t) FROM %s AS t WHERE %s LIMIT 1', relation, usher._key_condition(relation, key))
        INTO found_row USING key;
    RETURN found_row;
END
$$;
REVOKE ALL ON FUNCTION usher._row_of(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._row_of(regclass, jsonb) IS 'The row of a key; NULL when there is none.';

CREATE FUNCTION usher._update_row(relation regclass, key jsonb, new_values jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    assignments text := (SELECT string_agg(format('%1$I = v.%1$I', a.attname), ', ') FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            AND new_values ? a.attname AND NOT key ? a.attname);
BEGIN
    IF assignments IS NOT NULL THEN
        EXECUTE format('UPDATE %1$s AS t SET %2$s FROM jsonb_populate_record(NULL::%1$s, $2) AS v WHERE %3$s',
            relation, assignments, usher._key_condition(relation, key)) USING key, new_values;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._update_row(regclass, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._update_row(regclass, jsonb, jsonb) IS 'Gives the row of a key these values.';

CREATE FUNCTION usher._insert_row(relation regclass, new_row jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text := (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND new_row ? a.attname
            AND a.attgenerated = '');
BEGIN
    EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM jsonb_populate_record(NULL::%1$s, $1)', relation, columns)
        USING new_row;
END
$$;
REVOKE ALL ON FUNCTION usher._insert_row(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._insert_row(regclass, jsonb) IS 'Adds a row.';

CREATE FUNCTION usher._delete_row(relation regclass, key jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('DELETE FROM %s AS t WHERE %s', relation, usher._key_condition(relation, key)) USING key;
END
$$;
REVOKE ALL ON FUNCTION usher._delete_row(regclass, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._delete_row(regclass, jsonb) IS 'Removes the row of a key.';

CREATE FUNCTION usher._ship_over_decision(relation regclass, this_key jsonb, made usher.decisions, before jsonb,
                                          after jsonb, installing name) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there jsonb;
    shipped_now jsonb;
BEGIN
    IF after IS NULL THEN
        IF made.kind = 'added' THEN
            RETURN NULL;
        ELSIF made.key IS NOT NULL THEN
            UPDATE usher.decisions AS d SET shipped = NULL WHERE d.table_name = relation::text AND d.key = this_key;
        END IF;
        RETURN '{}';
    ELSIF before IS NOT NULL THEN
        IF made.key IS NULL THEN
            RETURN '{}';
        END IF;
        shipped_now := coalesce(made.shipped, before)
            || coalesce(usher._changed_columns(relation, before, after), '{}');
        UPDATE usher.decisions AS d SET shipped = shipped_now
        WHERE d.table_name = relation::text AND d.key = this_key;
        RETURN coalesce(made.decided, '{}');
    END IF;
    there := usher._row_of(relation, this_key);
    IF made.key IS NULL THEN
        IF there IS NULL OR usher._shipped_by(there) IS NOT NULL THEN
            RETURN '{}';
        END IF;
        -- the application had it first
        INSERT INTO usher.decisions AS d (table_name, key, kind, decided, shipped, shipped_by, is_applying)
        VALUES (relation::text, this_key, 'replaced', usher._whole_row(relation, there), after, installing, true);
        PERFORM usher._update_row(relation, this_key, jsonb_build_object('extension', installing));
    ELSE
        UPDATE usher.decisions AS d
        SET shipped = after, shipped_by = installing, is_applying = true,
            kind = CASE d.kind WHEN 'added' THEN 'replaced' ELSE d.kind END
        WHERE d.table_name = relation::text AND d.key = this_key;
        IF made.kind <> 'removed' AND there IS NOT NULL THEN
            PERFORM usher._update_row(relation, this_key, after - 'id'::text || made.decided);
        END IF;
    END IF;
    UPDATE usher.decisions AS d SET is_applying = false WHERE d.table_name = relation::text AND d.key = this_key;
    RETURN CASE WHEN there IS NULL AND made.kind <> 'removed' THEN coalesce(made.decided, '{}') END;
END
$$;
REVOKE ALL ON FUNCTION usher._ship_over_decision(regclass, jsonb, usher.decisions, jsonb, jsonb, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._ship_over_decision(regclass, jsonb, usher.decisions, jsonb, jsonb, name) IS
    'Part of _keep_decision(): what the script of an extension does to a row about which something was decided, or '
    'nothing. Returns what is laid over its row, NULL when nothing is to be done with it.';

CREATE FUNCTION usher._keep_decision() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO'
    SET intervalstyle = 'postgres'
    SET timezone = 'UTC'
AS $$
DECLARE
    relation CONSTANT text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    installing CONSTANT name := usher._installing_extension();
    owned CONSTANT boolean := EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = TG_RELID AND a.attname = 'extension' AND NOT a.attisdropped);
    before jsonb;
    after jsonb;
    this_key jsonb;
    made usher.decisions;
    there jsonb;
    shipper name;
    wanted jsonb;
BEGIN
    IF TG_LEVEL <> 'ROW' OR TG_WHEN <> 'BEFORE' OR TG_NARGS = 0 THEN
        RAISE EXCEPTION 'trigger "%" must fire BEFORE each row, with the columns of the key as arguments', TG_NAME
            USING ERRCODE = '39P01', HINT = 'Set it up with usher.ship_rows().';
    END IF;
    -- rows of a replica are as they are on its primary
    IF current_setting('session_replication_role') = 'replica' AND NOT usher._is_loading() THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD);
        this_key := usher._row_key(before, TG_ARGV);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW);
        this_key := coalesce(this_key, usher._row_key(after, TG_ARGV));
    END IF;
    SELECT d.* INTO made FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    IF made.is_applying THEN
        RETURN coalesce(NEW, OLD);
    END IF;

    -- A script ships: its row is the default, under what was decided.
    IF installing IS NOT NULL THEN
        wanted := usher._ship_over_decision(TG_RELID, this_key, made, before, after, installing);
        IF wanted IS NULL THEN
            RETURN NULL;
        ELSIF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        NEW := jsonb_populate_record(NEW, wanted);
        RETURN NEW;
    END IF;

    -- Anybody else decides.
    IF TG_OP = 'UPDATE' AND usher._row_key(after, TG_ARGV) <> this_key THEN
        -- a row under another key: this one goes, that one comes
        IF usher._shipped_by(before) IS NOT NULL THEN
            PERFORM usher._decide(relation, this_key, 'removed', NULL, before);
        END IF;
        before := NULL;
        this_key := usher._row_key(after, TG_ARGV);
        SELECT d.* INTO made FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    END IF;
    IF before IS NULL THEN
        IF made.kind IN ('changed', 'replaced') AND made.shipped IS NULL THEN
            -- nobody ships that row any longer
            DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
            made := NULL;
        END IF;
        there := usher._row_of(TG_RELID, this_key);
        IF made.kind = 'removed' AND there IS NULL THEN
            PERFORM usher._decide(relation, this_key, 'replaced', usher._whole_row(TG_RELID, after), made.shipped);
            IF owned THEN
                NEW.extension := made.shipped_by;
            END IF;
        ELSIF there IS NOT NULL AND usher._shipped_by(there) IS NOT NULL AND usher._is_loading() THEN
            -- a row of the application, from a dump of before an extension shipped one of this key
            INSERT INTO usher.decisions AS d (table_name, key, kind, decided, shipped, shipped_by, is_applying)
            VALUES (relation, this_key, 'replaced', usher._whole_row(TG_RELID, after), there,
                    usher._shipped_by(there), true);
            PERFORM usher._update_row(TG_RELID, this_key, usher._whole_row(TG_RELID, after));
            UPDATE usher.decisions AS d SET is_applying = false WHERE d.table_name = relation AND d.key = this_key;
            RETURN NULL;
        ELSIF owned THEN
            NEW.extension := NULL;
        ELSIF there IS NULL AND usher._shipped_by(after) IS NOT NULL THEN
            PERFORM usher._decide(relation, this_key, 'added', usher._whole_row(TG_RELID, after), NULL,
                                  usher._shipped_by(after));
        END IF;
        RETURN NEW;
    END IF;
    shipper := usher._shipped_by(before);
    IF TG_OP = 'UPDATE' THEN
        IF owned THEN
            NEW.extension := shipper;
        END IF;
        IF shipper IS NULL THEN
            RETURN NEW;
        ELSIF made.kind IN ('added', 'replaced') THEN
            PERFORM usher._decide(relation, this_key, made.kind, usher._whole_row(TG_RELID, after), made.shipped,
                                  shipper);
        ELSE
            wanted := usher._changed_columns(TG_RELID, coalesce(made.shipped, before), after);
            IF wanted IS NULL THEN
                DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
            ELSE
                PERFORM usher._decide(relation, this_key, 'changed',
                    wanted || coalesce((SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(after) AS c
                                        WHERE c.key IN ('id', 'updated_at')), '{}'),
                    coalesce(made.shipped, before));
            END IF;
        END IF;
        RETURN NEW;
    END IF;
    IF shipper IS NULL THEN
        RETURN OLD; -- also of an extension that is being dropped
    ELSIF made.kind = 'added' THEN
        DELETE FROM usher.decisions AS d WHERE d.table_name = relation AND d.key = this_key;
    ELSIF TG_RELID = 'usher.extensions'::regclass THEN
        PERFORM usher.raise_error('invalid_argument', format('"%s" is an extension, and registered as long as it is '
            'there', before ->> 'name'), jsonb_build_object('name', before -> 'name'), 'Use DROP EXTENSION.');
    ELSE
        PERFORM usher._decide(relation, this_key, 'removed', NULL, coalesce(made.shipped, before));
    END IF;
    RETURN OLD;
END
$$;
REVOKE ALL ON FUNCTION usher._keep_decision() FROM PUBLIC;
COMMENT ON FUNCTION usher._keep_decision() IS
    'Row trigger of tables with shipped rows, whose arguments are the columns of the key: keeps what anybody but a '
    'script does as a decision, and what was decided under what a script ships. usher.ship_rows() sets it up.';

CREATE FUNCTION usher._decide(table_name text, key jsonb, kind text, decided jsonb, shipped jsonb,
                              shipped_by name DEFAULT NULL) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    INSERT INTO usher.decisions AS d (table_name, key, kind, decided, shipped, shipped_by)
    VALUES (_decide.table_name, _decide.key, _decide.kind, _decide.decided, _decide.shipped,
            coalesce(_decide.shipped_by, usher._shipped_by(_decide.shipped)))
    ON CONFLICT ON CONSTRAINT decisions_pkey DO UPDATE
    SET kind = EXCLUDED.kind, decided = EXCLUDED.decided, decided_by = EXCLUDED.decided_by, decided_at = now();
END;
REVOKE ALL ON FUNCTION usher._decide(text, jsonb, text, jsonb, jsonb, name) FROM PUBLIC;
COMMENT ON FUNCTION usher._decide(text, jsonb, text, jsonb, jsonb, name) IS
    'Keeps a decision, in the place of an earlier one about the same row.';

CREATE FUNCTION usher._keep_truncation() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' OR TG_WHEN <> 'BEFORE' THEN
        RAISE EXCEPTION 'trigger "%" must fire BEFORE TRUNCATE', TG_NAME
            USING ERRCODE = '39P01', HINT = 'Set it up with usher.ship_rows().';
    ELSIF NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = TG_RELID
                          AND d.deptype = 'e') THEN -- it deletes with the rights of the owner of usher
        RAISE EXCEPTION 'table % belongs to no extension', TG_RELID::regclass USING ERRCODE = '39P01';
    END IF;
    EXECUTE format('DELETE FROM %s', TG_RELID::regclass);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._keep_truncation() FROM PUBLIC;
COMMENT ON FUNCTION usher._keep_truncation() IS
    'TRUNCATE trigger of tables with shipped rows: removes them one by one, so that it is kept which are gone.';

CREATE FUNCTION usher._is_in_force(decision usher.decisions) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO'
    SET intervalstyle = 'postgres'
    SET timezone = 'UTC'
AS $$
DECLARE
    relation CONSTANT regclass := to_regclass(decision.table_name);
    there jsonb;
BEGIN
    IF relation IS NULL THEN
        RETURN false;
    END IF;
    there := usher._row_of(relation, decision.key);
    RETURN CASE decision.kind WHEN 'removed' THEN there IS NULL
        ELSE there IS NOT NULL AND usher._changed_columns(relation, there, decision.decided) IS NULL END;
END
$$;
REVOKE ALL ON FUNCTION usher._is_in_force(usher.decisions) FROM PUBLIC;
COMMENT ON FUNCTION usher._is_in_force(usher.decisions) IS 'Whether the table is as it was decided.';

CREATE FUNCTION usher._apply_decision(decision usher.decisions) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO'
    SET intervalstyle = 'postgres'
    SET timezone = 'UTC'
AS $$
DECLARE
    relation CONSTANT regclass := to_regclass(decision.table_name);
    there jsonb;
    is_shipped boolean;
BEGIN
    IF relation IS NULL OR NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = decision.shipped_by) THEN
        RETURN; -- its extension is not there
    END IF;
    there := usher._row_of(relation, decision.key);
    is_shipped := there IS NOT NULL AND usher._shipped_by(there) IS NOT NULL;
    UPDATE usher.decisions AS d
    SET is_applying = true, shipped = CASE WHEN is_shipped THEN there END,
        shipped_by = CASE WHEN is_shipped THEN usher._shipped_by(there) ELSE d.shipped_by END,
        kind = CASE WHEN d.kind = 'added' AND is_shipped THEN 'replaced' ELSE d.kind END
    WHERE d.table_name = decision.table_name AND d.key = decision.key;
    IF decision.kind = 'removed' THEN
        IF is_shipped THEN
            PERFORM usher._delete_row(relation, decision.key);
        END IF;
    ELSIF there IS NOT NULL THEN
        PERFORM usher._update_row(relation, decision.key, decision.decided);
    ELSIF decision.kind IN ('added', 'replaced') THEN
        PERFORM usher._insert_row(relation, decision.decided);
    END IF;
    UPDATE usher.decisions AS d SET is_applying = false
    WHERE d.table_name = decision.table_name AND d.key = decision.key;
    IF decision.kind = 'replaced' AND there IS NULL THEN
        -- a row of the application now: nobody ships one of this key
        DELETE FROM usher.decisions AS d WHERE d.table_name = decision.table_name AND d.key = decision.key;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION usher._apply_decision(usher.decisions) FROM PUBLIC;
COMMENT ON FUNCTION usher._apply_decision(usher.decisions) IS
    'Makes the table as it was decided, and notes what is shipped here.';

CREATE FUNCTION usher._follow_decision() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_RELID <> 'usher.decisions'::regclass OR TG_LEVEL <> 'ROW' OR TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'trigger "%" must fire AFTER INSERT ON usher.decisions FOR EACH ROW', TG_NAME
            USING ERRCODE = '39P01';
    END IF;
    PERFORM usher._apply_decision(NEW);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._follow_decision() FROM PUBLIC;
COMMENT ON FUNCTION usher._follow_decision() IS
    'Trigger: a decision that comes from a dump or from another server is applied. Those of _keep_decision() are '
    'already.';

CREATE FUNCTION usher.ship_rows(relation regclass, key text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_column name;
BEGIN
    IF usher._installing_extension() IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'only the script of an extension can ship rows');
    END IF;
    SELECT a.attname INTO own_column FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname IN ('extension', 'registrant') AND NOT a.attisdropped
    ORDER BY a.attname LIMIT 1;
    IF own_column IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', format('table %s has no column "extension"', relation),
            jsonb_build_object('relation', relation::text),
            'It says whose script made the row: extension name DEFAULT usher._installing_extension().');
    END IF;
    PERFORM pg_extension_config_dump(relation, CASE own_column
        WHEN 'extension' THEN 'WHERE extension IS NULL'
        ELSE 'WHERE registrant IN (SELECT x.name FROM usher.extensions AS x WHERE x.extension IS NULL)' END);
    EXECUTE format('CREATE OR REPLACE TRIGGER keep_decision BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW '
                   'EXECUTE FUNCTION usher._keep_decision(%s)', relation,
                   (SELECT string_agg(quote_literal(k), ', ') FROM unnest(key) AS k));
    EXECUTE format('CREATE OR REPLACE TRIGGER keep_truncation BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                   'EXECUTE FUNCTION usher._keep_truncation()', relation);
    -- a restore that switches triggers off leaves these
    EXECUTE format('ALTER TABLE %1$s ENABLE ALWAYS TRIGGER keep_decision', relation);
END
$$;
REVOKE ALL ON FUNCTION usher.ship_rows(regclass, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher.ship_rows(regclass, text[]) IS
    'For the script of an extension, in the place of pg_extension_config_dump(): rows that scripts write into the '
    'table are defaults, which come back with their extension, and what others do about them is kept in '
    'usher.decisions and dumped. key: the columns that identify a row. The table needs a column "extension" DEFAULT '
    'usher._installing_extension().';

CREATE FUNCTION usher.list_decisions()
    RETURNS TABLE (table_name text, key jsonb, kind text, decided jsonb, shipped jsonb, shipped_by name,
                   decided_by name, decided_at timestamptz, is_in_force boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('*:*');
    RETURN QUERY
    SELECT d.table_name, d.key, d.kind,
           usher._decidable(to_regclass(d.table_name), d.decided),
           usher._decidable(to_regclass(d.table_name), d.shipped),
           d.shipped_by, d.decided_by, d.decided_at, usher._is_in_force(d)
    FROM usher.decisions AS d
    ORDER BY d.table_name COLLATE "C", d.key;
END
$$;
REVOKE ALL ON FUNCTION usher.list_decisions() FROM PUBLIC;
COMMENT ON FUNCTION usher.list_decisions() IS
    'Where rows that extensions ship are not as shipped: what was decided, and what the default is (NULL when nobody '
    'ships such a row). is_in_force is false when triggers were switched off while a dump was loaded: '
    'finish_load(). Needs *:*.';

CREATE FUNCTION usher.revert_decision(table_name text, key jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO'
    SET intervalstyle = 'postgres'
    SET timezone = 'UTC'
AS $$
DECLARE
    made usher.decisions;
    relation CONSTANT regclass := to_regclass(table_name);
    there boolean;
BEGIN
    PERFORM usher.require_permission('*:*');
    UPDATE usher.decisions AS d SET is_applying = true
    WHERE d.table_name = revert_decision.table_name AND d.key = revert_decision.key
    RETURNING d.* INTO made;
    IF made.key IS NULL THEN
        RETURN false;
    END IF;
    IF relation IS NOT NULL THEN
        there := usher._row_of(relation, made.key) IS NOT NULL;
        IF made.kind = 'added' THEN
            PERFORM usher._delete_row(relation, made.key);
        ELSIF made.shipped IS NOT NULL AND there THEN
            PERFORM usher._update_row(relation, made.key, made.shipped);
        ELSIF made.shipped IS NOT NULL THEN
            PERFORM usher._insert_row(relation, made.shipped);
        END IF;
    END IF;
    DELETE FROM usher.decisions AS d
    WHERE d.table_name = revert_decision.table_name AND d.key = revert_decision.key;
    PERFORM usher._log_access_change('access.decision_reverted',
                                     jsonb_build_object('key', made.key, 'kind', made.kind), 'table', made.table_name);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION usher.revert_decision(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher.revert_decision(text, jsonb) IS
    'Puts a row back as its extension ships it: table_name and key as list_decisions() has them; false when nothing '
    'was decided. Needs *:*.';

CREATE FUNCTION usher.apply_decisions() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made usher.decisions;
    applied bigint := 0;
BEGIN
    PERFORM usher.require_permission('*:*');
    FOR made IN SELECT d.* FROM usher.decisions AS d
                WHERE NOT usher._is_in_force(d) ORDER BY d.table_name, d.key LOOP
        PERFORM usher._apply_decision(made);
        applied := applied + 1;
    END LOOP;
    RETURN applied;
END
$$;
REVOKE ALL ON FUNCTION usher.apply_decisions() FROM PUBLIC;
COMMENT ON FUNCTION usher.apply_decisions() IS
    'Applies what was decided about shipped rows and is not in force, and says how many. Part of finish_load(), after '
    'pg_restore --disable-triggers; every other way of loading a dump does it by itself. Needs *:*.';

-- What an extension may not ship: rows of these tables belong to whoever runs the database, and are dumped as they
-- are.
CREATE FUNCTION usher._refuse_script() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installing CONSTANT name := usher._installing_extension();
BEGIN
    IF installing IS NOT NULL THEN
        PERFORM usher.raise_error('invalid_argument',
            format('the script of extension "%s" cannot write rows of %s', installing, TG_RELID::regclass),
            jsonb_build_object('relation', TG_RELID::regclass::text),
            'A dump would have them twice. Register a role preset, which the application applies.');
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION usher._refuse_script() FROM PUBLIC;
COMMENT ON FUNCTION usher._refuse_script() IS
    'Statement trigger of tables that no script of an extension writes.';

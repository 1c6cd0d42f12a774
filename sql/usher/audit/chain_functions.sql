-- The rows come from the indexes of the partitions in the order of their ids: sorting a block would mean writing it to
-- disk.
CREATE FUNCTION usher._digest_audit_rows(from_id uuid, until_id uuid, max_rows bigint DEFAULT NULL,
    OUT row_count bigint, OUT digest bytea, OUT next_id uuid)
    LANGUAGE c STABLE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET enable_sort = off
    AS 'MODULE_PATHNAME', 'usher_audit_digest_rows';
REVOKE ALL ON FUNCTION usher._digest_audit_rows(uuid, uuid, bigint) FROM PUBLIC;
COMMENT ON FUNCTION usher._digest_audit_rows(uuid, uuid, bigint) IS
    'Number and digest of the audit rows of a block, max_rows of them at most; next_id is the first row that was too '
    'many.';

CREATE FUNCTION usher._digest_audit_values(value_salt uuid, old_values jsonb, new_values jsonb, event_data jsonb,
                                           error_message text, metadata jsonb) RETURNS bytea
    LANGUAGE c IMMUTABLE
    AS 'MODULE_PATHNAME', 'usher_audit_digest_values';
REVOKE ALL ON FUNCTION usher._digest_audit_values(uuid, jsonb, jsonb, jsonb, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION usher._digest_audit_values(uuid, jsonb, jsonb, jsonb, text, jsonb) IS
    'What is sealed of the values of an audit row with a subject: their SHA-256, behind the salt.';

CREATE FUNCTION usher._without_values(object jsonb, names text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN object IS NOT NULL THEN (
        SELECT coalesce(jsonb_object_agg(m.key, CASE WHEN m.value IN ('null', '""', '{}', '[]') THEN m.value
                                                     WHEN m.key <> ALL (names) THEN m.value
                                                     ELSE '"[erased]"' END), '{}')
        FROM jsonb_each(object) AS m) END;
END;
REVOKE ALL ON FUNCTION usher._without_values(jsonb, text[]) FROM PUBLIC;
COMMENT ON FUNCTION usher._without_values(jsonb, text[]) IS
    'Old or new values without what the named columns held, or without any when names is NULL.';

CREATE FUNCTION usher._erase_audited_values(subject uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    erased bigint;
BEGIN
    -- Of a table that nobody has registered any more, nothing can be told: no value stays.
    WITH registered AS MATERIALIZED (
        SELECT format('%I.%I', usher._schema_of(p.registrant), p.table_name) AS resource_type,
               coalesce(array_agg(p.column_name::text) FILTER (WHERE p.kind = 'personal'), '{}') AS names
        FROM usher.personal_columns AS p GROUP BY 1)
    UPDATE usher.audit_logs AS l
    SET value_digest = coalesce(l.value_digest, usher._digest_audit_values(l.value_salt, l.old_values, l.new_values,
                                                                           l.event_data, l.error_message, l.metadata)),
        value_salt = NULL, event_data = '{}', error_message = NULL, metadata = '{}',
        old_values = usher._without_values(l.old_values,
            (SELECT r.names FROM registered AS r WHERE r.resource_type = l.resource_type)),
        new_values = usher._without_values(l.new_values,
            (SELECT r.names FROM registered AS r WHERE r.resource_type = l.resource_type))
    WHERE l.subject_id = subject;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;
REVOKE ALL ON FUNCTION usher._erase_audited_values(uuid) FROM PUBLIC;
COMMENT ON FUNCTION usher._erase_audited_values(uuid) IS
    'Takes what the audit log holds about a user out of its rows: personal columns of their rows, and the data of '
    'events about them. What was sealed of it stays as a digest. Returns how many rows.';

CREATE FUNCTION usher._chain_seal(previous bytea, seq bigint, from_id uuid, until_id uuid, row_count bigint,
                                  digest bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT sha256(coalesce(previous, ''::bytea) || int8send(seq) || uuid_send(from_id) || uuid_send(until_id)
                      || int8send(row_count) || digest);
END;
REVOKE ALL ON FUNCTION usher._chain_seal(bytea, bigint, uuid, uuid, bigint, bytea) FROM PUBLIC;
COMMENT ON FUNCTION usher._chain_seal(bytea, bigint, uuid, uuid, bigint, bytea) IS 'Chain value of a seal.';

CREATE FUNCTION usher._seal_audit_log(max_rows integer DEFAULT 50000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    horizon timestamptz := clock_timestamp();
    oldest timestamptz;
    unknown boolean;
    last usher.audit_seals;
    block_from uuid;
    block_until uuid;
    block record;
BEGIN
    -- With an older snapshot rows that were committed meanwhile would stay unseen, and be missing in the block for
    -- good.
    IF current_setting('transaction_isolation') <> 'read committed'
       OR NOT pg_try_advisory_xact_lock('usher.audit_seals'::regclass::oid::integer, 1) THEN
        RETURN 0;
    END IF;
    -- Whoever has written audit rows holds a lock on the table until the end of their transaction; all others will
    -- write ids that are younger than the horizon. A prepared transaction does not say since when it runs.
    SELECT min(a.xact_start), coalesce(bool_or(a.xact_start IS NULL), false) INTO oldest, unknown
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'relation' AND l.relation = 'usher.audit_logs'::regclass AND l.mode = 'RowExclusiveLock'
          AND l.granted
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    IF unknown THEN
        RETURN 0;
    END IF;
    horizon := least(horizon, oldest) - interval '1 second'; -- clocks are set back now and then
    SELECT * INTO last FROM usher.audit_seals s ORDER BY s.seq DESC LIMIT 1;
    block_from := coalesce(last.until_id, '00000000-0000-0000-0000-000000000000');
    block_until := usher._first_id_at(horizon);
    IF block_from >= block_until THEN
        RETURN 0;
    END IF;
    SELECT * INTO block FROM usher._digest_audit_rows(block_from, block_until, max_rows) d;
    IF block.row_count = 0 THEN
        RETURN 0;
    END IF;
    block_until := coalesce(block.next_id, block_until);
    INSERT INTO usher.audit_seals (seq, from_id, until_id, row_count, digest, chain)
    VALUES (coalesce(last.seq, 0) + 1, block_from, block_until, block.row_count, block.digest,
            usher._chain_seal(last.chain, coalesce(last.seq, 0) + 1, block_from, block_until, block.row_count,
                              block.digest));
    RETURN block.row_count;
END
$$;
REVOKE ALL ON FUNCTION usher._seal_audit_log(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._seal_audit_log(integer) IS
    'Seals the next block of audit rows and returns how many it holds. Called by the background worker, until none '
    'are left, and by usher.run_maintenance().';

CREATE FUNCTION usher._keep_audit_log_sealed(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ends_at CONSTANT timestamptz := clock_timestamp() + interval '5 seconds'; -- it is one transaction with the rest
    sealed bigint;
    total bigint := 0;
BEGIN
    IF NOT current_setting('usher.audit_chain')::boolean THEN
        RETURN 0;
    END IF;
    LOOP
        sealed := usher._seal_audit_log(max_rows);
        total := total + sealed;
        EXIT WHEN sealed < max_rows OR clock_timestamp() >= ends_at;
    END LOOP;
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION usher._keep_audit_log_sealed(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._keep_audit_log_sealed(integer) IS
    'Seals block after block, of max_rows rows each, until all is sealed or some seconds have passed; returns how '
    'many rows. Nothing when usher.audit_chain is off.';

CREATE FUNCTION usher.verify_audit_chain(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
    RETURNS TABLE (seq bigint, sealed_at timestamptz, row_count bigint, is_intact boolean, problem text, chain text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seal usher.audit_seals;
    previous usher.audit_seals;
    found_rows bigint;
    found_digest bytea;
BEGIN
    PERFORM usher.require_permission('audit:read');
    FOR seal IN SELECT * FROM usher.audit_seals s ORDER BY s.seq LOOP
        problem := NULL;
        IF seal.seq <> coalesce(previous.seq, 0) + 1 THEN
            problem := 'seals are missing before this one';
        ELSIF seal.from_id <> coalesce(previous.until_id, '00000000-0000-0000-0000-000000000000')
           OR seal.chain <> usher._chain_seal(previous.chain, seal.seq, seal.from_id, seal.until_id, seal.row_count,
                                              seal.digest) THEN
            problem := 'the seal does not continue the chain';
        ELSIF seal.retired_at IS NULL AND (since IS NULL OR seal.until_id > usher._first_id_at(since))
          AND (until IS NULL OR seal.from_id < usher._first_id_at(until)) THEN
            SELECT d.row_count, d.digest INTO found_rows, found_digest
            FROM usher._digest_audit_rows(seal.from_id, seal.until_id) d;
            IF found_rows <> seal.row_count THEN
                problem := format('%s rows were sealed, %s are there', seal.row_count, found_rows);
            ELSIF found_digest <> seal.digest THEN
                problem := 'rows were changed';
            END IF;
        END IF;
        IF problem IS NOT NULL OR ((since IS NULL OR seal.until_id > usher._first_id_at(since))
                                   AND (until IS NULL OR seal.from_id < usher._first_id_at(until))) THEN
            seq := seal.seq;
            sealed_at := seal.sealed_at;
            row_count := seal.row_count;
            is_intact := problem IS NULL;
            chain := encode(seal.chain, 'hex');
            RETURN NEXT;
        END IF;
        previous := seal;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION usher.verify_audit_chain(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION usher.verify_audit_chain(timestamptz, timestamptz) IS
    'Checks the sealed blocks of the audit log that lie in the period, and the whole chain of seals: one row per '
    'block, with what is wrong. Keep the newest chain value elsewhere as well: it shows when the whole log was '
    'rewritten. Needs audit:read.';

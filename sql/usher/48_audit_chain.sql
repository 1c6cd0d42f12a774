-- Evidence against tampering: blocks of audit rows are sealed with a digest, and each seal covers the one before it.
--
-- A trigger that chained row by row would make all writers wait for each other. Maintenance seals blocks instead, after the
-- fact: rows older than every transaction that may still add to them. Whoever can rewrite rows and all later seals leaves no
-- trace in here, so keep the newest chain value somewhere else from time to time.

CREATE TABLE usher.audit_seals (
    seq bigint NOT NULL PRIMARY KEY CHECK (seq > 0),
    from_id uuid NOT NULL,
    until_id uuid NOT NULL UNIQUE,
    row_count bigint NOT NULL CHECK (row_count >= 0),
    digest bytea NOT NULL,
    chain bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CHECK (from_id < until_id)
);
COMMENT ON TABLE usher.audit_seals IS 'Seals of blocks of audit rows, in order; written by maintenance, checked by usher.verify_audit_chain().';
COMMENT ON COLUMN usher.audit_seals.digest IS 'SHA-256 over the rows from from_id up to, not including, until_id, without actor_name, client_ip and user_agent, which erase_user() empties.';
COMMENT ON COLUMN usher.audit_seals.chain IS 'SHA-256 over the chain value of the seal before and this seal''s own values.';
COMMENT ON COLUMN usher.audit_seals.retired_at IS 'When retention removed rows of the block: only its place in the chain can still be checked.';
SELECT pg_catalog.pg_extension_config_dump('usher.audit_seals', '');
CREATE TRIGGER audit_seals_protect BEFORE UPDATE OR DELETE OR TRUNCATE ON usher.audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION usher._protect_audit_logs();

-- The rows come from the indexes of the partitions in the order of their ids: sorting a block would mean writing it to disk.
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
    'Number and digest of the audit rows of a block, max_rows of them at most; next_id is the first row that was too many.';

CREATE FUNCTION usher._chain_seal(previous bytea, seq bigint, from_id uuid, until_id uuid, row_count bigint, digest bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT sha256(coalesce(previous, ''::bytea) || int8send(seq) || uuid_send(from_id) || uuid_send(until_id) || int8send(row_count) || digest);
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
    -- With an older snapshot rows that were committed meanwhile would stay unseen, and be missing in the block for good.
    IF current_setting('transaction_isolation') <> 'read committed' OR NOT pg_try_advisory_xact_lock('usher.audit_seals'::regclass::oid::integer, 1) THEN
        RETURN 0;
    END IF;
    -- Whoever has written audit rows holds a lock on the table until the end of his transaction; all others will write ids
    -- that are younger than the horizon. A prepared transaction does not say since when it runs.
    SELECT min(a.xact_start), coalesce(bool_or(a.xact_start IS NULL), false) INTO oldest, unknown
        FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'relation' AND l.relation = 'usher.audit_logs'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
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
            usher._chain_seal(last.chain, coalesce(last.seq, 0) + 1, block_from, block_until, block.row_count, block.digest));
    RETURN block.row_count;
END
$$;
REVOKE ALL ON FUNCTION usher._seal_audit_log(integer) FROM PUBLIC;
COMMENT ON FUNCTION usher._seal_audit_log(integer) IS 'Seals the next block of audit rows and returns how many it holds. Called by usher.run_maintenance().';

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
           OR seal.chain <> usher._chain_seal(previous.chain, seal.seq, seal.from_id, seal.until_id, seal.row_count, seal.digest) THEN
            problem := 'the seal does not continue the chain';
        ELSIF seal.retired_at IS NULL AND (since IS NULL OR seal.until_id > usher._first_id_at(since))
          AND (until IS NULL OR seal.from_id < usher._first_id_at(until)) THEN
            SELECT d.row_count, d.digest INTO found_rows, found_digest FROM usher._digest_audit_rows(seal.from_id, seal.until_id) d;
            IF found_rows <> seal.row_count THEN
                problem := format('%s rows were sealed, %s are there', seal.row_count, found_rows);
            ELSIF found_digest <> seal.digest THEN
                problem := 'rows were changed';
            END IF;
        END IF;
        IF problem IS NOT NULL OR ((since IS NULL OR seal.until_id > usher._first_id_at(since)) AND (until IS NULL OR seal.from_id < usher._first_id_at(until))) THEN
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
    'Checks the sealed blocks of the audit log that lie in the period, and the whole chain of seals: one row per block, with what is wrong. Note the newest chain value elsewhere to notice a log that was rewritten as a whole. Needs audit:read.';

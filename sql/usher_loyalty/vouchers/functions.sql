CREATE FUNCTION @extschema@._new_code() RETURNS text
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_loyalty_new_code';
COMMENT ON FUNCTION @extschema@._new_code() IS '80 random bits in a form that people type.';

CREATE FUNCTION @extschema@._code_hash(code text) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_loyalty_code_hash';
COMMENT ON FUNCTION @extschema@._code_hash(text) IS
    'The hash of a code, whatever its case, spaces and dashes; NULL for what is none.';

CREATE FUNCTION @extschema@._hit_code_limit(OUT allowed boolean, OUT retry_after integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT h.allowed, h.retry_after INTO allowed, retry_after
    FROM usher.hit_rate_limit(CASE WHEN usher.has_permission('loyalty:redeem') OR @extschema@._loyalty_reads_all()
                                   THEN 'loyalty.staff_codes' ELSE 'loyalty.codes' END,
                              coalesce(usher.actor_id()::text, session_user)) AS h;
END
$$;
COMMENT ON FUNCTION @extschema@._hit_code_limit() IS
    'Counts a code that somebody tries, and says whether they may. With the library preloaded it stays counted when '
    'they roll back.';

CREATE FUNCTION @extschema@.create_vouchers(offer_id uuid, number integer DEFAULT 1, max_uses integer DEFAULT 1,
                                            batch text DEFAULT NULL, valid_until timestamptz DEFAULT NULL,
                                            customer_id uuid DEFAULT NULL, chosen_code text DEFAULT NULL)
    RETURNS TABLE (voucher_id uuid, code text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    missing name;
    broken name;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    IF number IS NULL OR number NOT BETWEEN 1 AND 10000 THEN
        PERFORM usher.raise_error('invalid_argument', 'number must be 1 to 10000',
                                  jsonb_build_object('argument', 'number'));
    ELSIF create_vouchers.chosen_code IS NOT NULL AND (number <> 1 OR length(create_vouchers.chosen_code) > 100
          OR @extschema@._code_hash(create_vouchers.chosen_code) IS NULL) THEN
        PERFORM usher.raise_error('invalid_argument',
            'chosen_code must have letters or digits, at most 100 characters, and be of one voucher',
            jsonb_build_object('argument', 'chosen_code'));
    END IF;
    PERFORM @extschema@._lock_offer(create_vouchers.offer_id, NULL);
    RETURN QUERY
    WITH fresh AS MATERIALIZED (
        SELECT usher.uuid_v7() AS id, coalesce(create_vouchers.chosen_code, @extschema@._new_code()) AS code
        FROM generate_series(1, number)
    ), stored AS (
        INSERT INTO @extschema@.offer_vouchers (id, offer_id, code_hash, batch, customer_id, max_uses, valid_until,
                                                created_by)
        SELECT f.id, create_vouchers.offer_id, @extschema@._code_hash(f.code), create_vouchers.batch,
               create_vouchers.customer_id, create_vouchers.max_uses, create_vouchers.valid_until, usher.actor_id()
        FROM fresh AS f
    )
    SELECT f.id, f.code FROM fresh AS f;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.create_vouchers(uuid, integer, integer, text, timestamptz, uuid, text) IS
    'Makes vouchers for an offer, with random codes or one of one''s choice, and returns the codes: this is the only '
    'time that they can be read. max_uses: of each; customer_id: for this one only. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.revoke_vouchers(offer_id uuid, batch text DEFAULT NULL, voucher_id uuid DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    revoked bigint;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._lock_offer(revoke_vouchers.offer_id, NULL);
    UPDATE @extschema@.offer_vouchers AS v SET is_active = false
    WHERE v.offer_id = revoke_vouchers.offer_id AND v.is_active
        AND (revoke_vouchers.batch IS NULL OR v.batch = revoke_vouchers.batch)
        AND (revoke_vouchers.voucher_id IS NULL OR v.id = revoke_vouchers.voucher_id);
    GET DIAGNOSTICS revoked = ROW_COUNT;
    RETURN revoked;
END
$$;
COMMENT ON FUNCTION @extschema@.revoke_vouchers(uuid, text, uuid) IS
    'Ends the vouchers of an offer, of a batch, or one, until restore_vouchers(); returns how many. What was used '
    'stays used. US005 for an unknown offer. Needs loyalty:manage.';

CREATE FUNCTION @extschema@.restore_vouchers(offer_id uuid, batch text DEFAULT NULL, voucher_id uuid DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    restored bigint;
BEGIN
    PERFORM usher.require_permission('loyalty:manage');
    PERFORM @extschema@._lock_offer(restore_vouchers.offer_id, NULL);
    UPDATE @extschema@.offer_vouchers AS v SET is_active = true
    WHERE v.offer_id = restore_vouchers.offer_id AND NOT v.is_active
        AND (restore_vouchers.batch IS NULL OR v.batch = restore_vouchers.batch)
        AND (restore_vouchers.voucher_id IS NULL OR v.id = restore_vouchers.voucher_id);
    GET DIAGNOSTICS restored = ROW_COUNT;
    RETURN restored;
END
$$;
COMMENT ON FUNCTION @extschema@.restore_vouchers(uuid, text, uuid) IS
    'Gives back what revoke_vouchers() took: all vouchers of an offer, a batch, or one; returns how many. What has '
    'expired meanwhile, or was used, stays so. US005 for an unknown offer. Needs loyalty:manage.';

CREATE TYPE @extschema@.payment_method_details AS (
    method_id uuid, customer_id uuid, processor text, kind text, brand text, last_four text, expiry_month smallint,
    expiry_year smallint, is_default boolean, created_at timestamptz, version integer);
COMMENT ON TYPE @extschema@.payment_method_details IS 'A saved method as people know it, without the token.';

CREATE FUNCTION @extschema@._own_or_managed(customer_id uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor CONSTANT uuid := usher.actor_id();
BEGIN
    IF actor IS NULL OR customer_id <> actor OR usher.current_api_key_id() IS NOT NULL THEN
        PERFORM usher.require_permission('payment:manage');
    END IF;
    RETURN coalesce(customer_id, actor);
END
$$;
COMMENT ON FUNCTION @extschema@._own_or_managed(uuid) IS
    'The customer, by default oneself; 42501 for others without payment:manage.';

CREATE FUNCTION @extschema@.save_payment_method(processor text, token text, kind text DEFAULT 'card',
                                                brand text DEFAULT NULL, last_four text DEFAULT NULL,
                                                expiry_month integer DEFAULT NULL, expiry_year integer DEFAULT NULL,
                                                is_default boolean DEFAULT false, customer_id uuid DEFAULT NULL)
    RETURNS @extschema@.payment_method_details
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payer CONSTANT uuid := @extschema@._own_or_managed(save_payment_method.customer_id);
    account CONSTANT uuid := (SELECT r.id FROM usher.references_of(ARRAY[payer]) AS r);
    saved @extschema@.payment_methods;
    violated text;
BEGIN
    IF payer IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'customer_id is needed',
                                  jsonb_build_object('argument', 'customer_id'));
    END IF;
    IF save_payment_method.is_default THEN
        UPDATE @extschema@.payment_methods AS m SET is_default = false, version = m.version + 1
        WHERE m.customer_id = payer AND m.is_default AND m.is_active;
    END IF;
    INSERT INTO @extschema@.payment_methods AS m (customer_id, user_id, processor, kind, token, brand, last_four,
                                                  expiry_month, expiry_year, is_default, created_by)
    VALUES (payer, account, save_payment_method.processor, save_payment_method.kind, save_payment_method.token,
            save_payment_method.brand, save_payment_method.last_four, save_payment_method.expiry_month::smallint,
            save_payment_method.expiry_year::smallint, coalesce(save_payment_method.is_default, false),
            usher.actor_id())
    ON CONFLICT (processor, token) DO UPDATE
    SET kind = excluded.kind, brand = excluded.brand, last_four = excluded.last_four,
        expiry_month = excluded.expiry_month, expiry_year = excluded.expiry_year, is_default = excluded.is_default,
        is_active = true, version = m.version + 1
    WHERE m.customer_id = excluded.customer_id
    RETURNING * INTO saved;
    IF saved.id IS NULL THEN
        PERFORM usher.raise_error('already_exists', 'another customer has this token',
                                  jsonb_build_object('argument', 'token'));
    END IF;
    RETURN (saved.id, saved.customer_id, saved.processor, saved.kind, saved.brand, saved.last_four, saved.expiry_month,
            saved.expiry_year, saved.is_default, saved.created_at, saved.version)
        ::@extschema@.payment_method_details;
EXCEPTION
    -- What the server says of such a row would show the token.
    WHEN check_violation OR not_null_violation OR numeric_value_out_of_range THEN
        GET STACKED DIAGNOSTICS violated = COLUMN_NAME;
        violated := coalesce(nullif(violated, ''), substring(SQLERRM FROM 'payment_methods_(\w+)_check'),
                             'expiry_year');
        PERFORM usher.raise_error('invalid_argument',
                                  format('%s is missing, or has a value that it cannot have', violated),
                                  jsonb_build_object('argument', violated));
END
$$;
COMMENT ON FUNCTION @extschema@.save_payment_method(text, text, text, text, text, integer, integer, boolean, uuid) IS
    'Keeps the token that a processor gave for a card or account of the customer, by default one''s own. Card numbers '
    'are refused (UP004). The token is never shown again. With payment:manage for others.';

CREATE FUNCTION @extschema@.list_payment_methods(customer_id uuid DEFAULT NULL)
    RETURNS SETOF @extschema@.payment_method_details
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payer CONSTANT uuid := @extschema@._own_or_managed(list_payment_methods.customer_id);
BEGIN
    PERFORM usher.log_read('customer', payer::text, '{"part": "payment_methods"}');
    RETURN QUERY SELECT m.id, m.customer_id, m.processor, m.kind, m.brand, m.last_four, m.expiry_month, m.expiry_year,
            m.is_default, m.created_at, m.version
        FROM @extschema@.payment_methods AS m
        WHERE (m.customer_id = payer OR m.user_id = payer) AND m.is_active
        ORDER BY m.is_default DESC, m.created_at, m.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_payment_methods(uuid) IS
    'What a customer, by default oneself, has saved to pay with. With payment:manage for others.';

CREATE FUNCTION @extschema@.remove_payment_method(method_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payer uuid;
BEGIN
    SELECT coalesce(m.user_id, m.customer_id) INTO payer FROM @extschema@.payment_methods AS m
    WHERE m.id = method_id AND m.is_active;
    IF NOT FOUND OR payer IS DISTINCT FROM @extschema@._acting_person() THEN
        PERFORM usher.require_permission('payment:manage');
    END IF;
    UPDATE @extschema@.payment_methods AS m SET is_active = false, is_default = false, version = m.version + 1
    WHERE m.id = method_id AND m.is_active;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_payment_method(uuid) IS
    'Takes a saved method away, one''s own or with payment:manage. False when there is none.';

CREATE FUNCTION @extschema@.get_payment_token(method_id uuid) RETURNS TABLE (processor text, token text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('payment:process');
    PERFORM usher.log_reads('payment_method', ARRAY[method_id]);
    RETURN QUERY SELECT m.processor, m.token FROM @extschema@.payment_methods AS m
        WHERE m.id = method_id AND m.is_active;
END
$$;
COMMENT ON FUNCTION @extschema@.get_payment_token(uuid) IS
    'The token of a saved method, for the worker that pays with it. Needs payment:process.';

CREATE TYPE @extschema@.payment_receipt AS (
    transaction_id uuid, status text, amount_minor bigint, currency text, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.payment_receipt IS
    'What create_payment() answers; replayed: the request was made before.';

CREATE TYPE @extschema@.payment_attempt_receipt AS (
    attempt_id uuid, attempt_no integer, provider_key text, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.payment_attempt_receipt IS
    'A call to make; replayed: it is under way already, or is to be repeated with the same provider key.';

CREATE TYPE @extschema@.payment_state AS (
    transaction_id uuid, status text, captured_minor bigint, version integer, replayed boolean);
COMMENT ON TYPE @extschema@.payment_state IS
    'Where a payment stands after a report; replayed: the report brought nothing new.';

CREATE TYPE @extschema@.payment_closing AS (transaction_id uuid, status text, version integer);
COMMENT ON TYPE @extschema@.payment_closing IS 'A payment that was given up.';

CREATE FUNCTION @extschema@._check_payment() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_check_transaction';
COMMENT ON FUNCTION @extschema@._check_payment() IS
    'Row trigger of payment_transactions: amounts and status follow from attempts, refunds and disputes.';

CREATE FUNCTION @extschema@._check_attempt() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_check_attempt';
COMMENT ON FUNCTION @extschema@._check_attempt() IS 'Row trigger of payment_attempts: which outcome may follow which.';

CREATE FUNCTION @extschema@._follow_attempt() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_follow_attempt';
COMMENT ON FUNCTION @extschema@._follow_attempt() IS
    'Row trigger of payment_attempts: the transaction follows, with ledger and events.';

CREATE FUNCTION @extschema@.create_payment(customer_id uuid DEFAULT NULL, amount_minor bigint DEFAULT NULL,
                                           currency text DEFAULT NULL, payment_method text DEFAULT 'card',
                                           reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                           purpose text DEFAULT 'sale', processor text DEFAULT NULL,
                                           id uuid DEFAULT NULL, idempotency_key text DEFAULT NULL,
                                           location_id uuid DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
                                           exponent integer DEFAULT NULL, exclusive boolean DEFAULT false)
    RETURNS @extschema@.payment_receipt
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_create';
COMMENT ON FUNCTION @extschema@.create_payment(uuid, bigint, text, text, text, uuid, text, text, uuid, text, uuid,
                                               timestamptz, integer, boolean) IS
    'Makes a pending payment of one''s own, or with payment:manage of any customer. amount_minor counts minor units '
    'of the currency; exponent, when given, must be that of ISO 4217. The same idempotency_key answers the same '
    'payment for ever, US004 when anything else is asked for. exclusive: raises 23505 while another live one has this '
    'purpose for the reference. That, and the purposes deposit, balance and duplicate, need payment:manage. A payment '
    'for what is sold somewhere belongs there, and so does the permission: 22023 for another location_id.';

CREATE FUNCTION @extschema@.begin_payment_attempt(transaction_id uuid, processor text DEFAULT NULL,
                                                  saved_method_id uuid DEFAULT NULL,
                                                  expected_version integer DEFAULT NULL)
    RETURNS @extschema@.payment_attempt_receipt
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_begin_attempt';
COMMENT ON FUNCTION @extschema@.begin_payment_attempt(uuid, text, uuid, integer) IS
    'Stores a call to the processor and publishes payment.attempt_requested, for a worker that makes it after the '
    'commit with this provider_key. While one is under way, it is answered again; one whose outcome is unknown is '
    'asked for again. Raises UP008 after payment.max_attempts, UP009 for a payment that was given up.';

CREATE FUNCTION @extschema@.record_payment_result(attempt_id uuid, outcome text,
                                                  processor_transaction_id text DEFAULT NULL,
                                                  captured_minor bigint DEFAULT NULL, response jsonb DEFAULT NULL,
                                                  failure_code text DEFAULT NULL, fee_minor bigint DEFAULT NULL)
    RETURNS @extschema@.payment_state
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_record_result';
COMMENT ON FUNCTION @extschema@.record_payment_result(uuid, text, text, bigint, jsonb, text, bigint) IS
    'What became of a call: succeeded, declined, or unknown (a timeout is not a no). Reports may come late and twice; '
    'success is final. Of the response only known members are kept. Needs payment:process. UP002 when the id of the '
    'processor is that of another attempt.';

CREATE FUNCTION @extschema@.record_manual_payment(transaction_id uuid, payment_method text DEFAULT NULL,
                                                  captured_minor bigint DEFAULT NULL, receipt text DEFAULT NULL,
                                                  expected_version integer DEFAULT NULL)
    RETURNS @extschema@.payment_state
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_record_manual';
COMMENT ON FUNCTION @extschema@.record_manual_payment(uuid, text, bigint, text, integer) IS
    'Cash, a bank transfer, a voucher or a cheque that somebody of the staff has taken. Needs payment:record, '
    'everywhere or where the payment belongs. UP003 while a processor is at work on it.';

CREATE FUNCTION @extschema@._payment_may(permission text, location_id uuid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_payment_may';
COMMENT ON FUNCTION @extschema@._payment_may(text, uuid) IS
    'Whether the current identity has a permission, everywhere or at the location. Raises 42501 for an untrusted '
    'database role without identity.';

CREATE FUNCTION @extschema@._payment_place(location_id uuid, reference_type text, reference_id uuid) RETURNS uuid
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_place';
COMMENT ON FUNCTION @extschema@._payment_place(uuid, text, uuid) IS
    'Where a payment belongs: where what it is for is sold, if somebody vouches for that, else where it was made.';

CREATE FUNCTION @extschema@._acting_person() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END;
END
$$;
COMMENT ON FUNCTION @extschema@._acting_person() IS
    'The user who acts for themselves. NULL for an API key: it may do what it holds a permission for, and one''s own '
    'payments need none.';

CREATE FUNCTION @extschema@._payment_sees(user_id uuid, location_id uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(user_id = @extschema@._acting_person(), false)
        OR @extschema@._payment_may('payment:read', location_id)
        OR @extschema@._payment_may('payment:manage', location_id);
END
$$;
COMMENT ON FUNCTION @extschema@._payment_sees(uuid, uuid) IS
    'Whether the actor may know of a payment: its customer, and those who read payments everywhere or at its '
    'location.';

CREATE FUNCTION @extschema@._announce_payment(reference_type text, reference_id uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF reference_type IN ('booking', 'order') THEN
        PERFORM usher.publish('payment.settling', jsonb_build_object('reference_type', reference_type,
                                                                     'reference_id', reference_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._announce_payment(text, uuid) IS
    'Tells the owner of a reference that payments for it are about to be locked: bookings and '
    'orders come first, whoever begins.';

CREATE FUNCTION @extschema@._close_payments(transaction_ids uuid[], reason_code text) RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    closed integer;
    locked uuid[];
BEGIN
    locked := ARRAY(SELECT t.id FROM @extschema@.payment_transactions AS t
                    WHERE t.id = ANY (transaction_ids) AND t.closed_at IS NULL
                        AND t.status IN ('pending', 'processing', 'failed')
                    ORDER BY t.id FOR NO KEY UPDATE);
    UPDATE @extschema@.payment_transactions AS t
    SET status = 'failed', closed_at = clock_timestamp(), close_reason = _close_payments.reason_code,
        refund_on_success = true
    WHERE t.id = ANY (locked) AND t.status IN ('pending', 'failed');
    GET DIAGNOSTICS closed = ROW_COUNT;
    -- The processor is at it. What it takes goes back, so that it keeps nobody from asking anew.
    UPDATE @extschema@.payment_transactions AS t
    SET refund_on_success = true, close_reason = _close_payments.reason_code, replacement_minor = NULL,
        exclusive = false
    WHERE t.id = ANY (locked) AND t.status = 'processing' AND NOT t.refund_on_success;
    RETURN closed;
END
$$;
COMMENT ON FUNCTION @extschema@._close_payments(uuid[], text) IS
    'Gives up what is not paid; what succeeds all the same goes back. Returns how many are closed.';

CREATE FUNCTION @extschema@._ask_payment(customer_id uuid, user_id uuid, location_id uuid, reference_type text,
                                         reference_id uuid, purpose text, amount_minor bigint, currency text,
                                         payment_method text, balance_minor bigint DEFAULT 0,
                                         created_by uuid DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_ask';
COMMENT ON FUNCTION @extschema@._ask_payment(uuid, uuid, uuid, text, uuid, text, bigint, text, text, bigint, uuid) IS
    'Makes the pending payment that a booking or order waits for, in place of whatever stands in its way. Every '
    'handler asks so: nobody''s payment keeps another one from being recorded.';

CREATE FUNCTION @extschema@.cancel_payment(transaction_id uuid, reason_code text DEFAULT 'cancelled',
                                           expected_version integer DEFAULT NULL)
    RETURNS @extschema@.payment_closing
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    payment @extschema@.payment_transactions;
    closing @extschema@.payment_closing;
    missing name;
    broken name;
BEGIN
    SELECT * INTO payment FROM @extschema@.payment_transactions AS t WHERE t.id = cancel_payment.transaction_id;
    IF payment.id IS NULL OR NOT (coalesce(payment.user_id = @extschema@._acting_person(), false)
                                  OR @extschema@._payment_may('payment:manage', @extschema@._payment_place(
                                      payment.location_id, payment.reference_type, payment.reference_id))) THEN
        PERFORM usher.raise_error('unknown_reference', 'payment does not exist',
                                  jsonb_build_object('transaction_id', cancel_payment.transaction_id));
    END IF;
    PERFORM @extschema@._announce_payment(payment.reference_type, payment.reference_id);
    SELECT * INTO payment FROM @extschema@.payment_transactions AS t
    WHERE t.id = cancel_payment.transaction_id FOR NO KEY UPDATE;
    IF expected_version <> payment.version THEN
        PERFORM usher.raise_error('stale_version', 'payment was changed by somebody else',
            jsonb_build_object('id', payment.id, 'expected_version', expected_version, 'version', payment.version));
    ELSIF payment.status = 'processing' THEN
        PERFORM usher.raise_error('outcome_unknown', 'a processor is at work on the payment',
                                  jsonb_build_object('transaction_id', payment.id));
    ELSIF payment.status IN ('completed', 'refunded') THEN
        PERFORM usher.raise_error('illegal_transition', format('payment is %s already', payment.status),
                                  jsonb_build_object('transaction_id', payment.id, 'status', payment.status));
    END IF;
    PERFORM @extschema@._close_payments(ARRAY[payment.id], reason_code);
    SELECT t.id, t.status, t.version INTO closing FROM @extschema@.payment_transactions AS t WHERE t.id = payment.id;
    RETURN closing;
EXCEPTION WHEN not_null_violation OR check_violation OR foreign_key_violation THEN
    GET STACKED DIAGNOSTICS missing = COLUMN_NAME, broken = CONSTRAINT_NAME;
    PERFORM usher.raise_misfit('@extschema@', missing, broken);
    RAISE;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_payment(uuid, text, integer) IS
    'Gives up a payment that is pending or has failed: one''s own, or with payment:manage. Raises UP003 while a '
    'processor is at work on it.';

-- Reading payments. Customers read their own, managers those of their locations (payment:read with the location as its
-- scope), and whoever holds payment:read everywhere reads all.

CREATE TYPE @extschema@.payment_details AS (
    transaction_id uuid, status text, customer_id uuid, customer usher.user_reference, location_id uuid,
    reference_type text, reference_id uuid, purpose text, amount_minor bigint, currency text, exponent smallint,
    payment_method text, processor text, processor_transaction_id text, captured_minor bigint, refunded_minor bigint,
    refund_reserved_minor bigint, refundable_minor bigint, disputed_minor bigint, fee_minor bigint,
    attempt_count integer, failure_code text, close_reason text, closed_at timestamptz,
    expires_at timestamptz, completed_at timestamptz,
    created_at timestamptz, updated_at timestamptz, version integer);
COMMENT ON TYPE @extschema@.payment_details IS 'A payment as it is read, and who pays it.';

CREATE FUNCTION @extschema@._describe_payments(transaction_ids uuid[]) RETURNS SETOF @extschema@.payment_details
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(DISTINCT t.user_id) INTO people FROM @extschema@.payment_transactions AS t
    WHERE t.id = ANY (transaction_ids) AND t.user_id IS NOT NULL;
    RETURN QUERY
    WITH known AS MATERIALIZED (
        SELECT r.id, ROW(r.id, r.email, r.role, r.name)::usher.user_reference AS reference
        FROM usher.references_of(people) AS r
    )
    SELECT t.id, t.status, t.customer_id, k.reference, t.location_id, t.reference_type, t.reference_id, t.purpose,
        t.amount_minor, t.currency, t.exponent, t.payment_method, t.processor, t.processor_transaction_id,
        t.captured_minor, t.refunded_minor, t.refund_reserved_minor,
        greatest(t.captured_minor - t.refunded_minor - t.refund_reserved_minor - t.disputed_minor, 0),
        t.disputed_minor, t.fee_minor, t.attempt_count, t.failure_code, t.close_reason, t.closed_at, t.expires_at,
        t.completed_at, t.created_at, t.updated_at, t.version
    FROM unnest(transaction_ids) WITH ORDINALITY AS wanted (id, position)
        JOIN @extschema@.payment_transactions AS t ON t.id = wanted.id
        LEFT JOIN known AS k ON k.id = t.user_id
    ORDER BY wanted.position;
END
$$;
COMMENT ON FUNCTION @extschema@._describe_payments(uuid[]) IS
    'Payments as they are read, with one look-up of users for the whole batch.';

CREATE FUNCTION @extschema@._require_visible(transaction_id uuid) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner uuid;
    location uuid;
    is_known boolean;
BEGIN
    SELECT t.user_id, t.location_id, true INTO owner, location, is_known
    FROM @extschema@.payment_transactions AS t WHERE t.id = _require_visible.transaction_id;
    -- The answer is the same for a payment that does not exist and for one of somebody else.
    IF NOT @extschema@._payment_sees(owner, location) OR is_known IS NULL THEN
        PERFORM usher.raise_error('unknown_reference', 'payment does not exist',
                                  jsonb_build_object('transaction_id', _require_visible.transaction_id));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_visible(uuid) IS 'Raises US005 unless the actor may know of the payment.';

CREATE FUNCTION @extschema@.get_payment(transaction_id uuid) RETURNS @extschema@.payment_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    payment @extschema@.payment_details;
BEGIN
    PERFORM @extschema@._require_visible(get_payment.transaction_id);
    PERFORM usher.log_reads('payment', ARRAY[get_payment.transaction_id]);
    SELECT * INTO payment FROM @extschema@._describe_payments(ARRAY[get_payment.transaction_id]);
    RETURN payment;
END
$$;
COMMENT ON FUNCTION @extschema@.get_payment(uuid) IS
    'One payment: one''s own, or with payment:read everywhere or at its location. US005 for others.';

-- A page is put together from walks along indexes in the order of the answer, each of which ends after a page: how
-- long it takes depends on what is asked for, not on what there is.
CREATE FUNCTION @extschema@._payments_query(walk text, VARIADIC conditions text[]) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('SELECT x.created_at, x.id FROM unnest($1) AS s (status) CROSS JOIN unnest($2) AS l (id) '
                      'CROSS JOIN LATERAL (SELECT t.created_at, t.id FROM @extschema@.payment_transactions AS t '
                      'WHERE %s AND %s ORDER BY t.created_at, t.id LIMIT $3) AS x',
                  walk, array_to_string(conditions, ' AND '));
END
$$;
COMMENT ON FUNCTION @extschema@._payments_query(text, text[]) IS
    'A query for payments t that meet all conditions, along an index: for each status s of $1 and each location l of '
    '$2 at most $3 rows. Columns and conditions are of the caller, nobody else''s.';

CREATE FUNCTION @extschema@.list_payments(customer_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL,
                                          reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                          statuses text[] DEFAULT NULL, created tstzrange DEFAULT NULL,
                                          after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.payment_details
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_bitmapscan = off -- each walk goes along its index until the page is full, however few rows are expected
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    person CONSTANT uuid := @extschema@._acting_person();
    reads_all CONSTANT boolean := actor IS NULL OR usher.has_permission('payment:read');
    reads_others CONSTANT boolean := reads_all OR usher.has_permission_somewhere('payment:read');
    wanted CONSTANT text[] := ARRAY(SELECT DISTINCT s FROM unnest(coalesce(statuses,
        '{pending,processing,completed,failed,refunded}')) AS s);
    places uuid[] := ARRAY[NULL::uuid];
    last_created timestamptz;
    conditions text[];
    query text;
    page uuid[];
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    IF actor IS NULL THEN
        PERFORM usher.require_permission('payment:read');
    END IF;
    IF EXISTS (SELECT FROM unnest(statuses) AS s
        WHERE s IS NULL OR s NOT IN ('pending', 'processing', 'completed', 'failed', 'refunded')) THEN
        PERFORM usher.raise_error('invalid_argument', 'statuses must be statuses of payments',
                                  jsonb_build_object('argument', 'statuses'));
    END IF;
    IF after IS NOT NULL THEN
        SELECT t.created_at INTO last_created FROM @extschema@.payment_transactions AS t
        WHERE t.id = after AND (actor IS NULL OR t.user_id = person
                                OR usher.has_permission('payment:read', t.location_id::text));
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'payment does not exist',
                                      jsonb_build_object('argument', 'after'));
        END IF;
    END IF;
    conditions := ARRAY['t.status = s.status',
        CASE WHEN after IS NOT NULL THEN '(t.created_at, t.id) > ($4, $5)' END,
        CASE WHEN created IS NOT NULL
                 THEN 't.created_at >= coalesce(lower($6), ''-infinity'') AND t.created_at <= coalesce(upper($6), '
                      '''infinity'') AND t.created_at <@ $6' END,
        CASE WHEN customer_id IS NOT NULL THEN 't.customer_id = $7' END,
        CASE WHEN location_id IS NOT NULL THEN 't.location_id = $8' END,
        CASE WHEN reference_type IS NOT NULL THEN 't.reference_type = $9' END,
        CASE WHEN reference_id IS NOT NULL THEN 't.reference_id = $10' END,
        CASE WHEN NOT reads_others THEN 't.user_id = $11'
             WHEN actor IS NOT NULL
                 THEN '(t.user_id = $11 OR usher.has_permission(''payment:read'', t.location_id::text))' END];
    -- What to walk along: what is asked for, or else what the actor sees.
    IF reference_id IS NOT NULL OR customer_id IS NOT NULL THEN
        query := @extschema@._payments_query('true', VARIADIC conditions); -- few: by the index of either
    ELSIF location_id IS NOT NULL AND reads_others THEN
        query := @extschema@._payments_query('t.location_id = $8', VARIADIC conditions);
    ELSIF reads_all THEN
        query := @extschema@._payments_query('true', VARIADIC conditions);
    ELSE
        query := @extschema@._payments_query('t.user_id = $11', VARIADIC conditions);
        IF reads_others THEN
            places := ARRAY(SELECT usher.uuid_or_null(p.scope)
                            FROM usher.permission_scopes('payment:read') AS p (scope)
                            WHERE usher.uuid_or_null(p.scope) IS NOT NULL) || NULL::uuid;
            query := query || ' UNION ' || @extschema@._payments_query('t.location_id = l.id', VARIADIC conditions);
        END IF;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT x.id FROM (SELECT DISTINCT p.created_at, p.id FROM (%s) AS p) AS x '
                   'ORDER BY x.created_at, x.id LIMIT $3)', query)
        INTO page
        USING wanted, places, max_rows, last_created, after, created, customer_id, location_id, reference_type,
        reference_id, person;
    PERFORM usher.log_reads('payment', page);
    RETURN QUERY SELECT d.* FROM @extschema@._describe_payments(page) AS d;
END
$$;
COMMENT ON FUNCTION @extschema@.list_payments(uuid, uuid, text, uuid, text[], tstzrange, uuid, integer) IS
    'The payments that the actor may see, oldest first: customers their own, managers those of their locations. The '
    'next page starts after the last transaction_id.';

CREATE FUNCTION @extschema@.get_payment_balance(reference_type text, reference_id uuid)
    RETURNS TABLE (currency text, captured_minor bigint, refunded_minor bigint, reserved_minor bigint,
                   disputed_minor bigint, net_minor bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    actor CONSTANT uuid := usher.actor_id();
    person CONSTANT uuid := @extschema@._acting_person();
BEGIN
    IF actor IS NULL THEN
        PERFORM usher.require_permission('payment:read');
    END IF;
    RETURN QUERY
    SELECT t.currency, sum(t.captured_minor)::bigint, sum(t.refunded_minor)::bigint,
           sum(t.refund_reserved_minor)::bigint, sum(t.disputed_minor)::bigint,
           sum(t.captured_minor - t.refunded_minor)::bigint
    FROM @extschema@.payment_transactions AS t
    WHERE t.reference_id = get_payment_balance.reference_id AND t.reference_type = get_payment_balance.reference_type
        AND (actor IS NULL OR t.user_id = person OR usher.has_permission('payment:read', t.location_id::text))
    GROUP BY t.currency
    ORDER BY t.currency;
END
$$;
COMMENT ON FUNCTION @extschema@.get_payment_balance(text, uuid) IS
    'What was captured and refunded for one reference, of what the actor may see: a row for each currency, none for a '
    'reference without payments. net_minor: captured less refunded.';

CREATE FUNCTION @extschema@.list_unresolved_attempts(older_than interval DEFAULT '0', after uuid DEFAULT NULL,
                                                     max_rows integer DEFAULT 100)
    RETURNS TABLE (attempt_id uuid, transaction_id uuid, processor text, provider_key text, outcome text, age interval)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.require_permission('payment:process');
    PERFORM usher.check_max_rows(max_rows);
    RETURN QUERY SELECT a.id, a.transaction_id, a.processor, a.provider_key, a.outcome,
            clock_timestamp() - a.requested_at
        FROM @extschema@.payment_attempts AS a
        WHERE a.outcome IN ('requested', 'unknown') AND a.requested_at <= clock_timestamp() - older_than
            AND (after IS NULL OR a.id > after)
        ORDER BY a.id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_unresolved_attempts(interval, uuid, integer) IS
    'Calls to processors of which nobody knows what became: to be repeated with the same provider_key. Needs '
    'payment:process.';

CREATE FUNCTION @extschema@.list_payment_attempts(transaction_id uuid)
    RETURNS TABLE (attempt_id uuid, attempt_no integer, processor text, outcome text, processor_transaction_id text,
                   captured_minor bigint, fee_minor bigint, failure_code text, response jsonb,
                   requested_at timestamptz, resolved_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    shows_responses boolean;
BEGIN
    PERFORM @extschema@._require_visible(list_payment_attempts.transaction_id);
    shows_responses := @extschema@._payment_may('payment:manage', (SELECT t.location_id
        FROM @extschema@.payment_transactions AS t WHERE t.id = list_payment_attempts.transaction_id));
    PERFORM usher.log_reads('payment', ARRAY[list_payment_attempts.transaction_id]);
    RETURN QUERY SELECT a.id, a.attempt_no, a.processor, a.outcome, a.processor_transaction_id, a.captured_minor,
            a.fee_minor, a.failure_code, CASE WHEN shows_responses THEN a.response END, a.requested_at, a.resolved_at
        FROM @extschema@.payment_attempts AS a
        WHERE a.transaction_id = list_payment_attempts.transaction_id
        ORDER BY a.attempt_no;
END
$$;
COMMENT ON FUNCTION @extschema@.list_payment_attempts(uuid) IS
    'The calls that were made for a payment that one may see; the answers of processors with payment:manage.';

CREATE FUNCTION @extschema@.list_refunds(transaction_id uuid)
    RETURNS TABLE (refund_id uuid, status text, amount_minor bigint, currency text, reason_code text, notes text,
                   processor text, processor_refund_id text, failure_code text, created_at timestamptz,
                   resolved_at timestamptz, version integer)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    shows_notes boolean;
BEGIN
    PERFORM @extschema@._require_visible(list_refunds.transaction_id);
    shows_notes := @extschema@._payment_may('payment:read', (SELECT t.location_id
        FROM @extschema@.payment_transactions AS t WHERE t.id = list_refunds.transaction_id));
    PERFORM usher.log_reads('payment', ARRAY[list_refunds.transaction_id]);
    RETURN QUERY SELECT r.id, r.status, r.amount_minor, r.currency, r.reason_code,
            CASE WHEN shows_notes THEN r.notes END, r.processor,
            r.processor_refund_id, r.failure_code, r.created_at, r.resolved_at, r.version
        FROM @extschema@.payment_refunds AS r
        WHERE r.transaction_id = list_refunds.transaction_id
        ORDER BY r.created_at, r.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_refunds(uuid) IS
    'The refunds of a payment that one may see; what the staff noted with payment:read.';

CREATE FUNCTION @extschema@.get_payment_history(transaction_id uuid, after_seq integer DEFAULT 0,
                                                max_rows integer DEFAULT 100)
    RETURNS TABLE (seq integer, from_status text, to_status text, changed_by usher.user_reference, reason_code text,
                   notes text, changed_at timestamptz, version integer)
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM @extschema@._require_visible(get_payment_history.transaction_id);
    PERFORM usher.log_reads('payment', ARRAY[get_payment_history.transaction_id]);
    RETURN QUERY
        SELECT h.seq, h.from_status, h.to_status, h.changed_by, h.reason_code, h.notes, h.changed_at, h.version
        FROM usher.history('@extschema@.payment_transactions'::regclass, transaction_id, after_seq, max_rows) AS h;
END
$$;
COMMENT ON FUNCTION @extschema@.get_payment_history(uuid, integer, integer) IS
    'Every status a payment had: who changed it, when and why.';

CREATE TYPE @extschema@.payment_report AS (
    day date, payment_method text, currency text, location_id uuid, payments bigint, captured_minor bigint,
    fee_minor bigint, refunds bigint, refunded_minor bigint, net_minor bigint);
COMMENT ON TYPE @extschema@.payment_report IS 'What came in and went back on one day, by one method, in one place.';

CREATE FUNCTION @extschema@._is_time_zone(name text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The view of all names reads the files of all zones.
    PERFORM now() AT TIME ZONE name;
    RETURN name IS NOT NULL;
EXCEPTION
    WHEN invalid_parameter_value THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._is_time_zone(text) IS 'Whether the server knows a time zone of this name.';

CREATE FUNCTION @extschema@.report_payments(since date, until date, location_id uuid DEFAULT NULL,
                                            time_zone text DEFAULT 'UTC')
    RETURNS SETOF @extschema@.payment_report
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    from_time timestamptz;
    to_time timestamptz;
BEGIN
    IF NOT @extschema@._payment_may('payment:read', report_payments.location_id) THEN
        PERFORM usher.raise_error('not_permitted', 'permission "payment:read" is needed',
                                  jsonb_build_object('permission', 'payment:read'));
    ELSIF since IS NULL OR until IS NULL OR NOT isfinite(since) OR NOT isfinite(until) OR until < since
          OR until - since > 3660 THEN
        PERFORM usher.raise_error('invalid_argument', 'since and until must be days, ten years apart at most',
                                  jsonb_build_object('argument', 'until'));
    ELSIF NOT @extschema@._is_time_zone(time_zone) THEN
        PERFORM usher.raise_error('invalid_argument', 'time_zone is not known',
                                  jsonb_build_object('argument', 'time_zone'));
    END IF;
    from_time := since::timestamp AT TIME ZONE time_zone;
    to_time := (until + 1)::timestamp AT TIME ZONE time_zone;
    RETURN QUERY
    SELECT x.day, x.payment_method, x.currency, x.location_id, sum(x.payments)::bigint, sum(x.captured)::bigint,
           sum(x.fee)::bigint, sum(x.refunds)::bigint, sum(x.refunded)::bigint,
           sum(x.captured - x.fee - x.refunded)::bigint
    FROM (SELECT (t.completed_at AT TIME ZONE time_zone)::date AS day, t.payment_method, t.currency, t.location_id,
                 1 AS payments, t.captured_minor AS captured, t.fee_minor AS fee, 0 AS refunds, 0::bigint AS refunded
          FROM @extschema@.payment_transactions AS t
          WHERE t.completed_at >= from_time AND t.completed_at < to_time
              AND (report_payments.location_id IS NULL OR t.location_id = report_payments.location_id)
          UNION ALL
          SELECT (r.resolved_at AT TIME ZONE time_zone)::date, t.payment_method, t.currency, t.location_id, 0, 0, 0, 1,
                 r.amount_minor
          FROM @extschema@.payment_refunds AS r JOIN @extschema@.payment_transactions AS t ON t.id = r.transaction_id
          WHERE r.status = 'succeeded' AND r.resolved_at >= from_time AND r.resolved_at < to_time
              AND (report_payments.location_id IS NULL OR t.location_id = report_payments.location_id)) AS x
    GROUP BY x.day, x.payment_method, x.currency, x.location_id
    ORDER BY x.day, x.currency, x.payment_method, x.location_id;
END
$$;
COMMENT ON FUNCTION @extschema@.report_payments(date, date, uuid, text) IS
    'What came in and went back, by local day, method, currency and location: payments on the day they were captured, '
    'refunds on the day they succeeded. Needs payment:read, everywhere or at the location.';

CREATE FUNCTION @extschema@._payment_reads_all() RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_payment_reads_all';
COMMENT ON FUNCTION @extschema@._payment_reads_all() IS
    'Whether this is a trusted database role that acts for nobody in particular.';

-- Row-level security for those who SELECT from the table themselves.
ALTER TABLE @extschema@.payment_transactions ENABLE ROW LEVEL SECURITY;
CREATE POLICY payments_own ON @extschema@.payment_transactions FOR SELECT
    USING (user_id = (SELECT CASE WHEN usher.current_api_key_id() IS NULL THEN usher.current_user_id() END));
CREATE POLICY payments_of_locations ON @extschema@.payment_transactions FOR SELECT
    USING (usher.has_permission('payment:read', location_id::text));
CREATE POLICY payments_trusted ON @extschema@.payment_transactions FOR SELECT
    USING ((SELECT @extschema@._payment_reads_all()));

CREATE FUNCTION @extschema@._check_journal() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_check_journal';
COMMENT ON FUNCTION @extschema@._check_journal() IS
    'Constraint trigger of ledger_entries: raises UP006 at commit for a journal that does not sum to zero, and UP007 '
    'for one that another transaction has posted.';

CREATE FUNCTION @extschema@._note_journal() RETURNS trigger
    LANGUAGE c VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'usher_payment_note_journal';
COMMENT ON FUNCTION @extschema@._note_journal() IS
    'Row trigger of ledger_journals: notes that the totals do not contain the journal yet.';

CREATE FUNCTION @extschema@._refuse_ledger_change() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'usher_payment_refuse_ledger_change';
COMMENT ON FUNCTION @extschema@._refuse_ledger_change() IS
    'Statement trigger of the ledger: raises UP007 for every UPDATE, DELETE and TRUNCATE, whoever does it.';

CREATE TYPE @extschema@.ledger_receipt AS (journal_id uuid, replayed boolean);
COMMENT ON TYPE @extschema@.ledger_receipt IS 'A journal that was posted; replayed: by an earlier call.';

CREATE TYPE @extschema@.ledger_journal_details AS (
    journal_id uuid, kind text, posted_at timestamptz, reference_type text, reference_id uuid, reverses uuid,
    description text, entries jsonb);
COMMENT ON TYPE @extschema@.ledger_journal_details IS 'A journal with its entries.';

CREATE FUNCTION @extschema@.post_ledger(entries jsonb, description text DEFAULT NULL, kind text DEFAULT 'manual',
                                        reference_type text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                        idempotency_key text DEFAULT NULL)
    RETURNS @extschema@.ledger_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    journal CONSTANT uuid := usher.uuid_v7();
    scope text := '';
    hash bytea;
    stored @extschema@.ledger_journals;
    wrong jsonb;
BEGIN
    PERFORM usher.require_permission('ledger:post');
    IF entries IS NULL OR jsonb_typeof(entries) <> 'array' OR jsonb_array_length(entries) NOT BETWEEN 2 AND 1000 THEN
        PERFORM usher.raise_error('invalid_argument', 'entries must be an array of 2 to 1000 entries',
                                  jsonb_build_object('argument', 'entries'));
    END IF;
    -- Whole numbers as numbers: neither 1.5 nor "NaN" nor 1e400 is an amount.
    SELECT e.value INTO wrong FROM jsonb_array_elements(entries) AS e
    WHERE jsonb_typeof(e.value) <> 'object' OR NOT coalesce(e.value ->> 'amount_minor' ~ '^[0-9]{1,18}$'
        AND jsonb_typeof(e.value -> 'amount_minor') = 'number'
        AND @extschema@._is_payable(CASE WHEN e.value ->> 'amount_minor' ~ '^[0-9]{1,18}$'
                                         THEN (e.value ->> 'amount_minor')::bigint END)
        AND e.value ->> 'direction' IN ('debit', 'credit')
        AND @extschema@._currency_exponent(e.value ->> 'currency') IS NOT NULL AND e.value ->> 'account' IS NOT NULL,
        false)
    LIMIT 1;
    IF FOUND THEN
        PERFORM usher.raise_error('invalid_argument',
            'an entry needs account, direction (debit, credit), amount_minor (a whole number above 0) and currency',
            jsonb_build_object('argument', 'entries'));
    END IF;
    IF idempotency_key IS NOT NULL THEN
        scope := coalesce(usher.actor_id()::text, session_user);
        hash := sha256(convert_to(jsonb_build_array(entries, description, kind, reference_type, reference_id)::text,
                                  'UTF8'));
    END IF;
    INSERT INTO @extschema@.ledger_journals (id, kind, description, reference_type, reference_id, idempotency_scope,
                                             idempotency_key, request_hash, posted_by)
    VALUES (journal, post_ledger.kind, post_ledger.description, post_ledger.reference_type, post_ledger.reference_id,
            scope, coalesce(post_ledger.idempotency_key, journal::text), hash, usher.actor_id())
    ON CONFLICT (idempotency_scope, idempotency_key) DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO stored FROM @extschema@.ledger_journals AS j
        WHERE j.idempotency_scope = scope AND j.idempotency_key = post_ledger.idempotency_key;
        IF stored.request_hash IS DISTINCT FROM hash THEN
            PERFORM usher.raise_error('idempotency_mismatch', 'idempotency key was used before with other arguments',
                                      '{}');
        END IF;
        RETURN (stored.id, true)::@extschema@.ledger_receipt;
    END IF;
    INSERT INTO @extschema@.ledger_entries (journal_id, entry_no, account, direction, amount_minor, currency)
    SELECT journal, e.number, e.value ->> 'account', e.value ->> 'direction', (e.value ->> 'amount_minor')::bigint,
           e.value ->> 'currency'
    FROM jsonb_array_elements(entries) WITH ORDINALITY AS e (value, number);
    RETURN (journal, false)::@extschema@.ledger_receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.post_ledger(jsonb, text, text, text, uuid, text) IS
    'Posts a journal: [{"account", "direction": "debit" or "credit", "amount_minor", "currency"}, …]. Raises UP006 at '
    'commit when it does not sum to zero in each currency. Needs ledger:post.';

CREATE FUNCTION @extschema@.reverse_journal(journal_id uuid, description text DEFAULT NULL)
    RETURNS @extschema@.ledger_receipt
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    reversal CONSTANT uuid := usher.uuid_v7();
    known uuid;
BEGIN
    PERFORM usher.require_permission('ledger:post');
    INSERT INTO @extschema@.ledger_journals (id, kind, description, reference_type, reference_id, reverses, posted_by)
    SELECT reversal, 'reversal', reverse_journal.description, j.reference_type, j.reference_id, j.id,
           usher.actor_id()
    FROM @extschema@.ledger_journals AS j
    WHERE j.id = reverse_journal.journal_id
    ON CONFLICT (reverses) DO NOTHING;
    IF NOT FOUND THEN
        SELECT j.id INTO known FROM @extschema@.ledger_journals AS j WHERE j.reverses = reverse_journal.journal_id;
        IF NOT FOUND THEN
            PERFORM usher.raise_error('unknown_reference', 'journal does not exist',
                                      jsonb_build_object('journal_id', reverse_journal.journal_id));
        END IF;
        RETURN (known, true)::@extschema@.ledger_receipt;
    END IF;
    INSERT INTO @extschema@.ledger_entries (journal_id, entry_no, account, direction, amount_minor, currency)
    SELECT reversal, e.entry_no, e.account, CASE e.direction WHEN 'debit' THEN 'credit' ELSE 'debit' END,
           e.amount_minor, e.currency
    FROM @extschema@.ledger_entries AS e
    WHERE e.journal_id = reverse_journal.journal_id;
    RETURN (reversal, false)::@extschema@.ledger_receipt;
END
$$;
COMMENT ON FUNCTION @extschema@.reverse_journal(uuid, text) IS
    'Posts the opposite of a journal, once: a second call answers the same reversal. Needs ledger:post.';

CREATE FUNCTION @extschema@._sum_ledger(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    journals uuid[];
BEGIN
    WITH taken AS (
        DELETE FROM @extschema@.ledger_unsummed_journals AS u WHERE u.journal_id IN (
            SELECT o.journal_id FROM @extschema@.ledger_unsummed_journals AS o
            ORDER BY o.journal_id LIMIT max_rows FOR UPDATE SKIP LOCKED)
        RETURNING u.journal_id
    )
    SELECT array_agg(t.journal_id) INTO journals FROM taken AS t;
    INSERT INTO @extschema@.ledger_totals AS t (account, currency, day, debit_minor, credit_minor)
    SELECT e.account, e.currency, (j.posted_at AT TIME ZONE 'UTC')::date,
           coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'debit'), 0),
           coalesce(sum(e.amount_minor) FILTER (WHERE e.direction = 'credit'), 0)
    FROM @extschema@.ledger_journals AS j JOIN @extschema@.ledger_entries AS e ON e.journal_id = j.id
    WHERE j.id = ANY (journals)
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (account, currency, day) DO UPDATE
        SET debit_minor = t.debit_minor + excluded.debit_minor, credit_minor = t.credit_minor + excluded.credit_minor;
    RETURN coalesce(cardinality(journals), 0);
END
$$;
COMMENT ON FUNCTION @extschema@._sum_ledger(integer) IS
    'Adds journals, at most so many, to the totals of their days; returns how many.';

CREATE FUNCTION @extschema@._ledger_sums(of_account text, of_currency text, until timestamptz)
    RETURNS TABLE (account text, currency text, debit_minor numeric, credit_minor numeric)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    first_day CONSTANT date := (until AT TIME ZONE 'UTC')::date; -- which the totals contain in part
    -- Up to here totals and what they do not contain yet are added, from here on journals.
    midnight CONSTANT timestamptz := coalesce(first_day::timestamp AT TIME ZONE 'UTC', 'infinity');
    -- One query for each question: with conditions that may be NULL, one plan for all would read the tables whole.
    condition CONSTANT text := CASE WHEN of_account IS NOT NULL
                                    THEN 'AND e.account = $1 AND e.currency = $2' ELSE '' END;
BEGIN
    RETURN QUERY EXECUTE format($sql$
        SELECT s.account, s.currency, sum(s.debit), sum(s.credit)
        FROM (
            SELECT e.account, e.currency, e.debit_minor AS debit, e.credit_minor AS credit
            FROM @extschema@.ledger_totals AS e
            WHERE %2$s %1$s
            UNION ALL
            SELECT e.account, e.currency, CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE 0 END,
                   CASE e.direction WHEN 'credit' THEN e.amount_minor ELSE 0 END
            FROM (SELECT j.id
                  FROM @extschema@.ledger_unsummed_journals AS u
                      JOIN @extschema@.ledger_journals AS j ON j.id = u.journal_id
                  WHERE j.posted_at < $3
                  UNION ALL
                  SELECT j.id FROM @extschema@.ledger_journals AS j
                  WHERE %3$s) AS j
                JOIN @extschema@.ledger_entries AS e ON e.journal_id = j.id
            WHERE true %1$s) AS s
        GROUP BY s.account, s.currency ORDER BY s.account, s.currency$sql$,
        condition, CASE WHEN until IS NULL THEN 'true' ELSE 'e.day < $4' END,
        CASE WHEN until IS NULL THEN 'false' ELSE 'j.posted_at >= $3 AND j.posted_at < $5' END)
    USING of_account, of_currency, midnight, first_day, until;
END
$$;
COMMENT ON FUNCTION @extschema@._ledger_sums(text, text, timestamptz) IS
    'What was debited and credited, to one account in a currency or to each, now or before a time.';

CREATE FUNCTION @extschema@.get_ledger_balance(account text, currency text, OUT debit_minor numeric,
                                               OUT credit_minor numeric, OUT net_minor numeric)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('ledger:read');
    PERFORM @extschema@._require_currency(get_ledger_balance.currency);
    IF get_ledger_balance.account IS NULL THEN
        PERFORM usher.raise_error('invalid_argument', 'account must not be null', '{"argument": "account"}');
    END IF;
    SELECT coalesce(sum(s.debit_minor), 0), coalesce(sum(s.credit_minor), 0),
           coalesce(sum(s.debit_minor - s.credit_minor), 0)
    INTO debit_minor, credit_minor, net_minor
    FROM @extschema@._ledger_sums(get_ledger_balance.account, get_ledger_balance.currency, NULL) AS s;
END
$$;
COMMENT ON FUNCTION @extschema@.get_ledger_balance(text, text) IS
    'What was debited and credited to an account in a currency: whole numbers, which may be more than a bigint holds. '
    'Needs ledger:read.';

CREATE FUNCTION @extschema@.get_trial_balance(until timestamptz DEFAULT NULL)
    RETURNS TABLE (account text, currency text, debit_minor numeric, credit_minor numeric, net_minor numeric)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM usher.require_permission('ledger:read');
    RETURN QUERY
    SELECT s.account, s.currency, s.debit_minor, s.credit_minor, s.debit_minor - s.credit_minor
    FROM @extschema@._ledger_sums(NULL, NULL, until) AS s
    ORDER BY s.account, s.currency;
END
$$;
COMMENT ON FUNCTION @extschema@.get_trial_balance(timestamptz) IS
    'All accounts in all currencies, now or before a time: the net sums are zero in each currency. Sums are whole '
    'numbers, which may be more than a bigint holds. Needs ledger:read.';

CREATE FUNCTION @extschema@._journals_of(account text, after uuid, max_rows integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- From one currency to the next in the index, and from one journal to the next of all of them. The whole key is
    -- compared and sorted by, so that no plan walks along another index until it meets the account again.
    RETURN QUERY
    WITH RECURSIVE known (currency) AS (
        SELECT (SELECT e.currency FROM @extschema@.ledger_entries AS e
                WHERE e.account = _journals_of.account ORDER BY e.currency LIMIT 1)
        UNION ALL
        SELECT (SELECT e.currency FROM @extschema@.ledger_entries AS e
                WHERE e.account = _journals_of.account AND e.currency > k.currency ORDER BY e.currency LIMIT 1)
        FROM known AS k WHERE k.currency IS NOT NULL
    ), step (id, number) AS (
        SELECT _journals_of.after, 0
        UNION ALL
        SELECT (SELECT min(next.journal_id::text)::uuid
                FROM known AS k CROSS JOIN LATERAL (
                    SELECT e.account, e.currency, e.journal_id FROM @extschema@.ledger_entries AS e
                    WHERE (e.account, e.currency, e.journal_id) > (_journals_of.account, k.currency, s.id)
                    ORDER BY e.account, e.currency, e.journal_id LIMIT 1) AS next
                WHERE k.currency IS NOT NULL AND next.account = _journals_of.account AND next.currency = k.currency),
            s.number + 1
        FROM step AS s WHERE s.id IS NOT NULL AND s.number < max_rows
    )
    SELECT s.id FROM step AS s WHERE s.number > 0 AND s.id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._journals_of(text, uuid, integer) IS
    'The next journals with an entry of an account, in the order of their ids.';

CREATE FUNCTION @extschema@.list_ledger_entries(account text DEFAULT NULL, reference_id uuid DEFAULT NULL,
                                                after uuid DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.ledger_journal_details
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    first_after CONSTANT uuid := coalesce(after, '00000000-0000-0000-0000-000000000000');
    wanted uuid[];
BEGIN
    PERFORM usher.require_permission('ledger:read');
    PERFORM usher.check_max_rows(max_rows);
    IF reference_id IS NOT NULL THEN -- has few
        wanted := ARRAY(SELECT j.id FROM @extschema@.ledger_journals AS j
            WHERE j.reference_id = list_ledger_entries.reference_id AND j.id > first_after
                AND (list_ledger_entries.account IS NULL OR EXISTS (SELECT FROM @extschema@.ledger_entries AS e
                    WHERE e.journal_id = j.id AND e.account = list_ledger_entries.account))
            ORDER BY j.id LIMIT max_rows);
    ELSIF account IS NOT NULL THEN
        wanted := ARRAY(SELECT j FROM @extschema@._journals_of(account, first_after, max_rows) AS j);
    ELSE
        wanted := ARRAY(SELECT j.id FROM @extschema@.ledger_journals AS j
                        WHERE j.id > first_after ORDER BY j.id LIMIT max_rows);
    END IF;
    RETURN QUERY
    SELECT j.id, j.kind, j.posted_at, j.reference_type, j.reference_id, j.reverses, j.description,
           (SELECT jsonb_agg(jsonb_build_object('account', e.account, 'direction', e.direction, 'amount_minor',
                                                e.amount_minor, 'currency', e.currency) ORDER BY e.entry_no)
            FROM @extschema@.ledger_entries AS e WHERE e.journal_id = j.id)
    FROM @extschema@.ledger_journals AS j
    WHERE j.id = ANY (wanted)
    ORDER BY j.id;
END
$$;
COMMENT ON FUNCTION @extschema@.list_ledger_entries(text, uuid, uuid, integer) IS
    'Journals with their entries, oldest first, of an account or of a reference. The next page starts after the last '
    'journal_id. Needs ledger:read.';

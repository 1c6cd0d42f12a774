CREATE TYPE @extschema@.points_balance AS (
    customer_id uuid, balance bigint, debt bigint, expiring_points bigint, expiring_at timestamptz, tier text,
    tier_since timestamptz, tier_lapses_at timestamptz, is_closed boolean);
COMMENT ON TYPE @extschema@.points_balance IS
    'What a customer can spend, what of it is lost next, and their tier.';

CREATE TYPE @extschema@.points_entry AS (
    entry_id uuid, kind text, points bigint, source_type text, source_id uuid, rule_code text, rule_version integer,
    reverses uuid, expires_at timestamptz, note text, occurred_at timestamptz, created_at timestamptz);
COMMENT ON TYPE @extschema@.points_entry IS 'An entry of the ledger of points, as it is read.';

CREATE FUNCTION @extschema@.get_points_balance(customer_id uuid DEFAULT NULL) RETURNS @extschema@.points_balance
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(get_points_balance.customer_id, 'loyalty:read');
    found @extschema@.points_balance;
BEGIN
    PERFORM usher.log_read('customer', target::text, '{"part": "points"}');
    SELECT target, @extschema@._spendable(target), coalesce(a.debt, 0), e.points, e.expires_at, a.tier, a.tier_since,
           a.tier_lapses_at, a.closed_at IS NOT NULL
    INTO found
    FROM (VALUES (target)) AS t (id) LEFT JOIN @extschema@.points_accounts AS a ON a.customer_id = t.id
        LEFT JOIN LATERAL (SELECT l.expires_at, sum(l.points_left)::bigint AS points
            FROM @extschema@.points_lots AS l
            WHERE l.customer_id = t.id AND l.points_left > 0 AND l.expires_at > statement_timestamp()
            GROUP BY l.expires_at ORDER BY l.expires_at LIMIT 1) AS e ON true;
    RETURN found;
END
$$;
COMMENT ON FUNCTION @extschema@.get_points_balance(uuid) IS
    'The points of a customer: one''s own, or with loyalty:read. expiring_points are lost at expiring_at, the next '
    'time that anything is.';

CREATE FUNCTION @extschema@.list_points_history(customer_id uuid DEFAULT NULL, after uuid DEFAULT NULL,
                                                max_rows integer DEFAULT 100)
    RETURNS SETOF @extschema@.points_entry
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target CONSTANT uuid := @extschema@._require_customer(list_points_history.customer_id, 'loyalty:read');
    shows_notes CONSTANT boolean := usher.actor_id() IS NULL OR usher.has_permission('loyalty:read');
BEGIN
    PERFORM usher.check_max_rows(max_rows);
    PERFORM usher.log_read('customer', target::text, '{"part": "points"}');
    RETURN QUERY
    SELECT e.id, e.kind, e.points, e.source_type, e.source_id, e.rule_code, e.rule_version, e.reverses, e.expires_at,
           CASE WHEN shows_notes THEN e.note END, e.occurred_at, e.created_at
    FROM @extschema@.points_entries AS e
    WHERE e.customer_id = target AND (list_points_history.after IS NULL OR e.id < list_points_history.after)
    ORDER BY e.id DESC LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION @extschema@.list_points_history(uuid, uuid, integer) IS
    'What a customer has earned, spent and lost, the latest first: one''s own, or with loyalty:read, with notes. The '
    'next page starts after the last entry_id.';

CREATE FUNCTION @extschema@._loyalty_reads_all() RETURNS boolean
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'usher_loyalty_reads_all';
COMMENT ON FUNCTION @extschema@._loyalty_reads_all() IS
    'Whether this is a trusted database role that acts for nobody in particular.';

-- Row-level security for those who SELECT from the tables themselves.
ALTER TABLE @extschema@.points_accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY points_own ON @extschema@.points_accounts FOR SELECT
    USING (user_id = (SELECT @extschema@._loyalty_person()));
CREATE POLICY points_all ON @extschema@.points_accounts FOR SELECT
    USING ((SELECT usher.has_permission('loyalty:read') OR @extschema@._loyalty_reads_all()));
ALTER TABLE @extschema@.points_entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY points_of_accounts ON @extschema@.points_entries FOR SELECT
    USING (customer_id IN (SELECT a.customer_id FROM @extschema@.points_accounts AS a));

\echo Use "ALTER EXTENSION usher_loyalty UPDATE TO '0.9.0'" to load this file. \quit

-- 1.0.0 to 0.9.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_loyalty') AS x ON x.object = d.object
WHERE d.extension = 'usher_loyalty'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

DROP FUNCTION @extschema@._loyalty_metrics();

CREATE OR REPLACE FUNCTION @extschema@._announce_expiring(max_rows integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lot record;
    announced bigint := 0;
BEGIN
    -- Accounts before their lots; an account that somebody changes now has its turn the next time.
    FOR lot IN
        WITH due AS MATERIALIZED (
            SELECT o.id, o.customer_id FROM @extschema@.points_lots AS o
            WHERE o.points_left > 0 AND o.announced_at IS NULL AND o.expires_at > statement_timestamp()
                AND o.expires_at <= statement_timestamp()
                    + make_interval(days => usher.setting('loyalty.expiry_notice')::integer)
            ORDER BY o.expires_at LIMIT max_rows
        ), held AS MATERIALIZED (
            SELECT a.customer_id FROM @extschema@.points_accounts AS a
            WHERE a.customer_id IN (SELECT d.customer_id FROM due AS d)
            ORDER BY a.customer_id FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE @extschema@.points_lots AS l SET announced_at = statement_timestamp()
        FROM due AS d JOIN held AS h ON h.customer_id = d.customer_id
        WHERE l.id = d.id AND l.points_left > 0 AND l.announced_at IS NULL
        RETURNING l.id, l.customer_id, l.points_left, l.expires_at
    LOOP
        PERFORM usher.publish('loyalty.points_expiring', jsonb_build_object('customer_id', lot.customer_id,
            'entry_id', lot.id, 'points', lot.points_left, 'expires_at', lot.expires_at), lot.customer_id::text);
        announced := announced + 1;
    END LOOP;
    RETURN announced;
END
$$;
CREATE FUNCTION @extschema@._loyalty_metrics() RETURNS TABLE (name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    percent CONSTANT real := usher.sample_percent('@extschema@.points_accounts');
BEGIN
    -- Of many accounts a sample is read.
    RETURN QUERY
    SELECT 'usher_loyalty_points', jsonb_build_object('kind', p.kind), round(p.points * 100 / percent)
    FROM (SELECT coalesce(sum(a.balance), 0)::double precision, coalesce(sum(a.debt), 0)::double precision
          FROM @extschema@.points_accounts AS a TABLESAMPLE SYSTEM (percent)) AS s (balance, debt)
        CROSS JOIN LATERAL (VALUES ('balance', s.balance), ('debt', s.debt)) AS p (kind, points);
END
$$;
COMMENT ON FUNCTION @extschema@._loyalty_metrics() IS 'The part of usher_loyalty in usher.metrics().';
SELECT usher.finish_extension();

\echo Use "ALTER EXTENSION usher_payment UPDATE TO '1.0.0'" to load this file. \quit

-- 0.9.0 to 1.0.0. Made by ./dev upgrade-scripts; what is written by hand stands in a file of its own.
SET LOCAL search_path TO pg_catalog, pg_temp;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension AS e
               WHERE e.extname = 'usher'
                   AND string_to_array(e.extversion, '.')::integer[] < '{1,0,0}') THEN
        RAISE EXCEPTION 'extension "usher" has to be updated first'
            USING ERRCODE = '55000',
                HINT = 'ALTER EXTENSION usher UPDATE TO ''1.0.0'';';
    END IF;
END
$$;

INSERT INTO usher._schema_objects AS s (extension, object, digest, server_version)
SELECT d.extension, d.object, '>' || coalesce(x.digest, ''), usher._server_major()
FROM usher.schema_drift() AS d LEFT JOIN usher._describe_schema('usher_payment') AS x ON x.object = d.object
WHERE d.extension = 'usher_payment'
ON CONFLICT ON CONSTRAINT _schema_objects_pkey DO UPDATE SET digest = s.digest || EXCLUDED.digest;

DROP FUNCTION @extschema@._payment_metrics();

CREATE FUNCTION @extschema@._payment_metrics()
    RETURNS TABLE (name text, labels jsonb, value double precision, help text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT 'usher_payment_attempts_unresolved', jsonb_build_object('outcome', o.outcome),
        usher.count_or_estimate(format($sql$SELECT FROM @extschema@.payment_attempts AS a
            WHERE a.outcome = %L AND a.outcome IN ('requested', 'unknown')$sql$, o.outcome))::double precision,
        'Attempts to pay whose outcome is not known yet.'
    FROM unnest('{requested,unknown}'::text[]) AS o (outcome);
    RETURN QUERY
    SELECT 'usher_payment_refunds_open', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_refunds AS r
            WHERE r.status IN ('pending', 'processing')$sql$)::double precision,
        'Refunds that are not done yet.';
    RETURN QUERY
    SELECT 'usher_payment_webhooks_unmatched', '{}'::jsonb,
        usher.count_or_estimate($sql$SELECT FROM @extschema@.payment_webhook_events AS e
            WHERE e.effect = 'unmatched'$sql$)::double precision,
        'Webhooks that fit no payment.';
END
$$;
COMMENT ON FUNCTION @extschema@._payment_metrics() IS 'The part of usher_payment in usher.metrics().';
SELECT usher.finish_extension();

-- Core features on these tables: audit, modification times. Entries of points are a log by themselves.
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['earning_rules', 'loyalty_tiers'] LOOP
        PERFORM usher.enable_audit(format('@extschema@.%I', relation)::regclass);
    END LOOP;
    PERFORM usher.enable_updated_at('@extschema@.loyalty_tiers'::regclass);
END
$$;

-- Core features on these tables: machines on the statuses, audit, modification times.
DO $$
DECLARE
    relation text;
BEGIN
    PERFORM usher.attach_machine('shop_product', '@extschema@.products'::regclass, 'status', jsonb_build_object(
        'version_column', 'version', 'event_prefix', 'product',
        'payload_columns', jsonb_build_array('sku', 'name', 'kind', 'variant_of', 'status')));
    PERFORM usher.attach_machine('shop_order', '@extschema@.orders'::regclass, 'status', jsonb_build_object(
        'scope_column', 'location_id', 'reason_column', 'reason_code', 'version_column', 'version'));
    FOREACH relation IN ARRAY
        '{products,product_prices,tax_rates,stock_counts,stock_count_lines,service_materials,orders}'::text[] LOOP
        PERFORM usher.enable_audit(format('@extschema@.%I', relation)::regclass);
    END LOOP;
    PERFORM usher.enable_updated_at('@extschema@.products'::regclass),
        usher.enable_updated_at('@extschema@.orders'::regclass);
END
$$;

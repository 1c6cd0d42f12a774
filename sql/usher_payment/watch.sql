-- Core features on these tables: machines on the statuses, audit, modification times.
DO $$
DECLARE
    relation text;
BEGIN
    PERFORM usher.attach_machine('payment', '@extschema@.payment_transactions'::regclass, 'status', jsonb_build_object(
        'scope_column', 'location_id', 'reason_column', 'close_reason', 'version_column', 'version',
        'event_prefix', 'payment',
        'payload_columns', jsonb_build_array('customer_id', 'user_id', 'location_id', 'reference_type', 'reference_id',
            'purpose', 'amount_minor', 'currency', 'payment_method', 'status', 'captured_minor', 'refunded_minor',
            'failure_code')));
    PERFORM usher.attach_machine('refund', '@extschema@.payment_refunds'::regclass, 'status', jsonb_build_object(
        'reason_column', 'reason_code', 'notes_column', 'notes', 'version_column', 'version',
        'event_prefix', 'refund',
        'payload_columns', jsonb_build_array('transaction_id', 'amount_minor', 'currency', 'status', 'processor',
            'processor_transaction_id', 'provider_key')));
    FOREACH relation IN ARRAY ARRAY['payment_transactions', 'payment_attempts', 'payment_refunds', 'payment_disputes',
                                    'payment_methods', 'payment_webhook_secrets'] LOOP
        PERFORM usher.enable_audit(format('@extschema@.%I', relation)::regclass);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['payment_transactions', 'payment_refunds', 'payment_methods'] LOOP
        PERFORM usher.enable_updated_at(format('@extschema@.%I', relation)::regclass);
    END LOOP;
END
$$;

-- The functions over HTTP. Access rights are decided inside the functions: who may do what depends on the payment.
-- The permission here is what an API key must have been given.

-- Of one user, and of one address for webhooks; the DBA may define them anew.
SELECT usher.define_rate_limit('payment.create', 'token_bucket', 60, '1 minute');
SELECT usher.define_rate_limit('payment.webhook', 'token_bucket', 1200, '1 minute');

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/currencies', 'list_currencies()', NULL, 200, true, 'Currencies and their exponents'),
        ('POST', '/payments',
         'create_payment(uuid,bigint,text,text,text,uuid,text,text,uuid,text,uuid,timestamptz,integer,boolean)',
         'payment:manage', 201, false, 'Make a payment'),
        ('GET', '/payments', 'list_payments(uuid,uuid,text,uuid,text[],tstzrange,uuid,integer)', 'payment:read', 200,
         true, 'Payments that one may see'),
        ('GET', '/payments/{transaction_id}', 'get_payment(uuid)', 'payment:read', 200, true, 'One payment'),
        ('GET', '/payments/{transaction_id}/history', 'get_payment_history(uuid,integer,integer)', 'payment:read',
         200, true, 'Every status a payment had'),
        ('GET', '/payments/{transaction_id}/attempts', 'list_payment_attempts(uuid)', 'payment:read', 200, true,
         'The calls that were made for a payment'),
        ('POST', '/payments/{transaction_id}/attempts', 'begin_payment_attempt(uuid,text,uuid,integer)',
         'payment:manage', 201, false, 'Begin to pay'),
        ('POST', '/payments/{transaction_id}/manual', 'record_manual_payment(uuid,text,bigint,text,integer)',
         'payment:record', 200, false, 'Record cash, a transfer, a voucher or a cheque'),
        ('POST', '/payments/{transaction_id}/cancel', 'cancel_payment(uuid,text,integer)', 'payment:manage',
         200, false,
         'Give up a payment'),
        ('GET', '/payments/{transaction_id}/refunds', 'list_refunds(uuid)', 'payment:read', 200, true,
         'The refunds of a payment'),
        ('POST', '/payments/{transaction_id}/refunds', 'create_refund(uuid,bigint,text,text,text)', 'payment:refund',
         201, false, 'Refund a payment, whole or in part'),
        ('GET', '/payment-balance', 'get_payment_balance(text,uuid)', 'payment:read', 200, true,
         'What was paid and refunded for a reference'),
        ('POST', '/payment-refunds', 'refund_reference(text,uuid,text,bigint,text,text,text)', 'payment:refund', 201,
         false, 'Refund the payments of a reference'),
        ('POST', '/payment-refunds/{refund_id}/cancel', 'cancel_refund(uuid)', 'payment:refund', 200, false,
         'Take back a refund that was not sent'),
        ('POST', '/payment-refunds/{refund_id}/result', 'record_refund_result(uuid,text,text,jsonb,text)',
         'payment:process', 200, false, 'What became of a refund'),
        ('GET', '/payment-attempts/unresolved', 'list_unresolved_attempts(interval,uuid,integer)', 'payment:process',
         200, true, 'Calls of which nobody knows what became'),
        ('POST', '/payment-attempts/{attempt_id}/result',
         'record_payment_result(uuid,text,text,bigint,jsonb,text,bigint)', 'payment:process', 200, false,
         'What became of a call'),
        ('GET', '/payment-methods', 'list_payment_methods(uuid)', 'payment:manage', 200, true,
         'What a customer has saved to pay with'),
        ('POST', '/payment-methods',
         'save_payment_method(text,text,text,text,text,integer,integer,boolean,uuid)', 'payment:manage', 201, false,
         'Save a method by its token'),
        ('DELETE', '/payment-methods/{method_id}', 'remove_payment_method(uuid)', 'payment:manage', 200, false,
         'Remove a saved method'),
        ('GET', '/payment-report', 'report_payments(date,date,uuid,text)', 'payment:read', 200, true,
         'Sums by day, method, currency and location'),
        ('POST', '/payment-reconciliations/{processor}',
         'reconcile_payments(text,jsonb,timestamptz,timestamptz)', 'payment:reconcile', 200, true,
         'Compare with the settlement report of a processor'),
        ('POST', '/ledger/journals', 'post_ledger(jsonb,text,text,text,uuid,text)', 'ledger:post', 201, false,
         'Post a journal'),
        ('GET', '/ledger/journals', 'list_ledger_entries(text,uuid,uuid,integer)', 'ledger:read', 200, true,
         'Journals with their entries'),
        ('POST', '/ledger/journals/{journal_id}/reverse', 'reverse_journal(uuid,text)', 'ledger:post', 201, false,
         'Reverse a journal'),
        ('GET', '/ledger/balance', 'get_ledger_balance(text,text)', 'ledger:read', 200, true,
         'The balance of an account'),
        ('GET', '/ledger/trial-balance', 'get_trial_balance(timestamptz)', 'ledger:read', 200, true,
         'All accounts')
        ) AS v (method, path, signature, permission, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure,
            access => CASE WHEN r.permission IS NULL THEN 'public' ELSE 'authenticated' END,
            permission => r.permission,
            success_status => r.success_status, read_only => r.read_only, summary => r.summary, tag => 'payment',
            rate_limit => CASE WHEN r.method = 'POST'
                                    AND r.path IN ('/payments', '/payments/{transaction_id}/attempts')
                               THEN 'payment.create' END);
    END LOOP;
END
$$;
SELECT usher.add_route('POST', '/payments/webhooks/{processor}', '@extschema@.receive_webhook(text,text,jsonb)',
    access => 'public', rate_limit => 'payment.webhook', summary => 'Webhooks of a processor', tag => 'payment',
    options => '{"style": "raw"}');

-- What usher_payment tells core about itself.

CREATE FUNCTION @extschema@._payment_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_payment_error_codes';
COMMENT ON FUNCTION @extschema@._payment_error_codes() IS
    'The error codes of usher_payment (extension/usher_payment/payment_errors.hpp).';

SELECT usher.register_extension('Payment transactions, attempts, refunds, webhooks of processors, and a ledger',
    error_class => 'UP',
    error_codes => @extschema@._payment_error_codes(),
    hooks => '{
        "upkeep": "_payment_upkeep", "self_check": "_payment_self_check", "configuration": "_payment_configuration",
        "metrics": "_payment_metrics", "health": "_payment_health", "export": "_export_payments",
        "erase": "_erase_payments"}',
    personal_data => $json$
    {
        "payment_transactions": {"user": ["created_by", "customer_id", "user_id"], "impersonal": ["close_reason",
            "currency", "failure_code", "idempotency_key", "idempotency_scope", "location_id", "payment_method",
            "processor", "processor_transaction_id", "purpose", "reference_id", "reference_type", "request_hash",
            "status"]},
        "payment_attempts": {"user": ["requested_by"], "personal": ["response"], "impersonal": ["failure_code",
            "outcome", "processor", "processor_transaction_id", "provider_key", "saved_method_id"]},
        "payment_refunds": {"user": ["requested_by"], "personal": ["notes", "response"], "impersonal": ["currency",
            "failure_code", "idempotency_key", "idempotency_scope", "processor", "processor_refund_id",
            "processor_transaction_id", "provider_key", "reason_code", "request_hash", "status"]},
        "payment_disputes": {"impersonal": ["currency", "processor", "processor_dispute_id", "reason", "status"]},
        "payment_methods": {"subject": ["user_id"], "user": ["created_by", "customer_id"], "sensitive": ["token"],
            "personal": ["brand", "last_four"], "impersonal": ["kind", "processor"]},
        "payment_webhook_events": {"impersonal": ["*"]},
        "payment_webhook_secrets": {"user": ["created_by"], "sealed": ["secret"], "impersonal": ["header_name",
            "label", "processor", "scheme"]},
        "ledger_journals": {"user": ["posted_by"], "impersonal": ["description", "idempotency_key",
            "idempotency_scope", "kind", "reference_id", "reference_type", "request_hash"]},
        "ledger_entries": {"impersonal": ["*"]},
        "ledger_totals": {"impersonal": ["*"]},
        "ledger_unsummed_journals": {"impersonal": ["*"]}
    }$json$,
    settings => '[
        {"name": "payment.max_attempts", "type": "integer", "default_value": "5",
         "description": "How often one payment is tried with processors."},
        {"name": "payment.webhook_retention", "type": "integer", "default_value": "90",
         "description": "Days that received webhooks are remembered, so that one that comes again has no effect."}]',
    role_presets => $json$
    {
        "payments": {
            "permissions": {"payment:read": "See payments", "payment:manage": "Make and give up payments of others",
                "payment:record": "Record cash, transfers, vouchers and cheques", "payment:refund": "Refund payments",
                "payment:process": "Report results of processors", "payment:reconcile": "Compare with processors",
                "webhook:manage": "Change the secrets of webhooks", "ledger:read": "See the ledger",
                "ledger:post": "Post into the ledger"},
            "roles": {
                "cashier": {"description": "Takes money at a location", "manages": [], "permissions": [
                    "payment:read", "payment:manage", "payment:record"]},
                "payment_manager": {"description": "Answers for the payments of locations", "manages": [],
                    "permissions": ["payment:read", "payment:manage", "payment:record", "payment:refund"]},
                "accountant": {"description": "Keeps the books", "manages": [], "permissions": ["payment:read",
                    "payment:refund", "payment:reconcile", "ledger:read", "ledger:post"]},
                "payment_worker": {"description": "A program that calls processors", "manages": [], "permissions": [
                    "payment:process"]}
            }
        },
        "carwash": {
            "permissions": {"payment:read": "See payments", "payment:manage": "Make and give up payments of others",
                "payment:record": "Record cash, transfers, vouchers and cheques", "payment:refund": "Refund payments"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["payment:read", "payment:manage",
                    "payment:record", "payment:refund"]}
            }
        },
        "clinic": {
            "permissions": {"payment:read": "See payments", "payment:manage": "Make and give up payments of others",
                "payment:record": "Record cash, transfers, vouchers and cheques", "payment:refund": "Refund payments"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["payment:read", "payment:manage", "payment:record", "payment:refund"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "payment:read", "payment:record"]}
            }
        }
    }$json$,
    publishes => '{payment.created,payment.processing,payment.retried,payment.attempt_requested,payment.settling,
        payment.completed,payment.late_success,payment.failed,payment.cancelled,payment.outcome_unknown,
        payment.refunded,payment.partially_refunded,payment.disputed,payment.dispute_closed,payment.duplicate_charge,
        payment.mismatch,refund.requested,refund.processing,refund.succeeded,refund.failed,refund.cancelled,
        refund.contradicted,payment_method.deactivated,payment_method.restored}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'create_payment begin_payment_attempt record_payment_result record_manual_payment cancel_payment
          create_refund record_refund_result cancel_refund refund_reference receive_webhook verify_webhook
          ingest_webhook
          get_payment list_payments get_payment_balance list_unresolved_attempts list_payment_attempts list_refunds
          get_payment_history report_payments save_payment_method list_payment_methods remove_payment_method
          get_payment_token reconcile_payments record_payment_fee post_ledger reverse_journal get_ledger_balance
          get_trial_balance list_ledger_entries add_webhook_secret retire_webhook_secret list_webhook_secrets
          list_currencies to_minor_units format_amount claim_payment_work complete_payment_work
          fail_payment_work'),
        -- For the row-level security policies.
        ('function', '{application,gateway,admin}', '_payment_reads_all'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'payment_transactions'),
        ('table', '{auditor,admin}', 'ledger_journals ledger_entries ledger_totals ledger_unsummed_journals
          payment_disputes payment_refunds payment_webhook_events')) AS v (kind, levels, names)) AS a));

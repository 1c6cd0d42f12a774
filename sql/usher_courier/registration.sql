-- What usher_courier tells core about itself.

CREATE FUNCTION @extschema@._courier_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_courier_error_codes';
COMMENT ON FUNCTION @extschema@._courier_error_codes() IS
    'The error codes of usher_courier (extension/usher_courier/courier_errors.hpp).';

SELECT usher.register_extension('E-mail from templates, webhooks, requests to others',
    error_class => 'UM',
    error_codes => @extschema@._courier_error_codes(),
    hooks => '{
        "upkeep": "_courier_upkeep", "self_check": "_courier_self_check", "configuration": "_courier_configuration",
        "metrics": "_courier_metrics", "health": "_courier_health", "export": "_export_courier",
        "erase": "_erase_courier"}',
    personal_data => $json$
    {
        "message_rules": {"impersonal": ["*"]},
        "message_templates": {"impersonal": ["*"]},
        "messages": {"user": ["customer_id", "user_id"], "personal": ["last_detail", "recipient", "recipient_key"],
            "impersonal": ["audience", "channel", "claimed_by", "entity_key", "event", "event_id", "language",
            "last_code", "message_id", "status"]},
        "message_suppressions": {"user": ["customer_id", "user_id"], "personal": ["address", "address_key"],
            "impersonal": ["last_code", "reason"]},
        "courier_workers": {"impersonal": ["*"]},
        "webhooks": {"user": ["created_by"], "sensitive": ["url"], "impersonal": ["description", "disabled_reason",
            "events"]},
        "webhook_keys": {"sealed": ["secret"]},
        "http_requests": {"sealed": ["answer", "content"], "sensitive": ["url"], "impersonal": ["claimed_by",
            "context", "error_code", "event", "event_id", "handler_name", "handler_schema", "method",
            "ordering_key", "purpose", "status"]}
    }$json$,
    settings => '[
        {"name": "courier.sender", "type": "text", "default_value": "usher <no-reply@localhost>",
         "description": "Whom messages come from: \"Name <address>\" or an address."},
        {"name": "courier.reply_to", "type": "text", "default_value": "",
         "description": "Where answers to messages go; empty: to the sender."},
        {"name": "courier.app_name", "type": "text", "default_value": "usher",
         "description": "What messages call the application."},
        {"name": "courier.app_url", "type": "text", "default_value": "",
         "description": "Where the pages are that links in messages lead to; empty: usher.public_url."},
        {"name": "courier.language", "type": "text", "default_value": "en",
         "description": "The language of messages to whoever has not said theirs, or said one without a template."},
        {"name": "courier.time_zone", "type": "text", "default_value": "UTC",
         "description": "The time zone of times in messages, where neither the event nor the user has one."},
        {"name": "courier.max_attempts", "type": "integer", "default_value": "25",
         "description": "How often a message is tried before it has failed."},
        {"name": "courier.max_bounces", "type": "integer", "default_value": "3",
         "description": "So many bounces, with nothing that arrives between them, suppress an address."},
        {"name": "courier.message_retention", "type": "integer", "default_value": "30",
         "description": "Days that messages are kept once they have gone, or never will."},
        {"name": "courier.allowed_networks", "type": "text", "default_value": "",
         "description": "Networks that requests may reach though they are not global: \"10.1.0.0/16, fd00::/8\"."},
        {"name": "courier.webhook_patience", "type": "integer", "default_value": "168",
         "description": "Hours that a webhook may fail before it is disabled."},
        {"name": "courier.request_retention", "type": "integer", "default_value": "30",
         "description": "Days that requests are kept once they are finished."}]',
    role_presets => $json$
    {
        "courier": {
            "permissions": {"message:read": "See messages, and what became of them",
                "message:manage": "Change what messages say and to whom they go, try them again, suppress addresses"},
            "roles": {
                "postmaster": {"description": "Answers for messages that go out", "manages": [],
                    "permissions": ["message:read", "message:manage", "event:manage"]}
            }
        }
    }$json$,
    publishes => '{message.failed,message.bounced,webhook.disabled,http_request.failed}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- The program that sends. What it gets holds tokens: no application may call these.
        ('function', '{courier}', 'claim_messages report_message claim_requests report_request run_request_handler
          courier_heartbeat'),
        -- What an application may call for itself; no route calls it.
        ('function', '{application,admin}', 'enqueue_http_request'),
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'preview_message set_message_template remove_message_template list_message_templates set_message_rule
          list_message_rules list_messages retry_message suppress_address lift_suppression list_suppressions
          report_bounce add_webhook update_webhook rotate_webhook_secret remove_webhook list_webhooks
          list_http_requests retry_http_request'),
        ('table', '{auditor,admin}', 'message_rules message_templates messages message_suppressions courier_workers
          webhooks'))
        AS v (kind, levels, names)) AS a));

-- The functions over HTTP. Access rights are decided inside the functions. The permission here is what an API key must
-- have been given.

-- To one address, whatever is written to it; the DBA may define it anew.
SELECT usher.define_rate_limit('courier.recipient', 'token_bucket', 30, '1 hour');

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/messages', 'list_messages(text,text,uuid,integer)', 'message:read', false,
         'Messages, and what became of them'),
        ('POST', '/messages/{message}/retry', 'retry_message(uuid)', 'message:manage', false,
         'Try a message again that failed'),
        ('POST', '/messages/preview', 'preview_message(text,jsonb,text,text,uuid)', 'message:manage', true,
         'What a message would say'),
        ('POST', '/messages/bounces', 'report_bounce(text,text,text,text)', 'message:manage', false,
         'Report a message that came back, or a complaint'),
        ('GET', '/messages/suppressions', 'list_suppressions(text,integer)', 'message:read', false,
         'Addresses that nothing is sent to'),
        ('POST', '/messages/suppressions', 'suppress_address(text,text)', 'message:manage', false,
         'Send nothing to an address'),
        ('DELETE', '/messages/suppressions', 'lift_suppression(text)', 'message:manage', false,
         'Send to an address again'),
        ('GET', '/messages/rules', 'list_message_rules()', 'message:read', true,
         'For which events messages are made'),
        ('PUT', '/messages/rules/{event}',
         'set_message_rule(text,text,text[],text[],text,text[],text[],text,interval,interval,integer,boolean,'
             'timestamptz)',
         'message:manage', false, 'Say for which event a message is made, and to whom'),
        ('GET', '/messages/templates', 'list_message_templates(text,text,integer)', 'message:read', true,
         'What messages say'),
        ('PUT', '/messages/templates/{event}/{language}',
         'set_message_template(text,text,text,text,text,text,boolean,integer)', 'message:manage', false,
         'Write what messages say in a language'),
        ('DELETE', '/messages/templates/{event}/{language}', 'remove_message_template(text,text,text)',
         'message:manage', false, 'Remove a template')
        ) AS v (method, path, signature, permission, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure, access => 'authenticated',
            permission => r.permission, read_only => r.read_only, summary => r.summary, tag => 'messages');
    END LOOP;
END
$$;

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM (VALUES
        ('GET', '/webhooks', 'list_webhooks()', 200, true, 'Webhooks, and how they do'),
        ('POST', '/webhooks', 'add_webhook(text,text[],text,text)', 201, false, 'Send events to a URL'),
        ('PATCH', '/webhooks/{webhook_id}', 'update_webhook(uuid,text,text[],text,boolean)', 200, false,
         'Change a webhook'),
        ('POST', '/webhooks/{webhook_id}/secret', 'rotate_webhook_secret(uuid,text,interval)', 200, false,
         'Give a webhook a new secret'),
        ('DELETE', '/webhooks/{webhook_id}', 'remove_webhook(uuid)', 200, false, 'Remove a webhook'),
        ('GET', '/http-requests', 'list_http_requests(text,uuid,uuid,integer)', 200, true,
         'Requests that go out, webhooks among them'),
        ('POST', '/http-requests/{request_id}/retry', 'retry_http_request(uuid)', 200, false,
         'Send a request again')
        ) AS v (method, path, signature, success_status, read_only, summary)
    LOOP
        PERFORM usher.add_route(method => r.method, path_template => r.path,
            function => format('@extschema@.%s', r.signature)::regprocedure, access => 'authenticated',
            permission => 'event:manage', success_status => r.success_status, read_only => r.read_only,
            summary => r.summary, tag => 'webhooks');
    END LOOP;
END
$$;

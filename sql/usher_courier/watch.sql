-- Core features on these tables: audit and modification times. Messages are a log by themselves.
SELECT usher.enable_audit(t.name::regclass), usher.enable_updated_at(t.name::regclass)
FROM unnest(ARRAY['@extschema@.message_rules', '@extschema@.message_templates', '@extschema@.message_suppressions',
                  '@extschema@.webhooks']) AS t (name);

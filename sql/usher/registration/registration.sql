-- What core tells itself, in the way of every extension.
SELECT usher.register_extension('Accounts, access, audit, status machines, limits, events and HTTP dispatch',
    error_class => 'US',
    hooks => '{
        "upkeep": "_run_maintenance", "self_check": "_self_check", "configuration": "_check_configuration",
        "metrics": "_metrics",
        "export": "_export_user", "erase": "_erase_user"}',
    -- the columns of usher.health() say more
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "_audit_dump": {"impersonal": ["*"]},
        "_schema_objects": {"impersonal": ["*"]},
        "_watched_columns": {"impersonal": ["*"]},
        "api_keys": {"sensitive": ["key_hash"], "personal": ["name"], "impersonal": ["permissions", "prefix",
            "revoked_reason"]},
        "audit_logs": {"user": ["actor_id", "subject_id"], "personal": ["actor_name", "client_ip", "user_agent", "key",
            "new_values", "old_values", "event_data", "metadata", "error_message", "resource_id"],
            "impersonal": ["id", "action", "correlation_id", "database_user", "event_type", "resource_type",
            "result", "session_id", "severity", "source", "value_digest", "value_salt"]},
        "audit_seals": {"impersonal": ["*"]},
        "consents": {"subject": ["user_id"], "personal": ["client_ip", "evidence", "user_agent"],
            "impersonal": ["document_version", "purpose"]},
        "credentials": {"subject": ["user_id"], "sensitive": ["password_hash"]},
        "database_roles": {"impersonal": ["*"]},
        "decisions": {"impersonal": ["*"]},
        "deliveries": {"impersonal": ["*"]},
        "events": {"user": ["user_id"], "personal": ["payload"], "impersonal": ["causation_id", "correlation_id",
            "dedupe_key", "event", "key", "publisher"]},
        "extension_access": {"impersonal": ["*"]},
        "extension_errors": {"impersonal": ["*"]},
        "extension_events": {"impersonal": ["*"]},
        "extension_hooks": {"impersonal": ["*"]},
        "extension_settings": {"impersonal": ["*"]},
        "extensions": {"impersonal": ["*"]},
        "idempotent_calls": {"user": ["actor"], "personal": ["result"],
            "impersonal": ["key", "registrant", "request_hash"]},
        "idempotent_answers": {"personal": ["body", "headers"], "impersonal": ["fingerprint", "key_hash",
            "principal"]},
        "identities": {"subject": ["user_id"], "sensitive": ["access_token", "refresh_token"],
            "personal": ["provider_email", "provider_user_id", "user_info"], "impersonal": ["provider"]},
        "login_attempts": {"personal": ["client_ip", "email", "user_agent"], "impersonal": ["failure_reason"]},
        "login_challenges": {"sensitive": ["token_hash"], "personal": ["client_ip", "device", "user_agent"],
            "impersonal": ["authentication_methods"]},
        "machines": {"user": ["created_by"], "impersonal": ["definition", "extension", "name"]},
        "network_failures": {"personal": ["failed_names", "network"]},
        "one_time_codes": {"sensitive": ["code_hmac"], "personal": ["client_ip", "email", "user_agent"],
            "impersonal": ["event_id", "purpose"]},
        "one_time_tokens": {"sensitive": ["registration", "token_hash"], "personal": ["client_ip", "email",
            "security_context", "user_agent"], "impersonal": ["event_id", "purpose"]},
        "password_blocklist": {"impersonal": ["*"]},
        "password_history": {"sensitive": ["password_hash"]},
        "permissions": {"impersonal": ["*"]},
        "personal_columns": {"impersonal": ["*"]},
        "policy_models": {"impersonal": ["*"]},
        "policy_rules": {"user": ["v0"], "impersonal": ["ptype", "v1", "v2", "v3", "v4", "v5", "created_by",
            "updated_by"]},
        "rate_limit_policies": {"impersonal": ["*"]},
        "rate_limit_records": {"impersonal": ["*"]},
        "recovery_codes": {"sensitive": ["code_hash"]},
        "revoked_tokens": {"impersonal": ["jti"]},
        "role_permissions": {"impersonal": ["*"]},
        "role_presets": {"impersonal": ["*"]},
        "roles": {"impersonal": ["*"]},
        "routes": {"impersonal": ["*"]},
        "second_factors": {"sensitive": ["secret"], "personal": ["label"], "impersonal": ["kind"]},
        "server_secrets": {"sensitive": ["secret"], "impersonal": ["name"]},
        "sessions": {"sensitive": ["parent_token_hash", "refresh_token_hash", "rotation_key", "fingerprint"],
            "personal": ["client_ip", "device", "security_context", "user_agent"],
            "impersonal": ["authentication_methods", "revoked_reason", "status"]},
        "signing_keys": {"sensitive": ["private_key"], "impersonal": ["algorithm", "kid", "public_jwk"]},
        "status_history": {"user": ["changed_by"], "personal": ["changed_by_name", "notes"], "impersonal": ["action",
            "entity_id", "entity_key", "from_status", "reason_code", "to_status"]},
        "subscriptions": {"impersonal": ["*"]},
        "table_sizes": {"impersonal": ["*"]},
        "token_issuers": {"impersonal": ["*"]},
        "issuer_key_sources": {"impersonal": ["*"]},
        "user_permissions": {"impersonal": ["*"]},
        "upkeep_failures": {"impersonal": ["*"]},
        "self_checks": {"impersonal": ["*"]},
        "user_roles": {"impersonal": ["*"]},
        "users": {"subject": ["id"], "personal": ["display_name", "email", "external_id", "first_name", "last_name",
            "metadata", "phone", "preferences", "profile", "username"], "impersonal": ["status", "tier"]}
    }$json$,
    role_presets => $json$
    {
        "administration": {
            "permissions": {"*:*": "Everything", "user:read": "See accounts",
                "user:manage": "Manage accounts and give roles", "role:read": "See roles and grants",
                "role:manage": "Define roles and permissions and grant them",
                "policy:manage": "Change policy rules", "audit:read": "Read the audit log",
                "audit:manage": "Choose what is audited", "machine:manage": "Define status machines",
                "route:manage": "Publish functions over HTTP", "key:manage": "Manage signing keys",
                "limit:manage": "Define rate limits", "event:manage": "Manage event subscriptions",
                "token:introspect": "Ask whether tokens of others are good"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]}
            }
        },
        "field_service": {
            "permissions": {"work_order:submit": "Submit service requests",
                "work_order:read": "See all work orders", "work_order:assign": "Assign technicians",
                "work_order:schedule": "Schedule work orders", "work_order:update": "Update assigned work orders",
                "work_order:manage": "Change work orders in any way", "technician:manage": "Manage technicians"},
            "roles": {
                "admin": {"description": "Full system access and user management", "manages": ["*"],
                    "permissions": ["*:*"]},
                "manager": {"description": "Full data access, manages work orders and technicians",
                    "manages": ["dispatcher", "technician", "client"], "permissions": ["work_order:*",
                    "technician:manage", "user:read", "user:manage", "audit:read"]},
                "dispatcher": {"description": "Assigns and schedules work orders", "manages": [], "permissions": [
                    "work_order:read", "work_order:assign", "work_order:schedule"]},
                "technician": {"description": "Updates assigned work orders only", "manages": [], "permissions": [
                    "work_order:update"]},
                "client": {"is_default": true, "description": "Submits and tracks service requests", "manages": [],
                    "permissions": ["work_order:submit"]}
            }
        },
        "blog": {
            "permissions": {"post:create": "Write posts", "post:read": "Read unpublished posts",
                "post:edit": "Edit posts of others", "post:publish": "Publish posts",
                "post:delete": "Delete posts of others", "comment:create": "Comment",
                "comment:moderate": "Moderate comments"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "editor": {"description": "Publishes and moderates", "manages": ["author", "reader"],
                    "permissions": ["post:*", "comment:*", "user:read", "user:manage"]},
                "author": {"description": "Writes posts", "manages": [], "permissions": ["post:create",
                    "post:read", "comment:create"]},
                "reader": {"is_default": true, "description": "Reads and comments", "manages": [],
                    "permissions": ["comment:create"]}
            }
        }
    }$json$,
    publishes => '{user.registered,user.deactivated,user.reactivated,user.deleted,user.restored,user.erased,
        user.role_changed,role.deactivated,role.restored,user.tier_changed,user.claimed,user.registration_repeated,
        user.email_verified,user.email_verification_requested,
        user.email_change_requested,user.email_changed,user.password_changed,user.password_reset_requested,
        user.login_code_requested,user.verification_code_requested,user.locked,user.new_device,user.api_key_created,
        user.second_factor_added,user.second_factor_removed,user.second_factors_reset,consent.withdrawn,
        customer.erased}',
    -- What each level of grant_access() may do. Functions stand by name, all their forms together. A test compares
    -- this with the catalog: no name without an object, no public function without a line.
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Who is asking, and what they may: safe for everybody who can connect as an application.
        ('function', '{application,gateway,admin}',
         'authenticate set_request_context current_user_id actor_id current_session_id current_api_key_id
          current_claims current_assurance_level require_assurance_level verify_token jwks published_jwks
          has_permission has_permission_somewhere has_role user_has_permission user_has_role can_manage
          require_permission
          check_access explain_access list_permissions list_user_roles'),
        -- Accounts and sessions. What touches somebody else's account checks the permission of the identity itself.
        ('function', '{application,gateway,admin}',
         'register_user sign_up login refresh_session logout logout_all list_sessions revoke_session
          verify_email request_email_verification request_email_change request_password_reset reset_password
          change_password
          get_me get_user find_user list_users update_profile set_user_tier set_user_metadata export_user
          user_reference user_references lock_user_reference
          set_password unlock_user deactivate_user reactivate_user delete_user restore_user erase_user
          export_customer erase_customer
          enroll_totp confirm_totp verify_second_factor login_second_factor regenerate_recovery_codes
          remove_second_factor
          reset_second_factors list_second_factors create_api_key list_api_keys revoke_api_key
          request_login_code login_with_code request_verification_code verify_email_code
          link_identity unlink_identity list_identities record_consent withdraw_consent list_consents'),
        ('function', '{application,gateway,auditor,admin}', 'list_login_attempts'),
        -- Administration, guarded in the same way.
        ('function', '{application,gateway,admin}',
         'create_role update_role drop_role add_role_parent remove_role_parent add_role_management
          remove_role_management
          grant_role revoke_role create_permission drop_permission grant_permission revoke_permission apply_role_preset
          add_policy disable_policy remove_policy load_policies enforce define_model drop_model
          define_machine apply_machine_preset attach_machine detach_machine validate_machine subscribe unsubscribe
          list_parked_events retry_event
          define_rate_limit drop_rate_limit reset_rate_limit add_route remove_route list_routes list_machines
          list_subscriptions
          add_token_issuer update_token_issuer remove_token_issuer list_token_issuers
          follow_token_issuer unfollow_token_issuer list_followed_issuers
          register_extension unregister_extension list_extensions
          list_decisions revert_decision apply_decisions'),
        ('function', '{application,gateway,auditor,admin}',
         'list_roles list_expiring_grants list_defined_permissions list_policies list_rate_limits rate_limit_hash'),
        -- Building blocks of applications: they see and change only what they are given.
        ('function', '{application,gateway,admin}',
         'uuid_v7 normalize_name name_key raise_error raise_misfit error_codes setting check_max_rows replay_call
          remember_call publish log_event log_read log_reads hit_rate_limit
          rate_limit_key http_request
          openapi
          oauth_token introspect_token revoke_token oauth_metadata
          machine_statuses machine_diagram machine_preset allowed_transitions history set_updated_at soft_delete
          announce_soft_delete restore_row soft_delete_row'),
        ('function', '{application,admin}',
         'hash_password verify_password password_needs_rehash sign_jwt verify_jwt enable_updated_at disable_updated_at
          enable_soft_delete disable_soft_delete add_unique_among_active purge_deleted'),
        -- What hands out tokens or keys, or steps around a rule. Events carry one-time tokens to the mailer.
        ('function', '{admin}',
         'create_first_admin
          create_password_reset create_email_verification set_provider_tokens get_provider_tokens issue_token
          import_user import_password_hash rotate_signing_key list_signing_keys wrap_secrets
          claim_events complete_event fail_event run_event_handlers'),
        -- Upkeep.
        ('function', '{gateway,admin}', 'health metrics'),
        ('function', '{auditor,admin}',
         'check_configuration self_check last_self_check schema_drift list_unanswered_columns table_growth'),
        ('function', '{admin}', 'run_maintenance run_self_check slow_statements finish_load'),
        ('function', '{application,gateway,admin}', 'upkeep_step'),
        -- The audit trail. Questions check the permission of the identity; enabling needs rights on the table.
        ('function', '{application,gateway,auditor,admin}', 'search_audit row_history row_as_of verify_audit_chain'),
        ('function', '{admin}', 'enable_audit disable_audit enable_entity cover_table
          _audit_table _audit_key_problem _audit_list _audit_lists _audit_options _personal_columns _cover_tables
          _is_audited _is_being_installed _note_audit _table_name
          _missing_triggers _copy_trigger'),
        -- Called by triggers that other functions make.
        ('function', '{admin}', 'check_transition record_transition audit_change'),
        -- Called by functions that run with the caller's own rights.
        ('function', '{application,gateway,admin}',
         '_check_attachment _machine_trigger_name _updated_at_trigger_name _active_view_name _row_condition '
         '_soft_row_condition '
         '_descendants _table_tree _row_trigger_tables _tell_foreign_tables '
         '_primary_key _key_object'),
        -- For the owner of the extension alone: they run with the caller's own rights.
        ('function', '{}', 'grant_access revoke_access forget_notes has_consent finish_extension ship_rows
                           matching_users search_users expected_users references_of name_words name_query
                           permission_scopes count_or_estimate sample_percent event_payload cut_event user_contact
                           customer_contact location_reference purchase_of want_issuer_keys
                           take_issuer_document require_handler uuid_or_null'),

        -- Analytics sees numbers of people, not names, addresses or what they said about themselves.
        ('table', '{readonly,auditor,admin}',
         'users(id,status,is_active,tier,email_verified_at,last_login_at)
          users(deactivated_at,deleted_at,erased_at,created_at,updated_at)
          active_users active_roles
          roles role_parents role_closure permissions role_permissions role_management user_roles
          machines status_history(id,relation,entity_id,seq,from_status,to_status,action,reason_code,changed_at)'),
        ('table', '{auditor,admin}',
         'users(email,username,display_name) user_permissions policy_rules policy_models database_roles status_history
          active_policy_rules
          audit_logs login_attempts consents identities(id,user_id,provider,provider_user_id,created_at,last_used_at)
          sessions(id,user_id,status,revoked_reason,revoked_at,client_ip,user_agent,assurance_level)
          sessions(authentication_methods,created_at,last_activity_at,expires_at,absolute_expires_at)
          decisions
          subscriptions deliveries rate_limit_policies rate_limit_records rate_limit_attacks')) AS v (kind, levels,
                                                                                                      names)) AS a));

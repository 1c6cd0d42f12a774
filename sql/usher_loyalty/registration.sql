-- What usher_loyalty tells core about itself.

CREATE FUNCTION @extschema@._loyalty_error_codes() RETURNS jsonb
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'usher_loyalty_error_codes';
COMMENT ON FUNCTION @extschema@._loyalty_error_codes() IS
    'The error codes of usher_loyalty (extension/usher_loyalty/loyalty_errors.hpp).';

SELECT usher.register_extension('Points of customers, tiers, rewards, offers, referrals, advertisements',
    error_class => 'UL',
    error_codes => @extschema@._loyalty_error_codes(),
    hooks => '{
        "upkeep": "_loyalty_upkeep", "self_check": "_loyalty_self_check", "configuration": "_loyalty_configuration",
        "metrics": "_loyalty_metrics", "export": "_export_loyalty", "erase": "_erase_loyalty",
        "flush": "_write_ad_counts"}',
    declined_hooks => '{health}',
    personal_data => $json$
    {
        "points_accounts": {"user": ["customer_id", "user_id"], "personal": ["attributes"], "impersonal": ["tier"]},
        "points_sources": {"user": ["customer_id"], "impersonal": ["currency", "source_id", "source_type"]},
        "points_deductions": {"impersonal": ["*"]},
        "points_entries": {"user": ["created_by", "customer_id"], "personal": ["note"], "impersonal": ["kind",
            "rule_code", "source_id", "source_type"]},
        "points_lots": {"user": ["customer_id"]},
        "points_lot_uses": {"impersonal": ["*"]},
        "earning_rules": {"user": ["created_by"], "impersonal": ["code", "condition", "counts", "description", "event",
            "period", "points", "time_zone"]},
        "loyalty_tiers": {"impersonal": ["*"]},
        "loyalty_segments": {"impersonal": ["*"]},
        "loyalty_offers": {"user": ["created_by"], "impersonal": ["currency", "description", "kind", "location_ids",
            "product_ids", "segment", "service_ids", "stack_group", "status", "tiers", "time_zone", "title"]},
        "loyalty_offer_keys": {"impersonal": ["*"]},
        "offer_vouchers": {"user": ["created_by", "customer_id"], "sensitive": ["code_hash"], "impersonal": ["batch",
            "offer_id"]},
        "offer_uses": {"user": ["created_by", "customer_id"], "impersonal": ["currency", "lines", "offer_id",
            "reference_id", "reference_type", "terms", "voucher_id"]},
        "loyalty_rewards": {"user": ["created_by"], "impersonal": ["condition", "description", "details", "kind",
            "status",
            "title"]},
        "reward_redemptions": {"user": ["created_by", "customer_id", "redeemed_by"], "sensitive": ["code_hash"],
            "impersonal": ["entry_id", "reason_code", "reward_id", "status"]},
        "referral_programs": {"impersonal": ["*"]},
        "referral_codes": {"user": ["customer_id"], "personal": ["code"]},
        "referral_signals": {"user": ["customer_id"], "personal": ["value_hash"], "impersonal": ["kind"]},
        "referrals": {"user": ["created_by", "referee_id", "referrer_id"], "personal": ["evidence", "flags", "notes"],
            "impersonal": ["program", "reason_code", "status"]},
        "loyalty_ads": {"user": ["created_by"], "impersonal": ["content", "offer_id", "placement", "segment", "status",
            "tiers", "title"]},
        "loyalty_ad_counts": {"impersonal": ["*"]}
    }$json$,
    settings => '[
        {"name": "loyalty.expiry_notice", "type": "integer", "default_value": "30",
         "description": "Days before points expire that loyalty.points_expiring is published."}]',
    role_presets => $json$
    {
        "loyalty": {
            "permissions": {"loyalty:read": "See the points of all customers", "loyalty:earn": "Give points",
                "loyalty:redeem": "Spend points and use offers for customers, hand rewards out",
                "loyalty:adjust": "Correct points and give spent ones back",
                "loyalty:manage": "Change rules, tiers, rewards and offers"},
            "roles": {
                "loyalty_staff": {"description": "Serves customers at a location", "manages": [], "permissions": [
                    "loyalty:read", "loyalty:redeem"]},
                "loyalty_manager": {"description": "Answers for the loyalty of customers", "manages": [],
                    "permissions": ["loyalty:read", "loyalty:earn", "loyalty:redeem", "loyalty:adjust",
                    "loyalty:manage"]}
            }
        },
        "carwash": {
            "permissions": {"loyalty:read": "See the points of all customers", "loyalty:earn": "Give points",
                "loyalty:redeem": "Spend points and use offers for customers, hand rewards out",
                "loyalty:adjust": "Correct points and give spent ones back",
                "loyalty:manage": "Change rules, tiers, rewards and offers"},
            "roles": {
                "admin": {"description": "Full system access, user management, system configuration",
                    "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Operations, staff management, reporting",
                    "manages": ["washer", "client"], "permissions": ["loyalty:read", "loyalty:earn",
                    "loyalty:redeem", "loyalty:adjust"]}
            }
        },
        "clinic": {
            "permissions": {"loyalty:read": "See the points of all customers", "loyalty:earn": "Give points",
                "loyalty:redeem": "Spend points and use offers for customers, hand rewards out",
                "loyalty:adjust": "Correct points and give spent ones back",
                "loyalty:manage": "Change rules, tiers, rewards and offers"},
            "roles": {
                "admin": {"description": "Full system access", "manages": ["*"], "permissions": ["*:*"]},
                "manager": {"description": "Runs the clinic and its staff", "manages": ["staff", "customer"],
                    "permissions": ["loyalty:read", "loyalty:earn", "loyalty:redeem", "loyalty:adjust",
                    "loyalty:manage"]},
                "staff": {"description": "Practitioners and reception", "manages": [], "permissions": [
                    "loyalty:read", "loyalty:redeem"]}
            }
        }
    }$json$,
    publishes => '{loyalty.points_earned,loyalty.points_spent,loyalty.points_given_back,loyalty.points_taken_back,
        loyalty.points_restored,loyalty.points_expired,loyalty.points_adjusted,loyalty.points_expiring,
        loyalty.tier_changed,loyalty.offer_used,loyalty.offer_released,loyalty.redeeming,loyalty.discount_granted,
        loyalty_offer.scheduled,loyalty_offer.activated,loyalty_offer.paused,
        loyalty_offer.expired,loyalty_offer.archived,loyalty_reward.activated,loyalty_reward.paused,
        loyalty_reward.retired,loyalty_redemption.reserved,loyalty_redemption.redeemed,loyalty_redemption.reversed,
        loyalty_redemption.expired,referral.created,referral.qualified,referral.rewarded,referral.rejected,
        loyalty_tier.deactivated,loyalty_tier.restored,referral_program.deactivated,referral_program.restored,
        referral.expired,loyalty_ad.activated,loyalty_ad.paused,loyalty_ad.archived}',
    access => (SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'levels', a.levels::text[], 'names', a.names)
                                    ORDER BY a.number) FROM (
        SELECT row_number() OVER () AS number, v.* FROM (VALUES
        -- Each function checks the identity itself.
        ('function', '{application,gateway,admin}',
         'earn_points redeem_points give_back_points adjust_points get_points_balance list_points_history
          create_earning_rule end_earning_rule list_earning_rules preview_earning_rule define_tier list_tiers
          set_customer_attributes define_segment create_offer update_offer set_offer_status list_offers_for
          explain_offer redeem_offer release_offers create_vouchers revoke_vouchers
          restore_vouchers create_reward update_reward
          set_reward_status
          list_rewards redeem_reward renew_reward_code redeem_reward_code reverse_redemption list_redemptions
          define_referral_program get_referral_code note_customer_signal create_referral qualify_referral
          reward_referral reject_referral list_referrals create_advertisement set_advertisement_status
          list_current_advertisements
          record_advertisement_event report_advertisements'),
        -- For the row-level security policies.
        ('function', '{application,gateway,admin}', '_loyalty_reads_all _loyalty_person'),
        -- Rows by row-level security.
        ('table', '{application,gateway,admin}', 'points_accounts points_entries'),
        ('table', '{auditor,admin}', 'points_sources points_deductions points_lots points_lot_uses earning_rules
          loyalty_tiers active_loyalty_tiers loyalty_segments loyalty_offers offer_uses loyalty_rewards
          referral_programs active_referral_programs
          referrals loyalty_ads loyalty_ad_counts')) AS v (kind, levels, names)) AS a));
